/**
 * One state per chunk of a file that is being received, and who could give each.
 *
 * Owns the state of every chunk. Always true: a chunk is in exactly one state; `missing` ones are to be asked for,
 * `active` ones are being asked for, `checking` ones are whole and being verified and written, `have` is for good.
 * Called by the download only.
 */
import { Bits } from '../bits.js';
import type { Random } from '../clock.js';

export type State = 'missing' | 'active' | 'checking' | 'have';
const STATES: readonly State[] = ['missing', 'active', 'checking', 'have'];

export class Chunks {
  readonly count: number;
  readonly #states: Uint8Array;
  /** How many sources have each chunk: rarest first goes by it. */
  readonly #holders: Uint16Array;
  readonly #have: Bits;
  #missing: number;
  /** No chunk below it is missing. */
  #lowest = 0;

  constructor(count: number) {
    this.count = count;
    this.#states = new Uint8Array(count);
    this.#holders = new Uint16Array(count);
    this.#have = new Bits(count);
    this.#missing = count;
  }

  get have(): Bits {
    return this.#have;
  }

  get missing(): number {
    return this.#missing;
  }

  get complete(): boolean {
    return this.#have.isFull;
  }

  state(chunk: number): State {
    return STATES[this.#states[chunk]];
  }

  set(chunk: number, state: State): void {
    const before = this.state(chunk);
    if (before === state) return;
    this.#states[chunk] = STATES.indexOf(state);
    if (before === 'missing') this.#missing--;
    if (before === 'have') this.#have.delete(chunk);
    if (state === 'have') this.#have.add(chunk);
    if (state === 'missing') {
      this.#missing++;
      this.#lowest = Math.min(this.#lowest, chunk);
    }
  }

  /** A source has (or, with -1, no longer has) a chunk. */
  holds(chunk: number, by: 1 | -1): void {
    this.#holders[chunk] += by;
  }

  /** How many sources have this chunk. */
  holders(chunk: number): number {
    return this.#holders[chunk];
  }

  /** Whether a chunk that is missing is held by no source. */
  get isOrphaned(): boolean {
    for (let i = this.#lowest; i < this.count; i++) if (this.#states[i] === 0 && this.#holders[i] === 0) return true;
    return false;
  }

  /**
   * Picks the chunk to ask a source for: the rarest that is missing and that it has; of equally rare ones a random one,
   * so that receivers of one content fetch different chunks and exchange them (Cohen, "Incentives Build Robustness in
   * BitTorrent", 2003). Where nobody else receives, in order, which disks like best.
   * @param has whether this source may be asked for a chunk
   * @param random undefined for in order
   */
  pick(has: (chunk: number) => boolean, random: Random | undefined): number | undefined {
    if (this.#missing === 0) return undefined;
    while (this.#lowest < this.count && this.#states[this.#lowest] !== 0) this.#lowest++;
    if (!random) {
      for (let i = this.#lowest; i < this.count; i++) if (this.#states[i] === 0 && has(i)) return i;
      return undefined;
    }
    let best: number | undefined;
    let rarest = Number.POSITIVE_INFINITY;
    let equals = 0;
    for (let i = this.#lowest; i < this.count; i++) {
      if (this.#states[i] !== 0 || this.#holders[i] > rarest || !has(i)) continue;
      if (this.#holders[i] < rarest) {
        rarest = this.#holders[i];
        equals = 0;
      }
      // Reservoir sampling: each of the equally rare has the same chance.
      if (random() * ++equals < 1) best = i;
    }
    return best;
  }
}
