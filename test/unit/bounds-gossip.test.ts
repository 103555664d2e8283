/** Bounds of the index and of who is here, each reached: who takes most gives way, and who takes little always finds room. */
import test from 'ava';
import { seeded } from '../../lib/clock.js';
import { HearsayError } from '../../lib/errors.js';
import { Circle, type CircleMost } from '../../lib/gossip/circle.js';
import { Context } from '../../lib/gossip/context.js';
import { type Effect, Gossip } from '../../lib/gossip/gossip.js';
import { Heads } from '../../lib/gossip/heads.js';
import { Links } from '../../lib/gossip/links.js';
import { addAddress, addProved, type Member, newMember } from '../../lib/gossip/member.js';
import { FEW } from '../../lib/gossip/pulls.js';
import { crowded, heaviest } from '../../lib/gossip/room.js';
import { blake3 } from '../../lib/hash.js';
import { peerId } from '../../lib/ids.js';
import {
  ADDRESSES_MAX,
  ASKERS_MAX,
  CHECKED_MAX,
  DIALS_MAX,
  DIALS_QUEUED_MAX,
  DIALS_QUEUED_OF_ONE_MAX,
  GATHERED_MAX,
  GONE_OFFERS_MAX,
  GONE_SHELVES_MAX,
  HITS_MAX,
  NEIGHBOURS_MAX,
  OFFERS_MAX,
  OFFERS_PER_PAGE,
  OFFERS_PER_PEER_MAX,
  PEERS_MAX,
  PEERS_PER_ADDRESS_MAX,
  PULLS_MAX,
  TRACKER_PULLS_MAX,
  WORDS_MAX,
} from '../../lib/limits.js';
import type { Offer } from '../../lib/offer.js';
import { answerFind } from '../../lib/shelf/answers.js';
import { wordMatcher } from '../../lib/shelf/query.js';
import { Shelf } from '../../lib/shelf/shelf.js';
import { difference } from '../../lib/shelf/staging.js';
import { type Head, headStatement, packHead, readHead } from '../../lib/wire/head.js';
import { fakeSigner } from '../sim/signer.js';

const NONE = new Uint8Array(0);

function headOf(n: number, more: Partial<Head> = {}) {
  const key = Uint8Array.from(blake3(`key ${n}`));
  const id = peerId(key, 1_700_000_000_000 + n);
  const counts = { epoch: 1, version: 1, beat: 1, files: 1, bytes: 1, count: 1, floor: 0 };
  const packed = packHead({
    id,
    key,
    name: `peer ${n}`,
    port: 1,
    flags: 0,
    ...counts,
    root: new Uint8Array(32),
    echo: NONE,
    ...more,
  });
  return { head: readHead(packed), proof: { head: packed, sig: fakeSigner(key).sign(headStatement(packed)) } };
}

function settingsOf(n: number) {
  const { head } = headOf(n);
  return { id: head.id, key: head.key, name: 'me', port: 1, epoch: 1, passive: false, tracker: false };
}

/** A circle with small bounds, and what it told. */
function circle(most: Partial<CircleMost>) {
  const { key } = settingsOf(0);
  const context = new Context(settingsOf(0), fakeSigner(key), seeded(1), () => new Uint8Array(16));
  const all = {
    offers: OFFERS_MAX,
    peers: PEERS_MAX,
    perAddress: PEERS_PER_ADDRESS_MAX,
    goneShelves: GONE_SHELVES_MAX,
    goneOffers: GONE_OFFERS_MAX,
  };
  const one = new Circle(context, () => 400, { ...all, ...most });
  /** A live peer at a host, with some offers. */
  const come = (n: number, host: string, offers = 0): Member | undefined => {
    context.now += 1000;
    const { head, proof } = headOf(n, { count: offers });
    const member = one.meet(head, proof, 'multicast');
    if (!member) return undefined;
    addProved(member, { host, port: 47748 });
    one.revive(member, head);
    if (offers > 0 && one.takeRoom(head, member.shelf)) {
      const shelf = new Shelf(head.id, 1);
      for (let i = 1; i <= offers; i++) {
        shelf.put({ path: `${n}/${i}`, kind: 'file', size: 1, mtime: 1, id: null, version: i });
      }
      one.commit(member, { shelf, changes: difference(undefined, shelf) });
    }
    return member;
  };
  return { one, context, come };
}

