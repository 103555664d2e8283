/**
 * The driver of gossip: turns datagrams, links and timers into events, and effects into traffic.
 *
 * Owns the timers. Always true: one event is handled at a time, its effects carried out in their order; what was broadcast is
 * told from what was multicast, also where one socket gets both. Called by the peer.
 */

import type { Millis } from '../clock.js';
import { formatEndpoint } from '../endpoint.js';
import { asHearsayError, HearsayError } from '../errors.js';
import type { Broadcast, Effect, Event, Sparing, Timer } from '../gossip/events.js';
import type { Gossip } from '../gossip/gossip.js';
import { isNear } from '../gossip/ladder.js';
import type { PeerId } from '../ids.js';
import { BREATH } from '../net/breath.js';
import type { UdpAddress } from '../net/datagrams.js';
import { isRefused } from '../net/dialling.js';
import type { Filter, Link, Tracer } from '../net/link.js';
import type { Links } from '../net/links.js';
import { looksSealed, type Sealer } from '../net/seal.js';
import { looksOpen, type StrangerCount, Strangers, whyNobody } from '../net/strangers.js';
import type { Way } from '../net/traffic.js';
import type { Multicast } from '../net/udp.js';
import type { Offer } from '../offer.js';
import { decode, encode } from '../wire/codec.js';
import type { Message } from '../wire/table.js';
import type { Joins } from './joins.js';
import { Lag } from './lag.js';
import type { Reach } from './reach.js';
import type { Requests } from './requests.js';
import { Turns } from './turns.js';

/** What of gossip's effects concerns others. */
export type News = Extract<Effect, { kind: 'peer' | 'shelf' | 'change' | 'warning' }>;

export interface GossiperOptions {
  /** This peer's own. */
  id: PeerId;
  gossip: Gossip;
  links: Links;
  requests: Requests;
  joins: Joins;
  /** Seals and opens datagrams, in a private group. */
  sealer: Sealer | undefined;
  reach: Reach;
  onNews(news: News): void;
  filter?: Filter;
  tracer?: Tracer;
}

const PULL_TIMEOUT: Millis = 10_000;
/** An answer to a digest: without a page for so long, and in all. */
const DIGEST_TIMEOUT: Millis = 5000;
const DIGEST_TIMEOUT_ALL: Millis = 15_000;

/** A clock that never goes back, in ms since 1970. */
export function now(): Millis {
  return performance.timeOrigin + performance.now();
}

