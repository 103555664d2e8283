/** A source that offers a file, and answers wrongly now and then: what a fetch must bear. */
import { blake3 } from '../../lib/hash.js';
import { BLOCK, FILE_SIZE_MAX } from '../../lib/limits.js';
import type { Identity } from '../../lib/net/keys.js';
import type { Offer } from '../../lib/offer.js';
import { chunkCount, chunkSizeOf, contentId } from '../../lib/transfer/content.js';
import { encode } from '../../lib/wire/codec.js';
import type { Head } from '../../lib/wire/head.js';
import type { Message } from '../../lib/wire/table.js';
import { LETTERS } from '../unit/wire-messages.js';
import type { Chance } from './chance.js';
import { spoilBytes } from './mutate.js';
import { type Conversation, Speaker } from './speaker.js';
import { validBytes, wayOf } from './targets/wire.js';

const STREAMED = LETTERS.filter((letter) => wayOf(letter) === 'tcp');
/** Blocks that one request gets at most, whatever it asks for. */
const BLOCKS_MAX = 64;

/** Says a message, or now and then something else, or nothing. */
export function lie(talk: Conversation, message: Message, chance: Chance, seed: number, n: number): void {
  const bytes = encode(message);
  const way = chance.below(100);
  if (way < 85) talk.frame(bytes);
  else if (way < 89) talk.frame(spoilBytes(bytes, chance));
  else if (way < 94) talk.frame(validBytes(chance.one(STREAMED), chance, seed, n));
  else if (way < 98) talk.send(skewed(message, chance));
}

/** The same message with one of its numbers another, where that is still a message. */
function skewed(message: Message, chance: Chance): Message {
  const words: Record<string, unknown> = { ...message };
  const numbers = Object.keys(words).filter((key) => typeof words[key] === 'number' && key !== 'number');
  if (numbers.length > 0) words[chance.one(numbers)] = Math.abs(chance.int()) % 2 ** 31;
  return words as Message;
}

/**
 * A source of `lie/a.bin` with this content, of a small `lie/b`, and of `lie/huge`, which is said to be as large as may be.
 * @param say sends an answer, as it is or otherwise
 */
export function liar(
  identity: Identity,
  template: Head,
  data: Buffer,
  say: (talk: Conversation, message: Message) => void,
): Speaker {
  const { length: size } = data;
  const chunks = Array.from({ length: chunkCount(size) }, (_, i) => data.subarray(i * BLOCK, (i + 1) * BLOCK));
  const hashes = Buffer.concat(chunks.map((chunk) => blake3(chunk)));
  const id = contentId(size, hashes);
  const none = new Uint8Array(0);
  const source = new Speaker(identity, template);
  source.flags = 0;
  source.onMessage = (talk, message) => {
    if (message.type === 'F') {
      const offer: Offer = { path: 'lie/a.bin', kind: 'file', size, mtime: 1_700_000_000_000, id, version: 1 };
      const small: Offer = { ...offer, path: 'lie/b', size: 5, id: null, version: 2 };
      const huge: Offer = { ...offer, path: 'lie/huge', size: FILE_SIZE_MAX, version: 3 };
      say(talk, { type: 'I', number: message.number, offers: [offer, small, huge], last: true, aside: false });
    } else if (message.type === 'G') {
      const rest = { mtime: 1, executable: false, chunk: chunkSizeOf(size), first: 0, have: none };
      say(talk, { type: 'M', number: message.number, id, size, hashes, ...rest });
    } else if (message.type === 'R') {
      const { number, block: first, count } = message;
      if (count === 0) say(talk, { type: 'E', number, code: '', id, message: '' });
      for (let block = first; block < first + Math.min(count, BLOCKS_MAX); block++) {
        const part = data.subarray(block * BLOCK, (block + 1) * BLOCK);
        say(talk, { type: 'T', number, block, hash: none, data: part });
      }
    } else if (message.type === 'S') {
      const files = message.files.map((_, place) => ({ place, code: '', id, size: 5, mtime: 1, executable: false }));
      say(talk, { type: 'U', number: message.number, files, data: data.subarray(0, 5 * files.length) });
    }
  };
  return source;
}
