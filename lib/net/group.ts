/**
 * The receiving side of multicast and broadcast.
 * Owns a socket for the IPv4 group, joined at each address, a socket for each card's IPv6 group, and one for the broadcast
 * address of each IPv4 network, all on the group's port. Always true: a card that is not there any more is not joined.
 * Called by Multicast whenever the cards may have changed.
 */
import type { SocketAsPromised } from 'dgram-as-promised';
import { asHearsayError, HearsayError } from '../errors.js';
import type { UdpAddress } from './datagrams.js';
import { type Card, hostOf } from './interfaces.js';
import { broadcastOf } from './outlets.js';
import { closeUdp, errorCode, udpSocket } from './socket.js';

export interface GroupOptions {
  /** IPv4 multicast address. */
  group: string;
  group6: string;
  port: number;
  onDatagram(data: Buffer, from: UdpAddress): void;
  /** A socket failed; refresh() makes a fresh one. */
  onLost(): void;
  /** @param cause so that each is said once */
  warn(cause: string, message: string): void;
}

export class Group {
  readonly #options: GroupOptions;
  #four: { socket: SocketAsPromised } | undefined;
  /** By zone. */
  readonly #six = new Map<string, { socket: SocketAsPromised }>();
  /** By broadcast address. */
  readonly #broadcasts = new Map<string, { socket: SocketAsPromised }>();
  /** Addresses at which the IPv4 group is joined. */
  readonly #joined = new Set<string>();
  /** Addresses whose port another program holds for itself. */
  readonly #taken = new Set<string>();
  #closed = false;

  constructor(options: GroupOptions) {
    this.#options = options;
  }

  /** Whether another program holds the group's port, as far as was tried. */
  get isTaken(): boolean {
    return this.#taken.size > 0;
  }

  /** Joins at these cards and leaves at all others. @returns false where something should be tried again later */
  async refresh(cards: readonly Card[]): Promise<boolean> {
    // All that is not bound is tried again.
    this.#taken.clear();
    const hosts = new Set(cards.filter((card) => card.family === 4).map(hostOf));
    const zones = new Set(cards.filter((card) => card.zone !== '').map((card) => card.zone));
    for (const [zone, receiver] of this.#six) {
      if (zones.has(zone)) continue;
      this.#six.delete(zone);
      await closeUdp(receiver);
    }
    await this.#refreshBroadcasts(new Set(cards.map(broadcastOf).filter((address) => address !== undefined)));
    let whole = await this.#refresh4(hosts);
    for (const zone of zones) whole = (await this.#refresh6(zone)) && whole;
    return whole;
  }

  async close(): Promise<void> {
    this.#closed = true;
    const all = [...(this.#four ? [this.#four] : []), ...this.#six.values(), ...this.#broadcasts.values()];
    await Promise.all(all.map(closeUdp));
    this.#four = undefined;
    this.#six.clear();
    this.#broadcasts.clear();
  }

  async #refresh4(hosts: ReadonlySet<string>): Promise<boolean> {
    const { group } = this.#options;
    if (hosts.size === 0) {
      // Linux hands a socket also what other sockets of the machine joined: only a closed one is deaf.
      if (this.#four) await closeUdp(this.#four);
      this.#four = undefined;
      return true;
    }
    if (!this.#four) {
      this.#joined.clear();
      this.#four = await this.#bind(4, group, '0.0.0.0', () => {
        this.#four = undefined;
      });
      if (!this.#four) return false;
    }
    const { socket } = this.#four;
    for (const host of this.#joined) {
      if (hosts.has(host)) continue;
      this.#joined.delete(host);
      try {
        socket.dropMembership(group, host);
      } catch {
        // The address has gone, and the membership with it.
      }
    }
    let whole = true;
    for (const host of hosts) {
      if (this.#joined.has(host)) continue;
      if (this.#join(socket, group, host)) this.#joined.add(host);
      else whole = false;
    }
    return whole;
  }

  /** What is broadcast comes to a socket of that address alone; on Windows to the one of the group, which has any address. */
  async #refreshBroadcasts(wanted: ReadonlySet<string>): Promise<void> {
    for (const [address, receiver] of this.#broadcasts) {
      if (wanted.has(address)) continue;
      this.#broadcasts.delete(address);
      await closeUdp(receiver);
    }
    if (process.platform === 'win32') return;
    for (const address of wanted) {
      if (this.#broadcasts.has(address)) continue;
      const receiver = await this.#bind(4, address, undefined, () => this.#broadcasts.delete(address));
      if (receiver) this.#broadcasts.set(address, receiver);
    }
  }

  async #refresh6(zone: string): Promise<boolean> {
    if (this.#six.has(zone)) return true;
    const { group6 } = this.#options;
    const receiver = await this.#bind(6, `${group6}%${zone}`, '::', () => this.#six.delete(zone));
    if (!receiver) return false;
    if (this.#join(receiver.socket, group6, `::%${zone}`)) {
      this.#six.set(zone, receiver);
      return true;
    }
    await closeUdp(receiver);
    return false;
  }

  #join(socket: SocketAsPromised, group: string, at: string): boolean {
    try {
      socket.addMembership(group, at);
      return true;
    } catch (thrown) {
      // A second address of a card that has joined already.
      if (errorCode(thrown) === 'EADDRINUSE') return true;
      // The address has gone meanwhile.
      if (errorCode(thrown) !== 'ENODEV') {
        this.#options.warn(at, `cannot join ${group} at ${at}: ${asHearsayError(thrown).message}`);
      }
      return false;
    }
  }

  /**
   * A socket on the group's port. Bound to the group itself where the system can, so that it gets neither unicast nor
   * groups that other programs joined.
   * @param any what it is bound to where that cannot be; left out, nothing
   */
  async #bind(
    family: 4 | 6,
    group: string,
    any: string | undefined,
    forget: () => void,
  ): Promise<{ socket: SocketAsPromised } | undefined> {
    const { port, onDatagram, warn } = this.#options;
    const addresses = process.platform === 'win32' ? [any] : [group, any];
    for (const address of addresses.filter((one) => one !== undefined)) {
      if (this.#closed) return undefined;
      const socket = udpSocket({
        family,
        shared: true,
        onDatagram,
        onError: () => {
          forget();
          void closeUdp({ socket });
          this.#options.onLost();
        },
      });
      try {
        await socket.bind(port, address);
        return { socket };
      } catch (thrown) {
        await closeUdp({ socket });
        if (errorCode(thrown) === 'EADDRINUSE') {
          this.#taken.add(group);
          const { code, message } = new HearsayError('port-taken', `another program holds UDP port ${port}`);
          const way = 'choose another port with --multicast on all of them, or name one with --join';
          warn(code, `${code}: ${message}, so other peers are not heard by multicast; ${way}`);
          return undefined;
        }
        if (address === any) warn(group, `cannot receive multicast on ${group}: ${asHearsayError(thrown).message}`);
      }
    }
    return undefined;
  }
}
