/**
 * When a file that changes may be offered: once it was still for 100 ms, and while it goes on changing not sooner after
 * the last time than 100 ms, 200, 400 and so on up to 5 s, so that a growing log does not fill the network with offers.
 * Owns what it knows of files that changed lately. Always true: it has no clock; times are handed in, milliseconds.
 * Called by the looks of a catalogue.
 */
import type { Millis } from '../clock.js';
import type { Signature } from './signature.js';

/** Still for so long before it is offered. */
export const STILL_MS = 100;
const FIRST_PACE_MS = 100;
const LAST_PACE_MS = 5000;
/** Forgotten when nothing happened for so long. */
const CALM_MS = 10_000;

interface State {
  signature: Signature;
  /** Seen with this signature since. */
  since: Millis;
  /** When to look again; 0 when there is no need to. */
  look: Millis;
  /** When it was last offered, and how long until it may be again. */
  offered: Millis;
  pace: number;
}

export class Settle {
  readonly #states = new Map<string, State>();

  /** Files that wait to be looked at again. */
  get waiting(): number {
    let count = 0;
    for (const state of this.#states.values()) if (state.look > 0) count++;
    return count;
  }

  /**
   * A file was seen in a state in which it is not offered yet.
   * @param changed when it was last written or moved, by the disk's clock
   * @returns whether it may be offered as it is; else it is due later
   */
  see(path: string, signature: Signature, changed: Millis, now: Millis): boolean {
    const state = this.#states.get(path);
    let since = state?.signature === signature ? state.since : now;
    // The disk's word counts, unless its clock goes ahead of ours.
    if (changed <= now) since = Math.min(since, changed);
    const ready = Math.max(since + STILL_MS, state ? state.offered + state.pace : 0);
    if (now < ready) {
      const { offered, pace } = state ?? { offered: 0, pace: 0 };
      this.#states.set(path, { signature, since, look: ready, offered, pace });
      return false;
    }
    const pace = state?.pace ? Math.min(2 * state.pace, LAST_PACE_MS) : FIRST_PACE_MS;
    if (state || now - changed < CALM_MS) {
      this.#states.set(path, { signature, since, look: 0, offered: now, pace });
    }
    return true;
  }

  /** The file is as it is offered, or it is gone: there is nothing to wait for. */
  calm(path: string): void {
    const state = this.#states.get(path);
    if (state) state.look = 0;
  }

  /** Nothing in a share is of interest any more. */
  forget(share: string): void {
    for (const path of this.#states.keys()) {
      if (path === share || path.startsWith(`${share}/`)) this.#states.delete(path);
    }
  }

  /** Whether a file will be looked at soon anyway. */
  isWaiting(path: string): boolean {
    return (this.#states.get(path)?.look ?? 0) > 0;
  }

  /** Files to look at now; each is named once. Forgets what has long been calm. */
  due(now: Millis): string[] {
    const due: string[] = [];
    for (const [path, state] of this.#states) {
      if (state.look > 0 && state.look <= now) {
        due.push(path);
        state.look = 0;
      } else if (state.look === 0 && now - Math.max(state.offered, state.since) > CALM_MS + state.pace) {
        this.#states.delete(path);
      }
    }
    return due;
  }

  /** When something is next due; undefined when nothing is. */
  next(): Millis | undefined {
    let next: Millis | undefined;
    for (const { look } of this.#states.values()) if (look > 0 && (next === undefined || look < next)) next = look;
    return next;
  }
}
