import test from 'ava';
import { CHUNKS_MAX, OFFERS_PER_PAGE, STORE_VALUE_MAX } from '../../lib/limits.js';
import type { PeerOffer } from '../../lib/offer.js';
import type { Record } from '../../lib/tracker/events.js';
import {
  type Notice,
  packEntry,
  packOffer,
  packRecord,
  readEntry,
  readOffer,
  readRecord,
} from '../../lib/tracker/records.js';
import { pack, unpack } from '../../lib/wire/codec.js';
import { contentId, instanceOf, offered, registrant } from './tracker-suite.js';

const tracker = registrant(1).id;
const peer = registrant(2);
const offer: PeerOffer = offered(peer.id, 'a/ü.txt', { id: contentId(7), kind: 'executable', mtime: -5 });

const ALL: (Record | Notice)[] = [
  {
    kind: 'held',
    tracker,
    peer,
    seen: '10.0.0.1:1',
    reachable: ['10.0.0.1:1', '[fe80::1]:2'],
    since: 1_700_000_000_000.5,
  },
  { kind: 'dropped', tracker, peer: peer.id, instance: instanceOf(3), why: 'lease' },
  { kind: 'offers', tracker, peer: peer.id, whole: true, offers: [offer], removed: ['b', 'c/d'] },
  { kind: 'holding', tracker, holding: { peer: peer.id, id: contentId(8), chunks: 9, bits: new Uint8Array([1, 128]) } },
  { kind: 'holding', tracker, holding: { peer: peer.id, id: contentId(8), chunks: 9, bits: new Uint8Array(0) } },
  { kind: 'probe', tracker, peer: peer.id, instance: instanceOf(4), number: 12 },
  { kind: 'alive', tracker, to: registrant(3).id, number: 12, alive: true },
  {
    kind: 'summon',
    tracker,
    peer: peer.id,
    from: { head: peer.head, sig: peer.sig, addresses: ['10.0.0.2:3'] },
  },
  { kind: 'beat' },
  { kind: 'told' },
  { kind: 'reread', peer: peer.id },
];

/** Buffers and arrays of bytes compare alike. */
const plain = (value: unknown) =>
  JSON.parse(
    JSON.stringify(value, (_, v) => (v instanceof Uint8Array || v?.type === 'Buffer' ? [...(v.data ?? v)] : v)),
  );

test('each record comes out as it went in', (t) => {
  for (const record of ALL) {
    const run = instanceOf(9);
    const { record: read, ...rest } = readEntry(packEntry({ tracker, run, number: 5, record }));
    t.deepEqual(plain(read), plain(record), record.kind);
    t.deepEqual(plain(rest), plain({ tracker, run, number: 5 }));
    if ('tracker' in record) t.deepEqual(plain(readRecord(tracker, packRecord(record))), plain(record));
  }
  t.deepEqual({ ...readOffer(packOffer(offer)), peer: peer.id }, offer);
});

test('what a tracker writes of the largest that it may hold is small enough for a value', (t) => {
  const holding = { peer: peer.id, id: contentId(8), chunks: CHUNKS_MAX, bits: new Uint8Array(CHUNKS_MAX / 8) };
  t.true(packRecord({ kind: 'holding', tracker, holding }).length < STORE_VALUE_MAX);
});

test('what is not a record is refused', (t) => {
  for (const record of ALL) {
    const values = unpack(packEntry({ tracker, run: instanceOf(9), number: 5, record }), 1000) as unknown[];
    const refused = (wrong: unknown) => t.throws(() => readEntry(pack(wrong)), { code: 'bad-message' }, record.kind);
    refused(values.slice(1));
    refused([...values, 1]);
    for (let i = 0; i < 5; i++) {
      refused(values.with(i, null));
      refused(values.with(i, i === 2 ? 0 : 1e9));
      refused(values.with(i, 'x'));
    }
    const fields = values[4] as unknown[];
    refused(values.with(4, [...fields, 1]));
    for (let i = 0; i < fields.length; i++) refused(values.with(4, fields.with(i, null)));
  }
});

test('a head with the id of another key is refused, and so are bits beyond the chunks', (t) => {
  const held = unpack(packRecord(ALL[0] as Record), 100) as [number, unknown[]];
  const foreign = unpack(peer.head, 20) as unknown[];
  const head = pack(foreign.with(0, registrant(3).id));
  t.throws(() => readRecord(tracker, pack([held[0], held[1].with(0, head)])), { code: 'bad-message' });
  const holding = { peer: peer.id, id: contentId(8), chunks: 8, bits: new Uint8Array(2) };
  t.throws(() => readRecord(tracker, packRecord({ kind: 'holding', tracker, holding })), { code: 'bad-message' });
});

test('more offers than a page, and tombstones, do not get in', (t) => {
  const record = (count: number, more: Partial<PeerOffer> = {}): Record => ({
    kind: 'offers',
    tracker,
    peer: peer.id,
    whole: false,
    offers: Array.from({ length: count }, (_, i) => offered(peer.id, `p${i}`, more)),
    removed: [],
  });
  const read = (one: Record) => readRecord(tracker, packRecord(one)) as Record & { kind: 'offers' };
  t.is(read(record(OFFERS_PER_PAGE)).offers.length, OFFERS_PER_PAGE);
  t.throws(() => read(record(OFFERS_PER_PAGE + 1)), { code: 'bad-message' });
  t.is(read(record(3, { kind: 'removed', size: 0 })).offers.length, 0);
  t.throws(() => readOffer(packOffer(offered(peer.id, '../x'))), { code: 'bad-message' });
});
