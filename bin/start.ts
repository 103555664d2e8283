/** `npm start [-- PATH...]`: shares the library of examples, or PATHs, and says what to type elsewhere. */
import { statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { ShareEvent } from '../lib/api.js';
import { run } from '../lib/cli/main.js';
import { valueOptions } from '../lib/cli/options.js';
import { processIo } from '../lib/cli/process.js';
import { connect } from '../lib/daemon/connect.js';
import { PROGRAM } from '../lib/daemon/version.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
// npm runs its scripts in the checkout; relative paths are meant from where it was typed.
const typed = process.env.npm_lifecycle_event === 'start' ? process.env.INIT_CWD : undefined;
const io = processIo(PROGRAM, typed);
const words = process.argv.slice(2);

const values = Object.fromEntries([...valueOptions(), 'as'].map((name) => [name, { type: 'string' as const }]));
const { positionals, values: given } = parseArgs({
  args: words,
  options: values,
  allowPositionals: true,
  strict: false,
});
const paths = positionals.length > 0 ? [] : [join(root, 'examples', 'library')];

/** Quoted for a shell where that is needed. */
const quoted = (text: string) => (/^[\w./\\:~-]+$/.test(text) ? text : JSON.stringify(text));

function hints({ shares, private: secret }: Extract<ShareEvent, { event: 'ready' }>): void {
  const state = typeof given.state === 'string' ? given.state : process.env.HEARSAY_STATE;
  const here = state ? ` --state ${quoted(state)}` : '';
  const program = 'node dist/bin/hearsay.js';
  const { name, path } = shares[0];
  const from = quoted(statSync(path).isDirectory() ? `${name}/` : name);
  // The running peer has it; elsewhere it must be given.
  const flag = secret ? ' --secret-file FILE' : '';
  const lines = [
    '',
    'In another terminal of this machine, in this folder:',
    `  ${program} ls${here}`,
    `  ${program} get ${from} -o ${quoted(join(tmpdir(), 'in', '/'))}${here}`,
    'On another machine of this network, in a checkout of hearsay:',
    '  npm run build',
    `  ${program} ls${flag}`,
    `  ${program} get ${from}${flag}`,
    ...(secret ? ['FILE there holds the same secret as here.'] : []),
    'Ctrl-C ends it.',
    '',
  ];
  void io.stderr.write(`${lines.join('\n')}\n`);
}

const status = await run(['share', ...paths, ...words], io, (wanted) =>
  connect({
    ...wanted,
    onEvent(event) {
      wanted.onEvent?.(event);
      if (event.event === 'ready' && !given.quiet) hints(event);
    },
  }),
);
await io.stdout.write('');
process.exit(status);
