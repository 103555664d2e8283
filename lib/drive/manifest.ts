import { HASH_BYTES } from '../transfer/content.js';
import type { MessageOf } from '../wire/table.js';

/** A manifest as one source sends it, page by page. Its hashes count only once they fit the content id. */
export class ManifestPages {
  readonly #count: number;
  #hashes: Uint8Array | undefined;
  #pages = 0;

  /** @param count chunks of the file */
  constructor(count: number) {
    this.#count = count;
  }

  /** Chunk hashes one after another; made when the first page is here, as most sources are asked for none. */
  get hashes(): Uint8Array {
    this.#hashes ??= new Uint8Array(this.#count * HASH_BYTES);
    return this.#hashes;
  }

  /** Takes the next page: whether more are to come, all are here, or it does not fit the size of the file. */
  add({ first, hashes }: MessageOf<'M'>): 'more' | 'whole' | 'unfit' {
    const fits = first === this.#pages && first * HASH_BYTES + hashes.length <= this.#count * HASH_BYTES;
    if (!fits || hashes.length % HASH_BYTES !== 0 || (hashes.length === 0 && this.#count > 0)) return 'unfit';
    this.hashes.set(hashes, first * HASH_BYTES);
    this.#pages += hashes.length / HASH_BYTES;
    return this.#pages < this.#count ? 'more' : 'whole';
  }
}
