/**
 * One source, one receiver, an unlimited link, one file from disk to disk: MB/s, processor time, memory.
 *
 *   npm run bench -- single [--mib 2048] [--runs 3] [--ways rsync,hearsay] [--sparse 20] [--quick] [--json FILE]
 *
 * `--sparse` measures only the receiver's memory with a file of so many GiB that its source's disk need not hold.
 */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { Lab } from '../lab/lab.js';
import { bigFile, GIB, MIB } from '../lab/trees.js';
import { contest, excuse, of, type Result, type Round, warmUp } from './contest.js';
import type { Bench, Settings } from './settings.js';
import { type Report, ratio, type Table, whole } from './table.js';
import { aria2Checked, aria2Plain, curl } from './tools/curl.js';
import { hearsay } from './tools/hearsay.js';
import { libtorrent } from './tools/libtorrent.js';
import { rsync } from './tools/rsync.js';
import { iperf3, nodeTls } from './tools/streams.js';
import { syncthing } from './tools/syncthing.js';

const TOOLS = [hearsay, nodeTls, rsync, curl, aria2Plain, aria2Checked, libtorrent, syncthing, iperf3];
/** Which of them prove what came against a strong hash, and which hide it from others on the way. */
const VERIFIED = new Set([hearsay, aria2Checked, libtorrent, syncthing].map(({ name }) => name));
const ENCRYPTED = new Set([hearsay, nodeTls, syncthing].map(({ name }) => name));

const seconds = ({ seconds }: Round) => seconds;

function table(results: readonly Result[], bytes: number, runs: number): Table {
  const speed = (result: Result | undefined) => bytes / 1e6 / of(result, seconds);
  const named = (name: string) => results.find(({ tool }) => tool === name);
  const [byRsync, bare] = [speed(named(rsync.name)), speed(named(nodeTls.name))];
  const yes = (is: boolean) => (is ? 'yes' : 'no');
  const rows = results.flatMap((result) => {
    const why = excuse(result);
    if (why) return [[result.tool, why, '', '', '', '', '', '']];
    const cpu = (of(result, (round) => round.cpu) * GIB) / bytes;
    const peak = whole(of(result, (round) => round.peak) / 1e6);
    const row = (tool: string, speed: number) => [
      tool,
      whole(speed),
      ratio(speed / byRsync),
      ratio(speed / bare),
      ratio(cpu),
      peak,
      yes(VERIFIED.has(result.tool)),
      yes(ENCRYPTED.has(result.tool)),
    ];
    const rows = [row(result.tool, speed(result))];
    if (result.tool === hearsay.name) {
      rows.push(row('hearsay, the whole command', bytes / 1e6 / of(result, (round) => round.whole)));
    }
    return rows;
  });
  return {
    title: `One source, one receiver, ${bytes / MIB} MiB from disk to disk, an unlimited link, median of ${runs}`,
    columns: [
      '',
      'MB/s',
      'of rsync',
      'of bare Node TLS',
      'CPU s/GiB, both',
      'peak MB, receiver',
      'verified',
      'encrypted',
    ],
    rows,
    notes: [
      'hearsay counts from the request to the file in place, as its `seconds` tell; the others the whole command.',
    ],
  };
}

/** The memory of a receiver of a huge file. */
async function sparse(lab: Lab, gib: number): Promise<{ table: Table; results: Result[] }> {
  const [source, receiver] = lab.hosts;
  const folder = join(lab.folder, 'sparse');
  await bigFile(join(folder, 'bytes'), MIB);
  const file = await open(join(folder, 'bytes'), 'r+');
  await file.truncate(gib * GIB);
  await file.close();
  const what = { folder, file: 'bytes', bytes: gib * GIB, files: 1 };
  const stage = { title: 'sparse', sources: [source], receivers: [receiver], what, folder: lab.folder };
  const results = await contest(stage, [hearsay], 1);
  const [result] = results;
  const figures = [whole(of(result, ({ peak }) => peak) / 1e6), whole(what.bytes / 1e6 / of(result, seconds))];
  const row = [`${gib} GiB`, ...(excuse(result) ? [excuse(result) ?? '', ''] : figures)];
  return { table: { title: 'A huge file', columns: ['', 'peak MB, receiver', 'MB/s'], rows: [row] }, results };
}

export const bench: Bench = {
  name: 'single',
  async run({ quick, runs = quick ? 1 : 3, mib = quick ? 128 : 2048, ways, sparse: gib }: Settings): Promise<Report> {
    const lab = await Lab.open(2);
    try {
      const huge = gib === undefined ? undefined : await sparse(lab, gib);
      if (huge) return { bench: 'single', tables: [huge.table], figures: huge.results };
      const bytes = mib * MIB;
      const folder = join(lab.folder, 'share');
      await warmUp(lab.folder, bytes);
      await bigFile(join(folder, 'bytes'), bytes);
      const what = { folder, file: 'bytes', bytes, files: 1 };
      const [source, receiver] = lab.hosts;
      const hosts = { sources: [source], receivers: [receiver] };
      const stage = { title: 'single', ...hosts, what, folder: lab.folder, fills: !quick };
      const results = await contest(stage, TOOLS, runs, ways);
      return { bench: 'single', tables: [table(results, bytes, runs)], figures: { bytes, results } };
    } finally {
      await lab.close();
    }
  },
};
