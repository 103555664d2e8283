/**
 * What a name may hold, in 64 bits: one for each pair of neighbouring bytes, as a Bloom filter has it. Where a bit of what is looked
 * for is lacking the name need not be read; where all are set it may be there. Pure; called by the rows, which keep them, and the scan.
 */

/** Words of 32 bits that the sign of a name takes. */
export const SIGN = 2;

/** ASCII letters in lower case, all other bytes as they are. */
export const LOWER = Uint8Array.from({ length: 256 }, (_, byte) => (byte >= 65 && byte <= 90 ? byte + 32 : byte));

/** Puts the sign of some bytes, whatever the case of their ASCII letters, at a place. */
export function writeSign(bytes: Uint8Array, from: number, end: number, to: Uint32Array, at: number): void {
  let low = 0;
  let high = 0;
  for (let i = from + 1; i < end; i++) {
    const bit = Math.imul((LOWER[bytes[i - 1]] << 8) | LOWER[bytes[i]], 0x9e3779b1) >>> 26;
    if (bit < 32) low |= 1 << bit;
    else high |= 1 << (bit - 32);
  }
  to[at] = low;
  to[at + 1] = high;
}

/** What the sign of a name has at least in which all of these occur. */
export function signOf(texts: Iterable<string>): Uint32Array {
  const all = new Uint32Array(SIGN);
  const one = new Uint32Array(SIGN);
  for (const text of texts) {
    const bytes = Buffer.from(text);
    writeSign(bytes, 0, bytes.length, one, 0);
    for (let i = 0; i < SIGN; i++) all[i] |= one[i];
  }
  return all;
}
