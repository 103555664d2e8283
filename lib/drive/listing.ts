/** What `ls`, `find` and `--follow` show of the index. Pure. */
import type { FileRow, FollowEvent, ListQuery, PeerName } from '../api.js';
import type { PeerId } from '../ids.js';
import { FOUND_MAX } from '../limits.js';
import { byPath } from '../names.js';
import { isFile, type Offer, type PeerOffer } from '../offer.js';
import { folded } from '../shelf/folded.js';
import { type Found, merged } from '../shelf/merged.js';
import { patternMatcher, rowOf, rows, wordMatcher } from '../shelf/query.js';
import { rankIn, rankOf } from '../shelf/rank.js';
import type { Rows } from '../shelf/rows.js';
import { EVERYTHING, scan, wantedPattern, wantedWords } from '../shelf/scan.js';
import { ASK, type Question } from './asker.js';
import type { IndexChange } from './changes.js';

/** Whether an offer belongs in a listing. @throws HearsayError `usage` where the pattern is too long */
export function matcher(
  query: ListQuery,
  from: Set<PeerId> | undefined,
): (offer: { peer: PeerId; path: string }) => boolean {
  const pattern = query.pattern === undefined ? undefined : patternMatcher(query.pattern);
  const words = query.words === undefined ? undefined : wordMatcher(query.words);
  return ({ peer, path }) => (!from || from.has(peer)) && (pattern?.(path) ?? true) && (words?.(path) ?? true);
}

/** What a one-shot asks others so that it can answer a listing. */
export function questionOf({ pattern, words, from }: ListQuery): Question {
  if (pattern !== undefined) return { kind: ASK.pattern, text: pattern, from };
  if (words !== undefined) return { kind: ASK.words, text: words.join(' '), from };
  return { kind: ASK.all, text: '', from };
}

/** Rows of a listing that go out together. */
const ROWS = 256;
/** Hits that are ranked between two rests. */
const RANKED = 256;

/** What is there to be listed. */
export interface Listed {
  /** Rows of shelves, by their writers. */
  shelves(): Iterable<{ peer: PeerId; rows: Rows }>;
  /** Offers that are on no shelf. */
  told(): Iterable<PeerOffer>;
}

/** Some rows of a listing; `more`: hits that are not in it, as there are too many. */
export interface ListedRows {
  files: FileRow[];
  more: number;
}

/**
 * The rows of a listing: sorted by path, or where words are looked for the best first. An undefined is a moment in which others may
 * have a turn. What changes meanwhile is not in it.
 * @param from only these peers' files
 * @param most hits of words
 * @throws HearsayError `usage` where the pattern is too long
 */
export function* listing(
  listed: Listed,
  query: ListQuery,
  from: ReadonlySet<PeerId> | undefined,
  nameOf: (p: PeerId) => PeerName,
  most = FOUND_MAX,
): Generator<ListedRows | undefined, void, undefined> {
  const { pattern, words } = query;
  const wanted = [
    ...(pattern === undefined ? [] : [wantedPattern(pattern)]),
    ...(words === undefined ? [] : [wantedWords(words)]),
  ];
  const [first = EVERYTHING] = wanted;
  const fits = matcher(query, undefined);
  const parts: Found[] = [];
  for (const { peer, rows } of listed.shelves()) {
    if (from && !from.has(peer)) continue;
    const found = yield* scan(rows, first, false);
    if (found.length > 0) parts.push({ peer, rows, found });
    yield undefined;
  }
  const others: PeerOffer[] = [];
  let looked = 0;
  for (const offer of listed.told()) {
    if (++looked % ROWS === 0) yield undefined;
    if (isFile(offer) && (!from || from.has(offer.peer)) && fits(offer)) others.push(offer);
  }
  const names = new Map<PeerId, string>();
  const name = (peer: PeerId) => {
    const known = names.get(peer) ?? nameOf(peer).name;
    names.set(peer, known);
    return known;
  };
  if (words !== undefined) {
    const { offers, more } = yield* best(parts, others, words, most);
    yield* inRows(offers, name, more);
  } else yield* inRows(merged(parts, others), name, 0);
}

