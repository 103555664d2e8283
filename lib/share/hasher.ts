/**
 * Hashes files in the background, in a thread, one job at a time.
 * Owns the queue: what is asked for now goes first, then, once released, small files, many to a job, then large ones, a
 * piece to a job, so that none is in the way of another for long. Always true: what it hands on was hashed from a file
 * that was in the state of its signature before and after. Called by the catalogue.
 */
import { chunkCount, chunkSizeOf, HASH_BYTES } from '../transfer/content.js';
import { type DiskPool, STOP, sharedFlags } from './disk-pool.js';
import type { HashPiece, HashResult, HashTask } from './hash-worker.js';
import type { Signature } from './signature.js';

const WORKER = new URL('./hash-worker.js', import.meta.url);

/** Files in one job, and their bytes: some 10 ms of hashing. */
const BATCH_FILES = 256;
const BATCH_BYTES = 32 * 1024 * 1024;
/** A file up to so many bytes goes into a batch whole. */
const SMALL = 1024 * 1024;
/** Bytes of a piece of a large file: some 50 ms of hashing. */
const PIECE = 128 * 1024 * 1024;
/** When the system has no more file descriptors or memory for us, we try again after so many milliseconds. */
const RETRY_MS = 5000;
const RETRIED = ['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN'];
/** Those that wait are looked over at most so often, milliseconds. */
const LATER_MS = 100;

/** Something to hash. It may change while it waits; what it is when its turn comes counts. */
export interface Hashable {
  readonly file: string;
  readonly signature: Signature;
  readonly size: number;
}

export interface HasherEvents<T> {
  /** Whether it still needs to be hashed, asked when its turn comes and when it is done. */
  wanted(item: T): boolean;
  /** @param began when its reading began, milliseconds since 1970 */
  done(item: T, signature: Signature, hashes: Uint8Array, began: number): void;
  /** It was not in the state of its signature, or could not be read: a code of the system. */
  failed(item: T, error: 'changed' | string): void;
  /** Nothing more is going to be done about it, after done or failed or because it was not wanted. */
  over(item: T): void;
  /** Nothing is left. */
  idle(): void;
}

/** A file being hashed piece by piece. */
interface Work<T> {
  item: T;
  signature: Signature;
  size: number;
  began: number;
  hashes: Uint8Array[];
  next: number;
}

/** A queue from which the front is taken without moving the rest. */
class Queue<V> {
  #items: V[] = [];
  #at = 0;

  get size(): number {
    return this.#items.length - this.#at;
  }

  push(item: V): void {
    this.#items.push(item);
  }

  shift(): V | undefined {
    if (this.#at === this.#items.length) return undefined;
    const item = this.#items[this.#at++];
    // What was taken is not held on to.
    if (this.#at === this.#items.length || (this.#at > 1024 && this.#at * 2 > this.#items.length)) {
      this.#items = this.#items.slice(this.#at);
      this.#at = 0;
    }
    return item;
  }
}

export class Hasher<T extends Hashable> {
  readonly #pool: DiskPool;
  readonly #events: HasherEvents<T>;
  readonly #now: () => number;
  readonly #flags = sharedFlags();
  readonly #urgent = new Queue<T>();
  readonly #small = new Queue<T>();
  readonly #large = new Queue<T>();
  #later: { item: T; at: number }[] = [];
  #laterTimer: NodeJS.Timeout | undefined;
  /** Large files begun: they go on where they were. */
  readonly #begun = new Map<T, Work<T>>();
  /** Those that somebody waits for. */
  readonly #hurried = new Set<T>();
  #running: Promise<void> | undefined;
  /** Only what somebody waits for is hashed. */
  #held = true;
  #stopped = false;

  /** @param now milliseconds since 1970 */
  constructor(pool: DiskPool, events: HasherEvents<T>, now: () => number) {
    this.#pool = pool;
    this.#events = events;
    this.#now = now;
  }

  get isIdle(): boolean {
    return !this.#running && this.#later.length === 0;
  }

  /** @param notBefore milliseconds since 1970; 0 for as soon as its turn comes */
  add(item: T, notBefore = 0): void {
    if (this.#stopped) return;
    if (notBefore > this.#now()) {
      this.#later.push({ item, at: notBefore });
      this.#wakeLater();
      return;
    }
    (item.size <= SMALL ? this.#small : this.#large).push(item);
    this.#begin();
  }

  /** Lets the hashing begin of what nobody waits for: offering what there is comes first, and both want the disk. */
  release(): void {
    this.#held = false;
    this.#begin();
  }

  /** Before all that only waits its turn. */
  urgent(item: T): void {
    if (this.#stopped) {
      this.#events.over(item);
      return;
    }
    this.#hurried.add(item);
    this.#urgent.push(item);
    this.#begin();
  }

  /** Ends what is under way within some milliseconds, however large the file. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#laterTimer);
    Atomics.store(this.#flags, STOP, 1);
    await this.#running;
    for (const queue of [this.#urgent, this.#small, this.#large]) {
      for (let item = queue.shift(); item; item = queue.shift()) this.#events.over(item);
    }
    for (const { item } of this.#later.splice(0)) this.#events.over(item);
  }

  /** The content id of a content with very many chunks, put together in the thread. */
  identify(size: number, hashes: Uint8Array): Promise<string> {
    return this.#pool.run<HashTask, string>(WORKER, { identify: { size, hashes } });
  }

  #begin(): void {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
      if (this.#stopped) return;
      // Something may have come when the last job was over.
      if (this.#ready) this.#begin();
      else if (this.isIdle) this.#events.idle();
    });
  }

  get #ready(): boolean {
    return this.#urgent.size > 0 || (!this.#held && this.#small.size + this.#large.size > 0);
  }

