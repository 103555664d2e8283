/**
 * Rows: offers of one writer, packed. A million objects with their paths and ids as strings take four times the room, and as long
 * to look through.
 *
 * Owns the columns. Always true: a row that was written keeps its place and what it says until the rows are packed anew; only its
 * state changes, from counting to not counting and back. So rows stand in the order in which they were written, and a frozen copy
 * costs a byte a row. Called by the shelf, the tree and the search.
 */
import { blake3 } from '../hash.js';
import type { PeerId } from '../ids.js';
import type { Kind, Offer, PeerOffer } from '../offer.js';
import { folded } from './folded.js';
import { SIGN, writeSign } from './signs.js';

export const KINDS: readonly Kind[] = ['file', 'executable', 'folder', 'removed'];
/** Bits of a row's state: the kind, whether it has an id, and whether it does not count any more. */
export const KIND = 3;
export const HAS_ID = 4;
export const DEAD = 8;
/** The kind of a tombstone. */
export const REMOVED = 3;
/** Bytes of a content id. */
export const ID = 32;

const FIRST = 8;
/** Rows from which on the room grows by half, not to the double. */
const LARGE = 4096;
/** Bytes of a name that are expected, and as many as are expected at the most. */
const NAME = 24;
const NAME_MOST = 96;

const NO_BYTES = new Uint8Array(0);
const NO_WORDS = new Uint32Array(0);
const NO_NUMBERS = new Float64Array(0);
const NO_BUFFER = Buffer.alloc(0);

/** A path as it is looked for. */
export interface Key {
  folder: string;
  name: string;
  /** The bucket, and the hash by which it is found. */
  bucket: number;
  hash: number;
}

export function keyOf(path: string): Key {
  const bytes = blake3(path);
  const slash = path.lastIndexOf('/') + 1;
  const hash = (bytes[1] | (bytes[2] << 8) | (bytes[3] << 16) | (bytes[4] << 24)) >>> 0;
  return { folder: path.slice(0, slash), name: path.slice(slash), bucket: bytes[0], hash };
}

/** The same content in a shorter array. */
function resized<T extends Uint8Array | Uint32Array | Float64Array>(column: T, room: number): T {
  const wider = new (column.constructor as new (length: number) => T)(room);
  wider.set(column.length > room ? (column.subarray(0, room) as T) : column);
  return wider;
}

export class Rows {
  length = 0;
  state = NO_BYTES;
  bucket = NO_BYTES;
  hash = NO_WORDS;
  /** The number of the folder that a row is in. */
  folder = NO_WORDS;
  size = NO_NUMBERS;
  mtime = NO_NUMBERS;
  version = NO_NUMBERS;
  /** Content ids, each of ID bytes. */
  ids = NO_BYTES as Uint8Array;
  /** Names one after another, each followed by itself without case and accents where that is more than ASCII's lower case. */
  names: Buffer = NO_BUFFER;
  /** Where a row's names end; they begin where those of the row before end. */
  end = NO_WORDS;
  /** Bytes of the name itself, which are 255 at most. */
  nameLength = NO_BYTES;
  /** What may occur in each name without case and accents, SIGN words a row. */
  sign = NO_WORDS;
  /** Folders with their slash, "" for none; the same without case and accents; and the bytes of each. */
  folders: string[] = [];
  plainFolders: string[] = [];
  folderBytes: number[] = [];
  #numbers = new Map<string, number>();
  /** The ids' bytes once more, as what makes text of them. */
  #idBytes: Buffer = NO_BUFFER;

  /** Makes room for so many rows in all. */
  reserve(rows: number): void {
    if (rows <= this.state.length) return;
    this.#resize(rows);
    // Of many more there will be room when it has been seen how long they are.
    const names = Math.min(rows, LARGE) * NAME;
    if (this.names.length < names) this.#resizeNames(this.nameStart(this.length), names);
  }

