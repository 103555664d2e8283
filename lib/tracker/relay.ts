/**
 * The relay: tunnels between peers that cannot dial each other, and both reach this one. Pure.
 *
 * Owns the tunnels and how many bytes each side may send. Always true: there are at most `most.all` of them, `most.ofOne` over
 * one connection, and `most.ofAddress` that those of one address asked for; what waits here for a slow reader is never more than it allowed, nor than its connection's part of ROOM, so
 * that a tunnel costs bounded memory and none cuts off the connection that it goes over; a side that sends more than it was
 * allowed breaks the protocol. It can read nothing: within, the two speak TLS with each other. Called by drive/tunnels.
 */
import type { Millis } from '../clock.js';
import { type Code, HearsayError } from '../errors.js';
import type { PeerId } from '../ids.js';
import {
  TUNNEL_IDLE_MS,
  TUNNEL_WINDOW,
  TUNNELS_MAX,
  TUNNELS_PER_ADDRESS_MAX,
  TUNNELS_PER_LINK_MAX,
} from '../limits.js';
import type { Message, MessageOf } from '../wire/table.js';

/** Bytes of all tunnels over one connection that may wait to be sent, as far as each has SLICE at least. */
const ROOM = TUNNEL_WINDOW;
const SLICE = 128 * 1024;

/** How many tunnels there may be; see limits.ts. */
export interface RelayMost {
  all: number;
  ofOne: number;
  ofAddress: number;
}

const MOST: RelayMost = { all: TUNNELS_MAX, ofOne: TUNNELS_PER_LINK_MAX, ofAddress: TUNNELS_PER_ADDRESS_MAX };

/** What is said of a tunnel that is there. */
export type TunnelWord = Extract<Message, { type: 'd' | 'w' | 'e' }>;

/** What is to be done. `L` is a connection as the driver has it. */
export type RelayEffect<L> =
  | { kind: 'send'; link: L; message: MessageOf<'t'> | TunnelWord }
  /** Find or make a connection to a peer that is not a tunnel itself: `reached`. */
  | { kind: 'connect'; tunnel: Tunnel<L>; peer: PeerId };

/** One side of a tunnel. */
interface Side<L> {
  link: L;
  /** Its number over that connection, and whether we chose it. */
  number: number;
  ours: boolean;
  /** Bytes that it allowed, and that were not handed on to the other side. */
  spare: number;
  /** Bytes that were handed on, and that it has not taken: what may wait for it here. */
  lent: number;
  /** Bytes that it may send. */
  allowed: number;
  /** Whether it has said how much it takes at all. */
  isOpen: boolean;
}

export interface Tunnel<L> {
  readonly from: Side<L>;
  /** Undefined until it is reached. */
  to: Side<L> | undefined;
  usedAt: Millis;
  over: boolean;
}

export class Relay<L> {
  readonly #most: RelayMost;
  /** By connection, then by who chose the number and the number. */
  readonly #byLink = new Map<L, Map<string, Tunnel<L>>>();
  readonly #all = new Set<Tunnel<L>>();
  readonly #number: () => number;
  readonly #addressOf: ((link: L) => string) | undefined;

  /**
   * @param number a number that is free on every connection
   * @param addressOf where a connection comes from
   */
  constructor(number: () => number, most: RelayMost = MOST, addressOf?: (link: L) => string) {
    this.#number = number;
    this.#most = most;
    this.#addressOf = addressOf;
  }

  get size(): number {
    return this.#all.size;
  }

  /** How many go over a connection. */
  over(link: L): number {
    return this.#byLink.get(link)?.size ?? 0;
  }

