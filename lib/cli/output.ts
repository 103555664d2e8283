/** How commands speak: results on standard output, everything else on standard error, an error the same way everywhere. */
import { advice, type HearsayError } from '../errors.js';
import { printable, printableJson } from '../names.js';
import type { Io, Sink } from './io.js';
import { wrap } from './text.js';

export interface Manner {
  json: boolean;
  quiet: boolean;
  verbose: boolean;
}

type Paint = (text: string) => string;

/** Colours, or nothing where they would only be noise. */
export interface Style {
  bold: Paint;
  dim: Paint;
  red: Paint;
  green: Paint;
  cyan: Paint;
}

/** Whether a sink is a terminal that can more than print lines. */
export function isScreen(sink: Sink, env: Io['env']): boolean {
  return sink.isTTY && env.TERM !== 'dumb';
}

/** Lines for people, which a terminal is given broken between words; a file or a pipe gets them whole. */
export function fitted(text: string, { isTTY, columns }: Sink): string {
  if (!isTTY) return text;
  return text
    .split('\n')
    .map((line) => wrap(line, columns))
    .join('\n');
}

/** Colours only on a terminal, and not where NO_COLOR (no-color.org) is set. */
export function styleOf(sink: Sink, env: Io['env']): Style {
  const coloured = isScreen(sink, env) && !env.NO_COLOR;
  const paint =
    (on: number, off: number): Paint =>
    (text) =>
      coloured && text !== '' ? `\x1b[${on}m${text}\x1b[${off}m` : text;
  return { bold: paint(1, 22), dim: paint(2, 22), red: paint(31, 39), green: paint(32, 39), cyan: paint(36, 39) };
}

export class Output {
  readonly manner: Manner;
  /** For standard output and standard error. */
  readonly style: Style;
  readonly noteStyle: Style;
  /** Whether a stream of objects is written, so that an error is one of them. */
  streams = false;
  /** Clears what would be in the way of a line: the progress bar. */
  beforeLine: () => void = () => {};
  /** The command as it is typed, whose help is named where it was typed wrongly. */
  command = 'hearsay';
  readonly #io: Io;

  constructor(io: Io, manner: Manner) {
    this.#io = io;
    this.manner = manner;
    this.style = styleOf(io.stdout, io.env);
    this.noteStyle = styleOf(io.stderr, io.env);
  }

  /** A line of the result, for people. The caller has made it printable. */
  line(text: string): Promise<void> {
    this.beforeLine();
    return this.#io.stdout.write(`${fitted(text, this.#io.stdout)}\n`);
  }

  /** Many lines of the result, gathered into few writes. */
  async lines(lines: Iterable<string>): Promise<void> {
    this.beforeLine();
    let gathered = '';
    for (const line of lines) {
      gathered += `${line}\n`;
      if (gathered.length < 65_536) continue;
      await this.#io.stdout.write(gathered);
      gathered = '';
      if (this.#io.stdout.closed) return;
    }
    if (gathered) await this.#io.stdout.write(gathered);
  }

  /** A piece of a document that is written as it comes. The caller has made it printable. */
  raw(text: string): Promise<void> {
    this.beforeLine();
    return this.#io.stdout.write(text);
  }

  /** One document or event on one line. */
  data(value: object): Promise<void> {
    return this.#io.stdout.write(`${printableJson(value)}\n`);
  }

  /** Something beside the result, for people; nothing with --quiet or --json. */
  note(text: string): void {
    if (this.manner.quiet || this.manner.json) return;
    this.beforeLine();
    void this.#io.stderr.write(`${fitted(text, this.#io.stderr)}\n`);
  }

  /** Something that should be known whatever the manner. */
  warn(text: string): void {
    this.beforeLine();
    void this.#io.stderr.write(`${fitted(`hearsay: ${printable(text)}`, this.#io.stderr)}\n`);
  }

  /** A line of a log that was asked for, to standard error whatever the manner. The caller has made it printable. */
  log(text: string): Promise<void> {
    this.beforeLine();
    return this.#io.stderr.write(`${text}\n`);
  }

  /**
   * An error, and what to do about it.
   * @param how.path the file that it is about, where it is about one of several
   * @param how.advise false where what to do has been said
   */
  async error(error: HearsayError, how: { path?: string | undefined; advise?: boolean } = {}): Promise<void> {
    const { code, message } = error;
    const { path, advise = true } = how;
    if (this.manner.json) {
      const event = this.streams ? { event: 'error' } : {};
      await this.data({ ...event, ...(path === undefined ? {} : { path }), error: { code, message } });
    } else {
      const about = path === undefined ? '' : `${printable(path)}: `;
      const text = message.split('\n').map(printable).join('\n  ');
      const { red, dim } = this.noteStyle;
      const what = code === 'usage' ? `See \`${this.command} --help\`.` : advice(code);
      const told = `${red('hearsay:')} ${about}${text}${advise ? `\n  ${dim(what)}` : ''}`;
      await this.log(fitted(told, this.#io.stderr));
    }
    // What we raised on purpose has said all; what lies behind it may be a fault of ours.
    if (this.manner.verbose && error.cause instanceof Error && error.cause.stack) {
      await this.log(error.cause.stack.split('\n').map(printable).join('\n'));
    }
  }
}
