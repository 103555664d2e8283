/**
 * What is the matter with the network cards, the ports and the clock of this machine, judged by what was seen of them. Does
 * nothing by itself. Called by doctor.ts.
 *
 * How causes are told apart: what does not come back to oneself is shut here; what comes back, while peers are spoken with and
 * nothing that they send to everyone comes, is dropped on the way.
 */
import type { Finding } from '../api.js';
import type { Millis } from '../clock.js';
import type { CardFacts, ClockFacts, Echo, Facts, Firewall, LeftOut, Taken } from './doctor-facts.js';

/** Before this, no version of the program was there: the clock is wrong. */
const BUILT: Millis = Date.UTC(2025, 0, 1);
/** A clock that was set by less is none of our business. */
const SET_BACK: Millis = 60_000;
/** What a system says that forbids sending. */
const FORBIDDEN = ['EPERM', 'EACCES'];
/** Hosts that are named one by one. */
const NAMED = 3;

export const PERMISSION =
  'Allow it: System Settings, Privacy & Security, Local Network, and there the terminal or program that starts hearsay.';

/** "a", "a and b", "a, b and 3 more" */
export function listed(names: readonly string[], most = NAMED): string {
  const shown = names.slice(0, most);
  const rest = names.length - shown.length;
  const all = rest > 0 ? [...shown, `${rest} more`] : shown;
  return all.length < 2 ? all.join('') : `${all.slice(0, -1).join(', ')} and ${all.at(-1)}`;
}

const are = (names: readonly unknown[]) => (names.length === 1 ? 'is' : 'are');
const isShutIn = ({ sent, echoed }: Echo) => sent > 0 && echoed === 0;

/** Whether the card is one by which others may be found. */
export const isOutside = ({ internal }: CardFacts) => !internal;

/** Cards on which nothing of what is sent to everyone comes back. */
function deaf(facts: Facts): CardFacts[] {
  if (facts.udpTaken) return [];
  return facts.cards.filter((card) => {
    if (card.loud?.multicast) return false;
    const { 4: four, 6: six } = card.echo;
    // IPv6 alone is the second way of a card that has both.
    const echo = four ?? six;
    return echo !== undefined && isShutIn(echo);
  });
}

/** What was looked at on this machine, in the order in which one thing rests on another. */
export function network(facts: Facts): Finding[] {
  return [
    ...clock(facts.clock),
    ...cards(facts),
    ...ports(facts),
    ...sending(facts),
    ...echoes(facts),
    ...hearing(facts),
  ];
}

function clock({ now, set, dated, ahead }: ClockFacts): Finding[] {
  const topic = 'clock';
  const cause = 'clock';
  const advice = 'Set the clock, or let the system set it by the network (NTP).';
  if (now < BUILT) {
    const day = new Date(now).toISOString().slice(0, 10);
    const message = `this machine’s clock says ${day}, before this program was made: what is fetched and shared gets wrong times`;
    return [{ level: 'warn', topic, cause, message, advice }];
  }
  if (set < -SET_BACK) {
    const message = `this machine’s clock was set back by ${Math.round(-set / 60_000)} minutes while hearsay ran: changed files may be missed`;
    const again = 'Restart hearsay, or touch what was changed meanwhile, once the clock is right.';
    return [{ level: 'warn', topic, cause, message, advice: again }];
  }
  // One alone may have files of a wrong date; where most do, it is this clock that is behind.
  if (ahead > 0 && ahead * 2 > dated) {
    const whose = dated === 1 ? 'the other peer has' : `${ahead} of ${dated} peers have`;
    const message = `${whose} files of tomorrow and later: this machine’s clock is behind, or theirs is ahead`;
    return [{ level: 'warn', topic, cause, message, advice }];
  }
  return [];
}

const whereOf = ({ name, addresses }: { name: string; addresses: readonly string[] }) =>
  `${name} (${addresses.join(', ')})`;

function cards({ cards, leftOut, multicast }: Facts): Finding[] {
  const topic = 'network';
  const outside = cards.filter(isOutside);
  const findings: Finding[] = [];
  if (outside.length === 0) findings.push(noCard(leftOut));
  for (const card of outside) {
    findings.push({ level: 'ok', topic, message: multicast ? heardOn(card) : `speaks on ${whereOf(card)}` });
    const finding = addressless(card);
    if (finding) findings.push(finding);
  }
  if (!multicast) {
    const message = 'multicast is turned off, so only peers that are joined, or that a tracker tells of, are found';
    findings.push({ level: 'ok', topic, message });
  }
  return findings;
}

