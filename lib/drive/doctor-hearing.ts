/**
 * What comes by each card, told by what was counted of it: who is spoken with there, and whether what others send to everyone comes.
 * Owns nothing. Always true: who was never heard by multicast is called silent only after a heartbeat must have come; where it came
 * before, only after one more. Called by the doctor.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Millis } from '../clock.js';
import { isLoopback } from '../endpoint.js';
import type { PeerInfo } from '../gossip/events.js';
import { idleInterval, SILENCE } from '../gossip/pace.js';
import { type Card, hostOf, isOnLink } from '../net/interfaces.js';
import type { Links } from '../net/links.js';
import type { Heard, Way } from '../net/traffic.js';
import { parseEndpoint } from '../net/transport.js';
import type { Multicast } from '../net/udp.js';
import type { CardFacts, Echo } from './doctor-facts.js';
import { isOutside } from './doctor-network.js';

/** Bytes of a large heartbeat. */
const HEARTBEAT = 400;
/** A heartbeat of one of so many comes within the mean time between two, times this. */
const SURELY = 6;
/** Where that takes longer, it is not waited for. */
const SILENCE_MAX: Millis = 15_000;
/** Where it was heard before, one heartbeat may have been lost. */
const LOST = 2.2;
const LISTEN_MAX: Millis = 30_000;
const STEP: Millis = 50;

/** Of the peer that is looked at, what listening takes. */
export interface Listener {
  settled: { passive: boolean };
  /** When it started, `performance.now()`. */
  startedAt: Millis;
  multicast: Pick<Multicast, 'traffic'>;
  links: Pick<Links, 'get'>;
  /** Other live peers that are known. */
  known(): PeerInfo[];
}

/** Waits until something holds, or it took so long. */
export async function until(holds: () => boolean, most: Millis): Promise<void> {
  const end = performance.now() + most;
  while (!holds() && performance.now() < end) await delay(STEP);
}

/** Whether an address is of this machine. */
export const isOwn = (host: string, cards: readonly Card[]) =>
  isLoopback(host) || cards.some((card) => hostOf(card) === host);
/** Whether an address is in the network of one of these. */
export const isNear = (host: string, cards: readonly Card[]) => cards.some((card) => isOnLink(card, host));

/** Hosts of a peer, as far as they are known. */
export function hostsOf({ addresses }: Pick<PeerInfo, 'addresses'>): string[] {
  return addresses.flatMap((address) => parseEndpoint(address)?.host ?? []);
}

/** Cards by their names, but those of this machine alone. */
function outside(cards: readonly Card[]): Map<string, Card[]> {
  const all = new Map<string, Card[]>();
  for (const card of cards) if (!card.internal) all.set(card.name, [...(all.get(card.name) ?? []), card]);
  return all;
}

/** What was heard of others on a card. */
function heardOn(own: readonly Card[], cards: readonly Card[], { multicast }: Listener): [string, Heard][] {
  return [...multicast.traffic.hosts].filter(([host]) => !isOwn(host, cards) && isNear(host, own)) as [string, Heard][];
}

/** When the last came so; long before all time where none did. */
const lastBy = (way: Way, heard: readonly [string, Heard][]) => Math.max(...heard.map(([, one]) => one[way].at));

/** Peers of a card with whom something went to and fro, between the two alone. */
function spokenWith(own: readonly Card[], cards: readonly Card[], patient: Listener): PeerInfo[] {
  const heard = new Map(heardOn(own, cards, patient));
  const isThere = (host: string) => !isOwn(host, cards) && isNear(host, own);
  return patient.known().filter((peer) => {
    const link = patient.links.get(peer.id);
    if (link && !link.tunnelled && isThere(link.address.host)) return true;
    return hostsOf(peer).some((host) => isThere(host) && (heard.get(host)?.unicast.count ?? 0) > 0);
  });
}

/** How long nothing may be heard of so many peers on a card before nothing comes; undefined where that is too long to wait for. */
function silenceOf(spoken: number, known: number): Millis | undefined {
  const interval = idleInterval(known + 1, HEARTBEAT);
  const most = Math.min(SILENCE * interval, (SURELY * interval) / Math.max(1, spoken));
  return most > SILENCE_MAX ? undefined : most;
}

