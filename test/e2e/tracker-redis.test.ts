/** The store that trackers share, over a true Redis: what one puts in, the others get, whatever happens to the Redis. */
import { execFile, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { settle } from '../../lib/drive/options.js';
import {
  OFFERS_PER_PEER_MAX,
  STORE_LOG_MAX,
  STORE_REPLY_ITEMS_MAX,
  STORE_TRACKERS_MAX,
  STORE_VALUE_MAX,
  STORE_WAITING_MAX,
} from '../../lib/limits.js';
import { type GroupKeys, openGroup, privateGroup } from '../../lib/net/group-keys.js';
import { RedisStore } from '../../lib/net/redis-store.js';
import { type StoreClock, SYSTEM_CLOCK } from '../../lib/net/store-clock.js';
import type { PeerOffer } from '../../lib/offer.js';
import type { Holding, Record, Registrant } from '../../lib/tracker/events.js';
import { packEntry, packOffer, packRecord } from '../../lib/tracker/records.js';
import { contentId, instanceOf, offered, registrant } from '../unit/tracker-suite.js';
import { NO_CONFIG, until } from './lan.js';
import { freePort, RedisServer, redisTest } from './redis.js';

type Held = Record & { kind: 'held' };

/** What is held of a peer, its offers by path, and its holdings by content id. */
interface Told {
  held: Held;
  offers: Map<string, PeerOffer>;
  holdings: Map<string, Holding>;
}

interface NodeOptions {
  group?: GroupKeys;
  lease?: number;
  clock?: StoreClock;
}

/** A tracker's registry in the plainest form: what is held here, and what the others say that they hold. */
class Node {
  readonly id: string;
  readonly store: RedisStore;
  readonly own = new Map<string, Told>();
  /** By tracker and peer. */
  readonly others = new Map<string, Told>();
  readonly shared: Record[] = [];
  readonly states: [boolean, string][] = [];
  readonly warnings: string[] = [];
  backs = 0;

  constructor(
    t: ExecutionContext,
    url: string,
    n: number,
    { group = openGroup(), lease = 1500, clock = SYSTEM_CLOCK }: NodeOptions = {},
  ) {
    this.id = registrant(n).id;
    this.store = new RedisStore({
      url,
      group,
      tracker: this.id,
      lease,
      onState: (there, message) => this.states.push([there, message]),
      onWarning: (message) => this.warnings.push(message),
      random: Math.random,
      clock,
    });
    this.store.start({
      shared: (record) => this.#take(record),
      back: () => this.#tellAll(),
      believes: (tracker, peer) => this.others.has(tracker + peer),
    });
    t.teardown(() => this.store.stop());
  }

  holds(peer: Registrant, ...offers: PeerOffer[]): void {
    const held: Held = { kind: 'held', tracker: this.id, peer, seen: '127.0.0.1:1', reachable: [], since: 5 };
    this.own.set(peer.id, { held, offers: new Map(offers.map((o) => [o.path, o])), holdings: new Map() });
    this.store.share(held);
    this.store.share({ kind: 'offers', tracker: this.id, peer: peer.id, whole: true, offers, removed: [] });
  }

  change(peer: Registrant, offers: PeerOffer[], removed: string[]): void {
    const own = this.own.get(peer.id)?.offers;
    for (const offer of offers) own?.set(offer.path, offer);
    for (const path of removed) own?.delete(path);
    this.store.share({ kind: 'offers', tracker: this.id, peer: peer.id, whole: false, offers, removed });
  }

  receives(peer: Registrant, id: string, bits: Uint8Array): void {
    const holding = { peer: peer.id, id, chunks: 16, bits };
    if (bits.length > 0) this.own.get(peer.id)?.holdings.set(id, holding);
    else this.own.get(peer.id)?.holdings.delete(id);
    this.store.share({ kind: 'holding', tracker: this.id, holding });
  }

  drops(peer: Registrant): void {
    this.own.delete(peer.id);
    this.store.share({ kind: 'dropped', tracker: this.id, peer: peer.id, instance: peer.instance, why: 'left' });
  }

  /** What it knows of what another holds: peers, paths with sizes, holdings. */
  seen(tracker: Node): string[] {
    const all = [...this.others].filter(([key]) => key.startsWith(tracker.id)).map(([, told]) => told);
    return summary(all);
  }

  get holding(): string[] {
    return summary([...this.own.values()]);
  }

  #tellAll(): void {
    this.backs++;
    for (const [peer, { held, offers, holdings }] of this.own) {
      this.store.share(held);
      const all = [...offers.values()];
      this.store.share({ kind: 'offers', tracker: this.id, peer, whole: true, offers: all, removed: [] });
      for (const holding of holdings.values()) this.store.share({ kind: 'holding', tracker: this.id, holding });
    }
  }

  #take(record: Record): void {
    this.shared.push(record);
    if (record.kind === 'held') {
      const key = record.tracker + record.peer.id;
      const known = this.others.get(key);
      if (known) known.held = record;
      else this.others.set(key, { held: record, offers: new Map(), holdings: new Map() });
    } else if (record.kind === 'dropped') this.others.delete(record.tracker + record.peer);
    else if (record.kind === 'offers') {
      const known = this.others.get(record.tracker + record.peer);
      if (record.whole) known?.offers.clear();
      for (const path of record.removed) known?.offers.delete(path);
      for (const offer of record.offers) known?.offers.set(offer.path, offer);
    } else if (record.kind === 'holding') {
      const { holding } = record;
      const known = this.others.get(record.tracker + holding.peer)?.holdings;
      if (holding.bits.length > 0) known?.set(holding.id, holding);
      else known?.delete(holding.id);
    }
  }
}

