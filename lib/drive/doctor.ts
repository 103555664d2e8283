/**
 * The doctor: what of all that a peer depends on works, what does not, and what mends it. Looks at facts that others gathered,
 * and does nothing by itself. Called by the peer.
 */
import type { Finding, PeerName, TrackerRow } from '../api.js';
import { advice, type HearsayError } from '../errors.js';
import type { StrangerCount } from '../net/strangers.js';

/** A way to others that was tried. */
export interface Tried extends PeerName {
  /** Why it led nowhere. */
  unreachable?: string | undefined;
}

export interface Facts {
  /** Addresses of this machine that are spoken from. */
  cards: { name: string; address: string; internal: boolean }[];
  multicast: boolean;
  /** 0 where it does not listen. */
  port: number;
  /** Hosts that the person named, and why those that could not be reached could not. */
  joins: string[];
  unjoined: ReadonlyMap<string, HearsayError>;
  trackers: TrackerRow[];
  /** Where trackers could connect back to this peer; undefined where it is registered nowhere. */
  reachable: readonly string[] | undefined;
  /** Other peers; of those that were not tried nothing more is known. */
  others: number;
  tried: Tried[];
  /** Why nobody is found, as far as can be told. */
  whyNobody: string;
  strangers: StrangerCount;
}

/** Peers that cannot be reached and are named one by one. */
const NAMED = 20;

/** What is well and what is not, in the order in which one thing rests on another. */
export function diagnose(facts: Facts): Finding[] {
  return [...network(facts), ...hosts(facts), ...trackers(facts), ...peers(facts)];
}

function network({ cards, multicast, port }: Facts): Finding[] {
  const outside = cards.filter(({ internal }) => !internal);
  const names = [...new Set(outside.map(({ name }) => name))];
  const where = names.map((name) => {
    const all = outside.filter((card) => card.name === name).map(({ address }) => address);
    return `${name} (${all.join(', ')})`;
  });
  const topic = 'network';
  const findings: Finding[] = [];
  if (names.length === 0) {
    const message = 'no network card is in use, so only programs of this machine can be found';
    const mend =
      'Plug in a cable or join a wireless network; a card that is left out by default is named with --interface.';
    findings.push({ level: 'bad', topic, message, advice: mend });
  } else findings.push({ level: 'ok', topic, message: `speaks on ${where.join(', ')}` });
  if (!multicast) {
    const message = 'multicast is turned off, so only peers that are joined, or that a tracker tells of, are found';
    findings.push({ level: 'ok', topic, message });
  }
  if (port > 0) findings.push({ level: 'ok', topic, message: `listens on TCP port ${port}` });
  return findings;
}

function hosts({ joins, unjoined, trackers }: Facts): Finding[] {
  const told = new Set(trackers.map(({ address }) => address));
  return joins
    .filter((host) => !told.has(host))
    .map((host): Finding => {
      const error = unjoined.get(host);
      if (!error) return { level: 'ok', topic: 'join', message: `${host} is joined` };
      const message = `${host} cannot be joined: ${error.message}`;
      return { level: 'bad', topic: 'join', message, advice: advice(error.code) };
    });
}

function trackers({ trackers, reachable, port }: Facts): Finding[] {
  const findings = trackers.map(({ address, name, registered, peers, error }): Finding => {
    const who = name === undefined ? `the tracker at ${address}` : `the tracker ${name} at ${address}`;
    if (registered)
      return { level: 'ok', topic: 'tracker', message: `registered with ${who}, where ${peers} peers are` };
    const message = `not registered with ${who}${error ? `: ${error.message}` : ''}`;
    return { level: 'bad', topic: 'tracker', message, ...(error ? { advice: advice(error.code) } : {}) };
  });
  if (reachable === undefined) return findings;
  if (reachable.length > 0) {
    findings.push({
      level: 'ok',
      topic: 'reachable',
      message: `a tracker could connect to this peer at ${reachable.join(', ')}`,
    });
  } else {
    const message =
      'no tracker could connect to this peer: others cannot dial it, so it dials them when a tracker asks, or is passed on by another';
    const mend = `Let TCP port ${port} through the firewall of this machine, or have the router forward it.`;
    findings.push({ level: 'warn', topic: 'reachable', message, advice: mend });
  }
  return findings;
}

function peers({ others, tried, whyNobody, strangers }: Facts): Finding[] {
  const findings: Finding[] = [];
  const lost = tried.filter(({ unreachable }) => unreachable !== undefined);
  const rest = others - lost.length;
  if (others === 0) findings.push({ level: 'warn', topic: 'peers', message: whyNobody, advice: advice('no-peer') });
  else if (rest > 0) {
    const shown = tried.length - lost.length;
    const part = shown < rest ? `, of which ${shown} were tried and can be reached` : ' and can be reached';
    findings.push({
      level: 'ok',
      topic: 'peers',
      message: `${rest} other ${rest === 1 ? 'peer is' : 'peers are'} here${part}`,
    });
  }
  for (const { name, unreachable } of lost.slice(0, NAMED)) {
    const message = `${name} cannot be reached: ${unreachable}`;
    const mend =
      'Let hearsay’s TCP port through the firewall of one of the two machines, or have both join a tracker that passes on (relay = true).';
    findings.push({ level: 'bad', topic: 'peers', message, advice: mend });
  }
  if (lost.length > NAMED) {
    findings.push({ level: 'bad', topic: 'peers', message: `${lost.length - NAMED} more cannot be reached` });
  }
  if (others > 0 && strangers.sealed + strangers.open > 0) {
    const sealed = strangers.sealed > 0 ? [`${strangers.sealed} with another secret`] : [];
    const open = strangers.open > 0 ? [`${strangers.open} in the open group`] : [];
    const message = `hosts of other groups are heard too: ${[...sealed, ...open].join(', ')}`;
    findings.push({ level: 'ok', topic: 'groups', message });
  }
  return findings;
}
