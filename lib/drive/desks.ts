/**
 * Questions that others asked over their links and that are not answered yet.
 *
 * Owns how many there are of each link. Always true: a link has at most REQUESTS_PER_CONNECTION_MAX of them, with NAMES_MAX
 * characters; what goes wrong is an answer too. Called by those who answer.
 */
import { asHearsayError, HearsayError } from '../errors.js';
import { NAMES_MAX, REQUESTS_PER_CONNECTION_MAX } from '../limits.js';
import type { Link } from '../net/link.js';

interface Desk {
  /** By the number of the question; aborted when nobody wants its answer any more. */
  open: Map<number, AbortController>;
  /** Questions that are open, those of one number too, and the characters in them. */
  count: number;
  characters: number;
}

/** Tells the other side why it gets no answer. */
export function refuse(link: Link, number: number, thrown: unknown): void {
  const { code, message } = asHearsayError(thrown);
  link.send({ type: 'E', number, code, id: null, message: message.slice(0, 100).toWellFormed() });
}

export class Desks {
  readonly #desks = new Map<Link, Desk>();

  /** Questions that are not answered yet, of all links. */
  get size(): number {
    let size = 0;
    for (const { count } of this.#desks.values()) size += count;
    return size;
  }

  /**
   * Takes a question, and answers it in its own time.
   * @param characters in the question
   * @param answer the signal is aborted by `cancel`; what it throws is told
   */
  take(link: Link, number: number, characters: number, answer: (signal: AbortSignal) => Promise<void>): void {
    const desk = this.#desks.get(link) ?? { open: new Map(), count: 0, characters: 0 };
    if (desk.count >= REQUESTS_PER_CONNECTION_MAX || desk.characters + characters > NAMES_MAX) {
      // Of one who does not read either, each would wait in memory.
      const why = new HearsayError('limit', 'too many questions at once');
      if (link.writable) refuse(link, number, why);
      else link.cut(why);
      return;
    }
    this.#desks.set(link, desk);
    desk.count++;
    desk.characters += characters;
    const abort = new AbortController();
    desk.open.set(number, abort);
    answer(abort.signal)
      .catch((thrown) => refuse(link, number, thrown))
      .finally(() => {
        desk.characters -= characters;
        if (desk.open.get(number) === abort) desk.open.delete(number);
        if (--desk.count === 0) this.#desks.delete(link);
      });
  }

  /** Nobody wants this answer any more. */
  cancel(link: Link, number: number): void {
    this.#desks.get(link)?.open.get(number)?.abort();
  }
}
