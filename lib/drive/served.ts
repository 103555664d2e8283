/**
 * Served: who fetched what from this peer.
 *
 * Owns the newest rows, and the file in which they outlive a restart: `served.jsonl`, one row a line, and
 * `served.1.jsonl`, what it was before it was full. Always true: rows are in the order in which they ended; what waits to
 * be written is bounded, and all of it is written by `stop`; a line that cannot be read is passed over. Called by the peer.
 */
import { appendFile, open, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { ServedRow } from '../api.js';
import { asHearsayError } from '../errors.js';
import { SERVED_FILE_MAX, SERVED_MAX, SERVED_WAITING_MAX } from '../limits.js';

/** What is written waits for more for so long, ms; and rows of one write. */
const GATHER_MS = 500;
const WRITE_ROWS = 5000;

const rowShape = z.strictObject({
  time: z.number(),
  peer: z.strictObject({ id: z.string(), name: z.string() }),
  path: z.string(),
  bytes: z.number(),
  outcome: z.enum(['completed', 'failed']),
  why: z.string().optional(),
}) satisfies z.ZodType<ServedRow>;

export class Served {
  /** The state folder, undefined where nothing is kept. */
  readonly #folder: string | undefined;
  readonly #onWarning: (message: string) => void;
  /** A ring once it is full: `#next` is the oldest then, and the place of the next. */
  readonly #rows: ServedRow[];
  #next = 0;
  #waiting: ServedRow[] = [];
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();
  /** Bytes of the file. */
  #size: number;
  /** Whether the file's last line is not whole: the process was killed while it wrote. */
  #torn: boolean;
  #warned = false;

  private constructor(
    folder: string | undefined,
    onWarning: (message: string) => void,
    kept: { rows: ServedRow[]; size: number; torn: boolean },
  ) {
    this.#folder = folder;
    this.#onWarning = onWarning;
    this.#rows = kept.rows;
    this.#size = kept.size;
    this.#torn = kept.torn;
  }

  /**
   * Takes up the log of a state folder.
   * @param folder undefined for a log that is not kept
   */
  static async open(folder: string | undefined, onWarning: (message: string) => void): Promise<Served> {
    if (folder === undefined) return new Served(folder, onWarning, { rows: [], size: 0, torn: false });
    try {
      const [older, newer] = await Promise.all([readTail(join(folder, OLD)), readTail(join(folder, NEW))]);
      const rows = [...older.rows, ...newer.rows].slice(-SERVED_MAX);
      return new Served(folder, onWarning, { ...newer, rows });
    } catch (thrown) {
      onWarning(`who fetched what before is not known: ${asHearsayError(thrown).message}`);
      return new Served(folder, onWarning, { rows: [], size: 0, torn: false });
    }
  }

  /** Notes that something was fetched, or was not to its end. */
  add(row: ServedRow): void {
    if (this.#rows.length < SERVED_MAX) this.#rows.push(row);
    else {
      this.#rows[this.#next] = row;
      this.#next = (this.#next + 1) % SERVED_MAX;
    }
    if (this.#folder === undefined) return;
    this.#waiting.push(row);
    if (this.#waiting.length > SERVED_WAITING_MAX)
      this.#waiting.splice(0, this.#waiting.length - SERVED_WAITING_MAX / 2);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#flush();
    }, GATHER_MS);
  }

  /** The newest rows, the newest last. */
  rows(): ServedRow[] {
    return [...this.#rows.slice(this.#next), ...this.#rows.slice(0, this.#next)];
  }

  /** Writes what waits. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#flush();
    await this.#writing;
  }

  #flush(): void {
    this.#writing = this.#writing.then(() => this.#write()).catch((thrown) => this.#fail(thrown));
  }

  async #write(): Promise<void> {
    const folder = this.#folder;
    while (folder !== undefined && this.#waiting.length > 0) {
      const rows = this.#waiting.slice(0, WRITE_ROWS);
      const text = `${this.#torn ? '\n' : ''}${rows.map((row) => JSON.stringify(row)).join('\n')}\n`;
      const file = join(folder, NEW);
      if (this.#size > 0 && this.#size + text.length > SERVED_FILE_MAX) {
        await rename(file, join(folder, OLD)).catch(ifThere);
        this.#size = 0;
      }
      await appendFile(file, text, { mode: 0o600 });
      this.#waiting.splice(0, rows.length);
      this.#size += Buffer.byteLength(text);
      this.#torn = false;
    }
  }

  /** What could not be written is tried again with what comes next. */
  #fail(thrown: unknown): void {
    this.#torn = true;
    if (this.#warned) return;
    this.#warned = true;
    this.#onWarning(`who fetches what is not kept: ${asHearsayError(thrown).message}`);
  }
}

const NEW = 'served.jsonl';
const OLD = 'served.1.jsonl';

/** A file that someone has removed is as good as rotated. */
function ifThere(thrown: NodeJS.ErrnoException): void {
  if (thrown.code !== 'ENOENT') throw thrown;
}

/** The rows at the end of a file, at most SERVED_FILE_MAX bytes of it. */
async function readTail(file: string): Promise<{ rows: ServedRow[]; size: number; torn: boolean }> {
  let text: string;
  let size: number;
  try {
    const handle = await open(file);
    try {
      ({ size } = await handle.stat());
      const start = Math.max(0, size - SERVED_FILE_MAX);
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(size - start), 0, size - start, start);
      text = buffer.toString('utf8', 0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return { rows: [], size: 0, torn: false };
    throw thrown;
  }
  const lines = text.split('\n').slice(-SERVED_MAX - 1);
  const rows: ServedRow[] = [];
  for (const line of lines) {
    const row = readRow(line);
    if (row) rows.push(row);
  }
  return { rows, size, torn: text !== '' && !text.endsWith('\n') };
}

function readRow(line: string): ServedRow | undefined {
  try {
    const read = rowShape.safeParse(JSON.parse(line));
    return read.success ? read.data : undefined;
  } catch {
    return undefined;
  }
}
