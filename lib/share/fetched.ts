/**
 * What was fetched to this machine before: where each content landed, so that it is copied from there rather than fetched once more,
 * by one-shots too, which share nothing.
 *
 * Owns `fetched` in the state folder, a line for each file, to which any number of processes add. Always true: it is a hint and never
 * believed: what it names is held against the hashes of what is wanted; it takes no more than FILE_MAX and a line, and no more than the
 * latest FETCHED_MAX files outlive its being written anew; trouble with it is nothing remembered. Called by gets.
 */
import { randomBytes } from 'node:crypto';
import { appendFile, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { isAbsolute } from 'node:path';
import { FETCHED_MAX } from '../limits.js';
import { signatureBytes, signatureOf } from './signature.js';

/** Bytes of the file beyond which what is old in it is dropped. */
const FILE_MAX = 4 << 20;
/** Files with one content that are told of. */
const COPIES = 4;

/** A line: the content's id, where it landed, and the signature that the file had then, in base64. */
type Line = [id: string, path: string, signature: string];

/** @returns undefined where it is damaged */
function readLine(text: string): Line | undefined {
  try {
    const [id, path, signature] = JSON.parse(text) as unknown[];
    const areTexts = typeof id === 'string' && typeof path === 'string' && typeof signature === 'string';
    return areTexts && isAbsolute(path) ? [id, path, signature] : undefined;
  } catch {
    return undefined;
  }
}

const packed = (signature: string) => signatureBytes(signature).toString('base64');
const idOf = (line: string) => line.slice(2, 66);

export class Fetched {
  readonly #file: string;
  readonly #fileMax: number;
  /** One after another, so that nothing is added while it is written anew. */
  #writing: Promise<void> = Promise.resolve();

  /** @param file absolute @param fileMax bytes beyond which it is written anew */
  constructor(file: string, fileMax = FILE_MAX) {
    this.#file = file;
    this.#fileMax = fileMax;
  }

  /** A content has landed in a file. Never fails. @param path absolute */
  add(id: string, path: string): Promise<void> {
    this.#writing = this.#writing.then(() => this.#add(id, path)).catch(() => {});
    return this.#writing;
  }

  async #add(id: string, path: string): Promise<void> {
    const line: Line = [id, path, packed(signatureOf(await stat(path, { bigint: true })))];
    await appendFile(this.#file, `${JSON.stringify(line)}\n`, { mode: 0o600 });
    if ((await stat(this.#file)).size > this.#fileMax) await this.#shorten();
  }

  /** The latest word on each file, of the latest of them, as many as take half of the room. What others add meanwhile may be lost. */
  async #shorten(): Promise<void> {
    const kept = new Map<string, string>();
    let bytes = 0;
    for (const text of (await this.#lines()).reverse()) {
      const line = readLine(text);
      if (!line || kept.has(line[1])) continue;
      bytes += Buffer.byteLength(text) + 1;
      if (kept.size >= FETCHED_MAX || bytes > this.#fileMax / 2) break;
      kept.set(line[1], text);
    }
    const temporary = `${this.#file}.${randomBytes(6).toString('hex')}`;
    try {
      await writeFile(
        temporary,
        [...kept.values()].reverse().map((text) => `${text}\n`),
        { mode: 0o600 },
      );
      await rename(temporary, this.#file);
    } finally {
      await rm(temporary, { force: true });
    }
  }

  async #lines(): Promise<string[]> {
    return (await readFile(this.#file, 'utf8')).split('\n');
  }

  /**
   * Where contents may be on this machine, of files that are as they were left. Never fails.
   * @returns absolute paths by content id, the latest first
   */
  async find(ids: ReadonlySet<string>): Promise<Map<string, string[]>> {
    const found = new Map<string, string[]>();
    await this.#writing;
    const lines = await this.#lines().catch(() => []);
    for (let i = lines.length - 1; i >= 0; i--) {
      // Of most lines no more than the id is looked at.
      const line = ids.has(idOf(lines[i])) ? readLine(lines[i]) : undefined;
      if (!line) continue;
      const [id, path, signature] = line;
      const known = found.get(id) ?? [];
      if (known.length >= COPIES || known.includes(path)) continue;
      const now = await stat(path, { bigint: true }).catch(() => undefined);
      if (now?.isFile() && packed(signatureOf(now)) === signature) found.set(id, [...known, path]);
    }
    return found;
  }
}
