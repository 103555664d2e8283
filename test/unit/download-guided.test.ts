/** What a receiver does with a source's guidance, and how much it asks for of several together. */
import test from 'ava';
import { Bits } from '../../lib/bits.js';
import { seeded } from '../../lib/clock.js';
import { BLOCK, PROMISED_MAX } from '../../lib/limits.js';
import { Download, type DownloadEffect } from '../../lib/transfer/download.js';

const MIB = 1 << 20;

function asked(effects: DownloadEffect[], peer: string): number[] {
  return effects.flatMap((e) =>
    e.kind === 'request' && e.peer === peer ? Array.from({ length: e.count }, (_, i) => e.block + i) : [],
  );
}

/** A block arrives, is verified and written. */
function give(download: Download, peer: string, block: number, now: number): DownloadEffect[] {
  const effects = download.handle({ kind: 'block', peer, block, bytes: BLOCK }, now);
  return [...effects, ...download.handle({ kind: 'checked', chunk: block, ok: true }, now)];
}

test('a source that guides is asked for what it promised alone, until it says that this is over', (t) => {
  const download = new Download(16 * MIB, seeded(1));
  const first = download.handle({ kind: 'source', peer: 'a', have: undefined, promised: [7, 3] }, 0);
  t.deepEqual(asked(first, 'a'), [7, 3], 'in the order of promising');
  t.deepEqual(asked(give(download, 'a', 7, 10), 'a'), [], 'and no more');
  t.deepEqual(asked(download.handle({ kind: 'guided', peer: 'a', chunks: [20], free: false }, 11), 'a'), [20]);
  t.true(asked(download.handle({ kind: 'guided', peer: 'a', chunks: [], free: true }, 12), 'a').length > 0);
});

test('what was promised and is here or comes of another is spared, and the source is told', (t) => {
  const have = new Bits(64);
  have.add(5);
  const download = new Download(16 * MIB, seeded(2), have);
  const part = new Bits(64);
  part.add(6);
  t.deepEqual(asked(download.handle({ kind: 'source', peer: 'b', have: part.bytes }, 0), 'b'), [6]);
  const effects = download.handle({ kind: 'source', peer: 'a', have: undefined, promised: [5, 6, 9] }, 1);
  t.deepEqual(asked(effects, 'a'), [9]);
  t.deepEqual(
    effects.filter((e) => e.kind === 'spare'),
    [{ kind: 'spare', peer: 'a', chunks: [5, 6] }],
  );
});

test('where nothing at all is under way for a second, the guidance is not followed', (t) => {
  const download = new Download(16 * MIB, seeded(3));
  const first = download.handle({ kind: 'source', peer: 'a', have: undefined, promised: [] }, 0);
  t.deepEqual(asked(first, 'a'), []);
  t.deepEqual(first.at(-1), { kind: 'timer', at: 1000 });
  t.deepEqual(asked(download.handle({ kind: 'timer' }, 999), 'a'), []);
  const late = asked(download.handle({ kind: 'timer' }, 1000), 'a');
  t.true(late.length > 0);
  t.true(asked(give(download, 'a', late[0], 1010), 'a').length > 0, 'nor while it promises nothing');
});

test('a promise beyond what may be, or of no chunk, or of one who has a part, is nothing', (t) => {
  const download = new Download(64 * MIB, seeded(4));
  const none = new Bits(256);
  none.add(200);
  download.handle({ kind: 'source', peer: 'part', have: none.bytes }, 0);
  download.handle({ kind: 'guided', peer: 'part', chunks: [1], free: false }, 0);
  download.handle({ kind: 'guided', peer: 'stranger', chunks: [1], free: false }, 0);
  const many = Array.from({ length: 2 * PROMISED_MAX }, (_, i) => i);
  let blocks = asked(
    download.handle({ kind: 'source', peer: 'a', have: undefined, promised: [2 ** 32 - 1, ...many] }, 1),
    'a',
  );
  const all = new Set(blocks);
  for (let now = 2; blocks.length > 0; now++) {
    blocks = blocks.flatMap((block) => asked(give(download, 'a', block, now), 'a'));
    for (const block of blocks) all.add(block);
  }
  t.deepEqual(
    [...all].sort((x, y) => x - y),
    many.slice(0, PROMISED_MAX),
  );
});

test('of many sources no more is asked for together than arrives in a moment, the least asked first', (t) => {
  const download = new Download(128 * MIB, seeded(5));
  const inFlight = new Map<string, number>();
  const take = (effects: DownloadEffect[]) => {
    for (const e of effects) if (e.kind === 'request') inFlight.set(e.peer, (inFlight.get(e.peer) ?? 0) + e.count);
  };
  const part = Bits.full(512);
  part.delete(0);
  for (let i = 0; i < 30; i++) take(download.handle({ kind: 'source', peer: `p${i}`, have: part.bytes }, 0));
  // The first was alone when it was asked.
  t.true(download.awaited() <= 4, `${download.awaited()} blocks before anything came`);
  t.true(
    Array.from(inFlight.values()).every((n) => n <= 4),
    'of one at most what it may have alone',
  );
});

test('who gave each chunk once is asked again only as far as those who are to give them on cannot', (t) => {
  const download = new Download(64 * MIB, seeded(6));
  const fellows = Array.from({ length: 7 }, (_, i) => `p${i}`);
  const blocks: { peer: string; block: number }[] = [];
  const note = (effects: DownloadEffect[]) => {
    for (const peer of ['a', ...fellows]) blocks.push(...asked(effects, peer).map((block) => ({ peer, block })));
  };
  note(download.handle({ kind: 'source', peer: 'a', have: undefined, promised: [1] }, 0));
  const part = Bits.full(256);
  part.delete(0);
  for (const peer of fellows) note(download.handle({ kind: 'source', peer, have: part.bytes }, 0));
  note(download.handle({ kind: 'guided', peer: 'a', chunks: [], free: true }, 1));
  let given = 0;
  let now = 1;
  for (let next = blocks.shift(); next; next = blocks.shift()) {
    if (next.peer === 'a') given++;
    now += 20;
    note(give(download, next.peer, next.block, now));
  }
  t.true(download.chunks.complete);
  // What it promised, what nobody else has, and the end.
  t.true(given <= 8, `${given} of 256`);
});
