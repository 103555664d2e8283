/**
 * The doctor: what of all that a peer depends on works, what does not, and what mends it. Looks at facts that others gathered,
 * and does nothing by itself. Called by the peer.
 */
import type { Finding } from '../api.js';
import { advice } from '../errors.js';
import type { Facts } from './doctor-facts.js';
import { whyLost } from './doctor-lost.js';
import { isOutside, listed, network, opening } from './doctor-network.js';

export type { Facts, Tried } from './doctor-facts.js';

/** Peers that cannot be reached and are named one by one. */
const NAMED = 20;

/** What is well and what is not, in the order in which one thing rests on another. */
export function diagnose(facts: Facts): Finding[] {
  return [...network(facts), ...hosts(facts), ...trackers(facts), ...callers(facts), ...peers(facts)];
}

function hosts(facts: Facts): Finding[] {
  const { joins, unjoined, trackers, knocks } = facts;
  const told = new Set(trackers.map(({ address }) => address));
  return joins
    .filter((host) => !told.has(host))
    .map((host): Finding => {
      const error = unjoined.get(host);
      const topic = 'join';
      if (!error) return { level: 'ok', topic, message: `${host} is joined` };
      const knock = knocks.get(host);
      const why = knock && whyLost(knock, facts);
      const message = `${host} cannot be joined: ${why?.words ?? error.message}`;
      const mend = why?.mend ?? { cause: error.code, advice: advice(error.code) };
      return { level: 'bad', topic, message, ...mend };
    });
}

function trackers({ trackers, reachable, port }: Facts): Finding[] {
  const findings = trackers.map(({ address, name, registered, peers, error }): Finding => {
    const who = name === undefined ? `the tracker at ${address}` : `the tracker ${name} at ${address}`;
    if (registered)
      return { level: 'ok', topic: 'tracker', message: `registered with ${who}, where ${peers} peers are` };
    const message = `not registered with ${who}${error ? `: ${error.message}` : ''}`;
    const more = error ? { cause: error.code, advice: advice(error.code) } : {};
    return { level: 'bad', topic: 'tracker', message, ...more };
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
    findings.push({ level: 'warn', topic: 'reachable', cause: 'blocked', message, advice: mend });
  }
  return findings;
}

/** Whether those who hear us can connect to us. */
function callers({ callers, port, firewallIn }: Facts): Finding[] {
  const { asked, came } = callers;
  const topic = 'reachable';
  if (came > 0) return [{ level: 'ok', topic, message: 'others can connect to this peer' }];
  if (asked === 0 || port === 0) return [];
  const who =
    asked === 1 ? 'the one peer that was asked to could not' : `none of ${asked} peers that were asked to could`;
  const message = `${who} connect to TCP port ${port} of this machine: others cannot dial it, and wait to be dialled`;
  const mend = opening(firewallIn, `Let TCP port ${port} through the firewall of this machine.`);
  return [{ level: 'warn', topic, cause: 'blocked', message, ...mend }];
}

function peers(facts: Facts): Finding[] {
  const { others, tried, strangers, knocks } = facts;
  const topic = 'peers';
  const findings: Finding[] = others === 0 ? nobody(facts) : [];
  const lost = tried.filter(({ unreachable }) => unreachable !== undefined);
  const rest = others - lost.length;
  if (rest > 0) {
    const shown = tried.length - lost.length;
    const part = shown < rest ? `, of which ${shown} were tried and can be reached` : ' and can be reached';
    const message = `${rest} other ${rest === 1 ? 'peer is' : 'peers are'} here${part}`;
    findings.push({ level: 'ok', topic, message });
  }
  for (const { id, name, unreachable } of lost.slice(0, NAMED)) {
    const knock = knocks.get(id);
    const why = knock && whyLost(knock, facts);
    const message = `${name} cannot be reached: ${unreachable}${why ? ` (${why.words})` : ''}`;
    const mend =
      'Let hearsay’s TCP port through the firewall of one of the two machines, or have both join a tracker that passes on (relay = true).';
    findings.push({ level: 'bad', topic, message, ...(why?.mend ?? { cause: 'unreachable', advice: mend }) });
  }
  if (lost.length > NAMED) {
    const message = `${lost.length - NAMED} more cannot be reached`;
    findings.push({ level: 'bad', topic, cause: 'unreachable', message });
  }
  if (others > 0 && strangers.sealed + strangers.open > 0) {
    const sealed = strangers.sealed > 0 ? [`${strangers.sealed} with another secret`] : [];
    const open = strangers.open > 0 ? [`${strangers.open} in the open group`] : [];
    const message = `hosts of other groups are heard too: ${[...sealed, ...open].join(', ')}`;
    findings.push({ level: 'ok', topic: 'groups', message });
  }
  return findings;
}

/** Nobody is here: what was tried, who was here before and why he is not, and what else may be in the way. */
function nobody(facts: Facts): Finding[] {
  const { whyNobody, cards, multicast, listened, remembered, knocks, leftOut, joins } = facts;
  const topic = 'peers';
  const names = cards.filter(isOutside).map(({ name }) => name);
  const asked =
    multicast && names.length > 0 ? ` (asked everyone on ${listed(names)}, for ${Math.round(listened / 1000)} s)` : '';
  const may =
    'If one does run there, `hearsay doctor` on that machine looks at its firewall, and --join with its address here at what lies between.';
  const first = advice('no-peer');
  const findings: Finding[] = [
    {
      level: 'warn',
      topic,
      cause: 'nobody',
      message: whyNobody + asked,
      advice: joins.length > 0 ? first : `${first} ${may}`,
    },
  ];
  for (const { id, name } of remembered) {
    const knock = knocks.get(id);
    const why = knock && whyLost(knock, facts);
    if (!why || why.mend.cause === 'not-listening') continue;
    const message = `${name}, who was here before, cannot be reached: ${why.words}`;
    findings.push({ level: 'warn', topic, message, ...why.mend });
  }
  const tunnels = leftOut.filter(({ tunnel }) => tunnel).map(({ name }) => name);
  if (tunnels.length > 0 && names.length > 0) {
    const message = `a VPN seems to be up (${listed(tunnels)}); some keep a machine from its own network`;
    const mend = 'Allow the local network in its settings, or disconnect it to see whether it is that.';
    findings.push({ level: 'warn', topic: 'network', cause: 'vpn', message, advice: mend });
  }
  return findings;
}
