/** Gets that a peer keeps: they go on without who asked for them, are held, let go on, ended, queued, and outlive their peer. */
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { GetQuery, TransferRow } from '../../lib/api.js';
import { DETACHED } from '../../lib/detached.js';
import {
  assertContent,
  assertOnlyPartial,
  begin,
  content,
  get,
  Lan,
  type LanOptions,
  type LanPeer,
  MIB,
  names,
  type Run,
  until,
  write,
} from './lan.js';
import { Wire } from './wire-between.js';

const SIZE = 24 * MIB;
const BIG = content(SIZE, 17);
const KEEP: Partial<GetQuery> = { keep: true };

interface Setting {
  lan: Lan;
  source: LanPeer;
  wire: Wire;
  to: LanPeer;
  inbox: string;
  /** Its state folder. */
  state: string;
  /** Starts the receiver anew, on its state. */
  again(options?: LanOptions): Promise<LanPeer>;
}

/** A source, a receiver, and between them a wire that can be stopped. */
async function setting(t: ExecutionContext, options: LanOptions = {}): Promise<Setting> {
  const lan = await Lan.make(t);
  const source = await lan.peer('source', {
    files: { 'share/big.bin': BIG, 'share/small.txt': 'small' },
    multicast: false,
  });
  await source.hashed('share/big.bin');
  const wire = await Wire.to(t, source.peer.port);
  const state = join(await lan.fresh('receiver'), 'state');
  const again = (more: LanOptions = {}) =>
    lan.peer('receiver', { state, share: [], join: [wire.address], multicast: false, ...options, ...more });
  const to = await again();
  await to.hashed('share/big.bin', source);
  return { lan, source, wire, to, inbox: `${await lan.fresh('in')}/`, state, again };
}

/** A get that is kept, stopped in its middle. */
async function middle(t: ExecutionContext, options: LanOptions = {}) {
  const all = await setting(t, options);
  const { wire, to, inbox } = all;
  wire.stopAfter(8 * MIB);
  const run = begin(to, 'share/big.bin', inbox, KEEP);
  await until(() => wire.still && run.verified > 2 * MIB, 'it is in the middle');
  return { ...all, run };
}

async function row(peer: LanPeer, number = 1): Promise<TransferRow | undefined> {
  return (await peer.peer.status()).transfers.find((one) => one.number === number);
}

/** Waits until a transfer is in a state. */
async function stands(peer: LanPeer, state: TransferRow['state'], number = 1): Promise<TransferRow> {
  let last: TransferRow | undefined;
  for (const end = performance.now() + 30_000; performance.now() < end; ) {
    last = await row(peer, number);
    if (last && last.state === state) return last;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`transfer ${number} is not ${state}: ${JSON.stringify(last)}`);
}

test('a get goes on when nobody follows it, and the same again follows it to its end', async (t) => {
  const { wire, to, inbox, run } = await middle(t);
  t.like(run.outcome.of('start')[0], { files: 1, bytes: SIZE, number: 1 });
  t.like(await row(to), { number: 1, state: 'running', direction: 'in', path: 'share/big.bin', size: SIZE, to: inbox });
  run.abort.abort(DETACHED);
  await run.ended;
  t.deepEqual(run.outcome.of('end'), [], 'it has not ended');
  const again = begin(to, 'share/big.bin', inbox, KEEP);
  await until(() => again.outcome.of('start').length > 0, 'it follows');
  t.like(again.outcome.of('start')[0], { number: 1, again: 'running' });
  wire.go();
  const { done, codes } = await again.ended;
  t.deepEqual(codes, []);
  t.is(done.length, 1);
  await assertContent(t, join(inbox, 'big.bin'), BIG);
  t.like(await row(to), { number: 1, state: 'done', bytes: SIZE, files: 1, done: 1 });
  const told = to.told('transfer').map((event) => event.row.state);
  t.deepEqual(told, ['running', 'done']);
  // What is done begins anew.
  t.like((await get(to, 'share/big.bin', inbox, KEEP)).of('start')[0], { number: 2 });
});

