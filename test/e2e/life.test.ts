/** How peers find each other, restart, and go. */
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { openGroup } from '../../lib/net/group-keys.js';
import { Links } from '../../lib/net/links.js';
import { tlsTransport } from '../../lib/net/transport.js';
import { LabProcess } from '../lab/process.js';
import { CHILD_MS } from './child.js';
import { get, Lan, type LanPeer, until } from './lan.js';
import { RawPeer } from './raw.js';

/** Waits until peers know each other and nobody else. */
async function mesh(peers: LanPeer[]): Promise<void> {
  const ids = peers.map(({ id }) => id).sort();
  for (const { peer } of peers) {
    let known: string[] = [];
    let asking = false;
    await until(() => {
      if (!asking) {
        asking = true;
        void peer.peers().then((rows) => {
          known = rows.map(({ id }) => id).sort();
          asking = false;
        });
      }
      return known.join() === ids.join();
    }, `${peer.name} knows all ${ids.length}`);
  }
}

test('two peers of one host find each other, and a goodbye is heard at once', async (t) => {
  const lan = await Lan.make(t);
  const a = await lan.peer('a');
  const b = await lan.peer('b');
  await mesh([a, b]);
  const [row] = (await a.peer.peers()).filter(({ self }) => !self);
  t.is(row.name, 'b');
  t.is(row.via, 'multicast');
  t.true(row.addresses.includes(`127.0.0.1:${b.peer.port}`), `${row.addresses}`);
  const at = performance.now();
  const stopped = b.peer.stop();
  await until(() => a.told('peer').some(({ change, id }) => change === 'left' && id === b.id), 'the goodbye is heard');
  // By silence alone it would take more than 10 s.
  t.true(performance.now() - at < 3000);
  await stopped;
  await mesh([a]);
});

test('a peer that is joined without multicast', async (t) => {
  const lan = await Lan.make(t);
  const a = await lan.peer('a', { multicast: false, files: { 'a.txt': 'a' } });
  const b = await lan.peer('b', { multicast: false, join: [`127.0.0.1:${a.peer.port}`], files: { 'b.txt': 'b' } });
  await mesh([a, b]);
  t.is((await b.peer.peers()).find(({ id }) => id === a.id)?.via, 'join');
  t.is((await a.peer.peers()).find(({ id }) => id === b.id)?.via, 'call');
  await a.hashed('b.txt');
  await b.hashed('a.txt');
  t.deepEqual((await get(a, 'b.txt', `${await lan.fresh('in')}/`)).codes, [], 'files go both ways');
  const stopped = b.peer.stop();
  await until(() => a.told('peer').some(({ change }) => change === 'left'), 'the goodbye is heard');
  await stopped;
});

test('three that are joined to one know all', async (t) => {
  const lan = await Lan.make(t);
  const hub = await lan.peer('hub', { multicast: false });
  const others = [];
  for (const name of ['a', 'b', 'c']) {
    const files = { [`${name}.txt`]: name };
    others.push(await lan.peer(name, { multicast: false, join: [`127.0.0.1:${hub.peer.port}`], files }));
  }
  await mesh([hub, ...others]);
  for (const peer of others) for (const name of ['a', 'b', 'c']) await peer.hashed(`${name}.txt`);
  const inbox = await lan.fresh('in');
  t.deepEqual((await get(others[0], ['b.txt', 'c.txt'], `${inbox}/`)).codes, []);
});

test('both joined to each other: one connection, and files go', async (t) => {
  const lan = await Lan.make(t);
  const first = await lan.peer('a', { multicast: false, files: { 'a.txt': 'a' } });
  const { port } = first.peer;
  await first.peer.stop();
  const b = await lan.peer('b', { multicast: false, join: [`127.0.0.1:${port}`], files: { 'b.txt': 'b' } });
  const a = await lan.peer('a', {
    multicast: false,
    port,
    join: [`127.0.0.1:${b.peer.port}`],
    files: { 'a.txt': 'a' },
  });
  await mesh([a, b]);
  await a.hashed('b.txt');
  await b.hashed('a.txt');
  for (const [peer, what] of [
    [a, 'b.txt'],
    [b, 'a.txt'],
  ] as const) {
    t.deepEqual((await get(peer, what, `${await lan.fresh('in')}/`)).codes, []);
  }
});

test('one-shots are listed nowhere', async (t) => {
  const lan = await Lan.make(t);
  const a = await lan.peer('a', { files: { 'a.txt': 'a' } });
  const b = await lan.peer('b');
  await mesh([a, b]);
  await b.hashed('a.txt');
  const shots = await Promise.all([1, 2].map((i) => lan.peer(`shot-${i}`, { passive: true })));
  for (const shot of shots) {
    t.deepEqual((await get(shot, 'a.txt', `${await lan.fresh('in')}/`)).codes, []);
    t.deepEqual(
      (await shot.peer.peers())
        .filter(({ self }) => !self)
        .map(({ name }) => name)
        .sort(),
      ['a', 'b'],
    );
    for (const { peer } of [a, b]) t.deepEqual((await peer.peers()).map(({ name }) => name).sort(), ['a', 'b']);
  }
  t.deepEqual(
    [...a.told('peer'), ...b.told('peer')].filter(({ name }) => name.startsWith('shot')),
    [],
  );
});

