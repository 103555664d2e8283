/** What the words of a `get` at the console want: numbers stand for what was listed. Pure. */
import { HearsayError } from '../errors.js';
import type { PeerId } from '../ids.js';
import type { Numbered, Numbers } from './console-numbers.js';

/** WHATs of one get at most. */
const WHATS_MAX = 10_000;
/** Options of `get` that take a value. */
const VALUED = ['-o', '--output', '--from', '--limit-down'];

export interface Wanted {
  /** The words of the command line. */
  words: string[];
  /** Files that are meant by their numbers, and whose peers are not here. */
  away: Numbered[];
}

/**
 * @param isHere whether a peer is here
 * @throws HearsayError `not-found`, `usage` for numbers, `no-peer` where nothing is left that could be had, `usage` for a get to
 *   standard output
 */
export function wanted(words: readonly string[], numbers: Numbers, isHere: (peer: PeerId) => boolean): Wanted {
  const out: string[] = [];
  const away: Numbered[] = [];
  let whats = 0;
  let isPlain = false;
  let isValue = false;
  let isTo = false;
  for (const word of words) {
    if (word === '-' ? isTo : /^(-o-|--output=-)$/.test(word) && !isPlain) {
      throw new HearsayError('usage', '-o - is not for the console, where the prompt is');
    }
    const isOption: boolean = !isPlain && !isValue && word.startsWith('-');
    isTo = isOption && (word === '-o' || word === '--output');
    if (isOption || isValue) {
      isPlain ||= word === '--' && !isValue;
      isValue = isOption && VALUED.includes(word);
      out.push(word);
      continue;
    }
    const meant = numbers.read(word);
    whats += meant?.length ?? 1;
    if (whats > WHATS_MAX) throw new HearsayError('usage', `more than ${WHATS_MAX} files at once: name a folder`);
    if (!meant) out.push(word);
    for (const file of meant ?? []) {
      if (isHere(file.peer)) out.push(`${file.peer}:${file.path}`);
      else away.push(file);
    }
  }
  if (away.length > 0 && away.length === whats) throw awayError(away[0]);
  return { words: out, away };
}

export function awayError({ peer, path }: Numbered): HearsayError {
  return new HearsayError('no-peer', `the peer that has ${path} is not here: ${peer}`);
}
