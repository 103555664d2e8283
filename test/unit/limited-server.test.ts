/** The serving side under a limit: what it sends, what it reads, and what it tells those who wait. */
import test, { type ExecutionContext } from 'ava';
import { Limiter } from '../../lib/drive/limiter.js';
import type { Shelf } from '../../lib/drive/offered.js';
import { Server } from '../../lib/drive/serve.js';
import { HearsayError } from '../../lib/errors.js';
import { blake3 } from '../../lib/hash.js';
import { BLOCK } from '../../lib/limits.js';
import { contentId } from '../../lib/transfer/content.js';
import { until } from '../e2e/lan.js';
import { FarEnd } from './bounds-link.js';

/** So little that nothing more passes while a test runs, once a block has. */
const TINY = 1000;

/** Counts what passes. */
class Counted extends Limiter {
  passed = 0;
  waited = 0;
  /** What is called in place of who waits. */
  readonly #called = new Map<() => void, () => void>();

  override take(then: () => void, bytes: number): boolean {
    const called = () => {
      this.passed += bytes;
      then();
    };
    const may = super.take(called, bytes);
    if (may) this.passed += bytes;
    else {
      this.waited++;
      this.#called.set(then, called);
    }
    return may;
  }

  override leave(then: () => void): void {
    super.leave(this.#called.get(then) ?? then);
  }

  override give(bytes: number): void {
    this.passed -= bytes;
    super.give(bytes);
  }

  override owe(bytes: number): void {
    this.passed += bytes;
    super.owe(bytes);
  }
}

/** A server of one file of four blocks and of small ones of 10,000 bytes, and two who ask it. */
function served(t: ExecutionContext, rate: number) {
  const size = 4 * BLOCK - 5;
  const part = (chunk: number) => Buffer.alloc(chunk === 3 ? BLOCK - 5 : BLOCK, chunk);
  const manifest = Buffer.concat([0, 1, 2, 3].map((chunk) => blake3(part(chunk))));
  const id = contentId(size, manifest);
  const about = { path: 'f', mtime: 1, executable: false };
  let reads = 0;
  const shelf: Shelf = {
    open: async () => ({
      source: {
        ...about,
        size,
        id,
        readChunk: async (chunk) => {
          reads++;
          return part(chunk);
        },
        close: async () => {},
      },
      manifest,
      have: undefined,
      aside: false,
    }),
    readSmall: async (_, path) => {
      if (path === 'gone') throw new HearsayError('not-found', path);
      reads++;
      return { ...about, id: 'small', path, data: Buffer.alloc(10_000) };
    },
    recheck: async () => 'same',
    idOf: async () => id,
  };
  const limiter = new Counted(rate);
  const server = new Server(shelf, { begun: () => {}, completed: () => {}, failed: () => {} }, limiter);
  const [one, two] = [new FarEnd('10.0.0.2'), new FarEnd('10.0.0.3')];
  const end = (far: FarEnd) => {
    server.linkClosed(far.link, new HearsayError('cancelled', 'over'));
    far.link.close(new HearsayError('cancelled', 'over'));
  };
  t.teardown(() => {
    end(one);
    end(two);
    server.stop();
  });
  const open = async (far: FarEnd) => {
    server.handle(far.link, { type: 'G', number: 1, id, path: 'f', first: 0 });
    await until(() => far.of('M').length === 1, 'it is open');
  };
  return { server, limiter, one, two, end, open, size, reads: () => reads };
}

test('what passes the limit is what is sent, to the byte', async (t) => {
  const { server, limiter, one, open, size } = served(t, 1e9);
  await open(one);
  server.handle(one.link, { type: 'R', number: 1, block: 0, count: 4 });
  const names = Array.from({ length: 20 }, (_, i) => (i === 7 ? 'gone' : `small ${i}`));
  server.handle(one.link, { type: 'S', number: 2, files: names.map((path) => ({ id: null, path })) });
  await until(() => one.of('T').length === 4, 'the blocks have come');
  await until(() => one.of('U').flatMap(({ files }) => files).length === 20, 'the files have come');
  const sent = [...one.of('T'), ...one.of('U')].reduce((sum, { data }) => sum + data.length, 0);
  t.is(sent, size + 19 * 10_000);
  await until(() => limiter.passed === sent, 'it is all that was counted');
});

test('nothing is read without leave, and who waits is told so', async (t) => {
  const { server, limiter, one, two, open, reads } = served(t, TINY);
  await open(one);
  await open(two);
  server.handle(one.link, { type: 'R', number: 1, block: 0, count: 4 });
  await until(() => one.of('T').length === 1, 'the first has come');
  await until(() => limiter.waited > 0, 'the next waits');
  // It reads ahead while one goes out, as ever.
  const before = reads();
  server.handle(two.link, { type: 'S', number: 2, files: [{ id: null, path: 'small' }] });
  server.handle(two.link, { type: 'R', number: 1, block: 3, count: 1 });
  await until(() => limiter.waited > 1, 'the other waits too');
  const held = (far: FarEnd) => far.of('K').filter(({ chunks }) => chunks.length === 0);
  await until(() => held(one).length > 1 && held(two).length > 1, 'both are told, and again');
  t.deepEqual([...new Set(held(one).map(({ number }) => number))], [1]);
  t.deepEqual([...new Set(held(two).map(({ number }) => number))].sort(), [1, 2]);
  t.is(reads(), before);
  t.is(one.of('T').length, 1);
  limiter.rate = Number.POSITIVE_INFINITY;
  await until(() => one.of('T').length === 4 && two.of('T').length === 1 && two.of('U').length === 1, 'all has come');
});

test('who stops asking, or goes, while he waits holds up nobody', async (t) => {
  const { server, limiter, one, two, end, open } = served(t, TINY);
  await open(one);
  await open(two);
  server.handle(one.link, { type: 'R', number: 1, block: 0, count: 4 });
  await until(() => limiter.waited === 1, 'the second block waits');
  server.handle(two.link, { type: 'R', number: 1, block: 0, count: 2 });
  await until(() => limiter.waited === 2, 'the other waits');
  const passed = limiter.passed;
  t.is(limiter.waiting, 2);
  end(one);
  t.is(limiter.waiting, 1);
  server.handle(two.link, { type: 'X', number: 1 });
  limiter.rate = Number.POSITIVE_INFINITY;
  await until(() => limiter.passed === passed, 'nothing more was sent');
  await open2(server, two);
  server.handle(two.link, { type: 'R', number: 2, block: 2, count: 1 });
  await until(() => two.of('T').length === 1, 'what is asked for after that comes');
  t.is(two.of('T')[0].number, 2);
});

async function open2(server: Server, far: FarEnd): Promise<void> {
  server.handle(far.link, { type: 'G', number: 2, id: null, path: 'f', first: 0 });
  await until(() => far.of('M').length === 2, 'it is open again');
}
