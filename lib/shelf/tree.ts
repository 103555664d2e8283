/**
 * The bucket tree of one writer's live offers: what a root says of them.
 * Owns which offer is in which bucket, and the buckets' hashes. Always true: `root()` and `hashes()` describe exactly the
 * offers that were added and not removed. Called by the shelf alone.
 *
 * A bucket's hash is the first 16 bytes of BLAKE3 over its offers in the order of their versions, each as the line
 * `version kind size mtime id path-length:path` (path length in bytes of UTF-8, "-" for no id); an empty bucket's is zeros.
 * The root is BLAKE3 over all bucket hashes.
 */
import { blake3 } from '../hash.js';
import { BUCKETS } from '../limits.js';
import type { Offer } from '../offer.js';
import { BUCKET_HASH } from '../wire/table.js';

const KIND_NUMBER = { file: 0, executable: 1, folder: 2, removed: 3 } as const;

/** The bucket of a path: the first byte of its BLAKE3. */
export function bucketOf(path: string): number {
  return blake3(path)[0];
}

function line(o: Offer): string {
  return `${o.version} ${KIND_NUMBER[o.kind]} ${o.size} ${o.mtime} ${o.id ?? '-'} ${Buffer.byteLength(o.path)}:${o.path}\n`;
}

const EMPTY_HASHES = new Uint8Array(BUCKETS * BUCKET_HASH);
/** The root of no offers at all. */
export const EMPTY_ROOT: Uint8Array = blake3(EMPTY_HASHES);

const byVersion = (a: Offer, b: Offer): number => a.version - b.version;

export class Tree<T extends Offer = Offer> {
  /** Offers of each bucket; made when first needed, mostly in the order of versions. Sets, as whoever names his files well has all in one. */
  readonly #buckets: (Set<T> | undefined)[] = new Array(BUCKETS);
  readonly #dirty = new Set<number>();
  #hashes = EMPTY_HASHES;
  #root: Uint8Array = EMPTY_ROOT;

  /** Adds an offer that is not in the tree. */
  add(offer: T): void {
    const i = bucketOf(offer.path);
    const bucket = this.#buckets[i];
    if (bucket) bucket.add(offer);
    else this.#buckets[i] = new Set([offer]);
    this.#dirty.add(i);
  }

  /** Removes an offer: the very object that was added. */
  remove(offer: T): void {
    const i = bucketOf(offer.path);
    if (this.#buckets[i]?.delete(offer)) this.#dirty.add(i);
  }

  /** The offers of one bucket, in no promised order. */
  bucket(i: number): T[] {
    return [...(this.#buckets[i] ?? [])];
  }

  /** All bucket hashes one after another; not to be changed. */
  hashes(): Uint8Array {
    if (this.#dirty.size === 0) return this.#hashes;
    const hashes = Uint8Array.from(this.#hashes);
    for (const i of this.#dirty) {
      const offers = this.bucket(i);
      const place = i * BUCKET_HASH;
      if (offers.length === 0) {
        this.#buckets[i] = undefined;
        hashes.fill(0, place, place + BUCKET_HASH);
        continue;
      }
      offers.sort(byVersion);
      let text = '';
      for (const offer of offers) text += line(offer);
      hashes.set(blake3(text).subarray(0, BUCKET_HASH), place);
    }
    this.#dirty.clear();
    this.#hashes = hashes;
    this.#root = blake3(hashes);
    return hashes;
  }

  /** BLAKE3 over all bucket hashes, 32 bytes; not to be changed. */
  root(): Uint8Array {
    this.hashes();
    return this.#root;
  }
}
