/**
 * All connections: the listener, dialling, and at most one link to each peer.
 *
 * Owns the links by peer id, and counts the connections. Always true: at most one link a peer is used; of
 * two dialled at once by both sides, both keep the one that the smaller id dialled; of every link there was, its end is
 * told; there are at most CONNECTIONS_MAX (of a tracker TRACKER_CONNECTIONS_MAX), and where another comes, one gives its place up: of the address that has most of them
 * the one that was used longest ago. So who only holds connections loses his own. Of two processes that have copies of one key the
 * one that is there, and answers, stays. Called by the peer's drivers.
 */
import { setMaxListeners } from 'node:events';
import { isIP, type Socket } from 'node:net';
import type { Endpoint } from '../endpoint.js';
import { asHearsayError, HearsayError } from '../errors.js';
import type { PeerId } from '../ids.js';
import {
  CONNECTIONS_MAX,
  CONNECTIONS_PER_ADDRESS_MAX,
  DIALS_AT_ONCE_MAX,
  HANDSHAKE_MS,
  SEND_QUEUES_MAX,
  TRACKER_CONNECTIONS_MAX,
  TRACKER_CONNECTIONS_PER_ADDRESS_MAX,
} from '../limits.js';
import type { Message } from '../wire/table.js';
import { firstOf } from './dialling.js';
import { Doorway } from './doorway.js';
import { type Door, type Greeting, shakeHands } from './handshake.js';
import type { Link, LinkHandlers, LinkSettings } from './link.js';
import { isSame, Rivals } from './rivals.js';
import { type Listener, parseEndpoint, plainHost, type Transport } from './transport.js';

export interface LinksHandlers {
  /** A link was made and may be used. */
  opened(link: Link): void;
  message(link: Link, message: Message): void;
  heard(link: Link): void;
  /** A link has ended; another to the same peer may have taken its place before. */
  closed(link: Link, why: HearsayError): void;
}

/** How long one attempt to connect may take, ms. */
const DIAL_MS = 3000;
/** Two links of one pair made within so long of each other were dialled at once. */
const AT_ONCE_MS = 5000;
/** How often it is looked whether somebody has stopped reading. */
const STALL_LOOK_MS = 10_000;

/** How many there may be; see limits.ts. */
export interface LinksMost {
  connections: number;
  perAddress: number;
  dials: number;
}

const MOST: LinksMost = {
  connections: CONNECTIONS_MAX,
  perAddress: CONNECTIONS_PER_ADDRESS_MAX,
  dials: DIALS_AT_ONCE_MAX,
};

/** Those of a tracker, to which everybody is connected. */
export const TRACKER_MOST: LinksMost = {
  connections: TRACKER_CONNECTIONS_MAX,
  perAddress: TRACKER_CONNECTIONS_PER_ADDRESS_MAX,
  dials: DIALS_AT_ONCE_MAX,
};

export class Links {
  readonly #settings: LinkSettings;
  readonly #transport: Transport;
  readonly #handlers: LinksHandlers;
  readonly #links = new Map<PeerId, Link>();
  readonly #dialling = new Map<PeerId, Promise<Link>>();
  readonly #byAddress = new Map<string, number>();
  readonly #doorway = new Doorway();
  readonly #rivals = new Rivals();
  /** Dialled by us, and not greeted yet. */
  readonly #greeting = new Set<Socket>();
  /** Attempts of ours under way. */
  #attempts = 0;
  readonly #stopping = new AbortController();
  readonly #most: LinksMost;
  readonly #stallTimer: NodeJS.Timeout;
  #listener: Listener | undefined;

