/**
 * Fetching one file of more than one block: the driver of a Download.
 *
 * Owns the partial file, the requests open for it and the bytes of unfinished chunks. Always true: bytes reach the disk
 * only after their chunk fitted its hash; the file takes its name only when every chunk did. Called by the fetch.
 */
import type { PeerName } from '../api.js';
import { Bits } from '../bits.js';
import { type Code, HearsayError } from '../errors.js';
import { blake3 } from '../hash.js';
import type { PeerId } from '../ids.js';
import { ASSEMBLY_MAX, CHUNKS_MAX, MET_MAX, PROMISED_MAX, SOURCES_MAX } from '../limits.js';
import type { Link } from '../net/link.js';
import { copyAlike, copyChunks } from '../share/copy.js';
import { Partial } from '../share/partial.js';
import type { Folder } from '../share/place-folder.js';
import { chunkCount, chunkLength, chunkSizeOf, contentId } from '../transfer/content.js';
import { Download, type DownloadEffect, type DownloadEvent } from '../transfer/download.js';
import type { Message, MessageOf } from '../wire/table.js';
import { Alarm } from './alarm.js';
import { Assembly } from './assembly.js';
import type { FetchContext, Onward } from './context.js';
import { Leaves } from './leave.js';
import type { Limiter } from './limiter.js';
import { ManifestPages } from './manifest.js';
import type { Offered } from './offered.js';
import { type Answer, errorOf } from './requests.js';
import { Told } from './told.js';
import { Turns } from './turns.js';

export interface LargeJob {
  /** Path on the wire, as its sources offer it. */
  path: string;
  size: number;
  mtime: number;
  executable: boolean;
  /** Content id, or null while no source knows it. */
  id: string | null;
  sources: PeerId[];
  /** Where only some peers are to be asked: these. */
  only: Set<PeerId> | undefined;
  /** Where it is to land: a `Spot`'s folder and name. */
  folder: Folder;
  name: string;
  /** Files of this machine that may have some of its chunks: an older version, the same content under another name. */
  seeds: string[];
  /** Files that may be anything, but are as long. */
  alike?: () => Promise<string[]>;
  /** The manifest, where this peer has it already. */
  manifest: Uint8Array | undefined;
  overwrite: boolean;
  sync: boolean;
  /** Give up when nothing arrives for so many ms. */
  timeout: number;
  /** A limit of its own, beside that on all that is fetched. */
  limiter?: Limiter | undefined;
  /**
   * For how long it goes on although nobody who is connected has what is lacking, ms: others that receive it may come by it.
   * Left out: until no source is left.
   */
  patience?: number | undefined;
  /** Whether a chunk of a source is rather left to others, who will have it to give soon. */
  yields?: ((source: PeerId, chunk: number) => boolean) | undefined;
  signal: AbortSignal;
}

export interface LargeEvents {
  progress(verified: number, sources: number): void;
  chunk(chunk: number, chunks: number, bytes: number, source: PeerName): void;
  dropped(source: PeerName, code: Code, message: string): void;
}

export interface LargeResult {
  file: string;
  id: string;
  mtime: number;
  /** Of its chunks. */
  hashes: Uint8Array;
  received: number;
  sources: (PeerName & { bytes: number })[];
}

interface Source {
  peer: PeerId;
  link: Link;
  number: number;
  told: Told;
  /** Hashes as they come, page by page. */
  pages: ManifestPages;
  manifest: MessageOf<'M'> | undefined;
  /** Chunks that it said to ask it for, before it was asked for any. */
  promised: number[] | undefined;
  using: boolean;
  /** When it last gave something that was kept, or was asked first. */
  usefulAt: number;
  ended: ((id: string | null) => void) | undefined;
}

/** How often a source that broke off is tried again, and after how long at first, ms. */
const RETRIES = 4;
const RETRY_MS = 500;
/** The same of one that only receives, and mostly has come to its end. */
const FELLOW_RETRIES = 1;
/** A block that comes slowly is waited for so many time-outs at most: less than 1 kB/s with the usual 30 s. */
const SLOW_MOST = 10;
/** A source that gives nothing for so long makes room for one that waits, where all places are taken, ms. */
const USELESS_MS = 5000;
/** How long the last word of a source is waited for where it is not needed, ms. */
const LAST_WORD_MS = 2000;

