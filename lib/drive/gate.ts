/**
 * The way out that all links share: blocks pass it one after another, in the order in which their links came.
 *
 * Owns who waits. Always true: who waits passes, or its link has ended; one block at a time of each. Called by the server, before it reads
 * what it is to send.
 */
import { Uplink } from '../transfer/uplink.js';
import { Alarm } from './alarm.js';

export class Gate<Who> {
  readonly #uplink = new Uplink<Who>();
  /** In the order in which they came. */
  readonly #waiting = new Map<Who, () => void>();
  readonly #alarm = new Alarm(() => this.#release());

  /** Resolves when one more block may be sent to it: it counts as sent then, unless it is given back. */
  async pass(who: Who): Promise<void> {
    const now = performance.now();
    if (this.#waiting.size > 0 || !this.#uplink.mayPass(who, now)) {
      await new Promise<void>((resolve) => {
        this.#waiting.set(who, resolve);
        this.#watch(now);
      });
    } else this.#uplink.sent(who, now);
  }

  /** The block that passed last was not sent after all. */
  giveBack(who: Who): void {
    this.#uplink.unsent(who);
    this.#release();
  }

  /** So many blocks were acknowledged. */
  acked(who: Who, blocks: number): void {
    if (blocks > 0) this.#uplink.acked(who, blocks, performance.now());
    this.#release();
  }

  /** Its link has ended. */
  end(who: Who): void {
    this.#uplink.gone(who);
    const wake = this.#waiting.get(who);
    this.#waiting.delete(who);
    wake?.();
    this.#release();
  }

  stop(): void {
    this.#alarm.stop();
  }

  #release(): void {
    const now = performance.now();
    for (const [who, wake] of this.#waiting) {
      if (!this.#uplink.mayPass(who, now)) break;
      this.#waiting.delete(who);
      this.#uplink.sent(who, now);
      wake();
    }
    this.#watch(now);
  }

  #watch(now: number): void {
    const { dueAt } = this.#uplink;
    if (this.#waiting.size > 0 && dueAt !== undefined) this.#alarm.set(Math.max(now, dueAt));
  }
}