  constructor(settings: LinkSettings, transport: Transport, handlers: LinksHandlers, most: LinksMost = MOST) {
    // An equal part of what all may have, for each.
    this.#settings = { ...settings, room: () => SEND_QUEUES_MAX / Math.max(1, this.#links.size) };
    this.#transport = transport;
    this.#handlers = handlers;
    this.#most = most;
    this.#stallTimer = setInterval(() => this.#cutStalled(), STALL_LOOK_MS).unref();
    // One for each attempt under way.
    setMaxListeners(0, this.#stopping.signal);
  }

  /** The TCP port that we listen on, 0 before `listen`. */
  get port(): number {
    return this.#listener?.port ?? 0;
  }

  get all(): Iterable<Link> {
    return this.#links.values();
  }

  get(peer: PeerId): Link | undefined {
    return this.#links.get(peer);
  }

  /**
   * Begins to listen.
   * @param port 0 for any
   * @param next how many ports after it may be tried when it is taken
   * @throws HearsayError `port-taken`
   */
  async listen(port: number, next: number): Promise<number> {
    for (let i = 0; ; i++) {
      try {
        this.#listener = await this.#transport.listen(port === 0 ? 0 : port + i, (socket) => this.#accept(socket));
        return this.#listener.port;
      } catch (thrown) {
        if (i >= next || asHearsayError(thrown).code !== 'port-taken') throw thrown;
      }
    }
  }

  /**
   * The link to a peer, dialled where there is none yet: its addresses in their order, the next beside the last when
   * that does not answer at once.
   * @throws HearsayError `unreachable` and what else a handshake throws
   */
  connect(peer: PeerId, addresses: readonly string[]): Promise<Link> {
    const link = this.#links.get(peer);
    if (link) return Promise.resolve(link);
    let dialling = this.#dialling.get(peer);
    if (!dialling) {
      dialling = this.#dialAny(peer, addresses).finally(() => this.#dialling.delete(peer));
      this.#dialling.set(peer, dialling);
    }
    return dialling;
  }

  async #dialAny(peer: PeerId, addresses: readonly string[]): Promise<Link> {
    // These come from the network: a name among them would make us ask a name server.
    const endpoints = addresses.map(parseEndpoint).filter((e): e is Endpoint => e !== undefined && isIP(e.host) !== 0);
    if (endpoints.length === 0) throw new HearsayError('unreachable', 'no address is known');
    const dial = (to: Endpoint, signal: AbortSignal) =>
      this.#dial(to, { dialled: true, expected: peer }, AbortSignal.any([signal, this.#stopping.signal])).then(linked);
    try {
      return await firstOf(endpoints, dial);
    } catch (thrown) {
      const link = this.#links.get(peer);
      if (link) return link;
      throw thrown;
    }
  }

  /**
   * Dials one address.
   * @param expected the peer that must answer, or undefined for any
   */
  dial(to: Endpoint, expected?: PeerId): Promise<Link> {
    return this.#dial(to, { dialled: true, expected }, this.#stopping.signal).then(linked);
  }

  /** Whether a peer proves its key at an address. Makes no link, here or there. */
  async check(to: Endpoint, expected: PeerId): Promise<boolean> {
    try {
      await this.#dial(to, { dialled: true, expected, probe: true }, this.#stopping.signal);
      return true;
    } catch {
      return false;
    }
  }

  /**
   * The link to a peer over a stream that another peer passes on.
   * @param relay the host of that one, by which the link is counted
   * @param expected the peer that must be at the other end, where we opened the stream; undefined where the other side did
   * @throws HearsayError as `dial`, and `limit`
   */
  async tunnel(socket: Socket, relay: string, expected: PeerId | undefined): Promise<Link> {
    const greeting = { dialled: expected !== undefined, expected, relay };
    if (expected === undefined) return linked(await this.#welcome(socket, greeting, relay));
    this.#greeting.add(socket);
    try {
      return linked(await this.#greet(socket, greeting));
    } finally {
      this.#greeting.delete(socket);
    }
  }

  /** @param signal ends an attempt that has not connected yet */
  async #dial(to: Endpoint, greeting: Greeting, signal: AbortSignal): Promise<Link | undefined> {
    if (this.#stopped) throw new HearsayError('cancelled', 'this peer is stopping');
    const { dials } = this.#most;
    if (this.#attempts >= dials) throw new HearsayError('limit', `over ${dials} connections being dialled`);
    this.#attempts++;
    try {
      const socket = await this.#transport.connect(to, DIAL_MS, signal);
      this.#count(socket, plainHost(socket.remoteAddress ?? ''));
      this.#greeting.add(socket);
      try {
        return await this.#greet(socket, greeting);
      } finally {
        this.#greeting.delete(socket);
      }
    } finally {
      this.#attempts--;
    }
  }

  #accept(socket: Socket): void {
    this.#welcome(socket, { dialled: false }, plainHost(socket.remoteAddress ?? '')).catch(() => {
      // A stranger who does not finish the handshake is none of our business; the socket is gone.
    });
  }

  /** @param host by which it is counted */
  async #welcome(socket: Socket, greeting: Greeting, host: string): Promise<Link | undefined> {
    // Beyond what one address may have, a newcomer is turned away at once, which costs next to nothing.
    const isFull = (this.#byAddress.get(host) ?? 0) >= this.#most.perAddress;
    socket.on('error', () => {});
    if (this.#stopped || isFull) {
      socket.destroy();
      throw new HearsayError('limit', `over ${this.#most.perAddress} connections of one address`);
    }
    this.#doorway.enter(socket, host);
    const link = await this.#greet(socket, greeting, this.#doorway.turn(socket, host));
    // Who only looked stands there until it has gone.
    if (!link) return undefined;
    this.#doorway.leave(socket, host);
    this.#count(socket, host);
    return link;
  }

