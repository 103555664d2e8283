/** Bounds of the drivers, each reached: what happens there, and that the others stay served. */
import { setTimeout as delay } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { Buffers } from '../../lib/buffers.js';
import { Answerer } from '../../lib/drive/answerer.js';
import { ASK, Asker } from '../../lib/drive/asker.js';
import { ChunkCache } from '../../lib/drive/cache.js';
import { Changes, type IndexChange, squeezed } from '../../lib/drive/changes.js';
import type { Found, Offered, Shelf } from '../../lib/drive/offered.js';
import { Paging } from '../../lib/drive/paging.js';
import { Requests } from '../../lib/drive/requests.js';
import { Server } from '../../lib/drive/serve.js';
import { Stream } from '../../lib/drive/stream.js';
import { Swarms } from '../../lib/drive/swarm.js';
import { Tracing } from '../../lib/drive/tracing.js';
import { Warnings } from '../../lib/drive/warnings.js';
import { HearsayError } from '../../lib/errors.js';
import { Gossip } from '../../lib/gossip/gossip.js';
import { blake3 } from '../../lib/hash.js';
import { Latest } from '../../lib/latest.js';
import {
  ANSWER_MOST_MS,
  ANSWERS_AT_ONCE,
  ANSWERS_PER_ADDRESS,
  BEHIND_MAX,
  BLOCK,
  CACHE_BYTES,
  HASHED_MAX,
  HITS_MAX,
  LOOKED_MAX,
  MANIFEST_PAGE,
  NAMES_MAX,
  OFFERS_PER_PAGE,
  READS_AT_ONCE,
  REQUESTS_PER_CONNECTION_MAX,
  SMALL_BATCH_MAX,
  SPARE_BYTES,
  SWARM_TOLD_MAX,
  TRACED_MAX,
  TRANSFERS_PER_CONNECTION_MAX,
  WARNINGS_TOLD_MAX,
  WARNINGS_TOLD_MS,
} from '../../lib/limits.js';
import type { Offer, PeerOffer } from '../../lib/offer.js';
import { contentId } from '../../lib/transfer/content.js';
import type { Message, MessageOf } from '../../lib/wire/table.js';
import { files } from '../sim/share.js';
import { FarEnd, signedHead, turns } from './bounds-link.js';

const next = () => new Promise((resolve) => setImmediate(resolve));

function page(number: number, last: boolean, count = 1): MessageOf<'I'> {
  const offers: Offer[] = Array.from({ length: count }, (_, i) => {
    return { path: `f${i}`, kind: 'file', size: 1, mtime: 1, id: null, version: i + 1 };
  });
  return { type: 'I', number, offers, last, aside: false };
}

function* pages(number: number, count: number): Generator<Message> {
  for (let i = 1; i <= count; i++) yield page(number, i === count);
}

test('a map of the latest keeps so many', (t) => {
  const map = new Latest<number, number>(HASHED_MAX);
  for (let i = 0; i < HASHED_MAX + 10; i++) map.set(i, i);
  t.is(map.size, HASHED_MAX);
  t.deepEqual([map.get(9), map.get(10), map.get(HASHED_MAX + 9)], [undefined, 10, HASHED_MAX + 9]);
  map.set(10, 0).set(-1, 0);
  t.true(map.has(10), 'set again, it is among the latest');
});