function heardOn(card: CardFacts): string {
  const { sent, echoed, heardMulticast, heardBroadcast, heardUnicast, peers } = card;
  const heard = `${heardMulticast} by multicast, ${heardBroadcast} by broadcast, ${heardUnicast} to it alone`;
  const here = `${peers} ${peers === 1 ? 'peer' : 'peers'} there`;
  return `speaks on ${whereOf(card)}: ${sent} sent, ${echoed} came back; of others ${heard}; ${here}`;
}

function noCard(leftOut: readonly LeftOut[]): Finding {
  const topic = 'network';
  if (leftOut.length === 0) {
    const message = 'no network card is in use, so only programs of this machine can be found';
    return { level: 'bad', topic, cause: 'no-card', message, advice: 'Plug in a cable or join a wireless network.' };
  }
  const all = listed(leftOut.map(({ name, address }) => `${name} (${address})`));
  const what = leftOut.every(({ tunnel }) => tunnel) ? 'a VPN' : 'containers, machines within this one, or a VPN';
  return {
    level: 'bad',
    topic,
    cause: leftOut.some(({ tunnel }) => tunnel) ? 'vpn' : 'virtual-only',
    message: `only ${all} ${are(leftOut)} up here, for ${what}; no network with other machines is, so only programs of this one are found`,
    advice: `Plug in a cable or join a wireless network. If others are behind it all the same: --interface ${leftOut[0].name}`,
  };
}

/** What is the matter with the addresses of a card. */
function addressless(card: CardFacts): Finding | undefined {
  const { name, addresses } = card;
  const four = addresses.filter((address) => !address.includes(':'));
  const advice = 'Have the router give addresses (DHCP), or set one by hand, as others there have them.';
  const topic = 'network';
  if (four.length === 0) {
    const message = `${name} has no IPv4 address, so peers without IPv6 are not found there`;
    return { level: 'warn', topic, cause: 'no-ipv4', message, advice };
  }
  if (!four.every((address) => address.startsWith('169.254.'))) return undefined;
  const message = `${name} gave itself the address ${four[0]}, as no router did: peers with another kind of address are not reached by it`;
  return { level: 'warn', topic, cause: 'no-dhcp', message, advice };
}

/** @returns `see`: the command that tells who it is, where that is not known */
function heldBy({ port, holder }: Taken, kind: 'UDP' | 'TCP', platform: NodeJS.Platform) {
  if (holder !== undefined) return { who: holder, see: {} };
  const windows = `Get-Net${kind}${kind === 'UDP' ? 'Endpoint' : 'Connection'} -LocalPort ${port}`;
  const command = platform === 'win32' ? windows : `sudo lsof -nP -i${kind}:${port}`;
  return { who: 'another program', see: { command } };
}

function ports({ groupPort, udpTaken, port, tcpTaken, platform }: Facts): Finding[] {
  const topic = 'port';
  const cause = 'port-taken';
  const findings: Finding[] = [];
  if (udpTaken) {
    const { who, see } = heldBy(udpTaken, 'UDP', platform);
    const message = `${who} holds UDP port ${groupPort} for itself, so what others send to everyone is not heard`;
    const advice = 'Stop it; or have all peers speak on another port, with --multicast 239.255.47.48:PORT.';
    findings.push({ level: 'bad', topic, cause, message, advice, ...see });
  }
  if (tcpTaken?.chosen) {
    const { who, see } = heldBy(tcpTaken, 'TCP', platform);
    const message = `${who} has TCP port ${tcpTaken.port}, so hearsay cannot listen there`;
    const advice = 'Stop it, or choose another port with --port.';
    findings.push({ level: 'bad', topic, cause, message, advice, ...see });
  }
  if (port > 0 && !tcpTaken?.chosen) {
    const { who } = tcpTaken ? heldBy(tcpTaken, 'TCP', platform) : { who: '' };
    const instead = tcpTaken ? `, as ${who} has ${tcpTaken.port}: who joins this peer by hand must name the port` : '';
    findings.push({ level: 'ok', topic: 'network', message: `listens on TCP port ${port}${instead}` });
  }
  return findings;
}

/** Why nothing at all can be sent on a card; undefined where something can. */
function failureOf({ echo }: CardFacts): string | undefined {
  const one = echo[4] ?? echo[6];
  return one && one.sent === 0 && one.failure !== '' ? one.failure : undefined;
}

/** Whether macOS keeps what it starts from the local network. */
export function isDenied({ platform }: Facts, card: CardFacts): boolean {
  return platform === 'darwin' && ['EHOSTUNREACH', ...FORBIDDEN].includes(failureOf(card) ?? '');
}

