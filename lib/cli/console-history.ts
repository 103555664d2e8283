/**
 * What was typed at consoles of one state folder: `console-history`, a line each, the newest last.
 *
 * Owns that file, which only its owner can read. Always true: at most CONSOLE_HISTORY_MAX lines are taken from it, and soon no more than
 * twice as many are in it; what cannot be kept hinders nobody. Called by the console.
 */
import { appendFile, chmod, readFile, rename, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CONSOLE_HISTORY_MAX } from '../limits.js';
import { printable } from '../names.js';

const FILE = 'console-history';
/** A longer line is not kept, in UTF-16 units. */
const LINE_MAX = 4096;

export class History {
  readonly #file: string;
  /** Lines of the file. */
  #lines: number;
  /** The newest last. */
  readonly #kept: string[];
  #writing: Promise<void> = Promise.resolve();

  private constructor(file: string, lines: string[]) {
    this.#file = file;
    this.#lines = lines.length;
    this.#kept = lines.filter(isKept).slice(-CONSOLE_HISTORY_MAX);
  }

  /** @param state the state folder, which exists */
  static async open(state: string): Promise<History> {
    const file = join(state, FILE);
    // Not there, or not to be read: it begins anew.
    const text = await readFile(file, 'utf8').catch(() => '');
    if (text !== '') await chmod(file, 0o600).catch(() => {});
    return new History(
      file,
      text.split('\n').filter((line) => line !== ''),
    );
  }

  /** What was typed before, the newest first, as readline has it. */
  get newestFirst(): string[] {
    return this.#kept.toReversed();
  }

  /** Notes a line that was typed. */
  add(line: string): void {
    if (!isKept(line) || line === this.#kept.at(-1)) return;
    this.#kept.push(line);
    if (this.#kept.length > CONSOLE_HISTORY_MAX) this.#kept.shift();
    this.#writing = this.#writing.then(() => this.#write(line)).catch(() => {});
  }

  /** Resolves when all that was noted is written. */
  async stored(): Promise<void> {
    await this.#writing;
  }

  async #write(line: string): Promise<void> {
    if (this.#lines < 2 * CONSOLE_HISTORY_MAX) {
      this.#lines++;
      await appendFile(this.#file, `${line}\n`, { mode: 0o600 });
      return;
    }
    const temporary = `${this.#file}.${process.pid}`;
    try {
      const lines = [...this.#kept];
      await writeFile(temporary, lines.map((one) => `${one}\n`).join(''), { mode: 0o600 });
      await rename(temporary, this.#file);
      this.#lines = lines.length;
    } finally {
      await unlink(temporary).catch(() => {});
    }
  }
}

/** What a terminal would obey is not offered to be typed again. */
function isKept(line: string): boolean {
  return line.trim() !== '' && line.length <= LINE_MAX && printable(line) === line;
}
