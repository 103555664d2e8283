/**
 * Links: TCP connections as gossip sees them, for those whom multicast does not reach.
 * Owns who is connected, who is being dialled and when to try again. Always true: at most DIALS_MAX dials of ours are under
 * way; what others tell makes us dial no host often; only peers that were proved alive are told anything; who hears our multicast is not told the same again. Peers of a
 * tracker learn of each other by asking it: it tells no neighbours, and those that it tells are not followed.
 * Called by gossip.
 */
import type { Millis } from '../clock.js';
import { hostOfAddress, isAddress, isLoopback, isThisHost } from '../endpoint.js';
import type { PeerId } from '../ids.js';
import { Latest } from '../latest.js';
import { ASKERS_MAX, DIALS_MAX, DIALS_QUEUED_MAX, DIALS_QUEUED_OF_ONE_MAX, NEIGHBOURS_MAX } from '../limits.js';
import { PASSIVE, TRACKER } from '../wire/head.js';
import type { Message, MessageOf, Neighbour } from '../wire/table.js';
import { Budget } from './budget.js';
import type { Circle } from './circle.js';
import type { Context } from './context.js';
import { Ears } from './ears.js';
import type { Heads } from './heads.js';
import { isNear } from './ladder.js';
import { addAddress, addressesOf, type Member } from './member.js';
import { asNeighbour, drawn } from './neighbours.js';
import { backoff } from './pace.js';

/** One whose connection broke is dialled within so long, at least and at most: that nobody listens there any more is soon known. */
const REDIAL: [Millis, Millis] = [100, 300];
/** Those that are to be dialled at once are, within so long. */
const HURRY: Millis = 200;
const DIAL_FIRST: Millis = 1000;
const DIAL_MOST: Millis = 30_000;
/** A dial that nothing came of counts as failed. */
const DIAL_TIMEOUT: Millis = 10_000;
/** Dials of one that was only told of, before it is forgotten. */
const HEARSAY_DIALS = 5;
/** Such dials in a second, to one host, which may have nothing to do with any of it, and to all: who tells can invent any number. */
const HEARSAY_RATE = [20, 200] as const;
/** Those who asked by datagram so lately need no neighbours told. */
const ASKED_LATELY: Millis = 10_000;
/** How many of all tell of a newcomer, or tell one something that many could tell it, about. */
const INTRODUCERS = 5;
/** Neighbours told to one that connects, and will be told more by those: where hundreds start at one time, all would be far too much. */
const TOLD_AT_ONCE = 32;
/** One that connects is heard within so long, where datagrams pass; or within an interval, where that is longer. */
const HEARD_WITHIN: Millis = 1500;
/** Those who are told of, and whom datagrams may reach, are dialled after so long, or an interval, where they were not heard meanwhile. */
const FOUND_WITHIN: Millis = 4000;
/** Of an interval, which is a minute where there are a thousand, no more is waited for either. */
const HEARD_MOST: Millis = 12_000;
/** Neighbours told with a heartbeat. */
const REMINDED = 8;
/** Those that are gone without a goodbye are dialled for so long. */
const MISSED: Millis = 30 * 60_000;

interface Dial {
  tries: number;
  /** When its timer is due; another is stale. */
  dueAt: Millis;
  /** Until when a dial is under way, 0 if none is. */
  until: Millis;
  /** Who told of the peer, where nothing else is known of it. */
  teller?: PeerId;
  /** Whether it is dialled because its connection broke. */
  broken?: boolean;
}

export class Links {
  readonly #context: Context;
  readonly #circle: Circle;
  readonly #heads: Heads;
  readonly #ears: Ears;
  readonly #linked = new Set<PeerId>();
  /** Those of them that are on this host, so that loopback means the same to them. */
  readonly #local = new Set<PeerId>();
  readonly #dials = new Map<PeerId, Dial>();
  readonly #askers = new Latest<PeerId, Millis>(ASKERS_MAX);
  /** One-shots that are connected and hear no multicast. */
  readonly #deafShots = new Set<PeerId>();
  readonly #hearsay: Budget;

  constructor(context: Context, circle: Circle, heads: Heads) {
    this.#context = context;
    this.#hearsay = new Budget(...HEARSAY_RATE, context.random);
    this.#circle = circle;
    this.#heads = heads;
    this.#ears = new Ears(context, circle);
  }

  /** Those who are connected. */
  get linked(): ReadonlySet<PeerId> {
    return this.#linked;
  }

  has(peer: PeerId): boolean {
    return this.#linked.has(peer);
  }