test('a restart is the same peer, later, and hashes nothing anew', async (t) => {
  const lan = await Lan.make(t);
  const watcher = await lan.peer('watcher');
  const first = await lan.peer('a', { files: { 'share/a.txt': 'a', 'share/b.bin': Buffer.alloc(400_000, 1) } });
  const state = first.file('.state');
  const ids = [await watcher.hashed('share/a.txt'), await watcher.hashed('share/b.bin')];
  t.is(first.told('hashed').length, 2);
  const epoch = () =>
    readFile(join(state, 'epoch.json'), 'utf8').then((text) => (JSON.parse(text) as { epoch: number }).epoch);
  const before = await epoch();
  await first.peer.stop();
  await until(() => watcher.offers('share/a.txt').length === 0, 'it is gone');
  const second = await lan.peer('a', { state, share: [first.file('share')] });
  t.is(second.id, first.id);
  t.deepEqual([await watcher.hashed('share/a.txt'), await watcher.hashed('share/b.bin')], ids);
  t.is(await epoch(), before + 1);
  t.deepEqual(second.told('hashed'), []);
});

test('a program that stops its peer ends by itself', async (t) => {
  const lan = await Lan.make(t);
  // Somebody who takes connections and never says a word.
  const silent = createServer();
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  t.teardown(() => silent.close());
  const address = silent.address();
  const to = typeof address === 'object' && address ? address.port : 0;
  const from = await lan.peer('source', { files: { 'x.txt': 'x' } });
  await from.hashed('x.txt');
  const root = await lan.fresh('program');
  await writeFile(join(root, 'mine.txt'), 'mine');
  const inbox = await lan.fresh('in');
  const library = fileURLToPath(new URL('../../lib/index.js', import.meta.url));
  const options = {
    ...lan.options,
    join: [`127.0.0.1:${to}`],
    share: [join(root, 'mine.txt')],
    state: join(root, 'state'),
  };
  const script = `
    import { Peer } from ${JSON.stringify(library)};
    const peer = await Peer.start(${JSON.stringify(options)});
    while (![...peer.index].some((o) => o.path === 'x.txt')) await new Promise((r) => setTimeout(r, 20));
    await peer.get('x.txt', { to: ${JSON.stringify(`${inbox}/`)} });
    const changes = (async () => { for await (const _ of peer.index.changes()); })();
    await peer.stop();
    await peer.stop();
    await changes;
    console.log('stopped');
  `;
  await writeFile(join(root, 'program.mjs'), script);
  const child = new LabProcess(process.execPath, [join(root, 'program.mjs')], {}, 'program');
  t.teardown(() => child.kill('SIGKILL'));
  await child.waitFor(/stopped/, CHILD_MS);
  const at = performance.now();
  t.is((await child.waitForExit(CHILD_MS)).code, 0);
  t.true(performance.now() - at < 2500, 'no timer and no socket keeps it');
});

/** All connections of a peer that does nothing else. */
function links(t: ExecutionContext, name: string) {
  const raw = new RawPeer(t, name, true);
  const ended: string[] = [];
  const all = new Links(
    { identity: raw.identity, instance: new Uint8Array(8), hello: () => raw.head() },
    tlsTransport(openGroup()),
    {
      opened: () => {},
      message: () => {},
      heard: () => {},
      closed: (_, why) => ended.push(why.code),
    },
  );
  t.teardown(() => all.close());
  return { all, ended, id: raw.id };
}

test('of a connection that a newer one replaces, the end is told on both sides', async (t) => {
  const a = links(t, 'a');
  const b = links(t, 'b');
  const port = await b.all.listen(0, 0);
  const first = await a.all.dial({ host: '127.0.0.1', port });
  const second = await a.all.dial({ host: '127.0.0.1', port });
  t.not(first, second);
  await until(() => a.ended.length === 1 && b.ended.length === 1, 'the first has ended for both');
  t.false(first.open);
  t.true(second.open);
  t.is(a.all.get(b.id), second);
  t.is([...b.all.all].length, 1);
});

test('who is dialled by both sides at once has one connection', async (t) => {
  const a = links(t, 'a');
  const b = links(t, 'b');
  const ports = [await a.all.listen(0, 0), await b.all.listen(0, 0)];
  const [one, two] = await Promise.all([
    a.all.dial({ host: '127.0.0.1', port: ports[1] }),
    b.all.dial({ host: '127.0.0.1', port: ports[0] }),
  ]);
  await until(() => a.ended.length + b.ended.length >= 2, 'the other one has ended for both');
  const kept = [a.all.get(b.id), b.all.get(a.id)];
  t.true(kept.every((link) => link?.open));
  // It is the one that the smaller id dialled.
  t.is(kept[0]?.dialled, a.id < b.id);
  t.is(kept[1]?.dialled, b.id < a.id);
  t.truthy(one);
  t.truthy(two);
});

test('a stop ends what is being dialled', async (t) => {
  const silent = createServer();
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  t.teardown(() => silent.close());
  const address = silent.address();
  const a = links(t, 'a');
  const dialling = a.all.dial({ host: '127.0.0.1', port: typeof address === 'object' && address ? address.port : 0 });
  // It has said hello, and waits for one.
  await new Promise<void>((resolve) => silent.once('connection', (socket) => socket.once('data', () => resolve())));
  const at = performance.now();
  await a.all.close();
  await t.throwsAsync(dialling);
  t.true(performance.now() - at < 2000, 'long before a handshake would be given up');
});
