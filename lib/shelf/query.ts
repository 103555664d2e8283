/** What people ask for, and which offers fit it: pure functions, used by the index, the commands and the answer to a find. */
import type { FileRow, PeerName } from '../api.js';
import { HearsayError } from '../errors.js';
import { isContentId } from '../hash.js';
import type { PeerId } from '../ids.js';
import { WORDS_MAX } from '../limits.js';
import { byPath, printable } from '../names.js';
import { isFile, type Offer, type PeerOffer } from '../offer.js';
import { folded } from './folded.js';
import { compile, fixedPart, isPattern } from './glob.js';

/** Ambiguous contents that an error names; more are counted. */
const NAMED_MAX = 10;

/** What a WHAT turned out to be. */
export interface Resolution {
  kind: 'file' | 'folder' | 'pattern' | 'id' | 'name';
  /** The beginning of each path that is not repeated at the destination: `path.slice(fixed.length)` is what goes there. */
  fixed: string;
  /** Every offer that fits, of every peer; folders too where a folder or a pattern is meant. */
  offers: PeerOffer[];
}

/** The folder of a path with its slash, or nothing. */
function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/') + 1);
}

/** The last segment of a path. */
export function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

const ID_PREFIX = /^#[0-9a-f]{1,64}$/i;

type Fits = (offer: Offer) => boolean;
type Step = { kind: Resolution['kind']; fits: Fits; fixed(offers: PeerOffer[]): string };

const besideFirst = (offers: PeerOffer[]): string => folderOf(offers[0].path);

/** The readings of a WHAT in the order of the contract; each is tried when those before it found nothing. */
function readings(what: string): Step[] {
  const steps: Step[] = [{ kind: 'file', fits: (o) => o.path === what, fixed: besideFirst }];
  if (what.endsWith('/')) {
    const folder = what.slice(0, -1);
    const parent = folderOf(folder);
    steps.push({ kind: 'folder', fits: (o) => o.path.startsWith(what) || isFolder(o, folder), fixed: () => parent });
  }
  if (ID_PREFIX.test(what)) {
    const prefix = what.slice(1).toLowerCase();
    steps.push({ kind: 'id', fits: (o) => o.id?.startsWith(prefix) ?? false, fixed: besideFirst });
  }
  if (isPattern(what)) {
    const matches = compile(what);
    const fixed = fixedPart(what);
    steps.push({ kind: 'pattern', fits: (o) => matches(o.path), fixed: () => fixed });
  }
  if (!what.includes('/')) {
    steps.push({ kind: 'name', fits: (o) => isFile(o) && nameOf(o.path) === what, fixed: besideFirst });
  }
  return steps;
}

function isFolder(offer: Offer, path: string): boolean {
  return offer.kind === 'folder' && offer.path === path;
}

/**
 * The offers that a WHAT means, without asking whether they are of one content: for those who may still learn that two
 * offers without an id are the same.
 * @param what an exact path; a path ending in `/`; `#` and a content id or a prefix; a pattern; a file name; each may have
 *   `PEER:` before it, but what fits as it stands comes first, since a path may contain a colon
 * @param peers who is here, for `PEER:`
 * @throws HearsayError `not-found`; `ambiguous` where PEER is
 */
export function candidates(offers: Iterable<PeerOffer>, what: string, peers: Iterable<PeerName>): Resolution {
  const all = [...offers];
  const whole = resolve(all, what);
  if (whole) return whole;
  const known = [...peers];
  for (let colon = what.indexOf(':'); colon >= 0; colon = what.indexOf(':', colon + 1)) {
    const found = matchingPeers(what.slice(0, colon), known);
    if (found.length === 0) continue;
    const of = new Set(found.map((peer) => peer.id));
    const theirs = all.filter((offer) => of.has(offer.peer));
    const part = resolve(theirs, what.slice(colon + 1));
    if (!part) continue;
    if (found.length > 1) throw ambiguousPeer(what.slice(0, colon), found);
    return part;
  }
  const below = `${what}/`;
  const hint = all.some(({ path }) => path.startsWith(below)) ? `; it is a folder: write "${printable(below)}"` : '';
  throw new HearsayError('not-found', `Nobody offers "${printable(what)}"${hint}.`);
}

