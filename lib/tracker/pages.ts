/**
 * Pages: what a registry found, cut into messages.
 * Pure functions. Always true: a page fits its message's limits; every peer whose offers are told comes with its own signed
 * words in the same or an earlier page, unless the reader has them; an address is told only to whom it means the same.
 * Called by the tracker's driver.
 */
import { isThisHost } from '../endpoint.js';
import type { PeerId } from '../ids.js';
import { ADDRESSES_MAX, NEIGHBOURS_MAX, OFFERS_PER_PAGE, PAGE_BYTES } from '../limits.js';
import type { PeerOffer } from '../offer.js';
import type { MessageOf, Neighbour } from '../wire/table.js';
import type { Found, Holding, Registered } from './events.js';

/** A page without the number of its question. */
export type Page = Omit<MessageOf<'f'>, 'number'>;

/** Something found, or changed: an offer may be a tombstone, and peers may be gone. Where nothing is in it: others may have a turn. */
export interface Piece extends Found {
  gone?: readonly PeerId[];
}

/** Who reads. */
export interface Reader {
  /** Whether it is on this host, so that loopback means the same to it. */
  local: boolean;
  /** Whether it has every peer's words already. */
  knows: boolean;
  /** What is registered; undefined for one that is not any more, whose offers are left out. */
  peer(id: PeerId): Registered | undefined;
}

/** Bytes on the wire at most, without what is of variable length. */
const OFFER_BYTES = 68;
const WRITER_BYTES = 36;
const NEIGHBOUR_BYTES = 16;
const HAVE_BYTES = 80;
const GONE_BYTES = 28;

/** A registered peer as others are told of it. */
export function neighbourOf({ head, sig, reachable }: Registered, local: boolean): Neighbour {
  // A zone means something on one host only, and so does loopback.
  const addresses = reachable.filter((address) => local || !(address.includes('%') || isThisHost(address)));
  return { head, sig, addresses: addresses.slice(0, ADDRESSES_MAX) };
}

function bytesOf({ head, sig, addresses }: Neighbour): number {
  return NEIGHBOUR_BYTES + head.length + sig.length + addresses.reduce((sum, { length }) => sum + length + 2, 0);
}

class Draft {
  readonly peers: Neighbour[] = [];
  readonly #offers = new Map<PeerId, PeerOffer[]>();
  readonly #have: Page['have'] = [];
  readonly #gone: PeerId[] = [];
  #offerCount = 0;
  #bytes = 0;

  /** Whether so many bytes more fit in, of one thing; the first thing always does. */
  fits(bytes: number): boolean {
    const { length } = this.peers;
    const most = NEIGHBOURS_MAX;
    if (length >= most || this.#have.length >= most || this.#gone.length >= most) return false;
    // Each writer counts as an offer, so that the items of a page stay within its message's limit.
    if (this.#offerCount + this.#offers.size + 2 > OFFERS_PER_PAGE) return false;
    return this.#bytes === 0 || this.#bytes + bytes <= PAGE_BYTES;
  }

  addPeer(peer: Neighbour, bytes: number): void {
    this.peers.push(peer);
    this.#bytes += bytes;
  }

  addOffer(offer: PeerOffer, bytes: number): void {
    const of = this.#offers.get(offer.peer);
    if (of) of.push(offer);
    else this.#offers.set(offer.peer, [offer]);
    this.#offerCount++;
    this.#bytes += bytes;
  }

  addHave({ peer, id, chunks, bits }: Holding, bytes: number): void {
    this.#have.push({ peer, id, chunks, bits });
    this.#bytes += bytes;
  }

  addGone(id: PeerId): void {
    this.#gone.push(id);
    this.#bytes += GONE_BYTES;
  }

  page(reset: boolean, last: boolean): Page {
    const offers = [...this.#offers].map(([peer, of]) => ({ peer, offers: of }));
    return { type: 'f', reset, peers: this.peers, offers, have: this.#have, gone: this.#gone, last };
  }
}

/**
 * Cuts what was found into pages, as it is found. Always gives one page at least, and knows of each whether it is the last;
 * an empty page that is not the last says nothing but that others may have a turn.
 * @param reset whether what the reader was told before is void with the first page
 */
export function* pagesOf(pieces: Iterable<Piece>, reader: Reader, reset: boolean): Generator<Page, void, undefined> {
  const told = new Set<PeerId>();
  let draft = new Draft();
  let first = reset;
  const full = (last = false): Page => {
    const page = draft.page(first, last);
    draft = new Draft();
    first = false;
    return page;
  };
  /** The words of a peer, where they have to go before what follows. */
  const missing = (id: PeerId): Registered | undefined => (told.has(id) ? undefined : reader.peer(id));

  for (const { gone = [], peers, offers, have } of pieces) {
    if (gone.length + peers.length + offers.length + have.length === 0) {
      yield new Draft().page(false, false);
      continue;
    }
    for (const id of gone) {
      if (!draft.fits(GONE_BYTES)) yield full();
      draft.addGone(id);
      told.delete(id);
    }
    // Who is gone and here again is first gone.
    if (gone.length > 0) yield full();
    for (const peer of peers) {
      if (told.has(peer.id)) continue;
      const neighbour = neighbourOf(peer, reader.local);
      const bytes = bytesOf(neighbour);
      if (!draft.fits(bytes)) yield full();
      draft.addPeer(neighbour, bytes);
      told.add(peer.id);
    }
    for (const item of [...offers, ...have]) {
      const writer = reader.knows ? undefined : missing(item.peer);
      if (!writer && !told.has(item.peer) && !reader.peer(item.peer)) continue;
      const words = writer && neighbourOf(writer, reader.local);
      const isOffer = 'path' in item;
      const own = isOffer ? OFFER_BYTES + WRITER_BYTES + Buffer.byteLength(item.path) : HAVE_BYTES + item.bits.length;
      const ahead = words ? bytesOf(words) : 0;
      if (!draft.fits(own + ahead)) yield full();
      if (words) {
        draft.addPeer(words, ahead);
        told.add(item.peer);
      }
      if (isOffer) draft.addOffer(item, own);
      else draft.addHave(item, own);
    }
  }
  yield full(true);
}
