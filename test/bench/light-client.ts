/**
 * A registered peer without a disk, of which a process holds many: one connection to a tracker, over which it renews its
 * lease, tells heartbeats, lets its offers be pulled and follows changes where the registry is small, as the program does.
 *
 * Owns its connection. Always true: it speaks through the program's own handshake, link, log of offers and answers. Each
 * has an address 127.x.y.z of its own, as each of a thousand machines has. Called by tracker.ts, and by index.ts for peers that
 * only connect.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { HearsayError } from '../../lib/errors.js';
import { answerDigest } from '../../lib/gossip/digests.js';
import { Own } from '../../lib/gossip/own.js';
import { SHELVING } from '../../lib/gossip/shelving.js';
import type { PeerId } from '../../lib/ids.js';
import { MIRROR_OFFERS_MAX, MIRROR_PEERS_MAX } from '../../lib/limits.js';
import { openGroup } from '../../lib/net/group-keys.js';
import { shakeHands } from '../../lib/net/handshake.js';
import { identityOf, newPrivateKey, verifySignature } from '../../lib/net/keys.js';
import type { Link, LinkHandlers, LinkSettings } from '../../lib/net/link.js';
import { tlsTransport } from '../../lib/net/transport.js';
import type { Offer } from '../../lib/offer.js';
import { answerPull } from '../../lib/shelf/answers.js';
import type { Proof, Shelf } from '../../lib/shelf/shelf.js';
import { LOOKUP } from '../../lib/tracker/events.js';
import type { Message, MessageOf } from '../../lib/wire/table.js';

/** As the program renews and tells of itself, ms. */
const RENEW = 4000;
const HEARTBEAT = 8000;
/** The number of its registration, and of the lookup that it follows; others count up from there. */
const JOIN = 1;
const FOLLOW = 2;

const transport = tlsTransport(openGroup());
const DOOR = { isRival: () => false, settle: async () => {}, admit: (link: Link) => link };

export class LightClient {
  readonly id: PeerId;
  readonly name: string;
  readonly host: string;
  /** Those whose offers it hands on. */
  fellows: ReadonlyMap<PeerId, LightClient> | undefined;
  readonly #port: number;
  readonly #settings: LinkSettings;
  readonly #own: Own;
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #asked = new Map<number, (found: MessageOf<'f'> | MessageOf<'E'>) => void>();
  #number = FOLLOW;
  #link: Link | undefined;
  #joined: ((z: MessageOf<'Z'>) => void) | undefined;
  #following = false;
  /** Why its connection ended, where it did. */
  broken: string | undefined;
  /** Changes that it was told, in messages. */
  told = 0;

  /**
   * @param number from 0; its name and its address follow from it
   * @param port where its process listens
   * @param files what it offers; left out, so many of the usual ones
   */
  constructor(number: number, port: number, offers: number, files: Omit<Offer, 'version'>[] = filesOf(number, offers)) {
    this.name = `peer${number}`;
    this.host = hostOf(number);
    this.#port = port;
    const identity = identityOf(newPrivateKey(), Date.now());
    const { id, key } = identity;
    this.id = id;
    const settings = { id, key, name: this.name, port, epoch: 1, passive: false, tracker: false };
    this.#own = new Own(settings, { sign: identity.sign, verify: verifySignature });
    this.#own.change(files);
    this.#own.forget();
    this.#settings = { identity, instance: randomBytes(8), hello: () => this.#own.head() };
  }

  readonly #handlers: LinkHandlers = {
    message: (link, message) => this.#message(link, message),
    heard: () => {},
    closed: (_link, why) => {
      this.broken = why.message;
      for (const timer of this.#timers.splice(0)) clearInterval(timer);
      for (const ask of this.#asked.values()) ask(failure(why.message));
    },
  };

  /** Connects and registers. @returns once it is registered, how long the two took, ms */
  async register(port: number, follows: boolean): Promise<number> {
    this.#following = follows;
    const began = performance.now();
    await this.#dial(port);
    const joined = new Promise<MessageOf<'Z'>>((resolve) => {
      this.#joined = resolve;
    });
    this.#join();
    const { peers, offers } = await joined;
    const took = performance.now() - began;
    this.#timers.push(setInterval(() => this.#join(), RENEW));
    this.#timers.push(setInterval(() => this.#link?.send(this.#own.beat()), HEARTBEAT));
    if (this.#following && isSmall(peers, offers)) {
      this.#link?.send({ type: 'l', number: FOLLOW, kind: LOOKUP.all, text: '', follow: true });
    } else this.#following = false;
    return took;
  }

  /** Connects to a peer that is no tracker, and lets it pull what it offers. */
  async visit(port: number): Promise<void> {
    await this.#dial(port);
    this.#timers.push(setInterval(() => this.#link?.send(this.#own.beat()), HEARTBEAT));
  }

  /** Goes without a goodbye. */
  leave(): void {
    this.#link?.close(new HearsayError('cancelled', 'the bench is over'));
  }

  async #dial(port: number): Promise<void> {
    const raw = connect({ port, host: '127.0.0.1', localAddress: this.host, noDelay: true });
    await once(raw, 'connect');
    await this.#open(raw, true);
  }

