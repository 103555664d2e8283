/**
 * What this peer was asked for: gets that it keeps, queued, held, let go on and ended; and the list of all transfers.
 *
 * Owns the gets that have not ended, and the timer of those that wait. Always true: what a get needs to go on is on the disk before
 * its `start` is told; one thing at a time is done to steer. Called by the peer, and by who drives sends and what is received.
 */
import type { ErrorBody, GetEvent, GetQuery, ShareEvent, SteeredRow, SteerQuery, TransferRow } from '../api.js';
import { asHearsayError, HearsayError } from '../errors.js';
import { JOB_FILES_MAX } from '../limits.js';
import type { PeerOffer } from '../offer.js';
import type { Target } from '../share/destination.js';
import type { KeptJobs, KeptTargets } from '../share/kept-jobs.js';
import type { Job } from '../transfer/jobs.js';
import type { GetContext } from './fetch.js';
import { stopped } from './followers.js';
import { GetJob } from './get-job.js';
import { type Entry, isEnded, JobTable } from './job-table.js';
import { Keeper } from './keeper.js';
import { pass } from './passing.js';
import type { Piece } from './plan.js';
import type { Registered, Registration, Steering } from './registered.js';
import { Stream } from './stream.js';

export type { Registered, Registration, Steering } from './registered.js';

/** Where transfers are kept. */
export interface JobFiles {
  /** What was kept, and what its unfinished gets fetch. */
  readonly kept: KeptJobs;
  readonly targets: ReadonlyMap<number, KeptTargets>;
  save(jobs: KeptJobs): Promise<void>;
  saveTargets(number: number, targets: KeptTargets): Promise<void>;
  dropTargets(number: number): Promise<void>;
}

export interface JobsOptions {
  context: GetContext;
  /** Files fetched at a time. */
  atOnce: number;
  /** ms after which a get gives up that nothing comes of, where it says nothing of that. */
  timeout(): number;
  /** Whether gets may go on: a peer that only serves fetches nothing. */
  mayFetch(): boolean;
  /** Undefined where nothing is kept: of a one-shot. */
  files: JobFiles | undefined;
  /** Sees to it that what a get fetched goes on being served, where it asks for that. */
  seed(
    query: GetQuery,
    landed: readonly { target: Target<Piece>; aside: boolean }[],
    tell: (event: GetEvent) => void,
  ): Promise<void>;
  tell(event: ShareEvent): void;
}

/** A get that is kept and has not ended. */
type Live = Entry & { readonly get: GetJob };

/** The timer looks at least so often, and at most, ms. */
const LOOK_MS = 60_000;
const LOOK_LEAST_MS = 50;

export class Jobs {
  readonly #options: JobsOptions;
  readonly #table: JobTable;
  readonly #keeper: Keeper | undefined;
  /** By what they were asked for. */
  readonly #gets = new Map<string, Live>();
  readonly #running = new Set<Promise<unknown>>();
  #timer: NodeJS.Timeout | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #stopped = false;

  constructor(options: JobsOptions) {
    const { files, tell, atOnce } = options;
    this.#options = options;
    this.#table = new JobTable(atOnce, tell);
    const failed = (thrown: unknown) => {
      const { message } = asHearsayError(thrown);
      tell({ event: 'warning', message: `transfers are not kept over a restart: ${message}` });
    };
    this.#keeper = files && new Keeper(() => files.save(this.#table.kept()), failed);
  }

  /** How many files are fetched at a time from now on. */
  set atOnce(count: number) {
    this.#table.atOnce = count;
    this.#go();
  }

  /** Takes up what was kept: what had not ended goes on. */
  start(): void {
    const { files } = this.#options;
    if (!files) return;
    const { kept, targets } = files;
    const { book } = this.#table;
    book.restore(kept.jobs, kept.next);
    const lost = (number: number, error: ErrorBody) => book.ends(number, error, Date.now());
    for (const { number, row, get } of kept.jobs) {
      const job = book.get(number) as Job;
      const known = targets.get(number);
      if (get && known) {
        this.#entryOf(job, get.query).get.restore(get, known, row);
        continue;
      }
      this.#table.past(job, row);
      if (get)
        lost(number, { code: 'state-damaged', message: 'what was kept of it was damaged: run the same get again' });
      // A send, say, ends with the process that drives it.
      else if (!isEnded(job)) lost(number, { code: 'failed', message: 'it ended with the peer that was asked for it' });
    }
    this.#go();
  }

