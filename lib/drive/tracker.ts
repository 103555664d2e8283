/**
 * The tracker's side: what peers that register and ask say over their links becomes events of the registry, and what it decides
 * becomes traffic.
 *
 * Owns the registry and the number of each link. Always true: one event is handled at a time; who does not read what it is
 * sent is cut off or waits, and holds up nobody. Called by the peer's switch and with the news of gossip.
 */
import type { ShareEvent, TrackerReport } from '../api.js';
import { type Endpoint, formatEndpoint, isAddress, isLoopback } from '../endpoint.js';
import { HearsayError } from '../errors.js';
import type { Gossip } from '../gossip/gossip.js';
import type { PeerId } from '../ids.js';
import { DIAL_BACKS_PER_PEER_MAX } from '../limits.js';
import { verifySignature } from '../net/keys.js';
import type { Link } from '../net/link.js';
import type { Links } from '../net/links.js';
import type { StoreHandlers } from '../net/redis-store.js';
import { parseEndpoint } from '../net/transport.js';
import type { Change } from '../shelf/staging.js';
import {
  type Holding,
  LOOKUP,
  type Record,
  type Registrant,
  type RegistryEffect,
  type RegistryEvent,
} from '../tracker/events.js';
import { Registry } from '../tracker/registry.js';
import { headStatement, PASSIVE, readHead } from '../wire/head.js';
import type { Message, MessageOf } from '../wire/table.js';
import { Alarm } from './alarm.js';
import { Clients, say } from './clients.js';
import { refuse } from './desks.js';
import { DialBack, mayTry } from './dial-back.js';
import { Feed } from './feed.js';
import { type Gossiper, type News, now } from './gossiper.js';
import { Lookups } from './lookups.js';
import { Registrations, rowsOf } from './registrations.js';
import { Turns } from './turns.js';

/** What is said to a tracker. */
export type ToTracker = Extract<Message, { type: 'J' | 'l' | 'h' | 'c' }>;

/** What other trackers of the same registry are told through, and are heard through. */
export interface TrackerStore {
  /** Without a password. */
  readonly name: string;
  /** Begins; what others tell is given to `shared`, and `back` is called whenever the store is there (again). */
  start(handlers: StoreHandlers): void;
  share(record: Record): void;
  stop(): Promise<void>;
}

export interface TrackerOptions {
  id: PeerId;
  instance: Uint8Array;
  gossip: Gossip;
  gossiper: Gossiper;
  links: Links;
  /** Where this peer listens, "ip:port". */
  addresses(): string[];
  store?: TrackerStore | undefined;
  tell(event: ShareEvent): void;
  random(): number;
}

/** How long one that is asked for a sign of life may take, ms. */
const PROBE_MS = 2000;
/** Leases are renewed by what comes over a link, not more often than so, ms. */
const HEARD_MS = 1000;
/** A link whose place was taken by another of the same process: that one registers within so long, ms. */
const REPLACED_MS = 2000;
/** What a report costs at least, in bytes of a bit set: some hundred in a second are those of many gets at once. */
const HOLD_LEAST = 1024;
/** How often own addresses are looked at, ms. */
const OWN_MS = 5000;