test('where there are as many peers as may be, one address that has very many gives one up', (t) => {
  const { one, come } = circle({ peers: 10, perAddress: 3 });
  const out: string[] = [];
  one.onCrowdedOut = ({ id }) => out.push(id);
  const honest = come(1, '10.0.0.2');
  const flood = Array.from({ length: 40 }, (_, i) => come(100 + i, '10.0.0.66'));
  t.is(one.live().size, 10);
  t.is(out.length, 31);
  t.is(honest?.state, 'live');
  const second = come(2, '10.0.0.3');
  t.is(second?.state, 'live');
  t.is(honest?.state, 'live');
  t.is(flood.filter((member) => member && one.get(member.id)).length, 8);
});

test('where every peer is of an address of its own, those that are here stay', (t) => {
  const { one, come } = circle({ peers: 10, perAddress: 3 });
  const first = Array.from({ length: 10 }, (_, i) => come(i + 1, `10.0.0.${i + 2}`));
  t.is(come(99, '10.0.0.99'), undefined);
  t.true(first.every((member) => member?.state === 'live'));
  t.is(one.live().size, 10);
});

test('where the index is full, who takes most of it gives way; it does not come back', (t) => {
  const { one, come } = circle({ offers: 100 });
  come(1, '10.0.0.66', 50);
  come(2, '10.0.0.66', 40);
  come(3, '10.0.0.3', 5);
  t.is(one.index.size, 95);
  const modest = come(4, '10.0.0.2', 30);
  t.is(one.index.size, 75);
  t.is([...one.index.of(modest!.id)].length, 30);
  t.is(one.live().size, 4, 'it is still here, its offers are not');
  const { head } = headOf(1, { count: 50 });
  t.false(one.hasRoom(head, undefined));
  t.false(one.takeRoom(head, undefined));
  t.is(one.index.size, 75);
  // Many identities with a little each, of one address, take no more than one with much.
  const { one: other, come: arrive } = circle({ offers: 100 });
  for (let i = 0; i < 50; i++) arrive(100 + i, '10.0.0.66', 2);
  const late = arrive(1, '10.0.0.2', 20);
  t.is([...other.index.of(late!.id)].length, 20);
});

test('who loses is of the address with most', (t) => {
  const member = (n: number, host: string, offers: number, heardAt: number): Member => {
    const { head, proof } = headOf(n);
    const one = newMember(head, proof, 'multicast', heardAt);
    addProved(one, { host, port: 1 });
    one.shelf = new Shelf(head.id, 1);
    for (let i = 1; i <= offers; i++) {
      one.shelf.put({ path: `${i}`, kind: 'file', size: 1, mtime: 1, id: null, version: i });
    }
    return one;
  };
  const [a, b, c] = [member(1, 'x', 5, 3), member(2, 'x', 4, 2), member(3, 'y', 8, 1)];
  const all = [a, b, c];
  t.is(heaviest(all, undefined, 1), a);
  t.is(heaviest(all, c, 8), a, 'c would have 8, x has 9');
  t.is(heaviest(all, c, 9), undefined);
  t.is(heaviest(all, a, 5), undefined, 'nobody loses to one of the same address');
  t.is(heaviest([], undefined, 1), undefined);
  t.is(crowded(all, 1), b);
  t.is(crowded(all, 2), undefined);
});

test('shelves of peers that are gone are kept up to a number', (t) => {
  const { one, come } = circle({ goneShelves: 3 });
  const all = Array.from({ length: 10 }, (_, i) => come(i + 1, `10.0.0.${i + 2}`, 1)!);
  for (const member of all) one.bury(member, 0);
  t.is(all.filter(({ shelf }) => shelf).length, 3);
  t.truthy(all[9].shelf, 'the latest');
  t.is(one.index.size, 0);
});

