/**
 * A file while it is received: hidden, beside its final name, with a journal of the chunks that are there.
 *
 * Owns: the partial's content, journal and lock, and holds their folder. Always true: the final name appears only for a complete file, at once;
 * `have` are chunks that were verified or written by this process, `claimed` adds those that an earlier journal speaks
 * of and nobody has looked at yet; a chunk that is being written is in neither; after `finish`, `keep` or `discard`
 * nothing is open.
 * Called by: whoever receives files, with a folder that `Place` has entered.
 */
import type { BigIntStats } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { Bits } from '../bits.js';
import { HearsayError } from '../errors.js';
import { blake3 } from '../hash.js';
import { CHUNKS_MAX } from '../limits.js';
import { HASH_BYTES } from '../transfer/content.js';
import { type Claims, type Journal, writeWhole } from './journal.js';
import { Lock } from './partial-lock.js';
import { type HiddenNames, hiddenNames } from './partial-names.js';
import { headerOf, type Opened, openFiles, type PartialOptions } from './partial-open.js';
import { sweepOnce } from './partial-sweep.js';
import { removeNow } from './place-acts.js';
import { diskError } from './place-errors.js';
import { readInto } from './place-existing.js';
import type { Held } from './place-folder.js';
import { executableMode, land, utimeOf } from './place-land.js';
import { nameFault } from './place-names.js';

export type { PartialOptions } from './partial-open.js';

export interface FinishOptions {
  /** Modification time, milliseconds. */
  mtime: number;
  executable: boolean;
  /** Replace what has the name. */
  overwrite: boolean;
  /** Sync to the disk even what is not larger than one chunk. */
  sync: boolean;
}

export class Partial {
  /** Where the complete file will be. */
  readonly target: string;
  readonly size: number;
  readonly chunkSize: number;
  /** Chunks that an earlier journal claims or that are in `have`. */
  readonly claimed: Bits;
  /** Chunks that may be read, served and counted. */
  readonly have: Bits;
  readonly #options: PartialOptions;
  readonly #held: Held;
  readonly #names: HiddenNames;
  readonly #claims: Claims;
  readonly #journal: Journal;
  readonly #data: FileHandle;
  readonly #lock: Lock;
  /** Reads and writes under way. */
  readonly #pending = new Set<Promise<unknown>>();
  #closed = false;

  private constructor(options: PartialOptions, held: Held, lock: Lock, names: HiddenNames, opened: Opened) {
    this.target = join(options.folder.path, options.name);
    this.size = options.size;
    this.chunkSize = options.chunkSize;
    this.#options = options;
    this.#held = held;
    this.#lock = lock;
    this.#names = names;
    this.#data = opened.data;
    this.#journal = opened.journal;
    this.#claims = opened.claims;
    this.claimed = opened.claims.bits;
    this.have = new Bits(this.claimed.length);
  }

  /**
   * Begins a partial, or goes on with an earlier one of the same final name, of this content or of another version: its
   * chunks are in `claimed` and become `have` by `verify`.
   * @throws HearsayError `busy`, `limit`, `bad-name`, `disk-full`, `not-writable`, `in-the-way`
   */
  static async open(options: PartialOptions): Promise<Partial> {
    const { folder, name, size, chunkSize } = options;
    const fault = nameFault(name, process.platform);
    if (fault) throw new HearsayError('bad-name', `${name}: ${fault}`);
    if (Math.ceil(size / chunkSize) > CHUNKS_MAX) {
      throw new HearsayError('limit', `${options.path}: more than ${CHUNKS_MAX} chunks`);
    }
    await sweepOnce(folder);
    const names = hiddenNames(name);
    folder.check();
    const held = folder.hold();
    let lock: Lock | undefined;
    try {
      lock = Lock.take(folder, names.lock);
      return new Partial(options, held, lock, names, await openFiles(options, held, lock, names));
    } catch (error) {
      const failure = held.failure(names.part, error);
      lock?.release();
      held.release();
      throw failure;
    }
  }

