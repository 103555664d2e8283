import { execFileSync } from 'node:child_process';
import { appendFile, open as openFile, rename, symlink, truncate, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { blake3 } from '../../lib/hash.js';
import { contentId, idOfSmall } from '../../lib/transfer/content.js';
import { deaf, folder, Offering, write } from './share-help.js';

const CHUNK = 256 * 1024;
const data = Buffer.from(Uint8Array.from({ length: 3 * CHUNK + 1000 }, (_, i) => i * 31 + (i >> 10)));
const chunkOf = (n: number) => data.subarray(n * CHUNK, (n + 1) * CHUNK);
const hashes = Buffer.concat([0, 1, 2, 3].map((n) => blake3(chunkOf(n))));
const ID = contentId(data.length, hashes);
const coded = (code: string) => ({ name: 'HearsayError', code }) as object;
const DEAF = { watch: { way: 'folders', watcher: deaf } } as const;
const onUnix = process.platform === 'win32' ? test.skip : test;

test('reads chunk by chunk, in any order and at once', async (t) => {
  const root = await folder(t);
  await write(root, { f: data, empty: '' });
  const { catalogue } = await Offering.start(t, { shares: [{ path: root, name: 's' }] });
  const source = await catalogue.open('s/f');
  t.deepEqual([source.path, source.size, source.executable, source.chunkSize], ['s/f', data.length, false, CHUNK]);
  const chunks = await Promise.all([3, 1, 0, 2].map((n) => source.readChunk(n)));
  t.deepEqual(
    chunks,
    [3, 1, 0, 2].map(chunkOf).map((chunk) => Buffer.from(chunk)),
  );
  await t.throwsAsync(source.readChunk(4), { instanceOf: RangeError });
  await t.throwsAsync(source.readChunk(-1), { instanceOf: RangeError });
  const last = source.readChunk(0);
  await source.close();
  await source.close();
  t.deepEqual(await last, Buffer.from(chunkOf(0)), 'a read that is under way comes to its end');
  await t.throwsAsync(source.readChunk(0), coded('cancelled'));
  const empty = await catalogue.open('s/empty');
  await t.throwsAsync(empty.readChunk(0), { instanceOf: RangeError });
  t.is(empty.id, idOfSmall(Buffer.alloc(0)));
  await empty.close();
});

test('what is not offered is not opened', async (t) => {
  const root = await folder(t);
  await write(root, { f: 'f', '.hidden': 'secret' });
  const { catalogue } = await Offering.start(t, { shares: [{ path: root, name: 's' }] });
  for (const path of ['s', 's/', 's/g', 's/.hidden', '../s/f', 's/../s/f', '/etc/passwd', '', 's//f', 's/f/']) {
    await t.throwsAsync(catalogue.open(path), coded('not-found'), path);
  }
});

test('a file that is gone is withdrawn when it is asked for', async (t) => {
  const root = await folder(t);
  await write(root, { f: data });
  const offering = await Offering.start(t, { shares: [{ path: root, name: 's' }] });
  const open = await offering.catalogue.open('s/f');
  await unlink(join(root, 'f'));
  await t.throwsAsync(open.readChunk(0), coded('not-found'));
  t.is(offering.catalogue.find('s/f'), undefined, 'at once');
  await t.throwsAsync(open.readChunk(0), coded('changed'));
  await open.close();
  await write(root, { g: data });
  await offering.until(() => offering.offers.has('s/g'));
  await unlink(join(root, 'g'));
  await t.throwsAsync(offering.catalogue.open('s/g'), coded('not-found'));
  await offering.until(() => !offering.offers.has('s/g'));
});

const CHANGES: Record<string, (file: string) => Promise<void>> = {
  shrinks: (file) => truncate(file, CHUNK + 1),
  grows: (file) => appendFile(file, 'more'),
  'has a byte changed': async (file) => {
    const handle = await openFile(file, 'r+');
    await handle.write(Buffer.of(1), 0, 1, 5);
    await handle.close();
  },
  'is replaced': async (file) => {
    await writeFile(`${file}.new`, Buffer.alloc(data.length));
    await rename(`${file}.new`, file);
  },
};
for (const [name, change] of Object.entries(CHANGES)) {
  test(`a file that ${name} while it is served`, async (t) => {
    const root = await folder(t);
    await write(root, { f: data });
    const offering = await Offering.start(t, { shares: [{ path: root, name: 's' }], ...DEAF });
    await offering.catalogue.idle();
    const source = await offering.catalogue.open('s/f');
    await source.readChunk(0);
    t.is(source.id, ID);
    await change(join(root, 'f'));
    await t.throwsAsync(source.readChunk(2), coded('changed'));
    const now = offering.catalogue.find('s/f');
    t.is(now?.id, null, 'the new state is offered at once, without an id yet');
    t.is(source.id, null);
    await t.throwsAsync(source.readChunk(0), coded('changed'), 'and the old one is not served any more');
    await source.close();
    t.not(await offering.catalogue.hashNow('s/f'), ID);
  });
}

test('a file that changed before it is opened', async (t) => {
  const root = await folder(t);
  await write(root, { f: data });
  const offering = await Offering.start(t, { shares: [{ path: root, name: 's' }], ...DEAF });
  // Or the hashing would find out first.
  await offering.catalogue.idle();
  await appendFile(join(root, 'f'), 'more');
  await t.throwsAsync(offering.catalogue.open('s/f'), coded('changed'));
  const source = await offering.catalogue.open('s/f');
  t.is(source.size, data.length + 4);
  await source.close();
});

onUnix('a file that is replaced by a link to outside is not served', async (t) => {
  const base = await folder(t);
  const root = join(base, 'root');
  await write(base, { 'root/f': 'mine', 'root/d/g': 'mine', 'out/secret': 'MINE', 'out/g': 'MINE' });
  const offering = await Offering.start(t, { shares: [{ path: root, name: 's' }], ...DEAF });
  // Or the hashing would find out first.
  await offering.catalogue.idle();
  await unlink(join(root, 'f'));
  await symlink('../out/secret', join(root, 'f'));
  await rename(join(root, 'd'), join(base, 'moved'));
  await symlink('../out', join(root, 'd'));
  for (const path of ['s/f', 's/d/g']) {
    await t.throwsAsync(offering.catalogue.open(path), coded('not-found'), path);
    t.is(offering.catalogue.find(path), undefined);
  }
  await offering.catalogue.idle();
  t.deepEqual(offering.paths(), ['s']);
});

onUnix('a file that is replaced by a pipe does not stop anything', async (t) => {
  const root = await folder(t);
  await write(root, { f: 'file', g: 'g' });
  const offering = await Offering.start(t, { shares: [{ path: root, name: 's' }] });
  await unlink(join(root, 'f'));
  execFileSync('mkfifo', [join(root, 'f')]);
  await t.throwsAsync(offering.catalogue.open('s/f'), coded('not-found'));
  await offering.catalogue.idle();
  t.deepEqual(offering.paths(), ['s/g']);
});

test('a file that is served before it is hashed gets its id by that', async (t) => {
  const root = await folder(t);
  // On a clock that stands still it stays young, so that it is not hashed in the background.
  await write(root, { f: data }, false);
  let clock = Date.now() + 500;
  const offering = await Offering.start(t, { shares: [{ path: root, name: 's' }], now: () => clock, ...DEAF });
  const one = await offering.catalogue.open('s/f');
  const two = await offering.catalogue.open('s/f');
  t.is(one.id, null);
  for (const n of [0, 2, 2]) one.noteHash(n, blake3(await one.readChunk(n)));
  one.noteHash(9, new Uint8Array(32));
  one.noteHash(1, new Uint8Array(31));
  two.noteHash(1, blake3(await two.readChunk(1)));
  t.deepEqual(offering.hashed, []);
  two.noteHash(3, blake3(await two.readChunk(3)));
  await offering.until(() => offering.offers.get('s/f')?.id === ID);
  t.is(one.id, ID);
  t.deepEqual(offering.catalogue.manifest('s/f'), hashes);
  await Promise.all([one.close(), two.close()]);
  clock += 2000;
  await offering.catalogue.idle();
  t.deepEqual(offering.hashed, ['s/f'], 'told once');
});

test('hashes noted of a file that changed meanwhile are worth nothing', async (t) => {
  const root = await folder(t);
  await write(root, { f: data }, false);
  let clock = Date.now() + 500;
  const offering = await Offering.start(t, { shares: [{ path: root, name: 's' }], now: () => clock, ...DEAF });
  const source = await offering.catalogue.open('s/f');
  for (const n of [0, 1, 2]) source.noteHash(n, blake3(await source.readChunk(n)));
  const last = await source.readChunk(3);
  await appendFile(join(root, 'f'), 'x');
  source.noteHash(3, blake3(last));
  await offering.until(() => offering.offers.get('s/f')?.size === data.length + 1);
  await source.close();
  clock += 60_000;
  await offering.catalogue.idle();
  t.is(offering.hashed.length, 1);
  t.false(offering.changes.some(({ id }) => id === ID));
});

test('small files are read whole at once, and get their ids by that', async (t) => {
  const root = await folder(t);
  await write(root, { a: 'small', empty: '', big: data, b: 'b' }, false);
  let clock = Date.now() + 500;
  const offering = await Offering.start(t, { shares: [{ path: root, name: 's' }], now: () => clock, ...DEAF });
  const { data: read, id, entry } = offering.catalogue.readSmall('s/a');
  t.deepEqual([read.toString(), id, entry.path], ['small', idOfSmall(Buffer.from('small')), 's/a']);
  t.deepEqual(offering.hashed, ['s/a']);
  t.is(offering.catalogue.readSmall('s/empty').data.length, 0);
  t.throws(() => offering.catalogue.readSmall('s/big'), { instanceOf: RangeError });
  t.throws(() => offering.catalogue.readSmall('s/none'), coded('not-found'));
  await write(root, { a: 'another' });
  t.throws(() => offering.catalogue.readSmall('s/a'), coded('changed'));
  await offering.until(() => offering.offers.get('s/a')?.size === 7);
  t.is(offering.catalogue.readSmall('s/a').id, idOfSmall(Buffer.from('another')));
  await unlink(join(root, 'b'));
  t.throws(() => offering.catalogue.readSmall('s/b'), coded('not-found'));
  await offering.until(() => !offering.offers.has('s/b'));
  clock += 60_000;
  await offering.catalogue.idle();
});
