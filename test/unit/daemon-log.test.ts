/** The daemon's log: what is written, rotated, bounded, read and followed. */
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { InboxRow, ShareEvent } from '../../lib/api.js';
import { DaemonLog } from '../../lib/cli/daemon-log.js';
import { LogFile, logFiles, logFolder } from '../../lib/daemon/log-file.js';
import { parseLine, readLog } from '../../lib/daemon/log-reader.js';
import { type Level, openLog } from '../../lib/daemon/logger.js';
import { LOG_FILE_MAX, LOG_FILES, LOG_SERVED_MAX, LOG_SERVED_PEERS_MAX, LOG_WAITING_MAX } from '../../lib/limits.js';
import { until } from '../e2e/lan.js';
import { ALICE } from './cli-fake.js';

async function folder(t: ExecutionContext): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'hearsay-log-'));
  t.teardown(() => rm(made, { recursive: true, force: true }));
  return made;
}

async function all(state: string, count = 1e9): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of readLog(state, count)) lines.push(line);
  return lines;
}

const lost = (lines: number) => `lost ${lines}\n`;

test('a line is JSON with time, level, process and words, in a file for its owner alone', async (t) => {
  const state = await folder(t);
  const log = openLog(state, { verbose: false });
  log.write('info', 'one', { event: 'ready', data: { name: 'a\u202eb\u009b' } });
  log.write('debug', 'only with --verbose');
  log.write('warn', 'two');
  await log.flush();
  const text = await readFile(logFiles(state)[0], 'utf8');
  t.notRegex(text, /[\u202e\u009b]/, 'nothing in it turns a terminal round');
  const lines = (await all(state)).map(parseLine);
  t.deepEqual(
    lines.map((line) => [line?.level, line?.msg, line?.pid]),
    [
      ['info', 'one', process.pid],
      ['warn', 'two', process.pid],
    ],
  );
  t.true(Math.abs(Date.now() - (lines[0]?.time ?? 0)) < 60_000);
  t.like(lines[0], { event: 'ready', data: { name: 'a\u202eb\u009b' } });
  if (process.platform === 'win32') return;
  t.is((await stat(logFiles(state)[0])).mode & 0o777, 0o600);
  t.is((await stat(logFolder(state))).mode & 0o777, 0o700);
});

test('a line of level fatal is on the disk when the call returns', async (t) => {
  const state = await folder(t);
  const log = openLog(state, { verbose: false });
  await mkdir(logFolder(state));
  log.write('info', 'before');
  log.write('fatal', 'the end');
  const text = await readFile(logFiles(state)[0], 'utf8');
  t.regex(text, /before[\s\S]*the end/);
});

test(`LOG_FILE_MAX and LOG_FILES bound what the log takes of the disk`, async (t) => {
  const state = await folder(t);
  const file = new LogFile(state, { lost });
  const line = `${'x'.repeat(99_999)}\n`;
  // More than all files hold.
  const count = Math.ceil(((LOG_FILES + 1) * LOG_FILE_MAX) / line.length);
  for (let i = 0; i < count; i++) {
    file.write(line);
    if (i % 5 === 0) await file.flush();
  }
  await file.flush();
  t.is((await readdir(logFolder(state))).length, LOG_FILES);
  for (const path of logFiles(state)) {
    const { size } = await stat(path);
    t.true(size <= LOG_FILE_MAX && size > 0, `${path}: ${size}`);
  }
  t.true((await stat(logFiles(state)[1])).size > LOG_FILE_MAX - 10 * line.length, 'a file is used to its end');
});

test('lines are read across rotated files, the last ones, in their order', async (t) => {
  const state = await folder(t);
  const file = new LogFile(state, { bytes: 100, lost });
  const written: string[] = [];
  for (let i = 0; i < 60; i++) {
    written.push(`line ${i}`);
    file.write(`line ${i}\n`);
    await file.flush();
  }
  const kept = await all(state);
  t.true(kept.length > 20 && kept.length < 60, `${kept.length}`);
  t.deepEqual(kept, written.slice(-kept.length));
  t.deepEqual(await all(state, 3), ['line 57', 'line 58', 'line 59']);
  t.deepEqual(await all(state, 0), []);
});

