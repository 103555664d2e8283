/**
 * One get that the peer keeps: fetched in attempts, until all of it is here or will never be.
 *
 * Owns what it resolved at first, and what of that is done. Always true: a later attempt is for the same contents as the first; what
 * may pass by itself (nobody is there) fails nothing. Called by Jobs.
 */
import { join } from 'node:path';
import type { ErrorBody, GetEvent, GetQuery, PeerName } from '../api.js';
import { Bits } from '../bits.js';
import { asHearsayError, type Code, type HearsayError } from '../errors.js';
import type { PeerId } from '../ids.js';
import { CHUNKS_MAX, SMALL_MAX } from '../limits.js';
import type { PeerOffer } from '../offer.js';
import type { Target } from '../share/destination.js';
import type { KeptGet, KeptRow, KeptTargets } from '../share/kept-jobs.js';
import { chunkCount } from '../transfer/content.js';
import type { Job } from '../transfer/jobs.js';
import { discardBegun } from './discard.js';
import { Get, type GetContext } from './fetch.js';
import { Followers, stopped } from './followers.js';
import { keptOf, targetsOf } from './kept-targets.js';
import type { Piece } from './plan.js';
import { Rate } from './rate.js';
import { shownWhat } from './registered.js';

/** Sources that a row names. */
const NAMED_MAX = 8;
/** Reasons that are kept why some of what was asked for could not be had from the first. */
const LOST_MAX = 100;
/** What may pass by itself: nobody is there, or nothing comes of him. */
const PASSING: readonly Code[] = ['no-peer', 'unreachable', 'timeout', 'cancelled'];

/** What a get needs of whoever queues it. */
export interface GetJobHost {
  readonly context: GetContext;
  /** ms, where a query names none. */
  timeout(): number;
  place(signal: AbortSignal): Promise<() => void>;
  /** Something came for it. */
  moved(): void;
  /** Files have ended: it is to be kept. */
  changed(): void;
  /** Nobody follows it any more, and who did last wanted it to end. */
  abandoned(): void;
}

/** What an attempt came to: all is here or has failed; something is away; or it was stopped. */
export type Attempted = { kind: 'over' } | { kind: 'away'; why: HearsayError } | { kind: 'stopped' };

export class GetJob {
  readonly job: Job;
  /** As it was asked for last. */
  #query: GetQuery;
  readonly followers: Followers;
  /** Whether what it fetches is on the disk, so that it can go on after a restart. */
  isKept = false;
  readonly #host: GetJobHost;
  #targets: Target<Piece>[] = [];
  #places = new Map<Target<Piece>, number>();
  /** Those that nobody offered to everyone. */
  readonly #asides = new Set<number>();
  #names = new Map<PeerId, string>();
  #done = new Bits(0);
  /** What failed for good. */
  readonly #failed = new Map<number, ErrorBody>();
  readonly #lost: ErrorBody[] = [];
  /** Bytes of files that are under way. */
  readonly #verified = new Map<number, number>();
  /** The same of an earlier process, until this one has looked at them. */
  #earlier = 0;
  readonly #rate = new Rate();
  #stop = new AbortController();
  #attempt: Promise<Attempted> | undefined;
  /** Whether the sources are as they were just resolved. */
  #isFresh = true;
  /** Ids and paths that it waits for, as far as somebody asked. */
  #wanted: Set<string> | undefined;
  #files = 0;
  #bytes = 0;
  #doneFiles = 0;
  #doneBytes = 0;

  constructor(job: Job, query: GetQuery, host: GetJobHost) {
    this.job = job;
    this.#query = query;
    this.#host = host;
    this.followers = new Followers({
      number: job.number,
      timeout: host.timeout,
      abandoned: host.abandoned,
      open: () => this.#open().map((i) => this.#targets[i].wanted.path),
      sums: () => ({
        files: this.#doneFiles,
        bytes: this.#doneBytes,
        failed: this.#failed.size + this.#lost.length,
      }),
    });
  }

  get query(): GetQuery {
    return this.#query;
  }

  /**
   * It is asked for again: that it is to be served on holds from now on, another limit when it is begun the next time.
   * @returns whether that is other than before
   */
  adopt({ seed, limitDown }: GetQuery): boolean {
    const before = this.#query;
    this.#query = { ...before, ...(seed && { seed }), ...(limitDown !== undefined && { limitDown }) };
    if (this.#query.limitDown !== before.limitDown && this.#attempt) {
      const { number } = this.job;
      this.followers.warn(
        `the limit holds when transfer ${number} begins anew: \`hearsay pause ${number}\`, then \`hearsay resume ${number}\``,
      );
    }
    return this.#query.seed !== before.seed || this.#query.limitDown !== before.limitDown;
  }

  /** What was asked for: two that are the same are one. */
  static keyOf({ what, to, from, overwrite, sync }: GetQuery): string {
    return JSON.stringify([what, to, from ?? null, overwrite ?? false, sync ?? false]);
  }

