/**
 * One simulated machine with one peer: the driver of the real gossip core, on a simulated network.
 * Owns the core, its timers, its clock and what it told. Always true: a host that is not up neither sends nor hears; the core
 * sees no clock but its host's own, which never goes back.
 */
import { type Random, seeded } from '../../lib/clock.js';
import { type Effect, type Event, Gossip, type PeerInfo, type Settings, type Timer } from '../../lib/gossip/gossip.js';
import { SHELVING, type Shelving } from '../../lib/gossip/shelving.js';
import { blake3 } from '../../lib/hash.js';
import { type PeerId, peerId } from '../../lib/ids.js';
import type { Offer } from '../../lib/offer.js';
import type { Message, MessageOf } from '../../lib/wire/table.js';
import type { Connection } from './connection.js';
import type { Item } from './queue.js';
import { fakeSigner } from './signer.js';
import type { Traffic, World } from './world.js';

export interface HostOptions {
  passive?: boolean;
  /** A one-shot that pulls what changes. */
  follow?: boolean;
  /** Whether multicast reaches it, and goes out from it. */
  multicast?: boolean;
  /** Its multicast goes out, and none reaches it. */
  deaf?: boolean;
  /** Multicast reaches it, and its own reaches nobody. */
  mute?: boolean;
  /** Whether a subnet's broadcast reaches it, and goes out from it. */
  broadcast?: boolean;
  tracker?: boolean;
  epoch?: number;
  name?: string;
  /** Puts something else in place of what the core works out over shelves, as a test does that plants a fault. */
  shelving?: (usual: Shelving) => Shelving;
  /** How its clock runs: milliseconds ahead of the world's, and how many times as fast. */
  clock?: { offset: number; drift: number };
}

/** A driver tells of no shorter time in which it could hear nothing, ms. */
const LATE = 250;
/** Datagrams that wait in the socket of a busy host; more are lost. */
const SOCKET = 400;

type Datagram = Extract<Event, { kind: 'datagram' }>;

const UDP_PORT = 5000;
const TCP_PORT = 47748;

export class Host {
  readonly world: World;
  readonly ip: string;
  /** Where its datagrams come from. */
  readonly endpoint: { host: string; port: number };
  readonly id: PeerId;
  readonly key: Uint8Array;
  readonly name: string;
  readonly passive: boolean;
  readonly follow: boolean;
  readonly tracker: boolean;
  multicast: boolean;
  readonly deaf: boolean;
  readonly mute: boolean;
  readonly broadcast: boolean;
  /** What this host shares, as the test wants it: what everyone should come to know. */
  readonly share = new Map<string, Omit<Offer, 'version'>>();
  /** Everything the core told, in order. */
  readonly changes: Extract<Effect, { kind: 'change' }>[] = [];
  readonly comings: { change: 'came' | 'left'; id: PeerId; at: number }[] = [];
  readonly warnings: string[] = [];
  /** What the warnings said. */
  readonly warned: string[] = [];
  readonly connections = new Map<Host, Connection>();
  /** Those to whom its packets do not pass. */
  readonly cutTo = new Set<Host>();
  /** Datagrams that it sent, by kind. */
  readonly traffic = new Map<string, Traffic>();
  /** Whom it pulled from, and whom it answered, how often. */
  readonly pulledFrom = new Map<Host, number>();
  readonly answered = new Map<Host, number>();
  /** When it was dialled within the last second, and how often in the worst second so far. */
  readonly #dialled: number[] = [];
  dialledMost = 0;
  /** Dials of its own. */
  dials = 0;
  gossip: Gossip;
  isUp = false;
  /** Since when it is up. */
  upSince = Number.NEGATIVE_INFINITY;
  isAsleep = false;
  /** Since when it is awake, and not busy. */
  awakeSince = Number.NEGATIVE_INFINITY;
  /** Whether the machine is on, so that it answers although no peer runs. */
  hasPower = true;
  epoch: number;
  pulls = 0;
  digests = 0;
  /** Peers that it told of, how often. */
  came = 0;
  left = 0;
  readonly #random: Random;
  readonly #pending = new Map<number, { from: PeerId; writer: PeerId }>();
  /** Counts runs, so that what was set for an earlier run does nothing. */
  #run = 0;
  #number = 0;
  /** Digests that are not answered yet, by the number of the request. */
  readonly #asked = new Map<number, { from: PeerId; batch: number }>();
  readonly #shelving: Shelving | undefined;
  #clock: { offset: number; drift: number };
  #shown = Number.NEGATIVE_INFINITY;
  /** What happens to a host that is busy or asleep waits until it is not. */
  #waiting: (() => void)[] | undefined;
  #datagrams = 0;
  #asleepSince = 0;

