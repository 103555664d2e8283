/**
 * How often and how soon: every interval, delay and budget of gossip, as pure functions of numbers.
 *
 * All heartbeats of a network together cost the same however many peers there are (RTCP's rule, RFC 3550, section 6.2): each waits
 * the longer the more there are. What follows from one peer's coming, or its silence, is said by some few of those who could say it,
 * chosen by chance: each does with a probability of so many out of all.
 */
import type { Millis, Random } from '../clock.js';

/** The shortest idle interval between heartbeats. */
const IDLE_MIN: Millis = 8000;
/** Bytes of a heartbeat beside its head: signature, envelope, UDP and IP. */
export const AROUND_HEAD = 64 + 20 + 28;
/** Bytes a second that all heartbeats of a network together may cost, a little below what is promised (8,000), as chance goes both ways. */
const BUDGET = 7600;
/** The same of one peer alone, below 45. */
const BUDGET_OF_ONE = 44;

/** The first intervals after a change: whoever missed all tellings of it has four heartbeats within 3 s to hear of it. */
const QUICK: Millis = 500;
const QUICK_ROUNDS = 3;

/** A peer is suspect when silent for this many of its expected intervals; above the longest jitter (1.1). */
export const SILENCE = 1.2;
/**
 * Questions to a suspect before it is called missing, and the time between them: where 30 % are lost, one in two gets its answer, and
 * one suspect in 10,000 answers none of so many.
 */
export const PROBES = 13;
export const PROBE_GAP: Millis = 220;
/** One of so many questions is multicast, so that all others see that somebody asks; the suspect's answer is for all too. */
export const PROBE_ALOUD = 4;
/** Peers that ask a suspect, on average, where there are more: that nobody does happens once in 400 times. */
const PROBERS = 6;
/** A silent peer is asked by one whom it was not given to for so long, in intervals, whoever else should have. */
export const PATIENCE = 6;
/** One that was called missing is gone after so long, unless it speaks up. */
export const GRACE: Millis = 600;
/** That a peer is missing is said at once, and again after these. */
export const MISSING_AGAIN: readonly Millis[] = [300, 800];

/** Answers to one question of a stranger, and questions to one who is new, of all peers together, in a second; and of one peer at least. */
const TOGETHER = 2000;
const EACH = 4;
/** So many are answered, or asked, at once by each. */
export const AT_ONCE = 40;

/** Bytes a second that all may cost together who start at one time, ten times what the idle ones do. */
const STORM = 10 * BUDGET;

/**
 * The idle interval between heartbeats of one peer.
 * @param peers live peers, oneself counted
 * @param mean bytes of a heartbeat of theirs, on average
 * @param own bytes of this one's
 */
export function idleInterval(peers: number, mean: number, own = mean): Millis {
  return Math.max(IDLE_MIN, (peers * mean * 1000) / BUDGET, (own * 1000) / BUDGET_OF_ONE);
}

/** A factor from 0.9 to 1.1 by which an interval is spread, so that peers do not fall into step. */
export function jitter(random: Random): number {
  return 0.9 + 0.2 * random();
}

/**
 * The intervals that follow a change: a few short ones, then doubling until it is idle again (Trickle, RFC 6206).
 * @param round 0 for the first heartbeat after the change
 * @param idle the idle interval
 */
export function quickInterval(round: number, idle: Millis): Millis {
  const doublings = Math.max(0, round + 1 - QUICK_ROUNDS);
  return Math.min(idle, Math.max(QUICK, idle / 16) * 2 ** doublings);
}

/**
 * How long the heartbeat after the first waits, of one who starts when so many others do.
 * @param others who were heard to start, or were found
 * @param mean bytes of a heartbeat
 */
export function stormInterval(others: number, mean: number): Millis {
  return (others * mean * 1000) / STORM;
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

/** How many intervals a peer is not heard by multicast, where a third is lost, before one of so many is taken to be out of its reach. */
export function deafIntervals(peers: number): number {
  return 2 + Math.floor(Math.log2(Math.max(1, peers)) / 2);
}

/** Whether it is for this peer to ask a suspect, one of so many who miss it. */
export function isProber(peers: number, random: Random): boolean {
  return random() * peers < PROBERS;
}

/** The delay before the first question to a suspect, so that one of those who ask is the first. */
export function probeDelay(peers: number, random: Random): Millis {
  return random() * Math.min(1000, 15 * peers);
}

/** How many questions of strangers one of so many answers, and how many new ones it asks, in a second. */
export function shareOf(peers: number): number {
  return Math.max(EACH, TOGETHER / peers);
}

/** Doubling from `first` to at most `most`. @param attempt 0 for the first */
export function backoff(attempt: number, first: Millis, most: Millis): Millis {
  return Math.min(most, first * 2 ** Math.min(attempt, 20));
}

/** How many of something are allowed: `rate` a second, `burst` at once. */
export class TokenBucket {
  readonly #rate: number;
  readonly #burst: number;
  #tokens: number;
  #at: Millis = Number.NEGATIVE_INFINITY;

  constructor(rate: number, burst = rate) {
    this.#rate = rate;
    this.#burst = burst;
    this.#tokens = burst;
  }

  /** Takes so many if there are as many. @param many no more than the burst @param rate where it is another now */
  take(now: Millis, many = 1, rate = this.#rate): boolean {
    if (now > this.#at) {
      this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#at) * rate) / 1000);
      this.#at = now;
    }
    if (this.#tokens < many) return false;
    this.#tokens -= many;
    return true;
  }
}
