/**
 * The circle: who is here.
 * Owns every other peer that is known, in which state it is, and the index of those that are live. Always true: a peer is
 * live only after fresh proof (an answer to a nonce of ours, or a handshake); the index shows exactly the live peers'
 * shelves and mine; of those gone, a bounded number of shelves is kept for their return.
 * Called by gossip for what is heard, by pulls for what was fetched, by links for whom to tell.
 */
import type { Via } from '../api.js';
import type { Millis } from '../clock.js';
import { formatEndpoint } from '../endpoint.js';
import type { PeerId } from '../ids.js';
import {
  ADDRESSES_MAX,
  GONE_SHELVES_MAX,
  OFFERS_MAX,
  OFFERS_PER_PEER_MAX,
  PEERS_MAX,
  PEERS_PER_ADDRESS_MAX,
} from '../limits.js';
import { LiveIndex } from '../shelf/live-index.js';
import type { Proof, Shelf } from '../shelf/shelf.js';
import { type Applied, type Change, difference, saysTheSame } from '../shelf/staging.js';
import type { Head } from '../wire/head.js';
import { Budget } from './budget.js';
import type { Context } from './context.js';
import type { Address } from './events.js';
import { infoOf, type Member, newMember } from './member.js';
import { backoff, doubtDelay, idleInterval, PROBE_GAP, PROBES, SILENCE } from './pace.js';
import { crowded, heaviest } from './room.js';

/** Questions to single peers in a second: what a flood of strange heads can make us send. */
const ASKS_PER_SECOND = 500;
/** To one host, which may have many peers, or none and did not ask for any of this. */
const ASKS_PER_HOST = 50;
/** To one peer, at all the addresses where its words come from. */
const ASKS_PER_PEER = 5;
/** Questions that follow one another by themselves while a peer is not yet live. */
const ASKS_BY_TIMER = 4;
const ASK_FIRST: Millis = 150;
const ASK_MOST: Millis = 10_000;
/** What is kept of a peer that is gone, or never came, is forgotten after this. */
const GONE_KEPT: Millis = 30 * 60_000;
const CANDIDATE_KEPT: Millis = 60_000;
export const SWEEP: Millis = 30_000;

/** How many there may be; see limits.ts. */
export interface CircleMost {
  offers: number;
  peers: number;
  perAddress: number;
  goneShelves: number;
}

const MOST: CircleMost = {
  offers: OFFERS_MAX,
  peers: PEERS_MAX,
  perAddress: PEERS_PER_ADDRESS_MAX,
  goneShelves: GONE_SHELVES_MAX,
};

export class Circle {
  readonly index = new LiveIndex();
  readonly #context: Context;
  readonly #members = new Map<PeerId, Member>();
  readonly #live = new Set<Member>();
  /** Not live, those heard of longest ago first. */
  readonly #candidates = new Set<Member>();
  readonly #gone = new Set<Member>();
  readonly #asks: Budget;
  readonly #asksOfPeer: Budget;
  /** Bytes of my own heartbeat, for the size of questions. */
  readonly #heartbeatSize: () => number;
  readonly #most: CircleMost;
  /** Told of a live peer that is forgotten for want of room. */
  onCrowdedOut: (member: Member) => void = () => {};

  constructor(context: Context, heartbeatSize: () => number, most: CircleMost = MOST) {
    this.#most = most;
    this.#context = context;
    this.#heartbeatSize = heartbeatSize;
    this.#asks = new Budget(ASKS_PER_HOST, ASKS_PER_SECOND, context.random);
    this.#asksOfPeer = new Budget(ASKS_PER_PEER, ASKS_PER_SECOND, context.random);
  }

  /** Whether a live peer has proved to speak from this host. */
  isKnownAt(id: PeerId, host: string): boolean {
    const member = this.#members.get(id);
    return member?.state === 'live' && member.hosts.has(host);
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

  /** The idle interval of heartbeats, by how many are here. */
  get interval(): Millis {
    return idleInterval(this.size);
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
    member.probes = 0;
    if (!member.sign || isLater(head, member.sign)) member.sign = head;
  }

  /** Fresh proof that a peer is alive. @returns whether it was not live before */
  revive(member: Member, head: Head): boolean {
    this.hear(member, head);
    if (member.state === 'live') return false;
    this.#candidates.delete(member);
    this.#gone.delete(member);
    this.#live.add(member);
    member.state = 'live';
    // An answer or a handshake of the epoch that it left: the goodbye was of another run, or came late.
    member.leftEpoch = 0;
    member.liveSince = this.#context.now;
    this.#context.emit({ kind: 'peer', change: 'came', peer: infoOf(member) });
    if (member.shelf && member.shelf.epoch !== member.head.epoch) member.shelf = undefined;
    if (member.shelf) {
      this.index.show(member.shelf);
      this.#context.emit({ kind: 'shelf', peer: member.id, after: member.shelf, aside: member.aside?.shelf });
      this.report(difference(undefined, member.shelf));
    }
    if (member.aside) {
      this.index.show(member.aside.shelf, true);
      this.report(difference(undefined, member.aside.shelf));
    }
    this.#expireIn(member, SILENCE * this.interval);
    return true;
  }

  /**
   * A peer left, or fell silent for too long.
   * @param leftEpoch the epoch in which it said goodbye, 0 where it did not
   */
  bury(member: Member, leftEpoch: number): void {
    // From now on only the answer to a new nonce brings it back: what is still under way does not.
    member.mark = this.#context.nonces.mark;
    member.leftEpoch = Math.max(member.leftEpoch, leftEpoch);
    member.asked.clear();
    if (member.state !== 'live') return;
    this.#live.delete(member);
    this.#gone.add(member);
    member.state = 'gone';
    member.goneAt = this.#context.now;
    member.multicastAt = Number.NEGATIVE_INFINITY;
    this.index.hide(member.id);
    this.#goes(member);
    // What it told aside goes with its link, which may outlast a silence, but no goodbye.
    this.#hideAside(member);
    if (leftEpoch > 0) member.aside = undefined;
    this.#context.emit({ kind: 'peer', change: 'left', peer: infoOf(member) });
    this.#trimGone();
  }

  /** What was fetched or told of a live peer's offers now counts. */
  commit(member: Member, { shelf, changes }: Applied): void {
    member.shelf = shelf;
    if (member.state !== 'live') return;
    const isFirst = !this.index.shows(member.id);
    this.index.change(shelf, changes);
    if (isFirst) this.#context.emit({ kind: 'shelf', peer: member.id, after: shelf });
    this.report(changes);
  }

  /** Forgets what a peer told aside. */
  dropAside(member: Member): void {
    if (member.state === 'live') this.#hideAside(member);
    member.aside = undefined;
  }

  /** A shelf was hidden. */
  #goes({ id, shelf, aside }: Member): void {
    if (!shelf) return;
    this.#context.emit({ kind: 'shelf', peer: id, before: shelf, aside: aside?.shelf });
    for (const before of shelf.offers()) this.#change(before, undefined);
  }

