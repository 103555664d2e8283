import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { HearsayError } from '../../lib/errors.js';
import { privateGroup } from '../../lib/net/group-keys.js';
import { newPrivateKey } from '../../lib/net/keys.js';
import { looksOpen, Strangers, whyNobody } from '../../lib/net/strangers.js';
import {
  cleanSecret,
  deriveMaster,
  newSecret,
  readSecretFile,
  secretBits,
  secretCheck,
  weakness,
} from '../../lib/share/secret.js';
import { StateFolder } from '../../lib/share/state.js';
import { encode } from '../../lib/wire/codec.js';

async function folder(t: ExecutionContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'hearsay-secret-'));
  t.teardown(() => rm(path, { recursive: true, force: true }));
  return path;
}

test('the first line of a file is the secret, as it counts', async (t) => {
  const file = join(await folder(t), 'secret');
  const cases: [string | Buffer, string][] = [
    ['abc', 'abc'],
    ['  two words \t\r\nand a note\n', 'two words'],
    ['\ufeffabc\r', 'abc'],
    ['Cafe\u0301', 'Caf\u00e9'],
    [Buffer.from('\ufeffabc\r\n', 'utf16le'), 'abc'],
    ['#no comment', '#no comment'],
  ];
  for (const [content, secret] of cases) {
    await writeFile(file, content, { mode: 0o600 });
    t.deepEqual(await readSecretFile(file, 'usage', '--secret-file'), { text: secret, warnings: [] });
  }
});

test('a file without a secret is an error that names it', async (t) => {
  const path = await folder(t);
  const file = join(path, 'secret');
  const cases: [string | Buffer, RegExp][] = [
    ['', /the secret is empty/],
    ['\nsecond line', /the secret is empty/],
    ['x'.repeat(1025), /longer than 1024 bytes/],
    ['x\n'.repeat(5000), /longer than 8192 bytes/],
    [Buffer.from([0xff, 0x41]), /not text in UTF-8/],
  ];
  const fails = async (at: string, expected: RegExp) => {
    const error = await t.throwsAsync(readSecretFile(at, 'config', 'secret-file'), { instanceOf: HearsayError });
    t.is(error.code, 'config');
    t.regex(error.message, expected);
    t.true(error.message.startsWith(`secret-file: ${at}: `));
  };
  for (const [content, expected] of cases) {
    await writeFile(file, content);
    await fails(file, expected);
  }
  await fails(join(path, 'none'), /cannot be read/);
  await fails(path, /cannot be read/);
});

test('a file that others can read is warned of', async (t) => {
  if (process.platform === 'win32') return t.pass();
  const file = join(await folder(t), 'secret');
  await writeFile(file, 'abc');
  for (const [mode, warned] of [
    [0o600, false],
    [0o400, false],
    [0o640, true],
    [0o604, true],
  ] as const) {
    await chmod(file, mode);
    const { warnings } = await readSecretFile(file, 'usage', '--secret-file');
    t.is(warnings.length, Number(warned), mode.toString(8));
    if (warned) t.regex(warnings[0], /chmod 600/);
  }
});

test('secrets that can be guessed are told from those that cannot', (t) => {
  const weak = [
    '',
    'x',
    'password',
    'Password1!',
    'hearsay',
    'Tr0ub4dor&3',
    '1234567890123456789012345678901234567890',
    'qwertyuiopasdfghjklzxcvbnm',
    'correct horse battery staple',
    'correcthorsebatterystaple',
    'CorrectHorseBatteryStaple',
    'password '.repeat(20),
    'a'.repeat(100),
    'abc'.repeat(50),
    'geheim geheim 2024',
    'пароль секрет',
  ];
  for (const secret of weak) t.regex(weakness(secret) ?? '', /is weak.*hearsay secret new/, secret);
  const strong = [
    'tidal umbra crisp envoy jolt',
    'd131dd02c5e6eec4693d9a0698aff95c',
    'xkqjzvwpmnbtgfdhsrlc',
    'Zr8#qL2!vX9@mK4$',
    'пароль секрет дом река гора ветер',
  ];
  for (const secret of strong) t.is(weakness(secret), undefined, `${secret}: ${secretBits(secret)}`);
});

test('more of the same is never guessed sooner', (t) => {
  for (const secret of ['correct horse battery staple', 'x8Kf3LmQ9wZt', 'aaaa', '12345']) {
    for (let i = 1; i < secret.length; i++) {
      // A letter more may make a word of what were random ones: by no more than that.
      t.true(secretBits(secret.slice(0, i)) <= secretBits(secret) + 10, secret.slice(0, i));
    }
  }
});

test('a new secret is strong, can be read out, and is each time another', (t) => {
  const all = Array.from({ length: 2000 }, () => newSecret());
  t.is(new Set(all).size, all.length);
  const used = new Set(all.join('').replaceAll('-', ''));
  t.is(used.size, 24, 'every character comes up');
  t.true(28 * Math.log2(24) >= 128);
  for (const secret of all) {
    t.regex(secret, /^[a-z2-9]{4}(-[a-z2-9]{4}){6}$/);
    t.false(/[01ilozsbgu]/.test(secret));
    t.is(weakness(secret), undefined, secret);
  }
  t.is(
    newSecret(() => 0),
    Array(7).fill('cccc').join('-'),
  );
  t.is(
    newSecret((below) => below - 1),
    Array(7).fill('9999').join('-'),
  );
});

