/** Counters behind the newest that may still come: datagrams overtake each other by a few, never by so many. */
const WINDOW = 1024;
/** One more than fit the window, as its ends lie within words. */
const WORDS = WINDOW / 32 + 1;

/**
 * Which counters of one sender came: a ring of bits that is cleared as it turns (RFC 6479).
 * Always true: what `mark` was told of is not fresh any more, nor is anything WINDOW or more below the highest.
 */
export class ReplayWindow {
  readonly #bits = new Uint32Array(WORDS);
  #highest = -1;

  /** Whether a counter, a whole number below 2^32, has not come yet and is not too old. */
  fresh(counter: number): boolean {
    if (counter > this.#highest) return true;
    if (this.#highest - counter >= WINDOW) return false;
    return (this.#bits[(counter >>> 5) % WORDS] & (1 << (counter & 31))) === 0;
  }

  mark(counter: number): void {
    if (counter > this.#highest) {
      const word = counter >>> 5;
      const before = this.#highest < 0 ? -1 : this.#highest >>> 5;
      for (let w = Math.max(before, word - WORDS) + 1; w <= word; w++) this.#bits[w % WORDS] = 0;
      this.#highest = counter;
    }
    this.#bits[(counter >>> 5) % WORDS] |= 1 << (counter & 31);
  }
}
