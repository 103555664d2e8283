/**
 * Who is fetching to a place: one process, and one fetch within it.
 *
 * Owns: the lock file, and the knowledge which locks this process holds.
 * Always true: a lock file names its writer by process, by when that process started (a number alone is soon another
 * process's) and by a random token, so that one who was killed leaves nothing standing. Only a lock judged dead is ever
 * set aside.
 * Called by: `Partial`, and whoever removes partials.
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fstatSync,
  futimesSync,
  readFileSync,
  readlinkSync,
  readSync,
  type Stats,
  writeSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { HearsayError } from '../errors.js';
import { createNow, openNow, removeNow } from './place-acts.js';
import { codeOf } from './place-errors.js';
import type { Folder, Held } from './place-folder.js';

/** A holder shows so often that it lives, for those who cannot ask after its process. */
const BEAT_MS = 60_000;
/** Without a beat for so long a holder whom we cannot ask after counts as dead. */
const SILENT_MS = 10 * BEAT_MS;
/** A lock file without its line is being written, for at most so long. */
const UNWRITTEN_MS = 10_000;
/** Two readings of one process's start differ by less than this. */
const SAME_START_MS = 5_000;
const LINE_MAX = 1024;
const TRIES = 8;

/** What a lock file says: one line of words. */
export interface LockLine {
  pid: number;
  token: string;
  /** When the process started: the kernel's own word for it where there is one, else '-'. */
  started: string;
  /** The same as milliseconds since 1970, from that process's clock. */
  born: number;
  /** The machine, and on Linux the space in which process numbers are counted. */
  host: string;
}

/** The line of a lock file. */
export function lockText(line: LockLine): string {
  return `hearsay-lock-1 ${line.pid} ${line.token} ${line.started} ${line.born} ${line.host}\n`;
}

function parseLock(text: string): LockLine | undefined {
  const words = text.trimEnd().split(' ');
  if (words.length !== 6 || words[0] !== 'hearsay-lock-1' || !text.endsWith('\n')) return undefined;
  const [, pid, token, started, born, host] = words;
  if (!/^[1-9][0-9]{0,9}$/.test(pid) || !/^[0-9a-f]{16}$/.test(token) || !/^[0-9]{1,15}$/.test(born)) return undefined;
  return { pid: Number(pid), token, started, born: Number(born), host };
}

function tried<T>(read: () => T, otherwise: T): T {
  try {
    return read();
  } catch {
    return otherwise;
  }
}

/** When a process of this machine started, in the kernel's words (Linux: the boot and the clock tick), or '-'. */
export function startOf(pid: number): string {
  if (process.platform !== 'linux') return '-';
  return tried(() => {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').slice(0, 8);
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name of the program, in brackets, may hold anything; the start is field 22, the 20th after it.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // Killed, and only its parent has not asked after it yet.
    return fields[0] === 'Z' || fields[0] === 'X' ? 'ended' : `${boot}:${fields[19]}`;
  }, '-');
}

/** Who we are, in the words of a lock file. */
export function ourLine(token: string): LockLine {
  const space = tried(() => readlinkSync('/proc/self/ns/pid'), '');
  const host = `${hostname()}/${space}`.replace(/\s/g, '_');
  return { pid: process.pid, token, started: startOf(process.pid), born: bornNow(), host };
}

function bornNow(): number {
  return Math.round(Date.now() - process.uptime() * 1000);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) !== 'ESRCH';
  }
}

interface Found {
  line: LockLine | undefined;
  /** Milliseconds since it was last touched, whichever way the clocks differ. */
  age: number;
}

/** Reads a lock; undefined where there is none. @throws HearsayError `in-the-way` where something else has its name */
function readLock(held: Held, name: string): Found | undefined {
  let fd: number;
  try {
    fd = openNow(held, name, 'read');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw held.failure(name, error);
  }
  try {
    return { line: lineIn(fd), age: Math.abs(Date.now() - fstatSync(fd).mtimeMs) };
  } finally {
    closeSync(fd);
  }
}

function lineIn(fd: number): LockLine | undefined {
  const bytes = Buffer.alloc(LINE_MAX);
  const length = tried(() => readSync(fd, bytes, 0, LINE_MAX, 0), 0);
  return parseLock(bytes.toString('latin1', 0, length));
}

/** Whether the writer of a lock file is surely, or as good as surely, no more. */
function isDead(found: Found): boolean {
  const { line, age } = found;
  if (!line) return age > UNWRITTEN_MS;
  const us = ourLine(line.token);
  if (line.host !== us.host) return age > SILENT_MS;
  if (line.pid === us.pid) {
    if (locks.has(line.token)) return false;
    // Of this process but not of this thread, or of an earlier one that had its number.
    return line.started !== us.started || Math.abs(line.born - us.born) > SAME_START_MS;
  }
  if (!isAlive(line.pid)) return true;
  const started = startOf(line.pid);
  return line.started === '-' || started === '-' ? age > SILENT_MS : line.started !== started;
}

