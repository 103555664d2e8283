/** A session at the console, with a peer and a terminal that are not real. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import test, { type ExecutionContext } from 'ava';
import type { GetEvent, ShareEvent, StatusReport } from '../../lib/api.js';
import type { Connect, Wanted } from '../../lib/cli/io.js';
import { run } from '../../lib/cli/main.js';
import { DETACHED } from '../../lib/detached.js';
import { Stream } from '../../lib/drive/stream.js';
import { HearsayError } from '../../lib/errors.js';
import { CONSOLE_BEHIND_MAX, CONSOLE_HISTORY_MAX, CONSOLE_LINES_MAX } from '../../lib/limits.js';
import { ALICE, aborted, BOB, FakeApi, FakeIo, failure, ID, objects, peerRow, row, STATUS } from './cli-fake.js';
import { FakeTerminal } from './fake-terminal.js';

/** One whose state folder is there, and that says what happens when the test says so. */
class Peer extends FakeApi {
  readonly events$ = new Stream<ShareEvent>();
  state = '';
  refreshes = 0;
  override others = [peerRow({ ...ALICE, self: true }), peerRow({ ...BOB, files: 2 })];

  override happening = () => this.events$;

  override async status(): Promise<StatusReport> {
    return { ...STATUS, state: this.state };
  }

  override async refresh() {
    this.refreshes++;
    return super.refresh();
  }
}

const FILES = [
  row('a b/one.txt', { peers: [ALICE, BOB], size: 5 }),
  row('photos/x.jpg', { peers: [BOB], size: 2 ** 20 }),
  row('photos/y.jpg', { peers: [BOB], size: 2 ** 20, id: null }),
];

interface Options {
  api?: Peer;
  io?: FakeIo;
  /** No peer runs on the state folder. */
  own?: boolean;
  args?: string[];
}

/** Opens a console. */
async function open(t: ExecutionContext, { api = new Peer(), io, own = false, args = [] }: Options = {}) {
  const terminal = new FakeTerminal();
  const wanted: Wanted[] = [];
  let closed = 0;
  if (api.state === '') {
    api.state = await mkdtemp(join(tmpdir(), 'hearsay-console-'));
    t.teardown(() => rm(api.state, { recursive: true, force: true }));
  }
  const connect: Connect = async (want) => {
    wanted.push(want);
    if (want.mode === 'running' && own) throw new HearsayError('not-running', 'none');
    return { api, running: !own, timeout: 30, unreached: () => new Map(), close: async () => void closed++ };
  };
  const status = run(['console', ...args], io ?? terminal.io, connect);
  return { api, terminal, wanted, status, closed: () => closed };
}

test('it opens with its own name, id, port and peers, and says goodbye', async (t) => {
  const one = await open(t);
  const { terminal } = one;
  await terminal.until(/^hearsay>/);
  t.deepEqual(terminal.lines, [
    `alice ${ALICE.id} on port 47748`,
    '1 other peer: bob',
    'this is the peer that runs as process 4321: it goes on when you quit',
    '`help` lists what can be typed',
    'hearsay>',
  ]);
  t.is(one.api.refreshes, 0);
  const raw = terminal.io.stdout.text;
  t.true(raw.indexOf('hearsay> ') > raw.indexOf('lists what can be typed'), 'no prompt before it is its turn');
  terminal.type('quit\r');
  t.is(await one.status, 0);
  t.deepEqual(terminal.lines.slice(-3), ['hearsay> quit', 'goodbye; the peer goes on', '']);
  t.is(one.closed(), 1);
  t.deepEqual(
    one.wanted.map(({ mode }) => mode),
    ['running'],
  );
});

test('where no peer runs it is one, with what is to be shared, and asks who is here first', async (t) => {
  const one = await open(t, { own: true, args: ['pics', '--seed-only'] });
  await one.terminal.until(/^hearsay>/);
  t.is(one.api.refreshes, 1);
  t.deepEqual(
    one.wanted.map(({ mode }) => mode),
    ['running', 'console'],
  );
  t.true(`${(one.wanted[1].flags.share as string[])[0]}`.endsWith('pics'));
  t.true(one.wanted[1].flags['seed-only']);
  t.notRegex(one.terminal.lines.join('\n'), /goes on when you quit/);
  one.terminal.type('q\r');
  t.is(await one.status, 0);
  t.is(one.terminal.last, 'goodbye');
  const io = new FakeIo();
  const taken = await open(t, { io, args: ['pics'] });
  t.is(await taken.status, 2);
  t.regex(io.stderr.text, /a peer runs on this state folder already: `hearsay add PATH`/);
});

