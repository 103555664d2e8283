/**
 * What occurs in a path, in short: Bloom filters over the pieces of up to three characters of its folded text, of its file name
 * once more, and over that name as a whole. They may say that something occurs which does not, never the other way round.
 * There is a large one for each block of neighbouring paths, by which most blocks are passed over, and a small one for each path
 * in it, by which most paths are. As their sizes are fixed, a path of any length and content costs no more than any other, and
 * fills no filter but those of its own neighbours.
 * Pure; called by the search.
 */

/** Words of 32 bits in the filter of a block, 4 KiB: 256 paths have some 4,000 pieces, with which one bit in four is set. */
const WORDS = 1024;
const MASK = WORDS * 32 - 1;
/** Bits for each path, 64 bytes: some 60 pieces of three set one in five; those of two would only fill it. */
const BITS = 512;
/** Paths of a block at most, and words in which each has a bit. */
const PATHS = 256;
const ROW = PATHS / 32;

/** The filters of a block. */
export interface Grams {
  readonly block: Uint32Array;
  /** For each of the BITS a row with a bit for each path, so that to ask all paths for a piece is to look at two rows. */
  readonly rows: Uint32Array;
  /** The bit of each path in a row, in the order of the paths. */
  readonly slots: Uint8Array;
  /** Those that are nobody's, whose bits are clear; and from which on they never were. */
  readonly free: number[];
  unused: number;
}

/** What a path must have in it. */
export interface Needed {
  /** For the block. */
  readonly hashes: readonly number[];
  /** For the path: the rows in which its bit must be set. */
  readonly rows: readonly number[];
}

/** A piece that occurs, as a hash; whether the filters of paths have it. */
interface Piece {
  hash: number;
  isSigned: boolean;
}

export function newGrams(): Grams {
  const [block, rows] = [new Uint32Array(WORDS), new Uint32Array(BITS * ROW)];
  return { block, rows, slots: new Uint8Array(PATHS), free: [], unused: 0 };
}

function mix(h: number): number {
  h = Math.imul(h ^ (h >>> 15), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

function of3(a: number, b: number, c: number): number {
  return mix(Math.imul(a, 0x9e3779b1) ^ Math.imul(b, 0x27d4eb2f) ^ Math.imul(c, 0x165667b1));
}

function of2(a: number, b: number): number {
  return mix(Math.imul(a, 0x2545f491) ^ Math.imul(b, 0x61c88647) ^ 0x2222);
}

function of1(a: number): number {
  return mix(Math.imul(a, 0x5bd1e995) ^ 0x1111);
}

/** FNV-1a. */
function ofWhole(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return mix(hash);
}

/** A piece of three of the file name, told from the same anywhere in the path. */
function inName(hash: number): number {
  return mix(hash ^ 0x3333);
}

/** The two rows of a piece: other bits of its hash than those of the block. */
function rowsOf(hash: number): [number, number] {
  return [(hash >>> 7) % BITS, (hash >>> 23) % BITS];
}

function set(bits: Uint32Array, bit: number): void {
  bits[bit >> 5] |= 1 << (bit & 31);
}

function has(bits: Uint32Array, bit: number): boolean {
  return (bits[bit >> 5] & (1 << (bit & 31))) !== 0;
}

function put(block: Uint32Array, hash: number): void {
  set(block, hash & MASK);
  set(block, (hash >>> 16) & MASK);
}

/**
 * Puts a path in at its place; those from there on move on by one.
 * @param count of paths until now, below 256
 * @param text the path without case and accents
 * @param begin where its last segment begins in that
 * @param name its last segment as it is
 */
export function addPath(grams: Grams, place: number, count: number, text: string, begin: number, name: string): void {
  const { block, rows, slots, free } = grams;
  const slot = free.pop() ?? grams.unused++;
  slots.copyWithin(place + 1, place, count);
  slots[place] = slot;
  const word = slot >> 5;
  const bit = 1 << (slot & 31);
  const sign = (hash: number) => {
    put(block, hash);
    const [a, b] = rowsOf(hash);
    rows[a * ROW + word] |= bit;
    rows[b * ROW + word] |= bit;
  };
  let before = 0;
  let last = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    // A single Latin letter occurs everywhere; a single ideograph is a word.
    if (unit > 127) put(block, of1(unit));
    if (i > 0) put(block, of2(last, unit));
    if (i > 1) {
      const hash = of3(before, last, unit);
      sign(hash);
      if (i > begin + 1) sign(inName(hash));
    }
    before = last;
    last = unit;
  }
  sign(ofWhole(name));
}

/** Takes a path out; what is in the filter of the block stays there. @param count of paths until now */
export function removePath({ rows, slots, free }: Grams, place: number, count: number): void {
  const slot = slots[place];
  slots.copyWithin(place, place + 1, count);
  const others = ~(1 << (slot & 31));
  for (let at = slot >> 5; at < rows.length; at += ROW) rows[at] &= others;
  free.push(slot);
}

/** The pieces that a path has in which a text occurs. @param text without case and accents */
export function pieces(text: string): Piece[] {
  if (text.length === 1) return text.charCodeAt(0) > 127 ? [{ hash: of1(text.charCodeAt(0)), isSigned: false }] : [];
  if (text.length === 2) return [{ hash: of2(text.charCodeAt(0), text.charCodeAt(1)), isSigned: false }];
  const out: Piece[] = [];
  for (let i = 2; i < text.length; i++) {
    out.push({ hash: of3(text.charCodeAt(i - 2), text.charCodeAt(i - 1), text.charCodeAt(i)), isSigned: true });
  }
  return out;
}

/** The pieces that a path has in whose last segment a text occurs. @param text without case and accents */
export function namePieces(text: string): Piece[] {
  return pieces(text).map(({ hash, isSigned }) => ({ hash: isSigned ? inName(hash) : hash, isSigned }));
}

/** What a path has whose last segment this is. */
export function wholeName(name: string): Piece {
  return { hash: ofWhole(name), isSigned: true };
}

/** All of these together. */
export function needed(all: readonly Piece[]): Needed {
  const rows = all.flatMap(({ hash, isSigned }) => (isSigned ? rowsOf(hash) : []));
  return { hashes: [...new Set(all.map(({ hash }) => hash))], rows: [...new Set(rows)] };
}

/** Whether a path of this block may have all of it. */
export function blockMayHave({ block }: Grams, { hashes }: Needed): boolean {
  for (const hash of hashes) if (!has(block, hash & MASK) || !has(block, (hash >>> 16) & MASK)) return false;
  return true;
}

/** The places of the paths that may have all of it. @param count of paths */
export function candidates({ rows, slots }: Grams, count: number, needed: Needed): number[] {
  const may = new Uint32Array(ROW).fill(0xffffffff);
  for (const row of needed.rows) for (let i = 0; i < ROW; i++) may[i] &= rows[row * ROW + i];
  const out: number[] = [];
  if (may.every((word) => word === 0)) return out;
  for (let place = 0; place < count; place++) {
    const slot = slots[place];
    if (may[slot >> 5] & (1 << (slot & 31))) out.push(place);
  }
  return out;
}
