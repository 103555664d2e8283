import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { HearsayError } from '../errors.js';
import { hiddenNames } from './partial-names.js';
import { look } from './place-acts.js';
import { codeOf } from './place-errors.js';
import type { Folder } from './place-folder.js';

const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

function amount(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit]}`;
}

/**
 * Bytes that may still be written where a folder is or will be, or undefined where the disk does not tell.
 * @param folder absolute; of one that is not there yet the nearest folder above is asked
 */
export async function freeSpace(folder: string): Promise<number | undefined> {
  for (let at = folder; ; at = dirname(at)) {
    try {
      const found = await statfs(at);
      // Some network and user-space disks say that they have no blocks at all.
      return found.blocks === 0 ? undefined : found.bavail * found.bsize;
    } catch (error) {
      if (codeOf(error) !== 'ENOENT' || dirname(at) === at) return undefined;
    }
  }
}

/** Bytes of the disk that an earlier attempt's partial of a file has taken already; a hole in it has taken none. */
export async function takenByPartial({ folder, name }: { folder: Folder; name: string }): Promise<number> {
  const held = folder.hold();
  try {
    const found = await look(held, hiddenNames(name).part).catch(() => undefined);
    return found?.isFile() ? found.blocks * 512 : 0;
  } finally {
    held.release();
  }
}

/**
 * Looks before a fetch whether there is room.
 * @param bytes what is still to be written
 * @throws HearsayError `disk-full`, naming what is needed and what there is
 */
export async function checkSpace(folder: string, bytes: number): Promise<void> {
  const free = await freeSpace(folder);
  if (free !== undefined && bytes > free) {
    throw new HearsayError('disk-full', `${folder}: ${amount(bytes)} are needed and ${amount(free)} are free`);
  }
}
