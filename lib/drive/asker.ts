/**
 * How a one-shot learns what there is: it asks every peer that answers, and is done when all have and it has been quiet.
 *
 * Owns who was asked what. Always true: each peer is asked each question once. Called by the peer, when passive.
 */
import { HearsayError } from '../errors.js';
import type { PeerId } from '../ids.js';
import { ANSWER_MOST_MS, HITS_MAX } from '../limits.js';
import type { Link } from '../net/link.js';
import { type Offer, sumOfLoads } from '../offer.js';
import type { Requests } from './requests.js';

/** Kinds of a find, as on the wire. The last two are not asked around: what is in a parcel, and the same once it is hashed. */
export const ASK = { all: 0, what: 1, pattern: 2, words: 3, hashed: 4, parcel: 5, parcelHashed: 6 } as const;

/** Something to be learned of all who are here. */
export interface Question {
  /** One of ASK, or what only a tracker can be asked. */
  kind: number;
  text: string;
  /** Where only some are to be asked, by names, ids or beginnings of ids: what is wanted of them is not everybody's business. */
  from?: readonly string[] | undefined;
}

/** Nobody new and no answer for so long, ms: everybody who is here has spoken. */
const QUIET = 300;
/** A peer that sends nothing for so long has not answered, ms. */
const ANSWER_MS = 5000;

export interface AskerOptions {
  requests: Requests;
  connect(peer: PeerId): Promise<Link>;
  /** Live peers. */
  peers(): PeerId[];
  /** Whether a peer is one of those that a person named. */
  isNamed(peer: PeerId, from: readonly string[]): boolean;
  /** @param aside whether they are for some only */
  found(peer: PeerId, offers: Offer[], last: boolean, aside: boolean): void;
  /** Whether something is still under way that may bring a peer: a joined host that is being dialled. */
  pending(): boolean;
}

/** Others that are asked the same elsewhere. */
export interface AskedBeside {
  /** How many have not answered. */
  readonly open: number;
  /** When something came last, `performance.now()`. */
  readonly newsAt: number;
}

export class Asker {
  readonly #options: AskerOptions;
  readonly #questions: Question[] = [];
  readonly #asked = new Set<string>();
  #open = 0;
  #lastNews = performance.now();
  /** Whether the whole wait has passed once: whoever did not come then is not waited for again. */
  #waited = false;

  constructor(options: AskerOptions) {
    this.#options = options;
  }

  /** A peer came. */
  came(peer: PeerId): void {
    this.#lastNews = performance.now();
    for (const question of this.#questions) this.#ask(peer, question);
  }

  /**
   * Asks everybody who is here or comes, or those who are meant.
   * @param questions none to learn only who is here
   * @param most ms at most
   * @param beside others that are waited for as well
   * @returns when all who are here have answered and nobody new came for a while, or `most` has passed
   */
  async ask(questions: Question[], most: number, signal?: AbortSignal, beside?: AskedBeside): Promise<void> {
    const began = performance.now();
    const wait = this.#waited ? Math.min(most, QUIET) : most;
    for (const question of questions) {
      this.#questions.push(question);
      for (const peer of this.#options.peers()) this.#ask(peer, question);
    }
    for (;;) {
      signal?.throwIfAborted();
      const at = performance.now();
      const here = this.#options.peers().length > 0;
      const news = Math.max(this.#lastNews, beside?.newsAt ?? 0);
      const open = this.#open + (beside?.open ?? 0);
      const quiet = at - Math.max(news, began) >= QUIET;
      if (here && quiet && open === 0 && !this.#options.pending()) return;
      // While answers are coming in, a long listing may take longer than the wait for peers.
      if (at - began >= wait && (open === 0 || at - news > ANSWER_MS)) {
        this.#waited = true;
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /**
   * Asks one peer.
   * @returns what it offers; of one that says too much, or too slowly, what came is in the index all the same
   * @throws HearsayError why it did not answer: `bad-message` or `limit` where its answer has no end
   */
  async askOne(peer: PeerId, question: Question, signal?: AbortSignal, timeout = ANSWER_MS): Promise<Offer[]> {
    const link = await this.#options.connect(peer);
    const all: Offer[] = [];
    let load = 0;
    await this.#options.requests.gather(
      link,
      (number) => ({ type: 'F', number, kind: question.kind, text: question.text }),
      (page) => {
        if (page.type !== 'I') throw new HearsayError('bad-message', `${page.type} in answer to a find`);
        if (page.offers.length === 0 && !page.last) throw new HearsayError('bad-message', 'a page with nothing on it');
        load += sumOfLoads(page.offers);
        if (load > HITS_MAX) throw new HearsayError('limit', `over ${HITS_MAX} offers`);
        this.#lastNews = performance.now();
        this.#options.found(peer, page.offers, page.last, page.aside);
        all.push(...page.offers);
        return page.last;
      },
      timeout,
      signal,
      timeout + ANSWER_MOST_MS,
    );
    return all;
  }

  #ask(peer: PeerId, question: Question): void {
    if (question.kind > ASK.hashed || (question.from && !this.#options.isNamed(peer, question.from))) return;
    const key = `${peer} ${question.kind} ${question.text}`;
    if (this.#asked.has(key)) return;
    this.#asked.add(key);
    this.#open++;
    this.askOne(peer, question)
      .catch(() => {
        // Who does not answer has nothing to tell.
      })
      .finally(() => {
        this.#open--;
        this.#lastNews = performance.now();
      });
  }
}
