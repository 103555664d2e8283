import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import test from 'ava';
import { Latest } from '../../lib/latest.js';

test('what was set longest ago goes, and to set again is to be the latest', (t) => {
  const latest = new Latest<string, number>(3);
  for (const [i, key] of ['a', 'b', 'c', 'a', 'd', 'e'].entries()) latest.set(key, i);
  t.deepEqual([...latest.entries()].join(' '), 'a,3 d,4 e,5');
  for (let i = 0; i < 1000; i++) {
    latest.set(`${i % 5}`, i);
    t.true(latest.size <= 3);
  }
  t.deepEqual([...latest.keys()], ['2', '3', '4']);
});

test('nothing is kept of what was set before, however often the same is set', (t) => {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  for (const first of [0, 1500]) {
    const latest = new Latest<string, number>(1000);
    for (let i = 0; i < first; i++) latest.set(`host ${i}`, i);
    gc();
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < 300_000; i++) latest.set(`host ${first + (i % 3)}`, i);
    gc();
    const more = process.memoryUsage().heapUsed - before;
    t.log(`${more} bytes more`);
    t.true(more < 2_000_000);
    t.is(latest.size, first === 0 ? 3 : 1000);
  }
});