test('long answers: one page a turn of the loop, addresses in turn, so many of one and in all', async (t) => {
  const paging = new Paging();
  const made: string[] = [];
  const under = new Map<string, number>();
  const most = new Map<string, number>();
  const count = (who: string, by: number) => {
    under.set(who, (under.get(who) ?? 0) + by);
    most.set(who, Math.max(most.get(who) ?? 0, under.get(who) ?? 0));
  };
  const ends: Promise<void>[] = [];
  const ask = (far: FarEnd, who: string, many: number) => {
    const begin = function* () {
      for (const each of [who, 'all']) count(each, 1);
      for (const message of pages(1, many)) {
        made.push(who);
        yield message;
      }
      for (const each of [who, 'all']) count(each, -1);
    };
    ends.push(paging.send(far.link, begin));
  };
  // Twenty connections of one address, ten questions each; then one of another.
  const greedy = Array.from({ length: 20 }, () => new FarEnd('10.0.0.66'));
  for (const far of greedy) for (let i = 0; i < 10; i++) ask(far, 'greedy', 6);
  const modest = new FarEnd('10.0.0.2');
  ask(modest, 'modest', 3);
  t.is(paging.size, 201);
  await next();
  t.true(made.length <= 1);
  await turns(() => modest.of('I').length === 3);
  t.true(made.length <= 10, `${made}`);
  // Of many addresses, each with some questions.
  const many = Array.from({ length: 2 * ANSWERS_AT_ONCE }, (_, i) => new FarEnd(`10.1.0.${i}`));
  for (const far of many) ask(far, 'many', 40);
  await turns(() => paging.size === 0, 100_000);
  await Promise.all(ends);
  t.is(made.length, 1200 + 3 + 40 * many.length);
  t.is(most.get('greedy'), ANSWERS_PER_ADDRESS);
  t.is(most.get('all'), ANSWERS_AT_ONCE);
});

test('an answer whose reader takes too long gives its place up where others wait', async (t) => {
  const paging = new Paging(2, 1, 10);
  const slow = new FarEnd('10.0.0.66');
  slow.hold();
  const endless = function* () {
    for (;;) yield page(1, false, OFFERS_PER_PAGE);
  };
  const ended = paging.send(slow.link, endless);
  await turns(() => !slow.link.writable);
  await delay(20);
  const second = paging.send(slow.link, () => pages(2, 1));
  t.like(await t.throwsAsync(ended), { code: 'limit' });
  slow.link.close(new HearsayError('cancelled', 'over'));
  await second;
  t.is(paging.size, 0);
  t.true(ANSWER_MOST_MS > 10_000);
});

test('a question that is cancelled, or whose link is gone, leaves nothing behind', async (t) => {
  const paging = new Paging();
  const far = new FarEnd();
  const abort = new AbortController();
  const endless = function* () {
    for (;;) yield page(1, false);
  };
  const one = paging.send(far.link, endless, abort.signal);
  const two = paging.send(far.link, endless);
  await turns(() => far.got.length > 10);
  abort.abort();
  await one;
  far.link.close(new HearsayError('cancelled', 'over'));
  await two;
  t.is(paging.size, 0);
});

function gossip(count: number): Gossip {
  const { identity } = signedHead();
  const settings = {
    id: identity.id,
    key: identity.key,
    name: 'me',
    port: 1,
    epoch: 1,
    passive: false,
    tracker: false,
  };
  const signer = { sign: (s: Uint8Array) => identity.sign(s), verify: () => true };
  const core = new Gossip(
    settings,
    signer,
    () => 0.5,
    () => new Uint8Array(16),
  );
  core.handle({ kind: 'offers', changes: files('share', count) }, 1);
  return core;
}

test('questions of one link are bounded in number and characters; others are answered meanwhile', async (t) => {
  const answerer = new Answerer(gossip(3), undefined);
  const greedy = new FarEnd('10.0.0.66');
  for (let number = 0; number < REQUESTS_PER_CONNECTION_MAX + 5; number++) {
    answerer.take(greedy.link, { type: 'F', number, kind: ASK.all, text: '' });
  }
  t.is(answerer.size, REQUESTS_PER_CONNECTION_MAX);
  const wordy = new FarEnd('10.0.0.67');
  const text = 'x'.repeat(4200);
  const fit = Math.floor(NAMES_MAX / text.length);
  for (let number = 0; number < fit + 5; number++)
    answerer.take(wordy.link, { type: 'F', number, kind: ASK.words, text });
  const modest = new FarEnd('10.0.0.2');
  answerer.take(modest.link, { type: 'F', number: 1, kind: ASK.all, text: '' });
  await turns(() => modest.of('I').length === 1);
  t.true(greedy.of('I').length < 10 && wordy.of('I').length < 10);
  await turns(() => answerer.size === 0);
  t.is(greedy.of('E').filter(({ code }) => code === 'limit').length, 5);
  t.is(greedy.of('I').length, REQUESTS_PER_CONNECTION_MAX);
  t.is(wordy.of('E').filter(({ code }) => code === 'limit').length, 5);
});

