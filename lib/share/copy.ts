/**
 * What is on this machine already need not be fetched: other files with the same content, or with some of its chunks.
 */
import type { FileHandle } from 'node:fs/promises';
import { blake3 } from '../hash.js';
import { contentId, HASH_BYTES } from '../transfer/content.js';
import { Partial, type PartialOptions } from './partial.js';
import { type SmallFile, writeSmall } from './partial-small.js';
import { openSource, readAt } from './place-existing.js';

/**
 * Begins a partial from a file of this machine: cloned where the disk can, else copied; and every chunk of it compared
 * with the manifest. An earlier partial's chunks that fit are kept. The partial is full where the file had the content.
 * @param from absolute; may be gone, or hold something else by now: then less is taken
 * @param hashes the manifest, 32 bytes for each chunk
 * @returns the open partial; `finish`, or fetch what it lacks. Errors as of `Partial.open` and `write`
 */
export async function copyLocal(from: string, options: PartialOptions, hashes: Uint8Array): Promise<Partial> {
  const partial = await Partial.open({ ...options, seed: from });
  try {
    await partial.verify(hashes);
    if (!partial.have.isFull) await copyChunks(from, partial, hashes);
  } catch (error) {
    await partial.keep();
    throw error;
  }
  return partial;
}

/**
 * Takes from a file the chunks that a partial lacks: of an older version those that did not change. The file is cut at
 * the manifest's chunk size, whatever its own would be.
 * @returns bytes that were taken; 0 where the file cannot be read
 * @throws HearsayError as of `Partial.write`
 */
export async function copyChunks(from: string, partial: Partial, hashes: Uint8Array): Promise<number> {
  let bytes = 0;
  const handle = await openSource(from);
  if (!handle) return 0;
  try {
    for (let chunk = 0; chunk < partial.have.length; chunk++) {
      if (partial.have.has(chunk)) continue;
      const found = await fitting(handle, chunk, partial, hashes);
      if (!found) continue;
      await partial.write(chunk, found.data, found.hash);
      bytes += found.data.length;
    }
  } finally {
    await handle.close();
  }
  return bytes;
}

/** A chunk as a file has it, with its hash; undefined where it is another one, or cannot be read. */
async function fitting(
  handle: FileHandle,
  chunk: number,
  partial: Partial,
  hashes: Uint8Array,
): Promise<{ data: Buffer; hash: Uint8Array } | undefined> {
  const hash = hashes.subarray(chunk * HASH_BYTES, (chunk + 1) * HASH_BYTES);
  const data = await readAt(handle, chunk * partial.chunkSize, partial.lengthOf(chunk)).catch(() => undefined);
  return data && blake3(data).equals(hash) ? { data, hash } : undefined;
}

/** Chunks of a file that may be another one altogether, of which one must fit before it is read whole. */
const SAMPLES = 4;

/**
 * The same from a file of which nothing is known but its size: it is read whole only where one of a few of its chunks fits.
 * Returns and throws the same.
 */
export async function copyAlike(from: string, partial: Partial, hashes: Uint8Array): Promise<number> {
  const count = partial.have.length;
  const handle = await openSource(from);
  if (!handle) return 0;
  let fits = false;
  try {
    for (let i = 0; i < SAMPLES && !fits; i++) {
      const chunk = Math.floor(((count - 1) * i) / (SAMPLES - 1));
      fits = (await fitting(handle, chunk, partial, hashes)) !== undefined;
    }
  } finally {
    await handle.close();
  }
  return fits ? await copyChunks(from, partial, hashes) : 0;
}

/**
 * Copies a file of at most one chunk, if it still has the content.
 * @param from absolute
 * @param id the content that it must have
 * @returns where the copy is, or undefined where the file has changed or gone. Errors as of `writeSmall`
 */
export async function copySmall(
  from: string,
  id: string,
  size: number,
  to: Omit<SmallFile, 'data'>,
): Promise<string | undefined> {
  const handle = await openSource(from);
  if (!handle) return undefined;
  let data: Buffer | undefined;
  try {
    data = await readAt(handle, 0, size).catch(() => undefined);
  } finally {
    await handle.close();
  }
  if (!data || contentId(size, size === 0 ? new Uint8Array(0) : blake3(data)) !== id) return undefined;
  return writeSmall({ ...to, data });
}