test('held: nothing comes of it and what is verified is kept; resumed: only the rest is fetched', async (t) => {
  const { source, wire, to, inbox, run } = await middle(t);
  const held = await to.peer.steer({ verb: 'pause', numbers: [1] });
  t.deepEqual(held, [{ number: 1, state: 'paused', path: 'share/big.bin' }]);
  await until(() => source.told('serving').some(({ state }) => state === 'failed'), 'its request is closed');
  await assertOnlyPartial(t, inbox);
  t.true(((await row(to))?.bytes ?? 0) > 2 * MIB, 'what is verified is told while it is held');
  wire.go();
  t.false(run.over, 'who follows waits');
  t.deepEqual(await to.peer.steer({ verb: 'pause', numbers: 'all' }), [], 'nothing else can be held');
  const { verified } = run;
  t.like(await to.peer.steer({ verb: 'resume', numbers: 'all' }), [{ number: 1, state: 'queued' }]);
  const { done, codes } = await run.ended;
  t.deepEqual(codes, []);
  t.true(done[0].received <= SIZE - verified + MIB, `${done[0].received} of ${SIZE - verified}`);
  await assertContent(t, join(inbox, 'big.bin'), BIG);
});

test('the same get again lets one that is held go on', async (t) => {
  const { wire, to, inbox, run } = await middle(t);
  await to.peer.steer({ verb: 'pause', numbers: [1] });
  wire.go();
  run.abort.abort(DETACHED);
  const again = await get(to, 'share/big.bin', inbox, KEEP);
  t.like(again.of('start')[0], { number: 1, again: 'paused' });
  t.deepEqual(again.codes, []);
  t.is(again.done.length, 1);
});

test('cancelled: who follows is told, and the partial is removed', async (t) => {
  const { to, inbox, run } = await middle(t);
  t.like(await to.peer.steer({ verb: 'cancel', numbers: [1, 7] }), [
    { number: 1, state: 'cancelled' },
    { number: 7, error: { code: 'not-found' } },
  ]);
  const outcome = await run.ended;
  t.deepEqual(outcome.codes, ['cancelled']);
  t.like(outcome.of('end')[0], { files: 0, failed: 1 });
  t.deepEqual(await names(inbox), []);
  t.like(await row(to), { state: 'failed', error: { code: 'cancelled' } });
  t.like(await to.peer.steer({ verb: 'cancel', numbers: [1] }), [{ number: 1, error: { code: 'failed' } }]);
  t.deepEqual(await to.peer.steer({ verb: 'cancel', numbers: 'all' }), []);
});

test('of two who follow, the Ctrl-C of one ends it for him alone; that of the last ends it, and what is verified is kept', async (t) => {
  const { to, inbox, run } = await middle(t);
  const other = begin(to, 'share/big.bin', inbox, KEEP);
  await until(() => other.outcome.of('start').length > 0, 'both follow');
  run.abort.abort();
  t.deepEqual((await run.ended).codes, ['interrupted']);
  t.like(await row(to), { state: 'running' });
  other.abort.abort();
  t.deepEqual((await other.ended).codes, ['interrupted']);
  t.is(other.outcome.of('end').length, 1);
  t.like(await row(to), { state: 'failed', error: { code: 'interrupted' } });
  await assertOnlyPartial(t, inbox);
});

test('one that is not kept ends with who asked for it; it is listed, can be cancelled, and not held', async (t) => {
  const { wire, to, inbox } = await setting(t);
  wire.stopAfter(8 * MIB);
  const run = begin(to, 'share/big.bin', inbox);
  await until(() => wire.still && run.verified > 2 * MIB, 'it is in the middle');
  t.like(await row(to), { number: 1, state: 'running', size: SIZE });
  t.like(await to.peer.steer({ verb: 'pause', numbers: [1] }), [{ number: 1, error: { code: 'refused' } }]);
  t.like(await to.peer.steer({ verb: 'cancel', numbers: 'all' }), [{ number: 1, state: 'cancelled' }]);
  t.deepEqual((await run.ended).codes, ['interrupted']);
  await assertOnlyPartial(t, inbox);
});

