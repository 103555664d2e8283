import test from 'ava';
import type { FollowEvent } from '../../lib/api.js';
import { ALICE, aborted, BOB, FakeApi, FakeIo, failure, ID, objects, peerRow, row, STATUS, type } from './cli-fake.js';

test('ls prints size, peers and path, and the sum on standard error', async (t) => {
  const api = new FakeApi();
  api.files = [
    row('a/one.txt', { size: 0, peers: [ALICE, BOB] }),
    row('a/日本.txt', { size: 5_400_000, peers: [BOB] }),
    row('b', { size: 2 ** 31, peers: [ALICE, BOB, BOB, ALICE] }),
  ];
  const { status, out, err, closed } = await type(['ls', 'a*', '--from', 'alice, bob', '--from', 'x'], { api });
  t.is(status, 0);
  t.deepEqual(out.split('\n'), [
    '     0 B  alice, bob     a/one.txt',
    ' 5.1 MiB  bob            a/日本.txt',
    ' 2.0 GiB  alice, bob +2  b',
    '',
  ]);
  t.is(err, '3 files, 2.0 GiB\n');
  t.deepEqual(api.asked, [{ pattern: 'a*', from: ['alice', 'bob', 'x'] }]);
  t.is(closed, 1);
});

test('ls tells two contents of one path apart, and escapes what a terminal would obey', async (t) => {
  const api = new FakeApi();
  api.files = [row('p', { id: ID }), row('p', { id: null }), row('\x1b[31mq\n', { peers: [{ ...BOB, name: '\x07' }] })];
  const { out } = await type(['ls'], { api });
  t.deepEqual(
    out.split('\n').map((line) => line.slice(10).trim()),
    [`alice  p  #${ID.slice(0, 12)}`, 'alice  p  (no id yet)', '\\u{7}  \\u{1b}[31mq\\n', ''],
  );
  const verbose = await type(['ls', '--verbose'], { api });
  t.true(verbose.out.includes(`#${ID}`));
  t.regex(verbose.out, /2023-11-1\d \d\d:\d\d/);
});

test('ls --json is one document of the contract', async (t) => {
  const api = new FakeApi();
  api.files = [row('a', { peers: [{ ...ALICE, extra: 1 } as typeof ALICE] }), row('b', { id: null })];
  const { status, out, err } = await type(['ls', '--json'], { api });
  t.is(status, 0);
  t.is(err, '');
  t.is(
    out,
    `${JSON.stringify({
      files: [
        { path: 'a', size: 1000, mtime: 1_700_000_000_000, id: ID, peers: [ALICE] },
        { path: 'b', size: 1000, mtime: 1_700_000_000_000, id: null, peers: [ALICE] },
      ],
    })}\n`,
  );
});

test('an empty ls exits 0 and says what to look at', async (t) => {
  const api = new FakeApi();
  const alone = await type(['ls'], { api });
  t.is(alone.status, 0);
  t.is(alone.out, '');
  t.regex(alone.err, /0 files[\s\S]*no peer answered[\s\S]*hearsay share PATH[\s\S]*--join/);
  t.is((await type(['ls', '--json'], { api })).out, '{"files":[]}\n');
  t.is((await type(['ls', '--quiet'], { api })).err, '');
  api.others = [peerRow(), peerRow({ ...BOB, self: true })];
  t.regex((await type(['ls'], { api })).err, /1 peer answered \(alice\), and none shares a file/);
  const none = await type(['find', 'zebra'], { api });
  t.is(none.status, 0);
  t.regex(none.err, /none of their paths fits/);
});

test('--from names who is away, and exits 3 or 5 as the contract says', async (t) => {
  const api = new FakeApi();
  api.files = [row('a')];
  api.away = ['carol\x1b'];
  const some = await type(['ls', '--from', 'alice,carol\x1b', '--json'], { api });
  t.is(some.status, 0);
  t.is(some.err, 'hearsay: carol\\u{1b} is not here\n');
  t.deepEqual(objects(some.out)[0].away, ['carol\x1b']);
  api.files = [];
  api.away = ['carol'];
  const none = await type(['find', 'x', '--from', 'alice,carol'], { api });
  t.is(none.status, 3);
  t.regex(none.err, /carol is not here\nhearsay: nothing like that is shared by alice\n/);
  api.fails = failure('no-peer', 'carol is not here');
  t.is((await type(['ls', '--from', 'carol'], { api })).status, 5);
  api.fails = failure('ambiguous', 'two are called bob');
  t.is((await type(['ls', '--from', 'bob'], { api })).status, 4);
});

