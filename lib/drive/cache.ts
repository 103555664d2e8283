/**
 * Chunks read lately, so that several receivers of one file cost one read.
 *
 * Owns at most CACHE_BYTES of chunks, the least lately used leave first, and the turns of those that are read: at most
 * READS_AT_ONCE. Always true: a chunk that failed to be read is not remembered; the buffer of one that left is used again only
 * when all who were given it have let go of it. Called by the server.
 */
import { type Buffers, CHUNK_BUFFERS } from '../buffers.js';
import { CACHE_BYTES, READS_AT_ONCE } from '../limits.js';
import type { Offered } from './offered.js';

/** The bytes of a chunk, not to be changed. */
export interface HeldChunk {
  readonly data: Buffer;
  /** Lets go of it; to be called once. */
  release(): void;
}

class Slot {
  readonly bytes: number;
  readonly data: Promise<Buffer>;
  /** Where it is read into, from its turn on. */
  buffer: Buffer | undefined;
  /** Who has been given it, and the reading itself. */
  users = 1;
  /** Whether it is in the cache no more. */
  left = false;

  constructor(bytes: number, read: (slot: Slot) => Promise<Buffer>) {
    this.bytes = bytes;
    this.data = read(this);
  }
}

export class ChunkCache {
  readonly #most: number;
  readonly #buffers: Buffers;
  readonly #slots = new Map<string, Slot>();
  #bytes = 0;
  #reading = 0;
  /** Reads that wait for their turn; each link has two at most. */
  readonly #waiting: (() => void)[] = [];

  /** @param most bytes */
  constructor(most: number = CACHE_BYTES, buffers: Buffers = CHUNK_BUFFERS) {
    this.#most = most;
    this.#buffers = buffers;
  }

  /** Bytes of the chunks in it. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * The bytes of a chunk, read once however many ask.
   * @param bytes of the chunk
   * @throws as the source's `readChunk`
   */
  async read(key: string, source: Offered, chunk: number, bytes: number): Promise<HeldChunk> {
    const slot = this.#slot(`${key} ${chunk}`, source, chunk, bytes);
    slot.users++;
    try {
      return { data: await slot.data, release: () => this.#release(slot) };
    } catch (thrown) {
      this.#release(slot);
      throw thrown;
    }
  }

  #slot(name: string, source: Offered, chunk: number, bytes: number): Slot {
    const known = this.#slots.get(name);
    if (known) {
      this.#slots.delete(name);
      this.#slots.set(name, known);
      return known;
    }
    const slot = new Slot(bytes, (fresh) => this.#read(source, chunk, fresh));
    this.#slots.set(name, slot);
    this.#bytes += bytes;
    slot.data.catch(() => this.#remove(name, slot)).finally(() => this.#release(slot));
    for (const [oldest, old] of this.#slots) {
      if (this.#bytes <= this.#most || oldest === name) break;
      this.#remove(oldest, old);
    }
    return slot;
  }

  /** Forgets all chunks of a file. */
  forget(key: string): void {
    for (const [name, slot] of this.#slots) if (name.startsWith(`${key} `)) this.#remove(name, slot);
  }

  /** Reads beyond those that the disk's threads can do at once would only hold memory. */
  async #read(source: Offered, chunk: number, slot: Slot): Promise<Buffer> {
    if (this.#reading < READS_AT_ONCE) this.#reading++;
    else {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    }
    try {
      slot.buffer = this.#buffers.take(slot.bytes);
      return await source.readChunk(chunk, slot.buffer);
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
    slot.left = true;
    if (slot.users === 0) this.#giveBack(slot);
  }

  #release(slot: Slot): void {
    if (--slot.users === 0 && slot.left) this.#giveBack(slot);
  }

  #giveBack({ buffer }: Slot): void {
    if (buffer) this.#buffers.give(buffer);
  }
}
