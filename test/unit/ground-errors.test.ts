import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { advice, asHearsayError, type Code, exitStatus, HearsayError, isCode, reasonOf } from '../../lib/errors.js';

test('exit statuses are those of the contract', (t) => {
  const contract: Partial<Record<Code, number>> = {
    failed: 1,
    usage: 2,
    config: 2,
    'not-found': 3,
    ambiguous: 4,
    'no-peer': 5,
    'not-running': 5,
    unreachable: 5,
    refused: 6,
    'wrong-content': 7,
    'disk-full': 8,
    'not-writable': 8,
    interrupted: 130,
  };
  for (const [code, status] of Object.entries(contract)) t.is(exitStatus(code as Code), status, code);
});

test('every code says what to do', (t) => {
  for (const code of ['failed', 'port-taken', 'state-in-use', 'bad-message'] as const)
    t.regex(advice(code), /^[A-Z].*\.$/);
});

test('a word from the network is a code only where it is one of ours', (t) => {
  t.true(isCode('changed'));
  for (const word of ['', 'nonsense', 'toString', '__proto__', 'constructor']) t.false(isCode(word), word);
});

test('errors of the system get their code, ours stay as they are, the rest the fallback', (t) => {
  const own = new HearsayError('refused', 'no');
  t.is(asHearsayError(own), own);
  const system = (code: string) => asHearsayError(Object.assign(new Error('message'), { code }), 'not-readable').code;
  t.is(system('ENOSPC'), 'disk-full');
  t.is(system('EDQUOT'), 'disk-full');
  t.is(system('EROFS'), 'not-writable');
  t.is(system('ENAMETOOLONG'), 'bad-name');
  t.is(system('EIO'), 'not-readable');
  t.is(system('toString'), 'not-readable');
  const thrown = new Error('why');
  t.is(asHearsayError(thrown).cause, thrown);
  t.is(asHearsayError('text').message, 'text');
  t.is(asHearsayError(undefined).code, 'failed');
});

test('what the system says is told in words, with the file that it is about and without codes and calls', (t) => {
  const thrown = (act: () => void) => t.throws(act, { any: true }) as unknown;
  const missing = thrown(() => readFileSync('/no such folder, "x"/a'));
  t.is(reasonOf(missing), 'there is no such file or folder');
  t.is(asHearsayError(missing).message, '/no such folder, "x"/a: there is no such file or folder');
  t.is(asHearsayError(missing).cause, missing);
  const folder = thrown(() => readFileSync('.'));
  t.is(reasonOf(folder), 'it is a folder');
  const below = thrown(() => writeFileSync(join(process.execPath, 'x'), ''));
  if (process.platform !== 'win32') t.is(reasonOf(below), 'something on the way there is no folder');
  const rare = Object.assign(new Error("EXFULL: exchange full, open '/a, b'"), { code: 'EXFULL', path: '/a, b' });
  t.is(reasonOf(rare), 'exchange full');
  t.is(asHearsayError(rare).message, '/a, b: exchange full');
  t.is(reasonOf(Object.assign(new Error('ECLASS: a b'), { code: 'ECLASS' })), 'a b');
  t.is(
    reasonOf(Object.assign(new Error('bind EADDRINUSE 0.0.0.0:1'), { code: 'EADDRINUSE' })),
    'another program has it',
  );
  t.is(
    reasonOf(Object.assign(new Error('its own words, open to all'), { code: 'ERR_X' })),
    'its own words, open to all',
  );
  t.is(reasonOf(Object.assign(new Error('x'), { code: 'toString' })), 'x');
  t.is(reasonOf(new HearsayError('failed', 'ENOENT: a, open b')), 'ENOENT: a, open b');
  t.is(reasonOf(undefined), 'undefined');
  t.is(reasonOf('text'), 'text');
});

test('as JSON an error is what the contract says', (t) => {
  t.is(JSON.stringify(new HearsayError('usage', 'what')), '{"error":{"code":"usage","message":"what"}}');
});
