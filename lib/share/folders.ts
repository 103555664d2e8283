import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Makes a folder and those above it that are lacking, one after another: Node's own recursive way never ends where a
 * system says ENOENT although the folder above is there, as /proc does.
 * @param path absolute
 * @throws what the system says
 */
export async function makeFolders(path: string, mode?: number): Promise<void> {
  const make = () => mkdir(path, mode);
  try {
    await make();
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    if (code === 'EEXIST') {
      if ((await stat(path)).isDirectory()) return;
      throw thrown;
    }
    const above = dirname(path);
    if (code !== 'ENOENT' || above === path) throw thrown;
    // Where the folder above is there, making it would change nothing.
    if (await stat(above).catch(() => undefined)) throw thrown;
    await makeFolders(above, mode);
    await make();
  }
}
