import test from 'ava';
import fc from 'fast-check';
import { decodeTime } from 'ulid';
import { seeded } from '../../lib/clock.js';
import { blake3, isContentId } from '../../lib/hash.js';
import { idFitsKey, isPeerId, peerId } from '../../lib/ids.js';

const key = (value: number) => new Uint8Array(32).fill(value);

test('an id fits its key and no other', (t) => {
  const keys = fc.uint8Array({ minLength: 32, maxLength: 32 });
  fc.assert(
    fc.property(keys, keys, fc.integer({ min: 1, max: 2 ** 48 - 1 }), (mine, other, born) => {
      const id = peerId(mine, born);
      t.true(isPeerId(id));
      t.is(decodeTime(id), born);
      t.true(idFitsKey(id, mine));
      t.is(idFitsKey(id, other), Buffer.from(mine).equals(Buffer.from(other)));
    }),
    { numRuns: 200 },
  );
});

test('the 80 bits are those of the hash, in base 32, and stay so in every version', (t) => {
  const hash = blake3(Buffer.concat([Buffer.from('hearsay peer key 1\0'), key(7)]));
  let bits = BigInt(`0x${hash.subarray(0, 10).toString('hex')}`);
  let text = '';
  for (let i = 0; i < 16; i++, bits >>= 5n) text = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'[Number(bits & 31n)] + text;
  t.is(peerId(key(7), 1_700_000_000_000), `01HF7YAT00${text}`);
  t.is(text, 'C4Z2WJHYGXC28A3G');
});

test('every one of the 80 bits counts', (t) => {
  const id = peerId(key(1), 5);
  for (let i = 10; i < 26; i++) {
    const changed = id.slice(0, i) + (id[i] === '0' ? '1' : '0') + id.slice(i + 1);
    t.false(idFitsKey(changed, key(1)), changed);
  }
  t.false(idFitsKey(id, key(1).subarray(0, 31)));
});

test('only the canonical form is a peer id', (t) => {
  const id = peerId(key(1), 5);
  for (const wrong of [
    '',
    id.toLowerCase(),
    ` ${id}`,
    `${id}\n`,
    id.slice(0, 25),
    `${id.slice(0, 25)}I`,
    'é'.repeat(26),
  ]) {
    t.false(isPeerId(wrong), JSON.stringify(wrong));
  }
});

test('BLAKE3 is the real one', (t) => {
  // The first vector of the BLAKE3 authors' own list: no input.
  t.is(blake3(new Uint8Array(0)).toString('hex'), 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262');
  t.true(isContentId(blake3('x').toString('hex')));
  t.false(isContentId('A'.repeat(64)));
  t.false(isContentId('a'.repeat(63)));
});

test('a seed gives the same numbers again, another one others', (t) => {
  const draw = (seed: number) => Array.from({ length: 1000 }, seeded(seed));
  t.deepEqual(draw(1), draw(1));
  t.notDeepEqual(draw(1), draw(2));
  t.true(draw(3).every((n) => n >= 0 && n < 1));
  const mean = draw(4).reduce((sum, n) => sum + n, 0) / 1000;
  t.true(mean > 0.45 && mean < 0.55);
});
