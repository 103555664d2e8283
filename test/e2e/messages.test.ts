/** What becomes of single messages that are lost or wrong, between whole peers. */
import test from 'ava';
import { exitStatus } from '../../lib/errors.js';
import { BLOCK } from '../../lib/limits.js';
import { encode } from '../../lib/wire/codec.js';
import { framePrefix } from '../../lib/wire/frame.js';
import {
  assertContent,
  assertOnlyPartial,
  begin,
  codeOf,
  content,
  corrupt,
  get,
  is,
  Lan,
  type LanPeer,
  MIB,
  until,
} from './lan.js';
import { RawPeer } from './raw.js';
import { Wire } from './wire-between.js';

const BIG = content(4 * MIB, 1);

/** A source of `big` with a filter, and a long-lived receiver that knows its id. */
async function pair(
  t: Parameters<typeof Lan.make>[0],
  source: Parameters<Lan['peer']>[1] = {},
  receiver: Parameters<Lan['peer']>[1] = {},
) {
  const lan = await Lan.make(t);
  const from = await lan.peer('source', { files: { 'big.bin': BIG }, ...source });
  const to = await lan.peer('receiver', receiver);
  const id = await to.hashed('big.bin');
  return { lan, from, to, id, inbox: await lan.fresh('in') };
}

test('a dropped T is asked for again after the adaptive time-out', async (t) => {
  let sent = 0;
  const asked: number[] = [];
  const { to, inbox, id } = await pair(
    t,
    {
      filter: (message, direction) =>
        direction === 'out' && is(message, 'T') && message.block === 5 && ++sent === 1 ? undefined : message,
    },
    {
      filter: (message, direction) => {
        const covers = is(message, 'R') && message.block <= 5 && message.block + message.count > 5;
        if (direction === 'out' && covers) asked.push(performance.now());
        return message;
      },
    },
  );
  const outcome = await get(to, 'big.bin', inbox);
  t.is(outcome.done[0]?.id, id);
  t.is(sent, 2, 'sent once more, not oftener');
  t.is(asked.length, 2);
  const waited = asked[1] - asked[0];
  t.true(waited >= 990 && waited < 10_000, `after ${waited} ms`);
  t.is(outcome.received, BIG.length, 'nothing else came twice');
  await assertContent(t, `${inbox}/big.bin`, BIG);
});

test('after a dropped A the block is sent again, and counts once', async (t) => {
  const sent: number[] = [];
  let dropped = false;
  const { to, inbox } = await pair(
    t,
    {
      filter: (message, direction) => {
        if (direction !== 'out' || !is(message, 'T')) return message;
        if (message.block === 3) sent.push(performance.now());
        // The end is held back until the block has been sent again.
        return message.block === 15 && sent.length < 2 ? undefined : message;
      },
    },
    {
      filter: (message, direction) => {
        if (direction === 'out' && is(message, 'A') && message.done.includes(3) && !dropped) {
          dropped = true;
          return undefined;
        }
        return message;
      },
    },
  );
  const outcome = await get(to, 'big.bin', inbox);
  t.is(outcome.done.length, 1);
  t.is(sent.length, 2);
  t.true(sent[1] - sent[0] >= 900, `after ${sent[1] - sent[0]} ms`);
  t.is(outcome.of('chunk').filter(({ chunk }) => chunk === 3).length, 1);
  t.is(outcome.received, BIG.length + BLOCK);
  await assertContent(t, `${inbox}/big.bin`, BIG);
});

test('one corrupt chunk from the only source heals', async (t) => {
  let times = 0;
  let bad = 0;
  const { to, inbox } = await pair(t, {
    filter: (message, direction) => {
      if (direction === 'in' && is(message, 'B')) bad++;
      if (direction === 'out' && is(message, 'T') && message.block === 7 && ++times === 1) return corrupt(message);
      return message;
    },
  });
  const outcome = await get(to, 'big.bin', inbox);
  t.is(times, 2);
  t.is(bad, 1, 'the source was told');
  t.deepEqual(outcome.of('dropped'), []);
  t.is(outcome.received, BIG.length + BLOCK);
  await assertContent(t, `${inbox}/big.bin`, BIG);
});

test('the second wrong chunk of the only source drops it: wrong-content, and no file', async (t) => {
  const { from, to, inbox } = await pair(t, {
    filter: (message, direction) =>
      direction === 'out' && is(message, 'T') && message.block >= 4 ? corrupt(message) : message,
  });
  const outcome = await get(to, 'big.bin', inbox);
  t.deepEqual(outcome.codes, ['wrong-content']);
  t.is(exitStatus('wrong-content'), 7);
  const [dropped, ...more] = outcome.of('dropped');
  t.is(dropped?.source.id, from.id);
  t.is(dropped?.error.code, 'wrong-content');
  t.deepEqual(more, []);
  t.deepEqual(outcome.done, []);
  await assertOnlyPartial(t, inbox);
  t.is(await codeOf(to.peer.get('big.bin', { to: inbox })), 'wrong-content', 'the library throws it');
});

