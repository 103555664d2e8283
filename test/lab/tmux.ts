/**
 * A terminal of a host, by tmux: what is typed there, and what is to be seen.
 * Owns the tmux server. Always true: nothing of it is left after `close`. Called by the tests of what people type.
 */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Host } from './lab.js';
import { SYSTEM } from './namespace.js';
import type { RunOptions } from './process.js';

const execute = promisify(execFile);
/** Between two looks, ms. */
const LOOK_MS = 50;

export class Tmux {
  readonly #socket: string;

  private constructor(socket: string) {
    this.#socket = socket;
  }

  /** Opens a terminal of 80 columns on a host, and runs a program there. @param argv without what a shell would take for more */
  static async open(host: Host, argv: readonly string[], options: RunOptions = {}): Promise<Tmux> {
    const socket = join(host.folder, 'tmux');
    const session = ['new-session', '-d', '-x', '80', '-y', '40', argv.join(' ')];
    // What has ended goes on showing what it showed.
    const kept = ['set-option', '-g', 'remain-on-exit', 'on', ';', 'set-option', '-g', 'history-limit', '5000', ';'];
    const started = await host.run(
      ['tmux', '-S', socket, '-f', '/dev/null', 'start-server', ';', ...kept, ...session],
      10_000,
      options,
    );
    if (started.code !== 0) throw new Error(`tmux: ${[...started.stdout, ...started.stderr].join('\n')}`);
    return new Tmux(socket);
  }

  /** As if typed. */
  async type(text: string): Promise<void> {
    await this.#tmux('send-keys', '-l', text);
  }

  /** A key by tmux's name for it: `Enter`, `C-c`, `Tab`. */
  async press(key: string): Promise<void> {
    await this.#tmux('send-keys', key);
  }

  /** As if typed, with Enter. */
  async enter(text: string): Promise<void> {
    await this.type(text);
    await this.press('Enter');
  }

  /** All lines, those that scrolled away too. */
  async lines(): Promise<string[]> {
    const text = await this.#tmux('capture-pane', '-p', '-S', '-');
    return text.trimEnd().split('\n');
  }

  /** Waits until something is to be seen. @throws Error with what is seen instead */
  async until(fits: RegExp | ((lines: string[]) => boolean), ms: number): Promise<string[]> {
    const end = performance.now() + ms;
    const test = typeof fits === 'function' ? fits : (lines: string[]) => lines.some((line) => fits.test(line));
    for (;;) {
      const lines = await this.lines();
      if (test(lines)) return lines;
      if (performance.now() > end) throw new Error(`waited for ${fits}, and saw\n${lines.join('\n')}`);
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  /** Waits for the program's end. @returns its exit status @throws Error with what is seen when it does not come in time */
  async ended(ms: number): Promise<number> {
    const end = performance.now() + ms;
    for (;;) {
      const [dead, status] = (await this.#tmux('display-message', '-p', '#{pane_dead} #{pane_dead_status}')).split(' ');
      if (dead === '1') return Number(status);
      if (performance.now() > end) throw new Error(`waited for its end, and saw\n${(await this.lines()).join('\n')}`);
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  async close(): Promise<void> {
    await this.#tmux('kill-server').catch(() => {});
  }

  async #tmux(...args: string[]): Promise<string> {
    const { stdout } = await execute('tmux', ['-S', this.#socket, ...args], {
      env: SYSTEM.env,
      maxBuffer: 16 * 2 ** 20,
    });
    return stdout;
  }
}
