import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { DgramAsPromised } from 'dgram-as-promised';
import { demo } from '../../examples/demo.js';
import { fetch } from '../../examples/fetch.js';
import { share } from '../../examples/share.js';
import { tracker } from '../../examples/tracker.js';

const loopback = Object.entries(networkInterfaces()).find(([, a]) => a?.some((one) => one.internal))?.[0] ?? 'lo';

async function freeGroup(): Promise<string> {
  const socket = DgramAsPromised.createSocket('udp4');
  const { port } = await socket.bind(0, '127.0.0.1');
  await socket.close();
  return `239.255.47.48:${port}`;
}

test('the demonstration heals a corrupted chunk and cleans up', async (t) => {
  const before = (await readdir(tmpdir())).filter((name) => name.startsWith('hearsay-demo-'));
  const lines: string[] = [];
  t.is(await demo((line) => lines.push(line)), 1);
  t.is(lines.filter((line) => / has from-/.test(line)).length, 12);
  t.is(lines.at(-1), 'all is cleaned up');
  const after = (await readdir(tmpdir())).filter((name) => name.startsWith('hearsay-demo-'));
  t.deepEqual(after, before);
});

test('one program shares and another fetches', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'hearsay-examples-'));
  t.teardown(() => rm(root, { recursive: true, force: true }));
  const folder = join(root, 'things');
  await mkdir(folder);
  await writeFile(join(folder, 'note.txt'), 'a note\n');
  const common = { group: await freeGroup(), interfaces: [loopback], port: 0 };
  const stop = new AbortController();
  let ready: () => void = () => {};
  const up = new Promise<void>((resolve) => {
    ready = resolve;
  });
  const onEvent = (event: { event: string }) => {
    if (event.event === 'ready') ready();
  };
  const sharing = share(folder, { ...common, state: join(root, 'a'), onEvent }, stop.signal);
  await up;
  await fetch('things/', `${join(root, 'in')}/`, { ...common, state: join(root, 'b') });
  t.is(await readFile(join(root, 'in', 'things', 'note.txt'), 'utf8'), 'a note\n');
  stop.abort();
  await sharing;
});

test('three peers find each other through a tracker, which goes away and comes back', async (t) => {
  const before = (await readdir(tmpdir())).filter((name) => name.startsWith('hearsay-tracker-'));
  const lines: string[] = [];
  await tracker((line) => lines.push(line));
  const registers = (name: string) =>
    lines.filter((line) => line.startsWith(`the tracker: ${name} registers, at 127.0.0.1:`));
  // Once with each tracker; again where a connection was made anew.
  for (const name of ['ada', 'bob', 'cy']) t.true(registers(name).length >= 2, lines.join('\n'));
  const said = lines.filter((line) => !line.startsWith('the tracker: '));
  t.deepEqual(said, [
    'each sees the files of the others',
    'ada has from-bob/note.txt from bob: a few words of bob',
    'the tracker is gone',
    'bob fetches from cy all the same',
    'the tracker is back, and everyone has registered again',
    'cy fetches from ada',
  ]);
  const after = (await readdir(tmpdir())).filter((name) => name.startsWith('hearsay-tracker-'));
  t.deepEqual(after, before);
});
