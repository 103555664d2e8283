/** A transfer that is driven elsewhere than by Jobs, which number it and list it: a send, what is received into the inbox, a get that is not kept. */
import type { ErrorBody, PeerName } from '../api.js';
import { isPeerId } from '../ids.js';
import type { KeptRow } from '../share/kept-jobs.js';
import type { GetHooks } from './fetch.js';
import { Rate } from './rate.js';

/** What it says of itself at first. */
export interface Registration {
  direction: 'in' | 'out';
  /** What is shown of it: the name of the file or folder. */
  path: string;
  size: number;
  what?: string[];
  /** Where it goes: a folder, or the peers it is sent to. */
  to?: string;
  files?: number;
  peers?: PeerName[];
}

/** What may change of that. */
export interface Progressed {
  path?: string;
  size?: number;
  files?: number;
  peers?: PeerName[];
  /** Bytes that are verified or acknowledged by now, and files that are done. */
  bytes?: number;
  done?: number;
}

/** Things that are named of what was asked for. */
const SHOWN_MAX = 3;

/** What was asked for, in few words; of a peer's things without its id. */
export function shownWhat(what: readonly string[]): string {
  const bare = what.slice(0, SHOWN_MAX).map((one) => {
    const colon = one.indexOf(':');
    return colon > 0 && isPeerId(one.slice(0, colon)) ? one.slice(colon + 1) : one;
  });
  const more = what.length - bare.length;
  return `${bare.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

/** How it is steered. What is left out is refused. */
export interface Steering {
  /** Ends it; it calls `end` when it has. */
  cancel(): void | Promise<void>;
  pause?(): void | Promise<void>;
  resume?(): void | Promise<void>;
}

/** Its handle. */
export interface Registered {
  readonly number: number;
  /** For a Get: it waits for places among what is fetched at a time. */
  readonly hooks: GetHooks;
  /** Something of it is under way from now on. */
  running(): void;
  update(now: Progressed): void;
  /** It is over: `error` where it failed. */
  end(error?: ErrorBody): void;
}

/** What is shown of one, as it changes. */
export class Shown {
  readonly #about: Registration & Required<Pick<Progressed, 'bytes' | 'done'>>;
  readonly #rate = new Rate();

  constructor(about: Registration) {
    this.#about = { ...about, bytes: 0, done: 0 };
  }

  update(now: Progressed): void {
    const { bytes } = this.#about;
    this.#rate.add(Math.max(0, (now.bytes ?? bytes) - bytes), performance.now());
    Object.assign(this.#about, now);
  }

  /** @param isRunning whether it has a rate */
  row(isRunning: boolean): KeptRow & { rate: number } {
    const { direction, path, size, bytes, peers = [], what, to, files, done } = this.#about;
    return {
      direction,
      path,
      size,
      bytes,
      rate: isRunning ? this.#rate.value(performance.now()) : 0,
      peers,
      ...(what ? { what } : {}),
      ...(to === undefined ? {} : { to }),
      ...(files === undefined ? {} : { files, done }),
    };
  }
}
