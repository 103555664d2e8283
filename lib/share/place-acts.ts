/**
 * What is done to files in a folder that is held. Every act names one segment in that folder, follows no link, and where
 * the system cannot be sure of the folder checks before and after that the folder is the one that was meant.
 */
import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  realpathSync,
  type Stats,
  unlinkSync,
} from 'node:fs';
import { type FileHandle, lstat, open, rename, unlink } from 'node:fs/promises';
import { HearsayError } from '../errors.js';
import { codeOf } from './place-errors.js';
import { type Held, type Identity, isSame } from './place-folder.js';

const { O_CREAT, O_EXCL, O_RDONLY, O_RDWR } = constants;
/** Windows has neither; there a link is found by `mustBeHere`. */
const NO_FOLLOW = constants.O_NOFOLLOW ?? 0;
/** A pipe that nobody writes to must not hold us up. */
const NO_WAIT = constants.O_NONBLOCK ?? 0;
/** How often what could be exchanged is looked at where there is nothing better. */
const LOOKS = 4;
const FRESH = O_RDWR | O_CREAT | O_EXCL | NO_FOLLOW;

/**
 * Makes a file and opens it, for reading and writing.
 * @throws Error of the system, EEXIST where anything has the name; HearsayError `in-the-way`, and nothing is there then
 */
export function createNow(held: Held, name: string): number {
  const path = beforeCreate(held, name);
  const fd = openSync(path, FRESH);
  try {
    mustBeHere(held, name, fd);
  } catch (error) {
    undoFile(path, fd);
    closeSync(fd);
    throw error;
  }
  return fd;
}

/** As `createNow`, off this thread, and `in-the-way` where anything has the name. */
export async function create(held: Held, name: string): Promise<FileHandle> {
  let path: string;
  let handle: FileHandle;
  try {
    path = beforeCreate(held, name);
    handle = await open(path, FRESH);
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
    throw new HearsayError('in-the-way', `${held.tell(name)} is there, and is not ours to remove`, { cause: error });
  }
  try {
    mustBeHere(held, name, handle.fd);
  } catch (error) {
    undoFile(path, handle.fd);
    await handle.close();
    throw error;
  }
  return handle;
}

function beforeCreate(held: Held, name: string): string {
  const path = held.at(name);
  held.before('create', name);
  // Windows makes what a link points to, though it is to make nothing that is there.
  if (!held.isSure && lstatSync(path, { throwIfNoEntry: false })) {
    throw Object.assign(new Error('EEXIST: file already exists'), { code: 'EEXIST' });
  }
  return path;
}

/** How a file that is there is opened. */
export type Access = 'read' | 'write';

/**
 * Opens a regular file that is there. Neither a link is followed nor a pipe waited for.
 * @throws Error of the system, ENOENT where there is none; HearsayError `in-the-way` where it is no regular file
 */
export function openNow(held: Held, name: string, access: Access): number {
  const path = beforeOpen(held, name);
  const fd = openSync(path, flagsOf(access));
  try {
    mustBeFile(held, name, fstatSync(fd).isFile());
    mustBeHere(held, name, fd);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  return fd;
}

/** As `openNow`, off this thread. */
export async function openThere(held: Held, name: string, access: Access): Promise<FileHandle> {
  const path = beforeOpen(held, name);
  const handle = await open(path, flagsOf(access));
  try {
    mustBeFile(held, name, (await handle.stat()).isFile());
    mustBeHere(held, name, handle.fd);
  } catch (error) {
    await handle.close();
    throw error;
  }
  return handle;
}

function flagsOf(access: Access): number {
  return (access === 'read' ? O_RDONLY : O_RDWR) | NO_FOLLOW | NO_WAIT;
}

function beforeOpen(held: Held, name: string): string {
  const path = held.at(name);
  // To open a device can do something already, so what it is is looked at first as well.
  mustBeFile(held, name, lstatSync(path).isFile());
  held.before('open', name);
  return path;
}

function mustBeFile(held: Held, name: string, isFile: boolean): void {
  if (!isFile) throw new HearsayError('in-the-way', `${held.tell(name)} is no ordinary file`);
}

/**
 * Whether what was opened is what has the name in this folder; asked only where the system cannot be sure. Several times
 * over, since the name and the folder are two lookups: who exchanges the folder to and fro must hit every one.
 */
function mustBeHere(held: Held, name: string, fd: number): void {
  if (held.isSure) return;
  const opened = fstatSync(fd, { bigint: true });
  for (let i = 0; i < LOOKS; i++) {
    const found = lstatSync(held.at(name), { bigint: true, throwIfNoEntry: false });
    held.folder.check();
    if (!found?.isFile() || !isSame(found, opened)) throw exchanged(held, name);
  }
}

/** Removes a file that was made in the wrong place, if it can still be found by the name that led there. */
function undoFile(path: string, fd: number): void {
  for (let i = 0; i < LOOKS; i++) {
    try {
      const real = realpathSync(path);
      if (!isSame(lstatSync(real, { bigint: true }), fstatSync(fd, { bigint: true }))) continue;
      unlinkSync(real);
      return;
    } catch {
      // It is empty, and its name is a hidden one.
    }
  }
}

function exchanged(held: Held, name: string): HearsayError {
  return new HearsayError('in-the-way', `${held.tell(name)} was exchanged while it was written`);
}

/** What has a name, itself where it is a link; undefined where there is nothing. @throws HearsayError */
export async function look(held: Held, name: string): Promise<Stats | undefined> {
  try {
    return await lstat(held.at(name));
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw held.failure(name, error);
  }
}

/** Removes a hidden file or link, never a folder, if it can; what stays behind is swept later. */
export function removeNow(held: Held, name: string): void {
  try {
    held.before('remove', name);
    unlinkSync(held.at(name));
  } catch {
    // Gone already, or held open by another program.
  }
}

/** As `removeNow`, off this thread. Returns whether it was there and is gone. */
export async function remove(held: Held, name: string): Promise<boolean> {
  try {
    held.before('remove', name);
    await unlink(held.at(name));
    return true;
  } catch {
    return false;
  }
}

/** Puts a hidden file in the place of another. @throws Error of the system; HearsayError `in-the-way` */
export async function replace(held: Held, from: string, to: string, made: Identity): Promise<void> {
  held.before('land', to);
  await rename(held.at(from), held.at(to));
  mustHaveLanded(held, to, made);
}

/**
 * Whether a file has come where it should; to be asked only where the system cannot be sure.
 * @throws HearsayError `in-the-way`
 */
export function mustHaveLanded(held: Held, name: string, made: Identity | undefined): void {
  if (held.isSure || !made) return;
  const found: BigIntStats | undefined = lstatSync(held.at(name), { bigint: true, throwIfNoEntry: false });
  held.folder.check();
  if (!found || !isSame(found, made)) throw exchanged(held, name);
}
