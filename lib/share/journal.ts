/**
 * Which chunks of a partial file are there.
 *
 * A journal is a line of JSON with its checksum before it, and then records of 16 bytes, one for each chunk that was
 * written: the chunk's number (uint32), the first 8 bytes of its BLAKE3 hash (zeros: not known), and a check over both
 * (FNV-1a, uint32); all big-endian. A record that was torn or damaged is passed over, the others stand.
 *
 * Owns: the journal's file. Always true: records are only appended, and a whole new journal replaces the old one by
 * rename; what it claims is a hint, and whoever reads it compares the chunks with the manifest. Called by: `Partial`.
 */
import type { FileHandle } from 'node:fs/promises';
import { Bits } from '../bits.js';
import { HearsayError } from '../errors.js';
import { blake3 } from '../hash.js';
import { CHUNKS_MAX } from '../limits.js';
import { create, openThere, remove, replace } from './place-acts.js';
import { type Held, type Identity, isSame } from './place-folder.js';

const VERSION = 1;
const RECORD = 16;
/** Bytes of a hash that a record keeps. */
const PREFIX = 8;
/** A path of 4,096 bytes in JSON's longest spelling, a name, and the rest. */
const HEADER_MAX = 64 * 1024;
/** A chunk is written again only when it was found wrong, so a longer journal is not one of ours. */
const JOURNAL_MAX = HEADER_MAX + 4 * RECORD * CHUNKS_MAX;
const CHECK_HEX = 16;

/** What is being received. */
export interface JournalHeader {
  /** The wire path that was asked for. */
  path: string;
  /** The final name. */
  name: string;
  /** Content id, or null where it was not known. */
  id: string | null;
  size: number;
  chunkSize: number;
  /** The process that began it. */
  pid: number;
}

/** Chunks that are claimed, each perhaps with the beginning of its hash. */
export class Claims {
  readonly bits: Bits;
  readonly #prefixes: Uint8Array;

  /** @param count chunks of the file */
  constructor(count: number) {
    this.bits = new Bits(count);
    this.#prefixes = new Uint8Array(count * PREFIX);
  }

  /** Claims a chunk. @param hash its BLAKE3 hash or the first 8 bytes of it; none where it is not known */
  add(chunk: number, hash?: Uint8Array): void {
    if (chunk >= this.bits.length) return;
    this.bits.add(chunk);
    const at = chunk * PREFIX;
    if (hash) this.#prefixes.set(hash.subarray(0, PREFIX), at);
    else this.#prefixes.fill(0, at, at + PREFIX);
  }

  /** The beginning of a chunk's hash: 8 bytes, zeros where it is not known. */
  prefix(chunk: number): Uint8Array {
    return this.#prefixes.subarray(chunk * PREFIX, (chunk + 1) * PREFIX);
  }

  /** Whether the journal itself says that a chunk is not the one with this hash. */
  denies(chunk: number, hash: Uint8Array): boolean {
    const prefix = this.prefix(chunk);
    return prefix.some((byte) => byte !== 0) && prefix.some((byte, i) => byte !== hash[i]);
  }

  /**
   * The same bytes as claims of another size or other chunks: what is whole there is claimed.
   * @param from the chunk size of these claims, and the size of their file
   */
  recut(from: { size: number; chunkSize: number }, to: { size: number; chunkSize: number }): Claims {
    const claims = new Claims(Math.ceil(to.size / to.chunkSize));
    const same = from.chunkSize === to.chunkSize;
    for (let chunk = 0; chunk < claims.bits.length; chunk++) {
      const end = Math.min((chunk + 1) * to.chunkSize, to.size);
      let whole = end <= from.size;
      for (let old = Math.floor((chunk * to.chunkSize) / from.chunkSize); whole && old * from.chunkSize < end; old++) {
        whole = this.bits.has(old);
      }
      // A chunk that is cut elsewhere is another one, with another hash.
      const uncut = same && end === Math.min((chunk + 1) * from.chunkSize, from.size);
      if (whole) claims.add(chunk, uncut ? this.prefix(chunk) : undefined);
    }
    return claims;
  }
}