test('a search through many files rests between, and its rests are not sent', async (t) => {
  const core = gossip(3000);
  const all = [...core.answerFind({ type: 'F', number: 1, kind: ASK.pattern, text: 'nothing*' })];
  t.true(all.length > 10, 'many turns for others');
  t.deepEqual(all.at(-1), { type: 'I', number: 1, offers: [], last: true, aside: false });
  const answerer = new Answerer(core, undefined);
  const far = new FarEnd();
  answerer.take(far.link, { type: 'F', number: 1, kind: ASK.pattern, text: 'nothing*' });
  answerer.take(far.link, { type: 'F', number: 2, kind: ASK.pattern, text: 'share/**' });
  await turns(() => answerer.size === 0);
  t.deepEqual(
    far.of('I').filter(({ number }) => number === 1),
    [{ type: 'I', number: 1, offers: [], last: true, aside: false }],
  );
  const found = far.of('I').filter(({ number }) => number === 2);
  t.is(found.flatMap(({ offers }) => offers).length, 3000);
  t.true(found.every(({ offers, last }) => last || offers.length > 0));
});

/** An asker of one peer that is played by the test. */
function asker(t: ExecutionContext) {
  const requests = new Requests();
  const far = new FarEnd();
  let found = 0;
  const one = new Asker({
    requests,
    connect: async () => far.link,
    peers: () => [far.link.peer],
    isNamed: () => true,
    found: (_, offers) => {
      found += offers.length;
    },
    pending: () => false,
  });
  const say = (message: MessageOf<'I'>) => requests.answer(far.link, message);
  t.teardown(() => requests.linkClosed(far.link, new HearsayError('cancelled', 'over')));
  return { one, far, requests, say, found: () => found };
}

test('an answer that has no end is given up: too many offers, or a page with nothing on it', async (t) => {
  const { one, far, requests, say, found } = asker(t);
  const question = { kind: ASK.all, text: '' };
  const many = one.askOne(far.link.peer, question);
  await turns(() => far.of('F').length === 1);
  const [{ number }] = far.of('F');
  const full = page(number, false, OFFERS_PER_PAGE);
  while (requests.busy(far.link)) say(full);
  t.like(await t.throwsAsync(many), { code: 'limit' });
  t.is(found(), HITS_MAX);
  await turns(() => far.of('X').length > 0);
  t.deepEqual(
    far.of('X').map((m) => m.number),
    [number],
    'and is told so',
  );
  const empty = one.askOne(far.link.peer, question);
  await turns(() => far.of('F').length === 2);
  say(page(far.of('F')[1].number, false, 0));
  t.like(await t.throwsAsync(empty), { code: 'bad-message' });
  t.false(requests.busy(far.link));
});

test('an answer may come slowly, but not for ever', async (t) => {
  const requests = new Requests();
  const far = new FarEnd();
  const number = () => far.of('F').at(-1)?.number ?? 0;
  const ask = (n: number): Message => ({ type: 'F', number: n, kind: 0, text: '' });
  const gathered = requests.gather(far.link, ask, ({ type }) => type !== 'I', 10_000, undefined, 100);
  const drip = setInterval(() => requests.answer(far.link, page(number(), false)), 10);
  t.like(await t.throwsAsync(gathered), { code: 'timeout' });
  clearInterval(drip);
  t.false(requests.busy(far.link));
  await turns(() => far.of('X').length === 1);
});

