/** The options that the benches of transfers have in common, and how one of them is run. */
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { print, type Report } from './table.js';

/** As asked for; each bench has its own measure where nothing is said. */
export interface Settings {
  /** Little of everything: whether it works, not how fast it is. */
  quick: boolean;
  runs?: number;
  mib?: number;
  files?: number;
  /** Names of which a tool's must contain one. */
  ways?: string[];
  receivers?: number[];
  /** Mbit/s. */
  rates?: number[];
  /** s. */
  apart?: number[];
  /** GiB. */
  sparse?: number;
  simulate: boolean;
  seed?: number;
}

export interface Bench {
  readonly name: string;
  run(settings: Settings): Promise<Report>;
}

/** What the benches of transfers understand; each takes of it what has a meaning for it. */
export const TRANSFER_OPTIONS =
  '[--quick] [--runs N] [--mib N] [--files N] [--ways NAME,...] [--receivers N,...] [--rates MBIT,...] [--apart S,...] ' +
  '[--sparse GIB] [--simulate] [--seed N] [--json FILE]';

/** Whether it is only asked what is understood. */
export function asksForHelp(args: readonly string[]): boolean {
  return args.includes('--help') || args.includes('-h');
}

/** Whether what was thrown says that an option is not understood. */
export function isMisread(thrown: unknown): thrown is Error {
  return thrown instanceof Error && String((thrown as NodeJS.ErrnoException).code).startsWith('ERR_PARSE_ARGS');
}

const text = { type: 'string' } as const;
const flag = { type: 'boolean' } as const;
const OPTIONS = {
  quick: flag,
  json: text,
  runs: text,
  mib: text,
  files: text,
  ways: text,
  receivers: text,
  rates: text,
  apart: text,
  sparse: text,
  simulate: flag,
  seed: text,
};

/** @throws Error where one is not a number from `least` to `most` */
function numbers(name: string, given: string | undefined, least: number, most: number): number[] | undefined {
  const all = given?.split(',').map(Number);
  if (all?.some((value) => !(value >= least && value <= most))) throw new Error(`--${name} ${least} to ${most}`);
  return all;
}

export function readSettings(args: readonly string[]): { settings: Settings; json: string | undefined } {
  const { values } = parseArgs({ args: [...args], options: OPTIONS });
  const list = (name: 'receivers' | 'rates' | 'apart', least: number, most: number) => {
    const all = numbers(name, values[name], least, most);
    return all && { [name]: all };
  };
  const one = (name: 'runs' | 'mib' | 'files' | 'sparse' | 'seed', least: number, most: number) => {
    const [value] = numbers(name, values[name], least, most) ?? [];
    return value === undefined ? undefined : { [name]: Math.floor(value) };
  };
  const settings: Settings = {
    quick: values.quick ?? false,
    simulate: values.simulate ?? false,
    ...one('runs', 1, 100),
    ...one('mib', 1, 65_536),
    ...one('files', 1, 1_000_000),
    ...one('sparse', 1, 1024),
    ...one('seed', 0, 2 ** 32 - 1),
    ...list('receivers', 1, 10_000),
    ...list('rates', 1, 100_000),
    ...list('apart', 0, 60),
    ...(values.ways === undefined ? {} : { ways: values.ways.split(',') }),
  };
  return { settings, json: values.json };
}

/** Runs benches one after another and prints what they found. */
export async function runBenches(benches: readonly Bench[], args: readonly string[]): Promise<void> {
  const { settings, json } = readSettings(args);
  const reports: Report[] = [];
  for (const bench of benches) {
    const report = await bench.run(settings);
    reports.push(report);
    // What was measured is kept, should a later one fail.
    await tell(report, reports, settings, json);
  }
}

/** Prints what one found, and writes all that was found to a file where one is named. */
export async function tell(
  report: Report,
  reports: Report[],
  settings: object,
  json: string | undefined,
): Promise<void> {
  for (const table of report.tables) print(table);
  if (json !== undefined) await writeFile(json, `${JSON.stringify({ at: Date.now(), settings, reports })}\n`);
}
