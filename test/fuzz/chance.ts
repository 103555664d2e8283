import { type Random, seeded } from '../../lib/clock.js';

/** Numbers at which programs go wrong. */
const EDGES = [
  0,
  1,
  2,
  7,
  31,
  32,
  33,
  63,
  64,
  127,
  128,
  255,
  256,
  257,
  511,
  512,
  513,
  4095,
  4096,
  65_535,
  65_536,
  262_143,
  262_144,
  262_145,
  2 ** 20,
  2 ** 24,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 32,
  2 ** 50,
  2 ** 53 - 1,
];

/** FNV-1a over text: a 32-bit seed of anything that can be named. */
function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h >>> 0;
}

/** Chance from a seed: the same seed draws the same. */
export class Chance {
  readonly random: Random;

  /** @param names what the seed is made of: the run's seed, a target, the number of a case */
  constructor(...names: (string | number)[]) {
    this.random = seeded(hash(names.join(' ')));
  }

  /** An integer from 0, below `n`. */
  below(n: number): number {
    return Math.floor(this.random() * n);
  }

  /** An integer from `low` to `high`, both possible. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  /** True so often of 1. */
  is(share: number): boolean {
    return this.random() < share;
  }

  one<T>(of: readonly T[]): T {
    return of[this.below(of.length)];
  }

  /** A 32-bit seed for something that draws by itself. */
  seed(): number {
    return this.below(2 ** 32);
  }

  /** Mostly small, at times an edge, with either sign at times. */
  int(): number {
    if (this.is(0.5)) return this.below(20);
    const edge = this.one(EDGES) + (this.is(0.3) ? this.between(-1, 1) : 0);
    return this.is(0.15) ? -edge : edge;
  }

  /** A length: mostly short, seldom up to `most`. */
  length(most: number): number {
    return Math.min(most, this.is(0.7) ? this.below(16) : Math.floor(most * this.random() ** 4));
  }

  bytes(length: number): Buffer {
    const out = Buffer.allocUnsafe(length);
    for (let i = 0; i < length; i++) out[i] = this.below(256);
    return out;
  }

  shuffle<T>(all: T[]): T[] {
    for (let i = all.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [all[i], all[j]] = [all[j], all[i]];
    }
    return all;
  }
}
