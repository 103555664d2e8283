/**
 * What the word that is being typed at the console could become: by the commands' own table, from what the peer knows, and this machine's
 * files where a command takes those.
 *
 * Owns nothing. Always true: what is offered begins with what was typed, and can be read again as it stands; nothing is waited for longer
 * than COMPLETE_MS. Called by the prompt at Tab.
 */
import type { Dirent } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { resolve, sep } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Command } from 'commander';
import type { Millis } from '../clock.js';
import { COMPLETIONS_MAX } from '../limits.js';
import { printable } from '../names.js';
import { type Asked, candidatesOf } from './candidates.js';
import { type Aim, aimOf } from './completing.js';
import { isPath } from './console-list.js';
import { VERBS } from './console-verbs.js';
import { type Reading, tokens, typed, type Word } from './console-words.js';

/** What takes longer than this is of no use to who types. */
const COMPLETE_MS: Millis = 1000;

export interface CompleteOptions {
  reading: Reading;
  /** Relative paths are relative to it. */
  cwd: string;
  /** The whole table of commands. */
  program(): Command;
  api: Asked;
}

const EMPTY: Word = { value: '', raw: '', quote: '', open: '' };

/** @returns whole words, and what of the line they stand for: its last word as it was typed */
export async function completions(line: string, options: CompleteOptions): Promise<[string[], string]> {
  const words = tokens(line, options.reading);
  const last = words.at(-1);
  const isNew = last === undefined || (last.open === '' && !line.endsWith(last.raw));
  const word = isNew ? EMPTY : last;
  const before = (isNew ? words : words.slice(0, -1)).map(({ value }) => value);
  const late = new AbortController();
  try {
    const found = await Promise.race([
      candidates(before, word, options),
      delay(COMPLETE_MS, [], { signal: late.signal, ref: false }),
    ]);
    const fits = found.filter((one) => one.startsWith(word.raw) && printable(one) === one);
    return [[...new Set(fits)].slice(0, COMPLETIONS_MAX), word.raw];
  } catch {
    // Whoever types needs no error for what they did not ask.
    return [[], word.raw];
  } finally {
    late.abort();
  }
}

/** Words as they would be typed. */
async function candidates(before: readonly string[], word: Word, options: CompleteOptions): Promise<string[]> {
  const { reading, program, api } = options;
  const [first, ...more] = before;
  if (first === undefined) return VERBS.map(({ name }) => `${name} `);
  const verb = VERBS.find(({ name, short }) => first === name || first === short);
  if (!verb) return [];
  if (verb.name === 'help') return VERBS.map(({ name }) => `${name} `);
  const aim = aimOf(program(), [...asCommand(verb.name), ...more, word.value]);
  // At the console, ls is asked for peers; what has a slash in it is a path all the same.
  if (verb.name === 'ls' && aim.kind === 'paths' && !isPath(word.value)) aim.kind = 'peers';
  if (aim.kind === 'files') return files(aim, word, options);
  const found = await candidatesOf(aim, api, []);
  return found.map(({ value }) => whole(value, word, reading));
}

/** A verb of the console as words of the command line. */
export function asCommand(verb: string): string[] {
  if (verb === 'accept' || verb === 'refuse') return ['inbox', verb];
  return verb === 'sources' ? ['ls', '--sources'] : [verb];
}

/** A word as it would be typed; what goes on after a slash has no closing quote yet. */
function whole(value: string, { quote }: Word, reading: Reading): string {
  const text = typed(value, quote, reading);
  const isQuoted = text.length > 1 && (text[0] === '"' || text[0] === "'");
  return isQuoted && /[/\\]$/.test(value) ? text.slice(0, -1) : text;
}

/** This machine's files, to the end of the next name. */
async function files({ kept, part }: Aim, word: Word, { reading, cwd }: CompleteOptions): Promise<string[]> {
  const end = Math.max(part.lastIndexOf('/'), part.lastIndexOf(sep)) + 1;
  const folder = part.slice(0, end);
  const begun = part.slice(end);
  const entries: Dirent[] = await readdir(resolve(cwd, folder === '' ? '.' : folder), { withFileTypes: true });
  const names = entries
    .filter(({ name }) => name.startsWith(begun) && (begun !== '' || !name.startsWith('.')))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .slice(0, COMPLETIONS_MAX)
    .map((entry) => `${kept}${folder}${entry.name}${entry.isDirectory() ? '/' : ''}`);
  const { home } = reading;
  return names.map((name) => {
    const text = whole(name, word, reading);
    // As it was typed.
    return home !== undefined && word.raw.startsWith('~') && name.startsWith(home)
      ? `~${whole(name.slice(home.length), word, reading)}`
      : text;
  });
}
