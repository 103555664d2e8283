/** Places for what may be under way at once, of which one host may have only some. Called by pulls. */
export class Places {
  readonly #most: number;
  readonly #mostOfOne: number;
  #taken = 0;
  readonly #byHost = new Map<string, number>();

  constructor(most: number, mostOfOne: number) {
    this.#most = most;
    this.#mostOfOne = mostOfOne;
  }

  get taken(): number {
    return this.#taken;
  }

  get isFull(): boolean {
    return this.#taken >= this.#most;
  }

  /** Whether a host has all that it may have. */
  isFullFor(host: string): boolean {
    return (this.#byHost.get(host) ?? 0) >= this.#mostOfOne;
  }

  take(host: string): void {
    this.#taken++;
    this.#byHost.set(host, (this.#byHost.get(host) ?? 0) + 1);
  }

  give(host: string): void {
    this.#taken--;
    const left = (this.#byHost.get(host) ?? 1) - 1;
    if (left > 0) this.#byHost.set(host, left);
    else this.#byHost.delete(host);
  }
}
