/**
 * The view: one index and one list of peers over what gossip has proved and what trackers told.
 *
 * Owns which changes are still to come, and whom gossip has lost just now. Always true: of a peer whose offers gossip has,
 * or had until just now, gossip's count and a tracker's are hidden; what is for some only comes by gossip alone; nobody is
 * told twice of one offer that has not changed.
 * Called by the peer with the news of both; read by everything that lists or resolves.
 */
import type { PeerName } from '../api.js';
import type { Millis } from '../clock.js';
import type { Gossip, PeerInfo } from '../gossip/gossip.js';
import { isNear } from '../gossip/ladder.js';
import type { PeerId } from '../ids.js';
import { ADDRESSES_MAX } from '../limits.js';
import type { PeerOffer } from '../offer.js';
import type { Index } from '../shelf/live-index.js';
import type { Shelf } from '../shelf/shelf.js';
import { saysTheSame } from '../shelf/staging.js';
import type { Directory, DirectoryPeer, Told } from '../tracker/directory.js';
import type { IndexChange } from './changes.js';
import type { News } from './gossiper.js';
import type { Listed } from './listing.js';

export interface ViewEvents {
  change(change: IndexChange): void;
  peer(change: 'came' | 'left', peer: PeerName): void;
  /** Calls back later; the returned function prevents it. Left out: by the clock. */
  later?(run: () => void, ms: Millis): () => void;
}

/**
 * Of one that gossip has lost a tracker's word counts after so long: mostly it has left, and the tracker is about to say so.
 */
const LOST: Millis = 2000;

const DEAF: ViewEvents = { change: () => {}, peer: () => {} };

function byTheClock(run: () => void, ms: Millis): () => void {
  const timer = setTimeout(run, ms);
  return () => clearTimeout(timer);
}

export class View implements Index {
  readonly #gossip: Pick<Gossip, 'index' | 'peers' | 'peer'>;
  /** What is followed, and what was answered: of two words on one offer the followed one counts. */
  readonly #live: Directory;
  readonly #answers: Directory | undefined;
  readonly #events: ViewEvents;
  /** Offers that pass from trackers' word to gossip's, as they were until now: a change of each is under way. */
  readonly #passing = new Map<string, PeerOffer>();
  /** Peers of whom it was told that gossip has their offers; its index may be ahead of what it tells. */
  readonly #shown = new Set<PeerId>();
  /** Peers that gossip has lost just now, and what prevents their return. */
  readonly #lost: Map<PeerId, () => void>;
  readonly #listedName: (id: PeerId) => string | undefined;

  /**
   * @param live what trackers told and go on telling
   * @param answers what they answered to one question
   * @param listedName what the config file calls a peer
   */
  constructor(
    gossip: Pick<Gossip, 'index' | 'peers' | 'peer'>,
    live: Directory,
    answers?: Directory,
    events: ViewEvents = DEAF,
    lost: Map<PeerId, () => void> = new Map(),
    listedName: (id: PeerId) => string | undefined = () => undefined,
  ) {
    this.#listedName = listedName;
    this.#lost = lost;
    this.#gossip = gossip;
    this.#live = live;
    this.#answers = answers;
    this.#events = events;
    for (const { id } of gossip.peers()) if (gossip.index.shows(id)) this.#shown.add(id);
  }