function check(record: Buffer, at: number): number {
  let hash = 0x811c9dc5;
  for (let i = at; i < at + RECORD - 4; i++) hash = Math.imul(hash ^ record[i], 0x01000193);
  return hash >>> 0;
}

function putRecord(into: Buffer, at: number, chunk: number, prefix: Uint8Array): void {
  into.writeUInt32BE(chunk, at);
  into.set(prefix.subarray(0, PREFIX), at + 4);
  into.writeUInt32BE(check(into, at), at + RECORD - 4);
}

/** A journal's bytes. */
export function encodeJournal(header: JournalHeader, claims: Claims): Buffer {
  const { path, name, id, size, chunkSize, pid } = header;
  const json = JSON.stringify({ hearsay: 'journal', version: VERSION, path, name, id, size, chunkSize, pid });
  const line = Buffer.from(`${blake3(json).toString('hex').slice(0, CHECK_HEX)} ${json}\n`);
  const bytes = Buffer.alloc(line.length + claims.bits.count * RECORD);
  line.copy(bytes);
  let at = line.length;
  for (let chunk = 0; chunk < claims.bits.length; chunk++) {
    if (!claims.bits.has(chunk)) continue;
    putRecord(bytes, at, chunk, claims.prefix(chunk));
    at += RECORD;
  }
  return bytes;
}

/** What a journal says. */
export interface JournalText {
  header: JournalHeader;
  claims: Claims;
  /** Bytes up to the end of the last whole record: the next one belongs there. */
  end: number;
}

/** Reads a journal's bytes; undefined where its first line is not whole or not ours. */
export function decodeJournal(bytes: Buffer): JournalText | undefined {
  const newline = bytes.subarray(0, HEADER_MAX).indexOf(10);
  if (newline < 0) return undefined;
  const header = decodeHeader(bytes.toString('utf8', 0, newline));
  if (!header) return undefined;
  const claims = new Claims(Math.ceil(header.size / header.chunkSize));
  let at = newline + 1;
  for (; at + RECORD <= bytes.length; at += RECORD) {
    if (bytes.readUInt32BE(at + RECORD - 4) !== check(bytes, at)) continue;
    claims.add(bytes.readUInt32BE(at), bytes.subarray(at + 4, at + 4 + PREFIX));
  }
  return { header, claims, end: at };
}

