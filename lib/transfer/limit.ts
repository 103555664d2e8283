/**
 * A limit on bytes a second, for all who pass it together. Pure: a leaky bucket kept as one point in time (virtual scheduling).
 *
 * Owns when the bytes that passed until now are paid for, and who waits. Always true: in any time T no more passes than T × rate
 * and the larger of SPAN × rate and one item (and LATE × rate where the caller's clock rings late); who waits passes in the
 * order of asking, each with one item at a time; without a rate everything passes at once. Called by the Limiter.
 */
import type { Millis } from '../clock.js';

/** What may pass at once after a pause, as a time at the rate: enough that a timer's grain costs nothing, too little to see. */
const SPAN: Millis = 50;
/** What is not lost of the rate where who waits is let through later than he might have been, ms. */
const LATE: Millis = 50;
/** What passed without leave is paid for as far as this, as a time at the rate. */
const DEBT: Millis = 2000;

/** Leave to ask for bytes: what arrives is what was asked for, so a limit on what arrives is kept where it is asked. */
export interface Leave {
  /** Whether there is no limit now. */
  readonly isFree: boolean;
  /** Whether so many bytes may be asked for now; else a `timer` event follows once they may. */
  take(bytes: number): boolean;
  /** So many bytes that had leave are not going to come. */
  give(bytes: number): void;
  /** So many bytes came that had no leave. */
  owe(bytes: number): void;
}

/** Where there is no limit and will be none. */
export const FREE: Leave = { isFree: true, take: () => true, give: () => {}, owe: () => {} };

export class Limit<Who> {
  /** Bytes a second, and a millisecond. */
  #perSecond: number;
  #rate: number;
  /** When what has passed is paid for. */
  #paidAt: Millis = Number.NEGATIVE_INFINITY;
  /** Bytes that passed without leave, and are not paid for. */
  #owed = 0;
  /** Bytes of each who waits, in the order of asking. */
  readonly #waiting = new Map<Who, number>();

  /** @param rate bytes a second; Infinity for no limit */
  constructor(rate = Number.POSITIVE_INFINITY) {
    this.#perSecond = rate;
    this.#rate = rate / 1000;
  }

  /** Bytes a second; Infinity where there is no limit. */
  get rate(): number {
    return this.#perSecond;
  }

  /** Whether there is no limit. */
  get isFree(): boolean {
    return this.#rate === Number.POSITIVE_INFINITY;
  }

  /** How many wait. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Another rate, from now on: what is not paid for yet is paid for at this one. */
  setRate(rate: number, now: Millis): void {
    const before = this.#rate;
    this.#perSecond = rate;
    this.#rate = rate / 1000;
    const owed = Number.isFinite(before) ? Math.max(0, this.#paidAt - now) * before : 0;
    this.#paidAt = now + owed / this.#rate;
    this.#owed = this.isFree ? 0 : Math.min(this.#owed, DEBT * this.#rate);
  }

  /**
   * Asks for leave to pass.
   * @returns whether these bytes may pass now, and then they count as passed; else `next` names who asked once they may. Who waits
   *   already waits for what he asked for first.
   */
  take(who: Who, bytes: number, now: Millis): boolean {
    if (this.isFree) return true;
    if (this.#waiting.size > 0 || now < this.#due(bytes)) {
      if (!this.#waiting.has(who)) this.#waiting.set(who, bytes);
      return false;
    }
    this.#pay(now, bytes);
    return true;
  }

  /** Lets the first of those who wait through, if his time has come. */
  next(now: Millis): Who | undefined {
    for (const [who, bytes] of this.#waiting) {
      if (!this.isFree && now < this.#due(bytes)) return undefined;
      this.#waiting.delete(who);
      // He waited all the time since, so what the rate gave meanwhile is his.
      if (!this.isFree) this.#pay(now - LATE, bytes);
      return who;
    }
    return undefined;
  }

  /** When `next` names somebody; undefined where nobody waits. */
  get dueAt(): Millis | undefined {
    for (const bytes of this.#waiting.values()) return this.isFree ? Number.NEGATIVE_INFINITY : this.#due(bytes);
    return undefined;
  }

  /** Of what was let through, so many bytes do not pass after all. */
  give(bytes: number): void {
    if (!this.isFree) this.#paidAt -= bytes / this.#rate;
  }

  /**
   * So many bytes passed without leave. Half of the rate goes into what is owed, and not more: however much somebody sends that nobody
   * asked for, others go on.
   */
  owe(bytes: number): void {
    if (!this.isFree) this.#owed = Math.min(this.#owed + bytes, DEBT * this.#rate);
  }

  /** Who waits does so no more. */
  leave(who: Who): void {
    this.#waiting.delete(who);
  }

  /** @param from when it could pass at the earliest */
  #pay(from: Millis, bytes: number): void {
    const more = Math.min(this.#owed, bytes);
    this.#owed -= more;
    this.#paidAt = Math.max(this.#paidAt, from) + (bytes + more) / this.#rate;
  }

  #due(bytes: number): Millis {
    return this.#paidAt - Math.max(0, SPAN - bytes / this.#rate);
  }
}
