/**
 * The roll call: who is here, of those that I have not heard.
 *
 * Among many peers on a network that loses datagrams, somebody is always missed by somebody for a while: of forty thousand pairs
 * some are unlucky many times. So who began a moment ago says to a peer that it is connected with whom it knows, four bytes for each,
 * and is told of some that are missing (the reconciliation of Scuttlebutt, for the list of peers). They are hints, and are dialled.
 *
 * Owns when the next is due, and whom was answered lately. Always true: none is made among few, and none any more once two in a row
 * brought nobody new; an answer names a bounded number, and the same peer is answered only every other second.
 * Called by gossip: `start` when I begin, `due` by its timer, `asked` and `told` for what others say.
 */
import type { Millis } from '../clock.js';
import type { PeerId } from '../ids.js';
import { Latest } from '../latest.js';
import { ASKERS_MAX, PEERS_MAX } from '../limits.js';
import { TRACKER } from '../wire/head.js';
import type { Circle } from './circle.js';
import type { Context } from './context.js';
import type { Links } from './links.js';
import { addressesOf, type Member } from './member.js';
import { FEW } from './pulls.js';

/** The first, from the start: by then most have been heard. */
const FIRST: Millis = 4000;
/** The next where one brought somebody, or nobody is connected yet. */
const AGAIN: Millis = 3000;
/** And where it brought nobody. */
const LATER: Millis = 10_000;
/** So many in a row that brought nobody are enough. */
const ENOUGH = 2;
/** Bytes of a mark. */
const MARK = 4;
/** Named in one answer: those who ask dial them. */
export const NAMED_MAX = 32;
/** The same peer is answered after so long. */
const ANSWER_GAP: Millis = 2000;

/** The first bytes of a key: keys are evenly spread, so that of ten thousand few share theirs, and who does is only not named. */
function markOf(key: Uint8Array): number {
  return Buffer.from(key.buffer, key.byteOffset, MARK).readUInt32BE();
}

export class RollCall {
  readonly #context: Context;
  readonly #circle: Circle;
  readonly #links: Links;
  readonly #answered = new Latest<PeerId, Millis>(ASKERS_MAX);
  #dueAt: Millis = Number.POSITIVE_INFINITY;
  /** How many in a row brought nobody; the present one has not brought anybody yet. */
  #inVain = 0;

  constructor(context: Context, circle: Circle, links: Links) {
    this.#context = context;
    this.#circle = circle;
    this.#links = links;
  }

  /** I begin, or may have missed much. */
  start(): void {
    if (this.#context.asksOnly || this.#context.settings.tracker) return;
    this.#inVain = 0;
    this.#in(FIRST);
  }

  due(): void {
    if (!this.#context.isDue(this.#dueAt)) return;
    if (this.#circle.size <= FEW) return;
    if (this.#inVain >= ENOUGH) return;
    const whom = this.#anyone();
    if (!whom) {
      this.#in(AGAIN);
      return;
    }
    this.#inVain++;
    this.#context.tell(whom, { type: 'j', marks: this.#marks() });
    this.#in(LATER);
  }

  /** Somebody was told of, who was not known to be here. */
  told(): void {
    if (this.#inVain === 0) return;
    this.#inVain = 0;
    this.#in(AGAIN);
  }

  /** A peer says whom it knows: it is told of some that it does not. */
  asked(peer: PeerId, marks: Uint8Array): void {
    const { now, settings } = this.#context;
    if (settings.passive || settings.tracker || this.#circle.get(peer)?.state !== 'live') return;
    if (now - (this.#answered.get(peer) ?? Number.NEGATIVE_INFINITY) < ANSWER_GAP) return;
    this.#answered.set(peer, now);
    const known = new Set<number>();
    const view = Buffer.from(marks.buffer, marks.byteOffset, marks.length);
    for (let at = 0; at + MARK <= view.length; at += MARK) known.add(view.readUInt32BE(at));
    const missing: Member[] = [];
    for (const member of this.#circle.live()) if (!known.has(markOf(member.head.key))) missing.push(member);
    this.#links.name(peer, missing, NAMED_MAX);
  }

  /** One of those who are connected, by chance; where there is none, somebody is dialled. */
  #anyone(): PeerId | undefined {
    const { random } = this.#context;
    const linked: PeerId[] = [];
    for (const id of this.#links.linked) {
      const member = this.#circle.get(id);
      if (member?.state === 'live' && (member.head.flags & TRACKER) === 0) linked.push(id);
    }
    if (linked.length > 0) return linked[Math.floor(random() * linked.length)];
    let seen = 0;
    let one: Member | undefined;
    for (const member of this.#circle.live()) {
      if (addressesOf(member).length > 0 && random() * ++seen < 1) one = member;
    }
    if (one) this.#links.dial(one);
    return undefined;
  }

  #marks(): Uint8Array {
    const live = this.#circle.live();
    const marks = Buffer.alloc(MARK * Math.min(PEERS_MAX, live.size + 1));
    marks.writeUInt32BE(markOf(this.#context.settings.key));
    let at = MARK;
    for (const { head } of live) {
      if (at >= marks.length) break;
      marks.writeUInt32BE(markOf(head.key), at);
      at += MARK;
    }
    return marks;
  }

  #in(delay: Millis): void {
    this.#dueAt = this.#context.after(delay * (1 + 0.5 * this.#context.random()), { kind: 'roll-call' });
  }
}
