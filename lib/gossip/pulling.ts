/**
 * Pulling: one pull that is under way.
 * Owns what has arrived of its answer. Always true: an answer is no larger than a head may speak of, and one that drips has failed.
 * Called by pulls.
 */
import type { Millis } from '../clock.js';
import type { PeerId } from '../ids.js';
import { OFFERS_PER_PEER_MAX, TOMBSTONES_MAX } from '../limits.js';
import { sumOfLoads } from '../offer.js';
import type { Shelf } from '../shelf/shelf.js';
import { Stage } from '../shelf/stage.js';
import type { Head } from '../wire/head.js';
import type { MessageOf } from '../wire/table.js';
import type { Arrival } from './arrivals.js';

const NONE = new Uint8Array(0);
/** Nothing of an answer arrives for so long: it has failed. */
export const PULL_TIMEOUT: Millis = 10_000;
/** An answer as slow as this after its first moments (offers in a second: some 16 KB) has failed: others wait for the place. */
const SLOW = 200;
const SLOW_AFTER: Millis = 30_000;
/** Offers of one answer at most: as many as a head may speak of, with the tombstones. */
const ANSWER_MAX = OFFERS_PER_PEER_MAX + TOMBSTONES_MAX;

/** What is asked, and of whom. */
export interface Asked {
  from: PeerId;
  /** The writer's host. */
  host: string;
  /** The writer's newest head as it is asked for. */
  head: Head;
  /** What is known of the writer, where that is built on. */
  base: Shelf | undefined;
  /** The version that a delta would follow on. */
  version: number;
}

export class Pulling {
  readonly from: PeerId;
  readonly host: string;
  /** The room that takes what has arrived. */
  load = 0;
  deadline: Millis;
  readonly #asked: Asked;
  readonly #since: Millis;
  readonly #stage: Stage;
  #replaced: Uint8Array = NONE;
  #last: MessageOf<'D'> | undefined;

  constructor(asked: Asked, now: Millis) {
    this.from = asked.from;
    this.host = asked.host;
    this.deadline = now + PULL_TIMEOUT;
    this.#asked = asked;
    this.#since = now;
    this.#stage = new Stage(asked.head.id, asked.base, asked.version);
  }

  /**
   * Takes a page.
   * @param expected how many offers there will be, as far as that is known
   * @returns the room that it takes; undefined where it is too much, or comes too slowly
   */
  page(page: MessageOf<'D'>, expected: number, now: Millis): number | undefined {
    const { offers, replaced, last } = page;
    if (offers.length > 0) this.deadline = now + PULL_TIMEOUT;
    if (replaced.length > 0) this.#replaced = replaced;
    const load = sumOfLoads(offers);
    const isSlow = ((now - this.#since - SLOW_AFTER) / 1000) * SLOW > this.#stage.count + offers.length;
    if (this.load + load > ANSWER_MAX || (isSlow && !last)) return undefined;
    this.#stage.page(offers, this.#replaced, expected);
    this.load += load;
    if (last) this.#last = page;
    return load;
  }

  /** Whether all pages are here. */
  get isWhole(): boolean {
    return this.#last !== undefined;
  }

  /** Does some of what is to be done when all pages are here. @returns whether it is done */
  work(now: Millis): boolean {
    if (this.#stage.work()) return true;
    this.deadline = now + PULL_TIMEOUT;
    return false;
  }

  /** The whole answer. */
  get arrival(): Arrival {
    const { from, head: asked, version } = this.#asked;
    const { head = NONE, sig = NONE } = this.#last ?? {};
    const stage = this.#stage;
    const proof = { head, sig };
    return { from, asked, version, stage, offers: stage.offers, load: this.load, replaced: this.#replaced, proof };
  }
}
