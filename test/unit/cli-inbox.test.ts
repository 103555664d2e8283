import { PassThrough } from 'node:stream';
import test from 'ava';
import type { AnsweredRow, InboxRow, ShareEvent } from '../../lib/api.js';
import { ALICE, BOB, FakeApi, FakeIo, objects, type } from './cli-fake.js';

function offer(number: number, more: Partial<InboxRow> = {}): InboxRow {
  return {
    number,
    time: 1_700_000_000_000,
    from: ALICE,
    name: 'photo.jpg',
    folder: false,
    files: 1,
    bytes: 12 * 2 ** 20,
    state: 'waiting',
    received: 0,
    ...more,
  };
}

function api(...offered: InboxRow[]): FakeApi {
  const fake = new FakeApi();
  fake.offered = offered;
  return fake;
}

const refused = { code: 'refused' as const, message: 'nobody \x07 wants it' };

test('inbox lists what waits, comes, came and did not, and how to answer', async (t) => {
  const rows = [
    offer(1, { state: 'received', path: '/in/photo.jpg' }),
    offer(2, { state: 'refused', name: 'a\x1b', error: refused }),
    offer(3, { state: 'failed', from: { id: BOB.id, name: '' } }),
    offer(4, { state: 'receiving', received: 3 * 2 ** 20, folder: true, files: 1200, name: 'trip' }),
    offer(5),
  ];
  const { status, out, err, wanted } = await type(['inbox'], { api: api(...rows) });
  t.is(status, 0);
  t.is(wanted[0].mode, 'running');
  t.deepEqual(out.split('\n'), [
    'N  FROM                        NAME             FILES    SIZE  STATE',
    '1  alice                       photo.jpg       1 file  12 MiB  received: /in/photo.jpg',
    '2  alice                       a\\u{1b}         1 file  12 MiB  refused: nobody \\u{7} wants it',
    `3  ${BOB.id}  photo.jpg       1 file  12 MiB  failed`,
    '4  alice                       trip/      1,200 files  12 MiB  25 % received',
    '5  alice                       photo.jpg       1 file  12 MiB  waits for an answer',
    '',
  ]);
  t.regex(err, /`hearsay inbox accept N` takes what waits/);
  const json = await type(['inbox', '--json'], { api: api(...rows) });
  t.deepEqual(JSON.parse(json.out), { inbox: rows });
  t.is(json.err, '');
  const over = await type(['inbox'], { api: api(rows[0]) });
  t.is(over.err, '', 'nothing is to be answered');
  const quiet = await type(['inbox', '--quiet'], { api: api(rows[0]) });
  t.is(quiet.out, '1  alice  photo.jpg  1 file  12 MiB  received: /in/photo.jpg\n');
});

test('an empty inbox says so on standard error', async (t) => {
  t.like(await type(['inbox']), { status: 0, out: '', err: 'nothing was sent here since this peer was started\n' });
  t.like(await type(['inbox', '--json']), { status: 0, out: '{"inbox":[]}\n', err: '' });
});

test('of what is over the latest are listed, and all with --verbose; what is not over always', async (t) => {
  const old = Array.from({ length: 25 }, (_, i) => offer(i + 2, { state: 'received' }));
  const fake = api(offer(1), ...old);
  const { out } = await type(['inbox'], { api: fake });
  const lines = out.split('\n');
  t.regex(lines[1], /^ 1 .*waits/);
  t.regex(lines[2], /^ 7 .*received/);
  t.is(lines.at(-2), 'and 5 earlier ones: --verbose');
  t.is((await type(['inbox', '--verbose'], { api: fake })).out.split('\n').length, 28);
});

test('accept and refuse answer by numbers or all at once', async (t) => {
  const fake = new FakeApi();
  fake.answered = [
    { number: 3, name: 'a\x1b', from: ALICE },
    { number: 9, error: { code: 'not-found', message: 'nothing has number 9' } },
    { number: 4, error: { code: 'disk-full', message: 'no room' } },
  ];
  const { status, out, err } = await type(['inbox', 'accept', '3', '9', '4', '3'], { api: fake });
  t.is(status, 3);
  t.is(out, 'accepted 3: a\\u{1b} from alice\n');
  t.is(err, 'hearsay: nothing has number 9\nhearsay: no room\n');
  t.deepEqual(fake.asked, [{ verb: 'accept', numbers: [3, 9, 4] }]);
  const json = await type(['inbox', 'refuse', 'all', '--json'], { api: fake });
  t.is(json.status, 3);
  t.deepEqual(JSON.parse(json.out), { refused: fake.answered });
  t.is(json.err, '');
  t.deepEqual(fake.asked.at(-1), { verb: 'refuse', numbers: 'all' });
  t.like(await type(['inbox', '--json', 'accept', 'all']), { status: 0, out: '{"accepted":[]}\n' });
  t.like(await type(['inbox', 'accept', 'all']), { status: 0, out: '', err: 'nothing waits\n' });
});

