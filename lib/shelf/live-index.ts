/**
 * The index: all offers of all live peers, merged.
 * Owns which shelves are shown, and how much there is in all. Always true: it shows exactly the shelves that were shown and not
 * hidden, of each writer one for everyone and one that is told aside; showing and hiding one costs the same whatever is on it.
 * Gossip writes it; everyone else reads it.
 */
import type { PeerId } from '../ids.js';
import type { PeerOffer } from '../offer.js';
import { contentOf } from './contents.js';
import { keyOf } from './rows.js';
import type { Shelf } from './shelf.js';

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
  /** All shelves that are shown: those for everyone, and those that are told aside. */
  shelves(): Iterable<Shelf>;
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

/** What a shelf counted when it was last told of. */
interface Counted {
  size: number;
  load: number;
}

export class LiveIndex implements Index {
  readonly #shelves = new Map<PeerId, Shelf>();
  /** Of the same writers, the offers that are not for everyone. */
  readonly #asides = new Map<PeerId, Shelf>();
  readonly #counted = new Map<Shelf, Counted>();
  #size = 0;
  #load = 0;

  get size(): number {
    return this.#size;
  }

  get load(): number {
    return this.#load;
  }

  *[Symbol.iterator](): Iterator<PeerOffer> {
    for (const shelf of this.shelves()) yield* shelf.offers();
  }

  *shelves(): Generator<Shelf, void, undefined> {
    yield* this.#shelves.values();
    yield* this.#asides.values();
  }

  get(peer: PeerId, path: string): PeerOffer | undefined {
    return this.#shelves.get(peer)?.get(path) ?? this.#asides.get(peer)?.get(path);
  }

  byPath(path: string): PeerOffer[] {
    return [...at(this.#shelves, path), ...at(this.#asides, path)];
  }

  byId(id: string): PeerOffer[] {
    return [...having(this.#shelves, id), ...having(this.#asides, id)];
  }

  *of(peer: PeerId): Iterable<PeerOffer> {
    yield* this.#shelves.get(peer)?.offers() ?? [];
    yield* this.#asides.get(peer)?.offers() ?? [];
  }

  isAside(id: string, path: string): boolean {
    const open = new Set([...having(this.#shelves, id)].map(({ peer }) => peer));
    for (const offer of having(this.#asides, id)) if (!open.has(offer.peer)) return true;
    for (const offer of at(this.#asides, path)) if (offer.id === null && !open.has(offer.peer)) return true;
    return false;
  }

  shows(peer: PeerId): boolean {
    return this.#shelves.has(peer);
  }

  isToldAside(peer: PeerId, path: string): boolean {
    return !this.#shelves.get(peer)?.get(path) && this.#asides.get(peer)?.get(path) !== undefined;
  }

  /**
   * Shows a shelf, in place of the same writer's earlier one if need be.
   * @param aside whether it is the writer's shelf of what is not for everyone
   */
  show(shelf: Shelf, aside = false): void {
    const shelves = this.#kind(aside);
    const before = shelves.get(shelf.writer);
    if (before) this.#uncount(before);
    if (before !== shelf) shelves.set(shelf.writer, shelf);
    const { count: size, load } = shelf;
    this.#counted.set(shelf, { size, load });
    this.#size += size;
    this.#load += load;
  }

  hide(writer: PeerId, aside = false): void {
    const shelves = this.#kind(aside);
    const shelf = shelves.get(writer);
    if (!shelf) return;
    this.#uncount(shelf);
    shelves.delete(writer);
  }

  #uncount(shelf: Shelf): void {
    const counted = this.#counted.get(shelf);
    if (!counted) return;
    this.#counted.delete(shelf);
    this.#size -= counted.size;
    this.#load -= counted.load;
  }

  #kind(aside: boolean): Map<PeerId, Shelf> {
    return aside ? this.#asides : this.#shelves;
  }
}

/** Every offer of a path. */
function* at(shelves: ReadonlyMap<PeerId, Shelf>, path: string): Generator<PeerOffer, void, undefined> {
  const key = keyOf(path);
  for (const shelf of shelves.values()) {
    const offer = shelf.at(key);
    if (offer) yield offer;
  }
}

/** Every offer of a content. */
function* having(shelves: ReadonlyMap<PeerId, Shelf>, id: string): Generator<PeerOffer, void, undefined> {
  const content = contentOf(id);
  for (const shelf of shelves.values()) yield* shelf.byId(content);
}
