/**
 * Which firewall this machine has, and the command that opens hearsay's ports in it.
 * Owns nothing. Always true: it only looks, and changes nothing; where special rights are wanted and not there, it names the
 * firewall that is installed. Called by the doctor, when something seems to be shut.
 */
import { execFile } from 'node:child_process';
import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Firewall } from './doctor-facts.js';

/** How long one program may take to say how it is, ms, and how much it may say, bytes. */
const ASK_MS = 3000;
const SAID_MAX = 4 * 2 ** 20;
/** Where the system's programs lie; PATH is not asked, as others may stand there under their names. */
const FOLDERS = ['/usr/sbin', '/sbin', '/usr/bin', '/bin'];
const APPLE = '/usr/libexec/ApplicationFirewall/socketfilterfw';

const execute = promisify(execFile);

export interface Ports {
  udp: number;
  tcp: number;
}

/** One chain of nftables that drops something. */
interface Chain {
  table: string;
  name: string;
}

/** Chains on a way in or out that drop something, of what `nft list ruleset` says. */
export function droppingChains(ruleset: string, way: 'in' | 'out'): Chain[] {
  const hooks = way === 'in' ? /hook (?:input|prerouting) / : /hook (?:output|postrouting) /;
  const found: Chain[] = [];
  let table = '';
  let chain: (Chain & { text: string }) | undefined;
  for (const line of ruleset.split('\n')) {
    table = /^table (.+) \{/.exec(line)?.[1] ?? table;
    const name = /^\tchain (.+) \{/.exec(line)?.[1];
    if (name !== undefined) chain = { table, name, text: '' };
    else if (line === '\t}' && chain) {
      const { text } = chain;
      const isShut = /policy drop|\b(?:drop|reject|jump|goto)\b/.test(text);
      if (text.includes('type filter') && hooks.test(text) && isShut)
        found.push({ table: chain.table, name: chain.name });
      chain = undefined;
    } else if (chain) chain.text += `${line}\n`;
  }
  return found;
}

function nftables(chains: readonly Chain[], { udp, tcp }: Ports): string {
  const rules = [`udp dport ${udp} accept`, `tcp dport ${tcp} accept`];
  const all = chains.flatMap(({ table, name }) => rules.map((rule) => `insert rule ${table} ${name} ${rule}`));
  return `sudo nft '${all.join('; ')}'`;
}

async function find(program: string): Promise<string | undefined> {
  for (const folder of FOLDERS) {
    const path = join(folder, program);
    if (await isThere(path)) return path;
  }
  return undefined;
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** What a program says; undefined where it cannot be asked. */
async function says(path: string, args: readonly string[]): Promise<string | undefined> {
  try {
    return (await execute(path, args, { timeout: ASK_MS, maxBuffer: SAID_MAX, windowsHide: true })).stdout;
  } catch {
    return undefined;
  }
}

async function ofLinux(way: 'in' | 'out', ports: Ports): Promise<Firewall | undefined> {
  const { udp, tcp } = ports;
  const ufw = await readFile('/etc/ufw/ufw.conf', 'utf8').catch(() => '');
  if (/^ENABLED=yes/m.test(ufw)) {
    const to = way === 'in' ? '' : 'out ';
    return { name: 'ufw', command: `sudo ufw allow ${to}${udp}/udp && sudo ufw allow ${to}${tcp}/tcp` };
  }
  const firewalld = await find('firewall-cmd');
  if (firewalld && way === 'in' && (await says(firewalld, ['--state'])) !== undefined) {
    const add = `sudo firewall-cmd --permanent --add-port=${udp}/udp --add-port=${tcp}/tcp`;
    return { name: 'firewalld', command: `${add} && sudo firewall-cmd --reload` };
  }
  const nft = await find('nft');
  const rules = nft && (await says(nft, ['list', 'ruleset']));
  const chains = droppingChains(rules ?? '', way);
  if (chains.length > 0) return { name: 'nftables', command: nftables(chains, ports) };
  const chain = way === 'in' ? 'INPUT' : 'OUTPUT';
  if (await find('iptables')) {
    const open = (kind: string, port: number) => `sudo iptables -I ${chain} -p ${kind} --dport ${port} -j ACCEPT`;
    return { name: 'iptables', command: `${open('udp', udp)} && ${open('tcp', tcp)}` };
  }
  // Without the right to see the rules, the names that most have.
  const usual = [{ table: 'inet filter', name: chain.toLowerCase() }];
  return nft && rules === undefined ? { name: 'nftables', command: nftables(usual, ports) } : undefined;
}

/** @param way what seems to be shut: what comes in, or what goes out */
export async function findFirewall(way: 'in' | 'out', ports: Ports): Promise<Firewall | undefined> {
  const program = process.execPath;
  switch (process.platform) {
    case 'linux':
    case 'android':
      return ofLinux(way, ports);
    case 'darwin': {
      const isOn = /State = [12]/.test((await says(APPLE, ['--getglobalstate'])) ?? '');
      if (!isOn) return undefined;
      return { name: 'the firewall of macOS', command: `sudo ${APPLE} --add '${program}' --unblockapp '${program}'` };
    }
    case 'win32': {
      const rule = `New-NetFirewallRule -DisplayName hearsay -Direction ${way === 'in' ? 'Inbound' : 'Outbound'}`;
      return {
        name: 'the firewall of Windows (in PowerShell, as administrator)',
        command: `${rule} -Program "${program}" -Action Allow`,
      };
    }
    default:
      return undefined;
  }
}
