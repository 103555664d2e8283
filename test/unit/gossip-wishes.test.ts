/** What rounds want, where it waits; and who leads, looked up without looking at all. */
import test from 'ava';
import { seeded } from '../../lib/clock.js';
import { Circle } from '../../lib/gossip/circle.js';
import { Context } from '../../lib/gossip/context.js';
import { LEADERS, type Member } from '../../lib/gossip/member.js';
import { type Wish, Wishes } from '../../lib/gossip/wishes.js';
import { blake3 } from '../../lib/hash.js';
import { peerId } from '../../lib/ids.js';
import { type Head, packHead } from '../../lib/wire/head.js';
import { fakeSigner } from '../sim/signer.js';

/** Ids rise with n. */
function headOf(n: number): Head {
  const key = Uint8Array.from(blake3(`key ${n}`));
  const numbers = { port: 1, flags: 0, epoch: 1, version: 1, beat: 1, files: 0, bytes: 0, count: 0, floor: 0 };
  const id = peerId(key, 1_700_000_000_000 + n * 1000);
  return { id, key, name: `peer ${n}`, ...numbers, root: new Uint8Array(32), echo: new Uint8Array(0) };
}

function begun(n = 50) {
  const { id, key } = headOf(n);
  const settings = { id, key, name: 'me', port: 1, epoch: 1, passive: false, tracker: false };
  const context = new Context(settings, fakeSigner(key), seeded(1), () => new Uint8Array(16));
  context.now = 1_000_000;
  return context;
}

const wishAt = (notBefore: number, direct = false): Wish => ({
  misses: 0,
  notBefore,
  held: false,
  direct,
  whole: false,
});
const named = (wishes: Iterable<[string, Wish]>): string[] => [...wishes].map(([writer]) => writer);

test('a wish is held, or waits in one place; what is due comes in the order in which it came', (t) => {
  const context = begun();
  const wishes = new Wishes(context);
  const { now } = context;
  for (const [writer, wish] of [
    ['a', wishAt(now)],
    ['b', wishAt(now + 500)],
    ['c', wishAt(now + 300)],
    ['d', wishAt(now + 900, true)],
    ['e', wishAt(now)],
  ] as const) {
    wishes.add(writer, wish);
  }
  t.deepEqual([named(wishes.directs()), named(wishes.ready()), wishes.ripen()], [['d'], ['a', 'e'], now + 300]);
  wishes.hold('a', wishes.get('a')!);
  wishes.drop('e');
  t.deepEqual(named(wishes.ready()), []);
  context.now += 300;
  t.is(wishes.ripen(), now + 500);
  t.deepEqual(named(wishes.ready()), ['c']);
  // Asked in vain, and to be asked of its writer next.
  wishes.wait('a', Object.assign(wishes.get('a')!, { direct: true }));
  t.deepEqual([named(wishes.directs()), named(wishes.ready())], [['d', 'a'], ['c']]);
  t.false(wishes.get('a')!.held);
  wishes.hurry();
  t.is(wishes.ripen(), Number.POSITIVE_INFINITY);
  t.deepEqual(named(wishes.ready()), ['c', 'b']);
  t.is(wishes.size, 4);
});

test('whether I lead, and whether one who is not live is among the lowest, is so after whoever comes and goes', (t) => {
  const context = begun(50);
  const circle = new Circle(context, () => 300);
  const random = seeded(7);
  const pick = (below: number): number => Math.floor(random() * below);
  const members: Member[] = [];
  for (let n = 0; n < 100; n++) {
    if (n === 50) continue;
    const head = headOf(n);
    members.push(circle.meet(head, { head: packHead(head), sig: new Uint8Array(64) }, 'multicast')!);
  }
  const answers = new Set<string>();
  for (let i = 0; i < 3000; i++) {
    context.now += pick(40);
    // More of the lower ones, so that it matters.
    const member = members[pick(pick(2) === 0 ? 12 : members.length)];
    if (member.state === 'live') circle.bury(member, 0);
    else if (pick(3) === 0) circle.revive(member, member.head);
    else member.knockedAt = context.now;
    const since = context.now - 5000;
    const low = members
      .filter(({ state, knockedAt }) => state !== 'live' && knockedAt > since)
      .map(({ id }) => id)
      .sort();
    const one = members[pick(members.length)];
    const isLow = low.filter((id) => id < one.id).length < LEADERS;
    // One who has not been heard for long may count for a second more.
    const still = members.filter((m) => m.state !== 'live' && m.knockedAt > since - 1000 && m.id < one.id).length;
    if (one.state !== 'live') t.true(circle.isLow(one, since) === isLow || still >= LEADERS, `${i}`);
    const lower = [...circle.live()].filter(({ id }) => id < context.settings.id).length;
    t.is(circle.isLeading, lower < LEADERS, `${i}`);
    answers.add(`${isLow} ${lower < LEADERS}`);
  }
  t.true(answers.size >= 3, [...answers].join(', '));
});
