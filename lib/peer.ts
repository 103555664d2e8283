/**
 * The library's face: what one running peer does, for programs and for the commands, which have no other door.
 *
 * Owns its house. Always true: all that it can do is here; how the parts hang together is the house's affair. Called by programs and
 * commands.
 */
import { resolve, sep } from 'node:path';
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
import { below } from './drive/below.js';
import type { IndexChange } from './drive/changes.js';
import { collect, type Fetched, type GetOptions } from './drive/collect.js';
import { diagnose } from './drive/doctor.js';
import { examine, interfaceRows } from './drive/doctor-look.js';
import { now } from './drive/gossiper.js';
import { House } from './drive/house.js';
import { lookUpPeers } from './drive/lookup.js';
import type { PeerOptions } from './drive/options.js';
import { FILES_MAX, sourcesOf } from './drive/sources.js';
import { Stream } from './drive/stream.js';
import { HearsayError } from './errors.js';
import type { PeerInfo } from './gossip/events.js';
import type { PeerId } from './ids.js';
import type { Link } from './net/link.js';
import type { Multicast } from './net/udp.js';
import type { PeerOffer } from './offer.js';
import type { Settings } from './share/settings.js';
import { chunkCount } from './transfer/content.js';

export type { IndexChange } from './drive/changes.js';
export type { Fetched, GetOptions } from './drive/collect.js';
export type { PeerOptions } from './drive/options.js';

/** What a sender's or a program's iteration over the index gives. */
export interface PeerIndex extends Iterable<PeerOffer> {
  /** Every change from now on, until the signal or the peer's stop. */
  changes(signal?: AbortSignal): AsyncIterable<IndexChange>;
}

export class Peer implements Api {
  readonly #house: House;

  /**
   * Starts a peer; it can be reached when this resolves. Scanning and hashing go on behind.
   * @throws HearsayError `usage`, `config`, `not-readable` (a path), `port-taken`, `state-in-use`, `not-writable` (state)
   */
  static async start(options: PeerOptions = {}): Promise<Peer> {
    return new Peer(await House.open(options));
  }

  private constructor(house: House) {
    this.#house = house;
  }

  /** Says goodbye and stops everything; what is being written is finished. May be called again. */
  stop(): Promise<void> {
    return this.#house.stop();
  }

  /** This peer's id: a ULID. */
  get id(): PeerId {
    return this.#house.id;
  }

  get name(): string {
    return this.#house.name;
  }

  /** The TCP port on which others reach it. */
  get port(): number {
    return this.#house.port;
  }

  /** Where others reach it: "ip:port", the most useful first. */
  get addresses(): string[] {
    return this.#house.addresses;
  }

  /** The network's offers as this peer knows them. */
  get index(): PeerIndex {
    return {
      [Symbol.iterator]: () => this.#house.view[Symbol.iterator](),
      changes: (signal) => this.#house.changes.listen(signal),
    };
  }

  async list(query: ListQuery = {}): Promise<Listing> {
    return this.#house.lister.list(query);
  }

  listing(query: ListQuery, signal: AbortSignal): AsyncGenerator<ListingPart> {
    return this.#house.lister.listing(query, signal);
  }

  follow(query: ListQuery, signal: AbortSignal): AsyncGenerator<FollowEvent> {
    return this.#house.lister.follow(query, signal);
  }

