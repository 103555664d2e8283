/**
 * Fetching many small files: the driver of a Batch.
 *
 * Owns the requests open for them. Always true: a file is written only when its bytes have the id that was offered, or,
 * where none was, the id that came with them; at most SOURCES_MAX sources are in use, and one that has nothing to give, or gives
 * nothing, makes room for one that waits. Called by the fetch.
 */
import type { PeerName } from '../api.js';
import { asHearsayError, type Code, HearsayError, saidCode } from '../errors.js';
import type { PeerId } from '../ids.js';
import { SOURCES_MAX, UNWRITTEN_MAX } from '../limits.js';
import type { Link } from '../net/link.js';
import type { Arrival, Outcome } from '../share/partial-small.js';
import type { SmallWriter } from '../share/small-writer.js';
import { Batch, type BatchEffect, type BatchEvent } from '../transfer/batch.js';
import type { MessageOf } from '../wire/table.js';
import { Alarm } from './alarm.js';
import type { FetchContext } from './context.js';
import { Leaves } from './leave.js';
import type { Limiter } from './limiter.js';
import { type Answer, errorOf } from './requests.js';
import { Turns } from './turns.js';

export interface SmallJob {
  path: string;
  size: number;
  id: string | null;
  sources: PeerId[];
  /** Whether another size than this will not do, although its content is not known. */
  exact?: boolean;
}

export interface SmallEvents {
  /** Where a file is to land; called when its bytes are here. @throws HearsayError that fails this file */
  place(job: number): Pick<Arrival, 'folder' | 'name'>;
  done(job: number, size: number, id: string, received: number, source: PeerName): void;
  failed(job: number, error: HearsayError): void;
  dropped(source: PeerName, code: Code, message: string): void;
}

type Entry = MessageOf<'U'>['files'][number];

interface Request {
  files: number[];
  /** Of each place: whether its bytes are here, and whether they are being written. */
  state: Uint8Array;
  /** Places that are over. */
  over: Set<number>;
}

const HERE = 1;
const TAKEN = 2;

interface Source {
  peer: PeerId;
  link: Link;
  /** Open requests by their numbers. */
  requests: Map<number, Request>;
  /** When something that was asked for last came of it. */
  usefulAt: number;
}

const RETRIES = 3;
const RETRY_MS = 500;
/** A source that gives nothing for so long makes room for one that waits, ms: by then all that are in use were asked in vain. */
const USELESS_MS = 10_000;
/** Files that come slowly are waited for so many time-outs at most. */
const SLOW_MOST = 10;

