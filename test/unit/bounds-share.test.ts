/** Bounds of the disk's side and of the control socket, each reached. */
import type { FSWatcher, watch } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Channel } from '../../lib/daemon/channel.js';
import { serveControl } from '../../lib/daemon/control.js';
import { connectControl } from '../../lib/daemon/control-client.js';
import { parts, pieces } from '../../lib/daemon/protocol.js';
import { Served } from '../../lib/drive/served.js';
import { HearsayError } from '../../lib/errors.js';
import {
  CONTROL_CONNECTIONS_MAX,
  CONTROL_FRAME_MAX,
  CONTROL_HELLO_MAX,
  CONTROL_PART_BYTES,
  CONTROL_PEERS_MAX,
  HASH_ENTRIES_MAX,
  IGNORE_FILE_MAX,
  LOOKS_MAX,
  OPEN_FILES_MAX,
  SECRET_FILE_MAX,
  SECRET_MAX,
  SERVED_WAITING_MAX,
  SMALL_MAX,
  WATCHES_MAX,
} from '../../lib/limits.js';
import type { DiskPool } from '../../lib/share/disk-pool.js';
import { readIgnoreFile } from '../../lib/share/ignore.js';
import { Looks } from '../../lib/share/looks.js';
import type { ScanTask } from '../../lib/share/scan-worker.js';
import { cleanSecret, readSecretFile } from '../../lib/share/secret.js';
import { SIGNATURE_BYTES } from '../../lib/share/signature.js';
import { OpenFiles, SourceFile } from '../../lib/share/source.js';
import { HashStore } from '../../lib/share/store.js';
import { Tree } from '../../lib/share/tree.js';
import { FolderWatches } from '../../lib/share/watch-folders.js';
import { until } from '../e2e/lan.js';
import { FakeApi, row } from './cli-fake.js';
import { folder, Offering, write } from './share-help.js';

const CHUNK = 256 * 1024;

test('of many files that are served so many are open, the others are opened again as they are read', async (t) => {
  const root = await folder(t);
  const files: Record<string, Buffer> = {};
  for (let i = 0; i < 12; i++) files[`f${i}`] = Buffer.alloc(CHUNK + 1, i);
  await write(root, files);
  const { catalogue } = await Offering.start(t, { shares: [{ path: root, name: 's' }] });
  const open = new OpenFiles(4);
  const missed: string[] = [];
  const owner = {
    missed: async ({ path }: { path: string }) => {
      missed.push(path);
      return new HearsayError('not-found', path);
    },
    noted: () => {},
    closed: () => {},
  };
  const sources = await Promise.all(
    Object.keys(files).map((name) => SourceFile.open(owner, catalogue.find(`s/${name}`)!, open)),
  );
  t.is(open.size, 4);
  const read = (i: number) => sources[i].readChunk(1);
  for (const round of [1, 2, 3]) {
    for (let i = 0; i < 12; i++) t.deepEqual([...(await read(i))], [i], `round ${round}`);
    t.true(open.size <= 4);
  }
  // At once: those that are being read are not closed under their readers.
  const all = await Promise.all(sources.map((_, i) => read(i)));
  t.deepEqual(
    all.map((data) => data[0]),
    sources.map((_, i) => i),
  );
  await write(root, { f3: Buffer.alloc(CHUNK + 1, 99) });
  for (const i of [0, 1, 2, 4, 5]) await read(i);
  await t.throwsAsync(read(3), { instanceOf: HearsayError });
  t.deepEqual(missed, ['s/f3'], 'what was changed meanwhile is not served');
  await Promise.all(sources.map((source) => source.close()));
  t.is(open.size, 0);
  t.true(OPEN_FILES_MAX >= 16);
});

test('what is larger than small is not read whole', async (t) => {
  const root = await folder(t);
  await write(root, { small: Buffer.alloc(SMALL_MAX), large: Buffer.alloc(SMALL_MAX + 1) });
  const { catalogue } = await Offering.start(t, { shares: [{ path: root, name: 's' }] });
  t.is(catalogue.readSmall('s/small').data.length, SMALL_MAX);
  t.throws(() => catalogue.readSmall('s/large'), { instanceOf: RangeError });
});

