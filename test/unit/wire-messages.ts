/** Messages for the wire's tests: one of each type with its bytes written out by hand, and arbitrary ones. */
import fc from 'fast-check';
import { peerId } from '../../lib/ids.js';
import { FILE_SIZE_MAX } from '../../lib/limits.js';
import type { Offer } from '../../lib/offer.js';
import type { Letter, Message, MessageOf, Neighbour } from '../../lib/wire/table.js';

const filled = (length: number, value: number) => new Uint8Array(length).fill(value);
const cid = (byte: string) => byte.repeat(32);

export const KEY = filled(32, 7);
export const ID = peerId(KEY, 1_700_000_000_000);
const OTHER = peerId(filled(32, 8), 1_700_000_000_000);

// MessagePack by hand. Integers over 32 bits travel as float 64.
const hex = (text: string) => Buffer.from(text).toString('hex');
const uint8 = (n: number) => n.toString(16).padStart(2, '0');
const str = (text: string) => uint8(0xa0 + Buffer.byteLength(text)) + hex(text);
const bin = (length: number, value: number) => `c4${uint8(length)}${uint8(value).repeat(length)}`;
const MAGIC = 'a86865617273617931';
const NONE = 'c400';
const MTIME = 1_700_000_000_123;
const MTIME_HEX = 'cb4278bcfe5687b000';

const file: Offer = { path: 'p/é.txt', kind: 'executable', size: 300, mtime: MTIME, id: cid('ab'), version: 5 };
const FILE_HEX = `96${str('p/é.txt')}01cd012c${MTIME_HEX}${bin(32, 0xab)}05`;
const gone: Offer = { path: 'p/old', kind: 'removed', size: 0, mtime: 0, id: null, version: 70_000 };
const GONE_HEX = `96${str('p/old')}030000${NONE}ce00011170`;
const neighbour: Neighbour = { head: filled(3, 1), sig: filled(64, 2), addresses: ['10.0.0.1:47748', '[fe80::1]:9'] };
const NEIGHBOUR_HEX = `93${bin(3, 1)}${bin(64, 2)}92${str('10.0.0.1:47748')}${str('[fe80::1]:9')}`;

