/**
 * A network of peers on the loopback card, in folders that go away: what the tests of whole peers have in common.
 * Owns the peers it started and the folder they live in. Always true: after the test nothing of them is left. Every
 * network has a group port of its own, so that tests beside each other do not meet.
 */
import { createCipheriv } from 'node:crypto';
import { rmSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, realpath, rm, utimes, writeFile } from 'node:fs/promises';
import { networkInterfaces, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { GetEvent, GetQuery, ShareEvent } from '../../lib/api.js';
import type { HearsayError } from '../../lib/errors.js';
import type { PeerOffer } from '../../lib/offer.js';
import { Peer, type PeerOptions } from '../../lib/peer.js';
import type { Letter, Message, MessageOf } from '../../lib/wire/table.js';
import { freePort } from './free-port.js';

export const KIB = 1024;
export const MIB = 1024 * KIB;
/** A patient limit: what takes longer has failed, on a slow machine too. */
const LIMIT_MS = 30_000;

/** The name of the loopback card. */
export const LOOPBACK =
  Object.entries(networkInterfaces()).find(([, all]) => all?.some((a) => a.internal))?.[0] ?? 'lo';

/** Bytes that look random and are the same for the same seed. */
export function content(size: number, seed: number): Buffer {
  const key = Buffer.alloc(16);
  key.writeUInt32LE(seed);
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(size));
}

/** Waits until something holds. @throws Error where it does not in time */
export async function until(holds: () => unknown, what: string, ms = LIMIT_MS): Promise<void> {
  const end = performance.now() + ms;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Options of a peer of the network, with the folder of its files instead of `share`. */
export type LanOptions = Omit<PeerOptions, 'share' | 'filter'> & {
  /** Files by their path; the first segment is the share. */
  files?: Record<string, string | Uint8Array>;
  share?: PeerOptions['share'];
  filter?: PeerOptions['filter'];
};

export class LanPeer {
  readonly peer: Peer;
  readonly events: ShareEvent[];
  /** The folder in which its shares lie. */
  readonly root: string;

  constructor(peer: Peer, events: ShareEvent[], root: string) {
    this.peer = peer;
    this.events = events;
    this.root = root;
  }

  get id(): string {
    return this.peer.id;
  }

  /** Where one of its files is. */
  file(path: string): string {
    return join(this.root, path);
  }

  /** The offers that it knows of a path. */
  offers(path: string): PeerOffer[] {
    return [...this.peer.index].filter((offer) => offer.path === path);
  }

  /** Waits until it knows a path's content id. */
  async hashed(path: string, from?: LanPeer): Promise<string> {
    const known = () => this.offers(path).find((o) => o.id !== null && (!from || o.peer === from.id));
    await until(known, `${this.peer.name} knows the id of ${path}`);
    return known()?.id as string;
  }

  /** Waits until it knows that a path is offered. */
  async knows(path: string, from?: LanPeer): Promise<PeerOffer> {
    const known = () => this.offers(path).find((o) => !from || o.peer === from.id);
    await until(known, `${this.peer.name} knows of ${path}`);
    return known() as PeerOffer;
  }

  /** Events of one kind. */
  told<E extends ShareEvent['event']>(event: E): Extract<ShareEvent, { event: E }>[] {
    return this.events.filter((e): e is Extract<ShareEvent, { event: E }> => e.event === event);
  }
}

export class Lan {
  readonly #t: ExecutionContext;
  readonly #peers: Peer[] = [];
  readonly folder: string;
  readonly group: string;
  #count = 0;

  private constructor(t: ExecutionContext, folder: string, port: number) {
    this.#t = t;
    this.folder = folder;
    this.group = `239.255.47.48:${port}`;
  }

  static async make(t: ExecutionContext): Promise<Lan> {
    const folder = await realpath(await mkdtemp(join(tmpdir(), 'hearsay-e2e-')));
    const lan = new Lan(t, folder, await freePort());
    t.teardown(async () => {
      await Promise.all(lan.#peers.map((peer) => peer.stop()));
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    });
    return lan;
  }

  /** A fresh folder. */
  async fresh(name: string): Promise<string> {
    const made = join(this.folder, `${name}-${this.#count++}`);
    await mkdir(made, { recursive: true });
    return made;
  }

  /** Starts a peer that meets others of this network only. */
  async peer(name: string, options: LanOptions = {}): Promise<LanPeer> {
    const root = await this.fresh(name);
    const { files = {}, ...rest } = options;
    await write(root, files);
    const shares = [...new Set(Object.keys(files).map((path) => path.split('/')[0]))];
    const events: ShareEvent[] = [];
    const peer = await Peer.start({
      name,
      share: shares.map((share) => join(root, share)),
      state: join(root, '.state'),
      onEvent: (event) => events.push(event),
      ...this.options,
      ...rest,
    });
    this.#peers.push(peer);
    return new LanPeer(peer, events, root);
  }

  /** What keeps a peer of the test on the loopback card, among its own. */
  get options(): PeerOptions {
    return { group: this.group, interfaces: [LOOPBACK], port: 0, wait: 3, config: NO_CONFIG };
  }

  get context(): ExecutionContext {
    return this.#t;
  }
}

// Nor is a secret of its environment.
delete process.env.HEARSAY_SECRET;
/** The settings file of the machine on which the tests run is none of theirs: an empty one instead. */
export const NO_CONFIG = join(await mkdtemp(join(tmpdir(), 'hearsay-e2e-config-')), 'config.toml');
await writeFile(NO_CONFIG, '');
process.once('exit', () => rmSync(dirname(NO_CONFIG), { recursive: true, force: true }));

/** Writes files, with the folders that they need, as if written an hour ago; a path that ends in `/` is a folder. */
export async function write(root: string, files: Record<string, string | Uint8Array>, mtime?: Date): Promise<void> {
  const when = mtime ?? new Date(Date.now() - 3_600_000);
  for (const [name, data] of Object.entries(files)) {
    const file = join(root, name);
    if (name.endsWith('/')) {
      await mkdir(file, { recursive: true });
      continue;
    }
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, data);
    await utimes(file, when, when);
  }
}

/** What a get came to. */
/** What a get came to, as `get` gives it. */
export type GetOutcome = Outcome;

export class Outcome {
  readonly events: GetEvent[] = [];

  of<E extends GetEvent['event']>(event: E): Extract<GetEvent, { event: E }>[] {
    return this.events.filter((e): e is Extract<GetEvent, { event: E }> => e.event === event);
  }

  get done() {
    return this.of('done');
  }

  /** Codes of the errors, in their order. */
  get codes(): string[] {
    return this.of('error').map(({ error }) => error.code);
  }

  /** Bytes that crossed the network. */
  get received(): number {
    return this.done.reduce((sum, { received }) => sum + received, 0);
  }
}

/** A get that can be looked at while it runs. */
export class Run {
  readonly outcome = new Outcome();
  readonly abort = new AbortController();
  readonly ended: Promise<Outcome>;
  over = false;

  constructor(peer: Peer, query: GetQuery) {
    this.ended = this.#take(peer, query);
  }

  async #take(peer: Peer, query: GetQuery): Promise<Outcome> {
    for await (const event of peer.get(query, this.abort.signal)) this.outcome.events.push(event);
    this.over = true;
    return this.outcome;
  }

  /** Bytes verified so far, as told. */
  get verified(): number {
    return this.outcome.of('progress').at(-1)?.verified ?? 0;
  }
}

