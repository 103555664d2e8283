/**
 * How far a `get` or a `send` is, on standard error: a block of lines that is redrawn where that is a terminal, else now and then a
 * plain line.
 * Owns the lines that it drew last. Always true: no drawn line is as wide as the terminal, so none wraps and the block can
 * be taken back. Called by both with each event, and `tick` from a timer; all time is handed in.
 */
import { stripVTControlCharacters } from 'node:util';
import { printable } from '../names.js';
import { count, formatClock, formatRate, formatSize } from './format.js';
import type { Sink } from './io.js';
import type { Style } from './output.js';
import { clipStart, padEnd, padStart, width } from './text.js';

/** Milliseconds between two `progress` objects of --json. */
export const PROGRESS_MS = 250;
/** Milliseconds between two drawings. */
export const REDRAW_MS = 100;
/** Milliseconds between two plain lines. */
const PLAIN_MS = 5000;
/** Milliseconds that a rate looks back. */
const RATE_MS = 5000;
/** Files, or peers, shown one by one. */
const FILES_SHOWN = 4;
/** Columns of a bar. */
const BAR_MAX = 30;
const BAR_MIN = 8;
/** Columns of a name for which other things give way. */
const LABEL_MIN = 12;

interface Moving {
  verified: number;
  size: number;
  /** How many sources it has, or how it stands. */
  sources: number | string;
  meter: Meter;
}

/** Bytes a second over the last RATE_MS. */
class Meter {
  #total = 0;
  #began = Number.POSITIVE_INFINITY;
  #samples: { at: number; total: number }[] = [];

  add(bytes: number, now: number): void {
    if (this.#samples.length === 0) {
      this.#began = now;
      this.#samples.push({ at: now, total: 0 });
    }
    this.#total += bytes;
    this.#forget(now);
    const last = this.#samples.at(-1);
    // One sample a drawing is as fine as anybody sees.
    if (!last || now - last.at >= REDRAW_MS) this.#samples.push({ at: now, total: this.#total });
  }

