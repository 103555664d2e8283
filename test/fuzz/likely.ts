import { BLOCK } from '../../lib/limits.js';
import type { Message } from '../../lib/wire/table.js';
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
