/** Bounds of the receiving side, each reached: memory, sources that give nothing, sources that spoil what others give. */
import test from 'ava';
import { Bits } from '../../lib/bits.js';
import { seeded } from '../../lib/clock.js';
import { ManifestPages } from '../../lib/drive/manifest.js';
import { ASSEMBLY_MAX, BLOCK, CHUNKS_MAX, ITEMS_QUEUED_MAX, MANIFEST_PAGE, UNACKED_MAX } from '../../lib/limits.js';
import { Batch } from '../../lib/transfer/batch.js';
import { chunkCount, chunkSizeOf } from '../../lib/transfer/content.js';
import { Download, type DownloadEffect } from '../../lib/transfer/download.js';
import { Upload } from '../../lib/transfer/upload.js';

const requests = (effects: DownloadEffect[]) => effects.filter((e) => e.kind === 'request');

test('no more is put together at a time than memory is given for, however many sources there are', (t) => {
  const size = 2 ** 33;
  const chunk = chunkSizeOf(size);
  for (const [assembly, most] of [
    [undefined, ASSEMBLY_MAX / chunk],
    [() => ASSEMBLY_MAX / 2, ASSEMBLY_MAX / 2 / chunk],
    [() => 0, 4],
  ] as const) {
    const download = new Download(size, seeded(1), undefined, assembly);
    const chunks = new Set<number>();
    const asked: DownloadEffect[] = [];
    for (let i = 0; i < 32; i++) asked.push(...download.handle({ kind: 'source', peer: `p${i}`, have: undefined }, i));
    // The first block of each comes in no time, so that only memory bounds what is asked for.
    for (const effect of asked) {
      if (effect.kind !== 'request') continue;
      const { peer, block } = effect;
      chunks.add(download.chunkOf(block));
      asked.push(...download.handle({ kind: 'block', peer, block, bytes: BLOCK }, 40));
    }
    t.is(chunks.size, most);
  }
});

test('a source that has nothing of use is not looked at anew for every word it sends', (t) => {
  const size = CHUNKS_MAX * 2 ** 22;
  const count = chunkCount(size);
  t.is(count, CHUNKS_MAX);
  // All but one chunk are here; it has none.
  const have = Bits.full(count);
  have.delete(7);
  const download = new Download(size, seeded(1), have);
  const none = new Uint8Array((count + 7) >> 3);
  download.handle({ kind: 'source', peer: 'a', have: none }, 0);
  const began = performance.now();
  for (let i = 0; i < 20_000; i++) {
    download.handle({ kind: 'block', peer: 'a', block: 1, bytes: 0 }, i);
    download.handle({ kind: 'source-has', peer: 'a', chunks: [] }, i);
    download.handle({ kind: 'heard', peer: 'a' }, i);
  }
  // A look through a million chunks takes some milliseconds: 60,000 of them would take minutes.
  t.true(performance.now() - began < 5000);
  const asked = requests(download.handle({ kind: 'source-has', peer: 'a', chunks: [7] }, 30_000));
  t.is(asked.length, 1, 'and when it has something, it is asked');
});

test('a chunk that two gave and that does not fit comes from one alone, so that who spoils it is known', (t) => {
  const size = 200 * 2 ** 20;
  const have = Bits.full(chunkCount(size));
  have.delete(0);
  have.delete(1);
  const download = new Download(size, seeded(1), have);
  const give = (peer: string, block: number, now: number) =>
    download.handle({ kind: 'block', peer, block, bytes: BLOCK }, now);
  const ofChunk = (effects: DownloadEffect[], chunk: number) =>
    requests(effects).flatMap(({ peer, block }) => (download.chunkOf(block) === chunk ? [peer] : []));
  t.deepEqual(ofChunk(download.handle({ kind: 'source', peer: 'owner', have: undefined }, 0), 0), ['owner']);
  t.deepEqual(ofChunk(download.handle({ kind: 'source', peer: 'helper', have: undefined }, 0), 1), ['helper']);
  const helped: DownloadEffect[] = [];
  for (let block = 4; block < 8; block++) helped.push(...give('helper', block, 10 * block));
  helped.push(...download.handle({ kind: 'checked', chunk: 1, ok: true }, 90));
  t.deepEqual(ofChunk(helped, 0), ['helper'], 'it is fast and has nothing else to do');
  give('owner', 0, 2000);
  for (let block = 1; block < 4; block++) give('helper', block, 2000);
  const again = download.handle({ kind: 'checked', chunk: 0, ok: false }, 2001);
  t.deepEqual(
    again.filter(({ kind }) => kind === 'drop'),
    [],
    'nobody knows whose bytes were wrong',
  );
  t.deepEqual(ofChunk(again, 0), ['owner'], 'this time nobody helps');
});