  constructor(world: World, options: HostOptions = {}) {
    this.world = world;
    const n = world.hosts.length + 1;
    this.ip = `10.0.${n >> 8}.${n & 255}`;
    this.endpoint = Object.freeze({ host: this.ip, port: UDP_PORT });
    this.name = options.name ?? `host${n}`;
    this.#random = seeded(Math.floor(world.random() * 2 ** 32));
    this.key = Uint8Array.from(blake3(`${world.seed} key ${n}`));
    this.id = peerId(this.key, 1_700_000_000_000 + n);
    this.passive = options.passive ?? false;
    this.follow = options.follow ?? false;
    this.tracker = options.tracker ?? false;
    this.multicast = options.multicast ?? true;
    this.deaf = options.deaf ?? false;
    this.mute = options.mute ?? false;
    this.broadcast = options.broadcast ?? false;
    this.epoch = options.epoch ?? 1;
    this.#clock = options.clock ?? { offset: 0, drift: 1 };
    const usual = world.shelving?.port;
    this.#shelving = options.shelving ? options.shelving(usual ?? SHELVING) : usual;
    this.gossip = this.#core();
    world.hosts.push(this);
    world.byIp.set(this.ip, this);
    world.byId.set(this.id, this);
  }

  get address(): string {
    return `${this.ip}:${TCP_PORT}`;
  }

  get hearsMulticast(): boolean {
    return this.isUp && this.multicast && !this.deaf && !this.isAsleep;
  }

  get hearsBroadcast(): boolean {
    return this.isUp && this.broadcast && !this.isAsleep;
  }

  /** Its own clock, which may be wrong, and stand still while it sleeps, but never goes back. */
  get now(): number {
    const { offset, drift } = this.#clock;
    this.#shown = Math.max(this.#shown, this.world.now * drift + offset);
    return this.#shown;
  }

  #core(): Gossip {
    const { id, key, name, passive, follow, tracker, epoch } = this;
    const port = passive ? 0 : TCP_PORT;
    const settings: Settings = { id, key, name, port, epoch, passive, follow, tracker };
    const bytes16 = (): Uint8Array => Uint8Array.from({ length: 16 }, () => Math.floor(this.#random() * 256));
    return new Gossip(settings, fakeSigner(key, this.world.checked), this.#random, bytes16, this.#shelving);
  }

  start(): void {
    this.isUp = true;
    this.upSince = this.world.now;
    this.hasPower = true;
    this.world.trace?.(`${this.name} starts, epoch ${this.gossip.epoch}`);
    const offers = [...this.share.values()];
    if (offers.length > 0) this.handle({ kind: 'offers', changes: offers });
    this.handle({ kind: 'start' });
  }

  /** Says goodbye and ends. */
  stop(): void {
    this.world.trace?.(`${this.name} stops`);
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
    if (this.isUp) this.world.trace?.(`${this.name} is killed`);
    this.#end();
    for (const connection of this.world.connectionsOf(this)) connection.close();
  }

  /** The machine loses its power: nobody is told anything. */
  vanish(): void {
    this.world.trace?.(`${this.name} loses its power`);
    this.#end();
    this.hasPower = false;
    for (const connection of this.world.connectionsOf(this)) connection.vanish();
  }

  #end(): void {
    this.isUp = false;
    this.isAsleep = false;
    this.#waiting = undefined;
    this.#run++;
  }

  /**
   * Closes the lid for a while: nothing is heard, sent or done.
   * @param clock whether its clock goes on meanwhile, or stands still, as it does on some systems
   */
  sleep(milliseconds: number, clock: 'goes' | 'stands' = 'stands'): void {
    if (!this.isUp) return;
    this.world.trace?.(`${this.name} sleeps for ${milliseconds} ms`);
    this.isAsleep = true;
    this.#asleepSince = this.world.now;
    this.#wait(milliseconds, () => {
      this.isAsleep = false;
      this.world.trace?.(`${this.name} wakes`);
      const slept = (this.world.now - this.#asleepSince) * this.#clock.drift;
      if (clock === 'stands') this.#clock = { ...this.#clock, offset: this.#clock.offset - slept };
    });
  }

  /** Whether it is asleep or busy, so that it shakes no hands. */
  get isHeldUp(): boolean {
    return this.#waiting !== undefined;
  }

