/** The parts of the console that need no terminal. */
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import { History } from '../../lib/cli/console-history.js';
import { refreshLines } from '../../lib/cli/console-list.js';
import { Live, WINDOW_MS } from '../../lib/cli/console-live.js';
import { Numbers } from '../../lib/cli/console-numbers.js';
import { helpLines, VERBS, verbOf } from '../../lib/cli/console-verbs.js';
import { wanted } from '../../lib/cli/console-wanted.js';
import { tokens, typed, wordsOf } from '../../lib/cli/console-words.js';
import { styleOf } from '../../lib/cli/output.js';
import { width } from '../../lib/cli/text.js';
import { eventLine } from '../../lib/cli/told.js';
import { CONSOLE_HISTORY_MAX, CONSOLE_NUMBERS_MAX } from '../../lib/limits.js';
import { ALICE, BOB, FakeSink, row, STATUS } from './cli-fake.js';

const UNIX = { escapes: true, home: '/home/a' };
const WINDOWS = { escapes: false, home: 'C:\\Users\\a' };

test('a line is read as a shell would read it', (t) => {
  const cases: [string, string[]][] = [
    ['', []],
    ['  ls  alice\tbob ', ['ls', 'alice', 'bob']],
    ['get "a b" c\\ d \'e "f\'', ['get', 'a b', 'c d', 'e "f']],
    ['get a"b c"d', ['get', 'ab cd']],
    ["add '' x", ['add', '', 'x']],
    ['add "a\\"b" "c\\\\d" "e\\f" \'g\\h\'', ['add', 'a"b', 'c\\d', 'e\\f', 'g\\h']],
    ['add ~ ~/x "~/y" a~ ~b', ['add', '/home/a', '/home/a/x', '~/y', 'a~', '~b']],
    ['add a\\', ['add', 'a\\']],
  ];
  for (const [line, words] of cases) t.deepEqual(wordsOf(line, UNIX), words, line);
  t.deepEqual(wordsOf('send C:\\dir\\a "C:\\b c\\d" ~\\x', WINDOWS), [
    'send',
    'C:\\dir\\a',
    'C:\\b c\\d',
    'C:\\Users\\a\\x',
  ]);
  for (const line of ['get "a', "get 'a b", 'get a"']) {
    t.throws(() => wordsOf(line, UNIX), { code: 'usage', message: /a quote is not closed/ });
  }
  t.like(tokens('get "ph', UNIX)[1], { value: 'ph', raw: '"ph', quote: '"', open: '"' });
});

test('what is completed is read again as it was meant, whatever is in it', (t) => {
  const name = fc.string({ unit: 'grapheme', minLength: 1 }).filter((text) => !/[\n\r\u2028\u2029]/.test(text));
  fc.assert(
    fc.property(name, fc.constantFrom('' as const, '"' as const, "'" as const), (value, quote) => {
      t.deepEqual(wordsOf(`get ${typed(value, quote, UNIX)}`, UNIX), ['get', value]);
    }),
  );
  t.is(typed("it's", "'", UNIX), "it\\'s");
  t.deepEqual(wordsOf(`get ${typed('~/x', '', UNIX)}`, UNIX), ['get', '~/x']);
  t.is(typed('a b', '', WINDOWS), '"a b"');
});

test('a number stands for one file as long as the console runs', (t) => {
  const numbers = new Numbers();
  t.throws(() => numbers.read('1'), { code: 'not-found', message: /none is given yet/ });
  t.is(numbers.of(ALICE.id, 'a'), 1);
  t.is(numbers.of(BOB.id, 'a'), 2);
  t.is(numbers.of(ALICE.id, 'b'), 3);
  t.is(numbers.of(ALICE.id, 'a'), 1);
  t.deepEqual(numbers.read('2-3'), [
    { peer: BOB.id, path: 'a' },
    { peer: ALICE.id, path: 'b' },
  ]);
  t.is(numbers.read('photos/1'), undefined);
  t.is(numbers.read('1.txt'), undefined);
  t.throws(() => numbers.read('4'), { code: 'not-found', message: /number 4; they go from 1 to 3/ });
  t.throws(() => numbers.read('0'), { code: 'not-found', message: /number 0/ });
  t.throws(() => numbers.read('3-1'), { code: 'usage' });
});

