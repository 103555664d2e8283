/**
 * The transfers that this peer was asked for, by their numbers: how they stand, and the places for what is fetched at a time.
 *
 * Owns what is listed. Always true: a transfer keeps its number until it is forgotten; what begins, waits or ends is told once. Called
 * by Jobs.
 */
import type { ErrorBody, ShareEvent, SteerQuery, TransferRow } from '../api.js';
import { HearsayError } from '../errors.js';
import type { KeptJobs, KeptRow } from '../share/kept-jobs.js';
import { type Job, JobBook, Places } from '../transfer/jobs.js';
import { stopped } from './followers.js';
import type { GetJob } from './get-job.js';
import { type Registered, type Registration, Shown, type Steering } from './registered.js';

/** A transfer, what drives it, and whether it is told of after a restart. */
export interface Entry {
  readonly job: Job;
  row(): KeptRow & { rate: number };
  readonly steering: Steering;
  readonly kept: boolean;
  /** Of a get that is kept, as long as it has not ended. */
  readonly get?: GetJob;
}

export const isEnded = ({ state }: Job) => state === 'done' || state === 'failed';

export class JobTable {
  readonly book: JobBook;
  readonly #places: Places;
  readonly #entries = new Map<number, Entry>();
  readonly #tell: (event: ShareEvent) => void;

  /** @param atOnce files fetched at a time */
  constructor(atOnce: number, tell: (event: ShareEvent) => void) {
    this.book = new JobBook(atOnce);
    this.#places = new Places(atOnce);
    this.#tell = tell;
  }

  set atOnce(count: number) {
    this.book.atOnce = count;
    this.#places.limit = count;
  }

  get(number: number): Entry | undefined {
    return this.#entries.get(number);
  }

  set(entry: Entry): void {
    this.#entries.set(entry.job.number, entry);
  }

  /** Lists one that has ended as it was last. */
  past(job: Job, row: KeptRow): void {
    this.set({ job, row: () => ({ ...row, rate: 0 }), kept: true, steering: { cancel: () => {} } });
  }

  /** Forgets one as if it had never been. */
  remove(number: number): void {
    this.#entries.delete(number);
    this.book.drop(number);
  }

  rows(): TransferRow[] {
    this.tidy();
    return this.book.jobs().flatMap(({ number }) => this.#row(number) ?? []);
  }

  #row(number: number): TransferRow | undefined {
    const entry = this.#entries.get(number);
    if (!entry) return undefined;
    const { state, error } = entry.job;
    return { number, ...entry.row(), state, ...(error ? { error } : {}) };
  }

  /** Tells how one stands. */
  told(number: number): void {
    const row = this.#row(number);
    if (row) this.#tell({ event: 'transfer', row });
  }

  tidy(): void {
    for (const number of this.book.tidy(Date.now())) this.#entries.delete(number);
  }

  /** What outlives the process. */
  kept(): KeptJobs {
    const jobs = this.book.jobs().flatMap(({ number }) => {
      const { job, kept, get, row } = this.#entries.get(number) ?? {};
      // What is not kept of a get by its targets could not go on.
      if (!job || !row || !kept || (get && !get.isKept)) return [];
      const { rate: _, ...shown } = row();
      return [{ ...job, row: shown, ...(get ? { get: get.keptGet } : {}) }];
    });
    return { next: this.book.next, jobs };
  }

  /** Waits until a large file of a transfer, or all its small ones, may be fetched. @throws HearsayError `interrupted` */
  place(number: number, signal: AbortSignal): Promise<() => void> {
    const turn = this.book.get(number)?.turn ?? 0;
    return new Promise((resolve, reject) => {
      let isGranted = false;
      if (signal.aborted) return reject(stopped());
      const abort = () => {
        leave();
        reject(stopped());
      };
      const leave = this.#places.ask(turn, () => {
        isGranted = true;
        signal.removeEventListener('abort', abort);
        this.#runs(number);
        resolve(() => leave());
      });
      if (!isGranted) signal.addEventListener('abort', abort);
    });
  }

  #runs(number: number): void {
    if (this.book.runs(number, Date.now())) this.told(number);
  }

  /**
   * Numbers and lists one that is driven elsewhere.
   * @param ended called when it has, where that is to be kept
   * @throws HearsayError `limit`
   */
  register(about: Registration, steering: Steering, ended?: () => void): Registered {
    const job = this.book.open(Date.now(), true);
    const { number } = job;
    const shown = new Shown(about);
    this.set({ job, row: () => shown.row(job.state === 'running'), steering, kept: ended !== undefined });
    return {
      number,
      hooks: { place: (signal) => this.place(number, signal) },
      running: () => this.#runs(number),
      update: (now) => shown.update(now),
      end: (error?: ErrorBody) => {
        if (isEnded(job)) return;
        this.book.ends(number, error, Date.now());
        this.told(number);
        this.tidy();
        ended?.();
      },
    };
  }

  /** Those for which a verb means something. */
  meant(verb: SteerQuery['verb']): number[] {
    const fits = ({ number, state }: Job) => {
      if (!this.#entries.get(number)?.steering[verb]) return false;
      if (verb === 'resume') return state === 'paused';
      return state === 'queued' || state === 'running' || (state === 'paused' && verb === 'cancel');
    };
    return this.book
      .jobs()
      .filter(fits)
      .map(({ number }) => number);
  }

  /**
   * What a verb does to one.
   * @throws HearsayError `not-found`, `failed` of one that has ended, `refused` of one that cannot be held
   */
  act(verb: SteerQuery['verb'], number: number): () => void | Promise<void> {
    const entry = this.#entries.get(number);
    if (!entry) throw new HearsayError('not-found', `there is no transfer ${number}`);
    const { job, steering } = entry;
    if (isEnded(job)) {
      throw new HearsayError('failed', `transfer ${number} ${job.state === 'done' ? 'is done' : 'has ended already'}`);
    }
    const act = steering[verb];
    if (act) return act;
    const why = 'it ends with who asked for it';
    throw new HearsayError('refused', `transfer ${number} can be cancelled, not held: ${why}`);
  }
}
