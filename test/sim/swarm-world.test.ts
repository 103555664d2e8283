/** Whole swarms of one file on a virtual clock, as `npm run bench -- simulate` has them, small. */
import test from 'ava';
import { SwarmWorld, type WorldSettings } from '../bench/swarm-world.js';

const MIB = 1 << 20;
const settings = (receivers: number, more: Partial<WorldSettings> = {}): WorldSettings => {
  return { receivers, bytes: 16 * MIB, rate: 12_500, seed: 1, stays: true, ...more };
};
/** The time of the last, as a multiple of size / rate. */
const last = ({ bytes, rate }: WorldSettings, finished: readonly number[]) => ((finished.at(-1) ?? 0) * rate) / bytes;

test('one receiver takes as long as the link, and everything crosses it once', (t) => {
  const one = settings(1);
  const { finished, bySource, byAll, blocks } = new SwarmWorld(one).run();
  t.true(last(one, finished) > 1 && last(one, finished) < 1.03, `${last(one, finished)}`);
  t.is(bySource, blocks);
  t.is(byAll, blocks);
});

test('twenty receivers give each other most of what they get, also where who has all leaves', (t) => {
  for (const stays of [true, false]) {
    const twenty = settings(20, { stays });
    const { finished, bySource, byAll, blocks } = new SwarmWorld(twenty).run();
    t.is(finished.length, 20);
    t.true(byAll >= 20 * blocks && byAll < 1.1 * 20 * blocks, `${byAll / blocks} copies in all`);
    t.true(bySource < 2 * blocks, `${bySource / blocks} copies of the source`);
    t.true(last(twenty, finished) < 2.1, `${last(twenty, finished)}`);
  }
});

test('eight receivers have all in little more than the time of one, and the source sends little more than one copy', (t) => {
  const eight = settings(8, { bytes: 32 * MIB });
  const { finished, bySource, blocks } = new SwarmWorld(eight).run();
  t.true(last(eight, finished) < 1.12, `${last(eight, finished)}`);
  t.true(bySource < 1.12 * blocks, `${bySource / blocks} copies of the source`);
});

test('the same seed has the same run, another one another', (t) => {
  const run = (seed: number) => new SwarmWorld(settings(5, { seed, bytes: 4 * MIB })).run();
  t.deepEqual(run(7), run(7));
  t.notDeepEqual(run(7).finished, run(8).finished);
});