  /** The same with the answers to one question; it is told of no changes. */
  with(answers: Directory): View {
    return new View(this.#gossip, this.#live, answers, DEAF, this.#lost, this.#listedName);
  }

  /** Ends what it waits for. */
  end(): void {
    for (const prevent of this.#lost.values()) prevent();
    this.#lost.clear();
  }

  /** What gossip tells. */
  news(news: News): void {
    if (news.kind === 'change') this.#change({ kind: news.change, offer: news.offer, before: news.before });
    else if (news.kind === 'shelf') this.#shelf(news);
    else if (news.kind === 'peer') this.#peer(news.change, news.peer);
  }

  /** What was told to the live directory. */
  told({ came, changes, left }: Told): void {
    const { index } = this.#gossip;
    const isNews = ({ id }: PeerName) => !this.#gossip.peer(id) && !this.#lost.has(id);
    for (const peer of came) if (isNews(peer)) this.#events.peer('came', peer);
    for (const { before, after } of changes) {
      const { peer, path } = (after ?? before) as PeerOffer;
      if (this.#hides(peer) || index.get(peer, path)) continue;
      this.#tell(before, after);
    }
    for (const peer of left) if (isNews(peer)) this.#events.peer('left', peer);
  }

  /** Live peers, oneself first; those that only trackers know of at the end. */
  peers(): PeerInfo[] {
    const all = this.#gossip.peers();
    const known = new Set(all.map(({ id }) => id));
    const out = all.map((info) => this.#merged(info));
    for (const directory of this.#directories()) {
      for (const peer of directory.peers()) {
        if (known.has(peer.id) || this.#lost.has(peer.id)) continue;
        known.add(peer.id);
        out.push(asInfo(peer));
      }
    }
    return out;
  }

  peer(id: PeerId): PeerInfo | undefined {
    const info = this.#gossip.peer(id);
    if (info) return this.#merged(info);
    if (this.#lost.has(id)) return undefined;
    const told = this.#live.peer(id) ?? this.#answers?.peer(id);
    return told && asInfo(told);
  }

  get size(): number {
    let size = this.#gossip.index.size;
    for (const id of this.#tellers()) for (const _ of this.#told(id)) size++;
    return size;
  }

  get load(): number {
    let load = this.#gossip.index.load;
    for (const directory of this.#directories()) load += directory.load;
    return load;
  }

  *[Symbol.iterator](): Iterator<PeerOffer> {
    yield* this.#gossip.index;
    for (const id of this.#tellers()) yield* this.#told(id);
  }

  /** What is there to be listed, as it is now. */
  get listed(): Listed {
    const { index } = this.#gossip;
    return {
      shelves: function* () {
        for (const shelf of index.shelves()) yield { peer: shelf.writer, rows: shelf.rows() };
      },
      told: () => this.#allTold(),
    };
  }

  *#allTold(): Generator<PeerOffer, void, undefined> {
    for (const id of this.#tellers()) yield* this.#told(id);
  }

  shelves(): Iterable<Shelf> {
    return this.#gossip.index.shelves();
  }

  get(peer: PeerId, path: string): PeerOffer | undefined {
    return this.#gossip.index.get(peer, path) ?? this.#toldOf(peer, path);
  }

  byPath(path: string): PeerOffer[] {
    const out = this.#gossip.index.byPath(path);
    for (const directory of this.#directories()) out.push(...directory.byPath(path).filter((o) => this.#counts(o)));
    return out;
  }

  byId(id: string): PeerOffer[] {
    const out = this.#gossip.index.byId(id);
    for (const directory of this.#directories()) out.push(...directory.byId(id).filter((o) => this.#counts(o)));
    return out;
  }

  *of(peer: PeerId): Iterable<PeerOffer> {
    yield* this.#gossip.index.of(peer);
    yield* this.#told(peer);
  }

  isAside(id: string, path: string): boolean {
    return this.#gossip.index.isAside(id, path);
  }

  shows(peer: PeerId): boolean {
    return this.#gossip.index.shows(peer);
  }

  isToldAside(peer: PeerId, path: string): boolean {
    // That a tracker tells of it as for everyone, proves nothing.
    return this.#gossip.index.isToldAside(peer, path);
  }

  *#directories(): Generator<Directory> {
    yield this.#live;
    if (this.#answers) yield this.#answers;
  }

  /** Peers of whose offers only trackers told. */
  #tellers(): Set<PeerId> {
    const ids = new Set<PeerId>();
    for (const directory of this.#directories()) {
      for (const id of directory.ids()) if (!this.#hides(id)) ids.add(id);
    }
    return ids;
  }

  /** What counts of what trackers told of a peer. */
  *#told(peer: PeerId): Generator<PeerOffer> {
    for (const directory of this.#directories()) {
      for (const offer of directory.of(peer)) if (this.#counts(offer)) yield offer;
    }
  }

  /** Whether what trackers tell of a peer does not count. */
  #hides(peer: PeerId): boolean {
    return this.#gossip.index.shows(peer) || this.#lost.has(peer);
  }

  #toldOf(peer: PeerId, path: string): PeerOffer | undefined {
    if (this.#hides(peer)) return undefined;
    return this.#live.get(peer, path) ?? this.#answers?.get(peer, path);
  }

  /** Whether an offer of a directory is the one that is shown. */
  #counts(offer: PeerOffer): boolean {
    const { peer, path } = offer;
    return this.#toldOf(peer, path) === offer && !this.#gossip.index.get(peer, path);
  }

  /** What gossip knows of a peer, with where else trackers could reach it. */
  #merged(known: PeerInfo): PeerInfo {
    const listed = this.#listedName(known.id);
    const info = listed === undefined ? known : { ...known, listed };
    const told = info.self ? undefined : (this.#live.peer(info.id) ?? this.#answers?.peer(info.id));
    if (!told) return info;
    const addresses = [...new Set([...info.addresses, ...told.addresses])].slice(0, ADDRESSES_MAX);
    // It was told of before it was connected with; only what the person joined is known by that.
    const via = isNear(info.via) || info.tracker ? info.via : 'tracker';
    return { ...info, addresses, via };
  }

  /** A peer came or left, as gossip has it. */
  #peer(change: 'came' | 'left', peer: PeerName): void {
    const { id } = peer;
    const isTold = this.#live.has(id) && !this.#lost.has(id);
    if (change === 'came') {
      if (!isTold) this.#events.peer('came', peer);
      return;
    }
    if (isTold) {
      this.#lose(id);
      for (const offer of this.#live.of(id)) this.#tell(offer, undefined);
    }
    this.#events.peer('left', peer);
  }

  #lose(id: PeerId): void {
    this.#lost.get(id)?.();
    const later = this.#events.later ?? byTheClock;
    const prevent = later(() => this.#return(id), LOST);
    this.#lost.set(id, prevent);
  }

  /** A change of what gossip has. */
  #change(change: IndexChange): void {
    const { offer } = change;
    const { peer, path } = offer;
    const key = `${peer} ${path}`;
    const passing = this.#passing.get(key);
    const isThere = change.kind !== 'removed';
    if (passing) {
      this.#passing.delete(key);
      this.#tell(passing, isThere ? offer : undefined);
      return;
    }
    // What is told aside stands before what a tracker told of the same path.
    const told = this.#shown.has(peer) || this.#lost.has(peer) ? undefined : this.#live.get(peer, path);
    if (!told || change.kind === 'changed') this.#events.change(change);
    else if (isThere) this.#tell(told, offer);
    else this.#tell(change.before ? { ...change.before, peer } : undefined, told);
  }

  /** All that a peer offers passes to gossip, or is lost to it. */
  #shelf({ peer, before, after, aside }: Extract<News, { kind: 'shelf' }>): void {
    if (before) {
      this.#shown.delete(peer);
      this.#lose(peer);
      return;
    }
    this.#shown.add(peer);
    const prevent = this.#lost.get(peer);
    if (prevent) {
      prevent();
      this.#lost.delete(peer);
      return;
    }
    for (const offer of this.#live.of(peer)) {
      if (after?.get(offer.path) || aside?.get(offer.path)) this.#passing.set(`${peer} ${offer.path}`, offer);
      else if (!this.#gossip.index.isToldAside(peer, offer.path)) this.#tell(offer, undefined);
    }
  }

  /** A peer that gossip has lost is here all the same, if trackers still say so. */
  #return(peer: PeerId): void {
    const { index } = this.#gossip;
    this.#lost.delete(peer);
    const told = this.#live.peer(peer);
    if (told && !this.#gossip.peer(peer)) this.#events.peer('came', told);
    for (const offer of this.#live.of(peer)) {
      if (!index.shows(peer) && !index.get(peer, offer.path)) this.#tell(undefined, offer);
    }
  }

  #tell(before: PeerOffer | undefined, after: PeerOffer | undefined): void {
    if (!after) {
      if (before) this.#events.change({ kind: 'removed', offer: before, before });
    } else if (!before) this.#events.change({ kind: 'added', offer: after });
    else if (!saysTheSame(before, after)) this.#events.change({ kind: 'changed', offer: after, before });
  }
}

function asInfo(peer: DirectoryPeer): PeerInfo {
  const { id, name, addresses, files, bytes, tracker, key, head, sig } = peer;
  return { id, name, addresses, files, bytes, tracker, self: false, via: 'tracker', key, head, sig };
}
