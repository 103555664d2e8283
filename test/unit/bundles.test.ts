/** How small files are bundled to be sent, and what a batch makes of many that came. */
import test, { type ExecutionContext } from 'ava';
import type { Shelf } from '../../lib/drive/offered.js';
import { Server } from '../../lib/drive/serve.js';
import { HearsayError } from '../../lib/errors.js';
import { BLOCK, SMALL_BATCH_MAX } from '../../lib/limits.js';
import { Batch, type BatchEffect } from '../../lib/transfer/batch.js';
import { until } from '../e2e/lan.js';
import { FarEnd } from './bounds-link.js';

/** Bytes of a file by its name, `SIZE-NUMBER`. */
function contentOf(path: string): Buffer {
  const [size, number] = path.split('-').map(Number);
  return Buffer.alloc(size, number);
}

/** Who asks a server of small files. @param lends whether it reads into the buffer that it is given */
async function bundles(t: ExecutionContext, names: string[], lends: boolean) {
  const readSmall: Shelf['readSmall'] = async (_, path, _peer, into) => {
    if (path === 'gone') throw new HearsayError('not-found', path);
    const content = contentOf(path);
    const fits = lends && into !== undefined && into.length >= content.length;
    const data = fits ? into.subarray(0, content.length) : content;
    if (fits) content.copy(data);
    return { path, id: 'ab'.repeat(32), mtime: 1, executable: false, data };
  };
  const none = async () => {
    throw new HearsayError('not-found', 'none');
  };
  const shelf: Shelf = { open: none, readSmall, recheck: async () => 'same', idOf: none };
  const server = new Server(shelf, { begun: () => {}, completed: () => {}, failed: () => {} });
  const far = new FarEnd('10.0.0.2');
  t.teardown(() => {
    const over = new HearsayError('cancelled', 'over');
    server.linkClosed(far.link, over);
    far.link.close(over);
    server.stop();
  });
  server.handle(far.link, { type: 'S', number: 1, files: names.map((path) => ({ id: null, path })) });
  const came = () => far.of('U').reduce((sum, { files }) => sum + files.length, 0);
  await until(() => came() === names.length, 'all have come');
  for (const { files, data } of far.of('U')) {
    t.true(data.length <= BLOCK);
    let at = 0;
    for (const { place, size, code } of files) {
      if (code === '') t.deepEqual(Buffer.from(data.subarray(at, at + size)), contentOf(names[place]), names[place]);
      at += size;
    }
    t.is(at, data.length);
  }
  return far.of('U').map(({ files }) => files.map(({ place }) => place));
}

const upTo = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

for (const lends of [true, false]) {
  const how = lends ? 'read into the bundle' : 'read elsewhere';
  test(`a bundle is filled to a block, and what does not fit goes with the next; ${how}`, async (t) => {
    const small = upTo(0, SMALL_BATCH_MAX).map((i) => `4096-${i}`);
    t.deepEqual(await bundles(t, small, lends), [upTo(0, 60), upTo(60, 120), upTo(120, 128)]);
    const mixed = ['100000-1', '100000-2', 'gone', '100000-3', '0-4', `${BLOCK}-5`, '7-6'];
    const frames = await bundles(t, mixed, lends);
    t.deepEqual(frames, [[0, 1, 2], [3], [4, 5], [6]]);
  });
}

test('of many that came together each counts, and the next are asked for once', (t) => {
  const batch = new Batch(Array.from({ length: 1000 }, () => ({ size: 4096, peers: ['a', 'b'] })));
  const asked: number[] = [];
  const note = (effects: BatchEffect[]) => {
    for (const effect of effects) if (effect.kind === 'request') asked.push(...effect.files);
    return effects;
  };
  note(batch.handle({ kind: 'source', peer: 'a' }, 0));
  t.is(asked.length, 3 * SMALL_BATCH_MAX);
  const first = asked.slice(0, SMALL_BATCH_MAX);
  const more = note(batch.handle({ kind: 'came', files: first, peer: 'a' }, 5));
  t.is(more.filter(({ kind }) => kind === 'request').length, 1);
  t.is(batch.left, 1000 - SMALL_BATCH_MAX);
  t.false(first.some((file) => batch.expects(file, 'a')));
  // Again, or from another: it is here already.
  batch.handle({ kind: 'came', files: first, peer: 'b' }, 6);
  t.is(batch.left, 1000 - SMALL_BATCH_MAX);
  for (let done = SMALL_BATCH_MAX; done < 1000; done += SMALL_BATCH_MAX) {
    const last = note(batch.handle({ kind: 'came', files: asked.slice(done, done + SMALL_BATCH_MAX), peer: 'a' }, 7));
    t.is(
      last.some(({ kind }) => kind === 'complete'),
      batch.left === 0,
    );
  }
  t.is(batch.left, 0);
  t.is(new Set(asked).size, 1000);
});
