/** Bounds of messages, each reached: the longest that may be is read, one more is refused. */
import test from 'ava';
import { HearsayError } from '../../lib/errors.js';
import {
  BLOCK,
  BUCKETS,
  DIGEST_MAX,
  FILE_SIZE_MAX,
  MANIFEST_PAGE,
  NAME_MAX,
  NEIGHBOURS_MAX,
  OFFERS_PER_PAGE,
  PATH_DEPTH_MAX,
  PATH_MAX,
  PROMISED_MAX,
  SEGMENT_MAX,
  SMALL_BATCH_MAX,
  SWARM_TOLD_MAX,
  TRACKERS_TOLD_MAX,
} from '../../lib/limits.js';
import { isSafePath } from '../../lib/names.js';
import type { Offer } from '../../lib/offer.js';
import { decode, encode } from '../../lib/wire/codec.js';
import { readHead } from '../../lib/wire/head.js';
import type { Message } from '../../lib/wire/table.js';
import { signedHead } from './bounds-link.js';

const { id: ID } = signedHead().head;
const NONE = new Uint8Array(0);
const offer: Offer = { path: 'f', kind: 'file', size: 1, mtime: 1, id: null, version: 1 };
const times = <T>(count: number, one: T): T[] => Array.from({ length: count }, () => one);
const { packed: head, sig } = signedHead();
const neighbour = { head, sig, addresses: ['10.0.0.2:1'] };

/** A message with so many of something, and how many there may be. */
const CASES: Record<string, [(count: number) => Message, number]> = {
  'offers of a page': [
    (n) => ({ type: 'I', number: 1, offers: times(n, offer), last: true, aside: false }),
    OFFERS_PER_PAGE,
  ],
  'offers of a pull': [
    (n) => ({ type: 'D', number: 1, replaced: NONE, offers: times(n, offer), last: true, head, sig }),
    OFFERS_PER_PAGE,
  ],
  'offers of a relay': [
    (n) => ({ type: 'r', number: 1, writer: ID, replaced: NONE, offers: times(n, offer), head, sig }),
    OFFERS_PER_PAGE,
  ],
  'writers of a digest': [
    (n) => ({ type: 'b', number: 1, known: times(n, { writer: ID, epoch: 1, version: 2 ** 40, least: 2 ** 41 }) }),
    DIGEST_MAX,
  ],
  neighbours: [(n) => ({ type: 'N', peers: times(n, neighbour) }), NEIGHBOURS_MAX],
  'chunks of a guide': [(n) => ({ type: 'g', number: 1, chunks: times(n, 2 ** 32 - 1), free: false }), PROMISED_MAX],
  'chunks that are spare': [(n) => ({ type: 's', number: 1, chunks: times(n, 2 ** 32 - 1) }), PROMISED_MAX],
  receivers: [(n) => ({ type: 'W', number: 1, peers: times(n, neighbour) }), SWARM_TOLD_MAX],
  'trackers told of': [
    (n) => ({
      type: 'Z',
      number: 1,
      seen: '',
      reachable: [],
      lease: 1,
      peers: 1,
      offers: 1,
      trackers: times(n, neighbour),
    }),
    TRACKERS_TOLD_MAX,
  ],
  'small files': [(n) => ({ type: 'S', number: 1, files: times(n, { id: null, path: 'f' }) }), SMALL_BATCH_MAX],
  'hashes of a manifest': [
    (n) => ({
      type: 'M',
      number: 1,
      id: null,
      size: 1,
      mtime: 1,
      executable: false,
      chunk: 1,
      first: 0,
      hashes: new Uint8Array(32 * n),
      have: NONE,
    }),
    MANIFEST_PAGE,
  ],
  'bytes of a block': [(n) => ({ type: 'T', number: 1, block: 0, hash: NONE, data: new Uint8Array(n) }), BLOCK],
  'hashes of buckets': [
    (n) => ({
      type: 'P',
      number: 1,
      writer: signedHead().head.id,
      epoch: 1,
      version: 1,
      buckets: new Uint8Array(16 * n),
    }),
    BUCKETS,
  ],
  'bytes of a file': [
    (n) => ({ type: 'I', number: 1, offers: [{ ...offer, size: n }], last: true, aside: false }),
    FILE_SIZE_MAX,
  ],
};

for (const [what, [make, most]] of Object.entries(CASES)) {
  test(`${what}: as many as may be, and one more`, (t) => {
    t.notThrows(() => decode(encode(make(most)), 'tcp'));
    t.is(t.throws(() => decode(encode(make(most + 1)), 'tcp'), { instanceOf: HearsayError }).code, 'bad-message');
  });
}

test('a name is as long as may be, and no longer', (t) => {
  t.is(readHead(signedHead('é'.repeat(NAME_MAX / 2)).packed).name.length, NAME_MAX / 2);
  t.throws(() => signedHead('x'.repeat(NAME_MAX + 1)), { instanceOf: HearsayError });
});

test('paths, their segments and their depth', (t) => {
  const long = (bytes: number) => `${`${'x'.repeat(200)}/`.repeat(30).slice(0, bytes - 1)}z`;
  t.true(isSafePath(long(PATH_MAX)));
  t.is(Buffer.byteLength(long(PATH_MAX)), PATH_MAX);
  t.false(isSafePath(long(PATH_MAX + 1)));
  t.true(isSafePath('x'.repeat(SEGMENT_MAX)));
  t.false(isSafePath('x'.repeat(SEGMENT_MAX + 1)));
  t.true(isSafePath(`${'d/'.repeat(PATH_DEPTH_MAX - 1)}f`));
  t.false(isSafePath(`${'d/'.repeat(PATH_DEPTH_MAX)}f`));
});
