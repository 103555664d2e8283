import test from 'ava';
import fc from 'fast-check';
import { blake3 } from '../../lib/hash.js';
import {
  chunkCount,
  chunkLength,
  chunkSizeOf,
  contentId,
  HASH_BYTES,
  idOfSmall,
  merkleRoot,
} from '../../lib/transfer/content.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

/** Bytes that anyone can make again: byte i is i * 7 + i >> 8, modulo 256. */
function sample(size: number): Buffer {
  return Buffer.from(Uint8Array.from({ length: size }, (_, i) => i * 7 + (i >> 8)));
}

function hashesOf(data: Uint8Array): Buffer {
  const chunk = chunkSizeOf(data.length);
  const hashes: Buffer[] = [];
  for (let at = 0; at < data.length; at += chunk) hashes.push(blake3(data.subarray(at, at + chunk)));
  return Buffer.concat(hashes);
}

// If one of these changes, every peer of an earlier version names every content otherwise: raise the domain's number.
const GOLDEN: [string, Buffer, string][] = [
  ['empty', Buffer.alloc(0), '10dfb6180a4e2535cee5efdfc66b0de55a8ed185c930ed63cf800b5608edfea3'],
  ['a', Buffer.from('a'), 'fbc0c2d5bc2e921affaee56d35eb5d9ab17caff5a91f5e4227f568d16cc28632'],
  ['exactly one chunk', sample(256 * KIB), '0d61361931176be39edcba0359a58f1c3d3d027528d608baaea934e9ffec986f'],
  ['one chunk and one byte', sample(256 * KIB + 1), 'b12108ce27314c2fe6f90c90c85bf1ffcf56a4bb5a4cb8dcb7b09e4cdf7faba9'],
  ['three chunks', sample(3 * 256 * KIB), 'd71a56a0e8e568d414a13766bf8d7c380872308c89098638c14db1a64044d6ab'],
  [
    'five chunks, the last short',
    sample(4 * 256 * KIB + 1000),
    '2e4f4c04eb5c39d00a92be3a415b8d1f830d7bef4d2a290bb61759890e6bacf0',
  ],
];

for (const [name, data, id] of GOLDEN) {
  test(`the content id of ${name}`, (t) => {
    t.is(contentId(data.length, hashesOf(data)), id);
    if (data.length <= 256 * KIB) t.is(idOfSmall(data), id);
  });
}

test('the id put together by hand, as the protocol chapter says it', (t) => {
  const data = sample(3 * 256 * KIB);
  const [a, b, c] = [0, 1, 2].map((i) => blake3(data.subarray(i * 256 * KIB, (i + 1) * 256 * KIB)));
  const inner = (left: Uint8Array, right: Uint8Array) => blake3(Buffer.concat([Buffer.of(1), left, right]));
  const root = inner(inner(a, b), c);
  const size = Buffer.from('00000000000c0000', 'hex');
  const chunk = Buffer.from('00040000', 'hex');
  const id = blake3(Buffer.concat([Buffer.from('hearsay content 1\0'), size, chunk, root])).toString('hex');
  t.is(contentId(data.length, Buffer.concat([a, b, c])), id);
});

test('the chunk size steps up after 128 MiB and after 4 GiB', (t) => {
  t.deepEqual([0, 1, 128 * MIB, 128 * MIB + 1, 4 * GIB, 4 * GIB + 1, 2 ** 50].map(chunkSizeOf), [
    256 * KIB,
    256 * KIB,
    256 * KIB,
    MIB,
    MIB,
    4 * MIB,
    4 * MIB,
  ]);
  t.deepEqual([0, 1, 256 * KIB, 256 * KIB + 1, 128 * MIB, 128 * MIB + 1].map(chunkCount), [0, 1, 1, 2, 512, 129]);
});

test('the lengths of the chunks add up to the size', (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 40 * GIB }), (size) => {
      const count = chunkCount(size);
      const last = count === 0 ? 0 : chunkLength(size, count - 1);
      t.is((count === 0 ? 0 : (count - 1) * chunkSizeOf(size)) + last, size);
      t.true(count === 0 || last > 0);
      t.is(chunkLength(size, count), 0);
    }),
  );
});

test('the root depends on every hash, on their order and on their number', (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), fc.nat(), fc.nat(255), (count, where, flip) => {
      const hashes = Buffer.concat(Array.from({ length: count }, (_, i) => blake3(`${i}`)));
      const root = Buffer.from(merkleRoot(hashes));
      const other = Buffer.from(hashes);
      other[where % other.length] ^= flip || 1;
      t.false(root.equals(merkleRoot(other)));
      t.false(root.equals(merkleRoot(hashes.subarray(HASH_BYTES))));
      t.true(root.equals(merkleRoot(hashes)), 'the hashes are left as they were');
    }),
  );
  t.deepEqual(Buffer.from(merkleRoot(new Uint8Array(0))), Buffer.alloc(HASH_BYTES));
});

test('hashes that are not as many as the chunks are refused', (t) => {
  t.throws(() => contentId(1, new Uint8Array(0)), { instanceOf: RangeError });
  t.throws(() => contentId(0, new Uint8Array(32)), { instanceOf: RangeError });
  t.throws(() => idOfSmall(Buffer.alloc(256 * KIB + 1)), { instanceOf: RangeError });
});
