/** What may be in the way of a daemon, and what is said of it. */
import { execFile, spawn } from 'node:child_process';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { socketPath, writeCard } from '../../lib/daemon/place.js';
import { isAlive, stopDaemon } from '../../lib/daemon/stop.js';
import { LabProcess } from '../lab/process.js';
import { CHILD_MS } from './child.js';
import { Home } from './daemon-child.js';
import { Lan, until } from './lan.js';
import { disk } from './small-disk.js';

const run = promisify(execFile);
const unix = process.platform === 'win32' ? test.skip : test;

/** A process that is nobody's business. */
async function bystander(t: ExecutionContext): Promise<number> {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  t.teardown(() => child.kill('SIGKILL'));
  await new Promise((resolve) => child.once('spawn', resolve));
  return child.pid ?? 0;
}

/** Another program that listens on a socket. */
async function listener(t: ExecutionContext, path: string, says: (socket: Socket) => void): Promise<void> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    says(socket);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  t.teardown(() => server.close());
}

test('a port that is taken: said by `start`, with its code, and nothing is left running', async (t) => {
  const lan = await Lan.make(t);
  const home = await Home.make(lan);
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '::', resolve));
  t.teardown(() => server.close());
  const address = server.address();
  const port = String(typeof address === 'object' && address ? address.port : 0);
  const near = home.near.slice(2);
  const json = await home.type('daemon', 'start', '--port', port, ...near, '--json');
  t.is(json.code, 1);
  t.like(json.json(), { error: { code: 'port-taken' } });
  const text = await home.type('daemon', 'start', '--port', port, ...near);
  t.is(text.code, 1);
  t.true(text.err.includes(port), text.err);
  t.is((await home.type('daemon', 'status')).code, 5);
  t.regex((await home.type('daemon', 'logs')).out, /fatal .*port/);
  const { pid } = await home.start();
  t.true(isAlive(pid), 'the state folder is free');
});

test('a PATH that is not there: exit 3; a card that names a process that has nothing to do with it', async (t) => {
  const lan = await Lan.make(t);
  const home = await Home.make(lan);
  const missing = await home.type('daemon', 'start', 'nothing', ...home.near);
  t.is(missing.code, 3);
  t.regex(missing.err, /nothing/);
  // Killed, and its number has been given to another.
  const pid = await bystander(t);
  await writeCard(home.state, { path: await socketPath(home.state), token: 'a'.repeat(64), pid });
  t.is((await home.type('daemon', 'stop')).code, 0);
  t.true(isAlive(pid), 'it is left alone');
  t.falsy((await home.start()).already);
});

unix('a card whose socket is another program: `start` works, `stop` harms nobody', async (t) => {
  const programs = [
    (socket: Socket) => socket.write('220 mail ESMTP ready\r\n'),
    (socket: Socket) => socket.end(),
    (socket: Socket) => socket.resume(),
  ];
  for (const says of programs) {
    const lan = await Lan.make(t);
    const home = await Home.make(lan);
    await mkdir(home.state);
    const pid = await bystander(t);
    const path = join(home.cwd, 'x.sock');
    await listener(t, path, says);
    await run('chmod', ['700', home.cwd]);
    await writeCard(home.state, { path, token: 'a'.repeat(64), pid });
    const stop = await home.type('daemon', 'stop', '--json');
    t.is(stop.code, 1, stop.out);
    t.true(isAlive(pid));
    const { already } = await home.start();
    t.falsy(already);
  }
});

unix('a program that sits on our socket is named', async (t) => {
  const lan = await Lan.make(t);
  const home = await Home.make(lan);
  await mkdir(home.state);
  const path = await socketPath(home.state);
  await listener(t, path, (socket) => socket.resume());
  const start = await home.type('daemon', 'start', ...home.near, '--json');
  t.is(start.code, 1);
  const { error } = start.json<{ error: { code: string; message: string } }>();
  t.is(error.code, 'state-in-use');
  t.true(error.message.includes(path), error.message);
});

/** A peer of a later version: holds the state folder, and speaks another protocol. */
async function later(home: Home): Promise<LabProcess> {
  await mkdir(home.state);
  const lib = (path: string) => JSON.stringify(fileURLToPath(new URL(`../../lib/${path}`, import.meta.url)));
  const script = `
    import { createServer } from 'node:net';
    import { HashStore } from ${lib('share/store.js')};
    import { socketPath, writeCard } from ${lib('daemon/place.js')};
    const state = ${JSON.stringify(home.state)};
    const { store } = await HashStore.open(state);
    const hello = Buffer.from(JSON.stringify({
      hearsay: 'control', protocol: 99, program: '9.9.9', nonce: '0'.repeat(32), proof: '' }));
    const size = Buffer.alloc(4);
    size.writeUInt32BE(hello.length);
    const path = await socketPath(state);
    createServer((socket) => socket.on('error', () => {}).write(Buffer.concat([size, hello]))).listen(path, async () => {
      await writeCard(state, { path, token: 'a'.repeat(64), pid: process.pid });
      console.log('up');
    });
    process.on('SIGTERM', async () => {
      await store.close();
      process.exit(0);
    });
  `;
  const file = join(home.cwd, 'later.mjs');
  await writeFile(file, script);
  const child = new LabProcess(process.execPath, [file], { env: process.env as Record<string, string> }, 'later');
  home.lan.context.teardown(() => child.kill('SIGKILL'));
  await child.waitFor(/up/, CHILD_MS);
  return child;
}

