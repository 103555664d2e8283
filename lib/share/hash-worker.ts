/** Runs in a thread of its own: reads files and hashes their chunks, and says so when one changed meanwhile. */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { blake3 } from '../hash.js';
import { chunkSizeOf, contentId, HASH_BYTES } from '../transfer/content.js';
import { STOP } from './disk-pool.js';
import { type Signature, signatureOf } from './signature.js';

/** Bytes read at a time: as long as a stop may take to be noticed. */
const READ = 4 * 1024 * 1024;
let buffer: Buffer | undefined;

/** Some chunks of one file. */
export interface HashPiece {
  file: string;
  signature: Signature;
  size: number;
  /** The first chunk, and how many. */
  first: number;
  count: number;
}

/** Either chunks of files, or the id of a content whose hashes are too many to be put together elsewhere. */
export type HashTask = { pieces: HashPiece[]; flags: Int32Array } | { identify: { size: number; hashes: Uint8Array } };

/** How it went: the file was in the state of its signature from beginning to end; it was not; an error of the system. */
export type HashResult = { hashes: Uint8Array } | { changed: true } | { error: string };

class Stopped extends Error {}

export default function hashWorker(task: HashTask): HashResult[] | string {
  if ('identify' in task) return contentId(task.identify.size, task.identify.hashes);
  const results: HashResult[] = [];
  try {
    for (const piece of task.pieces) results.push(one(piece, task.flags));
  } catch (thrown) {
    // Those that are missing in the answer were not hashed.
    if (!(thrown instanceof Stopped)) throw thrown;
  }
  return results;
}

function one(piece: HashPiece, flags: Int32Array): HashResult {
  let fd: number | undefined;
  try {
    // Not to wait for a writer where a file became a pipe.
    fd = openSync(piece.file, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    const same = () => signatureOf(fstatSync(fd!, { bigint: true })) === piece.signature;
    if (!same()) return { changed: true };
    const hashes = chunks(fd, piece, flags);
    return hashes && same() ? { hashes } : { changed: true };
  } catch (thrown) {
    if (thrown instanceof Stopped) throw thrown;
    return { error: (thrown as NodeJS.ErrnoException).code ?? String(thrown) };
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

/** The hashes of a piece's chunks; undefined where the file ends early. */
function chunks(fd: number, { size, first, count }: HashPiece, flags: Int32Array): Uint8Array | undefined {
  buffer ??= Buffer.allocUnsafeSlow(READ);
  const chunk = chunkSizeOf(size);
  const hashes = new Uint8Array(count * HASH_BYTES);
  const end = Math.min(size, (first + count) * chunk);
  let out = 0;
  for (let at = first * chunk; at < end; ) {
    if (Atomics.load(flags, STOP) !== 0) throw new Stopped();
    const wanted = Math.min(READ, end - at);
    let filled = 0;
    while (filled < wanted) {
      const got = readSync(fd, buffer, filled, wanted - filled, at + filled);
      if (got === 0) return undefined;
      filled += got;
    }
    for (let from = 0; from < filled; from += chunk) {
      hashes.set(blake3(buffer.subarray(from, Math.min(from + chunk, filled))), out);
      out += HASH_BYTES;
    }
    at += filled;
  }
  return hashes;
}