/** Listens until it is clear on each card whether what others send to everyone comes; where nobody is known, whether anybody is heard. */
export async function listen(patient: Listener, cards: readonly Card[], began: Millis): Promise<void> {
  const groups = [...outside(cards).values()];
  const isClear = () => {
    const known = patient.known().length;
    if (known === 0) return groups.length === 0 || performance.now() - began > (silenceOf(1, 1) ?? 0);
    return groups.every((own) => {
      const spoken = spokenWith(own, cards, patient).length;
      return spoken === 0 || loudness(own, cards, patient, spoken) !== 'unclear';
    });
  };
  await until(isClear, LISTEN_MAX);
}

/** Whether what others send to everyone came by a card lately; `unclear` while it was not listened long enough. */
function loudness(
  own: readonly Card[],
  cards: readonly Card[],
  patient: Listener,
  spoken: number,
): CardFacts['loud'] | 'unclear' {
  const silence = silenceOf(spoken, patient.known().length);
  // Who has IPv4 speaks IPv6 besides only where somebody is listed who has none; a one-shot is not.
  const isSpared = patient.settled.passive && own.every(({ family }) => family === 6);
  if (silence === undefined || isSpared) return undefined;
  const now = performance.now();
  const heard = heardOn(own, cards, patient);
  const last = lastBy('multicast', heard);
  const multicast = now - last < silence;
  const patience = Number.isFinite(last) ? LOST * silence : silence;
  if (!multicast && now - Math.max(last, patient.startedAt) < patience) return 'unclear';
  // One who answers what was broadcast to him, too.
  const found = spokenWith(own, cards, patient).some(({ via }) => via === 'broadcast');
  return { multicast, broadcast: found || now - lastBy('broadcast', heard) < silence };
}

export function cardFacts(
  patient: Listener,
  cards: readonly Card[],
  echoes: ReadonlyMap<string, Echo>,
  others: readonly PeerInfo[],
  began: Millis,
): CardFacts[] {
  const { traffic } = patient.multicast;
  const names = [...new Set(cards.map(({ name }) => name))];
  const ofThis = others.map((peer) => ({ peer, hosts: hostsOf(peer) }));
  const here = new Set(ofThis.flatMap(({ hosts }) => hosts));
  const rows = names.map((name): CardFacts => {
    const own = cards.filter((card) => card.name === name);
    const internal = own.every((card) => card.internal);
    const heard = internal ? [...traffic.hosts].filter(([host]) => isOwn(host, cards)) : heardOn(own, cards, patient);
    const isThere = (host: string) => (internal ? isOwn(host, cards) : !isOwn(host, cards) && isNear(host, own));
    const count = (way: Way) => heard.reduce((sum, [, one]) => sum + one[way].count, 0);
    const said = own.map((card) => traffic.spoken(hostOf(card)));
    const spoken = internal ? [] : spokenWith(own, cards, patient);
    const loud = spoken.length > 0 ? loudness(own, cards, patient, spoken.length) : undefined;
    const mute = internal
      ? []
      : heard.filter(([host, one]) => !here.has(host) && Math.max(one.multicast.at, one.broadcast.at) > began);
    return {
      name,
      internal,
      addresses: own.map(hostOf),
      sent: said.reduce((sum, { sent }) => sum + sent, 0),
      echoed: said.reduce((sum, { echoed }) => sum + echoed, 0),
      heardMulticast: count('multicast'),
      heardBroadcast: count('broadcast'),
      heardUnicast: count('unicast'),
      peers: ofThis.filter(({ hosts }) => hosts.some(isThere)).length,
      echo: echoesOf(own, echoes),
      loud: loud === 'unclear' ? undefined : loud,
      spoken: spoken.map(({ name }) => name),
      mute: mute.map(([host]) => host),
    };
  });
  return rows.sort((a, b) => Number(isOutside(b)) - Number(isOutside(a)));
}

/** By family, all addresses of a card together. */
function echoesOf(own: readonly Card[], echoes: ReadonlyMap<string, Echo>): CardFacts['echo'] {
  const together: CardFacts['echo'] = {};
  for (const card of own) {
    const echo = echoes.get(hostOf(card));
    if (!echo) continue;
    const sum = together[card.family] ?? { sent: 0, echoed: 0, failure: '' };
    sum.sent += echo.sent;
    sum.echoed += echo.echoed;
    sum.failure ||= echo.failure;
    together[card.family] = sum;
  }
  return together;
}
