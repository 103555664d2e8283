/** Downloads under a limit, on a virtual clock: at the receiver, and at their sources. */
import test from 'ava';
import { Bits } from '../../lib/bits.js';
import { seeded } from '../../lib/clock.js';
import { BLOCK, SMALL_BATCH_MAX } from '../../lib/limits.js';
import { Batch, type BatchEffect } from '../../lib/transfer/batch.js';
import { chunkCount, chunkSizeOf } from '../../lib/transfer/content.js';
import { Limit } from '../../lib/transfer/limit.js';
import { Exchange, type Outcome, type VirtualLimit } from '../sim/exchange.js';

const MIB = 1 << 20;
/** 100 Mbit/s in bytes a millisecond. */
const MBIT100 = 12_500;
const total = (map: Map<string, number>) => [...map.values()].reduce((a, b) => a + b, 0);
const limitOf = (rate: number): VirtualLimit => new Limit<() => void>(rate);
const forever = 1e9;

/** Asserts that each block left once. */
function once(t: { is(a: unknown, b: unknown, why?: string): void }, { sent, sendings }: Outcome, blocks: number) {
  t.is(new Set(sendings.map(({ block }) => block)).size, blocks);
  t.is(total(sent), blocks, 'no block left twice');
}

for (const [kBs, mib] of [
  [1, 1],
  [50, 8],
  [1000, 16],
  [11_000, 64],
]) {
  test(`asked for at ${kBs} kB/s, it comes at that, each block once`, (t) => {
    const exchange = new Exchange(mib * MIB, 1, undefined, limitOf(kBs * 1000));
    exchange.add({ peer: 'a', rate: MBIT100 });
    const outcome = exchange.run(forever);
    once(t, outcome, mib * 4);
    // The first burst costs no time: a block, or 50 ms of the rate.
    const least = (mib * MIB - Math.max(BLOCK, 50 * kBs)) / kBs;
    const { finished = Number.POSITIVE_INFINITY } = outcome;
    t.true(finished >= least && finished < least * 1.01 + 100, `${finished} ms, ${least} at least`);
  });
}

test('several sources together keep the limit, and take turns', (t) => {
  const exchange = new Exchange(64 * MIB, 2, undefined, limitOf(5_000_000));
  for (const peer of ['a', 'b', 'c']) exchange.add({ peer, rate: MBIT100 });
  const outcome = exchange.run();
  once(t, outcome, 256);
  const least = (64 * MIB - BLOCK) / 5000;
  t.true((outcome.finished ?? 0) > least && (outcome.finished ?? 0) < 1.01 * least + 100, `${outcome.finished} ms`);
  for (const [peer, blocks] of outcome.sent) t.true(blocks > 50, `${peer} gave ${blocks}`);
});

test('a slow source beside a fast one neither takes the leave of the other nor is given up', (t) => {
  const exchange = new Exchange(32 * MIB, 3, undefined, limitOf(6_000_000));
  exchange.add({ peer: 'slow', rate: MBIT100 / 50 });
  exchange.add({ peer: 'fast', rate: MBIT100 });
  const outcome = exchange.run();
  t.true((outcome.finished ?? Number.POSITIVE_INFINITY) < 1.1 * ((32 * MIB) / 6000), `${outcome.finished} ms`);
  t.true(total(outcome.sent) <= 128 + 4, `${total(outcome.sent)} blocks for 128`);
  t.true((outcome.sent.get('slow') ?? 0) > 2);
});

test('a source that dies or falls silent takes no leave with it', (t) => {
  for (const silent of [false, true]) {
    const exchange = new Exchange(16 * MIB, 4, undefined, limitOf(1_000_000));
    exchange.add({ peer: 'a', rate: MBIT100, ...(silent ? { silent: [3000, forever] as [number, number] } : {}) });
    exchange.add({ peer: 'b', rate: MBIT100 });
    if (!silent) exchange.breakAt('a', 3000);
    const { finished } = exchange.run();
    // A silent one is noticed after a second or two, and holds no more than its window of the leave until then.
    t.true((finished ?? Number.POSITIVE_INFINITY) < (16 * MIB) / 1000 + 2500, `${finished} ms`);
  }
});

