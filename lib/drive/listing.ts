/** What `ls`, `find` and `--follow` show of the index. Pure. */
import type { FollowEvent, ListQuery, PeerName } from '../api.js';
import type { PeerId } from '../ids.js';
import { isFile, type Offer, type PeerOffer } from '../offer.js';
import { patternMatcher, rows, wordMatcher } from '../shelf/query.js';
import { ASK, type Question } from './asker.js';
import type { IndexChange } from './changes.js';

/** Whether an offer belongs in a listing. @throws HearsayError `usage` where the pattern is too long */
export function matcher(query: ListQuery, from: Set<PeerId> | undefined): (offer: PeerOffer) => boolean {
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

/** Rows of a listing, sorted by path. */
export function listing(
  offers: Iterable<PeerOffer>,
  fits: (offer: PeerOffer) => boolean,
  nameOf: (p: PeerId) => PeerName,
) {
  function* some() {
    for (const offer of offers) if (fits(offer)) yield offer;
  }
  return rows(some(), (peer) => nameOf(peer).name);
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
