/** The benches by name: `npm run bench -- [NAME] [OPTIONS]`; without a name `streams`. Each says in its file what it measures. */
const NAMES = ['streams', 'registry', 'tracker'];

const [first = '', ...rest] = process.argv.slice(2);
const isNamed = first !== '' && !first.startsWith('-');
const name = isNamed ? first : 'streams';
if (NAMES.includes(name)) {
  if (isNamed) process.argv.splice(2, Number.POSITIVE_INFINITY, ...rest);
  await import(`./${name}.js`);
} else {
  console.error(`no bench "${name}"; there are ${NAMES.join(', ')}`);
  process.exitCode = 2;
}
