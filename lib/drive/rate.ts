/** Bytes a second, lately: what came in the last few seconds, decaying. Time is handed in, ms. */
export class Rate {
  #rate = 0;
  #at: number | undefined;

  /** Half of it is forgotten in some 1.4 s. */
  static readonly #TAU = 2000;

  add(bytes: number, now: number): void {
    this.#decay(now);
    this.#rate += (bytes * 1000) / Rate.#TAU;
  }

  value(now: number): number {
    this.#decay(now);
    return Math.round(this.#rate);
  }

  #decay(now: number): void {
    if (this.#at !== undefined) this.#rate *= Math.exp(-(now - this.#at) / Rate.#TAU);
    this.#at = now;
  }
}
