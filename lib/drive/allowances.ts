/**
 * What a relay allows those who send through it, at the pace of the limit on what it sends itself: what it passes on is what it
 * allowed before.
 *
 * Owns the allowances that wait. Always true: the first of each side of a tunnel goes at once, as a tunnel opens by it; there is at most
 * one entry for each side of a tunnel that is open. Called by Tunnels.
 */
import { BLOCK } from '../limits.js';
import type { Link } from '../net/link.js';
import type { MessageOf } from '../wire/table.js';
import type { Limiter } from './limiter.js';

/** One side of a tunnel: bytes that it is to be allowed yet. */
interface Side {
  bytes: number;
  /** Asked of the limiter, where it waits for leave. */
  asked: number;
  next(): void;
}

export class Allowances {
  readonly #limiter: Limiter;
  readonly #byLink = new Map<Link, Map<string, Side>>();

  constructor(limiter: Limiter) {
    this.#limiter = limiter;
  }

  /** Sides of tunnels that are known. */
  get size(): number {
    let all = 0;
    for (const { size } of this.#byLink.values()) all += size;
    return all;
  }

  /** Says to one side of a tunnel how much more it may send: now, or bit by bit. */
  allow(link: Link, message: MessageOf<'w'>): void {
    const { number, opener, bytes } = message;
    const sides = this.#byLink.get(link) ?? new Map<string, Side>();
    this.#byLink.set(link, sides);
    const key = keyOf(number, opener);
    const side = sides.get(key);
    if (!side) {
      const fresh: Side = { bytes: 0, asked: 0, next: () => this.#passed(link, number, opener, fresh) };
      sides.set(key, fresh);
      this.#limiter.owe(bytes);
      link.send(message);
      return;
    }
    side.bytes += bytes;
    this.#go(link, number, opener, side);
  }

  /** A side of a tunnel has ended. */
  ended(link: Link, number: number, opener: boolean): void {
    const sides = this.#byLink.get(link);
    const side = sides?.get(keyOf(number, opener));
    if (!sides || !side) return;
    this.#limiter.leave(side.next);
    sides.delete(keyOf(number, opener));
    if (sides.size === 0) this.#byLink.delete(link);
  }

  linkClosed(link: Link): void {
    for (const side of this.#byLink.get(link)?.values() ?? []) this.#limiter.leave(side.next);
    this.#byLink.delete(link);
  }

  #go(link: Link, number: number, opener: boolean, side: Side): void {
    while (side.asked === 0 && side.bytes > 0) {
      const bytes = Math.min(side.bytes, BLOCK);
      if (!this.#limiter.take(side.next, bytes)) {
        side.asked = bytes;
        return;
      }
      side.bytes -= bytes;
      link.send({ type: 'w', number, opener, bytes });
    }
  }

  #passed(link: Link, number: number, opener: boolean, side: Side): void {
    const bytes = side.asked;
    side.asked = 0;
    side.bytes -= bytes;
    link.send({ type: 'w', number, opener, bytes });
    this.#go(link, number, opener, side);
  }
}

function keyOf(number: number, opener: boolean): string {
  return `${opener ? 'ours' : 'theirs'} ${number}`;
}
