/** A tracker and those whom it has registered: how soon one who goes is gone, and that nobody else takes his id. */
import { cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import type { FollowEvent, PeerRow, ShareEvent, StatusReport } from '../../lib/api.js';
import { json, peers, type Sharing } from './commands.js';
import type { Host, Lab } from './lab.js';
import { labTest } from './lab-test.js';
import { everyone, isAll, paths, registered, SUBNETS, until } from './subnets.js';

const THIEF = fileURLToPath(new URL('./thief.js', import.meta.url));

const isDeparted = (name: string) => (event: ShareEvent) =>
  event.event === 'registration' && event.change === 'departed' && event.name === name;

/** Follows the listing on a host; tells when a path is gone from it. */
async function follow(host: Host, path: string, args: readonly string[] = []): Promise<() => Promise<number>> {
  const process = host.hearsay(['ls', '--follow', '--json', ...args]);
  const is = (event: FollowEvent['event']) => (line: string) => {
    const told = JSON.parse(line) as FollowEvent;
    return told.event === event && told.path === path;
  };
  await process.waitFor(is('added'), 10_000, 'stdout');
  return async () => {
    await process.waitFor(is('removed'), 30_000, 'stdout');
    return performance.now();
  };
}

/** Sees bob go from everywhere. @returns ms from `began` until the tracker, a running peer and a one-shot that follows said so */
async function goes(lab: Lab, tracker: Sharing, act: () => void | Promise<void>): Promise<number[]> {
  const [first, , , cy, dan] = lab.hosts;
  const seen = await Promise.all([follow(cy, 'bob/note'), follow(dan, 'bob/note', ['--join', first.address])]);
  const began = performance.now();
  await act();
  const all = await Promise.all([tracker.until(isDeparted('bob'), 30_000), ...seen.map((gone) => gone())]);
  return all.map((at) => Math.round(at - began));
}

/** That nobody knows of bob any more: one-shots, and running peers. */
async function isGone(t: ExecutionContext, lab: Lab): Promise<void> {
  const [first, ada, , cy, dan] = lab.hosts;
  t.deepEqual(
    (await paths(dan, ['bob/*', '--join', first.address])).filter((path) => path.startsWith('bob/')),
    [],
  );
  t.false(await named(dan, 'bob', ['--join', first.address]));
  for (const host of [first, ada, cy]) t.false(await named(host, 'bob'));
}

const named = async (host: Host, name: string, args: readonly string[] = []) =>
  (await peers(host, args)).some((row: PeerRow) => row.name === name);

labTest('a killed peer is gone within 1 s, and a deleted file too', SUBNETS, async (t, lab) => {
  const started = await everyone(lab);
  const [first, ada, bob, cy, dan] = lab.hosts;
  for (const host of [first, ada, bob, cy]) await until(() => paths(host), isAll, 10_000);

  await writeFile(join(ada.folder, 'ada', 'mistake'), 'oh');
  const seen = await Promise.all([follow(cy, 'ada/mistake'), follow(dan, 'ada/mistake', ['--join', first.address])]);
  const began = performance.now();
  await rm(join(ada.folder, 'ada', 'mistake'));
  const deleted = (await Promise.all(seen.map((gone) => gone()))).map((at) => Math.round(at - began));
  t.log(`deleted: gone for a running peer after ${deleted[0]} ms, for a one-shot that follows after ${deleted[1]} ms`);
  t.true(Math.max(...deleted) <= 1000);
  t.false((await paths(dan, ['--join', first.address])).includes('ada/mistake'));

  const [tracker, , killed] = started;
  const took = await goes(lab, tracker, () => killed.process.kill('SIGKILL'));
  t.log(
    `killed: gone at the tracker after ${took[0]} ms, for a running peer ${took[1]}, for a one-shot that follows ${took[2]}`,
  );
  t.true(Math.max(...took) <= 1000);
  await isGone(t, lab);
});

labTest('a peer whose cable is cut is gone within 15 s, and its id cannot be taken', SUBNETS, async (t, lab) => {
  const started = await everyone(lab);
  const [first, ada, bob, cy, dan] = lab.hosts;
  for (const host of [first, ada, bob, cy]) await until(() => paths(host), isAll, 10_000);
  const { id } = started[2].ready;
  const steal = async () => (await dan.run([process.execPath, THIEF, first.address, '47748', id])).stdout[0];

  // With another key never; with its own, in a copy of its folder, not while it answers.
  t.regex(await steal(), /^refused /);
  await cp(bob.state(), dan.state('copy'), { recursive: true, filter: (path) => !/lock|socket|control/i.test(path) });
  await mkdir(join(dan.folder, 'copied'));
  // Without multicast, which would show cy two of one id.
  const args = ['share', join(dan.folder, 'copied'), '--json', '--no-multicast', '--join', first.address];
  const copy = dan.hearsay(args, { state: 'copy' });
  t.log(await copy.waitFor(/copy of the same key/, 20_000, 'stdout'));
  const { unjoined } = await json<StatusReport>(dan, ['status'], { state: 'copy' });
  t.deepEqual(
    unjoined?.map(({ address, error }) => [address, error.code]),
    [[`${first.address}:47748`, 'id-taken']],
  );
  copy.kill('SIGKILL');
  t.true((await registered(first)).includes('bob'));

  const took = await goes(lab, started[0], async () => {
    await bob.cut();
    t.regex(await steal(), /^refused /);
  });
  t.log(
    `cut: gone at the tracker after ${took[0]} ms, for a running peer ${took[1]}, for a one-shot that follows ${took[2]}`,
  );
  t.true(Math.max(...took) <= 15_000);
  await isGone(t, lab);

  await bob.mend();
  const back = performance.now();
  await until(
    () => registered(first),
    (names) => names.includes('bob'),
    15_000,
  );
  t.log(`mended: registered again after ${Math.round(performance.now() - back)} ms`);
  await until(() => paths(cy), isAll, 10_000);
});
