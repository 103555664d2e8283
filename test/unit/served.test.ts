/** The log of who fetched what: bounded, in order, kept across restarts. */
import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { ServedRow } from '../../lib/api.js';
import { Served } from '../../lib/drive/served.js';
import { SERVED_FILE_MAX, SERVED_MAX } from '../../lib/limits.js';

const BOB = { id: '01ARZ3NDEKTSV4RRFFQ69G5FAW', name: 'bob' };
const row = (i: number, more: Partial<ServedRow> = {}): ServedRow => ({
  time: 1_700_000_000_000 + i,
  peer: BOB,
  path: `photos/${i}.jpg`,
  bytes: i,
  outcome: 'completed',
  ...more,
});

async function folder(t: ExecutionContext): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'hearsay-served-'));
  t.teardown(() => rm(made, { recursive: true, force: true }));
  return made;
}

function open(folder: string | undefined, warnings: string[] = []): Promise<Served> {
  return Served.open(folder, (message) => warnings.push(message));
}

test('rows come back after a clean stop, the newest last, for their owner only', async (t) => {
  const path = await folder(t);
  const first = await open(path);
  first.add(row(1));
  first.add(row(2, { outcome: 'failed', why: 'the other side\nstopped it' }));
  await first.stop();
  const file = join(path, 'served.jsonl');
  if (process.platform !== 'win32') t.is((await stat(file)).mode & 0o777, 0o600);
  const second = await open(path);
  second.add(row(3));
  t.deepEqual(second.rows(), [row(1), row(2, { outcome: 'failed', why: 'the other side\nstopped it' }), row(3)]);
  await second.stop();
  t.is((await readFile(file, 'utf8')).split('\n').length, 4);
});

test('memory holds the newest, the disk two files; both are full and it goes on', async (t) => {
  const path = await folder(t);
  const served = await open(path);
  const long = 'x'.repeat(400);
  const many = 3 * SERVED_MAX;
  for (let i = 0; i < many; i++) served.add(row(i, { path: `${long}${i}` }));
  t.is(served.rows().length, SERVED_MAX);
  t.is(served.rows()[0].bytes, many - SERVED_MAX);
  t.is(served.rows().at(-1)?.bytes, many - 1);
  await served.stop();
  t.deepEqual((await readdir(path)).sort(), ['served.1.jsonl', 'served.jsonl']);
  for (const name of await readdir(path)) t.true((await stat(join(path, name))).size <= SERVED_FILE_MAX, name);
  const again = await open(path);
  t.is(again.rows().length, SERVED_MAX);
  t.deepEqual(
    again.rows().map(({ bytes }) => bytes),
    served.rows().map(({ bytes }) => bytes),
  );
  await again.stop();
});

test('a line that was cut off or is none of ours is passed over, and spoils no other', async (t) => {
  const path = await folder(t);
  const file = join(path, 'served.jsonl');
  const cut = `${JSON.stringify(row(1))}\n{"time":"yesterday"}\nnull\n${JSON.stringify(row(2)).slice(0, 40)}`;
  await writeFile(file, cut);
  const served = await open(path);
  t.deepEqual(served.rows(), [row(1)]);
  served.add(row(3));
  await served.stop();
  t.deepEqual((await open(path)).rows(), [row(1), row(3)]);
});

test('a file grown too large is read at its end only', async (t) => {
  const path = await folder(t);
  const file = join(path, 'served.jsonl');
  await writeFile(file, 'x'.repeat(3 * SERVED_FILE_MAX));
  await appendFile(file, `\n${JSON.stringify(row(9))}\n`);
  const served = await open(path);
  t.deepEqual(served.rows(), [row(9)]);
  served.add(row(10));
  await served.stop();
  t.true((await stat(file)).size < 1000, 'and is rotated at the next row');
});

test('a disk that takes nothing is told of once; the rows are in memory', async (t) => {
  const path = await folder(t);
  await mkdir(join(path, 'served.jsonl'));
  const warnings: string[] = [];
  const served = await open(path, warnings);
  t.is(warnings.length, 1, 'what was before cannot be read');
  served.add(row(1));
  await served.stop();
  served.add(row(2));
  await served.stop();
  t.is(warnings.length, 2);
  t.deepEqual(served.rows(), [row(1), row(2)]);
  // Once the disk takes it again, nothing is missing.
  await rm(join(path, 'served.jsonl'), { recursive: true });
  served.add(row(3));
  await served.stop();
  t.deepEqual((await open(path)).rows(), [row(1), row(2), row(3)]);
});

test('without a folder nothing is written', async (t) => {
  const served = await open(undefined);
  served.add(row(1));
  await served.stop();
  t.deepEqual(served.rows(), [row(1)]);
});

test('a log that was removed is begun anew', async (t) => {
  const path = await folder(t);
  const served = await open(path);
  for (let i = 0; i < 7000; i++) served.add(row(i, { path: 'x'.repeat(400) }));
  await served.stop();
  await rm(join(path, 'served.jsonl'));
  for (let i = 0; i < 7000; i++) served.add(row(i, { path: 'x'.repeat(400) }));
  await served.stop();
  t.is((await open(path)).rows().length, 7000);
});
