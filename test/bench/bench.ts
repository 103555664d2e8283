/** The benches by name: `npm run bench -- [NAME] [OPTIONS]`; without a name `streams`. Each says in its file what it measures. */
import { type Bench, runBenches } from './settings.js';

/** Programs of their own. */
const NAMES = ['streams', 'registry', 'tracker', 'index'];
/** Those of transfers, beside other tools; `all` is all of them. */
const TRANSFERS = ['single', 'sources', 'swarm', 'small', 'loss', 'fair', 'delta', 'hash', 'simulate'];

const [first = '', ...rest] = process.argv.slice(2);
const isNamed = first !== '' && !first.startsWith('-');
const name = isNamed ? first : 'streams';
const load = async (file: string) => ((await import(`./${file}.js`)) as { bench: Bench }).bench;

if (NAMES.includes(name)) {
  if (isNamed) process.argv.splice(2, Number.POSITIVE_INFINITY, ...rest);
  await import(`./${name}.js`);
} else if (TRANSFERS.includes(name) || name === 'all') {
  await runBenches(await Promise.all((name === 'all' ? TRANSFERS : [name]).map(load)), rest);
} else {
  console.error(`no bench "${name}"; there are ${[...NAMES, ...TRANSFERS, 'all'].join(', ')}`);
  process.exitCode = 2;
}
