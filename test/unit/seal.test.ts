import test from 'ava';
import fc from 'fast-check';
import { ReplayWindow } from '../../lib/net/replay.js';
import { looksSealed, SEAL_BYTES, Sealer } from '../../lib/net/seal.js';

const KEY = Buffer.alloc(32, 7);
let salts = 0;
/** Salts that differ, and are the same in each run. */
const salt = (bytes: number) => Buffer.alloc(bytes, `salt ${salts++} `);
const sealer = (key = KEY, counter = 0) => new Sealer(key, salt, counter);
const HOST = '10.0.0.1';

/** What has the shape of a sealed datagram and opens for nobody. */
function junk(n: number): Buffer {
  const data = Buffer.alloc(300, `junk ${n} `);
  return data.fill(0, 16, 20);
}

test('golden bytes', (t) => {
  const one = new Sealer(
    Buffer.from('000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f', 'hex'),
    (bytes) => Buffer.alloc(bytes, 0xa5),
  );
  const expected = [
    'a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a500000000000000003f6604c27e2eb35438fd4ff2f76c931800ea091561730e',
    'a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5000000000000000114373a71fe9075328f94a8bd20a6d33e179bfd9dc8613f',
  ];
  for (const hex of expected) t.is(one.seal(Buffer.from('hearsay')).toString('hex'), hex);
});

test('what one seals the other opens, once', (t) => {
  const [a, b] = [sealer(), sealer()];
  for (const text of ['x', 'a longer message', 'y'.repeat(1160)]) {
    const sealed = a.seal(Buffer.from(text));
    t.is(sealed.length, text.length + SEAL_BYTES);
    t.true(looksSealed(sealed));
    t.false(sealed.includes(text) && text.length > 1);
    t.is(b.open(sealed, HOST, 0).toString(), text);
    t.is(b.open(sealed, HOST, 0), 'replayed');
    t.is(b.open(sealed, '10.0.0.2', 0), 'replayed');
  }
  t.like(b.counters, { opened: 3, replayed: 6 });
  t.is(a.counters.sealed, 3);
});

test('whoever has another key reads nothing', (t) => {
  const other = sealer(Buffer.alloc(32, 8));
  t.is(other.open(sealer().seal(Buffer.from('hello')), HOST, 0), 'foreign');
  t.is(sealer().open(other.seal(Buffer.from('hello')), HOST, 0), 'foreign');
});

test('one bit changed anywhere, or a byte less, and it does not open; the true one still does', (t) => {
  const [a, b] = [sealer(), sealer()];
  b.open(a.seal(Buffer.from('first')), HOST, 0);
  const sealed = a.seal(Buffer.from('message'));
  for (let bit = 0; bit < sealed.length * 8; bit++) {
    const changed = Buffer.from(sealed);
    changed[bit >> 3] ^= 1 << (bit & 7);
    const opened = b.open(changed, HOST, bit * 100);
    t.true(typeof opened === 'string' && opened !== 'limited', `bit ${bit}: ${opened}`);
  }
  for (let length = 0; length < sealed.length; length++) {
    t.is(typeof b.open(sealed.subarray(0, length), HOST, 1e6 + length * 100), 'string', `${length} bytes`);
  }
  t.is(b.open(sealed, HOST, 2e6).toString(), 'message');
});

test('datagrams that overtake each other all open; one as old as the window does not', (t) => {
  const [a, b] = [sealer(), sealer()];
  const all = Array.from({ length: 3000 }, (_, i) => a.seal(Buffer.from([i & 255])));
  const opens = (i: number) => typeof b.open(all[i], HOST, 0) !== 'string';
  t.true(opens(1023));
  for (let i = 0; i < 1023; i++) t.true(opens(i), `${i}`);
  t.true(opens(2500));
  t.false(opens(2500 - 1024), 'too old');
  t.true(opens(2500 - 1023), 'not too old');
  t.false(opens(2500 - 1023), 'once');
  t.true(opens(2999));
  t.false(opens(1024));
});

test('the window of counters is that of a set', (t) => {
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(
          fc.nat(5000),
          fc.integer({ min: 2 ** 31 - 2000, max: 2 ** 31 + 2000 }),
          fc.integer({ min: 2 ** 32 - 3000, max: 2 ** 32 - 1 }),
        ),
        { maxLength: 300 },
      ),
      (counters) => {
        const window = new ReplayWindow();
        const seen = new Set<number>();
        let highest = -1;
        for (const counter of counters) {
          const fresh = !seen.has(counter) && highest - counter < 1024;
          if (window.fresh(counter) !== fresh) return false;
          if (!fresh) continue;
          window.mark(counter);
          seen.add(counter);
          highest = Math.max(highest, counter);
        }
        return true;
      },
    ),
  );
  t.pass();
});

