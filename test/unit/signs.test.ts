/** Signs of names: nothing that is there is passed over, and most that is not there is. */
import test from 'ava';
import { folded } from '../../lib/shelf/folded.js';
import { keyOf, Rows } from '../../lib/shelf/rows.js';
import { SIGN, signOf } from '../../lib/shelf/signs.js';
import { manyFiles } from '../bench/many-files.js';

const rows = new Rows();
const files = manyFiles(0, 4000);
for (const [version, file] of files.entries()) rows.push(keyOf(file.path), { ...file, mtime: 1, version });

const has = (row: number, sign: Uint32Array) => sign.every((word, i) => (word & ~rows.sign[row * SIGN + i]) === 0);
/** Rows whose sign has all of another. */
const having = (sign: Uint32Array) => [...files.keys()].filter((row) => has(row, sign));

test('a name has the sign of every part of it, whatever its case and accents', (t) => {
  for (const [row, { path }] of files.entries()) {
    const plain = folded(path.slice(path.lastIndexOf('/') + 1));
    t.is(rows.plainName(row), plain);
    t.is(rows.plainFolders[rows.folder[row]] + plain, folded(path));
    t.is(rows.pathLength(row), path.length);
    const part = plain.slice(row % 5, 5 + (row % 7));
    if (!has(row, signOf([part]))) t.fail(`${part} is in ${path}`);
  }
});

test('a name in which a word is not is mostly known by its sign', (t) => {
  t.true(having(signOf(['nothing'])).length < files.length / 20);
  t.true(having(signOf(['nowhere', 'отчизна'])).length < files.length / 20);
  t.is(having(signOf([])).length, files.length);
  const venus = files.filter(({ path }) => folded(path).includes('venus')).length;
  t.true(having(signOf(['venus'])).length < 2 * venus, `${venus} have it`);
});
