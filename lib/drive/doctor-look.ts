/**
 * The doctor's eyes and hands: sends to itself by each card, has others connect, connects to those who are not reached, and listens.
 * Owns nothing that lasts. Always true: what it does disturbs nobody, and ends within a minute. Called by the peer; what was seen is
 * judged by doctor.ts.
 */
import type { InterfaceRow, PeerName } from '../api.js';
import type { Millis } from '../clock.js';
import { formatEndpoint, isLoopback } from '../endpoint.js';
import type { PeerInfo } from '../gossip/events.js';
import type { PeerId } from '../ids.js';
import { type Card, hostOf, leftOut, presentInterfaces } from '../net/interfaces.js';
import type { Links } from '../net/links.js';
import type { Spoken } from '../net/traffic.js';
import type { Multicast } from '../net/udp.js';
import type { PeerOffer } from '../offer.js';
import type { CardFacts, ClockFacts, Echo, Facts, Taken, Tried } from './doctor-facts.js';
import { findFirewall } from './doctor-firewall.js';
import { cardFacts, hostsOf, isNear, isOwn, listen, until } from './doctor-hearing.js';
import { type Knocked, knockAll } from './doctor-knock.js';
import { holderOf } from './doctor-system.js';
import type { Gossiper } from './gossiper.js';
import type { Joins } from './joins.js';
import type { Settled } from './options.js';
import type { Trackers } from './trackers.js';

/** How often it is sent to oneself, and how long each is waited for. */
const ECHOES = 3;
const ECHO_MS: Millis = 300;
/** How long peers are waited for that may be asked to connect to us, how often they are asked, and how long each is waited for. */
const MEET_MS: Millis = 600;
const CALLS = 3;
const CALL_MS: Millis = 1000;
const CALLED = 5;
/** A handshake with a joined host is over by then. */
const JOIN_MS: Millis = 6000;
/** Peers of before that are connected to, where nobody is here. */
const REMEMBERED = 8;
/** Offers whose dates are looked at, and from how far ahead a date is odd. */
const DATED = 20_000;
const AHEAD: Millis = 86_400_000;

/** The peer that is looked at. */
export interface Patient {
  settled: Pick<Settled, 'passive' | 'multicast' | 'joins' | 'interface' | 'groupAddress' | 'wait'>;
  /** When it started, `performance.now()`. */
  startedAt: Millis;
  /** The TCP port where others reach it; 0 where they are not meant to. */
  port: number;
  /** The port where it should have listened, which another program has. */
  taken: { port: number; chosen: boolean } | undefined;
  multicast: Multicast;
  gossiper: Pick<Gossiper, 'probe' | 'call' | 'whyNobody' | 'strangers'>;
  joins: Pick<Joins, 'joining' | 'unjoined'>;
  links: Pick<Links, 'get' | 'all'>;
  trackers: Pick<Trackers, 'rows' | 'reachable'>;
  /** Other live peers that are known; those that are there when asked. */
  known(): PeerInfo[];
  learn(): Promise<PeerInfo[]>;
  /** Tries the ways to them. */
  try(peers: readonly PeerName[]): Promise<Tried[]>;
  /** Peers of before that are not here. */
  absent(): { id: PeerId; name: string; addresses: readonly string[] }[];
  offers(): Iterable<PeerOffer>;
  /** What the system's clock says, and what one says that was never set, both ms since 1970. */
  clock(): { system: Millis; steady: Millis };
}

/** Looks at everything; takes a second where all is well, and up to half a minute where somebody does not answer. */
export async function examine(patient: Patient): Promise<Facts> {
  const { settled, multicast, gossiper, joins, trackers } = patient;
  const began = performance.now();
  // A port that was let go, or a card that came just now, is for this look.
  await multicast.refresh();
  const cards = presentInterfaces(settled.interface);
  const joined = knockAll(toJoin(patient), cards);
  const echoes = settled.multicast ? await hearSelf(patient, cards) : new Map<string, Echo>();
  const callers = await haveCome(patient, cards);
  let others = await patient.learn();
  const outer = [...echoes].filter(([host]) => !isLoopback(host));
  const isShut = outer.some(([, echo]) => echo.echoed === 0);
  await until(() => !joins.joining, JOIN_MS);
  if (settled.multicast && !multicast.isTaken && !outer.every(([, echo]) => echo.echoed === 0)) {
    await listen(patient, cards, began);
    if (others.length === 0 && patient.known().length > 0) others = await patient.learn();
  }
  const listened = performance.now() - began;
  const [tried, ofJoined] = await Promise.all([patient.try(others), joined]);
  const remembered = others.length === 0 ? patient.absent().slice(0, REMEMBERED) : [];
  const lost = tried.filter(({ unreachable }) => unreachable !== undefined).map(({ id }) => id);
  const targets = [...others.filter(({ id }) => lost.includes(id)), ...remembered];
  const ofPeers = await knockAll(
    targets.map(({ id, addresses }) => ({ key: id, addresses })),
    cards,
  );
  const facts = cardFacts(patient, cards, echoes, others, began);
  const ports = { udp: settled.groupAddress.port, tcp: patient.port || settled.groupAddress.port };
  const knocks: Knocked = new Map([...ofJoined, ...ofPeers]);
  const isForbidden =
    [...echoes.values()].some(({ failure }) => failure !== '') ||
    [...knocks.values()].some(({ code }) => /^E(PERM|ACCES)$/.test(code));
  return {
    platform: process.platform,
    cards: facts,
    leftOut: leftOut(settled.interface),
    multicast: settled.multicast,
    groupPort: ports.udp,
    udpTaken: multicast.isTaken ? await taken('udp', ports.udp) : undefined,
    port: patient.port,
    tcpTaken: patient.taken && { ...(await taken('tcp', patient.taken.port)), chosen: patient.taken.chosen },
    callers,
    firewallIn: isShut || (callers.asked > 0 && callers.came === 0) ? await findFirewall('in', ports) : undefined,
    firewallOut: isForbidden ? await findFirewall('out', ports) : undefined,
    joins: toJoin(patient).map(({ key }) => key),
    unjoined: joins.unjoined,
    trackers: trackers.rows(),
    reachable: trackers.reachable,
    others: others.length,
    tried,
    remembered: remembered.map(({ id, name }) => ({ id, name })),
    knocks,
    listened,
    whyNobody: gossiper.whyNobody(),
    strangers: gossiper.strangers,
    clock: clockFacts(patient),
  };
}