function decodeHeader(line: string): JournalHeader | undefined {
  const json = line.slice(CHECK_HEX + 1);
  if (line.slice(0, CHECK_HEX + 1) !== `${blake3(json).toString('hex').slice(0, CHECK_HEX)} `) return undefined;
  let read: unknown;
  try {
    read = JSON.parse(json);
  } catch {
    return undefined;
  }
  if (typeof read !== 'object' || read === null) return undefined;
  const { hearsay, version, path, name, id, size, chunkSize, pid } = read as Record<string, unknown>;
  if (hearsay !== 'journal' || version !== VERSION || typeof path !== 'string' || typeof name !== 'string') {
    return undefined;
  }
  if ((id !== null && typeof id !== 'string') || !isCount(size) || !isCount(chunkSize) || !isCount(pid))
    return undefined;
  if (chunkSize === 0 || size / chunkSize > CHUNKS_MAX) return undefined;
  return { path, name, id, size, chunkSize, pid };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** A journal that lies on the disk. */
export interface StoredJournal extends JournalText {
  file: Identity;
  /** Whose it is, as the system numbers users. */
  uid: number;
}

/**
 * Reads a journal from the disk; undefined where there is none that can be read, or it is another file's name too: to
 * write to it would change that file. Follows no link.
 * @param name of the journal, one segment
 */
export async function readJournal(held: Held, name: string): Promise<StoredJournal | undefined> {
  let handle: FileHandle | undefined;
  try {
    handle = await openThere(held, name, 'read');
    const { dev, ino, size, nlink, uid } = await handle.stat({ bigint: true });
    if (size > JOURNAL_MAX || nlink > 1n) return undefined;
    const text = decodeJournal(await readUpTo(handle, Number(size)));
    return text && { ...text, file: { dev, ino }, uid: Number(uid) };
  } catch {
    return undefined;
  } finally {
    await handle?.close();
  }
}

/** The first bytes of a file, however much it has grown meanwhile. */
async function readUpTo(handle: FileHandle, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  let at = 0;
  while (at < length) {
    const { bytesRead } = await handle.read(bytes, at, length - at, at);
    if (bytesRead === 0) break;
    at += bytesRead;
  }
  return bytes.subarray(0, at);
}

/** A journal that is written to. */
export class Journal {
  readonly #held: Held;
  readonly #name: string;
  #handle: FileHandle | undefined;
  #file: Identity | undefined;
  #end = 0;
  /** The last thing begun: appending and replacing happen one after the other. */
  #last: Promise<unknown> = Promise.resolve();

  /** @param name one segment; its lock is held, and the folder until the journal is closed */
  constructor(held: Held, name: string) {
    this.#held = held;
    this.#name = name;
  }

  /** Puts a whole new journal in place of what was there. */
  replace(header: JournalHeader, claims: Claims): Promise<void> {
    return this.#after(async () => {
      const bytes = encodeJournal(header, claims);
      const temporary = `${this.#name}.tmp`;
      await this.#handle?.close();
      this.#handle = undefined;
      await remove(this.#held, temporary);
      const handle = await create(this.#held, temporary);
      try {
        await writeWhole(handle, bytes, 0);
        const { dev, ino } = await handle.stat({ bigint: true });
        // Windows renames nothing that is open.
        await handle.close();
        await replace(this.#held, temporary, this.#name, { dev, ino });
        this.#file = { dev, ino };
      } catch (error) {
        await handle.close().catch(() => undefined);
        await remove(this.#held, temporary);
        throw error;
      }
      this.#end = bytes.length;
    });
  }

  /** Goes on with the journal that is there, as `readJournal` gave it. */
  resume({ end, file }: StoredJournal): void {
    this.#end = end;
    this.#file = file;
  }

  /** Notes that a chunk is written. @param hash its BLAKE3 hash */
  append(chunk: number, hash: Uint8Array): Promise<void> {
    return this.#after(async () => {
      const record = Buffer.alloc(RECORD);
      putRecord(record, 0, chunk, hash);
      this.#handle ??= await this.#open();
      // Where this fails the next record goes over it, so that a torn one never shifts those after it.
      await writeWhole(this.#handle, record, this.#end);
      this.#end += RECORD;
    });
  }

  /** Opens the journal for appending, if it is still the one that was written or read. */
  async #open(): Promise<FileHandle> {
    const handle = await openThere(this.#held, this.#name, 'write');
    try {
      const found = await handle.stat({ bigint: true });
      if (this.#file && isSame(found, this.#file)) return handle;
    } catch (error) {
      await handle.close();
      throw error;
    }
    await handle.close();
    throw new HearsayError('in-the-way', `${this.#held.tell(this.#name)} was exchanged while it was written`);
  }

  async close(): Promise<void> {
    await this.#after(async () => {
      const handle = this.#handle;
      this.#handle = undefined;
      await handle?.close();
    });
  }

  #after<T>(task: () => Promise<T>): Promise<T> {
    const run = this.#last.then(task);
    this.#last = run.catch(() => undefined);
    return run;
  }
}

/** Writes all of some bytes at a position; a disk that is nearly full may take a part only. */
export async function writeWhole(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, at, bytes.length - at, position + at);
    if (bytesWritten === 0) throw Object.assign(new Error('ENOSPC: nothing more was written'), { code: 'ENOSPC' });
    at += bytesWritten;
  }
}
