/**
 * Registering: who is let in, under which id and addresses, and where it is tried to reach it.
 * Owns the contests for what another peer has, and the rations of new registrations. Always true: an id is of one process, and an
 * address at which a peer was reached is of that peer, while its holder answers for it; each address of a registration is tried
 * once; one host has no more registered than it may, and where there is no room the host with most gives way.
 * Called by the registry.
 */
import { formatEndpoint, isAddress, isThisHost } from '../endpoint.js';
import type { PeerId } from '../ids.js';
import { ADDRESSES_MAX } from '../limits.js';
import { type Contest, Contests, type Registering as Event } from './contests.js';
import type { Context } from './context.js';
import type { RegistryEvent } from './events.js';
import type { Holds } from './holds.js';
import { Ration } from './ration.js';
import { type Entry, holdsOf, isNewer, isSame, type OwnHold } from './roll.js';

export interface RegisteringMost {
  /** Registered in all, and of one host. */
  peers: number;
  perAddress: number;
  /** New registrations of one host in a minute. */
  perMinute: number;
}

export class Registering {
  readonly #context: Context;
  readonly #holds: Holds;
  readonly #most: RegisteringMost;
  readonly #ration: Ration;
  readonly #contests = new Contests();

  constructor(context: Context, holds: Holds, most: RegisteringMost) {
    this.#context = context;
    this.#holds = holds;
    this.#most = most;
    this.#ration = new Ration(most.perMinute);
    holds.onEnded = (peer, by) => {
      const contest = this.#contests.get(peer);
      if (!contest) return;
      if ('tracker' in by) {
        if (contest.trackers.has(by.tracker)) this.#answered(contest, false, by.tracker);
      } else if (contest.link === by.link) this.#answered(contest, false, undefined);
    };
  }

  get contests(): Contests {
    return this.#contests;
  }

