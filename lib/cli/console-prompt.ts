/**
 * The line at which one types, and what is printed above it.
 *
 * Owns the reading of standard input and, on a terminal, the line that is being typed. Always true: what is printed never lands within
 * what is being typed, which stands below it again with its cursor; lines are given one at a time, in their order; those typed ahead are
 * bounded. Where there is no terminal, lines are read as they come, and what is printed is all that is written. Called by the console.
 */
import { clearScreenDown, createInterface, cursorTo, type Interface, moveCursor } from 'node:readline';
import { Writable } from 'node:stream';
import { CONSOLE_HISTORY_MAX, CONSOLE_LINES_MAX } from '../limits.js';
import type { Io, Sink } from './io.js';
import { isScreen } from './output.js';

/** The ends of the word at the end of a line, and that word as it stands. */
export type Complete = (line: string) => Promise<[string[], string]>;

export interface PromptOptions {
  /** What stands before what is typed. */
  prompt: string;
  complete: Complete;
  /** The newest first. */
  history: string[];
  /** A line was typed, not only read. */
  onTyped(line: string): void;
  /** Ctrl-C on an empty line. */
  onInterrupt(): void;
}

/** A sink as readline writes to it: what is written in one go goes out in one go. */
class Screen extends Writable {
  readonly #sink: Sink;
  readonly #offResize: () => void;
  readonly isTTY = true;

  /** @param resized called before others hear that it has another width */
  constructor(sink: Sink, resized: () => void) {
    super({ decodeStrings: false });
    this.#sink = sink;
    this.#offResize = sink.onResize(() => {
      resized();
      this.emit('resize');
    });
  }

  get columns(): number {
    return this.#sink.columns;
  }

  override _write(chunk: string | Uint8Array, _encoding: string, done: () => void): void {
    void this.#sink.write(chunk).then(done);
  }

  override _writev(chunks: { chunk: string | Uint8Array }[], done: () => void): void {
    void this.#sink.write(chunks.map(({ chunk }) => String(chunk)).join('')).then(done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#offResize();
    done(error);
  }
}

/** Whether somebody types at a terminal. */
export function isAtTerminal({ stdin, stdout, env }: Io): boolean {
  return stdin.isTTY === true && isScreen(stdout, env);
}

export class Prompt {
  /** Whether somebody types at a terminal. */
  readonly isTyped: boolean;
  readonly #io: Io;
  readonly #options: PromptOptions;
  readonly #screen: Screen | undefined;
  readonly #reading: Interface;
  readonly #lines: string[] = [];
  #wake: () => void = () => {};
  #isOver = false;
  /** Whether the prompt stands there. */
  #isShown = false;
  #isTooMany = false;

