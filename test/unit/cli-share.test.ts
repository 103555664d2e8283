import { join, resolve } from 'node:path';
import test from 'ava';
import type { ShareEvent } from '../../lib/api.js';
import { ALICE, BOB, FakeIo, failure, ID, objects, type } from './cli-fake.js';

const shares = [
  { name: 'photos', path: '/p', files: 0, bytes: 0, hashed: 0 },
  { name: 'a\x1bb', path: '/q', files: 0, bytes: 0, hashed: 0 },
];
const ready: ShareEvent = {
  event: 'ready',
  ...ALICE,
  port: 47748,
  private: false,
  shares,
  addresses: ['10.0.0.1:47748', '[fe80::1%2]:47748'],
};
const later: ShareEvent[] = [
  { event: 'hashed', path: 'photos/a', id: ID },
  { event: 'peer', change: 'came', ...BOB },
  { event: 'serving', state: 'begun', path: 'photos/a', peer: BOB, bytes: 0 },
  { event: 'serving', state: 'completed', path: 'photos/a', peer: BOB, bytes: 2048 },
  { event: 'serving', state: 'failed', path: 'photos/b', peer: BOB, bytes: 1, why: 'it \x07changed' },
  { event: 'warning', message: 'a folder cannot be watched' },
  { event: 'peer', change: 'left', ...BOB },
];

/** Shares until the peer is up, then is interrupted. */
async function share(argv: string[], tells: ShareEvent[] = [ready, ...later]) {
  const io = new FakeIo();
  return {
    io,
    ...(await type(['share', ...argv], { io, tells, onSession: () => setImmediate(() => io.interrupt()) })),
  };
}

test('share prints one line ready, then what happens, and says goodbye', async (t) => {
  const { status, out, err, closed, wanted, io } = await share(['pics', '/abs']);
  t.is(status, 0);
  t.deepEqual(out.split('\n'), [
    `ready alice ${ALICE.id} at 10.0.0.1:47748; everyone on this network can read: photos, a\\u{1b}b`,
    `bob is here (${BOB.id})`,
    'serving photos/a to bob',
    'served photos/a to bob (2.0 KiB)',
    'failed to serve photos/b to bob after 1 B: it \\u{7}changed',
    `bob has left (${BOB.id})`,
    '',
  ]);
  t.is(err, 'hearsay: a folder cannot be watched\ngoodbye\n');
  t.is(closed, 1);
  t.is(wanted[0].mode, 'share');
  t.deepEqual(wanted[0].flags.share, [join(io.cwd, 'pics'), resolve('/abs')]);
});

test('share --quiet is the ready line alone; --verbose tells of hashing', async (t) => {
  const quiet = await share(['x', '--quiet']);
  t.is(quiet.out.split('\n').length, 2);
  t.is(quiet.err, '');
  t.regex((await share(['x', '--verbose'])).out, new RegExp(`hashed photos/a ${ID}`));
});

test('share --json is an object a line, ready first', async (t) => {
  const { status, out, err } = await share(['x', '--json']);
  t.is(status, 0);
  t.deepEqual(objects(out), [{ ...ready }, ...later.map((event) => ({ ...event }))]);
  t.is(err, '');
});

test('share --as names the one path', async (t) => {
  const { wanted, io } = await share(['dir', '--as', 'project']);
  t.deepEqual(wanted[0].flags.share, [{ path: join(io.cwd, 'dir'), as: 'project' }]);
});

test('share --only, --exclude and --seed-only', async (t) => {
  const words = ['dir', '--only', '*.jpg', '--only', 'a,b', '--exclude', 'x/', '--seed-only'];
  words.push('--inbox', 'refuse', '--inbox-folder', 'in');
  const { wanted, io } = await share(words);
  t.like(wanted[0].flags, { inbox: 'refuse', 'inbox-folder': join(io.cwd, 'in') });
  t.deepEqual(wanted[0].flags.share, [{ path: join(io.cwd, 'dir'), only: ['*.jpg', 'a,b'], exclude: ['x/'] }]);
  t.true(wanted[0].flags['seed-only']);
  t.is((await share(['dir'])).wanted[0].flags['seed-only'], undefined);
  t.is((await type(['share', '--only', 'x'])).status, 2);
});

