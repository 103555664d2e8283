import { access, constants, opendir, realpath, stat } from 'node:fs/promises';
import { basename, resolve, sep } from 'node:path';
import { HearsayError } from '../errors.js';
import { ALLOWED_MAX } from '../limits.js';
import { printable, segmentFault } from '../names.js';
import type { ShareSpec } from './entry.js';

/** A path to share as a person gives it, how to call it, and for whom it is where not for everyone. */
export type SharePath = string | { path: string; as?: string | undefined; for?: readonly string[] | undefined };

/**
 * Checks what is to be shared, and names it.
 * @param paths files and folders, absolute or relative to `cwd`
 * @param cwd absolute
 * @throws HearsayError `not-readable` where a path is not there, cannot be read or is neither file nor folder; `usage`
 *   where it has no name that could be shared, two have the same, or one that is for some only lies within one that others
 *   may read too
 */
export async function resolveShares(paths: readonly SharePath[], cwd: string): Promise<ShareSpec[]> {
  const specs: ShareSpec[] = [];
  for (const one of paths) {
    const { path: given, as, for: named } = typeof one === 'string' ? { path: one } : one;
    const path = resolve(cwd, given);
    await checkReadable(path);
    const name = as ?? basename(path);
    const fault = segmentFault(name);
    if (fault) {
      const what = as === undefined ? `${printable(path)} cannot be shared under its own name` : 'cannot share as that';
      throw new HearsayError('usage', `${what} (${fault}): name it with --as NAME`);
    }
    const whose = named && audience(path, named);
    // The same twice is once.
    if (!specs.some((spec) => spec.path === path && spec.name === name && sameAudience(spec.for, whose))) {
      specs.push({ path, name, ...(whose ? { for: whose } : {}) });
    }
  }
  checkNames(specs);
  await checkNested(specs);
  return specs;
}

/** Names as they are compared, each once. */
function audience(path: string, named: readonly string[]): string[] {
  const names = new Set(named.map((name) => name.normalize('NFC')));
  if (names.size === 0 || names.has('')) {
    throw new HearsayError('usage', `${printable(path)} is shared for nobody: name peers, or share it with everyone`);
  }
  if (names.size > ALLOWED_MAX) throw new HearsayError('usage', `over ${ALLOWED_MAX} peers for ${printable(path)}`);
  return [...names];
}

function sameAudience(a: readonly string[] | undefined, b: readonly string[] | undefined): boolean {
  return a === b || (a?.length === b?.length && a?.every((name) => b?.includes(name)) === true);
}

/** A folder that is for some only would be read by others through a share around it. */
async function checkNested(specs: readonly ShareSpec[]): Promise<void> {
  if (!specs.some((spec) => spec.for)) return;
  const real = await Promise.all(specs.map(({ path }) => realpath(path)));
  for (const [i, inner] of specs.entries()) {
    for (const [j, outer] of specs.entries()) {
      if (i === j || !inner.for || !(real[i] === real[j] || real[i].startsWith(real[j] + sep))) continue;
      const others = outer.for?.filter((name) => !inner.for?.includes(name)) ?? ['everyone'];
      if (others.length === 0) continue;
      const both = `${printable(inner.path)} is for ${inner.for.map(printable).join(', ')} only, but lies within`;
      const who = others.map(printable).join(', ');
      throw new HearsayError('usage', `${both} ${printable(outer.path)}, which ${who} may read too`);
    }
  }
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
