/**
 * Files that lie beside a destination and are exactly as long as what is to come: it may be the same under another name, or a version
 * of it.
 *
 * Owns what was seen of some folders, for one get. Always true: hearsay's own files and links are passed over; a folder is looked at
 * once, and no further than LOOKED entries. Called by gets.
 */
import { lstat, opendir } from 'node:fs/promises';
import { join } from 'node:path';
import { Latest } from '../latest.js';
import { isHidden } from './partial-names.js';

/** Entries of one folder that are looked at. */
const LOOKED = 1000;
/** Files of one size that are told of. */
const ALIKE = 3;
/** Folders of which that is kept. */
const FOLDERS = 16;

export class Beside {
  readonly #folders = new Latest<string, Promise<Map<number, string[]>>>(FOLDERS);

  /**
   * Files of a folder, absolute, that have a size. Never fails.
   * @param except a name that is not among them
   */
  async of(folder: string, size: number, except: string): Promise<string[]> {
    let seen = this.#folders.get(folder);
    if (!seen) {
      seen = look(folder);
      this.#folders.set(folder, seen);
    }
    const names = (await seen).get(size) ?? [];
    return names
      .filter((name) => name !== except)
      .slice(0, ALIKE)
      .map((name) => join(folder, name));
  }
}

/** Names by size. */
async function look(folder: string): Promise<Map<number, string[]>> {
  const bySize = new Map<number, string[]>();
  let looked = 0;
  try {
    for await (const entry of await opendir(folder)) {
      if (++looked > LOOKED) break;
      if (!entry.isFile() || isHidden(entry.name)) continue;
      const { size } = await lstat(join(folder, entry.name));
      const same = bySize.get(size);
      if (same) same.push(entry.name);
      else bySize.set(size, [entry.name]);
    }
  } catch {
    // What was seen until then.
  }
  return bySize;
}
