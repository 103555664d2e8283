/**
 * The receiving side of one large file: which blocks to ask of which source, and when to ask again.
 *
 * Owns the chunks' states, the sources and what is in flight to each. Always true: a block in flight belongs to an active
 * chunk; with a source that guides only chunks are begun that it promised, unless nothing at all is under way; a source's death or
 * stall gives back all that it held in one call; a chunk is `have` only after the driver said that it was verified and written; under a limit a block is asked for only with leave, and time begins to count for its source
 * when it is asked for, so that waiting for leave is nobody's silence. Called by the driver of a fetch, which carries out the effects in their order.
 */
import { Bits } from '../bits.js';
import type { Millis, Random } from '../clock.js';
import type { Code } from '../errors.js';
import type { PeerId } from '../ids.js';
import { ASSEMBLY_MAX, BLOCK, PROMISED_MAX } from '../limits.js';
import { Chunks } from './chunks.js';
import { chunkCount, chunkLength, chunkSizeOf } from './content.js';
import { FREE, type Leave } from './limit.js';
import { Rto } from './rto.js';

export type DownloadEvent =
  /** A source answered with its manifest. `have` undefined: it has everything. `promised` where it guides, as in `guided`. */
  | { kind: 'source'; peer: PeerId; have: Uint8Array | undefined; promised?: number[] | undefined }
  | { kind: 'source-has'; peer: PeerId; chunks: number[] }
  /** A source of all tells which chunks it gives to us and not to others; or, `free`, that it minds no more. */
  | { kind: 'guided'; peer: PeerId; chunks: number[]; free: boolean }
  /** The connection broke, or the source said that it cannot go on. */
  | { kind: 'source-gone'; peer: PeerId }
  | { kind: 'block'; peer: PeerId; block: number; bytes: number }
  /** Bytes of an unfinished block are coming in: slow is not stalled. */
  | { kind: 'heard'; peer: PeerId }
  /** The driver verified and wrote a chunk, or found it wrong. */
  | { kind: 'checked'; chunk: number; ok: boolean }
  | { kind: 'timer' };

export type DownloadEffect =
  | { kind: 'request'; peer: PeerId; block: number; count: number }
  | { kind: 'ack'; peer: PeerId; block: number }
  /** Of what the source promised these are not needed of it. */
  | { kind: 'spare'; peer: PeerId; chunks: number[] }
  /** Keep the bytes of this block (the driver copies them to their place in the chunk). */
  | { kind: 'keep'; block: number }
  /** The chunk is whole: verify it, write it, answer `checked`. */
  | { kind: 'check'; chunk: number; from: PeerId }
  /** Bytes of an unfinished chunk are not wanted any more. */
  | { kind: 'forget'; chunk: number }
  /** Tell the source that this chunk of its did not fit. */
  | { kind: 'bad'; peer: PeerId; chunk: number }
  /** Use this source no longer, and name it. */
  | { kind: 'drop'; peer: PeerId; code: Code }
  | { kind: 'complete' }
  | { kind: 'timer'; at: Millis };

/** A source's second wrong chunk drops it. */
const STRIKES = 2;
/** Blocks in flight to a source of which nothing is known yet, and at least. */
const WINDOW_FIRST = 4;
const WINDOW_MIN = 2;
const WINDOW_MAX = 64;
/** A round trip is believed so far; of several sources less, as what is longer there is mostly the queue of those who ask the same one. */
const TRIP_MAX: Millis = 1000;
const TRIP_OF_SEVERAL: Millis = 100;
/** What is added to the round trip when the window is sized: the event loop's and the disk's own pauses. */
const SLACK: Millis = 20;
/** What may be in flight of several sources together: what arrives in so many ms, and some chunks. */
const ALL_TIME: Millis = 150;
const ALL_CHUNKS = 4;
/** Where nothing at all is under way for so long, no source's guidance is followed: those whom it meant may have come to nothing. */
const HUNGER: Millis = 1000;
/** A source that is asked, and of which no whole block came for so long, is not waited for by others that could do its work. */
const DRIP: Millis = 5000;
/** Blocks that are in flight beyond that, and the time at most that they may take: a slow link's queue stays short. */
const MORE = 8;
const MORE_TIME: Millis = 100;

