import test from 'ava';
import { HearsayError } from '../../lib/errors.js';
import { peerId } from '../../lib/ids.js';
import { COUNTER_MAX } from '../../lib/limits.js';
import { pack } from '../../lib/wire/codec.js';
import {
  type Head,
  headStatement,
  leaveStatement,
  packHead,
  peekId,
  proofStatement,
  readHead,
} from '../../lib/wire/head.js';
import { ID, KEY } from './wire-messages.js';

const HEAD: Head = {
  id: ID,
  key: KEY,
  name: 'nas',
  port: 47748,
  flags: 2,
  epoch: 3,
  version: 17,
  beat: 200,
  files: 5,
  bytes: 2 ** 40,
  count: 6,
  floor: 0,
  root: new Uint8Array(32).fill(9),
  echo: new Uint8Array(0),
};

test('a head has its golden bytes, and reads back', (t) => {
  const golden = [
    `9eba${Buffer.from(ID).toString('hex')}`,
    `c420${'07'.repeat(32)}a36e6173cdba84020311ccc8`,
    `05cb42700000000000000600c420${'09'.repeat(32)}c400`,
  ].join('');
  t.is(packHead(HEAD).toString('hex'), golden);
  t.deepEqual(readHead(Buffer.from(golden, 'hex')), HEAD);
});

test('a head whose id belongs to another key is refused', (t) => {
  const other = peerId(new Uint8Array(32).fill(8), 1_700_000_000_000);
  const error = t.throws(() => readHead(packHead({ ...HEAD, id: other })), { instanceOf: HearsayError });
  t.is(error.code, 'bad-message');
});

test('the time in an id is free: a key may have made its id at any moment', (t) => {
  const later = peerId(KEY, 1_800_000_000_000);
  t.is(readHead(packHead({ ...HEAD, id: later })).id, later);
});

test('heads of wrong shape are refused', (t) => {
  const bytes = packHead(HEAD);
  for (let end = 0; end < bytes.length; end++) {
    t.throws(() => readHead(bytes.subarray(0, end)), { instanceOf: HearsayError }, `cut at ${end}`);
  }
  for (const wrong of [
    { port: 65_536 },
    { port: -1 },
    { epoch: 0 },
    { epoch: COUNTER_MAX + 1 },
    { version: COUNTER_MAX + 1 },
    { beat: COUNTER_MAX + 1 },
    { beat: -1 },
    { flags: 256 },
    { key: new Uint8Array(31) },
    { root: new Uint8Array(33) },
    { echo: new Uint8Array(17) },
    { name: 'é'.repeat(33) },
    { files: 0.5 },
    { id: ID.toLowerCase() },
  ]) {
    const error = t.throws(() => readHead(packHead({ ...HEAD, ...wrong })), { instanceOf: HearsayError });
    t.is(error.code, 'bad-message', JSON.stringify(wrong));
  }
  t.throws(() => readHead(pack([])), { instanceOf: HearsayError });
  t.throws(() => readHead(pack('head')), { instanceOf: HearsayError });
});

test('the id can be seen without reading the rest, and nothing that is no head does harm', (t) => {
  const packed = packHead({
    ...HEAD,
    echo: new Uint8Array(16).fill(5),
    epoch: COUNTER_MAX,
    version: COUNTER_MAX,
    beat: COUNTER_MAX,
  });
  t.is(readHead(packed).beat, COUNTER_MAX);
  t.is(peekId(packed), ID);
  for (const wrong of [new Uint8Array(0), new Uint8Array(5), new Uint8Array(600).fill(255)]) {
    t.not(peekId(wrong), ID);
  }
});

test('what is signed for one purpose can be taken for no other, and for no other two', (t) => {
  const binding = (value: number) => new Uint8Array(32).fill(value);
  const other = peerId(new Uint8Array(32).fill(8), 1);
  const statements = [
    headStatement(packHead(HEAD)),
    headStatement(packHead({ ...HEAD, version: 18 })),
    leaveStatement(ID, 3),
    leaveStatement(ID, 4),
    leaveStatement(other, 3),
    proofStatement(ID, other, binding(1)),
    proofStatement(other, ID, binding(1)),
    proofStatement(ID, other, binding(2)),
  ].map((statement) => statement.toString('hex'));
  t.is(new Set(statements).size, statements.length);
});