test('no more requests to one link than it takes', (t) => {
  const requests = new Requests();
  const far = new FarEnd();
  const handler = { answer: () => {}, closed: () => {} };
  const numbers = Array.from({ length: REQUESTS_PER_CONNECTION_MAX }, () => requests.open(far.link, handler));
  t.like(
    t.throws(() => requests.open(far.link, handler)),
    { code: 'limit' },
  );
  t.notThrows(() => requests.open(new FarEnd().link, handler));
  for (const number of numbers) requests.close(far.link, number);
  t.false(requests.busy(far.link));
});

/** A file of zeros that counts how often it is read. */
function zeros(size: number, more: Partial<Offered> = {}) {
  const state = { reads: 0, open: 0, most: 0, opened: 0, closed: 0, gate: Promise.resolve() };
  const source: Offered = {
    path: 'f',
    size,
    mtime: 1,
    executable: false,
    id: null,
    readChunk: async () => {
      state.reads++;
      state.most = Math.max(state.most, ++state.open);
      await state.gate;
      state.open--;
      return Buffer.alloc(Math.min(size, BLOCK));
    },
    close: async () => {
      state.closed++;
    },
    ...more,
  };
  return { source, state };
}

test('the cache keeps so many bytes, and the disk reads so many chunks at once', async (t) => {
  const cache = new ChunkCache();
  const count = CACHE_BYTES / BLOCK;
  const { source, state } = zeros(2 * CACHE_BYTES);
  let open = () => {};
  state.gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  const reads = Array.from({ length: count + 20 }, (_, chunk) => cache.read('k', source, chunk, BLOCK));
  await next();
  t.is(state.reads, READS_AT_ONCE);
  t.is(cache.bytes, CACHE_BYTES);
  open();
  await Promise.all(reads);
  t.is(state.most, READS_AT_ONCE);
  t.is(state.reads, count + 20);
  await cache.read('k', source, count, BLOCK);
  t.is(state.reads, count + 20, 'it was kept');
  cache.forget('k');
  t.is(cache.bytes, 0);
});

test('buffers of chunks are used again, and no more bytes lie ready than may', async (t) => {
  const buffers = new Buffers();
  const taken = Array.from({ length: SPARE_BYTES / BLOCK + 3 }, () => buffers.take(BLOCK));
  for (const buffer of taken) buffers.give(buffer);
  t.is(buffers.bytes, SPARE_BYTES);
  t.true(taken.includes(buffers.take(BLOCK)));
  t.is(buffers.bytes, SPARE_BYTES - BLOCK);
  t.is(buffers.take(5).length, 5, 'of another length there is none');
});

test('a chunk that left the cache is overwritten only when all who were given it have let go', async (t) => {
  const buffers = new Buffers();
  const cache = new ChunkCache(2 * BLOCK, buffers);
  const { source } = zeros(4 * BLOCK, {
    readChunk: async (chunk, into) => (into as Buffer).fill(chunk + 1),
  });
  const [first, again] = await Promise.all([cache.read('k', source, 0, BLOCK), cache.read('k', source, 0, BLOCK)]);
  t.is(first.data, again.data);
  for (const chunk of [1, 2]) (await cache.read('k', source, chunk, BLOCK)).release();
  t.is(buffers.bytes, 0, 'it has left, and is still looked at');
  first.release();
  t.is(buffers.bytes, 0);
  const { data } = await cache.read('k', source, 3, BLOCK);
  t.true(again.data.every((byte) => byte === 1));
  again.release();
  t.not(data, again.data);
  t.is((await cache.read('k', source, 0, BLOCK)).data, again.data, 'and then it is');
});

