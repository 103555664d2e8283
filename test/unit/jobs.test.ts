/** The queue of transfers in virtual time: numbers, order, waiting, and what is told of for how long. */
import test from 'ava';
import type { ErrorBody } from '../../lib/api.js';
import type { HearsayError } from '../../lib/errors.js';
import { JOBS_ENDED_MAX, JOBS_MAX } from '../../lib/limits.js';
import { JOB_TOLD_MS, JOB_WAITS_MS, JobBook, Places } from '../../lib/transfer/jobs.js';

const AWAY: ErrorBody = { code: 'no-peer', message: 'alice is not here' };

/** A new job, ready to be begun. */
function planned(book: JobBook, now = 0): number {
  const { number } = book.open(now);
  book.planned(number);
  return number;
}

/** Everything that may be begun now. */
function taken(book: JobBook, now = 0): number[] {
  const numbers: number[] = [];
  for (let job = book.take(now); job; job = book.take(now)) numbers.push(job.number);
  return numbers;
}

test('those that were asked for first begin first, so many at a time, and what is not planned is passed over', (t) => {
  const book = new JobBook(2);
  const early = book.open(0);
  for (let i = 0; i < 4; i++) planned(book);
  t.deepEqual(taken(book), [2, 3]);
  book.planned(early.number);
  t.deepEqual(taken(book), [], 'two are under way');
  book.ends(3, undefined, 10);
  t.deepEqual(taken(book), [1], 'the first of those that wait, as soon as it can be begun');
  book.atOnce = 3;
  t.deepEqual(taken(book), [4]);
});

test('a state and since when; running is news once', (t) => {
  const book = new JobBook(1);
  planned(book);
  t.like(book.get(1), { number: 1, state: 'queued', since: 0 });
  taken(book);
  t.true(book.runs(1, 5));
  t.false(book.runs(1, 6));
  t.like(book.get(1), { state: 'running', since: 5 });
  book.ends(1, undefined, 9);
  t.deepEqual(book.get(1), { number: 1, turn: 1, state: 'done', since: 9 });
  t.false(book.runs(1, 10), 'what has ended does not run again');
});

test('held: it is not begun; resumed: it is behind those that wait', (t) => {
  const book = new JobBook(1);
  for (let i = 0; i < 3; i++) planned(book);
  t.deepEqual(taken(book), [1]);
  book.pause(1, 1);
  book.stopped(1);
  book.pause(2, 1);
  t.deepEqual(taken(book, 2), [3]);
  t.is(planned(book, 2), 4);
  book.resume(1, 3);
  book.resume(2, 3);
  book.ends(3, undefined, 4);
  t.deepEqual(taken(book, 4), [4]);
  book.ends(4, undefined, 4);
  t.deepEqual(taken(book, 4), [1]);
  book.resume(1, 5);
  t.like(book.get(1), { state: 'queued' }, 'what is not held is left as it is');
  book.ends(1, undefined, 6);
  t.throws(() => book.pause(1, 7), { code: 'failed' } as Partial<HearsayError>);
  t.throws(() => book.resume(1, 7), { code: 'failed' } as Partial<HearsayError>);
  t.throws(() => book.pause(9, 7), { code: 'not-found' } as Partial<HearsayError>);
});

test('one that waits for others looks ever more rarely, at most once a minute, and soon when somebody comes', (t) => {
  const book = new JobBook(3);
  planned(book);
  const gaps: number[] = [];
  let now = 0;
  for (let i = 0; i < 8; i++) {
    t.deepEqual(taken(book, now), [1]);
    t.true(book.waits(1, AWAY, now));
    t.deepEqual(taken(book, now), [], 'not at once');
    const at = book.wakeAt() as number;
    gaps.push(at - now);
    now = at;
  }
  t.deepEqual(gaps, [2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]);
  t.like(book.get(1), { state: 'queued', since: 0, error: AWAY }, 'since when it waits, and for what');
  t.deepEqual(taken(book, now), [1]);
  book.waits(1, AWAY, now);
  book.stirs(1, now);
  t.is(book.wakeAt(), now + 500);
  t.deepEqual(taken(book, now + 500), [1]);
  t.true(book.runs(1, now + 500));
  t.is(book.get(1)?.error, undefined);
  book.moved(1);
  book.waits(1, AWAY, now);
  t.is(book.wakeAt(), now + 2000, 'from the beginning, since something came');
});

