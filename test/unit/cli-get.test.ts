import { writeFileSync } from 'node:fs';
import { join, resolve, sep } from 'node:path';
import test from 'ava';
import type { GetEvent, GetQuery } from '../../lib/api.js';
import { destination } from '../../lib/cli/get.js';
import { ALICE, aborted, BOB, FakeApi, FakeIo, failure, ID, objects, peerRow, type } from './cli-fake.js';

type Done = Extract<GetEvent, { event: 'done' }>;

function done(path: string, more: Partial<Done> = {}): Done {
  const sources = [
    { ...ALICE, bytes: 600 },
    { ...BOB, bytes: 400 },
  ];
  return {
    event: 'done',
    path,
    file: `/in/${path}`,
    size: 1000,
    id: ID,
    seconds: 0.5,
    received: 1000,
    sources,
    ...more,
  };
}

const chunk: GetEvent = { event: 'chunk', path: 'a', chunk: 0, chunks: 4, bytes: 250, source: BOB };

function api(...events: GetEvent[]): FakeApi {
  const fake = new FakeApi();
  fake.fetching = async function* () {
    yield* events;
  };
  return fake;
}

const end = (files: number, failed = 0): GetEvent => ({ event: 'end', files, bytes: files * 1000, failed });

test('what is asked of the peer', async (t) => {
  const fake = api(end(0));
  const io = new FakeIo();
  await type(['get', 'x', 'y/', '-o', `in${sep}`, '--from', 'a,b', '--overwrite', '--sync', '--discard'], {
    api: fake,
    io,
  });
  t.deepEqual(fake.asked, [
    {
      what: ['x', 'y/'],
      to: join(io.cwd, 'in') + sep,
      from: ['a', 'b'],
      overwrite: true,
      discard: true,
      sync: true,
      timeout: 30,
      verbose: false,
    },
  ]);
  const plain = api(end(0));
  await type(['get', 'x', '--json'], { api: plain, io });
  t.deepEqual(plain.asked, [{ what: ['x'], to: io.cwd + sep, timeout: 30, verbose: true }]);
});

test('DEST: a folder by its last separator, else as it is', (t) => {
  const cwd = resolve('/w');
  t.is(destination(cwd, undefined), cwd + sep);
  t.is(destination(cwd, 'a/'), join(cwd, 'a') + sep);
  t.is(destination(cwd, 'a'), join(cwd, 'a'));
  t.is(destination(cwd, '.'), cwd);
  t.is(destination(cwd, '..'), resolve('/'));
  t.is(destination(cwd, '/'), resolve('/'));
  t.is(destination(resolve('/'), undefined), resolve('/'));
});

test('a line a file, and what was here already', async (t) => {
  const fake = api(
    { event: 'start', files: 3, bytes: 3000 },
    { event: 'progress', path: 'a', verified: 500, size: 1000, sources: 2 },
    done('a', { size: 2 ** 20, received: 2 ** 20 }),
    done('b\x1b', { already: true, received: 0, sources: [] }),
    done('c', { received: 0, sources: [] }),
    end(3),
  );
  const { status, out, err, closed } = await type(['get', 'x'], { api: fake });
  t.is(status, 0);
  t.deepEqual(out.split('\n'), [
    'got a (1.0 MiB, 0.5 s, 2.0 MiB/s, from alice, bob)',
    'already here b\\u{1b}',
    'got c (1000 B, 0.5 s, from what was here)',
    '',
  ]);
  t.is(err, '3 files, 2.9 KiB in 0.0 s, in /in\n');
  t.is(closed, 1);
  const quiet = await type(['get', 'x', '--quiet'], { api: fake });
  t.is(quiet.out + quiet.err, '');
});

