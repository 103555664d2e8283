/** `hearsay daemon` as it is typed: what is listed, refused and shown, without a process or a network. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { FakeIo, objects, type } from './cli-fake.js';

const ALL = ['start', 'stop', 'restart', 'status', 'logs', 'install', 'uninstall', 'run'];

test('without a subcommand, or with one that there is not, all are listed', async (t) => {
  for (const words of [['daemon'], ['daemon', 'begin'], ['daemon', 'begin', '--port', '1']]) {
    const { status, err, wanted } = await type(words);
    t.is(status, 2);
    t.regex(err, new RegExp(`There are ${ALL.join(', ')}\\b`), err);
    t.is(wanted.length, 0);
  }
  const { out } = await type(['daemon', '--help']);
  for (const name of ALL) t.regex(out, new RegExp(`^ {2}${name}\\b`, 'm'));
  t.regex((await type(['restart'])).err, /Did you mean hearsay daemon restart\?/);
});

test('each says what it does, and takes the options of every command', async (t) => {
  for (const name of ALL) {
    const { status, out } = await type(['daemon', name, '--help']);
    t.is(status, 0);
    t.regex(out, new RegExp(`^Usage: hearsay daemon ${name} `), out);
    t.regex(out, /--state/);
  }
});

test('what is wrong with the options is said before anything is started', async (t) => {
  const cases = [
    ['logs', '-n', 'many'],
    ['start', '--as', 'x'],
    ['start', '--port', 'x'],
    ['install', '--for', 'bob', '--print'],
    ['stop', 'now'],
  ];
  for (const words of cases) {
    const io = new FakeIo();
    const { status, err } = await type(['daemon', ...words], { io });
    t.is(status, 2, `${words}: ${err}`);
  }
});

const linux = process.platform === 'linux' ? test : test.skip;

linux('install --print shows the unit, and writes nothing', async (t) => {
  const home = await mkdtemp(join(tmpdir(), 'hearsay-install-'));
  t.teardown(() => rm(home, { recursive: true, force: true }));
  const io = new FakeIo();
  io.env = { XDG_CONFIG_HOME: home };
  const args = ['daemon', 'install', 'pics', '--name', 'ada', '--state', join(home, 'state'), '--print'];
  const { status, out } = await type(args, { io });
  t.is(status, 0);
  t.regex(out, /^\[Unit\]\n/);
  t.regex(
    out,
    /ExecStart=:\S+node \S+hearsay\.js daemon run --service --name=ada --state=\S+\/state -- \/work\/pics\n/,
  );
  const [shown] = objects((await type([...args, '--json'], { io: Object.assign(new FakeIo(), { env: io.env }) })).out);
  t.regex(String(shown.file), new RegExp(`^${home}/systemd/user/hearsay-[0-9a-f]{8}\\.service$`));
  t.deepEqual((shown.commands as string[][])[0], ['systemctl', '--user', 'daemon-reload']);
});

test('a service never has a secret in its file, and never leaves it out', async (t) => {
  const io = new FakeIo();
  io.env = { HEARSAY_SECRET: 'correct horse battery staple 42' };
  const { status, out, err } = await type(['daemon', 'install', '--print'], { io });
  t.is(status, 2);
  t.regex(err, /--secret-file/);
  t.notRegex(out + err, /horse/);
  const store = await type(['daemon', 'install', '--tracker', '--tracker-store', 'redis://:hunter2@h:1', '--print']);
  t.is(store.status, 2);
  t.notRegex(store.out + store.err, /hunter2/);
});
