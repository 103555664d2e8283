/** `get --discard`: needs no network, since what is left of an interrupted get says itself what it is of. */
import { opendir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { asHearsayError, HearsayError } from '../errors.js';
import { whatMatcher } from '../gossip/query.js';
import { lookAtDest } from '../share/destination.js';
import { discardPartial, findPartials } from '../share/partial-sweep.js';

/** Folders that are looked through for partials, at most, and how deep. */
const FOLDERS_MAX = 10_000;
const DEPTH_MAX = 64;

export interface Discarded {
  /** Wire path, or the final name where the partial does not tell. */
  path: string;
  /** Where the file would have been. */
  file: string;
}

/**
 * Removes the partials of earlier gets of some WHATs.
 * @param to DEST, absolute, as it was for the get
 * @throws HearsayError `not-found` where there is none, `busy` where one is being fetched
 */
export async function discard(what: readonly string[], to: string): Promise<Discarded[]> {
  const dest = await lookAtDest(to);
  const gone: Discarded[] = [];
  if (dest.kind !== 'folder' && !dest.asFolder) {
    // The file's own new name: whatever was to get it.
    if (await discardPartial(dirname(dest.path), basename(dest.path)).catch(absent)) {
      gone.push({ path: basename(dest.path), file: dest.path });
    }
  } else if (dest.kind === 'folder') {
    const matchers = what.map(whatMatcher);
    for (const folder of await foldersBelow(dest.path)) {
      for (const { name, path, id, size } of await findPartials(folder).catch(() => [])) {
        const offer = { path, kind: 'file' as const, size, mtime: 0, id, version: 1 };
        if (name === '' || !matchers.some((isMeant) => isMeant(offer))) continue;
        if (await discardPartial(folder, name)) gone.push({ path, file: join(folder, name) });
      }
    }
  }
  if (gone.length === 0) throw new HearsayError('not-found', `no unfinished get of ${what.join(', ')} at ${dest.path}`);
  return gone;
}

function absent(thrown: unknown): boolean {
  if (asHearsayError(thrown).code === 'busy') throw thrown;
  return false;
}

async function foldersBelow(root: string): Promise<string[]> {
  const found = [root];
  const depth = new Map([[root, 0]]);
  for (const folder of found) {
    const deep = depth.get(folder) ?? 0;
    const entries = await opendir(folder).catch(() => undefined);
    if (!entries) continue;
    for await (const entry of entries) {
      if (!entry.isDirectory() || deep >= DEPTH_MAX || found.length >= FOLDERS_MAX) continue;
      const path = join(folder, entry.name);
      found.push(path);
      depth.set(path, deep + 1);
    }
  }
  return found;
}
