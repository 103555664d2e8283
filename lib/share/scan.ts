/**
 * The walk through a share: what of it may be offered. Synchronous, so that it is fast; it runs in a worker.
 * Owns nothing but what one job needs. Always true: what it reports lies within the share's root, links resolved, and
 * no part of its path or of where it really is begins with a dot or is ignored. Called by scan-worker.ts.
 */
import {
  accessSync,
  type BigIntStats,
  constants,
  type Dirent,
  lstatSync,
  readdirSync,
  realpathSync,
  statSync,
} from 'node:fs';
import { join, relative, sep } from 'node:path';
import { reasonOf } from '../errors.js';
import { FILE_SIZE_MAX, PATH_DEPTH_MAX, PATH_MAX } from '../limits.js';
import { printable, segmentFault } from '../names.js';
import { Chosen } from './chosen.js';
import { IGNORE_FILE, Rules, readIgnoreFile } from './ignore.js';
import { changedAt, fileKind, mtimeOf, type Signature, signatureOf } from './signature.js';

/**
 * Something that may be offered. A folder comes after all that is in it, empty or not; a hollow one is not to be offered
 * although it seems empty, as what is in it was not chosen.
 */
export interface Found {
  /** On the wire: `SHARE/relative/path`. */
  path: string;
  kind: 'file' | 'executable' | 'folder' | 'hollow';
  /** Bytes; 0 for a folder. */
  size: number;
  /** Whole milliseconds. */
  mtime: number;
  /** When it was last written or moved, whole milliseconds. */
  changed: number;
  signature: Signature;
}

export interface ScanJob {
  /** The share's name, and the folder or file that it is, absolute. */
  name: string;
  root: string;
  /** What to look at, paths on the wire, folders with all below them; the share's name alone is everything. */
  paths: string[];
  /** Folders that a link leads to already: device and inode, and the path of that link. */
  taken: [string, string][];
  /** Files and folders never to be shared, absolute: hearsay's own state. */
  never: string[];
  /** Patterns of what is chosen of it, and of what is not, see Chosen. */
  only?: readonly string[];
  exclude?: readonly string[];
}

export interface ScanSink {
  found(found: Found): void;
  /** A link that was followed, and the path within the share that it leads to. `folder`: the folder's identity. */
  link(path: string, target: string, folder: string | undefined): void;
  warn(message: string): void;
}

/** A folder on the walk. */
interface Place {
  /** Absolute. */
  file: string;
  /** Below the root; empty for the root itself. */
  path: string;
  rules: Rules;
  identity: string;
  parent: Place | undefined;
  depth: number;
  /** Whether all in it is chosen. */
  chosen: boolean;
  /** Whether something in it was left out because it was not chosen. */
  left: boolean;
  /** Where it really is, when a link led here. */
  real: { path: string; rules: Rules } | undefined;
}

/** Where a link leads: absolute, and below the root, with the rules of the folder that it is in. */
interface Target {
  file: string;
  path: string;
  stats: BigIntStats;
  rules: Rules;
}

/** Thrown by a sink to end the walk. */
export class StopScan extends Error {}

const below = (folder: string, name: string) => (folder === '' ? name : `${folder}/${name}`);
const identity = (stats: BigIntStats) => `${stats.dev}:${stats.ino}`;
const codeOf = (thrown: unknown) => (thrown as NodeJS.ErrnoException).code ?? String(thrown);
const isGone = (thrown: unknown) => ['ENOENT', 'ENOTDIR'].includes(codeOf(thrown));

export class Scan {
  readonly #job: ScanJob;
  readonly #sink: ScanSink;
  readonly #root: string;
  readonly #never = new Set<string>();
  readonly #chosen: Chosen;
  readonly #taken: Map<string, string>;
  /** Folders entered to look at something in them; undefined where they are not shared. */
  readonly #places = new Map<string, Place | undefined>();
  /** Folders walked whole in this job. */
  readonly #walked = new Set<string>();

