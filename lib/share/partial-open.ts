/**
 * How a partial begins: what an earlier fetch left is gone on with, unless it is not to be trusted. Used by `Partial`
 * alone.
 */
import { constants, type Stats } from 'node:fs';
import { copyFile, type FileHandle, lstat, open, unlink } from 'node:fs/promises';
import { HearsayError } from '../errors.js';
import { Claims, Journal, type JournalHeader, readJournal } from './journal.js';
import { codeOf, removeNow } from './place-land.js';

const NO_FOLLOW = constants.O_NOFOLLOW ?? 0;

export interface PartialOptions {
  /** Absolute, made and checked. */
  folder: string;
  /** The final name in it: one segment. */
  name: string;
  /** The wire path that is fetched. */
  path: string;
  size: number;
  /** Content id, or null while it is not known. */
  id: string | null;
  chunkSize: number;
  /** Looks whether the folder is still the checked one, just before something is made in it: `Spot.check`. */
  check?: () => void;
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

/** Opens what an earlier fetch left, or begins afresh. The lock is held. */
export async function openFiles(options: PartialOptions, lockFile: string, files: [string, string]): Promise<Opened> {
  const [file, journalFile] = files;
  const { size, chunkSize } = options;
  const journal = new Journal(journalFile);
  // The lock was made by us a moment ago: whose it is, and its permissions, are those of our files here.
  const ours = await lstat(lockFile);
  const earlier = await earlierPart(file, ours);
  let claims: Claims | undefined;
  if (earlier) {
    const text = await readJournal(journalFile);
    if (text) {
      const { header } = text;
      if (
        header.size === size &&
        header.chunkSize === chunkSize &&
        header.id === options.id &&
        header.path === options.path
      ) {
        journal.resume(text.end);
        return { data: await openPart(file, size, false), journal, claims: text.claims };
      }
      claims = text.claims.recut(header, options);
    } else {
      // Without its journal every chunk may be there: all that the file is long enough for are looked at.
      claims = allOf(earlier.size, options);
    }
  } else if (options.seed !== undefined && (await cloneTo(options.seed, file, ours))) {
    claims = allOf((await lstat(file)).size, options);
  }
  const data = await openPart(file, size, claims === undefined);
  claims ??= new Claims(Math.ceil(size / chunkSize));
  try {
    await journal.replace(headerOf(options), claims);
  } catch (error) {
    await data.close();
    throw error;
  }
  return { data, journal, claims };
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
 * The earlier partial, if there is one to go on with. What somebody else planted is removed, and so is what is also a
 * finished file by another name (a crash came between its two names): to write to it would change that file.
 */
async function earlierPart(file: string, ours: Stats): Promise<Stats | undefined> {
  let found: Stats;
  try {
    found = await lstat(file);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
  if (found.isFile() && found.nlink <= 1 && found.uid === ours.uid) return found;
  if (found.isDirectory()) throw new HearsayError('in-the-way', `${file} is a folder`);
  await unlink(file);
  return undefined;
}

/** Opens the content. A new one gets its length at once, as a hole where the disk can. */
async function openPart(file: string, size: number, fresh: boolean): Promise<FileHandle> {
  const handle = fresh ? await open(file, 'wx+') : await open(file, constants.O_RDWR | NO_FOLLOW);
  try {
    if ((await handle.stat()).size !== size) await handle.truncate(size);
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Clones a file where the disk shares blocks between files; false where it does not, and nothing is there then. */
async function cloneTo(from: string, file: string, ours: Stats): Promise<boolean> {
  try {
    await copyFile(from, file, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE);
  } catch {
    removeNow(file);
    return false;
  }
  // The clone came with its source's permissions, which may not let us write.
  const handle = await open(file, constants.O_RDONLY | NO_FOLLOW);
  try {
    await handle.chmod(ours.mode & 0o777);
  } finally {
    await handle.close();
  }
  return true;
}
