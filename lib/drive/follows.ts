/**
 * Tells those who follow a lookup what changes of it.
 *
 * Owns who follows what, and up to which change each was told. Always true: nobody has more than one set of pages on its way, so
 * who does not read costs no more than a place in the log; who is too far behind is told the whole anew; at most
 * FOLLOWS_PER_CONNECTION_MAX of one connection. Called by the tracker.
 */
import { HearsayError } from '../errors.js';
import type { PeerId } from '../ids.js';
import { ANSWERS_AT_ONCE, FOLLOWS_PER_CONNECTION_MAX } from '../limits.js';
import type { Link } from '../net/link.js';
import type { Holding } from '../tracker/events.js';
import { FollowLog, type Query, queryOf, type Told } from '../tracker/follow.js';
import { type Page, pagesOf, type Reader } from '../tracker/pages.js';
import { Paging } from './paging.js';

/** Changes are gathered for so long before they are told, ms: longer where many follow, as each is told by itself. */
const GATHER_MS = 20;
const GATHER_MOST_MS = 250;
const GATHER_EACH_MS = 0.25;

/** What is asked: the kind and the text of a lookup. */
export interface Question {
  kind: number;
  text: string;
}

export interface FollowsOptions {
  reader(link: Link): Omit<Reader, 'knows'>;
  /** What a peer holds of a content now. */
  holds(peer: PeerId, id: string): Holding | undefined;
  /** The whole answer, as things are now. @throws HearsayError */
  answer(question: Question, link: Link, reset: boolean): Iterable<Page>;
}

export interface Follower {
  link: Link;
  number: number;
  question: Question;
  query: Query;
  /** Up to where it was told; undefined while it is told the whole, for the first time or anew. */
  at: number | undefined;
  /** Ended by the one who follows. */
  abort: AbortController;
  /** Whether pages for it are on their way, or wait for their turn. */
  busy: boolean;
}

