import { realpath, stat } from 'node:fs/promises';
import { HearsayError, reasonOf } from '../errors.js';
import { printable } from '../names.js';
import type { Found } from './scan.js';
import { changedAt, fileKind, mtimeOf, signatureOf } from './signature.js';

/** Codes of the system for a file that is not there, and for when it lets us open no more. */
const GONE = ['ENOENT', 'ENOTDIR', 'ELOOP'];
const EXHAUSTED = ['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN'];

/** A file is not in the state that was offered. */
export function changed(path: string): HearsayError {
  return new HearsayError('changed', `${printable(path)} is not what was offered any more`);
}

/** What an error of the system says of an offered file: `not-found`, `limit` where it says nothing, `not-readable`. */
export function troubleOf(path: string, thrown: unknown): HearsayError {
  if (thrown instanceof HearsayError) return thrown;
  const code = (thrown as NodeJS.ErrnoException).code ?? String(thrown);
  const kind = GONE.includes(code) ? 'not-found' : EXHAUSTED.includes(code) ? 'limit' : 'not-readable';
  return new HearsayError(kind, `${printable(path)} (${reasonOf(thrown)})`, { cause: thrown });
}

/**
 * A file as it is now, and where it really is.
 * @throws Error of the system; HearsayError `not-found` where it is no regular file
 */
export async function stateOf(path: string, file: string): Promise<{ found: Found; real: string }> {
  const stats = await stat(file, { bigint: true });
  if (!stats.isFile()) throw new HearsayError('not-found', `${printable(path)} is no file`);
  const found: Found = {
    path,
    kind: fileKind(stats),
    size: Number(stats.size),
    mtime: mtimeOf(stats),
    changed: changedAt(stats),
    signature: signatureOf(stats),
  };
  return { found, real: await realpath(file) };
}
