/**
 * Shelving for a large world: what a thousand peers know of one writer at one version is one shelf, which all of them share.
 * Owns what was worked out once. Always true: what is given out is what the functions of lib/shelf gave for the same input;
 * nobody changes a shelf that was given out. Called by the core of each host.
 */
import { SHELVING, type Shelving } from '../../lib/gossip/shelving.js';
import { blake3 } from '../../lib/hash.js';
import type { PeerId } from '../../lib/ids.js';
import type { Offer } from '../../lib/offer.js';
import { answerPull } from '../../lib/shelf/answers.js';
import type { Proof, Shelf } from '../../lib/shelf/shelf.js';
import {
  type Applied,
  applyBuckets,
  applyDelta,
  applyWhole,
  type Change,
  difference,
  saysTheSame,
} from '../../lib/shelf/staging.js';
import type { Head } from '../../lib/wire/head.js';
import type { MessageOf } from '../../lib/wire/table.js';

/** Answers that are kept of one shelf. */
const ANSWERS = 16;

type Page = MessageOf<'D'>;

/** A result, and the offers that led to it: the same objects lead to the same. */
interface Known {
  first: Offer | undefined;
  last: Offer | undefined;
  length: number;
  version: number;
  applied: Applied | undefined;
  /** All of them. */
  offers?: readonly Offer[];
}

function isOf(known: Known, offers: readonly Offer[], { version }: Head): boolean {
  const isSame = known.first === offers[0] && known.last === offers.at(-1) && known.length === offers.length;
  return isSame && known.version === version;
}

/** The same in other objects. */
function saysTheSameAs({ offers, version, length }: Known, others: readonly Offer[], head: Head): boolean {
  if (!offers || version !== head.version || length !== others.length) return false;
  return offers.every((one, i) => {
    const other = others[i];
    return one.path === other.path && one.version === other.version && saysTheSame(one, other);
  });
}

function isAt(shelf: Shelf, writer: PeerId, { epoch }: Head, floor: number): boolean {
  return shelf.writer === writer && shelf.epoch === epoch && shelf.floor === floor;
}

function known(offers: readonly Offer[], { version }: Head, applied: Applied | undefined): Known {
  return { first: offers[0], last: offers.at(-1), length: offers.length, version, applied };
}

export class SharedShelving {
  /** By writer, epoch, version, floor and root. */
  readonly #shelves = new Map<string, Shelf>();
  /** What was applied to nothing, by writer and epoch. */
  readonly #wholes = new Map<string, Known[]>();
  /** What was applied to a shelf. */
  readonly #deltas = new WeakMap<Shelf, Known[]>();
  readonly #differences = new WeakMap<Shelf, WeakMap<Shelf, Applied>>();
  readonly #answers = new WeakMap<Shelf, Map<string, Page[]>>();
  /** What everybody tells of the same changes. */
  readonly #tellings = new WeakMap<readonly Change[], ReturnType<Shelving['tellings']>>();
  /** What was applied to nothing, by the very list of offers, as those who are answered alike have it. */
  readonly #byOffers = new WeakMap<readonly Offer[], Known>();

  /** The port, for every host. */
  readonly port: Shelving = {
    applyWhole: (shelf, writer, offers, head, proof, floor = head.version) =>
      this.#whole(shelf, writer, offers, head, proof, floor),
    applyDelta: (shelf, writer, from, offers, head, proof) => {
      if (shelf && shelf.epoch === head.epoch) return this.#delta(shelf, from, offers, head, proof);
      return from === 0 ? this.#whole(shelf, writer, offers, head, proof, head.floor) : undefined;
    },
    applyBuckets: (shelf, replaced, offers, head, proof) => this.#buckets(shelf, replaced, offers, head, proof),
    applyStage: (stage, shelf, head, proof) => {
      const applied = stage.apply(shelf, head, proof);
      if (!applied) return undefined;
      const same = this.#same(applied.shelf);
      return shelf ? this.#difference(shelf, same) : { shelf: same, changes: difference(undefined, same) };
    },
    answerPull: (shelf, proof, pull) => this.#answer(shelf, proof, pull),
    tellings: (changes) => {
      let told = this.#tellings.get(changes);
      if (!told) {
        told = SHELVING.tellings(changes);
        this.#tellings.set(changes, told);
      }
      return told;
    },
  };

