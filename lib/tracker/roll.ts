/**
 * The roll: who is registered, and by whom each is held: by a link of this tracker, by the tracker itself, or by other trackers
 * of the same registry.
 * Owns the peers, and the ways to find one: by link, id, name, address, host. Always true: a peer is in here exactly while
 * somebody holds it; an address belongs to the one peer that proved last that it is to be reached there.
 * Pure. Called by the registry, which writes it, and by its lookups.
 */
import type { Millis } from '../clock.js';
import type { PeerId } from '../ids.js';
import { Sorted } from '../shelf/sorted.js';
import { RELAY, readHead } from '../wire/head.js';
import type { LinkNo, Registered, Registrant } from './events.js';

/** That somebody holds a peer. */
export interface Hold {
  readonly id: PeerId;
  readonly tracker: PeerId;
  peer: Registrant;
  seen: string;
  reachable: readonly string[];
  since: Millis;
}

/** The same by this tracker. */
export interface OwnHold extends Hold {
  /** Undefined for the tracker itself. */
  link: LinkNo | undefined;
  /** The other end of its connection. */
  host: string;
  /** Addresses at which it was or is tried to reach it. */
  tried: Set<string>;
}

export interface Entry {
  readonly id: PeerId;
  own: OwnHold | undefined;
  /** By tracker. */
  readonly others: Map<PeerId, Hold>;
  /** Paths of offers that another tracker told of, while this one does not know yet what the peer offers itself. */
  inherited: Set<string> | undefined;
}

/** How it stands in the roll. */
interface Listed extends Entry {
  shown: Registered;
  name: string;
  /** The head that was read last. */
  head: Uint8Array | undefined;
  /** Live offers, as its head says. */
  count: number;
  addresses: readonly string[];
}

/** Who holds it, this tracker first. */
export function holdsOf({ own, others }: Entry): Hold[] {
  return [...(own ? [own] : []), ...others.values()];
}

function nameKey(name: string): string {
  return name.normalize('NFC');
}

/** Whether the process of one hold is to be believed rather than that of another: it was there earlier. */
export function precedes(a: Hold, b: Hold): boolean {
  return a.since !== b.since ? a.since < b.since : Buffer.compare(a.peer.instance, b.peer.instance) < 0;
}

export function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/** Flags and count of a head; nothing of one that cannot be read. */
function readWords(head: Uint8Array): { flags: number; count: number } {
  try {
    return readHead(head);
  } catch {
    return { flags: 0, count: 0 };
  }
}

