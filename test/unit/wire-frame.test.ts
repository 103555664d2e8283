import test from 'ava';
import fc from 'fast-check';
import { HearsayError } from '../../lib/errors.js';
import { BLOCK, FRAME_MAX } from '../../lib/limits.js';
import { encode } from '../../lib/wire/codec.js';
import { FrameDecoder, framePrefix } from '../../lib/wire/frame.js';
import { TABLE } from '../../lib/wire/table.js';
import { GOLDEN, goldenOf, LETTERS } from './wire-messages.js';

const frame = (message: Uint8Array) => Buffer.concat([framePrefix(message.length), message]);
const MESSAGES = LETTERS.filter((letter) => TABLE[letter].over !== 'udp').map((letter) => goldenOf(letter)[1]);
const STREAM = Buffer.concat(MESSAGES.map((hex) => frame(Buffer.from(hex, 'hex'))));

/** The frames that come out of pieces, in hexadecimal. */
function read(pieces: readonly Uint8Array[]): string[] {
  const frames: string[] = [];
  const decoder = new FrameDecoder((message) => frames.push(message.toString('hex')));
  // A piece's memory is the stream's own and is used again.
  const own = Buffer.alloc(FRAME_MAX + 4);
  for (const piece of pieces) {
    own.set(piece);
    decoder.push(own.subarray(0, piece.length));
    own.fill(0xee, 0, piece.length);
  }
  return frames;
}

test('a prefix is four bytes, big-endian', (t) => {
  t.is(framePrefix(0x01020304).toString('hex'), '01020304');
});

test('every split of the stream in two gives the same frames', (t) => {
  t.deepEqual(read([STREAM]), MESSAGES);
  for (let at = 0; at <= STREAM.length; at++) {
    const frames = read([STREAM.subarray(0, at), STREAM.subarray(at)]);
    if (frames.join() !== MESSAGES.join()) t.fail(`split at ${at}`);
  }
});

test('byte by byte the frames are the same', (t) => {
  t.deepEqual(read(Array.from(STREAM, (byte) => Uint8Array.of(byte))), MESSAGES);
});

test('any cuts give the same frames', (t) => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: STREAM.length }), { maxLength: 30 }), (cuts) => {
      const at = [0, ...cuts.sort((a, b) => a - b), STREAM.length];
      t.deepEqual(read(at.slice(1).map((end, i) => STREAM.subarray(at[i], end))), MESSAGES);
    }),
    { numRuns: 200 },
  );
});

test('large and small frames in turn, in pieces of every size', (t) => {
  const block = encode({ ...GOLDEN.T[0], data: Buffer.alloc(BLOCK, 0x5a) });
  const stream = Buffer.concat([frame(block), STREAM, frame(block), frame(block), STREAM]);
  const hex = block.toString('hex');
  for (const size of [1000, 4096, 65_536, 200_001, stream.length]) {
    const pieces: Buffer[] = [];
    for (let at = 0; at < stream.length; at += size) pieces.push(stream.subarray(at, at + size));
    const frames: string[] = [];
    const decoder = new FrameDecoder((message) => frames.push(message.toString('hex')));
    for (const piece of pieces) decoder.push(piece);
    t.true(frames.join() === [hex, ...MESSAGES, hex, hex, ...MESSAGES].join(), `pieces of ${size}`);
  }
});

const BAD: [string, Buffer][] = [
  ['a length of 0', Buffer.from('00000000', 'hex')],
  ['a length of 2', Buffer.from('0000000290a1', 'hex')],
  ['4 GiB', Buffer.from('ffffffff95a154', 'hex')],
  ['a byte over any frame', Buffer.concat([framePrefix(FRAME_MAX + 1), Buffer.from('95a154', 'hex')])],
  ['an ack as long as a block', Buffer.concat([framePrefix(BLOCK), Buffer.from('93a141', 'hex')])],
  ['an unknown letter', Buffer.from('0000000a92a17a', 'hex')],
  ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
  ['a TLS hello', Buffer.from('16030100f1010000ed0303', 'hex')],
  ['no array', Buffer.from('0000000781a158a101a101', 'hex')],
];

for (const [why, bytes] of BAD) {
  test(`${why} ends the stream, in one piece, byte by byte and after a good frame`, (t) => {
    const good = frame(Buffer.from(GOLDEN.X[1], 'hex'));
    for (const pieces of [[bytes], Array.from(bytes, (b) => Uint8Array.of(b)), [Buffer.concat([good, bytes])]]) {
      const error = t.throws(() => read(pieces), { instanceOf: HearsayError });
      t.is(error.code, 'bad-message');
    }
  });
}

test('a declared length takes no memory before its type is known and allows it', (t) => {
  const before = process.memoryUsage().arrayBuffers;
  const decoders = Array.from({ length: 200 }, () => new FrameDecoder(() => t.fail('no frame was whole')));
  for (const decoder of decoders) decoder.push(Buffer.concat([framePrefix(FRAME_MAX), Buffer.from('94a1', 'hex')]));
  t.true(process.memoryUsage().arrayBuffers - before < 8 * 2 ** 20, '200 connections of 4 KiB');
  for (const decoder of decoders) t.throws(() => decoder.push(Buffer.from('58', 'hex')), { instanceOf: HearsayError });
});

test('random bytes are frames or refused, nothing else', (t) => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 10 }), (pieces) => {
      const decoder = new FrameDecoder(() => {});
      try {
        for (const piece of pieces) decoder.push(Buffer.from(piece));
      } catch (thrown) {
        if (!(thrown instanceof HearsayError) || thrown.code !== 'bad-message') throw thrown;
      }
    }),
    { numRuns: 2000 },
  );
  t.pass();
});
