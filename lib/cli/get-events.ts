/** What a `get` tells as it goes, for people and for programs. */
import { basename, dirname, sep } from 'node:path';
import type { GetEvent } from '../api.js';
import { type Code, HearsayError } from '../errors.js';
import { printable } from '../names.js';
import type { Context } from './context.js';
import { count, formatDuration, formatRate, formatSize, peerLabel, peerList } from './format.js';
import { isScreen } from './output.js';
import { Progress, REDRAW_MS } from './progress.js';

/** Milliseconds between two `progress` objects of --json. */
const PROGRESS_MS = 250;

/** Bytes below which a rate says more about the clock than about the network. */
const RATE_MIN = 64 * 1024;

export interface Fetched {
  /** The code of the first file that failed, if any did. */
  failed: Code | undefined;
  /** Where the fetched files are. */
  files: string[];
  /** The last event, which the caller prints. */
  end?: Extract<GetEvent, { event: 'end' }>;
}

export interface Follow {
  /** Lines of finished files go to standard error, because standard output is the file itself. */
  piped?: boolean;
  /** Called with the number of files before anything is fetched; may throw. */
  onStart?(files: number): void;
}

/** Takes a get's events to their end and prints them. @throws what the get throws */
export async function followGet(context: Context, events: AsyncIterable<GetEvent>, how: Follow = {}): Promise<Fetched> {
  const teller = new Teller(context, how);
  const timer = setInterval(() => teller.tick(), REDRAW_MS);
  try {
    for await (const event of events) {
      if (event.event === 'start') how.onStart?.(event.files);
      await teller.tell(event);
    }
  } catch (error) {
    // The end of what was asked to end is no failure of its own.
    if (!context.signal.aborted) throw error;
  } finally {
    clearInterval(timer);
    teller.close();
  }
  return teller.fetched;
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
  readonly fetched: Fetched = { failed: undefined, files: [] };
  readonly #context: Context;
  readonly #piped: boolean;
  readonly #progress: Progress | undefined;
  /** Advice comes once for each code: a thousand files may fail in one way. */
  readonly #advised = new Set<Code>();
  #toldAt = Number.NEGATIVE_INFINITY;
  #startedAt: number;

  constructor(context: Context, how: Follow) {
    const { io, out } = context;
    this.#context = context;
    this.#piped = how.piped ?? false;
    this.#startedAt = io.now();
    if (out.manner.json || out.manner.quiet) return;
    const progress = new Progress(io.stderr, isScreen(io.stderr, io.env), out.noteStyle);
    this.#progress = progress;
    out.beforeLine = () => progress.clear();
  }

  tick(): void {
    this.#progress?.tick(this.#context.io.now());
  }

  close(): void {
    this.#progress?.clear();
    this.#context.out.beforeLine = () => {};
  }

  async tell(event: GetEvent): Promise<void> {
    const { out, io, signal } = this.#context;
    if (event.event === 'error') {
      // Every file that was under way ends so; it is told once, at the end.
      if (signal.aborted) return;
      this.fetched.failed ??= event.error.code;
    }
    if (event.event === 'done') this.fetched.files.push(event.file);
    if (event.event === 'end') this.fetched.end = event;
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
        this.#startedAt = now;
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
        if (already) return this.#line(`${dim('already here')} ${printable(path)}`);
        const facts = [formatSize(size), formatDuration(seconds)];
        if (seconds > 0 && received >= RATE_MIN) facts.push(formatRate(received / seconds));
        facts.push(sources.length > 0 ? `from ${peerList(sources, 4)}` : 'from what was here');
        // A file that goes by another name than its path ends in says which.
        const as = basename(event.file) === path.slice(path.lastIndexOf('/') + 1) ? '' : ` as ${printable(event.file)}`;
        return this.#line(`${green('got')} ${printable(path)}${this.#piped ? '' : as} ${dim(`(${facts.join(', ')})`)}`);
      }
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
    if (!out.manner.quiet) await out.line(text);
  }

  async #error({ path, error }: Extract<GetEvent, { event: 'error' }>): Promise<void> {
    const { out } = this.#context;
    const advise = !this.#advised.has(error.code);
    this.#advised.add(error.code);
    await out.error(new HearsayError(error.code, error.message), { path, advise });
  }

  #end(files: number, bytes: number, failed: number, now: number): void {
    const { out, signal } = this.#context;
    if (files + failed < 2 || signal.aborted) return;
    const took = formatDuration((now - this.#startedAt) / 1000);
    const bad = failed > 0 ? `, ${failed} failed` : '';
    const where = this.#piped || files === 0 ? '' : `, in ${printable(commonFolder(this.fetched.files))}`;
    out.note(`${count(files, 'file')}, ${formatSize(bytes)} in ${took}${bad}${where}`);
  }
}
