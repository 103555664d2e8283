/** What completes a word, without a shell: where it stands in the table of commands, what a peer knows, bash's quoting. */
import test from 'ava';
import type { Command } from 'commander';
import { bashQuoted, bashReplies, readBashLine } from '../../lib/cli/bash-line.js';
import { candidatesOf } from '../../lib/cli/candidates.js';
import { type Aim, ARGUMENTS, aimOf, VALUES } from '../../lib/cli/completing.js';
import { commandTable } from '../../lib/cli/main.js';
import { HearsayError } from '../../lib/errors.js';
import { COMPLETIONS_MAX } from '../../lib/limits.js';
import { ALICE, BOB, FakeApi, FakeIo, peerRow, STATUS, type } from './cli-fake.js';

const table = commandTable(new FakeIo(), async () => {});

/** The words that a line could be completed to; its last word is the one at the cursor. */
async function offered(words: string[], api?: FakeApi): Promise<string[]> {
  return (await candidatesOf(aimOf(table, words), api, ['eth0', 'lo'])).map(({ value }) => value);
}

function* commandsOf(command: Command, above = ''): Generator<[string, Command]> {
  for (const one of command.createHelp().visibleCommands(command)) {
    if (one.name() === 'help') continue;
    const name = `${above}${one.name()}`;
    yield [name, one];
    yield* commandsOf(one, `${name} `);
  }
}

test('commands and options come from the table of the help', async (t) => {
  const first = await offered(['']);
  for (const [name] of commandsOf(table)) if (!name.includes(' ')) t.true(first.includes(name), name);
  t.true(first.includes('help'));
  t.false(
    first.some((name) => name.startsWith('_')),
    'what is hidden stays so',
  );
  t.deepEqual(await offered(['daemon', 'st']), ['start', 'stop', 'status']);
  t.deepEqual(await offered(['help', 'fi']), ['find']);
  t.deepEqual(await offered(['completion', '']), ['bash', 'zsh', 'fish']);
  t.deepEqual(await offered(['secret', 'n']), ['new']);
  t.deepEqual(await offered(['get', '--ov']), ['--overwrite']);
  t.deepEqual(await offered(['get', '--', '--ov']), [], 'behind -- nothing is an option');
  t.true((await offered(['daemon', 'start', '--'])).includes('--tracker'));
  t.true((await offered(['ls', '--'])).includes('--no-multicast'));
  t.deepEqual(await offered(['ls', '--interface', '']), ['eth0', 'lo']);
  t.deepEqual(await offered(['ls', '--interface=l']), ['--interface=lo']);
  t.deepEqual(await offered(['nonsense', '']), []);
});

test('every option that takes a value, and every command that takes words, is known', (t) => {
  /** Those whose value nobody can guess. */
  const free = [
    ...['as', 'exclude', 'join', 'limit-down', 'limit-up', 'lines', 'multicast', 'name', 'only', 'port', 'timeout'],
    ...['tracker-store', 'wait'],
  ];
  /** Those that take words that nobody can guess, or none. */
  const wordless = ['console'];
  const known = new Set([...free, ...Object.keys(VALUES)]);
  const seen = new Set<string>();
  for (const [name, command] of commandsOf(table)) {
    for (const option of command.options) {
      if (!option.required && !option.optional) continue;
      seen.add(option.name());
      t.true(known.has(option.name()), `${name} --${option.name()}`);
    }
    const [argument] = command.registeredArguments;
    if (!argument || command.commands.length > 0 || argument.argChoices) continue;
    t.true(name in ARGUMENTS || wordless.includes(name), name);
  }
  t.deepEqual(
    [...known].filter((name) => !seen.has(name)),
    [],
    'options that there are',
  );
  const all = [...commandsOf(table)].map(([name]) => name);
  t.deepEqual(
    Object.keys(ARGUMENTS).filter((name) => !all.includes(name)),
    [],
    'commands that there are',
  );
});

