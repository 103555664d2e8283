/**
 * The one error class and the one table of codes. A code is a stable word that scripts rely on; nothing in the program
 * matches on the text of a message.
 */

/** What each code exits with, and the sentence that tells a person what to do. */
const TABLE = {
  failed: [1, 'See the message; run again with --verbose for more.'],
  usage: [2, 'See `hearsay --help`.'],
  config: [2, 'Correct the setting in the config file; config/default.toml lists them all.'],
  conflict: [2, 'Two results would land in one place: fetch them one at a time, or into different folders.'],
  'not-found': [3, 'See what there is with `hearsay ls`.'],
  'no-such-path': [3, 'Check the path.'],
  ambiguous: [4, 'Name one of them: `PEER:path`, a peer id, or `#` and the content id.'],
  'no-peer': [5, 'Check that the other machine runs `hearsay share` on the same network, or name it with --join HOST.'],
  'not-running': [5, 'Start one with `hearsay daemon start`, or in this terminal with `hearsay share PATH`.'],
  refused: [6, 'The other side does not want this.'],
  'wrong-content': [7, 'What arrived is not what was offered, so it was thrown away. Try another source with --from.'],
  'disk-full': [8, 'Make room, then run the same command again: what is verified is kept.'],
  'not-writable': [8, 'Choose a folder that you may write to, with -o or --state.'],
  'not-readable': [1, 'Check that the path exists and that you may read it.'],
  exists: [1, 'Other content is there already: use --overwrite, or -o with another name.'],
  'in-the-way': [1, 'Something else stands where this must go: move it, or choose another folder with -o.'],
  'bad-name': [1, 'The name cannot be stored safely here, so this file is skipped.'],
  busy: [1, 'Another hearsay is fetching to the same place; wait for it or stop it.'],
  changed: [1, 'The file changed at its source while it was fetched; run the command again.'],
  'not-private': [1, 'Remove that folder, or set XDG_RUNTIME_DIR to a folder that only you can enter.'],
  'port-taken': [1, 'Choose another with --port N, or --port 0 for any free one.'],
  'state-in-use': [1, 'To have that one share more: `hearsay add PATH`. To run another beside it: --state DIR.'],
  'state-damaged': [1, 'The damaged part was set aside beside the state folder and a fresh one was begun.'],
  timeout: [1, 'Nothing arrived for too long; the verified part is kept, run the same command again.'],
  unreachable: [5, 'Check the address, that hearsay runs there, and that no firewall is between.'],
  'other-group': [
    5,
    'Give both sides the same secret with --secret-file FILE; without one, a command is in the open group.',
  ],
  'not-registered': [1, 'It registers again by itself; try again in a moment.'],
  'id-taken': [1, 'A copy of this state folder runs elsewhere: give one of the two another with --state DIR.'],
  'address-taken': [1, 'Another peer listens at that address: choose another port with --port N.'],
  'unknown-peer': [3, 'See who is here with `hearsay peers`.'],
  'unknown-file': [3, 'See what there is with `hearsay ls`.'],
  'bad-message': [1, 'The other side does not speak this protocol correctly.'],
  'other-version': [1, 'Run the same version of hearsay on both sides.'],
  limit: [1, 'A limit was reached; try again later or with less at once.'],
  cancelled: [1, 'Run the same command again if it is still wanted.'],
  interrupted: [130, 'Run the same command again to go on from where it stopped.'],
} as const satisfies Record<string, readonly [number, string]>;

export type Code = keyof typeof TABLE;

/** Whether a word, from the network perhaps, is one of our codes. */
export function isCode(word: string): word is Code {
  return Object.hasOwn(TABLE, word);
}

/** What can be the matter with another; a full disk, or somebody's Ctrl-C, is no reason of his why we get nothing. */
const OF_OTHERS: readonly Code[] = [
  'not-found',
  'changed',
  'not-readable',
  'limit',
  'bad-message',
  'timeout',
  'refused',
  'cancelled',
  'usage',
  'busy',
  'not-registered',
  'id-taken',
  'address-taken',
  'unknown-peer',
  'unknown-file',
];

