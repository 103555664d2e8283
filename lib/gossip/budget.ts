import type { Millis, Random } from '../clock.js';
import { TokenBucket } from './pace.js';

/** Places that sources are spread over: as many as a large LAN has addresses, at some 60 bytes each. */
const SLOTS = 1024;
/** Two that fall on one place do not share it for longer. */
const RESPREAD: Millis = 10_000;

/**
 * How much of something is allowed for each source, and for all together, so that one who asks for much takes nothing from
 * the others. Sources are spread by a secret hash over a fixed number of places, each with a bucket of its own, and anew from
 * time to time: stochastic fairness queueing (McKenney, INFOCOM 1990). So nothing grows with the number of sources, and none
 * can be pushed out by inventing others.
 */
export class Budget {
  readonly #rate: number;
  readonly #burst: number;
  readonly #all: TokenBucket;
  readonly #random: Random;
  readonly #tokens = new Float64Array(SLOTS);
  readonly #at = new Float64Array(SLOTS);
  #salt = 0;
  #spreadAt: Millis = Number.NEGATIVE_INFINITY;

  /**
   * @param rate for each source, in a second; twice as much at once
   * @param all for all together, in a second
   * @param random for the hash: nobody should know who shares a place with whom
   */
  constructor(rate: number, all: number, random: Random) {
    this.#rate = rate;
    this.#burst = 2 * rate;
    this.#all = new TokenBucket(all);
    this.#random = random;
  }

  /** Takes one for a source, if there is one for it and one of all. */
  take(source: string, now: Millis): boolean {
    if (now - this.#spreadAt >= RESPREAD) this.#spread(now);
    const i = this.#slot(source);
    const tokens = Math.min(this.#burst, this.#tokens[i] + ((now - this.#at[i]) * this.#rate) / 1000);
    this.#tokens[i] = tokens;
    this.#at[i] = now;
    if (tokens < 1 || !this.#all.take(now)) return false;
    this.#tokens[i]--;
    return true;
  }

  #spread(now: Millis): void {
    this.#salt = Math.floor(this.#random() * 2 ** 32);
    this.#spreadAt = now;
    this.#tokens.fill(this.#burst);
    this.#at.fill(now);
  }

  /** FNV-1a over the secret and the source, mixed once more (the end of MurmurHash3). */
  #slot(source: string): number {
    let hash = 0x811c9dc5 ^ this.#salt;
    for (let i = 0; i < source.length; i++) hash = Math.imul(hash ^ source.charCodeAt(i), 0x01000193);
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    return (hash ^ (hash >>> 16)) & (SLOTS - 1);
  }
}
