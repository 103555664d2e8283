/**
 * Chunks read lately, so that several receivers of one file cost one read.
 *
 * Owns at most CACHE_BYTES of chunks, the least lately used leave first. Always true: a chunk that failed to be read is
 * not remembered. Called by the server.
 */
import type { Offered } from './offered.js';

const CACHE_BYTES = 48 << 20;

interface Slot {
  data: Promise<Buffer>;
  bytes: number;
}

export class ChunkCache {
  readonly #slots = new Map<string, Slot>();
  #bytes = 0;

  /** The bytes of a chunk, read once however many ask. */
  read(key: string, source: Offered, chunk: number, bytes: number): Promise<Buffer> {
    const name = `${key} ${chunk}`;
    const known = this.#slots.get(name);
    if (known) {
      this.#slots.delete(name);
      this.#slots.set(name, known);
      return known.data;
    }
    const data = source.readChunk(chunk);
    const slot = { data, bytes };
    this.#slots.set(name, slot);
    this.#bytes += bytes;
    data.catch(() => this.#remove(name, slot));
    for (const [oldest, old] of this.#slots) {
      if (this.#bytes <= CACHE_BYTES || oldest === name) break;
      this.#remove(oldest, old);
    }
    return data;
  }

  /** Forgets all chunks of a file. */
  forget(key: string): void {
    for (const [name, slot] of this.#slots) if (name.startsWith(`${key} `)) this.#remove(name, slot);
  }

  #remove(name: string, slot: Slot): void {
    if (this.#slots.get(name) !== slot) return;
    this.#slots.delete(name);
    this.#bytes -= slot.bytes;
  }
}
