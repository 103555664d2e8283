/**
 * Breath: what came is handled for a few milliseconds in one turn of the event loop, and the rest of it in the next turns, so that a peer
 * to which a hundred others tell their offers at once still answers, and its timers come in time.
 *
 * Owns when this turn's time began, and what waits. Always true: what waits is run in its order, in each turn as much as fits its time
 * and one at the least. The loop is one for the whole process, and so is BREATH. Called by the intakes of connections and by the
 * driver of gossip.
 */

/** How long one turn goes on with what came, ms. */
const SLICE = 5;

export class Breath {
  readonly #now: () => number;
  /** When this turn's time began; undefined where nothing came yet. */
  #began: number | undefined;
  #waiting: (() => void)[] = [];

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Whether what comes now is to wait: this turn's time is over, or others wait already. */
  get isSpent(): boolean {
    if (this.#waiting.length > 0) return true;
    if (this.#began !== undefined) return this.#now() - this.#began >= SLICE;
    this.#began = this.#now();
    setImmediate(this.#turn);
    return false;
  }

  /** Runs something in a turn to come, behind all that waits already. */
  later(run: () => void): void {
    this.#waiting.push(run);
    if (this.#began !== undefined) return;
    this.#began = this.#now();
    setImmediate(this.#turn);
  }

  /** Runs something now, or where this turn's time is over in its turn. */
  take(run: () => void): void {
    if (this.isSpent) this.later(run);
    else run();
  }

  readonly #turn = (): void => {
    const began = this.#now();
    this.#began = began;
    let done = 0;
    while (done < this.#waiting.length) {
      this.#waiting[done++]();
      if (this.#now() - began >= SLICE) break;
    }
    this.#waiting.splice(0, done);
    if (this.#waiting.length > 0) setImmediate(this.#turn);
    else this.#began = undefined;
  };
}

/** The one of this process's loop. */
export const BREATH = new Breath();
