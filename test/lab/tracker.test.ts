/** Three subnets that a router joins, and a tracker on one of them: what peers find of each other, and how soon they lose it. */
import { cp, link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import type { FollowEvent, PeerRow, ShareEvent, SourcesRow, StatusReport } from '../../lib/api.js';
import { get, got, json, ls, peers, type Sharing, share, shareHashed, speed } from './commands.js';
import type { Host, Lab } from './lab.js';
import { labTest } from './lab-test.js';
import { bigFile, GIB, MIB, scratch } from './trees.js';

const THIEF = fileURLToPath(new URL('./thief.js', import.meta.url));

/** The tracker and ada share a subnet; bob, and cy with dan, have one each. */
const SUBNETS = [{ subnet: 1 }, { subnet: 1 }, { subnet: 2 }, { subnet: 3 }, { subnet: 3 }];
const NAMES = ['tracker', 'ada', 'bob', 'cy'];

/** A folder in memory for so many bytes, gone after the test. */
async function folderOf(t: ExecutionContext, bytes: number): Promise<string> {
  const folder = await scratch(bytes);
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Starts a tracker, which shares a note. */
async function track(host: Host): Promise<Sharing> {
  return share(host, [await note(host, 'tracker'), '--tracker', '--name', 'tracker']);
}

/** Makes the folder NAME with a note, to be shared. @returns its path */
async function note(host: Host, name: string): Promise<string> {
  const folder = join(host.folder, name);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'note'), `a few words of ${name}`);
  return folder;
}

/** Starts a tracker on the first host and a peer on the next three, each with a note of its own and what `more` says. */
async function everyone(lab: Lab, more: Record<string, string> = {}): Promise<Sharing[]> {
  const [first, ...others] = lab.hosts;
  const started = [await track(first)];
  for (const [i, host] of others.slice(0, 3).entries()) {
    const name = NAMES[i + 1];
    const files = [await note(host, name), ...(more[name] ? [more[name]] : [])];
    const args = [...files, '--name', name, '--join', first.address];
    started.push(await (more[name] ? shareHashed(host, args) : share(host, args)));
  }
  return started;
}

/** Looks until it is so. @returns when, `performance.now()` @throws Error with what it saw last */
async function until<T>(look: () => Promise<T>, fits: (seen: T) => boolean, ms: number): Promise<number> {
  for (const began = performance.now(); ; ) {
    const at = performance.now();
    const seen = await look();
    if (fits(seen)) return at;
    if (performance.now() - began > ms) throw new Error(`not within ${ms} ms: ${JSON.stringify(seen)}`);
    await delay(20);
  }
}

const paths = async (host: Host, args: readonly string[] = []) => (await ls(host, args)).map(({ path }) => path);
const NOTES = NAMES.map((name) => `${name}/note`).sort();
const isAll = (seen: string[]) => NOTES.every((path) => seen.includes(path));

/** Names of those whom a tracker has registered. */
async function registered(host: Host): Promise<string[]> {
  const { tracker } = await json<StatusReport>(host, ['status']);
  return (tracker?.registered ?? []).map(({ name }) => name).sort();
}

const isRegistered = (name: string) => (event: ShareEvent) =>
  event.event === 'registration' && event.change === 'registered' && event.name === name;
const isDeparted = (name: string) => (event: ShareEvent) =>
  event.event === 'registration' && event.change === 'departed' && event.name === name;

labTest('peers of three subnets list each other and fetch from each other', SUBNETS, async (t, lab) => {
  const [first, ...hosts] = lab.hosts;
  const began = performance.now();
  const [tracker] = await everyone(lab);
  t.deepEqual(tracker.ready.tracker, [first.address]);
  for (const host of lab.hosts.slice(0, 4)) await until(() => paths(host), isAll, 10_000);
  t.log(`everyone lists everything ${Math.round(performance.now() - began)} ms after the first began`);
  t.deepEqual(
    await registered(first),
    ['ada', 'bob', 'cy', 'tracker'].filter((name) => name !== 'tracker'),
  );

  // A one-shot is told by the tracker, and need not ask everyone.
  const dan = hosts[3];
  const asked = performance.now();
  t.true(isAll(await paths(dan, ['--join', first.address])));
  t.log(`a one-shot's ls took ${Math.round(performance.now() - asked)} ms`);

  for (const [i, host] of lab.hosts.slice(0, 4).entries()) {
    const rows = await peers(host);
    t.deepEqual(rows.map(({ name }) => name).sort(), [...NAMES].sort());
    for (const row of rows) {
      t.is(row.tracker, row.name === 'tracker', row.name);
      t.is(row.unreachable, undefined);
      if (row.self) continue;
      const there = lab.hosts[NAMES.indexOf(row.name)];
      t.true(row.addresses.includes(`${there.address}:47748`), `${NAMES[i]} knows ${JSON.stringify(row)}`);
    }
    for (const name of NAMES) {
      if (name === NAMES[i]) continue;
      const into = join(host.folder, `in ${name}`);
      await mkdir(into);
      await got(host, [`${name}/note`, '-o', `${into}/`]);
      t.is(await readFile(join(into, 'note'), 'utf8'), `a few words of ${name}`);
    }
  }
  await mkdir(join(dan.folder, 'in'));
  await got(dan, ['bob/', '-o', `${dan.folder}/in/`, '--join', first.address]);
  t.is(await readFile(join(dan.folder, 'in', 'bob', 'note'), 'utf8'), 'a few words of bob');
});

