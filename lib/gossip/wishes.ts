/**
 * Wishes: whose offers rounds want, and when each is to be asked for.
 * Owns them, in the places where they wait. Always true: a wish is held, as it is being asked for, or waits in exactly one place: to be
 * asked of its writer, of a relay now, or of a relay later. So a round looks at little more than it asks for, though a thousand
 * wait, as they do where a thousand start at one time. Called by rounds.
 */
import type { Millis } from '../clock.js';
import type { PeerId } from '../ids.js';
import type { Context } from './context.js';

export interface Wish {
  /** Relays that were asked in vain. */
  misses: number;
  notBefore: Millis;
  /** Asked for now, by a digest or a pull. */
  held: boolean;
  /** To be asked of its writer in this round. */
  direct: boolean;
  /** What followed did not fit: everything is asked for. */
  whole: boolean;
}

export class Wishes {
  readonly #context: Context;
  readonly #all = new Map<PeerId, Wish>();
  readonly #directs = new Set<PeerId>();
  readonly #ready = new Set<PeerId>();
  readonly #later = new Set<PeerId>();
  /** None of those that wait for later is due before. */
  #laterAt: Millis = Number.POSITIVE_INFINITY;

  constructor(context: Context) {
    this.#context = context;
  }

  get size(): number {
    return this.#all.size;
  }

  get(writer: PeerId): Wish | undefined {
    return this.#all.get(writer);
  }

  all(): Iterable<Wish> {
    return this.#all.values();
  }

  /** To be asked of the writers themselves, though perhaps not yet. They may be held or dropped while they are looked through. */
  directs(): Iterable<[PeerId, Wish]> {
    return this.#each(this.#directs);
  }

  /** To be asked of relays, now. The same. */
  ready(): Iterable<[PeerId, Wish]> {
    return this.#each(this.#ready);
  }

  *#each(writers: ReadonlySet<PeerId>): Generator<[PeerId, Wish], void, undefined> {
    for (const writer of writers) yield [writer, this.#all.get(writer)!];
  }

  add(writer: PeerId, wish: Wish): void {
    this.#all.set(writer, wish);
    this.wait(writer, wish);
  }

  /** It waits for its time, or for a relay that has some. */
  wait(writer: PeerId, wish: Wish): void {
    wish.held = false;
    this.#waitNoMore(writer);
    if (wish.direct) this.#directs.add(writer);
    else if (this.#context.isDue(wish.notBefore)) this.#ready.add(writer);
    else {
      this.#later.add(writer);
      this.#laterAt = Math.min(this.#laterAt, wish.notBefore);
    }
  }

  hold(writer: PeerId, wish: Wish): void {
    wish.held = true;
    this.#waitNoMore(writer);
  }

  drop(writer: PeerId): void {
    this.#all.delete(writer);
    this.#waitNoMore(writer);
  }

  #waitNoMore(writer: PeerId): void {
    this.#directs.delete(writer);
    this.#ready.delete(writer);
    this.#later.delete(writer);
  }

  /** Those whose time has come are ready. @returns when the next one's comes, or before */
  ripen(): Millis {
    if (!this.#context.isDue(this.#laterAt)) return this.#laterAt;
    this.#laterAt = Number.POSITIVE_INFINITY;
    for (const writer of this.#later) {
      const { notBefore } = this.#all.get(writer)!;
      if (!this.#context.isDue(notBefore)) this.#laterAt = Math.min(this.#laterAt, notBefore);
      else {
        this.#later.delete(writer);
        this.#ready.add(writer);
      }
    }
    return this.#laterAt;
  }

  /** The time of all has come. */
  hurry(): void {
    for (const wish of this.#all.values()) wish.notBefore = 0;
    this.#laterAt = 0;
  }
}