test('no more numbers are given than there may be, and those that are given stay', (t) => {
  t.true(CONSOLE_NUMBERS_MAX >= 100_000);
  const numbers = new Numbers(2);
  t.deepEqual([numbers.of(ALICE.id, 'a'), numbers.of(ALICE.id, 'b'), numbers.of(ALICE.id, 'c')], [1, 2, undefined]);
  t.is(numbers.of(ALICE.id, 'b'), 2);
  t.is(new Numbers().of(ALICE.id, 'a'), 1, 'the default is the true one');
});

test('a get by numbers asks those peers that are here, and names the others', (t) => {
  const numbers = new Numbers();
  for (const path of ['a', 'b']) for (const { id } of [ALICE, BOB]) numbers.of(id, path);
  const isHere = (peer: string) => peer === ALICE.id;
  const found = wanted(['1-2', 'c/d', '-o', '3', '--', '4', '-x'], numbers, isHere);
  t.deepEqual(found.words, [`${ALICE.id}:a`, 'c/d', '-o', '3', '--', '-x']);
  t.deepEqual(found.away, [
    { peer: BOB.id, path: 'a' },
    { peer: BOB.id, path: 'b' },
  ]);
  t.throws(() => wanted(['2', '4', '-o', 'x'], numbers, isHere), { code: 'no-peer', message: /a is not here/ });
  for (const words of [
    ['1', '-o', '-'],
    ['1', '-o-'],
    ['1', '--output', '-'],
    ['--output=-', '1'],
  ]) {
    t.throws(() => wanted(words, numbers, isHere), { code: 'usage', message: /-o - is not for the console/ });
  }
  t.notThrows(() => wanted(['--', '-o-'], numbers, isHere));
  for (let i = 0; i < 10_000; i++) numbers.of(ALICE.id, `f${i}`);
  t.throws(() => wanted(['1-10001'], numbers, () => true), { code: 'usage', message: /name a folder/ });
});

test('every verb has its short form, and what is none is named', (t) => {
  for (const [short, name] of Object.entries({ p: 'peers', l: 'ls', g: 'get', s: 'send', r: 'refresh', q: 'quit' })) {
    t.is(verbOf(short).name, name);
    t.is(verbOf(name).name, name);
  }
  const shorts = VERBS.flatMap(({ short }) => short ?? []);
  t.is(new Set(shorts).size, shorts.length, 'each short form stands for one');
  t.throws(() => verbOf('gte'), { code: 'usage', message: 'there is no command gte. Did you mean get?' });
  t.throws(() => verbOf('EXIT'), { code: 'usage', message: /Did you mean quit\?/ });
  t.throws(() => verbOf('constructor'), { code: 'usage', message: /There are peers, ls, find/ });
  for (const line of helpLines()) t.true(width(line) <= 80, line);
});

test('a flood of events is a few lines and a number', (t) => {
  const lines: string[] = [];
  const live = new Live((line) => lines.push(line));
  for (let i = 0; i < 10; i++) t.false(live.take(`${i}`, 1000));
  for (let i = 0; i < 100; i++) t.true(live.take('more', 1000 + i));
  t.is(lines.length, 10);
  live.tick(1000 + WINDOW_MS - 1);
  t.is(lines.length, 10);
  live.tick(1000 + WINDOW_MS);
  t.regex(lines[10], /^100 things more happened/);
  t.false(live.take('again', 1000 + WINDOW_MS));
  t.is(lines.at(-1), 'again');
  live.tick(1000 + 3 * WINDOW_MS);
  t.is(lines.length, 12);
});

