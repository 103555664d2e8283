/**
 * Watch: one lookup followed at all trackers that are there, and at those that come.
 *
 * Owns what each of them told, and the requests that are open for it. Always true: of a tracker that is lost what it told
 * counts for KEPT, or until it is told anew; after `end` nothing of it is open. Made by Trackers.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Millis } from '../clock.js';
import { isLoopback } from '../endpoint.js';
import { backoff } from '../gossip/pace.js';
import type { PeerId } from '../ids.js';
import type { Link } from '../net/link.js';
import type { Directory, Telling, Told } from '../tracker/directory.js';
import { now } from './gossiper.js';
import { errorOf, type Requests } from './requests.js';

/** What a lost tracker told counts for so long: as long as it takes until it is there again and everyone has come back. */
const KEPT: Millis = 15_000;
/** Where nothing fits yet, it is asked again after so long; where it tells more than there may be, later. */
const AGAIN: Millis = 2000;
const AGAIN_LATE: Millis = 30_000;
/** Where the tracker has too much to do it is asked again soon, as its answer is all that is known; later each time, up to AGAIN_LATE. */
const AGAIN_FIRST: Millis = 250;

interface At {
  telling: Telling;
  /** The request that is open, over which link. */
  open: { link: Link; number: number } | undefined;
  again: NodeJS.Timeout | undefined;
  /** Refusals in a row. */
  refusals: number;
}

export class Watch {
  /** What was told so far. */
  readonly directory: Directory;
  readonly #requests: Requests;
  readonly #kind: number;
  readonly #text: string;
  readonly #onTold: (told: Told) => void;
  readonly #at = new Map<PeerId, At>();
  readonly #sweeps = new Set<NodeJS.Timeout>();
  readonly #onEnd: () => void;
  #over = false;

  /** @param kind of the lookup, as on the wire */
  constructor(
    requests: Requests,
    directory: Directory,
    kind: number,
    text: string,
    onTold: (told: Told) => void,
    onEnd: () => void = () => {},
  ) {
    this.#requests = requests;
    this.directory = directory;
    this.#kind = kind;
    this.#text = text;
    this.#onTold = onTold;
    this.#onEnd = onEnd;
  }

  /** Whether a tracker has told all, and tells what changes. */
  isWholeAt(tracker: PeerId): boolean {
    return this.#at.get(tracker)?.telling.isWhole ?? false;
  }

  /** Whether it is followed at a tracker. */
  isAt(tracker: PeerId): boolean {
    return this.#at.has(tracker);
  }

  /** A tracker is there: follows it at that one, over this link. */
  attach(link: Link): void {
    if (this.#over) return;
    let at = this.#at.get(link.peer);
    if (!at) {
      const telling = this.directory.begin(link.peer, isLoopback(link.address.host));
      at = { telling, open: undefined, again: undefined, refusals: 0 };
      this.#at.set(link.peer, at);
    }
    if (at.open?.link === link) return;
    this.#close(at);
    this.#lose(at);
    this.#ask(at, link);
  }

  /** It is not to be followed at a tracker any more, and what that one told is to count no more. */
  leave(tracker: PeerId): void {
    const at = this.#at.get(tracker);
    if (!at) return;
    this.#at.delete(tracker);
    this.#close(at);
    this.#onTold(this.directory.end(at.telling));
  }

  /** Resolves when all who are asked have told all, or will not, or the time is over. */
  async ready(most: Millis, signal?: AbortSignal): Promise<void> {
    const until = performance.now() + most;
    const isOpen = () => [...this.#at.values()].some(({ telling, open }) => open && !telling.isWhole);
    while (!this.#over && isOpen() && performance.now() < until && !signal?.aborted) await delay(10);
  }

  end(): void {
    if (this.#over) return;
    this.#over = true;
    for (const at of this.#at.values()) this.#close(at);
    this.#at.clear();
    for (const timer of this.#sweeps) clearTimeout(timer);
    this.#onEnd();
  }

  #ask(at: At, link: Link): void {
    const number = this.#requests.open(link, {
      answer: (message) => {
        if (at.open?.number !== number) return;
        if (message.type === 'f') this.#page(at, message);
        // Nothing fits yet, or it has too much to do.
        else this.#failed(at, message.type === 'E' ? errorOf(message).code : 'bad-message');
      },
      closed: () => {
        if (at.open?.number !== number) return;
        at.open = undefined;
        this.#lose(at);
      },
    });
    at.open = { link, number };
    link.send({ type: 'l', number, kind: this.#kind, text: this.#text, follow: true });
  }

  #page(at: At, page: Parameters<Directory['page']>[1]): void {
    try {
      this.#onTold(this.directory.page(at.telling, page, now()));
      if (page.last) at.refusals = 0;
    } catch {
      // Told more than there may be: what came counts as long as what is lost does.
      this.#again(at, AGAIN_LATE, true);
    }
  }

  /** Asked in vain: once more in a moment. */
  #failed(at: At, code: string): void {
    const isEarly = code === 'unknown-file' || code === 'unknown-peer';
    const wait = isEarly ? AGAIN : backoff(at.refusals++, AGAIN_FIRST, AGAIN_LATE);
    this.#again(at, wait, !isEarly);
  }

  /** @param isLost whether what was told until now counts no longer than what a lost tracker told */
  #again(at: At, wait: Millis, isLost: boolean): void {
    const { open } = at;
    if (!open) return;
    this.#close(at);
    if (isLost) this.#lose(at);
    at.again = setTimeout(() => {
      at.again = undefined;
      if (open.link.open && !at.open && !this.#over) this.#ask(at, open.link);
    }, wait);
  }

  #close(at: At): void {
    clearTimeout(at.again);
    at.again = undefined;
    if (!at.open) return;
    const { link, number } = at.open;
    at.open = undefined;
    this.#requests.close(link, number);
    link.send({ type: 'X', number });
  }

  #lose({ telling }: At): void {
    if (this.#over || (telling.said.size === 0 && telling.prior.size === 0)) return;
    this.#onTold(this.directory.lose(telling, now() + KEPT));
    const timer = setTimeout(() => {
      this.#sweeps.delete(timer);
      this.#onTold(this.directory.sweep(now()));
    }, KEPT + 10);
    this.#sweeps.add(timer);
  }
}
