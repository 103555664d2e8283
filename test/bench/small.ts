/**
 * Many small files: 10,000 of 4 KiB, and a real tree, with the names, depths and sizes of this checkout's node_modules, copied until
 * there are some 30,000 files, no two of the copies alike.
 *
 *   npm run bench -- small [--files 10000] [--runs 3] [--ways rsync,hearsay] [--quick] [--json FILE]
 */
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Lab } from '../lab/lab.js';
import { MIB, manyFiles } from '../lab/trees.js';
import { contest, excuse, landed, of, type Result, warmUp } from './contest.js';
import type { Bench, Settings } from './settings.js';
import { type Report, ratio, type Table, whole } from './table.js';
import { aria2Plain } from './tools/curl.js';
import { hearsay, PROGRAM } from './tools/hearsay.js';
import { libtorrent } from './tools/libtorrent.js';
import { rsync } from './tools/rsync.js';
import { tar } from './tools/streams.js';
import { syncthing } from './tools/syncthing.js';
import type { What } from './tools/tool.js';

const TOOLS = [hearsay, rsync, tar, libtorrent, aria2Plain, syncthing];
const SMALL = 4096;

/** The checkout's folder of packages. */
function packages(): string {
  for (let folder = dirname(PROGRAM); ; folder = dirname(folder)) {
    const found = join(folder, 'node_modules');
    if (existsSync(found)) return found;
    if (folder === dirname(folder)) throw new Error('there is no node_modules to copy');
  }
}

/** Copies files of a tree, until there are enough; hidden ones and links are left out. @returns how many are still lacking */
async function copy(from: string, to: string, lacking: number, mark: string): Promise<number> {
  await mkdir(to, { recursive: true });
  let left = lacking;
  for (const entry of await readdir(from, { withFileTypes: true })) {
    if (left === 0) break;
    if (entry.name.startsWith('.')) continue;
    const [inner, into] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) left = await copy(inner, into, left, mark);
    else if (entry.isFile()) {
      // Of what is here under another name nothing would have to come.
      await writeFile(into, Buffer.concat([await readFile(inner), Buffer.from(`${mark}${into}`)]));
      left--;
    }
  }
  return left;
}

/** Makes a tree of so many files like those of real packages. */
async function realTree(folder: string, files: number): Promise<void> {
  for (let left = files, i = 1; left > 0; i++) {
    const after = await copy(packages(), join(folder, `copy${i}`), left, `\n# ${i} `);
    if (after === left) throw new Error('node_modules is empty');
    left = after;
  }
}

function table(results: readonly Result[], { bytes, files }: What, title: string): Table {
  const speed = (result: Result | undefined) => files / of(result, ({ seconds }) => seconds);
  const byRsync = speed(results.find(({ tool }) => tool === rsync.name));
  const rows = results.flatMap((result) => {
    const why = excuse(result);
    if (why) return [[result.tool, why, '', '', '']];
    const cpu = (of(result, (round) => round.cpu) * 10_000) / files;
    const peak = whole(of(result, (round) => round.peak) / 1e6);
    const row = (tool: string, speed: number) => [tool, whole(speed), ratio(speed / byRsync), ratio(cpu), peak];
    const rows = [row(result.tool, speed(result))];
    if (result.tool === hearsay.name) {
      rows.push(row('hearsay, the whole command', files / of(result, (round) => round.whole)));
    }
    return rows;
  });
  return {
    title: `${title}: ${files} files, ${(bytes / MIB).toFixed(1)} MiB, from the request to the last file in place`,
    columns: ['', 'files/s', 'of rsync', 'CPU s/10,000 files, both', 'peak MB, receiver'],
    rows,
  };
}

export const bench: Bench = {
  name: 'small',
  async run({ quick, runs = quick ? 1 : 3, files = quick ? 1000 : 10_000, ways }: Settings): Promise<Report> {
    const tables: Table[] = [];
    const figures: Record<string, Result[]> = {};
    const many = async (folder: string) => manyFiles(folder, files, SMALL);
    const real = async (folder: string) => realTree(folder, 3 * files);
    for (const [name, title, make] of [
      ['small', 'Files of 4 KiB', many],
      ['tree', 'A real tree', real],
    ] as const) {
      const lab = await Lab.open(2);
      try {
        const folder = join(lab.folder, name);
        await mkdir(folder);
        await make(folder);
        const what = { folder, ...landed(folder) };
        await warmUp(lab.folder, what.bytes);
        const [source, receiver] = lab.hosts;
        const hosts = { sources: [source], receivers: [receiver] };
        const stage = { title: name, ...hosts, what, folder: lab.folder, fills: !quick };
        const results = await contest(stage, TOOLS, runs, ways);
        figures[name] = results;
        tables.push(table(results, what, `${title}, median of ${runs}`));
      } finally {
        await lab.close();
      }
    }
    return { bench: 'small', tables, figures };
  },
};
