/**
 * A `get`: from WHAT to files in their places.
 *
 * Owns the events of one get. Always true: every file asked for ends in one `done` or `error`, and `end` comes last.
 * Called by the peer.
 */
import type { GetEvent, GetQuery, PeerName } from '../api.js';
import { asHearsayError, HearsayError } from '../errors.js';
import type { PeerId } from '../ids.js';
import { CHUNKS_MAX, SMALL_MAX } from '../limits.js';
import { printable } from '../names.js';
import { copySmall } from '../share/copy.js';
import { type Dest, lookAtDest, resolveTargets, type Target } from '../share/destination.js';
import { writeSmall } from '../share/partial-small.js';
import { Place, type Spot } from '../share/place.js';
import { compareExisting } from '../share/place-existing.js';
import { collisions } from '../share/place-names.js';
import { checkSpace, takenByPartial } from '../share/place-space.js';
import { chunkCount, idOfSmall } from '../transfer/content.js';
import type { FetchContext } from './context.js';
import { discard } from './discard.js';
import { LargeFetch } from './large.js';
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
  /** Has sources hash these files and fills in their ids. */
  hashFirst(pieces: Piece[], signal: AbortSignal): Promise<void>;
  /** Whether what a peer offers under this path is for some only, and none of these offers it to all. */
  isAside(path: string, peers: readonly PeerId[]): boolean;
  /** The name of the own share, for all to read, in which a folder lies. */
  openShareAt(folder: string): string | undefined;
  /** A file of this peer's own share with this content, and its manifest. */
  own(id: string): { file: string; manifest: Uint8Array | undefined } | undefined;
  /** Tells `status` of a file being fetched; the returned object ends it. */
  watch(path: string, size: number): { progress(verified: number): void; end(): void };
}

/** Large files fetched at a time. */
const AT_ONCE = 3;
const PROGRESS_MS = 250;

type Job = Target<Piece> & { spot: Spot; began: number };

export class Get {
  readonly #query: GetQuery;
  readonly #context: GetContext;
  readonly #out: Stream<GetEvent>;
  readonly #signal: AbortSignal;
  readonly #timeout: number;
  #files = 0;
  #bytes = 0;
  #failed = 0;

  /** @param timeout ms, where the query names none */
  constructor(query: GetQuery, context: GetContext, out: Stream<GetEvent>, signal: AbortSignal, timeout: number) {
    this.#query = query;
    this.#context = context;
    this.#out = out;
    this.#signal = signal;
    this.#timeout = query.timeout === undefined ? timeout : query.timeout * 1000;
  }