function summary(all: Told[]): string[] {
  return all
    .flatMap(({ held, offers, holdings }) => [
      `${held.peer.name} ${held.reachable.join()}`,
      ...[...offers.values()].map((o) => `${held.peer.name}: ${o.path} ${o.size} ${o.id}`),
      ...[...holdings.values()].map((h) => `${held.peer.name} has ${h.id} ${Buffer.from(h.bits).toString('hex')}`),
    ])
    .sort();
}

/** Waits until each knows what the others hold. */
async function agree(t: ExecutionContext, ...nodes: Node[]): Promise<void> {
  const differ = () =>
    nodes.flatMap((a) => nodes.filter((b) => b !== a && `${a.seen(b)}` !== `${b.holding}`).map((b) => [a, b] as const));
  await until(() => differ().length === 0, 'the trackers agree').catch((error) => {
    const [a, b] = differ()[0];
    t.deepEqual(a.seen(b).slice(0, 50), b.holding.slice(0, 50));
    throw error;
  });
}

const many = (peer: Registrant, count: number, from = 0) =>
  Array.from({ length: count }, (_, i) => offered(peer.id, `share/folder ${i % 10}/file ${from + i}.txt`, { size: i }));

redisTest('what one tracker holds the other knows at once, and one that comes later too', async (t, redis) => {
  const [a, b] = [new Node(t, redis.url, 1), new Node(t, redis.url, 2)];
  const [x, y] = [registrant(11), registrant(12)];
  a.holds(x, ...many(x, 10));
  await agree(t, a, b);
  b.holds(y, ...many(y, 1000));
  a.receives(x, contentId(5), new Uint8Array([7, 0]));
  await agree(t, a, b);
  // In parts, and as a whole.
  a.change(x, many(x, 1000, 5), ['share/folder 0/file 0.txt']);
  b.change(
    y,
    [],
    many(y, 900).map((o) => o.path),
  );
  a.receives(x, contentId(6), new Uint8Array([1, 0]));
  await agree(t, a, b);
  const c = new Node(t, redis.url, 3);
  await agree(t, a, b, c);
  a.receives(x, contentId(5), new Uint8Array(0));
  b.drops(y);
  await agree(t, a, b, c);
  t.deepEqual(b.holding, []);
  for (const node of [a, b, c]) {
    t.deepEqual(node.warnings, []);
    t.is(node.backs, 1);
    t.deepEqual(
      node.states.map(([there]) => there),
      [true],
    );
  }
});

