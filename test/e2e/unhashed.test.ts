/** Files that have no content id yet, and that get one in the middle. */
import test, { type ExecutionContext } from 'ava';
import {
  assertContent,
  assertOnlyPartial,
  begin,
  content,
  get,
  is,
  Lan,
  type LanOptions,
  MIB,
  until,
  write,
} from './lan.js';
import { Wire } from './wire-between.js';

const BIG = content(16 * MIB, 11);
const WRONG = 'ab'.repeat(32);
const realNow = Date.now;
/** When time stands still, when that is; peers may have taken `Date.now` with them. */
let stands: number | undefined;
Date.now = () => stands ?? realNow();

/**
 * A network with one file that is not hashed until `thaw` is called: a file younger than 2 s is not hashed yet, and for
 * the peers of this process the time stands still. So these tests run one after another.
 */
async function frozen(t: ExecutionContext, data: Buffer, options: LanOptions = {}) {
  const lan = await Lan.make(t);
  const root = await lan.fresh('shared');
  const wrote = realNow();
  await write(root, { 'share/big.bin': data }, new Date(wrote));
  // Late enough for the file to count as still, early enough for it to be young.
  stands = realNow() + 150;
  t.true(stands - wrote < 2000, 'the disk is quick enough for this test');
  t.teardown(thaw);
  const from = await lan.peer('source', { share: [`${root}/share`], ...options });
  t.is((await from.knows('share/big.bin')).id, null, 'it is listed before it is hashed');
  return { lan, from, inbox: await lan.fresh('in') };
}

function thaw(): void {
  stands = undefined;
}

test.serial('a file without an id is fetched at once, and has its id by that', async (t) => {
  const { lan, from, inbox } = await frozen(t, BIG);
  const to = await lan.peer('receiver');
  t.is((await to.knows('share/big.bin', from)).id, null);
  const outcome = await get(to, 'share/big.bin', inbox);
  t.deepEqual(outcome.codes, []);
  t.is(outcome.received, BIG.length);
  t.is(outcome.done[0].id, await from.hashed('share/big.bin'), 'the source hashed as it served');
  await assertContent(t, `${inbox}/big.bin`, BIG);
});

test.serial('a one-shot fetches a file without an id too', async (t) => {
  const { lan, inbox } = await frozen(t, BIG);
  const to = await lan.peer('one-shot', { passive: true });
  const outcome = await get(to, 'share/big.bin', inbox);
  t.deepEqual(outcome.codes, []);
  t.is(outcome.received, BIG.length);
  await assertContent(t, `${inbox}/big.bin`, BIG);
});

test.serial('a file that gets its id in the middle goes on where it was', async (t) => {
  const data = content(48 * MIB, 15);
  const asked: (string | null)[] = [];
  const { lan, from, inbox } = await frozen(t, data, {
    multicast: false,
    filter: (message, direction) => {
      if (direction === 'in' && is(message, 'G')) asked.push(message.id);
      return message;
    },
  });
  const wire = await Wire.to(t, from.peer.port);
  const to = await lan.peer('receiver', { multicast: false, join: [wire.address] });
  await to.knows('share/big.bin', from);
  wire.stopAfter(6 * MIB);
  const run = begin(to, 'share/big.bin', inbox);
  await until(() => wire.still && run.outcome.of('chunk').length > 8, 'it is in the middle');
  thaw();
  const id = await from.hashed('share/big.bin');
  // The news comes by the same wire, behind what is in flight, of which there are at most 16 MiB.
  wire.go();
  const outcome = await run.ended;
  t.deepEqual(outcome.codes, []);
  t.deepEqual(asked, [null, id], 'by path first, by its id when that was known');
  t.true(outcome.received <= data.length + 16 * MIB, `${outcome.received} bytes came`);
  const chunks = outcome.of('chunk').map(({ chunk }) => chunk);
  t.true(chunks.length < 210, `${chunks.length} of 192 chunks were told: what was there counted`);
  await assertContent(t, `${inbox}/big.bin`, data);
});

test.serial('a wrong word on the whole, where no manifest proves it: everything once more', async (t) => {
  let ends = 0;
  const data = content(2 * MIB, 12);
  const { lan, inbox } = await frozen(t, data, {
    filter: (message, direction) => {
      if (direction !== 'out' || !is(message, 'E') || message.code !== '') return message;
      return ++ends === 1 ? { ...message, id: WRONG } : message;
    },
  });
  const to = await lan.peer('one-shot', { passive: true });
  const outcome = await get(to, 'share/big.bin', inbox);
  t.deepEqual(outcome.codes, []);
  t.is(ends, 2);
  t.is(outcome.received, 2 * data.length);
  await assertContent(t, `${inbox}/big.bin`, data);
});

test.serial('wrong twice on the whole: wrong-content, and no file', async (t) => {
  const { lan, inbox } = await frozen(t, content(2 * MIB, 13), {
    filter: (message, direction) =>
      direction === 'out' && is(message, 'E') && message.code === '' ? { ...message, id: WRONG } : message,
  });
  const to = await lan.peer('one-shot', { passive: true });
  const outcome = await get(to, 'share/big.bin', inbox);
  t.deepEqual(outcome.codes, ['wrong-content']);
  await assertOnlyPartial(t, inbox);
});

test.serial('Ctrl-C while the source is asked for its last word ends at once', async (t) => {
  let asked = 0;
  const { lan, inbox } = await frozen(t, content(2 * MIB, 14), {
    filter: (message, direction) => {
      if (direction === 'out' && is(message, 'E') && ++asked) return undefined;
      return message;
    },
  });
  const to = await lan.peer('one-shot', { passive: true });
  const run = begin(to, 'share/big.bin', inbox);
  await until(() => asked > 0, 'it is asked');
  const at = performance.now();
  run.abort.abort();
  t.deepEqual((await run.ended).codes, ['interrupted']);
  t.true(performance.now() - at < 5000, 'long before the time-out of 30 s');
});
