/**
 * A Limit in real time: who waits is called when it is his turn.
 *
 * Owns the limit and its alarm clock. Always true: who is called has passed, and is called once; nobody is called within `take`.
 * Called by what sends (Outlet, Allowances) and what asks for bytes (Leave), all of one direction through one limiter.
 */
import type { Millis } from '../clock.js';
import { Limit } from '../transfer/limit.js';
import { Alarm } from './alarm.js';

export class Limiter {
  readonly #limit: Limit<() => void>;
  readonly #clock: () => Millis;
  readonly #alarm = new Alarm(() => this.#ring());

  /** @param rate bytes a second; Infinity for no limit */
  constructor(rate = Number.POSITIVE_INFINITY, clock: () => Millis = () => performance.now()) {
    this.#limit = new Limit(rate);
    this.#clock = clock;
  }

  /** Bytes a second; Infinity where there is no limit. */
  get rate(): number {
    return this.#limit.rate;
  }

  /** From now on, for those who wait too. */
  set rate(rate: number) {
    this.#limit.setRate(rate, this.#clock());
    this.#alarm.stop();
    this.#ring();
  }

  get isFree(): boolean {
    return this.#limit.isFree;
  }

  /** How many wait. */
  get waiting(): number {
    return this.#limit.waiting;
  }

  /** Whether these bytes may pass now; else `then` is called once they have leave to. `then` stands for who asks: one item each. */
  take(then: () => void, bytes: number): boolean {
    if (this.#limit.take(then, bytes, this.#clock())) return true;
    this.#set();
    return false;
  }

  /** Of what had leave, so many bytes do not pass: who waits may sooner. */
  give(bytes: number): void {
    this.#limit.give(bytes);
    this.#set();
  }

  /** So many bytes passed without leave. */
  owe(bytes: number): void {
    this.#limit.owe(bytes);
  }

  /** Who waits does so no more, and is not called. */
  leave(then: () => void): void {
    this.#limit.leave(then);
  }

  /** Lets those through whose time has come. */
  #ring(): void {
    for (let then = this.#limit.next(this.#clock()); then; then = this.#limit.next(this.#clock())) then();
    this.#set();
  }

  #set(): void {
    const at = this.#limit.dueAt;
    if (at !== undefined) this.#alarm.set(at);
    else this.#alarm.stop();
  }
}