redisTest('what passes between trackers comes in order and as it was told', async (t, redis) => {
  const [a, b] = [new Node(t, redis.url, 1), new Node(t, redis.url, 2)];
  await until(() => a.store.there && b.store.there, 'both are there');
  const x = registrant(11);
  const told: Record[] = [
    { kind: 'probe', tracker: a.id, peer: x.id, instance: instanceOf(3), number: 4 },
    { kind: 'alive', tracker: a.id, to: b.id, number: 4, alive: false },
    { kind: 'summon', tracker: a.id, peer: x.id, from: { head: x.head, sig: x.sig, addresses: ['10.0.0.1:5'] } },
  ];
  for (const record of told) a.store.share(record);
  await until(() => b.shared.length >= 3, 'the other has them');
  t.deepEqual(
    b.shared.map((r) => r.kind),
    ['probe', 'alive', 'summon'],
  );
  t.deepEqual(b.shared[0], told[0]);
  t.deepEqual(a.shared, []);
});

redisTest(
  'a tracker that dies is forgotten when its lease is over, and leaves nothing that lasts',
  async (t, redis) => {
    const [a, b] = [new Node(t, redis.url, 1), new Node(t, redis.url, 2)];
    const x = registrant(11);
    a.holds(x, ...many(x, 3));
    await agree(t, a, b);
    const held = () => b.shared.filter((r) => r.kind === 'held').length;
    const before = held();
    await until(() => held() > before + 2, 'it is told again that it is held');
    await a.store.stop();
    // Its lease of 1.5 s, and until somebody looks.
    await until(() => b.store.trackers.length === 0, 'it is forgotten');
    const after = held();
    const c = new Node(t, redis.url, 3);
    await until(() => c.store.there, 'a third came');
    t.deepEqual(c.seen(a), []);
    t.is(held(), after);
    const keys = (await redis.keys()).filter((key) => key.includes(a.id));
    t.deepEqual(keys, [`hearsay1:open:offers:${a.id}:${x.id}`]);
    const ttls = await redis.run(...(await redis.keys()).map((key) => ['PTTL', key]));
    t.true(
      ttls.every((ms) => typeof ms === 'number' && ms > 0),
      JSON.stringify(ttls),
    );
  },
);

redisTest('a tracker that comes back under its id tells anew what it holds', async (t, redis) => {
  const [a, b] = [new Node(t, redis.url, 1), new Node(t, redis.url, 2)];
  const [x, y] = [registrant(11), registrant(12)];
  a.holds(x, ...many(x, 3));
  a.holds(y, ...many(y, 3));
  await agree(t, a, b);
  await a.store.stop();
  const again = new Node(t, redis.url, 1);
  again.holds(y, ...many(y, 5));
  await agree(t, again, b);
  t.is(b.seen(again).length, 6);
  t.false((await redis.keys()).some((key) => key.endsWith(x.id)));
});

redisTest(
  'a Redis that is away and comes back empty is told everything, and people hear of it once',
  async (t, redis) => {
    const [a, b] = [new Node(t, redis.url, 1), new Node(t, redis.url, 2)];
    const [x, y, z] = [registrant(11), registrant(12), registrant(13)];
    a.holds(x, ...many(x, 20));
    a.holds(y, ...many(y, 20));
    b.holds(z, ...many(z, 20));
    await agree(t, a, b);
    for (let round = 1; round <= 3; round++) {
      await redis.stop();
      await until(() => !a.store.there && !b.store.there, 'both see that it is away');
      // What changes meanwhile is not lost, nor told to nobody.
      a.change(x, many(x, 5, 100 * round), [`share/folder ${round}/file ${round}.txt`]);
      if (round === 2) a.drops(y);
      t.not(b.seen(a).length, 0, 'what was known is known still');
      await redis.restart();
      await agree(t, a, b);
      await until(() => a.store.there && b.store.there, 'both see that it is there');
      for (const node of [a, b]) {
        t.is(node.backs, 1 + round);
        t.is(node.states.length, 1 + 2 * round);
      }
    }
    t.regex(
      a.states[1][1],
      /^the tracker store redis:\/\/127\.0\.0\.1:\d+ cannot be used \(unreachable: .+\): this tracker goes on alone/,
    );
    t.regex(a.states[2][1], /is there again$/);
  },
);

