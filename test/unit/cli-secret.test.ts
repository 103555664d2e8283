import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { ShareEvent, StatusReport } from '../../lib/api.js';
import { weakness } from '../../lib/share/secret.js';
import { ALICE, FakeApi, FakeIo, failure, objects, peerRow, STATUS, type } from './cli-fake.js';

const SECRET = /^[a-z2-9]{4}(-[a-z2-9]{4}){6}\n$/;

async function here(t: ExecutionContext): Promise<FakeIo> {
  const io = new FakeIo();
  io.cwd = await mkdtemp(join(tmpdir(), 'hearsay-cli-secret-'));
  t.teardown(() => rm(io.cwd, { recursive: true, force: true }));
  return io;
}

test('secret new prints a strong one, and says what to do with it', async (t) => {
  const { status, out, err, wanted } = await type(['secret', 'new']);
  t.is(status, 0);
  t.regex(out, SECRET);
  t.is(weakness(out.trim()), undefined);
  t.regex(err, /--secret-file FILE/);
  t.is(wanted.length, 0, 'no peer is started');
  t.is((await type(['secret', 'new', '--quiet'])).err, '');
  const json = await type(['secret', 'new', '--json']);
  t.regex(`${objects(json.out)[0].secret}\n`, SECRET);
  t.is(json.err, '');
  t.is(objects((await type(['--json', 'secret', 'new'])).out).length, 1);
});

test('secret new FILE writes it for its owner alone, and shows it to nobody', async (t) => {
  const io = await here(t);
  const { status, out, err } = await type(['secret', 'new', 'group.secret'], { io });
  const file = join(io.cwd, 'group.secret');
  t.is(status, 0);
  t.is(out, `wrote a new secret to ${file}\n`);
  const written = await readFile(file, 'utf8');
  t.regex(written, SECRET);
  t.false((out + err).includes(written.trim()));
  if (process.platform !== 'win32') t.is((await stat(file)).mode & 0o777, 0o600);
  const json = await type(['secret', 'new', 'other', '--json'], { io: Object.assign(new FakeIo(), { cwd: io.cwd }) });
  t.deepEqual(objects(json.out), [{ file: join(io.cwd, 'other') }]);
});

test('secret new never overwrites', async (t) => {
  const io = await here(t);
  const file = join(io.cwd, 'there');
  await writeFile(file, 'mine');
  const { status, out, err } = await type(['secret', 'new', 'there'], { io });
  t.like({ status, out }, { status: 1, out: '' });
  t.regex(err, /there exists, and a secret is never overwritten/);
  t.false(err.includes('--overwrite'), 'there is no such option here');
  t.is(await readFile(file, 'utf8'), 'mine');
  const again = await type(['secret', 'new', 'there', '--json'], { io: Object.assign(new FakeIo(), { cwd: io.cwd }) });
  t.like(objects(again.out)[0], { error: { code: 'exists' } });
  const nowhere = await type(['secret', 'new', 'no/such/folder'], { io });
  t.is(nowhere.status, 8);
});

test('secret without new is a usage error that names it', async (t) => {
  for (const argv of [
    ['secret'],
    ['secret', 'old'],
    ['secret', 'new', 'a', 'b'],
    ['secret', 'new', ''],
    ['secret', 'new', '--wait', '3'],
  ]) {
    const { status, err, wanted } = await type(argv);
    t.is(status, 2, argv.join(' '));
    t.is(wanted.length, 0);
    if (argv.length <= 2 && argv[1] !== 'new') t.regex(err, /hearsay secret new/);
  }
});

test('help says how a secret is used', async (t) => {
  for (const argv of [
    ['secret', '--help'],
    ['secret', 'new', '--help'],
    ['help', 'secret'],
  ]) {
    const { status, out, err } = await type(argv);
    t.like({ status, err }, { status: 0, err: '' });
    t.regex(out, /--secret-file/);
    t.regex(out, /HEARSAY_SECRET/);
  }
  t.regex((await type(['--help'])).out, /secret +.*private group/);
  t.regex((await type(['share', '--help'])).out, /--secret-file <file>/);
});

test('--secret-file is a path from the working folder, and is handed on', async (t) => {
  const io = new FakeIo();
  const { wanted } = await type(['ls', '--secret-file', 'group.secret'], { io });
  t.is(wanted[0].flags.secretFile, join(io.cwd, 'group.secret'));
  t.is((await type(['ls', '--secret-file', ''])).wanted[0].flags.secretFile, '', 'to be refused');
});

