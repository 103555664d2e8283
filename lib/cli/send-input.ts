/**
 * What `send -` reads from standard input, in a file that the running peer can send; nobody else can read it.
 * Owns that file. Always true: it is removed however the command ends, unless it is killed.
 */
import { createWriteStream, rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { asHearsayError, HearsayError } from '../errors.js';
import type { Context } from './context.js';

/**
 * Reads standard input to its end, and works with the file that holds it.
 * @throws HearsayError `disk-full`, `not-writable`, `not-readable`, `interrupted`, and what the work throws
 */
export async function withInput(context: Context, work: (path: string) => Promise<void>): Promise<void> {
  // mkdtemp makes it for this user alone.
  const folder = await mkdtemp(join(tmpdir(), 'hearsay-send-')).catch((thrown) => {
    throw explained(thrown, 'not-writable');
  });
  // A second Ctrl-C ends the process at once.
  const onExit = () => rmSync(folder, { recursive: true, force: true });
  process.once('exit', onExit);
  try {
    const path = join(folder, 'input');
    await keep(context, path);
    await work(path);
  } finally {
    // Where another program has it open just now, Windows removes it a moment later.
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    process.off('exit', onExit);
  }
}

async function keep({ io, out, signal }: Context, path: string): Promise<void> {
  if (io.stdin.isTTY) out.note('reading what is typed, until Ctrl-D on a line of its own');
  try {
    await pipeline(io.stdin, createWriteStream(path, { flags: 'wx', mode: 0o600 }), { signal });
  } catch (thrown) {
    if (signal.aborted) throw new HearsayError('interrupted', 'interrupted: nothing was sent');
    throw explained(thrown, 'not-readable');
  }
}

function explained(thrown: unknown, fallback: 'not-readable' | 'not-writable'): HearsayError {
  const { code, message } = asHearsayError(thrown, fallback);
  const where = `standard input cannot be kept in ${tmpdir()} (TMPDIR names another folder)`;
  const what = code === 'not-readable' ? 'standard input cannot be read' : where;
  return new HearsayError(code, `${what}: ${message}`, { cause: thrown });
}