redisTest('while the store is away the others are believed, for a minute', async (t, redis) => {
  const rings: (() => void)[] = [];
  let now = 1000;
  const clock: StoreClock = {
    now: () => now,
    every: (_ms, then) => {
      rings.push(then);
      return () => {};
    },
  };
  const a = new Node(t, redis.url, 1, { lease: 12_000 });
  const b = new Node(t, redis.url, 2, { lease: 12_000, clock });
  const [x, y] = [registrant(11), registrant(12)];
  a.holds(x);
  a.holds(y);
  await agree(t, a, b);
  await redis.stop();
  await until(() => !b.store.there, 'it is away');
  const again = async () => {
    const before = b.shared.length;
    for (const ring of rings) ring();
    await new Promise((resolve) => setImmediate(resolve));
    return b.shared.slice(before).map((r) => (r.kind === 'held' ? r.peer.name : r.kind));
  };
  now += 50_000;
  t.deepEqual((await again()).sort(), ['peer 11', 'peer 12']);
  // What it does not believe any more it is not told again.
  b.others.delete(a.id + x.id);
  t.deepEqual(await again(), ['peer 12']);
  now += 10_000;
  t.deepEqual(await again(), []);
  t.deepEqual(b.store.trackers, []);
});

redisTest('what is taken away while it is read is not taken for the whole', async (t, redis) => {
  const b = new Node(t, redis.url, 2);
  await until(() => b.store.there, 'it is there');
  const one = registrant(5);
  const run = randomBytes(8);
  const [held, alive] = [`hearsay1:open:held:${one.id}`, `hearsay1:open:alive:${one.id}`];
  const records = Array.from({ length: 500 }, (_, i) => {
    const record: Held = {
      kind: 'held',
      tracker: one.id,
      peer: registrant(200 + i),
      seen: '',
      reachable: [],
      since: 1,
    };
    return [record.peer.id, packRecord(record)];
  });
  const told = (number: number) => {
    const entry = packEntry({ tracker: one.id, run, number, record: { kind: 'told' } });
    return ['XADD', 'hearsay1:open:log', '*', 'r', entry];
  };
  await redis.run(['SET', alive, 'x whole'], ['HSET', held, ...records.flat()], told(1));
  await until(() => b.shared.filter((r) => r.kind === 'offers').length === 500, 'all were read');
  // It is told to read again, and meanwhile the tracker begins anew.
  for (let round = 0; round < 5; round++) {
    await redis.run(told(2 + round));
    await redis.run(['SET', alive, 'x part'], ['UNLINK', held]);
    await redis.run(['HSET', held, ...records.flat()], ['SET', alive, 'x whole']);
  }
  const heard = b.shared.length;
  await redis.run(told(10));
  await until(() => b.shared.length >= heard + 1000, 'all were read again');
  t.deepEqual(
    b.shared.filter((r) => r.kind === 'dropped'),
    [],
  );
});

redisTest('a Redis that loses everything while it is connected is told anew', async (t, redis) => {
  const [a, b] = [new Node(t, redis.url, 1), new Node(t, redis.url, 2)];
  const x = registrant(11);
  a.holds(x, ...many(x, 20));
  await agree(t, a, b);
  await redis.run(['FLUSHALL']);
  await until(() => a.backs === 2, 'it was noticed');
  const c = new Node(t, redis.url, 3);
  await agree(t, a, b, c);
  // One key alone.
  await redis.run(['UNLINK', `hearsay1:open:held:${a.id}`]);
  await until(() => a.backs === 3, 'it was noticed');
  const d = new Node(t, redis.url, 4);
  await agree(t, a, b, c, d);
  t.deepEqual(
    a.states.map(([there]) => there),
    [true],
  );
});

