/** Shares that come and go while a catalogue runs, and roots that go away and come back. */
import { existsSync, type FSWatcher, watch as realWatch, renameSync, type watch, writeFileSync } from 'node:fs';
import { mkdir, rename, rm, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import test, { type ExecutionContext } from 'ava';
import { SHARES_MAX } from '../../lib/limits.js';
import { checkTogether } from '../../lib/share/resolve.js';
import { HashStore } from '../../lib/share/store.js';
import { ShareWatch } from '../../lib/share/watch.js';
import { folder, Offering, write } from './share-help.js';

const onUnix = process.platform === 'win32' ? test.skip : test;

async function store(t: ExecutionContext): Promise<HashStore> {
  const { store } = await HashStore.open(await folder(t));
  t.teardown(() => store.close());
  return store;
}

test('a share is added and removed while others run', async (t) => {
  const [one, two] = [await folder(t), await folder(t)];
  await write(one, { x: 'x' });
  await write(two, { 'd/y': 'same', z: 'same' });
  const offering = await Offering.start(t, { shares: [{ path: one, name: 'one' }] });
  const { catalogue } = offering;
  await catalogue.add({ path: two, name: 'two' });
  await offering.until(() => offering.offers.size === 3);
  await catalogue.idle();
  t.deepEqual(
    catalogue.shares().map(({ name, files, hashed }) => [name, files, hashed]),
    [
      ['one', 1, 1],
      ['two', 2, 2],
    ],
  );
  await write(two, { 'd/new': 'new' });
  await offering.until(() => offering.offers.has('two/d/new'));
  const id = offering.offers.get('two/z')?.id as string;
  t.truthy(catalogue.byId(id));
  await t.throwsAsync(catalogue.add({ path: one, name: 'two' }), { code: 'usage' } as object);

  const removing = catalogue.remove('two');
  t.is(catalogue.find('two/z'), undefined, 'none of it is found from now on');
  t.is(catalogue.byId(id), undefined);
  await removing;
  t.deepEqual(offering.paths(), ['one/x'], 'all of it is withdrawn when that is over');
  t.is(catalogue.shares().length, 1);
  await t.throwsAsync(catalogue.open('two/z'), { code: 'not-found' } as object);
  await write(two, { later: '' });
  await write(one, { later: '' });
  await offering.until(() => offering.offers.has('one/later'));
  await catalogue.idle();
  t.deepEqual(offering.paths(), ['one/later', 'one/x']);

  // The name is free for another.
  await catalogue.add({ path: one, name: 'two' });
  await offering.until(() => offering.offers.has('two/x'));
  await catalogue.idle();
  t.deepEqual(offering.paths(), ['one/later', 'one/x', 'two/later', 'two/x']);
});

test('removed in the middle of its scan or of its hashing, it ends, and nothing of it comes later', async (t) => {
  const root = await folder(t);
  await Promise.all(
    Array.from({ length: 30 }, (_, d) =>
      write(root, Object.fromEntries(Array.from({ length: 100 }, (_, f) => [`d${d}/f${f}`, `${d} ${f}`]))),
    ),
  );
  await write(root, { big: Buffer.alloc(256 << 20, 1) });
  const offering = await Offering.start(t, { shares: [], store: await store(t) });
  const { catalogue } = offering;
  await catalogue.add({ path: root, name: 's' });
  await offering.until(() => offering.offers.size > 0);
  t.true(offering.offers.size < 3001, 'in the middle');
  const waiting = catalogue.hashNow([...offering.offers.keys()][0]).catch((thrown) => thrown.code);
  await catalogue.remove('s');
  t.is(offering.offers.size, 0);
  await catalogue.idle();
  t.is(offering.offers.size, 0, 'nor later');
  t.true(['not-found', 'changed'].includes(await waiting) || /^[0-9a-f]{64}$/.test(await waiting));

  await catalogue.add({ path: root, name: 's' });
  await offering.until(() => offering.offers.size === 3001);
  const hashing = catalogue.hashNow('s/big');
  await turn();
  await catalogue.remove('s');
  await t.throwsAsync(hashing, { code: 'not-found' } as object);
  const hashed = offering.hashed.length;
  await catalogue.idle();
  t.is(offering.hashed.length, hashed, 'no more is hashed');
});

// Alone, as it counts what the whole process has open.
test.serial('added and removed a thousand times, nothing is left of it', async (t) => {
  const root = await folder(t);
  await write(root, { 'a/b/x': 'x', 'a/y': 'y', z: 'z' });
  let watchers = 0;
  const watcher = ((...args: Parameters<typeof watch>) => {
    const real = realWatch(...args) as FSWatcher;
    watchers++;
    const close = real.close.bind(real);
    let open = true;
    real.close = () => {
      if (open) watchers--;
      open = false;
      close();
    };
    return real;
  }) as typeof watch;
  const way = 'folders';
  const offering = await Offering.start(t, { shares: [], watch: { way, watcher } });
  const { catalogue } = offering;
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const round = async (i: number) => {
    await catalogue.add({ path: root, name: 's' });
    // Before the scan, in the middle of it, after it, or once it is hashed.
    if (i % 4 === 1) await turn();
    if (i % 4 === 2) await offering.until(() => offering.offers.size === 3);
    if (i % 4 === 3) await catalogue.idle();
    await catalogue.remove('s');
    offering.changes.length = offering.calls.length = offering.hashed.length = 0;
  };
  const used = async () => {
    await catalogue.idle();
    await turn();
    collect();
    const { heapUsed } = process.memoryUsage();
    const timers = process.getActiveResourcesInfo().filter((name) => /Timeout|FSEvent/.test(name)).length;
    return { heapUsed, timers };
  };
  for (let i = 0; i < 1000; i++) await round(i);
  const before = await used();
  for (let i = 0; i < 1000; i++) await round(i);
  const after = await used();
  t.is(watchers, 0);
  t.is(offering.offers.size, 0);
  t.deepEqual(catalogue.shares(), []);
  t.true(after.timers <= before.timers, `${after.timers} timers and watchers, ${before.timers} before`);
  const grown = (after.heapUsed - before.heapUsed) / 1000;
  t.true(grown < 500, `${grown} bytes a round`);
  t.deepEqual(offering.warnings, []);
});

test('a folder that is removed: said once, withdrawn; back, it is offered without being hashed again', async (t) => {
  const root = await folder(t);
  const path = join(root, 's');
  await write(path, { 'a/x': 'x', y: 'yy' });
  const offering = await Offering.start(t, { shares: [{ path, name: 's' }], store: await store(t) });
  await offering.catalogue.idle();
  t.is(offering.hashed.length, 2);
  await rename(path, join(root, 'elsewhere'));
  await offering.until(() => offering.offers.size === 0 && offering.away.length === 1);
  t.deepEqual(offering.away, [['s', 'there is no such file or folder']]);
  t.like(offering.catalogue.shares()[0], { name: 's', files: 0, hashed: 0, away: 'there is no such file or folder' });
  await rename(join(root, 'elsewhere'), path);
  await offering.until(() => offering.offers.size === 2);
  t.deepEqual(offering.away.slice(1), [['s', undefined]]);
  await offering.catalogue.idle();
  t.is(offering.hashed.length, 2, 'nothing is hashed again');
  t.false([...offering.offers.values()].some(({ id }) => id === null));
  t.false('away' in offering.catalogue.shares()[0]);
  await write(path, { 'a/new': '' });
  await offering.until(() => offering.offers.has('s/a/new'));
});

test('what is not there at the start is looked for, a folder and a file', async (t) => {
  const root = await folder(t);
  const shares = [
    { path: join(root, 'd'), name: 'd' },
    { path: join(root, 'f.txt'), name: 'f.txt' },
  ];
  const offering = await Offering.start(t, { shares });
  t.deepEqual(offering.away.sort(), [
    ['d', 'there is no such file or folder'],
    ['f.txt', 'there is no such file or folder'],
  ]);
  await write(root, { 'f.txt': 'f', 'd/x': 'x' });
  await offering.until(() => offering.offers.size === 2);
  t.is(offering.away.length, 4);
  await writeFile(join(root, 'f.txt'), 'longer');
  await offering.until(() => offering.offers.get('f.txt')?.size === 6);
});

// Alone, as it holds up the process.
test.serial('back before all of it was withdrawn, it is offered whole', async (t) => {
  const root = await folder(t);
  const path = join(root, 's');
  const count = 500;
  for (let d = 0; d < count / 10; d++) {
    await write(path, Object.fromEntries(Array.from({ length: 10 }, (_, f) => [`d${d}/f${f}`, ''])));
  }
  // Each folder takes its time to be withdrawn, all together longer than it takes to see that it is back.
  const watcher = ((...args: Parameters<typeof watch>) => {
    const real = realWatch(...args) as FSWatcher;
    const close = real.close.bind(real);
    real.close = () => {
      close();
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 40);
    };
    return real;
  }) as typeof watch;
  const elsewhere = join(root, 'elsewhere');
  const offering = await Offering.start(t, {
    shares: [{ path, name: 's' }],
    watch: { way: 'folders', watcher },
  });
  await offering.until(() => offering.offers.size === count);
  const { away, offers } = offering;
  // As soon as it is told that it is not there, it is.
  const push = away.push.bind(away);
  away.push = (one) => {
    if (one[1] !== undefined && existsSync(elsewhere)) renameSync(elsewhere, path);
    return push(one);
  };
  await rename(path, elsewhere);
  await offering.until(() => away.length === 2 && offers.size === count);
  await write(path, { 'd7/new': '' });
  await offering.until(() => offers.has('s/d7/new'));
  await offering.until(() => offering.catalogue.shares()[0].files === count + 1);
  t.is(offers.size, count + 1);
});