test('a peer that stops in the middle goes on when it is started again, and the number stays', async (t) => {
  const { wire, to, inbox, run, again } = await middle(t);
  await to.peer.stop();
  t.deepEqual((await run.ended).codes, ['interrupted']);
  const { verified } = run;
  wire.go();
  const next = await again();
  const follow = await get(next, 'share/big.bin', inbox, KEEP);
  t.like(follow.of('start')[0], { number: 1 });
  t.deepEqual(follow.codes, []);
  t.true(follow.received <= SIZE - verified + MIB, `${follow.received} of ${SIZE - verified}`);
  await assertContent(t, join(inbox, 'big.bin'), BIG);
  await next.peer.stop();
  // It is told of after another restart, too.
  const third = await again();
  t.like(await row(third), { number: 1, state: 'done', path: 'share/big.bin', bytes: SIZE });
});

test('what was held stays held over a restart', async (t) => {
  const { wire, to, inbox, again } = await middle(t);
  await to.peer.steer({ verb: 'pause', numbers: [1] });
  const bytes = (await row(to))?.bytes as number;
  t.true(bytes > 2 * MIB);
  await to.peer.stop();
  wire.go();
  const next = await again();
  await next.hashed('share/big.bin');
  t.like(await row(next), { number: 1, state: 'paused', path: 'share/big.bin', size: SIZE, bytes });
  t.deepEqual(await names(inbox).then((all) => all.filter((name) => !name.startsWith('.'))), []);
  await next.peer.steer({ verb: 'resume', numbers: [1] });
  await stands(next, 'done');
  await assertContent(t, join(inbox, 'big.bin'), BIG);
});

test('its source is away: it waits and says so, who follows gives up in his time, and it goes on when the source is back', async (t) => {
  const { lan, source, wire, to, inbox, run } = await middle(t);
  const { port } = source.peer;
  await source.peer.stop();
  wire.go();
  const waits = await stands(to, 'queued');
  t.is(waits.error?.code, 'no-peer');
  t.regex(waits.error?.message ?? '', /source/);
  await until(() => run.outcome.of('warning').length > 0, 'who follows is told');
  const hasty = await get(to, 'share/big.bin', inbox, { ...KEEP, timeout: 0.2 });
  t.deepEqual(hasty.codes, ['no-peer']);
  t.regex(hasty.of('error')[0].error.message, /goes on by itself/);
  t.like(await row(to), { state: 'queued' });
  const root = join(source.root, 'share');
  await lan.peer('source', { share: [root], state: join(source.root, '.state'), multicast: false, port });
  const outcome = await run.ended;
  t.deepEqual(outcome.codes, []);
  await assertContent(t, join(inbox, 'big.bin'), BIG);
});

test('at the start nobody is there yet: a kept get waits for its source', async (t) => {
  const { lan, source, wire, to, inbox, again } = await middle(t);
  const { port } = source.peer;
  await to.peer.stop();
  await source.peer.stop();
  wire.go();
  const next = await again();
  const waits = await stands(next, 'queued');
  t.is(waits.number, 1);
  await until(() => next.told('transfer').some((event) => event.row.error), 'it says what it waits for');
  t.is((await row(next))?.error?.message, 'source is not here');
  await lan.peer('source', {
    share: [join(source.root, 'share')],
    state: join(source.root, '.state'),
    multicast: false,
    port,
  });
  await stands(next, 'done');
  await assertContent(t, join(inbox, 'big.bin'), BIG);
});

test('content that changed at its source meanwhile is not fetched in its place', async (t) => {
  const { lan, source, wire, to, inbox, again } = await middle(t);
  const { port } = source.peer;
  await to.peer.stop();
  await source.peer.stop();
  wire.go();
  await write(source.root, { 'share/big.bin': content(SIZE, 18) }, new Date(Date.now() - 1_800_000));
  const other = await lan.peer('source', {
    share: [join(source.root, 'share')],
    state: join(source.root, '.state'),
    multicast: false,
    port,
  });
  await other.hashed('share/big.bin');
  const next = await again();
  const failed = await stands(next, 'failed');
  t.is(failed.error?.code, 'changed');
  t.deepEqual(await names(inbox).then((all) => all.filter((name) => !name.startsWith('.'))), []);
});

