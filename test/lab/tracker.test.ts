/** Three subnets that a router joins, and a tracker on one of them: what peers find of each other, and fetch. */
import { link, mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import type { ShareEvent, SourcesRow } from '../../lib/api.js';
import { get, got, json, peers, speed } from './commands.js';
import { labTest } from './lab-test.js';
import { everyone, isAll, NAMES, paths, registered, SUBNETS, track, until } from './subnets.js';
import { bigFile, MIB, scratch } from './trees.js';

/** A folder in memory for so many bytes, gone after the test. */
async function folderOf(t: ExecutionContext, bytes: number): Promise<string> {
  const folder = await scratch(bytes);
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

const isRegistered = (name: string) => (event: ShareEvent) =>
  event.event === 'registration' && event.change === 'registered' && event.name === name;

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

labTest('half a GiB comes from two subnets to the third', SUBNETS, async (t, lab) => {
  const bytes = 512 * MIB;
  const folder = await folderOf(t, 2 * bytes);
  const [one, two] = [join(folder, 'one', 'film'), join(folder, 'two', 'the same film')];
  await bigFile(one, bytes);
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
  const given = Object.fromEntries(fetching.done.sources.map(({ name, bytes }) => [name, bytes]));
  const percent = (name: string) => `${Math.round((100 * given[name]) / bytes)} % from ${name}`;
  t.log(`${percent('ada')}, ${percent('bob')}, ${speed(bytes, fetching.done.seconds * 1000)}`);
  t.true(given.ada > bytes / 5 && given.bob > bytes / 5);
  t.is((await lab.hosts[3].run(['cmp', one, join(folder, 'in', 'film')])).code, 0);
});

labTest(
  'a get goes on while its tracker is killed, and everyone is listed again when it is back',
  [{ subnet: 1 }, { subnet: 1, rate: 100 }, { subnet: 2, rate: 100 }, { subnet: 3 }, { subnet: 3 }],
  async (t, lab) => {
    const bytes = 128 * MIB;
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
    const bytes = 64 * MIB;
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