test('a look at a file that is just being replaced does not say that it is away', async (t) => {
  const root = await folder(t);
  const path = join(root, 'f.txt');
  await write(root, { 'f.txt': 'f' });
  const away: unknown[] = [];
  let looks = 0;
  let seen = () => {};
  const twice = new Promise<void>((resolve) => {
    seen = resolve;
  });
  const events = {
    look: () => {},
    all: async () => {
      // It was missed, and comes before the next look; then it is there.
      if (++looks === 1) writeFileSync(path, 'another');
      else seen();
    },
    away: (why: unknown) => void away.push(why),
    warn: () => {},
  };
  const watch = new ShareWatch({ path, name: 'f.txt' }, events, { rescanMs: 60_000 });
  t.teardown(() => watch.stop());
  await watch.start();
  await unlink(path);
  await twice;
  t.deepEqual(away, []);
});

test('a file that is gone is said to be away', async (t) => {
  const root = await folder(t);
  const path = join(root, 'f.txt');
  await write(root, { 'f.txt': 'f' });
  const offering = await Offering.start(t, { shares: [{ path, name: 'f.txt' }] });
  await unlink(path);
  await offering.until(() => offering.away.length === 1);
  t.deepEqual(offering.away, [['f.txt', 'there is no such file or folder']]);
  t.is(offering.offers.size, 0);
});

onUnix('a folder that becomes another one is offered as that', async (t) => {
  const root = await folder(t);
  const path = join(root, 's');
  await write(path, { x: 'x' });
  const offering = await Offering.start(t, { shares: [{ path, name: 's' }] });
  await mkdir(join(root, 'new'));
  await write(join(root, 'new'), { y: 'y' });
  await rename(path, join(root, 'old'));
  await rename(join(root, 'new'), path);
  await offering.until(() => offering.offers.has('s/y') && !offering.offers.has('s/x'));
  t.deepEqual(offering.away, []);
  await rm(path, { recursive: true });
  await offering.until(() => offering.offers.size === 0 && offering.away.length === 1);
});

test('so many shares, and no more', async (t) => {
  const specs = Array.from({ length: SHARES_MAX }, (_, i) => ({ path: `/${i}`, name: `${i}` }));
  await t.notThrowsAsync(checkTogether(specs));
  await t.throwsAsync(checkTogether([...specs, { path: '/more', name: 'more' }]), { code: 'limit' } as object);
});
