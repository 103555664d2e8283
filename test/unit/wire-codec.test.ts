import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { Packr } from 'msgpackr';
import { HearsayError } from '../../lib/errors.js';
import { BLOCK, DATAGRAM_MAX, FRAME_MAX } from '../../lib/limits.js';
import { decode, encode, encodeAhead, unpack } from '../../lib/wire/codec.js';
import { scan } from '../../lib/wire/scan.js';
import { type Letter, MAGIC, type Message, TABLE } from '../../lib/wire/table.js';
import { ANY, GOLDEN, goldenOf, ID, LETTERS, plain } from './wire-messages.js';

const packr = new Packr({ useRecords: false, structuredClone: false });
const way = (letter: Letter): 'udp' | 'tcp' => (TABLE[letter].over === 'udp' ? 'udp' : 'tcp');

/** Holds that bytes are refused in the one right way. */
function refused(t: ExecutionContext, data: Uint8Array, over: 'udp' | 'tcp', why: string): void {
  const error = t.throws(() => decode(data, over), { instanceOf: HearsayError }, why);
  t.is(error.code, 'bad-message', why);
}

/** Decodes, or throws what is not allowed to be thrown. */
function decodeOrRefuse(data: Uint8Array, over: 'udp' | 'tcp'): Message | undefined {
  try {
    return decode(data, over);
  } catch (thrown) {
    if (thrown instanceof HearsayError && thrown.code === 'bad-message') return undefined;
    throw thrown;
  }
}

test('there is a golden message for every type of the table', (t) => {
  t.deepEqual([...LETTERS].sort(), Object.keys(TABLE).sort());
});

for (const letter of LETTERS) {
  const [message, golden] = goldenOf(letter);
  const { name } = TABLE[letter];
  const bytes = Buffer.from(golden, 'hex');

  test(`${letter} ${name} has its golden bytes, and reads back`, (t) => {
    t.is(encode(message).toString('hex'), golden);
    t.deepEqual(plain(decode(bytes, way(letter))), plain(message));
  });

  test(`${letter} ${name} is refused cut short at any byte, and with a byte too many`, (t) => {
    for (let end = 0; end < bytes.length; end++) refused(t, bytes.subarray(0, end), way(letter), `cut at ${end}`);
    refused(t, Buffer.concat([bytes, Buffer.of(0)]), way(letter), 'trailing');
  });

  test(`${letter} ${name} with any one byte changed is read or refused, nothing else`, (t) => {
    for (let i = 0; i < bytes.length; i++) {
      for (const value of [0, 1, 0x7f, 0x80, 0xa1, 0xc0, 0xc1, 0xc6, 0xc9, 0xd4, 0xdd, 0xdf, 0xff]) {
        const changed = Buffer.from(bytes);
        changed[i] = value;
        decodeOrRefuse(changed, way(letter));
      }
    }
    t.pass();
  });

  test(`${letter} ${name} with a field of a wrong type, missing or too many, is refused`, (t) => {
    const values = packr.unpack(bytes) as unknown[];
    refused(t, packr.pack(values.slice(0, -1)), way(letter), 'one missing');
    refused(t, packr.pack([...values, 0]), way(letter), 'one too many');
    for (let i = 1; i < values.length; i++) {
      const right = values[i];
      const wrong: unknown[] = [null, { a: 1 }, 1.5, Number.NaN, -(2 ** 60), new Date(0), [[0]], 2 ** 60];
      if (typeof right !== 'number') wrong.push(0);
      if (typeof right !== 'string') wrong.push('text');
      if (typeof right !== 'boolean') wrong.push(true);
      if (!(right instanceof Uint8Array)) wrong.push(Buffer.from('bytes'));
      if (!Array.isArray(right)) wrong.push([]);
      else wrong.push([null], [['a', 'b', 'c']], [{}]);
      for (const value of wrong) {
        refused(t, packr.pack(values.with(i, value)), way(letter), `field ${i} as ${JSON.stringify(value)}`);
      }
    }
  });

  test(`${letter} ${name} of any content reads back`, (t) => {
    fc.assert(
      fc.property(ANY[letter] as fc.Arbitrary<Message>, (message) => {
        const packed = encode(message);
        // Texts of many long characters may pass a datagram's limit; that is refused, as it must be.
        if (packed.length > TABLE[letter].max) return decodeOrRefuse(packed, way(letter)) === undefined;
        t.deepEqual(plain(decode(packed, way(letter))), plain(message));
        return true;
      }),
      { numRuns: 50 },
    );
  });

  test(`${letter} ${name} over its size is refused`, (t) => {
    const { max } = TABLE[letter];
    // As long as can be written: fields that are bytes or text, grown beyond the limit.
    const values = (packr.unpack(bytes) as unknown[]).map((value) =>
      value instanceof Uint8Array ? Buffer.alloc(max) : value,
    );
    refused(t, packr.pack([...values, Buffer.alloc(max)]), way(letter), 'oversize');
  });
}

