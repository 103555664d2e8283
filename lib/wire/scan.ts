import { HearsayError } from '../errors.js';

function bad(why: string): HearsayError {
  return new HearsayError('bad-message', `not a message: ${why}`);
}

/**
 * Walks MessagePack without building anything, and refuses what no message of ours holds: maps, extension types, deep
 * nesting, too many items, truncated or trailing bytes. Only what passes is unpacked.
 * @param items the most items, arrays counted too
 * @param depth the deepest nesting of arrays
 * @throws HearsayError `bad-message`
 */
export function scan(data: Uint8Array, items: number, depth: number): void {
  let at = 0;
  let seen = 0;
  const size = data.length;
  const uint = (width: number): number => {
    if (at + width > size) throw bad('truncated');
    let n = 0;
    for (let i = 0; i < width; i++) n = n * 256 + data[at++];
    return n;
  };
  // How many items are still to come at each level; a stack of numbers, never a recursion.
  const open: number[] = [1];
  while (open.length > 0) {
    if (open[open.length - 1] === 0) {
      open.pop();
      continue;
    }
    open[open.length - 1]--;
    if (++seen > items) throw bad('too many items');
    if (at >= size) throw bad('truncated');
    const tag = data[at++];
    let skip = 0;
    let inside = 0;
    if (tag < 0x80 || tag >= 0xe0) continue;
    else if (tag < 0x90) throw bad('a map');
    else if (tag < 0xa0) inside = tag & 15;
    else if (tag < 0xc0) skip = tag & 31;
    else if (tag === 0xc2 || tag === 0xc3) continue;
    else if (tag === 0xc4 || tag === 0xd9) skip = uint(1);
    else if (tag === 0xc5 || tag === 0xda) skip = uint(2);
    else if (tag === 0xc6 || tag === 0xdb) skip = uint(4);
    else if (tag === 0xca) skip = 4;
    else if (tag === 0xcb) skip = 8;
    else if (tag >= 0xcc && tag <= 0xcf) skip = 1 << (tag - 0xcc);
    else if (tag >= 0xd0 && tag <= 0xd3) skip = 1 << (tag - 0xd0);
    else if (tag === 0xdc) inside = uint(2);
    else if (tag === 0xdd) inside = uint(4);
    else throw bad(`the tag 0x${tag.toString(16)}`);
    if (skip > size - at) throw bad('truncated');
    at += skip;
    const isArray = (tag >= 0x90 && tag < 0xa0) || tag === 0xdc || tag === 0xdd;
    if (isArray) {
      // An item takes a byte at least, so a count beyond what is left is a lie.
      if (inside > size - at) throw bad('truncated');
      if (open.length > depth) throw bad('nested too deeply');
      open.push(inside);
    }
  }
  if (at !== size) throw bad('trailing bytes');
}
