/**
 * Looking through the rows of a shelf: by pattern, by words, by what a WHAT may mean. Pure.
 * A folder is looked at once, and of a name its sign and then its bytes, so that a million paths are looked through without being
 * read, and none is made into text but what fits.
 * Whoever goes through rests where an undefined is given, so that others have their turns. Called by the listing.
 */
import { isContentId } from '../hash.js';
import { WORDS_MAX } from '../limits.js';
import { folded } from './folded.js';
import { compile, compileHalves, isPattern } from './glob.js';
import { type Meaning, nameOf, wordMatcher } from './query.js';
import { DEAD, HAS_ID, ID, KIND, REMOVED, type Rows } from './rows.js';
import { LOWER, SIGN, signOf } from './signs.js';

/** What is looked for. */
export interface Wanted {
  /**
   * What a folder, with its slash, says of all that is in it; 0 where nothing in it can fit.
   * @param plain the folder without case and accents
   */
  folder(folder: string, plain: string): number;
  /** What the sign of a row has that fits; anything where it is left out. @param state what its folder said */
  sign?(state: number): Uint32Array;
  /** Whether a row fits. @param state what its folder said */
  fits(rows: Rows, row: number, state: number): boolean;
}

/** Steps between two rests: rows, or folders, which take longer. */
const ROWS = 16_384;
const FOLDERS = 1024;

/** A state that says no more than that something may fit. */
const MAYBE = 1;
/** Everything in it fits. */
const ALL = 2;

/** Everything. */
export const EVERYTHING: Wanted = { folder: () => ALL, fits: () => true };

function byPath(fits: (path: string) => boolean): Wanted {
  return { folder: () => MAYBE, fits: (rows, row) => fits(rows.path(row)) };
}

/** What `ls PATTERN` lists. @throws HearsayError `usage` where it is too long */
export function wantedPattern(pattern: string): Wanted {
  if (!isPattern(pattern)) return below(pattern.endsWith('/') ? pattern.slice(0, -1) : pattern);
  const halves = compileHalves(pattern);
  if (!halves) return byPath(compile(pattern));
  // What stands at both ends of the last segment is there in the name as it is: most names are passed over by that.
  const last = nameOf(pattern);
  const head = Buffer.from(
    last.includes('**') ? '' : last.slice(0, last.indexOf('*') < 0 ? undefined : last.indexOf('*')),
  );
  const tail = Buffer.from(last.slice(last.lastIndexOf('*') + 1));
  // Otherwise its sign is asked first.
  const sign = signOf(last.includes('**') || head.length + tail.length > 1 ? [] : runsOf(last));
  return {
    folder: halves.begin,
    ...(sign.some((word) => word !== 0) ? { sign: () => sign } : {}),
    fits: (rows, row, state) => {
      const start = rows.nameStart(row);
      const { names } = rows;
      const begin = start + rows.nameLength[row] - tail.length;
      if (begin < start) return false;
      for (let i = 0; i < tail.length; i++) if (names[begin + i] !== tail[i]) return false;
      if (head.length > rows.nameLength[row]) return false;
      for (let i = 0; i < head.length; i++) if (names[start + i] !== head[i]) return false;
      // Its name is ASCII where nothing is above, which is looked for at its end first: text of other scripts is so throughout.
      const end = start + rows.nameLength[row];
      return isAscii(rows.names, start, end)
        ? halves.end(state, rows.names, start, end)
        : halves.endText(state, rows.name(row));
    },
  };
}

/** What a name has in it that has this between wildcards: only ASCII stays together when case and accents are taken away. */
function runsOf(name: string): string[] {
  return name.split(/\*|[^\p{ASCII}]/u);
}

/** A path alone. */
function exactly(path: string): Wanted {
  const name = nameOf(path);
  const parent = path.slice(0, path.length - name.length);
  const sign = signOf(runsOf(name));
  return {
    folder: (folder) => (folder === parent ? MAYBE : 0),
    sign: () => sign,
    fits: (rows, row) => rows.name(row) === name,
  };
}

/** A path and what lies below it. */
function below(path: string): Wanted {
  const inside = `${path}/`;
  const name = nameOf(path);
  const parent = path.slice(0, path.length - name.length);
  return {
    folder: (folder) => (folder.startsWith(inside) ? ALL : folder === parent ? MAYBE : 0),
    fits: (rows, row, state) => state === ALL || rows.name(row) === name,
  };
}

