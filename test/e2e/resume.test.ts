/** Going on after an interruption. */
import { open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { BLOCK } from '../../lib/limits.js';
import { assertContent, assertOnlyPartial, begin, codeOf, content, get, Lan, MIB, names, until } from './lan.js';
import { idOf } from './raw.js';
import { Wire } from './wire-between.js';

const SIZE = 16 * MIB;

/** A get that was stopped in the middle. */
async function stopped(t: ExecutionContext, seed: number) {
  const lan = await Lan.make(t);
  const data = content(SIZE, seed);
  const from = await lan.peer('source', { files: { 'share/big.bin': data }, multicast: false });
  const wire = await Wire.to(t, from.peer.port);
  const to = await lan.peer('receiver', { multicast: false, join: [wire.address] });
  await to.hashed('share/big.bin');
  const inbox = await lan.fresh('in');
  wire.stopAfter(6 * MIB);
  const run = begin(to, 'share/big.bin', inbox);
  await until(() => wire.still && run.outcome.of('chunk').length > 8, 'some chunks are verified');
  run.abort.abort();
  const outcome = await run.ended;
  t.deepEqual(outcome.codes, ['interrupted']);
  wire.go();
  await assertOnlyPartial(t, inbox);
  const verified = outcome.of('chunk').reduce((sum, { bytes }) => sum + bytes, 0);
  return { lan, data, from, to, inbox, verified, chunks: outcome.of('chunk').map(({ chunk }) => chunk) };
}

test('a get goes on where it was stopped', async (t) => {
  const { data, to, inbox, verified } = await stopped(t, 41);
  const outcome = await get(to, 'share/big.bin', inbox);
  t.deepEqual(outcome.codes, []);
  t.true(outcome.received <= (SIZE - verified) * 1.01, `${outcome.received} for ${SIZE - verified}`);
  await assertContent(t, `${inbox}/big.bin`, data);
  t.deepEqual(await names(inbox), ['big.bin']);
});

test('of a partial with one byte wrong exactly that chunk is fetched again', async (t) => {
  const { data, to, inbox, verified, chunks } = await stopped(t, 42);
  const part = (await names(inbox)).find((name) => name.endsWith('.part'));
  const handle = await open(join(inbox, part ?? ''), 'r+');
  const at = chunks[3] * BLOCK + 1000;
  await handle.write(Buffer.from([data[at] ^ 1]), 0, 1, at);
  await handle.close();
  const outcome = await get(to, 'share/big.bin', inbox);
  t.true(outcome.received <= SIZE - verified + BLOCK, `${outcome.received} for ${SIZE - verified}`);
  const again = outcome.of('chunk').map(({ chunk }) => chunk);
  t.deepEqual(
    again.filter((chunk) => chunks.includes(chunk)),
    [chunks[3]],
  );
  await assertContent(t, `${inbox}/big.bin`, data);
});

test('of a newer version only what changed is fetched', async (t) => {
  const { data, from, to, inbox, verified, chunks } = await stopped(t, 43);
  const changed = Buffer.from(data);
  const at = chunks[2] * BLOCK + 5;
  changed[at] ^= 1;
  await writeFile(from.file('share/big.bin'), changed);
  const newer = idOf(changed);
  // It may be offered half written before.
  await until(() => to.offers('share/big.bin').some(({ id }) => id === newer), 'the new version is known');
  const outcome = await get(to, 'share/big.bin', inbox);
  t.deepEqual(outcome.codes, []);
  t.true(outcome.received <= SIZE - verified + BLOCK, `${outcome.received} for ${SIZE - verified}`);
  await assertContent(t, `${inbox}/big.bin`, changed);
});

test('an older version that is here gives what did not change', async (t) => {
  const lan = await Lan.make(t);
  const data = content(SIZE, 44);
  const from = await lan.peer('source', { files: { 'big.bin': data } });
  const to = await lan.peer('receiver');
  await to.hashed('big.bin');
  const inbox = await lan.fresh('in');
  await get(to, 'big.bin', inbox);
  const changed = Buffer.from(data);
  changed[5 * MIB] ^= 1;
  await writeFile(from.file('big.bin'), changed);
  const newer = idOf(changed);
  await until(() => to.offers('big.bin').some(({ id }) => id === newer), 'the new version is known');
  t.deepEqual((await get(to, 'big.bin', inbox)).codes, ['exists'], 'it is not replaced unasked');
  await assertContent(t, `${inbox}/big.bin`, data);
  const outcome = await get(to, 'big.bin', inbox, { overwrite: true });
  t.deepEqual(outcome.codes, []);
  t.is(outcome.received, BLOCK);
  await assertContent(t, `${inbox}/big.bin`, changed);
});

test('discard removes what was left', async (t) => {
  const { to, inbox } = await stopped(t, 45);
  const outcome = await get(to, 'share/big.bin', inbox, { discard: true });
  t.deepEqual(
    outcome.of('discarded').map(({ path }) => path),
    ['share/big.bin'],
  );
  t.deepEqual(outcome.codes, []);
  t.deepEqual(await names(inbox), []);
});

test('a peer that stops puts its gets away', async (t) => {
  const lan = await Lan.make(t);
  const from = await lan.peer('source', { files: { 'big.bin': content(SIZE, 46) }, multicast: false });
  const wire = await Wire.to(t, from.peer.port);
  const to = await lan.peer('receiver', { multicast: false, join: [wire.address] });
  await to.hashed('big.bin');
  const inbox = await lan.fresh('in');
  wire.stopAfter(6 * MIB);
  const run = begin(to, 'big.bin', inbox);
  await until(() => wire.still && run.outcome.of('chunk').length > 8, 'some chunks are verified');
  await to.peer.stop();
  // The lock of a partial in use would still be there.
  t.deepEqual(
    (await names(inbox)).map((name) => name.slice(name.lastIndexOf('.'))),
    ['.journal', '.part'],
  );
  t.deepEqual((await run.ended).codes, ['interrupted']);
});

test('a get that is stopped before it began is interrupted, whatever reason was given', async (t) => {
  const lan = await Lan.make(t);
  const to = await lan.peer('receiver');
  const inbox = await lan.fresh('in');
  t.is(await codeOf(to.peer.get('nothing', { to: inbox, signal: AbortSignal.abort() })), 'interrupted');
  t.is(await codeOf(to.peer.get('nothing', { to: inbox, signal: AbortSignal.abort('enough') })), 'interrupted');
});