test('a terminal is told of very many files together, and of each that failed; a pipe, and --verbose, of each', async (t) => {
  const many = Array.from({ length: 1200 }, (_, i) => done(`x/${i}`, i < 1000 ? {} : { already: true, sources: [] }));
  const fake = api(
    { event: 'start', files: 1201, bytes: 1_201_000 },
    ...many,
    { event: 'error', path: 'x/bad', error: { code: 'wrong-content', message: 'not what was offered' } },
    { event: 'end', files: 1200, bytes: 1_200_000, failed: 1 },
  );
  const screen = () => {
    const io = new FakeIo();
    io.stdout.isTTY = true;
    return io;
  };
  const { out, err } = await type(['get', 'x/'], { api: fake, io: screen() });
  t.is(out, '');
  t.regex(err, /^hearsay: x\/bad: not what was offered$/m);
  t.regex(
    err,
    /^1,200 files, 1\.1 MiB from alice, bob in 0\.0 s, 200 of them already here, 1 failed, in .*in(?:\/x)?$/m,
  );
  t.is((await type(['get', 'x/'], { api: fake })).out.split('\n').length, 1201);
  const verbose = await type(['get', 'x/', '--verbose'], { api: fake, io: screen() });
  t.is(verbose.out.split('\n').length, 1201);
  const few = api({ event: 'start', files: 20, bytes: 1 }, ...many.slice(0, 20), end(20));
  t.is((await type(['get', 'x/'], { api: few, io: screen() })).out.split('\n').length, 21);
});

test('--verbose tells every chunk, on standard error', async (t) => {
  const { err } = await type(['get', 'x', '--verbose'], { api: api(chunk, done('a'), end(1)) });
  t.is(err, 'chunk 1 of 4 of a, 250 B from bob\n');
});

test('--json tells every event, progress at most four times a second', async (t) => {
  const io = new FakeIo();
  const fake = new FakeApi();
  fake.fetching = async function* () {
    yield chunk;
    for (let tenth = 0; tenth < 20; tenth++, io.clock += 100) {
      yield { event: 'progress', path: 'a', verified: tenth, size: 1000, sources: 1 };
    }
    yield done('a');
    yield end(1);
  };
  const { status, out, err } = await type(['get', 'x', '--json'], { api: fake, io });
  t.is(status, 0);
  t.is(err, '');
  const events = objects(out);
  t.deepEqual(events[0], { ...chunk });
  t.deepEqual(
    events.filter(({ event }) => event === 'progress').map(({ verified }) => verified),
    [0, 3, 6, 9, 12, 15, 18],
  );
  t.deepEqual(events.at(-2), { ...done('a') });
  t.deepEqual(events.at(-1), { ...end(1) });
});

test('of several failures the first decides, and every one is named', async (t) => {
  const fake = api(
    { event: 'error', path: 'a', error: { code: 'wrong-content', message: 'not what was offered' } },
    done('b'),
    { event: 'error', path: 'c', error: { code: 'disk-full', message: 'no space' } },
    { event: 'error', path: 'd', error: { code: 'disk-full', message: 'no space' } },
    { event: 'dropped', path: 'b', source: BOB, error: { code: 'wrong-content', message: 'two wrong chunks' } },
    { event: 'warning', message: 'odd' },
    end(1, 3),
  );
  const human = await type(['get', 'x'], { api: fake });
  t.is(human.status, 7);
  t.deepEqual(
    human.err.split('\n').map((line) => line.trim().slice(0, 35)),
    [
      'hearsay: a: not what was offered',
      'What arrived is not what was offere',
      'hearsay: c: no space',
      'Make room, then run the same comman',
      'hearsay: d: no space',
      'hearsay: bob is no longer asked for',
      'hearsay: odd',
      '1 file, 1000 B in 0.0 s, 3 failed, ',
      '',
    ],
  );
  const json = await type(['get', 'x', '--json'], { api: fake });
  t.is(json.status, 7);
  t.deepEqual(objects(json.out)[0], {
    event: 'error',
    path: 'a',
    error: { code: 'wrong-content', message: 'not what was offered' },
  });
  t.is(json.err, '');
});