redisTest('a Redis that hangs is given up, and taken up again', async (t, redis) => {
  const [a, b] = [new Node(t, redis.url, 1, { lease: 12_000 }), new Node(t, redis.url, 2, { lease: 12_000 })];
  const x = registrant(11);
  a.holds(x, ...many(x, 20));
  await agree(t, a, b);
  redis.hang();
  a.change(x, many(x, 3, 500), []);
  await until(() => !a.store.there && !b.store.there, 'both give up');
  t.regex(a.states[1][1], /timeout/);
  redis.on();
  await agree(t, a, b);
  t.true(a.store.there);
});

redisTest('beyond STORE_WAITING_MAX what waits is dropped, and everything told anew', async (t, redis) => {
  const [a, b] = [new Node(t, redis.url, 1, { lease: 12_000 }), new Node(t, redis.url, 2, { lease: 12_000 })];
  const x = registrant(11);
  a.holds(x);
  await agree(t, a, b);
  for (let i = 0; i < STORE_WAITING_MAX - 10; i++) a.change(x, [offered(x.id, 'f', { size: i })], []);
  await agree(t, a, b);
  t.is(a.backs, 1);
  for (let i = 0; i < 3 * STORE_WAITING_MAX; i++) a.change(x, [offered(x.id, 'f', { size: i })], []);
  await agree(t, a, b);
  t.is(a.backs, 2);
});

redisTest('the log is no longer than STORE_LOG_MAX', async (t, redis) => {
  const [a, b] = [new Node(t, redis.url, 1, { lease: 12_000 }), new Node(t, redis.url, 2, { lease: 12_000 })];
  const x = registrant(11);
  a.holds(x);
  await agree(t, a, b);
  for (let i = 0; i < STORE_LOG_MAX + 1000; i++) a.change(x, [offered(x.id, 'share/f', { size: i })], []);
  await agree(t, a, b);
  const [length] = await redis.run(['XLEN', 'hearsay1:open:log']);
  // Redis trims whole nodes, of 100 entries.
  t.true((length as number) <= STORE_LOG_MAX + 100, String(length));
  t.true((length as number) >= STORE_LOG_MAX, String(length));
});

redisTest('who missed something of the log reads the whole, and nobody else does', async (t, redis) => {
  const b = new Node(t, redis.url, 2);
  await until(() => b.store.there, 'it is there');
  const one = registrant(5);
  const run = randomBytes(8);
  const seen = () => b.seen({ id: one.id } as Node).map((line) => line.trim());
  const holds = (n: number) => {
    const record: Held = { kind: 'held', tracker: one.id, peer: registrant(n), seen: '', reachable: [], since: 1 };
    return ['HSET', `hearsay1:open:held:${one.id}`, registrant(n).id, packRecord(record)];
  };
  const says = (number: number, from = run) => {
    const entry = packEntry({ tracker: one.id, run: from, number, record: { kind: 'beat' } });
    return ['XADD', 'hearsay1:open:log', '*', 'r', entry];
  };
  const beats = (number: number, from = run) => redis.run(says(number, from));
  await redis.run(['SET', `hearsay1:open:alive:${one.id}`, 'x whole'], holds(11), says(1));
  await until(() => b.store.trackers.length === 1, 'it is heard');
  await beats(3);
  await until(() => seen().length === 1, 'it reads what it missed');
  await redis.run(holds(12));
  await beats(4);
  await beats(4);
  await beats(6);
  await until(() => seen().length === 2, 'it reads again');
  t.deepEqual(seen(), ['peer 11', 'peer 12']);
  // Nothing is missing: what was put there behind its back stays unknown.
  await redis.run(holds(13));
  const heard = () => b.shared.filter((r) => r.kind === 'held' && r.peer.name === 'peer 11').length;
  const before = heard();
  await beats(7);
  await until(() => heard() > before, 'what it holds is told again');
  t.is(seen().length, 2);
  // Another run, of which the first was missed; it does not hold one of them any more.
  await redis.run(['HDEL', `hearsay1:open:held:${one.id}`, registrant(11).id]);
  await beats(2, randomBytes(8));
  await until(() => seen().length === 2 && seen()[1] === 'peer 13', 'it reads again');
  // While it tells anew, what stands there is not taken for the whole.
  await redis.run(['SET', `hearsay1:open:alive:${one.id}`, 'x part'], ['UNLINK', `hearsay1:open:held:${one.id}`]);
  await beats(20, randomBytes(8));
  await beats(30, randomBytes(8));
  await until(() => b.shared.at(-1)?.kind === 'held', 'the beats were taken');
  t.deepEqual(seen(), ['peer 12', 'peer 13']);
});

