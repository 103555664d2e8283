/**
 * Two registries that tell each other everything by way of a true Redis, on a virtual clock: the suite's harness for the store.
 * Each harness has a database of its own, and reaches it through a relay that can be shut. What a registry hears from the store
 * it is handed when the harness settles, so that the order of things does not depend on how fast the Redis is.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { seeded } from '../../lib/clock.js';
import { openGroup } from '../../lib/net/group-keys.js';
import { RedisStore } from '../../lib/net/redis-store.js';
import type { StoreClock } from '../../lib/net/store-clock.js';
import type { Record, RegistryEffect, RegistryEvent } from '../../lib/tracker/events.js';
import { LEASE, Registry } from '../../lib/tracker/registry.js';
import { gather, type Harness, registrant } from '../unit/tracker-suite.js';
import { until } from './lan.js';
import type { RedisServer } from './redis.js';

const BEGIN = 1_700_000_000_000;
/** Clocks of two machines are not the same. */
const APART = 137;
/** Numbers of records that only say how far a tracker has heard; those of registries are below. */
const FENCE = 2 ** 40;

/** Passes connections on to a port while it is open. */
class Relay {
  readonly #to: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  isOpen = true;

  constructor(to: number) {
    this.#to = to;
    this.#server = createServer((socket) => this.#pass(socket));
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    const address = this.#server.address();
    return typeof address === 'object' && address ? address.port : 0;
  }

  shut(): void {
    this.isOpen = false;
    for (const socket of this.#sockets) socket.destroy();
  }

  close(): void {
    this.shut();
    this.#server.close();
  }

  #pass(from: Socket): void {
    if (!this.isOpen) {
      from.destroy();
      return;
    }
    const to = connect(this.#to, '127.0.0.1');
    for (const [one, other] of [
      [from, to],
      [to, from],
    ]) {
      this.#sockets.add(one);
      one.setNoDelay(true);
      one.on('data', (data) => other.write(data));
      one.on('error', () => {});
      one.on('close', () => {
        this.#sockets.delete(one);
        other.destroy();
      });
    }
  }
}

/** The virtual clock as one tracker has it. */
class Clock implements StoreClock {
  readonly #rings = new Set<{ at: number; ms: number; then: () => void }>();
  now: () => number;

  constructor(now: () => number) {
    this.now = now;
  }

  every(ms: number, then: () => void): () => void {
    const ring = { at: this.now() + ms, ms, then };
    this.#rings.add(ring);
    return () => this.#rings.delete(ring);
  }

