/** Which of the files that have all words are the best: pure, so that it is the same whoever answers. Called by the listing. */
import { folded } from './folded.js';

const LETTER = /[\p{L}\p{N}]/u;

/** How well a word is met: as a whole word, as the beginning of one, or inside of one. */
const WHOLE = 0;
const BEGINNING = 1;
const INSIDE = 2;

/** Beyond this the length of a path says nothing more. */
const LENGTHS = 8192;
const METS = 256;

function metIn(text: string, word: string): number | undefined {
  let best: number | undefined;
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + 1)) {
    const begins = at === 0 || !LETTER.test(text[at - 1]);
    const end = at + word.length;
    const ends = end === text.length || !LETTER.test(text[end]);
    const met = begins ? (ends ? WHOLE : BEGINNING) : INSIDE;
    if (best === undefined || met < best) best = met;
    if (best === WHOLE) break;
  }
  return best;
}

/**
 * How good a hit is; the least is the best. What has more of the words in its own name comes first, then what has them as whole
 * words, then as beginnings of words, then the shorter path.
 * @param words folded
 */
export function rankOf(path: string, words: readonly string[]): number {
  const slash = path.lastIndexOf('/') + 1;
  return rankIn(folded(path.slice(0, slash)), folded(path.slice(slash)), path.length, words);
}

/** The same of a path's folder, with its slash, and its name. @param folder folded, as the name is @param length of the path */
export function rankIn(folder: string, name: string, length: number, words: readonly string[]): number {
  let elsewhere = 0;
  let mets = 0;
  for (const word of words) {
    const inName = metIn(name, word);
    if (inName === undefined) elsewhere++;
    mets += inName ?? metIn(folder + name, word) ?? INSIDE;
  }
  return (elsewhere * METS + mets) * LENGTHS + Math.min(length, LENGTHS - 1);
}