function resolve(offers: PeerOffer[], what: string): Resolution | undefined {
  if (what === '') return undefined;
  for (const { kind, fits, fixed } of readings(what)) {
    const found = offers.filter(fits).sort((a, b) => byPath(a, b) || (a.peer < b.peer ? -1 : 1));
    if (found.length === 0) continue;
    // The exact path of an empty folder means the folder.
    const isEmptyFolder = kind === 'file' && !found.some(isFile);
    return { kind: isEmptyFolder ? 'folder' : kind, fixed: fixed(found), offers: found };
  }
  return undefined;
}

/**
 * The offers that a WHAT means, of one content for each path.
 * @throws HearsayError `not-found`, `ambiguous`; the message of the latter names each content and how to ask for it
 */
export function resolveWhat(offers: Iterable<PeerOffer>, what: string, peers: Iterable<PeerName>): Resolution {
  const known = [...peers];
  const found = candidates(offers, what, known);
  const clashing = ambiguities(found);
  if (clashing.length > 0) throw ambiguous(what, clashing, known);
  return found;
}

/** The offers of one content: those with the same id, or a single one without. */
export function contents(offers: Iterable<PeerOffer>): PeerOffer[][] {
  const byContent = new Map<string, PeerOffer[]>();
  for (const offer of offers) {
    if (!isFile(offer)) continue;
    const content = offer.id ?? `${offer.peer} ${offer.path}`;
    const same = byContent.get(content);
    if (same) same.push(offer);
    else byContent.set(content, [offer]);
  }
  return [...byContent.values()];
}

/** Sets of contents of which only one can be meant: none where the resolution is clear. */
export function ambiguities({ kind, offers }: Resolution): PeerOffer[][][] {
  if (kind === 'file' || kind === 'id' || kind === 'name') {
    const all = contents(offers);
    return all.length > 1 ? [all] : [];
  }
  const byItsPath = new Map<string, PeerOffer[]>();
  for (const offer of offers) {
    const same = byItsPath.get(offer.path);
    if (same) same.push(offer);
    else byItsPath.set(offer.path, [offer]);
  }
  const clashing: PeerOffer[][][] = [];
  for (const same of byItsPath.values()) {
    const all = contents(same);
    if (all.length > 1) clashing.push(all);
  }
  return clashing;
}

function ambiguous(what: string, clashing: PeerOffer[][][], peers: readonly PeerName[]): HearsayError {
  const names = new Map(peers.map(({ id, name }) => [id, name]));
  const all = clashing.flat();
  const lines = all.slice(0, NAMED_MAX).map(([first, ...rest]) => {
    const way = first.id ? `#${first.id.slice(0, 12)}` : `${first.peer}:${first.path}`;
    const who = [first, ...rest].map(({ peer }) => names.get(peer) ?? peer).join(', ');
    return `  ${printable(way)}  ${printable(first.path)}  ${first.size} bytes  from ${printable(who)}`;
  });
  if (all.length > NAMED_MAX) lines.push(`  and ${all.length - NAMED_MAX} more`);
  const message = `"${printable(what)}" means several contents; name one of them:\n${lines.join('\n')}`;
  return new HearsayError('ambiguous', message);
}

function ambiguousPeer(text: string, found: readonly PeerName[]): HearsayError {
  const who = found.map(({ id, name }) => `  ${id}  ${printable(name)}`).join('\n');
  return new HearsayError('ambiguous', `"${printable(text)}" means several peers; name one by its id:\n${who}`);
}

/** The peers that a text names: by name, by id, or by the beginning of an id. Several where it is ambiguous. */
export function matchingPeers(text: string, peers: Iterable<PeerName>): PeerName[] {
  if (text === '') return [];
  const all = [...peers];
  const id = text.toUpperCase();
  const exact = all.filter((peer) => peer.id === id);
  if (exact.length > 0) return exact;
  const name = text.normalize('NFC');
  // What a person's own file calls it counts more than what others call themselves.
  const listed = all.filter((peer) => peer.listed?.normalize('NFC') === name);
  if (listed.length > 0) return listed;
  const named = all.filter((peer) => peer.name.normalize('NFC') === name);
  return named.length > 0 ? named : all.filter((peer) => peer.id.startsWith(id));
}

/**
 * The one peer that a text names.
 * @returns undefined where there is none
 * @throws HearsayError `ambiguous`, with the ids of those that bear the name
 */
