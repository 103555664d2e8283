/**
 * The reading side of a tracker's store: what the other trackers hold.
 *
 * Owns what each of them said it holds. Always true: nothing is handed on that is not well-formed, and no head that the one it
 * names did not sign; a tracker that is silent for a lease, while the store is there, holds nothing. Its memory of others
 * outlives a connection. Called by RedisStore.
 */
import type { Millis } from '../clock.js';
import { HearsayError } from '../errors.js';
import { isPeerId, type PeerId } from '../ids.js';
import { OFFERS_PER_PEER_MAX, REGISTERED_MAX, STORE_TRACKERS_MAX } from '../limits.js';
import { loadOf, type PeerOffer } from '../offer.js';
import type { Record } from '../tracker/events.js';
import { type Entry, type Notice, readEntry, readOffer, readRecord } from '../tracker/records.js';
import { headStatement } from '../wire/head.js';
import { verifySignature } from './keys.js';
import type { Redis } from './redis.js';
import type { Reply } from './resp.js';
import type { StoreClock } from './store-clock.js';
import type { StoreKeys } from './store-keys.js';

export interface ReaderOptions {
  keys: StoreKeys;
  /** This tracker: what it wrote itself is passed over. */
  tracker: PeerId;
  lease: Millis;
  /** Takes what another tracker tells, in its order. */
  shared(record: Record): void;
  /** Whether a tracker is believed still to hold a peer. */
  believes(tracker: PeerId, peer: PeerId): boolean;
  /** Something in the store was not what a tracker writes. */
  odd(what: string): void;
  clock: StoreClock;
}

type Held = Record & { kind: 'held' };

interface Other {
  /** Its run, in hexadecimal digits, and the number of its latest entry. */
  run: string;
  number: number;
  heard: Millis;
  held: Map<PeerId, Held>;
}

/** How long a read of the log waits for news, ms. */
const BLOCK_MS = 2000;
/** Asked for in one step: entries of the log, offers, records. */
const ENTRIES = 64;
const OFFERS = 500;
const RECORDS = 50;
/** Peers whose first offers are asked for at once, as most have no more than go into one step. */
const PEERS = 16;
/** Records handed on in one go: some milliseconds. */
const IN_ONE_GO = 200;
/** How long others are believed to go on while the store is away, ms: it is restarted, or its machine is. */
const AWAY_KEPT = 60_000;

export class Reader {
  readonly #options: ReaderOptions;
  readonly #others = new Map<PeerId, Other>();
  /** Since when the store is away. */
  #away: Millis | undefined;

  constructor(options: ReaderOptions) {
    this.#options = options;
    this.#away = options.clock.now();
  }

  /** The store cannot be reached: nobody is silent for that. */
  away(): void {
    this.#away ??= this.#options.clock.now();
  }

