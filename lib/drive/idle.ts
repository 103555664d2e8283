/**
 * Idle links: those that we dialled and nobody has used for a while are closed; peers that hear each other need none.
 *
 * Owns when something was last asked or served over a link, as far as it was looked. Always true: no link is closed over which
 * something is under way, or that somebody needs. Called by the peer, now and then.
 */

import type { Millis } from '../clock.js';
import { HearsayError } from '../errors.js';
import type { Link } from '../net/link.js';

/** After how long without use a link is closed. */
const IDLE_CLOSE: Millis = 60_000;

export interface IdleOptions {
  links(): Iterable<Link>;
  /** Whether something is asked or served over it just now. */
  isBusy(link: Link): boolean;
  /** Whether it is kept although nobody uses it, by those who need only such as nobody passes on, and by those who need any. */
  needsDirect(link: Link): boolean;
  needs(link: Link): boolean;
}

export class Idle {
  readonly #options: IdleOptions;
  readonly #busyAt = new WeakMap<Link, Millis>();

  constructor(options: IdleOptions) {
    this.#options = options;
  }

  look(now: Millis): void {
    const { links, isBusy, needsDirect, needs } = this.#options;
    for (const link of [...links()]) {
      if (isBusy(link)) {
        this.#busyAt.set(link, now);
        continue;
      }
      // Where one is passed on by another, a word now and then is no use that it is kept for.
      const since = link.tunnelled ? (this.#busyAt.get(link) ?? link.openedAt) : link.dialled ? link.usedAt : now;
      if (now - since < IDLE_CLOSE) continue;
      if ((!link.tunnelled && needsDirect(link)) || needs(link)) continue;
      link.close(new HearsayError('cancelled', 'nobody uses this connection'));
    }
  }
}
