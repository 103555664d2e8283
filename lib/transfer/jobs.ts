/**
 * What a peer was asked to fetch and send: which numbers it has, what may go on now, and for how long its end is told.
 *
 * Owns a job for each. Always true: a number is given once; at most `atOnce` jobs that are driven from here are under way, those
 * that were asked for first before others; of ended ones the last JOBS_ENDED_MAX are kept, each for JOB_TOLD_MS. Times are milliseconds
 * since 1970, as jobs outlive their process. Called by the driver of jobs.
 */
import type { ErrorBody, TransferState } from '../api.js';
import type { Millis } from '../clock.js';
import { HearsayError } from '../errors.js';
import { JOBS_ENDED_MAX, JOBS_MAX } from '../limits.js';

/** How long an ended job is told of, ms. */
export const JOB_TOLD_MS = 24 * 3_600_000;
/** How long a job waits for those who have what it wants: as long as a partial is kept, ms. */
export const JOB_WAITS_MS = 7 * 24 * 3_600_000;
/** After how long one that waits for others looks again at first, and at most, ms. */
const AGAIN_MS = 2000;
const AGAIN_MOST = 60_000;
/** Who has just come is given so long to say what he has, ms. */
const CAME_MS = 500;

/** What of a job outlives the process. */
export interface Job {
  readonly number: number;
  /** Its place in the queue: the lowest goes first. */
  turn: number;
  state: TransferState;
  /** When it came to be so; of one that waits for others, since when it waits. */
  since: Millis;
  /** Why it failed, or of a queued one what it waits for. */
  error?: ErrorBody;
}

/** How it is driven. */
interface Driven {
  readonly job: Job;
  /** Whether somebody else drives it, and it is only numbered and told of. */
  readonly apart: boolean;
  /** Whether it is known what it is to fetch, so that it can be begun. */
  planned: boolean;
  /** Whether it is under way: it runs, or waits for a place among what runs. */
  begun: boolean;
  /** When it is to look again for those who have what it wants, and how often it did in vain. */
  againAt: Millis;
  tries: number;
}

const isEnded = ({ state }: Job) => state === 'done' || state === 'failed';

export class JobBook {
  /** By number, the lowest first. */
  readonly #all = new Map<number, Driven>();
  #next = 1;
  #turn = 1;
  /** How many may be under way at a time. */
  atOnce: number;

  constructor(atOnce: number) {
    this.atOnce = atOnce;
  }

  /** The number that comes next. */
  get next(): number {
    return this.#next;
  }

  /** Takes up what was kept. Those that were under way go on where they were in the queue. */
  restore(kept: readonly Job[], next: number): void {
    for (const { number, turn, state, since, error } of [...kept].sort((a, b) => a.number - b.number)) {
      const job: Job = {
        number,
        turn,
        state: state === 'running' ? 'queued' : state,
        since,
        ...(error ? { error } : {}),
      };
      this.#all.set(number, { job, apart: false, planned: true, begun: false, againAt: 0, tries: 0 });
      this.#next = Math.max(this.#next, number + 1);
      this.#turn = Math.max(this.#turn, turn + 1);
    }
    this.#next = Math.max(this.#next, next);
  }

