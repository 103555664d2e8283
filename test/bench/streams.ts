/**
 * What encryption and verification cost: the same bytes from one process to another over loopback, as plain TCP, under
 * TLS as hearsay has it, under TLS with every chunk hashed, and fetched by hearsay itself from memory to memory.
 *
 *   npm run bench -- [--mib 1024] [--runs 5] [--json FILE]
 *
 * The ways take turns, so that a busy moment of the machine meets all of them; medians are printed, and ratios to plain TCP.
 * Processes speak only over 127.0.0.1, without multicast, and are gone at the end.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, mkdtemp, open, rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { blake3 } from '../../lib/hash.js';
import { BLOCK } from '../../lib/limits.js';
import { openGroup } from '../../lib/net/group-keys.js';
import { tlsTransport } from '../../lib/net/transport.js';
import { Peer } from '../../lib/peer.js';
import { tell } from './settings.js';
import { ratio, whole } from './table.js';

const MIB = 2 ** 20;
const WAYS = ['plain TCP', 'TLS', 'TLS and hashing', 'hearsay get'] as const;
type Way = (typeof WAYS)[number];

/** What a process did in one run: seconds by the clock, and of its processor. */
interface Took {
  seconds: number;
  cpu: number;
  /** Peak resident bytes. */
  peak: number;
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

function peak(): number {
  return process.resourceUsage().maxRSS * 1024;
}

/** Waits until a socket takes more. */
async function drained(socket: Socket): Promise<void> {
  if (socket.writableNeedDrain) await once(socket, 'drain');
}

/** Sends so many bytes in blocks to whoever connects, once. */
async function send(way: Way, bytes: number): Promise<void> {
  const block = Buffer.alloc(BLOCK, 'hearsay');
  const server = createServer({ noDelay: true }, async (raw) => {
    const socket = way === 'plain TCP' ? raw : (await tlsTransport(openGroup()).secure(raw, false)).socket;
    // The receiver has its say first, so that the time is of the bytes alone.
    await once(socket, 'data');
    const before = cpuSeconds();
    for (let sent = 0; sent < bytes; sent += BLOCK) {
      socket.write(block);
      await drained(socket);
    }
    socket.end();
    await once(socket, 'close');
    server.close();
    process.send?.({ took: { seconds: 0, cpu: cpuSeconds() - before, peak: peak() } });
  });
  server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as { port: number }).port }));
}

async function receive(way: Way, port: number, bytes: number): Promise<Took> {
  const raw = connect({ port, host: '127.0.0.1', noDelay: true });
  await once(raw, 'connect');
  const socket = way === 'plain TCP' ? raw : (await tlsTransport(openGroup()).secure(raw, true)).socket;
  const chunk = Buffer.alloc(MIB);
  let filled = 0;
  let received = 0;
  socket.on('data', (data: Buffer) => {
    received += data.length;
    if (way !== 'TLS and hashing') return;
    for (let at = 0; at < data.length; ) {
      const take = Math.min(MIB - filled, data.length - at);
      data.copy(chunk, filled, at, at + take);
      at += take;
      filled = (filled + take) % MIB;
      if (filled === 0) blake3(chunk);
    }
  });
  const cpu = cpuSeconds();
  const begun = performance.now();
  socket.write('go');
  await once(socket, 'end');
  const took = { seconds: (performance.now() - begun) / 1000, cpu: cpuSeconds() - cpu, peak: peak() };
  if (received !== bytes) throw new Error(`${received} of ${bytes} bytes came`);
  socket.destroy();
  return took;
}

/** A folder in memory where there is one. */
async function scratch(): Promise<string> {
  const root = await access('/dev/shm').then(
    () => '/dev/shm',
    () => tmpdir(),
  );
  return mkdtemp(join(root, 'hearsay-bench-'));
}

const quiet = { multicast: false, config: fileURLToPath(new URL('../../../config/default.toml', import.meta.url)) };

/** A peer that shares one file until it is told to end. */
async function share(folder: string): Promise<void> {
  const peer = await Peer.start({
    ...quiet,
    share: [join(folder, 'share', 'bytes')],
    state: join(folder, 'source'),
    port: 0,
  });
  // Told by its state: what is remembered from the run before is not hashed again.
  while ((await peer.status()).shares.some(({ files, hashed }) => files === 0 || hashed < files)) await delay(20);
  const before = cpuSeconds();
  process.once('message', async () => {
    const cpu = cpuSeconds() - before;
    await peer.stop();
    process.send?.({ took: { seconds: 0, cpu, peak: peak() } });
    process.disconnect();
  });
  process.send?.({ port: peer.port });
}

