/** Gets through a daemon, as processes: the command is killed or its terminal closed, the daemon is stopped or killed. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { TransferRow } from '../../lib/api.js';
import { type ControlClient, connectControl } from '../../lib/daemon/control-client.js';
import { isAlive } from '../../lib/daemon/stop.js';
import { CHILD_MS, errors, told } from './child.js';
import { Home } from './daemon-child.js';
import { assertContent, assertOnlyPartial, content, get, Lan, type LanPeer, MIB, names, until } from './lan.js';
import { Wire } from './wire-between.js';

const SIZE = 64 * MIB;
const BIG = content(SIZE, 23);

interface Setting {
  lan: Lan;
  home: Home;
  source: LanPeer;
  wire: Wire;
  /** Starts the daemon, and waits until it knows of the file. */
  start(): Promise<{ pid: number }>;
  /** Where it is to land, relative to the home's folder. */
  file: string;
}

/** A source, and a home whose daemon reaches it over a wire. */
async function setting(t: ExecutionContext, data = BIG): Promise<Setting> {
  const lan = await Lan.make(t);
  const source = await lan.peer('source', { files: { 'share/big.bin': data }, multicast: false });
  await source.hashed('share/big.bin');
  const wire = await Wire.to(t, source.peer.port);
  const home = await Home.make(lan);
  await mkdir(join(home.cwd, 'in'));
  const start = async () => {
    const ready = await home.start('--no-multicast', '--join', wire.address);
    await listed(home);
    return ready;
  };
  await start();
  return { lan, home, source, wire, start, file: join(home.cwd, 'in', 'big.bin') };
}

/** Asks the daemon of a home until it says what is waited for. */
async function asked<T>(home: Home, ask: (daemon: ControlClient) => Promise<T | undefined>): Promise<T> {
  const daemon = await connectControl(home.state);
  if (!daemon) throw new Error('no daemon runs');
  try {
    for (const end = performance.now() + CHILD_MS; performance.now() < end; ) {
      const answer = await ask(daemon);
      if (answer !== undefined) return answer;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`waited in vain: ${JSON.stringify((await daemon.status()).transfers)}`);
  } finally {
    daemon.close();
  }
}

/** Waits until the daemon knows of the file and its id. */
function listed(home: Home): Promise<true> {
  return asked(home, async (daemon) =>
    (await daemon.list({})).files.some(({ id }) => id !== null) ? true : undefined,
  );
}

function rows(home: Home): Promise<TransferRow[]> {
  return asked(home, async (daemon) => (await daemon.status()).transfers);
}

function ended(home: Home): Promise<TransferRow> {
  return asked(home, async (daemon) => {
    const [row] = (await daemon.status()).transfers;
    return row?.state === 'done' || row?.state === 'failed' ? row : undefined;
  });
}

/** A get through the daemon, in its middle. */
async function middle(t: ExecutionContext) {
  const all = await setting(t);
  const { home, wire } = all;
  wire.stopAfter(SIZE / 4);
  const child = home.begin('get', 'share/big.bin', '-o', 'in/', '--json');
  await until(() => wire.still && told(child, 'chunk').length > 4, 'some chunks are verified');
  return { ...all, child };
}

for (const [signal, status] of [
  ['SIGKILL', 137],
  ['SIGHUP', 130],
  ['SIGTERM', 130],
] as const) {
  test(`${signal} ends the command, not the get: the daemon goes on`, async (t) => {
    const { home, wire, child, file } = await middle(t);
    child.kill(signal);
    t.is((await child.waitForExit(CHILD_MS)).code, status, child.tail());
    await child.exited;
    if (signal !== 'SIGKILL') t.regex(child.stdout.at(-1) ?? '', /transfer 1 goes on without this command/);
    t.like((await rows(home))[0], { number: 1, state: 'running' });
    wire.go();
    t.like(await ended(home), { state: 'done', bytes: SIZE });
    await assertContent(t, file, BIG);
    const logs = await home.type('daemon', 'logs');
    t.regex(logs.out, /transfer 1, get of share\/big\.bin, begins from source[\s\S]*transfer 1, .* is done/);
  });
}

test('Ctrl-C ends the get: 130, and what is verified is kept', async (t) => {
  const { home, child } = await middle(t);
  child.kill('SIGINT');
  t.is((await child.waitForExit(CHILD_MS)).code, 130, child.tail());
  t.like((await rows(home))[0], { state: 'failed', error: { code: 'interrupted' } });
  await assertOnlyPartial(t, join(home.cwd, 'in'));
});

test('a daemon that is stopped in the middle says that it goes on, and does when it is started', async (t) => {
  const { home, wire, child, start, file } = await middle(t);
  await home.type('daemon', 'stop');
  t.is((await child.waitForExit(CHILD_MS)).code, 5, child.tail());
  await child.exited;
  t.deepEqual(errors(child), ['not-running']);
  t.regex(child.stdout.at(-1) ?? '', /has ended; transfer 1 goes on when it is started again/);
  wire.go();
  await start();
  t.like(await ended(home), { number: 1, state: 'done' });
  await assertContent(t, file, BIG);
});

