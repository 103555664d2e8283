/**
 * The shelf: all that is known of one writer's offers.
 * Owns the rows, live offers and tombstones in the order in which they were put, how they are found by path and by content, and
 * the bucket tree. Always true: of one path the highest version is kept, live or tombstone; every tombstone above `floor` is there,
 * so a delta since any version from `floor` on can be given; the tree describes exactly the live offers.
 * Called by the own log (which writes) and by staging (which applies what others wrote, and undoes it).
 */
import type { PeerId } from '../ids.js';
import { BUCKETS, TOMBSTONES_MAX } from '../limits.js';
import { isFile, loadOf, type Offer, ORDINARY, type PeerOffer } from '../offer.js';
import { type Content, Contents } from './contents.js';
import { Places } from './places.js';
import { DEAD, HAS_ID, type Key, KIND, KINDS, keyOf, REMOVED, Rows } from './rows.js';
import { Tree } from './tree.js';

/** A head as packed, and its writer's signature. */
export interface Proof {
  head: Uint8Array;
  sig: Uint8Array;
}

/** What was done, so that it can be undone: a row that was written, and the one that counted before it; -1 for none. */
type Step = [written: number, before: number];

export class Shelf {
  readonly writer: PeerId;
  epoch: number;
  /** The newest version that is in here. */
  version = 0;
  /** Tombstones up to this version may be missing. */
  floor = 0;
  /** The signed head that this state was checked against; none on my own shelf, whose head is signed on demand. */
  proof: Proof | undefined;
  readonly tree: Tree;
  #rows: Rows;
  /** The row that counts of each path. */
  #paths: Places;
  #contents: Contents;
  #steps: Step[] | undefined;
  #count = 0;
  #files = 0;
  #bytes = 0;
  #load = 0;
  #graves = 0;
  #graveLoad = 0;
  /** No tombstone that counts is before this row. */
  #oldestGrave = 0;

