/** Peers that lie to those who serve them, or whom they serve: what is kept for them is bounded, and the others get their part. */
import test from 'ava';
import { Bits } from '../../lib/bits.js';
import { Buffers } from '../../lib/buffers.js';
import { seeded } from '../../lib/clock.js';
import { ChunkCache } from '../../lib/drive/cache.js';
import { Guides } from '../../lib/drive/guides.js';
import type { Found, Shelf } from '../../lib/drive/offered.js';
import { Server } from '../../lib/drive/serve.js';
import { HearsayError } from '../../lib/errors.js';
import { BLOCK, CACHE_BYTES, SPARE_BYTES, UNACKED_MAX } from '../../lib/limits.js';
import { chunkCount, chunkSizeOf, contentId } from '../../lib/transfer/content.js';
import { Download, type DownloadEffect, type DownloadEvent } from '../../lib/transfer/download.js';
import { Guide, type Word } from '../../lib/transfer/guide.js';
import { Uplink } from '../../lib/transfer/uplink.js';
import { FarEnd, turns } from './bounds-link.js';

const MIB = 1 << 20;

test('buffers of sizes that nobody asks for again do not keep the others from being used again', (t) => {
  const buffers = new Buffers();
  // The last chunks of some hundred files.
  for (let bytes = BLOCK + 1; bytes < BLOCK + 300; bytes++) buffers.give(buffers.take(bytes));
  t.true(buffers.bytes <= SPARE_BYTES);
  const chunk = buffers.take(4 * MIB);
  buffers.give(chunk);
  t.true(buffers.bytes <= SPARE_BYTES);
  t.is(buffers.take(4 * MIB), chunk);
  buffers.give(chunk);
  // And those that are used stay, however many others come.
  for (let bytes = BLOCK + 1; bytes < BLOCK + 300; bytes++) {
    buffers.give(buffers.take(bytes));
    t.is(buffers.take(4 * MIB), chunk);
    buffers.give(chunk);
  }
  const huge = buffers.take(SPARE_BYTES + 1);
  buffers.give(huge);
  t.is(buffers.bytes, 0, 'what is larger than all that may lie here does not');
});

/** A file whose chunks are read as fast as they are asked for. */
function shelfOf(size: number): Shelf {
  const id = contentId(size, new Uint8Array(chunkCount(size) * 32));
  const source: Found['source'] = {
    path: 'f',
    size,
    id,
    mtime: 1,
    executable: false,
    readChunk: async (_, into) => into ?? Buffer.alloc(chunkSizeOf(size)),
    close: async () => {},
  };
  const found: Found = { source, manifest: new Uint8Array(chunkCount(size) * 32), have: undefined, aside: true };
  const none = async () => {
    throw new HearsayError('not-found', 'none');
  };
  return { open: async () => found, readSmall: none, recheck: async () => 'same', idOf: async () => id };
}

test('a crowd that asks each for other chunks, and does not read, holds no more of them than lie in the cache again', async (t) => {
  const size = 8192 * MIB;
  const chunk = chunkSizeOf(size);
  t.is(chunk, 4 * MIB);
  let held = 0;
  const cache = ChunkCache.prototype;
  const { read } = cache;
  // What is given out and not let go of, by whoever asks for it.
  cache.read = async function (this: ChunkCache, ...all) {
    const got = await read.apply(this, all);
    held += got.data.length;
    const release = () => {
      held -= got.data.length;
      got.release();
    };
    return { data: got.data, release };
  };
  t.teardown(() => {
    cache.read = read;
  });
  const server = new Server(shelfOf(size), { begun: () => {}, completed: () => {}, failed: () => {} });
  const crowd = Array.from({ length: 40 }, (_, i) => new FarEnd(`10.0.0.${i + 2}`));
  t.teardown(() => {
    const over = new HearsayError('cancelled', 'over');
    for (const { link } of crowd) {
      server.linkClosed(link, over);
      link.close(over);
    }
    server.stop();
  });
  for (const [i, far] of crowd.entries()) {
    server.handle(far.link, { type: 'G', number: 1, id: null, path: 'f', first: chunkCount(size) });
    await turns(() => far.of('M').length === 1);
    far.hold();
    for (let n = 0; n < 3; n++) {
      const block = (i * 3 + n) * (chunk / BLOCK);
      server.handle(far.link, { type: 'R', number: 1, block, count: 1 });
      await turns(() => far.link.queued > (n + 1) * BLOCK);
      // What has not come can be acknowledged all the same.
      server.handle(far.link, { type: 'A', number: 1, done: [block] });
    }
  }
  t.true(held <= 3 * CACHE_BYTES, `${held / MIB} MiB`);
});

test('of one who asks again and again, and acknowledges nothing, no more is remembered than may be unacknowledged', (t) => {
  const uplink = new Uplink<string>();
  for (let now = 0; now < 10_000; now++) uplink.sent('leech', now);
  t.is(uplink.underWay('leech'), UNACKED_MAX);
  uplink.acked('leech', UNACKED_MAX + 1, 10_000);
  t.is(uplink.underWay('leech'), 0);
  t.true(uplink.mayPass('other', 10_000));
});

