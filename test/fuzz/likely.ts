import { BLOCK } from '../../lib/limits.js';
import type { Message, Neighbour } from '../../lib/wire/table.js';
import type { Chance } from './chance.js';

/** Something that is shared, as far as requests for it go. */
export interface Wanted {
  path: string;
  id: string;
  size: number;
}

const QUESTIONS = [
  '',
  '*',
  '**',
  'share/',
  'shared/',
  'small',
  '#ab',
  '#',
  'file',
  'a:b',
  '**'.repeat(600),
  'a '.repeat(300),
];

/**
 * A request that means something to those files, or nearly: of few numbers, so that one concerns what another began.
 * @param writers peers whose offers may be asked for
 */
export function likely(chance: Chance, files: readonly Wanted[], writers: readonly string[]): Message {
  const number = chance.below(4);
  const { path, id, size } = chance.one(files);
  const block = chance.below(Math.ceil(size / BLOCK) + 1);
  const some = (most: number, below: number) => Array.from({ length: chance.below(most) }, () => chance.below(below));
  switch (chance.below(10)) {
    case 0:
    case 1:
      return { type: 'G', number, id: chance.is(0.5) ? id : null, path, first: chance.below(6) };
    case 2:
    case 3:
      return { type: 'R', number, block, count: chance.below(5) };
    case 4:
      return { type: 'A', number, done: some(5, 6) };
    case 5:
      return { type: 'B', number, chunk: block };
    case 6:
      return { type: 'X', number };
    case 7: {
      const asked = Array.from({ length: chance.length(128) }, () =>
        chance.is(0.9) ? chance.one(files).path : 'gone',
      );
      return { type: 'S', number, files: asked.map((one) => ({ id: null, path: one })) };
    }
    case 8:
      return { type: 'F', number, kind: chance.below(5), text: chance.is(0.7) ? chance.one(QUESTIONS) : path };
    default: {
      const buckets = chance.bytes(chance.one([0, 1, 4096]));
      const [epoch, version] = [chance.below(3), chance.below(400)];
      return { type: 'P', number, writer: chance.one(writers), epoch, version, buckets };
    }
  }
}

/** The words of one who speaks. */
type Words = Pick<Neighbour, 'head' | 'sig'>;

const ADDRESSES = ['127.0.0.1:9', '10.255.255.255:9', '[::1]:9', '8.8.8.8:53', 'host:1', '[fe80::1%lo]:9', ''];

/**
 * Something that means something to a tracker, or nearly.
 * @param peers whom to ask for
 * @param words of the one who says it
 */
export function toTracker(chance: Chance, files: readonly Wanted[], peers: readonly string[], words: Words): Message {
  const number = chance.below(6);
  const { path, id } = chance.one(files);
  const some = () => Array.from({ length: chance.below(4) }, () => chance.one(ADDRESSES));
  switch (chance.below(9)) {
    case 0:
    case 1:
      return { type: 'J', number, addresses: some() };
    case 2:
    case 3:
    case 4: {
      const text = chance.one([path, id, chance.one(peers), chance.one(QUESTIONS), 'fuzz']);
      return { type: 'l', number, kind: chance.below(9), text, follow: chance.is(0.4) };
    }
    case 5: {
      const bits = chance.bytes(chance.one([0, 1, 2, 100, 4096]));
      return { type: 'h', id, chunks: chance.one([0, 1, 8, 9, 1 << 20]), at: chance.one([0, 0, 1, 131_072]), bits };
    }
    case 6:
      return { type: 'c', number, peer: chance.one(peers), from: { ...words, addresses: some() } };
    case 7:
      return { type: 'p', number, answer: chance.is(0.5) };
    default:
      return { type: 'X', number };
  }
}
