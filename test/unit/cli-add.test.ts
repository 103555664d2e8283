import { join, resolve } from 'node:path';
import test from 'ava';
import type { StatusReport } from '../../lib/api.js';
import { ALICE, FakeApi, FakeIo, failure, objects, STATUS, type } from './cli-fake.js';

const usage = { code: 'usage' as const, message: 'two \x07 shares' };

test('add: paths of the caller’s folder, a line for each, the first error decides', async (t) => {
  const api = new FakeApi();
  const io = new FakeIo();
  const at = (name: string) => join(io.cwd, name);
  api.added = [
    { path: at('pics'), name: 'pi\x1bcs', waiting: ['bob'] },
    { path: at('none'), error: { code: 'no-such-path', message: 'no such file' } },
    { path: at('x'), name: 'x', already: true },
    { path: at('y'), error: usage },
  ];
  const words = ['pics', 'none', './x', 'y', '--for', 'bob', '--only', '*.jpg', '--only', 'a,b', '--exclude', 'tmp/'];
  const { status, out, err, wanted } = await type(['add', ...words], { api, io });
  t.is(status, 3);
  t.is(wanted[0].mode, 'running');
  t.deepEqual(api.asked, [
    {
      paths: ['pics', 'none', 'x', 'y'].map(at),
      for: ['bob'],
      only: ['*.jpg', 'a,b'],
      exclude: ['tmp/'],
    },
  ]);
  t.deepEqual(out.split('\n'), [
    `shares pi\\u{1b}cs (${at('pics')}); some of its files; only bob can read it; waiting for bob`,
    `shared already x (${at('x')}); some of its files; only bob can read it`,
    '',
  ]);
  t.regex(err, /no such file\n.*\n.*two \\u\{7\} shares/);
  const json = await type(['add', 'pics', '--json'], { api });
  t.is(json.status, 3);
  t.deepEqual(objects(json.out), [{ added: api.added.map((row) => ({ ...row })) }]);
});

test('add without a PATH, with words that do not go together, and with nothing running', async (t) => {
  for (const words of [[], ['a', 'b', '--as', 'x'], ['--only', 'x'], ['a', '--for', ',']]) {
    t.is((await type(['add', ...words])).status, 2, words.join(' '));
  }
  const refuses = failure('not-running', 'no peer runs');
  for (const verb of ['add', 'remove']) {
    const { status, err } = await type([verb, 'x'], { refuses });
    t.is(status, 5);
    t.regex(err, /no peer runs/);
  }
  t.is((await type(['remove'])).status, 2);
});

test('remove: by name or path, and what comes back at the next start is said', async (t) => {
  const api = new FakeApi();
  const io = new FakeIo();
  api.removed = [
    { what: 'a', name: 'a', path: resolve('/x/a') },
    { what: 'b', name: 'b', path: resolve('/x/b'), until: 'restart', from: 'config' },
    { what: 'c', name: 'c', path: resolve('/x/c'), until: 'restart', from: 'started' },
    { what: 'd', error: { code: 'not-found', message: 'd is not shared here' } },
    { what: 'e', name: 'e', path: resolve('/x/e'), error: { code: 'disk-full', message: 'e would come back' } },
  ];
  const { status, out, err } = await type(['remove', 'a', 'b', 'c', 'd', 'e'], { api, io });
  t.is(status, 3);
  t.deepEqual(api.asked, [{ what: ['a', 'b', 'c', 'd', 'e'], cwd: io.cwd }]);
  t.deepEqual(out.split('\n'), [
    `no longer shares a (${resolve('/x/a')})`,
    `no longer shares b (${resolve('/x/b')}) until the next start, as the config file names it`,
    `no longer shares c (${resolve('/x/c')}) until the next start, as it was named when this peer was started`,
    `no longer shares e (${resolve('/x/e')})`,
    '',
  ]);
  t.regex(err, /d is not shared here[\s\S]*e would come back/);
  const json = await type(['remove', 'a', '--json'], { api });
  t.deepEqual(objects(json.out), [{ removed: api.removed.map((row) => ({ ...row })) }]);
});

test('status tells of shares that are not there, and of a peer that only serves', async (t) => {
  const api = new FakeApi();
  const [share] = STATUS.shares;
  api.status = async (): Promise<StatusReport> => ({
    ...STATUS,
    seedOnly: true,
    shares: [
      { ...share, files: 0, bytes: 0, hashed: 0, away: 'no disk\x07' },
      { ...share, name: 'p', only: ['*.jpg'] },
    ],
  });
  const { out } = await type(['status'], { api });
  t.regex(out, /only serves, and fetches nothing/);
  t.regex(out, /photos +0 files +0 B +not there +\/home\/a\/photos: no disk\\u\{7\}/);
  t.regex(out, /p +4 files.*photos, some of its files/);
});

/** Watches until there were so many pictures. */
async function watching(words: string[], pictures: number, isTTY: boolean, rows = 24) {
  const io = new FakeIo();
  io.stdout.isTTY = isTTY;
  io.stdout.rows = rows;
  const api = new FakeApi();
  let asked = 0;
  api.status = async () => {
    if (++asked === pictures) setImmediate(() => io.interrupt());
    return { ...STATUS, offers: asked };
  };
  return { ...(await type(['status', '--watch', ...words], { io, api })), asked };
}

test('status --watch redraws in place on a terminal, and ends by Ctrl-C', async (t) => {
  const { status, out } = await watching([], 2, true);
  t.is(status, 130);
  const pictures = out.split('\x1b[H').slice(1);
  t.is(pictures.length, 2);
  t.is(out.split('\x1b[2J').length, 2, 'the screen is cleared once');
  for (const [i, picture] of pictures.entries()) {
    t.true(picture.includes(`${i + 1} offer`));
    t.true(picture.endsWith('\x1b[?7h\x1b[J'), 'what was below is cleared');
    for (const line of picture.split('\n').slice(0, -1)) t.true(line.endsWith('\x1b[K'), JSON.stringify(line));
  }
  const small = await watching([], 1, true, 5);
  const lines = small.out.split('\n');
  t.is(lines.length, 5, 'it fits on the screen with the line of the cursor');
  t.regex(lines[3], /and \d+ lines more/);
});

test('status --watch without a terminal is one after another, with --json an object a second', async (t) => {
  const plain = await watching([], 2, false);
  t.is(plain.status, 130);
  t.false(plain.out.includes('\x1b'));
  t.is(plain.out.split('\n\n').length, 2);
  const json = await watching(['--json'], 2, true);
  t.is(json.status, 130);
  t.deepEqual(
    objects(json.out).map(({ id, offers }) => [id, offers]),
    [
      [ALICE.id, 1],
      [ALICE.id, 2],
    ],
  );
  t.is((await type(['status', '--watch', '--served'])).status, 2);
  const api = new FakeApi();
  let asked = 0;
  api.status = async () => {
    if (asked++ > 0) throw failure('cancelled', 'the running peer has gone');
    return STATUS;
  };
  const gone = await type(['status', '--watch', '--json'], { api });
  t.is(gone.status, 1);
  t.like(objects(gone.out).at(-1), { event: 'error', error: { code: 'cancelled' } });
});
