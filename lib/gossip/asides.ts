/**
 * Asides: offers that are for some peers only, told to each of them over its own link and to nobody else.
 * Owns my own shelf of them, and what is arriving of others' before it is whole. Always true: an aside is in no head, no
 * root and no answer to a pull; what came of one writer counts only once its snapshot is whole, and goes when the writer
 * does, or when its link broke and it did not begin anew for a while; with the public shelf it keeps within the same bounds.
 * Called by gossip.
 */
import type { Millis } from '../clock.js';
import type { PeerId } from '../ids.js';
import { OFFERS_MAX, OFFERS_PER_PEER_MAX } from '../limits.js';
import { isFile, loadOf, type Offer } from '../offer.js';
import { offerPages } from '../shelf/answers.js';
import { Shelf } from '../shelf/shelf.js';
import { type Change, difference, saysTheSame } from '../shelf/staging.js';
import type { MessageOf } from '../wire/table.js';
import type { Circle } from './circle.js';
import type { Context } from './context.js';
import type { Member } from './member.js';
import { offersOf } from './room.js';

/** What was told aside is kept for so long without the link over which it was told: a new one begins it anew. */
const KEPT: Millis = 60_000;

const NOTHING = { size: 0, mtime: 0, id: null };

/** Pages for one peer, and the version up to which they tell. */
export interface Told {
  pages: Iterable<MessageOf<'Y'>>;
  version: number;
}

/** Offers that are kept of one peer and of all, public ones counted. */
export interface Bounds {
  peer: number;
  all: number;
}

/** Whether a path is for the one who asks. */
export type Sees = (path: string) => boolean;

export class Asides {
  /** My own. */
  readonly shelf: Shelf;
  readonly #context: Context;
  readonly #circle: Circle;
  /** Snapshots that are not whole yet, by their writers, and the room that all of them take. */
  readonly #arriving = new Map<PeerId, Shelf>();
  #staged = 0;
  /** Those of whom it was told that not all of theirs is kept. */
  readonly #warned = new Set<PeerId>();
  readonly #bounds: Bounds;

  /** @param bounds others than the usual ones are for tests, which would take long to reach those */
  constructor(context: Context, circle: Circle, bounds: Bounds = { peer: OFFERS_PER_PEER_MAX, all: OFFERS_MAX }) {
    this.#context = context;
    this.#circle = circle;
    this.#bounds = bounds;
    this.shelf = new Shelf(context.settings.id, 1);
    if (!context.settings.passive) circle.index.show(this.shelf, true);
  }

  /**
   * Applies changes of my own.
   * @param room how many more offers I may have
   * @returns how many were left out because there are too many
   */
  change(offers: readonly Omit<Offer, 'version'>[], room: number): number {
    const { shelf } = this;
    const changes: Change[] = [];
    let refused = 0;
    for (const offer of offers) {
      const { path, kind, mtime } = offer;
      const before = shelf.get(path);
      const next: Offer = { ...NOTHING, path, kind, version: shelf.version + 1 };
      if (kind !== 'removed') next.mtime = mtime;
      if (isFile(offer)) Object.assign(next, { size: offer.size, id: offer.id });
      if (before ? saysTheSame(before, next) : kind === 'removed') continue;
      if (!before && shelf.count >= room) {
        refused++;
        continue;
      }
      shelf.put(next);
      shelf.version = next.version;
      changes.push({ before, after: shelf.get(path) });
    }
    if (changes.length > 0) shelf.trim();
    this.#show(shelf, changes);
    return refused;
  }

  /**
   * What one peer is to be told.
   * @param version up to which it was told, undefined for a new beginning
   */
  since(version: number | undefined, sees: Sees): Told {
    const { shelf } = this;
    const reset = version === undefined || version < shelf.floor;
    const all = reset ? shelf.snapshot() : (shelf.since(version) ?? []);
    const offers = all.filter(({ path }) => sees(path));
    return { pages: reset || offers.length > 0 ? pagesOf(offers, reset) : [], version: shelf.version };
  }

  /** A page from a peer, over its own link. */
  page(member: Member, { reset, offers, last }: MessageOf<'Y'>): void {
    const { id } = member;
    this.#circle.settle(member);
    if (reset) {
      this.#drop(id);
      this.#arriving.set(id, new Shelf(id, member.head.epoch));
    }
    const arriving = this.#arriving.get(id);
    const shelf = arriving ?? member.aside?.shelf;
    // What follows on nothing: its beginning was lost with an earlier link.
    if (!shelf) return;
    const changes = this.#put(member, shelf, offers, arriving !== undefined);
    if (!arriving) this.#show(shelf, changes, member);
    else if (last) {
      this.#drop(id);
      const before = member.aside?.shelf;
      member.aside = { shelf, unsureAt: undefined };
      this.#show(shelf, difference(before, shelf), member, true);
    }
  }

