/**
 * The live part of a run, in a process of its own: a real peer on the loopback card shares a folder, and registers with a real
 * tracker; both are spoken to over real connections and by datagrams, wrongly, and a one-shot fetches from a source that answers wrongly. Again and again an honest
 * get must come out right.
 */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { mkdir, mkdtemp, readdir, readFile, realpath, rm, utimes, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Control, serveControl } from '../../lib/daemon/control.js';
import { readCard } from '../../lib/daemon/place.js';
import { hello, prove } from '../../lib/daemon/protocol.js';
import { asHearsayError, HearsayError } from '../../lib/errors.js';
import { BLOCK, DATAGRAM_MAX } from '../../lib/limits.js';
import type { Offer } from '../../lib/offer.js';
import { Peer, type PeerOptions } from '../../lib/peer.js';
import { encode } from '../../lib/wire/codec.js';
import { framePrefix } from '../../lib/wire/frame.js';
import { type Head, headStatement, leaveStatement, packHead, readHead } from '../../lib/wire/head.js';
import { type Letter, TABLE } from '../../lib/wire/table.js';
import { freePort } from '../e2e/free-port.js';
import { LETTERS } from '../unit/wire-messages.js';
import { Chance } from './chance.js';
import { identityFrom } from './keys.js';
import { liar, lie } from './liar.js';
import { likely, toTracker } from './likely.js';
import { type Sample, sample } from './memory.js';
import { spoilBytes } from './mutate.js';
import { type Found, plainReach, type Report } from './report.js';
import { describe } from './run.js';
import { type Conversation, Speaker, socketTo } from './speaker.js';
import { holds, Reach } from './target.js';
import { spoiltControl } from './targets/stored.js';
import { spoiltBytes, validBytes } from './targets/wire.js';

/** An honest get must be done within so long, and one from a liar must have come to an end. */
const GET_MS = 30_000;
/** The event loop of this process, which is the peer's too, may work on one thing for so long. */
const STALL_MS = 3000;
const CHECK_EVERY = 5000;
const TOGETHER = 8;
/** Looks at memory: so many, and not more often than so, as each takes a moment. */
const SAMPLES = 40;
const SAMPLE_MS = 3000;

const LOOPBACK = Object.entries(networkInterfaces()).find(([, all]) => all?.some((a) => a.internal))?.[0] ?? 'lo';

const text = (size: number, seed: number) => new Chance('content', seed).bytes(size);
const FILES = new Map<string, Buffer>([
  ['shared/small.txt', Buffer.from('small\n')],
  ['shared/empty', Buffer.alloc(0)],
  ['shared/deep/er/file.bin', text(70_000, 1)],
  ['shared/big.bin', text(5 * BLOCK + 17, 2)],
]);

class Live {
  readonly #seed: number;
  readonly #folder: string;
  readonly #group: string;
  readonly #groupPort: number;
  readonly reach = new Reach();
  readonly found: Found[] = [];
  inputs = 0;
  n = 0;
  honest = 0;
  stalled = 0;
  /** The case that was the next when it did. */
  stalledAt = 0;
  #tracker!: Peer;
  #peer!: Peer;
  #control!: Control;
  #udp!: UdpSocket;
  #template!: Head;
  #id = '';
  #fresh = 0;

  constructor(seed: number, folder: string, groupPort: number) {
    this.#seed = seed;
    this.#folder = folder;
    this.#groupPort = groupPort;
    this.#group = `239.255.47.48:${groupPort}`;
  }

  get #options(): PeerOptions {
    return {
      group: this.#group,
      interfaces: [LOOPBACK],
      port: 0,
      wait: 3,
      timeout: 2,
      config: join(this.#folder, 'config.toml'),
    };
  }

