/**
 * What has a file's place in the inbox folder, held against what is to come.
 *
 * Owns the content ids of files that were read for it. Always true: a file is read once for all who ask, as long as it is what it
 * was; at most COMPARED_MAX are remembered. Called by the inbox.
 */
import { lstat } from 'node:fs/promises';
import { Latest } from '../latest.js';
import { COMPARED_MAX } from '../limits.js';
import type { Spot } from '../share/place.js';
import { compareExisting, type Existing, idOfFile } from '../share/place-existing.js';

export class Compared {
  readonly #read: typeof idOfFile;
  /** By path, and all that changes with what is in the file. */
  readonly #ids = new Latest<string, Promise<string | undefined>>(COMPARED_MAX);

  constructor(read = idOfFile) {
    this.#read = read;
  }

  /** As `compareExisting`. @param id null while it is not known, and nothing is the same */
  async with(spot: Spot, size: number, id: string | null): Promise<Existing> {
    // Whether it is there, a file, and of that size: nothing is read for that.
    const state = await compareExisting(spot, size, null);
    if (state !== 'different' || id === null) return state;
    const found = await lstat(spot.file, { bigint: true }).catch(() => undefined);
    if (!found?.isFile() || found.size !== BigInt(size)) return 'different';
    const { dev, ino, mtimeNs, ctimeNs } = found;
    const key = [spot.file, dev, ino, size, mtimeNs, ctimeNs].join('\0');
    let known = this.#ids.get(key);
    if (!known) {
      known = this.#idOf(spot, size);
      this.#ids.set(key, known);
    }
    return (await known) === id ? 'same' : 'different';
  }

  async #idOf({ folder, name }: Spot, size: number): Promise<string | undefined> {
    const held = folder.hold();
    try {
      return await this.#read(held, name, size);
    } finally {
      held.release();
    }
  }
}
