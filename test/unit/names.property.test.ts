/**
 * Properties of names: none that passes leads out of its folder by any platform's own arithmetic of paths, and none that is
 * printed does anything to a terminal. What the disk itself makes of them is tried in place-property.test.ts.
 */
import { posix, win32 } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import { pathFault, printable } from '../../lib/names.js';
import { diskPathFault } from '../../lib/share/place-names.js';
import { TRAVERSALS } from '../fuzz/targets/words.js';

const RUNS = { seed: 42, numRuns: 3000 };
const PLATFORMS = ['linux', 'darwin', 'win32'] as const;

const piece = fc.oneof(
  fc.constantFrom(...TRAVERSALS),
  fc.constantFrom('/', '\\', '..', '.', ':', ' ', '\0', 'a', 'CON', '~', '%2e'),
  fc.string({ unit: 'binary', maxLength: 6 }),
);
const path = fc.array(piece, { maxLength: 6 }).chain((parts) => fc.constantFrom(parts.join(''), parts.join('/')));

test('what may land, lands below its folder on every platform', (t) => {
  let taken = 0;
  const property = fc.property(path, (wanted) => {
    for (const platform of PLATFORMS) {
      if (diskPathFault(wanted, platform) !== undefined) continue;
      taken++;
      t.is(pathFault(wanted), undefined);
      const by = platform === 'win32' ? win32 : posix;
      const root = platform === 'win32' ? 'D:\\in\\box' : '/in/box';
      for (const landed of [by.join(root, wanted), by.resolve(root, wanted), by.resolve(root, ...wanted.split('/'))]) {
        t.true(landed.startsWith(root + by.sep), `${platform}: ${JSON.stringify(wanted)}`);
      }
      t.is(by.relative(root, by.resolve(root, wanted)).split(by.sep).length, wanted.split('/').length);
    }
  });
  fc.assert(property, RUNS);
  t.true(taken > 500, `only ${taken} were taken`);
});

test('what is printed has neither control characters nor marks that turn text round', (t) => {
  const property = fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (text) => {
    const shown = printable(text);
    t.notRegex(shown, /[\p{Cc}\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/u);
    t.true(shown.isWellFormed());
  });
  fc.assert(property, RUNS);
});
