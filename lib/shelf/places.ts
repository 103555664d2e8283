/**
 * Places: which row is found by a hash. Open addressing with four bytes a place, which a Map of strings takes twenty times.
 * Owns the table. Always true: each row put in is found by its hash until it is taken out. Called by the shelf.
 */

const FIRST = 16;

/** Spreads a hash, so that the low bits that are looked at depend on all. */
function spread(hash: number): number {
  const h = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return (h ^ (h >>> 13)) >>> 0;
}

export class Places {
  /** Row + 1; 0 where there is none. */
  #table = new Uint32Array(0);
  #count = 0;
  readonly #hashOf: (row: number) => number;

  /** @param hashOf the hash of a row that is in here */
  constructor(hashOf: (row: number) => number) {
    this.#hashOf = hashOf;
  }

  /** Makes room for so many. */
  reserve(count: number): void {
    let room = Math.max(FIRST, this.#table.length);
    // Three of four places at most are taken.
    while (room * 3 < count * 4) room *= 2;
    if (room > this.#table.length) this.#resize(room);
  }

  /** @param is whether a row with this hash is the one that is meant @returns the row, or -1 */
  find(hash: number, is: (row: number) => boolean): number {
    const at = this.#at(hash, is);
    return at < 0 ? -1 : this.#table[at] - 1;
  }

  /** Puts a row in, in place of the one that `is` it. */
  set(hash: number, row: number, is: (row: number) => boolean): void {
    const known = this.#at(hash, is);
    if (known >= 0) {
      this.#table[known] = row + 1;
      return;
    }
    this.add(hash, row);
  }

  /** Puts in a row that is not there. @returns how many places were looked at */
  add(hash: number, row: number): number {
    if ((this.#count + 1) * 4 > this.#table.length * 3) this.#resize(Math.max(FIRST, this.#table.length * 2));
    this.#count++;
    const table = this.#table;
    const mask = table.length - 1;
    let at = spread(hash) & mask;
    let looked = 1;
    for (; table[at] !== 0; at = (at + 1) & mask) looked++;
    table[at] = row + 1;
    return looked;
  }

  delete(hash: number, is: (row: number) => boolean): void {
    let hole = this.#at(hash, is);
    if (hole < 0) return;
    this.#count--;
    const table = this.#table;
    const mask = table.length - 1;
    // Those behind that were pushed out of their places move up.
    for (let at = (hole + 1) & mask; table[at] !== 0; at = (at + 1) & mask) {
      const home = spread(this.#hashOf(table[at] - 1)) & mask;
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      table[hole] = table[at];
      hole = at;
    }
    table[hole] = 0;
  }

  /** @param isOther whether it is another hash than before */
  copy(hashOf: (row: number) => number, isOther = false): Places {
    const copy = new Places(hashOf);
    copy.#table = this.#table.slice();
    copy.#count = this.#count;
    if (isOther) copy.#resize(copy.#table.length);
    return copy;
  }

  #at(hash: number, is: (row: number) => boolean): number {
    const table = this.#table;
    if (table.length === 0) return -1;
    const mask = table.length - 1;
    for (let at = spread(hash) & mask; table[at] !== 0; at = (at + 1) & mask) {
      if (is(table[at] - 1)) return at;
    }
    return -1;
  }

  #resize(room: number): void {
    const before = this.#table;
    const table = new Uint32Array(room);
    const mask = room - 1;
    for (const one of before) {
      if (one === 0) continue;
      let at = spread(this.#hashOf(one - 1)) & mask;
      while (table[at] !== 0) at = (at + 1) & mask;
      table[at] = one;
    }
    this.#table = table;
  }
}
