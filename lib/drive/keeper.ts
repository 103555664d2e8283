/**
 * Writes something that changes often, not at every change.
 * Owns the timer and the order of writes. Always true: of two writes the later one is on the disk in the end; after `stop` what
 * changed last is. Called by who owns what is written.
 */

/** What changes waits for more for so long, ms. */
const GATHER_MS = 1000;

export class Keeper {
  readonly #write: () => Promise<void>;
  readonly #failed: (error: unknown) => void;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();
  /** Whether that it fails was told. */
  #isTold = false;
  #stopped = false;

  /** @param failed told of the first of some writes that fail */
  constructor(write: () => Promise<void>, failed: (error: unknown) => void) {
    this.#write = write;
    this.#failed = failed;
  }

  /** Something changed. */
  soon(): void {
    if (this.#stopped) return;
    this.#timer ??= setTimeout(() => void this.#try(), GATHER_MS);
  }

  /** Writes now. @throws what writing throws */
  now(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const written = this.#writing.then(this.#write);
    this.#writing = written.catch(() => {});
    return written;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#try();
  }

  async #try(): Promise<void> {
    try {
      await this.now();
      this.#isTold = false;
    } catch (thrown) {
      if (!this.#isTold) this.#failed(thrown);
      this.#isTold = true;
    }
  }
}
