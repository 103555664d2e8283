/**
 * Numbers of files: what is listed at the console can be fetched by its number.
 *
 * Owns which number stands for which file of which peer. Always true: a number stands for the same file as long as the console runs,
 * whether that is there or not; at most CONSOLE_NUMBERS_MAX are given. Called by the console.
 */
import { HearsayError } from '../errors.js';
import type { PeerId } from '../ids.js';
import { CONSOLE_NUMBERS_MAX } from '../limits.js';

export interface Numbered {
  peer: PeerId;
  path: string;
}

export class Numbers {
  readonly #most: number;
  /** That of number 1 first. */
  readonly #files: Numbered[] = [];
  readonly #numbers = new Map<string, number>();

  constructor(most = CONSOLE_NUMBERS_MAX) {
    this.#most = most;
  }

  /** How many were given. */
  get count(): number {
    return this.#files.length;
  }

  /** The number of a file, a new one where it has none; undefined where there are no more. */
  of(peer: PeerId, path: string): number | undefined {
    const key = `${peer} ${path}`;
    const known = this.#numbers.get(key);
    if (known !== undefined || this.#files.length >= this.#most) return known;
    this.#files.push({ peer, path });
    this.#numbers.set(key, this.#files.length);
    return this.#files.length;
  }

  /**
   * The files that a word means: a number, or a first and a last one (`5-7`).
   * @returns undefined where it is no such word
   * @throws HearsayError `not-found` where a number stands for nothing, `usage` for a range that ends before it begins
   */
  read(word: string): Numbered[] | undefined {
    const found = /^(\d{1,9})(?:-(\d{1,9}))?$/.exec(word);
    if (!found) return undefined;
    const first = Number(found[1]);
    const last = found[2] === undefined ? first : Number(found[2]);
    if (last < first) throw new HearsayError('usage', `${word} ends before it begins`);
    if (first < 1 || last > this.count) {
      const there = this.count === 0 ? 'none is given yet: `ls` numbers the files' : `they go from 1 to ${this.count}`;
      throw new HearsayError('not-found', `no file has the number ${first < 1 ? first : last}; ${there}`);
    }
    return this.#files.slice(first - 1, last);
  }
}
