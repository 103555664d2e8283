/**
 * The library's face: composes the rest, starts and stops it.
 *
 * Owns every part of one running peer. Always true: after `stop` nothing of it runs, and everyone was told. Called by
 * programs, and by the commands, which have no other door.
 */
import { randomBytes, randomInt } from 'node:crypto';
import { resolve, sep } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type {
  AddedRow,
  AddQuery,
  AnsweredRow,
  AnswerQuery,
  Api,
  BelowQuery,
  BelowRow,
  DoctorReport,
  FollowEvent,
  ForgottenRow,
  GetEvent,
  GetQuery,
  InboxRow,
  Listing,
  ListingPart,
  ListQuery,
  PeerName,
  PeerRow,
  RefreshReport,
  ReloadReport,
  RemovedRow,
  RemoveQuery,
  SendEvent,
  SendQuery,
  ServedRow,
  ShareEvent,
  SourcesRow,
  StatusReport,
  SteeredRow,
  SteerQuery,
  TraceRecord,
} from './api.js';
import { Answerer } from './drive/answerer.js';
import { Asides } from './drive/asides.js';
import { Asker, type Question } from './drive/asker.js';
import { Awaited } from './drive/awaited.js';
import { below } from './drive/below.js';
import { Changes, type IndexChange } from './drive/changes.js';
import { say } from './drive/clients.js';
import { collect, type Fetched, type GetOptions } from './drive/collect.js';
import { refuse } from './drive/desks.js';
import { diagnose } from './drive/doctor.js';
import { examine, interfaceRows } from './drive/doctor-look.js';
import { Getting } from './drive/getting.js';
import { Gossiper, type News, now } from './drive/gossiper.js';
import { Happenings } from './drive/happenings.js';
import { Inbox } from './drive/inbox.js';
import { Jobs } from './drive/jobs.js';
import { Joins } from './drive/joins.js';
import { Limits } from './drive/limits.js';
import { followEvent, listing, matcher, questionOf } from './drive/listing.js';
import { LocalShelf } from './drive/local-shelf.js';
import { lookUpPeers } from './drive/lookup.js';
import { type Opened, open } from './drive/open.js';
import { differences, joinsOf, type PeerOptions, type Settled, settle } from './drive/options.js';
import { Parcels } from './drive/parcels.js';
import { Reach } from './drive/reach.js';
import { Refresher } from './drive/refresh.js';
import { Remembered } from './drive/remembered.js';
import { Requests } from './drive/requests.js';
import { resting } from './drive/resting.js';
import { InboxRules } from './drive/rules.js';
import { seed } from './drive/seeding.js';
import { Sends } from './drive/sends.js';
import { Server } from './drive/serve.js';
import { Served } from './drive/served.js';
import { limitedOf, Shares } from './drive/shares.js';
import { FILES_MAX, sourcesOf } from './drive/sources.js';
import { Stream } from './drive/stream.js';
import { Tracing } from './drive/tracing.js';
import { type ToTracker, Tracker, type TrackerStore } from './drive/tracker.js';
import { openTrackerStore } from './drive/tracker-store.js';
import { Trackers } from './drive/trackers.js';
import { Tunnels } from './drive/tunnels.js';
import { View } from './drive/view.js';
import { Warnings } from './drive/warnings.js';
import { formatEndpoint, isLoopback } from './endpoint.js';
import { asHearsayError, HearsayError } from './errors.js';
import type { PeerInfo } from './gossip/events.js';
import { Gossip, type Settings as GossipSettings } from './gossip/gossip.js';
import { keyPart, type PeerId } from './ids.js';
import type { GroupKeys } from './net/group-keys.js';
import { type Identity, verifySignature } from './net/keys.js';
import type { Link } from './net/link.js';
import { Links, TRACKER_MOST } from './net/links.js';
import { Sealer } from './net/seal.js';
import { tlsTransport } from './net/transport.js';
import { Multicast } from './net/udp.js';
import type { PeerOffer } from './offer.js';
import { formatHostPort } from './share/address.js';
import type { Catalogue } from './share/catalogue.js';
import type { Known } from './share/known.js';
import type { Settings } from './share/settings.js';
import type { HashStore } from './share/store.js';
import { onePeer } from './shelf/query.js';
import { LOOKUP } from './tracker/events.js';
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
/** How long those who follow wait for all that trackers know until now, ms. */
const FOLLOW_MS = 3000;
/** A goodbye leaves before its socket is closed. */
const GOODBYE_MS = 30;

