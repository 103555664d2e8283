import test from 'ava';
import { seeded } from '../../lib/clock.js';
import { Budget } from '../../lib/gossip/budget.js';

function taken(budget: Budget, source: string, now: number, tries = 1000): number {
  let count = 0;
  for (let i = 0; i < tries; i++) if (budget.take(source, now)) count++;
  return count;
}

test('each source has its rate, and twice as much at once', (t) => {
  const budget = new Budget(10, 1000, seeded(1));
  t.is(taken(budget, 'a', 0), 20);
  t.is(taken(budget, 'a', 0), 0);
  t.is(taken(budget, 'b', 0), 20);
  t.is(taken(budget, 'a', 500), 5);
  t.is(taken(budget, 'a', 9000), 20);
});

test('all together have theirs, and who is refused for that has lost nothing of its own', (t) => {
  const budget = new Budget(10, 30, seeded(1));
  t.is(taken(budget, 'a', 0), 20);
  t.is(taken(budget, 'b', 0), 10);
  t.is(taken(budget, 'c', 0), 0);
  t.is(taken(budget, 'c', 1000), 20);
});

test('one who takes much leaves the others theirs, however many there are', (t) => {
  const budget = new Budget(10, 1e9, seeded(2));
  const sources = Array.from({ length: 50 }, (_, i) => `10.0.0.${i}`);
  const got = new Map<string, number>();
  for (let now = 0; now < 60_000; now += 100) {
    for (let i = 0; i < 100; i++) budget.take('flooder', now);
    for (const source of sources) if (budget.take(source, now)) got.set(source, (got.get(source) ?? 0) + 1);
  }
  // Those who share a place with the flooder share it for ten seconds at most.
  for (const source of sources) t.true((got.get(source) ?? 0) >= 450, `${source}: ${got.get(source)}`);
});

test('sources are spread evenly', (t) => {
  const budget = new Budget(1, 1e9, seeded(3));
  let apart = 0;
  for (let i = 0; i < 1000; i++) if (taken(budget, `10.1.${i >> 8}.${i & 255}`, 0, 2) === 2) apart++;
  // Of a thousand thrown on 1,024 places, 1024 × (1 - 1/e) places are hit first by somebody: some 640.
  t.true(apart > 580 && apart < 700, `${apart}`);
});
