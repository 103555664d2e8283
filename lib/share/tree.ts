/**
 * All that is offered, as a tree of folders.
 * Owns the entries, their counts by share and their index by content id. Always true: an empty folder is offered and
 * one with something in it is not; every change of what is offered is told once, in order. Called by the catalogue.
 */
import { Entry, type ShareState } from './entry.js';
import type { Found } from './scan.js';

/** A change of what is offered: what an offer will say, but for its version. */
export interface CatalogueChange {
  path: string;
  kind: 'file' | 'executable' | 'folder' | 'removed';
  size: number;
  /** Whole milliseconds. */
  mtime: number;
  id: string | null;
}

/** A folder that is there. */
export class Folder {
  readonly path: string;
  readonly share: ShareState;
  readonly children = new Map<string, Entry | Folder>();
  mtime = 0;
  /** Whether it is offered: seen empty, and for long enough. */
  offered = false;
  seen = 0;

  constructor(share: ShareState, path: string) {
    this.share = share;
    this.path = path;
  }
}

export interface TreeEvents {
  change(change: CatalogueChange): void;
  /** A folder has lost the last of what was offered in it; it may be there still. */
  emptied(path: string): void;
  /** A folder is no more, or a share that is a file. */
  gone(share: ShareState, path: string): void;
}

const parentOf = (path: string) => path.slice(0, Math.max(0, path.lastIndexOf('/')));
const nameOf = (path: string) => path.slice(path.lastIndexOf('/') + 1);

export class Tree {
  readonly #events: TreeEvents;
  /** By the share's name: its folder, or the one file that it is. */
  readonly #tops = new Map<string, Entry | Folder>();
  /** By content id: the entry, or all of several with the same content. */
  readonly #ids = new Map<string, Entry | Set<Entry>>();

  constructor(events: TreeEvents) {
    this.#events = events;
  }

  get(path: string): Entry | Folder | undefined {
    let at: Entry | Folder | undefined;
    for (let from = 0; from <= path.length; ) {
      const to = path.indexOf('/', from);
      const name = path.slice(from, to === -1 ? path.length : to);
      at = from === 0 ? this.#tops.get(name) : at instanceof Folder ? at.children.get(name) : undefined;
      if (!at || to === -1) return at;
      from = to + 1;
    }
    return at;
  }

  file(path: string): Entry | undefined {
    const at = this.get(path);
    return at instanceof Entry ? at : undefined;
  }

  /** Every file with this content. */
  allById(id: string): Iterable<Entry> {
    const known = this.#ids.get(id);
    return known instanceof Set ? known : known ? [known] : [];
  }

  /** Offers a file in the state that was found; its id and chunk hashes where they are known. */
  put(share: ShareState, found: Found, scan: number, known?: { id: string; hashes: string }): Entry {
    const kind = found.kind === 'executable' ? 'executable' : 'file';
    let entry = this.get(found.path);
    if (entry instanceof Folder) {
      this.remove(entry.path);
      entry = undefined;
    }
    if (entry) {
      this.#uncount(entry);
      entry.kind = kind;
      entry.size = found.size;
      entry.mtime = found.mtime;
      entry.signature = found.signature;
      entry.id = null;
      entry.hashes = null;
      entry.unsure = false;
    } else {
      entry = new Entry(share, found.path, kind, found.size, found.mtime, found.signature);
      this.#attach(share, found.path, entry, scan);
    }
    entry.seen = scan;
    if (known) {
      entry.id = known.id;
      entry.hashes = known.hashes;
    }
    this.#count(entry);
    this.#tell(entry);
    return entry;
  }

  /** Tells of an entry's id, now that it is known, or that it is another. */
  learn(entry: Entry, id: string, hashes: string): void {
    this.#uncount(entry);
    entry.id = id;
    entry.hashes = hashes;
    this.#count(entry);
    this.#tell(entry);
  }

  /** Notes that a folder is there. */
  folder(share: ShareState, path: string, mtime: number, scan: number): Folder {
    let at = this.get(path);
    if (at instanceof Entry) {
      this.remove(path);
      at = undefined;
    }
    if (!at) {
      at = new Folder(share, path);
      this.#attach(share, path, at, scan);
    }
    at.seen = scan;
    at.mtime = mtime;
    return at;
  }