test('a host of --join that cannot be reached is named; nobody else there: exit 5', async (t) => {
  const api = new FakeApi();
  const unreached = new Map([['nas:1', failure('unreachable', 'connection refused')]]);
  for (const command of ['ls', 'peers']) {
    api.others = [];
    const { status, err } = await type([command, '--join', 'nas:1'], { api, unreached });
    t.is(status, 5);
    t.regex(err, /^hearsay: nas:1 cannot be reached: connection refused\n/);
    api.others = [peerRow()];
    const other = await type([command, '--join', 'nas:1'], { api, unreached });
    t.is(other.status, 0);
    t.regex(other.err, /^hearsay: nas:1 cannot be reached: connection refused\n/);
  }
});

test('find hands on its words', async (t) => {
  const api = new FakeApi();
  api.files = [row('a')];
  const { status, out } = await type(['find', 'big', 'Cat', '--quiet'], { api });
  t.is(status, 0);
  t.is(out, '  1000 B  alice  a\n');
  t.deepEqual(api.asked, [{ words: ['big', 'Cat'], from: undefined }]);
});

function changes(...events: FollowEvent[]) {
  return async function* (signal: AbortSignal) {
    yield* events;
    await aborted(signal);
  };
}

test('ls --follow goes on until Ctrl-C, which is no error', async (t) => {
  const api = new FakeApi();
  const events: FollowEvent[] = [
    { ...row('a'), event: 'added' },
    { ...row('b\n'), event: 'changed' },
    { ...row('c'), event: 'removed' },
  ];
  api.changes = changes(...events);
  const io = new FakeIo();
  io.stdout.onWrite = () => io.stdout.text.includes('- c') && io.interrupt();
  t.like(await type(['ls', '--follow'], { api, io }), { status: 130, out: '+ a\n~ b\\n\n- c\n', err: '', closed: 1 });
  const other = new FakeIo();
  other.stdout.onWrite = () => other.stdout.text.includes('removed') && other.interrupt();
  const json = await type(['ls', '--follow', '--json'], { api, io: other });
  t.deepEqual(
    objects(json.out),
    events.map(({ event, ...rest }) => ({ event, ...rest })),
  );
});

test('a reader that has gone ends ls and ls --follow without an error', async (t) => {
  const api = new FakeApi();
  api.files = Array.from({ length: 20_000 }, (_, index) => row(`dir/${index}`));
  api.changes = changes({ ...row('a'), event: 'added' }, { ...row('b'), event: 'added' });
  for (const argv of [['ls'], ['ls', '--follow']]) {
    const io = new FakeIo();
    io.stdout.onWrite = () => {
      io.stdout.closed = true;
    };
    const { status, out, err } = await type(argv, { api, io });
    t.is(status, 0);
    t.false(err.includes('hearsay:'));
    t.true(out.length < 70_000);
  }
});

test('standard output on a full disk is an error', async (t) => {
  const api = new FakeApi();
  api.files = [row('a')];
  const io = new FakeIo();
  io.stdout.onWrite = () => {
    io.stdout.closed = true;
    io.stdout.fault = failure('disk-full', 'no space left');
  };
  const { status, err } = await type(['ls'], { api, io });
  t.is(status, 8);
  t.regex(err, /no space left/);
});

test('Ctrl-C while waiting for answers exits 130', async (t) => {
  const api = new FakeApi();
  const io = new FakeIo();
  api.list = () => {
    io.interrupt();
    return new Promise(() => {});
  };
  const { status, err, closed } = await type(['ls'], { api, io });
  t.is(status, 130);
  t.is(err, 'hearsay: interrupted\n');
  t.is(closed, 1);
});

