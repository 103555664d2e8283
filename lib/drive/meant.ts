/** Offers among which are all that a WHAT may mean: far fewer than there are. Pure. Called by what resolves a WHAT. */
import type { PeerId } from '../ids.js';
import type { PeerOffer } from '../offer.js';
import { meanings, whatMatcher } from '../shelf/query.js';
import type { Rows } from '../shelf/rows.js';
import { scan, wantedMeaning } from '../shelf/scan.js';
import type { Listed } from './listing.js';

/**
 * What fits any reading of a WHAT, and one offer below it where it is a folder, so that it can be said how to write that. An
 * undefined is a moment in which others may have a turn.
 * @throws HearsayError `usage` where it holds a pattern that is too long
 */
export function* meant(
  { shelves, told }: Listed,
  what: string,
  from: ReadonlySet<PeerId> | undefined,
): Generator<undefined, PeerOffer[], undefined> {
  const all = meanings(what);
  const fits = whatMatcher(what);
  const below = `${what}/`;
  const out: PeerOffer[] = [];
  let inside: PeerOffer | undefined;
  for (const { peer, rows } of shelves()) {
    if (from && !from.has(peer)) continue;
    const found = new Set<number>();
    for (const meaning of all) for (const row of yield* scan(rows, wantedMeaning(meaning), true)) found.add(row);
    for (const row of found) {
      const offer = rows.offer(row, peer);
      if (fits(offer)) out.push(offer);
    }
    inside ??= firstIn(rows, below, peer);
    yield undefined;
  }
  for (const offer of told()) {
    if (from && !from.has(offer.peer)) continue;
    if (fits(offer)) out.push(offer);
    else if (offer.path.startsWith(below)) inside ??= offer;
  }
  if (inside && !fits(inside)) out.push(inside);
  return out;
}

function firstIn(rows: Rows, below: string, peer: PeerId): PeerOffer | undefined {
  const folders = new Set<number>();
  for (const [number, folder] of rows.folders.entries()) if (folder.startsWith(below)) folders.add(number);
  if (folders.size === 0) return undefined;
  for (let row = 0; row < rows.length; row++) {
    if (folders.has(rows.folder[row]) && rows.isLive(row)) return rows.offer(row, peer);
  }
  return undefined;
}
