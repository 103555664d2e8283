/** Every traversal tried: the name, what it tries, and where it lands or the code that it fails with. */
import fs from 'node:fs';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import test from 'ava';
import { asHearsayError } from '../../lib/errors.js';
import { Partial as Unfinished } from '../../lib/share/partial.js';
import { writeSmall } from '../../lib/share/partial-small.js';
import { Place } from '../../lib/share/place.js';
import { diskPathFault } from '../../lib/share/place-names.js';

const DONE = { mtime: 1_600_000_000_001, executable: false, overwrite: false, sync: false };

/** What the rules say on Linux, macOS and Windows: `lands` under exactly its own name, or is refused as `bad-name`. */
type Outcome = 'lands' | 'bad-name';
const NOWHERE: Outcome[] = ['bad-name', 'bad-name', 'bad-name'];
const NOT_WINDOWS: Outcome[] = ['lands', 'lands', 'bad-name'];
const ANYWHERE: Outcome[] = ['lands', 'lands', 'lands'];
const PLATFORMS = ['linux', 'darwin', 'win32'] as const;
const HERE = process.platform === 'win32' ? 2 : process.platform === 'darwin' ? 1 : 0;

const TRAVERSALS: [name: string, tries: string, outcomes: Outcome[]][] = [
  ['..', 'the folder above', NOWHERE],
  ['../x', 'a file in the folder above', NOWHERE],
  ['../../../../../../../../x', 'the top of the disk', NOWHERE],
  ['a/..', 'the destination itself', NOWHERE],
  ['a/../x', 'to go down and up again', NOWHERE],
  ['a/../../x', 'to go down once and up twice', NOWHERE],
  ['a/b/../../../x', 'the same, further down', NOWHERE],
  ['a/..', 'to end above', NOWHERE],
  ['.', 'the destination itself', NOWHERE],
  ['./x', 'another spelling of x', NOWHERE],
  ['a/./x', 'another spelling of a/x', NOWHERE],
  ['', 'no name at all', NOWHERE],
  ['/', 'the top of the disk', NOWHERE],
  ['/etc/x', 'an absolute path', NOWHERE],
  ['//host/share/x', 'an absolute path on another machine', NOWHERE],
  ['a//x', 'another spelling of a/x, or an absolute path behind a', NOWHERE],
  ['a/', 'a folder where a file is meant', NOWHERE],
  ['x\0.txt', 'a name that ends at NUL for the system', NOWHERE],
  ['..\0/x', 'the same in a folder', NOWHERE],
  ['\ud800', 'a name that is no Unicode, and another one on the disk', NOWHERE],
  ['n'.repeat(256), 'a name that is too long', NOWHERE],
  ['\u00e9'.repeat(128), 'a name that is too long in bytes', NOWHERE],
  [Array(129).fill('a').join('/'), 'folders that are too deep', NOWHERE],
  [Array(100).fill('x'.repeat(60)).join('/'), 'a path that is too long', NOWHERE],
  ['.hearsay-0123456789abcdef.part', 'a partial of ours', NOWHERE],
  ['a/.hearsay-0123456789abcdef.journal', 'a journal of ours', NOWHERE],
  ['a/.hearsay-0123456789abcdef.lock', 'a lock of ours', NOWHERE],
  ['.hearsay-x.tmp', 'a temporary file of ours', NOWHERE],
  ['.HearSay-x.tmp', 'the same where case counts for nothing', NOWHERE],
  ['.hear\u017fay-x.tmp', 'the same with a long s, whose capital is S', NOWHERE],
  ['.hear\u200csay-x.tmp', 'the same where unseen characters count for nothing', NOWHERE],
  ['.hearsay-x/y', 'a folder with such a name', NOWHERE],
  ['..\\x', 'the folder above on Windows', NOT_WINDOWS],
  ['a\\..\\..\\x', 'the folder above on Windows, by way of another', NOT_WINDOWS],
  ['\\x', 'the top of the disk on Windows', NOT_WINDOWS],
  ['\\\\host\\share', 'another machine on Windows', NOT_WINDOWS],
  ['\\\\?\\C:\\x', 'a path past all rules on Windows', NOT_WINDOWS],
  ['\\\\.\\PhysicalDrive0', 'a disk on Windows', NOT_WINDOWS],
  ['C:', 'a drive', NOT_WINDOWS],
  ['C:x', 'the current folder of a drive', NOT_WINDOWS],
  ['C:/x', 'the top of a drive', NOT_WINDOWS],
  ['x.txt:stream', 'a second content of x.txt', NOT_WINDOWS],
  ['x::$DATA', 'the content of x by another name', NOT_WINDOWS],
  ['a::$INDEX_ALLOCATION/x', 'a folder by another name', NOT_WINDOWS],
  ['CON', 'a device', NOT_WINDOWS],
  ['a/nul.txt', 'a device with an extension', NOT_WINDOWS],
  ['com1 .log', 'a device with a space', NOT_WINDOWS],
  ['LPT\u00b2', 'a device with a raised digit', NOT_WINDOWS],
  ['CONOUT$', 'a console', NOT_WINDOWS],
  ['...', 'what is left of it without its dots: nothing', NOT_WINDOWS],
  ['.. ', '.. , after Windows drops the space', NOT_WINDOWS],
  ['.. /x', 'the same in a folder', NOT_WINDOWS],
  ['x.', 'x, after Windows drops the dot', NOT_WINDOWS],
  ['x ', 'x, after Windows drops the space', NOT_WINDOWS],
  ['HEARSA~1.PAR', 'a partial of ours by its short name', NOT_WINDOWS],
  ['PROGRA~1/x', 'a folder by its short name', NOT_WINDOWS],
  ['x\n', 'a second line in what is printed', NOT_WINDOWS],
  ['\x1b[31m', 'colours in what is printed', NOT_WINDOWS],
  ['*', 'a pattern', NOT_WINDOWS],
  ['x/..namedfork/rsrc', 'a second content of x', ['lands', 'bad-name', 'lands']],
  ['%2e%2e%2fx', '../x, for those who decode it', ANYWHERE],
  ['..%2fx', 'the same', ANYWHERE],
  ['\u2025', '.. as one character', ANYWHERE],
  ['\uff0e\uff0e\uff0fx', '../x in full width', ANYWHERE],
  ['..x', 'what begins like the folder above', ANYWHERE],
  ['\u202egnp.exe', 'to be read from right to left', ANYWHERE],
  ['~', "the user's own folder", ANYWHERE],
  ['~root/x', "another user's folder", ANYWHERE],
  ['$HOME', 'a variable', ANYWHERE],
  ['-rf', 'an option', ANYWHERE],
  ['.bashrc', 'a file that is run, were the destination one at home', ANYWHERE],
  ['__proto__', 'what all objects have', ANYWHERE],
  ['constructor/x', 'the same', ANYWHERE],
  [' x', 'a name with a space before it', ANYWHERE],
  ['\u{1f600}.txt', 'nothing', ANYWHERE],
  ['n'.repeat(255), 'the longest name', ANYWHERE],
  [Array(128).fill('a').join('/'), 'the deepest path', ANYWHERE],
];

