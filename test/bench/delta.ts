/**
 * A second version of a file that is here already: what crosses the network when something was appended, when something in the
 * middle was overwritten, and when the same content is fetched under another name; beside what rsync's own search for changes needs.
 *
 *   npm run bench -- delta [--mib 1024] [--runs 3] [--ways hearsay] [--quick] [--json FILE]
 */
import { randomBytes } from 'node:crypto';
import { copyFile, mkdir, open, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { FileRow } from '../../lib/api.js';
import { ls } from '../lab/commands.js';
import { type Host, Lab } from '../lab/lab.js';
import { bigFile, MIB } from '../lab/trees.js';
import { warmUp } from './contest.js';
import type { Bench, Settings } from './settings.js';
import { median, type Report, ratio, type Table } from './table.js';
import { get, hearsay, sharing } from './tools/hearsay.js';
import { rsync, rsyncDaemon, rsyncUrl } from './tools/rsync.js';
import { endAll, lacking, timed } from './tools/tool.js';

/** What is changed, bytes. */
const CHANGED = MIB;
/** How long a change may take to be offered, ms. */
const OFFERED_MS = 120_000;

interface Step {
  title: string;
  file: string;
  /** Makes the change in a folder. */
  change(folder: string): Promise<void>;
  /** Whether a peer runs at the receiver, which shares what came, and is the one that fetches. */
  shares?: boolean;
}

/** Writes over a file, from some place on. */
const write = async (path: string, at: (size: number) => number) => {
  const file = await open(path, 'r+');
  try {
    await file.write(randomBytes(CHANGED), 0, CHANGED, at((await file.stat()).size));
  } finally {
    await file.close();
  }
};

const STEPS: readonly Step[] = [
  { title: 'all of it, for the first time', file: 'bytes', change: async () => {} },
  { title: '1 MiB appended', file: 'bytes', change: (folder) => write(join(folder, 'bytes'), (size) => size) },
  {
    title: '1 MiB in the middle',
    file: 'bytes',
    change: (folder) => write(join(folder, 'bytes'), (size) => size >> 1),
  },
  { title: 'another name', file: 'same', change: (folder) => copyFile(join(folder, 'bytes'), join(folder, 'same')) },
  {
    title: 'a third name, where a running peer shares the first',
    file: 'again',
    change: (folder) => copyFile(join(folder, 'bytes'), join(folder, 'again')),
    shares: true,
  },
];

/** Waits until a file is offered as it is on the disk now, with its id. */
async function offered(host: Host, path: string, on: string): Promise<FileRow> {
  for (const began = performance.now(); ; ) {
    const { size, mtimeMs } = await stat(on);
    const [row] = await ls(host, [path]).catch(() => []);
    if (row?.id && row.size === size && Math.abs(row.mtime - mtimeMs) < 2) return row;
    if (performance.now() - began > OFFERED_MS) throw new Error(`${path} is not offered: ${JSON.stringify(row)}`);
  }
}

interface Figure {
  tool: string;
  step: string;
  received: number;
  seconds: number;
}

async function byHearsay([source, receiver]: readonly Host[], folder: string, into: string): Promise<Figure[]> {
  const what = { folder, bytes: 0, files: 1 };
  const { started } = await sharing([source], what);
  const figures: Figure[] = [];
  try {
    await mkdir(into);
    for (const { title, file, change, shares } of STEPS) {
      await change(folder);
      if (shares) started.push(...(await sharing([receiver], { ...what, folder: into }, ['--as', 'mine'])).started);
      await offered(source, `share/${file}`, join(folder, file));
      const took = await get({ host: receiver, into, after: 0 }, [`share/${file}`, '--overwrite'], receiver.state());
      const seconds = (took.ended - took.began) / 1000;
      figures.push({ tool: hearsay.name, step: title, received: took.received ?? Number.NaN, seconds });
    }
    return figures;
  } finally {
    await endAll(started);
  }
}

async function byRsync([source, receiver]: readonly Host[], folder: string, into: string): Promise<Figure[]> {
  const daemon = await rsyncDaemon(source, folder);
  const figures: Figure[] = [];
  const out = join(receiver.folder, 'rsync.out');
  try {
    await mkdir(into);
    for (const { title, file, change } of STEPS) {
      await change(folder);
      const argv = [
        'rsync',
        '-t',
        '--ignore-times',
        '--no-whole-file',
        '--stats',
        rsyncUrl(source) + file,
        join(into, '/'),
      ];
      const took = await timed(receiver, argv, { out });
      const said = /Total bytes received: ([\d,]+)/.exec(await readFile(out, 'utf8'))?.[1] ?? '';
      const received = Number(said.replaceAll(',', ''));
      figures.push({ tool: rsync.name, step: title, received, seconds: (took.ended - took.began) / 1000 });
    }
    return figures;
  } finally {
    await endAll([daemon]);
  }
}

export const bench: Bench = {
  name: 'delta',
  async run({ quick, runs = quick ? 1 : 3, mib = quick ? 128 : 1024, ways }: Settings): Promise<Report> {
    const figures: Figure[] = [];
    const missing = lacking(rsync);
    const wants = (name: string) => !ways || ways.some((way) => name.includes(way));
    for (let run = 0; run < runs; run++) {
      for (const [tool, measure] of [
        [hearsay, byHearsay],
        [rsync, byRsync],
      ] as const) {
        if (!wants(tool.name) || lacking(tool).length > 0) continue;
        const lab = await Lab.open(2);
        try {
          const folder = join(lab.folder, 'share');
          if (run === 0) await warmUp(lab.folder, mib * MIB);
          await bigFile(join(folder, 'bytes'), mib * MIB);
          figures.push(...(await measure(lab.hosts, folder, join(lab.folder, 'in'))));
          console.error(`delta, ${tool.name}, run ${run + 1} of ${runs}`);
        } finally {
          await lab.close();
          await rm(lab.folder, { recursive: true, force: true });
        }
      }
    }
    const of = (tool: string, step: string, what: 'received' | 'seconds') =>
      median(figures.filter((one) => one.tool === tool && one.step === step).map((one) => one[what]));
    const rows = STEPS.map(({ title }) => [
      title,
      ...[hearsay.name, rsync.name].flatMap((tool) => [
        ratio(of(tool, title, 'received') / MIB),
        ratio(of(tool, title, 'seconds')),
      ]),
    ]);
    const table: Table = {
      title: `A second version of ${mib} MiB, median of ${runs}`,
      columns: ['', 'hearsay received MiB', 's', 'rsync received MiB', 's'],
      rows,
      notes: missing.length > 0 ? [`rsync is missing (Debian: ${missing.join(' ')})`] : [],
    };
    return { bench: 'delta', tables: [table], figures };
  },
};
