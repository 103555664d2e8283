/** Every decoder of the wire: the messages one by one, the pre-scan, the frames, the head. */
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { seeded } from '../../../lib/clock.js';
import { Gossip } from '../../../lib/gossip/gossip.js';
import { DEPTH_MAX, FRAME_MAX } from '../../../lib/limits.js';
import { decode, encode, pack, peekLetter, unpack } from '../../../lib/wire/codec.js';
import { FrameDecoder, framePrefix } from '../../../lib/wire/frame.js';
import { packHead, readHead } from '../../../lib/wire/head.js';
import { scan } from '../../../lib/wire/scan.js';
import { type Letter, type Message, TABLE } from '../../../lib/wire/table.js';
import { fakeSigner } from '../../sim/signer.js';
import { ANY, ID, KEY, LETTERS, plain } from '../../unit/wire-messages.js';
import { Chance } from '../chance.js';
import { packBadly, spoilBytes, spoilItems, spoilText, spoilValues } from '../mutate.js';
import { expected, Finding, holds, type Reach, type Target, target } from '../target.js';

/** Valid messages drawn at once, and cases that share them. */
const POOL = 24;
const POOL_CASES = 4000;

interface Pool {
  key: string;
  messages: Message[];
  packed: Buffer[];
}
const pools = new Map<Letter, Pool>();

/** Valid messages of a type: the same for the same seed and number. */
function pool(letter: Letter, seed: number, n: number): Pool {
  const round = Math.floor(n / POOL_CASES);
  const key = `${seed} ${round}`;
  let known = pools.get(letter);
  if (known?.key !== key) {
    const from = new Chance(seed, 'pool', letter, round).seed() | 0;
    const messages: Message[] = fc.sample<Message>(ANY[letter], { seed: from, numRuns: POOL });
    known = { key, messages, packed: messages.map((message) => encode(message)) };
    pools.set(letter, known);
  }
  return known;
}

/** A valid message of a type, packed. */
export function validBytes(letter: Letter, chance: Chance, seed: number, n: number): Buffer {
  return chance.one(pool(letter, seed, n).packed);
}

/** A valid message of a type. */
export function validMessage(letter: Letter, chance: Chance, seed: number, n: number): Message {
  return chance.one(pool(letter, seed, n).messages);
}

/** A message of a type that is spoilt in one of the ways, or not at all now and then. */
export function spoiltBytes(letter: Letter, chance: Chance, seed: number, n: number): Buffer {
  const packed = validBytes(letter, chance, seed, n);
  if (chance.is(0.05)) return packed;
  if (chance.is(0.4)) return spoilBytes(packed, chance, validBytes(chance.one(LETTERS), chance, seed, n));
  const values = unpack(packed, TABLE[letter].items) as unknown[];
  const rate = chance.one([0, 0.02, 0.1, 0.4]);
  const [first, ...fields] = values;
  // The letter stays as it is mostly, so that it is the type's own validator that is reached.
  const spoilt = [first, ...spoilItems(fields, chance, rate)];
  const bytes = packBadly(
    chance.is(0.05) ? spoilValues(values, chance, 0.3) : spoilt,
    chance,
    rate === 0 ? 0.1 : chance.one([0, 0.03]),
  );
  return chance.is(0.1) ? spoilBytes(bytes, chance) : bytes;
}

/** By which way a type travels. */
export function wayOf(letter: Letter): 'udp' | 'tcp' {
  return TABLE[letter].over === 'udp' ? 'udp' : 'tcp';
}

/** Decodes, and sees to it that what was read is written and read as the same again. */
export function checkDecode(bytes: Uint8Array, over: 'udp' | 'tcp', reach: Reach, as: string): Message | undefined {
  const message = reach.try(`decode ${as}`, () => decode(bytes, over), 'bad-message');
  if (!message) return undefined;
  const again = encode(message);
  // Damaged UTF-8 is read as marks of three bytes each, so the same may be longer.
  if (again.length > TABLE[message.type].max && again.length > bytes.length) return message;
  let read: Message;
  try {
    read = decode(again, over);
  } catch (thrown) {
    throw new Finding(`${message.type} cannot be read again after it was written`, { cause: thrown });
  }
  holds(isDeepStrictEqual(plain(read), plain(message)), `${message.type} is another after it was written and read`);
  return message;
}

const messages = LETTERS.map((letter) =>
  target<Uint8Array>({
    name: `message ${letter}`,
    make: (chance, seed, n) => spoiltBytes(letter, chance, seed, n),
    run: (bytes, reach) => {
      checkDecode(bytes, wayOf(letter), reach, `${letter} ${TABLE[letter].name}`);
    },
  }),
);