test('pages of a manifest that lie are refused, and take no memory before they come', (t) => {
  const count = 3 * MANIFEST_PAGE;
  const page = (first: number, hashes: number) =>
    new ManifestPages(count).add({
      type: 'M',
      number: 1,
      id: null,
      size: 1,
      mtime: 1,
      executable: false,
      chunk: 1,
      first,
      hashes: new Uint8Array(hashes),
      have: new Uint8Array(0),
    });
  t.is(page(0, 32 * MANIFEST_PAGE), 'more');
  t.is(page(0, 32 * count), 'whole');
  t.is(page(1, 32), 'unfit', 'not the next');
  t.is(page(0, 0), 'unfit', 'nothing on it, as one without end would have');
  t.is(page(0, 33), 'unfit');
  t.is(page(0, 32 * (count + 1)), 'unfit', 'more than there are chunks');
  t.is(page(2 ** 31, 32), 'unfit');
  const before = process.memoryUsage().arrayBuffers;
  const all = Array.from({ length: 100 }, () => new ManifestPages(CHUNKS_MAX));
  t.true(process.memoryUsage().arrayBuffers - before < 2 ** 25);
  t.is(all.length, 100);
});

test('requests for blocks without end, acknowledged by nobody, hold numbers only, and few', (t) => {
  const upload = new Upload();
  for (let i = 0; i < 10_000; i++) {
    upload.request(
      1,
      Array.from({ length: 64 }, (_, j) => i * 64 + j),
    );
    for (let item = upload.next(i); item; item = upload.next(i));
  }
  t.is(upload.inFlight, UNACKED_MAX);
  let queued = 0;
  upload.acked(
    1,
    Array.from({ length: UNACKED_MAX }, (_, i) => i),
    1,
  );
  for (let item = upload.next(1); item; item = upload.next(1)) {
    queued++;
    upload.acked(1, [item.index], 1);
  }
  t.is(queued, ITEMS_QUEUED_MAX);
});

test('a batch says of whom something is still wanted', (t) => {
  const batch = new Batch([
    { size: 1, peers: ['a', 'b'] },
    { size: 1, peers: ['b'] },
  ]);
  t.deepEqual(
    ['a', 'b', 'c'].map((peer) => batch.wants(peer)),
    [true, true, false],
  );
  batch.handle({ kind: 'source', peer: 'b' }, 0);
  t.deepEqual(
    ['a', 'b'].map((peer) => batch.wants(peer)),
    [false, false],
    'all is asked of b',
  );
  t.true(batch.isLacking('a'), 'and is not here');
  batch.handle({ kind: 'source-lost', peer: 'b' }, 1);
  t.deepEqual(
    ['a', 'b'].map((peer) => batch.wants(peer)),
    [true, true],
  );
  batch.handle({ kind: 'source', peer: 'b' }, 2);
  batch.handle({ kind: 'settled', file: 0, peer: 'b', code: undefined }, 3);
  t.deepEqual(
    ['a', 'b'].map((peer) => batch.isLacking(peer)),
    [false, true],
  );
});

test('of many sources the one that answers is found in a few time-outs, although all others are silent', (t) => {
  const peers = Array.from({ length: 32 }, (_, i) => `p${i}`);
  const batch = new Batch(Array.from({ length: 300 }, () => ({ size: 1000, peers })));
  const effects = peers.flatMap((peer) => batch.handle({ kind: 'source', peer }, 0));
  let now = 0;
  let asked = 0;
  while (batch.left > 0 && now < 60_000) {
    for (const effect of effects.splice(0)) {
      if (effect.kind !== 'request') continue;
      asked += effect.files.length;
      if (effect.peer !== 'p31') continue;
      for (const file of effect.files) {
        if (!batch.expects(file, 'p31')) continue;
        effects.push(...batch.handle({ kind: 'settled', file, peer: 'p31', code: undefined }, now));
      }
    }
    if (effects.some(({ kind }) => kind === 'request')) continue;
    now += 500;
    effects.push(...batch.handle({ kind: 'timer' }, now));
  }
  t.is(batch.left, 0);
  t.true(now < 15_000, `${now} ms`);
  t.true(asked <= 32 * 300, `${asked}: none is asked for the same twice`);
});
