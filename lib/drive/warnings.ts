/**
 * Warnings that others can cause: a few of each kind are told, the rest are counted.
 *
 * Owns how many of each code were told lately. Always true: at most WARNINGS_TOLD_MAX of one code within WARNINGS_TOLD_MS, so that nobody
 * fills a log or a screen from afar; what was left out is said with the next. Called by the peer.
 */
import type { Millis } from '../clock.js';
import { WARNINGS_TOLD_MAX, WARNINGS_TOLD_MS } from '../limits.js';

interface Lately {
  since: Millis;
  told: number;
  left: number;
}

export class Warnings {
  readonly #tell: (message: string) => void;
  /** By code, of which there are only ours. */
  readonly #lately = new Map<string, Lately>();

  constructor(tell: (message: string) => void) {
    this.#tell = tell;
  }

  take(code: string, message: string, now: Millis): void {
    let lately = this.#lately.get(code);
    if (!lately || now - lately.since >= WARNINGS_TOLD_MS) {
      const left = lately?.left ?? 0;
      lately = { since: now, told: 0, left: 0 };
      this.#lately.set(code, lately);
      if (left > 0) message += ` (and ${left} more like it, left out)`;
    }
    if (lately.told >= WARNINGS_TOLD_MAX) {
      lately.left++;
      return;
    }
    lately.told++;
    this.#tell(message);
  }
}
