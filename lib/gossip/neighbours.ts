/** Peers as others are told of them: in their own signed words. Called by links. */
import type { Random } from '../clock.js';
import { isLoopback } from '../endpoint.js';
import type { PeerId } from '../ids.js';
import type { Neighbour } from '../wire/table.js';
import { addressesOf, type Member } from './member.js';

/** @param sameHost whether the one who is told is on a host of ours, so that loopback means the same to it */
export function asNeighbour(member: Member, sameHost: boolean): Neighbour | undefined {
  // A zone means something on one host only, and so does loopback.
  const addresses = addressesOf(member).filter((a) => !a.includes('%') && (sameHost || !isLoopback(a)));
  if (addresses.length === 0) return undefined;
  return { head: member.proof.head, sig: member.proof.sig, addresses };
}

/**
 * Some of those who have addresses, drawn by chance where there are more.
 * @param except who is told
 * @param most so many
 */
export function drawn(
  live: Iterable<Member>,
  except: PeerId,
  sameHost: boolean,
  most: number,
  random: Random,
): Neighbour[] {
  const all: Neighbour[] = [];
  for (const member of live) {
    const neighbour = member.id === except ? undefined : asNeighbour(member, sameHost);
    if (neighbour) all.push(neighbour);
  }
  for (let i = 0; all.length > most && i < most; i++) {
    const j = i + Math.floor(random() * (all.length - i));
    [all[i], all[j]] = [all[j], all[i]];
  }
  return all.slice(0, most);
}
