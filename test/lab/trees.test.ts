/** Whole trees: a real one of thousands of files, hostile names and sizes, and very many small files. */
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { FollowEvent, ShareEvent } from '../../lib/api.js';
import { got, hashed, json, share, told } from './commands.js';
import { labTest } from './lab-test.js';
import { diff, differences, hostileTree, isUnshared, MIB, manyFiles, scratch } from './trees.js';

/** Trees of thousands of files that a machine may have: two of those that are there. The packages of a checkout always are. */
function realTrees(): string[] {
  const places = ['/usr/include', '/usr/share/doc', join(process.cwd(), 'node_modules')].filter((path) =>
    existsSync(path),
  );
  return places.filter((path) => readdirSync(path, { recursive: true }).length > 2000).slice(0, 2);
}

labTest('real trees of thousands of files arrive whole', 2, async (t, lab) => {
  const folder = await scratch(1024 * MIB);
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const real = realTrees();
  await share(lab.hosts[0], real);
  for (const tree of real) {
    const into = join(folder, 'in');
    const fetching = await got(lab.hosts[1], [`${basename(tree)}/`, '-o', `${into}/`], 60_000);
    const end = fetching.all('end')[0];
    const { left, followed, other } = await differences(tree, join(into, basename(tree)));
    const files = `${end.files} files, ${(end.bytes / MIB).toFixed(1)} MiB in ${(fetching.took / 1000).toFixed(1)} s`;
    t.log(`${tree}: ${files}; ${left.length} not shared, ${followed.length} links followed`);
    t.deepEqual(other, []);
    t.is(end.failed, 0);
    t.true(end.files > 1000);
    for (const path of left) t.true(await isUnshared(tree, path, followed), path);
    for (const path of followed) t.false(await isUnshared(tree, path), path);
    await rm(into, { recursive: true });
  }
});

labTest('a tree of hostile but legal names and sizes arrives whole', 2, async (t, lab) => {
  const folder = await scratch(700 * MIB);
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const tree = join(folder, 'a tree: 100 % "hostile"');
  const unshared = await hostileTree(tree, join(folder, 'outside'));
  await share(lab.hosts[0], [tree]);
  const name = `${basename(tree)}/`;
  // Before and after hashing files travel differently.
  const early = await got(lab.hosts[1], [name, '-o', `${folder}/early/`]);
  await hashed(lab.hosts[0]);
  const late = await got(lab.hosts[1], [name, '-o', `${folder}/late/`]);
  for (const [into, { all }] of [
    ['early', { all: early.all('end') }],
    ['late', { all: late.all('end') }],
  ] as const) {
    t.log(`${into}: ${all[0].files} files, ${all[0].bytes} bytes`);
    const { left, followed, other } = await differences(tree, join(folder, into, basename(tree)));
    t.deepEqual(other, []);
    t.deepEqual({ left, followed }, unshared);
  }
  // Again: everything is here already.
  const again = await got(lab.hosts[1], [name, '-o', `${folder}/late/`]);
  t.true(again.all('done').every(({ already, received }) => already && received === 0));
});

labTest('20,000 files of 2 GiB are listed elsewhere before they are hashed, and hashed once', 2, async (t, lab) => {
  const [one, two] = lab.hosts;
  const count = 20_000;
  const bytes = Math.ceil((2048 * MIB) / count);
  const folder = await scratch(count * (bytes + 4096));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const tree = join(folder, 'many');
  await manyFiles(tree, count, bytes);
  await mkdir(join(two.folder, 'empty'));
  await share(two, [join(two.folder, 'empty')]);
  const follow = two.hearsay(['ls', '--follow', '--json']);

  const paths = new Set<string>();
  const listed = (async () => {
    for await (const { at, event } of told<FollowEvent>(follow)) {
      if (event.event === 'added') paths.add(event.path);
      if (paths.size === count) return at;
    }
    throw new Error(`only ${paths.size} were listed\n${follow.tail()}`);
  })();
  listed.catch(() => {});
  const first = await share(one, [tree]);
  const ready = performance.now();
  const took = (await listed) - ready;
  const isHashed = (event: ShareEvent) => event.event === 'hashed';
  const before = first.events().filter(isHashed).length;
  t.log(`ready after ${Math.round(first.took)} ms, all listed ${Math.round(took)} ms later, ${before} hashed by then`);
  // 1 s and 3 s on a calm machine, as logged; what is held here is that neither waits for the hashing.
  t.true(first.took <= 3000);
  t.true(took <= 9000);
  t.true(before < count);

  const began = performance.now();
  await hashed(one, {}, 60_000);
  t.log(`all hashed ${((performance.now() - began) / 1000).toFixed(1)} s after that`);
  const { shares } = await json<{ shares: { files: number; bytes: number }[] }>(one, ['status']);
  t.like(shares[0], { files: count, bytes: count * bytes });
  first.process.kill('SIGINT');
  t.is((await first.process.waitForExit(10_000)).code, 0);

  const second = await share(one, [tree]);
  await hashed(one, {}, 10_000);
  t.log(`after a restart ready after ${Math.round(second.took)} ms`);
  t.is(second.ready.id, first.ready.id);
  t.deepEqual(second.events().filter(isHashed), []);
});

labTest('many small files come quickly', 2, async (t, lab) => {
  const folder = await scratch(200 * MIB);
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const count = 5000;
  await manyFiles(join(folder, 'many'), count, 4096);
  await share(lab.hosts[0], [join(folder, 'many')]);
  const fetching = await got(lab.hosts[1], ['many/', '-o', `${folder}/in/`]);
  t.log(`${Math.round(count / (fetching.took / 1000))} files/s, ${Math.round(fetching.took)} ms in all`);
  t.is(fetching.all('end')[0].files, count);
  t.deepEqual(await diff(join(folder, 'many'), join(folder, 'in', 'many')), []);
});