test('of very many hashes those used longest ago are forgotten, as many as there are too many', async (t) => {
  const root = await folder(t);
  const put = async (count: number, entriesMax: number) => {
    const { store } = await HashStore.open(root, { entriesMax });
    await store.pruned;
    const signature = (i: number) => String(i).padStart(SIGNATURE_BYTES, 'x');
    const known = await store.getMany(Array.from({ length: 50 }, (_, i) => signature(i)));
    for (let i = 0; i < count; i++) store.put(signature(i), { id: 'ab'.repeat(32), hashes: Buffer.alloc(32) });
    await store.close();
    return known.filter((one) => one !== undefined).length;
  };
  t.is(await put(50, HASH_ENTRIES_MAX), 0);
  t.is(await put(0, HASH_ENTRIES_MAX), 50);
  t.true((await put(0, 10)) <= 10);
});

test('rows of the log that wait for a disk that takes none are bounded', async (t) => {
  const root = await folder(t);
  const file = join(root, 'served.jsonl');
  await mkdir(file);
  const served = await Served.open(root, () => {});
  const one = { time: 1, peer: { id: 'p', name: 'n' }, path: 'f', bytes: 1, outcome: 'completed' as const };
  for (let i = 0; i <= SERVED_WAITING_MAX; i++) served.add(one);
  await rmdir(file);
  await served.stop();
  const texts = await Promise.all(
    ['served.jsonl', 'served.1.jsonl'].map((name) => readFile(join(root, name), 'utf8').catch(() => '')),
  );
  const rows = texts.join('').trim().split('\n').length;
  t.true(rows > 1000 && rows <= SERVED_WAITING_MAX / 2 + 10, `${rows}`);
});

test('an ignore file that is too long is not half read', async (t) => {
  const root = await folder(t);
  await writeFile(join(root, '.hearsayignore'), '#'.repeat(IGNORE_FILE_MAX));
  t.is(readIgnoreFile(root)?.length, IGNORE_FILE_MAX);
  await writeFile(join(root, '.hearsayignore'), '#'.repeat(IGNORE_FILE_MAX + 1));
  t.throws(() => readIgnoreFile(root), { instanceOf: RangeError });
});

test('folders beyond those that can be watched are told of, and make room as others go', (t) => {
  const told: string[] = [];
  let open = 0;
  const watcher = (() => {
    open++;
    const one: Partial<FSWatcher> = { on: () => one as FSWatcher, close: () => void open-- };
    return one as FSWatcher;
  }) as unknown as typeof watch;
  const watches = new FolderWatches({ look: () => {}, blind: (why) => told.push(why) }, watcher);
  for (let i = 0; i < WATCHES_MAX; i++) t.true(watches.add(`s/${i}`, `/s/${i}`, `${i}`));
  t.false(watches.add('s/more', '/s/more', 'more'));
  t.is(told.length, 1);
  t.is(open, WATCHES_MAX);
  watches.remove('s/5');
  t.true(watches.add('s/more', '/s/more', 'more'));
  watches.close();
  t.is(open, 0);
});

test('of very many paths to look at the whole share is made', async (t) => {
  const jobs: string[][] = [];
  const pool = {
    run: async (_: URL, { job }: ScanTask) => {
      jobs.push(job.paths);
      throw new Error('not today');
    },
  };
  const looks = new Looks({
    pool: pool as unknown as DiskPool,
    tree: new Tree({ change: () => {}, emptied: () => {}, gone: () => {} }),
    never: [],
    now: Date.now,
    present: async () => true,
    offer: async () => {},
    folder: () => false,
    warn: () => {},
    calm: () => {},
  });
  looks.add({ path: '/s', name: 's', files: 0, bytes: 0, hashed: 0 });
  t.teardown(() => looks.stop());
  for (let i = 0; i < LOOKS_MAX; i++) looks.look(`s/${i}`, true);
  await until(() => jobs.length === 1, 'they are looked at');
  t.is(jobs[0].length, LOOKS_MAX);
  for (let i = 0; i <= LOOKS_MAX; i++) looks.look(`s/${i}`, true);
  await until(() => jobs.length === 2, 'they are looked at');
  t.deepEqual(jobs[1], ['s']);
});

