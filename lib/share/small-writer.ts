/**
 * Writes small files as they come, bundle by bundle: many by threads of their own, so that a disk which makes files one after another
 * does not hold the network up; few at once, since a thread costs more than they do.
 *
 * Owns the threads, begun with the writer and ended with it, and the buffers that go to them and come back. Always true: the folders of
 * what is being written are held meanwhile, so that a descriptor's number means that very folder in the threads too; files of one
 * folder are written by one thread, in their order. Called by the fetching of small files.
 */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { HearsayError } from '../errors.js';
import { FRAME_MAX } from '../limits.js';
import { type Arrival, type Outcome, writeVerified } from './partial-small.js';
import { diskError } from './place-errors.js';
import type { Folder, Held } from './place-folder.js';
import { FIELDS, flagsOf, type WriteTask, type Written } from './small-task.js';

/** Files from which on threads pay: one takes as long to begin as it takes to write so many. */
export const MANY = 500;
/** On a machine of many cores more than these would wait for each other at the disk. */
const THREADS_MAX = 2;
/** Buffers kept for what comes next, of each thread. */
const SPARE_MAX = 8;
const PROGRAM = new URL('./small-worker.js', import.meta.url);

/** A part of a bundle, as one thread has it. */
interface Part {
  /** The places of its files in the bundle. */
  places: number[];
  held: Held[];
  done(outcomes: Outcome[]): void;
  failed(error: HearsayError): void;
}

export class SmallWriter {
  readonly #hands: Hand[] = [];
  /** Which thread writes into a folder. */
  readonly #byFolder = new WeakMap<Folder, Hand>();
  #next = 0;
  /** What is written without a thread. */
  #inline: Promise<unknown> = Promise.resolve();

  /** @param files how many there will be, about */
  constructor(files: number) {
    // One core is left to the network.
    const most = files < MANY ? 0 : Math.max(1, Math.min(THREADS_MAX, availableParallelism() - 1));
    for (let i = 0; i < most; i++) this.#hands.push(new Hand());
  }

  /**
   * Verifies and writes some files. What they hold is copied at once.
   * @returns for each, in their order, why it was not written: as of `writeSmall`, or `wrong-content`
   */
  async write(files: readonly Arrival[]): Promise<Outcome[]> {
    const outcomes: Outcome[] = new Array(files.length);
    const parts = new Map<Hand | undefined, number[]>();
    let last: Folder | undefined;
    let part: number[] = [];
    for (let i = 0; i < files.length; i++) {
      const { folder } = files[i];
      // Files of one folder come one after another.
      if (folder !== last) {
        last = folder;
        const hand = this.#handOf(folder);
        part = parts.get(hand) ?? [];
        parts.set(hand, part);
      }
      part.push(i);
    }
    if (parts.size === 1) {
      const [[hand]] = parts;
      return hand ? hand.write(files) : this.#writeHere(files);
    }
    await Promise.all(
      [...parts].map(async ([hand, places]) => {
        const some = places.map((i) => files[i]);
        const came = await (hand ? hand.write(some) : this.#writeHere(some));
        for (const [k, i] of places.entries()) outcomes[i] = came[k];
      }),
    );
    return outcomes;
  }

  /** Ends the threads. What is still being written may be left under its temporary name. */
  async end(): Promise<void> {
    await Promise.all(this.#hands.map((hand) => hand.end()));
  }

  #handOf(folder: Folder): Hand | undefined {
    // What a test does between check and use it does in this thread.
    if (this.#hands.length === 0 || folder.site.between) return undefined;
    let hand = this.#byFolder.get(folder);
    if (!hand) {
      hand = this.#hands[this.#next++ % this.#hands.length];
      this.#byFolder.set(folder, hand);
    }
    return hand;
  }

  /** One bundle after another. */
  #writeHere(files: readonly Arrival[]): Promise<Outcome[]> {
    const kept = files.map((file) => ({ ...file, data: Buffer.from(file.data) }));
    const work = this.#inline.then(() => writeVerified(kept));
    this.#inline = work.catch(() => undefined);
    return work;
  }
}

/** One thread. */
class Hand {
  readonly #worker = new Worker(PROGRAM, { name: 'hearsay small files' });
  readonly #parts = new Map<number, Part>();
  /** Buffers that came back. */
  readonly #spare: ArrayBuffer[] = [];
  #next = 0;
  #why: HearsayError | undefined;

  constructor() {
    this.#worker.on('message', (written: Written) => this.#written(written));
    this.#worker.on('error', (error) => this.#over(new HearsayError('failed', error.message, { cause: error })));
    this.#worker.on('exit', () =>
      this.#over(new HearsayError('failed', 'the thread that writes small files has ended')),
    );
  }

  async write(files: readonly Arrival[]): Promise<Outcome[]> {
    if (this.#why) throw this.#why;
    const outcomes: Outcome[] = new Array(files.length);
    let bytes = 0;
    for (const { data } of files) bytes += data.length;
    const buffer = this.#buffer(bytes);
    const into = new Uint8Array(buffer);
    const held: Held[] = [];
    const folders = new Map<Folder, number>();
    const places: number[] = [];
    const names: string[] = [];
    const fields = new Float64Array(files.length * FIELDS);
    let ids = '';
    let at = 0;
    try {
      let last: Folder | undefined;
      let folder = 0;
      for (let i = 0; i < files.length; i++) {
        const file = files[i];
        if (file.folder !== last) {
          const known = folders.get(file.folder);
          try {
            if (known === undefined) held.push(file.folder.hold());
          } catch (error) {
            outcomes[i] = diskError(error, file.name);
            continue;
          }
          last = file.folder;
          folder = known ?? held.length - 1;
          folders.set(last, folder);
        }
        const first = places.length * FIELDS;
        fields[first] = folder;
        fields[first + 1] = file.data.length;
        fields[first + 2] = file.mtime;
        fields[first + 3] = flagsOf(file);
        into.set(file.data, at);
        at += file.data.length;
        names.push(file.name);
        ids += file.id;
        places.push(i);
      }
      if (places.length === 0) return outcomes;
      const number = this.#next++;
      const task: WriteTask = { number, folders: held.map(({ lent }) => lent), names, ids, fields, buffer };
      const came = await new Promise<Outcome[]>((done, failed) => {
        this.#parts.set(number, { places, held, done, failed });
        this.#worker.postMessage(task, [buffer, fields.buffer]);
      });
      for (let k = 0; k < places.length; k++) outcomes[places[k]] = came[k];
      return outcomes;
    } finally {
      for (const one of held) one.release();
    }
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }

  #buffer(bytes: number): ArrayBuffer {
    if (bytes > FRAME_MAX) return new ArrayBuffer(bytes);
    return this.#spare.pop() ?? new ArrayBuffer(FRAME_MAX);
  }

  #written({ number, failed, replaced, buffer }: Written): void {
    const part = this.#parts.get(number);
    this.#parts.delete(number);
    if (buffer.byteLength === FRAME_MAX && this.#spare.length < SPARE_MAX) this.#spare.push(buffer);
    if (!part) return;
    for (const folder of replaced) part.held[folder].folder.site.replaced?.();
    const outcomes: Outcome[] = new Array(part.places.length);
    for (const { place, code, message } of failed) outcomes[place] = new HearsayError(code, message);
    part.done(outcomes);
  }

  #over(why: HearsayError): void {
    this.#why ??= why;
    for (const part of this.#parts.values()) part.failed(this.#why);
    this.#parts.clear();
  }
}
