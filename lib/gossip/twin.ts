/**
 * The twin: another machine that runs with a copy of my state folder, so that there are two of one key and one id.
 * Owns whether there is one, and where. Always true: nobody is accused before my own key has answered, from elsewhere, a nonce
 * that I drew. No nonce of my own is signed while it counts, so nobody can hand my question back to me and have me answer it.
 * Called by hearing.
 */
import type { Millis } from '../clock.js';
import { formatEndpoint } from '../endpoint.js';
import { Latest } from '../latest.js';
import type { Head } from '../wire/head.js';
import type { Context } from './context.js';
import type { Address } from './events.js';
import { TokenBucket } from './pace.js';

/** One address is not asked more often. */
const ASK_GAP: Millis = 10_000;
/** Addresses asked in a second, whoever sends my own words from wherever. */
const ASKS_PER_SECOND = 5;
const ASKED_MAX = 64;
/** After so long without a proof it is taken to have gone. */
const KEPT: Millis = 120_000;
/** A person is told again after so long, doubled up to the second. */
const WARN_FIRST: Millis = 60_000;
const WARN_MOST: Millis = 3_600_000;

export class Twin {
  readonly #context: Context;
  /** Bytes of my own heartbeat, for the size of questions. */
  readonly #heartbeatSize: () => number;
  readonly #budget = new TokenBucket(ASKS_PER_SECOND);
  readonly #asked = new Latest<string, Millis>(ASKED_MAX);
  #provedAt: Millis = Number.NEGATIVE_INFINITY;
  #warnedAt: Millis = Number.NEGATIVE_INFINITY;
  #warnGap = WARN_FIRST;

  constructor(context: Context, heartbeatSize: () => number) {
    this.#context = context;
    this.#heartbeatSize = heartbeatSize;
  }

  /** Whether one was there of late. */
  get isThere(): boolean {
    return this.#context.now - this.#provedAt < KEPT;
  }

  /**
   * My own words came by datagram. The driver keeps my own multicast from me, so somebody sends them again, or says them.
   * @param head checked
   */
  heard({ echo }: Head, from: Address): void {
    if (this.#context.nonces.serialOf(echo, this.#context.now) > 0) this.#proved(from);
    else this.#ask(from);
  }

  #ask(from: Address): void {
    const { now, settings } = this.#context;
    const place = formatEndpoint(from);
    if (now - (this.#asked.get(place) ?? Number.NEGATIVE_INFINITY) < ASK_GAP || !this.#budget.take(now)) return;
    this.#asked.set(place, now);
    this.#context.reply(from, this.#context.question(settings.id, this.#heartbeatSize(), true));
  }

  #proved({ host }: Address): void {
    const { now } = this.#context;
    this.#provedAt = now;
    if (now - this.#warnedAt < this.#warnGap) return;
    if (this.#warnedAt > Number.NEGATIVE_INFINITY) this.#warnGap = Math.min(WARN_MOST, 2 * this.#warnGap);
    this.#warnedAt = now;
    this.#context.warn(
      'state-in-use',
      `this peer and one at ${host} run with copies of one state folder, so that others take them for one peer and see the files ` +
        `of one only: on the machine to which the folder was copied, remove identity.json from it and start again, or use --state DIR`,
    );
  }
}
