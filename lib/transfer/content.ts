/**
 * The arithmetic of contents: how a file is cut into chunks, and the id that names a content whatever file holds it.
 * An id covers the Merkle root of the chunks' hashes, so that a range of hashes can be proved against it.
 */
import { blake3, blake3Hex } from '../hash.js';

const KIB = 1024;
const MIB = 1024 * KIB;

/** Bytes of one hash. */
export const HASH_BYTES = 32;

/** What an id is the hash of, first of all, so that it can be taken for nothing else. */
const DOMAIN = Buffer.from('hearsay content 1\0');

/** Goes before the two halves of an inner node, so that no node can be passed off as a chunk's first bytes. */
const INNER = 1;

/**
 * Bytes of a chunk of a file: 256 KiB up to 128 MiB, 1 MiB up to 4 GiB, else 4 MiB. Small files have whole copies
 * sooner that way, large ones have short manifests. The last chunk may be shorter.
 * @param size bytes of the file
 */
export function chunkSizeOf(size: number): number {
  if (size <= 128 * MIB) return 256 * KIB;
  return size <= 4096 * MIB ? MIB : 4 * MIB;
}

/** How many chunks a file of `size` bytes has; none when it is empty. */
export function chunkCount(size: number): number {
  return Math.ceil(size / chunkSizeOf(size));
}

/** Bytes of chunk number `chunk` of a file of `size` bytes; 0 where it has no such chunk. */
export function chunkLength(size: number, chunk: number): number {
  const whole = chunkSizeOf(size);
  return Math.max(0, Math.min(whole, size - chunk * whole));
}

/**
 * The Merkle root of some chunk hashes: a leaf is a hash itself, an inner node the BLAKE3 of a byte 1 and its two
 * children; the last of an odd number goes up one level as it is; of none at all the root is 32 zero bytes.
 * @param hashes 32 bytes for each chunk, one after another; not changed
 */
export function merkleRoot(hashes: Uint8Array): Uint8Array {
  if (hashes.length === 0) return new Uint8Array(HASH_BYTES);
  const level = Uint8Array.from(hashes);
  const node = new Uint8Array(1 + 2 * HASH_BYTES);
  node[0] = INNER;
  for (let count = level.length / HASH_BYTES; count > 1; count = (count + 1) >> 1) {
    for (let i = 0; i < count; i += 2) {
      const at = i * HASH_BYTES;
      const up = at >> 1;
      if (i + 1 === count) level.copyWithin(up, at, at + HASH_BYTES);
      else {
        node.set(level.subarray(at, at + 2 * HASH_BYTES), 1);
        level.set(blake3(node), up);
      }
    }
  }
  return level.subarray(0, HASH_BYTES);
}

/**
 * The content id: hexadecimal BLAKE3 of the domain, the size (uint64), the chunk size (uint32), both big-endian, and
 * the Merkle root.
 * @param size bytes of the content
 * @param hashes BLAKE3 of each chunk, 32 bytes each, one after another
 * @throws RangeError where the number of hashes is not that of the chunks
 */
export function contentId(size: number, hashes: Uint8Array): string {
  if (hashes.length !== chunkCount(size) * HASH_BYTES) {
    throw new RangeError(`${hashes.length} bytes of hashes for ${chunkCount(size)} chunks`);
  }
  const head = Buffer.alloc(DOMAIN.length + 12 + HASH_BYTES);
  DOMAIN.copy(head);
  head.writeBigUInt64BE(BigInt(size), DOMAIN.length);
  head.writeUInt32BE(chunkSizeOf(size), DOMAIN.length + 8);
  head.set(merkleRoot(hashes), DOMAIN.length + 12);
  return blake3(head).toString('hex');
}

/**
 * The content id of a content that is at hand whole and is at most one chunk.
 * @throws RangeError where it is longer
 */
export function idOfSmall(data: Uint8Array): string {
  if (data.length > SMALL_CHUNK) throw new RangeError(`${data.length} bytes are not one chunk`);
  // The root of one chunk is its hash.
  if (data.length === 0) SMALL_HEAD.fill(0, ROOT_AT);
  else SMALL_HEAD.write(blake3Hex(data), ROOT_AT, 'hex');
  SMALL_HEAD.writeUInt32BE(data.length, ROOT_AT - 8);
  return blake3Hex(SMALL_HEAD);
}

const SMALL_CHUNK = chunkSizeOf(0);
const ROOT_AT = DOMAIN.length + 12;
/** What the id of a content of one chunk is the hash of, filled in anew for each: they are many. */
const SMALL_HEAD = Buffer.alloc(ROOT_AT + HASH_BYTES);
DOMAIN.copy(SMALL_HEAD);
SMALL_HEAD.writeUInt32BE(SMALL_CHUNK, ROOT_AT - 4);
