/**
 * Buffers for chunks, used again.
 *
 * A fresh buffer of a megabyte costs its pages, which the system fills with zeros, and brings V8's next collection nearer, as all that
 * is outside of its heap counts: where every chunk had its own, that was half of a transfer's work. Owns buffers that nobody uses.
 * Always true: a buffer is given to one at a time, and those that lie here have at most `most` bytes together; of a size that nobody
 * asks for any more, as that of a file's last chunk, none stay for ever. Called by whoever reads or assembles chunks.
 */
import { SPARE_BYTES } from './limits.js';

export class Buffers {
  readonly #most: number;
  /** By their size, those of the size that was last asked for or given long ago first; of each size some. */
  readonly #spare = new Map<number, Buffer[]>();
  #bytes = 0;

  /** @param most bytes that may lie here */
  constructor(most: number = SPARE_BYTES) {
    this.#most = most;
  }

  /** Bytes that lie here. */
  get bytes(): number {
    return this.#bytes;
  }

  /** A buffer of so many bytes, with anything in it. */
  take(bytes: number): Buffer {
    const same = this.#spare.get(bytes);
    const buffer = same?.pop();
    if (!same || !buffer) return Buffer.allocUnsafeSlow(bytes);
    this.#bytes -= bytes;
    this.#used(bytes, same);
    return buffer;
  }

  /** Takes back one that `take` gave and that nobody looks at any more. */
  give(buffer: Buffer): void {
    const bytes = buffer.length;
    const same = this.#spare.get(bytes) ?? [];
    same.push(buffer);
    this.#bytes += bytes;
    this.#used(bytes, same);
    for (const [size, spare] of this.#spare) {
      while (this.#bytes > this.#most && spare.pop()) this.#bytes -= size;
      if (spare.length > 0) break;
      this.#spare.delete(size);
    }
  }

  #used(bytes: number, same: Buffer[]): void {
    this.#spare.delete(bytes);
    if (same.length > 0) this.#spare.set(bytes, same);
  }
}

/** Those of this process. */
export const CHUNK_BUFFERS = new Buffers();
