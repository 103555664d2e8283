/**
 * Answers what others ask of the index: pulls and finds.
 *
 * Owns the questions of each link that are not answered. Always true: a link has at most REQUESTS_PER_CONNECTION_MAX of them, with
 * NAMES_MAX characters; they are answered in fair turns. Called by the peer's switch.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { asHearsayError, HearsayError } from '../errors.js';
import type { Gossip } from '../gossip/gossip.js';
import { NAMES_MAX, REQUESTS_PER_CONNECTION_MAX } from '../limits.js';
import type { Link } from '../net/link.js';
import type { Catalogue } from '../share/catalogue.js';
import type { Message } from '../wire/table.js';
import type { Asides } from './asides.js';
import { ASK } from './asker.js';
import { Paging } from './paging.js';

/** What a link asked and is not answered yet. */
interface Desk {
  /** By the number of the question; aborted when nobody wants its answer any more. */
  open: Map<number, AbortController>;
  /** Questions that are open, those of one number too, and the characters in them. */
  count: number;
  characters: number;
}

type Question = Extract<Message, { type: 'P' | 'F' }>;

/** How long an answer waits for the first scan of what is shared, ms: less than the asker waits for an answer. */
const SCAN_WAIT = 1500;

export class Answerer {
  readonly #gossip: Gossip;
  readonly #catalogue: Catalogue | undefined;
  readonly #asides: Asides | undefined;
  readonly #desks = new Map<Link, Desk>();
  readonly #paging = new Paging();

  /** @param asides without them nothing is for some only */
  constructor(gossip: Gossip, catalogue: Catalogue | undefined, asides?: Asides) {
    this.#gossip = gossip;
    this.#catalogue = catalogue;
    this.#asides = asides;
  }

  /** Answers in its own time; what goes wrong is an answer too. */
  take(link: Link, message: Question): void {
    const desk = this.#desks.get(link) ?? { open: new Map(), count: 0, characters: 0 };
    const characters = message.type === 'F' ? message.text.length : message.buckets.length;
    if (desk.count >= REQUESTS_PER_CONNECTION_MAX || desk.characters + characters > NAMES_MAX) {
      this.#refuse(link, message, new HearsayError('limit', 'too many questions at once'));
      return;
    }
    this.#desks.set(link, desk);
    desk.count++;
    desk.characters += characters;
    const abort = new AbortController();
    desk.open.set(message.number, abort);
    this.#answer(link, message, abort.signal)
      .catch((thrown) => this.#refuse(link, message, thrown))
      .finally(() => {
        desk.characters -= characters;
        if (desk.open.get(message.number) === abort) desk.open.delete(message.number);
        if (--desk.count === 0) this.#desks.delete(link);
      });
  }

  /** Nobody wants this answer any more. */
  cancel(link: Link, number: number): void {
    this.#desks.get(link)?.open.get(number)?.abort();
  }

  /** Questions that are not answered yet, of all links. */
  get size(): number {
    let size = 0;
    for (const { count } of this.#desks.values()) size += count;
    return size;
  }

  #refuse(link: Link, { number }: Question, thrown: unknown): void {
    const { code, message } = asHearsayError(thrown);
    link.send({ type: 'E', number, code, id: null, message: message.slice(0, 100).toWellFormed() });
  }

  async #answer(link: Link, message: Question, signal: AbortSignal): Promise<void> {
    const { peer } = link;
    if (message.type === 'P') {
      if (message.writer === this.#asides?.writer) this.#asides.asked(link);
      const begin = () => {
        const pages = this.#gossip.answerPull(message);
        if ('code' in pages) throw new HearsayError('not-found', 'nothing is known of that peer');
        return pages;
      };
      return this.#paging.send(link, begin, signal);
    }
    // One who asks while the shares are still being looked through for the first time wants to know of them all.
    await Promise.race([this.#catalogue?.scanned, delay(SCAN_WAIT, undefined, { ref: false })]);
    await this.#asides?.decided(peer);
    const sees = (path: string): boolean => this.#asides?.sees(peer, path) ?? true;
    if (message.kind === ASK.hashed && sees(message.text)) await this.#hashFirst(message.text);
    // For one whom nothing of it is for, it is not even looked through: the time would tell how much there is.
    const some = this.#asides?.seesAny(peer) ? sees : undefined;
    return this.#paging.send(link, () => this.#gossip.answerFind(message, some), signal);
  }

  async #hashFirst(path: string): Promise<void> {
    if (this.#catalogue?.find(path)?.id !== null) return;
    await this.#catalogue.hashNow(path);
  }
}
