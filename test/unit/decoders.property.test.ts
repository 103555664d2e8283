/** Properties of every decoder, by fast-check: whatever comes, it is read or refused with a code of ours, and nothing else. */
import test from 'ava';
import fc from 'fast-check';
import { clientMessage, readError, readHello } from '../../lib/daemon/protocol.js';
import { HearsayError } from '../../lib/errors.js';
import { DEPTH_MAX } from '../../lib/limits.js';
import { parseEndpoint } from '../../lib/net/transport.js';
import { parseGroup, parseHostPort } from '../../lib/share/address.js';
import { decodeJournal } from '../../lib/share/journal.js';
import { decode, encode, pack } from '../../lib/wire/codec.js';
import { FrameDecoder, framePrefix } from '../../lib/wire/frame.js';
import { readHead } from '../../lib/wire/head.js';
import { scan } from '../../lib/wire/scan.js';
import { type Message, TABLE } from '../../lib/wire/table.js';
import { ANY, LETTERS, plain } from './wire-messages.js';

const RUNS = { seed: 42, numRuns: 60 };

/** What something gives, or the code with which it refuses. Anything else that is thrown goes on. */
function tried<T>(run: () => T): { value: T } | { code: string } {
  try {
    return { value: run() };
  } catch (thrown) {
    if (thrown instanceof HearsayError) return { code: thrown.code };
    throw thrown;
  }
}

const bytes = fc.uint8Array({ maxLength: 300 });
/** Where bytes are changed, and to what. */
const damage = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { minLength: 1, maxLength: 4 });

function damaged(data: Uint8Array, changes: [number, number][]): Buffer {
  const out = Buffer.from(data);
  for (const [at, byte] of changes) if (out.length > 0) out[at % out.length] = byte;
  return out;
}

for (const letter of LETTERS) {
  const over = TABLE[letter].over === 'udp' ? 'udp' : 'tcp';
  test(`${letter}: with bytes changed it is refused, or is a message that reads the same again`, (t) => {
    const property = fc.property(ANY[letter] as fc.Arbitrary<Message>, damage, fc.nat(), (message, changes, cut) => {
      const packed = encode(message);
      for (const data of [damaged(packed, changes), packed.subarray(0, cut % packed.length)]) {
        const read = tried(() => decode(data, over));
        if ('code' in read) {
          t.is(read.code, 'bad-message');
          continue;
        }
        const again = encode(read.value);
        // Damaged UTF-8 is read as marks of three bytes each.
        if (again.length <= TABLE[read.value.type].max) t.deepEqual(plain(decode(again, over)), plain(read.value));
      }
    });
    fc.assert(property, RUNS);
  });
}

test('random bytes: every decoder reads them or refuses them', (t) => {
  const decoders: [string, (data: Buffer) => unknown, string[]][] = [
    ['udp', (data) => decode(data, 'udp'), ['bad-message']],
    ['tcp', (data) => decode(data, 'tcp'), ['bad-message']],
    ['scan', (data) => scan(data, 100, DEPTH_MAX), ['bad-message']],
    ['head', readHead, ['bad-message']],
    ['frame', (data) => new FrameDecoder(() => {}).push(data), ['bad-message']],
    ['journal', decodeJournal, []],
  ];
  for (const [name, run, codes] of decoders) {
    const property = fc.property(bytes, (data) => {
      const read = tried(() => run(Buffer.from(data)));
      t.true('value' in read || codes.includes(read.code), name);
    });
    fc.assert(property, { seed: 42, numRuns: 500 });
  }
});

test('any values packed: a message or refused', (t) => {
  const anything = fc.anything({ maxDepth: 4, withTypedArray: true, withDate: true, withMap: true, withSet: true });
  const property = fc.property(fc.constantFrom(...LETTERS), fc.array(anything, { maxLength: 12 }), (letter, values) => {
    const packed = tried(() => pack([letter, ...values]));
    if ('code' in packed) return;
    for (const over of ['udp', 'tcp'] as const) {
      const read = tried(() => decode(packed.value, over));
      t.true('value' in read || read.code === 'bad-message');
    }
  });
  fc.assert(property, { seed: 42, numRuns: 500 });
});

test('any JSON on the control socket: a request or refused', (t) => {
  const property = fc.property(fc.jsonValue(), (value) => {
    t.is(typeof clientMessage.safeParse(value).success, 'boolean');
    const read = tried(() => readHello(value, 'command'));
    t.true('value' in read || ['bad-message', 'other-version'].includes(read.code));
    t.true(readError(value) instanceof HearsayError);
  });
  fc.assert(property, { seed: 42, numRuns: 500 });
});

test('any text as an address: a host and a port, or refused', (t) => {
  const hostlike = fc.stringMatching(/^[\w.:[\]%-]{0,40}$/);
  const property = fc.property(fc.oneof(fc.string({ unit: 'binary', maxLength: 80 }), hostlike), (text) => {
    for (const parse of [(s: string) => parseHostPort(s, 1), parseGroup]) {
      const read = tried(() => parse(text));
      t.true('code' in read ? read.code === 'usage' : read.value.port >= 1 && read.value.port <= 65_535);
    }
    const endpoint = parseEndpoint(text);
    t.true(endpoint === undefined || (endpoint.port >= 1 && endpoint.port <= 65_535));
  });
  fc.assert(property, { seed: 42, numRuns: 1000 });
});

test('a stream of messages gives the same frames in any cut', (t) => {
  const messages = fc.array(
    fc.constantFrom(...LETTERS).chain((letter) => ANY[letter] as fc.Arbitrary<Message>),
    {
      minLength: 1,
      maxLength: 4,
    },
  );
  const property = fc.property(messages, fc.array(fc.nat(), { maxLength: 12 }), (all, cuts) => {
    const bodies = all.map((message) => encode(message));
    const stream = Buffer.concat(bodies.flatMap((body) => [framePrefix(body.length), body]));
    const frames: Buffer[] = [];
    const decoder = new FrameDecoder((frame) => frames.push(Buffer.from(frame)));
    let at = 0;
    for (const end of [...cuts.map((cut) => cut % stream.length).sort((a, b) => a - b), stream.length]) {
      decoder.push(Buffer.from(stream.subarray(at, end)));
      at = end;
    }
    t.deepEqual(frames, bodies);
    t.is(decoder.unfinished, 0);
  });
  fc.assert(property, RUNS);
});
