/**
 * One event after another: what handling an event brings about waits until that one is done.
 *
 * Owns the events that wait. Always true: `handle` never runs within itself. Called by the drivers of the pure cores.
 */
export class Turns<E> {
  readonly #handle: (event: E) => void;
  #waiting: E[] = [];
  #busy = false;

  constructor(handle: (event: E) => void) {
    this.#handle = handle;
  }

  /** Handles an event now, or after the one that is being handled. */
  take(event: E): void {
    this.#waiting.push(event);
    if (this.#busy) return;
    this.#busy = true;
    try {
      for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) this.#handle(next);
    } finally {
      this.#busy = false;
    }
  }

  /** Forgets what waits. */
  clear(): void {
    this.#waiting = [];
  }
}
