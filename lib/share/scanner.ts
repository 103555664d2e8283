import { MessageChannel } from 'node:worker_threads';
import { type DiskPool, STOP, sharedFlags, WAITING } from './disk-pool.js';
import type { Found, ScanJob } from './scan.js';
import { KINDS, type Link, type ScanBatch, type ScanTask } from './scan-worker.js';

const WORKER = new URL('./scan-worker.js', import.meta.url);

/** What a walk gives at a time. */
export interface Finds {
  found: Found[];
  links: Link[];
  warnings: string[];
}

function finds(batch: ScanBatch): Finds {
  const found = batch.paths.map((path, i) => ({
    path,
    kind: KINDS[batch.kinds[i]],
    size: batch.sizes[i],
    mtime: batch.mtimes[i],
    changed: batch.changed[i],
    signature: batch.signatures[i],
  }));
  return { found, links: batch.links, warnings: batch.warnings };
}

/**
 * Walks a share in a thread.
 * @param take called with each batch, the next one only when it is done with the last
 * @returns whether the walk came to its end; false after the signal
 * @throws what the thread or `take` throws
 */
export async function scan(
  pool: DiskPool,
  job: ScanJob,
  take: (finds: Finds) => Promise<void>,
  signal: AbortSignal,
): Promise<boolean> {
  if (signal.aborted) return false;
  const flags = sharedFlags();
  const { port1, port2 } = new MessageChannel();
  const stop = () => {
    Atomics.store(flags, STOP, 1);
    Atomics.notify(flags, WAITING);
  };
  signal.addEventListener('abort', stop);
  try {
    return await new Promise<boolean>((resolve, reject) => {
      let before = Promise.resolve();
      port1.on('message', (batch: ScanBatch) => {
        before = before.then(async () => {
          if (!signal.aborted) await take(finds(batch));
          Atomics.sub(flags, WAITING, 1);
          Atomics.notify(flags, WAITING);
          if (batch.last) resolve(!batch.stopped && !signal.aborted);
        });
        before.catch(reject);
      });
      const task: ScanTask = { job, port: port2, flags };
      pool.run<ScanTask, void>(WORKER, task, [port2]).catch(reject);
    });
  } finally {
    stop();
    signal.removeEventListener('abort', stop);
    port1.close();
  }
}
