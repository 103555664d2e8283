/**
 * The index: all offers of all live peers, merged.
 * Owns the lookups by path and by content id. Always true: it shows exactly the shelves that were shown and not hidden, of
 * each writer one for everyone and one that is told aside.
 * Gossip writes it; everyone else reads it.
 */
import type { PeerId } from '../ids.js';
import { loadOf, type PeerOffer } from '../offer.js';
import type { Shelf } from './shelf.js';
import type { Change } from './staging.js';

/** Reading the index. */
export interface Index extends Iterable<PeerOffer> {
  /** Offers in all, folders too. */
  readonly size: number;
  /** The room that they take: see `loadOf`. */
  readonly load: number;
  get(peer: PeerId, path: string): PeerOffer | undefined;
  /** Every peer's offer of one path. */
  byPath(path: string): PeerOffer[];
  /** Every offer of one content. @param id content id, 64 hexadecimal digits */
  byId(id: string): PeerOffer[];
  /** Every content id that is offered. */
  ids(): Iterable<string>;
  /** One peer's offers. */
  of(peer: PeerId): Iterable<PeerOffer>;
  /**
   * Whether one who offers a content, or what has no id yet at a path, to some only does not offer it to everyone as well, so that
   * it is not to be passed on. That another says he has it, proves nothing.
   */
  isAside(id: string, path: string): boolean;
  /** Whether all that a peer offers to everyone is in here. */
  shows(peer: PeerId): boolean;
  /** Whether a peer offers a path, and to some only. */
  isToldAside(peer: PeerId, path: string): boolean;
}

export class LiveIndex implements Index {
  readonly #shelves = new Map<PeerId, Shelf>();
  /** Of the same writers, the offers that are not for everyone. */
  readonly #asides = new Map<PeerId, Shelf>();
  /** One offer by itself where there is one only, since most contents are offered once. */
  readonly #ids = new Map<string, PeerOffer | Set<PeerOffer>>();
  #size = 0;
  #load = 0;

  get size(): number {
    return this.#size;
  }

  get load(): number {
    return this.#load;
  }

  *[Symbol.iterator](): Iterator<PeerOffer> {
    for (const shelf of this.#all()) yield* shelf.offers();
  }

  get(peer: PeerId, path: string): PeerOffer | undefined {
    return this.#shelves.get(peer)?.get(path) ?? this.#asides.get(peer)?.get(path);
  }

  byPath(path: string): PeerOffer[] {
    const out: PeerOffer[] = [];
    for (const shelf of this.#all()) {
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

  *of(peer: PeerId): Iterable<PeerOffer> {
    yield* this.#shelves.get(peer)?.offers() ?? [];
    yield* this.#asides.get(peer)?.offers() ?? [];
  }

  isAside(id: string, path: string): boolean {
    const isPublic = (offer: PeerOffer): boolean => this.#shelves.get(offer.peer)?.get(offer.path) === offer;
    const known = this.byId(id);
    const open = new Set(known.filter(isPublic).map(({ peer }) => peer));
    const unhashed = this.byPath(path).filter((offer) => offer.id === null);
    return [...known, ...unhashed].some((offer) => !isPublic(offer) && !open.has(offer.peer));
  }

  shows(peer: PeerId): boolean {
    return this.#shelves.has(peer);
  }

  isToldAside(peer: PeerId, path: string): boolean {
    return !this.#shelves.get(peer)?.get(path) && this.#asides.get(peer)?.get(path) !== undefined;
  }

  /**
   * Shows a shelf, in place of the same writer's earlier one if need be (`change` then tells the differences).
   * @param aside whether it is the writer's shelf of what is not for everyone
   */
  show(shelf: Shelf, aside = false): void {
    this.hide(shelf.writer, aside);
    this.#kind(aside).set(shelf.writer, shelf);
    for (const offer of shelf.offers()) this.#add(offer);
  }

  hide(writer: PeerId, aside = false): void {
    const shelves = this.#kind(aside);
    const shelf = shelves.get(writer);
    if (!shelf) return;
    for (const offer of shelf.offers()) this.#remove(offer);
    shelves.delete(writer);
  }

  /** A shown shelf changed, or another took its place. */
  change(shelf: Shelf, changes: readonly Change[], aside = false): void {
    this.#kind(aside).set(shelf.writer, shelf);
    for (const { before, after } of changes) {
      if (before) this.#remove(before);
      if (after) this.#add(after);
    }
  }

  #kind(aside: boolean): Map<PeerId, Shelf> {
    return aside ? this.#asides : this.#shelves;
  }

  *#all(): Generator<Shelf> {
    yield* this.#shelves.values();
    yield* this.#asides.values();
  }

  #add(offer: PeerOffer): void {
    this.#size++;
    this.#load += loadOf(offer);
    if (offer.id === null) return;
    const found = this.#ids.get(offer.id);
    if (!found) this.#ids.set(offer.id, offer);
    else if (found instanceof Set) found.add(offer);
    else this.#ids.set(offer.id, new Set([found, offer]));
  }

  #remove(offer: PeerOffer): void {
    this.#size--;
    this.#load -= loadOf(offer);
    if (offer.id === null) return;
    const found = this.#ids.get(offer.id);
    if (found === offer) this.#ids.delete(offer.id);
    else if (found instanceof Set) {
      found.delete(offer);
      if (found.size === 0) this.#ids.delete(offer.id);
    }
  }
}
