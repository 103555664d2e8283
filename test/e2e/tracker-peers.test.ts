/** Whole peers that hear no multicast and are joined to a tracker: they find each other, and fetch from each other. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import type { StatusReport } from '../../lib/api.js';
import { MIRROR_OFFERS_MAX, MIRROR_PEERS_MAX } from '../../lib/limits.js';
import { hearsay, told } from './child.js';
import { freePort } from './free-port.js';
import {
  assertContent,
  begin,
  content,
  get,
  is,
  KIB,
  Lan,
  type LanOptions,
  type LanPeer,
  MIB,
  until,
  write,
} from './lan.js';

/** Of a registry so large nothing is copied. */
const ASKED = { mirror: { offers: 0, peers: 0 } };

class Net {
  readonly lan: Lan;
  readonly tracker: LanPeer;

  constructor(lan: Lan, tracker: LanPeer) {
    this.lan = lan;
    this.tracker = tracker;
  }

  get address(): string {
    return `127.0.0.1:${this.tracker.peer.port}`;
  }

  async peer(name: string, options: LanOptions = {}): Promise<LanPeer> {
    return this.lan.peer(name, { multicast: false, join: [this.address], ...options });
  }

  /** One that is registered. */
  async registered(name: string, options: LanOptions = {}): Promise<LanPeer> {
    const peer = await this.peer(name, options);
    await registered(peer);
    return peer;
  }
}

async function made(lan: Lan, options: LanOptions = {}): Promise<Net> {
  return new Net(lan, await lan.peer('tracker', { tracker: true, multicast: false, ...options }));
}

const trackersOf = async (peer: LanPeer): Promise<NonNullable<StatusReport['trackers']>> =>
  (await peer.peer.status()).trackers ?? [];

async function registered(peer: LanPeer, count = 1): Promise<void> {
  const at = () =>
    peer
      .told('tracker')
      .reduce((sum, { change }) => sum + (change === 'registered' ? 1 : change === 'lost' ? -1 : 0), 0);
  await until(() => at() >= count, `${peer.peer.name} is registered`);
}

const paths = async (peer: LanPeer, pattern?: string): Promise<string[]> =>
  (await peer.peer.list(pattern === undefined ? {} : { pattern })).files.map(({ path }) => path);

const sees = (peer: LanPeer, path: string) =>
  until(() => peer.offers(path).length > 0, `${peer.peer.name} sees ${path}`);

