/**
 * The store through which several trackers serve one registry: a Redis, or a Valkey.
 *
 * Owns two connections to it, one that tells and one that reads, and makes them again when they fail. Always true: nothing
 * waits for it (lookups and registrations go on while it is away), and each time that it is there (again) everything is told and
 * read anew, so that it may have lost everything. Called by the tracker's driver.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Millis, Random } from '../clock.js';
import { asHearsayError, type HearsayError } from '../errors.js';
import type { PeerId } from '../ids.js';
import type { Record } from '../tracker/events.js';
import type { GroupKeys } from './group-keys.js';
import { formatRedis, Redis, redisPlace } from './redis.js';
import { type StoreClock, SYSTEM_CLOCK } from './store-clock.js';
import { storeKeys } from './store-keys.js';
import { Reader } from './store-reader.js';
import { Teller } from './store-teller.js';

export interface StoreOptions {
  /** `redis://` or `rediss://`, perhaps with a password. */
  url: string;
  /** Trackers of different groups do not see each other's. */
  group: GroupKeys;
  tracker: PeerId;
  /** ms after which a tracker of which nothing comes holds nothing, as the others see it. */
  lease: Millis;
  /** For people, once for each change: whether the store is there, and in words. */
  onState(there: boolean, message: string): void;
  /** For people: something in the store is not what trackers write there. */
  onWarning(message: string): void;
  random: Random;
  /** Left out: the system's. */
  clock?: StoreClock;
}

/** Who uses it. */
export interface StoreHandlers {
  /** What another tracker of the registry tells. */
  shared(record: Record): void;
  /** It is there (again), and may be empty: everything that this tracker holds is to be given to `share`, before this returns. */
  back(): void;
  /** Whether another tracker is believed still to hold a peer. */
  believes(tracker: PeerId, peer: PeerId): boolean;
}

/** How long until it is tried again, ms: doubled each time, half of it by chance. Far below a lease. */
const AGAIN_FIRST = 200;
const AGAIN_MAX = 2000;
/** A connection that lasted so long was no failed attempt, ms. */
const LASTED = 10_000;
/** What waits when the tracker stops may be told for so long, ms. */
const CLOSE_MS = 500;

export class RedisStore {
  readonly #options: StoreOptions;
  readonly #place;
  readonly #keys;
  readonly #clock: StoreClock;
  readonly #abort = new AbortController();
  #reader: Reader | undefined;
  #running: Promise<void> | undefined;
  #endRenewing: (() => void) | undefined;
  /** While it is connected. */
  #teller: Teller | undefined;
  /** What was said last of whether it is there. */
  #there: boolean | undefined;
  #odd = 0;

  /** @throws HearsayError `usage` where the URL is none */
  constructor(options: StoreOptions) {
    this.#options = options;
    this.#place = redisPlace(options.url);
    this.#keys = storeKeys(options.group);
    this.#clock = options.clock ?? SYSTEM_CLOCK;
  }

  /** Connects, and again whenever it has to. */
  start(handlers: StoreHandlers): void {
    const { tracker, lease } = this.#options;
    const { shared, believes } = handlers;
    const clock = this.#clock;
    const odd = (what: string) => this.#isOdd(what);
    const reader = new Reader({ keys: this.#keys, tracker, lease, shared, believes, clock, odd });
    this.#reader = reader;
    this.#endRenewing = clock.every(lease / 3, () => reader.renew());
    this.#running = this.#run(reader, handlers);
  }

  /** Where it is, for people: without user and password. */
  get name(): string {
    return formatRedis(this.#place);
  }

  /** Whether it is there, and has all that this tracker holds. */
  get there(): boolean {
    return this.#there === true;
  }

  /** Other trackers that live, as far as is known. */
  get trackers(): PeerId[] {
    return this.#reader?.trackers ?? [];
  }

  /** Tells the other trackers. While the store is away nothing is kept: everything is told when it is back. */
  share(record: Record): void {
    this.#teller?.share(record);
  }

  /** Tells what waits, if that is soon done, and lets go. */
  async stop(): Promise<void> {
    this.#endRenewing?.();
    const soon = setTimeout(() => this.#abort.abort(), CLOSE_MS);
    if (this.#teller) this.#teller.close();
    else this.#abort.abort();
    await this.#running;
    clearTimeout(soon);
  }

  async #run(reader: Reader, handlers: StoreHandlers): Promise<void> {
    const { signal } = this.#abort;
    let again = AGAIN_FIRST;
    while (!signal.aborted) {
      const begun = performance.now();
      try {
        await this.#connected(reader, handlers);
        return;
      } catch (thrown) {
        if (signal.aborted) return;
        this.#away(asHearsayError(thrown));
      }
      if (performance.now() - begun >= LASTED) again = AGAIN_FIRST;
      // Ends at once when it is closed.
      await delay(again * (0.5 + this.#options.random() / 2), undefined, { signal }).catch(() => {});
      again = Math.min(AGAIN_MAX, again * 2);
    }
  }

  /** One pair of connections, until one fails. @throws HearsayError unless it was closed */
  async #connected(reader: Reader, { back }: StoreHandlers): Promise<void> {
    const { tracker, lease } = this.#options;
    const open: Redis[] = [];
    let first: HearsayError | undefined;
    // With one the other ends too; why the first did is what counts.
    const close = (why?: HearsayError) => {
      first ??= why;
      for (const redis of open) redis.close();
    };
    try {
      for (let i = 0; i < 2; i++) open.push(await Redis.connect(this.#place, this.#abort.signal, close));
      const [telling, reading] = open;
      this.#teller = new Teller({
        redis: telling,
        keys: this.#keys,
        tracker,
        lease,
        clock: this.#clock,
        everything: back,
        whole: () => this.#isThere(),
      });
      await Promise.race([this.#teller.tell(), reader.read(reading)]);
    } catch (thrown) {
      throw first ?? thrown;
    } finally {
      this.#teller = undefined;
      reader.away();
      close();
    }
  }

  #isThere(): void {
    if (this.#there === true) return;
    const again = this.#there === undefined ? '' : ' again';
    this.#there = true;
    this.#options.onState(true, `the tracker store ${this.name} is there${again}`);
  }

  #away(error: HearsayError): void {
    this.#odd = 0;
    if (this.#there === false) return;
    this.#there = false;
    const why = `${error.code}: ${error.message}`;
    const meanwhile = 'this tracker goes on alone, and tells the others when it is back';
    this.#options.onState(false, `the tracker store ${this.name} cannot be used (${why}): ${meanwhile}`);
  }

  #isOdd(what: string): void {
    if (this.#odd++ > 0) return;
    this.#options.onWarning(
      `${what} in the tracker store ${this.name} was not written by a tracker; it is passed over`,
    );
  }
}
