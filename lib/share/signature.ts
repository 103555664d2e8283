import type { BigIntStats } from 'node:fs';

/**
 * What tells one state of a file from another without reading it: device, inode, size, mtime and ctime, 40 bytes as a
 * string of one-byte characters, which costs less memory than a Buffer and compares with `===`.
 * The numbers stand in this machine's byte order: a signature means nothing anywhere else.
 */
export type Signature = string;

const words = new BigUint64Array(5);
const bytes = Buffer.from(words.buffer);

/** Bytes of a signature. */
export const SIGNATURE_BYTES = bytes.length;

export function signatureOf(stats: BigIntStats): Signature {
  words[0] = stats.dev;
  words[1] = stats.ino;
  words[2] = stats.size;
  words[3] = stats.mtimeNs;
  words[4] = stats.ctimeNs;
  return bytes.toString('latin1');
}

/** The part of a signature that says which file it is, whatever is in it: device and inode. */
export function identityOf(signature: Signature): string {
  return signature.slice(0, 16);
}

/** A signature as the bytes of a key. */
export function signatureBytes(signature: Signature): Buffer {
  return Buffer.from(signature, 'latin1');
}

/**
 * The modification time in whole milliseconds: the nearest, so that a time that was set from milliseconds, as a number
 * of seconds that is a hair too small, comes out as it went in.
 */
export function mtimeOf(stats: BigIntStats): number {
  return Math.round(Number(stats.mtimeNs / 1000n) / 1000);
}

/** When a file was last written or moved, whole milliseconds: renaming changes only the ctime. */
export function changedAt(stats: BigIntStats): number {
  return Math.max(Number(stats.ctimeNs / 1_000_000n), Number(stats.mtimeNs / 1_000_000n));
}

/** What an offer says of a regular file: executable where its owner may run it. Windows has no such bit. */
export function fileKind(stats: BigIntStats): 'file' | 'executable' {
  return process.platform !== 'win32' && (stats.mode & 0o100n) !== 0n ? 'executable' : 'file';
}
