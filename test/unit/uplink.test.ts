/** What is under way over all links together: enough for the way out, and not a window for each link. */
import test from 'ava';
import { Uplink } from '../../lib/transfer/uplink.js';

test('one who is the only one to be sent anything is not held up', (t) => {
  const uplink = new Uplink<string>();
  for (let i = 0; i < 60; i++) {
    t.true(uplink.mayPass('a', i / 10));
    uplink.sent('a', i / 10);
  }
});

test('several share what the rate of all wants', (t) => {
  const uplink = new Uplink<string>();
  // A block each 20 ms leaves, to eight in turn; it is acknowledged when it is there.
  const names = Array.from({ length: 8 }, (_, i) => `${i}`);
  const under: string[] = [];
  let most = 0;
  let idle = 0;
  let turn = 0;
  for (let now = 0; now < 4000; now += 20) {
    const arrived = under.shift();
    if (arrived !== undefined) uplink.acked(arrived, 1, now);
    else if (now > 200) idle++;
    for (let i = 0; i < names.length && uplink.mayPass(names[turn % 8], now); i++) {
      uplink.sent(names[turn % 8], now);
      under.push(names[turn++ % 8]);
    }
    if (now > 1000) most = Math.max(most, under.length);
  }
  t.is(idle, 0, 'the way out is never dry');
  t.true(most <= 7, `${most} blocks are under way, which is ${most * 20} ms`);
});

test('what is not acknowledged for long holds up nobody else', (t) => {
  const uplink = new Uplink<string>();
  for (const name of ['x', 'y', 'z']) uplink.sent(name, 0);
  t.false(uplink.mayPass('a', 1));
  t.is(uplink.dueAt, 500);
  t.true(uplink.mayPass('a', 501));
  uplink.sent('a', 501);
  uplink.acked('x', 1, 502);
  t.true(uplink.mayPass('b', 502));
});

test('what was not sent after all, and what was under way to one who is gone, counts no more', (t) => {
  const uplink = new Uplink<string>();
  for (const name of ['x', 'y']) uplink.sent(name, 0);
  t.false(uplink.mayPass('a', 1));
  uplink.unsent('x');
  t.true(uplink.mayPass('a', 1));
  uplink.sent('a', 1);
  t.false(uplink.mayPass('b', 2));
  uplink.gone('y');
  t.true(uplink.mayPass('b', 2));
  uplink.acked('nobody', 3, 3);
  uplink.gone('nobody');
  t.is(uplink.dueAt, 501);
});
