/** By which ways peers find each other where not all of them work: the pure ladder, in virtual time. */
import test from 'ava';
import type { Circle } from '../../lib/gossip/circle.js';
import { Context } from '../../lib/gossip/context.js';
import { Ladder } from '../../lib/gossip/ladder.js';
import { type Member, newMember } from '../../lib/gossip/member.js';
import { NEAR_MAX, RECALLS_MAX } from '../../lib/limits.js';
import type { Head } from '../../lib/wire/head.js';
import { fakeSigner } from '../sim/signer.js';
import { Net, type Node } from './ladder-net.js';

const NONE = new Uint8Array(0);

const MINUTE = 60_000;

test('where multicast works it is all there is, but for the first questions', (t) => {
  const net = new Net();
  const [a, b] = [net.add(), net.add()];
  net.start(a, b);
  net.run(5000);
  t.is(a.knows(b)?.via, 'multicast');
  t.is(b.knows(a)?.via, 'multicast');
  const asked = a.of('broadcast');
  t.true(asked.length > 0 && asked.every(({ message, near, deaf }) => message.type === 'Q' && !near && !deaf));
  // The first question may be answered by those whom multicast reaches.
  t.true((a.said.find(({ effect }) => effect.kind === 'broadcast')?.at ?? 0) >= 50);
  net.run(5 * MINUTE);
  t.deepEqual(a.of('broadcast', 5000), []);
  // And what says only that it is still there goes by IPv4 alone.
  const idle = a.of('multicast', MINUTE);
  t.true(idle.length > 5);
  for (const { sparing } of idle) t.deepEqual(sparing, { six: [] });
});

test('one whom multicast does not reach is found by broadcast at once, and told so for as long as that lasts', (t) => {
  const net = new Net();
  const [a, b, c] = [net.add(), net.add({ hears: ['broadcast'], says: ['broadcast'] }), net.add()];
  net.start(a, c);
  net.run(MINUTE);
  net.start(b);
  net.run(1000);
  for (const other of [a, c]) {
    t.is(b.knows(other)?.via, 'broadcast');
    t.is(other.knows(b)?.via, 'broadcast');
  }
  t.is(a.knows(c)?.via, 'multicast');
  const from = net.now;
  net.run(3 * MINUTE);
  t.is(a.knows(b)?.via, 'broadcast');
  t.is(b.knows(a)?.via, 'broadcast');
  // By what is said to everyone, without a connection.
  t.deepEqual(a.of('dial'), []);
  t.deepEqual(b.of('dial'), []);
  for (const { near } of a.of('broadcast', from)) t.true(near?.includes(b.ip));
  // As often as by multicast, and of a change as soon.
  t.is(a.of('broadcast', from).length, a.of('multicast', from).length);
  const offer = { path: 'a/b', kind: 'file' as const, size: 1, mtime: 1, id: null };
  net.give(a, { kind: 'offers', changes: [offer] });
  net.run(5);
  t.is(b.gossip.index.byPath('a/b').length, 1);

  // Once multicast comes through again, it is enough.
  b.hears = ['multicast', 'broadcast'];
  b.says = ['multicast', 'broadcast'];
  net.run(3 * MINUTE);
  t.is(a.knows(b)?.via, 'multicast');
  t.is(b.knows(a)?.via, 'multicast');
  t.deepEqual([...a.of('broadcast', net.now - MINUTE), ...b.of('broadcast', net.now - MINUTE)], []);
});