test('a thousand receivers of one content are told of a few, and each of the newest', async (t) => {
  const swarms = new Swarms();
  t.teardown(() => swarms.stop());
  const all = Array.from({ length: 300 }, () => new FarEnd());
  const leave = all.map(({ link }) => swarms.join('id', link, 1));
  // A transfer more of one that is there is no news.
  for (let number = 2; number < 100; number++) swarms.join('id', all[0].link, number)();
  await delay(200);
  await turns(() => (all.at(-1)?.of('W').length ?? 0) > 0);
  const told = all.map((far) => far.of('W').reduce((sum, { peers }) => sum + peers.length, 0));
  t.true(Math.max(...told) <= 300);
  t.true(all.flatMap((far) => far.of('W')).every(({ peers }) => peers.length <= SWARM_TOLD_MAX));
  t.true(all.flatMap((far) => far.of('W')).length <= SWARM_TOLD_MAX * Math.ceil(300 / SWARM_TOLD_MAX));
  t.true(told.at(-1)! > 0);
  const asker = new FarEnd();
  swarms.tell('id', asker.link, 7);
  await turns(() => asker.of('W').length > 0);
  t.is(asker.of('W')[0].peers.length, SWARM_TOLD_MAX);
  for (const end of leave) end();
  t.is(swarms.size, 0);
});

/** A shelf with one file of any content. */
function shelf(size: number, manifest?: Uint8Array) {
  const id = manifest ? contentId(size, manifest) : null;
  const { source, state } = zeros(size, { id });
  let rechecked = 0;
  const one: Shelf = {
    open: async () => {
      state.opened++;
      const found: Found = { source, manifest, have: undefined, aside: false };
      return found;
    },
    readSmall: async (_, path) => {
      throw new HearsayError('not-found', path);
    },
    recheck: async () => {
      rechecked++;
      return 'same';
    },
    idOf: async () => 'id',
  };
  return { one, state, id, rechecked: () => rechecked };
}

/** A server of a shelf, and who asks it. */
function served(t: ExecutionContext, one: Shelf) {
  const server = new Server(one, { begun: () => {}, completed: () => {}, failed: () => {} });
  const far = new FarEnd();
  const end = () => {
    server.linkClosed(far.link, new HearsayError('cancelled', 'over'));
    far.link.close(new HearsayError('cancelled', 'over'));
  };
  t.teardown(() => {
    end();
    server.stop();
  });
  return { server, far, end };
}

test('a manifest goes out as it is read, and a thousand requests for it are done one after another', async (t) => {
  // 128 GiB in chunks of 4 MiB: 1 MiB of hashes.
  const size = 2 ** 37;
  const count = size / 2 ** 22;
  const { one, state, id } = shelf(size, new Uint8Array(32 * count));
  const { server, far, end } = served(t, one);
  far.hold();
  for (let number = 0; number < 1000; number++) server.handle(far.link, { type: 'G', number, id, path: 'f', first: 0 });
  await delay(50);
  t.true(far.link.open, 'nothing is queued that is not waited for');
  t.true(state.opened <= 5);
  const released = far.release();
  await turns(() => far.of('M').length > count / MANIFEST_PAGE);
  t.true(far.of('M').every(({ hashes }) => hashes.length === 32 * MANIFEST_PAGE));
  t.is(far.of('E').filter(({ code }) => code === 'limit').length, 1000 - TRANSFERS_PER_CONNECTION_MAX);
  end();
  await released;
  await turns(() => state.closed === state.opened);
});

test('a request that is cancelled before its file was opened is not opened after all', async (t) => {
  const { one, state, id } = shelf(BLOCK, blake3(Buffer.alloc(BLOCK)));
  const { server, far } = served(t, one);
  server.handle(far.link, { type: 'G', number: 1, id, path: 'f', first: 0 });
  for (let number = 2; number < 100; number++) {
    server.handle(far.link, { type: 'G', number, id, path: 'f', first: 0 });
    server.handle(far.link, { type: 'X', number });
  }
  await delay(20);
  t.is(state.opened, 1);
  t.is(far.of('M').length, 1);
});