  /** Does nothing for a while, as if a long computation held up its event loop: what comes waits in its sockets. */
  busy(milliseconds: number): void {
    if (this.isUp && !this.#waiting) this.#wait(milliseconds, () => {});
  }

  #wait(milliseconds: number, then: () => void): void {
    const run = this.#run;
    this.#waiting ??= [];
    this.#datagrams = 0;
    this.world.after(milliseconds, () => {
      if (run !== this.#run) return;
      then();
      this.awakeSince = this.world.now;
      const waiting = this.#waiting ?? [];
      this.#waiting = undefined;
      this.#late(milliseconds);
      for (const each of waiting) each();
    });
  }

  /** As a driver tells its core, whose timers were late. */
  #late(milliseconds: number): void {
    if (milliseconds > LATE) this.handle({ kind: 'lag', ms: milliseconds });
  }

  /** A new run with the same identity and share. */
  restart(epoch = this.gossip.epoch + 1): void {
    this.kill();
    this.epoch = epoch;
    this.#pending.clear();
    this.#asked.clear();
    // A run begins with nothing told.
    this.changes.length = 0;
    this.came = 0;
    this.left = 0;
    this.gossip = this.#core();
    this.start();
  }

  /** Changes the share; a kind of `removed` withdraws. */
  change(...changes: Omit<Offer, 'version'>[]): void {
    for (const change of changes) {
      if (change.kind === 'removed') this.share.delete(change.path);
      else this.share.set(change.path, change);
    }
    this.world.trace?.(`${this.name} changes ${changes.length} of its files`);
    if (this.isUp) this.handle({ kind: 'offers', changes });
  }

  handle(event: Event): void {
    for (const effect of this.gossip.handle(event, this.now)) this.#carryOut(effect);
  }

  /** As a driver dials a `--join` address. */
  join(other: Host): void {
    this.world.connect(this, other, (connection) => {
      if (!connection && this.isUp) this.world.after(2000, () => this.join(other));
    });
  }

  peer(id: PeerId): PeerInfo | undefined {
    return this.gossip.peer(id);
  }

  #carryOut(effect: Effect): void {
    const { world } = this;
    switch (effect.kind) {
      case 'multicast':
        if (this.multicast && !this.mute) world.send(this, undefined, effect.message);
        break;
      case 'broadcast':
        if (this.broadcast) world.send(this, undefined, effect.message, { deaf: effect.deaf });
        break;
      case 'reply': {
        const to = world.byIp.get(effect.to.host);
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
      case 'digest':
        this.#digest(effect);
        break;
      case 'timer': {
        const at = this.dueAt(effect.timer, effect.at);
        world.put(new TimerItem(this, at, this.#toWorld(at), effect.timer, this.#run), this);
        break;
      }
      case 'peer':
        this.#peer(effect);
        break;
      case 'change':
        if (!world.isLarge) this.changes.push(effect);
        for (const watch of world.ofChanges) watch(this, effect);
        break;
      case 'warning':
        this.warnings.push(effect.code);
        this.warned.push(effect.message);
        break;
    }
  }

  #peer({ change, peer: { id, name } }: Extract<Effect, { kind: 'peer' }>): void {
    const { world } = this;
    world.trace?.(`${this.name}: ${name} ${change}`);
    if (!world.isLarge) this.comings.push({ change, id, at: world.now });
    if (change === 'came') this.came++;
    else this.left++;
    for (const watch of world.ofPeers) watch(this, change, world.byId.get(id)!);
  }

  /** When a timer goes off, by its own clock: when the core wants it to. */
  protected dueAt(_timer: Timer, at: number): number {
    return at;
  }

  #toWorld(at: number): number {
    const { offset, drift } = this.#clock;
    return (at - offset) / drift;
  }

  /** A timer's time has come, by the clock as it went when it was set. */
  timer(item: TimerItem): void {
    if (!this.isUp || item.runNumber !== this.#run) return;
    if (this.#waiting) {
      this.#waiting.push(() => this.timer(item));
      return;
    }
    const at = this.#toWorld(item.local);
    if (at > this.world.now + 1) {
      item.at = at;
      this.world.put(item, this);
    } else this.handle({ kind: 'timer', timer: item.timer });
  }

  #hostOf(peer: PeerId): Host | undefined {
    return this.world.byId.get(peer);
  }

