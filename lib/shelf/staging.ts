/**
 * Applying what another peer wrote: staged, and counted only when the result is what its writer signed; else undone.
 * Pure functions over a shelf. Called by the circle, for changes and for the answers to pulls.
 */
import type { PeerId } from '../ids.js';
import { OFFERS_PER_PEER_MAX } from '../limits.js';
import type { Offer, PeerOffer } from '../offer.js';
import type { Head } from '../wire/head.js';
import type { Rows } from './rows.js';
import { type Proof, Shelf } from './shelf.js';

/** Changes that are worked out and told at once: some milliseconds, as many peers may come or go in one moment. */
const FEW = 2000;

/** One path's entry before and after; tombstones and absence are undefined. */
export interface Change {
  before: PeerOffer | undefined;
  after: PeerOffer | undefined;
}

export interface Applied {
  /** The shelf that counts from now on: the same one, or a new one in its place. */
  shelf: Shelf;
  /** In a list, or worked out as they are taken; where they are compared with what was known, the new shelf must not change before. */
  changes: Iterable<Change>;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/** Whether a shelf is what a head says. */
export function fits(shelf: Shelf, head: Head): boolean {
  return shelf.count === head.count && sameBytes(shelf.tree.root(), head.root);
}

/** A shelf is what was signed. */
export function settle(shelf: Shelf, head: Head, proof: Proof): void {
  shelf.version = head.version;
  shelf.proof = proof;
  shelf.trim();
}

/** Live entries only: a tombstone is nothing to those who look. */
function live(entry: PeerOffer | undefined): PeerOffer | undefined {
  return entry && entry.kind !== 'removed' ? entry : undefined;
}

/** Whether versions rise, and lie above one bound and not above another. */
function inOrder(offers: readonly Offer[], above: number, upTo: number): boolean {
  let last = above;
  for (const { version } of offers) {
    if (version <= last || version > upTo) return false;
    last = version;
  }
  return true;
}

/**
 * Offers that follow on a version.
 * @param shelf what is known; unchanged where the result does not fit
 * @param from the version that the offers follow on: what is newer than it and known already is passed over
 * @param offers in the order of versions, tombstones too
 * @param head what the result must be, signed by the writer (the caller has checked)
 * @returns undefined where it does not join or does not fit
 */
export function applyDelta(
  shelf: Shelf | undefined,
  writer: PeerId,
  from: number,
  offers: readonly Offer[],
  head: Head,
  proof: Proof,
): Applied | undefined {
  if (!shelf || shelf.epoch !== head.epoch) {
    if (from !== 0) return undefined;
    return applyWhole(shelf, writer, offers, head, proof, head.floor);
  }
  if (from > shelf.version || head.version <= shelf.version) return undefined;
  if (!inOrder(offers, from, head.version)) return undefined;
  const before = new Map<string, PeerOffer | undefined>();
  shelf.try();
  for (const offer of offers) {
    if (offer.version <= shelf.version) continue;
    if (!before.has(offer.path)) before.set(offer.path, shelf.entry(offer.path));
    shelf.put(offer);
  }
  return finish(shelf, before, head, proof);
}

/**
 * All offers of a writer, in place of whatever was known.
 * @param floor tombstones up to this version are not among them
 */
export function applyWhole(
  shelf: Shelf | undefined,
  writer: PeerId,
  offers: readonly Offer[],
  head: Head,
  proof: Proof,
  floor: number = head.version,
): Applied | undefined {
  if (!inOrder(offers, 0, head.version)) return undefined;
  const fresh = new Shelf(writer, head.epoch);
  fresh.reserve(Math.min(offers.length, head.count));
  for (const offer of offers) fresh.put(offer);
  if (!fits(fresh, head)) return undefined;
  fresh.floor = floor;
  settle(fresh, head, proof);
  fresh.fit();
  return { shelf: fresh, changes: difference(shelf, fresh) };
}

/**
 * Some buckets whole, in place of what was known in them.
 * @param replaced bit set of the buckets
 */
export function applyBuckets(
  shelf: Shelf,
  replaced: Uint8Array,
  offers: readonly Offer[],
  head: Head,
  proof: Proof,
): Applied | undefined {
  if (shelf.epoch !== head.epoch || head.version <= shelf.version) return undefined;
  if (!inOrder(offers, 0, head.version)) return undefined;
  const isReplaced = (i: number): boolean => (replaced[i >> 3] & (1 << (i & 7))) !== 0;
  const before = new Map<string, PeerOffer | undefined>();
  for (const entry of shelf.entries(isReplaced)) before.set(entry.path, entry);
  shelf.try();
  shelf.dropBuckets(isReplaced);
  for (const offer of offers) {
    if (!before.has(offer.path)) before.set(offer.path, shelf.entry(offer.path));
    shelf.put(offer);
  }
  const applied = finish(shelf, before, head, proof);
  if (applied) {
    shelf.floor = head.version;
    shelf.rebuild();
  }
  return applied;
}

function finish(
  shelf: Shelf,
  before: Map<string, PeerOffer | undefined>,
  head: Head,
  proof: Proof,
): Applied | undefined {
  if (shelf.count > OFFERS_PER_PEER_MAX || !fits(shelf, head)) {
    shelf.undo();
    return undefined;
  }
  shelf.keep();
  const changes: Change[] = [];
  for (const [path, was] of before) {
    const change = { before: live(was), after: shelf.get(path) };
    if (change.before?.version !== change.after?.version) changes.push(change);
  }
  settle(shelf, head, proof);
  return { shelf, changes };
}

/** What changed from one shelf to another of the same writer: at once where that is little, else as it is taken. */
export function difference(from: Shelf | undefined, to: Shelf): Iterable<Change> {
  // What is on it now, whatever is put there before it is taken.
  const after = to.rows();
  const changes = differences(from, to, after);
  return (from?.count ?? 0) + to.count <= FEW ? [...changes] : changes;
}

function* differences(from: Shelf | undefined, to: Shelf, rows: Rows): Generator<Change, void, undefined> {
  if (from) {
    for (const before of from.offers()) {
      if (!to.get(before.path)) yield { before, after: undefined };
    }
  }
  for (let row = 0; row < rows.length; row++) {
    if (!rows.isLive(row)) continue;
    const after = rows.offer(row, to.writer);
    yield { before: from?.get(after.path), after };
  }
}

/** Everything goes that is on a shelf. */
export function departure(shelf: Shelf): Iterable<Change> {
  const rows = shelf.rows();
  function* gone(): Generator<Change, void, undefined> {
    for (let row = 0; row < rows.length; row++) {
      if (rows.isLive(row)) yield { before: rows.offer(row, shelf.writer), after: undefined };
    }
  }
  return shelf.count <= FEW ? [...gone()] : gone();
}

/** Whether two offers of one path say the same to those who look: the version is the writer's own affair. */
export function saysTheSame(a: Offer, b: Offer): boolean {
  return a.kind === b.kind && a.size === b.size && a.mtime === b.mtime && a.id === b.id;
}
