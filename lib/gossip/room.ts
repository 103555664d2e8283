/**
 * Whose place is given up where there is no more room. Pure.
 *
 * Anybody can be as many peers as he likes, so what counts is the address that proved to be theirs: the one that takes most gives
 * way, and one who takes little always finds room.
 */
import type { Member } from './member.js';

/** The address that a peer was last shown to speak from; its id where none was. */
function hostOf({ id, hosts }: Member): string {
  return [...hosts].at(-1) ?? id;
}

function sums(live: Iterable<Member>, weigh: (member: Member) => number): Map<string, number> {
  const byHost = new Map<string, number>();
  for (const member of live) {
    const host = hostOf(member);
    byHost.set(host, (byHost.get(host) ?? 0) + weigh(member));
  }
  return byHost;
}

/** The room that what is kept of a peer takes, what it told aside too. */
export const offersOf = ({ shelf, aside }: Member): number => (shelf?.load ?? 0) + (aside?.shelf.load ?? 0);

/**
 * The peer whose offers are let go for those of another: the one with most, of the address with most.
 * @param count offers that the other is to have
 * @param weigh how many there are of each
 * @returns undefined where no address would have more than the other's then has: who was let go does not come back for it
 */
export function heaviest(
  live: Iterable<Member>,
  other: Member | undefined,
  count: number,
  weigh: (member: Member) => number = offersOf,
): Member | undefined {
  const byHost = sums(live, weigh);
  let most = count;
  if (other) most += (byHost.get(hostOf(other)) ?? 0) - weigh(other);
  let host: string | undefined;
  for (const [each, sum] of byHost) if (sum > most) [host, most] = [each, sum];
  let found: Member | undefined;
  for (const member of live) {
    if (member !== other && hostOf(member) === host && weigh(member) > (found ? weigh(found) : 0)) found = member;
  }
  return found;
}

/**
 * The peer that is given up for a new one: of the address with most of them, the one heard longest ago.
 * @param most that an address may have without losing any
 */
export function crowded(live: Iterable<Member>, most: number): Member | undefined {
  let host: string | undefined;
  for (const [each, sum] of sums(live, () => 1)) if (sum > most) [host, most] = [each, sum];
  let found: Member | undefined;
  for (const member of live) {
    if (host !== undefined && hostOf(member) === host && (!found || member.heardAt < found.heardAt)) found = member;
  }
  return found;
}
