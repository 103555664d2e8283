/**
 * How a partial begins: what an earlier fetch left is gone on with, unless it is not to be trusted. Used by `Partial`
 * alone.
 */
import { constants, type Stats } from 'node:fs';
import { copyFile, type FileHandle } from 'node:fs/promises';
import { HearsayError } from '../errors.js';
import { Claims, Journal, type JournalHeader, readJournal } from './journal.js';
import type { Lock } from './partial-lock.js';
import type { HiddenNames } from './partial-names.js';
import { create, look, openThere, remove, removeNow } from './place-acts.js';
import { descriptorPath } from './place-descriptors.js';
import { openSource } from './place-existing.js';
import type { Folder, Held } from './place-folder.js';

export interface PartialOptions {
  /** Where it goes: a `Spot`'s. */
  folder: Folder;
  /** The final name in it: one segment. */
  name: string;
  /** The wire path that is fetched. */
  path: string;
  size: number;
  /** Content id, or null while it is not known. */
  id: string | null;
  chunkSize: number;
  /**
   * A file of this machine that may hold the content, absolute. Where there is no earlier partial and the disk can, the
   * partial begins as its clone, which costs neither room nor reading; all its chunks are claims then.
   */
  seed?: string;
}

/** A partial's files, open. */
export interface Opened {
  data: FileHandle;
  journal: Journal;
  claims: Claims;
}

/** What a partial's journal says of it. */
export function headerOf({ path, name, id, size, chunkSize }: PartialOptions): JournalHeader {
  return { path, name, id, size, chunkSize, pid: process.pid };
}

/** Opens what an earlier fetch left, or begins afresh. The folder is held, and the lock. */
export async function openFiles(
  options: PartialOptions,
  held: Held,
  lock: Lock,
  { part, journal: journalName }: HiddenNames,
): Promise<Opened> {
  const { size, chunkSize } = options;
  const journal = new Journal(held, journalName);
  let claims: Claims | undefined;
  let fresh = false;
  let data = await openEarlier(held, part, lock.made);
  try {
    if (data) {
      const text = await readJournal(held, journalName);
      if (text && text.uid === lock.made.uid) {
        const { header } = text;
        if (
          header.size === size &&
          header.chunkSize === chunkSize &&
          header.id === options.id &&
          header.path === options.path
        ) {
          await giveLength(data, size);
          journal.resume(text);
          return { data, journal, claims: text.claims };
        }
        claims = text.claims.recut(header, options);
      } else {
        // Without its journal every chunk may be there: all that the file is long enough for are looked at.
        claims = allOf((await data.stat()).size, options);
      }
    } else if (options.seed !== undefined && (await cloneTo(options.seed, held, part, lock.made))) {
      data = await openEarlier(held, part, lock.made);
      if (data) claims = allOf((await data.stat()).size, options);
    }
    if (!data) {
      data = await create(held, part);
      fresh = true;
    }
    claims ??= new Claims(Math.ceil(size / chunkSize));
    await giveLength(data, size);
    await journal.replace(headerOf(options), claims);
    return { data, journal, claims };
  } catch (error) {
    await data?.close();
    if (fresh) removeNow(held, part);
    throw error;
  }
}

/** Every chunk that a file of some length may hold. */
function allOf(length: number, { size, chunkSize }: PartialOptions): Claims {
  const claims = new Claims(Math.ceil(size / chunkSize));
  for (let chunk = 0; chunk < claims.bits.length; chunk++) {
    if (Math.min((chunk + 1) * chunkSize, size) <= length) claims.add(chunk);
  }
  return claims;
}

/**
 * Opens the earlier partial, if there is one to go on with. What somebody else planted is removed, and so is what is also
 * a finished file by another name (a crash came between its two names) or a link to anything: to write to it would
 * change that file. Looked at again once it is open, when nothing can be put in its place any more.
 */
async function openEarlier(held: Held, part: string, ours: Stats): Promise<FileHandle | undefined> {
  const found = await look(held, part);
  if (!found) return undefined;
  if (found.isDirectory()) throw new HearsayError('in-the-way', `${held.tell(part)} is a folder`);
  if (isOurs(found, ours)) {
    const handle = await openThere(held, part, 'write');
    if (isOurs(await handle.stat(), ours)) return handle;
    await handle.close();
  }
  // What cannot be removed is in the way of the new one.
  await remove(held, part);
  return undefined;
}

function isOurs(found: Stats, ours: Stats): boolean {
  return found.isFile() && found.nlink <= 1 && found.uid === ours.uid;
}

/** A new partial gets its length at once, as a hole where the disk can. */
async function giveLength(data: FileHandle, size: number): Promise<void> {
  if ((await data.stat()).size !== size) await data.truncate(size);
}

/** Clones a file where the disk shares blocks between files; false where it does not, and nothing is there then. */
async function cloneTo(from: string, held: Held, part: string, ours: Stats): Promise<boolean> {
  const source = await openSource(from);
  if (!source) return false;
  try {
    held.before('create', part);
    // By its descriptor where that works, so that it is the file that was looked at.
    const path = held.isSure ? descriptorPath(source.fd).slice(0, -1) : from;
    await copyFile(path, held.at(part), constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE);
  } catch {
    removeNow(held, part);
    return false;
  } finally {
    await source.close();
  }
  // The clone came with its source's permissions, which may not let us write.
  const handle = await openThere(held, part, 'read');
  try {
    await handle.chmod(ours.mode & 0o777);
  } finally {
    await handle.close();
  }
  return true;
}
