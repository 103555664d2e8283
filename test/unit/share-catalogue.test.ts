import {
  appendFile,
  mkdir,
  readFile,
  rename,
  rm,
  symlink,
  truncate,
  unlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { blake3 } from '../../lib/hash.js';
import { Catalogue } from '../../lib/share/catalogue.js';
import { HashStore } from '../../lib/share/store.js';
import { contentId, idOfSmall } from '../../lib/transfer/content.js';
import { deaf, folder, Offering, write } from './share-help.js';

const onUnix = process.platform === 'win32' ? test.skip : test;
const ids = (offering: Offering) => [...offering.offers.values()].map(({ id }) => id);

async function store(t: ExecutionContext, state: string): Promise<HashStore> {
  const { store } = await HashStore.open(state);
  t.teardown(() => store.close());
  return store;
}

test('files are offered at once, then with their ids', async (t) => {
  const root = await folder(t);
  const state = await folder(t);
  const big = Buffer.alloc(3 * 256 * 1024 + 5, 'big');
  await write(root, { 'a/small.txt': 'small', 'b/big': big, empty: '' });
  await mkdir(join(root, 'none/here'), { recursive: true });
  const hashes = Buffer.concat([0, 1, 2, 3].map((i) => blake3(big.subarray(i * 256 * 1024, (i + 1) * 256 * 1024))));

  const first = await Offering.start(t, { shares: [{ path: root, name: 's' }], store: await store(t, state) });
  t.deepEqual(first.paths(), ['s/a/small.txt', 's/b/big', 's/empty', 's/none/here']);
  t.deepEqual(first.changes.find(({ path }) => path === 's/a/small.txt')?.id, null);
  await first.catalogue.idle();
  t.deepEqual(first.hashed.sort(), ['s/a/small.txt', 's/b/big']);
  t.is(first.offers.get('s/a/small.txt')?.id, idOfSmall(Buffer.from('small')));
  t.is(first.offers.get('s/b/big')?.id, contentId(big.length, hashes));
  t.is(first.offers.get('s/empty')?.id, idOfSmall(Buffer.alloc(0)));
  t.deepEqual(first.offers.get('s/none/here')?.kind, 'folder');
  t.deepEqual(first.catalogue.manifest('s/b/big'), hashes);
  t.deepEqual(first.catalogue.manifest('s/empty'), Buffer.alloc(0));
  t.is(first.catalogue.byId(contentId(big.length, hashes))?.file, join(root, 'b', 'big'));
  const shares = [{ path: root, name: 's', files: 3, bytes: 5 + big.length, hashed: 3 }];
  t.deepEqual(first.catalogue.shares(), shares);
});

test('after a restart nothing is hashed again', async (t) => {
  const root = await folder(t);
  const state = await folder(t);
  await write(root, { 'a.txt': 'a', 'b.txt': 'b', 'big.bin': Buffer.alloc(3_000_000, 1) });
  const run = async (first: boolean) => {
    const { store } = await HashStore.open(state);
    const offering = await Offering.start(t, { shares: [{ path: root, name: 's' }], store });
    if (!first) {
      t.is(offering.changes.length, 3, 'told once');
      t.false(ids(offering).includes(null), 'with their ids');
    }
    await offering.catalogue.idle();
    await offering.catalogue.stop();
    await store.close();
    return offering.hashed.sort();
  };
  t.deepEqual(await run(true), ['s/a.txt', 's/b.txt', 's/big.bin']);
  t.deepEqual(await run(false), []);
  await write(root, { 'b.txt': 'other' }, false);
  await utimes(join(root, 'b.txt'), new Date(0), new Date(0));
  t.deepEqual(await run(true), ['s/b.txt']);
});

test('what a young file hashes to is not remembered before it is two seconds old', async (t) => {
  const root = await folder(t);
  const state = await folder(t);
  await write(root, { young: 'young' }, false);
  let clock = Date.now() + 500;
  const hashes = await store(t, state);
  const shares = [{ path: root, name: 's' }];
  const offering = await Offering.start(t, { shares, store: hashes, now: () => clock });
  const id = await offering.catalogue.hashNow('s/young');
  t.is(id, idOfSmall(Buffer.from('young')));
  const entry = offering.catalogue.find('s/young')!;
  t.deepEqual(await hashes.getMany([entry.signature]), [undefined]);
  clock = entry.mtime + 2000;
  await offering.catalogue.idle();
  t.is((await hashes.getMany([entry.signature]))[0]?.id, id);
  t.deepEqual(offering.hashed, ['s/young'], 'told of once, though it was read twice');
});

test('many files come in batches of at most 2,000', async (t) => {
  const root = await folder(t);
  await Promise.all(
    Array.from({ length: 50 }, (_, d) =>
      write(root, Object.fromEntries(Array.from({ length: 90 }, (_, f) => [`d${d}/f${f}`, '']))),
    ),
  );
  const offering = await Offering.start(t, { shares: [{ path: root, name: 's' }] });
  await offering.until(() => offering.offers.size === 4500);
  t.is(offering.changes.length, 4500, 'no folder seemed empty meanwhile');
  t.true(Math.max(...offering.calls) <= 2000);
});

test('moved in, changed, renamed, deleted', async (t) => {
  const root = await folder(t);
  const aside = await folder(t);
  await write(root, { 'd/old.txt': 'old' });
  await write(aside, { new: 'moved in' });
  const offering = await Offering.start(t, { shares: [{ path: root, name: 's' }] });
  await offering.catalogue.idle();

  const before = performance.now();
  await rename(join(aside, 'new'), join(root, 'd/new.txt'));
  await offering.until(() => offering.offers.has('s/d/new.txt'));
  t.true(performance.now() - before < 2000, 'by the watcher, not by looking now and then');

  await writeFile(join(root, 'd/new.txt'), 'changed!');
  await offering.until(() => offering.offers.get('s/d/new.txt')?.size === 8);
  await rename(join(root, 'd/new.txt'), join(root, 'other.txt'));
  await offering.until(() => offering.offers.has('s/other.txt') && !offering.offers.has('s/d/new.txt'));
  await unlink(join(root, 'other.txt'));
  await offering.until(() => !offering.offers.has('s/other.txt'));
  await unlink(join(root, 'd/old.txt'));
  await offering.until(() => offering.offers.get('s/d')?.kind === 'folder');
  await write(root, { 'd/again': '' });
  await offering.until(() => offering.offers.has('s/d/again') && !offering.offers.has('s/d'));
  await rm(join(root, 'd'), { recursive: true });
  await offering.until(() => offering.offers.get('s')?.kind === 'folder');
  t.deepEqual(offering.paths(), ['s']);
  await offering.catalogue.idle();
  t.deepEqual(offering.warnings, []);
});

test('a folder with folders in it that is moved in is watched to its depth', async (t) => {
  const root = await folder(t);
  const aside = await folder(t);
  await write(aside, { 'x/y/z/deep.txt': 'deep', 'x/y/.hidden': '' });
  const offering = await Offering.start(t, { shares: [{ path: root, name: 's' }] });
  t.deepEqual(offering.paths(), ['s']);
  await rename(join(aside, 'x'), join(root, 'x'));
  await offering.until(() => offering.offers.has('s/x/y/z/deep.txt'));
  await offering.catalogue.idle();
  t.deepEqual(offering.paths(), ['s/x/y/z/deep.txt']);
  await write(root, { 'x/y/z/new.txt': 'new' });
  await offering.until(() => offering.offers.has('s/x/y/z/new.txt'));
  await rename(join(root, 'x'), join(root, 'w'));
  await offering.until(() => offering.offers.has('s/w/y/z/new.txt') && !offering.offers.has('s/x/y/z/new.txt'));
  await offering.catalogue.idle();
  await write(root, { 'w/y/z/newest.txt': 'newest' });
  await offering.until(() => offering.offers.has('s/w/y/z/newest.txt'));
  await rm(join(root, 'w/y'), { recursive: true });
  await mkdir(join(root, 'w/y'));
  await write(root, { 'w/y/reborn.txt': '' });
  await offering.until(() => offering.offers.has('s/w/y/reborn.txt'));
  await offering.catalogue.idle();
  t.deepEqual(offering.paths(), ['s/w/y/reborn.txt']);
});

test('an ignore file that comes, changes and goes', async (t) => {
  const root = await folder(t);
  await write(root, { 'd/a.log': '', 'd/b.txt': '' });
  const offering = await Offering.start(t, { shares: [{ path: root, name: 's' }] });
  t.deepEqual(offering.paths(), ['s/d/a.log', 's/d/b.txt']);
  await write(root, { 'd/.hearsayignore': '*.log' });
  await offering.until(() => !offering.offers.has('s/d/a.log'));
  await write(root, { 'd/.hearsayignore': '*.txt' });
  await offering.until(() => offering.offers.has('s/d/a.log') && !offering.offers.has('s/d/b.txt'));
  await unlink(join(root, 'd/.hearsayignore'));
  await offering.until(() => offering.offers.has('s/d/b.txt'));
  t.deepEqual(offering.paths(), ['s/d/a.log', 's/d/b.txt']);
});

onUnix('what a link leads to changes, and the link with it', async (t) => {
  const root = await folder(t);
  await write(root, { 'a/x.txt': 'x', 'b/y.txt': 'y' });
  await symlink('../a/x.txt', join(root, 'b/x-link'));
  await symlink('a', join(root, 'first'));
  await symlink('a', join(root, 'second'));
  const offering = await Offering.start(t, { shares: [{ path: root, name: 's' }] });
  t.deepEqual(offering.paths(), ['s/a/x.txt', 's/b/x-link', 's/b/y.txt', 's/first/x.txt']);
  await write(root, { 'a/x.txt': 'longer' });
  await offering.until(() =>
    ['s/a/x.txt', 's/b/x-link', 's/first/x.txt'].every((p) => offering.offers.get(p)?.size === 6),
  );
  await unlink(join(root, 'first'));
  await offering.until(() => offering.offers.has('s/second/x.txt'));
  await rm(join(root, 'a'), { recursive: true });
  await offering.until(() => offering.offers.size === 1);
  t.deepEqual(offering.paths(), ['s/b/y.txt']);
});

test('a log that grows is offered now and then, not at every line', async (t) => {
  const root = await folder(t);
  await write(root, { log: 'begin\n' });
  const offering = await Offering.start(t, { shares: [{ path: root, name: 's' }] });
  await offering.catalogue.idle();
  const before = offering.changes.length;
  const began = performance.now();
  for (let i = 0; i < 40; i++) {
    await appendFile(join(root, 'log'), 'another line\n');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const end = 6 + 40 * 13;
  await offering.until(() => offering.offers.get('s/log')?.size === end);
  const sizes = new Set(offering.changes.slice(before).map(({ size }) => size));
  // Each wait is at least twice the one before, so that their number is the logarithm of the time.
  const most = Math.log2((performance.now() - began) / 100 + 1) + 2;
  t.true(sizes.size <= most, `${[...sizes]}, at most ${most}`);
});

test('a share that is one file', async (t) => {
  const root = await folder(t);
  await write(root, { 'one.txt': 'one', 'two.txt': 'two' });
  const path = join(root, 'one.txt');
  const offering = await Offering.start(t, { shares: [{ path, name: 'one.txt' }] });
  t.deepEqual(offering.paths(), ['one.txt']);
  t.is(offering.catalogue.find('one.txt')?.file, path);
  await writeFile(path, 'longer');
  await offering.until(() => offering.offers.get('one.txt')?.size === 6);
  await write(root, { 'one.new': 'put in its place' });
  await rename(join(root, 'one.new'), path);
  await offering.until(() => offering.offers.get('one.txt')?.size === 16);
  await unlink(path);
  await offering.until(() => !offering.offers.has('one.txt'));
  await write(root, { 'one.txt': 'back' });
  await offering.until(() => offering.offers.get('one.txt')?.size === 4);
  t.deepEqual(offering.paths(), ['one.txt']);
});

test('a root that vanishes and comes back', async (t) => {
  const base = await folder(t);
  const root = join(base, 'root');
  await write(root, { 'd/a': 'a' });
  const offering = await Offering.start(t, { shares: [{ path: root, name: 's' }] });
  await rename(root, join(base, 'away'));
  await offering.until(() => offering.offers.size === 0);
  await rename(join(base, 'away'), root);
  await offering.until(() => offering.offers.has('s/d/a'));
  await write(root, { 'd/b': 'watched again' });
  await offering.until(() => offering.offers.has('s/d/b'));
  await rm(root, { recursive: true });
  await offering.until(() => offering.offers.size === 0);
  await write(root, { 'e/c': 'another root' });
  await offering.until(() => offering.offers.has('s/e/c'));
  t.deepEqual(offering.warnings, []);
});

test('two shares: one in the other, the same twice; two of one name are refused', async (t) => {
  const root = await folder(t);
  await write(root, { 'a/x': 'x' });
  const offering = await Offering.start(t, {
    shares: [
      { path: root, name: 's' },
      { path: join(root, 'a'), name: 'a' },
      { path: root, name: 's2' },
    ],
  });
  t.deepEqual(offering.paths(), ['a/x', 's/a/x', 's2/a/x']);
  await offering.catalogue.idle();
  const id = idOfSmall(Buffer.from('x'));
  t.deepEqual(ids(offering), [id, id, id]);
  await unlink(join(root, 'a/x'));
  await offering.until(() => ids(offering).every((one) => one === null));
  t.is(offering.catalogue.byId(id), undefined);
  const twice = { path: root, name: 'same' };
  t.throws(() => new Offering({ shares: [twice, twice] }), { name: 'HearsayError', code: 'usage' } as object);
});

test('one of several with the same content goes: the others are found by the id', async (t) => {
  const root = await folder(t);
  await write(root, { a: 'same', b: 'same', c: 'same' });
  const offering = await Offering.start(t, { shares: [{ path: root, name: 's' }] });
  await offering.catalogue.idle();
  const id = idOfSmall(Buffer.from('same'));
  for (let left = ['s/a', 's/b', 's/c']; left.length > 0; ) {
    const one = offering.catalogue.byId(id)!.path;
    t.true(left.includes(one));
    await unlink(join(root, one.slice(2)));
    t.is(await offering.catalogue.recheck(one), 'gone');
    left = left.filter((path) => path !== one);
  }
  t.is(offering.catalogue.byId(id), undefined);
});

test('recheck: the same, changed, gone; told at once', async (t) => {
  const root = await folder(t);
  await write(root, { a: 'one' });
  const offering = await Offering.start(t, {
    shares: [{ path: root, name: 's' }],
    watch: { way: 'folders', watcher: deaf },
  });
  await offering.catalogue.idle();
  t.is(await offering.catalogue.recheck('s/a'), 'same');
  t.is(await offering.catalogue.recheck('s/a', { rehash: true }), 'same');
  await write(root, { a: 'other' });
  t.is(await offering.catalogue.recheck('s/a'), 'changed');
  t.is(offering.catalogue.find('s/a')?.size, 5);
  t.is(await offering.catalogue.hashNow('s/a'), idOfSmall(Buffer.from('other')));
  await unlink(join(root, 'a'));
  t.is(await offering.catalogue.recheck('s/a'), 'gone');
  t.is(offering.catalogue.find('s/a'), undefined);
  t.is(await offering.catalogue.recheck('s/none'), 'gone');
});

test('a remembered hash that is wrong is found out by reading again', async (t) => {
  const root = await folder(t);
  const state = await folder(t);
  await write(root, { a: 'right' });
  const hashes = await store(t, state);
  const first = await Offering.start(t, { shares: [{ path: root, name: 's' }], store: hashes });
  await first.catalogue.idle();
  const { signature } = first.catalogue.find('s/a')!;
  await first.catalogue.stop();
  const wrong = Buffer.from('wrong');
  hashes.put(signature, { id: idOfSmall(wrong), hashes: blake3(wrong) });
  const second = await Offering.start(t, { shares: [{ path: root, name: 's' }], store: hashes });
  t.is(second.offers.get('s/a')?.id, idOfSmall(wrong));
  t.is(await second.catalogue.recheck('s/a', { rehash: true }), 'changed');
  await second.until(() => second.offers.get('s/a')?.id === idOfSmall(Buffer.from('right')));
  t.is((await hashes.getMany([signature]))[0]?.id, idOfSmall(Buffer.from('right')));
});

test('hashNow goes before what waits, and says what there is not', async (t) => {
  const root = await folder(t);
  await write(root, { 'z wanted': 'now' });
  await writeFile(join(root, 'a large'), '');
  await truncate(join(root, 'a large'), 6_000_000_000);
  await utimes(join(root, 'a large'), 1, 1);
  const offering = await Offering.start(t, { shares: [{ path: root, name: 's' }] });
  t.is(await offering.catalogue.hashNow('s/z wanted'), idOfSmall(Buffer.from('now')));
  await t.throwsAsync(offering.catalogue.hashNow('s/none'), { code: 'not-found' } as object);
  // The large one is under way: it must not be in the way of another, nor of a stop.
  await write(root, { late: 'late' });
  await offering.until(() => offering.offers.has('s/late'));
  t.is(await offering.catalogue.hashNow('s/late'), idOfSmall(Buffer.from('late')));
  t.false(offering.hashed.includes('s/a large'));
  const pending = offering.catalogue.hashNow('s/a large');
  const before = performance.now();
  const refused = t.throwsAsync(pending, { code: 'cancelled' } as object);
  await offering.catalogue.stop();
  await refused;
  t.true(performance.now() - before < 1500, 'a stop does not wait for 6 GB');
});

test('a stop in the middle of the scan ends it, and nothing is told afterwards', async (t) => {
  const root = await folder(t);
  await Promise.all(
    Array.from({ length: 30 }, (_, d) =>
      write(root, Object.fromEntries(Array.from({ length: 100 }, (_, f) => [`d${d}/f${f}`, 'x']))),
    ),
  );
  const offering = new Offering({ shares: [{ path: root, name: 's' }] });
  await offering.catalogue.start();
  await offering.until(() => offering.offers.size > 0);
  await offering.catalogue.stop();
  const told = offering.changes.length;
  await offering.catalogue.idle();
  await offering.catalogue.scanned;
  await write(root, { later: '' });
  await new Promise((resolve) => setTimeout(resolve, 100));
  t.is(offering.changes.length, told);
});

test('hearsay’s own state within a share is not shared', async (t) => {
  const root = await folder(t);
  await write(root, { 'state/identity': 'private key', 'a.txt': 'a' });
  const offering = await Offering.start(t, { shares: [{ path: root, name: 's' }], never: [join(root, 'state')] });
  await write(root, { 'state/more': '' });
  await write(root, { 'b.txt': 'b' });
  await offering.until(() => offering.offers.has('s/b.txt'));
  t.deepEqual(offering.paths(), ['s/a.txt', 's/b.txt']);
});

test('the executable bit and the time are told', async (t) => {
  if (process.platform === 'win32') return t.pass('no such bit');
  const root = await folder(t);
  await write(root, { run: '#!/bin/sh\n' });
  const { chmod } = await import('node:fs/promises');
  const offering = await Offering.start(t, { shares: [{ path: root, name: 's' }] });
  t.is(offering.offers.get('s/run')?.kind, 'file');
  await chmod(join(root, 'run'), 0o755);
  await utimes(join(root, 'run'), 1_600_000_000.123, 1_600_000_000.123);
  await offering.until(() => offering.offers.get('s/run')?.kind === 'executable');
  await offering.until(() => offering.offers.get('s/run')?.mtime === 1_600_000_000_123);
  t.is(await readFile(join(root, 'run'), 'utf8'), '#!/bin/sh\n');
});

test('a catalogue without shares is idle', async (t) => {
  const catalogue = new Catalogue({
    shares: [],
    store: undefined,
    onChanges: () => t.fail(),
    onHashed: () => t.fail(),
    onWarning: () => t.fail(),
  });
  await catalogue.start();
  await catalogue.scanned;
  await catalogue.idle();
  t.deepEqual(catalogue.shares(), []);
  await catalogue.stop();
});