test('a secret, and the file with it, are as long as may be, and no longer', async (t) => {
  const root = await folder(t);
  const fault = (what: string) => new HearsayError('usage', what);
  t.is(cleanSecret('x'.repeat(SECRET_MAX), fault).length, SECRET_MAX);
  t.throws(() => cleanSecret('x'.repeat(SECRET_MAX + 1), fault), { instanceOf: HearsayError });
  const file = join(root, 'secret');
  const line = 'correct horse battery staple\n';
  await writeFile(file, line + '#'.repeat(SECRET_FILE_MAX - line.length), { mode: 0o600 });
  t.is((await readSecretFile(file, 'usage', '--secret-file')).text, line.trim());
  await writeFile(file, line + '#'.repeat(SECRET_FILE_MAX - line.length + 1));
  await t.throwsAsync(readSecretFile(file, 'usage', '--secret-file'), { instanceOf: HearsayError });
});

/** A served control socket. */
async function control(t: ExecutionContext) {
  const state = await mkdtemp(join(tmpdir(), 'hearsay-control-'));
  t.teardown(() => rm(state, { recursive: true, force: true }));
  const served = await serveControl({ state, api: new FakeApi() });
  t.teardown(() => served.close());
  const open = () => {
    const socket = connect(served.path);
    t.teardown(() => socket.destroy());
    socket.on('error', () => {});
    return socket;
  };
  return { state, open };
}

test('so many commands are connected at once; when one goes, the next comes in', async (t) => {
  const { state, open } = await control(t);
  const greeted = (socket: Socket) =>
    new Promise<boolean>((resolve) => {
      socket.once('data', () => resolve(true));
      socket.once('close', () => resolve(false));
    });
  const all = Array.from({ length: CONTROL_CONNECTIONS_MAX }, open);
  t.true((await Promise.all(all.map(greeted))).every(Boolean));
  t.false(await greeted(open()));
  const gone = new Promise((resolve) => all[0].once('close', resolve));
  all[0].end();
  await gone;
  let found: Awaited<ReturnType<typeof connectControl>>;
  await until(() => {
    void connectControl(state).then(
      (one) => {
        if (found) one?.close();
        else found = one;
      },
      () => {},
    );
    return found;
  }, 'a command comes in');
  t.teardown(() => found?.close());
  t.pass();
});

test('a first word on the control socket that is too long ends it', async (t) => {
  const { open } = await control(t);
  const socket = open();
  await new Promise((resolve) => socket.once('data', resolve));
  const closed = new Promise((resolve) => socket.once('close', resolve));
  const prefix = Buffer.alloc(4);
  prefix.writeUInt32BE(CONTROL_HELLO_MAX + 1);
  socket.write(prefix);
  socket.resume();
  await closed;
  t.true(CONTROL_HELLO_MAX < CONTROL_FRAME_MAX);
});

test('a control message that is too long is not sent', async (t) => {
  const { open } = await control(t);
  const channel = new Channel(open(), { onMessage: () => {}, onClose: () => {} });
  t.teardown(() => channel.close());
  await t.throwsAsync(channel.sendText('x'.repeat(CONTROL_FRAME_MAX + 1)), { instanceOf: HearsayError });
});

test('long listings go in parts, and rows with many peers in pieces', (t) => {
  const rows = Array.from({ length: 10_000 }, (_, i) => ({ path: `${i}${'x'.repeat(200)}` }));
  const all = [...parts(1, 'files', rows)];
  t.true(all.length > 5);
  t.true(all.every((text) => text.length < 1.01 * CONTROL_PART_BYTES + 1000));
  t.is(all.flatMap((text) => JSON.parse(text).part.items).length, rows.length);
  const peers = Array.from({ length: 2 * CONTROL_PEERS_MAX + 1 }, (_, i) => ({ id: `${i}`, name: 'x' }));
  const cut = [...pieces(row('f', { peers }))];
  t.deepEqual(
    cut.map((piece) => piece.peers.length),
    [CONTROL_PEERS_MAX, CONTROL_PEERS_MAX, 1],
  );
});
