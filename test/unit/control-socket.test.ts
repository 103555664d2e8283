import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { FollowEvent, GetEvent, TraceRecord } from '../../lib/api.js';
import { serveControl } from '../../lib/daemon/control.js';
import { type ControlClient, connectControl } from '../../lib/daemon/control-client.js';
import { candidates, readCard, socketPath, writeCard } from '../../lib/daemon/place.js';
import { PROTOCOL } from '../../lib/daemon/protocol.js';
import { DETACHED } from '../../lib/detached.js';
import { HearsayError } from '../../lib/errors.js';
import { CONTROL_CREDIT, CONTROL_FRAME_MAX, CONTROL_REQUESTS_MAX } from '../../lib/limits.js';
import { ALICE, aborted, BOB, FakeApi, failure, ID, peerRow, row, STATUS } from './cli-fake.js';

const unix = process.platform === 'win32' ? test.skip : test;

async function folder(t: ExecutionContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'hearsay-control-'));
  t.teardown(() => rm(path, { recursive: true, force: true }));
  return path;
}

/** A served fake peer. */
async function serve(t: ExecutionContext, api = new FakeApi()) {
  const state = await folder(t);
  const control = await serveControl({ state, api });
  t.teardown(() => control.close());
  return { state, control, api };
}

async function client(t: ExecutionContext, state: string) {
  const found = await connectControl(state);
  if (!found) throw new Error('nothing runs');
  t.teardown(() => found.close());
  return found;
}

const never = new AbortController().signal;

async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const gathered: Item[] = [];
  for await (const item of items) gathered.push(item);
  return gathered;
}

test('every method comes through as it is', async (t) => {
  const { state, api } = await serve(t);
  const running = await client(t, state);
  t.is(running.pid, process.pid);
  api.files = [row('a\n日本'), row('b', { id: null, peers: [ALICE, BOB] })];
  api.away = ['carol'];
  api.others = [peerRow(), peerRow({ ...BOB, self: true })];
  const query = { pattern: 'x*', from: ['a'] };
  t.deepEqual(await running.list(query), { files: api.files, away: ['carol'] });
  t.deepEqual(api.asked, [query]);
  t.deepEqual(await running.peers(), api.others);
  api.held = [{ path: 'p', size: 1, id: null, chunks: 1, sources: [] }];
  t.deepEqual(await running.sources('p', ['x']), api.held);
  t.deepEqual(api.asked.at(-1), { what: 'p', from: ['x'] });
  t.deepEqual(await running.forget('bob'), api.forgotten);
  t.deepEqual(api.asked.at(-1), { forget: 'bob' });
  t.deepEqual(await running.status(), STATUS);
  // Of more bytes than one message holds.
  const long = 'x'.repeat(4000);
  api.rows = Array.from({ length: 200 }, (_, time) => ({
    time,
    peer: BOB,
    path: long,
    bytes: 1,
    outcome: 'completed',
  }));
  t.deepEqual(await running.served(), api.rows);
  api.findings = [{ level: 'bad', topic: 'peers', message: 'm', advice: 'a' }];
  t.deepEqual(await running.doctor(), { findings: api.findings, interfaces: [] });
  api.added = [
    { path: '/p', name: 'p', waiting: ['bob'] },
    { path: '/q', error: { code: 'no-such-path', message: 'm' } },
  ];
  const add = { paths: ['/p', '/q'], for: ['bob'], only: ['*.jpg'], exclude: ['x/'] };
  t.deepEqual(await running.add(add), api.added);
  t.deepEqual(api.asked.at(-1), add);
  api.removed = [{ what: 'p', name: 'p', path: '/p', until: 'restart', from: 'config' }];
  t.deepEqual(await running.remove({ what: ['p'], cwd: '/' }), api.removed);
  t.deepEqual(api.asked.at(-1), { what: ['p'], cwd: '/' });
  const changes: FollowEvent[] = [{ ...row('c'), event: 'added' }];
  api.changes = async function* () {
    yield* changes;
  };
  t.deepEqual(await all(running.follow({ words: ['w'] }, never)), changes);
  const events: GetEvent[] = [
    { event: 'start', files: 1, bytes: 2 },
    { event: 'error', path: 'p', error: { code: 'disk-full', message: 'm' } },
    { event: 'end', files: 0, bytes: 0, failed: 1 },
  ];
  api.fetching = async function* () {
    yield* events;
  };
  const get = { what: ['a'], to: '/in/', overwrite: true, timeout: 3 };
  t.deepEqual(await all(running.get(get, never)), events);
  t.deepEqual(api.asked.at(-1), get);
  const record: TraceRecord = { direction: 'in', over: 'udp', peer: '*', type: 'O offer', size: 3 };
  api.messages = async function* () {
    yield record;
  };
  t.deepEqual(await all(running.trace(never)), [record]);
});

