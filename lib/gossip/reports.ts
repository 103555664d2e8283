/**
 * Reports: what changes of others' offers, told to those who follow, a little at a time where it is much, and nothing that says the
 * same as before.
 * Owns what is still to be told. Always true: it is told in the order in which it came about, in one event not much more than
 * AT_ONCE offers of what is worked out as it is told; the index itself is as it is from the beginning.
 * Called by the circle.
 */
import type { PeerId } from '../ids.js';
import type { Shelf } from '../shelf/shelf.js';
import type { Change } from '../shelf/staging.js';
import type { Context } from './context.js';
import type { Effect } from './events.js';
import { tellingOf } from './shelving.js';

/** Offers that are told of in one event: some milliseconds. */
const AT_ONCE = 2000;

type News = Extract<Effect, { kind: 'peer' | 'shelf' }>;

/** Changes, or what is told between them. */
interface Report {
  changes?: Iterator<Change>;
  news?: News;
  /** Whose they are, and of which shelf where they tell that all of it came. */
  of?: PeerId | undefined;
  arrival?: Shelf | undefined;
  begun?: boolean;
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
   * @param arrival the shelf, where they tell that all of it came
   */
  add(of: PeerId, changes: Iterable<Change>, { fragile, arrival }: { fragile?: PeerId; arrival?: Shelf } = {}): void {
    if (this.#waiting.length === 0 && Array.isArray(changes)) {
      for (const telling of this.#context.shelving.tellings(changes)) this.#context.emit(telling);
      return;
    }
    this.#waiting.push({ changes: changes[Symbol.iterator](), fragile, of, arrival });
    if (!this.#isDue) this.#some(AT_ONCE);
  }

  /**
   * That a whole shelf went. Where nobody was told yet that it came, neither is told: who comes and goes again and again, with a million
   * offers, leaves no more to tell than one who stays.
   */
  went(of: PeerId, shelf: Shelf, changes: Iterable<Change>): void {
    const last = this.#waiting.findLastIndex((report) => report.of === of);
    const isUntold = last >= 0 && this.#waiting[last].arrival === shelf && !this.#waiting[last].begun;
    if (isUntold) this.#waiting.splice(last, 1);
    else this.add(of, changes);
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
    for (const report of this.#waiting) {
      const { changes, news } = report;
      if (news) this.#context.emit(news);
      if (left > 0) report.begun = true;
      while (changes && left > 0) {
        const next = changes.next();
        if (next.done) break;
        left--;
        const telling = tellingOf(next.value);
        if (telling) this.#context.emit(telling);
      }
      if (left <= 0) break;
      done++;
    }
    this.#waiting.splice(0, done);
    if (this.#waiting.length === 0 || this.#isDue) return;
    this.#isDue = true;
    this.#context.after(0, { kind: 'report' });
  }
}
