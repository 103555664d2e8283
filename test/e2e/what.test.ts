/** What is asked for, from whom, and where it goes. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { exitStatus } from '../../lib/errors.js';
import { assertContent, codeOf, content, get, is, Lan, names } from './lan.js';

const TREE = {
  'photos/2024/cat.jpg': 'cat',
  'photos/2024/dog.jpg': 'dog',
  'photos/2025/cat.jpg': 'another cat',
  'photos/notes.txt': 'notes',
};

test('patterns, folders, content ids, unique names, and PEER:path', async (t) => {
  const lan = await Lan.make(t);
  const from = await lan.peer('alice', { files: TREE });
  const to = await lan.peer('receiver');
  for (const path of Object.keys(TREE)) await to.hashed(path);
  const id = await to.hashed('photos/2024/dog.jpg');
  const cases: [string, string[]][] = [
    ['photos/2024/cat.jpg', ['cat.jpg']],
    ['photos/2024/', ['2024/cat.jpg', '2024/dog.jpg']],
    ['photos/**/*.jpg', ['2024/cat.jpg', '2024/dog.jpg', '2025/cat.jpg']],
    ['photos/*/dog.jpg', ['2024/dog.jpg']],
    [`#${id}`, ['dog.jpg']],
    [`#${id.slice(0, 10)}`, ['dog.jpg']],
    ['notes.txt', ['notes.txt']],
    ['alice:photos/notes.txt', ['notes.txt']],
    [`${from.id}:photos/notes.txt`, ['notes.txt']],
    [`${from.id.slice(0, 20)}:photos/2025/`, ['2025/cat.jpg']],
  ];
  for (const [what, files] of cases) {
    const inbox = await lan.fresh('in');
    const outcome = await get(to, what, `${inbox}/`);
    t.deepEqual(outcome.codes, [], what);
    const there = outcome.done.map(({ file }) => file.slice(inbox.length + 1).replaceAll('\\', '/'));
    t.deepEqual(there.sort(), files, what);
  }
  const named = join(await lan.fresh('in'), 'mine.txt');
  t.deepEqual((await get(to, 'notes.txt', named)).codes, []);
  t.is(await readFile(named, 'utf8'), 'notes');
  for (const what of ['nothing', 'photos/nothing', 'photos', '#00', 'bob:photos/notes.txt', 'x*']) {
    t.deepEqual((await get(to, what, `${await lan.fresh('in')}/`)).codes, ['not-found'], what);
  }
});

test('two files for one place: conflict, before anything is fetched', async (t) => {
  const lan = await Lan.make(t);
  let asked = 0;
  await lan.peer('source', {
    files: TREE,
    filter: (message, direction) => {
      if (direction === 'in' && (is(message, 'S') || is(message, 'G'))) asked++;
      return message;
    },
  });
  const to = await lan.peer('receiver');
  for (const path of Object.keys(TREE)) await to.hashed(path);
  const inbox = await lan.fresh('in');
  const outcome = await get(to, ['photos/2024/cat.jpg', 'photos/2025/cat.jpg', 'notes.txt'], `${inbox}/`);
  t.deepEqual(outcome.codes, ['conflict']);
  const [{ error }] = outcome.of('error');
  for (const year of [2024, 2025]) t.true(error.message.includes(`photos/${year}/cat.jpg`), error.message);
  t.deepEqual(await names(inbox), []);
  t.is(asked, 0);
});

test('what is here already is not fetched; other content is left alone unless told otherwise', async (t) => {
  const lan = await Lan.make(t);
  const big = content(700_000, 71);
  const files = { 'share/small.txt': 'small', 'share/big.bin': big };
  await lan.peer('source', { files });
  const to = await lan.peer('receiver');
  for (const path of Object.keys(files)) await to.hashed(path);
  const inbox = await lan.fresh('in');
  await get(to, 'share/', `${inbox}/`);
  const again = await get(to, 'share/', `${inbox}/`);
  t.deepEqual(again.codes, []);
  t.deepEqual(
    again.done.map(({ already, received, sources }) => [already, received, sources]),
    [
      [true, 0, []],
      [true, 0, []],
    ],
  );
  const other = Buffer.alloc(big.length, 1);
  await writeFile(join(inbox, 'share/big.bin'), other);
  await writeFile(join(inbox, 'share/small.txt'), 'mine');
  const left = await get(to, 'share/', `${inbox}/`);
  t.deepEqual(left.codes, ['exists', 'exists']);
  await assertContent(t, join(inbox, 'share/big.bin'), other);
  const replaced = await get(to, 'share/', `${inbox}/`, { overwrite: true });
  t.deepEqual(replaced.codes, []);
  await assertContent(t, join(inbox, 'share/big.bin'), big);
  t.is(await readFile(join(inbox, 'share/small.txt'), 'utf8'), 'small');
});

