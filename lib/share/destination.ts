/**
 * Where each thing that is fetched goes, by DEST as the user gave it. The arithmetic is pure; only `lookAtDest` asks
 * the disk. What a path may be and whether the disk can hold it is `Place`'s to say.
 */
import { stat } from 'node:fs/promises';
import { basename, dirname, join, parse, resolve, sep } from 'node:path';
import { HearsayError } from '../errors.js';
import { codeOf, diskError } from './place-errors.js';

/** By what a thing was asked for: decides which part of its path it keeps. */
export type Naming =
  /** An exact path, a content id or a unique name: the file's own name. */
  | { kind: 'file' }
  /** `a/b/`: `folder` is `a/b`, and what is in it goes to `b/...`. */
  | { kind: 'folder'; folder: string }
  /** A pattern: `fixed` is its part without wildcards, and what it matches goes by the path below that. */
  | { kind: 'pattern'; fixed: string }
  /** It goes to this path, whatever its own is. */
  | { kind: 'as'; path: string };

/** A thing to be fetched. */
export interface Wanted {
  /** Wire path. */
  path: string;
  /** Content id where it is known. */
  id: string | null;
  /** An (empty) folder rather than a file. */
  folder: boolean;
  naming: Naming;
}

/** What DEST is. */
export interface Dest {
  /** Absolute, without a separator at its end. */
  path: string;
  kind: 'folder' | 'file' | 'absent';
  /** A folder is meant, whether it is there or not. */
  asFolder: boolean;
}

/** A thing to be fetched and where it goes. */
export interface Target<W extends Wanted> {
  wanted: W;
  /** Absolute folder of the user's choice: a `Place`. */
  root: string;
  /** Wire path below it. */
  relative: string;
}

/** The folders of a pattern that are before its first wildcard: `photos/2024/*.jpg` has `photos/2024`. */
export function fixedPart(pattern: string): string {
  const segments = pattern.split('/');
  const wild = segments.findIndex((segment) => segment.includes('*'));
  return segments.slice(0, wild < 0 ? -1 : wild).join('/');
}

/**
 * Looks what DEST is. A link counts as what it points to: it is the user's own choice.
 * @param to absolute, or relative to the current folder; a separator at its end says that a folder is meant
 * @throws HearsayError `in-the-way` where a folder is meant and a file is there, or what the disk says
 */
export async function lookAtDest(to: string): Promise<Dest> {
  const path = resolve(to);
  const asFolder = to === '' || to.endsWith('/') || to.endsWith(sep) || parse(path).root === path;
  let kind: Dest['kind'];
  try {
    kind = (await stat(path)).isDirectory() ? 'folder' : 'file';
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOTDIR') throw new HearsayError('in-the-way', `${path}: a file stands where a folder must be`);
    if (code !== 'ENOENT') throw diskError(error, path);
    kind = 'absent';
  }
  if (asFolder && kind === 'file') throw new HearsayError('in-the-way', `${path} is a file, not a folder`);
  return { path, kind, asFolder };
}

function relativeOf({ path, naming }: Wanted): string {
  const name = path.slice(path.lastIndexOf('/') + 1);
  if (naming.kind === 'as') return naming.path;
  if (naming.kind === 'file') return name;
  const above = naming.kind === 'folder' ? naming.folder.split('/').slice(0, -1).join('/') : naming.fixed;
  if (above === '') return path;
  return path.startsWith(`${above}/`) ? path.slice(above.length + 1) : name;
}

/**
 * Where each thing goes. A thing that is named twice is taken once.
 * @throws HearsayError `conflict` where two things would have one place, naming both; `in-the-way` where DEST is a file
 * and more than one file, or a folder, is fetched
 */
export function resolveTargets<W extends Wanted>(wanted: readonly W[], dest: Dest): Target<W>[] {
  const one = new Map(wanted.map((w) => [`${w.path}\0${w.id}`, w]));
  const isOwn = (w: W) => w.naming.kind !== 'folder' && w.naming.kind !== 'as';
  const single = one.size === 1 && !wanted[0].folder && wanted.every(isOwn);
  if (!dest.asFolder && dest.kind !== 'folder' && single) {
    return [{ wanted: wanted[0], root: dirname(dest.path), relative: basename(dest.path) }];
  }
  if (dest.kind === 'file') {
    throw new HearsayError('in-the-way', `${dest.path} is a file; more than one file needs a folder`);
  }
  const targets = new Map<string, Target<W>>();
  for (const w of wanted) {
    const relative = relativeOf(w);
    const other = targets.get(relative);
    if (!other) targets.set(relative, { wanted: w, root: dest.path, relative });
    else if (!isOne(other.wanted, w)) throw conflict(other.wanted, w, join(dest.path, ...relative.split('/')));
  }
  return [...targets.values()];
}

function isOne(a: Wanted, b: Wanted): boolean {
  return (a.folder && b.folder) || (a.path === b.path && a.id === b.id && a.folder === b.folder);
}

function conflict(a: Wanted, b: Wanted, place: string): HearsayError {
  const [first, second] = a.path === b.path ? [nameWithId(a), nameWithId(b)] : [a.path, b.path];
  return new HearsayError('conflict', `${first} and ${second} would both land at ${place}`);
}

function nameWithId({ path, id }: Wanted): string {
  return id === null ? `${path} (not hashed yet)` : `${path} (#${id.slice(0, 12)})`;
}