  async sources(what: string, from?: string[]): Promise<SourcesRow[]> {
    const query: GetQuery = { what: [what], to: '.', ...(from ? { from } : {}) };
    const pieces = await this.#house.getting.resolve(query, this.#house.abort.signal, (error) => {
      throw error;
    });
    const files = pieces.filter((piece) => !piece.folder).slice(0, FILES_MAX);
    return Promise.all(
      files.map((piece) => {
        const chunks = chunkCount(piece.size);
        const { id, name } = this;
        const ranges: [number, number][] = chunks > 0 ? [[0, chunks - 1]] : [];
        return sourcesOf(this.#house.getting, piece, piece.here ? { id, name, have: chunks, ranges } : undefined);
      }),
    );
  }

  async peers(): Promise<PeerRow[]> {
    const peers = await this.#house.lister.peers();
    return peers.map(({ id, name, addresses, files, bytes, tracker, self, via }) => {
      const unreachable = self ? undefined : this.#house.reach.unreachable(id);
      const row = { id, name, addresses: self ? this.addresses : addresses, files, bytes, tracker, self, via };
      if (via === 'join' && this.#house.joins.listedName(id) !== undefined) row.via = 'config';
      return { ...row, ...(unreachable === undefined ? {} : { unreachable }) };
    });
  }

  async forget(text: string): Promise<ForgottenRow> {
    const forgotten = await this.#house.remembered.forget(text);
    this.#house.gossiper.dispatch({ kind: 'forgotten', peer: forgotten.id });
    if (forgotten.names.length > 0) {
      this.#house.shares?.relimit();
      this.#house.rules.again(this.#house.settled);
    }
    return forgotten;
  }

  async below({ prefix, from }: BelowQuery): Promise<BelowRow[]> {
    return below(this.#house.view, prefix, from && lookUpPeers(from, this.#house.view.peers()).ids);
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
    if (this.#house.settled['seed-only'] && !query.discard) {
      const refused = new Stream<GetEvent>();
      const what = `${this.name} only serves (seed-only) and fetches nothing`;
      refused.fail(new HearsayError('refused', `${what}: --state DIR makes a peer apart that does`));
      return refused;
    }
    // What is kept is stopped in its own way, and goes on later.
    return this.#house.jobs.get(query, query.keep ? signal : AbortSignal.any([signal, this.#house.abort.signal]));
  }

  async status(): Promise<StatusReport> {
    const nameOf = (link: Link) => this.#house.getting.nameOf(link.peer).name;
    // What is sent has a row of its own.
    const served = this.#house.server.rows(nameOf).filter(({ path }) => !this.#house.parcels.has(path));
    const transfers = [
      ...this.#house.jobs.rows(),
      ...served.map((row) => ({ ...row, path: this.#house.titleOf(row.path) })),
    ];
    const trackers = this.#house.trackers.rows();
    const limits = this.#house.limits.inForce;
    const unjoined = [...this.unjoined].map(([address, { code, message }]) => ({ address, error: { code, message } }));
    return {
      running: true,
      pid: process.pid,
      id: this.id,
      name: this.name,
      port: this.port,
      state: this.#house.settled.state,
      private: this.#house.isPrivate,
      strangers: this.#house.gossiper.strangers,
      uptime: Math.round(now() - this.#house.startedAt),
      memory: process.memoryUsage.rss(),
      shares: this.#house.shares?.rows() ?? [],
      transfers,
      peers: this.#house.others().length,
      offers: this.#house.view.size,
      ...(trackers.length > 0 ? { trackers } : {}),
      ...(unjoined.length > 0 ? { unjoined } : {}),
      ...(this.#house.tracker ? { tracker: this.#house.tracker.report() } : {}),
      ...(this.#house.settled['seed-only'] ? { seedOnly: true as const } : {}),
      ...(limits ? { limits } : {}),
    };
  }

  /**
   * Shares more, from now on and whenever a peer runs on this state folder.
   * @throws HearsayError `usage`; what is the matter with one path is in its row
   */
  async add(query: AddQuery): Promise<AddedRow[]> {
    return this.#house.sharing().add(query);
  }

  /** Shares no more what is named or lies there; what the peer was started with comes back at its next start. */
  async remove(query: RemoveQuery): Promise<RemovedRow[]> {
    return this.#house.sharing().remove(query);
  }

  /**
   * Takes over what the config file says now, as far as that can be done while it runs.
   * @param fresh the settings as they are now; left out, they are read again, with the options that it was started with
   * @throws HearsayError `config`, `usage` where they cannot be read, and then nothing has changed
   */
  async reload(fresh?: Settings): Promise<ReloadReport> {
    return this.#house.reload(fresh);
  }

  async served(): Promise<ServedRow[]> {
    return this.#house.served?.rows() ?? [];
  }

  async steer(query: SteerQuery): Promise<SteeredRow[]> {
    return this.#house.jobs.steer(query);
  }

  /**
   * Sends files and folders to peers, each of which takes them or does not.
   * @throws HearsayError from its iteration: `not-running` of a one-shot, `no-such-path`, `usage`
   */
  send(query: SendQuery, signal: AbortSignal): AsyncIterable<SendEvent> {
    return this.#house.sends.send(query, signal);
  }

  async inbox(): Promise<InboxRow[]> {
    return this.#house.inbox.rows();
  }

  async answer(query: AnswerQuery): Promise<AnsweredRow[]> {
    return this.#house.inbox.answer(query);
  }

  events(signal: AbortSignal): AsyncIterable<ShareEvent> {
    return this.#house.happenings.listen(AbortSignal.any([signal, this.#house.abort.signal]));
  }

  async refresh(): Promise<RefreshReport> {
    return this.#house.refresher.refresh();
  }

  async doctor(): Promise<DoctorReport> {
    const others = (all: PeerInfo[]) => all.filter(({ self }) => !self);
    const facts = await examine({
      settled: this.#house.settled,
      startedAt: this.#house.startedAt - performance.timeOrigin,
      port: this.#house.settled.listens && !this.#house.taken?.chosen ? this.port : 0,
      taken: this.#house.taken,
      multicast: this.#house.multicast as Multicast,
      gossiper: this.#house.gossiper,
      joins: this.#house.joins,
      links: this.#house.links,
      trackers: this.#house.trackers,
      known: () => others(this.#house.view.peers()),
      learn: async () => others(await this.#house.lister.peers()),
      try: (peers) => this.#house.reach.look(peers),
      absent: () => this.#house.remembered.absent(),
      offers: () => this.#house.view,
      clock: () => ({ system: Date.now(), steady: now() }),
    });
    return { findings: diagnose(facts), interfaces: interfaceRows(facts.cards) };
  }

  trace(signal: AbortSignal): AsyncIterable<TraceRecord> {
    return this.#house.tracing.listen(signal);
  }

  /** Why joined hosts could not be reached, by their addresses. */
  get unjoined(): ReadonlyMap<string, HearsayError> {
    return this.#house.joins.unjoined;
  }
}
