/** A program that runs in a host of the lab, read line by line. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

export interface RunOptions {
  env?: Record<string, string>;
  cwd?: string;
}

export interface Exit {
  /** As a shell would tell it: 128 and the signal's number where a signal ended it. */
  code: number;
}

export interface Output extends Exit {
  stdout: string[];
  stderr: string[];
}

const SIGNALS: Partial<Record<NodeJS.Signals, number>> = { SIGHUP: 1, SIGINT: 2, SIGKILL: 9, SIGPIPE: 13, SIGTERM: 15 };
/** Lines kept of each stream; what came before is dropped. */
const LINES_MAX = 100_000;

export class LabProcess {
  readonly stdout: string[] = [];
  readonly stderr: string[] = [];
  /** Settles once the program has ended and all it wrote was read. Never rejects. */
  readonly exited: Promise<Exit>;
  readonly #child: ChildProcess;
  readonly #title: string;
  readonly #watchers = new Set<() => void>();
  #exit: Exit | undefined;

  constructor(command: string, args: readonly string[], options: RunOptions, title: string) {
    this.#title = title;
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], env: options.env, cwd: options.cwd });
    this.#child = child;
    for (const name of ['stdout', 'stderr'] as const) {
      createInterface({ input: child[name], crlfDelay: Number.POSITIVE_INFINITY }).on('line', (line) => {
        if (this[name].push(line) > LINES_MAX) this[name].shift();
        this.#wake();
      });
    }
    // A program that has gone does not read any more; that is no error here.
    child.stdin.on('error', () => {});
    this.exited = new Promise((resolve) => {
      const end = (exit: Exit) => {
        this.#exit ??= exit;
        this.#wake();
        resolve(this.#exit);
      };
      child.once('error', (error) => {
        this.stderr.push(String(error));
        end({ code: 127 });
      });
      child.once('close', (code, signal) => end({ code: code ?? 128 + ((signal && SIGNALS[signal]) || 0) }));
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get running(): boolean {
    return this.#exit === undefined;
  }

  /** Sends a signal; nothing where the program has ended. */
  kill(signal: NodeJS.Signals = 'SIGTERM'): void {
    if (this.running) this.#child.kill(signal);
  }

  /** Writes a line to the program's standard input. */
  type(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  /** Ends the program's standard input. */
  endInput(): void {
    this.#child.stdin?.end();
  }

  /**
   * The first line, of those that came already or will come, that fits.
   * @param ms how long at most
   * @throws Error with the output so far, when it does not come in time or the program ends without it
   */
  waitFor(fits: RegExp | ((line: string) => boolean), ms: number, stream?: 'stdout' | 'stderr'): Promise<string> {
    const test = typeof fits === 'function' ? fits : (line: string) => fits.test(line);
    const find = () =>
      (stream === 'stderr' ? undefined : this.stdout.find(test)) ??
      (stream === 'stdout' ? undefined : this.stderr.find(test));
    return this.#until(find, ms, String(fits));
  }

  /** Waits for the end. @throws Error with the output so far, when it has not ended in time */
  async waitForExit(ms: number): Promise<Exit> {
    return this.#until(() => this.#exit, ms, 'its end');
  }

  /** What it wrote lately, for the message of a failed test. */
  tail(): string {
    const last = (lines: string[]) => lines.slice(-20).map((line) => `  ${line}`);
    return [`${this.#title}:`, ...last(this.stdout), '  --- standard error', ...last(this.stderr)].join('\n');
  }

  #wake(): void {
    for (const watcher of this.#watchers) watcher();
  }

  #until<T>(find: () => T | undefined, ms: number, what: string): Promise<T> {
    return new Promise((resolve, reject) => {
      const settle = (how: () => void) => {
        clearTimeout(timer);
        this.#watchers.delete(look);
        how();
      };
      const fail = (why: string) => settle(() => reject(new Error(`waiting for ${what}: ${why}\n${this.tail()}`)));
      const look = () => {
        const found = find();
        if (found !== undefined) settle(() => resolve(found));
        else if (this.#exit) fail(`it ended with ${this.#exit.code}`);
      };
      const timer = setTimeout(() => fail(`not within ${ms} ms`), ms);
      this.#watchers.add(look);
      look();
    });
  }
}