test('what stops everything is told as it is thrown', async (t) => {
  const fake = new FakeApi();
  // biome-ignore lint/correctness/useYield: it fails before anything happens
  fake.fetching = async function* () {
    throw failure('ambiguous', 'two contents:\n  alice:x #12\n  bob:x\x1b #34');
  };
  const human = await type(['get', 'x'], { api: fake });
  t.is(human.status, 4);
  t.true(human.err.startsWith('hearsay: two contents:\n    alice:x #12\n    bob:x\\u{1b} #34\n  Name one of them'));
  const json = await type(['get', 'x', '--json'], { api: fake });
  t.is(json.status, 4);
  t.like(objects(json.out)[0], { event: 'error', error: { code: 'ambiguous' } });
});

test('nothing like that: how many answered, or what to look at', async (t) => {
  const fake = api({ event: 'error', error: { code: 'not-found', message: 'nobody offers x' } }, end(0, 1));
  const alone = await type(['get', 'x'], { api: fake });
  t.is(alone.status, 3);
  t.regex(alone.err, /^hearsay: nobody offers x\n.*\nno peer answered/);
  fake.others = [peerRow()];
  const unreached = new Map([['nas', failure('unreachable', 'refused')]]);
  const { err } = await type(['get', 'x'], { api: fake, unreached });
  t.regex(err, /nas cannot be reached: refused\n1 peer answered \(alice\), and `hearsay find WORD` searches/);
  t.false((await type(['get', 'x', '--quiet'], { api: fake })).err.includes('answered'));
});

test('Ctrl-C waits for the end and says how to go on', async (t) => {
  for (const throws of [false, true]) {
    for (const json of [false, true]) {
      const io = new FakeIo();
      const fake = new FakeApi();
      fake.fetching = async function* (_query, signal) {
        yield done('a');
        io.interrupt();
        await aborted(signal);
        if (throws) throw failure('interrupted', 'stop');
        yield { event: 'error', path: 'b', error: { code: 'interrupted', message: 'stop' } };
        yield end(1, 1);
      };
      const { status, out, err, closed } = await type(['get', 'x', ...(json ? ['--json'] : [])], { api: fake, io });
      t.is(status, 130);
      t.is(closed, 1);
      if (json) {
        const events = objects(out).map(({ event, error }) => (error as { code: string })?.code ?? event);
        t.deepEqual(events, throws ? ['done', 'interrupted'] : ['done', 'interrupted', 'end']);
        t.is(err, '');
      } else t.is(err, 'hearsay: interrupted: what was verified is kept, and the same command goes on from there\n');
    }
  }
});

test('--discard tells what was removed', async (t) => {
  const fake = api({ event: 'discarded', path: 'a', file: '/in/a' }, end(0));
  t.like(await type(['get', 'a', '--discard'], { api: fake }), { status: 0, out: 'discarded a\n', err: '' });
});

/** A peer that fetches by writing the file where it is told to. */
function fetching(content: string, files = 1): FakeApi {
  const fake = new FakeApi();
  fake.fetching = async function* (query: GetQuery) {
    yield { event: 'start', files, bytes: content.length };
    const file = join(query.to, 'name');
    writeFileSync(file, content);
    yield done('name', { file });
    yield end(1);
  };
  return fake;
}

test('-o - is the content on standard output, the rest on standard error, and nothing left behind', async (t) => {
  const content = 'line\n'.repeat(200_000);
  const fake = fetching(content);
  const { status, out, err } = await type(['get', 'x', '-o', '-'], { api: fake });
  t.is(status, 0);
  t.true(out === content);
  t.regex(err, /^got name \(/);
  const { to } = fake.asked[0] as GetQuery;
  t.throws(() => writeFileSync(join(to, 'x'), ''), { code: 'ENOENT' });
});

test('-o - takes one file', async (t) => {
  for (const files of [0, 2]) {
    const { status, out, err } = await type(['get', 'x', '-o', '-'], { api: fetching('x', files) });
    t.is(status, 2);
    t.is(out, '');
    t.regex(err, /takes one file/);
  }
});

test('-o - writes nothing of a file that failed', async (t) => {
  const fake = api(
    { event: 'start', files: 1, bytes: 1 },
    { event: 'error', path: 'a', error: { code: 'wrong-content', message: 'no' } },
    end(0, 1),
  );
  t.like(await type(['get', 'x', '-o', '-'], { api: fake }), { status: 7, out: '' });
});
