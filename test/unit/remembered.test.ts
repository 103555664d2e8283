/** Peers that were here before: who is kept, for how long, and how one is forgotten; and those that a config file lists. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Joins } from '../../lib/drive/joins.js';
import { Remembered } from '../../lib/drive/remembered.js';
import { HearsayError } from '../../lib/errors.js';
import { peerId } from '../../lib/ids.js';
import { LISTED_MAX, REMEMBERED_MAX } from '../../lib/limits.js';
import type { Link } from '../../lib/net/link.js';
import { Known } from '../../lib/share/known.js';
import { loadSettings } from '../../lib/share/settings.js';
import { type RememberedPeer, StateFolder } from '../../lib/share/state.js';

const DAY = 24 * 60 * 60_000;
const idOf = (n: number) => {
  const key = new Uint8Array(32);
  new DataView(key.buffer).setUint32(0, n);
  return peerId(key, 1_700_000_000_000);
};
const peer = (n: number, name = `peer ${n}`, host = `10.0.${n >> 8}.${n & 255}`) => {
  return { id: idOf(n), name, addresses: [`${host}:47748`] };
};
const code = (expected: string) => (thrown: unknown) => thrown instanceof HearsayError && thrown.code === expected;

async function folder(t: ExecutionContext): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'hearsay-remembered-'));
  t.teardown(() => rm(made, { recursive: true, force: true }));
  return made;
}

interface Setting {
  peers?: RememberedPeer[];
  keeps?: boolean;
  known?: Known;
}

function remember(t: ExecutionContext, { peers = [], keeps = true, known = new Known() }: Setting = {}) {
  const here: ReturnType<typeof peer>[] = [];
  const kept: { peers: RememberedPeer[] } = { peers };
  const save = async (all: RememberedPeer[]) => {
    kept.peers = all;
  };
  const onWarning = (message: string) => t.fail(message);
  const remembered = new Remembered({ peers, save, keeps, here: () => here, known, onWarning });
  t.teardown(() => remembered.stop());
  return { remembered, here, kept };
}

test('who was here is remembered with where it was, and not while it is here', async (t) => {
  const { remembered, here, kept } = remember(t);
  const [a, b] = [peer(1), peer(2)];
  here.push(a, b);
  remembered.came(a);
  remembered.came({ ...b, addresses: ['127.0.0.1:5', '[fe80::2%eth0]:5', '10.0.0.2:5'] });
  t.deepEqual(remembered.absent(), []);
  here.length = 0;
  remembered.left(a);
  t.deepEqual(remembered.left({ ...b, addresses: ['10.0.0.7:5'] })?.addresses, [
    // What means most elsewhere is first, and of that what was heard last.
    ...['10.0.0.7:5', '10.0.0.2:5', '[fe80::2%eth0]:5', '127.0.0.1:5'],
  ]);
  t.deepEqual(
    remembered.absent().map(({ id }) => id),
    [b.id, a.id],
  );
  t.is(remembered.left(peer(3)), undefined);
  await remembered.stop();
  t.deepEqual(
    kept.peers.map(({ id }) => id),
    [a.id, b.id],
  );
});

test('one that was not here for a month is forgotten, one that stays is not', async (t) => {
  const seen = Date.now();
  const peers = [
    { ...peer(1), seen: seen - 31 * DAY },
    { ...peer(2), seen: seen - 29 * DAY },
    { ...peer(3), seen: seen - 28 * DAY },
  ];
  const { remembered, here, kept } = remember(t, { peers });
  t.deepEqual(
    remembered.absent().map(({ name }) => name),
    ['peer 3', 'peer 2'],
  );
  here.push(peer(2));
  await remembered.stop();
  t.true((kept.peers.find(({ name }) => name === 'peer 2')?.seen ?? 0) >= seen);
});

test('a one-shot remembers nobody new', async (t) => {
  const { remembered, kept } = remember(t, { keeps: false, peers: [{ ...peer(1), seen: Date.now() }] });
  remembered.came(peer(2));
  t.deepEqual(
    remembered.absent().map(({ name }) => name),
    ['peer 1'],
  );
  await remembered.stop();
  t.is(kept.peers.length, 1);
});

test(`at most ${REMEMBERED_MAX} are kept, and who invents many pushes out its own`, (t) => {
  const { remembered } = remember(t);
  const others = Array.from({ length: REMEMBERED_MAX - 2 }, (_, n) => peer(n));
  for (const other of others) remembered.came(other);
  for (let n = 0; n < 20; n++) remembered.came(peer(10_000 + n, `invented ${n}`, '10.9.9.9'));
  const names = new Set(remembered.absent().map(({ name }) => name));
  t.is(names.size, REMEMBERED_MAX);
  t.true(others.every(({ name }) => names.has(name)));
  t.true(names.has('invented 19') && names.has('invented 18') && !names.has('invented 17'));
});

test('one is forgotten by name, id or its beginning, with the names that are tied to its key', async (t) => {
  const known = new Known();
  const [a, b, c] = [peer(1, 'anna'), peer(2, 'bob'), peer(3, 'bob')];
  known.tie('anna', a.id, 1);
  known.tie('mother', a.id, 1);
  known.tie('dan', peer(4).id, 1);
  const { remembered, kept } = remember(t, { known });
  for (const one of [a, b, c]) remembered.came(one);
  t.deepEqual(await remembered.forget('mother'), { ...a, names: ['anna', 'mother'] });
  t.is(known.get('anna'), undefined);
  // On the disk before it is said.
  t.deepEqual(
    kept.peers.map(({ id }) => id),
    [b.id, c.id],
  );
  await t.throwsAsync(remembered.forget('anna'), { message: /no peer anna is remembered here/ });
  t.true(code('ambiguous')(await t.throwsAsync(remembered.forget('bob'))));
  t.true(code('not-found')(await t.throwsAsync(remembered.forget('\x1b[0m'))));
  t.is((await remembered.forget(b.id)).id, b.id);
  t.is((await remembered.forget('bob')).id, c.id);
  // One that only a name is tied to.
  t.deepEqual(await remembered.forget('dan'), { id: peer(4).id, name: 'dan', addresses: [], names: ['dan'] });
  t.deepEqual(known.ids(), []);
});

test('who is forgotten while it is here is not kept again before it comes anew', async (t) => {
  const { remembered, here, kept } = remember(t);
  here.push(peer(1));
  remembered.came(peer(1));
  await remembered.forget('peer 1');
  await remembered.stop();
  t.deepEqual(kept.peers, []);
  remembered.came(peer(1));
  here.length = 0;
  t.is(remembered.absent().length, 1);
});

test('they are stored in the state folder; what is damaged is set aside', async (t) => {
  const path = await folder(t);
  const state = await StateFolder.open(path);
  t.deepEqual(await state.remembered(), []);
  const peers = [{ ...peer(1), seen: 5 }];
  await state.saveRemembered(peers);
  t.deepEqual(await (await StateFolder.open(path)).remembered(), peers);
  for (const wrong of [
    { peers: [{ ...peers[0], addresses: ['example.org:1'] }] },
    { peers: [{ ...peers[0], id: 'nobody' }] },
    { peers: Array.from({ length: REMEMBERED_MAX + 1 }, (_, n) => ({ ...peer(n), seen: 5 })) },
  ]) {
    await writeFile(join(path, 'peers.json'), JSON.stringify(wrong));
    const again = await StateFolder.open(path);
    t.deepEqual(await again.remembered(), []);
    t.regex(again.warnings.join(), /peers\.json was damaged/);
  }
  t.true((await readdir(path)).some((name) => name.startsWith('peers.json.damaged-')));
});

async function settings(t: ExecutionContext, text: string) {
  const config = await folder(t);
  await writeFile(join(config, 'config.toml'), text);
  return loadSettings({ folders: { config, data: config } });
}

test('a config file lists peers by name, host and port', async (t) => {
  const text =
    '[[peers]]\nname = "anna"\nhost = "192.168.1.20"\n\n[[peers]]\nname = "bob"\nhost = "[fe80::1]"\nport = 5\n';
  t.deepEqual((await settings(t, text)).peers, [
    { name: 'anna', host: '192.168.1.20' },
    { name: 'bob', host: '[fe80::1]', port: 5 },
  ]);
  for (const wrong of [
    'name = "x"',
    'host = "a"',
    'name = ""\nhost = "a"',
    'name = "x\\u0007"\nhost = "a"',
    'name = "x"\nhost = "a b"',
    'name = "x"\nhost = "a:1"',
    'name = "x"\nhost = "a:2"',
    'name = "x"\nhost = "[::1]:7"',
    'name = "x"\nhost = "a"\nport = 0',
    'name = "x"\nhost = "a"\nport = "5"',
    'name = "x"\nhost = "a"\nextra = 1',
  ]) {
    const error = await t.throwsAsync(settings(t, `[[peers]]\n${wrong}\n`), { instanceOf: HearsayError });
    t.regex(error?.message ?? '', /config\.toml: peers: expected at most/, wrong);
  }
  const many = (count: number) =>
    Array.from({ length: count }, (_, n) => `[[peers]]\nname = "p"\nhost = "h${n}"\n`).join('');
  t.is((await settings(t, many(LISTED_MAX))).peers.length, LISTED_MAX);
  await t.throwsAsync(settings(t, many(LISTED_MAX + 1)), { message: /peers: expected at most/ });
});

test('the example in config/default.toml is one that is taken', async (t) => {
  const text = await readFile(new URL('../../../config/default.toml', import.meta.url), 'utf8');
  const [example] = /# {3}\[\[peers\]\]\n(?:# {3}.*\n)+/.exec(text) ?? [''];
  t.is((await settings(t, example.replace(/^# {3}/gm, ''))).peers[0].name, 'anna');
});

/** Links of which each host answers as soon as the test says so. */
function dialling() {
  const dialled: string[] = [];
  const waiting = new Map<string, (link: Link) => void>();
  const dial = ({ host }: { host: string }) => {
    dialled.push(host);
    return new Promise<Link>((resolve) => waiting.set(host, resolve));
  };
  const answers = async (host: string, n: number, name: string) => {
    const link = { peer: idOf(n), head: { name }, open: true } as unknown as Link;
    waiting.get(host)?.(link);
    await new Promise((resolve) => setImmediate(resolve));
    return link;
  };
  return { dialled, dial, answers };
}

