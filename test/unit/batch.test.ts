import test from 'ava';
import { SMALL_BATCH_MAX } from '../../lib/limits.js';
import { Batch, type BatchEffect, type BatchEvent } from '../../lib/transfer/batch.js';

const files = (count: number, peers: string[], size = 1000) => Array.from({ length: count }, () => ({ size, peers }));
const requests = (effects: BatchEffect[]) => effects.filter((e) => e.kind === 'request');
const failures = (effects: BatchEffect[]) => effects.filter((e) => e.kind === 'failed');

/** Runs a batch whose sources answer everything at once, as told by `answer`. */
function runAll(
  batch: Batch,
  first: BatchEffect[],
  answer: (peer: string, file: number) => 'ok' | 'not-found' | 'wrong-content',
) {
  const asked = new Map<string, number>();
  const failed: number[] = [];
  const dropped: string[] = [];
  let complete = false;
  const queue = [...first];
  for (let effect = queue.shift(); effect; effect = queue.shift()) {
    if (effect.kind === 'failed') failed.push(effect.file);
    if (effect.kind === 'drop') dropped.push(effect.peer);
    if (effect.kind === 'complete') complete = true;
    if (effect.kind !== 'request') continue;
    const { peer } = effect;
    asked.set(peer, (asked.get(peer) ?? 0) + 1);
    for (const file of effect.files) {
      if (!batch.expects(file, peer)) continue;
      const said = answer(peer, file);
      queue.push(...batch.handle({ kind: 'settled', file, peer, code: said === 'ok' ? undefined : said }, 1));
    }
  }
  return { asked, failed, dropped, complete };
}

test('many files travel in few requests', (t) => {
  const batch = new Batch(files(1000, ['a']));
  const { asked, complete, failed } = runAll(batch, batch.handle({ kind: 'source', peer: 'a' }, 0), () => 'ok');
  t.true(complete);
  t.deepEqual(failed, []);
  t.is(asked.get('a'), Math.ceil(1000 / SMALL_BATCH_MAX));
});

test('two sources share the files, and no file is asked of both', (t) => {
  const batch = new Batch(files(1000, ['a', 'b']));
  const first = [...batch.handle({ kind: 'source', peer: 'a' }, 0), ...batch.handle({ kind: 'source', peer: 'b' }, 0)];
  const seen = new Map<number, string[]>();
  const { complete } = runAll(batch, first, (peer, file) => {
    seen.set(file, [...(seen.get(file) ?? []), peer]);
    return 'ok';
  });
  t.true(complete);
  t.is(seen.size, 1000);
  t.true([...seen.values()].every((peers) => peers.length === 1));
  const ofA = [...seen.values()].filter(([peer]) => peer === 'a').length;
  t.true(ofA > 200 && ofA < 800, `${ofA}`);
});

test('what was asked for again counts from when it was asked for first', (t) => {
  const batch = new Batch(files(2, ['a']));
  batch.handle({ kind: 'source', peer: 'a' }, 0);
  t.is(requests(batch.handle({ kind: 'timer' }, 3000)).length, 1);
  const timers = batch.handle({ kind: 'came', files: [0], peer: 'a' }, 3100).filter((e) => e.kind === 'timer');
  // It took 3.1 s, so that the other is waited for three times as long.
  t.deepEqual(timers, [{ kind: 'timer', at: 3100 + 3 * 3100 }]);
});

test('what one source does not have is asked of another, and fails only when nobody has it', (t) => {
  const batch = new Batch(files(10, ['a', 'b']));
  const first = [...batch.handle({ kind: 'source', peer: 'a' }, 0), ...batch.handle({ kind: 'source', peer: 'b' }, 0)];
  const { complete, failed } = runAll(batch, first, (peer, file) => (peer === 'a' || file === 3 ? 'not-found' : 'ok'));
  t.true(complete);
  t.deepEqual(failed, [3]);
});

