/**
 * Search over the offers of many peers: by path, folder, content id, file name, pattern and words, a million of them. Pure.
 * Owns which offers there are, by peer, in the order of their paths and in that of their content ids. Always true: of one peer
 * and path there is one offer; a lookup gives what the matchers of query.ts would, each offer once; it is done as its answer is
 * taken, and goes on over whatever changes in between.
 * Paths stand in blocks of neighbours, and each block has a filter that says what may occur in it, so that most are passed over
 * unread (see grams.ts).
 * Called by the registry, which writes it, and by its lookups.
 */
import type { PeerId } from '../ids.js';
import { isFile, loadOf, type PeerOffer } from '../offer.js';
import { folded } from './folded.js';
import { compile, isPattern } from './glob.js';
import {
  addPath,
  blockMayHave,
  candidates,
  type Grams,
  type Needed,
  namePieces,
  needed,
  newGrams,
  pieces,
  removePath,
  wholeName,
} from './grams.js';
import { type Meaning, meanings, nameOf, wordMatcher } from './query.js';
import { type Notes, Sorted } from './sorted.js';

/** An undefined among the offers is a moment in which others may have a turn. */
export type Hits = Generator<PeerOffer | undefined, void, undefined>;

/** The offers of one path: one, or several sorted by peer. */
type Entry = PeerOffer | PeerOffer[];

/** Characters of the paths in a block: more of them would fill its filter. */
const BLOCK_CHARACTERS = 32_768;
/** Steps between two rests, each some tenths of a microsecond: half a millisecond, with long patterns ten. */
const STEPS = 2048;
/** What it takes to look at a path, in steps, and so many characters more of it. */
const LOOK = 8;
const LOOK_CHARACTERS = 32;

/** What one peer offers, by path, and the room that it takes. */
interface Stock {
  offers: Map<string, PeerOffer>;
  load: number;
}

function pathOf(entry: Entry): string {
  return Array.isArray(entry) ? entry[0].path : entry.path;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

const GRAMS: Notes<Entry, Grams> = {
  weigh: (entry) => pathOf(entry).length,
  most: BLOCK_CHARACTERS,
  of: (entries) => {
    const grams = newGrams();
    for (const [place, entry] of entries.entries()) GRAMS.add(grams, entry, place, place);
    return grams;
  },
  add: (grams, entry, place, count) => {
    const path = pathOf(entry);
    const text = folded(path);
    const name = nameOf(path);
    // Not behind the last slash of the text: there are letters that are folded into several with a slash among them.
    addPath(grams, place, count, text, text.length - folded(name).length, name);
  },
  remove: removePath,
};

const ANYTHING = needed([]);

/** By content id; those of one content by path and peer. */
function compareIds(a: PeerOffer, b: PeerOffer): number {
  return compare(a.id ?? '', b.id ?? '') || compare(a.path, b.path) || compare(a.peer, b.peer);
}

/** The smallest key of a content id, or of what begins so. */
function firstOf(id: string): PeerOffer {
  return { id, path: '', peer: '', kind: 'file', size: 0, mtime: 0, version: 0 };
}

/** The place of a peer among those of one path. */
function placeOf(offers: readonly PeerOffer[], peer: PeerId): number {
  let low = 0;
  let high = offers.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (offers[middle].peer < peer) low = middle + 1;
    else high = middle;
  }
  return low;
}

export class Search {
  readonly #paths = new Sorted<Entry, string, Grams>((entry, path) => compare(pathOf(entry), path), pathOf, GRAMS);
  readonly #ids = new Sorted<PeerOffer, PeerOffer>(compareIds, (offer) => offer);
  readonly #peers = new Map<PeerId, Stock>();
  /** What is taken out little by little, and is in no answer meanwhile. */
  readonly #hidden = new Map<PeerId, Map<string, PeerOffer>>();
  #size = 0;
  #load = 0;

  /** Offers in all, folders too. */
  get size(): number {
    return this.#size;
  }

  /** The room that they take: see `loadOf`. */
  get load(): number {
    return this.#load;
  }

  /** Whether something hidden is still to be taken out. */
  get hasHidden(): boolean {
    return this.#hidden.size > 0;
  }

  get(peer: PeerId, path: string): PeerOffer | undefined {
    return this.#peers.get(peer)?.offers.get(path);
  }

  /** One peer's offers. */
  of(peer: PeerId): Iterable<PeerOffer> {
    return this.#peers.get(peer)?.offers.values() ?? [];
  }

  countOf(peer: PeerId): number {
    return this.#peers.get(peer)?.offers.size ?? 0;
  }

  /** The room that one peer's offers take. */
  loadOf(peer: PeerId): number {
    return this.#peers.get(peer)?.load ?? 0;
  }