test('two contents under one path are ambiguous; the error says how to name one', async (t) => {
  const lan = await Lan.make(t);
  const one = await lan.peer('one', { files: { 'share/x.txt': 'one', 'share/same.txt': 'same' } });
  const two = await lan.peer('two', { files: { 'share/x.txt': 'two', 'share/same.txt': 'same' } });
  const to = await lan.peer('receiver');
  const ids = [await to.hashed('share/x.txt', one), await to.hashed('share/x.txt', two)];
  for (const peer of [one, two]) await to.hashed('share/same.txt', peer);
  const inbox = await lan.fresh('in');
  for (const what of ['share/x.txt', 'x.txt', 'share/', '**']) {
    const outcome = await get(to, what, `${inbox}/`);
    t.deepEqual(outcome.codes, ['ambiguous'], what);
    const [{ error }] = outcome.of('error');
    for (const id of ids) t.true(error.message.includes(`#${id.slice(0, 12)}`), error.message);
  }
  t.is(exitStatus('ambiguous'), 4);
  t.deepEqual(await names(inbox), []);
  const same = await get(to, 'share/same.txt', `${inbox}/`);
  t.deepEqual(same.codes, [], 'one content at two peers is not');
  for (const [what, wanted] of [
    [`#${ids[0].slice(0, 12)}`, 'one'],
    [`#${ids[1].slice(0, 12)}`, 'two'],
    ['one:share/x.txt', 'one'],
    [`${two.id}:x.txt`, 'two'],
  ]) {
    const file = join(await lan.fresh('in'), 'x.txt');
    t.deepEqual((await get(to, what, file)).codes, [], what);
    t.is(await readFile(file, 'utf8'), wanted, what);
  }
  const file = join(await lan.fresh('in'), 'x.txt');
  t.deepEqual((await get(to, 'share/x.txt', file, { from: ['two'] })).codes, []);
  t.is(await readFile(file, 'utf8'), 'two');
});

test('from: who is away is named and the others go on; all away, or none has it, is an error', async (t) => {
  const lan = await Lan.make(t);
  const alice = await lan.peer('alice', { files: { 'a.txt': 'a' } });
  await lan.peer('bob', { files: { 'b.txt': 'b' } });
  for (const passive of [false, true]) {
    const to = await lan.peer(`receiver-${passive}`, { passive });
    if (!passive) for (const path of ['a.txt', 'b.txt']) await to.hashed(path);
    const inbox = await lan.fresh('in');
    const some = await get(to, 'a.txt', `${inbox}/`, { from: ['alice', 'carol'] });
    t.deepEqual(some.codes, []);
    t.true(
      to.told('warning').some(({ message }) => message.includes('carol')),
      JSON.stringify(to.told('warning')),
    );
    t.deepEqual((await get(to, 'b.txt', `${inbox}/`, { from: ['carol', 'dave'] })).codes, ['no-peer']);
    const none = await get(to, 'b.txt', `${inbox}/`, { from: ['alice', alice.id] });
    t.deepEqual(none.codes, ['not-found']);
    t.true(none.of('error')[0].error.message.includes('alice'), none.of('error')[0].error.message);
    t.deepEqual(await names(inbox), ['a.txt']);
  }
});

test('a name that two peers bear is ambiguous, and their ids are shown', async (t) => {
  const lan = await Lan.make(t);
  const twins = [
    await lan.peer('twin', { files: { 'a.txt': 'a' } }),
    await lan.peer('twin', { files: { 'b.txt': 'b' } }),
  ];
  const to = await lan.peer('receiver');
  for (const path of ['a.txt', 'b.txt']) await to.hashed(path);
  const inbox = await lan.fresh('in');
  const outcome = await get(to, 'a.txt', `${inbox}/`, { from: ['twin'] });
  t.deepEqual(outcome.codes, ['ambiguous']);
  for (const { id } of twins) t.true(outcome.of('error')[0].error.message.includes(id));
  t.is(await codeOf(to.peer.list({ from: ['twin'] })), 'ambiguous');
  t.deepEqual((await get(to, 'a.txt', `${inbox}/`, { from: [twins[0].id] })).codes, []);
});
