/**
 * A stage: a large answer to a pull, put together page by page, so that no step of it takes long however much it is.
 * Owns the shelf that is being made. Always true: the shelf that counts stays as it is until the whole is what its writer signed.
 * Called by pulls: `page` for each, then `work` until it is done, then `apply`.
 */
import type { PeerId } from '../ids.js';
import { BUCKETS, OFFERS_PER_PEER_MAX } from '../limits.js';
import type { Offer } from '../offer.js';
import type { Head } from '../wire/head.js';
import { type Proof, Shelf } from './shelf.js';
import { type Applied, difference, fits, settle } from './staging.js';

/** Offers of a whole shelf until which they are kept as they came, and applied together: some milliseconds. */
const FEW = 1000;
/** Of what goes into a shelf that is there already, more: it must be copied first. */
const FEW_MORE = 4000;
/** Offers that are worked on in one step: some milliseconds. */
const STEP = 4096;

export class Stage {
  /** What came, as long as it is little. */
  offers: Offer[] = [];
  /** How many came in all. */
  count = 0;
  readonly #writer: PeerId;
  readonly #base: Shelf | undefined;
  /** The version that the offers follow on, where they replace nothing. */
  readonly #from: number;
  #shelf: Shelf | undefined;
  #replaced: Uint8Array = new Uint8Array(0);
  #last = 0;
  #isBad = false;
  #rebuilding: Iterator<void> | undefined;

  /** @param base what was known when it was asked for; it may change meanwhile */
  constructor(writer: PeerId, base: Shelf | undefined, from: number) {
    this.#writer = writer;
    this.#base = base;
    this.#from = from;
  }

  /** Whether it is more than is applied together. */
  get isLarge(): boolean {
    return this.#shelf !== undefined || this.#isBad;
  }

  /**
   * Takes a page.
   * @param replaced bit set of the buckets that the answer replaces, or none
   * @param expected how many offers there will be, as far as that is known
   */
  page(offers: readonly Offer[], replaced: Uint8Array, expected: number): void {
    this.count += offers.length;
    if (this.#shelf) {
      this.#put(offers);
      return;
    }
    for (const offer of offers) this.offers.push(offer);
    const isWhole = isEvery(replaced);
    if (this.offers.length <= (isWhole ? FEW : FEW_MORE) || this.#isBad) return;
    this.#begin(replaced, expected);
    const all = this.offers;
    this.offers = [];
    this.#put(all);
  }

  /** Does some of what is to be done when all pages are here. @returns whether it is done */
  work(): boolean {
    const shelf = this.#shelf;
    if (!shelf || this.#isBad) return true;
    if (!shelf.tree.work(STEP)) return false;
    if (this.#rebuilding === undefined && this.#isPart) this.#rebuilding = shelf.rebuilding(STEP);
    return !this.#rebuilding || this.#rebuilding.next().done === true;
  }

  /**
   * @param now the shelf that counts, which the result follows on
   * @param head what the result must be, signed by the writer (the caller has checked)
   * @returns undefined where it does not fit
   */
  apply(now: Shelf | undefined, head: Head, proof: Proof): Applied | undefined {
    const shelf = this.#shelf;
    if (!shelf || this.#isBad || this.#last > head.version) return undefined;
    if (this.#base !== undefined && !this.#isWhole && shelf.epoch !== head.epoch) return undefined;
    if (shelf.count > OFFERS_PER_PEER_MAX || !fits(shelf, head)) return undefined;
    shelf.epoch = head.epoch;
    if (this.#replaced.length > 0) shelf.floor = head.version;
    settle(shelf, head, proof);
    shelf.fit();
    return { shelf, changes: difference(now, shelf) };
  }

  get #isWhole(): boolean {
    return isEvery(this.#replaced);
  }

  /** Whether it replaces some buckets and leaves others. */
  get #isPart(): boolean {
    return this.#replaced.length > 0 && !this.#isWhole;
  }

  #begin(replaced: Uint8Array, expected: number): void {
    this.#replaced = replaced;
    if (this.#isWhole) {
      this.#shelf = new Shelf(this.#writer, 1);
      this.#shelf.reserve(Math.min(expected, OFFERS_PER_PEER_MAX));
      return;
    }
    const base = this.#base;
    if (!base || (replaced.length === 0 && this.#from > base.version)) {
      this.#isBad = true;
      return;
    }
    this.#shelf = base.copy();
    // What came meanwhile is in what follows on, but for what is as new.
    if (replaced.length === 0) this.#last = this.#from;
    else this.#shelf.dropBuckets((i) => (replaced[i >> 3] & (1 << (i & 7))) !== 0);
  }

  #put(offers: readonly Offer[]): void {
    if (this.#isBad) return;
    for (const offer of offers) {
      if (offer.version <= this.#last) this.#isBad = true;
      this.#last = offer.version;
      this.#shelf?.put(offer);
    }
  }
}

/** Whether a bit set is of all buckets. */
function isEvery(replaced: Uint8Array): boolean {
  return replaced.length === BUCKETS / 8 && replaced.every((byte) => byte === 255);
}
