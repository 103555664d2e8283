/**
 * Where what comes from the network may land: the one module that decides it.
 *
 * Owns: a destination folder and what it knows of the folders below it. The destination and what is above it are the
 * user's own choice and may be links; everything below is not trusted, neither the names that come from the network nor
 * what somebody who may write there has put, or puts in the meantime, in their way.
 * Always true: nothing lands outside of the destination, nothing goes through a link that lies in it, and a name that
 * this platform cannot hold exactly is refused. Folders are entered one segment at a time and known by what they are,
 * not by their paths: `Folder` says how, and what holds on which platform.
 * Called by: whoever receives files; `Partial` and `writeSmall` are handed a spot.
 */
import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { HearsayError } from '../errors.js';
import { PATH_MAX } from '../limits.js';
import { makeFolders } from './folders.js';
import { temporaryName } from './partial-names.js';
import { create, look, removeNow } from './place-acts.js';
import { codeOf, diskError } from './place-errors.js';
import { Folder, type Moment } from './place-folder.js';
import { diskPathFault, type Folding, foldingOf, nameFault } from './place-names.js';

/** Folders remembered; beyond it all are forgotten and looked at again. A name each, so a few megabytes. */
const FOLDERS_KEPT = 20_000;
/** Milliseconds of work before the event loop has a turn. */
const SLICE_MS = 5;

/** Where one file goes. */
export interface Spot {
  /** The folder, made and entered. */
  folder: Folder;
  /** The file's name in it. */
  name: string;
  /** Absolute, for people. */
  file: string;
}

export interface PlaceOptions {
  /** The destination itself, where it was entered already: then this very folder, whatever its path leads to. */
  base?: Folder | undefined;
  /** Whose rules for names hold; default this one's. */
  platform?: NodeJS.Platform;
  /** Name folders by their descriptors where that works (the default), rather than by their paths. */
  byDescriptor?: boolean;
  /** Called between check and use; for tests. */
  between?: (moment: Moment, path: string) => void;
}

export class Place {
  /** The destination as the user gave it, absolute. */
  readonly root: string;
  readonly #options: PlaceOptions;
  readonly #folders = new Map<string, Folder>();
  #base: Promise<Folder> | undefined;
  #began = 0;

  /** @param root absolute; made when something first lands in it */
  constructor(root: string, options: PlaceOptions = {}) {
    this.root = root;
    this.#options = options;
  }

  get #platform(): NodeJS.Platform {
    return this.#options.platform ?? process.platform;
  }

  /** @throws HearsayError `bad-name` where a path may not or cannot land here */
  accept(path: string): void {
    const fault = diskPathFault(path, this.#platform);
    if (fault) throw new HearsayError('bad-name', `${path}: ${fault}`);
  }

  /**
   * Where a file goes; its folders are made.
   * @param path relative wire path
   * @throws HearsayError `bad-name`, `in-the-way`, or what the disk says
   */
  async spot(path: string): Promise<Spot> {
    this.accept(path);
    return spotIn(await this.#make(folderOf(path)), path);
  }

  /** As `spot`, at once, where the folder was made already: else, or where the name cannot be held, undefined. */
  known(path: string): Spot | undefined {
    const name = path.slice(path.lastIndexOf('/') + 1);
    const folder = this.#folders.get(folderOf(path));
    // The folder's own path was looked at when it was made.
    if (!folder || nameFault(name, this.#platform) || Buffer.byteLength(path) > PATH_MAX) return undefined;
    return { folder, name, file: join(folder.path, name) };
  }

  /** As `spot`, but makes nothing: undefined where the folders are not there. */
  async find(path: string): Promise<Spot | undefined> {
    this.accept(path);
    const folder = await this.#find(folderOf(path));
    return folder && spotIn(folder, path);
  }

  /** Makes a folder, which stays empty. Returns where it is. Errors as of `spot`. */
  async folder(path: string): Promise<string> {
    this.accept(path);
    return (await this.#make(path)).path;
  }

  /** The destination itself; undefined where it is not there. @throws HearsayError `in-the-way`, or what the disk says */
  existing(): Promise<Folder | undefined> {
    return this.#find('');
  }

  /** Which names are one in this destination, which is made: asks the disk, which knows better than the platform. */
  async folding(): Promise<Folding> {
    const held = (await this.#make('')).hold();
    const name = temporaryName().replace('.tmp', '-\u00e9.tmp');
    try {
      await (await create(held, name)).close();
      const made = await look(held, name);
      const isOne = async (other: string): Promise<boolean> => {
        const found = await look(held, other).catch(() => undefined);
        return found !== undefined && found.ino === made?.ino;
      };
      return {
        case: await isOne(name.toUpperCase()),
        form: await isOne(name.normalize('NFD')),
        ignorable: await isOne(name.replace('-', '-\u200c')),
      };
    } catch {
      return foldingOf(this.#platform);
    } finally {
      removeNow(held, name);
      held.release();
    }
  }

  /** The folder of a relative path ('' is the root), made and entered one segment at a time. */
  async #make(path: string): Promise<Folder> {
    const known = this.#folders.get(path);
    if (known) return known;
    let folder = await this.#root();
    let so = '';
    for (const segment of segmentsOf(path)) {
      so = so === '' ? segment : `${so}/${segment}`;
      folder = this.#folders.get(so) ?? this.#keep(so, folder.make(segment));
    }
    await this.#turn();
    return folder;
  }

  async #find(path: string): Promise<Folder | undefined> {
    let folder: Folder | undefined;
    try {
      folder = this.#rootAt(await realpath(this.root));
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined;
      throw diskError(error, this.root);
    }
    for (const segment of segmentsOf(path)) folder = folder?.enter(segment);
    return folder;
  }

  /** The destination, made. */
  async #root(): Promise<Folder> {
    this.#base ??= this.#makeRoot();
    try {
      return await this.#base;
    } catch (error) {
      this.#base = undefined;
      throw error;
    }
  }

  async #makeRoot(): Promise<Folder> {
    const { base } = this.#options;
    if (base) {
      base.check();
      return this.#keep('', base);
    }
    try {
      await makeFolders(this.root);
      return this.#keep('', this.#rootAt(await realpath(this.root)));
    } catch (error) {
      if (codeOf(error) === 'EEXIST') throw new HearsayError('in-the-way', `${this.root} is a file, not a folder`);
      throw diskError(error, this.root);
    }
  }

  #rootAt(path: string): Folder {
    const { byDescriptor = true, between } = this.#options;
    return Folder.root(path, { byDescriptor, between, replaced: () => this.#forget() });
  }

  #keep(relative: string, folder: Folder): Folder {
    if (this.#folders.size >= FOLDERS_KEPT) this.#folders.clear();
    this.#folders.set(relative, folder);
    return folder;
  }

  #forget(): void {
    this.#folders.clear();
    this.#base = undefined;
  }

  /** Folders are made by synchronous calls; where there are many, others have a turn in between. */
  async #turn(): Promise<void> {
    const now = performance.now();
    if (now - this.#began < SLICE_MS) return;
    await nextTurn();
    this.#began = performance.now();
  }
}

function spotIn(folder: Folder, path: string): Spot {
  const name = path.slice(path.lastIndexOf('/') + 1);
  return { folder, name, file: join(folder.path, name) };
}

function folderOf(path: string): string {
  return path.slice(0, Math.max(path.lastIndexOf('/'), 0));
}

function segmentsOf(path: string): string[] {
  return path === '' ? [] : path.split('/');
}
