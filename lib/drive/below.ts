/**
 * What the next segment of a path may be: what completes a path that is being typed. It reads the index and keeps nothing.
 * Always true: at most COMPLETIONS_MAX rows, the first in the order of paths; others have their turns meanwhile. Called by
 * the peer.
 */
import { setImmediate as turn } from 'node:timers/promises';
import type { BelowRow } from '../api.js';
import type { PeerId } from '../ids.js';
import { COMPLETIONS_MAX } from '../limits.js';
import { isFile, type PeerOffer } from '../offer.js';

/** Offers that are looked at in one go: some milliseconds. */
const AT_ONCE = 16_384;

const key = ({ path, folder }: BelowRow): string => (folder ? `${path}/` : path);

/**
 * The paths that begin with `prefix` and go on to the end of the segment in which it ends; a folder once, whatever lies in it.
 * @param from only these peers' files
 */
export async function below(
  offers: Iterable<PeerOffer>,
  prefix: string,
  from: ReadonlySet<PeerId> | undefined,
): Promise<BelowRow[]> {
  const found = new Map<string, BelowRow>();
  let looked = 0;
  for (const offer of offers) {
    if (++looked % AT_ONCE === 0) await turn();
    const { path, peer } = offer;
    if (!path.startsWith(prefix) || (from && !from.has(peer))) continue;
    const slash = path.indexOf('/', prefix.length);
    const row = slash < 0 ? { path, folder: !isFile(offer) } : { path: path.slice(0, slash), folder: true };
    found.set(key(row), row);
    if (found.size > 2 * COMPLETIONS_MAX) {
      for (const [last] of sorted(found).slice(COMPLETIONS_MAX)) found.delete(last);
    }
  }
  return sorted(found)
    .slice(0, COMPLETIONS_MAX)
    .map(([, row]) => row);
}

function sorted(found: ReadonlyMap<string, BelowRow>): [string, BelowRow][] {
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1));
}
