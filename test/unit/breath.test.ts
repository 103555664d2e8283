import { PassThrough } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import test from 'ava';
import { rested } from '../../lib/drive/resting.js';
import { Breath } from '../../lib/net/breath.js';
import { openGroup } from '../../lib/net/group-keys.js';
import { Intake } from '../../lib/net/intake.js';
import { Links, type LinksHandlers } from '../../lib/net/links.js';
import { tlsTransport } from '../../lib/net/transport.js';
import { until } from '../e2e/lan.js';
import { signedHead } from './bounds-link.js';

/** A clock that stands still but for what is done. */
function clock() {
  const time = { now: 0 };
  const breath = new Breath(() => time.now);
  const busy = (ms: number) => {
    time.now += ms;
  };
  return { breath, busy };
}

/** Works for so long. */
function work(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

/** Counts the turns of the loop until it is stopped. */
function turns() {
  let count = 0;
  let isOver = false;
  const next = () => {
    count++;
    if (!isOver) setImmediate(next);
  };
  setImmediate(next);
  return () => {
    isOver = true;
    return count;
  };
}

test('in one turn as much is done as fits its time, and what waits is done in its order in those that follow', async (t) => {
  const { breath, busy } = clock();
  const done: number[] = [];
  for (let i = 0; i < 10; i++) {
    breath.take(() => {
      done.push(i);
      busy(2);
    });
  }
  t.deepEqual(done, [0, 1, 2]);
  t.true(breath.isSpent);
  await turn();
  t.deepEqual(done, [0, 1, 2, 3, 4, 5]);
  breath.take(() => done.push(10));
  t.is(done.length, 6, 'nobody overtakes');
  while (done.length < 11) await turn();
  t.deepEqual(done, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  await turn();
  t.false(breath.isSpent, 'the next turn has its own time');
});

test('what takes longer than a turn has one for itself; what it brings about comes behind what waited', async (t) => {
  const { breath, busy } = clock();
  const done: string[] = [];
  const long = (name: string, then?: () => void) => () => {
    done.push(name);
    busy(50);
    then?.();
  };
  breath.take(long('a'));
  breath.take(long('b', () => breath.take(long('d'))));
  breath.take(long('c'));
  for (const all of ['a', 'ab', 'abc', 'abcd']) {
    t.is(done.join(''), all);
    await turn();
  }
});

test('a connection that brings much is read no further until what came is handled; all comes, in its order, and then its end', async (t) => {
  const { breath, busy } = clock();
  const stream = new PassThrough();
  const taken: number[] = [];
  let mostInATurn = 0;
  let inThisTurn = 0;
  const intake = new Intake(stream, breath, (data) => {
    taken.push(data[0]);
    busy(3);
    if (inThisTurn++ === 0) setImmediate(() => (inThisTurn = 0));
    mostInATurn = Math.max(mostInATurn, inThisTurn);
  });
  stream.on('data', (data: Buffer) => intake.push(data));
  const ended = new Promise<number>((resolve) => stream.once('end', () => resolve(taken.length)));
  for (let i = 0; i < 40; i++) stream.write(Buffer.of(i));
  stream.end();
  t.is(await ended, 40);
  t.deepEqual(
    taken,
    Array.from({ length: 40 }, (_, i) => i),
  );
  // Two fit the time of what comes, and two that of what waited; who counts turns here sees some of two.
  t.true(mostInATurn <= 6, `${mostInATurn}`);
});

test('bytes that were given for the moment only are kept until their turn', async (t) => {
  const { breath, busy } = clock();
  const taken: string[] = [];
  let paused = 0;
  const stream = { pause: () => ++paused, resume: () => --paused } as unknown as PassThrough;
  const intake = new Intake(stream, breath, (data) => {
    taken.push(data.toString());
    busy(6);
  });
  const buffer = Buffer.alloc(1);
  for (const text of ['a', 'b', 'c', 'd']) {
    buffer.write(text);
    intake.push(buffer);
  }
  t.deepEqual(taken, ['a']);
  t.is(paused, 1);
  while (taken.length < 4) await turn();
  t.deepEqual(taken, ['a', 'b', 'c', 'd']);
  t.is(paused, 0);
});

test('what comes over a link in one piece is handled in many turns, where it is much work', async (t) => {
  const ends = await Promise.all(
    [0, 1].map(async (n) => {
      const { identity, packed, sig } = signedHead(`end ${n}`);
      const handlers: LinksHandlers = { opened: () => {}, message: () => {}, heard: () => {}, closed: () => {} };
      const hello = () => ({ head: packed, sig });
      const instance = new Uint8Array(8);
      const links = new Links({ identity, instance, hello }, tlsTransport(openGroup()), {
        ...handlers,
        message: (_, message) => handlers.message(_, message),
      });
      await links.listen(0, 0);
      t.teardown(() => links.close());
      return { id: identity.id, links, handlers };
    }),
  );
  // To the one that dials bytes come in another way than to the one that listens.
  for (const [from, to] of [ends, ends.toReversed()]) {
    if (!ends[0].links.get(ends[1].id)) await ends[0].links.dial({ host: '127.0.0.1', port: ends[1].links.port });
    await until(() => to.links.get(from.id), 'it is connected');
    const got: number[] = [];
    let begun: (() => number) | undefined;
    to.handlers.message = (_, message) => {
      begun ??= turns();
      if (message.type === 'I') got.push(message.number);
      work(2);
    };
    const offer = { kind: 'file' as const, size: 1, mtime: 1, id: 'ab'.repeat(32) };
    const offers = Array.from({ length: 100 }, (_, i) => ({ ...offer, path: `folder/file ${i}`, version: i + 1 }));
    for (let number = 0; number < 60; number++) {
      from.links.get(to.id)?.send({ type: 'I', number, offers, last: false, aside: false });
    }
    await until(() => got.length === 60, 'all came');
    t.deepEqual(got, [...got.keys()]);
    const seen = begun?.() ?? 0;
    t.true(seen >= 10, `${seen} turns`);
  }
});

test('small questions that are asked one after another leave turns to others', async (t) => {
  let isTurn = false;
  const next = () => {
    isTurn = true;
    immediate = setImmediate(next);
  };
  let immediate = setImmediate(next);
  let most = 0;
  let inARow = 0;
  for (let i = 0; i < 100; i++) {
    await rested(
      (function* () {
        work(1);
        yield undefined;
      })(),
    );
    inARow = isTurn ? 0 : inARow + 1;
    most = Math.max(most, inARow);
    isTurn = false;
  }
  clearImmediate(immediate);
  t.true(most <= 8, `${most} without a turn`);
});
