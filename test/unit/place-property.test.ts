/** What holds of every name, whatever the network sends: tried with random ones, hostile ones, and mixtures. */
import fs from 'node:fs';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import { asHearsayError } from '../../lib/errors.js';
import { isHidden } from '../../lib/share/partial-names.js';
import { writeSmall } from '../../lib/share/partial-small.js';
import { Place } from '../../lib/share/place.js';
import { collisions, diskPathFault, type Folding, foldingOf } from '../../lib/share/place-names.js';

const PLATFORMS = ['linux', 'darwin', 'win32'] as const;
type Platform = (typeof PLATFORMS)[number];

const HOSTILE = [
  ...['..', '.', '...', '', ' ', '~', '\0', '/', '//', '\\', '..\\', '../', '\\\\?\\C:\\', 'C:', 'c:x', ':', '::$DATA'],
  ...['CON', 'con.txt', 'NUL ', 'COM1', 'com\u00b9.x', 'aux.', 'PROGRA~1', 'HEARSA~1.PAR', 'x.', 'x ', 'x:y', '$HOME'],
  ...[
    '.hearsay-0.part',
    '.HEARSAY-0.part',
    '.hear\u017fay-0',
    '.hear\u200csay-0',
    '..namedfork',
    'rsrc',
    '.vol',
    '-rf',
  ],
  ...[
    '\u00e9',
    'e\u0301',
    '\u1e9e',
    '\u00df',
    'ss',
    '\u212a',
    'k',
    '\u0131',
    'I',
    '\u03c2',
    '\u03a3',
    '\ufeff',
    '\u202e',
  ],
  ...[
    '\ud800',
    '\uff0f',
    '\u2215',
    '%2e%2e',
    '%2f',
    '\r\n',
    '\x1b[2J',
    'n'.repeat(255),
    '\u00e9'.repeat(128),
    'a',
    'A',
  ],
];

const piece = fc.oneof(fc.constantFrom(...HOSTILE), fc.string({ unit: 'binary', maxLength: 8 }), fc.string());
const segment = fc.array(piece, { minLength: 1, maxLength: 3 }).map((pieces) => pieces.join(''));
const segments = fc.array(segment, { minLength: 1, maxLength: 6 });

const ROOTS: Record<Platform, string> = { linux: '/dest/in', darwin: '/dest/in', win32: 'C:\\dest\\in' };

test('what is accepted lies inside the destination, segment by segment as it was sent', (t) => {
  let accepted = 0;
  fc.assert(
    fc.property(segments, fc.constantFrom(...PLATFORMS), (parts, platform) => {
      const wire = parts.join('/');
      if (diskPathFault(wire, platform) !== undefined) return;
      accepted++;
      const rules = platform === 'win32' ? path.win32 : path.posix;
      const landed = rules.join(ROOTS[platform], ...wire.split('/'));
      const back = rules.relative(ROOTS[platform], landed).split(rules.sep).join('/');
      if (back !== wire || rules.isAbsolute(rules.relative(ROOTS[platform], landed))) throw new Error(landed);
    }),
    { numRuns: 3000 },
  );
  t.true(accepted > 300, `${accepted} were accepted`);
});

/** What a platform makes of a segment, told another way than the code under test does it. */
function asDiskHas(name: string, platform: Platform): string {
  if (platform === 'linux') return name;
  if (platform === 'darwin') return [...name.normalize('NFD')].map((c) => c.toLowerCase()).join('');
  // Streams, then dots and spaces at the end, then the devices; and letters one by one, as NTFS folds them.
  const bare = name.split(':')[0].replace(/[. ]+$/, '');
  const device = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i.exec(bare);
  if (device) return `\\\\.\\${device[1].toUpperCase()}`;
  return [...bare].map((c) => (c.toUpperCase().length === c.length ? c.toUpperCase() : c)).join('');
}

/** Another spelling that some disk may take for the same. */
const respelled = fc.constantFrom<((name: string) => string)[]>(
  (name) => name,
  (name) => name.toUpperCase(),
  (name) => name.toLowerCase(),
  (name) => name.normalize('NFD'),
  (name) => name.normalize('NFC'),
  (name) => `${name}.`,
  (name) => `${name} `,
  (name) => `${name}:x`,
  (name) => `${name}::$DATA`,
);

