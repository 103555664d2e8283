/** What a relay hands on: what it answers to a digest, and what counts of an answer. */
import test from 'ava';
import { seeded } from '../../lib/clock.js';
import { Arrivals } from '../../lib/gossip/arrivals.js';
import { Circle } from '../../lib/gossip/circle.js';
import { Context } from '../../lib/gossip/context.js';
import { answerDigest, type Held } from '../../lib/gossip/digests.js';
import type { Settings } from '../../lib/gossip/events.js';
import { Heads } from '../../lib/gossip/heads.js';
import type { Member } from '../../lib/gossip/member.js';
import { Own } from '../../lib/gossip/own.js';
import { SHELVING } from '../../lib/gossip/shelving.js';
import { blake3 } from '../../lib/hash.js';
import { peerId } from '../../lib/ids.js';
import { BUCKETS, OFFERS_PER_PAGE } from '../../lib/limits.js';
import type { Offer } from '../../lib/offer.js';
import type { Proof } from '../../lib/shelf/shelf.js';
import { readHead } from '../../lib/wire/head.js';
import type { MessageOf } from '../../lib/wire/table.js';
import { file, files, removed } from '../sim/share.js';
import { fakeSigner } from '../sim/signer.js';

const NONE = new Uint8Array(0);
const ALL = new Uint8Array(BUCKETS / 8).fill(255);

function settingsOf(n: number, epoch = 1): Settings {
  const key = Uint8Array.from(blake3(`key ${n}`));
  const id = peerId(key, 1_700_000_000_000 + n);
  return { id, key, name: `peer ${n}`, port: 47748, epoch, passive: false, tracker: false };
}

/** A writer's own shelf, and its states. */
function writer(epoch = 1) {
  const settings = settingsOf(1, epoch);
  const own = new Own(settings, fakeSigner(settings.key));
  const state = (): { offers: Offer[]; proof: Proof } => ({ offers: own.shelf.snapshot(), proof: own.head() });
  return { settings, own, state };
}

/** A reader that knows of a writer by its head. */
function reader(proof: Proof) {
  const settings = settingsOf(2);
  const random = seeded(2);
  const context = new Context(settings, fakeSigner(settings.key), random, () => new Uint8Array(16));
  const circle = new Circle(context, () => 300);
  const heads = new Heads(context, () => false);
  const arrivals = new Arrivals(context, circle, heads);
  const member = circle.meet(readHead(proof.head), proof, 'multicast') as Member;
  circle.revive(member, member.head);
  const from = settingsOf(3).id;
  const take = (offers: Offer[], by: Proof, replaced = ALL, version = 0, asked = member.head) =>
    arrivals.take(member, { from, asked, version, offers, load: offers.length, replaced, proof: by });
  const shown = () => [...circle.index.of(member.id)].map(({ path }) => path).sort();
  return { circle, member, take, shown };
}

test('of what a relay hands on, nothing counts that is older than what the writer was known to have said', (t) => {
  const { own, state } = writer();
  own.change([file('kept', 'k'), file('deleted', 'd')]);
  const before = state();
  own.change([removed('deleted')]);
  const after = state();
  const { take, shown, member } = reader(after.proof);
  t.is(take(before.offers, before.proof), 'old');
  t.deepEqual(shown(), []);
  t.is(take(after.offers, after.proof), 'taken');
  t.deepEqual(shown(), ['kept']);
  // It is let go for want of room, and asked for anew: the older state does not come back either.
  member.shelf = undefined;
  t.is(take(before.offers, before.proof), 'old');
  // Of another run that began below it, nothing at all.
  const earlier = writer(1);
  const later = writer(2);
  later.own.change([file('of the second run', 's')]);
  const again = reader(later.state().proof);
  earlier.own.change([file('of the first run', 'f')]);
  t.is(again.take(earlier.state().offers, earlier.state().proof), 'old');
  t.deepEqual(again.shown(), []);
});