test('a wrong content is asked of the only source once more; the second one drops it', (t) => {
  const heals = new Batch(files(5, ['a']));
  let wrong = 1;
  const healed = runAll(heals, heals.handle({ kind: 'source', peer: 'a' }, 0), (_, file) =>
    file === 2 && wrong-- > 0 ? 'wrong-content' : 'ok',
  );
  t.deepEqual([healed.complete, healed.failed, healed.dropped], [true, [], []]);

  const lies = new Batch(files(5, ['a']));
  const lied = runAll(lies, lies.handle({ kind: 'source', peer: 'a' }, 0), () => 'wrong-content');
  t.deepEqual(lied.dropped, ['a']);
  t.true(lied.complete);
  t.is(lied.failed.length, 5);
});

test('a source that is gone gives back what it was asked for', (t) => {
  const batch = new Batch(files(50, ['a', 'b']));
  batch.handle({ kind: 'source', peer: 'a' }, 0);
  const after = batch.handle({ kind: 'source', peer: 'b' }, 0);
  const more = batch.handle({ kind: 'source-gone', peer: 'a', code: 'unreachable' }, 5);
  const { complete, failed, asked } = runAll(batch, [...after, ...more], () => 'ok');
  t.true(complete);
  t.deepEqual(failed, []);
  t.deepEqual([...asked.keys()], ['b']);
});

test('where no source is left, what waits fails with the reason', (t) => {
  const batch = new Batch(files(3, ['a']));
  batch.handle({ kind: 'source', peer: 'a' }, 0);
  const effects = batch.handle({ kind: 'source-gone', peer: 'a', code: 'unreachable' }, 5);
  t.is(failures(effects).length, 3);
  t.true(failures(effects).every((e) => e.code === 'unreachable'));
  t.true(effects.some((e) => e.kind === 'complete'));
});

test('a silent source is asked again when it is the only one, and gives back when it is not', (t) => {
  const alone = new Batch(files(3, ['a']));
  alone.handle({ kind: 'source', peer: 'a' }, 0);
  const again = requests(alone.handle({ kind: 'timer' }, 3500));
  t.deepEqual(
    again.map((e) => [e.peer, [...e.files].sort()]),
    [['a', [0, 1, 2]]],
  );
  const both = new Batch(files(3, ['a', 'b']));
  both.handle({ kind: 'source', peer: 'a' }, 0);
  both.handle({ kind: 'source', peer: 'b' }, 3400);
  const other = requests(both.handle({ kind: 'timer' }, 3500));
  t.deepEqual(
    other.map((e) => e.peer),
    ['b'],
  );
  t.false(both.expects(0, 'a'), 'what it sends now is not written');
  t.true(both.expects(0, 'b'));
});

test('bytes that come in are a sign of life', (t) => {
  const batch = new Batch(files(3, ['a']));
  batch.handle({ kind: 'source', peer: 'a' }, 0);
  batch.handle({ kind: 'heard', peer: 'a' }, 3000);
  t.deepEqual(requests(batch.handle({ kind: 'timer' }, 3500)), []);
});

test('a full disk fails a file whoever sends it', (t) => {
  const batch = new Batch(files(1, ['a', 'b']));
  batch.handle({ kind: 'source', peer: 'a' }, 0);
  const effects = batch.handle({ kind: 'settled', file: 0, peer: 'a', code: 'disk-full' }, 1);
  t.deepEqual(
    failures(effects).map((e) => e.code),
    ['disk-full'],
  );
});

test('what waits only for one that is gone has failed, although another was asked before', (t) => {
  const batch = new Batch(files(1, ['a', 'b']));
  const asked = requests(batch.handle({ kind: 'source', peer: 'a' }, 0));
  t.is(asked[0].peer, 'a');
  batch.handle({ kind: 'settled', file: 0, peer: 'a', code: 'not-found' }, 1);
  const effects = batch.handle({ kind: 'source-gone', peer: 'b', code: 'unreachable' }, 2);
  t.deepEqual(failures(effects), [{ kind: 'failed', file: 0, code: 'unreachable' }]);
  t.true(effects.some(({ kind }) => kind === 'complete'));
});

