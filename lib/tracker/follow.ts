/**
 * Following: what changed in the registry, for those who want to be told.
 * Owns the log of changes that somebody may not have been told yet. Always true: at most FOLLOW_LOG_MAX are kept, whoever does not
 * read, and of each holding only whose it is and of what, as a bit set may be large; of what changed often only the latest is told.
 * Pure. Called by the tracker's driver.
 */
import type { PeerId } from '../ids.js';
import { FOLLOW_LOG_MAX } from '../limits.js';
import type { Offer, PeerOffer } from '../offer.js';
import { matchingPeers, patternMatcher, whatMatcher, wordMatcher } from '../shelf/query.js';
import type { Change } from '../shelf/staging.js';
import { type Holding, LOOKUP, type Registered } from './events.js';
import type { Piece } from './pages.js';

/** Something that changed. `moved`: where the peer can be reached, or that it came; else only its words on itself. */
export type Told =
  | { kind: 'peer'; peer: Registered; moved: boolean }
  | { kind: 'gone'; peer: Registered }
  | { kind: 'offer'; change: Change }
  | { kind: 'holding'; holding: Holding };

/** What is looked at in one go, in characters of ordinary questions: long paths and long patterns take longer. */
const AT_ONCE = 32_768;
/** What an entry takes at least, and so many characters of a question once more. */
const LOOK = 128;
const LONG = 32;
const NOTHING: Piece = { peers: [], offers: [], have: [] };

/** What of all changes somebody wants to be told. */
export interface Query {
  offers(offer: Offer): boolean;
  peers(peer: { id: PeerId; name: string }, moved: boolean): boolean;
  /** The content whose holders are wanted. */
  content: string | undefined;
  /** Whether every peer's words are told as it comes. */
  knowsAll: boolean;
  /** How long it takes to compare, in the time that an ordinary question takes. */
  cost: number;
}

/** A change as it is kept. */
type Kept = Exclude<Told, { kind: 'holding' }> | { kind: 'holding'; peer: PeerId; id: string; chunks: number };
/** What a peer holds of a content now. */
type Holds = (peer: PeerId, id: string) => Holding | undefined;

const never = (): boolean => false;
const always = (): boolean => true;

/**
 * What fits a lookup that is followed.
 * @returns undefined for one that cannot be
 * @throws HearsayError `usage` where the text is too long
 */
export function queryOf(kind: number, text: string): Query | undefined {
  const rest = { content: undefined, knowsAll: false, cost: 1 + text.length / LONG };
  // Of the writers of offers only that they are gone, or are elsewhere: their words come with what they offer.
  const moving = (_: unknown, moved: boolean): boolean => moved;
  const named = (peer: { id: PeerId; name: string }): boolean => matchingPeers(text, [peer]).length > 0;
  switch (kind) {
    case LOOKUP.all:
      return { ...rest, offers: always, peers: always, knowsAll: true };
    case LOOKUP.what:
      return { ...rest, offers: whatMatcher(text), peers: moving };
    case LOOKUP.pattern: {
      const matches = patternMatcher(text);
      return { ...rest, offers: ({ path }) => matches(path), peers: moving };
    }
    case LOOKUP.words: {
      const matches = wordMatcher(text.split(/\s+/).filter((word) => word !== ''));
      return { ...rest, offers: ({ path }) => matches(path), peers: moving };
    }
    case LOOKUP.holders: {
      const content = text.toLowerCase();
      return { offers: ({ id }) => id === content, peers: moving, content, knowsAll: false, cost: 1 };
    }
    case LOOKUP.peers:
      return { ...rest, offers: never, peers: text === '' ? always : named };
    case LOOKUP.peer:
      return { ...rest, offers: never, peers: named };
    default:
      return undefined;
  }
}

export class FollowLog {
  #entries: Kept[] = [];
  #base = 0;
  readonly #most: number;

  constructor(most = FOLLOW_LOG_MAX) {
    this.#most = most;
  }