function busy(file: string, line: LockLine | undefined): HearsayError {
  const who =
    line === undefined ? 'another process' : line.pid === process.pid ? 'this process' : `process ${line.pid}`;
  const where = line && line.host !== ourLine('').host ? ` on ${line.host.split('/')[0]}` : '';
  return new HearsayError('busy', `${who}${where} is fetching to the same place already (${file})`);
}

/**
 * Removes a dead one's lock. Who does so holds a second lock for those few calls: the dead cannot come back, so nothing
 * but another remover could put a living one's lock in its place between the look and the removal.
 */
function removeDead(held: Held, name: string): void {
  const removing = `${name}.tmp`;
  try {
    closeSync(createNow(held, removing));
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw held.failure(name, error);
    const found = readLock(held, removing);
    // Killed within those few calls.
    if (found && found.age > UNWRITTEN_MS) removeNow(held, removing);
    return;
  }
  try {
    const found = readLock(held, name);
    if (found && isDead(found)) removeNow(held, name);
  } finally {
    removeNow(held, removing);
  }
}

const locks = new Map<string, Lock>();
let beat: NodeJS.Timeout | undefined;

function beatAll(): void {
  for (const lock of locks.values()) lock.beat();
}

/** A lock that this process holds, in a folder that it keeps open. */
export class Lock {
  /** The lock file as we made it: whose it is, and its permissions, are those of our files here. */
  readonly made: Stats;
  readonly #held: Held;
  readonly #name: string;
  readonly #token: string;
  #lost = false;

  private constructor(held: Held, name: string, token: string, made: Stats) {
    this.#held = held;
    this.#name = name;
    this.#token = token;
    this.made = made;
  }

  /**
   * Takes the lock, or fails at once.
   * @param name the lock file's, one segment
   * @throws HearsayError `busy` naming the process that holds it, `in-the-way` where something that is no lock has the
   * name, or what the disk says
   */
  static take(folder: Folder, name: string): Lock {
    const held = folder.hold();
    try {
      return Lock.#take(held, name);
    } catch (error) {
      held.release();
      throw error;
    }
  }

  static #take(held: Held, name: string): Lock {
    const token = randomBytes(8).toString('hex');
    let found: Found | undefined;
    for (let tries = 0; tries < TRIES; tries++) {
      try {
        const lock = new Lock(held, name, token, write(held, name, lockText(ourLine(token))));
        locks.set(token, lock);
        beat ??= setInterval(beatAll, BEAT_MS).unref();
        return lock;
      } catch (error) {
        if (codeOf(error) !== 'EEXIST') throw held.failure(name, error);
      }
      found = readLock(held, name);
      if (!found) continue;
      if (!isDead(found)) throw busy(held.tell(name), found.line);
      removeDead(held, name);
    }
    throw busy(held.tell(name), found?.line);
  }

  /** Shows that we live, and sees whether the lock was taken from us while this process stood still. */
  beat(): void {
    this.#read((fd) => tried(() => futimesSync(fd, new Date(), new Date()), undefined));
  }

  /** Whether the lock is still ours. */
  holds(): boolean {
    this.#read(() => undefined);
    return !this.#lost;
  }

  /** Looks at the lock file; calls back with it open where it is still ours. */
  #read(ours: (fd: number) => void): void {
    if (this.#lost) return;
    let fd: number | undefined;
    try {
      fd = openNow(this.#held, this.#name, 'write');
      if (lineIn(fd)?.token === this.#token) ours(fd);
      else this.#lost = true;
    } catch (error) {
      // Gone, or a link in its place; other errors, such as too many open files, say nothing of the lock.
      const code = codeOf(error);
      if (code === 'ENOENT' || code === 'ELOOP') this.#lost = true;
    } finally {
      if (fd !== undefined) closeSync(fd);
    }
  }

  /** Whether a beat found that the lock was taken from us. Costs nothing. */
  get lost(): boolean {
    return this.#lost;
  }

  /** Gives the lock back. */
  release(): void {
    if (!locks.delete(this.#token)) return;
    if (this.holds()) removeNow(this.#held, this.#name);
    this.#held.release();
    if (locks.size === 0 && beat) {
      clearInterval(beat);
      beat = undefined;
    }
  }
}

function write(held: Held, name: string, text: string): Stats {
  const fd = createNow(held, name);
  try {
    writeSync(fd, text);
    return fstatSync(fd);
  } catch (error) {
    removeNow(held, name);
    throw error;
  } finally {
    closeSync(fd);
  }
}
