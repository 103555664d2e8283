/** Small files written as they come, in this thread where they are few and by others where they are many: the same either way. */
import fs from 'node:fs';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { GetEvent } from '../../lib/api.js';
import { Get, type GetContext, type GetHooks } from '../../lib/drive/fetch.js';
import type { Piece } from '../../lib/drive/plan.js';
import { HearsayError } from '../../lib/errors.js';
import { PATH_MAX } from '../../lib/limits.js';
import type { Target } from '../../lib/share/destination.js';
import type { Arrival } from '../../lib/share/partial-small.js';
import { Place } from '../../lib/share/place.js';
import { isFree } from '../../lib/share/place-existing.js';
import { Folder } from '../../lib/share/place-folder.js';
import { SmallWriter } from '../../lib/share/small-writer.js';
import { idOfSmall } from '../../lib/transfer/content.js';

const MTIME = 1_700_000_000_123;
/** How many are said to come: so that there are threads, and none. */
const COUNTS = { threads: 10_000, 'no thread': 10 };

async function folderFor(t: ExecutionContext): Promise<string> {
  const folder = await realpath(await mkdtemp(path.join(os.tmpdir(), 'hearsay-small-')));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

function writerFor(t: ExecutionContext, files: number): SmallWriter {
  const writer = new SmallWriter(files);
  t.teardown(() => writer.end());
  return writer;
}

function arrival(folder: Folder, name: string, text: string, more: Partial<Arrival> = {}): Arrival {
  const data = Buffer.from(text);
  const plain = { mtime: MTIME, executable: false, overwrite: false, sync: false };
  return { folder, name, data, id: idOfSmall(data), ...plain, ...more };
}

const threads = () => process.getActiveResourcesInfo().filter((name) => name === 'MessagePort').length;

for (const [how, count] of Object.entries(COUNTS)) {
  test(`with ${how}: each file has its own outcome`, async (t) => {
    const base = await folderFor(t);
    const root = Folder.root(base);
    const [inner, gone] = [root.make('inner'), root.make('gone')];
    fs.rmdirSync(gone.path);
    fs.writeFileSync(path.join(base, 'theirs'), 'theirs');
    fs.mkdirSync(path.join(base, 'folder'));
    const outcomes = await writerFor(t, count).write([
      arrival(root, 'a', 'of a'),
      arrival(root, 'theirs', 'ours'),
      arrival(root, 'wrong', 'wrong', { id: idOfSmall(Buffer.from('right')) }),
      arrival(inner, 'empty', ''),
      arrival(gone, 'b', 'of b'),
      arrival(root, 'folder', 'no folder', { overwrite: true }),
      arrival(inner, 'run', 'of run', { executable: true, sync: true }),
    ]);
    t.deepEqual(
      outcomes.map((outcome) => outcome?.code),
      [undefined, 'exists', 'wrong-content', undefined, 'in-the-way', 'in-the-way', undefined],
    );
    t.true(outcomes[1] instanceof HearsayError);
    t.true(outcomes[1]?.message.includes(path.join(base, 'theirs')), outcomes[1]?.message);
    t.deepEqual(fs.readdirSync(base).sort(), ['a', 'folder', 'inner', 'theirs']);
    t.deepEqual(fs.readdirSync(path.join(base, 'inner')).sort(), ['empty', 'run']);
    t.is(fs.readFileSync(path.join(base, 'a'), 'utf8'), 'of a');
    t.is(fs.readFileSync(path.join(base, 'theirs'), 'utf8'), 'theirs');
    const run = fs.statSync(path.join(base, 'inner', 'run'));
    t.is(Math.round(run.mtimeMs), MTIME);
    if (process.platform !== 'win32') t.is(run.mode & 0o111, (run.mode & 0o444) >> 2);
  });

  test(`with ${how}: what is written was copied before the call returned`, async (t) => {
    const base = await folderFor(t);
    const root = Folder.root(base);
    const writer = writerFor(t, count);
    const same = Buffer.alloc(1000, 1);
    const writing: Promise<unknown>[] = [];
    for (let i = 0; i < 50; i++) {
      same.fill(i);
      writing.push(writer.write([{ ...arrival(root, `${i}`, ''), data: same, id: idOfSmall(same) }]));
    }
    same.fill(255);
    t.deepEqual((await Promise.all(writing)).flat(), Array(50).fill(undefined));
    for (let i = 0; i < 50; i++) t.deepEqual(fs.readFileSync(path.join(base, `${i}`)), Buffer.alloc(1000, i));
  });

  test(`with ${how}: that a folder was replaced is told, and it is entered anew`, async (t) => {
    const base = await folderFor(t);
    const place = new Place(base);
    const { folder, name } = await place.spot('a/x');
    fs.renameSync(path.join(base, 'a'), path.join(base, 'other'));
    fs.mkdirSync(path.join(base, 'a'));
    const writer = writerFor(t, count);
    const [outcome] = await writer.write([arrival(folder, name, 'ours')]);
    t.is(outcome?.code, 'in-the-way');
    t.deepEqual(fs.readdirSync(path.join(base, 'other')), []);
    t.is(place.known('a/x'), undefined);
    const spot = await place.spot('a/x');
    t.deepEqual(await writer.write([arrival(spot.folder, spot.name, 'ours')]), [undefined]);
    t.is(fs.readFileSync(path.join(base, 'a', 'x'), 'utf8'), 'ours');
  });
}

test.serial('a get has its thread begin while it looks where files go, and leaves none', async (t) => {
  const before = threads();
  const base = await folderFor(t);
  const targets = Array.from({ length: 600 }, (_, i): Target<Piece> => {
    const naming = { kind: 'folder', folder: 's' } as const;
    const about = { id: null, size: 1, mtime: MTIME, executable: false, folder: false, here: false };
    return {
      wanted: { path: `s/${i}`, naming, ...about, sources: [], only: undefined },
      root: base,
      relative: `s/${i}`,
    };
  });
  const events: GetEvent[] = [];
  let meanwhile = 0;
  const hooks: GetHooks = {
    place: async () => {
      meanwhile = threads();
      throw new HearsayError('interrupted', 'stopped');
    },
  };
  const context = { openShareAt: () => undefined, isAside: () => false } as unknown as GetContext;
  const out = { push: (event: GetEvent) => void events.push(event), end: () => {} };
  const get = new Get({ what: ['s/'], to: base }, context, out, new AbortController().signal, 1000, hooks);
  await get.fetch(targets);
  t.true(meanwhile > before);
  t.is(events.filter(({ event }) => event === 'error').length, 600);
  t.is(threads(), before);
});

test.serial('threads are for many files only, and end with the writer', async (t) => {
  const before = threads();
  const few = new SmallWriter(COUNTS['no thread']);
  t.is(threads(), before);
  await few.end();
  const base = await folderFor(t);
  const many = new SmallWriter(COUNTS.threads);
  t.true(threads() > before);
  const root = Folder.root(base);
  t.deepEqual(await many.write([arrival(root, 'a', 'of a')]), [undefined]);
  const late = many.write(Array.from({ length: 2000 }, (_, i) => arrival(root, `late ${i}`, 'late')));
  const failed = t.throwsAsync(late, { instanceOf: HearsayError, code: 'failed' });
  await many.end();
  await failed;
  await t.throwsAsync(many.write([arrival(root, 'b', 'of b')]), { instanceOf: HearsayError, code: 'failed' });
  t.is(threads(), before);
  // What was cut off has no name of its own.
  for (const name of fs.readdirSync(base)) {
    const whole = name === 'a' ? 'of a' : 'late';
    if (!name.startsWith('.hearsay-')) t.is(fs.readFileSync(path.join(base, name), 'utf8'), whole);
  }
});

test('a place that is known is found at once, and nothing else is', async (t) => {
  const base = await folderFor(t);
  const place = new Place(base, { platform: 'win32' });
  t.is(place.known('a/b/x'), undefined);
  const spot = await place.spot('a/b/x');
  t.deepEqual(place.known('a/b/y'), { folder: spot.folder, name: 'y', file: path.join(base, 'a', 'b', 'y') });
  for (const name of ['.', '..', '', 'CON', 'nul.txt', 'a:b', 'x'.repeat(300), '.hearsay-1']) {
    t.is(place.known(`a/b/${name}`), undefined, name);
  }
  t.is(place.known('a/c/x'), undefined);
  const long = Array.from({ length: 20 }, () => 'd'.repeat(200)).join('/');
  await place.folder(long);
  t.is(place.known(`${long}/${'x'.repeat(PATH_MAX - long.length)}`), undefined);
});

test('what was just made holds nothing; elsewhere it is looked', async (t) => {
  const base = await folderFor(t);
  fs.mkdirSync(path.join(base, 'old'));
  fs.writeFileSync(path.join(base, 'old', 'x'), '');
  fs.symlinkSync('nowhere', path.join(base, 'old', 'link'));
  const place = new Place(base);
  const free = async (at: string) => isFree(await place.spot(at));
  t.deepEqual([await free('old/x'), await free('old/link'), await free('old/y')], [false, false, true]);
  t.true(await free('new/x'));
  fs.writeFileSync(path.join(base, 'new', 'x'), 'theirs');
  // Who comes in between is found when the file lands.
  const { folder, name } = await place.spot('new/x');
  const [outcome] = await writerFor(t, 1).write([arrival(folder, name, 'ours')]);
  t.is(outcome?.code, 'exists');
  t.is(fs.readFileSync(path.join(base, 'new', 'x'), 'utf8'), 'theirs');
});