  /** The one shelf for all who know the same. */
  #same(shelf: Shelf): Shelf {
    const root = Buffer.from(shelf.tree.root()).toString('latin1');
    const key = `${shelf.writer} ${shelf.epoch} ${shelf.version} ${shelf.floor} ${root}`;
    const same = this.#shelves.get(key);
    if (same) return same;
    this.#shelves.set(key, shelf);
    return shelf;
  }

  #whole(
    shelf: Shelf | undefined,
    writer: PeerId,
    offers: readonly Offer[],
    head: Head,
    proof: Proof,
    floor: number,
  ): Applied | undefined {
    const same = this.#byOffers.get(offers);
    if (same && !shelf && same.version === head.version && isAt(same.applied!.shelf, writer, head, floor)) {
      return same.applied;
    }
    const key = `${writer} ${head.epoch} ${floor}`;
    let all = this.#wholes.get(key);
    if (!all) {
      all = [];
      this.#wholes.set(key, all);
    }
    let found = all.find((one) => isOf(one, offers, head)) ?? all.find((one) => saysTheSameAs(one, offers, head));
    if (!found) {
      const applied = applyWhole(undefined, writer, offers, head, proof, floor);
      if (!applied) return undefined;
      const same = this.#same(applied.shelf);
      found = known(offers, head, { shelf: same, changes: [...difference(undefined, same)] });
      found.offers = offers;
      all.push(found);
    }
    if (offers.length > 0) this.#byOffers.set(offers, found);
    const applied = found.applied!;
    return shelf ? this.#difference(shelf, applied.shelf) : applied;
  }

  #difference(from: Shelf, to: Shelf): Applied {
    let all = this.#differences.get(from);
    if (!all) {
      all = new WeakMap();
      this.#differences.set(from, all);
    }
    let found = all.get(to);
    if (!found) {
      found = { shelf: to, changes: [...difference(from, to)] };
      all.set(to, found);
    }
    return found;
  }

  #delta(shelf: Shelf, from: number, offers: readonly Offer[], head: Head, proof: Proof): Applied | undefined {
    if (from > shelf.version || head.version <= shelf.version) return undefined;
    return this.#apply(shelf, offers, head, (fresh) => applyDelta(fresh, shelf.writer, from, offers, head, proof));
  }

  #buckets(
    shelf: Shelf,
    replaced: Uint8Array,
    offers: readonly Offer[],
    head: Head,
    proof: Proof,
  ): Applied | undefined {
    if (shelf.epoch !== head.epoch || head.version <= shelf.version) return undefined;
    return this.#apply(shelf, offers, head, (fresh) => applyBuckets(fresh, replaced, offers, head, proof));
  }

  #apply(
    shelf: Shelf,
    offers: readonly Offer[],
    head: Head,
    apply: (fresh: Shelf) => Applied | undefined,
  ): Applied | undefined {
    let all = this.#deltas.get(shelf);
    if (!all) {
      all = [];
      this.#deltas.set(shelf, all);
    }
    // Without offers there is nothing that tells one such input from another.
    let found = offers.length === 0 ? undefined : all.find((one) => isOf(one, offers, head));
    if (!found) {
      const applied = apply(shelf.copy());
      found = known(offers, head, applied && this.#difference(shelf, this.#same(applied.shelf)));
      all.push(found);
    }
    return found.applied;
  }

  #answer(shelf: Shelf, proof: Proof, pull: MessageOf<'P'>): Iterable<Page> {
    const buckets = pull.buckets.length === 0 ? '' : blake3(pull.buckets).toString('latin1');
    const key = `${shelf.epoch} ${shelf.version} ${pull.epoch} ${pull.version} ${buckets}`;
    let all = this.#answers.get(shelf);
    if (!all) {
      all = new Map();
      this.#answers.set(shelf, all);
    }
    let pages = all.get(key);
    if (!pages) {
      if (all.size >= ANSWERS) all.clear();
      pages = [...answerPull(shelf, proof, pull)];
      all.set(key, pages);
    }
    return pages;
  }
}
