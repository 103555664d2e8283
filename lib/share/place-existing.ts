import { constants, lstatSync } from 'node:fs';
import { type FileHandle, lstat, open } from 'node:fs/promises';
import { blake3 } from '../hash.js';
import { chunkCount, chunkLength, contentId, HASH_BYTES } from '../transfer/content.js';
import { openThere } from './place-acts.js';
import { codeOf, diskError } from './place-errors.js';
import type { Folder, Held } from './place-folder.js';

/** What stands where a file is to go. `not-a-file` is a folder, a link, or something that has no content. */
export type Existing = 'same' | 'different' | 'absent' | 'not-a-file';

/**
 * Whether nothing has a file's place, as far as that is quickly told: at once, by a look of a few µs, and without one where the folder
 * was made for what goes into it.
 */
export function isFree({ folder, name }: { folder: Folder; name: string }): boolean {
  if (folder.isNew) return true;
  const held = folder.hold();
  try {
    return lstatSync(held.at(name), { throwIfNoEntry: false }) === undefined;
  } catch {
    return false;
  } finally {
    held.release();
  }
}

/**
 * Compares what has a file's place with the file. Reads it only where the size fits, chunk by chunk. A link is not
 * followed: it is no file, whatever it points to.
 * @param id content id of the file that is to come; null while it is not known, and nothing is the same
 */
export async function compareExisting(
  { folder, name }: { folder: Folder; name: string },
  size: number,
  id: string | null,
): Promise<Existing> {
  const held = folder.hold();
  try {
    const found = await lstat(held.at(name));
    if (!found.isFile()) return 'not-a-file';
    if (found.size !== size) return 'different';
    return id !== null && (await idOfFile(held, name, size)) === id ? 'same' : 'different';
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return 'absent';
    throw diskError(error, held.tell(name));
  } finally {
    held.release();
  }
}

/** The content id of a file, or undefined where it cannot be read as a file of this size. */
export async function idOfFile(held: Held, name: string, size: number): Promise<string | undefined> {
  const hashes = new Uint8Array(chunkCount(size) * HASH_BYTES);
  let handle: FileHandle | undefined;
  try {
    handle = await openThere(held, name, 'read');
    let position = 0;
    for (let chunk = 0; chunk < chunkCount(size); chunk++) {
      const data = await readAt(handle, position, chunkLength(size, chunk));
      if (!data) return undefined;
      hashes.set(blake3(data), chunk * HASH_BYTES);
      position += data.length;
    }
    if ((await handle.stat()).size !== size) return undefined;
  } catch {
    return undefined;
  } finally {
    await handle?.close();
  }
  return contentId(size, hashes);
}

/** Exactly so many bytes at a position, or undefined where the file ends before. */
export function readAt(handle: FileHandle, position: number, length: number): Promise<Buffer | undefined> {
  return readInto(handle, position, Buffer.allocUnsafeSlow(length));
}

/** Fills a buffer with the bytes at a position; undefined where the file ends before. */
export async function readInto(handle: FileHandle, position: number, data: Buffer): Promise<Buffer | undefined> {
  for (let at = 0; at < data.length; ) {
    const { bytesRead } = await handle.read(data, at, data.length - at, position + at);
    if (bytesRead === 0) return undefined;
    at += bytesRead;
  }
  return data;
}

/**
 * Opens a file of this machine to read it, where it is one; a link to one will do, for what is read is compared with a
 * hash. Never waits for a pipe.
 * @param file absolute
 */
export async function openSource(file: string): Promise<FileHandle | undefined> {
  try {
    const handle = await open(file, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    if ((await handle.stat()).isFile()) return handle;
    await handle.close();
  } catch {
    // Gone, or not ours to read.
  }
  return undefined;
}
