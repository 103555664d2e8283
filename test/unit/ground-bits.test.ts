import test from 'ava';
import fc from 'fast-check';
import { Bits } from '../../lib/bits.js';

test('it behaves as a set of numbers', (t) => {
  const steps = fc.array(fc.tuple(fc.boolean(), fc.integer({ min: -2, max: 40 })));
  fc.assert(
    fc.property(fc.nat({ max: 35 }), steps, (length, changes) => {
      const bits = new Bits(length);
      const set = new Set<number>();
      for (const [add, i] of changes) {
        const within = i >= 0 && i < length;
        if (add) {
          t.is(bits.add(i), within && !set.has(i));
          if (within) set.add(i);
        } else t.is(bits.delete(i), set.delete(i));
        t.is(bits.count, set.size);
      }
      for (let i = -2; i < 42; i++) t.is(bits.has(i), set.has(i));
      t.is(bits.isFull, set.size === length);
    }),
    { numRuns: 200 },
  );
});

test('bytes are copied, missing ones are zero, bits beyond the end are cleared', (t) => {
  const bytes = Uint8Array.of(0xff, 0xff, 0xff);
  const bits = new Bits(11, bytes);
  t.is(bits.count, 11);
  t.true(bits.isFull);
  t.deepEqual(bits.bytes, Uint8Array.of(0xff, 0x07));
  bits.delete(0);
  t.is(bytes[0], 0xff);
  const short = new Bits(11, Uint8Array.of(1));
  t.is(short.count, 1);
  t.deepEqual(short.bytes, Uint8Array.of(1, 0));
});

test('bit 0 is the lowest bit of the first byte', (t) => {
  const bits = new Bits(16);
  bits.add(0);
  bits.add(9);
  t.deepEqual(bits.bytes, Uint8Array.of(1, 2));
});

test('full and empty sets', (t) => {
  t.is(Bits.full(13).count, 13);
  t.deepEqual(Bits.full(13).bytes, Uint8Array.of(0xff, 0x1f));
  t.true(new Bits(0).isFull);
  t.false(new Bits(1).isFull);
});
