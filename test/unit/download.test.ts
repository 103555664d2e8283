import test from 'ava';
import { Bits } from '../../lib/bits.js';
import { BLOCK } from '../../lib/limits.js';
import { chunkSizeOf } from '../../lib/transfer/content.js';
import { Download } from '../../lib/transfer/download.js';
import { Exchange } from '../sim/exchange.js';

const MIB = 1 << 20;
/** 100 Mbit/s in bytes a millisecond. */
const MBIT100 = 12_500;
const total = (map: Map<string, number>) => [...map.values()].reduce((a, b) => a + b, 0);

test('one source gives all, in order, each block once', (t) => {
  const exchange = new Exchange(32 * MIB, 1);
  exchange.add({ peer: 'a', rate: MBIT100 });
  const { finished, order, sent } = exchange.run();
  t.deepEqual(
    order,
    Array.from({ length: 128 }, (_, i) => i),
  );
  t.is(sent.get('a'), 128);
  // 2.68 s at the rate of the link; the rest is the beginning.
  t.true((finished ?? Number.POSITIVE_INFINITY) < 2850, `${finished} ms`);
});

test('two sources give in proportion to their rates, and the sum of both', (t) => {
  const exchange = new Exchange(64 * MIB, 2);
  exchange.add({ peer: 'a', rate: MBIT100 });
  exchange.add({ peer: 'b', rate: MBIT100 / 2 });
  const { finished, arrived } = exchange.run();
  const [a, b] = [arrived.get('a') ?? 0, arrived.get('b') ?? 0];
  t.true(b / (a + b) > 0.25, `${a} and ${b}`);
  t.true((finished ?? 0) < 1.1 * ((64 * MIB) / (MBIT100 * 1.5)), `${finished} ms`);
  t.true(a + b <= 256 * 1.02, 'hardly a block came twice');
});

test('a lost block is asked for again after the adaptive time-out', (t) => {
  const exchange = new Exchange(8 * MIB, 3);
  exchange.add({ peer: 'a', rate: MBIT100, loseBlock: (block, nth) => block === 5 && nth === 1 });
  const { finished, sendings, requests } = exchange.run();
  t.not(finished, undefined);
  const times = sendings.filter((s) => s.block === 5).map((s) => s.at);
  t.is(times.length, 2);
  const asked = requests.filter((r) => r.block === 5 && r.count === 1);
  t.is(asked.length, 2, 'asked again once, by itself');
  t.true(times[1] - times[0] >= 999 && times[1] - times[0] < 10_000, `${times[1] - times[0]} ms`);
});

test('a lost acknowledgement has the block sent again, and it does not count twice', (t) => {
  const exchange = new Exchange(64 * MIB, 4);
  exchange.add({ peer: 'a', rate: MBIT100 / 4, loseAck: (block, nth) => block === 3 && nth === 1 });
  const { finished, sendings, order } = exchange.run();
  t.not(finished, undefined);
  const times = sendings.filter((s) => s.block === 3).map((s) => s.at);
  t.is(times.length, 2);
  t.true(times[1] - times[0] >= 1000, `${times[1] - times[0]} ms`);
  t.is(new Set(order).size, order.length);
});

test('a corrupt chunk from the only source is asked of it again', (t) => {
  const exchange = new Exchange(4 * MIB, 5);
  exchange.add({ peer: 'a', rate: MBIT100, corrupt: (block, nth) => block === 7 && nth === 1 });
  const { finished, dropped, bad } = exchange.run();
  t.not(finished, undefined);
  t.deepEqual(dropped, []);
  t.deepEqual(bad, [{ peer: 'a', chunk: 7 }]);
});

test('a corrupt chunk is asked of another source where there is one', (t) => {
  const exchange = new Exchange(4 * MIB, 6);
  exchange.add({ peer: 'a', rate: MBIT100, corrupt: (block) => block === 0 });
  exchange.add({ peer: 'b', rate: MBIT100 }, 1);
  const { finished, dropped, sendings } = exchange.run();
  t.not(finished, undefined);
  t.deepEqual(dropped, []);
  const tries = sendings.filter((s) => s.block === 0);
  t.deepEqual(
    tries.map((s) => s.peer),
    ['a', 'b'],
  );
});

test('a second wrong chunk drops a source and names it; the other goes on', (t) => {
  const exchange = new Exchange(16 * MIB, 7);
  exchange.add({ peer: 'liar', rate: MBIT100, corrupt: () => true });
  exchange.add({ peer: 'good', rate: MBIT100 });
  const { finished, dropped, bad } = exchange.run();
  t.not(finished, undefined);
  t.deepEqual(dropped, ['liar']);
  t.is(bad.filter((b) => b.peer === 'good').length, 0);
});

