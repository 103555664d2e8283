import type { Millis } from '../clock.js';

/** A nonce is asked with for so long, then a new one is drawn. */
const USE: Millis = 2000;
/** An answer is fresh for so long after its nonce was drawn. */
const FRESH: Millis = 10_000;
const KEPT = 64;

/**
 * My own nonces of late. That a head repeats one of them shows that its writer was there after it was drawn.
 * One nonce serves many questions: each writer has to sign it for itself.
 */
export class Nonces {
  readonly #draw: () => Uint8Array;
  readonly #kept: { nonce: Uint8Array; serial: number; at: Millis }[] = [];
  #serial = 0;

  /** @param draw 16 fresh random bytes */
  constructor(draw: () => Uint8Array) {
    this.#draw = draw;
  }

  /** Every nonce so far has a serial number up to this. */
  get mark(): number {
    return this.#serial;
  }

  /** A nonce to ask with, drawn after a mark. */
  current(now: Millis, mark = 0): Uint8Array {
    const newest = this.#kept.at(-1);
    if (newest && newest.serial > mark && now - newest.at < USE) return newest.nonce;
    const nonce = this.#draw();
    this.#kept.push({ nonce, serial: ++this.#serial, at: now });
    while (this.#kept.length > KEPT || now - this.#kept[0].at > FRESH) this.#kept.shift();
    return nonce;
  }

  /** The serial number of a fresh nonce of mine, or 0 where it is none. */
  serialOf(echo: Uint8Array, now: Millis): number {
    if (echo.length !== 16) return 0;
    for (const { nonce, serial, at } of this.#kept) {
      if (now - at <= FRESH && Buffer.compare(nonce, echo) === 0) return serial;
    }
    return 0;
  }
}
