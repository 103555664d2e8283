/** Connections through a peer that both sides reach. */
import test from 'ava';
import { HearsayError } from '../../lib/errors.js';
import { BLOCK, TUNNEL_WINDOW, TUNNELS_MAX, TUNNELS_PER_LINK_MAX } from '../../lib/limits.js';
import type { Link } from '../../lib/net/link.js';
import type { Message } from '../../lib/wire/table.js';
import { codeOf, content, MIB, until } from './lan.js';
import { dial, node } from './tunnel-nodes.js';

const block = (number: number, data: Buffer): Message => ({
  type: 'T',
  number,
  block: 0,
  hash: new Uint8Array(0),
  data,
});

test('two who cannot dial each other speak through a third, which proves neither and reads nothing', async (t) => {
  const [a, x] = [await node(t, 'a'), await node(t, 'x')];
  const relay = await node(t, 'relay', true);
  const [toRelay] = await Promise.all([dial(a, relay), dial(x, relay)]);
  const passed: Buffer[] = [];
  relay.seen = (message) => message.type === 'd' && passed.push(Buffer.from(message.data));
  const link = await a.tunnels.open(toRelay, x.id);
  t.is(link.peer, x.id);
  t.true(link.tunnelled);
  t.true(link.dialled);
  await until(() => x.links.get(a.id), 'the other side has it too');
  const theirs = x.links.get(a.id) as Link;
  t.true(theirs.tunnelled);
  t.false(theirs.dialled);
  t.is(relay.tunnels.counts.passed, 1);
  // Both ways, more than a window.
  const secret = Buffer.from('what-is-said-within');
  const data = Buffer.concat([secret, content(BLOCK - secret.length, 1)]);
  const got = { a: 0, x: 0 };
  const intact = { a: true, x: true };
  for (const [who, to] of [
    ['a', a],
    ['x', x],
  ] as const) {
    to.onMessage = (_, message) => {
      if (message.type !== 'T') return;
      intact[who] &&= Buffer.compare(message.data, data) === 0;
      got[who]++;
    };
  }
  for (let i = 0; i < 40; i++) {
    await Promise.all([link.whenWritable(), theirs.whenWritable()]);
    link.send(block(i, data));
    theirs.send(block(i, data));
  }
  await until(() => got.a === 40 && got.x === 40, 'all has come');
  t.true(intact.a && intact.x);
  const all = Buffer.concat(passed);
  t.true(all.length > 80 * BLOCK);
  t.false(all.includes(secret));
  // A goodbye at one end is the end of all of it.
  link.close(new HearsayError('cancelled', 'done'));
  await until(() => !theirs.open && relay.tunnels.counts.passed === 0, 'it ends everywhere');
  t.deepEqual([a.tunnels.counts.ends, x.tunnels.counts.ends], [0, 0]);
  t.true(toRelay.open);
});

test('a relay under a limit passes on no more than that, until it is lifted', async (t) => {
  const [a, x] = [await node(t, 'a'), await node(t, 'x')];
  const relay = await node(t, 'relay', true);
  const [toRelay] = await Promise.all([dial(a, relay), dial(x, relay)]);
  // So little that it is nothing while the test runs: only what a tunnel is allowed as it opens passes.
  relay.limiter.rate = 1000;
  let passed = 0;
  relay.seen = (message) => {
    if (message.type === 'd') passed += message.data.length;
  };
  const link = await a.tunnels.open(toRelay, x.id);
  let got = 0;
  x.onMessage = (_, message) => {
    if (message.type === 'T') got++;
  };
  const sending = (async () => {
    for (let i = 0; i < 40; i++) {
      await link.whenWritable();
      link.send(block(i, content(BLOCK, i)));
    }
  })();
  await until(() => got > 0, 'the first has come');
  await until(() => relay.limiter.waiting > 0, 'more is not allowed now');
  t.true(passed <= 2 * TUNNEL_WINDOW + BLOCK, `${passed} bytes`);
  t.true(link.open && got < 10);
  relay.limiter.rate = Number.POSITIVE_INFINITY;
  await sending;
  await until(() => got === 40, 'all has come');
});

test('a relay that dies, and a far end that dies, end the link through it', async (t) => {
  const [a, x] = [await node(t, 'a'), await node(t, 'x')];
  const relay = await node(t, 'relay', true);
  const [toRelay] = await Promise.all([dial(a, relay), dial(x, relay)]);
  const first = await a.tunnels.open(toRelay, x.id);
  await until(() => x.links.get(a.id), 'the other side has it too');
  await x.links.close();
  await until(() => !first.open, 'the far end has gone');
  t.true(toRelay.open);
  await until(() => relay.tunnels.counts.passed === 0, 'the relay knows');
  const y = await node(t, 'y');
  await dial(y, relay);
  const second = await a.tunnels.open(toRelay, y.id);
  await until(() => y.links.get(a.id), 'the other side has it too');
  await relay.links.close();
  await until(() => !second.open && !y.links.get(a.id), 'both ends know');
  t.deepEqual([a.tunnels.counts.ends, y.tunnels.counts.ends], [0, 0]);
});

