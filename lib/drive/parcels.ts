/**
 * Parcels: what is being sent, offered to its receivers and to nobody else.
 *
 * Owns for each what is offered of it. Always true: what is in a parcel is in no index; it is found by its own path alone, by
 * those whom it is for; once it is taken away nothing of it is served. Called by the peer, by who sends, and by all who
 * answer others.
 */
import { HearsayError } from '../errors.js';
import { keyPart, type PeerId } from '../ids.js';
import { isFile, type Offer } from '../offer.js';
import type { Catalogue, CatalogueChange } from '../share/catalogue.js';
import type { Item } from '../transfer/inbox.js';
import { itemPath, parsePath } from '../transfer/parcel.js';
import { shareOf } from './asides.js';
import type { Server } from './serve.js';

/** A file or folder to be sent, and what it is called there. */
export interface Sent {
  /** Absolute. */
  path: string;
  name: string;
  folder: boolean;
}

export interface Parcel {
  readonly name: string;
  readonly sent: readonly Sent[];
}

interface Offered extends Parcel {
  /** Keys of those whom it is for. */
  receivers: ReadonlySet<string>;
  /** By their paths. */
  offers: Map<string, CatalogueChange>;
}

export interface ParcelsOptions {
  catalogue(): Catalogue | undefined;
  server(): Server;
}

export class Parcels {
  readonly #options: ParcelsOptions;
  readonly #parcels = new Map<string, Offered>();

  constructor(options: ParcelsOptions) {
    this.#options = options;
  }

  /** Of what changed, what is in no parcel; the rest is noted. */
  take(changes: CatalogueChange[]): CatalogueChange[] {
    return changes.filter((change) => {
      const at = parsePath(change.path);
      const parcel = at && this.#parcels.get(at.parcel);
      if (!parcel) return at === undefined;
      if (change.kind === 'removed') parcel.offers.delete(change.path);
      else parcel.offers.set(change.path, change);
      return false;
    });
  }

  /** Whether a path is of a parcel of this peer's own. */
  has(path: string): boolean {
    const at = parsePath(path);
    return at !== undefined && this.#parcels.has(at.parcel);
  }

  /** Whether a peer may see a path as far as parcels are concerned: what is in one is for its receivers. */
  sees(peer: PeerId, path: string): boolean {
    const at = parsePath(path);
    const parcel = at && this.#parcels.get(at.parcel);
    return !parcel || parcel.receivers.has(keyPart(peer));
  }

  /** Whether a parcel is for several. */
  isForMany(name: string): boolean {
    return (this.#parcels.get(name)?.receivers.size ?? 0) > 1;
  }

  /** What a person calls what is at a path of a parcel. */
  titleOf(path: string): string | undefined {
    const at = parsePath(path);
    const name = at && this.#parcels.get(at.parcel)?.sent[at.item]?.name;
    return name === undefined || at?.rest === '' ? name : `${name}/${at?.rest}`;
  }

  /**
   * Offers something to some. Resolves when it has been looked through, which makes its items known.
   * @throws HearsayError `not-running` of a one-shot
   */
  async add(name: string, sent: readonly Sent[], receivers: readonly PeerId[]): Promise<Parcel> {
    const catalogue = this.#options.catalogue();
    if (!catalogue) throw new HearsayError('not-running', 'a one-shot offers nothing');
    const parcel: Offered = { name, sent, receivers: new Set(receivers.map(keyPart)), offers: new Map() };
    this.#parcels.set(name, parcel);
    const specs = sent.map(({ path }, i) => ({ path, name: itemPath(name, i), for: receivers, hidden: true as const }));
    const scans = await Promise.allSettled(specs.map((spec) => catalogue.add(spec)));
    const failed = scans.find((scan) => scan.status === 'rejected');
    if (failed) {
      // Half of it is not left on offer.
      await this.end(parcel);
      throw failed.reason;
    }
    await Promise.all(scans.map((scan) => (scan.status === 'fulfilled' ? scan.value.scanned : undefined)));
    return parcel;
  }

  /** What an invitation says of it, as it is now. */
  items({ name }: Parcel): Item[] {
    const parcel = this.#parcels.get(name);
    if (!parcel) return [];
    const items = parcel.sent.map((one) => ({
      name: one.name,
      folder: one.folder,
      files: 0,
      bytes: 0,
      id: null as string | null,
    }));
    for (const { path, kind, size, id } of parcel.offers.values()) {
      const item = items[parsePath(path)?.item ?? -1];
      if (!item || kind === 'folder') continue;
      item.files++;
      item.bytes += size;
      if (!item.folder) item.id = id;
    }
    return items;
  }

  /** Has all of it hashed, one file after another, before anything else is. What cannot be read then is not offered any more. */
  async hash({ name }: Pick<Parcel, 'name'>): Promise<void> {
    const parcel = this.#parcels.get(name);
    const catalogue = this.#options.catalogue();
    if (!parcel || !catalogue) return;
    for (const path of [...parcel.offers.keys()]) {
      const known = catalogue.find(path);
      if (!known || known.id !== null || !this.#parcels.has(name)) continue;
      await catalogue.hashNow(path).catch(() => {});
    }
  }

  /**
   * What is in a parcel, for one of its receivers.
   * @throws HearsayError `not-found` for all others, as if there were none
   */
  offers(peer: PeerId, name: string): Offer[] {
    const parcel = this.#parcels.get(name);
    if (!parcel?.receivers.has(keyPart(peer)))
      throw new HearsayError('not-found', 'nothing of that name is sent to you');
    const catalogue = this.#options.catalogue();
    return [...parcel.offers.values()].map((offer) => {
      const id = isFile(offer) ? (catalogue?.find(offer.path)?.id ?? offer.id) : null;
      return { ...offer, id, version: 1 };
    });
  }

  /** Offers it no more; who fetches of it is told so. */
  async end({ name }: Parcel): Promise<void> {
    const parcel = this.#parcels.get(name);
    const catalogue = this.#options.catalogue();
    if (!parcel || !catalogue) return;
    const isGone = (path: string) => parsePath(shareOf(path))?.parcel === name;
    const removing = parcel.sent.map((_, i) => catalogue.remove(itemPath(name, i)));
    this.#options.server().withdraw(isGone);
    await Promise.all(removing);
    // What was being opened meanwhile.
    this.#options.server().withdraw(isGone);
    this.#parcels.delete(name);
  }
}
