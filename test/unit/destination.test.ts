import fs from 'node:fs';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import test from 'ava';
import { HearsayError } from '../../lib/errors.js';
import {
  type Dest,
  fixedPart,
  lookAtDest,
  type Naming,
  resolveTargets,
  type Wanted,
} from '../../lib/share/destination.js';

const IN: Dest = { path: path.resolve('/d/in'), kind: 'folder', asFolder: false };
const NEW: Dest = { path: path.resolve('/d/new'), kind: 'absent', asFolder: false };
const NEW_FOLDER: Dest = { ...NEW, asFolder: true };
const FILE: Dest = { path: path.resolve('/d/file'), kind: 'file', asFolder: false };

const EXACT: Naming = { kind: 'file' };

function want(wire: string, naming: Naming = EXACT, more: Partial<Wanted> = {}): Wanted {
  return { path: wire, id: 'a'.repeat(64), folder: false, naming, ...more };
}

/** Root and relative of each target. */
function places(wanted: Wanted[], dest: Dest): [string, string][] {
  return resolveTargets(wanted, dest).map(({ root, relative }) => [root, relative]);
}

test('a file goes into a folder under its name', (t) => {
  t.deepEqual(places([want('s/a/x.jpg')], IN), [[IN.path, 'x.jpg']]);
  t.deepEqual(places([want('x.jpg')], IN), [[IN.path, 'x.jpg']]);
  t.deepEqual(places([want('s/a/x.jpg')], NEW_FOLDER), [[NEW.path, 'x.jpg']]);
});

test('a single file may take a new name, or that of a file that is there', (t) => {
  t.deepEqual(places([want('s/a/x.jpg')], NEW), [[path.resolve('/d'), 'new']]);
  t.deepEqual(places([want('s/a/x.jpg')], FILE), [[path.resolve('/d'), 'file']]);
  t.deepEqual(places([want('s/x'), want('s/x')], NEW), [[path.resolve('/d'), 'new']]);
  t.deepEqual(places([want('s/a/x.jpg', { kind: 'pattern', fixed: 's' })], NEW), [[path.resolve('/d'), 'new']]);
});

test('a folder goes as DEST/name/..., also when it holds one file, also into a DEST that is new', (t) => {
  const naming: Naming = { kind: 'folder', folder: 's/a' };
  const wanted = [want('s/a/x', naming), want('s/a/sub/y', naming), want('s/a/empty', naming, { folder: true })];
  for (const dest of [IN, NEW, NEW_FOLDER]) {
    t.deepEqual(
      places(wanted, dest).map(([, relative]) => relative),
      ['a/x', 'a/sub/y', 'a/empty'],
    );
    t.is(places(wanted.slice(0, 1), dest)[0][0], dest.path);
  }
  t.deepEqual(places([want('s/x', { kind: 'folder', folder: 's' })], IN), [[IN.path, 's/x']]);
});

test('what a pattern matches goes by its path below the fixed part', (t) => {
  t.is(fixedPart('photos/2024/*.jpg'), 'photos/2024');
  t.is(fixedPart('photos/*/x*.jpg'), 'photos');
  t.is(fixedPart('**/*.txt'), '');
  t.is(fixedPart('*'), '');
  t.is(fixedPart('photos/20*/a/b'), 'photos');
  const jpg: Naming = { kind: 'pattern', fixed: 'photos/2024' };
  t.deepEqual(places([want('photos/2024/x.jpg', jpg)], IN), [[IN.path, 'x.jpg']]);
  const all: Naming = { kind: 'pattern', fixed: '' };
  t.deepEqual(places([want('a/b/x.txt', all), want('c/x.txt', all)], NEW), [
    [NEW.path, 'a/b/x.txt'],
    [NEW.path, 'c/x.txt'],
  ]);
});

test('two results for one place: a conflict that names both', (t) => {
  const error = t.throws(() => resolveTargets([want('a/x'), want('b/x')], IN), { instanceOf: HearsayError });
  t.is(error.code, 'conflict');
  t.regex(error.message, /a\/x and b\/x would both land at .*x/);
  const two = [want('a/x', EXACT, { id: '1'.repeat(64) }), want('a/x', EXACT, { id: null })];
  t.regex(t.throws(() => resolveTargets(two, IN)).message, /a\/x \(#111111111111\) and a\/x \(not hashed yet\)/);
  t.throws(() => resolveTargets([want('a/x'), want('b/x', EXACT, { folder: true })], IN), { message: /both land/ });
});

test('the same thing named twice is taken once; two peers’ empty folders are one', (t) => {
  t.is(places([want('a/x'), want('a/x')], IN).length, 1);
  const folders: Naming = { kind: 'pattern', fixed: '' };
  t.is(
    places([want('a/e', folders, { folder: true }), want('a/e', folders, { folder: true, id: null })], IN).length,
    1,
  );
  // Under its own name and within its folder: two places.
  t.deepEqual(
    places([want('a/x'), want('a/x', { kind: 'folder', folder: 'a' })], IN).map(([, r]) => r),
    ['x', 'a/x'],
  );
});

test('several files, or a folder, do not fit into a file', (t) => {
  const folder: Naming = { kind: 'folder', folder: 'a' };
  for (const wanted of [[want('a/x'), want('a/y')], [want('a/x', folder)], [want('a', EXACT, { folder: true })]]) {
    t.throws(() => resolveTargets(wanted, FILE), { instanceOf: HearsayError, code: 'in-the-way' });
  }
});

test('nothing wanted goes nowhere', (t) => {
  t.deepEqual(places([], IN), []);
  t.deepEqual(places([], NEW), []);
});

test('what DEST is on the disk', async (t) => {
  const base = await realpath(await mkdtemp(path.join(os.tmpdir(), 'hearsay-dest-')));
  t.teardown(() => rm(base, { recursive: true, force: true }));
  fs.writeFileSync(path.join(base, 'file'), '');
  fs.symlinkSync(base, path.join(base, 'link'), 'junction');
  t.deepEqual(await lookAtDest(base), { path: base, kind: 'folder', asFolder: false });
  t.deepEqual(await lookAtDest(`${base}/`), { path: base, kind: 'folder', asFolder: true });
  t.deepEqual(await lookAtDest(path.join(base, 'link')), {
    path: path.join(base, 'link'),
    kind: 'folder',
    asFolder: false,
  });
  t.deepEqual(await lookAtDest(path.join(base, 'file')), {
    path: path.join(base, 'file'),
    kind: 'file',
    asFolder: false,
  });
  t.deepEqual(await lookAtDest(`${base}/new/`), { path: path.join(base, 'new'), kind: 'absent', asFolder: true });
  t.deepEqual(await lookAtDest(path.join(base, 'a', 'b')), {
    path: path.join(base, 'a', 'b'),
    kind: 'absent',
    asFolder: false,
  });
  t.is((await lookAtDest(path.parse(base).root)).kind, 'folder');
  await t.throwsAsync(lookAtDest(`${path.join(base, 'file')}/`), { instanceOf: HearsayError, code: 'in-the-way' });
  await t.throwsAsync(lookAtDest(path.join(base, 'file', 'x', 'y')), { instanceOf: HearsayError, code: 'in-the-way' });
});
