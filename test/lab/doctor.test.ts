/**
 * The doctor in networks that are broken on purpose: it names what was broken, and once that is mended it says so no more. Each
 * network is one of its own, and all are looked at at the same time.
 */
import { mkdir, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { DoctorReport, Finding } from '../../lib/api.js';
import { type Sharing, share } from './commands.js';
import type { Host, Lab } from './lab.js';
import { besideTest } from './lab-test.js';
import { filter, shell } from './namespace.js';

const PORT = 47_748;
/** More than any look takes. */
const LOOK_MS = 60_000;

interface Seen extends DoctorReport {
  /** What is not well, by its cause. */
  causes: string[];
  /** Of one cause. */
  of(cause: string): Finding;
}

/** Runs the doctor. Its exit status tells whether something is bad. */
async function doctor(t: ExecutionContext, host: Host, args: readonly string[] = [], state = 'looks'): Promise<Seen> {
  const began = performance.now();
  const { code, stdout, stderr } = await host.runHearsay(['doctor', '--json', ...args], LOOK_MS, { state });
  const took = Math.round(performance.now() - began);
  const report = JSON.parse(stdout[0] ?? '{}') as DoctorReport;
  const sick = report.findings.filter(({ level }) => level !== 'ok');
  const causes = sick.map(({ cause }) => `${cause}`).sort();
  t.log(`${took} ms: ${causes.join(', ') || 'well'}`);
  t.is(code, sick.some(({ level }) => level === 'bad') ? 1 : 0, stderr.join('\n'));
  const of = (cause: string) => {
    const found = sick.find((one) => one.cause === cause);
    if (!found) throw new Error(`no ${cause} in ${stdout[0]}`);
    return found;
  };
  return { ...report, causes, of };
}

/** Looks, and expects these causes and no others. */
async function finds(t: ExecutionContext, host: Host, causes: string[], args: readonly string[] = [], state?: string) {
  const seen = await doctor(t, host, args, state);
  t.deepEqual(seen.causes, causes, JSON.stringify(seen.findings, undefined, 1));
  return seen;
}

/** The file that a host shares. */
const noteOf = (host: Host) => join(host.folder, 'notes', 'note');

/** Shares a file of a few bytes. */
async function shares(host: Host): Promise<Sharing> {
  await mkdir(dirname(noteOf(host)), { recursive: true });
  await writeFile(noteOf(host), 'a few words');
  return share(host, [dirname(noteOf(host)), '--name', `host${host.number}`]);
}

/** What a host's firewall does with what comes in, or goes out; none opens all. */
const shut = (host: Host, way: 'input' | 'output', rules: readonly string[]) =>
  filter(host.namespace, [
    `add chain inet lab ${way} { type filter hook ${way} priority 0; policy accept; }`,
    ...rules.map((rule) => `add rule inet lab ${way} ${rule}`),
  ]);

/** Runs something where the bridge is. */
async function onBridge(lab: Lab, argv: readonly string[]): Promise<void> {
  const started = lab.onBridge(argv);
  const { code } = await started.waitForExit(10_000);
  if (code !== 0) throw new Error(started.tail());
}

/** What the bridge does not let through: rules of nftables; none lets all through. */
async function dropping(lab: Lab, rules: readonly string[]): Promise<void> {
  const lines = ['add table bridge lab', 'delete table bridge lab', 'add table bridge lab'];
  lines.push('add chain bridge lab pass { type filter hook forward priority 0; policy accept; }');
  await onBridge(lab, ['nft', [...lines, ...rules.map((rule) => `add rule bridge lab pass ${rule}`)].join('; ')]);
}

const isolated = (lab: Lab, { number }: Host, on: boolean) =>
  onBridge(lab, ['bridge', 'link', 'set', 'dev', `port${number}`, 'isolated', on ? 'on' : 'off']);

besideTest('a firewall here: what comes in, and what goes out', 2, async (t, lab) => {
  const [ada, bob] = lab.hosts;
  await shares(bob);
  await shut(ada, 'input', [`udp dport ${PORT} drop`]);
  const { level, message, command = '' } = (await finds(t, ada, ['firewall'])).of('firewall');
  t.is(level, 'bad');
  t.regex(message, /UDP port 47748 shut.* on eth0 and lo does not come back/);
  // What it says mends it.
  t.regex(command, /^sudo nft /);
  await shell(ada.namespace, command.replace('sudo ', ''));
  const { interfaces, findings } = await finds(t, ada, []);
  const [eth0, lo] = interfaces;
  t.like(eth0, { name: 'eth0', peers: 1 });
  t.true(eth0.sent > 0 && eth0.echoed > 0 && eth0.heardUnicast > 0 && eth0.addresses.includes(ada.address));
  t.like(lo, { name: 'lo', peers: 0, heardMulticast: 0 });
  t.true(findings.some(({ message: said }) => said === 'others can connect to this peer'));
  // The same of a peer that runs, and was well before.
  await shares(ada);
  await finds(t, ada, [], [], 'state');
  await shut(ada, 'output', [`udp dport ${PORT} drop`]);
  const out = (await finds(t, ada, ['firewall'], [], 'state')).of('firewall');
  t.regex(out.message, /forbids what hearsay sends on eth0 and lo/);
  await shut(ada, 'input', [`udp dport ${PORT} drop`]);
  t.regex((await finds(t, ada, ['firewall'], [], 'state')).of('firewall').message, /shut/);
  await shut(ada, 'input', []);
  await finds(t, ada, [], [], 'state');
});

besideTest('TCP shut here, while UDP passes', 2, async (t, lab) => {
  const [ada, bob] = lab.hosts;
  await shares(bob);
  await shut(ada, 'input', [`tcp dport ${PORT} drop`]);
  const { level, message, command = '' } = (await finds(t, ada, ['blocked'])).of('blocked');
  t.is(level, 'warn');
  t.regex(message, /could not connect to TCP port 47748 of this machine: others cannot dial it/);
  t.regex(command, /tcp dport 47748 accept/);
  await shut(ada, 'input', []);
  await finds(t, ada, []);
});

besideTest('TCP shut there, while UDP passes', 2, async (t, lab) => {
  const [ada, bob] = lab.hosts;
  await shares(bob);
  await shut(bob, 'input', [`tcp dport ${PORT} drop`]);
  const there = (await doctor(t, ada, ['--join', bob.address])).of('firewall-there');
  t.regex(there.message, /that machine is there, but does not answer on TCP port 47748/);
  await shut(bob, 'input', []);
  await finds(t, ada, [], ['--join', bob.address]);
});

const MULTICAST = ['ip daddr 239.0.0.0/8 drop', 'ip6 daddr ff12::/16 drop'];

besideTest('a switch that drops what is sent to everyone', 2, async (t, lab) => {
  const [ada, bob] = lab.hosts;
  await dropping(lab, [...MULTICAST, 'ip daddr 10.47.0.255 drop']);
  await shares(bob);
  const { level, message } = (await finds(t, ada, ['snooping'], ['--join', bob.address])).of('snooping');
  t.is(level, 'bad');
  t.regex(message, /host2 is spoken with on eth0, but nothing that others send to everyone comes/);
  await dropping(lab, []);
  await finds(t, ada, [], ['--join', bob.address]);
});

besideTest('a switch that drops multicast alone', 2, async (t, lab) => {
  const [ada, bob] = lab.hosts;
  await dropping(lab, MULTICAST);
  await shares(bob);
  const less = (await finds(t, ada, ['snooping'])).of('snooping');
  t.is(less.level, 'warn');
  t.regex(less.message, /broadcast alone/);
  await dropping(lab, []);
  await finds(t, ada, []);
});

besideTest('an access point that keeps its stations apart', 3, async (t, lab) => {
  const [ada, bob, router] = lab.hosts;
  await shares(bob);
  for (const host of [ada, bob]) await isolated(lab, host, true);
  const args = ['--join', bob.address, '--join', router.address];
  // On the third nothing runs, but its card answers.
  const seen = await finds(t, ada, ['isolation', 'nobody', 'not-listening'], args);
  t.regex(seen.of('isolation').message, /10\.47\.0\.2:47748 .*though others there answer/);
  t.regex(seen.of('isolation').advice ?? '', /client or AP isolation/);
  for (const host of [ada, bob]) await isolated(lab, host, false);
  await finds(t, ada, ['not-listening'], args);
});

besideTest('no card but those of containers, or a VPN; no IPv4', 3, async (t, lab) => {
  const [ada, bob, cy] = lab.hosts;
  await shares(bob);
  const instead = async ({ namespace }: Host, name: string, address: string) => {
    await shell(namespace, `ip link set eth0 down; ip link add ${name} type bridge; ip link set ${name} up`);
    await shell(namespace, `ip address add ${address} dev ${name}`);
  };
  await Promise.all([instead(ada, 'docker0', '172.17.0.1/16'), instead(cy, 'wg0', '10.8.0.2/24')]);
  const [docker, vpn] = await Promise.all([doctor(t, ada), doctor(t, cy)]);
  t.regex(docker.of('virtual-only').message, /only docker0 \(172\.17\.0\.1\) is up here/);
  t.regex(docker.of('virtual-only').advice ?? '', /--interface docker0/);
  t.regex(vpn.of('vpn').message, /only wg0 \(10\.8\.0\.2\) is up here, for a VPN/);
  await shell(ada.namespace, `ip link set eth0 up; ip address del ${ada.address}/24 dev eth0`);
  const { causes, of } = await doctor(t, ada);
  const { message } = of('no-ipv4');
  t.regex(message, /eth0 has no IPv4 address/);
  t.deepEqual(causes, ['no-ipv4']);
  await shell(ada.namespace, `ip address add ${ada.address}/24 dev eth0`);
  await finds(t, ada, []);
});

besideTest('ports that another program has, and a clock that is behind', 2, async (t, lab) => {
  const [ada, bob] = lab.hosts;
  await shares(bob);
  const year = new Date(Date.now() + 365 * 86_400_000);
  await utimes(noteOf(bob), year, year);
  const hold = (script: string) => ada.exec([process.execPath, '-e', script]);
  const udp = hold(`require('dgram').createSocket('udp4').bind(${PORT}, () => console.log('held'))`);
  const tcp = hold(`require('net').createServer().listen(5000, () => console.log('held'))`);
  await Promise.all([udp, tcp].map((one) => one.waitFor(/held/, 10_000, 'stdout')));
  // Of the running peer, and of none.
  const first = await doctor(t, ada, ['--port', '5000']);
  t.regex(first.findings.map(({ message }) => message).join('\n'), /node.* \(process \d+\) has TCP port 5000/);
  await shares(ada);
  const seen = await doctor(t, ada, [], 'state');
  t.regex(seen.of('port-taken').message, /^node.* \(process \d+\) holds UDP port 47748 for itself/);
  t.regex(seen.of('clock').message, /files of tomorrow/);
  udp.kill('SIGKILL');
  tcp.kill('SIGKILL');
  await Promise.all([udp.exited, tcp.exited]);
  await utimes(noteOf(bob), new Date(), new Date());
  for (let causes = ['']; causes.length > 0; ) ({ causes } = await doctor(t, ada, [], 'state'));
  await finds(t, ada, [], ['--port', '5000']);
});

besideTest('nobody is there', 2, async (t, lab) => {
  const [ada, bob] = lab.hosts;
  const gone = await shares(bob);
  await shares(ada);
  await finds(t, ada, [], [], 'state');
  gone.process.kill('SIGINT');
  await gone.process.exited;
  // What was heard of one who has left is no sign of anybody.
  const { level, message } = (await finds(t, ada, ['nobody'], [], 'state')).of('nobody');
  t.is(level, 'warn');
  t.regex(message, /asked everyone on eth0, for \d+ s/);
  await shares(bob);
  await finds(t, ada, [], [], 'state');
});