  ring(): void {
    for (const ring of [...this.#rings]) {
      if (ring.at > this.now()) continue;
      ring.at = this.now() + ring.ms;
      ring.then();
    }
  }
}

interface Tracker {
  registry: Registry;
  store: RedisStore;
  clock: Clock;
  timerAt: number;
  effects: RegistryEffect[];
  /** What the store told and the registry was not handed yet. */
  inbox: Record[];
  /** The last fence that came. */
  fence: number;
  /** When it was killed. */
  killedAt: number | undefined;
}

let databases = 0;

export async function redisHarness(redis: RedisServer): Promise<Harness> {
  const ids = [registrant(9001).id, registrant(9002).id] as const;
  const database = databases++;
  const relay = new Relay(redis.port);
  const url = `redis://127.0.0.1:${await relay.listen()}/${database}`;
  let now = BEGIN;
  let fences = 0;
  /** What registries told since somebody looked. */
  let told = 0;

  const handle = (tracker: Tracker, i: number, event: RegistryEvent): RegistryEffect[] => {
    if (tracker.killedAt !== undefined) return [];
    const seen: RegistryEffect[] = [];
    for (const effect of tracker.registry.handle(event, nowOf(i))) {
      if (effect.kind === 'timer') tracker.timerAt = effect.at;
      else if (effect.kind === 'share') {
        told++;
        tracker.store.share(effect.record);
      } else seen.push(effect);
    }
    tracker.effects.push(...seen);
    return seen;
  };
  const nowOf = (i: number) => now + i * APART;

  const fresh = (i: number): Tracker => {
    const clock = new Clock(() => nowOf(i));
    const registry = new Registry({ id: ids[i] }, seeded(i));
    const store = new RedisStore({
      url,
      group: openGroup(),
      tracker: ids[i],
      lease: LEASE,
      onState: () => {},
      onWarning: () => {},
      random: Math.random,
      clock,
    });
    const timerAt = Number.POSITIVE_INFINITY;
    const one = { registry, store, clock, timerAt, effects: [], inbox: [], fence: 0, killedAt: undefined };
    const tracker: Tracker = one;
    store.start({
      shared: (record) => {
        if (record.kind === 'alive' && record.number >= FENCE) tracker.fence = Math.max(tracker.fence, record.number);
        else tracker.inbox.push(record);
      },
      back: () => void handle(tracker, i, { kind: 'store-back' }),
      believes: (other, peer) => registry.get(peer)?.homes.includes(other) ?? false,
    });
    return tracker;
  };
  const trackers = [fresh(0), fresh(1)];
  const living = () => trackers.filter(({ killedAt }) => killedAt === undefined);

  const sweep = () => {
    for (const [i, tracker] of trackers.entries()) {
      if (tracker.timerAt > nowOf(i)) continue;
      tracker.timerAt = Number.POSITIVE_INFINITY;
      handle(tracker, i, { kind: 'sweep' });
    }
  };

  /** Each has heard what the other told until now. */
  const pass = async () => {
    if (!relay.isOpen || living().length < 2) return;
    const number = FENCE + ++fences;
    // What stands in the store is told by a notice alone: a fence that is told while that goes on is told again.
    let tries = 0;
    await until(() => {
      if (tries++ % 10 === 0) {
        for (const [i, { store }] of trackers.entries()) {
          if (store.there) store.share({ kind: 'alive', tracker: ids[i], to: ids[1 - i], number, alive: false });
        }
      }
      return trackers.every(({ fence }) => fence >= number);
    }, 'the trackers have heard each other');
  };

  const settle = async () => {
    sweep();
    do {
      told = 0;
      await pass();
      for (const [i, tracker] of trackers.entries()) {
        for (const record of tracker.inbox.splice(0)) handle(tracker, i, { kind: 'shared', record });
      }
    } while (told > 0 && relay.isOpen && living().length === 2);
  };

  /** What a Redis does by itself, on its own clock: what a tracker that is dead held ends with its lease. */
  const expire = async () => {
    for (const [i, { killedAt }] of trackers.entries()) {
      if (killedAt === undefined || now - killedAt < LEASE) continue;
      const keys = ['alive', 'held', 'holding'].map((kind) => `hearsay1:open:${kind}:${ids[i]}`);
      await redis.run(['SELECT', `${database}`], ['UNLINK', ...keys]);
    }
  };

  await until(() => trackers.every(({ store }) => store.there), 'the store is there');
  await settle();
  for (const tracker of trackers) tracker.effects.length = 0;

  return {
    ids,
    event: async (i, event) => {
      const seen = handle(trackers[i], i, event);
      sweep();
      return seen;
    },
    lookup: async (i, kind, text) => gather(trackers[i].registry.lookup(kind, text)),
    settle,
    advance: async (ms) => {
      const end = now + ms;
      while (now < end) {
        now = Math.min(end, now + 100);
        for (const { clock } of living()) clock.ring();
        await expire();
        await settle();
      }
    },
    effects: (i) => trackers[i].effects.splice(0),
    kill: async (i) => {
      trackers[i].killedAt = now;
      await trackers[i].store.stop();
    },
    start: async (i) => {
      trackers[i] = fresh(i);
      await until(() => trackers[i].store.there, 'the store is there');
      await settle();
    },
    storeAway: async () => {
      relay.shut();
      await until(() => trackers.every(({ store }) => !store.there), 'the store is away');
    },
    storeBack: async () => {
      await redis.run(['SELECT', `${database}`], ['FLUSHDB']);
      relay.isOpen = true;
      await until(() => living().every(({ store }) => store.there), 'the store is there');
    },
    end: async () => {
      await Promise.all(trackers.map(({ store }) => store.stop()));
      relay.close();
      await redis.run(['SELECT', `${database}`], ['FLUSHDB']);
    },
  };
}
