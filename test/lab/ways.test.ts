/**
 * Every way to be found: hosts with two cards, with a docker bridge, with IPv6 alone, where multicast or broadcast is dropped;
 * cards that come, change and go. And what a peer costs its card when nothing happens.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PeerRow } from '../../lib/api.js';
import { got, peers, type Sharing, share } from './commands.js';
import { type Host, Lab, type LinkOptions } from './lab.js';
import { labTest } from './lab-test.js';
import type { LabProcess } from './process.js';
import { until } from './subnets.js';

const FAR = 48;
const MULTICAST = ['meta l4proto udp ip daddr 224.0.0.0/4', 'meta l4proto udp ip6 daddr ff00::/8'];
const BROADCAST = 'meta l4proto udp ip daddr 10.47.0.255';
/** Counts what a host says to everyone by each of two cards. */
async function counting(host: Host, cards: readonly [string, string]): Promise<() => Promise<number[]>> {
  const lines = cards.flatMap((card) => [
    `add counter inet spoken ${card}`,
    `add rule inet spoken out oifname ${card} udp dport 47748 counter name ${card}`,
  ]);
  const chain = 'add chain inet spoken out { type filter hook output priority 10; }';
  await host.shell(`nft -f - <<'END'\n${['add table inet spoken', chain, ...lines].join('\n')}\nEND`);
  return async () => {
    const { stdout } = await host.run(['nft', 'list', 'counters', 'table', 'inet', 'spoken']);
    return stdout.flatMap((line) => /packets (\d+)/.exec(line)?.slice(1).map(Number) ?? []);
  };
}
/** How soon a change of the cards is to be noticed, ms. */
const FOLLOWED = 5000;

async function sharing(host: Host, more: readonly string[] = [], state?: string): Promise<Sharing> {
  const folder = join(host.folder, `of${host.number}`);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'note'), `a few words of ${host.number}`);
  return share(host, [folder, '--name', `peer${host.number}`, ...more], state === undefined ? {} : { state });
}

/** What a host says of another. */
async function rowOf(host: Host, other: Host, options = {}): Promise<PeerRow | undefined> {
  const rows = (await peers(host, [], options)).filter(({ name }) => name === `peer${other.number}`);
  if (rows.length > 1) throw new Error(`${other.number} is listed ${rows.length} times: ${JSON.stringify(rows)}`);
  return rows[0];
}

/** Waits until a host knows others by these ways. */
async function knows(host: Host, ways: readonly [Host, string][], ms = 10_000, options = {}): Promise<void> {
  const look = async () => {
    const rows = await peers(host, [], options);
    return ways.map(([other]) => rows.find(({ name }) => name === `peer${other.number}`)?.via);
  };
  await until(look, (seen) => seen.every((via, i) => via !== undefined && ways[i][1].split('|').includes(via)), ms);
}

const fetches = async (host: Host, others: readonly Host[]) => {
  const what = others.map(({ number }) => `of${number}/`);
  return (await got(host, [...what, '--overwrite', '-o', `${host.folder}/in/`])).all('done').length === others.length;
};

/** Bytes and frames that came to the bridge from each port, a line whenever any number is another. */
const WATCH = `
const { readFileSync } = require('node:fs');
const ports = process.argv.slice(1);
const read = (port, what) => Number(readFileSync('/sys/class/net/' + port + '/statistics/rx_' + what, 'utf8'));
let before = '';
setInterval(() => {
  const now = ports.map((port) => [read(port, 'bytes'), read(port, 'packets')]);
  const line = JSON.stringify(now);
  if (line !== before) console.log(JSON.stringify({ at: performance.now(), now }));
  before = line;
}, 50);`;

interface Seen {
  at: number;
  now: [number, number][];
}

const watch = (lab: Lab, ports: readonly string[]): LabProcess =>
  lab.onBridge([process.execPath, '-e', WATCH, ...ports]);
const seenBy = ({ stdout }: LabProcess): Seen[] => stdout.map((line) => JSON.parse(line) as Seen);

/**
 * Bytes a second of one port, IP headers counted and those of Ethernet not, between the first and the last time that something
 * was sent: so that it does not matter what a stretch of time happens to begin and end with.
 */