test('the shelves of those that are gone take no more room than they may; who comes back is no longer one of them', (t) => {
  const { one, come } = circle({ goneOffers: 100 });
  const all = [40, 40, 15, 30].map((offers, i) => come(i + 1, `10.0.0.${i + 2}`, offers)!);
  for (const member of all.slice(0, 3)) one.bury(member, 0);
  const isKept = ({ shelf }: Member) => shelf !== undefined;
  t.true(all.every(isKept), '95');
  one.revive(all[0], all[0].head);
  one.bury(all[3], 0);
  t.true(all.every(isKept), '85, and 40 that are live');
  one.bury(all[0], 0);
  // 40 + 15 + 30 + 40: the one that went first of those that are gone now gives up its own.
  t.deepEqual(all.map(isKept), [true, false, true, true]);
  const vast = come(9, '10.0.0.99', 101)!;
  one.bury(vast, 0);
  t.false([...all, vast].some(isKept));
});

test('addresses of one peer are kept up to a number, the latest heard', (t) => {
  const { head, proof } = headOf(1);
  const member = newMember(head, proof, 'multicast', 0);
  for (let i = 0; i < 100; i++) addAddress(member, `10.0.0.${i}:1`);
  t.is(member.addresses.size, ADDRESSES_MAX);
  t.true(member.addresses.has('10.0.0.99:1'));
});

test('one who says that it has ten million files is not pulled from, and named once', (t) => {
  const me = settingsOf(0);
  const gossip = new Gossip(me, fakeSigner(me.key), seeded(1), () => new Uint8Array(16));
  gossip.handle({ kind: 'start' }, 0);
  const effects: Effect[] = [];
  let now = 1;
  const drain = (more: Effect[]) => {
    effects.push(...more);
    for (const effect of more) {
      if (effect.kind !== 'timer' || effect.at > now + 5000) continue;
      now = Math.max(now, effect.at);
      if (effect.timer.kind === 'pull') drain(gossip.handle({ kind: 'timer', timer: effect.timer }, now));
    }
  };
  const connect = (n: number, count: number, version: number) => {
    const { head, proof } = headOf(n, { count, version, beat: version });
    const address = { host: `10.0.0.${n}`, port: 1 };
    drain(gossip.handle({ kind: 'connected', peer: head.id, ...proof, address, dialled: false }, ++now));
  };
  for (let version = 1; version <= 20; version++) connect(66, 10_000_000, version);
  connect(2, 10, 1);
  const pulls = effects.flatMap((effect) => (effect.kind === 'pull' ? [effect.from] : []));
  t.deepEqual(pulls, [headOf(2).head.id]);
  const warnings = effects.flatMap((effect) => (effect.kind === 'warning' ? [effect.message] : []));
  t.is(warnings.length, 1);
  t.regex(warnings[0], /peer 66/);
  t.true(OFFERS_PER_PEER_MAX < 10_000_000);
  t.is(gossip.peers().length, 3);
});

test('an answer tells of so many offers at most', (t) => {
  const offer: Offer = { path: 'f', kind: 'file', size: 1, mtime: 1, id: null, version: 1 };
  function* endless() {
    for (;;) yield offer;
  }
  let told = 0;
  let last = false;
  for (const page of answerFind(endless(), [], { type: 'F', number: 1, kind: 0, text: '' })) {
    told += page.offers.length;
    last = page.last;
  }
  t.is(told, HITS_MAX);
  t.true(last);
});

test('a search has so many words at most', (t) => {
  const words = (count: number) => Array.from({ length: count }, () => 'a');
  t.true(wordMatcher(words(WORDS_MAX))('a'));
  t.throws(() => wordMatcher(words(WORDS_MAX + 1)), { instanceOf: HearsayError });
});

