/**
 * Notices that something in a share may have changed, by whatever the system offers, and by looking now and then; and that
 * the share is not there, or there again.
 * Owns the watchers and timers of one share. Always true: it reads nothing but the root's own state; what is told by
 * it is only a reason to look. Called by the catalogue.
 */
import { type FSWatcher, watch } from 'node:fs';
import { realpath, stat, statfs } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import type { AsyncSubscription } from '@parcel/watcher';
import { reasonOf } from '../errors.js';
import { printable } from '../names.js';
import { fileOf, type ShareSpec } from './entry.js';
import { identityOf, signatureOf } from './signature.js';
import { FolderWatches } from './watch-folders.js';
import { watchTree } from './watch-tree.js';

/** How often the root itself is looked at: whether it is there, and is the same; and a file that is a share. */
const ROOT_MS = 1000;
/** How often all is looked at where the system tells nothing; less often where looking takes longer than a 20th of it. */
const POLL_MS = 10_000;
const POLL_SHARE = 20;

/** File systems of other machines, by statfs's type on Linux: no system tells what others do there. */
const REMOTE = new Set([0x6969, 0x517b, 0xff534d42, 0xfe534d42, 0x01021997, 0x5346414f, 0x00c36400, 0x65735546]);

export interface WatchEvents {
  /** A path may have changed. `sudden`: it came, went or was replaced, rather than being written to. */
  look(path: string, sudden: boolean): void;
  /** Anything may have changed. Resolves when all was looked at. */
  all(): Promise<void>;
  /** The root is not there, and why; undefined when it is there again. Each is told once, before `all`. */
  away(why: string | undefined): void;
  warn(message: string): void;
}

export interface WatchOptions {
  /** Milliseconds between looks at everything although nothing was told. */
  rescanMs: number;
  /** The same where the system tells nothing. */
  pollMs?: number;
  /** For tests: stands in for fs.watch, and for the way of watching that the platform has. */
  watcher?: typeof watch;
  way?: 'folders' | 'tree';
}

/** The root as it was seen. */
interface Root {
  isFile: boolean;
  /** What tells it from another in its place; of a file, one state of it from another. */
  state: string;
  /** Whether a disk is mounted here. */
  isMount: boolean;
}

/** Why it was not. */
interface Missing {
  why: string;
}

export class ShareWatch {
  readonly #share: ShareSpec;
  readonly #events: WatchEvents;
  readonly #options: WatchOptions;
  readonly #folders: FolderWatches | undefined;
  #tree: Promise<AsyncSubscription> | undefined;
  #file: FSWatcher | undefined;
  /** The root as it was last seen; undefined while it is not there. */
  #root: Root | undefined;
  #away = false;
  /** What it was when it was last there. What a disk was mounted on once is nothing without one. */
  #was = { isFile: false, isMount: false };
  /** Whether it was missing at the look before. */
  #missed = false;
  #first: Promise<void> = Promise.resolve();
  #rootTimer: NodeJS.Timeout | undefined;
  #rescanTimer: NodeJS.Timeout | undefined;
  #pollTimer: NodeJS.Timeout | undefined;
  #polling = false;
  #stopped = false;

  constructor(share: ShareSpec, events: WatchEvents, options: WatchOptions) {
    this.#share = share;
    this.#events = events;
    this.#options = options;
    const way = options.way ?? (['darwin', 'win32'].includes(process.platform) ? 'tree' : 'folders');
    if (way === 'tree') return;
    this.#folders = new FolderWatches(
      { look: (path, sudden) => events.look(path, sudden), blind: (why) => this.#blind(why) },
      options.watcher,
    );
  }

