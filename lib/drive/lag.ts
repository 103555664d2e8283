/**
 * Lag: how long this process could hear nothing, because it was busy, or the machine asleep.
 *
 * Owns one slow ticker. Always true: each stretch of time is told once; what is shorter than LEAST is not told. Called by the driver of
 * gossip, before each timer's event too, as what was said meanwhile still waits in the sockets.
 */
import type { Millis } from '../clock.js';

/** What comes later than this is late. */
const LEAST: Millis = 250;
const TICK: Millis = 500;
/** The clock on the wall ran ahead of the one that stands still in sleep by so much: the machine slept, or somebody set its clock. */
const SLEPT: Millis = 5000;

/** Both clocks in ms: one that never goes back, and the time of day. */
export interface Clocks {
  now(): Millis;
  wall(): Millis;
}

const CLOCKS: Clocks = { now: () => performance.now(), wall: Date.now };

export class Lag {
  readonly #tell: (ms: Millis) => void;
  readonly #clocks: Clocks;
  #timer: NodeJS.Timeout | undefined;
  /** When the next tick is due. */
  #due: Millis = Number.POSITIVE_INFINITY;
  /** Up to when it was told. */
  #told: Millis = Number.NEGATIVE_INFINITY;
  /** How far the wall's clock was ahead. */
  #ahead = 0;

  /** @param tell for so long nothing could be heard */
  constructor(tell: (ms: Millis) => void, clocks: Clocks = CLOCKS) {
    this.#tell = tell;
    this.#clocks = clocks;
  }

  start(): void {
    this.#ahead = this.#clocks.wall() - this.#clocks.now();
    this.#due = this.#clocks.now() + TICK;
    this.#timer = setInterval(() => this.look(), TICK).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#due = Number.POSITIVE_INFINITY;
  }

  /** Tells of what is late by now, if anything is. */
  look(): void {
    const now = this.#clocks.now();
    const since = Math.max(this.#due, this.#told);
    if (now >= this.#due) this.#due = now + TICK;
    const ahead = this.#clocks.wall() - now;
    const slept = ahead - this.#ahead;
    this.#ahead = ahead;
    const late = Math.max(now - since, slept >= SLEPT ? slept : 0);
    if (late <= LEAST) return;
    this.#told = now;
    this.#tell(late);
  }
}
