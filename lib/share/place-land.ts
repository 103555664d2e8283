/** Putting a complete file in its place, and what the disk's own errors mean there. */
import { linkSync, lstatSync, renameSync, unlinkSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { asHearsayError, type Code, HearsayError } from '../errors.js';

/** Codes of the system that mean something particular where a name is made. */
const MEANING: Record<string, Code> = {
  EEXIST: 'exists',
  EINVAL: 'bad-name',
  ELOOP: 'in-the-way',
  ENOTDIR: 'in-the-way',
  EISDIR: 'in-the-way',
  ENOTEMPTY: 'in-the-way',
};

/** Windows: an indexer or a virus scanner has the file open for a moment. */
const PASSING = new Set(['EPERM', 'EACCES', 'EBUSY']);
const PASSING_TRIES = 6;

/** The system's code of something thrown, or undefined. */
export function codeOf(thrown: unknown): string | undefined {
  const code = (thrown as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : undefined;
}

/** What a disk error means for the file that was to be written: a HearsayError that names the file. */
export function diskError(thrown: unknown, file: string): HearsayError {
  if (thrown instanceof HearsayError) return thrown;
  const code = codeOf(thrown);
  const known = code === undefined ? undefined : MEANING[code];
  // Without a code of the system it is not the disk that speaks.
  const error = known ? new HearsayError(known, '') : asHearsayError(thrown, code ? 'not-writable' : 'failed');
  const text = thrown instanceof Error ? thrown.message.replace(/, \w+( '.*)?$/s, '') : String(thrown);
  return new HearsayError(error.code, `${file}: ${text}`, { cause: thrown });
}

/**
 * Gives a complete file its final name, at once and whole: the name never stands for half a file.
 * Without `overwrite` by a hard link, which fails where something is, and else, on disks without them, by a look and a
 * rename. With it by a rename, which replaces a link itself and never what it points to.
 * @param from the hidden file, on the same disk as `to`
 * @throws HearsayError `exists`, `in-the-way` where a folder has the name, or what the disk says
 */
export function landNow(from: string, to: string, overwrite: boolean): void {
  try {
    if (!overwrite) {
      try {
        linkSync(from, to);
      } catch (error) {
        if (codeOf(error) === 'EEXIST' || lstatSync(to, { throwIfNoEntry: false })) throw taken(to);
        renameSync(from, to);
        return;
      }
      removeNow(from);
      return;
    }
    renameSync(from, to);
  } catch (error) {
    if (error instanceof HearsayError) throw error;
    if (lstatSync(to, { throwIfNoEntry: false })?.isDirectory()) throw taken(to);
    throw diskError(error, to);
  }
}

function taken(to: string): HearsayError {
  return lstatSync(to, { throwIfNoEntry: false })?.isDirectory()
    ? new HearsayError('in-the-way', `${to} is a folder, where a file must go`)
    : new HearsayError('exists', `${to} is there already`);
}

/** As `landNow`, but waits a little where Windows says that another program has the file open. */
export async function land(from: string, to: string, overwrite: boolean, check: () => void): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      check();
      landNow(from, to, overwrite);
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

/** Removes a hidden file if it can: what stays behind is swept later. */
export function removeNow(file: string): void {
  try {
    unlinkSync(file);
  } catch {
    // Gone already, or held open by another program; `sweep` comes back to it.
  }
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
