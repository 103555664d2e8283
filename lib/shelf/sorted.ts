/**
 * Things kept in order, in blocks of some hundreds, so that a million can be added to, removed from and gone through by ranges
 * at some 12 bytes each. Pure; called by the search.
 * Owns the blocks. Always true: keys rise through the blocks and within each, no key is there twice, no block is empty; two
 * neighbours that would fit into half of one are one. Going through survives any change in between: it goes on behind the key
 * where it was.
 */

/** Items of a block at most. */
const ITEMS = 256;

/** What may be noted of each block, such as what occurs in it. */
export interface Notes<T, N> {
  /** The room that an item takes; a block that has more than `most` is cut in two, unless it is a single item. */
  weigh(item: T): number;
  most: number;
  /** The note of some items. */
  of(items: readonly T[]): N;
  /** Adds an item that was put in at a place; there were `count` before. */
  add(note: N, item: T, place: number, count: number): void;
  /** An item was taken out of a place. Something of it may stay, until the note is made anew. */
  remove(note: N, place: number, count: number): void;
}

export interface Block<T, N> {
  items: T[];
  weight: number;
  note: N;
  /** Items removed since the note was made. */
  gone: number;
}

const NO_NOTES: Notes<unknown, undefined> = {
  weigh: () => 0,
  most: 1,
  of: () => undefined,
  add: () => undefined,
  remove: () => undefined,
};

/** @typeParam K the key of an item, by which all is sorted */
export class Sorted<T, K, N = undefined> {
  readonly #compare: (item: T, key: K) => number;
  readonly #keyOf: (item: T) => K;
  readonly #notes: Notes<T, N>;
  readonly #blocks: Block<T, N>[] = [];
  #size = 0;
  /** Raised when blocks come, go or are cut. */
  #shape = 0;
  /** Raised with every change. */
  #changes = 0;

  /** @param compare below 0 where the item comes before the key */
  constructor(compare: (item: T, key: K) => number, keyOf: (item: T) => K, notes?: Notes<T, N>) {
    this.#compare = compare;
    this.#keyOf = keyOf;
    this.#notes = notes ?? (NO_NOTES as unknown as Notes<T, N>);
  }

  get size(): number {
    return this.#size;
  }

  get(key: K): T | undefined {
    const block = this.#blocks[this.#blockOf(key)];
    if (!block) return undefined;
    const item = block.items[this.#place(block, key)];
    return item !== undefined && this.#compare(item, key) === 0 ? item : undefined;
  }

  /** Puts an item in, in place of the one with its key. @returns whether the key was there */
  set(item: T): boolean {
    const key = this.#keyOf(item);
    this.#changes++;
    const at = this.#blockOf(key);
    const block = this.#blocks[at];
    if (!block) {
      const items = [item];
      this.#blocks.push({ items, weight: this.#notes.weigh(item), note: this.#notes.of(items), gone: 0 });
      this.#size++;
      this.#shape++;
      return false;
    }
    const i = this.#place(block, key);
    if (i < block.items.length && this.#compare(block.items[i], key) === 0) {
      block.items[i] = item;
      return true;
    }
    block.items.splice(i, 0, item);
    block.weight += this.#notes.weigh(item);
    this.#size++;
    const isFull = block.items.length > ITEMS || block.weight > this.#notes.most;
    if (isFull && block.items.length > 1) this.#cut(at);
    else this.#notes.add(block.note, item, i, block.items.length - 1);
    return false;
  }

  delete(key: K): T | undefined {
    const at = this.#blockOf(key);
    const block = this.#blocks[at];
    if (!block) return undefined;
    const i = this.#place(block, key);
    const item = block.items[i];
    if (item === undefined || this.#compare(item, key) !== 0) return undefined;
    this.#changes++;
    this.#size--;
    block.items.splice(i, 1);
    this.#notes.remove(block.note, i, block.items.length + 1);
    block.weight -= this.#notes.weigh(item);
    block.gone++;
    if (block.items.length === 0) {
      this.#blocks.splice(at, 1);
      this.#shape++;
    } else if (!this.#join(at) && !this.#join(at - 1) && block.gone > block.items.length / 2) this.#renew(block);
    return item;
  }

  /** Items from a key on, the one with this key too. */
  *from(key: K): Generator<T, void, undefined> {
    let at = this.#blockOf(key);
    let block: Block<T, N> | undefined = this.#blocks[at];
    let i = block ? this.#place(block, key) : 0;
    while (block) {
      if (i === block.items.length) {
        block = this.#blocks[++at];
        i = 0;
        continue;
      }
      const item: T = block.items[i++];
      const changes = this.#changes;
      yield item;
      if (changes === this.#changes) continue;
      const last = this.#keyOf(item);
      at = this.#blockOf(last);
      block = this.#blocks[at];
      if (!block) return;
      i = this.#place(block, last);
      if (i < block.items.length && this.#compare(block.items[i], last) === 0) i++;
    }
  }

  *[Symbol.iterator](): Generator<T, void, undefined> {
    const first = this.#blocks[0];
    if (first) yield* this.from(this.#keyOf(first.items[0]));
  }

  /** Changes whenever places of blocks do. */
  get shape(): number {
    return this.#shape;
  }

  /** The block at a place, whose items are not to be changed; undefined behind the last. */
  block(at: number): Readonly<Block<T, N>> | undefined {
    return this.#blocks[at];
  }

  /** The place of the block where a key is, or would be. */
  placeOf(key: K): number {
    return this.#blockOf(key);
  }

  /** The place of the block where the first key after this one is: what comes before that may be in it too. */
  placeAfter(key: K): number {
    const at = this.#blockOf(key);
    const items = this.#blocks[at]?.items;
    return items && this.#compare(items[items.length - 1], key) <= 0 ? at + 1 : at;
  }

  /** The last block whose first item does not come after the key; the first one where there is none. */
  #blockOf(key: K): number {
    let low = 0;
    let high = this.#blocks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#compare(this.#blocks[middle].items[0], key) <= 0) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** The place of the first item of a block that does not come before the key. */
  #place({ items }: Block<T, N>, key: K): number {
    let low = 0;
    let high = items.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#compare(items[middle], key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #cut(at: number): void {
    const block = this.#blocks[at];
    // What comes in order leaves full blocks behind.
    const isLast = at === this.#blocks.length - 1;
    const items = block.items.splice(isLast ? Math.max(1, (block.items.length * 7) >> 3) : block.items.length >> 1);
    // Arrays that were cut keep the room that they had.
    block.items = block.items.slice();
    this.#renew(block);
    const next: Block<T, N> = { items: items.slice(), weight: 0, note: block.note, gone: 0 };
    this.#renew(next);
    this.#blocks.splice(at + 1, 0, next);
    this.#shape++;
  }

  /** Makes one of two neighbours that have grown small. */
  #join(at: number): boolean {
    const block = this.#blocks[at];
    const next = this.#blocks[at + 1];
    if (!block || !next) return false;
    if (block.items.length + next.items.length > ITEMS >> 1) return false;
    if (block.weight + next.weight > this.#notes.most >> 1) return false;
    block.items = [...block.items, ...next.items];
    this.#renew(block);
    this.#blocks.splice(at + 1, 1);
    this.#shape++;
    return true;
  }

  #renew(block: Block<T, N>): void {
    let weight = 0;
    for (const item of block.items) weight += this.#notes.weigh(item);
    block.weight = weight;
    block.note = this.#notes.of(block.items);
    block.gone = 0;
  }
}
