/**
 * A `get`: from WHAT to files in their places.
 *
 * Owns the events of one get. Always true: every file asked for ends in one `done` or `error`, and `end` comes last.
 * Called by the peer.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { GetEvent, GetQuery, PeerName } from '../api.js';
import { asHearsayError, HearsayError } from '../errors.js';
import type { PeerId } from '../ids.js';
import { CHUNKS_MAX, SMALL_MAX } from '../limits.js';
import { printable } from '../names.js';
import { Beside } from '../share/beside.js';
import { copySmall } from '../share/copy.js';
import { lookAtDest, resolveTargets, type Target } from '../share/destination.js';
import { writeSmall } from '../share/partial-small.js';
import { Place, type Spot } from '../share/place.js';
import { compareExisting, isFree } from '../share/place-existing.js';
import type { Folder } from '../share/place-folder.js';
import { collisions } from '../share/place-names.js';
import { checkSpace, takenByPartial } from '../share/place-space.js';
import { MANY, SmallWriter } from '../share/small-writer.js';
import type { Written } from '../share/written.js';
import { chunkCount, idOfSmall } from '../transfer/content.js';
import type { FetchContext } from './context.js';
import { discard } from './discard.js';
import { LargeFetch } from './large.js';
import { Limiter } from './limiter.js';
import type { Piece } from './plan.js';
import { SmallFetch } from './small.js';
import type { Stream } from './stream.js';

/** What a get needs beyond what a single fetch needs. */
export interface GetContext extends FetchContext {
  /**
   * What the WHATs stand for.
   * @param failed told of each that is not found or ambiguous; the others go on
   * @throws HearsayError `no-peer`, `ambiguous` for the peers that were named
   */
  resolve(query: GetQuery, signal: AbortSignal, failed: (error: HearsayError) => void): Promise<Piece[]>;
  /**
   * Looks anew who has what a get resolved before, and fills it in.
   * @param names of those who offered it then
   * @returns of each piece, in their order, why nobody has it: `no-peer` where that may pass, `changed` where it will not
   */
  refind(
    query: GetQuery,
    pieces: readonly Piece[],
    names: ReadonlyMap<PeerId, string>,
    signal: AbortSignal,
  ): Promise<(HearsayError | undefined)[]>;
  /** Has sources hash these files and fills in their ids. */
  hashFirst(pieces: Piece[], signal: AbortSignal): Promise<void>;
  /** Whether what a peer offers under this path is for some only, and none of these offers it to all. */
  isAside(path: string, peers: readonly PeerId[]): boolean;
  /** The name of the own share, for all to read, in which a folder lies. */
  openShareAt(folder: string): string | undefined;
  /** A large file is in its place, every chunk verified. @param aside whether it was shared with some only */
  landed?(written: Written, content: { id: string; hashes: Uint8Array }, aside: boolean): Promise<void>;
  /** A file of this peer's own share with this content, and its manifest. */
  own(id: string): { file: string; manifest: Uint8Array | undefined } | undefined;
  /**
   * Where these contents landed before, absolute, by their ids. Never fails. Left out where nothing of this machine is to be used but
   * what is shared, so that nobody has a file by its hashes alone.
   */
  fetchedBefore?(ids: ReadonlySet<string>): Promise<ReadonlyMap<string, string[]>>;
}

/** What a get needs of whoever queues and lists it. */
export interface GetHooks {
  /**
   * Waits for a place among what is fetched at a time, a large file each, or all small ones of one get.
   * @returns gives the place back
   * @throws HearsayError `interrupted` where the signal ends the waiting
   */
  place(signal: AbortSignal): Promise<() => void>;
  /** DEST itself, where it was entered already. */
  readonly into?: Folder;
  /** It is known what is to be fetched. */
  planned?(targets: readonly Target<Piece>[]): void;
  /** So many bytes of a large file are here and verified. */
  verified?(target: Target<Piece>, bytes: number): void;
  /** A file or a folder is in its place, or failed. */
  settled?(target: Target<Piece>, error?: HearsayError): void;
}

const PROGRESS_MS = 250;
/** Milliseconds of looking at the disk before the event loop has a turn. */
const SLICE_MS = 5;

/** A file, where it goes, and what it is part of. */
interface Job {
  target: Target<Piece>;
  wanted: Piece;
  spot: Spot;
  began: number;
}

export class Get {
  readonly #query: GetQuery;
  readonly #context: GetContext;
  readonly #out: Pick<Stream<GetEvent>, 'push' | 'end'>;
  readonly #signal: AbortSignal;
  readonly #timeout: number;
  readonly #hooks: GetHooks;
  /** The limit of this get alone. */
  readonly #limiter: Limiter | undefined;
  readonly #beside = new Beside();
  /** Writes the small files. */
  #writer: SmallWriter | undefined;
  /** Where the large ones' contents landed before. */
  #before: ReadonlyMap<string, string[]> = new Map();
  #files = 0;
  #bytes = 0;
  #failed = 0;

