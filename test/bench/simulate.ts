/**
 * Swarms without a network: 10, 100 and 1,000 receivers on equal links, on a virtual clock. The time until the last has all, as a
 * multiple of the bound 1 + log2(N) / chunks (in units of size / rate): in each unit of a chunk's time those who have a chunk can
 * at most double. So a change of the choice of chunks can be judged.
 */
import { MIB } from '../lab/trees.js';
import type { Bench, Settings } from './settings.js';
import { SwarmWorld } from './swarm-world.js';
import { type Report, ratio, whole } from './table.js';

/** 100 Mbit/s, bytes a millisecond. */
const RATE = 12_500;

export async function simulated(settings: Settings): Promise<Report> {
  const { quick, seed = 1, mib = quick ? 8 : 16, receivers = quick ? [10, 100] : [10, 100, 1000] } = settings;
  const bytes = mib * MIB;
  const figures = [];
  const rows = [];
  for (const count of receivers) {
    for (const stays of [true, false]) {
      const began = performance.now();
      const outcome = new SwarmWorld({ receivers: count, bytes, rate: RATE, seed, stays }).run();
      const unit = bytes / RATE;
      const bound = 1 + Math.log2(count) / outcome.chunks;
      const last = (outcome.finished.at(-1) ?? Number.NaN) / unit;
      const middle = outcome.finished[count >> 1] / unit;
      const took = (performance.now() - began) / 1000;
      figures.push({ receivers: count, stays, bytes, seed, bound, last, middle, ...outcome, took });
      console.error(
        `simulated: ${count} receivers that ${stays ? 'stay' : 'leave'}: ${ratio(last)} in ${ratio(took, 1)} s`,
      );
      rows.push([
        `${count}`,
        stays ? 'stay' : 'leave',
        ratio(last / bound),
        ratio(last),
        ratio(middle),
        ratio(outcome.bySource / outcome.blocks, 1),
        ratio(outcome.byAll / outcome.blocks / count),
        whole(outcome.events / 1000),
      ]);
    }
  }
  const table = {
    title: `Simulated swarms on links of 100 Mbit/s, ${mib} MiB, seed ${seed}`,
    columns: [
      'receivers',
      'who has all',
      'last, × bound',
      'last, × size / rate',
      'median, × size / rate',
      'copies that the source sent',
      'copies a receiver',
      'thousand events',
    ],
    rows,
    notes: ['The bound is 1 + log2(receivers) / chunks. Links carry blocks without headers; nothing is lost.'],
  };
  return { bench: 'swarm --simulate', tables: [table], figures };
}

export const bench: Bench = { name: 'simulate', run: simulated };
