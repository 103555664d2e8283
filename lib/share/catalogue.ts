/**
 * What this peer offers: its shares, which come and go, kept as the disk is, hashed in the background, opened to be served.
 * Owns the tree of entries, the watchers, the threads; uses the store and does not close it. Always true: what is told
 * by onChanges, in order, makes up what find and byId know; an id belongs to the state in which a file was last seen; of a
 * share that was removed, or is not there, nothing is found. Called by the peer.
 */
import { realpath } from 'node:fs/promises';
import { asHearsayError, HearsayError } from '../errors.js';
import { blake3 } from '../hash.js';
import { SMALL_MAX } from '../limits.js';
import { printable } from '../names.js';
import { chunkCount, contentId, HASH_BYTES } from '../transfer/content.js';
import { Batch } from './batch.js';
import { DiskPool } from './disk-pool.js';
import { type Entry, fileOf, type ShareSpec, type ShareState } from './entry.js';
import { changed, stateOf, troubleOf } from './file-state.js';
import { Hasher } from './hasher.js';
import { Looks } from './looks.js';
import { Notes } from './notes.js';
import { checkNames } from './resolve.js';
import type { Found } from './scan.js';
import type { Signature } from './signature.js';
import { readWhole, SourceFile, type SourceOwner } from './source.js';
import type { HashStore } from './store.js';
import { type CatalogueChange, Tree } from './tree.js';
import { ShareWatch, type WatchOptions } from './watch.js';

export type { CatalogueChange } from './tree.js';

/** Changes told in one call, and the milliseconds that the first of them waits for others. */
const CHANGES_MAX = 2000;
const CHANGES_MS = 20;
/** A file that was written to so lately may be written to again without its times telling; then its hash is not kept. */
const YOUNG_MS = 2000;
/** Looking at everything although nothing was told. */
const RESCAN_MS = 600_000;
/** A watcher that needs longer is not waited for: the scan begins, and is done again when it is there. */
const WATCH_MS = 150;
/** Hashes that are put together to an id here, in some 10 ms; more are in the thread. */
const IDENTIFY_MAX = 8192;
/** Milliseconds of withdrawing at a time, before others have a turn. */
const SLICE_MS = 5;
/** How often a file that changes is hashed anew for one who waits. */
const HASH_TRIES = 4;
/** Different warnings remembered, so that none is repeated at every scan. */
const WARNINGS_MAX = 1000;

export interface CatalogueOptions {
  shares: readonly ShareSpec[];
  /** Hashes remembered; without one every file is hashed at every start. */
  store: HashStore | undefined;
  /** What is offered from now on, in order; at most 2,000 a call. */
  onChanges(changes: CatalogueChange[]): void;
  /** A file was read and has this content id now. Not called for what was remembered. */
  onHashed(path: string, id: string): void;
  onWarning(message: string): void;
  /** A share is not there, and why, and so nothing of it is offered; undefined: it is there again. */
  onAway?(share: ShareState, why: string | undefined): void;
  /** Milliseconds between looks at everything although the system told of no change; 10 minutes by default. */
  rescanMs?: number;
  /** Files and folders never shared although they are within a share, absolute: hearsay's own state. */
  never?: readonly string[];
  /** Milliseconds since 1970. */
  now?: () => number;
  /** How to watch; for tests. */
  watch?: Omit<WatchOptions, 'rescanMs'>;
}

/** What is offered under a path. */
export type { Entry } from './entry.js';

/** A small file, read whole. */
export interface SmallFile {
  entry: Entry;
  data: Buffer;
  id: string;
}

export class Catalogue {
  readonly #options: CatalogueOptions;
  readonly #now: () => number;
  readonly #shares = new Map<string, ShareState>();
  readonly #tree: Tree;
  readonly #pool = new DiskPool();
  readonly #looks: Looks;
  readonly #hasher: Hasher<Entry>;
  readonly #watches = new Map<string, ShareWatch>();
  /** Shares that are being withdrawn. */
  readonly #clearing = new Map<ShareState, Promise<void>>();
  readonly #notes = new Notes();
  /** Who waits for an entry to be hashed, or not. */
  readonly #waiting = new Map<Entry, (() => void)[]>();
  /** Hashed entries whose id is being put together or checked. */
  readonly #learning = new Set<Entry>();
  readonly #warned = new Set<string>();
  readonly #owner: SourceOwner;
  #idle: (() => void)[] = [];
  readonly #changes: Batch<CatalogueChange>;
  #started = false;
  #stopped = false;
  /** Resolves when the first scan of all shares is done. */
  readonly scanned: Promise<void>;
  #scanned: () => void = () => undefined;
  #scanDone = false;