export class Roll {
  readonly #peers = new Map<PeerId, Listed>();
  readonly #links = new Map<LinkNo, PeerId>();
  readonly #ids = new Sorted<PeerId, PeerId>(
    (a, b) => (a < b ? -1 : a > b ? 1 : 0),
    (id) => id,
  );
  readonly #names = new Map<string, Set<PeerId>>();
  readonly #addresses = new Map<string, PeerId>();
  /** How many each host has registered here. */
  readonly #hosts = new Map<string, number>();
  readonly #relays = new Set<PeerId>();

  get size(): number {
    return this.#peers.size;
  }

  /** Everything that is kept, counted. */
  get kept(): number {
    const all = [this.#peers, this.#links, this.#ids, this.#names, this.#addresses, this.#hosts, this.#relays];
    return all.reduce((sum, { size }) => sum + size, 0);
  }

  get(id: PeerId): Entry | undefined {
    return this.#peers.get(id);
  }

  byLink(link: LinkNo): Entry | undefined {
    const id = this.#links.get(link);
    return id === undefined ? undefined : this.#peers.get(id);
  }

  /** Whose address this is, as was proved. */
  byAddress(address: string): PeerId | undefined {
    return this.#addresses.get(address);
  }

  byName(name: string): PeerId[] {
    return [...(this.#names.get(nameKey(name)) ?? [])];
  }

  /** Those whose id begins so, in order. */
  *byPrefix(prefix: string): Generator<PeerId, void, undefined> {
    for (const id of this.#ids.from(prefix)) {
      if (!id.startsWith(prefix)) return;
      yield id;
    }
  }

  /** Those who pass on between others. */
  relays(): Iterable<PeerId> {
    return this.#relays;
  }

  /** How many a host has registered here. */
  countOf(host: string): number {
    return this.#hosts.get(host) ?? 0;
  }

  /** The host that has most registered here, where it has more than so many. */
  crowd(more: number): string | undefined {
    let found: string | undefined;
    let most = more;
    for (const [host, count] of this.#hosts) if (count > most) [found, most] = [host, count];
    return found;
  }

  /** Live offers of a peer, as its newest head says. */
  claimed(id: PeerId): number {
    return this.#peers.get(id)?.count ?? 0;
  }

  shown(id: PeerId): Registered | undefined {
    return this.#peers.get(id)?.shown;
  }

  *[Symbol.iterator](): Generator<Registered, void, undefined> {
    for (const { shown } of this.#peers.values()) yield shown;
  }

  /** Puts down who holds a peer now; `update` follows on every other change of a hold. */
  hold(hold: OwnHold | Hold, isOwn: boolean): void {
    let entry = this.#peers.get(hold.id);
    if (!entry) {
      const shown = showing(hold, [hold], undefined);
      entry = {
        id: hold.id,
        own: undefined,
        others: new Map(),
        inherited: undefined,
        shown,
        name: '',
        head: undefined,
        count: 0,
        addresses: [],
      };
      this.#peers.set(hold.id, entry);
      this.#ids.set(hold.id);
    }
    if (isOwn) {
      this.#unlink(entry);
      entry.own = hold as OwnHold;
      const { link, host } = entry.own;
      if (link !== undefined) {
        this.#links.set(link, entry.id);
        this.#hosts.set(host, this.countOf(host) + 1);
      }
    } else entry.others.set(hold.tracker, hold);
    this.update(entry.id);
  }

  /** A tracker holds a peer no more: this one where none is given. @returns whether nobody does */
  release(id: PeerId, tracker?: PeerId): boolean {
    const entry = this.#peers.get(id);
    if (!entry) return false;
    if (tracker !== undefined) entry.others.delete(tracker);
    else {
      this.#unlink(entry);
      entry.own = undefined;
    }
    if (entry.own || entry.others.size > 0) {
      this.update(id);
      return false;
    }
    this.#rename(entry, undefined);
    this.#readdress(entry, []);
    this.#relays.delete(id);
    this.#ids.delete(id);
    this.#peers.delete(id);
    return true;
  }

  /** A hold of a peer changed. */
  update(id: PeerId): void {
    const entry = this.#peers.get(id);
    if (!entry) return;
    const holds = holdsOf(entry);
    const first = holds.reduce((best, hold) => (precedes(hold, best) ? hold : best));
    const same = holds.filter((hold) => isSame(hold.peer.instance, first.peer.instance));
    entry.shown = showing(first, same, entry.own?.link);
    const { head, name, reachable } = entry.shown;
    if (name !== entry.name) this.#rename(entry, name);
    this.#readdress(entry, reachable);
    if (entry.head === head) return;
    const { flags, count } = readWords(head);
    entry.head = head;
    entry.count = count;
    if (flags & RELAY) this.#relays.add(id);
    else this.#relays.delete(id);
  }

  #unlink({ own }: Entry): void {
    if (own?.link === undefined) return;
    this.#links.delete(own.link);
    const left = this.countOf(own.host) - 1;
    if (left > 0) this.#hosts.set(own.host, left);
    else this.#hosts.delete(own.host);
  }

  #rename(entry: Listed, name: string | undefined): void {
    const before = nameKey(entry.name);
    const bearers = this.#names.get(before);
    bearers?.delete(entry.id);
    if (bearers?.size === 0) this.#names.delete(before);
    entry.name = name ?? '';
    if (name === undefined) return;
    const key = nameKey(name);
    const all = this.#names.get(key) ?? new Set<PeerId>();
    this.#names.set(key, all.add(entry.id));
  }

  #readdress(entry: Listed, addresses: readonly string[]): void {
    for (const address of entry.addresses) {
      if (!addresses.includes(address) && this.#addresses.get(address) === entry.id) this.#addresses.delete(address);
    }
    for (const address of addresses) if (!entry.addresses.includes(address)) this.#addresses.set(address, entry.id);
    entry.addresses = addresses;
  }
}

/** A peer as others may see it: by its newest word, of the process that is believed. */
function showing(first: Hold, same: readonly Hold[], link: LinkNo | undefined): Registered {
  const newest = same.reduce((best, hold) => (isNewer(hold.peer, best.peer) ? hold : best), first);
  const reachable = [...new Set(same.flatMap((hold) => hold.reachable))];
  const homes = same.map(({ tracker }) => tracker);
  const since = Math.min(...same.map((hold) => hold.since));
  return { ...newest.peer, reachable, seen: first.seen, link, homes, since };
}

export function isNewer(a: Registrant, b: Registrant): boolean {
  return a.epoch !== b.epoch ? a.epoch > b.epoch : a.version > b.version;
}
