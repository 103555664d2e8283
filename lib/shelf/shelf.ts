/**
 * The shelf: all that is known of one writer's offers.
 * Owns the live offers by path, the tombstones, the log that puts both in the order of their versions, and the bucket tree.
 * Always true: of one path the highest version is kept, live or tombstone; every tombstone above `floor` is there, so a
 * delta since any version from `floor` on can be given; the tree holds exactly the live offers.
 * Called by the own log (which writes) and by staging (which applies what others wrote, and undoes it).
 */
import type { PeerId } from '../ids.js';
import { TOMBSTONES_MAX } from '../limits.js';
import { isFile, loadOf, type Offer, type PeerOffer } from '../offer.js';
import { Tree } from './tree.js';

/** A head as packed, and its writer's signature. */
export interface Proof {
  head: Uint8Array;
  sig: Uint8Array;
}

export class Shelf {
  readonly writer: PeerId;
  epoch: number;
  /** The newest version that is in here. */
  version = 0;
  /** Tombstones up to this version may be missing. */
  floor = 0;
  /** The signed head that this state was checked against; none on my own shelf, whose head is signed on demand. */
  proof: Proof | undefined;
  readonly tree = new Tree<PeerOffer>();
  readonly #live = new Map<string, PeerOffer>();
  /** In the order of their versions, so that the oldest is the first. */
  readonly #graves = new Map<string, PeerOffer>();
  /** Everything ever put in the order of versions; what was superseded is skipped, and dropped when it is half. */
  #log: PeerOffer[] = [];
  #files = 0;
  #bytes = 0;
  #load = 0;

  constructor(writer: PeerId, epoch: number) {
    this.writer = writer;
    this.epoch = epoch;
  }

  /** Live offers, folders too. */
  get count(): number {
    return this.#live.size;
  }

  /** The room that the live offers take: see `loadOf`. */
  get load(): number {
    return this.#load;
  }

  get files(): number {
    return this.#files;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get(path: string): PeerOffer | undefined {
    return this.#live.get(path);
  }

  offers(): IterableIterator<PeerOffer> {
    return this.#live.values();
  }

  /** What is kept of a path, a tombstone too. */
  entry(path: string): PeerOffer | undefined {
    return this.#live.get(path) ?? this.#graves.get(path);
  }

  /**
   * Puts an offer in, unless what is kept of its path is as new: newer wins, whatever the order of arrival.
   * Does not move `version`, which the caller does when it knows that nothing is missing.
   * @returns whether it was newer
   */
  put(offer: Offer): boolean {
    const known = this.entry(offer.path);
    if (known && known.version >= offer.version) return false;
    const entry = { ...offer, peer: this.writer };
    this.#take(known);
    this.#place(entry);
    this.#log.push(entry);
    return true;
  }

  /** Where the log ends now; to be given to `undo`. */
  get mark(): number {
    return this.#log.length;
  }

  /**
   * Puts back what was there.
   * @param mark where the log ended before
   * @param before for each path that was touched, what was kept of it before
   */
  undo(mark: number, before: Map<string, PeerOffer | undefined>): void {
    for (const [path, entry] of before) {
      this.#take(this.entry(path));
      if (entry) this.#place(entry);
    }
    this.#log.length = mark;
    this.#sortGraves();
  }

  /** Forgets a live offer without a tombstone: its bucket is being replaced whole. */
  drop(offer: PeerOffer): void {
    if (this.#live.get(offer.path) === offer) this.#take(offer);
  }

  /** Forgets a tombstone: its bucket is being replaced whole. */
  dropGrave(path: string): void {
    this.#graves.delete(path);
  }

  graves(): IterableIterator<PeerOffer> {
    return this.#graves.values();
  }

  /** After buckets were replaced whole: the log anew, from what is there. */
  rebuild(): void {
    this.#sortGraves();
    this.#log = [...this.#live.values(), ...this.#graves.values()].sort((a, b) => a.version - b.version);
  }

  /** Drops the oldest tombstones beyond what is kept, which raises the floor; and what the log need not hold. */
  trim(): void {
    let load = 0;
    for (const grave of this.#graves.values()) load += loadOf(grave);
    if (load > TOMBSTONES_MAX) {
      for (const [path, grave] of this.#graves) {
        if (load <= TOMBSTONES_MAX) break;
        load -= loadOf(grave);
        this.#graves.delete(path);
        this.floor = Math.max(this.floor, grave.version);
      }
    }
    if (this.#log.length > 2 * (this.#live.size + this.#graves.size) + 64) {
      this.#log = this.#log.filter((entry) => this.entry(entry.path) === entry);
    }
  }

  /**
   * What was written after a version, tombstones too, in the order of versions.
   * @param version from `floor` on
   * @param most stop when there are more than so many
   * @returns undefined where there are more than `most`
   */
  since(version: number, most = Number.POSITIVE_INFINITY): PeerOffer[] | undefined {
    const log = this.#log;
    let low = 0;
    let high = log.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (log[middle].version <= version) low = middle + 1;
      else high = middle;
    }
    const out: PeerOffer[] = [];
    for (let i = low; i < log.length; i++) {
      if (this.entry(log[i].path) !== log[i]) continue;
      if (out.length === most) return undefined;
      out.push(log[i]);
    }
    return out;
  }

  /** Live offers in the order of versions: of all, or of some buckets. */
  snapshot(buckets?: Iterable<number>): PeerOffer[] {
    let out: PeerOffer[] = [];
    if (buckets) for (const i of buckets) out = out.concat(this.tree.bucket(i));
    else out = [...this.#live.values()];
    return out.sort((a, b) => a.version - b.version);
  }

  #place(entry: PeerOffer): void {
    if (entry.kind === 'removed') {
      this.#graves.set(entry.path, entry);
      return;
    }
    this.#live.set(entry.path, entry);
    this.#load += loadOf(entry);
    this.tree.add(entry);
    if (isFile(entry)) {
      this.#files++;
      this.#bytes += entry.size;
    }
  }

  #take(entry: PeerOffer | undefined): void {
    if (!entry) return;
    if (entry.kind === 'removed') {
      this.#graves.delete(entry.path);
      return;
    }
    this.#live.delete(entry.path);
    this.#load -= loadOf(entry);
    this.tree.remove(entry);
    if (isFile(entry)) {
      this.#files--;
      this.#bytes -= entry.size;
    }
  }

  #sortGraves(): void {
    const graves = [...this.#graves.values()].sort((a, b) => a.version - b.version);
    this.#graves.clear();
    for (const grave of graves) this.#graves.set(grave.path, grave);
  }
}