  register(event: Event): void {
    const { link, peer } = event;
    const { roll, id } = this.#context;
    this.#contests.leave(link);
    const linked = roll.byLink(link);
    if (linked && linked.id !== peer.id) {
      this.#context.cut(link, 'bad-message', 'one connection is one peer');
      return;
    }
    if (linked) {
      this.#holds.heard(peer.id);
      if (!this.#isContested(event)) this.#renew(linked, event);
      return;
    }
    const entry = roll.get(peer.id);
    const holds = entry ? holdsOf(entry) : [];
    if (peer.id === id || holds.some((hold) => !isSame(hold.peer.key, peer.key))) {
      this.#context.answer(event, 'id-taken', `${peer.id} is registered with another key, or is this tracker`);
      return;
    }
    if (entry && holds.some((hold) => !isSame(hold.peer.instance, peer.instance))) {
      const contest = this.#contest(entry);
      if (!this.#contests.await(contest, event)) this.#context.answer(event, 'id-taken', takenId(peer.id));
      return;
    }
    if (this.#isContested(event)) return;
    if (entry?.own || this.#hasRoom(event, entry)) this.#admit(event, entry);
  }

  /** The outcome of an attempt to reach a peer. */
  dialledBack({ link, address, reached }: Extract<RegistryEvent, { kind: 'dialled-back' }>): void {
    const { roll } = this.#context;
    const own = roll.byLink(link)?.own;
    if (!own?.tried.has(address) || own.reachable.includes(address) === reached) return;
    const before = roll.shown(own.id);
    // It was proved just now: whoever proved it earlier is there no more.
    const holder = reached ? roll.byAddress(address) : undefined;
    if (holder !== undefined && holder !== own.id) this.#moveAway(holder, address);
    const others = own.reachable.filter((other) => other !== address);
    own.reachable = reached ? [...others, address] : others;
    roll.update(own.id);
    this.#holds.changed(own.id, before);
  }

  /** The outcome of a probe of a link. */
  probed({ link, alive }: Extract<RegistryEvent, { kind: 'probed' }>): void {
    const entry = this.#context.roll.byLink(link);
    const contest = entry && this.#contests.get(entry.id);
    if (contest?.link === link) this.#answered(contest, alive, undefined);
  }

  /** Another tracker wants to know whether a peer that is held here lives. */
  probe(entry: Entry, tracker: PeerId, number: number): void {
    this.#contest(entry).askers.set(tracker, number);
  }

  /** Another tracker says whether a peer lives. */
  alive(tracker: PeerId, number: number, alive: boolean): void {
    const contest = this.#contests.byNumber(number);
    if (contest?.trackers.has(tracker)) this.#answered(contest, alive, tracker);
  }

  /** Two trackers registered two processes of one id at the same time, and the other was earlier. */
  yield(entry: Entry): void {
    const { search, holdings } = this.#context;
    const link = entry.own?.link;
    this.#holds.release(entry, 'replaced');
    search.hide(entry.id);
    holdings.drop(entry.id);
    if (link !== undefined) this.#context.cut(link, 'id-taken', takenId(entry.id));
  }

  sweep(): void {
    const { now } = this.#context;
    for (let contest = this.#contests.overdue(now); contest; contest = this.#contests.overdue(now)) {
      this.#decide(contest, false);
    }
  }

  /** Whether an address that is claimed belongs to another peer, which is asked whether it lives. */
  #isContested(event: Event): boolean {
    const { roll, id } = this.#context;
    const tried = roll.byLink(event.link)?.own?.tried;
    for (const address of claimedOf(event)) {
      const holder = roll.byAddress(address);
      const entry = holder === undefined ? undefined : roll.get(holder);
      if (!entry || holder === event.peer.id || tried?.has(address)) continue;
      const waits = holder !== id && this.#contests.claim(this.#contest(entry), event, address);
      if (!waits) this.#context.answer(event, 'address-taken', takenAddress(address, entry.id));
      return true;
    }
    return false;
  }

  /** Whether there is room for one more: its host may not have too many, and another's may have to give way. */
  #hasRoom(event: Event, entry: Entry | undefined): boolean {
    const { host } = event;
    const { roll, now } = this.#context;
    const count = roll.countOf(host);
    if (count >= this.#most.perAddress) {
      this.#context.answer(event, 'limit', `${count} peers are registered from ${host}, as many as may be`);
      return false;
    }
    // Who moves here from another tracker of the same registry is not new.
    if (entry) return true;
    if (!this.#ration.take(host, now)) {
      this.#context.answer(event, 'limit', `too many new peers from ${host} at a time`);
      return false;
    }
    if (roll.size < this.#most.peers) return true;
    const crowded = roll.crowd(count + 1);
    for (const id of crowded === undefined ? [] : this.#holds.byHeard()) {
      if (roll.get(id)?.own?.host !== crowded) continue;
      this.#holds.crowdOut(id);
      return true;
    }
    this.#context.answer(event, 'limit', `${roll.size} peers are registered, as many as may be`);
    return false;
  }

  /** Registers a peer over a new link; the same process may have had another. */
  #admit(event: Event, entry: Entry | undefined): void {
    const { link, peer, host } = event;
    const { id, roll, search, now } = this.#context;
    const before = entry && roll.shown(peer.id);
    const earlier = entry?.own;
    if (earlier?.link !== undefined) this.#context.cut(earlier.link, 'cancelled', 'a newer connection took its place');
    // What another tracker told counts until this one knows the peer's offers itself.
    if (entry && !earlier) entry.inherited = new Set([...search.of(peer.id)].map(({ path }) => path));
    const reachable = earlier?.host === host ? earlier.reachable : [];
    const since = earlier?.since ?? now;
    const place = { seen: seenOf(event), reachable, since, link, host, tried: new Set(reachable) };
    const hold: OwnHold = { id: peer.id, tracker: id, peer, ...place };
    roll.hold(hold, true);
    this.#holds.shelves.settle(peer.id);
    this.#holds.heard(peer.id);
    this.#welcome(event, hold);
    this.#dialBack(event, hold);
    this.#holds.changed(peer.id, before);
    if (entry && !earlier) this.#holds.shareAll(peer.id);
  }

  /** Registers again over the link that there is. */
  #renew({ own }: Entry, event: Event): void {
    if (!own) return;
    const { roll } = this.#context;
    const before = roll.shown(own.id);
    if (!isNewer(own.peer, event.peer) && !isSame(own.peer.head, event.peer.head)) own.peer = event.peer;
    own.seen = seenOf(event);
    roll.update(own.id);
    this.#welcome(event, own);
    this.#dialBack(event, own);
    this.#holds.changed(own.id, before);
  }

  #welcome({ link, number }: Event, { seen, reachable }: OwnHold): void {
    const { roll, search, lease } = this.#context;
    const counts = { peers: roll.size, offers: search.size };
    this.#context.tell({ kind: 'registered', link, number, seen, reachable, lease, ...counts });
  }

