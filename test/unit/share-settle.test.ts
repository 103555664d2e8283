import test from 'ava';
import { Settle } from '../../lib/share/settle.js';

test('a file that was still for long may be offered at once, and leaves nothing behind', (t) => {
  const settle = new Settle();
  t.true(settle.see('a', 'one', 0, 1_000_000));
  t.is(settle.next(), undefined);
});

test('a file that was just moved in is due 100 ms after it came', (t) => {
  const settle = new Settle();
  t.false(settle.see('a', 'one', 1000, 1060));
  t.true(settle.isWaiting('a'));
  t.is(settle.next(), 1100);
  t.deepEqual(settle.due(1099), []);
  t.deepEqual(settle.due(1100), ['a']);
  t.false(settle.isWaiting('a'));
  t.true(settle.see('a', 'one', 1000, 1100));
  t.is(settle.waiting, 0);
});

test('while it changes it is not offered', (t) => {
  const settle = new Settle();
  for (let now = 0; now < 3000; now += 50) t.false(settle.see('a', `${now}`, now, now));
  t.true(settle.see('a', '2950', 2950, 3050));
});

test('a file that grows every 150 ms is offered at a pace that slows down to every 5 s', (t) => {
  const settle = new Settle();
  const offered: number[] = [];
  let signature = '';
  let changed = 0;
  for (let now = 0; now < 60_000; now += 10) {
    if (now % 150 === 0) {
      signature = `${now}`;
      changed = now;
      settle.see('a', signature, changed, now);
    }
    if (settle.due(now).length > 0 && settle.see('a', signature, changed, now)) offered.push(now);
  }
  const gaps = offered.slice(1).map((at, i) => at - offered[i]);
  t.true(gaps.length >= 10 && gaps.length < 25, `${offered}`);
  t.deepEqual(
    gaps.slice(0, 7).map((gap) => gap >= 100),
    Array(7).fill(true),
  );
  gaps.slice(0, 6).forEach((gap, i) => {
    t.true(gap >= 100 * 2 ** i, `gap ${i} is ${gap}`);
  });
  t.true(gaps.every((gap) => gap <= 5300));
  t.true(gaps.at(-1)! >= 5000);
});

test('after a calm the pace begins anew', (t) => {
  const settle = new Settle();
  let now = 0;
  for (let i = 0; i < 10; i++) {
    settle.see('a', `${i}`, now, now);
    now = settle.next()!;
    settle.due(now);
    t.true(settle.see('a', `${i}`, now - 100, now));
  }
  now += 60_000;
  settle.due(now);
  t.false(settle.see('a', 'later', now, now));
  t.is(settle.next(), now + 100);
});

test('a disk whose clock is ahead: what counts is what we see ourselves', (t) => {
  const settle = new Settle();
  t.false(settle.see('a', 'one', 9_000_000, 1000));
  t.is(settle.next(), 1100);
  t.true(settle.see('a', 'one', 9_000_000, 1100));
});

test('what is gone or as it is offered is not waited for', (t) => {
  const settle = new Settle();
  settle.see('a', 'one', 1000, 1000);
  settle.calm('a');
  t.is(settle.next(), undefined);
  t.deepEqual(settle.due(5000), []);
});
