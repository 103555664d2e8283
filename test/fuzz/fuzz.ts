/**
 * `npm run fuzz`: gives inputs to every decoder and every handler, and to a real peer, until its time is over.
 *   --seconds N   how long (60)
 *   --seed N      what all inputs are drawn from (by chance; printed first)
 *   --only NAME   targets whose names begin so; repeatable; `live` is the real peer
 *   --replay FILE one saved input
 * Exit status 1 where something was found; what was found is saved to test/fuzz/corpus.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { readEntry, saveEntry } from './corpus.js';
import { growth, inMiB, MAY_ADD, type Sample } from './memory.js';
import type { Found, Report, Told } from './report.js';
import { describe, inputOf, runOne, settle, watchRejections } from './run.js';
import { Reach } from './target.js';
import { TARGETS, targetNamed } from './targets/all.js';
import { forgetStored } from './targets/stored.js';
import type { WorkerTask } from './worker.js';

/** A case that has not come back after so long hangs, ms. */
const HANG_MS = 10_000;
/** The live part may take so much longer than its time: the last gets, and the end of the peer. */
const LIVE_GRACE_MS = 120_000;

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string' },
    only: { type: 'string', multiple: true, default: [] },
    replay: { type: 'string' },
  },
});
// What the machine's user has set is none of the tests'.
for (const name of Object.keys(process.env)) if (name.startsWith('HEARSAY_')) delete process.env[name];

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

const nothing = (): Report => ({ inputs: 0, cases: {}, reach: {}, samples: [], found: [], notes: [] });

/** Runs the targets in a thread, and sees to it that none hangs. */
function runTargets(seed: number, seconds: number, only: string[], onInputs: (n: number) => void): Promise<Report> {
  const at = new Int32Array(new SharedArrayBuffer(8));
  at[0] = -1;
  const workerData: WorkerTask = { seed, seconds, only, at };
  const worker = new Worker(new URL('./worker.js', import.meta.url), { workerData });
  return new Promise((resolve) => {
    const found: Found[] = [];
    let last = '';
    let since = performance.now();
    const end = (report: Report) => {
      clearInterval(watch);
      void worker.terminate();
      resolve(report);
    };
    const broken = async (why: string) => {
      clearInterval(watch);
      await worker.terminate();
      const target = TARGETS[Atomics.load(at, 0)];
      const n = Atomics.load(at, 1);
      if (!target) return end({ ...nothing(), found: [...found, { target: 'worker', n, why }] });
      const file = await saveEntry(`${target.name}-${seed}-${n}`, {
        target: target.name,
        note: why,
        input: inputOf(target, seed, n),
      });
      end({ ...nothing(), found: [...found, { target: target.name, n, why, file }] });
    };
    const watch = setInterval(() => {
      const now = `${Atomics.load(at, 0)} ${Atomics.load(at, 1)}`;
      if (now !== last || Atomics.load(at, 0) < 0) {
        last = now;
        since = performance.now();
      } else if (performance.now() - since > HANG_MS) void broken(`hangs: not done after ${HANG_MS} ms`);
    }, 250);
    worker.on('message', (told: Told) => {
      if (told.kind === 'inputs') onInputs(told.inputs);
      else if (told.kind === 'found') found.push(told.found);
      else end(told.report);
    });
    worker.on('error', (error) => void broken(`the thread died: ${describe(error)}`));
  });
}

