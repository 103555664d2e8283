/** Pulses: what another's heartbeat shows, and what it does not. */
import test from 'ava';
import { seeded } from '../../lib/clock.js';
import { Circle } from '../../lib/gossip/circle.js';
import { Context } from '../../lib/gossip/context.js';
import { FEW, LEADERS, type Member } from '../../lib/gossip/member.js';
import { Pulses } from '../../lib/gossip/pulses.js';
import { blake3 } from '../../lib/hash.js';
import { peerId } from '../../lib/ids.js';
import { PULSES_MAX } from '../../lib/limits.js';
import { type Head, packHead, readHead } from '../../lib/wire/head.js';
import { fakeSigner } from '../sim/signer.js';

const FROM = { host: '10.0.0.9', port: 5000 };
const sigOf = (n: number): Uint8Array => Uint8Array.from(blake3(`signature ${n}`));
const echoOf = (sig: Uint8Array): Uint8Array => sig.slice(0, 16);

/** Ids rise with n. */
function headOf(n: number, more: Partial<Head> = {}): Head {
  const key = Uint8Array.from(blake3(`key ${n}`));
  const numbers = { port: 1, flags: 0, epoch: 1, version: 1, beat: 1, files: 0, bytes: 0, count: 0, floor: 0 };
  const id = peerId(key, 1_700_000_000_000 + n * 1000);
  return readHead(
    packHead({ id, key, name: `peer ${n}`, ...numbers, root: new Uint8Array(32), echo: new Uint8Array(0), ...more }),
  );
}

function scene() {
  const me = headOf(500);
  const settings = { id: me.id, key: me.key, name: 'me', port: 1, epoch: 1, passive: false, tracker: false };
  const context = new Context(settings, fakeSigner(me.key), seeded(1), () => new Uint8Array(16));
  context.now = 1_000_000;
  const circle = new Circle(context, () => 300);
  const pulses = new Pulses(context, circle);
  const meet = (n: number): Member => {
    const head = headOf(n);
    return circle.meet(head, { head: packHead(head), sig: new Uint8Array(64) }, 'multicast')!;
  };
  const come = (n: number): Member => {
    const member = meet(n);
    circle.revive(member, member.head);
    return member;
  };
  return { context, circle, pulses, meet, come };
}

test('who repeats the heartbeat of a live peer is alive, once for each of its words', (t) => {
  const { context, circle, pulses, meet, come } = scene();
  const [leader, newcomer] = [come(1), meet(2)];
  pulses.heard(leader, headOf(1, { beat: 2 }), sigOf(1), true);
  const said = headOf(2, { beat: 5, echo: echoOf(sigOf(1)) });
  t.true(pulses.proves(newcomer, said, FROM));
  t.false(pulses.proves(newcomer, headOf(2, { echo: echoOf(sigOf(2)) }), FROM), 'nobody signed so');
  t.false(pulses.proves(newcomer, headOf(2), FROM));
  t.false(pulses.proves(leader, headOf(1, { beat: 3, echo: echoOf(sigOf(1)) }), FROM), 'its own');
  circle.revive(newcomer, said);
  t.false(pulses.proves(newcomer, said, FROM), 'a copy');
  t.true(pulses.proves(newcomer, headOf(2, { beat: 6, echo: echoOf(sigOf(1)) }), FROM));
  // Gone since the pulse was heard: what was said before that shows nothing.
  circle.bury(newcomer, 0);
  const later = headOf(2, { beat: 7, echo: echoOf(sigOf(1)) });
  t.false(pulses.proves(newcomer, later, FROM));
  context.now += 10;
  pulses.heard(leader, headOf(1, { beat: 3 }), sigOf(3), true);
  t.true(pulses.proves(newcomer, { ...later, echo: echoOf(sigOf(3)) }, FROM));
  // Of the epoch in which it said goodbye nothing counts.
  circle.bury(newcomer, 1);
  t.false(pulses.proves(newcomer, { ...later, echo: echoOf(sigOf(3)) }, FROM));
  // The one whose pulse it was is no longer here; and a pulse grows old.
  const third = meet(3);
  const repeats = headOf(3, { echo: echoOf(sigOf(3)) });
  t.true(pulses.proves(third, repeats, FROM));
  context.now += 3 * circle.interval;
  t.false(pulses.proves(third, repeats, FROM));
  pulses.heard(leader, headOf(1, { beat: 4 }), sigOf(4), true);
  circle.bury(leader, 0);
  t.false(pulses.proves(third, headOf(3, { echo: echoOf(sigOf(4)) }), FROM));
});