test('where something is kept, each state that follows on it counts, though it is not the newest', (t) => {
  const { own, state } = writer();
  own.change([file('a', 'a')]);
  const first = state();
  own.change([file('b', 'b')]);
  const second = { offers: own.shelf.since(1) ?? [], proof: own.head() };
  own.change([file('c', 'c')]);
  const { take, shown, circle } = reader(first.proof);
  t.is(take(first.offers, first.proof), 'taken');
  const newest = own.head();
  const member = circle.meet(readHead(newest.head), newest, 'multicast') as Member;
  t.is(take(second.offers, second.proof, NONE, 1, member.head), 'taken');
  t.deepEqual(shown(), ['a', 'b']);
});

test('what is not what the writer signed is unfit, whatever head comes with it', (t) => {
  const { own, state } = writer();
  own.change([file('a', 'a')]);
  const { offers, proof } = state();
  const { take, shown } = reader(proof);
  t.is(take([...offers, { ...file('planted', 'p'), version: 2 }], proof), 'unfit');
  t.is(take([], proof), 'unfit');
  t.is(take(offers, { head: NONE, sig: NONE }), 'unfit');
  const other = new Own(settingsOf(4), fakeSigner(settingsOf(4).key));
  other.change([file('a', 'a')]);
  t.is(take(offers, other.head()), 'unfit');
  // A newer head has to be signed.
  own.change([file('b', 'b')]);
  t.is(take(state().offers, { head: own.head().head, sig: new Uint8Array(64) }), 'unfit');
  t.deepEqual(shown(), []);
  t.is(take(state().offers, state().proof), 'taken');
  t.deepEqual(shown(), ['a', 'b']);
});

/** Answers to a digest that asks for one writer. */
function answers(held: Held | undefined, known: Partial<MessageOf<'b'>['known'][number]>, times = 1) {
  const asked = { writer: settingsOf(1).id, epoch: 1, version: 0, least: 0, ...known };
  const message: MessageOf<'b'> = { type: 'b', number: 7, known: Array.from({ length: times }, () => asked) };
  const pages = [...answerDigest(message, () => held, SHELVING)];
  const end = pages.pop();
  if (end?.type !== 'E' || end.code !== '' || end.number !== 7) throw new Error('no end');
  return pages.map((page) => page as MessageOf<'r'>);
}

test('a digest is answered with what followed, or with the whole, where that is newer and of use', (t) => {
  const { own } = writer();
  own.change(files('f', 10));
  own.change([removed('f/file 3.txt')]);
  const held = { shelf: own.shelf, proof: own.head() };
  const [whole, ...more] = answers(held, { least: 11 }, 3);
  t.is(more.length, 0, 'asked for three times, told once');
  t.is(whole.offers.length, 9);
  t.deepEqual(Buffer.from(whole.replaced), Buffer.from(ALL));
  t.deepEqual(whole.head, held.proof.head);
  const [delta] = answers(held, { version: 8, least: 9 });
  t.deepEqual(
    delta.offers.map(({ version }) => version),
    [9, 10, 11],
  );
  t.is(delta.replaced.length, 0);
  t.deepEqual(answers(held, { least: 12 }), [], 'too old to be of use');
  t.deepEqual(answers(held, { version: 11, least: 12 }), []);
  t.deepEqual(answers(held, { epoch: 2, least: 0 }), [], 'of an earlier run');
  t.deepEqual(answers(undefined, {}), []);
  t.is(answers(held, { epoch: 0, version: 5, least: 99 })[0].offers.length, 9, 'a later run than it knows');
});

test('what is more than a page is only named', (t) => {
  const { own } = writer();
  own.change(files('f', OFFERS_PER_PAGE));
  const held = () => ({ shelf: own.shelf, proof: own.head() });
  t.is(answers(held(), {})[0].offers.length, OFFERS_PER_PAGE);
  own.change(files('g', 1));
  t.deepEqual(
    answers(held(), {}).map(({ offers, head }) => [offers.length, head.length]),
    [[0, 0]],
  );
  t.is(answers(held(), { version: OFFERS_PER_PAGE - 1, least: OFFERS_PER_PAGE })[0].offers.length, 2);
});
