/**
 * Answers lookups of the registry, and tells those who follow one what changes of it.
 *
 * Owns the questions that are open and the turns of their answers. Always true: see Desks, Paging and Follows, which bound them.
 * Called by the tracker.
 */
import { isLoopback } from '../endpoint.js';
import { HearsayError } from '../errors.js';
import { ANSWERS_AT_ONCE } from '../limits.js';
import type { Link } from '../net/link.js';
import { type Found, LOOKUP } from '../tracker/events.js';
import type { Told } from '../tracker/follow.js';
import { type Page, pagesOf, type Reader } from '../tracker/pages.js';
import type { Registry } from '../tracker/registry.js';
import type { MessageOf } from '../wire/table.js';
import { Desks } from './desks.js';
import { Follows, type Question } from './follows.js';
import { Paging } from './paging.js';
import { Rate } from './rate.js';

export class Lookups {
  readonly #registry: Registry;
  readonly #desks = new Desks();
  readonly #paging = new Paging(ANSWERS_AT_ONCE, ANSWERS_AT_ONCE / 2);
  readonly #follows: Follows;
  readonly #rate = new Rate();

  constructor(registry: Registry) {
    this.#registry = registry;
    this.#follows = new Follows({
      reader: (link) => this.#reader(link),
      holds: (peer, id) => this.#registry.holding(peer, id),
      answer: (question, link, reset) => this.#answer(question, link, reset, true),
    });
  }

  /** Lookups a second, lately. */
  get rate(): number {
    return this.#rate.value(performance.now());
  }

  /** Questions that are not answered, and those that are followed. */
  get size(): number {
    return this.#desks.size + this.#follows.size;
  }

  /** Answers in its own time; what goes wrong is an answer too. */
  take(link: Link, { number, kind, text, follow }: MessageOf<'l'>): void {
    const question: Question = { kind, text };
    this.#rate.add(1, performance.now());
    this.#follows.cancel(link, number);
    this.#desks.take(link, number, text.length, async (signal) => {
      const follower = follow ? this.#follows.add(link, number, question) : undefined;
      let place = 0;
      const begin = () => {
        // What changes while the pages are made is told again after them.
        place = this.#follows.place;
        return numbered(this.#answer(question, link, false, follower !== undefined), number);
      };
      try {
        await this.#paging.send(link, begin, signal);
      } catch (thrown) {
        if (follower) this.#follows.cancel(link, number);
        throw thrown;
      }
      if (follower && !signal.aborted && link.open) this.#follows.told(follower, place);
    });
  }

  /** Nobody wants this answer, or to be told what changes of it. */
  cancel(link: Link, number: number): void {
    this.#desks.cancel(link, number);
    this.#follows.cancel(link, number);
  }

  linkClosed(link: Link): void {
    this.#follows.linkClosed(link);
  }

  /** Something changed in the registry. */
  note(change: Told): void {
    this.#follows.note(change);
  }

  stop(): void {
    this.#follows.stop();
  }

  /**
   * @param reset whether what the reader was told before is void
   * @param follows whether that there is nothing yet is an answer
   * @throws HearsayError the registry's refusal
   */
  #answer({ kind, text }: Question, link: Link, reset: boolean, follows: boolean): Iterable<Page> {
    const found = this.#registry.lookup(kind, text);
    const reader = { ...this.#reader(link), knows: false };
    // Who has parts of what changes all the time, and is told to those who fetch it.
    if (!('code' in found)) return pagesOf(kind === LOOKUP.all ? whole(found) : found, reader, reset);
    const isMissing = found.code === 'unknown-file' || found.code === 'unknown-peer';
    if (!follows || !isMissing) throw new HearsayError(found.code, found.message);
    return pagesOf([], reader, reset);
  }

  #reader(link: Link): Omit<Reader, 'knows'> {
    return { local: isLoopback(link.address.host), peer: (id) => this.#registry.get(id) };
  }
}

function* whole(found: Iterable<Found>): Generator<Found, void, undefined> {
  for (const piece of found) if (piece.have.length === 0) yield piece;
}

function* numbered(pages: Iterable<Page>, number: number): Generator<MessageOf<'f'>, void, undefined> {
  for (const page of pages) yield { ...page, number };
}