test('of a lying source and a good one, the liar is named and the get ends right', async (t) => {
  const lan = await Lan.make(t);
  const big = content(16 * MIB, 2);
  const liar = await lan.peer('liar', {
    files: { 'big.bin': big },
    filter: (message, direction) => (direction === 'out' && is(message, 'T') ? corrupt(message) : message),
  });
  const good = await lan.peer('good', { files: { 'big.bin': big } });
  const to = await lan.peer('receiver');
  await to.hashed('big.bin', liar);
  await to.hashed('big.bin', good);
  const inbox = await lan.fresh('in');
  const outcome = await get(to, 'big.bin', inbox);
  t.deepEqual(outcome.codes, []);
  t.deepEqual(
    outcome.of('dropped').map(({ source, error }) => [source.id, error.code]),
    [[liar.id, 'wrong-content']],
  );
  t.deepEqual(
    outcome.done[0].sources.map(({ id, bytes }) => [id, bytes]),
    [[good.id, big.length]],
  );
  await assertContent(t, `${inbox}/big.bin`, big);
});

test('a receiver that is killed in the middle leaves its source serving others', async (t) => {
  const lan = await Lan.make(t);
  const big = content(16 * MIB, 3);
  const from = await lan.peer('source', { files: { 'big.bin': big }, multicast: false });
  const receivers: { peer: LanPeer; wire: Wire; inbox: string }[] = [];
  for (const name of ['doomed', 'other']) {
    const wire = await Wire.to(t, from.peer.port);
    const peer = await lan.peer(name, { multicast: false, join: [wire.address] });
    await peer.hashed('big.bin');
    receivers.push({ peer, wire, inbox: await lan.fresh('in') });
  }
  const [doomed, other] = receivers;
  for (const { wire } of receivers) wire.stopAfter(4 * MIB);
  const runs = receivers.map(({ peer, inbox }) => begin(peer, 'big.bin', inbox));
  await until(() => doomed.wire.still && other.wire.still, 'both are in the middle');
  // As after a kill: its connections break, and it asks nobody any more.
  runs[0].abort.abort();
  const stopped = doomed.peer.peer.stop();
  doomed.wire.cut();
  await stopped;
  const failed = () => from.told('serving').filter(({ state }) => state === 'failed');
  await until(() => failed().length > 0, 'the source has noticed');
  t.is(failed()[0].peer.id, doomed.peer.id);
  other.wire.go();
  const outcome = await runs[1].ended;
  t.deepEqual(outcome.codes, []);
  await assertContent(t, `${other.inbox}/big.bin`, big);
  t.deepEqual((await runs[0].ended).codes.slice(0, 1), ['interrupted']);
  await assertOnlyPartial(t, doomed.inbox);
});

test('where the manifest has proved every chunk, a wrong word at the end changes nothing', async (t) => {
  let ends = 0;
  const { to, inbox, id } = await pair(t, {
    filter: (message, direction) => {
      if (direction === 'out' && is(message, 'E') && message.code === '' && ++ends) return { ...message, id: WRONG };
      return message;
    },
  });
  const outcome = await get(to, 'big.bin', inbox);
  t.is(ends, 1);
  t.is(outcome.done[0]?.id, id);
  await assertContent(t, `${inbox}/big.bin`, BIG);
});

test('what is asked for together with an acknowledgement is served', async (t) => {
  const lan = await Lan.make(t);
  const from = await lan.peer('source', { files: { 'big.bin': BIG } });
  const id = await from.hashed('big.bin');
  const talk = await new RawPeer(t, 'raw', true).dial(from.peer.port);
  talk.send({ type: 'G', number: 1, id, path: 'big.bin', first: 0 });
  await until(() => talk.of('M').length === 1, 'it has the manifest');
  talk.send({ type: 'R', number: 1, block: 0, count: 1 });
  for (let block = 0; block < 8; block++) {
    await until(() => talk.of('T').length === block + 1, `block ${block} has come`);
    // Both arrive in one turn, when the source has just nothing more to send.
    const both = [
      encode({ type: 'A', number: 1, done: [block] }),
      encode({ type: 'R', number: 1, block: block + 1, count: 1 }),
    ];
    talk.socket.write(Buffer.concat(both.flatMap((body) => [framePrefix(body.length), body])));
  }
  t.pass();
});

const WRONG = 'ab'.repeat(32);
