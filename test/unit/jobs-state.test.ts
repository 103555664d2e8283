/** Transfers in the state folder; what of them is there when it is read again; who has what they want then; what is served on. */
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { GetEvent, GetQuery } from '../../lib/api.js';
import type { GetContext } from '../../lib/drive/fetch.js';
import { Jobs } from '../../lib/drive/jobs.js';
import { Keeper } from '../../lib/drive/keeper.js';
import type { Piece } from '../../lib/drive/plan.js';
import { refind } from '../../lib/drive/refind.js';
import { shownWhat } from '../../lib/drive/registered.js';
import { HearsayError } from '../../lib/errors.js';
import { JOB_FILES_MAX, PATTERNS_MAX } from '../../lib/limits.js';
import type { PeerOffer } from '../../lib/offer.js';
import { type KeptJobs, type KeptTargets, keptTargets } from '../../lib/share/kept-jobs.js';
import { type Landed, seedsOf } from '../../lib/share/seeds.js';
import { StateFolder } from '../../lib/share/state.js';
import { ALICE, BOB, ID } from './cli-fake.js';

async function folder(t: ExecutionContext): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'hearsay-jobs-'));
  t.teardown(() => rm(made, { recursive: true, force: true }));
  return made;
}

const query: GetQuery = { what: ['pics/'], to: join(tmpdir(), 'in'), overwrite: true, keep: true };
const row = {
  direction: 'in' as const,
  path: 'pics/',
  size: 7,
  bytes: 3,
  peers: [ALICE],
  what: ['pics/'],
  files: 1,
  done: 0,
};
const kept: KeptJobs = {
  next: 9,
  jobs: [
    { number: 3, turn: 1, state: 'paused', since: 5, row, get: { query, done: 'AA==', lost: [] } },
    { number: 4, turn: 2, state: 'failed', since: 6, error: { code: 'changed', message: 'x' }, row },
  ],
};
const targets: KeptTargets = {
  peers: [ALICE],
  only: [ALICE.id],
  targets: [
    {
      path: 'pics/a.jpg',
      id: ID,
      folder: false,
      size: 7,
      mtime: 1_700_000_000_000,
      executable: false,
      sources: [ALICE.id],
      root: query.to,
      relative: 'pics/a.jpg',
      aside: true,
    },
  ],
};

test('transfers come back as they were kept, for their owner only; what is left of others is removed', async (t) => {
  const path = await folder(t);
  const state = await StateFolder.open(path);
  t.deepEqual(await state.transfers(), { next: 1, jobs: [] });
  await state.saveTransfers(kept);
  for (const number of [3, 4, 12]) await state.saveTargets(number, targets);
  await writeFile(join(path, 'transfers', '3.json.0123456789ab'), '{');
  await writeFile(join(path, 'transfers', '7.json.damaged-1'), 'kept by a person');
  const again = await StateFolder.open(path);
  t.deepEqual(await again.transfers(), kept);
  t.deepEqual(await again.targets(3), targets);
  t.deepEqual((await readdir(join(path, 'transfers'))).sort(), ['3.json', '7.json.damaged-1']);
  t.deepEqual(again.warnings, []);
  if (process.platform !== 'win32') {
    for (const name of ['transfers.json', join('transfers', '3.json')]) {
      t.is((await stat(join(path, name))).mode & 0o777, 0o600, name);
    }
  }
  await again.dropTargets(3);
  t.is(await again.targets(3), undefined);
});