test('a secret that was made counts the same however it is typed; others to the letter', (t) => {
  const fault = (what: string) => new HearsayError('usage', what);
  const made = newSecret();
  const bare = made.replaceAll('-', '');
  for (const typed of [made.toUpperCase(), bare, made.replaceAll('-', ' '), bare.replace(/.{7}/g, '$& - ')]) {
    t.is(cleanSecret(typed, fault), made, typed);
  }
  for (const own of ['Correct-Horse', 'correct horse', bare.slice(1), `${made}2`, `${made.slice(0, -1)}a`]) {
    t.is(cleanSecret(own, fault), own);
  }
});

test('the keys of a secret are the same for everyone, on every machine', async (t) => {
  const master = await deriveMaster('correct horse battery staple');
  t.is(master.toString('hex'), '537d62bdcf22640dbc81933d21602965638e7ca7a116c30f96b16d2b7bad6c05');
  const { psk, datagrams } = privateGroup(master);
  t.is(psk.toString('hex'), 'b9d76bc548d172997d28553e8d0612644ace82dfcdbdfe8a41d7155bce8425a3');
  t.is(datagrams?.toString('hex'), '36edfb698953a209bc8436be7f737d097bf18958c7d538f940ab0b3a2f266283');
  t.is(await deriveMaster('correct horse battery staple'), master, 'once in a process');
});

test('a master key is derived once for a state folder, and anew for another secret or a damaged file', async (t) => {
  const path = await folder(t);
  const state = await StateFolder.open(path);
  const key = newPrivateKey();
  let derived = 0;
  const masterOf = (secret: string, at = state) =>
    at.master(secretCheck(key, secret), async () => {
      derived++;
      return Buffer.alloc(32, secret);
    });
  t.deepEqual(await masterOf('one'), Buffer.alloc(32, 'one'));
  const file = join(path, 'group.json');
  if (process.platform !== 'win32') t.is((await stat(file)).mode & 0o777, 0o600);
  t.false((await readFile(file, 'utf8')).includes('one'));
  const { mtimeMs } = await stat(file);
  const again = await StateFolder.open(path);
  t.deepEqual(await masterOf('one', again), Buffer.alloc(32, 'one'));
  t.is(derived, 1);
  t.is((await stat(file)).mtimeMs, mtimeMs);
  t.deepEqual(await masterOf('two'), Buffer.alloc(32, 'two'));
  t.deepEqual(await masterOf('two'), Buffer.alloc(32, 'two'));
  t.is(derived, 2);
  for (const damage of [
    '',
    '{',
    '[]',
    '{"check":1}',
    JSON.stringify({ check: secretCheck(key, 'two'), master: 'ab' }),
  ]) {
    await writeFile(file, damage);
    const before = derived;
    t.deepEqual(await masterOf('two'), Buffer.alloc(32, 'two'));
    t.deepEqual(await masterOf('two'), Buffer.alloc(32, 'two'));
    t.is(derived, before + 1, damage);
  }
  t.deepEqual(await readdir(path), ['group.json'], 'nothing is set aside');
  t.deepEqual(state.warnings, []);
  // Of another private key the check is another.
  t.not(secretCheck(newPrivateKey(), 'two'), secretCheck(key, 'two'));
});

test('where the master key cannot be kept, it is derived each time', async (t) => {
  const path = await folder(t);
  const state = await StateFolder.open(path);
  await rm(path, { recursive: true });
  await writeFile(path, 'no folder');
  t.deepEqual(await state.master('check', async () => Buffer.alloc(32, 1)), Buffer.alloc(32, 1));
});

test('hosts of other groups are counted by their addresses of one sort, lately, and bounded', (t) => {
  const strangers = new Strangers();
  t.deepEqual(strangers.count(0), { sealed: 0, open: 0 });
  for (const host of ['127.0.0.1', '10.0.0.1', 'fe80::1%eth0', '::1']) strangers.note('sealed', host, 0);
  t.deepEqual(strangers.count(0), { sealed: 1, open: 0 });
  strangers.note('sealed', '10.0.0.2', 100_000);
  strangers.note('open', '10.0.0.2', 100_000);
  t.deepEqual(strangers.count(100_000), { sealed: 2, open: 1 });
  t.deepEqual(strangers.count(350_000), { sealed: 1, open: 1 }, 'who was not heard for long is forgotten');
  for (let i = 0; i < 10_000; i++) strangers.note('open', `10.1.${i >> 8}.${i & 255}`, 350_000);
  t.is(strangers.count(350_000).open, 256);
});

test('an open message is known by its first bytes', (t) => {
  const pad = new Uint8Array(0);
  const query = encode({ type: 'Q', from: '01ARZ3NDEKTSV4RRFFQ69G5FAV', to: '', nonce: Buffer.alloc(16), pad });
  t.true(looksOpen(query));
  query[5] ^= 1;
  t.false(looksOpen(query));
  t.false(looksOpen(query.subarray(0, 5)));
  t.false(looksOpen(Buffer.alloc(0)));
});

test('why nobody is found', (t) => {
  const say = (secret: boolean, sealed: number, open: number) => whyNobody(secret, { sealed, open });
  t.regex(say(false, 0, 3), /^no peer answered in the open group; a private group needs its secret: --secret-file/);
  t.regex(say(false, 2, 0), /but 2 hosts speak with a secret that was not given here: --secret-file FILE$/);
  t.regex(say(false, 1, 0), /but 1 host speaks with/);
  t.regex(say(true, 0, 0), /^no peer answered with this secret; the others need the same one$/);
  t.regex(say(true, 1, 0), /with this secret, but 1 host speaks with another secret$/);
  t.regex(say(true, 0, 1), /but 1 host is in the open group, without a secret$/);
  t.regex(say(true, 2, 3), /but 2 hosts speak with another secret, and 3 hosts are in the open group/);
});
