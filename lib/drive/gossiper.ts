/**
 * The driver of gossip: turns datagrams, links and timers into events, and effects into traffic.
 *
 * Owns the timers and the redialling of joined hosts. Always true: one event is handled at a time, its effects carried
 * out in their order. Called by the peer.
 */

import type { Millis } from '../clock.js';
import { type Endpoint, formatEndpoint } from '../endpoint.js';
import { asHearsayError, HearsayError } from '../errors.js';
import type { Effect, Event, Timer } from '../gossip/events.js';
import type { Gossip } from '../gossip/gossip.js';
import type { PeerId } from '../ids.js';
import { isRefused } from '../net/dialling.js';
import type { Filter, Link, Tracer } from '../net/link.js';
import type { Links } from '../net/links.js';
import { looksSealed, type Sealer } from '../net/seal.js';
import { looksOpen, type StrangerCount, Strangers, whyNobody } from '../net/strangers.js';
import type { Multicast } from '../net/udp.js';
import type { Offer } from '../offer.js';
import { decode, encode } from '../wire/codec.js';
import type { Message } from '../wire/table.js';
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
  join: Endpoint[];
  /** Seals and opens datagrams, in a private group. */
  sealer: Sealer | undefined;
  reach: Reach;
  onNews(news: News): void;
  /** A host that the person named has answered. */
  onJoined(link: Link, endpoint: string): void;
  filter?: Filter;
  tracer?: Tracer;
}

const PULL_TIMEOUT: Millis = 10_000;
/**
 * Redialling a joined host: at first after so long, then doubled up to the second, so that who comes back has everyone again
 * within 10 s; where another runs with this id, that will not end soon.
 */