export function onePeer(text: string, peers: Iterable<PeerName>): PeerName | undefined {
  const found = matchingPeers(text, peers);
  if (found.length > 1) throw ambiguousPeer(text, found);
  return found[0];
}

/**
 * Whether an offer may be meant by a WHAT, in any of its readings, with or without a peer before it: what a source tells
 * one who asks, who then decides.
 * @throws HearsayError `usage` where it holds a pattern that is too long
 */
export function whatMatcher(what: string): Fits {
  const fits = meanings(what).map((meaning) => meaning.fits);
  return (offer) => fits.some((matches) => matches(offer));
}

/** One thing that a WHAT may mean. */
export interface Meaning {
  kind: Resolution['kind'];
  /** The WHAT, or what follows on a peer in it. */
  text: string;
  fits: Fits;
}

/**
 * All that a WHAT may mean, with or without a peer before it.
 * @throws HearsayError `usage` where it holds a pattern that is too long
 */
export function meanings(what: string): Meaning[] {
  const out: Meaning[] = [];
  const add = (text: string): void => {
    if (text !== '') for (const { kind, fits } of readings(text)) out.push({ kind, text, fits });
  };
  add(what);
  // A colon may end a peer's name; a handful of them is more than any name has.
  let colon = what.indexOf(':');
  for (let i = 0; i < 4 && colon >= 0; i++, colon = what.indexOf(':', colon + 1)) add(what.slice(colon + 1));
  return out;
}

/** Whether an offer may be meant by a WHAT; `whatMatcher` for many offers. */
export function matchesWhat(offer: Offer, what: string): boolean {
  return whatMatcher(what)(offer);
}

/**
 * What `ls PATTERN` lists: what a pattern matches; without a wildcard the exact path, or all that is below it.
 * @throws HearsayError `usage` where it is too long
 */
export function patternMatcher(pattern: string): (path: string) => boolean {
  if (isPattern(pattern)) return compile(pattern);
  const below = pattern.endsWith('/') ? pattern : `${pattern}/`;
  const itself = below.slice(0, -1);
  return (path) => path === itself || path.startsWith(below);
}

/** Whether `ls PATTERN` lists a path; `patternMatcher` for many paths. */
export function matchesPattern(path: string, pattern: string): boolean {
  return patternMatcher(pattern)(path);
}

/**
 * What `find WORD...` lists: paths in which every word occurs, whatever its case and accents.
 * @throws HearsayError `usage` where there are too many
 */
export function wordMatcher(words: readonly string[]): (path: string) => boolean {
  if (words.length > WORDS_MAX) throw new HearsayError('usage', `${words.length} words; ${WORDS_MAX} are the most`);
  const wanted = words.map(folded);
  return (path) => {
    const text = folded(path);
    return wanted.every((word) => text.includes(word));
  };
}

export function matchesWords(path: string, words: readonly string[]): boolean {
  return wordMatcher(words)(path);
}

/**
 * Offers as rows of a listing: those of one path and one content are one row, one without an id is a row of its own; without
 * folders, sorted by path.
 * @param nameOfPeer what people call a peer
 */
export function rows(offers: Iterable<PeerOffer>, nameOfPeer: (peer: PeerId) => string): FileRow[] {
  const merged = new Map<string, FileRow>();
  for (const offer of offers) {
    const { path, mtime, id, peer } = offer;
    if (!isFile(offer)) continue;
    const key = `${id !== null && isContentId(id) ? id : peer} ${path}`;
    const row = merged.get(key);
    if (!row) merged.set(key, rowOf(offer, nameOfPeer));
    else {
      row.peers.push({ id: peer, name: nameOfPeer(peer) });
      // Copies differ in their times; the newest is the same whoever is asked first.
      row.mtime = Math.max(row.mtime, mtime);
    }
  }
  const out = [...merged.values()];
  for (const row of out) row.peers.sort((a, b) => (a.id < b.id ? -1 : 1));
  return out.sort(
    (a, b) => byPath(a, b) || compareText(a.id ?? '', b.id ?? '') || compareText(a.peers[0].id, b.peers[0].id),
  );
}

/** A file that one peer offers, as a row. */
export function rowOf({ path, size, mtime, id, peer }: PeerOffer, nameOfPeer: (peer: PeerId) => string): FileRow {
  return { path, size, mtime, id, peers: [{ id: peer, name: nameOfPeer(peer) }] };
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
