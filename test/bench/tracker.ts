/**
 * A tracker with many registered peers, each over a TLS connection of its own: how quickly they come, what they cost in
 * memory and, while nothing happens, in processor time, and how many lookups are answered.
 *
 *   npm run bench -- tracker [--peers 1000] [--offers 100] [--idle 30] [--seconds 10] [--json]
 *
 * One process is the tracker, as `hearsay share --tracker` is one; two hold the peers (see light-client.ts). They speak over
 * loopback, without multicast, and are gone at the end. Linux alone gives each peer an address without asking.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Peer } from '../../lib/peer.js';
import { LOOKUP } from '../../lib/tracker/events.js';
import { child, endChildren, order, percentile, serve } from './children.js';
import { LightClient, listenFor, sharedId } from './light-client.js';

const CONFIG = fileURLToPath(new URL('../../../config/default.toml', import.meta.url));
/** Processes that hold the peers. */
const HOLDERS = 2;
/** Registrations under way at once, and askers, of each such process. */
const AT_ONCE = 16;

interface Measured {
  /** Resident, and live in the heap and beside it after a collection, bytes. */
  resident: number;
  live: number;
  /** Processor time so far, s. */
  cpu: number;
  registered: number;
  offers: number;
}

interface Asked {
  count: number;
  seconds: number;
  /** Things found in an answer, on average. */
  found: number;
  /** Of each answer, ms. */
  times: number[];
}

/** What a process is asked, and answers. */
type Order =
  | { what: 'measure' }
  | { what: 'register'; port: number; first: number; count: number; offers: number; follows: boolean }
  | { what: 'ask'; kind: keyof typeof LOOKUP; peers: number; seconds: number }
  | { what: 'broken' };

/** The tracker: the whole program but the command line. */
async function track(state: string): Promise<(order: Order) => Promise<unknown>> {
  const peer = await Peer.start({ tracker: true, multicast: false, config: CONFIG, state, port: 0, name: 'tracker' });
  process.send?.({ answer: peer.port });
  return async (order) => {
    if (order.what !== 'measure') throw new Error(order.what);
    const { tracker } = await peer.status();
    const collect = globalThis.gc;
    if (collect) collect();
    const { rss, heapUsed, external } = process.memoryUsage();
    const { user, system } = process.cpuUsage();
    return {
      resident: rss,
      live: heapUsed + external,
      cpu: (user + system) / 1e6,
      registered: (tracker?.peers ?? 0) - 1,
      offers: tracker?.offers ?? 0,
    } satisfies Measured;
  };
}

/** What a lookup of a kind asks for, of so many peers. */
function textOf(kind: keyof typeof LOOKUP, peers: number): string {
  const number = Math.floor(Math.random() * peers);
  switch (kind) {
    case 'what':
      return `peer${number}/album 0/holiday ${number}-3.flac`;
    case 'pattern':
      return `peer${number}/**/*.mp4`;
    case 'words':
      return `HOLIDAY ${number}-7 flac`;
    case 'holders':
      return sharedId(number);
    case 'peer':
      return `peer${number}`;
    default:
      return '';
  }
}

/** A process that holds peers. */
async function hold(): Promise<(order: Order) => Promise<unknown>> {
  const clients = new Map<string, LightClient>();
  const own = await listenFor(clients);
  process.send?.({ answer: own });

  const register = async ({ port, first, count, offers, follows }: Extract<Order, { what: 'register' }>) => {
    const waiting = Array.from({ length: count }, (_, i) => new LightClient(first + i, own, offers));
    for (const client of waiting) clients.set(client.host, client);
    const times: number[] = [];
    const work = async () => {
      for (let client = waiting.shift(); client; client = waiting.shift())
        times.push(await client.register(port, follows));
    };
    const began = performance.now();
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    return { seconds: (performance.now() - began) / 1000, times };
  };

  const ask = async ({ kind, peers, seconds }: Extract<Order, { what: 'ask' }>): Promise<Asked> => {
    const askers = [...clients.values()].slice(0, AT_ONCE);
    const times: number[] = [];
    let found = 0;
    const began = performance.now();
    const work = async (client: LightClient) => {
      while (performance.now() - began < seconds * 1000) {
        const answer = await client.lookup(LOOKUP[kind], textOf(kind, peers));
        times.push(answer.ms);
        found += answer.found;
      }
    };
    await Promise.all(askers.map(work));
    return { count: times.length, seconds: (performance.now() - began) / 1000, found: found / times.length, times };
  };

  return async (order) => {
    if (order.what === 'register') return register(order);
    if (order.what === 'ask') return ask(order);
    if (order.what === 'broken') return [...clients.values()].flatMap(({ broken }) => (broken ? [broken] : []));
    throw new Error(order.what);
  };
}

const sum = (values: readonly number[]) => values.reduce((so, value) => so + value, 0);

interface Report {
  peers: number;
  offers: number;
  follows: boolean;
  register: { seconds: number; perSecond: number; p50: number; p99: number; cpu: number };
  /** From the last registration until every offer was in the registry, s. */
  pulled: number;
  memory: { before: Measured; after: Measured; residentPerPeer: number; livePerPeer: number };
  idle: { seconds: number; cpuPercent: number };
  lookups: { kind: string; perSecond: number; p50: number; p99: number; found: number; cpuPercent: number }[];
}

const KINDS = ['peer', 'what', 'holders', 'pattern', 'words'] as const;

