/** A map that keeps the latest so many: where there is no room, what was set longest ago goes. */
export class Latest<K, V> extends Map<K, V> {
  readonly #most: number;
  /**
   * Stands before the oldest: to look for that from the beginning each time takes as long as the room that others left there. Not kept
   * for long, as an iterator that stands still keeps all that the map was since.
   */
  #oldest: Iterator<K> | undefined;
  /** How often something was set since. */
  #sets = 0;

  constructor(most: number) {
    super();
    this.#most = most;
  }

  override set(key: K, value: V): this {
    this.delete(key);
    if (++this.#sets > this.#most) {
      this.#oldest = undefined;
      this.#sets = 0;
    }
    if (this.size >= this.#most) this.#drop();
    return super.set(key, value);
  }

  #drop(): void {
    this.#oldest ??= this.keys();
    let next = this.#oldest.next();
    if (next.done) {
      this.#oldest = this.keys();
      next = this.#oldest.next();
    }
    if (!next.done) this.delete(next.value);
  }
}
