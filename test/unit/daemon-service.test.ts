/** How a daemon is started by others: the words of its options, what of them is kept, and the services of each platform. */
import { execFile } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { removeService, runSteps, works, writeService } from '../../lib/daemon/install.js';
import { type Launched, readLaunched, saveLaunched, withheldOf } from '../../lib/daemon/launched.js';
import { type ServiceSpec, serviceName, serviceOf } from '../../lib/daemon/service.js';
import { wordsOf } from '../../lib/daemon/words.js';
import type { Flags } from '../../lib/share/settings.js';
import { FakeIo, type } from './cli-fake.js';

async function folder(t: ExecutionContext): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'hearsay-service-'));
  t.teardown(() => rm(made, { recursive: true, force: true }));
  return made;
}

/** Every option that `share` takes, with a value that is hard to pass on. */
const VALUES: Record<string, string[]> = {
  as: ['a name'],
  for: ['bob,carol', '-dan'],
  'tracker-store': ['redis://host:6379/0'],
  state: ['/st ate'],
  config: ['/con"fig'],
  name: ['--name'],
  port: ['0'],
  join: ['one:1', '[::1]:2'],
  multicast: ['239.1.2.3:4'],
  interface: ['lo', 'eth 0'],
  'secret-file': ['secret'],
  wait: ['1'],
  timeout: ['9'],
  only: ['*.jpg', '**/x'],
  exclude: ['-y', '*.tmp'],
  inbox: ['accept'],
  'inbox-folder': ['/in box'],
  'limit-up': ['20MB/s'],
  'limit-down': ['none'],
};
/** Those that are about one run of a command, not about what runs. */
const MANNER = ['json', 'quiet', 'trace', 'help'];

/** What a command line means: what `share` asks for. */
async function meaning(t: ExecutionContext, words: string[]): Promise<Launched> {
  const io = new FakeIo();
  const { wanted, err } = await type(words, { io, onSession: () => queueMicrotask(() => io.interrupt()) });
  t.is(wanted.length, 1, err);
  const { flags, configFile } = wanted[0];
  return { flags, configFile, verbose: words.includes('--verbose') };
}

test('the words of what was given mean what was given, for every option that share takes', async (t) => {
  const { out } = await type(['share', '--help'], { io: Object.assign(new FakeIo(), { stdout: wide() }) });
  const options = [...out.matchAll(/^\s+(?:-\w, )?--(no-)?([a-z-]+)( <)?/gm)].map(([, no, name, takes]) => ({
    word: `--${no ?? ''}${name}`,
    name,
    takes: takes !== undefined,
  }));
  t.true(options.length > 15, out);
  for (const { word, name, takes } of options) {
    if (MANNER.includes(name)) continue;
    const values = VALUES[name];
    if (takes) t.truthy(values, `--${name} is new: give it a value here`);
    const given = takes ? values.flatMap((value) => [`${word}=${value}`]) : [word];
    const before = await meaning(t, ['share', ...given, 'some path']);
    const words = wordsOf(before);
    const after = await meaning(t, ['share', ...words]);
    t.deepEqual(after, before, words.join(' '));
    if (name !== 'verbose') t.notDeepEqual(before, await meaning(t, ['share', 'some path']), `${word} is told`);
  }
  const paths = await meaning(t, ['share', '--', '-a', 'b c', '--d']);
  t.deepEqual(await meaning(t, ['share', ...wordsOf(paths)]), paths);
});

function wide() {
  const { stdout } = new FakeIo();
  stdout.columns = 1000;
  return stdout;
}

const launched = (flags: Flags): Launched => ({ flags, configFile: undefined, verbose: false });

test('how it was started is kept for its owner alone, without what is secret', async (t) => {
  const state = join(await folder(t), 'state');
  const flags: Flags = { name: 'alice', 'tracker-store': 'redis://:hunter2@host:6379', share: ['/a', '/b'] };
  await saveLaunched(state, { flags, configFile: '/c.toml', verbose: true }, { HEARSAY_SECRET: 'correct horse' });
  const path = join(state, 'daemon.json');
  t.notRegex(await readFile(path, 'utf8'), /hunter2|horse/);
  if (process.platform !== 'win32') t.is((await stat(path)).mode & 0o777, 0o600);
  const store = { 'tracker-store': 'redis://:hunter2@host:6379' };
  const env = { HEARSAY_SECRET: 'correct horse' };
  const { 'tracker-store': _, ...rest } = flags;
  t.deepEqual(await readLaunched(state, store, env), { flags: rest, configFile: '/c.toml', verbose: true });
  t.like(await t.throwsAsync(readLaunched(state, {}, env)), { code: 'usage' });
  const open = await t.throwsAsync(readLaunched(state, store, {}));
  t.like(open, { code: 'usage' }, 'a private group never becomes an open one by a restart');
  t.regex(open?.message ?? '', /HEARSAY_SECRET/);
  t.truthy(await readLaunched(state, { ...store, secretFile: '/s' }, {}));
});

