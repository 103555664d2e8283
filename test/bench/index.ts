/**
 * The index at size: how long a peer takes to pull the offers of many others, what each costs in memory, how quickly it then
 * lists by a pattern and finds by words, and for how long at most its event loop stood still meanwhile.
 *
 *   npm run bench -- index [--peers 100] [--offers 10000] [--json FILE]
 *
 * One process is the peer that pulls, as `hearsay share` is one; another holds the others, each with a key, an address and a TLS
 * connection of its own over loopback (see light-client.ts). No multicast is sent. Linux alone gives each an address without asking.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { ListQuery } from '../../lib/api.js';
import { serveControl } from '../../lib/daemon/control.js';
import { Peer } from '../../lib/peer.js';
import { child, endChildren, order, percentile, serve } from './children.js';
import { LightClient, listenFor } from './light-client.js';
import { manyFiles } from './many-files.js';
import { tell } from './settings.js';
import type { Report } from './table.js';

const CONFIG = fileURLToPath(new URL('../../../config/default.toml', import.meta.url));
const COMMAND = fileURLToPath(new URL('../../bin/hearsay.js', import.meta.url));
/** Times that each question is asked. */
const TIMES = 30;
/** Those that come at the same time. */
const AT_ONCE = 8;
/** How often it is looked whether the event loop stood still, ms. */
const TICK = 5;

interface Measured {
  offers: number;
  /** Resident, and live in the heap and beside it after a collection, bytes. */
  resident: number;
  live: number;
  /** The longest time that the event loop stood still since the last time, ms. */
  stood: number;
  /** Processor time so far, s. */
  cpu: number;
}

interface Asked {
  /** ms; the first one apart from the rest. */
  first: number;
  rest: number[];
  found: number;
  stood: number;
}

type Order =
  | { what: 'measure'; collect: boolean }
  | { what: 'list'; query: ListQuery; times: number }
  | { what: 'make'; first: number; count: number; offers: number }
  | { what: 'visit'; port: number }
  | { what: 'leave' };

/** The peer that pulls: the whole program but the command line. */
async function pull(state: string): Promise<(order: Order) => Promise<unknown>> {
  const peer = await Peer.start({ multicast: false, config: CONFIG, state, port: 0, name: 'puller', share: [] });
  await serveControl({ state, api: peer });
  process.send?.({ answer: peer.port });
  let stood = 0;
  let last = performance.now();
  setInterval(() => {
    const now = performance.now();
    stood = Math.max(stood, now - last - TICK);
    last = now;
  }, TICK);
  const since = async (): Promise<number> => {
    // What stood still just now shows at the next tick.
    await delay(2 * TICK);
    const longest = stood;
    stood = 0;
    return longest;
  };
  const measure = async (collect: boolean): Promise<Measured> => {
    const longest = await since();
    if (collect) {
      globalThis.gc?.();
      await delay(100);
      globalThis.gc?.();
      await since();
    }
    const { rss, heapUsed, external } = process.memoryUsage();
    const { user, system } = process.cpuUsage();
    const { offers } = await peer.status();
    return { offers, resident: rss, live: heapUsed + external, stood: longest, cpu: (user + system) / 1e6 };
  };
  const list = async (query: ListQuery, times: number): Promise<Asked> => {
    await since();
    const took: number[] = [];
    let found = 0;
    for (let i = 0; i < times; i++) {
      const began = performance.now();
      found = (await peer.list(query)).files.length;
      took.push(performance.now() - began);
    }
    const [first, ...rest] = took;
    return { first, rest, found, stood: await since() };
  };
  return async (order) => {
    if (order.what === 'measure') return measure(order.collect);
    if (order.what === 'list') return list(order.query, order.times);
    throw new Error(order.what);
  };
}

