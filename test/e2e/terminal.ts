/**
 * A program on a terminal, by script(1) of Linux. Owns the process, which ends with the test. Always true: `shown` is all
 * that the terminal was sent. Called by the tests of what people type.
 */
import { spawn } from 'node:child_process';
import type { ExecutionContext } from 'ava';

export class Terminal {
  shown = '';
  readonly #write: (text: string) => void;

  /** @param words the program and its words, none of which a shell would take for more than it is */
  constructor(t: ExecutionContext, words: readonly string[], how: { env: Record<string, string>; cwd: string }) {
    const child = spawn('script', ['-qec', `stty cols 160 rows 50; exec ${words.join(' ')}`, '/dev/null'], how);
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.shown += text;
    });
    child.stdin.on('error', () => {});
    this.#write = (text) => child.stdin.write(text);
    const ended = new Promise<void>((resolve) => {
      child.once('close', () => resolve());
    });
    t.teardown(async () => {
      child.kill('SIGKILL');
      await ended;
    });
  }

  /** As from the keyboard: `\r` is Enter, `\t` is Tab. */
  type(text: string): void {
    this.#write(text);
  }
}