export class Follows {
  readonly #options: FollowsOptions;
  readonly #log: FollowLog;
  readonly #byLink = new Map<Link, Map<number, Follower>>();
  /** Those that want the holders of one content only, which is most of them, by that content. */
  readonly #paging = new Paging(ANSWERS_AT_ONCE, ANSWERS_AT_ONCE / 2);
  /** Contents of which something changed since the last telling; undefined where that concerns everyone. */
  #touched: Set<string> | undefined = new Set();
  /** Made for one, and told to all who ask the same and were told as much. */
  readonly #shared = new Map<string, SharedPages>();
  #size = 0;
  #upTo = 0;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: FollowsOptions, log = new FollowLog()) {
    this.#options = options;
    this.#log = log;
  }

  /** How many there are. */
  get size(): number {
    return this.#size;
  }

  /**
   * Begins to follow, with what changes from now on; `told` says when the answer was told.
   * @returns undefined for a question that cannot be followed
   * @throws HearsayError `limit`, `usage`
   */
  add(link: Link, number: number, question: Question): Follower | undefined {
    const query = queryOf(question.kind, question.text);
    if (!query) return undefined;
    const all = this.#byLink.get(link) ?? new Map<number, Follower>();
    this.cancel(link, number);
    if (all.size >= FOLLOWS_PER_CONNECTION_MAX) throw new HearsayError('limit', 'too many lookups are followed');
    if (this.#size === 0) this.#log.trim(this.#log.head);
    const follower: Follower = {
      link,
      number,
      question,
      query,
      at: undefined,
      abort: new AbortController(),
      busy: true,
    };
    this.#byLink.set(link, all.set(number, follower));
    this.#size++;
    return follower;
  }

  /** The place up to which an answer that is made now tells everything. */
  get place(): number {
    return this.#log.head;
  }

  /** Its answer was told, as things were at a place. */
  told(follower: Follower, place: number): void {
    follower.at = place;
    follower.busy = false;
    this.#tellSoon();
  }

  /** Nobody wants to be told any more. */
  cancel(link: Link, number: number): void {
    const all = this.#byLink.get(link);
    const follower = all?.get(number);
    if (!all || !follower) return;
    all.delete(number);
    this.#size--;
    if (all.size === 0) this.#byLink.delete(link);
    follower.abort.abort();
  }

  linkClosed(link: Link): void {
    for (const number of [...(this.#byLink.get(link)?.keys() ?? [])]) this.cancel(link, number);
  }

  /** Something changed. */
  note(change: Told): void {
    if (this.#size === 0) return;
    this.#log.add(change);
    if (change.kind === 'offer') {
      for (const offer of [change.change.before, change.change.after]) if (offer?.id) this.#touched?.add(offer.id);
    } else if (change.kind === 'holding') this.#touched?.add(change.holding.id);
    else if (change.kind === 'gone' || change.moved) this.#touched = undefined;
    this.#tellSoon();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    for (const link of [...this.#byLink.keys()]) this.linkClosed(link);
  }

  #tellSoon(): void {
    if (this.#timer || this.#stopped) return;
    const wait = Math.min(GATHER_MOST_MS, GATHER_MS + GATHER_EACH_MS * this.#size);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#tell();
    }, wait);
  }

  /** Tells everyone who was not told all, and is not being told. */
  #tell(): void {
    const touched = this.#touched;
    const before = this.#upTo;
    this.#touched = new Set();
    this.#upTo = this.#log.head;
    this.#shared.clear();
    let least = this.#upTo;
    for (const all of this.#byLink.values()) {
      for (const follower of all.values()) {
        const { at, query, busy } = follower;
        // Nothing of what it wants: most of those who fetch something, most of the time.
        const isIdle = query.content !== undefined && touched !== undefined && !touched.has(query.content);
        if (!busy && isIdle && at !== undefined && at >= before) follower.at = this.#upTo;
        else if (!busy && at !== this.#upTo) this.#send(follower);
        if (follower.at !== undefined) least = Math.min(least, follower.at);
      }
    }
    this.#log.trim(least);
  }

  #send(follower: Follower): void {
    const { link, abort } = follower;
    let place = 0;
    const begin = (): Iterable<Page & { number: number }> => {
      const { at } = follower;
      const isBehind = at === undefined || !this.#log.reaches(at);
      place = isBehind ? this.#log.head : this.#upTo;
      const pages = isBehind ? this.#options.answer(follower.question, link, true) : this.#changes(follower, at, place);
      return numbered(pages, follower.number);
    };
    follower.busy = true;
    let isDone = false;
    const send = this.#paging.send(link, () => ended(begin(), () => (isDone = true)), abort.signal);
    send
      // Others needed the place, and it is too slow: later, from where it was.
      .catch(() => {})
      .finally(() => {
        follower.busy = false;
        if (isDone) follower.at = place;
        if (!abort.signal.aborted && link.open && follower.at !== this.#log.head) this.#tellSoon();
      });
  }

  /** Pages of what changed, made once for all who want the same. */
  #changes({ link, question, query }: Follower, from: number, upTo: number): Iterable<Page> {
    const { local, peer } = this.#options.reader(link);
    const key = `${local} ${from} ${upTo} ${question.kind} ${question.text}`;
    let shared = this.#shared.get(key);
    if (!shared) {
      const pieces = this.#log.since(from, upTo, query, this.#options.holds);
      shared = new SharedPages(pagesOf(pieces, { local, peer, knows: query.knowsAll }, false));
      this.#shared.set(key, shared);
    }
    return shared.pages();
  }
}

/** Pages that are made as the first who wants them comes to them, and kept for the others. */
class SharedPages {
  readonly #source: Iterator<Page>;
  readonly #made: Page[] = [];
  #ended = false;

  constructor(source: Iterator<Page>) {
    this.#source = source;
  }

  *pages(): Generator<Page, void, undefined> {
    for (let i = 0; ; i++) {
      if (i === this.#made.length) {
        const { value, done } = this.#ended ? { value: undefined, done: true } : this.#source.next();
        if (done) {
          this.#ended = true;
          return;
        }
        this.#made.push(value as Page);
      }
      yield this.#made[i];
    }
  }
}

/** Pages as messages that answer a question; a set of changes of which none fits is not told of. */
function* numbered(pages: Iterable<Page>, number: number): Generator<Page & { number: number }, void, undefined> {
  let isFirst = true;
  for (const page of pages) {
    if (isFirst && page.last && !page.reset && isEmpty(page)) return;
    if (!isEmpty(page)) isFirst = false;
    yield { ...page, number };
  }
}

function isEmpty({ peers, offers, have, gone }: Page): boolean {
  return peers.length + offers.length + have.length + gone.length === 0;
}

/** Says when all was taken. */
function* ended<T>(all: Iterable<T>, onEnd: () => void): Generator<T, void, undefined> {
  yield* all;
  onEnd();
}