/** What the report says of each card. */
export function interfaceRows(cards: readonly CardFacts[]): InterfaceRow[] {
  return cards.map(({ name, addresses, sent, echoed, heardMulticast, heardBroadcast, heardUnicast, peers }) => {
    return { name, addresses, sent, echoed, heardMulticast, heardBroadcast, heardUnicast, peers };
  });
}

async function taken(kind: 'tcp' | 'udp', port: number): Promise<Taken> {
  return { port, holder: await holderOf(kind, port) };
}

/** Sends to everyone what only oneself heeds, and sees on which addresses it comes back. @returns by own address */
async function hearSelf(
  { multicast: { traffic }, gossiper }: Patient,
  cards: readonly Card[],
): Promise<Map<string, Echo>> {
  const hosts = cards.map(hostOf);
  const before = new Map(hosts.map((host) => [host, { ...traffic.spoken(host) }]));
  const since = (host: string): Echo => {
    const then = before.get(host) as Spoken;
    const now = traffic.spoken(host);
    const failure = now.failed > then.failed ? now.failure : '';
    return { sent: now.sent - then.sent, echoed: now.echoed - then.echoed, failure };
  };
  const isDone = (host: string) => {
    const { sent, echoed, failure } = since(host);
    return echoed > 0 || (sent === 0 && failure !== '');
  };
  // An address that nothing is sent from is none to wait for: IPv6 ones that hold beyond the link.
  const isSpoken = (host: string) => since(host).sent > 0 || since(host).failure !== '';
  for (let i = 0; i < ECHOES; i++) {
    gossiper.probe();
    await until(() => hosts.some(isSpoken) && hosts.filter(isSpoken).every(isDone), ECHO_MS);
  }
  return new Map(hosts.filter(isSpoken).map((host) => [host, since(host)]));
}

/** Has those who hear us connect to us, where nobody has. */
async function haveCome(patient: Patient, cards: readonly Card[]): Promise<Facts['callers']> {
  const { links, port, settled, gossiper, multicast } = patient;
  const isOther = (host: string) => !isOwn(host, cards);
  const come = () => [...links.all].filter((l) => !l.dialled && !l.tunnelled && isOther(l.address.host)).length;
  if (port === 0 || !settled.multicast || come() > 0) return { asked: 0, came: come() };
  const heard = new Map(multicast.traffic.hosts);
  // Who has answered what everybody was asked, hears us.
  const hears = (peer: PeerInfo) =>
    !links.get(peer.id) &&
    hostsOf(peer).some((host) => isOther(host) && isNear(host, cards) && (heard.get(host)?.unicast.count ?? 0) > 0);
  const candidates = () => {
    for (const [host, one] of multicast.traffic.hosts) heard.set(host, one);
    return patient.known().filter(hears).slice(0, CALLED);
  };
  if (settled.passive) await until(() => candidates().length > 0, MEET_MS);
  const asked = candidates();
  for (let i = 0; i < CALLS && asked.length > 0 && come() === 0; i++) {
    for (const { id } of asked) gossiper.call(id);
    await until(() => come() > 0, CALL_MS);
  }
  // One whom somebody dialled meanwhile does not come, and is none that could not.
  return { asked: asked.filter(({ id }) => !links.get(id)).length, came: come() };
}

/** What is known of the time: nothing that peers say to each other bears one, but their files do. */
function clockFacts({ clock, offers, known }: Patient): ClockFacts {
  const { system, steady } = clock();
  const others = new Set(known().map(({ id }) => id));
  const dated = new Map<PeerId, boolean>();
  let seen = 0;
  for (const { peer, mtime } of offers()) {
    if (++seen > DATED) break;
    if (others.has(peer)) dated.set(peer, dated.get(peer) || mtime > system + AHEAD);
  }
  return { now: system, set: system - steady, dated: dated.size, ahead: [...dated.values()].filter(Boolean).length };
}

/** Hosts that a person named, by the name that `unjoined` has for them. */
function toJoin({ settled }: Patient): { key: string; addresses: string[] }[] {
  return settled.joins.map((endpoint) => {
    const key = formatEndpoint(endpoint);
    return { key, addresses: [key] };
  });
}