test('what is not found at first fails at once, and is not listed', async (t) => {
  const { to, inbox } = await setting(t);
  const outcome = await get(to, 'share/nothing.bin', inbox, KEEP);
  t.deepEqual(outcome.codes, ['not-found']);
  t.like(outcome.of('end')[0], { files: 0, failed: 1 });
  t.deepEqual((await to.peer.status()).transfers, []);
  const both = await get(to, ['share/nothing.bin', 'share/small.txt'], inbox, KEEP);
  t.deepEqual(both.codes, ['not-found']);
  t.is(both.done.length, 1);
  t.like((await to.peer.status()).transfers, [{ state: 'failed', error: { code: 'not-found' }, files: 1, done: 1 }]);
});

test('transfers wait for their turn, those of all gets together, and a change of the setting holds at once', async (t) => {
  const lan = await Lan.make(t);
  const files = Object.fromEntries([1, 2, 3].map((i) => [`share/${i}.bin`, content(SIZE, i)]));
  const source = await lan.peer('source', { files, multicast: false });
  for (const path of Object.keys(files)) await source.hashed(path);
  const wire = await Wire.to(t, source.peer.port);
  const config = join(await lan.fresh('config'), 'config.toml');
  await writeFile(config, 'transfers = 1\n');
  const to = await lan.peer('receiver', { share: [], join: [wire.address], multicast: false, config });
  for (const path of Object.keys(files)) await to.hashed(path, source);
  const inbox = `${await lan.fresh('in')}/`;
  wire.stopAfter(4 * MIB);
  const runs: Run[] = [];
  for (const i of [1, 2, 3]) {
    const run = begin(to, `share/${i}.bin`, inbox, KEEP);
    await until(() => run.outcome.of('start').length > 0, `${i} has begun`);
    runs.push(run);
  }
  await until(() => wire.still, 'the wire stands still');
  const states = async () => (await to.peer.status()).transfers.map(({ state }) => state);
  t.deepEqual(await states(), ['running', 'queued', 'queued']);
  await writeFile(config, 'transfers = 2\n');
  t.true((await to.peer.reload()).applied.includes('transfers'));
  await stands(to, 'running', 2);
  t.deepEqual(await states(), ['running', 'running', 'queued']);
  wire.go();
  for (const run of runs) t.deepEqual((await run.ended).codes, []);
  const began = to.told('transfer').filter((event) => event.row.state === 'running');
  t.deepEqual(
    began.map((event) => event.row.number),
    [1, 2, 3],
  );
});

test('a damaged list is set aside with a word, and a transfer whose files are lost has failed', async (t) => {
  const { to, state, again } = await middle(t);
  await to.peer.stop();
  const list = JSON.parse(await readFile(join(state, 'transfers.json'), 'utf8')) as { jobs: unknown[] };
  t.is(list.jobs.length, 1);
  if (process.platform !== 'win32') t.is((await stat(join(state, 'transfers.json'))).mode & 0o777, 0o600);
  await writeFile(join(state, 'transfers', '1.json'), '{"peers":[');
  const second = await again();
  t.like(await row(second), { state: 'failed', error: { code: 'state-damaged' } });
  t.true(second.told('warning').some(({ message }) => /transfers.1\.json was damaged/.test(message)));
  await second.peer.stop();
  await writeFile(join(state, 'transfers.json'), '{"next":"x"}');
  const third = await again();
  t.deepEqual((await third.peer.status()).transfers, []);
  t.true(third.told('warning').some(({ message }) => /transfers\.json was damaged/.test(message)));
  t.true((await readdir(state)).some((name) => name.startsWith('transfers.json.damaged-')));
});

