/** The daemon from its start to its end: as it is asked to, as it is killed, and as something is in its way. */
import { access, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { logFolder } from '../../lib/daemon/log-file.js';
import { isAlive } from '../../lib/daemon/stop.js';
import { CHILD_MS } from './child.js';
import { Home } from './daemon-child.js';
import { assertContent, Lan, until, write } from './lan.js';

test('start returns when it is ready; stop says goodbye and returns when it is gone', async (t) => {
  const lan = await Lan.make(t);
  const home = await Home.make(lan);
  const other = await lan.peer('other', { files: { 'theirs/b.txt': 'b' } });
  await write(home.cwd, { 'mine/a.txt': 'a' });
  t.is((await home.type('daemon', 'status', '--json')).out, '{"running":false}');
  // A relative PATH is one of the folder in which it is typed.
  const ready = await home.start('mine', '--name', 'ada');
  t.like(ready, { event: 'ready', name: 'ada', shares: [{ name: 'mine', path: join(home.cwd, 'mine') }] });
  t.not(ready.pid, process.pid);
  t.true(isAlive(ready.pid));
  await other.hashed('mine/a.txt');
  const status = (await home.type('daemon', 'status', '--json')).json();
  t.like(status, { running: true, pid: ready.pid, id: ready.id, runs: 'daemon' });
  t.regex((await home.type('daemon', 'status')).out, /runs in the background/);
  // So is where a command that it carries out puts things.
  await mkdir(join(home.cwd, 'in'));
  const got = await home.type('get', 'theirs/b.txt', '-o', 'in/');
  t.is(got.code, 0, got.err);
  await assertContent(t, join(home.cwd, 'in', 'b.txt'), Buffer.from('b'));
  const stopped = await home.type('daemon', 'stop');
  t.is(stopped.code, 0);
  t.is(stopped.out, `stopped (process ${ready.pid})`);
  t.false(isAlive(ready.pid));
  await until(() => other.told('peer').some(({ change, id }) => change === 'left' && id === ready.id), 'its goodbye');
  const again = await home.type('daemon', 'stop');
  t.is(again.code, 0, 'what does not run is stopped');
  t.regex(again.err, /no daemon runs/);
  const none = await home.type('daemon', 'status');
  t.is(none.code, 5);
  t.regex(none.out, /^not running/);
  const logs = await home.type('daemon', 'logs');
  t.regex(logs.out, /info {2}hearsay .* starts\n[\s\S]*info {2}ready ada[\s\S]*info {2}goodbye$/);
  t.is(await readFile(join(logFolder(home.state), 'stderr.log'), 'utf8'), '');
});

test('what runs already is said, and is no failure; of two that start at once one is it', async (t) => {
  const lan = await Lan.make(t);
  const home = await Home.make(lan);
  const both = await Promise.all([home.start(), home.start()]);
  t.is(both[0].pid, both[1].pid);
  t.is(both.filter(({ already }) => already).length, 1);
  const third = await home.type('daemon', 'start', '--name', 'other');
  t.is(third.code, 0);
  t.true(third.out.startsWith(`runs already (process ${both[0].pid}): ready`), third.out);
  t.regex(third.err, /these options change nothing/);
});

test('after kill -9 it starts at once, as the same peer', async (t) => {
  const lan = await Lan.make(t);
  const home = await Home.make(lan);
  const first = await home.start();
  process.kill(first.pid, 'SIGKILL');
  await until(() => !isAlive(first.pid), 'it is gone');
  await access(join(home.state, 'control.token'));
  const status = await home.type('daemon', 'status');
  t.is(status.code, 5, 'what it left behind does not make it run');
  const second = await home.start();
  t.is(second.id, first.id);
  t.not(second.pid, first.pid);
  t.falsy(second.already);
});

test('restart keeps the options that it had, and replaces those that are given', async (t) => {
  const lan = await Lan.make(t);
  const home = await Home.make(lan);
  await write(home.cwd, { 'mine/a.txt': 'a', 'yours/b.txt': 'b' });
  const first = await home.start('mine', '--name', 'ada', '--as', 'my files');
  const second = (await home.type('daemon', 'restart', '--json')).json<typeof first>();
  t.not(second.pid, first.pid);
  t.false(isAlive(first.pid));
  t.like(second, { id: first.id, name: 'ada', shares: [{ name: 'my files', path: join(home.cwd, 'mine') }] });
  const third = (await home.type('daemon', 'restart', 'yours', '--name', 'bob', '--json')).json<typeof first>();
  t.like(third, { name: 'bob', shares: [{ name: 'yours', path: join(home.cwd, 'yours') }] });
  await home.type('daemon', 'stop');
  const fourth = (await home.type('daemon', 'restart', '--json')).json();
  t.like(fourth, { name: 'bob' }, 'also when it does not run');
  const wrong = await home.type('daemon', 'restart', '--port', 'x');
  t.is(wrong.code, 2);
  t.true(isAlive((fourth as { pid: number }).pid), 'what cannot be started again is not stopped');
});

test('restart never makes a private group an open one: a secret that is not kept is asked for', async (t) => {
  const lan = await Lan.make(t);
  const home = await Home.make(lan);
  home.env.HEARSAY_SECRET = 'correct horse battery staple 42';
  const first = await home.start();
  t.notRegex(await readFile(join(home.state, 'daemon.json'), 'utf8'), /horse/);
  home.env = {};
  const refused = await home.type('daemon', 'restart');
  t.is(refused.code, 2);
  t.regex(refused.err, /HEARSAY_SECRET/);
  t.true(isAlive(first.pid));
  home.env.HEARSAY_SECRET = 'correct horse battery staple 42';
  t.like((await home.type('daemon', 'restart', '--json')).json(), { private: true });
});

test('one that runs in the foreground is named as that, and is not stopped by `daemon stop`', async (t) => {
  const lan = await Lan.make(t);
  const home = await Home.make(lan);
  await write(home.cwd, { 'a.txt': 'a' });
  const share = home.begin('share', 'a.txt', ...home.near, '--json');
  await share.waitFor(/"event":"ready"/, CHILD_MS);
  const start = await home.type('daemon', 'start');
  t.is(start.code, 0);
  t.regex(start.out, /^runs in the foreground, as `hearsay share` \(process \d+\)/);
  const stop = await home.type('daemon', 'stop', '--json');
  t.is(stop.code, 6);
  t.like(stop.json(), { error: { code: 'refused' } });
  t.like((await home.type('daemon', 'status', '--json')).json(), { running: true, runs: 'foreground' });
  t.is((await home.type('daemon', 'restart')).code, 6);
  // The terminal is closed.
  share.kill('SIGHUP');
  t.is((await share.waitForExit(CHILD_MS)).code, 0, share.tail());
});

test('SIGTERM and SIGINT: goodbye, and exit 0; SIGHUP: the config file is read again', async (t) => {
  const lan = await Lan.make(t);
  const home = await Home.make(lan);
  const other = await lan.peer('other');
  await write(home.cwd, { 'one/a.txt': 'a', 'two/b.txt': 'b' });
  home.config = join(home.cwd, 'config.toml');
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    await writeFile(home.config, 'share = ["one"]\n');
    const run = home.begin('daemon', 'run', ...home.near, '--json');
    const { id } = JSON.parse(await run.waitFor(/"event":"ready"/, CHILD_MS));
    await other.hashed('one/a.txt');
    await writeFile(home.config, 'share = ["one", "two"]\nname = "later"\n');
    run.kill('SIGHUP');
    await other.hashed('two/b.txt');
    await run.waitFor(/name.*restart/, CHILD_MS);
    const gone = () => other.told('peer').filter(({ change, id: who }) => change === 'left' && who === id).length;
    const before = gone();
    run.kill(signal);
    t.is((await run.waitForExit(CHILD_MS)).code, 0, run.tail());
    await until(() => gone() === before + 1, 'its goodbye is heard');
  }
  const { out } = await home.type('daemon', 'logs', '-n', '100');
  t.regex(out, /info {2}read the settings again/);
  t.regex(out, /ends, by a signal/);
});

test('a config file that is wrong is said at SIGHUP, and the daemon goes on', async (t) => {
  const lan = await Lan.make(t);
  const home = await Home.make(lan);
  home.config = join(home.cwd, 'config.toml');
  await writeFile(home.config, '');
  const { pid } = await home.start();
  await writeFile(home.config, 'port = "many"\n');
  process.kill(pid, 'SIGHUP');
  const logs = home.begin('daemon', 'logs', '-f');
  // The command reads the same file.
  t.is((await logs.waitForExit(CHILD_MS)).code, 2);
  await writeFile(home.config, '');
  const follow = home.begin('daemon', 'logs', '-f');
  await follow.waitFor(/warn .*settings were not read again: .*port/, CHILD_MS);
  t.true(isAlive(pid));
  t.is((await home.type('daemon', 'stop')).code, 0);
  await follow.waitFor(/goodbye/, CHILD_MS);
  follow.kill('SIGINT');
  t.is((await follow.waitForExit(CHILD_MS)).code, 130);
});