  /** Offers a folder that has nothing in it. */
  offer(folder: Folder): void {
    if (folder.offered || folder.children.size > 0) return;
    folder.offered = true;
    this.#events.change({ path: folder.path, kind: 'folder', size: 0, mtime: folder.mtime, id: null });
  }

  /** Withdraws the offer of a folder that seems empty and is not. */
  hide(folder: Folder): void {
    if (!folder.offered) return;
    folder.offered = false;
    this.#withdraw(folder.path);
  }

  /**
   * Withdraws all of a share. None of it is found from the beginning on; yields now and then, so that the caller can let
   * others have a turn. Nothing may be put under its name before the end.
   */
  *clear(share: string): Generator<void> {
    const top = this.#tops.get(share);
    if (!top) return;
    this.#tops.delete(share);
    yield* this.#drop(top);
  }

  /** Withdraws a file, or a folder with all in it. */
  remove(path: string): void {
    const at = this.get(path);
    if (!at) return;
    for (const _ of this.#drop(at)) {
      // All at once.
    }
    this.#detach(path);
  }

  /**
   * Withdraws all at and below a path that a scan did not see. Yields now and then, so that the caller can let others
   * have a turn.
   */
  *sweep(path: string, scan: number): Generator<void> {
    const at = this.get(path);
    if (!at) return;
    if (at.seen < scan) {
      yield* this.#drop(at);
      if (this.get(path) === at) this.#detach(path);
      return;
    }
    if (at instanceof Entry) return;
    for (const child of at.children.values()) {
      if (child instanceof Folder || child.seen < scan) yield* this.sweep(child.path, scan);
      else yield;
    }
  }

  #attach(share: ShareState, path: string, node: Entry | Folder, scan: number): void {
    const parent = parentOf(path);
    if (parent === '') {
      this.#tops.set(path, node);
      return;
    }
    let folder = this.get(parent);
    if (!(folder instanceof Folder)) folder = this.folder(share, parent, 0, scan);
    folder.seen = Math.max(folder.seen, scan);
    folder.children.set(nameOf(path), node);
    if (folder.offered) {
      folder.offered = false;
      this.#withdraw(folder.path);
    }
  }

  #detach(path: string): void {
    const parent = parentOf(path);
    if (parent === '') this.#tops.delete(path);
    const folder = this.get(parent);
    if (!(folder instanceof Folder)) return;
    folder.children.delete(nameOf(path));
    if (folder.children.size === 0) this.#events.emptied(folder.path);
  }

  /** Withdraws a node and all below it, and leaves the detaching to the caller. */
  *#drop(node: Entry | Folder): Generator<void> {
    if (node instanceof Entry) {
      this.#uncount(node);
      node.live = false;
      this.#withdraw(node.path);
      if (node.path === node.share.name) this.#events.gone(node.share, node.path);
      yield;
      return;
    }
    for (const child of node.children.values()) yield* this.#drop(child);
    node.children.clear();
    if (node.offered) this.#withdraw(node.path);
    node.offered = false;
    this.#events.gone(node.share, node.path);
  }

  #withdraw(path: string): void {
    this.#events.change({ path, kind: 'removed', size: 0, mtime: 0, id: null });
  }

  #tell({ path, kind, size, mtime, id }: Entry): void {
    this.#events.change({ path, kind, size, mtime, id });
  }

  #count(entry: Entry): void {
    entry.share.files++;
    entry.share.bytes += entry.size;
    if (entry.id === null) return;
    entry.share.hashed++;
    const known = this.#ids.get(entry.id);
    if (known instanceof Set) known.add(entry);
    else this.#ids.set(entry.id, known ? new Set([known, entry]) : entry);
  }

  #uncount(entry: Entry): void {
    entry.share.files--;
    entry.share.bytes -= entry.size;
    if (entry.id === null) return;
    entry.share.hashed--;
    const known = this.#ids.get(entry.id);
    if (known instanceof Set) {
      known.delete(entry);
      if (known.size === 0) this.#ids.delete(entry.id);
    } else if (known === entry) this.#ids.delete(entry.id);
  }
}