/** A message of each type and its bytes, in hexadecimal. */
export const GOLDEN: { [L in Letter]: readonly [MessageOf<L>, string] } = {
  O: [
    { type: 'O', head: filled(2, 1), sig: filled(64, 2), from: 4, offers: [file, gone] },
    `96a14f${MAGIC}${bin(2, 1)}${bin(64, 2)}0492${FILE_HEX}${GONE_HEX}`,
  ],
  Q: [
    { type: 'Q', from: ID, to: '', nonce: filled(16, 3), pad: filled(2, 0) },
    `96a151${MAGIC}${str(ID)}a0${bin(16, 3)}${bin(2, 0)}`,
  ],
  u: [{ type: 'u', deaf: true, message: filled(3, 1) }, `94a175${MAGIC}c3${bin(3, 1)}`],
  L: [{ type: 'L', id: ID, epoch: 2, sig: filled(64, 4) }, `95a14c${MAGIC}${str(ID)}02${bin(64, 4)}`],
  x: [
    { type: 'x', id: ID, epoch: 2, beat: 300, from: OTHER, sig: filled(64, 4) },
    `97a178${MAGIC}${str(ID)}02cd012c${str(OTHER)}${bin(64, 4)}`,
  ],
  C: [{ type: 'C', from: ID, to: OTHER, port: 47748 }, `95a143${MAGIC}${str(ID)}${str(OTHER)}cdba84`],
  H: [
    { type: 'H', protocol: 1, head: filled(2, 1), sig: filled(64, 2), instance: filled(8, 5), probe: false },
    `96a14801${bin(2, 1)}${bin(64, 2)}${bin(8, 5)}c2`,
  ],
  V: [{ type: 'V', sig: filled(64, 6) }, `92a156${bin(64, 6)}`],
  N: [{ type: 'N', peers: [neighbour] }, `92a14e91${NEIGHBOUR_HEX}`],
  j: [{ type: 'j', marks: filled(8, 7) }, `92a16a${bin(8, 7)}`],
  P: [
    { type: 'P', number: 1, writer: ID, epoch: 3, version: 2 ** 32, buckets: filled(0, 0) },
    `96a15001${str(ID)}03cb41f0000000000000${NONE}`,
  ],
  D: [
    {
      type: 'D',
      number: 1,
      replaced: filled(32, 255),
      offers: [file],
      last: true,
      head: filled(1, 9),
      sig: filled(64, 2),
    },
    `97a14401${bin(32, 255)}91${FILE_HEX}c3${bin(1, 9)}${bin(64, 2)}`,
  ],
  b: [
    { type: 'b', number: 3, known: [{ writer: ID, epoch: 3, version: 0, least: 256 }] },
    `93a1620391${`94${str(ID)}0300cd0100`}`,
  ],
  r: [
    {
      type: 'r',
      number: 3,
      writer: ID,
      replaced: filled(0, 0),
      offers: [file, gone],
      head: filled(1, 9),
      sig: filled(64, 2),
    },
    `97a17203${str(ID)}${NONE}92${FILE_HEX}${GONE_HEX}${bin(1, 9)}${bin(64, 2)}`,
  ],
  F: [{ type: 'F', number: 127, kind: 2, text: '*.txt' }, `94a1467f02${str('*.txt')}`],
  I: [{ type: 'I', number: 128, offers: [gone], last: false, aside: true }, `95a149cc8091${GONE_HEX}c2c3`],
  Y: [{ type: 'Y', reset: true, offers: [file], last: false }, `94a159c391${FILE_HEX}c2`],
  G: [{ type: 'G', number: 9, id: null, path: 'p/a', first: 0 }, `95a14709${NONE}${str('p/a')}00`],
  M: [
    {
      type: 'M',
      number: 9,
      id: cid('cd'),
      size: 262_145,
      mtime: -1,
      executable: false,
      chunk: 262_144,
      first: 0,
      hashes: filled(64, 0x11),
      have: filled(1, 3),
    },
    `9aa14d09${bin(32, 0xcd)}ce00040001ffc2ce0004000000${bin(64, 0x11)}${bin(1, 3)}`,
  ],
  R: [{ type: 'R', number: 9, block: 65_536, count: 16 }, '94a15209ce0001000010'],
  T: [
    { type: 'T', number: 9, block: 1, hash: filled(32, 0x22), data: filled(5, 0x41) },
    `95a1540901${bin(32, 0x22)}${bin(5, 0x41)}`,
  ],
  A: [{ type: 'A', number: 9, done: [0, 1, 300] }, '93a14109930001cd012c'],
  B: [{ type: 'B', number: 9, chunk: 4_294_967_295 }, '93a14209ceffffffff'],
  E: [
    { type: 'E', number: 9, code: 'changed', id: null, message: 'it changed' },
    `95a14509${str('changed')}${NONE}${str('it changed')}`,
  ],
  X: [{ type: 'X', number: 4_294_967_295 }, '92a158ceffffffff'],
  S: [
    {
      type: 'S',
      number: 10,
      files: [
        { id: cid('ef'), path: 'p/b' },
        { id: null, path: 'p/c' },
      ],
    },
    `93a1530a9292${bin(32, 0xef)}${str('p/b')}92${NONE}${str('p/c')}`,
  ],
  U: [
    {
      type: 'U',
      number: 10,
      files: [{ place: 1, code: '', id: cid('ef'), size: 3, mtime: MTIME, executable: true }],
      data: filled(3, 0x42),
    },
    `94a1550a919601a0${bin(32, 0xef)}03${MTIME_HEX}c3${bin(3, 0x42)}`,
  ],
  K: [{ type: 'K', number: 9, chunks: [255, 256] }, '93a14b0992ccffcd0100'],
  g: [{ type: 'g', number: 9, chunks: [3, 300], free: false }, '94a167099203cd012cc2'],
  s: [{ type: 's', number: 9, chunks: [3] }, '93a173099103'],
  W: [{ type: 'W', number: 9, peers: [neighbour] }, `93a1570991${NEIGHBOUR_HEX}`],
  J: [{ type: 'J', number: 1, addresses: ['10.0.0.1:47748'] }, `93a14a0191${str('10.0.0.1:47748')}`],
  Z: [
    {
      type: 'Z',
      number: 1,
      seen: '10.0.0.1:9',
      reachable: ['10.0.0.1:9'],
      lease: 12_000,
      peers: 3,
      offers: 300,
      trackers: [neighbour],
    },
    `98a15a01${str('10.0.0.1:9')}91${str('10.0.0.1:9')}cd2ee003cd012c91${NEIGHBOUR_HEX}`,
  ],
  l: [{ type: 'l', number: 2, kind: 2, text: '*.txt', follow: true }, `95a16c0202${str('*.txt')}c3`],
  f: [
    {
      type: 'f',
      number: 2,
      reset: false,
      peers: [neighbour],
      offers: [{ peer: ID, offers: [file] }],
      have: [{ peer: ID, id: cid('ab'), chunks: 9, bits: filled(2, 1) }],
      gone: [OTHER],
      last: true,
    },
    `98a16602c291${NEIGHBOUR_HEX}9192${str(ID)}91${FILE_HEX}9194${str(ID)}${bin(32, 0xab)}09${bin(2, 1)}91${str(OTHER)}c3`,
  ],
  h: [{ type: 'h', id: cid('ab'), chunks: 9, at: 0, bits: filled(2, 1) }, `95a168${bin(32, 0xab)}0900${bin(2, 1)}`],
  c: [{ type: 'c', number: 3, peer: OTHER, from: neighbour }, `94a16303${str(OTHER)}${NEIGHBOUR_HEX}`],
  p: [{ type: 'p', number: 4, answer: true }, '93a17004c3'],
  t: [{ type: 't', number: 5, from: ID, to: OTHER }, `94a17405${str(ID)}${str(OTHER)}`],
  d: [{ type: 'd', number: 5, opener: true, data: filled(3, 7) }, `94a16405c3${bin(3, 7)}`],
  w: [{ type: 'w', number: 5, opener: false, bytes: 65_536 }, '94a17705c2ce00010000'],
  e: [{ type: 'e', number: 5, opener: true, code: 'limit' }, `94a16505c3${str('limit')}`],
  i: [
    {
      type: 'i',
      number: 6,
      parcel: 'send-1',
      items: [
        { name: 'é.txt', folder: false, files: 1, bytes: 300, id: cid('ab') },
        { name: 'd', folder: true, files: 2, bytes: 0, id: null },
      ],
    },
    `94a16906${str('send-1')}9295${str('é.txt')}c201cd012c${bin(32, 0xab)}95${str('d')}c30200${NONE}`,
  ],
  v: [
    { type: 'v', number: 6, state: 4, bytes: 300, code: 'refused', message: 'no' },
    `96a1760604cd012c${str('refused')}${str('no')}`,
  ],
  m: [{ type: 'm', number: 6, peers: [neighbour] }, `93a16d0691${NEIGHBOUR_HEX}`],
};