export class SmallFetch {
  readonly #jobs: readonly SmallJob[];
  readonly #context: FetchContext;
  readonly #events: SmallEvents;
  readonly #batch: Batch;
  readonly #timeout: number;
  readonly #signal: AbortSignal;
  readonly #sources = new Map<PeerId, Source>();
  /** Peers being connected to, and those that wait for a place. */
  readonly #coming = new Set<PeerId>();
  readonly #queue = new Set<PeerId>();
  readonly #tries = new Map<PeerId, number>();
  /** Why each source failed last, for the files that fail with it. */
  readonly #why = new Map<PeerId, HearsayError>();
  /** What failed last for a file. */
  readonly #errors = new Map<number, HearsayError>();
  readonly #stops: (() => void)[] = [];
  readonly #turns = new Turns<BatchEvent>((event) => {
    for (const effect of this.#batch.handle(event, performance.now())) this.#carryOut(effect);
  });
  readonly #alarm = new Alarm(() => this.#dispatch({ kind: 'timer' }));
  readonly #leaves: Leaves;
  #lastArrival = performance.now();
  #lastHeard = 0;
  #over = false;
  #settle!: { resolve(): void; reject(error: HearsayError): void };
  readonly #writer: SmallWriter;
  readonly #how: { overwrite: boolean; sync: boolean };
  /** Files that are being written, and all that is. */
  readonly #written: Uint8Array;
  #writing: Promise<unknown> = Promise.resolve();
  /** Bytes that wait to be written. */
  #unwritten = 0;

  constructor(
    jobs: readonly SmallJob[],
    context: FetchContext,
    events: SmallEvents,
    options: {
      overwrite: boolean;
      sync: boolean;
      timeout: number;
      signal: AbortSignal;
      limiter?: Limiter | undefined;
      /** Ended by the fetch. */
      writer: SmallWriter;
    },
  ) {
    this.#jobs = jobs;
    this.#context = context;
    this.#events = events;
    this.#timeout = options.timeout;
    this.#signal = options.signal;
    const limiters = [...(options.limiter ? [options.limiter] : []), context.limiter];
    this.#leaves = new Leaves(limiters, () => this.#dispatch({ kind: 'timer' }));
    this.#how = { overwrite: options.overwrite, sync: options.sync };
    this.#writer = options.writer;
    this.#written = new Uint8Array(jobs.length);
    this.#batch = new Batch(
      jobs.map(({ size, sources }) => ({ size, peers: sources })),
      this.#leaves,
    );
  }

  /** Fetches all; each file's end is an event. @throws HearsayError `interrupted`, `timeout` */
  async run(): Promise<void> {
    try {
      await new Promise<void>((resolve, reject) => {
        this.#settle = { resolve, reject };
        const abort = () => reject(new HearsayError('interrupted', 'stopped; what has arrived is kept'));
        if (this.#signal.aborted) return abort();
        this.#signal.addEventListener('abort', abort);
        this.#stops.push(() => this.#signal.removeEventListener('abort', abort));
        const watch = setInterval(() => {
          this.#rotate();
          const now = performance.now();
          // What this side holds up itself is nobody's silence.
          if (this.#leaves.isWaiting && this.#batch.awaited === 0) this.#lastArrival = now;
          const isSlow = now - this.#lastHeard < this.#timeout && now - this.#lastArrival < SLOW_MOST * this.#timeout;
          if (now - this.#lastArrival < this.#timeout || isSlow) return;
          reject(new HearsayError('timeout', `nothing arrived for ${Math.round(this.#timeout / 1000)} s`));
        }, 500);
        this.#stops.push(() => clearInterval(watch));
        for (const peer of this.#batch.peers) this.#queue.add(peer);
        this.#fill();
        this.#dispatch({ kind: 'timer' });
      });
    } finally {
      this.#over = true;
      // What is being written is finished, and told of.
      await this.#writing;
      await this.#writer.end();
      this.#alarm.stop();
      this.#leaves.end();
      for (const stop of this.#stops) stop();
      for (const source of this.#sources.values()) this.#cancel(source);
    }
  }

  /** Takes as many of those that wait as there are places, if they have something that is still wanted. */
  #fill(): void {
    if (this.#over) return;
    for (const peer of this.#queue) {
      if (this.#sources.size + this.#coming.size >= SOURCES_MAX) return;
      this.#queue.delete(peer);
      if (this.#batch.wants(peer)) this.#add(peer);
    }
  }

  #add(peer: PeerId): void {
    if (this.#sources.has(peer) || this.#coming.has(peer)) return;
    this.#coming.add(peer);
    this.#context.connect(peer).then(
      (link) => {
        this.#coming.delete(peer);
        if (this.#over) return;
        this.#sources.set(peer, { peer, link, requests: new Map(), usefulAt: performance.now() });
        this.#dispatch({ kind: 'source', peer });
      },
      (thrown) => {
        this.#coming.delete(peer);
        this.#lost(peer, asHearsayError(thrown, 'unreachable'));
        this.#fill();
      },
    );
  }

  /** Ends what a source is asked for, and tells it. */
  #cancel({ link, requests }: Source): void {
    for (const number of requests.keys()) {
      this.#context.requests.close(link, number);
      link.send({ type: 'X', number });
    }
    requests.clear();
  }

  /**
   * Sees to it that whoever has something that is lacking gets a place in time: those that have given nothing for a while make room,
   * all at once, as what one of them was asked for goes to the next; and where all places are taken, those that have nothing to do.
   */
  #rotate(): void {
    const isIn = (peer: PeerId) => this.#sources.has(peer) || this.#coming.has(peer) || this.#retrying.has(peer);
    const others = this.#batch.peers.filter((peer) => !isIn(peer) && this.#batch.isLacking(peer));
    const isFull = () => this.#sources.size + this.#coming.size >= SOURCES_MAX;
    if (others.length === 0) return;
    const before = performance.now() - USELESS_MS;
    // Under a limit one that was asked for nothing is not to blame for giving nothing.
    const isAsked = ({ requests }: Source) => this.#leaves.isFree || requests.size > 0;
    for (const source of [...this.#sources.values()]) {
      if (source.usefulAt < before && isAsked(source)) this.#leave(source);
    }
    for (const peer of others) if (this.#batch.wants(peer)) this.#queue.add(peer);
    for (const source of [...this.#sources.values()]) {
      if (this.#queue.size === 0 || !isFull()) break;
      if (source.requests.size === 0 && !this.#batch.wants(source.peer)) this.#leave(source);
    }
    this.#fill();
  }

  /** A source gives its place up; what it was asked for waits again, and so may it. */
  #leave(source: Source): void {
    this.#cancel(source);
    this.#sources.delete(source.peer);
    this.#dispatch({ kind: 'source-lost', peer: source.peer });
  }

  /** Sources that broke off, and are tried again in a moment. */
  readonly #retrying = new Set<PeerId>();

  /** A source broke off: what it was asked for goes to others, and it is tried again a few times. */
  #lost(peer: PeerId, why: HearsayError): void {
    if (this.#over) return;
    const source = this.#sources.get(peer);
    this.#sources.delete(peer);
    for (const number of source?.requests.keys() ?? []) this.#context.requests.close(source!.link, number);
    this.#why.set(peer, new HearsayError(why.code, `${this.#context.nameOf(peer).name}: ${why.message}`));
    const tries = (this.#tries.get(peer) ?? 0) + 1;
    this.#tries.set(peer, tries);
    if (tries > RETRIES) {
      this.#dispatch({ kind: 'source-gone', peer, code: why.code });
      return;
    }
    this.#dispatch({ kind: 'source-lost', peer });
    this.#retrying.add(peer);
    const again = () => {
      this.#retrying.delete(peer);
      this.#queue.add(peer);
      this.#fill();
    };
    const timer = setTimeout(again, RETRY_MS * 2 ** (tries - 1));
    this.#stops.push(() => clearTimeout(timer));
  }

  #dispatch(event: BatchEvent): void {
    this.#turns.take(event);
  }

  #carryOut(effect: BatchEffect): void {
    switch (effect.kind) {
      case 'request':
        this.#ask(effect.peer, effect.files);
        return;
      case 'failed': {
        const { path, sources } = this.#jobs[effect.file];
        const known = this.#errors.get(effect.file) ?? sources.map((p) => this.#why.get(p)).find((e) => e);
        const error = new HearsayError(effect.code, known?.message ?? `${path}: ${effect.code}`);
        this.#events.failed(effect.file, error);
        return;
      }
      case 'drop': {
        const source = this.#context.nameOf(effect.peer);
        this.#events.dropped(source, effect.code, `${source.name} sent content that does not fit its id`);
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

  #ask(peer: PeerId, files: number[]): void {
    const source = this.#sources.get(peer);
    if (!source) return;
    let number: number;
    try {
      number = this.#context.requests.open(source.link, {
        answer: (message) => this.#answer(source, number, message),
        closed: (why) => {
          if (this.#sources.get(peer) === source) this.#lost(peer, why);
        },
        heard: () => {
          this.#lastHeard = performance.now();
          this.#dispatch({ kind: 'heard', peer });
        },
      });
    } catch (thrown) {
      this.#lost(peer, asHearsayError(thrown));
      return;
    }
    if (!this.#leaves.isFree && source.requests.size === 0) source.usefulAt = performance.now();
    source.requests.set(number, { files, state: new Uint8Array(files.length), over: new Set() });
    const wanted = files.map((file) => ({ id: this.#jobs[file].id, path: this.#jobs[file].path }));
    source.link.send({ type: 'S', number, files: wanted });
  }

  #answer(source: Source, number: number, message: Answer): void {
    const request = source.requests.get(number);
    if (!request || this.#over) return;
    if (message.type === 'E') {
      this.#lastArrival = performance.now();
      const error = errorOf(message);
      this.#context.requests.close(source.link, number);
      source.requests.delete(number);
      const lost = request.files.filter((_, place) => this.#isFresh(source, request, place));
      this.#came(lost, 0);
      for (const file of request.files) this.#failed(file, source.peer, error);
      return;
    }
    if (message.type === 'K') {
      // A limit of its holds it up.
      this.#lastHeard = performance.now();
      this.#dispatch({ kind: 'heard', peer: source.peer });
      return;
    }
    if (message.type !== 'U') return;
    // What was not asked for, or has come, is no sign that it goes on, and is not kept; it is not to come again.
    const fresh = new Set<number>();
    const came: number[] = [];
    const known: number[] = [];
    // What comes a second time while it is written waits for that: should it fail, this one counts.
    let again = false;
    for (const { place } of message.files) {
      if (fresh.has(place)) continue;
      if (this.#isFresh(source, request, place)) {
        const file = request.files[place];
        fresh.add(place);
        came.push(file);
        again ||= this.#written[file] === 1;
      } else if (!isWriting(request, place)) known.push(place);
    }
    this.#came(came, message.data.length);
    if (known.length > 0) this.#done(source, number, request, known);
    // What the disk has no time for comes again.
    const { length } = message.data;
    if (fresh.size === 0 || this.#unwritten + length > UNWRITTEN_MAX) return;
    source.usefulAt = performance.now();
    this.#lastArrival = source.usefulAt;
    for (const place of fresh) request.state[place] = HERE;
    const take = (data: Uint8Array) => this.#bundle(source, number, request, message.files, fresh, data);
    const kept = again ? Buffer.from(message.data) : undefined;
    const work = kept ? this.#writing.then(() => take(kept)) : take(message.data);
    this.#writing = Promise.all([
      this.#writing,
      work
        .catch((thrown) => this.#settle.reject(asHearsayError(thrown)))
        .finally(() => {
          this.#unwritten -= length;
        }),
    ]);
    this.#unwritten += length;
  }

  #isFresh(source: Source, request: Request, place: number): boolean {
    return !isWriting(request, place) && this.#batch.expects(request.files[place], source.peer);
  }

  /** So many bytes came of files that there was leave for: what was not said before, of their sizes, is made up for. */
  #came(files: readonly number[], bytes: number): void {
    let more = bytes;
    for (const file of files) more -= this.#jobs[file].size;
    if (more > 0) this.#leaves.owe(more);
    else if (more < 0) this.#leaves.give(-more);
  }

  /** These places of a request are done with, whatever came of them. */
  #done(source: Source, number: number, request: Request, places: number[]): void {
    for (const place of places) {
      if (place >= request.files.length) continue;
      request.state[place] = 0;
      request.over.add(place);
    }
    source.link.send({ type: 'A', number, done: places });
    if (request.over.size < request.files.length) return;
    source.link.send({ type: 'A', number, done: [] });
    this.#context.requests.close(source.link, number);
    source.requests.delete(number);
  }

  #failed(file: number, peer: PeerId, error: HearsayError): void {
    if (!this.#batch.expects(file, peer)) return;
    this.#errors.set(file, error);
    this.#dispatch({ kind: 'settled', file, peer, code: error.code });
  }

  /** Writes what came of a request. @param data lent: copied before this returns */
  async #bundle(
    source: Source,
    number: number,
    request: Request,
    entries: Entry[],
    fresh: ReadonlySet<number>,
    data: Uint8Array,
  ): Promise<void> {
    if (this.#over) return;
    let at = 0;
    const files: number[] = [];
    const arrivals: Arrival[] = [];
    for (const entry of entries) {
      const file = request.files[entry.place];
      const part = data.subarray(at, at + entry.size);
      at += entry.size;
      // Of one that is there twice the first counts.
      if (!fresh.has(entry.place) || request.state[entry.place] !== HERE) continue;
      request.state[entry.place] = TAKEN;
      if (!this.#batch.expects(file, source.peer)) continue;
      try {
        arrivals.push(this.#arrival(file, entry, part));
        files.push(file);
      } catch (thrown) {
        this.#failed(file, source.peer, asHearsayError(thrown));
      }
    }
    for (const file of files) this.#written[file] = 1;
    let outcomes: Outcome[];
    try {
      outcomes = await this.#writer.write(arrivals);
    } finally {
      for (const file of files) this.#written[file] = 0;
    }
    const from = this.#context.nameOf(source.peer);
    const here: number[] = [];
    for (let i = 0; i < files.length; i++) {
      const file = files[i];
      const { id, data } = arrivals[i];
      const error = outcomes[i];
      if (error) {
        const why =
          error.code === 'wrong-content' ? `${this.#jobs[file].path} does not fit its content id` : error.message;
        this.#failed(file, source.peer, new HearsayError(error.code, why));
        continue;
      }
      this.#events.done(file, data.length, id, data.length, from);
      here.push(file);
    }
    if (here.length > 0) this.#dispatch({ kind: 'came', files: here, peer: source.peer });
    this.#done(source, number, request, [...fresh]);
  }

  /** What a file is to be, and where. @throws HearsayError why it cannot be written, or is not what was asked for */
  #arrival(file: number, { code, id, size, mtime, executable }: Entry, data: Uint8Array): Arrival {
    const job = this.#jobs[file];
    if (code !== '') {
      const why = saidCode(code);
      throw new HearsayError(why, `${job.path}: ${why} at its source`);
    }
    if (job.exact && size !== job.size) {
      throw new HearsayError('changed', `${job.path} has ${size} bytes, and was said to have ${job.size}`);
    }
    const wanted = job.id ?? id;
    if (data.length !== size || wanted === null) {
      throw new HearsayError('wrong-content', `${job.path} does not fit its content id`);
    }
    const { folder, name } = this.#events.place(file);
    const { overwrite, sync } = this.#how;
    return { folder, name, overwrite, sync, id: wanted, data, mtime, executable };
  }
}

/** Whether a place's bytes are here, and it is not done with them. */
function isWriting({ state }: Request, place: number): boolean {
  return place < state.length && state[place] !== 0;
}
