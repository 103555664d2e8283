/** What a `get` tells as it goes, for people and for programs. */
import { basename, dirname, sep } from 'node:path';
import type { GetEvent, PeerName, SeedRow, TransferState } from '../api.js';
import { asHearsayError, type Code, HearsayError } from '../errors.js';
import { printable, printableJson } from '../names.js';
import type { Context } from './context.js';
import { count, formatDuration, formatRate, formatSize, peerLabel, peerList } from './format.js';
import { Gathered } from './gathered.js';
import { isScreen } from './output.js';
import { PROGRESS_MS, Progress, REDRAW_MS } from './progress.js';

/** Bytes below which a rate says more about the clock than about the network. */
const RATE_MIN = 64 * 1024;
/** Files up to which a terminal is told of each. */
const LINES_MAX = 20;

export interface Fetched {
  /** The code of the first file that failed, if any did. */
  failed: Code | undefined;
  /** Where the fetched files are. */
  files: string[];
  /** The first event. */
  start?: Extract<GetEvent, { event: 'start' }>;
  /** What is to be served from now on. */
  seeds: SeedRow[];
  /** The last event, which the caller prints. */
  end?: Extract<GetEvent, { event: 'end' }>;
}

export interface Follow {
  /** Lines of finished files go to standard error, because standard output is the file itself. */
  piped?: boolean;
  /** Called with the number of files before anything is fetched; may throw. */
  onStart?(files: number): void;
  /** Whether a running peer keeps it, and goes on when that is started again. */
  kept?: boolean;
  /** Whether it is followed only until it has begun. */
  brief?: boolean;
}

/** How one that is followed anew stands. */
export const STANDING: Record<TransferState, string> = {
  queued: 'waiting',
  running: 'under way',
  paused: 'held',
  done: 'done',
  failed: 'failed',
};

/** Takes a get's events to their end and prints them. @throws what the get throws */
export async function followGet(context: Context, events: AsyncIterable<GetEvent>, how: Follow = {}): Promise<Fetched> {
  const teller = new Teller(context, how);
  const timer = setInterval(() => teller.tick(), REDRAW_MS);
  try {
    for await (const event of events) {
      if (event.event === 'start') how.onStart?.(event.files);
      // Of most there is nothing to wait for, and of a crowd each waiting costs more than what it waits for.
      const told = teller.tell(event);
      if (told) await told;
      if (event.event === 'start' && how.brief) break;
    }
  } catch (error) {
    // The end of what was asked to end is no failure of its own.
    if (!context.signal.aborted) throw how.kept ? gone(error, teller.fetched) : error;
  } finally {
    clearInterval(timer);
    await teller.close();
  }
  return teller.fetched;
}

/** That the running peer has ended does not end what it keeps. */
function gone(error: unknown, { start }: Fetched): unknown {
  if (start?.number === undefined || asHearsayError(error).code !== 'cancelled') return error;
  const rest = `transfer ${start.number} goes on when it is started again`;
  return new HearsayError('not-running', `the peer that ran here has ended; ${rest}`, { cause: error });
}

/** The folder that all of some files are in. */
function commonFolder(files: readonly string[]): string {
  let common = dirname(files[0]);
  for (const file of files) {
    while (!file.startsWith(common + sep) && dirname(common) !== common) common = dirname(common);
  }
  return common;
}

class Teller {
  readonly fetched: Fetched = { failed: undefined, files: [], seeds: [] };
  readonly #context: Context;
  readonly #piped: boolean;
  readonly #brief: boolean;
  readonly #progress: Progress | undefined;
  /** Advice comes once for each code: a thousand files may fail in one way. */
  readonly #advised = new Set<Code>();
  /** Where there are too many files for a line each: what of them is told at the end. */
  #gathered: { already: number; from: Map<string, PeerName> } | undefined;
  #toldAt = Number.NEGATIVE_INFINITY;
  /** Lines of files that are done, where they are a record. */
  readonly #lines: Gathered;
  #startedAt: number;

  constructor(context: Context, how: Follow) {
    const { io, out } = context;
    this.#context = context;
    this.#lines = new Gathered(io.stdout);
    this.#piped = how.piped ?? false;
    this.#brief = how.brief ?? false;
    this.#startedAt = io.now();
    if (out.manner.json || out.manner.quiet || io.behind) return;
    const progress = new Progress(io.stderr, isScreen(io.stderr, io.env), out.noteStyle);
    this.#progress = progress;
    out.beforeLine = () => progress.clear();
  }

  tick(): void {
    this.#progress?.tick(this.#context.io.now());
  }

  async close(): Promise<void> {
    await this.#lines.flush();
    this.#progress?.clear();
    this.#context.out.beforeLine = () => {};
  }

