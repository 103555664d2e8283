/** What liars could do to a tracker's parts and to those who use it, each of them alone; see also e2e/tracker-hostile. */
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import { Clients, say } from '../../lib/drive/clients.js';
import { DialBack } from '../../lib/drive/dial-back.js';
import { blake3 } from '../../lib/hash.js';
import { peerId } from '../../lib/ids.js';
import {
  CHUNKS_MAX,
  SEND_BESIDE_MAX,
  SUMMONED_MAX,
  TRACKERS_KNOWN_MAX,
  TRACKERS_MAX,
  TUNNELS_MAX,
  TUNNELS_PER_ADDRESS_MAX,
} from '../../lib/limits.js';
import { openGroup } from '../../lib/net/group-keys.js';
import type { Redis } from '../../lib/net/redis.js';
import { SYSTEM_CLOCK } from '../../lib/net/store-clock.js';
import { storeKeys } from '../../lib/net/store-keys.js';
import { Teller } from '../../lib/net/store-teller.js';
import { Client, type ClientEffect, type ClientEvent } from '../../lib/tracker/client.js';
import { Directory, type DirectorySettings } from '../../lib/tracker/directory.js';
import { type Holding, LOOKUP, type Registered } from '../../lib/tracker/events.js';
import { FollowLog, type Query, queryOf } from '../../lib/tracker/follow.js';
import { Holdings } from '../../lib/tracker/holdings.js';
import { Relay } from '../../lib/tracker/relay.js';
import { headStatement, packHead } from '../../lib/wire/head.js';
import type { MessageOf, Neighbour } from '../../lib/wire/table.js';
import { fakeSigner } from '../sim/signer.js';
import { FarEnd, turns } from './bounds-link.js';
import { contentId, offered, registrant } from './tracker-suite.js';

const ANN: Registered = { ...registrant(1), reachable: [], seen: '', link: 1, homes: [], since: 0 };

/** A client, and whether the last it was told to do was of some kind. */
class User {
  readonly client = new Client('ME', () => 0.5);
  now = 0;
  effects: ClientEffect[] = [];

  take(event: ClientEvent): ClientEffect[] {
    this.effects = this.client.handle(event, this.now);
    return this.effects;
  }

  /** A tracker is connected with, and says yes to whatever it is asked. */
  link(tracker: string, link: number, endpoint?: string, lease = 12_000): void {
    let all = this.take({ kind: 'linked', tracker, link, name: tracker, address: `10.0.0.1:${link}` });
    if (endpoint) all = [...all, ...this.take({ kind: 'joined', link, endpoint })];
    this.answer(all, lease);
  }

  answer(effects: readonly ClientEffect[], lease = 12_000): void {
    const said = { seen: '10.0.0.9:5', reachable: [], lease, peers: 1, offers: 1 };
    for (const effect of effects) {
      if (effect.kind === 'join') this.take({ kind: 'registered', link: effect.link, number: effect.number, said });
    }
  }

  hear(id: string, addresses = [`10.0.0.2:${id.length}`], origin: 'heard' | 'told' = 'heard'): ClientEffect[] {
    return this.take({ kind: 'known', tracker: { id, name: id, addresses }, origin });
  }

  get registered(): string[] {
    return this.client.rows().flatMap(({ id, registered }) => (registered ? [id as string] : []));
  }
}

test('trackers that somebody sets up to be heard keep nobody from the one that was joined', (t) => {
  const user = new User();
  for (let n = 0; n < TRACKERS_KNOWN_MAX; n++) user.hear(`rogue ${n}`);
  for (let n = 0; n < TRACKERS_MAX; n++) user.link(`rogue ${n}`, n + 1);
  t.is(user.registered.length, TRACKERS_MAX);
  user.link('mine', 99, 'mine.example');
  t.true(user.registered.includes('mine'));
  t.is(user.registered.length, TRACKERS_MAX, 'in place of one of them');
  // It was away, and another took its place meanwhile.
  user.take({ kind: 'unlinked', link: 99, code: 'unreachable', message: '' });
  user.now += 60_000;
  user.answer(user.take({ kind: 'timer' }));
  user.link(`rogue ${TRACKERS_MAX}`, 50);
  user.link('mine', 100, 'mine.example');
  t.true(user.registered.includes('mine'));
});

