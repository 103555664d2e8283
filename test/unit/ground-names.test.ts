import test from 'ava';
import fc from 'fast-check';
import { PATH_DEPTH_MAX, PATH_MAX } from '../../lib/limits.js';
import { byPath, isSafePath, pathFault, printable, segmentFault } from '../../lib/names.js';

test('paths that are refused everywhere', (t) => {
  for (const [path, why] of [
    ['', /empty path/],
    ['/etc/passwd', /absolute/],
    ['a//b', /empty segment/],
    ['a/', /empty segment/],
    ['.', /segment \.$/],
    ['a/../b', /segment \.\.$/],
    ['..', /segment \.\.$/],
    ['a/b\0c', /NUL/],
    [`a/${'é'.repeat(128)}`, /over 255 bytes/],
    ['a/\ud800b', /Unicode/],
    [`${'d/'.repeat(PATH_DEPTH_MAX)}f`, /segments/],
    [`${'dddddddddddddddddddddddddddddddddddddddd/'.repeat(101)}f`, new RegExp(`over ${PATH_MAX} bytes`)],
  ] as const) {
    t.regex(pathFault(path) ?? 'no fault', why, JSON.stringify(path.slice(0, 20)));
    t.false(isSafePath(path));
  }
  t.regex(segmentFault('a/b') ?? '', /slash/);
});

test('hostile but legal names pass: what a platform cannot hold is for the disk to say', (t) => {
  for (const name of [
    'a\nb',
    '😀',
    '\u202egnp.exe',
    'x'.repeat(255),
    '-rf',
    ' two  spaces ',
    'é',
    'e\u0301',
    '100%',
    'CON',
    'a\\b',
    'a:b',
    '...',
    '.hidden',
    '~',
    'a.',
    '__proto__',
    'constructor',
  ]) {
    t.is(pathFault(`share/${name}`), undefined, JSON.stringify(name));
  }
});

test('printable text holds nothing that moves the cursor or turns the direction', (t) => {
  t.is(printable('a\nb\tc\rd'), 'a\\nb\\tc\\rd');
  t.is(printable('\u001b[2J'), '\\u{1b}[2J');
  t.is(printable('\u202egnp.exe'), '\\u{202e}gnp.exe');
  t.is(printable('\u009b31m'), '\\u{9b}31m');
  t.is(printable('ünïcödé 😀 日本'), 'ünïcödé 😀 日本');
  t.is(printable('\ud800'), '\ufffd');
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const shown = printable(text);
      return shown.isWellFormed() && !/[\p{Cc}\u200e\u200f\u2028-\u202e\u2066-\u2069]/u.test(shown);
    }),
  );
});

test('the order of paths is that of their code units, everywhere', (t) => {
  const paths = ['b', 'a', 'B', 'é', 'a/b', 'a b', 'a', '10', '9'].map((path) => ({ path }));
  t.deepEqual(
    paths.sort(byPath).map(({ path }) => path),
    ['10', '9', 'B', 'a', 'a', 'a b', 'a/b', 'b', 'é'],
  );
});
