/** Peers and files that come, change and go, as others see them. */
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { FollowEvent } from '../../lib/api.js';
import { got, ls, peers, type Sharing, share } from './commands.js';
import { labTest } from './lab-test.js';
import type { LabProcess } from './process.js';

const PROGRAM = fileURLToPath(new URL('../../bin/hearsay.js', import.meta.url));

type Fits = (event: FollowEvent) => boolean;

/** Waits until a program has told of all these changes. @returns when, `performance.now()` */
async function sees(follow: LabProcess, fits: Fits[]): Promise<number> {
  await Promise.all(
    fits.map((one) => follow.waitFor((line) => one(JSON.parse(line) as FollowEvent), 10_000, 'stdout')),
  );
  return performance.now();
}

labTest('what happens in a share is seen on two other hosts within a second', 3, async (t, lab) => {
  const [one, two, three] = lab.hosts;
  const folder = join(one.folder, 'live');
  await mkdir(join(folder, 'sub'), { recursive: true });
  await writeFile(join(folder, 'there before'), 'x');
  await share(one, [folder]);
  // Host 2 follows with a one-shot, host 3 through a running peer.
  await mkdir(join(three.folder, 'own'));
  await share(three, [join(three.folder, 'own')]);
  const follows = [two, three].map((host) => host.hearsay(['ls', '--follow', '--json']));
  await Promise.all(follows.map((follow) => sees(follow, [(event) => event.path === 'live/there before'])));

  const is =
    (event: FollowEvent['event'], path: string, size?: number): Fits =>
    (told) =>
      told.event === event && told.path === `live/${path}` && (size === undefined || told.size === size);
  const outside = join(one.folder, 'outside');
  await writeFile(outside, 'moved in');
  const steps: [string, () => Promise<void>, Fits[]][] = [
    ['moved in', () => rename(outside, join(folder, 'a')), [is('added', 'a')]],
    ['renamed', () => rename(join(folder, 'a'), join(folder, 'b')), [is('removed', 'a'), is('added', 'b')]],
    ['changed', () => writeFile(join(folder, 'b'), 'longer than it was'), [is('changed', 'b', 18)]],
    ['written new', () => writeFile(join(folder, 'sub', 'c'), 'new'), [is('added', 'sub/c', 3)]],
    [
      'folder renamed',
      () => rename(join(folder, 'sub'), join(folder, 'other')),
      [is('removed', 'sub/c'), is('added', 'other/c')],
    ],
    ['deleted', () => rm(join(folder, 'b')), [is('removed', 'b')]],
    ['folder deleted', () => rm(join(folder, 'other'), { recursive: true }), [is('removed', 'other/c')]],
  ];
  for (const [what, act, fits] of steps) {
    const began = performance.now();
    await act();
    const took = await Promise.all(follows.map(async (follow) => Math.round((await sees(follow, fits)) - began)));
    t.log(`${what}: ${took[0]} ms by a one-shot, ${took[1]} ms through a running peer`);
    t.true(Math.max(...took) <= 1000, what);
  }
});

labTest('several peers of a host, and of several hosts, find each other', 3, async (t, lab) => {
  const [one, two, three] = lab.hosts;
  const names: string[] = [];
  for (const host of [one, two]) {
    for (const letter of ['a', 'b', 'c']) {
      const name = `${host.number}${letter}`;
      names.push(name);
      await mkdir(join(host.folder, name));
      await writeFile(join(host.folder, name, 'file'), name);
      await share(host, [join(host.folder, name), '--name', name], { state: `state ${name}` });
    }
  }
  const paths = names.map((name) => `${name}/file`);
  const called = async (rows: ReturnType<typeof peers>) => (await rows).map(({ name }) => name).sort();
  t.deepEqual(await called(peers(three)), names);
  t.deepEqual(
    (await ls(three)).map(({ path }) => path),
    paths,
  );
  for (const name of names) {
    const state = { state: `state ${name}` };
    const host = lab.hosts[Number(name[0]) - 1];
    t.deepEqual(await called(peers(host, [], state)), names);
    t.deepEqual(
      (await ls(host, [], state)).map(({ path }) => path),
      paths,
    );
  }
  // One-shots beside each other, and beside running peers.
  const began = performance.now();
  const all = await Promise.all(
    paths.map((path, i) => got(two, [path, '-o', join(two.folder, `got ${i}`), '--wait', '5'])),
  );
  t.log(`${all.length} one-shots at once, of one host: ${Math.round(performance.now() - began)} ms`);
  t.true(all.every((fetching) => fetching.done.size === 2));
  const secret = await one.runHearsay(['share', one.state('state 1a'), '--state', one.state('state 1a')]);
  t.is(secret.code, 2, 'a state folder, which holds a private key, is not shared');
});

labTest('a peer is joined by its address where there is no multicast', 3, async (t, lab) => {
  const [one, two, three] = lab.hosts;
  for (const host of [one, two]) {
    await mkdir(join(host.folder, `from ${host.number}`));
    await writeFile(join(host.folder, `from ${host.number}`, 'file'), `${host.number}`);
  }
  await share(one, [join(one.folder, 'from 1'), '--no-multicast', '--name', 'one']);
  const began = performance.now();
  const second = await share(two, [
    join(two.folder, 'from 2'),
    '--no-multicast',
    '--name',
    'two',
    '--join',
    one.address,
  ]);
  await second.until((event) => event.event === 'peer' && event.name === 'one', 5000);
  t.log(`joined ${Math.round(performance.now() - began)} ms after the start`);
  const apart = ['--no-multicast', '--join', one.address];
  t.deepEqual(
    (await ls(three, apart)).map(({ path }) => path),
    ['from 1/file', 'from 2/file'],
  );
  const fetching = await got(three, ['from 2/file', '-o', `${three.folder}/`, ...apart]);
  t.is(fetching.done.size, 1);
  const alone = await three.runHearsay(['ls', '--no-multicast']);
  t.is(alone.code, 0);
  t.deepEqual(alone.stdout, []);
});

