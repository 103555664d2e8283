/** The manual: all that the help lists is in it, and nothing in it is taken for a command of roff. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { Command } from 'commander';
import { commandTable } from '../../lib/cli/main.js';
import { manualOf, plainText, roff } from '../../lib/cli/manual.js';
import { works } from '../../lib/daemon/install.js';
import { type Code, exitStatus } from '../../lib/errors.js';
import { FakeIo, type } from './cli-fake.js';

const table = commandTable(new FakeIo(), async () => {});
const page = manualOf(table, '1.2.3');

function* all(command: Command, above = 'hearsay'): Generator<[string, Command]> {
  for (const one of command.commands) {
    const name = `${above} ${one.name()}`;
    yield [name, one];
    yield* all(one, name);
  }
}

/** What man(1) would show of a source, near enough: roff's own escapes undone. */
function shown(source: string): string {
  const named: Record<string, string> = { aq: "'", ga: '`', dq: '"', ti: '~', ha: '^' };
  return source.replace(/\\(?:f[BR]|&|-|e|\((..))/g, (mark, name) =>
    name ? named[name] : mark === '\\-' ? '-' : mark === '\\e' ? '\\' : '',
  );
}

test('every command and every option is in it, with what the help says of it', (t) => {
  const texts = { roff: shown(roff(page)), plain: plainText(page, 10_000).join('\n') };
  let options = 0;
  for (const [kind, text] of Object.entries(texts)) {
    for (const [name, command] of all(table)) {
      if (name.includes('__')) {
        t.false(text.includes(name), name);
        continue;
      }
      t.true(text.includes(`${name} ${command.usage()}`), `${kind}: ${name}`);
      t.true(text.includes(command.description()), `${kind}: ${name}`);
      for (const option of command.options) {
        options++;
        t.true(text.includes(option.flags), `${kind}: ${name} ${option.flags}`);
        t.true(text.includes(option.description), `${kind}: ${name} ${option.flags}`);
      }
    }
    t.true(text.includes('hearsay get photos/ -o ~/Pictures/'), 'examples too');
  }
  t.true(options > 200);
});

test('common options are told once, and every exit status is', (t) => {
  t.is(roff(page).split('\\fB\\-\\-no\\-multicast\\fR').length, 2);
  const source = roff(page);
  const codes: Code[] = [
    'failed',
    'usage',
    'not-found',
    'ambiguous',
    'no-peer',
    'refused',
    'wrong-content',
    'disk-full',
  ];
  for (const code of [...codes, 'interrupted' as const]) {
    t.true(source.includes(`.TP\n\\fB${exitStatus(code)}\\fR\n`), code);
  }
});

test('what roff would take for a command or an escape is text', (t) => {
  const odd = new Command('odd').description('.TH is not one, nor \\fB; "it\'s" `x` ~ ^ - so');
  odd.usage('[x] "y"').option('-x, --dot-x <a\\b>', "'begins with a quote");
  odd.addHelpText('after', "\nExamples:\n  .so /etc/passwd\n  'x\n  hearsay get \\* -o ~/in");
  const program = new Command('hearsay').description('p');
  program.addCommand(odd);
  const source = roff(manualOf(program, '1"2'));
  t.deepEqual(
    source.split('\n').filter((line) => /^[.'](?!\\"|TH HEARSAY|SH "|SS "|PP$|TP$|RS 4$|RE$|nf$|fi$)/.test(line)),
    [],
  );
  t.regex(source, /^\\&\.TH is not one, nor \\efB; \\\(dqit\\\(aqs\\\(dq \\\(gax\\\(ga \\\(ti \\\(ha \\- so$/m);
  t.regex(source, /^\\&\.so \/etc\/passwd$/m);
  t.regex(source, /^\\fB\\-x, \\-\\-dot\\-x <a\\eb>\\fR\n\\\(aqbegins with a quote$/m);
  t.regex(source, /^\.SS "hearsay odd \[x\] \\\(dqy\\\(dq"$/m);
});

test('hearsay man prints the source where nobody reads it on a terminal', async (t) => {
  const { status, out } = await type(['man']);
  t.is(status, 0);
  t.is(out, roff(manualOf(table, '1.2.3')));
});

test('plain lines are no wider than the terminal', (t) => {
  const wide = plainText(page, 72).filter((line) => line.length > 72 && !/^ {9}\S|^ {3}\S/.test(line));
  t.deepEqual(wide, []);
});

for (const [program, ...args] of [
  ['groff', '-man', '-ww', '-Tutf8'],
  ['man', '--warnings', '-l'],
]) {
  test(`${program} has nothing to say against it`, async (t) => {
    if (!(await works(program, '--version'))) {
      t.log(`skipped: no ${program} here`);
      return t.pass();
    }
    const folder = await mkdtemp(join(tmpdir(), 'hearsay-manual-'));
    t.teardown(() => rm(folder, { recursive: true, force: true }));
    const file = join(folder, 'hearsay.1');
    await writeFile(file, roff(page));
    const said = await new Promise<string>((resolve) => {
      execFile(
        program,
        [...args, file],
        { env: { ...process.env, MANPAGER: 'cat', LANG: 'C.UTF-8' } },
        (error, stdout, stderr) =>
          resolve(`${stderr}${error ? error.message : ''}${stdout.includes('hearsay daemon start') ? '' : 'nothing'}`),
      );
    });
    t.is(said, '');
  });
}
