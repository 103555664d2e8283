/**
 * A file opened to be served.
 * Owns a file descriptor, which it gives up while it is not read and many others are. Always true: what it gives was in the file in the state that is offered; from the first sign
 * of another state on it gives nothing more. Called by the serving side of the transfer.
 */
import {
  type BigIntStats,
  close,
  closeSync,
  constants,
  fstat,
  fstatSync,
  open,
  openSync,
  read,
  readSync,
} from 'node:fs';
import { promisify } from 'node:util';
import { HearsayError } from '../errors.js';
import { OPEN_FILES_MAX } from '../limits.js';
import { chunkLength, chunkSizeOf } from '../transfer/content.js';
import type { Entry } from './entry.js';
import { type Signature, signatureOf } from './signature.js';

const openFile = promisify(open);
const readFile = promisify(read);
const closeFile = promisify(close);
const statFile: (fd: number, options: { bigint: true }) => Promise<BigIntStats> = promisify(fstat);

// Not to wait for a writer where a file became a pipe.
const FLAGS = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

/** What a source reports to: the catalogue. */
export interface SourceOwner {
  /** An entry's file is not as it is offered. Renews or withdraws the offer; resolves to the error to answer with. */
  missed(entry: Entry, thrown?: unknown): Promise<HearsayError>;
  /** A chunk was served and hashed, of the file in the state of `signature`. */
  noted(entry: Entry, signature: Signature, chunk: number, hash: Uint8Array): void;
  /** A source of this entry is no more in use. */
  closed(entry: Entry): void;
}

/** Sources whose descriptors are open: at most so many that are not being read, those read longest ago give theirs up. */
export class OpenFiles {
  readonly #most: number;
  readonly #open = new Set<SourceFile>();

  constructor(most: number = OPEN_FILES_MAX) {
    this.#most = most;
  }

  get size(): number {
    return this.#open.size;
  }

  /** One was opened, or is read. */
  used(source: SourceFile): void {
    this.#open.delete(source);
    this.#open.add(source);
    for (const oldest of this.#open) {
      if (this.#open.size <= this.#most) return;
      if (oldest !== source && oldest.park()) this.#open.delete(oldest);
    }
  }

  closed(source: SourceFile): void {
    this.#open.delete(source);
  }
}

const ALL = new OpenFiles();

export class SourceFile {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** Whole milliseconds. */
  readonly mtime: number;
  readonly executable: boolean;
  /** Bytes of a chunk; the last may be shorter. */
  readonly chunkSize: number;
  readonly #owner: SourceOwner;
  readonly #entry: Entry;
  readonly #signature: Signature;
  readonly #files: OpenFiles;
  #fd: number | undefined;
  #reopening: Promise<number> | undefined;
  #reading = 0;
  #missed = false;
  #closed = false;

  private constructor(owner: SourceOwner, entry: Entry, fd: number, files: OpenFiles) {
    this.path = entry.path;
    this.size = entry.size;
    this.mtime = entry.mtime;
    this.executable = entry.executable;
    this.chunkSize = chunkSizeOf(entry.size);
    this.#owner = owner;
    this.#entry = entry;
    this.#signature = entry.signature;
    this.#fd = fd;
    this.#files = files;
    files.used(this);
  }

  /**
   * Opens an offered file and looks whether it is what is offered: by the descriptor, so that nothing else can be put
   * in its place between looking and reading.
   * @param files those that are open
   * @throws HearsayError `not-found`, `changed` or `not-readable`
   */
  static async open(owner: SourceOwner, entry: Entry, files: OpenFiles = ALL): Promise<SourceFile> {
    let fd: number;
    try {
      fd = await openFile(entry.file, FLAGS);
    } catch (thrown) {
      throw await owner.missed(entry, thrown);
    }
    try {
      const stats = await statFile(fd, { bigint: true });
      if (entry.live && signatureOf(stats) === entry.signature) return new SourceFile(owner, entry, fd, files);
    } catch (thrown) {
      await closeFile(fd);
      throw await owner.missed(entry, thrown);
    }
    await closeFile(fd);
    throw await owner.missed(entry);
  }

  /** The content id, as soon as it is known, of the state that was opened. */
  get id(): string | null {
    return this.#entry.live && this.#entry.signature === this.#signature ? this.#entry.id : null;
  }

