/** The cores of a transfer, as their drivers run them: whatever sources and receivers say, in whatever order. */
import { Bits } from '../../../lib/bits.js';
import { seeded } from '../../../lib/clock.js';
import { ManifestPages } from '../../../lib/drive/manifest.js';
import type { Code } from '../../../lib/errors.js';
import { BLOCK, ITEMS_QUEUED_MAX, PROMISED_MAX, SMALL_BATCH_MAX, UNACKED_MAX } from '../../../lib/limits.js';
import { Batch, type BatchEffect, type BatchEvent } from '../../../lib/transfer/batch.js';
import { chunkCount, chunkLength, chunkSizeOf, contentId, merkleRoot } from '../../../lib/transfer/content.js';
import { Download, type DownloadEffect, type DownloadEvent } from '../../../lib/transfer/download.js';
import { Guide, type Word } from '../../../lib/transfer/guide.js';
import { Upload } from '../../../lib/transfer/upload.js';
import type { Chance } from '../chance.js';
import { holds, type Reach, type Target, target } from '../target.js';

const PEERS = ['a', 'b', 'c'];
const EFFECTS_MAX = 20_000;
/** Virtual milliseconds within which one honest source must be enough. */
const ENOUGH = 3_600_000;

interface Session {
  size: number;
  have: Uint8Array | undefined;
  events: { wait: number; event: DownloadEvent }[];
  /** Whether the honest source in the end guides, and has nothing for us. */
  isGuided?: boolean;
}

function anyDownload(chance: Chance, blocks: number): DownloadEvent {
  const peer = chance.one(PEERS);
  const block = chance.is(0.8) ? chance.below(blocks + 1) : Math.abs(chance.int()) % 2 ** 32;
  const some = () =>
    Array.from({ length: chance.length(20) }, () =>
      chance.is(0.8) ? chance.below(blocks + 1) : Math.abs(chance.int()) % 2 ** 32,
    );
  switch (chance.below(10)) {
    case 0: {
      const promised = chance.is(0.3) ? some() : undefined;
      return { kind: 'source', peer, have: chance.is(0.5) ? undefined : chance.bytes(chance.length(blocks)), promised };
    }
    case 9:
      return { kind: 'guided', peer, chunks: some(), free: chance.is(0.2) };
    case 1:
      return { kind: 'source-has', peer, chunks: some() };
    case 2:
      return chance.is(0.5) ? { kind: 'source-gone', peer } : { kind: 'heard', peer };
    case 3:
      return { kind: 'timer' };
    case 4:
      return { kind: 'checked', chunk: chance.below(blocks + 1), ok: chance.is(0.7) };
    default:
      return { kind: 'block', peer, block, bytes: chance.is(0.8) ? BLOCK : chance.below(BLOCK + 1) };
  }
}

/** Looks at what a download wants; answers what the driver would: the check of a chunk. */
function watchDownload(download: Download, effects: DownloadEffect[], seen: Set<number>, now: number): void {
  holds(effects.length <= EFFECTS_MAX, `${effects.length} effects of one event`);
  const blocks = Math.ceil(download.size / BLOCK);
  for (const effect of effects) {
    if (effect.kind === 'request')
      holds(
        effect.count >= 1 && effect.block >= 0 && effect.block + effect.count <= blocks,
        `a request for ${effect.block}+${effect.count} of ${blocks}`,
      );
    else if (effect.kind === 'keep' || effect.kind === 'ack') {
      if (effect.kind === 'keep') holds(effect.block < blocks, `keeps the block ${effect.block} of ${blocks}`);
    } else if (effect.kind === 'check') {
      holds(effect.chunk < download.chunks.count, `checks the chunk ${effect.chunk}`);
      seen.add(effect.chunk);
    } else if (effect.kind === 'spare') {
      holds(effect.chunks.length <= PROMISED_MAX, `${effect.chunks.length} spare chunks at once`);
    } else if (effect.kind === 'timer') holds(Number.isFinite(effect.at), `a timer at ${effect.at} (now ${now})`);
    else if (effect.kind === 'complete') holds(download.chunks.complete, 'complete, yet not');
  }
}

