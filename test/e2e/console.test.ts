/** The console, live events and refresh with real peers, and the console as a process that reads from a pipe. */
import { access, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { ShareEvent } from '../../lib/api.js';
import type { LabProcess } from '../lab/process.js';
import { CHILD_MS, hearsay } from './child.js';
import { assertContent, content, Lan, type LanPeer, MIB, until } from './lan.js';

/** Gathers what a peer tells from now on. */
function listen(t: ExecutionContext, { peer }: LanPeer): ShareEvent[] {
  const events: ShareEvent[] = [];
  const end = new AbortController();
  t.teardown(() => end.abort());
  void (async () => {
    for await (const event of peer.events(end.signal)) events.push(event);
  })();
  return events;
}

test('a peer tells who comes, what of their files is new, and who leaves; of its own files it tells otherwise', async (t) => {
  const lan = await Lan.make(t);
  const alice = await lan.peer('alice', { files: { 'own/a.txt': 'a' } });
  const events = listen(t, alice);
  const bob = await lan.peer('bob', { files: { 'b/one.txt': '1', 'b/two.txt': '2' } });
  const files = () => events.filter((e) => e.event === 'files');
  await until(() => files().some((e) => e.peer.name === 'bob'), 'its files are told of');
  t.true(events.some((e) => e.event === 'peer' && e.change === 'came' && e.name === 'bob'));
  t.is(
    files().reduce((sum, { added }) => sum + added, 0),
    2,
  );
  await writeFile(bob.file('b/three.txt'), 'three');
  await until(() => files().some((e) => e.path === 'b/three.txt' && e.added === 1), 'the new one is told of');
  await bob.peer.stop();
  await until(() => events.some((e) => e.event === 'peer' && e.change === 'left'), 'it is told that it left');
  t.true(files().every((e) => e.peer.id === bob.id && e.removed === 0));
});

test('events end with the peer', async (t) => {
  const lan = await Lan.make(t);
  const alice = await lan.peer('alice');
  const ended = (async () => {
    for await (const _ of alice.peer.events(new AbortController().signal));
  })();
  await alice.peer.stop();
  await t.notThrowsAsync(ended);
});

test('a refresh asks at once: a joined host that was away is reached, and what it has is reported', async (t) => {
  const lan = await Lan.make(t);
  const bob = await lan.peer('bob', { multicast: false, files: { 'b/one.txt': '1' } });
  const { port } = bob.peer;
  const alice = await lan.peer('alice', { multicast: false, join: [`127.0.0.1:${port}`] });
  await alice.knows('b/one.txt', bob);
  t.like(await alice.peer.refresh(), {
    came: [],
    left: [],
    peers: { came: 0, left: 0 },
    files: { added: 0, removed: 0 },
  });
  await bob.peer.stop();
  await until(() => alice.peer.unjoined.size > 0, 'it is not reached any more');
  const again = await lan.peer('bob', {
    multicast: false,
    port,
    share: [join(bob.root, 'b')],
    state: join(bob.root, '.state'),
  });
  // It may have come between its start and the question, and where the machine is busy an attempt that fails be under way.
  for (let tries = 0; alice.offers('b/one.txt').length === 0; tries++) {
    const report = await alice.peer.refresh();
    if (report.peers.came > 0) t.like(report, { came: [{ id: again.id }] });
    t.true(tries < 3, 'within a refresh, not at some attempt of later');
  }
});

test('a refresh leaves those alone that are there', async (t) => {
  const lan = await Lan.make(t);
  const [alice, bob, carol] = await Promise.all(['alice', 'bob', 'carol'].map((name) => lan.peer(name)));
  await until(() => alice.told('peer').length === 2 && bob.told('peer').length === 2, 'they see each other');
  for (let i = 0; i < 3; i++) await alice.peer.refresh();
  t.is((await alice.peer.peers()).length, 3);
  for (const one of [alice, bob, carol]) t.false(one.told('peer').some(({ change }) => change === 'left'));
});

/** What a console printed, without the lines that tell what happens. */
const text = (child: LabProcess) => child.stdout.join('\n');

test('through a pipe: lists, fetches by number, names who is not here, goes on, and exits with the last failure', async (t) => {
  const lan = await Lan.make(t);
  const big = content(MIB, 5);
  const bob = await lan.peer('bob', { files: { 'b/big file.bin': big, 'b/small.txt': 'small' } });
  await bob.hashed('b/big file.bin');
  const inbox = await lan.fresh('in');
  const child = await hearsay(lan, 'console', '--name', 'carol');
  child.type('peers');
  await child.waitFor(/^bob +/, CHILD_MS);
  child.type('ls bob dave');
  await child.waitFor(/dave is not here/, CHILD_MS, 'stderr');
  await child.waitFor(/b\/small\.txt$/, CHILD_MS);
  t.regex(text(child), /^bob: 2 files, 1\.0 MiB\n {4}1 +1\.0 MiB {2}b\/big file\.bin\n {4}2 +5 B {2}b\/small\.txt$/m);
  child.type(`get 1-2 -o "${inbox}/"`);
  await child.waitFor(/^got b\/small\.txt/, CHILD_MS);
  await child.waitFor(/^got b\/big file\.bin/, CHILD_MS);
  await assertContent(t, join(inbox, 'big file.bin'), big);
  await bob.peer.stop();
  await child.waitFor(/bob has left/, CHILD_MS, 'stderr');
  child.type('get 2');
  await child.waitFor(/the peer that has b\/small\.txt is not here/, CHILD_MS, 'stderr');
  child.type('frobnicate');
  child.type('status');
  await child.waitFor(/^carol /, CHILD_MS);
  child.type('quit');
  t.is((await child.waitForExit(CHILD_MS)).code, 2, child.tail());
  t.false(text(child).includes('hearsay>'));
});

test('a console without a peer is one, which others see and commands reach; quit says goodbye', async (t) => {
  const lan = await Lan.make(t);
  const alice = await lan.peer('alice');
  const root = await lan.fresh('files');
  await writeFile(join(root, 'x.txt'), 'x');
  const state = join(await lan.fresh('console'), 'state');
  const child = await hearsay(lan, 'console', join(root, 'x.txt'), '--name', 'bob', '--state', state);
  await alice.hashed('x.txt');
  const status = await hearsay(lan, 'status', '--json', '--state', state);
  t.is((await status.waitForExit(CHILD_MS)).code, 0, status.tail());
  // A second console on the same folder speaks to the first, and leaves it running.
  const second = await hearsay(lan, 'console', '--state', state, '--json');
  const opening = JSON.parse(await second.waitFor(/"event":"console"/, CHILD_MS)) as { running: boolean; name: string };
  t.like(opening, { running: true, name: 'bob' });
  second.type(`add "${root}"`);
  await alice.knows(`${root.split(/[\\/]/).at(-1)}/x.txt`);
  // What happens there is told here, and what is asked here is asked there.
  const dave = await lan.peer('dave', { files: { 'd/one.txt': '1' } });
  await second.waitFor(new RegExp(`"event":"peer","change":"came","id":"${dave.id}"`), CHILD_MS);
  await second.waitFor(/"event":"files".*"path":"d\/one\.txt"/, CHILD_MS);
  second.type('refresh');
  await second.waitFor(/^\{"came":\[/, CHILD_MS);
  second.type('quit');
  t.is((await second.waitForExit(CHILD_MS)).code, 0, second.tail());
  t.true(child.running);
  child.type('quit');
  t.is((await child.waitForExit(CHILD_MS)).code, 0, child.tail());
  await until(() => alice.told('peer').some((e) => e.change === 'left' && e.name === 'bob'), 'its goodbye is heard');
  await t.throwsAsync(access(join(state, 'console-history')), undefined, 'what is piped in is not what was typed');
});

test('at the end of what is piped in, what was begun is done', async (t) => {
  const lan = await Lan.make(t);
  const bob = await lan.peer('bob', { files: { 'b/one.bin': content(4 * MIB, 9) } });
  await bob.hashed('b/one.bin');
  const inbox = await lan.fresh('in');
  const child = await hearsay(lan, 'console');
  child.type(`get b/one.bin -o "${inbox}/"`);
  child.endInput();
  t.is((await child.waitForExit(CHILD_MS)).code, 0, child.tail());
  await assertContent(t, join(inbox, 'one.bin'), content(4 * MIB, 9));
});