/** A running core that is connected to some peers, each of which says that it has so many offers. */
function connected(count: number, offers: number, more: { tracker?: boolean; hosts?: (n: number) => string } = {}) {
  const me = { ...settingsOf(0), tracker: more.tracker ?? false };
  const hostOf = more.hosts ?? ((n) => `10.0.1.${n}`);
  const gossip = new Gossip(me, fakeSigner(me.key), seeded(1), () => new Uint8Array(16));
  gossip.handle({ kind: 'start' }, 0);
  let now = 1;
  /** Lets time pass; timers are handled as they are due. */
  const timers: Extract<Effect, { kind: 'timer' }>[] = [];
  const told: Effect[] = [];
  const take = (effects: Effect[]) => {
    for (const effect of effects) {
      if (effect.kind === 'timer') timers.push(effect);
      else told.push(effect);
    }
  };
  const pass = (ms: number) => {
    const until = now + ms;
    for (;;) {
      timers.sort((a, b) => a.at - b.at);
      if (timers.length === 0 || timers[0].at > until) break;
      const { at, timer } = timers.shift()!;
      now = Math.max(now, at);
      take(gossip.handle({ kind: 'timer', timer }, now));
    }
    now = until;
  };
  const say = (event: Parameters<Gossip['handle']>[0]) => take(gossip.handle(event, now));
  for (let n = 1; n <= count; n++) {
    const { head, proof } = headOf(n, { count: offers });
    say({ kind: 'connected', peer: head.id, ...proof, address: { host: hostOf(n), port: 1 }, dialled: !more.tracker });
  }
  return { gossip, told, pass, say };
}

test('so many writers are pulled from at once, and the others in their turn', (t) => {
  const { told, pass, say } = connected(FEW - 1, 5);
  pass(5000);
  const pulls = () => told.flatMap((effect) => (effect.kind === 'pull' ? [effect.from] : []));
  t.is(pulls().length, PULLS_MAX);
  for (const from of pulls()) say({ kind: 'pull-failed', from, writer: from, code: 'unreachable' });
  t.is(new Set(pulls()).size, FEW - 1);
});

test('a relay that says it has more of everyone, and gives none of it, is waited for once, and not once for each', (t) => {
  const { told, pass, say } = connected(60, 5);
  const none = new Uint8Array(0);
  let liar: string | undefined;
  let at = 0;
  const step = (ms: number) => {
    pass(ms);
    for (; at < told.length; at++) {
      const effect = told[at];
      if (effect.kind !== 'digest') continue;
      const { batch, from, message } = effect;
      liar ??= from;
      for (const { writer } of from === liar ? message.known : []) {
        const page = { type: 'r' as const, number: 1, writer, replaced: none, offers: [], head: none, sig: none };
        say({ kind: 'newer', batch, message: page });
      }
      say({ kind: 'digest-over', batch, ok: true });
    }
  };
  const pulls = () => told.filter((effect) => effect.kind === 'pull' && effect.from === liar).length;
  for (let i = 0; i < 50; i++) step(100);
  t.is(pulls(), PULLS_MAX);
  // Nothing comes; then it is left alone for a minute, but for what it has itself.
  for (let i = 0; i < 300; i++) step(100);
  t.true(pulls() <= PULLS_MAX + 1, `${pulls()}`);
});

test('a tracker pulls from more at once, at once, and no more than half of them of one host', (t) => {
  const { told, pass, say } = connected(100, 5, {
    tracker: true,
    hosts: (n) => (n <= 80 ? '10.0.1.1' : `10.0.2.${n}`),
  });
  const hosts = (n: number) => (n <= 80 ? 'one' : 'another');
  const ids = new Map(Array.from({ length: 100 }, (_, n) => [headOf(n + 1).head.id, hosts(n + 1)]));
  pass(1);
  const pulls = () => told.flatMap((effect) => (effect.kind === 'pull' ? [effect.from] : []));
  const of = (host: string) => pulls().filter((id) => ids.get(id) === host).length;
  t.deepEqual([of('one'), of('another')], [TRACKER_PULLS_MAX / 2, 20]);
  // They do not answer: others of their host have their turn, and one who comes now does not wait for them.
  const first = pulls();
  for (const from of first) say({ kind: 'pull-failed', from, writer: from, code: 'timeout' });
  t.deepEqual([of('one'), of('another')], [TRACKER_PULLS_MAX, 20]);
  pass(60_000);
  t.true(pulls().every((from) => ids.has(from)));
});

