import test from 'ava';
import fc from 'fast-check';
import { blake3 } from '../../lib/hash.js';
import { BUCKETS } from '../../lib/limits.js';
import type { Offer } from '../../lib/offer.js';
import { bucketOf, EMPTY_ROOT, Tree } from '../../lib/shelf/tree.js';

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
  const tree = new Tree();
  t.is(hex(tree.root()), hex(EMPTY_ROOT));
  t.is(hex(EMPTY_ROOT), 'b6fb73fc46938c981e2b0b4b1ef282adcfc89854d01bfe3972fdc4785b41b2c7');
  tree.add(offer('lib/a.txt', 1));
  tree.add(offer('lib/é\n.txt', 2, { kind: 'executable', id: null }));
  tree.add(offer('lib/folder', 3, { kind: 'folder', size: 0, id: null }));
  t.is(hex(tree.root()), 'c7abc55e1af5a8a98243b5394e63fc0f65cff1f75e5e8c827a50cde804e83ca6');
});

test('the root is what the words say, whatever was added and removed before', (t) => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.tuple(fc.string({ minLength: 1 }), fc.boolean()), {
        selector: ([path]) => path,
        maxLength: 60,
      }),
      (entries) => {
        const tree = new Tree();
        const all = entries.map(([path, stays], i) => ({ stays, o: offer(path, 1000 - i) }));
        for (const { o } of all) tree.add(o);
        tree.root();
        for (const { stays, o } of all) if (!stays) tree.remove(o);
        return hex(tree.root()) === rootByTheBook(all.filter(({ stays }) => stays).map(({ o }) => o));
      },
    ),
  );
  t.pass();
});

test('every field counts', (t) => {
  const root = (o: Offer): string => {
    const tree = new Tree();
    tree.add(o);
    return hex(tree.root());
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

test('removing what is not there changes nothing', (t) => {
  const tree = new Tree();
  const one = offer('a', 1);
  tree.add(one);
  const root = hex(tree.root());
  tree.remove(offer('a', 1));
  tree.remove(offer('elsewhere', 1));
  t.is(hex(tree.root()), root);
  t.deepEqual(tree.bucket(bucketOf('a')), [one]);
});