interface Source {
  peer: PeerId;
  have: Bits | undefined;
  rto: Rto;
  /** Blocks asked for and not here, in the order of asking: when, how often, and the how manieth asked of this source. */
  inFlight: Map<number, { at: Millis; tries: number; turn: number }>;
  /** Where it guides its receivers: chunks that it gives to us, in the order of promising. */
  promised: Set<number> | undefined;
  /** Whether it guided, and minds no more: each chunk was given once, and who has it is to give it on. */
  gave: boolean;
  /** Blocks that it is to be asked for, once there is leave, in their order. */
  pending: Set<number>;
  /** Blocks asked for so far, and the latest of them that came. */
  turns: number;
  cameTurn: number;
  strikes: number;
  /** When something last came of it, or was first asked for. */
  heard: Millis;
  stalled: boolean;
  /** While stalled: the block that is asked for now and then, and when next. */
  probe: { block: number; at: Millis };
  /** Bytes a millisecond, smoothed over arrivals. */
  rate: number;
  rateAt: Millis;
  rateBytes: number;
  /** Least service time seen, ms. */
  least: Millis;
  /** Blocks of the window while it is not yet found how much the way takes: one more for each that comes as quickly as any. */
  start: number;
  /** What had happened when nothing was found to ask it for: until more does, there is no need to look again. */
  barren: number;
}

/** An active chunk: who gives it and what is still lacking. */
interface Active {
  chunk: number;
  owner: PeerId;
  /** A second source asked for the same blocks near the end. */
  helper: PeerId | undefined;
  first: number;
  blocks: number;
  got: Bits;
  givers: Set<PeerId>;
}

export class Download {
  readonly size: number;
  readonly chunkSize: number;
  readonly chunks: Chunks;
  readonly #perChunk: number;
  readonly #random: Random;
  readonly #sources = new Map<PeerId, Source>();
  readonly #active = new Map<number, Active>();
  /** Who sent a chunk that did not fit: asked elsewhere if possible. */
  readonly #avoid = new Map<number, Set<PeerId>>();
  /** Givers of chunks that are being checked. */
  readonly #checking = new Map<number, Set<PeerId>>();
  /** Counts all that may give a source something to be asked for. */
  #news = 0;
  readonly #activeMax: () => number;
  readonly #leave: Leave;
  /** Whether there was a limit lately, so that some may wait for leave. */
  #isLimited = false;
  #swarm = false;
  /** Sources that guide. */
  #guides = 0;
  /** Since when nothing has been under way while there are such, and whether that was too long. */
  #idleAt: Millis | undefined;
  #isHungry = false;
  #done = false;

  /**
   * @param have chunks that are here and verified already
   * @param assembly bytes of chunks that may be put together at a time, as things are; at least four chunks are
   * @param leave what the limits on what arrives allow
   */
  constructor(
    size: number,
    random: Random,
    have?: Bits,
    assembly: () => number = () => ASSEMBLY_MAX,
    leave: Leave = FREE,
  ) {
    this.size = size;
    this.chunkSize = chunkSizeOf(size);
    this.chunks = new Chunks(chunkCount(size));
    this.#perChunk = Math.max(1, this.chunkSize / BLOCK);
    this.#random = random;
    this.#leave = leave;
    this.#activeMax = () => Math.max(4, Math.floor(assembly() / this.chunkSize));
    if (have) for (let i = 0; i < this.chunks.count; i++) if (have.has(i)) this.chunks.set(i, 'have');
  }