/** Fetches under way, which share what may be assembled at a time. */
let running = 0;

export class LargeFetch {
  readonly #job: LargeJob;
  readonly #context: FetchContext;
  readonly #events: LargeEvents;
  /** Whether all who were known to offer it at the beginning do so to some only. */
  readonly #isAside: boolean;
  readonly #sources = new Map<PeerId, Source>();
  /** Peers being connected to. */
  readonly #coming = new Set<PeerId>();
  readonly #tries = new Map<PeerId, number>();
  readonly #dropped = new Set<PeerId>();
  readonly #given = new Map<PeerId, number>();
  /** Peers that receive the same and offer nothing: that they end, or have not begun, is no news to anyone. */
  readonly #fellows = new Set<PeerId>();
  /** Those of them that gave nothing when they were asked: until it is told again that they have something. */
  readonly #resting = new Set<PeerId>();
  readonly #assembly: Assembly;
  readonly #stops: (() => void)[] = [];
  #partial!: Partial;
  #download: Download | undefined;
  /** Hashes of all chunks; before there is an id, those that the source told with each chunk. */
  #hashes: Uint8Array;
  #hasManifest = false;
  #id: string | null;
  #mtime = 0;
  #executable = false;
  #received = 0;
  /** When something of use came, and when a part of something did. */
  #lastArrival = performance.now();
  #lastHeard = 0;
  readonly #turns = new Turns<DownloadEvent>((event) => {
    for (const effect of this.#download?.handle(event, performance.now()) ?? []) this.#carryOut(effect);
  });
  readonly #leaves: Leaves;
  #block: { data: Uint8Array; hash: Uint8Array; source: Source } | undefined;
  readonly #alarm = new Alarm(() => this.#dispatch({ kind: 'timer' }));
  /** Chunks being written. */
  readonly #writes = new Set<Promise<void>>();
  #lastError: HearsayError | undefined;
  #onward: Onward | undefined;
  #settle!: { resolve(): void; reject(error: HearsayError): void };
  #over = false;

  constructor(job: LargeJob, context: FetchContext, events: LargeEvents) {
    this.#job = job;
    this.#context = context;
    this.#events = events;
    this.#id = job.id;
    this.#isAside = context.isAside(job.path, job.sources);
    const chunks = chunkCount(job.size);
    if (chunks > CHUNKS_MAX)
      throw new HearsayError('limit', `${job.path} is said to have more than ${CHUNKS_MAX} chunks`);
    this.#assembly = new Assembly(chunkSizeOf(job.size));
    const limiters = [...(job.limiter ? [job.limiter] : []), context.limiter];
    this.#leaves = new Leaves(limiters, () => this.#dispatch({ kind: 'timer' }));
    this.#hashes = new Uint8Array(chunks * 32);
  }

  /** Fetches. @throws HearsayError; what was verified is kept on the disk for the next time */
  async run(): Promise<LargeResult> {
    const { folder, name, path, size, seeds } = this.#job;
    const chunkSize = chunkSizeOf(size);
    const seed = seeds.length > 0 ? { seed: seeds[0] } : {};
    this.#partial = await Partial.open({ folder, name, path, size, id: this.#id, chunkSize, ...seed });
    running++;
    try {
      await this.#chunks();
      let whole = await this.#whole();
      if (!whole) {
        // The parts fitted what they were said to be, but not the whole: once more from the beginning.
        await this.#again();
        whole = await this.#whole();
        if (!whole) throw new HearsayError('wrong-content', 'the whole does not fit its content id, twice');
      }
      const { overwrite, sync } = this.#job;
      const file = await this.#partial.finish({ mtime: this.#mtime, executable: this.#executable, overwrite, sync });
      this.#thank();
      return {
        file,
        id: this.#id as string,
        mtime: this.#mtime,
        hashes: this.#hashes,
        received: this.#received,
        sources: this.#giving(),
      };
    } catch (thrown) {
      await this.#partial.keep().catch(() => {});
      throw thrown;
    } finally {
      running--;
      this.#stop();
    }
  }

  #giving(): (PeerName & { bytes: number })[] {
    return [...this.#given].map(([peer, bytes]) => ({ ...this.#context.nameOf(peer), bytes }));
  }

  /** Resolves when every chunk is verified and written. */
  #chunks(): Promise<void> {
    const { signal } = this.#job;
    return new Promise<void>((resolve, reject) => {
      this.#settle = {
        resolve: () => resolve(),
        reject: (error) => {
          this.#over = true;
          reject(error);
        },
      };
      const abort = () => this.#settle.reject(interrupted());
      if (signal.aborted) return abort();
      signal.addEventListener('abort', abort);
      this.#stops.push(() => signal.removeEventListener('abort', abort));
      const watch = setInterval(() => this.#watch(), 500);
      this.#stops.push(() => clearInterval(watch));
      if (this.#id === null) this.#waitForId();
      const { manifest, mtime, executable } = this.#job;
      this.#mtime = mtime;
      this.#executable = executable;
      if (manifest) {
        this.#hashes = manifest;
        this.#hasManifest = true;
        this.#begin().catch((thrown) => this.#settle.reject(thrown));
      }
      for (const peer of this.#job.sources) this.#add(peer);
      if (this.#id !== null) this.#seek(this.#id);
      this.#starved();
    });
  }

  /** Who offers the content, under whatever name. What is for some only is asked of no one but those who told of it. */
  #holders(): PeerId[] {
    return this.#id === null || this.#isAside ? [] : this.#context.holders(this.#id);
  }

  /** Whoever has the same content is a source, whatever it is called there. */
  #seek(id: string): void {
    if (this.#isAside) return;
    for (const peer of this.#holders()) this.#add(peer);
    const found = (peer: PeerId, receives: boolean) => {
      if (receives && !this.#isOffered(peer)) this.#fellows.add(peer);
      this.#resting.delete(peer);
      if (receives && this.#download) this.#download.swarm = true;
      this.#add(peer);
    };
    this.#stops.push(this.#context.seek(id, found));
  }

  /** Before there is an id only one source can give the file; once it is known, all can. */
  #waitForId(): void {
    const [peer] = this.#job.sources;
    const stop = this.#context.whenHashed(peer, this.#job.path, (id) => {
      if (this.#over || this.#id !== null || this.#download?.chunks.complete) return;
      this.#upgrade(id);
    });
    this.#stops.push(stop);
  }

  /** The id became known in the middle: ask for the manifest, check what is here against it, and go on from all sources. */
  #upgrade(id: string): void {
    this.#id = id;
    for (const source of [...this.#sources.values()]) this.#leave(source, true);
    this.#download = undefined;
    this.#hasManifest = false;
    this.#turns.clear();
    this.#alarm.stop();
    this.#assembly.clear();
    this.#tries.clear();
    for (const peer of this.#job.sources) this.#add(peer);
    this.#seek(id);
  }

  /** Connects to a source and asks it for the file. */
  #add(peer: PeerId, told?: () => Promise<Link | undefined>): void {
    if (this.#job.only && !this.#job.only.has(peer)) return;
    if (this.#over || this.#sources.has(peer) || this.#coming.has(peer)) return;
    if (this.#dropped.has(peer) || this.#resting.has(peer)) return;
    if (this.#sources.size + this.#coming.size >= SOURCES_MAX) return;
    this.#coming.add(peer);
    (told ? told() : this.#context.connect(peer))
      .then((link) => {
        this.#coming.delete(peer);
        if (this.#over || !link || this.#sources.has(peer)) return;
        this.#open(link);
      })
      .catch((thrown) => {
        this.#coming.delete(peer);
        this.#lost(peer, thrown instanceof HearsayError ? thrown : new HearsayError('unreachable', String(thrown)));
      });
  }

  #open(link: Link): void {
    const { path } = this.#job;
    const source: Source = {
      peer: link.peer,
      link,
      number: 0,
      told: new Told(
        (done) => link.send({ type: 'A', number: source.number, done }),
        (range) => link.send({ type: 'R', number: source.number, ...range }),
      ),
      pages: new ManifestPages(chunkCount(this.#job.size)),
      manifest: undefined,
      promised: undefined,
      using: false,
      usefulAt: performance.now(),
      ended: undefined,
    };
    source.number = this.#context.requests.open(link, {
      answer: (message) => this.#answer(source, message),
      closed: (why) => {
        source.ended?.(null);
        source.told.drop();
        if (this.#sources.get(source.peer) !== source) return;
        this.#sources.delete(source.peer);
        this.#dispatch({ kind: 'source-gone', peer: source.peer });
        this.#lost(source.peer, why);
      },
      heard: () => {
        this.#lastHeard = performance.now();
        if (source.using) this.#dispatch({ kind: 'heard', peer: source.peer });
      },
    });
    this.#sources.set(link.peer, source);
    // What it is called is told also when it has left.
    this.#context.nameOf(link.peer);
    const first = this.#hasManifest ? chunkCount(this.#job.size) : 0;
    link.send({ type: 'G', number: source.number, id: this.#id, path, first });
  }

  #answer(source: Source, message: Answer): void {
    if (this.#over) return;
    switch (message.type) {
      case 'M':
        this.#manifestPage(source, message);
        return;
      case 'T':
        this.#transfer(source, message);
        return;
      case 'K':
        if (message.chunks.length === 0) this.#lastHeard = performance.now();
        this.#dispatch({ kind: 'source-has', peer: source.peer, chunks: message.chunks });
        return;
      case 'g':
        this.#guided(source, message);
        return;
      case 'W':
        this.#others(message);
        return;
      case 'E':
        if (message.code === '') source.ended?.(message.id);
        else {
          source.ended?.(null);
          this.#leave(source, false);
          this.#refused(source.peer, errorOf(message));
        }
    }
  }

  /** It gives others other chunks. */
  #guided(source: Source, { chunks, free }: MessageOf<'g'>): void {
    if (source.using) this.#dispatch({ kind: 'guided', peer: source.peer, chunks, free });
    else source.promised = free ? undefined : [...(source.promised ?? []), ...chunks].slice(0, PROMISED_MAX);
  }

  /** Others receive the same: they may have chunks already. The smaller id dials, so that both do not. */
  #others({ peers }: MessageOf<'W'>): void {
    if (this.#id === null) return;
    if (this.#download) this.#download.swarm = true;
    for (const neighbour of peers) {
      const key = Buffer.from(neighbour.sig).toString('base64');
      if (this.#met.has(key) || this.#met.size >= MET_MAX || this.#meeting >= SOURCES_MAX) continue;
      this.#met.add(key);
      this.#meeting++;
      this.#context
        .meet(neighbour)
        .then((link) => {
          if (!link) return;
          if (!this.#isOffered(link.peer)) this.#fellows.add(link.peer);
          this.#add(link.peer, async () => link);
        })
        .catch(() => {})
        .finally(() => this.#meeting--);
    }
  }
  /** Those told of that were tried, by their signatures, and how many are being tried. */
  readonly #met = new Set<string>();
  #meeting = 0;

  /** Whether a peer offers this content by itself, and does not merely receive it now. */
  #isOffered(peer: PeerId): boolean {
    return this.#job.sources.includes(peer) || this.#holders().includes(peer);
  }

  #manifestPage(source: Source, page: MessageOf<'M'>): void {
    const { size } = this.#job;
    const count = chunkCount(size);
    if (page.size !== size || page.chunk !== chunkSizeOf(size) || page.id !== this.#id) {
      // The file is not what it was offered as.
      const id = this.#id === null && page.id !== null && page.size === size ? page.id : undefined;
      if (id) {
        this.#upgrade(id);
        return;
      }
      this.#leave(source, true);
      this.#refused(source.peer, new HearsayError('changed', 'it is not what was offered'));
      return;
    }
    if (!source.manifest) {
      source.manifest = page;
      // One who merely receives it too has no say in what is not in its bytes.
      if (this.#job.sources.includes(source.peer)) {
        this.#mtime = page.mtime;
        this.#executable = page.executable;
      }
    }
    if (this.#id !== null && !this.#hasManifest) {
      const state = source.pages.add(page);
      if (state === 'unfit') {
        this.#lie(source, 'a manifest that does not fit the size');
        return;
      }
      this.#lastArrival = performance.now();
      if (state === 'more') return;
      if (contentId(size, source.pages.hashes) !== this.#id) {
        this.#lie(source, 'a manifest that does not fit the content id');
        return;
      }
      this.#hashes = source.pages.hashes;
      this.#hasManifest = true;
      this.#begin().catch((thrown) => this.#settle.reject(thrown));
      return;
    }
    if (this.#download) this.#use(source);
    else if (this.#id === null) {
      this.#startDownload(new Bits(count));
      this.#use(source);
    }
  }

  /** With a manifest that fits, what an earlier attempt left is checked, and the rest asked for. */
  async #begin(): Promise<void> {
    // What is still being written, of before there was a manifest, is checked with the rest.
    await Promise.all(this.#writes);
    await this.#partial.verify(this.#hashes);
    for (const seed of this.#job.seeds) {
      if (this.#over || this.#partial.have.isFull) break;
      await copyChunks(seed, this.#partial, this.#hashes);
    }
    // Where nothing of it is known to be here, what only looks like it is worth a glance.
    const alike = this.#partial.have.count === 0 ? ((await this.#job.alike?.()) ?? []) : [];
    for (const file of alike) {
      if (this.#over || this.#partial.have.isFull) break;
      await copyAlike(file, this.#partial, this.#hashes);
    }
    if (this.#over || this.#download) return;
    const { have } = this.#partial;
    this.#lastArrival = performance.now();
    this.#startDownload(have);
    for (const source of this.#sources.values()) if (source.manifest) this.#use(source);
  }

  #startDownload(have: Bits): void {
    const assembly = () => ASSEMBLY_MAX / running;
    this.#download = new Download(this.#job.size, this.#context.random, have, assembly, this.#leaves);
    this.#download.yields = this.#job.yields;
    if (this.#hasManifest && this.#id !== null) {
      this.#onward ??= this.#context.serveOnward(this.#id, {
        source: this.#asOffered(this.#id),
        manifest: this.#hashes,
        have: this.#download.chunks.have,
        hasFellow: (peer, chunk) => this.#download?.hasPart(peer, chunk) ?? false,
      });
    }
    this.#tellProgress();
    this.#dispatch({ kind: 'timer' });
    this.#starved();
  }

  #asOffered(id: string): Offered {
    const { path, size } = this.#job;
    const partial = this.#partial;
    return {
      path,
      size,
      id,
      mtime: this.#mtime,
      executable: this.#executable,
      readChunk: (chunk, into) => partial.read(chunk, into),
      close: async () => {},
    };
  }

  #use(source: Source): void {
    if (source.using || !source.manifest) return;
    source.using = true;
    const { peer, promised } = source;
    const { have } = source.manifest;
    this.#dispatch({ kind: 'source', peer, have: have.length > 0 ? have : undefined, promised });
    this.#tellProgress();
  }

  #transfer(source: Source, message: MessageOf<'T'>): void {
    this.#received += message.data.length;
    const download = this.#download;
    if (!download || !source.using) return;
    this.#block = { data: message.data, hash: message.hash, source };
    this.#dispatch({ kind: 'block', peer: source.peer, block: message.block, bytes: message.data.length });
    this.#block = undefined;
  }

  /** Hands an event to the core and carries out what it says, one event after another. */
  #dispatch(event: DownloadEvent): void {
    if (!this.#download) return;
    this.#turns.take(event);
  }

  #carryOut(effect: DownloadEffect): void {
    switch (effect.kind) {
      case 'request':
        this.#asked(effect.peer, effect.count);
        this.#sources.get(effect.peer)?.told.asked(effect.block, effect.count);
        return;
      case 'ack':
        this.#sources.get(effect.peer)?.told.arrived(effect.block);
        return;
      case 'bad':
        this.#send(effect.peer, (number) => ({ type: 'B', number, chunk: effect.chunk }));
        return;
      case 'spare':
        this.#send(effect.peer, (number) => ({ type: 's', number, chunks: effect.chunks }));
        return;
      case 'keep':
        this.#keep(effect.block);
        return;
      case 'check':
        this.#check(effect.chunk, effect.from);
        return;
      case 'forget':
        this.#assembly.release(effect.chunk);
        return;
      case 'drop': {
        const source = this.#sources.get(effect.peer);
        if (source) this.#lie(source, 'chunks that do not fit their hashes');
        return;
      }
      case 'complete':
        this.#settle.resolve();
        return;
      case 'timer':
        this.#alarm.set(effect.at);
        return;
    }
  }

  #send(peer: PeerId, message: (number: number) => Message): void {
    const source = this.#sources.get(peer);
    source?.link.send(message(source.number));
  }

  /** Under a limit a source may have had nothing to do: its time to be useful begins when it is asked. */
  #asked(peer: PeerId, blocks: number): void {
    const source = this.#sources.get(peer);
    if (!source || this.#leaves.isFree) return;
    if ((this.#download?.awaited(peer) ?? 0) <= blocks) source.usefulAt = performance.now();
  }

  #keep(block: number): void {
    const download = this.#download;
    if (!download || !this.#block) return;
    const { chunk, offset } = download.placeOf(block);
    const { data, hash, source } = this.#block;
    this.#lastArrival = performance.now();
    source.usefulAt = this.#lastArrival;
    this.#assembly.keep(chunk, offset, data);
    // The last block of a chunk tells its hash, where there is no manifest that does.
    if (!this.#hasManifest && hash.length === 32) this.#hashes.set(hash, chunk * 32);
  }

  #check(chunk: number, from: PeerId): void {
    const length = chunkLength(this.#job.size, chunk);
    const data = this.#assembly.bytes(chunk, length);
    const download = this.#download;
    if (!data || !download) return;
    const wanted = this.#hashes.subarray(chunk * 32, chunk * 32 + 32);
    const hash = blake3(data);
    if (!hash.equals(wanted)) {
      this.#assembly.release(chunk);
      this.#turns.take({ kind: 'checked', chunk, ok: false });
      return;
    }
    const write = this.#partial
      .write(chunk, data, hash)
      .then(() => {
        this.#assembly.release(chunk);
        if (this.#over || download !== this.#download) return;
        this.#given.set(from, (this.#given.get(from) ?? 0) + length);
        this.#dispatch({ kind: 'checked', chunk, ok: true });
        this.#onward?.have([chunk]);
        this.#events.chunk(chunk, download.chunks.count, length, this.#context.nameOf(from));
        this.#tellProgress();
      })
      .catch((thrown) => this.#settle.reject(thrown))
      .finally(() => this.#writes.delete(write));
    this.#writes.add(write);
  }

  #tellProgress(): void {
    const { size } = this.#job;
    const download = this.#download;
    if (!download) return;
    const { chunks } = download;
    // Every chunk but the last is a full one.
    let verified = chunks.have.count * download.chunkSize;
    if (chunks.count > 0 && chunks.have.has(chunks.count - 1)) {
      verified -= download.chunkSize - chunkLength(size, chunks.count - 1);
    }
    this.#events.progress(verified, download.working);
  }

  /** A source that lied: used no more, and named. */
  #lie(source: Source, what: string): void {
    this.#leave(source, true);
    this.#dropped.add(source.peer);
    const error = new HearsayError('wrong-content', `${this.#context.nameOf(source.peer).name} sent ${what}`);
    this.#events.dropped(this.#context.nameOf(source.peer), 'wrong-content', error.message);
    this.#lastError = error;
    this.#starved();
  }

  /** A source that says it cannot: used no more. */
  #refused(peer: PeerId, error: HearsayError): void {
    if (this.#fellows.has(peer) && error.code !== 'wrong-content') {
      this.#resting.add(peer);
      this.#starved();
      return;
    }
    this.#dropped.add(peer);
    this.#lastError = error;
    this.#events.dropped(this.#context.nameOf(peer), error.code, error.message);
    this.#starved();
  }

  /** A source that broke off: tried again a few times. */
  #lost(peer: PeerId, why: HearsayError): void {
    if (this.#over) return;
    const tries = (this.#tries.get(peer) ?? 0) + 1;
    const isFellow = this.#fellows.has(peer);
    // Two who were told of each other may dial at once, and one connection takes the place of the other.
    if (isFellow && (tries > FELLOW_RETRIES || !this.#context.isHere(peer))) {
      this.#refused(peer, why);
      return;
    }
    this.#tries.set(peer, tries);
    if (isFellow) {
      this.#later(peer, tries);
      return;
    }
    this.#lastError = new HearsayError(why.code, `${this.#context.nameOf(peer).name}: ${why.message}`);
    // One that said goodbye is not waited for.
    const left = !this.#context.isHere(peer);
    if (left) this.#lastError = new HearsayError('no-peer', `${this.#context.nameOf(peer).name} has left`);
    if (tries > RETRIES || left) {
      this.#dropped.add(peer);
      this.#starved();
      return;
    }
    this.#later(peer, tries);
    this.#tellProgress();
  }

  /** Tries a source once more. @param tries how often it broke off */
  #later(peer: PeerId, tries: number): void {
    this.#coming.add(peer);
    const again = () => {
      this.#coming.delete(peer);
      this.#add(peer);
    };
    const timer = setTimeout(again, RETRY_MS * 2 ** (tries - 1));
    this.#stops.push(() => clearTimeout(timer));
  }

  /** Ends a request; the source is told where it does not know. */
  #leave(source: Source, tell: boolean): void {
    if (this.#sources.get(source.peer) === source) this.#sources.delete(source.peer);
    this.#context.requests.close(source.link, source.number);
    source.told.drop();
    if (tell) source.link.send({ type: 'X', number: source.number });
    if (source.using) this.#dispatch({ kind: 'source-gone', peer: source.peer });
    this.#tellProgress();
  }

  /** Nobody is left who could give the rest. */
  #starved(): void {
    if (this.#over || this.#sources.size > 0 || this.#coming.size > 0 || this.#download?.chunks.complete) return;
    // With the manifest here, the disk may still give all.
    if (this.#hasManifest && !this.#download) return;
    const fresh = this.#holders().filter((p) => !this.#dropped.has(p) && (this.#job.only?.has(p) ?? true));
    if (fresh.length > 0) {
      for (const peer of fresh) this.#add(peer);
      return;
    }
    if (this.#job.patience === undefined) this.#settle.reject(this.#nobody());
  }

  #nobody(): HearsayError {
    return this.#lastError ?? new HearsayError('no-peer', 'nobody has it any more');
  }

  /** Since when nobody who is connected has some of what is lacking. */
  #orphanedAt: number | undefined;

  /** Whether what is lacking has been nobody's for longer than it is waited for. */
  #isOrphaned(now: number): boolean {
    const { patience } = this.#job;
    if (patience === undefined) return false;
    if (this.#download ? !this.#download.isOrphaned : this.#sources.size > 0) this.#orphanedAt = undefined;
    else this.#orphanedAt ??= now;
    return this.#orphanedAt !== undefined && now - this.#orphanedAt >= patience;
  }

  /** Looks for new holders, and gives up when nothing has come for too long. */
  #watch(): void {
    if (this.#over) return;
    this.#rotate();
    for (const peer of this.#holders()) this.#add(peer);
    // How many sources there are changes without anything coming.
    this.#tellProgress();
    const now = performance.now();
    const { timeout } = this.#job;
    if (this.#isOrphaned(now)) {
      this.#settle.reject(this.#nobody());
      return;
    }
    // What this side holds up itself is nobody's silence.
    if (this.#leaves.isWaiting && this.#download?.awaited() === 0) this.#lastArrival = now;
    // Bytes that come but never make up a block do not keep it waiting for ever.
    const isSlow = now - this.#lastHeard < timeout && now - this.#lastArrival < SLOW_MOST * timeout;
    if (now - this.#lastArrival < timeout || isSlow) return;
    const seconds = Math.round(timeout / 1000);
    this.#settle.reject(new HearsayError('timeout', `nothing arrived for ${seconds} s`));
  }

  /**
   * Where all places are taken and others wait, those that have given nothing for a while make room, so that sources that only sit
   * there, however many, keep no honest one out. They may come again.
   */
  #rotate(): void {
    if (this.#id === null || this.#sources.size + this.#coming.size < SOURCES_MAX) return;
    const before = performance.now() - USELESS_MS;
    const isAsked = (peer: PeerId) => this.#leaves.isFree || (this.#download?.awaited(peer) ?? 0) > 0;
    const useless = [...this.#sources.values()].filter(({ peer, usefulAt }) => usefulAt < before && isAsked(peer));
    if (useless.length === 0) return;
    const waiting = this.#holders()
      .filter((peer) => !this.#sources.has(peer) && !this.#coming.has(peer) && !this.#dropped.has(peer))
      .filter((peer) => this.#job.only?.has(peer) ?? true);
    for (const source of useless.slice(0, waiting.length)) {
      this.#leave(source, true);
      const [peer] = waiting.splice(Math.floor(this.#context.random() * waiting.length), 1);
      this.#add(peer);
    }
  }

  /**
   * Asks the sources for the id of the whole, and holds it against what is here.
   * @returns false where the whole does not fit
   * @throws HearsayError `timeout`, `interrupted` or why the source is gone, where its word was needed
   */
  async #whole(): Promise<boolean> {
    const mine = contentId(this.#job.size, this.#hashes);
    const known = this.#hasManifest && mine === this.#id;
    const ends = [...this.#sources.values()].map(
      (source) =>
        new Promise<string | null>((resolve) => {
          source.ended = resolve;
          const timer = setTimeout(() => resolve(null), known ? LAST_WORD_MS : this.#job.timeout);
          this.#stops.push(() => clearTimeout(timer));
          source.told.flush();
          source.link.send({ type: 'R', number: source.number, block: 0, count: 0 });
        }),
    );
    if (ends.length === 0 && known) return true;
    // Where the manifest proved every chunk, the word of the end adds nothing; else it is the only proof of the whole.
    if (known) {
      await Promise.race(ends);
      return true;
    }
    const said = await new Promise<string | null>((resolve, reject) => {
      this.#settle = { resolve: () => {}, reject };
      if (this.#job.signal.aborted) reject(interrupted());
      void Promise.all(ends).then((ids) => resolve(ids.find((id) => id !== null) ?? null));
    });
    if (said === null)
      throw this.#lastError ?? new HearsayError('timeout', 'its source did not say whether it is whole');
    this.#id = said;
    return said === mine;
  }

  #again(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      this.#over = false;
      this.#lastArrival = performance.now();
      const download = this.#download;
      if (!download) return reject(new HearsayError('wrong-content', 'the whole does not fit'));
      for (const effect of download.restart(performance.now())) this.#carryOut(effect);
    });
  }

  /** The last acknowledgement: it has arrived, and fits. */
  #thank(): void {
    for (const { link, number, told } of this.#sources.values()) {
      told.flush();
      link.send({ type: 'A', number, done: [] });
      this.#context.requests.close(link, number);
    }
    this.#sources.clear();
  }

  #stop(): void {
    this.#over = true;
    this.#alarm.stop();
    this.#leaves.end();
    for (const stop of this.#stops) stop();
    for (const { link, number, told } of this.#sources.values()) {
      told.drop();
      this.#context.requests.close(link, number);
      link.send({ type: 'X', number });
    }
    this.#sources.clear();
    this.#onward?.end();
    this.#assembly.clear();
  }
}

function interrupted(): HearsayError {
  return new HearsayError('interrupted', 'stopped; what is verified is kept');
}