labTest('a peer that crashes is noticed within 15 s, and a goodbye at once', 4, async (t, lab) => {
  const sharing: Sharing[] = [];
  for (const host of lab.hosts) {
    await mkdir(join(host.folder, 'own'));
    await writeFile(join(host.folder, 'own', `file ${host.number}`), 'x');
    sharing.push(await share(host, [join(host.folder, 'own'), '--name', `peer ${host.number}`]));
  }
  const [first, second, third, watching] = sharing;
  const tells = (change: 'came' | 'left', name: string) =>
    watching.until((event) => event.event === 'peer' && event.change === change && event.name === name, 20_000);
  await Promise.all(['peer 1', 'peer 2', 'peer 3'].map((name) => tells('came', name)));

  let began = performance.now();
  first.process.kill('SIGINT');
  const goodbye = (await tells('left', 'peer 1')) - began;
  t.is((await first.process.waitForExit(5000)).code, 0);
  const ended = performance.now() - began;
  t.true(goodbye <= 1000 && ended <= 2000);

  // One is killed; another's host goes silent at the same time, so that not even a closed port tells of it.
  await lab.hosts[2].cut();
  began = performance.now();
  for (const { process: crashing } of [second, third]) crashing.kill('SIGKILL');
  const crashes = await Promise.all([tells('left', 'peer 2'), tells('left', 'peer 3')]);
  const [crash, cut] = crashes.map((at) => Math.round(at - began));
  t.log(`goodbye after ${Math.round(goodbye)} ms (exit after ${Math.round(ended)} ms)`);
  t.log(`a crash noticed after ${crash} ms, that of a host that is cut off after ${cut} ms`);
  t.true(Math.max(crash, cut) <= 15_000);
  const here = await peers(lab.hosts[3]);
  t.deepEqual(
    here.map(({ name }) => name),
    ['peer 4'],
  );
  t.deepEqual(
    (await ls(lab.hosts[3])).map(({ path }) => path),
    ['own/file 4'],
  );

  // With the same identity it is back at once.
  await lab.hosts[2].mend();
  await share(lab.hosts[2], [join(lab.hosts[2].folder, 'own'), '--name', 'back again']);
  const files = async () => (await ls(lab.hosts[3])).map(({ path }) => path);
  await tells('came', 'back again');
  for (began = performance.now(); (await files()).length < 2 && performance.now() - began < 3000; );
  t.deepEqual(await files(), ['own/file 3', 'own/file 4']);
});

const LOSSY = { loss: 20, lossOf: 'udp' } as const;

labTest('changes are seen soon where a fifth of all datagrams is lost', [LOSSY, LOSSY], async (t, lab) => {
  const [one, two] = lab.hosts;
  const folder = join(one.folder, 'live');
  await mkdir(folder);
  await writeFile(join(folder, 'there before'), 'x');
  await share(one, [folder]);
  await mkdir(join(two.folder, 'own'));
  await share(two, [join(two.folder, 'own')]);
  const follow = two.hearsay(['ls', '--follow', '--json']);
  await sees(follow, [(event) => event.path === 'live/there before']);
  const took: number[] = [];
  for (let i = 0; i < 20; i++) {
    const began = performance.now();
    await writeFile(join(folder, `file ${i}`), 'x');
    took.push((await sees(follow, [(event) => event.path === `live/file ${i}`])) - began);
  }
  took.sort((a, b) => a - b);
  t.log(`half of 20 changes within ${Math.round(took[9])} ms, the last after ${Math.round(took[19])} ms`);
  t.true(took[9] < 1000 && took[19] < 5000);
  t.is((await got(two, ['live/', '-o', `${two.folder}/in/`])).all('done').length, 21);
});

const ALONE = `
set -e
ip link set lo up
"$@" share "$HOME/alone" --json --state "$HOME/one" >"$HOME/out" & sharing=$!
while ! grep -q '"ready"' "$HOME/out" 2>/dev/null; do kill -0 $sharing; sleep 0.02; done
"$@" get alone/ -o "$HOME/in/" --state "$HOME/two" >&2
kill -INT $sharing
wait $sharing
ip -br address
`;

labTest('with only a loopback card two processes share', 1, async (t, lab) => {
  const [host] = lab.hosts;
  await mkdir(join(host.folder, 'alone', 'sub'), { recursive: true });
  await writeFile(join(host.folder, 'alone', 'sub', 'file'), 'alone');
  await writeFile(join(host.folder, 'alone', 'large'), Buffer.alloc(3_000_000, 'large'));
  const began = performance.now();
  const shell = ['unshare', '-n', 'sh', '-c', ALONE, 'sh', process.execPath, PROGRAM];
  const { code, stdout, stderr } = await host.run(shell, 20_000);
  t.is(code, 0, stderr.join('\n'));
  t.log(`shared, fetched and ended in ${Math.round(performance.now() - began)} ms`);
  t.regex(stdout.join('\n'), /^lo +\S+ +127\.0\.0\.1\/8/);
  t.is(stdout.length, 1);
  const same = await host.run(['diff', '-r', join(host.folder, 'alone'), join(host.folder, 'in', 'alone')]);
  t.deepEqual(same, { code: 0, stdout: [], stderr: [] });
});
