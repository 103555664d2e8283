/**
 * What gets need of their peer: sources, links, the index, and serving onward.
 *
 * Owns what is followed for gets, and names of those who were here. Always true: what is followed is so as long as somebody
 * wants to know. Called by Get and what it drives.
 */
import { sep } from 'node:path';
import type { GetQuery, PeerName } from '../api.js';
import { asHearsayError, HearsayError } from '../errors.js';
import type { PeerId } from '../ids.js';
import { Latest } from '../latest.js';
import { HASHED_MAX, PEERS_MAX } from '../limits.js';
import { printable } from '../names.js';
import { verifySignature } from '../net/keys.js';
import type { Link } from '../net/link.js';
import type { Links } from '../net/links.js';
import { isFile, type PeerOffer } from '../offer.js';
import type { Catalogue } from '../share/catalogue.js';
import type { Fetched } from '../share/fetched.js';
import type { HashStore } from '../share/store.js';
import { rememberWritten, type Written } from '../share/written.js';
import { candidates, resolveWhat } from '../shelf/query.js';
import type { Told } from '../tracker/directory.js';
import { type Holding, LOOKUP } from '../tracker/events.js';
import { headStatement, readHead } from '../wire/head.js';
import type { Neighbour } from '../wire/table.js';
import { ASK, type Asker, type Question } from './asker.js';
import type { Changes } from './changes.js';
import type { Onward } from './context.js';
import type { GetContext } from './fetch.js';
import type { Limiter } from './limiter.js';
import type { LocalShelf } from './local-shelf.js';
import { lookUpPeers } from './lookup.js';
import { meant } from './meant.js';
import type { Found } from './offered.js';
import { namingOf, type Piece, piecesOf, unsettled } from './plan.js';
import type { Reach } from './reach.js';
import { refind } from './refind.js';
import type { Requests } from './requests.js';
import { rested } from './resting.js';
import type { Server } from './serve.js';
import type { Trackers } from './trackers.js';
import type { View } from './view.js';
import type { Watch } from './watch.js';

/** Files that others are asked to hash before a path is called ambiguous. */
const HASH_FIRST_MAX = 256;
/** How long hashing a large file may take until its source says something, ms. */
const HASH_MS = 10 * 60_000;

export interface Parts {
  /** This peer's own. */
  id: PeerId;
  view: View;
  reach: Reach;
  trackers: Trackers;
  links: Links;
  requests: Requests;
  asker: Asker;
  changes: Changes;
  shelf: LocalShelf;
  server: Server;
  catalogue: Catalogue | undefined;
  /** Hashes remembered; a one-shot has none. */
  store: HashStore | undefined;
  /** What was fetched before; undefined where there is no state folder. */
  fetched: Fetched | undefined;
  /** Who holds parts of a content, where this peer is the registry. */
  registered(id: string): Holding[];
  /**
   * Sees to it that these can be answered: a one-shot asks around, and large registries are asked.
   * @returns what there is, with the answers
   */
  learn(questions: Question[], signal?: AbortSignal): Promise<View>;
  /** The same of peers alone: a one-shot asks those who are here. */
  askPeers(questions: Question[]): Promise<void>;
  random(): number;
  /** The limit on all that is fetched. */
  limiter: Limiter;
  /** Why nobody is found, as far as can be told. */
  whyNobody(): string;
  warn(message: string): void;
}

