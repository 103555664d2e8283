/**
 * Relays: the few peers that are asked for what all others have written.
 * Owns who they are. Always true: there are at most RELAYS, all live, drawn by chance, so that no peer is everybody's; one who
 * cannot be reached is left alone for a while, one who never has anything makes place for another.
 * Called by rounds.
 */
import type { Millis } from '../clock.js';
import type { PeerId } from '../ids.js';
import { Latest } from '../latest.js';
import type { Circle } from './circle.js';
import type { Context } from './context.js';
import type { Member } from './member.js';

/** How many there are: enough that what one lacks another has, and that news spreads by fours. */
export const RELAYS = 3;
/** Of so many drawn by chance the best are taken. */
const DRAWN = 12;
/** Connected ones that are drawn beside them. */
const LINKED = 4;
/** Connected ones among the relays: with more, those who are connected with each other would only ask each other. */
const LINKED_MOST = 2;
/** A peer that has told so many heartbeats has been here long enough. */
const BEATS = 16;
/** Questions in a row that one had nothing to answer to, before it makes place. */
const EMPTY_MOST = 3 * RELAYS;
/** One who could not be reached, or did not answer, is left alone for so long. */
const SHUNNED: Millis = 60_000;
const SHUNNED_MAX = 64;
/** Where there are too few, it is looked for more so often. */
const DRAW_GAP: Millis = 100;

interface Relay {
  id: PeerId;
  empty: number;
}

export class Relays {
  readonly #context: Context;
  readonly #circle: Circle;
  /** Those who are connected. */
  readonly #linked: () => ReadonlySet<PeerId>;
  readonly #shunned = new Latest<PeerId, Millis>(SHUNNED_MAX);
  #relays: Relay[] = [];
  /** When it was last looked for more. */
  #drawnAt: Millis = Number.NEGATIVE_INFINITY;

  constructor(context: Context, circle: Circle, linked: () => ReadonlySet<PeerId>) {
    this.#context = context;
    this.#circle = circle;
    this.#linked = linked;
  }

  /**
   * Whom to ask.
   * @param turn which of them comes first
   * @param isFree whether it may be asked now
   * @returns undefined where none may
   */
  at(turn: number, isFree: (relay: PeerId) => boolean): PeerId | undefined {
    if (this.#relays.length < RELAYS && this.#context.now - this.#drawnAt >= DRAW_GAP) this.#draw();
    const { length } = this.#relays;
    for (let i = 0; i < length; i++) {
      const { id } = this.#relays[(turn + i) % length];
      if (isFree(id)) return id;
    }
    return undefined;
  }

  /** How many there are now. */
  get count(): number {
    return this.#relays.length;
  }

  /** It had something. */
  served(relay: PeerId): void {
    const found = this.#relays.find(({ id }) => id === relay);
    if (found) found.empty = 0;
  }

  /** It had nothing. */
  missed(relay: PeerId): void {
    const found = this.#relays.find(({ id }) => id === relay);
    if (found && ++found.empty >= EMPTY_MOST) this.gone(relay);
  }

  /** It could not be reached, or did not answer. */
  failed(relay: PeerId): void {
    this.#shunned.set(relay, this.#context.now);
    this.gone(relay);
  }

  gone(relay: PeerId): void {
    if (!this.#relays.some(({ id }) => id === relay)) return;
    this.#drawnAt = Number.NEGATIVE_INFINITY;
    this.#relays = this.#relays.filter(({ id }) => id !== relay);
  }

  #draw(): void {
    this.#drawnAt = this.#context.now;
    const linked = this.#linked();
    const drawn = new Set<Member>();
    // Each of those seen so far is as likely to be among the drawn (Vitter's algorithm R).
    const places: Member[] = [];
    let seen = 0;
    for (const member of this.#circle.live()) {
      if (!this.#isUsable(member, linked)) continue;
      seen++;
      if (places.length < DRAWN) places.push(member);
      else {
        const place = Math.floor(this.#context.random() * seen);
        if (place < DRAWN) places[place] = member;
      }
    }
    for (const member of places) drawn.add(member);
    let more = LINKED;
    for (const id of linked) {
      const member = this.#circle.get(id);
      if (member?.state !== 'live' || !this.#isUsable(member, linked)) continue;
      if (more-- === 0) break;
      drawn.add(member);
    }
    const rank = ({ id, head }: Member) => (linked.has(id) ? BEATS + 1 : 0) + Math.min(head.beat, BEATS);
    const best = [...drawn].map((member) => ({ member, rank: rank(member) + this.#context.random() }));
    best.sort((a, b) => b.rank - a.rank);
    let links = this.#relays.filter(({ id }) => linked.has(id)).length;
    const some = best.filter(({ member }) => !linked.has(member.id) || ++links <= LINKED_MOST);
    // Where there are no others, those who are connected have to do.
    for (const { member } of new Set([...some, ...best])) {
      if (this.#relays.length < RELAYS) this.#relays.push({ id: member.id, empty: 0 });
    }
  }

  #isUsable({ id, addresses }: Member, linked: ReadonlySet<PeerId>): boolean {
    if (addresses.size === 0 && !linked.has(id)) return false;
    if (this.#context.now - (this.#shunned.get(id) ?? Number.NEGATIVE_INFINITY) < SHUNNED) return false;
    return !this.#relays.some((relay) => relay.id === id);
  }
}
