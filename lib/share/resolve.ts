import { access, constants, opendir, stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { HearsayError } from '../errors.js';
import { printable, segmentFault } from '../names.js';
import type { ShareSpec } from './entry.js';

/** A path to share as a person gives it, and how to call it. */
export type SharePath = string | { path: string; as?: string | undefined };

/**
 * Checks what is to be shared, and names it.
 * @param paths files and folders, absolute or relative to `cwd`
 * @param cwd absolute
 * @throws HearsayError `not-readable` where a path is not there, cannot be read or is neither file nor folder; `usage`
 *   where it has no name that could be shared, or two have the same
 */
export async function resolveShares(paths: readonly SharePath[], cwd: string): Promise<ShareSpec[]> {
  const specs: ShareSpec[] = [];
  for (const one of paths) {
    const { path: given, as } = typeof one === 'string' ? { path: one, as: undefined } : one;
    const path = resolve(cwd, given);
    await checkReadable(path);
    const name = as ?? basename(path);
    const fault = segmentFault(name);
    if (fault) {
      const what = as === undefined ? `${printable(path)} cannot be shared under its own name` : 'cannot share as that';
      throw new HearsayError('usage', `${what} (${fault}): name it with --as NAME`);
    }
    // The same twice is once.
    if (!specs.some((spec) => spec.path === path && spec.name === name)) specs.push({ path, name });
  }
  checkNames(specs);
  return specs;
}

/** @throws HearsayError `usage` where two shares have one name */
export function checkNames(specs: readonly ShareSpec[]): void {
  const named = new Map<string, string>();
  for (const { name, path } of specs) {
    const other = named.get(name);
    if (other !== undefined) {
      const both = `${printable(other)} and ${printable(path)}`;
      throw new HearsayError('usage', `two shares named ${printable(name)}: ${both}; name one with --as NAME`);
    }
    named.set(name, path);
  }
}

async function checkReadable(path: string): Promise<void> {
  try {
    const stats = await stat(path);
    if (stats.isDirectory()) await (await opendir(path)).close();
    else if (stats.isFile()) await access(path, constants.R_OK);
    else throw new HearsayError('not-readable', `cannot share ${printable(path)}: neither a file nor a folder`);
  } catch (thrown) {
    if (thrown instanceof HearsayError) throw thrown;
    const code = (thrown as NodeJS.ErrnoException).code;
    const why = code === 'ENOENT' ? 'there is no such file or folder' : (code ?? String(thrown));
    const kind = code === 'ENOENT' || code === 'ENOTDIR' ? 'no-such-path' : 'not-readable';
    throw new HearsayError(kind, `cannot share ${printable(path)}: ${why}`, { cause: thrown });
  }
}
