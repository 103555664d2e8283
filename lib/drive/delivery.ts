/**
 * The delivery of a parcel to one receiver: invites it, and follows what becomes of it.
 *
 * Owns the request that is open for it. Always true: it ends once; a connection that breaks is made again, and the parcel offered
 * again under its own name, as long as the receiver is here. Called by the send that it is a part of.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { asHearsayError, type Code, HearsayError, isCode } from '../errors.js';
import type { PeerId } from '../ids.js';
import { printable } from '../names.js';
import type { Link } from '../net/link.js';
import type { Item } from '../transfer/inbox.js';
import type { MessageOf } from '../wire/table.js';
import { errorOf, type Requests } from './requests.js';

/** A receiver that broke off is tried again for so long, ms. */
const AGAIN_MS = 15_000;
const AGAIN_FIRST_MS = 250;
const AGAIN_MOST_MS = 2000;

/** What a receiver may say of why it does not take something; anything else is only that it failed. */
const SAID: readonly Code[] = [
  ...([
    'refused',
    'exists',
    'busy',
    'disk-full',
    'not-writable',
    'in-the-way',
    'bad-name',
    'limit',
    'timeout',
  ] as const),
  ...(['cancelled', 'no-peer', 'unreachable', 'wrong-content', 'changed', 'not-found', 'not-readable'] as const),
];

export interface DeliveryParts {
  requests: Requests;
  connect(peer: PeerId): Promise<Link>;
  isHere(peer: PeerId): boolean;
}

export interface DeliveryEvents {
  asked(): void;
  /** Also where it is said again over another connection. */
  accepted(link: Link): void;
  progress(bytes: number): void;
  /** `message`: what a person should know of it, or nothing. */
  done(message: string): void;
  failed(error: HearsayError): void;
}

export class Delivery {
  readonly #parts: DeliveryParts;
  readonly #peer: PeerId;
  readonly #parcel: string;
  readonly #items: () => Item[];
  readonly #events: DeliveryEvents;
  readonly #abort = new AbortController();
  #open: { link: Link; number: number } | undefined;
  #over = false;

  /** @param items what the invitation says, as it is when it is sent */
  constructor(parts: DeliveryParts, peer: PeerId, parcel: string, items: () => Item[], events: DeliveryEvents) {
    this.#parts = parts;
    this.#peer = peer;
    this.#parcel = parcel;
    this.#items = items;
    this.#events = events;
  }

  /** The connection and the number under which it is offered now. */
  get open(): { link: Link; number: number } | undefined {
    return this.#open;
  }

  /** Resolves when it is over, whatever came of it. */
  async run(): Promise<void> {
    let lostAt: number | undefined;
    let wait = AGAIN_FIRST_MS;
    while (!this.#over) {
      let why: HearsayError;
      try {
        const link = await this.#parts.connect(this.#peer);
        if (this.#over) return;
        const began = performance.now();
        why = await this.#offer(link);
        // One that held for a while is as good as the first.
        if (performance.now() - began > AGAIN_MS) lostAt = undefined;
      } catch (thrown) {
        why = asHearsayError(thrown, 'unreachable');
        // To be unreachable is found out by trying every way; two who dial each other only lose a connection.
        if (lostAt === undefined && why.code === 'unreachable') return this.#fail(why);
      }
      if (this.#over) return;
      const now = performance.now();
      lostAt ??= now;
      if (!this.#parts.isHere(this.#peer)) return this.#fail(new HearsayError('no-peer', 'it has left'));
      if (now - lostAt >= AGAIN_MS) return this.#fail(new HearsayError('unreachable', `it broke off: ${why.message}`));
      await delay(wait, undefined, { signal: this.#abort.signal }).catch(() => {});
      wait = Math.min(2 * wait, AGAIN_MOST_MS);
    }
  }

  /** Takes it back where it is not over; tells one that has it that no more of it is wanted. */
  withdraw(error: HearsayError): void {
    this.#tell();
    this.#fail(error);
  }

  /** Follows it no more. */
  leave(error: HearsayError): void {
    this.#fail(error);
  }

  /** The whole send is over: the receiver need not serve others any more. */
  release(): void {
    this.#tell();
  }

  #tell(): void {
    if (this.#open?.link.open) this.#open.link.send({ type: 'X', number: this.#open.number });
  }

  /** Offers it over a connection; resolves with why the connection ended, or when all is over. */
  #offer(link: Link): Promise<HearsayError> {
    return new Promise((resolve) => {
      const end = (why: HearsayError) => {
        this.#abort.signal.removeEventListener('abort', over);
        resolve(why);
      };
      const over = () => end(new HearsayError('cancelled', 'it is over'));
      const number = this.#parts.requests.open(link, {
        answer: (message) => {
          if (message.type === 'v') this.#verdict(link, message);
          else if (message.type === 'E') this.#fail(errorOf(message));
        },
        closed: (why) => {
          this.#open = undefined;
          end(why);
        },
      });
      this.#open = { link, number };
      this.#abort.signal.addEventListener('abort', over);
      link.send({ type: 'i', number, parcel: this.#parcel, items: this.#items() });
    });
  }

  #verdict(link: Link, { state, bytes, code, message }: MessageOf<'v'>): void {
    if (this.#over) return;
    const text = printable(message);
    if (state === 0) this.#events.asked();
    else if (state === 1) this.#events.accepted(link);
    else if (state === 2) this.#events.progress(bytes);
    else if (state === 3) this.#end(() => this.#events.done(text));
    else {
      const said = isCode(code) && SAID.includes(code) ? code : 'failed';
      this.#fail(new HearsayError(said, text || 'it did not say why'));
    }
  }

  #fail(error: HearsayError): void {
    this.#end(() => this.#events.failed(error));
  }

  #end(tell: () => void): void {
    if (this.#over) return;
    this.#over = true;
    if (this.#open) this.#parts.requests.close(this.#open.link, this.#open.number);
    tell();
    this.#abort.abort();
  }
}