test('a source that falls silent gives back what it held within seconds', (t) => {
  const exchange = new Exchange(64 * MIB, 8);
  exchange.add({ peer: 'a', rate: MBIT100, silent: [1000, Number.POSITIVE_INFINITY] });
  exchange.add({ peer: 'b', rate: MBIT100 });
  const { finished } = exchange.run();
  // 5.4 s if b had to give all by itself.
  t.true((finished ?? Number.POSITIVE_INFINITY) < 6500, `${finished} ms`);
});

test('a source that was silent for a while is used again', (t) => {
  const exchange = new Exchange(64 * MIB, 9);
  exchange.add({ peer: 'a', rate: MBIT100, silent: [500, 1500] });
  exchange.add({ peer: 'b', rate: MBIT100 / 10 });
  const { finished, arrived } = exchange.run();
  t.true((arrived.get('a') ?? 0) > 128, `${arrived.get('a')} blocks`);
  t.true((finished ?? Number.POSITIVE_INFINITY) < 12_000, `${finished} ms`);
});

test('a source that leaves gives back all that it held at once', (t) => {
  const exchange = new Exchange(32 * MIB, 10);
  exchange.add({ peer: 'a', rate: MBIT100 });
  exchange.add({ peer: 'b', rate: MBIT100 });
  exchange.breakAt('a', 700);
  const { finished } = exchange.run();
  t.true((finished ?? Number.POSITIVE_INFINITY) < 2300, `${finished} ms`);
});

test('a slow source that is still sending is not stalled', (t) => {
  const exchange = new Exchange(2 * MIB, 11);
  // 20 kB/s: a block takes 13 s, much more than any time-out; bytes of it keep coming.
  exchange.add({ peer: 'a', rate: 20 });
  for (let at = 250; at < 200_000; at += 250) exchange.eventAt(at, { kind: 'heard', peer: 'a' });
  const { finished, sent } = exchange.run();
  t.not(finished, undefined);
  t.true((sent.get('a') ?? 0) <= 10, `${sent.get('a')} blocks left for a file of 8`);
});

test('near the end an idle source helps a slow one, at little cost', (t) => {
  const exchange = new Exchange(16 * MIB, 12);
  exchange.add({ peer: 'fast', rate: MBIT100 });
  exchange.add({ peer: 'slow', rate: MBIT100 / 100 });
  const { finished, arrived } = exchange.run();
  // 1.34 s from the fast one alone; a block of the slow one alone takes 2 s.
  t.true((finished ?? Number.POSITIVE_INFINITY) < 2000, `${finished} ms`);
  t.true(total(arrived) <= 64 + 4, `${total(arrived)} blocks for 64`);
});

test('what is here already is not asked for', (t) => {
  const have = new Bits(64);
  for (let i = 0; i < 60; i++) have.add(i);
  const exchange = new Exchange(16 * MIB, 13, have);
  exchange.add({ peer: 'a', rate: MBIT100 });
  const { finished, sent } = exchange.run();
  t.not(finished, undefined);
  t.is(sent.get('a'), 4);
});

test('a partial source is asked only for what it has, and the rarest chunks come first', (t) => {
  const exchange = new Exchange(8 * MIB, 14);
  exchange.add({ peer: 'some', rate: MBIT100, have: [0, 1, 2, 3, 4, 5, 6, 7] });
  exchange.add({ peer: 'all', rate: MBIT100 });
  const { finished, sendings, order } = exchange.run();
  t.not(finished, undefined);
  t.true(sendings.filter((s) => s.peer === 'some').every((s) => s.block < 8));
  const common = order.slice(0, 12).filter((chunk) => chunk < 8).length;
  // Of the first twelve those of the partial source itself are common; all of the full one's are rare.
  t.true(common <= 8, `${order.slice(0, 12)}`);
  const first = sendings.filter((s) => s.peer === 'all').slice(0, 16);
  t.true(first.every((s) => s.block >= 8));
});

test('chunks that a receiver gets meanwhile are asked of it', (t) => {
  const exchange = new Exchange(8 * MIB, 15);
  exchange.add({ peer: 'slow', rate: MBIT100 / 50 });
  exchange.add({ peer: 'other', rate: MBIT100, have: [] });
  const chunks = Array.from({ length: 32 }, (_, i) => i);
  exchange.eventAt(500, { kind: 'source-has', peer: 'other', chunks });
  const { finished, arrived } = exchange.run();
  t.true((finished ?? Number.POSITIVE_INFINITY) < 3000, `${finished} ms`);
  t.true((arrived.get('other') ?? 0) > 20);
});

