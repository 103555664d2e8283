/**
 * Looks at the disk and brings the tree up to it: the first scan, what the watchers tell of, what has to settle.
 * Owns what waits to be looked at, and the links of each share. Always true: one walk at a time; a path that is told
 * of while it is walked is looked at again afterwards; of a share that was let go nothing comes any more. Called by the
 * catalogue.
 */

import { LOOKS_MAX } from '../limits.js';
import { printable } from '../names.js';
import type { DiskPool } from './disk-pool.js';
import { Entry, type ShareState } from './entry.js';
import type { Found } from './scan.js';
import type { Link } from './scan-worker.js';
import { type Finds, scan } from './scanner.js';
import { Settle } from './settle.js';
import { identityOf } from './signature.js';
import type { Tree } from './tree.js';

/** What is told of within so many milliseconds is looked at together. */
const GATHER_MS = 20;
/** Milliseconds of sweeping at a time, before others have a turn. */
const SLICE_MS = 5;

export interface LooksOptions {
  pool: DiskPool;
  tree: Tree;
  /** Files and folders never to be shared, absolute. */
  never: string[];
  /** Milliseconds since 1970. */
  now(): number;
  /** Whether a share is there at all: where it is not, what was in it says nothing of what was deleted. */
  present(share: ShareState): Promise<boolean>;
  /** Files in a state that is to be offered now. */
  offer(share: ShareState, found: Found[], scan: number): Promise<void>;
  /** A folder was found; returns whether it is to be looked at again. */
  folder(share: ShareState, path: string, identity: string): boolean;
  warn(message: string): void;
  /** Nothing is left to look at. */
  calm(): void;
}

/** A share's part of the work. */
interface Desk {
  share: ShareState;
  paths: Set<string>;
  /** Links followed: where each leads, and for a folder its identity. */
  links: Map<string, { target: string; folder: string | undefined }>;
  /** Called when all was looked at: those who wait for the next walk, and for the one that is under way. */
  waiting: (() => void)[];
  /** Ends the walk through it that is under way. */
  abort: AbortController;
}

const isBelow = (path: string, folder: string) =>
  path.startsWith(folder) && (path.length === folder.length || path[folder.length] === '/');

export class Looks {
  readonly #options: LooksOptions;
  readonly #desks = new Map<string, Desk>();
  readonly #settle = new Settle();
  #stopped = false;
  #scan = 0;
  #gather: NodeJS.Timeout | undefined;
  #settling: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;

  constructor(options: LooksOptions) {
    this.#options = options;
  }

  /** Takes on a share; its name is free. */
  add(share: ShareState): void {
    const abort = new AbortController();
    this.#desks.set(share.name, { share, paths: new Set(), links: new Map(), waiting: [], abort });
  }

  /** Ends the walk through a share, and forgets what was to be looked at in it. */
  halt(share: ShareState): void {
    const desk = this.#desk(share);
    if (!desk) return;
    desk.abort.abort();
    desk.abort = new AbortController();
    desk.paths.clear();
    desk.links.clear();
    this.#settle.forget(share.name);
    for (const done of desk.waiting.splice(0)) done();
    if (this.isCalm) this.#options.calm();
  }

  /** Lets go of a share. */
  remove(share: ShareState): void {
    const desk = this.#desk(share);
    if (!desk) return;
    this.#desks.delete(share.name);
    desk.abort.abort();
    this.#settle.forget(share.name);
    for (const done of desk.waiting.splice(0)) done();
    if (this.isCalm) this.#options.calm();
  }

  /** Whether nothing is to be looked at, now or a little later. */
  get isCalm(): boolean {
    return !this.#running && !this.#gather && this.#settle.waiting === 0;
  }

