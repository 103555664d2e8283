/**
 * Lookups: what of the registry fits a question, piece by piece as the answer is taken. Pure functions over what the registry
 * owns. Always true: a piece takes some milliseconds at most, and what changes in between may or may not be told.
 * Called by the registry.
 */
import type { Random } from '../clock.js';
import { type Code, HearsayError } from '../errors.js';
import { isContentId } from '../hash.js';
import type { PeerId } from '../ids.js';
import { HITS_MAX, RELAYS_TOLD_MAX } from '../limits.js';
import type { PeerOffer } from '../offer.js';
import type { Hits } from '../shelf/search.js';
import type { Context } from './context.js';
import { type Found, type Holding, LOOKUP, type Registered } from './events.js';
import type { Roll } from './roll.js';

/** Why there is no answer. */
export interface Refusal {
  code: Code;
  message: string;
}

/** Peers, offers or holdings in one piece. */
const PIECE = 256;
/** Rests that are waited for before it is said that there is something: some milliseconds. */
const PEEKED = 16;
const REST: Found = { peers: [], offers: [], have: [] };

/** @returns pieces of the answer; why there is none, where that is known at once: something may be found to be missing later */
export function lookUp(context: Context, random: Random, kind: number, text: string): Iterable<Found> | Refusal {
  try {
    return answer(context, random, kind, text);
  } catch (thrown) {
    if (!(thrown instanceof HearsayError)) throw thrown;
    return { code: thrown.code, message: thrown.message };
  }
}

function answer(context: Context, random: Random, kind: number, text: string): Iterable<Found> | Refusal {
  const { roll, search } = context;
  switch (kind) {
    case LOOKUP.all:
      return everything(context);
    case LOOKUP.what:
      return peeked(offersOf(search.what(text)), `nobody offers "${text}"`);
    case LOOKUP.pattern:
      return offersOf(search.pattern(text));
    case LOOKUP.words:
      return offersOf(search.words(text.split(/\s+/).filter((word) => word !== '')));
    case LOOKUP.holders:
      if (!isContentId(text)) throw new HearsayError('usage', 'not a content id');
      return peeked(holders(context, text), `nobody holds #${text}`);
    case LOOKUP.peers:
      return peersOf(text === '' ? roll : named(roll, text));
    case LOOKUP.peer: {
      const found = [...named(roll, text)];
      return found.length > 0 ? peersOf(found) : unknownPeer(text);
    }
    case LOOKUP.relay:
      return relaysFor(context, random, text);
    default:
      throw new HearsayError('usage', 'not a kind of lookup');
  }
}

function unknownPeer(text: string): Refusal {
  return { code: 'unknown-peer', message: `no peer "${text}" is registered` };
}

/** Who is meant: by id, by name, or by the beginning of an id. */
function* named(roll: Roll, text: string): Generator<Registered, void, undefined> {
  if (text === '') return;
  const id = text.toUpperCase();
  const exact = roll.shown(id);
  const bearers = exact ? [id] : roll.byName(text);
  for (const one of bearers.length > 0 ? bearers : roll.byPrefix(id)) {
    const shown = roll.shown(one);
    if (shown) yield shown;
  }
}

function* peersOf(peers: Iterable<Registered>): Generator<Found, void, undefined> {
  let piece: Registered[] = [];
  for (const peer of peers) {
    if (piece.length === PIECE) {
      yield { ...REST, peers: piece };
      piece = [];
    }
    piece.push(peer);
  }
  if (piece.length > 0) yield { ...REST, peers: piece };
}

function* offersOf(hits: Hits): Generator<Found, void, undefined> {
  let piece: PeerOffer[] = [];
  let told = 0;
  for (const offer of hits) {
    if (offer) {
      piece.push(offer);
      if (++told === HITS_MAX) break;
      if (piece.length < PIECE) continue;
    }
    yield { ...REST, offers: piece };
    piece = [];
  }
  if (piece.length > 0) yield { ...REST, offers: piece };
}

function* holdingsOf(holdings: Iterable<Holding>): Generator<Found, void, undefined> {
  let piece: Holding[] = [];
  for (const holding of holdings) {
    if (piece.length === PIECE) {
      yield { ...REST, have: piece };
      piece = [];
    }
    piece.push(holding);
  }
  if (piece.length > 0) yield { ...REST, have: piece };
}

function* everything({ roll, search, holdings }: Context): Generator<Found, void, undefined> {
  yield* peersOf(roll);
  yield* offersOf(search.all());
  yield* holdingsOf(holdings);
}

/** Who offers a content, and who holds parts of it and does not. */
function* holders({ search, holdings }: Context, content: string): Generator<Found, void, undefined> {
  const offering = new Set<PeerId>();
  for (const found of offersOf(search.byId(content))) {
    for (const { peer } of found.offers) offering.add(peer);
    yield found;
  }
  yield* holdingsOf([...holdings.of(content)].filter(({ peer }) => !offering.has(peer)));
}

/** The same pieces; a refusal where it turns out soon that there is nothing in them. */
function peeked(found: Generator<Found, void, undefined>, message: string): Iterable<Found> | Refusal {
  const seen: Found[] = [];
  for (;;) {
    const { value, done } = found.next();
    if (done) return { code: 'unknown-file', message };
    seen.push(value);
    const isFound = value.offers.length + value.have.length > 0;
    if (isFound || seen.length >= PEEKED) return chained(seen, found);
  }
}

function* chained(seen: readonly Found[], rest: Generator<Found, void, undefined>): Generator<Found, void, undefined> {
  yield* seen;
  yield* rest;
}

/** Who would pass on between the asker and a peer that it cannot reach. */
function relaysFor({ id, roll }: Context, random: Random, text: string): Iterable<Found> | Refusal {
  const [wanted] = named(roll, text);
  if (!wanted) return unknownPeer(text);
  const willing: Registered[] = [];
  for (const relay of roll.relays()) {
    const shown = roll.shown(relay);
    if (shown && relay !== wanted.id && (relay === id || shown.reachable.length > 0)) willing.push(shown);
  }
  if (willing.length === 0) return { code: 'not-found', message: 'nobody passes on' };
  // This tracker first, which both reach already; of the others any, so that all have their part.
  const isSelf = (peer: Registered) => peer.id === id;
  const others = willing.filter((peer) => !isSelf(peer));
  const begin = Math.floor(random() * others.length);
  const turned = [...others.slice(begin), ...others.slice(0, begin)];
  return peersOf([...willing.filter(isSelf), ...turned].slice(0, RELAYS_TOLD_MAX));
}