async function run(peers: number, offers: number, idle: number, seconds: number, follows: boolean): Promise<Report> {
  const state = await mkdtemp(join(tmpdir(), 'hearsay-bench-'));
  try {
    const tracker = await child(import.meta.url, 'track', state);
    const holders = await Promise.all(Array.from({ length: HOLDERS }, () => child(import.meta.url, 'hold')));
    const measure = () => order<Measured>(tracker.process, { what: 'measure' });
    const before = await measure();
    const each = Math.ceil(peers / HOLDERS);
    const came = await Promise.all(
      holders.map(({ process }, i) => {
        const count = Math.min(each, peers - i * each);
        const what = { what: 'register' as const, port: tracker.port, first: i * each, count, offers, follows };
        return order<{ seconds: number; times: number[] }>(process, what);
      }),
    );
    const registering = Math.max(...came.map((one) => one.seconds));
    const took = came.flatMap(({ times }) => times);
    const cpu = (await measure()).cpu - before.cpu;
    const last = performance.now();
    for (let seen = await measure(); seen.offers < peers * offers || seen.registered < peers; seen = await measure()) {
      if (performance.now() - last > 60_000)
        throw new Error(`of ${peers} peers with ${offers}: ${JSON.stringify(seen)}`);
      await delay(100);
    }
    const pulled = (performance.now() - last) / 1000;
    const after = await measure();
    await delay(idle * 1000);
    const rested = await measure();
    const lookups = [];
    for (const kind of KINDS) {
      const cpuBefore = (await measure()).cpu;
      const asked = await Promise.all(
        holders.map(({ process }) => order<Asked>(process, { what: 'ask', kind, peers, seconds })),
      );
      const used = (await measure()).cpu - cpuBefore;
      const times = asked.flatMap((one) => one.times);
      lookups.push({
        kind,
        perSecond: sum(asked.map((one) => one.count / one.seconds)),
        p50: percentile(times, 0.5),
        p99: percentile(times, 0.99),
        found: sum(asked.map((one) => one.found)) / asked.length,
        cpuPercent: (100 * used) / seconds,
      });
    }
    const broken = await Promise.all(holders.map(({ process }) => order<string[]>(process, { what: 'broken' })));
    if (broken.flat().length > 0) throw new Error(`connections that broke: ${[...new Set(broken.flat())].join('; ')}`);
    return {
      peers,
      offers,
      follows,
      register: {
        seconds: registering,
        perSecond: peers / registering,
        p50: percentile(took, 0.5),
        p99: percentile(took, 0.99),
        cpu,
      },
      pulled,
      memory: {
        before,
        after,
        residentPerPeer: (after.resident - before.resident) / peers,
        livePerPeer: (after.live - before.live) / peers,
      },
      idle: { seconds: idle, cpuPercent: (100 * (rested.cpu - after.cpu)) / idle },
      lookups,
    };
  } finally {
    await endChildren();
    await rm(state, { recursive: true, force: true });
  }
}

function print({ peers, offers, register, pulled, memory, idle, lookups }: Report): void {
  const kib = (bytes: number) => `${Math.round(bytes / 1024)} KiB`;
  console.log(`${peers} peers with ${offers} offers each, registered with one tracker over TLS`);
  console.log('');
  console.log('| what | measured |');
  console.log('| --- | --- |');
  console.log(
    `| connect and register | ${Math.round(register.perSecond)} a second, ${register.seconds.toFixed(1)} s in all; ` +
      `p50 ${Math.round(register.p50)} ms, p99 ${Math.round(register.p99)} ms |`,
  );
  console.log(`| all offers pulled | ${pulled.toFixed(1)} s after the last registered |`);
  console.log(`| processor time for both | ${((1000 * register.cpu) / peers).toFixed(1)} ms a peer |`);
  console.log(
    `| memory of the tracker | ${kib(memory.residentPerPeer)} a peer resident, ${kib(memory.livePerPeer)} live; ` +
      `${Math.round(memory.after.resident / 2 ** 20)} MiB in all |`,
  );
  console.log(`| processor while idle for ${idle.seconds} s | ${idle.cpuPercent.toFixed(1)} % of a core |`);
  console.log('');
  console.log('| lookup | a second | p50 | p99 | found | of a core |');
  console.log('| --- | --- | --- | --- | --- | --- |');
  for (const { kind, perSecond, p50, p99, found, cpuPercent } of lookups) {
    const cells = [kind, Math.round(perSecond), `${p50.toFixed(1)} ms`, `${p99.toFixed(1)} ms`, found.toFixed(0)];
    console.log(`| ${[...cells, `${Math.round(cpuPercent)} %`].join(' | ')} |`);
  }
}

/** @throws Error where an option is not understood */
async function main(args: string[]): Promise<void> {
  const number = { type: 'string' } as const;
  const { values } = parseArgs({
    args,
    options: {
      peers: number,
      offers: number,
      idle: number,
      seconds: number,
      'no-follow': { type: 'boolean' },
      json: { type: 'boolean' },
    },
  });
  const read = (name: 'peers' | 'offers' | 'idle' | 'seconds', usual: number, most: number) => {
    const value = Number(values[name] ?? usual);
    if (!(value >= 1 && value <= most)) throw new Error(`--${name} 1 to ${most}`);
    return value;
  };
  const peers = Math.floor(read('peers', 1000, 4000));
  const offers = Math.floor(read('offers', 100, 10_000));
  const follows = !values['no-follow'];
  const report = await run(peers, offers, read('idle', 30, 3600), read('seconds', 10, 3600), follows);
  if (values.json) console.log(JSON.stringify(report));
  else print(report);
}

const [role, ...args] = process.argv.slice(2);
if (role === 'track') await serve(track(args[0]));
else if (role === 'hold') await serve(hold());
else await main(process.argv.slice(2));
