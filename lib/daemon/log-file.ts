/**
 * The daemon's log on the disk: <state>/log/hearsay.log, and what it was before: hearsay.1.log and hearsay.2.log.
 * Owns these files and the lines that wait to be written. Always true: a file is put aside before it would pass its limit,
 * what waits is bounded, and a disk that takes nothing stops nobody: the oldest lines are let go then, and counted in the
 * next that is written. Called by the logger; read by log-reader.ts.
 */
import { appendFileSync, renameSync, statSync, truncateSync } from 'node:fs';
import { appendFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { LOG_FILE_MAX, LOG_FILES, LOG_WAITING_MAX } from '../limits.js';
import { makeFolders } from '../share/folders.js';

/** What is written waits for more for so long, ms. */
const GATHER_MS = 50;
/** After a disk took nothing, it is tried again after so long, ms. */
const AGAIN_MS = 2000;
const MODE = { mode: 0o600 };

/** Where the log of a state folder is. */
export function logFolder(state: string): string {
  return join(state, 'log');
}

/** Its files, the newest first. */
export function logFiles(state: string): string[] {
  return Array.from({ length: LOG_FILES }, (_, age) => join(logFolder(state), `hearsay${age ? `.${age}` : ''}.log`));
}

export interface LogFileOptions {
  /** Bytes of a file. */
  bytes?: number;
  /** The line that tells of so many that were let go. */
  lost(lines: number): string;
}

export class LogFile {
  readonly #state: string;
  readonly #paths: string[];
  readonly #bytes: number;
  readonly #lost: (lines: number) => string;
  #waiting: string[] = [];
  /** Characters of `#waiting`. */
  #length = 0;
  /** What is on its way to the disk. */
  #taken: string[] = [];
  #letGo = 0;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();
  /** Whether the last line on the disk may not be whole: the disk became full, or an earlier process was killed. */
  #torn = true;

  constructor(state: string, { bytes = LOG_FILE_MAX, lost }: LogFileOptions) {
    this.#state = state;
    this.#paths = logFiles(state);
    this.#bytes = bytes;
    this.#lost = lost;
  }

  /** Takes a line, with its line feed; it is written a little later, together with others. */
  write(line: string): void {
    this.#waiting.push(line);
    this.#length += line.length;
    this.#bound();
    this.#later(GATHER_MS);
  }

  /** Writes what waits; what the disk does not take waits on. Never rejects. */
  flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#writing = this.#writing.then(() => this.#write());
    return this.#writing;
  }

  /** The same at once, for a process that is about to end; what is on its way to the disk may come twice. */
  flushSync(): void {
    const lines = [...this.#taken, ...this.#waiting];
    if (lines.length === 0) return;
    const text = this.#text(lines);
    try {
      this.#makeRoom(statSync(this.#paths[0], { throwIfNoEntry: false })?.size ?? 0, text);
      appendFileSync(this.#paths[0], text, MODE);
      this.#waiting = [];
      this.#length = 0;
      this.#done();
    } catch {
      // It ends in any case.
    }
  }

  async #write(): Promise<void> {
    if (this.#waiting.length === 0) return;
    this.#taken = this.#waiting;
    this.#waiting = [];
    this.#length = 0;
    const text = this.#text(this.#taken);
    try {
      await makeFolders(logFolder(this.#state), 0o700);
      // Looked at each time: somebody may have taken the file away.
      this.#makeRoom(
        await stat(this.#paths[0]).then(
          ({ size }) => size,
          () => 0,
        ),
        text,
      );
      await appendFile(this.#paths[0], text, MODE);
      this.#done();
    } catch {
      this.#torn = true;
      this.#waiting = [...this.#taken, ...this.#waiting];
      this.#length = this.#waiting.reduce((sum, line) => sum + line.length, 0);
      this.#bound();
      this.#later(AGAIN_MS);
    } finally {
      this.#taken = [];
    }
  }

  #text(lines: string[]): string {
    return `${this.#torn ? '\n' : ''}${this.#letGo > 0 ? this.#lost(this.#letGo) : ''}${lines.join('')}`;
  }

  #done(): void {
    this.#torn = false;
    this.#letGo = 0;
  }

  #later(ms: number): void {
    this.#timer ??= setTimeout(() => void this.flush(), ms);
    this.#timer.unref();
  }

  #bound(): void {
    while (this.#length > LOG_WAITING_MAX && this.#waiting.length > 1) {
      this.#length -= this.#waiting.shift()?.length ?? 0;
      this.#letGo++;
    }
  }

  /** Puts the file aside where it would become too long. */
  #makeRoom(size: number, text: string): void {
    if (size === 0 || size + Buffer.byteLength(text) <= this.#bytes) return;
    for (let age = this.#paths.length - 1; age > 0; age--) {
      try {
        renameSync(this.#paths[age - 1], this.#paths[age]);
      } catch (thrown) {
        // Held open by another program on Windows, say: it is begun anew, rather than let grow.
        if (age === 1 && (thrown as NodeJS.ErrnoException).code !== 'ENOENT') truncateSync(this.#paths[0]);
      }
    }
  }
}
