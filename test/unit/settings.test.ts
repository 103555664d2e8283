import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { homedir, hostname, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { formatEndpoint } from '../../lib/endpoint.js';
import { HearsayError } from '../../lib/errors.js';
import { ALLOWED_MAX } from '../../lib/limits.js';
import { parseGroup, parseHostPort } from '../../lib/share/address.js';
import { loadSettings } from '../../lib/share/settings.js';

async function folder(t: ExecutionContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'hearsay-settings-'));
  t.teardown(() => rm(path, { recursive: true, force: true }));
  return path;
}

async function withFile(t: ExecutionContext, text: string) {
  const config = await folder(t);
  const file = join(config, 'config.toml');
  await writeFile(file, text);
  return { file, folders: { config, data: join(config, 'data') } };
}

test('without anything the defaults hold', async (t) => {
  const config = await folder(t);
  const settings = await loadSettings({ folders: { config, data: join(config, 'data') } });
  t.deepEqual(settings, {
    name: hostname().split('.')[0],
    port: undefined,
    defaultPort: 47748,
    join: [],
    peers: [],
    multicast: true,
    group: '239.255.47.48:47748',
    interface: [],
    secret: undefined,
    wait: 2,
    timeout: 30,
    state: join(config, 'data'),
    rescan: 600,
    tracker: false,
    'tracker-store': '',
    relay: 'tracker',
    share: [],
    sharesGiven: false,
    'seed-only': false,
    seed: false,
    transfers: 3,
    'limit-up': 'none',
    'limit-down': 'none',
    limit: [],
    inbox: 'ask',
    'inbox-rules': {},
    'inbox-folder': join(homedir(), 'Downloads', 'hearsay'),
  });
});

test('the inbox: what becomes of what comes, and where it goes', async (t) => {
  const text = 'inbox = "accept"\ninbox-rules = { "anna" = "refuse" }\ninbox-folder = "in"';
  const { folders } = await withFile(t, text);
  t.like(await loadSettings({ folders, flags: { inbox: 'refuse' } }), {
    inbox: 'refuse',
    'inbox-rules': { anna: 'refuse' },
    'inbox-folder': join(folders.config, 'in'),
  });
  const env = { XDG_DOWNLOAD_DIR: join(folders.config, 'down') };
  const { file: configFile } = await withFile(t, '');
  const fromEnv = await loadSettings({ configFile, env });
  const relative = await loadSettings({ configFile, env: { XDG_DOWNLOAD_DIR: 'x' } });
  t.is(fromEnv['inbox-folder'], join(folders.config, 'down', 'hearsay'));
  t.is(relative['inbox-folder'], join(homedir(), 'Downloads', 'hearsay'));
  const many = Object.fromEntries(Array.from({ length: ALLOWED_MAX + 1 }, (_, i) => [`p${i}`, 'ask']));
  await t.throwsAsync(loadSettings({ folders, flags: { 'inbox-rules': many } }), {
    message: /^--inbox-rules: expected at most/,
  });
});

