/** What earlier fetches left behind in a folder: found, removed when asked, forgotten after its time. */
import type { Stats } from 'node:fs';
import { lstat, opendir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { HearsayError } from '../errors.js';
import { readJournal } from './journal.js';
import { Lock } from './partial-lock.js';
import { type HiddenNames, hiddenNames, hiddenSetOf, isTemporary } from './partial-names.js';
import { codeOf, diskError } from './place-land.js';

const DAY_MS = 24 * 60 * 60 * 1000;
/** A partial that nobody went on with for so long is forgotten. */
export const PARTIAL_KEPT_MS = 7 * DAY_MS;
/** A temporary file lives for milliseconds; one of a day is of a process that was killed. */
export const TEMPORARY_KEPT_MS = DAY_MS;

/** Folders of which we remember that they were swept; beyond it they may be swept again. */
const SWEPT_MAX = 10_000;
const swept = new Map<string, Promise<void>>();

/** Sweeps a folder unless this process did already. A folder that cannot be swept is left as it is. */
export function sweepOnce(folder: string): Promise<void> {
  let done = swept.get(folder);
  if (!done) {
    if (swept.size >= SWEPT_MAX) swept.clear();
    done = sweep(folder).then(
      () => undefined,
      () => undefined,
    );
    swept.set(folder, done);
  }
  return done;
}

/**
 * Removes partials of more than 7 days and temporary files of more than a day, but for those that are being written.
 * @param now milliseconds since 1970
 * @returns the names of the files that were removed
 */
export async function sweep(folder: string, now = Date.now()): Promise<string[]> {
  const { sets, temporary } = await hiddenIn(folder);
  const removed: string[] = [];
  for (const name of temporary) {
    const found = await look(join(folder, name));
    if (found && now - lastTouched(found) > TEMPORARY_KEPT_MS) removed.push(...(await remove(folder, [name])));
  }
  for (const names of sets) {
    if (!(await isForgotten(folder, names, now))) continue;
    const lock = takeQuietly(join(folder, names.lock));
    if (!lock) continue;
    try {
      // Looked at again now that nobody else can be at it.
      if (await isForgotten(folder, names, now)) removed.push(...(await remove(folder, [names.part, names.journal])));
    } finally {
      lock.release();
    }
  }
  return removed;
}

async function isForgotten(folder: string, names: HiddenNames, now: number): Promise<boolean> {
  let last = 0;
  for (const name of [names.part, names.journal]) {
    const found = await look(join(folder, name));
    if (found) last = Math.max(last, lastTouched(found));
  }
  return now - last > PARTIAL_KEPT_MS;
}

/** By the change time too: a finished file's modification time is its source's, and may be years ago. */
function lastTouched(found: Stats): number {
  return Math.max(found.mtimeMs, found.ctimeMs);
}

function takeQuietly(file: string): Lock | undefined {
  try {
    return Lock.take(file);
  } catch {
    return undefined;
  }
}

async function look(file: string): Promise<Stats | undefined> {
  try {
    return await lstat(file);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw diskError(error, file);
  }
}

/** Removes files and links, never a folder; tells which were there and are gone. */
async function remove(folder: string, names: string[]): Promise<string[]> {
  const removed: string[] = [];
  for (const name of names) {
    try {
      await unlink(join(folder, name));
      removed.push(name);
    } catch {
      // Not there, or not ours to remove.
    }
  }
  return removed;
}

async function hiddenIn(folder: string): Promise<{ sets: HiddenNames[]; temporary: string[] }> {
  const sets = new Map<string, HiddenNames>();
  const temporary: string[] = [];
  for await (const { name } of await opendir(folder, { bufferSize: 1024 })) {
    const names = hiddenSetOf(name);
    if (names) sets.set(names.part, names);
    else if (isTemporary(name)) temporary.push(name);
  }
  return { sets: [...sets.values()], temporary };
}

/** A partial that lies in a folder. */
export interface FoundPartial {
  /** The final name, and the wire path that was fetched; empty where the journal cannot be read. */
  name: string;
  path: string;
  id: string | null;
  size: number;
  /** Bytes that its journal claims. */
  bytes: number;
  /** The hidden file, absolute. */
  file: string;
}

/** The partials in one folder, as their journals tell. */
export async function findPartials(folder: string): Promise<FoundPartial[]> {
  const found: FoundPartial[] = [];
  for (const names of (await hiddenIn(folder)).sets) {
    const file = join(folder, names.part);
    if (!(await look(file))) continue;
    const text = await readJournal(join(folder, names.journal));
    if (!text) {
      found.push({ name: '', path: '', id: null, size: 0, bytes: 0, file });
      continue;
    }
    const { name, path, id, size, chunkSize } = text.header;
    const { bits } = text.claims;
    const short = bits.has(bits.length - 1) ? bits.length * chunkSize - size : 0;
    found.push({ name, path, id, size, bytes: bits.count * chunkSize - short, file });
  }
  return found;
}

/**
 * Removes the partial of one final name, for `get --discard`.
 * @param folder absolute, checked
 * @returns whether there was one
 * @throws HearsayError `busy` where it is being fetched, or what the disk says
 */
export async function discardPartial(folder: string, name: string): Promise<boolean> {
  const names = hiddenNames(name);
  const files = [names.part, names.journal];
  const there = await Promise.all(files.map((file) => look(join(folder, file))));
  if (there.every((found) => found === undefined)) return false;
  const lock = Lock.take(join(folder, names.lock));
  try {
    await remove(folder, files);
    for (const file of files) {
      if (await look(join(folder, file)))
        throw new HearsayError('not-writable', `${join(folder, file)} cannot be removed`);
    }
  } finally {
    lock.release();
  }
  return true;
}