/** The code of an error that another tells of: `failed` where he speaks of what only we can know. */
export function saidCode(word: string): Code {
  return OF_OTHERS.find((code) => code === word) ?? 'failed';
}

/** The exit status that a code stands for. */
export function exitStatus(code: Code): number {
  return TABLE[code][0];
}

/** What to do about it: one sentence. */
export function advice(code: Code): string {
  return TABLE[code][1];
}

/** Every error that hearsay raises on purpose. `message` says what happened, `code` what kind it is. */
export class HearsayError extends Error {
  readonly code: Code;

  constructor(code: Code, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'HearsayError';
    this.code = code;
  }

  /** The shape of an error in `--json` output. */
  toJSON(): { error: { code: Code; message: string } } {
    return { error: { code: this.code, message: this.message } };
  }
}

/** Codes of the operating system that have a code of ours. */
const SYSTEM: Record<string, Code> = {
  ENOSPC: 'disk-full',
  EDQUOT: 'disk-full',
  EFBIG: 'disk-full',
  EACCES: 'not-writable',
  EPERM: 'not-writable',
  EROFS: 'not-writable',
  ENAMETOOLONG: 'bad-name',
  EILSEQ: 'bad-name',
};

/** What the commonest errors of the operating system mean, in words for people. */
const WORDS: Record<string, string> = {
  EACCES: 'permission denied',
  EADDRINUSE: 'another program has it',
  EADDRNOTAVAIL: 'this machine has no such address',
  EBUSY: 'it is in use',
  ECONNREFUSED: 'nothing listens there',
  ECONNRESET: 'the connection broke off',
  EDQUOT: 'no space left for this user',
  EEXIST: 'it is there already',
  EFBIG: 'it is too large for this disk',
  EHOSTUNREACH: 'no way leads there',
  EILSEQ: 'the disk cannot hold such a name',
  EIO: 'the disk does not work',
  EISDIR: 'it is a folder',
  ELOOP: 'a link stands there, or links that lead in a circle',
  EMFILE: 'too many files are open',
  ENAMETOOLONG: 'the name is too long',
  ENETDOWN: 'the network is down',
  ENETUNREACH: 'no way leads there',
  ENFILE: 'too many files are open',
  ENODEV: 'there is no such device',
  ENOENT: 'there is no such file or folder',
  ENOMEM: 'no memory left',
  ENOSPC: 'no space left on the disk',
  ENOTDIR: 'something on the way there is no folder',
  ENOTEMPTY: 'the folder is not empty',
  ENXIO: 'there is no such device',
  EPERM: 'the system does not allow it',
  EPIPE: 'the other side has gone',
  EROFS: 'the disk is read-only',
  ESTALE: 'the disk that it was on has gone',
  ETIMEDOUT: 'no answer',
  EXDEV: 'it lies on another disk',
};

/**
 * What is the matter, in words for people and without the file that it is about: what the system says bears its code, its call
 * and often a path.
 */
export function reasonOf(thrown: unknown): string {
  const { code, message } = (thrown ?? {}) as { code?: unknown; message?: unknown };
  if (typeof message !== 'string') return String(thrown);
  if (thrown instanceof HearsayError || typeof code !== 'string') return message;
  if (Object.hasOwn(WORDS, code)) return WORDS[code];
  // As `EXAMPLE: words of the system, open '/a/path'`.
  return message.startsWith(`${code}: `) ? message.slice(code.length + 2).replace(/, \w+(?: '.*)?$/s, '') : message;
}

/**
 * Anything thrown as a HearsayError: one of ours unchanged, an error of the system by its code, else `fallback`. Its message
 * names the file that the system names.
 * @param fallback the code for what is not recognised
 */
export function asHearsayError(thrown: unknown, fallback: Code = 'failed'): HearsayError {
  if (thrown instanceof HearsayError) return thrown;
  const { code, path } = (thrown ?? {}) as { code?: unknown; path?: unknown };
  const known = typeof code === 'string' && Object.hasOwn(SYSTEM, code) ? SYSTEM[code] : undefined;
  const about = typeof code === 'string' && typeof path === 'string' ? `${path}: ` : '';
  return new HearsayError(known ?? fallback, about + reasonOf(thrown), { cause: thrown });
}
