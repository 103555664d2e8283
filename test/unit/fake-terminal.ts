/** A terminal that is not real: what a program writes to it, as it would be seen; and what is typed at it. */
import { PassThrough } from 'node:stream';
import { FakeIo } from './cli-fake.js';

// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what terminals are told by.
const SEQUENCE = /^\x1b\[([0-9;?]*)([A-Za-z])/;

/**
 * The lines that a terminal shows, those that scrolled away too.
 * @param text all that was written to it; one column a character
 */
export function seen(text: string, columns: number): string[] {
  const lines: string[][] = [[]];
  let row = 0;
  let column = 0;
  const put = (char: string) => {
    // At the last column the next character wraps.
    if (column === columns) [row, column] = [row + 1, 0];
    while (lines.length <= row) lines.push([]);
    while (lines[row].length < column) lines[row].push(' ');
    lines[row][column++] = char;
  };
  for (let i = 0; i < text.length; i++) {
    const sequence = SEQUENCE.exec(text.slice(i, i + 32));
    if (sequence) {
      i += sequence[0].length - 1;
      const n = Number(sequence[1] || 1);
      if (sequence[2] === 'A') row = Math.max(0, row - n);
      else if (sequence[2] === 'B') row += n;
      else if (sequence[2] === 'C') column = Math.min(columns - 1, column + n);
      else if (sequence[2] === 'D') column = Math.max(0, column - n);
      else if (sequence[2] === 'G') column = n - 1;
      else if (sequence[2] === 'J') {
        lines.length = Math.min(lines.length, row + 1);
        lines[row]?.splice(column);
      } else if (sequence[2] === 'K') lines[row]?.splice(column);
      else if (sequence[2] !== 'm') throw new Error(`what is ${JSON.stringify(sequence[0])}?`);
    } else if (text[i] === '\r') column = 0;
    else if (text[i] === '\n') {
      [row, column] = [row + 1, 0];
      while (lines.length <= row) lines.push([]);
    } else put(text[i]);
  }
  return lines.map((line) => line.join('').trimEnd());
}

/** A process at a terminal. */
export class FakeTerminal {
  readonly io = new FakeIo();
  readonly #keys = Object.assign(new PassThrough(), { isTTY: true, setRawMode: () => {} });

  constructor(columns = 80) {
    this.io.stdin = this.#keys;
    this.io.now = Date.now;
    for (const sink of [this.io.stdout, this.io.stderr]) sink.isTTY = true;
    this.io.stdout.columns = columns;
    // Both end at one screen.
    this.io.stderr.write = (data) => this.io.stdout.write(data);
  }

  /** As if typed, key after key. */
  type(text: string): void {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: keys that are more than one character begin with it.
    for (const key of text.match(/\x1b\[.|[\s\S]/gu) ?? []) this.#keys.write(key);
  }

  /** As if pasted: all at once. */
  paste(text: string): void {
    this.#keys.write(text);
  }

  /** What is to be seen. */
  get lines(): string[] {
    return seen(this.io.stdout.text, this.io.stdout.columns);
  }

  /** The last line in which something stands. */
  get last(): string {
    return this.lines.findLast((line) => line !== '') ?? '';
  }

  /** Waits until something is to be seen. @throws Error with what is seen instead */
  async until(fits: RegExp | ((lines: string[]) => boolean), ms = 20_000): Promise<void> {
    const end = performance.now() + ms;
    const test = typeof fits === 'function' ? fits : (lines: string[]) => lines.some((line) => fits.test(line));
    while (!test(this.lines)) {
      if (performance.now() > end) throw new Error(`waited for ${fits}, and saw\n${this.lines.join('\n')}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}
