/** Who has now what was resolved before: the same contents, and nothing else that bears their names. */
import { HearsayError } from '../errors.js';
import type { PeerId } from '../ids.js';
import { printable } from '../names.js';
import type { PeerOffer } from '../offer.js';
import { changed } from '../share/file-state.js';
import type { Piece } from './plan.js';

export interface Refinding {
  /** This peer's own id. */
  me: PeerId;
  offers: Iterable<PeerOffer>;
  /** Has sources hash files; gives the ids by "peer path", without those that do not answer. */
  hash(offers: { peer: PeerId; path: string }[]): Promise<Map<string, string>>;
  nameOf(peer: PeerId): string;
  isHere(peer: PeerId): boolean;
}

/**
 * Fills in who has each piece now, and its content id where it was not known and is.
 * @returns of each piece, in their order, why nobody has it: `no-peer` where that may pass, `changed` where it will not
 */
export async function refind(pieces: readonly Piece[], parts: Refinding): Promise<(HearsayError | undefined)[]> {
  const ids = new Map<string, Set<PeerId>>();
  const named = new Map<string, PeerOffer | undefined>();
  for (const { path, id, sources } of pieces) {
    if (id !== null) ids.set(id, new Set());
    for (const peer of sources) named.set(`${peer} ${path}`, undefined);
  }
  for (const offer of parts.offers) {
    if (offer.id !== null) ids.get(offer.id)?.add(offer.peer);
    const key = `${offer.peer} ${offer.path}`;
    if (named.has(key)) named.set(key, offer);
  }
  const sourcesOf = ({ id, only }: Piece) =>
    [...(id === null ? [] : (ids.get(id) ?? []))].filter((peer) => peer !== parts.me && (only?.has(peer) ?? true));
  const isHere = ({ id }: Piece) => id !== null && (ids.get(id)?.has(parts.me) ?? false);
  const offersOf = ({ path, sources }: Piece) => sources.flatMap((peer) => named.get(`${peer} ${path}`) ?? []);
  const isSame = (piece: Piece, { size, mtime }: PeerOffer) => size === piece.size && mtime === piece.mtime;

  // One that was hashed when it was resolved, and is not now: its source began anew.
  const unhashed = pieces.filter((piece) => piece.id !== null && !isHere(piece) && sourcesOf(piece).length === 0);
  const asked = unhashed.flatMap((piece) => offersOf(piece).filter((o) => o.id === null && isSame(piece, o)));
  const hashed = asked.length > 0 ? await parts.hash(asked) : new Map<string, string>();
  for (const { peer, path } of asked) {
    const id = hashed.get(`${peer} ${path}`);
    const offer = named.get(`${peer} ${path}`);
    if (id === undefined || !offer) continue;
    named.set(`${peer} ${path}`, { ...offer, id });
    ids.get(id)?.add(peer);
  }

  return pieces.map((piece) => {
    if (piece.folder) return undefined;
    const offers = offersOf(piece);
    if (piece.id === null) {
      const same = offers.filter((offer) => isSame(piece, offer));
      if (same.length === 0) return offers.length > 0 ? changed(piece.path) : away(piece, parts);
      piece.id = same.find(({ id }) => id !== null)?.id ?? null;
      return undefined;
    }
    const sources = sourcesOf(piece);
    piece.here = isHere(piece);
    if (sources.length > 0 || piece.here) {
      piece.sources = sources;
      return undefined;
    }
    // What is not hashed yet may still be it.
    const isOther = offers.length > 0 && offers.every((offer) => offer.id !== null || !isSame(piece, offer));
    return isOther ? changed(piece.path) : away(piece, parts);
  });
}

function away({ path, sources }: Piece, { nameOf, isHere }: Refinding): HearsayError {
  const here = sources.filter(isHere);
  const names = (peers: PeerId[]) => peers.slice(0, 3).map((peer) => printable(nameOf(peer)));
  if (here.length > 0)
    return new HearsayError('no-peer', `${printable(path)} is not offered by ${names(here).join(', ')} now`);
  if (sources.length === 0) return new HearsayError('no-peer', `nobody offers ${printable(path)} now`);
  const who = names(sources);
  return new HearsayError('no-peer', `${who.join(', ')} ${who.length > 1 ? 'are' : 'is'} not here`);
}
