/**
 * One run of one command: its manner, its session, its interruption.
 * Owns the session and the trace of it. Always true: after `close` nothing of them is left. Made by main.ts.
 */
import type { Command } from 'commander';
import { DETACHED } from '../detached.js';
import { type Code, HearsayError } from '../errors.js';
import type { Connect, Io, Session, Wanted } from './io.js';
import { type Common, readCommon } from './options.js';
import { Output } from './output.js';
import { printTrace } from './trace.js';

/** Runs the body of a command; what it throws is printed and decides the exit status. */
export type Perform = (command: Command, body: (context: Context) => Promise<void>) => Promise<void>;

/** A command as it is typed: `hearsay inbox accept`. */
export function typedName(command: Command): string {
  return command.parent ? `${typedName(command.parent)} ${command.name()}` : command.name();
}

export class Context {
  readonly io: Io;
  readonly common: Common;
  readonly out: Output;
  readonly #connect: Connect;
  readonly #interrupt = new AbortController();
  readonly #end = new AbortController();
  readonly #offSignal: () => void;
  /** What decides the exit status; undefined where all went well. */
  failure: Code | undefined;
  /** Set where others than a code decide the exit status. */
  status: number | undefined;
  #session: Session | undefined;
  #tracing: Promise<void> | undefined;

  constructor(command: Command, io: Io, connect: Connect) {
    this.io = io;
    this.common = readCommon(command, io.cwd);
    this.out = new Output(io, this.common);
    this.out.command = typedName(command);
    this.#connect = connect;
    // Who ends the command, or its terminal, does not mean what a running peer keeps.
    this.#offSignal = io.onSignal((why) => this.#interrupt.abort(why === 'end' ? DETACHED : undefined));
  }

  /** Aborted by Ctrl-C; with the reason DETACHED where the command is to end otherwise: its terminal was closed. */
  get signal(): AbortSignal {
    return this.#interrupt.signal;
  }

  /** Finds or starts what the command speaks to. */
  async session(
    mode: Wanted['mode'],
    more: Partial<Pick<Wanted, 'onEvent' | 'follow' | 'listens' | 'flags' | 'service' | 'onStop' | 'onWarning'>> = {},
  ) {
    const { flags, configFile } = this.common;
    const starting = this.#connect({
      mode,
      env: this.io.env,
      configFile,
      trace: this.common.trace,
      onWarning: (message) => this.out.warn(message),
      ...more,
      flags: { ...flags, ...more.flags },
    });
    // A peer that shares is let start whole, so that it can also stop whole.
    const lasts = mode === 'share' || mode === 'daemon' || mode === 'console';
    this.#session = await (lasts ? starting : this.within(starting));
    if (this.common.trace) this.#tracing = printTrace(this.#session.api, this.out, this.#end.signal);
    return this.#session;
  }

  /** Waits for something, unless interrupted. @throws HearsayError `interrupted` */
  async within<T>(work: Promise<T>): Promise<T> {
    const { signal } = this;
    let stop = () => {};
    const stopped = new Promise<never>((_, reject) => {
      stop = () => reject(new HearsayError('interrupted', 'interrupted'));
    });
    // Nobody may be waiting any more when it comes.
    stopped.catch(() => {});
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop);
    try {
      return await Promise.race([work, stopped]);
    } finally {
      signal.removeEventListener('abort', stop);
      work.catch(() => {});
    }
  }

  /** Notes a failure that has been told; the first decides the exit status. */
  failed(code: Code): void {
    this.failure ??= code;
  }

  /** Resolves at Ctrl-C. */
  async interrupted(): Promise<void> {
    if (this.signal.aborted) return;
    await new Promise<void>((resolve) => {
      this.signal.addEventListener('abort', () => resolve(), { once: true });
    });
  }

  async close(): Promise<void> {
    this.#end.abort();
    const session = this.#session;
    this.#session = undefined;
    await session?.close();
    await this.#tracing;
    this.#offSignal();
  }
}