  /** Does it all. What stops everything is an `error` without a path. Never throws. */
  async run(): Promise<void> {
    try {
      if (this.#query.discard) {
        for (const gone of await discard(this.#query.what, this.#query.to))
          this.#out.push({ event: 'discarded', ...gone });
      } else {
        const failed = (error: HearsayError) => this.#fail(undefined, error);
        const pieces = await this.#context.resolve(this.#query, this.#signal, failed);
        if (pieces.length > 0) await this.#fetch(pieces, await lookAtDest(this.#query.to));
      }
    } catch (thrown) {
      // A signal throws whatever reason its owner gave it.
      const stopped = new HearsayError('interrupted', 'stopped; what is verified is kept');
      this.#fail(undefined, this.#signal.aborted ? stopped : thrown);
    }
    this.#out.push({ event: 'end', files: this.#files, bytes: this.#bytes, failed: this.#failed });
    this.#out.end();
  }

  #fail(path: string | undefined, thrown: unknown): void {
    const { code, message } = asHearsayError(thrown);
    this.#failed++;
    this.#out.push({ event: 'error', ...(path === undefined ? {} : { path }), error: { code, message } });
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
    this.#out.push({
      event: 'done',
      path,
      file,
      size,
      id,
      seconds,
      received,
      sources,
      ...(already ? { already } : {}),
    });
  }

  async #fetch(pieces: Piece[], dest: Dest): Promise<void> {
    const began = performance.now();
    const targets = resolveTargets(pieces, dest);
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
    const roots = new Map<string, Target<Piece>[]>();
    for (const target of targets) {
      const same = roots.get(target.root);
      if (same) same.push(target);
      else roots.set(target.root, [target]);
    }
    for (const [root, all] of roots) {
      const place = new Place(root);
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
          if (wanted.folder) await place.folder(relative);
          else jobs.push({ ...target, spot: await place.spot(relative), began });
        } catch (thrown) {
          this.#fail(wanted.path, thrown);
        }
      }
    }
    return jobs;
  }

  /** Of all files those that are not here yet; an identical one is done, another is left alone. */
  async #lacking(jobs: Job[]): Promise<Job[]> {
    const there: Job[] = [];
    const lacking: Job[] = [];
    for (const job of jobs) {
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
    const { wanted, spot } = job;
    if (state === 'same') this.#done(job, spot.file, wanted.id as string, 0, [], true);
    else if (state === 'absent' || this.#query.overwrite) lacking.push(job);
    else if (state === 'not-a-file')
      this.#fail(wanted.path, new HearsayError('exists', `${spot.file} is no ordinary file`));
    else this.#fail(wanted.path, new HearsayError('exists', `${spot.file} exists with other content`));
  }

  get #options() {
    return { overwrite: this.#query.overwrite ?? false, sync: this.#query.sync ?? false };
  }

  async #small(jobs: Job[]): Promise<void> {
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
        const options = { ...spot, ...this.#options, mtime, executable };
        const copied = own && (await copySmall(own.file, wanted.id as string, wanted.size, options));
        if (copied) this.#done(job, copied, wanted.id as string, 0, []);
        else remote.push(job);
      } catch (thrown) {
        this.#fail(wanted.path, thrown);
      }
    }
    if (remote.length === 0) return;
    const open = new Set(remote.keys());
    const fetch = new SmallFetch(
      remote.map(({ wanted }) => wanted),
      this.#context,
      {
        place: async (i) => ({ ...remote[i].spot, ...this.#options }),
        done: (i, file, size, id, received, source) => {
          open.delete(i);
          remote[i].wanted.size = size;
          this.#done(remote[i], file, id, received, [{ ...source, bytes: received }]);
        },
        failed: (i, error) => {
          open.delete(i);
          this.#fail(remote[i].wanted.path, error);
        },
        dropped: (source, code, message) => {
          this.#out.push({ event: 'dropped', path: '', source, error: { code, message } });
        },
      },
      { timeout: this.#timeout, signal: this.#signal },
    );
    try {
      await fetch.run();
    } catch (thrown) {
      for (const i of open) this.#fail(remote[i].wanted.path, thrown);
    }
  }

  async #allLarge(jobs: Job[]): Promise<void> {
    const queue = [...jobs];
    // The same content under two names is fetched once and copied.
    const running = new Map<string, Promise<string | undefined>>();
    const work = async () => {
      for (let job = queue.shift(); job; job = queue.shift()) {
        const { id } = job.wanted;
        const twin = id === null ? undefined : await running.get(id);
        const result = this.#large(job, twin);
        if (id !== null && !running.has(id)) running.set(id, result);
        await result;
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  }

  /** Fetches one file; returns where it is, or undefined where it failed. */
  async #large(job: Job, twin: string | undefined): Promise<string | undefined> {
    const { wanted, spot } = job;
    const { path, size } = wanted;
    const own = wanted.id === null ? undefined : this.#context.own(wanted.id);
    const watch = this.#context.watch(path, size);
    let told = 0;
    let lately = '';
    try {
      const fetch = new LargeFetch(
        {
          ...wanted,
          ...spot,
          ...this.#options,
          manifest: own?.manifest,
          seeds: [twin, own?.file, this.#query.overwrite ? spot.file : undefined].filter((s) => s !== undefined),
          timeout: this.#timeout,
          signal: this.#signal,
        },
        this.#context,
        {
          progress: (verified, sources) => {
            watch.progress(verified);
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
      this.#done(job, result.file, result.id, result.received, result.sources);
      return result.file;
    } catch (thrown) {
      this.#fail(path, thrown);
      return undefined;
    } finally {
      watch.end();
    }
  }
}