test('why there is no tunnel is told: nobody passes on, nobody is there, another answers, there are too many', async (t) => {
  const a = await node(t, 'a');
  const x = await node(t, 'x');
  const no = await node(t, 'no');
  const relay = await node(t, 'relay', true);
  const [toNo, toRelay] = [await dial(a, no), await dial(a, relay)];
  await dial(x, no);
  t.is(await codeOf(a.tunnels.open(toNo, x.id)), 'refused');
  const away = await t.throwsAsync(a.tunnels.open(toRelay, x.id));
  t.like(away, { code: 'unreachable', message: 'it cannot be reached from there either' });
  t.is(await codeOf(a.tunnels.open(toRelay, relay.id)), 'refused');
  t.deepEqual([a.tunnels.counts.ends, relay.tunnels.counts.passed], [0, 0]);
  // For another than oneself nobody asks.
  await dial(x, relay);
  toRelay.send({ type: 't', number: 9, from: x.id, to: no.id });
  const ends: Message[] = [];
  a.seen = (message) => message.type === 'e' && ends.push(message);
  await until(() => ends.length === 1, 'it is answered');
  t.like(ends[0], { code: 'refused' });
  // As many as may be over one connection.
  for (let i = 0; i < TUNNELS_PER_LINK_MAX + 3; i++) toRelay.send({ type: 't', number: 100 + i, from: a.id, to: x.id });
  await until(() => ends.length === 4, 'those beyond are turned away');
  t.true(ends.slice(1).every((m) => m.type === 'e' && m.code === 'limit'));
  t.is(relay.tunnels.counts.passed, TUNNELS_PER_LINK_MAX);
  t.true(x.tunnels.counts.ends <= TUNNELS_PER_LINK_MAX);
  t.true(TUNNELS_PER_LINK_MAX < TUNNELS_MAX);
});

test('a slow reader at the far end fills nobody’s memory', async (t) => {
  const [a, x] = [await node(t, 'a'), await node(t, 'x')];
  const relay = await node(t, 'relay', true);
  const [toRelay] = await Promise.all([dial(a, relay), dial(x, relay)]);
  const link = await a.tunnels.open(toRelay, x.id);
  await until(() => x.links.get(a.id), 'the other side has it too');
  let passed = 0;
  relay.seen = (message) => {
    if (message.type === 'd') passed += message.data.length;
  };
  // What came through is not told of as read: as from one that does not read.
  const before = x.tunnels.handle.bind(x.tunnels);
  const held: (() => void)[] = [];
  x.tunnels.handle = (on, message) => {
    if (message.type !== 'd') return before(on, message);
    const copy = { ...message, data: Buffer.from(message.data) };
    held.push(() => before(on, copy));
  };
  const data = content(BLOCK, 2);
  for (let i = 0; i < 32 && link.queued < 4 * MIB; i++) link.send(block(i, data));
  await until(() => passed > TUNNEL_WINDOW / 2, 'as much as may be has left');
  const at = performance.now();
  await until(() => performance.now() - at > 300, 'nothing more comes');
  t.true(passed <= TUNNEL_WINDOW, `${passed}`);
  t.true(toRelay.queued < 1 * MIB);
  let got = 0;
  x.onMessage = (_, message) => {
    if (message.type === 'T') got++;
  };
  x.tunnels.handle = before;
  for (const take of held.splice(0)) take();
  await until(() => got > 15, 'it goes on');
});

test('one who sends more than was allowed is cut off, and the others go on', async (t) => {
  const [a, x] = [await node(t, 'a'), await node(t, 'x')];
  const relay = await node(t, 'relay', true);
  const [toRelay] = await Promise.all([dial(a, relay), dial(x, relay)]);
  const b = await node(t, 'b');
  const good = await b.tunnels.open(await dial(b, relay), x.id);
  await a.tunnels.open(toRelay, x.id);
  await until(() => x.links.get(a.id), 'the other side has it too');
  const data = content(BLOCK, 3);
  for (let i = 0; i < 6; i++) toRelay.send({ type: 'd', number: 2, opener: true, data });
  await until(() => !toRelay.open, 'it is cut off');
  t.true(good.open);
  t.true(relay.links.get(x.id)?.open);
});

test('through a tunnel bytes come fast', async (t) => {
  const [a, x] = [await node(t, 'a'), await node(t, 'x')];
  const relay = await node(t, 'relay', true);
  const [toRelay] = await Promise.all([dial(a, relay), dial(x, relay)]);
  const link = await a.tunnels.open(toRelay, x.id);
  const total = 128;
  let got = 0;
  x.onMessage = (_, message) => {
    if (message.type === 'T') got += message.data.length;
  };
  const data = content(BLOCK, 4);
  const began = performance.now();
  for (let i = 0; i < total * 4; i++) {
    await link.whenWritable();
    link.send(block(i, data));
  }
  await until(() => got === total * MIB, 'all has come');
  const seconds = (performance.now() - began) / 1000;
  t.log(`${(total / seconds).toFixed(0)} MiB/s, all three in one process`);
  t.pass();
});