test('a tracker that names a lease of nothing is not asked without a pause', (t) => {
  const user = new User();
  user.link('rogue', 1, 'rogue.example', 1);
  const at = user.effects.findLast((e) => e.kind === 'timer')?.at ?? 0;
  t.true(at >= 1000, `${at}`);
});

test('where a tracker is, its own connection says and not another tracker', (t) => {
  const user = new User();
  user.hear('good', ['10.0.0.3:7']);
  user.link('good', 1);
  const lies = Array.from({ length: 16 }, (_, i) => `10.9.9.${i}:9`);
  user.hear('good', lies, 'told');
  user.now += 1000;
  user.take({ kind: 'unlinked', link: 1, code: 'unreachable', message: '' });
  user.now += 10_000;
  const dialled = user.take({ kind: 'timer' }).find((e) => e.kind === 'dial');
  t.deepEqual(dialled?.addresses.slice(0, 2), ['10.0.0.1:1', '10.0.0.3:7']);
});

const page = (more: Partial<MessageOf<'f'>> = {}): MessageOf<'f'> => {
  return { type: 'f', number: 1, reset: false, peers: [], offers: [], have: [], gone: [], last: true, ...more };
};

interface Writer {
  id: string;
  says: Neighbour;
}

function writer(name: string, signs = true): Writer {
  const key = Uint8Array.from(blake3(name));
  const id = peerId(key, 1_700_000_000_000);
  const rest = { flags: 0, epoch: 1, version: 1, beat: 1, files: 1, bytes: 0, count: 1, floor: 0 };
  const head = packHead({ id, key, name, port: 5, ...rest, root: new Uint8Array(32), echo: new Uint8Array(0) });
  const sig = signs ? fakeSigner(key).sign(headStatement(head)) : new Uint8Array(64);
  return { id, says: { head, sig, addresses: ['10.0.0.5:5'] } };
}

function directory(more: Partial<DirectorySettings> = {}): Directory {
  const verify = (key: Uint8Array, statement: Uint8Array, sig: Uint8Array) =>
    fakeSigner(key).verify(key, statement, sig);
  return new Directory({ id: 'ME', verify, ...more });
}

const offers = ({ id }: Writer, count: number) => [
  { peer: id, offers: Array.from({ length: count }, (_, i) => offered(id, `f${i}`)) },
];

test('heads that one tracker invents are checked at its own expense', (t) => {
  const all = directory({ mostChecks: 5 });
  const [rogue, honest] = [all.begin('R', false), all.begin('H', false)];
  const forged = Array.from({ length: 20 }, (_, i) => writer(`forged ${i}`, false).says);
  all.page(rogue, page({ peers: forged }), 0);
  // Nor does it help to begin anew.
  all.end(rogue);
  t.is(all.refused, 20);
  const again = all.begin('R', false);
  all.page(again, page({ peers: [writer('late').says] }), 0);
  t.is(all.refused, 21);
  all.page(honest, page({ peers: [writer('ann').says] }), 0);
  t.true(all.has(writer('ann').id));
});

test('a tracker that tells more than there may be loses its own, not what others tell', (t) => {
  const all = directory({ most: 100, mostPeers: 10 });
  const [rogue, honest] = [all.begin('R', false), all.begin('H', false)];
  const [ann, liar] = [writer('ann'), writer('liar')];
  all.page(rogue, page({ peers: [liar.says], offers: offers(liar, 95) }), 0);
  const told = all.page(honest, page({ peers: [ann.says], offers: offers(ann, 20) }), 0);
  t.is(all.countOf(ann.id), 20);
  t.deepEqual(
    told.left.map(({ id }) => id),
    [liar.id],
  );
  t.false(rogue.isWhole);
  t.throws(() => all.page(rogue, page({ peers: [liar.says] }), 0), { code: 'limit' });
  // And likewise with peers.
  const crowd = Array.from({ length: 9 }, (_, i) => writer(`crowd ${i}`).says);
  all.page(rogue, page({ peers: crowd }), 0);
  all.page(honest, page({ peers: [writer('bert').says] }), 0);
  t.true(all.has(ann.id) && all.has(writer('bert').id));
});