test('following goes on across rotations, and loses and repeats nothing', async (t) => {
  const state = await folder(t);
  const file = new LogFile(state, { bytes: 200, lost });
  file.write('before 1\n');
  file.write('before 2\n');
  await file.flush();
  const abort = new AbortController();
  t.teardown(() => abort.abort());
  const got: string[] = [];
  const reading = (async () => {
    for await (const line of readLog(state, 1, abort.signal)) got.push(line);
  })();
  await until(() => got.length === 1, 'the last line there is');
  const expected = ['before 2'];
  // Two rotations at a time between looks.
  for (let round = 0; round < 5; round++) {
    for (let i = 0; i < 30; i++) {
      expected.push(`round ${round} ${i}`);
      file.write(`round ${round} ${i}\n`);
      if (i % 15 === 14) await file.flush();
    }
    await until(() => got.length >= expected.length, `round ${round} is read`);
  }
  abort.abort();
  await reading;
  t.deepEqual(got, expected);
});

test('following begins before there is a log, and outlives its removal', async (t) => {
  const state = await folder(t);
  const abort = new AbortController();
  t.teardown(() => abort.abort());
  const got: string[] = [];
  const reading = (async () => {
    for await (const line of readLog(state, 10, abort.signal)) got.push(line);
  })();
  const file = new LogFile(state, { lost });
  file.write('first\n');
  await file.flush();
  await until(() => got.length === 1, 'the first line');
  await rm(logFolder(state), { recursive: true });
  file.write('second\n');
  await file.flush();
  await until(() => got.length === 2, 'the line in a new file');
  abort.abort();
  await reading;
  t.deepEqual(got, ['first', 'second']);
});

test('a line that is not whole is left out, and the next one is read', async (t) => {
  const state = await folder(t);
  await mkdir(logFolder(state));
  await writeFile(logFiles(state)[0], '{"level":"info","ti');
  const log = openLog(state, { verbose: false });
  log.write('info', 'after the crash');
  await log.flush();
  const lines = await all(state);
  t.is(lines.length, 2);
  t.is(parseLine(lines[0]), undefined);
  t.is(parseLine(lines[1])?.msg, 'after the crash');
  for (const text of ['', 'null', '[]', '{}', '{"level":1,"time":2,"msg":3,"pid":4}']) t.is(parseLine(text), undefined);
});

test('a disk that takes nothing holds nobody up: LOG_WAITING_MAX waits, the rest is counted', async (t) => {
  const state = await folder(t);
  // No folder can be made there.
  await writeFile(logFolder(state), '');
  const file = new LogFile(state, { lost });
  const line = `${'x'.repeat(999)}\n`;
  const count = Math.ceil((2 * LOG_WAITING_MAX) / line.length);
  for (let i = 0; i < count; i++) file.write(line);
  await file.flush();
  for (let i = 0; i < count; i++) file.write(line);
  await file.flush();
  file.flushSync();
  await rm(logFolder(state));
  file.write('there is room again\n');
  await file.flush();
  const lines = await all(state);
  t.true(lines.length * line.length <= LOG_WAITING_MAX + 2 * line.length, `${lines.length} lines`);
  t.true(lines.length * line.length > LOG_WAITING_MAX / 2);
  t.is(lines[0], `lost ${2 * count + 1 - (lines.length - 1)}`);
  t.is(lines.at(-1), 'there is room again');
  file.write('and goes on\n');
  await file.flush();
  t.is((await all(state)).filter((text) => text.startsWith('lost')).length, 1, 'told once');
});

/** What a log was told. */
function book(verbose = false) {
  const lines: { level: Level; words: string; data: Record<string, unknown> }[] = [];
  const log = {
    write: (level: Level, words: string, data = {}) => void lines.push({ level, words, data }),
    flush: async () => {},
  };
  return { lines, daemon: new DaemonLog(log, verbose) };
}

