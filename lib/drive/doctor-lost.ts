/**
 * Why somebody cannot be reached, judged by what came of connecting to him. Does nothing by itself. Called by doctor.ts.
 *
 * How causes are told apart: whose network card does not answer, is off or kept apart; whose card answers and whose port does not,
 * has a firewall; who refuses, runs no hearsay there.
 */
import type { Finding } from '../api.js';
import type { Facts, Knock } from './doctor-facts.js';
import { isDenied, opening, PERMISSION } from './doctor-network.js';

/** A cause as `Finding` has it. */
export interface Why {
  /** Said of the other. */
  words: string;
  mend: Pick<Finding, 'cause' | 'advice' | 'command'>;
}

const ISOLATED =
  'If it is on and awake: turn off what keeps stations apart in the access point (client or AP isolation, guest network), or give one of the two a cable.';
/** Where Linux, macOS and Windows say that a network card does not answer. */
const SILENT = ['EHOSTUNREACH', 'EHOSTDOWN'];

/** @returns undefined where what was seen does not tell */
export function whyLost(knock: Knock, facts: Facts): Why | undefined {
  const { platform, firewallOut, cards } = facts;
  const { code, port, card, answers, others } = knock;
  if (code === '') return undefined;
  const isHere = card !== undefined;
  const isForbidden = code === 'EPERM' || code === 'EACCES';
  const own = cards.find(({ name }) => name === card);
  if (own && (isDenied(facts, own) || (platform === 'darwin' && isForbidden))) {
    const words = 'macOS does not let hearsay speak to it';
    return { words, mend: { cause: 'permission', advice: PERMISSION } };
  }
  if (isForbidden) {
    const words = 'a firewall of this machine forbids to connect to it';
    return { words, mend: { cause: 'firewall', ...opening(firewallOut, `Let connections to TCP port ${port} out.`) } };
  }
  if (code === 'ECONNREFUSED') {
    const words = `that machine answers, but nothing listens on TCP port ${port} of it`;
    const advice = 'Start `hearsay share` there; if it runs, join it by the port that it says.';
    return { words, mend: { cause: 'not-listening', advice } };
  }
  if (isHere && (answers === false || (answers === undefined && SILENT.includes(code)))) {
    const but = others ? ', though others there answer' : '';
    const words = `its network card does not answer on ${card}${but}: it is off, asleep, has another address, or this network keeps its stations apart`;
    return { words, mend: { cause: 'isolation', advice: ISOLATED } };
  }
  if (isHere && answers) {
    const words = `that machine is there, but does not answer on TCP port ${port}: a firewall of it drops what comes`;
    const advice = `Let TCP port ${port} and the UDP port through its firewall; \`hearsay doctor\` there names the command.`;
    return { words, mend: { cause: 'firewall-there', advice } };
  }
  if (code === 'ENETUNREACH' || SILENT.includes(code)) {
    const words = 'no network card of this machine leads there';
    return { words, mend: { cause: 'no-route', advice: 'Check the address; if a VPN leads there, connect it.' } };
  }
  return undefined;
}
