/**
 * Answers what others ask of the index: pulls and finds.
 *
 * Owns nothing but the turns of its answers. Always true: questions are answered in fair turns. Called by the peer's switch.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { HearsayError } from '../errors.js';
import type { Gossip } from '../gossip/gossip.js';
import type { Link } from '../net/link.js';
import type { Offer } from '../offer.js';
import type { Catalogue } from '../share/catalogue.js';
import { offerPages } from '../shelf/answers.js';
import type { Message, MessageOf } from '../wire/table.js';
import type { Asides } from './asides.js';
import { ASK } from './asker.js';
import { Desks } from './desks.js';
import { Paging } from './paging.js';
import type { Parcels } from './parcels.js';

type Question = Extract<Message, { type: 'P' | 'b' | 'F' }>;

/** How long an answer waits for the first scan of what is shared, ms: less than the asker waits for an answer. */
const SCAN_WAIT = 1500;

/** One writer of a digest. */
const KNOWN_BYTES = 50;

export class Answerer {
  readonly #gossip: Gossip;
  readonly #catalogue: Catalogue | undefined;
  readonly #asides: Asides | undefined;
  readonly #parcels: Parcels | undefined;
  readonly #desks = new Desks();
  readonly #paging = new Paging();

  /** @param asides without them nothing is for some only; without `parcels` nothing is sent */
  constructor(gossip: Gossip, catalogue: Catalogue | undefined, asides?: Asides, parcels?: Parcels) {
    this.#gossip = gossip;
    this.#catalogue = catalogue;
    this.#asides = asides;
    this.#parcels = parcels;
  }

  /** Answers in its own time; what goes wrong is an answer too. */
  take(link: Link, message: Question): void {
    const characters = sizeOf(message);
    this.#desks.take(link, message.number, characters, (signal) => this.#answer(link, message, signal));
  }

  /** Nobody wants this answer any more. */
  cancel(link: Link, number: number): void {
    this.#desks.cancel(link, number);
  }

  /** Questions that are not answered yet, of all links. */
  get size(): number {
    return this.#desks.size;
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
    if (message.type === 'b') {
      if (message.known.some(({ writer }) => writer === this.#asides?.writer)) this.#asides?.asked(link);
      return this.#paging.send(link, () => this.#gossip.answerDigest(message), signal);
    }
    if (message.kind === ASK.parcel || message.kind === ASK.parcelHashed) return this.#parcel(link, message, signal);
    // One who asks while the shares are still being looked through for the first time wants to know of them all.
    await Promise.race([this.#catalogue?.scanned, delay(SCAN_WAIT, undefined, { ref: false })]);
    await this.#asides?.decided(peer);
    const sees = (path: string): boolean => this.#asides?.sees(peer, path) ?? true;
    if (message.kind === ASK.hashed && sees(message.text)) await this.#hashFirst(message.text);
    // For one whom nothing of it is for, it is not even looked through: the time would tell how much there is.
    const some = this.#asides?.seesAny(peer) ? sees : undefined;
    return this.#paging.send(link, () => this.#gossip.answerFind(message, some), signal);
  }

  /** Tells a receiver what is in a parcel. */
  async #parcel(link: Link, { number, kind, text }: MessageOf<'F'>, signal: AbortSignal): Promise<void> {
    const offers = () => {
      if (!this.#parcels) throw new HearsayError('not-found', 'nothing is sent from here');
      return this.#parcels.offers(link.peer, text);
    };
    // Only for one who may have it is anything read.
    offers();
    // Those who receive it together have to know what it is, to exchange it.
    if (kind === ASK.parcelHashed || this.#parcels?.isForMany(text)) await this.#parcels?.hash({ name: text });
    return this.#paging.send(link, () => parcelPages(number, offers()), signal);
  }

  async #hashFirst(path: string): Promise<void> {
    if (this.#catalogue?.find(path)?.id !== null) return;
    await this.#catalogue.hashNow(path);
  }
}

/** What a question takes while it waits, in characters. */
function sizeOf(message: Question): number {
  if (message.type === 'F') return message.text.length;
  return message.type === 'P' ? message.buckets.length : message.known.length * KNOWN_BYTES;
}

function* parcelPages(number: number, offers: Offer[]): Generator<MessageOf<'I'>> {
  for (const page of offerPages(offers)) yield { type: 'I', number, ...page, aside: true };
}
