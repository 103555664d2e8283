/**
 * Offers of registered peers: what this tracker knows of them itself, and what other trackers tell.
 * Owns nothing but the search that it writes. Always true: of a peer that this tracker holds only its own knowledge counts, from
 * when it has all of it; who takes most room gives way where there is none left; other trackers are told what this one knows.
 * Called by the registry.
 */
import type { PeerId } from '../ids.js';
import type { PeerOffer } from '../offer.js';
import { type Change, saysTheSame } from '../shelf/staging.js';
import type { Context } from './context.js';
import type { Record } from './events.js';

type Told = Extract<Record, { kind: 'offers' }>;

/** Offers in one record, and characters of their paths. */
const PER_RECORD = 1000;
const CHARACTERS = 100_000;

export class Shelves {
  readonly #context: Context;
  /** Room of all offers. */
  readonly #most: number;
  /** Registers a peer no more, for want of room. */
  readonly #crowdOut: (peer: PeerId) => void;

  constructor(context: Context, most: number, crowdOut: (peer: PeerId) => void) {
    this.#context = context;
    this.#most = most;
    this.#crowdOut = crowdOut;
  }

  /** A peer that this tracker holds changed its offers. */
  change(peer: PeerId, changes: readonly Change[]): void {
    const { roll } = this.#context;
    const entry = roll.get(peer);
    if (!entry?.own) return;
    const done: Change[] = [];
    for (const { before, after } of changes) {
      const path = (after ?? before)?.path;
      if (path === undefined || (after && after.peer !== peer)) continue;
      entry.inherited?.delete(path);
      this.#apply(peer, path, after, done);
    }
    this.#disinherit(peer, done);
    this.#publish(peer, done);
    this.#makeRoom(peer);
  }

  /** The head of a peer that this tracker holds may be newer. */
  settle(peer: PeerId): void {
    const done: Change[] = [];
    this.#disinherit(peer, done);
    this.#publish(peer, done);
  }

  /** What another tracker tells of a peer that it holds and this one does not. */
  told({ peer, whole, offers, removed }: Told): void {
    const { search } = this.#context;
    const done: Change[] = [];
    if (whole) {
      const all = new Set(offers.map(({ path }) => path));
      for (const { path } of [...search.of(peer)]) if (!all.has(path)) this.#apply(peer, path, undefined, done);
    }
    for (const offer of offers) {
      const before = search.get(peer, offer.path);
      // Of several trackers that hold it one may be behind.
      if (offer.peer === peer && (!before || whole || offer.version >= before.version)) {
        this.#apply(peer, offer.path, offer, done);
      }
    }
    for (const path of removed) this.#apply(peer, path, undefined, done);
    this.#told(done);
    this.#makeRoom(peer);
  }

  /** Tells other trackers all that a peer offers. */
  share(peer: PeerId): void {
    const { roll, search } = this.#context;
    const tracker = roll.get(peer)?.own?.tracker;
    if (tracker === undefined) return;
    const all = [...search.of(peer)].map((after) => ({ before: undefined, after }));
    for (const record of inRecords(tracker, peer, true, all)) this.#context.share(record);
  }

  #apply(peer: PeerId, path: string, after: PeerOffer | undefined, done: Change[]): void {
    const { search } = this.#context;
    const before = after ? search.put(after) : search.remove(peer, path);
    if (before !== after && !(before && after && saysTheSame(before, after))) done.push({ before, after });
  }

  /** Once all that a peer offers is known, what else another tracker told is not offered any more. */
  #disinherit(peer: PeerId, done: Change[]): void {
    const { roll, search } = this.#context;
    const entry = roll.get(peer);
    if (!entry?.inherited || search.countOf(peer) - entry.inherited.size < roll.claimed(peer)) return;
    for (const path of entry.inherited) this.#apply(peer, path, undefined, done);
    entry.inherited = undefined;
  }

  /** Tells of changes that this tracker knows itself. */
  #publish(peer: PeerId, changes: readonly Change[]): void {
    const own = this.#context.roll.get(peer)?.own;
    this.#told(changes);
    if (!own || !this.#context.shares) return;
    for (const record of inRecords(own.tracker, peer, false, changes)) this.#context.share(record);
  }

  #told(changes: readonly Change[]): void {
    if (changes.length > 0) this.#context.tell({ kind: 'offers', changes });
  }

  /** Where there is too much, whoever has most of it gives way; the one who came with more, if nobody has. */
  #makeRoom(peer: PeerId): void {
    const { roll, search } = this.#context;
    while (search.load > this.#most) {
      let found = peer;
      for (const { id, link, homes } of roll) {
        // The tracker itself gives way to nobody.
        const isOther = link !== undefined || !homes.includes(id);
        if (isOther && search.loadOf(id) > search.loadOf(found)) found = id;
      }
      this.#crowdOut(found);
      if (roll.get(found)) return;
    }
  }
}

/** Changes as records of bounded size, in their order. */
function* inRecords(tracker: PeerId, peer: PeerId, whole: boolean, changes: readonly Change[]): Generator<Told> {
  let offers: PeerOffer[] = [];
  let removed: string[] = [];
  let characters = 0;
  let isFirst = whole;
  for (const { before, after } of changes) {
    const path = (after ?? before)?.path ?? '';
    if (offers.length + removed.length === PER_RECORD || characters + path.length > CHARACTERS) {
      yield { kind: 'offers', tracker, peer, whole: isFirst, offers, removed };
      [offers, removed, characters, isFirst] = [[], [], 0, false];
    }
    characters += path.length;
    if (after) offers.push(after);
    else removed.push(path);
  }
  if (isFirst || offers.length + removed.length > 0) {
    yield { kind: 'offers', tracker, peer, whole: isFirst, offers, removed };
  }
}