test('what came is not fresh again anywhere in the window, whatever the highest is', (t) => {
  const window = new ReplayWindow();
  for (let n = 0; n < 4000; n++) {
    t.true(window.fresh(n));
    window.mark(n);
    for (const back of [0, 1, 500, 991, 992, 993, 1023])
      if (window.fresh(Math.max(0, n - back))) t.fail(`${n} ${back}`);
  }
});

test('no counter comes twice under one salt: when they are used up, a fresh salt is taken', (t) => {
  const a = sealer(KEY, 2 ** 32 - 2);
  const b = sealer();
  const all = [1, 2, 3, 4].map((i) => a.seal(Buffer.from([i])));
  const heads = all.map((data) => data.toString('hex', 0, 24));
  t.is(new Set(heads).size, 4);
  t.deepEqual(
    heads.map((head) => head.slice(32)),
    ['00000000fffffffe', '00000000ffffffff', '0000000000000000', '0000000000000001'],
  );
  t.is(heads[0].slice(0, 32), heads[1].slice(0, 32));
  t.not(heads[1].slice(0, 32), heads[2].slice(0, 32));
  for (const [i, data] of all.entries()) t.deepEqual([...Buffer.from(b.open(data, HOST, 0) as Buffer)], [i + 1]);
});

test('what does not have the shape costs no arithmetic', (t) => {
  const b = sealer();
  const random = Buffer.alloc(300, 0x5a);
  for (let i = 0; i < 20_000; i++) b.open(random, HOST, i / 20);
  t.like(b.counters, { shapeless: 20_000, foreign: 0, limited: 0 });
  for (const size of [0, SEAL_BYTES, 1201]) t.is(b.open(Buffer.alloc(size), HOST, 0), 'shapeless');
});

test('20,000 a second from one address, or from ever others: few are tried, members are all heard', (t) => {
  for (const spoofed of [false, true]) {
    const b = sealer();
    const members = Array.from({ length: 10 }, (_, i) => ({ host: `10.0.1.${i}`, from: sealer() }));
    for (const { host, from } of members) b.open(from.seal(Buffer.from('hello')), host, 0);
    let heard = 0;
    let newcomer = 0;
    for (let ms = 1; ms <= 5000; ms++) {
      for (let i = 0; i < 20; i++) {
        const n = ms * 20 + i;
        b.open(junk(n), spoofed ? `10.${n & 127}.${(n >> 7) & 255}.9` : '10.9.9.9', ms);
      }
      if (ms % 100 !== 0) continue;
      for (const { host, from } of members)
        if (typeof b.open(from.seal(Buffer.from('x')), host, ms) !== 'string') heard++;
      // A member that starts anew has another salt, and its machine is known.
      if (typeof b.open(sealer().seal(Buffer.from('y')), '10.0.1.3', ms) !== 'string') newcomer++;
    }
    t.is(heard, 500, 'each of the members is heard each time');
    t.is(newcomer, 50);
    t.true(b.counters.foreign <= (spoofed ? 1000 * 6 : 100 * 6), `${b.counters.foreign} were tried`);
    t.true(b.counters.limited > 90_000);
  }
});

test('a salt that is known, seen from another address, has no privilege there, and takes none from its owner', (t) => {
  const [a, b] = [sealer(), sealer()];
  b.open(a.seal(Buffer.from('hello')), HOST, 0);
  const forged = a.seal(Buffer.from('x'));
  forged[forged.length - 1] ^= 1;
  for (let i = 0; i < 1000; i++) b.open(forged, '10.9.9.9', 0);
  t.like(b.counters, { foreign: 100, limited: 900 });
  t.is(b.open(a.seal(Buffer.from('true')), HOST, 0).toString(), 'true');
});

test('the senders remembered are bounded, and one that was forgotten is heard again', (t) => {
  const b = sealer();
  const first = sealer();
  b.open(first.seal(Buffer.from('1')), HOST, 0);
  for (let i = 0; i < 10_001; i++) {
    const data = sealer().seal(Buffer.from('x'));
    if (i % 5000 === 0) t.not(b.open(data, `10.2.${i >> 8}.${i & 255}`, i * 10), 'limited');
    else b.open(data, `10.2.${i >> 8}.${i & 255}`, i * 10);
  }
  t.is(b.counters.opened, 10_002);
  t.is(b.open(first.seal(Buffer.from('2')), HOST, 1e6).toString(), '2');
});
