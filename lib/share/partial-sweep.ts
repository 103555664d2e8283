/** What earlier fetches left behind in a folder: found, removed when asked, forgotten after its time. */
import type { Stats } from 'node:fs';
import { opendir } from 'node:fs/promises';
import { HearsayError } from '../errors.js';
import { readJournal } from './journal.js';
import { Lock } from './partial-lock.js';
import { type HiddenNames, hiddenNames, hiddenSetOf, isTemporary } from './partial-names.js';
import { look, remove } from './place-acts.js';
import type { Folder, Held } from './place-folder.js';
import { nameFault } from './place-names.js';

const DAY_MS = 24 * 60 * 60 * 1000;
/** A partial that nobody went on with for so long is forgotten. */
export const PARTIAL_KEPT_MS = 7 * DAY_MS;
/** A temporary file lives for milliseconds; one of a day is of a process that was killed. */
export const TEMPORARY_KEPT_MS = DAY_MS;

/** Folders of which we remember that they were swept; beyond it they may be swept again. */
const SWEPT_MAX = 10_000;
const swept = new Map<string, Promise<void>>();

/** Sweeps a folder unless this process did already. A folder that cannot be swept is left as it is. */
export function sweepOnce(folder: Folder): Promise<void> {
  let done = swept.get(folder.path);
  if (!done) {
    if (swept.size >= SWEPT_MAX) swept.clear();
    done = sweep(folder).then(
      () => undefined,
      () => undefined,
    );
    swept.set(folder.path, done);
  }
  return done;
}

/**
 * Removes partials of more than 7 days and temporary files of more than a day, but for those that are being written.
 * @param now milliseconds since 1970
 * @returns the names of the files that were removed
 */
export async function sweep(folder: Folder, now = Date.now()): Promise<string[]> {
  const held = folder.hold();
  try {
    const { sets, temporary } = await hiddenIn(held);
    const removed: string[] = [];
    for (const name of temporary) {
      const found = await look(held, name);
      if (found && now - lastTouched(found) > TEMPORARY_KEPT_MS && (await remove(held, name))) removed.push(name);
    }
    for (const names of sets) removed.push(...(await sweepSet(held, names, now)));
    return removed;
  } finally {
    held.release();
  }
}

async function sweepSet(held: Held, names: HiddenNames, now: number): Promise<string[]> {
  if (!(await isForgotten(held, names, now))) return [];
  const lock = takeQuietly(held.folder, names.lock);
  if (!lock) return [];
  try {
    // Looked at again now that nobody else can be at it.
    return (await isForgotten(held, names, now)) ? await removeAll(held, [names.part, names.journal]) : [];
  } finally {
    lock.release();
  }
}

async function isForgotten(held: Held, names: HiddenNames, now: number): Promise<boolean> {
  let last = 0;
  for (const name of [names.part, names.journal]) {
    const found = await look(held, name);
    if (found) last = Math.max(last, lastTouched(found));
  }
  return now - last > PARTIAL_KEPT_MS;
}

/** By the change time too: a finished file's modification time is its source's, and may be years ago. */
function lastTouched(found: Stats): number {
  return Math.max(found.mtimeMs, found.ctimeMs);
}

function takeQuietly(folder: Folder, name: string): Lock | undefined {
  try {
    return Lock.take(folder, name);
  } catch {
    return undefined;
  }
}

/** Removes files and links, never a folder; tells which were there and are gone. */
async function removeAll(held: Held, names: string[]): Promise<string[]> {
  const removed: string[] = [];
  for (const name of names) if (await remove(held, name)) removed.push(name);
  return removed;
}

async function hiddenIn(held: Held): Promise<{ sets: HiddenNames[]; temporary: string[] }> {
  const sets = new Map<string, HiddenNames>();
  const temporary: string[] = [];
  for await (const { name } of await opendir(held.list, { bufferSize: 1024 })) {
    const names = hiddenSetOf(name);
    if (names) sets.set(names.part, names);
    else if (isTemporary(name)) temporary.push(name);
  }
  return { sets: [...sets.values()], temporary };
}

/** A partial that lies in a folder. */
export interface FoundPartial {
  /** The final name, and the wire path that was fetched; empty where the journal cannot be read or is of another. */
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
export async function findPartials(folder: Folder): Promise<FoundPartial[]> {
  const held = folder.hold();
  try {
    const found: FoundPartial[] = [];
    for (const names of (await hiddenIn(held)).sets) {
      const partial = await partialOf(held, names);
      if (partial) found.push(partial);
    }
    return found;
  } finally {
    held.release();
  }
}

async function partialOf(held: Held, names: HiddenNames): Promise<FoundPartial | undefined> {
  if (!(await look(held, names.part))) return undefined;
  const file = held.tell(names.part);
  const text = await readJournal(held, names.journal);
  // The hidden names come from the final one: a journal that says otherwise was put there.
  if (!text || nameFault(text.header.name, process.platform) || hiddenNames(text.header.name).part !== names.part) {
    return { name: '', path: '', id: null, size: 0, bytes: 0, file };
  }
  const { name, path, id, size, chunkSize } = text.header;
  const { bits } = text.claims;
  const short = bits.has(bits.length - 1) ? bits.length * chunkSize - size : 0;
  return { name, path, id, size, bytes: bits.count * chunkSize - short, file };
}

/**
 * Removes the partial of one final name, for `get --discard`.
 * @returns whether there was one
 * @throws HearsayError `busy` where it is being fetched, or what the disk says
 */
export async function discardPartial(folder: Folder, name: string): Promise<boolean> {
  const names = hiddenNames(name);
  const files = [names.part, names.journal];
  const held = folder.hold();
  try {
    const there = await Promise.all(files.map((file) => look(held, file)));
    if (there.every((found) => found === undefined)) return false;
    const lock = Lock.take(folder, names.lock);
    try {
      await removeAll(held, files);
      for (const file of files) {
        if (!(await look(held, file))) continue;
        folder.check();
        throw new HearsayError('not-writable', `${held.tell(file)} cannot be removed`);
      }
    } finally {
      lock.release();
    }
    return true;
  } finally {
    held.release();
  }
}