test('whatever is lost, doubled and broken off: what had leave is what came, to the byte', (t) => {
  for (let seed = 1; seed <= 40; seed++) {
    const random = seeded(seed);
    const exchange = new Exchange(4 * MIB, seed, undefined, limitOf(2_000_000 + 10_000_000 * random()));
    let bytes = 0;
    const lossy = () => random() < 0.1;
    exchange.add({
      peer: 'a',
      rate: MBIT100,
      loseBlock: (_, nth) => nth < 3 && lossy(),
      silent: [100 * seed, 100 * seed + 1500],
    });
    exchange.add({ peer: 'b', rate: MBIT100 / 3, loseAck: (_, nth) => nth < 3 && lossy() });
    exchange.add({ peer: 'c', rate: MBIT100 / 40, corrupt: (block, nth) => nth === 1 && block % 7 === seed % 7 });
    if (seed % 3 === 0) exchange.breakAt('b', 50 + 10 * seed);
    const { finished, arrived, leave } = exchange.run(forever);
    t.not(finished, undefined, `seed ${seed}`);
    // What a source that is none any more sends counts as nobody's.
    for (const blocks of arrived.values()) bytes += blocks * BLOCK;
    const open = exchange.download.awaited() * BLOCK;
    t.is(leave, bytes + open, `seed ${seed}`);
  }
});

test('near the end an idle source takes over what a slow one was not asked for yet', (t) => {
  const exchange = new Exchange(160 * MIB, 12, undefined, limitOf(11_000_000));
  exchange.add({ peer: 'slow', rate: MBIT100 / 200 });
  exchange.add({ peer: 'fast', rate: MBIT100 });
  const { finished, arrived } = exchange.run();
  t.true((finished ?? Number.POSITIVE_INFINITY) < 1.1 * ((160 * MIB) / 11_000), `${finished} ms`);
  t.true(total(arrived) <= 640 + 8, `${total(arrived)} blocks for 640`);
});

for (const [kBs, rate, chunks] of [
  [100, 40, 2],
  [100, 62, 3],
]) {
  test(`a helper under ${kBs} kB/s, of a source with ${rate} kB/s, fetches nothing twice`, (t) => {
    const size = 160 * MIB;
    const have = new Bits(chunkCount(size));
    for (let i = 0; i < have.length - chunks; i++) have.add(i);
    const exchange = new Exchange(size, 1, have, limitOf(kBs * 1000));
    exchange.add({ peer: 'slow', rate });
    exchange.add({ peer: 'fast', rate: MBIT100 });
    for (let at = 250; at < 100_000; at += 250) exchange.eventAt(at, { kind: 'heard', peer: 'slow' });
    const outcome = exchange.run(forever);
    t.not(outcome.finished, undefined);
    t.is(total(outcome.arrived), (chunks * chunkSizeOf(size)) / BLOCK);
    t.true(
      [...outcome.arrived.values()].every((blocks) => blocks > 0),
      'both gave some',
    );
  });
}

test('a limit that is set, changed and lifted in the middle holds from then on', (t) => {
  const limit = limitOf(Number.POSITIVE_INFINITY);
  const exchange = new Exchange(64 * MIB, 5, undefined, limit);
  exchange.add({ peer: 'a', rate: MBIT100 });
  exchange.rateAt(1000, limit, 100_000);
  exchange.rateAt(11_000, limit, 2_000_000);
  exchange.rateAt(16_000, limit, Number.POSITIVE_INFINITY);
  const { sendings, finished, sent } = exchange.run();
  const between = (from: number, to: number) => sendings.filter(({ at }) => at >= from && at < to).length * BLOCK;
  // What was asked for before is still coming at first.
  t.true(between(3000, 11_000) <= 800_000 + BLOCK, `${between(3000, 11_000)}`);
  t.true(between(11_000, 16_000) > 9_500_000 && between(11_000, 16_000) <= 10_000_000 + BLOCK);
  t.is(total(sent), 256);
  t.true((finished ?? 0) < 16_000 + (64 * MIB - 22_000_000) / MBIT100 + 200, `${finished} ms`);
});

