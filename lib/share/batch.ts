/**
 * Gathers things and hands them on together.
 * Owns what was added and not yet handed on. Always true: nothing is handed on twice, out of order or after the end.
 */
export class Batch<T> {
  readonly #max: number;
  readonly #delayMs: number;
  readonly #take: (things: T[]) => void;
  #things: T[] = [];
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /**
   * @param max things handed on at once, at most
   * @param delayMs how long the first of them waits for others, at most
   */
  constructor(max: number, delayMs: number, take: (things: T[]) => void) {
    this.#max = max;
    this.#delayMs = delayMs;
    this.#take = take;
  }

  add(thing: T): void {
    if (this.#closed) return;
    this.#things.push(thing);
    if (this.#things.length >= this.#max) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), this.#delayMs);
  }

  /** Hands on what there is, now. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const things = this.#things;
    this.#things = [];
    if (things.length > 0) this.#take(things);
  }

  /** Hands on nothing any more. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#things = [];
  }
}
