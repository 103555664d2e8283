/** Limits on what peers send and fetch. How exactly rates are kept is for limit.test.ts, and for the lab. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { BLOCK } from '../../lib/limits.js';
import { assertContent, begin, content, get, is, Lan, until } from './lan.js';

const M = 1_000_000;
const KB = 1000;

for (const side of ['limitUp', 'limitDown'] as const) {
  test(`${side}: blocks that take longer than the time-out are waited for, and come once`, async (t) => {
    const lan = await Lan.make(t);
    const data = content(4 * BLOCK, 1);
    let blocks = 0;
    const from = await lan.peer('source', {
      files: { 'file.bin': data },
      filter: (message, direction) => {
        if (direction === 'out' && is(message, 'T')) blocks++;
        return message;
      },
      ...(side === 'limitUp' ? { limitUp: '180kB/s' } : {}),
    });
    const to = await lan.peer('receiver', side === 'limitDown' ? { limitDown: '180kB/s' } : {});
    await to.hashed('file.bin', from);
    const inbox = await lan.fresh('in');
    // One takes 1.5 s.
    const outcome = await get(to, 'file.bin', `${inbox}/`, { timeout: 1 });
    t.deepEqual(outcome.codes, []);
    t.is(outcome.received, data.length);
    t.is(blocks, 4);
    // Sooner would be too much; later, a slow machine.
    t.true(outcome.done[0].seconds > (3 * BLOCK) / (180 * KB) - 0.1, `${outcome.done[0].seconds} s`);
    await assertContent(t, join(inbox, 'file.bin'), data);
  });

  test(`${side}: small files too`, async (t) => {
    const lan = await Lan.make(t);
    const files: Record<string, Buffer> = {};
    // A frame of a source holds three, a request of a receiver thirteen: each takes more than the time-out.
    const [count, rate] = side === 'limitUp' ? [12, 45 * KB] : [39, 180 * KB];
    for (let i = 0; i < count; i++) files[`share/${i}.bin`] = content(20_000, i);
    const from = await lan.peer('source', { files, ...(side === 'limitUp' ? { limitUp: rate } : {}) });
    const to = await lan.peer('receiver', side === 'limitDown' ? { limitDown: rate } : {});
    for (const path of Object.keys(files)) await to.hashed(path, from);
    const inbox = await lan.fresh('in');
    const outcome = await get(to, 'share/', `${inbox}/`, { timeout: 1 });
    t.deepEqual(outcome.codes, []);
    t.is(outcome.done.length, count);
    for (const [path, data] of Object.entries(files)) await assertContent(t, join(inbox, path), data);
  });
}

test('what does not come after all takes nothing of a limit', async (t) => {
  const lan = await Lan.make(t);
  const files: Record<string, Buffer> = {};
  for (let i = 0; i < 40; i++) files[`share/${i}.bin`] = content(60_000, i);
  const from = await lan.peer('source', {
    files,
    filter: (message, direction) => {
      if (direction !== 'out' || !is(message, 'U')) return message;
      const gone = message.files.map((file) => ({ ...file, code: 'not-found', id: null, size: 0 }));
      return { ...message, files: gone, data: Buffer.alloc(0) };
    },
  });
  const to = await lan.peer('receiver', { limitDown: 5 * KB });
  for (const path of Object.keys(files)) await to.hashed(path, from);
  const run = begin(to, 'share/', `${await lan.fresh('in')}/`);
  // All of it would take eight minutes.
  await until(() => run.over, 'it is over');
  t.is((await run.ended).codes.filter((code) => code === 'not-found').length, 40);
});

test('a get of its own limit leaves another as fast as it goes', async (t) => {
  const lan = await Lan.make(t);
  const data = content(4 * BLOCK, 2);
  const from = await lan.peer('source', { files: { 'a.bin': data, 'b.bin': data } });
  const to = await lan.peer('receiver');
  await to.hashed('a.bin', from);
  const [slowly, fast] = [await lan.fresh('slow'), await lan.fresh('fast')];
  const slow = begin(to, 'a.bin', `${slowly}/`, { limitDown: 20 * KB });
  await until(() => slow.verified > 0, 'the first block is here');
  // Another content, or what is here already of it would be taken from there.
  const outcome = await get(to, 'b.bin', `${fast}/`);
  t.deepEqual(outcome.codes, []);
  t.false(slow.over, 'the other has 40 s to go');
  slow.abort.abort();
  t.deepEqual((await slow.ended).codes, ['interrupted']);
});

test('status tells what holds, and it changes with the config file, for what is under way too', async (t) => {
  const lan = await Lan.make(t);
  const config = join(await lan.fresh('config'), 'config.toml');
  await writeFile(config, 'limit-up = "20kB/s"\n');
  const data = content(16 * BLOCK, 3);
  const from = await lan.peer('source', { files: { 'file.bin': data }, config });
  const to = await lan.peer('receiver');
  await to.hashed('file.bin', from);
  t.deepEqual((await from.peer.status()).limits, { up: 20 * KB, down: null });
  t.is((await to.peer.status()).limits, undefined);
  const inbox = await lan.fresh('in');
  const run = begin(to, 'file.bin', `${inbox}/`);
  await until(() => run.verified > 0, 'the first block is here');
  // The next would come in 13 s, the last in more than three minutes.
  await writeFile(config, 'limit-down = "5MB/s"\n');
  const { applied, restart } = await from.peer.reload();
  t.deepEqual([applied, restart], [['limit-up', 'limit-down'], []]);
  t.deepEqual((await from.peer.status()).limits, { up: null, down: 5 * M });
  t.deepEqual((await run.ended).codes, []);
  await assertContent(t, join(inbox, 'file.bin'), data);
});
