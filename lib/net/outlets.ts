/**
 * By which of its addresses a machine speaks to everyone: pure functions of its cards.
 *
 * Always true: every LAN is spoken to by one address at least. Where nobody is known yet all of them are used; where people
 * know each other, what would only double the cost is left out. Called by Multicast.
 */
import type { Sparing } from '../gossip/events.js';
import { type Card, isOnLink } from './interfaces.js';

/**
 * The cards' addresses to send from.
 * @param sparing left out where somebody is to be found: then all
 * @param spared names of cards on whose LAN another one speaks
 */
export function outlets(cards: readonly Card[], sparing: Sparing | undefined, spared: ReadonlySet<string>): Card[] {
  const able = cards.filter(({ family, zone }) => family === 4 || zone !== '');
  if (!sparing) return able;
  const networks = new Set<string>();
  const four = able.filter((card) => {
    if (card.family !== 4 || spared.has(card.name)) return false;
    // A second address of one card in the same network.
    const network = `${card.name} ${networkOf(card)}`;
    const isFirst = !networks.has(network);
    networks.add(network);
    return isFirst;
  });
  const named = new Set(four.map(({ name }) => name));
  const six = able.filter((card) => {
    if (card.family !== 6 || spared.has(card.name)) return false;
    return sparing.six === 'all' || !named.has(card.name) || sparing.six.some((host) => isOnLink(card, host));
  });
  return [...four, ...six];
}

/** The network of an IPv4 address, as a number and its bits. */
function networkOf({ address, prefix }: Card): string {
  return `${(toNumber(address) & mask(prefix)) >>> 0}/${prefix}`;
}

/** The broadcast address of a card's IPv4 network; undefined where there is none. */
export function broadcastOf({ family, address, prefix, internal }: Card): string | undefined {
  if (family !== 4 || internal || prefix > 30) return undefined;
  const last = (toNumber(address) | ~mask(prefix)) >>> 0;
  return [24, 16, 8, 0].map((shift) => (last >>> shift) & 255).join('.');
}

function toNumber(address: string): number {
  return address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}

function mask(prefix: number): number {
  return prefix === 0 ? 0 : -1 << (32 - prefix);
}