/** Anything: what the scan lets pass must unpack, and hold no more than was allowed. */
const scanned = target<{ bytes: Uint8Array; items: number }>({
  name: 'scan',
  weight: 3,
  make(chance, seed, n) {
    const bytes = chance.is(0.3)
      ? chance.bytes(chance.length(200))
      : packBadly(spoilValues([[1, 'a', [chance.bytes(3)]], []], chance, 0.5), chance, 0.2);
    return {
      bytes: chance.is(0.2) ? spoiltBytes(chance.one(LETTERS), chance, seed, n) : bytes,
      items: chance.below(200),
    };
  },
  run({ bytes, items }, reach) {
    if (reach.try('scan', () => scan(bytes, items, DEPTH_MAX) ?? true, 'bad-message') === undefined) return;
    let count = 0;
    const walk = (value: unknown, depth: number): void => {
      count++;
      holds(depth <= DEPTH_MAX + 1, `a depth of ${depth} passed the scan`);
      if (Array.isArray(value)) for (const item of value) walk(item, depth + 1);
      else
        holds(
          value === null || typeof value !== 'object' || value instanceof Uint8Array,
          `${String(value)} passed the scan`,
        );
    };
    walk(unpack(bytes, items), 0);
    holds(count <= items, `${count} items passed a scan for ${items}`);
  },
});

/** A stream of frames in any cut: the same frames whatever the cut, or an error, and never more kept than one frame. */
const framed = target<{ stream: Uint8Array; cuts: number[] }>({
  name: 'frames',
  weight: 3,
  make(chance, seed, n) {
    const parts: Buffer[] = [];
    for (let i = chance.between(1, 5); i > 0; i--) {
      const letter = chance.one(LETTERS);
      const body = chance.is(0.6) ? validBytes(letter, chance, seed, n) : spoiltBytes(letter, chance, seed, n);
      const length = chance.is(0.1) ? Math.abs(chance.int()) % 2 ** 32 : body.length;
      parts.push(framePrefix(length), body);
    }
    const stream = chance.is(0.2) ? spoilBytes(Buffer.concat(parts), chance) : Buffer.concat(parts);
    return { stream, cuts: Array.from({ length: chance.length(40) }, () => chance.below(stream.length + 1)) };
  },
  run({ stream, cuts }, reach) {
    const read = (ends: number[]): { frames: string[]; code: string } => {
      const frames: string[] = [];
      const decoder = new FrameDecoder((frame) => frames.push(frame.toString('latin1')));
      let at = 0;
      try {
        for (const end of [...ends, stream.length]) {
          // Each piece in memory of its own, as a socket gives it.
          decoder.push(Buffer.from(stream.subarray(at, end)));
          holds(decoder.unfinished <= FRAME_MAX + 4, `${decoder.unfinished} bytes kept of one frame`);
          at = end;
        }
      } catch (thrown) {
        return { frames, code: expected(thrown, 'bad-message') };
      }
      return { frames, code: '' };
    };
    const sorted = [...cuts].sort((a, b) => a - b);
    const cut = read(sorted);
    holds(isDeepStrictEqual(cut, read([])), 'other frames by another cut');
    reach.note('frames', cut.code === '' ? 'ok' : `refused ${cut.code}`);
    reach.note('frame', 'whole', cut.frames.length);
  },
});

/** The fields of a head as a core makes it. */
const HEAD = (() => {
  const settings = { id: ID, key: KEY, name: 'a name', port: 47_748, epoch: 1, passive: false, tracker: false };
  const core = new Gossip(settings, fakeSigner(KEY), seeded(1), () => new Uint8Array(16));
  return unpack(core.head().head, 32) as unknown[];
})();

const head = target<Uint8Array>({
  name: 'head',
  weight: 2,
  make(chance) {
    const spoilt = spoilItems(HEAD, chance, chance.one([0, 0.05, 0.2]));
    if (chance.is(0.3)) spoilt[2] = spoilText('name', chance);
    return chance.is(0.2) ? spoilBytes(pack(HEAD), chance) : packBadly(spoilt, chance, chance.one([0, 0.05]));
  },
  run(bytes, reach) {
    const read = reach.try('head', () => readHead(bytes), 'bad-message');
    if (read)
      holds(isDeepStrictEqual(plain(readHead(packHead(read))), plain(read)), 'another head after it was written');
  },
});

const peek = target<Uint8Array>({
  name: 'peek',
  make: (chance) =>
    chance.is(0.5) ? chance.bytes(chance.below(5)) : Buffer.from([0x90 + chance.below(16), 0xa1, chance.below(256)]),
  run(bytes, reach) {
    reach.try('peek', () => peekLetter(bytes) ?? true, 'bad-message');
  },
});

export const WIRE: Target[] = [...messages, scanned, framed, head, peek];
