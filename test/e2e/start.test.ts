/** What may be wrong when a peer starts, and disks that do not take what is fetched. */
import { createSocket } from 'node:dgram';
import { chmod, mkdir, readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { exitStatus } from '../../lib/errors.js';
import { Peer } from '../../lib/peer.js';
import { assertContent, begin, codeOf, content, get, Lan, MIB, names, until } from './lan.js';
import { disk } from './small-disk.js';
import { Wire } from './wire-between.js';

/** Takes a port, or finds it taken. */
async function take(t: ExecutionContext, port: number): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.once('error', () => resolve());
    server.listen(port, '::', resolve);
  });
  t.teardown(() => server.close());
  const address = server.address();
  return typeof address === 'object' && address ? address.port : port;
}

test('a port that was asked for and is taken is an error; of the default one the next is taken', async (t) => {
  const lan = await Lan.make(t);
  const port = await take(t, 0);
  t.is(await codeOf(lan.peer('a', { port })), 'port-taken');
  await take(t, 47_748);
  // Without a port of its own.
  const { port: _, ...options } = lan.options;
  const peer = await Peer.start({ ...options, state: await lan.fresh('state') });
  t.teardown(() => peer.stop());
  t.true(peer.port > 47_748 && peer.port <= 47_748 + 50, `${peer.port}`);
});

test('ready is told first, and then what happened before', async (t) => {
  const lan = await Lan.make(t);
  const port = Number(lan.group.split(':')[1]);
  // That multicast is not heard is known before the peer is ready.
  const holder = createSocket('udp4');
  await new Promise<void>((resolve) => holder.bind({ port, exclusive: true }, resolve));
  t.teardown(() => holder.close());
  const { events } = await lan.peer('a', { files: { 'x.txt': 'x' } });
  t.is(events[0].event, 'ready');
  t.is(events.filter(({ event }) => event === 'ready').length, 1);
  t.true(events.some((event) => event.event === 'warning' && event.message.includes(`UDP port ${port}`)));
});

test('a state folder serves one long-lived peer, and any number of one-shots beside it', async (t) => {
  const lan = await Lan.make(t);
  const state = await lan.fresh('state');
  const first = await lan.peer('first', { state, files: { 'x.txt': 'x' } });
  t.is(await codeOf(lan.peer('second', { state })), 'state-in-use');
  await first.hashed('x.txt');
  const shots = await Promise.all([1, 2, 3].map((i) => lan.peer(`shot-${i}`, { state, passive: true })));
  t.is(new Set([first, ...shots].map(({ id }) => id)).size, 4);
  for (const shot of shots) t.deepEqual((await get(shot, 'x.txt', `${await lan.fresh('in')}/`)).codes, []);
  await first.peer.stop();
  const third = await lan.peer('third', { state });
  t.is(third.id, first.id);
});

test('what is damaged in the state folder is named and set aside, and the peer runs', async (t) => {
  const lan = await Lan.make(t);
  const state = await lan.fresh('state');
  const files = { 'x.txt': 'x' };
  const first = await lan.peer('first', { state, files });
  await first.hashed('x.txt');
  await first.peer.stop();
  const identity = await readFile(join(state, 'identity.json'), 'utf8');
  await writeFile(join(state, 'identity.json'), identity.slice(0, 40));
  await writeFile(join(state, 'epoch.json'), '{"epoch":"many"}');
  const hashes = join(state, 'hashes');
  for (const name of await readdir(hashes))
    if (/^(CURRENT|MANIFEST)/.test(name)) await writeFile(join(hashes, name), 'x');
  const second = await lan.peer('second', { state, files });
  t.not(second.id, first.id);
  await second.hashed('x.txt');
  const warnings = second.told('warning').map(({ message }) => message);
  for (const name of ['identity.json', 'epoch.json', 'hashes']) {
    t.true(
      warnings.some((message) => message.includes(name)),
      `${name} is named: ${warnings}`,
    );
    t.true(
      (await readdir(state)).some((entry) => entry.startsWith(name) && entry !== name),
      `${name} is set aside`,
    );
  }
  const [aside] = (await readdir(state)).filter((name) => name.startsWith('identity.json.'));
  t.is(await readFile(join(state, aside), 'utf8'), identity.slice(0, 40), 'as it was');
});

