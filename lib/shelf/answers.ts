/** Answers to what is asked over a connection: pages of offers. Pure functions over shelves. */
import { BUCKETS, HITS_MAX, OFFERS_PER_PAGE, PAGE_BYTES } from '../limits.js';
import type { Offer } from '../offer.js';
import { BUCKET_HASH, type MessageOf } from '../wire/table.js';
import { patternMatcher, whatMatcher, wordMatcher } from './query.js';
import type { Proof, Shelf } from './shelf.js';

const NONE = new Uint8Array(0);
/** An offer on the wire without its path, at most: array, kind, size, mtime, id, version, header of the path. */
const OFFER_BYTES = 68;

/** Offers looked at in one go; the matching of a pattern takes up to a tenth of a millisecond each. */
const AT_ONCE = 256;

/**
 * Cuts offers into pages. Always gives one page at least, and knows of each whether it is the last.
 * @param offers an undefined among them stands for a moment in which others may have a turn: it gives an empty page
 */
export function* offerPages<T extends Offer>(
  offers: Iterable<T | undefined>,
): Generator<{ offers: T[]; last: boolean }> {
  let page: T[] = [];
  let bytes = 0;
  for (const offer of offers) {
    if (!offer) {
      yield { offers: [], last: false };
      continue;
    }
    const size = OFFER_BYTES + Buffer.byteLength(offer.path);
    if (page.length === OFFERS_PER_PAGE || (page.length > 0 && bytes + size > PAGE_BYTES)) {
      yield { offers: page, last: false };
      page = [];
      bytes = 0;
    }
    page.push(offer);
    bytes += size;
  }
  yield { offers: page, last: true };
}

/** The buckets whose hashes are not the same. */
function differing(mine: Uint8Array, theirs: Uint8Array): number[] {
  const out: number[] = [];
  for (let i = 0; i < BUCKETS; i++) {
    const at = i * BUCKET_HASH;
    if (Buffer.compare(mine.subarray(at, at + BUCKET_HASH), theirs.subarray(at, at + BUCKET_HASH)) !== 0) out.push(i);
  }
  return out;
}

function bitSet(members: readonly number[]): Uint8Array {
  const bits = new Uint8Array(BUCKETS / 8);
  for (const i of members) bits[i >> 3] |= 1 << (i & 7);
  return bits;
}

/**
 * The answer to a pull, as things are now; what changes while the pages are sent is not in it.
 * What followed on the version that is known where the tombstones reach back as far; else the buckets that differ, where
 * buckets were given; else everything.
 * @param proof the head of exactly this state
 */
export function answerPull(shelf: Shelf, proof: Proof, pull: MessageOf<'P'>): Iterable<MessageOf<'D'>> {
  const isSame = pull.epoch === shelf.epoch;
  let replaced: Uint8Array = NONE;
  let offers: Iterable<Offer>;
  if (isSame && pull.version > 0 && pull.version >= shelf.floor) {
    offers = shelf.sinceThen(pull.version);
  } else if (isSame && pull.buckets.length === BUCKETS * BUCKET_HASH) {
    const buckets = differing(shelf.tree.hashes(), pull.buckets);
    replaced = bitSet(buckets);
    offers = shelf.inOrder(buckets);
  } else {
    replaced = new Uint8Array(BUCKETS / 8).fill(255);
    offers = shelf.inOrder();
  }
  return deltaPages(pull.number, replaced, offers, proof);
}

function* deltaPages(
  number: number,
  replaced: Uint8Array,
  all: Iterable<Offer>,
  proof: Proof,
): Generator<MessageOf<'D'>, void, undefined> {
  for (const { offers, last } of offerPages(all)) {
    yield { type: 'D', number, replaced, offers, last, head: last ? proof.head : NONE, sig: last ? proof.sig : NONE };
  }
}

/**
 * Which offers fit a question; the matching is done as the pages are taken, and rests between them: an empty page that is not the
 * last says nothing but that.
 * @param asides offers that are not for everyone, of which those are told that the asker sees
 */
export function* answerFind(
  offers: Iterable<Offer>,
  asides: Iterable<Offer>,
  find: MessageOf<'F'>,
  sees: (path: string) => boolean = () => true,
): Generator<MessageOf<'I'>, void, undefined> {
  const { number } = find;
  const fits = matcher(find);
  for (const page of offerPages(fitting(asides, (offer) => sees(offer.path) && fits(offer)))) {
    // What is for everyone follows.
    if (page.offers.length > 0 || !page.last)
      yield { type: 'I', number, offers: page.offers, last: false, aside: true };
  }
  for (const page of offerPages(fitting(offers, fits))) yield { type: 'I', number, ...page, aside: false };
}

function matcher({ kind, text }: MessageOf<'F'>): (offer: Offer) => boolean {
  if (kind === 0) return () => true;
  if (kind === 1) return whatMatcher(text);
  const matches = kind === 2 ? patternMatcher(text) : wordMatcher(text.split(/\s+/).filter((word) => word !== ''));
  return ({ path }) => matches(path);
}

function* fitting(offers: Iterable<Offer>, fits: (offer: Offer) => boolean): Generator<Offer | undefined> {
  let hits = 0;
  let looked = 0;
  for (const offer of offers) {
    if (++looked % AT_ONCE === 0) yield undefined;
    if (!fits(offer)) continue;
    if (++hits > HITS_MAX) return;
    yield offer;
  }
}