  /** A peer asks for a tunnel. @throws HearsayError `bad-message` where it has one of that number */
  open(link: L, { number, to }: MessageOf<'t'>, now: Millis): RelayEffect<L>[] {
    if (this.#find(link, number, false)) throw new HearsayError('bad-message', 'two tunnels of one number');
    const isFull = this.#all.size >= this.#most.all || this.over(link) >= this.#most.ofOne;
    if (isFull || this.#from(link) >= this.#most.ofAddress) {
      return [endOf({ link, number, ours: false }, 'limit')];
    }
    const from: Side<L> = { link, number, ours: false, spare: 0, lent: 0, allowed: 0, isOpen: false };
    const tunnel: Tunnel<L> = { from, to: undefined, usedAt: now, over: false };
    this.#all.add(tunnel);
    this.#enter(tunnel, from);
    return [{ kind: 'connect', tunnel, peer: to }];
  }

  /** The outcome of `connect`. @param ask what the far side is told */
  reached(tunnel: Tunnel<L>, link: L | undefined, ask: { from: PeerId; to: PeerId }, code: Code): RelayEffect<L>[] {
    if (tunnel.over) return [];
    if (link === undefined) return this.#end(tunnel, code);
    if (this.over(link) >= this.#most.ofOne) return this.#end(tunnel, 'limit');
    const number = this.#number();
    const to: Side<L> = { link, number, ours: true, spare: 0, lent: 0, allowed: 0, isOpen: false };
    tunnel.to = to;
    this.#enter(tunnel, to);
    return [{ kind: 'send', link, message: { type: 't', number, ...ask } }, ...this.#lend(tunnel.from, to)];
  }

  /**
   * `d`, `w` or `e` over a connection.
   * @returns undefined where it belongs to no tunnel here
   * @throws HearsayError `bad-message` where more is sent than was allowed
   */
  take(link: L, message: TunnelWord, now: Millis): RelayEffect<L>[] | undefined {
    const tunnel = this.#find(link, message.number, !message.opener);
    if (!tunnel) return undefined;
    const isFrom =
      tunnel.from.link === link && tunnel.from.number === message.number && !tunnel.from.ours === message.opener;
    const [mine, other] = isFrom ? [tunnel.from, tunnel.to] : [tunnel.to as Side<L>, tunnel.from];
    if (message.type === 'e') return this.#end(tunnel, message.code === '' ? '' : 'cancelled', mine);
    tunnel.usedAt = now;
    if (message.type === 'w') {
      // The first says how much it takes at a time, the others what it has taken.
      if (mine.isOpen) mine.lent = Math.max(0, mine.lent - message.bytes);
      mine.isOpen = true;
      mine.spare += message.bytes;
      return other ? this.#lend(mine, other) : [];
    }
    if (!other || message.data.length > mine.allowed) {
      throw new HearsayError('bad-message', 'more through a tunnel than was allowed');
    }
    mine.allowed -= message.data.length;
    const { number, ours: opener } = other;
    return [{ kind: 'send', link: other.link, message: { type: 'd', number, opener, data: message.data } }];
  }

  /** A connection ended. */
  broken(link: L): RelayEffect<L>[] {
    const tunnels = [...(this.#byLink.get(link)?.values() ?? [])];
    return tunnels.flatMap((tunnel) =>
      this.#end(tunnel, 'unreachable', tunnel.from.link === link ? tunnel.from : tunnel.to),
    );
  }

  /** Ends those through which nothing has passed for long. */
  sweep(now: Millis): RelayEffect<L>[] {
    const idle = [...this.#all].filter(({ usedAt }) => now - usedAt > TUNNEL_IDLE_MS);
    return idle.flatMap((tunnel) => this.#end(tunnel, 'timeout'));
  }

  /** Hands on what one side allows to the other, as far as there is room for it here. */
  #lend(side: Side<L>, other: Side<L>): RelayEffect<L>[] {
    const room = Math.max(SLICE, ROOM / this.over(side.link)) - side.lent;
    const bytes = Math.floor(Math.min(side.spare, room));
    if (bytes <= 0) return [];
    side.spare -= bytes;
    side.lent += bytes;
    other.allowed += bytes;
    const { link, number, ours: opener } = other;
    return [{ kind: 'send', link, message: { type: 'w', number, opener, bytes } }];
  }

  /** How many those of a connection's address asked for. */
  #from(link: L): number {
    const address = this.#addressOf?.(link);
    if (address === undefined) return 0;
    return [...this.#all].filter(({ from }) => this.#addressOf?.(from.link) === address).length;
  }

  #enter(tunnel: Tunnel<L>, { link, number, ours }: Side<L>): void {
    const tunnels = this.#byLink.get(link) ?? new Map<string, Tunnel<L>>();
    this.#byLink.set(link, tunnels);
    tunnels.set(keyOf(number, ours), tunnel);
  }

  #find(link: L, number: number, ours: boolean): Tunnel<L> | undefined {
    return this.#byLink.get(link)?.get(keyOf(number, ours));
  }

  /** @param but a side that knows of it */
  #end(tunnel: Tunnel<L>, code: Code | '', but?: Side<L>): RelayEffect<L>[] {
    tunnel.over = true;
    this.#all.delete(tunnel);
    const effects: RelayEffect<L>[] = [];
    for (const side of [tunnel.from, tunnel.to]) {
      if (!side) continue;
      const tunnels = this.#byLink.get(side.link);
      tunnels?.delete(keyOf(side.number, side.ours));
      if (tunnels?.size === 0) this.#byLink.delete(side.link);
      if (side !== but) effects.push(endOf(side, code));
    }
    return effects;
  }
}

function keyOf(number: number, ours: boolean): string {
  return `${ours ? 'ours' : 'theirs'} ${number}`;
}

function endOf<L>({ link, number, ours }: { link: L; number: number; ours: boolean }, code: Code | ''): RelayEffect<L> {
  return { kind: 'send', link, message: { type: 'e', number, opener: ours, code } };
}