test('what is no list of transfers is set aside with a word', async (t) => {
  const [job] = kept.jobs;
  const wrong = [
    '{"next":1',
    JSON.stringify({ ...kept, next: 0 }),
    JSON.stringify({ ...kept, jobs: [job, job] }),
    JSON.stringify({ ...kept, jobs: [{ ...job, state: 'odd' }] }),
    JSON.stringify({ ...kept, jobs: [{ ...job, get: { query: { ...query, to: 'relative' }, done: '', lost: [] } }] }),
    JSON.stringify({ ...kept, jobs: [{ ...job, error: { code: 'no such code', message: '' } }] }),
  ];
  for (const text of wrong) {
    const path = await folder(t);
    await writeFile(join(path, 'transfers.json'), text);
    const state = await StateFolder.open(path);
    t.deepEqual(await state.transfers(), { next: 1, jobs: [] }, text);
    t.is(state.warnings.length, 1);
    const aside = (await readdir(path)).find((name) => name.startsWith('transfers.json.damaged-'));
    t.is(await readFile(join(path, aside as string), 'utf8'), text);
  }
});

test('JOB_FILES_MAX: of a get of more files nothing is kept, and that is said', async (t) => {
  const [one] = targets.targets;
  const many = { ...targets, targets: Array.from({ length: JOB_FILES_MAX + 1 }, () => one) };
  t.false(keptTargets.safeParse(many).success);
  t.true(keptTargets.safeParse({ ...many, targets: many.targets.slice(1) }).success);
  const pieces: Piece[] = Array.from({ length: JOB_FILES_MAX + 1 }, (_, i) => ({
    path: `pics/${i}/`,
    id: null,
    folder: true,
    naming: { kind: 'folder', folder: 'pics' },
    size: 0,
    mtime: 0,
    executable: false,
    sources: [],
    only: undefined,
    here: false,
  }));
  const context = { resolve: async () => pieces, isAside: () => false } as unknown as GetContext;
  const saved: number[] = [];
  const jobs = new Jobs({
    context,
    atOnce: 3,
    timeout: () => 1000,
    // Nothing is begun.
    mayFetch: () => false,
    files: {
      kept: { next: 1, jobs: [] },
      targets: new Map(),
      save: async ({ jobs: all }) => void saved.push(all.length),
      saveTargets: async () => t.fail('too many are kept'),
      dropTargets: async () => {},
    },
    seed: async () => {},
    tell: () => {},
  });
  const stop = new AbortController();
  const events: GetEvent[] = [];
  for await (const event of jobs.get({ ...query, to: await folder(t) }, stop.signal)) {
    events.push(event);
    if (event.event === 'start') break;
  }
  t.deepEqual(
    events.map(({ event }) => event),
    ['warning', 'start'],
  );
  t.like(events[0], {
    message: `of more than ${JOB_FILES_MAX} files nothing is kept: this get ends with the peer that runs here`,
  });
  await jobs.stop();
  t.deepEqual(saved, [0]);
});

test('of all, one that ends meanwhile is no failure', async (t) => {
  const jobs = new Jobs({
    context: {} as GetContext,
    atOnce: 3,
    timeout: () => 1000,
    mayFetch: () => false,
    files: undefined,
    seed: async () => {},
    tell: () => {},
  });
  const about = { direction: 'out' as const, path: 'a', size: 1 };
  const first = jobs.register(about, {
    cancel: () => {
      second.end();
      first.end({ code: 'cancelled', message: 'cancelled' });
    },
  });
  const second = jobs.register(about, { cancel: () => t.fail('it has ended') });
  t.deepEqual(await jobs.steer({ verb: 'cancel', numbers: 'all' }), [{ number: 1, path: 'a', state: 'cancelled' }]);
  t.like(await jobs.steer({ verb: 'cancel', numbers: [2] }), [{ number: 2, error: { code: 'failed' } }]);
});

test('what was asked for is shown in few words, without the ids of peers', (t) => {
  t.is(shownWhat(['pics/']), 'pics/');
  t.is(shownWhat([`${BOB.id}:a.txt`, 'alice:b.txt', '#0a']), 'a.txt, alice:b.txt, #0a');
  t.is(shownWhat(Array.from({ length: 500 }, (_, i) => `${BOB.id}:${i}`)), '0, 1, 2 and 497 more');
});

