/**
 * All UDP: multicast and broadcast to everyone near, unicast to one.
 * Owns a send socket for each own address, one of each family for what lies beyond, and the receiving sockets. Always
 * true: nothing throws because a link is down; what could not be opened is tried again; a card or an address that comes or
 * goes is followed. Called by the driver of gossip.
 *
 * Why so many sockets: one that is switched between cards sends everything by the last one, as sending is asynchronous;
 * and the group's port is shared by all peers of a machine, so that unicast must come to ports of our own.
 */
import { isIPv4 } from 'node:net';
import type { SocketAsPromised } from 'dgram-as-promised';
import { asHearsayError } from '../errors.js';
import type { Sparing } from '../gossip/events.js';
import { DatagramQueue, type OnDatagram, type UdpAddress } from './datagrams.js';
import { Group } from './group.js';
import {
  type Card,
  hostOf,
  type InterfaceTable,
  isOnLink,
  presentInterfaces,
  usableInterfaces,
  watchInterfaces,
} from './interfaces.js';
import { broadcastOf, outlets } from './outlets.js';
import { SameLan } from './same-lan.js';
import { closeUdp, errorCode, udpSocket } from './socket.js';
import { Traffic } from './traffic.js';

/** Hops of a multicast datagram: the LAN and, where routers forward multicast at all, a few of them (UPnP's default). */
const HOPS = 4;
/** Milliseconds until what could not be opened is tried again; doubled up to the second. */
const RETRY_MS = 1000;
const RETRY_MAX_MS = 30_000;

export interface MulticastOptions {
  /** IPv4 multicast address; the IPv6 group follows from it. */
  group: string;
  port: number;
  /** Only these cards. */
  interfaces?: readonly string[];
  /** False: neither multicast nor broadcast, neither sent nor received; unicast only. */
  enabled: boolean;
  /** Own multicast and broadcast is not given. */
  onDatagram: OnDatagram;
  /** Told when a card or an address came or went, and all that can be opened there is. */
  onChange?(): void;
  /** Something that a person should know; said once for each cause. */
  onWarning(message: string): void;
  /** Where the list of cards comes from; the system's by default. */
  cards?: () => Card[];
  /** What is looked at for changes, and how often, ms; the system's, every two seconds. */
  look?: () => InterfaceTable;
  lookMs?: number;
}

/** `card` is undefined for the one that speaks from whatever address the system chooses. */
interface Sender {
  socket: SocketAsPromised;
  card: Card | undefined;
  port: number;
}

/** The group of IPv6 that belongs to one of IPv4: link-local, transient, "HS", then the four bytes. */
export function ipv6Group(group: string): string {
  const hex = group.split('.').map((part) => Number(part).toString(16).padStart(2, '0'));
  return `ff12::4853:${hex[0]}${hex[1]}:${hex[2]}${hex[3]}`;
}

/** For sorting what a person or another machine can use best to the front. */
function usefulness(card: Card): number {
  if (card.internal) return 3;
  return card.family === 4 ? 0 : card.zone === '' ? 1 : 2;
}

export class Multicast {
  /** What was said and came back, for the doctor; what was heard of others is counted by whoever reads it. */
  readonly traffic = new Traffic();
  readonly #options: MulticastOptions;
  readonly #group6: string;
  readonly #queue: DatagramQueue;
  readonly #group: Group;
  readonly #sent = { sent: 0, failed: 0 };
  #cards: Card[] = [];
  /** By own address with its zone; '4' and '6' are those without a card. */
  readonly #senders = new Map<string, Sender>();
  readonly #warned = new Set<string>();
  readonly #sameLan = new SameLan();
  readonly #unwatch: () => void;
  #retry: NodeJS.Timeout | undefined;
  #retryMs = RETRY_MS;
  #refreshing: Promise<boolean> = Promise.resolve(false);
  #closed: Promise<void> | undefined;

