/**
 * A network in one process: a virtual clock, hosts, datagrams that are lost, doubled, delayed and reordered, connections that
 * are not, cables that are cut. Everything is drawn from one seed. Every message is really encoded and decoded.
 */
import { type Random, seeded } from '../../lib/clock.js';
import { DATAGRAM_MAX } from '../../lib/limits.js';
import { decode, encode } from '../../lib/wire/codec.js';
import type { Message } from '../../lib/wire/table.js';
import { Connection } from './connection.js';
import type { Host } from './host.js';
import { Queue } from './queue.js';

export interface WorldOptions {
  seed: number;
  /** Share of datagrams lost, on each way to each receiver. */
  loss?: number;
  /** Share of datagrams that arrive twice. */
  doubled?: number;
  /** Milliseconds that a packet takes, at least and at most. What is sent later may so arrive earlier. */
  latency?: [number, number];
}

/** One datagram as it went out. */
export interface Sent {
  at: number;
  from: Host;
  to: Host | undefined;
  message: Message;
  bytes: number;
}

export class World {
  readonly seed: number;
  readonly random: Random;
  readonly hosts: Host[] = [];
  now = 1_000_000;
  /** Datagrams sent so far; one that is multicast counts once, as on a LAN. */
  readonly sent: Sent[] = [];
  /** Bytes sent over connections. */
  streamBytes = 0;
  /** Connections begun. */
  dials = 0;
  readonly #loss: number;
  readonly #doubled: number;
  readonly #latency: [number, number];
  readonly #queue = new Queue();
  readonly #connections = new Map<string, Connection>();
  /** Pairs whose packets do not pass, from one to the other. */
  readonly #cuts = new Set<string>();

  constructor(options: WorldOptions) {
    this.seed = options.seed;
    this.random = seeded(options.seed);
    this.#loss = options.loss ?? 0;
    this.#doubled = options.doubled ?? 0;
    this.#latency = options.latency ?? [0.2, 3];
  }

  at(when: number, run: () => void): void {
    this.#queue.add(Math.max(when, this.now), run);
  }

  after(delay: number, run: () => void): void {
    this.at(this.now + delay, run);
  }

  latency(): number {
    const [least, most] = this.#latency;
    return least + this.random() * (most - least);
  }

  /** Lets time pass. */
  run(milliseconds: number): void {
    const end = this.now + milliseconds;
    while (this.#queue.nextAt <= end) this.#step();
    this.now = end;
  }

  /** Lets time pass until something holds. @returns the milliseconds that it took, or undefined if it did not in time */
  runUntil(holds: () => boolean, most: number): number | undefined {
    const begin = this.now;
    while (!holds()) {
      if (this.now - begin >= most) return undefined;
      this.run(50);
    }
    return this.now - begin;
  }

  #step(): void {
    const item = this.#queue.take()!;
    this.now = item.at;
    item.run();
  }

  /** Stops packets from every host of one set to every host of another. */
  cut(from: Iterable<Host>, to: Iterable<Host>): void {
    for (const a of from) for (const b of to) if (a !== b) this.#cuts.add(`${a.ip} ${b.ip}`);
  }

  /** Stops packets between two sets, both ways. */
  part(some: Host[], others: Host[]): void {
    this.cut(some, others);
    this.cut(others, some);
  }

  /** All cables whole again. */
  heal(): void {
    this.#cuts.clear();
  }

  passes(from: Host, to: Host): boolean {
    return !this.#cuts.has(`${from.ip} ${to.ip}`);
  }

  /** Sends a datagram to one host, or to all who are in the group. */
  send(from: Host, to: Host | undefined, message: Message): void {
    const data = encode(message);
    if (data.length > DATAGRAM_MAX) throw new Error(`a datagram of ${data.length} bytes`);
    this.sent.push({ at: this.now, from, to, message, bytes: data.length });
    const multicast = to === undefined;
    const receivers = to ? [to] : this.hosts.filter((host) => host.hearsMulticast);
    for (const host of receivers) {
      if (this.random() < this.#loss && host !== from) continue;
      const copies = this.random() < this.#doubled ? 2 : 1;
      for (let i = 0; i < copies; i++) {
        this.after(this.latency(), () => {
          if (this.passes(from, host)) host.datagram(from, decode(data, 'udp'), multicast);
        });
      }
    }
  }

  /** Bytes of datagrams from a moment on, of those that fit. */
  bytesSince(at: number, fits: (sent: Sent) => boolean = () => true): number {
    let sum = 0;
    for (const sent of this.sent) if (sent.at >= at && fits(sent)) sum += sent.bytes;
    return sum;
  }

  connection(a: Host, b: Host): Connection | undefined {
    const connection = this.#connections.get(pairOf(a, b));
    return connection?.isOpen ? connection : undefined;
  }

  /**
   * Connects two hosts: a round trip for TCP, one for the handshake. Of two who dial at once, one connection remains.
   * @param done called with the connection, or without where none could be made; `refused`: its machine says that nobody listens
   */
  connect(a: Host, b: Host, done: (connection: Connection | undefined, refused?: boolean) => void): void {
    const open = this.connection(a, b);
    if (open) {
      done(open);
      return;
    }
    this.dials++;
    const ways = this.latency() + this.latency() + this.latency() + this.latency();
    this.after(ways, () => {
      const already = this.connection(a, b);
      if (already || !a.isUp) {
        done(already);
        return;
      }
      const passes = this.passes(a, b) && this.passes(b, a);
      if (!b.isUp && b.hasPower && passes) {
        done(undefined, true);
        return;
      }
      if (!b.isUp || !passes) {
        this.after(1000, () => done(undefined));
        return;
      }
      this.#connections.get(pairOf(a, b))?.bury();
      const connection = new Connection(this, a, b);
      this.#connections.set(pairOf(a, b), connection);
      a.connected(b, true);
      b.connected(a, false);
      done(connection);
    });
  }

  /** Takes a connection out; both ends have been told or will be. */
  forget(connection: Connection): void {
    const pair = pairOf(connection.a, connection.b);
    if (this.#connections.get(pair) === connection) this.#connections.delete(pair);
  }

  /** Connections of one host. */
  connectionsOf(host: Host): Connection[] {
    return [...this.#connections.values()].filter(({ a, b }) => a === host || b === host);
  }
}

function pairOf(a: Host, b: Host): string {
  return a.ip < b.ip ? `${a.ip} ${b.ip}` : `${b.ip} ${a.ip}`;
}
