/** Several sources of one file: shared load, a slow one, one whose cable is pulled, one that lies, and a receiver that dies. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { link, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { type Fetching, get, got, hashed, share, shareHashed, speed } from './commands.js';
import type { Host, Lab } from './lab.js';
import { labTest } from './lab-test.js';
import { bigFile, diff, GIB, MIB, scratch } from './trees.js';

const LIAR = fileURLToPath(new URL('./liar.js', import.meta.url));

/** A folder in memory for so many bytes, gone after the test. */
async function folderOf(t: ExecutionContext, bytes: number): Promise<string> {
  const folder = await scratch(bytes);
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** The same content under two names on hosts 1 and 2, shared by both, and where host 3 puts it. */
async function twoSources(t: ExecutionContext, [one, two]: readonly Host[], bytes: number) {
  const folder = await folderOf(t, 2 * bytes);
  const [first, second] = [join(folder, 'one', 'first name'), join(folder, 'two', 'second name')];
  await bigFile(first, bytes);
  await mkdir(join(folder, 'two'));
  await link(first, second);
  const sharing = await Promise.all([
    shareHashed(one, [first, '--name', 'one']),
    shareHashed(two, [second, '--name', 'two']),
  ]);
  const into = join(folder, 'in');
  await mkdir(into);
  return { first, into, sharing };
}

async function sameContent(a: string, b: string): Promise<boolean> {
  const hash = async (path: string) => {
    const sum = createHash('sha256');
    for await (const part of createReadStream(path, { highWaterMark: MIB })) sum.update(part);
    return sum.digest('hex');
  };
  const [one, two] = await Promise.all([hash(a), hash(b)]);
  return one === two;
}

/** What each source gave of a file, as a part of the whole, by its name. */
function parts({ done }: Fetching): Record<string, number> {
  return Object.fromEntries(done.sources.map(({ name, bytes }) => [name, bytes / done.size]));
}

const percent = (part: number) => `${Math.round(part * 100)} %`;

labTest('half a GiB comes from both hosts that have it under different names', 3, async (t, lab) => {
  const size = GIB / 2;
  const { first, into } = await twoSources(t, lab.hosts, size);
  const fetching = await got(lab.hosts[2], ['first name', '-o', `${into}/`]);
  const { one, two } = parts(fetching);
  const rate = speed(size, fetching.done.seconds * 1000);
  t.log(`${percent(one)} and ${percent(two)}, ${rate}, longest gap ${Math.round(fetching.gap)} ms`);
  t.true(one > 0.25 && two > 0.25);
  // Nothing is lost here, so nothing may wait for a time-out, which is a second at least.
  t.true(fetching.gap < 1000);
  // Near the end a block may be asked of both.
  t.true(fetching.done.received >= size && fetching.done.received <= size * 1.01);
  t.true(await sameContent(first, join(into, 'first name')));
});

labTest('a source on a link of half the rate contributes', [{ rate: 400 }, { rate: 200 }, {}], async (t, lab) => {
  const { first, into } = await twoSources(t, lab.hosts, 256 * MIB);
  const fetching = await got(lab.hosts[2], ['second name', '-o', `${into}/`]);
  const { one, two } = parts(fetching);
  const rate = speed(256 * MIB, fetching.done.seconds * 1000);
  t.log(`${percent(one)} at 400 Mbit/s and ${percent(two)} at 200, ${rate} of 75`);
  t.true(two > 0.2 && one > two);
  t.true(await sameContent(first, join(into, 'second name')));
});

labTest(
  'a source whose cable is pulled in the middle is left for the other',
  [{ rate: 400 }, { rate: 400 }, {}],
  async (t, lab) => {
    const bytes = 384 * MIB;
    const { first, into } = await twoSources(t, lab.hosts, bytes);
    let cut: Promise<void> | undefined;
    const fetching = get(lab.hosts[2], ['first name', '-o', `${into}/`], (_event, { chunks }) => {
      if (chunks.size * MIB > bytes / 3) cut ??= lab.hosts[1].cut();
    });
    t.is(await fetching.ended(60_000), 0);
    t.truthy(cut);
    await cut;
    const { one, two } = parts(fetching);
    t.log(
      `${percent(one)} and ${percent(two)}; longest gap ${Math.round(fetching.gap)} ms, ${fetching.done.seconds} s in all`,
    );
    t.true(fetching.gap <= 10_000);
    t.true(two > 0.1 && one > 0.5);
    t.true(await sameContent(first, join(into, 'first name')));
  },
);

labTest('the only source comes back after its cable was out for a while', [{ rate: 400 }, {}], async (t, lab) => {
  const bytes = 128 * MIB;
  const folder = await folderOf(t, 2 * bytes);
  await bigFile(join(folder, 'file'), bytes);
  await mkdir(join(folder, 'in'));
  await shareHashed(lab.hosts[0], [join(folder, 'file')]);
  let cut: Promise<void> | undefined;
  const fetching = get(lab.hosts[1], ['file', '-o', `${folder}/in/`], (_event, { chunks }) => {
    if (chunks.size * 256 * 1024 > bytes / 3) cut ??= pulled(lab, 4000);
  });
  t.is(await fetching.ended(60_000), 0);
  t.truthy(cut);
  t.log(`longest gap ${Math.round(fetching.gap)} ms for 4 s without a cable`);
  t.true(fetching.gap < 15_000);
  t.true(await sameContent(join(folder, 'file'), join(folder, 'in', 'file')));
});

/** Pulls the first host's cable for so many ms. */
async function pulled(lab: Lab, ms: number): Promise<void> {
  await lab.hosts[0].cut();
  await new Promise((resolve) => setTimeout(resolve, ms));
  await lab.hosts[0].mend();
}

labTest('a lying source is dropped and named, and the other gives the file', 3, async (t, lab) => {
  const [one, two, three] = lab.hosts;
  const folder = await folderOf(t, 200 * MIB);
  const tree = join(folder, 'tree');
  await bigFile(join(tree, 'large'), 64 * MIB);
  for (let i = 0; i < 40; i++) await bigFile(join(tree, `small ${i}`), 10_000);
  await shareHashed(one, [tree, '--name', 'honest']);
  const liar = two.exec([process.execPath, LIAR, tree], { env: { HEARSAY_STATE: two.state() } });
  for (let i = 0; i < 41; i++)
    await liar.waitFor(() => liar.stdout.filter((line) => line.includes('hashed')).length > i, 10_000);

  const fetching = get(three, ['tree/', '-o', `${folder}/in/`]);
  t.is(await fetching.ended(), 0);
  const dropped = fetching.all('dropped');
  t.log(dropped.map(({ path, source, error }) => `${path}: ${source.name} ${error.code}`).join('; '));
  t.true(
    dropped.some(
      ({ path, source, error }) => path === 'tree/large' && source.name === 'liar' && error.code === 'wrong-content',
    ),
  );
  t.true(dropped.every(({ source }) => source.name === 'liar'));
  t.true(fetching.all('done').every(({ sources }) => sources.every(({ name }) => name === 'honest')));
  t.deepEqual(await diff(tree, join(folder, 'in', 'tree')), []);

  // For people it is named on standard error. What was fetched and is still here would be copied, and nobody asked.
  await rm(join(folder, 'in'), { recursive: true });
  const plain = await three.runHearsay(['get', 'tree/large', '-o', `${folder}/plain/`]);
  t.is(plain.code, 0);
  t.true(
    plain.stderr.some((line) => line.includes('liar') && line.includes('tree/large')),
    plain.stderr.join('\n'),
  );

  await rm(join(folder, 'plain'), { recursive: true });
  for (const what of ['tree/large', 'tree/small 1']) {
    const only = get(three, [what, '--from', 'liar', '-o', `${folder}/only/`]);
    t.is(await only.ended(), 7);
    t.is(only.all('error')[0].error.code, 'wrong-content');
    t.deepEqual(only.all('done'), []);
  }
  const left = await readdir(join(folder, 'only')).catch(() => []);
  t.true(
    left.every((name) => name.startsWith('.hearsay-')),
    left.join(' '),
  );
});

labTest('a receiver that is killed leaves its source serving the other', [{ rate: 400 }, {}, {}], async (t, lab) => {
  const [one, two, three] = lab.hosts;
  const bytes = 192 * MIB;
  const folder = await folderOf(t, 3 * bytes);
  await bigFile(join(folder, 'file'), bytes);
  for (const name of ['a', 'b']) await mkdir(join(folder, name));
  const source = await shareHashed(one, [join(folder, 'file')]);
  const killed = get(two, ['file', '-o', `${folder}/a/`], (_event, { chunks, process: receiver }) => {
    if (chunks.size * MIB > bytes / 4) receiver.kill('SIGKILL');
  });
  const other = get(three, ['file', '-o', `${folder}/b/`]);
  t.is(await killed.ended(), 137);
  const running = other.process.running;
  t.is(await other.ended(), 0);
  t.log(
    `killed after ${killed.chunks.size} of ${bytes / MIB} chunks; the other: longest gap ${Math.round(other.gap)} ms`,
  );
  t.true(running && other.gap < 10_000);
  t.true(await sameContent(join(folder, 'file'), join(folder, 'b', 'file')));
  t.true(source.process.running);
  const states = source.events().flatMap((event) => (event.event === 'serving' ? [event.state] : []));
  t.deepEqual(states.filter((state) => state === 'completed').length, 1);
  t.deepEqual(states.filter((state) => state === 'failed').length, 1);
  t.is((await got(two, ['file', '-o', `${folder}/a/`])).done.size, bytes);
});

labTest(
  'three receivers at once have the file sooner than one after another',
  [{ rate: 300 }, {}, {}, {}],
  async (t, lab) => {
    const [one, ...receivers] = lab.hosts;
    const bytes = 96 * MIB;
    const folder = await folderOf(t, 4 * bytes);
    await bigFile(join(folder, 'file'), bytes);
    await share(one, [join(folder, 'file'), '--name', 'source']);
    await hashed(one);
    const all = await Promise.all(
      receivers.map(async (host, i) => {
        await mkdir(join(folder, `${i}`));
        return got(host, ['file', '-o', `${folder}/${i}/`]);
      }),
    );
    const one3 = (bytes * 8) / 300e6;
    const longest = Math.max(...all.map(({ done }) => done.seconds));
    const fromOthers = all.map((fetching) => 1 - (parts(fetching).source ?? 0));
    t.log(
      `${longest.toFixed(1)} s, one alone needs ${one3.toFixed(1)} s; from each other ${fromOthers.map(percent).join(', ')}`,
    );
    t.true(fromOthers.some((part) => part > 0.2));
    t.true(longest < 2.2 * one3);
  },
);
