/** The part of a run without sockets: a thread that gives inputs to all targets until its time is over. */
import { parentPort, workerData } from 'node:worker_threads';
import { type Sample, sample } from './memory.js';
import { type Found, plainReach, type Told } from './report.js';
import { inputOf, record, runOne, settle, watchRejections } from './run.js';
import { Reach, type Target } from './target.js';
import { TARGETS } from './targets/all.js';
import { forgetStored } from './targets/stored.js';

/** What the thread is started with. */
export interface WorkerTask {
  seed: number;
  seconds: number;
  /** Names of targets begin with one of these; all where there is none. */
  only: string[];
  /** Where the thread writes which target it runs, and which case: for one who sees that it hangs. */
  at: Int32Array<SharedArrayBuffer>;
}

const SLICE_MS = 40;
/** Looks at memory: so many, and not more often than so, as each takes a moment. */
const SAMPLES = 40;
const SAMPLE_MS = 3000;

async function work({ seed, seconds, only, at }: WorkerTask): Promise<void> {
  const tell = (told: Told) => parentPort?.postMessage(told);
  watchRejections();
  const begun = performance.now();
  const end = begun + seconds * 1000;
  const reach = new Reach();
  const found: Found[] = [];
  const samples: Sample[] = [];
  const lanes = TARGETS.filter(({ name }) => only.length === 0 || only.some((o) => name.startsWith(o))).map(
    (target) => {
      return { target, index: TARGETS.indexOf(target), spent: 0, n: 0, failed: false };
    },
  );
  let inputs = 0;
  let toldAt = 0;
  let sampleAt = begun;
  const failed = async (target: Target, n: number, thrown: unknown) => {
    const one = await record(target, seed, n, thrown);
    found.push(one);
    tell({ kind: 'found', found: one });
  };
  for (let now = begun; now < end; now = performance.now()) {
    const [lane] = lanes
      .filter((l) => !l.failed)
      .sort((a, b) => a.spent / (a.target.weight ?? 1) - b.spent / (b.target.weight ?? 1));
    if (!lane) break;
    const { target } = lane;
    Atomics.store(at, 0, lane.index);
    try {
      while (performance.now() - now < SLICE_MS && performance.now() < end) {
        Atomics.store(at, 1, lane.n);
        await runOne(target, inputOf(target, seed, lane.n), reach);
        lane.n++;
        inputs++;
      }
      await settle();
    } catch (thrown) {
      // One finding of a target is enough: the rest of the time is for the others.
      lane.failed = true;
      Atomics.store(at, 0, -1);
      await failed(target, lane.n, thrown);
    }
    lane.spent += performance.now() - now;
    if (now - toldAt > 1000) {
      toldAt = now;
      tell({ kind: 'inputs', inputs });
    }
    if (now >= sampleAt) {
      samples.push(sample(now - begun));
      sampleAt += Math.max(SAMPLE_MS, (seconds * 1000) / SAMPLES);
    }
  }
  Atomics.store(at, 0, -1);
  await forgetStored();
  const cases = Object.fromEntries(lanes.map(({ target, n }) => [target.name, n]));
  tell({ kind: 'report', report: { inputs, cases, reach: plainReach(reach.counts), samples, found, notes: [] } });
}

await work(workerData as WorkerTask);