test('what changed of files is one line, safe to print', (t) => {
  const style = styleOf(new FakeSink(), {});
  const files = { event: 'files' as const, peer: BOB, added: 0, changed: 0, removed: 0, path: 'a/\x1b[2Jb' };
  const line = (more: Partial<typeof files>) => eventLine({ ...files, ...more }, style, false);
  t.is(line({ added: 1 }), 'bob: a/\\u{1b}[2Jb is new');
  t.is(line({ changed: 1 }), 'bob: a/\\u{1b}[2Jb has changed');
  t.is(line({ removed: 1 }), 'bob: a/\\u{1b}[2Jb is gone');
  t.is(line({ added: 1200, removed: 1 }), 'bob: 1,200 files more, 1 file fewer (a/\\u{1b}[2Jb, ...)');
});

test('a refresh says what changed, and how much more', (t) => {
  const nothing = { came: [], left: [], added: [], changed: [], removed: [] };
  const none = { ...nothing, peers: { came: 0, left: 0 }, files: { added: 0, changed: 0, removed: 0 } };
  t.deepEqual(refreshLines(none, STATUS), ['nothing has changed: 2 other peers, 1,234 offers']);
  const some = {
    ...none,
    came: [BOB],
    left: [{ ...ALICE, name: 'a\x07' }],
    added: [row('x\n', { peers: [BOB] })],
    peers: { came: 1, left: 31 },
    files: { added: 42, changed: 0, removed: 3 },
  };
  t.deepEqual(refreshLines(some, STATUS), [
    'came: bob',
    'left: a\\u{7} and 30 more',
    '+ bob: x\\n',
    '+ 41 more files',
    '- 3 more files',
    '2 other peers, 1,234 offers',
  ]);
});

async function folder(t: { teardown(run: () => Promise<void>): void }): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'hearsay-console-'));
  t.teardown(() => rm(made, { recursive: true, force: true }));
  return made;
}

test('what was typed is there the next time, for its owner only', async (t) => {
  const state = await folder(t);
  const first = await History.open(state);
  t.deepEqual(first.newestFirst, []);
  for (const line of ['ls', 'get 1', 'get 1', '  ', 'get \x1b[31m', 'peers']) first.add(line);
  await first.stored();
  const file = join(state, 'console-history');
  t.is(await readFile(file, 'utf8'), 'ls\nget 1\npeers\n');
  if (process.platform !== 'win32') {
    t.is((await stat(file)).mode & 0o777, 0o600);
    await chmod(file, 0o644);
  }
  t.deepEqual((await History.open(state)).newestFirst, ['peers', 'get 1', 'ls']);
  if (process.platform !== 'win32') t.is((await stat(file)).mode & 0o777, 0o600);
});

test('the history is bounded, in memory and in its file', async (t) => {
  const state = await folder(t);
  const history = await History.open(state);
  for (let i = 0; i < 2 * CONSOLE_HISTORY_MAX + 1; i++) history.add(`get ${i}`);
  history.add('x'.repeat(10_000));
  await history.stored();
  t.is(history.newestFirst.length, CONSOLE_HISTORY_MAX);
  t.is(history.newestFirst[0], `get ${2 * CONSOLE_HISTORY_MAX}`);
  const lines = (await readFile(join(state, 'console-history'), 'utf8')).split('\n').length - 1;
  t.is(lines, CONSOLE_HISTORY_MAX);
  await writeFile(join(state, 'console-history'), `${'get x\n'.repeat(5 * CONSOLE_HISTORY_MAX)}last\n`);
  const again = await History.open(state);
  t.is(again.newestFirst.length, CONSOLE_HISTORY_MAX);
  t.is(again.newestFirst[0], 'last');
});

test('a history that cannot be written hinders nobody', async (t) => {
  const history = await History.open(join(await folder(t), 'not-there'));
  history.add('ls');
  await t.notThrowsAsync(history.stored());
  t.deepEqual(history.newestFirst, ['ls']);
});
