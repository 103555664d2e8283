import { fork } from 'node:child_process';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { blake3 } from '../../lib/hash.js';
import { HashStore, type StoreOptions } from '../../lib/share/store.js';
import { folder } from './share-help.js';

const DAY = 86_400_000;
const signature = (i: number) => i.toString().padStart(40, '0');
const value = (i: number, chunks = 1) => {
  const hashes = Buffer.concat(Array.from({ length: chunks }, (_, n) => blake3(`${i} ${n}`)));
  return { id: blake3(`id ${i}`).toString('hex'), hashes };
};

async function open(state: string, options?: StoreOptions) {
  const { store, warning } = await HashStore.open(state, options);
  return { store, warning };
}

test('what is put is there at once, and after closing and opening', async (t) => {
  const state = await folder(t);
  const { store, warning } = await open(join(state, 'made', 'here'));
  t.is(warning, undefined);
  store.put(signature(1), value(1));
  store.put(signature(2), value(2, 5000));
  t.deepEqual(await store.getMany([signature(2), signature(3), signature(1)]), [value(2, 5000), undefined, value(1)]);
  await store.close();
  await store.close();
  const again = await open(join(state, 'made', 'here'));
  t.deepEqual(await again.store.getMany([signature(1), signature(2)]), [value(1), value(2, 5000)]);
  again.store.forget(signature(1));
  t.deepEqual(await again.store.getMany([signature(1)]), [undefined]);
  await again.store.close();
});

test('the last word on a file counts, also while others are being written', async (t) => {
  const state = await folder(t);
  const { store } = await open(state);
  for (let i = 0; i < 3000; i++) {
    store.put(signature(i), value(i));
    if (i % 3 === 0) store.forget(signature(i));
  }
  await store.close();
  const again = await open(state);
  const found = await again.store.getMany(Array.from({ length: 3000 }, (_, i) => signature(i)));
  found.forEach((one, i) => {
    t.deepEqual(one, i % 3 === 0 ? undefined : value(i));
  });
  await again.store.close();
});

test('a state folder serves one: a second in the same process is refused', async (t) => {
  const state = await folder(t);
  const { store } = await open(state);
  await t.throwsAsync(open(state), { name: 'HearsayError', code: 'state-in-use' } as object);
  await store.close();
  await (await open(state)).store.close();
});

test('a second process is refused, and the lock ends with the process that is killed', async (t) => {
  const state = await folder(t);
  const script = join(state, 'hold.mjs');
  const module = new URL('../../lib/share/store.js', import.meta.url).href;
  await writeFile(
    script,
    `import { HashStore } from ${JSON.stringify(module)};
    await HashStore.open(${JSON.stringify(state)});
    process.send('open');
    setInterval(() => {}, 1000);`,
  );
  const child = fork(script);
  t.teardown(() => child.kill('SIGKILL'));
  await new Promise((resolve) => child.once('message', resolve));
  await t.throwsAsync(open(state), { code: 'state-in-use' } as object);
  t.false((await readdir(state)).some((name) => name.includes('damaged')));
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await ended;
  const { store, warning } = await open(state);
  t.is(warning, undefined);
  await store.close();
});

const DAMAGE: Record<string, (hashes: string) => Promise<void>> = {
  'a pointer of rubbish': (hashes) => writeFile(join(hashes, 'CURRENT'), 'rubbish'),
  'a pointer to nothing': (hashes) => writeFile(join(hashes, 'CURRENT'), 'MANIFEST-999999\n'),
  'a manifest of rubbish': async (hashes) => {
    const manifest = (await readdir(hashes)).find((name) => name.startsWith('MANIFEST'))!;
    await writeFile(join(hashes, manifest), Buffer.alloc(4000, 'rubbish'));
  },
};
for (const [name, damage] of Object.entries(DAMAGE)) {
  test(`damage is set aside and named: ${name}`, async (t) => {
    const state = await folder(t);
    const before = await open(state);
    before.store.put(signature(1), value(1));
    await before.store.close();
    await damage(join(state, 'hashes'));
    const { store, warning } = await open(state, { now: () => 1234 });
    t.is(warning?.code, 'state-damaged');
    t.true((await readdir(state)).includes('hashes.damaged-1234'));
    t.deepEqual(await store.getMany([signature(1)]), [undefined]);
    store.put(signature(1), value(1));
    await store.close();
    const again = await open(state);
    t.is(again.warning, undefined);
    t.deepEqual(await again.store.getMany([signature(1)]), [value(1)]);
    await again.store.close();
  });
}

