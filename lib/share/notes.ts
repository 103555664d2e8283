import { Bits } from '../bits.js';
import { chunkCount, HASH_BYTES } from '../transfer/content.js';
import type { Entry } from './entry.js';
import type { Signature } from './signature.js';

/** The hashes of one file, as its chunks are served. */
interface Note {
  signature: Signature;
  /** When the first chunk was noted, milliseconds since 1970. */
  began: number;
  have: Bits;
  hashes: Uint8Array;
}

/**
 * The chunk hashes of files that are served before they are hashed, gathered from all who are served.
 * Owns a note for each such file while somebody is served from it. Called by the catalogue.
 */
export class Notes {
  readonly #notes = new Map<Entry, Note>();
  readonly #users = new Map<Entry, number>();

  opened(entry: Entry): void {
    this.#users.set(entry, (this.#users.get(entry) ?? 0) + 1);
  }

  closed(entry: Entry): void {
    const users = (this.#users.get(entry) ?? 1) - 1;
    if (users > 0) {
      this.#users.set(entry, users);
      return;
    }
    this.#users.delete(entry);
    this.#notes.delete(entry);
  }

  /**
   * Takes the hash of one chunk.
   * @returns all hashes, when this was the last that was missing
   */
  add(entry: Entry, signature: Signature, chunk: number, hash: Uint8Array, now: number): Note | undefined {
    const count = chunkCount(entry.size);
    if (hash.length !== HASH_BYTES || chunk < 0 || chunk >= count) return undefined;
    let note = this.#notes.get(entry);
    if (note?.signature !== signature) {
      note = { signature, began: now, have: new Bits(count), hashes: new Uint8Array(count * HASH_BYTES) };
      this.#notes.set(entry, note);
    }
    if (!note.have.add(chunk)) return undefined;
    note.hashes.set(hash, chunk * HASH_BYTES);
    if (!note.have.isFull) return undefined;
    this.#notes.delete(entry);
    return note;
  }
}