redisTest('a peer with many offers is read page by page, with one list of all as the result', async (t, redis) => {
  const [a, b] = [new Node(t, redis.url, 1, { lease: 12_000 }), new Node(t, redis.url, 2, { lease: 12_000 })];
  const x = registrant(11);
  const all = many(x, 20_000);
  t.true(all.length < OFFERS_PER_PEER_MAX);
  a.holds(x, ...all);
  const lists = () => b.shared.flatMap((r) => (r.kind === 'offers' && r.offers.length > 0 ? [r.offers.length] : []));
  await until(() => lists().length > 0, 'they are read');
  t.deepEqual(lists(), [20_000]);
  t.deepEqual(b.seen(a), a.holding);
});

redisTest('groups do not mix, and neither do databases', async (t, redis) => {
  const secret = privateGroup(randomBytes(32));
  const [a, b] = [new Node(t, redis.url, 1), new Node(t, redis.url, 2, { group: secret })];
  const [c, d] = [new Node(t, redis.url, 3, { group: secret }), new Node(t, `${redis.url}/1`, 4)];
  const x = registrant(11);
  for (const node of [a, b, d]) node.holds(x, ...many(x, 2));
  await agree(t, b, c);
  await until(() => a.store.there && d.store.there, 'all are there');
  t.deepEqual([a.shared, b.shared, d.shared], [[], [], []]);
  const keys = await redis.keys();
  t.true(keys.every((key) => /^hearsay1:(open|[0-9a-f]{16}):/.test(key)));
  t.false(keys.some((key) => key.includes(secret.psk.toString('hex').slice(0, 16))));
});

