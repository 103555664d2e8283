/**
 * The telling side of a tracker's store: what this tracker holds, written so that the others learn it at once from the log, and
 * all of it from what stands beside the log.
 *
 * Owns the records that wait, and what it told on this connection. Always true: what waits is bounded (where it would not
 * be, it is dropped, and everything is told anew); the tracker is marked whole only while all that it holds stands in the store.
 * Called by RedisStore, which makes a new one for each connection.
 */
import { randomBytes } from 'node:crypto';
import type { Millis } from '../clock.js';
import { asHearsayError, HearsayError } from '../errors.js';
import type { PeerId } from '../ids.js';
import { STORE_LOG_MAX, STORE_WAITING_MAX } from '../limits.js';
import { printable } from '../names.js';
import type { Record } from '../tracker/events.js';
import { type Notice, packEntry, packRecord } from '../tracker/records.js';
import type { Redis } from './redis.js';
import { Refusal, type Reply } from './resp.js';
import type { StoreClock } from './store-clock.js';
import { aliveText, type StoreKeys } from './store-keys.js';
import { OFFERS_AT_ONCE, offersInParts, pathsInParts } from './store-parts.js';

export interface TellerOptions {
  redis: Redis;
  keys: StoreKeys;
  tracker: PeerId;
  /** ms after which others forget a tracker of which nothing comes. */
  lease: Millis;
  clock: StoreClock;
  /** What is held is to be shared anew, all of it, before this returns. */
  everything(): void;
  /** All that is held stands in the store. */
  whole(): void;
}

type Words = (string | Uint8Array)[];
/** `part`: what stands in the store is taken away, as it is told anew. `quiet`: the log does not tell of it. */
interface Item {
  record: Record | Notice | { kind: 'part' };
  quiet: boolean;
}

/** Commands, and bytes of them, under way at once: some 10 ms of a Redis. */
const AT_ONCE = 256;
const BYTES_AT_ONCE = 1 << 20;
/** How long offers of a peer stand without being renewed, and how often they are, ms: a dead tracker's only take memory. */
const OFFERS_MS = 600_000;
const OFFERS_RENEW = 180_000;
/** How long the log stands when no tracker writes to it. */
const LOG_MS = 3_600_000;

export class Teller {
  readonly #options: TellerOptions;
  readonly #run = randomBytes(8);
  #waiting: Item[] = [];
  /** Of these, what is held in part, by peer and content. */
  readonly #holdings = new Map<string, Item>();
  /** How many may wait: more while everything is told. */
  #room = STORE_WAITING_MAX;
  #quiet = false;
  /** Everything has to be told: until then nothing is taken. */
  #anew = true;
  /** The commands for what waits, as far as they were made. */
  #commands: Iterator<Words> = this.#next();
  /** Records `held` as they were shared last, packed. */
  readonly #held = new Map<PeerId, Buffer>();
  /** Peers whose `held` stands in the store, and the content ids of what stands there of each as held in part. */
  readonly #standing = new Map<PeerId, Set<string>>();
  #number = 0;
  #whole = false;
  /** Whether it was said that it is whole. */
  #said = true;
  #wake: (() => void) | undefined;
  #closing = false;
  #failed: HearsayError | undefined;

  constructor(options: TellerOptions) {
    this.#options = options;
  }

