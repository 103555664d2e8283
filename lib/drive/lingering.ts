/**
 * What was received and is still given to its fellows, for a while.
 *
 * Owns the timers. Always true: at most INBOX_LINGERING_MAX linger, each for LINGER_MS at most; the first gives way to one more.
 * Called by the inbox.
 */
import { INBOX_LINGERING_MAX } from '../limits.js';
import type { Held } from './inbox-held.js';

/** Who has received something gives it to its fellows for so long at most, ms. */
const LINGER_MS = 10 * 60_000;

export class Lingering {
  readonly #timers = new Map<Held, NodeJS.Timeout>();
  readonly #over: (held: Held) => void;

  /** @param over called where one is to be let go of; it calls `delete` */
  constructor(over: (held: Held) => void) {
    this.#over = over;
  }

  add(held: Held): void {
    this.#timers.set(held, setTimeout(() => this.#over(held), LINGER_MS).unref());
    const [first] = this.#timers.keys();
    if (this.#timers.size > INBOX_LINGERING_MAX) this.#over(first);
  }

  delete(held: Held): void {
    clearTimeout(this.#timers.get(held));
    this.#timers.delete(held);
  }
}
