/** Many small files, and what is kept of a file besides its content. */
import { chmod, mkdir, readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import type { MessageOf } from '../../lib/wire/table.js';
import { assertContent, begin, content, get, is, Lan, names, until } from './lan.js';
import { Wire } from './wire-between.js';

/** A bundle with one byte of its n-th file wrong. */
function spoil(bundle: MessageOf<'U'>, place: number): MessageOf<'U'> {
  const data = Buffer.from(bundle.data);
  let at = 0;
  for (const file of bundle.files) {
    if (file.place === place) data[at] ^= 1;
    at += file.size;
  }
  return { ...bundle, data };
}

test('3,000 small files arrive in few frames, every one as it was', async (t) => {
  const lan = await Lan.make(t);
  const files: Record<string, Buffer> = {};
  for (let i = 0; i < 3000; i++) files[`share/${i % 30}/${i}.txt`] = content(50 + (i % 700), i);
  let frames = 0;
  await lan.peer('source', {
    files,
    filter: (message, direction) => {
      if (direction === 'out' && is(message, 'U')) frames++;
      return message;
    },
  });
  const to = await lan.peer('receiver');
  await until(() => [...to.peer.index].filter(({ id }) => id !== null).length === 3000, 'all are known and hashed');
  const inbox = await lan.fresh('in');
  const outcome = await get(to, 'share/', `${inbox}/`);
  t.deepEqual(outcome.codes, []);
  t.is(outcome.done.length, 3000);
  t.true(frames <= 60, `${frames} frames`);
  t.deepEqual(
    outcome.of('end').map(({ files, failed }) => [files, failed]),
    [[3000, 0]],
  );
  for (const [path, data] of Object.entries(files)) {
    if (Buffer.compare(await readFile(join(inbox, path)), data) !== 0) t.fail(`${path} is not as it was`);
  }
  const all = await readdir(inbox, { recursive: true });
  t.is(all.length, 3000 + 30 + 1, 'and nothing else is there');
});

test('a connection that breaks in the middle of many small files costs none of them', async (t) => {
  const lan = await Lan.make(t);
  const files: Record<string, Buffer> = {};
  for (let i = 0; i < 400; i++) files[`share/${i}.bin`] = content(20_000, i);
  const from = await lan.peer('source', { files, multicast: false });
  const wire = await Wire.to(t, from.peer.port);
  const to = await lan.peer('receiver', { multicast: false, join: [wire.address] });
  await until(() => [...to.peer.index].filter(({ id }) => id !== null).length === 400, 'all are known and hashed');
  const inbox = await lan.fresh('in');
  wire.stopAfter(2_000_000);
  const run = begin(to, 'share/', `${inbox}/`);
  await until(() => wire.still, 'it is in the middle');
  wire.cut();
  const outcome = await run.ended;
  t.deepEqual(outcome.codes, []);
  t.is(outcome.done.length, 400, 'each is told of once');
  for (const [path, data] of Object.entries(files)) await assertContent(t, join(inbox, path), data);
});

test('a small file that is corrupt once heals', async (t) => {
  const lan = await Lan.make(t);
  let spoilt = 0;
  const files = { 'share/a.txt': 'aaa', 'share/b.txt': 'bbb', 'share/c.txt': 'ccc' };
  await lan.peer('source', {
    files,
    filter: (message, direction) =>
      direction === 'out' && is(message, 'U') && ++spoilt === 1 ? spoil(message, 1) : message,
  });
  const to = await lan.peer('receiver');
  for (const path of Object.keys(files)) await to.hashed(path);
  const inbox = await lan.fresh('in');
  const outcome = await get(to, 'share/', `${inbox}/`);
  t.deepEqual(outcome.codes, []);
  t.is(spoilt, 2);
  t.deepEqual(outcome.of('dropped'), []);
  for (const [path, data] of Object.entries(files)) await assertContent(t, join(inbox, path), Buffer.from(data));
});

test('a small file that is corrupt again fails alone, and its source is named', async (t) => {
  const lan = await Lan.make(t);
  const files = { 'share/a.txt': 'aaa', 'share/b.txt': 'bbb', 'share/c.txt': 'ccc' };
  let first = true;
  const from = await lan.peer('source', {
    files,
    filter: (message, direction) => {
      if (direction !== 'out' || !is(message, 'U')) return message;
      const place = first ? 1 : 0;
      first = false;
      return spoil(message, place);
    },
  });
  const to = await lan.peer('receiver');
  for (const path of Object.keys(files)) await to.hashed(path);
  const inbox = await lan.fresh('in');
  const outcome = await get(to, 'share/', `${inbox}/`);
  t.deepEqual(
    outcome.of('error').map(({ path, error }) => [path, error.code]),
    [['share/b.txt', 'wrong-content']],
  );
  t.deepEqual(
    outcome.of('dropped').map(({ source }) => source.id),
    [from.id],
  );
  t.deepEqual(await names(join(inbox, 'share')), ['a.txt', 'c.txt']);
});

test('a small file that is twice in one frame is written once, as it was first', async (t) => {
  const lan = await Lan.make(t);
  const files = { 'share/a.txt': 'aaa', 'share/b.txt': 'bbb' };
  await lan.peer('source', {
    files,
    filter: (message, direction) => {
      if (direction !== 'out' || !is(message, 'U')) return message;
      const again = spoil(message, 0);
      return { ...message, files: [...message.files, ...again.files], data: Buffer.concat([message.data, again.data]) };
    },
  });
  const to = await lan.peer('receiver');
  for (const path of Object.keys(files)) await to.hashed(path);
  const inbox = await lan.fresh('in');
  const outcome = await get(to, 'share/', `${inbox}/`);
  t.deepEqual(outcome.codes, []);
  t.is(outcome.done.length, 2);
  for (const [path, data] of Object.entries(files)) await assertContent(t, join(inbox, path), Buffer.from(data));
});

test('a small file that one source has spoilt comes from another', async (t) => {
  const lan = await Lan.make(t);
  const files = { 'share/a.txt': 'aaa', 'share/b.txt': 'bbb' };
  const liar = await lan.peer('liar', {
    files,
    filter: (message, direction) => (direction === 'out' && is(message, 'U') ? spoil(spoil(message, 0), 1) : message),
  });
  const good = await lan.peer('good', { files });
  const to = await lan.peer('receiver');
  for (const path of Object.keys(files)) for (const peer of [liar, good]) await to.hashed(path, peer);
  const inbox = await lan.fresh('in');
  const outcome = await get(to, 'share/', `${inbox}/`);
  t.deepEqual(outcome.codes, []);
  for (const [path, data] of Object.entries(files)) await assertContent(t, join(inbox, path), Buffer.from(data));
});

test('empty files, empty folders, times and the executable bit are kept', async (t) => {
  const lan = await Lan.make(t);
  const root = await lan.fresh('shared');
  await mkdir(join(root, 'share/empty/deep'), { recursive: true });
  const big = content(600_000, 61);
  const files = { 'empty.txt': Buffer.alloc(0), 'run.sh': Buffer.from('#!/bin/sh\n'), 'big.bin': big };
  // Times before 1970, with odd milliseconds, and far ahead are times too; those before it become 1970.
  const times = [new Date(1_234_567_890_123), new Date('2037-05-06T07:08:09.999Z'), new Date(1001)];
  for (const [i, [name, data]] of Object.entries(files).entries()) {
    await writeFile(join(root, 'share', name), data);
    await utimes(join(root, 'share', name), times[i], times[i]);
  }
  const posix = process.platform !== 'win32';
  if (posix) for (const name of ['run.sh', 'big.bin']) await chmod(join(root, 'share', name), 0o755);
  await lan.peer('source', { share: [join(root, 'share')] });
  const to = await lan.peer('receiver');
  await to.hashed('share/big.bin');
  await to.hashed('share/run.sh');
  await to.knows('share/empty.txt');
  await to.knows('share/empty/deep');
  const inbox = await lan.fresh('in');
  const outcome = await get(to, 'share/', `${inbox}/`);
  t.deepEqual(outcome.codes, []);
  t.deepEqual(await names(join(inbox, 'share')), ['big.bin', 'empty', 'empty.txt', 'run.sh']);
  t.deepEqual(await names(join(inbox, 'share/empty/deep')), []);
  for (const [i, [name, data]] of Object.entries(files).entries()) {
    const file = join(inbox, 'share', name);
    await assertContent(t, file, data);
    const { mtimeMs, mode } = await stat(file);
    t.is(Math.floor(mtimeMs), times[i].getTime(), name);
    if (posix) t.is((mode & 0o100) !== 0, name !== 'empty.txt', `whether ${name} may be run`);
  }
});