  /** Gives back the room that is left, where it is much. */
  fit(): void {
    const { length } = this;
    if (this.state.length > length + (length >> 3) + FIRST) this.#resize(length);
    const bytes = this.nameStart(length);
    if (this.names.length > bytes + (bytes >> 3) + 64) this.#resizeNames(bytes, bytes);
  }

  /** @returns the new row */
  push(key: Key, offer: Offer): number {
    const row = this.length;
    if (row === this.state.length) this.#resize(row === 0 ? FIRST : row < LARGE ? row * 2 : row + (row >> 1));
    const { name } = key;
    this.state[row] = KINDS.indexOf(offer.kind) | (offer.id === null ? 0 : HAS_ID);
    this.bucket[row] = key.bucket;
    this.hash[row] = key.hash;
    this.folder[row] = this.#numberOf(key.folder);
    this.size[row] = offer.size;
    this.mtime[row] = offer.mtime;
    this.version[row] = offer.version;
    if (offer.id !== null) this.#writeId(row * ID, offer.id);
    const start = this.nameStart(row);
    // A code unit takes three bytes at most, and what it is folded into no more than eighteen of them.
    if (start + name.length * 3 > this.names.length) this.#moreNames(start, start + name.length * 3);
    let end = start + this.#writeText(name, start);
    this.nameLength[row] = end - start;
    let plainFrom = start;
    if (end - start !== name.length) {
      const plain = folded(name);
      if (plain !== asciiLower(name)) {
        if (end + plain.length * 3 > this.names.length) this.#moreNames(end, end + plain.length * 3);
        plainFrom = end;
        end += this.names.write(plain, end);
      }
    }
    writeSign(this.names, plainFrom, end, this.sign, row * SIGN);
    this.end[row] = end;
    this.length++;
    return row;
  }

  /** Takes back the last rows, until there are so many. */
  truncate(length: number): void {
    this.length = length;
  }

  nameStart(row: number): number {
    return row === 0 ? 0 : this.end[row - 1];
  }

  name(row: number): string {
    const start = this.nameStart(row);
    return this.names.toString('utf8', start, start + this.nameLength[row]);
  }

  /** A name without case and accents. */
  plainName(row: number): string {
    const start = this.nameStart(row);
    const raw = start + this.nameLength[row];
    const end = this.end[row];
    return raw < end ? this.names.toString('utf8', raw, end) : this.names.toString('utf8', start, raw).toLowerCase();
  }

  /** Characters of a path, as text has them. */
  pathLength(row: number): number {
    const start = this.nameStart(row);
    let length = this.folders[this.folder[row]].length;
    for (let i = start; i < start + this.nameLength[row]; i++) {
      // What goes on with a character is none; one of four bytes is two.
      if ((this.names[i] & 0xc0) !== 0x80) length += this.names[i] >= 0xf0 ? 2 : 1;
    }
    return length;
  }

  path(row: number): string {
    return this.folders[this.folder[row]] + this.name(row);
  }

  /** Bytes of a path. */
  pathBytes(row: number): number {
    return this.folderBytes[this.folder[row]] + this.nameLength[row];
  }