/** Waits until something asynchronous holds. */
async function eventually(holds: () => Promise<unknown>, what: string, ms = 30_000): Promise<number> {
  const began = performance.now();
  while (!(await holds())) {
    if (performance.now() - began > ms) throw new Error(`waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return performance.now() - began;
}

for (const [size, more] of [
  ['small', {}],
  ['large', ASKED],
] as const) {
  test(`three peers of a ${size} registry: listed, found, fetched, followed, gone`, async (t) => {
    const net = await made(await Lan.make(t));
    const data = content(3 * MIB, 1);
    const anna = await net.registered('anna', { files: { 'photos/cat.jpg': data, 'photos/dög.txt': 'wuff' }, ...more });
    const bert = await net.registered('bert', { files: { 'docs/plan.txt': 'plan' }, ...more });
    const carl = await net.registered('carl', more);
    await eventually(async () => (await paths(carl)).length === 3, 'carl is told of three files');
    t.deepEqual(await paths(carl), ['docs/plan.txt', 'photos/cat.jpg', 'photos/dög.txt']);
    t.deepEqual(await paths(carl, 'photos'), ['photos/cat.jpg', 'photos/dög.txt']);
    t.deepEqual(
      (await carl.peer.list({ words: ['DOG'] })).files.map(({ path, peers }) => [path, peers.map(({ name }) => name)]),
      [['photos/dög.txt', ['anna']]],
    );
    t.deepEqual(
      (await carl.peer.list({ from: ['bert'] })).files.map(({ path }) => path),
      ['docs/plan.txt'],
    );
    const rows = await carl.peer.peers();
    t.deepEqual(rows.map(({ name }) => name).sort(), ['anna', 'bert', 'carl', 'tracker']);
    const row = rows.find(({ name }) => name === 'anna');
    t.like(row, { via: 'tracker', files: 2, addresses: [`127.0.0.1:${anna.peer.port}`] });
    t.true(rows.find(({ name }) => name === 'tracker')?.tracker);
    t.is([...carl.peer.index].length, size === 'small' ? 3 : 0, 'all, or nothing, is copied');
    // Nobody is connected with anybody for that.
    t.is(
      anna.told('peer').some(({ name }) => name === 'bert'),
      size === 'small',
    );

    const inbox = await net.lan.fresh('in');
    const outcome = await get(carl, ['photos/', 'plan.txt'], `${inbox}/`);
    t.deepEqual(outcome.codes, []);
    await assertContent(t, join(inbox, 'photos/cat.jpg'), data);
    t.is(outcome.done.length, 3);

    const abort = new AbortController();
    const events: string[] = [];
    const following = (async () => {
      for await (const { event, path } of carl.peer.follow({ pattern: 'docs' }, abort.signal))
        events.push(`${event} ${path}`);
    })();
    await until(() => events.length === 1, 'what is there is told first');
    await write(bert.root, { 'docs/more.txt': 'more' }, new Date());
    await until(() => events.includes('added docs/more.txt'), 'what comes is told');
    const at = performance.now();
    await rm(bert.file('docs/plan.txt'));
    await until(() => events.includes('removed docs/plan.txt'), 'what goes is told');
    t.log(`${size}: a deleted file is told of after ${Math.round(performance.now() - at)} ms`);
    await eventually(async () => !(await paths(carl)).includes('docs/plan.txt'), 'and listed no more', 1000);
    await bert.peer.stop();
    await until(() => events.includes('removed docs/more.txt'), 'and what goes with its peer', 2000);
    abort.abort();
    await following;
    t.deepEqual(
      events.filter((event) => !event.startsWith('changed')),
      ['added docs/plan.txt', 'added docs/more.txt', 'removed docs/plan.txt', 'removed docs/more.txt'],
    );
    t.deepEqual(await paths(carl, 'docs'), []);
    t.deepEqual((await get(carl, 'docs/more.txt', inbox)).codes, ['not-found']);
    t.is(
      (await carl.peer.peers()).some(({ name }) => name === 'bert'),
      false,
    );
  });
}

test('what is copied of a registry is bounded', async (t) => {
  t.true(MIRROR_OFFERS_MAX > 10 && MIRROR_PEERS_MAX > 10);
  const net = await made(await Lan.make(t));
  const files = Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`many/${i}.txt`, `${i}`]));
  const anna = await net.registered('anna', { files: { 'many/0.txt': '0' } });
  const bert = await net.registered('bert', { mirror: { offers: 5, peers: 5 } });
  await sees(bert, 'many/0.txt');
  await write(anna.root, files, new Date());
  await until(() => [...bert.peer.index].length === 0, 'the copy is given up');
  await eventually(async () => (await paths(bert)).length === 12, 'and the tracker is asked instead');
});

test('a one-shot asks the tracker, dials nobody else for a listing, and is done soon', async (t) => {
  const net = await made(await Lan.make(t));
  const data = content(MIB, 2);
  const anna = await net.registered('anna', { files: { 'pub/a.bin': data } });
  await net.registered('bert', { files: { 'pub/b.txt': 'b' } });
  await eventually(async () => (await paths(net.tracker)).length === 2, 'the tracker knows of both');
  const asked: string[] = [];
  const kinds = new Set<number>();
  const shot = await net.peer('shot', {
    passive: true,
    wait: 20,
    filter: (message, direction, peer) => {
      if (direction === 'out' && (is(message, 'F') || is(message, 'l'))) asked.push(`${message.type} ${peer}`);
      if (direction === 'out' && is(message, 'F')) kinds.add(message.kind);
      return message;
    },
  });
  const began = performance.now();
  t.deepEqual(await paths(shot), ['pub/a.bin', 'pub/b.txt']);
  const took = performance.now() - began;
  t.true(took < 3000, `${took} ms`);
  t.log(`a one-shot's list took ${Math.round(took)} ms`);
  t.deepEqual([...new Set(asked)].sort(), [`F ${net.tracker.id}`, `l ${net.tracker.id}`]);
  t.deepEqual((await shot.peer.peers()).map(({ name }) => name).sort(), ['anna', 'bert', 'tracker']);
  t.true(
    [...kinds].every((kind) => kind <= 4),
    `what only a tracker can be asked was asked of a peer: ${[...kinds]}`,
  );
  const inbox = await net.lan.fresh('in');
  t.deepEqual((await get(shot, 'a.bin', inbox)).codes, []);
  await assertContent(t, join(inbox, 'a.bin'), data);
  t.deepEqual((await get(shot, 'nothing.bin', inbox)).codes, ['not-found']);

  // What is wanted of one peer is asked of that one alone.
  asked.length = 0;
  const named = await net.peer('named', {
    passive: true,
    wait: 20,
    filter: (message, direction, peer) => {
      if (direction === 'out' && is(message, 'F')) asked.push(`${message.text} ${peer}`);
      if (direction === 'out' && is(message, 'l')) asked.push(`${message.kind} ${message.text}`);
      return message;
    },
  });
  t.deepEqual(
    (await named.peer.list({ pattern: 'pub', from: ['anna'] })).files.map(({ path }) => path),
    ['pub/a.bin'],
  );
  t.deepEqual([...new Set(asked)].sort(), ['7 anna', `pub ${anna.id}`]);
});

test('a one-shot that follows is told by the tracker', async (t) => {
  const net = await made(await Lan.make(t));
  const anna = await net.registered('anna', { files: { 'pub/a.txt': 'a' } });
  await eventually(async () => (await paths(net.tracker)).length === 1, 'the tracker knows of it');
  const shot = await net.peer('shot', { passive: true, follow: true });
  const abort = new AbortController();
  const events: string[] = [];
  const following = (async () => {
    for await (const { event, path } of shot.peer.follow({}, abort.signal)) events.push(`${event} ${path}`);
  })();
  await until(() => events.includes('added pub/a.txt'), 'what is there is told');
  await write(anna.root, { 'pub/b.txt': 'b' }, new Date());
  await until(() => events.includes('added pub/b.txt'), 'what comes is told');
  abort.abort();
  await following;
  t.deepEqual(
    events.filter((event) => event.startsWith('added')),
    ['added pub/a.txt', 'added pub/b.txt'],
  );
});

test('a receiver that has a part is a source of it, and is shown as one', async (t) => {
  const net = await made(await Lan.make(t));
  const data = content(24 * MIB, 3);
  const anna = await net.registered('anna', { files: { 'big.bin': data } });
  await net.tracker.hashed('big.bin', anna);
  let held = true;
  // Gives half of it, then nothing for a while; and tells nobody of others who receive it.
  await anna.peer.stop();
  let sent = 0;
  const source = await net.registered('source', {
    share: [anna.file('big.bin')],
    filter: (message, direction) => {
      if (direction === 'out' && is(message, 'W')) return undefined;
      if (direction !== 'out' || !is(message, 'T')) return message;
      sent += message.data.length;
      return held && sent > data.length / 2 ? undefined : message;
    },
  });
  await net.tracker.hashed('big.bin', source);
  const [bert, carl] = [await net.registered('bert'), await net.registered('carl')];
  await Promise.all([bert, carl].map((peer) => peer.hashed('big.bin', source)));
  const inboxes = [await net.lan.fresh('in'), await net.lan.fresh('in')];
  const first = begin(bert, 'big.bin', inboxes[0]);
  await until(() => first.verified > data.length / 4, 'bert has some of it');
  const second = begin(carl, 'big.bin', inboxes[1]);
  await until(
    () => second.outcome.of('chunk').some(({ source: from }) => from.id === bert.id),
    'carl has some of it from bert',
  );
  const dora = await net.registered('dora');
  await dora.hashed('big.bin', source);
  for (const peer of [dora, net.tracker]) {
    const [row] = await peer.peer.sources('big.bin');
    const had = new Map(row.sources.map(({ name, have }) => [name, have]));
    t.is(had.get('source'), (24 * MIB) / (256 * KIB));
    t.true((had.get('bert') ?? 0) > 0, `${[...had]}`);
  }
  held = false;
  for (const [i, run] of [first, second].entries()) {
    const outcome = await run.ended;
    t.deepEqual(outcome.codes, []);
    t.deepEqual(outcome.of('dropped'), []);
    await assertContent(t, join(inboxes[i], 'big.bin'), data);
  }
  // What is received whole, or not any more, is taken back.
  await eventually(
    async () => (await dora.peer.sources('big.bin'))[0].sources.length === 1,
    'only the source is a source',
  );
});

test('the tracker is killed during a get, which goes on; when it is back all are listed again within 10 s', async (t) => {
  const lan = await Lan.make(t);
  const args = ['share', '--tracker', '--no-multicast', '--json'];
  const state = join(await lan.fresh('tracker'), 'state');
  const start = async (port: unknown) => {
    const child = await hearsay(lan, ...args, '--port', String(port), '--state', state);
    await until(() => told(child, 'ready').length > 0, 'the tracker is ready');
    return child;
  };
  const tracker = await start(0);
  const { port } = told(tracker, 'ready')[0];
  const data = content(24 * MIB, 4);
  const options = { multicast: false, join: [`127.0.0.1:${port}`] };
  const anna = await lan.peer('anna', { files: { 'big.bin': data }, ...options });
  const bert = await lan.peer('bert', options);
  const carl = await lan.peer('carl', { files: { 'c.txt': 'c' }, ...options });
  await Promise.all([anna, bert, carl].map((peer) => registered(peer)));
  await bert.hashed('big.bin', anna);
  await sees(bert, 'c.txt');
  const inbox = await lan.fresh('in');
  const run = begin(bert, 'big.bin', inbox);
  await until(() => run.verified > 0, 'some of it has come');
  tracker.kill('SIGKILL');
  await tracker.exited;
  await until(() => bert.told('tracker').some(({ change }) => change === 'lost'), 'it is told as lost');
  t.deepEqual((await run.ended).codes, []);
  await assertContent(t, join(inbox, 'big.bin'), data);
  t.deepEqual(await paths(bert), ['big.bin', 'c.txt'], 'what it told is kept for a while');
  t.deepEqual((await get(bert, 'c.txt', inbox)).codes, []);
  t.like((await trackersOf(bert))[0], { registered: false, address: `127.0.0.1:${port}` });
  const left = () =>
    bert.told('peer').filter(({ change, name }) => change === 'left' && ['anna', 'carl'].includes(name)).length;
  t.is(left(), 0);
  const at = performance.now();
  const again = await start(port);
  const ready = performance.now();
  await until(
    () => ['anna', 'bert', 'carl'].every((name) => told(again, 'registration').some((e) => e.name === name)),
    'all have registered',
    10_000,
  );
  t.log(`ready after ${Math.round(ready - at)} ms, all registered ${Math.round(performance.now() - ready)} ms later`);
  await eventually(async () => (await trackersOf(bert))[0].registered, 'bert knows that he is');
  t.is(left(), 0, 'nobody left for it');
});

test('of two joined trackers both are used; one dies, and nothing is missed', async (t) => {
  const lan = await Lan.make(t);
  const [one, two] = [await made(lan), await made(lan)];
  const join = [one.address, two.address];
  const anna = await one.registered('anna', { files: { 'a.txt': 'a' }, join });
  const bert = await one.peer('bert', { join });
  const carl = await two.registered('carl', { files: { 'c.txt': 'c' } });
  await registered(bert, 2);
  await eventually(async () => (await paths(bert)).length === 2, 'he sees what is at either');
  t.is((await bert.peer.list()).files[0].peers.length, 1, 'and what is at both once');
  t.is((await trackersOf(bert)).filter((row) => row.registered).length, 2);
  await one.tracker.peer.stop();
  await until(() => bert.told('tracker').some(({ change }) => change === 'lost'), 'one is lost');
  t.deepEqual(await paths(bert), ['a.txt', 'c.txt']);
  t.deepEqual((await get(bert, 'a.txt', await lan.fresh('in'))).codes, []);
  await registered(anna);
  t.truthy(carl);
});

test.serial('a peer that is killed is gone for others within a second', async (t) => {
  const net = await made(await Lan.make(t));
  const bert = await net.registered('bert');
  const root = await net.lan.fresh('victim');
  await write(root, { 'pub/v.txt': 'v' });
  const victim = await hearsay(net.lan, 'share', join(root, 'pub'), '--no-multicast', '--json', '--join', net.address);
  await sees(bert, 'pub/v.txt');
  const at = performance.now();
  victim.kill('SIGKILL');
  await until(() => bert.offers('pub/v.txt').length === 0, 'it is gone', 1000);
  t.log(`gone after ${Math.round(performance.now() - at)} ms`);
  t.deepEqual(await paths(bert), []);
});

for (const [size, more] of [
  ['small', {}],
  ['large', ASKED],
] as const) {
  test(`what is for some only reaches them in a ${size} registry, told by nobody else`, async (t) => {
    const net = await made(await Lan.make(t));
    const root = await net.lan.fresh('letters');
    await write(root, { 'Letters/note.txt': 'psst' });
    const anna = await net.registered('anna', { share: [{ path: join(root, 'Letters'), for: ['bert'] }], ...more });
    const bert = await net.registered('bert', more);
    const carl = await net.registered('carl', more);
    await sees(bert, 'Letters/note.txt');
    t.deepEqual((await get(bert, 'Letters/note.txt', await net.lan.fresh('in'))).codes, []);
    t.deepEqual([await paths(carl), await paths(net.tracker)], [[], []]);
    t.truthy(anna);
  });
}

test('a tracker that is heard is registered with, without a word from anybody', async (t) => {
  const lan = await Lan.make(t);
  const tracker = await lan.peer('tracker', { tracker: true });
  const anna = await lan.peer('anna', { files: { 'a.txt': 'a' } });
  await registered(anna);
  t.like((await trackersOf(anna))[0], { id: tracker.id, name: 'tracker', registered: true });
  // One that hears nothing finds what is heard there.
  const bert = await lan.peer('bert', { multicast: false, join: [`127.0.0.1:${tracker.peer.port}`] });
  await sees(bert, 'a.txt');
  t.deepEqual((await get(bert, 'a.txt', await lan.fresh('in'))).codes, []);
  t.is((await anna.peer.list()).files.length, 1);
});

test('without a tracker that answers, nothing hangs', async (t) => {
  const lan = await Lan.make(t);
  const port = await freePort();
  const anna = await lan.peer('anna', { files: { 'a.txt': 'a' }, join: [`127.0.0.1:${port}`] });
  const bert = await lan.peer('bert', { join: [`127.0.0.1:${port}`] });
  await bert.knows('a.txt', anna);
  const began = performance.now();
  t.deepEqual(await paths(bert), ['a.txt']);
  t.deepEqual((await get(bert, 'a.txt', await lan.fresh('in'))).codes, []);
  t.true(performance.now() - began < 10_000);
  t.deepEqual(await trackersOf(bert), []);
});
