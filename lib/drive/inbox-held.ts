/** What the inbox holds of each thing that is not over, and what is said of it to its sender and to people. Called by the inbox. */
import type { InboxRow, PeerName } from '../api.js';
import { HearsayError } from '../errors.js';
import type { Link } from '../net/link.js';
import type { Entry } from '../transfer/inbox.js';
import type { Places } from '../transfer/jobs.js';
import type { Fellows } from './fellows.js';
import type { Registered } from './jobs.js';
import type { Receipt } from './receipt.js';

/** Over which connection, and under which number, a sender hears of what it sends. */
export interface Line {
  link: Link;
  number: number;
}

/** Something that is not over, or gives to its fellows still. */
export interface Held {
  entry: Entry;
  /** Undefined while it is lost. */
  line: Line | undefined;
  /** The process that offered it. */
  readonly instance: Uint8Array;
  fellows: Fellows;
  /** The inbox folder, absolute: where it was when this began. */
  folder: string;
  /** Whether people know of it. */
  shown: boolean;
  /** Whether it is being looked at, and is not to be answered now. */
  busy: boolean;
  abort: AbortController;
  /** Why it is ended from here. */
  why: HearsayError | undefined;
  receipt: Receipt | undefined;
  registered: Registered | undefined;
  /** When its sender was last told how much is here, `performance.now()`. */
  told: number;
  timer: NodeJS.Timeout | undefined;
}

/** What was just offered. */
export function heldOf(entry: Entry, line: Line, fellows: Fellows, folder: string): Held {
  return {
    entry,
    line,
    instance: line.link.instance,
    fellows,
    folder,
    shown: false,
    busy: true,
    abort: new AbortController(),
    why: undefined,
    receipt: undefined,
    registered: undefined,
    told: 0,
    timer: undefined,
  };
}

/** Tells the sender how it stands, where it can be reached. @param state as of a `v` on the wire */
export function verdict(line: Line | undefined, state: number, bytes: number, error?: HearsayError): void {
  if (!line?.link.open) return;
  const { number, link } = line;
  const message = (error?.message ?? '').toWellFormed();
  const text = Buffer.byteLength(message) <= 512 ? message : message.slice(0, 120).toWellFormed();
  link.send({ type: 'v', number, state, bytes, code: state === 4 ? (error?.code ?? 'failed') : '', message: text });
}

/** As people see it. */
export function rowOf(entry: Entry, from: PeerName): InboxRow {
  const { number, time, name, folder, files, bytes, state, received, path, error } = entry;
  return {
    number,
    time,
    from,
    name,
    folder,
    files,
    bytes,
    state,
    received,
    ...(path === undefined ? {} : { path }),
    ...(error ? { error: { code: error.code, message: error.message } } : {}),
  };
}

/** Waits for a place. @returns gives it back. @throws HearsayError `interrupted` */
export function placeIn(places: Places, signal: AbortSignal): Promise<() => void> {
  return new Promise((resolve, reject) => {
    const stopped = () => reject(new HearsayError('interrupted', 'it was stopped'));
    if (signal.aborted) return stopped();
    const onAbort = () => {
      leave();
      stopped();
    };
    signal.addEventListener('abort', onAbort);
    const leave: () => void = places.ask(0, () => {
      signal.removeEventListener('abort', onAbort);
      resolve(() => leave());
    });
  });
}
