/** Runs in a thread of its own: walks a share and sends what it finds in batches, never far ahead of who takes them. */
import type { MessagePort } from 'node:worker_threads';
import { STOP, WAITING } from './disk-pool.js';
import { type Found, Scan, type ScanJob, StopScan } from './scan.js';

/** Found things in one batch: about 1 ms of work for who takes it. */
const BATCH = 512;
/** A batch is sent after so many milliseconds although it is not full, so that offers flow from a slow disk. */
const BATCH_MS = 20;
/** Batches on their way before the walk waits: bounds the memory of a large one. */
const AHEAD = 8;
/** Warnings of one walk that are told one by one. */
const WARNINGS_MAX = 20;

export interface ScanTask {
  job: ScanJob;
  port: MessagePort;
  flags: Int32Array;
}

/** A link that was followed: its path, where it leads, and the identity of the folder if that is one. */
export type Link = [path: string, target: string, folder: string | undefined];

/** What the thread sends: columns rather than objects, which costs a third to receive. */
export interface ScanBatch {
  paths: string[];
  signatures: string[];
  /** Places in KINDS. */
  kinds: Uint8Array;
  sizes: Float64Array;
  mtimes: Float64Array;
  changed: Float64Array;
  links: Link[];
  warnings: string[];
  /** Whether this is the last one; `stopped` when the walk did not come to its end. */
  last: boolean;
  stopped: boolean;
}

export const KINDS = ['file', 'executable', 'folder', 'hollow'] as const;

export default function scanWorker({ job, port, flags }: ScanTask): void {
  let batch: Found[] = [];
  let links: Link[] = [];
  let warnings: string[] = [];
  let warned = 0;
  let sent = performance.now();

  const send = (last: boolean, stopped = false) => {
    const message: ScanBatch = {
      paths: batch.map((found) => found.path),
      signatures: batch.map((found) => found.signature),
      kinds: Uint8Array.from(batch, (found) => KINDS.indexOf(found.kind)),
      sizes: Float64Array.from(batch, (found) => found.size),
      mtimes: Float64Array.from(batch, (found) => found.mtime),
      changed: Float64Array.from(batch, (found) => found.changed),
      links,
      warnings,
      last,
      stopped,
    };
    batch = [];
    links = [];
    warnings = [];
    Atomics.add(flags, WAITING, 1);
    port.postMessage(message);
    sent = performance.now();
  };
  const pause = () => {
    for (;;) {
      if (Atomics.load(flags, STOP) !== 0) throw new StopScan();
      const waiting = Atomics.load(flags, WAITING);
      if (waiting < AHEAD) return;
      Atomics.wait(flags, WAITING, waiting, 1000);
    }
  };

  let stopped = false;
  try {
    const scan = new Scan(job, {
      found(found) {
        batch.push(found);
        if (batch.length < BATCH && performance.now() - sent < BATCH_MS) return;
        send(false);
        pause();
      },
      link: (...link) => links.push(link),
      warn(message) {
        if (++warned <= WARNINGS_MAX) warnings.push(message);
      },
    });
    scan.run();
  } catch (thrown) {
    stopped = thrown instanceof StopScan;
    // A root that is not there has nothing in it. Anything else is worth a word.
    const code = (thrown as NodeJS.ErrnoException).code;
    if (!stopped && code !== 'ENOENT' && code !== 'ENOTDIR')
      warnings.push(`not shared: ${job.root} (${code ?? thrown})`);
  }
  if (warned > WARNINGS_MAX) warnings.push(`not shared in ${job.name}: ${warned - WARNINGS_MAX} more`);
  send(true, stopped);
  port.close();
}
