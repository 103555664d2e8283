/** Gets that a running peer keeps, and the commands that steer transfers, as they are typed and printed. */
import { sep } from 'node:path';
import test from 'ava';
import type { GetEvent, TransferRow } from '../../lib/api.js';
import { styleOf } from '../../lib/cli/output.js';
import { eventLine } from '../../lib/cli/told.js';
import { DETACHED } from '../../lib/detached.js';
import { BOB, FakeApi, FakeIo, FakeSink, failure, objects, STATUS, type } from './cli-fake.js';

const start: GetEvent = { event: 'start', files: 2, bytes: 2048, number: 3 };
const end: GetEvent = { event: 'end', files: 2, bytes: 2048, failed: 0 };

/** A get that tells some events and then waits until its signal. */
function waiting(events: GetEvent[], then: (reason: unknown) => void = () => {}): FakeApi {
  const api = new FakeApi();
  api.fetching = async function* (_query, signal) {
    yield* events;
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve));
    then(signal.reason);
  };
  return api;
}

test('a running peer keeps what is fetched to a file; a pipe, --discard and a one-shot are not kept', async (t) => {
  const cases: [string[], boolean, boolean | undefined][] = [
    [['get', 'x'], true, true],
    [['get', 'x'], false, undefined],
    [['get', 'x', '-o', '-'], true, undefined],
    [['get', 'x', '--discard'], true, undefined],
  ];
  for (const [words, running, keep] of cases) {
    const api = new FakeApi();
    await type(words, { api, running });
    t.is((api.asked[0] as { keep?: boolean }).keep, keep, words.join(' '));
  }
  const api = new FakeApi();
  await type(['get', 'x', '--seed'], { api, running: true });
  t.like(api.asked[0], { keep: true, seed: true, to: new FakeIo().cwd + sep });
});

test('--background: the number, and no more is waited for', async (t) => {
  let isLeft = false;
  const api = new FakeApi();
  api.fetching = async function* () {
    try {
      yield* [start, { event: 'progress', path: 'a', verified: 1, size: 2, sources: 1 } as GetEvent];
      t.fail('it is not followed any more');
    } finally {
      isLeft = true;
    }
  };
  const { status, out } = await type(['get', 'x', '-b'], { api, running: true });
  t.is(status, 0);
  t.true(isLeft);
  t.is(out, 'transfer 3: 2 files, 2.0 KiB; `hearsay status` shows it, `hearsay cancel 3` ends it\n');
  const json = await type(['get', 'x', '--background', '--json'], { api: waiting([start]), running: true });
  t.deepEqual(objects(json.out), [start]);
  const again = await type(['get', 'x', '-b'], {
    api: waiting([{ ...start, again: 'paused' }] as GetEvent[]),
    running: true,
  });
  t.regex(again.out, /^transfer 3, held already: 2 files/);
  t.is(again.err, '', 'it is said once');
  const wrong: GetEvent = { event: 'error', error: { code: 'not-found', message: 'nothing' } };
  const none = new FakeApi();
  none.fetching = async function* () {
    yield* [wrong, { event: 'end', files: 0, bytes: 0, failed: 1 } as GetEvent];
  };
  t.is((await type(['get', 'x', '-b'], { api: none, running: true })).status, 3);
  const alone = await type(['get', 'x', '-b'], { api: waiting([start]) });
  t.is(alone.status, 5);
  t.regex(alone.err, /daemon start/);
  for (const words of [
    ['-b', '-o', '-'],
    ['-b', '--discard'],
    ['--seed', '-o', '-'],
    ['--seed', '--discard'],
  ]) {
    t.is((await type(['get', 'x', ...words], { running: true })).status, 2, words.join(' '));
  }
});

