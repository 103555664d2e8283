/** Which files of a share are offered, where not all are. */
import { mkdir, rm, symlink, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { PATTERNS_MAX } from '../../lib/limits.js';
import { Chosen } from '../../lib/share/chosen.js';
import type { ShareSpec } from '../../lib/share/entry.js';
import { resolveShare } from '../../lib/share/resolve.js';
import { folder, Offering, write } from './share-help.js';

const FILES = {
  'a.jpg': '',
  'a.txt': '',
  'in/b.jpg': '',
  'in/b.txt': '',
  'in/deep/c.jpg': '',
  'in/deep/c.txt': '',
  'txt/d.txt': '',
  'drafts/e.jpg': '',
  'in/drafts/f.txt': '',
};

/** What is offered of these files. */
const cases: [string, Omit<ShareSpec, 'path' | 'name'>, string[]][] = [
  ['a name at any depth', { only: ['*.jpg'] }, ['a.jpg', 'drafts/e.jpg', 'in/b.jpg', 'in/deep/c.jpg']],
  ['a path, which begins at the share', { only: ['in/*.jpg'] }, ['in/b.jpg']],
  ['a slash at the beginning ties a name to the share', { only: ['/*.jpg'] }, ['a.jpg']],
  ['a folder with all in it', { only: ['deep/'] }, ['in/deep/c.jpg', 'in/deep/c.txt']],
  ['a folder without its slash too', { only: ['in/deep'] }, ['in/deep/c.jpg', 'in/deep/c.txt']],
  ['a slash at the end is a folder and no file', { only: ['a.jpg/', 'txt/'] }, ['txt/d.txt']],
  ['across folders', { only: ['in/**/*.txt'] }, ['in/b.txt', 'in/deep/c.txt', 'in/drafts/f.txt']],
  ['several add up', { only: ['a.txt', 'b.txt'] }, ['a.txt', 'in/b.txt']],
  ['all but these', { exclude: ['*.txt', 'drafts/'] }, ['a.jpg', 'in/b.jpg', 'in/deep/c.jpg']],
  ['left out wins over chosen', { only: ['*.jpg'], exclude: ['in'] }, ['a.jpg', 'drafts/e.jpg']],
  ['nothing fits', { only: ['*.png'] }, []],
];

for (const [title, choice, wanted] of cases) {
  test(`chosen: ${title}`, async (t) => {
    const root = await folder(t);
    await write(root, FILES);
    const offering = await Offering.start(t, { shares: [{ path: root, name: 's', ...choice }] });
    t.deepEqual(
      offering.paths(),
      wanted.map((path) => `s/${path}`),
    );
    t.deepEqual(
      offering.changes.map(({ kind }) => kind).filter((kind) => kind === 'folder'),
      [],
      'no folder is offered in which files were left out',
    );
  });
}

test('an empty folder is offered where it is chosen, and one that only holds what is left out is not', async (t) => {
  const root = await folder(t);
  await write(root, { 'tmp/x.tmp': '', 'all/y.tmp': '', 'all/z': '' });
  await mkdir(join(root, 'empty/deeper'), { recursive: true });
  await mkdir(join(root, 'out/deeper'), { recursive: true });
  const shares = [{ path: root, name: 's', exclude: ['*.tmp', 'deeper/'] }];
  const offering = await Offering.start(t, { shares });
  t.deepEqual(offering.paths(), ['s/all/z']);
  await unlink(join(root, 'all/z'));
  await offering.until(() => !offering.offers.has('s/all/z'));
  await mkdir(join(root, 'new'));
  await offering.until(() => offering.offers.has('s/new'));
  t.deepEqual(offering.paths(), ['s/new'], 'all/ still holds what is left out');
  await write(root, { 'new/late.tmp': '' });
  await write(root, { 'new/late.txt': '' });
  await offering.until(() => offering.offers.has('s/new/late.txt'));
  await unlink(join(root, 'new/late.txt'));
  await offering.until(() => offering.offers.size === 0);
  await offering.catalogue.idle();
  t.deepEqual(offering.paths(), []);
  await unlink(join(root, 'new/late.tmp'));
  await rm(join(root, 'new'), { recursive: true });
  await mkdir(join(root, 'new'));
  await offering.until(() => offering.offers.has('s/new'));

  const only = await Offering.start(t, { shares: [{ path: root, name: 's', only: ['empty/'] }] });
  t.deepEqual(only.paths(), ['s/empty/deeper']);
});

test('a folder that is offered as empty is so no more once something is in it that is left out', async (t) => {
  const root = await folder(t);
  await mkdir(join(root, 'd'));
  const offering = await Offering.start(t, { shares: [{ path: root, name: 's', exclude: ['*.tmp'] }], rescanMs: 100 });
  await offering.until(() => offering.offers.has('s/d'));
  await write(root, { 'd/x.tmp': '' });
  await offering.until(() => offering.offers.size === 0);
  await unlink(join(root, 'd/x.tmp'));
  await offering.until(() => offering.offers.has('s/d'));
  t.deepEqual(offering.paths(), ['s/d']);
});

test('patterns hold for what comes later, deep in a folder, and beside an ignore file', async (t) => {
  const root = await folder(t);
  await write(root, { 'd/keep.jpg': '', 'd/.hearsayignore': 'ignored.*' });
  const offering = await Offering.start(t, { shares: [{ path: root, name: 's', only: ['*.jpg'], exclude: ['x/'] }] });
  t.deepEqual(offering.paths(), ['s/d/keep.jpg']);
  await write(root, { 'd/ignored.jpg': '', 'd/new.txt': '', 'x/y.jpg': '', 'd/x/y.jpg': '', 'd/new.jpg': '' });
  await offering.until(() => offering.offers.has('s/d/new.jpg'));
  await offering.catalogue.idle();
  t.deepEqual(offering.paths(), ['s/d/keep.jpg', 's/d/new.jpg']);
});

(process.platform === 'win32' ? test.skip : test)('what is left out does not come in by a link', async (t) => {
  const root = await folder(t);
  await write(root, { 'secret/x.txt': '', 'secret/sub/y.txt': '', 'z.txt': '' });
  await symlink('secret', join(root, 'open'));
  await symlink('secret/x.txt', join(root, 'x-link.txt'));
  await symlink('z.txt', join(root, 'z-link.txt'));
  const offering = await Offering.start(t, { shares: [{ path: root, name: 's', exclude: ['secret/'] }] });
  t.deepEqual(offering.paths(), ['s/z-link.txt', 's/z.txt']);
  const sub = await Offering.start(t, { shares: [{ path: root, name: 's', exclude: ['secret/sub/'] }] });
  t.deepEqual(
    sub.paths().filter((path) => path.includes('y.txt')),
    [],
  );
  t.true(sub.offers.has('s/open/x.txt'));
});

test('patterns that say nothing, too many of them, and those of one file are refused', async (t) => {
  const usage = { code: 'usage' } as object;
  for (const text of ['', '/', './', '//']) t.throws(() => new Chosen({ only: [text] }), usage, text);
  t.throws(() => new Chosen({ exclude: ['x'.repeat(2000)] }), usage);
  const many = Array.from({ length: PATTERNS_MAX }, (_, i) => `${i}`);
  t.true(new Chosen({ only: many, exclude: many }).excludes('5', false));
  t.throws(() => new Chosen({ only: [...many, 'more'] }), usage);
  const root = await folder(t);
  await write(root, { 'one.txt': '' });
  await t.throwsAsync(resolveShare({ path: 'one.txt', only: ['*'] }, root), usage);
  await t.throwsAsync(resolveShare({ path: '.', as: 's', exclude: [''] }, root), usage);
  t.deepEqual(await resolveShare({ path: '.', as: 's', only: ['*.x'], exclude: [] }, root), {
    path: root,
    name: 's',
    only: ['*.x'],
  });
});
