/**
 * The simulator as a command: `npm run sim` lists the scenarios; see HELP for the rest.
 * Always true: it ends with 1 where anything failed, and every failure names the command that plays it again.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Outcome, run } from './run.js';
import { SCENARIOS, type Scenario } from './scenarios.js';
import { INVARIANTS } from './watched.js';

const HELP = `npm run sim                                       the scenarios, and what holds in them
npm run sim -- --scenario NAME --seed S [--trace] one run; --trace tells all that happens
npm run sim -- --scenario NAME --seeds FROM..TO   a run for each seed
npm run sim -- --all --seeds FROM..TO             the same of all small scenarios, or with --large of the large ones
npm run sim -- --each --seeds FROM..TO            each seed another small scenario: 1..10000 is the longer run
npm run sim -- --ci                               seeds 1 to 200, each of another small scenario; of the large ones "hundred" for 5
npm run sim -- --table [--peers N]                what an idle network costs, and a change; or the rows of N peers alone
  --jobs N  processes at once (as many as there are cores)`;

interface Run {
  scenario: string;
  seed: number;
}

/** Set in the environment of a process that was made by another. */
const CHILD = 'HEARSAY_SIM_CHILD';
const CI_SEEDS = 200;
const CI_LARGE = ['hundred'];
const CI_LARGE_SEEDS = 5;
/** Memory of a process, MB: a thousand hosts know of a thousand each. */
const MEMORY = 6000;
/** Of it for what lives short, MB: most does. */
const YOUNG = 64;

const { values: options } = parseArgs({
  options: {
    scenario: { type: 'string' },
    seed: { type: 'string' },
    seeds: { type: 'string' },
    jobs: { type: 'string' },
    all: { type: 'boolean' },
    each: { type: 'boolean' },
    large: { type: 'boolean' },
    ci: { type: 'boolean' },
    table: { type: 'boolean' },
    peers: { type: 'string' },
    trace: { type: 'boolean' },
    help: { type: 'boolean' },
  },
});

function scenario(name: string): Scenario {
  const found = SCENARIOS.find((each) => each.name === name);
  if (!found) throw new Error(`no scenario "${name}"; there are ${SCENARIOS.map((each) => each.name).join(', ')}`);
  return found;
}

function range(text: string): [number, number] {
  const [from, to = from] = text.split('..').map(Number);
  if (!Number.isInteger(from) || !Number.isInteger(to) || to < from) throw new Error(`not seeds: ${text}`);
  return [from, to];
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[numbers.length >> 1] ?? 0;
}

/** The outcomes of one scenario, in one line, and its failures. */
function summary(name: string, outcomes: readonly Outcome[]): string {
  const longest = outcomes.map(({ took }) => Math.max(0, ...took.map(({ ms }) => ms)));
  const cost = outcomes.reduce((sum, each) => sum + each.cost, 0) / 1000;
  const quiet = outcomes.flatMap((each) => each.quiet);
  const failed = outcomes.filter((each) => each.failed !== undefined).length;
  const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
  return [
    name.padEnd(16),
    `${outcomes.length} seeds`.padStart(11),
    `${failed} failed`.padStart(10),
    `agreed in ${seconds(median(longest))}, at worst ${seconds(Math.max(0, ...longest))}`.padStart(36),
    `${cost.toFixed(0)} s of CPU`.padStart(15),
    quiet.length > 0 ? `  quiet ${Math.round(Math.max(...quiet))} B/s` : '',
  ].join('');
}

function replay({ scenario: name, seed, failed }: Outcome): string {
  return `FAILED ${name} seed ${seed}: ${failed}\n  npm run sim -- --scenario ${name} --seed ${seed}`;
}

/** Does runs in several processes, in the order in which they are given. @returns outcomes by scenario */
async function runAll(runs: readonly Run[], processes: number): Promise<Map<string, Outcome[]>> {
  const outcomes = new Map<string, Outcome[]>();
  const wait = [...runs];
  const worker = async (): Promise<void> => {
    let child: ChildProcess | undefined;
    for (let next = wait.shift(); next; next = wait.shift()) {
      if (!child?.connected) child = newChild();
      const outcome = await inChild(child, next);
      if (outcome.failed !== undefined) console.log(replay(outcome));
      const all = outcomes.get(next.scenario);
      if (all) all.push(outcome);
      else outcomes.set(next.scenario, [outcome]);
    }
    child?.disconnect();
  };
  await Promise.all(Array.from({ length: Math.min(processes, runs.length) }, worker));
  return outcomes;
}

function newChild(): ChildProcess {
  return fork(fileURLToPath(import.meta.url), [], {
    env: { ...process.env, [CHILD]: '1' },
    execArgv: [`--max-old-space-size=${MEMORY}`, `--max-semi-space-size=${YOUNG}`],
  });
}