labTest('1 GiB comes from two subnets to the third', SUBNETS, async (t, lab) => {
  const folder = await folderOf(t, 2 * GIB);
  const [one, two] = [join(folder, 'one', 'film'), join(folder, 'two', 'the same film')];
  await bigFile(one, GIB);
  await mkdir(join(folder, 'two'));
  await link(one, two);
  await everyone(lab, { ada: one, bob: two });
  const cy = lab.hosts[3];
  await until(
    () => json<{ files: { peers: unknown[]; id: string | null }[] }>(cy, ['ls', 'film']),
    ({ files }) => files.length === 1 && files[0].id !== null,
    10_000,
  );
  await mkdir(join(folder, 'in'));
  const fetching = await got(cy, ['film', '-o', `${folder}/in/`], 120_000);
  const bytes = Object.fromEntries(fetching.done.sources.map(({ name, bytes }) => [name, bytes]));
  const percent = (name: string) => `${Math.round((100 * bytes[name]) / GIB)} % from ${name}`;
  t.log(`${percent('ada')}, ${percent('bob')}, ${speed(GIB, fetching.done.seconds * 1000)}`);
  t.true(bytes.ada > GIB / 5 && bytes.bob > GIB / 5);
  t.is((await lab.hosts[3].run(['cmp', one, join(folder, 'in', 'film')])).code, 0);
});

labTest(
  'a get goes on while its tracker is killed, and everyone is listed again when it is back',
  [{ subnet: 1 }, { subnet: 1, rate: 100 }, { subnet: 2, rate: 100 }, { subnet: 3 }, { subnet: 3 }],
  async (t, lab) => {
    const bytes = 256 * MIB;
    const folder = await folderOf(t, 2 * bytes);
    const [one, two] = [join(folder, 'one', 'film'), join(folder, 'two', 'the same film')];
    await bigFile(one, bytes);
    await mkdir(join(folder, 'two'));
    await link(one, two);
    const [tracker] = await everyone(lab, { ada: one, bob: two });
    const [first, , , cy, dan] = lab.hosts;
    await until(
      () => paths(cy),
      (seen) => seen.includes('film') && seen.includes('the same film'),
      10_000,
    );
    await mkdir(join(folder, 'in'));
    let killed = 0;
    const fetching = get(cy, ['film', '-o', `${folder}/in/`, '--verbose'], (_event, { chunks }) => {
      if (killed > 0 || chunks.size * MIB < bytes / 8) return;
      killed = performance.now();
      tracker.process.kill('SIGKILL');
    });
    await tracker.process.waitForExit(60_000);
    t.true(fetching.process.running);
    // It comes back while the get goes on, and everyone comes by himself.
    await delay(2000);
    const again = await track(first);
    const back = performance.now();
    const came = await Promise.all(['ada', 'bob', 'cy'].map((name) => again.until(isRegistered(name), 20_000)));
    const listed = await until(() => paths(dan, ['--join', first.address]), isAll, 10_000);
    const took = came.map((at) => Math.round(at - back));
    t.log(
      `registered again ${took.join(', ')} ms after the tracker was back; all listed after ${Math.round(listed - back)} ms`,
    );
    t.true(Math.max(...took, listed - back) <= 10_000);
    t.is(await fetching.ended(120_000), 0);
    t.log(
      `the get: longest gap ${Math.round(fetching.gap)} ms, ${fetching.done.sources.map(({ name }) => name).join(' and ')}`,
    );
    t.true(fetching.gap < 2000);
    t.is((await cy.run(['cmp', one, join(folder, 'in', 'film')])).code, 0);
  },
);

labTest(
  'a half-finished receiver is found through the tracker, with the chunks that it has, and gives them',
  [{ subnet: 1 }, { subnet: 1, rate: 100 }, { subnet: 2 }, { subnet: 3 }, { subnet: 3 }],
  async (t, lab) => {
    const bytes = 96 * MIB;
    const folder = await folderOf(t, 3 * bytes);
    await bigFile(join(folder, 'film'), bytes);
    await everyone(lab, { ada: join(folder, 'film') });
    const [first, , bob, cy] = lab.hosts;
    await until(
      () => paths(cy),
      (seen) => seen.includes('film'),
      10_000,
    );
    for (const name of ['cy', 'bob']) await mkdir(join(folder, name));
    // From subnet 3 to subnet 2, neither of which has the source.
    let part: () => void = () => {};
    const quarter = new Promise<void>((resolve) => {
      part = resolve;
    });
    const receiving = get(cy, ['film', '-o', `${folder}/cy/`, '--verbose'], (_event, { chunks }) => {
      if (chunks.size * 256 * 1024 > bytes / 4) part();
    });
    await quarter;
    const held = async () => {
      const { files } = await json<{ files: SourcesRow[] }>(bob, ['ls', '--sources', 'film', '--join', first.address], {
        state: 'one-shot',
      });
      return files[0];
    };
    const { chunks, sources } = await held();
    const [all, some] = ['ada', 'cy'].map((name) => sources.find((source) => source.name === name));
    t.is(all?.have, chunks);
    t.log(`cy has ${some?.have} of ${chunks} chunks, in ${some?.ranges.length} runs`);
    t.true(some && some.have > 0 && some.have < chunks && some.ranges.length > 0);
    const fetching = await got(bob, ['film', '-o', `${folder}/bob/`], 120_000);
    const given = fetching.done.sources.find(({ name }) => name === 'cy')?.bytes ?? 0;
    t.log(`bob got ${Math.round((100 * given) / bytes)} % from cy, ${fetching.done.seconds.toFixed(1)} s in all`);
    t.true(given > bytes / 10);
    t.is(await receiving.ended(120_000), 0);
    t.is((await bob.run(['cmp', join(folder, 'film'), join(folder, 'bob', 'film')])).code, 0);
  },
);

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
