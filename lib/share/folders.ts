import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Makes a folder and those above it that are lacking, one after another: Node's own recursive way never ends where a
 * system says ENOENT although the folder above is there, as /proc does.
 * @param path absolute
 * @throws what the system says
 */
export async function makeFolders(path: string, mode?: number): Promise<void> {
  if (await make(path, mode)) return;
  const above = dirname(path);
  // Where the folder above is there, making it would change nothing; but somebody else may have made it just now.
  const isThere = above === path || (await stat(above).catch(() => undefined)) !== undefined;
  if (!isThere) await makeFolders(above, mode);
  if (await make(path, mode)) return;
  throw Object.assign(new Error(`ENOENT: no such file or directory, mkdir '${path}'`), { code: 'ENOENT' });
}

/** Whether it is there now; false where what is above it is lacking. */
async function make(path: string, mode?: number): Promise<boolean> {
  try {
    await mkdir(path, mode);
    return true;
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    if (code === 'ENOENT') return false;
    // It was there, or another process made it at the same moment.
    if (code === 'EEXIST' && (await stat(path)).isDirectory()) return true;
    throw thrown;
  }
}
