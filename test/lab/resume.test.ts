/** A get that was killed or interrupted goes on from what it had verified. */
import { mkdir, open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { get, ls, share, shareHashed } from './commands.js';
import { labTest } from './lab-test.js';
import { bigFile, diff, GIB, MIB, scratch } from './trees.js';

labTest('a get of 1 GiB that is killed twice, its partial damaged, fetches only what is lacking', 2, async (t, lab) => {
  const [one, two] = lab.hosts;
  const folder = await scratch(2 * GIB);
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  await bigFile(join(folder, 'out', 'file'), GIB);
  const into = join(folder, 'in');
  await mkdir(into);
  await shareHashed(one, [join(folder, 'out', 'file')]);

  /** Fetches until the process has told of so many chunks, and kills it. */
  const killedAfter = async (count: number): Promise<Set<number>> => {
    const fetching = get(two, ['file', '-o', `${into}/`], (_event, { chunks, process: program }) => {
      if (chunks.size >= count) program.kill('SIGKILL');
    });
    t.is(await fetching.ended(), 137);
    const names = await readdir(into);
    t.true(names.length > 0 && names.every((name) => name.startsWith('.hearsay-')), names.join(' '));
    return fetching.chunks;
  };

  const first = await killedAfter(300);
  const damaged = [...first][100];
  const partial = (await readdir(into)).find((name) => name.endsWith('.part')) as string;
  const handle = await open(join(into, partial), 'r+');
  const byte = Buffer.alloc(1);
  await handle.read(byte, 0, 1, damaged * MIB + 12_345);
  byte[0] ^= 1;
  await handle.write(byte, 0, 1, damaged * MIB + 12_345);
  await handle.close();

  const second = await killedAfter(300);
  t.log(`killed after ${first.size} chunks, and after ${second.size} more; chunk ${damaged} was damaged between`);
  t.deepEqual(
    [...second].filter((chunk) => first.has(chunk)),
    [damaged],
  );

  const verified = new Set([...first, ...second]).size * MIB;
  const third = get(two, ['file', '-o', `${into}/`]);
  t.is(await third.ended(), 0);
  const { received } = third.done;
  t.log(`third run: received ${received} of ${GIB - verified} that were not verified`);
  t.true(received <= (GIB - verified) * 1.01);
  t.deepEqual(
    [...third.chunks].filter((chunk) => first.has(chunk) || second.has(chunk)),
    [],
  );
  t.deepEqual(await readdir(into), ['file']);
  t.deepEqual(await diff(join(folder, 'out'), into), []);
});

labTest('a get through a running peer that is interrupted goes on from there', [{ rate: 500 }, {}], async (t, lab) => {
  const [one, two] = lab.hosts;
  const bytes = 192 * MIB;
  const folder = await scratch(2 * bytes);
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  await bigFile(join(folder, 'out', 'file'), bytes);
  const into = join(folder, 'in');
  await mkdir(into);
  await mkdir(join(two.folder, 'own'));
  await share(two, [join(two.folder, 'own')]);
  const source = await shareHashed(one, [join(folder, 'out', 'file')]);

  const first = get(two, ['file', '-o', `${into}/`], (_event, { chunks, process: program }) => {
    if (chunks.size >= 60) program.kill('SIGINT');
  });
  t.is(await first.ended(), 130);
  t.deepEqual(first.all('done'), []);
  const names = await readdir(into);
  t.true(names.length > 0 && names.every((name) => name.startsWith('.hearsay-')), names.join(' '));
  t.deepEqual(
    (await ls(two)).map(({ path }) => path),
    ['file'],
  );
  await source.until((event) => event.event === 'serving' && event.state === 'failed', 5000);

  const second = get(two, ['file', '-o', `${into}/`]);
  t.is(await second.ended(), 0);
  const lacking = bytes - first.chunks.size * MIB;
  t.log(`interrupted after ${first.chunks.size} chunks; second run: received ${second.done.received} of ${lacking}`);
  t.true(second.done.received <= lacking * 1.01);
  t.deepEqual(await readdir(into), ['file']);
  t.deepEqual(await diff(join(folder, 'out'), into), []);
});
