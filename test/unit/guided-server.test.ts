/** The serving side where several receive one content: whom it tells to ask for what, who is told of new chunks, and how much is under way. */
import test, { type ExecutionContext } from 'ava';
import { Bits } from '../../lib/bits.js';
import type { Found, Shelf } from '../../lib/drive/offered.js';
import { Server } from '../../lib/drive/serve.js';
import { HearsayError } from '../../lib/errors.js';
import { blake3 } from '../../lib/hash.js';
import { BLOCK } from '../../lib/limits.js';
import { contentId } from '../../lib/transfer/content.js';
import { until } from '../e2e/lan.js';
import { FarEnd } from './bounds-link.js';

const CHUNKS = 32;

/** A server of one file of as many blocks as chunks, and some who ask it. */
function served(t: ExecutionContext, more: Partial<Found> = {}, receivers = 2) {
  const part = Buffer.alloc(BLOCK, 1);
  const manifest = Buffer.concat(Array.from({ length: CHUNKS }, () => blake3(part)));
  const id = contentId(CHUNKS * BLOCK, manifest);
  const about = { path: 'f', size: CHUNKS * BLOCK, id, mtime: 1, executable: false };
  const shelf: Shelf = {
    open: async () => ({
      source: { ...about, readChunk: async () => part, close: async () => {} },
      manifest,
      have: undefined,
      ...more,
    }),
    readSmall: async (_, path) => {
      throw new HearsayError('not-found', path);
    },
    recheck: async () => 'same',
    idOf: async () => id,
  };
  const server = new Server(shelf, { begun: () => {}, completed: () => {}, failed: () => {} });
  const all = Array.from({ length: receivers }, (_, i) => new FarEnd(`10.0.0.${i + 2}`));
  const end = (far: FarEnd) => {
    server.linkClosed(far.link, new HearsayError('cancelled', 'over'));
    far.link.close(new HearsayError('cancelled', 'over'));
  };
  t.teardown(() => {
    for (const far of all) end(far);
    server.stop();
  });
  const open = async (far: FarEnd) => {
    server.handle(far.link, { type: 'G', number: 1, id, path: 'f', first: 0 });
    await until(() => far.of('M').length === 1, 'it is open');
  };
  return { server, id, all, end, open };
}

const promised = (far: FarEnd) => far.of('g').flatMap(({ chunks }) => chunks);

test('two receivers are told of different chunks, the second before it can ask; one alone asks for what it likes', async (t) => {
  const { server, all, open, end } = served(t);
  const [one, two] = all;
  await open(one);
  t.deepEqual(one.of('g'), []);
  server.handle(one.link, { type: 'R', number: 1, block: 5, count: 1 });
  await until(() => one.of('T').length === 1, 'it has come');
  await open(two);
  await until(() => one.of('g').length > 0, 'the first is told as well');
  t.true(two.got.findIndex(({ type }) => type === 'g') < two.got.findIndex(({ type }) => type === 'M'));
  const both = [...promised(one), ...promised(two)];
  t.true(promised(one).length > 0 && promised(two).length > 0);
  t.is(new Set(both).size, both.length);
  t.false(both.includes(5), 'what is on its way to one is not promised to another');
  const before = promised(one).length;
  server.handle(one.link, { type: 's', number: 1, chunks: promised(one) });
  await until(() => promised(one).length > before, 'others in the place of those it has');
  end(two);
  await until(() => one.of('g').at(-1)?.free === true, 'alone again it is free');
});

test('as chunks arrive, others are promised, until all are out', async (t) => {
  const { server, all, open } = served(t, {}, 3);
  for (const far of all) await open(far);
  const asked = all.map(() => new Set<number>());
  const isFree = (far: FarEnd) => far.of('g').at(-1)?.free === true;
  const step = () => {
    for (const [i, far] of all.entries()) {
      for (const chunk of promised(far)) {
        if (asked[i].has(chunk)) continue;
        asked[i].add(chunk);
        server.handle(far.link, { type: 'R', number: 1, block: chunk, count: 1 });
      }
      const done = far.of('T').map(({ block }) => block);
      if (done.length > 0) server.handle(far.link, { type: 'A', number: 1, done });
    }
    return all.every(isFree);
  };
  await until(step, 'everyone is free');
  t.is(
    asked.reduce((sum, { size }) => sum + size, 0),
    CHUNKS,
    'each chunk left once',
  );
});

test('what is received here is told to those who have it not, and nobody is guided', async (t) => {
  const have = new Bits(CHUNKS);
  have.add(3);
  const known = new Map<string, number>();
  const { server, id, all, open } = served(t, { have, hasFellow: (peer, chunk) => known.get(peer) === chunk });
  const [one, two] = all;
  await open(one);
  await open(two);
  known.set(two.link.peer, 9);
  server.tellHave(id, [4, 9]);
  await until(() => one.of('K').length === 1 && two.of('K').length === 1, 'both are told');
  // Their peer ids are the same here, as is what they told.
  t.deepEqual(two.of('K')[0].chunks, [4]);
  server.tellHave(id, [9]);
  server.tellHave(id, [10]);
  await until(() => two.of('K').length === 2, 'of the next');
  t.deepEqual(two.of('K')[1].chunks, [10]);
  t.deepEqual([...one.of('g'), ...two.of('g')], []);
});

test('to several no more blocks are under way than the way out wants; one who stands still holds up nobody', async (t) => {
  const { server, all, open } = served(t, {}, 4);
  for (const far of all) await open(far);
  for (const far of all) server.handle(far.link, { type: 'R', number: 1, block: 0, count: 16 });
  const sent = () => all.map((far) => far.of('T').length);
  await until(() => sent().some((n) => n > 0), 'the first has come');
  await until(() => sent().every((n) => n > 0), 'nobody acknowledges anything, and each has its turn');
  // Acknowledged at once, the rest follows.
  await until(() => {
    for (const far of all) {
      const done = far.of('T').map(({ block }) => block);
      if (done.length > 0) server.handle(far.link, { type: 'A', number: 1, done });
    }
    return sent().every((n) => n === 16);
  }, 'all has come');
  t.deepEqual(sent(), [16, 16, 16, 16]);
});
