/**
 * How many blocks to have under way over all links together: enough that this machine's own link never runs dry, and few enough that what is
 * said over each of them meanwhile, requests above all, does not wait behind seconds of data. A window for each link alone would fill the
 * way out once for each receiver.
 *
 * Owns what was sent and not acknowledged, by receiver. Always true: one who is the only one to be sent anything is not held up here; what
 * was not acknowledged for STUCK holds up nobody, so that a slow receiver costs the others nothing; of one receiver no more than
 * UNACKED_MAX are remembered. Called by the server's driver.
 */
import type { Millis } from '../clock.js';
import { UNACKED_MAX } from '../limits.js';

/** Blocks beside those that the rate wants. */
const LEAST = 2;
/** What is under way at the rate of all links together, ms: pauses of either side, and an acknowledgement that waits behind data. */
const SPAN: Millis = 80;
const STUCK: Millis = 500;
/** The rate is measured over at least so long, then smoothed. */
const MEASURE: Millis = 100;

interface Sent {
  at: Millis;
  counts: boolean;
}

export class Uplink<Who> {
  readonly #sent = new Map<Who, Sent[]>();
  /** Those that count, and what they are of each; the oldest first, those acknowledged among them. */
  readonly #order = new Set<{ who: Who; sent: Sent }>();
  #counted = 0;
  readonly #countedOf = new Map<Who, number>();
  /** Blocks a millisecond. */
  #rate = 0;
  #since: Millis = 0;
  #count = 0;

  /** Whether a block may be sent to one now. */
  mayPass(who: Who, now: Millis): boolean {
    this.#expire(now);
    if (this.#counted === (this.#countedOf.get(who) ?? 0)) return true;
    return this.#counted < LEAST + this.#rate * SPAN;
  }

  /** When it may be so at the latest, where nothing is acknowledged. */
  get dueAt(): Millis | undefined {
    for (const { sent } of this.#order) return sent.at + STUCK;
    return undefined;
  }

  /** Blocks that were sent to one and are remembered. */
  underWay(who: Who): number {
    return this.#sent.get(who)?.length ?? 0;
  }

  sent(who: Who, now: Millis): void {
    if (this.#counted === 0) {
      this.#since = now;
      this.#count = 0;
    }
    const sent = { at: now, counts: true };
    const all = this.#sent.get(who) ?? [];
    this.#sent.set(who, all);
    all.push(sent);
    this.#order.add({ who, sent });
    this.#add(who, 1);
    // One who asks again and again, and acknowledges nothing, is sent more than a link may have unacknowledged.
    const oldest = all.length > UNACKED_MAX ? all.shift() : undefined;
    if (oldest) this.#settle(who, oldest);
  }

  /** The one that was sent last was not. */
  unsent(who: Who): void {
    const all = this.#sent.get(who);
    const sent = all?.pop();
    if (sent) this.#settle(who, sent);
    if (all?.length === 0) this.#sent.delete(who);
  }

  /** So many blocks that were sent to it have arrived, the oldest. */
  acked(who: Who, blocks: number, now: Millis): void {
    const all = this.#sent.get(who) ?? [];
    for (const sent of all.splice(0, blocks)) this.#settle(who, sent);
    if (all.length === 0) this.#sent.delete(who);
    this.#expire(now);
    this.#count += blocks;
    const span = now - this.#since;
    if (span < MEASURE) return;
    this.#rate += this.#rate === 0 ? this.#count / span : (this.#count / span - this.#rate) / 2;
    this.#since = now;
    this.#count = 0;
  }

  /** Nothing of it is under way any more. */
  gone(who: Who): void {
    for (const sent of this.#sent.get(who) ?? []) this.#settle(who, sent);
    this.#sent.delete(who);
  }

  #add(who: Who, by: 1 | -1): void {
    this.#counted += by;
    const count = (this.#countedOf.get(who) ?? 0) + by;
    if (count === 0) this.#countedOf.delete(who);
    else this.#countedOf.set(who, count);
  }

  #settle(who: Who, sent: Sent): void {
    if (!sent.counts) return;
    sent.counts = false;
    this.#add(who, -1);
  }

  #expire(now: Millis): void {
    for (const one of this.#order) {
      if (one.sent.counts && one.sent.at + STUCK > now) return;
      this.#order.delete(one);
      this.#settle(one.who, one.sent);
    }
  }
}