/** The process that holds the others. */
async function hold(): Promise<(order: Order) => Promise<unknown>> {
  const clients = new Map<string, LightClient>();
  // Each hands on what all of them offer, as peers do that have met.
  const fellows = new Map<string, LightClient>();
  const port = await listenFor(clients);
  process.send?.({ answer: port });
  return async (order) => {
    switch (order.what) {
      case 'make':
        for (let i = order.first; i < order.first + order.count; i++) {
          const client = new LightClient(i, port, order.offers, manyFiles(i, order.offers));
          clients.set(client.host, client);
          fellows.set(client.id, client);
          client.fellows = fellows;
        }
        return undefined;
      case 'visit':
        await comeAll([...clients.values()], order.port);
        return undefined;
      case 'leave':
        for (const client of clients.values()) client.leave();
        return undefined;
      default:
        throw new Error(order.what);
    }
  };
}

/** Some come at a time, as they do on a network; a handshake that lasts too long is tried again. */
async function comeAll(waiting: LightClient[], port: number): Promise<void> {
  const come = async () => {
    for (let client = waiting.shift(); client; client = waiting.shift()) {
      for (let tries = 1; ; tries++) {
        try {
          await client.visit(port);
          break;
        } catch (error) {
          if (tries === 10) throw error;
        }
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, come));
}

/** What is asked: by the library as a program does, and by the command. */
const QUESTIONS: Record<string, ListQuery> = {
  'ls of one folder': { pattern: 'photos7/2021/03/*.jpg' },
  'ls of a suffix': { pattern: '**/*5.flac' },
  'ls of a name anywhere': { pattern: '**/venus*' },
  'find two words, few': { words: ['bjork', 'venus'] },
  'find two words, many': { words: ['IMG', '2021'] },
  'find two words, none': { words: ['nowhere', 'nothing'] },
};
const COMMANDS: Record<string, string[]> = {
  'ls of one folder': ['ls', 'photos7/2021/03/*.jpg'],
  'find two words': ['find', 'bjork', 'venus'],
  'ls of all, first line': ['ls'],
};

/** Runs the command against the running peer. @param lines stop reading after so many @returns ms until it ended */
function command(state: string, args: string[], lines: boolean): Promise<number> {
  const began = performance.now();
  return new Promise((resolve, reject) => {
    const run = execFile(
      process.execPath,
      [COMMAND, ...args, '--state', state, '--config', CONFIG],
      { maxBuffer: 2 ** 30 },
      (error) => (error && !lines ? reject(error) : resolve(performance.now() - began)),
    );
    if (lines) run.stdout?.once('data', () => run.stdout?.destroy());
  });
}

interface Figures {
  peers: number;
  offers: number;
  pull: { seconds: number; cpu: number; stood: number };
  memory: { residentPerOffer: number; livePerOffer: number; resident: number; searched: number };
  questions: { question: string; first: number; p50: number; p99: number; found: number; stood: number }[];
  commands: { command: string; p50: number; most: number }[];
  gone: { seconds: number; stood: number };
}

async function run(peers: number, offers: number): Promise<Figures> {
  const state = await mkdtemp(join(tmpdir(), 'hearsay-bench-'));
  const url = import.meta.url;
  try {
    const puller = await child(url, 'pull', state);
    const holder = await child(url, 'hold');
    const measure = (collect: boolean) => order<Measured>(puller.process, { what: 'measure', collect });
    await order(holder.process, { what: 'make', first: 0, count: peers, offers });
    const before = await measure(true);
    const all = peers * offers;
    const came = performance.now();
    await order(holder.process, { what: 'visit', port: puller.port });
    let stood = 0;
    for (let seen = await measure(false); ; seen = await measure(false)) {
      stood = Math.max(stood, seen.stood);
      if (seen.offers >= all) break;
      if (performance.now() - came > 600_000) throw new Error(`pulled only ${seen.offers} of ${all}`);
      await delay(20);
    }
    const seconds = (performance.now() - came) / 1000;
    const after = await measure(true);
    const questions = [];
    for (const [question, query] of Object.entries(QUESTIONS)) {
      const asked = await order<Asked>(puller.process, { what: 'list', query, times: TIMES });
      const { first, rest, found } = asked;
      const [p50, p99] = [percentile(rest, 0.5), percentile(rest, 0.99)];
      questions.push({ question, first, p50, p99, found, stood: asked.stood });
    }
    const searched = await measure(true);
    const commands = [];
    for (const [name, args] of Object.entries(COMMANDS)) {
      const times: number[] = [];
      for (let i = 0; i < 5; i++) times.push(await command(state, args, name.includes('first line')));
      commands.push({ command: name, p50: percentile(times, 0.5), most: Math.max(...times) });
    }
    await measure(false);
    const left = performance.now();
    await order(holder.process, { what: 'leave' });
    let stoodAtEnd = 0;
    // A peer whose connection broke is asked again for a while before it counts as gone.
    for (let seen = await measure(false); ; seen = await measure(false)) {
      stoodAtEnd = Math.max(stoodAtEnd, seen.stood);
      if (seen.offers === 0) break;
      if (performance.now() - left > 120_000) throw new Error(`${seen.offers} offers stay`);
      await delay(50);
    }
    const perOffer = (bytes: number) => bytes / all;
    return {
      peers,
      offers,
      pull: { seconds, cpu: after.cpu - before.cpu, stood },
      memory: {
        residentPerOffer: perOffer(after.resident - before.resident),
        livePerOffer: perOffer(after.live - before.live),
        resident: after.resident,
        searched: perOffer(searched.live - before.live),
      },
      questions,
      commands,
      gone: { seconds: (performance.now() - left) / 1000, stood: stoodAtEnd },
    };
  } finally {
    await endChildren();
    await rm(state, { recursive: true, force: true });
  }
}

function reportOf(figures: Figures): Report {
  const { peers, offers, pull, memory, questions, commands, gone } = figures;
  const ms = (value: number) => `${value.toFixed(value < 10 ? 1 : 0)} ms`;
  const measured = {
    title: `${peers} peers with ${offers} offers each`,
    columns: ['what', 'measured'],
    rows: [
      ['all pulled over TCP with TLS', `${pull.seconds.toFixed(1)} s, ${pull.cpu.toFixed(1)} s of processor`],
      [
        'memory an offer',
        `${Math.round(memory.residentPerOffer)} bytes resident, ${Math.round(memory.livePerOffer)} live, ` +
          `${Math.round(memory.searched)} after searches; ${Math.round(memory.resident / 2 ** 20)} MiB in all`,
      ],
      ['event loop stood still while pulling', `${ms(pull.stood)} at most`],
      ['all gone', `after ${gone.seconds.toFixed(1)} s; stood still ${ms(gone.stood)} at most`],
    ],
  };
  const asked = {
    title: 'Questions to the library',
    columns: ['question', 'first', 'p50', 'p99', 'found', 'stood still'],
    rows: questions.map(({ question, first, p50, p99, found, stood }) => [
      question,
      ...[ms(first), ms(p50), ms(p99), `${found}`, ms(stood)],
    ]),
  };
  const typed = {
    title: 'Commands',
    columns: ['command', 'p50', 'most'],
    rows: commands.map(({ command, p50, most }) => [command, ms(p50), ms(most)]),
  };
  return { bench: 'index', tables: [measured, asked, typed], figures };
}

/** @throws Error where an option is not understood */
async function main(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: { peers: { type: 'string' }, offers: { type: 'string' }, json: { type: 'string' } },
  });
  const read = (name: 'peers' | 'offers', usual: number, most: number) => {
    const value = Number(values[name] ?? usual);
    if (!(value >= 1 && value <= most)) throw new Error(`--${name} 1 to ${most}`);
    return Math.floor(value);
  };
  const settings = { peers: read('peers', 100, 1000), offers: read('offers', 10_000, 1_000_000) };
  const report = reportOf(await run(settings.peers, settings.offers));
  await tell(report, [report], settings, values.json);
}

const [role, ...args] = process.argv.slice(2);
if (role === 'pull') await serve(pull(args[0]));
else if (role === 'hold') await serve(hold());
else await main(process.argv.slice(2));
