/**
 * Contents: which rows have a content id.
 * Owns the table of ids and, for each row, the one before it with the same id: an empty file may be there a million times. Always
 * true: every row that was put in is found, also one that does not count any more. Called by the shelf.
 */
import { blake3 } from '../hash.js';
import { Places } from './places.js';
import { ID, type Rows } from './rows.js';

/** A content id as it is looked for. */
export interface Content {
  bytes: Uint8Array;
  hash: number;
  strong: number;
}

export function contentOf(id: string): Content {
  const bytes = Buffer.from(id, 'hex');
  return { bytes, hash: firstOf(bytes, 0), strong: strongOf(bytes) };
}

/** An id is a hash already. */
function firstOf(bytes: Uint8Array, at: number): number {
  return (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0;
}

/** What nobody can choose. */
function strongOf(bytes: Uint8Array): number {
  return firstOf(blake3(bytes), 0);
}

/** So many places are never looked at for one id, unless somebody chose his ids so that they have all one place. */
const CROWDED = 1000;

export class Contents {
  readonly #rows: Rows;
  #places: Places;
  /** Whether ids were chosen so that they collide: from then on their hashes count. */
  #isStrong = false;
  /** Row + 1; 0 where there is none. */
  #before = new Uint32Array(0);

  constructor(rows: Rows, from?: Contents) {
    this.#rows = rows;
    const hash = (row: number) => this.#hashOf(row);
    this.#places = from ? from.#places.copy(hash) : new Places(hash);
    if (!from) return;
    this.#isStrong = from.#isStrong;
    this.#before = from.#before.slice();
  }

  reserve(rows: number): void {
    this.#places.reserve(rows);
    this.#widen(rows);
  }

  /** Puts in a row, which has an id. */
  add(row: number): void {
    if (row >= this.#before.length) this.#widen(this.#rows.state.length);
    const hash = this.#hashOf(row);
    const is = (other: number) => this.#isSame(other, row);
    const known = this.#places.find(hash, is);
    this.#before[row] = known + 1;
    if (known >= 0) this.#places.set(hash, row, is);
    else if (this.#places.add(hash, row) > CROWDED && !this.#isStrong) {
      this.#isStrong = true;
      this.#places = this.#places.copy((one) => this.#hashOf(one), true);
    }
  }

  /** Takes out the row that was put in last. */
  remove(row: number): void {
    const hash = this.#hashOf(row);
    const before = this.#before[row];
    if (before > 0) this.#places.set(hash, before - 1, (other) => other === row);
    else this.#places.delete(hash, (other) => other === row);
  }

  /** Rows with an id, the newest first. */
  *of({ bytes, hash, strong }: Content): Generator<number, void, undefined> {
    const is = (row: number) => Buffer.compare(this.#id(row), bytes) === 0;
    for (let row = this.#places.find(this.#isStrong ? strong : hash, is); row >= 0; row = this.#before[row] - 1)
      yield row;
  }

  #hashOf(row: number): number {
    return this.#isStrong ? strongOf(this.#id(row)) : firstOf(this.#rows.ids, row * ID);
  }

  #id(row: number): Uint8Array {
    return this.#rows.ids.subarray(row * ID, row * ID + ID);
  }

  #isSame(a: number, b: number): boolean {
    const { ids } = this.#rows;
    for (let i = 0; i < ID; i++) if (ids[a * ID + i] !== ids[b * ID + i]) return false;
    return true;
  }

  #widen(rows: number): void {
    if (rows <= this.#before.length) return;
    const wider = new Uint32Array(rows);
    wider.set(this.#before);
    this.#before = wider;
  }
}