export class Gossiper {
  readonly #options: GossiperOptions;
  readonly #timers = new Set<NodeJS.Timeout>();
  #multicast: Multicast | undefined;
  readonly #turns = new Turns<Event>((event) => {
    for (const effect of this.#options.gossip.handle(event, now())) this.#carryOut(effect);
  });
  readonly #lag = new Lag((ms) => this.dispatch({ kind: 'lag', ms }));
  #stopped = false;
  readonly #strangers = new Strangers();
  /** Datagrams that were not ours, damaged, or not sealed with our secret. */
  bad = 0;

  constructor(options: GossiperOptions) {
    this.#options = options;
  }

  start(multicast: Multicast): void {
    this.#multicast = multicast;
    this.#lag.start();
    this.dispatch({ kind: 'start' });
    this.#options.joins.start();
  }

  /** Says goodbye. */
  stop(): void {
    this.dispatch({ kind: 'stop' });
    this.#stopped = true;
    this.#lag.stop();
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#options.joins.stop();
  }

  /** A datagram, as the socket gave it. */
  datagram(data: Buffer, from: UdpAddress, multicast: boolean): void {
    const { filter, tracer } = this.#options;
    const plain = this.#unsealed(data, from.host);
    const count = (way: Way) => this.#multicast?.traffic.heard(from.host, way, performance.now());
    if (!plain) {
      count(multicast ? 'multicast' : 'unicast');
      return;
    }
    let message: Message | undefined;
    let broadcast: Broadcast | undefined;
    try {
      message = decode(plain, 'udp');
      if (message.type === 'u') {
        broadcast = { deaf: message.deaf };
        message = decode(message.message, 'udp');
        if (message.type === 'u' || !multicast) throw new HearsayError('bad-message', 'not a broadcast');
      }
      if (filter) message = filter(message, 'in', formatEndpoint(from));
    } catch {
      this.bad++;
      count(multicast ? 'multicast' : 'unicast');
      if (plain === data && looksSealed(data)) this.#strangers.note('sealed', from.host, now());
      return;
    }
    if (!message) return;
    count(broadcast ? 'broadcast' : multicast ? 'multicast' : 'unicast');
    tracer?.('in', formatEndpoint(from), message);
    if (message.type !== 'C') {
      this.dispatch({ kind: 'datagram', from, multicast, broadcast, message });
      return;
    }
    if (message.to !== this.#options.id || message.from === this.#options.id) return;
    this.#options.reach.called(message.from, formatEndpoint({ host: from.host, port: message.port }));
  }

  /** A datagram as its sender encoded it: in a private group one that opens, else every one. */
  #unsealed(data: Buffer, host: string): Buffer | undefined {
    const { sealer } = this.#options;
    if (!sealer) return data;
    const opened = sealer.open(data, host, now());
    if (typeof opened !== 'string') return opened;
    this.bad++;
    if (opened === 'foreign') this.#strangers.note('sealed', host, now());
    else if (opened === 'shapeless' && looksOpen(data)) this.#strangers.note('open', host, now());
    return undefined;
  }

  /** Hosts of other groups that were heard lately. */
  get strangers(): StrangerCount {
    return this.#strangers.count(now());
  }

  /** Why nobody is found, as far as can be told: what joined hosts said, else what was heard. */
  whyNobody(): string {
    const { unjoined } = this.#options.joins;
    if (unjoined.size === 0) return whyNobody(this.#options.sealer !== undefined, this.strangers);
    return [...unjoined].map(([host, { message }]) => `${host}: ${message}`).join('; ');
  }

  dispatch(event: Event): void {
    if (this.#stopped) return;
    this.#turns.take(event);
  }

  opened(link: Link): void {
    this.dispatch({
      kind: 'connected',
      peer: link.peer,
      head: link.packedHead,
      sig: link.sig,
      // Nothing listens where one comes from who is passed on.
      address: link.tunnelled ? undefined : link.address,
      dialled: link.dialled,
    });
  }

  closed(link: Link): void {
    this.#options.joins.closed(link);
    // A newer one may have taken its place.
    if (!this.#options.links.get(link.peer)) this.dispatch({ kind: 'disconnected', peer: link.peer });
  }

  /** Sends to everyone what only oneself is meant by, on every card, to see whether it comes back. */
  probe(): void {
    this.call(this.#options.id);
  }

  /** Asks a peer to dial us. */
  call(peer: PeerId): void {
    const { id, links, gossip } = this.#options;
    const message: Message = { type: 'C', from: id, to: peer, port: links.port };
    this.#sendMulticast(message);
    if (gossip.peer(peer)?.via === 'broadcast') this.#sendBroadcast(message, false);
  }

  /** Whether a link is kept although nobody uses it: to a joined host, or to a peer that does not hear what everyone is told. */
  needs(link: Link): boolean {
    const via = this.#options.gossip.peer(link.peer)?.via;
    return this.#options.joins.has(link) || via === undefined || !isNear(via);
  }

  /** Asks everybody now, and dials at once those joined hosts that are not reached. */
  refresh(): void {
    this.dispatch({ kind: 'refresh' });
    if (!this.#stopped) this.#options.joins.hurry();
  }

  /** Own files changed. */
  offers(changes: Omit<Offer, 'version'>[]): void {
    this.dispatch({ kind: 'offers', changes });
  }

  #carryOut(effect: Effect): void {
    switch (effect.kind) {
      case 'multicast':
        this.#sendMulticast(effect.message, effect.sparing);
        return;
      case 'broadcast':
        this.#sendBroadcast(effect.message, effect.deaf, effect.near);
        return;
      case 'reply':
        this.#send(effect.message, formatEndpoint(effect.to), (data) => {
          this.#multicast?.reply(data, effect.to, effect.everywhere);
        });
        return;
      case 'tell':
        this.#options.links.get(effect.peer)?.send(effect.message);
        return;
      case 'dial':
        this.#options.links.connect(effect.peer, effect.addresses).catch((thrown) => {
          const refused = isRefused(asHearsayError(thrown));
          this.dispatch({ kind: 'dial-failed', peer: effect.peer, address: undefined, refused });
        });
        return;
      case 'pull':
        this.#pull(effect).catch((thrown) => {
          const { code } = asHearsayError(thrown);
          this.dispatch({ kind: 'pull-failed', from: effect.from, writer: effect.message.writer, code });
        });
        return;
      case 'digest':
        this.#digest(effect).then(
          () => this.dispatch({ kind: 'digest-over', batch: effect.batch, ok: true }),
          () => this.dispatch({ kind: 'digest-over', batch: effect.batch, ok: false }),
        );
        return;
      case 'timer':
        this.#setTimer(effect.at, effect.timer);
        return;
      default:
        this.#options.onNews(effect);
        return;
    }
  }

  #sendMulticast(message: Message, sparing?: Sparing): void {
    this.#send(message, '*', (data) => this.#multicast?.send(data, sparing));
  }

  #sendBroadcast(message: Message, deaf: boolean, near?: readonly string[]): void {
    const wrap = (inner: Message): Message => ({ type: 'u', deaf, message: encode(inner) });
    this.#send(message, '*', (data) => this.#multicast?.broadcast(data, near), wrap);
  }

  /** @param wrap what it travels within */
  #send(
    message: Message,
    to: string,
    send: (data: () => Buffer) => void,
    wrap: (message: Message) => Message = (whole) => whole,
  ): void {
    const { filter, tracer, sealer } = this.#options;
    const sent = filter ? filter(message, 'out', to) : message;
    if (!sent) return;
    tracer?.('out', to, sent);
    const data = encode(wrap(sent));
    send(() => (sealer ? sealer.seal(data) : data));
  }

  #setTimer(at: Millis, timer: Timer): void {
    const handle = setTimeout(
      () => {
        this.#timers.delete(handle);
        this.#lag.look();
        // Many may be due in one moment, and what is put together step by step has its steps so.
        BREATH.take(() => this.dispatch({ kind: 'timer', timer }));
      },
      Math.max(0, Math.min(at - now(), 2 ** 31 - 1)),
    );
    this.#timers.add(handle);
  }

  async #pull({ from, message }: Extract<Effect, { kind: 'pull' }>): Promise<void> {
    const link = await this.#options.reach.connect(from);
    const { writer } = message;
    await this.#options.requests.gather(
      link,
      (number) => ({ ...message, number }),
      (page) => {
        if (page.type !== 'D') throw new HearsayError('bad-message', `${page.type} in answer to a pull`);
        this.dispatch({ kind: 'delta', from, writer, message: page });
        return page.last;
      },
      PULL_TIMEOUT,
    );
  }

  /** A relay is one of many: it is not reached by way of others. */
  async #digest({ batch, from, message }: Extract<Effect, { kind: 'digest' }>): Promise<void> {
    const link = await this.#options.reach.connectNear(from);
    await this.#options.requests.gather(
      link,
      (number) => ({ ...message, number }),
      (page) => {
        if (page.type === 'E') return true;
        if (page.type !== 'r') throw new HearsayError('bad-message', `${page.type} in answer to a digest`);
        this.dispatch({ kind: 'newer', batch, message: page });
        return false;
      },
      DIGEST_TIMEOUT,
      undefined,
      DIGEST_TIMEOUT_ALL,
    );
  }
}
