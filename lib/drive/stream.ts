/**
 * Events pushed by one side and iterated by another.
 *
 * Owns the events not yet taken. Always true: at most one iterator; after `end` or `fail` nothing is added. Droppable
 * events are dropped while the reader is far behind, so that a slow one does not fill memory.
 */
const BEHIND = 1000;

export class Stream<T> implements AsyncIterable<T> {
  #events: T[] = [];
  #wake: (() => void) | undefined;
  #over = false;
  #error: unknown;
  readonly #onReturn: (() => void) | undefined;

  /** @param onReturn called when the reader stops early */
  constructor(onReturn?: () => void) {
    this.#onReturn = onReturn;
  }

  push(event: T, droppable = false): void {
    if (this.#over || (droppable && this.#events.length > BEHIND)) return;
    this.#events.push(event);
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
          yield* events;
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