function rate(seen: readonly Seen[], port: number): { rate: number; seconds: number } {
  const own = seen.filter(({ now }, i) => i > 0 && now[port][0] !== seen[i - 1].now[port][0]);
  if (own.length < 2) return { rate: 0, seconds: 0 };
  const [first, last] = [own[0], own[own.length - 1]];
  const seconds = (last.at - first.at) / 1000;
  const bytes = last.now[port][0] - first.now[port][0] - 14 * (last.now[port][1] - first.now[port][1]);
  return { rate: bytes / seconds, seconds };
}

/**
 * Five hosts on which nothing happens: what they share is not there yet, so that no connection is left from fetching an index,
 * which is kept for a minute. @returns bytes a second that each sends
 */
async function idle(lab: Lab): Promise<number[]> {
  const all = await Promise.all(
    lab.hosts.map(async (host) => {
      await mkdir(host.folder, { recursive: true });
      await writeFile(join(host.folder, 'config.toml'), 'share = ["later"]');
      return share(host, ['--config', join(host.folder, 'config.toml'), '--name', `peer${host.number}`]);
    }),
  );
  const came = (one: Sharing) => one.events().filter((event) => event.event === 'peer' && event.change === 'came');
  await Promise.all(all.map((one) => one.until(() => came(one).length >= lab.hosts.length - 1, 15_000)));
  // The first rounds are over by then.
  await sleep(6000);
  const watched = watch(
    lab,
    lab.hosts.map(({ number }) => `port${number}`),
  );
  await watched.waitFor(/./, 10_000, 'stdout');
  const began = performance.now();
  const enough = () => lab.hosts.every((_, i) => rate(seenBy(watched), i).seconds >= 23);
  while (!enough() && performance.now() - began < 40_000) await sleep(500);
  return lab.hosts.map((_, i) => rate(seenBy(watched), i).rate);
}

const LINKS: LinkOptions[] = [{}, {}, { lan: FAR }, {}, {}, {}, {}];

