/** What a beginner meets first: nobody there, a folder without its slash, something left of an interrupted get. */
import { access, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { makeFolders } from '../../lib/share/folders.js';
import { CHILD_MS, errors, hearsay } from './child.js';
import { assertOnlyPartial, begin, content, get, is, Lan, MIB, names, until } from './lan.js';

test('where nobody is, a get exits 5 after the wait, and ls 0 after one wait, not two', async (t) => {
  const lan = await Lan.make(t);
  const inbox = await lan.fresh('in');
  const child = await hearsay(lan, 'get', 'a/b', '-o', `${inbox}/`, '--wait', '1', '--json');
  t.is((await child.waitForExit(CHILD_MS)).code, 5, child.tail());
  t.deepEqual(errors(child), ['no-peer']);
  const alone = await lan.peer('alone', { passive: true, wait: 1 });
  const began = performance.now();
  t.deepEqual((await alone.peer.list({})).files, []);
  const once = performance.now() - began;
  t.deepEqual(await alone.peer.peers(), []);
  t.true(performance.now() - began < once + 900, 'the second question does not wait as long again');
});

test('a folder without its slash is pointed out to a one-shot too', async (t) => {
  const lan = await Lan.make(t);
  const from = await lan.peer('source', { files: { 'share/a.txt': 'a' } });
  await from.hashed('share/a.txt');
  const one = await lan.peer('one', { passive: true });
  const outcome = await get(one, 'share', `${await lan.fresh('in')}/`);
  t.deepEqual(outcome.codes, ['not-found']);
  t.regex(outcome.of('error')[0].error.message, /it is a folder: write "share\/"/);
});

test('of several WHATs each that fails is named, and the others come', async (t) => {
  const lan = await Lan.make(t);
  const from = await lan.peer('source', { files: { 'share/a.txt': 'a', 'share/b.txt': 'b' } });
  await from.hashed('share/b.txt');
  const one = await lan.peer('one', { passive: true });
  const inbox = await lan.fresh('in');
  const outcome = await get(one, ['share/none', 'share/a.txt', 'share/nothing', 'share/b.txt'], `${inbox}/`);
  t.deepEqual(outcome.codes, ['not-found', 'not-found']);
  t.deepEqual(await names(inbox), ['a.txt', 'b.txt']);
});

test('what an interrupted get left is discarded although its source is gone, and nothing else is', async (t) => {
  const lan = await Lan.make(t);
  const big = content(4 * MIB, 7);
  const files = { 'share/one.bin': big, 'share/two.bin': content(4 * MIB, 8) };
  let blocks = 0;
  const from = await lan.peer('source', {
    files,
    filter: (message, direction) => (direction === 'out' && is(message, 'T') && ++blocks > 8 ? undefined : message),
  });
  await from.hashed('share/one.bin');
  await from.hashed('share/two.bin');
  const inbox = await lan.fresh('in');
  await mkdir(join(inbox, 'share'));
  const one = await lan.peer('one', { passive: true });
  const run = begin(one, 'share/', `${inbox}/`);
  await until(() => blocks > 8, 'some blocks came');
  run.abort.abort();
  await run.ended;
  await from.peer.stop();
  const left = await names(join(inbox, 'share'));
  t.true(left.filter((name) => name.endsWith('.part')).length >= 1);
  const later = await lan.peer('later', { passive: true, wait: 0.2 });
  const nothing = await get(later, 'share/three.bin', `${inbox}/`, { discard: true });
  t.deepEqual(nothing.codes, ['not-found']);
  t.deepEqual(await names(join(inbox, 'share')), left, 'nothing else was removed');
  const gone = await get(later, 'share/', `${inbox}/`, { discard: true });
  t.deepEqual(gone.codes, []);
  t.deepEqual(await names(join(inbox, 'share')), []);
});

test('a source that said goodbye is not waited for', async (t) => {
  const lan = await Lan.make(t);
  let blocks = 0;
  const from = await lan.peer('source', {
    files: { 'share/one.bin': content(4 * MIB, 9) },
    filter: (message, direction) => (direction === 'out' && is(message, 'T') && ++blocks > 3 ? undefined : message),
  });
  await from.hashed('share/one.bin');
  const one = await lan.peer('one', { passive: true });
  const inbox = await lan.fresh('in');
  const run = begin(one, 'share/one.bin', `${inbox}/`, { timeout: 60 });
  await until(() => blocks > 3, 'some blocks came');
  const began = performance.now();
  await from.peer.stop();
  const outcome = await run.ended;
  t.deepEqual(outcome.codes, ['no-peer']);
  t.regex(outcome.of('error')[0].error.message, /source has left/);
  t.true(performance.now() - began < 10_000);
  await assertOnlyPartial(t, inbox);
});

test('folders that cannot be made are an error, in finite time', async (t) => {
  const lan = await Lan.make(t);
  const root = await lan.fresh('folders');
  // By several at once, as of two daemons that start.
  for (let i = 0; i < 20; i++) {
    await Promise.all(Array.from({ length: 8 }, () => makeFolders(join(root, `${i}`, 'b', 'c', 'd'))));
  }
  await makeFolders(join(root, 'a', 'b', 'c'));
  await makeFolders(join(root, 'a', 'b', 'c'));
  await t.notThrowsAsync(access(join(root, 'a', 'b', 'c')));
  // A system that says ENOENT although the folder above is there.
  if (process.platform === 'linux') await t.throwsAsync(makeFolders('/proc/none/at/all'), { code: 'ENOENT' });
});