  /** Trackers that live, as far as is known. */
  get trackers(): PeerId[] {
    return [...this.#others.keys()];
  }

  /**
   * Who is silent is forgotten. While the store is away nobody can be told from the silent: what they held is told again, so that
   * it stays registered for a while. To be called a few times in a lease.
   */
  renew(): void {
    const { clock, lease, believes } = this.#options;
    const at = clock.now();
    for (const [tracker, other] of this.#others) {
      const silent = this.#away === undefined ? at - other.heard >= lease : at - this.#away >= AWAY_KEPT;
      if (silent) this.#others.delete(tracker);
      else if (this.#away !== undefined) void this.#hold(other.held, (peer) => believes(tracker, peer));
    }
  }

  /** A tracker holds all this, still. */
  async #hold(held: ReadonlyMap<PeerId, Held>, may: (peer: PeerId) => boolean = () => true): Promise<void> {
    let told = 0;
    for (const [peer, record] of [...held]) {
      if (++told % IN_ONE_GO === 0) await rest();
      // It may have been dropped meanwhile.
      if (held.get(peer) === record && may(peer)) this.#options.shared(record);
    }
  }

  /** Reads until the connection fails. @throws HearsayError always */
  async read(redis: Redis): Promise<never> {
    const { keys, clock } = this.#options;
    // Before what stands beside the log, so that nothing falls between.
    const latest = await redis.ask(['XREVRANGE', keys.log, '+', '-', 'COUNT', '1']);
    let at = entriesOf(latest).at(0)?.id ?? '0-0';
    this.#away = undefined;
    for (const other of this.#others.values()) other.heard = clock.now();
    for (const tracker of listOf(await redis.ask(['SMEMBERS', keys.trackers]))) {
      const id = String(tracker);
      if (isPeerId(id)) await this.#whole(redis, id);
    }
    for (;;) {
      const words = ['XREAD', 'COUNT', `${ENTRIES}`, 'BLOCK', `${BLOCK_MS}`, 'STREAMS', keys.log, at];
      const streams = await redis.command(words, BLOCK_MS);
      if (streams === null) continue;
      const entries = entriesOf(listOf(listOf(streams)[0])[1]);
      if (entries.length === 0) throw new HearsayError('bad-message', 'the store answers with no entries');
      for (const { id, value } of entries) {
        at = id;
        const entry = value && this.#entry(value);
        if (entry) await this.#take(redis, entry);
        else this.#options.odd('an entry of the log');
      }
    }
  }

  #entry(value: Buffer): Entry | undefined {
    try {
      return readEntry(value);
    } catch {
      return undefined;
    }
  }

  #other(tracker: PeerId): Other | undefined {
    let other = this.#others.get(tracker);
    if (!other) {
      if (this.#others.size >= STORE_TRACKERS_MAX) return undefined;
      other = { run: '', number: 0, heard: this.#options.clock.now(), held: new Map() };
      this.#others.set(tracker, other);
    }
    return other;
  }

  async #take(redis: Redis, { tracker, run, number, record }: Entry): Promise<void> {
    if (tracker === this.#options.tracker) return;
    const other = this.#other(tracker);
    if (!other) return;
    other.heard = this.#options.clock.now();
    const hex = Buffer.from(run).toString('hex');
    const follows = other.run === hex ? number <= other.number + 1 : number === 1 || other.run === '';
    other.run = hex;
    other.number = number;
    if (!follows || record.kind === 'told') await this.#whole(redis, tracker);
    if (record.kind === 'reread') await this.#offers(redis, tracker, [record.peer]);
    else if (record.kind === 'beat') await this.#hold(other.held);
    else if (record.kind !== 'told') this.#record(other, record);
  }

  #record(other: Other, record: Record): void {
    if (record.kind === 'held') {
      const known = other.held.get(record.peer.id);
      if (!known && other.held.size >= REGISTERED_MAX) return;
      if (!this.#isSigned(record, known)) return;
      other.held.set(record.peer.id, record);
    } else if (record.kind === 'dropped') other.held.delete(record.peer);
    this.#options.shared(record);
  }

  /** Whether the head in a record is its peer's own. @param known what was checked before */
  #isSigned({ peer }: Held, known: Held | undefined): boolean {
    if (known && same(known.peer.head, peer.head) && same(known.peer.sig, peer.sig)) return true;
    const signed = verifySignature(peer.key, headStatement(peer.head), peer.sig);
    if (!signed) this.#options.odd('a head that its peer did not sign');
    return signed;
  }

  /** Everything that a tracker holds, as it stands, where it stands whole. */
  async #whole(redis: Redis, tracker: PeerId): Promise<void> {
    const { keys, shared } = this.#options;
    if (tracker === this.#options.tracker) return;
    const isWhole = async () => {
      const alive = await redis.ask(['GET', keys.alive(tracker)]);
      return Buffer.isBuffer(alive) && alive.toString().endsWith(' whole') ? alive.toString() : undefined;
    };
    const before = await isWhole();
    const other = before && this.#other(tracker);
    if (!other) return;
    const known = other.held;
    const held = new Map<PeerId, Held>();
    for await (const [field, value] of this.#hash(redis, keys.held(tracker), RECORDS)) {
      const record = this.#stands(tracker, value);
      if (record?.kind !== 'held' || record.peer.id !== field) continue;
      if (held.size < REGISTERED_MAX && this.#isSigned(record, known.get(field))) held.set(field, record);
    }
    // It began anew meanwhile: it will say when it is whole.
    if ((await isWhole()) !== before) return;
    other.heard = this.#options.clock.now();
    other.held = held;
    for (const [peer, { peer: was }] of known) {
      if (!held.has(peer)) shared({ kind: 'dropped', tracker, peer, instance: was.instance, why: 'lease' });
    }
    await this.#hold(held);
    const peers = [...held.keys()];
    for (let i = 0; i < peers.length; i += PEERS) await this.#offers(redis, tracker, peers.slice(i, i + PEERS));
    for await (const [field, value] of this.#hash(redis, keys.holding(tracker), RECORDS)) {
      const record = this.#stands(tracker, value);
      if (record?.kind === 'holding' && field === `${record.holding.peer} ${record.holding.id}`) shared(record);
    }
  }

  /** All offers of some peers that a tracker holds. */
  async #offers(redis: Redis, tracker: PeerId, peers: readonly PeerId[]): Promise<void> {
    const keys = peers.map((peer) => this.#options.keys.offers(tracker, peer));
    const firsts = keys.map((key) => step(redis, key, '0', OFFERS));
    // One that fails fails them all; it is told of by the first that is awaited.
    for (const first of firsts) first.catch(() => {});
    for (const [i, peer] of peers.entries()) {
      // A step through a hash may bring one twice.
      const offers = new Map<string, PeerOffer>();
      let load = 0;
      for await (const [path, value] of this.#hash(redis, keys[i], OFFERS, firsts[i])) {
        const offer = this.#offer(value);
        if (offer?.path !== path) continue;
        if (!offers.has(path)) load += loadOf(offer);
        if (load > OFFERS_PER_PEER_MAX) break;
        offers.set(path, { ...offer, peer });
      }
      this.#options.shared({ kind: 'offers', tracker, peer, whole: true, offers: [...offers.values()], removed: [] });
      await rest();
    }
  }

  #offer(value: Buffer): ReturnType<typeof readOffer> | undefined {
    try {
      return readOffer(value);
    } catch {
      this.#options.odd('an offer');
      return undefined;
    }
  }

  #stands(tracker: PeerId, value: Buffer): Record | Notice | undefined {
    try {
      return readRecord(tracker, value);
    } catch {
      this.#options.odd('a record');
      return undefined;
    }
  }

