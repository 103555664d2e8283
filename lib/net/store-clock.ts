/** The clock of a tracker's store, as a value, so that a test may have its own. */
import type { Millis } from '../clock.js';

export interface StoreClock {
  now(): Millis;
  /** Calls back again and again; the returned function ends it. */
  every(ms: Millis, then: () => void): () => void;
}

export const SYSTEM_CLOCK: StoreClock = {
  now: () => performance.now(),
  every(ms, then) {
    const timer = setInterval(then, ms);
    return () => clearInterval(timer);
  },
};