  rate(now: number): number {
    this.#forget(now);
    const first = this.#samples[0];
    return first && now > first.at ? (1000 * (this.#total - first.total)) / (now - first.at) : 0;
  }

  /** Whether nothing has moved for as long as it looks back. */
  stalled(now: number): boolean {
    return now - this.#began >= RATE_MS && this.rate(now) === 0;
  }

  #forget(now: number): void {
    while (this.#samples.length > 1 && this.#samples[1].at <= now - RATE_MS) this.#samples.shift();
  }
}

export class Progress {
  readonly #sink: Sink;
  readonly #screen: boolean;
  readonly #style: Style;
  readonly #unit: string;
  readonly #files = new Map<string, Moving>();
  readonly #meter = new Meter();
  #begun = false;
  #count = 0;
  #bytes = 0;
  #doneFiles = 0;
  #doneBytes = 0;
  /** Columns of each line of the block that stands there. */
  #drawn: number[] = [];
  #drawnAt = Number.NEGATIVE_INFINITY;

  /**
   * @param screen whether the sink is a terminal on which lines can be redrawn
   * @param unit what each line is about
   */
  constructor(sink: Sink, screen: boolean, style: Style, unit: 'file' | 'peer' = 'file') {
    this.#sink = sink;
    this.#screen = screen;
    this.#style = style;
    this.#unit = unit;
  }

  start(files: number, bytes: number, now: number): void {
    this.#begun = true;
    this.#count = files;
    this.#bytes = bytes;
    if (!this.#screen) this.#drawnAt = now;
    // From here on bytes move.
    this.#meter.add(0, now);
  }

  update(path: string, verified: number, size: number, sources: number | string, now: number): void {
    const file = this.#files.get(path);
    if (!file) {
      // What is there when a file is first told of was there before: it has not moved now.
      const meter = new Meter();
      meter.add(0, now);
      this.#files.set(path, { verified, size, sources, meter });
      return;
    }
    const moved = Math.max(0, verified - file.verified);
    file.meter.add(moved, now);
    this.#meter.add(moved, now);
    Object.assign(file, { verified, size, sources });
  }

  /** @param received payload bytes that crossed the network */
  finish(path: string, size: number, received: number, now: number): void {
    const before = this.#files.get(path)?.verified ?? 0;
    this.#files.delete(path);
    this.#meter.add(Math.min(received, Math.max(0, size - before)), now);
    this.#doneFiles++;
    this.#doneBytes += size;
  }

  /** A file that will not be done. */
  fail(path: string): void {
    this.#files.delete(path);
  }

  /** Draws, if it is time to. */
  tick(now: number): void {
    if (!this.#begun || now - this.#drawnAt < (this.#screen ? REDRAW_MS : PLAIN_MS)) return;
    this.#drawnAt = now;
    if (this.#screen) this.#draw(now);
    else void this.#sink.write(`${this.#total(now).join('  ')}\n`);
  }

  /** Takes the block away, so that a line can be printed; the next tick draws it again. */
  clear(): void {
    if (this.#drawn.length === 0) return;
    void this.#sink.write(`${this.#back()}\x1b[J`);
    this.#drawn = [];
    this.#drawnAt = Number.NEGATIVE_INFINITY;
  }

  /** Takes the cursor to the beginning of the block. A terminal that has become narrower has wrapped the lines. */
  #back(): string {
    const columns = Math.max(1, this.#sink.columns);
    const rows = this.#drawn.reduce((sum, line) => sum + Math.max(1, Math.ceil(line / columns)), 0);
    return rows > 0 ? `\x1b[${rows}A\r` : '';
  }

  #draw(now: number): void {
    const lines = this.lines(now);
    // Each line clears what the one before left behind it; what is below the last is cleared too.
    const block = lines.map((line) => `${line}\x1b[K\n`).join('');
    void this.#sink.write(`${this.#back()}${block}\x1b[J`);
    this.#drawn = lines.map((line) => width(stripVTControlCharacters(line)));
  }

  /** The block as it would be drawn: the files being fetched, and all of them where there are several. */
  lines(now: number): string[] {
    const rows: Row[] = [];
    for (const [path, file] of this.#files) {
      if (rows.length === FILES_SHOWN) break;
      const { verified, size, sources, meter } = file;
      const cells = amounts(verified, size, meter, now);
      if (typeof sources === 'string') cells.push(sources);
      else cells.push(sources > 0 ? count(sources, 'source') : 'no source yet');
      rows.push({ label: printable(path), part: portion(verified, size), cells });
    }
    if (this.#count > 1 || rows.length === 0) {
      const [label, ...cells] = this.#total(now);
      rows.push({ label, part: portion(this.#verified(), this.#bytes), cells });
    }
    // The last column stays free: some terminals wrap when it is written.
    return layOut(rows, Math.max(10, this.#sink.columns - 1), this.#style);
  }

  #verified(): number {
    let bytes = this.#doneBytes;
    for (const file of this.#files.values()) bytes += file.verified;
    return bytes;
  }

  #total(now: number): string[] {
    const cells = amounts(this.#verified(), this.#bytes, this.#meter, now);
    return [`${this.#doneFiles} of ${count(this.#count, this.#unit)}`, ...cells];
  }
}

/** One line of the block. */
interface Row {
  label: string;
  /** 0 to 1. */
  part: number;
  /** Most important first. */
  cells: string[];
}

function portion(verified: number, size: number): number {
  return size > 0 ? Math.min(1, verified / size) : 1;
}

/** Lines of label, bar and cells, each below its like; where it is narrow the less important give way. */
function layOut(rows: Row[], columns: number, style: Style): string[] {
  const widest = (texts: string[]) => Math.max(...texts.map(width));
  const labels = widest(rows.map(({ label }) => label));
  const least = Math.min(labels, LABEL_MIN);
  const widths: number[] = [];
  let room = columns;
  for (let cell = 0; rows.some(({ cells }) => cell < cells.length); cell++) {
    const needed = widest(rows.map(({ cells }) => cells[cell] ?? '')) + 2;
    // The first always stands: without it the line says nothing.
    if (cell > 0 && room - needed < least) break;
    widths.push(needed - 2);
    room -= needed;
  }
  // What is left is shared by label and bar, and the label comes first.
  const wanted = Math.min(BAR_MAX, room - Math.min(labels, Math.floor(room / 2)) - 4);
  const bar = wanted < BAR_MIN ? 0 : wanted;
  const space = Math.max(0, bar ? Math.min(labels, room - bar - 4) : room);
  return rows.map(({ label, part, cells }) => {
    const full = Math.round(bar * part);
    const drawn = bar ? `  [${style.green('█'.repeat(full))}${style.dim('·'.repeat(bar - full))}]` : '';
    const texts = widths.map((columns, cell) => padStart(cells[cell] ?? '', columns));
    return `${padEnd(clipStart(label, space), space)}${drawn}  ${texts.join('  ')}`.trimEnd();
  });
}

/** `45 %`, `12 MiB of 27 MiB`, `5.1 MiB/s`, `0:03 left`, most important first. */
function amounts(verified: number, size: number, meter: Meter, now: number): string[] {
  const rate = meter.rate(now);
  const percent = size > 0 ? Math.floor((100 * Math.min(verified, size)) / size) : 100;
  const parts = [`${percent} %`, `${formatSize(verified)} of ${formatSize(size)}`, formatRate(rate)];
  // A day or more is no answer.
  if (rate > 0 && verified < size && (size - verified) / rate < 86_400) {
    parts.push(`${formatClock((size - verified) / rate)} left`);
  } else if (verified < size && meter.stalled(now)) parts.push('stalled');
  return parts;
}