  /** Somebody knocks. */
  dialled(by: Host): void {
    by.dials++;
    const { now } = this.world;
    while (this.#dialled.length > 0 && now - this.#dialled[0] >= 1000) this.#dialled.shift();
    this.#dialled.push(now);
    this.dialledMost = Math.max(this.dialledMost, this.#dialled.length);
  }

  #dial(peer: PeerId, addresses: string[]): void {
    const to = addresses
      .map((address) => this.world.byIp.get(address.slice(0, address.lastIndexOf(':'))))
      .find(Boolean);
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
    this.#ask(from, fail, (connection) => {
      const number = ++this.#number;
      this.#pending.set(number, { from, writer });
      connection.send(this, { ...message, number });
    });
  }

  #digest({ batch, from, message }: Extract<Effect, { kind: 'digest' }>): void {
    this.digests++;
    const run = this.#run;
    const fail = (): void => {
      if (this.isUp && run === this.#run) this.handle({ kind: 'digest-over', batch, ok: false });
    };
    this.#ask(from, fail, (connection) => {
      const number = ++this.#number;
      this.#asked.set(number, { from, batch });
      connection.send(this, { ...message, number });
    });
  }

  /** Connects with one of whom offers are asked for, where it is known how. */
  #ask(from: PeerId, fail: () => void, send: (connection: Connection) => void): void {
    const run = this.#run;
    const to = this.#hostOf(from);
    if (!to || !(this.peer(from)?.addresses.includes(to.address) || this.world.connection(this, to))) {
      this.world.after(10, fail);
      return;
    }
    tally(this.pulledFrom, to);
    this.world.connect(this, to, (connection) => {
      if (!connection) fail();
      else if (run === this.#run) send(connection);
    });
  }

  datagram(event: Datagram): void {
    if (!this.isUp || this.isAsleep) return;
    if (!this.#waiting) this.handle(event);
    else if (this.#datagrams++ < SOCKET) this.#waiting.push(() => this.datagram(event));
  }

  connected(other: Host, dialled: boolean): void {
    if (!this.isUp) return;
    if (this.#waiting) {
      this.#waiting.push(() => this.connected(other, dialled));
      return;
    }
    const address = { host: other.ip, port: other.passive ? 0 : TCP_PORT };
    this.handle({ kind: 'connected', peer: other.id, ...other.gossip.head(), address, dialled });
  }

  disconnected(other: Host): void {
    if (!this.isUp) return;
    if (this.#waiting) {
      this.#waiting.push(() => this.disconnected(other));
      return;
    }
    for (const [number, { from, writer }] of this.#pending) {
      if (from !== other.id) continue;
      this.#pending.delete(number);
      this.handle({ kind: 'pull-failed', from, writer, code: 'unreachable' });
    }
    for (const [number, { from, batch }] of this.#asked) {
      if (from !== other.id) continue;
      this.#asked.delete(number);
      this.handle({ kind: 'digest-over', batch, ok: false });
    }
    this.handle({ kind: 'disconnected', peer: other.id });
  }

  /** A message over a connection. */
  streamed(from: Host, message: Message): void {
    if (!this.isUp) return;
    if (this.#waiting) {
      this.#waiting.push(() => this.streamed(from, message));
      return;
    }
    if (message.type === 'P') this.#answerPull(from, message);
    else if (message.type === 'b') this.#answerDigest(from, message);
    else if (message.type === 'r') {
      const asked = this.#asked.get(message.number);
      if (asked) this.handle({ kind: 'newer', batch: asked.batch, message });
    } else if (message.type === 'E' && this.#asked.has(message.number)) {
      const { batch } = this.#asked.get(message.number)!;
      this.#asked.delete(message.number);
      this.handle({ kind: 'digest-over', batch, ok: message.code === '' });
    } else if (message.type === 'D' || message.type === 'E') {
      const pending = this.#pending.get(message.number);
      if (!pending) return;
      if (message.type === 'E' || message.last) this.#pending.delete(message.number);
      if (message.type === 'D') this.handle({ kind: 'delta', ...pending, message });
      else this.handle({ kind: 'pull-failed', ...pending, code: message.code });
    } else this.handle({ kind: 'message', peer: from.id, message });
  }

  #answerDigest(to: Host, message: MessageOf<'b'>): void {
    tally(this.answered, to);
    const connection = this.world.connection(this, to);
    for (const page of this.gossip.answerDigest(message)) connection?.send(this, page, message.number);
  }

  #answerPull(to: Host, message: MessageOf<'P'>): void {
    const connection = this.world.connection(this, to);
    const answer = this.gossip.answerPull(message);
    const { number } = message;
    tally(this.answered, to);
    if (Symbol.iterator in answer) for (const page of answer) connection?.send(this, page, number);
    else connection?.send(this, { type: 'E', number, code: answer.code, id: null, message: '' });
  }
}

/** A timer of a host's core, without a function of its own: there are millions. */
class TimerItem implements Item {
  at: number;
  order = 0;
  readonly #host: Host;

  /** @param local when it is due by the host's clock @param runNumber of the run that set it */
  constructor(
    host: Host,
    readonly local: number,
    at: number,
    readonly timer: Timer,
    readonly runNumber: number,
  ) {
    this.#host = host;
    this.at = at;
  }

  run(): void {
    this.#host.timer(this);
  }
}

function tally(all: Map<Host, number>, host: Host): void {
  all.set(host, (all.get(host) ?? 0) + 1);
}
