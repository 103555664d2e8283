/**
 * One source and N receivers that all want the same file: how long until all have it, as a multiple of its size divided by the
 * rate of a link, and how many copies the source sent.
 *
 *   npm run bench -- swarm [--receivers 4,8] [--rates 100,1000] [--apart 0,1] [--mib N] [--runs 3] [--ways hearsay,uftp] [--quick] [--json FILE]
 *   npm run bench -- swarm --simulate [--receivers 10,100] [--mib 64] [--seed N]
 *
 * `--apart` is the time between their beginnings, s; counted is then from the last. `--simulate` needs no network: see simulate.ts.
 */
import { join } from 'node:path';
import { Lab } from '../lab/lab.js';
import { bigFile, MIB } from '../lab/trees.js';
import { contest, excuse, of, type Result, warmUp } from './contest.js';
import type { Bench, Settings } from './settings.js';
import { simulated } from './simulate.js';
import { type Report, ratio, type Table, whole } from './table.js';
import { aria2Plain } from './tools/curl.js';
import { hearsay } from './tools/hearsay.js';
import { libtorrent } from './tools/libtorrent.js';
import { syncthing } from './tools/syncthing.js';
import { uftp } from './tools/uftp.js';

const TOOLS = [hearsay, libtorrent, uftp, syncthing, aria2Plain];

interface Case {
  receivers: number;
  rate: number;
  apart: number;
  bytes: number;
}

/** Bytes by a link's rate, Mbit/s: what no tool can be faster than. */
const least = ({ bytes, rate }: Case) => (bytes * 8) / (rate * 1e6);

function row(one: Case, result: Result): string[] {
  const why = excuse(result);
  if (why) return [result.tool, why, '', '', '', ''];
  const { bytes, receivers } = one;
  const cpu = (of(result, (round) => round.cpu) * 2 ** 30) / (bytes * receivers);
  return [
    result.tool,
    ratio(of(result, ({ seconds }) => seconds) / least(one)),
    ratio(of(result, (round) => round.whole) / least(one)),
    ratio(of(result, ({ sent }) => sent) / bytes),
    ratio(cpu),
    whole(of(result, ({ peak }) => peak) / 1e6),
  ];
}

async function measure(
  one: Case,
  runs: number,
  ways: string[] | undefined,
  fills: boolean,
): Promise<{ table: Table; results: Result[] }> {
  const { receivers, rate, apart, bytes } = one;
  const lab = await Lab.open(new Array(receivers + 1).fill({ rate }));
  try {
    const folder = join(lab.folder, 'share');
    await warmUp(lab.folder, Math.min(bytes * (receivers + 1), 4096 * MIB));
    await bigFile(join(folder, 'bytes'), bytes);
    const [source, ...hosts] = lab.hosts;
    const what = { folder, file: 'bytes', bytes, files: 1 };
    const how = apart > 0 ? `${apart} s after each other, from the last start` : 'together';
    const title = `${receivers} receivers at ${rate} Mbit/s, ${bytes / MIB} MiB, ${how}`;
    const timing = { apart: apart * 1000, rate, fills };
    const stage = { title, sources: [source], receivers: hosts, what, folder: lab.folder, ...timing };
    const results = await contest(stage, TOOLS, runs, ways);
    const columns = [
      '',
      '× size / rate',
      'the whole command',
      'copies that the source sent',
      'CPU s/GiB arrived',
      'peak MB',
    ];
    const notes = [
      'Headers leave 0.95 of a link for payload, so that 1.05 is the least; what the source sent has its headers.',
    ];
    const rows = results.map((result) => row(one, result));
    return { table: { title: `${title}, median of ${runs}`, columns, rows, notes }, results };
  } finally {
    await lab.close();
  }
}

/** What is brought at a rate where nothing is said: some seconds' worth. */
function bytesAt(
  rate: number,
  { quick, mib = quick ? Math.ceil(rate / 12) : rate <= 100 ? 128 : 512 }: Settings,
): number {
  return mib * MIB;
}

export const bench: Bench = {
  name: 'swarm',
  async run(settings: Settings): Promise<Report> {
    if (settings.simulate) return simulated(settings);
    const { quick, runs = quick ? 1 : 3, ways = quick ? ['hearsay', 'libtorrent', 'uftp'] : undefined } = settings;
    const { receivers = quick ? [4] : [4, 8], rates = quick ? [200] : [100, 1000], apart = [0, 1] } = settings;
    const tables: Table[] = [];
    const figures: (Case & { results: Result[] })[] = [];
    for (const rate of rates) {
      for (const count of receivers) {
        for (const gap of apart) {
          const one = { receivers: count, rate, apart: gap, bytes: bytesAt(rate, settings) };
          const { table, results } = await measure(one, runs, ways, !quick);
          tables.push(table);
          figures.push({ ...one, results });
        }
      }
    }
    return { bench: 'swarm', tables, figures };
  },
};