labTest('every way to be found, and what it costs', LINKS, async (t, lab) => {
  const quiet = await Lab.open(5);
  t.teardown(() => quiet.close());
  const cost = idle(quiet);
  // Whatever fails first is told; this one is waited for at the end.
  cost.catch(() => {});
  const [two, docker, far, six, deaf, cut, twin] = lab.hosts;
  const began = performance.now();
  const took = () => `${((performance.now() - began) / 1000).toFixed(1)} s`;

  await two.card('eth1', FAR);
  await twin.card('eth1', undefined, 17);
  await docker.ip('link', 'add', 'docker0', 'type', 'bridge');
  await docker.shell('echo 1 > /proc/sys/net/ipv6/conf/docker0/disable_ipv6');
  await docker.ip('address', 'add', '172.17.0.1/16', 'dev', 'docker0');
  await docker.ip('link', 'add', 'box0', 'type', 'veth', 'peer', 'name', 'box1');
  for (const device of ['box0', 'box1']) await docker.shell(`echo 1 > /proc/sys/net/ipv6/conf/${device}/disable_ipv6`);
  await docker.ip('link', 'set', 'box0', 'master', 'docker0');
  for (const device of ['docker0', 'box0', 'box1']) await docker.ip('link', 'set', device, 'up');
  const counted = await counting(docker, ['docker0', 'eth0']);
  await six.ip('address', 'del', `${six.address}/24`, 'dev', 'eth0');
  await deaf.drop(...MULTICAST);

  // One of them meets the others once, by multicast.
  const met = await sharing(cut);
  await Promise.all([two, docker, far, six, deaf, twin].map((host) => sharing(host)));
  await knows(cut, [
    [two, 'multicast'],
    [docker, 'multicast'],
    [twin, 'multicast'],
  ]);
  t.log(`all are there after ${took()}`);

  // Two cards on two LANs: seen by both, and seeing both; and only one of those beyond it.
  await knows(two, [
    [docker, 'multicast'],
    [far, 'multicast'],
    [six, 'multicast'],
    [deaf, 'broadcast'],
    [twin, 'multicast'],
  ]);
  await knows(far, [[two, 'multicast']]);
  await knows(docker, [
    [two, 'multicast'],
    [six, 'multicast'],
    [deaf, 'broadcast'],
  ]);
  await knows(six, [
    [docker, 'multicast'],
    [two, 'multicast'],
  ]);
  await knows(deaf, [
    [docker, 'broadcast'],
    [twin, 'broadcast'],
    [two, 'broadcast'],
  ]);
  const ofSix = await rowOf(docker, six);
  t.true(
    ofSix?.addresses.every((address) => address.startsWith('[')),
    `${ofSix?.addresses}`,
  );
  t.log(`each knows the others by the way that is left after ${took()}`);
  const fetched = await Promise.all([
    fetches(two, [docker, far, six, deaf]),
    fetches(far, [two]),
    fetches(six, [docker]),
    fetches(docker, [six, twin]),
    fetches(deaf, [twin]),
  ]);
  t.deepEqual(fetched, [true, true, true, true, true]);
  t.log(`files went every way after ${took()}`);

  // Two cards on one LAN: listed once, at both addresses.
  const both = async () => (await rowOf(docker, twin))?.addresses ?? [];
  const isBoth = (seen: string[]) => ['10.47.0.7:', '10.47.0.17:'].every((a) => seen.some((one) => one.startsWith(a)));
  await until(both, isBoth, 10_000);

  // One that hears neither is found by being remembered, then, as somebody else, by being told where.
  met.process.kill('SIGINT');
  await met.process.waitForExit(10_000);
  await cut.drop(...MULTICAST, BROADCAST);
  const again = await sharing(cut);
  await knows(cut, [
    [docker, 'remembered|relay|call'],
    [twin, 'remembered|relay|call'],
  ]);
  const ways = (await peers(cut)).map(({ via }) => via);
  t.true(ways.includes('remembered'), `${ways}`);
  t.true(await fetches(cut, [docker]));
  again.process.kill('SIGINT');
  await again.process.waitForExit(10_000);
  const options = { state: 'fresh' };
  const alone = await sharing(cut, ['--join', docker.address], 'fresh');
  await knows(cut, [[docker, 'join']], 10_000, options);
  t.true(alone.process.running);
  t.log(`remembered, and joined, after ${took()}`);

  // Cards that come, change their address, go and come back.
  const followed: number[] = [];
  const follows = async (what: () => Promise<void>, look: (row: PeerRow | undefined) => boolean) => {
    await what();
    const at = performance.now();
    followed.push(Math.round((await until(() => rowOf(far, docker), look, FOLLOWED)) - at));
  };
  const at = (address: string) => (row: PeerRow | undefined) =>
    row?.via === 'multicast' && row.addresses.some((one) => one.startsWith(`${address}:`));
  await follows(() => docker.card('eth1', FAR), at('10.48.0.2'));
  await follows(async () => {
    await docker.ip('address', 'del', '10.48.0.2/24', 'dev', 'eth1');
    await docker.ip('address', 'add', '10.48.0.22/24', 'dev', 'eth1');
  }, at('10.48.0.22'));
  const own = async () => (await peers(docker)).find(({ self }) => self)?.addresses ?? [];
  const isOn = (seen: string[]) => seen.some((one) => one.startsWith('10.48.0.22:'));
  await docker.ip('link', 'set', 'eth1', 'down');
  await until(own, (seen) => !isOn(seen), FOLLOWED);
  await docker.ip('link', 'set', 'eth1', 'up');
  await until(own, isOn, FOLLOWED);
  t.log(`a card that came was seen after ${followed[0]} ms, its new address after ${followed[1]} ms; at ${took()}`);

  // What goes to everyone goes by one card only where two are on one LAN; and nothing at all where docker is.
  const spoken = await counting(twin, ['eth0', 'eth1']);
  const quietFor = (await cost).map((one) => Math.round(one * 10) / 10);
  await until(spoken, (seen) => Math.max(...seen) >= 2, 20_000);
  const datagrams = await spoken();
  t.log(`datagrams to everyone of each card of a host with two: ${datagrams}`);
  t.is(Math.min(...datagrams), 0);
  const [atBridge, atCard] = await counted();
  t.deepEqual([atBridge, atCard > 5], [0, true], `${atBridge}, ${atCard}`);
  t.log(`bytes a second of each of five idle hosts: ${quietFor}; all after ${took()}`);
  t.true(Math.max(...quietFor) <= 45, `${quietFor}`);
});
