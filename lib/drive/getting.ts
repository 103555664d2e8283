/**
 * What gets need of their peer: sources, links, the index, and serving onward.
 *
 * Owns the transfers coming in, for `status`. Always true: a transfer is listed from its beginning to its end. Called by
 * Get and what it drives.
 */
import { sep } from 'node:path';
import type { GetQuery, PeerName, TransferRow } from '../api.js';
import { asHearsayError, HearsayError } from '../errors.js';
import type { Gossip } from '../gossip/gossip.js';
import type { PeerId } from '../ids.js';
import { Latest } from '../latest.js';
import { HASHED_MAX, PEERS_MAX } from '../limits.js';
import { printable } from '../names.js';
import { verifySignature } from '../net/keys.js';
import type { Link } from '../net/link.js';
import type { Links } from '../net/links.js';
import { isFile, type PeerOffer } from '../offer.js';
import type { Catalogue } from '../share/catalogue.js';
import { candidates, resolveWhat } from '../shelf/query.js';
import { headStatement, readHead } from '../wire/head.js';
import type { Neighbour } from '../wire/table.js';
import { ASK, type Asker, type Question } from './asker.js';
import type { Changes } from './changes.js';
import type { Onward } from './context.js';
import type { GetContext } from './fetch.js';
import type { Gossiper } from './gossiper.js';
import type { LocalShelf } from './local-shelf.js';
import { lookUpPeers } from './lookup.js';
import type { Found } from './offered.js';
import { namingOf, type Piece, piecesOf, unsettled } from './plan.js';
import { Rate } from './rate.js';
import type { Requests } from './requests.js';
import type { Server } from './serve.js';

/** Files that others are asked to hash before a path is called ambiguous. */
const HASH_FIRST_MAX = 256;
/** How long hashing a large file may take until its source says something, ms. */
const HASH_MS = 10 * 60_000;

export interface Parts {
  /** This peer's own. */
  id: PeerId;
  gossip: Gossip;
  gossiper: Gossiper;
  links: Links;
  requests: Requests;
  asker: Asker;
  changes: Changes;
  shelf: LocalShelf;
  server: Server;
  catalogue: Catalogue | undefined;
  /** Sees to it that the index can answer these: a one-shot asks around. */
  learn(questions: Question[], signal?: AbortSignal): Promise<void>;
  random(): number;
  /** Why nobody is found, as far as can be told. */
  whyNobody(): string;
  warn(message: string): void;
}

interface Incoming {
  path: string;
  size: number;
  verified: number;
  rate: Rate;
}

