/**
 * Patterns over paths: `*` matches within a segment, `**` across segments, and everything else stands for itself.
 *
 * Patterns come from the network, so the cost is bounded: a pattern becomes a nondeterministic automaton whose states are
 * bits (Shift-And: Baeza-Yates and Gonnet 1992, with the loops of Navarro and Raffinot's "Flexible Pattern Matching"), which
 * takes path length × pattern length / 32 steps whatever the pattern is. What stands before the first wildcard is compared as it is.
 */
import { HearsayError } from '../errors.js';
import { PATTERN_MAX } from '../limits.js';

/** Whether a text has a wildcard in it. */
export function isPattern(text: string): boolean {
  return text.includes('*');
}

/** The part of a pattern before its first wildcard, up to and with the last slash. */
export function fixedPart(pattern: string): string {
  const star = pattern.indexOf('*');
  const before = star < 0 ? pattern : pattern.slice(0, star);
  return before.slice(0, before.lastIndexOf('/') + 1);
}

/** `*`, `**`, `**` followed by a slash at the beginning of a segment (no segment or more), or one UTF-16 unit. */
type Token = { kind: 'star' | 'across' | 'folders' } | { kind: 'unit'; unit: number };

function tokens(pattern: string): Token[] {
  const out: Token[] = [];
  for (let i = 0; i < pattern.length; ) {
    if (pattern[i] !== '*') {
      out.push({ kind: 'unit', unit: pattern.charCodeAt(i++) });
      continue;
    }
    let end = i;
    while (pattern[end] === '*') end++;
    const isAcross = end - i > 1;
    const begins = i === 0 || pattern[i - 1] === '/';
    if (isAcross && begins && pattern[end] === '/') {
      // Two in a row say no more than one.
      if (out.at(-2)?.kind !== 'folders') out.push({ kind: 'folders' }, { kind: 'unit', unit: SLASH });
      i = end + 1;
    } else {
      out.push({ kind: isAcross ? 'across' : 'star' });
      i = end;
    }
  }
  return out;
}

const SLASH = '/'.charCodeAt(0);

/**
 * Compiles a pattern.
 * @throws HearsayError `usage` where it is too long
 */
export function compile(pattern: string): (path: string) => boolean {
  if (pattern.length > PATTERN_MAX) {
    throw new HearsayError('usage', `A pattern of ${pattern.length} characters; ${PATTERN_MAX} are the most.`);
  }
  const prefix = pattern.slice(0, isPattern(pattern) ? pattern.indexOf('*') : undefined);
  // Of the prefix each unit is one.
  const parts = tokens(pattern).slice(prefix.length);
  return parts.length < 32 ? small(parts, prefix) : large(parts, prefix);
}

/** A pattern that is matched in two parts, so that what many paths begin with is looked at once. */
export interface Halves {
  /** What has matched when a path begins so; 0 where none that does can match. */
  begin(folder: string): number;
  /** Whether a path matches that goes on so, in ASCII. */
  end(state: number, bytes: Uint8Array, from: number, to: number): boolean;
  /** The same for any text. */
  endText(state: number, text: string): boolean;
}

/**
 * Compiles a pattern with wildcards to be matched by folder and name.
 * @returns undefined where it is too complicated for that
 * @throws HearsayError `usage` where it is too long
 */
export function compileHalves(pattern: string): Halves | undefined {
  if (pattern.length > PATTERN_MAX) compile(pattern);
  const fixed = fixedPart(pattern);
  const parts = tokens(pattern.slice(fixed.length));
  if (parts.length >= 31) return undefined;
  const { step, begin, end } = automaton(parts);
  const go = (state: number, text: string): number => {
    let now = state;
    for (let i = 0; i < text.length && now !== 0; i++) now = step(now, text.charCodeAt(i));
    return now;
  };
  // What is looked for anywhere stands at the beginning of each folder as it did before all of them.
  const isAnywhere = parts[0]?.kind === 'folders' && !parts.slice(2).some(reachesOver);
  return {
    begin: (folder) => {
      if (!folder.startsWith(fixed)) return 0;
      return isAnywhere ? begin : go(begin, folder.slice(fixed.length));
    },
    end: (state, bytes, from, to) => {
      let now = state;
      for (let i = from; i < to && now !== 0; i++) now = step(now, bytes[i]);
      return (now & end) !== 0;
    },
    endText: (state, text) => (go(state, text) & end) !== 0,
  };
}

