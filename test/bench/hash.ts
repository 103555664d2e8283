/**
 * Hashing: how long until a peer has hashed a large share, and how long a call of the library's `ls` on it takes meanwhile; beside
 * how quickly the same file is read, and hashed by others.
 *
 *   npm run bench -- hash [--mib 2048] [--runs 3] [--quick] [--json FILE]
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Peer } from '../../lib/peer.js';
import { bigFile, MIB } from '../lab/trees.js';
import { child, endChildren, order, percentile, serve } from './children.js';
import { warmUp } from './contest.js';
import type { Bench, Settings } from './settings.js';
import { median, type Report, ratio, type Table } from './table.js';
import { where } from './tools/tool.js';

const CONFIG = fileURLToPath(new URL('../../../config/default.toml', import.meta.url));
/** How often `ls` is called, ms. */
const EVERY = 5;

/** Programs beside it, and the Debian packages that bring them. */
const OTHERS: readonly (readonly [string, string])[] = [
  ['cat', 'coreutils'],
  ['b3sum', 'b3sum'],
  ['sha256sum', 'coreutils'],
];

interface Hashed {
  seconds: number;
  cpu: number;
  /** Each call of `ls` meanwhile, ms. */
  calls: number[];
}

type Order = { share: string; state: string };

/** A peer that shares what it is told, and calls `ls` on itself until all is hashed. */
async function hashing({ share, state }: Order): Promise<Hashed> {
  const { user, system } = process.cpuUsage();
  const began = performance.now();
  const peer = await Peer.start({ multicast: false, config: CONFIG, state, port: 0, name: 'hasher', share: [share] });
  const calls: number[] = [];
  for (;;) {
    const called = performance.now();
    const { files } = await peer.list();
    const now = performance.now();
    calls.push(now - called);
    if (files.length > 0 && files.every(({ id }) => id !== null)) break;
    await delay(EVERY);
  }
  const seconds = (performance.now() - began) / 1000;
  const { user: after, system: afterToo } = process.cpuUsage();
  await peer.stop();
  return { seconds, cpu: (after + afterToo - user - system) / 1e6, calls };
}

/** Runs a program on a file, its output thrown away. @returns s */
async function byProgram(program: string, path: string): Promise<number> {
  const began = performance.now();
  const [code] = await once(spawn(program, [path], { stdio: 'ignore' }), 'exit');
  if (code !== 0) throw new Error(`${program} ended with ${code}`);
  return (performance.now() - began) / 1000;
}

async function measure(runs: number, bytes: number): Promise<{ own: Hashed[]; others: Map<string, number[]> }> {
  const folder = await mkdtemp(join(tmpdir(), 'hearsay-bench-'));
  const own: Hashed[] = [];
  const others = new Map<string, number[]>(OTHERS.flatMap(([name]) => (where(name) ? [[name, []]] : [])));
  try {
    await warmUp(folder, bytes);
    const path = join(folder, 'bytes');
    await bigFile(path, bytes);
    // What is younger than 2 s may still be written to: it is hashed, but not remembered.
    await delay(2000);
    for (let run = 0; run < runs; run++) {
      const { process: hasher } = await child(import.meta.url, 'hash');
      own.push(await order<Hashed>(hasher, { share: path, state: join(folder, `state-${run}`) }));
      for (const [name, times] of others) times.push(await byProgram(name, path));
      console.error(`hash, run ${run + 1} of ${runs}: ${own[run].seconds.toFixed(2)} s`);
    }
    return { own, others };
  } finally {
    await endChildren();
    await rm(folder, { recursive: true, force: true });
  }
}

export const bench: Bench = {
  name: 'hash',
  async run({ quick, runs = quick ? 1 : 3, mib = quick ? 512 : 2048 }: Settings): Promise<Report> {
    const bytes = mib * MIB;
    const { own, others } = await measure(runs, bytes);
    const seconds = median(own.map((one) => one.seconds));
    const speed = (time: number) => ratio(bytes / 1e9 / time);
    const cpu = ratio((median(own.map((one) => one.cpu)) * 2 ** 30) / bytes);
    const rows = [['hearsay share', speed(seconds), '1.00', cpu]];
    for (const [name, pack] of OTHERS) {
      const times = others.get(name);
      const time = median(times ?? []);
      rows.push(times ? [name, speed(time), ratio(seconds / time), ''] : [name, `missing (Debian: ${pack})`, '', '']);
    }
    const rate: Table = {
      title: `${mib} MiB shared until it is hashed, median of ${runs}`,
      columns: ['', 'GB/s', 'of hearsay', 'CPU s/GiB'],
      rows,
    };
    const calls = own.flatMap((one) => one.calls);
    const latency: Table = {
      title: "The library's `ls` on that peer meanwhile",
      columns: ['calls', 'median ms', 'p99 ms', 'most ms'],
      rows: [[`${calls.length}`, ...[0.5, 0.99, 1].map((part) => ratio(percentile(calls, part), 1))]],
    };
    return { bench: 'hash', tables: [rate, latency], figures: { bytes, own, others: Object.fromEntries(others) } };
  },
};

if (process.argv[2] === 'hash' && process.send) {
  process.send({ answer: 0 });
  await serve(Promise.resolve((what: Order) => hashing(what)));
}