  /** Puts an offer in, in place of what the peer offered at its path. @returns that */
  put(offer: PeerOffer): PeerOffer | undefined {
    const { peer, path } = offer;
    let stock = this.#peers.get(peer);
    if (!stock) {
      stock = { offers: new Map(), load: 0 };
      this.#peers.set(peer, stock);
    }
    const before = stock.offers.get(path);
    stock.offers.set(path, offer);
    this.#count(stock, before, offer);
    // Who is back before all that he had was taken out.
    const earlier = before ?? this.#unhide(peer, path);
    if (earlier?.id && earlier.id !== offer.id) this.#ids.delete(earlier);
    if (offer.id) this.#ids.set(offer);
    this.#place(offer);
    return before;
  }

  /** Takes an offer out. @returns it */
  remove(peer: PeerId, path: string): PeerOffer | undefined {
    const stock = this.#peers.get(peer);
    const offer = stock?.offers.get(path);
    if (!stock || !offer) return undefined;
    stock.offers.delete(path);
    if (stock.offers.size === 0) this.#peers.delete(peer);
    this.#count(stock, offer, undefined);
    this.#unlist(offer);
    return offer;
  }

  /** Leaves out of all answers at once what a peer offers; `purge` takes it out. */
  hide(peer: PeerId): void {
    const stock = this.#peers.get(peer);
    if (!stock) return;
    this.#peers.delete(peer);
    this.#size -= stock.offers.size;
    this.#load -= stock.load;
    const hidden = this.#hidden.get(peer);
    if (!hidden) this.#hidden.set(peer, stock.offers);
    else for (const [path, offer] of stock.offers) hidden.set(path, offer);
  }

  /** Takes out some of what is hidden. */
  purge(most: number): void {
    let left = most;
    for (const peer of this.#hidden.keys()) {
      if (left <= 0) return;
      left -= this.#takeOut(peer, left);
    }
  }

  /** Every peer's offer of one path. */
  byPath(path: string): PeerOffer[] {
    const entry = this.#paths.get(path);
    return entry === undefined ? [] : this.#shown(entry);
  }

  /** Every offer of a content, or of those whose id begins so. @param id lower case, hexadecimal */
  *byId(id: string): Hits {
    let steps = 0;
    for (const offer of this.#ids.from(firstOf(id))) {
      if (!offer.id?.startsWith(id)) return;
      if (++steps % STEPS === 0) yield undefined;
      if (this.#isShown(offer)) yield offer;
    }
  }

  /** Everything, by path. */
  all(): Hits {
    return this.#scan('', ANYTHING, () => true);
  }

  /** What `ls PATTERN` lists, by path. @throws HearsayError `usage` where it is too long */
  pattern(pattern: string): Hits {
    if (isPattern(pattern)) return this.#matching(pattern, compile(pattern));
    return this.#below(pattern.endsWith('/') ? pattern.slice(0, -1) : pattern);
  }

  /** What `find WORD...` lists, by path. @throws HearsayError `usage` where there are too many */
  words(words: readonly string[]): Hits {
    const matches = wordMatcher(words);
    return this.#scan('', needed(words.flatMap((word) => pieces(folded(word)))), matches);
  }

  /**
   * What a WHAT may mean, in any of its readings, each offer once.
   * @throws HearsayError `usage` where it holds a pattern that is too long
   */
  what(what: string): Hits {
    return this.#meant(meanings(what));
  }

  *#meant(all: readonly Meaning[]): Hits {
    for (const [i, meaning] of all.entries()) {
      const earlier = all.slice(0, i);
      for (const offer of this.#reading(meaning)) {
        if (offer && (!meaning.fits(offer) || earlier.some(({ fits }) => fits(offer)))) continue;
        yield offer;
      }
    }
  }

