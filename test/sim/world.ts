/**
 * A network in one process: a virtual clock, hosts, datagrams that are lost, doubled, delayed and reordered, connections that
 * are not, cables that are cut. Everything is drawn from one seed.
 * Always true: every message is really encoded, and but in a large world decoded, once, and all who get it share what came out;
 * what a datagram costs is counted with its UDP and IP headers. In a large world all that happens to hosts happens in ticks.
 */
import { type Random, seeded } from '../../lib/clock.js';
import type { Broadcast, Effect } from '../../lib/gossip/events.js';
import type { PeerId } from '../../lib/ids.js';
import { DATAGRAM_MAX } from '../../lib/limits.js';
import { decode, encode } from '../../lib/wire/codec.js';
import type { Message } from '../../lib/wire/table.js';
import { Connection } from './connection.js';
import type { Host } from './host.js';
import { type Item, Queue } from './queue.js';
import { SharedShelving } from './shared-shelving.js';
import { Checked } from './signer.js';
import { Ticks } from './ticks.js';

/** What is drawn for the time of a packet, in steps of this: those who get a datagram in the same step get it together. */
const STEP = 0.25;
/** Of IPv4 and UDP. */
export const HEADERS = 28;

export interface WorldOptions {
  seed: number;
  /** Share of datagrams lost, on each way to each receiver. */
  loss?: number;
  /** Share of datagrams that arrive twice. */
  doubled?: number;
  /** Milliseconds that a packet takes, at least and at most. What is sent later may so arrive earlier. */
  latency?: [number, number];
  /** Keeps every datagram in `sent`; by default where it is not large. */
  record?: boolean;
  /** For speed: what one peer worked out of another's offers and heads, those who would work out the same are given. */
  shared?: boolean;
  /** For size: the same, and hosts keep nothing of what they told, and messages are not decoded. */
  large?: boolean;
  /** Told of what happens, where somebody wants to see it. */
  trace?: (line: string) => void;
}

/** One datagram as it went out. */
export interface Sent {
  at: number;
  from: Host;
  to: Host | undefined;
  message: Message;
  bytes: number;
}

/** Hears what hosts tell of others, and which hosts there are. */
export interface Watcher {
  peer?: (host: Host, change: 'came' | 'left', other: Host) => void;
  change?: (host: Host, change: Extract<Effect, { kind: 'change' }>) => void;
  /** All hosts that are up were seen to agree. */
  agreed?: () => void;
}

/** Counts of what went out; one that is multicast counts once, as on a LAN. */
export interface Traffic {
  datagrams: number;
  /** With their headers. */
  bytes: number;
}

export class World {
  readonly seed: number;
  readonly random: Random;
  readonly hosts: Host[] = [];
  readonly byIp = new Map<string, Host>();
  readonly byId = new Map<PeerId, Host>();
  readonly isLarge: boolean;
  readonly shelving: SharedShelving | undefined;
  readonly checked: Checked | undefined;
  readonly trace: ((line: string) => void) | undefined;
  /** When the world began. */
  readonly begin = 1_000_000;
  now = this.begin;
  /** Datagrams of each kind. */
  readonly traffic = new Map<string, Traffic>();
  /** Bytes sent over connections. */
  streamBytes = 0;
  /** Messages sent over connections, by kind. */
  readonly streamed = new Map<string, Traffic>();
  /** Connections begun. */
  dials = 0;
  /** When cables were cut or made whole last. */
  healedAt = Number.NEGATIVE_INFINITY;
  /** Who wants to hear what hosts tell, as invariants do. */
  readonly #watchers: Watcher[] = [];
  readonly ofPeers: NonNullable<Watcher['peer']>[] = [];
  readonly ofChanges: NonNullable<Watcher['change']>[] = [];
  /** What an invariant that watches found wrong, first. */
  wrong: string | undefined;
  readonly #record: Sent[] | undefined;
  /** Share of datagrams lost. */
  loss: number;
  readonly #doubled: number;
  readonly #latency: [number, number];
  readonly #queue = new Queue();
  readonly #ticks: Ticks | undefined;

