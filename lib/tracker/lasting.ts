/**
 * Things that last equally long from their latest renewal, so that the one whose time is over first is always at hand.
 * Pure; called by the registry for leases, for what is waited for, and for what is told again from time to time.
 */
import type { Millis } from '../clock.js';

export class Lasting<T> {
  readonly #span: Millis;
  /** When each is over: the first first, as all last equally long and what is renewed goes to the end. */
  readonly #over = new Map<T, Millis>();

  constructor(span: Millis) {
    this.#span = span;
  }

  get size(): number {
    return this.#over.size;
  }

  has(item: T): boolean {
    return this.#over.has(item);
  }

  /** The time of this one begins now. */
  renew(item: T, now: Millis): void {
    this.#over.delete(item);
    this.#over.set(item, now + this.#span);
  }

  end(item: T): void {
    this.#over.delete(item);
  }

  /** When the first is over, or never. */
  get next(): Millis {
    for (const at of this.#over.values()) return at;
    return Number.POSITIVE_INFINITY;
  }

  /** Takes out one whose time is over. */
  take(now: Millis): T | undefined {
    for (const [item, at] of this.#over) {
      if (at > now) return undefined;
      this.#over.delete(item);
      return item;
    }
    return undefined;
  }

  /** All, the one renewed longest ago first. */
  [Symbol.iterator](): Iterator<T> {
    return this.#over.keys();
  }
}