test('paths come from the running peer, of those named by --from, with what stands before', async (t) => {
  const api = new FakeApi();
  api.under = [
    { path: 'photos', folder: true },
    { path: 'phone.txt', folder: false },
  ];
  t.deepEqual(await offered(['get', 'ph'], api), ['photos/', 'phone.txt']);
  t.deepEqual(await offered(['--state', '/s', 'ls', '--json', '--from=bob,cy', '--from', 'dan', 'pho'], api), [
    'photos/',
    'phone.txt',
  ]);
  t.deepEqual(await offered(['ls', '--sources', 'phot'], api), ['photos/']);
  t.deepEqual(await offered(['get', 'x', '-o', 'ph'], api), [], 'a place of this machine');
  t.deepEqual(await offered(['get', '-o', 'x', 'ph'], api), ['photos/', 'phone.txt']);
  t.deepEqual(await offered(['get', '-ox', 'phon'], api), ['phone.txt']);
  t.deepEqual(api.asked, [
    { prefix: 'ph' },
    { prefix: 'pho', from: ['bob', 'cy', 'dan'] },
    { prefix: 'phot' },
    { prefix: 'ph' },
    { prefix: 'phon' },
  ]);
  api.asked.length = 0;
  api.under = [];
  t.deepEqual(await offered(['get', 'bob:ph'], api), []);
  t.deepEqual(api.asked, [{ prefix: 'bob:ph' }, { prefix: 'ph', from: ['bob'] }]);
  t.deepEqual(aimOf(table, ['--state=/s', 'ls', '--config', 'c', '']).state, '/s');
  t.is(aimOf(table, ['--state=/s', 'ls', '--config', 'c', '']).config, 'c');
  api.fails = new HearsayError('ambiguous', 'two');
  await t.throwsAsync(offered(['get', 'bob:ph'], api), { message: 'two' }, 'the command says nothing of it');
});

test('no name reaches a terminal that would do something to it, and a dash makes no option of one', async (t) => {
  const api = new FakeApi();
  const hard = ['a\nb', 'a\tb', 'a\x1b[2J', 'a\u202eb', '-rf', "it's", 'a b', 'ü'];
  api.under = hard.map((path) => ({ path, folder: false }));
  t.deepEqual(await offered(['get', ''], api), ["it's", 'a b', 'ü']);
  t.deepEqual(await offered(['get', '--', '-'], api), ['-rf']);
  api.others = [peerRow({ ...BOB, name: 'b\x1b[2Job' })];
  const [{ value, about }] = await candidatesOf(aimOf(table, ['ls', '--from', '']), api, []);
  t.is(value, BOB.id);
  t.is(about, 'b\\u{1b}[2Job');
  api.under = Array.from({ length: 3 * COMPLETIONS_MAX }, (_, i) => ({ path: `f${i}`, folder: false }));
  t.is((await offered(['get', 'f'], api)).length, COMPLETIONS_MAX);
});

test('peers: by name where that names one, in lists, never oneself', async (t) => {
  const api = new FakeApi();
  api.others = [
    peerRow({ ...ALICE, self: true }),
    peerRow(BOB),
    peerRow({ id: '01ARZ3NDEKTSV4RRFFQ69G5FAX', name: 'bo,b' }),
    peerRow({ id: '01ARZ3NDEKTSV4RRFFQ69G5FAY', name: 'cy' }),
    peerRow({ id: '01ARZ3NDEKTSV4RRFFQ69G5FAZ', name: 'cy' }),
  ];
  t.deepEqual(
    await offered(['ls', '--from', ''], api),
    ['bob', ...'XYZ'].map((c) => (c === 'bob' ? c : `01ARZ3NDEKTSV4RRFFQ69G5FA${c}`)),
  );
  t.deepEqual(await offered(['ls', '--from', 'b'], api), ['bob']);
  t.deepEqual(await offered(['ls', '--from=x,b'], api), ['--from=x,bob']);
  t.deepEqual(await offered(['get', '--from', 'x,b'], api), ['x,bob']);
  t.deepEqual(await offered(['ls', '--from', '01ARZ3NDEKTSV4RRFFQ69G5FAW'], api), [BOB.id], 'an id that was begun');
  t.deepEqual(await offered(['ls', '--from', 'b']), [], 'without a running peer nobody is known');
});

test('shares, transfers and what waits in the inbox, of the running peer', async (t) => {
  const api = new FakeApi();
  t.deepEqual(
    await offered(['remove', 'ph'], api),
    STATUS.shares.map(({ name }) => name),
  );
  api.status = async () => ({
    ...STATUS,
    transfers: [
      { ...STATUS.transfers[0], number: 1 },
      { ...STATUS.transfers[0], number: 2, state: 'running' },
      { ...STATUS.transfers[0], number: 3, state: 'paused' },
      { ...STATUS.transfers[0], number: 4, state: 'done' },
      { ...STATUS.transfers[0], number: 5, state: 'failed' },
    ],
  });
  t.deepEqual(await offered(['pause', ''], api), ['2', '3', 'all']);
  const row = { time: 1, from: BOB, folder: false, files: 1, bytes: 1024, received: 0 };
  api.offered = [
    { ...row, number: 7, name: 'a\x1b.txt', state: 'waiting' },
    { ...row, number: 8, name: 'b', state: 'received' },
  ];
  t.deepEqual(await candidatesOf(aimOf(table, ['inbox', 'accept', '']), api, []), [
    { value: '7', about: 'a\\u{1b}.txt (1.0 KiB) from bob' },
  ]);
  t.deepEqual(await offered(['inbox', 'a'], api), ['accept']);
  t.deepEqual(await offered(['share', '--inbox', 'a']), ['ask', 'accept']);
});