const wrong: [string[], RegExp][] = [
  [['acept', '3'], /there is no hearsay inbox acept; there are accept N and refuse N/],
  [['accept'], /accept what\?.*hearsay inbox accept 3/],
  [['refuse', 'x'], /x is no number/],
  [['accept', '0'], /0 is no number/],
  [['accept', 'all', '3'], /all is no number/],
  [['accept', '1e3'], /1e3 is no number/],
];
for (const [argv, said] of wrong) {
  test(`usage: hearsay inbox ${argv.join(' ')}`, async (t) => {
    const { status, err, wanted } = await type(['inbox', ...argv]);
    t.is(status, 2);
    t.regex(err, said);
    t.is(wanted.length, 0);
  });
}

const ready: ShareEvent = { event: 'ready', ...BOB, port: 1, private: false, shares: [], addresses: [] };

interface Sharing {
  io: FakeIo;
  fake: FakeApi;
  tell(row: InboxRow): void;
  typed(line: string): void;
  /** Waits until the terminal shows something. */
  shows(text: string): Promise<void>;
  end(): Promise<string>;
}

const until = async (holds: () => boolean, what: () => string) => {
  for (let i = 0; i < 2000 && !holds(); i++) await new Promise((resolve) => setImmediate(resolve));
  if (!holds()) throw new Error(`in vain: ${what()}`);
};

/** `share` at a terminal, with whoever types there. */
async function sharing(how: { tty?: boolean; argv?: string[]; foreground?: boolean } = {}): Promise<Sharing> {
  const { tty = true, argv = [], foreground = true } = how;
  const io = new FakeIo();
  const stdin = Object.assign(new PassThrough(), { isTTY: tty });
  io.stdin = stdin;
  io.stdout.isTTY = tty;
  io.foreground = foreground;
  io.env.NO_COLOR = '1';
  const fake = new FakeApi();
  let tell = (_event: ShareEvent) => {};
  const running = type(['share', 'x', ...argv], {
    io,
    api: fake,
    tells: [ready],
    onSession: (wanted) => {
      tell = (event) => wanted.onEvent?.(event);
    },
  });
  const shows = (text: string) =>
    until(
      () => io.stdout.text.includes(text) || io.stderr.text.includes(text),
      () => `${text} in ${io.stdout.text}`,
    );
  await shows('ready');
  // By then it listens.
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
  return {
    io,
    fake,
    tell: (row) => tell({ event: 'inbox', row }),
    typed: (line) => void stdin.write(`${line}\n`),
    shows,
    end: async () => {
      io.interrupt();
      await running;
      return io.stdout.text;
    },
  };
}

/** Answers as the peer does: what was accepted begins to be received before the answer is there. */
function obeys({ fake, tell }: Sharing, ...rows: InboxRow[]): void {
  fake.answer = async (query) => {
    fake.asked.push(query);
    const answered: AnsweredRow[] = [];
    for (const number of query.numbers as number[]) {
      const row = rows.find((each) => each.number === number);
      if (row) tell({ ...row, state: query.verb === 'accept' ? 'receiving' : 'refused' });
      answered.push(row ? { number, name: row.name, from: row.from } : { number, error: refused });
    }
    return answered;
  };
}

