/**
 * The circle: who is here.
 * Owns every other peer that is known, in which state it is, and the index of those that are live. Always true: a peer is
 * live only after fresh proof (an answer to a nonce of ours, a handshake, or another's pulse); the index shows exactly the live peers'
 * shelves and mine; of those gone, a bounded number of shelves is kept for their return.
 * Called by gossip for what is heard, by pulls for what was fetched, by links for whom to tell.
 */
import type { Via } from '../api.js';
import type { Millis } from '../clock.js';
import type { PeerId } from '../ids.js';
import {
  GONE_OFFERS_MAX,
  GONE_SHELVES_MAX,
  OFFERS_MAX,
  OFFERS_PER_PEER_MAX,
  PEERS_MAX,
  PEERS_PER_ADDRESS_MAX,
} from '../limits.js';
import { LiveIndex } from '../shelf/live-index.js';
import type { Proof, Shelf } from '../shelf/shelf.js';
import { type Applied, type Change, departure, difference } from '../shelf/staging.js';
import type { Head } from '../wire/head.js';
import type { Context } from './context.js';
import { infoOf, LEADERS, type Member, newMember } from './member.js';
import { AROUND_HEAD, deafIntervals, doubtDelay, idleInterval, SILENCE } from './pace.js';
import { Reports } from './reports.js';
import { crowded, heaviest } from './room.js';

/** What is kept of a peer that is gone, or never came, is forgotten after this: a laptop that was closed for the night is back by then. */
const GONE_KEPT: Millis = 24 * 3_600_000;
const CANDIDATE_KEPT: Millis = 60_000;
/** Who has a low id is looked up anew after so long at the latest. */
const LOW_KEPT: Millis = 1000;
export const SWEEP: Millis = 30_000;
/** Bytes of the headers of a datagram. */
const UDP = 28;

/** How many there may be; see limits.ts. */
export interface CircleMost {
  offers: number;
  peers: number;
  perAddress: number;
  goneShelves: number;
  goneOffers: number;
}

const MOST: CircleMost = {
  offers: OFFERS_MAX,
  peers: PEERS_MAX,
  perAddress: PEERS_PER_ADDRESS_MAX,
  goneShelves: GONE_SHELVES_MAX,
  goneOffers: GONE_OFFERS_MAX,
};

/** Of a stretch of own deafness that is no longer, most answers to one's questions are heard all the same. */
const BRIEF: Millis = 1000;

export class Circle {
  readonly index = new LiveIndex();
  readonly #context: Context;
  readonly #reports: Reports;
  readonly #members = new Map<PeerId, Member>();
  readonly #live = new Set<Member>();
  /** Not live, those heard of longest ago first. */
  readonly #candidates = new Set<Member>();
  readonly #gone = new Set<Member>();
  /** Bytes of my own heartbeat, for the size of questions. */
  readonly #heartbeatSize: () => number;
  readonly #most: CircleMost;
  /** What the shelves take that are kept of those that are gone, those gone longest ago first. */
  readonly #goneLoads = new Map<Member, number>();
  #goneLoad = 0;
  /** Bytes of a heartbeat of each live peer, in all. */
  #weight = 0;
  /** How many live peers have a lower id than mine. */
  #lower = 0;
  /** LEADERS of those who are not live and were heard lately have an id up to this; looked up at this time. */
  #lowUpTo: PeerId | undefined;
  #lowAt: Millis = Number.NEGATIVE_INFINITY;
  /** The longest interval that a peer may still go by, and when that was so. */
  #widest: Millis = 0;
  #widestAt: Millis = Number.NEGATIVE_INFINITY;
  /** Told when there are fewer than before. */
  onFewer: () => void = () => {};
  /** Told of a live peer that is forgotten for want of room. */
  onCrowdedOut: (member: Member) => void = () => {};

  constructor(context: Context, heartbeatSize: () => number, most: CircleMost = MOST) {
    this.#most = most;
    this.#context = context;
    this.#reports = new Reports(context);
    this.#heartbeatSize = heartbeatSize;
  }

  /** Whether a live peer has proved to speak from this host. */
  isKnownAt(id: PeerId, host: string): boolean {
    const member = this.#members.get(id);
    if (member?.state !== 'live') return false;
    return member.hosts.has(host) || (member.hosts.size === 0 && member.udp?.host === host);
  }

  get(id: PeerId): Member | undefined {
    return this.#members.get(id);
  }

  /** Live peers, oneself not counted. */
  live(): ReadonlySet<Member> {
    return this.#live;
  }

