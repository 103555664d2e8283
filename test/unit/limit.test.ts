/** The limit on bytes a second, on a virtual clock. */
import test from 'ava';
import fc from 'fast-check';
import { seeded } from '../../lib/clock.js';
import { BLOCK } from '../../lib/limits.js';
import { Limit } from '../../lib/transfer/limit.js';

const RUNS = { seed: 42, numRuns: 300 };
/** What may pass at once, as a time at the rate; and what a late timer does not cost, ms. */
const SPAN = 50;
const LATE = 50;

interface Passed {
  at: number;
  who: number;
  bytes: number;
}

/**
 * Some who always want to send, for a while.
 * @param sizes of their items, in turn
 * @param late how much later than it is due a timer rings
 * @param rest how long one thinks before the next item, ms
 */
function run(
  limit: Limit<number>,
  until: number,
  {
    sizes,
    whos = 1,
    late = () => 0,
    rest = () => 0,
  }: {
    sizes: readonly number[];
    whos?: number;
    late?: () => number;
    rest?: () => number;
  },
): Passed[] {
  const passed: Passed[] = [];
  const wants = Array.from({ length: whos }, () => 0);
  const items = Array.from({ length: whos }, () => 0);
  const waits = new Set<number>();
  const next = (who: number) => sizes[(who + items[who]) % sizes.length];
  const pass = (who: number, at: number) => {
    passed.push({ at, who, bytes: next(who) });
    items[who]++;
    wants[who] = at + rest();
  };
  let rings: number | undefined;
  for (let now = 0; now <= until; ) {
    for (let who = 0; who < whos; who++) {
      while (!waits.has(who) && wants[who] <= now && passed.length < 100_000) {
        if (limit.take(who, next(who), now)) pass(who, now);
        else waits.add(who);
      }
    }
    if (rings !== undefined && rings <= now) {
      rings = undefined;
      for (let who = limit.next(now); who !== undefined; who = limit.next(now)) {
        waits.delete(who);
        pass(who, now);
      }
      continue;
    }
    const due = limit.dueAt;
    if (rings === undefined && due !== undefined) rings = Math.max(now, due) + late();
    const others = wants.filter((_, who) => !waits.has(who));
    now = Math.min(rings ?? Number.POSITIVE_INFINITY, ...others);
  }
  return passed;
}

const sum = (all: readonly Passed[]) => all.reduce((bytes, one) => bytes + one.bytes, 0);

/** The most by which any stretch of time passes what its rate gives, bytes. */
function excess(passed: readonly Passed[], rate: number): number {
  // The amount until now less the rate's: the greatest rise of it from just before any passing to just after another.
  let [all, least, most] = [0, Number.POSITIVE_INFINITY, 0];
  for (const { at, bytes } of passed) {
    least = Math.min(least, all - (at * rate) / 1000);
    all += bytes;
    most = Math.max(most, all - (at * rate) / 1000 - least);
  }
  return most;
}

test('in no stretch of time more passes than the rate gives, and one burst', (t) => {
  const sizes = fc.array(fc.integer({ min: 1, max: BLOCK }), { minLength: 1, maxLength: 8 });
  const rates = fc.oneof(fc.integer({ min: 1000, max: 100_000 }), fc.integer({ min: 100_000, max: 100_000_000 }));
  let all = 0;
  const property = fc.property(
    sizes,
    rates,
    fc.integer({ min: 1, max: 5 }),
    fc.integer(),
    fc.boolean(),
    (s, r, n, seed, tardy) => {
      const random = seeded(seed);
      const limit = new Limit<number>(r);
      const largest = Math.max(...s);
      // Long enough for some hundred items.
      const until = (200 * largest * 1000) / r;
      const late = () => (tardy ? random() * 2 * LATE : 0);
      const rest = () => (random() < 0.7 ? 0 : (random() * 20 * largest * 1000) / r);
      const passed = run(limit, until, { sizes: s, whos: n, late, rest });
      const burst = Math.max((SPAN * r) / 1000, largest) + (tardy ? (LATE * r) / 1000 : 0);
      t.true(excess(passed, r) <= burst + 1, `${excess(passed, r)} over the rate, and ${burst} may be`);
      all += passed.length;
    },
  );
  fc.assert(property, RUNS);
  t.true(all > 10_000, `only ${all} items`);
});

