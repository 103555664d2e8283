/**
 * The threads on which the disk is walked and files are hashed: at most one of each, begun when there is something to
 * do and ended when there was nothing for a minute.
 */
import type { MessagePort } from 'node:worker_threads';
import { Tinypool } from 'tinypool';

const IDLE_MS = 60_000;

/** Where in the flags shared with a thread the wish to stop stands. */
export const STOP = 0;
/** Where the number of batches stands that a thread has sent and that are not yet taken. */
export const WAITING = 1;

/** Flags shared with a thread. */
export function sharedFlags(): Int32Array<SharedArrayBuffer> {
  return new Int32Array(new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT));
}

export class DiskPool {
  readonly #pool = new Tinypool({ minThreads: 0, maxThreads: 2, idleTimeout: IDLE_MS });

  /**
   * Runs the default function of a worker's module.
   * @param worker the module's URL
   * @param transfer what is handed over rather than copied
   */
  run<Task, Result>(worker: URL, task: Task, transfer: MessagePort[] = []): Promise<Result> {
    return this.#pool.run(task, { filename: worker.href, transferList: transfer });
  }

  /** Ends the threads, whatever they do. */
  async close(): Promise<void> {
    await this.#pool.destroy();
  }
}