  /** Takes a record to be told. */
  share(record: Record): void {
    if (this.#anew) return;
    if (record.kind === 'held') {
      const packed = packRecord(record);
      // That it is held still, the tracker's own being alive says.
      if (this.#held.get(record.peer.id)?.equals(packed)) return;
      this.#held.set(record.peer.id, packed);
    } else if (record.kind === 'dropped') this.#held.delete(record.peer);
    this.#push(record);
    if (this.#waiting.length <= this.#room) return;
    // Not now: the registry is in the midst of something.
    this.#anew = true;
    this.#forget();
  }

  /** What waits is told in other ways, or is about to be. */
  #forget(): void {
    this.#waiting = [];
    this.#holdings.clear();
  }

  /** Tells until it is closed. @throws HearsayError where the connection failed, or the store refuses */
  async tell(): Promise<void> {
    const { lease, redis, clock } = this.#options;
    await this.#begin();
    const failed = (thrown: unknown) => {
      this.#failed = asHearsayError(thrown);
      redis.close();
      this.#wakeUp();
    };
    // Not in turn: telling everything may take longer than the lease.
    const endBeats = clock.every(lease / 3, () => void this.#beat().catch(failed));
    const endRenewing = clock.every(OFFERS_RENEW, () => void this.#renewOffers().catch(failed));
    try {
      while (!this.#failed) {
        if (this.#anew) this.#tellAll();
        if (await this.#tellSome()) continue;
        if (this.#closing) return;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
          if (this.#waiting.length > 0 || this.#anew || this.#closing || this.#failed) resolve();
        });
      }
      throw this.#failed;
    } finally {
      endBeats();
      endRenewing();
    }
  }

  /** `tell` ends when what waits is told. */
  close(): void {
    this.#closing = true;
    this.#wakeUp();
  }

  #push(record: Item['record']): void {
    const item = { record, quiet: this.#quiet };
    if (record.kind === 'holding') {
      // Of what is said of one content again and again the latest is told, in the place of the first.
      const { peer, id } = record.holding;
      const known = this.#holdings.get(`${peer} ${id}`);
      if (known && known.quiet === this.#quiet) {
        known.record = record;
        return;
      }
      this.#holdings.set(`${peer} ${id}`, item);
    } else if (record.kind === 'dropped') this.#holdings.clear();
    this.#waiting.push(item);
    this.#wakeUp();
  }

  #wakeUp(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  /** Everything anew: what stands in the store is made whole, then the others are told to read it. */
  #tellAll(): void {
    this.#anew = false;
    this.#forget();
    this.#commands = this.#next();
    this.#held.clear();
    this.#room = Number.POSITIVE_INFINITY;
    this.#push({ kind: 'part' });
    this.#quiet = true;
    this.#options.everything();
    this.#quiet = false;
    this.#push({ kind: 'told' });
    this.#room = this.#waiting.length + STORE_WAITING_MAX;
  }

  /** What is no log and no set where those must be goes; so do the offers that an earlier run left. */
  async #begin(): Promise<void> {
    const { redis, keys, tracker } = this.#options;
    for (const [key, type] of [
      [keys.log, 'stream'],
      [keys.trackers, 'set'],
    ]) {
      const is = await redis.command(['TYPE', key]);
      if (is !== type && is !== 'none') await redis.command(['UNLINK', key]);
    }
    let cursor = '0';
    do {
      const page = await redis.ask(['HSCAN', keys.held(tracker), cursor, 'COUNT', '200']);
      if (!Array.isArray(page) || !Array.isArray(page[1])) break;
      cursor = String(page[0]);
      const peers = page[1].filter((item, i): item is Buffer => i % 2 === 0 && Buffer.isBuffer(item));
      if (peers.length > 0) await redis.command(['UNLINK', ...peers.map((p) => keys.offers(tracker, p.toString()))]);
    } while (cursor !== '0');
  }

  /** Tells of what waits, as much as goes at once. @returns whether there was anything */
  async #tellSome(): Promise<boolean> {
    const replies: Promise<void>[] = [];
    let bytes = 0;
    while (replies.length < AT_ONCE && bytes < BYTES_AT_ONCE) {
      const { value, done } = this.#commands.next();
      if (done) {
        this.#commands = this.#next();
        if (this.#waiting.length === 0) break;
        continue;
      }
      for (const word of value) bytes += word.length;
      replies.push(this.#accepted(value).then(() => {}));
    }
    await Promise.all(replies);
    if (this.#whole && !this.#said) {
      this.#said = true;
      this.#options.whole();
    }
    return replies.length > 0;
  }

  /** @throws HearsayError `refused`, and where the connection failed */
  async #accepted(words: Words): Promise<Reply> {
    const reply = await this.#options.redis.ask(words);
    if (reply instanceof Refusal) throw new HearsayError('refused', `${words[0]}: ${printable(reply.message)}`);
    return reply;
  }

  /** The tracker lives. What it marks must have been there: a store that was emptied has to be told everything. */
  async #beat(): Promise<void> {
    const { keys, tracker, lease } = this.#options;
    const whole = this.#whole;
    const some = this.#standing.size > 0;
    const [alive, held] = await Promise.all(
      [
        ['SET', keys.alive(tracker), aliveText(this.#run, whole), 'XX', 'PX', `${lease}`],
        ['PEXPIRE', keys.held(tracker), `${lease}`],
        ['PEXPIRE', keys.holding(tracker), `${lease}`],
        ['SADD', keys.trackers, tracker],
        ['PEXPIRE', keys.trackers, `${LOG_MS}`],
        this.#log({ kind: 'beat' }),
        ['PEXPIRE', keys.log, `${LOG_MS}`],
      ].map((words) => this.#accepted(words)),
    );
    if (whole && this.#whole && (alive !== 'OK' || (some && held !== 1))) {
      this.#anew = true;
      this.#wakeUp();
    }
  }

  async #renewOffers(): Promise<void> {
    const { keys, tracker } = this.#options;
    let many: Promise<Reply>[] = [];
    for (const peer of [...this.#standing.keys()]) {
      many.push(this.#accepted(['PEXPIRE', keys.offers(tracker, peer), `${OFFERS_MS}`]));
      if (many.length < AT_ONCE) continue;
      await Promise.all(many);
      many = [];
    }
    await Promise.all(many);
  }

  #log(record: Record | Notice): Words {
    const { keys, tracker } = this.#options;
    const entry = packEntry({ tracker, run: this.#run, number: ++this.#number, record });
    return ['XADD', keys.log, 'MAXLEN', '~', `${STORE_LOG_MAX}`, '*', 'r', entry];
  }

  /** The commands for what waits, which is taken away piece by piece. */
  *#next(): Generator<Words, void> {
    const all = this.#waiting;
    this.#forget();
    for (const { record, quiet } of all) {
      this.#room = Math.max(STORE_WAITING_MAX, this.#room - 1);
      if (record.kind === 'part' || record.kind === 'told') yield* this.#mark(record.kind);
      else if (record.kind === 'offers') yield* this.#offers(record, quiet);
      else {
        yield* this.#stand(record);
        if (!quiet) yield this.#log(record);
      }
    }
  }

  *#mark(kind: 'part' | 'told'): Generator<Words> {
    const { keys, tracker, lease } = this.#options;
    this.#whole = kind === 'told';
    yield ['SET', keys.alive(tracker), aliveText(this.#run, this.#whole), 'PX', `${lease}`];
    if (kind === 'part') {
      this.#standing.clear();
      yield ['UNLINK', keys.held(tracker), keys.holding(tracker)];
      yield ['SADD', keys.trackers, tracker];
    } else {
      yield this.#log({ kind: 'told' });
      this.#said = false;
    }
  }

  /** What a record changes of what stands beside the log. */
  *#stand(record: Record | Notice): Generator<Words> {
    const { keys, tracker, lease } = this.#options;
    if (record.kind === 'held') {
      const { id } = record.peer;
      if (!this.#standing.has(id)) this.#standing.set(id, new Set());
      yield ['HSET', keys.held(tracker), id, packRecord(record)];
      yield ['PEXPIRE', keys.held(tracker), `${lease}`];
    } else if (record.kind === 'dropped') {
      const { peer } = record;
      const ids = [...(this.#standing.get(peer) ?? [])];
      this.#standing.delete(peer);
      yield ['HDEL', keys.held(tracker), peer];
      yield ['UNLINK', keys.offers(tracker, peer)];
      if (ids.length > 0) yield ['HDEL', keys.holding(tracker), ...ids.map((id) => `${peer} ${id}`)];
    } else if (record.kind === 'holding') {
      const { peer, id, bits } = record.holding;
      const ids = this.#standing.get(peer);
      const key = keys.holding(tracker);
      if (bits.length === 0 || !ids) {
        ids?.delete(id);
        yield ['HDEL', key, `${peer} ${id}`];
      } else {
        ids.add(id);
        yield ['HSET', key, `${peer} ${id}`, packRecord(record)];
        yield ['PEXPIRE', key, `${lease}`];
      }
    }
  }

  /** Offers as they stand, and in the log: as many as an entry takes; of more that are all there are, only that there are. */
  *#offers(record: Record & { kind: 'offers' }, quiet: boolean): Generator<Words> {
    const { keys, tracker } = this.#options;
    const { peer, whole } = record;
    const key = keys.offers(tracker, peer);
    if (whole) yield ['UNLINK', key];
    let parts = 0;
    for (const { offers, words } of offersInParts(record.offers)) {
      parts++;
      yield ['HSET', key, ...words];
      if (!quiet && !whole) yield this.#log({ ...record, offers, removed: [] });
    }
    if (parts > 0) yield ['PEXPIRE', key, `${OFFERS_MS}`];
    for (const removed of pathsInParts(whole ? [] : record.removed)) {
      yield ['HDEL', key, ...removed];
      if (!quiet) yield this.#log({ ...record, offers: [], removed });
    }
    if (quiet || !whole) return;
    const inOne = parts <= 1 && record.offers.length <= OFFERS_AT_ONCE;
    yield this.#log(inOne ? { ...record, removed: [] } : { kind: 'reread', peer });
  }
}
