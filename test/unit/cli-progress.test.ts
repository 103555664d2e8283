import test from 'ava';
import { formatClock, formatDuration, formatSize } from '../../lib/cli/format.js';
import { styleOf } from '../../lib/cli/output.js';
import { Progress } from '../../lib/cli/progress.js';
import { clip, clipStart, table, width, wrap } from '../../lib/cli/text.js';
import { FakeSink } from './cli-fake.js';

const MIB = 2 ** 20;

function make(columns: number, screen = true) {
  const sink = new FakeSink();
  sink.isTTY = screen;
  sink.columns = columns;
  return { sink, progress: new Progress(sink, screen, styleOf(sink, { NO_COLOR: '1' })) };
}

test('sizes, durations and clocks', (t) => {
  const sizes: [number, string][] = [
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.0 KiB'],
    [10_188, '9.9 KiB'],
    [10_200, '10 KiB'],
    [1023.6 * 1024, '1.0 MiB'],
    [27 * MIB, '27 MiB'],
    [2 ** 60, '1024 PiB'],
  ];
  for (const [bytes, text] of sizes) t.is(formatSize(bytes), text);
  t.deepEqual([0, 9.94, 9.96, 59.4, 60, 3725, 90_000].map(formatDuration), [
    '0.0 s',
    '9.9 s',
    '10 s',
    '59 s',
    '1 min 0 s',
    '1 h 2 min',
    '1 d 1 h',
  ]);
  t.deepEqual([0, 7.4, 750, 3723].map(formatClock), ['0:00', '0:07', '12:30', '1:02:03']);
});

test('a line is broken between words, and no word is', (t) => {
  t.is(wrap('one two three four five', 20), 'one two three four\nfive');
  t.is(wrap('one two three four f', 20), 'one two three four f', 'as wide as the terminal');
  t.is(wrap('  indented words go on so', 20), '  indented words go\n  on so');
  t.is(wrap('/a/path/longer/than/that is not broken', 20), '/a/path/longer/than/that\nis not broken');
  const painted = '\x1b[31mone\x1b[39m \x1b[2mtwo three four f\x1b[22m';
  t.is(wrap(painted, 20), painted, 'colours take no room');
  t.is(wrap('日本 日本 日本 日本 日本', 20), '日本 日本 日本 日本\n日本');
  t.is(wrap('one two three', 5), 'one two three', 'too narrow to be worth it');
});

test('columns of text', (t) => {
  const widths: [string, number][] = [
    ['abc', 3],
    ['日本', 4],
    ['é', 1],
    ['e\u0301', 1],
    ['👨‍👩‍👧', 2],
    ['❤️', 2],
    ['한글', 4],
    ['ｱ', 1],
    ['\u200b', 0],
  ];
  for (const [text, columns] of widths) t.is(width(text), columns, text);
  t.is(clip('日本語', 5), '日本…');
  t.is(clip('日本語', 4), '日…');
  t.is(clip('abc', 3), 'abc');
  t.is(clip('abc', 0), '');
  t.is(clipStart('photos/cat.jpg', 8), '…cat.jpg');
  t.is(clipStart('日本語', 4), '…語');
  t.deepEqual(
    table(
      [
        ['a', '1', 'x'],
        ['日本', '22', 'y'],
      ],
      [1],
    ),
    ['a      1  x', '日本  22  y'],
  );
});

test('a file is drawn with bytes, rate, time left and sources', (t) => {
  const { progress } = make(110);
  progress.start(1, 100 * MIB, 0);
  progress.update('photos/cat.jpg', 20 * MIB, 100 * MIB, 2, 0);
  progress.update('photos/cat.jpg', 40 * MIB, 100 * MIB, 2, 2000);
  const [line, ...more] = progress.lines(2000);
  t.is(more.length, 0, 'one file needs no sum');
  // What was there at first was not fetched now: 20 MiB in 2 s.
  t.regex(line, /^photos\/cat\.jpg +\[█+·+\] {2}40 % {2}40 MiB of 100 MiB {2}10 MiB\/s {2}0:06 left {2}2 sources$/);
  const [stalled] = progress.lines(9000);
  t.regex(stalled, /0 B\/s {2}stalled/);
});

test('several files are drawn one by one and in all', (t) => {
  const { progress } = make(120);
  progress.start(30, 300 * MIB, 0);
  progress.finish('done', 50 * MIB, 50 * MIB, 1000);
  for (let file = 0; file < 8; file++) progress.update(`f${file}`, 0, 10 * MIB, 1, 1000);
  progress.update('f0', 10 * MIB, 10 * MIB, 1, 2000);
  const lines = progress.lines(2000);
  t.is(lines.length, 5);
  t.regex(lines[4], /^1 of 30 files .*20 % {2}60 MiB of 300 MiB {2}30 MiB\/s {2}0:08 left$/);
  progress.fail('f0');
  t.false(progress.lines(2000).some((line) => line.startsWith('f0')));
});

test('no line is as wide as the terminal, whatever the name', (t) => {
  const names = ['a', '日本語'.repeat(30), 'e\u0301'.repeat(100), '👨‍👩‍👧'.repeat(40), `x\n\x1b[2J${'y'.repeat(200)}`];
  for (let columns = 11; columns < 200; columns += 3) {
    const { progress } = make(columns);
    progress.start(2, 2 ** 40, 0);
    for (const name of names) {
      progress.update(name, 0, 2 ** 39, 12, 0);
      progress.update(name, 2 ** 38, 2 ** 39, 12, 3000);
      for (const line of progress.lines(3000)) {
        t.true(width(line) < columns, `${columns}: ${line}`);
        t.notRegex(line, /\p{Cc}/u);
      }
      progress.fail(name);
    }
  }
});

test('drawn at most ten times a second, and taken back for a line', (t) => {
  const { sink, progress } = make(80);
  progress.tick(0);
  t.is(sink.text, '', 'nothing before it has begun');
  progress.start(2, 100, 0);
  for (let now = 0; now < 1000; now += 10) progress.tick(now);
  t.is(sink.text.split('\x1b[J').length - 1, 10);
  sink.text = '';
  progress.clear();
  t.is(sink.text, '\x1b[1A\r\x1b[J');
  progress.clear();
  t.is(sink.text, '\x1b[1A\r\x1b[J', 'there is nothing left to clear');
});

test('without a terminal: a plain line every five seconds', (t) => {
  const { sink, progress } = make(80, false);
  progress.start(2, 100 * MIB, 0);
  progress.update('a', 0, 100 * MIB, 1, 0);
  for (let now = 0; now <= 11_000; now += 100) {
    progress.update('a', 1024 * now, 100 * MIB, 1, now);
    progress.tick(now);
  }
  progress.clear();
  t.is(sink.lines().length, 2);
  t.regex(sink.lines()[0], /^0 of 2 files {2}4 % {2}4\.9 MiB of 100 MiB {2}1000 KiB\/s {2}1:37 left$/);
});

test('progress over 100 % or of an empty file does not break it', (t) => {
  const { progress } = make(80);
  progress.start(1, 0, 0);
  progress.update('empty', 0, 0, 0, 0);
  progress.update('liar', 500, 100, 1, 0);
  for (const line of progress.lines(10)) t.true(width(line) < 80);
});