test('what is kept and means nothing is as if nothing were', async (t) => {
  const state = await folder(t);
  t.is(await readLaunched(state, {}, {}), undefined);
  for (const text of ['', '{', '[]', '{"flags":1}']) {
    await writeFile(join(state, 'daemon.json'), text);
    t.is(await readLaunched(state, {}, {}), undefined, text);
  }
  await saveLaunched(state, launched({ name: 'x' }), {});
  t.deepEqual((await readLaunched(state, {}, {}))?.flags, { name: 'x' });
});

test('what is secret of what was given', (t) => {
  const env = { HEARSAY_SECRET: 's' };
  t.deepEqual(withheldOf(launched({}), {}), []);
  t.deepEqual(withheldOf(launched({ secretFile: '/s' }), env), [], 'the option wins');
  t.deepEqual(withheldOf(launched({}), env), ['HEARSAY_SECRET']);
  t.deepEqual(withheldOf(launched({ 'tracker-store': 'redis://h' }), {}), []);
  t.deepEqual(withheldOf(launched({ 'tracker-store': 'redis://:p@h' }), {}), ['--tracker-store']);
});

const HARD = [
  '/opt/no de/bin/node',
  '/x/hearsay.js',
  'daemon',
  'run',
  '--name=50 % "of" $HOME \\ ü',
  '--',
  "/it's & <so>",
];

function spec(platform: NodeJS.Platform, more: Partial<ServiceSpec> = {}): ServiceSpec {
  const env = { USERDOMAIN: 'HOUSE', USERNAME: 'a&b' };
  const windows = platform === 'win32';
  return {
    platform,
    name: 'hearsay',
    command: HARD,
    state: windows ? 'C:\\Users\\a\\hearsay' : '/home/a/.local/share/hearsay',
    home: windows ? 'C:\\Users\\a' : '/home/a',
    uid: windows ? -1 : 501,
    env,
    notify: true,
    ...more,
  };
}

test('systemd: a user unit', (t) => {
  const { file, text, enable, disable } = serviceOf(spec('linux'));
  t.is(file, '/home/a/.config/systemd/user/hearsay.service');
  t.regex(text, /^Type=notify$/m);
  t.regex(text, /^NotifyAccess=all$/m);
  t.regex(text, /^Restart=on-failure$/m);
  t.regex(text, /^NoNewPrivileges=yes$/m);
  // The control socket may lie in /tmp, and what is shared lies at home.
  t.notRegex(text, /PrivateTmp|ProtectHome/);
  t.true(
    text.includes(
      'ExecStart=:"/opt/no de/bin/node" /x/hearsay.js daemon run "--name=50 %% \\"of\\" $HOME \\\\ ü" -- "/it\'s & <so>"\n',
    ),
    text,
  );
  t.deepEqual(enable.at(-1)?.words, ['systemctl', '--user', 'restart', 'hearsay.service']);
  t.deepEqual(disable[0].words, ['systemctl', '--user', 'disable', '--now', 'hearsay.service']);
  t.regex(serviceOf(spec('linux', { notify: false })).text, /^Type=exec$/m);
  const elsewhere = serviceOf(spec('linux', { env: { XDG_CONFIG_HOME: '/cfg' } }));
  t.is(elsewhere.file, '/cfg/systemd/user/hearsay.service');
});

