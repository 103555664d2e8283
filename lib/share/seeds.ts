/** What is to be shared for fetched things to go on being served: they alone, and not what lies beside them. */
import { opendir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { SeedRow } from '../api.js';
import { HearsayError } from '../errors.js';
import { PATTERNS_MAX } from '../limits.js';
import { printable } from '../names.js';

/** Shares that one get makes, at most: one for each thing that it put into its destination. */
const SEEDS_MAX = 64;

/** Something that was fetched. */
export interface Landed {
  /** Absolute folder, and the wire path below it. */
  root: string;
  relative: string;
  /** A folder, empty at its source, rather than a file. */
  folder: boolean;
  /** Whether it was shared with some only. */
  aside: boolean;
}

/**
 * A share for each file and each folder that stands in the destination itself. A folder in which nothing else lies is shared
 * whole, another one with the fetched files alone.
 * @returns the shares, and why something is not to be served on: `refused` what was shared with some only, `limit`
 */
export async function seedsOf(landed: readonly Landed[]): Promise<{ seeds: SeedRow[]; left: HearsayError[] }> {
  const tops = new Map<string, Landed[]>();
  for (const one of landed) {
    const top = join(one.root, one.relative.split('/')[0]);
    const same = tops.get(top);
    if (same) same.push(one);
    else tops.set(top, [one]);
  }
  const seeds: SeedRow[] = [];
  const left: HearsayError[] = [];
  for (const [path, all] of tops) {
    const open = all.filter(({ aside }) => !aside);
    const what = printable(path);
    if (open.length < all.length) {
      left.push(new HearsayError('refused', `${what} is not served on: it was shared with some only`));
    }
    if (!open.some(({ folder }) => !folder)) continue;
    if (seeds.length >= SEEDS_MAX) {
      const rest = `${tops.size - SEEDS_MAX} of ${tops.size}`;
      left.push(
        new HearsayError(
          'limit',
          `${rest} are not served on: \`hearsay add\` shares the folder ${printable(dirname(path))}`,
        ),
      );
      break;
    }
    const isFile = open.length === 1 && !open[0].relative.includes('/');
    const name = basename(path);
    if (isFile || (open.length === all.length && (await holdsOnly(path, open)))) {
      seeds.push({ name, path });
      continue;
    }
    const files = open.filter(({ folder }) => !folder).map(({ relative }) => relative.slice(relative.indexOf('/')));
    if (files.length <= PATTERNS_MAX && !files.some((file) => file.includes('*'))) {
      seeds.push({ name, path, only: files });
      continue;
    }
    left.push(
      new HearsayError(
        'limit',
        `${what} is not served on, as other files lie in it too: \`hearsay add\` shares it whole`,
      ),
    );
  }
  return { seeds, left };
}

/** Whether nothing else lies in a folder, but for what is never shared. */
async function holdsOnly(top: string, landed: readonly Landed[]): Promise<boolean> {
  const files = new Set<string>();
  const folders = new Set<string>();
  for (const { relative, folder } of landed) {
    const path = relative.normalize('NFC');
    (folder ? folders : files).add(path);
    for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) folders.add(path.slice(0, at));
  }
  const isOurs = async (path: string, relative: string): Promise<boolean> => {
    for await (const entry of await opendir(path)) {
      if (entry.name.startsWith('.')) continue;
      const inside = `${relative}/${entry.name.normalize('NFC')}`;
      if (entry.isFile() ? files.has(inside) : entry.isDirectory() && folders.has(inside)) {
        if (entry.isFile() || (await isOurs(join(path, entry.name), inside))) continue;
      }
      return false;
    }
    return true;
  };
  try {
    return await isOurs(top, basename(top).normalize('NFC'));
  } catch {
    return false;
  }
}