  /** Someone asks by datagram, so multicast reaches it. */
  asked(peer: PeerId): void {
    this.#deafShots.delete(peer);
    // Of others it is known otherwise.
    if (!this.#circle.get(peer)) this.#askers.set(peer, this.#context.now);
  }

  /** Whether a peer of whom we know nothing else was dialled because we wanted to, not by its address. */
  isDialled(peer: PeerId): boolean {
    return this.#dials.has(peer);
  }

  /**
   * @param host the other end of the connection
   * @param member the peer, where it is one that is listed
   */
  connected(peer: PeerId, host: string, member: Member | undefined): void {
    this.#linked.add(peer);
    if (isLoopback(host)) this.#local.add(peer);
    this.#dials.delete(peer);
    if (member) member.toldAt = this.#context.now;
    if (this.#context.settings.passive) return;
    const hearsMulticast = member
      ? !this.#ears.miss(member)
      : this.#context.now - (this.#askers.get(peer) ?? Number.NEGATIVE_INFINITY) < ASKED_LATELY;
    if (hearsMulticast) return;
    if (!member) this.#deafShots.add(peer);
    if (this.#context.settings.tracker || (member && isTracker(member))) return;
    // Of many who start at one time it may only not have been heard yet.
    const isMany = member && this.#context.isAnswered && this.#circle.size > TOLD_AT_ONCE;
    if (isMany) this.#context.after(this.#within(HEARD_WITHIN), { kind: 'neighbours', peer });
    else this.#tellNeighbours(peer, member ? TOLD_AT_ONCE : NEIGHBOURS_MAX);
  }

  /** So long, or an interval where that is longer. */
  #within(least: Millis): Millis {
    return Math.max(least, Math.min(HEARD_MOST, this.#circle.interval));
  }

  /** One that connected a moment ago is told of others, unless it is heard by now. */
  neighboursDue(peer: PeerId): void {
    const member = this.#circle.get(peer);
    if (member && this.#linked.has(peer) && this.#ears.miss(member)) this.#tellNeighbours(peer, TOLD_AT_ONCE);
  }

  #tellNeighbours(peer: PeerId, most: number): void {
    this.name(peer, this.#circle.live(), most);
  }

  /** Names to a peer some of these, drawn by chance. */
  name(peer: PeerId, members: Iterable<Member>, most: number): void {
    const peers = drawn(members, peer, this.#local.has(peer), most, this.#context.random);
    if (peers.length > 0) this.#context.tell(peer, { type: 'N', peers });
  }

  disconnected(peer: PeerId): void {
    this.#deafShots.delete(peer);
    this.#local.delete(peer);
    if (!this.#linked.delete(peer)) return;
    const member = this.#circle.get(peer);
    if (!member || !this.#isMissed(member)) return;
    const [least, most] = REDIAL;
    const dial: Dial = { tries: 0, dueAt: 0, until: 0, broken: true };
    this.#dials.set(peer, dial);
    this.#retry(peer, dial, least + (most - least) * this.#context.random());
  }

  /** Whether its connection broke, and nothing else tells that it is there. */
  isCutOff(member: Member): boolean {
    return this.#dials.get(member.id)?.broken === true && !this.#linked.has(member.id) && !this.isHeard(member);
  }

  /** Dials it no more. */
  forget(peer: PeerId): void {
    this.#dials.delete(peer);
  }

  /** A peer is gone: what it was told over its link no longer says that the link is good. */
  gone(member: Member): void {
    if (this.#isMissed(member)) this.#dialLater(member);
  }

  /** Tries at once whom it would try later. */
  hurry(): void {
    const { now, random } = this.#context;
    for (const [peer, dial] of this.#dials) if (dial.until <= now) this.#retry(peer, dial, HURRY * random());
  }

  dialFailed(peer: PeerId): void {
    const member = this.#circle.get(peer);
    const dial = this.#dials.get(peer);
    if (!member || !dial || this.#linked.has(peer)) return;
    dial.until = 0;
    this.#call(member);
    this.#dialLater(member);
  }

  /** A peer asks to be dialled: a hint that is followed where we know it, at an address that it was heard from. */
  called(member: Member, address: string): void {
    if (this.#linked.has(member.id) || member.state !== 'live') return;
    this.dial(member, [address]);
  }

  /** Asks one whom we cannot dial to dial us. */
  #call(member: Member): void {
    const { id, port, passive } = this.#context.settings;
    if (!member.udp || port === 0 || passive) return;
    this.#context.reply(member.udp, { type: 'C', from: id, to: member.id, port });
  }

  /** Dials a peer, unless it is connected, being dialled, or not to be tried yet. */
  dial(member: Member, addresses: string[] = addressesOf(member)): void {
    if (this.#linked.has(member.id) || addresses.length === 0) return;
    const { now } = this.#context;
    const dial = this.#dials.get(member.id) ?? { tries: 0, dueAt: 0, until: 0 };
    if (dial.until > now || !this.#context.isDue(dial.dueAt)) return;
    let under = 0;
    for (const { until } of this.#dials.values()) if (until > now) under++;
    this.#dials.set(member.id, dial);
    if (under >= DIALS_MAX) {
      this.#retry(member.id, dial, 200 + 300 * this.#context.random());
      return;
    }
    dial.tries++;
    const isShown = member.state === 'live' || dial.teller === undefined;
    const some = isShown ? addresses : addresses.filter((address) => this.#hearsay.take(hostOfAddress(address), now));
    if (some.length === 0) {
      this.#dialLater(member);
      return;
    }
    dial.until = now + DIAL_TIMEOUT;
    this.#context.emit({ kind: 'dial', peer: member.id, addresses: some });
    this.#retry(member.id, dial, DIAL_TIMEOUT);
  }

  /** Dials one that is to be told something. Of many who could, only some do. */
  dialSome(member: Member, address: string): void {
    if (this.#context.random() * this.#circle.size <= INTRODUCERS) this.dial(member, [address]);
  }

  /** A dial's time has come: for one that is still wanted. */
  dialDue(peer: PeerId): void {
    const dial = this.#dials.get(peer);
    if (!dial || !this.#context.isDue(dial.dueAt)) return;
    const member = this.#circle.get(peer);
    if (!member || this.#linked.has(peer) || !this.#isWanted(member, dial)) {
      this.#dials.delete(peer);
      return;
    }
    dial.until = 0;
    this.dial(member);
  }

  /**
   * Other peers in their own words, from one who tells its neighbours: those that are new are dialled, a few at a time.
   * @returns whether any of them is to be dialled
   */
  told(peers: readonly Neighbour[], teller: PeerId): boolean {
    const { random, settings } = this.#context;
    const from = this.#circle.get(teller);
    // A tracker is asked; what it knows of is far too much to be connected with. Nor does one dial for those who come to it.
    if (from && (isTracker(from) || (settings.tracker && from.via === 'call'))) return false;
    let isNew = false;
    let waiting = 0;
    for (const dial of this.#dials.values()) if (dial.teller === teller) waiting++;
    for (const { head: packed, sig, addresses } of peers) {
      if (this.#dials.size >= DIALS_QUEUED_MAX || waiting >= DIALS_QUEUED_OF_ONE_MAX) break;
      const proof = { head: packed, sig };
      const head = this.#heads.check(proof, { kind: 'link', peer: teller });
      if (!head || head.id === settings.id || head.flags & PASSIVE) continue;
      const member = this.#circle.meet(head, proof, 'relay');
      if (!member || member.state === 'live' || this.#linked.has(member.id)) continue;
      // One from elsewhere cannot know who listens on this machine alone, and may not make us knock there.
      const isOurs = (address: string) => !this.#local.has(teller) && isThisHost(address);
      for (const address of addresses) if (isAddress(address) && !isOurs(address)) addAddress(member, address);
      if (member.addresses.size === 0 || this.#dials.has(member.id)) continue;
      const dial: Dial = { tries: 0, dueAt: 0, until: 0, teller };
      this.#dials.set(member.id, dial);
      isNew = true;
      waiting++;
      // Where everyone is asked and answers, who is there is mostly found so.
      const wait = this.#context.isAnswered ? this.#within(FOUND_WITHIN) : Math.min(2000, 20 * peers.length);
      this.#retry(member.id, dial, wait * (1 - 0.5 * random()));
    }
    return isNew;
  }

  /**
   * Tells an offer to those who do not hear our multicast, and sees to it that they are connected.
   * @param isChange a change, which is also told to those who lately showed that they do not hear us
   */
  tellDeaf(message: MessageOf<'O'>, isChange: boolean): void {
    const { now } = this.#context;
    const deaf: Member[] = [];
    const isMute = !isChange && this.#ears.isMute;
    const { deafAfter } = this.#circle;
    for (const member of this.#circle.live()) {
      const isHeard = now - member.multicastAt <= deafAfter;
      if (isMute && isHeard) this.dial(member);
      const tellsUs = now - member.tellsAt < deafAfter;
      if (isHeard && !tellsUs) continue;
      const isDeaf = this.#ears.miss(member);
      if (!isDeaf && !tellsUs) continue;
      if (this.#linked.has(member.id)) {
        if (isDeaf || isChange) this.tell(member, message);
        if (!isTracker(member)) deaf.push(member);
      } else if (isDeaf && !this.#comesBack(member) && now - member.liveSince > this.#circle.interval / 2) {
        this.dial(member);
      }
    }
    for (const shot of this.#deafShots) this.#context.tell(shot, message);
    if (!isChange) this.#remind(deaf);
  }

  /** Says goodbye to everyone who is connected and listed. */
  tellAll(message: Message): void {
    for (const member of this.#circle.live()) {
      if (this.#linked.has(member.id)) this.#context.tell(member.id, message);
    }
    for (const shot of this.#deafShots) this.#context.tell(shot, message);
  }

  /** One that does not hear us told us something; so that it knows of us, it is answered, unless it was told lately. */
  answer(member: Member, message: MessageOf<'O'>): void {
    if (this.#context.now - member.toldAt < this.#circle.interval / 2) return;
    this.tell(member, message);
  }

  tell(member: Member, message: MessageOf<'O'>): void {
    if (this.#context.settings.passive) return;
    member.toldAt = this.#context.now;
    this.#context.tell(member.id, message);
  }

  /**
   * Live peers in their own signed words, with addresses that mean something to the one who is told.
   * @param except who is told
   * @param most so many, drawn by chance from more
   */
  neighbours(except: PeerId, most: number = NEIGHBOURS_MAX): Neighbour[] {
    const sameHost = this.#local.has(except);
    return drawn(this.#circle.live(), except, sameHost, most, this.#context.random);
  }

  /**
   * A peer came: those who hear no multicast are told of it. Of many who could tell them, only some do.
   */
  introduce(member: Member): void {
    if (this.#context.settings.passive || this.#context.settings.tracker) return;
    const { now, random } = this.#context;
    const { size } = this.#circle;
    const isMine = () => random() * size <= INTRODUCERS;
    const deaf: PeerId[] = [];
    for (const shot of this.#deafShots) if (isMine()) deaf.push(shot);
    for (const id of this.#linked) {
      if (!isMine() || this.#deafShots.has(id)) continue;
      const other = this.#circle.get(id);
      if (other?.state !== 'live' || other === member || isTracker(other)) continue;
      if (this.#ears.miss(other) || now - other.tellsAt < this.#circle.deafAfter) deaf.push(id);
    }
    for (const other of deaf) {
      const neighbour = asNeighbour(member, this.#local.has(other));
      if (neighbour) this.#context.tell(other, { type: 'N', peers: [neighbour] });
    }
  }

  /** Tells one of those who hear no multicast of a few others, so that in time each hears of all. */
  #remind(deaf: readonly Member[]): void {
    if (deaf.length === 0 || this.#context.settings.tracker) return;
    const one = deaf[Math.floor(this.#context.random() * deaf.length)];
    const peers = this.neighbours(one.id, REMINDED);
    if (peers.length > 0) this.#context.tell(one.id, { type: 'N', peers });
  }

  /** Whether what it says to everyone reached us lately. */
  isHeard(member: Member): boolean {
    return this.#ears.hear(member);
  }

  /** Whether a peer that is not connected should be: it knows of us by its connection alone. */
  #isMissed(member: Member): boolean {
    if (this.#context.asksOnly || member.leftEpoch >= member.head.epoch || member.addresses.size === 0) return false;
    if (this.#comesBack(member)) return false;
    if (isNear(member.via)) return member.state === 'live' && !this.isHeard(member);
    return member.state === 'live' || (member.state === 'gone' && this.#context.now - member.goneAt < MISSED);
  }

  /** Who came to a tracker comes again by itself. */
  #comesBack(member: Member): boolean {
    return this.#context.settings.tracker && !isNear(member.via);
  }

  #isWanted(member: Member, dial: Dial): boolean {
    if (member.addresses.size === 0) return false;
    if (member.state === 'candidate') return dial.tries < HEARSAY_DIALS;
    return this.#isMissed(member);
  }

  #dialLater(member: Member): void {
    const dial = this.#dials.get(member.id) ?? { tries: 0, dueAt: 0, until: 0 };
    dial.broken = false;
    this.#dials.set(member.id, dial);
    const wait = backoff(Math.max(0, dial.tries - 1), DIAL_FIRST, DIAL_MOST);
    this.#retry(member.id, dial, wait * (0.5 + this.#context.random()));
  }

  #retry(peer: PeerId, dial: Dial, delay: Millis): void {
    dial.dueAt = this.#context.after(delay, { kind: 'dial', peer });
  }
}

function isTracker({ head }: Member): boolean {
  return (head.flags & TRACKER) !== 0;
}
