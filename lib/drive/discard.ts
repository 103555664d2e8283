/**
 * Removes what is left of gets: of one that was cancelled, and `get --discard`, which needs no network, since what is left of an
 * interrupted get says itself what it is of.
 */
import { basename, dirname, join } from 'node:path';
import { asHearsayError, HearsayError } from '../errors.js';
import { SMALL_MAX } from '../limits.js';
import { lookAtDest, type Target } from '../share/destination.js';
import { discardPartial, findPartials } from '../share/partial-sweep.js';
import { Place } from '../share/place.js';
import { foldersBelow } from '../share/place-walk.js';
import { whatMatcher } from '../shelf/query.js';
import type { Piece } from './plan.js';

/** Folders that are looked through for partials, at most, and how deep. */
const BOUNDS = { folders: 10_000, depth: 64 };

export interface Discarded {
  /** Wire path, or the final name where the partial does not tell. */
  path: string;
  /** Where the file would have been. */
  file: string;
}

/** Removes what is begun of some targets; what cannot be looked at, or is another's by now, is left alone. */
export async function discardBegun(targets: readonly Target<Piece>[]): Promise<void> {
  const places = new Map<string, Place>();
  for (const { root, relative, wanted } of targets) {
    if (wanted.size <= SMALL_MAX) continue;
    const place = places.get(root) ?? new Place(root);
    places.set(root, place);
    const spot = await place.find(relative).catch(() => undefined);
    if (spot) await discardPartial(spot.folder, spot.name).catch(() => false);
  }
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
    const folder = await new Place(dirname(dest.path)).existing().catch(absent);
    if (folder && (await discardPartial(folder, basename(dest.path)).catch(absent))) {
      gone.push({ path: basename(dest.path), file: dest.path });
    }
  } else if (dest.kind === 'folder') {
    const matchers = what.map(whatMatcher);
    const root = await new Place(dest.path).existing();
    for await (const folder of root ? foldersBelow(root, BOUNDS) : []) {
      for (const { name, path, id, size } of await findPartials(folder).catch(() => [])) {
        const offer = { path, kind: 'file' as const, size, mtime: 0, id, version: 1 };
        if (name === '' || !matchers.some((isMeant) => isMeant(offer))) continue;
        if (await discardPartial(folder, name)) gone.push({ path, file: join(folder.path, name) });
      }
    }
  }
  if (gone.length === 0) throw new HearsayError('not-found', `no unfinished get of ${what.join(', ')} at ${dest.path}`);
  return gone;
}

function absent(thrown: unknown): undefined {
  if (asHearsayError(thrown).code === 'busy') throw thrown;
}