test('names of small files that are asked for are bounded, and free again when the request is over', async (t) => {
  const { server, far } = served(t, shelf(1).one);
  const path = `${'d/'.repeat(100)}${'x'.repeat(200)}`;
  const wanted = Array.from({ length: SMALL_BATCH_MAX }, () => ({ id: null, path }));
  const fit = Math.floor(NAMES_MAX / (SMALL_BATCH_MAX * path.length));
  const ask = (number: number) => server.handle(far.link, { type: 'S', number, files: wanted });
  for (let number = 0; number <= fit; number++) ask(number);
  await turns(() => far.of('E').length === 1);
  t.like(far.of('E')[0], { number: fit, code: 'limit' });
  server.handle(far.link, { type: 'X', number: 0 });
  ask(fit + 1);
  await delay(20);
  t.is(far.of('E').length, 1);
});

test('who says that chunks are wrong has one looked at in a second, and no file read that is as it was', async (t) => {
  const { one, state, id, rechecked } = shelf(BLOCK, blake3(Buffer.alloc(BLOCK)));
  const { server, far } = served(t, one);
  server.handle(far.link, { type: 'G', number: 1, id, path: 'f', first: 0 });
  await turns(() => far.of('M').length === 1);
  for (let i = 0; i < 100; i++) server.handle(far.link, { type: 'B', number: 1, chunk: 0 });
  await delay(20);
  t.is(state.reads, 0, 'of what it was not sent it has nothing to say');
  server.handle(far.link, { type: 'R', number: 1, block: 0, count: 1 });
  await turns(() => far.of('T').length === 1);
  for (let i = 0; i < 1000; i++) server.handle(far.link, { type: 'B', number: 1, chunk: i % 2 });
  await delay(20);
  t.is(state.reads, 2, 'once to send it, once to look');
  t.is(rechecked(), 0);
  t.is(state.opened, 2);
});

test('a file that was found to be wrong is read whole once in a while, whoever says so', async (t) => {
  const { one, rechecked } = shelf(BLOCK, blake3(Buffer.from('other')));
  const server = new Server(
    {
      ...one,
      open: async (id, path, peer) => {
        const found = await one.open(id, path, peer);
        return { ...found, source: { ...found.source, path } };
      },
    },
    { begun: () => {}, completed: () => {}, failed: () => {} },
  );
  t.teardown(() => server.stop());
  const complain = async (path: string) => {
    const far = new FarEnd();
    server.handle(far.link, { type: 'G', number: 1, id: null, path, first: 0 });
    server.handle(far.link, { type: 'R', number: 1, block: 0, count: 1 });
    await turns(() => far.of('M').length === 1);
    server.handle(far.link, { type: 'R', number: 1, block: 0, count: 1 });
    await turns(() => far.of('T').length === 1);
    const before = rechecked();
    server.handle(far.link, { type: 'B', number: 1, chunk: 0 });
    for (let i = 0; i < 20; i++) await next();
    server.linkClosed(far.link, new HearsayError('cancelled', 'over'));
    return rechecked() - before;
  };
  t.is(await complain('first'), 1);
  t.is(await complain('first'), 0, 'not by another one either');
  for (let i = 0; i < LOOKED_MAX; i++) if ((await complain(`f${i}`)) !== 1) t.fail(`f${i}`);
  t.is(await complain('first'), 1, 'that it was looked at is forgotten, as there are so many');
});

test('acknowledgements of what was not sent count for nothing', async (t) => {
  const { one, id } = shelf(4 * BLOCK, Buffer.concat(Array.from({ length: 4 }, () => blake3(Buffer.alloc(BLOCK)))));
  const { server, far } = served(t, one);
  server.handle(far.link, { type: 'G', number: 1, id, path: 'f', first: 0 });
  await turns(() => far.of('M').length === 1);
  server.handle(far.link, { type: 'R', number: 1, block: 0, count: 1 });
  await turns(() => far.of('T').length === 1);
  for (let i = 0; i < 10; i++) server.handle(far.link, { type: 'A', number: 1, done: [0, 0, 1, 2, 3, 4_000_000_000] });
  t.is(server.rows(() => 'far')[0].bytes, BLOCK);
});

