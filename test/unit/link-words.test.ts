/** What a link says leaves in few pieces, in its order, and a payload is the caller's again at once. */
import type { Socket } from 'node:net';
import { Duplex, PassThrough } from 'node:stream';
import test from 'ava';
import { HearsayError } from '../../lib/errors.js';
import { BLOCK } from '../../lib/limits.js';
import { openGroup } from '../../lib/net/group-keys.js';
import { type SecureStream, tlsTransport } from '../../lib/net/transport.js';
import type { Message } from '../../lib/wire/table.js';
import { FarEnd } from './bounds-link.js';

const NONE = new Uint8Array(0);
const ack = (block: number): Message => ({ type: 'A', number: 1, done: [block] });
const request = (block: number): Message => ({ type: 'R', number: 1, block, count: 1 });
const block = (data: Uint8Array): Message => ({ type: 'T', number: 1, block: 0, hash: NONE, data });
const turn = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
const letters = ({ got }: FarEnd) => got.map(({ type }) => type).join('');

test('words of one turn leave in one piece, and a payload takes those before it along', async (t) => {
  const far = new FarEnd();
  for (let i = 0; i < 5; i++) far.link.send(request(i));
  t.is(far.pieces, 0);
  t.true(far.link.queued > 0, 'what waits counts');
  await turn();
  t.is(far.pieces, 1);
  t.is(letters(far), 'RRRRR');
  t.is(far.link.queued, 0);
  far.link.send(ack(1));
  far.link.send(block(new Uint8Array(BLOCK).fill(7)));
  t.is(far.pieces, 2);
  t.is(letters(far), 'RRRRRAT');
});

test.serial('what nobody waits for waits for a word that somebody does, and not for long', async (t) => {
  // The clock stands: a busy machine takes any time for two turns.
  const real = globalThis.setTimeout;
  const alarms: { ring: () => void; ms: number | undefined }[] = [];
  const set = (ring: () => void, ms?: number) => {
    alarms.push({ ring, ms });
    return real(() => {}, 0);
  };
  globalThis.setTimeout = set as typeof setTimeout;
  t.teardown(() => {
    globalThis.setTimeout = real;
  });
  const far = new FarEnd();
  far.link.send(ack(1));
  far.link.send({ type: 'K', number: 1, chunks: [3] });
  await turn();
  t.is(far.pieces, 0);
  far.link.send(request(4));
  await turn();
  t.is(letters(far), 'AKR');
  t.is(far.pieces, 1);
  far.link.send(ack(2));
  t.is(alarms.length, 2, 'one for all that waits');
  t.is(alarms[1].ms, 10);
  alarms[1].ring();
  t.is(letters(far), 'AKRA');
  const prompt: Message[] = [
    { type: 'A', number: 1, done: [] },
    { type: 'K', number: 1, chunks: [] },
  ];
  for (const word of prompt) {
    const before = far.pieces;
    far.link.send(word);
    await turn();
    t.is(far.pieces, before + 1, `an empty ${word.type} is waited for`);
  }
});

test('a payload of any length comes as it was when it was sent, with many words before it', async (t) => {
  const far = new FarEnd();
  const lengths = [1, 1000, BLOCK / 2, BLOCK - 1, BLOCK];
  for (const [i, length] of lengths.entries()) {
    for (let n = 0; n < 2000; n++) far.link.send(ack(n));
    const data = new Uint8Array(length).fill(i + 1);
    far.link.send(block(data));
    data.fill(0);
  }
  await turn();
  const blocks = far.got.flatMap((message) => (message.type === 'T' ? [message.data] : []));
  t.deepEqual(
    blocks.map(({ length }) => length),
    lengths,
  );
  t.true(blocks.every((data, i) => data.every((byte) => byte === i + 1)));
  t.is(letters(far), `${'A'.repeat(2000)}T`.repeat(lengths.length));
});

test('what was said last leaves although the link is closed at once', async (t) => {
  const far = new FarEnd();
  far.link.send(ack(1));
  far.link.send(request(1));
  far.link.close(new HearsayError('cancelled', 'over'));
  far.link.send(request(2));
  await turn();
  t.is(letters(far), 'AR');
});

test('what arrives has no buffer of its own, whoever dialled, but within another stream', async (t) => {
  const transport = tlsTransport(openGroup());
  const heard = { there: new Set<ArrayBufferLike>(), here: new Set<ArrayBufferLike>() };
  const bytes = { there: 0, here: 0 };
  const hear = (end: 'there' | 'here', { listen }: SecureStream) =>
    listen((data) => {
      heard[end].add(data.buffer);
      bytes[end] += data.length;
    });
  let ended = () => {};
  const end = new Promise<void>((resolve) => {
    ended = resolve;
  });
  const listener = await transport.listen(0, (socket) => {
    void transport.secure(socket, false).then((stream) => {
      // What came before anybody listened is not lost.
      setImmediate(() => hear('there', stream));
      stream.socket.once('end', ended);
      stream.socket.write(Buffer.alloc(BLOCK, 1));
    });
  });
  t.teardown(() => listener.close());
  const to = { host: '127.0.0.1', port: listener.port };
  const stream = await transport.secure(await transport.connect(to, 5000, new AbortController().signal), true);
  stream.socket.write(Buffer.alloc(BLOCK, 2));
  hear('here', stream);
  while (bytes.here < BLOCK) await turn();
  stream.socket.end();
  await end;
  t.deepEqual(bytes, { there: BLOCK, here: BLOCK });
  t.is(heard.here.size, 1);
  for (const buffer of heard.here) t.true(heard.there.has(buffer), 'one buffer for all');
  const [shared] = heard.here;
  // A stream within another one: its bytes come while those of the other one are looked at.
  const [there, back] = [new PassThrough(), new PassThrough()];
  const ends = [
    { dialled: true, duplex: Duplex.from({ readable: back, writable: there }) },
    { dialled: false, duplex: Duplex.from({ readable: there, writable: back }) },
  ];
  const inner = await Promise.all(ends.map(({ dialled, duplex }) => transport.secure(duplex as Socket, dialled)));
  const own = new Set<ArrayBufferLike>();
  let got = 0;
  for (const { listen, socket } of inner) {
    listen((data) => {
      own.add(data.buffer);
      got += data.length;
    });
    socket.write(Buffer.alloc(1000));
  }
  while (got < 2000) await turn();
  t.false(own.has(shared), 'not the buffer of all');
  t.true(heard.there.size <= 2, `${heard.there.size}: of its own at most what came before anybody listened`);
});