  /** Begins. Where the system watches trees, resolves when it does. */
  async start(): Promise<void> {
    this.#first = this.#look().then((found) => {
      if (this.#stopped) return;
      // At the beginning it is not a file that is just being replaced.
      this.#missed = true;
      this.#saw(found);
    });
    await this.#first;
    if (this.#stopped) return;
    this.#rescanTimer = setInterval(() => void this.#events.all(), this.#options.rescanMs);
    this.#again();
    if (!this.#away) await this.#arrived();
  }

  /**
   * Whether the root is there. Where it is not, or was another a moment ago, that is told.
   * A file counts as there: it is missed for a moment while another takes its place.
   */
  async present(): Promise<boolean> {
    await this.#first;
    const found = await this.#look();
    if (this.#stopped) return false;
    if ('why' in found && this.#was.isFile && !this.#away) return true;
    if (this.#saw(found)) void this.#changed();
    return !this.#away;
  }

  /** A folder was found by a scan; see FolderWatches.add. */
  folder(path: string, identity: string): boolean {
    return this.#folders?.add(path, fileOf(this.#share, path), identity) ?? false;
  }

  /** A folder is no more, or the root. */
  gone(path: string): void {
    // It may come back as it was before it is next looked at.
    if (path === this.#share.name) this.#root = undefined;
    this.#folders?.remove(path);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#rescanTimer);
    clearTimeout(this.#rootTimer);
    clearTimeout(this.#pollTimer);
    this.#folders?.close();
    this.#file?.close();
    const tree = await this.#tree?.catch(() => undefined);
    await tree?.unsubscribe().catch(() => undefined);
  }

  async #look(): Promise<Root | Missing> {
    try {
      const real = await realpath(this.#share.path);
      const stats = await stat(real, { bigint: true });
      const isFile = stats.isFile();
      const state = isFile ? signatureOf(stats) : identityOf(signatureOf(stats));
      const above = dirname(real);
      const isMount = !isFile && above !== real && (await stat(above, { bigint: true })).dev !== stats.dev;
      return { isFile, state, isMount };
    } catch (thrown) {
      return { why: reasonOf(thrown) };
    }
  }

  /** Takes in what a look found; returns whether all is to be looked at. */
  #saw(found: Root | Missing): boolean {
    // Where a disk was mounted, what is seen without one is not what was shared, and empty as a rule.
    const isBare = !('why' in found) && this.#was.isMount && !found.isMount;
    if ('why' in found || isBare) {
      const wasThere = this.#root !== undefined;
      this.#root = undefined;
      // A file that is being replaced is not there for a moment.
      const isSure = !this.#was.isFile || this.#missed;
      this.#missed = true;
      if (!isSure) return wasThere;
      if (!this.#away) {
        this.#away = true;
        this.#file?.close();
        this.#file = undefined;
        this.#events.away('why' in found ? found.why : 'no disk is mounted there');
      }
      return false;
    }
    this.#missed = false;
    const isSame = !this.#away && found.state === this.#root?.state;
    this.#root = found;
    this.#was = found;
    if (this.#away) {
      this.#away = false;
      this.#events.away(undefined);
    }
    return !isSame;
  }

  /** Another root is there than before, or the same again. */
  async #changed(): Promise<void> {
    void this.#events.all();
    if (this.#root) await this.#arrived();
  }

  /** Watches the root that is there now. */
  async #arrived(): Promise<void> {
    this.#watchFile();
    if (await this.#isRemote()) this.#blind('it is on another machine');
    await this.#rewatchTree();
  }

  #again(): void {
    this.#rootTimer = setTimeout(async () => {
      const found = await this.#look();
      if (this.#stopped) return;
      if (this.#saw(found)) await this.#changed();
      if (!this.#stopped) this.#again();
    }, ROOT_MS);
  }

  /** A share that is a file: its folder says at once that it changed. The look every second is what can be relied on. */
  #watchFile(): void {
    const { path, name } = this.#share;
    if (!this.#root?.isFile || this.#file || this.#stopped) return;
    try {
      this.#file = watch(dirname(path), (type, changed) => {
        if (changed === basename(path)) this.#events.look(name, type === 'rename');
      });
      this.#file.on('error', () => {
        this.#file?.close();
        this.#file = undefined;
      });
    } catch {
      // No more watches to be had: then the look every second is all.
    }
  }

  async #isRemote(): Promise<boolean> {
    if (process.platform === 'win32') return this.#share.path.startsWith('\\\\');
    if (process.platform !== 'linux') return false;
    try {
      return REMOTE.has((await statfs(this.#share.path)).type);
    } catch {
      return false;
    }
  }

  async #watchTree(): Promise<void> {
    if (this.#folders || this.#stopped || !this.#root || this.#root.isFile) return;
    const { name } = this.#share;
    this.#tree = watchTree(this.#share.path, {
      look: (path, sudden) => this.#events.look(path === '' ? name : `${name}/${path}`, sudden),
      broken: () => void this.#rewatchTree().then(() => this.#events.all()),
    });
    await this.#tree.catch((thrown) => this.#blind(thrown instanceof Error ? thrown.message : String(thrown)));
  }

  async #rewatchTree(): Promise<void> {
    const tree = this.#tree;
    this.#tree = undefined;
    await tree?.then((subscription) => subscription.unsubscribe()).catch(() => undefined);
    await this.#watchTree();
  }

  /** The system does not tell all: look at everything now and then. */
  #blind(why: string): void {
    if (this.#polling || this.#stopped) return;
    this.#polling = true;
    const pollMs = this.#options.pollMs ?? POLL_MS;
    this.#events.warn(
      `the system does not tell what changes in ${printable(this.#share.path)} (${why}): it is looked at every ${pollMs / 1000} s`,
    );
    const poll = async () => {
      const before = performance.now();
      await this.#events.all();
      if (!this.#stopped)
        this.#pollTimer = setTimeout(poll, Math.max(pollMs, POLL_SHARE * (performance.now() - before)));
    };
    this.#pollTimer = setTimeout(poll, pollMs);
  }
}