test('requests run beside each other, several clients too', async (t) => {
  const { state, api } = await serve(t);
  let ready = () => {};
  const both = new Promise<void>((resolve) => {
    ready = resolve;
  });
  let calls = 0;
  api.list = async () => {
    if (++calls === 2) ready();
    await both;
    return { files: [], away: [] };
  };
  const [one, two] = [await client(t, state), await client(t, state)];
  const answers = await Promise.all([one.list({}), two.list({}), one.status()]);
  t.is(answers.length, 3);
});

test('errors keep their code; a fault becomes failed', async (t) => {
  const { state, api } = await serve(t);
  const running = await client(t, state);
  api.fails = failure('ambiguous', 'two bobs');
  t.like(await t.throwsAsync(running.list({})), { code: 'ambiguous', message: 'two bobs' });
  api.fails = new TypeError('oops');
  t.like(await t.throwsAsync(running.list({}), { instanceOf: HearsayError }), { code: 'failed', message: 'oops' });
  api.fetching = async function* () {
    yield { event: 'warning', message: 'first' };
    throw failure('not-found', 'nothing');
  };
  const seen: GetEvent[] = [];
  const error = await t.throwsAsync(async () => {
    for await (const event of running.get({ what: ['x'], to: '/' }, never)) seen.push(event);
  });
  t.like(error, { code: 'not-found' });
  t.is(seen.length, 1, 'what came before it is given');
  api.fails = undefined;
  t.deepEqual(await running.list({}), { files: [], away: [] }, 'the connection goes on');
});

test('abort ends a stream, and its last events still come', async (t) => {
  const { state, api } = await serve(t);
  const running = await client(t, state);
  api.fetching = async function* (_query, signal) {
    yield { event: 'warning', message: 'begun' };
    await aborted(signal);
    yield { event: 'end', files: 0, bytes: 0, failed: 0 };
  };
  const stop = new AbortController();
  const seen: string[] = [];
  for await (const { event } of running.get({ what: ['x'], to: '/' }, stop.signal)) {
    seen.push(event);
    if (event === 'warning') stop.abort();
  }
  t.deepEqual(seen, ['warning', 'end']);
  const late = await all(running.get({ what: ['x'], to: '/' }, stop.signal));
  t.deepEqual(
    late.map(({ event }) => event),
    ['warning', 'end'],
    'aborted before it began',
  );
});

test('who only follows no more, stops reading or goes away, says so; who ends it says that', async (t) => {
  const reasons: unknown[] = [];
  const { state, api } = await serve(t);
  let ended = () => {};
  api.fetching = async function* (_query, signal) {
    yield { event: 'warning', message: 'begun' };
    await aborted(signal);
    reasons.push(signal.reason === DETACHED ? 'detached' : 'ended');
    ended();
    yield { event: 'end', files: 0, bytes: 0, failed: 0 };
  };
  const ways: [(running: ControlClient, stop: AbortController) => unknown, string[], string][] = [
    [(_, stop) => stop.abort(DETACHED), ['warning'], 'detached'],
    [() => 'break', ['warning'], 'detached'],
    [(running) => running.close(), ['warning'], 'detached'],
    [(_, stop) => stop.abort(), ['warning', 'end'], 'ended'],
  ];
  for (const [way, events, reason] of ways) {
    const running = await client(t, state);
    const stop = new AbortController();
    const told = new Promise<void>((resolve) => {
      ended = resolve;
    });
    const seen: string[] = [];
    try {
      for await (const { event } of running.get({ what: ['x'], to: '/', keep: true }, stop.signal)) {
        seen.push(event);
        if (event === 'warning' && way(running, stop) === 'break') break;
      }
    } catch (error) {
      t.is((error as HearsayError).code, 'cancelled');
    }
    await told;
    t.deepEqual(seen, events);
    t.is(reasons.at(-1), reason);
  }
  t.like(api.asked.at(-1), { keep: true });
});