test('what was about to be told anew when the tracker was lost is forgotten like the rest', (t) => {
  const all = directory();
  const telling = all.begin('T', false);
  const [ann, bert] = [writer('ann'), writer('bert')];
  all.page(telling, page({ peers: [ann.says, bert.says] }), 0);
  all.page(telling, page({ reset: true, peers: [ann.says], last: false }), 0);
  all.lose(telling, 1000);
  all.sweep(2000);
  t.deepEqual([...all.peers()], []);
});

test('large bit sets of which small stretches change are not kept for those who are behind', (t) => {
  const log = new FollowLog();
  const bits = (): Uint8Array => new Uint8Array(CHUNKS_MAX / 8).fill(1);
  const id = contentId(7);
  let latest: Holding | undefined;
  const before = process.memoryUsage().arrayBuffers;
  for (let n = 0; n < 2000; n++) {
    latest = { peer: ANN.id, id, chunks: CHUNKS_MAX, bits: bits() };
    log.add({ kind: 'holding', holding: latest });
  }
  global.gc?.();
  const query = queryOf(LOOKUP.holders, id) as Query;
  const found = [...log.since(0, log.head, query, () => latest)].flatMap(({ have }) => have);
  t.deepEqual(found, [latest]);
  t.true(process.memoryUsage().arrayBuffers - before < 2000 * bits().length);
  // Held no more, when it is told.
  const none = [...log.since(0, log.head, query, () => undefined)].flatMap(({ have }) => have);
  t.deepEqual(
    none.map((one) => [one.peer, one.chunks, one.bits.length]),
    [[ANN.id, CHUNKS_MAX, 0]],
  );
});

test('those who follow what takes long to compare hold up nobody', (t) => {
  const log = new FollowLog();
  const path = (n: number) => `${`${'a'.repeat(250)}/`.repeat(16)}${n}`;
  for (let n = 0; n < 300; n++) {
    log.add({ kind: 'offer', change: { before: undefined, after: offered(ANN.id, path(n)) } });
  }
  const text = `::::${'*a'.repeat(510)}`;
  const rests = (kind: number, what: string) => {
    const pieces = [...log.since(0, log.head, queryOf(kind, what) as Query, () => undefined)];
    return pieces.filter(({ offers, peers, have }) => offers.length + peers.length + have.length === 0).length;
  };
  // Some milliseconds each.
  t.true(rests(LOOKUP.what, text) >= 299, `${rests(LOOKUP.what, text)}`);
  t.true(rests(LOOKUP.holders, contentId(1)) < 60);
});

test('who is only slow is still told small things; who takes nothing, or has too much of them, is cut off', async (t) => {
  const data = Buffer.alloc(1 << 17);
  const full = () => {
    const far = new FarEnd('10.0.0.2', { room: () => 0 });
    far.hold();
    while (far.link.writable) far.link.send({ type: 'T', number: 1, block: 0, hash: new Uint8Array(0), data });
    return far;
  };
  const word = { type: 'p', number: 1, answer: true } as const;
  const slow = full();
  say(slow.link, word);
  t.true(slow.link.open);
  await slow.release();
  await turns(() => slow.of('p').length === 1);
  const deaf = full();
  await delay(2100);
  say(deaf.link, word);
  t.is(deaf.ended?.code, 'limit');
  const flooded = full();
  for (let n = 0; n < 500_000 && flooded.link.open; n++) say(flooded.link, word);
  t.is(flooded.ended?.code, 'limit');
  t.true(flooded.link.queued <= data.length * 2 + SEND_BESIDE_MAX);
});