  async start(): Promise<void> {
    await writeFile(join(this.#folder, 'config.toml'), '');
    const old = new Date(Date.now() - 3_600_000);
    for (const [name, data] of FILES) {
      const file = join(this.#folder, name);
      await mkdir(join(file, '..'), { recursive: true });
      await writeFile(file, data);
      await utimes(file, old, old);
    }
    const state = join(this.#folder, 'state');
    const filter: PeerOptions['filter'] = (message, direction) => {
      if (direction === 'in') this.reach.note(`live ${message.type} ${TABLE[message.type].name}`, 'handled');
      return message;
    };
    this.#tracker = await Peer.start({
      ...this.#options,
      name: 'tracker',
      tracker: true,
      multicast: false,
      state: join(this.#folder, 'state-tracker'),
      filter,
    });
    this.#peer = await Peer.start({
      ...this.#options,
      name: 'fuzzed',
      join: [`127.0.0.1:${this.#tracker.port}`],
      share: [join(this.#folder, 'shared')],
      state,
      filter,
    });
    this.#control = await serveControl({ state, api: this.#peer });
    for (const end = performance.now() + GET_MS; this.#id === '' && performance.now() < end; await delay(20)) {
      this.#id = [...this.#peer.index].find(({ path, id }) => path === 'shared/big.bin' && id !== null)?.id ?? '';
    }
    holds(this.#id !== '', 'the peer never hashed its files');
    this.#udp = createSocket('udp4');
    this.#udp.on('error', () => {});
    await new Promise<void>((resolve) => this.#udp.bind(0, '127.0.0.1', resolve));
    this.#udp.setMulticastInterface('127.0.0.1');
    this.#udp.setMulticastLoopback(true);
    await this.#learnTemplate();
  }

  /** The peer's own head, for the fields of one's own that do not matter. */
  async #learnTemplate(): Promise<void> {
    const socket = createSocket({ type: 'udp4', reuseAddr: true });
    socket.on('error', () => {});
    await new Promise<void>((resolve) => socket.bind(this.#groupPort, resolve));
    socket.addMembership('239.255.47.48', '127.0.0.1');
    const heard = new Promise<Head>((resolve) => {
      socket.on('message', (data) => {
        for (let from = 0; from < data.length; from++) {
          // A head is a `bin` within the message: tried at each place, as this need not be quick.
          if (data[from] !== 0xc4) continue;
          try {
            resolve(readHead(data.subarray(from + 2, from + 2 + data[from + 1])));
          } catch {
            // Not here.
          }
        }
      });
    });
    const question = encode({
      type: 'Q',
      from: identityFrom(new Chance('asker')).id,
      to: '',
      nonce: Buffer.alloc(16),
      pad: Buffer.alloc(500),
    });
    const asking = setInterval(() => this.#udp.send(question, this.#groupPort, '239.255.47.48'), 100);
    this.#template = await heard;
    clearInterval(asking);
    socket.close();
  }

  async stop(): Promise<void> {
    this.#udp.close();
    await this.#control.close();
    await this.#peer.stop();
    await this.#tracker.stop();
  }

  fault(what: string, thrown: unknown): void {
    this.found.push({ target: `live ${what}`, n: this.n, why: describe(thrown) });
  }

  /** The next case: one of the ways to be wrong. */
  async act(): Promise<void> {
    const n = this.n++;
    const chance = new Chance(this.#seed, 'live', n);
    const way = chance.below(20);
    const what = way < 9 ? 'talk' : way < 11 ? 'stranger' : way < 18 ? 'datagrams' : 'control';
    this.reach.note(`live ${what}`, 'tried');
    try {
      if (what === 'talk') await this.#talk(chance, n);
      else if (what === 'stranger') await this.#stranger(chance);
      else if (what === 'datagrams') await this.#datagrams(chance, n);
      else await this.#command(chance);
    } catch (thrown) {
      // A connection that breaks is nothing; an error that is none of the net's is.
      const { code } = thrown as NodeJS.ErrnoException;
      const isNet = thrown instanceof HearsayError || typeof code === 'string' || /handshake/.test(String(thrown));
      if (!isNet) this.fault(what, thrown);
      else this.reach.note(`live ${what}`, 'broke off');
    }
  }

  /** Says things over one connection, after a proper handshake. */
  async #talk(chance: Chance, n: number): Promise<void> {
    const speaker = new Speaker(identityFrom(chance), this.#template);
    speaker.flags = chance.below(8);
    // Most of what is said to a peer is nothing for a tracker, and the other way round.
    const isTracker = chance.is(0.4);
    speaker.port = chance.is(0.5) ? 0 : 9;
    try {
      const talk = await speaker.dial((isTracker ? this.#tracker : this.#peer).port);
      for (let left = chance.between(1, 30); left > 0 && !talk.closed; left--) {
        this.inputs++;
        if (chance.is(isTracker ? 0.6 : 0.05)) this.#sayToTracker(talk, chance, speaker);
        else this.#say(talk, chance, n);
        if (chance.is(0.2)) await delay(1);
      }
      await delay(chance.below(20));
      talk.end(chance.is(0.5));
      await delay(5);
    } finally {
      speaker.close();
    }
  }

  #say(talk: Conversation, chance: Chance, n: number): void {
    const letter: Letter = chance.one(LETTERS);
    const way = chance.below(20);
    const files = [...FILES].map(([path, { length: size }]) => ({ path, id: this.#id, size }));
    if (way < 12) talk.send(likely(chance, files, [this.#peer.id]));
    else if (way < 17) talk.frame(validBytes(letter, chance, this.#seed, n));
    else if (way < 19) talk.frame(spoiltBytes(letter, chance, this.#seed, n));
    else {
      const length = Math.abs(chance.int()) % 2 ** 32;
      talk.write(Buffer.concat([framePrefix(length), chance.bytes(chance.length(300))]));
    }
  }

  #sayToTracker(talk: Conversation, chance: Chance, speaker: Speaker): void {
    const files = [...FILES].map(([path, { length: size }]) => ({ path, id: this.#id, size }));
    talk.send(toTracker(chance, files, [this.#peer.id, this.#tracker.id, speaker.identity.id], speaker.words()));
  }

  /** Bytes at the door that are no handshake, or half of one. */
  async #stranger(chance: Chance): Promise<void> {
    this.inputs++;
    const socket = await socketTo(this.#peer.port);
    const record = Buffer.concat([Buffer.from([0x16, 3, 1, 0, 200]), chance.bytes(200)]);
    socket.write(
      chance.is(0.5)
        ? chance.bytes(chance.length(2000))
        : chance.is(0.5)
          ? spoilBytes(record, chance)
          : 'GET / HTTP/1.1\r\n\r\n',
    );
    await delay(chance.below(30));
    socket.destroy();
  }

  async #datagrams(chance: Chance, n: number): Promise<void> {
    const identity = identityFrom(chance);
    for (let left = chance.between(1, 30); left > 0; left--) {
      this.inputs++;
      const bytes = chance.is(0.4)
        ? this.#signed(chance, identity)
        : spoiltBytes(chance.one(['O', 'Q', 'L', 'C'] as const), chance, this.#seed, n);
      const data = chance.is(0.1)
        ? chance.bytes(chance.length(1600))
        : chance.is(0.3)
          ? spoilBytes(bytes, chance)
          : bytes;
      this.#udp.send(data.subarray(0, 1400), this.#groupPort, '239.255.47.48');
    }
    await delay(5);
  }

  /** A datagram whose signature is right, and whose words are not. */
  #signed(chance: Chance, { id, key, sign }: ReturnType<typeof identityFrom>): Buffer {
    const words: Record<string, unknown> = { ...this.#template };
    for (const [name, value] of Object.entries(words))
      if (typeof value === 'number' && chance.is(0.4)) words[name] = Math.abs(chance.int());
    const head = packHead({
      ...(words as Head),
      id,
      key,
      name: 'x',
      port: chance.below(65_536),
      flags: chance.below(4),
    });
    if (chance.is(0.2)) return encode({ type: 'L', id, epoch: 1, sig: sign(leaveStatement(id, 1)) });
    const offers: Offer[] = chance.is(0.5)
      ? []
      : [{ path: 'shared/big.bin', kind: 'file', size: 1, mtime: 1, id: null, version: 1 }];
    const bytes = encode({ type: 'O', head, sig: sign(headStatement(head)), from: chance.below(3), offers });
    return bytes.length <= DATAGRAM_MAX ? bytes : bytes.subarray(0, DATAGRAM_MAX);
  }

  /** A command of the same user that says odd things on the control socket. */
  async #command(chance: Chance): Promise<void> {
    const card = await readCard(join(this.#folder, 'state'));
    holds(card !== undefined, 'the control socket is gone');
    const socket = connect(card.path);
    socket.on('error', () => {});
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    const frame = (json: string) => {
      this.inputs++;
      const prefix = Buffer.alloc(4);
      prefix.writeUInt32BE(Buffer.byteLength(json));
      socket.write(Buffer.concat([prefix, Buffer.from(json)]));
    };
    const nonce = chance.bytes(16).toString('hex');
    socket.once('data', (data: Buffer) => {
      const said: unknown = JSON.parse(data.toString('utf8', 4, 4 + data.readUInt32BE()));
      const theirs = (said as { nonce: string }).nonce;
      const proof = chance.is(0.1) ? 'ab'.repeat(32) : prove(card.token, 'client', theirs, nonce);
      frame(JSON.stringify(hello(nonce, proof)));
      socket.on('data', () => {});
      // What would write files where it says is left out: the socket's owner may do that.
      for (let left = chance.between(1, 10); left > 0; left--) {
        const json = spoiltControl(chance);
        if (!json.includes('get')) frame(json);
      }
    });
    await Promise.race([closed, delay(30 + chance.below(50))]);
    socket.destroy();
  }

  async #oneShot(join_: number, work: (peer: Peer, to: string) => Promise<void>): Promise<void> {
    const to = join(this.#folder, `in-${this.#fresh++}`);
    await mkdir(to);
    const state = join(this.#folder, `state-${this.#fresh}`);
    const options = {
      ...this.#options,
      name: 'getter',
      state,
      passive: true,
      multicast: false,
      join: [`127.0.0.1:${join_}`],
    };
    const peer = await Peer.start(options);
    try {
      const late = delay(GET_MS, 'late' as const, { ref: false });
      holds((await Promise.race([work(peer, to), late])) !== 'late', `a get was not over after ${GET_MS} ms`);
    } finally {
      await peer.stop();
      await rm(to, { recursive: true, force: true });
      await rm(state, { recursive: true, force: true });
    }
  }

  /** The peer serves an honest one, who joined it or the tracker, whatever else goes on. */
  async get(): Promise<void> {
    try {
      await this.#oneShot((this.honest % 2 === 0 ? this.#peer : this.#tracker).port, async (peer, to) => {
        await peer.get([...FILES.keys()], { to: `${to}/` });
        for (const [name, data] of FILES) {
          const here = await readFile(join(to, name.slice(name.lastIndexOf('/') + 1)));
          holds(here.equals(data), `${name} came out wrong`);
        }
      });
      this.honest++;
      this.reach.note('live honest get', 'right');
    } catch (thrown) {
      this.fault('honest get', thrown);
    }
  }

  /** A one-shot fetches from one who offers, answers and sends wrongly: it ends, with an error of ours or the right bytes. */
  async fetch(): Promise<void> {
    const n = this.n++;
    const chance = new Chance(this.#seed, 'live fetch', n);
    const data = text(3 * BLOCK + 5, 3);
    const source = liar(identityFrom(chance), this.#template, data, (talk, message) => {
      this.inputs++;
      lie(talk, message, chance, this.#seed, n);
    });
    await source.listen();
    try {
      await this.#oneShot(source.port, async (peer, to) => {
        let outcome = 'right';
        try {
          if (chance.is(0.3)) await peer.sources('lie/**');
          await peer.get(chance.one(['lie/a.bin', 'lie/', 'lie/**', 'a.bin', 'lie/b']), { to: `${to}/` });
        } catch (thrown) {
          outcome = asHearsayError(thrown).code;
          holds(
            thrown instanceof HearsayError && outcome !== 'failed',
            `an error that is none of ours: ${describe(thrown)}`,
          );
        }
        this.reach.note('live get from a liar', outcome);
        for (const entry of await readdir(this.#folder)) {
          holds(/^(in-|state|shared|config)/.test(entry), `${entry} landed outside of the destination`);
        }
        for (const entry of await readdir(to, { recursive: true, withFileTypes: true })) {
          if (!entry.isFile() || entry.name.startsWith('.hearsay-') || entry.name !== 'a.bin') continue;
          const got = await readFile(join(entry.parentPath, entry.name));
          holds(got.equals(data), 'a file has its name with wrong content');
        }
      });
    } catch (thrown) {
      this.fault('get from a liar', thrown);
    } finally {
      source.close();
    }
  }
}

/**
 * Runs the live part.
 * @param onInputs told how many inputs there were, about once a second
 */
export async function runLive(seed: number, seconds: number, onInputs: (inputs: number) => void): Promise<Report> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'hearsay-fuzz-live-')));
  const live = new Live(seed, folder, await freePort());
  const unhandled = (reason: unknown) => live.fault('rejection that nobody handled', reason);
  process.on('unhandledRejection', unhandled);
  process.on('uncaughtException', unhandled);
  const samples: Sample[] = [];
  let looked = performance.now();
  let worked = process.cpuUsage();
  const clock = setInterval(() => {
    const now = performance.now();
    const cpu = process.cpuUsage(worked);
    // A busy machine stops us too, but then we do not work meanwhile.
    const busy = Math.min(now - looked - 100, (cpu.user + cpu.system) / 1000);
    if (busy > live.stalled) {
      live.stalled = busy;
      live.stalledAt = live.n;
    }
    looked = now;
    worked = process.cpuUsage();
  }, 100);
  try {
    await live.start();
    const begun = performance.now();
    const end = begun + seconds * 1000;
    let checkAt = begun;
    let toldAt = begun;
    let sampleAt = begun;
    // Honest gets go on beside the others, not after them.
    let checking: Promise<void> | undefined;
    const check = async () => {
      await live.get();
      await live.fetch();
      checking = undefined;
    };
    while (performance.now() < end && live.found.length === 0) {
      await Promise.all(Array.from({ length: TOGETHER }, () => live.act()));
      const now = performance.now();
      if (now - toldAt > 1000) {
        toldAt = now;
        onInputs(live.inputs);
      }
      if (now >= checkAt && !checking) {
        checkAt = now + CHECK_EVERY;
        checking = check();
      }
      if (now >= sampleAt) {
        samples.push(sample(now - begun));
        looked = performance.now();
        worked = process.cpuUsage();
        sampleAt += Math.max(SAMPLE_MS, (seconds * 1000) / SAMPLES);
      }
    }
    await checking;
    // Still serves.
    await live.get();
    if (live.stalled > STALL_MS)
      live.fault(
        'stall',
        new Error(`the peer worked for ${Math.round(live.stalled)} ms on end, before case ${live.stalledAt}`),
      );
  } catch (thrown) {
    live.fault('run', thrown);
  } finally {
    clearInterval(clock);
    await live.stop().catch((thrown) => live.fault('stop', thrown));
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    process.removeListener('unhandledRejection', unhandled);
    process.removeListener('uncaughtException', unhandled);
  }
  const { inputs, found, reach, n, honest, stalled } = live;
  const notes = [
    `${honest} honest gets came out right, the last at the end`,
    `the peer worked for ${Math.round(stalled)} ms on end at most`,
  ];
  return { inputs, cases: { live: n }, reach: plainReach(reach.counts), samples, found, notes };
}