  /** Somebody connects to it, to see whether it can be reached. */
  async answer(raw: Socket): Promise<void> {
    await this.#open(raw, false);
  }

  async #open(raw: Socket, dialled: boolean): Promise<void> {
    const stream = await transport.secure(raw, dialled);
    const link = await shakeHands(stream, { dialled }, this.#settings, dialled ? this.#handlers : QUIET, DOOR);
    if (dialled) this.#link = link;
  }

  /** Looks something up. @returns how long the whole answer took, ms, and how many offers and peers were in it */
  async lookup(kind: number, text: string): Promise<{ ms: number; found: number }> {
    const number = ++this.#number;
    const began = performance.now();
    let found = 0;
    await new Promise<void>((resolve, reject) => {
      this.#asked.set(number, (page) => {
        if (page.type === 'f') {
          found += page.peers.length;
          for (const { offers } of page.offers) found += offers.length;
          if (!page.last) return;
        }
        this.#asked.delete(number);
        if (page.type === 'E' && page.code !== '') reject(new Error(`${page.code}: ${page.message}`));
        else resolve();
      });
      this.#link?.send({ type: 'l', number, kind, text, follow: false });
    });
    return { ms: performance.now() - began, found };
  }

  /** Its own offers, or those of another of its process. */
  #held(writer: PeerId): { shelf: Shelf; proof: Proof } | undefined {
    const client = writer === this.id ? this : this.fellows?.get(writer);
    return client && { shelf: client.#own.shelf, proof: client.#own.head() };
  }

  async #answer(link: Link, pull: MessageOf<'P'>): Promise<void> {
    const held = this.#held(pull.writer);
    if (!held) return;
    for (const page of answerPull(held.shelf, held.proof, pull)) {
      link.send(page);
      if (!link.writable) await link.whenWritable();
    }
  }

  #join(): void {
    this.#link?.send({ type: 'J', number: JOIN, addresses: [`${this.host}:${this.#port}`] });
  }

  #message(link: Link, message: Message): void {
    switch (message.type) {
      case 'Z':
        this.#joined?.(message);
        if (this.#following && !isSmall(message.peers, message.offers)) {
          link.send({ type: 'X', number: FOLLOW });
          this.#following = false;
        }
        return;
      case 'p':
        if (!message.answer) link.send({ ...message, answer: true });
        return;
      case 'P':
        this.#answer(link, message).catch(() => {});
        return;
      case 'b':
        for (const page of answerDigest(message, (writer) => this.#held(writer), SHELVING)) link.send(page);
        return;
      case 'f':
      case 'E':
        if (message.number === FOLLOW) this.told++;
        else this.#asked.get(message.number)?.(message);
        return;
    }
  }
}

const QUIET: LinkHandlers = { message: () => {}, heard: () => {}, closed: () => {} };

const failure = (message: string): MessageOf<'E'> => ({ type: 'E', number: 0, code: 'failed', id: null, message });

/** Whether the program would keep a copy of it. */
const isSmall = (peers: number, offers: number) => peers <= MIRROR_PEERS_MAX && offers <= MIRROR_OFFERS_MAX;

/** Its own address of this machine: 127.1.0.1 and on. */
const hostOf = (number: number) => `127.1.${Math.floor(number / 250)}.${(number % 250) + 1}`;

const KINDS = ['jpg', 'mp4', 'txt', 'flac', 'pdf'];

/** A content that ten peers have. */
export const sharedId = (number: number) =>
  Math.floor(number / 10)
    .toString(16)
    .padStart(64, 'a');

/** Files as people have them; every hundredth content is one that others have too. */
function filesOf(number: number, count: number) {
  return Array.from({ length: count }, (_, i) => {
    const id = i % 100 === 0 ? sharedId(number) : randomBytes(32).toString('hex');
    const path = `peer${number}/album ${i >> 4}/holiday ${number}-${i}.${KINDS[i % KINDS.length]}`;
    return { path, kind: 'file' as const, size: 1_000_000 + i, mtime: 1_700_000_000_000 + i, id };
  });
}

/** Listens for all of a process's clients; who is meant shows in the address that was dialled. @returns the port */
export async function listenFor(clients: ReadonlyMap<string, LightClient>): Promise<number> {
  const server = createServer({ noDelay: true }, (socket) => {
    const client = clients.get(socket.localAddress ?? '');
    socket.on('error', () => {});
    if (client) client.answer(socket).catch(() => socket.destroy());
    else socket.destroy();
  });
  server.listen(0, '0.0.0.0');
  await once(server, 'listening');
  const address = server.address();
  return typeof address === 'object' && address ? address.port : 0;
}