  /**
   * Fields and values of a hash, step by step; of what is no hash, and of what is too large, nothing.
   * @param first the first step, where it was asked for already
   */
  async *#hash(
    redis: Redis,
    key: string,
    count: number,
    first = step(redis, key, '0', count),
  ): AsyncGenerator<[string, Buffer]> {
    for (let reply = await first; ; ) {
      const [cursor, items] = listOf(reply);
      if (!Buffer.isBuffer(cursor)) {
        this.#options.odd('a hash');
        return;
      }
      const all = listOf(items);
      for (let i = 0; i + 1 < all.length; i += 2) {
        const [field, value] = [all[i], all[i + 1]];
        if (Buffer.isBuffer(field) && Buffer.isBuffer(value)) yield [field.toString(), value];
        else this.#options.odd('a value');
      }
      const next = cursor.toString();
      if (next === '0') return;
      reply = await step(redis, key, next, count);
    }
  }
}

function step(redis: Redis, key: string, cursor: string, count: number): Promise<Reply> {
  return redis.ask(['HSCAN', key, cursor, 'COUNT', `${count}`]);
}

/** Others have their turn. */
function rest(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

function listOf(reply: Reply | undefined): Reply[] {
  return Array.isArray(reply) ? reply : [];
}

/** Ids and first values of entries of a stream; what is no entry ends the list. */
function entriesOf(reply: Reply | undefined): { id: string; value: Buffer | undefined }[] {
  const entries: { id: string; value: Buffer | undefined }[] = [];
  for (const entry of listOf(reply)) {
    const [id, fields] = listOf(entry);
    if (!Buffer.isBuffer(id) || !/^\d+-\d+$/.test(id.toString())) break;
    const value = listOf(fields)[1];
    entries.push({ id: id.toString(), value: Buffer.isBuffer(value) ? value : undefined });
  }
  return entries;
}