test('one who asks a source for much, and takes nothing, keeps no promises from the others', (t) => {
  const guide = new Guide<string>(400 * BLOCK, 0);
  const promised = new Map<string, number[]>();
  const note = (words: Word<string>[]) => {
    for (const { member, chunks } of words) promised.set(member, [...(promised.get(member) ?? []), ...chunks]);
  };
  note(guide.join('leech', 0));
  note(guide.join('honest', 0));
  let next = 100;
  let came = 0;
  for (let now = 0; now < 60_000; now += 100) {
    // It asks for more and more, and for the same again.
    for (let i = 0; i < 8; i++) note(guide.asked('leech', 100 + (next++ % 250), now));
    note(guide.asked('leech', 100, now));
    for (const chunk of (promised.get('honest') ?? []).splice(0)) {
      note(guide.asked('honest', chunk, now));
      note(guide.arrived('honest', chunk, now));
      came++;
    }
  }
  t.true(came >= 130, `${came} chunks in a minute`);
});

test('many requests of one content over one link count as one where a source guides', (t) => {
  const guides = new Guides(seeded(1));
  const [leech, honest] = [new FarEnd(), new FarEnd()];
  const first = guides.join('id', 400 * BLOCK, leech.link, 1);
  const more = Array.from({ length: 50 }, (_, i) => guides.join('id', 400 * BLOCK, leech.link, 2 + i));
  t.deepEqual(
    more.filter((one) => one),
    [],
  );
  const other = guides.join('id', 400 * BLOCK, honest.link, 1);
  first?.leave();
  t.is(guides.size, 1);
  // It may begin anew.
  const again = guides.join('id', 400 * BLOCK, leech.link, 60);
  t.truthy(again);
  again?.leave();
  other?.leave();
  t.is(guides.size, 0);
});

/** A download that the test plays the sources of. */
class Played {
  readonly download: Download;
  readonly effects: DownloadEffect[] = [];

  constructor(size: number) {
    this.download = new Download(size, seeded(3));
  }

  give(event: DownloadEvent, now: number): DownloadEffect[] {
    const effects = this.download.handle(event, now);
    this.effects.push(...effects);
    const checks = effects.flatMap((effect) => (effect.kind === 'check' ? [effect.chunk] : []));
    return [...effects, ...checks.flatMap((chunk) => this.give({ kind: 'checked', chunk, ok: true }, now))];
  }

  /** Blocks that these ask a source for. */
  asked(effects: DownloadEffect[], peer: string): number[] {
    return effects.flatMap((e) =>
      e.kind === 'request' && e.peer === peer ? Array.from({ length: e.count }, (_, i) => e.block + i) : [],
    );
  }
}

for (const [how, blocks, isFast] of [
  ['from the beginning', 1, false],
  ['after a fast beginning', 40, true],
] as const) {
  test(`a source that only drips, ${how}, does not keep the last chunk from another that has it`, (t) => {
    const played = new Played(blocks * BLOCK);
    let now = 0;
    const liar = played.asked(played.give({ kind: 'source', peer: 'liar', have: undefined }, now), 'liar');
    const honest = played.asked(played.give({ kind: 'source', peer: 'honest', have: undefined }, now), 'honest');
    let drips = !isFast;
    for (; now < 60_000 && !played.download.chunks.complete; now += 50) {
      const answer = (peer: string, queue: number[]) => {
        const [block] = queue.splice(0, 1);
        if (block === undefined) return;
        const effects = played.give({ kind: 'block', peer, block, bytes: BLOCK }, now);
        liar.push(...played.asked(effects, 'liar'));
        honest.push(...played.asked(effects, 'honest'));
      };
      if (played.download.chunks.missing < 10) drips = true;
      const effects = drips ? played.give({ kind: 'heard', peer: 'liar' }, now) : [];
      if (!drips) answer('liar', liar);
      honest.push(...played.asked(effects, 'honest'));
      answer('honest', honest);
      honest.push(...played.asked(played.give({ kind: 'timer' }, now), 'honest'));
    }
    t.true(played.download.chunks.complete, 'it is whole');
    t.true(now < 20_000, `after ${now} ms`);
  });
}

test('a fellow that only drips does not make us wait for a source that guides others', (t) => {
  const played = new Played(40 * BLOCK);
  const none = new Bits(40);
  none.add(0);
  played.give({ kind: 'source', peer: 'source', have: undefined, promised: [] }, 0);
  played.give({ kind: 'source', peer: 'fellow', have: none.bytes }, 0);
  t.deepEqual(played.asked(played.effects, 'fellow'), [0]);
  t.deepEqual(played.asked(played.effects, 'source'), []);
  let now = 0;
  for (; now < 60_000 && played.asked(played.effects, 'source').length === 0; now += 100) {
    played.give({ kind: 'heard', peer: 'fellow' }, now);
    played.give({ kind: 'timer' }, now);
  }
  t.true(now < 10_000, `after ${now} ms`);
});

test('what a source guides us to does not have all chunks looked through for all others', (t) => {
  const played = new Played(1000 * BLOCK);
  const some = new Bits(1000);
  some.add(999);
  played.download.swarm = true;
  let looks = 0;
  played.download.yields = () => {
    looks++;
    return true;
  };
  played.give({ kind: 'source', peer: 'liar', have: undefined, promised: [] }, 0);
  for (let i = 0; i < 10; i++) played.give({ kind: 'source', peer: `fellow ${i}`, have: some.bytes }, 0);
  looks = 0;
  for (let i = 0; i < 1000; i++) played.give({ kind: 'guided', peer: 'liar', chunks: [], free: false }, 1);
  t.true(looks < 5000, `${looks} looks`);
});
