import { decode, encode } from '../../lib/wire/codec.js';
import type { Message } from '../../lib/wire/table.js';
import type { Host } from './host.js';
import { count, type World } from './world.js';

/** A connection whose packets did not pass for so long breaks. */
const BREAKS = 15_000;
const RETRANSMIT = 200;

/** A message as it crosses: what the other end reads of it, and its bytes. */
interface Crossing {
  message: Message;
  bytes: number;
}

/** Pages with the same offers, which several simulated peers give alike, are encoded and decoded once, by kind. */
const crossings = { D: new WeakMap<object, Crossing>(), r: new WeakMap<object, Crossing>() };

function crossing(message: Message, isLarge: boolean): Crossing {
  const isPage = (message.type === 'D' || message.type === 'r') && message.offers.length > 0;
  const known = isPage ? crossings[message.type].get(message.offers) : undefined;
  if (known) return known;
  const data = encode(message);
  const fresh = { message: isLarge ? message : Object.freeze(decode(data, 'tcp')), bytes: data.length };
  if (isPage) crossings[message.type].set(message.offers, fresh);
  return fresh;
}

/** One reliable connection: in order, without loss, silent while a cable is cut, broken after a while. */
export class Connection {
  readonly a: Host;
  readonly b: Host;
  readonly #world: World;
  readonly #queues: [Message[], Message[]] = [[], []];
  readonly #pumping = [false, false];
  #open = true;
  /** What remains to be done when one end has vanished. */
  #told = true;

  constructor(world: World, a: Host, b: Host) {
    this.#world = world;
    this.a = a;
    this.b = b;
  }

  other(host: Host): Host {
    return host === this.a ? this.b : this.a;
  }

  /** @param number of the request that it answers, where the message was made for several */
  send(from: Host, sent: Message, number?: number): void {
    const { message, bytes } = crossing(sent, this.#world.isLarge);
    this.#world.streamBytes += bytes;
    count(this.#world.streamed, message.type, bytes);
    const way = from === this.a ? 0 : 1;
    const asked = number ?? ('number' in sent ? sent.number : undefined);
    const isOther = 'number' in message && asked !== undefined && message.number !== asked;
    this.#queues[way].push(isOther ? Object.freeze({ ...message, number: asked }) : message);
    if (!this.#pumping[way]) this.#pump(way, this.#world.now);
  }

  #pump(way: 0 | 1, since: number): void {
    this.#pumping[way] = true;
    const [from, to] = way === 0 ? [this.a, this.b] : [this.b, this.a];
    const blocked = !this.#world.passes(from, to) || !this.#world.passes(to, from);
    this.#world.afterAt(blocked ? RETRANSMIT : this.#world.latency(), to, () => {
      if (!this.#open) return;
      if (!this.#world.passes(from, to) || !this.#world.passes(to, from)) {
        if (this.#world.now - since > BREAKS) this.close();
        else this.#pump(way, since);
        return;
      }
      const queue = this.#queues[way];
      for (const message of queue.splice(0)) to.streamed(from, message);
      if (this.#open && queue.length > 0) this.#pump(way, this.#world.now);
      else this.#pumping[way] = false;
    });
  }

  /** Ends it, at both ends. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#world.forget(this);
    this.a.disconnected(this.b);
    this.b.disconnected(this.a);
  }

  get isOpen(): boolean {
    return this.#open;
  }

  /** One end vanishes without a word: the other learns of it when it breaks, or when another takes its place. */
  vanish(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#told = false;
    this.#world.after(BREAKS, () => this.bury());
  }

  /** Tells of the end of a connection of which one end vanished. */
  bury(): void {
    if (this.#told) return;
    this.#told = true;
    this.#world.forget(this);
    this.a.disconnected(this.b);
    this.b.disconnected(this.a);
  }
}