  constructor(options: WorldOptions) {
    this.seed = options.seed;
    this.random = seeded(options.seed);
    this.loss = options.loss ?? 0;
    this.#doubled = options.doubled ?? 0;
    this.#latency = options.latency ?? [0.2, 3];
    this.#record = (options.record ?? !options.large) ? [] : undefined;
    this.isLarge = options.large ?? false;
    const isShared = options.shared ?? this.isLarge;
    this.shelving = isShared ? new SharedShelving() : undefined;
    this.checked = isShared ? new Checked() : undefined;
    this.trace = options.trace;
    this.#ticks = this.isLarge ? new Ticks(this.hosts, (when, run) => this.at(when, run)) : undefined;
  }

  /** Datagrams sent so far; one that is multicast counts once, as on a LAN. */
  get sent(): Sent[] {
    if (!this.#record) throw new Error('this world records nothing');
    return this.#record;
  }

  at(when: number, run: () => void): void {
    this.#queue.add(Math.max(when, this.now), run);
  }

  after(delay: number, run: () => void): void {
    this.at(this.now + delay, run);
  }

  /** Has a timer of a host run. */
  put(item: Item, host: Host): void {
    if (item.at < this.now) item.at = this.now;
    if (this.#ticks) this.#ticks.put(item.at, host, item);
    else this.#queue.put(item);
  }

  /** Has something happen to a host after some time. */
  afterAt(delay: number, host: Host, run: () => void): void {
    if (this.#ticks) this.#ticks.put(this.now + delay, host, { run });
    else this.after(delay, run);
  }

  latency(): number {
    const [least, most] = this.#latency;
    return least + this.random() * (most - least);
  }

  setLoss(loss: number): void {
    this.loss = loss;
  }

  /** Lets time pass. */
  run(milliseconds: number): void {
    const end = this.now + milliseconds;
    while (this.#queue.nextAt <= end) this.#step();
    this.now = end;
  }

  /**
   * Lets time pass until something holds.
   * @param every how often it is looked whether it does
   * @returns the milliseconds that it took, or undefined if it did not in time
   */
  runUntil(holds: () => boolean, most: number, every = 50): number | undefined {
    const begin = this.now;
    while (!holds()) {
      if (this.now - begin >= most) return undefined;
      this.run(every);
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
    for (const a of from) for (const b of to) if (a !== b) a.cutTo.add(b);
    this.healedAt = this.now;
  }

  /** Stops packets between two sets, both ways. */
  part(some: Host[], others: Host[]): void {
    this.cut(some, others);
    this.cut(others, some);
  }

  /** All cables whole again. */
  heal(): void {
    for (const host of this.hosts) host.cutTo.clear();
    this.healedAt = this.now;
  }

  passes(from: Host, to: Host): boolean {
    return !from.isAsleep && !to.isAsleep && (from.cutTo.size === 0 || !from.cutTo.has(to));
  }

  /**
   * Sends a datagram to one host, or to all who are in the group.
   * @param broadcast where it goes to all of the subnet in place of the group
   */
  send(from: Host, to: Host | undefined, message: Message, broadcast?: Broadcast): void {
    const data = encode(message);
    if (data.length > DATAGRAM_MAX) throw new Error(`a datagram of ${data.length} bytes`);
    this.#record?.push({ at: this.now, from, to, message, bytes: data.length });
    this.trace?.(`${from.name} -> ${to?.name ?? 'all'} ${message.type} ${data.length} bytes`);
    count(this.traffic, message.type, data.length + HEADERS);
    count(from.traffic, message.type, data.length + HEADERS);
    // What a large world says is as small ones say it, where it is read.
    const decoded = this.isLarge ? message : Object.freeze(decode(data, 'udp'));
    const event = {
      kind: 'datagram',
      from: from.endpoint,
      multicast: to === undefined,
      broadcast,
      message: decoded,
    } as const;
    if (this.#ticks) {
      this.#sendInTicks(this.#ticks, from, to, event);
      return;
    }
    /** Those who get it, by the step in which they do. */
    const arrivals = new Map<number, Host[]>();
    const draw = (host: Host): void => {
      if (host === from || this.random() < this.loss) return;
      const copies = this.#doubled > 0 && this.random() < this.#doubled ? 2 : 1;
      for (let i = 0; i < copies; i++) {
        const step = Math.ceil(this.latency() / STEP);
        const others = arrivals.get(step);
        if (others) others.push(host);
        else arrivals.set(step, [host]);
      }
    };
    if (to) draw(to);
    else for (const host of this.hosts) if (broadcast ? host.hearsBroadcast : host.hearsMulticast) draw(host);
    for (const [step, hosts] of arrivals) {
      this.after(step * STEP, () => {
        for (const host of hosts) if (this.passes(from, host)) host.datagram(event);
      });
    }
  }

  /** The same in a large world: who is reached is drawn when it comes. */
  #sendInTicks(ticks: Ticks, from: Host, to: Host | undefined, event: Parameters<Host['datagram']>[0]): void {
    const when = this.now + this.latency();
    const reach = (host: Host): void => {
      if (this.random() < this.loss || !this.passes(from, host)) return;
      host.datagram(event);
      if (this.#doubled > 0 && this.random() < this.#doubled) host.datagram(event);
    };
    if (to) ticks.put(when, to, { run: () => reach(to) });
    else {
      const hears = event.broadcast ? (host: Host) => host.hearsBroadcast : (host: Host) => host.hearsMulticast;
      ticks.putToAll(when, { from, hears, reach });
    }
  }

  /** Bytes of datagrams from a moment on, of those that fit. */
  bytesSince(at: number, fits: (sent: Sent) => boolean = () => true): number {
    let sum = 0;
    for (const sent of this.sent) if (sent.at >= at && fits(sent)) sum += sent.bytes;
    return sum;
  }

  /** Bytes of all datagrams so far, with their headers. */
  get datagramBytes(): number {
    let sum = 0;
    for (const { bytes } of this.traffic.values()) sum += bytes;
    return sum;
  }

  connection(a: Host, b: Host): Connection | undefined {
    const connection = a.connections.get(b);
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
    b.dialled(a);
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
      if (!b.isUp || b.isHeldUp || !passes) {
        this.after(1000, () => done(undefined));
        return;
      }
      a.connections.get(b)?.bury();
      const connection = new Connection(this, a, b);
      a.connections.set(b, connection);
      b.connections.set(a, connection);
      a.connected(b, true);
      b.connected(a, false);
      done(connection);
    });
  }

  /** Takes a connection out; both ends have been told or will be. */
  forget(connection: Connection): void {
    const { a, b } = connection;
    if (a.connections.get(b) === connection) a.connections.delete(b);
    if (b.connections.get(a) === connection) b.connections.delete(a);
  }

  /** Connections of one host. */
  connectionsOf(host: Host): Connection[] {
    return [...host.connections.values()];
  }

  watch(watcher: Watcher): void {
    this.#watchers.push(watcher);
    if (watcher.peer) this.ofPeers.push(watcher.peer);
    if (watcher.change) this.ofChanges.push(watcher.change);
  }

  /** All hosts that are up were seen to agree. */
  agreed(): void {
    for (const watcher of this.#watchers) watcher.agreed?.();
  }

  /** Says what an invariant found wrong; the first is kept. */
  blame(what: string): void {
    this.wrong ??= `at ${Math.round(this.now - this.begin)} ms: ${what}`;
    this.trace?.(`WRONG: ${what}`);
  }
}

/** Counts one message of a kind. */
export function count(all: Map<string, Traffic>, kind: string, bytes: number): void {
  const known = all.get(kind);
  if (known) {
    known.datagrams++;
    known.bytes += bytes;
  } else all.set(kind, { datagrams: 1, bytes });
}