  id(row: number): string | null {
    if ((this.state[row] & HAS_ID) === 0) return null;
    const { ids } = this;
    if (this.#idBytes.buffer !== ids.buffer) this.#idBytes = Buffer.from(ids.buffer, ids.byteOffset, ids.length);
    return this.#idBytes.toString('hex', row * ID, row * ID + ID);
  }

  /** The offer of a row, made anew each time. @param path its path, where that was made already */
  offer(row: number, peer: PeerId, path = this.path(row)): PeerOffer {
    return {
      path,
      kind: KINDS[this.state[row] & KIND],
      size: this.size[row],
      mtime: this.mtime[row],
      id: this.id(row),
      version: this.version[row],
      peer,
    };
  }

  /** Whether a row is at a path. */
  isAt(row: number, { folder, name, hash }: Key): boolean {
    return this.hash[row] === hash && this.folders[this.folder[row]] === folder && this.name(row) === name;
  }

  isLive(row: number): boolean {
    return (this.state[row] & DEAD) === 0 && (this.state[row] & KIND) !== REMOVED;
  }

  /** These rows as they are now, whatever is written later. Nothing may be written to the copy. */
  frozen(): Rows {
    const copy = this.#alike();
    copy.state = this.state.slice(0, this.length);
    return copy;
  }

  /** A copy for writing. */
  copy(): Rows {
    const copy = this.#alike();
    copy.state = this.state.slice();
    copy.bucket = this.bucket.slice();
    copy.hash = this.hash.slice();
    copy.folder = this.folder.slice();
    copy.size = this.size.slice();
    copy.mtime = this.mtime.slice();
    copy.version = this.version.slice();
    copy.ids = this.ids.slice();
    copy.names = Buffer.from(this.names);
    copy.end = this.end.slice();
    copy.nameLength = this.nameLength.slice();
    copy.sign = this.sign.slice();
    copy.folders = [...this.folders];
    copy.plainFolders = [...this.plainFolders];
    copy.folderBytes = [...this.folderBytes];
    copy.#numbers = new Map(this.#numbers);
    return copy;
  }

  /** Appends a row of others. */
  take(from: Rows, row: number): number {
    const folder = from.folders[from.folder[row]];
    const key = { folder, name: from.name(row), bucket: from.bucket[row], hash: from.hash[row] };
    return this.push(key, from.offer(row, ''));
  }

  #alike(): Rows {
    const copy = new Rows();
    Object.assign(copy, this);
    return copy;
  }

  #numberOf(folder: string): number {
    const last = this.length > 0 ? this.folder[this.length - 1] : -1;
    if (last >= 0 && this.folders[last] === folder) return last;
    let number = this.#numbers.get(folder);
    if (number === undefined) {
      number = this.folders.length;
      // Not a part of a path that was sent: that would keep all of it.
      const own = Buffer.from(folder).toString();
      this.folders.push(own);
      const plain = folded(own);
      this.plainFolders.push(plain === own ? own : plain);
      this.folderBytes.push(Buffer.byteLength(own));
      this.#numbers.set(own, number);
    }
    return number;
  }

  #writeId(at: number, id: string): void {
    const { ids } = this;
    for (let i = 0; i < ID; i++) ids[at + i] = (digit(id, 2 * i) << 4) | digit(id, 2 * i + 1);
  }

  /** Writes UTF-8. @returns how many bytes */
  #writeText(text: string, at: number): number {
    const { names } = this;
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      if (unit > 127) return names.write(text, at);
      names[at + i] = unit;
    }
    return text.length;
  }

  #resize(room: number): void {
    this.state = resized(this.state, room);
    this.bucket = resized(this.bucket, room);
    this.hash = resized(this.hash, room);
    this.folder = resized(this.folder, room);
    this.size = resized(this.size, room);
    this.mtime = resized(this.mtime, room);
    this.version = resized(this.version, room);
    this.ids = resized(this.ids, room * ID);
    this.end = resized(this.end, room);
    this.nameLength = resized(this.nameLength, room);
    this.sign = resized(this.sign, room * SIGN);
  }

  /** @param used bytes that are kept */
  #moreNames(used: number, least: number): void {
    const now = this.names.length;
    const more = now < LARGE * NAME ? now * 2 : now + (now >> 1);
    // For as many rows as there is room for, so that it is not copied again and again.
    const mean = this.length > 0 ? Math.min(NAME_MOST, used / this.length) : 0;
    this.#resizeNames(used, Math.max(least, more, Math.ceil(mean * this.state.length * 1.1)));
  }

  #resizeNames(used: number, room: number): void {
    const wider = Buffer.from(new ArrayBuffer(room));
    this.names.copy(wider, 0, 0, used);
    this.names = wider;
  }
}

function digit(hex: string, at: number): number {
  const unit = hex.charCodeAt(at);
  return unit < 58 ? unit - 48 : unit - 87;
}

function asciiLower(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}
