/**
 * One fetch's leave to ask for bytes, of every limit that holds for it: its own, and that of all fetches together.
 *
 * Owns what it has leave for and has not asked for. Always true: at most one item waits, at one limiter at a time; after `end`
 * nothing of it waits, and what it did not use is given back. Called by the drivers of Download and Batch.
 */
import type { Leave } from '../transfer/limit.js';
import type { Limiter } from './limiter.js';

export class Leaves implements Leave {
  readonly #limiters: readonly Limiter[];
  readonly #granted: () => void;
  /** What waits: bytes, and how many of the limiters let it through. */
  #asked: { bytes: number; passed: number } | undefined;
  /** Bytes that have leave and were not taken. */
  #held = 0;
  #over = false;

  /** @param granted called when what waited has leave: `take` gives it */
  constructor(limiters: readonly Limiter[], granted: () => void) {
    this.#limiters = limiters;
    this.#granted = granted;
  }

  get isFree(): boolean {
    return this.#limiters.every(({ isFree }) => isFree);
  }

  /** Whether it is a limit that keeps the fetch from asking. */
  get isWaiting(): boolean {
    return this.#asked !== undefined;
  }

  take(bytes: number): boolean {
    if (this.#asked || this.#over) return false;
    if (this.#held === 0) {
      this.#asked = { bytes, passed: 0 };
      if (!this.#pass()) return false;
    }
    // What has leave may be another item by now.
    const more = bytes - this.#held;
    this.#held = 0;
    if (more > 0) this.owe(more);
    else if (more < 0) this.give(-more);
    return true;
  }

  give(bytes: number): void {
    for (const limiter of this.#limiters) limiter.give(bytes);
  }

  owe(bytes: number): void {
    for (const limiter of this.#limiters) limiter.owe(bytes);
  }

  end(): void {
    this.#over = true;
    const { bytes, passed } = this.#asked ?? { bytes: this.#held, passed: this.#limiters.length };
    this.#asked = undefined;
    this.#held = 0;
    for (const limiter of this.#limiters.slice(0, passed)) limiter.give(bytes);
    for (const limiter of this.#limiters) limiter.leave(this.#next);
  }

  /** Goes on to the next limiter. @returns whether all let it through */
  #pass(): boolean {
    const asked = this.#asked;
    if (!asked) return false;
    while (asked.passed < this.#limiters.length) {
      if (!this.#limiters[asked.passed].take(this.#next, asked.bytes)) return false;
      asked.passed++;
    }
    this.#held = asked.bytes;
    this.#asked = undefined;
    return true;
  }

  readonly #next = (): void => {
    if (!this.#asked) return;
    this.#asked.passed++;
    if (this.#pass()) this.#granted();
  };
}
