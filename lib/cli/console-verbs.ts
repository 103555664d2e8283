/** What can be typed at the console. Pure. */
import { HearsayError } from '../errors.js';
import { nearest } from './suggest.js';
import { table } from './text.js';

export interface Verb {
  name: string;
  short?: string;
  /** What follows on it. */
  args: string;
  does: string;
}

export const VERBS: readonly Verb[] = [
  { name: 'peers', short: 'p', args: '', does: 'who is here' },
  { name: 'ls', short: 'l', args: '[PEER...]', does: "everybody's files, or theirs, numbered" },
  { name: 'find', short: 'f', args: 'WORD...', does: 'files with each WORD in the path, numbered' },
  { name: 'get', short: 'g', args: 'N|N-N|WHAT... [-o TO]', does: 'fetch by number or path' },
  { name: 'send', short: 's', args: 'FILE... --to PEER,...', does: 'offer files to peers' },
  { name: 'inbox', args: '', does: 'what others want to send here' },
  { name: 'accept', args: 'N|all', does: 'take it' },
  { name: 'refuse', args: 'N|all', does: 'do not' },
  { name: 'status', args: '', does: 'what is shared, fetched and served' },
  { name: 'cancel', args: 'N|all', does: 'end a transfer that `status` lists' },
  { name: 'pause', args: 'N|all', does: 'hold it' },
  { name: 'resume', args: 'N|all', does: 'go on with it' },
  { name: 'add', args: 'PATH...', does: 'share more' },
  { name: 'remove', args: 'PATH|NAME...', does: 'share no more' },
  { name: 'sources', args: 'WHAT', does: 'who holds which parts of a file' },
  { name: 'refresh', short: 'r', args: '', does: 'ask peers and trackers what changed' },
  { name: 'doctor', args: '', does: 'what is wrong with this network' },
  { name: 'help', short: 'h', args: '[COMMAND]', does: 'this, or more of a command' },
  { name: 'quit', short: 'q', args: '', does: 'goodbye' },
];

/** What people call them elsewhere. */
const MEANT: Record<string, string> = {
  list: 'ls',
  dir: 'ls',
  files: 'ls',
  search: 'find',
  grep: 'find',
  fetch: 'get',
  download: 'get',
  share: 'add',
  unshare: 'remove',
  rm: 'remove',
  who: 'peers',
  info: 'status',
  transfers: 'status',
  reload: 'refresh',
  update: 'refresh',
  '?': 'help',
  exit: 'quit',
  bye: 'quit',
};

/** The verb that a word means, by its name or its short form. @throws HearsayError `usage` */
export function verbOf(word: string): Verb {
  const found = VERBS.find(({ name, short }) => word === name || word === short);
  if (found) return found;
  const names = VERBS.map(({ name }) => name);
  const near = nearest(word, names, MEANT);
  throw new HearsayError(
    'usage',
    `there is no command ${word}. ${near ? `Did you mean ${near}?` : `There are ${names.join(', ')}`}`,
  );
}

/** All of them as lines of a table. */
export function helpLines(): string[] {
  return table(VERBS.map(({ name, short = '', args, does }) => [`  ${name}`, short, args, does]));
}
