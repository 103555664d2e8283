/**
 * The index: all offers of all live peers, merged.
 * Owns the lookups by path and by content id. Always true: it shows exactly the shelves that were shown and not hidden.
 * Gossip writes it; everyone else reads it.
 */
import type { PeerId } from '../ids.js';
import type { PeerOffer } from '../offer.js';
import type { Shelf } from './shelf.js';
import type { Change } from './staging.js';

/** Reading the index. */
export interface Index extends Iterable<PeerOffer> {
  /** Offers in all, folders too. */
  readonly size: number;
  get(peer: PeerId, path: string): PeerOffer | undefined;
  /** Every peer's offer of one path. */
  byPath(path: string): PeerOffer[];
  /** Every offer of one content. @param id content id, 64 hexadecimal digits */
  byId(id: string): PeerOffer[];
  /** Every content id that is offered. */
  ids(): Iterable<string>;
  /** One peer's offers. */
  of(peer: PeerId): Iterable<PeerOffer>;
}

export class LiveIndex implements Index {
  readonly #shelves = new Map<PeerId, Shelf>();
  /** One offer by itself where there is one only, since most contents are offered once. */
  readonly #ids = new Map<string, PeerOffer | Set<PeerOffer>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  *[Symbol.iterator](): Iterator<PeerOffer> {
    for (const shelf of this.#shelves.values()) yield* shelf.offers();
  }

  get(peer: PeerId, path: string): PeerOffer | undefined {
    return this.#shelves.get(peer)?.get(path);
  }

  byPath(path: string): PeerOffer[] {
    const out: PeerOffer[] = [];
    for (const shelf of this.#shelves.values()) {
      const offer = shelf.get(path);
      if (offer) out.push(offer);
    }
    return out;
  }

  byId(id: string): PeerOffer[] {
    const found = this.#ids.get(id);
    if (!found) return [];
    return found instanceof Set ? [...found] : [found];
  }

  ids(): Iterable<string> {
    return this.#ids.keys();
  }

  of(peer: PeerId): Iterable<PeerOffer> {
    return this.#shelves.get(peer)?.offers() ?? [];
  }

  /** Shows a shelf, in place of the same writer's earlier one if need be (`change` then tells the differences). */
  show(shelf: Shelf): void {
    this.hide(shelf.writer);
    this.#shelves.set(shelf.writer, shelf);
    for (const offer of shelf.offers()) this.#add(offer);
  }

  hide(writer: PeerId): void {
    const shelf = this.#shelves.get(writer);
    if (!shelf) return;
    for (const offer of shelf.offers()) this.#remove(offer);
    this.#shelves.delete(writer);
  }

  /** A shown shelf changed, or another took its place. */
  change(shelf: Shelf, changes: readonly Change[]): void {
    this.#shelves.set(shelf.writer, shelf);
    for (const { before, after } of changes) {
      if (before) this.#remove(before);
      if (after) this.#add(after);
    }
  }

  #add(offer: PeerOffer): void {
    this.#size++;
    if (offer.id === null) return;
    const found = this.#ids.get(offer.id);
    if (!found) this.#ids.set(offer.id, offer);
    else if (found instanceof Set) found.add(offer);
    else this.#ids.set(offer.id, new Set([found, offer]));
  }

  #remove(offer: PeerOffer): void {
    this.#size--;
    if (offer.id === null) return;
    const found = this.#ids.get(offer.id);
    if (found === offer) this.#ids.delete(offer.id);
    else if (found instanceof Set) {
      found.delete(offer);
      if (found.size === 0) this.#ids.delete(offer.id);
    }
  }
}
