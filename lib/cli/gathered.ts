/**
 * Lines that come in crowds, as one for each of thousands of files: those of one turn of the event loop are written together.
 * Owns the lines that are not written yet. Always true: they are written in their order, at the end of the turn at the latest, and
 * nobody holds more than FULL characters who waits as soon as `isFull`. Called by the commands that tell of files.
 */
import type { Sink } from './io.js';

const FULL = 65_536;

export class Gathered {
  readonly #sink: Sink;
  #text = '';
  #written: Promise<void> | undefined;

  constructor(sink: Sink) {
    this.#sink = sink;
  }

  /** Whether it is time to wait for the reader. */
  get isFull(): boolean {
    return this.#text.length >= FULL;
  }

  /** Takes a line, without its end. Resolves when it is written. */
  add(line: string): Promise<void> {
    this.#text += `${line}\n`;
    // After all that follows from what is happening now.
    this.#written ??= new Promise<void>((resolve) => process.nextTick(resolve)).then(() => this.flush());
    return this.#written;
  }

  /** Writes what there is: to be called before anything else is written. */
  async flush(): Promise<void> {
    this.#written = undefined;
    const text = this.#text;
    this.#text = '';
    if (text !== '') await this.#sink.write(text);
  }
}
