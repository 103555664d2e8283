/**
 * All UDP: multicast to everyone near, unicast to one.
 * Owns a send socket for each own address, one of each family for what lies beyond, and the receiving sockets. Always
 * true: nothing throws because a link is down; what could not be opened is tried again. Called by the driver of gossip.
 *
 * Why so many sockets: one that is switched between cards sends everything by the last one, as sending is asynchronous;
 * and the group's port is shared by all peers of a machine, so that unicast must come to ports of our own.
 */
import { isIPv4 } from 'node:net';
import type { SocketAsPromised } from 'dgram-as-promised';
import { asHearsayError } from '../errors.js';
import { DatagramQueue, type OnDatagram, type UdpAddress } from './datagrams.js';
import { Group } from './group.js';
import { type Card, hostOf, isOnLink, presentInterfaces, usableInterfaces } from './interfaces.js';
import { closeUdp, errorCode, udpSocket } from './socket.js';

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
  /** False: no multicast at all, neither sent nor received; unicast only. */
  enabled: boolean;
  /** Own multicast is not given. */
  onDatagram: OnDatagram;
  /** Something that a person should know; said once for each cause. */
  onWarning(message: string): void;
  /** Where the list of cards comes from; the system's by default. */
  cards?: () => Card[];
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
  readonly #options: MulticastOptions;
  readonly #group6: string;
  readonly #queue: DatagramQueue;
  readonly #group: Group;
  readonly #sent = { sent: 0, failed: 0 };
  #cards: Card[] = [];
  /** By own address with its zone; '4' and '6' are those without a card. */
  readonly #senders = new Map<string, Sender>();
  readonly #warned = new Set<string>();
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
        if (this.#senders.get(from.host)?.port !== from.port) this.#queue.push(data, from, true);
      },
      onLost: () => this.#retryLater(),
      warn: (cause, message) => this.#warn(cause, message),
    });
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
   * Sends to everyone, on every card. What cannot be sent is counted.
   * @param data a function is asked for each card: what is sealed must not be the same twice, or the copy by the second
   *   card would be taken for a replay, and that way never be known
   */
  send(data: Uint8Array | (() => Uint8Array)): void {
    if (this.#closed) return;
    // Without multicast no socket has a card.
    for (const { socket, card } of this.#senders.values()) {
      if (!card) continue;
      const host = card.family === 4 ? this.#options.group : `${this.#group6}%${card.zone}`;
      this.#sendOn(socket, typeof data === 'function' ? data() : data, { host, port: this.#options.port });
    }
  }

  /** Sends to one. What cannot be sent is counted. */
  reply(data: Uint8Array, to: UdpAddress): void {
    if (this.#closed) return;
    const sender = this.#senderFor(to.host);
    if (sender) this.#sendOn(sender.socket, data, to);
    else this.#sent.failed++;
  }

  /** Own addresses, the most useful first: IPv4, IPv6, link-local with its zone, loopback. */
  addresses(): string[] {
    return [...this.#cards].sort((a, b) => usefulness(a) - usefulness(b)).map(hostOf);
  }

  /**
   * Looks at the cards again: opens and joins on those that came, closes those that went.
   * @returns whether anything changed
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

  async #close(): Promise<void> {
    clearTimeout(this.#retry);
    this.#queue.close();
    await this.#refreshing;
    await Promise.all([this.#group.close(), ...[...this.#senders.values()].map(closeUdp)]);
    this.#senders.clear();
  }

  async #refresh(): Promise<boolean> {
    if (this.#closed) return false;
    const before = this.addresses().join(' ');
    this.#cards = this.#listCards();
    const sending = await this.#refreshSenders();
    const receiving = !this.#options.enabled || (await this.#group.refresh(this.#cards));
    if (sending && receiving) this.#retryMs = RETRY_MS;
    else this.#retryLater();
    return this.addresses().join(' ') !== before;
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
    this.#retry = setTimeout(() => void this.refresh(), this.#retryMs).unref();
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
      onDatagram: (data, from) => this.#queue.push(data, from, false),
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

  #sendOn(socket: SocketAsPromised, data: Uint8Array, to: UdpAddress): void {
    socket.send(data, to.port, to.host).then(
      () => this.#sent.sent++,
      () => this.#sent.failed++,
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
