import { readdirSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { faults, importsOf, strip } from './floors.js';

const LIB = fileURLToPath(new URL('../../../lib/', import.meta.url));

test('the house stands: imports go down, none in a circle, and the pure floors are pure', (t) => {
  const files = readdirSync(LIB, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'));
  const sources = new Map(files.map((path) => [path.split(sep).join('/'), readFileSync(join(LIB, path), 'utf8')]));
  t.true(sources.has('errors.ts') && sources.has('wire/table.ts'), 'the sources were found');
  t.deepEqual(faults(sources), []);
});

const GOOD: Record<string, string> = {
  'errors.ts': 'export const a = 1;',
  'wire/table.ts': "import { pack } from 'msgpackr';\nimport { a } from '../errors.js';",
  'gossip/index.ts': "import { b } from '../wire/table.js';\n// Date.now() is not used\nconst text = 'Math.random()';",
  'gossip/pace.ts': "import {\n  c,\n  d,\n} from './index.js';",
  'transfer/map.ts': "import type { b } from '../wire/table.js';",
  'net/udp.ts': "import dgram from 'node:dgram';\nsetTimeout(() => Date.now(), 1);",
  'share/scan.ts': "import 'node:fs';",
  'drive/driver.ts': "import { e } from '../gossip/pace.js';\nimport { f } from '../net/udp.js';",
  'peer.ts': "import { g } from './drive/driver.js';\nimport { h } from './share/scan.js';",
  'index.ts': "export * from './peer.js';\nexport type { i } from './errors.js';",
  'cli/main.ts': "import { j } from '../index.js';\nimport { k } from '../daemon/client.js';",
  'daemon/client.ts': "const l = await import('../errors.js');",
};

const faultsWith = (planted: Record<string, string>) => faults(new Map(Object.entries({ ...GOOD, ...planted })));

test('a house that stands has no faults', (t) => {
  t.deepEqual(faultsWith({}), []);
});

for (const [why, planted, expected] of [
  ['upward', { 'wire/table.ts': "import { x } from '../gossip/index.js';" }, /^wire\/table\.ts: imports upward/],
  ['upward, a type', { 'errors.ts': "import type { x } from './wire/table.js';" }, /^errors\.ts: imports upward/],
  ['upward, re-exported', { 'errors.ts': "export * from './wire/table.js';" }, /^errors\.ts: imports upward/],
  ['upward, at run time', { 'net/udp.ts': "await import('../peer.js');" }, /^net\/udp\.ts: imports upward/],
  ['from ground to peer', { 'errors.ts': "import './peer.js';" }, /^errors\.ts: imports upward/],
  ['from peer to cli', { 'peer.ts': "import '../lib/cli/main.js';" }, /not in lib/],
  [
    'neighbours',
    { 'transfer/map.ts': "import { x } from '../gossip/pace.js';" },
    /^transfer\/map\.ts: imports its neigh/,
  ],
  ['net and share', { 'net/udp.ts': "import { x } from '../share/scan.js';" }, /^net\/udp\.ts: imports its neighbour/],
  [
    'a circle of files',
    { 'gossip/index.ts': "import { x } from './pace.js';" },
    /^a circle: gossip\/index\.ts > gossip/,
  ],
  ['itself', { 'errors.ts': "import './errors.js';" }, /^a circle: errors\.ts > errors\.ts/],
  ['the clock', { 'gossip/pace.ts': 'const now = Date.now();' }, /^gossip\/pace\.ts: uses Date/],
  ['a date in a template', { 'gossip/pace.ts': `const now = \`\${new Date()}\`;` }, /uses Date/],
  ['after a quote in an expression', { 'gossip/pace.ts': `const r = /['"]/; Date.now();` }, /uses Date/],
  ['after a division', { 'gossip/pace.ts': 'const r = a / b; Date.now(); c / d;' }, /uses Date/],
  ['chance', { 'wire/table.ts': 'Math.random()' }, /uses Math\.random/],
  ['a timer', { 'errors.ts': 'setTimeout(() => {}, 1)' }, /uses setTimeout/],
  ['the process', { 'errors.ts': 'process.env.HOME' }, /uses process/],
  ['output', { 'errors.ts': 'console.log(1)' }, /uses console/],
  ['fetch', { 'errors.ts': 'await fetch(url)' }, /uses fetch/],
  ['node:fs', { 'transfer/map.ts': "import { readFile } from 'node:fs/promises';" }, /imports node:fs\/promises/],
  ['fs without its prefix', { 'transfer/map.ts': "import fs from 'fs';" }, /imports fs/],
  ['an impure package', { 'transfer/map.ts': "import dgram from 'dgram-as-promised';" }, /imports dgram/],
  ['a folder nobody knows', { 'util/misc.ts': 'export const x = 1;' }, /^util\/misc\.ts: a folder without a floor/],
] as const) {
  test(`found: ${why}`, (t) => {
    const found = faultsWith(planted);
    t.true(
      found.some((line) => expected.test(line)),
      `${expected} in ${JSON.stringify(found)}`,
    );
  });
}

test('names that merely look impure are left alone', (t) => {
  const code = 'this.fetch(1); x.Date; const upDate = 1; #process.a; queue.process(); a.setTimeout(1);';
  t.deepEqual(faultsWith({ 'gossip/pace.ts': code }), []);
});

test('comments and strings are told from code', (t) => {
  t.is(strip("a /* b */ c // d\n'e // f' g", false), "a  c \n'' g");
  t.is(strip("'e // f' g", true), "'e // f' g");
  t.deepEqual(importsOf("// import 'x'\n/* from 'y' */ import z from 'z'; export { q } from \"q\";"), ['z', 'q']);
});
