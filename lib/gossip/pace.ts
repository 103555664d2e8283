/** How often and how soon: every interval, delay and budget of gossip, as pure functions of numbers. */
import type { Millis, Random } from '../clock.js';

/** The shortest idle interval between heartbeats. */
const IDLE_MIN: Millis = 8000;
/** Bytes of one heartbeat with its UDP and IP headers, about. */
const HEARTBEAT_BYTES = 350;
/** Bytes a second that all heartbeats of a network together may cost. */
const BUDGET = 8000;

/** The first intervals after a change: whoever missed all tellings of it has four heartbeats within 3 s to hear of it. */
const QUICK: Millis = 500;
const QUICK_ROUNDS = 3;

/** A peer is suspect when silent for this many of its expected intervals; above the longest jitter (1.2). */
export const SILENCE = 1.3;
/** Probes of a suspect before it is gone, and the time between them. */
export const PROBES = 3;
export const PROBE_GAP: Millis = 1000;
/** A peer is taken to hear no multicast of ours when we heard none of its for this many intervals. */
export const DEAF = 2;

/**
 * The idle interval between heartbeats of one peer, so that the total of `peers` peers stays within a fixed budget: RTCP's
 * rule (RFC 3550, section 6.2).
 * @param peers live peers, oneself counted
 */
export function idleInterval(peers: number): Millis {
  return Math.max(IDLE_MIN, ((peers * HEARTBEAT_BYTES) / BUDGET) * 1000);
}

/** An interval spread over 0.8 to 1.2 of itself, so that peers do not fall into step. */
export function jittered(interval: Millis, random: Random): Millis {
  return interval * (0.8 + 0.4 * random());
}

/**
 * The intervals that follow a change: a few short ones, then doubling until it is idle again (Trickle, RFC 6206).
 * @param round 0 for the first heartbeat after the change
 */
export function quickInterval(round: number, peers: number): Millis {
  const idle = idleInterval(peers);
  const doublings = Math.max(0, round + 1 - QUICK_ROUNDS);
  return Math.min(idle, Math.max(QUICK, idle / 16) * 2 ** doublings);
}

/** The delay before a pull: so that many who hear of one change do not all ask its writer at once. */
export function pullDelay(peers: number, random: Random): Millis {
  return random() * (peers <= 8 ? 20 : Math.min(2000, 10 * peers));
}

/** The delay before the answer to a question that everyone heard. */
export function answerDelay(peers: number, random: Random): Millis {
  return random() * Math.min(500, peers * 2);
}

/** Within this an answer to a question that everyone heard is here: asked twice, as ever, and the answers spread. */
export function doubtDelay(peers: number): Millis {
  return 500 + Math.min(2000, 20 * peers);
}

/** Doubling from `first` to at most `most`. @param attempt 0 for the first */
export function backoff(attempt: number, first: Millis, most: Millis): Millis {
  return Math.min(most, first * 2 ** Math.min(attempt, 20));
}

/** How many of something are allowed: `rate` a second, `rate` at once. */
export class TokenBucket {
  readonly #rate: number;
  #tokens: number;
  #at: Millis = Number.NEGATIVE_INFINITY;

  constructor(rate: number) {
    this.#rate = rate;
    this.#tokens = rate;
  }

  /** Takes so many if there are as many. @param many no more than the rate */
  take(now: Millis, many = 1): boolean {
    if (now > this.#at) {
      this.#tokens = Math.min(this.#rate, this.#tokens + ((now - this.#at) * this.#rate) / 1000);
      this.#at = now;
    }
    if (this.#tokens < many) return false;
    this.#tokens -= many;
    return true;
  }
}
