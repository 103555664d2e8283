/**
 * Several sources of one file, each on a link of 100 Mbit/s, and a receiver on 1 Gbit/s: what it reaches of the sum of the links, and of
 * so many times what one source gives. Then one of four sources is five times slower than the others.
 *
 *   npm run bench -- sources [--mib 96] [--runs 3] [--ways hearsay,aria2] [--quick] [--json FILE]
 *
 * `--mib` is for each source.
 */
import { join } from 'node:path';
import { Lab } from '../lab/lab.js';
import { bigFile, MIB } from '../lab/trees.js';
import { contest, excuse, of, warmUp } from './contest.js';
import type { Bench, Settings } from './settings.js';
import { type Report, ratio, type Table } from './table.js';
import { aria2Plain } from './tools/curl.js';
import { hearsay } from './tools/hearsay.js';
import { libtorrent } from './tools/libtorrent.js';
import { syncthing } from './tools/syncthing.js';

const TOOLS = [hearsay, libtorrent, aria2Plain, syncthing];
const RATE = 100;
const SLOW = 20;

/** Rates of the sources, Mbit/s, case by case. */
const CASES: readonly (readonly number[])[] = [
  ...[1, 2, 4, 8].map((k) => new Array<number>(k).fill(RATE)),
  [RATE, RATE, RATE],
  [RATE, RATE, RATE, SLOW],
];
const QUICK: readonly (readonly number[])[] = [[RATE], [RATE, RATE, RATE], [RATE, RATE, RATE, SLOW]];

const sum = (values: readonly number[]) => values.reduce((all, one) => all + one, 0);
const titleOf = (rates: readonly number[]) =>
  rates.includes(SLOW) ? `${rates.length - 1} and a slow one` : `${rates.length}`;

/** One case: bytes a second of each tool. */
async function measure(rates: readonly number[], mib: number, runs: number, ways: string[] | undefined) {
  const lab = await Lab.open([...rates.map((rate) => ({ rate })), { rate: 1000 }]);
  try {
    const bytes = Math.ceil((mib * sum(rates)) / RATE) * MIB;
    const folder = join(lab.folder, 'share');
    await warmUp(lab.folder, bytes);
    await bigFile(join(folder, 'bytes'), bytes);
    const what = { folder, file: 'bytes', bytes, files: 1 };
    const [sources, receivers] = [lab.hosts.slice(0, -1), lab.hosts.slice(-1)];
    const stage = { title: `sources: ${titleOf(rates)}`, sources, receivers, what, folder: lab.folder };
    const results = await contest(stage, TOOLS, runs, ways);
    return { rates, bytes, results };
  } finally {
    await lab.close();
  }
}

type Measured = Awaited<ReturnType<typeof measure>>;

function tableOf(all: readonly Measured[], runs: number): Table {
  const mbit = ({ bytes, results }: Measured, tool: string) =>
    (bytes * 8) /
    1e6 /
    of(
      results.find((result) => result.tool === tool),
      ({ seconds }) => seconds,
    );
  const rows = all.flatMap((one) =>
    one.results.map((result) => {
      const why = excuse(result);
      if (why) return [titleOf(one.rates), result.tool, why, '', ''];
      const reached = mbit(one, result.tool);
      // A slow source beside others is compared with the others alone.
      const fast = one.rates.filter((rate) => rate === RATE).length;
      const few = all.find(({ rates }) => rates.length === fast && !rates.includes(SLOW));
      const base = one.rates.includes(SLOW)
        ? few
          ? mbit(few, result.tool)
          : Number.NaN
        : fast * mbit(all[0], result.tool);
      return [
        titleOf(one.rates),
        result.tool,
        ratio(reached / sum(one.rates)),
        ratio(reached / base),
        ratio(reached, 0),
      ];
    }),
  );
  return {
    title: `Sources at ${RATE} Mbit/s, a slow one at ${SLOW}, a receiver at 1000, median of ${runs}`,
    columns: [
      'sources',
      '',
      'of the sum of the links',
      'of k × one source; with a slow one: of those without it',
      'Mbit/s',
    ],
    rows,
    notes: ['Headers leave 0.95 of a link for payload.'],
  };
}

export const bench: Bench = {
  name: 'sources',
  async run({ quick, runs = quick ? 1 : 3, mib = quick ? 24 : 96, ways }: Settings): Promise<Report> {
    const all: Measured[] = [];
    for (const rates of quick ? QUICK : CASES) {
      all.push(await measure(rates, mib, runs, ways ?? (quick ? ['hearsay', 'aria2'] : undefined)));
    }
    return { bench: 'sources', tables: [tableOf(all, runs)], figures: all };
  },
};
