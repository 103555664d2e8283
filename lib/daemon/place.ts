/**
 * Where the control socket of a state folder is, and the card in the state folder that tells commands so: its path and
 * the token that proves that the two belong to one user. The path is short, because Node cuts longer ones off without a
 * word, and lies in a folder that nobody else can enter.
 */
import { chmod, lstat, mkdir, readFile, realpath, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import { HearsayError, reasonOf } from '../errors.js';
import { blake3 } from '../hash.js';
import { CONTROL_HELLO_MAX } from '../limits.js';

/** Bytes of a socket path: macOS takes 104 with the final NUL, Linux 108. */
const SOCKET_PATH_MAX = 100;
const CARD = 'control.token';

/** What decides where the socket goes; a parameter so that every platform's rules are tested on one. */
export interface Surroundings {
  platform: NodeJS.Platform;
  /** The user's number, or -1 where there are none. */
  uid: number;
  tmp: string;
  env: NodeJS.ProcessEnv;
}

export function surroundings(): Surroundings {
  return { platform: process.platform, uid: process.getuid?.() ?? -1, tmp: tmpdir(), env: process.env };
}

/** What the running peer leaves in its state folder for commands to find it by. */
export interface Card {
  /** The socket, or on Windows the named pipe. */
  path: string;
  /** 64 hexadecimal digits, known to those who can read the state folder. */
  token: string;
  /** The process that listens there: for ending one that does not answer, or speaks another version. */
  pid?: number;
}

/**
 * The folders that may hold the socket, best first, and the socket's own name.
 * @param state the real path of the state folder
 */
export function candidates(state: string, where: Surroundings): string[] {
  const name = blake3(`hearsay control 1\0${state}`).toString('hex').slice(0, 16);
  if (where.platform === 'win32') return [`\\\\.\\pipe\\hearsay-${name}`];
  const runtime = where.env.XDG_RUNTIME_DIR;
  const own = `hearsay-${where.uid}`;
  const folders = [join(where.tmp, own), join('/tmp', own)];
  if (runtime && isAbsolute(runtime)) folders.unshift(join(runtime, 'hearsay'));
  return folders.map((folder) => join(folder, name)).filter((path) => Buffer.byteLength(path) < SOCKET_PATH_MAX);
}

/**
 * Refuses a folder that is a link, another user's, or open to others.
 * @throws HearsayError `not-private`
 */
export async function checkPrivate(folder: string, uid: number): Promise<void> {
  const stat = await lstat(folder);
  const fault = !stat.isDirectory()
    ? 'is not a folder'
    : stat.uid !== uid
      ? 'belongs to another user'
      : stat.mode & 0o077
        ? 'is open to other users'
        : undefined;
  if (fault) throw new HearsayError('not-private', `${folder}, where the control socket goes, ${fault}`);
}

/**
 * Makes the socket's folder where it is missing and gives the path to listen on.
 * @param state the state folder, which must exist
 * @throws HearsayError `not-private`
 */
export async function socketPath(state: string, where = surroundings()): Promise<string> {
  const paths = candidates(await realpath(state), where);
  if (where.platform === 'win32') return paths[0];
  let last: unknown;
  for (const path of paths) {
    const folder = dirname(path);
    try {
      // Not recursive: what lies above is the system's to make.
      await mkdir(folder, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'EEXIST') throw error;
      });
      await checkPrivate(folder, where.uid);
      return path;
    } catch (error) {
      // A folder that somebody planted is said, not stepped around; one that cannot be made is.
      if (error instanceof HearsayError) throw error;
      last = error;
    }
  }
  throw new HearsayError('not-writable', 'no folder for the control socket can be made', { cause: last });
}

/** Leaves the card, whole or not at all. */
export async function writeCard(state: string, card: Card): Promise<void> {
  const path = join(state, CARD);
  const fresh = `${path}.${process.pid}`;
  await writeFile(fresh, `${JSON.stringify(card)}\n`, { mode: 0o600 });
  await chmod(fresh, 0o600);
  await rename(fresh, path);
}

/** Takes the card away, if it is still the one that we left. */
export async function removeCard(state: string, card: Card): Promise<void> {
  const left = await readCard(state).catch(() => undefined);
  if (left?.token === card.token) await rm(join(state, CARD), { force: true });
}

/**
 * Reads the card; undefined where there is none or it means nothing, so that nothing runs there.
 * @throws HearsayError `not-readable` where the state folder is another user's
 */
export async function readCard(state: string): Promise<Card | undefined> {
  let text: string;
  try {
    text = await readFile(join(state, CARD), 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new HearsayError('not-readable', `the state folder ${state}: ${reasonOf(error)}`, { cause: error });
  }
  if (text.length > CONTROL_HELLO_MAX) return undefined;
  try {
    const card: unknown = JSON.parse(text);
    if (typeof card !== 'object' || card === null || !('path' in card) || !('token' in card)) return undefined;
    const { path, token } = card;
    if (typeof path !== 'string' || typeof token !== 'string') return undefined;
    const isPid = 'pid' in card && Number.isSafeInteger(card.pid) && Number(card.pid) > 1;
    return { path, token, ...(isPid ? { pid: Number(card.pid) } : {}) };
  } catch {
    return undefined;
  }
}