const served = (id: string, path: string, state: 'begun' | 'completed' | 'failed' = 'completed'): ShareEvent => ({
  event: 'serving',
  state,
  path,
  peer: { id: id as typeof ALICE.id, name: id },
  bytes: 10,
});

test('events have a level, words that are safe to print, and their data', (t) => {
  const { lines, daemon } = book();
  daemon.tell({ event: 'warning', message: 'a \u001b[31mred one' });
  daemon.tell({ event: 'peer', change: 'came', ...ALICE });
  daemon.tell({ event: 'hashed', path: 'a/b', id: 'ab' });
  daemon.tell(served('bob', 'a/b', 'begun'));
  t.deepEqual(
    lines.map(({ level, words }) => [level, words]),
    [
      ['warn', 'a \\u{1b}[31mred one'],
      ['info', `alice is here (${ALICE.id})`],
      ['debug', 'hashed a/b ab'],
      ['debug', 'serving a/b to bob'],
    ],
  );
  t.deepEqual(lines[1].data, { event: 'peer', data: { change: 'came', ...ALICE } });
});

test('what others send is in the log, and what became of it', (t) => {
  const { lines, daemon } = book();
  const row: InboxRow = {
    ...{ number: 3, time: 0, from: ALICE, name: 'a\u001b', folder: false, files: 1, bytes: 2048 },
    ...{ state: 'waiting', received: 0 },
  };
  const tell = (more: Partial<InboxRow>) => daemon.tell({ event: 'inbox', row: { ...row, ...more } });
  tell({});
  tell({ state: 'receiving', folder: true, files: 2 });
  tell({ state: 'received', path: '/in/a\u001b' });
  tell({ state: 'refused', error: { code: 'refused', message: 'it is not wanted' } });
  tell({ state: 'failed', error: { code: 'cancelled', message: 'alice has taken it back' } });
  t.deepEqual(
    lines.map(({ level, words }) => [level, words]),
    [
      ['info', 'alice wants to send a\\u{1b} (2.0 KiB); to take it: hearsay inbox accept 3'],
      ['info', 'receiving a\\u{1b}/ (2 files, 2.0 KiB) from alice'],
      ['info', 'received a\\u{1b} (2.0 KiB) from alice: /in/a\\u{1b}'],
      ['info', 'refused a\\u{1b} (2.0 KiB) from alice: it is not wanted'],
      ['warn', 'failed to receive a\\u{1b} (2.0 KiB) from alice: alice has taken it back'],
    ],
  );
  t.like(lines[0].data, { event: 'inbox', data: { row: { number: 3 } } });
});

test('what one peer fetches makes LOG_SERVED_MAX lines a second, and a sum', (t) => {
  const { lines, daemon } = book();
  for (let i = 0; i < LOG_SERVED_MAX + 100; i++)
    daemon.tell(served('bob', `f${i}`, i % 10 === 0 ? 'failed' : 'completed'));
  daemon.tell(served('carol', 'x'));
  t.is(lines.length, LOG_SERVED_MAX + 1);
  daemon.end();
  t.is(lines.length, LOG_SERVED_MAX + 2);
  t.is(lines.at(-1)?.words, 'served 100 more files to bob (1000 B, 10 of them not to the end)');
  daemon.end();
  daemon.tell(served('bob', 'later'));
  t.regex(lines.at(-1)?.words ?? '', /later/, 'the next second begins anew');
  daemon.end();
});

test('beyond LOG_SERVED_PEERS_MAX peers the others are counted together', (t) => {
  const { lines, daemon } = book();
  for (let i = 0; i < LOG_SERVED_PEERS_MAX + 50; i++) daemon.tell(served(`p${i}`, 'x'));
  t.is(lines.length, LOG_SERVED_PEERS_MAX);
  daemon.end();
  t.is(lines.length, LOG_SERVED_PEERS_MAX + 1);
  t.regex(lines.at(-1)?.words ?? '', /^served 50 more files to others/);
});

test('with --verbose each is written', (t) => {
  const { lines, daemon } = book(true);
  for (let i = 0; i < 100; i++) daemon.tell(served('bob', `f${i}`));
  t.is(lines.length, 100);
});
