/**
 * What a command that runs at the console runs in: the console's own streams, and a Ctrl-C of its own.
 * Owns whom that interrupts. Always true: of one that was left nothing is printed any more. Made by the console.
 */
import { HearsayError } from '../errors.js';
import { Above, type Prompt } from './console-prompt.js';
import type { Io, Sink, Source } from './io.js';

/** Why a command is to end. */
export type Why = 'interrupt' | 'end';

export class CommandIo implements Io {
  readonly stdin: Source;
  readonly stdout: Sink;
  readonly stderr: Sink;
  readonly behind: boolean;
  readonly #io: Io;
  readonly #above: Above[] = [];
  readonly #handlers = new Set<(why: Why) => void>();

  /** @param stdin what the command reads instead of the console's own */
  constructor(io: Io, prompt: Prompt, stdin: Source) {
    this.#io = io;
    this.stdin = stdin;
    this.behind = prompt.isTyped;
    // Where both end at the terminal, the line that is being typed is in the way of both.
    const sinkOf = (sink: Sink): Sink => {
      if (!prompt.isTyped || !sink.isTTY) return sink;
      const above = new Above(prompt, sink);
      this.#above.push(above);
      return above;
    };
    this.stdout = sinkOf(io.stdout);
    this.stderr = sinkOf(io.stderr);
  }

  get env(): Io['env'] {
    return this.#io.env;
  }

  get cwd(): string {
    return this.#io.cwd;
  }

  get version(): string {
    return this.#io.version;
  }

  now(): number {
    return this.#io.now();
  }

  onSignal(handler: (why?: Why) => void): () => void {
    this.#handlers.add(handler);
    return () => this.#handlers.delete(handler);
  }

  /** A hangup ends the console, and with it what it runs. */
  onHangup(): () => void {
    return () => {};
  }

  onContinue(handler: () => void): () => void {
    return this.#io.onContinue(handler);
  }

  /** What is typed is for the console. */
  async isForeground(): Promise<boolean> {
    return false;
  }

  /** Has the command end, as Ctrl-C does, or as the end of its terminal does, which a running peer's work outlasts. */
  signal(why: Why): void {
    for (const handler of [...this.#handlers]) handler(why);
  }

  /** Waits for something, unless it is to end. @throws HearsayError `interrupted` */
  async within<T>(work: Promise<T>): Promise<T> {
    let off = () => {};
    const interrupted = new Promise<never>((_, reject) => {
      off = this.onSignal(() => reject(new HearsayError('interrupted', 'interrupted')));
    });
    try {
      return await Promise.race([work, interrupted]);
    } finally {
      off();
    }
  }

  /** Prints what has no end of line yet. */
  async end(): Promise<void> {
    for (const above of this.#above) await above.end();
  }

  /** Has the command end without another word. */
  leave(): void {
    for (const above of this.#above) above.mute();
    this.signal('end');
  }
}