async function get(folder: string, port: number, run: number): Promise<Took> {
  const options = { ...quiet, passive: true, state: join(folder, 'receiver'), join: [`127.0.0.1:${port}`] };
  const peer = await Peer.start(options);
  const to = join(folder, `in-${run}`);
  const cpu = cpuSeconds();
  const begun = performance.now();
  await peer.get('bytes', { to });
  const took = { seconds: (performance.now() - begun) / 1000, cpu: cpuSeconds() - cpu, peak: peak() };
  await peer.stop();
  await rm(to);
  return took;
}

/** What a child process says. */
interface Said {
  port?: number;
  took?: Took;
}

async function told(child: ChildProcess): Promise<Said> {
  const message = once(child, 'message').then(([said]) => said as Said);
  const ended = once(child, 'exit').then(([code]): Said => {
    throw new Error(`a process ended with ${code}`);
  });
  return Promise.race([message, ended]);
}

const children = new Set<ChildProcess>();

function child(...args: (string | number)[]): ChildProcess {
  const process = fork(fileURLToPath(import.meta.url), args.map(String));
  children.add(process);
  process.once('exit', () => children.delete(process));
  return process;
}

/** One run of one way: what the sending and the receiving process took. */
async function runOnce(way: Way, bytes: number, folder: string, run: number): Promise<{ from: Took; to: Took }> {
  const isGet = way === 'hearsay get';
  const from = isGet ? child('share', folder) : child('send', way, bytes);
  const { port = 0 } = await told(from);
  const to = isGet ? child('get', folder, port, run) : child('receive', way, port, bytes);
  // Listened for before the other is done: it may be told at once.
  const last = told(from);
  last.catch(() => {});
  const received = await told(to);
  if (isGet) from.send('end');
  const sent = await last;
  if (!received.took || !sent.took) throw new Error('no figures came');
  return { from: sent.took, to: received.took };
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1];
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { mib: { type: 'string' }, runs: { type: 'string' }, json: { type: 'string' } },
  });
  const mib = Number(values.mib ?? 1024);
  const runs = Number(values.runs ?? 5);
  if (!(mib >= 1 && mib <= 65_536 && runs >= 1 && runs <= 100)) throw new Error('--mib 1 to 65536, --runs 1 to 100');
  const bytes = Math.floor(mib) * MIB;
  const folder = await scratch();
  const all = new Map<Way, { from: Took; to: Took }[]>(WAYS.map((way) => [way, []]));
  try {
    await makeFile(join(folder, 'share'), bytes);
    for (let run = 0; run < runs; run++) {
      for (const way of WAYS) all.get(way)?.push(await runOnce(way, bytes, folder, run));
    }
  } finally {
    for (const process of children) process.kill();
    await rm(folder, { recursive: true, force: true });
  }
  const speed = (way: Way) => mib / median((all.get(way) ?? []).map(({ to }) => to.seconds));
  const figures = WAYS.map((way) => {
    const took = all.get(way) ?? [];
    const cpu = (median(took.map(({ from, to }) => from.cpu + to.cpu)) * 1024) / mib;
    return { way, speed: speed(way), cpu, peak: median(took.map(({ to }) => to.peak)) };
  });
  const table = {
    title: `${mib} MiB over loopback between two processes, median of ${runs}`,
    columns: ['way', 'MiB/s', 'of plain TCP', 'CPU s a GiB, both', 'peak MB, receiver'],
    rows: figures.map(({ way, speed: rate, cpu, peak: most }) => [
      ...[way, whole(rate), ratio(rate / figures[0].speed)],
      ...[ratio(cpu), whole(most / 1e6)],
    ]),
  };
  const report = { bench: 'streams', tables: [table], figures };
  await tell(report, [report], { mib, runs }, values.json);
}

async function makeFile(folder: string, bytes: number): Promise<void> {
  await mkdir(folder);
  const block = Buffer.alloc(MIB);
  const file = await open(join(folder, 'bytes'), 'w');
  for (let i = 0; i < bytes / MIB; i++) {
    block.writeUInt32LE(i);
    await file.write(block);
  }
  await file.close();
}

const [role, ...args] = process.argv.slice(2);
if (role === 'send') await send(args[0] as Way, Number(args[1]));
else if (role === 'receive') process.send?.({ took: await receive(args[0] as Way, Number(args[1]), Number(args[2])) });
else if (role === 'share') await share(args[0]);
else if (role === 'get') process.send?.({ took: await get(args[0], Number(args[1]), Number(args[2])) });
else await main();