/** Runs the live part in a process of its own. */
function runLive(seed: number, seconds: number, onInputs: (n: number) => void): Promise<Report> {
  const file = fileURLToPath(new URL('./live-child.js', import.meta.url));
  const child: ChildProcess = fork(file, [String(seed), String(seconds)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  return new Promise((resolve) => {
    const end = (report: Report) => {
      clearTimeout(late);
      resolve(report);
    };
    const fail = (why: string) => end({ ...nothing(), found: [{ target: 'live', n: 0, why }] });
    const late = setTimeout(
      () => {
        child.kill('SIGKILL');
        fail('hangs: the live part did not come to its end');
      },
      seconds * 1000 + LIVE_GRACE_MS,
    );
    child.on('message', (told: Told) => {
      if (told.kind === 'inputs') onInputs(told.inputs);
      else if (told.kind === 'report') end(told.report);
    });
    child.on('exit', (code, signal) => fail(`the live part died (${signal ?? code})`));
    child.on('error', (error) => fail(`the live part did not start: ${error.message}`));
  });
}

function table(reports: Report[]): void {
  const all = reports.flatMap(({ reach }) => Object.entries(reach)).sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [what, ends] of all) {
    const sum = Object.values(ends).reduce((total, n) => total + n, 0);
    const each = Object.entries(ends).sort((a, b) => b[1] - a[1]);
    say(`  ${what.padEnd(30)} ${String(sum).padStart(10)}  ${each.map(([end, n]) => `${end} ${n}`).join(', ')}`);
  }
}

function memory(name: keyof typeof MAY_ADD, samples: readonly Sample[], found: Found[]): void {
  const [first, last] = [samples[0], samples.at(-1)];
  if (!first || !last) return;
  say(
    `memory of ${name}: heap ${inMiB(first.heap)} to ${inMiB(last.heap)}, process ${inMiB(first.rss)} to ${inMiB(last.rss)}`,
  );
  const tenth = Math.max(1, samples.length / 10);
  const curve = samples.filter((_, n) => Math.floor(n / tenth) !== Math.floor((n - 1) / tenth));
  say(`  heap: ${curve.map((one) => inMiB(one.heap)).join(', ')}`);
  const why = growth(samples, MAY_ADD[name]);
  if (why) found.push({ target: name, n: -1, why: `memory grows: ${why}` });
}

async function fuzz(): Promise<boolean> {
  const seed = values.seed === undefined ? randomInt(2 ** 31) : Number(values.seed);
  const seconds = Number(values.seconds);
  if (!Number.isInteger(seed) || !(seconds > 0)) throw new Error('--seed takes a whole number, --seconds a number');
  say(`seed ${seed}, ${seconds} s; again with: npm run fuzz -- --seconds ${seconds} --seed ${seed}`);
  const { only } = values;
  const live = only.length === 0 || only.includes('live');
  const rest = only.filter((name) => name !== 'live');
  const counts = [0, 0];
  const begun = performance.now();
  const telling = setInterval(() => {
    const past = (performance.now() - begun) / 1000;
    process.stderr.write(
      `${Math.round(past)} s: ${counts[0]} inputs (${Math.round(counts[0] / past)} a second), ${counts[1]} live\n`,
    );
  }, 10_000);
  const parts: [keyof typeof MAY_ADD, Promise<Report>][] = [];
  if (only.length === 0 || rest.length > 0)
    parts.push(['targets', runTargets(seed, seconds, rest, (n) => (counts[0] = n))]);
  if (live) parts.push(['live', runLive(seed, seconds, (n) => (counts[1] = n))]);
  const reports = await Promise.all(parts.map(([, part]) => part));
  clearInterval(telling);
  const found = reports.flatMap((report) => report.found);
  table(reports);
  for (const [i, report] of reports.entries()) {
    const [name] = parts[i];
    say(`${name}: ${report.inputs} inputs, ${Math.round(report.inputs / seconds)} a second`);
    for (const note of report.notes) say(`  ${note}`);
    memory(name, report.samples, found);
  }
  for (const { target, n, why, file } of found)
    say(`FOUND ${target}, seed ${seed}, case ${n}: ${why}${file ? `\n  ${file}` : ''}`);
  say(found.length === 0 ? 'nothing was found' : `${found.length} found`);
  return found.length === 0;
}

async function replay(file: string): Promise<boolean> {
  const { target: name, note, input } = await readEntry(file);
  const target = targetNamed(name);
  if (!target) throw new Error(`there is no target ${name}`);
  say(`${name}: ${note}`);
  watchRejections();
  try {
    await runOne(target, input, new Reach());
    await settle();
  } catch (thrown) {
    say(
      `fails: ${describe(thrown)}\n${thrown instanceof Error ? (thrown.cause instanceof Error ? thrown.cause.stack : thrown.stack) : ''}`,
    );
    return false;
  }
  say('passes');
  return true;
}

const good = values.replay === undefined ? await fuzz() : await replay(values.replay);
await forgetStored();
process.exit(good ? 0 : 1);