test('events for a reader that does not read: those that may be dropped are, changes of one file become one', async (t) => {
  const droppable = new Stream<number>();
  for (let i = 0; i < 10 * BEHIND_MAX; i++) droppable.push(i, true);
  t.is(droppable.waiting, BEHIND_MAX);
  const changes = new Changes();
  const reader = changes.listen();
  const offer = (path: string, size: number): PeerOffer => {
    return { path, kind: 'file', size, mtime: 1, id: null, version: 1, peer: 'p' };
  };
  changes.push({ kind: 'changed', offer: offer('old', 2), before: offer('old', 1) });
  for (let i = 0; i < 200_000; i++) {
    const one = offer(`f${i % 100}`, i);
    const kind = i < 100 || i % 3 === 0 ? 'added' : i % 3 === 1 ? 'changed' : 'removed';
    changes.push({ kind, offer: one, ...(kind === 'added' ? {} : { before: one }) });
  }
  changes.push({ kind: 'removed', offer: offer('old', 0), before: offer('old', 2) });
  t.true((reader as Stream<IndexChange>).waiting <= 2 * BEHIND_MAX);
  changes.end();
  const got: IndexChange[] = [];
  for await (const change of reader) got.push(change);
  const [first] = squeezed(got);
  t.like(first, { kind: 'removed', before: { path: 'old', size: 1 } });
});

test('fewer changes say the same as all of them', (t) => {
  const offer = (path: string, size: number): PeerOffer => {
    return { path, kind: 'file', size, mtime: 1, id: null, version: 1, peer: 'p' };
  };
  const [a, b, c] = [offer('a', 1), offer('a', 2), offer('b', 3)];
  t.deepEqual(
    squeezed([
      { kind: 'added', offer: a },
      { kind: 'changed', offer: b, before: a },
    ]),
    [{ kind: 'added', offer: b }],
  );
  t.deepEqual(
    squeezed([
      { kind: 'added', offer: a },
      { kind: 'removed', offer: a, before: a },
    ]),
    [],
  );
  t.deepEqual(
    squeezed([
      { kind: 'removed', offer: a, before: a },
      { kind: 'added', offer: c },
      { kind: 'added', offer: b },
    ]),
    [
      { kind: 'changed', offer: b, before: a },
      { kind: 'added', offer: c },
    ],
  );
});

test('the trace remembers the files of so many transfers', (t) => {
  const tracing = new Tracing(true);
  const peer = signedHead().head.id;
  for (let number = 0; number < 3 * TRACED_MAX; number++) {
    tracing.tracer('in', peer, { type: 'G', number, id: null, path: `f${number}`, first: 0 });
  }
  const abort = new AbortController();
  abort.abort();
  t.true((tracing.listen(abort.signal) as Stream<unknown>).waiting <= BEHIND_MAX);
});

test('warnings that others cause are told so often, and then counted', (t) => {
  const told: string[] = [];
  const warnings = new Warnings((message) => told.push(message));
  for (let i = 0; i < 10_000; i++) warnings.take('limit', `${i} offers too much`, i);
  t.is(told.length, WARNINGS_TOLD_MAX);
  warnings.take('state-in-use', 'a twin', 5);
  t.is(told.at(-1), 'a twin', 'one kind does not silence another');
  warnings.take('limit', 'again', WARNINGS_TOLD_MS);
  t.is(told.at(-1), `again (and ${10_000 - WARNINGS_TOLD_MAX} more like it, left out)`);
  warnings.take('limit', 'once more', WARNINGS_TOLD_MS + 1);
  t.is(told.at(-1), 'once more');
});
