import type { Millis } from '../clock.js';

/**
 * How long to wait for something before asking again: RFC 6298's estimator, over service times (request to arrival)
 * rather than round trips, since what we wait for is a block and not a packet.
 */
export class Rto {
  #srtt: Millis | undefined;
  #var = 0;
  #backoff = 1;
  readonly #min: Millis;
  readonly #max: Millis;
  readonly #first: Millis;

  /**
   * @param first until something was measured (RFC 6298 says 1 s; here a disk may have to spin up first)
   * @param min never less: a busy host or a slow disk is not a loss
   * @param max never more, back-off included
   */
  constructor(first: Millis = 3000, min: Millis = 1000, max: Millis = 30_000) {
    this.#first = first;
    this.#min = min;
    this.#max = max;
  }

  /** The time-out in force, milliseconds. */
  get value(): Millis {
    const base = this.#srtt === undefined ? this.#first : this.#srtt + Math.max(4 * this.#var, 1);
    return Math.min(this.#max, Math.max(this.#min, base) * this.#backoff);
  }

  /** The smoothed service time, or undefined before the first. */
  get smoothed(): Millis | undefined {
    return this.#srtt;
  }

  /** Takes a measurement. By Karn's rule the caller leaves out what was asked for more than once. */
  sample(time: Millis): void {
    if (this.#srtt === undefined) {
      this.#srtt = time;
      this.#var = time / 2;
    } else {
      this.#var += (Math.abs(this.#srtt - time) - this.#var) / 4;
      this.#srtt += (time - this.#srtt) / 8;
    }
    this.#backoff = 1;
  }

  /** Doubles the time-out until the next measurement. */
  backOff(): void {
    this.#backoff = Math.min(64, this.#backoff * 2);
  }
}