test('share asks at its terminal, one question at a time', async (t) => {
  const here = await sharing();
  const [first, second] = [offer(3), offer(4, { from: BOB, name: 'trip', folder: true, files: 3 })];
  obeys(here, first, second);
  here.tell(first);
  here.tell(second);
  here.typed('perhaps');
  here.typed('Y');
  await here.shows('bob wants to send trip/ (3 files, 12 MiB): y/n?');
  here.typed('no');
  await here.shows('refused trip/');
  here.typed('y');
  await here.shows('nothing is asked now');
  const out = await here.end();
  t.deepEqual(out.split('\n').slice(1), [
    'alice wants to send photo.jpg (12 MiB): y/n? [hearsay inbox accept 3]',
    'bob wants to send trip/ (3 files, 12 MiB); to take it: hearsay inbox accept 4',
    'alice wants to send photo.jpg (12 MiB): y/n? [hearsay inbox accept 3]',
    'receiving photo.jpg (12 MiB) from alice',
    'bob wants to send trip/ (3 files, 12 MiB): y/n? [hearsay inbox accept 4]',
    'refused trip/ (3 files, 12 MiB) from bob',
    '',
  ]);
  t.deepEqual(here.fake.asked, [
    { verb: 'accept', numbers: [3] },
    { verb: 'refuse', numbers: [4] },
  ]);
});

test('an answer that may have been meant for a question that went away is not taken for the next', async (t) => {
  const here = await sharing();
  const [first, second] = [offer(3), offer(4, { from: BOB, name: 'b' })];
  obeys(here, first, second);
  here.tell(first);
  here.tell(second);
  here.tell({ ...first, state: 'failed', error: { code: 'cancelled', message: 'alice took it back' } });
  await here.shows('bob wants to send b (12 MiB): y 4 or n 4?');
  here.typed('y');
  here.typed('y 3');
  await here.shows('3 does not wait for an answer');
  t.deepEqual(here.fake.asked, []);
  here.typed('y 4');
  await here.shows('receiving b');
  t.deepEqual(here.fake.asked, [{ verb: 'accept', numbers: [4] }]);
  here.tell(offer(5));
  await here.shows('photo.jpg (12 MiB): y/n? [hearsay inbox accept 5]');
  const out = await here.end();
  const at = (text: string) => out.indexOf(text);
  t.true(at('alice took it back') < at('y 4 or n 4?'), 'what happened is told before the next is asked');
});

test('a second answer while the first is carried out is for no other question', async (t) => {
  const here = await sharing();
  const rows = [offer(3), offer(4)];
  obeys(here, ...rows);
  for (const row of rows) here.tell(row);
  here.typed('y\ny');
  await here.shows('y/n? [hearsay inbox accept 4]');
  await here.end();
  t.deepEqual(here.fake.asked, [{ verb: 'accept', numbers: [3] }]);
});

test('an answer that could not be carried out is told, and the next is asked', async (t) => {
  const here = await sharing();
  here.tell(offer(3));
  here.tell(offer(4));
  obeys(here);
  here.typed('y');
  await here.shows('hearsay: nobody \\u{7} wants it');
  await here.shows('y/n? [hearsay inbox accept 4]');
  await here.end();
  t.pass();
});

test('in the background nothing is read from the terminal; in the foreground again it is asked', async (t) => {
  const here = await sharing({ foreground: false });
  obeys(here, offer(3));
  here.tell(offer(3));
  await here.shows('to take it: hearsay inbox accept 3');
  here.typed('n');
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
  t.deepEqual(here.fake.asked, []);
  t.true(here.io.stdin.readableLength > 0, 'what was typed is still there, for whoever reads');
  here.io.stdin.read();
  here.io.goOn(true);
  await here.shows('y/n? [hearsay inbox accept 3]');
  here.typed('n');
  await here.shows('refused photo.jpg');
  here.io.goOn(false);
  await until(
    () => here.io.stdin.isPaused(),
    () => 'reading ends',
  );
  await here.end();
});

test('Ctrl-D ends the asking and not the sharing', async (t) => {
  const here = await sharing();
  here.io.stdin.push(null);
  await until(
    () => here.io.stdin.readableEnded,
    () => 'the end is seen',
  );
  here.io.goOn(true);
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
  here.tell(offer(3));
  await here.shows('to take it: hearsay inbox accept 3');
  t.false((await here.end()).includes('y/n?'));
});

test('without a terminal the line says how to accept; --json tells the event', async (t) => {
  const plain = await sharing({ tty: false });
  plain.tell(offer(3));
  t.true((await plain.end()).includes('alice wants to send photo.jpg (12 MiB); to take it: hearsay inbox accept 3\n'));
  const json = await sharing({ argv: ['--json'] });
  json.tell(offer(3));
  t.deepEqual(objects(await json.end()).at(-1), { event: 'inbox', row: { ...offer(3) } });
  const quiet = await sharing({ argv: ['--quiet'] });
  quiet.tell(offer(3));
  t.is((await quiet.end()).split('\n').length, 2);
});
