/**
 * Things that wait, by those who brought them: one of each is taken in turn, so that who brings many holds up nobody else.
 * Owns what waits. Always true: no owner is kept without anything of it; of one owner's the oldest is taken first.
 */
export class FairQueue<T, Owner = string> {
  /** The owner whose turn is next first. */
  readonly #waiting = new Map<Owner, Set<T>>();
  #size = 0;

  /** How many wait. */
  get size(): number {
    return this.#size;
  }

  /** Whether something of this owner waits. */
  has(owner: Owner): boolean {
    return this.#waiting.has(owner);
  }

  /** How much of this owner waits. */
  countOf(owner: Owner): number {
    return this.#waiting.get(owner)?.size ?? 0;
  }

  /** The owner of whom most waits, where anything does. */
  largest(): Owner | undefined {
    let found: Owner | undefined;
    let most = 0;
    for (const [owner, { size }] of this.#waiting) if (size > most) [found, most] = [owner, size];
    return found;
  }

  /** Whether something waits of an owner for whom this is true. */
  some(may: (owner: Owner) => boolean): boolean {
    for (const owner of this.#waiting.keys()) if (may(owner)) return true;
    return false;
  }

  add(owner: Owner, item: T): void {
    const all = this.#waiting.get(owner) ?? new Set<T>();
    if (all.has(item)) return;
    all.add(item);
    this.#waiting.set(owner, all);
    this.#size++;
  }

  /**
   * Takes the oldest of the owner whose turn it is.
   * @param may passes over those owners for whom it is false
   */
  take(may: (owner: Owner) => boolean = () => true): T | undefined {
    for (const [owner, all] of this.#waiting) {
      if (!may(owner)) continue;
      for (const item of all) {
        this.remove(owner, item);
        if (this.#waiting.delete(owner)) this.#waiting.set(owner, all);
        return item;
      }
    }
    return undefined;
  }

  /** Takes one out. @returns whether it was there */
  remove(owner: Owner, item: T): boolean {
    const all = this.#waiting.get(owner);
    if (!all?.delete(item)) return false;
    this.#size--;
    if (all.size === 0) this.#waiting.delete(owner);
    return true;
  }

  clear(): void {
    this.#waiting.clear();
    this.#size = 0;
  }
}