test('no two different names that are accepted land in one place', (t) => {
  let same = 0;
  fc.assert(
    fc.property(segment, respelled, respelled, fc.constantFrom(...PLATFORMS), (name, how, then, platform) => {
      const other = then(how(name));
      if (other === name || diskPathFault(name, platform) || diskPathFault(other, platform)) return;
      if (asDiskHas(name, platform) !== asDiskHas(other, platform)) return;
      same++;
      if (collisions([name, other], foldingOf(platform)).size !== 1) throw new Error(`${platform}: ${name}, ${other}`);
    }),
    { numRuns: 20_000 },
  );
  t.true(same > 100, `${same} pairs were one`);
});

test('every letter is one with its other cases where case counts for nothing', (t) => {
  const folding: Folding = { case: true, form: false, ignorable: false };
  const wrong: string[] = [];
  for (let code = 1; code < 0x20000; code++) {
    if (code >= 0xd800 && code < 0xe000) continue;
    const c = String.fromCodePoint(code);
    const others = [c.toLowerCase(), c.toUpperCase(), c.toLowerCase().toUpperCase(), c.toUpperCase().toLowerCase()];
    for (const other of new Set(others)) {
      if (other !== c && collisions([c, other], folding).size !== 1) wrong.push(`${code.toString(16)} ${other}`);
    }
  }
  t.deepEqual(wrong, []);
});

test('hidden names are refused in every spelling that a disk may take for them', (t) => {
  const letters = [...'.hearsay-0.part'];
  const variant = fc.tuple(
    fc.array(fc.constantFrom('', '', '', '\u200c', '\ufeff', '\u00ad'), { minLength: 15, maxLength: 15 }),
    fc.array(fc.boolean(), { minLength: 15, maxLength: 15 }),
    fc.boolean(),
  );
  fc.assert(
    fc.property(variant, fc.constantFrom(...PLATFORMS), ([unseen, upper, long], platform) => {
      const spelled = letters.map((c, i) => unseen[i] + (upper[i] ? c.toUpperCase() : c)).join('');
      return diskPathFault(long ? spelled.replace('s', '\u017f') : spelled, platform) !== undefined;
    }),
  );
  t.true(isHidden('.Hearsay-x'));
});

test('on this disk: what is sent lands inside under its own name, or fails with a code', async (t) => {
  const base = await realpath(await mkdtemp(path.join(os.tmpdir(), 'hearsay-property-')));
  t.teardown(() => rm(base, { recursive: true, force: true }));
  let run = 0;
  let landed = 0;
  await fc.assert(
    fc.asyncProperty(segments, async (parts) => {
      const wire = parts.join('/');
      const root = path.join(base, `${run++}`, 'in');
      try {
        const spot = await new Place(root).spot(wire);
        await writeSmall({
          ...spot,
          data: Buffer.from(wire),
          mtime: 1,
          executable: false,
          overwrite: false,
          sync: false,
        });
        landed++;
      } catch (error) {
        const { code } = asHearsayError(error);
        if (code !== 'bad-name') throw error;
        if (fs.existsSync(path.dirname(root)) && leaves(path.dirname(root)).length > 0)
          throw new Error(`${code}, but made`);
        return;
      }
      const found = leaves(path.dirname(root));
      if (found.length !== 1 || found[0] !== `in/${wire}`) throw new Error(`${JSON.stringify(wire)}: ${found}`);
    }),
    { numRuns: 400 },
  );
  t.true(landed > 50, `${landed} landed`);
  t.true(fs.readdirSync(base).every((name) => /^\d+$/.test(name)));
});

/** The files below a folder, by their paths from it, with slashes. */
function leaves(root: string): string[] {
  const all = fs.readdirSync(root, { recursive: true, withFileTypes: true });
  return all
    .filter((entry) => !entry.isDirectory())
    .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)).split(path.sep).join('/'));
}