redisTest('what others put into the keys does no harm', async (t, redis) => {
  const b = new Node(t, redis.url, 2);
  const [x, y, z] = [registrant(11), registrant(12), registrant(13)];
  const liar = registrant(5).id;
  const run = randomBytes(8);
  const held = (peer: Registrant): Held => ({ kind: 'held', tracker: liar, peer, seen: '', reachable: [], since: 1 });
  const entry = (number: number, record: Parameters<typeof packEntry>[0]['record']) => [
    'XADD',
    'hearsay1:open:log',
    '*',
    'r',
    packEntry({ tracker: liar, run, number, record }),
  ];
  await until(() => b.store.there, 'it is there');
  const forged = { ...x, sig: y.sig };
  const huge = Buffer.alloc(STORE_VALUE_MAX + 1, 0x90);
  await redis.run(
    ['SET', `hearsay1:open:alive:${liar}`, 'run whole'],
    ['HSET', `hearsay1:open:held:${liar}`, x.id, packRecord(held(forged)), y.id, packRecord(held(z))],
    ['HSET', `hearsay1:open:held:${liar}`, z.id, packRecord(held(z)), 'huge', huge, 'text', 'x', huge, 'y'],
    ['SET', `hearsay1:open:holding:${liar}`, 'not a hash'],
    ['HSET', `hearsay1:open:offers:${liar}:${z.id}`, 'a', packOffer(offered(z.id, 'b')), 'c', 'x', 'd', huge],
    ['HSET', `hearsay1:open:offers:${liar}:${z.id}`, 'e', packOffer(offered(z.id, 'e'))],
    ['SADD', 'hearsay1:open:trackers', liar, 'not an id', huge],
    ['XADD', 'hearsay1:open:log', '*', 'r', 'x'],
    ['XADD', 'hearsay1:open:log', '*', 'r', huge, 'more', 'fields'],
    ['XADD', 'hearsay1:open:log', '*', huge, 'r'],
    entry(1, held(forged)),
    entry(2, { kind: 'reread', peer: z.id }),
    entry(2 ** 40, { kind: 'told' }),
  );
  await until(() => b.seen({ id: liar } as Node).length === 2, 'what is in order is taken');
  t.deepEqual(b.seen({ id: liar } as Node), ['peer 13 ', 'peer 13: e 5 null']);
  t.is(b.warnings.length, 1);
  // Wrong types in its own places, and in those of all.
  const a = new Node(t, redis.url, 1);
  a.holds(x, ...many(x, 3));
  await agree(t, a, b);
  await redis.run(
    ['UNLINK', 'hearsay1:open:log', 'hearsay1:open:trackers', `hearsay1:open:held:${a.id}`],
    ['SET', 'hearsay1:open:log', 'x'],
    ['HSET', 'hearsay1:open:trackers', 'x', 'y'],
    ['SET', `hearsay1:open:held:${a.id}`, 'x'],
    ['UNLINK', `hearsay1:open:alive:${b.id}`],
    ['LPUSH', `hearsay1:open:alive:${b.id}`, 'x'],
  );
  a.holds(y, ...many(y, 3));
  await agree(t, a, b);
  const c = new Node(t, redis.url, 3);
  await agree(t, a, b, c);
});

redisTest('of more trackers than STORE_TRACKERS_MAX the others are not taken notice of', async (t, redis) => {
  const b = new Node(t, redis.url, 2);
  await until(() => b.store.there, 'it is there');
  const run = randomBytes(8);
  const commands = Array.from({ length: STORE_TRACKERS_MAX + 20 }, (_, i) => [
    'XADD',
    'hearsay1:open:log',
    '*',
    'r',
    packEntry({ tracker: registrant(100 + i).id, run, number: 1, record: { kind: 'beat' } }),
  ]);
  await redis.run(...commands);
  await until(() => b.store.trackers.length === STORE_TRACKERS_MAX, 'as many are known as may be');
  await until(() => b.store.trackers.length === 0, 'those who are silent make room');
  t.deepEqual(b.warnings, []);
});

redisTest('a Redis that refuses to take anything is told of as away', async (t, redis) => {
  await redis.run(['CONFIG', 'SET', 'maxmemory', '1']);
  const a = new Node(t, redis.url, 1);
  const x = registrant(11);
  a.holds(x, ...many(x, 3));
  await until(() => a.states.length > 0, 'people are told');
  t.false(a.states[0][0]);
  t.regex(a.states[0][1], /refused: .*OOM/);
  await redis.run(['CONFIG', 'SET', 'maxmemory', '0']);
  const b = new Node(t, redis.url, 2);
  await agree(t, a, b);
  t.deepEqual(
    a.states.map(([there]) => there),
    [false, true],
  );
});

redisTest('a password is used, and never shown', async (t, redis) => {
  await redis.run(['CONFIG', 'SET', 'requirepass', 'hush'], ['ACL', 'SETUSER', 'me', 'on', '>hush', '~*', '+@all']);
  const [a, b] = [`redis://:hush@127.0.0.1:${redis.port}`, `redis://me:hush@127.0.0.1:${redis.port}`].map(
    (url, i) => new Node(t, url, i + 1),
  );
  const x = registrant(11);
  a.holds(x, ...many(x, 3));
  await agree(t, a, b);
  const c = new Node(t, `redis://:hushhush@127.0.0.1:${redis.port}`, 3);
  await until(() => c.states.length > 0, 'the wrong one is refused');
  t.regex(c.states[0][1], /refused: AUTH: WRONGPASS/);
  for (const [, message] of [...a.states, ...b.states, ...c.states]) t.false(message.includes('hush'));
  for (const { store } of [a, b, c]) t.is(store.name, `redis://127.0.0.1:${redis.port}`);
});