  /** Tells of one. @returns to be waited for, where there is something to wait for */
  tell(event: GetEvent): Promise<void> | undefined {
    if (event.event !== 'done' || !this.#context.out.manner.json) return this.#tell(event);
    this.fetched.files.push(event.file);
    return this.#gather(printableJson(event));
  }

  async #tell(event: GetEvent): Promise<void> {
    const { out, io, signal } = this.#context;
    if (event.event === 'error') {
      // Every file that was under way ends so; it is told once, at the end.
      if (signal.aborted) return;
      this.fetched.failed ??= event.error.code;
    }
    if (event.event === 'start') this.fetched.start = event;
    if (event.event === 'seed') this.fetched.seeds.push(event.share);
    if (event.event === 'done') this.fetched.files.push(event.file);
    if (event.event === 'end') this.fetched.end = event;
    if (event.event !== 'done') await this.#lines.flush();
    if (!out.manner.json) return this.#say(event);
    if (event.event === 'end') return;
    if (event.event === 'progress') {
      const now = io.now();
      if (now - this.#toldAt < PROGRESS_MS) return;
      this.#toldAt = now;
    }
    await out.data(event);
  }

  async #say(event: GetEvent): Promise<void> {
    const { out, io } = this.#context;
    const { dim, green } = out.style;
    const now = io.now();
    switch (event.event) {
      case 'start':
        // What is left to the running peer is told of by who left it there.
        if (event.again && !this.#brief) {
          out.note(`transfer ${event.number} is ${STANDING[event.again]} already: this follows it`);
        }
        this.#startedAt = now;
        // What is written to a file or a pipe is a record, which stays whole.
        if (event.files > LINES_MAX && io.stdout.isTTY && !out.manner.verbose) {
          this.#gathered = { already: 0, from: new Map() };
        }
        this.#progress?.start(event.files, event.bytes, now);
        return;
      case 'progress':
        this.#progress?.update(event.path, event.verified, event.size, event.sources, now);
        return;
      case 'chunk': {
        const { path, chunk, chunks, bytes, source } = event;
        return out.log(`chunk ${chunk + 1} of ${chunks} of ${printable(path)}, ${bytes} B from ${peerLabel(source)}`);
      }
      case 'dropped':
        out.warn(`${peerLabel(event.source)} is no longer asked for ${event.path}: ${event.error.message}`);
        return;
      case 'done': {
        const { path, size, received, seconds, already, sources } = event;
        this.#progress?.finish(path, size, received, now);
        if (this.#gathered) {
          if (already) this.#gathered.already++;
          for (const source of sources) this.#gathered.from.set(source.id, source);
          return;
        }
        if (already) return this.#line(`${dim('already here')} ${printable(path)}`);
        const facts = [formatSize(size), formatDuration(seconds)];
        if (seconds > 0 && received >= RATE_MIN) facts.push(formatRate(received / seconds));
        facts.push(sources.length > 0 ? `from ${peerList(sources, 4)}` : 'from what was here');
        // A file that goes by another name than its path ends in says which.
        const as = basename(event.file) === path.slice(path.lastIndexOf('/') + 1) ? '' : ` as ${printable(event.file)}`;
        return this.#line(`${green('got')} ${printable(path)}${this.#piped ? '' : as} ${dim(`(${facts.join(', ')})`)}`);
      }
      case 'seed':
        out.note(`${printable(event.share.path)} is served from now on as ${printable(event.share.name)}`);
        return;
      case 'discarded':
        return this.#line(`discarded ${printable(event.path)}`);
      case 'warning':
        out.warn(event.message);
        return;
      case 'error':
        if (event.path !== undefined) this.#progress?.fail(event.path);
        return this.#error(event);
      case 'end':
        return this.#end(event.files, event.bytes, event.failed, now);
    }
  }

  /** The result of one file. */
  async #line(text: string): Promise<void> {
    const { out } = this.#context;
    if (this.#piped) return out.note(text);
    if (out.manner.quiet) return;
    await (this.#context.io.stdout.isTTY ? out.line(text) : this.#gather(text));
  }

  /** A line that others may follow at once. */
  #gather(line: string): Promise<void> | undefined {
    const written = this.#lines.add(line);
    return this.#lines.isFull ? written : undefined;
  }

  async #error({ path, error }: Extract<GetEvent, { event: 'error' }>): Promise<void> {
    const { out } = this.#context;
    const advise = !this.#advised.has(error.code);
    this.#advised.add(error.code);
    await out.error(new HearsayError(error.code, error.message), { path, advise });
  }

  #end(files: number, bytes: number, failed: number, now: number): void {
    const { out, signal } = this.#context;
    const gathered = this.#gathered;
    if (files + failed < 2 || (signal.aborted && !gathered)) return;
    const took = formatDuration((now - this.#startedAt) / 1000);
    const bad = failed > 0 ? `, ${failed.toLocaleString('en')} failed` : '';
    const where =
      this.#piped || this.fetched.files.length === 0 ? '' : `, in ${printable(commonFolder(this.fetched.files))}`;
    const from = gathered?.from.size ? ` from ${peerList([...gathered.from.values()], 4)}` : '';
    const already = gathered?.already ? `, ${gathered.already.toLocaleString('en')} of them already here` : '';
    // That it was interrupted is told after this.
    const part = signal.aborted ? `${files.toLocaleString('en')} of ` : '';
    const what = part + count(signal.aborted ? (this.fetched.start?.files ?? files) : files, 'file');
    out.note(`${what}, ${formatSize(bytes)}${from} in ${took}${already}${bad}${where}`);
  }
}
