/**
 * The links over which something was said to the tracker.
 *
 * Owns the number of each, by which the registry calls it. Always true: a number is never used again; who does not read what it
 * is sent is cut off, or has the latest answer waiting for it and nothing else. Called by the tracker.
 */
import { HearsayError } from '../errors.js';
import { TokenBucket } from '../gossip/pace.js';
import type { PeerId } from '../ids.js';
import { Latest } from '../latest.js';
import { HOLD_BYTES_PER_SECOND, SUMMONED_MAX } from '../limits.js';
import type { Link } from '../net/link.js';
import type { LinkNo } from '../tracker/events.js';
import type { Message, MessageOf } from '../wire/table.js';

export interface Client {
  readonly no: LinkNo;
  readonly link: Link;
  /** When the registry was told last that something came from it, `performance.now()`. */
  heardAt: number;
  /** Whether its offers, as far as they were known then, were put into the registry. */
  isFed: boolean;
  /** What waits until it reads. */
  joined: MessageOf<'Z'> | undefined;
  /** How often it may have others asked to dial it. */
  readonly summons: TokenBucket;
  /** Bytes of bit sets that what it reports may still come to. */
  readonly holds: TokenBucket;
}

/** Requests of one peer, in a second, that others dial it. */
const SUMMONS_PER_SECOND = 20;
/** The same of all of one address to one other, which follows a few in a second. */
const SUMMONS_OF_ADDRESS = 2;

/** Says something small: who does not read is cut off before it costs much. */
export function say(link: Link, message: Message): void {
  if (link.hears) link.send(message);
  else link.cut(new HearsayError('limit', 'the other side does not read what it asked for'));
}

export class Clients {
  readonly #byLink = new Map<Link, Client>();
  readonly #byNo = new Map<LinkNo, Client>();
  /** How often those of an address may have one peer asked, by both. */
  readonly #summoned: Latest<string, TokenBucket>;
  #last: LinkNo = 0;

  /** @param summoned pairs of an address and a peer that are remembered */
  constructor(summoned = SUMMONED_MAX) {
    this.#summoned = new Latest(summoned);
  }

  /** Pairs of an address and a peer that are remembered. */
  get summoned(): number {
    return this.#summoned.size;
  }

  get size(): number {
    return this.#byLink.size;
  }

  /** Whether a client may have a peer asked to dial it now. */
  maySummon({ link, summons }: Client, peer: PeerId): boolean {
    const at = performance.now();
    const key = `${link.address.host} ${peer}`;
    const both = this.#summoned.get(key) ?? new TokenBucket(SUMMONS_OF_ADDRESS);
    this.#summoned.set(key, both);
    return summons.take(at) && both.take(at);
  }

  /** The client of a link that said something before. */
  get(link: Link): Client | undefined {
    return this.#byLink.get(link);
  }

  byNo(no: LinkNo): Client | undefined {
    return this.#byNo.get(no);
  }

  of(link: Link): Client {
    const known = this.#byLink.get(link);
    if (known) return known;
    const summons = new TokenBucket(SUMMONS_PER_SECOND);
    const client: Client = {
      no: ++this.#last,
      link,
      heardAt: performance.now(),
      isFed: false,
      joined: undefined,
      summons,
      holds: new TokenBucket(HOLD_BYTES_PER_SECOND),
    };
    this.#byLink.set(link, client);
    this.#byNo.set(client.no, client);
    return client;
  }

  /** A link has ended. @returns who it was */
  remove(link: Link): Client | undefined {
    const client = this.#byLink.get(link);
    if (!client) return undefined;
    this.#byLink.delete(link);
    this.#byNo.delete(client.no);
    return client;
  }

  /** Sends one the word that it is registered, as soon as it reads: the latest counts. */
  join(client: Client, message: MessageOf<'Z'>): void {
    const isWaiting = client.joined !== undefined;
    client.joined = message;
    if (isWaiting) return;
    const { link } = client;
    const send = () => {
      if (client.joined) link.send(client.joined);
      client.joined = undefined;
    };
    if (link.writable) send();
    else void link.whenWritable().then(send);
  }
}
