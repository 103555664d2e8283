/**
 * Sends long answers, page by page: as fast as their readers read, and with turns for all.
 *
 * Owns the answers under way and those that wait. Always true: in one turn of the event loop at most one page is made, so that
 * questions, however many, hold up no transfer; addresses take turns; at most ANSWERS_AT_ONCE are under way, ANSWERS_PER_ADDRESS of
 * one address; where others wait, one whose reader takes nothing, or takes ANSWER_MOST_MS, is ended, and none is begun for a reader
 * who is behind. Called by the answerer and the tracker.
 */
import { asHearsayError, HearsayError } from '../errors.js';
import { FairQueue } from '../fair-queue.js';
import { ANSWER_MOST_MS, ANSWERS_AT_ONCE, ANSWERS_PER_ADDRESS } from '../limits.js';
import type { Link } from '../net/link.js';
import type { Message } from '../wire/table.js';

/** How often it is looked whether an answer takes too long, ms. */
const LOOK_MS = 1000;
/** A reader who takes nothing for so long gives its place to others who wait, ms. */
const STALLED_MS = 2000;

interface Job {
  link: Link;
  begin(): Iterable<Message>;
  pages: Iterator<Message> | undefined;
  since: number;
  over: boolean;
  end(error?: HearsayError): void;
}

export class Paging {
  readonly #most: number;
  readonly #mostOfOne: number;
  readonly #mostMs: number;
  /** By link. */
  readonly #waiting = new FairQueue<Job, Link>();
  readonly #running = new Set<Job>();
  readonly #byHost = new Map<string, number>();
  /** Those of the running ones whose readers take more. */
  readonly #ready = new FairQueue<Job>();
  #ticking = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(most = ANSWERS_AT_ONCE, mostOfOne = ANSWERS_PER_ADDRESS, mostMs = ANSWER_MOST_MS) {
    this.#most = most;
    this.#mostOfOne = mostOfOne;
    this.#mostMs = mostMs;
  }

  /** Answers that are not done. */
  get size(): number {
    return this.#waiting.size + this.#running.size;
  }

  /**
   * Sends an answer in its turn.
   * @param begin makes its pages, when its turn has come; an empty page that is not the last only says that others may have a
   *   turn, and is not sent
   * @param signal ends it
   * @throws HearsayError what `begin` or a page throws; `limit` where its reader is too slow; nothing where the link is closed
   */
  send(link: Link, begin: () => Iterable<Message>, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const { host } = link.address;
      const abort = () => job.end();
      const job: Job = {
        link,
        begin,
        pages: undefined,
        since: 0,
        over: false,
        end: (error) => {
          if (job.over) return;
          job.over = true;
          signal?.removeEventListener('abort', abort);
          this.#waiting.remove(link, job);
          this.#ready.remove(host, job);
          if (this.#running.delete(job)) {
            const left = (this.#byHost.get(host) ?? 1) - 1;
            if (left > 0) this.#byHost.set(host, left);
            else this.#byHost.delete(host);
          }
          if (error) reject(error);
          else resolve();
          this.#fill();
        },
      };
      if (signal?.aborted) return resolve();
      signal?.addEventListener('abort', abort);
      this.#waiting.add(link, job);
      this.#fill();
    });
  }

  /** Begins as many as may be under way. */
  #fill(): void {
    while (this.#running.size < this.#most) {
      // One that is closed is only ended.
      const may = (link: Link) =>
        !link.open || (link.writable && (this.#byHost.get(link.address.host) ?? 0) < this.#mostOfOne);
      const job = this.#waiting.take(may);
      if (!job) break;
      const { host } = job.link.address;
      this.#byHost.set(host, (this.#byHost.get(host) ?? 0) + 1);
      this.#running.add(job);
      job.since = performance.now();
      this.#ready.add(host, job);
    }
    if (this.#waiting.size > 0) this.#timer ??= setTimeout(() => this.#endSlow(), LOOK_MS);
    this.#tickSoon();
  }

  #tickSoon(): void {
    if (this.#ticking || this.#ready.size === 0) return;
    this.#ticking = true;
    setImmediate(() => {
      this.#ticking = false;
      const job = this.#ready.take();
      if (job) this.#page(job);
      this.#tickSoon();
    });
  }

  #page(job: Job): void {
    const { link } = job;
    if (!link.open) {
      job.end();
      return;
    }
    if (!link.writable) {
      void link.whenWritable().then(() => this.#again(job));
      return;
    }
    try {
      job.pages ??= job.begin()[Symbol.iterator]();
      const { value, done } = job.pages.next();
      if (done) job.end();
      else if (!isRest(value)) link.send(value);
    } catch (thrown) {
      job.end(asHearsayError(thrown));
    }
    this.#again(job);
  }

  #again(job: Job): void {
    if (job.over) return;
    this.#ready.add(job.link.address.host, job);
    this.#tickSoon();
  }

  /** Those that have had a place for too long give it to others who wait. */
  #endSlow(): void {
    this.#timer = undefined;
    const now = performance.now();
    for (const job of [...this.#running]) {
      const isStalled = job.link.stalledFor(now) > STALLED_MS;
      if (isStalled || now - job.since > this.#mostMs)
        job.end(new HearsayError('limit', 'it took too long, and others wait'));
    }
    // Some may read again.
    this.#fill();
  }
}

function isRest(message: Message): boolean {
  if (message.type === 'f') {
    const { reset, peers, offers, have, gone, last } = message;
    return !reset && !last && peers.length + offers.length + have.length + gone.length === 0;
  }
  return (message.type === 'I' || message.type === 'D') && message.offers.length === 0 && !message.last;
}