export class Getting implements GetContext {
  readonly #parts: Parts;
  readonly #names = new Latest<PeerId, string>(PEERS_MAX);
  /** Who has the contents that are being fetched, as trackers tell. */
  readonly #watches = new Map<string, { watch: Watch; told: Set<(told: Told) => void> }>();
  readonly requests: Requests;
  readonly random: () => number;
  readonly limiter: Limiter;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.requests = parts.requests;
    this.random = parts.random;
    this.limiter = parts.limiter;
  }

  connect(peer: PeerId): Promise<Link> {
    return this.#parts.reach.connect(peer);
  }

  async meet({ head, sig, addresses }: Neighbour): Promise<Link | undefined> {
    const { id, key } = readHead(head);
    if (id === this.#parts.id || !verifySignature(key, headStatement(head), sig)) return undefined;
    return await this.#parts.reach.meet(id, addresses).catch(() => undefined);
  }

  nameOf(id: PeerId): PeerName {
    const { view, links, trackers } = this.#parts;
    const name = view.peer(id)?.name ?? links.get(id)?.head.name ?? trackers.peer(id)?.name;
    if (name === undefined) return { id, name: this.#names.get(id) ?? id };
    // What one who has left was called is still told.
    this.#names.set(id, name);
    return { id, name };
  }

  isHere(id: PeerId): boolean {
    return this.#parts.view.peer(id) !== undefined || this.#parts.trackers.knows(id);
  }

  isAside(path: string, peers: readonly PeerId[]): boolean {
    const { view } = this.#parts;
    return peers.length > 0 && peers.every((peer) => view.isToldAside(peer, path));
  }

  openShareAt(folder: string): string | undefined {
    const inside = (path: string) => folder === path || folder.startsWith(path.endsWith(sep) ? path : path + sep);
    return this.#parts.catalogue?.shares().find((share) => !share.for && inside(share.path))?.name;
  }

  holders(id: string): PeerId[] {
    const { view } = this.#parts;
    const told = this.#watches.get(id)?.watch.directory.byId(id) ?? [];
    const all = new Set([...view.byId(id), ...told].map((offer) => offer.peer));
    all.delete(this.#parts.id);
    return [...all];
  }

  async receivers(id: string): Promise<Holding[]> {
    const { trackers, registered } = this.#parts;
    const { held } = await trackers.lookup(LOOKUP.holders, id);
    return [...held, ...registered(id)].filter(({ peer }) => peer !== this.#parts.id);
  }

  seek(id: string, then: (peer: PeerId, receives: boolean) => void): () => void {
    const { id: me, changes, askPeers } = this.#parts;
    const stop = changes.hook(({ kind, offer }) => {
      if (kind !== 'removed' && offer.id === id && offer.peer !== me) then(offer.peer, false);
    });
    // Who does not answer is no source, and that is all.
    askPeers([{ kind: ASK.what, text: `#${id}` }]).catch(() => {});
    for (const { peer } of this.#parts.registered(id)) if (peer !== me) then(peer, true);
    const unwatch = this.#watchHolders(id, ({ changes: all, held }) => {
      for (const { after } of all) if (after?.id === id && after.peer !== me) then(after.peer, false);
      for (const holding of held) {
        if (holding.id === id && holding.bits.length > 0 && holding.peer !== me) then(holding.peer, true);
      }
    });
    return () => {
      stop();
      unwatch();
    };
  }

  /** Follows who has a content, once for all who want to know. */
  #watchHolders(id: string, then: (told: Told) => void): () => void {
    let one = this.#watches.get(id);
    if (one) {
      const { directory } = one.watch;
      const changes = directory.byId(id).map((after) => ({ before: undefined, after }));
      then({ came: [], changes, left: [], held: directory.holdings(id) });
    } else {
      const told = new Set<(told: Told) => void>();
      const watch = this.#parts.trackers.watch(LOOKUP.holders, id, (news) => {
        for (const hook of told) hook(news);
      });
      one = { watch, told };
      this.#watches.set(id, one);
    }
    const { watch, told } = one;
    told.add(then);
    return () => {
      if (!told.delete(then) || told.size > 0) return;
      this.#watches.delete(id);
      watch.end();
    };
  }

  whenHashed(peer: PeerId, path: string, then: (id: string) => void): () => void {
    return this.#parts.changes.hook(({ kind, offer }) => {
      if (kind === 'removed' || offer.peer !== peer || offer.path !== path || offer.id === null) return;
      then(offer.id);
    });
  }

  serveOnward(id: string, found: Found): Onward {
    const { shelf, server, view, trackers } = this.#parts;
    // Whom else it is for is known to its writer alone: nobody gets it from here.
    if (view.isAside(id, found.source.path)) return { have: () => {}, end: () => {} };
    const end = shelf.add(id, found);
    const report = found.have && trackers.report(id, found.have);
    return {
      have: (chunks) => {
        server.tellHave(id, chunks);
        report?.grew();
      },
      end: () => {
        end();
        report?.end();
      },
    };
  }

  async landed(written: Written, content: { id: string; hashes: Uint8Array }, aside: boolean): Promise<void> {
    const { store, fetched } = this.#parts;
    if (store) await rememberWritten(store, written, content);
    // A copy of it would be passed on as what it is a copy for.
    if (!aside) await fetched?.add(content.id, written.file);
  }

  async fetchedBefore(ids: ReadonlySet<string>): Promise<Map<string, string[]>> {
    return (await this.#parts.fetched?.find(ids)) ?? new Map();
  }

  own(id: string): { file: string; manifest: Uint8Array | undefined } | undefined {
    const entry = this.#parts.catalogue?.byId(id);
    return entry && { file: entry.file, manifest: this.#parts.catalogue?.manifest(entry.path) };
  }

  async resolve(query: GetQuery, signal: AbortSignal, failed: (error: HearsayError) => void): Promise<Piece[]> {
    const { id: me, learn } = this.#parts;
    signal.throwIfAborted();
    const view = await learn(
      query.what.map((text) => ({ kind: ASK.what, text, from: query.from })),
      signal,
    );
    const peers = view.peers();
    const others = peers.some((peer) => !peer.self);
    const from = lookUpPeers(query.from ?? [], peers, others ? undefined : this.#parts.whyNobody());
    for (const name of from.away) this.#parts.warn(`${name} is not here; the others go on`);
    const pieces: Piece[] = [];
    for (const what of query.what) {
      try {
        const offers = await rested(meant(view.listed, what, query.from && from.ids));
        const find = () => this.#withIds(offers);
        const open = unsettled(candidates(find(), what, peers)).filter((o) => o.peer !== me);
        await this.#hash(open.slice(0, HASH_FIRST_MAX), signal);
        const found = resolveWhat(find(), what, peers);
        // This peer's own file can be copied only once its content is known.
        const fit = found.offers.filter((o) => o.peer !== me || o.id !== null || !isFile(o));
        pieces.push(...piecesOf(fit, namingOf(found), me, query.from && from.ids));
      } catch (thrown) {
        signal.throwIfAborted();
        const error = await this.#explained(thrown, what, query.from, signal);
        // Nobody is here who could have it.
        const alone = error.code === 'not-found' && !others;
        failed(
          alone ? new HearsayError('no-peer', `nobody offers "${printable(what)}": ${this.#parts.whyNobody()}`) : error,
        );
      }
    }
    return pieces;
  }

  async refind(
    query: GetQuery,
    pieces: readonly Piece[],
    names: ReadonlyMap<PeerId, string>,
    signal: AbortSignal,
  ): Promise<(HearsayError | undefined)[]> {
    const questions = query.what.map((text) => ({ kind: ASK.what, text, from: query.from }));
    const view = await this.#parts.learn(questions, signal);
    return refind(pieces, {
      me: this.#parts.id,
      offers: this.#withIds(this.#offersOf(view, pieces)),
      hash: (offers) => this.#hash(offers, signal),
      nameOf: (peer) => names.get(peer) ?? this.nameOf(peer).name,
      isHere: (peer) => this.isHere(peer),
    });
  }

  /** What was not found: where only some peers were asked, with their names; where it is a folder, how to write that. */
  async #explained(
    thrown: unknown,
    what: string,
    from: string[] | undefined,
    signal: AbortSignal,
  ): Promise<HearsayError> {
    const error = asHearsayError(thrown);
    if (error.code !== 'not-found' || signal.aborted) return error;
    if (from) {
      return new HearsayError('not-found', `"${printable(what)}" is not offered by ${from.map(printable).join(', ')}`);
    }
    if (what.endsWith('/') || what.includes('*')) return error;
    // A one-shot has asked for the exact path only.
    const view = await this.#parts.learn([{ kind: ASK.what, text: `${what}/` }], signal);
    try {
      candidates(await rested(meant(view.listed, what, undefined)), what, view.peers());
    } catch (again) {
      return asHearsayError(again);
    }
    return error;
  }

  async hashFirst(pieces: Piece[], signal: AbortSignal): Promise<void> {
    const offers = pieces.flatMap(({ path, sources: [peer] }) => (peer === undefined ? [] : [{ peer, path }]));
    const hashed = await this.#hash(offers, signal);
    for (const piece of pieces) piece.id ??= hashed.get(`${piece.sources[0]} ${piece.path}`) ?? null;
  }

  /** Asks the writers of offers to hash them; gives the ids by "peer path". Those that do not answer stay without. */
  async #hash(offers: { peer: PeerId; path: string }[], signal: AbortSignal): Promise<Map<string, string>> {
    const ids = new Map<string, string>();
    await Promise.all(
      offers.map(async ({ peer, path }) => {
        const question = { kind: ASK.hashed, text: path };
        const answer = await this.#parts.asker.askOne(peer, question, signal, HASH_MS).catch(() => []);
        const offer = answer.find((o) => o.path === path);
        if (offer?.id) ids.set(`${peer} ${path}`, offer.id);
      }),
    );
    signal.throwIfAborted();
    for (const [key, id] of ids) this.#hashed.set(key, id);
    return ids;
  }

  /** Ids told by hashing on demand, before gossip brings them. */
  readonly #hashed = new Latest<string, string>(HASHED_MAX);

  /** Offers with the ids that were told by hashing on demand. */
  *#withIds(offers: Iterable<PeerOffer>): Generator<PeerOffer> {
    for (const offer of offers) {
      const id = offer.id ?? this.#hashed.get(`${offer.peer} ${offer.path}`) ?? null;
      yield id === offer.id ? offer : { ...offer, id };
    }
  }

  /** Whatever may be a source of some pieces. */
  *#offersOf(view: View, pieces: readonly Piece[]): Generator<PeerOffer> {
    const at = new Map<string, [PeerId, string]>();
    const ids = new Set<string>();
    for (const { id, path, sources } of pieces) {
      if (id !== null) ids.add(id);
      for (const peer of sources) at.set(`${peer} ${path}`, [peer, path]);
    }
    for (const [key, id] of this.#hashed) {
      const space = key.indexOf(' ');
      if (ids.has(id)) at.set(key, [key.slice(0, space), key.slice(space + 1)]);
    }
    for (const id of ids) yield* view.byId(id);
    for (const [peer, path] of at.values()) {
      const offer = view.get(peer, path);
      if (offer) yield offer;
    }
  }
}