  /**
   * Reads one chunk.
   * @param into where the bytes are put, of the chunk's length; left out: in a buffer of its own
   * @throws HearsayError `changed` or `not-found` where the file is no more what is offered, `not-readable`
   * @throws RangeError where it has no such chunk
   */
  async readChunk(chunk: number, into?: Buffer): Promise<Buffer> {
    const length = chunkLength(this.size, chunk);
    if (length === 0 || chunk < 0) throw new RangeError(`no chunk ${chunk} in ${this.size} bytes`);
    if (this.#closed || this.#missed) throw this.#gone();
    this.#reading++;
    try {
      const fd = this.#fd ?? (await this.#reopen());
      this.#files.used(this);
      return await this.#read(fd, chunk * this.chunkSize, into ?? Buffer.allocUnsafeSlow(length));
    } finally {
      this.#reading--;
      if (this.#closed) await this.#release();
    }
  }

  /** A chunk as served has this hash, 32 bytes: with the hashes of all the file gets its id without another reading. */
  noteHash(chunk: number, hash: Uint8Array): void {
    if (!this.#closed && !this.#missed) this.#owner.noted(this.#entry, this.#signature, chunk, hash);
  }

  /** Ends it; a read that is under way still comes to its end. May be called again. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#owner.closed(this.#entry);
    await this.#release();
  }

  /** Gives the descriptor up, unless it is being read. @returns whether it did */
  park(): boolean {
    const fd = this.#fd;
    if (this.#reading > 0 || fd === undefined) return false;
    this.#fd = undefined;
    close(fd, () => {});
    return true;
  }

  #reopen(): Promise<number> {
    this.#reopening ??= this.#openAgain().finally(() => {
      this.#reopening = undefined;
    });
    return this.#reopening;
  }

  /** Whether it is still what was opened first, the reading tells. */
  async #openAgain(): Promise<number> {
    try {
      this.#fd = await openFile(this.#entry.file, FLAGS);
      return this.#fd;
    } catch (thrown) {
      const error = await this.#owner.missed(this.#entry, thrown);
      // No more files can be opened just now: that says nothing about this one.
      this.#missed = error.code !== 'limit';
      throw error;
    }
  }

  async #read(fd: number, position: number, buffer: Buffer): Promise<Buffer> {
    try {
      for (let filled = 0; filled < buffer.length; ) {
        const { bytesRead } = await readFile(fd, buffer, filled, buffer.length - filled, position + filled);
        if (bytesRead === 0) break;
        filled += bytesRead;
        // After the reading is enough: whoever wrote before or during it has left a trace. Sync, as it takes 2 µs.
        if (filled === buffer.length && signatureOf(fstatSync(fd, { bigint: true })) === this.#signature) return buffer;
      }
    } catch (thrown) {
      this.#missed = true;
      throw await this.#owner.missed(this.#entry, thrown);
    }
    this.#missed = true;
    throw await this.#owner.missed(this.#entry);
  }

  #gone(): HearsayError {
    return new HearsayError(
      this.#missed ? 'changed' : 'cancelled',
      `${this.path}: ${this.#missed ? 'changed' : 'closed'}`,
    );
  }

  async #release(): Promise<void> {
    if (this.#reading > 0 || this.#fd === undefined) return;
    const fd = this.#fd;
    this.#fd = undefined;
    this.#files.closed(this);
    await closeFile(fd);
  }
}

/**
 * Reads a small file whole, at once: a third of what it takes by way of the thread pool.
 * @param into where its bytes are put where there is room, at the beginning; else they have a buffer of their own
 * @returns its bytes, or undefined where it is not in the state of its entry
 * @throws Error of the system
 */
export function readWhole(entry: Entry, into?: Buffer): Buffer | undefined {
  const fd = openSync(entry.file, FLAGS);
  try {
    const data = into && into.length >= entry.size ? into.subarray(0, entry.size) : Buffer.allocUnsafe(entry.size);
    for (let filled = 0; filled < data.length; ) {
      const got = readSync(fd, data, filled, data.length - filled, filled);
      if (got === 0) return undefined;
      filled += got;
    }
    // After the reading is enough: whoever wrote before or during it has left a trace.
    return signatureOf(fstatSync(fd, { bigint: true })) === entry.signature ? data : undefined;
  } finally {
    closeSync(fd);
  }
}
