/** What was fetched before, and what lies beside a destination: hints where a content may be on this machine. */
import { appendFile, mkdir, mkdtemp, readFile, realpath, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { FETCHED_MAX } from '../../lib/limits.js';
import { Beside } from '../../lib/share/beside.js';
import { Fetched } from '../../lib/share/fetched.js';

async function folderOf(t: ExecutionContext): Promise<string> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'hearsay-fetched-')));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

const idOf = (n: number) => n.toString(16).padStart(64, '0');
const [A, B] = [idOf(1), idOf(2)];

test('what landed is found by its content as long as it is as it was left, the latest first', async (t) => {
  const folder = await folderOf(t);
  const fetched = new Fetched(join(folder, 'fetched'));
  t.deepEqual([...(await fetched.find(new Set([A])))], [], 'nothing yet');
  const [one, two, three] = ['one', 'two\nlines', 'three'].map((name) => join(folder, name));
  for (const file of [one, two, three]) await writeFile(file, file);
  await fetched.add(A, one);
  await fetched.add(B, three);
  await new Fetched(join(folder, 'fetched')).add(A, two);
  t.deepEqual((await fetched.find(new Set([A, idOf(3)]))).get(A), [two, one]);
  t.is((await stat(join(folder, 'fetched'))).mode & 0o077, 0, 'for its owner alone');
  await appendFile(join(folder, 'fetched'), `["${A}",7]\n["${A}","relative",""]\n["${A}"\n`);
  await fetched.add(A, one);
  t.deepEqual((await fetched.find(new Set([A]))).get(A), [one, two], 'damage and repetition are passed over');

  await writeFile(one, 'something else');
  await rename(two, join(folder, 'elsewhere'));
  await rm(three);
  t.deepEqual([...(await fetched.find(new Set([A, B])))], []);
  await t.notThrowsAsync(fetched.add(A, join(folder, 'gone')));
});

test('the latest are remembered, and the file has its bound', async (t) => {
  const folder = await folderOf(t);
  const file = join(folder, 'fetched');
  const line = (n: number) => `${JSON.stringify([idOf(n), join(folder, `${n}`), 'x'.repeat(56)])}\n`;
  const many = Array.from({ length: 30_000 }, (_, n) => line(n)).join('');
  await writeFile(file, many);
  const fetched = new Fetched(file);
  const path = join(folder, 'kept');
  await writeFile(path, 'kept');
  await fetched.add(A, path);
  const lines = (await readFile(file, 'utf8')).split('\n').slice(0, -1);
  t.is(lines.length, FETCHED_MAX);
  t.deepEqual((await fetched.find(new Set([A]))).get(A), [path]);
  t.true(lines[0].startsWith(`["${idOf(30_001 - FETCHED_MAX)}"`), 'the oldest went');

  // Where paths are long, bytes are what bounds it.
  const small = new Fetched(file, 10_000);
  await small.add(B, path);
  t.true((await stat(file)).size <= 5000);
  t.deepEqual((await small.find(new Set([A, B]))).get(B), [path]);
  t.is((await small.find(new Set([A]))).size, 0, 'a file has one content: the latest word counts');
});

test('beside a destination the files that are as long are seen, once, and no links', async (t) => {
  const folder = await folderOf(t);
  for (const name of ['a', 'b', 'c', 'd', 'itself']) await writeFile(join(folder, name), '12345');
  await writeFile(join(folder, 'longer'), '123456');
  await writeFile(join(folder, '.hearsay-0123456789abcdef.part'), '123456');
  await symlink(join(folder, 'longer'), join(folder, 'link'));
  await mkdir(join(folder, 'inner'));
  const beside = new Beside();
  const alike = await beside.of(folder, 5, 'itself');
  t.is(alike.length, 3, 'a few are enough');
  t.false(alike.includes(join(folder, 'itself')));
  t.deepEqual(await beside.of(folder, 6, 'itself'), [join(folder, 'longer')]);
  t.deepEqual(await beside.of(folder, 7, 'itself'), []);
  await writeFile(join(folder, 'later'), '1234567');
  t.deepEqual(await beside.of(folder, 7, 'itself'), [], 'a folder is looked at once');
  t.deepEqual(await beside.of(join(folder, 'gone'), 7, 'itself'), []);

  const crowd = join(folder, 'inner');
  for (let i = 0; i < 1500; i++) await writeFile(join(crowd, `${i}`), 'x'.repeat(i + 1));
  const seen = new Beside();
  let found = 0;
  for (let i = 0; i < 1500; i++) found += (await seen.of(crowd, i + 1, 'itself')).length;
  t.is(found, 1000, 'and no further than that');
});
