/**
 * What this peer can serve: its own shares, and files that it is receiving itself.
 *
 * Owns the list of files being received. Always true: what is open here was there, unchanged, when it was opened, and
 * is for the one who asked; what is not for it is answered as if it did not exist. Called by the server.
 */
import { HearsayError } from '../errors.js';
import type { PeerId } from '../ids.js';
import { SMALL_MAX } from '../limits.js';
import type { Catalogue, Entry } from '../share/catalogue.js';
import type { Found, Offered, Shelf, Small } from './offered.js';

/** A file that is received with some others, and is for them alone. */
interface Circle {
  found: Found;
  isIn(peer: PeerId): boolean;
}

/** Whether a path of this peer's own is for a peer. */
export type SeesOf = (peer: PeerId, path: string) => boolean;

export class LocalShelf implements Shelf {
  readonly #catalogue: Catalogue | undefined;
  readonly #sees: SeesOf;
  readonly #onward = new Map<string, Found>();
  /** By the path under which they are received: several senders may use one. */
  readonly #circles = new Map<string, Set<Circle>>();

  constructor(catalogue: Catalogue | undefined, sees: SeesOf) {
    this.#catalogue = catalogue;
    this.#sees = sees;
  }

  /** Offers a file, which is for everyone, while it is received; the returned function ends it. */
  add(id: string, found: Found): () => void {
    this.#onward.set(id, found);
    return () => {
      if (this.#onward.get(id) === found) this.#onward.delete(id);
    };
  }

  /** Offers a file to some while and after it is received; the returned function ends it. @param isIn whether it is for a peer */
  addFor(path: string, found: Found, isIn: (peer: PeerId) => boolean): () => void {
    const circle: Circle = { found, isIn };
    const circles = this.#circles.get(path) ?? new Set();
    this.#circles.set(path, circles.add(circle));
    return () => {
      if (circles.delete(circle) && circles.size === 0) this.#circles.delete(path);
    };
  }

  /** A file of this peer's own with this content that another may see too, and its manifest. */
  own(id: string, peer: PeerId): { file: string; manifest: Uint8Array | undefined } | undefined {
    const isSeen = (entry: Entry): boolean => !entry.share.hidden && this.#sees(peer, entry.path);
    const entry = this.#catalogue?.byId(id, isSeen);
    return entry && { file: entry.file, manifest: this.#catalogue?.manifest(entry.path) };
  }

  /** The file that a request means: of several with this content one that everyone may see, then that asked for by name. */
  #entry(catalogue: Catalogue, id: string | null, path: string, peer: PeerId): Entry {
    const at = catalogue.find(path);
    const named = at && this.#sees(peer, at.path) ? at : undefined;
    const isMeant = named && (id === null || named.id === id);
    if (isMeant && (named.share.hidden || !named.share.for)) return named;
    // What is sent to somebody is found by its own path alone.
    const isSeen = (entry: Entry): boolean => !entry.share.hidden && this.#sees(peer, entry.path);
    const other = id === null ? undefined : catalogue.byId(id, isSeen);
    if (isMeant && (!other || other.share.for)) return named;
    if (other) return other;
    throw new HearsayError(named ? 'changed' : 'not-found', `${path} is not here${named ? ' in this version' : ''}`);
  }

  #open(path: string): Catalogue {
    if (this.#catalogue) return this.#catalogue;
    throw new HearsayError('not-found', `${path} is not here`);
  }

  async open(id: string | null, path: string, peer: PeerId): Promise<Found> {
    const onward = id === null ? undefined : this.#onward.get(id);
    if (onward) return onward;
    for (const { found, isIn } of this.#circles.get(path) ?? []) if (found.source.id === id && isIn(peer)) return found;
    const catalogue = this.#open(path);
    const entry = this.#entry(catalogue, id, path, peer);
    const source = await catalogue.open(entry.path);
    if (id !== null && source.id !== id) {
      await source.close();
      throw new HearsayError('changed', `${path} has changed`);
    }
    const aside = entry.share.for !== undefined;
    const circled = entry.share.hidden ? { circle: entry.path } : {};
    return { source, manifest: catalogue.manifest(entry.path), have: undefined, aside, ...circled };
  }

  readSmall(id: string | null, path: string, peer: PeerId, into?: Buffer): Small {
    const catalogue = this.#open(path);
    const here = this.#entry(catalogue, id, path, peer);
    if (here.size > SMALL_MAX) throw new HearsayError('changed', `${path} is larger than it was`);
    const { data, id: is, entry } = catalogue.readSmall(here.path, into);
    return { path: here.path, data, id: is, mtime: entry.mtime, executable: entry.executable };
  }

  async recheck(path: string): Promise<'same' | 'changed' | 'gone'> {
    return (await this.#catalogue?.recheck(path, { rehash: true })) ?? 'same';
  }

  async idOf(source: Offered): Promise<string> {
    if (source.id !== null) return source.id;
    if (!this.#catalogue) throw new HearsayError('not-found', `${source.path} is not here`);
    return this.#catalogue.find(source.path)?.id ?? (await this.#catalogue.hashNow(source.path));
  }
}
