/** The words of a command line that mean given options: for a daemon that is started by another process, and for units. */
import type { Launched } from './launched.js';

/** `trackerStore` as it is typed: `tracker-store`. */
const dashed = (key: string) => key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** The words of one option: none for one that is not given. */
function optionWords(key: string, value: unknown): string[] {
  const name = dashed(key);
  if (value === undefined) return [];
  if (typeof value === 'boolean') return [value ? `--${name}` : `--no-${name}`];
  // Joined by `=`, so that a value may begin with a dash.
  return (Array.isArray(value) ? value : [value]).map((one) => `--${name}=${one}`);
}

/**
 * Options and PATHs, as `hearsay daemon run` takes them.
 * All shares of one command line have the same `as`, `for` and so on: those of the first are written.
 */
export function wordsOf({ flags, configFile, verbose }: Launched): string[] {
  const { share = [], ...rest } = flags;
  const words = [...Object.entries(rest), ['config', configFile] as const].flatMap(([key, value]) =>
    optionWords(key, value),
  );
  if (verbose) words.push('--verbose');
  const specs = share.map((spec) => (typeof spec === 'string' ? { path: spec } : spec));
  if (specs.length === 0) return words;
  const { path: _, ...more } = specs[0];
  words.push(...Object.entries(more).flatMap(([key, value]) => optionWords(key, value)));
  return [...words, '--', ...specs.map(({ path }) => path)];
}