test('the line ready says who can read', async (t) => {
  const shares = [{ name: 'photos', path: '/p', files: 0, bytes: 0, hashed: 0 }];
  for (const [secret, said] of [
    [false, 'everyone on this network can read: photos'],
    [true, 'only who has the secret can read: photos'],
  ] as const) {
    const ready: ShareEvent = { event: 'ready', ...ALICE, port: 1, private: secret, shares, addresses: ['10.0.0.1:1'] };
    for (const json of [false, true]) {
      const io = new FakeIo();
      const argv = ['share', 'photos', ...(json ? ['--json'] : [])];
      const { out } = await type(argv, { io, tells: [ready], onSession: () => setImmediate(() => io.interrupt()) });
      if (json) t.is(objects(out)[0].private, secret);
      else t.true(out.startsWith(`ready alice ${ALICE.id} at 10.0.0.1:1; ${said}\n`), out);
    }
  }
});

/** Nobody else is here, but who is heard. */
function alone(more: Partial<StatusReport>): FakeApi {
  const api = new FakeApi();
  api.status = async () => ({ ...STATUS, peers: 0, ...more });
  return api;
}

test('who finds nobody is told of other groups; ls exits 0', async (t) => {
  const sealed = alone({ private: false, strangers: { sealed: 2, open: 0 } });
  for (const argv of [['ls'], ['find', 'x'], ['peers']]) {
    for (const manner of [[], ['--json'], ['--quiet']]) {
      const { status, err } = await type([...argv, ...manner], { api: sealed });
      t.is(status, 0);
      if (argv[0] === 'peers' && manner.length > 0) continue;
      t.regex(
        err,
        /hearsay: no peer answered .*2 hosts speak with a secret that was not given here: --secret-file FILE\n/,
      );
    }
  }
  t.regex((await type(['peers', '--json'], { api: sealed })).err, /2 hosts/);
  const open = alone({ private: true, strangers: { sealed: 0, open: 3 } });
  const { err } = await type(['ls'], { api: open });
  t.regex(err, /3 hosts are in the open group/);
  t.regex(err, /both have the same secret/);
  const nothing = alone({ private: false, strangers: { sealed: 0, open: 0 } });
  t.regex((await type(['ls'], { api: nothing })).err, /\nno peer answered in the open group; a private group needs/);
  t.is((await type(['ls', '--json'], { api: nothing })).err, '');
  sealed.others = [peerRow()];
  sealed.status = async () => ({ ...STATUS, strangers: { sealed: 2, open: 0 } });
  t.false((await type(['ls'], { api: sealed })).err.includes('secret'), 'where somebody answered there is no need');
});

test('get says why once', async (t) => {
  const api = alone({ private: false, strangers: { sealed: 2, open: 0 } });
  api.fetching = async function* () {
    yield { event: 'error', error: { code: 'no-peer', message: 'nobody offers "x": for a reason' } };
    yield { event: 'end', files: 0, bytes: 0, failed: 1 };
  };
  const { status, err } = await type(['get', 'x'], { api });
  t.is(status, 5);
  t.regex(err, /^hearsay: nobody offers "x": for a reason\n {2}Check that[^\n]*\n$/);
  t.false(err.includes('2 hosts'));
  t.is((await type(['get', 'x', '--json'], { api })).err, '');
});

test('a joined host of another group is no unreachable one', async (t) => {
  const api = alone({});
  const unreached = new Map([['nas:1', failure('other-group', 'it has another secret')]]);
  const { status, err } = await type(['ls', '--join', 'nas:1'], { api, unreached });
  t.is(status, 5);
  t.regex(err, /^hearsay: nas:1: it has another secret\n/);
  const both = new Map([...unreached, ['x:1', failure('unreachable', 'refused')]]);
  const json = await type(['ls', '--join', 'nas:1', '--json'], { api, unreached: both });
  t.like(objects(json.out)[0], { error: { code: 'unreachable' } });
});

test('status says who can read', async (t) => {
  const api = new FakeApi();
  api.status = async () => ({ ...STATUS, private: true });
  t.regex((await type(['status'], { api })).out, /private: only who has the secret can read/);
  t.true(objects((await type(['status', '--json'], { api })).out)[0].private);
  t.regex((await type(['status'])).out, /open: everyone on this network can read/);
});
