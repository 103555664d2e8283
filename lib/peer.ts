/**
 * The library's face: composes the rest, starts and stops it.
 *
 * Owns every part of one running peer. Always true: after `stop` nothing of it runs, and everyone was told. Called by
 * programs, and by the commands, which have no other door.
 */
import { randomBytes } from 'node:crypto';
import { resolve, sep } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type {
  Api,
  FollowEvent,
  GetEvent,
  GetQuery,
  Listing,
  ListQuery,
  PeerRow,
  ServedRow,
  ShareEvent,
  SourcesRow,
  StatusReport,
  TraceRecord,
} from './api.js';
import { Answerer } from './drive/answerer.js';
import { Asides } from './drive/asides.js';
import { Asker, type Question } from './drive/asker.js';
import { Changes, type IndexChange } from './drive/changes.js';
import { collect, type Fetched, type GetOptions } from './drive/collect.js';
import { Get } from './drive/fetch.js';
import { Getting } from './drive/getting.js';
import { Gossiper, type News, now } from './drive/gossiper.js';
import { followEvent, listing, matcher, questionOf } from './drive/listing.js';
import { LocalShelf } from './drive/local-shelf.js';
import { lookUpPeers } from './drive/lookup.js';
import { type Opened, open } from './drive/open.js';
import { type PeerOptions, type Settled, settle } from './drive/options.js';
import { Requests } from './drive/requests.js';
import { Server } from './drive/serve.js';
import { Served } from './drive/served.js';
import { FILES_MAX, sourcesOf } from './drive/sources.js';
import { Stream } from './drive/stream.js';
import { Tracing } from './drive/tracing.js';
import { Warnings } from './drive/warnings.js';
import { formatEndpoint } from './endpoint.js';
import { asHearsayError, HearsayError } from './errors.js';
import { Gossip, type Settings as GossipSettings } from './gossip/gossip.js';
import { keyPart, type PeerId } from './ids.js';
import { watchInterfaces } from './net/interfaces.js';
import { type Identity, verifySignature } from './net/keys.js';
import type { Link } from './net/link.js';
import { Links } from './net/links.js';
import { Sealer } from './net/seal.js';
import { tlsTransport } from './net/transport.js';
import { Multicast } from './net/udp.js';
import type { PeerOffer } from './offer.js';
import type { Catalogue } from './share/catalogue.js';
import type { Known } from './share/known.js';
import type { HashStore } from './share/store.js';
import { onePeer } from './shelf/query.js';
import { chunkCount } from './transfer/content.js';
import type { Message } from './wire/table.js';

export type { IndexChange } from './drive/changes.js';
export type { Fetched, GetOptions } from './drive/collect.js';
export type { PeerOptions } from './drive/options.js';

/** What a sender's or a program's iteration over the index gives. */
export interface PeerIndex extends Iterable<PeerOffer> {
  /** Every change from now on, until the signal or the peer's stop. */
  changes(signal?: AbortSignal): AsyncIterable<IndexChange>;
}

/** Ports after the default one that are tried when it is taken. */
const PORTS_NEXT = 50;
/** How often links are looked at, and after how long without use one is closed, ms. */
const IDLE_LOOK = 10_000;
const IDLE_CLOSE = 60_000;
const INTERFACES_LOOK = 2000;
/** A goodbye leaves before its socket is closed. */
const GOODBYE_MS = 30;

export class Peer implements Api {
  readonly #settled: Settled;
  readonly #options: PeerOptions;
  readonly #startedAt = now();
  readonly #abort = new AbortController();
  readonly #tracing: Tracing;
  readonly #changes = new Changes();
  readonly #requests = new Requests();
  readonly #identity: Identity;
  readonly #gossipSettings: GossipSettings;
  readonly #gossip: Gossip;
  readonly #gossiper: Gossiper;
  readonly #links: Links;
  readonly #server: Server;
  readonly #known: Known;
  readonly #ids = new WeakMap<Link, PeerId>();
  readonly #asides: Asides;
  readonly #answerer: Answerer;
  readonly #asker: Asker;
  readonly #getting: Getting;
  readonly #warnings = new Warnings((message) => this.#tell({ event: 'warning', message }));
  readonly #catalogue: Catalogue | undefined;
  readonly #store: HashStore | undefined;
  readonly #closers: (() => void)[] = [];
  readonly #gets = new Set<Promise<void>>();
  #multicast: Multicast | undefined;
  #served: Served | undefined;
  #stopping: Promise<void> | undefined;