/** What could not be sent. */
function sending(facts: Facts): Finding[] {
  const topic = 'send';
  const level = 'bad';
  const { cards, firewallOut, groupPort } = facts;
  const failed = cards.filter((card) => failureOf(card) !== undefined);
  const denied = failed.filter((card) => isDenied(facts, card));
  const forbidden = failed.filter((card) => !denied.includes(card) && FORBIDDEN.includes(failureOf(card) ?? ''));
  const names = (some: readonly CardFacts[]) => listed(some.map(({ name }) => name));
  const findings: Finding[] = [];
  if (denied.length > 0) {
    const message = `macOS does not let hearsay speak on ${names(denied)}: the program that starts it has no permission for the local network`;
    findings.push({ level, topic, cause: 'permission', message, advice: PERMISSION });
  }
  if (forbidden.length > 0) {
    const message = `a firewall of this machine forbids what hearsay sends on ${names(forbidden)}`;
    const otherwise = `Let UDP port ${groupPort} out, in the firewall of this machine.`;
    findings.push({ level, topic, cause: 'firewall', message, ...opening(firewallOut, otherwise) });
  }
  for (const card of failed.filter((one) => !denied.includes(one) && !forbidden.includes(one))) {
    const message = `nothing can be sent on ${card.name} (${failureOf(card)})`;
    const advice = 'Unplug and plug it in again, or look at its addresses and routes.';
    findings.push({ level, topic, cause: 'send', message, advice });
  }
  return findings;
}

/** @param otherwise what to do where it is not known which firewall there is */
export function opening(firewall: Firewall | undefined, otherwise: string): Pick<Finding, 'advice' | 'command'> {
  return firewall
    ? { advice: `Let hearsay through ${firewall.name}.`, command: firewall.command }
    : { advice: otherwise };
}

/** Whether what is sent to everyone comes back, as it does where this machine lets it in. */
function echoes(facts: Facts): Finding[] {
  const shut = deaf(facts);
  if (shut.length === 0) return [];
  const { groupPort, firewallIn } = facts;
  const names = listed(shut.map(({ name }) => name));
  const message = `a firewall of this machine keeps UDP port ${groupPort} shut: what is sent to everyone on ${names} does not come back here, so what others send does not come in either`;
  const otherwise = `Open UDP port ${groupPort} for what comes in, in the firewall of this machine.`;
  return [{ level: 'bad', topic: 'firewall', cause: 'firewall', message, ...opening(firewallIn, otherwise) }];
}

/** What others send to everyone, card by card, where nothing is shut here. */
function hearing(facts: Facts): Finding[] {
  const { multicast, udpTaken } = facts;
  if (!multicast || udpTaken) return [];
  const shut = deaf(facts);
  return facts.cards
    .filter((card) => isOutside(card) && !shut.includes(card))
    .flatMap((card) => hearingOn(card, facts));
}

function hearingOn(card: CardFacts, { strangers, joins }: Facts): Finding[] {
  const { name, loud, spoken, mute, peers } = card;
  const topic = 'multicast';
  if (mute.length > 0 && peers === 0 && strangers.sealed + strangers.open === 0) {
    const message = `${listed(mute)} ${are(mute)} heard on ${name}, but ${mute.length === 1 ? 'does' : 'do'} not answer: what is sent from here does not arrive there`;
    const advice =
      'Run `hearsay doctor` there: its firewall may keep out what comes, or something on the way drops it.';
    return [{ level: 'warn', topic, cause: 'one-way', message, advice }];
  }
  if (!loud || loud.multicast || spoken.length === 0) return [];
  const with_ = `${listed(spoken)} ${are(spoken)} spoken with on ${name}`;
  const snoop = 'In the switch or access point, turn IGMP snooping off or its querier on.';
  if (loud.broadcast) {
    const message = `${with_}, but found by broadcast alone: what lies between drops multicast, as a switch with IGMP snooping and no querier does`;
    return [{ level: 'warn', topic, cause: 'snooping', message, advice: snoop }];
  }
  const message = `${with_}, but nothing that others send to everyone comes: a switch or access point between drops multicast and broadcast (IGMP snooping), or it is turned off there`;
  const joined =
    joins.length > 0 ? 'until then, --join goes on to work' : 'until then, name one of them with --join HOST';
  return [{ level: 'bad', topic, cause: 'snooping', message, advice: `${snoop.slice(0, -1)}; ${joined}.` }];
}
