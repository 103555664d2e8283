/**
 * The bucket tree of one writer's live offers: what a root says of them.
 * Owns the buckets' hashes. Always true: `root()` and `hashes()` describe exactly the live rows, as long as each change of a row is
 * told by `touch`. Called by the shelf alone.
 *
 * A bucket's hash is the first 16 bytes of BLAKE3 over its offers in the order of their versions, each as the line
 * `version kind size mtime id path-length:path` (path length in bytes of UTF-8, "-" for no id); an empty bucket's is zeros.
 * The root is BLAKE3 over all bucket hashes.
 */
import { blake3 } from '../hash.js';
import { BUCKETS } from '../limits.js';
import { BUCKET_HASH } from '../wire/table.js';
import { linesMost, writeLine } from './lines.js';
import type { Rows } from './rows.js';

/** The bucket of a path: the first byte of its BLAKE3. */
export function bucketOf(path: string): number {
  return blake3(path)[0];
}

const EMPTY_HASHES = new Uint8Array(BUCKETS * BUCKET_HASH);
/** The root of no offers at all. */
export const EMPTY_ROOT: Uint8Array = blake3(EMPTY_HASHES);

/** Buckets that are looked for one by one; for more of them all rows are gone through once. */
const FEW = 8;

/** Lines as they are written, for one bucket after another; what a very large one took is not kept. */
let text = Buffer.alloc(0);
const TEXT_KEPT = 4 * 1024 * 1024;

export class Tree {
  readonly #rows: () => Rows;
  readonly #dirty = new Set<number>();
  #hashes = EMPTY_HASHES;
  #root: Uint8Array = EMPTY_ROOT;
  /** The live rows by their buckets, while many buckets are worked out: where each begins, and the rows. */
  #sorted: { begins: Uint32Array; rows: Uint32Array } | undefined;

  /** @param rows as they are at the time @param from a tree whose rows these are a copy of */
  constructor(rows: () => Rows, from?: Tree) {
    this.#rows = rows;
    if (!from) return;
    for (const bucket of from.#dirty) this.#dirty.add(bucket);
    this.#hashes = from.#hashes;
    this.#root = from.#root;
  }

  /** Something in a bucket changed. */
  touch(bucket: number): void {
    this.#dirty.add(bucket);
    this.#sorted = undefined;
  }

  /** Buckets whose hashes are to be worked out. */
  get dirty(): number {
    return this.#dirty.size;
  }

  /** The live rows of one bucket, in the order of their versions. */
  rowsOf(bucket: number): Uint32Array {
    const rows = this.#rows();
    const { begins, rows: all } = this.#sorted ?? {};
    let some: Uint32Array;
    if (begins && all) some = all.subarray(begins[bucket], begins[bucket + 1]);
    else {
      const found: number[] = [];
      const column = rows.bucket.subarray(0, rows.length);
      for (let row = column.indexOf(bucket); row >= 0; row = column.indexOf(bucket, row + 1)) {
        if (rows.isLive(row)) found.push(row);
      }
      some = Uint32Array.from(found);
    }
    const { version } = rows;
    for (let i = 1; i < some.length; i++) {
      if (version[some[i - 1]] > version[some[i]]) return some.sort((a, b) => version[a] - version[b]);
    }
    return some;
  }

  /**
   * Works out some of the hashes that are to be.
   * @param most stop after so many offers
   * @returns whether all are done
   */
  work(most: number): boolean {
    const rows = this.#rows();
    if (this.#dirty.size === 0) return true;
    if (this.#dirty.size > FEW && !this.#sorted) {
      this.#sorted = byBucket(rows);
      // Of a million that is a step by itself.
      if (rows.length > most) return false;
    }
    const hashes = Uint8Array.from(this.#hashes);
    let done = 0;
    for (const bucket of this.#dirty) {
      if (done >= most) break;
      const some = this.rowsOf(bucket);
      const place = bucket * BUCKET_HASH;
      if (some.length === 0) hashes.fill(0, place, place + BUCKET_HASH);
      else hashes.set(hashOf(rows, some).subarray(0, BUCKET_HASH), place);
      done += some.length;
      this.#dirty.delete(bucket);
    }
    this.#hashes = hashes;
    if (this.#dirty.size > 0) return false;
    this.#sorted = undefined;
    this.#root = blake3(hashes);
    return true;
  }

  /** All bucket hashes one after another; not to be changed. */
  hashes(): Uint8Array {
    this.work(Number.POSITIVE_INFINITY);
    return this.#hashes;
  }

  /** BLAKE3 over all bucket hashes, 32 bytes; not to be changed. */
  root(): Uint8Array {
    this.hashes();
    return this.#root;
  }
}

function byBucket(rows: Rows): { begins: Uint32Array; rows: Uint32Array } {
  const { length, bucket } = rows;
  const begins = new Uint32Array(BUCKETS + 1);
  for (let row = 0; row < length; row++) if (rows.isLive(row)) begins[bucket[row] + 1]++;
  for (let i = 0; i < BUCKETS; i++) begins[i + 1] += begins[i];
  const next = begins.slice();
  const sorted = new Uint32Array(begins[BUCKETS]);
  for (let row = 0; row < length; row++) if (rows.isLive(row)) sorted[next[bucket[row]]++] = row;
  return { begins, rows: sorted };
}

function hashOf(rows: Rows, some: Uint32Array): Uint8Array {
  const most = linesMost(rows, some);
  let to = text;
  if (most > to.length) {
    to = Buffer.allocUnsafeSlow(most);
    if (most <= TEXT_KEPT) text = to;
  }
  let end = 0;
  for (const row of some) end = writeLine(rows, row, to, end);
  return blake3(to.subarray(0, end));
}
