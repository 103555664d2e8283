/**
 * Tunnels: connections through a peer that both sides reach, where neither can dial the other.
 *
 * Owns the ends of those that are for this peer, and, where it passes on, the relay. Always true: within a tunnel the two prove
 * themselves to each other as over any connection, so who passes it on reads nothing and can pretend nothing; a tunnel goes over
 * a connection that is none itself; at most TUNNELS_MAX end here, TUNNELS_PER_LINK_MAX over one connection. Called by the peer's
 * switch with what arrives, and by Reach.
 */
import type { Socket } from 'node:net';
import { asHearsayError, type Code, HearsayError, saidCode } from '../errors.js';
import type { PeerId } from '../ids.js';
import { TUNNELS_MAX, TUNNELS_PER_LINK_MAX } from '../limits.js';
import type { Link } from '../net/link.js';
import type { Links } from '../net/links.js';
import { Relay, type RelayEffect, type TunnelWord } from '../tracker/relay.js';
import type { MessageOf } from '../wire/table.js';
import { Allowances } from './allowances.js';
import { Limiter } from './limiter.js';
import { TunnelEnd } from './tunnel-end.js';

/** How long a tunnel may take to open: who passes it on may have to ask the other side to dial it. */
const OPEN_MS = 10_000;
const SWEEP_MS = 30_000;

export type TunnelMessage = MessageOf<'t'> | TunnelWord;

export interface TunnelsOptions {
  /** This peer's own. */
  id: PeerId;
  links: Links;
  /** Whether this peer passes on for others. */
  relays: boolean;
  /** The limit on all that this peer sends: what it passes on is of it too. */
  limiter?: Limiter;
  /** A connection that is no tunnel. @throws HearsayError where there can be none */
  connect(peer: PeerId): Promise<Link>;
}

interface End {
  stream: TunnelEnd;
  /** Told of the first word of the other end, or of the tunnel's end before that. */
  opened(error?: HearsayError): void;
}

