/**
 * Asks: questions to single peers, whether they are alive and where they seem to be.
 * Owns how many there are. Always true: what others send makes us ask no host, no peer and not all together more than a bounded
 * number of questions; of a thousand who start at one time each is asked by a few, but those with the lowest ids by all, as the
 * rest is learnt from their pulses.
 * Called by hearing, and by gossip for the timer.
 */
import type { Millis } from '../clock.js';
import { formatEndpoint } from '../endpoint.js';
import type { PeerId } from '../ids.js';
import { ADDRESSES_MAX } from '../limits.js';
import { Budget } from './budget.js';
import type { Circle } from './circle.js';
import type { Context } from './context.js';
import type { Address } from './events.js';
import { FEW, type Member } from './member.js';
import type { Own } from './own.js';
import { AT_ONCE, backoff, shareOf, TokenBucket } from './pace.js';

/** Questions to single peers in a second: what a flood of strange heads can make us send. */
const ASKS_PER_SECOND = 500;
/** To one host, which may have many peers, or none and did not ask for any of this. */
const ASKS_PER_HOST = 50;
/** To one peer, at all the addresses where its words come from. */
const ASKS_PER_PEER = 5;
/** Questions that follow one another by themselves while a peer is not yet live. */
const ASKS_BY_TIMER = 8;
const ASK_FIRST: Millis = 150;
const ASK_MOST: Millis = 10_000;
/** One that is new among many is asked after so long, at least and at most, unless it is shown before to be alive. */
const LATER: [Millis, Millis] = [500, 1500];
/** One that is not live was heard lately for so long. */
const LATELY: Millis = 30_000;

export class Asks {
  readonly #context: Context;
  readonly #circle: Circle;
  readonly #own: Own;
  readonly #all: Budget;
  readonly #ofPeer: Budget;
  /** Those who are new, or heard from elsewhere. */
  readonly #first = new TokenBucket(AT_ONCE);

  constructor(context: Context, circle: Circle, own: Own) {
    this.#context = context;
    this.#circle = circle;
    this.#own = own;
    this.#all = new Budget(ASKS_PER_HOST, ASKS_PER_SECOND, context.random);
    this.#ofPeer = new Budget(ASKS_PER_PEER, ASKS_PER_SECOND, context.random);
  }

  /** One that is not shown to be alive, or not to be there, was heard: it is asked, if it is for us to ask. */
  heard(member: Member, from: Address): void {
    const { now, random } = this.#context;
    const isLive = member.state === 'live';
    if (!isLive) member.knockedAt = now;
    const place = formatEndpoint(from);
    const asked = member.asked?.get(place);
    if (asked) {
      if (asked.tries > 0) this.#ask(member, from);
      return;
    }
    const isForAll = !isLive && this.#circle.isLow(member, now - LATELY);
    if (!isForAll && !this.#first.take(now, 1, shareOf(this.#circle.known))) return;
    if (isLive || this.#circle.known < FEW) {
      this.#ask(member, from);
      return;
    }
    this.#note(member, place, { to: from, at: Number.NEGATIVE_INFINITY, tries: 0 });
    const [least, most] = LATER;
    this.#context.after(least + (most - least) * random(), { kind: 'ask', peer: member.id });
  }

  /** The answer of a peer has not come, or its time to be asked has: it is asked where it was heard. */
  due(id: PeerId): void {
    const member = this.#circle.get(id);
    if (!member || member.state === 'live') return;
    for (const { to, tries } of [...(member.asked?.values() ?? [])]) if (tries < ASKS_BY_TIMER) this.#ask(member, to);
  }

  /** Asks for an answer from an address, not too often. */
  #ask(member: Member, to: Address): void {
    const { now } = this.#context;
    const place = formatEndpoint(to);
    const asked = member.asked?.get(place) ?? { to, at: Number.NEGATIVE_INFINITY, tries: 0 };
    if (asked.tries > 0 && now - asked.at < backoff(asked.tries - 1, ASK_FIRST, ASK_MOST)) return;
    if (!this.#ofPeer.take(member.id, now) || !this.#all.take(to.host, now)) return;
    this.#note(member, place, asked);
    asked.at = now;
    asked.tries++;
    this.#context.reply(to, this.#context.question(member.id, this.#own.heartbeatSize(), true, member.mark));
    if (member.state !== 'live' && asked.tries < ASKS_BY_TIMER) {
      this.#context.after(backoff(asked.tries - 1, ASK_FIRST, ASK_MOST), { kind: 'ask', peer: member.id });
    }
  }

  #note(member: Member, place: string, asked: { to: Address; at: Millis; tries: number }): void {
    member.asked ??= new Map();
    member.asked.delete(place);
    member.asked.set(place, asked);
    if (member.asked.size > ADDRESSES_MAX) member.asked.delete(member.asked.keys().next().value!);
  }
}
