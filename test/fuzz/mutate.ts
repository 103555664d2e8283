/** Spoiling what was valid: bytes, text and MessagePack. Each draws all it does from the chance that it is given. */
import type { Chance } from './chance.js';

const PIECES = [
  '/',
  '..',
  '.',
  '../',
  '/../',
  '//',
  '\\',
  '..\\',
  '\0',
  '%00',
  '%2e%2e%2f',
  'C:',
  'C:\\',
  '\\\\?\\',
  '~',
  'CON',
  'aux.txt',
  'a:b',
  ' ',
  '. ',
  '\u202e',
  '\u200f',
  '\u2028',
  '\u001b[2J',
  '\u0007',
  '\u007f',
  '\u0085',
  '\ufeff',
  '\ufffd',
  '\ud800',
  '\udc00',
  'e\u0301',
  'é',
  'ß',
  'İ',
  'ı',
  '\u200c',
  '*',
  '**',
  '**/',
  '/**',
  '***',
  '#',
  '#ab',
  ':',
  '::',
  '[',
  ']',
  '"',
  "'",
  '{',
  '}',
  '=',
  '\n',
  '\r',
  '\t',
  '__proto__',
  'constructor',
  'toString',
  '0',
  '-1',
  '1e999',
  '47748',
  '65536',
  '255.255.255.255',
  '[::1]',
  'fe80::1%eth0',
  '🗂',
  '.hearsay-',
  'HEARSA~1',
  '%',
  '$(x)',
  '`',
  ';',
  '|',
  ',',
];

/** A piece of text that has made trouble somewhere. */
export function piece(chance: Chance): string {
  return chance.one(PIECES);
}

/** Text of such pieces and ordinary characters. */
export function anyText(chance: Chance, most = 12): string {
  let text = '';
  for (let n = chance.below(most + 1); n > 0; n--) {
    text += chance.is(0.5) ? piece(chance) : 'abcXYZ09./-_ '[chance.below(13)];
  }
  return chance.is(0.02) ? text.padEnd(chance.between(1, 5000), chance.one(['a', 'a/', '*', 'é', '../', ' '])) : text;
}

/** Text with some of it changed. */
export function spoilText(text: string, chance: Chance): string {
  let out = text;
  for (let n = chance.between(1, 3); n > 0; n--) {
    const at = chance.below(out.length + 1);
    const end = Math.min(out.length, at + chance.below(4));
    const put = chance.is(0.3) ? '' : chance.is(0.7) ? piece(chance) : String.fromCharCode(chance.below(0x10000));
    out = out.slice(0, at) + put + out.slice(end);
  }
  return out;
}

/** Bytes with some of them changed; may be longer or shorter. */
export function spoilBytes(bytes: Uint8Array, chance: Chance, other: Uint8Array = bytes): Buffer {
  let out = Buffer.from(bytes);
  for (let n = chance.between(1, 4); n > 0; n--) {
    const at = chance.below(out.length + 1);
    const end = Math.min(out.length, at + 1 + chance.below(8));
    const cut = (put: Uint8Array, to = end) => {
      out = Buffer.concat([out.subarray(0, at), put, out.subarray(to)]);
    };
    switch (chance.below(8)) {
      case 0:
        if (at < out.length) out[at] ^= 1 << chance.below(8);
        break;
      case 1:
        if (at < out.length) out[at] = chance.below(256);
        break;
      case 2:
        out = out.subarray(0, at);
        break;
      case 3:
        cut(chance.bytes(chance.below(6)), at);
        break;
      case 4:
        cut(out.subarray(at, end), at);
        break;
      case 5:
        cut(Buffer.alloc(0));
        break;
      case 6: {
        const from = chance.below(other.length + 1);
        cut(other.subarray(from, from + chance.length(64)), at);
        break;
      }
      default:
        // Numbers that look like lengths.
        if (at + 4 <= out.length) out.writeUInt32BE(chance.int() >>> 0, at);
    }
  }
  return out;
}