  constructor(writer: PeerId, epoch: number, from?: Shelf) {
    this.writer = writer;
    this.epoch = epoch;
    this.#rows = from ? from.#rows.copy() : new Rows();
    const hashOf = (row: number) => this.#rows.hash[row];
    this.#paths = from ? from.#paths.copy(hashOf) : new Places(hashOf);
    this.#contents = from ? new Contents(this.#rows, from.#contents) : new Contents(this.#rows);
    this.tree = new Tree(() => this.#rows, from?.tree);
    if (!from) return;
    this.version = from.version;
    this.floor = from.floor;
    this.proof = from.proof;
    this.#count = from.#count;
    this.#files = from.#files;
    this.#bytes = from.#bytes;
    this.#load = from.#load;
    this.#graves = from.#graves;
    this.#graveLoad = from.#graveLoad;
    this.#oldestGrave = from.#oldestGrave;
  }

  /** A shelf of the same, which may be changed while this one stays as it is. */
  copy(): Shelf {
    return new Shelf(this.writer, this.epoch, this);
  }

  /** Live offers, folders too. */
  get count(): number {
    return this.#count;
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
    return this.at(keyOf(path));
  }

  /** The same for a path that is looked for on many shelves. */
  at(key: Key): PeerOffer | undefined {
    const row = this.#paths.find(key.hash, (one) => this.#rows.isAt(one, key));
    return row >= 0 && this.#rows.isLive(row) ? this.#rows.offer(row, this.writer) : undefined;
  }

  /** Live offers, as they are now: whatever is changed meanwhile shows in none of them. */
  *offers(): Generator<PeerOffer, void, undefined> {
    const rows = this.#rows.frozen();
    for (let row = 0; row < rows.length; row++) if (rows.isLive(row)) yield rows.offer(row, this.writer);
  }

  /** What is kept of a path, a tombstone too. */
  entry(path: string): PeerOffer | undefined {
    const row = this.#rowAt(path);
    return row >= 0 ? this.#rows.offer(row, this.writer) : undefined;
  }

  /** Live offers of a content. */
  *byId(content: Content): Generator<PeerOffer, void, undefined> {
    for (const row of this.#contents.of(content)) if (this.#rows.isLive(row)) yield this.#rows.offer(row, this.writer);
  }

  /** The rows as they are now, for those who look through them. Nothing may be written to them. */
  rows(): Rows {
    return this.#rows.frozen();
  }

  /** Makes room for so many offers in all. */
  reserve(count: number): void {
    this.#rows.reserve(count);
    this.#paths.reserve(count);
    this.#contents.reserve(count);
  }

  /**
   * Puts an offer in, unless what is kept of its path is as new: newer wins, whatever the order of arrival.
   * Does not move `version`, which the caller does when it knows that nothing is missing.
   * @returns whether it was newer
   */
  put(offer: Offer): boolean {
    const rows = this.#rows;
    const key = keyOf(offer.path);
    const is = (row: number) => rows.isAt(row, key);
    const known = this.#paths.find(key.hash, is);
    if (known >= 0 && rows.version[known] >= offer.version) return false;
    const row = rows.push(key, offer);
    if (known >= 0) this.#end(known);
    this.#begin(row);
    if (known >= 0) this.#paths.set(key.hash, row, (other) => other === known);
    else this.#paths.add(key.hash, row);
    if (offer.id !== null) this.#contents.add(row);
    this.#steps?.push([row, known]);
    return true;
  }

  /** From now on what is done can be undone, until `keep`. */
  try(): void {
    this.#steps = [];
  }

  /** What was done since `try` stays. */
  keep(): void {
    this.#steps = undefined;
  }

  /** Puts back what was there at `try`. */
  undo(): void {
    const rows = this.#rows;
    for (const [row, before] of this.#steps?.reverse() ?? []) {
      if (row >= 0) {
        this.#end(row);
        if (rows.state[row] & HAS_ID) this.#contents.remove(row);
        if (before < 0) this.#paths.delete(rows.hash[row], (other) => other === row);
        else this.#paths.set(rows.hash[row], before, (other) => other === row);
        rows.truncate(row);
      } else this.#paths.add(rows.hash[before], before);
      if (before >= 0) this.#begin(before);
    }
    this.#steps = undefined;
  }

  /** Forgets all of some buckets without tombstones, and the tombstones there: they are being replaced whole. */
  dropBuckets(isReplaced: (bucket: number) => boolean): void {
    const rows = this.#rows;
    const replaced = Array.from({ length: BUCKETS }, (_, i) => isReplaced(i));
    for (let row = 0; row < rows.length; row++) {
      if (!replaced[rows.bucket[row]] || rows.state[row] & DEAD) continue;
      this.#forget(row);
      this.#steps?.push([-1, row]);
    }
  }

  /** What is kept of some buckets, tombstones too. */
  *entries(isWanted: (bucket: number) => boolean): Generator<PeerOffer, void, undefined> {
    const rows = this.#rows.frozen();
    for (let row = 0; row < rows.length; row++) {
      if ((rows.state[row] & DEAD) === 0 && isWanted(rows.bucket[row])) yield rows.offer(row, this.writer);
    }
  }

  /** Forgets a tombstone. */
  dropGrave(path: string): void {
    const row = this.#rowAt(path);
    if (row >= 0 && !this.#rows.isLive(row)) this.#forget(row);
  }

  /** Tombstones in the order in which they were put. */
  *graves(): Generator<PeerOffer, void, undefined> {
    for (const row of this.#graveRows()) yield this.#rows.offer(row, this.writer);
  }

  /** Whether they were put in the order of their versions. */
  get #isInOrder(): boolean {
    const { version, state, length } = this.#rows;
    let last = 0;
    for (let row = 0; row < length; row++) {
      if (state[row] & DEAD) continue;
      if (version[row] < last) return false;
      last = version[row];
    }
    return true;
  }

  /** Packs the rows anew in the order of their versions, without what does not count. */
  rebuild(): void {
    for (const _ of this.rebuilding(Number.POSITIVE_INFINITY));
  }

  /** The same in steps of so many offers; nothing may be put in meanwhile. */
  *rebuilding(atOnce: number): Generator<void, void, undefined> {
    const rows = this.#rows;
    const { version } = rows;
    const order = new Uint32Array(this.#count + this.#graves);
    let end = 0;
    for (let row = 0; row < rows.length; row++) if ((rows.state[row] & DEAD) === 0) order[end++] = row;
    if (!this.#isInOrder) order.sort((a, b) => version[a] - version[b]);
    yield;
    const fresh = new Rows();
    fresh.reserve(order.length);
    const paths = new Places((row) => fresh.hash[row]);
    paths.reserve(order.length);
    const contents = new Contents(fresh);
    contents.reserve(order.length);
    for (const [i, before] of order.entries()) {
      const row = fresh.take(rows, before);
      paths.add(fresh.hash[row], row);
      if (fresh.state[row] & HAS_ID) contents.add(row);
      if (i % atOnce === atOnce - 1) yield;
    }
    fresh.fit();
    this.#rows = fresh;
    this.#paths = paths;
    this.#contents = contents;
    this.#oldestGrave = 0;
  }

  /** Drops the oldest tombstones beyond what is kept, which raises the floor; and what the rows need not hold. */
  trim(): void {
    if (this.#graveLoad > TOMBSTONES_MAX) {
      for (const row of this.#graveRows()) {
        if (this.#graveLoad <= TOMBSTONES_MAX) break;
        this.floor = Math.max(this.floor, this.#rows.version[row]);
        this.#oldestGrave = row;
        this.#forget(row);
      }
    }
    if (this.#rows.length > 2 * (this.#count + this.#graves) + 64) this.rebuild();
  }

  /** Gives back room that is not used. */
  fit(): void {
    this.#rows.fit();
  }

  /**
   * What was written after a version, tombstones too, in the order of versions.
   * @param version from `floor` on
   * @param most stop when there are more than so many
   * @returns undefined where there are more than `most`
   */
  since(version: number, most = Number.POSITIVE_INFINITY): PeerOffer[] | undefined {
    const rows = this.#rows;
    const out: PeerOffer[] = [];
    for (let row = firstAfter(rows, version); row < rows.length; row++) {
      if (rows.state[row] & DEAD) continue;
      if (out.length === most) return undefined;
      out.push(rows.offer(row, this.writer));
    }
    return out;
  }

  /** The same, made as they are taken; what changes meanwhile is not in it. */
  *sinceThen(version: number): Generator<PeerOffer, void, undefined> {
    const rows = this.#rows.frozen();
    for (let row = firstAfter(rows, version); row < rows.length; row++) {
      if ((rows.state[row] & DEAD) === 0) yield rows.offer(row, this.writer);
    }
  }

  /** The same, all at once. */
  snapshot(buckets?: Iterable<number>): PeerOffer[] {
    return [...this.inOrder(buckets)];
  }

  /** Live offers in the order of versions: of all, or of some buckets. They are made as they are taken. */
  *inOrder(buckets?: Iterable<number>): Generator<PeerOffer, void, undefined> {
    if (!this.#isInOrder) this.rebuild();
    const wanted = buckets && new Set(buckets);
    const rows = this.#rows.frozen();
    for (let row = 0; row < rows.length; row++) {
      if (rows.isLive(row) && (!wanted || wanted.has(rows.bucket[row]))) yield rows.offer(row, this.writer);
    }
  }

  #rowAt(path: string): number {
    const key = keyOf(path);
    return this.#paths.find(key.hash, (row) => this.#rows.isAt(row, key));
  }

  *#graveRows(): Generator<number, void, undefined> {
    const { state } = this.#rows;
    for (let row = this.#oldestGrave; row < this.#rows.length; row++) {
      if ((state[row] & (DEAD | KIND)) === REMOVED) yield row;
    }
  }

  /** A row counts no more, and nothing takes its place. */
  #forget(row: number): void {
    this.#end(row);
    this.#paths.delete(this.#rows.hash[row], (other) => other === row);
  }

  /** A row counts from now on. */
  #begin(row: number): void {
    this.#rows.state[row] &= ~DEAD;
    this.#weigh(row, 1);
    if (!this.#rows.isLive(row)) this.#oldestGrave = Math.min(this.#oldestGrave, row);
  }

  #end(row: number): void {
    this.#weigh(row, -1);
    this.#rows.state[row] |= DEAD;
  }

  #weigh(row: number, by: 1 | -1): void {
    const rows = this.#rows;
    const kind = KINDS[rows.state[row] & KIND];
    const load = by * (rows.pathBytes(row) <= ORDINARY ? 1 : loadOf({ path: rows.path(row) }));
    if (kind === 'removed') {
      this.#graves += by;
      this.#graveLoad += load;
      return;
    }
    this.#count += by;
    this.#load += load;
    this.tree.touch(rows.bucket[row]);
    if (!isFile({ kind })) return;
    this.#files += by;
    this.#bytes += by * rows.size[row];
  }
}

/** The first row after a version, where they are in order. */
function firstAfter({ version, length }: Rows, than: number): number {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (version[middle] <= than) low = middle + 1;
    else high = middle;
  }
  return low;
}
