/** Who passes a limit in real time: links that send, fetches that ask, tunnels that are passed on. */
import test from 'ava';
import { Allowances } from '../../lib/drive/allowances.js';
import { Leaves } from '../../lib/drive/leave.js';
import { Limiter } from '../../lib/drive/limiter.js';
import { Outlet } from '../../lib/drive/outlet.js';
import { BLOCK } from '../../lib/limits.js';
import type { Link } from '../../lib/net/link.js';
import type { Message, MessageOf } from '../../lib/wire/table.js';
import { until } from '../e2e/lan.js';

/** So little that nothing more passes while a test runs, once a block has. */
const TINY = 1000;
const nothing = () => {};

/** Whether a limit has a block to spare: it is taken. */
const hasRoom = (limiter: Limiter) => limiter.take(nothing, BLOCK);

test('leave is given by every limit in turn, and what is not used is given back', (t) => {
  const [own, all] = [new Limiter(TINY), new Limiter(TINY)];
  t.true(hasRoom(all));
  const leaves = new Leaves([own, all], nothing);
  t.false(leaves.isFree);
  t.false(leaves.take(BLOCK));
  t.true(leaves.isWaiting);
  t.false(leaves.take(BLOCK), 'one item at a time');
  t.false(own.take(nothing, BLOCK), 'the first has let it through');
  own.leave(nothing);
  leaves.end();
  t.true(hasRoom(own), 'and has it back');
  t.false(leaves.take(1), 'it is over');
  all.rate = Number.POSITIVE_INFINITY;
  own.rate = Number.POSITIVE_INFINITY;
});

test('who waits is told once it has leave, and may use it for something else', (t) => {
  const limiter = new Limiter(TINY);
  let told = 0;
  const leaves = new Leaves([limiter], () => told++);
  t.true(leaves.take(BLOCK));
  t.false(leaves.take(BLOCK));
  t.is(told, 0);
  limiter.rate = Number.POSITIVE_INFINITY;
  t.is(told, 1);
  t.false(leaves.isWaiting);
  limiter.rate = TINY;
  t.true(leaves.take(10), 'what was held');
  t.true(hasRoom(limiter), 'the rest was given back');
  leaves.owe(BLOCK);
  leaves.give(BLOCK);
  leaves.end();
  t.is(told, 1);
});

test('without a limit nothing waits', async (t) => {
  const limiter = new Limiter();
  const leaves = new Leaves([limiter], nothing);
  t.true(leaves.isFree);
  for (let i = 0; i < 1000; i++) t.true(leaves.take(BLOCK));
  const outlet = new Outlet(limiter, () => t.fail());
  t.true(outlet.isFree);
  await outlet.pass(BLOCK);
  outlet.settle(BLOCK);
});

test('links take turns; one that waits says so, and one that ends waits no more', async (t) => {
  const limiter = new Limiter(TINY);
  let told = 0;
  const [one, two, three] = [0, 1, 2].map(() => new Outlet(limiter, () => told++));
  await one.pass(BLOCK);
  one.settle(BLOCK);
  const order: string[] = [];
  const waiting = [
    two.pass(BLOCK).then(() => order.push('two')),
    one.pass(BLOCK).then(() => order.push('one')),
    three.pass(BLOCK).then(() => order.push('three')),
  ];
  await until(() => told >= 3, 'each has said that it waits');
  two.end();
  await waiting[0];
  t.deepEqual(order, ['two']);
  limiter.rate = Number.POSITIVE_INFINITY;
  await Promise.all(waiting);
  t.deepEqual(order, ['two', 'one', 'three']);
});

test('what is given back lets who waits pass at once', async (t) => {
  const limiter = new Limiter(TINY);
  t.true(hasRoom(limiter));
  const passed = new Promise<void>((resolve) => {
    t.false(limiter.take(resolve, BLOCK));
  });
  limiter.give(BLOCK);
  await passed;
  t.is(limiter.waiting, 0);
});

test('what a link had leave for and did not send is given back', async (t) => {
  const limiter = new Limiter(TINY);
  const outlet = new Outlet(limiter, nothing);
  await outlet.pass(BLOCK);
  outlet.settle(0);
  t.true(hasRoom(limiter));
  limiter.give(BLOCK);
  await outlet.pass(BLOCK);
  outlet.end();
  t.true(hasRoom(limiter), 'of one that has ended too');
  await outlet.pass(BLOCK);
  outlet.settle(BLOCK);
});

/** A connection that keeps what was sent. */
function far() {
  const sent: Message[] = [];
  const link = { send: (message: Message) => sent.push(message) } as unknown as Link;
  const allowed = () => sent.reduce((sum, message) => sum + (message.type === 'w' ? message.bytes : 0), 0);
  return { link, sent, allowed };
}
const allowance = (number: number, bytes: number): MessageOf<'w'> => ({ type: 'w', number, opener: true, bytes });

test('who sends through a relay is allowed as much as the relay may send: the first at once, the rest in its time', (t) => {
  const limiter = new Limiter(TINY);
  const allowances = new Allowances(limiter);
  const [a, b] = [far(), far()];
  allowances.allow(a.link, allowance(1, BLOCK));
  allowances.allow(b.link, allowance(1, BLOCK));
  t.deepEqual([a.allowed(), b.allowed()], [BLOCK, BLOCK]);
  t.true(hasRoom(limiter));
  for (let i = 0; i < 10; i++) {
    allowances.allow(a.link, allowance(1, BLOCK / 2));
    allowances.allow(b.link, allowance(1, BLOCK / 2));
  }
  t.deepEqual([a.allowed(), b.allowed()], [BLOCK, BLOCK]);
  t.is(allowances.size, 2);
  allowances.ended(b.link, 1, true);
  t.is(allowances.size, 1);
  limiter.rate = Number.POSITIVE_INFINITY;
  t.deepEqual([a.allowed(), b.allowed()], [6 * BLOCK, BLOCK]);
  t.true(a.sent.every((message) => message.type === 'w' && message.number === 1 && message.opener));
  allowances.allow(a.link, allowance(2, 10));
  t.is(allowances.size, 2);
  allowances.linkClosed(a.link);
  t.is(allowances.size, 0);
});