test('what travels only by the one way is refused by the other', (t) => {
  for (const letter of LETTERS) {
    const bytes = Buffer.from(goldenOf(letter)[1], 'hex');
    const { over } = TABLE[letter];
    if (over === 'udp') refused(t, bytes, 'tcp', letter);
    if (over === 'tcp') refused(t, bytes, 'udp', letter);
    if (over === 'both') t.is(decode(bytes, 'udp').type, decode(bytes, 'tcp').type);
  }
});

test('integers over 32 bits are read in either form of MessagePack', (t) => {
  const [message, golden] = GOLDEN.P;
  const asUint64 = golden.replace('cb41f0000000000000', 'cf0000000100000000');
  t.not(asUint64, golden);
  t.deepEqual(plain(decode(Buffer.from(asUint64, 'hex'), 'tcp')), plain(message));
  const beyond = golden.replace('cb41f0000000000000', 'cfffffffffffffffff');
  refused(t, Buffer.from(beyond, 'hex'), 'tcp', '2^64 - 1');
});

test('unknown types and what is no message are refused', (t) => {
  for (const [why, hex] of [
    ['nothing', ''],
    ['a number', '05'],
    ['an empty array', '90'],
    ['an unknown letter', '92a15a00'],
    ['a letter of the prototype', `92ab${Buffer.from('constructor').toString('hex')}00`],
    ['lower case', '92a17800'],
    ['a number for a letter', '920100'],
    ['a map', '81a158a101'],
    ['array 16', 'dc0002a15801'],
    ['array 32 that claims four thousand million items', 'ddffffffffa158'],
    ['a record definition', 'd4724091a178'],
  ]) {
    refused(t, Buffer.from(hex, 'hex'), 'tcp', why);
    refused(t, Buffer.from(hex, 'hex'), 'udp', why);
  }
});

test('extension types, records, references, maps and nil are refused wherever they stand', (t) => {
  for (const [why, value] of [
    ['nil', 'c0'],
    ['never used', 'c1'],
    ['fixext 1', 'd40100'],
    ['record', 'd47240'],
    ['timestamp', 'd6ff00000000'],
    ['ext 8', 'c7010100'],
    ['ext 16', 'c800010100'],
    ['ext 32', 'c9000000010100'],
    ['ext 32, huge', 'c9ffffffff01'],
    ['fixext 16', `d801${'00'.repeat(16)}`],
    ['map', '8101a1'],
    ['map 16', 'de00010101'],
    ['map 32', 'dfffffffff'],
  ]) {
    refused(t, Buffer.from(`93a1410191${value}`, 'hex'), 'tcp', why);
  }
});

test('huge declared lengths and counts cost nothing', (t) => {
  const before = process.memoryUsage();
  for (const [why, value] of [
    ['string 32', 'dbffffffff61'],
    ['binary 32', 'c6ffffffff61'],
    ['string 16', 'daffff61'],
    ['array 32', 'ddffffffff01'],
    ['array 16', 'dcffff01'],
  ]) {
    for (let i = 0; i < 200; i++) refused(t, Buffer.from(`93a14101${value}`, 'hex'), 'tcp', why);
  }
  const after = process.memoryUsage();
  t.true(after.arrayBuffers - before.arrayBuffers < 2 ** 24, 'array buffers');
});

