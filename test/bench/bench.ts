/** The benches by name: `npm run bench -- [NAME] [OPTIONS]`; without a name `streams`. Each says in its file what it measures. */
import { asksForHelp, type Bench, isMisread, runBenches, TRANSFER_OPTIONS } from './settings.js';

/** Programs of their own, and what each understands. */
const PROGRAMS: Record<string, string> = {
  streams: '[--mib 1024] [--runs 5] [--json FILE]',
  registry: '[--peers 10000] [--offers 100] [--lookups 300] [--json]',
  tracker: '[--peers 1000] [--offers 100] [--idle N] [--seconds N] [--no-follow] [--json]',
  index: '[--peers 100] [--offers 10000] [--json FILE]',
};
/** Those of transfers, beside other tools; `all` is all of them. */
const TRANSFERS = ['single', 'sources', 'swarm', 'small', 'loss', 'fair', 'delta', 'hash', 'simulate'];

const [first = '', ...rest] = process.argv.slice(2);
const isNamed = first !== '' && !first.startsWith('-');
const name = isNamed ? first : 'streams';
const load = async (file: string) => ((await import(`./${file}.js`)) as { bench: Bench }).bench;

/** What is understood: of one bench, or with `all` of them. */
function usage(all: boolean): string {
  const names = all ? [...Object.keys(PROGRAMS), [...TRANSFERS, 'all'].join('|')] : [name];
  return names.map((one) => `npm run bench -- ${one} ${PROGRAMS[one] ?? TRANSFER_OPTIONS}`).join('\n');
}

async function run(): Promise<void> {
  if (PROGRAMS[name] !== undefined) {
    if (isNamed) process.argv.splice(2, Number.POSITIVE_INFINITY, ...rest);
    await import(`./${name}.js`);
  } else {
    await runBenches(await Promise.all((name === 'all' ? TRANSFERS : [name]).map(load)), rest);
  }
}

if (asksForHelp(process.argv.slice(2))) console.log(usage(!isNamed));
else if (PROGRAMS[name] === undefined && !TRANSFERS.includes(name) && name !== 'all') {
  console.error(`no bench "${name}"; there are ${[...Object.keys(PROGRAMS), ...TRANSFERS, 'all'].join(', ')}`);
  process.exitCode = 2;
} else {
  try {
    await run();
  } catch (thrown) {
    if (!isMisread(thrown)) throw thrown;
    console.error(`${thrown.message}\n${usage(false)}`);
    process.exitCode = 2;
  }
}
