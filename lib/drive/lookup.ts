import type { PeerName } from '../api.js';
import { HearsayError } from '../errors.js';
import type { PeerId } from '../ids.js';
import { printable } from '../names.js';
import { onePeer } from '../shelf/query.js';

/**
 * Which peers a person means by names, ids or unique prefixes of ids.
 * @param nobody why nobody else is here, where that is so
 * @returns their ids, and the names that nobody here bears
 * @throws HearsayError `ambiguous` where two peers bear a name, with their ids; `no-peer` where none of the named is here
 */
export function lookUpPeers(
  named: readonly string[],
  peers: readonly PeerName[],
  nobody?: string,
): { ids: Set<PeerId>; away: string[] } {
  const ids = new Set<PeerId>();
  const away: string[] = [];
  for (const name of named) {
    const found = onePeer(name, peers);
    if (found) ids.add(found.id);
    else away.push(name);
  }
  if (named.length > 0 && ids.size === 0) {
    throw new HearsayError('no-peer', `not here: ${away.map(printable).join(', ')}${nobody ? `; ${nobody}` : ''}`);
  }
  return { ids, away };
}