  /** @throws Error of the system where the root is not there */
  constructor(job: ScanJob, sink: ScanSink) {
    this.#job = job;
    this.#sink = sink;
    this.#root = realpathSync.native(job.root);
    this.#taken = new Map(job.taken);
    this.#chosen = new Chosen(job);
    for (const path of job.never) {
      const stats = statSync(path, { bigint: true, throwIfNoEntry: false });
      if (stats) this.#never.add(identity(stats));
    }
  }

  run(): void {
    // Folders before what is in them, so that nothing is looked at twice.
    for (const path of this.#job.paths.toSorted()) {
      try {
        this.#look(path.slice(this.#job.name.length + 1));
      } catch (thrown) {
        if (thrown instanceof StopScan) throw thrown;
        if (!isGone(thrown)) this.#sink.warn(`not shared: ${printable(this.#job.root)} (${reasonOf(thrown)})`);
      }
    }
  }

  #look(path: string): void {
    if (this.#walked.has('')) return;
    if (path === '') {
      this.#all();
      return;
    }
    for (let at = path.length; at > 0; at = path.lastIndexOf('/', at - 1)) {
      if (this.#walked.has(path.slice(0, at))) return;
    }
    const cut = path.lastIndexOf('/');
    const place = this.#enter(path.slice(0, Math.max(cut, 0)));
    if (place) this.#visit(place, path.slice(cut + 1), undefined);
  }

  #all(): void {
    const stats = statSync(this.#root, { bigint: true });
    // The files of a folder were chosen: a file in its place is none of them.
    if (stats.isFile() && this.#chosen.isAll) this.#file(this.#root, '', stats);
    const root = this.#enter('');
    if (root) this.#walk(root, stats);
  }

  /** The folder at a path, when all on the way to it is shared. */
  #enter(path: string): Place | undefined {
    if (this.#places.has(path)) return this.#places.get(path);
    const place = path === '' ? this.#rootPlace() : this.#step(path);
    this.#places.set(path, place);
    return place;
  }

  #rootPlace(): Place | undefined {
    const stats = statSync(this.#root, { bigint: true });
    if (!stats.isDirectory()) return undefined;
    return this.#withRules({
      file: this.#root,
      path: '',
      rules: Rules.none,
      identity: identity(stats),
      parent: undefined,
      depth: 1,
      chosen: !this.#chosen.isSome,
      left: false,
      real: undefined,
    });
  }

  #step(path: string): Place | undefined {
    const cut = path.lastIndexOf('/');
    const parent = this.#enter(path.slice(0, Math.max(cut, 0)));
    const name = path.slice(cut + 1);
    if (!parent || !this.#allowed(parent, name)) return undefined;
    const stats = lstatSync(join(parent.file, name), { bigint: true, throwIfNoEntry: false });
    if (stats?.isDirectory()) return this.#child(parent, name, stats);
    const target = stats?.isSymbolicLink() ? this.#target(parent, name) : undefined;
    return target?.stats.isDirectory() ? this.#follow(parent, name, target) : undefined;
  }

