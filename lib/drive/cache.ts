/**
 * Chunks read lately, so that several receivers of one file cost one read.
 *
 * Owns at most CACHE_BYTES of chunks, the least lately used leave first, and the turns of those that are read: at most
 * READS_AT_ONCE. Always true: a chunk that failed to be read is not remembered. Called by the server.
 */
import { CACHE_BYTES, READS_AT_ONCE } from '../limits.js';
import type { Offered } from './offered.js';

interface Slot {
  data: Promise<Buffer>;
  bytes: number;
}

export class ChunkCache {
  readonly #most: number;
  readonly #slots = new Map<string, Slot>();
  #bytes = 0;
  #reading = 0;
  /** Reads that wait for their turn; each link has two at most. */
  readonly #waiting: (() => void)[] = [];

  /** @param most bytes */
  constructor(most: number = CACHE_BYTES) {
    this.#most = most;
  }

  /** Bytes of the chunks in it. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The bytes of a chunk, read once however many ask. */
  read(key: string, source: Offered, chunk: number, bytes: number): Promise<Buffer> {
    const name = `${key} ${chunk}`;
    const known = this.#slots.get(name);
    if (known) {
      this.#slots.delete(name);
      this.#slots.set(name, known);
      return known.data;
    }
    const data = this.#read(source, chunk);
    const slot = { data, bytes };
    this.#slots.set(name, slot);
    this.#bytes += bytes;
    data.catch(() => this.#remove(name, slot));
    for (const [oldest, old] of this.#slots) {
      if (this.#bytes <= this.#most || oldest === name) break;
      this.#remove(oldest, old);
    }
    return data;
  }

  /** Forgets all chunks of a file. */
  forget(key: string): void {
    for (const [name, slot] of this.#slots) if (name.startsWith(`${key} `)) this.#remove(name, slot);
  }

  /** Reads beyond those that the disk's threads can do at once would only hold memory. */
  async #read(source: Offered, chunk: number): Promise<Buffer> {
    if (this.#reading < READS_AT_ONCE) this.#reading++;
    else {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    }
    try {
      return await source.readChunk(chunk);
    } finally {
      // The place goes to the next, or is free.
      const next = this.#waiting.shift();
      if (next) next();
      else this.#reading--;
    }
  }

  #remove(name: string, slot: Slot): void {
    if (this.#slots.get(name) !== slot) return;
    this.#slots.delete(name);
    this.#bytes -= slot.bytes;
  }
}
