/**
 * Where what comes from the network may land: the one module that decides it.
 *
 * Owns: a destination folder (the user's choice, so it may be a link) and what it knows of the folders below it.
 * Always true: nothing lands outside of the destination, nothing goes through a link that lies in it, and a name that
 * this platform cannot hold exactly is refused. Each folder is entered by itself, checked to be a folder and no link,
 * and known by its identity (device, inode), which is compared again just before a file is made or renamed in it. Node
 * has no openat(), so between that look and the call there are some microseconds in which someone who may write to the
 * destination could exchange the folder.
 * Called by: whoever receives files; `Partial` and `writeSmall` are handed a spot's `check`.
 */
import { type BigIntStats, lstatSync, type Stats } from 'node:fs';
import { lstat, mkdir, open, realpath, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { HearsayError } from '../errors.js';
import { makeFolders } from './folders.js';
import { temporaryName } from './partial-names.js';
import { codeOf, diskError } from './place-land.js';
import { diskPathFault, type Folding, foldingOf } from './place-names.js';

/** Folders remembered; beyond it all are forgotten and looked at again. A name each, so a few megabytes. */
const FOLDERS_KEPT = 20_000;

interface Folder {
  path: string;
  dev: bigint;
  ino: bigint;
}

/** Where one file goes. */
export interface Spot {
  /** The folder, absolute, made and checked. */
  folder: string;
  /** The file's name in it. */
  name: string;
  /** Both joined. */
  file: string;
  /** Looks whether the folder is still the one that was checked. @throws HearsayError `in-the-way` */
  check(): void;
}

export class Place {
  /** The destination as the user gave it, absolute. */
  readonly root: string;
  readonly #platform: NodeJS.Platform;
  readonly #folders = new Map<string, Folder>();
  #base: Promise<Folder> | undefined;

  /**
   * @param root absolute; made when something first lands in it
   * @param platform whose rules for names hold
   */
  constructor(root: string, platform: NodeJS.Platform = process.platform) {
    this.root = root;
    this.#platform = platform;
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
    return this.#spotIn(await this.#enter(folderOf(path)), path);
  }

  /** As `spot`, but makes nothing: undefined where the folders are not there. */
  async find(path: string): Promise<Spot | undefined> {
    this.accept(path);
    const folder = await this.#find(folderOf(path));
    return folder && this.#spotIn(folder, path);
  }

  #spotIn(folder: Folder, path: string): Spot {
    const name = path.slice(path.lastIndexOf('/') + 1);
    return { folder: folder.path, name, file: join(folder.path, name), check: () => this.#check(folder) };
  }

  /** Makes a folder, which stays empty. Returns where it is. Errors as of `spot`. */
  async folder(path: string): Promise<string> {
    this.accept(path);
    return (await this.#enter(path)).path;
  }

  /** Which names are one in this destination, which is made: asks the disk, which knows better than the platform. */
  async folding(): Promise<Folding> {
    const { path } = await this.#enter('');
    const name = temporaryName().replace('.tmp', '-\u00e9.tmp');
    const file = join(path, name);
    try {
      await (await open(file, 'wx')).close();
    } catch {
      return foldingOf(this.#platform);
    }
    try {
      const made = await lstat(file, { bigint: true });
      const isOne = async (other: string): Promise<boolean> => {
        const found = await lstat(join(path, other), { bigint: true }).catch(() => undefined);
        return found !== undefined && found.ino === made.ino;
      };
      return { case: await isOne(name.toUpperCase()), form: await isOne(name.normalize('NFD')) };
    } finally {
      await unlink(file).catch(() => undefined);
    }
  }

  /** The folder of a relative path ('' is the root), made and checked one segment at a time. */
  async #enter(path: string): Promise<Folder> {
    const known = this.#folders.get(path);
    if (known) return known;
    this.#base ??= this.#makeRoot();
    let folder: Folder;
    try {
      folder = await this.#base;
    } catch (error) {
      this.#base = undefined;
      throw error;
    }
    let so = '';
    for (const segment of path === '' ? [] : path.split('/')) {
      so = so === '' ? segment : `${so}/${segment}`;
      folder = this.#folders.get(so) ?? (await this.#step(folder, segment, so));
    }
    return folder;
  }

  /** The folder of a relative path as far as it is there, checked like one that is made; undefined where it is not. */
  async #find(path: string): Promise<Folder | undefined> {
    try {
      let at = await realpath(this.root);
      for (const segment of path === '' ? [] : path.split('/')) {
        at = join(at, segment);
        mustBeFolder(at, await lstat(at));
      }
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined;
      throw diskError(error, join(this.root, path));
    }
    // All of it is there, so this makes nothing.
    return this.#enter(path);
  }

  async #makeRoot(): Promise<Folder> {
    try {
      await makeFolders(this.root);
      const path = await realpath(this.root);
      const found = await stat(path, { bigint: true });
      if (!found.isDirectory()) throw new HearsayError('in-the-way', `${this.root} is a file, not a folder`);
      return this.#keep('', path, found);
    } catch (error) {
      if (codeOf(error) === 'EEXIST') throw new HearsayError('in-the-way', `${this.root} is a file, not a folder`);
      throw diskError(error, this.root);
    }
  }

  async #step(parent: Folder, segment: string, relative: string): Promise<Folder> {
    const path = join(parent.path, segment);
    this.#check(parent);
    try {
      await mkdir(path);
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw diskError(error, path);
    }
    let found: BigIntStats;
    try {
      found = await lstat(path, { bigint: true });
    } catch (error) {
      throw diskError(error, path);
    }
    mustBeFolder(path, found);
    return this.#keep(relative, path, found);
  }

  #keep(relative: string, path: string, found: BigIntStats): Folder {
    if (this.#folders.size >= FOLDERS_KEPT) this.#folders.clear();
    const folder = { path, dev: found.dev, ino: found.ino };
    this.#folders.set(relative, folder);
    return folder;
  }

  /**
   * One look at the folder is enough for the whole way to it: were a folder above exchanged, another would be found
   * here, or the very one that was checked.
   */
  #check(folder: Folder): void {
    let found: BigIntStats | undefined;
    try {
      found = lstatSync(folder.path, { bigint: true, throwIfNoEntry: false });
    } catch (error) {
      this.#forget();
      throw diskError(error, folder.path);
    }
    if (found?.isDirectory() && found.dev === folder.dev && found.ino === folder.ino) return;
    this.#forget();
    throw new HearsayError(
      'in-the-way',
      `${folder.path} was ${found ? 'replaced' : 'removed'} while files went into it`,
    );
  }

  #forget(): void {
    this.#folders.clear();
    this.#base = undefined;
  }
}

function folderOf(path: string): string {
  return path.slice(0, Math.max(path.lastIndexOf('/'), 0));
}

function mustBeFolder(path: string, found: Stats | BigIntStats): void {
  // A junction of Windows is a link here too.
  if (found.isSymbolicLink()) {
    throw new HearsayError('in-the-way', `${path} is a link, and links in the destination are not followed`);
  }
  if (!found.isDirectory()) throw new HearsayError('in-the-way', `${path} is a file, where a folder must go`);
}