export class Tunnels {
  readonly #options: TunnelsOptions;
  /** By connection, then by who opened it and its number. */
  readonly #ends = new Map<Link, Map<string, End>>();
  #count = 0;
  #next = 1;
  readonly #relay = new Relay<Link>(
    () => this.#number(),
    undefined,
    ({ address }) => address.host,
  );
  readonly #allowances: Allowances;
  readonly #timer: NodeJS.Timeout;

  constructor(options: TunnelsOptions) {
    this.#options = options;
    this.#allowances = new Allowances(options.limiter ?? new Limiter());
    this.#timer = setInterval(() => this.#carryOut(this.#relay.sweep(performance.now())), SWEEP_MS).unref();
  }

  /** Tunnels that this peer passes on, and those that end here. */
  get counts(): { passed: number; ends: number } {
    return { passed: this.#relay.size, ends: this.#count };
  }

  /**
   * A link to a peer through another.
   * @param relay the connection to that one
   * @throws HearsayError `refused` (it does not pass on), `unreachable`, `limit`, and what a handshake throws
   */
  async open(relay: Link, to: PeerId): Promise<Link> {
    if (relay.tunnelled) throw new HearsayError('unreachable', 'a tunnel goes through no other');
    this.#checkRoom(relay);
    const number = this.#number();
    let settle: End['opened'] = () => {};
    const opened = new Promise<void>((resolve, reject) => {
      settle = (error) => (error ? reject(error) : resolve());
    });
    const stream = this.#enter(relay, number, true, settle);
    const late = setTimeout(() => stream.destroy(new HearsayError('unreachable', 'no answer through it')), OPEN_MS);
    relay.send({ type: 't', number, from: this.#options.id, to });
    stream.begin();
    try {
      await opened;
      // A socket in all that TLS uses of it.
      return await this.#options.links.tunnel(stream as unknown as Socket, relay.address.host, to);
    } finally {
      clearTimeout(late);
    }
  }

  /** @throws HearsayError `bad-message` */
  handle(link: Link, message: TunnelMessage): void {
    if (message.type === 't') {
      if (message.to === this.#options.id) this.#accept(link, message);
      else this.#passOn(link, message);
      return;
    }
    const end = this.#ends.get(link)?.get(keyOf(message.number, !message.opener));
    if (!end) {
      const effects = this.#relay.take(link, message, performance.now());
      if (message.type === 'e') this.#allowances.ended(link, message.number, !message.opener);
      if (effects) this.#carryOut(effects);
      return;
    }
    if (message.type === 'd') end.stream.arrive(message.data);
    else if (message.type === 'w') {
      end.opened();
      end.stream.allow(message.bytes);
    } else {
      const code = message.code === '' ? '' : saidCode(message.code);
      const why = WHY[message.code] ?? 'it was ended on the way';
      end.opened(new HearsayError(code === 'refused' || code === 'limit' ? code : 'unreachable', why));
      end.stream.ended(code, why);
    }
  }

  linkClosed(link: Link): void {
    this.#allowances.linkClosed(link);
    this.#carryOut(this.#relay.broken(link));
    for (const { stream } of [...(this.#ends.get(link)?.values() ?? [])]) {
      stream.destroy(new HearsayError('unreachable', 'the peer that passed it on has gone'));
    }
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Somebody wants to speak to us through another. */
  #accept(link: Link, { number, from }: MessageOf<'t'>): void {
    if (this.#ends.get(link)?.has(keyOf(number, false))) {
      throw new HearsayError('bad-message', 'two tunnels of one number');
    }
    try {
      this.#checkRoom(link);
      if (link.tunnelled || from === link.peer) throw new HearsayError('refused', '');
    } catch (thrown) {
      link.send({ type: 'e', number, opener: false, code: asHearsayError(thrown).code });
      return;
    }
    const stream = this.#enter(link, number, false, () => {});
    stream.begin();
    this.#options.links.tunnel(stream as unknown as Socket, link.address.host, undefined).catch(() => {
      // Who does not prove itself is nobody, here as at the door.
      stream.destroy();
    });
  }

  #passOn(link: Link, message: MessageOf<'t'>): void {
    const { number, from, to } = message;
    if (!this.#options.relays || from !== link.peer || to === from || link.tunnelled) {
      link.send({ type: 'e', number, opener: false, code: 'refused' });
      return;
    }
    this.#carryOut(this.#relay.open(link, message, performance.now()));
  }

  #carryOut(effects: RelayEffect<Link>[]): void {
    for (const effect of effects) {
      if (effect.kind === 'connect') void this.#reach(effect);
      else this.#pass(effect.link, effect.message);
    }
  }

  #pass(link: Link, message: Extract<RelayEffect<Link>, { kind: 'send' }>['message']): void {
    if (message.type === 'w') {
      this.#allowances.allow(link, message);
      return;
    }
    if (message.type === 'e') this.#allowances.ended(link, message.number, message.opener);
    link.send(message);
  }

  async #reach({ tunnel, peer: to }: Extract<RelayEffect<Link>, { kind: 'connect' }>): Promise<void> {
    const from = tunnel.from.link.peer;
    let link: Link | undefined;
    let code: Code = 'unreachable';
    try {
      link = await this.#options.connect(to);
      if (link.tunnelled || !link.open) link = undefined;
    } catch (thrown) {
      if (asHearsayError(thrown).code === 'limit') code = 'limit';
    }
    this.#carryOut(this.#relay.reached(tunnel, link, { from, to }, code));
  }

  #checkRoom(link: Link): void {
    const here = this.#ends.get(link)?.size ?? 0;
    if (this.#count >= TUNNELS_MAX || here >= TUNNELS_PER_LINK_MAX) throw new HearsayError('limit', 'too many tunnels');
  }

  #enter(link: Link, number: number, ours: boolean, opened: End['opened']): TunnelEnd {
    const stream = new TunnelEnd(link, number, ours);
    const ends = this.#ends.get(link) ?? new Map<string, End>();
    const key = keyOf(number, ours);
    this.#ends.set(link, ends);
    ends.set(key, { stream, opened });
    this.#count++;
    stream.on('error', (error) => opened(asHearsayError(error, 'unreachable')));
    stream.onOver = () => {
      ends.delete(key);
      this.#count--;
      if (ends.size === 0 && this.#ends.get(link) === ends) this.#ends.delete(link);
      opened(new HearsayError('unreachable', 'it was ended on the way'));
    };
    return stream;
  }

  #number(): number {
    this.#next = (this.#next % (2 ** 32 - 1)) + 1;
    return this.#next;
  }
}

/** What the codes of a tunnel's end say. */
const WHY: Record<string, string> = {
  refused: 'it does not pass on',
  limit: 'it passes on for too many already',
  unreachable: 'it cannot be reached from there either',
  timeout: 'nothing passed for too long',
};

function keyOf(number: number, ours: boolean): string {
  return `${ours ? 'ours' : 'theirs'} ${number}`;
}
