/** Inputs as files: JSON in which bytes stand as `{"$hex": …}`, and what else JSON lacks as `{"$number": …}` and so on. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** In the sources, also when what runs was compiled elsewhere. */
export const CORPUS = fileURLToPath(new URL('../../../test/fuzz/corpus/', import.meta.url));

/** One saved input. */
export interface Entry {
  target: string;
  /** What was wrong with it, or what is tricky. */
  note: string;
  input: unknown;
}

function coded(value: unknown): unknown {
  if (value instanceof Uint8Array) return { $hex: Buffer.from(value).toString('hex') };
  if (typeof value === 'number' && (!Number.isFinite(value) || Object.is(value, -0))) return { $number: String(value) };
  if (value === undefined) return { $undefined: true };
  if (typeof value === 'bigint') return { $bigint: String(value) };
  if (Array.isArray(value)) return value.map(coded);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, coded(item)]));
}

function decoded(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(decoded);
  if (typeof value !== 'object' || value === null) return value;
  const { $hex, $number, $bigint, $undefined } = value as Record<string, unknown>;
  if (typeof $hex === 'string') return Buffer.from($hex, 'hex');
  if (typeof $number === 'string') return Number($number);
  if (typeof $bigint === 'string') return BigInt($bigint);
  if ($undefined === true) return undefined;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, decoded(item)]));
}

/** @throws Error where the file is no entry */
export async function readEntry(file: string): Promise<Entry> {
  const { target, note, input } = JSON.parse(await readFile(file, 'utf8')) as Entry;
  if (typeof target !== 'string') throw new Error(`${file} names no target`);
  return { target, note, input: decoded(input) };
}

/** Writes an entry; returns the file. */
export async function saveEntry(name: string, { target, note, input }: Entry): Promise<string> {
  const file = join(CORPUS, `${name.replace(/[^\w.-]+/g, '-')}.json`);
  await mkdir(CORPUS, { recursive: true });
  await writeFile(file, `${JSON.stringify({ target, note, input: coded(input) })}\n`);
  return file;
}

/** All entries, by file name. */
export async function corpus(): Promise<[string, Entry][]> {
  const names = (await readdir(CORPUS)).filter((name) => name.endsWith('.json')).sort();
  return Promise.all(names.map(async (name): Promise<[string, Entry]> => [name, await readEntry(join(CORPUS, name))]));
}
