/**
 * How many blocks to send over a link before some are acknowledged: enough that the link never runs dry, and few enough that what
 * is asked for meanwhile, a small file above all, does not wait behind seconds of a large one. The receiver asks for more than that; the rest
 * waits with the source, where smaller things pass it.
 *
 * Owns what was measured of one link. Always true: never less than LEAST, never more than UNACKED_MAX, which it is until blocks were
 * seen to wait somewhere. Called by the upload only.
 */
import type { Millis } from '../clock.js';
import { UNACKED_MAX } from '../limits.js';

/** Blocks beside those that the rate wants: one that is on its way and one behind it. */
const LEAST = 2;
/** What is added to the round trip: pauses of either side, and an acknowledgement that waits behind data of the other's. */
const SLACK: Millis = 40;
/** The rate is measured over at least so long, then smoothed. */
const SPAN: Millis = 100;

export class SendWindow {
  /** Blocks a millisecond, smoothed; 0 until it is known. */
  #rate = 0;
  /** Since when: the first acknowledgement has the way there and back before it, and counts for nothing; and how many followed. */
  #since: Millis | undefined;
  #count = 0;
  /** Least time from sending a block to its acknowledgement. */
  #least: Millis = Number.POSITIVE_INFINITY;
  /** Whether all came back so quickly that none can have waited for others: a long way is filled by its receiver's asking then. */
  #isOpen = true;

  /** A block is sent and no other is under way: the time until it is acknowledged counts for nothing. */
  begins(): void {
    this.#since = undefined;
    this.#count = 0;
  }

  /** A block was acknowledged. @param took since it was sent; undefined where it was sent more than once */
  acked(took: Millis | undefined, now: Millis): void {
    if (took !== undefined) {
      this.#least = Math.min(this.#least, took);
      if (took > 2 * this.#least + SLACK) this.#isOpen = false;
    }
    if (this.#since === undefined) {
      this.#since = now;
      return;
    }
    this.#count++;
    const span = now - this.#since;
    if (span < SPAN) return;
    const rate = this.#count / span;
    this.#rate += this.#rate === 0 ? rate : (rate - this.#rate) / 2;
    this.#since = now;
    this.#count = 0;
  }

  /** Blocks that may be unacknowledged. */
  get blocks(): number {
    if (this.#isOpen || this.#rate === 0) return UNACKED_MAX;
    // A block's own time on the wire is in the least; twice what remains lets the window grow where the way is long.
    const round = Math.max(0, this.#least - 1 / this.#rate);
    return Math.min(UNACKED_MAX, Math.round(LEAST + this.#rate * (2 * round + SLACK)));
  }
}