  /** What a peer answered to a one-shot's question: there is no whole that it belongs to. */
  found(member: Member, offers: readonly Offer[]): void {
    const fresh = offers.filter(({ kind }) => kind !== 'removed');
    if (fresh.length === 0) return;
    member.aside ??= { shelf: new Shelf(member.id, member.head.epoch), unsureAt: undefined };
    const { shelf } = member.aside;
    this.#show(shelf, this.#put(member, shelf, fresh, false), member);
  }

  /** The link to a peer ended, or another took its place: unless it begins anew, what it told aside goes. */
  unsure(peer: PeerId): void {
    this.#drop(peer);
    const aside = this.#circle.get(peer)?.aside;
    if (aside) aside.unsureAt = this.#context.after(KEPT, { kind: 'aside', peer });
  }

  /** The time to begin anew is over. */
  due(member: Member | undefined): void {
    const at = member?.aside?.unsureAt;
    if (!member || at === undefined || !this.#context.isDue(at)) return;
    this.#circle.dropAside(member);
  }

  #put(member: Member, shelf: Shelf, offers: readonly Offer[], staged: boolean): Change[] {
    const changes: Change[] = [];
    let full = false;
    for (const offer of offers) {
      const before = shelf.get(offer.path);
      if (!before && offer.kind !== 'removed' && !this.#hasRoom(member, shelf)) {
        // Who is to give way is looked for once a page.
        full ||= !this.#makeRoom(member, shelf);
        if (full) {
          this.#tellFull(member);
          continue;
        }
      }
      if (!shelf.put(offer)) continue;
      // Pages come whole and in order: a tombstone has nothing more to say.
      if (offer.kind === 'removed') shelf.dropGrave(offer.path);
      const after = shelf.get(offer.path);
      if (staged) this.#staged += (after ? loadOf(after) : 0) - (before ? loadOf(before) : 0);
      changes.push({ before, after });
    }
    shelf.trim();
    return changes;
  }

  #hasRoom(member: Member, shelf: Shelf): boolean {
    return this.#mayMore(member, shelf) && this.#circle.index.load + this.#staged < this.#bounds.all;
  }

  #mayMore(member: Member, shelf: Shelf): boolean {
    return (member.shelf?.load ?? 0) + shelf.load < this.#bounds.peer;
  }

  /** Makes room for one more of a peer, as for what is for everyone: who takes most gives it up. @returns whether there is room now */
  #makeRoom(member: Member, shelf: Shelf): boolean {
    if (!this.#mayMore(member, shelf)) return false;
    // What is not whole yet takes room as well.
    const weigh = (one: Member): number => offersOf(one) + (this.#arriving.get(one.id)?.load ?? 0);
    while (this.#circle.index.load + this.#staged >= this.#bounds.all) {
      const loser = this.#circle.letGo(member, weigh(member) + 1, weigh);
      if (!loser) return false;
      this.#drop(loser.id);
    }
    return true;
  }

  #tellFull({ id, head }: Member): void {
    if (this.#warned.has(id)) return;
    if (this.#warned.size >= 1000) this.#warned.clear();
    this.#warned.add(id);
    this.#context.warn('limit', `${head.name} (${id}) offers more than is kept here`);
  }

  #drop(peer: PeerId): void {
    this.#staged -= this.#arriving.get(peer)?.load ?? 0;
    this.#arriving.delete(peer);
  }

  /** @param member the writer; left out where it is me, who is always here */
  #show(shelf: Shelf, changes: Iterable<Change>, member?: Member, isCompared = false): void {
    if (member && member.state !== 'live') return;
    this.#circle.index.show(shelf, true);
    this.#circle.report(member?.id ?? this.#context.settings.id, changes, isCompared ? member?.id : undefined);
  }
}

function* pagesOf(offers: readonly Offer[], reset: boolean): Generator<MessageOf<'Y'>> {
  let isFirst = true;
  for (const page of offerPages(offers)) {
    yield { type: 'Y', reset: reset && isFirst, ...page };
    isFirst = false;
  }
}