  /** Sources in use now. */
  get sources(): PeerId[] {
    return [...this.#sources.keys()];
  }

  /** Sources that have not stalled. */
  get working(): number {
    let n = 0;
    for (const source of this.#sources.values()) if (!source.stalled) n++;
    return n;
  }

  /** Blocks that are asked for and not here. @param peer of this source alone */
  awaited(peer?: PeerId): number {
    let n = 0;
    for (const source of this.#sources.values()) {
      if (peer === undefined || source.peer === peer) n += source.inFlight.size;
    }
    return n;
  }

  /** Which chunk a block belongs to. */
  chunkOf(block: number): number {
    return Math.floor(block / this.#perChunk);
  }

  /** Where a block's bytes stand within its chunk, and how many they are. */
  placeOf(block: number): { chunk: number; offset: number; length: number } {
    const chunk = this.chunkOf(block);
    const offset = (block - chunk * this.#perChunk) * BLOCK;
    return { chunk, offset, length: Math.min(BLOCK, chunkLength(this.size, chunk) - offset) };
  }

  /** Whether a source that has only a part has told of this chunk. */
  hasPart(peer: PeerId, chunk: number): boolean {
    return this.#sources.get(peer)?.have?.has(chunk) ?? false;
  }

  /** Whether others receive this content too, so that the order of fetching matters to them. */
  set swarm(on: boolean) {
    this.#swarm = on;
  }

  /**
   * Which chunks of a source are rather left to other receivers, who will have them to give soon: those are asked of it only when
   * there is nothing else that it could give.
   */
  yields: ((source: PeerId, chunk: number) => boolean) | undefined;

  /** Whether something that is lacking is held by no source. */
  get isOrphaned(): boolean {
    return this.chunks.isOrphaned;
  }

  handle(event: DownloadEvent, now: Millis): DownloadEffect[] {
    const out: DownloadEffect[] = [];
    switch (event.kind) {
      case 'source':
        this.#addSource(event.peer, event.have, now);
        if (event.promised) this.#guided(event.peer, event.promised, false);
        break;
      case 'source-has':
        // None is the word of one that a limit holds up.
        if (event.chunks.length === 0) this.#heard(event.peer, now);
        else this.#sourceHas(event.peer, event.chunks);
        break;
      case 'guided':
        this.#guided(event.peer, event.chunks, event.free);
        break;
      case 'source-gone':
        this.#removeSource(event.peer, out);
        break;
      case 'block':
        this.#block(event.peer, event.block, event.bytes, now, out);
        break;
      case 'heard':
        // It comes with every few packets, and leaves nothing to ask for; an alarm that rings early for it looks again.
        this.#heard(event.peer, now);
        return out;
      case 'checked':
        this.#checked(event.chunk, event.ok, out);
        break;
      case 'timer':
        this.#late(now, out);
        break;
    }
    this.#ask(now, out);
    if (!this.#done && this.chunks.complete) {
      this.#done = true;
      out.push({ kind: 'complete' });
    }
    this.#rest(now);
    const at = this.#deadline();
    if (at !== undefined) out.push({ kind: 'timer', at });
    return out;
  }

  /** Begins again from nothing: the whole did not fit at the end. */
  restart(now: Millis): DownloadEffect[] {
    this.#done = false;
    for (let i = 0; i < this.chunks.count; i++) if (this.chunks.state(i) === 'have') this.chunks.set(i, 'missing');
    this.#news++;
    return this.handle({ kind: 'timer' }, now);
  }

  #heard(peer: PeerId, now: Millis): void {
    const source = this.#sources.get(peer);
    if (source && source.inFlight.size > 0) source.heard = now;
  }

  #addSource(peer: PeerId, have: Uint8Array | undefined, now: Millis): void {
    if (this.#sources.has(peer)) return;
    const bits = have && new Bits(this.chunks.count, have);
    this.#sources.set(peer, {
      peer,
      have: bits?.isFull ? undefined : bits,
      rto: new Rto(),
      inFlight: new Map(),
      promised: undefined,
      gave: false,
      pending: new Set(),
      turns: 0,
      cameTurn: 0,
      strikes: 0,
      heard: now,
      stalled: false,
      probe: { block: 0, at: now },
      rate: 0,
      rateAt: now,
      rateBytes: 0,
      least: Number.POSITIVE_INFINITY,
      start: WINDOW_FIRST,
      barren: -1,
    });
    this.#news++;
    for (let i = 0; i < this.chunks.count; i++) if (!bits || bits.has(i)) this.chunks.holds(i, 1);
    if (bits && !bits.isFull) this.#swarm = true;
  }

  #sourceHas(peer: PeerId, chunks: number[]): void {
    const source = this.#sources.get(peer);
    if (!source?.have) return;
    for (const chunk of chunks) {
      if (!source.have.add(chunk)) continue;
      this.chunks.holds(chunk, 1);
      this.#news++;
    }
  }

