/**
 * One link's way through the limit on what this peer sends.
 *
 * Owns its place in the limiter's row. Always true: one item at a time; the other side is told now and then while it waits, so that
 * it does not take it for silence. Called by the server, before it reads what it is to send.
 */
import type { Limiter } from './limiter.js';

/** How often the other side is told that it has to wait, ms: well within the least time-out of its own. */
const TELL_MS = 400;

export class Outlet {
  readonly #limiter: Limiter;
  readonly #tell: () => void;
  /** Bytes that had leave, and whether they were let through by a limit. */
  #passed: number | undefined;
  #wake: (() => void) | undefined;
  #over = false;

  /** @param tell called every now and then while it waits */
  constructor(limiter: Limiter, tell: () => void) {
    this.#limiter = limiter;
    this.#tell = tell;
  }

  /** Whether there is nothing to wait for. */
  get isFree(): boolean {
    return this.#limiter.isFree;
  }

  /** Resolves when so many bytes may be sent, or it has ended. `settle` follows. */
  async pass(bytes: number): Promise<void> {
    this.#passed = bytes;
    if (this.#over || this.#limiter.take(this.#next, bytes)) return;
    const timer = setInterval(this.#tell, TELL_MS);
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    clearInterval(timer);
  }

  /** So many bytes were sent of what had leave. */
  settle(bytes: number): void {
    if (this.#passed === undefined || this.#over) return;
    const more = bytes - this.#passed;
    this.#passed = undefined;
    if (more > 0) this.#limiter.owe(more);
    else if (more < 0) this.#limiter.give(-more);
  }

  /** The link is gone. */
  end(): void {
    if (this.#over) return;
    this.#limiter.leave(this.#next);
    // What has passed already and was not sent is given back.
    if (!this.#wake) this.settle(0);
    this.#over = true;
    this.#next();
  }

  readonly #next = (): void => {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  };
}
