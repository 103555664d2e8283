/**
 * Folders held open. Node has no openat(), mkdirat() or renameat(); but on Linux `/proc/PID/fd/N/name`, with N a folder
 * that this process has open, is looked up in that very folder, wherever its path may lead by now: the same thing.
 *
 * Owns: the descriptors of folders. Always true: one that is in use is not closed, so its number cannot come to mean
 * another folder; of those not in use at most KEPT are open, and each only for a moment after its last use, so that a
 * disk can be unmounted.
 * Called by: `Folder` alone.
 */
import { closeSync, constants, fstatSync, openSync, readlinkSync, statSync } from 'node:fs';
import { codeOf } from './place-errors.js';

/** Folders open that nobody uses just now: files of a tree come folder by folder. */
const KEPT = 128;
const IDLE_MS = 1000;

/** O_PATH: the folder itself, without the right to list it. The same number on all Linux machines that Node runs on. */
const PATH_ONLY = 0o10000000;
/** To open a folder by its path, the last name of which may be a link. */
export const FOLDER = PATH_ONLY | (constants.O_DIRECTORY ?? 0);
/** To open a folder, and nothing else, where it lies. */
export const FOLDER_ITSELF = FOLDER | (constants.O_NOFOLLOW ?? 0);

interface Open {
  fd: number;
  users: number;
  /** When it was last given back, by the monotonic clock, ms. */
  since: number;
}

/** In the order of their last use. */
const open = new Map<object, Open>();
let idle = 0;
let timer: NodeJS.Timeout | undefined;
let base: string | undefined;
let works: boolean | undefined;

/** Whether this system lets a folder be named by its descriptor. Tried once, on the root folder. */
export function descriptorsWork(): boolean {
  works ??= tryThem();
  return works;
}

function tryThem(): boolean {
  if (process.platform !== 'linux' && process.platform !== 'android') return false;
  try {
    // By number: /proc/self is a link, and to follow it costs half as much again.
    if (readlinkSync('/proc/self') !== String(process.pid)) return false;
    base = `/proc/${process.pid}/fd/`;
    const fd = openSync('/', FOLDER_ITSELF);
    try {
      const [there, here] = [statSync(`${base}${fd}/.`, { bigint: true }), fstatSync(fd, { bigint: true })];
      return there.isDirectory() && there.ino === here.ino && there.dev === here.dev;
    } finally {
      closeSync(fd);
    }
  } catch {
    return false;
  }
}

/** The path of a folder by its descriptor, with a slash at its end. */
export function descriptorPath(fd: number): string {
  return `${base}${fd}/`;
}

/**
 * A folder's descriptor, to be given back.
 * @param how opens it where it is not open; throws what the system says
 */
export function takeDescriptor(folder: object, how: () => number): number {
  const known = open.get(folder);
  if (known) {
    if (known.users++ === 0) idle--;
    return known.fd;
  }
  let fd: number;
  try {
    fd = how();
  } catch (error) {
    if (codeOf(error) !== 'EMFILE' && codeOf(error) !== 'ENFILE') throw error;
    closeIdle(0);
    fd = how();
  }
  open.set(folder, { fd, users: 1, since: 0 });
  return fd;
}

/** Gives a descriptor back, once for each time that it was taken. */
export function giveDescriptorBack(folder: object): void {
  const known = open.get(folder);
  if (!known || --known.users > 0) return;
  known.since = performance.now();
  open.delete(folder);
  open.set(folder, known);
  idle++;
  if (idle > KEPT) closeIdle(KEPT);
  if (!timer) timer = setTimeout(closeOld, IDLE_MS).unref();
}

/** Folders open now, and those of them that are in use. */
export function descriptorsOpen(): { open: number; used: number } {
  return { open: open.size, used: open.size - idle };
}

/** Closes those unused the longest, until so many are left. */
function closeIdle(left: number): void {
  for (const [folder, { users }] of open) {
    if (idle <= left) return;
    if (users === 0) close(folder);
  }
}

function closeOld(): void {
  timer = undefined;
  const now = performance.now();
  for (const [folder, { users, since }] of open) if (users === 0 && now - since >= IDLE_MS) close(folder);
  if (idle > 0) timer = setTimeout(closeOld, IDLE_MS).unref();
}

function close(folder: object): void {
  const known = open.get(folder);
  if (!known) return;
  open.delete(folder);
  idle--;
  closeSync(known.fd);
}