const large = target<Session>({
  name: 'download',
  weight: 4,
  make(chance) {
    const size = chance.is(0.1) ? chance.below(3) : chance.between(1, 24) * BLOCK - chance.one([0, 1, 100, BLOCK - 1]);
    const blocks = Math.ceil(size / BLOCK);
    const events = Array.from({ length: chance.between(1, 60) }, () => ({
      wait: chance.one([0, 1, 10, 300, 3000, 60_000]),
      event: anyDownload(chance, blocks),
    }));
    const have = chance.is(0.3) ? chance.bytes(chance.length(4)) : undefined;
    return { size, have, events, isGuided: chance.is(0.3) };
  },
  run({ size, have, events, isGuided }, reach) {
    const count = chunkCount(size);
    const download = new Download(size, seeded(1), have && new Bits(count, have));
    const checking = new Set<number>();
    let now = 0;
    const give = (event: DownloadEvent): DownloadEffect[] => {
      // The driver tells only of what it was asked to check.
      if (event.kind === 'checked' && !checking.delete(event.chunk)) return [];
      reach.note(`download ${event.kind}`, 'ok');
      const effects = download.handle(event, now);
      watchDownload(download, effects, checking, now);
      return effects;
    };
    for (const { wait, event } of events) {
      now += wait;
      give(event);
    }
    // One honest source is enough in the end, whatever came before.
    for (const peer of PEERS) give({ kind: 'source-gone', peer });
    let todo = give({ kind: 'source', peer: 'honest', have: undefined, promised: isGuided ? [] : undefined });
    const end = now + ENOUGH;
    while (!download.chunks.complete && now < end) {
      const next: DownloadEffect[] = [];
      for (const chunk of [...checking]) next.push(...give({ kind: 'checked', chunk, ok: true }));
      let due = now + 60_000;
      for (const effect of todo) {
        if (effect.kind === 'timer') due = Math.min(due, effect.at);
        if (effect.kind !== 'request' || effect.peer !== 'honest') continue;
        for (let block = effect.block; block < effect.block + effect.count; block++) {
          next.push(...give({ kind: 'block', peer: 'honest', block, bytes: download.placeOf(block).length }));
        }
      }
      if (next.length === 0) {
        now = Math.max(now + 1, due);
        next.push(...give({ kind: 'timer' }));
      }
      now++;
      todo = next;
    }
    holds(download.chunks.complete, 'an honest source was not enough');
    reach.note('download', 'complete');
  },
});

interface Guidance {
  wait: number;
  kind: 'join' | 'leave' | 'asked' | 'arrived' | 'spare';
  member: string;
  chunks: number[];
}

const guide = target<{ blocks: number; lot: number; events: Guidance[] }>({
  name: 'guide',
  weight: 1,
  make(chance) {
    const blocks = chance.between(1, 200);
    const events = Array.from({ length: chance.between(1, 200) }, () => ({
      wait: chance.one([0, 0, 1, 50, 600, 3000]),
      kind: chance.one<Guidance['kind']>(['join', 'leave', 'asked', 'asked', 'arrived', 'spare']),
      member: chance.one(PEERS),
      chunks: Array.from({ length: chance.between(1, PROMISED_MAX) }, () => chance.below(blocks)),
    }));
    return { blocks, lot: chance.below(100) / 100, events };
  },
  run({ blocks, lot, events }, reach) {
    const size = blocks * BLOCK;
    const count = chunkCount(size);
    const one = new Guide<string>(size, lot);
    const members = new Set<string>();
    let now = 0;
    const promised: [string, number][] = [];
    const note = (kind: string, words: Word<string>[]): void => {
      reach.note(`guide ${kind}`, 'ok');
      for (const { member, chunks, free } of words) {
        holds(members.has(member), `a word to ${member}, who receives nothing`);
        holds(chunks.length <= PROMISED_MAX && !(free && chunks.length > 0), `${chunks.length} chunks, free: ${free}`);
        for (const chunk of chunks) {
          holds(chunk >= 0 && chunk < count, `the chunk ${chunk} of ${count}`);
          promised.push([member, chunk]);
        }
      }
      holds(one.left >= 0 && one.left <= count, `${one.left} of ${count} are left`);
    };
    const join = (member: string): void => {
      members.add(member);
      note('join', one.join(member, now));
    };
    const leave = (member: string): void => {
      members.delete(member);
      note('leave', one.leave(member, now));
    };
    for (const { wait, kind, member, chunks } of events) {
      now += wait;
      if (kind === 'join') join(member);
      else if (kind === 'leave') leave(member);
      else if (kind === 'spare') note(kind, one.spare(member, chunks, now));
      else note(kind, one[kind](member, chunks[0], now));
    }
    // Two who take what they are promised have all of it soon, however the others asked and left.
    for (const member of [...members]) leave(member);
    for (const member of ['honest', 'other']) join(member);
    for (const end = now + ENOUGH; one.left > 0 && now < end; now += 100) {
      for (const [member, chunk] of promised.splice(0)) {
        if (!members.has(member)) continue;
        note('asked', one.asked(member, chunk, now));
        note('arrived', one.arrived(member, chunk, now));
      }
      note('spare', one.spare('honest', [], now));
    }
    holds(one.left === 0, `${one.left} of ${count} were promised to nobody`);
  },
});