test('a file in the place of the folder is set aside too', async (t) => {
  const state = await folder(t);
  await writeFile(join(state, 'hashes'), 'not a folder');
  const { store, warning } = await open(state, { now: () => 5 });
  t.is(warning?.code, 'state-damaged');
  t.is(await readFile(join(state, 'hashes.damaged-5'), 'utf8'), 'not a folder');
  await store.close();
});

test('a state folder that cannot be made is an error with a code', async (t) => {
  const state = await folder(t);
  await writeFile(join(state, 'file'), '');
  await t.throwsAsync(open(join(state, 'file', 'state')), { name: 'HearsayError', code: 'not-writable' } as object);
});

test('a flipped bit of what is remembered is nothing remembered', async (t) => {
  const state = await folder(t);
  const { store } = await open(state);
  store.put(signature(1), value(1));
  store.put(signature(2), value(2));
  await store.close();
  const hashes = join(state, 'hashes');
  const needle = value(1).hashes;
  let flipped = 0;
  for (const name of await readdir(hashes)) {
    const data = await readFile(join(hashes, name));
    const at = data.indexOf(needle);
    if (at === -1) continue;
    data[at + 3] ^= 1;
    flipped++;
    await writeFile(join(hashes, name), data);
  }
  t.true(flipped > 0);
  const again = await open(state);
  t.deepEqual((await again.store.getMany([signature(1)]))[0], undefined);
  await again.store.close();
});

test('what is not used for long is dropped, what is used stays', async (t) => {
  const state = await folder(t);
  let now = 20_000 * DAY;
  const once = async (use: number[]) => {
    const { store } = await open(state, { now: () => now });
    const found = await store.getMany(use.map(signature));
    await store.close();
    return found.map((one) => one !== undefined);
  };
  const first = await open(state, { now: () => now });
  for (const i of [1, 2]) first.store.put(signature(i), value(i));
  await first.store.close();
  for (let i = 0; i < 10; i++) {
    now += 20 * DAY;
    t.deepEqual(await once([1]), [true]);
  }
  // Pruned in the background of the opening before, or of this one.
  await prune(state, now);
  t.deepEqual(await once([1, 2]), [true, false]);
});

test('of too many those unused for longest are dropped', async (t) => {
  const state = await folder(t);
  let now = 20_000 * DAY;
  for (let day = 0; day < 3; day++) {
    const { store } = await open(state, { now: () => now });
    for (let i = 0; i < 100; i++) store.put(signature(day * 100 + i), value(i));
    await store.close();
    now += DAY;
  }
  await prune(state, now, 150);
  const { store } = await open(state, { now: () => now });
  const found = await store.getMany(Array.from({ length: 300 }, (_, i) => signature(i)));
  const kept = [0, 1, 2].map((day) => found.slice(day * 100, day * 100 + 100).filter(Boolean).length);
  t.deepEqual(kept, [0, 50, 100]);
  await store.close();
});

/** Opens the store and lets the pruning come to its end. */
async function prune(state: string, now: number, entriesMax?: number): Promise<void> {
  const { store } = await open(state, { now: () => now, ...(entriesMax === undefined ? {} : { entriesMax }) });
  await store.pruned;
  await store.close();
}

test('a folder named hashes that is not ours is kept', async (t) => {
  const state = await folder(t);
  await mkdir(join(state, 'hashes'));
  await writeFile(join(state, 'hashes', 'precious.txt'), 'keep');
  const { store } = await open(state);
  await store.close();
  t.is(await readFile(join(state, 'hashes', 'precious.txt'), 'utf8'), 'keep');
});
