/** What a source gives to which of several receivers: each chunk to one, nobody held up by one who stands still. */
import test from 'ava';
import { PROMISED_MAX } from '../../lib/limits.js';
import { Guide, type Word } from '../../lib/transfer/guide.js';

const KIB = 1 << 10;
/** A guide of so many chunks. */
const guideOf = (chunks: number, lot = 0) => new Guide<string>(chunks * 256 * KIB, lot);

/** Receivers who do as they are told. */
class Told {
  readonly promised = new Map<string, number[]>();
  readonly free = new Set<string>();

  take(words: Word<string>[]): void {
    for (const { member, chunks, free } of words) {
      const all = this.promised.get(member) ?? [];
      all.push(...chunks);
      this.promised.set(member, free ? [] : all);
      if (free) this.free.add(member);
      else this.free.delete(member);
    }
  }

  of(member: string): number[] {
    return this.promised.get(member) ?? [];
  }

  get all(): number[] {
    return [...this.promised.values()].flat();
  }
}

test('one receiver asks for what it likes; with a second one each gets chunks of its own', (t) => {
  const guide = guideOf(64);
  const told = new Told();
  told.take(guide.join('a', 0));
  told.take(guide.asked('a', 0, 0));
  t.deepEqual(told.all, [], 'nobody is told anything');
  told.take(guide.join('b', 1));
  t.true(told.of('a').length > 0 && told.of('b').length > 0);
  t.is(new Set([0, ...told.all]).size, 1 + told.all.length, 'each chunk to one, and not what was asked for already');
});

test('each chunk is given once, in turn, until all are out; then everyone is free', (t) => {
  const guide = guideOf(200, 0.5);
  const told = new Told();
  const members = ['a', 'b', 'c', 'd', 'e'];
  for (const member of members) told.take(guide.join(member, 0));
  t.is(told.all[0], 100, 'from where the lot says');
  const given = new Map<number, string>();
  for (let now = 1; guide.left > 0; now++) {
    const member = members[now % members.length];
    const chunk = told.of(member).shift();
    t.not(chunk, undefined, `${member} has nothing to ask for with ${guide.left} left`);
    if (chunk === undefined) return;
    t.false(given.has(chunk));
    given.set(chunk, member);
    told.take(guide.asked(member, chunk, now));
    told.take(guide.arrived(member, chunk, now));
    // The last ones are promised already.
    if (guide.left < 3 * members.length) break;
  }
  for (const member of members) {
    for (const chunk of told.of(member).splice(0)) {
      given.set(chunk, member);
      told.take(guide.arrived(member, chunk, 1000));
    }
  }
  t.is(guide.left, 0);
  t.is(given.size, 200);
  t.deepEqual([...told.free].sort(), members);
  t.deepEqual(guide.join('late', 2000), [], 'who comes then is free from the beginning');
});

test('who gets much in a moment is promised more, and no more than may be', (t) => {
  const guide = guideOf(500);
  const told = new Told();
  told.take(guide.join('fast', 0));
  told.take(guide.join('slow', 0));
  const few = told.of('fast').length;
  t.true(few <= 4, `${few}`);
  let most = 0;
  for (let i = 0; i < 300; i++) {
    const chunk = told.of('fast').shift();
    if (chunk === undefined) break;
    told.take(guide.asked('fast', chunk, i / 10));
    told.take(guide.arrived('fast', chunk, i / 10));
    most = Math.max(most, told.of('fast').length);
  }
  t.is(most, PROMISED_MAX, 'as many as may be');
  t.true(told.of('slow').length <= 4);
});

test('what one who leaves was promised, or asked for in vain, is for others', (t) => {
  const guide = guideOf(8);
  const told = new Told();
  for (const member of ['a', 'b', 'c']) told.take(guide.join(member, 0));
  const [first, ...rest] = told.of('a');
  told.take(guide.asked('a', first, 1));
  told.take(guide.leave('a', 2));
  for (let now = 3; guide.left > 0 && now < 100; now++) {
    for (const member of ['b', 'c']) {
      const chunk = told.of(member).shift();
      if (chunk !== undefined) told.take(guide.arrived(member, chunk, now));
    }
  }
  t.is(guide.left, 0, `${[first, ...rest]} are out as well`);
});

test('what a receiver has of others is not waited for', (t) => {
  const guide = guideOf(16);
  const told = new Told();
  for (const member of ['a', 'b']) told.take(guide.join(member, 0));
  const had = told.of('a').splice(0);
  told.take(guide.spare('a', had, 1));
  t.is(guide.left, 16 - had.length);
  t.is(told.of('a').length, had.length, 'others in their place');
  t.is(told.all.filter((chunk) => had.includes(chunk)).length, 0);
  told.take(guide.spare('b', [...told.of('a'), 10_000], 2));
  t.is(guide.left, 16 - had.length, 'nobody speaks for another');
});

test('those who stand still hold up nobody for long', (t) => {
  const guide = guideOf(64);
  const told = new Told();
  for (let i = 0; i < 20; i++) told.take(guide.join(`still ${i}`, 0));
  told.take(guide.join('a', 0));
  t.deepEqual(told.of('a'), [], 'all that may be promised is');
  const held = told.all;
  told.take(guide.asked('a', 60, 2500));
  t.true(told.of('a').length > 0);
  for (let now = 2501; now < 2600 && guide.left > 0; now++) {
    const chunk = told.of('a').shift() ?? 60;
    told.take(guide.arrived('a', chunk, now));
  }
  t.is(guide.left, 0, `also ${held.length} that were promised to them`);
});