redisTest('under TLS, to a server whose certificate is good, and to no other', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'hearsay-tls-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const made = spawnSync('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'],
    ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', cert],
  ]);
  if (made.status !== 0) {
    t.log('skipped: no openssl here to make a certificate');
    t.pass();
    return;
  }
  const secure = ['--tls-port', '0', '--tls-cert-file', cert, '--tls-key-file', key, '--tls-auth-clients', 'no'];
  const server = await RedisServer.start(t, ...secure);
  const port = await freePort();
  await server.run(['CONFIG', 'SET', 'tls-port', `${port}`]);
  const redis = new URL('../../lib/net/redis.js', import.meta.url).href;
  const script = `
    const { Redis, redisPlace } = await import(${JSON.stringify(redis)});
    const place = redisPlace('rediss://localhost:${port}');
    await Redis.connect(place, new AbortController().signal, () => {}).then(
      async (redis) => { console.log(await redis.command(['PING'])); redis.close(); },
      (error) => console.log(error.code, error.message),
    );`;
  const says = async (env: { NODE_EXTRA_CA_CERTS?: string }) => {
    const run = promisify(execFile);
    const args = ['--input-type=module', '-e', script];
    return (await run(process.execPath, args, { env: { ...process.env, ...env } })).stdout.trim();
  };
  t.is(await says({ NODE_EXTRA_CA_CERTS: cert }), 'PONG');
  t.regex(await says({}), /^unreachable .*self.signed/);
});

/** What an evil server answers to everything but the first words, until the other side has had enough. */
const EVIL: [string, (socket: Socket) => void][] = [
  [
    'a list without end',
    (socket) => socket.write(`*${STORE_REPLY_ITEMS_MAX * 100}\r\n${':1\r\n'.repeat(STORE_REPLY_ITEMS_MAX + 10)}`),
  ],
  ['a line without end', (socket) => socket.write(`+${'x'.repeat(100_000)}`)],
  ['lists within lists', (socket) => socket.write('*1\r\n'.repeat(100_000))],
  ['bytes that mean nothing', (socket) => socket.write(randomBytes(100_000))],
  ['nothing', (socket) => socket.destroy()],
  ['the wrong kinds', (socket) => socket.write('*2\r\n:1\r\n*1\r\n*1\r\n:1\r\n')],
];
for (const [what, answer] of EVIL) {
  test(`a server that answers with ${what} is given up`, async (t) => {
    let connections = 0;
    const server = createServer((socket) => {
      connections++;
      let asked = 0;
      socket.on('error', () => {});
      socket.on('data', () => (asked++ === 0 ? socket.write('+PONG\r\n') : answer(socket)));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.teardown(() => server.close());
    const { port } = server.address() as { port: number };
    const a = new Node(t, `redis://127.0.0.1:${port}`, 1);
    await until(() => connections > 4, 'it is tried again');
    t.deepEqual(
      a.states.map(([there]) => there),
      [false],
    );
    await a.store.stop();
  });
}

test('a store that was never there is let go of at once', async (t) => {
  const server = createServer(() => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const { port } = server.address() as { port: number };
  const a = new Node(t, `redis://127.0.0.1:${port}`, 1);
  const begun = performance.now();
  await a.store.stop();
  t.true(performance.now() - begun < 2000);
  t.throws(() => new Node(t, 'http://x', 1), { code: 'usage' });
});

for (const url of ['redis://:hush@host/name', 'redis://:hush@', 'redis://:hush@host:99999']) {
  test(`a peer is not started with the store ${url}, and the password is not repeated`, async (t) => {
    const error = await t.throwsAsync(settle({ trackerStore: url, config: NO_CONFIG }), { code: 'usage' });
    t.regex(error?.message ?? '', /redis:\/\/host:6379\/0/i);
    t.false(error?.message.includes('hush'));
  });
}