test('kill -9 of the daemon in the middle: it goes on by itself, and at most 5 % are fetched anew', async (t) => {
  const size = 208 * MIB;
  const data = content(size, 29);
  const { home, wire, start, file } = await setting(t, data);
  const first = await asked(home, (daemon) => daemon.status());
  wire.stopAfter(size / 2);
  const child = home.begin('get', 'share/big.bin', '-o', 'in/', '--json');
  await until(() => wire.still && told(child, 'chunk').length > 80, 'half of it is verified');
  const verified = told(child, 'chunk').reduce((sum, { bytes }) => sum + Number(bytes), 0);
  process.kill(first.pid, 'SIGKILL');
  await until(() => !isAlive(first.pid), 'it is gone');
  t.is((await child.waitForExit(CHILD_MS)).code, 5, child.tail());
  const passed = wire.passed;
  wire.cut();
  wire.go();
  await start();
  const row = await ended(home);
  t.like(row, { number: 1, state: 'done', bytes: size });
  // All that crossed the wire since, other things than the file among it.
  const again = wire.passed - passed - (size - verified);
  t.true(again <= 0.05 * verified, `${again} of ${verified} were fetched again`);
  await assertContent(t, file, data);
  t.deepEqual(await names(join(home.cwd, 'in')), ['big.bin']);
});

test('get --background returns at once; pause, resume and cancel by its number', async (t) => {
  const { home, wire } = await setting(t);
  wire.stopAfter(SIZE / 4);
  const begun = await home.type('get', 'share/big.bin', '-o', 'in/', '-b');
  t.is(begun.code, 0, begun.err);
  t.regex(begun.out, /^transfer 1: 1 file, 64 MiB; `hearsay status` shows it, `hearsay cancel 1` ends it$/);
  const again = await home.type('get', 'share/big.bin', '-o', 'in/', '--background', '--json');
  t.like(again.json(), { event: 'start', number: 1, files: 1, bytes: SIZE });
  t.is((await home.type('get', 'nothing', '--background')).code, 3);
  t.is((await home.type('pause', '1')).out, 'transfer 1 (share/big.bin) is held');
  t.regex((await home.type('status')).out, /\n {2}1 {2}share\/big\.bin .* held/);
  t.deepEqual((await home.type('resume', 'all', '--json')).json(), {
    transfers: [{ number: 1, state: 'queued', path: 'share/big.bin' }],
  });
  const cancelled = await home.type('cancel', '1');
  t.is(cancelled.out, 'transfer 1 (share/big.bin) is cancelled; what was not finished of it is removed');
  t.deepEqual(await names(join(home.cwd, 'in')), []);
  const unknown = await home.type('cancel', '9');
  t.is(unknown.code, 3);
  t.regex(unknown.err, /there is no transfer 9/);
  const none = await home.type('cancel', 'all');
  t.is(none.code, 0);
  t.regex(none.err, /nothing is under way/);
  await home.type('daemon', 'stop');
  t.is((await home.type('cancel', '1')).code, 5);
  t.is((await home.type('get', 'share/big.bin', '--background')).code, 5);
});

test('get --seed without a daemon serves on until Ctrl-C; one in a folder with other things serves what was fetched alone', async (t) => {
  const lan = await Lan.make(t);
  const source = await lan.peer('source', { files: { 'pics/a.txt': 'a', 'pics/sub/b.txt': 'b' } });
  const home = await Home.make(lan);
  await mkdir(join(home.cwd, 'in', 'pics'), { recursive: true });
  await writeFile(join(home.cwd, 'in', 'pics', 'private.txt'), 'mine');
  const child = home.begin('get', 'pics/', '-o', 'in/', '--seed', '--json', ...home.near);
  const ready = JSON.parse(await child.waitFor(/"event":"ready"/, CHILD_MS)) as { id: string };
  t.like(told(child, 'seed')[0], { share: { name: 'pics', path: join(home.cwd, 'in', 'pics') } });
  const seeded = () => [...source.peer.index].filter(({ peer }) => peer === ready.id).map(({ path }) => path);
  await until(() => seeded().length > 1, 'it is offered');
  t.deepEqual(
    seeded()
      .filter((path) => path.endsWith('.txt'))
      .sort(),
    ['pics/a.txt', 'pics/sub/b.txt'],
  );
  const inbox = await lan.fresh('other');
  t.deepEqual((await get(source, 'pics/a.txt', `${inbox}/`, { from: [ready.id] })).codes, []);
  child.kill('SIGINT');
  t.is((await child.waitForExit(CHILD_MS)).code, 0, child.tail());
});