test('a change is written with those that follow it, the last one in any case; that it fails is told once', async (t) => {
  let [value, written] = [0, 0];
  let isFull = false;
  const told: string[] = [];
  const keeper = new Keeper(
    async () => {
      if (isFull) throw new HearsayError('disk-full', 'no room');
      written = value;
    },
    (thrown) => told.push((thrown as HearsayError).code),
  );
  value = 1;
  await keeper.now();
  t.is(written, 1);
  isFull = true;
  await t.throwsAsync(keeper.now(), { code: 'disk-full' } as object);
  value = 2;
  keeper.soon();
  await keeper.stop();
  await keeper.stop();
  t.deepEqual(told, ['disk-full']);
  isFull = false;
  value = 3;
  keeper.soon();
  await keeper.stop();
  t.is(written, 3);
});

// Who has it now.

const OTHER = 'cd'.repeat(32);
const piece = (more: Partial<Piece> = {}): Piece => ({
  path: 'pics/a.jpg',
  id: ID,
  folder: false,
  naming: { kind: 'file' },
  size: 7,
  mtime: 5,
  executable: false,
  sources: [ALICE.id],
  only: undefined,
  here: false,
  ...more,
});
const offer = (more: Partial<PeerOffer> = {}): PeerOffer => ({
  peer: ALICE.id,
  path: 'pics/a.jpg',
  kind: 'file',
  size: 7,
  mtime: 5,
  id: ID,
  version: 1,
  ...more,
});

async function found(one: Piece, offers: PeerOffer[], hashes: Record<string, string> = {}) {
  const asked: string[] = [];
  const [error] = await refind([one], {
    me: 'me',
    offers,
    hash: async (all) => {
      for (const { peer, path } of all) asked.push(`${peer} ${path}`);
      return new Map(Object.entries(hashes));
    },
    nameOf: (peer) => (peer === ALICE.id ? 'alice' : 'bob'),
    isHere: (peer) => offers.some((one) => one.peer === peer),
  });
  return { code: error?.code, message: error?.message, sources: one.sources, here: one.here, id: one.id, asked };
}

test('whoever has the same content now is a source, whatever he calls it', async (t) => {
  const bobs = offer({ peer: BOB.id, path: 'b.jpg' });
  t.like(await found(piece(), [offer(), bobs]), { code: undefined, sources: [ALICE.id, BOB.id] });
  t.like(await found(piece({ only: new Set([ALICE.id]) }), [bobs]), { code: 'no-peer', message: 'alice is not here' });
  t.like(await found(piece(), [offer({ peer: 'me' })]), { code: undefined, sources: [], here: true });
  t.like(await found(piece(), [offer({ path: 'c', id: OTHER })]), {
    code: 'no-peer',
    message: 'pics/a.jpg is not offered by alice now',
  });
  t.like(await found(piece({ folder: true, id: null, sources: [] }), []), { code: undefined });
});

test('other content under its path is no substitute', async (t) => {
  t.like(await found(piece(), [offer({ id: OTHER })]), { code: 'changed' });
  t.like(await found(piece(), [offer({ id: null, size: 8 })]), { code: 'changed', asked: [] });
  t.like(await found(piece(), [offer({ id: OTHER }), offer({ peer: BOB.id, path: 'x' })]), {
    code: undefined,
    sources: [BOB.id],
  });
});

test('what was hashed and is not now is hashed again before it is called another', async (t) => {
  const unhashed = offer({ id: null });
  const key = `${ALICE.id} pics/a.jpg`;
  t.like(await found(piece(), [unhashed], { [key]: ID }), { code: undefined, sources: [ALICE.id], asked: [key] });
  t.like(await found(piece(), [unhashed], { [key]: OTHER }), { code: 'changed' });
  t.like(await found(piece(), [unhashed]), { code: 'no-peer' }, 'it may yet be it');
});

