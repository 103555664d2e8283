/** Putting a complete file in its place. */
import { type BigIntStats, linkSync, lstatSync, renameSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { HearsayError } from '../errors.js';
import { mustHaveLanded, removeNow } from './place-acts.js';
import { codeOf } from './place-errors.js';
import { type Held, type Identity, isSame } from './place-folder.js';

/** Windows: an indexer or a virus scanner has the file open for a moment. */
const PASSING = new Set(['EPERM', 'EACCES', 'EBUSY']);
const PASSING_TRIES = 6;

/**
 * Gives a complete file its final name, at once and whole: the name never stands for half a file.
 * Without `overwrite` by a hard link, which fails where something is, and else, on disks without them, by a look and a
 * rename. With it by a rename, which replaces what has the name, be it a link or one of several names of a file, and
 * never writes into it.
 * @param from the hidden file's name, in the same folder
 * @param whole which file that must be, where that is not sure
 * @throws HearsayError `exists`, `in-the-way` where a folder has the name, or what the disk says
 */
export function landNow(held: Held, from: string, to: string, overwrite: boolean, whole?: Identity): void {
  const [source, target] = [held.at(from), held.at(to)];
  try {
    let made: BigIntStats | undefined;
    if (whole || !held.isSure) {
      made = lstatSync(source, { bigint: true });
      if (!made.isFile() || (whole && !isSame(made, whole))) {
        throw new HearsayError('in-the-way', `${held.tell(from)} is not what was received any more`);
      }
    }
    held.before('land', to);
    if (overwrite) {
      renameSync(source, target);
    } else {
      try {
        linkSync(source, target);
      } catch (error) {
        if (codeOf(error) === 'EEXIST' || lstatSync(target, { throwIfNoEntry: false })) throw taken(held, to);
        renameSync(source, target);
      }
    }
    mustHaveLanded(held, to, made);
    if (!overwrite) removeNow(held, from);
  } catch (error) {
    if (error instanceof HearsayError) throw error;
    if (lstatSync(target, { throwIfNoEntry: false })?.isDirectory()) throw taken(held, to);
    throw held.failure(to, error);
  }
}

function taken(held: Held, to: string): HearsayError {
  return lstatSync(held.at(to), { throwIfNoEntry: false })?.isDirectory()
    ? new HearsayError('in-the-way', `${held.tell(to)} is a folder, where a file must go`)
    : new HearsayError('exists', `${held.tell(to)} is there already`);
}

export interface Landing {
  from: string;
  to: string;
  overwrite: boolean;
  /** Which file it must be, where that is not sure. */
  whole?: Identity;
  /** Looks just before whether it may still land. @throws HearsayError */
  check?: () => void;
}

/** As `landNow`, but waits a little where Windows says that another program has the file open. */
export async function land(held: Held, { from, to, overwrite, whole, check }: Landing): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      check?.();
      landNow(held, from, to, overwrite, whole);
      return;
    } catch (error) {
      if (tries === PASSING_TRIES || !isPassing(error)) throw error;
      await delay(20 * 2 ** tries);
    }
  }
}

/** Whether an error may be gone in a moment. */
export function isPassing(error: unknown): boolean {
  const cause = error instanceof HearsayError ? error.cause : error;
  return process.platform === 'win32' && PASSING.has(codeOf(cause) ?? '');
}

/**
 * A modification time as the seconds that `utimes` takes. libuv cuts to whole microseconds, and half of all
 * milliseconds are a little less than themselves as seconds in binary: 0.4 µs more makes all of them come out exact.
 * Times before 1970, which it garbles, become 1970.
 */
export function utimeOf(mtime: number): number {
  return mtime > 0 ? mtime / 1000 + 4e-7 : 0;
}

/** The permissions with execution for those who may read. */
export function executableMode(mode: number): number {
  return (mode & 0o777) | ((mode & 0o444) >> 2);
}