test('too many items and too deep nesting are refused', (t) => {
  const list = (count: number) =>
    Buffer.from(`93a14101dc${count.toString(16).padStart(4, '0')}${'00'.repeat(count)}`, 'hex');
  t.is(decode(list(512), 'tcp').type, 'A');
  refused(t, list(513), 'tcp', 'more than the list may hold');
  refused(t, list(650), 'tcp', 'more than the message may hold');
  refused(t, Buffer.from(`93a14101${'91'.repeat(4000)}00`, 'hex'), 'tcp', 'nested');
  refused(t, Buffer.concat([Buffer.from('93a14101', 'hex'), Buffer.alloc(4000, 0x90)]), 'tcp', 'many empty arrays');
  t.throws(() => unpack(Buffer.alloc(100_000, 0x91), 1_000_000), { instanceOf: HearsayError });
});

test('what is over the limit of its type is refused before it is unpacked', (t) => {
  const block = { ...GOLDEN.T[0], data: new Uint8Array(BLOCK) };
  t.is(decode(encode(block), 'tcp').type, 'T');
  refused(t, encode({ ...block, data: new Uint8Array(BLOCK + 1) }), 'tcp', 'a block and a byte');
  refused(t, encode({ ...block, data: new Uint8Array(FRAME_MAX) }), 'tcp', 'a frame');
  // Each field within its own limit, all together over the message's.
  const offer = { ...GOLDEN.O[0].offers[0], path: 'x'.repeat(250) };
  const change = (count: number): Message => ({ ...GOLDEN.O[0], offers: new Array(count).fill(offer) });
  t.is(decode(encode(change(3)), 'udp').type, 'O');
  t.true(encode(change(4)).length > DATAGRAM_MAX);
  refused(t, encode(change(4)), 'udp', 'a datagram');
  const neighbour = {
    head: new Uint8Array(512),
    sig: new Uint8Array(64),
    addresses: new Array(16).fill('x'.repeat(64)),
  };
  refused(t, encode({ type: 'N', peers: new Array(256).fill(neighbour) }), 'tcp', 'a frame of neighbours');
});

test('the scan before unpacking holds each bound by itself', (t) => {
  const bytes = (hex: string) => Buffer.from(hex, 'hex');
  t.notThrows(() => scan(bytes('93010203'), 4, 1));
  t.notThrows(() => scan(bytes('c403000000'), 1, 0));
  const every = ['c2', 'c3', 'ccff', 'cdffff', 'ceffffffff', 'cfffffffffffffffff', 'd080', 'd18000', 'd280000000']
    .concat(['d38000000000000000', 'ca00000000', 'cb0000000000000000', 'd90161', 'da000161', 'db0000000161', 'a161'])
    .concat(['c40100', 'c5000100', 'c60000000100', '7f', 'e0', '90', '9101', 'dc000101', 'dd0000000101']);
  t.notThrows(() => scan(bytes(`dc00${every.length.toString(16)}${every.join('')}`), 40, 2));
  for (const [hex, items, depth, why] of [
    ['93010203', 3, 1, /too many items/],
    ['dd00000004c0', 9, 1, /truncated/],
    ['9190', 9, 1, /nested too deeply/],
    ['919190', 9, 2, /nested too deeply/],
    ['0101', 9, 1, /trailing/],
    ['', 9, 1, /truncated/],
    ['92', 9, 1, /truncated/],
    ['dc', 9, 1, /truncated/],
    ['dc0002', 9, 1, /truncated/],
    ['dcffff01', 9, 1, /truncated/],
    ['c4ff00', 9, 1, /truncated/],
    ['c6ffffffff', 9, 1, /truncated/],
    ['cf00', 9, 1, /truncated/],
    ['a3aa', 9, 1, /truncated/],
    ['80', 9, 1, /a map/],
    ['c0', 9, 1, /the tag 0xc0/],
    ['d40100', 9, 1, /the tag 0xd4/],
  ] as const) {
    const error = t.throws(() => scan(bytes(hex), items, depth), { instanceOf: HearsayError }, hex);
    t.is(error.code, 'bad-message');
    t.regex(error.message, why, hex);
  }
});

test('the magic word must be there', (t) => {
  const other = GOLDEN.Q[1].replace(Buffer.from(MAGIC).toString('hex'), Buffer.from('hearsay2').toString('hex'));
  refused(t, Buffer.from(other, 'hex'), 'udp', 'another version');
});