const CODES: (Code | undefined)[] = [
  undefined,
  undefined,
  'wrong-content',
  'changed',
  'disk-full',
  'not-found',
  'failed',
];

const batch = target<{ files: { size: number; peers: string[] }[]; events: { wait: number; event: BatchEvent }[] }>({
  name: 'batch',
  weight: 3,
  make(chance) {
    const files = Array.from({ length: chance.length(400) + 1 }, () => ({
      size: chance.below(BLOCK),
      peers: PEERS.filter(() => chance.is(0.7)),
    }));
    const events = Array.from({ length: chance.between(1, 60) }, () => ({
      wait: chance.one([0, 1, 100, 3000, 60_000]),
      event: anyBatch(chance, files.length),
    }));
    return { files, events };
  },
  run({ files, events }, reach) {
    // As the plan makes them: every file has a source.
    const offered = files.map(({ size, peers }) => {
      const known = peers.filter((peer) => PEERS.includes(peer));
      return { size, peers: known.length > 0 ? known : ['a'] };
    });
    const core = new Batch(offered);
    const failed = new Set<number>();
    let completes = 0;
    let now = 0;
    const watch = (effects: BatchEffect[]): void => {
      holds(effects.length <= EFFECTS_MAX, `${effects.length} effects of one event`);
      for (const effect of effects) {
        if (effect.kind === 'request') {
          holds(
            effect.files.length >= 1 && effect.files.length <= SMALL_BATCH_MAX,
            `a request for ${effect.files.length} files`,
          );
          for (const file of effect.files) holds(file < files.length && !failed.has(file), `asks for ${file}`);
        } else if (effect.kind === 'failed') {
          holds(!failed.has(effect.file), `${effect.file} failed twice`);
          failed.add(effect.file);
        } else if (effect.kind === 'complete') completes++;
        else if (effect.kind === 'timer') holds(Number.isFinite(effect.at), `a timer at ${effect.at}`);
      }
    };
    for (const { wait, event } of events) {
      now += wait;
      // The driver settles only what it was waiting for.
      if (event.kind === 'settled' && !core.expects(event.file, event.peer)) continue;
      reach.note(`batch ${event.kind}`, 'ok');
      watch(core.handle(event, now));
    }
    for (const peer of PEERS) watch(core.handle({ kind: 'source-gone', peer, code: 'unreachable' }, now));
    holds(core.left === 0 && completes === 1, `${core.left} files left, ${completes} ends`);
    reach.note('batch', 'complete');
  },
});