/** A process that ends before it told of its run has failed in it. */
function inChild(child: ChildProcess, wanted: Run): Promise<Outcome> {
  return new Promise((resolve) => {
    const onMessage = (outcome: unknown): void => {
      child.off('exit', onExit);
      resolve(outcome as Outcome);
    };
    const onExit = (code: number | null, signal: string | null): void => {
      child.off('message', onMessage);
      const failed = `its process ended with ${signal ?? code}`;
      resolve({ ...wanted, failed, took: [], lasted: 0, cost: 0, quiet: [] });
    };
    child.once('message', onMessage);
    child.once('exit', onExit);
    child.send(wanted);
  });
}

/** What a process does that was made by another. */
function beChild(): void {
  process.on('message', (wanted) => {
    const { scenario: name, seed } = wanted as Run;
    process.send?.(run(scenario(name), seed));
  });
}

/** Each scenario from each of some seeds. */
function runsOf(scenarios: readonly Scenario[], [from, to]: [number, number]): Run[] {
  const runs: Run[] = [];
  for (const { name } of scenarios) for (let seed = from; seed <= to; seed++) runs.push({ scenario: name, seed });
  return runs;
}

async function many(wanted: readonly Run[]): Promise<void> {
  const processes = Number(options.jobs ?? availableParallelism());
  const begin = performance.now();
  const outcomes = await runAll(wanted, processes);
  let failed = 0;
  for (const { name } of SCENARIOS) {
    const of = outcomes.get(name);
    if (!of) continue;
    console.log(summary(name, of));
    failed += of.filter((each) => each.failed !== undefined).length;
  }
  console.log(`${((performance.now() - begin) / 1000).toFixed(0)} s in ${processes} processes`);
  console.log(`sim: ${wanted.length} runs, ${failed} failed`);
  if (failed > 0) process.exitCode = 1;
}

function one(each: Scenario, seed: number): void {
  const outcome = run(each, seed, options.trace ? console.log : undefined, ({ traffic, streamed }) => {
    const row = ([kind, { datagrams, bytes }]: [string, { datagrams: number; bytes: number }]): string =>
      `${kind} ${datagrams} (${bytes} bytes)`;
    console.log(`datagrams: ${[...traffic].map(row).join(', ')}`);
    console.log(`over connections: ${[...streamed].map(row).join(', ')}`);
  });
  for (const { what, ms } of outcome.took) console.log(`${what}: agreed after ${Math.round(ms)} ms`);
  if (outcome.failed !== undefined) console.log(replay(outcome));
  console.log(summary(each.name, [outcome]));
  console.log(`sim: 1 runs, ${outcome.failed === undefined ? 0 : 1} failed`);
  if (outcome.failed !== undefined) process.exitCode = 1;
}

function list(): void {
  console.log(`${HELP}\n`);
  for (const { name, size, peers, files, what, holds } of SCENARIOS) {
    console.log(
      `${name.padEnd(16)} ${size}, ${peers} peers, ${files} files each: ${what}\n${' '.repeat(17)}${holds.join(', ')}`,
    );
  }
  console.log('\nWhat holds:');
  for (const [name, { what }] of Object.entries(INVARIANTS)) console.log(`${name.padEnd(18)} ${what}`);
}

/** Each seed plays another scenario; those that play for hours have one seed in twenty between them. */
function eachAnother(small: readonly Scenario[], [from, to]: [number, number]): Run[] {
  const long = small.filter(({ isLong }) => isLong);
  const short = small.filter(({ isLong }) => !isLong);
  const runs = Array.from({ length: to - from + 1 }, (_, i): Run => {
    const seed = from + i;
    const of = seed % 20 === 0 ? long[(seed / 20) % long.length] : short[seed % short.length];
    return { scenario: of.name, seed };
  });
  // What takes long begins first.
  return runs.sort((a, b) => Number(scenario(b.scenario).isLong ?? 0) - Number(scenario(a.scenario).isLong ?? 0));
}

async function main(): Promise<void> {
  const small = SCENARIOS.filter(({ size }) => size === 'small');
  const seeds = range(options.seeds ?? '1..10');
  if (process.env[CHILD]) beChild();
  else if (options.ci) {
    const large = runsOf(CI_LARGE.map(scenario), [1, CI_LARGE_SEEDS]);
    await many([...large, ...eachAnother(small, [1, CI_SEEDS])]);
  } else if (options.table) (await import('./tables.js')).tables(options.peers ? Number(options.peers) : undefined);
  else if (options.each) await many(eachAnother(small, seeds));
  else if (options.all)
    await many(runsOf(options.large ? SCENARIOS.filter(({ size }) => size === 'large') : small, seeds));
  else if (options.scenario === undefined) list();
  else if (options.seeds !== undefined) await many(runsOf([scenario(options.scenario)], seeds));
  else one(scenario(options.scenario), Number(options.seed ?? 1));
}

try {
  await main();
} catch (thrown) {
  console.error((thrown as Error).message);
  process.exitCode = 2;
}
