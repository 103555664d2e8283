/**
 * Events pushed by one side and iterated by another.
 *
 * Owns the events not yet taken. Always true: at most one iterator; after `end` or `fail` nothing is added. Where the reader is
 * far behind, so that a slow one does not fill memory, droppable events are dropped, and others made fewer where they can be.
 */
import { BEHIND_MAX } from '../limits.js';

export class Stream<T> implements AsyncIterable<T> {
  #events: T[] = [];
  #wake: (() => void) | undefined;
  #over = false;
  #error: unknown;
  readonly #onReturn: (() => void) | undefined;
  readonly #squeeze: ((events: T[]) => T[]) | undefined;
  /** How many may wait until they are next made fewer. */
  #room = BEHIND_MAX;

  /**
   * @param onReturn called when the reader stops early
   * @param squeeze says the same in fewer events
   */
  constructor(onReturn?: () => void, squeeze?: (events: T[]) => T[]) {
    this.#onReturn = onReturn;
    this.#squeeze = squeeze;
  }

  /** Events that wait for the reader. */
  get waiting(): number {
    return this.#events.length;
  }

  push(event: T, droppable = false): void {
    if (this.#over || (droppable && this.#events.length >= BEHIND_MAX)) return;
    this.#events.push(event);
    if (this.#squeeze && this.#events.length > this.#room) {
      this.#events = this.#squeeze(this.#events);
      // Not before there are twice as many, so that the work stays in proportion.
      this.#room = Math.max(BEHIND_MAX, 2 * this.#events.length);
    }
    this.#wake?.();
  }

  end(): void {
    this.#over = true;
    this.#wake?.();
  }

  fail(error: unknown): void {
    if (this.#over) return;
    this.#error = error;
    this.end();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    try {
      for (;;) {
        const events = this.#events;
        this.#events = [];
        if (events.length > 0) {
          // Not `yield*`, which makes an iterator of promises of them.
          for (const event of events) yield event;
          continue;
        }
        // Nothing may be waited for since the look at the events: what came meanwhile would be lost.
        if (this.#over) break;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = undefined;
      }
      if (this.#error !== undefined) throw this.#error;
    } finally {
      this.#over = true;
      this.#events = [];
      this.#onReturn?.();
    }
  }
}