export class Getting implements GetContext {
  readonly #parts: Parts;
  readonly #incoming = new Set<Incoming>();
  readonly #names = new Latest<PeerId, string>(PEERS_MAX);
  readonly requests: Requests;
  readonly random: () => number;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.requests = parts.requests;
    this.random = parts.random;
  }

  connect(peer: PeerId): Promise<Link> {
    return this.#parts.gossiper.connect(peer);
  }

  async meet({ head, sig, addresses }: Neighbour): Promise<Link | undefined> {
    const { id, key } = readHead(head);
    if (id === this.#parts.id || !verifySignature(key, headStatement(head), sig)) return undefined;
    return await this.#parts.gossiper.meet(id, addresses).catch(() => undefined);
  }

  nameOf(id: PeerId): PeerName {
    const { gossip, links } = this.#parts;
    const name = gossip.peer(id)?.name ?? links.get(id)?.head.name;
    if (name === undefined) return { id, name: this.#names.get(id) ?? id };
    // What one who has left was called is still told.
    this.#names.set(id, name);
    return { id, name };
  }

  isHere(id: PeerId): boolean {
    return this.#parts.gossip.peer(id) !== undefined;
  }

  isAside(path: string, peers: readonly PeerId[]): boolean {
    const { index } = this.#parts.gossip;
    return peers.length > 0 && peers.every((peer) => index.isToldAside(peer, path));
  }

  openShareAt(folder: string): string | undefined {
    const inside = (path: string) => folder === path || folder.startsWith(path.endsWith(sep) ? path : path + sep);
    return this.#parts.catalogue?.shares().find((share) => !share.for && inside(share.path))?.name;
  }

  holders(id: string): PeerId[] {
    const { gossip } = this.#parts;
    return gossip.index
      .byId(id)
      .map((offer) => offer.peer)
      .filter((peer) => peer !== this.#parts.id);
  }

  seek(id: string, then: (peer: PeerId) => void): () => void {
    const stop = this.#parts.changes.hook(({ kind, offer }) => {
      if (kind !== 'removed' && offer.id === id && offer.peer !== this.#parts.id) then(offer.peer);
    });
    // Who does not answer is no source, and that is all.
    this.#parts.learn([{ kind: ASK.what, text: `#${id}` }]).catch(() => {});
    return stop;
  }

  whenHashed(peer: PeerId, path: string, then: (id: string) => void): () => void {
    return this.#parts.changes.hook(({ kind, offer }) => {
      if (kind === 'removed' || offer.peer !== peer || offer.path !== path || offer.id === null) return;
      then(offer.id);
    });
  }

  serveOnward(id: string, found: Found): Onward {
    const { shelf, server, gossip } = this.#parts;
    // Whom else it is for is known to its writer alone: nobody gets it from here.
    if (gossip.index.isAside(id, found.source.path)) return { have: () => {}, end: () => {} };
    const end = shelf.add(id, found);
    return { have: (chunks) => server.tellHave(id, chunks), end };
  }

  own(id: string): { file: string; manifest: Uint8Array | undefined } | undefined {
    const entry = this.#parts.catalogue?.byId(id);
    return entry && { file: entry.file, manifest: this.#parts.catalogue?.manifest(entry.path) };
  }

  watch(path: string, size: number) {
    const incoming: Incoming = { path, size, verified: 0, rate: new Rate() };
    this.#incoming.add(incoming);
    return {
      progress: (verified: number) => {
        incoming.rate.add(Math.max(0, verified - incoming.verified), performance.now());
        incoming.verified = verified;
      },
      end: () => {
        this.#incoming.delete(incoming);
      },
    };
  }

  rows(): Omit<TransferRow, 'number'>[] {
    return [...this.#incoming].map(({ path, size, verified, rate }) => ({
      direction: 'in',
      path,
      size,
      bytes: verified,
      rate: rate.value(performance.now()),
      peers: [],
    }));
  }

  async resolve(query: GetQuery, signal: AbortSignal, failed: (error: HearsayError) => void): Promise<Piece[]> {
    const { id: me, gossip, learn } = this.#parts;
    signal.throwIfAborted();
    await learn(
      query.what.map((text) => ({ kind: ASK.what, text, from: query.from })),
      signal,
    );
    const others = gossip.peers().some((peer) => !peer.self);
    const from = lookUpPeers(query.from ?? [], gossip.peers(), others ? undefined : this.#parts.whyNobody());
    for (const name of from.away) this.#parts.warn(`${name} is not here; the others go on`);
    const pieces: Piece[] = [];
    for (const what of query.what) {
      const find = () => this.#offers(query.from ? from.ids : undefined);
      try {
        const open = unsettled(candidates(find(), what, gossip.peers())).filter((o) => o.peer !== me);
        await this.#hash(open.slice(0, HASH_FIRST_MAX), signal);
        const found = resolveWhat(find(), what, gossip.peers());
        // This peer's own file can be copied only once its content is known.
        const offers = found.offers.filter((o) => o.peer !== me || o.id !== null || !isFile(o));
        pieces.push(...piecesOf(offers, namingOf(found), me, query.from && from.ids));
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
    await this.#parts.learn([{ kind: ASK.what, text: `${what}/` }], signal);
    try {
      candidates(this.#offers(undefined), what, this.#parts.gossip.peers());
    } catch (again) {
      return asHearsayError(again);
    }
    return error;
  }

  async hashFirst(pieces: Piece[], signal: AbortSignal): Promise<void> {
    const offers = pieces.flatMap((piece) => {
      const offer = piece.sources[0] && this.#parts.gossip.index.get(piece.sources[0], piece.path);
      return offer ? [offer] : [];
    });
    const hashed = await this.#hash(offers, signal);
    for (const piece of pieces) piece.id ??= hashed.get(`${piece.sources[0]} ${piece.path}`) ?? null;
  }

  /** Asks the writers of offers to hash them; gives the ids by "peer path". Those that do not answer stay without. */
  async #hash(offers: PeerOffer[], signal: AbortSignal): Promise<Map<string, string>> {
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

  *#offers(from: Set<PeerId> | undefined): Generator<PeerOffer> {
    for (const offer of this.#parts.gossip.index) {
      if (from && !from.has(offer.peer)) continue;
      const id = offer.id ?? this.#hashed.get(`${offer.peer} ${offer.path}`) ?? null;
      yield id === offer.id ? offer : { ...offer, id };
    }
  }
}