test('shares that come, go, and are not there are told', async (t) => {
  const what = { event: 'share', name: 'ph\x07', path: '/p' } as const;
  const told: ShareEvent[] = [
    { ...what, change: 'added' },
    { ...what, change: 'away', why: 'no disk is mounted there' },
    { ...what, change: 'back' },
    { ...what, change: 'removed' },
  ];
  const { out, err } = await share(['x'], [ready, ...told]);
  t.deepEqual(out.split('\n').slice(1, -1), [
    'shares ph\\u{7} (/p)',
    'ph\\u{7} (/p) is there again, and shared',
    'no longer shares ph\\u{7} (/p)',
  ]);
  t.regex(
    err,
    /hearsay: ph\\u\{7\} \(\/p\) is not there \(no disk is mounted there\): nothing of it is shared until it is/,
  );
  t.deepEqual(
    objects((await share(['x', '--json'], told)).out),
    told.map((event) => ({ ...event })),
  );
});

test('what is received is told once, by the inbox', async (t) => {
  const sent = { number: 1, time: 0, from: BOB, name: 'a', folder: false, files: 1, bytes: 2048, received: 0 };
  const transfer = { number: 9, direction: 'in' as const, path: 'a', size: 2048, bytes: 0, rate: 0, peers: [BOB] };
  const tells: ShareEvent[] = [
    ready,
    { event: 'inbox', row: { ...sent, state: 'receiving' } },
    { event: 'transfer', row: { ...transfer, state: 'running' } },
    { event: 'transfer', row: { ...transfer, number: 10, what: ['a'], state: 'running' } },
  ];
  const { out } = await share(['x'], tells);
  t.deepEqual(out.split('\n').slice(1), [
    'receiving a (2.0 KiB) from bob',
    'transfer 10, get of a, begins from bob (2.0 KiB)',
    '',
  ]);
  const json = objects((await share(['x', '--json'], tells)).out);
  t.is(json.length, tells.length, 'programs are told all');
});

test('share without a PATH leaves it to the settings', async (t) => {
  const { status, err, wanted } = await type(['share'], { refuses: failure('usage', 'share what?') });
  t.is(status, 2);
  t.regex(err, /share what\?/);
  t.is(wanted[0].flags.share, undefined);
});

test('a peer that cannot start is told with its code', async (t) => {
  const refuses = failure('not-readable', '/nowhere does not exist');
  t.like(await type(['share', '/nowhere'], { refuses }), { status: 1, out: '' });
  const { out } = await type(['share', '/nowhere', '--json'], { refuses });
  t.like(objects(out)[0], { event: 'error', error: { code: 'not-readable', message: '/nowhere does not exist' } });
});

test('a reader that does not read does not hold the peer up', async (t) => {
  const io = new FakeIo();
  let wake = () => {};
  io.stdout.write = () =>
    new Promise<void>((resolve) => {
      const before = wake;
      wake = () => {
        before();
        resolve();
      };
    });
  let told = 0;
  await type(['share', 'x'], {
    io,
    onSession(wanted) {
      for (; told < 30_000; told++) wanted.onEvent?.(later[1]);
      wake();
      setImmediate(() => {
        io.stdout.write = async () => {};
        io.interrupt();
      });
    },
  });
  t.regex(io.stderr.text, /20,000 lines left out/);
});