/** A number, text, bytes or list that a field may not expect. */
function anything(chance: Chance, depth = 0): unknown {
  switch (chance.below(depth > 2 ? 9 : 12)) {
    case 0:
    case 1:
      return chance.int();
    case 2:
      return chance.one([
        Number.NaN,
        Number.POSITIVE_INFINITY,
        -0,
        0.5,
        -1.5,
        1e300,
        2 ** 53,
        2 ** 63,
        2 ** 64,
        -(2 ** 63),
      ]);
    case 3:
      return anyText(chance);
    case 4:
      return chance.bytes(chance.one([0, 1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 255, 256, 4096]));
    case 5:
      return null;
    case 6:
      return chance.is(0.5);
    case 7:
      return undefined;
    case 8:
      return 2n ** BigInt(chance.below(64)) * (chance.is(0.5) ? 1n : -1n);
    case 9:
      return Array.from({ length: chance.length(40) }, () => anything(chance, depth + 1));
    case 10: {
      let deep: unknown = chance.int();
      for (let n = chance.below(chance.is(0.1) ? 3000 : 12); n > 0; n--) deep = [deep];
      return deep;
    }
    default:
      return { a: anything(chance, depth + 1), __proto__: null };
  }
}

/** The items of a list, each spoilt by itself: for what must stay a list. */
export function spoilItems(values: readonly unknown[], chance: Chance, rate: number): unknown[] {
  const out = spoilValues(values, chance, rate);
  return Array.isArray(out) ? out : values.map((value) => spoilValues(value, chance, rate));
}

/** A tree of values with some of its nodes changed: type swapped, number at an edge, repeated, left out, nested. */
export function spoilValues(value: unknown, chance: Chance, rate: number): unknown {
  if (chance.is(rate)) {
    if (typeof value === 'number') return chance.is(0.7) ? chance.int() : anything(chance);
    if (typeof value === 'string') return chance.is(0.7) ? spoilText(value, chance) : anything(chance);
    if (value instanceof Uint8Array) return chance.is(0.7) ? spoilBytes(value, chance) : anything(chance);
    if (!Array.isArray(value) || chance.is(0.3)) return anything(chance);
  }
  if (!Array.isArray(value)) return value;
  const out = value.map((item) => spoilValues(item, chance, rate));
  if (!chance.is(rate) || out.length === 0) return out;
  const at = chance.below(out.length);
  const how = chance.below(4);
  if (how === 0) out.splice(at, 1);
  else if (how === 1) out.splice(at, 0, out[chance.below(out.length)]);
  else if (how === 2) chance.shuffle(out);
  else for (let n = chance.length(Array.isArray(out[at]) ? 200 : 3000); n > 0; n--) out.push(out[at]);
  return out;
}

/** Extension types: msgpackr's own (records, references, sets, errors, big integers), timestamps, and strangers. */
const EXTENSIONS = [0x72, 0x69, 0x70, 0x73, 0x65, 0x42, 0x78, 0x74, 0x62, 0xff, 0x00, 0x01, 0x40];

/**
 * Writes values as MessagePack, now and then not in the shortest way, with a length that is not true, or as a type that
 * no message has.
 * @param rate how often a node is written in such a way, of 1
 */
export function packBadly(value: unknown, chance: Chance, rate: number): Buffer {
  const out: Buffer[] = [];
  write(value, chance, rate, out);
  return Buffer.concat(out);
}

function uint(n: number, width: 1 | 2 | 4): Buffer {
  const out = Buffer.alloc(width);
  out.writeUIntBE(Math.max(0, Math.min(n, 2 ** (8 * width) - 1)), 0, width);
  return out;
}

/** A tag and a length, in one of the widths that a type has. */
function header(tags: readonly [number, number, number], n: number, chance: Chance, bad: boolean): Buffer {
  const lie = bad && chance.is(0.5) ? (chance.is(0.5) ? n + chance.between(-2, 2) : Math.abs(chance.int())) : n;
  const least = lie < 256 ? 0 : lie < 65_536 ? 1 : 2;
  const at = bad ? chance.between(least, 2) : least;
  return Buffer.concat([Buffer.from([tags[at]]), uint(lie, ([1, 2, 4] as const)[at])]);
}

function number(value: number | bigint, chance: Chance, bad: boolean): Buffer {
  const n = Number(value);
  if (!bad && Number.isInteger(n) && n >= 0 && n < 128) return Buffer.from([n]);
  if (!bad && Number.isInteger(n) && n >= 0 && n < 2 ** 32) return Buffer.concat([Buffer.from([0xce]), uint(n, 4)]);
  const out = Buffer.alloc(9);
  const way = typeof value === 'bigint' ? chance.between(1, 2) : Number.isSafeInteger(n) && bad ? chance.below(4) : 0;
  if (way === 1) {
    out[0] = 0xcf;
    out.writeBigUInt64BE(BigInt.asUintN(64, BigInt(value)), 1);
  } else if (way === 2) {
    out[0] = 0xd3;
    out.writeBigInt64BE(BigInt.asIntN(64, BigInt(value)), 1);
  } else if (way === 3) {
    out[0] = 0xca;
    out.writeFloatBE(n, 1);
    return out.subarray(0, 5);
  } else {
    out[0] = 0xcb;
    out.writeDoubleBE(n, 1);
  }
  return out;
}