test('its terminal is closed: it goes on, which is said; Ctrl-C ends it', async (t) => {
  for (const why of ['end', 'interrupt'] as const) {
    const io = new FakeIo();
    let reason: unknown;
    const api = waiting([start], (given) => {
      reason = given;
    });
    const typed = type(['get', 'x'], {
      api,
      io,
      running: true,
      onSession: () => setImmediate(() => io.interrupt(why)),
    });
    const { status, err } = await typed;
    t.is(status, 130);
    t.is(reason === DETACHED, why === 'end');
    t.regex(err, why === 'end' ? /transfer 3 goes on without this command/ : /interrupted: what was verified is kept/);
  }
});

test('what is followed anew says so; a peer that ends under it says that it goes on later', async (t) => {
  const api = new FakeApi();
  api.fetching = async function* () {
    yield { ...start, again: 'running' } as GetEvent;
    yield { event: 'warning', message: 'transfer 3 is held' } as GetEvent;
    throw failure('cancelled', 'the running peer has gone');
  };
  const { status, err } = await type(['get', 'x'], { api, running: true });
  t.is(status, 5);
  t.regex(err, /`hearsay daemon start`/);
  t.notRegex(err, /the other side/i);
  t.regex(err, /transfer 3 is under way already: this follows it\n/);
  t.regex(err, /transfer 3 is held/);
  t.regex(err, /has ended; transfer 3 goes on when it is started again/);
  const early = new FakeApi();
  // biome-ignore lint/correctness/useYield: it fails before it tells anything
  early.fetching = async function* () {
    throw failure('cancelled', 'the running peer has gone');
  };
  t.regex((await type(['get', 'x'], { api: early, running: true })).err, /the running peer has gone/);
});

test('--seed: a running peer serves on; a one-shot becomes a peer that shares', async (t) => {
  const share = { name: 'pics', path: '/in/pics', only: ['/a.jpg'] };
  const api = new FakeApi();
  api.fetching = async function* () {
    yield* [start, { event: 'seed', share } as GetEvent, end];
  };
  const running = await type(['get', 'pics/', '--seed'], { api, running: true });
  t.regex(running.err, /\/in\/pics is served from now on as pics/);
  t.is(running.wanted.length, 1);
  const io = new FakeIo();
  const alone = await type(['get', 'pics/', '--seed'], {
    api,
    io,
    onSession: ({ mode }) => mode === 'share' && setImmediate(() => io.interrupt()),
  });
  t.is(alone.status, 0, alone.err);
  t.deepEqual(
    alone.wanted.map(({ mode }) => mode),
    ['any', 'share'],
  );
  t.deepEqual(alone.wanted[1].flags.share, [{ path: '/in/pics', as: 'pics', only: ['/a.jpg'] }]);
  t.is(alone.closed, 2);
});

test('cancel, pause and resume: a line each, the first error decides', async (t) => {
  const api = new FakeApi();
  api.steered = [
    { number: 3, state: 'cancelled', path: 'pics/c\x1bat.jpg' },
    { number: 9, error: { code: 'not-found', message: 'there is no transfer 9' } },
  ];
  const { status, out, err, wanted } = await type(['cancel', '3', '9'], { api });
  t.is(status, 3);
  t.is(wanted[0].mode, 'running');
  t.deepEqual(api.asked, [{ verb: 'cancel', numbers: [3, 9] }]);
  t.is(out, 'transfer 3 (pics/c\\u{1b}at.jpg) is cancelled; what was not finished of it is removed\n');
  t.regex(err, /there is no transfer 9/);
  const json = await type(['cancel', '3', '9', '--json'], { api });
  t.is(json.status, 3);
  t.deepEqual(objects(json.out), [{ transfers: api.steered.map((row) => ({ ...row })) }]);

  api.steered = [{ number: 3, state: 'paused', path: 'a' }];
  t.is((await type(['pause', 'all'], { api })).out, 'transfer 3 (a) is held\n');
  t.like(api.asked.at(-1), { verb: 'pause', numbers: 'all' });
  api.steered = [{ number: 3, state: 'queued', path: 'a' }];
  t.is((await type(['resume', '3'], { api })).out, 'transfer 3 (a) is waiting\n');
  api.steered = [];
  for (const verb of ['cancel', 'pause', 'resume']) {
    const none = await type([verb, 'all'], { api });
    t.is(none.status, 0);
    t.regex(none.err, /^nothing is /);
    for (const words of [[], ['x'], ['0'], ['1', 'all'], ['-1']]) {
      t.is((await type([verb, ...words], { api })).status, 2, `${verb} ${words.join(' ')}`);
    }
  }
  t.is((await type(['pause', '1'], { refuses: failure('not-running', 'no peer runs') })).status, 5);
});

