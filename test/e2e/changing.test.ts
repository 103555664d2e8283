/** Files that change while they are served. */
import { appendFile, rename, truncate, unlink, writeFile } from 'node:fs/promises';
import test, { type ExecutionContext } from 'ava';
import {
  assertContent,
  assertOnlyPartial,
  begin,
  content,
  get,
  is,
  Lan,
  type LanPeer,
  MIB,
  names,
  until,
  write,
} from './lan.js';
import { Wire } from './wire-between.js';

const BIG = content(16 * MIB, 11);
/** A source that shares one fresh folder, and one who is joined to it by a wire. */
async function across(t: ExecutionContext, files: Record<string, Uint8Array>, mtime?: Date) {
  const lan = await Lan.make(t);
  const root = await lan.fresh('shared');
  await write(root, files, mtime);
  const from = await lan.peer('source', { share: [`${root}/share`], multicast: false });
  const wire = await Wire.to(t, from.peer.port);
  const to = await lan.peer('receiver', { multicast: false, join: [wire.address] });
  return { lan, from, to, wire, file: `${root}/share/big.bin`, inbox: await lan.fresh('in') };
}

/** Stops a transfer in the middle, does something to the file at its source, and lets it go on. */
async function whileServed(t: ExecutionContext, change: (file: string) => Promise<void>) {
  const { lan, from, to, wire, file, inbox } = await across(t, { 'share/big.bin': BIG });
  const before = await to.hashed('share/big.bin', from);
  wire.stopAfter(4 * MIB);
  const run = begin(to, 'share/big.bin', inbox);
  await until(() => wire.still, 'it is in the middle');
  await change(file);
  wire.go();
  const outcome = await run.ended;
  await assertOnlyPartial(t, inbox);
  return { lan, from, to, before, outcome, inbox };
}

async function renewed(t: ExecutionContext, to: LanPeer, from: LanPeer, before: string, inbox: string, data: Buffer) {
  await until(() => {
    const [offer] = to.offers('share/big.bin');
    return offer && offer.id !== null && offer.id !== before;
  }, 'the new version is offered');
  const outcome = await get(to, 'share/big.bin', inbox);
  t.deepEqual(outcome.codes, []);
  t.is(outcome.done[0].sources[0]?.id, from.id);
  await assertContent(t, `${inbox}/big.bin`, data);
  t.deepEqual(await names(inbox), ['big.bin'], 'the partial of the older version has become it');
  return outcome;
}

test('a file that shrinks while it is served: changed, and the new version can be had', async (t) => {
  const { from, to, before, outcome, inbox } = await whileServed(t, (file) => truncate(file, 9 * MIB));
  t.deepEqual(outcome.codes, ['changed']);
  const again = await renewed(t, to, from, before, inbox, BIG.subarray(0, 9 * MIB));
  t.true(again.received < 7 * MIB, `${again.received}: what did not change is kept`);
});

test('a file that grows while it is served', async (t) => {
  const more = content(MIB, 14);
  const { from, to, before, outcome, inbox } = await whileServed(t, (file) => appendFile(file, more));
  t.deepEqual(outcome.codes, ['changed']);
  const again = await renewed(t, to, from, before, inbox, Buffer.concat([BIG, more]));
  t.true(again.received < 15 * MIB, `${again.received}: what did not change is kept`);
});

test('a file that is replaced by another while it is served', async (t) => {
  const other = content(16 * MIB, 15);
  const { from, to, before, outcome, inbox } = await whileServed(t, async (file) => {
    await writeFile(`${file}.new`, other);
    await rename(`${file}.new`, file);
  });
  // The old one stays readable by whoever has it open, on systems where it does; then it comes whole, as it was.
  t.true(outcome.codes.length === 0 || outcome.codes[0] === 'changed', `${outcome.codes}`);
  await renewed(t, to, from, before, inbox, other);
});

test('a file that is deleted while it is served: withdrawn, and no file', async (t) => {
  const { to, outcome, inbox } = await whileServed(t, (file) => unlink(file));
  t.true(['not-found', 'changed'].includes(outcome.codes[0]), `${outcome.codes}`);
  await until(() => to.offers('share/big.bin').length === 0, 'the offer is withdrawn');
  t.deepEqual((await get(to, 'share/big.bin', inbox)).codes, ['not-found']);
});

test('a small file that is gone at its source: not-found, and the others arrive', async (t) => {
  const lan = await Lan.make(t);
  const held = { on: false };
  const from = await lan.peer('source', {
    files: { 'share/a.txt': 'a', 'share/b.txt': 'b', 'share/c.txt': 'c' },
    // The withdrawal is not told, as if it came too late.
    filter: (message, direction) => (held.on && direction === 'out' && is(message, 'O') ? undefined : message),
  });
  const to = await lan.peer('receiver');
  await Promise.all(['a', 'b', 'c'].map((name) => to.hashed(`share/${name}.txt`)));
  held.on = true;
  await unlink(from.file('share/b.txt'));
  const inbox = await lan.fresh('in');
  const outcome = await get(to, 'share/', `${inbox}/`);
  t.deepEqual(outcome.codes, ['not-found']);
  t.is(outcome.of('error')[0].path, 'share/b.txt');
  t.deepEqual(await names(`${inbox}/share`), ['a.txt', 'c.txt']);
});
