/**
 * What is to be shared, as people say it, checked and named: one by one, and together.
 * Owns nothing. Always true: what passes has a name that can go on the wire, and its patterns can be read. Called by who
 * starts a peer, and by who changes its shares.
 */
import { access, constants, opendir, realpath, stat } from 'node:fs/promises';
import { basename, resolve, sep } from 'node:path';
import { HearsayError, reasonOf } from '../errors.js';
import { ALLOWED_MAX, SHARES_MAX } from '../limits.js';
import { printable, segmentFault } from '../names.js';
import { Chosen } from './chosen.js';
import type { ShareSpec } from './entry.js';

/**
 * A path to share as a person gives it, how to call it, for whom it is where not for everyone, and which files of it where
 * not all: see Chosen.
 */
export type SharePath =
  | string
  | {
      path: string;
      as?: string | undefined;
      for?: readonly string[] | undefined;
      only?: readonly string[] | undefined;
      exclude?: readonly string[] | undefined;
    };

/**
 * Checks what is to be shared, and names it.
 * @param paths files and folders, absolute or relative to `cwd`
 * @param cwd absolute
 * @param mayMiss whether a path that is not there is taken all the same: it may be on a disk that is to come
 * @throws HearsayError `no-such-path`, `not-readable` where a path is not there, cannot be read or is neither file nor folder;
 *   `usage` where it has no name that could be shared, two have the same, or one that is for some only lies within one that
 *   others may read too; `limit` where there are too many
 */
export async function resolveShares(paths: readonly SharePath[], cwd: string, mayMiss = false): Promise<ShareSpec[]> {
  const specs: ShareSpec[] = [];
  for (const one of paths) {
    const spec = await resolveShare(one, cwd, mayMiss);
    // The same twice is once.
    if (!specs.some((known) => isSameShare(known, spec))) specs.push(spec);
  }
  await checkTogether(specs);
  return specs;
}

/** The same for one, whatever else is shared. @throws as resolveShares */
export async function resolveShare(one: SharePath, cwd: string, mayMiss = false): Promise<ShareSpec> {
  const { path: given, as, for: named, only, exclude } = typeof one === 'string' ? { path: one } : one;
  const path = resolve(cwd, given);
  const isFile = await checkReadable(path, 'share', mayMiss);
  const name = as ?? basename(path);
  const fault = segmentFault(name);
  if (fault) {
    const what = as === undefined ? `${printable(path)} cannot be shared under its own name` : 'cannot share as that';
    throw new HearsayError('usage', `${what} (${fault}): name it with --as NAME`);
  }
  const { isAll } = new Chosen({ only, exclude });
  if (isFile && !isAll) {
    throw new HearsayError('usage', `${printable(path)} is one file: patterns choose among the files of a folder`);
  }
  const spec: ShareSpec = { path, name };
  if (named) spec.for = audience(path, named);
  if (only && only.length > 0) spec.only = [...only];
  if (exclude && exclude.length > 0) spec.exclude = [...exclude];
  return spec;
}

/** Whether two are one: the same path under the same name, for the same peers, with the same files of it. */
export function isSameShare(a: ShareSpec, b: ShareSpec): boolean {
  const isSame = a.path === b.path && a.name === b.name;
  return isSame && sameList(a.for, b.for) && sameList(a.only, b.only) && sameList(a.exclude, b.exclude);
}

/** Whether these can be shared at once. @throws HearsayError `usage`, `limit` as resolveShares */
export async function checkTogether(specs: readonly ShareSpec[]): Promise<void> {
  if (specs.length > SHARES_MAX)
    throw new HearsayError('limit', `over ${SHARES_MAX} shares: share a folder around them`);
  checkNames(specs);
  await checkNested(specs);
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

function sameList(a: readonly string[] | undefined, b: readonly string[] | undefined): boolean {
  return a === b || (a?.length === b?.length && a?.every((text) => b?.includes(text)) === true);
}

/** A folder that is for some only would be read by others through a share around it. */
async function checkNested(specs: readonly ShareSpec[]): Promise<void> {
  if (!specs.some((spec) => spec.for)) return;
  const real = await Promise.all(specs.map(({ path }) => realpath(path).catch(() => path)));
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

/**
 * Looks whether a file or folder is there and can be read.
 * @param verb what is to be done with it, for the message
 * @param mayMiss whether one that is not there passes
 * @returns whether it is one file
 * @throws HearsayError `no-such-path`, `not-readable`
 */
export async function checkReadable(path: string, verb: 'share' | 'send', mayMiss = false): Promise<boolean> {
  try {
    const stats = await stat(path);
    if (stats.isDirectory()) await (await opendir(path)).close();
    else if (stats.isFile()) await access(path, constants.R_OK);
    else throw new HearsayError('not-readable', `cannot ${verb} ${printable(path)}: neither a file nor a folder`);
    return stats.isFile();
  } catch (thrown) {
    if (thrown instanceof HearsayError) throw thrown;
    if (mayMiss) return false;
    const code = (thrown as NodeJS.ErrnoException).code;
    const kind = code === 'ENOENT' || code === 'ENOTDIR' ? 'no-such-path' : 'not-readable';
    throw new HearsayError(kind, `cannot ${verb} ${printable(path)}: ${reasonOf(thrown)}`, { cause: thrown });
  }
}
