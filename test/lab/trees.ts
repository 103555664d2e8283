/** Files and folders for the lab's tests, quickly made, and how they are compared. */
import { execFile } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { existsSync, readdirSync, statfsSync } from 'node:fs';
import { lstat, mkdir, mkdtemp, open, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { freemem, tmpdir } from 'node:os';
import { basename, dirname, join, sep } from 'node:path';

export const KIB = 1024;
export const MIB = 1024 * KIB;
export const GIB = 1024 * MIB;

/** Every folder is named PREFIX-PID-RANDOM: PID tells whether its run is still there. */
const PREFIX = 'hearsay-scratch';
/** Memory that the programs and the system are left with where files are kept in it. */
const SPARE = 2 * GIB;

/**
 * A folder for files of so many bytes in all, in memory where there is room, so that the test measures the network and not
 * the disk. The caller removes it; what a killed run left behind is removed by the next.
 */
export async function scratch(bytes: number): Promise<string> {
  const places = ['/dev/shm', tmpdir()].filter((place) => existsSync(place));
  for (const place of places) {
    for (const name of readdirSync(place)) {
      const pid = new RegExp(`^${PREFIX}-(\\d+)-`).exec(name)?.[1];
      if (pid && !existsSync(`/proc/${pid}`)) await rm(join(place, name), { recursive: true, force: true });
    }
  }
  const roomy = places.find((place) => {
    const { bavail, bsize } = statfsSync(place);
    return bavail * bsize > bytes * 1.1 && (place !== '/dev/shm' || freemem() > bytes + SPARE);
  });
  return mkdtemp(join(roomy ?? tmpdir(), `${PREFIX}-${process.pid}-`));
}

const noise = Buffer.alloc(MIB);

/** Bytes that no other call gave: the same noise, with a mark of their own in every 4 KiB. */
function content(bytes: number, mark: string, at: number): Buffer {
  if (noise[0] === 0 && noise[1] === 0) randomFillSync(noise);
  const data = Buffer.from(noise.subarray(0, bytes));
  for (let i = 0; i + 32 <= bytes; i += 4096) data.write(`${mark} ${at + i}`.slice(-32), i, 'latin1');
  return data;
}

/** Makes a file of so many bytes, no two of its chunks alike. Its folder is made too. */
export async function bigFile(path: string, bytes: number): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const handle = await open(path, 'w');
  try {
    for (let at = 0; at < bytes; at += MIB) await handle.write(content(Math.min(MIB, bytes - at), basename(path), at));
  } finally {
    await handle.close();
  }
}

/** Makes many files of one size, 200 to a folder, no two alike. */
export async function manyFiles(folder: string, count: number, bytes: number): Promise<void> {
  const perFolder = 200;
  for (let first = 0; first < count; first += perFolder) {
    const into = join(folder, `folder ${first / perFolder}`);
    await mkdir(into, { recursive: true });
    const last = Math.min(count, first + perFolder);
    const numbers = Array.from({ length: last - first }, (_, i) => first + i);
    await Promise.all(numbers.map((n) => writeFile(join(into, `file ${n}`), content(bytes, `file ${n}`, 0))));
  }
}

/** Names that are legal on Linux, and that something on the way may stumble over. */
const HOSTILE_NAMES = [
  'new\nline',
  'tab\tand\rreturn',
  'bell\u0007escape\u001b[31m',
  'emoji 🦊👨‍👩‍👧',
  'right to left \u202egnp.exe',
  'שלום',
  'a'.repeat(255),
  `${'🦊'.repeat(63)}abc`,
  '-rf',
  '--help',
  ' leading and trailing ',
  'caf\u00e9',
  'cafe\u0301',
  'a % sign %00 %2e%2e%2f',
  'CON',
  'con.txt',
  'NUL',
  'back\\slash',
  'C:',
  'PEER:x',
  '01ARZ3NDEKTSV4RRFFQ69G5FAV:x',
  '"quotes" \'and\' `ticks`',
  '$(touch x)',
  '$HOME',
  '*',
  '**',
  '[a]',
  '?',
  '#',
  '#0123456789abcdef',
  'ends in a dot.',
  'ends in a space ',
  '~',
  '~root',
  'a;b&c|d<e>f',
  '__proto__',
  'constructor',
  '\u{10ffff}',
  '\ufeffbom',
];

/** Sizes round those of a block and of both sizes of chunk. */
const SIZES = [0, 1, 4096, 65_535, 65_536, 262_143, 262_144, 262_145, 524_288, 524_289, MIB, MIB + 1];

/** What of a tree is not shared by rule: paths relative to its root. */
export interface Unshared {
  /** Dotfiles, links that lead outside or nowhere, and a second link to one folder. */
  left: string[];
  /** Links that lead to a file or folder within: what they lead to arrives in their place. */
  followed: string[];
}