function write(value: unknown, chance: Chance, rate: number, out: Buffer[]): void {
  const bad = chance.is(rate);
  if (bad && chance.is(0.2)) {
    out.push(stranger(chance));
    return;
  }
  if (typeof value === 'number' || typeof value === 'bigint') out.push(number(value, chance, bad));
  else if (typeof value === 'string') {
    const plain = Buffer.from(value);
    const bytes = bad && chance.is(0.4) ? damaged(plain, chance) : plain;
    if (bytes.length < 32 && !bad) out.push(Buffer.from([0xa0 + bytes.length]), bytes);
    else
      out.push(
        header(bad && chance.is(0.2) ? [0xc4, 0xc5, 0xc6] : [0xd9, 0xda, 0xdb], bytes.length, chance, bad),
        bytes,
      );
  } else if (value instanceof Uint8Array) {
    const tags = bad && chance.is(0.2) ? ([0xd9, 0xda, 0xdb] as const) : ([0xc4, 0xc5, 0xc6] as const);
    out.push(header(tags, value.length, chance, bad), Buffer.from(value));
  } else if (Array.isArray(value)) {
    if (value.length < 16 && !bad) out.push(Buffer.from([0x90 + value.length]));
    else out.push(header([0xdc, 0xdc, 0xdd], Math.max(value.length, bad ? 0 : 16), chance, bad));
    if (value.length < 16 || !bad || chance.is(0.9)) writeAll(value, chance, rate, out);
  } else if (typeof value === 'boolean') out.push(Buffer.from([value ? 0xc3 : 0xc2]));
  else if (value === null) out.push(Buffer.from([0xc0]));
  else if (value === undefined) out.push(Buffer.from([0xd4, 0, 0]));
  else {
    out.push(Buffer.from([0x81, 0xa1, 0x61]));
    write(1, chance, rate, out);
  }
}

/** Headers and values of one packed tree. */
const PARTS_MAX = 40_000;

function writeAll(values: unknown[], chance: Chance, rate: number, out: Buffer[]): void {
  // Deep nests are written in a loop: the writer must not be what overflows.
  let inner: unknown[] = values;
  while (inner.length === 1 && Array.isArray(inner[0]) && inner[0].length === 1) {
    out.push(Buffer.from([0x91]));
    inner = inner[0];
  }
  for (const item of inner) {
    // Longer than any message may be: more of it only takes time.
    if (out.length > PARTS_MAX) break;
    write(item, chance, rate, out);
  }
}

/** UTF-8 that is none: a continuation without a beginning, cut short, overlong, a surrogate, beyond Unicode. */
function damaged(bytes: Buffer, chance: Chance): Buffer {
  const wrong = chance.one([
    [0x80],
    [0xc3],
    [0xc0, 0xaf],
    [0xe0, 0x80, 0xaf],
    [0xed, 0xa0, 0x80],
    [0xf4, 0x90, 0x80, 0x80],
    [0xff],
    [0xf0, 0x9f],
  ]);
  const at = chance.below(bytes.length + 1);
  return Buffer.concat([bytes.subarray(0, at), Buffer.from(wrong), bytes.subarray(at)]);
}

/** Something that no message of ours holds. */
function stranger(chance: Chance): Buffer {
  const type = chance.one(EXTENSIONS);
  switch (chance.below(6)) {
    case 0:
      return Buffer.concat([Buffer.from([0xd4 + chance.below(5), type]), chance.bytes(chance.below(17))]);
    case 1: {
      const data = chance.bytes(chance.below(40));
      return Buffer.concat([Buffer.from([0xc7, data.length, type]), data]);
    }
    case 2:
      return Buffer.concat([Buffer.from([0xc9]), uint(Math.abs(chance.int()), 4), Buffer.from([type])]);
    case 3:
      return Buffer.from([0x80 + chance.below(16)]);
    case 4:
      return Buffer.concat([
        Buffer.from([chance.one([0xde, 0xdf, 0xdd, 0xdb, 0xc6])]),
        uint(Math.abs(chance.int()), 4),
      ]);
    default:
      return Buffer.from([chance.one([0xc0, 0xc1, 0xc2, 0xc3, 0xd4, 0xd8, 0xca, 0xcb, 0xcf, 0xd3, 0xff, 0xe0])]);
  }
}