test('every setting stands in config/default.toml with a comment', async (t) => {
  const text = await readFile(new URL('../../../config/default.toml', import.meta.url), 'utf8');
  const lines = text.split('\n');
  const keys = lines.flatMap((line, i) => {
    const key = /^([\w-]+) = /.exec(line)?.[1];
    if (key) t.regex(lines[i - 1], /^# /, key);
    return key ? [key] : [];
  });
  const {
    defaultPort: _,
    sharesGiven: _given,
    ...settings
  } = await loadSettings({ configFile: (await withFile(t, '')).file });
  t.deepEqual(keys.map((key) => key.replace('secret-file', 'secret')).sort(), Object.keys(settings).sort());
});

test('an option wins over the environment, that over the config file, that over the defaults', async (t) => {
  const { folders } = await withFile(t, 'state = "from-file"\nwait = 5\nname = "file"\nport = 4000\n');
  const env = { HEARSAY_STATE: resolve('from-env') };
  const fromFile = await loadSettings({ folders });
  t.is(fromFile.state, join(folders.config, 'from-file'));
  t.deepEqual([fromFile.wait, fromFile.name, fromFile.port, fromFile.timeout], [5, 'file', 4000, 30]);
  t.is((await loadSettings({ folders, env })).state, resolve('from-env'));
  const flags = { state: 'from-option', wait: '0.5', name: undefined, port: '0' };
  const settings = await loadSettings({ folders, env, flags });
  t.deepEqual([settings.state, settings.wait, settings.name, settings.port], [resolve('from-option'), 0.5, 'file', 0]);
});

test('a named config file is read instead of the platform’s own, and must exist', async (t) => {
  const own = await withFile(t, 'wait = 5');
  const other = await withFile(t, 'timeout = 60');
  const settings = await loadSettings({ folders: own.folders, configFile: other.file });
  t.deepEqual([settings.wait, settings.timeout], [2, 60]);
  const missing = join(own.folders.config, 'missing.toml');
  const error = await t.throwsAsync(loadSettings({ configFile: missing }), { instanceOf: HearsayError });
  t.is(error.code, 'config');
  t.true(error.message.includes(missing));
});

test('paths of a config file are relative to it, or to the home folder', async (t) => {
  const text =
    'share = ["music", "~/photos", { path = "~", as = "home", for = ["bob", "01ARZ3NDEKTSV4RRFFQ69G5FAW"] }, "~odd"]\nstate = "~/state"';
  const { folders } = await withFile(t, text);
  const settings = await loadSettings({ folders });
  t.deepEqual(settings.share, [
    { path: join(folders.config, 'music') },
    { path: join(homedir(), 'photos') },
    { path: homedir(), as: 'home', for: ['bob', '01ARZ3NDEKTSV4RRFFQ69G5FAW'] },
    { path: join(folders.config, '~odd') },
  ]);
  t.is(settings.state, join(homedir(), 'state'));
  const flagged = await loadSettings({ folders, flags: { share: ['here', { path: 'there', as: 'x', for: ['bob'] }] } });
  t.deepEqual(flagged.share, [{ path: resolve('here') }, { path: resolve('there'), as: 'x', for: ['bob'] }]);
  t.deepEqual([settings.sharesGiven, flagged.sharesGiven], [false, true], 'whose they are');
  const chosen = await withFile(
    t,
    'share = [{ path = "a", only = ["*.jpg"], exclude = ["x/", "y"] }]\nseed-only = true',
  );
  t.like(await loadSettings({ folders: chosen.folders }), {
    share: [{ path: join(chosen.folders.config, 'a'), only: ['*.jpg'], exclude: ['x/', 'y'] }],
    'seed-only': true,
  });
});

for (const [text, expected] of [
  ['prot = 1', /config\.toml: prot: no such setting; there are name, port/],
  ['port = 70000', /config\.toml: port: expected a whole number from 0 to 65535, not 70000/],
  ['port = "x"', /port: expected a whole number/],
  ['port = 1.5', /port: expected a whole number/],
  ['multicast = "yes"', /multicast: expected true or false, not "yes"/],
  ['group = "10.0.0.1:5"', /group: expected an IPv4 multicast address/],
  ['group = "239.1.2.3"', /group: expected an IPv4 multicast address/],
  ['wait = -1', /wait: expected seconds, from 0\.1/],
  ['timeout = 0', /timeout: expected seconds, from 1/],
  ['rescan = inf', /rescan: expected seconds/],
  ['join = "host"', /join: expected a list of HOST/],
  ['join = ["host:99999"]', /join: expected a list of HOST/],
  ['interface = [""]', /interface: expected a list of names/],
  ['state = 4', /state: expected the path of a folder/],
  ['share = [{ path = "a", sa = "b" }]', /share: expected a list of paths/],
  ['share = [{ path = "a", as = "b/c" }]', /share: expected a list of paths/],
  ['share = [{ path = "a", for = [] }]', /share: expected a list of paths/],
  ['share = [{ path = "a", for = "bob" }]', /share: expected a list of paths/],
  ['share = [{ path = "a", only = [""] }]', /share: expected a list of paths/],
  ['share = [{ path = "a", exclude = "x" }]', /share: expected a list of paths/],
  ['seed-only = 1', /seed-only: expected true or false/],
  ['inbox = "yes"', /inbox: expected "ask", "accept" or "refuse", not "yes"/],
  ['inbox-rules = { "bob" = 1 }', /inbox-rules: expected at most 256 of "PEER" = "ask"/],
  ['inbox-rules = { "" = "ask" }', /inbox-rules: expected/],
  ['inbox-folder = 1', /inbox-folder: expected the path of a folder/],
  [`name = "${'é'.repeat(33)}"`, /name: expected a text of at most 64 bytes/],
  ['name = "a\\u001bb"', /name: expected a text/],
  ['wait = 2\nwait = 3', /config\.toml:2:\d+: /],
  ['[network]\nport = 1', /network: no such setting/],
] as const) {
  test(`a config file with ${JSON.stringify(text.slice(0, 40))} is refused`, async (t) => {
    const { file } = await withFile(t, text);
    const error = await t.throwsAsync(loadSettings({ configFile: file }), { instanceOf: HearsayError });
    t.is(error.code, 'config');
    t.regex(error.message, expected);
    t.true(error.message.startsWith(file));
  });
}

test('a wrong option is named as it was typed', async (t) => {
  const { file: configFile } = await withFile(t, '');
  for (const [flags, expected] of [
    [{ port: 'http' }, /^--port: expected a whole number from 0 to 65535, not "http"/],
    [{ port: '' }, /^--port/],
    [{ wait: '1e3' }, /^--wait/],
    [{ multicast: '1.2.3.4:5' }, /^--multicast: expected an IPv4 multicast address/],
    [{ join: ['a b'] }, /^--join/],
  ] as const) {
    const error = await t.throwsAsync(loadSettings({ flags, configFile }), { instanceOf: HearsayError });
    t.is(error.code, 'usage');
    t.regex(error.message, expected);
  }
});

test('--multicast ADDR:PORT names the group, --no-multicast turns it off', async (t) => {
  const { file: configFile } = await withFile(t, 'multicast = false');
  const group = await loadSettings({ flags: { multicast: '239.1.2.3:99' }, configFile });
  t.deepEqual([group.multicast, group.group], [true, '239.1.2.3:99']);
  t.false((await loadSettings({ configFile })).multicast);
  t.true((await loadSettings({ flags: { multicast: true }, configFile })).multicast);
});

test('the secret: of the library, --secret-file, HEARSAY_SECRET, the config file, in this order', async (t) => {
  const { folders } = await withFile(t, 'secret-file = "s"');
  for (const name of ['s', 'option']) await writeFile(join(folders.config, name), `of ${name}\n`, { mode: 0o600 });
  const secret = async (flags = {}, env = {}) => (await loadSettings({ folders, flags, env })).secret;
  t.deepEqual(await secret(), { text: 'of s', warnings: [] });
  const env = { HEARSAY_SECRET: ' of env\n' };
  t.deepEqual(await secret({}, env), { text: 'of env', warnings: [] });
  const secretFile = join(folders.config, 'option');
  t.deepEqual(await secret({ secretFile }, env), { text: 'of option', warnings: [] });
  t.deepEqual(await secret({ secretFile, secret: 'own' }, env), { text: 'own', warnings: [] });
  t.false('secret-file' in (await loadSettings({ folders })));
  t.is((await loadSettings({ configFile: (await withFile(t, 'secret-file = ""')).file })).secret, undefined);
});

test('no secret where one was wanted is an error, never the open group', async (t) => {
  const { file, folders } = await withFile(t, 'secret-file = "none"');
  const { file: plain } = await withFile(t, '');
  const empty = join(folders.config, 'empty');
  await writeFile(empty, '\n');
  for (const [source, code, expected] of [
    [{ configFile: file }, 'config', /^secret-file: .*none: it cannot be read/],
    [{ configFile: plain, flags: { secretFile: '' } }, 'usage', /^--secret-file: expected the path/],
    [{ configFile: plain, flags: { secretFile: empty } }, 'usage', /^--secret-file: .*empty: the secret is empty/],
    [{ configFile: plain, flags: { secretFile: `${empty}-not` } }, 'usage', /cannot be read/],
    [{ configFile: plain, env: { HEARSAY_SECRET: '' } }, 'usage', /^HEARSAY_SECRET: the secret is empty/],
    [{ configFile: plain, env: { HEARSAY_SECRET: 'a\nb' } }, 'usage', /is one line/],
    [{ configFile: plain, flags: { secret: ' ' } }, 'usage', /^secret: the secret is empty/],
  ] as const) {
    const error = await t.throwsAsync(loadSettings(source), { instanceOf: HearsayError });
    t.is(error.code, code);
    t.regex(error.message, expected);
  }
  const toml = await withFile(t, 'secret = "typed"');
  t.is((await t.throwsAsync(loadSettings({ configFile: toml.file }), { instanceOf: HearsayError })).code, 'config');
});

test('addresses as people write them', (t) => {
  const read = (text: string) => formatEndpoint(parseHostPort(text, 47748));
  t.is(read('nas'), 'nas:47748');
  t.is(read('nas.local:9'), 'nas.local:9');
  t.is(read('192.0.2.1'), '192.0.2.1:47748');
  t.is(read('2001:db8::1'), '[2001:db8::1]:47748');
  t.is(read('[2001:db8::1]:80'), '[2001:db8::1]:80');
  t.is(read('[2001:db8::1]'), '[2001:db8::1]:47748');
  t.is(read('fe80::1%eth0'), '[fe80::1%eth0]:47748');
  t.is(read('müller-pc'), 'müller-pc:47748');
  for (const wrong of [
    '',
    ':80',
    'a:',
    'a:0',
    'a:65536',
    'a:x',
    'a b',
    'http://a',
    '300.1.1.1',
    '1.2.3',
    '[a]:1',
    '::g',
    '-x',
    'a/b',
  ]) {
    t.throws(() => parseHostPort(wrong, 1), { instanceOf: HearsayError }, wrong);
  }
  t.deepEqual(parseGroup('224.0.0.251:5353'), { host: '224.0.0.251', port: 5353 });
  for (const wrong of ['240.0.0.1:1', '239.1.1:1', '239.1.1.1', '239.1.1.1:0', 'ff02::1', 'x:1']) {
    t.throws(() => parseGroup(wrong), { instanceOf: HearsayError }, wrong);
  }
});