export class Peer implements Api {
  #settled: Settled;
  readonly #options: PeerOptions;
  readonly #startedAt = now();
  readonly #abort = new AbortController();
  readonly #tracing: Tracing;
  readonly #changes = new Changes();
  readonly #happenings = new Happenings({
    id: () => this.id,
    nameOf: (peer) => this.#getting.nameOf(peer),
    isHere: (peer) => this.#view.peer(peer) !== undefined,
  });
  readonly #refresher = new Refresher({
    changes: this.#changes,
    peers: () => this.#others(),
    nameOf: (peer) => this.#getting.nameOf(peer),
    ask: () => {
      this.#gossiper.refresh();
      this.#trackers.refresh();
    },
    isBusy: () => this.#gossip.isPulling || this.#joins.dialling,
    wait: () => this.#settled.wait * 1000,
    signal: this.#abort.signal,
  });
  readonly #requests = new Requests();
  readonly #identity: Identity;
  readonly #gossipSettings: GossipSettings;
  readonly #gossip: Gossip;
  readonly #gossiper: Gossiper;
  /** Hosts that a person named. */
  readonly #joins: Joins;
  /** Who was here before. */
  readonly #remembered: Remembered;
  readonly #reach: Reach;
  readonly #tunnels: Tunnels;
  readonly #links: Links;
  /** Trackers at which this peer registers, and that it asks. */
  readonly #trackers: Trackers;
  /** What gossip has proved and trackers told, as one. */
  readonly #view: View;
  /** The views of those who follow by themselves. */
  readonly #views = new Set<View>();
  readonly #server: Server;
  /** On what it sends and fetches. */
  readonly #limits: Limits;
  readonly #known: Known;
  readonly #ids = new WeakMap<Link, PeerId>();
  /** When something was last asked or served over a link, as far as it was looked. */
  readonly #busyAt = new WeakMap<Link, number>();
  readonly #asides: Asides;
  readonly #awaited: Awaited;
  readonly #answerer: Answerer;
  readonly #asker: Asker;
  /** Where this peer is the registry. */
  readonly #tracker: Tracker | undefined;
  readonly #getting: Getting;
  readonly #warnings = new Warnings((message) => this.#tell({ event: 'warning', message }));
  readonly #catalogue: Catalogue | undefined;
  /** A one-shot has none. */
  readonly #shares: Shares | undefined;
  readonly #store: HashStore | undefined;
  readonly #closers: (() => void)[] = [];
  /** What this peer was asked to fetch and send. */
  readonly #jobs: Jobs;
  readonly #parcels = new Parcels({ catalogue: () => this.#catalogue, server: () => this.#server });
  readonly #sends: Sends;
  readonly #rules: InboxRules;
  readonly #inbox: Inbox;
  #multicast: Multicast | undefined;
  #served: Served | undefined;
  /** The port where it was to listen, which another program had; `chosen` by a person. */
  #taken: { port: number; chosen: boolean } | undefined;
  #stopping: Promise<void> | undefined;
  /** What happened before `ready` was told, which comes first; undefined from then on. */
  #early: ShareEvent[] | undefined;

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
      peer.#begin();
      await peer.stop();
      throw thrown;
    }
    return peer;
  }

  private constructor(options: PeerOptions, settled: Settled, parts: Opened) {
    this.#options = options;
    this.#settled = settled;
    this.#limits = new Limits(settled);
    this.#identity = parts.identity;
    this.#tracing = new Tracing(options.trace ?? false);
    const { passive, follow, name, tracker, relays } = settled;
    this.#early = passive ? undefined : [];
    const { id, key } = parts.identity;
    // The port is known once we listen; nobody sees a head before.
    this.#gossipSettings = { id, key, name, port: 0, epoch: parts.epoch, passive, follow, tracker, relays };
    const { filter } = options;
    const tracer = this.#tracing.tracer;
    this.#catalogue = parts.catalogue?.({
      onChanges: (changes) => this.#asides.offers(this.#parcels.take(changes)),
      onHashed: (path, id) => {
        if (!this.#parcels.has(path)) this.#tell({ event: 'hashed', path, id });
      },
      onWarning: (message) => this.#tell({ event: 'warning', message }),
      onAway: (share, why) => {
        if (!share.hidden) this.#shares?.away(share, why);
      },
    });
    const instance = randomBytes(8);
    this.#links = new Links(
      { identity: this.#identity, instance, hello: () => this.#gossip.head(), filter, tracer },
      tlsTransport(parts.group),
      {
        opened: (link) => {
          this.#reach.opened(link);
          this.#gossiper.opened(link);
          this.#asides.opened(link);
          this.#trackers.opened(link);
        },
        message: (link, message) => this.#message(link, message),
        heard: (link) => {
          this.#requests.heard(link);
          this.#tracker?.heard(link);
        },
        closed: (link, why) => {
          this.#requests.linkClosed(link, why);
          this.#server.linkClosed(link, why);
          this.#tunnels.linkClosed(link);
          this.#gossiper.closed(link);
          this.#asides.closed(link);
          this.#inbox.linkClosed(link);
          this.#trackers.closed(link, why);
          this.#tracker?.linkClosed(link);
        },
      },
      tracker ? TRACKER_MOST : undefined,
    );
    this.#gossip = new Gossip(
      this.#gossipSettings,
      { sign: (statement) => this.#identity.sign(statement), verify: verifySignature },
      Math.random,
      () => randomBytes(16),
    );
    this.#tunnels = new Tunnels({
      id,
      links: this.#links,
      relays,
      limiter: this.#limits.up,
      connect: (peer) => this.#reach.connectNear(peer),
    });
    this.#trackers = new Trackers({
      id,
      passive,
      gossip: this.#gossip,
      links: this.#links,
      requests: this.#requests,
      random: Math.random,
      addresses: () => this.addresses,
      onTold: (told) => this.#view.told(told),
      tell: (event) => this.#tell(event),
      mirror: options.mirror,
    });
    this.#reach = new Reach({
      id,
      links: this.#links,
      gossip: this.#gossip,
      trackers: this.#trackers,
      tunnels: this.#tunnels,
      call: (peer) => this.#gossiper.call(peer),
      multicast: settled.multicast,
    });
    this.#joins = new Joins({
      links: this.#links,
      hosts: settled.joins,
      onJoined: (link, endpoint) => this.#trackers.joined(link, endpoint),
      onWarning: (code, message) => this.#news({ kind: 'warning', code, message }),
    });
    this.#gossiper = new Gossiper({
      id,
      gossip: this.#gossip,
      links: this.#links,
      requests: this.#requests,
      joins: this.#joins,
      sealer: parts.group.datagrams && new Sealer(parts.group.datagrams, randomBytes),
      reach: this.#reach,
      onNews: (news) => this.#news(news),
      filter,
      tracer,
    });
    const listedName = (peer: PeerId) => this.#joins.listedName(peer);
    const events = {
      change: (change: IndexChange) => {
        this.#changes.push(change);
        this.#happenings.change(change);
      },
      peer: (change: 'came' | 'left', peer: PeerName) => this.#comes(change, peer),
    };
    this.#view = new View(this.#gossip, this.#trackers.live, undefined, events, undefined, listedName);
    this.#known = parts.known((message) => this.#tell({ event: 'warning', message }));
    this.#remembered = new Remembered({
      ...parts.remembered,
      keeps: !passive,
      here: () => this.#gossip.peers().filter(({ self }) => !self),
      known: this.#known,
      onWarning: (message) => this.#tell({ event: 'warning', message }),
    });
    this.#awaited = new Awaited({
      id,
      trackers: this.#trackers,
      view: this.#view,
      names: () => this.#asides.names(),
      came: (peer) => this.#asides.came(peer),
      left: (peer) => this.#asides.left(peer),
    });
    this.#asides = new Asides({
      id,
      shares: limitedOf(parts.gathered.shares),
      known: this.#known,
      gossip: this.#gossip,
      here: this.#awaited,
      gossiper: this.#gossiper,
      reach: this.#reach,
      links: this.#links,
      // Anybody can come under a name that is known, and as often as he likes.
      tell: (event) => {
        if (event.event === 'warning') this.#warnings.take('ambiguous', event.message, now());
        else this.#tell(event);
      },
    });
    const sees = (peer: PeerId, path: string) => this.#parcels.sees(peer, path) && this.#asides.sees(peer, path);
    const shelf = new LocalShelf(this.#catalogue, sees);
    const serving = {
      begun: (link: Link, path: string) => this.#serving('begun', link, path, 0),
      completed: (link: Link, path: string, bytes: number) => this.#serving('completed', link, path, bytes),
      failed: (link: Link, path: string, bytes: number, why: string) => this.#serving('failed', link, path, bytes, why),
    };
    this.#server = new Server(shelf, serving, this.#limits.up);
    this.#shares =
      this.#catalogue &&
      new Shares({
        ...parts.gathered,
        state: settled.state,
        save: parts.saveShares,
        catalogue: this.#catalogue,
        asides: this.#asides,
        server: this.#server,
        tell: (event) => this.#tell(event),
      });
    this.#answerer = new Answerer(this.#gossip, this.#catalogue, this.#asides, this.#parcels);
    this.#asker = new Asker({
      requests: this.#requests,
      connect: (peer) => this.#reach.connect(peer),
      peers: () => this.#others().map((p) => p.id),
      isNamed: (id, from) => {
        const peer = this.#view.peer(id) ?? this.#trackers.peer(id);
        return peer !== undefined && from.some((name) => onePeer(name, [peer]) !== undefined);
      },
      found: (peer, offers, last, aside) => this.#gossiper.dispatch({ kind: 'found', peer, offers, last, aside }),
      pending: () => this.#joins.joining,
    });
    this.#getting = new Getting({
      id,
      view: this.#view,
      reach: this.#reach,
      trackers: this.#trackers,
      links: this.#links,
      requests: this.#requests,
      asker: this.#asker,
      changes: this.#changes,
      shelf,
      server: this.#server,
      catalogue: this.#catalogue,
      store: parts.store,
      fetched: parts.fetched,
      registered: (content) => this.#tracker?.holdings(content) ?? [],
      learn: (questions, signal) => this.#learn(questions, signal),
      askPeers: async (questions) => {
        if (this.#asksAround) await this.#asker.ask(questions, this.#settled.wait * 1000);
      },
      random: Math.random,
      limiter: this.#limits.down,
      whyNobody: () => this.#gossiper.whyNobody(),
      warn: (message) => this.#tell({ event: 'warning', message }),
    });
    this.#jobs = new Jobs({
      context: this.#getting,
      atOnce: settled.transfers,
      timeout: () => this.#settled.timeout * 1000,
      mayFetch: () => !this.#settled['seed-only'],
      files: parts.jobs,
      seed: async (query, landed, tell) => {
        const isWanted = query.seed ?? (this.#settled.seed && this.#shares !== undefined);
        if (isWanted) await seed(landed, this.#shares, tell);
      },
      tell: (event) => this.#tell(event),
    });
    this.#changes.hook(({ kind, offer }) => {
      if (kind !== 'removed' && offer.peer !== id) this.#jobs.came(offer);
    });
    this.#tracker = tracker
      ? new Tracker({
          id,
          instance,
          gossip: this.#gossip,
          gossiper: this.#gossiper,
          links: this.#links,
          addresses: () => this.addresses,
          store: this.#trackerStore(parts.group),
          tell: (event) => this.#tell(event),
          random: Math.random,
        })
      : undefined;
    this.#store = parts.store;
    this.#sends = new Sends({
      id,
      state: settled.state,
      requests: this.#requests,
      connect: (peer) => this.#reach.connect(peer),
      isHere: (peer) => this.#getting.isHere(peer),
      parcels: this.#parcels,
      known: this.#known,
      random: () => randomInt(2 ** 32) / 2 ** 32,
      peers: async () => (await this.#learn([{ kind: LOOKUP.peers, text: '' }])).peers(),
      nameOf: (peer) => this.#getting.nameOf(peer),
      whyNobody: () => this.#gossiper.whyNobody(),
      register: (about, steering) => this.#jobs.register(about, steering),
    });
    this.#rules = new InboxRules(this.#known, id, () => this.#view.peers());
    this.#rules.set(settled);
    this.#inbox = new Inbox({
      id,
      getting: this.#getting,
      shelf,
      server: this.#server,
      isConnected: (peer) => this.#links.get(peer) !== undefined,
      folder: () => this.#settled['inbox-folder'],
      timeout: () => this.#settled.timeout * 1000,
      closed: () => {
        if (passive) return 'a one-shot takes nothing';
        return this.#settled['seed-only'] ? 'it only serves (seed-only), and takes nothing' : undefined;
      },
      rule: (peer) => this.#rules.of(peer),
      tell: (event) => this.#tell(event),
      register: (about, steering) => this.#jobs.register(about, steering),
    });
  }

  /** What several trackers share, where the settings name it. */
  #trackerStore(group: GroupKeys): TrackerStore | undefined {
    const url = this.#settled['tracker-store'];
    if (url === '') return undefined;
    const { id } = this.#identity;
    return openTrackerStore({
      url,
      group,
      tracker: id,
      tell: (event) => this.#tell(event),
      random: Math.random,
    });
  }

  async #start({ warnings, epoch, saveEpoch }: Opened): Promise<void> {
    const { passive, groupAddress, multicast, interface: cards, state } = this.#settled;
    this.#served = await Served.open(passive ? undefined : state, (message) =>
      this.#tell({ event: 'warning', message }),
    );
    await this.#listen();
    this.#gossipSettings.port = this.#links.port;
    this.#multicast = await Multicast.open({
      group: groupAddress.host,
      port: groupAddress.port,
      interfaces: cards,
      enabled: multicast,
      onDatagram: (data, from, all) => this.#gossiper.datagram(data, from, all),
      onChange: () => {
        this.#gossiper.dispatch({ kind: 'interfaces-changed' });
        this.#trackers.listening();
      },
      onWarning: (message) => this.#tell({ event: 'warning', message }),
    });
    this.#gossiper.dispatch({ kind: 'remembered', peers: this.#remembered.absent() });
    this.#gossiper.start(this.#multicast);
    this.#trackers.start();
    if (!passive) this.#awaited.start();
    this.#tracker?.start();
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
    const shares = this.#shares?.rows() ?? [];
    const waiting = this.#asides.waiting();
    const more = {
      ...(waiting.length > 0 ? { waiting } : {}),
      ...(this.#settled.tracker ? { tracker: this.#joinNames() } : {}),
    };
    const ready = { id, name, port: this.port, private: this.#private, shares, addresses, ...more };
    this.#early?.unshift({ event: 'ready', ...ready });
    this.#begin();
    this.#jobs.start();
    for (const message of warnings) this.#tell({ event: 'warning', message });
  }

  /** Begins to listen. @throws HearsayError `port-taken`; a one-shot, which can do without, listens elsewhere */
  async #listen(): Promise<void> {
    const { passive, listens, port, defaultPort } = this.#settled;
    const wanted = port ?? defaultPort;
    try {
      if (!listens) await this.#links.listen(0, 0);
      else await this.#links.listen(wanted, port === undefined ? PORTS_NEXT : 0);
    } catch (thrown) {
      if (!passive) throw thrown;
      await this.#links.listen(0, 0);
    }
    if (listens && wanted !== 0 && this.port !== wanted) this.#taken = { port: wanted, chosen: port !== undefined };
  }

  /** Says goodbye and stops everything; what is being written is finished. May be called again. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.#abort.abort(new HearsayError('interrupted', 'this peer is stopping'));
    this.#asides.stop();
    this.#awaited.stop();
    this.#trackers.stop();
    this.#view.end();
    this.#tunnels.stop();
    this.#limits.stop();
    this.#gossiper.stop();
    this.#server.stop();
    const tracker = this.#tracker?.stop();
    const remembered = this.#remembered.stop();
    this.#changes.end();
    for (const close of this.#closers.splice(0)) close();
    // Gets put their partials away while the goodbye leaves.
    this.#rules.stop();
    await Promise.all([delay(GOODBYE_MS), this.#sends.stop(), this.#inbox.stop(), this.#jobs.stop()]);
    await Promise.all([this.#links.close(), this.#multicast?.close(), this.#catalogue?.stop()]);
    await Promise.all([this.#served?.stop(), this.#known.stored(), remembered, tracker]);
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

  /** As others name it to --join: without what means something on its own machine or card only, where there is more. */
  #joinNames(): string[] {
    const hosts = this.#multicast?.addresses() ?? [];
    const others = hosts.filter((host) => !isLoopback(host) && !host.includes('%'));
    const named = others.length > 0 ? others : hosts;
    return named.map((host) => formatHostPort({ host, port: this.port }, this.#settled.defaultPort));
  }

  /** The network's offers as this peer knows them. */
  get index(): PeerIndex {
    return {
      [Symbol.iterator]: () => this.#view[Symbol.iterator](),
      changes: (signal) => this.#changes.listen(signal),
    };
  }

  async list(query: ListQuery = {}): Promise<Listing> {
    const listing: Listing = { files: [], away: [] };
    for await (const { files, away, more } of this.listing(query, this.#abort.signal)) {
      for (const row of files) listing.files.push(row);
      if (away) listing.away = away;
      if (more) listing.more = more;
    }
    return listing;
  }

  async *listing(query: ListQuery, signal: AbortSignal): AsyncGenerator<ListingPart> {
    const view = await this.#learn([questionOf(query)], signal);
    const peers = view.peers();
    const nobody = peers.every(({ self }) => self) ? this.#gossiper.whyNobody() : undefined;
    const from = lookUpPeers(query.from ?? [], peers, nobody);
    const names = new Map(peers.map((peer) => [peer.id, peer]));
    const nameOf = (p: PeerId) => names.get(p) ?? this.#getting.nameOf(p);
    yield { files: [], away: from.away };
    for await (const { files, more } of resting(listing(view.listed, query, query.from && from.ids, nameOf))) {
      signal.throwIfAborted();
      yield more > 0 ? { files, more } : { files };
    }
  }

  async *follow(query: ListQuery, signal: AbortSignal): AsyncGenerator<FollowEvent> {
    const nameOf = (p: PeerId) => this.#getting.nameOf(p);
    matcher(query, undefined);
    const followed = new Changes();
    // Trackers tell of what fits alone, whatever else is copied of them here.
    const { kind, text } = questionOf(query);
    const watch = this.#trackers.watch(kind, text, (told) => view.told(told));
    const view: View = new View(this.#gossip, watch.directory, undefined, {
      change: (change) => followed.push(change),
      peer: () => {},
    });
    // Listening begins before the first look, so that nothing falls between.
    const changes = followed.listen(AbortSignal.any([signal, this.#abort.signal]));
    this.#views.add(view);
    try {
      const here = await this.#learn(query.from ? [{ kind: LOOKUP.peers, text: '', from: query.from }] : []);
      await watch.ready(FOLLOW_MS, signal);
      const from = query.from ? lookUpPeers(query.from, here.peers()).ids : undefined;
      const fits = matcher(query, from);
      const shown = new Set<string>();
      const { words, ...all } = query;
      for await (const { files } of resting(listing(view.listed, all, from, nameOf))) {
        for (const row of files) {
          if (words && !fits({ path: row.path, peer: row.peers[0].id })) continue;
          for (const { id } of row.peers) shown.add(`${id} ${row.path}`);
          yield { event: 'added', ...row };
        }
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
    } finally {
      this.#views.delete(view);
      view.end();
      watch.end();
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
    const view = await this.#learn([{ kind: LOOKUP.peers, text: '' }]);
    return view.peers().map(({ id, name, addresses, files, bytes, tracker, self, via }) => {
      const unreachable = self ? undefined : this.#reach.unreachable(id);
      const row = { id, name, addresses: self ? this.addresses : addresses, files, bytes, tracker, self, via };
      if (via === 'join' && this.#joins.listedName(id) !== undefined) row.via = 'config';
      return { ...row, ...(unreachable === undefined ? {} : { unreachable }) };
    });
  }

  async forget(text: string): Promise<ForgottenRow> {
    const forgotten = await this.#remembered.forget(text);
    this.#gossiper.dispatch({ kind: 'forgotten', peer: forgotten.id });
    if (forgotten.names.length > 0) {
      this.#shares?.relimit();
      this.#rules.again(this.#settled);
    }
    return forgotten;
  }

  async below({ prefix, from }: BelowQuery): Promise<BelowRow[]> {
    return below(this.#view, prefix, from && lookUpPeers(from, this.#view.peers()).ids);
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
    if (this.#settled['seed-only'] && !query.discard) {
      const refused = new Stream<GetEvent>();
      const what = `${this.name} only serves (seed-only) and fetches nothing`;
      refused.fail(new HearsayError('refused', `${what}: --state DIR makes a peer apart that does`));
      return refused;
    }
    // What is kept is stopped in its own way, and goes on later.
    return this.#jobs.get(query, query.keep ? signal : AbortSignal.any([signal, this.#abort.signal]));
  }

  async status(): Promise<StatusReport> {
    const nameOf = (link: Link) => this.#getting.nameOf(link.peer).name;
    // What is sent has a row of its own.
    const served = this.#server.rows(nameOf).filter(({ path }) => !this.#parcels.has(path));
    const transfers = [...this.#jobs.rows(), ...served.map((row) => ({ ...row, path: this.#titleOf(row.path) }))];
    const trackers = this.#trackers.rows();
    const limits = this.#limits.inForce;
    const unjoined = [...this.unjoined].map(([address, { code, message }]) => ({ address, error: { code, message } }));
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
      shares: this.#shares?.rows() ?? [],
      transfers,
      peers: this.#others().length,
      offers: this.#view.size,
      ...(trackers.length > 0 ? { trackers } : {}),
      ...(unjoined.length > 0 ? { unjoined } : {}),
      ...(this.#tracker ? { tracker: this.#tracker.report() } : {}),
      ...(this.#settled['seed-only'] ? { seedOnly: true as const } : {}),
      ...(limits ? { limits } : {}),
    };
  }

  /**
   * Shares more, from now on and whenever a peer runs on this state folder.
   * @throws HearsayError `usage`; what is the matter with one path is in its row
   */
  async add(query: AddQuery): Promise<AddedRow[]> {
    return this.#sharing().add(query);
  }

  /** Shares no more what is named or lies there; what the peer was started with comes back at its next start. */
  async remove(query: RemoveQuery): Promise<RemovedRow[]> {
    return this.#sharing().remove(query);
  }

  /**
   * Takes over what the config file says now, as far as that can be done while it runs.
   * @param fresh the settings as they are now; left out, they are read again, with the options that it was started with
   * @throws HearsayError `config`, `usage` where they cannot be read, and then nothing has changed
   */
  async reload(fresh?: Settings): Promise<ReloadReport> {
    const shares = this.#sharing();
    const settings = fresh ?? (await settle(this.#options));
    const report = differences(this.#settled, settings);
    const { timeout, 'seed-only': seedOnly, seed, transfers, 'limit-up': up, 'limit-down': down, limit } = settings;
    this.#settled = { ...this.#settled, timeout, 'seed-only': seedOnly, seed, transfers };
    this.#settled = { ...this.#settled, 'limit-up': up, 'limit-down': down, limit };
    this.#jobs.atOnce = transfers;
    this.#limits.set(this.#settled);
    const { inbox, 'inbox-rules': rules, 'inbox-folder': folder } = settings;
    this.#settled = { ...this.#settled, inbox, 'inbox-rules': rules, 'inbox-folder': folder };
    this.#rules.set(this.#settled);
    const { peers } = settings;
    this.#settled = { ...this.#settled, peers, joins: joinsOf({ ...this.#settled, peers }) };
    this.#joins.set(this.#settled.joins);
    // Those that were named when it was started stand in place of the file's.
    const isGiven = settings.sharesGiven || this.#settled.sharesGiven;
    const reshared = isGiven ? { added: [], removed: [], errors: [] } : await shares.reconfigure(settings.share);
    return { ...report, ...reshared };
  }

  #sharing(): Shares {
    if (!this.#shares) throw new HearsayError('usage', 'a one-shot shares nothing');
    return this.#shares;
  }

  async served(): Promise<ServedRow[]> {
    return this.#served?.rows() ?? [];
  }

  async steer(query: SteerQuery): Promise<SteeredRow[]> {
    return this.#jobs.steer(query);
  }

  /**
   * Sends files and folders to peers, each of which takes them or does not.
   * @throws HearsayError from its iteration: `not-running` of a one-shot, `no-such-path`, `usage`
   */
  send(query: SendQuery, signal: AbortSignal): AsyncIterable<SendEvent> {
    return this.#sends.send(query, signal);
  }

  async inbox(): Promise<InboxRow[]> {
    return this.#inbox.rows();
  }

  async answer(query: AnswerQuery): Promise<AnsweredRow[]> {
    return this.#inbox.answer(query);
  }

  events(signal: AbortSignal): AsyncIterable<ShareEvent> {
    return this.#happenings.listen(AbortSignal.any([signal, this.#abort.signal]));
  }

  async refresh(): Promise<RefreshReport> {
    return this.#refresher.refresh();
  }

  async doctor(): Promise<DoctorReport> {
    const others = (all: PeerInfo[]) => all.filter(({ self }) => !self);
    const facts = await examine({
      settled: this.#settled,
      startedAt: this.#startedAt - performance.timeOrigin,
      port: this.#settled.listens && !this.#taken?.chosen ? this.port : 0,
      taken: this.#taken,
      multicast: this.#multicast as Multicast,
      gossiper: this.#gossiper,
      joins: this.#joins,
      links: this.#links,
      trackers: this.#trackers,
      known: () => others(this.#view.peers()),
      learn: async () => others((await this.#learn([{ kind: LOOKUP.peers, text: '' }])).peers()),
      try: (peers) => this.#reach.look(peers),
      absent: () => this.#remembered.absent(),
      offers: () => this.#view,
      clock: () => ({ system: Date.now(), steady: now() }),
    });
    return { findings: diagnose(facts), interfaces: interfaceRows(facts.cards) };
  }

  trace(signal: AbortSignal): AsyncIterable<TraceRecord> {
    return this.#tracing.listen(signal);
  }

  /** Why joined hosts could not be reached, by their addresses. */
  get unjoined(): ReadonlyMap<string, HearsayError> {
    return this.#joins.unjoined;
  }

  get #private(): boolean {
    return this.#settled.secret !== undefined;
  }

  #others() {
    return this.#view.peers().filter((p) => !p.self);
  }

  /** Whether this is a one-shot that asks those who are here; one that follows pulls whole indexes instead. */
  get #asksAround(): boolean {
    return this.#settled.passive && !this.#settled.follow;
  }

  /**
   * A one-shot knows only what it asks for; a long-lived peer knows already, but for large registries, which it asks.
   * @returns what there is, with the answers of trackers
   */
  async #learn(questions: Question[], signal?: AbortSignal): Promise<View> {
    const { passive, wait } = this.#settled;
    const asking = this.#trackers.ask(questions, (peer) => {
      // One that was named, and is not heard itself, is asked itself.
      if (this.#asksAround && questions.some(({ from }) => from)) this.#asker.came(peer);
    });
    try {
      if (passive) await this.#asker.ask(this.#asksAround ? questions : [], wait * 1000, signal, asking);
      else await asking.done(signal);
    } finally {
      asking.end();
    }
    return this.#view.with(asking.directory);
  }

  #message(link: Link, message: Message): void {
    this.#tracker?.heard(link);
    switch (message.type) {
      case 'O':
      case 'L':
      case 'N':
      case 'j':
        this.#gossiper.dispatch({ kind: 'message', peer: link.peer, message });
        if (message.type === 'L' && message.id === link.peer) this.#tracker?.left(link);
        return;
      case 'Y':
        // Of two links of one pair the later begins anew: what still comes over the other would only confuse it.
        if (this.#links.get(link.peer) !== link) return;
        // What is not kept now is not told again over this link: one that belongs here dials anew.
        if (!this.#gossip.peer(link.peer)) throw new HearsayError('cancelled', 'told aside by one that is not listed');
        this.#gossiper.dispatch({ kind: 'aside', peer: link.peer, message });
        return;
      case 'P':
      case 'b':
      case 'F':
        this.#answerer.take(link, message);
        return;
      case 'D':
      case 'r':
      case 'I':
      case 'M':
      case 'T':
      case 'E':
      case 'U':
      case 'K':
      case 'g':
      case 'W':
      case 'Z':
      case 'f':
      case 'v':
        this.#requests.answer(link, message);
        return;
      case 'G':
      case 'R':
      case 'A':
      case 'B':
      case 's':
      case 'X':
      case 'S':
        this.#server.handle(link, message);
        if (message.type === 'X') {
          this.#answerer.cancel(link, message.number);
          this.#inbox.cancel(link, message.number);
          this.#tracker?.cancel(link, message.number);
        }
        return;
      case 'i':
      case 'm':
        this.#inbox.take(link, message);
        return;
      case 'p':
        if (!message.answer) say(link, { ...message, answer: true });
        return;
      case 'J':
      case 'l':
      case 'h':
        this.#toTracker(link, message);
        return;
      case 'c':
        // From a tracker: somebody who cannot reach us asks for it.
        if (message.peer === this.id) this.#reach.summoned(link, message);
        else this.#toTracker(link, message);
        return;
      case 't':
      case 'd':
      case 'w':
      case 'e':
        this.#tunnels.handle(link, message);
        return;
      default:
        throw new HearsayError('bad-message', `${message.type} after the handshake`);
    }
  }

  #toTracker(link: Link, message: ToTracker): void {
    if (this.#tracker) this.#tracker.take(link, message);
    else if (message.type !== 'h') {
      refuse(
        link,
        message.number,
        new HearsayError('refused', 'this peer is no tracker: it was not started with --tracker'),
      );
    }
  }

  #news(news: News): void {
    this.#tracker?.news(news);
    if (news.kind === 'warning') {
      this.#warnings.take(news.code, news.message, now());
      return;
    }
    for (const view of [this.#view, ...this.#views]) view.news(news);
    if (news.kind !== 'peer') return;
    if (news.change === 'left') {
      this.#trackers.unheard(news.peer.id);
      const was = this.#remembered.left(news.peer);
      if (was) this.#gossiper.dispatch({ kind: 'remembered', peers: [was] });
    } else {
      this.#remembered.came(news.peer);
      this.#asker.came(news.peer.id);
      this.#trackers.heard(news.peer);
    }
  }

  /** A peer is here, or is not any more, whoever told of it. */
  #comes(change: 'came' | 'left', { id, name }: PeerName): void {
    for (const part of [this.#asides, this.#rules]) part[change]({ id, name });
    if (change === 'left') this.#inbox.left({ id, name });
    else this.#jobs.came();
    this.#tell({ event: 'peer', change, id, name });
  }

  /** What a person calls what is at a path: what is sent has one of its own on the wire. */
  #titleOf(path: string): string {
    return this.#parcels.titleOf(path) ?? this.#inbox.titleOf(path) ?? path;
  }

  #serving(state: 'begun' | 'completed' | 'failed', link: Link, at: string, bytes: number, why?: string): void {
    const peer = { id: this.#listedAs(link), name: link.head.name };
    const path = this.#titleOf(at);
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
    if (this.#early) this.#early.push(event);
    else {
      this.#options.onEvent?.(event);
      this.#happenings.tell(event);
    }
  }

  /** Tells what happened until now. */
  #begin(): void {
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const event of early) this.#tell(event);
  }

  /** Closes links that we dialled and nobody has used for a while; peers that hear each other need none. */
  #closeIdle(): void {
    const at = performance.now();
    for (const link of [...this.#links.all]) {
      if (this.#requests.busy(link) || this.#server.busy(link)) {
        this.#busyAt.set(link, at);
        continue;
      }
      // Where one is passed on by another, a word now and then is no use that it is kept for.
      const since = link.tunnelled ? (this.#busyAt.get(link) ?? link.openedAt) : link.dialled ? link.usedAt : at;
      if (at - since < IDLE_CLOSE) continue;
      if (!link.tunnelled && (this.#gossiper.needs(link) || this.#trackers.needs(link))) continue;
      if (this.#inbox.needs(link) || this.#asides.needs(link) || this.#gossip.hearsAside(link.peer)) continue;
      link.close(new HearsayError('cancelled', 'nobody uses this connection'));
    }
  }
}
