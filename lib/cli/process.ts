/**
 * The process that a command runs in: its streams and signals as an Io.
 * Owns the process's signal handlers. Always true: a second Ctrl-C ends the process at once, as does a first that nobody
 * waits for; a hangup is the same, but to a command that takes it for something else. Called by the programs in bin/.
 */
import { homedir } from 'node:os';
import type { WriteStream } from 'node:tty';
import { asHearsayError, exitStatus, type HearsayError } from '../errors.js';
import { isForeground } from './foreground.js';
import type { Io, Sink } from './io.js';

/** Milliseconds in which signals are one: the terminal and npm (or timeout) both pass on the same Ctrl-C. */
const ONE_SIGNAL_MS = 300;

class StreamSink implements Sink {
  readonly #stream: WriteStream;
  #closed = false;
  #fault: HearsayError | undefined;
  #release: () => void = () => {};
  readonly #gone: Promise<void>;

  constructor(stream: WriteStream) {
    this.#stream = stream;
    this.#gone = new Promise((resolve) => {
      this.#release = resolve;
    });
    stream.on('error', (error: NodeJS.ErrnoException) => {
      this.#closed = true;
      // Who read has what they wanted; Windows says EOF.
      if (error.code !== 'EPIPE' && error.code !== 'EOF') this.#fault = asHearsayError(error);
      this.#release();
    });
  }

  get isTTY(): boolean {
    return this.#stream.isTTY === true;
  }

  get columns(): number {
    return this.#stream.columns || 80;
  }

  get rows(): number {
    return this.#stream.rows || 24;
  }

  get closed(): boolean {
    return this.#closed;
  }

  get fault(): HearsayError | undefined {
    return this.#fault;
  }

  async write(data: string | Uint8Array): Promise<void> {
    if (this.#closed) return;
    const written = new Promise<void>((resolve) => {
      this.#stream.write(data, () => resolve());
    });
    // A pipe whose reader has gone may never call back.
    await Promise.race([written, this.#gone]);
  }

  onResize(handler: () => void): () => void {
    this.#stream.on('resize', handler);
    return () => this.#stream.off('resize', handler);
  }
}

/** The current folder; where it has been deleted, its name of before, which whoever needs it finds gone. */
function currentFolder(): string {
  try {
    return process.cwd();
  } catch {
    return process.env.PWD ?? homedir();
  }
}

/** @param version the program's version */
export function processIo(version: string, cwd = currentFolder()): Io {
  const handlers = new Set<(why: 'interrupt' | 'end') => void>();
  const hangups = new Set<() => void>();
  let told: number | undefined;
  const onSignal = (why: 'interrupt' | 'end') => {
    const now = performance.now();
    if (told !== undefined && now - told < ONE_SIGNAL_MS) return;
    if (told !== undefined || handlers.size === 0) process.exit(exitStatus('interrupted'));
    told = now;
    for (const handler of handlers) handler(why);
  };
  process.on('SIGINT', () => onSignal('interrupt'));
  process.on('SIGTERM', () => onSignal('end'));
  process.on('SIGHUP', () => {
    if (hangups.size === 0) onSignal('end');
    for (const handler of hangups) handler();
  });
  return {
    get stdin() {
      return process.stdin;
    },
    stdout: new StreamSink(process.stdout as WriteStream),
    stderr: new StreamSink(process.stderr as WriteStream),
    env: process.env,
    cwd,
    version,
    now: Date.now,
    onSignal(handler) {
      handlers.add(handler);
      return () => handlers.delete(handler);
    },
    onContinue(handler) {
      process.on('SIGCONT', handler);
      return () => process.off('SIGCONT', handler);
    },
    isForeground,
    onHangup(handler) {
      hangups.add(handler);
      return () => hangups.delete(handler);
    },
  };
}
