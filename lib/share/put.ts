/**
 * Putting what was received whole into a folder: a file or a folder, from a hidden folder within it. Owns nothing. Always true:
 * nothing that is there is replaced; it has its name at once, and whole; nothing goes through a link in the one or the other.
 * Called by what receives parcels.
 */
import { link, lstat, readdir, realpath, rename, rm, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { HearsayError } from '../errors.js';
import { blake3 } from '../hash.js';
import { makeFolders } from './folders.js';
import { HIDDEN_PREFIX } from './partial-names.js';
import { PARTIAL_KEPT_MS } from './partial-sweep.js';
import { codeOf, diskError } from './place-errors.js';
import { Folder } from './place-folder.js';
import { isPassing } from './place-land.js';

const STAGING = /^\.hearsay-[0-9a-f]{16}\.inbox$/;
/** Windows: another program has it open for a moment. */
const PASSING_TRIES = 6;

/** Where something is gathered until it is whole: the same place for the same thing, so that it is gone on with. */
export function stagingOf(folder: string, what: string): string {
  return join(folder, `${HIDDEN_PREFIX}${blake3(what).toString('hex', 0, 8)}.inbox`);
}

/** A folder, and the hidden one in it in which something is gathered. */
export interface Staging {
  folder: Folder;
  hidden: Folder;
}

/**
 * Makes both.
 * @param path of the hidden one, absolute
 * @throws HearsayError `in-the-way` where something else has its name, a link too, or what the disk says
 */
export async function openStaging(path: string): Promise<Staging> {
  const at = dirname(path);
  try {
    await makeFolders(at);
    const folder = Folder.root(await realpath(at));
    return { folder, hidden: folder.make(basename(path)) };
  } catch (error) {
    throw diskError(error, at);
  }
}

/**
 * Puts what was gathered in its place: all of these, or none.
 * @throws HearsayError `exists`, or what the disk says
 */
export async function putAll({ folder, hidden }: Staging, names: readonly string[]): Promise<void> {
  const done: string[] = [];
  try {
    for (const name of names) {
      await putInto(hidden, folder, name);
      done.push(name);
    }
  } catch (thrown) {
    for (const name of done) await putInto(folder, hidden, name).catch(() => undefined);
    throw thrown;
  }
}

/** Moves a file or folder to where nothing may have its name, on the same disk. */
async function putInto(from: Folder, to: Folder, name: string): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await put(from, to, name);
      return;
    } catch (error) {
      if (tries === PASSING_TRIES || !isPassing(error)) throw error;
      await delay(20 * 2 ** tries);
    }
  }
}

async function put(from: Folder, to: Folder, name: string): Promise<void> {
  const taken = () => new HearsayError('exists', `${join(to.path, name)} is there already`);
  const heldFrom = from.hold();
  try {
    const heldTo = to.hold();
    try {
      const [source, target] = [heldFrom.at(name), heldTo.at(name)];
      for (const held of [heldFrom, heldTo]) held.before('land', name);
      const isFolder = (await lstat(source)).isDirectory();
      if (!isFolder) {
        try {
          await link(source, target);
          await unlink(source);
          return;
        } catch (error) {
          if (codeOf(error) === 'EEXIST') throw taken();
          // A disk without hard links: a look and a rename.
        }
      }
      if (await lstat(target).catch(() => undefined)) throw taken();
      await rename(source, target);
    } catch (error) {
      throw heldTo.failure(name, error);
    } finally {
      heldTo.release();
    }
  } finally {
    heldFrom.release();
  }
}

/** Removes what was gathered, all of it. */
export async function removeStaging(staging: string): Promise<void> {
  if (!STAGING.test(staging.slice(dirname(staging).length + 1))) return;
  await rm(staging, { recursive: true, force: true, maxRetries: 3 }).catch(() => undefined);
}

/** Removes what was gathered in a folder and that nobody went on with for 7 days. @param now milliseconds since 1970 */
export async function sweepStaging(folder: string, now: number): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    if (!STAGING.test(name)) continue;
    const found = await lstat(join(folder, name)).catch(() => undefined);
    if (found?.isDirectory() && now - Math.max(found.mtimeMs, found.ctimeMs) > PARTIAL_KEPT_MS) {
      await removeStaging(join(folder, name));
    }
  }
}
