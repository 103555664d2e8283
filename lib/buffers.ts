/**
 * Buffers for chunks, used again.
 *
 * A fresh buffer of a megabyte costs its pages, which the system fills with zeros, and brings V8's next collection nearer, as all that
 * is outside of its heap counts: where every chunk had its own, that was half of a transfer's work. Owns buffers that nobody uses.
 * Always true: a buffer is given to one at a time, and those that lie here have at most `most` bytes together. Called by whoever
 * reads or assembles chunks.
 */
import { SPARE_BYTES } from './limits.js';

export class Buffers {
  readonly #most: number;
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
    const buffer = this.#spare.get(bytes)?.pop();
    if (!buffer) return Buffer.allocUnsafeSlow(bytes);
    this.#bytes -= bytes;
    return buffer;
  }

  /** Takes back one that `take` gave and that nobody looks at any more. */
  give(buffer: Buffer): void {
    const bytes = buffer.length;
    if (this.#bytes + bytes > this.#most) return;
    const same = this.#spare.get(bytes);
    if (same) same.push(buffer);
    else this.#spare.set(bytes, [buffer]);
    this.#bytes += bytes;
  }
}

/** Those of this process. */
export const CHUNK_BUFFERS = new Buffers();