  /** Bytes of a chunk: the last one may be short. */
  lengthOf(chunk: number): number {
    return Math.min(this.chunkSize, this.size - chunk * this.chunkSize);
  }

  /**
   * Compares what is claimed with the manifest, reading chunk by chunk: what fits is `have`, the rest is forgotten.
   * @param hashes the manifest: the chunks' BLAKE3 hashes, 32 bytes each
   * @returns the chunks that are there, and their bytes
   * @throws HearsayError `wrong-content` for a manifest of another length, `interrupted` when it is closed meanwhile
   */
  async verify(hashes: Uint8Array): Promise<{ have: Bits; bytes: number }> {
    if (hashes.length !== this.claimed.length * HASH_BYTES) {
      throw new HearsayError('wrong-content', `${this.#options.path}: a manifest of another number of chunks`);
    }
    const chunks: number[] = [];
    for (let chunk = 0; chunk < this.claimed.length; chunk++) if (this.claimed.has(chunk)) chunks.push(chunk);
    let dropped = false;
    let next: Promise<Buffer | undefined> | undefined;
    for (let i = 0; i < chunks.length; i++) {
      const chunk = chunks[i];
      const hash = hashes.subarray(chunk * HASH_BYTES, (chunk + 1) * HASH_BYTES);
      const reading = next ?? this.#peek(chunk);
      // The disk reads on while this thread hashes.
      next = i + 1 < chunks.length ? this.#peek(chunks[i + 1]) : undefined;
      const data = this.#claims.denies(chunk, hash) ? undefined : await reading;
      if (this.#closed) throw this.#over();
      // Being written anew in the meantime.
      if (!this.claimed.has(chunk)) continue;
      if (data && blake3(data).equals(hash)) {
        this.have.add(chunk);
        this.#claims.add(chunk, hash);
      } else {
        this.have.delete(chunk);
        this.claimed.delete(chunk);
        dropped = true;
      }
    }
    if (this.#closed) throw this.#over();
    if (dropped) await this.#track(this.#journal.replace(headerOf(this.#options), this.#claims));
    let bytes = 0;
    for (let chunk = 0; chunk < this.have.length; chunk++) if (this.have.has(chunk)) bytes += this.lengthOf(chunk);
    return { have: this.have, bytes };
  }

  /**
   * Writes a verified chunk at its place and notes it. Both are with the system then, which outlives this process.
   * @param data the whole chunk
   * @param hash its BLAKE3 hash where the caller has it already
   * @throws HearsayError `disk-full`, `not-writable`; the chunk is then not there, the others are
   */
  write(chunk: number, data: Uint8Array, hash: Uint8Array = blake3(data)): Promise<void> {
    return this.#track(this.#write(chunk, data, hash));
  }

  async #write(chunk: number, data: Uint8Array, hash: Uint8Array): Promise<void> {
    this.#mayWork();
    if (!Number.isInteger(chunk) || chunk < 0 || chunk >= this.have.length || data.length !== this.lengthOf(chunk)) {
      throw new HearsayError('wrong-content', `${this.#options.path}: ${data.length} bytes as chunk ${chunk}`);
    }
    this.have.delete(chunk);
    this.claimed.delete(chunk);
    try {
      await writeWhole(this.#data, data, chunk * this.chunkSize);
      await this.#journal.append(chunk, hash);
    } catch (error) {
      throw this.#held.failure(this.#options.name, error);
    }
    this.#claims.add(chunk, hash);
    this.have.add(chunk);
  }

  /**
   * A chunk that is there, for serving onward.
   * @param into where its bytes are put, of the chunk's length; left out: in a buffer of its own
   * @throws HearsayError `not-found` for one that is not there, `not-readable`
   */
  async read(chunk: number, into?: Buffer): Promise<Buffer> {
    this.#mayWork();
    if (!this.have.has(chunk))
      throw new HearsayError('not-found', `${this.#options.path}: chunk ${chunk} is not here yet`);
    const data = await this.#peek(chunk, into);
    if (!data) throw new HearsayError('not-readable', `${this.target}: chunk ${chunk} could not be read`);
    return data;
  }

  /** A chunk as the disk has it, or undefined where it cannot be read whole. */
  #peek(chunk: number, into: Buffer = Buffer.allocUnsafeSlow(this.lengthOf(chunk))): Promise<Buffer | undefined> {
    if (this.#closed) return Promise.resolve(undefined);
    return this.#track(readInto(this.#data, chunk * this.chunkSize, into).catch(() => undefined));
  }

  /**
   * Makes it the complete file: time and permissions, to the disk where that is due, then its name. Whatever comes of
   * it, nothing is open afterwards; where it fails the partial stays.
   * @returns where the file is, absolute
   * @throws HearsayError `exists`, `in-the-way`, `wrong-content` where chunks are missing, `busy` where the lock was
   * lost
   */
  async finish(options: FinishOptions): Promise<string> {
    this.#mayWork();
    try {
      await this.#settle();
      if (!this.have.isFull) {
        const missing = this.have.length - this.have.count;
        throw new HearsayError('wrong-content', `${this.#options.path}: ${missing} chunks are missing`);
      }
      let whole: BigIntStats;
      try {
        await this.#data.truncate(this.size);
        await dress(this.#data, options);
        if (options.sync || this.size > this.chunkSize) await this.#data.sync();
        whole = await this.#data.stat({ bigint: true });
      } catch (error) {
        throw diskError(error, this.target);
      }
      await this.#closeFiles();
      const check = () => {
        if (!this.#lock.holds()) throw this.#lostError();
        this.#held.folder.check();
      };
      const { overwrite } = options;
      await land(this.#held, { from: this.#names.part, to: this.#options.name, overwrite, whole, check });
      removeNow(this.#held, this.#names.journal);
    } finally {
      await this.#end();
    }
    return this.target;
  }

  /** Leaves the partial for a later resume; one that holds nothing is removed. */
  async keep(): Promise<void> {
    if (this.#closed) return;
    await this.#settle();
    await (this.claimed.count === 0 ? this.#remove() : this.#end());
  }

  /** Removes the partial. */
  async discard(): Promise<void> {
    if (this.#closed) return;
    await this.#settle();
    await this.#remove();
  }

  async #remove(): Promise<void> {
    await this.#closeFiles();
    if (this.#lock.holds()) {
      removeNow(this.#held, this.#names.part);
      removeNow(this.#held, this.#names.journal);
    }
    await this.#end();
  }

  #over(): HearsayError {
    return new HearsayError('interrupted', `${this.#options.path}: the fetch has ended`);
  }

  /** Why the lock is not ours: with the folder it is gone too. */
  #lostError(): HearsayError {
    try {
      this.#held.folder.check();
    } catch (error) {
      return diskError(error, this.target);
    }
    return new HearsayError('busy', `${this.target}: another process went on with it while this one stood still`);
  }

  #mayWork(): void {
    if (this.#closed) throw this.#over();
    if (this.#lock.lost) throw this.#lostError();
  }

  #track<T>(work: Promise<T>): Promise<T> {
    this.#pending.add(work);
    const done = () => this.#pending.delete(work);
    work.then(done, done);
    return work;
  }

  /** From here on nothing new begins; resolves when nothing is under way. */
  async #settle(): Promise<void> {
    this.#closed = true;
    while (this.#pending.size > 0) await Promise.allSettled(this.#pending);
  }

  async #closeFiles(): Promise<void> {
    await this.#journal.close().catch(() => undefined);
    await this.#data.close().catch(() => undefined);
  }

  async #end(): Promise<void> {
    await this.#closeFiles();
    this.#lock.release();
    this.#held.release();
  }
}

/** Gives a complete file its time and its permissions. A disk that cannot hold them does not fail the file. */
async function dress(handle: FileHandle, { mtime, executable }: FinishOptions): Promise<void> {
  const time = utimeOf(mtime);
  await handle.utimes(time, time).catch(() => undefined);
  if (!executable || process.platform === 'win32') return;
  const { mode } = await handle.stat();
  await handle.chmod(executableMode(mode)).catch(() => undefined);
}