  /**
   * Starts a peer; it can be reached when this resolves. Scanning and hashing go on behind.
   * @throws HearsayError `usage`, `config`, `not-readable` (a path), `port-taken`, `state-in-use`, `not-writable` (state)
   */
  static async start(options: PeerOptions = {}): Promise<Peer> {
    const settled = await settle(options);
    const parts = await open(settled);
    const peer = new Peer(options, settled, parts);
    try {
      await peer.#start(parts);
    } catch (thrown) {
      await peer.stop();
      throw thrown;
    }
    return peer;
  }

  private constructor(options: PeerOptions, settled: Settled, parts: Opened) {
    this.#options = options;
    this.#settled = settled;
    this.#identity = parts.identity;
    this.#tracing = new Tracing(options.trace ?? false);
    const { passive, follow, name, tracker, relays } = settled;
    const { id, key } = parts.identity;
    // The port is known once we listen; nobody sees a head before.
    this.#gossipSettings = { id, key, name, port: 0, epoch: parts.epoch, passive, follow, tracker, relays };
    const { filter } = options;
    const tracer = this.#tracing.tracer;
    this.#catalogue = parts.catalogue?.({
      onChanges: (changes) => this.#asides.offers(changes),
      onHashed: (path, id) => this.#tell({ event: 'hashed', path, id }),
      onWarning: (message) => this.#tell({ event: 'warning', message }),
    });
    this.#links = new Links(
      { identity: this.#identity, instance: randomBytes(8), hello: () => this.#gossip.head(), filter, tracer },
      tlsTransport(parts.group),
      {
        opened: (link) => {
          this.#gossiper.opened(link);
          this.#asides.opened(link);
        },
        message: (link, message) => this.#message(link, message),
        heard: (link) => this.#requests.heard(link),
        closed: (link, why) => {
          this.#requests.linkClosed(link, why);
          this.#server.linkClosed(link, why);
          this.#gossiper.closed(link);
          this.#asides.closed(link);
        },
      },
    );
    this.#gossip = new Gossip(
      this.#gossipSettings,
      { sign: (statement) => this.#identity.sign(statement), verify: verifySignature },
      Math.random,
      () => randomBytes(16),
    );
    this.#gossiper = new Gossiper({
      id,
      gossip: this.#gossip,
      links: this.#links,
      requests: this.#requests,
      join: settled.joins,
      sealer: parts.group.datagrams && new Sealer(parts.group.datagrams, randomBytes),
      onNews: (news) => this.#news(news),
      filter,
      tracer,
    });
    this.#known = parts.known((message) => this.#tell({ event: 'warning', message }));
    this.#asides = new Asides({
      id,
      shares: parts.limited,
      known: this.#known,
      gossip: this.#gossip,
      gossiper: this.#gossiper,
      links: this.#links,
      // Anybody can come under a name that is known, and as often as he likes.
      tell: (event) => {
        if (event.event === 'warning') this.#warnings.take('ambiguous', event.message, now());
        else this.#tell(event);
      },
    });
    const shelf = new LocalShelf(this.#catalogue, (peer, path) => this.#asides.sees(peer, path));
    this.#server = new Server(shelf, {
      begun: (link, path) => this.#serving('begun', link, path, 0),
      completed: (link, path, bytes) => this.#serving('completed', link, path, bytes),
      failed: (link, path, bytes, why) => this.#serving('failed', link, path, bytes, why),
    });
    this.#answerer = new Answerer(this.#gossip, this.#catalogue, this.#asides);
    this.#asker = new Asker({
      requests: this.#requests,
      connect: (peer) => this.#gossiper.connect(peer),
      peers: () => this.#others().map((p) => p.id),
      isNamed: (id, from) => {
        const peer = this.#gossip.peer(id);
        return peer !== undefined && from.some((name) => onePeer(name, [peer]) !== undefined);
      },
      found: (peer, offers, last, aside) => this.#gossiper.dispatch({ kind: 'found', peer, offers, last, aside }),
      pending: () => this.#gossiper.joining,
    });
    this.#getting = new Getting({
      id,
      gossip: this.#gossip,
      gossiper: this.#gossiper,
      links: this.#links,
      requests: this.#requests,
      asker: this.#asker,
      changes: this.#changes,
      shelf,
      server: this.#server,
      catalogue: this.#catalogue,
      learn: (questions, signal) => this.#learn(questions, signal),
      random: Math.random,
      whyNobody: () => this.#gossiper.whyNobody(),
      warn: (message) => this.#tell({ event: 'warning', message }),
    });
    this.#store = parts.store;
  }

  async #start({ warnings, epoch, saveEpoch }: Opened): Promise<void> {
    const { passive, port, defaultPort, groupAddress, multicast, interface: cards, state } = this.#settled;
    this.#served = await Served.open(passive ? undefined : state, (message) =>
      this.#tell({ event: 'warning', message }),
    );
    if (passive) await this.#links.listen(0, 0);
    else await this.#links.listen(port ?? defaultPort, port === undefined ? PORTS_NEXT : 0);
    this.#gossipSettings.port = this.#links.port;
    this.#multicast = await Multicast.open({
      group: groupAddress.host,
      port: groupAddress.port,
      interfaces: cards,
      enabled: multicast,
      onDatagram: (data, from, all) => this.#gossiper.datagram(data, from, all),
      onWarning: (message) => this.#tell({ event: 'warning', message }),
    });
    this.#gossiper.start(this.#multicast);
    this.#closers.push(
      watchInterfaces(() => {
        void this.#multicast?.refresh().then((changed) => {
          if (changed) this.#gossiper.dispatch({ kind: 'interfaces-changed' });
        });
      }, INTERFACES_LOOK),
    );
    let saved = epoch;
    // Rises where others remember a later run than this state folder does; the next run begins above it.
    const save = () => {
      if (this.#gossip.epoch === saved) return;
      saved = this.#gossip.epoch;
      saveEpoch(saved).catch((thrown) => this.#tell({ event: 'warning', message: asHearsayError(thrown).message }));
    };
    const idle = setInterval(() => {
      this.#closeIdle();
      save();
    }, IDLE_LOOK);
    idle.unref();
    this.#closers.push(() => clearInterval(idle), save);
    await this.#catalogue?.start();
    if (passive) {
      for (const message of warnings) this.#tell({ event: 'warning', message });
      return;
    }
    const { id, name, addresses } = this;
    const shares = this.#catalogue?.shares() ?? [];
    const waiting = this.#asides.waiting();
    const more = waiting.length > 0 ? { waiting } : {};
    this.#tell({ event: 'ready', id, name, port: this.port, private: this.#private, shares, addresses, ...more });
    for (const message of warnings) this.#tell({ event: 'warning', message });
  }

  /** Says goodbye and stops everything; what is being written is finished. May be called again. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.#abort.abort(new HearsayError('interrupted', 'this peer is stopping'));
    this.#asides.stop();
    this.#gossiper.stop();
    this.#server.stop();
    this.#changes.end();
    for (const close of this.#closers.splice(0)) close();
    // Gets put their partials away while the goodbye leaves.
    await Promise.all([delay(GOODBYE_MS), ...this.#gets]);
    await Promise.all([this.#links.close(), this.#multicast?.close(), this.#catalogue?.stop()]);
    await Promise.all([this.#served?.stop(), this.#known.stored()]);
    await this.#store?.close();
  }

  /** This peer's id: a ULID. */
  get id(): PeerId {
    return this.#identity.id;
  }

  get name(): string {
    return this.#settled.name;
  }

  /** The TCP port on which others reach it. */
  get port(): number {
    return this.#links.port;
  }

  /** Where others reach it: "ip:port", the most useful first. */
  get addresses(): string[] {
    return (this.#multicast?.addresses() ?? []).map((host) => formatEndpoint({ host, port: this.port }));
  }

  /** The network's offers as this peer knows them. */
  get index(): PeerIndex {
    const { index } = this.#gossip;
    return {
      [Symbol.iterator]: () => index[Symbol.iterator](),
      changes: (signal) => this.#changes.listen(signal),
    };
  }

  async list(query: ListQuery = {}): Promise<Listing> {
    await this.#learn([questionOf(query)]);
    const nobody = this.#others().length === 0 ? this.#gossiper.whyNobody() : undefined;
    const from = lookUpPeers(query.from ?? [], this.#gossip.peers(), nobody);
    const fits = matcher(query, query.from ? from.ids : undefined);
    return { files: listing(this.#gossip.index, fits, (p) => this.#getting.nameOf(p)), away: from.away };
  }

  async *follow(query: ListQuery, signal: AbortSignal): AsyncGenerator<FollowEvent> {
    const nameOf = (p: PeerId) => this.#getting.nameOf(p);
    // Listening begins before the first look, so that nothing falls between.
    const changes = this.#changes.listen(signal);
    await this.#learn([]);
    const from = query.from ? lookUpPeers(query.from, this.#gossip.peers()).ids : undefined;
    const fits = matcher(query, from);
    const shown = new Set<string>();
    for (const row of listing(this.#gossip.index, fits, nameOf)) {
      for (const { id } of row.peers) shown.add(`${id} ${row.path}`);
      yield { event: 'added', ...row };
    }
    for await (const change of changes) {
      if (!fits(change.offer)) continue;
      const key = `${change.offer.peer} ${change.offer.path}`;
      const event = followEvent(change, nameOf);
      // What was listed already came in while the list was made.
      if (!event || (event.event === 'added' && shown.delete(key))) continue;
      shown.delete(key);
      yield event;
    }
  }

  async sources(what: string, from?: string[]): Promise<SourcesRow[]> {
    const query: GetQuery = { what: [what], to: '.', ...(from ? { from } : {}) };
    const pieces = await this.#getting.resolve(query, this.#abort.signal, (error) => {
      throw error;
    });
    const files = pieces.filter((piece) => !piece.folder).slice(0, FILES_MAX);
    return Promise.all(
      files.map((piece) => {
        const chunks = chunkCount(piece.size);
        const { id, name } = this;
        const ranges: [number, number][] = chunks > 0 ? [[0, chunks - 1]] : [];
        return sourcesOf(this.#getting, piece, piece.here ? { id, name, have: chunks, ranges } : undefined);
      }),
    );
  }

  async peers(): Promise<PeerRow[]> {
    await this.#learn([]);
    return this.#gossip.peers().map(({ id, name, addresses, files, bytes, tracker, self, via }) => {
      return { id, name, addresses: self ? this.addresses : addresses, files, bytes, tracker, self, via };
    });
  }

  /** Fetches, and tells of it as it goes: what the command does. */
  get(query: GetQuery, signal: AbortSignal): AsyncIterable<GetEvent>;
  /**
   * Fetches files, folders, patterns or content ids.
   * @returns what arrived, once all has
   * @throws HearsayError the first thing that went wrong; what is verified is kept for the next time
   */
  get(what: string | string[], options?: GetOptions): Promise<Fetched[]>;
  get(what: string | string[] | GetQuery, more: AbortSignal | GetOptions = {}) {
    if (typeof what === 'object' && !Array.isArray(what)) return this.#events(what, more as AbortSignal);
    const { signal = new AbortController().signal, onProgress, to = '.', ...options } = more as GetOptions;
    // `resolve` would take the separator from the end, which says that a folder is meant.
    const folder = /[\\/]$/.test(to) ? sep : '';
    const query = { what: [what].flat(), to: resolve(to) + folder, ...options };
    return collect(this.#events(query, signal), onProgress);
  }

  #events(query: GetQuery, signal: AbortSignal): AsyncIterable<GetEvent> {
    const abort = new AbortController();
    const all = AbortSignal.any([signal, abort.signal, this.#abort.signal]);
    const out = new Stream<GetEvent>(() => abort.abort(new HearsayError('interrupted', 'nobody waits for it')));
    const get = new Get(query, this.#getting, out, all, this.#settled.timeout * 1000);
    const run: Promise<void> = get.run().finally(() => this.#gets.delete(run));
    this.#gets.add(run);
    return out;
  }

  async status(): Promise<StatusReport> {
    const nameOf = (link: Link) => this.#getting.nameOf(link.peer).name;
    const transfers = [...this.#getting.rows(), ...this.#server.rows(nameOf)];
    return {
      running: true,
      pid: process.pid,
      id: this.id,
      name: this.name,
      port: this.port,
      state: this.#settled.state,
      private: this.#private,
      strangers: this.#gossiper.strangers,
      uptime: Math.round(now() - this.#startedAt),
      memory: process.memoryUsage.rss(),
      shares: this.#catalogue?.shares() ?? [],
      transfers: transfers.map((row, i) => ({ number: i + 1, ...row })),
      peers: this.#others().length,
      offers: this.#gossip.index.size,
    };
  }

  async served(): Promise<ServedRow[]> {
    return this.#served?.rows() ?? [];
  }

  trace(signal: AbortSignal): AsyncIterable<TraceRecord> {
    return this.#tracing.listen(signal);
  }

  /** Why joined hosts could not be reached, by their addresses. */
  get unjoined(): ReadonlyMap<string, HearsayError> {
    return this.#gossiper.unjoined;
  }

  get #private(): boolean {
    return this.#settled.secret !== undefined;
  }

  #others() {
    return this.#gossip.peers().filter((p) => !p.self);
  }

  /** A one-shot knows only what it asks for; a long-lived peer knows already. */
  async #learn(questions: Question[], signal?: AbortSignal): Promise<void> {
    if (!this.#settled.passive) return;
    // One that follows pulls whole indexes instead.
    await this.#asker.ask(this.#settled.follow ? [] : questions, this.#settled.wait * 1000, signal);
  }

  #message(link: Link, message: Message): void {
    switch (message.type) {
      case 'O':
      case 'L':
      case 'N':
        this.#gossiper.dispatch({ kind: 'message', peer: link.peer, message });
        return;
      case 'Y':
        // Of two links of one pair the later begins anew: what still comes over the other would only confuse it.
        if (this.#links.get(link.peer) !== link) return;
        // What is not kept now is not told again over this link: one that belongs here dials anew.
        if (!this.#gossip.peer(link.peer)) throw new HearsayError('cancelled', 'told aside by one that is not listed');
        this.#gossiper.dispatch({ kind: 'aside', peer: link.peer, message });
        return;
      case 'P':
      case 'F':
        this.#answerer.take(link, message);
        return;
      case 'D':
      case 'I':
      case 'M':
      case 'T':
      case 'E':
      case 'U':
      case 'K':
      case 'W':
        this.#requests.answer(link, message);
        return;
      case 'G':
      case 'R':
      case 'A':
      case 'B':
      case 'X':
      case 'S':
        this.#server.handle(link, message);
        if (message.type === 'X') this.#answerer.cancel(link, message.number);
        return;
      default:
        throw new HearsayError('bad-message', `${message.type} after the handshake`);
    }
  }

  #news(news: News): void {
    if (news.kind === 'change') {
      this.#changes.push({ kind: news.change, offer: news.offer, before: news.before });
      return;
    }
    if (news.kind === 'warning') {
      this.#warnings.take(news.code, news.message, now());
      return;
    }
    const { id, name } = news.peer;
    if (news.change === 'came') {
      this.#asker.came(id);
      this.#asides.came({ id, name });
    } else this.#asides.left({ id, name });
    this.#tell({ event: 'peer', change: news.change, id, name });
  }

  #serving(state: 'begun' | 'completed' | 'failed', link: Link, path: string, bytes: number, why?: string): void {
    const peer = { id: this.#listedAs(link), name: link.head.name };
    const event = { path, peer, bytes, ...(why === undefined ? {} : { why }) };
    if (state !== 'begun') this.#served?.add({ time: Date.now(), ...event, outcome: state });
    this.#tell({ event: 'serving', state, ...event });
  }

  /** The id by which a link's peer is known, where it is a one-shot of one that is listed or tied to a name. */
  #listedAs(link: Link): PeerId {
    let id = this.#ids.get(link);
    if (id === undefined) {
      const key = keyPart(link.peer);
      const known = [...this.#gossip.peers().map((peer) => peer.id), ...this.#known.ids()];
      id = known.find((one) => keyPart(one) === key) ?? link.peer;
      this.#ids.set(link, id);
    }
    return id;
  }

  #tell(event: ShareEvent): void {
    this.#options.onEvent?.(event);
  }

  /** Closes links that we dialled and nobody has used for a while; peers that hear each other need none. */
  #closeIdle(): void {
    for (const link of [...this.#links.all]) {
      if (!link.dialled || performance.now() - link.usedAt < IDLE_CLOSE) continue;
      if (this.#requests.busy(link) || this.#server.busy(link) || this.#gossiper.needs(link)) continue;
      if (this.#asides.needs(link) || this.#gossip.hearsAside(link.peer)) continue;
      link.close(new HearsayError('cancelled', 'nobody uses this connection'));
    }
  }
}