for (const [what, options] of [
  ['hears no multicast', { hears: ['broadcast'] }],
  ['is heard by no multicast', { says: ['broadcast'] }],
] as const) {
  test(`one that only ${what} comes to be on speaking terms by broadcast`, (t) => {
    const net = new Net();
    const [a, b] = [net.add(), net.add(options)];
    net.start(a, b);
    net.run(1000);
    t.truthy(a.knows(b));
    t.truthy(b.knows(a));
    net.run(2 * MINUTE);
    const deaf = 'hears' in options ? b : a;
    const other = deaf === b ? a : b;
    t.is(deaf.knows(other)?.via, 'broadcast');
    t.is(other.knows(deaf)?.via, 'multicast');
    // Nobody is told by both ways who need not: only who asks for it makes the other broadcast.
    const from = net.now;
    net.run(2 * MINUTE);
    t.true(other.of('broadcast', from).length > 5);
    t.true(deaf.of('broadcast', from).every((effect) => effect.deaf));
    t.true(other.of('broadcast', from).every((effect) => !effect.deaf));
  });
}

test('one that answers and hears nothing is not broadcast to for ever', (t) => {
  const net = new Net();
  const [a, b] = [net.add(), net.add({ hears: [] })];
  net.start(a, b);
  net.run(10 * MINUTE);
  t.truthy(a.knows(b));
  t.truthy(b.knows(a));
  t.true(b.of('broadcast').some(({ deaf }) => deaf));
  t.deepEqual([...a.of('broadcast', 5 * MINUTE), ...b.of('broadcast', 5 * MINUTE)], []);
});

test('one who knows nobody is broadcast now and then', (t) => {
  const net = new Net();
  const a = net.add();
  net.start(a);
  net.run(10 * MINUTE);
  const [broadcast, multicast] = [a.of('broadcast', MINUTE), a.of('multicast', MINUTE)];
  t.true(broadcast.length > 5 && broadcast.length < multicast.length / 3, `${broadcast.length} of ${multicast.length}`);
  // So a network that is mended in the middle of nothing is noticed.
  const b = net.add({ hears: [], says: [] });
  net.start(b);
  net.run(MINUTE);
  t.is(b.knows(a), undefined);
  b.hears = ['broadcast'];
  b.says = ['broadcast'];
  net.run(MINUTE);
  t.is(b.knows(a)?.via, 'broadcast');
});

test(`where more than ${NEAR_MAX} are known by broadcast alone, it goes out on every card`, (t) => {
  const live = new Set<Member>();
  const settings = { id: 'me', key: NONE, name: 'me', port: 1, epoch: 1, passive: false, tracker: false };
  const context = new Context(settings, fakeSigner(NONE), Math.random, () => new Uint8Array(16));
  new Ladder(context, { live: () => live, deafAfter: 16_000 } as unknown as Circle);
  const broadcasts = () => {
    context.effects = [];
    context.multicast({ type: 'L', id: 'me', epoch: 1, sig: NONE }, 'idle');
    return context.effects.flatMap((effect) => (effect.kind === 'broadcast' ? [effect.near?.length] : []));
  };
  context.now = 1000;
  for (let n = 1; n <= NEAR_MAX + 1; n++) {
    const host = `10.0.0.${n}`;
    const member = newMember({ id: `${n}` } as Head, { head: NONE, sig: NONE }, 'broadcast', 0);
    Object.assign(member, { udp: { host, port: 1 }, hosts: new Set([host]), broadcastAt: 500 });
    live.add(member);
    t.deepEqual(broadcasts(), [n <= NEAR_MAX ? n : undefined]);
  }
});

test('one that has IPv6 alone is spoken to by IPv6 too', (t) => {
  const net = new Net();
  const [a, b] = [net.add({ ip: 'fe80::1%eth0' }), net.add({ ip: 'fe80::2%eth0' })];
  net.start(a, b);
  net.run(MINUTE);
  for (const { sparing } of a.of('multicast', 10_000)) t.deepEqual(sparing, { six: [b.ip] });
});

/** A node that remembers others, of which some are there, none within earshot. */
function remembering(net: Net, me: Node, others: readonly Node[]): void {
  const peers = others.map(({ id, address }) => ({ id, addresses: [address] }));
  net.give(me, { kind: 'remembered', peers });
}