  /** @throws HearsayError `usage` where two shares have one name */
  constructor(options: CatalogueOptions) {
    checkNames(options.shares);
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.scanned = new Promise((resolve) => {
      this.#scanned = resolve;
    });
    this.#changes = new Batch(CHANGES_MAX, CHANGES_MS, options.onChanges);
    this.#tree = new Tree({
      change: (change) => this.#changes.add(change),
      emptied: (path) => this.#looks.look(path, true),
      gone: (share, path) => this.#watches.get(share.name)?.gone(path),
    });
    this.#looks = new Looks({
      pool: this.#pool,
      tree: this.#tree,
      never: [...(options.never ?? [])],
      now: this.#now,
      present: (share) => this.#present(share),
      offer: (share, found, scan) => this.#offer(share, found, scan),
      folder: (share, path, identity) => this.#watches.get(share.name)?.folder(path, identity) ?? false,
      warn: (message) => this.#warn(message),
      calm: () => this.#checkIdle(),
    });
    this.#hasher = new Hasher<Entry>(
      this.#pool,
      {
        wanted: (entry) => entry.live && (entry.id === null || entry.unsure),
        done: (entry, signature, hashes, began) => void this.#learn(entry, signature, hashes, began),
        failed: (entry, error) => this.#unhashed(entry, error),
        over: (entry) => {
          if (!this.#learning.has(entry)) this.#over(entry);
        },
        idle: () => this.#checkIdle(),
      },
      this.#now,
    );
    this.#owner = {
      missed: (entry, thrown) => this.#missed(entry, thrown),
      noted: (entry, signature, chunk, hash) => this.#noted(entry, signature, chunk, hash),
      closed: (entry) => this.#notes.closed(entry),
    };
    for (const share of options.shares) this.#enter(share);
  }

  /** Begins to watch and to scan; does not wait for the scan. */
  async start(): Promise<void> {
    this.#started = true;
    const begun = await Promise.all([...this.#shares.values()].map((share) => this.#begin(share)));
    if (this.#stopped) return;
    void Promise.all(begun.map((scan) => scan())).then(() => {
      this.#changes.flush();
      this.#scanDone = true;
      this.#scanned();
      if (!this.#stopped) this.#hasher.release();
      this.#checkIdle();
    });
  }

  /**
   * Shares one thing more. Resolves when it is watched; its scan goes on behind, to be waited for by `scanned`.
   * @throws HearsayError `usage` where its name is taken
   */
  async add(spec: ShareSpec): Promise<{ scanned: Promise<void> }> {
    checkNames([...this.#shares.values(), spec]);
    const share = this.#enter(spec);
    if (!this.#started || this.#stopped) return { scanned: this.scanned };
    const scan = await this.#begin(share);
    return { scanned: scan().then(() => this.#changes.flush()) };
  }

  /**
   * Shares something no more. None of it is found any more when this returns; resolves when all of it is withdrawn, and
   * its name may be used again.
   */
  async remove(name: string): Promise<void> {
    const share = this.#shares.get(name);
    if (!share) return;
    this.#shares.delete(name);
    this.#looks.remove(share);
    const watch = this.#watches.get(name);
    this.#watches.delete(name);
    await Promise.all([this.#clear(share), watch?.stop()]);
    this.#checkIdle();
  }

  /** Resolves when nothing is left to look at or to hash, young files included; at once when it is stopped. */
  idle(): Promise<void> {
    if (this.#isIdle) return Promise.resolve();
    return new Promise((resolve) => {
      this.#idle.push(resolve);
    });
  }

  /** What is shared, but for what is hidden. */
  shares(): ShareState[] {
    return [...this.#shares.values()].filter(({ hidden }) => !hidden).map((share) => ({ ...share }));
  }

  /** The file offered under a path on the wire. */
  find(path: string): Entry | undefined {
    const entry = this.#tree.file(path);
    return entry?.live ? entry : undefined;
  }

  /** A file with this content that fits; one that everyone may see, where there is one. */
  byId(id: string, fits: (entry: Entry) => boolean = () => true): Entry | undefined {
    let found: Entry | undefined;
    for (const entry of this.#tree.allById(id)) {
      // One that is being withdrawn is known by its id for a moment longer.
      if (this.#tree.file(entry.path) !== entry || !fits(entry)) continue;
      if (!entry.share.for) return entry;
      found ??= entry;
    }
    return found;
  }

  /** The hashes of a file's chunks, 32 bytes each, one after another; undefined while they are not known. */
  manifest(path: string): Uint8Array | undefined {
    const hashes = this.find(path)?.hashes;
    return hashes === undefined || hashes === null ? undefined : Buffer.from(hashes, 'latin1');
  }

  /**
   * Opens an offered file to be served; close it again. Looks whether it is what is offered, and where it is not,
   * renews or withdraws the offer.
   * @throws HearsayError `not-found`, `changed` or `not-readable`
   */
  async open(path: string): Promise<SourceFile> {
    const entry = this.#entry(path);
    const source = await SourceFile.open(this.#owner, entry);
    this.#notes.opened(entry);
    return source;
  }

  /**
   * Reads an offered file of at most SMALL_MAX bytes whole, and learns its id by the way. Synchronous: some 20 µs where
   * the disk has it in memory, so let others have a turn between many.
   * @param into where its bytes are put where there is room, at the beginning
   * @throws HearsayError `not-found`, `changed` or `not-readable`; the offer is renewed or withdrawn soon after
   * @throws RangeError where it is larger
   */
  readSmall(path: string, into?: Buffer): SmallFile {
    const entry = this.#entry(path);
    if (entry.size > SMALL_MAX) throw new RangeError(`${entry.size} bytes are not small`);
    const { signature, size } = entry;
    let data: Buffer | undefined;
    try {
      data = readWhole(entry, into);
    } catch (thrown) {
      void this.#missed(entry, thrown);
      throw troubleOf(path, thrown);
    }
    if (!data) {
      void this.#missed(entry);
      throw changed(path);
    }
    if (entry.id !== null) return { entry, data, id: entry.id };
    const hashes = size === 0 ? data : blake3(data);
    const id = contentId(size, hashes);
    this.#known(entry, signature, id, hashes, this.#now());
    return { entry, data, id };
  }

  /**
   * Looks at a file again, and tells at once of a change or that it is gone.
   * @param rehash its content is doubted: what is remembered of it is forgotten, and it is read again
   */
  async recheck(path: string, { rehash = false } = {}): Promise<'same' | 'changed' | 'gone'> {
    const entry = this.find(path);
    if (!entry) return 'gone';
    const state = await this.#renew(entry);
    if (state !== 'same' || !rehash) return state;
    const { id } = entry;
    this.#options.store?.forget(entry.signature);
    entry.unsure = true;
    await this.#hashed(entry);
    if (!entry.live) return this.find(path) ? 'changed' : 'gone';
    return entry.id === id ? 'same' : 'changed';
  }

  /**
   * Hashes a file before all others.
   * @returns its content id
   * @throws HearsayError `not-found`, `changed` where it does not stop changing, `cancelled` where all is stopped
   */
  async hashNow(path: string): Promise<string> {
    for (let i = 0; i < HASH_TRIES; i++) {
      const entry = this.#entry(path);
      if (entry.id !== null) return entry.id;
      await this.#hashed(entry);
      if (this.#stopped) throw new HearsayError('cancelled', `${printable(path)}: hashing was stopped`);
      if (entry.live && entry.id !== null) return entry.id;
      if (entry.live) await this.#renew(entry);
    }
    throw changed(path);
  }

  /** Ends all that is under way, however large. Nothing is told any more. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#changes.close();
    await Promise.all([this.#looks.stop(), this.#hasher.stop()]);
    await Promise.all([...this.#watches.values()].map((watch) => watch.stop()));
    await this.#pool.close();
    for (const entry of [...this.#waiting.keys()]) this.#over(entry);
    this.#scanned();
    for (const done of this.#idle.splice(0)) done();
  }

  get #isIdle(): boolean {
    if (this.#stopped) return true;
    if (!this.#started || !this.#scanDone || this.#learning.size > 0) return false;
    return this.#looks.isCalm && this.#hasher.isIdle;
  }

  #checkIdle(): void {
    if (!this.#isIdle) return;
    this.#changes.flush();
    for (const done of this.#idle.splice(0)) done();
  }

  #enter(spec: ShareSpec): ShareState {
    const share: ShareState = { ...spec, files: 0, bytes: 0, hashed: 0 };
    this.#shares.set(share.name, share);
    this.#looks.add(share);
    return share;
  }

  /** Whether it is shared still: another one may have its name by now. */
  #has(share: ShareState): boolean {
    return !this.#stopped && this.#shares.get(share.name) === share;
  }

  /** Begins to watch a share; resolves to what has it looked through. */
  async #begin(share: ShareState): Promise<() => Promise<void>> {
    const { watching, watched, late } = this.#watch(share);
    await watching;
    return async () => {
      if (!this.#has(share)) return;
      await this.#looks.all(share);
      // What happened before there was a watcher was not told.
      if (late()) void watched.then(() => this.#looks.all(share));
    };
  }

  /** Whether a share is there, and all of what it was before is withdrawn where that was another. */
  async #present(share: ShareState): Promise<boolean> {
    await this.#clearing.get(share);
    return (await this.#watches.get(share.name)?.present()) ?? false;
  }

  #away(share: ShareState, why: string | undefined): void {
    if (!this.#has(share)) return;
    if (why === undefined) delete share.away;
    else {
      share.away = why;
      this.#looks.halt(share);
      void this.#clear(share);
    }
    this.#options.onAway?.(share, why);
  }

  /** Withdraws all of a share, and tells of it at once. */
  #clear(share: ShareState): Promise<void> {
    const before = this.#clearing.get(share);
    const work = (async () => {
      if (before) await before;
      let began = performance.now();
      for (const _ of this.#tree.clear(share.name)) {
        if (performance.now() - began < SLICE_MS) continue;
        await new Promise(setImmediate);
        if (this.#stopped) return;
        began = performance.now();
      }
      this.#changes.flush();
    })();
    this.#clearing.set(share, work);
    return work.finally(() => {
      if (this.#clearing.get(share) === work) this.#clearing.delete(share);
    });
  }

  #watch(share: ShareState) {
    const watch = new ShareWatch(
      share,
      {
        look: (path, sudden) => this.#looks.look(path, sudden),
        all: () => this.#looks.all(share),
        away: (why) => this.#away(share, why),
        warn: (message) => this.#warn(message),
      },
      { ...this.#options.watch, rescanMs: this.#options.rescanMs ?? RESCAN_MS },
    );
    this.#watches.set(share.name, watch);
    let late = false;
    const watched = watch.start();
    let timer: NodeJS.Timeout | undefined;
    const waited = new Promise<void>((resolve) => {
      timer = setTimeout(() => {
        late = true;
        resolve();
      }, WATCH_MS);
    });
    const watching = Promise.race([watched, waited]).finally(() => clearTimeout(timer));
    return { watching, watched, late: () => late };
  }

  /** @throws HearsayError `not-found` */
  #entry(path: string): Entry {
    const entry = this.find(path);
    if (!entry) throw new HearsayError('not-found', `${printable(path)} is not offered here`);
    return entry;
  }

  /** Files are in a state that is to be offered: with what is remembered of them, else to be hashed. */
  async #offer(share: ShareState, found: Found[], scan: number): Promise<void> {
    const remembered = await this.#options.store?.getMany(found.map(({ signature }) => signature));
    if (!this.#has(share) || share.away !== undefined || this.#clearing.has(share)) return;
    found.forEach((one, i) => {
      const known = remembered?.[i];
      const fits = known?.hashes.length === chunkCount(one.size) * HASH_BYTES;
      this.#put(share, one, scan, fits ? { id: known.id, hashes: known.hashes.toString('latin1') } : undefined);
    });
  }

  #put(share: ShareState, found: Found, scan: number, known?: { id: string; hashes: string }): void {
    // An empty file has no content to read.
    const empty = found.size === 0 ? { id: EMPTY_ID, hashes: '' } : undefined;
    const entry = this.#tree.put(share, found, scan, known ?? empty);
    if (entry.id === null) this.#hasher.add(entry, this.#ripe(entry.mtime));
  }

  /** When a file is old enough for its hash to be kept; 0 when it is. A time to come does not count. */
  #ripe(mtime: number, now = this.#now()): number {
    return Math.abs(now - mtime) < YOUNG_MS ? mtime + YOUNG_MS : 0;
  }

  /** Brings the offer of a file up to what it is now. */
  async #renew(entry: Entry): Promise<'same' | 'changed' | 'gone'> {
    const { share, path } = entry;
    const result = await stateOf(path, entry.file).catch((thrown) => troubleOf(path, thrown));
    const root = await realpath(share.path).catch(() => undefined);
    if (!entry.live || this.#stopped) return this.find(path) ? 'changed' : 'gone';
    if (result instanceof HearsayError) {
      // No more files can be opened just now: that says nothing about this one.
      if (result.code === 'limit') return 'changed';
      if (result.code === 'not-readable') this.#warn(`not shared: ${result.message}`);
      this.#withdraw(entry);
      return 'gone';
    }
    const { found, real } = result;
    if (found.signature === entry.signature) return 'same';
    if (root === undefined || real !== fileOf({ path: root, name: share.name }, path)) {
      // There is a link on the way now. Whether it leads to what is shared is for the scan to say.
      this.#withdraw(entry);
      return 'gone';
    }
    this.#put(share, found, entry.seen);
    return 'changed';
  }

  #withdraw(entry: Entry): void {
    if (this.find(entry.path) === entry) this.#tree.remove(entry.path);
    this.#looks.look(entry.path, true);
  }

  async #missed(entry: Entry, thrown?: unknown): Promise<HearsayError> {
    const trouble = thrown === undefined ? changed(entry.path) : troubleOf(entry.path, thrown);
    if (trouble.code === 'limit') return trouble;
    if (trouble.code === 'not-readable') {
      if (!this.#stopped && entry.live) {
        this.#warn(`not shared: ${trouble.message}`);
        this.#tree.remove(entry.path);
      }
      return trouble;
    }
    const gone = (await this.#renew(entry)) === 'gone';
    return gone ? new HearsayError('not-found', `${printable(entry.path)} is no more offered`) : changed(entry.path);
  }

  #noted(entry: Entry, signature: Signature, chunk: number, hash: Uint8Array): void {
    if (!entry.live || entry.id !== null || entry.signature !== signature) return;
    const note = this.#notes.add(entry, signature, chunk, hash, this.#now());
    if (note) void this.#learn(entry, signature, note.hashes, note.began, true);
  }

  /**
   * A file was hashed, in the state of `signature`.
   * @param served whether by those who read it bit by bit, so that it is looked at once more
   */
  async #learn(entry: Entry, signature: Signature, hashes: Uint8Array, began: number, served = false): Promise<void> {
    this.#learning.add(entry);
    try {
      if (served && (await this.#renew(entry)) !== 'same') return;
      if (entry.signature !== signature) return;
      const many = hashes.length > IDENTIFY_MAX * HASH_BYTES;
      const id = many ? await this.#hasher.identify(entry.size, hashes) : contentId(entry.size, hashes);
      this.#known(entry, signature, id, hashes, began);
    } catch (thrown) {
      this.#warn(`${printable(entry.path)}: ${asHearsayError(thrown).message}`);
    } finally {
      this.#learning.delete(entry);
      this.#over(entry);
      this.#checkIdle();
    }
  }

  #known(entry: Entry, signature: Signature, id: string, hashes: Uint8Array, began: number): void {
    if (this.#stopped || !entry.live || entry.signature !== signature) return;
    if (entry.id !== id) {
      this.#tree.learn(entry, id, Buffer.from(hashes).toString('latin1'));
      this.#options.onHashed(entry.path, id);
    }
    const ripe = this.#ripe(entry.mtime, began);
    entry.unsure = ripe > 0;
    if (entry.unsure) this.#hasher.add(entry, ripe);
    else this.#options.store?.put(signature, { id, hashes });
  }

  #unhashed(entry: Entry, error: string): void {
    if (error === 'changed' || error === 'ENOENT' || error === 'ENOTDIR') {
      this.#looks.look(entry.path, true);
      return;
    }
    this.#warn(`not shared: ${printable(entry.file)} (${error})`);
    this.#tree.remove(entry.path);
  }

  /** Has an entry hashed before all others; resolves when that is over, whatever came of it. */
  #hashed(entry: Entry): Promise<void> {
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(entry);
      if (waiting) waiting.push(resolve);
      else this.#waiting.set(entry, [resolve]);
      this.#hasher.urgent(entry);
    });
  }

  #over(entry: Entry): void {
    const waiting = this.#waiting.get(entry);
    if (!waiting) return;
    this.#waiting.delete(entry);
    for (const done of waiting) done();
  }

  #warn(message: string): void {
    if (this.#stopped || this.#warned.has(message)) return;
    if (this.#warned.size >= WARNINGS_MAX) this.#warned.clear();
    this.#warned.add(message);
    this.#options.onWarning(message);
  }
}

const EMPTY_ID = contentId(0, new Uint8Array(0));