  /** The place behind the latest change. */
  get head(): number {
    return this.#base + this.#entries.length;
  }

  add(entry: Told): void {
    if (entry.kind === 'holding') {
      const { peer, id, chunks } = entry.holding;
      this.#entries.push({ kind: 'holding', peer, id, chunks });
    } else this.#entries.push(entry);
    // In steps, so that it costs little.
    if (this.#entries.length >= 2 * this.#most) this.trim(this.head - this.#most);
  }

  /** Forgets what everybody was told. */
  trim(upTo: number): void {
    if (upTo <= this.#base) return;
    this.#entries = this.#entries.slice(upTo - this.#base);
    this.#base = upTo;
  }

  /** Whether all is still here that changed after a place. */
  reaches(from: number): boolean {
    return from >= this.#base;
  }

  /**
   * What changed from a place up to another and fits, the latest of each thing. Rests now and then.
   * @param from where `reaches` is true
   * @param holds of what was held it is told what is held now
   */
  *since(from: number, upTo: number, query: Query, holds: Holds): Generator<Piece, void, undefined> {
    const peers = new Map<PeerId, Changed>();
    const of = (id: PeerId): Changed => {
      let changed = peers.get(id);
      if (!changed) {
        changed = { gone: false, peer: undefined, offers: new Map(), have: new Map() };
        peers.set(id, changed);
      }
      return changed;
    };
    const entries = this.#entries.slice(from - this.#base, upTo - this.#base);
    let done = 0;
    for (const entry of entries) {
      if (done >= AT_ONCE) {
        done = 0;
        yield NOTHING;
      }
      done += LOOK + lengthOf(entry) * query.cost;
      note(entry, query, of, holds);
    }
    // Who is gone comes first, so that what it had is void before it is here again.
    const gone = [...peers].filter(([, changed]) => changed.gone).map(([id]) => id);
    if (gone.length > 0) yield { ...NOTHING, gone };
    const here = [...peers.values()].flatMap(({ peer }) => (peer ? [peer] : []));
    if (here.length > 0) yield { ...NOTHING, peers: here };
    for (const { offers, have } of peers.values()) {
      if (offers.size + have.size > 0) yield { peers: [], offers: [...offers.values()], have: [...have.values()] };
    }
  }
}

/** What of one peer changed. */
interface Changed {
  gone: boolean;
  peer: Registered | undefined;
  offers: Map<string, PeerOffer>;
  have: Map<string, Holding>;
}

/** Characters that are compared. */
function lengthOf(entry: Kept): number {
  if (entry.kind !== 'offer') return 0;
  const { before, after } = entry.change;
  return (before?.path.length ?? 0) + (after?.path.length ?? 0);
}

function note(entry: Kept, query: Query, of: (id: PeerId) => Changed, holds: Holds): void {
  switch (entry.kind) {
    case 'peer':
      if (query.peers(entry.peer, entry.moved)) of(entry.peer.id).peer = entry.peer;
      return;
    case 'gone': {
      if (!query.peers(entry.peer, true)) return;
      const changed = of(entry.peer.id);
      changed.gone = true;
      changed.peer = undefined;
      changed.offers.clear();
      changed.have.clear();
      return;
    }
    case 'offer': {
      const { before, after } = entry.change;
      const latest = after ?? (before && buried(before));
      if (!latest) return;
      const fits = (before !== undefined && query.offers(before)) || (after !== undefined && query.offers(after));
      if (fits) of(latest.peer).offers.set(latest.path, latest);
      return;
    }
    case 'holding': {
      const { peer, id, chunks } = entry;
      if (query.content !== id) return;
      of(peer).have.set(id, holds(peer, id) ?? { peer, id, chunks, bits: new Uint8Array(0) });
      return;
    }
  }
}

/** A deletion, as it is told. */
function buried({ peer, path, mtime, version }: PeerOffer): PeerOffer {
  return { peer, path, kind: 'removed', size: 0, mtime, id: null, version };
}