test('to a tracker a connection is sign of life enough, however seldom its other end tells of itself', (t) => {
  const { gossip, told, pass, say } = connected(3, 0, { tracker: true });
  pass(600_000);
  t.is(gossip.peers().length, 4);
  // Where the connection ends, the peer is gone, and is not dialled: it comes again by itself.
  const [, { id }] = gossip.peers();
  say({ kind: 'disconnected', peer: id });
  say({ kind: 'departed', peer: id });
  t.deepEqual(
    told.flatMap((effect) => (effect.kind === 'peer' && effect.change === 'left' ? [effect.peer.id] : [])),
    [id],
  );
  pass(60_000);
  t.is(gossip.peers().length, 3);
  t.false(told.some(({ kind }) => kind === 'dial'));
});

test('a tracker neither tells neighbours nor follows those that it is told of by who came to it', (t) => {
  const { told, pass, say } = connected(3, 0, { tracker: true });
  const { head } = headOf(1);
  const peers = [20, 21, 22].map((n) => ({ ...headOf(n).proof, addresses: [`10.2.0.${n}:1`] }));
  say({ kind: 'message', peer: head.id, message: { type: 'N', peers } });
  pass(120_000);
  t.false(told.some((effect) => effect.kind === 'dial' || (effect.kind === 'tell' && effect.message.type === 'N')));
});

test('of answers to pulls so much is gathered in all; beyond it the largest gives way, and the small one comes', (t) => {
  const { told, pass, say } = connected(4, 5);
  pass(5000);
  const pulls = told.flatMap((effect) => (effect.kind === 'pull' ? [effect.from] : []));
  t.is(pulls.length, 4);
  const none = new Uint8Array(0);
  const offers: Offer[] = Array.from({ length: OFFERS_PER_PAGE }, (_, i) => {
    return { path: `f${i}`, kind: 'file', size: 1, mtime: 1, id: null, version: i + 1 };
  });
  const page = (writer: string) =>
    say({
      kind: 'delta',
      from: writer,
      writer,
      message: { type: 'D', number: 1, replaced: none, offers, last: false, head: none, sig: none },
    });
  const [small, ...large] = pulls;
  page(small);
  let pages = 1;
  const failures = () => told.filter(({ kind }) => kind === 'pull').length;
  for (; pages * OFFERS_PER_PAGE <= GATHERED_MAX; pages++) page(large[pages % 3]);
  pass(40_000);
  // The large ones have failed and are asked again, or were too slow; the small one was never pushed out before them.
  t.true(failures() > 4);
  t.true(pages * OFFERS_PER_PAGE > GATHERED_MAX);
});

/** The parts that hear of neighbours, with a clock that the test sets. */
function listener() {
  const { context, one, come } = circle({});
  const heads = new Heads(context, (id, host) => one.isKnownAt(id, host));
  return { context, circle: one, come, heads, links: new Links(context, one, heads) };
}

const neighbour = (n: number) => {
  const { proof } = headOf(n);
  return { ...proof, addresses: [`10.1.${n >> 8}.${n & 255}:1`] };
};
const many = (from: number, count: number) => Array.from({ length: count }, (_, i) => neighbour(from + i));

test('of peers that were told of so many wait to be dialled, of one teller and in all, and few are dialled at once', (t) => {
  const { context, links, circle: one } = listener();
  const tellers = [1, 2, 3, 4, 5, 6, 7, 8].map((n) => headOf(n).head.id);
  const waiting = () => context.effects.filter((e) => e.kind === 'timer' && e.timer.kind === 'dial').length;
  let n = 1000;
  const tell = (teller: string) => {
    // As often as the checking allows.
    for (let i = 0; i < 4; i++) {
      context.now += 60_000;
      links.told(many(n, NEIGHBOURS_MAX / 2), teller);
      n += NEIGHBOURS_MAX;
    }
  };
  tell(tellers[0]);
  t.is(waiting(), DIALS_QUEUED_OF_ONE_MAX);
  for (const teller of tellers) tell(teller);
  t.is(waiting(), DIALS_QUEUED_MAX);
  const due = context.effects.flatMap((e) => (e.kind === 'timer' && e.timer.kind === 'dial' ? [e.timer.peer] : []));
  context.effects = [];
  context.now += 3000;
  for (const peer of due) links.dialDue(peer);
  t.is(context.effects.filter(({ kind }) => kind === 'dial').length, DIALS_MAX);
  t.is(one.live().size, 0);
});

