/**
 * Things to do at moments of a virtual clock, earliest first; of the same moment, in the order in which they came.
 * Always true: what lies more than a millisecond ahead costs the same however much there is: it waits, unsorted, in a list for
 * its millisecond.
 */
export interface Item {
  at: number;
  order: number;
  run(): void;
}

function isBefore(a: Item, b: Item): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

/** A binary heap. */
class Heap<T> {
  readonly items: T[] = [];
  readonly #isBefore: (a: T, b: T) => boolean;

  constructor(isBefore: (a: T, b: T) => boolean) {
    this.#isBefore = isBefore;
  }

  add(item: T): void {
    const { items } = this;
    let i = items.length;
    items.push(item);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!this.#isBefore(item, items[parent])) break;
      items[i] = items[parent];
      i = parent;
    }
    items[i] = item;
  }

  take(): T | undefined {
    const { items } = this;
    const first = items[0];
    const last = items.pop();
    if (last === undefined || items.length === 0) return first;
    let i = 0;
    for (;;) {
      let least = 2 * i + 1;
      if (least >= items.length) break;
      if (least + 1 < items.length && this.#isBefore(items[least + 1], items[least])) least++;
      if (!this.#isBefore(items[least], last)) break;
      items[i] = items[least];
      i = least;
    }
    items[i] = last;
    return first;
  }
}

export class Queue {
  /** Those of the milliseconds up to `#until`. */
  readonly #near = new Heap<Item>(isBefore);
  /** The others by their millisecond, and these in order. */
  readonly #far = new Map<number, Item[]>();
  readonly #milliseconds = new Heap<number>((a, b) => a < b);
  #until = Number.NEGATIVE_INFINITY;
  #order = 0;

  get nextAt(): number {
    this.#fill();
    const { items } = this.#near;
    return items.length > 0 ? items[0].at : Number.POSITIVE_INFINITY;
  }

  add(at: number, run: () => void): void {
    this.put({ at, order: 0, run });
  }

  /** Puts an item in, which gets its order. */
  put(item: Item): void {
    item.order = this.#order++;
    const millisecond = Math.floor(item.at);
    if (millisecond <= this.#until) {
      this.#near.add(item);
      return;
    }
    const others = this.#far.get(millisecond);
    if (others) others.push(item);
    else {
      this.#far.set(millisecond, [item]);
      this.#milliseconds.add(millisecond);
    }
  }

  take(): Item | undefined {
    this.#fill();
    return this.#near.take();
  }

  #fill(): void {
    while (this.#near.items.length === 0) {
      const next = this.#milliseconds.take();
      if (next === undefined) return;
      this.#until = next;
      // In order already, they make a heap as they are.
      const items = this.#far.get(next)!.sort((a, b) => a.at - b.at || a.order - b.order);
      this.#far.delete(next);
      for (const item of items) this.#near.items.push(item);
    }
  }
}