test('a copy of an old heartbeat is no pulse, and of one who is not shown to be alive none counts before it is', (t) => {
  const { context, circle, pulses, meet, come } = scene();
  const leader = come(1);
  pulses.heard(leader, headOf(1, { beat: 1 }), sigOf(1), false);
  t.false(pulses.proves(meet(2), headOf(2, { echo: echoOf(sigOf(1)) }), FROM));
  const unknown = meet(3);
  pulses.heard(unknown, headOf(3, { beat: 4 }), sigOf(3), false);
  const waiting = [4, 5, 6].map(meet);
  for (const [i, member] of waiting.entries()) {
    t.false(pulses.proves(member, headOf(4 + i, { echo: echoOf(sigOf(3)) }), FROM));
  }
  context.now += 1000;
  circle.revive(unknown, headOf(3, { beat: 4 }));
  const proved = pulses.revived(unknown, headOf(3, { beat: 4 }));
  t.deepEqual(
    proved.map(({ member }) => member),
    waiting,
  );
  t.deepEqual(pulses.revived(unknown, headOf(3, { beat: 5 })), []);
  // What it answers shows that it has said more since: then the heartbeat may be an old one that somebody kept.
  const another = meet(7);
  pulses.heard(another, headOf(7, { beat: 4 }), sigOf(7), false);
  const one = meet(8);
  t.false(pulses.proves(one, headOf(8, { echo: echoOf(sigOf(7)) }), FROM));
  circle.revive(another, headOf(7, { beat: 5 }));
  t.deepEqual(pulses.revived(another, headOf(7, { beat: 5 })), []);
  t.false(pulses.proves(one, headOf(8, { echo: echoOf(sigOf(7)) }), FROM));
});

test('a signature that begins as another does not pass for it', (t) => {
  const { pulses, meet, come } = scene();
  const [leader, newcomer] = [come(1), meet(2)];
  const alike = sigOf(1);
  alike[9] ^= 1;
  pulses.heard(leader, headOf(1, { beat: 2 }), sigOf(1), true);
  t.false(pulses.proves(newcomer, headOf(2, { beat: 5, echo: echoOf(alike) }), FROM));
  t.true(pulses.proves(newcomer, headOf(2, { beat: 5, echo: echoOf(sigOf(1)) }), FROM));
});

test('repeated are the pulses of those with the lowest ids, where there are many', (t) => {
  const { pulses, come } = scene();
  const beat = (member: Member, n: number): void => pulses.heard(member, headOf(n, { beat: 2 }), sigOf(n), true);
  for (let n = 1; n < FEW - 1; n++) beat(come(n), n);
  t.is(pulses.echo.length, 0, 'few');
  for (let n = FEW; n < FEW + 10; n++) beat(come(n), n);
  const lowest = Array.from({ length: LEADERS }, (_, i) => Buffer.from(echoOf(sigOf(i + 1))).toString('hex'));
  const chosen = new Set(Array.from({ length: 200 }, () => Buffer.from(pulses.echo).toString('hex')));
  t.deepEqual([...chosen].sort(), lowest.sort());
});

test('so many pulses are kept, the latest', (t) => {
  const { pulses, meet, come } = scene();
  const [leader, one] = [come(1), meet(2)];
  for (let i = 0; i <= PULSES_MAX; i++) pulses.heard(leader, headOf(1, { beat: 2 + i }), sigOf(i), true);
  t.false(pulses.proves(one, headOf(2, { echo: echoOf(sigOf(0)) }), FROM));
  t.true(pulses.proves(one, headOf(2, { echo: echoOf(sigOf(1)) }), FROM));
  t.true(pulses.proves(one, headOf(2, { echo: echoOf(sigOf(PULSES_MAX)) }), FROM));
});