test('launchd: an agent', (t) => {
  const { file, text, enable, disable, restart } = serviceOf(spec('darwin'));
  t.is(file, '/home/a/Library/LaunchAgents/hearsay.plist');
  t.true(text.includes('<string>/it&apos;s &amp; &lt;so&gt;</string>'), text);
  t.true(text.includes('<key>SuccessfulExit</key>\n    <false/>'));
  t.deepEqual(enable.at(-1)?.words, ['launchctl', 'bootstrap', 'gui/501', file]);
  t.deepEqual(disable[0].words, ['launchctl', 'bootout', 'gui/501/hearsay']);
  t.deepEqual(restart[0].words, ['launchctl', 'kickstart', '-k', 'gui/501/hearsay']);
});

test('Windows: a scheduled task', (t) => {
  const { file, text, encoding, enable, disable } = serviceOf(spec('win32'));
  t.is(file, 'C:\\Users\\a\\hearsay\\hearsay.task.xml');
  t.is(encoding, 'utf16le');
  t.is(text[0], '\ufeff');
  t.true(text.includes('<UserId>HOUSE\\a&amp;b</UserId>'), text);
  t.true(text.includes('&quot;/opt/no de/bin/node&quot; /x/hearsay.js daemon run'), text);
  t.true(text.includes('&quot;--name=50 % \\&quot;of\\&quot; $HOME \\ ü&quot; -- '), text);
  t.deepEqual(enable[0].words, ['schtasks', '/create', '/tn', 'hearsay', '/xml', file, '/f']);
  t.deepEqual(disable.at(-1)?.words, ['schtasks', '/delete', '/tn', 'hearsay', '/f']);
});

test('a service that cannot be written is refused', (t) => {
  for (const platform of ['linux', 'darwin', 'win32'] as const) {
    t.throws(() => serviceOf(spec(platform, { command: ['node', 'a\nb'] })), { message: /cannot be told/ });
  }
  t.throws(() => serviceOf(spec('freebsd')), { message: /no service is known for freebsd/ });
  t.not(serviceName('/a'), serviceName('/b'));
  t.is(serviceName(undefined), 'hearsay');
});

test('steps: what fails is named, and what there is not; the lenient may fail', async (t) => {
  const node = process.execPath;
  await runSteps([{ words: [node, '-e', 'process.exit(3)'], lenient: true }]);
  const error = await t.throwsAsync(runSteps([{ words: [node, '-e', 'console.error("no bus"); process.exit(1)'] }]));
  t.like(error, { code: 'failed' });
  t.regex(error?.message ?? '', /process\.exit\(1\): no bus$/);
  const none = await t.throwsAsync(runSteps([{ words: ['hearsay-no-such-program'] }]));
  t.regex(none?.message ?? '', /there is no hearsay-no-such-program on this system/);
  t.false(await works('hearsay-no-such-program'));
  t.true(await works(node, '--version'));
});

test("the file of a service is its owner's, is replaced, and is taken away", async (t) => {
  const home = await folder(t);
  const service = { ...serviceOf(spec('linux', { home })), disable: [], after: [] };
  await writeService(service);
  await writeService(service);
  t.is(await readFile(service.file, 'utf8'), service.text);
  if (process.platform !== 'win32') t.is((await stat(service.file)).mode & 0o777, 0o600);
  await removeService(service);
  await removeService(service);
  await t.throwsAsync(stat(service.file));
  await writeFile(join(home, 'file'), '');
  await chmod(home, 0o700);
  const inFile = { ...service, file: join(home, 'file', 'x', 'hearsay.service') };
  t.like(await t.throwsAsync(writeService(inFile)), { code: 'not-writable' });
});

test('systemd accepts the unit', async (t) => {
  if (!(await works('systemd-analyze', '--version'))) {
    t.log('skipped: no systemd-analyze here');
    return t.pass();
  }
  const home = await folder(t);
  // A program that is there, as verify looks.
  const command = [process.execPath, resolve('x.js'), 'daemon', 'run', ...HARD.slice(4)];
  for (const notify of [true, false]) {
    const service = serviceOf(spec('linux', { home, command, notify }));
    await writeService(service);
    const said = await new Promise<string>((done) => {
      execFile(
        'systemd-analyze',
        ['--user', 'verify', service.file],
        { env: { ...process.env, XDG_RUNTIME_DIR: home } },
        (error, stdout, stderr) => done(`${error ? `failed: ${error.message}` : ''}${stdout}${stderr}`),
      );
    });
    // What it says of units of the machine's own is not about ours.
    const ours = said.split('\n').filter((line) => line.includes('failed') || line.includes('hearsay'));
    t.deepEqual(ours, [], said);
  }
});
