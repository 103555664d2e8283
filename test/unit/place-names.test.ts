import test from 'ava';
import { collisions, diskPathFault, nameFault } from '../../lib/share/place-names.js';

const PLATFORMS = ['linux', 'darwin', 'win32'] as const;

/** Refused everywhere: what would leave the destination, or name nothing. */
const TRAVERSAL: [path: string, why: RegExp][] = [
  ['', /empty path/],
  ['/', /absolute/],
  ['/etc/passwd', /absolute/],
  ['//host/share', /absolute/],
  ['..', /segment \.\./],
  ['../x', /segment \.\./],
  ['a/../../x', /segment \.\./],
  ['a/..', /segment \.\./],
  ['.', /segment \./],
  ['./x', /segment \./],
  ['a/./x', /segment \./],
  ['a//x', /empty segment/],
  ['a/', /empty segment/],
  ['a\0b', /NUL/],
  ['a/b\0/../c', /NUL/],
  ['a\ud800b', /Unicode/],
  ['n'.repeat(256), /255/],
  ['\u00e9'.repeat(128), /255/],
  [Array(129).fill('a').join('/'), /segments/],
  [Array(100).fill('x'.repeat(60)).join('/'), /4096 bytes/],
  ['.hearsay-0123456789abcdef.part', /keeps for its own/],
  ['a/.hearsay-0123456789abcdef.journal', /keeps for its own/],
  ['.hearsay-x/y', /keeps for its own/],
  ['.HEARSAY-x.tmp', /keeps for its own/],
  ['.hear\u017fay-x.tmp', /keeps for its own/],
  ['.hear\u200csay-0.part', /keeps for its own/],
  ['\ufeff.hearsay-0.part', /keeps for its own/],
];

for (const [path, why] of TRAVERSAL) {
  test(`refused everywhere: ${JSON.stringify(path.slice(0, 40))}`, (t) => {
    for (const platform of PLATFORMS) t.regex(diskPathFault(path, platform) ?? 'none', why, platform);
  });
}

/** Legal on Linux and macOS, and what Windows says of them. */
const WINDOWS: [name: string, why: RegExp][] = [
  ['CON', /device/],
  ['con', /device/],
  ['Con.txt', /device/],
  ['con.tar.gz', /device/],
  ['PRN', /device/],
  ['AUX.c', /device/],
  ['NUL', /device/],
  ['nul .txt', /device/],
  ['COM1', /device/],
  ['com0.log', /device/],
  ['COM\u00b9', /device/],
  ['LPT9.x', /device/],
  ['CONIN$', /device/],
  ['conout$.txt', /device/],
  ['C:', /character :/],
  ['C:x', /character :/],
  ['file.txt:stream', /character :/],
  ['a\\b', /character \\/],
  ['..\\..\\x', /character \\/],
  ['\\\\host\\share', /character \\/],
  ['a<b', /character </],
  ['a>b', /character >/],
  ['a"b', /character "/],
  ['a|b', /character \|/],
  ['what?', /character \?/],
  ['a*b', /character \*/],
  ['a\nb', /control character/],
  ['a\x1fb', /control character/],
  ['dot.', /dot or space/],
  ['...', /dot or space/],
  ['space ', /dot or space/],
  ['HEARSA~1.PAR', /short name/],
  ['PROGRA~1', /short name/],
  ['a~12.txt', /short name/],
  ['he12ab~1.jou', /short name/],
];

for (const [name, why] of WINDOWS) {
  test(`refused on Windows only: ${JSON.stringify(name)}`, (t) => {
    t.regex(diskPathFault(`docs/${name}`, 'win32') ?? 'none', why);
    t.regex(diskPathFault(`${name}/x`, 'win32') ?? 'none', why);
    t.is(diskPathFault(`docs/${name}`, 'linux'), undefined);
    t.is(diskPathFault(`docs/${name}`, 'darwin'), undefined);
  });
}

test('names that look like the forbidden ones are fine on Windows', (t) => {
  for (const name of [
    'console',
    'CONx.txt',
    'xCON',
    'com',
    'com10',
    'lpt',
    'nulls.txt',
    'report~2024.txt',
    '~1',
    'a.~1~',
    '.hidden',
    'a.b.c',
    'a b',
    '-rf',
  ]) {
    t.is(nameFault(name, 'win32'), undefined, name);
  }
});

test('a part of a file is no name on macOS', (t) => {
  for (const name of ['..namedfork', '..NamedFork']) {
    t.regex(diskPathFault(`file/${name}/rsrc`, 'darwin') ?? 'none', /part of a file/);
    t.is(diskPathFault(`file/${name}/rsrc`, 'linux'), undefined);
  }
});

test('.hearsayignore is an ordinary name', (t) => {
  for (const platform of PLATFORMS) t.is(nameFault('.hearsayignore', platform), undefined);
});

const CASE = { case: true, form: false, ignorable: false };
const BOTH = { case: true, form: true, ignorable: false };

test('names that are one on the disk fail, all but the first', (t) => {
  const paths = ['A/x', 'a/y', 'A/X', 'b', 'B', 'b/c'];
  t.deepEqual([...collisions(paths, CASE).keys()], ['a/y', 'A/X', 'B']);
  t.regex(collisions(paths, CASE).get('a/y') ?? '', /differs from A only/);
  t.regex(collisions(paths, CASE).get('A/X') ?? '', /differs from A\/x only/);
});

test('both forms of é are one where the disk says so', (t) => {
  const paths = ['caf\u00e9', 'cafe\u0301', 'CAF\u00c9'];
  t.deepEqual([...collisions(paths, BOTH).keys()], ['cafe\u0301', 'CAF\u00c9']);
  t.deepEqual([...collisions(paths, CASE).keys()], ['CAF\u00c9']);
  t.deepEqual([...collisions(paths, { case: false, form: true, ignorable: false }).keys()], ['cafe\u0301']);
  t.is(collisions(paths, { case: false, form: false, ignorable: false }).size, 0);
});

test('unseen characters, and letters that become two, count where the disk says so', (t) => {
  const unseen = { case: false, form: false, ignorable: true };
  t.deepEqual([...collisions(['a', 'a\u200c', 'b'], unseen).keys()], ['a\u200c']);
  t.is(collisions(['a', 'a\u200c'], CASE).size, 0);
  t.deepEqual([...collisions(['stra\u00dfe', 'STRA\u1e9eE', 'STRASSE'], CASE).keys()], ['STRA\u1e9eE', 'STRASSE']);
});

test('a folder shared by many is no collision with itself', (t) => {
  t.is(collisions(['a/b/1', 'a/b/2', 'a/c', 'a'], BOTH).size, 0);
});
