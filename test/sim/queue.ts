/** Things to do at moments of a virtual clock, earliest first; of the same moment, in the order in which they came. */
export class Queue {
  /** A binary heap. */
  readonly #items: { at: number; order: number; run: () => void }[] = [];
  #order = 0;

  get nextAt(): number {
    return this.#items.length > 0 ? this.#items[0].at : Number.POSITIVE_INFINITY;
  }

  add(at: number, run: () => void): void {
    const items = this.#items;
    items.push({ at, order: this.#order++, run });
    let i = items.length - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!this.#isBefore(i, parent)) break;
      [items[i], items[parent]] = [items[parent], items[i]];
      i = parent;
    }
  }

  take(): { at: number; run: () => void } | undefined {
    const items = this.#items;
    const first = items[0];
    const last = items.pop();
    if (!first || !last || items.length === 0) return first;
    items[0] = last;
    for (let i = 0; ; ) {
      let least = i;
      for (const child of [2 * i + 1, 2 * i + 2])
        if (child < items.length && this.#isBefore(child, least)) least = child;
      if (least === i) return first;
      [items[i], items[least]] = [items[least], items[i]];
      i = least;
    }
  }

  #isBefore(i: number, j: number): boolean {
    const [a, b] = [this.#items[i], this.#items[j]];
    return a.at < b.at || (a.at === b.at && a.order < b.order);
  }
}