const REJOIN_FIRST: Millis = 1000;
const REJOIN_MAX: Millis = 4000;
const REJOIN_TAKEN: Millis = 30_000;

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
  #stopped = false;
  #firstJoins = 0;
  /** Joined hosts that are being dialled. */
  #attempts = 0;
  readonly #joined = new Map<Link, () => void>();
  /** What dials at once a joined host that waits for its next attempt. */
  readonly #rejoins = new Set<() => void>();
  readonly #strangers = new Strangers();
  /** Datagrams that were not ours, damaged, or not sealed with our secret. */
  bad = 0;
  /** Join addresses that have not answered yet, with why. */
  readonly unjoined = new Map<string, HearsayError>();

  constructor(options: GossiperOptions) {
    this.#options = options;
  }

  start(multicast: Multicast): void {
    this.#multicast = multicast;
    this.dispatch({ kind: 'start' });
    for (const endpoint of this.#options.join) this.#join(endpoint);
  }

  /** Says goodbye. */
  stop(): void {
    this.dispatch({ kind: 'stop' });
    this.#stopped = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  /** A datagram, as the socket gave it. */
  datagram(data: Buffer, from: Endpoint, multicast: boolean): void {
    const { filter, tracer } = this.#options;
    const plain = this.#unsealed(data, from.host);
    if (!plain) return;
    let message: Message | undefined;
    try {
      message = decode(plain, 'udp');
      if (filter) message = filter(message, 'in', formatEndpoint(from));
    } catch {
      this.bad++;
      if (plain === data && looksSealed(data)) this.#strangers.note('sealed', from.host, now());
      return;
    }
    if (!message) return;
    tracer?.('in', formatEndpoint(from), message);
    if (message.type !== 'C') {
      this.dispatch({ kind: 'datagram', from, multicast, message });
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
    if (this.unjoined.size === 0) return whyNobody(this.#options.sealer !== undefined, this.strangers);
    return [...this.unjoined].map(([host, { message }]) => `${host}: ${message}`).join('; ');
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
    this.#joined.get(link)?.();
    this.#joined.delete(link);
    // A newer one may have taken its place.
    if (!this.#options.links.get(link.peer)) this.dispatch({ kind: 'disconnected', peer: link.peer });
  }

  /** Asks a peer to dial us. */
  call(peer: PeerId): void {
    const { id, links } = this.#options;
    this.#sendMulticast({ type: 'C', from: id, to: peer, port: links.port });
  }

  /** Whether a joined host is being dialled for the first time. */
  get joining(): boolean {
    return this.#firstJoins > 0;
  }

  /** Whether a host that is joined is being dialled. */
  get dialling(): boolean {
    return this.#attempts > 0;
  }

  /** Whether a link is kept although nobody uses it: to a joined host, or to a peer that multicast does not reach. */
  needs(link: Link): boolean {
    return this.#joined.has(link) || this.#options.gossip.peer(link.peer)?.via !== 'multicast';
  }

  /** Asks everybody now, and dials at once those joined hosts that are not reached. */
  refresh(): void {
    this.dispatch({ kind: 'refresh' });
    if (this.#stopped) return;
    for (const go of [...this.#rejoins]) go();
  }

  /** Own files changed. */
  offers(changes: Omit<Offer, 'version'>[]): void {
    this.dispatch({ kind: 'offers', changes });
  }

  #carryOut(effect: Effect): void {
    switch (effect.kind) {
      case 'multicast':
        this.#sendMulticast(effect.message);
        return;
      case 'reply':
        this.#send(effect.message, formatEndpoint(effect.to), (data) => this.#multicast?.reply(data(), effect.to));
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
      case 'timer':
        this.#setTimer(effect.at, effect.timer);
        return;
      default:
        this.#options.onNews(effect);
        return;
    }
  }

  #sendMulticast(message: Message): void {
    this.#send(message, '*', (data) => this.#multicast?.send(data));
  }

  #send(message: Message, to: string, send: (data: () => Buffer) => void): void {
    const { filter, tracer, sealer } = this.#options;
    const sent = filter ? filter(message, 'out', to) : message;
    if (!sent) return;
    tracer?.('out', to, sent);
    const data = encode(sent);
    send(() => (sealer ? sealer.seal(data) : data));
  }

  #setTimer(at: Millis, timer: Timer): void {
    const handle = setTimeout(
      () => {
        this.#timers.delete(handle);
        this.dispatch({ kind: 'timer', timer });
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

  /** Keeps a link to a joined host, whoever answers there, as long as this peer runs. */
  #join(endpoint: Endpoint): void {
    let delay = REJOIN_FIRST;
    const again = () => {
      if (this.#stopped) return;
      // Spread, so that those who lost one host do not come back as one.
      const wait = delay * (0.5 + Math.random() / 2);
      const go = () => {
        clearTimeout(timer);
        this.#timers.delete(timer);
        this.#rejoins.delete(go);
        attempt();
      };
      const timer = setTimeout(go, wait);
      this.#timers.add(timer);
      this.#rejoins.add(go);
      delay = Math.min(REJOIN_MAX, delay * 2);
    };
    const name = formatEndpoint(endpoint);
    this.unjoined.set(name, new HearsayError('unreachable', 'no answer yet'));
    this.#firstJoins++;
    let first = true;
    /** @returns whether this was the first attempt */
    const tried = () => {
      const wasFirst = first;
      if (first) this.#firstJoins--;
      first = false;
      return wasFirst;
    };
    const attempt = () => {
      this.#attempts++;
      const dialled = this.#options.links.dial(endpoint).finally(() => this.#attempts--);
      dialled.then(
        (link) => {
          tried();
          delay = REJOIN_FIRST;
          this.unjoined.delete(name);
          if (link.open) {
            this.#joined.set(link, again);
            this.#options.onJoined(link, name);
          } else again();
        },
        (thrown) => {
          const { code, message: said } = asHearsayError(thrown, 'unreachable');
          // Whoever tells of it names the host.
          const why = said.startsWith(`${name}: `) ? said.slice(name.length + 2) : said;
          const error = new HearsayError(code, why, { cause: thrown });
          if (tried()) {
            const message = `${name} cannot be joined: ${why}; it is tried again and again`;
            this.#options.onNews({ kind: 'warning', code: error.code, message });
          }
          this.unjoined.set(name, error);
          if (error.code === 'id-taken') delay = REJOIN_TAKEN;
          again();
        },
      );
    };
    attempt();
  }
}
