/**
 * Asks at the terminal of `share` whether what others want to send is taken: one question at a time, each on a line of its
 * own, so that whatever else is printed meanwhile leaves what is being typed alone; an answer is a line.
 * Owns what is still to be asked. Always true: an answer goes to the question that was asked last, or to the number that it
 * names. Where a question went away by itself, what comes next must name its number: it may have been meant for that one.
 * Called by `share` with each event of the inbox.
 */
import { createInterface, type Interface } from 'node:readline';
import type { AnsweredRow, AnswerQuery, InboxRow } from '../api.js';
import { asHearsayError } from '../errors.js';
import type { Io } from './io.js';
import type { Output } from './output.js';
import { offerOf } from './told.js';

const ANSWER = /^(y|yes|n|no)(?:\s+([1-9][0-9]{0,8}))?$/i;

export interface QuestionsOptions {
  io: Io;
  out: Output;
  /** Answers for the peer. */
  answer(query: AnswerQuery): Promise<AnsweredRow[]>;
}

export class Questions {
  readonly #options: QuestionsOptions;
  /** What waits, in the order in which it came; the peer bounds how much that is. */
  readonly #waiting = new Map<number, InboxRow>();
  #asked: InboxRow | undefined;
  /** The number that is being answered for. */
  #answering: number | undefined;
  #isUnsure = false;
  #typed: Interface | undefined;
  /** Whether standard input has come to its end. */
  #isEnded = false;
  readonly #offContinue: () => void;
  #closed = false;

  constructor(options: QuestionsOptions) {
    this.#options = options;
    // Ctrl-Z, then `bg` or `fg`.
    this.#offContinue = options.io.onContinue(() => void this.#listen());
  }

  /** Whether somebody can answer: at a terminal, to which the questions go as well. */
  static fits({ io, out }: Pick<QuestionsOptions, 'io' | 'out'>): boolean {
    const { json, quiet } = out.manner;
    return !json && !quiet && io.stdout.isTTY && io.stdin.isTTY === true;
  }

  /** Begins to listen to what is typed, if it is typed for this process. */
  start(): Promise<void> {
    return this.#listen();
  }

  /** Takes something that wants to be received, or what became of it. @returns whether a question says it already */
  tell(row: InboxRow): boolean {
    const { number, state } = row;
    if (state === 'waiting') {
      this.#waiting.set(number, row);
      if (!this.#typed || this.#asked) return false;
      this.#ask();
      return true;
    }
    this.#waiting.delete(number);
    if (this.#asked?.number === number && this.#answering !== number) {
      this.#isUnsure = true;
      this.#asked = undefined;
      // Once what happened to it has been printed.
      queueMicrotask(() => this.#ask());
    }
    return false;
  }

  close(): void {
    this.#closed = true;
    this.#offContinue();
    this.#hush();
  }

  /** In the background a process that reads what is typed is stopped by the system. */
  async #listen(): Promise<void> {
    const { io } = this.#options;
    const isOurs = await io.isForeground();
    if (this.#closed || this.#isEnded || isOurs === (this.#typed !== undefined)) return;
    if (!isOurs) return this.#hush();
    const typed = createInterface({ input: io.stdin, terminal: false });
    typed.on('line', (line) => void this.#take(line.trim()));
    // Ctrl-D: nobody is there to answer any more.
    typed.on('close', () => {
      if (this.#typed !== typed) return;
      this.#isEnded = true;
      this.#hush();
    });
    this.#typed = typed;
    this.#ask();
  }

  #hush(): void {
    const typed = this.#typed;
    this.#typed = undefined;
    typed?.close();
    this.#asked = undefined;
  }

  /** Asks again, or the next one. */
  #ask(): void {
    if (!this.#typed || this.#answering !== undefined) return;
    this.#asked ??= this.#waiting.values().next().value;
    if (!this.#asked) return;
    const { number } = this.#asked;
    const { bold, dim } = this.#options.out.style;
    const how = this.#isUnsure ? `y ${number} or n ${number}?` : 'y/n?';
    const other = dim(`[hearsay inbox accept ${number}]`);
    void this.#options.out.line(`${bold(`${offerOf(this.#asked)}: ${how}`)} ${other}`);
  }

  async #take(line: string): Promise<void> {
    const { out } = this.#options;
    if (line === '' || this.#answering !== undefined) return;
    const [, word, named] = ANSWER.exec(line) ?? [];
    const row = named === undefined ? this.#asked : this.#waiting.get(Number(named));
    if (!row) {
      out.note(named === undefined ? 'nothing is asked now' : `${named} does not wait for an answer`);
      return;
    }
    if (word === undefined || (named === undefined && this.#isUnsure)) return this.#ask();
    await this.#answer(row.number, word.toLowerCase().startsWith('y') ? 'accept' : 'refuse');
  }

  async #answer(number: number, verb: AnswerQuery['verb']): Promise<void> {
    const { out, answer } = this.#options;
    this.#answering = number;
    try {
      const [row] = await answer({ verb, numbers: [number] });
      if (row?.error) out.warn(row.error.message);
    } catch (thrown) {
      out.warn(asHearsayError(thrown).message);
    }
    this.#answering = undefined;
    this.#waiting.delete(number);
    if (this.#asked?.number === number) {
      this.#asked = undefined;
      this.#isUnsure = false;
    }
    this.#ask();
  }
}