  /**
   * A new one.
   * @param apart whether somebody else drives it
   * @throws HearsayError `limit`
   */
  open(now: Millis, apart = false): Job {
    let live = 0;
    for (const { job } of this.#all.values()) if (!isEnded(job)) live++;
    if (live >= JOBS_MAX)
      throw new HearsayError('limit', `${JOBS_MAX} transfers are under way or wait; end some of them`);
    const job: Job = { number: this.#next++, turn: this.#turn++, state: 'queued', since: now };
    this.#all.set(job.number, { job, apart, planned: false, begun: false, againAt: now, tries: 0 });
    return job;
  }

  /** It is known what it is to fetch. */
  planned(number: number): void {
    const one = this.#all.get(number);
    if (one) one.planned = true;
  }

  get(number: number): Job | undefined {
    return this.#all.get(number)?.job;
  }

  /** By number, the lowest first. */
  jobs(): Job[] {
    return [...this.#all.values()].map(({ job }) => job);
  }

  /** Forgets one as if it had never been. */
  drop(number: number): void {
    this.#all.delete(number);
  }

  /** The next one that may be begun now, which counts as under way from now on. */
  take(now: Millis): Job | undefined {
    let begun = 0;
    let first: Driven | undefined;
    for (const one of this.#all.values()) {
      if (one.apart || !one.planned) continue;
      if (one.begun) begun++;
      else if (isDue(one, now) && (!first || one.job.turn < first.job.turn)) first = one;
    }
    if (!first || begun >= this.atOnce) return undefined;
    first.begun = true;
    return first.job;
  }

  /** When next to ask `take` again, where nothing happens until then. */
  wakeAt(): Millis | undefined {
    let at: Millis | undefined;
    for (const { job, apart, planned, begun, againAt } of this.#all.values()) {
      if (apart || !planned || begun || job.state !== 'queued') continue;
      if (at === undefined || againAt < at) at = againAt;
    }
    return at;
  }

  /** It has a place among what runs. @returns whether that is news */
  runs(number: number, now: Millis): boolean {
    const job = this.get(number);
    if (job?.state !== 'queued') return false;
    become(job, 'running', now);
    return true;
  }

  /** Something came for it. */
  moved(number: number): void {
    const one = this.#all.get(number);
    if (one) one.tries = 0;
  }

  /**
   * It cannot go on until others are here: it looks again, ever more rarely, or when somebody comes.
   * @returns whether it goes on waiting; where it has waited for JOB_WAITS_MS it has failed
   */
  waits(number: number, error: ErrorBody, now: Millis): boolean {
    const one = this.#all.get(number);
    if (!one || isEnded(one.job) || one.job.state === 'paused') return true;
    const { job } = one;
    one.begun = false;
    const waited = job.state === 'queued' && job.error ? now - job.since : 0;
    if (waited >= JOB_WAITS_MS) {
      this.ends(number, error, now);
      return false;
    }
    if (job.state !== 'queued' || !job.error) become(job, 'queued', now);
    job.error = error;
    one.againAt = now + Math.min(AGAIN_MOST, AGAIN_MS * 2 ** Math.min(one.tries, 16));
    one.tries++;
    return true;
  }

  /** Somebody came who may have what it waits for. */
  stirs(number: number, now: Millis): void {
    const one = this.#all.get(number);
    if (one?.job.error && one.job.state === 'queued') one.againAt = Math.min(one.againAt, now + CAME_MS);
  }

  /** It has come to its end: `error` where it failed. */
  ends(number: number, error: ErrorBody | undefined, now: Millis): void {
    const one = this.#all.get(number);
    if (!one) return;
    one.begun = false;
    become(one.job, error ? 'failed' : 'done', now);
    if (error) one.job.error = error;
  }

  /** Its driver has stopped, and it may be begun again. */
  stopped(number: number): void {
    const one = this.#all.get(number);
    if (one) one.begun = false;
  }

  /** Holds it. @throws HearsayError `not-found`; `failed` where it has ended */
  pause(number: number, now: Millis): void {
    const { job } = this.#live(number);
    if (job.state !== 'paused') become(job, 'paused', now);
  }

  /**
   * Lets a paused one go on at the end of the queue; one that waits for others looks again now.
   * @throws HearsayError `not-found`; `failed` where it has ended
   */
  resume(number: number, now: Millis): void {
    const one = this.#live(number);
    if (one.job.state === 'paused') {
      one.job.turn = this.#turn++;
      become(one.job, 'queued', now);
    }
    one.againAt = now;
    one.tries = 0;
  }

  #live(number: number): Driven {
    const one = this.#all.get(number);
    if (!one) throw new HearsayError('not-found', `there is no transfer ${number}`);
    const { state } = one.job;
    if (isEnded(one.job))
      throw new HearsayError('failed', `transfer ${number} ${state === 'done' ? 'is done' : 'has ended'}`);
    return one;
  }

  /** Forgets those that ended long ago, and of many the oldest. @returns their numbers */
  tidy(now: Millis): number[] {
    const ended = this.jobs()
      .filter(isEnded)
      .sort((a, b) => b.since - a.since);
    const gone = ended.filter(({ since }, i) => i >= JOBS_ENDED_MAX || now - since >= JOB_TOLD_MS);
    for (const { number } of gone) this.#all.delete(number);
    return gone.map(({ number }) => number);
  }
}

/** One that waits for longer than it ever may was told another time of day. */
function isDue({ job, againAt }: Driven, now: Millis): boolean {
  return job.state === 'queued' && (now >= againAt || againAt - now > AGAIN_MOST);
}

function become(job: Job, state: TransferState, now: Millis): void {
  job.state = state;
  job.since = now;
  delete job.error;
}

interface Asker {
  turn: number;
  granted(): void;
}

/**
 * Places for what runs at a time: large files, and batches of small ones. Who waits with the lowest turn is next.
 * Owns who waits. Always true: no more than `limit` are given, but where it was lowered meanwhile.
 */
export class Places {
  #limit: number;
  #given = 0;
  #waiting: Asker[] = [];

  constructor(limit: number) {
    this.#limit = limit;
  }

  set limit(limit: number) {
    this.#limit = limit;
    this.#grant();
  }

  /** How many are taken. */
  get given(): number {
    return this.#given;
  }

  /**
   * Asks for a place.
   * @param granted called once, at once or later
   * @returns gives the place back, or asks no more; may be called again
   */
  ask(turn: number, granted: () => void): () => void {
    let state: 'waits' | 'has' | 'over' = 'waits';
    const asker: Asker = {
      turn,
      granted: () => {
        state = 'has';
        granted();
      },
    };
    const after = this.#waiting.findIndex((other) => other.turn > turn);
    this.#waiting.splice(after < 0 ? this.#waiting.length : after, 0, asker);
    this.#grant();
    return () => {
      if (state === 'waits') this.#waiting = this.#waiting.filter((other) => other !== asker);
      else if (state === 'has') this.#given--;
      else return;
      state = 'over';
      this.#grant();
    };
  }

  #grant(): void {
    while (this.#given < this.#limit) {
      const next = this.#waiting.shift();
      if (!next) return;
      this.#given++;
      next.granted();
    }
  }
}