test('without a running peer the hidden command says what is known, and where files are meant', async (t) => {
  const io = new FakeIo();
  io.env = { HEARSAY_STATE: '/nowhere/at/all' };
  const { out, status, err } = await type(['__complete', 'zsh', '--', 'daemon', 'sto'], { io });
  t.deepEqual([status, err, out], [0, '', 'words\nstop\tend it, with a goodbye\n']);
  t.is((await type(['__complete', 'fish', '--', 'share', ''])).out, 'files\n');
  const none = new FakeIo();
  none.env = io.env;
  t.like(await type(['__complete', 'fish', '--', 'get', ''], { io: none }), { out: 'words\n', err: '', status: 0 });
});

test('completion prints what each shell takes, and names the shells', async (t) => {
  for (const shell of ['bash', 'zsh', 'fish']) {
    const { status, out } = await type(['completion', shell]);
    t.is(status, 0);
    t.true(out.includes(`__complete ${shell} --`));
  }
  t.regex((await type(['completion'])).err, /which shell\? bash, zsh, fish/);
  t.like(await type(['completion', 'csh']), { status: 2 });
  t.regex((await type(['completion', '--help'])).out, /source <\(hearsay completion bash\)/);
  t.false((await type(['--help'])).out.includes('__complete'));
  t.false((await type(['nothing'])).err.includes('__complete'));
});

const LINES: [string, string[], string, Aim['part']][] = [
  ['hearsay get a\\ b "c d"e\'f g\' h', ['hearsay', 'get', 'a b', 'c def g'], '', 'h'],
  ['hearsay ', ['hearsay'], '', ''],
  ['hearsay get "a\\"b\\c $x', ['hearsay', 'get'], '"', 'a"b\\c $x'],
  ["hearsay get 'a\\", ['hearsay', 'get'], "'", 'a\\'],
  ['echo x; hearsay ls | hearsay get x', ['hearsay', 'get'], '', 'x'],
  ['hearsay ls "" x', ['hearsay', 'ls', ''], '', 'x'],
  ['hearsay ls \ud83d\ude00', ['hearsay', 'ls'], '', '\ud83d\ude00'],
];
for (const [line, words, quote, current] of LINES) {
  test(`bash reads ${line}`, (t) => {
    const read = readBashLine(line);
    t.deepEqual([read.words, read.quote, read.current], [words, quote as '', current]);
    t.is(read.places.length, current.length);
  });
}

test('bash: the file of a redirection is one of this machine', (t) => {
  t.true(readBashLine('hearsay get x -o - > fi').redirected);
  t.false(readBashLine('hearsay get x -o - > fi ').redirected);
  t.deepEqual(readBashLine('hearsay get > fi x').words, ['hearsay', 'get']);
});

test('bash: what it puts in place of a part of the word goes on from there, quoted as it stands', (t) => {
  const replies = (line: string, replaced: string, value: string) =>
    bashReplies(line, readBashLine(line), replaced.length, [value]);
  t.deepEqual(replies('hearsay get ph', 'ph', 'photos/a b'), ['photos/a\\ b']);
  t.deepEqual(replies('hearsay get a\\ ', 'a\\ ', "a it's"), ["a\\ it\\'s"]);
  t.deepEqual(replies('hearsay get "a ', 'a ', 'a $b!"`'), [`a \\$b"'!'"\\"\\\``]);
  t.deepEqual(replies("hearsay get 'a ", 'a ', "a it's"), ["a it'\\''s"]);
  t.deepEqual(replies('hearsay get x/a:b', 'b', 'x/a:b=c'), ['b=c']);
  t.deepEqual(replies('hearsay get "my photos/"', '', 'my photos/a b'), ['a\\ b']);
  t.is(bashQuoted('~#;&|<>()[]{}*?!^,ü-_.', ''), '\\~\\#\\;\\&\\|\\<\\>\\(\\)\\[\\]\\{\\}\\*\\?\\!^,ü-_.');
});