test('a path that is not there, is shared twice, or is no file', async (t) => {
  const lan = await Lan.make(t);
  const root = await lan.fresh('shared');
  t.is(await codeOf(lan.peer('a', { share: [join(root, 'nothing')] })), 'no-such-path');
  await mkdir(join(root, 'a/x'), { recursive: true });
  await mkdir(join(root, 'b/x'), { recursive: true });
  t.is(await codeOf(lan.peer('b', { share: [join(root, 'a/x'), join(root, 'b/x')] })), 'usage');
  const fine = await lan.peer('c', { share: [join(root, 'a/x'), { path: join(root, 'b/x'), as: 'y' }] });
  t.deepEqual(
    fine.told('ready')[0].shares.map(({ name }) => name),
    ['x', 'y'],
  );
});

test('a peer that cannot start leaves nothing behind: its state folder is free again', async (t) => {
  const lan = await Lan.make(t);
  const port = await take(t, 0);
  const state = await lan.fresh('state');
  t.is(await codeOf(lan.peer('a', { state, port })), 'port-taken');
  t.is(await codeOf(lan.peer('a', { state, interfaces: ['no-such-card'] })), 'usage');
  const peer = await lan.peer('a', { state });
  t.truthy(peer.id);
});

test('a destination that may not be written to', async (t) => {
  const lan = await Lan.make(t);
  await lan.peer('source', { files: { 'big.bin': content(MIB, 1), 'x.txt': 'x' } });
  const to = await lan.peer('receiver');
  for (const path of ['big.bin', 'x.txt']) await to.hashed(path);
  const inbox = await lan.fresh('in');
  if (process.platform !== 'win32' && process.getuid?.() !== 0) await chmod(inbox, 0o500);
  else if (!(await disk(t, inbox, 'size=1m,ro'))) return t.pass();
  for (const what of ['big.bin', 'x.txt']) {
    const outcome = await get(to, what, `${inbox}/`);
    t.deepEqual(outcome.codes, ['not-writable'], what);
    t.true(outcome.of('error')[0].error.message.includes(inbox), 'it says where');
  }
  t.is(exitStatus('not-writable'), 8);
  t.deepEqual(await names(inbox), []);
});

test('a disk that becomes full: disk-full, the partial is kept, and goes on after room was made', async (t) => {
  const lan = await Lan.make(t);
  const inbox = await lan.fresh('disk');
  if (!(await disk(t, inbox, 'size=8m'))) return t.pass();
  const data = content(6 * MIB, 95);
  const from = await lan.peer('source', {
    files: { 'big.bin': data, 'huge.bin': content(9 * MIB, 96) },
    multicast: false,
  });
  const wire = await Wire.to(t, from.peer.port);
  const to = await lan.peer('receiver', { multicast: false, join: [wire.address] });
  for (const path of ['big.bin', 'huge.bin']) await to.hashed(path);
  t.deepEqual((await get(to, 'huge.bin', `${inbox}/`)).codes, ['disk-full'], 'looked at before anything is fetched');
  t.deepEqual(await names(inbox), []);
  wire.stopAfter(3 * MIB);
  const stopped = begin(to, 'big.bin', `${inbox}/`);
  await until(() => wire.still && stopped.outcome.of('chunk').length >= 8, 'it is in the middle');
  // The rest of the disk fills up meanwhile.
  const filler = join(inbox, 'filler');
  await writeFile(filler, Buffer.alloc(8 * MIB)).catch(() => {});
  wire.go();
  const full = await stopped.ended;
  t.deepEqual(full.codes, ['disk-full']);
  await assertOnlyPartialBeside(t, inbox, 'filler');
  // Room for what is missing, and not for the whole once more.
  const part = (await names(inbox)).find((name) => name.endsWith('.part')) ?? '';
  const taken = (await stat(join(inbox, part))).blocks * 512;
  t.true(taken >= 8 * 256 * 1024);
  const room = data.length - taken + 256 * 1024;
  t.true(room < data.length);
  await truncate(filler, (await stat(filler)).blocks * 512 - room);
  const outcome = await get(to, 'big.bin', `${inbox}/`);
  t.deepEqual(outcome.codes, []);
  t.true(outcome.received <= data.length - 8 * 256 * 1024, `${outcome.received}`);
  await assertContent(t, join(inbox, 'big.bin'), data);
});

async function assertOnlyPartialBeside(t: ExecutionContext, folder: string, other: string): Promise<void> {
  const all = (await names(folder)).filter((name) => name !== other);
  t.true(all.length > 0 && all.every((name) => name.startsWith('.hearsay-')), `${all}`);
}