  /** Whether a name may be shared at all, and the path that it makes. Says why not, except of dotfiles. */
  #allowed(place: Place, name: string): boolean {
    if (name.startsWith('.')) return false;
    const path = `${this.#job.name}/${below(place.path, name)}`;
    // A character is at most 3 bytes for each unit of its length.
    const long = path.length > PATH_MAX / 3 && Buffer.byteLength(path) > PATH_MAX;
    const fault = long ? `a path over ${PATH_MAX} bytes` : segmentFault(name);
    const deep = place.depth >= PATH_DEPTH_MAX ? `more than ${PATH_DEPTH_MAX} segments` : undefined;
    if (fault ?? deep) this.#sink.warn(`not shared: ${printable(join(place.file, name))} (${fault ?? deep})`);
    return (fault ?? deep) === undefined;
  }

  #ignored(place: Place, name: string, isFolder: boolean): boolean {
    const path = below(place.path, name);
    // Where a link leads is left out under the link's name too.
    const real = place.real && { path: below(place.real.path, name), rules: place.real.rules };
    if (this.#chosen.excludes(path, isFolder) || (real && this.#chosen.excludes(real.path, isFolder))) {
      place.left = true;
      return true;
    }
    return place.rules.ignores(path, isFolder) || (real?.rules.ignores(real.path, isFolder) ?? false);
  }

  /** Whether a file is one of those that were chosen. */
  #wanted(place: Place, name: string): boolean {
    if (place.chosen || this.#chosen.selects(below(place.path, name), false)) return true;
    place.left = true;
    return false;
  }

  #child(parent: Place, name: string, stats: BigIntStats): Place | undefined {
    if (this.#never.has(identity(stats)) || this.#ignored(parent, name, true)) return undefined;
    return this.#withRules({
      file: join(parent.file, name),
      path: below(parent.path, name),
      rules: parent.rules,
      identity: identity(stats),
      parent,
      depth: parent.depth + 1,
      chosen: parent.chosen || this.#chosen.selects(below(parent.path, name), true),
      left: false,
      real: parent.real && { path: below(parent.real.path, name), rules: parent.real.rules },
    });
  }

  /** The same folder with the rules of its own ignore file added; undefined where that cannot be read. */
  #withRules(place: Place): Place | undefined {
    if (!lstatSync(join(place.file, IGNORE_FILE), { throwIfNoEntry: false })) return place;
    try {
      const text = readIgnoreFile(place.file);
      if (text === undefined) return place;
      const real = place.real && { path: place.real.path, rules: place.real.rules.with(place.real.path, text) };
      return { ...place, rules: place.rules.with(place.path, text), real };
    } catch (thrown) {
      const why = thrown instanceof RangeError ? thrown.message : `${IGNORE_FILE}: ${reasonOf(thrown)}`;
      this.#sink.warn(`not shared: ${printable(place.file)} (${why})`);
      return undefined;
    }
  }

  #walk(place: Place, stats: BigIntStats): void {
    this.#walked.add(place.path);
    this.#places.set(place.path, place);
    let entries: Dirent[];
    try {
      entries = readdirSync(place.file, { withFileTypes: true });
    } catch (thrown) {
      if (!isGone(thrown)) this.#sink.warn(`not shared: ${printable(place.file)} (${reasonOf(thrown)})`);
      return;
    }
    if (entries.some((entry) => entry.name.includes('\ufffd'))) entries = this.#decodable(place, entries);
    // In one order, so that of two links to a folder it is always the same one that is followed.
    entries.sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const entry of entries) this.#visit(place, entry.name, entry);
    const path = place.path === '' ? this.#job.name : `${this.#job.name}/${place.path}`;
    const times = { mtime: mtimeOf(stats), changed: changedAt(stats), signature: signatureOf(stats) };
    const kind = place.chosen && !place.left ? 'folder' : 'hollow';
    this.#sink.found({ path, kind, size: 0, ...times });
  }

  /** Leaves out the names that are not UTF-8: read as text they would be other names, perhaps another file's. */
  #decodable(place: Place, entries: Dirent[]): Dirent[] {
    const broken = new Map<string, number>();
    const whole = new Set<string>();
    for (const raw of readdirSync(place.file, { encoding: 'buffer' })) {
      const name = raw.toString();
      if (Buffer.from(name).equals(raw)) whole.add(name);
      else broken.set(name, (broken.get(name) ?? 0) + 1);
    }
    for (const name of broken.keys()) {
      this.#sink.warn(`not shared: ${printable(join(place.file, name))} (the name is not UTF-8)`);
    }
    const seen = new Set<string>();
    return entries.filter(({ name }) => whole.has(name) && !seen.has(name) && seen.add(name));
  }

  #visit(place: Place, name: string, entry: Dirent | undefined): void {
    if (!this.#allowed(place, name)) return;
    if (entry && !entry.isFile() && !entry.isDirectory() && !entry.isSymbolicLink()) return;
    const file = join(place.file, name);
    try {
      // Rules first where the kind is known: what is ignored need not be looked at.
      if (entry?.isFile() && this.#ignored(place, name, false)) return;
      const stats = lstatSync(file, { bigint: true, throwIfNoEntry: false });
      if (stats?.isSymbolicLink()) {
        this.#visitLink(place, name);
      } else if (stats?.isDirectory()) {
        const child = this.#child(place, name, stats);
        if (child) this.#walk(child, stats);
      } else if (stats?.isFile() && !(!entry && this.#ignored(place, name, false)) && this.#wanted(place, name)) {
        this.#file(file, below(place.path, name), stats);
      }
    } catch (thrown) {
      if (thrown instanceof StopScan) throw thrown;
      if (!isGone(thrown)) this.#sink.warn(`not shared: ${printable(file)} (${reasonOf(thrown)})`);
    }
  }

  /** @param path below the root */
  #file(file: string, path: string, stats: BigIntStats): void {
    if (this.#never.has(identity(stats))) return;
    if (stats.size > FILE_SIZE_MAX) {
      this.#sink.warn(`not shared: ${printable(file)} (over ${FILE_SIZE_MAX} bytes)`);
      return;
    }
    // What everyone may read need not be tried; Windows grants that bit to all, and is asked when it is read.
    if ((stats.mode & 0o444n) !== 0o444n) accessSync(file, constants.R_OK);
    this.#sink.found({
      path: path === '' ? this.#job.name : `${this.#job.name}/${path}`,
      kind: fileKind(stats),
      size: Number(stats.size),
      mtime: mtimeOf(stats),
      changed: changedAt(stats),
      signature: signatureOf(stats),
    });
  }

  #visitLink(place: Place, name: string): void {
    const target = this.#target(place, name);
    if (!target) return;
    if (target.stats.isFile()) {
      if (this.#ignored(place, name, false) || !this.#wanted(place, name)) return;
      this.#report(place, name, target.path, undefined);
      this.#file(target.file, below(place.path, name), target.stats);
    } else if (target.stats.isDirectory()) {
      const linked = this.#follow(place, name, target);
      if (linked) this.#walk(linked, target.stats);
    }
  }

  #report(place: Place, name: string, target: string, folder: string | undefined): void {
    this.#sink.link(`${this.#job.name}/${below(place.path, name)}`, `${this.#job.name}/${target}`, folder);
  }

  /** The folder that a link leads to, unless the walk is within it already or another link leads there. */
  #follow(place: Place, name: string, target: Target): Place | undefined {
    if (this.#ignored(place, name, true)) return undefined;
    const key = identity(target.stats);
    for (let at: Place | undefined = place; at; at = at.parent) {
      if (at.identity === key) return undefined;
    }
    const path = below(place.path, name);
    const wire = `${this.#job.name}/${path}`;
    const taker = this.#taken.get(key);
    if (taker !== undefined && taker !== wire) return undefined;
    this.#taken.set(key, wire);
    this.#report(place, name, target.path, key);
    return this.#withRules({
      file: join(place.file, name),
      path,
      rules: place.rules,
      identity: key,
      parent: place,
      depth: place.depth + 1,
      chosen: place.chosen || this.#chosen.selects(path, true),
      left: false,
      real: { path: target.path, rules: target.rules },
    });
  }

  /** Where a link leads, when that is within the root and shared there itself. */
  #target(place: Place, name: string): Target | undefined {
    let file: string;
    try {
      file = realpathSync.native(join(place.file, name));
    } catch {
      // It dangles, or leads in a circle, or through what may not be entered.
      return undefined;
    }
    if (!file.startsWith(this.#root.endsWith(sep) ? this.#root : this.#root + sep)) return undefined;
    const path = relative(this.#root, file).split(sep).join('/');
    const cut = path.lastIndexOf('/');
    const home = this.#enter(path.slice(0, Math.max(cut, 0)));
    const own = path.slice(cut + 1);
    if (!home || own.startsWith('.')) return undefined;
    const stats = statSync(file, { bigint: true });
    if (this.#never.has(identity(stats)) || home.rules.ignores(path, stats.isDirectory())) return undefined;
    if (this.#chosen.excludes(path, stats.isDirectory())) return undefined;
    return { file, path, stats, rules: home.rules };
  }
}
