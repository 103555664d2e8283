/**
 * Three peers on this machine, without a tracker, exchange files crosswise; one chunk is corrupted on its way and heals;
 * everything is cleaned up.
 *
 *   npm run demo
 */

import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { networkInterfaces, tmpdir } from 'node:os';
import { join, sep } from 'node:path';
import { DgramAsPromised } from 'dgram-as-promised';
import { type GetEvent, Peer, type PeerOptions } from '../lib/index.js';

const NAMES = ['ada', 'bob', 'cy'];
const CHUNK = 256 << 10;

type Say = (line: string) => void;

/** A UDP port that nobody has now, for a group of our own. */
async function freePort(): Promise<number> {
  const socket = DgramAsPromised.createSocket('udp4');
  const { port } = await socket.bind(0, '127.0.0.1');
  await socket.close();
  return port;
}

/** The name of this machine's loopback card. */
function loopback(): string {
  const cards = Object.entries(networkInterfaces());
  return cards.find(([, addresses]) => addresses?.some((a) => a.internal && a.family === 'IPv4'))?.[0] ?? 'lo';
}

/** Changes one byte of the first block that passes, once; says so. */
function corruptOnce(say: Say): PeerOptions['filter'] {
  let done = false;
  return (message, direction) => {
    if (done || direction !== 'in' || message.type !== 'T') return message;
    done = true;
    say('  (one byte of a block is changed on its way)');
    const data = Uint8Array.from(message.data);
    data[0] ^= 1;
    return { ...message, data };
  };
}

/** Resolves when a peer knows of `count` files of others. */
async function knows(peer: Peer, count: number): Promise<void> {
  const enough = () => [...peer.index].filter((o) => o.peer !== peer.id && o.id !== null).length >= count;
  const stop = new AbortController();
  const changes = peer.index.changes(stop.signal);
  if (enough()) stop.abort();
  for await (const _ of changes) if (enough()) stop.abort();
}

/** Runs the demonstration. @returns blocks that were thrown away and asked for again */
export async function demo(say: Say): Promise<number> {
  const root = await mkdtemp(join(tmpdir(), 'hearsay-demo-'));
  const peers: Peer[] = [];
  let bad = 0;
  try {
    const group = `239.255.47.48:${await freePort()}`;
    for (const name of NAMES) {
      const files = join(root, name, `from-${name}`);
      await mkdir(files, { recursive: true });
      await writeFile(join(files, 'note.txt'), `a few words of ${name}\n`);
      await writeFile(join(files, 'film.bin'), randomBytes(8 * CHUNK + 1));
      const corrupt = name === 'bob' ? corruptOnce(say) : undefined;
      const filter: PeerOptions['filter'] = (message, direction, peer) => {
        if (message.type === 'B' && direction === 'out') bad++;
        return corrupt ? corrupt(message, direction, peer) : message;
      };
      const state = join(root, name, 'state');
      const own = { group, interfaces: [loopback()], port: 0, state, name };
      peers.push(await Peer.start({ share: [files], filter, ...own }));
      say(`${name} shares from-${name}/`);
    }
    await Promise.all(peers.map((peer) => knows(peer, 4)));
    say('each sees the files of the others');
    await Promise.all(peers.map((peer, i) => fetchAll(peer, i, root, say)));
    for (const name of NAMES) await compare(root, name);
    say(`every file is the same everywhere; ${bad} chunk was thrown away and fetched again`);
    return bad;
  } finally {
    await Promise.all(peers.map((peer) => peer.stop()));
    await rm(root, { recursive: true, force: true });
    say('all is cleaned up');
  }
}

async function fetchAll(peer: Peer, i: number, root: string, say: Say): Promise<void> {
  const what = NAMES.filter((_, other) => other !== i).map((name) => `from-${name}/`);
  const to = join(root, NAMES[i], 'in') + sep;
  const events: AsyncIterable<GetEvent> = peer.get({ what, to }, new AbortController().signal);
  for await (const event of events) {
    if (event.event === 'done')
      say(`${NAMES[i]} has ${event.path} from ${event.sources.map((s) => s.name).join(', ')}`);
    if (event.event === 'error') throw new Error(event.error.message);
  }
}

/** Holds what the others fetched of one peer against what it shares. */
async function compare(root: string, name: string): Promise<void> {
  for (const file of ['note.txt', 'film.bin']) {
    const original = await readFile(join(root, name, `from-${name}`, file));
    for (const other of NAMES) {
      if (other === name) continue;
      const copy = await readFile(join(root, other, 'in', `from-${name}`, file));
      if (!copy.equals(original)) throw new Error(`${other} has another ${file} than ${name}`);
    }
  }
}

if (process.argv[1]?.endsWith('demo.js')) await demo((line) => console.log(line));