  /** Stops what is under way; what is kept goes on when a peer starts here again. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await Promise.all([...this.#gets.values()].map(({ get }) => get.halt()));
    const why = new HearsayError('interrupted', 'this peer is stopping; it goes on when it is started again');
    for (const { get } of this.#gets.values()) get.followers.over(why);
    await Promise.all(this.#running);
    await this.#keeper?.stop();
  }

  rows(): TransferRow[] {
    return this.#table.rows();
  }

  /**
   * Numbers and lists a transfer that is driven elsewhere: a send, or what is received into the inbox.
   * @throws HearsayError `limit`
   */
  register(about: Registration, steering: Steering): Registered {
    return this.#table.register(about, steering, () => this.#keeper?.soon());
  }

  // Gets.

  /** What goes wrong at the beginning is thrown by the events, as `Api.get` says. */
  get(query: GetQuery, signal: AbortSignal): AsyncIterable<GetEvent> {
    try {
      return query.keep && this.#options.files ? this.#keep(query, signal) : this.#pass(query, signal);
    } catch (thrown) {
      const failed = new Stream<GetEvent>();
      failed.fail(thrown);
      return failed;
    }
  }

  /** One that ends with who asked for it. */
  #pass(query: GetQuery, signal: AbortSignal): AsyncIterable<GetEvent> {
    const { context, timeout, seed } = this.#options;
    const { out, over } = pass(query, signal, {
      context,
      timeout: timeout(),
      register: (about, steering) => this.#table.register(about, steering),
      seed: (landed, tell) => seed(query, landed, tell),
    });
    this.#track(() => over);
    return out;
  }

  /** One that this peer keeps; the same again follows the one that is there. */
  #keep(query: GetQuery, signal: AbortSignal): AsyncIterable<GetEvent> {
    const there = this.#gets.get(GetJob.keyOf(query));
    if (there) {
      const { job, get } = there;
      const out = get.followers.follow(query, signal, job.state);
      if (get.adopt(query)) this.#keeper?.soon();
      // Whoever wants it now has it looked for now.
      if (job.state === 'paused' || job.error) this.#inTurn(() => this.#resume(job.number));
      return out;
    }
    const entry = this.#entryOf(this.#table.book.open(Date.now()), query);
    const out = entry.get.followers.follow(query, signal);
    this.#track(() => this.#begin(entry));
    return out;
  }

  #entryOf(job: Job, query: GetQuery): Live {
    const { number } = job;
    const get: GetJob = new GetJob(job, query, {
      context: this.#options.context,
      timeout: this.#options.timeout,
      place: (signal) => this.#table.place(number, signal),
      moved: () => this.#table.book.moved(number),
      changed: () => this.#keeper?.soon(),
      abandoned: () => this.#inTurn(() => this.#end(number, stopped(), false)),
    });
    const steering: Steering = {
      cancel: () => this.#end(number, new HearsayError('cancelled', 'cancelled'), true),
      pause: () => this.#pause(number),
      resume: () => this.#resume(number),
    };
    const entry = { job, row: () => get.row(), steering, kept: true, get };
    this.#table.set(entry);
    this.#gets.set(GetJob.keyOf(query), entry);
    return entry;
  }

  /** Looks what it is to fetch, keeps that, and has it begin when there is a place. */
  async #begin(entry: Live): Promise<void> {
    const { job, get } = entry;
    const { number } = job;
    if (!(await get.plan())) {
      // Whoever ended it tells of that.
      if (isEnded(job) || this.#stopped) return;
      this.#gets.delete(GetJob.keyOf(get.query));
      this.#table.remove(number);
      get.followers.over();
      return;
    }
    await this.#keepTargets(entry);
    // It may have been ended meanwhile.
    if (isEnded(job)) return;
    get.started();
    this.#table.book.planned(number);
    this.#go();
  }

  async #keepTargets({ job: { number }, get }: Live): Promise<void> {
    const { files } = this.#options;
    if (!files || this.#stopped) return;
    if (get.count > JOB_FILES_MAX) {
      get.followers.warn(
        `of more than ${JOB_FILES_MAX} files nothing is kept: this get ends with the peer that runs here`,
      );
      return;
    }
    try {
      await files.saveTargets(number, get.keptTargets);
      get.isKept = true;
      await this.#keeper?.now();
    } catch (thrown) {
      get.isKept = false;
      const { message } = asHearsayError(thrown);
      get.followers.warn(`this get is not kept, and ends with the peer that runs here: ${message}`);
    }
  }

  /** Begins what may be begun, and sees to it that what waits is looked at in time. */
  #go(): void {
    clearTimeout(this.#timer);
    if (this.#stopped) return;
    const now = Date.now();
    const { book } = this.#table;
    while (this.#options.mayFetch()) {
      const job = book.take(now);
      if (!job) break;
      this.#track(() => this.#attempt(job.number));
    }
    const at = book.wakeAt();
    if (at === undefined) return;
    this.#timer = setTimeout(() => this.#go(), Math.min(LOOK_MS, Math.max(LOOK_LEAST_MS, at - now)));
    this.#timer.unref();
  }

  async #attempt(number: number): Promise<void> {
    const get = this.#table.get(number)?.get;
    if (!get) return;
    const { book } = this.#table;
    const attempted = await get.attempt();
    const { job } = get;
    // It may be held, or ended, by now.
    if (attempted.kind === 'stopped' || isEnded(job) || job.state === 'paused') book.stopped(number);
    else if (attempted.kind === 'over') await this.#ended(number, get.failure);
    else {
      const { why } = attempted;
      const { code, message } = why;
      const isNews = job.error?.message !== message;
      if (book.waits(number, { code, message }, Date.now())) {
        get.followers.stuck(why, isNews);
        if (isNews) this.#table.told(number);
      } else await this.#ended(number, { code, message }, why);
    }
    this.#keeper?.soon();
    this.#go();
  }

  /** A get has come to its end. @param why what is not here of it will not come, where that is not its own failure */
  async #ended(number: number, error: ErrorBody | undefined, why?: HearsayError): Promise<void> {
    const get = this.#table.get(number)?.get;
    if (!get) return;
    this.#table.book.ends(number, error, Date.now());
    this.#gets.delete(GetJob.keyOf(get.query));
    if (!why) await this.#options.seed(get.query, get.landed(), (event) => get.followers.tell(event, false));
    get.followers.over(why);
    this.#table.past(get.job, get.row());
    get.forget();
    this.#table.told(number);
    this.#table.tidy();
    void this.#options.files?.dropTargets(number);
  }

  /** Somebody came, or an offer: what waits for it looks again. */
  came(offer?: PeerOffer): void {
    let isWanted = false;
    for (const { job, get } of this.#gets.values()) {
      if (job.state !== 'queued' || !job.error || (offer && !get.wants(offer))) continue;
      this.#table.book.stirs(job.number, Date.now());
      isWanted = true;
    }
    if (isWanted) this.#go();
  }

  // What is done about them.

  /** Holds, lets go on or ends. With `all`, those for which it means something. */
  steer({ verb, numbers }: SteerQuery): Promise<SteeredRow[]> {
    return this.#inTurn(async () => {
      const rows: SteeredRow[] = [];
      for (const number of numbers === 'all' ? this.#table.meant(verb) : new Set(numbers)) {
        const entry = this.#table.get(number);
        // Of all, one may have ended while others were seen to.
        if (numbers === 'all' && (!entry || isEnded(entry.job))) continue;
        const row: SteeredRow = { number, ...(entry ? { path: entry.row().path } : {}) };
        try {
          await this.#table.act(verb, number)();
          rows.push({ ...row, ...(entry ? { state: verb === 'cancel' ? 'cancelled' : entry.job.state } : {}) });
        } catch (thrown) {
          const { code, message } = asHearsayError(thrown);
          rows.push({ ...row, error: { code, message } });
        }
      }
      return rows;
    });
  }

  async #pause(number: number): Promise<void> {
    const get = this.#table.get(number)?.get;
    if (!get || get.job.state === 'paused') return;
    this.#table.book.pause(number, Date.now());
    await get.hold();
    get.followers.warn(`transfer ${number} is held: \`hearsay resume ${number}\` has it go on`);
    this.#table.told(number);
    this.#keeper?.soon();
    this.#go();
  }

  async #resume(number: number): Promise<void> {
    const get = this.#table.get(number)?.get;
    if (!get || isEnded(get.job)) return;
    this.#table.book.resume(number, Date.now());
    this.#keeper?.soon();
    this.#go();
  }

  /** Ends one for good. @param clears whether what is not finished of it is removed too */
  async #end(number: number, why: HearsayError, clears: boolean): Promise<void> {
    const get = this.#table.get(number)?.get;
    if (!get || isEnded(get.job)) return;
    const { code, message } = why;
    // From now on nothing begins it again.
    this.#table.book.ends(number, { code, message }, Date.now());
    await get.halt();
    if (clears) await get.clear();
    await this.#ended(number, { code, message }, why);
    this.#keeper?.soon();
    this.#go();
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return this.#track(() => result);
  }

  #track<T>(work: () => Promise<T>): Promise<T> {
    const run = work();
    const tracked: Promise<unknown> = run.catch(() => {}).finally(() => this.#running.delete(tracked));
    this.#running.add(tracked);
    return run;
  }
}
