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
  const all = [...live];
  const isMore = all.length > most;
  const some: Neighbour[] = [];
  for (let i = 0; i < all.length && some.length < most; i++) {
    const j = isMore ? i + Math.floor(random() * (all.length - i)) : i;
    const member = all[j];
    all[j] = all[i];
    const neighbour = member.id === except ? undefined : asNeighbour(member, sameHost);
    if (neighbour) some.push(neighbour);
  }
  return some;
}