/** Offers in their order as rows: those of one path come together. */
function* inRows(
  offers: Iterable<PeerOffer | undefined>,
  name: (peer: PeerId) => string,
  more: number,
): Generator<ListedRows | undefined, void, undefined> {
  let files: FileRow[] = [];
  let same: PeerOffer[] = [];
  const close = () => {
    if (same.length === 1) files.push(rowOf(same[0], name));
    else for (const row of rows(same, name)) files.push(row);
    same = [];
  };
  for (const offer of offers) {
    if (!offer) {
      yield undefined;
      continue;
    }
    if (same.length > 0 && same[0].path !== offer.path) close();
    same.push(offer);
    if (files.length < ROWS) continue;
    yield { files, more: 0 };
    files = [];
  }
  close();
  if (files.length > 0 || more > 0) yield { files, more };
}

/** What is found: its path is made when it decides or is told. */
class Hit {
  readonly rank: number;
  readonly #path: () => string;
  readonly #offer: (path: string) => PeerOffer;
  #made: string | undefined;

  constructor(rank: number, path: () => string, offer: (path: string) => PeerOffer) {
    this.rank = rank;
    this.#path = path;
    this.#offer = offer;
  }

  get path(): string {
    this.#made ??= this.#path();
    return this.#made;
  }

  offer(): PeerOffer {
    return this.#offer(this.path);
  }
}

/** The best hits, the best first. */
function* best(
  parts: readonly Found[],
  others: readonly PeerOffer[],
  words: readonly string[],
  most: number,
): Generator<undefined, { offers: PeerOffer[]; more: number }, undefined> {
  const plain = [...new Set(words.map(folded))];
  let hits: Hit[] = [];
  let worst = Number.POSITIVE_INFINITY;
  let count = 0;
  const cut = () => {
    hits.sort((a, b) => a.rank - b.rank || byPath(a, b));
    hits = hits.slice(0, most);
    if (hits.length === most) worst = hits[most - 1].rank;
  };
  const add = (rank: number, path: () => string, offer: (path: string) => PeerOffer) => {
    count++;
    if (rank > worst) return;
    hits.push(new Hit(rank, path, offer));
    if (hits.length >= 2 * most) cut();
  };
  for (const { peer, rows: of, found } of parts) {
    for (const row of found) {
      const rank = rankIn(of.plainFolders[of.folder[row]], of.plainName(row), of.pathLength(row), plain);
      add(
        rank,
        () => of.path(row),
        (path) => of.offer(row, peer, path),
      );
      if (count % RANKED === 0) yield undefined;
    }
  }
  for (const offer of others) {
    add(
      rankOf(offer.path, plain),
      () => offer.path,
      () => offer,
    );
    if (count % RANKED === 0) yield undefined;
  }
  cut();
  return { offers: hits.map((hit) => hit.offer()), more: count - hits.length };
}

/**
 * A change of one peer's offer, as a change of the network's files.
 * @returns undefined where nothing shows: a folder, or a file that this peer hashed meanwhile
 */
export function followEvent(
  { kind, offer, before }: IndexChange,
  nameOf: (p: PeerId) => PeerName,
): FollowEvent | undefined {
  if (!isFile(kind === 'removed' && before ? before : offer)) return undefined;
  if (kind === 'changed' && before && onlyHashed(before, offer)) return undefined;
  const shown = kind === 'removed' && before ? before : offer;
  const { path, size, mtime, id } = shown;
  return { event: kind, path, size, mtime, id, peers: [nameOf(offer.peer)] };
}

function onlyHashed(before: Offer, after: Offer): boolean {
  return before.id === null && after.id !== null && before.size === after.size && before.mtime === after.mtime;
}