/** A stream that tells when it has been stopped. */
function endless(api: FakeApi) {
  const told = { sent: 0, stopped: Promise.resolve() };
  let stop = () => {};
  told.stopped = new Promise<void>((resolve) => {
    stop = resolve;
  });
  api.changes = async function* (signal) {
    try {
      while (!signal.aborted) {
        told.sent++;
        yield { ...row(`f${told.sent}`), event: 'added' };
      }
    } finally {
      stop();
    }
  };
  return told;
}

test('a client that leaves a stream, or goes away, ends it', async (t) => {
  const { state, api } = await serve(t);
  const running = await client(t, state);
  let told = endless(api);
  for await (const event of running.follow({}, never)) if (event.path === 'f1000') break;
  await told.stopped;
  t.deepEqual(await running.list({}), { files: [], away: [] }, 'the connection goes on');
  told = endless(api);
  const events = running.follow({}, never)[Symbol.asyncIterator]();
  await events.next();
  running.close();
  await told.stopped;
  await t.throwsAsync(all({ [Symbol.asyncIterator]: () => events }), { code: 'cancelled' } as object);
});

test('a slow client holds a stream back', async (t) => {
  const { state, api } = await serve(t);
  const running = await client(t, state);
  const told = endless(api);
  const events = running.follow({}, never)[Symbol.asyncIterator]();
  await events.next();
  // Another answer comes after whatever was sent before it.
  for (let i = 0; i < 5; i++) await running.status();
  t.true(told.sent <= CONTROL_CREDIT + 2, `${told.sent} were made`);
  for (let i = 0; i < 2000; i++) await events.next();
  t.true(told.sent > 2000, 'and it goes on');
  await events.return?.();
  await told.stopped;
});

test('a peer that ends, ends its clients', async (t) => {
  const { state, api, control } = await serve(t);
  const running = await client(t, state);
  api.changes = async function* (signal) {
    yield { ...row('a'), event: 'added' };
    await aborted(signal);
  };
  const events = running.follow({}, never)[Symbol.asyncIterator]();
  await events.next();
  const answer = t.throwsAsync(async () => {
    await events.next();
  });
  await control.close();
  t.like(await answer, { code: 'cancelled', message: 'the running peer has gone' });
  t.like(await t.throwsAsync(running.status()), { code: 'cancelled' });
  t.is(await connectControl(state), undefined);
  t.is(await readCard(state), undefined);
  t.false(process.platform !== 'win32' && existsSync(control.path));
});

test('a listing of 50,000 rows, and a row of 10,000 peers with the worst of names', async (t) => {
  const { state, api } = await serve(t);
  const running = await client(t, state);
  api.files = Array.from({ length: 50_000 }, (_, index) => row(`some/folder/of/files/number-${index}.txt`));
  const { files } = await running.list({});
  t.is(files.length, 50_000);
  t.deepEqual(files[49_999], api.files[49_999]);
  for (const peers of [1000, 1001, 2000, 10_000]) {
    const crowd = Array.from({ length: peers }, (_, index) => ({ ...ALICE, name: '\x01'.repeat(60) + index }));
    const many = row('\x01'.repeat(4000), { peers: crowd });
    api.files = [row('a'), many, row('b', { peers: [] })];
    t.deepEqual((await running.list({})).files, api.files);
    api.changes = async function* () {
      yield { ...many, event: 'changed' };
      yield { ...row('b'), event: 'added' };
    };
    t.deepEqual(await all(running.follow({}, never)), [
      { ...many, event: 'changed' },
      { ...row('b'), event: 'added' },
    ]);
  }
});

