/**
 * Which files of a share are offered, where not all are: those that `only` names, less those that `exclude` names.
 * Patterns as `ls` takes them, below the share's folder: `*` within a name, `**` across folders. One without a slash is a name
 * at any depth, as in an ignore file; one that names a folder means all in it; one that ends in a slash means folders only.
 * Owns nothing. Always true: it looks at paths alone. Called by the walk, and by who checks what a person typed.
 */
import { HearsayError } from '../errors.js';
import { PATTERNS_MAX } from '../limits.js';
import { compile } from '../shelf/glob.js';
import { FOLDED } from './ignore.js';

export interface Choice {
  only?: readonly string[] | undefined;
  exclude?: readonly string[] | undefined;
}

interface Pattern {
  matches(path: string): boolean;
  isFolder: boolean;
}

/** As names are compared: composed, and without case where the file systems know none. */
function fold(text: string): string {
  const composed = text.normalize('NFC');
  return FOLDED ? composed.toLowerCase() : composed;
}

function parse(text: string): Pattern {
  const bare = text.replace(/^(\.?\/)+/, '').replace(/\/+$/, '');
  if (bare === '')
    throw new HearsayError('usage', `"${text}" is no pattern of a file: for example "*.jpg" or "drafts/"`);
  const isTied = bare.includes('/') || /^\.?\//.test(text);
  return { matches: compile(fold(isTied ? bare : `**/${bare}`)), isFolder: text.endsWith('/') };
}

function parseAll(texts: readonly string[] | undefined): Pattern[] {
  if (texts && texts.length > PATTERNS_MAX) {
    throw new HearsayError('usage', `${texts.length} patterns for one share; ${PATTERNS_MAX} are the most`);
  }
  return (texts ?? []).map(parse);
}

function fits(patterns: readonly Pattern[], path: string, isFolder: boolean): boolean {
  if (patterns.length === 0) return false;
  const text = fold(path);
  return patterns.some((pattern) => (isFolder || !pattern.isFolder) && pattern.matches(text));
}

export class Chosen {
  readonly #only: Pattern[];
  readonly #exclude: Pattern[];

  /** @throws HearsayError `usage` where a pattern says nothing or is too long, or there are too many */
  constructor({ only, exclude }: Choice) {
    this.#only = parseAll(only);
    this.#exclude = parseAll(exclude);
  }

  /** Whether there are no patterns at all. */
  get isAll(): boolean {
    return this.#only.length === 0 && this.#exclude.length === 0;
  }

  /** Whether only what is named is offered. */
  get isSome(): boolean {
    return this.#only.length > 0;
  }

  /** Whether a path is left out, and where it is a folder all in it. @param path below the share's folder */
  excludes(path: string, isFolder: boolean): boolean {
    return fits(this.#exclude, path, isFolder);
  }

  /** Whether a path is named to be offered, and where it is a folder all in it; what is above it is not looked at. */
  selects(path: string, isFolder: boolean): boolean {
    return this.#only.length === 0 || fits(this.#only, path, isFolder);
  }
}