  #hideAside({ id, aside }: Member): void {
    this.index.hide(id, true);
    for (const before of aside?.shelf.offers() ?? []) this.#change(before, undefined);
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
  report(changes: readonly Change[]): void {
    for (const { before, after } of changes) this.#change(before, after);
  }

  #change(before: Change['before'], after: Change['after']): void {
    const emit = this.#context.emit.bind(this.#context);
    if (!after) {
      if (before) emit({ kind: 'change', change: 'removed', offer: before, before });
    } else if (!before) emit({ kind: 'change', change: 'added', offer: after });
    else if (!saysTheSame(before, after)) emit({ kind: 'change', change: 'changed', offer: after, before });
  }

  /** Asks a peer for an answer from an address, not too often. */
  ask(member: Member, to: Address): void {
    const { now } = this.#context;
    const place = formatEndpoint(to);
    const asked = member.asked.get(place) ?? { to, at: Number.NEGATIVE_INFINITY, tries: 0 };
    if (asked.tries > 0 && now - asked.at < backoff(asked.tries - 1, ASK_FIRST, ASK_MOST)) return;
    if (!this.#asksOfPeer.take(member.id, now) || !this.#asks.take(to.host, now)) return;
    member.asked.delete(place);
    member.asked.set(place, asked);
    if (member.asked.size > ADDRESSES_MAX) member.asked.delete(member.asked.keys().next().value!);
    asked.at = now;
    asked.tries++;
    this.#context.reply(to, this.#context.question(member.id, this.#heartbeatSize(), true, member.mark));
    if (member.state !== 'live' && asked.tries < ASKS_BY_TIMER) {
      this.#context.after(backoff(asked.tries - 1, ASK_FIRST, ASK_MOST), { kind: 'ask', peer: member.id });
    }
  }

  /** The answer of a peer has not come: ask again where it was asked last. */
  askAgain(id: PeerId): void {
    const member = this.#members.get(id);
    if (!member || member.state === 'live') return;
    for (const { to, tries } of [...member.asked.values()]) if (tries < ASKS_BY_TIMER) this.ask(member, to);
  }

  /**
   * A live peer's time may be over: suspect when silent, asked a few times, then gone.
   * @param linked a peer whose connection alone is enough to count as alive
   * @returns whether it was asked just now, or is gone
   */
  expire(member: Member, linked: (member: Member) => boolean): 'asked' | 'gone' | undefined {
    const { now } = this.#context;
    if (member.state !== 'live' || !this.#context.isDue(member.dueAt)) return undefined;
    if (linked(member)) this.hear(member);
    const silence = SILENCE * this.interval;
    if (!this.#context.isDue(member.heardAt + silence)) {
      this.#expireIn(member, member.heardAt + silence - now);
      return undefined;
    }
    if (member.probes >= PROBES) {
      this.bury(member, 0);
      return 'gone';
    }
    member.probes++;
    // To it alone with a nonce of its own: who floods us cannot copy that from the multicast.
    const ask = (alone: boolean) => this.#context.question(member.id, this.#heartbeatSize(), alone, member.mark);
    if (member.udp) this.#context.reply(member.udp, ask(true));
    this.#context.multicast(ask(false));
    this.#expireIn(member, PROBE_GAP);
    return 'asked';
  }

  /** Everybody was asked just now: a live peer that is not heard within some time is suspect, without waiting for its silence. */
  doubt(member: Member): void {
    const within = Math.min(doubtDelay(this.size), member.dueAt - this.#context.now);
    member.heardAt = Math.min(member.heardAt, this.#context.now + within - SILENCE * this.interval);
    this.#expireIn(member, within);
  }

  #expireIn(member: Member, delay: Millis): void {
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
    this.#candidates.delete(member);
    this.#gone.delete(member);
    this.#members.delete(member.id);
  }

  #trimGone(): void {
    let shelves = 0;
    for (const member of this.#gone) if (member.shelf) shelves++;
    for (const member of this.#gone) {
      if (shelves <= this.#most.goneShelves) return;
      if (!member.shelf) continue;
      member.shelf = undefined;
      shelves--;
    }
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