test('Ctrl-D ends it, and so does a second Ctrl-C on an empty line; the first clears the line', async (t) => {
  const first = await open(t);
  await first.terminal.until(/^hearsay>/);
  first.terminal.type('\x04');
  t.is(await first.status, 0);
  t.deepEqual(first.terminal.lines.slice(-3), ['hearsay>', 'goodbye; the peer goes on', '']);
  const { terminal, status } = await open(t);
  await terminal.until(/^hearsay>/);
  terminal.type('something\x1b[D\x1b[D');
  await terminal.until(/^hearsay> something$/);
  terminal.type('\x03');
  await terminal.until((lines) => lines.at(-1) === 'hearsay>');
  terminal.type('\x03');
  await terminal.until(/Ctrl-C once more ends the console/);
  terminal.type('status\r');
  await terminal.until(/process 4321, running/);
  await terminal.until((lines) => lines.at(-1) === 'hearsay>');
  terminal.type('\x03\x03');
  t.is(await status, 0);
  t.is(terminal.lines.filter((line) => line.startsWith('Ctrl-C once more')).length, 2);
});

test('files of a peer are numbered and keep their numbers; a peer that is not here is named', async (t) => {
  const api = new Peer();
  api.files = FILES;
  const { terminal, status } = await open(t, { api });
  await terminal.until(/^hearsay>/);
  terminal.type('ls\r');
  await terminal.until(/^alice \(this one\): 1 file/);
  const listed = ['bob: 3 files, 2.0 MiB', '    1       5 B  a b/one.txt', '    2   1.0 MiB  photos/x.jpg'];
  const own = ['alice (this one): 1 file, 5 B', '    4       5 B  a b/one.txt'];
  t.deepEqual(terminal.lines.slice(5, -1), [...listed, '    3   1.0 MiB  photos/y.jpg (no id yet)', ...own]);
  api.files = [row('a b/new', { peers: [BOB] }), FILES[2]];
  api.away = ['carol\x1b'];
  terminal.type('l bob photos/ dave\r');
  await terminal.until(/^hearsay: carol\\u\{1b\} is not here$/);
  t.deepEqual(api.asked.at(-1), { pattern: 'photos/', from: ['bob', 'dave'] });
  t.true(terminal.lines.includes('    5    1000 B  a b/new'));
  t.true(terminal.lines.includes('    3   1.0 MiB  photos/y.jpg (no id yet)'));
  terminal.type('q\r');
  t.is(await status, 0);
});

async function* done(path: string, number = 1): AsyncGenerator<GetEvent> {
  const end = { size: 5, id: ID, seconds: 0.1, received: 5, sources: [{ ...BOB, bytes: 5 }] };
  yield { event: 'start', files: 1, bytes: 5, number };
  yield { event: 'done', path, file: `/work/${path}`, ...end };
  yield { event: 'end', files: 1, bytes: 5, failed: 0 };
}