test('the rules of each platform', (t) => {
  for (const [name, tries, outcomes] of TRAVERSALS) {
    const found = PLATFORMS.map((platform) => (diskPathFault(name, platform) === undefined ? 'lands' : 'bad-name'));
    t.deepEqual(found, outcomes, `${JSON.stringify(name.slice(0, 40))}: ${tries}`);
  }
});

type Way = (place: Place, name: string) => Promise<string>;

const WAYS: [string, Way][] = [
  ['a small file', async (place, name) => writeSmall({ ...(await place.spot(name)), ...DONE, data: Buffer.from('x') })],
  [
    'a large file',
    async (place, name) => {
      const spot = await place.spot(name);
      const partial = await Unfinished.open({ ...spot, path: name, size: 1, id: null, chunkSize: 1024 });
      await partial.write(0, Buffer.from('x'));
      return partial.finish(DONE);
    },
  ],
  ['a folder', (place, name) => place.folder(name)],
];

for (const [what, land] of WAYS) {
  test(`on this disk, as ${what}`, async (t) => {
    const base = await realpath(await mkdtemp(path.join(os.tmpdir(), 'hearsay-traversal-')));
    t.teardown(() => rm(base, { recursive: true, force: true }));
    for (const [i, [name, tries, outcomes]] of TRAVERSALS.entries()) {
      const told = `${JSON.stringify(name.slice(0, 40))}: ${tries}`;
      const above = path.join(base, `${i}`);
      const result = await land(new Place(path.join(above, 'in')), name).catch((error) => asHearsayError(error).code);
      if (outcomes[HERE] === 'bad-name') {
        t.is(result, 'bad-name', told);
        t.false(fs.existsSync(above), told);
        continue;
      }
      t.is(result, path.join(above, 'in', ...name.split('/')), told);
      const all = fs
        .readdirSync(above, { recursive: true, encoding: 'utf8' })
        .map((at) => at.split(path.sep).join('/'));
      const way = `in/${name}`.split('/');
      t.deepEqual(all.sort(), way.map((_, end) => way.slice(0, end + 1).join('/')).sort(), told);
    }
    t.true(fs.readdirSync(base).every((name) => /^\d+$/.test(name)));
  });
}
