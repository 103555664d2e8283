/** What is done about gets that a peer keeps while it still looks what they are to fetch. */
import { join } from 'node:path';
import test from 'ava';
import { assertContent, begin, content, Lan, MIB, until } from './lan.js';

const BYTES = content(2 * MIB, 23);

/** A source with one file, a receiver that sees it, and a folder to fetch into. */
async function setting(t: Parameters<typeof Lan.make>[0]) {
  const lan = await Lan.make(t);
  const source = await lan.peer('source', { files: { 'share/a.bin': BYTES }, multicast: false });
  await source.hashed('share/a.bin');
  const to = await lan.peer('receiver', { share: [], join: [`127.0.0.1:${source.peer.port}`], multicast: false });
  await to.hashed('share/a.bin', source);
  return { source, to, inbox: `${await lan.fresh('in')}/` };
}

test('held while it is looked what it is to fetch: it is held, and goes on when it is let', async (t) => {
  const { to, inbox } = await setting(t);
  const run = begin(to, 'share/a.bin', inbox, { keep: true });
  t.like(await to.peer.steer({ verb: 'pause', numbers: [1] }), [{ number: 1, state: 'paused' }]);
  await until(() => run.outcome.of('start').length > 0, 'it is known what it fetches');
  t.like((await to.peer.status()).transfers, [{ number: 1, state: 'paused' }]);
  t.false(run.over);
  t.like(await to.peer.steer({ verb: 'resume', numbers: [1] }), [{ number: 1, state: 'queued' }]);
  const { codes, done } = await run.ended;
  t.deepEqual(codes, []);
  t.is(done.length, 1);
  await assertContent(t, join(inbox, 'a.bin'), BYTES);
});

test('cancelled while it is looked what it is to fetch: who asked is told, and it is listed as it ended', async (t) => {
  const { to, inbox } = await setting(t);
  const run = begin(to, 'share/a.bin', inbox, { keep: true });
  t.like(await to.peer.steer({ verb: 'cancel', numbers: [1] }), [{ number: 1, state: 'cancelled' }]);
  const { codes } = await run.ended;
  t.deepEqual(codes, ['cancelled']);
  t.is(run.outcome.of('end').length, 1);
  t.like((await to.peer.status()).transfers, [{ number: 1, state: 'failed', error: { code: 'cancelled' } }]);
});

test('asked for again with more: that it is served on holds, and its limit when it is begun the next time', async (t) => {
  const { to, inbox } = await setting(t);
  const first = begin(to, 'share/a.bin', inbox, { keep: true, limitDown: 50_000 });
  await until(() => first.outcome.of('progress').length > 0, 'it is under way');
  const again = begin(to, 'share/a.bin', inbox, { keep: true, limitDown: 50_000_000, seed: true });
  const said = () =>
    again.outcome.of('warning').some(({ message }) => /the limit holds when transfer 1 begins/.test(message));
  await until(said, 'it is said');
  await to.peer.steer({ verb: 'pause', numbers: [1] });
  await to.peer.steer({ verb: 'resume', numbers: [1] });
  const began = performance.now();
  const { codes } = await again.ended;
  t.deepEqual(codes, []);
  t.true(performance.now() - began < 20_000, 'at the first limit it would take 40 s');
  t.is(again.outcome.of('seed').length, 1);
  t.true((await to.peer.status()).shares.some(({ name }) => name === 'a.bin'));
});
