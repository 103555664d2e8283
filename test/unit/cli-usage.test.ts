import test from 'ava';
import type { Command } from 'commander';
import { commandTable } from '../../lib/cli/main.js';
import { type Code, exitStatus } from '../../lib/errors.js';
import { FakeApi, FakeIo, failure, objects, row, type } from './cli-fake.js';

const wrong: [string[], RegExp][] = [
  [[], /which command\? There are share, ls, find, peers, get, send, inbox, status/],
  [['lst'], /no command lst\. Did you mean hearsay ls\?/],
  [['statsu'], /Did you mean hearsay status\?/],
  [['download', 'x'], /Did you mean hearsay get\?/],
  [['push', 'x'], /Did you mean hearsay send\?/],
  [['zzzzzzzz'], /no command zzzzzzzz\. There are share, ls/],
  [['get'], /get what\?.*hearsay get photos/],
  [['find'], /find what\?/],
  [['ls', 'a', 'b'], /one PATTERN, not 2: quote it/],
  [['ls', '--nonsense'], /unknown option '--nonsense'/],
  [['ls', '--folow'], /Did you mean --follow\?/],
  [['peers', 'x'], /too many arguments/],
  [['get', 'x', '-o', ''], /-o needs a folder/],
  [['get', 'x', '-o'], /argument missing/],
  [['get', 'x', '-o', '-', '--json'], /standard output, where --json writes too/],
  [['get', 'x', '-o', '-', '--discard'], /--discard/],
  [['share', 'a', 'b', '--as', 'c'], /--as names one PATH, and there are 2/],
  [['ls', '--quiet', '--verbose'], /cannot be used with/],
];
for (const [argv, said] of wrong) {
  test(`usage: hearsay ${JSON.stringify(argv)}`, async (t) => {
    const { status, out, err, wanted } = await type(argv);
    t.is(status, 2);
    t.regex(err + out, said);
    t.false(/\n\s+at /.test(err), 'no stack');
    t.is(wanted.length, 0, 'nothing is started');
    const json = await type([...argv.slice(0, 1), '--json', ...argv.slice(1)]);
    t.is(json.status, 2);
    t.is(json.err, '');
    const [{ error, event }] = objects(json.out) as [{ error: { code: string; message: string }; event?: string }];
    t.is(error.code, 'usage');
    t.regex(error.message, said);
    t.is(event, ['get', 'send', 'share'].includes(argv[0]) || argv.includes('--follow') ? 'error' : undefined);
  });
}

test('what was typed wrongly is answered with the help of its command', async (t) => {
  const typed: [string[], string][] = [
    [['zzzzzzzz'], 'hearsay'],
    [['ls', '--folow'], 'hearsay ls'],
    [['send', 'x'], 'hearsay send'],
    [['inbox', 'accept', 'x'], 'hearsay inbox accept'],
    [['daemon', 'start', '--nonsense'], 'hearsay daemon start'],
  ];
  for (const [argv, command] of typed) {
    const { err } = await type(argv);
    t.true(err.endsWith(`\n  See \`${command} --help\`.\n`), err);
  }
});

test('a shell that is not known is named, and those that are', async (t) => {
  const { status, err } = await type(['completion', 'tc\x07sh']);
  t.is(status, 2);
  t.regex(err, /^hearsay: there is no completion for tc\\u\{7\}sh; for bash, zsh, fish\n/);
});

test('a terminal is given messages broken between words, a pipe whole ones', async (t) => {
  const refuses = failure('state-in-use', `another hearsay is using /home/${'a'.repeat(60)}/state`);
  const io = new FakeIo();
  io.stderr.isTTY = true;
  io.env.NO_COLOR = '1';
  const said = (await type(['share', 'x'], { io, refuses })).err;
  t.deepEqual(said.split('\n').slice(0, 2), ['hearsay: another hearsay is using', `/home/${'a'.repeat(60)}/state`]);
  for (const line of said.split('\n')) t.true(line.length <= io.stderr.columns, line);
  t.is((await type(['share', 'x'], { refuses })).err.split('\n').length, 3);
});

