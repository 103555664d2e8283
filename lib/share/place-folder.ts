/**
 * A folder in which something is made, found or removed: known by its identity (device and inode), not by its path.
 *
 * Always true: nothing reaches a name below the destination but through `Held`, which names one segment in a folder
 * that was entered step by step from the destination, each step into a folder and not through a link.
 * Where the system lets a folder be named by its descriptor (`place-descriptors.ts`; Linux), a step and an act happen in
 * the very folder that was entered, whatever is done to its path in the meantime: there is nothing between check and
 * use. Elsewhere (macOS, Windows) the folder is checked, the act done with what the system has against links (O_EXCL,
 * O_NOFOLLOW), and then it is checked, before any content is written, that what was made is where it should be; if not
 * it is removed and the file fails. A window stays open there: someone who may write to the destination, and exchanges a
 * folder for a link and back within the microseconds of one call, can have an empty folder or an empty hidden file made
 * elsewhere, and who hits all looks of one file, or falls between the two lookups of one rename, the file itself.
 * Called by: `Place`, and whoever is handed a `Spot`.
 */
import { type BigIntStats, closeSync, fstatSync, lstatSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { HearsayError } from '../errors.js';
import {
  descriptorPath,
  descriptorsWork,
  FOLDER,
  FOLDER_ITSELF,
  giveDescriptorBack,
  takeDescriptor,
} from './place-descriptors.js';
import { codeOf, diskError } from './place-errors.js';

/** What comes right after a check: the moment at which somebody could exchange what was checked. */
export type Moment = 'make' | 'enter' | 'create' | 'open' | 'land' | 'remove';

/** What the folders of one destination have in common. */
export interface Site {
  /** Name folders by their descriptors, where that works. */
  byDescriptor: boolean;
  /** Told that a folder is no longer where it was. */
  replaced?: () => void;
  /** Called between check and use; for tests, which do there what an attacker would. */
  between?: (moment: Moment, path: string) => void;
}

/** What a segment must not be, whatever was checked before: it would name something in another folder. */
const OTHERWHERE = process.platform === 'win32' ? /^\.{0,2}$|[/\\:\0]/ : /^\.{0,2}$|[/\0]/;

export interface Identity {
  readonly dev: bigint;
  readonly ino: bigint;
}

/** A folder as another thread of this process may know it while it is held in this one. */
export interface Lent extends Identity {
  path: string;
  /** Its path by its descriptor, where it is held by one. */
  base: string | undefined;
}

/** Whether two are one file or folder. */
export function isSame(a: Identity, b: Identity): boolean {
  return a.ino === b.ino && a.dev === b.dev;
}

export class Folder {
  /** Absolute, for people; what happens in the folder does not go by it where there is a better way. */
  readonly path: string;
  readonly site: Site;
  readonly #parent: Folder | undefined;
  readonly #segment: string;
  readonly #identity: Identity;
  /** Whether this very object's making made it: then nothing was in it. */
  #isNew = false;
  #base: string | undefined;

  private constructor(path: string, site: Site, parent: Folder | undefined, segment: string, identity: Identity) {
    this.path = path;
    this.site = site;
    this.#parent = parent;
    this.#segment = segment;
    this.#identity = { dev: identity.dev, ino: identity.ino };
  }

  /**
   * A folder of the user's own choice: where links on the way to it lead is the user's business.
   * @param path absolute, without links in it where `check` is to notice that another folder took its place
   * @throws HearsayError `in-the-way` where it is no folder, or what the system says
   */
  static root(path: string, site: Site = { byDescriptor: true }): Folder {
    const found = lstatSync(path, { bigint: true });
    if (!found.isDirectory()) throw new HearsayError('in-the-way', `${path} is a file, not a folder`);
    const own = { ...site, byDescriptor: site.byDescriptor && descriptorsWork() };
    return new Folder(path, own, undefined, '', found);
  }

  /**
   * A folder that another thread holds, for as long as it does.
   * @param replaced told that it is no longer where it was
   */
  static lent({ path, base, ...identity }: Lent, replaced: () => void): Folder {
    const folder = new Folder(path, { byDescriptor: base !== undefined, replaced }, undefined, '', identity);
    folder.#base = base;
    return folder;
  }

  /** Whether nothing was in it when it was entered first: it was made then. */
  get isNew(): boolean {
    return this.#isNew;
  }

  /** What another thread must know of it. @param base its path by its descriptor, which is held meanwhile */
  lend(base: string | undefined): Lent {
    return { path: this.path, ...this.#identity, base };
  }

  /**
   * A folder in this one, which is made where it is not there.
   * @throws HearsayError `in-the-way` where something else has the name, or what the disk says
   */
  make(segment: string): Folder {
    const folder = this.#step(segment, true);
    if (!folder) throw new HearsayError('in-the-way', `${join(this.path, segment)} was removed as soon as it was made`);
    return folder;
  }

  /** As `make`, but makes nothing: undefined where it is not there. */
  enter(segment: string): Folder | undefined {
    return this.#step(segment, false);
  }

  #step(segment: string, make: boolean): Folder | undefined {
    const held = this.hold();
    const path = held.at(segment);
    const told = held.tell(segment);
    try {
      // Here even where it is not needed for safety: nothing is made in a folder that is not where it is said to be.
      if (held.isSure && make) this.check();
      held.before('make', segment);
      const isNew = make && makeOne(path);
      const found = lstatSync(path, { bigint: true, throwIfNoEntry: false });
      if (!found) return undefined;
      mustBeFolder(told, found);
      const child = new Folder(join(this.path, segment), this.site, this, segment, found);
      child.#isNew = isNew;
      this.site.between?.('enter', told);
      if (held.isSure) {
        // Opened now, if it is still the one that was found, and kept so for a while.
        child.hold().release();
      } else {
        // A folder that was made elsewhere stays: what is found there by now may be somebody's, made to be removed.
        this.check();
        child.check();
      }
      return child;
    } catch (error) {
      throw held.failure(segment, error);
    } finally {
      held.release();
    }
  }

  /** Keeps the folder open for what is done in it. To be released, whatever happens. Errors as of `check`. */
  hold(): Held {
    if (this.#base !== undefined || !this.site.byDescriptor) return new Held(this, this.#base);
    return new Held(this, descriptorPath(takeDescriptor(this, () => this.#open())));
  }

  #open(): number {
    try {
      if (!this.#parent) return this.#mine(openSync(this.path, FOLDER));
      const held = this.#parent.hold();
      try {
        return this.#mine(openSync(held.at(this.#segment), FOLDER_ITSELF));
      } finally {
        held.release();
      }
    } catch (error) {
      const code = codeOf(error);
      if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP') throw this.#gone(code === 'ENOENT');
      throw diskError(error, this.path);
    }
  }

  /** A descriptor, if it is this folder's. */
  #mine(fd: number): number {
    try {
      if (isSame(fstatSync(fd, { bigint: true }), this.#identity)) return fd;
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    closeSync(fd);
    throw this.#gone(false);
  }

  /**
   * Looks whether the path still leads to this folder. One look is enough for the whole way: were a folder above
   * exchanged, another would be found here, or this very one.
   * @throws HearsayError `in-the-way`
   */
  check(): void {
    let found: BigIntStats | undefined;
    try {
      found = lstatSync(this.path, { bigint: true, throwIfNoEntry: false });
    } catch (error) {
      this.site.replaced?.();
      throw diskError(error, this.path);
    }
    if (!found?.isDirectory() || !isSame(found, this.#identity)) throw this.#gone(!found);
  }

  #gone(removed: boolean): HearsayError {
    this.site.replaced?.();
    const what = removed ? 'removed' : 'replaced';
    return new HearsayError('in-the-way', `${this.path} was ${what} while files went into it`);
  }
}

/** A folder while something is done in it. */
export class Held {
  readonly folder: Folder;
  readonly #base: string | undefined;
  #released = false;

  constructor(folder: Folder, base: string | undefined) {
    this.folder = folder;
    this.#base = base;
  }

  /** Whether what is done goes to this very folder, whatever becomes of its path. */
  get isSure(): boolean {
    return this.#base !== undefined;
  }

  /**
   * The path by which the system finds a name in this folder, until it is released.
   * @param name one segment
   * @throws HearsayError `bad-name` for what would lead elsewhere
   */
  at(name: string): string {
    if (OTHERWHERE.test(name)) throw new HearsayError('bad-name', `${name}: not a name`);
    return this.#base === undefined ? join(this.folder.path, name) : this.#base + name;
  }

  /** What another thread must know of the folder, until it is released. */
  get lent(): Lent {
    return this.folder.lend(this.#base);
  }

  /** The path by which the system finds the folder itself, to list it. */
  get list(): string {
    return this.#base === undefined ? this.folder.path : `${this.#base}.`;
  }

  /** The path of a name for people. */
  tell(name: string): string {
    return join(this.folder.path, name);
  }

  /** What comes before an act: where the system cannot be sure of the folder, a look. @throws HearsayError */
  before(moment: Moment, name: string): void {
    if (this.#base === undefined) this.folder.check();
    this.folder.site.between?.(moment, this.tell(name));
  }

  /** What an error of an act means for a name: where the folder itself has gone from its place, that. */
  failure(name: string, thrown: unknown): HearsayError {
    const code = codeOf(thrown instanceof HearsayError ? thrown.cause : thrown);
    try {
      if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP') this.folder.check();
    } catch (error) {
      return diskError(error, this.tell(name));
    }
    return diskError(thrown, this.tell(name));
  }

  /** Ends it. Again does nothing. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    if (this.#base !== undefined) giveDescriptorBack(this.folder);
  }
}

/** @returns whether it was not there */
function makeOne(path: string): boolean {
  try {
    mkdirSync(path);
    return true;
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
    return false;
  }
}

function mustBeFolder(path: string, found: BigIntStats): void {
  // A junction of Windows is a link here too.
  if (found.isSymbolicLink()) {
    throw new HearsayError('in-the-way', `${path} is a link, and links in the destination are not followed`);
  }
  if (!found.isDirectory()) throw new HearsayError('in-the-way', `${path} is a file, where a folder must go`);
}