  /** @param timeout ms, where the query names none */
  constructor(
    query: GetQuery,
    context: GetContext,
    out: Pick<Stream<GetEvent>, 'push' | 'end'>,
    signal: AbortSignal,
    timeout: number,
    hooks: GetHooks,
  ) {
    this.#query = query;
    this.#context = context;
    this.#out = out;
    this.#signal = signal;
    this.#hooks = hooks;
    this.#timeout = query.timeout === undefined ? timeout : query.timeout * 1000;
    const { limitDown = 0 } = query;
    this.#limiter = limitDown > 0 ? new Limiter(limitDown) : undefined;
  }

  /** Does it all. What stops everything is an `error` without a path. Never throws. */
  async run(): Promise<void> {
    try {
      if (this.#query.discard) {
        for (const gone of await discard(this.#query.what, this.#query.to))
          this.#out.push({ event: 'discarded', ...gone });
      } else {
        const targets = await this.plan((error) => this.#fail(undefined, error));
        this.#hooks.planned?.(targets);
        if (targets.length > 0) await this.fetch(targets);
      }
    } catch (thrown) {
      // A signal throws whatever reason its owner gave it.
      const stopped = new HearsayError('interrupted', 'stopped; what is verified is kept');
      this.#fail(undefined, this.#signal.aborted ? stopped : thrown);
    }
    this.#out.push({ event: 'end', files: this.#files, bytes: this.#bytes, failed: this.#failed });
    this.#out.end();
  }

  /**
   * What is to be fetched, and where each thing goes.
   * @param failed told of each WHAT that is not found or ambiguous; the others go on
   * @throws HearsayError `no-peer`, `ambiguous` for the peers that were named, `conflict`, `in-the-way`
   */
  async plan(failed: (error: HearsayError) => void): Promise<Target<Piece>[]> {
    const pieces = await this.#context.resolve(this.#query, this.#signal, failed);
    return pieces.length > 0 ? resolveTargets(pieces, await lookAtDest(this.#query.to)) : [];
  }

  #fail(target: Target<Piece> | undefined, thrown: unknown): void {
    const error = asHearsayError(thrown);
    const { code, message } = error;
    const path = target?.wanted.path;
    this.#failed++;
    this.#out.push({ event: 'error', ...(path === undefined ? {} : { path }), error: { code, message } });
    if (target) this.#hooks.settled?.(target, error);
  }

  #done(
    job: Job,
    file: string,
    id: string,
    received: number,
    sources: (PeerName & { bytes: number })[],
    already = false,
  ) {
    const { path, size } = job.wanted;
    this.#files++;
    this.#bytes += size;
    const seconds = Math.round(performance.now() - job.began) / 1000;
    const done: GetEvent = { event: 'done', path, file, size, id, seconds, received, sources };
    if (already) done.already = already;
    this.#out.push(done);
    this.#hooks.settled?.(job.target);
  }

  /** Fetches them. @throws HearsayError that stops everything: a full disk, an interruption */
  async fetch(targets: Target<Piece>[]): Promise<void> {
    try {
      await this.#fetch(targets);
    } finally {
      await this.#writer?.end();
      this.#writer = undefined;
    }
  }

  async #fetch(targets: Target<Piece>[]): Promise<void> {
    const began = performance.now();
    const jobs = await this.#spots(targets, began);
    const files = targets.filter(({ wanted }) => !wanted.folder);
    const bytes = files.reduce((sum, { wanted }) => sum + wanted.size, 0);
    this.#out.push({ event: 'start', files: files.length, bytes });
    const wanted = await this.#lacking(jobs);
    if (wanted.length === 0) return;
    await checkSpace(wanted[0].spot.folder.path, await this.#needed(wanted));
    const small = wanted.filter((job) => job.wanted.size <= SMALL_MAX);
    const large = wanted.filter((job) => job.wanted.size > SMALL_MAX);
    await Promise.all([this.#small(small), this.#allLarge(large)]);
  }

  /** Bytes that are still to be written: what earlier attempts have left stands on the disk already. */
  async #needed(jobs: Job[]): Promise<number> {
    let needed = 0;
    for (const { wanted, spot } of jobs) {
      const taken = wanted.size > SMALL_MAX ? await takenByPartial(spot) : 0;
      needed += Math.max(0, wanted.size - taken);
    }
    return needed;
  }

  /** Where each file goes, its folders made; a name that cannot be stored fails that file alone. */
  async #spots(targets: Target<Piece>[], began: number): Promise<Job[]> {
    const jobs: Job[] = [];
    let certain = 0;
    const roots = new Map<string, Target<Piece>[]>();
    for (const target of targets) {
      const same = roots.get(target.root);
      if (same) same.push(target);
      else roots.set(target.root, [target]);
    }
    for (const [root, all] of roots) {
      const place = new Place(root, { base: this.#hooks.into });
      const share = this.#context.openShareAt(root);
      const aside = share && all.find(({ wanted }) => this.#context.isAside(wanted.path, wanted.sources));
      if (aside) {
        const what = `${printable(aside.wanted.path)} was shared with some only`;
        const message = `${what}, and ${root} lies in ${printable(share)}, which others can read too`;
        this.#out.push({ event: 'warning', message });
      }
      const clashes = collisions(
        all.map((t) => t.relative),
        await place.folding(),
      );
      for (const target of all) {
        this.#signal.throwIfAborted();
        const { wanted, relative } = target;
        try {
          const clash = clashes.get(relative);
          if (clash) throw new HearsayError('bad-name', `${wanted.path} ${clash}`);
          // What nobody can have fails by itself, before the room for all is looked for.
          if (chunkCount(wanted.size) > CHUNKS_MAX) {
            throw new HearsayError('limit', `${wanted.path} is said to have ${wanted.size} bytes`);
          }
          if (wanted.folder) {
            await place.folder(relative);
            this.#hooks.settled?.(target);
          } else {
            const spot = place.known(relative) ?? (await place.spot(relative));
            jobs.push({ target, wanted, spot, began });
            // It comes, whatever else: where there are many such, who writes them begins while the rest is looked at.
            const isSmall = wanted.size > 0 && wanted.size <= SMALL_MAX && !wanted.here;
            if (isSmall && spot.folder.isNew && ++certain === MANY) this.#writer = new SmallWriter(MANY);
          }
        } catch (thrown) {
          this.#fail(target, thrown);
        }
      }
    }
    return jobs;
  }

  /** Of all files those that are not here yet; an identical one is done, another is left alone. */
  async #lacking(jobs: Job[]): Promise<Job[]> {
    const there: Job[] = [];
    const lacking: Job[] = [];
    let began = performance.now();
    for (const job of jobs) {
      if (performance.now() - began > SLICE_MS) {
        await nextTurn();
        began = performance.now();
      }
      if (isFree(job.spot)) {
        lacking.push(job);
        continue;
      }
      // Without an id only size and absence can be told; a file that is there has its source hash first.
      const state = await compareExisting(job.spot, job.wanted.size, job.wanted.id);
      if (state === 'absent') lacking.push(job);
      else if (job.wanted.id === null && state === 'different') there.push(job);
      else this.#present(job, state, lacking);
    }
    if (there.length > 0) {
      await this.#context.hashFirst(
        there.map((job) => job.wanted),
        this.#signal,
      );
      for (const job of there) {
        const { id, size } = job.wanted;
        this.#present(job, await compareExisting(job.spot, size, id), lacking);
      }
    }
    return lacking;
  }

  #present(job: Job, state: 'same' | 'different' | 'absent' | 'not-a-file', lacking: Job[]): void {
    const { target, wanted, spot } = job;
    if (state === 'same') this.#done(job, spot.file, wanted.id as string, 0, [], true);
    else if (state === 'absent' || this.#query.overwrite) lacking.push(job);
    else if (state === 'not-a-file') this.#fail(target, new HearsayError('exists', `${spot.file} is no ordinary file`));
    else this.#fail(target, new HearsayError('exists', `${spot.file} exists with other content`));
  }

  get #options() {
    return { overwrite: this.#query.overwrite ?? false, sync: this.#query.sync ?? false };
  }

  async #small(jobs: Job[]): Promise<void> {
    if (jobs.length === 0) return;
    let leave: () => void;
    try {
      leave = await this.#hooks.place(this.#signal);
    } catch (thrown) {
      for (const { target } of jobs) this.#fail(target, thrown);
      return;
    }
    try {
      await this.#allSmall(jobs);
    } finally {
      leave();
    }
  }

  async #allSmall(jobs: Job[]): Promise<void> {
    const remote: Job[] = [];
    for (const job of jobs) {
      const { wanted, spot } = job;
      const { mtime, executable } = wanted;
      try {
        if (wanted.size === 0 && wanted.id !== null) {
          const data = new Uint8Array(0);
          const file = await writeSmall({ ...spot, ...this.#options, data, mtime, executable });
          this.#done(job, file, idOfSmall(data), 0, []);
          continue;
        }
        const own = wanted.id === null || !wanted.here ? undefined : this.#context.own(wanted.id);
        if (!own) {
          remote.push(job);
          continue;
        }
        const options = { ...spot, ...this.#options, mtime, executable };
        const copied = await copySmall(own.file, wanted.id as string, wanted.size, options);
        if (copied) this.#done(job, copied, wanted.id as string, 0, []);
        else remote.push(job);
      } catch (thrown) {
        this.#fail(job.target, thrown);
      }
    }
    if (remote.length === 0) return;
    this.#writer ??= new SmallWriter(remote.length);
    const over = new Uint8Array(remote.length);
    const fetch = new SmallFetch(
      remote.map(({ wanted }) => wanted),
      this.#context,
      {
        place: (i) => remote[i].spot,
        done: (i, size, id, received, source) => {
          over[i] = 1;
          const job = remote[i];
          job.wanted.size = size;
          this.#done(job, job.spot.file, id, received, [givenBy(source, received)]);
        },
        failed: (i, error) => {
          over[i] = 1;
          this.#fail(remote[i].target, error);
        },
        dropped: (source, code, message) => {
          this.#out.push({ event: 'dropped', path: '', source, error: { code, message } });
        },
      },
      { ...this.#options, timeout: this.#timeout, limiter: this.#limiter, signal: this.#signal, writer: this.#writer },
    );
    try {
      await fetch.run();
    } catch (thrown) {
      for (const [i, { target }] of remote.entries()) if (!over[i]) this.#fail(target, thrown);
    }
  }

  async #allLarge(jobs: Job[]): Promise<void> {
    const ids = new Set(jobs.flatMap(({ wanted: { id } }) => (id === null ? [] : [id])));
    if (ids.size > 0) this.#before = (await this.#context.fetchedBefore?.(ids)) ?? this.#before;
    // The same content under two names is fetched once and copied.
    const running = new Map<string, Promise<string | undefined>>();
    const work = async (job: Job, leave: () => void) => {
      const { id } = job.wanted;
      const twin = id === null ? undefined : running.get(id);
      const result = Promise.resolve(twin).then((file) => this.#large(job, file));
      if (id !== null && !twin) running.set(id, result);
      await result.finally(leave);
    };
    const all: Promise<void>[] = [];
    for (const job of jobs) {
      try {
        all.push(work(job, await this.#hooks.place(this.#signal)));
      } catch (thrown) {
        this.#fail(job.target, thrown);
      }
    }
    await Promise.all(all);
  }

  /** Files that have the content, or had it, before what only may have some of it. */
  #seeds({ wanted, spot }: Job, known: string | undefined): string[] {
    const before = (wanted.id !== null && this.#before.get(wanted.id)) || [];
    return [...(known ? [known] : []), ...before, ...(this.#query.overwrite ? [spot.file] : [])];
  }

  /** Fetches one file; returns where it is, or undefined where it failed. */
  async #large(job: Job, twin: string | undefined): Promise<string | undefined> {
    const { target, wanted, spot } = job;
    const { path, size } = wanted;
    const own = wanted.id === null ? undefined : this.#context.own(wanted.id);
    let told = 0;
    let lately = '';
    try {
      const fetch = new LargeFetch(
        {
          ...wanted,
          ...spot,
          ...this.#options,
          manifest: own?.manifest,
          seeds: this.#seeds(job, twin ?? own?.file),
          alike: async () => (this.#context.fetchedBefore ? this.#beside.of(spot.folder.path, size, spot.name) : []),
          timeout: this.#timeout,
          limiter: this.#limiter,
          signal: this.#signal,
        },
        this.#context,
        {
          progress: (verified, sources) => {
            this.#hooks.verified?.(target, verified);
            const now = performance.now();
            const same = lately === `${verified} ${sources}`;
            if (same || (now - told < PROGRESS_MS && verified < size)) return;
            told = now;
            lately = `${verified} ${sources}`;
            this.#out.push({ event: 'progress', path, verified, size, sources }, true);
          },
          chunk: (chunk, chunks, bytes, source) => {
            if (this.#query.verbose) this.#out.push({ event: 'chunk', path, chunk, chunks, bytes, source }, true);
          },
          dropped: (source, code, message) => {
            this.#out.push({ event: 'dropped', path, source, error: { code, message } });
          },
        },
      );
      const result = await fetch.run();
      const { file, id, mtime, hashes } = result;
      const isAside = this.#context.isAside(path, wanted.sources);
      await this.#context.landed?.({ file, size, mtime }, { id, hashes }, isAside);
      this.#done(job, file, id, result.received, result.sources);
      return file;
    } catch (thrown) {
      this.#fail(target, thrown);
      return undefined;
    }
  }
}

/** A source and what it gave, as is told. */
function givenBy({ id, name, listed }: PeerName, bytes: number): PeerName & { bytes: number } {
  return listed === undefined ? { id, name, bytes } : { id, name, listed, bytes };
}
