import { stat } from 'node:fs/promises';
import { mtimeOf, signatureOf } from './signature.js';
import type { HashStore, Remembered } from './store.js';

/** A file that was written here, every chunk of it verified. */
export interface Written {
  /** Absolute. */
  file: string;
  size: number;
  /** As it was set when it was whole, ms. */
  mtime: number;
}

/** What was changed so lately may change again without its times telling, ms. */
const YOUNG_MS = 2000;

/**
 * Remembers what is in a file that was just fetched, so that it is offered without being read. One that is not as it was left is
 * passed over: who writes to it changes its time. Never fails.
 */
export async function rememberWritten(
  store: HashStore,
  { file, size, mtime }: Written,
  content: Pick<Remembered, 'id'> & { hashes: Uint8Array },
  now = Date.now(),
): Promise<void> {
  const found = await stat(file, { bigint: true }).catch(() => undefined);
  if (!found?.isFile() || Number(found.size) !== size || mtimeOf(found) !== mtime) return;
  if (Math.abs(now - mtime) < YOUNG_MS) return;
  store.put(signatureOf(found), content);
}