  /**
   * Looks what it is to fetch; what of it is not found is told at once.
   * @returns whether there is anything
   */
  async plan(): Promise<boolean> {
    const { signal } = this.#stop;
    try {
      const targets = await this.#get(signal).plan((error) => this.#lose(error));
      signal.throwIfAborted();
      this.#take(targets);
      const { context } = this.#host;
      for (const [i, { wanted }] of targets.entries()) {
        if (context.isAside(wanted.path, wanted.sources)) this.#asides.add(i);
        for (const peer of wanted.sources) {
          if (!this.#names.has(peer)) this.#names.set(peer, context.nameOf(peer).name);
        }
      }
    } catch (thrown) {
      if (!signal.aborted) this.#lose(thrown);
    }
    return this.#targets.length > 0;
  }

  #lose(thrown: unknown): void {
    const { code, message } = asHearsayError(thrown);
    this.#lost.push({ code, message });
    this.followers.tell({ event: 'error', error: { code, message } }, true);
  }

  #take(targets: Target<Piece>[]): void {
    this.#targets = targets;
    this.#places = new Map(targets.map((target, i) => [target, i]));
    this.#done = new Bits(targets.length);
    for (const { wanted } of targets) {
      if (wanted.folder) continue;
      this.#files++;
      this.#bytes += wanted.size;
    }
  }

  /** Goes on where an earlier process stopped. */
  restore({ done, lost }: KeptGet, kept: KeptTargets, { bytes }: KeptRow): void {
    const { targets, asides } = targetsOf(kept);
    this.isKept = true;
    this.#isFresh = false;
    this.#names = new Map(kept.peers.map(({ id, name }) => [id, name]));
    this.#lost.push(...lost);
    for (const i of asides) this.#asides.add(i);
    this.#take(targets);
    this.started();
    const bits = new Bits(this.#targets.length, Buffer.from(done, 'base64'));
    for (const [i, { root, relative, wanted }] of this.#targets.entries()) {
      const { path, id, size, folder } = wanted;
      // What came without an id is looked at again.
      if (!bits.has(i) || (id === null && !folder)) continue;
      this.#done.add(i);
      if (id === null) continue;
      this.#doneFiles++;
      this.#doneBytes += size;
      const file = join(root, ...relative.split('/'));
      const gone = { path, file, size, id, seconds: 0, received: 0, sources: [], already: true };
      this.followers.tell({ event: 'done', ...gone }, true);
    }
    if (this.#doneFiles < this.#files) this.#earlier = Math.max(0, Math.min(bytes, this.#bytes) - this.#doneBytes);
  }

  /** Tells who follows what there is to do. */
  started(): void {
    const { number } = this.job;
    this.followers.tell({ event: 'start', files: this.#files, bytes: this.#bytes, number }, true);
  }

  get keptGet(): KeptGet {
    const { verbose: _, ...query } = this.#query;
    const done = Buffer.from(this.#done.bytes).toString('base64');
    return { query, done, lost: this.#lost.slice(0, LOST_MAX) };
  }

  get keptTargets(): KeptTargets {
    return keptOf(this.#targets, this.#asides, this.#names);
  }

  /** How many things it fetches. */
  get count(): number {
    return this.#targets.length;
  }

  row(): KeptRow & { rate: number } {
    const { what, to } = this.#query;
    const peers: PeerName[] = [...this.#names].slice(0, NAMED_MAX).map(([id, name]) => ({ id, name }));
    let bytes = this.#doneBytes + this.#earlier;
    for (const verified of this.#verified.values()) bytes += verified;
    bytes = Math.min(bytes, this.#bytes);
    return {
      direction: 'in',
      path: this.#targets.length === 1 ? this.#targets[0].wanted.path : shownWhat(what),
      size: this.#bytes,
      bytes,
      rate: this.job.state === 'running' ? this.#rate.value(performance.now()) : 0,
      peers,
      what,
      to,
      files: this.#files,
      done: this.#doneFiles,
    };
  }

  /** Whether an offer may be what it waits for. */
  wants({ id, path }: PeerOffer): boolean {
    this.#wanted ??= new Set(
      this.#open().flatMap((i) => {
        const { wanted } = this.#targets[i];
        return wanted.id === null ? [wanted.path] : [wanted.path, wanted.id];
      }),
    );
    return this.#wanted.has(path) || (id !== null && this.#wanted.has(id));
  }

  /** Fetches what is not here yet, of those who have it now. Never rejects. One at a time. */
  async attempt(): Promise<Attempted> {
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    this.#attempt = this.#try(signal).catch((thrown): Attempted => {
      if (signal.aborted) return { kind: 'stopped' };
      const { code, message } = asHearsayError(thrown);
      // What stops everything is told once.
      for (const i of this.#open()) this.#failed.set(i, { code, message });
      this.followers.tell({ event: 'error', error: { code, message } }, true);
      return { kind: 'over' };
    });
    const attempted = await this.#attempt;
    this.#attempt = undefined;
    this.#wanted = undefined;
    return attempted;
  }

  async #try(signal: AbortSignal): Promise<Attempted> {
    const away = new Map<number, HearsayError>();
    const open = this.#open();
    if (!this.#isFresh) {
      const pieces = open.map((i) => this.#targets[i].wanted);
      const why = await this.#host.context.refind(this.#query, pieces, this.#names, signal);
      for (const [k, i] of open.entries()) {
        const error = why[k];
        if (error?.code === 'no-peer') away.set(i, error);
        else if (error) this.#fail(i, error);
      }
    }
    signal.throwIfAborted();
    const isFirst = this.#isFresh;
    this.#isFresh = false;
    const now = this.#open().filter((i) => !away.has(i));
    if (now.length > 0) await this.#get(signal, away, isFirst).fetch(now.map((i) => this.#targets[i]));
    if (signal.aborted) return { kind: 'stopped' };
    for (const why of away.values()) return { kind: 'away', why };
    return { kind: 'over' };
  }

  #open(): number[] {
    return [...this.#targets.keys()].filter((i) => !this.#done.has(i) && !this.#failed.has(i));
  }

  /**
   * @param away where what may pass is noted
   * @param isFirst whether a source to which there is no way ends it: who asks for it now hears so at once
   */
  #get(signal: AbortSignal, away = new Map<number, HearsayError>(), isFirst = false): Get {
    const query = { ...this.#query, verbose: true };
    const out = { push: (event: GetEvent) => this.#pass(event), end: () => {} };
    return new Get(query, this.#host.context, out, signal, this.#host.timeout(), {
      place: (stop) => this.#host.place(stop),
      verified: (target, bytes) => {
        const i = this.#places.get(target) as number;
        this.#earlier = 0;
        const before = this.#verified.get(i);
        this.#verified.set(i, bytes);
        if (before !== undefined && bytes > before) this.#moved(bytes - before);
      },
      settled: (target, error) => {
        const i = this.#places.get(target) as number;
        const isVain = isFirst && error?.code === 'unreachable' && !this.#verified.get(i);
        const waits = error !== undefined && !isVain && isPassing(error, target);
        // What is verified of one that is held, or waits, is kept.
        const isOver = !error || (!signal.aborted && !waits);
        if (isOver) this.#verified.delete(i);
        if (!error) this.#finished(i, target);
        else if (waits) away.set(i, error);
        else if (!signal.aborted) this.#fail(i, error);
      },
    });
  }

  #finished(i: number, { wanted }: Target<Piece>): void {
    if (!this.#done.add(i) || wanted.folder) return;
    this.#doneFiles++;
    this.#doneBytes += wanted.size;
    if (wanted.size <= SMALL_MAX) this.#moved(wanted.size);
    this.#host.changed();
  }

  #fail(i: number, { code, message }: HearsayError): void {
    this.#failed.set(i, { code, message });
    this.followers.tell({ event: 'error', path: this.#targets[i].wanted.path, error: { code, message } }, true);
    this.#host.changed();
  }

  #moved(bytes: number): void {
    this.#rate.add(bytes, performance.now());
    this.followers.moved();
    this.#host.moved();
  }

  /** What the fetching tells; of files that fail it is told otherwise. */
  #pass(event: GetEvent): void {
    if (event.event === 'start' || event.event === 'end' || event.event === 'error') return;
    this.followers.tell(event, event.event === 'done');
  }

  /** Ends what is under way; resolves when nothing of it is. What is verified is kept. */
  async halt(): Promise<void> {
    this.#stop.abort(stopped());
    await this.#attempt;
  }

  /** Ends what is fetched, and not the looking what there is to fetch, which is done once. */
  async hold(): Promise<void> {
    if (this.#attempt) await this.halt();
  }

  /** Removes what it has begun and not finished. */
  async clear(): Promise<void> {
    this.#verified.clear();
    this.#earlier = 0;
    await discardBegun(this.#open().map((i) => this.#targets[i]));
  }

  /** What failed of it: the first, and how many there are. */
  get failure(): ErrorBody | undefined {
    const all = [...this.#lost, ...this.#failed.values()];
    if (all.length < 2) return all[0];
    return { code: all[0].code, message: `${all.length} failed, the first: ${all[0].message}` };
  }

  /** What of it is here, and whether it was for some only. */
  landed(): { target: Target<Piece>; aside: boolean }[] {
    return this.#targets.flatMap((target, i) => (this.#done.has(i) ? [{ target, aside: this.#asides.has(i) }] : []));
  }

  /** Lets go of what only one that goes on needs. */
  forget(): void {
    this.#targets = [];
    this.#places.clear();
    this.followers.forget();
  }
}

function isPassing({ code }: HearsayError, { wanted }: Target<Piece>): boolean {
  // One of too many chunks stays so; that a source has too much to do passes.
  if (code === 'limit') return chunkCount(wanted.size) <= CHUNKS_MAX;
  return PASSING.includes(code);
}