test('ids and paths are checked', (t) => {
  const question = GOLDEN.Q[0];
  for (const from of ['', 'x', ID.toLowerCase(), `${ID}0`, ID.slice(1), `${ID.slice(0, 25)}U`]) {
    refused(t, encode({ ...question, from }), 'udp', `peer ${from}`);
  }
  const get = GOLDEN.G[0];
  for (const path of ['', '/etc/passwd', '../x', 'a/../b', 'a/./b', 'a//b', 'a/', 'a\0b', 'x'.repeat(256)]) {
    refused(t, encode({ ...get, path }), 'tcp', `path ${path}`);
  }
  const words = packr.unpack(Buffer.from(GOLDEN.G[1], 'hex')) as unknown[];
  refused(t, packr.pack(words.with(2, Buffer.alloc(31))), 'tcp', 'a short content id');
  refused(t, packr.pack(words.with(2, Buffer.alloc(33))), 'tcp', 'a long content id');
});

test('offers are checked', (t) => {
  const page = GOLDEN.I[0];
  const offer = GOLDEN.O[0].offers[0];
  const id = offer.id;
  for (const [why, wrong] of [
    ['version 0', { ...offer, version: 0 }],
    ['half a version', { ...offer, version: 1.5 }],
    ['negative size', { ...offer, size: -1 }],
    ['endless size', { ...offer, size: Number.POSITIVE_INFINITY }],
    ['a folder with a size', { ...offer, kind: 'folder' as const, id: null }],
    ['a tombstone with an id', { ...offer, kind: 'removed' as const, size: 0, id }],
    ['a path that climbs', { ...offer, path: 'p/../../x' }],
  ] as const) {
    refused(t, encode({ ...page, offers: [wrong] }), 'tcp', why);
  }
});

test('bytes that are not UTF-8 never become a path, a name or a text', (t) => {
  for (const bad of ['ff', 'c3', 'eda080', 'f08080', 'c080', 'e28241', 'f4908080']) {
    const length = (0xa0 + bad.length / 2).toString(16);
    const found = decodeOrRefuse(Buffer.from(`95a14709c400${length}${bad}00`, 'hex'), 'tcp');
    if (found?.type === 'G') t.true(found.path.isWellFormed(), `path ${bad}`);
    const text = decodeOrRefuse(Buffer.from(`94a1460100${length}${bad}`, 'hex'), 'tcp');
    if (text?.type === 'F') t.true(text.text.isWellFormed(), `text ${bad}`);
  }
  t.pass();
});

test('what is encoded ahead of its payload has its golden bytes, and reads back with it', (t) => {
  for (const [message, golden] of [GOLDEN.T, GOLDEN.U] as const) {
    const { data } = message;
    const ahead = encodeAhead(message, data.length);
    // As the golden message, but for the length of the payload in four bytes.
    const payload = Buffer.from(data).toString('hex');
    const end = `c40${data.length}${payload}`;
    t.true(golden.endsWith(end));
    t.is(ahead.toString('hex'), `${golden.slice(0, -end.length)}c60000000${data.length}`);
    t.deepEqual(plain(decode(Buffer.concat([ahead, data]), 'tcp')), plain(message));
  }
  const block = new Uint8Array(BLOCK).fill(0x7e);
  const read = decode(Buffer.concat([encodeAhead(GOLDEN.T[0], BLOCK), block]), 'tcp');
  t.true(read.type === 'T' && Buffer.from(block).equals(read.data));
});

test('a payload is a slice of the frame, all other bytes are copies', (t) => {
  const bytes = Buffer.from(GOLDEN.T[1], 'hex');
  const read = decode(bytes, 'tcp');
  bytes.fill(0);
  t.true(read.type === 'T' && read.data.every((b) => b === 0) && read.hash.every((b) => b === 0x22));
});

test('random bytes are read or refused, nothing else', (t) => {
  const begin = fc.constantFrom(...LETTERS.map((letter) => GOLDEN[letter][1].slice(0, 6)));
  const noise = fc.tuple(fc.option(begin), fc.uint8Array({ maxLength: 300 }));
  fc.assert(
    fc.property(noise, ([start, rest]) => {
      const data = Buffer.concat([Buffer.from(start ?? '', 'hex'), rest]);
      decodeOrRefuse(data, 'tcp');
      decodeOrRefuse(data, 'udp');
    }),
    { numRuns: 5000 },
  );
  t.pass();
});