  #guided(peer: PeerId, chunks: readonly number[], free: boolean): void {
    const source = this.#sources.get(peer);
    // Who has a part has nothing to hold back.
    if (!source || source.have) return;
    // News for what it itself is asked for: all the others are not looked through at its every word.
    source.barren = -1;
    if (free) {
      if (source.promised) this.#guides--;
      source.gave = source.promised !== undefined;
      source.promised = undefined;
      return;
    }
    if (!source.promised) this.#guides++;
    source.gave = false;
    source.promised ??= new Set();
    for (const chunk of chunks) {
      if (chunk >= this.chunks.count || source.promised.size >= PROMISED_MAX) continue;
      source.promised.add(chunk);
      this.#isHungry = false;
    }
  }

  /** Takes note of whether anything is under way. */
  #rest(now: Millis): void {
    const isIdle = (s: Source) => s.inFlight.size === 0 || this.#drips(s, now);
    const areIdle = this.#guides > 0 && this.chunks.missing > 0 && this.#areAll(isIdle);
    if (!areIdle) this.#idleAt = undefined;
    else this.#idleAt ??= now;
  }

  /** Whether a source is asked for something, and gives nothing that is whole, however much of it there is heard. */
  #drips({ inFlight, rateAt }: Source, now: Millis): boolean {
    return inFlight.size > 0 && now - rateAt >= DRIP;
  }

  #areAll(are: (source: Source) => boolean): boolean {
    for (const source of this.#sources.values()) if (!are(source)) return false;
    return true;
  }

  #removeSource(peer: PeerId, out: DownloadEffect[]): void {
    const source = this.#sources.get(peer);
    if (!source) return;
    if (source.promised) this.#guides--;
    this.#giveBack(source, out);
    this.#news++;
    this.#sources.delete(peer);
    for (let i = 0; i < this.chunks.count; i++) if (!source.have || source.have.has(i)) this.chunks.holds(i, -1);
  }

  /** A source gives back all that it was asked for: its chunks go to its helper, or are missing again. */
  #giveBack(source: Source, out: DownloadEffect[]): void {
    for (const block of [...source.inFlight.keys()]) this.#giveUp(source, block);
    source.pending.clear();
    for (const active of [...this.#active.values()]) {
      if (active.helper === source.peer) active.helper = undefined;
      if (active.owner !== source.peer) continue;
      if (active.helper) {
        active.owner = active.helper;
        active.helper = undefined;
      } else {
        this.#active.delete(active.chunk);
        this.chunks.set(active.chunk, 'missing');
        this.#news++;
        out.push({ kind: 'forget', chunk: active.chunk });
      }
    }
  }

  #block(peer: PeerId, block: number, bytes: number, now: Millis, out: DownloadEffect[]): void {
    const source = this.#sources.get(peer);
    // What comes from one who is no source any more is not even acknowledged.
    if (!source) return;
    out.push({ kind: 'ack', peer, block });
    source.heard = now;
    if (source.stalled) this.#news++;
    source.stalled = false;
    const asked = source.inFlight.get(block);
    if (asked) {
      source.inFlight.delete(block);
      source.cameTurn = Math.max(source.cameTurn, asked.turn);
      if (asked.tries === 1) {
        source.rto.sample(now - asked.at);
        source.least = Math.min(source.least, now - asked.at);
        // As TCP's slow start: it ends where blocks wait somewhere, and of several sources, as there somebody else is there to be fair to.
        const isQuick = now - asked.at <= 2 * source.least + SLACK && this.#sources.size === 1;
        source.start = isQuick && source.start > 0 ? source.start + 1 : 0;
      }
      this.#measure(source, bytes, now);
    }
    // It came without leave, or that was given back.
    else this.#leave.owe(bytes);
    const { chunk, length } = this.placeOf(block);
    const active = this.#active.get(chunk);
    // Only what was asked for, of a chunk still being put together, is kept: repeats and inventions are not.
    if (!active || !asked || (active.owner !== peer && active.helper !== peer)) return;
    if (bytes !== length) {
      // No block of this file is so long: the chunk cannot become right any more.
      this.#endActive(active);
      out.push({ kind: 'forget', chunk });
      this.#wrong(chunk, new Set([peer]), out);
      return;
    }
    if (!active.got.add(block - active.first)) return;
    for (const other of [active.owner, active.helper]) {
      if (other !== undefined) this.#sources.get(other)?.pending.delete(block);
    }
    active.givers.add(peer);
    out.push({ kind: 'keep', block });
    if (!active.got.isFull) return;
    this.#endActive(active);
    this.chunks.set(chunk, 'checking');
    this.#checking.set(chunk, active.givers);
    out.push({ kind: 'check', chunk, from: peer });
  }

  /** Nothing more is asked for of a chunk. */
  #endActive({ chunk, first, blocks }: Active): void {
    this.#active.delete(chunk);
    for (const source of this.#sources.values()) {
      for (let block = first; block < first + blocks; block++) {
        this.#giveUp(source, block);
        source.pending.delete(block);
      }
    }
  }

  /** A block is not awaited from a source any more. Should it come all the same, it counts then. */
  #giveUp(source: Source, block: number): void {
    if (source.inFlight.delete(block)) this.#leave.give(this.placeOf(block).length);
  }

  /** Rate over some 100 ms or more of arrivals, smoothed. */
  #measure(source: Source, bytes: number, now: Millis): void {
    source.rateBytes += bytes;
    const span = now - source.rateAt;
    if (span < 100 && source.rate > 0) return;
    const rate = source.rateBytes / Math.max(1, span);
    // A long way is filled in a few round trips only where more is believed at once: of one alone, as there is nobody to be fair to.
    const isSure = source.rate === 0 || (rate > source.rate && this.#sources.size === 1);
    source.rate += (rate - source.rate) * (isSure ? 1 : 1 / 4);
    source.rateAt = now;
    source.rateBytes = 0;
  }

  #checked(chunk: number, ok: boolean, out: DownloadEffect[]): void {
    const givers = this.#checking.get(chunk);
    if (!givers) return;
    this.#checking.delete(chunk);
    if (ok) {
      this.chunks.set(chunk, 'have');
      this.#avoid.delete(chunk);
      return;
    }
    this.#wrong(chunk, givers, out);
  }

  /** A chunk as these gave it does not fit: it is to be asked for again, and a second one counts against its giver. */
  #wrong(chunk: number, givers: Set<PeerId>, out: DownloadEffect[]): void {
    this.chunks.set(chunk, 'missing');
    this.#news++;
    const avoid = this.#avoid.get(chunk) ?? new Set();
    this.#avoid.set(chunk, avoid);
    for (const peer of givers) {
      avoid.add(peer);
      out.push({ kind: 'bad', peer, chunk });
    }
    // Of several givers nobody knows whose bytes were wrong; the chunk comes whole from one next time.
    if (givers.size !== 1) return;
    const [peer] = givers;
    const source = this.#sources.get(peer);
    if (source && ++source.strikes >= STRIKES) {
      this.#removeSource(peer, out);
      out.push({ kind: 'drop', peer, code: 'wrong-content' });
    }
  }

  /**
   * How many blocks to keep in flight: rate × (twice the least service time + slack), as a bandwidth-delay product, and a
   * few more. Where this side is the bottleneck each source's rate follows its window: by the product alone whoever came
   * first would keep what it had, and only the same number more for each makes them equal in time (as in TCP Vegas).
   */
  #window(source: Source): number {
    if (source.rate === 0) return Math.max(WINDOW_FIRST, Math.min(WINDOW_MAX, source.start));
    const trip = Math.min(source.least, this.#sources.size > 1 ? TRIP_OF_SEVERAL : TRIP_MAX);
    const product = source.rate * (2 * trip + SLACK);
    const more = Math.min(MORE * BLOCK, source.rate * MORE_TIME);
    return Math.min(WINDOW_MAX, Math.max(WINDOW_MIN, source.start, Math.ceil((product + more) / BLOCK)));
  }

  #has(source: Source, chunk: number): boolean {
    if (source.have && !source.have.has(chunk)) return false;
    const avoid = this.#avoid.get(chunk);
    if (!avoid?.has(source.peer)) return true;
    // Asked again of the same source only where nobody else can give it.
    for (const other of this.#sources.values()) {
      if (!avoid.has(other.peer) && !other.stalled && (!other.have || other.have.has(chunk))) return false;
    }
    return true;
  }

  /** Fills every source's window, as far as there is leave. */
  #ask(now: Millis, out: DownloadEffect[]): void {
    if (!this.#leave.isFree) {
      this.#isLimited = true;
      this.#askBit(now, out);
      return;
    }
    if (this.#isLimited) this.#askPending(now, out);
    let room = this.#room();
    const able = new Set<Source>();
    for (const source of this.#sources.values()) if (!source.stalled) able.add(source);
    while (room > 0) {
      const source = this.#leastAsked(able);
      if (!source) break;
      const active = this.#begin(source, out) ?? this.#help(source, now);
      if (active) room -= this.#request(source, active, now, out);
      else able.delete(source);
    }
  }

  /** How many more blocks may be in flight, of all sources together. */
  #room(): number {
    if (this.#sources.size < 2) return Number.POSITIVE_INFINITY;
    let rate = 0;
    let inFlight = 0;
    for (const source of this.#sources.values()) {
      rate += source.rate;
      inFlight += source.inFlight.size;
    }
    return Math.ceil((rate * ALL_TIME) / BLOCK) + ALL_CHUNKS * this.#perChunk - inFlight;
  }

  /**
   * Of these the source that is to be asked first: who promised something, then who has least to do, and last who gave each chunk once:
   * where the machines are slower than their links, it would give all of it once more. Whose window is full is left out.
   */
  #leastAsked(able: Set<Source>): Source | undefined {
    let best: Source | undefined;
    let least = Number.POSITIVE_INFINITY;
    for (const source of able) {
      const { inFlight, promised } = source;
      if (inFlight.size >= this.#window(source)) {
        able.delete(source);
        continue;
      }
      const load = promised && promised.size > 0 ? -1 : inFlight.size + (source.gave ? WINDOW_MAX : 0);
      if (load >= least) continue;
      best = source;
      least = load;
    }
    return best;
  }

  /**
   * Under a limit: block by block, as leave is given, what was begun before what is to be begun. A source that has asked goes
   * behind the others, so that they take turns with the chunks.
   */
  #askBit(now: Millis, out: DownloadEffect[]): void {
    for (let source = this.#nextToAsk(now, out); source; source = this.#nextToAsk(now, out)) {
      const [block] = source.pending;
      if (!this.#leave.take(this.placeOf(block).length)) return;
      this.#askOne(source, block, now, out);
      if (source.pending.size > 0) continue;
      this.#sources.delete(source.peer);
      this.#sources.set(source.peer, source);
    }
  }

  /** There is no limit any more: nothing waits. */
  #askPending(now: Millis, out: DownloadEffect[]): void {
    this.#isLimited = false;
    for (const source of this.#sources.values()) {
      for (const block of source.pending) this.#askOne(source, block, now, out);
    }
  }

  #askOne(source: Source, block: number, now: Millis, out: DownloadEffect[]): void {
    source.pending.delete(block);
    this.#begins(source, now);
    source.inFlight.set(block, { at: now, tries: 1, turn: ++source.turns });
    const last = out.at(-1);
    const follows = last?.kind === 'request' && last.peer === source.peer && last.block + last.count === block;
    if (follows) last.count++;
    else out.push({ kind: 'request', peer: source.peer, block, count: 1 });
  }

  /** A source with room in its window and a block that it is to be asked for. */
  #nextToAsk(now: Millis, out: DownloadEffect[]): Source | undefined {
    const able = [...this.#sources.values()].filter((s) => !s.stalled && s.inFlight.size < this.#window(s));
    const begun = able.find(({ pending }) => pending.size > 0);
    if (begun) return begun;
    return able.find((source) => {
      const active = this.#begin(source, out) ?? this.#help(source, now);
      if (!active) return false;
      // A helper is asked for what its owner was not, before what it was.
      const owner = this.#sources.get(active.owner);
      const lacking = Array.from({ length: active.blocks }, (_, i) => i).filter((i) => !active.got.has(i));
      const blocks = lacking.map((i) => active.first + i);
      for (const block of blocks) if (!owner?.inFlight.has(block)) source.pending.add(block);
      for (const block of blocks) source.pending.add(block);
      if (owner !== source) for (const block of blocks) owner?.pending.delete(block);
      return true;
    });
  }

  #pick(source: Source, out: DownloadEffect[]): number | undefined {
    if (source.promised && !this.#isHungry) {
      return this.#pickPromised(source, out);
    }
    const random = this.#swarm ? this.#random : undefined;
    const { yields } = this;
    const own = random && yields && this.chunks.pick((c) => !yields(source.peer, c) && this.#has(source, c), random);
    return own ?? this.chunks.pick((c) => this.#has(source, c), random);
  }

  /** The next chunk that a source gives to us and not to others; it is told which of them are not needed any more. */
  #pickPromised({ peer, promised }: Source, out: DownloadEffect[]): number | undefined {
    const spare: number[] = [];
    let found: number | undefined;
    for (const chunk of promised ?? []) {
      promised?.delete(chunk);
      if (this.chunks.state(chunk) === 'missing') {
        found = chunk;
        break;
      }
      spare.push(chunk);
    }
    if (spare.length > 0) out.push({ kind: 'spare', peer, chunks: spare });
    return found;
  }

  #begin(source: Source, out: DownloadEffect[]): Active | undefined {
    if (this.#active.size + this.#checking.size >= this.#activeMax()) return undefined;
    // To look through all chunks takes long, and a source can make us look by every word it sends.
    if (source.barren === this.#news) return undefined;
    const chunk = this.#pick(source, out);
    if (chunk === undefined) {
      source.barren = this.#news;
      return undefined;
    }
    const blocks = Math.ceil(chunkLength(this.size, chunk) / BLOCK);
    const active: Active = {
      chunk,
      owner: source.peer,
      helper: undefined,
      first: chunk * this.#perChunk,
      blocks,
      got: new Bits(blocks),
      givers: new Set(),
    };
    this.chunks.set(chunk, 'active');
    this.#active.set(chunk, active);
    return active;
  }

  /**
   * Endgame: nothing is left to begin, so an idle source helps with the chunk whose owner will be last to finish, where
   * that is much later than the helper would be. Never more than one helper a chunk, unless that one gives nothing either.
   */
  #help(source: Source, now: Millis): Active | undefined {
    if (source.inFlight.size > 0 || this.chunks.missing > 0) return undefined;
    let worst: Active | undefined;
    let latest = 0;
    for (const active of this.#active.values()) {
      if (active.owner === source.peer || active.helper === source.peer || !this.#has(source, active.chunk)) continue;
      const owner = this.#sources.get(active.owner);
      const helper = active.helper === undefined ? undefined : this.#sources.get(active.helper);
      if (!owner || (helper && !this.#drips(helper, now))) continue;
      const drips = this.#drips(owner, now);
      // One that did not fit comes from one alone, so that it is known whose bytes are wrong; if it comes.
      if (!drips && (source.rate === 0 || this.#avoid.has(active.chunk))) continue;
      const left = (active.blocks - active.got.count) * BLOCK;
      const behind = owner.inFlight.size * BLOCK;
      const soonest = owner.rate > 0 ? Math.max(left, behind) / owner.rate : owner.rto.value;
      // What it gave before says nothing of one that gives nothing now.
      const finish = drips ? Math.max(soonest, now - owner.rateAt) : soonest;
      const mine = source.rate > 0 ? left / source.rate : 0;
      if (finish > latest && finish > 2 * (mine + (source.rto.smoothed ?? 0))) {
        worst = active;
        latest = finish;
      }
    }
    if (worst) worst.helper = source.peer;
    return worst;
  }

  /** Asks a source for what a chunk lacks, as runs; returns how many blocks. */
  #request(source: Source, active: Active, now: Millis, out: DownloadEffect[]): number {
    this.#begins(source, now);
    let asked = 0;
    for (let i = 0; i < active.blocks; ) {
      if (active.got.has(i)) {
        i++;
        continue;
      }
      let count = 0;
      while (i + count < active.blocks && !active.got.has(i + count)) {
        source.inFlight.set(active.first + i + count, { at: now, tries: 1, turn: ++source.turns });
        count++;
      }
      out.push({ kind: 'request', peer: source.peer, block: active.first + i, count });
      asked += count;
      i += count;
    }
    return asked;
  }

  /** A source is asked for something: if it had nothing to do, its time begins now. */
  #begins(source: Source, now: Millis): void {
    if (source.inFlight.size > 0) return;
    source.heard = now;
    source.rateAt = now;
    source.rateBytes = 0;
  }

  /** When a source counts as silent: a time-out after it was last heard, or last asked. */
  #silentAt(source: Source): Millis | undefined {
    if (source.stalled) return source.probe.at;
    for (const { at } of source.inFlight.values()) return Math.max(at, source.heard) + source.rto.value;
    return undefined;
  }

  /** A source answers in the order of asking: a block that a later one overtook was lost, once it is old enough too. */
  #lostAt(source: Source): Millis | undefined {
    for (const { at, turn } of source.inFlight.values()) {
      return turn < source.cameTurn ? at + source.rto.value : undefined;
    }
    return undefined;
  }

  #deadline(): Millis | undefined {
    let soonest = this.#idleAt === undefined ? undefined : this.#idleAt + HUNGER;
    for (const source of this.#sources.values()) {
      for (const due of [this.#silentAt(source), this.#lostAt(source)]) {
        if (due !== undefined && (soonest === undefined || due < soonest)) soonest = due;
      }
    }
    return soonest;
  }

  #late(now: Millis, out: DownloadEffect[]): void {
    if (this.#idleAt !== undefined && now >= this.#idleAt + HUNGER) {
      this.#isHungry = true;
      this.#idleAt = undefined;
      this.#news++;
    }
    for (const source of this.#sources.values()) {
      const silent = this.#silentAt(source);
      const lost = this.#lostAt(source);
      if (silent !== undefined && silent <= now) this.#silent(source, now, out);
      else if (lost !== undefined && lost <= now) this.#again(source, now, out);
    }
  }

  /** Asks again for blocks. */
  #again(source: Source, now: Millis, out: DownloadEffect[], all = false): void {
    for (const [block, asked] of [...source.inFlight]) {
      const isLost = asked.turn < source.cameTurn && asked.at + source.rto.value <= now;
      if (!all && !isLost) break;
      // Put at the end, so that the map stays in the order of asking.
      source.inFlight.delete(block);
      source.inFlight.set(block, { at: now, tries: asked.tries + 1, turn: ++source.turns });
      out.push({ kind: 'request', peer: source.peer, block, count: 1 });
    }
  }

  /**
   * Nothing came for a whole time-out. Where there are others, they take over what it held, and it is asked for one
   * block now and then, with back-off, until anything comes; where there are none, it is asked for all again.
   */
  #silent(source: Source, now: Millis, out: DownloadEffect[]): void {
    source.rto.backOff();
    source.heard = now;
    if (!source.stalled) {
      const others = [...this.#sources.values()].some((s) => s !== source && !s.stalled);
      if (!others) {
        this.#again(source, now, out, true);
        return;
      }
      const [block] = source.inFlight.keys();
      this.#giveBack(source, out);
      source.stalled = true;
      this.#news++;
      source.probe.block = block;
    }
    source.probe.at = now + source.rto.value;
    out.push({ kind: 'request', peer: source.peer, block: source.probe.block, count: 1 });
  }
}