  /** Has a path looked at soon, and the links that lead to it. */
  look(path: string, sudden: boolean): void {
    const desk = this.#desks.get(path.split('/', 1)[0]);
    if (!desk || this.#stopped) return;
    // A file that is being written to is looked at when it may be still, not at every word of it.
    if (!sudden && this.#settle.isWaiting(path)) return;
    this.#want(desk, path);
    for (const [link, { target }] of desk.links) {
      if (isBelow(path, target)) this.#want(desk, link + path.slice(target.length));
      else if (isBelow(target, path)) this.#want(desk, link);
    }
    this.#gather ??= setTimeout(() => this.#begin(), GATHER_MS);
  }

  /** Looks at a whole share. Resolves when that is done, or everything was stopped, or it was let go. */
  all(share: ShareState): Promise<void> {
    const desk = this.#desk(share);
    if (!desk || this.#stopped) return Promise.resolve();
    desk.paths.clear();
    desk.paths.add(share.name);
    return new Promise((resolve) => {
      desk.waiting.push(resolve);
      this.#begin();
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const desk of this.#desks.values()) desk.abort.abort();
    clearTimeout(this.#gather);
    clearTimeout(this.#settling);
    await this.#running;
    for (const desk of this.#desks.values()) for (const done of desk.waiting.splice(0)) done();
  }

  /** Of this very share: another one may have its name by now. */
  #desk(share: ShareState): Desk | undefined {
    const desk = this.#desks.get(share.name);
    return desk?.share === share ? desk : undefined;
  }

  #want(desk: Desk, path: string): void {
    if (desk.paths.has(desk.share.name)) return;
    if (path === desk.share.name || desk.paths.size >= LOOKS_MAX) {
      desk.paths.clear();
      path = desk.share.name;
    }
    desk.paths.add(path);
  }

  #begin(): void {
    clearTimeout(this.#gather);
    this.#gather = undefined;
    if (this.#stopped) return;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
      if (this.#stopped) return;
      if ([...this.#desks.values()].some((desk) => desk.paths.size > 0)) this.#begin();
      else if (this.isCalm) this.#options.calm();
    });
  }

  async #run(): Promise<void> {
    for (const desk of this.#desks.values()) {
      if (desk.paths.size === 0 || this.#stopped) continue;
      const paths = [...desk.paths];
      desk.paths.clear();
      const waiting = desk.waiting.splice(0);
      try {
        await this.#walk(desk, paths);
      } catch (thrown) {
        const why = thrown instanceof Error ? thrown.message : String(thrown);
        this.#options.warn(`could not look at ${printable(desk.share.path)}: ${why}`);
      }
      for (const done of waiting) done();
    }
    this.#settleLater();
  }

  async #walk(desk: Desk, paths: string[]): Promise<void> {
    const { share } = desk;
    const { signal } = desk.abort;
    if (!(await this.#options.present(share)) || signal.aborted) return;
    const number = ++this.#scan;
    const within = (path: string) => paths.some((one) => isBelow(path, one));
    const links: Link[] = [];
    let again = false;
    const kept = [...desk.links].filter(([link]) => !within(link));
    const taken = kept.flatMap(([link, { folder }]): [string, string][] => (folder ? [[folder, link]] : []));
    const { only, exclude } = share;
    const job = { name: share.name, root: share.path, paths, taken, never: this.#options.never, only, exclude };
    const take = async (finds: Finds) => {
      links.push(...finds.links);
      for (const warning of finds.warnings) this.#options.warn(warning);
      again = (await this.#take(share, finds.found, number, signal)) || again;
    };
    if (!(await scan(this.#options.pool, job, take, signal))) return;
    for (const path of paths) await this.#sweep(path, number, signal);
    if (signal.aborted) return;

    const before = desk.links;
    desk.links = new Map(kept);
    for (const [link, target, folder] of links) desk.links.set(link, { target, folder });
    // A link to a folder that is gone leaves the folder to another link.
    const lost = [...before].some(([link, { folder }]) => folder !== undefined && !desk.links.has(link));
    if (lost && !paths.includes(share.name)) this.#want(desk, share.name);
    // Folders that are watched only now: what happened in them since they were read was not told.
    if (again) for (const path of paths) this.#want(desk, path);
  }

  async #take(share: ShareState, found: Found[], number: number, signal: AbortSignal): Promise<boolean> {
    const { tree, now } = this.#options;
    const ready: Found[] = [];
    const folders: Found[] = [];
    for (const one of found) {
      const { path, signature, changed } = one;
      if (one.kind === 'folder' || one.kind === 'hollow') {
        folders.push(one);
        continue;
      }
      const known = tree.get(path);
      const same = known instanceof Entry && known.signature === signature && known.kind === one.kind;
      if (same) this.#settle.calm(path);
      if (known instanceof Entry) known.seen = number;
      // What is hidden is wanted as it is now.
      const isReady = () => share.hidden || this.#settle.see(path, signature, changed, now());
      if (!same && isReady()) ready.push(one);
    }
    if (ready.length > 0) await this.#options.offer(share, ready, number);
    if (signal.aborted) return false;
    // Folders after what is in them, so that none seems empty.
    let again = false;
    for (const { path, kind, signature, changed, mtime } of folders) {
      again = this.#options.folder(share, path, identityOf(signature)) || again;
      const folder = tree.folder(share, path, mtime, number);
      if (kind === 'hollow') tree.hide(folder);
      if (kind === 'hollow' || folder.children.size > 0 || folder.offered) this.#settle.calm(path);
      else if (share.hidden || this.#settle.see(path, signature, changed, now())) tree.offer(folder);
    }
    return again;
  }

  async #sweep(path: string, number: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    let began = performance.now();
    for (const _ of this.#options.tree.sweep(path, number)) {
      if (performance.now() - began < SLICE_MS) continue;
      await new Promise(setImmediate);
      if (signal.aborted) return;
      began = performance.now();
    }
  }

  #settleLater(): void {
    clearTimeout(this.#settling);
    const next = this.#settle.next();
    if (next === undefined || this.#stopped) return;
    this.#settling = setTimeout(
      () => {
        for (const path of this.#settle.due(this.#options.now())) {
          const desk = this.#desks.get(path.split('/', 1)[0]);
          if (desk) this.#want(desk, path);
        }
        if ([...this.#desks.values()].some((desk) => desk.paths.size > 0)) this.#begin();
        else this.#settleLater();
      },
      Math.max(1, next - this.#options.now()),
    );
  }
}
