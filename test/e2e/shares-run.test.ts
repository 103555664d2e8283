/** What a running peer shares, changed while it runs: others see it, restarts keep it, and what is under way ends. */
import { mkdir, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import type { AddedRow, RemovedRow, ShareRow } from '../../lib/api.js';
import { Peer, type PeerOptions } from '../../lib/peer.js';
import { assertContent, begin, codeOf, content, get, Lan, type LanPeer, MIB, until, write } from './lan.js';
import { Wire } from './wire-between.js';

const BIG = content(16 * MIB, 5);

/** Folders to share, and a state folder that is kept from one run to the next. */
async function setting(lan: Lan) {
  const root = await lan.fresh('files');
  await write(root, {
    'pics/cat.jpg': 'cat',
    'pics/in/dog.jpg': 'dog',
    'music/a.ogg': 'a',
    'letters/note.txt': 'note',
  });
  const state = await lan.fresh('state');
  const path = (name: string) => join(root, name);
  const run = (options: Partial<PeerOptions> = {}) => lan.peer('alice', { state, share: [], ...options });
  return { root, state, path, run };
}

const names = (rows: ShareRow[]) => rows.map(({ name }) => name);
const shared = async (peer: LanPeer) => names((await peer.peer.status()).shares);
const known = (peer: LanPeer, share: string) =>
  [...peer.peer.index].map(({ path }) => path).filter((path) => path.startsWith(share));
const codes = (rows: (AddedRow | RemovedRow)[]) => rows.map(({ error }) => error?.code);

test('added, others see it; removed, within a second they do not; and neither is forgotten', async (t) => {
  const lan = await Lan.make(t);
  const { path, run, state } = await setting(lan);
  const alice = await run();
  const bob = await lan.peer('bob');
  t.deepEqual(await alice.peer.add({ paths: [path('pics'), path('music')] }), [
    { path: path('pics'), name: 'pics' },
    { path: path('music'), name: 'music' },
  ]);
  await bob.knows('pics/in/dog.jpg', alice);
  await bob.knows('music/a.ogg', alice);
  t.like((await alice.peer.status()).shares[0], { name: 'pics', path: path('pics'), from: 'added' });
  t.deepEqual(
    alice.told('share').map(({ change, name }) => [change, name]),
    [
      ['added', 'pics'],
      ['added', 'music'],
    ],
  );
  if (process.platform !== 'win32') t.is((await stat(join(state, 'shares.json'))).mode & 0o777, 0o600);

  const before = performance.now();
  t.deepEqual(await alice.peer.remove({ what: ['music'] }), [{ what: 'music', name: 'music', path: path('music') }]);
  await until(() => known(bob, 'music').length === 0, 'bob sees it go');
  t.true(performance.now() - before < 1000);
  t.deepEqual((await get(bob, 'music/a.ogg', await lan.fresh('in'))).codes, ['not-found']);
  await alice.peer.stop();

  const again = await run();
  t.deepEqual(names(again.told('ready')[0].shares), ['pics']);
  await bob.knows('pics/cat.jpg', again);
  t.deepEqual(known(bob, 'music'), []);
  // By its path, and what is in it by its name.
  t.deepEqual(codes(await again.peer.remove({ what: ['pics'], cwd: join(path('pics'), '..') })), [undefined]);
  await again.peer.stop();
  t.deepEqual(await shared(await run()), []);
});

test('what cannot be added or removed is said, each path for itself', async (t) => {
  const lan = await Lan.make(t);
  const { path, run, state, root } = await setting(lan);
  await writeFile(path('one.txt'), '1');
  const { peer } = await run({ share: [path('pics')] });
  const [already, none, other, own, within] = await peer.add({
    paths: [path('pics'), path('none'), path('music'), state, join(state, 'hashes')],
  });
  t.deepEqual(already, { path: path('pics'), name: 'pics', already: true });
  t.is(none.error?.code, 'no-such-path');
  t.deepEqual(other, { path: path('music'), name: 'music' });
  for (const row of [own, within]) t.like(row.error, { code: 'usage' });
  t.regex(own.error?.message ?? '', /hearsay's own state/);
  const [taken] = await peer.add({ paths: [path('letters')], as: 'music' });
  t.like(taken.error, { code: 'usage' });
  t.regex(taken.error?.message ?? '', /shared as music already.*--as/);
  const [otherwise] = await peer.add({ paths: [path('music')], for: ['bob'] });
  t.regex(otherwise.error?.message ?? '', /shared already, with everyone.*remove it first/);
  const [nested] = await peer.add({ paths: [join(path('pics'), 'in')], for: ['bob'] });
  t.regex(nested.error?.message ?? '', /lies within.*everyone may read/);
  t.is((await peer.add({ paths: [path('one.txt')], only: ['*.txt'] }))[0].error?.code, 'usage');
  t.is((await peer.add({ paths: [path('letters')], exclude: ['/'] }))[0].error?.code, 'usage');
  t.is(await codeOf(peer.add({ paths: [path('letters'), path('pics')], as: 'x' })), 'usage');
  t.deepEqual(names((await peer.status()).shares), ['pics', 'music']);

  await peer.add({ paths: [path('music')], as: 'songs' });
  const rows = await peer.remove({ what: ['nothing', './music', 'songs', './music'], cwd: root });
  t.deepEqual(codes(rows), ['not-found', 'ambiguous', undefined, undefined]);
  t.regex(rows[1].error?.message ?? '', /shared as music and songs/);
  t.deepEqual(names((await peer.status()).shares), ['pics']);
  if (process.platform !== 'win32') {
    await symlink(path('pics'), path('pictures'));
    t.like((await peer.remove({ what: ['pictures'], cwd: root }))[0], { name: 'pics' });
  }
  const shot = await lan.peer('shot', { passive: true });
  t.is(await codeOf(shot.peer.add({ paths: [path('pics')] })), 'usage');
});

test('a get that is under way ends when what it fetches is shared no more', async (t) => {
  const lan = await Lan.make(t);
  const root = await lan.fresh('files');
  await write(root, { 'a/big.bin': BIG, 'b/small.txt': 'small' });
  const alice = await lan.peer('alice', { share: [join(root, 'a'), join(root, 'b')], multicast: false });
  await alice.hashed('a/big.bin');
  const wire = await Wire.to(t, alice.peer.port);
  const [host, port] = wire.address.split(':');
  const bob = await lan.peer('bob', { join: [`${host}:${port}`], multicast: false });
  await bob.knows('a/big.bin');
  wire.stopAfter(4 * MIB);
  const run = begin(bob, 'a/big.bin', await lan.fresh('in'), { timeout: 30 });
  await until(() => wire.still && run.verified > 0, 'it is in the middle');
  await alice.peer.remove({ what: ['a'] });
  t.deepEqual(
    alice.told('serving').map(({ state }) => state),
    ['begun', 'failed'],
  );
  wire.go();
  const began = performance.now();
  const outcome = await run.ended;
  t.true(performance.now() - began < 10_000, 'it does not wait for a timeout');
  t.is(outcome.codes.length, 1);
  t.true(['not-found', 'changed'].includes(outcome.codes[0]), outcome.codes[0]);
  t.deepEqual((await alice.peer.status()).transfers, []);
  t.deepEqual((await get(bob, 'b/small.txt', await lan.fresh('in'))).codes, [], 'the rest is served as before');
});

test('for some only: added so, then for everyone, then for another', async (t) => {
  const lan = await Lan.make(t);
  const { path, run } = await setting(lan);
  const alice = await run({ share: [path('pics')] });
  const bob = await lan.peer('bob');
  const carol = await lan.peer('carol');
  for (const peer of [bob, carol]) await peer.knows('pics/cat.jpg', alice);
  const paths = [path('letters')];
  t.like((await alice.peer.add({ paths, for: ['bob'] }))[0], { name: 'letters', waiting: ['bob'] });
  await bob.knows('letters/note.txt', alice);
  t.like(alice.told('allowed')[0], { name: 'bob', peer: { id: bob.id }, shares: ['letters'] });
  await alice.peer.add({ paths: [path('music')] });
  await carol.knows('music/a.ogg', alice);
  t.deepEqual(known(carol, 'letters'), []);
  t.is((await get(carol, 'letters/note.txt', await lan.fresh('in'))).codes[0], 'not-found');
  const inbox = await lan.fresh('in');
  t.deepEqual((await get(bob, 'letters/note.txt', `${inbox}/`)).codes, []);
  await assertContent(t, join(inbox, 'note.txt'), Buffer.from('note'));

  await alice.peer.remove({ what: ['letters'] });
  await until(() => known(bob, 'letters').length === 0, 'bob sees it go');
  await alice.peer.add({ paths });
  for (const peer of [bob, carol]) await peer.knows('letters/note.txt', alice);
  await alice.peer.remove({ what: ['letters'] });
  await alice.peer.add({ paths, for: [carol.id] });
  await until(() => known(bob, 'letters').length === 0 && known(carol, 'letters').length === 1, 'carol alone sees it');
  t.is((await get(bob, 'letters/note.txt', await lan.fresh('in'))).codes[0], 'not-found');
  // To whom a name belongs is not asked again.
  await alice.peer.remove({ what: ['letters'] });
  t.deepEqual(await alice.peer.add({ paths, for: ['bob', 'dave'] }), [
    { path: path('letters'), name: 'letters', waiting: ['dave'] },
  ]);
  await until(() => known(bob, 'letters').length === 1 && known(carol, 'letters').length === 0, 'bob alone sees it');
});

test('those named at the start stand in place of the config file’s, what was added comes on top', async (t) => {
  const lan = await Lan.make(t);
  const { path, run, root } = await setting(lan);
  const config = join(root, 'config.toml');
  await writeFile(config, `share = [${JSON.stringify(path('pics'))}, "nowhere"]\n`);
  const fromFile = { config, share: undefined };
  const first = await run(fromFile);
  t.deepEqual(await shared(first), ['pics', 'nowhere']);
  t.like(first.told('share')[0], { change: 'away', name: 'nowhere' });
  await first.peer.add({ paths: [path('music')] });
  t.like((await first.peer.remove({ what: ['pics'] }))[0], { name: 'pics', until: 'restart', from: 'config' });
  t.deepEqual(await shared(first), ['nowhere', 'music']);
  await first.peer.stop();

  const second = await run({ config, share: [path('letters')] });
  t.deepEqual(await shared(second), ['letters', 'music']);
  t.like((await second.peer.remove({ what: ['letters'] }))[0], { until: 'restart', from: 'started' });
  t.like((await second.peer.remove({ what: ['music'] }))[0], { name: 'music' });
  // To add what it was started with is to have it at every start.
  await second.peer.add({ paths: [path('letters')] });
  await second.peer.stop();

  await mkdir(join(root, 'nowhere'));
  const third = await run(fromFile);
  t.deepEqual(await shared(third), ['pics', 'nowhere', 'letters'], 'what the file names is shared again');
  await third.peer.stop();
  t.is(await codeOf(run({ share: [join(root, 'missing')] })), 'no-such-path', 'what a person names is there');
});

test('what was added and is in the way of another, is damaged, or cannot be kept', async (t) => {
  const lan = await Lan.make(t);
  const { path, run, state, root } = await setting(lan);
  const first = await run();
  await first.peer.add({ paths: [path('pics'), path('letters')] });
  await first.peer.stop();
  await mkdir(join(root, 'other/pics'), { recursive: true });
  const second = await run({ share: [join(root, 'other/pics')] });
  t.like((await second.peer.status()).shares[0], { name: 'pics', path: join(root, 'other/pics') });
  t.deepEqual(await shared(second), ['pics', 'letters']);
  t.true(
    second.told('warning').some(({ message }) => /not shared: .*which was added \(two shares named/.test(message)),
  );
  await second.peer.stop();

  await rename(path('letters'), path('lent'));
  const third = await run();
  t.deepEqual(
    third.told('share').map(({ change, name }) => [change, name]),
    [['away', 'letters']],
  );
  t.like((await third.peer.status()).shares[1], { name: 'letters', away: 'there is no such file or folder' });
  // A folder in its place: it cannot be written.
  await rm(join(state, 'shares.json'));
  await mkdir(join(state, 'shares.json'));
  await writeFile(join(state, 'shares.json/x'), '');
  const [added] = await third.peer.add({ paths: [path('music')] });
  t.truthy(added.error);
  t.regex(added.error?.message ?? '', /shares\.json cannot be written/);
  const [removed] = await third.peer.remove({ what: ['pics'] });
  t.is(removed.name, 'pics');
  t.regex(removed.error?.message ?? '', /no more shared, but would be at the next start/);
  t.deepEqual(await shared(third), ['letters']);
  await third.peer.stop();

  await rm(join(state, 'shares.json'), { recursive: true });
  await writeFile(join(state, 'shares.json'), '{"shares":[{"path":"relative","name":"x"}]}');
  const fourth = await run({ share: [path('pics')] });
  t.deepEqual(await shared(fourth), ['pics']);
  t.true(fourth.told('warning').some(({ message }) => /shares\.json was damaged; it is now/.test(message)));
  t.true((await readdir(state)).some((name) => name.startsWith('shares.json.damaged-')));
});

test('the config file read again: shares follow it, and what needs a restart is said', async (t) => {
  const lan = await Lan.make(t);
  const { path, run, root } = await setting(lan);
  const config = join(root, 'config.toml');
  const configured = (...lines: string[]) => writeFile(config, `${lines.join('\n')}\n`);
  const quoted = (name: string) => JSON.stringify(path(name));
  await configured(`share = [${quoted('pics')}, ${quoted('music')}]`, 'timeout = 20');
  const alice = await run({ config, share: undefined });
  const bob = await lan.peer('bob');
  await bob.knows('pics/cat.jpg', alice);
  await alice.peer.remove({ what: ['music'] });
  const nothing = { added: [], removed: [], applied: [], restart: [], errors: [] };
  t.deepEqual(await alice.peer.reload(), nothing);
  t.deepEqual(await shared(alice), ['pics'], 'what was removed stays away while it runs');

  await configured(
    `share = [{ path = ${quoted('pics')}, exclude = ["in/"] }, ${quoted('letters')}, { path = ${quoted('music')}, as = "letters" }]`,
    'timeout = 25',
    'seed-only = true',
    'rescan = 99',
    'tracker = true',
  );
  const report = await alice.peer.reload();
  t.like(report, { added: ['pics', 'letters'], removed: ['pics'], applied: ['timeout', 'seed-only'] });
  t.deepEqual(report.restart, ['rescan', 'tracker']);
  t.is(report.errors.length, 1);
  t.regex(report.errors[0].message, /shared as letters already/);
  await bob.knows('letters/note.txt', alice);
  await until(() => known(bob, 'pics').length === 1, 'what is excluded now goes');
  t.true((await alice.peer.status()).seedOnly);

  await configured('share = [');
  t.is(await codeOf(alice.peer.reload()), 'config');
  t.deepEqual(await shared(alice), ['pics', 'letters'], 'what cannot be read changes nothing');
  await configured('share = []', 'rescan = 99', 'tracker = true');
  await alice.peer.add({ paths: [path('letters')] });
  t.like(await alice.peer.reload(), { removed: ['pics', 'letters'], applied: ['timeout', 'seed-only'] });
  t.deepEqual(await shared(alice), []);
});

test('only serving: it fetches nothing, and says so; others fetch from it', async (t) => {
  const lan = await Lan.make(t);
  const { path, run } = await setting(lan);
  const alice = await run({ share: [path('pics')], seedOnly: true });
  const bob = await lan.peer('bob', { files: { 'x/y.txt': 'y' } });
  await alice.knows('x/y.txt', bob);
  const inbox = await lan.fresh('in');
  t.is(await codeOf(get(alice, 'x/y.txt', `${inbox}/`)), 'refused');
  t.is(await codeOf(alice.peer.get('x/y.txt', { to: inbox })), 'refused');
  t.deepEqual(await readdir(inbox), []);
  t.true((await alice.peer.status()).seedOnly);
  await bob.knows('pics/cat.jpg', alice);
  t.deepEqual((await get(bob, 'pics/cat.jpg', `${inbox}/`)).codes, []);
  t.is(await readFile(join(inbox, 'cat.jpg'), 'utf8'), 'cat');
  t.is((await bob.peer.status()).seedOnly, undefined);
});

test('patterns choose what others see of a folder', async (t) => {
  const lan = await Lan.make(t);
  const { path, run } = await setting(lan);
  const alice = await run({ share: [{ path: path('pics'), only: ['*.jpg'], exclude: ['in/'] }] });
  const bob = await lan.peer('bob');
  await bob.knows('pics/cat.jpg', alice);
  await alice.peer.add({ paths: [path('pics')], as: 'dogs', only: ['in/'] });
  await bob.knows('dogs/in/dog.jpg', alice);
  t.deepEqual([...bob.peer.index].map(({ path: one }) => one).sort(), ['dogs/in/dog.jpg', 'pics/cat.jpg']);
  t.like((await alice.peer.status()).shares[0], { only: ['*.jpg'], exclude: ['in/'] });
  const [row] = await alice.peer.add({ paths: [path('pics')], only: ['*.png'] });
  t.regex(row.error?.message ?? '', /shared already, with everyone, some of its files/);
  await alice.peer.stop();
  const again = await run();
  t.like((await again.peer.status()).shares[0], { name: 'dogs', only: ['in/'] });
});

test('a running peer is asked by many at once, one change after another', async (t) => {
  const lan = await Lan.make(t);
  const { path, run } = await setting(lan);
  const { peer } = await run();
  const all = await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      i % 2 === 0 ? peer.add({ paths: [path('pics')] }) : peer.remove({ what: ['pics'] }),
    ),
  );
  t.deepEqual(
    all.map(([row]) => row.error?.code),
    all.map(() => undefined),
  );
  t.deepEqual((await peer.status()).shares, []);
  t.true(peer instanceof Peer);
});