  /** Offers among which are all that one reading fits. */
  #reading({ kind, text }: Meaning): Iterable<PeerOffer | undefined> {
    switch (kind) {
      case 'file':
        return this.byPath(text);
      case 'folder':
        return this.#below(text.slice(0, -1));
      case 'id':
        return this.byId(text.slice(1).toLowerCase());
      case 'pattern':
        return this.#matching(text, compile(text));
      case 'name':
        return this.#scan(
          '',
          needed([wholeName(text), ...pieces(folded(text))]),
          (path) => nameOf(path) === text,
          isFile,
        );
    }
  }

  /** What a pattern with wildcards matches. */
  #matching(pattern: string, matches: (path: string) => boolean): Hits {
    // Between wildcards a path has what the pattern has; after `**/` the slash may be missing. Only ASCII stays together
    // whatever stands beside it when case and accents are taken away.
    const runsOf = (part: string) => part.split(/\*\*+\/?|\*|[^\p{ASCII}]/u).map((run) => run.toLowerCase());
    const tail = pattern.slice(pattern.lastIndexOf('/') + 1);
    // What stands behind the last slash of both.
    const inName = tail.includes('**') ? [] : runsOf(tail).flatMap(namePieces);
    const prefix = pattern.slice(0, pattern.indexOf('*'));
    return this.#scan(prefix, needed([...runsOf(pattern).flatMap(pieces), ...inName]), matches);
  }

  /** A path and what lies below it. */
  *#below(path: string): Hits {
    yield* this.byPath(path);
    yield* this.#scan(`${path}/`, ANYTHING, () => true);
  }

  /**
   * Goes through the paths that begin so.
   * @param has without which a path does not fit
   */
  *#scan(prefix: string, has: Needed, fits: (path: string) => boolean, fitting?: (offer: PeerOffer) => boolean): Hits {
    const paths = this.#paths;
    let steps = 0;
    let last = '';
    for (let at = paths.placeOf(prefix); ; ) {
      const block = paths.block(at);
      if (!block) return;
      const { items, note } = block;
      const { shape } = paths;
      const isPassedOver = !blockMayHave(note, has);
      steps++;
      if (isPassedOver && steps < STEPS) {
        at++;
        continue;
      }
      const end = pathOf(items[items.length - 1]);
      if (!isPassedOver) {
        steps += items.length >> 3;
        // Taken out first, since much may change while what is found is taken.
        for (const entry of candidates(note, items.length, has).map((place) => items[place])) {
          const path = pathOf(entry);
          if (path < prefix || path <= last) continue;
          if (!path.startsWith(prefix)) return;
          last = path;
          steps += LOOK + Math.floor(path.length / LOOK_CHARACTERS);
          if (fits(path)) {
            for (const offer of this.#shown(entry)) if (!fitting || fitting(offer)) yield offer;
          }
          if (steps < STEPS) continue;
          steps = 0;
          yield undefined;
        }
      }
      if (end > prefix && !end.startsWith(prefix)) return;
      if (steps >= STEPS) {
        steps = 0;
        yield undefined;
      }
      at = shape === paths.shape ? at + 1 : paths.placeAfter(end);
    }
  }

  /** The offers of an entry that are not hidden. */
  #shown(entry: Entry): PeerOffer[] {
    const offers = Array.isArray(entry) ? entry : [entry];
    return offers.filter((offer) => this.#isShown(offer));
  }

  #isShown(offer: PeerOffer): boolean {
    return !this.#hidden.has(offer.peer) || this.get(offer.peer, offer.path) === offer;
  }

  #count(stock: Stock, before: PeerOffer | undefined, after: PeerOffer | undefined): void {
    const load = (after ? loadOf(after) : 0) - (before ? loadOf(before) : 0);
    this.#size += (after ? 1 : 0) - (before ? 1 : 0);
    this.#load += load;
    stock.load += load;
  }

  /** What is hidden at a path is so no more: another offer takes its place. */
  #unhide(peer: PeerId, path: string): PeerOffer | undefined {
    const offers = this.#hidden.get(peer);
    const offer = offers?.get(path);
    offers?.delete(path);
    return offer;
  }

  #takeOut(peer: PeerId, most: number): number {
    const offers = this.#hidden.get(peer);
    let taken = 0;
    for (const offer of offers?.values() ?? []) {
      if (taken === most) return taken;
      taken++;
      offers?.delete(offer.path);
      this.#unlist(offer);
    }
    this.#hidden.delete(peer);
    return taken;
  }

  #place(offer: PeerOffer): void {
    const entry = this.#paths.get(offer.path);
    if (entry === undefined) {
      this.#paths.set(offer);
      return;
    }
    if (!Array.isArray(entry)) {
      if (entry.peer === offer.peer) this.#paths.set(offer);
      else this.#paths.set(entry.peer < offer.peer ? [entry, offer] : [offer, entry]);
      return;
    }
    const i = placeOf(entry, offer.peer);
    entry.splice(i, entry[i]?.peer === offer.peer ? 1 : 0, offer);
  }

  /** Takes an offer out of what is sorted by path and by content id. */
  #unlist(offer: PeerOffer): void {
    if (offer.id) this.#ids.delete(offer);
    const entry = this.#paths.get(offer.path);
    if (entry === undefined) return;
    if (!Array.isArray(entry)) {
      if (entry.peer === offer.peer) this.#paths.delete(offer.path);
      return;
    }
    const i = placeOf(entry, offer.peer);
    if (entry[i]?.peer === offer.peer) entry.splice(i, 1);
    if (entry.length === 1) this.#paths.set(entry[0]);
  }
}