/** Begins a get with every event. */
export function begin(peer: LanPeer, what: string | string[], to: string, query: Partial<GetQuery> = {}): Run {
  return new Run(peer.peer, { what: [what].flat(), to, verbose: true, ...query });
}

/** Gets to the end. */
export function get(peer: LanPeer, what: string | string[], to: string, query: Partial<GetQuery> = {}) {
  return begin(peer, what, to, query).ended;
}

/** All names in a folder, hidden ones too. */
export async function names(folder: string): Promise<string[]> {
  return (await readdir(folder)).sort();
}

/** Asserts that nothing but a hidden partial is in a folder. */
export async function assertOnlyPartial(t: ExecutionContext, folder: string): Promise<void> {
  const all = await names(folder);
  t.deepEqual(
    all.filter((name) => !name.startsWith('.hearsay-')),
    [],
    'no file has its name',
  );
  t.true(
    all.some((name) => name.endsWith('.part')),
    `a partial is kept: ${all}`,
  );
}

/** Asserts that a file has a content. */
export async function assertContent(t: ExecutionContext, file: string, wanted: Uint8Array): Promise<void> {
  t.is(Buffer.compare(await readFile(file), wanted), 0, `${file} is as it was`);
}

/** Whether a message is of a type: for filters. */
export function is<L extends Letter>(message: Message, letter: L): message is MessageOf<L> & Message {
  return message.type === letter;
}

/** The same block with one byte wrong. */
export function corrupt(message: MessageOf<'T'>): MessageOf<'T'> {
  const data = Buffer.from(message.data);
  data[data.length >> 1] ^= 1;
  return { ...message, data };
}

/** The code that something is rejected with. */
export async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (thrown) {
    return (thrown as HearsayError).code;
  }
  return 'nothing was thrown';
}