/** Whether something may match a slash. */
function reachesOver(part: Token): boolean {
  return part.kind === 'unit' ? part.unit === SLASH : part.kind !== 'star';
}

interface Automaton {
  step(now: number, unit: number): number;
  begin: number;
  end: number;
}

/** An automaton whose states fit into one number. */
function automaton(parts: readonly Token[]): Automaton {
  const ascii = new Int32Array(128);
  const others = new Map<number, number>();
  let [staysWithin, staysAcross, isFree, isFolders] = [0, 0, 0, 0];
  for (const [k, part] of parts.entries()) {
    const bit = 1 << k;
    if (part.kind !== 'unit') {
      isFree |= bit;
      staysWithin |= bit;
      if (part.kind !== 'star') staysAcross |= bit;
      if (part.kind === 'folders') isFolders |= bit;
    } else if (part.unit < 128) ascii[part.unit] |= bit;
    else others.set(part.unit, (others.get(part.unit) ?? 0) | bit);
  }
  let begin = 1;
  begin |= (begin & isFolders) << 2;
  begin |= (begin & isFree) << 1;
  const step = (now: number, unit: number): number => {
    let next = (now & (unit < 128 ? ascii[unit] : (others.get(unit) ?? 0))) << 1;
    // Whole folders may be passed over only on entering them, not in the middle of a segment.
    next |= (next & isFolders) << 2;
    next |= now & (unit === SLASH ? staysAcross : staysWithin);
    next |= (next & isFree) << 1;
    return next;
  };
  return { step, begin, end: 1 << parts.length };
}

/** A matcher of what people write. */
function small(parts: readonly Token[], prefix: string): (path: string) => boolean {
  const { step, begin, end } = automaton(parts);
  return (path) => {
    if (!path.startsWith(prefix)) return false;
    let now = begin;
    for (let i = prefix.length; i < path.length && now !== 0; i++) now = step(now, path.charCodeAt(i));
    return (now & end) !== 0;
  };
}

function large(parts: readonly Token[], prefix: string): (path: string) => boolean {
  // State k: the first k tokens have matched. Bit k & 31 of word k >> 5.
  const words = (parts.length >> 5) + 1;
  const mask = (): Uint32Array => new Uint32Array(words);
  const set = (bits: Uint32Array, k: number): void => {
    bits[k >> 5] |= 1 << (k & 31);
  };
  const none = mask();
  const units = new Map<number, Uint32Array>();
  const staysWithin = mask();
  const staysAcross = mask();
  const isFree = mask();
  const isFolders = mask();
  for (const [k, part] of parts.entries()) {
    if (part.kind === 'unit') {
      const bits = units.get(part.unit) ?? mask();
      units.set(part.unit, bits);
      set(bits, k);
      continue;
    }
    set(isFree, k);
    set(staysWithin, k);
    if (part.kind !== 'star') set(staysAcross, k);
    if (part.kind === 'folders') set(isFolders, k);
  }

  /** Adds to `to` the states `by` ahead of those in `from` that are also in `where`; `to` may be `from`. */
  const ahead = (from: Uint32Array, where: Uint32Array, by: number, to: Uint32Array): void => {
    let carry = 0;
    for (let w = 0; w < words; w++) {
      const bits = from[w] & where[w];
      to[w] |= (bits << by) | carry;
      carry = bits >>> (32 - by);
    }
  };

  const begin = mask();
  set(begin, 0);
  ahead(begin, isFolders, 2, begin);
  ahead(begin, isFree, 1, begin);

  let now = mask();
  let next = mask();
  return (path) => {
    if (!path.startsWith(prefix)) return false;
    now.set(begin);
    for (let i = prefix.length; i < path.length; i++) {
      const unit = path.charCodeAt(i);
      next.fill(0);
      ahead(now, units.get(unit) ?? none, 1, next);
      // Whole folders may be passed over only on entering them, not in the middle of a segment.
      ahead(next, isFolders, 2, next);
      const stays = unit === SLASH ? staysAcross : staysWithin;
      for (let w = 0; w < words; w++) next[w] |= now[w] & stays[w];
      ahead(next, isFree, 1, next);
      [now, next] = [next, now];
    }
    return (now[parts.length >> 5] & (1 << (parts.length & 31))) !== 0;
  };
}