test('--version and --help exit 0 and start nothing', async (t) => {
  t.like(await type(['--version']), { status: 0, out: '1.2.3\n', err: '' });
  const help = await type(['--help']);
  t.is(help.status, 0);
  t.regex(help.out, /hearsay share ~\/Pictures/);
  t.false(help.out.includes('--no-multicast'), 'the common options are told by the commands');
  for (const command of ['share', 'ls', 'find', 'peers', 'get', 'send', 'inbox', 'status', 'console']) {
    const { status, out, err } = await type([command, '--help']);
    t.is(status, 0, command);
    t.is(err, '');
    t.regex(out, /Examples:/);
    t.regex(out, /--no-multicast/);
    t.true(help.out.includes(`  ${command} `), `${command} is listed`);
    t.true(out.indexOf('\nOptions:') < out.indexOf('\nOptions of every command:'), `${command}: its own first`);
    t.is((await type(['help', command])).out, out);
  }
});

test('no line of any help is wider than the terminal', async (t) => {
  const lines = async (words: string[]) => (await type([...words, '--help'])).out.split('\n');
  const wide: string[] = [];
  const walk = async (command: Command, words: string[]): Promise<void> => {
    wide.push(...(await lines(words)).filter((line) => line.length > 80));
    for (const one of command.commands) await walk(one, [...words, one.name()]);
  };
  await walk(
    commandTable(new FakeIo(), async () => {}),
    [],
  );
  t.deepEqual(wide, []);
});

test('common options before and after the command reach whoever connects', async (t) => {
  const io = new FakeIo();
  const { wanted } = await type(
    ['--join', 'a', '--state', 's', 'ls', '--join', 'b:1', '--no-multicast', '--wait', '3', '--port', '0'],
    { io },
  );
  t.is(wanted.length, 1);
  t.is(wanted[0].mode, 'any');
  t.deepEqual(Object.keys(wanted[0].flags).sort(), ['join', 'multicast', 'port', 'state', 'wait']);
  t.deepEqual(wanted[0].flags.join, ['a', 'b:1']);
  t.is(wanted[0].flags.multicast, false);
  t.true(wanted[0].flags.state?.startsWith(io.cwd), 'relative to the working folder');
  const plain = await type(['ls', '--multicast', '239.1.2.3:5', '--interface', 'eth0', '--config', 'c.toml']);
  t.is(plain.wanted[0].flags.multicast, '239.1.2.3:5');
  t.deepEqual(plain.wanted[0].flags.interface, ['eth0']);
  t.true(plain.wanted[0].configFile?.endsWith('c.toml'));
  t.deepEqual((await type(['ls'])).wanted[0].flags, {});
});

test('words after -- are no options', async (t) => {
  const api = new FakeApi();
  api.files = [row('-x')];
  t.is((await type(['find', '--', '--json', '-x'], { api })).status, 0);
  t.deepEqual(api.asked, [{ words: ['--json', '-x'], from: undefined }]);
});

const failing: Code[] = [
  'not-running',
  'no-peer',
  'ambiguous',
  'port-taken',
  'state-in-use',
  'config',
  'other-version',
];
for (const code of failing) {
  test(`what connecting throws is told and decides the status: ${code}`, async (t) => {
    const human = await type(['status'], { refuses: failure(code, 'it\x1b[2Jfailed') });
    t.is(human.status, exitStatus(code));
    t.is(human.out, '');
    t.true(human.err.startsWith('hearsay: it\\u{1b}[2Jfailed\n  '), 'the message, made printable, then what to do');
    const json = await type(['status', '--json'], { refuses: failure(code, 'why') });
    t.is(json.status, exitStatus(code));
    t.is(json.out, `{"error":{"code":"${code}","message":"why"}}\n`);
    t.is(json.err, '');
  });
}

test('a stack is shown only with --verbose', async (t) => {
  const api = new FakeApi();
  api.fails = new TypeError('a fault');
  t.regex((await type(['ls'], { api })).err, /^hearsay: a fault\n {2}See the message.*\n$/);
  const { status, err } = await type(['ls', '--verbose'], { api });
  t.is(status, 1);
  t.regex(err, /TypeError: a fault\n\s+at /);
});