  /** @param turn when it may begin; the time runs from now on */
  async #greet(socket: Socket, greeting: Greeting, turn?: Promise<void>): Promise<Link | undefined> {
    let isLate = false;
    // One time for all of it: who is slow in TLS has less left for the rest.
    const timer = setTimeout(() => {
      isLate = true;
      socket.destroy();
    }, HANDSHAKE_MS);
    try {
      await turn;
      const stream = await this.#transport.secure(socket, greeting.dialled);
      return await shakeHands(stream, greeting, this.#settings, this.#linkHandlers, this.#door);
    } catch (thrown) {
      throw isLate ? new HearsayError('unreachable', 'no handshake in time') : thrown;
    } finally {
      clearTimeout(timer);
    }
  }

  get #stopped(): boolean {
    return this.#stopping.signal.aborted;
  }

  #count(socket: Socket, host: string): void {
    if (socket.destroyed) return;
    this.#byAddress.set(host, (this.#byAddress.get(host) ?? 0) + 1);
    socket.once('close', () => {
      const left = (this.#byAddress.get(host) ?? 1) - 1;
      if (left > 0) this.#byAddress.set(host, left);
      else this.#byAddress.delete(host);
    });
  }

  readonly #door: Door = {
    isRival: (peer, instance) => {
      const link = this.#links.get(peer);
      return link?.open === true && !isSame(link.instance, instance);
    },
    settle: async (peer, instance) => {
      const first = this.#links.get(peer);
      if (!first?.open || isSame(first.instance, instance)) return;
      if (await this.#rivals.stays(first, instance)) {
        throw new HearsayError('id-taken', 'another process that runs with a copy of the same key is connected');
      }
    },
    admit: (link) => this.#admit(link),
  };

  /** Takes a new link in, or gives the one that is kept instead of it. */
  #admit(link: Link): Link {
    if (this.#stopped) {
      link.close(new HearsayError('cancelled', 'this peer is stopping'));
      return link;
    }
    const before = this.#links.get(link.peer);
    if (!before) this.#makeRoom();
    if (before?.open) {
      const me = this.#settings.identity.id;
      const smallerDialled = (l: Link) => l.dialled === me < l.peer;
      const isYoung = performance.now() - before.openedAt < AT_ONCE_MS;
      // A process that was started anew knows nothing of the connection that was.
      const atOnce = isYoung && before.dialled !== link.dialled && isSame(before.instance, link.instance);
      // Of one that somebody passes on and one that nobody does, both keep the better.
      const isBetter = before.tunnelled === link.tunnelled ? smallerDialled(before) : link.tunnelled;
      if (atOnce && isBetter) {
        // Both sides keep that one; who dialled the other closes it.
        const surplus = () => link.close(new HearsayError('cancelled', 'dialled by both sides at once'));
        if (link.dialled) surplus();
        // One who does not would hold any number that are counted nowhere.
        else setTimeout(surplus, AT_ONCE_MS).unref();
        return before;
      }
      this.#links.set(link.peer, link);
      this.#handlers.opened(link);
      before.close(new HearsayError('cancelled', 'replaced by a newer connection'));
      return link;
    }
    this.#links.set(link.peer, link);
    this.#handlers.opened(link);
    return link;
  }

  /** One more is to come: where there are as many as there may be, one gives its place up. */
  #makeRoom(): void {
    if (this.#links.size < this.#most.connections) return;
    const hosts = new Map<string, number>();
    for (const { address } of this.#links.values()) hosts.set(address.host, (hosts.get(address.host) ?? 0) + 1);
    let loser: Link | undefined;
    for (const link of this.#links.values()) {
      const more = loser ? (hosts.get(link.address.host) ?? 0) - (hosts.get(loser.address.host) ?? 0) : 1;
      if (more > 0 || (more === 0 && loser && link.usedAt < loser.usedAt)) loser = link;
    }
    loser?.cut(new HearsayError('limit', `over ${this.#most.connections} connections, and others need one`));
  }

  #cutStalled(): void {
    const now = performance.now();
    for (const link of [...this.#links.values()]) {
      if (link.isStalled(now)) link.cut(new HearsayError('limit', 'the other side does not read what it asked for'));
    }
  }

  readonly #linkHandlers: LinkHandlers = {
    message: (link, message) => this.#handlers.message(link, message),
    heard: (link) => this.#handlers.heard(link),
    closed: (link, why) => {
      if (this.#links.get(link.peer) === link) this.#links.delete(link.peer);
      // Also of one that was replaced: what was asked over it is not answered any more.
      this.#handlers.closed(link, why);
    },
  };

  /** Closes everything; what was sent before still leaves. */
  async close(): Promise<void> {
    this.#stopping.abort();
    clearInterval(this.#stallTimer);
    const links = [...this.#links.values()];
    for (const link of links) link.close(new HearsayError('cancelled', 'this peer is stopping'));
    for (const socket of this.#greeting) socket.destroy();
    this.#doorway.clear();
    await this.#listener?.close();
  }
}

/** What is no probe comes to a link. */
function linked(link: Link | undefined): Link {
  if (!link) throw new HearsayError('unreachable', 'only a probe');
  return link;
}
