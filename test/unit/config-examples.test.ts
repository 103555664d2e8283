/** The examples in config/: each config is one that is taken, each service is what `daemon install --print` writes. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { type ServiceSpec, serviceOf } from '../../lib/daemon/service.js';
import { loadSettings } from '../../lib/share/settings.js';

const CONFIG = fileURLToPath(new URL('../../../config/', import.meta.url));
const EXAMPLES = join(CONFIG, 'examples');
const SERVICES = join(CONFIG, 'services');

test('a household, a classroom and a server', async (t) => {
  t.deepEqual((await readdir(EXAMPLES)).sort(), ['classroom.toml', 'household.toml', 'server.toml']);
});

for (const name of ['household', 'classroom', 'server']) {
  test(`the config for a ${name} is taken, and so is what stands there as a comment`, async (t) => {
    const file = join(EXAMPLES, `${name}.toml`);
    const settings = await loadSettings({ configFile: file });
    const defaults = await loadSettings({ configFile: join(CONFIG, 'default.toml') });
    t.true(settings.share.length > 0);
    t.true(settings.limit.length > 0);
    const folder = await mkdtemp(join(tmpdir(), 'hearsay-config-'));
    t.teardown(() => rm(folder, { recursive: true, force: true }));
    await writeFile(join(folder, 'secret'), 'K7QF-93MD-XW2P-8RTA-VB4C-H6NE\n');
    const text = await readFile(file, 'utf8');
    const commented = [...text.matchAll(/^# ([a-z-]+) = /gm)].map(([, key]) => key);
    t.true(commented.length > 0);
    const all = text.replace(/^# (?=[a-z-]+ = )/gm, '').replace('"~/.hearsay-secret"', '"secret"');
    await writeFile(join(folder, 'config.toml'), all);
    const more = await loadSettings({ configFile: join(folder, 'config.toml') });
    for (const key of commented) {
      const value = key === 'secret-file' ? 'secret' : (key as 'name');
      t.notDeepEqual(more[value], defaults[value], `${key} is another than the default`);
    }
  });
}

test('settings below a table are not lost in it', async (t) => {
  // TOML gives what follows [[limit]] to that limit.
  for (const name of await readdir(EXAMPLES)) {
    const [, ...tables] = (await readFile(join(EXAMPLES, name), 'utf8')).split('[[limit]]');
    for (const table of tables) {
      const keys = [...table.matchAll(/^([a-z-]+) = /gm)].map(([, key]) => key);
      t.deepEqual(
        keys.filter((key) => !['hours', 'days', 'up', 'down'].includes(key)),
        [],
        name,
      );
    }
  }
});

/** Where things lie on a machine where `npm install --global` put it. */
const MACHINES: Record<string, ServiceSpec> = {
  'hearsay.service': {
    platform: 'linux',
    name: 'hearsay',
    command: ['/usr/bin/node', '/usr/lib/node_modules/hearsay/dist/bin/hearsay.js', 'daemon', 'run', '--service'],
    state: '/home/you/.local/share/hearsay',
    home: '/home/you',
    uid: 1000,
    env: {},
    notify: true,
  },
  'hearsay.plist': {
    platform: 'darwin',
    name: 'hearsay',
    command: [
      ...['/usr/local/bin/node', '/usr/local/lib/node_modules/hearsay/dist/bin/hearsay.js'],
      ...['daemon', 'run', '--service'],
    ],
    state: '/Users/you/Library/Application Support/hearsay',
    home: '/Users/you',
    uid: 501,
    env: {},
    notify: false,
  },
  'hearsay.task.xml': {
    platform: 'win32',
    name: 'hearsay',
    command: [
      'C:\\Program Files\\nodejs\\node.exe',
      'C:\\Users\\you\\AppData\\Roaming\\npm\\node_modules\\hearsay\\dist\\bin\\hearsay.js',
      ...['daemon', 'run', '--service'],
    ],
    state: 'C:\\Users\\you\\AppData\\Local\\hearsay\\Data',
    home: 'C:\\Users\\you',
    uid: -1,
    env: { USERDOMAIN: 'PC', USERNAME: 'you' },
    notify: false,
  },
};

test('the services are those that `daemon install --print` shows', async (t) => {
  t.deepEqual((await readdir(SERVICES)).sort(), Object.keys(MACHINES).sort());
  for (const [name, spec] of Object.entries(MACHINES)) {
    const { text } = serviceOf(spec);
    t.is(await readFile(join(SERVICES, name), 'utf8'), text.replace('\ufeff', ''), name);
    t.true(text.includes('hearsay.js'));
  }
  t.notRegex(JSON.stringify(MACHINES), new RegExp(homedir().replace(/\W/g, '\\$&')));
});
