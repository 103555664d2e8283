/**
 * Reports: what changes of others' offers, told to those who follow, a little at a time where it is much.
 * Owns what is still to be told. Always true: it is told in the order in which it came about, in one event not much more than
 * AT_ONCE offers of what is worked out as it is told; the index itself is as it is from the beginning.
 * Called by the circle.
 */
import type { PeerId } from '../ids.js';
import { type Change, saysTheSame } from '../shelf/staging.js';
import type { Context } from './context.js';
import type { Effect } from './events.js';

/** Offers that are told of in one event: some milliseconds. */
const AT_ONCE = 2000;

type News = Extract<Effect, { kind: 'peer' | 'shelf' }>;

/** Changes, or what is told between them. */
interface Report {
  changes?: Iterator<Change>;
  news?: News;
  /** Whose shelf must stay as it is until it is told. */
  fragile: PeerId | undefined;
}

export class Reports {
  readonly #context: Context;
  #waiting: Report[] = [];
  #isDue = false;

  constructor(context: Context) {
    this.#context = context;
  }

  /** That a peer or a shelf came or went, in its place among the changes. */
  news(news: News): void {
    if (this.#waiting.length === 0) this.#context.emit(news);
    else this.#waiting.push({ news, fragile: undefined });
  }

  /**
   * Changes: those of a list at once, others as they are worked out.
   * @param fragile the writer, where they are worked out by looking at a shelf that may be changed
   */
  add(changes: Iterable<Change>, fragile?: PeerId): void {
    if (this.#waiting.length === 0 && Array.isArray(changes)) {
      for (const change of changes) this.#tell(change);
      return;
    }
    this.#waiting.push({ changes: changes[Symbol.iterator](), fragile });
    if (!this.#isDue) this.#some(AT_ONCE);
  }

  /** A writer's shelf is about to change. */
  settle(writer: PeerId): void {
    if (this.#waiting.some(({ fragile }) => fragile === writer)) this.#some(Number.POSITIVE_INFINITY);
  }

  /** The time for more has come. */
  due(): void {
    this.#isDue = false;
    this.#some(AT_ONCE);
  }

  #some(most: number): void {
    let left = most;
    let done = 0;
    for (const { changes, news } of this.#waiting) {
      if (news) this.#context.emit(news);
      while (changes && left > 0) {
        const next = changes.next();
        if (next.done) break;
        left--;
        this.#tell(next.value);
      }
      if (left <= 0) break;
      done++;
    }
    this.#waiting.splice(0, done);
    if (this.#waiting.length === 0 || this.#isDue) return;
    this.#isDue = true;
    this.#context.after(0, { kind: 'report' });
  }

  /** But for those that say the same as before. */
  #tell({ before, after }: Change): void {
    const emit = this.#context.emit.bind(this.#context);
    if (!after) {
      if (before) emit({ kind: 'change', change: 'removed', offer: before, before });
    } else if (!before) emit({ kind: 'change', change: 'added', offer: after });
    else if (!saysTheSame(before, after)) emit({ kind: 'change', change: 'changed', offer: after, before });
  }
}