test('one that waits too long has failed', (t) => {
  const book = new JobBook(1);
  planned(book);
  taken(book);
  book.waits(1, AWAY, 0);
  t.true(book.waits(1, AWAY, JOB_WAITS_MS - 1));
  t.false(book.waits(1, AWAY, JOB_WAITS_MS));
  t.like(book.get(1), { state: 'failed', error: AWAY });
});

test('a clock that was set back does not make it wait for ever', (t) => {
  const book = new JobBook(1);
  planned(book, 10 * JOB_TOLD_MS);
  taken(book, 10 * JOB_TOLD_MS);
  book.waits(1, AWAY, 10 * JOB_TOLD_MS);
  t.deepEqual(taken(book, 0), [1]);
});

test('after a restart they are as they were, those under way wait again, and no number comes twice', (t) => {
  const book = new JobBook(3);
  for (let i = 0; i < 4; i++) planned(book);
  taken(book);
  book.runs(1, 5);
  book.pause(2, 6);
  book.ends(3, { code: 'changed', message: 'x' }, 7);
  const kept = JSON.parse(JSON.stringify(book.jobs()));
  const after = new JobBook(3);
  after.restore(kept, book.next);
  t.deepEqual(
    after.jobs().map(({ number, state }) => [number, state]),
    [
      [1, 'queued'],
      [2, 'paused'],
      [3, 'failed'],
      [4, 'queued'],
    ],
  );
  t.deepEqual(taken(after), [1, 4]);
  t.is(after.open(9).number, 5);
  const empty = new JobBook(3);
  empty.restore([], 17);
  t.is(empty.open(0).number, 17);
});

test('JOBS_MAX: one more that has not ended is refused', (t) => {
  const book = new JobBook(3);
  for (let i = 0; i < JOBS_MAX; i++) book.open(0);
  t.throws(() => book.open(0), { code: 'limit' } as Partial<HearsayError>);
  book.ends(1, undefined, 0);
  t.notThrows(() => book.open(0));
});

test('JOBS_ENDED_MAX: of those that ended the last are told of, for a day', (t) => {
  const book = new JobBook(3);
  for (let i = 0; i < JOBS_ENDED_MAX + 5; i++) book.ends(book.open(i).number, undefined, i);
  const live = book.open(0).number;
  t.deepEqual(
    book.tidy(JOBS_ENDED_MAX + 5).sort((a, b) => a - b),
    [1, 2, 3, 4, 5],
  );
  t.is(book.jobs().length, JOBS_ENDED_MAX + 1);
  book.tidy(JOB_TOLD_MS + 49);
  t.is(book.jobs().length, JOBS_ENDED_MAX - 45 + 1);
  book.tidy(3 * JOB_TOLD_MS);
  t.deepEqual(
    book.jobs().map(({ number }) => number),
    [live],
  );
});

test('one that is driven elsewhere is numbered with the others and never begun from here', (t) => {
  const book = new JobBook(3);
  const { number } = book.open(0, true);
  planned(book);
  t.deepEqual(taken(book), [2]);
  t.true(book.runs(number, 1));
  book.drop(number);
  t.is(book.get(number), undefined);
  t.is(book.next, 3);
});

test('places: no more than there are, the lowest turn first, given back once', (t) => {
  const places = new Places(2);
  const granted: string[] = [];
  const ask = (name: string, turn: number) => places.ask(turn, () => granted.push(name));
  const leaveA = ask('a', 5);
  ask('b', 6);
  ask('late', 7);
  const leaveC = ask('c', 3);
  ask('d', 3);
  t.deepEqual(granted, ['a', 'b']);
  leaveC();
  leaveA();
  leaveA();
  t.deepEqual(granted, ['a', 'b', 'd'], 'who asks no more is passed over');
  t.is(places.given, 2);
  places.limit = 3;
  t.deepEqual(granted, ['a', 'b', 'd', 'late']);
  places.limit = 1;
  ask('e', 1);
  t.is(places.given, 3, 'what is given is not taken away');
  t.is(granted.length, 4);
});