test('blocks that were not asked for, or of the wrong length, are not kept', (t) => {
  const download = new Download(4 * MIB, Math.random);
  download.handle({ kind: 'source', peer: 'a', have: undefined }, 0);
  const keeps = (event: Parameters<Download['handle']>[0]) => download.handle(event, 1).some((e) => e.kind === 'keep');
  t.false(keeps({ kind: 'block', peer: 'a', block: 15, bytes: BLOCK }), 'never asked for');
  t.false(keeps({ kind: 'block', peer: 'stranger', block: 0, bytes: BLOCK }), 'of no source');
  t.false(keeps({ kind: 'block', peer: 'a', block: 0, bytes: 5 }), 'too short');
  t.true(keeps({ kind: 'block', peer: 'a', block: 1, bytes: BLOCK }));
  t.false(keeps({ kind: 'block', peer: 'a', block: 1, bytes: BLOCK }), 'a second time');
});

test('after any mix of losses the whole arrives: 60 seeds', (t) => {
  for (let seed = 1; seed <= 60; seed++) {
    const size = 3 * MIB + seed * 77_777;
    const exchange = new Exchange(size, seed);
    const lossy = (nth: number, block: number, out: number) => ((block * 31 + nth * 17 + seed * 7) % 100) / 100 < out;
    exchange.add({
      peer: 'a',
      rate: MBIT100,
      loseBlock: (b, n) => n < 4 && lossy(n, b, 0.2),
      loseAck: (b, n) => n < 4 && lossy(n, b + 1, 0.2),
    });
    exchange.add({ peer: 'b', rate: MBIT100 / 3, loseBlock: (b, n) => n < 4 && lossy(n, b + 2, 0.2) }, seed % 50);
    if (seed % 3 === 0) exchange.breakAt('b', 200 + seed);
    const { finished, order } = exchange.run();
    t.not(finished, undefined, `seed ${seed}`);
    t.is(order.length, Math.ceil(size / chunkSizeOf(size)), `seed ${seed}`);
  }
});

test('chunks that are rather left to others are asked of a source last', (t) => {
  const download = new Download(4 * MIB, () => 0.5);
  download.yields = (source, chunk) => source === 'a' && chunk % 4 !== 1;
  const asked: string[] = [];
  const take = (effects: ReturnType<Download['handle']>) => {
    for (const e of effects)
      if (e.kind === 'request') for (let i = 0; i < e.count; i++) asked.push(`${e.peer}${e.block + i}`);
  };
  const give = (now: number) => {
    const [next] = asked.splice(0, 1);
    const [source, block] = [next[0], Number(next.slice(1))];
    take(download.handle({ kind: 'block', peer: source, block, bytes: BLOCK }, now));
    take(download.handle({ kind: 'checked', chunk: block, ok: true }, now));
    return `${source}${block}`;
  };
  // Another receives it too, and has one of those by now.
  const have = new Bits(16);
  have.add(2);
  take(download.handle({ kind: 'source', peer: 'b', have: have.bytes }, 0));
  take(download.handle({ kind: 'source', peer: 'a', have: undefined }, 0));
  const given: string[] = [];
  for (let now = 1; asked.length > 0; now++) given.push(give(now));
  t.is(given.length, 16);
  t.true(given.includes('b2'), 'what is left to others is asked of them');
  const ofA = given.filter((one) => one.startsWith('a')).map((one) => Number(one.slice(1)));
  t.deepEqual(
    ofA.slice(0, 4).sort((x, y) => x - y),
    [1, 5, 9, 13],
  );
  t.is(new Set(ofA).size, 15, 'where nobody else gives the rest, it comes from there all the same');
});

test('what no source has is known to be nobody’s', (t) => {
  const download = new Download(2 * MIB, () => 0.5);
  t.true(download.isOrphaned);
  const have = new Bits(8);
  for (let chunk = 0; chunk < 7; chunk++) have.add(chunk);
  download.handle({ kind: 'source', peer: 'a', have: have.bytes }, 0);
  t.true(download.isOrphaned, 'one is lacking');
  download.handle({ kind: 'source-has', peer: 'a', chunks: [7] }, 1);
  t.false(download.isOrphaned);
  download.handle({ kind: 'source', peer: 'b', have: undefined }, 2);
  download.handle({ kind: 'source-gone', peer: 'a' }, 3);
  t.false(download.isOrphaned);
  download.handle({ kind: 'source-gone', peer: 'b' }, 4);
  t.true(download.isOrphaned);
});