test('peers is a table, and a document', async (t) => {
  const api = new FakeApi();
  api.others = [
    peerRow(),
    peerRow({ ...BOB, addresses: [], files: 1, bytes: 0, tracker: true, self: true, via: 'self' }),
  ];
  const { status, out, err } = await type(['peers'], { api });
  t.is(status, 0);
  t.deepEqual(out.split('\n'), [
    'NAME   ID                          ADDRESS                 FILES     SIZE  FOUND',
    `alice  ${ALICE.id}  192.168.1.5:47748 +1  3 files  4.9 KiB  by multicast`,
    `bob    ${BOB.id}  -                      1 file      0 B  this one, tracker`,
    '',
  ]);
  t.is(err, '1 other peer\n');
  const json = await type(['peers', '--json'], { api });
  t.deepEqual(objects(json.out), [{ peers: api.others }]);
  t.regex((await type(['peers', '--verbose'], { api })).out, /192\.168\.1\.5:47748, \[fe80::1%eth0\]:47748/);
  api.others = [];
  const none = await type(['peers'], { api });
  t.is(none.status, 0);
  t.regex(none.err, /no peer answered/);
});

test('peers --forget tells what it forgets', async (t) => {
  const api = new FakeApi();
  api.forgotten = { ...BOB, name: 'b\x07', addresses: ['192.168.1.6:47748'], names: ['bob', 'bo\n'] };
  const { status, out } = await type(['peers', '--forget', 'bob'], { api });
  t.is(status, 0);
  t.deepEqual(api.asked, [{ forget: 'bob' }]);
  const said = `forgot b\\u{7} ${BOB.id}, which was at 192.168.1.6:47748; bob, bo\\n may be somebody else from now on\n`;
  t.is(out, said);
  const json = await type(['peers', '--forget', 'bob', '--json'], { api });
  t.deepEqual(objects(json.out), [{ forgotten: api.forgotten }]);
  t.is((await type(['peers', '--forget', 'bob', '--quiet'], { api })).out, '');
  api.forgotten = { ...BOB, addresses: [], names: [] };
  t.is((await type(['peers', '--forget', 'bob'], { api })).out, `forgot bob ${BOB.id}\n`);
  api.fails = failure('not-found', 'no peer x is remembered here');
  t.is((await type(['peers', '--forget', 'x'], { api })).status, 3);
});

test('status speaks to the running peer only', async (t) => {
  const { status, out, wanted } = await type(['status']);
  t.is(status, 0);
  t.is(wanted[0].mode, 'running');
  t.deepEqual(out.split('\n'), [
    `alice ${ALICE.id}`,
    '  port 47748, process 4321, running for 1 h 2 min, memory 85 MiB',
    '  state folder /home/a/.local/share/hearsay',
    '  open: everyone on this network can read',
    '  sees 2 other peers and 1,234 offers',
    'shares',
    '  photos  4 files  4.0 KiB  75 % hashed  /home/a/photos',
    'transfers',
    '  7  b/big.iso  50 %  of 1.0 GiB  from bob  12 MiB/s',
    '',
  ]);
  t.deepEqual(objects((await type(['status', '--json'])).out), [{ ...STATUS }]);
  const api = new FakeApi();
  const sent = { time: 0, from: BOB, name: 'a', folder: false, files: 1, bytes: 1, received: 0 };
  api.offered = [
    { ...sent, number: 3, state: 'received' },
    { ...sent, number: 4, state: 'waiting' },
    { ...sent, number: 5, state: 'waiting' },
  ];
  t.is((await type(['status'], { api })).err, '2 things that others want to send wait: `hearsay inbox`\n');
  const none = await type(['status'], { refuses: failure('not-running', 'no peer runs on the state folder s') });
  t.is(none.status, 5);
  t.regex(none.err, /Start one with `hearsay daemon start`/);
});

