/**
 * One simulated machine with one peer: the driver of the real gossip core, on a simulated network.
 * Owns the core, its timers and what it told. Always true: a host that is not up neither sends nor hears.
 */
import { type Random, seeded } from '../../lib/clock.js';
import { type Effect, type Event, Gossip, type PeerInfo, type Settings } from '../../lib/gossip/gossip.js';
import { blake3 } from '../../lib/hash.js';
import { type PeerId, peerId } from '../../lib/ids.js';
import type { Offer } from '../../lib/offer.js';
import type { Message, MessageOf } from '../../lib/wire/table.js';
import { fakeSigner } from './signer.js';
import type { World } from './world.js';

export interface HostOptions {
  passive?: boolean;
  /** A one-shot that pulls what changes. */
  follow?: boolean;
  /** Whether multicast reaches it, and goes out from it. */
  multicast?: boolean;
  tracker?: boolean;
  epoch?: number;
  name?: string;
}

const UDP_PORT = 5000;
const TCP_PORT = 47748;

export class Host {
  readonly world: World;
  readonly ip: string;
  readonly id: PeerId;
  readonly key: Uint8Array;
  readonly name: string;
  readonly passive: boolean;
  readonly follow: boolean;
  readonly tracker: boolean;
  multicast: boolean;
  /** What this host shares, as the test wants it: what everyone should come to know. */
  readonly share = new Map<string, Omit<Offer, 'version'>>();
  /** Everything the core told, in order. */
  readonly changes: Extract<Effect, { kind: 'change' }>[] = [];
  readonly comings: { change: 'came' | 'left'; id: PeerId; at: number }[] = [];
  readonly warnings: string[] = [];
  /** What the warnings said. */
  readonly warned: string[] = [];
  gossip: Gossip;
  isUp = false;
  /** Whether the machine is on, so that it answers although no peer runs. */
  hasPower = true;
  epoch: number;
  pulls = 0;
  readonly #random: Random;
  readonly #pending = new Map<number, { from: PeerId; writer: PeerId }>();
  /** Counts runs, so that what was set for an earlier run does nothing. */
  #run = 0;
  #number = 0;

  constructor(world: World, options: HostOptions = {}) {
    this.world = world;
    const n = world.hosts.length + 1;
    this.ip = `10.0.${n >> 8}.${n & 255}`;
    this.name = options.name ?? `host${n}`;
    this.#random = seeded(Math.floor(world.random() * 2 ** 32));
    this.key = Uint8Array.from(blake3(`${world.seed} key ${n}`));
    this.id = peerId(this.key, 1_700_000_000_000 + n);
    this.passive = options.passive ?? false;
    this.follow = options.follow ?? false;
    this.tracker = options.tracker ?? false;
    this.multicast = options.multicast ?? true;
    this.epoch = options.epoch ?? 1;
    this.gossip = this.#core();
    world.hosts.push(this);
  }

  get address(): string {
    return `${this.ip}:${TCP_PORT}`;
  }

  get hearsMulticast(): boolean {
    return this.isUp && this.multicast;
  }

