/** Offers as the lines that a bucket's hash is over, written as bytes. Pure; called by the tree. */
import { HAS_ID, ID, KIND, type Rows } from './rows.js';

const ZERO = 48;
const SPACE = 32;
const DASH = 45;
/** Each byte as its two hexadecimal digits. */
const HEX = Buffer.from(
  Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0')).join(''),
  'latin1',
);
const SPLIT = 10_000_000;
/** Bytes of a line but for its path, at most. */
export const LINE = 4 + 3 * 17 + 2 * ID + 8;

/** Writes a whole number. @returns where it ends */
function writeNumber(to: Uint8Array, at: number, value: number): number {
  if (value < 0) {
    to[at] = DASH;
    return writeNumber(to, at + 1, -value);
  }
  if (value < SPLIT) return writeSmall(to, at, value, 1);
  const high = Math.floor(value / SPLIT);
  const next = writeNumber(to, at, high);
  return writeSmall(to, next, value - high * SPLIT, 7);
}

function writeSmall(to: Uint8Array, at: number, value: number, digits: number): number {
  let rest = value | 0;
  let count = digits;
  for (let bound = 10 ** digits; bound <= rest; bound *= 10) count++;
  for (let i = at + count - 1; i >= at; i--) {
    const tenth = (rest / 10) | 0;
    to[i] = ZERO + rest - tenth * 10;
    rest = tenth;
  }
  return at + count;
}

/** Bytes that the lines of some rows take, at most. */
export function linesMost(rows: Rows, some: Uint32Array): number {
  let sum = 0;
  for (const row of some) sum += LINE + rows.pathBytes(row);
  return sum;
}

/** Writes the line of a row. @returns where it ends */
export function writeLine(rows: Rows, row: number, to: Buffer, begin: number): number {
  let at = writeNumber(to, begin, rows.version[row]);
  to[at++] = SPACE;
  to[at++] = ZERO + (rows.state[row] & KIND);
  to[at++] = SPACE;
  at = writeNumber(to, at, rows.size[row]);
  to[at++] = SPACE;
  at = writeNumber(to, at, rows.mtime[row]);
  to[at++] = SPACE;
  if (rows.state[row] & HAS_ID) {
    const { ids } = rows;
    for (let i = row * ID; i < row * ID + ID; i++) {
      const digits = ids[i] * 2;
      to[at++] = HEX[digits];
      to[at++] = HEX[digits + 1];
    }
  } else to[at++] = DASH;
  to[at++] = SPACE;
  at = writeNumber(to, at, rows.pathBytes(row));
  to[at++] = ZERO + 10;
  at = writeFolder(rows.folders[rows.folder[row]], to, at);
  const { names } = rows;
  const start = rows.nameStart(row);
  for (let i = start; i < start + rows.nameLength[row]; i++) to[at++] = names[i];
  to[at++] = 10;
  return at;
}

function writeFolder(folder: string, to: Buffer, begin: number): number {
  for (let i = 0; i < folder.length; i++) {
    const unit = folder.charCodeAt(i);
    if (unit > 127) return begin + to.write(folder, begin);
    to[begin + i] = unit;
  }
  return begin + folder.length;
}