  constructor(io: Io, options: PromptOptions) {
    this.#io = io;
    this.#options = options;
    this.isTyped = isAtTerminal(io);
    const { complete, history } = options;
    if (this.isTyped) {
      this.#screen = new Screen(io.stdout, () => this.#resized());
      this.#reading = createInterface({
        input: io.stdin,
        output: this.#screen,
        terminal: true,
        // It stands there when it is its turn.
        prompt: '',
        history,
        historySize: CONSOLE_HISTORY_MAX,
        completer: (line: string, done: (error: null, found: [string[], string]) => void) => {
          complete(line).then(
            (found) => done(null, found),
            () => done(null, [[], line]),
          );
        },
      });
      this.#reading.on('SIGINT', () => this.#interrupt());
    } else {
      this.#reading = createInterface({ input: io.stdin, terminal: false, crlfDelay: Number.POSITIVE_INFINITY });
    }
    this.#reading.on('line', (line) => this.#take(line));
    this.#reading.on('close', () => this.#end());
  }

  /**
   * The next line.
   * @returns undefined when there are no more, or the signal is aborted
   */
  async next(signal: AbortSignal): Promise<string | undefined> {
    this.#show(this.#options.prompt);
    const wake = () => this.#wake();
    signal.addEventListener('abort', wake);
    try {
      while (this.#lines.length === 0 && !this.#isOver && !signal.aborted) {
        if (!this.isTyped) this.#reading.resume();
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
      if (signal.aborted) return undefined;
      // While it is done what is typed stands alone, as it is not its turn yet.
      this.#isShown = false;
      this.#reading.setPrompt('');
      return this.#lines.shift();
    } finally {
      signal.removeEventListener('abort', wake);
    }
  }

  /** Prints whole lines above what is being typed. The caller has made them printable. */
  async print(text: string): Promise<void> {
    const screen = this.#screen;
    if (!screen || this.#isOver) return this.#io.stdout.write(text);
    const { rows } = this.#reading.getCursorPos();
    // How far readline will go up to what it believes to be its first line: less, where several keys came at once.
    const { prevRows = rows } = this.#reading as { prevRows?: number };
    screen.cork();
    moveCursor(screen, 0, -rows);
    cursorTo(screen, 0);
    clearScreenDown(screen);
    const written = new Promise<void>((resolve) => {
      screen.write(text + '\n'.repeat(prevRows), () => resolve());
    });
    this.#reading.prompt(true);
    screen.uncork();
    await written;
  }

  /**
   * The terminal has wrapped what stands there anew: it takes other rows than readline believes, which would go up too far and
   * erase what is above.
   */
  #resized(): void {
    const reading = this.#reading as { prevRows?: number };
    if (reading.prevRows !== undefined) reading.prevRows = this.#reading.getCursorPos().rows;
  }

  close(): void {
    this.#reading.close();
    this.#screen?.destroy();
  }

  /** No more lines come: what is printed from now on begins on a line of its own. */
  #end(): void {
    this.#isOver = true;
    if (this.#isShown) void this.#io.stdout.write('\n');
    this.#wake();
  }

  #show(prompt: string): void {
    if (!this.isTyped || this.#isOver) return;
    this.#isShown = true;
    this.#reading.setPrompt(prompt);
    this.#reading.prompt(true);
  }

  #take(line: string): void {
    if (this.#lines.length >= CONSOLE_LINES_MAX) {
      if (this.isTyped && !this.#isTooMany)
        void this.print(`more than ${CONSOLE_LINES_MAX} lines at once: the rest is left out\n`);
      this.#isTooMany = true;
      // What is piped in waits; what a pipe had brought already is little.
      if (this.isTyped) return;
    } else this.#isTooMany = false;
    if (this.isTyped) this.#options.onTyped(line);
    else this.#reading.pause();
    this.#lines.push(line);
    this.#wake();
  }

  /** Ctrl-C: what is typed is taken back; where nothing is, it is for others. */
  #interrupt(): void {
    if (this.#reading.line === '') {
      this.#options.onInterrupt();
      return;
    }
    this.#reading.write(null, { ctrl: true, name: 'e' });
    this.#reading.write(null, { ctrl: true, name: 'u' });
  }
}

/** The sinks of a command that runs at the prompt: its whole lines are printed above. */
export class Above implements Sink {
  readonly #prompt: Prompt;
  readonly #sink: Sink;
  /** A line that is not whole yet. */
  #rest = '';
  #isMute = false;

  /** @param sink what it stands for */
  constructor(prompt: Prompt, sink: Sink) {
    this.#prompt = prompt;
    this.#sink = sink;
  }

  get isTTY(): boolean {
    return this.#sink.isTTY;
  }

  get columns(): number {
    return this.#sink.columns;
  }

  get rows(): number {
    return this.#sink.rows;
  }

  get closed(): boolean {
    return this.#sink.closed;
  }

  get fault(): Sink['fault'] {
    return this.#sink.fault;
  }

  async write(data: string | Uint8Array): Promise<void> {
    if (this.#isMute) return;
    const text = this.#rest + (typeof data === 'string' ? data : Buffer.from(data).toString());
    const end = text.lastIndexOf('\n') + 1;
    this.#rest = text.slice(end);
    if (end > 0) await this.#prompt.print(text.slice(0, end));
  }

  onResize(handler: () => void): () => void {
    return this.#sink.onResize(handler);
  }

  /** Prints nothing any more. */
  mute(): void {
    this.#isMute = true;
    this.#rest = '';
  }

  /** Prints what has no end yet. */
  async end(): Promise<void> {
    if (this.#rest !== '') await this.write('\n');
  }
}
