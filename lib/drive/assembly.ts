import { type Buffers, CHUNK_BUFFERS } from '../buffers.js';

/**
 * The bytes of chunks that are being put together.
 *
 * Owns a buffer for each, of those that are used again. Always true: a buffer that was taken is not used for another chunk
 * before it is released. Called by a large fetch.
 */
export class Assembly {
  readonly #chunkSize: number;
  readonly #spare: Buffers;
  readonly #buffers = new Map<number, Buffer>();

  /** @param chunkSize bytes */
  constructor(chunkSize: number, spare: Buffers = CHUNK_BUFFERS) {
    this.#chunkSize = chunkSize;
    this.#spare = spare;
  }

  /** Copies bytes to their place in a chunk. */
  keep(chunk: number, offset: number, data: Uint8Array): void {
    let buffer = this.#buffers.get(chunk);
    if (!buffer) {
      buffer = this.#spare.take(this.#chunkSize);
      this.#buffers.set(chunk, buffer);
    }
    buffer.set(data, offset);
  }

  /** The first `length` bytes of a chunk, or undefined where nothing was kept of it. */
  bytes(chunk: number, length: number): Buffer | undefined {
    return this.#buffers.get(chunk)?.subarray(0, length);
  }

  /** Nothing of this chunk is needed any more. */
  release(chunk: number): void {
    const buffer = this.#buffers.get(chunk);
    this.#buffers.delete(chunk);
    if (buffer) this.#spare.give(buffer);
  }

  clear(): void {
    this.#buffers.clear();
  }
}