test('an event that passes the limit is an error of its stream alone', async (t) => {
  const { state, api } = await serve(t);
  const running = await client(t, state);
  api.fetching = async function* () {
    yield { event: 'warning', message: 'x'.repeat(CONTROL_FRAME_MAX) };
  };
  t.like(await t.throwsAsync(all(running.get({ what: ['x'], to: '/' }, never))), { code: 'limit' });
  t.is((await running.status()).pid, STATUS.pid);
});

test('too many requests at once are refused one by one', async (t) => {
  const { state, api } = await serve(t);
  const running = await client(t, state);
  api.list = () => new Promise(() => {});
  for (let i = 0; i < CONTROL_REQUESTS_MAX; i++) running.list({}).catch(() => {});
  t.like(await t.throwsAsync(running.status()), { code: 'limit' });
});

/** A connection that speaks by hand. */
async function raw(path: string) {
  const socket: Socket = connect(path);
  let gathered = Buffer.alloc(0);
  let wake = () => {};
  let ended = false;
  socket.on('data', (data) => {
    gathered = Buffer.concat([gathered, data]);
    wake();
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    ended = true;
    wake();
  });
  return {
    socket,
    write(message: object | Buffer) {
      const body = Buffer.isBuffer(message) ? message : Buffer.from(JSON.stringify(message));
      const prefix = Buffer.alloc(4);
      prefix.writeUInt32BE(body.length);
      socket.write(Buffer.concat([prefix, body]));
    },
    /** The next message, or undefined at the end. */
    async read(): Promise<Record<string, unknown> | undefined> {
      while (gathered.length < 4 || gathered.length < 4 + gathered.readUInt32BE()) {
        if (ended) return undefined;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      const length = gathered.readUInt32BE();
      const text = gathered.toString('utf8', 4, 4 + length);
      gathered = gathered.subarray(4 + length);
      return JSON.parse(text);
    },
  };
}

const greeting = {
  hearsay: 'control',
  protocol: PROTOCOL,
  program: '9.9.9',
  nonce: '0'.repeat(32),
  proof: '0'.repeat(64),
};
const bad: [string, object | Buffer, string][] = [
  ['a wrong token', greeting, 'refused'],
  ['no proof', { ...greeting, proof: '' }, 'refused'],
  ['another version', { ...greeting, protocol: PROTOCOL + 1 }, 'other-version'],
  ['another protocol', { ...greeting, hearsay: 'x' }, 'bad-message'],
  ['a request before the hello', { n: 1, method: 'status', params: {} }, 'bad-message'],
  ['an array', [1], 'bad-message'],
  ['no JSON', Buffer.from('{"a":'), 'bad-message'],
  ['random bytes', Buffer.from([0x80, 0xff, 0x13, 0x37, 0, 1, 2]), 'bad-message'],
  ['a hello that is too long', Buffer.alloc(5000, 32), 'bad-message'],
];
for (const [what, message, code] of bad) {
  test(`a stranger who sends ${what} is told and cut off`, async (t) => {
    const { state, control } = await serve(t);
    const stranger = await raw(control.path);
    t.like(await stranger.read(), { hearsay: 'control', protocol: PROTOCOL });
    stranger.write(message);
    t.like((await stranger.read())?.error as object, { code });
    t.is(await stranger.read(), undefined);
    t.is((await (await client(t, state)).status()).pid, STATUS.pid, 'others go on');
  });
}

test('a declared length over the limit is refused before it is buffered', async (t) => {
  const { control } = await serve(t);
  const stranger = await raw(control.path);
  stranger.socket.write(Buffer.from([0x7f, 0xff, 0xff, 0xff, 1]));
  await stranger.read();
  t.like((await stranger.read())?.error as object, { code: 'bad-message' });
  t.is(await stranger.read(), undefined);
});

test('a stream cut anywhere is read the same', async (t) => {
  const { state, control } = await serve(t);
  const { prove } = await import('../../lib/daemon/protocol.js');
  const card = await readCard(state);
  const speaker = await raw(control.path);
  const { nonce } = (await speaker.read()) as { nonce: string };
  const proof = prove(card?.token ?? '', 'client', nonce, greeting.nonce);
  const bodies = [
    { ...greeting, proof },
    { n: 1, method: 'status', params: {} },
    { n: 2, method: 'peers', params: {} },
  ];
  const bytes = Buffer.concat(
    bodies.flatMap((body) => {
      const text = Buffer.from(JSON.stringify(body));
      const prefix = Buffer.alloc(4);
      prefix.writeUInt32BE(text.length);
      return [prefix, text];
    }),
  );
  speaker.socket.setNoDelay(true);
  for (const byte of bytes) await new Promise((resolve) => speaker.socket.write(Buffer.of(byte), resolve));
  t.like(await speaker.read(), { pid: process.pid });
  const answers = [await speaker.read(), await speaker.read(), await speaker.read(), await speaker.read()];
  t.true(answers.some((answer) => answer?.n === 2 && 'result' in answer));
  t.true(answers.some((answer) => answer?.n === 1 && 'result' in answer));
  speaker.write({ n: 3, method: 'format', params: {} });
  t.like((await speaker.read())?.error as object, { code: 'bad-message' });
  speaker.socket.destroy();
});

/** Something else that listens where the card says. */
async function impostor(t: ExecutionContext, hello: object, answer?: object) {
  const state = await folder(t);
  const path = await socketPath(state);
  const server = createServer((socket) => {
    socket.on('error', () => {});
    const write = (message: object) => {
      const text = Buffer.from(JSON.stringify(message));
      const prefix = Buffer.alloc(4);
      prefix.writeUInt32BE(text.length);
      socket.write(Buffer.concat([prefix, text]));
    };
    write(hello);
    socket.once('data', () => (answer ? write(answer) : socket.destroy()));
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  t.teardown(() => server.close());
  await writeCard(state, { path, token: 'f'.repeat(64) });
  return state;
}

test('a client tells another version, and does not believe an impostor', async (t) => {
  const other = await impostor(t, { ...greeting, protocol: 7 });
  const error = await t.throwsAsync(connectControl(other));
  t.like(error, { code: 'other-version' });
  t.regex(error?.message ?? '', /running peer is hearsay 9\.9\.9 \(control protocol 7\), this is \d/);
  const liar = await impostor(t, greeting, { proof: 'a'.repeat(64), pid: 1 });
  t.like(await t.throwsAsync(connectControl(liar)), { code: 'refused' });
  const mute = await impostor(t, greeting);
  t.like(await t.throwsAsync(connectControl(mute)), { code: 'cancelled' });
});

test('nothing runs: no state folder, no card, a card that means nothing', async (t) => {
  const state = await folder(t);
  t.is(await connectControl(join(state, 'none')), undefined);
  t.is(await connectControl(state), undefined);
  for (const text of ['', '{', '[]', '{"path":1,"token":2}', '{"path":"/x"}', `"${'x'.repeat(9000)}"`]) {
    await writeFile(join(state, 'control.token'), text);
    t.is(await connectControl(state), undefined, text.slice(0, 20));
  }
  await writeCard(state, { path: join(state, 'no-socket'), token: ID });
  t.is(await connectControl(state), undefined);
});

unix('a socket left by kill -9 is no running peer, and is replaced', async (t) => {
  const state = await folder(t);
  const path = await socketPath(state);
  const script = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => console.log('up'))`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise((resolve) => child.stdout.once('data', resolve));
  await writeCard(state, { path, token: ID });
  child.kill('SIGKILL');
  await new Promise((resolve) => child.once('exit', resolve));
  t.true(existsSync(path), 'it is left behind');
  t.is(await connectControl(state), undefined);
  const control = await serveControl({ state, api: new FakeApi() });
  t.teardown(() => control.close());
  t.is(control.path, path);
  t.is((await (await client(t, state)).status()).pid, STATUS.pid);
});

test('one peer a state folder', async (t) => {
  const { state } = await serve(t);
  t.like(await t.throwsAsync(serveControl({ state, api: new FakeApi() })), { code: 'state-in-use' });
  t.is((await (await client(t, state)).status()).pid, STATUS.pid, 'the first one still answers');
});

test('a link to the state folder is the same state folder', async (t) => {
  const { state } = await serve(t);
  const link = `${state}-link`;
  await symlink(state, link, 'junction');
  t.teardown(() => rm(link));
  t.is(await socketPath(link), await socketPath(state));
  t.is((await (await client(t, link)).status()).pid, STATUS.pid);
});

unix('socket, folder and card are for their user alone', async (t) => {
  const { state, control } = await serve(t);
  t.is((await stat(control.path)).mode & 0o777, 0o600);
  t.is((await stat(dirname(control.path))).mode & 0o777, 0o700);
  t.is((await stat(join(state, 'control.token'))).mode & 0o777, 0o600);
  t.regex(await readFile(join(state, 'control.token'), 'utf8'), /"token":"[0-9a-f]{64}"/);
});

unix('a runtime folder that others may enter, that is a link or no folder, is refused', async (t) => {
  const state = await folder(t);
  const tmp = await folder(t);
  const uid = process.getuid?.() ?? 0;
  const where = { platform: process.platform, uid, tmp, env: {} };
  const own = join(tmp, `hearsay-${uid}`);
  await mkdir(own);
  await chmod(own, 0o755);
  t.like(await t.throwsAsync(socketPath(state, where)), { code: 'not-private' });
  await chmod(own, 0o700);
  t.is(dirname(await socketPath(state, where)), own);
  t.like(await t.throwsAsync(socketPath(state, { ...where, uid: uid + 1, env: { XDG_RUNTIME_DIR: tmp } })), {
    code: 'not-private',
  });
  await rm(own, { recursive: true });
  await symlink(tmp, own);
  t.like(await t.throwsAsync(socketPath(state, where)), { code: 'not-private' });
  await rm(own);
  await writeFile(own, '');
  t.like(await t.throwsAsync(socketPath(state, where)), { code: 'not-private' });
});

test('where the socket goes on each platform', (t) => {
  const where = { platform: 'linux' as const, uid: 1000, tmp: '/tmp', env: { XDG_RUNTIME_DIR: '/run/user/1000' } };
  const [first, second] = candidates('/home/a/state', where).map((path) => path.replaceAll('\\', '/'));
  t.regex(first, /^\/run\/user\/1000\/hearsay\/[0-9a-f]{16}$/);
  t.regex(second, /^\/tmp\/hearsay-1000\/[0-9a-f]{16}$/);
  t.not(candidates('/home/a/other', where)[0], candidates('/home/a/state', where)[0]);
  t.regex(candidates('C:\\s', { ...where, platform: 'win32' })[0], /^\\\\\.\\pipe\\hearsay-[0-9a-f]{16}$/);
  const long = { ...where, tmp: `/tmp/${'x'.repeat(90)}`, env: { XDG_RUNTIME_DIR: `/run/${'y'.repeat(90)}` } };
  const paths = candidates('/s', long).map((path) => path.replaceAll('\\', '/'));
  t.is(paths.length, 1, 'a path that Node would cut off is never used');
  t.regex(paths[0], /^\/tmp\/hearsay-1000\//);
  t.is(candidates('/s', { ...where, env: { XDG_RUNTIME_DIR: 'relative' } }).length, 2);
});

unix('a runtime folder that cannot be made gives way to the next', async (t) => {
  const state = await folder(t);
  const tmp = await folder(t);
  const env = { XDG_RUNTIME_DIR: join(tmp, 'missing', 'deeper') };
  const path = await socketPath(state, { platform: process.platform, uid: process.getuid?.() ?? 0, tmp, env });
  t.is(dirname(dirname(path)), tmp);
});
