/**
 * Recall: peers that were here before, dialled where nothing else finds anybody.
 * Owns who is remembered, and when each is tried next. Always true: nobody is dialled before the ways by which everyone is asked
 * had their time and nobody new came of them; at most RECALLS_MAX are dialled at a time, each less and less often; at most
 * REMEMBERED_MAX are kept. Whoever answers has to prove the id: the driver sees to it.
 * Called by gossip.
 */
import type { Millis } from '../clock.js';
import type { PeerId } from '../ids.js';
import { RECALLS_MAX, REMEMBERED_MAX } from '../limits.js';
import type { Circle } from './circle.js';
import type { Context } from './context.js';
import type { Remembered } from './events.js';
import type { Links } from './links.js';
import { backoff } from './pace.js';

/** So long nobody new may have come. */
const PATIENCE: Millis = 2000;
/** A one-shot is over by then. */
const PATIENCE_PASSIVE: Millis = 1000;
/** One that did not answer is tried again after so long, at first and at most. */
const AGAIN_FIRST: Millis = 15_000;
const AGAIN_MOST: Millis = 15 * 60_000;
/** A dial that nothing came of counts as failed. */
const DIAL_TIMEOUT: Millis = 10_000;

interface Absent {
  addresses: string[];
  tries: number;
  /** Not before. */
  at: Millis;
  /** Until when a dial is under way, 0 if none is. */
  until: Millis;
}

export class Recall {
  readonly #context: Context;
  readonly #circle: Circle;
  readonly #links: Links;
  readonly #absent = new Map<PeerId, Absent>();
  #newsAt: Millis = Number.NEGATIVE_INFINITY;
  /** When its timer is due; another is stale. */
  #dueAt: Millis = Number.POSITIVE_INFINITY;
  #running = false;

  constructor(context: Context, circle: Circle, links: Links) {
    this.#context = context;
    this.#circle = circle;
    this.#links = links;
  }

  get size(): number {
    return this.#absent.size;
  }

  /** These were here before, those seen last first; of one that is known already, where it was. */
  remember(peers: readonly Remembered[]): void {
    const { now, settings } = this.#context;
    for (const { id, addresses } of peers) {
      if (id === settings.id || addresses.length === 0) continue;
      const known = this.#absent.get(id);
      if (known) known.addresses = [...addresses];
      else if (this.#absent.size < REMEMBERED_MAX) {
        // One that was here a moment ago, and went, has its time to come back by itself.
        const at = this.#running ? now + AGAIN_FIRST : 0;
        this.#absent.set(id, { addresses: [...addresses], tries: 0, at, until: 0 });
      }
    }
    if (this.#running) this.#plan();
  }

  forget(peer: PeerId): void {
    this.#absent.delete(peer);
  }

  /** Everyone is being asked from now on: where that finds nobody, all who are remembered are tried anew. */
  start(): void {
    this.#running = true;
    this.#newsAt = this.#context.now;
    for (const absent of this.#absent.values()) {
      absent.tries = 0;
      absent.at = 0;
    }
    this.#plan();
  }

  /** A peer came, by whatever way. */
  came(): void {
    this.#newsAt = this.#context.now;
  }

  due(): void {
    if (!this.#context.isDue(this.#dueAt)) return;
    this.#dueAt = Number.POSITIVE_INFINITY;
    const { now } = this.#context;
    let under = 0;
    for (const absent of this.#absent.values()) {
      // A dial of which nothing was heard any more.
      if (absent.until > 0 && this.#context.isDue(absent.until)) this.#again(absent);
      if (absent.until > 0) under++;
    }
    if (this.#context.isDue(this.#newsAt + this.#patience) && this.#isWanted) {
      for (const [id, absent] of this.#absent) {
        if (under >= RECALLS_MAX) break;
        if (absent.until > 0 || !this.#context.isDue(absent.at) || this.#isHere(id)) continue;
        absent.tries++;
        absent.until = now + DIAL_TIMEOUT;
        under++;
        this.#context.emit({ kind: 'dial', peer: id, addresses: absent.addresses });
      }
    }
    this.#plan();
  }

  /** A connection was made. @returns whether it is to one that was dialled from here */
  connected(peer: PeerId): boolean {
    const absent = this.#absent.get(peer);
    if (!absent) return false;
    const wasDialled = absent.until > 0;
    absent.until = 0;
    absent.tries = 0;
    return wasDialled;
  }

  failed(peer: PeerId): void {
    const absent = this.#absent.get(peer);
    if (!absent || absent.until === 0) return;
    this.#again(absent);
    this.#plan();
  }

  get #patience(): Millis {
    return this.#context.settings.passive ? PATIENCE_PASSIVE : PATIENCE;
  }

  /** A one-shot that found somebody has what it came for. */
  get #isWanted(): boolean {
    return !this.#context.settings.passive || this.#circle.live().size === 0;
  }

  #isHere(peer: PeerId): boolean {
    return this.#links.has(peer) || this.#circle.get(peer)?.state === 'live';
  }

  #again(absent: Absent): void {
    absent.until = 0;
    const wait = backoff(absent.tries - 1, AGAIN_FIRST, AGAIN_MOST);
    absent.at = this.#context.now + wait * (0.75 + 0.5 * this.#context.random());
  }

  /** Sets the timer for whoever is next. */
  #plan(): void {
    const { now } = this.#context;
    let under = 0;
    let next = Number.POSITIVE_INFINITY;
    let ends = Number.POSITIVE_INFINITY;
    for (const [id, absent] of this.#absent) {
      if (absent.until > 0) {
        under++;
        ends = Math.min(ends, absent.until);
      } else if (!this.#isHere(id)) next = Math.min(next, absent.at);
    }
    const isFull = under >= RECALLS_MAX || !this.#isWanted;
    next = Math.min(ends, isFull ? ends : Math.max(next, this.#newsAt + this.#patience));
    // Who is here now may be gone by then: it is looked again, though not often.
    if (this.#absent.size > 0) next = Math.min(next, now + AGAIN_MOST);
    if (!Number.isFinite(next) || next >= this.#dueAt - 1) return;
    this.#dueAt = this.#context.after(Math.max(0, next - now), { kind: 'recall' });
  }
}