  private constructor(options: MulticastOptions) {
    this.#options = options;
    this.#group6 = ipv6Group(options.group);
    this.#queue = new DatagramQueue(options.onDatagram);
    this.#group = new Group({
      group: options.group,
      group6: this.#group6,
      port: options.port,
      onDatagram: (data, from) => {
        if (this.#senders.get(from.host)?.port === from.port) return this.traffic.echoed(from.host);
        const isCopy = this.#sameLan.heard(data, from, this.#cards, performance.now());
        if (!isCopy) this.#queue.push(data, from, true);
      },
      onLost: () => this.#retryLater(),
      warn: (cause, message) => this.#warn(cause, message),
    });
    // From before the cards are looked at for the first time: what changes while they are opened is noticed too.
    this.#unwatch = watchInterfaces(() => this.#follow(), options.lookMs, options.look);
  }

  /**
   * Opens what can be opened. What cannot (a port held by another program, an address that is not ready yet) is warned
   * of and tried again later.
   * @throws HearsayError `usage` where a named card is not there
   */
  static async open(options: MulticastOptions): Promise<Multicast> {
    if (options.interfaces?.length && !options.cards) usableInterfaces(options.interfaces);
    const multicast = new Multicast(options);
    await multicast.refresh();
    return multicast;
  }

  /** What happened so far, in datagrams. `overflow`: came while too many waited. `oversize`: too long to be ours. */
  get counters(): { sent: number; failed: number; received: number; overflow: number; oversize: number } {
    return { ...this.#sent, ...this.#queue.counters };
  }

  /**
   * Sends to everyone by multicast. What cannot be sent is counted.
   * @param data a function is asked for each card: what is sealed must not be the same twice, or the copy by the second
   *   card would be taken for a replay, and that way never be known
   * @param sparing what may be left out; without it, it goes out on every card, by IPv4 and IPv6
   */
  send(data: Uint8Array | (() => Uint8Array), sparing?: Sparing): void {
    for (const { socket, card } of this.#outlets(sparing)) {
      const host = card.family === 4 ? this.#options.group : `${this.#group6}%${card.zone}`;
      this.#sendOn({ socket, card }, typeof data === 'function' ? data() : data, { host, port: this.#options.port });
    }
  }

  /**
   * Sends to everyone by the broadcast address of each IPv4 network.
   * @param data as for `send`
   * @param near only on the cards in whose networks these addresses are; left out, on all
   */
  broadcast(data: Uint8Array | (() => Uint8Array), near?: readonly string[]): void {
    for (const { socket, card } of this.#outlets(near && { six: [] })) {
      const host = broadcastOf(card);
      if (host === undefined || (near && !near.some((one) => isOnLink(card, one)))) continue;
      this.#sendOn({ socket, card }, typeof data === 'function' ? data() : data, { host, port: this.#options.port });
    }
  }

  /** The sockets to speak to everyone by. Without multicast no socket has a card. */
  #outlets(sparing: Sparing | undefined): { socket: SocketAsPromised; card: Card }[] {
    if (this.#closed) return [];
    const cards = [...this.#senders.values()].flatMap(({ card }) => (card ? [card] : []));
    return outlets(cards, sparing, this.#sameLan.spared(performance.now())).flatMap((card) => {
      const sender = this.#senders.get(hostOf(card));
      return sender ? [{ socket: sender.socket, card }] : [];
    });
  }

  /**
   * Sends to one, from the address at which it spoke to us, if it did. What cannot be sent is counted.
   * @param data as for `send`
   * @param everywhere from each of the cards in whose network it is
   */
  reply(data: Uint8Array | (() => Uint8Array), to: UdpAddress, everywhere = false): void {
    if (this.#closed) return;
    const near = everywhere ? [...this.#senders.values()].filter(({ card }) => card && isOnLink(card, to.host)) : [];
    const sender = (to.at !== undefined && this.#senders.get(to.at)) || this.#senderFor(to.host);
    const all = near.length > 0 ? near : sender ? [sender] : [];
    if (all.length === 0) this.#sent.failed++;
    for (const one of all) this.#sendOn(one, typeof data === 'function' ? data() : data, to);
  }

  /** Whether another program holds the group's port, so that what is sent to everyone is not heard. */
  get isTaken(): boolean {
    return this.#group.isTaken;
  }

  /** Own addresses, the most useful first: IPv4, IPv6, link-local with its zone, loopback. */
  addresses(): string[] {
    return [...this.#cards].sort((a, b) => usefulness(a) - usefulness(b)).map(hostOf);
  }

  /**
   * Looks at the cards again: opens and joins on those that came, closes those that went.
   * @returns whether the addresses changed, or those at which it can be spoken
   */
  refresh(): Promise<boolean> {
    // One after another: what changes during one refresh is for the next.
    this.#refreshing = this.#refreshing.then(() => this.#refresh());
    return this.#refreshing;
  }

  /** Closes every socket. Nothing is handed on afterwards. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  /** Looks again, and tells whoever is to know of a change. */
  #follow(): void {
    void this.refresh().then((changed) => {
      if (changed && !this.#closed) this.#options.onChange?.();
    });
  }

  async #close(): Promise<void> {
    this.#unwatch();
    clearTimeout(this.#retry);
    this.#queue.close();
    await this.#refreshing;
    await Promise.all([this.#group.close(), ...[...this.#senders.values()].map(closeUdp)]);
    this.#senders.clear();
  }

  async #refresh(): Promise<boolean> {
    if (this.#closed) return false;
    const before = this.#state();
    this.#cards = this.#listCards();
    const sending = await this.#refreshSenders();
    const receiving = !this.#options.enabled || (await this.#group.refresh(this.#cards));
    if (sending && receiving) this.#retryMs = RETRY_MS;
    else this.#retryLater();
    if (this.#state() === before) return false;
    this.#sameLan.forget();
    return true;
  }

  /** A text that is another when an address, or a socket of one, came or went. */
  #state(): string {
    return [...this.addresses(), ...this.#senders.keys()].join(' ');
  }

  #listCards(): Card[] {
    try {
      return this.#options.cards?.() ?? presentInterfaces(this.#options.interfaces);
    } catch (thrown) {
      // Some systems forbid it (Android): the sockets without a card still work.
      this.#warn('cards', `cannot list the network interfaces: ${asHearsayError(thrown).message}`);
      return [];
    }
  }

  #retryLater(): void {
    if (this.#closed) return;
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#follow(), this.#retryMs).unref();
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MAX_MS);
  }

  /** @returns false where something should be tried again later */
  async #refreshSenders(): Promise<boolean> {
    const wanted = new Map<string, Card | undefined>();
    if (this.#options.enabled) {
      for (const card of this.#cards) if (card.family === 4 || card.zone !== '') wanted.set(hostOf(card), card);
    }
    wanted.set('4', undefined).set('6', undefined);
    for (const [key, sender] of this.#senders) {
      if (wanted.has(key)) continue;
      this.#senders.delete(key);
      await closeUdp(sender);
    }
    let whole = true;
    for (const [key, card] of wanted) {
      if (!this.#senders.has(key) && !(await this.#openSender(key, card))) whole = false;
    }
    return whole;
  }

  async #openSender(key: string, card: Card | undefined): Promise<boolean> {
    const family = card?.family ?? (key === '4' ? 4 : 6);
    const socket = udpSocket({
      family,
      shared: false,
      onDatagram: (data, from) => this.#queue.push(data, card ? { ...from, at: key } : from, false),
      onError: () => {
        this.#senders.delete(key);
        void closeUdp({ socket });
        this.#retryLater();
      },
    });
    try {
      const { port } = await socket.bind(0, card ? hostOf(card) : family === 4 ? '0.0.0.0' : '::');
      if (card) {
        socket.setMulticastInterface(card.family === 4 ? card.address : `::%${card.zone}`);
        socket.setMulticastTTL(HOPS);
        socket.setMulticastLoopback(true);
        if (card.family === 4) socket.setBroadcast(true);
      }
      this.#senders.set(key, { socket, card, port });
      return true;
    } catch (thrown) {
      await closeUdp({ socket });
      // A machine without IPv6 is no fault.
      if (!card) return true;
      // A fresh IPv6 address is not ready for a second (RFC 4862); an address may have gone meanwhile.
      if (errorCode(thrown) !== 'EADDRNOTAVAIL') {
        this.#warn(key, `cannot send from ${hostOf(card)}: ${asHearsayError(thrown).message}`);
      }
      return false;
    }
  }

  #sendOn({ socket, card }: Pick<Sender, 'socket' | 'card'>, data: Uint8Array, to: UdpAddress): void {
    const own = card && hostOf(card);
    socket.send(data, to.port, to.host).then(
      () => {
        this.#sent.sent++;
        if (own !== undefined) this.traffic.sent(own);
      },
      (thrown) => {
        this.#sent.failed++;
        if (own !== undefined) this.traffic.failed(own, errorCode(thrown));
      },
    );
  }

  /** The socket whose network the address is in; else one that leaves the choice of the source to the system. */
  #senderFor(host: string): Sender | undefined {
    for (const sender of this.#senders.values()) if (sender.card && isOnLink(sender.card, host)) return sender;
    return this.#senders.get(isIPv4(host) ? '4' : '6');
  }

  #warn(cause: string, message: string): void {
    if (this.#warned.has(cause)) return;
    this.#warned.add(cause);
    this.#options.onWarning(message);
  }
}