test('however many peers are told of at one host, it is not dialled often; others are', (t) => {
  const { context, links } = listener();
  const tellers = [1, 2, 3, 4].map((n) => headOf(n).head.id);
  const victim = (port: number) => `10.9.9.9:${port}`;
  const dialled: string[] = [];
  const timers: { at: number; peer: string }[] = [];
  /** Nothing listens there, which is known at once. */
  const settle = () => {
    const { effects } = context;
    context.effects = [];
    for (const effect of effects) {
      const timer = effect.kind === 'timer' && effect.timer.kind === 'dial' ? effect.timer : undefined;
      if (effect.kind === 'timer' && timer) timers.push({ at: effect.at, peer: timer.peer });
      if (effect.kind !== 'dial') continue;
      dialled.push(...effect.addresses);
      links.dialFailed(effect.peer);
    }
    if (context.effects.length > 0) settle();
  };
  const seconds = 30;
  let n = 2000;
  for (let at = 0; at < seconds * 1000; at += 100) {
    context.now += 100;
    if (at % 1000 === 0) {
      for (const teller of tellers) {
        const told = Array.from({ length: 50 }, (_, i) => ({
          ...headOf(n++).proof,
          addresses: [victim(80), victim(1000 + i), `[::ffff:10.9.9.9]:80`],
        }));
        links.told(told, teller);
        links.told([neighbour(n++)], teller);
      }
    }
    settle();
    const due = timers.filter((timer) => timer.at <= context.now);
    timers.splice(0, timers.length, ...timers.filter((timer) => timer.at > context.now));
    for (const { peer } of due) {
      links.dialDue(peer);
      settle();
    }
  }
  const atVictim = dialled.filter((address) => address.includes('10.9.9.9')).length;
  t.true(atVictim <= 30 * seconds, `${atVictim} in ${seconds} s`);
  t.true(dialled.length - atVictim > 20, `${dialled.length - atVictim} elsewhere`);
});

test('of those who ask by datagram the latest are remembered', (t) => {
  const { context, links, come } = listener();
  come(1, '10.0.0.2');
  const shots = Array.from({ length: ASKERS_MAX + 1 }, (_, i) => headOf(2000 + i).head.id);
  for (const id of shots) links.asked(id);
  const told = (id: string) => {
    context.effects = [];
    links.connected(id, '10.0.0.3', undefined);
    return context.effects.some((effect) => effect.kind === 'tell' && effect.message.type === 'N');
  };
  t.false(told(shots[ASKERS_MAX]), 'it hears multicast, and needs no neighbours told');
  t.true(told(shots[0]), 'forgotten, it is told as one who does not');
});

test('heads that were checked are remembered up to a number', (t) => {
  const { context, heads } = listener();
  let verified = 0;
  const verify = context.signer.verify.bind(context.signer);
  context.signer.verify = (...all) => {
    verified++;
    return verify(...all);
  };
  const check = (n: number) => {
    context.now += 1000;
    return heads.check(headOf(n).proof, { kind: 'datagram', host: '10.0.0.2' });
  };
  t.truthy(check(1));
  t.truthy(check(1));
  t.is(verified, 1);
  for (let n = 0; n < CHECKED_MAX; n++) check(3000 + n);
  t.is(verified, 1 + CHECKED_MAX);
  t.truthy(check(1));
  t.is(verified, 2 + CHECKED_MAX, 'forgotten, it is checked anew');
});