unix('one of another version: `start` says so, `stop` ends it by a signal', async (t) => {
  const lan = await Lan.make(t);
  const home = await Home.make(lan);
  const child = await later(home);
  const start = await home.type('daemon', 'start', ...home.near, '--json');
  t.is(start.code, 1);
  const { error } = start.json<{ error: { code: string; message: string } }>();
  t.is(error.code, 'other-version');
  t.regex(error.message, /9\.9\.9/);
  const stop = await home.type('daemon', 'stop');
  t.is(stop.code, 0, stop.err);
  t.regex(stop.err, /9\.9\.9.*signal/);
  t.is((await child.waitForExit(CHILD_MS)).code, 0);
  t.falsy((await home.start()).already);
});

unix('one that does not answer is ended by force, with a warning', async (t) => {
  const lan = await Lan.make(t);
  const home = await Home.make(lan);
  const { pid } = await home.start();
  process.kill(pid, 'SIGSTOP');
  t.teardown(() => isAlive(pid) && process.kill(pid, 'SIGKILL'));
  const warnings: string[] = [];
  const ended = await stopDaemon(home.state, { patience: 300, onWarning: (message) => warnings.push(message) });
  t.is(ended, pid);
  await until(() => !isAlive(pid), 'it is gone');
  t.regex(warnings[0], /does not answer.*signal/);
  t.regex(warnings[1], /has not ended after 0\.3 s, so it is killed/);
  t.falsy((await home.start()).already, 'and leaves nothing in the way');
});

test('a full disk for the state: `start` says disk-full; one that runs goes on', async (t) => {
  const lan = await Lan.make(t);
  const home = await Home.make(lan);
  await mkdir(home.state);
  if (!(await disk(t, home.state, 'size=4m,mode=700'))) return t.pass();
  const fill = () => writeFile(join(home.state, 'filler'), Buffer.alloc(8 * 2 ** 20)).catch(() => {});
  await fill();
  const start = await home.type('daemon', 'start', ...home.near, '--json');
  t.is(start.code, 8, start.out + start.err);
  t.like(start.json(), { error: { code: 'disk-full' } });
  await run('rm', [join(home.state, 'filler')]);
  const { pid } = await home.start();
  await fill();
  await write(home);
  // The log takes nothing any more.
  process.kill(pid, 'SIGHUP');
  const status = await home.type('daemon', 'status', '--json');
  t.like(status.json(), { running: true, pid });
  const stop = await home.type('daemon', 'stop');
  t.is(stop.code, 0, stop.err);
  t.is(stop.err, '', 'in its own time');
  t.false(
    (await readdir(home.state)).some((name) => name.includes('damaged')),
    'nothing is taken for damaged',
  );
});

/** Fills what the first filler left. */
async function write(home: Home): Promise<void> {
  for (let i = 0; i < 64; i++) {
    const failed = await writeFile(join(home.state, `rest-${i}`), Buffer.alloc(4096)).then(
      () => false,
      () => true,
    );
    if (failed) return;
  }
}

unix('install where the system has no such service: said, and the daemon that runs goes on', async (t) => {
  if (process.platform !== 'linux') return t.pass();
  const lan = await Lan.make(t);
  const home = await Home.make(lan);
  const { pid } = await home.start();
  // What systemctl does where there is no systemd.
  const bin = join(home.cwd, 'bin');
  await mkdir(bin);
  const script = '#!/bin/sh\necho "Failed to connect to bus: No medium found" >&2\nexit 1\n';
  await writeFile(join(bin, 'systemctl'), script, { mode: 0o755 });
  home.env = { PATH: `${bin}:${process.env.PATH}`, XDG_CONFIG_HOME: join(home.cwd, 'cfg') };
  const install = await home.type('daemon', 'install');
  t.is(install.code, 1);
  t.regex(install.err, /systemctl --user daemon-reload: Failed to connect to bus: No medium found/);
  t.regex(install.out, /^\[Unit\]/);
  t.like((await home.type('daemon', 'status', '--json')).json(), { pid, runs: 'daemon' });
  const [unit] = await readdir(join(home.cwd, 'cfg', 'systemd', 'user'));
  t.regex(unit, /^hearsay-[0-9a-f]{8}\.service$/);
  t.is((await home.type('daemon', 'uninstall')).code, 0);
  t.deepEqual(await readdir(join(home.cwd, 'cfg', 'systemd', 'user')), []);
});

test('a state folder that cannot be made: exit 8', async (t) => {
  const lan = await Lan.make(t);
  const home = await Home.make(lan);
  await writeFile(home.state, 'a file');
  const start = await home.type('daemon', 'start', ...home.near, '--json');
  t.is(start.code, 8, start.out);
  t.like(start.json(), { error: { code: 'not-writable' } });
});
