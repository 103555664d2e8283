import { mkdtempSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import test, { type ExecutionContext } from 'ava';
import type { SendEvent, SendQuery } from '../../lib/api.js';
import { ALICE, aborted, BOB, FakeApi, FakeIo, failure, objects, type } from './cli-fake.js';

const start: SendEvent = { event: 'start', number: 4, name: 'photo.jpg', files: 1, bytes: 12 * 2 ** 20 };
const done: SendEvent = { event: 'done', to: 'alice', peer: ALICE, bytes: 12 * 2 ** 20, seconds: 1.2 };
const end = (ok: number, failed = 0): SendEvent => ({ event: 'end', done: ok, failed });

function bad(to: string, code: Parameters<typeof failure>[0], message: string): SendEvent {
  return { event: 'error', to, ...(to === 'bob' ? { peer: BOB } : {}), error: { code, message } };
}

function api(...events: SendEvent[]): FakeApi {
  const fake = new FakeApi();
  fake.sending = async function* () {
    yield* events;
  };
  return fake;
}

/** A folder with a file `a` and a folder `dir`, as the command's own. */
async function folder(t: ExecutionContext): Promise<FakeIo> {
  const io = new FakeIo();
  io.cwd = await mkdtemp(join(tmpdir(), 'hearsay-cli-'));
  t.teardown(() => rm(io.cwd, { recursive: true, force: true }));
  await writeFile(join(io.cwd, 'a'), 'content');
  await mkdir(join(io.cwd, 'dir'));
  return io;
}

test('what is asked of the running peer', async (t) => {
  const io = await folder(t);
  const fake = api(end(0));
  const words = ['send', 'a', 'dir', '--to', 'alice, bob', '--to', 'carol,alice'];
  const { wanted, closed } = await type(words, { api: fake, io });
  t.deepEqual(fake.asked, [{ files: [join(io.cwd, 'a'), join(io.cwd, 'dir')], to: ['alice', 'bob', 'carol'] }]);
  t.is(wanted[0].mode, 'running');
  t.is(closed, 1);
  const named = api(end(0));
  await type(['send', 'a', '--to', 'e\u0301', '--to', '\u00e9', '--as', 'b'], { api: named, io });
  t.deepEqual(named.asked, [{ files: [join(io.cwd, 'a')], to: ['\u00e9'], as: 'b' }], 'one name, however it is typed');
});

const wrong: [string[], RegExp][] = [
  [[], /send what\?/],
  [['a'], /send to whom\?/],
  [['a', '--to', ' , '], /send to whom\?/],
  [['a', 'dir', '--to', 'bob', '--as', 'x'], /--as names one FILE, and there are 2/],
  [['a', '--to', 'bob', '--as', '../x'], /nothing can be called \.\.\/x/],
  [['a', '--to', 'bob', '--as', ''], /nothing can be called/],
  [['-', '--to', 'bob'], /standard input has no name/],
  [['-', 'a', '--to', 'bob'], /standard input has no name/],
];
for (const [argv, said] of wrong) {
  test(`usage: hearsay send ${JSON.stringify(argv)}`, async (t) => {
    const io = await folder(t);
    const { status, err, wanted } = await type(['send', ...argv], { io });
    t.is(status, 2);
    t.regex(err, said);
    t.is(wanted.length, 0, 'nobody is asked');
    const json = await type(['send', '--json', ...argv], { io: await folder(t) });
    t.like(objects(json.out)[0], { event: 'error', error: { code: 'usage' } });
  });
}

test('every missing FILE is named before anyone is asked', async (t) => {
  const io = await folder(t);
  await symlink('nowhere', join(io.cwd, 'broken')).catch(() => {});
  const fake = api(end(1));
  const words = ['send', 'gone', 'a', 'broken', 'a/b', '--to', 'alice'];
  const { status, err, out, wanted } = await type(words, { api: fake, io });
  t.is(status, 3);
  t.is(out, '');
  for (const name of ['gone', 'broken', join('a', 'b')])
    t.true(err.includes(`cannot send ${join(io.cwd, name)}: `), name);
  t.is(wanted.length, 0);
  t.deepEqual(fake.asked, []);
  const json = new FakeIo();
  json.cwd = io.cwd;
  const told = await type([...words, '--json'], { io: json });
  t.is(told.status, 3);
  t.deepEqual(
    objects(told.out).map(({ event, error }) => [event, (error as { code: string }).code]),
    Array(3).fill(['error', 'no-such-path']),
  );
});

test('nothing runs here: how to start it', async (t) => {
  const { status, err } = await type(['send', 'a', '--to', 'bob'], {
    io: await folder(t),
    refuses: failure('not-running', 'no peer runs'),
  });
  t.is(status, 5);
  t.regex(err, /no peer runs\n {2}Start .*`hearsay share PATH`/);
});

test('a line a peer, each with its result', async (t) => {
  const fake = api(
    start,
    { event: 'asked', to: 'bob', peer: BOB },
    { event: 'accepted', to: 'alice', peer: ALICE },
    { event: 'progress', to: 'alice', peer: ALICE, bytes: 5, size: 12 * 2 ** 20 },
    bad('bob', 'refused', 'not \x1b now'),
    bad('carol', 'no-peer', 'no peer carol is here'),
    bad('dave', 'no-peer', 'no peer dave is here'),
    bad('erin', 'disk-full', 'photo.jpg does not fit'),
    bad('fay', 'busy', 'photo.jpg waits'),
    bad('gus', 'exists', 'photo.jpg is in the inbox'),
    bad('hal', 'timeout', 'nothing arrived'),
    done,
    end(1, 7),
  );
  const words = ['send', 'a', '--to', 'alice,bob,carol,dave,erin,fay,gus,hal'];
  const { status, out, err } = await type(words, { api: fake, io: await folder(t) });
  t.is(status, 6, 'somebody refused');
  t.is(out, 'alice: received photo.jpg, 12 MiB in 1.2 s\n');
  t.deepEqual(err.split('\n'), [
    'bob is asked',
    'hearsay: bob: refused (not \\u{1b} now)',
    'hearsay: carol: not running (no peer carol is here)',
    '  Check that the other machine runs `hearsay share` on the same network, or name it with --join HOST.',
    'hearsay: dave: not running (no peer dave is here)',
    'hearsay: erin: full (photo.jpg does not fit)',
    'hearsay: fay: already receiving it (photo.jpg waits)',
    'hearsay: gus: already here (photo.jpg is in the inbox)',
    'hearsay: hal: nothing arrived',
    'received by 1 of 8 peers',
    '',
  ]);
  const quiet = await type([...words, '--quiet'], { api: fake, io: await folder(t) });
  t.is(quiet.out, '');
  t.is(quiet.err.split('\n').filter((line) => line.startsWith('hearsay: ')).length, 7);
});

test('one that was named by its id is told with its name', async (t) => {
  const fake = api(start, { ...done, to: ALICE.id.slice(0, 12) }, end(1));
  const { out } = await type(['send', 'a', '--to', ALICE.id.slice(0, 12)], { api: fake, io: await folder(t) });
  t.is(out, `alice (${ALICE.id.slice(0, 12)}): received photo.jpg, 12 MiB in 1.2 s\n`);
});

const outcomes: [SendEvent[], number][] = [
  [[done], 0],
  [[bad('bob', 'refused', 'x'), done], 6],
  [[bad('bob', 'exists', 'x')], 6],
  [[bad('bob', 'busy', 'x')], 6],
  [[bad('bob', 'disk-full', 'x')], 6],
  [[bad('carol', 'no-peer', 'x'), done], 5],
  [[bad('carol', 'no-peer', 'x'), bad('bob', 'refused', 'x')], 6],
  [[bad('carol', 'ambiguous', 'x'), bad('bob', 'no-peer', 'x')], 4],
];
for (const [events, wanted] of outcomes) {
  const what = events.map((event) => ('error' in event ? event.error.code : event.event)).join(', ');
  test(`exit status of ${what}: ${wanted}`, async (t) => {
    for (const more of [[], ['--json']]) {
      const fake = api(start, ...events, end(0));
      const { status } = await type(['send', 'a', '--to', 'x', ...more], { api: fake, io: await folder(t) });
      t.is(status, wanted);
    }
  });
}

test('--json tells every event, the progress of each at most four times a second, and keeps codes', async (t) => {
  const io = await folder(t);
  const fake = new FakeApi();
  const progress = (to: string, bytes: number): SendEvent => ({ event: 'progress', to, peer: BOB, bytes, size: 9 });
  fake.sending = async function* () {
    yield start;
    for (let tenth = 0; tenth < 8; tenth++, io.clock += 100) {
      yield progress('bob', tenth);
      yield progress('alice', tenth);
    }
    yield bad('bob', 'disk-full', 'no room');
    yield done;
    yield end(1, 1);
  };
  const { status, out, err } = await type(['send', 'a', '--to', 'bob,alice', '--json'], { api: fake, io });
  t.is(status, 6);
  t.is(err, '');
  const events = objects(out);
  t.deepEqual(events[0], { ...start });
  for (const name of ['alice', 'bob']) {
    const told = events.filter(({ event, to }) => event === 'progress' && to === name);
    t.deepEqual(
      told.map(({ bytes }) => bytes),
      [0, 3, 6],
    );
  }
  t.like(events.at(-3), { event: 'error', to: 'bob', error: { code: 'disk-full', message: 'no room' } });
  t.deepEqual(events.at(-1), { ...end(1, 1) });
});

test('on a terminal a line of progress a peer', async (t) => {
  const io = await folder(t);
  io.stderr.isTTY = true;
  io.env.NO_COLOR = '1';
  const fake = new FakeApi();
  let drawn = '';
  fake.sending = async function* () {
    yield start;
    yield { event: 'asked', to: 'bob', peer: BOB };
    yield { event: 'progress', to: 'alice', peer: ALICE, bytes: 6 * 2 ** 20, size: 12 * 2 ** 20 };
    await new Promise<void>((resolve) => {
      io.stderr.onWrite = resolve;
    });
    drawn = io.stderr.text;
    yield done;
    yield end(1);
  };
  await type(['send', 'a', '--to', 'alice,bob'], { api: fake, io });
  t.regex(drawn, /bob .*0 %.*is asked/);
  t.regex(drawn, /alice .*50 %.*receiving/);
  t.regex(drawn, /0 of 2 peers .*25 %/);
  t.true(io.stderr.text.endsWith('\x1b[J'), 'nothing of it is left');
});

test('Ctrl-C takes it back, and says so', async (t) => {
  for (const throws of [false, true]) {
    for (const json of [false, true]) {
      const io = await folder(t);
      const fake = new FakeApi();
      fake.sending = async function* (_query, signal) {
        yield start;
        yield done;
        io.interrupt();
        await aborted(signal);
        if (throws) throw failure('interrupted', 'stop');
        yield bad('bob', 'cancelled', 'taken back');
        yield end(1, 1);
      };
      const words = ['send', 'a', '--to', 'alice,bob', ...(json ? ['--json'] : [])];
      const { status, out, err, closed } = await type(words, { api: fake, io });
      t.is(status, 130);
      t.is(closed, 1);
      if (!json) {
        t.is(err, 'hearsay: interrupted: it was taken back from those who do not have all of it\n');
        continue;
      }
      const told = objects(out).map(({ event }) => event);
      t.deepEqual(told, throws ? ['start', 'done', 'error'] : ['start', 'done', 'error', 'end']);
      t.like(objects(out)[2], { error: { code: 'interrupted' } });
    }
  }
});

test('what stops everything is told as it is thrown', async (t) => {
  const fake = new FakeApi();
  // biome-ignore lint/correctness/useYield: it fails before anything happens
  fake.sending = async function* () {
    throw failure('conflict', 'two things are called a');
  };
  const { status, err } = await type(['send', 'a', '--to', 'bob'], { api: fake, io: await folder(t) });
  t.is(status, 2);
  t.regex(err, /^hearsay: two things are called a\n/);
});

interface Seen {
  query: SendQuery | undefined;
  content: string | undefined;
  modes: number[];
}

/** A peer which looks at what it is asked to send. */
function looking(): { fake: FakeApi; seen: Seen } {
  const seen: Seen = { query: undefined, content: undefined, modes: [] };
  const fake = new FakeApi();
  fake.sending = async function* (query) {
    const [path] = query.files;
    seen.query = query;
    seen.content = await readFile(path, 'utf8');
    seen.modes = await Promise.all([path, join(path, '..')].map(async (each) => (await stat(each)).mode & 0o777));
    yield start;
    yield done;
    yield end(1);
  };
  return { fake, seen };
}

// Nobody else's are among these.
process.env.TMPDIR = process.env.TEMP = process.env.TMP = mkdtempSync(join(tmpdir(), 'hearsay-send-'));
test.after.always(() => rm(tmpdir(), { recursive: true, force: true }));
const left = async () => (await readdir(tmpdir())).filter((name) => /^hearsay-send-.{6}$/.test(name));

test.serial('standard input is sent under its name, from a private file that is gone afterwards', async (t) => {
  for (const text of ['some text', '']) {
    const io = await folder(t);
    io.stdin = Readable.from(text === '' ? [] : [Buffer.from(text)]);
    const { fake, seen } = looking();
    const { status } = await type(['send', '-', '--as', 'notes.txt', '--to', 'alice'], { api: fake, io });
    t.is(status, 0);
    t.is(seen.content, text);
    t.is(seen.query?.as, 'notes.txt');
    t.deepEqual(seen.query?.to, ['alice']);
    if (process.platform !== 'win32') t.deepEqual(seen.modes, [0o600, 0o700]);
    t.deepEqual(await left(), []);
  }
});

test.serial('standard input that is interrupted, or cannot be read, leaves nothing and sends nothing', async (t) => {
  for (const how of ['interrupt', 'fail'] as const) {
    const io = await folder(t);
    const stdin = new PassThrough();
    io.stdin = stdin;
    stdin.write('half');
    const { fake, seen } = looking();
    const running = type(['send', '-', '--as', 'x', '--to', 'alice'], { api: fake, io });
    // Half of it is in the file.
    for (let size = 0; size < 4; ) {
      const [made] = await left();
      size = made
        ? await stat(join(tmpdir(), made, 'input')).then(
            ({ size }) => size,
            () => 0,
          )
        : 0;
    }
    if (how === 'interrupt') io.interrupt();
    else stdin.destroy(Object.assign(new Error('EIO: read'), { code: 'EIO' }));
    const { status, err } = await running;
    t.is(status, how === 'interrupt' ? 130 : 1);
    t.regex(err, how === 'interrupt' ? /interrupted: nothing was sent/ : /standard input cannot be read: /);
    t.is(seen.query, undefined);
    t.deepEqual(await left(), []);
  }
});
