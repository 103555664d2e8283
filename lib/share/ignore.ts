/**
 * `.hearsayignore`: gitignore's rules, at any level, below the folder that it is in. The rules of a deeper file come
 * later and so win, as git has it; nothing below an ignored folder comes back.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import ignore, { type Ignore } from 'ignore';
import { IGNORE_FILE_MAX } from '../limits.js';

export const IGNORE_FILE = '.hearsayignore';

// The file systems of these two take names that differ by case for one.
export const FOLDED = process.platform === 'win32' || process.platform === 'darwin';

/** All rules that hold in one folder. Immutable. */
export class Rules {
  readonly #rules: Ignore | undefined;

  private constructor(rules: Ignore | undefined) {
    this.#rules = rules;
  }

  /** No rules at all. */
  static readonly none = new Rules(undefined);

  /**
   * These rules and then those of one more file.
   * @param folder where the file is: path below the share's root, segments joined by `/`, empty for the root
   * @param text what it says
   */
  with(folder: string, text: string): Rules {
    const lines = text
      .split(/\r?\n/)
      .map((line) => rebase(folder, line))
      .filter((line) => line !== undefined);
    if (lines.length === 0) return this;
    const rules = ignore({ ignorecase: FOLDED });
    if (this.#rules) rules.add(this.#rules);
    return new Rules(rules.add(lines));
  }

  /** @param path below the share's root, segments joined by `/`, not empty */
  ignores(path: string, isFolder: boolean): boolean {
    return this.#rules?.ignores(isFolder ? `${path}/` : path) ?? false;
  }
}

/** A line as it has to read at the share's root to mean the same; undefined where it says nothing. */
function rebase(folder: string, line: string): string | undefined {
  if (line.trim() === '' || line.startsWith('#')) return undefined;
  if (folder === '') return line;
  const negated = line.startsWith('!');
  let pattern = negated ? line.slice(1) : line;
  // A slash before the end ties a pattern to its folder.
  const tied = /\/(?!\s*$)/.test(pattern);
  // A leading backslash that keeps `#` or `!` from meaning something is not needed further in.
  if (/^\\[#!]/.test(pattern)) pattern = pattern.slice(1);
  if (pattern.startsWith('/')) pattern = pattern.slice(1);
  const base = folder.replace(/[\\*?[\]! ]/g, '\\$&');
  return `${negated ? '!' : ''}/${base}/${tied ? '' : '**/'}${pattern}`;
}

/**
 * Reads the ignore file of a folder.
 * @param folder absolute
 * @returns its text; undefined where there is none
 * @throws Error of the system where it is there but cannot be read, and RangeError where it is too long: the folder
 *   must not be shared then, as nobody knows what was meant to be left out
 */
export function readIgnoreFile(folder: string): string | undefined {
  let fd: number;
  try {
    fd = openSync(join(folder, IGNORE_FILE), constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw thrown;
  }
  try {
    const { size } = fstatSync(fd);
    if (size > IGNORE_FILE_MAX) throw new RangeError(`${IGNORE_FILE} of over ${IGNORE_FILE_MAX} bytes`);
    const text = Buffer.alloc(IGNORE_FILE_MAX);
    let filled = 0;
    for (let got = -1; got !== 0 && filled < text.length; filled += got) {
      got = readSync(fd, text, filled, text.length - filled, null);
    }
    return text.toString('utf8', text[0] === 0xef && text[1] === 0xbb && text[2] === 0xbf ? 3 : 0, filled);
  } finally {
    closeSync(fd);
  }
}
