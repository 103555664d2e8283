/** From what was asked for to what is to be fetched: one file for each path, with everyone who offers it. Pure. */

import type { PeerId } from '../ids.js';
import { isFile, type PeerOffer } from '../offer.js';
import type { Naming, Wanted } from '../share/destination.js';
import { ambiguities, type Resolution } from '../shelf/query.js';

/** A file or an empty folder to be fetched. */
export interface Piece extends Wanted {
  size: number;
  mtime: number;
  executable: boolean;
  /** Who offers it, this peer itself left out. */
  sources: PeerId[];
  /** Where only some peers are to be asked: these. */
  only: Set<PeerId> | undefined;
  /** Whether this peer offers the same content. */
  here: boolean;
  /** Where it is received together with others: see LargeJob. */
  patience?: number;
  /** Where it must have its size: see SmallJob. */
  exact?: boolean;
  yields?: (source: PeerId, chunk: number) => boolean;
}

/**
 * Merges the offers of one WHAT, of one content for each path, into pieces.
 * @param self this peer's id
 * @param only the peers to be asked, where not all
 */
export function piecesOf(
  offers: readonly PeerOffer[],
  naming: Naming,
  self: PeerId,
  only: Set<PeerId> | undefined,
): Piece[] {
  // One content under several names (asked for by its id) is fetched once, from all who have it.
  const groups = naming.kind === 'file' ? [[...offers]] : [...groupByPath(offers).values()];
  return groups.map((same) => {
    const files = same.filter(isFile);
    const [{ path, id, size, mtime, kind }] = files.length > 0 ? files : same;
    return {
      path,
      id,
      folder: files.length === 0,
      naming,
      size,
      mtime,
      executable: kind === 'executable',
      // A peer may offer one content under several names.
      sources: [...new Set(files.map((o) => o.peer))].filter((p) => p !== self),
      only,
      here: files.some((o) => o.peer === self),
    };
  });
}

function groupByPath(offers: readonly PeerOffer[]): Map<string, PeerOffer[]> {
  const byPath = new Map<string, PeerOffer[]>();
  for (const offer of offers) {
    const same = byPath.get(offer.path);
    if (same) same.push(offer);
    else byPath.set(offer.path, [offer]);
  }
  return byPath;
}

/** How the paths of a resolution land: what the destination makes of a folder's and a pattern's part. */
export function namingOf({ kind, fixed, offers }: Resolution): Naming {
  if (kind === 'pattern') return { kind, fixed: fixed.replace(/\/$/, '') };
  if (kind !== 'folder') return { kind: 'file' };
  const [name] = offers[0].path.slice(fixed.length).split('/');
  return { kind, folder: fixed + name };
}

/** Of contents that cannot be told apart, the offers whose writers could hash them first. */
export function unsettled(resolution: Resolution): PeerOffer[] {
  return ambiguities(resolution)
    .flat(2)
    .filter((offer) => offer.id === null);
}
