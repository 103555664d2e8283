/** Bad input on both ports, while others go on. */
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import type { Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import {
  HALF_OPEN_PER_ADDRESS_MAX,
  HANDSHAKE_MS,
  REQUESTS_PER_CONNECTION_MAX,
  TRANSFERS_PER_CONNECTION_MAX,
} from '../../lib/limits.js';
import { encode, pack } from '../../lib/wire/codec.js';
import type { Field } from '../../lib/wire/field.js';
import { framePrefix } from '../../lib/wire/frame.js';
import { proofStatement } from '../../lib/wire/head.js';
import { MAGIC, type Message, TABLE } from '../../lib/wire/table.js';
import { assertContent, begin, content, get, is, Lan, type LanPeer, MIB, names, type Run, until } from './lan.js';
import { RawPeer, rawSocket, secureSocket } from './raw.js';
import { Wire } from './wire-between.js';

const BIG = content(8 * MIB, 81);
const NONE = new Uint8Array(0);

interface Stage {
  lan: Lan;
  from: LanPeer;
  to: LanPeer;
  inbox: string;
  wire: Wire;
  run: Run;
  id: string;
}

/** A get between two good peers, held in the middle. */
async function stage(t: ExecutionContext, options: Parameters<Lan['peer']>[1] = {}): Promise<Stage> {
  const lan = await Lan.make(t);
  const files = { 'big.bin': BIG, 'small.txt': 'small' };
  const from = await lan.peer('source', { files, multicast: false, ...options });
  const wire = await Wire.to(t, from.peer.port);
  const to = await lan.peer('receiver', { multicast: false, join: [wire.address] });
  const id = await to.hashed('big.bin');
  await to.hashed('small.txt');
  const inbox = await lan.fresh('in');
  wire.stopAfter(3 * MIB);
  const run = begin(to, 'big.bin', inbox);
  await until(() => wire.still, 'the get is in the middle');
  return { lan, from, to, inbox, wire, run, id };
}

/** The get between the good ones ends right, and the peer serves a new one. */
async function assertUnharmed(t: ExecutionContext, { lan, from, to, inbox, wire, run }: Stage): Promise<void> {
  wire.go();
  const outcome = await run.ended;
  t.deepEqual(outcome.codes, []);
  t.deepEqual(outcome.of('dropped'), []);
  await assertContent(t, `${inbox}/big.bin`, BIG);
  const again = await lan.fresh('in');
  t.deepEqual((await get(to, ['big.bin', 'small.txt'], `${again}/`)).codes, []);
  t.deepEqual(await names(again), ['big.bin', 'small.txt']);
  // A newcomer is served as well, by a connection of its own.
  const newcomer = await lan.peer('newcomer', {
    passive: true,
    multicast: false,
    join: [`127.0.0.1:${from.peer.port}`],
  });
  t.deepEqual((await get(newcomer, 'small.txt', `${await lan.fresh('in')}/`)).codes, []);
}

test('bytes that are no messages end their connection, and nothing else', async (t) => {
  const on = await stage(t);
  const prefix = (length: number) => framePrefix(length);
  const hello = encode({ type: 'X', number: 1 });
  const inputs: Buffer[] = [
    randomBytes(5000),
    Buffer.alloc(5000),
    Buffer.alloc(5000, 255),
    Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
    Buffer.concat([prefix(2 ** 32 - 1), randomBytes(1000)]),
    Buffer.concat([prefix(0), randomBytes(10)]),
    Buffer.concat([prefix(300_000), pack(['T']), randomBytes(100)]),
    // A length that is too much for a hello, although not for every message.
    Buffer.concat([
      prefix(5000),
      encode({
        type: 'H',
        protocol: 1,
        head: Buffer.alloc(9),
        sig: Buffer.alloc(64),
        instance: new Uint8Array(8),
        probe: false,
      }),
    ]),
    // Messages before the handshake.
    Buffer.concat([prefix(hello.length), hello]),
    ...[
      ['G', 1, NONE, 'big.bin', 0],
      ['F', 1, 0, ''],
      ['S', 1, []],
      ['V', Buffer.alloc(64)],
    ].map((values) => {
      const body = pack(values);
      return Buffer.concat([prefix(body.length), body]);
    }),
  ];
  for (let i = 0; i < 30; i++) inputs.push(randomBytes(1 + i * 37));
  // Both in place of TLS and under it.
  for (const secure of [false, true]) {
    await Promise.all(
      inputs.map(async (input) => {
        const { port } = on.from.peer;
        const socket = secure ? (await secureSocket(t, port)).socket : await rawSocket(t, port);
        const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
        socket.resume();
        // Half a message is ended by its sender here, in a test of its own by time.
        socket.end(input);
        await closed;
      }),
    );
  }
  await assertUnharmed(t, on);
});

test('a handshake with a wrong signature, another id, a stale proof, twice the hello', async (t) => {
  const on = await stage(t);
  const raw = new RawPeer(t, 'raw', true);
  const stranger = new RawPeer(t, 'stranger', true);
  const { head, sig } = raw.head();
  const hello: Message = { type: 'H', protocol: 1, head, sig, instance: new Uint8Array(8), probe: false };
  const { id: to } = on.from.peer;
  // A proof that was right on another connection, as one in the middle could hand it on; and one that is for somebody else.
  const other = await secureSocket(t, on.from.peer.port);
  const stale = raw.identity.sign(proofStatement(raw.id, to, other.binding));
  const cases: ((binding: Buffer) => Message[])[] = [
    () => [{ ...hello, sig: randomBytes(64) }],
    () => [{ ...hello, head: stranger.head().head }],
    () => [{ ...hello, head: randomBytes(100) }],
    () => [{ ...hello, protocol: 99 }],
    () => [hello, { type: 'V', sig: randomBytes(64) }],
    () => [hello, { type: 'V', sig: stale }],
    (binding) => [hello, { type: 'V', sig: raw.identity.sign(proofStatement(raw.id, stranger.id, binding)) }],
    (binding) => [hello, { type: 'V', sig: stranger.identity.sign(proofStatement(raw.id, to, binding)) }],
    () => [hello, hello],
    () => [{ type: 'V', sig: randomBytes(64) }],
  ];
  for (const messages of cases) {
    const talk = await secureSocket(t, on.from.peer.port);
    talk.socket.resume();
    for (const message of messages(talk.binding)) talk.send(message);
    await talk.ended();
  }
  // The same with the right proof stays open.
  t.false((await raw.dial(on.from.peer.port)).closed);
  await assertUnharmed(t, on);
});

test('handshakes that are never finished, many more than there may be, keep nobody of the same address out', async (t) => {
  const on = await stage(t);
  const { port } = on.from.peer;
  const halves: Socket[] = [];
  const half = async () => {
    const socket = await rawSocket(t, port);
    socket.resume();
    // The beginning of TLS's first record, then nothing.
    socket.write(Buffer.from([0x16, 3, 1]));
    halves.push(socket);
  };
  await Promise.all(Array.from({ length: 3 * HALF_OPEN_PER_ADDRESS_MAX }, half));
  await until(() => halves.filter((s) => s.readyState === 'open').length <= HALF_OPEN_PER_ADDRESS_MAX, 'few are left');
  let flooding = true;
  const flood = (async () => {
    while (flooding && halves.length < 2000) {
      await half();
      await turn();
    }
  })();
  await assertUnharmed(t, on);
  flooding = false;
  await flood;
  const last = performance.now();
  await until(() => halves.every((socket) => socket.readyState !== 'open'), 'all were closed');
  t.true(performance.now() - last < 2 * HANDSHAKE_MS);
});

/** Values that a field may not have, whatever its kind. */
const WRONG = [
  null,
  undefined,
  -1,
  1.5,
  'x'.repeat(9000),
  Buffer.alloc(9000),
  [[[]]],
  { a: 1 },
  true,
  Number.NaN,
  2n ** 60n,
];

test('every type of message with wrong fields ends its connection', async (t) => {
  const on = await stage(t);
  let tried = 0;
  for (const [letter, { fields, over }] of Object.entries(TABLE)) {
    if (over === 'udp') continue;
    const count = Object.keys(fields).length;
    // Too few fields, too many, and in each place something that may not be there.
    const bad: unknown[][] = [[letter], [letter, ...new Array<number>(count + 1).fill(0)]];
    for (let i = 0; i < 2; i++) {
      const values: unknown[] = new Array<number>(count).fill(1);
      const place = Math.min(i, count - 1);
      const field = Object.values<Field<unknown>>(fields)[place];
      // A truth is no wrong value where one belongs.
      do values[place] = WRONG[tried++ % WRONG.length];
      while (field.read(values[place]) !== undefined);
      bad.push([letter, ...values]);
    }
    await Promise.all(
      bad.map(async (values) => {
        const talk = await new RawPeer(t, 'raw', true).dial(on.from.peer.port);
        talk.values(...values);
        await talk.ended();
      }),
    );
  }
  t.true(tried > 30);
  await assertUnharmed(t, on);
});

test('one who has shaken hands asks for what there is not', async (t) => {
  const on = await stage(t);
  const talk = await new RawPeer(t, 'raw', true).dial(on.from.peer.port);
  const wrong = 'ab'.repeat(32);
  talk.send({ type: 'G', number: 1, id: wrong, path: 'nothing', first: 0 });
  talk.send({ type: 'G', number: 2, id: null, path: 'nothing', first: 0 });
  talk.send({ type: 'G', number: 3, id: wrong, path: 'big.bin', first: 0 });
  await until(() => talk.of('E').length === 3, 'it is told of each');
  t.deepEqual(
    talk.of('E').map(({ number, code }) => [number, code]),
    [
      [1, 'not-found'],
      [2, 'not-found'],
      [3, 'changed'],
    ],
  );
  // Of requests that are not open nothing is heard.
  talk.send({ type: 'R', number: 77, block: 0, count: 1 });
  talk.send({ type: 'A', number: 77, done: [1, 2, 3] });
  talk.send({ type: 'B', number: 77, chunk: 1 });
  talk.send({ type: 'X', number: 77 });
  talk.send({ type: 'T', number: 77, block: 0, hash: NONE, data: Buffer.alloc(10) });
  talk.send({ type: 'E', number: 77, code: 'no such code', id: null, message: '\u001b[2J' });
  // Blocks beyond the end: that transfer is over, the connection is not.
  talk.send({ type: 'G', number: 4, id: on.id, path: 'big.bin', first: 2 ** 31 });
  await until(() => talk.of('M').length === 1, 'it has the manifest');
  talk.send({ type: 'R', number: 4, block: 31, count: 2 });
  await until(() => talk.of('E').length === 4, 'it is refused');
  t.is(talk.of('E')[3].code, 'bad-message');
  talk.send({ type: 'G', number: 5, id: on.id, path: 'big.bin', first: 0 });
  await until(() => talk.of('M').length === 2, 'it has the manifest');
  talk.send({ type: 'R', number: 5, block: 2 ** 32 - 1, count: 2 ** 32 - 1 });
  await until(() => talk.of('E').length === 5, 'it is refused');
  talk.send({ type: 'P', number: 6, writer: talkId, epoch: 1, version: 1, buckets: Buffer.alloc(7) });
  await until(() => talk.of('E').length === 6, 'it knows nothing of that peer');
  t.false(talk.closed);
  await assertUnharmed(t, on);
});

const talkId = '01ARZ3NDEKTSV4RRFFQ69G5FAV';

test('a thousand requests for one block, never acknowledged, and more transfers than there may be', async (t) => {
  let sent = 0;
  const on = await stage(t, {
    filter: (message, direction) => {
      if (direction === 'out' && is(message, 'T')) sent++;
      return message;
    },
  });
  const talk = await new RawPeer(t, 'raw', true).dial(on.from.peer.port);
  const before = process.memoryUsage().rss;
  talk.socket.pause();
  talk.send({ type: 'G', number: 1, id: on.id, path: 'big.bin', first: 0 });
  talk.socket.resume();
  await until(() => talk.of('M').length === 1, 'it has the manifest');
  const served = sent;
  // It asks and asks, and reads nothing.
  talk.socket.pause();
  for (let i = 0; i < 1000; i++) talk.send({ type: 'R', number: 1, block: 5, count: 1 });
  for (let i = 0; i < 1000; i++) talk.send({ type: 'R', number: 1, block: 0, count: 32 });
  for (let number = 2; number < 2 + TRANSFERS_PER_CONNECTION_MAX; number++) {
    talk.send({ type: 'G', number, id: on.id, path: 'big.bin', first: 2 ** 31 });
  }
  await assertUnharmed(t, on);
  t.true(sent - served < 250, `${sent - served} blocks went out, of them 64 to those who are served`);
  t.true(process.memoryUsage().rss - before < 200 * MIB);
  talk.socket.resume();
  await until(() => talk.of('E').some(({ code }) => code === 'limit'), 'the last transfer is refused');
});

test('questions without end from one who does not read are bounded', async (t) => {
  const on = await stage(t);
  const talk = await new RawPeer(t, 'raw', true).dial(on.from.peer.port);
  talk.socket.pause();
  for (let number = 0; number < 4 * REQUESTS_PER_CONNECTION_MAX; number++) {
    talk.send({ type: 'F', number, kind: 0, text: '' });
  }
  await assertUnharmed(t, on);
  talk.socket.resume();
  // Those beyond the limit are refused; nobody waits for ever.
  await until(() => talk.of('E').length + talk.of('I').length >= 4 * REQUESTS_PER_CONNECTION_MAX, 'all are answered');
  t.true(
    talk.of('E').some(({ code }) => code === 'limit'),
    'at once only so many',
  );
});

test('one who says of every chunk that it is wrong does not keep the disk busy', async (t) => {
  const on = await stage(t);
  const talk = await new RawPeer(t, 'raw', true).dial(on.from.peer.port);
  talk.send({ type: 'G', number: 1, id: on.id, path: 'big.bin', first: 0 });
  await until(() => talk.of('M').length === 1, 'it has the manifest');
  for (let i = 0; i < 2000; i++) talk.send({ type: 'B', number: 1, chunk: i % 32 });
  await assertUnharmed(t, on);
  t.deepEqual(talk.of('E'), [], 'the file is as it was');
  t.is(on.from.told('hashed').filter(({ path }) => path === 'big.bin').length, 1);
});

test('datagrams of all sizes with anything in them', async (t) => {
  const lan = await Lan.make(t);
  const from = await lan.peer('source', { files: { 'small.txt': 'small' } });
  const to = await lan.peer('receiver');
  await to.hashed('small.txt');
  const [host, port] = lan.group.split(':');
  const socket = createSocket('udp4');
  t.teardown(() => socket.close());
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  socket.setMulticastInterface('127.0.0.1');
  const say = (data: Uint8Array) =>
    new Promise<void>((resolve) => socket.send(data, Number(port), host, () => resolve()));
  const raw = new RawPeer(t, 'raw', false);
  const { head, sig } = raw.head();
  const offer: Message = { type: 'O', head, sig, from: 0, offers: [] };
  const good = encode(offer);
  for (let size = 0; size < 1400; size += 7) await say(randomBytes(size));
  for (const size of [1199, 1200, 1201, 9000, 60_000]) await say(randomBytes(size));
  for (let i = 0; i < good.length; i += 3) {
    await say(good.subarray(0, i));
    const spoilt = Buffer.from(good);
    spoilt[i] ^= 1 << (i & 7);
    await say(spoilt);
  }
  for (const [letter, { fields }] of Object.entries(TABLE)) {
    await say(pack([letter]));
    for (const wrong of WRONG.slice(0, 8)) {
      await say(pack([letter, MAGIC, ...new Array(Object.keys(fields).length - 1).fill(wrong)]).subarray(0, 1400));
    }
    await turn();
  }
  // Goodbyes in others' names.
  for (const { id } of [from, to]) await say(encode({ type: 'L', id, epoch: 99, sig: randomBytes(64) }));
  // Somebody who was never there is no peer, whatever is said of it.
  await say(encode({ ...offer, sig: randomBytes(64) }));
  const outcome = await get(to, 'small.txt', `${await lan.fresh('in')}/`);
  t.deepEqual(outcome.codes, []);
  t.deepEqual((await to.peer.peers()).map(({ name }) => name).sort(), ['receiver', 'source']);
});