/** Makes a tree of hostile but legal names and sizes; `outside` is a folder beside it that a link leads to. */
export async function hostileTree(folder: string, outside: string): Promise<Unshared> {
  await mkdir(join(folder, 'names'), { recursive: true });
  await mkdir(outside, { recursive: true });
  await writeFile(join(outside, 'secret'), 'not to be shared');
  for (const [i, name] of HOSTILE_NAMES.entries()) {
    await writeFile(join(folder, 'names', name), `file ${i} is called ${JSON.stringify(name)}`);
    // The same name as a folder, with something in it; a large one now and then, which travels otherwise.
    const within = join(folder, 'folders', name);
    await mkdir(within, { recursive: true });
    await writeFile(join(within, name), i % 8 === 0 ? content(300_000, name, 0) : `in folder ${i}`);
  }
  await mkdir(join(folder, 'sizes'));
  for (const size of SIZES) await bigFile(join(folder, 'sizes', `${size} bytes`), size);
  // Beyond 128 MiB chunks are of 1 MiB: one byte in the last of them.
  await bigFile(join(folder, 'sizes', 'large chunks and one byte'), 129 * MIB + 1);
  await bigFile(join(folder, 'sizes', 'large chunks exactly'), 129 * MIB);
  for (const empty of ['empty folder', 'empty in\nfolder/another 🦊']) {
    await mkdir(join(folder, empty), { recursive: true });
  }
  await mkdir(join(folder, '.hidden folder'));
  await writeFile(join(folder, '.hidden folder', 'x'), 'not shared');
  for (const dotted of ['.hidden', '...', '..\\up']) await writeFile(join(folder, 'names', dotted), 'not shared');
  await symlink(join(outside, 'secret'), join(folder, 'link out'));
  await symlink(outside, join(folder, 'folder out'));
  await symlink('../..', join(folder, 'names', 'link up'));
  await symlink('nowhere', join(folder, 'broken link'));
  await symlink('sizes/1 bytes', join(folder, 'link within'));
  await symlink('folders', join(folder, 'link to a folder'));
  await symlink('folders', join(folder, 'second link to a folder'));
  return {
    left: [
      '.hidden folder',
      'broken link',
      'folder out',
      'link out',
      'names/...',
      'names/..\\up',
      'names/.hidden',
      'names/link up',
      'second link to a folder',
    ],
    followed: ['link to a folder', 'link within'],
  };
}

/** Runs diff; its lines, none where the trees are equal. */
export async function diff(a: string, b: string): Promise<string[]> {
  const stdout = await new Promise<string>((resolve, reject) => {
    const env = { ...process.env, LC_ALL: 'C', QUOTING_STYLE: 'literal' };
    execFile('diff', ['-rq', '--no-dereference', a, b], { env, maxBuffer: 64 * MIB }, (error, out, err) => {
      if (error && error.code !== 1) reject(new Error(err || error.message));
      else resolve(out);
    });
  });
  return stdout.split('\n').filter((line) => line !== '');
}

/** How two trees differ, as `diff -rq --no-dereference` tells it. Names of either must not hold newlines. */
export interface Difference {
  /** Relative paths that only the first has. */
  left: string[];
  /** Links of the first that are something else in the second. */
  followed: string[];
  /** Whatever else. */
  other: string[];
}

/** Compares a tree with its copy. */
export async function differences(from: string, to: string): Promise<Difference> {
  const found: Difference = { left: [], followed: [], other: [] };
  for (const line of await diff(from, to)) {
    const only = line.startsWith(`Only in ${from}`) && /^(|\/.*?): (.*)$/.exec(line.slice(8 + from.length));
    const link = /^File (.*) is a symbolic link while file .* is a (?:regular (?:empty )?file|directory)$/.exec(line);
    if (only) found.left.push(`${only[1]}/${only[2]}`.slice(1));
    else if (link) found.followed.push(link[1].slice(from.length + 1));
    else found.other.push(line);
  }
  found.left.sort();
  found.followed.sort();
  return found;
}

/**
 * Whether something is not shared by rule: a dotfile, or a link that leads out of the share, upwards or nowhere.
 * @param followed links that were followed: another one to the same folder is not
 */
export async function isUnshared(root: string, path: string, followed: readonly string[] = []): Promise<boolean> {
  if (basename(path).startsWith('.')) return true;
  const targetOf = (file: string) => realpath(file).catch(() => undefined);
  const file = join(root, path);
  if (!(await lstat(file)).isSymbolicLink()) return false;
  const [target, whole, ...others] = await Promise.all(
    [file, root, ...followed.map((one) => join(root, one))].map(targetOf),
  );
  if (target === undefined || !target.startsWith(whole + sep)) return true;
  return file.startsWith(target + sep) || target.slice(whole?.length).includes('/.') || others.includes(target);
}