  async #run(): Promise<void> {
    // Gathers what is added in the same turn.
    await new Promise(setImmediate);
    while (!this.#stopped) {
      const works = this.#pick();
      if (works.length === 0) return;
      await this.#job(works);
    }
  }

  /** The next job: some small files, or a large one. */
  #pick(): Work<T>[] {
    const works = new Map<T, Work<T>>();
    let bytes = 0;
    for (const queue of this.#held ? [this.#urgent] : [this.#urgent, this.#small]) {
      while (queue.size > 0 && works.size < BATCH_FILES && bytes < BATCH_BYTES) {
        const item = queue.shift()!;
        const work = works.has(item) ? undefined : this.#work(item);
        if (!work) continue;
        if (work.size > SMALL && works.size > 0) {
          // The small ones before it are quickly done; it comes next.
          this.#urgent.push(item);
          return [...works.values()];
        }
        works.set(item, work);
        bytes += work.size;
        if (work.size > SMALL) return [work];
      }
    }
    while (!this.#held && works.size === 0 && this.#large.size > 0) {
      const item = this.#large.shift()!;
      const work = this.#work(item);
      if (work) works.set(item, work);
    }
    return [...works.values()];
  }

  #work(item: T): Work<T> | undefined {
    if (!this.#events.wanted(item)) {
      this.#over(item);
      return undefined;
    }
    const begun = this.#begun.get(item);
    if (begun?.signature === item.signature) return begun;
    const { signature, size } = item;
    return { item, signature, size, began: this.#now(), hashes: [], next: 0 };
  }

  async #job(works: Work<T>[]): Promise<void> {
    const pieces = works.map((work): HashPiece => {
      const count = Math.min(chunkCount(work.size) - work.next, PIECE / chunkSizeOf(work.size));
      return { file: work.item.file, signature: work.signature, size: work.size, first: work.next, count };
    });
    let results: HashResult[];
    try {
      results = await this.#pool.run<HashTask, HashResult[]>(WORKER, { pieces, flags: this.#flags });
    } catch (thrown) {
      // The thread broke down. Every file of the job is told of, so that nobody waits for it.
      const error = thrown instanceof Error ? thrown.message : String(thrown);
      results = works.map(() => ({ error }));
    }
    works.forEach((work, i) => {
      this.#finish(work, pieces[i], results[i]);
    });
  }

  #finish(work: Work<T>, piece: HashPiece, result: HashResult | undefined): void {
    const { item } = work;
    // Changed while it was read, and so queued again by who knows of that.
    const current = item.signature === work.signature && this.#events.wanted(item);
    if (!result || this.#stopped || !current) {
      this.#over(item);
    } else if ('error' in result && RETRIED.includes(result.error)) {
      this.#begun.delete(item);
      this.add(item, this.#now() + RETRY_MS);
    } else if ('hashes' in result) {
      work.hashes.push(result.hashes);
      work.next += piece.count;
      if (work.next < chunkCount(work.size)) {
        this.#begun.set(item, work);
        (this.#hurried.has(item) ? this.#urgent : this.#large).push(item);
        return;
      }
      const hashes = new Uint8Array(work.next * HASH_BYTES);
      let at = 0;
      for (const part of work.hashes) {
        hashes.set(part, at);
        at += part.length;
      }
      this.#events.done(item, work.signature, hashes, work.began);
      this.#over(item);
    } else {
      this.#events.failed(item, 'error' in result ? result.error : 'changed');
      this.#over(item);
    }
  }

  #over(item: T): void {
    this.#begun.delete(item);
    this.#hurried.delete(item);
    this.#events.over(item);
  }

  #wakeLater(): void {
    this.#laterTimer ??= setTimeout(() => {
      this.#laterTimer = undefined;
      const now = this.#now();
      const due = this.#later.filter(({ at }) => at <= now);
      this.#later = this.#later.filter(({ at }) => at > now);
      for (const { item } of due) this.add(item);
      if (this.#later.length > 0) this.#wakeLater();
    }, LATER_MS);
  }
}
