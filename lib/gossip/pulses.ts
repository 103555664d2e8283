/**
 * Pulses: how one heartbeat shows to everybody at once that its writer is alive.
 *
 * An answer to a nonce convinces the one who asked; a thousand who start at one time would have to ask a million times. But nobody
 * can know how another's next heartbeat will be signed. So a heartbeat repeats, where it has no nonce to answer, the first bytes of
 * the signature of another's latest one: a pulse. Whoever heard that other's heartbeat too, and knows that other to be alive, sees
 * that these words were said since. Of those who are here the four with the lowest ids are repeated, so that they are few whom
 * everybody has to ask with a nonce; the rest follows from their pulses. What a member could do who helps to deceive, by signing
 * ahead what somebody is to repeat later, is to have a dead peer listed until its silence is noticed.
 *
 * Owns the heartbeats heard lately. Always true: a pulse counts while its writer is live, and only if it was said after all that the
 * writer said before; what repeats it shows nothing for one who was buried after it was heard; no more than PULSES_MAX are kept.
 * Called by hearing and by the announcer.
 */
import type { Millis } from '../clock.js';
import type { PeerId } from '../ids.js';
import { Latest } from '../latest.js';
import { PULSES_MAX } from '../limits.js';
import type { Head } from '../wire/head.js';
import { type Circle, isLater } from './circle.js';
import type { Context } from './context.js';
import type { Address } from './events.js';
import { FEW, LEADERS, type Member } from './member.js';
import { isRepeated, keyAt, REPEATED } from './repeated.js';

const NONE = new Uint8Array(0);
/** A pulse is repeated, and counts, for so many intervals. */
const KEPT = 2;

interface Pulse {
  writer: PeerId;
  head: Head;
  /** The signature, which begins with the pulse. */
  sig: Uint8Array;
  /** When it was first heard. */
  at: Millis;
  /** Whether its writer was shown to be alive after it had said this. */
  counts: boolean;
  /** Those who repeated it before it counted. */
  awaited: Set<Member> | undefined;
}

/** Words that are shown to be fresh once a pulse counts. */
export interface Waiting {
  member: Member;
  head: Head;
  from: Address;
}

export class Pulses {
  readonly #context: Context;
  readonly #circle: Circle;
  readonly #kept = new Latest<number, Pulse>(PULSES_MAX);
  /** The newest of each writer that does not count yet. */
  readonly #open = new Latest<PeerId, Pulse>(PULSES_MAX);
  readonly #waiting = new Latest<PeerId, Waiting & { pulse: Pulse }>(PULSES_MAX);

  constructor(context: Context, circle: Circle) {
    this.#context = context;
    this.#circle = circle;
  }

  /** A peer was heard by multicast. @param isNews whether it is live, and these words are later than all before */
  heard(member: Member, head: Head, sig: Uint8Array, isNews: boolean): void {
    // A copy by another way, or a later one, does not make it newer.
    if (this.#find(sig) || (member.state === 'live' && !isNews)) return;
    const pulse: Pulse = { writer: member.id, head, sig, at: this.#context.now, counts: isNews, awaited: undefined };
    this.#kept.set(keyAt(sig), pulse);
    if (!isNews) this.#open.set(member.id, pulse);
  }

  /** What my next heartbeat repeats; nothing where there are so few that they ask each other. */
  get echo(): Uint8Array {
    if (this.#circle.known < FEW) return NONE;
    const since = this.#since;
    /** The newest of those with the lowest ids, in the order of these. */
    const lowest: Pulse[] = [];
    for (const pulse of this.#kept.values()) {
      const { writer, at, counts } = pulse;
      if (!counts || at < since || (lowest.length === LEADERS && writer > lowest[LEADERS - 1].writer)) continue;
      let place = 0;
      while (place < lowest.length && lowest[place].writer < writer) place++;
      lowest.splice(place, lowest[place]?.writer === writer ? 1 : 0, pulse);
      if (lowest.length > LEADERS) lowest.pop();
    }
    if (lowest.length === 0) return NONE;
    return lowest[Math.floor(this.#context.random() * lowest.length)].sig.subarray(0, REPEATED);
  }

  /** Whether a peer's words show that it is alive now. Where it is not known yet whether they do, they are kept until it is. */
  proves(member: Member, head: Head, from: Address): boolean {
    if (head.echo.length !== REPEATED) return false;
    const pulse = this.#find(head.echo);
    if (!pulse || pulse.at < this.#since || pulse.writer === member.id) return false;
    // Said before it left, or before all that is known of it.
    if (pulse.at <= member.goneAt || head.epoch <= member.leftEpoch) return false;
    if (member.sign && !isLater(head, member.sign)) return false;
    if (pulse.counts) return this.#circle.get(pulse.writer)?.state === 'live';
    this.#waiting.get(member.id)?.pulse.awaited?.delete(member);
    this.#waiting.set(member.id, { member, head, from, pulse });
    pulse.awaited ??= new Set();
    pulse.awaited.add(member);
    return false;
  }

  /**
   * A peer answered a nonce, or shook hands: if its last heartbeat was said after all that it said before, it counts from now on.
   * @param head the newest of its words
   * @returns those whose words are shown to be fresh by that
   */
  revived({ id }: Member, head: Head): Waiting[] {
    const pulse = this.#open.get(id);
    if (!pulse) return [];
    this.#open.delete(id);
    if (isLater(head, pulse.head)) {
      if (this.#find(pulse.sig) === pulse) this.#kept.delete(keyAt(pulse.sig));
      return [];
    }
    pulse.counts = true;
    if (!pulse.awaited) return [];
    const proved: Waiting[] = [];
    for (const member of pulse.awaited) {
      const one = this.#waiting.get(member.id);
      if (one?.pulse !== pulse) continue;
      this.#waiting.delete(member.id);
      proved.push(one);
    }
    pulse.awaited = undefined;
    return proved.filter(({ member, head: said, from }) => this.proves(member, said, from));
  }

  /** @param bytes that begin with it */
  #find(bytes: Uint8Array): Pulse | undefined {
    const pulse = this.#kept.get(keyAt(bytes));
    return pulse && isRepeated(bytes, pulse.sig) ? pulse : undefined;
  }

  /** What was heard before this is not fresh. */
  get #since(): Millis {
    return this.#context.now - KEPT * this.#circle.interval;
  }
}