for (const [what, late] of [
  ['to the moment', () => 0],
  ['up to 50 ms late', seeded(7)],
] as const) {
  test(`where enough wait, nothing of the rate is lost: timers that ring ${what}`, (t) => {
    for (const rate of [1000, 50_000, 1_000_000, 5_000_000, 11_000_000, 100_000_000, 1_000_000_000]) {
      const until = Math.max(20_000, (100 * BLOCK * 1000) / rate);
      const passed = run(new Limit<number>(rate), until, { sizes: [BLOCK], whos: 3, late: () => LATE * late() });
      // The last may be on its way; what 100,000 items are is enough to see.
      const took = passed.length === 100_000 ? passed[passed.length - 1].at : until;
      const part = (sum(passed) * 1000) / rate / took;
      t.true(part > 0.99 && part < 1.011, `${rate}: ${part}`);
    }
  });
}

test('it is even: no gap is much longer than an item takes', (t) => {
  const rate = 11_000_000;
  const passed = run(new Limit<number>(rate), 5000, { sizes: [BLOCK], whos: 2 });
  const gaps = passed.slice(5).map(({ at }, i) => at - passed[i + 4].at);
  t.true(Math.max(...gaps) < (1.01 * BLOCK * 1000) / rate, `${Math.max(...gaps)} ms`);
});

test('those who wait take turns, whatever they send', (t) => {
  const equal = run(new Limit<number>(1_000_000), 60_000, { sizes: [BLOCK], whos: 7 });
  const counts = Array.from({ length: 7 }, (_, who) => equal.filter((one) => one.who === who).length);
  // The first has the first burst as well.
  t.true(Math.max(...counts) - Math.min(...counts) <= 2, `${counts}`);
  const mixed = run(new Limit<number>(1_000_000), 60_000, { sizes: [BLOCK, 100], whos: 4 });
  for (const [i, { who }] of mixed.slice(8).entries()) t.is(who, mixed[i + 4].who);
  // However small, nothing passes those who wait.
  const limit = new Limit<string>(10_000_000);
  while (limit.take('large', BLOCK, 0));
  t.false(limit.take('small', 1, (limit.dueAt as number) - 1));
  t.is(limit.next(limit.dueAt as number), 'large');
});

test('another rate holds at once, for what is not paid for yet too', (t) => {
  const limit = new Limit<number>(1000);
  t.true(limit.take(1, BLOCK, 0));
  t.false(limit.take(1, BLOCK, 0));
  t.true((limit.dueAt as number) > 200_000, 'more than four minutes');
  limit.setRate(1_000_000, 1000);
  t.true((limit.dueAt as number) < 1300, `${limit.dueAt}`);
  limit.setRate(Number.POSITIVE_INFINITY, 1000);
  t.true(limit.isFree);
  t.is(limit.next(1000), 1);
  t.true(limit.take(1, 1e12, 1000));
  limit.setRate(1_000_000, 2000);
  const [burst, rate] = [BLOCK, 1_000_000];
  const passed: Passed[] = [];
  for (let now = 2000; now < 12_000; now++) {
    if (limit.next(now) === 2 || limit.take(2, BLOCK, now)) passed.push({ at: now, who: 2, bytes: BLOCK });
  }
  t.true(excess(passed, rate) <= burst + rate / 1000, 'and what passed without a limit is not owed');
  t.true(sum(passed) > 9_500_000);
});

test('what is given back may pass, and what passed without leave is made up for, within bounds', (t) => {
  const limit = new Limit<string>(1_000_000);
  t.true(limit.take('a', BLOCK, 0));
  limit.give(BLOCK);
  t.true(limit.take('a', BLOCK, 0));
  t.false(limit.take('b', BLOCK, 0));
  limit.leave('b');
  t.is(limit.waiting, 0);
  t.is(limit.next(1e9), undefined);
  limit.owe(500_000);
  const passedIn = (from: number, ms: number, meanwhile = () => {}) => {
    let bytes = 0;
    for (let now = from; now < from + ms; now++) {
      meanwhile();
      if (limit.take('c', 10_000, now) || limit.next(now) === 'c') bytes += 10_000;
    }
    return bytes;
  };
  const near = (bytes: number, wanted: number) => t.true(Math.abs(bytes - wanted) <= 60_000, `${bytes}`);
  near(passedIn(10_000, 1000), 500_000);
  near(passedIn(11_000, 1000), 1_000_000);
  // However much comes unasked, and for how long: half is left for the others, and two seconds of it are made up for.
  near(
    passedIn(20_000, 5000, () => limit.owe(1e9)),
    2_500_000,
  );
  near(passedIn(25_000, 4000), 2_000_000);
  near(passedIn(29_000, 1000), 1_000_000);
});
