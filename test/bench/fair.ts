/**
 * Fairness: what each of four receivers gets of one source, of the same file and of a file each; and how long a get of 4 KiB takes for
 * a running peer that fetches a large file from the same source meanwhile.
 *
 *   npm run bench -- fair [--mib 512] [--rates 100] [--runs 3] [--quick] [--json FILE]
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { get as getting } from '../lab/commands.js';
import { Lab } from '../lab/lab.js';
import { bigFile, MIB } from '../lab/trees.js';
import { percentile } from './children.js';
import { warmUp } from './contest.js';
import type { Bench, Settings } from './settings.js';
import { type Report, ratio, type Table, whole } from './table.js';
import { get, sharing } from './tools/hearsay.js';
import { each, endAll, PATIENCE } from './tools/tool.js';

const CALLER = fileURLToPath(new URL('./caller.js', import.meta.url));
const RECEIVERS = 4;
/** Small files that are fetched, half of them before the large one. */
const SMALL = 40;

/** Parts of a whole. */
function parts(values: readonly number[]): number[] {
  const all = values.reduce((sum, value) => sum + value, 0);
  return values.map((value) => value / all);
}

/** The same file to all: what of the source's bytes each got. */
async function same(rate: number, bytes: number): Promise<number[]> {
  const lab = await Lab.open(new Array(RECEIVERS + 1).fill({ rate }));
  try {
    const folder = join(lab.folder, 'share');
    await bigFile(join(folder, 'bytes'), bytes);
    const [source, ...hosts] = lab.hosts;
    const { started } = await sharing([source], { folder, file: 'bytes', bytes, files: 1 });
    const all = hosts.map((host, i) => ({ host, into: join(lab.folder, `in-${i}`), after: 0 }));
    const took = await each(all, (receiver) => get(receiver, ['bytes']));
    await endAll(started);
    return parts(took.map(({ given = {} }) => given.source1 ?? 0));
  } finally {
    await lab.close();
  }
}

/** A file to each: what each got from when all had something until the first had all. */
async function own(rate: number, bytes: number): Promise<number[]> {
  const lab = await Lab.open(new Array(RECEIVERS + 1).fill({ rate }));
  try {
    const folder = join(lab.folder, 'share');
    for (let i = 0; i < RECEIVERS; i++) await bigFile(join(folder, `bytes ${i}`), bytes);
    const [source, ...hosts] = lab.hosts;
    const { started } = await sharing([source], { folder, bytes, files: RECEIVERS });
    const verified = new Array<number>(RECEIVERS).fill(0);
    let base: number[] | undefined;
    let first: number[] | undefined;
    const all = hosts.map((host, i) =>
      getting(host, [`share/bytes ${i}`, '-o', join(lab.folder, `in-${i}`, '/')], (event) => {
        if (event.event === 'chunk') verified[i] += event.bytes;
        // They do not begin at once, however they are started.
        if (!base && verified.every((bytes) => bytes > 0)) base = [...verified];
        if (event.event === 'done') first ??= [...verified];
      }),
    );
    const codes = await Promise.all(all.map((one) => one.ended(PATIENCE)));
    await endAll(started);
    if (!first || codes.some((code) => code !== 0)) throw new Error(`the gets ended with ${codes.join(' ')}`);
    const from = base ?? first;
    const parted = parts(first.map((bytes, i) => bytes - from[i]));
    if (parted.some(Number.isNaN)) throw new Error('one had all before the last had anything: --mib more');
    return parted;
  } finally {
    await lab.close();
  }
}

interface Called {
  before: number[];
  during: number[];
  verified: number;
  whole: boolean;
}

/** Calls for small files before and during a large one. */
async function calls(rate: number, bytes: number): Promise<Called> {
  const lab = await Lab.open([{ rate }, { rate }]);
  try {
    const folder = join(lab.folder, 'share');
    await warmUp(lab.folder, bytes);
    await bigFile(join(folder, 'bytes'), bytes);
    const names = Array.from({ length: SMALL }, (_, i) => `small ${i}`);
    for (const name of names) await writeFile(join(folder, name), Buffer.alloc(4096, name));
    const [source, receiver] = lab.hosts;
    const { started } = await sharing([source], { folder, bytes, files: SMALL + 1 });
    const into = join(receiver.folder, 'in');
    const paths = ['bytes', ...names].map((name) => `share/${name}`);
    const called = await receiver.run([process.execPath, CALLER, receiver.state(), into, ...paths], PATIENCE);
    await endAll(started);
    if (called.code !== 0) throw new Error(`the caller failed: ${called.stderr.join('\n')}`);
    const told = JSON.parse(called.stdout[0]) as Called;
    if (told.whole) throw new Error('the large file had come before the small ones: --mib more');
    return told;
  } finally {
    await lab.close();
  }
}

export const bench: Bench = {
  name: 'fair',
  async run({
    quick,
    runs = quick ? 1 : 3,
    mib = quick ? 128 : 512,
    rates: [rate] = [100],
  }: Settings): Promise<Report> {
    const shares: { same: number[]; own: number[] }[] = [];
    const called: Called[] = [];
    const some = Math.ceil(mib / 8) * MIB;
    for (let run = 0; run < runs; run++) {
      shares.push({ same: await same(rate, some), own: await own(rate, some) });
      called.push(await calls(rate, mib * MIB));
      console.error(`fair, run ${run + 1} of ${runs}`);
    }
    const percents = (all: number[]) => [...all].sort((a, b) => a - b).map((part) => `${whole(part * 100)} %`);
    const parted: Table = {
      title: `${RECEIVERS} receivers of one source at ${rate} Mbit/s: the part of each, smallest first`,
      columns: ['', ...Array.from({ length: RECEIVERS }, (_, i) => `${i + 1}`)],
      rows: shares.flatMap((run) => [
        [`the same ${some / MIB} MiB, of what the source gave`, ...percents(run.same)],
        [`${some / MIB} MiB each, while all receive`, ...percents(run.own)],
      ]),
    };
    const latency = (when: string, times: number[]) => [
      when,
      ratio(percentile(times, 0.5), 0),
      ratio(percentile(times, 0.95), 0),
      ratio(Math.max(...times), 0),
    ];
    const small: Table = {
      title: `A get of 4 KiB by a running peer at ${rate} Mbit/s, from call to done`,
      columns: ['', 'median ms', 'p95 ms', 'most ms'],
      rows: [
        latency(
          'with nothing else under way',
          called.flatMap((one) => one.before),
        ),
        latency(
          `while it fetches ${mib} MiB from the same source`,
          called.flatMap((one) => one.during),
        ),
      ],
    };
    return { bench: 'fair', tables: [parted, small], figures: { shares, called } };
  },
};