  /** Has every address tried that was not yet. */
  #dialBack(event: Event, { id, link, tried }: OwnHold): void {
    const seen = event.port > 0 ? [seenOf(event)] : [];
    const all = [...new Set([...claimedOf(event), ...seen])].filter((address) => !tried.has(address));
    const addresses = all.slice(0, Math.max(0, ADDRESSES_MAX + 1 - tried.size));
    for (const address of addresses) tried.add(address);
    if (link !== undefined && addresses.length > 0) {
      this.#context.tell({ kind: 'dial-back', link, peer: id, addresses });
    }
  }

  /** A peer is to be reached at an address no more. */
  #moveAway(id: PeerId, address: string): void {
    const { roll } = this.#context;
    const entry = roll.get(id);
    const before = roll.shown(id);
    if (!entry || id === this.#context.id) return;
    for (const hold of holdsOf(entry)) hold.reachable = hold.reachable.filter((other) => other !== address);
    roll.update(id);
    this.#holds.changed(id, before);
  }

  /** The contest for what a peer has, begun if need be. */
  #contest({ id, own, others }: Entry): Contest {
    const known = this.#contests.get(id);
    if (known) return known;
    const { roll, now } = this.#context;
    const contest = this.#contests.begin(id, own?.link, others.keys(), now);
    if (own?.link !== undefined) this.#context.tell({ kind: 'probe', link: own.link });
    const instance = roll.shown(id)?.instance;
    if (others.size > 0 && instance) {
      this.#context.share({ kind: 'probe', tracker: this.#context.id, peer: id, instance, number: contest.number });
    }
    return contest;
  }

  /** One who holds the peer in question says whether it lives. @param tracker undefined for this one */
  #answered(contest: Contest, alive: boolean, tracker: PeerId | undefined): void {
    if (tracker === undefined) contest.link = undefined;
    else contest.trackers.delete(tracker);
    if (alive || (contest.link === undefined && contest.trackers.size === 0)) this.#decide(contest, alive);
    else this.#giveUp(contest, tracker);
  }

  #decide(contest: Contest, alive: boolean): void {
    const { holder, newcomer, claimers, askers } = contest;
    const { roll, id } = this.#context;
    this.#contests.end(contest);
    if (!alive) {
      for (const tracker of [...(roll.get(holder)?.others.keys() ?? [])]) this.#giveUp(contest, tracker);
      this.#giveUp(contest, undefined);
    }
    for (const [to, number] of askers) this.#context.share({ kind: 'alive', tracker: id, to, number, alive });
    if (alive && newcomer) this.#context.answer(newcomer, 'id-taken', takenId(holder));
    else if (newcomer) this.register(newcomer);
    for (const { event, address } of claimers.values()) {
      if (alive) this.#context.answer(event, 'address-taken', takenAddress(address, holder));
      else this.register(event);
    }
  }

  /** Nobody answers any more for a peer at one who held it. @param tracker undefined for this one */
  #giveUp({ holder, newcomer }: Contest, tracker: PeerId | undefined): void {
    const entry = this.#context.roll.get(holder);
    const why = newcomer ? 'replaced' : 'lease';
    const hold = tracker === undefined ? undefined : entry?.others.get(tracker);
    if (hold) this.#holds.disbelieve(hold, why, true);
    const link = entry?.own?.link;
    if (!entry || tracker !== undefined || link === undefined) return;
    this.#holds.release(entry, why);
    this.#context.cut(link, 'timeout', 'it did not answer, and another took its place');
  }
}

function takenId(id: PeerId): string {
  return `another process runs as ${id}`;
}

function takenAddress(address: string, holder: PeerId): string {
  return `${address} is where ${holder} listens`;
}

/** Where a peer says that it listens, as far as it can be true: loopback means something on its own host only. */
function claimedOf({ claimed, host }: Event): string[] {
  const isLocal = isThisHost(formatEndpoint({ host, port: 1 }));
  return claimed.slice(0, ADDRESSES_MAX).filter((address) => isAddress(address) && (isLocal || !isThisHost(address)));
}

function seenOf({ host, port }: Event): string {
  return formatEndpoint({ host, port });
}
