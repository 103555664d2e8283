/**
 * Fetching many small files: the driver of a Batch.
 *
 * Owns the requests open for them. Always true: a file is written only when its bytes have the id that was offered, or,
 * where none was, the id that came with them. Called by the fetch.
 */
import type { PeerName } from '../api.js';
import { asHearsayError, type Code, HearsayError, isCode } from '../errors.js';
import type { PeerId } from '../ids.js';
import { SMALL_MAX } from '../limits.js';
import type { Link } from '../net/link.js';
import { type SmallFile, writeSmallBatch } from '../share/partial-small.js';
import { Batch, type BatchEffect, type BatchEvent } from '../transfer/batch.js';
import { idOfSmall } from '../transfer/content.js';
import type { MessageOf } from '../wire/table.js';
import { Alarm } from './alarm.js';
import type { FetchContext } from './context.js';
import { type Answer, errorOf } from './requests.js';
import { Turns } from './turns.js';

export interface SmallJob {
  path: string;
  size: number;
  id: string | null;
  sources: PeerId[];
}

export interface SmallEvents {
  /** Where a file is to land; called when its bytes are here. @throws HearsayError that fails this file */
  place(job: number): Promise<Omit<SmallFile, 'data' | 'mtime' | 'executable'>>;
  done(job: number, file: string, size: number, id: string, received: number, source: PeerName): void;
  failed(job: number, error: HearsayError): void;
  dropped(source: PeerName, code: Code, message: string): void;
}

interface Source {
  peer: PeerId;
  link: Link;
  /** Files of each open request, by its number, with how many of them are still to come. */
  requests: Map<number, { files: number[]; left: number }>;
}

const RETRIES = 3;
const RETRY_MS = 500;
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
  #lastArrival = performance.now();
  #lastHeard = 0;
  #over = false;
  #settle!: { resolve(): void; reject(error: HearsayError): void };
  /** Bundles are written in the order of their coming. */
  #writing: Promise<void> = Promise.resolve();

  constructor(
    jobs: readonly SmallJob[],
    context: FetchContext,
    events: SmallEvents,
    options: { timeout: number; signal: AbortSignal },
  ) {
    this.#jobs = jobs;
    this.#context = context;
    this.#events = events;
    this.#timeout = options.timeout;
    this.#signal = options.signal;
    this.#batch = new Batch(jobs.map(({ size, sources }) => ({ size, peers: sources })));
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
          const now = performance.now();
          const isSlow = now - this.#lastHeard < this.#timeout && now - this.#lastArrival < SLOW_MOST * this.#timeout;
          if (now - this.#lastArrival < this.#timeout || isSlow) return;
          reject(new HearsayError('timeout', `nothing arrived for ${Math.round(this.#timeout / 1000)} s`));
        }, 500);
        this.#stops.push(() => clearInterval(watch));
        for (const peer of this.#batch.peers) this.#add(peer);
        this.#dispatch({ kind: 'timer' });
      });
    } finally {
      this.#over = true;
      // What is being written is finished, and told of.
      await this.#writing;
      this.#alarm.stop();
      for (const stop of this.#stops) stop();
      for (const { link, requests } of this.#sources.values()) {
        for (const number of requests.keys()) {
          this.#context.requests.close(link, number);
          link.send({ type: 'X', number });
        }
      }
    }
  }

  #add(peer: PeerId): void {
    this.#context.connect(peer).then(
      (link) => {
        if (this.#over) return;
        this.#sources.set(peer, { peer, link, requests: new Map() });
        this.#dispatch({ kind: 'source', peer });
      },
      (thrown) => this.#lost(peer, asHearsayError(thrown, 'unreachable')),
    );
  }

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
    const timer = setTimeout(() => this.#add(peer), RETRY_MS * 2 ** (tries - 1));
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
    source.requests.set(number, { files, left: files.length });
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
      for (const file of request.files) this.#failed(file, source.peer, error);
      return;
    }
    if (message.type !== 'U') return;
    // What was not asked for, or has come, is no sign that it goes on.
    const isNews = message.files.some(({ place }) => this.#batch.expects(request.files[place], source.peer));
    if (isNews) this.#lastArrival = performance.now();
    // The frame's bytes are lent, and the disk takes its time.
    const data = Buffer.from(message.data);
    this.#writing = this.#writing
      .then(() => this.#bundle(source, number, request, message.files, data))
      .catch((thrown) => this.#settle.reject(asHearsayError(thrown)));
  }

  #failed(file: number, peer: PeerId, error: HearsayError): void {
    if (!this.#batch.expects(file, peer)) return;
    this.#errors.set(file, error);
    this.#dispatch({ kind: 'settled', file, peer, code: error.code });
  }

  async #bundle(
    source: Source,
    number: number,
    request: { files: number[]; left: number },
    entries: MessageOf<'U'>['files'],
    data: Buffer,
  ): Promise<void> {
    if (this.#over) return;
    let at = 0;
    const ready: { file: number; id: string; write: SmallFile }[] = [];
    for (const entry of entries) {
      const file = request.files[entry.place];
      const part = data.subarray(at, at + entry.size);
      at += entry.size;
      if (file === undefined || !this.#batch.expects(file, source.peer)) continue;
      const job = this.#jobs[file];
      if (entry.code !== '') {
        const code = isCode(entry.code) ? entry.code : 'failed';
        this.#failed(file, source.peer, new HearsayError(code, `${job.path}: ${code} at its source`));
        continue;
      }
      const id = idOfSmall(part);
      if (part.length !== entry.size || part.length > SMALL_MAX || id !== (job.id ?? entry.id)) {
        this.#failed(file, source.peer, new HearsayError('wrong-content', `${job.path} does not fit its content id`));
        continue;
      }
      try {
        const spot = await this.#events.place(file);
        ready.push({ file, id, write: { ...spot, data: part, mtime: entry.mtime, executable: entry.executable } });
      } catch (thrown) {
        this.#failed(file, source.peer, asHearsayError(thrown));
      }
    }
    const results = await writeSmallBatch(ready.map(({ write }) => write));
    // A file given to two sources may have come from both; the first counts.
    for (const [i, result] of results.entries()) {
      const { file, id, write } = ready[i];
      if (result instanceof HearsayError) {
        this.#failed(file, source.peer, result);
        continue;
      }
      const size = write.data.length;
      this.#events.done(file, result, size, id, size, this.#context.nameOf(source.peer));
      this.#dispatch({ kind: 'settled', file, peer: source.peer, code: undefined });
    }
    source.link.send({ type: 'A', number, done: entries.map((entry) => entry.place) });
    request.left -= entries.length;
    if (request.left <= 0) {
      source.link.send({ type: 'A', number, done: [] });
      this.#context.requests.close(source.link, number);
      source.requests.delete(number);
    }
  }
}
