import { randomBytes } from 'node:crypto';
import { blake3 } from '../hash.js';

/** How every file begins that hearsay keeps for itself in people's folders. Never listed, never taken from a peer. */
export const HIDDEN_PREFIX = '.hearsay-';

/** The hidden files that stand beside one final name while it is received. */
export interface HiddenNames {
  /** The content so far. */
  part: string;
  /** Which chunks are there. */
  journal: string;
  /** Who is writing. */
  lock: string;
}

const FORM = /^\.hearsay-([0-9a-f]{16})\.(part|journal|lock)$/;
const TEMPORARY = /^\.hearsay-.*\.tmp$/s;

/** The stem is a hash, so that a name of 255 bytes has room for it. */
function stemOf(name: string): string {
  return `${HIDDEN_PREFIX}${blake3(name).toString('hex', 0, 8)}`;
}

/** The hidden names beside a final name, which is a single segment. */
export function hiddenNames(name: string): HiddenNames {
  return namesOfStem(stemOf(name));
}

function namesOfStem(stem: string): HiddenNames {
  return { part: `${stem}.part`, journal: `${stem}.journal`, lock: `${stem}.lock` };
}

/** The whole set that a hidden file of a partial belongs to, or undefined when the name is not of one. */
export function hiddenSetOf(entry: string): HiddenNames | undefined {
  const match = FORM.exec(entry);
  return match ? namesOfStem(`${HIDDEN_PREFIX}${match[1]}`) : undefined;
}

/** Whether a name is that of a temporary file, which lives for the writing of one small file only. */
export function isTemporary(entry: string): boolean {
  return TEMPORARY.test(entry);
}

/** Whether a file is hearsay's own: not to be shared, listed or received. */
export function isHidden(entry: string): boolean {
  // To upper case first: a long s (\u017f) is an s to disks that fold case.
  return entry.toUpperCase().toLowerCase().startsWith(HIDDEN_PREFIX);
}

// One random part for the process and a counter: as unique as a fresh random name each time, and much cheaper.
const TOKEN = randomBytes(8).toString('hex');
let counter = 0;

/** A hidden name that nobody else uses. */
export function temporaryName(): string {
  return `${HIDDEN_PREFIX}${TOKEN}-${(counter++).toString(36)}.tmp`;
}