test('status of a tracker says who is registered, and that of others with which trackers they are', async (t) => {
  const api = new FakeApi();
  const io = new FakeIo();
  const since = io.clock - 125_000;
  const bob = { ...BOB, name: 'b\x07', addresses: ['10.1.0.2:47748'], reachable: true, since, files: 3, bytes: 4096 };
  const alice = { ...ALICE, addresses: [], reachable: false, since: io.clock + 1, files: 1, bytes: 0 };
  const tracker = { registered: [bob, alice], peers: 3, offers: 1234, lookups: 1.26, store: 'memory' };
  const trackers = [
    { ...BOB, address: '10.0.0.4:47748', registered: true, since, peers: 1, offers: 2000 },
    {
      address: '10.0.0.5:47748',
      registered: false,
      peers: 0,
      offers: 0,
      error: { code: 'unreachable' as const, message: 'nobody \x07listens' },
    },
  ];
  const error = { code: 'id-taken' as const, message: 'it is \x07taken' };
  const unjoined = [
    { address: '10.0.0.5:47748', error },
    { address: '10.0.0.6:47748', error },
  ];
  api.status = async () => ({ ...STATUS, shares: [], transfers: [], tracker, trackers, unjoined });
  const lines = (await type(['status'], { api, io })).out.split('\n');
  t.deepEqual(lines.slice(5), [
    'tracker: 2 registered, 1,234 offers, 1.3 lookups a second, registry in memory',
    `  b\\u{7}  ${BOB.id}  10.1.0.2:47748  3 files  4.0 KiB  for 2 min 5 s`,
    `  alice   ${ALICE.id}  -                1 file      0 B  for 0.0 s, cannot be dialled`,
    'trackers',
    '  bob  10.0.0.4:47748  registered for 2 min 5 s, 1 peer and 2,000 offers there',
    '  -    10.0.0.5:47748  not registered: nobody \\u{7}listens',
    'not reached, and tried again',
    '  10.0.0.6:47748  it is \\u{7}taken',
    '',
  ]);
  const many = { ...tracker, peers: 4001, registered: Array.from({ length: 1000 }, () => bob) };
  api.status = async () => ({ ...STATUS, shares: [], transfers: [], tracker: many });
  t.regex(
    (await type(['status'], { api })).out,
    /tracker: 4,000 registered.*\n(.*\n){20} {2}and 980 more: --verbose\n$/,
  );
  t.is((await type(['status', '--verbose'], { api })).out.match(/10\.1\.0\.2/g)?.length, 1000);
});

test('peers that cannot be reached are marked with the reason', async (t) => {
  const api = new FakeApi();
  api.others = [peerRow({ via: 'tracker', unreachable: 'it \x07did not come' }), peerRow({ ...BOB, tracker: true })];
  const { out } = await type(['peers'], { api });
  t.regex(out, /by tracker, unreachable: it \\u\{7\}did not come\n/);
  t.regex(out, /by multicast, tracker\n/);
  t.deepEqual(objects((await type(['peers', '--json'], { api })).out), [{ peers: api.others }]);
});

test('status tells for whom what is shared, where it is not for all', async (t) => {
  const api = new FakeApi();
  const [photos] = STATUS.shares;
  api.status = async () => ({ ...STATUS, shares: [photos, { ...photos, name: 'letters', for: ['bob', 'c\n'] }] });
  const { out } = await type(['status'], { api });
  t.true(out.includes('\n  photos   4 files  4.0 KiB  75 % hashed  for all       /home/a/photos\n'), out);
  t.true(out.includes('\n  letters  4 files  4.0 KiB  75 % hashed  for bob, c\\n  /home/a/photos\n'), out);
});

