import test from 'ava';
import { advice, asHearsayError, type Code, exitStatus, HearsayError, isCode } from '../../lib/errors.js';

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

test('as JSON an error is what the contract says', (t) => {
  t.is(JSON.stringify(new HearsayError('usage', 'what')), '{"error":{"code":"usage","message":"what"}}');
});