  #core(): Gossip {
    const { id, key, name, passive, follow, tracker, epoch } = this;
    const port = passive ? 0 : TCP_PORT;
    const settings: Settings = { id, key, name, port, epoch, passive, follow, tracker };
    const bytes16 = (): Uint8Array => Uint8Array.from({ length: 16 }, () => Math.floor(this.#random() * 256));
    return new Gossip(settings, fakeSigner(key), this.#random, bytes16);
  }

  start(): void {
    this.isUp = true;
    this.hasPower = true;
    const offers = [...this.share.values()];
    if (offers.length > 0) this.handle({ kind: 'offers', changes: offers });
    this.handle({ kind: 'start' });
  }

  /** Says goodbye and ends. */
  stop(): void {
    this.handle({ kind: 'stop' });
    // What was said goes out before the connections end.
    const run = this.#run;
    this.world.after(10, () => {
      if (run === this.#run) this.kill();
    });
    this.isUp = false;
  }

  /** The process dies: its connections are reset. */
  kill(): void {
    this.isUp = false;
    this.#run++;
    for (const connection of this.world.connectionsOf(this)) connection.close();
  }

  /** The machine loses its power: nobody is told anything. */
  vanish(): void {
    this.isUp = false;
    this.hasPower = false;
    this.#run++;
    for (const connection of this.world.connectionsOf(this)) connection.vanish();
  }

  /** A new run with the same identity and share. */
  restart(epoch = this.gossip.epoch + 1): void {
    this.kill();
    this.epoch = epoch;
    this.#pending.clear();
    this.gossip = this.#core();
    this.start();
  }

  /** Changes the share; a kind of `removed` withdraws. */
  change(...changes: Omit<Offer, 'version'>[]): void {
    for (const change of changes) {
      if (change.kind === 'removed') this.share.delete(change.path);
      else this.share.set(change.path, change);
    }
    if (this.isUp) this.handle({ kind: 'offers', changes });
  }

  handle(event: Event): void {
    for (const effect of this.gossip.handle(event, this.world.now)) this.#carryOut(effect);
  }

  /** As a driver dials a `--join` address. */
  join(other: Host): void {
    this.world.connect(this, other, (connection) => {
      if (!connection && this.isUp) this.world.after(2000, () => this.join(other));
    });
  }

  peer(id: PeerId): PeerInfo | undefined {
    return this.gossip.peers().find((peer) => peer.id === id);
  }

  #carryOut(effect: Effect): void {
    const { world } = this;
    const run = this.#run;
    switch (effect.kind) {
      case 'multicast':
        if (this.multicast) world.send(this, undefined, effect.message);
        break;
      case 'reply': {
        const to = world.hosts.find(({ ip }) => ip === effect.to.host);
        if (to) world.send(this, to, effect.message);
        break;
      }
      case 'tell': {
        const to = this.#hostOf(effect.peer);
        if (to) world.connection(this, to)?.send(this, effect.message);
        break;
      }
      case 'dial':
        this.#dial(effect.peer, effect.addresses);
        break;
      case 'pull':
        this.#pull(effect.from, effect.message);
        break;
      case 'timer':
        world.at(effect.at, () => {
          if (this.isUp && run === this.#run) this.handle({ kind: 'timer', timer: effect.timer });
        });
        break;
      case 'peer':
        this.comings.push({ change: effect.change, id: effect.peer.id, at: world.now });
        break;
      case 'change':
        this.changes.push(effect);
        break;
      case 'warning':
        this.warnings.push(effect.code);
        this.warned.push(effect.message);
        break;
    }
  }

  #hostOf(peer: PeerId): Host | undefined {
    return this.world.hosts.find(({ id }) => id === peer);
  }

  #dial(peer: PeerId, addresses: string[]): void {
    const to = this.world.hosts.find(({ address }) => addresses.includes(address));
    const run = this.#run;
    const fail = (refused = false): void => {
      if (this.isUp && run === this.#run) this.handle({ kind: 'dial-failed', peer, address: undefined, refused });
    };
    if (!to || to.id !== peer) this.world.after(10, fail);
    else this.world.connect(this, to, (connection, refused) => (connection ? undefined : fail(refused)));
  }

  #pull(from: PeerId, message: Omit<MessageOf<'P'>, 'number'>): void {
    this.pulls++;
    const { writer } = message;
    const run = this.#run;
    const fail = (): void => {
      if (this.isUp && run === this.#run) this.handle({ kind: 'pull-failed', from, writer, code: 'unreachable' });
    };
    const to = this.#hostOf(from);
    if (!to || !(this.peer(from)?.addresses.includes(to.address) || this.world.connection(this, to))) {
      this.world.after(10, fail);
      return;
    }
    this.world.connect(this, to, (connection) => {
      if (!connection) fail();
      else if (run === this.#run) {
        const number = ++this.#number;
        this.#pending.set(number, { from, writer });
        connection.send(this, { ...message, number });
      }
    });
  }

  datagram(from: Host, message: Message, multicast: boolean): void {
    // As the driver does: own multicast is not given.
    if (!this.isUp || from === this) return;
    this.handle({ kind: 'datagram', from: { host: from.ip, port: UDP_PORT }, multicast, message });
  }

  connected(other: Host, dialled: boolean): void {
    if (!this.isUp) return;
    const address = { host: other.ip, port: other.passive ? 0 : TCP_PORT };
    this.handle({ kind: 'connected', peer: other.id, ...other.gossip.head(), address, dialled });
  }

  disconnected(other: Host): void {
    if (!this.isUp) return;
    for (const [number, { from, writer }] of this.#pending) {
      if (from !== other.id) continue;
      this.#pending.delete(number);
      this.handle({ kind: 'pull-failed', from, writer, code: 'unreachable' });
    }
    this.handle({ kind: 'disconnected', peer: other.id });
  }

  /** A message over a connection. */
  streamed(from: Host, message: Message): void {
    if (!this.isUp) return;
    if (message.type === 'P') this.#answerPull(from, message);
    else if (message.type === 'D' || message.type === 'E') {
      const pending = this.#pending.get(message.number);
      if (!pending) return;
      if (message.type === 'E' || message.last) this.#pending.delete(message.number);
      if (message.type === 'D') this.handle({ kind: 'delta', ...pending, message });
      else this.handle({ kind: 'pull-failed', ...pending, code: message.code });
    } else this.handle({ kind: 'message', peer: from.id, message });
  }

  #answerPull(to: Host, message: MessageOf<'P'>): void {
    const connection = this.world.connection(this, to);
    const answer = this.gossip.answerPull(message);
    const { number } = message;
    if (Symbol.iterator in answer) for (const page of answer) connection?.send(this, page);
    else connection?.send(this, { type: 'E', number, code: answer.code, id: null, message: '' });
  }
}