test('share --tracker needs no PATH, says how others name it, and tells who registers and departs', async (t) => {
  const tracker: ShareEvent = { ...ready, shares: [], tracker: ['10.0.0.1', 'fd00::1'] };
  const tells: ShareEvent[] = [
    tracker,
    { event: 'registration', change: 'registered', ...BOB, addresses: ['10.0.0.2:47748', '10.9.0.2:1'] },
    { event: 'registration', change: 'registered', ...BOB, name: 'b\x07', addresses: [] },
    { event: 'registration', change: 'departed', ...BOB, addresses: [], why: 'broken' },
    { event: 'registration', change: 'departed', ...BOB, addresses: [], why: 'lease' },
  ];
  const { status, out, wanted } = await share(['--tracker', '--tracker-store', 'redis://nas/0'], tells);
  t.is(status, 0);
  t.deepEqual(wanted[0].flags, { tracker: true, 'tracker-store': 'redis://nas/0' });
  t.deepEqual(out.split('\n'), [
    `ready alice ${ALICE.id} at 10.0.0.1:47748; a tracker: others say --join 10.0.0.1 or --join fd00::1`,
    `registered bob at 10.0.0.2:47748, 10.9.0.2:1 (${BOB.id})`,
    `registered b\\u{7} which nobody can dial (${BOB.id})`,
    `departed bob: its connection broke (${BOB.id})`,
    `departed bob: nothing came from it any more (${BOB.id})`,
    '',
  ]);
  const both = await share(['x', '--tracker'], [{ ...ready, tracker: [] }]);
  t.regex(both.out, /; a tracker: others say --join HOST:47748; everyone on this network can read: photos/);
  t.is((await type(['ls', '--tracker'])).status, 2);
});

test('share tells of the trackers that it registers with', async (t) => {
  const at = { event: 'tracker', address: '10.0.0.4:47748' } as const;
  const { out } = await share(
    ['x'],
    [
      { ...at, change: 'registered', ...BOB, name: 'n\x1bas' },
      { ...at, change: 'lost', ...BOB, error: { code: 'cancelled', message: 'it \x07broke' } },
      { ...at, change: 'refused', error: { code: 'id-taken', message: 'this id is taken' } },
    ],
  );
  t.deepEqual(out.split('\n'), [
    'registered with tracker n\\u{1b}as at 10.0.0.4:47748',
    'lost tracker bob at 10.0.0.4:47748: it \\u{7}broke; going on without it',
    'refused by tracker at 10.0.0.4:47748: this id is taken',
    '',
  ]);
});

test('share --for names who may see the paths, and ready who can read what', async (t) => {
  const limited: ShareEvent = {
    ...ready,
    shares: [
      { ...shares[0], for: ['bob', 'ca\x1brol'] },
      shares[1],
      { ...shares[0], name: 'songs', for: ['bob', 'ca\x1brol'] },
    ],
    waiting: ['bob'],
  };
  const allowed: ShareEvent = { event: 'allowed', name: 'bob', peer: BOB, shares: ['photos', 'songs'] };
  const { status, out, wanted, io } = await share(['a', 'b', '--for', 'bob, x', '--for', 'y'], [limited, allowed]);
  t.is(status, 0);
  const whose = ['bob', 'x', 'y'];
  t.deepEqual(wanted[0].flags.share, [
    { path: join(io.cwd, 'a'), for: whose },
    { path: join(io.cwd, 'b'), for: whose },
  ]);
  t.deepEqual(out.split('\n'), [
    `ready alice ${ALICE.id} at 10.0.0.1:47748; everyone on this network can read: a\\u{1b}b; ` +
      'only bob, ca\\u{1b}rol can read: photos, songs; ' +
      'waiting for bob: the first peer of that name is let in, and its id would be surer',
    `bob is ${BOB.id} from now on, and can read photos, songs`,
    '',
  ]);
  const only = await share(
    ['a', '--for', 'bob', '--as', 'z'],
    [{ ...ready, shares: [{ ...shares[0], for: ['bob'] }] }],
  );
  t.is(only.out, `ready alice ${ALICE.id} at 10.0.0.1:47748; only bob can read: photos\n`);
  t.deepEqual(only.wanted[0].flags.share, [{ path: join(only.io.cwd, 'a'), as: 'z', for: ['bob'] }]);
  t.is((await share(['--for', 'bob'])).status, 2);
  t.is((await share(['a', '--for', ' , '])).status, 2);
});