test('what was asked of one that broke off is asked of another at once, or of it when it is back', (t) => {
  const batch = new Batch([...files(3, ['a', 'b']), ...files(2, ['a'])]);
  t.deepEqual(requests(batch.handle({ kind: 'source', peer: 'a' }, 0))[0].files, [0, 1, 2, 3, 4]);
  batch.handle({ kind: 'source', peer: 'b' }, 1);
  const moved = requests(batch.handle({ kind: 'source-lost', peer: 'a' }, 2));
  t.deepEqual(
    moved.map(({ peer, files }) => [peer, files.toSorted()]),
    [['b', [0, 1, 2]]],
  );
  const back = requests(batch.handle({ kind: 'source', peer: 'a' }, 3));
  t.deepEqual(
    back.map(({ peer, files }) => [peer, files.toSorted()]),
    [['a', [3, 4]]],
  );
});

test('a file that was written while its source broke off is here, and asked of nobody else', (t) => {
  const batch = new Batch(files(1, ['a', 'b']));
  batch.handle({ kind: 'source', peer: 'a' }, 0);
  batch.handle({ kind: 'source', peer: 'b' }, 0);
  t.deepEqual(requests(batch.handle({ kind: 'source-lost', peer: 'a' }, 1))[0].peer, 'b');
  const effects = batch.handle({ kind: 'settled', file: 0, peer: 'a', code: undefined }, 2);
  t.true(effects.some(({ kind }) => kind === 'complete'));
  t.false(batch.expects(0, 'b'), 'what b sends of it is not written over it');
  t.deepEqual(batch.handle({ kind: 'settled', file: 0, peer: 'b', code: undefined }, 3), []);
});

test('a file that another was asked for too has not failed when one that was asked is gone', (t) => {
  const batch = new Batch([{ size: 10, peers: ['a', 'b', 'c'] }]);
  const failed = (event: BatchEvent, at: number) => batch.handle(event, at).filter(({ kind }) => kind === 'failed');
  batch.handle({ kind: 'source', peer: 'c' }, 0);
  t.deepEqual(failed({ kind: 'settled', file: 0, peer: 'c', code: 'not-found' }, 1), []);
  batch.handle({ kind: 'source', peer: 'a' }, 2);
  batch.handle({ kind: 'source', peer: 'b' }, 3);
  // The one that was asked is silent, so both others are, also the one that did not have it before.
  const asked = batch.handle({ kind: 'timer' }, 60_000).filter(({ kind }) => kind === 'request');
  t.is(asked.length, 2);
  t.deepEqual(failed({ kind: 'source-gone', peer: 'a', code: 'unreachable' }, 60_001), []);
  t.deepEqual(failed({ kind: 'source-gone', peer: 'b', code: 'unreachable' }, 60_002), []);
  const end = batch.handle({ kind: 'settled', file: 0, peer: 'c', code: undefined }, 60_003);
  t.deepEqual(
    end.map(({ kind }) => kind),
    ['complete'],
  );
});

test('what failed on our own disk is asked of nobody any more', (t) => {
  const batch = new Batch([
    { size: 10, peers: ['a', 'b', 'c'] },
    { size: 10, peers: ['b', 'c'] },
  ]);
  for (const peer of ['a', 'b', 'c']) batch.handle({ kind: 'source', peer }, 0);
  batch.handle({ kind: 'heard', peer: 'b' }, 59_999);
  // The first is silent: both others are asked for its file too.
  batch.handle({ kind: 'timer' }, 60_000);
  const full = batch.handle({ kind: 'settled', file: 0, peer: 'b', code: 'disk-full' }, 60_001);
  t.true(full.some((effect) => effect.kind === 'failed' && effect.file === 0));
  for (let at = 120_000; at < 600_000; at += 60_000) {
    for (const effect of batch.handle({ kind: 'timer' }, at)) {
      if (effect.kind === 'request') t.false(effect.files.includes(0));
    }
  }
});