  /** Live peers, oneself counted where one is listed. */
  get size(): number {
    return this.#live.size + (this.#context.settings.passive ? 0 : 1);
  }

  /** Peers that are known, live or not, oneself counted. */
  get known(): number {
    return this.#members.size + 1;
  }

  /** Bytes of a heartbeat, on average. */
  get mean(): number {
    return this.#live.size > 0 ? this.#weight / this.#live.size : this.#heartbeatSize() + UDP;
  }

  /** The idle interval of heartbeats, by how many are here. */
  get interval(): Millis {
    return idleInterval(this.size, this.mean);
  }

  /** For so long a live peer may be silent. Where many left at once, those who stay need some time to see that they may speak more often. */
  silenceOf({ weight }: Member): Millis {
    const { now } = this.#context;
    const mean = this.mean;
    const interval = idleInterval(this.size, mean);
    const fallen = this.#widest - (now - this.#widestAt);
    if (interval >= fallen) {
      this.#widest = interval;
      this.#widestAt = now;
    }
    return SILENCE * Math.max(interval, fallen, idleInterval(1, mean, weight));
  }

  /** One that is not heard by multicast for so long is out of its reach. */
  get deafAfter(): Millis {
    return deafIntervals(this.size) * this.interval;
  }

  /** Whether so few are live with a lower id that mine is one of those that all go by. */
  get isLeading(): boolean {
    return this.#lower < LEADERS;
  }

  /**
   * The member of a checked head, made where it is new; its head is kept where it is newer.
   * @returns undefined where there is no room, or the key is another than before
   */
  meet(head: Head, proof: Proof, via: Via): Member | undefined {
    const known = this.#members.get(head.id);
    if (known) {
      if (Buffer.compare(known.head.key, head.key) !== 0) return undefined;
      if (isNewer(head, known.head)) {
        known.head = head;
        known.proof = proof;
        if (known.state === 'live') this.#weigh(known);
      }
      return known;
    }
    if (this.#members.size >= this.#most.peers && !this.#makeRoom()) return undefined;
    const member = newMember(head, proof, via, this.#context.now);
    this.#members.set(head.id, member);
    this.#candidates.add(member);
    return member;
  }

  /** A live peer gave a sign of life. @param head its word, or the newest that is known where it spoke none */
  hear(member: Member, head: Head = member.head): void {
    member.heardAt = this.#context.now;
    this.#clear(member);
    if (!member.sign || isLater(head, member.sign)) member.sign = head;
  }

  /** Fresh proof that a peer is alive. @returns whether it was not live before */
  revive(member: Member, head: Head): boolean {
    this.hear(member, head);
    if (member.state === 'live') return false;
    this.#dropGone(member);
    this.#candidates.delete(member);
    this.#gone.delete(member);
    this.#live.add(member);
    if (member.id < this.#context.settings.id) this.#lower++;
    this.#noLonger(member);
    member.state = 'live';
    this.#weigh(member);
    // An answer or a handshake of the epoch that it left: the goodbye was of another run, or came late.
    member.leftEpoch = 0;
    member.liveSince = this.#context.now;
    this.#reports.news({ kind: 'peer', change: 'came', peer: infoOf(member) });
    if (member.shelf && member.shelf.epoch !== member.head.epoch) member.shelf = undefined;
    if (member.shelf) {
      this.index.show(member.shelf);
      this.#reports.news({ kind: 'shelf', peer: member.id, after: member.shelf, aside: member.aside?.shelf });
      this.#reports.add(member.id, difference(undefined, member.shelf), { arrival: member.shelf });
    }
    if (member.aside) {
      this.index.show(member.aside.shelf, true);
      this.report(member.id, difference(undefined, member.aside.shelf));
    }
    this.expireIn(member, this.silenceOf(member));
    return true;
  }

  #clear(member: Member): void {
    member.probes = 0;
    member.isOurs = false;
    member.isMissing = false;
    member.isAccused = false;
    member.deferred = 0;
    member.left = 0;
  }

  /** Takes a live peer's heartbeat into the average. */
  #weigh(member: Member): void {
    const weight = member.proof.head.length + AROUND_HEAD;
    this.#weight += weight - member.weight;
    member.weight = weight;
  }

  /**
   * A peer left, or fell silent for too long.
   * @param leftEpoch the epoch in which it said goodbye, 0 where it did not
   */
  bury(member: Member, leftEpoch: number): void {
    // From now on only the answer to a new nonce brings it back: what is still under way does not.
    member.mark = this.#context.nonces.mark;
    member.leftEpoch = Math.max(member.leftEpoch, leftEpoch);
    member.asked = undefined;
    if (member.state !== 'live') return;
    this.#live.delete(member);
    if (member.id < this.#context.settings.id) this.#lower--;
    this.#weight -= member.weight;
    member.weight = 0;
    this.#clear(member);
    this.#gone.add(member);
    member.state = 'gone';
    member.goneAt = this.#context.now;
    member.multicastAt = Number.NEGATIVE_INFINITY;
    member.broadcastAt = Number.NEGATIVE_INFINITY;
    this.index.hide(member.id);
    this.#goes(member);
    // What it told aside goes with its link, which may outlast a silence, but no goodbye.
    this.#hideAside(member);
    if (leftEpoch > 0) member.aside = undefined;
    this.#reports.news({ kind: 'peer', change: 'left', peer: infoOf(member) });
    this.#keepGone(member);
    this.onFewer();
  }

  /** What was fetched or told of a live peer's offers now counts. */
  commit(member: Member, { shelf, changes }: Applied): void {
    const before = member.shelf;
    member.shelf = shelf;
    if (member.state !== 'live') return;
    const isFirst = !this.index.shows(member.id);
    const isCompared = !isFirst && shelf !== before;
    this.index.show(shelf);
    if (isFirst) this.#reports.news({ kind: 'shelf', peer: member.id, after: shelf });
    const more = isCompared ? { fragile: member.id } : isFirst ? { arrival: shelf } : {};
    this.#reports.add(member.id, changes, more);
  }

  /** Forgets what a peer told aside. */
  dropAside(member: Member): void {
    if (member.state === 'live') this.#hideAside(member);
    member.aside = undefined;
  }

  /** A shelf was hidden. */
  #goes({ id, shelf, aside }: Member): void {
    if (!shelf) return;
    this.#reports.news({ kind: 'shelf', peer: id, before: shelf, aside: aside?.shelf });
    this.#reports.went(id, shelf, departure(shelf));
  }

  #hideAside({ id, aside }: Member): void {
    this.index.hide(id, true);
    if (aside) this.report(id, departure(aside.shelf));
  }