export class Tracker {
  readonly #options: TrackerOptions;
  readonly #registry: Registry;
  readonly #turns = new Turns<RegistryEvent>((event) => this.#handle(event));
  readonly #clients = new Clients();
  readonly #feed: Feed;
  readonly #lookups: Lookups;
  readonly #news: Registrations;
  readonly #dialBack: DialBack;
  readonly #alarm = new Alarm(() => this.dispatch({ kind: 'sweep' }));
  readonly #timers = new Set<NodeJS.Timeout>();
  #ownTimer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: TrackerOptions) {
    this.#options = options;
    const { links, random, id, gossip } = options;
    this.#registry = new Registry({ id, shares: options.store !== undefined }, random);
    this.#dialBack = new DialBack((to: Endpoint, peer: PeerId) => links.check(to, peer));
    this.#lookups = new Lookups(this.#registry);
    this.#news = new Registrations({ id, tell: options.tell, note: (change) => this.#lookups.note(change) });
    this.#feed = new Feed(gossip.index, (peer, changes) => this.#put(peer, changes));
  }

  /** Begins: this peer listens. */
  start(): void {
    this.#own();
    this.#ownTimer = setInterval(() => this.#own(), OWN_MS).unref();
    this.#options.store?.start({
      shared: (record) => this.dispatch({ kind: 'shared', record }),
      back: () => this.dispatch({ kind: 'store-back' }),
      believes: (tracker, peer) => this.#registry.get(peer)?.homes.includes(tracker) ?? false,
    });
  }

  async stop(): Promise<void> {
    const { id, instance, store } = this.#options;
    // Those who registered here move to another tracker: only this peer itself is gone.
    store?.share({ kind: 'dropped', tracker: id, peer: id, instance, why: 'left' });
    this.#stopped = true;
    this.#alarm.stop();
    clearInterval(this.#ownTimer);
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#dialBack.stop();
    this.#lookups.stop();
    this.#feed.stop();
    await store?.stop();
  }

  dispatch(event: RegistryEvent): void {
    if (!this.#stopped) this.#turns.take(event);
  }

  /** Something came over a link. */
  heard(link: Link): void {
    const client = this.#clients.get(link);
    if (!client || performance.now() - client.heardAt < HEARD_MS) return;
    client.heardAt = performance.now();
    this.dispatch({ kind: 'heard', link: client.no });
  }

  take(link: Link, message: ToTracker): void {
    switch (message.type) {
      case 'J':
        this.#join(link, message);
        return;
      case 'l':
        this.#lookups.take(link, message);
        return;
      case 'h': {
        const client = this.#clients.get(link);
        if (!client || message.id === null) return;
        const { id, chunks, at, bits } = message;
        // A stretch of a large one costs as much as all of it; what is left out is found out from the peer itself.
        if (bits.length > 0 && !client.holds.take(performance.now(), HOLD_LEAST + chunks / 8)) return;
        this.dispatch({ kind: 'hold', link: client.no, id, chunks, at, bits });
        return;
      }
      case 'c':
        this.#summon(link, message);
        return;
    }
  }

  /** A goodbye over a link, by its own peer. */
  left(link: Link): void {
    const client = this.#clients.get(link);
    if (client) this.dispatch({ kind: 'left', link: client.no });
  }

  /** Nobody wants this answer, or to be told what changes of it. */
  cancel(link: Link, number: number): void {
    this.#lookups.cancel(link, number);
  }

  linkClosed(link: Link): void {
    this.#lookups.linkClosed(link);
    // Nor does this peer list it any more itself, once it knows of the end: who came to a tracker is not looked for.
    const { peer } = link;
    this.#later(0, () => this.#options.gossiper.dispatch({ kind: 'departed', peer }));
    const client = this.#clients.remove(link);
    if (!client) return;
    const broken = () => this.dispatch({ kind: 'broken', link: client.no });
    const other = this.#options.links.get(link.peer);
    const isReplaced = other && other !== link && Buffer.compare(other.instance, link.instance) === 0;
    if (isReplaced) this.#later(REPLACED_MS, broken);
    else broken();
  }

  /** What gossip tells: offers that changed are put in. */
  news(news: News): void {
    if (news.kind !== 'change') return;
    const { offer, before } = news;
    if (!this.#isHeld(offer.peer)) return;
    this.#feed.changed(offer.peer, offer.path, before && { ...before, peer: offer.peer });
  }

  /** Who holds parts of a content that it does not offer, as this registry has it. */
  holdings(id: string): Holding[] {
    const found = this.#registry.lookup(LOOKUP.holders, id);
    return 'code' in found ? [] : [...found].flatMap(({ have }) => have);
  }

  report(): TrackerReport {
    const registered = rowsOf(this.#registry.peers(), this.#options.id);
    const { peers, offers } = this.#registry.counts;
    const store = this.#options.store?.name ?? 'memory';
    return { registered, peers, offers, lookups: this.#lookups.rate, store };
  }

  /** This peer itself is registered, without a link. */
  #own(): void {
    const { instance, gossip, addresses } = this.#options;
    const { head, sig } = gossip.head();
    this.dispatch({ kind: 'self', peer: registrant(head, sig, instance), addresses: addresses() });
  }

  /** Whether a peer's offers belong into the registry by this tracker's own knowledge. */
  #isHeld(id: PeerId): boolean {
    return id === this.#options.id || this.#registry.get(id)?.link !== undefined;
  }

  /** The newest words of a link's peer on itself. */
  #words(link: Link): { head: Uint8Array; sig: Uint8Array } {
    return this.#options.gossip.peer(link.peer) ?? { head: link.packedHead, sig: link.sig };
  }

  #join(link: Link, { number, addresses }: MessageOf<'J'>): void {
    if (link.head.flags & PASSIVE) {
      say(link, refusal(number, new HearsayError('refused', 'a one-shot is not registered')));
      return;
    }
    const client = this.#clients.of(link);
    client.heardAt = performance.now();
    const { head, sig } = this.#words(link);
    const { host, port } = link.address;
    this.dispatch({
      kind: 'register',
      link: client.no,
      number,
      peer: registrant(head, sig, link.instance),
      claimed: addresses.filter(isAddress),
      host,
      // Of one that another peer passes on, the address is that one's.
      port: link.tunnelled ? 0 : port,
    });
    this.#refresh(link.peer);
  }

  /** A registered peer's words on itself, where they are newer. */
  #refresh(id: PeerId): void {
    const known = this.#registry.get(id);
    const words = id === this.#options.id ? this.#options.gossip.head() : this.#options.gossip.peer(id);
    if (!known || !words || Buffer.compare(known.head, words.head) === 0) return;
    const { epoch, version, name } = readHead(words.head);
    // A heartbeat says nothing new.
    if (epoch === known.epoch && version === known.version && name === known.name) return;
    this.dispatch({ kind: 'head', peer: id, head: words.head, sig: words.sig, name, epoch, version });
  }

  #summon(link: Link, { number, peer, from }: MessageOf<'c'>): void {
    const client = this.#clients.of(link);
    if (!this.#clients.maySummon(client, peer)) {
      say(link, refusal(number, new HearsayError('limit', 'too many are asked to dial')));
      return;
    }
    const head = readHead(from.head);
    if (head.id !== link.peer) throw new HearsayError('bad-message', 'asks in the name of another');
    if (!verifySignature(head.key, headStatement(from.head), from.sig)) {
      throw new HearsayError('bad-message', 'asks in words that it did not sign');
    }
    const { host, port } = link.address;
    // Who is asked is not made to knock at others' doors.
    const addresses = [formatEndpoint({ host, port }), ...from.addresses].filter((address) => {
      const to = parseEndpoint(address);
      return to !== undefined && mayTry(to, host, port);
    });
    const own = { ...from, addresses: [...new Set(addresses)].slice(0, DIAL_BACKS_PER_PEER_MAX) };
    this.dispatch({ kind: 'summon', link: client.no, number, peer, from: own });
  }

  #handle(event: RegistryEvent): void {
    for (const effect of this.#registry.handle(event, now())) this.#carryOut(effect);
  }

  #carryOut(effect: RegistryEffect): void {
    switch (effect.kind) {
      case 'registered':
        this.#joined(effect);
        return;
      case 'answer': {
        const { number, code, message } = effect;
        const link = this.#clients.byNo(effect.link)?.link;
        if (link) say(link, { type: 'E', number, code, id: null, message: message.slice(0, 100).toWellFormed() });
        return;
      }
      case 'probe': {
        const probed = (alive: boolean) => this.dispatch({ kind: 'probed', link: effect.link, alive });
        const link = this.#clients.byNo(effect.link)?.link;
        if (link) void link.answers(PROBE_MS).then(probed);
        else probed(false);
        return;
      }
      case 'dial-back':
        this.#tryBack(effect);
        return;
      case 'cut': {
        const link = this.#clients.byNo(effect.link)?.link;
        const why = new HearsayError(effect.code, effect.message);
        if (!link) return;
        refuse(link, 0, why);
        link.close(why);
        return;
      }
      case 'summon': {
        const link = this.#clients.byNo(effect.link)?.link;
        const { head, sig, addresses } = effect.from;
        if (!link) return;
        const from = { head, sig, addresses: [...addresses] };
        say(link, { type: 'c', number: 0, peer: link.peer, from });
        return;
      }
      case 'share':
        this.#options.store?.share(effect.record);
        return;
      case 'timer':
        this.#alarm.set(effect.at - performance.timeOrigin);
        return;
      default:
        this.#news.take(effect);
        if (effect.kind === 'came' && this.#isHeld(effect.peer.id)) this.#feed.all(effect.peer.id);
        else if (effect.kind === 'departed') this.#feed.drop(effect.peer.id);
    }
  }

  #joined({ link: no, ...effect }: Extract<RegistryEffect, { kind: 'registered' }>): void {
    const client = this.#clients.byNo(no);
    if (!client) return;
    const { link } = client;
    const { kind: _, reachable, ...rest } = effect;
    const trackers = this.#news.trackers(isLoopback(link.address.host));
    this.#clients.join(client, { type: 'Z', ...rest, reachable: [...reachable], trackers });
    // One that comes from another tracker of this registry has been registered all along.
    if (!client.isFed) this.#feed.all(link.peer);
    client.isFed = true;
  }

  #tryBack({ link: no, peer, addresses }: Extract<RegistryEffect, { kind: 'dial-back' }>): void {
    const link = this.#clients.byNo(no)?.link;
    const done = (address: string, reached: boolean) =>
      this.dispatch({ kind: 'dialled-back', link: no, address, reached });
    if (!link) {
      for (const address of addresses) done(address, false);
      return;
    }
    const { host, port } = link.address;
    this.#dialBack.ask({ peer, host, port: link.tunnelled ? 0 : port, done }, addresses);
  }

  /** Changes of offers, into the registry. */
  #put(peer: PeerId, changes: Change[]): void {
    if (!this.#isHeld(peer)) return;
    this.dispatch({ kind: 'offers', peer, changes });
    this.#refresh(peer);
  }

  #later(ms: number, act: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      act();
    }, ms);
    this.#timers.add(timer);
  }
}

function registrant(head: Uint8Array, sig: Uint8Array, instance: Uint8Array): Registrant {
  const { id, key, name, epoch, version } = readHead(head);
  return { id, key, name, instance, head, sig, epoch, version };
}

function refusal(number: number, { code, message }: HearsayError): MessageOf<'E'> {
  return { type: 'E', number, code, id: null, message };
}
