import test from 'ava';
import fc from 'fast-check';
import { blake3 } from '../../lib/hash.js';
import { BUCKETS } from '../../lib/limits.js';
import type { Offer } from '../../lib/offer.js';
import { Shelf } from '../../lib/shelf/shelf.js';
import { bucketOf, EMPTY_ROOT } from '../../lib/shelf/tree.js';

const ID = 'ab'.repeat(32);
const offer = (path: string, version: number, more: Partial<Offer> = {}): Offer => ({
  path,
  kind: 'file',
  size: 12,
  mtime: 1_700_000_000_000,
  id: ID,
  version,
  ...more,
});

/** The root as the words at the top of tree.ts have it, written once more. */
function rootByTheBook(offers: Offer[]): string {
  const buckets: Buffer[] = Array.from({ length: BUCKETS }, () => Buffer.alloc(16));
  for (let i = 0; i < BUCKETS; i++) {
    const inside = offers.filter(({ path }) => blake3(path)[0] === i).sort((a, b) => a.version - b.version);
    if (inside.length === 0) continue;
    const kinds = ['file', 'executable', 'folder'];
    const lines = inside.map(
      (o) =>
        `${o.version} ${kinds.indexOf(o.kind)} ${o.size} ${o.mtime} ${o.id ?? '-'} ${Buffer.byteLength(o.path)}:${o.path}\n`,
    );
    buckets[i] = blake3(lines.join('')).subarray(0, 16);
  }
  return blake3(Buffer.concat(buckets)).toString('hex');
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

test('golden roots: a change of these is a change of the protocol', (t) => {
  const shelf = new Shelf('x', 1);
  const { tree } = shelf;
  t.is(hex(tree.root()), hex(EMPTY_ROOT));
  t.is(hex(EMPTY_ROOT), 'b6fb73fc46938c981e2b0b4b1ef282adcfc89854d01bfe3972fdc4785b41b2c7');
  shelf.put(offer('lib/a.txt', 1));
  shelf.put(offer('lib/é\n.txt', 2, { kind: 'executable', id: null }));
  shelf.put(offer('lib/folder', 3, { kind: 'folder', size: 0, id: null }));
  t.is(hex(tree.root()), 'c7abc55e1af5a8a98243b5394e63fc0f65cff1f75e5e8c827a50cde804e83ca6');
});

test('the root is what the words say, whatever was added and removed before', (t) => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.tuple(fc.string({ minLength: 1 }), fc.boolean()), {
        selector: ([path]) => path.toWellFormed(),
        maxLength: 60,
      }),
      (entries) => {
        const shelf = new Shelf('x', 1);
        const all = entries.map(([path, stays], i) => ({ stays, o: offer(path.toWellFormed(), 1000 - i) }));
        for (const { o } of all) shelf.put(o);
        shelf.tree.root();
        for (const { stays, o } of all) if (!stays) shelf.put({ ...o, kind: 'removed', version: 2000 });
        return hex(shelf.tree.root()) === rootByTheBook(all.filter(({ stays }) => stays).map(({ o }) => o));
      },
    ),
  );
  t.pass();
});

test('every field counts', (t) => {
  const root = (o: Offer): string => {
    const shelf = new Shelf('x', 1);
    shelf.put(o);
    return hex(shelf.tree.root());
  };
  const variants = [
    offer('a', 1),
    offer('b', 1),
    offer('a', 2),
    offer('a', 1, { kind: 'executable' }),
    offer('a', 1, { size: 13 }),
    offer('a', 1, { mtime: 1 }),
    offer('a', 1, { id: null }),
  ];
  t.is(new Set(variants.map(root)).size, variants.length);
});

test('hashes that are worked out a few offers at a time are the same', (t) => {
  const [one, other] = [new Shelf('x', 1), new Shelf('x', 1)];
  for (let i = 1; i <= 3000; i++) for (const shelf of [one, other]) shelf.put(offer(`a/${i % 7}/${i}`, i));
  let steps = 1;
  while (!one.tree.work(100)) steps++;
  t.true(steps >= 20 && steps <= 60, `${steps}`);
  t.is(hex(one.tree.root()), hex(other.tree.root()));
  other.put(offer('a/1/1', 4000));
  one.put(offer('a/1/1', 4000));
  t.false(one.tree.work(0));
  t.is(hex(one.tree.root()), hex(other.tree.root()));
  t.is(bucketOf('a/1/1'), blake3('a/1/1')[0]);
});