  /** Whether there is room in the index for all that a head speaks of, or could be. */
  hasRoom(head: Head, shelf: Shelf | undefined): boolean {
    const { count } = head;
    if (!this.#isAllowed(head, count)) return false;
    if (this.#fits(count, shelf)) return true;
    const member = this.#members.get(head.id);
    return heaviest(this.#live, member, withAside(count, member)) !== undefined;
  }

  /**
   * Makes room in the index for all that a head speaks of: who takes most gives it up.
   * @param load the room that it takes at most, as far as that is known
   * @returns whether there is room now
   */
  takeRoom(head: Head, shelf: Shelf | undefined, load = 0): boolean {
    const all = Math.max(head.count, load);
    if (!this.#isAllowed(head, all)) return false;
    const member = this.#members.get(head.id);
    while (!this.#fits(all, shelf)) if (!this.letGo(member, withAside(all, member))) return false;
    return true;
  }

  /**
   * Lets go of all offers of the one who takes most, those that it told aside too.
   * @param other for whom
   * @param count the room that it then takes
   * @param weigh what each takes, where it is not only what is kept
   * @returns who that is; undefined where nobody takes more
   */
  letGo(other: Member | undefined, count: number, weigh?: (member: Member) => number): Member | undefined {
    const loser = heaviest(this.#live, other, count, weigh);
    if (!loser) return undefined;
    this.index.hide(loser.id);
    this.#goes(loser);
    loser.shelf = undefined;
    this.dropAside(loser);
    return loser;
  }

  #isAllowed({ id }: Head, load: number): boolean {
    return withAside(load, this.#members.get(id)) <= OFFERS_PER_PEER_MAX;
  }

  #fits(load: number, shelf: Shelf | undefined): boolean {
    return this.index.load - (shelf?.load ?? 0) + load <= this.#most.offers;
  }

  /** Tells changes to those who follow, but for those that say the same as before. */
  report(of: PeerId, changes: Iterable<Change>, fragile?: PeerId): void {
    this.#reports.add(of, changes, fragile === undefined ? {} : { fragile });
  }

  /** More of what changed can be told. */
  reportDue(): void {
    this.#reports.due();
  }

  /** A peer's shelf is about to change: what is still to be told of it is told before. */
  settle(member: Member): void {
    this.#reports.settle(member.id);
  }

  /** Whether hardly anyone with a lower id, of those who are not live, was heard since some moment. */
  isLow({ id }: Member, since: Millis): boolean {
    const { now } = this.#context;
    if (this.#lowUpTo !== undefined && id > this.#lowUpTo && now - this.#lowAt < LOW_KEPT) return false;
    let lower = 0;
    let highest = '';
    for (const members of [this.#candidates, this.#gone]) {
      for (const other of members) {
        if (other.id >= id || other.knockedAt <= since) continue;
        if (other.id > highest) highest = other.id;
        if (++lower < LEADERS) continue;
        this.#lowUpTo = highest;
        this.#lowAt = now;
        return false;
      }
    }
    return true;
  }

  /** One who counted for that may not any more. */
  #noLonger({ id }: Member): void {
    if (this.#lowUpTo !== undefined && id <= this.#lowUpTo) this.#lowUpTo = undefined;
  }

  /** Everybody was asked just now: a live peer that is not heard within some time is suspect, without waiting for its silence. */
  doubt(member: Member): void {
    const within = Math.min(doubtDelay(this.size), member.dueAt - this.#context.now);
    member.heardAt = Math.min(member.heardAt, this.#context.now + within - this.silenceOf(member));
    this.expireIn(member, within);
  }

  /** For so long nothing that was said could be heard here: it is not held against those who spoke meanwhile. */
  lagged(ms: Millis): void {
    const { now } = this.#context;
    for (const member of this.#live) {
      member.heardAt = Math.min(now, member.heardAt + ms);
      member.multicastAt = Math.min(now, member.multicastAt + ms);
      member.broadcastAt = Math.min(now, member.broadcastAt + ms);
      // Of short stretches there may be many, and who asks goes on where it was.
      if (ms > BRIEF) this.#clear(member);
    }
  }

  /** Looks at a live peer again after so long. */
  expireIn(member: Member, delay: Millis): void {
    member.dueAt = this.#context.after(delay, { kind: 'expire', peer: member.id });
  }

  /** Forgets those that have been gone, or have not come, for long. */
  sweep(): void {
    const { now } = this.#context;
    for (const member of this.#gone) {
      if (now - member.goneAt < GONE_KEPT) break;
      this.#forget(member);
    }
    for (const member of this.#candidates) {
      if (now - member.heardAt >= CANDIDATE_KEPT) this.#forget(member);
    }
  }

  #forget(member: Member): void {
    this.#dropGone(member);
    this.#noLonger(member);
    this.#candidates.delete(member);
    this.#gone.delete(member);
    this.#members.delete(member.id);
  }

  /** Keeps the shelf of one that has gone for its return; where there are too many, those gone longest ago lose theirs. */
  #keepGone(member: Member): void {
    if (!member.shelf) return;
    this.#goneLoads.set(member, member.shelf.load);
    this.#goneLoad += member.shelf.load;
    for (const oldest of this.#goneLoads.keys()) {
      if (this.#goneLoads.size <= this.#most.goneShelves && this.#goneLoad <= this.#most.goneOffers) return;
      this.#dropGone(oldest);
      oldest.shelf = undefined;
    }
  }

  /** The shelf of one that was gone is no longer kept for its return. */
  #dropGone(member: Member): void {
    this.#goneLoad -= this.#goneLoads.get(member) ?? 0;
    this.#goneLoads.delete(member);
  }

  /**
   * Gives up the candidate heard of longest ago, else the peer that has been gone longest; a live one only where its address has
   * more than any needs.
   */
  #makeRoom(): boolean {
    for (const members of [this.#candidates, this.#gone]) {
      for (const member of members) {
        this.#forget(member);
        return true;
      }
    }
    const loser = crowded(this.#live, this.#most.perAddress);
    if (!loser) return false;
    this.bury(loser, 0);
    this.#forget(loser);
    this.onCrowdedOut(loser);
    return true;
  }
}

/** The room that a peer takes, with what it told aside. */
function withAside(load: number, member: Member | undefined): number {
  return load + (member?.aside?.shelf.load ?? 0);
}

/** Whether a head was signed later than another of the same peer, or is the same but for whom it answers. */
function isNewer(head: Head, than: Head): boolean {
  return !isLater(than, head);
}

/** Whether a head was signed later than another of the same peer, so that it is no copy of what was heard before. */
export function isLater(head: Head, than: Head): boolean {
  if (head.epoch !== than.epoch) return head.epoch > than.epoch;
  if (head.version !== than.version) return head.version > than.version;
  return head.beat > than.beat;
}
