/**
 * The ladder: by which ways everyone near is spoken to, beyond multicast.
 * Owns how often nobody was there to hear; what is known of each peer's ways stands in its member. Always true: multicast is
 * tried first; what is broadcast besides is so only at the beginning, while somebody is known whom multicast does not reach, or
 * now and then while nobody is known at all; somebody who hears nothing is not broadcast to for ever; IPv6 is left out only where
 * all who are known hear IPv4.
 * Called by the context for whatever goes to everyone, by the announcer as it asks, and by hearing.
 */
import type { Via } from '../api.js';
import { isLoopback } from '../endpoint.js';
import { NEAR_MAX } from '../limits.js';
import type { Message } from '../wire/table.js';
import type { Circle } from './circle.js';
import type { Context } from './context.js';
import type { Broadcast, Occasion } from './events.js';
import type { Member } from './member.js';

/** Questions from the start on that are broadcast as well: all but the first, which multicast alone may answer. */
const BROADCAST_FROM = 1;
/** Where so many are here already, those whom only broadcast reaches are found by their own heartbeats. */
const CROWD = 20;
/** While nobody is known, one heartbeat of so many is broadcast too. */
const LONELY = 4;
/** One that answers, and is heard by no multicast, is told by broadcast for so many times as long, in the hope that it comes to be heard so. */
const HOPE = 3;

/** Whether a peer was found, and is heard, by what it says to everyone. */
export function isNear(via: Via): boolean {
  return via === 'multicast' || via === 'broadcast';
}

export class Ladder {
  readonly #context: Context;
  readonly #circle: Circle;
  /** Heartbeats since somebody was known. */
  #lonely = 0;

  constructor(context: Context, circle: Circle) {
    this.#context = context;
    this.#circle = circle;
    context.spread = (message, occasion) => this.#spread(message, occasion);
  }

  /** Everyone was asked by multicast. @param round 0 for the first question from the start */
  asked(round: number, size: number): void {
    const known = this.#circle.live().size;
    if (round < BROADCAST_FROM) return;
    // A one-shot, which asks for as long as it runs, soon leaves it at that.
    if (this.#context.settings.passive && round > BROADCAST_FROM && known > 0) return;
    const { near, deaf } = this.#beyond();
    if (known > CROWD && near.length === 0) return;
    // With a nonce of its own, so that an answer tells by which way the question came.
    const question = this.#context.question('', size, 'broadcast');
    this.#broadcast(question, known > CROWD ? near : undefined, deaf);
  }

  /** A live peer was heard, by what it said to everyone. @param broadcast undefined where it came by multicast */
  heard(member: Member, broadcast: Broadcast | undefined): void {
    const { now } = this.#context;
    if (!broadcast) {
      member.multicastAt = now;
      member.via = 'multicast';
      return;
    }
    member.broadcastAt = now;
    if (broadcast.deaf) member.deafAt = now;
    if (!this.#isLately(member.multicastAt)) member.via = 'broadcast';
  }

  /** It answered a question that was broadcast: the one that was multicast had not come. */
  reached(member: Member): void {
    if (this.#isLately(member.multicastAt)) return;
    member.broadcastAt = this.#context.now;
    if (isNear(member.via)) member.via = 'broadcast';
  }

  #spread(message: Message, occasion: Occasion): void {
    const { six, near, deaf } = this.#beyond();
    const sparing = { six: occasion === 'news' || six.length > NEAR_MAX ? ('all' as const) : six };
    this.#context.emit({ kind: 'multicast', message, ...(occasion === 'finding' ? {} : { sparing }) });
    // What everyone is asked is broadcast by itself.
    if (message.type === 'Q' && message.to === '') return;
    if (near.length > 0) this.#broadcast(message, near, deaf);
    else if (this.#circle.live().size > 0) this.#lonely = 0;
    else if (occasion === 'idle' && this.#lonely++ % LONELY === 0) this.#broadcast(message, undefined, false);
  }

  /** Whom multicast by IPv4 does not reach, by their hosts: those that IPv6 does, and those that hear, or are heard, by broadcast. */
  #beyond(): { six: string[]; near: string[]; deaf: boolean } {
    const six: string[] = [];
    const near: string[] = [];
    let deaf = false;
    // Looked up once: there may be a thousand.
    const since = this.#context.now - this.#circle.deafAfter;
    for (const member of this.#circle.live()) {
      if (!member.udp) continue;
      const isHeard = member.multicastAt >= since;
      const isAsking = member.deafAt >= since;
      // As mostly: one host, heard by IPv4.
      if (isHeard && !isAsking && member.hosts.size === 0 && !member.udp.host.includes(':')) continue;
      // Of one that others have shown to be alive it is only seen where it speaks from.
      const hosts = member.hosts.size > 0 ? member.hosts : [member.udp.host];
      const hasFour = hasIPv4(hosts);
      if (isHeard && !isAsking && hasFour) continue;
      const isMissed = this.#misses(member);
      deaf ||= isMissed;
      for (const host of hosts) {
        if (host.includes(':')) {
          if (!isHeard || !hasFour) six.push(host);
        } else if ((isMissed || isAsking) && !isLoopback(host)) near.push(host);
      }
    }
    return { six, near, deaf };
  }

  #broadcast(message: Message, near: readonly string[] | undefined, deaf: boolean): void {
    const cards = near && near.length <= NEAR_MAX ? { near } : {};
    this.#context.emit({ kind: 'broadcast', message, ...cards, deaf });
  }

  /** Whether it is here, and its multicast does not reach us: heard by broadcast, or hoped to be. */
  #misses({ multicastAt, broadcastAt, liveSince }: Member): boolean {
    if (this.#isLately(multicastAt)) return false;
    if (this.#isLately(broadcastAt)) return true;
    const silent = this.#context.now - Math.max(multicastAt, broadcastAt, liveSince);
    return silent > this.#circle.deafAfter && silent <= HOPE * this.#circle.deafAfter;
  }

  #isLately(at: number): boolean {
    return this.#context.now - at <= this.#circle.deafAfter;
  }
}

function hasIPv4(hosts: Iterable<string>): boolean {
  for (const host of hosts) if (!host.includes(':')) return true;
  return false;
}
