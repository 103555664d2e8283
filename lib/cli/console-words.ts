/**
 * A typed line as words, as a shell would have it: quotes of both kinds, and a backslash before a character that is to stand for
 * itself. On Windows a backslash is a part of paths, and quotes do. Pure.
 */
import { HearsayError } from '../errors.js';

/** How lines are read. */
export interface Reading {
  /** Whether a backslash makes the next character stand for itself. */
  escapes: boolean;
  /** What `~` stands for at the beginning of a word; left out, itself. */
  home?: string;
}

export interface Word {
  /** What is meant. */
  value: string;
  /** As it was typed. */
  raw: string;
  /** The quote that it begins with, if any. */
  quote: '"' | "'" | '';
  /** Where a quote is not closed: which. */
  open: '"' | "'" | '';
}

const SPACE = /\s/;

/** The words of a line; the last one may not be finished. */
export function tokens(line: string, { escapes, home }: Reading): Word[] {
  const words: Word[] = [];
  let i = 0;
  while (i < line.length) {
    if (SPACE.test(line[i])) {
      i++;
      continue;
    }
    const start = i;
    let value = '';
    let open: Word['open'] = '';
    for (; i < line.length && (open !== '' || !SPACE.test(line[i])); i++) {
      const char = line[i];
      const next = line[i + 1];
      if (open === "'") {
        if (char === "'") open = '';
        else value += char;
      } else if (escapes && char === '\\' && next !== undefined && (open === '' || next === '"' || next === '\\')) {
        value += next;
        i++;
      } else if (char === open) open = '';
      else if (open === '' && (char === '"' || char === "'")) open = char;
      else value += char;
    }
    const raw = line.slice(start, i);
    if (home !== undefined && /^~(?=$|[/\\])/.test(raw)) value = home + value.slice(1);
    const first = raw[0];
    words.push({ value, raw, quote: first === '"' || first === "'" ? first : '', open });
  }
  return words;
}

/** The words of a finished line. @throws HearsayError `usage` where a quote is not closed */
export function wordsOf(line: string, reading: Reading): string[] {
  const all = tokens(line, reading);
  const { open } = all.at(-1) ?? { open: '' };
  if (open !== '') throw new HearsayError('usage', `a quote is not closed: ${open}`);
  return all.map(({ value }) => value);
}

/** A word so typed that it is read again as it is, in the manner in which its beginning was typed. */
export function typed(value: string, quote: Word['quote'], { escapes }: Reading): string {
  if (quote === "'" && !value.includes("'")) return `'${value}'`;
  if (quote === '"' || (!escapes && /[\s'"]/.test(value))) {
    return `"${escapes ? value.replace(/["\\]/g, '\\$&') : value}"`;
  }
  if (!escapes) return value;
  return value.replace(/[\s'"\\]/g, '\\$&').replace(/^~/, '\\~');
}