test('who has very many addresses tried takes the places of his own', async (t) => {
  const open: (() => void)[] = [];
  const back = new DialBack(() => new Promise((end) => open.push(() => end(true))), 8, 100, 10_000);
  const outcomes = new Map<string, boolean>();
  const ask = (host: string, n: number) => {
    const done = (address: string, reached: boolean) => outcomes.set(address, reached);
    const addresses = Array.from({ length: 8 }, (_, i) => `10.7.${n}.${i}:5`);
    back.ask({ peer: ANN.id, host, port: 5, done }, addresses);
  };
  for (let n = 0; n < 40; n++) ask('10.0.0.1', n);
  ask('10.0.0.2', 99);
  t.true(back.size <= 108);
  t.false(
    [...outcomes.keys()].some((address) => address.startsWith('10.7.99.')),
    'none is given up',
  );
  while (open.length > 0 || back.size > 0) {
    open.shift()?.();
    await delay(0);
  }
  t.is([...outcomes].filter(([address, reached]) => address.startsWith('10.7.99.') && reached).length, 8);
});

test('those of one address have a part of all tunnels, and others have theirs', (t) => {
  const relay = new Relay<string>(
    () => 1,
    undefined,
    (link) => link.slice(0, 4),
  );
  const ask = (number: number): MessageOf<'t'> => ({ type: 't', number, from: ANN.id, to: registrant(2).id });
  for (let n = 0; n < TUNNELS_MAX; n++) relay.open(`one ${n}`, ask(1), 0);
  t.is(relay.size, TUNNELS_PER_ADDRESS_MAX);
  t.like(relay.open('one 99', ask(1), 0), [{ kind: 'send', message: { type: 'e', code: 'limit' } }]);
  t.like(relay.open('two 1', ask(1), 0), [{ kind: 'connect' }]);
});

test('what one says of one content again and again waits for a slow store once', async (t) => {
  const told: string[][] = [];
  let release = () => {};
  let slow: Promise<unknown> = Promise.resolve();
  const redis = {
    ask: async (words: (string | Uint8Array)[]) => {
      told.push(words.map(String));
      await slow;
      return 'OK';
    },
    command: async () => 'none',
    close: () => {},
  } as unknown as Redis;
  const rest = { keys: storeKeys(openGroup()), tracker: registrant(9).id, lease: 12_000, clock: SYSTEM_CLOCK };
  const teller = new Teller({ ...rest, redis, everything: () => {}, whole: () => {} });
  const done = teller.tell();
  await delay(20);
  const { reachable, seen, homes, since, link, ...peer } = ANN;
  teller.share({ kind: 'held', tracker: rest.tracker, peer, seen, reachable, since });
  await delay(20);
  slow = new Promise<void>((resolve) => {
    release = resolve;
  });
  const holding = (n: number): Holding => ({ peer: ANN.id, id: contentId(n), chunks: 8, bits: Uint8Array.of(n) });
  const share = (n: number) => teller.share({ kind: 'holding', tracker: rest.tracker, holding: holding(n) });
  share(1);
  await delay(20);
  for (let n = 0; n < 1000; n++) share(2);
  release();
  slow = Promise.resolve();
  teller.close();
  await done;
  const of = (n: number) => told.filter(([word, , field]) => word === 'HSET' && field === `${ANN.id} ${contentId(n)}`);
  t.deepEqual([of(1).length, of(2).length], [1, 1]);
});

test('whom those of an address asked to be dialled by is not remembered for ever', (t) => {
  const clients = new Clients();
  const all = Array.from({ length: 300 }, (_, n) => clients.of(new FarEnd(`10.0.${n >> 8}.${n & 255}`).link));
  for (let n = 0; n < SUMMONED_MAX + 500; n++) clients.maySummon(all[n % 300], registrant(1 + (n % 251)).id);
  t.is(clients.summoned, SUMMONED_MAX);
});

test('what gave way in vain for a large bit set is told of all the same', (t) => {
  const held = new Holdings(10);
  const put = (peer: number, content: number, bytes: number) =>
    held.put(registrant(peer).id, contentId(content), 8 * bytes, 0, new Uint8Array(bytes).fill(1));
  put(1, 1, 4);
  put(2, 2, 3);
  put(2, 3, 3);
  const told = put(3, 4, 5);
  t.deepEqual([...held].map(({ id }) => id).sort(), [contentId(1), contentId(3)].sort());
  t.deepEqual(
    told.map(({ id, bits }) => [id, bits.length]),
    [[contentId(2), 0]],
  );
});
