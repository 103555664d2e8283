/**
 * Holds: for how long a peer is held, by this tracker and by others, and what follows when nobody does any more.
 * Owns the leases. Always true: a hold ends with its lease, its connection or its tracker's word; with the last one everything
 * of the peer is gone; whatever others see of a peer changes with a word to them.
 * Called by the registry and by its parts.
 */
import type { Millis } from '../clock.js';
import type { PeerId } from '../ids.js';
import type { Context } from './context.js';
import type { Departure, LinkNo, Registered } from './events.js';
import { Lasting } from './lasting.js';
import { type Entry, type Hold, isSame, type OwnHold } from './roll.js';
import { Shelves } from './shelves.js';

/** How much longer another tracker is believed that does not say any more that it holds a peer. */
const SLACK: Millis = 1000;

export class Holds {
  /** A hold ended: by this tracker's link, or by another tracker. */
  onEnded: (peer: PeerId, by: { link: LinkNo | undefined } | { tracker: PeerId }) => void = () => {};
  readonly shelves: Shelves;
  readonly #context: Context;
  /** Of those with a link here. */
  readonly #leases: Lasting<PeerId>;
  /** Of those that another tracker holds. */
  readonly #believed: Lasting<Hold>;
  /** That another tracker holds a process, of which it gave no word: not believed for a while, though it may be told again. */
  readonly #doubted: Lasting<string>;
  /** When others are told again that this tracker holds a peer. */
  readonly #tellings: Lasting<PeerId>;

  /** @param offers room of all offers: see `loadOf` */
  constructor(context: Context, offers: number) {
    const { lease } = context;
    this.#context = context;
    this.#leases = new Lasting(lease);
    this.#believed = new Lasting(lease + SLACK);
    this.#doubted = new Lasting(lease + SLACK);
    this.#tellings = new Lasting(lease / 3);
    this.shelves = new Shelves(context, offers, (peer) => this.crowdOut(peer));
  }

  /** How much is kept. */
  get size(): number {
    return this.#lasting.reduce((sum, { size }) => sum + size, 0);
  }

  /** When the first of all is due, or never. */
  get next(): Millis {
    return Math.min(...this.#lasting.map(({ next }) => next));
  }

  /** Those with a link here, the one heard longest ago first. */
  byHeard(): Iterable<PeerId> {
    return this.#leases;
  }

  /** Something came from a peer with a link here. */
  heard(id: PeerId): void {
    this.#leases.renew(id, this.#context.now);
  }

  /** Another tracker holds a peer, as it says just now. */
  believe(hold: Hold): void {
    this.#believed.renew(hold, this.#context.now);
  }

  isDoubted(hold: Pick<Hold, 'tracker' | 'peer'>): boolean {
    return this.#doubted.has(doubt(hold));
  }

  /** Tells of a peer what is not as it was. @param before undefined where it was not registered */
  changed(id: PeerId, before: Registered | undefined): void {
    const { roll } = this.#context;
    const peer = roll.shown(id);
    if (!peer || (before && saysTheSame(before, peer))) return;
    this.#context.tell({ kind: before ? 'changed' : 'came', peer });
    const own = roll.get(id)?.own;
    if (own) this.#shareHeld(own);
  }

  /** This tracker holds a peer no more. */
  release({ id, own }: Entry, why: Departure): void {
    if (!own) return;
    this.#leases.end(id);
    this.#tellings.end(id);
    const { instance } = own.peer;
    this.#context.share({ kind: 'dropped', tracker: this.#context.id, peer: id, instance, why });
    this.#drop(id, undefined, why);
    this.onEnded(id, { link: own.link });
  }

  /** Another tracker holds a peer no more. @param isDoubtful whether that is only thought of it */
  disbelieve(hold: Hold, why: Departure, isDoubtful = false): void {
    this.#believed.end(hold);
    if (isDoubtful) this.#doubted.renew(doubt(hold), this.#context.now);
    this.#drop(hold.id, hold.tracker, why);
    this.onEnded(hold.id, { tracker: hold.tracker });
  }

  /** Nobody holds a peer any more, as its room is needed. */
  crowdOut(id: PeerId): void {
    const entry = this.#context.roll.get(id);
    const link = entry?.own?.link;
    for (const hold of [...(entry?.others.values() ?? [])]) this.disbelieve(hold, 'crowded');
    if (!entry || link === undefined) return;
    this.release(entry, 'crowded');
    this.#context.cut(link, 'limit', 'room was needed for others');
  }

  /** Tells other trackers everything that this one holds of a peer. */
  shareAll(id: PeerId): void {
    const { roll, holdings } = this.#context;
    const own = roll.get(id)?.own;
    if (!own) return;
    this.#shareHeld(own);
    this.shelves.share(id);
    for (const holding of holdings.by(id)) this.#context.share({ kind: 'holding', tracker: own.tracker, holding });
  }

  /** What is due by now. */
  sweep(): void {
    const { roll, now, lease } = this.#context;
    for (let id = this.#leases.take(now); id; id = this.#leases.take(now)) {
      const entry = roll.get(id);
      const link = entry?.own?.link;
      if (entry) this.release(entry, 'lease');
      if (link !== undefined) this.#context.cut(link, 'timeout', `nothing came for ${lease} ms`);
    }
    for (let hold = this.#believed.take(now); hold; hold = this.#believed.take(now)) this.disbelieve(hold, 'lease');
    while (this.#doubted.take(now) !== undefined);
    for (let id = this.#tellings.take(now); id; id = this.#tellings.take(now)) {
      const own = roll.get(id)?.own;
      if (own) this.#shareHeld(own);
    }
  }

  get #lasting(): Lasting<unknown>[] {
    return [this.#leases, this.#believed, this.#doubted, this.#tellings];
  }

  #shareHeld({ id, tracker, peer, seen, reachable, since }: OwnHold): void {
    this.#context.share({ kind: 'held', tracker, peer, seen, reachable, since });
    if (this.#context.shares) this.#tellings.renew(id, this.#context.now);
  }

  #drop(id: PeerId, tracker: PeerId | undefined, why: Departure): void {
    const { roll, search, holdings } = this.#context;
    const before = roll.shown(id);
    if (!before) return;
    if (!roll.release(id, tracker)) {
      this.changed(id, before);
      return;
    }
    search.hide(id);
    holdings.drop(id);
    this.#context.tell({ kind: 'departed', peer: before, why });
  }
}

function doubt({ tracker, peer }: Pick<Hold, 'tracker' | 'peer'>): string {
  return `${tracker} ${peer.id} ${Buffer.from(peer.instance).toString('hex')}`;
}

/** Whether others see no difference. */
function saysTheSame(a: Registered, b: Registered): boolean {
  const isSameProcess = isSame(a.instance, b.instance) && a.epoch === b.epoch && a.version === b.version;
  return isSameProcess && a.name === b.name && a.seen === b.seen && a.reachable.join(' ') === b.reachable.join(' ');
}