const row = (more: Partial<TransferRow>): TransferRow => ({
  number: 4,
  direction: 'in',
  path: 'big.iso',
  size: 2 ** 30,
  bytes: 2 ** 29,
  rate: 2 ** 20,
  peers: [BOB],
  what: ['big.iso'],
  ...more,
});

test('status: how each transfer stands; what others fetch has no number', async (t) => {
  const api = new FakeApi();
  api.status = async () => ({
    ...STATUS,
    shares: [],
    transfers: [
      row({ state: 'running', files: 1, done: 0 }),
      row({ number: 5, state: 'queued', error: { code: 'no-peer', message: 'bo\x07b is not here' }, rate: 0 }),
      row({ number: 6, state: 'done', files: 12, done: 12, bytes: 2 ** 30, peers: [] }),
      row({ number: 7, state: 'failed', error: { code: 'cancelled', message: 'cancelled' }, bytes: 0 }),
      row({ number: undefined, direction: 'out' }),
    ],
  });
  const { out } = await type(['status'], { api });
  t.deepEqual(out.split('\n').slice(-7), [
    'transfers',
    '  4  big.iso   50 %  of 1.0 GiB                  from bob  1.0 MiB/s',
    '  5  big.iso   50 %  of 1.0 GiB                  from bob  waiting: bo\\u{7}b is not here',
    '  6  big.iso  100 %  12 of 12 files, of 1.0 GiB            done',
    '  7  big.iso    0 %  of 1.0 GiB                  from bob  cancelled',
    '  -  big.iso   50 %  of 1.0 GiB                  to bob    1.0 MiB/s',
    '',
  ]);
});

test('status: of transfers that are over the latest are shown, all with --verbose', async (t) => {
  const api = new FakeApi();
  const over = Array.from({ length: 12 }, (_, i) => row({ number: i + 1, state: i % 2 === 0 ? 'done' : 'failed' }));
  api.status = async () => ({ ...STATUS, shares: [], transfers: [row({ number: 0, state: 'paused' }), ...over] });
  const shown = (await type(['status'], { api })).out.split('\n').slice(-13);
  t.deepEqual([shown[0].slice(0, 4), shown[1].slice(0, 4), shown[10].slice(0, 4)], ['   0', '   3', '  12']);
  t.is(shown[11], '  and 2 earlier ones: --verbose');
  const all = (await type(['status', '--verbose'], { api })).out;
  t.false(all.includes('earlier'));
  t.is(all.match(/big\.iso/g)?.length, 13);
});

test('a transfer that begins, waits, is held, is done, fails, as a line of a log', (t) => {
  const line = (more: Partial<TransferRow>) =>
    eventLine({ event: 'transfer', row: row(more) }, styleOf(new FakeSink(), {}), false);
  const error = { code: 'no-peer' as const, message: 'bo\x07b is not here' };
  t.is(line({ state: 'running' }), 'transfer 4, get of big.iso, begins from bob (1.0 GiB)');
  t.is(line({ state: 'queued', error }), 'transfer 4, get of big.iso, waits: bo\\u{7}b is not here');
  t.is(line({ state: 'running', what: undefined }), 'transfer 4, receipt of big.iso, begins from bob (1.0 GiB)');
  t.is(line({ state: 'paused' }), 'transfer 4, get of big.iso, is held');
  t.is(line({ state: 'done', direction: 'out' }), 'transfer 4, send of big.iso, is done (1.0 GiB)');
  t.is(
    line({ state: 'failed', error, files: 3, done: 1 }),
    'transfer 4, get of big.iso, failed after 1 of 3 files: bo\\u{7}b is not here',
  );
});