test('a source that a limit of its own holds up says so, and is neither doubled nor given up', (t) => {
  const told = (tells: number | undefined) => {
    const exchange = new Exchange(4 * MIB, 6);
    for (const peer of ['a', 'b']) {
      exchange.add({ peer, rate: MBIT100, limit: limitOf(50_000), ...(tells ? { tells } : {}) });
    }
    return exchange.run(forever);
  };
  const outcome = told(400);
  once(t, outcome, 16);
  t.true((outcome.finished ?? Number.POSITIVE_INFINITY) < (1.3 * (2 * MIB)) / 50, `${outcome.finished} ms`);
  t.true(total(told(undefined).sent) > 16, 'where it does not say so, blocks come twice');
});

test('many receivers of one limited source: each block leaves once', (t) => {
  const limit = limitOf(200_000);
  // One receiver is enough to see it: the others are others' items in the same row.
  const exchange = new Exchange(2 * MIB, 7);
  exchange.add({ peer: 'a', rate: MBIT100, limit, tells: 400 });
  for (let i = 0; i < 20; i++) {
    const again = () => limit.take(again, BLOCK, exchange.now);
    limit.take(again, BLOCK, 0);
  }
  once(t, exchange.run(forever), 8);
});

const requests = (effects: BatchEffect[]) => effects.filter((effect) => effect.kind === 'request');

test('small files are asked for as the limit allows, in requests of a block at most', (t) => {
  const random = seeded(3);
  const files = Array.from({ length: 1000 }, () => ({ size: Math.floor(random() * 60_000), peers: ['a', 'b'] }));
  const all = files.reduce((sum, { size }) => sum + size, 0);
  let [room, taken] = [0, 0];
  const leave = {
    isFree: false,
    take: (bytes: number) => {
      if (bytes > room) return false;
      room -= bytes;
      taken += bytes;
      return true;
    },
    give: (bytes: number) => {
      taken -= bytes;
    },
    owe: () => {},
  };
  const batch = new Batch(files, leave);
  const asked: number[] = [];
  let [now, complete] = [0, false];
  const settle = (effects: BatchEffect[]) => {
    complete ||= effects.some(({ kind }) => kind === 'complete');
    for (const { peer, files: some } of requests(effects)) {
      t.true(some.length <= SMALL_BATCH_MAX);
      t.true(some.reduce((sum, file) => sum + files[file].size, 0) <= BLOCK);
      asked.push(...some);
      for (const file of some) settle(batch.handle({ kind: 'settled', file, peer, code: undefined }, now));
    }
  };
  settle([...batch.handle({ kind: 'source', peer: 'a' }, 0), ...batch.handle({ kind: 'source', peer: 'b' }, 0)]);
  t.deepEqual(asked, [], 'nothing without leave');
  t.true(batch.wants('a'), 'and what had none waits on');
  t.is(batch.awaited, 0);
  while (!complete && now < 100_000) {
    now += 100;
    room = BLOCK;
    settle(batch.handle({ kind: 'timer' }, now));
  }
  t.true(complete);
  t.is(new Set(asked).size, 1000);
  t.is(asked.length, 1000, 'each once');
  t.is(taken, all);
});

test('of a source that is lost, what it was asked for is given back', (t) => {
  let balance = 0;
  const leave = {
    isFree: false,
    take: (bytes: number) => {
      balance += bytes;
      return true;
    },
    give: (bytes: number) => {
      balance -= bytes;
    },
    owe: () => {},
  };
  const batch = new Batch(
    Array.from({ length: 100 }, () => ({ size: 1000, peers: ['a'] })),
    leave,
  );
  batch.handle({ kind: 'source', peer: 'a' }, 0);
  t.is(balance, 100_000);
  batch.handle({ kind: 'source-lost', peer: 'a' }, 1);
  t.is(balance, 0);
  batch.handle({ kind: 'source', peer: 'a' }, 2);
  t.is(balance, 100_000);
  batch.handle({ kind: 'source-gone', peer: 'a', code: 'unreachable' }, 3);
  t.is(balance, 0);
});