test('a peer that only serves lets what it kept wait, until it may fetch again', async (t) => {
  const { lan, wire, to, inbox, again } = await middle(t);
  await to.peer.stop();
  wire.go();
  const config = join(await lan.fresh('config'), 'config.toml');
  await writeFile(config, 'seed-only = true\n');
  const next = await again({ config });
  await next.hashed('share/big.bin');
  const waits = await row(next);
  t.is(waits?.state, 'queued');
  t.is(waits?.error, undefined, 'it was not even tried');
  const refused = begin(next, 'share/small.txt', '.', KEEP);
  await t.throwsAsync(refused.ended, { code: 'refused' });
  await writeFile(config, 'seed-only = false\n');
  await next.peer.reload();
  await stands(next, 'done');
  await assertContent(t, join(inbox, 'big.bin'), BIG);
});

test('what is fetched into a shared folder is offered at once, and not read again for that', async (t) => {
  const { lan, source, wire } = await setting(t);
  const root = await lan.fresh('mine');
  await write(root, { 'mine/old.txt': 'old' });
  const to = await lan.peer('keeper', { share: [join(root, 'mine')], join: [wire.address], multicast: false });
  const id = await to.hashed('share/big.bin', source);
  const outcome = await get(to, 'share/big.bin', `${join(root, 'mine')}/`, { ...KEEP, seed: true });
  t.deepEqual(outcome.codes, []);
  t.deepEqual(outcome.of('seed'), [], 'it is served anyhow');
  await source.hashed('mine/big.bin', to);
  t.is(source.offers('mine/big.bin')[0].id, id);
  t.deepEqual(
    to.told('hashed').map(({ path }) => path),
    ['mine/old.txt'],
  );
});

test('--seed: a running peer serves on what it fetched, and nothing that lies beside it, also after a restart', async (t) => {
  const lan = await Lan.make(t);
  const source = await lan.peer('source', { files: { 'pics/a.txt': 'a', 'pics/sub/b.txt': 'b', 'one.txt': '1' } });
  const state = join(await lan.fresh('receiver'), 'state');
  const again = () => lan.peer('receiver', { state, share: [] });
  const to = await again();
  for (const path of ['pics/a.txt', 'pics/sub/b.txt', 'one.txt']) await to.hashed(path, source);
  const inbox = await lan.fresh('in');
  await write(inbox, { 'pics/private.txt': 'mine', 'other/pics/': '' });
  const seed = { ...KEEP, seed: true };
  const whole = await get(to, 'pics/', `${inbox}/new/`, seed);
  t.deepEqual(
    whole.of('seed').map(({ share }) => share),
    [{ name: 'pics', path: join(inbox, 'new', 'pics') }],
  );
  const some = await get(to, 'pics/', `${inbox}/`, seed);
  t.like(some.of('seed')[0].share, { name: 'pics-2', path: join(inbox, 'pics') });
  t.deepEqual([...(some.of('seed')[0].share.only ?? [])].sort(), ['/a.txt', '/sub/b.txt']);
  await get(to, 'one.txt', `${inbox}/`, seed);
  const offered = () => [...source.peer.index].filter((o) => o.peer === to.id && o.kind === 'file').map((o) => o.path);
  await until(() => offered().length >= 5, 'all of it is offered');
  const all = ['one.txt', 'pics-2/a.txt', 'pics-2/sub/b.txt', 'pics/a.txt', 'pics/sub/b.txt'];
  t.deepEqual(offered().sort(), all);
  await to.peer.stop();
  await again();
  await until(() => offered().length >= 5, 'it is offered again');
  t.deepEqual(offered().sort(), all);
});

test('--seed: what was shared with some only is not served on', async (t) => {
  const lan = await Lan.make(t);
  const root = await lan.fresh('letters');
  await write(root, { 'letters/note.txt': 'note' });
  const source = await lan.peer('source', { share: [{ path: join(root, 'letters'), for: ['receiver'] }] });
  const to = await lan.peer('receiver', { share: [] });
  await to.hashed('letters/note.txt', source);
  for (const keep of [true, false]) {
    const outcome = await get(to, 'letters/', `${await lan.fresh('in')}/`, { keep, seed: true });
    t.deepEqual(outcome.codes, []);
    t.deepEqual(outcome.of('seed'), []);
    t.regex(outcome.of('warning').at(-1)?.message ?? '', /is not served on: it was shared with some only/);
  }
  t.deepEqual((await to.peer.status()).shares, []);
});
