import fs from 'node:fs';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { HearsayError } from '../../lib/errors.js';
import { blake3 } from '../../lib/hash.js';
import { writeSmall, writeSmallBatch } from '../../lib/share/partial-small.js';
import { Place } from '../../lib/share/place.js';
import { compareExisting } from '../../lib/share/place-existing.js';
import { Folder } from '../../lib/share/place-folder.js';
import { land, utimeOf } from '../../lib/share/place-land.js';
import { checkSpace, freeSpace } from '../../lib/share/place-space.js';
import { contentId } from '../../lib/transfer/content.js';

const PLAIN = { mtime: 1_700_000_000_123, executable: false, overwrite: false, sync: false };

async function folderFor(t: ExecutionContext): Promise<string> {
  const folder = await realpath(await mkdtemp(path.join(os.tmpdir(), 'hearsay-place-')));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function put(place: Place, name: string, data: string, more: Partial<typeof PLAIN> = {}): Promise<string> {
  return writeSmall({ ...(await place.spot(name)), data: Buffer.from(data), ...PLAIN, ...more });
}

function coded(code: string, message?: RegExp) {
  return { instanceOf: HearsayError, code, ...(message && { message }) };
}

/** Everything below a folder, by path from it; folders end in a slash. */
function tree(root: string): string[] {
  const all = fs.readdirSync(root, { recursive: true, withFileTypes: true });
  return all.map((e) => path.relative(root, path.join(e.parentPath, e.name)) + (e.isDirectory() ? '/' : '')).sort();
}

test('the destination may be a link, what lies in it may not', async (t) => {
  const base = await folderFor(t);
  for (const name of ['real', 'outside', 'outside/sub']) fs.mkdirSync(path.join(base, name));
  fs.writeFileSync(path.join(base, 'outside', 'file'), 'theirs');
  fs.symlinkSync(path.join(base, 'real'), path.join(base, 'in'), 'junction');
  const place = new Place(path.join(base, 'in'));
  t.is(await put(place, 'a/x', 'ours'), path.join(base, 'real', 'a', 'x'));

  fs.symlinkSync(path.join(base, 'outside'), path.join(base, 'real', 'link'), 'junction');
  fs.symlinkSync(path.join(base, 'nowhere'), path.join(base, 'real', 'dangling'), 'junction');
  fs.symlinkSync('.', path.join(base, 'real', 'self'), 'junction');
  for (const name of ['link/x', 'link/sub/x', 'dangling/x', 'self/x', 'self/a/x']) {
    await t.throwsAsync(put(place, name, 'ours'), coded('in-the-way', /is a link/), name);
  }
  await t.throwsAsync(place.folder('link'), coded('in-the-way', /is a link/));
  t.deepEqual(tree(path.join(base, 'outside')), ['file', 'sub/']);
  t.false(fs.existsSync(path.join(base, 'nowhere')));
});

test('a link in the place of a file is never written through', async (t) => {
  const base = await folderFor(t);
  const victim = path.join(base, 'victim');
  fs.writeFileSync(victim, 'theirs');
  fs.mkdirSync(path.join(base, 'in'));
  fs.symlinkSync(victim, path.join(base, 'in', 'to-file'));
  fs.symlinkSync(path.join(base, 'made'), path.join(base, 'in', 'dangling'));
  const place = new Place(path.join(base, 'in'));
  for (const name of ['to-file', 'dangling']) {
    const file = path.join(base, 'in', name);
    t.is(await compareExisting(await place.spot(name), 6, contentId(6, blake3('theirs'))), 'not-a-file');
    await t.throwsAsync(put(place, name, 'ours'), coded('exists'));
    t.true(fs.lstatSync(file).isSymbolicLink());
    await put(place, name, 'ours', { overwrite: true });
    t.true(fs.lstatSync(file).isFile());
    t.is(fs.readFileSync(file, 'utf8'), 'ours');
  }
  t.is(fs.readFileSync(victim, 'utf8'), 'theirs');
  t.deepEqual(tree(base), ['in/', 'in/dangling', 'in/to-file', 'victim']);
});

test('a folder that is exchanged for a link between two files is noticed', async (t) => {
  const base = await folderFor(t);
  fs.mkdirSync(path.join(base, 'outside'));
  const place = new Place(path.join(base, 'in'));
  await put(place, 'a/b/one', '1');
  const spot = await place.spot('a/b/two');
  fs.renameSync(path.join(base, 'in', 'a'), path.join(base, 'in', 'moved'));
  fs.mkdirSync(path.join(base, 'outside', 'b'));
  fs.symlinkSync(path.join(base, 'outside'), path.join(base, 'in', 'a'), 'junction');
  await t.throwsAsync(writeSmall({ ...spot, data: Buffer.from('2'), ...PLAIN }), coded('in-the-way', /replaced/));
  // The cache is forgotten with it: the next one looks again and finds the link.
  await t.throwsAsync(put(place, 'a/b/three', '3'), coded('in-the-way', /is a link/));
  t.deepEqual(tree(path.join(base, 'outside')), ['b/']);
});

test('a folder that is removed between two files is made again', async (t) => {
  const base = await folderFor(t);
  const place = new Place(path.join(base, 'in'));
  await put(place, 'a/one', '1');
  fs.rmSync(path.join(base, 'in'), { recursive: true });
  await t.throwsAsync(put(place, 'a/two', '2'), coded('in-the-way', /removed/));
  t.is(fs.readFileSync(await put(place, 'a/three', '3'), 'utf8'), '3');
});

test('a file where a folder must be, and the other way round', async (t) => {
  const base = await folderFor(t);
  const place = new Place(base);
  await put(place, 'x', 'file');
  await t.throwsAsync(place.spot('x/y'), coded('in-the-way', /is a file/));
  t.is(await place.folder('empty/inner'), path.join(base, 'empty', 'inner'));
  for (const overwrite of [false, true]) {
    await t.throwsAsync(put(place, 'empty', 'file', { overwrite }), coded('in-the-way', /is a folder/));
  }
  t.deepEqual(tree(base), ['empty/', 'empty/inner/', 'x']);
  await t.throwsAsync(new Place(path.join(base, 'x')).spot('y'), coded('in-the-way', /is a file/));
});

test('finding makes nothing and follows no link', async (t) => {
  const base = await folderFor(t);
  const place = new Place(path.join(base, 'in'));
  t.is(await place.find('x'), undefined);
  t.is(await place.find('a/b/x'), undefined);
  t.deepEqual(fs.readdirSync(base), []);
  await t.throwsAsync(place.find('../x'), coded('bad-name'));
  fs.mkdirSync(path.join(base, 'in', 'a', 'b'), { recursive: true });
  t.is((await place.find('a/b/x'))?.file, path.join(base, 'in', 'a', 'b', 'x'));
  t.is(await place.find('a/c/x'), undefined);
  fs.symlinkSync(path.join(base, 'in', 'a'), path.join(base, 'in', 'link'), 'junction');
  await t.throwsAsync(place.find('link/b/x'), coded('in-the-way', /is a link/));
  t.deepEqual(tree(base), ['in/', 'in/a/', 'in/a/b/', 'in/link']);
});

test('another platform’s rules fail that file alone', async (t) => {
  const base = await folderFor(t);
  const place = new Place(base, { platform: 'win32' });
  await t.throwsAsync(place.spot('docs/CON'), coded('bad-name', /device/));
  await t.throwsAsync(place.spot('C:/x'), coded('bad-name', /character :/));
  await t.notThrowsAsync(put(place, 'docs/console', 'x'));
});

test('folding tells what this disk does', async (t) => {
  const base = await folderFor(t);
  const folding = await new Place(base).folding();
  fs.writeFileSync(path.join(base, 'a\u00e9'), '');
  t.is(folding.case, fs.existsSync(path.join(base, 'A\u00c9')));
  t.is(folding.form, fs.existsSync(path.join(base, 'ae\u0301')));
  t.deepEqual(fs.readdirSync(base).length, 1);
});

test('a small file keeps its time, its executable bit, and leaves nothing else', async (t) => {
  const base = await folderFor(t);
  const place = new Place(base);
  const file = await put(place, 'a', 'text');
  t.is(Math.floor(fs.statSync(file).mtimeMs), PLAIN.mtime);
  const tool = await put(place, 'tool', '#!', { executable: true, sync: true });
  if (process.platform !== 'win32') {
    const umask = process.umask();
    t.is(fs.statSync(file).mode & 0o777, 0o666 & ~umask);
    t.is(fs.statSync(tool).mode & 0o777, 0o777 & ~umask & ~((umask >> 2) & 0o111));
  }
  t.is((await put(place, 'empty', '')).length, path.join(base, 'empty').length);
  t.deepEqual(tree(base), ['a', 'empty', 'tool']);
});

test('every millisecond is kept exactly', (t) => {
  const wrong: number[] = [];
  for (let i = 0; i < 100_000; i++) {
    const mtime = 1_600_000_000_000 + i * 4_000_037;
    // As libuv does it: whole microseconds, cut.
    if (Math.floor(Math.floor(utimeOf(mtime) * 1e6) / 1000) !== mtime) wrong.push(mtime);
  }
  t.deepEqual(wrong, []);
  t.is(utimeOf(-5), 0);
});

test('a batch gives each file its own result', async (t) => {
  const base = await folderFor(t);
  fs.writeFileSync(path.join(base, 'b'), 'theirs');
  const folder = Folder.root(base);
  const files = ['a', 'b', 'c'].map((name) => ({ folder, name, data: Buffer.from(name), ...PLAIN }));
  const gone = folder.make('gone');
  fs.rmdirSync(gone.path);
  const results = await writeSmallBatch([...files, { ...files[0], folder: gone }]);
  t.is(results[0], path.join(base, 'a'));
  t.is((results[1] as HearsayError).code, 'exists');
  t.is(results[2], path.join(base, 'c'));
  t.is((results[3] as HearsayError).code, 'in-the-way');
  t.is(fs.readFileSync(path.join(base, 'b'), 'utf8'), 'theirs');
  t.deepEqual(tree(base), ['a', 'b', 'c']);
});

test('a batch lets other work have its turn', async (t) => {
  const base = await folderFor(t);
  const folder = Folder.root(base);
  const files = Array.from({ length: 2000 }, (_, i) => ({
    folder,
    name: `${i}`,
    data: Buffer.alloc(4096),
    ...PLAIN,
  }));
  let turns = 0;
  let going = true;
  const turn = () => {
    turns++;
    if (going) setImmediate(turn);
  };
  setImmediate(turn);
  await writeSmallBatch(files);
  going = false;
  t.true(turns > 2, `${turns} turns`);
  t.is(fs.readdirSync(base).length, 2000);
});

test('what is there already', async (t) => {
  const base = await folderFor(t);
  const chunk = 256 * 1024;
  const data = Buffer.alloc(chunk + 1, 5);
  const id = contentId(data.length, Buffer.concat([blake3(data.subarray(0, chunk)), blake3(data.subarray(chunk))]));
  const file = path.join(base, 'f');
  const folder = Folder.root(base);
  const spot = { folder, name: 'f' };
  t.is(await compareExisting(spot, data.length, id), 'absent');
  fs.writeFileSync(file, data);
  t.is(await compareExisting(spot, data.length, id), 'same');
  t.is(await compareExisting(spot, data.length - 1, id), 'different');
  t.is(await compareExisting({ folder, name: 'none' }, 1, id), 'absent');
  data[chunk] ^= 1;
  fs.writeFileSync(file, data);
  t.is(await compareExisting(spot, data.length, id), 'different');
  t.is(
    await compareExisting({ folder: Folder.root(path.dirname(base)), name: path.basename(base) }, data.length, id),
    'not-a-file',
  );
  fs.writeFileSync(path.join(base, 'e'), '');
  t.is(await compareExisting({ folder, name: 'e' }, 0, contentId(0, new Uint8Array(0))), 'same');
});

test('landing looks first whether the place is still the checked one', async (t) => {
  const base = await folderFor(t);
  fs.writeFileSync(path.join(base, 'from'), 'x');
  const refuse = () => {
    throw new HearsayError('in-the-way', 'exchanged');
  };
  const held = Folder.root(base).hold();
  const landing = { from: 'from', to: 'to', overwrite: false, check: refuse };
  await t.throwsAsync(land(held, landing), coded('in-the-way'));
  held.release();
  t.deepEqual(tree(base), ['from']);
});

test('free space is asked of the nearest folder that is there', async (t) => {
  const base = await folderFor(t);
  const free = await freeSpace(path.join(base, 'not', 'yet'));
  t.true(free === undefined || free > 0);
  await t.notThrowsAsync(checkSpace(path.join(base, 'not', 'yet'), 1));
  if (free === undefined) return;
  await t.throwsAsync(checkSpace(base, 2 ** 60), coded('disk-full', /1\.0 EiB|1024\.0 PiB are needed and .* are free/));
});