test('a listed peer goes by the name that the file gives it; another one there is warned of, once, and joined', async (t) => {
  const { dialled, dial, answers } = dialling();
  const warnings: string[] = [];
  const joined: string[] = [];
  const joins = new Joins({
    links: { dial },
    hosts: [
      { host: 'a', port: 1, name: 'anna' },
      { host: 'b', port: 1, name: 'bob' },
      { host: 'c', port: 1 },
    ],
    onJoined: (_, endpoint) => joined.push(endpoint),
    onWarning: (_, message) => warnings.push(message),
  });
  t.teardown(() => joins.stop());
  joins.start();
  t.deepEqual([...joins.unjoined.keys()], ['a:1', 'b:1', 'c:1']);
  await answers('a', 1, 'anna');
  const other = await answers('b', 2, 'eve\x07');
  const third = await answers('c', 3, 'carol');
  t.deepEqual(joined, ['a:1', 'b:1', 'c:1']);
  t.is(joins.unjoined.size, 0);
  t.deepEqual(
    [1, 2, 3].map(idOf).map((id) => joins.listedName(id)),
    ['anna', 'bob', undefined],
  );
  t.is(warnings.length, 1);
  t.regex(warnings[0], /^at b:1 the config file expects bob, and eve\\u\{7\} \(.*\) answers/);
  joins.closed(other);
  joins.hurry();
  t.deepEqual(dialled, ['a', 'b', 'c', 'b']);
  await answers('b', 2, 'eve');
  t.is(warnings.length, 1);

  // Named no more: not dialled again, and nobody's name.
  joins.set([{ host: 'a', port: 1, name: 'anna' }]);
  t.false(joins.has(third));
  joins.closed(third);
  joins.hurry();
  t.is(dialled.length, 4);
  t.is(joins.listedName(idOf(2)), undefined);
  joins.set([
    { host: 'a', port: 1, name: 'anna' },
    { host: 'd', port: 1, name: 'dan' },
  ]);
  t.deepEqual(dialled, ['a', 'b', 'c', 'b', 'd']);
  t.true(joins.joining && joins.dialling);
  await answers('d', 4, 'dan');
  t.false(joins.joining || joins.dialling);
});