test('who is remembered is dialled where nobody is found, not before', (t) => {
  const net = new Net();
  const [a, b] = [net.add({ hears: [] }), net.add({ hears: [] })];
  remembering(net, a, [b]);
  net.start(b, a);
  // They hear nothing at all, answers to questions neither.
  a.says = [];
  b.says = [];
  net.run(1900);
  const early = a.knows(b);
  net.run(200);
  t.is(early, undefined);
  t.is(a.knows(b)?.via, 'remembered');
  t.is(b.knows(a)?.via, 'call');
});

test('one that was heard, left and comes back out of earshot is known by its connection', (t) => {
  const net = new Net();
  const [a, b] = [net.add(), net.add()];
  net.start(a, b);
  net.run(20_000);
  t.is(a.knows(b)?.via, 'multicast');
  net.give(b, { kind: 'stop' });
  net.run(5000);
  t.is(a.knows(b), undefined);
  const back = net.back(b, { hears: [], says: [] });
  remembering(net, back, [a]);
  net.start(back);
  net.run(5000);
  t.is(back.knows(a)?.via, 'remembered');
  t.is(a.knows(back)?.via, 'call');
  // And it is told over that connection that the other is there, so neither is lost again.
  net.run(2 * MINUTE);
  t.truthy(a.knows(back));
  t.truthy(back.knows(a));
});

test('nobody is dialled from memory while others are being found', (t) => {
  const net = new Net();
  const [a, b, away] = [net.add(), net.add(), net.add()];
  away.isUp = false;
  remembering(net, a, [b, away]);
  net.start(a);
  net.run(1000);
  net.start(b);
  net.run(1900);
  t.is(a.knows(b)?.via, 'multicast');
  t.deepEqual(a.of('dial'), []);
  // The other is tried when that is over, and less and less.
  net.run(2000);
  t.deepEqual(
    a.of('dial').map(({ peer }) => peer),
    [away.id],
  );
  net.run(5 * MINUTE);
  const [early, late] = [a.of('dial').length, a.of('dial', 60 * MINUTE).length];
  net.run(55 * MINUTE);
  t.true(early >= 3 && early <= 6 && late === 0, `${early}`);
  t.true(a.of('dial', 30 * MINUTE).length <= 3);
  t.true(a.of('dial').every(({ peer }) => peer === away.id));
});

test(`of those remembered ${RECALLS_MAX} are dialled at a time, and one that is forgotten is not`, (t) => {
  const net = new Net();
  const a = net.add();
  const others = Array.from({ length: 3 * RECALLS_MAX }, () => net.add({ hears: [], says: [] }));
  for (const other of others) other.isUp = false;
  remembering(net, a, others);
  net.start(a);
  net.give(a, { kind: 'forgotten', peer: others[0].id });
  net.run(2100);
  t.is(a.of('dial').length, RECALLS_MAX);
  net.run(2800);
  t.is(a.of('dial').length, RECALLS_MAX);
  // A dial fails after three seconds here.
  net.run(300);
  t.is(a.of('dial').length, 2 * RECALLS_MAX);
  net.run(4000);
  const dialled = new Set(a.of('dial').map(({ peer }) => peer));
  t.deepEqual([dialled.size, dialled.has(others[0].id)], [3 * RECALLS_MAX - 1, false]);
});

test('a one-shot dials who is remembered within a second, and not where somebody answered', (t) => {
  const net = new Net();
  const [a, b] = [net.add({ hears: [], says: [] }), net.add({ hears: [], says: [] })];
  const shot = net.add({ passive: true });
  remembering(net, shot, [b]);
  net.start(a, b, shot);
  net.run(1100);
  t.is(shot.knows(b)?.via, 'remembered');
  const second = net.add({ passive: true });
  a.hears = ['multicast'];
  remembering(net, second, [b]);
  net.start(second);
  net.run(5000);
  t.truthy(second.knows(a));
  t.deepEqual(second.of('dial'), []);
  // It goes on asking without being busy about it.
  t.true(second.said.length < 20);
});
