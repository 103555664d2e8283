import { Packr } from 'msgpackr';
import { asHearsayError, HearsayError } from '../errors.js';
import { DEPTH_MAX } from '../limits.js';
import type { Field } from './field.js';
import { scan } from './scan.js';
import { isLetter, type Letter, type Message, type MessageOf, TABLE } from './table.js';

// No records, no cyclic references: plain MessagePack, readable by any implementation.
const packr = new Packr({ useRecords: false, structuredClone: false, int64AsType: 'number' });

// Each type's fields by name in their order, taken out of the table once.
const FIELDS = new Map<Letter, [string, Field<unknown>][]>(
  Object.entries(TABLE).map(([letter, { fields }]) => [letter as Letter, Object.entries(fields)]),
);

/** Packs any plain value (arrays, numbers, text, bytes) as MessagePack; for parts that are signed as packed. */
export function pack(value: unknown): Buffer {
  return packr.pack(value);
}

/**
 * Unpacks a part that was packed by itself.
 * @throws HearsayError `bad-message`
 */
export function unpack(data: Uint8Array, items: number): unknown {
  scan(data, items, DEPTH_MAX);
  return unpackScanned(data);
}

function unpackScanned(data: Uint8Array): unknown {
  try {
    return packr.unpack(data);
  } catch (thrown) {
    throw asHearsayError(thrown, 'bad-message');
  }
}

/** A message as MessagePack: an array of its letter and its fields in the table's order. */
export function encode(message: Message): Buffer {
  const values: unknown[] = [message.type];
  const fields = FIELDS.get(message.type)!;
  for (const [key, field] of fields) values.push(field.write((message as unknown as Record<string, unknown>)[key]));
  return packr.pack(values);
}

/**
 * A message up to its payload, which the caller sends behind it without copying it.
 * @param message of a type whose last field is a payload; its own `data` is left out
 * @param length bytes of the payload
 */
export function encodeAhead(message: MessageOf<'T'> | MessageOf<'U'> | MessageOf<'d'>, length: number): Buffer {
  const values: unknown[] = [message.type];
  const fields = FIELDS.get(message.type)!;
  for (let i = 0; i < fields.length - 1; i++) {
    const [key, field] = fields[i];
    values.push(field.write((message as unknown as Record<string, unknown>)[key]));
  }
  const packed = packr.pack(values);
  const ahead = Buffer.allocUnsafe(packed.length + 5);
  packed.copy(ahead);
  // One element more than was packed: the payload, as `bin 32`.
  ahead[0]++;
  ahead[packed.length] = 0xc6;
  ahead.writeUInt32BE(length, packed.length + 1);
  return ahead;
}

/**
 * The letter of a packed message, read from its first bytes alone, or undefined where more bytes are needed.
 * @throws HearsayError `bad-message` where these bytes begin no message
 */
export function peekLetter(data: Uint8Array): Letter | undefined {
  if (data.length < 1) return undefined;
  // fixarray, or array 16 (no message of ours has more than 15 fields), then a string of one character.
  if (data[0] < 0x90 || data[0] > 0x9f) throw new HearsayError('bad-message', 'not an array');
  if (data.length < 3) return undefined;
  const letter = String.fromCharCode(data[2]);
  if (data[1] !== 0xa1 || !isLetter(letter)) throw new HearsayError('bad-message', 'a message of no known type');
  return letter;
}

/**
 * Reads a packed message: size, pre-scan, unpack, then the type's own fields.
 * Fields of type payload are slices of `data`; all else is copied.
 * @param over by which way it came
 * @throws HearsayError `bad-message`
 */
export function decode(data: Uint8Array, over: 'udp' | 'tcp'): Message {
  const letter = peekLetter(data);
  if (!letter) throw new HearsayError('bad-message', 'truncated');
  const type = TABLE[letter];
  if (type.over !== 'both' && type.over !== over) {
    throw new HearsayError('bad-message', `${type.name} does not travel over ${over}`);
  }
  if (data.length > type.max) throw new HearsayError('bad-message', `${type.name} of ${data.length} bytes`);
  scan(data, type.items, DEPTH_MAX);
  const values = unpackScanned(data) as unknown[];
  const fields = FIELDS.get(letter)!;
  if (values.length !== fields.length + 1) {
    throw new HearsayError('bad-message', `${type.name} with ${values.length - 1} fields`);
  }
  const message: Record<string, unknown> = { type: letter };
  for (let i = 0; i < fields.length; i++) {
    const [key, field] = fields[i];
    const value = field.read(values[i + 1]);
    if (value === undefined) throw new HearsayError('bad-message', `${type.name}: ${key} is not ${field.doc}`);
    if (key !== 'magic') message[key] = value;
  }
  return message as unknown as Message;
}