export const LETTERS = Object.keys(GOLDEN) as Letter[];
export const goldenOf = (letter: Letter): readonly [Message, string] => GOLDEN[letter];

const bytes = (min: number, max: number) => fc.uint8Array({ minLength: min, maxLength: max });
const rank = fc.nat({ max: 2 ** 31 - 1 }).map((n) => n * 2);
const safe = fc.maxSafeNat();
const id = fc.option(bytes(32, 32).map((b) => Buffer.from(b).toString('hex')));
const peer = fc.tuple(bytes(32, 32), fc.nat({ max: 2 ** 31 - 1 })).map(([key, born]) => peerId(key, born * 1000));
const text = (max: number) => fc.string({ unit: 'binary', maxLength: max >> 2 }).map((s) => s.toWellFormed());
const segment = text(60).filter((s) => !/[/\0]/.test(s) && s !== '' && s !== '.' && s !== '..');
const path = fc.array(segment, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/'));
const offer: fc.Arbitrary<Offer> = fc.oneof(
  fc.record({
    path,
    kind: fc.constantFrom('file' as const, 'executable' as const),
    size: fc.maxSafeNat().map((n) => n % (FILE_SIZE_MAX + 1)),
    mtime: fc.maxSafeInteger(),
    id,
    version: safe.map((n) => Math.max(n, 1)),
  }),
  fc.record({
    path,
    kind: fc.constantFrom('folder' as const, 'removed' as const),
    size: fc.constant(0),
    mtime: fc.maxSafeInteger(),
    id: fc.constant(null),
    version: safe.map((n) => Math.max(n, 1)),
  }),
);
const neighbourOf = fc.record({
  head: bytes(1, 200),
  sig: bytes(64, 64),
  addresses: fc.array(text(64), { maxLength: 16 }),
});
const peers = fc.array(neighbourOf, { maxLength: 5 });
const sig = bytes(64, 64);
const head = bytes(1, 200);
const number = rank;

/** Any message of each type, within its limits. */
export const ANY: { [L in Letter]: fc.Arbitrary<MessageOf<L>> } = {
  O: fc.record({ type: fc.constant('O'), head, sig, from: safe, offers: fc.array(offer, { maxLength: 2 }) }),
  Q: fc.record({
    type: fc.constant('Q'),
    from: peer,
    to: fc.oneof(peer, fc.constant('')),
    nonce: bytes(16, 16),
    pad: bytes(0, 1000),
  }),
  L: fc.record({ type: fc.constant('L'), id: peer, epoch: safe, sig }),
  u: fc.record({ type: fc.constant('u'), deaf: fc.boolean(), message: bytes(1, 1000) }),
  x: fc.record({
    type: fc.constant('x'),
    id: peer,
    epoch: fc.nat({ max: 2 ** 31 - 1 }).map((n) => n + 1),
    beat: fc.nat({ max: 2 ** 31 - 1 }),
    from: peer,
    sig,
  }),
  C: fc.record({ type: fc.constant('C'), from: peer, to: peer, port: fc.integer({ min: 1, max: 65535 }) }),
  H: fc.record({
    type: fc.constant('H'),
    protocol: safe,
    head,
    sig,
    instance: bytes(8, 8),
    probe: fc.boolean(),
  }),
  V: fc.record({ type: fc.constant('V'), sig }),
  N: fc.record({ type: fc.constant('N'), peers }),
  j: fc.record({ type: fc.constant('j'), marks: bytes(0, 40) }),
  P: fc.record({
    type: fc.constant('P'),
    number,
    writer: peer,
    epoch: safe,
    version: safe,
    buckets: fc.oneof(bytes(0, 0), bytes(4096, 4096)),
  }),
  D: fc.record({
    type: fc.constant('D'),
    number,
    replaced: bytes(0, 32),
    offers: fc.array(offer, { maxLength: 20 }),
    last: fc.boolean(),
    head: bytes(0, 512),
    sig: bytes(0, 64),
  }),
  b: fc.record({
    type: fc.constant('b'),
    number,
    known: fc.array(fc.record({ writer: peer, epoch: safe, version: safe, least: safe }), { maxLength: 20 }),
  }),
  r: fc.record({
    type: fc.constant('r'),
    number,
    writer: peer,
    replaced: bytes(0, 32),
    offers: fc.array(offer, { maxLength: 20 }),
    head: bytes(0, 512),
    sig: bytes(0, 64),
  }),
  F: fc.record({ type: fc.constant('F'), number, kind: fc.integer({ min: 0, max: 6 }), text: text(4200) }),
  I: fc.record({
    type: fc.constant('I'),
    number,
    offers: fc.array(offer, { maxLength: 20 }),
    last: fc.boolean(),
    aside: fc.boolean(),
  }),
  Y: fc.record({
    type: fc.constant('Y'),
    reset: fc.boolean(),
    offers: fc.array(offer, { maxLength: 20 }),
    last: fc.boolean(),
  }),
  G: fc.record({ type: fc.constant('G'), number, id, path, first: fc.nat({ max: 2 ** 31 - 1 }) }),
  M: fc.record({
    type: fc.constant('M'),
    number,
    id,
    size: safe,
    mtime: fc.maxSafeInteger(),
    executable: fc.boolean(),
    chunk: safe,
    first: rank,
    hashes: bytes(0, 2048),
    have: bytes(0, 512),
  }),
  R: fc.record({ type: fc.constant('R'), number, block: rank, count: rank }),
  T: fc.record({ type: fc.constant('T'), number, block: rank, hash: bytes(0, 32), data: bytes(0, 5000) }),
  A: fc.record({ type: fc.constant('A'), number, done: fc.array(rank, { maxLength: 512 }) }),
  B: fc.record({ type: fc.constant('B'), number, chunk: rank }),
  E: fc.record({ type: fc.constant('E'), number, code: text(32), id, message: text(512) }),
  X: fc.record({ type: fc.constant('X'), number }),
  S: fc.record({
    type: fc.constant('S'),
    number,
    files: fc.array(fc.record({ id, path }), { maxLength: 128 }),
  }),
  U: fc.record({
    type: fc.constant('U'),
    number,
    files: fc.array(
      fc.record({
        place: fc.integer({ min: 0, max: 127 }),
        code: text(32),
        id,
        size: fc.nat({ max: 262_144 }),
        mtime: fc.maxSafeInteger(),
        executable: fc.boolean(),
      }),
      { maxLength: 128 },
    ),
    data: bytes(0, 5000),
  }),
  K: fc.record({ type: fc.constant('K'), number, chunks: fc.array(rank, { maxLength: 512 }) }),
  g: fc.record({
    type: fc.constant('g'),
    number,
    chunks: fc.array(rank, { maxLength: 64 }),
    free: fc.boolean(),
  }),
  s: fc.record({ type: fc.constant('s'), number, chunks: fc.array(rank, { maxLength: 64 }) }),
  W: fc.record({ type: fc.constant('W'), number, peers }),
  J: fc.record({ type: fc.constant('J'), number, addresses: fc.array(text(64), { maxLength: 16 }) }),
  Z: fc.record({
    type: fc.constant('Z'),
    number,
    seen: text(64),
    reachable: fc.array(text(64), { maxLength: 16 }),
    lease: fc.integer({ min: 1, max: 3_600_000 }),
    peers: safe,
    offers: safe,
    trackers: fc.array(neighbourOf, { maxLength: 8 }),
  }),
  l: fc.record({
    type: fc.constant('l'),
    number,
    kind: fc.integer({ min: 0, max: 8 }),
    text: text(4200),
    follow: fc.boolean(),
  }),
  f: fc.record({
    type: fc.constant('f'),
    number,
    reset: fc.boolean(),
    peers,
    offers: fc.array(fc.record({ peer: peer, offers: fc.array(offer, { maxLength: 9 }) }), { maxLength: 5 }),
    have: fc.array(fc.record({ peer: peer, id, chunks: fc.nat({ max: 1 << 20 }), bits: bytes(0, 99) }), {
      maxLength: 3,
    }),
    gone: fc.array(peer, { maxLength: 5 }),
    last: fc.boolean(),
  }),
  h: fc.record({
    type: fc.constant('h'),
    id,
    chunks: fc.nat({ max: 1 << 20 }),
    at: fc.nat({ max: 1 << 17 }),
    bits: bytes(0, 4096),
  }),
  c: fc.record({ type: fc.constant('c'), number, peer: peer, from: neighbourOf }),
  p: fc.record({ type: fc.constant('p'), number, answer: fc.boolean() }),
  t: fc.record({ type: fc.constant('t'), number, from: peer, to: peer }),
  d: fc.record({ type: fc.constant('d'), number, opener: fc.boolean(), data: bytes(0, 5000) }),
  w: fc.record({ type: fc.constant('w'), number, opener: fc.boolean(), bytes: rank }),
  e: fc.record({ type: fc.constant('e'), number, opener: fc.boolean(), code: text(32) }),
  i: fc.record({
    type: fc.constant('i'),
    number,
    parcel: text(64),
    items: fc.array(
      fc.record({
        name: text(255),
        folder: fc.boolean(),
        files: fc.nat({ max: 2 ** 40 }),
        bytes: fc.nat({ max: 2 ** 48 }),
        id,
      }),
      { maxLength: 256 },
    ),
  }),
  v: fc.record({
    type: fc.constant('v'),
    number,
    state: fc.integer({ min: 0, max: 4 }),
    bytes: safe,
    code: text(32),
    message: text(512),
  }),
  m: fc.record({ type: fc.constant('m'), number, peers }),
};

/** Every Buffer within a value as a plain Uint8Array, so that only the bytes are compared. */
export function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Uint8Array.from(value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
}
