/**
 * A few cores of gossip on a network in virtual time, of which each hears and says what a test lets it: by multicast, by
 * broadcast, by IPv4 or IPv6. Datagrams to one always arrive; a connection is there as soon as it is dialled.
 * Owns the cores and the clock. Used by ladder.test.ts.
 */
import { seeded } from '../../lib/clock.js';
import { type Effect, type Event, Gossip, type PeerInfo } from '../../lib/gossip/gossip.js';
import { blake3 } from '../../lib/hash.js';
import { type PeerId, peerId } from '../../lib/ids.js';
import { fakeSigner } from '../sim/signer.js';

type Spoken = 'multicast' | 'broadcast';
const BOTH: readonly Spoken[] = ['multicast', 'broadcast'];

export interface NodeOptions {
  hears?: readonly Spoken[];
  says?: readonly Spoken[];
  ip?: string;
  passive?: boolean;
}

export class Node {
  readonly id: PeerId;
  readonly ip: string;
  readonly gossip: Gossip;
  hears: readonly Spoken[];
  says: readonly Spoken[];
  isUp = true;
  /** What went to everyone, and dials, with their times. */
  readonly said: { at: number; effect: Effect }[] = [];

  /** @param epoch counts its runs */
  constructor(
    number: number,
    { hears = BOTH, says = BOTH, ip = `10.0.0.${number}`, passive = false }: NodeOptions,
    epoch = 1,
  ) {
    const key = Uint8Array.from(blake3(`ladder ${number}`));
    const random = seeded(number);
    this.id = peerId(key, 1_700_000_000_000 + number);
    this.ip = ip;
    this.hears = hears;
    this.says = says;
    const port = passive ? 0 : 47748;
    const settings = { id: this.id, key, name: `node ${number}`, port, epoch, passive, tracker: false };
    const bytes16 = () => Uint8Array.from({ length: 16 }, () => Math.floor(random() * 256));
    this.gossip = new Gossip(settings, fakeSigner(key), random, bytes16);
  }

  get address(): string {
    return this.ip.includes(':') ? `[${this.ip}]:47748` : `${this.ip}:47748`;
  }

  knows(other: Node): PeerInfo | undefined {
    return this.gossip.peers().find(({ id }) => id === other.id);
  }

  /** What it said of one kind from a moment on. */
  of<K extends Effect['kind']>(kind: K, from = 0): Extract<Effect, { kind: K }>[] {
    const all = this.said.filter(({ at, effect }) => at >= from && effect.kind === kind);
    return all.map(({ effect }) => effect as Extract<Effect, { kind: K }>);
  }
}

export class Net {
  now = 0;
  readonly nodes: Node[] = [];
  readonly #queue: { at: number; order: number; act: () => void }[] = [];
  #order = 0;

  add(options: NodeOptions = {}): Node {
    const node = new Node(this.nodes.length + 1, options);
    this.nodes.push(node);
    return node;
  }

  /** One that went runs again, as the same peer. */
  back(node: Node, options: NodeOptions): Node {
    node.isUp = false;
    const number = this.nodes.indexOf(node);
    this.nodes[number] = new Node(number + 1, options, 2);
    return this.nodes[number];
  }

  start(...nodes: Node[]): void {
    for (const node of nodes) this.give(node, { kind: 'start' });
  }

  /** Lets time pass. */
  run(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      this.#queue.sort((a, b) => a.at - b.at || a.order - b.order);
      const next = this.#queue[0];
      if (!next || next.at > end) break;
      this.#queue.shift();
      this.now = Math.max(this.now, next.at);
      next.act();
    }
    this.now = end;
  }

  give(node: Node, event: Event): void {
    if (!node.isUp) return;
    for (const effect of node.gossip.handle(event, this.now)) this.#carryOut(node, effect);
  }

  #carryOut(from: Node, effect: Effect): void {
    const port = 5000;
    switch (effect.kind) {
      case 'multicast':
      case 'broadcast': {
        from.said.push({ at: this.now, effect });
        if (!from.says.includes(effect.kind)) return;
        const broadcast = effect.kind === 'broadcast' ? { deaf: effect.deaf } : undefined;
        for (const to of this.nodes) {
          if (to === from || !to.hears.includes(effect.kind) || isSix(to) !== isSix(from)) continue;
          const event = { kind: 'datagram', from: { host: from.ip, port }, multicast: true, broadcast } as const;
          this.#after(1, to, { ...event, message: effect.message });
        }
        return;
      }
      case 'reply': {
        const to = this.nodes.find(({ ip }) => ip === effect.to.host);
        const event = { kind: 'datagram', from: { host: from.ip, port }, multicast: false } as const;
        if (to) this.#after(1, to, { ...event, message: effect.message });
        return;
      }
      case 'tell': {
        const to = this.nodes.find(({ id }) => id === effect.peer);
        if (to) this.#after(1, to, { kind: 'message', peer: from.id, message: effect.message });
        return;
      }
      case 'dial':
        from.said.push({ at: this.now, effect });
        this.#dial(from, effect.peer, effect.addresses);
        return;
      case 'timer':
        this.#after(effect.at - this.now, from, { kind: 'timer', timer: effect.timer });
        return;
      default:
    }
  }

  #dial(from: Node, peer: PeerId, addresses: readonly string[]): void {
    const to = this.nodes.find((node) => node.id === peer && addresses.includes(node.address) && node.isUp);
    if (!to) {
      this.#after(3000, from, { kind: 'dial-failed', peer, address: undefined });
      return;
    }
    for (const [me, other, dialled] of [
      [from, to, true],
      [to, from, false],
    ] as const) {
      const address = { host: other.ip, port: 47748 };
      this.#after(2, me, { kind: 'connected', peer: other.id, ...other.gossip.head(), address, dialled });
    }
  }

  #after(ms: number, node: Node, event: Event): void {
    this.#queue.push({ at: this.now + Math.max(0, ms), order: this.#order++, act: () => this.give(node, event) });
  }
}

function isSix({ ip }: Node): boolean {
  return ip.includes(':');
}
