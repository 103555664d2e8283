import { watch as realWatch, type watch, writeFileSync } from 'node:fs';
import { mkdir, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { resolveShares } from '../../lib/share/resolve.js';
import { deaf, folder, Offering, write } from './share-help.js';

const coded = (code: string, message?: RegExp) =>
  ({ name: 'HearsayError', code, ...(message && { message }) }) as object;
const failing = (code: string) =>
  ((...args: Parameters<typeof watch>) => {
    throw Object.assign(new Error(`${code}: ${args[0]}`), { code });
  }) as unknown as typeof watch;

test('where the system lets nothing be watched, it says so once and looks now and then', async (t) => {
  const root = await folder(t);
  await write(root, { 'a/x': 'x', 'b/y': 'y' });
  const offering = await Offering.start(t, {
    shares: [{ path: root, name: 's' }],
    watch: { way: 'folders', watcher: failing('ENOSPC'), pollMs: 50 },
  });
  t.is(offering.warnings.length, 1);
  t.regex(offering.warnings[0], /ENOSPC.*every 0.05 s/);
  await write(root, { 'a/new': 'new' });
  await offering.until(() => offering.offers.has('s/a/new'));
  await unlink(join(root, 'a/x'));
  await offering.until(() => !offering.offers.has('s/a/x'));
  t.is(offering.warnings.length, 1);
});

test('what happens in a folder after it was read and before it is watched is not missed', async (t) => {
  const root = await folder(t);
  await write(root, { 'a/x': 'x' });
  const late = ((file: string, listener: () => void) => {
    writeFileSync(join(file, 'unseen'), 'came before the watcher');
    return realWatch(file, listener);
  }) as unknown as typeof watch;
  const offering = await Offering.start(t, {
    shares: [{ path: root, name: 's' }],
    watch: { way: 'folders', watcher: late },
  });
  await offering.until(() => offering.offers.has('s/unseen') && offering.offers.has('s/a/unseen'));
  t.deepEqual(offering.warnings, []);
});

test('everything is looked at now and then although nothing was told', async (t) => {
  const root = await folder(t);
  await write(root, { x: 'x' });
  const offering = await Offering.start(t, {
    shares: [{ path: root, name: 's' }],
    watch: { way: 'folders', watcher: deaf },
    rescanMs: 100,
  });
  await write(root, { y: 'y' });
  await offering.until(() => offering.offers.has('s/y'));
  t.deepEqual(offering.warnings, []);
});

test('the way of macOS and Windows: the system watches the whole tree', async (t) => {
  const root = await folder(t);
  await write(root, { 'a/x': 'x' });
  const offering = await Offering.start(t, { shares: [{ path: root, name: 's' }], watch: { way: 'tree' } });
  await offering.catalogue.idle();
  await write(root, { 'a/new': 'new' });
  await offering.until(() => offering.offers.has('s/a/new'));
  await rename(join(root, 'a/new'), join(root, 'a/renamed'));
  await offering.until(() => offering.offers.has('s/a/renamed') && !offering.offers.has('s/a/new'));
  await write(root, { 'a/.hearsayignore': 'x' });
  await offering.until(() => !offering.offers.has('s/a/x'));
  await unlink(join(root, 'a/.hearsayignore'));
  await offering.until(() => offering.offers.has('s/a/x'));
  t.deepEqual(offering.warnings, []);
});

test('shares are named by their last segment, or as they are told to be', async (t) => {
  const root = await folder(t);
  await write(root, { 'dir/f.txt': '' });
  t.deepEqual(await resolveShares(['dir/', { path: 'dir/f.txt' }, { path: join(root, 'dir'), as: 'other' }], root), [
    { path: join(root, 'dir'), name: 'dir' },
    { path: join(root, 'dir', 'f.txt'), name: 'f.txt' },
    { path: join(root, 'dir'), name: 'other' },
  ]);
  t.deepEqual(await resolveShares(['.'], join(root, 'dir')), [{ path: join(root, 'dir'), name: 'dir' }]);
});

test('what cannot be shared is refused with a word why', async (t) => {
  const root = await folder(t);
  await mkdir(join(root, 'a'));
  await mkdir(join(root, 'b/a'), { recursive: true });
  await t.throwsAsync(resolveShares(['none'], root), coded('no-such-path', /none: there is no such file/));
  await t.throwsAsync(resolveShares(['a/b/c'], root), coded('no-such-path'));
  await t.throwsAsync(resolveShares(['a', 'b/a'], root), coded('usage', /two shares named a.*--as/));
  t.is((await resolveShares(['a', 'a/'], root)).length, 1, 'the same twice is once');
  await t.throwsAsync(resolveShares(['/'], root), coded('usage', /--as/));
  t.is((await resolveShares([{ path: '/', as: 'all' }], root))[0].name, 'all');
  for (const as of ['', '.', '..', 'a/b', 'nul\0', 'x'.repeat(256)]) {
    await t.throwsAsync(resolveShares([{ path: 'a', as }], root), coded('usage'), as);
  }
  if (process.platform !== 'win32') await t.throwsAsync(resolveShares(['/dev/null'], root), coded('not-readable'));
});
