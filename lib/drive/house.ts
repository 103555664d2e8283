/**
 * The house: all parts of one running peer, and who of them knows whom.
 *
 * Owns every part. Always true: after `stop` nothing of it runs, and everyone was told; of what the settings say that may change while
 * it runs all parts see the same. Called by the peer alone, which is what the outside sees of it.
 */
import { randomBytes, randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { PeerName, ReloadReport } from '../api.js';
import { formatEndpoint, isLoopback } from '../endpoint.js';
import { asHearsayError, HearsayError } from '../errors.js';
import { Gossip, type Settings as GossipSettings } from '../gossip/gossip.js';
import type { PeerId } from '../ids.js';
import type { GroupKeys } from '../net/group-keys.js';
import { type Identity, verifySignature } from '../net/keys.js';
import { Links, TRACKER_MOST } from '../net/links.js';
import { Sealer } from '../net/seal.js';
import { tlsTransport } from '../net/transport.js';
import { Multicast } from '../net/udp.js';
import { formatHostPort } from '../share/address.js';
import type { Catalogue } from '../share/catalogue.js';
import type { Known } from '../share/known.js';
import type { Settings } from '../share/settings.js';
import type { HashStore } from '../share/store.js';
import { onePeer } from '../shelf/query.js';
import { Answerer } from './answerer.js';
import { Asides } from './asides.js';
import { Asker } from './asker.js';
import { Awaited } from './awaited.js';
import { Changes, type IndexChange } from './changes.js';
import { Getting } from './getting.js';
import { Gossiper, type News, now } from './gossiper.js';
import { Happenings } from './happenings.js';
import { Idle } from './idle.js';
import { Inbox } from './inbox.js';
import { Jobs } from './jobs.js';
import { Joins } from './joins.js';
import { Limits } from './limits.js';
import { Lister } from './lister.js';
import { LocalShelf } from './local-shelf.js';
import { type Opened, open } from './open.js';
import { differences, type PeerOptions, renewed, type Settled, settle } from './options.js';
import { Parcels } from './parcels.js';
import { Reach } from './reach.js';
import { Refresher } from './refresh.js';
import { Remembered } from './remembered.js';
import { Requests } from './requests.js';
import { route, type Takers } from './routing.js';
import { InboxRules } from './rules.js';
import { seed } from './seeding.js';
import { Sends } from './sends.js';
import { Server } from './serve.js';
import { Served } from './served.js';
import { Servings } from './servings.js';
import { limitedOf, Shares } from './shares.js';
import { Teller } from './teller.js';
import { Tracing } from './tracing.js';
import { Tracker, type TrackerStore } from './tracker.js';
import { openTrackerStore } from './tracker-store.js';
import { Trackers } from './trackers.js';
import { Tunnels } from './tunnels.js';
import { View } from './view.js';
import { Warnings } from './warnings.js';

/** Ports after the default one that are tried when it is taken. */
const PORTS_NEXT = 50;
/** How often it is looked whether links are idle, ms. */
const IDLE_LOOK = 10_000;
/** A goodbye leaves before its socket is closed. */
const GOODBYE_MS = 30;

export class House {
  settled: Settled;
  readonly #options: PeerOptions;
  readonly startedAt = now();
  readonly abort = new AbortController();
  readonly tracing: Tracing;
  readonly changes = new Changes();
  readonly #teller: Teller;
  readonly happenings = new Happenings({
    id: () => this.id,
    nameOf: (peer) => this.getting.nameOf(peer),
    isHere: (peer) => this.view.peer(peer) !== undefined,
  });
  readonly refresher = new Refresher({
    changes: this.changes,
    peers: () => this.others(),
    nameOf: (peer) => this.getting.nameOf(peer),
    ask: () => {
      this.gossiper.refresh();
      this.trackers.refresh();
    },
    isBusy: () => this.#gossip.isPulling || this.joins.dialling,
    wait: () => this.settled.wait * 1000,
    signal: this.abort.signal,
  });
  readonly #requests = new Requests();
  readonly #identity: Identity;
  readonly #gossipSettings: GossipSettings;
  readonly #gossip: Gossip;
  readonly gossiper: Gossiper;
  /** Hosts that a person named. */
  readonly joins: Joins;
  /** Who was here before. */
  readonly remembered: Remembered;
  readonly reach: Reach;
  readonly #tunnels: Tunnels;
  readonly links: Links;
  /** Trackers at which this peer registers, and that it asks. */
  readonly trackers: Trackers;
  /** What gossip has proved and trackers told, as one. */
  readonly view: View;
  readonly lister: Lister;
  readonly server: Server;
  /** On what it sends and fetches. */
  readonly limits: Limits;
  readonly #known: Known;
  readonly #idle: Idle;
  /** Those who take messages. */
  readonly #takers: Takers;
  readonly #asides: Asides;
  readonly #awaited: Awaited;
  readonly #answerer: Answerer;
  readonly #asker: Asker;
  /** Where this peer is the registry. */
  readonly tracker: Tracker | undefined;
  readonly getting: Getting;
  readonly #warnings = new Warnings((message) => this.#teller.warn(message));
  readonly #catalogue: Catalogue | undefined;
  /** A one-shot has none. */
  readonly shares: Shares | undefined;
  readonly #store: HashStore | undefined;
  readonly #closers: (() => void)[] = [];
  /** What this peer was asked to fetch and send. */
  readonly jobs: Jobs;
  readonly parcels = new Parcels({ catalogue: () => this.#catalogue, server: () => this.server });
  readonly sends: Sends;
  readonly rules: InboxRules;
  readonly inbox: Inbox;
  multicast: Multicast | undefined;
  served: Served | undefined;
  /** The port where it was to listen, which another program had; `chosen` by a person. */
  taken: { port: number; chosen: boolean } | undefined;
  #stopping: Promise<void> | undefined;

  /**
   * Opens all of it; it can be reached when this resolves. Scanning and hashing go on behind.
   * @throws HearsayError `usage`, `config`, `not-readable` (a path), `port-taken`, `state-in-use`, `not-writable` (state)
   */
  static async open(options: PeerOptions): Promise<House> {
    const settled = await settle(options);
    const parts = await open(settled);
    const house = new House(options, settled, parts);
    try {
      await house.#start(parts);
    } catch (thrown) {
      house.#teller.begin();
      await house.stop();
      throw thrown;
    }
    return house;
  }

  private constructor(options: PeerOptions, settled: Settled, parts: Opened) {
    this.#options = options;
    this.settled = settled;
    this.limits = new Limits(settled);
    this.#identity = parts.identity;
    this.tracing = new Tracing(options.trace ?? false);
    const { passive, follow, name, tracker, relays } = settled;
    this.#teller = new Teller(this.happenings, options.onEvent, !passive);
    const { id, key } = parts.identity;
    // The port is known once we listen; nobody sees a head before.
    this.#gossipSettings = { id, key, name, port: 0, epoch: parts.epoch, passive, follow, tracker, relays };
    const { filter } = options;
    const tracer = this.tracing.tracer;
    this.#catalogue = parts.catalogue?.({
      onChanges: (changes) => this.#asides.offers(this.parcels.take(changes)),
      onHashed: (path, id) => {
        if (!this.parcels.has(path)) this.#teller.tell({ event: 'hashed', path, id });
      },
      onWarning: (message) => this.#teller.warn(message),
      onAway: (share, why) => {
        if (!share.hidden) this.shares?.away(share, why);
      },
    });
    const instance = randomBytes(8);
    this.links = new Links(
      { identity: this.#identity, instance, hello: () => this.#gossip.head(), filter, tracer },
      tlsTransport(parts.group),
      {
        opened: (link) => {
          this.reach.opened(link);
          this.gossiper.opened(link);
          this.#asides.opened(link);
          this.trackers.opened(link);
        },
        message: (link, message) => route(this.#takers, link, message),
        heard: (link) => {
          this.#requests.heard(link);
          this.tracker?.heard(link);
        },
        closed: (link, why) => {
          this.#requests.linkClosed(link, why);
          this.server.linkClosed(link, why);
          this.#tunnels.linkClosed(link);
          this.gossiper.closed(link);
          this.#asides.closed(link);
          this.inbox.linkClosed(link);
          this.trackers.closed(link, why);
          this.tracker?.linkClosed(link);
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
      links: this.links,
      relays,
      limiter: this.limits.up,
      connect: (peer) => this.reach.connectNear(peer),
    });
    this.trackers = new Trackers({
      id,
      passive,
      gossip: this.#gossip,
      links: this.links,
      requests: this.#requests,
      random: Math.random,
      addresses: () => this.addresses,
      onTold: (told) => this.view.told(told),
      tell: (event) => this.#teller.tell(event),
      mirror: options.mirror,
    });
    this.reach = new Reach({
      id,
      links: this.links,
      gossip: this.#gossip,
      trackers: this.trackers,
      tunnels: this.#tunnels,
      call: (peer) => this.gossiper.call(peer),
      multicast: settled.multicast,
    });
    this.joins = new Joins({
      links: this.links,
      hosts: settled.joins,
      onJoined: (link, endpoint) => this.trackers.joined(link, endpoint),
      onWarning: (code, message) => this.#news({ kind: 'warning', code, message }),
    });
    this.gossiper = new Gossiper({
      id,
      gossip: this.#gossip,
      links: this.links,
      requests: this.#requests,
      joins: this.joins,
      sealer: parts.group.datagrams && new Sealer(parts.group.datagrams, randomBytes),
      reach: this.reach,
      onNews: (news) => this.#news(news),
      filter,
      tracer,
    });
    const listedName = (peer: PeerId) => this.joins.listedName(peer);
    const events = {
      change: (change: IndexChange) => {
        this.changes.push(change);
        this.happenings.change(change);
      },
      peer: (change: 'came' | 'left', peer: PeerName) => this.#comes(change, peer),
    };
    this.view = new View(this.#gossip, this.trackers.live, undefined, events, undefined, listedName);
    this.#known = parts.known((message) => this.#teller.warn(message));
    this.remembered = new Remembered({
      ...parts.remembered,
      keeps: !passive,
      here: () => this.#gossip.peers().filter(({ self }) => !self),
      known: this.#known,
      onWarning: (message) => this.#teller.warn(message),
    });
    this.#awaited = new Awaited({
      id,
      trackers: this.trackers,
      view: this.view,
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
      gossiper: this.gossiper,
      reach: this.reach,
      links: this.links,
      // Anybody can come under a name that is known, and as often as he likes.
      tell: (event) => {
        if (event.event === 'warning') this.#warnings.take('ambiguous', event.message, now());
        else this.#teller.tell(event);
      },
    });
    const sees = (peer: PeerId, path: string) => this.parcels.sees(peer, path) && this.#asides.sees(peer, path);
    const shelf = new LocalShelf(this.#catalogue, sees);
    const servings = new Servings({
      ids: () => [...this.#gossip.peers().map((peer) => peer.id), ...this.#known.ids()],
      titleOf: (path) => this.titleOf(path),
      served: () => this.served,
      tell: (event) => this.#teller.tell(event),
    });
    this.server = new Server(shelf, servings, this.limits.up);
    this.shares =
      this.#catalogue &&
      new Shares({
        ...parts.gathered,
        state: settled.state,
        save: parts.saveShares,
        catalogue: this.#catalogue,
        asides: this.#asides,
        server: this.server,
        tell: (event) => this.#teller.tell(event),
      });
    this.#answerer = new Answerer(this.#gossip, this.#catalogue, this.#asides, this.parcels);
    this.#asker = new Asker({
      requests: this.#requests,
      connect: (peer) => this.reach.connect(peer),
      peers: () => this.others().map((p) => p.id),
      isNamed: (id, from) => {
        const peer = this.view.peer(id) ?? this.trackers.peer(id);
        return peer !== undefined && from.some((name) => onePeer(name, [peer]) !== undefined);
      },
      found: (peer, offers, last, aside) => this.gossiper.dispatch({ kind: 'found', peer, offers, last, aside }),
      pending: () => this.joins.joining,
    });
    this.lister = new Lister({
      gossip: this.#gossip,
      trackers: this.trackers,
      asker: this.#asker,
      view: this.view,
      passive,
      follow,
      wait: () => this.settled.wait * 1000,
      nameOf: (peer) => this.getting.nameOf(peer),
      whyNobody: () => this.gossiper.whyNobody(),
      signal: this.abort.signal,
    });
    this.getting = new Getting({
      id,
      view: this.view,
      reach: this.reach,
      trackers: this.trackers,
      links: this.links,
      requests: this.#requests,
      asker: this.#asker,
      changes: this.changes,
      shelf,
      server: this.server,
      catalogue: this.#catalogue,
      store: parts.store,
      fetched: parts.fetched,
      registered: (content) => this.tracker?.holdings(content) ?? [],
      learn: (questions, signal) => this.lister.learn(questions, signal),
      askPeers: (questions) => this.lister.askPeers(questions),
      random: Math.random,
      limiter: this.limits.down,
      whyNobody: () => this.gossiper.whyNobody(),
      warn: (message) => this.#teller.warn(message),
    });
    this.jobs = new Jobs({
      context: this.getting,
      atOnce: settled.transfers,
      timeout: () => this.settled.timeout * 1000,
      mayFetch: () => !this.settled['seed-only'],
      files: parts.jobs,
      seed: async (query, landed, tell) => {
        const isWanted = query.seed ?? (this.settled.seed && this.shares !== undefined);
        if (isWanted) await seed(landed, this.shares, tell);
      },
      tell: (event) => this.#teller.tell(event),
    });
    this.changes.hook(({ kind, offer }) => {
      if (kind !== 'removed' && offer.peer !== id) this.jobs.came(offer);
    });
    this.tracker = tracker
      ? new Tracker({
          id,
          instance,
          gossip: this.#gossip,
          gossiper: this.gossiper,
          links: this.links,
          addresses: () => this.addresses,
          store: this.#trackerStore(parts.group),
          tell: (event) => this.#teller.tell(event),
          random: Math.random,
        })
      : undefined;
    this.#store = parts.store;
    this.sends = new Sends({
      id,
      state: settled.state,
      requests: this.#requests,
      connect: (peer) => this.reach.connect(peer),
      isHere: (peer) => this.getting.isHere(peer),
      parcels: this.parcels,
      known: this.#known,
      random: () => randomInt(2 ** 32) / 2 ** 32,
      peers: () => this.lister.peers(),
      nameOf: (peer) => this.getting.nameOf(peer),
      whyNobody: () => this.gossiper.whyNobody(),
      register: (about, steering) => this.jobs.register(about, steering),
    });
    this.rules = new InboxRules(this.#known, id, () => this.view.peers());
    this.rules.set(settled);
    this.inbox = new Inbox({
      id,
      getting: this.getting,
      shelf,
      server: this.server,
      isConnected: (peer) => this.links.get(peer) !== undefined,
      folder: () => this.settled['inbox-folder'],
      timeout: () => this.settled.timeout * 1000,
      closed: () => {
        if (passive) return 'a one-shot takes nothing';
        return this.settled['seed-only'] ? 'it only serves (seed-only), and takes nothing' : undefined;
      },
      rule: (peer) => this.rules.of(peer),
      tell: (event) => this.#teller.tell(event),
      register: (about, steering) => this.jobs.register(about, steering),
    });
    this.#takers = {
      id,
      links: this.links,
      gossip: this.#gossip,
      gossiper: this.gossiper,
      answerer: this.#answerer,
      requests: this.#requests,
      server: this.server,
      inbox: this.inbox,
      reach: this.reach,
      tunnels: this.#tunnels,
      tracker: this.tracker,
    };
    this.#idle = new Idle({
      links: () => this.links.all,
      isBusy: (link) => this.#requests.busy(link) || this.server.busy(link),
      needsDirect: (link) => this.gossiper.needs(link) || this.trackers.needs(link),
      needs: (link) => this.inbox.needs(link) || this.#asides.needs(link) || this.#gossip.hearsAside(link.peer),
    });
  }

  /** What several trackers share, where the settings name it. */
  #trackerStore(group: GroupKeys): TrackerStore | undefined {
    const url = this.settled['tracker-store'];
    if (url === '') return undefined;
    const { id } = this.#identity;
    return openTrackerStore({
      url,
      group,
      tracker: id,
      tell: (event) => this.#teller.tell(event),
      random: Math.random,
    });
  }

  async #start({ warnings, epoch, saveEpoch }: Opened): Promise<void> {
    const { passive, groupAddress, multicast, interface: cards, state } = this.settled;
    this.served = await Served.open(passive ? undefined : state, (message) => this.#teller.warn(message));
    await this.#listen();
    this.#gossipSettings.port = this.links.port;
    this.multicast = await Multicast.open({
      group: groupAddress.host,
      port: groupAddress.port,
      interfaces: cards,
      enabled: multicast,
      onDatagram: (data, from, all) => this.gossiper.datagram(data, from, all),
      onChange: () => {
        this.gossiper.dispatch({ kind: 'interfaces-changed' });
        this.trackers.listening();
      },
      onWarning: (message) => this.#teller.warn(message),
    });
    this.gossiper.dispatch({ kind: 'remembered', peers: this.remembered.absent() });
    this.gossiper.start(this.multicast);
    this.trackers.start();
    if (!passive) this.#awaited.start();
    this.tracker?.start();
    let saved = epoch;
    // Rises where others remember a later run than this state folder does; the next run begins above it.
    const save = () => {
      if (this.#gossip.epoch === saved) return;
      saved = this.#gossip.epoch;
      saveEpoch(saved).catch((thrown) => this.#teller.warn(asHearsayError(thrown).message));
    };
    const idle = setInterval(() => {
      this.#idle.look(performance.now());
      save();
    }, IDLE_LOOK);
    idle.unref();
    this.#closers.push(() => clearInterval(idle), save);
    await this.#catalogue?.start();
    if (passive) {
      for (const message of warnings) this.#teller.warn(message);
      return;
    }
    const { id, name, addresses } = this;
    const shares = this.shares?.rows() ?? [];
    const waiting = this.#asides.waiting();
    const more = {
      ...(waiting.length > 0 ? { waiting } : {}),
      ...(this.settled.tracker ? { tracker: this.#joinNames() } : {}),
    };
    const ready = { id, name, port: this.port, private: this.isPrivate, shares, addresses, ...more };
    this.#teller.begin({ event: 'ready', ...ready });
    this.jobs.start();
    for (const message of warnings) this.#teller.warn(message);
  }

  /** Begins to listen. @throws HearsayError `port-taken`; a one-shot, which can do without, listens elsewhere */
  async #listen(): Promise<void> {
    const { passive, listens, port, defaultPort } = this.settled;
    const wanted = port ?? defaultPort;
    try {
      if (!listens) await this.links.listen(0, 0);
      else await this.links.listen(wanted, port === undefined ? PORTS_NEXT : 0);
    } catch (thrown) {
      if (!passive) throw thrown;
      await this.links.listen(0, 0);
    }
    if (listens && wanted !== 0 && this.port !== wanted) this.taken = { port: wanted, chosen: port !== undefined };
  }

  /** Says goodbye and stops everything; what is being written is finished. May be called again. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.abort.abort(new HearsayError('interrupted', 'this peer is stopping'));
    this.#asides.stop();
    this.#awaited.stop();
    this.trackers.stop();
    this.view.end();
    this.#tunnels.stop();
    this.limits.stop();
    this.gossiper.stop();
    this.server.stop();
    const tracker = this.tracker?.stop();
    const remembered = this.remembered.stop();
    this.changes.end();
    for (const close of this.#closers.splice(0)) close();
    // Gets put their partials away while the goodbye leaves.
    this.rules.stop();
    await Promise.all([delay(GOODBYE_MS), this.sends.stop(), this.inbox.stop(), this.jobs.stop()]);
    await Promise.all([this.links.close(), this.multicast?.close(), this.#catalogue?.stop()]);
    await Promise.all([this.served?.stop(), this.#known.stored(), remembered, tracker]);
    await this.#store?.close();
  }

  /** This peer's id: a ULID. */
  get id(): PeerId {
    return this.#identity.id;
  }

  get name(): string {
    return this.settled.name;
  }

  /** The TCP port on which others reach it. */
  get port(): number {
    return this.links.port;
  }

  /** Where others reach it: "ip:port", the most useful first. */
  get addresses(): string[] {
    return (this.multicast?.addresses() ?? []).map((host) => formatEndpoint({ host, port: this.port }));
  }

  /** As others name it to --join: without what means something on its own machine or card only, where there is more. */
  #joinNames(): string[] {
    const hosts = this.multicast?.addresses() ?? [];
    const others = hosts.filter((host) => !isLoopback(host) && !host.includes('%'));
    const named = others.length > 0 ? others : hosts;
    return named.map((host) => formatHostPort({ host, port: this.port }, this.settled.defaultPort));
  }

  /**
   * Takes over what the config file says now, as far as that can be done while it runs.
   * @param fresh the settings as they are now; left out, they are read again, with the options that it was started with
   * @throws HearsayError `config`, `usage` where they cannot be read, and then nothing has changed
   */
  async reload(fresh?: Settings): Promise<ReloadReport> {
    const shares = this.sharing();
    const settings = fresh ?? (await settle(this.#options));
    const report = differences(this.settled, settings);
    this.settled = renewed(this.settled, settings);
    this.jobs.atOnce = this.settled.transfers;
    this.limits.set(this.settled);
    this.rules.set(this.settled);
    this.joins.set(this.settled.joins);
    // Those that were named when it was started stand in place of the file's.
    const isGiven = settings.sharesGiven || this.settled.sharesGiven;
    const reshared = isGiven ? { added: [], removed: [], errors: [] } : await shares.reconfigure(settings.share);
    return { ...report, ...reshared };
  }

  sharing(): Shares {
    if (!this.shares) throw new HearsayError('usage', 'a one-shot shares nothing');
    return this.shares;
  }

  get isPrivate(): boolean {
    return this.settled.secret !== undefined;
  }

  others() {
    return this.view.peers().filter((p) => !p.self);
  }

  #news(news: News): void {
    this.tracker?.news(news);
    if (news.kind === 'warning') {
      this.#warnings.take(news.code, news.message, now());
      return;
    }
    this.view.news(news);
    this.lister.news(news);
    if (news.kind !== 'peer') return;
    if (news.change === 'left') {
      this.trackers.unheard(news.peer.id);
      const was = this.remembered.left(news.peer);
      if (was) this.gossiper.dispatch({ kind: 'remembered', peers: [was] });
    } else {
      this.remembered.came(news.peer);
      this.#asker.came(news.peer.id);
      this.trackers.heard(news.peer);
    }
  }

  /** A peer is here, or is not any more, whoever told of it. */
  #comes(change: 'came' | 'left', { id, name }: PeerName): void {
    for (const part of [this.#asides, this.rules]) part[change]({ id, name });
    if (change === 'left') this.inbox.left({ id, name });
    else this.jobs.came();
    this.#teller.tell({ event: 'peer', change, id, name });
  }

  /** What a person calls what is at a path: what is sent has one of its own on the wire. */
  titleOf(path: string): string {
    return this.parcels.titleOf(path) ?? this.inbox.titleOf(path) ?? path;
  }
}