test('status --served lists who fetched what, the newest last, and trusts no name', async (t) => {
  const api = new FakeApi();
  const time = new Date(2026, 2, 1, 14, 5).getTime();
  api.rows = [
    { time, peer: BOB, path: 'photos/a', bytes: 2048, outcome: 'completed' },
    { time, peer: { ...ALICE, name: 'a\x1b]0;x\x07' }, path: 'b\n', bytes: 1, outcome: 'failed', why: 'it \x07left' },
  ];
  const { status, out, wanted } = await type(['status', '--served'], { api });
  t.is(status, 0);
  t.is(wanted[0].mode, 'running');
  t.deepEqual(out.split('\n'), [
    `2026-03-01 14:05  bob               ${BOB.id}  2.0 KiB  photos/a`,
    `2026-03-01 14:05  a\\u{1b}]0;x\\u{7}  ${ALICE.id}      1 B  b\\n failed: it \\u{7}left`,
    '',
  ]);
  t.deepEqual(objects((await type(['status', '--served', '--json'], { api })).out), [{ served: api.rows }]);
  api.rows = [];
  t.deepEqual(objects((await type(['status', '--served', '--json'], { api })).out), [{ served: [] }]);
  t.is((await type(['status', '--served'], { api })).err, 'nothing was fetched from here yet\n');
});

test('peers of one name are said to be ambiguous, and told apart by their ids', async (t) => {
  const api = new FakeApi();
  api.others = [peerRow({ name: 'Zo\u00eb' }), peerRow({ ...BOB, name: 'Zoe\u0308' }), peerRow({ name: 'carol' })];
  const lines = (await type(['peers'], { api })).out.split('\n');
  t.is(lines.filter((line) => line.endsWith('by multicast, ambiguous name: use the id')).length, 2);
  t.true(lines.some((line) => line.includes(ALICE.id)) && lines.some((line) => line.includes(BOB.id)));
  t.true(lines.some((line) => line.startsWith('carol') && line.endsWith('by multicast')));
});

test('--trace prints every message to standard error', async (t) => {
  const api = new FakeApi();
  api.files = [row('a')];
  api.messages = async function* (signal) {
    yield { direction: 'out', over: 'tcp', peer: 'alice', type: 'T transfer', file: 'a\n', chunk: 3, size: 262_144 };
    yield { direction: 'in', over: 'udp', peer: '*', type: 'O offer', size: 90 };
    await aborted(signal);
  };
  const { out, err } = await type(['ls', '--trace', '--quiet'], { api });
  t.is(out, '  1000 B  alice  a\n');
  t.is(err, '→ alice T transfer a\\n chunk 3 262144 B tcp\n← * O offer 90 B udp\n');
  const json = await type(['ls', '--trace', '--json'], { api });
  t.is(objects(json.out).length, 1);
  t.like(objects(json.err)[0], { event: 'trace', direction: 'out', chunk: 3 });
});

test('colours only on a terminal without NO_COLOR', async (t) => {
  const api = new FakeApi();
  api.files = [row('a')];
  const shown = async (isTTY: boolean, env: Record<string, string>) => {
    const io = new FakeIo();
    io.stdout.isTTY = isTTY;
    io.env = env;
    return (await type(['ls'], { api, io })).out.includes('\x1b[');
  };
  t.true(await shown(true, {}));
  t.false(await shown(false, {}));
  t.false(await shown(true, { NO_COLOR: '1' }));
  t.false(await shown(true, { TERM: 'dumb' }));
});

test('ls --sources tells which chunks each source holds', async (t) => {
  const api = new FakeApi();
  const held = [
    { ...ALICE, have: 8, ranges: [[0, 7]] as [number, number][] },
    {
      ...BOB,
      have: 3,
      ranges: [
        [0, 0],
        [4, 5],
      ] as [number, number][],
    },
  ];
  api.held = [{ path: 'a/film', size: 2 ** 21, id: ID, chunks: 8, sources: held }];
  const { status, out } = await type(['ls', '--sources', 'film', '--from', 'alice'], { api });
  t.is(status, 0);
  t.deepEqual(out.split('\n'), [
    `a/film  2.0 MiB, 8 chunks, #${ID.slice(0, 12)}`,
    '  alice  all',
    '  bob    3 of 8: 1, 5-6',
    '',
  ]);
  t.deepEqual(api.asked, [{ what: 'film', from: ['alice'] }]);
  const json = await type(['ls', '--sources', 'film', '--json'], { api });
  t.deepEqual(JSON.parse(json.out), { files: api.held });
  api.held = [];
  t.is((await type(['ls', '--sources', 'film'], { api })).status, 3);
  t.is((await type(['ls', 'x', '--sources', 'film'], { api })).status, 2);
});
