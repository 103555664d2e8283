/**
 * Reads the daemon's log, also while it is written and rotated.
 * Owns the file that it reads, one at a time. Always true: each whole line is given once and in order, as long as no more is
 * written between two looks than the log keeps. Called by `daemon logs`, and by `daemon start` to tell why it failed.
 */
import { type FileHandle, open, stat } from 'node:fs/promises';
import { StringDecoder } from 'node:string_decoder';
import { setTimeout as delay } from 'node:timers/promises';
import { logFiles } from './log-file.js';

const LOOK_MS = 200;
const PIECE = 65_536;

/** What every line has. */
export interface LogLine extends Record<string, unknown> {
  /** Milliseconds since 1970. */
  time: number;
  level: string;
  pid: number;
  msg: string;
}

/** A line of the log; undefined for one that is none, as a disk that became full leaves it. */
export function parseLine(text: string): LogLine | undefined {
  try {
    const line = JSON.parse(text) as Partial<LogLine> | null;
    const { time, level, pid, msg } = line ?? {};
    const fits =
      typeof time === 'number' && typeof level === 'string' && typeof pid === 'number' && typeof msg === 'string';
    return fits ? (line as LogLine) : undefined;
  } catch {
    return undefined;
  }
}

/** An open file of the log, and how far it was read. */
class Cursor {
  readonly inode: bigint;
  readonly #handle: FileHandle;
  readonly #piece = Buffer.alloc(PIECE);
  #decoder = new StringDecoder();
  #at = 0;
  /** What is not a whole line yet. */
  #rest = '';

  private constructor(handle: FileHandle, inode: bigint) {
    this.#handle = handle;
    this.inode = inode;
  }

  /** Undefined where there is no such file. */
  static async open(path: string): Promise<Cursor | undefined> {
    let handle: FileHandle;
    try {
      handle = await open(path);
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw thrown;
    }
    return new Cursor(handle, (await handle.stat({ bigint: true })).ino);
  }

  /** The whole lines that were not read yet. */
  async lines(): Promise<string[]> {
    const { size } = await this.#handle.stat();
    if (size < this.#at) {
      // It was begun anew.
      this.#at = 0;
      this.#rest = '';
      this.#decoder = new StringDecoder();
    }
    const all: string[] = [];
    for (;;) {
      const { bytesRead } = await this.#handle.read(this.#piece, 0, PIECE, this.#at);
      if (bytesRead === 0) return all.filter((line) => line !== '');
      this.#at += bytesRead;
      const lines = (this.#rest + this.#decoder.write(this.#piece.subarray(0, bytesRead))).split('\n');
      this.#rest = lines.pop() ?? '';
      for (const line of lines) all.push(line);
    }
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

/**
 * The last lines of a state folder's log, and with a signal those that come, until it is aborted.
 * @param count how many of those that are there
 * @throws what the system says of a file that cannot be read
 */
export async function* readLog(state: string, count: number, follow?: AbortSignal): AsyncGenerator<string> {
  const paths = logFiles(state);
  let cursor: Cursor | undefined;
  const seen = new Set<bigint>();
  let last: string[] = [];
  try {
    for (const path of paths) {
      const file = await Cursor.open(path);
      if (!file) continue;
      // What is rotated between two of these looks comes by twice.
      if (!seen.has(file.inode)) last = [...(await file.lines()), ...last];
      seen.add(file.inode);
      if (cursor) await file.close();
      else cursor = file;
      if (last.length >= count) break;
    }
    yield* last.slice(Math.max(0, last.length - count));
    while (follow && !follow.aborted) {
      const fresh = (await cursor?.lines()) ?? [];
      yield* fresh;
      if (fresh.length > 0) continue;
      const next = await following(paths, cursor?.inode);
      if (next) {
        // Between the look at it and its end, a last line may have come.
        yield* (await cursor?.lines()) ?? [];
        await cursor?.close();
        cursor = next;
      } else await delay(LOOK_MS, undefined, { signal: follow }).catch(() => {});
    }
  } finally {
    await cursor?.close();
  }
}

/** The file that came after the one with this inode; undefined while that is the newest. */
async function following(paths: string[], inode: bigint | undefined): Promise<Cursor | undefined> {
  const inodes = await Promise.all(
    paths.map((path) =>
      stat(path, { bigint: true }).then(
        ({ ino }) => ino,
        () => undefined,
      ),
    ),
  );
  if (inodes[0] === undefined || inodes[0] === inode) return undefined;
  const age = inode === undefined ? -1 : inodes.indexOf(inode);
  const next = Math.max(0, age - 1);
  const cursor = await Cursor.open(paths[next]);
  if (cursor?.inode === inodes[next]) return cursor;
  // Rotated just now: the next look sees it as it is.
  await cursor?.close();
  return undefined;
}