function anyBatch(chance: Chance, files: number): BatchEvent {
  const peer = chance.one(PEERS);
  switch (chance.below(8)) {
    case 0:
    case 1:
      return { kind: 'source', peer };
    case 2:
      return chance.is(0.5) ? { kind: 'source-lost', peer } : { kind: 'source-gone', peer, code: 'unreachable' };
    case 3:
      return chance.is(0.5) ? { kind: 'timer' } : { kind: 'heard', peer };
    default:
      return { kind: 'settled', file: chance.below(files), peer, code: chance.one(CODES) };
  }
}

type UploadStep =
  | { do: 'request' | 'acked'; number: number; indexes: number[] }
  | { do: 'next' | 'expire' | 'drop'; number: number };

const upload = target<UploadStep[]>({
  name: 'upload',
  weight: 2,
  make: (chance) =>
    Array.from({ length: chance.between(1, 80) }, (): UploadStep => {
      const number = chance.below(4);
      if (chance.is(0.5)) return { do: chance.one(['next', 'next', 'next', 'expire', 'drop']), number };
      return {
        do: chance.one(['request', 'acked']),
        number,
        indexes: Array.from({ length: chance.length(600) }, () => chance.below(300)),
      };
    }),
  run(steps, reach) {
    const core = new Upload();
    const asked = new Set<string>();
    let now = 0;
    for (const step of steps) {
      now += 37;
      reach.note(`upload ${step.do}`, 'ok');
      if (step.do === 'request') {
        core.request(step.number, step.indexes);
        for (const index of step.indexes) asked.add(`${step.number}:${index}`);
      } else if (step.do === 'acked') core.acked(step.number, step.indexes, now);
      else if (step.do === 'drop') core.drop(step.number);
      else if (step.do === 'expire') {
        now = Math.max(now, core.deadline() ?? now);
        core.expire(now);
      } else {
        // A turn of the pump: as many as the window takes, or a few.
        for (let left = step.number === 0 ? UNACKED_MAX + 1 : step.number; left > 0; left--) {
          const peeked = core.ready ? core.peek() : undefined;
          const item = core.next(now);
          if (peeked) holds(item?.index === peeked.index && item.number === peeked.number, 'not what was announced');
          if (item) holds(asked.has(`${item.number}:${item.index}`), 'sends what nobody asked for');
        }
      }
      holds(core.inFlight <= UNACKED_MAX, `${core.inFlight} unacknowledged`);
    }
    // Everything comes to an end.
    for (let n = 0; n < 4 * ITEMS_QUEUED_MAX * 8; n++) {
      const item = core.next(now);
      if (item) core.acked(item.number, [item.index], now);
      else {
        const due = core.deadline();
        if (due === undefined) break;
        now = Math.max(now, due);
        core.expire(now);
      }
    }
    holds(!core.ready && core.inFlight === 0, 'never done');
  },
});

/** A manifest as it comes, page by page, from one who may lie. */
const manifest = target<{ size: number; pages: { first: number; hashes: Uint8Array }[] }>({
  name: 'manifest',
  make(chance) {
    const size = chance.below(12) * BLOCK + chance.below(2);
    let first = 0;
    const pages = Array.from({ length: chance.below(6) }, () => {
      const page = {
        first: chance.is(0.7) ? first : Math.abs(chance.int()) % 2 ** 32,
        hashes: chance.bytes(chance.is(0.8) ? 32 * chance.below(6) : chance.below(70)),
      };
      first += page.hashes.length / 32;
      return page;
    });
    return { size, pages };
  },
  run({ size, pages }, reach: Reach) {
    const count = chunkCount(size);
    holds(chunkLength(size, count) === 0 && chunkSizeOf(size) > 0, 'a chunk after the last');
    const gathered = new ManifestPages(count);
    for (const { first, hashes } of pages) {
      const rest = {
        type: 'M' as const,
        number: 1,
        id: null,
        size,
        mtime: 0,
        executable: false,
        chunk: 1,
        have: new Uint8Array(0),
      };
      const end = gathered.add({ ...rest, first, hashes });
      reach.note('manifest page', end);
      if (end !== 'more') break;
    }
    holds(merkleRoot(gathered.hashes).length === 32 && contentId(size, gathered.hashes).length === 64, 'no id');
  },
});

export const TRANSFER: Target[] = [large, guide, batch, upload, manifest];