/** What `find WORD...` lists. @throws HearsayError `usage` where there are too many */
export function wantedWords(words: readonly string[]): Wanted {
  const matches = wordMatcher(words);
  const all = [...new Set(words.map(folded))].filter((word) => word !== '');
  // A word may reach over a slash; and each has a bit.
  if (all.length > Math.min(WORDS_MAX, 30) || all.some((word) => word.includes('/'))) return byPath(matches);
  // The longest is the rarest.
  all.sort((a, b) => b.length - a.length);
  const needles = all.map((word) => Buffer.from(word));
  const missing = (1 << all.length) - 1;
  const FOUND = 1 << all.length;
  const signs = new Map<number, Uint32Array>();
  return {
    folder: (_, plain) => {
      let left = missing;
      for (let i = 0; i < all.length; i++) if (plain.includes(all[i])) left &= ~(1 << i);
      return FOUND | left;
    },
    sign: (state) => {
      let sign = signs.get(state);
      if (!sign) {
        sign = signOf(all.filter((_, i) => state & (1 << i)));
        signs.set(state, sign);
      }
      return sign;
    },
    fits: (rows, row, state) => {
      if (state === FOUND) return true;
      const start = rows.nameStart(row);
      const raw = start + rows.nameLength[row];
      const end = rows.end[row];
      // What follows on the name is it without case and accents; where nothing does, only ASCII has case.
      const from = raw < end ? raw : start;
      for (let i = 0; i < needles.length; i++) {
        if (state & (1 << i) && !occurs(needles[i], rows.names, from, end)) return false;
      }
      return true;
    },
  };
}

/** What one reading of a WHAT means. @throws HearsayError `usage` where it is a pattern that is too long */
export function wantedMeaning({ kind, text }: Meaning): Wanted {
  switch (kind) {
    case 'file':
      return exactly(text);
    case 'folder':
      return below(text.slice(0, -1));
    case 'pattern':
      return wantedPattern(text);
    case 'id':
      return wantedId(text.slice(1).toLowerCase());
    case 'name': {
      const sign = signOf(runsOf(text));
      return {
        folder: () => MAYBE,
        sign: () => sign,
        fits: (rows, row) => rows.nameLength[row] >= text.length && rows.name(row) === text,
      };
    }
  }
}

function wantedId(prefix: string): Wanted {
  const bytes = Buffer.from(prefix.slice(0, prefix.length & ~1), 'hex');
  const isWhole = isContentId(prefix) || bytes.length * 2 === prefix.length;
  return {
    folder: () => MAYBE,
    fits: (rows, row) => {
      if ((rows.state[row] & HAS_ID) === 0) return false;
      for (let i = 0; i < bytes.length; i++) if (rows.ids[row * ID + i] !== bytes[i]) return false;
      return isWhole || (rows.id(row)?.startsWith(prefix) ?? false);
    },
  };
}

/**
 * The rows that fit, in no order.
 * @param folders whether folders are wanted too
 */
export function* scan(rows: Rows, wanted: Wanted, folders: boolean): Generator<undefined, Uint32Array, undefined> {
  const states = new Uint32Array(rows.folders.length);
  const signs = new Uint32Array(rows.folders.length * SIGN);
  for (const [i, folder] of rows.folders.entries()) {
    states[i] = wanted.folder(folder, rows.plainFolders[i]);
    if (states[i] !== 0 && wanted.sign) signs.set(wanted.sign(states[i]), i * SIGN);
    if (i % FOLDERS === FOLDERS - 1) yield undefined;
  }
  const found = new Hits();
  const look = { rows, wanted, folders, states, signs };
  for (let from = 0; from < rows.length; from += ROWS) {
    if (from > 0) yield undefined;
    lookAt(look, from, Math.min(from + ROWS, rows.length), found);
  }
  return found.all;
}

/** Rows that fit. */
class Hits {
  #rows = new Uint32Array(64);
  #count = 0;

  add(row: number): void {
    if (this.#count === this.#rows.length) {
      const wider = new Uint32Array(this.#count * 2);
      wider.set(this.#rows);
      this.#rows = wider;
    }
    this.#rows[this.#count++] = row;
  }

  get all(): Uint32Array {
    return this.#rows.subarray(0, this.#count);
  }
}

interface Look {
  rows: Rows;
  wanted: Wanted;
  folders: boolean;
  /** What each folder said, and the sign that fits in it. */
  states: Uint32Array;
  signs: Uint32Array;
}

function lookAt({ rows, wanted, folders, states, signs }: Look, from: number, to: number, found: Hits): void {
  const { state, folder, sign } = rows;
  const most = folders ? REMOVED : REMOVED - 1;
  const isSigned = wanted.sign !== undefined;
  for (let row = from; row < to; row++) {
    if ((state[row] & (DEAD | KIND)) >= most) continue;
    const at = folder[row];
    const inside = states[at];
    if (inside === 0) continue;
    if (isSigned && (signs[at * SIGN] & ~sign[row * SIGN] || signs[at * SIGN + 1] & ~sign[row * SIGN + 1])) continue;
    if (wanted.fits(rows, row, inside)) found.add(row);
  }
}

function isAscii(bytes: Uint8Array, from: number, to: number): boolean {
  for (let i = to - 1; i >= from; i--) if (bytes[i] > 127) return false;
  return true;
}

/** Whether some text in lower case occurs in some bytes, whatever the case of their ASCII letters. */
function occurs(needle: Uint8Array, bytes: Uint8Array, from: number, to: number): boolean {
  const first = needle[0];
  const last = to - needle.length;
  for (let at = from; at <= last; at++) {
    if (LOWER[bytes[at]] !== first) continue;
    let i = 1;
    while (i < needle.length && LOWER[bytes[at + i]] === needle[i]) i++;
    if (i === needle.length) return true;
  }
  return false;
}