test('what had no id is the same by its size and time, at the same source', async (t) => {
  const fresh = piece({ id: null });
  t.like(await found(fresh, [offer()]), { code: undefined, id: ID, sources: [ALICE.id] });
  t.like(await found(piece({ id: null }), [offer({ id: null })]), { code: undefined, id: null });
  t.like(await found(piece({ id: null }), [offer({ mtime: 6 })]), { code: 'changed' });
  t.like(await found(piece({ id: null }), [offer({ peer: BOB.id })]), { code: 'no-peer' });
});

// What is served on.

const landed = (root: string, relative: string, more: Partial<Landed> = {}): Landed => ({
  root,
  relative,
  folder: false,
  aside: false,
  ...more,
});

async function files(root: string, ...paths: string[]): Promise<void> {
  for (const path of paths) {
    await mkdir(join(root, path, '..'), { recursive: true });
    await writeFile(join(root, path), path);
  }
}

test('a file, a folder in which nothing else lies, and of another folder what was fetched alone', async (t) => {
  const root = await folder(t);
  await files(root, 'one.txt', 'whole/a.txt', 'whole/sub/b.txt', 'whole/.hidden', 'some/c.txt', 'some/mine.txt');
  await mkdir(join(root, 'whole', 'empty'));
  const { seeds, left } = await seedsOf([
    landed(root, 'one.txt'),
    landed(root, 'whole/a.txt'),
    landed(root, 'whole/sub/b.txt'),
    landed(root, 'whole/empty', { folder: true }),
    landed(root, 'some/c.txt'),
  ]);
  t.deepEqual(left, []);
  t.deepEqual(seeds, [
    { name: 'one.txt', path: join(root, 'one.txt') },
    { name: 'whole', path: join(root, 'whole') },
    { name: 'some', path: join(root, 'some'), only: ['/c.txt'] },
  ]);
});

test('nothing that lies beside what was fetched is served: a file, a folder, a link, however deep', async (t) => {
  for (const beside of ['top/x.txt', 'top/sub/x.txt', 'top/other/deep/x.txt']) {
    const root = await folder(t);
    await files(root, 'top/sub/a.txt', beside);
    const { seeds } = await seedsOf([landed(root, 'top/sub/a.txt')]);
    t.deepEqual(seeds[0].only, ['/sub/a.txt'], beside);
  }
  const root = await folder(t);
  await files(root, 'top/a*.txt', 'top/x.txt');
  const star = await seedsOf([landed(root, 'top/a*.txt')]);
  t.deepEqual(star.seeds, [], 'a name that would be a pattern');
  t.is(star.left[0].code, 'limit');
  const names = Array.from({ length: PATTERNS_MAX + 1 }, (_, i) => `many/${i}`);
  await files(root, 'many/x', ...names);
  t.deepEqual((await seedsOf(names.map((name) => landed(root, name)))).seeds, []);
  t.is((await seedsOf(names.slice(1).map((name) => landed(root, name)))).seeds[0].only?.length, PATTERNS_MAX);
});

test('what was shared with some only is left out, and the folder that holds it is not shared whole', async (t) => {
  const root = await folder(t);
  await files(root, 'top/a.txt', 'top/secret.txt', 'note.txt');
  const { seeds, left } = await seedsOf([
    landed(root, 'top/a.txt'),
    landed(root, 'top/secret.txt', { aside: true }),
    landed(root, 'note.txt', { aside: true }),
  ]);
  t.deepEqual(seeds, [{ name: 'top', path: join(root, 'top'), only: ['/a.txt'] }]);
  t.deepEqual(
    left.map(({ code }) => code),
    ['refused', 'refused'],
  );
});

test('of very many things the first are served', async (t) => {
  const root = await folder(t);
  const { seeds, left } = await seedsOf(Array.from({ length: 70 }, (_, i) => landed(root, `${i}.txt`)));
  t.is(seeds.length, 64);
  t.regex(left[0].message, /^6 of 70 are not served on/);
});