test('a get by number leaves the prompt free, and its end does not break what is being typed', async (t) => {
  const api = new Peer();
  api.files = FILES;
  let go = () => {};
  const waits = new Promise<void>((resolve) => {
    go = resolve;
  });
  api.fetching = async function* () {
    for await (const event of done('photos/x.jpg')) {
      yield event;
      if (event.event === 'start') await waits;
    }
  };
  const { terminal, status } = await open(t, { api });
  await terminal.until(/^hearsay>/);
  terminal.type('ls bob\r');
  await terminal.until(/photos\/y/);
  terminal.type('g 2-3 -o in/\r');
  await terminal.until(() => api.asked.some((query) => typeof query === 'object' && query && 'what' in query));
  t.like(api.asked.at(-1), {
    what: [`${BOB.id}:photos/x.jpg`, `${BOB.id}:photos/y.jpg`],
    to: join(terminal.io.cwd, 'in/'),
  });
  // The peer tells the end of the same transfer too; that of another's is told.
  const transfer = {
    direction: 'in' as const,
    path: 'p',
    size: 5,
    bytes: 5,
    rate: 0,
    what: ['p'],
    peers: [BOB],
    state: 'done' as const,
  };
  api.events$.push({ event: 'transfer', row: { ...transfer, number: 1 } });
  api.events$.push({ event: 'transfer', row: { ...transfer, number: 2, path: 'other' } });
  await terminal.until(/^transfer 2, get of other, is done/);
  t.notRegex(terminal.lines.join('\n'), /transfer 1,/);
  terminal.type('find hol');
  await terminal.until(/^hearsay> find hol$/);
  // The cursor is within the word.
  terminal.type('\x1b[D');
  go();
  await terminal.until(/^got photos\/x\.jpg \(5 B/);
  t.is(terminal.last, 'hearsay> find hol');
  api.files = [];
  terminal.type('X\r');
  await terminal.until(/no files/);
  t.deepEqual(api.asked.at(-1), { words: ['hoXl'] });
  terminal.type('quit\r');
  t.is(await status, 0);
});

test('what happens is told between the lines, also where the line is longer than the terminal is wide', async (t) => {
  const api = new Peer();
  const { terminal, status } = await open(t, { api });
  await terminal.until(/^hearsay>/);
  const long = `find ${'0123456789'.repeat(20)}`;
  terminal.type(long);
  await terminal.until((lines) => lines.join('').endsWith(`hearsay> ${long}`));
  terminal.type('\x03');
  await terminal.until((lines) => lines.at(-1) === 'hearsay>');
  terminal.paste(long);
  await terminal.until((lines) => lines.join('').endsWith(`hearsay> ${long}`));
  const before = terminal.lines.length;
  api.events$.push({ event: 'peer', change: 'came', ...BOB });
  api.events$.push({ event: 'files', peer: BOB, added: 120, changed: 0, removed: 0, path: 'photos/\x1b[31m' });
  api.events$.push({ event: 'warning', message: 'a disk\nis full' });
  await terminal.until(/a disk\\nis full/);
  t.deepEqual(terminal.lines.slice(4), [
    `bob is here (${BOB.id})`,
    'bob: 120 files more (photos/\\u{1b}[31m, ...)',
    'hearsay: a disk\\nis full',
    ...terminal.lines.slice(-3),
  ]);
  t.is(terminal.lines.slice(-3).join(''), `hearsay> ${long}`);
  t.is(terminal.lines.length, before + 3);
  // From the first of its rows it goes the same way.
  terminal.type('\x01');
  api.events$.push({ event: 'peer', change: 'left', ...BOB });
  await terminal.until(/bob has left/);
  t.is(terminal.lines.slice(-3).join(''), `hearsay> ${long}`);
  terminal.type('\x05!');
  await terminal.until((lines) => lines.join('').endsWith(`${long}!`));
  terminal.io.stdout.text = '';
  terminal.io.stdout.resize(60);
  await terminal.until((lines) => lines.join('').endsWith(`${long}!`));
  // Wider, the terminal has it in fewer rows, and what is above them is another's.
  terminal.io.stdout.text = '';
  terminal.io.stdout.resize(500);
  await terminal.until((lines) => lines.join('').endsWith(`${long}!`));
  t.false(terminal.io.stdout.text.includes('A'), 'it does not go up');
  terminal.type('\x03');
  await terminal.until((lines) => lines.at(-1) === 'hearsay>');
  terminal.type('q\r');
  t.is(await status, 0);
});

test('a flood of events leaves the prompt readable', async (t) => {
  const api = new Peer();
  const { terminal, status } = await open(t, { api });
  await terminal.until(/^hearsay>/);
  for (let i = 0; i < 500; i++) api.events$.push({ event: 'peer', change: 'came', ...BOB });
  await terminal.until(/490 things more happened/);
  t.is(terminal.lines.filter((line) => line.startsWith('bob is here')).length, 10);
  terminal.type('q\r');
  t.is(await status, 0);
});

test('unknown input is named, and what fails ends nothing', async (t) => {
  const api = new Peer();
  api.refreshed = { ...api.refreshed, came: [BOB], peers: { came: 1, left: 0 } };
  const { terminal, status } = await open(t, { api });
  await terminal.until(/^hearsay>/);
  const cases: [string, RegExp][] = [
    ['gte 1', /^hearsay: there is no command gte\. Did you mean get\?$/],
    ['frobnicate', /^hearsay: there is no command frobnicate\. There are peers, ls/],
    ['get 7', /^hearsay: no file has the number 7; none is given yet/],
    ['get "a', /^hearsay: a quote is not closed: "$/],
    ['get x -o -', /^hearsay: -o - is not for the console/],
    ['send - --as x --to bob', /^hearsay: send - is not for the console/],
    ['status --watch', /^hearsay: --watch is not for the console/],
    ['peers --port 7', /^hearsay: --port is for the start of the console/],
    ['find', /^hearsay: find what\?/],
    ['ls --from bob', /^hearsay: ls has no --from at the console/],
    ['quit now', /^hearsay: quit takes no more words/],
    ['peers', /^alice +01ARZ3NDEKTSV4RRFFQ69G5FAV/],
    ['refresh', /^came: bob$/],
    ['help', /^ {2}peers +p .*who is here$/],
    ['help get', /^Usage: hearsay get/],
  ];
  for (const [line, said] of cases) {
    terminal.io.stdout.text = '';
    terminal.type(`${line}\r`);
    await terminal.until(said);
    await terminal.until((lines) => lines.at(-1) === 'hearsay>');
  }
  api.fails = failure('no-peer', 'not here: carol');
  terminal.type('ls carol\r');
  await terminal.until(/^hearsay: not here: carol$/);
  terminal.type('q\r');
  t.is(await status, 0, 'somebody at a terminal has seen what failed');
});

test('Tab completes commands, peers and paths, quoted where that is needed', async (t) => {
  const api = new Peer();
  api.below = async ({ prefix, from }) => {
    t.true(from === undefined || from[0] === 'bob');
    const all = [
      { path: 'a b', folder: true },
      { path: 'photos', folder: true },
    ];
    if (prefix.startsWith('photos/')) return [{ path: 'photos/x.jpg', folder: false }];
    return all.filter(({ path }) => path.startsWith(prefix));
  };
  const { terminal, status } = await open(t, { api });
  await terminal.until(/^hearsay>/);
  const cases: [string, string][] = [
    ['pe\t', 'hearsay> peers'],
    ['ls b\t', 'hearsay> ls bob'],
    ['get ph\t', 'hearsay> get photos/'],
    ['get photos/\t', 'hearsay> get photos/x.jpg'],
    ['get a\t', 'hearsay> get a\\ b/'],
    ['get "a\t', 'hearsay> get "a b/'],
    ['get bob:ph\t', 'hearsay> get bob:photos/'],
    ['get x --from b\t', 'hearsay> get x --from bob'],
    ['send x --to alice,b\t', 'hearsay> send x --to alice,bob'],
    ['frob x\t', 'hearsay> frob x'],
  ];
  for (const [keys, line] of cases) {
    terminal.io.stdout.text = '';
    terminal.type(keys);
    await terminal.until((lines) => `hearsay> ${lines.at(-1)}` === line || lines.at(-1) === line);
    // Escape sequences are told from a lone escape by time; this needs none.
    terminal.type('\x03');
    await terminal.until((lines) => lines.at(-1) === 'hearsay>');
  }
  terminal.type('\x04');
  t.is(await status, 0);
});

test('Tab completes files of this machine', async (t) => {
  const api = new Peer();
  const { terminal, status } = await open(t, { api });
  await writeFile(join(api.state, 'report one.pdf'), '');
  await terminal.until(/^hearsay>/);
  terminal.io.stdout.columns = 500;
  terminal.type(`send ${api.state}/rep\t`);
  await terminal.until((lines) => lines.at(-1) === `hearsay> send ${api.state}/report\\ one.pdf`);
  terminal.type('\x03\x04');
  t.is(await status, 0);
});

test('what was typed is there again, in the next session too', async (t) => {
  const api = new Peer();
  const first = await open(t, { api });
  await first.terminal.until(/^hearsay>/);
  first.terminal.type('find one\r');
  await first.terminal.until(/no files/);
  first.terminal.type('q\r');
  await first.status;
  t.is(await readFile(join(api.state, 'console-history'), 'utf8'), 'find one\nq\n');
  t.true(CONSOLE_HISTORY_MAX >= 100);
  const again = new Peer();
  again.state = api.state;
  const { terminal, status } = await open(t, { api: again });
  await terminal.until(/^hearsay>/);
  terminal.type('\x1b[A\x1b[A');
  await terminal.until((lines) => lines.at(-1) === 'hearsay> find one');
  terminal.type('\x03\x04');
  t.is(await status, 0);
});

test('so many run behind the prompt, and the next one when one of them ends', async (t) => {
  const api = new Peer();
  const ends: (() => void)[] = [];
  api.fetching = async function* ({ what }, signal) {
    await Promise.race([new Promise<void>((resolve) => ends.push(resolve)), aborted(signal)]);
    yield* done(what[0], ends.length);
  };
  const { terminal, status } = await open(t, { api });
  await terminal.until(/^hearsay>/);
  for (let i = 0; i < CONSOLE_BEHIND_MAX + 1; i++) terminal.type(`get f${i}\r`);
  await terminal.until(new RegExp(`${CONSOLE_BEHIND_MAX} run already`));
  await terminal.until(() => ends.length === CONSOLE_BEHIND_MAX);
  ends[0]();
  await terminal.until(/^got f0 /);
  await terminal.until(() => ends.length === CONSOLE_BEHIND_MAX + 1);
  terminal.type('quit\r');
  t.is(await status, 0);
  t.true(
    terminal.lines.includes(`${CONSOLE_BEHIND_MAX} gets not done: what was begun goes on in the peer that runs`),
    terminal.lines.join('\n'),
  );
});

test('Ctrl-C ends what stands before the prompt; lines typed ahead are bounded', async (t) => {
  const api = new Peer();
  api.list = () => new Promise(() => {});
  const { terminal, status } = await open(t, { api });
  await terminal.until(/^hearsay>/);
  terminal.type('ls\r');
  await terminal.until(/hearsay> ls/);
  terminal.type('x\r'.repeat(CONSOLE_LINES_MAX + 10));
  await terminal.until(new RegExp(`more than ${CONSOLE_LINES_MAX} lines at once`));
  terminal.type('\x03');
  await terminal.until(/hearsay: interrupted/);
  await terminal.until((lines) => lines.filter((line) => /no command x/.test(line)).length === CONSOLE_LINES_MAX);
  terminal.type('\x04');
  t.is(await status, 0);
});

test('when the peer ends, so does the console, and says so', async (t) => {
  const { api, terminal, status } = await open(t);
  await terminal.until(/^hearsay>/);
  api.events$.fail(new HearsayError('not-running', 'the running peer has ended'));
  t.is(await status, 0);
  t.true(terminal.lines.includes('hearsay: the running peer has ended'));
});

test('SIGTERM ends it', async (t) => {
  const { terminal, status } = await open(t);
  await terminal.until(/^hearsay>/);
  terminal.io.interrupt();
  t.is(await status, 0);
  t.is(terminal.last, 'goodbye; the peer goes on');
});

/** Opens a console that reads from a pipe. */
async function piped(t: ExecutionContext, text: string, { api = new Peer(), args = [] }: Options = {}) {
  const io = new FakeIo();
  io.stdin = Readable.from([text]);
  const { status } = await open(t, { api, io, args });
  return { status: await status, out: io.stdout.text, err: io.stderr.text, api };
}

test('what is piped in is done line by line, without a prompt; the last failure is the exit status', async (t) => {
  const api = new Peer();
  api.files = FILES;
  api.fetching = () => done('photos/x.jpg');
  const all = await piped(t, '# what there is\nls bob\nget 2 -o in/\nstatus', { api });
  t.is(all.status, 0);
  t.true(all.out.startsWith('bob: 3 files, 2.0 MiB\n'));
  t.regex(all.out, /\ngot photos\/x\.jpg[^\n]*\n.*alice 01ARZ/s);
  for (const text of ['hearsay>', '\x1b', 'goodbye']) t.false((all.out + all.err).includes(text), text);
  const failed = await piped(t, 'get 99\nls\nfrobnicate\npeers\n');
  t.is(failed.status, 2);
  t.regex(failed.err, /no file has the number 99[\s\S]*there is no command frobnicate/);
  t.is((await piped(t, 'quit\nfrobnicate\n')).status, 0);
  t.is((await piped(t, 'frobnicate\nget 99\n')).status, 3);
});

test('--json: an object a line, with the numbers of files and what happens', async (t) => {
  const api = new Peer();
  api.files = FILES;
  api.events$.push({ event: 'peer', change: 'came', ...BOB });
  const { out, err, status } = await piped(t, 'ls\nrefresh\nget 99\n', { api, args: ['--json'] });
  t.is(status, 3);
  t.is(err, '');
  const told = objects(out);
  t.like(told[0], { event: 'console', name: 'alice', port: 47748, running: true });
  const listed = told.find((one) => 'files' in one && Array.isArray(one.files)) as { files: { peers: unknown[] }[] };
  t.deepEqual(listed.files[0].peers, [
    { ...ALICE, number: 1 },
    { ...BOB, number: 2 },
  ]);
  t.true(told.some((one) => one.event === 'peer'));
  t.true(told.some((one) => 'came' in one));
  t.deepEqual((told.at(-1) as { error: { code: string } }).error.code, 'not-found');
});

test('--json: help is objects too', async (t) => {
  const { out } = await piped(t, 'help\nhelp get\nget --help\n', { args: ['--json'] });
  const [all, ...one] = objects(out).filter((told) => 'commands' in told) as { commands: { name: string }[] }[];
  t.true(all.commands.some(({ name }) => name === 'quit'));
  const only = { commands: [all.commands.find(({ name }) => name === 'get')] };
  t.deepEqual(one, [only, only]);
});

test('--trace is refused, as it would print where one types', async (t) => {
  const io = new FakeIo();
  const { status } = await open(t, { io, args: ['--trace'] });
  t.is(await status, 2);
  t.regex(io.stderr.text, /--trace would print where one types/);
});

test('what runs behind is left at the end: a get goes on without it, a send is taken back; no word of theirs follows', async (t) => {
  const api = new Peer();
  const reasons: unknown[] = [];
  api.fetching = async function* (_query, signal) {
    yield { event: 'start', files: 1, bytes: 1, number: 1 };
    await aborted(signal);
    reasons.push(signal.reason);
    throw new HearsayError('interrupted', 'a word of its own');
  };
  api.sending = async function* (_query, signal) {
    yield { event: 'start', number: 2, name: 'x', files: 1, bytes: 1 };
    await aborted(signal);
    reasons.push(signal.reason);
  };
  const { terminal, status } = await open(t, { api, own: true });
  await terminal.until(/^hearsay>/);
  terminal.type('get x\r');
  const file = join(api.state, 'x');
  await writeFile(file, '');
  terminal.type(`send "${file}" --to bob\r`);
  await terminal.until(() => api.asked.length === 2);
  terminal.type('\x04');
  t.is(await status, 0);
  const text = terminal.lines.join('\n');
  t.regex(
    text,
    /1 get not done: what was begun goes on when a peer runs here again\n1 send not done: taken back\ngoodbye$/m,
  );
  t.deepEqual(reasons, [DETACHED, DETACHED]);
  t.notRegex(text, /a word of its own/);
});

test('SIGTERM does not end what a running peer keeps; Ctrl-C while it reads a pipe does', async (t) => {
  for (const why of ['end', 'interrupt'] as const) {
    const api = new Peer();
    let reason: unknown;
    api.fetching = async function* (_query, signal) {
      yield { event: 'start', files: 1, bytes: 1, number: 1 };
      await aborted(signal);
      reason = signal.reason;
    };
    const io = new FakeIo();
    io.stdin = Readable.from(['get x\n']);
    const { status } = await open(t, { api, io });
    await until(() => api.asked.length === 1);
    io.interrupt(why);
    t.is(await status, 130);
    t.is(reason === DETACHED, why === 'end');
  }
});

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}
