/**
 * What this peer can serve: its own shares, and files that it is receiving itself.
 *
 * Owns the list of files being received. Always true: what is open here was there, unchanged, when it was opened. Called
 * by the server.
 */
import type { Bits } from '../bits.js';
import { HearsayError } from '../errors.js';
import { SMALL_MAX } from '../limits.js';
import type { Catalogue } from '../share/catalogue.js';
import type { Found, Offered, Shelf } from './offered.js';

export class LocalShelf implements Shelf {
  readonly #catalogue: Catalogue | undefined;
  readonly #onward = new Map<string, Found>();

  constructor(catalogue: Catalogue | undefined) {
    this.#catalogue = catalogue;
  }

  /** Offers a file while it is received; the returned function ends it. */
  add(id: string, found: Found): () => void {
    this.#onward.set(id, found);
    return () => {
      if (this.#onward.get(id) === found) this.#onward.delete(id);
    };
  }

  #path(id: string | null, path: string): string {
    const named = this.#catalogue?.find(path);
    // Of several files with this content, the one that was asked for by name too.
    if (named && (id === null || named.id === id)) return path;
    const other = id === null ? undefined : this.#catalogue?.byId(id);
    if (other) return other.path;
    throw new HearsayError(named ? 'changed' : 'not-found', `${path} is not here${named ? ' in this version' : ''}`);
  }

  async open(id: string | null, path: string): Promise<Found> {
    const onward = id === null ? undefined : this.#onward.get(id);
    if (onward) return onward;
    const here = this.#path(id, path);
    const source = await (this.#catalogue as Catalogue).open(here);
    if (id !== null && source.id !== id) {
      await source.close();
      throw new HearsayError('changed', `${path} has changed`);
    }
    return { source, manifest: this.#catalogue?.manifest(here), have: undefined as Bits | undefined };
  }

  async readSmall(id: string | null, path: string) {
    const here = this.#path(id, path);
    const { size } = this.#catalogue?.find(here) ?? { size: 0 };
    if (!this.#catalogue || size > SMALL_MAX) throw new HearsayError('changed', `${path} is larger than it was`);
    const { data, id: is, entry } = this.#catalogue.readSmall(here);
    return { data, id: is, mtime: entry.mtime, executable: entry.executable };
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
