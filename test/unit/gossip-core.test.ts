import test from 'ava';
import { seeded } from '../../lib/clock.js';
import { type Effect, Gossip, type Settings } from '../../lib/gossip/gossip.js';
import { Nonces } from '../../lib/gossip/nonces.js';
import { idleInterval, pullDelay, quickInterval, TokenBucket } from '../../lib/gossip/pace.js';
import { blake3 } from '../../lib/hash.js';
import { peerId } from '../../lib/ids.js';
import { BUCKETS, DATAGRAM_MESSAGE_MAX, NEIGHBOURS_MAX, OFFERS_PER_PAGE, PAGE_BYTES } from '../../lib/limits.js';
import type { Offer } from '../../lib/offer.js';
import { decode, encode } from '../../lib/wire/codec.js';
import { headStatement, PASSIVE, packHead, readHead } from '../../lib/wire/head.js';
import type { Message, MessageOf } from '../../lib/wire/table.js';
import { file, files, removed } from '../sim/share.js';
import { fakeSigner } from '../sim/signer.js';

const HERE = { host: '10.0.0.9', port: 5000 };
const NONE = new Uint8Array(0);

/** A core by itself. */
function core(n: number, more: Partial<Settings> = {}): { gossip: Gossip; settings: Settings } {
  const key = Uint8Array.from(blake3(`key ${n}`));
  const id = peerId(key, 1_700_000_000_000 + n);
  const settings = { id, key, name: `peer ${n}`, port: 47748, epoch: 1, passive: false, tracker: false, ...more };
  const random = seeded(n);
  const bytes16 = (): Uint8Array => Uint8Array.from({ length: 16 }, () => Math.floor(random() * 256));
  return { gossip: new Gossip(settings, fakeSigner(key), random, bytes16), settings };
}

function isOf<L extends Message['type']>(message: object, type: L): message is MessageOf<L> {
  return 'type' in message && message.type === type;
}

function messages<L extends Message['type']>(effects: Effect[], type: L): MessageOf<L>[] {
  const out: MessageOf<L>[] = [];
  for (const effect of effects) {
    if (effect.kind !== 'multicast' && effect.kind !== 'reply' && effect.kind !== 'tell') continue;
    if (isOf(effect.message, type)) out.push(effect.message);
  }
  return out;
}

/** Two cores that were connected, as a handshake does it. */
function pair(): [Gossip, Gossip, Settings, Settings] {
  const [a, b] = [core(1), core(2)];
  a.gossip.handle({ kind: 'start' }, 0);
  b.gossip.handle({ kind: 'start' }, 0);
  connect(a.gossip, b.gossip, b.settings, 1);
  connect(b.gossip, a.gossip, a.settings, 1);
  return [a.gossip, b.gossip, a.settings, b.settings];
}

function connect(to: Gossip, other: Gossip, { id }: Settings, now: number): Effect[] {
  const address = { host: '10.0.0.2', port: 47748 };
  return to.handle({ kind: 'connected', peer: id, ...other.head(), address, dialled: true }, now);
}

/** Pulls once, as a driver does, until nothing more is asked. @returns pages by pull */
function pump(reader: Gossip, writer: Gossip, effects: Effect[], now: number): MessageOf<'D'>[][] {
  const out: MessageOf<'D'>[][] = [];
  let todo = [...effects];
  while (todo.length > 0) {
    const next: Effect[] = [];
    for (const effect of todo) {
      if (effect.kind === 'timer' && (effect.timer.kind === 'pull' || effect.timer.kind === 'stage')) {
        next.push(...reader.handle({ kind: 'timer', timer: effect.timer }, Math.max(now, effect.at)));
      } else if (effect.kind === 'pull') {
        const answer = writer.answerPull({ ...effect.message, number: 7 });
        if (!(Symbol.iterator in answer)) throw new Error(answer.code);
        const pages = [...answer];
        out.push(pages);
        for (const message of pages) {
          decode(encode(message), 'tcp');
          const { from, message: pull } = effect;
          next.push(...reader.handle({ kind: 'delta', from, writer: pull.writer, message }, now + 100));
        }
      }
    }
    todo = next;
  }
  return out;
}

test('a change that one datagram holds is told in one, each of several with the head of its own end', (t) => {
  const { gossip } = core(1);
  gossip.handle({ kind: 'start' }, 0);
  const one = messages(gossip.handle({ kind: 'offers', changes: [file('a', 'a')] }, 5000), 'O');
  t.deepEqual(
    one.map(({ from, offers }) => [from, offers.length]),
    [[0, 1]],
  );
  const several = messages(gossip.handle({ kind: 'offers', changes: files('some folder', 25) }, 10_000), 'O');
  t.true(several.length > 1 && several.length <= 4);
  let at = 1;
  for (const message of several) {
    t.true(encode(message).length <= DATAGRAM_MESSAGE_MAX);
    t.is(message.from, at);
    const head = readHead(message.head);
    at += message.offers.length;
    t.is(head.version, at);
    t.is(head.count, at);
  }
  t.is(at, 26);
  const many = messages(gossip.handle({ kind: 'offers', changes: files('many', 500) }, 20_000), 'O');
  t.deepEqual(
    many.map(({ offers }) => offers.length),
    [0],
  );
  t.is(readHead(many[0].head).count, 526);
  const longest = file(['x', 'x', 'x', 'x', 'x', 'x'].map((x) => x.repeat(200)).join('/'), 'y');
  t.deepEqual(messages(gossip.handle({ kind: 'offers', changes: [longest] }, 30_000), 'O')[0].offers, []);
});

test('many changes in a moment are signed and told together', (t) => {
  const { settings } = core(1);
  let signed = 0;
  const signer = { ...fakeSigner(settings.key) };
  const counting = {
    ...signer,
    sign: (statement: Uint8Array) => {
      signed++;
      return signer.sign(statement);
    },
  };
  const gossip = new Gossip(settings, counting, seeded(1), () => new Uint8Array(16));
  gossip.handle({ kind: 'start' }, 0);
  gossip.handle({ kind: 'offers', changes: [file('first', 'first')] }, 5000);
  signed = 0;
  const effects: Effect[] = [];
  for (let i = 0; i < 10; i++)
    effects.push(...gossip.handle({ kind: 'offers', changes: [file(`f${i}`, 'f')] }, 5001 + i));
  t.deepEqual(messages(effects, 'O'), []);
  const due = effects.filter((effect) => effect.kind === 'timer');
  t.is(due.length, 1);
  const told = gossip.handle({ kind: 'timer', timer: { kind: 'flush' } }, 5021);
  t.is(messages(told, 'O').flatMap(({ offers }) => offers).length, 10);
  t.true(signed <= 2);
  // A timer that comes too late does nothing.
  t.deepEqual(gossip.handle({ kind: 'timer', timer: { kind: 'flush' } }, 5030), []);
});

test('what did not change is not told; a withdrawal is a tombstone without content', (t) => {
  const { gossip } = core(1);
  const [first] = gossip.handle({ kind: 'offers', changes: [file('a', 'a')] }, 0);
  t.like(first, { kind: 'change', change: 'added' });
  t.deepEqual(gossip.handle({ kind: 'offers', changes: [file('a', 'a'), removed('b')] }, 1), []);
  gossip.handle({ kind: 'start' }, 10);
  const effects = gossip.handle({ kind: 'offers', changes: [{ ...file('a', 'a'), kind: 'removed' }] }, 5000);
  t.like(effects[0], { kind: 'change', change: 'removed', before: { path: 'a' } });
  t.deepEqual(
    messages(effects, 'O')[0].offers.map(({ kind, size, id }) => [kind, size, id]),
    [['removed', 0, null]],
  );
  t.is(gossip.index.size, 0);
  t.is(gossip.peers()[0].files, 0);
});

test('a question is answered by one who is asked, never by more bytes than it has', (t) => {
  const { gossip, settings } = core(1, { name: 'n'.repeat(64) });
  const { gossip: other } = core(2);
  const [mine] = messages(gossip.handle({ kind: 'start' }, 0), 'Q');
  const [question] = messages(other.handle({ kind: 'start' }, 0), 'Q');
  const ask = (message: MessageOf<'Q'>): Effect[] =>
    gossip.handle({ kind: 'datagram', from: HERE, multicast: false, message }, 100);
  const [answer] = ask({ ...question, to: settings.id });
  t.true(answer.kind === 'reply' && answer.to === HERE && answer.message.type === 'O');
  const [offer] = messages([answer], 'O');
  t.deepEqual(readHead(offer.head).echo, question.nonce);
  t.true(encode(offer).length <= encode(question).length);
  t.deepEqual(ask({ ...question, pad: NONE }), []);
  t.deepEqual(ask({ ...question, to: '01ARZ3NDEKTSV4RRFFQ69G5FAA' }), []);
  // One of our own key may ask as anyone, so that it learns that there are two; but no nonce of our own is signed.
  t.is(ask({ ...question, from: settings.id }).length, 1);
  t.deepEqual(ask({ ...mine, from: other.peers()[0].id }), []);
  // A question to everyone is answered after a moment; a flood of them not beyond a rate.
  const later = gossip.handle({ kind: 'datagram', from: HERE, multicast: true, message: question }, 200);
  t.deepEqual(
    later.map(({ kind }) => kind),
    ['timer'],
  );
  let answers = 0;
  for (let i = 0; i < 5000; i++) answers += ask(question).length;
  t.true(answers <= 600, `${answers}`);
});

test('a flood of strange heads is answered with few questions, and keeps few of them', (t) => {
  const { gossip } = core(1);
  gossip.handle({ kind: 'start' }, 0);
  let replies = 0;
  for (let n = 0; n < 20_000; n++) {
    const key = Uint8Array.from(blake3(`stranger ${n}`));
    const numbers = { port: 1, flags: 0, epoch: 1, version: 0, beat: 0, files: 0, bytes: 0, count: 0, floor: 0 };
    const head = packHead({ id: peerId(key, n), key, name: '', ...numbers, root: new Uint8Array(32), echo: NONE });
    const message: Message = { type: 'O', head, sig: fakeSigner(key).sign(headStatement(head)), from: 0, offers: [] };
    const effects = gossip.handle({ kind: 'datagram', from: HERE, multicast: false, message }, 1000 + n / 20);
    replies += effects.filter(({ kind }) => kind === 'reply').length;
  }
  t.true(replies > 20 && replies < 1200, `${replies}`);
  t.is(gossip.peers().length, 1);
  t.true(gossip.counters.skipped > 10_000);
});

test('one-shots are neither listed nor asked, and say nothing of themselves', (t) => {
  const { gossip } = core(1);
  const { gossip: shot, settings } = core(2, { passive: true, port: 0 });
  gossip.handle({ kind: 'start' }, 0);
  const said = shot.handle({ kind: 'start' }, 0);
  t.deepEqual(messages(said, 'O'), []);
  t.is(messages(said, 'Q').length, 1);
  t.is(readHead(shot.head().head).flags & PASSIVE, PASSIVE);
  const heard = { type: 'O', ...shot.head(), from: 0, offers: [] } satisfies Message;
  t.deepEqual(gossip.handle({ kind: 'datagram', from: HERE, multicast: true, message: heard }, 10), []);
  t.deepEqual(connect(gossip, shot, settings, 20), []);
  t.is(gossip.peers().length, 1);
  t.deepEqual(shot.handle({ kind: 'offers', changes: [file('a')] }, 30), []);
  t.deepEqual(shot.peers(), []);
  t.deepEqual(messages(shot.handle({ kind: 'stop' }, 40), 'L'), []);
});

test('what a one-shot finds is shown as what that peer offers', (t) => {
  const { gossip: shot } = core(2, { passive: true, port: 0 });
  const { gossip, settings } = core(1);
  shot.handle({ kind: 'start' }, 0);
  const { id } = settings;
  const offers = files('f', 3).map((offer, i) => ({ ...offer, version: i + 1 }));
  t.deepEqual(shot.handle({ kind: 'found', peer: id, offers, last: true }, 1), []);
  t.deepEqual(
    connect(shot, gossip, settings, 2)
      .map(({ kind }) => kind)
      .slice(0, 1),
    ['peer'],
  );
  t.is(shot.handle({ kind: 'found', peer: id, offers: offers.slice(0, 2), last: false }, 3).length, 2);
  t.is(shot.handle({ kind: 'found', peer: id, offers, last: true }, 4).length, 1);
  t.is(shot.index.size, 3);
  t.is(shot.index.byId(offers[0].id!).length, 1);
  t.is(shot.index.byPath('f/file 2.txt')[0].peer, id);
});

test('a pull brings everything in pages that fit, then what followed, then only buckets that differ', (t) => {
  const [reader, writer, , { id }] = pair();
  const long = 'x'.repeat(200);
  writer.handle({ kind: 'offers', changes: files(`${long}/${long}`, 5000) }, 10);
  const hear = (now: number): Effect[] =>
    reader.handle({ kind: 'message', peer: id, message: { type: 'O', ...writer.head(), from: 0, offers: [] } }, now);
  const [whole] = pump(reader, writer, hear(20), 20);
  t.true(whole.length > 5);
  for (const page of whole) {
    t.true(page.offers.length <= OFFERS_PER_PAGE);
    t.true(encode(page).length <= PAGE_BYTES + 1024);
    t.true(page.replaced.every((byte) => byte === 255));
  }
  t.is([...reader.index.of(id)].length, 5000);
  writer.handle({ kind: 'offers', changes: [file('new', 'new'), removed(`${long}/${long}/file 7.txt`)] }, 1000);
  const [delta] = pump(reader, writer, hear(2000), 2000);
  t.deepEqual(
    delta.flatMap(({ offers }) => offers).map(({ kind }) => kind),
    ['file', 'removed'],
  );
  t.is(delta[0].replaced.length, 0);
  // So many withdrawals that the tombstones no longer reach back.
  writer.handle({ kind: 'offers', changes: files('gone', 10_050) }, 3000);
  writer.handle({ kind: 'offers', changes: files('gone', 10_050).map(({ path }) => removed(path)) }, 3001);
  const [buckets] = pump(reader, writer, hear(4000), 4000);
  t.is(buckets[0].replaced.length, BUCKETS / 8);
  t.deepEqual([buckets.length, buckets[0].offers.length], [1, 0]);
  t.is([...reader.index.of(id)].length, 5000);
  t.deepEqual(pump(reader, writer, hear(5000), 5000), []);
});

test('an answer that does not fit its head does not count, and is asked for in another way', (t) => {
  const [reader, writer, , { id }] = pair();
  writer.handle({ kind: 'offers', changes: files('f', 20) }, 10);
  const heard = reader.handle(
    { kind: 'message', peer: id, message: { type: 'O', ...writer.head(), from: 0, offers: [] } },
    20,
  );
  pump(reader, writer, heard, 20);
  const pullOf = (effects: Effect[], now: number): Extract<Effect, { kind: 'pull' }> => {
    const timer = effects.find((effect) => effect.kind === 'timer' && effect.timer.kind === 'pull');
    if (timer?.kind !== 'timer') throw new Error('no pull is due');
    const [pull] = reader.handle({ kind: 'timer', timer: timer.timer }, Math.max(now, timer.at));
    if (pull.kind !== 'pull') throw new Error('no pull');
    return pull;
  };
  writer.handle({ kind: 'offers', changes: [file('real', 'real')] }, 1000);
  const message: Message = { type: 'O', ...writer.head(), from: 21, offers: [] };
  const pull = pullOf(reader.handle({ kind: 'message', peer: id, message }, 2000), 2000);
  t.is(pull.message.version, 20);
  t.is(pull.message.buckets.length, 0);
  const lie: MessageOf<'D'> = {
    type: 'D',
    number: 1,
    replaced: NONE,
    offers: [{ ...file('lie', 'lie'), version: 21 }],
    last: true,
    ...writer.head(),
  };
  const after = reader.handle({ kind: 'delta', from: id, writer: id, message: lie }, 2100);
  t.is(reader.index.size, 20);
  t.deepEqual(
    after.filter(({ kind }) => kind === 'change'),
    [],
  );
  const again = pullOf(after, 2100);
  t.is(again.message.version, 0);
  t.is(again.message.buckets.length, BUCKETS * 16);
  const done = writer.answerPull({ ...again.message, number: 2 });
  if (!(Symbol.iterator in done)) throw new Error(done.code);
  for (const page of done) reader.handle({ kind: 'delta', from: id, writer: id, message: page }, 3000);
  t.is(reader.index.byPath('real').length, 1);
  t.is(reader.index.byPath('lie').length, 0);
});

/** A core that has to fetch from several writers at once, each of whom says that it has something. */
function wanting(writers: number): {
  ids: string[];
  pulls: Map<string, Effect>;
  page: (id: string, now: number, offers: Offer[]) => void;
  tick: (to: number) => void;
} {
  const { gossip } = core(1);
  const pulls = new Map<string, Effect>();
  const timers: Extract<Effect, { kind: 'timer' }>[] = [];
  const take = (effects: Effect[]): void => {
    for (const effect of effects) {
      if (effect.kind === 'timer' && effect.timer.kind.startsWith('pull')) timers.push(effect);
      if (effect.kind === 'pull') pulls.set(effect.message.writer, effect);
    }
  };
  take(gossip.handle({ kind: 'start' }, 0));
  const ids = Array.from({ length: writers }, (_, i) => {
    const other = core(10 + i);
    other.gossip.handle({ kind: 'offers', changes: [file('a', 'a')] }, 0);
    take(connect(gossip, other.gossip, other.settings, 1));
    return other.settings.id;
  });
  const tick = (to: number): void => {
    for (;;) {
      timers.sort((a, b) => a.at - b.at);
      const next = timers[0];
      if (!next || next.at > to) return;
      timers.shift();
      take(gossip.handle({ kind: 'timer', timer: next.timer }, next.at));
    }
  };
  const page = (id: string, now: number, offers: Offer[]): void => {
    take(gossip.handle({ kind: 'delta', from: id, writer: id, message: { ...PAGE, offers } }, now));
  };
  return { ids, pulls, page, tick };
}

const PAGE: MessageOf<'D'> = {
  type: 'D',
  number: 1,
  replaced: NONE,
  offers: [],
  last: false,
  head: NONE,
  sig: NONE,
};

test('those who answer a pull with nothing, again and again, hold up nobody', (t) => {
  const { ids, pulls, page, tick } = wanting(10);
  tick(3000);
  t.is(pulls.size, 8);
  const [slow, patient] = [ids.filter((id) => pulls.has(id)), ids.filter((id) => !pulls.has(id))];
  for (let now = 3000; now < 14_000; now += 1000) {
    for (const id of slow) page(id, now, []);
    tick(now + 1000);
  }
  t.true(patient.every((id) => pulls.has(id)));
});

test('an answer that drips is given up', (t) => {
  const { ids, pulls, page, tick } = wanting(1);
  tick(3000);
  const [id] = ids;
  t.true(pulls.has(id));
  pulls.clear();
  let version = 0;
  let now = 3000;
  for (; now < 60_000 && !pulls.has(id); now += 5000) {
    page(id, now, [{ ...file(`f${version}`, 'f'), version: ++version }]);
    tick(now + 5000);
  }
  t.true(now <= 45_000, `${now}`);
});

test('of a pull that is under way, only the pages of the one who was asked count', (t) => {
  const [reader, writer, , { id }] = pair();
  writer.handle({ kind: 'offers', changes: files('f', 20) }, 10);
  const message: Message = { type: 'O', ...writer.head(), from: 0, offers: [] };
  const heard = reader.handle({ kind: 'message', peer: id, message }, 20);
  const timer = heard.find((effect) => effect.kind === 'timer' && effect.timer.kind === 'pull');
  if (timer?.kind !== 'timer') throw new Error('no pull is due');
  const [pull] = reader.handle({ kind: 'timer', timer: timer.timer }, Math.max(20, timer.at));
  if (pull.kind !== 'pull') throw new Error('no pull');
  const stranger = core(9).settings.id;
  const wrong: MessageOf<'D'> = { ...PAGE, offers: [{ ...file('x'), version: 1 }], last: true, ...writer.head() };
  t.deepEqual(reader.handle({ kind: 'delta', from: stranger, writer: id, message: wrong }, 100), []);
  t.deepEqual(reader.handle({ kind: 'pull-failed', from: stranger, writer: id, code: 'failed' }, 100), []);
  const pages = writer.answerPull({ ...pull.message, number: 1 });
  if (!(Symbol.iterator in pages)) throw new Error(pages.code);
  for (const each of pages) reader.handle({ kind: 'delta', from: id, writer: id, message: each }, 110);
  t.is([...reader.index.of(id)].length, 20);
});

test('an idle hour costs one signature a heartbeat, and each is checked once, by however many cards it comes', (t) => {
  const { settings } = core(2);
  const signer = fakeSigner(settings.key);
  const counts = { signed: 0, checked: 0 };
  const writer = new Gossip(
    settings,
    {
      ...signer,
      sign: (statement) => {
        counts.signed++;
        return signer.sign(statement);
      },
    },
    seeded(2),
    () => new Uint8Array(16),
  );
  const reader = new Gossip(
    core(1).settings,
    {
      ...signer,
      verify: (key, statement, sig) => {
        counts.checked++;
        return signer.verify(key, statement, sig);
      },
    },
    seeded(1),
    () => new Uint8Array(16).fill(1),
  );
  reader.handle({ kind: 'start' }, 0);
  connect(reader, writer, settings, 1);
  Object.assign(counts, { signed: 0, checked: 0 });
  const beats: string[] = [];
  let now = 10;
  let due = writer.handle({ kind: 'start' }, now);
  while (now < 3_600_000) {
    for (const message of messages(due, 'O')) {
      beats.push(Buffer.from(message.head).toString('hex'));
      for (const host of ['10.0.0.2', '10.1.0.2', '10.2.0.2']) {
        reader.handle({ kind: 'datagram', from: { host, port: 5000 }, multicast: true, message }, now);
      }
    }
    const next = due.find((effect) => effect.kind === 'timer' && effect.timer.kind === 'heartbeat');
    if (next?.kind !== 'timer') throw new Error('no heartbeat is due');
    now = next.at;
    due = now < 3_600_000 ? writer.handle({ kind: 'timer', timer: next.timer }, now) : [];
  }
  t.true(beats.length > 370 && beats.length < 600, `${beats.length}`);
  t.is(new Set(beats).size, beats.length);
  t.deepEqual(counts, { signed: beats.length, checked: beats.length });
  t.is(reader.peers().length, 2);
});

test('pages that nobody asked for, and pulls of unknown writers, come to nothing', (t) => {
  const [reader, writer, , { id }] = pair();
  const message: MessageOf<'D'> = {
    type: 'D',
    number: 1,
    replaced: NONE,
    offers: [{ ...file('x'), version: 1 }],
    last: true,
    ...writer.head(),
  };
  t.deepEqual(reader.handle({ kind: 'delta', from: id, writer: id, message }, 10), []);
  t.is(reader.index.size, 0);
  const pull = { type: 'P', number: 1, epoch: 0, version: 0, buckets: NONE } as const;
  t.deepEqual(reader.answerPull({ ...pull, writer: '01ARZ3NDEKTSV4RRFFQ69G5FAA' }), { code: 'not-found' });
});

test('a find is answered with my own offers that fit', (t) => {
  const { gossip } = core(1);
  gossip.handle({ kind: 'offers', changes: [file('lib/a.txt', 'a'), file('lib/Straße.txt', 'b'), file('c')] }, 0);
  const find = (kind: number, text: string): string[] =>
    [...gossip.answerFind({ type: 'F', number: 1, kind, text })]
      .flatMap(({ offers }) => offers)
      .map(({ path }) => path);
  t.deepEqual(find(0, ''), ['lib/a.txt', 'lib/Straße.txt', 'c']);
  t.deepEqual(find(1, 'peer 1:lib/'), ['lib/a.txt', 'lib/Straße.txt']);
  t.deepEqual(find(2, '**/*.txt'), ['lib/a.txt', 'lib/Straße.txt']);
  t.deepEqual(find(3, 'STRA txt'), ['lib/Straße.txt']);
  t.deepEqual(find(1, 'nothing'), []);
  t.is([...gossip.answerFind({ type: 'F', number: 1, kind: 1, text: 'nothing' })].at(-1)?.last, true);
});

test('neighbours: those that are live, with addresses that mean something, at most so many', (t) => {
  const { gossip } = core(1);
  gossip.handle({ kind: 'start' }, 0);
  for (let n = 2; n < 302; n++) {
    const other = core(n);
    const host = n === 2 ? '127.0.0.1' : n === 3 ? 'fe80::1%eth0' : `10.1.${n >> 8}.${n & 255}`;
    const address = { host, port: 47748 };
    gossip.handle({ kind: 'connected', peer: other.settings.id, ...other.gossip.head(), address, dialled: true }, n);
  }
  const told = gossip.neighbours(core(2).settings.id);
  t.is(told.length, NEIGHBOURS_MAX);
  decode(encode({ type: 'N', peers: told }), 'tcp');
  const elsewhere = gossip.neighbours(core(4).settings.id);
  t.true(elsewhere.every(({ addresses }) => /^10\./.test(addresses[0])));
  t.is(gossip.peer(core(3).settings.id)?.addresses[0], '[fe80::1%eth0]:47748');
});

test('neighbours that are told of are dialled, a few at a time, and given up when nobody is there', (t) => {
  const [gossip, , , { id }] = pair();
  const peers = Array.from({ length: 30 }, (_, i) => {
    const other = core(100 + i).gossip.head();
    return { ...other, addresses: [`10.2.0.${i}:1`, 'evil.example:80', 'x'.repeat(60)] };
  });
  const timers: { at: number; effect: Extract<Effect, { kind: 'timer' }> }[] = [];
  const dials = new Map<string, number>();
  let most = 0;
  const take = (effects: Effect[]): void => {
    const now = effects.filter(({ kind }) => kind === 'dial').length;
    most = Math.max(most, now);
    for (const effect of effects) {
      if (effect.kind === 'timer' && effect.timer.kind === 'dial') timers.push({ at: effect.at, effect });
      if (effect.kind !== 'dial') continue;
      t.deepEqual(effect.addresses.length, 1);
      dials.set(effect.peer, (dials.get(effect.peer) ?? 0) + 1);
      take(gossip.handle({ kind: 'dial-failed', peer: effect.peer, address: undefined }, clock));
    }
  };
  let clock = 100;
  take(gossip.handle({ kind: 'message', peer: id, message: { type: 'N', peers } }, clock));
  for (let i = 0; timers.length > 0 && i < 5000; i++) {
    timers.sort((a, b) => a.at - b.at);
    const { at, effect } = timers.shift()!;
    clock = Math.max(clock, at);
    take(gossip.handle({ kind: 'timer', timer: effect.timer }, clock));
  }
  t.is(timers.length, 0);
  t.is(dials.size, 30);
  t.true([...dials.values()].every((n) => n <= 5));
});

test('one who tells of ever new neighbours does not keep out those whom another tells of', (t) => {
  const [gossip, , , { id }] = pair();
  const second = core(3);
  connect(gossip, second.gossip, second.settings, 2);
  const tell = (teller: string, first: number, count: number, now: number): number => {
    const peers = Array.from({ length: count }, (_, i) => {
      return { ...core(first + i).gossip.head(), addresses: [`10.2.${i >> 8}.${i & 255}:1`] };
    });
    const effects = gossip.handle({ kind: 'message', peer: teller, message: { type: 'N', peers } }, now);
    return effects.filter((effect) => effect.kind === 'timer' && effect.timer.kind === 'dial').length;
  };
  let dialled = 0;
  for (let round = 0; round < 6; round++) {
    dialled += tell(id, 1000 * (round + 1), NEIGHBOURS_MAX, 5000 + round * 2000);
  }
  t.is(dialled, NEIGHBOURS_MAX);
  t.is(tell(second.settings.id, 50_000, 20, 18_000), 20);
});

test('a call is followed for one who is known, to where it came from', (t) => {
  const [gossip, , me, { id }] = pair();
  const call: Message = { type: 'C', from: id, to: me.id, port: 999 };
  const send = (message: Message): Effect[] =>
    gossip.handle({ kind: 'datagram', from: HERE, multicast: false, message }, 5000);
  t.deepEqual(send(call), []);
  gossip.handle({ kind: 'disconnected', peer: id }, 4000);
  t.deepEqual(send({ ...call, to: id }), []);
  t.deepEqual(send({ ...call, from: core(9).settings.id }), []);
  const [dial] = gossip.handle({ kind: 'datagram', from: HERE, multicast: false, message: call }, 9000);
  t.deepEqual(dial, { kind: 'dial', peer: id, addresses: ['10.0.0.9:999'] });
});

test('what was sent before a goodbye that overtook it does not bring a peer back', (t) => {
  const [gossip, other, , { id }] = pair();
  const message: Message = { type: 'O', ...other.head(), from: 0, offers: [] };
  const [goodbye] = messages(other.handle({ kind: 'stop' }, 10), 'L');
  const left = gossip.handle({ kind: 'datagram', from: HERE, multicast: true, message: goodbye }, 20);
  t.like(
    left.find(({ kind }) => kind === 'peer'),
    { kind: 'peer', change: 'left' },
  );
  t.deepEqual(gossip.handle({ kind: 'message', peer: id, message }, 30), []);
  t.is(gossip.peers().length, 1);
  const forged = { ...goodbye, epoch: 2 };
  t.deepEqual(gossip.handle({ kind: 'datagram', from: HERE, multicast: true, message: forged }, 40), []);
  t.is(gossip.counters.rejected, 1);
});

test('a head of an earlier epoch counts for nothing, and its writer is told of the later one in no more bytes', (t) => {
  const { gossip } = core(1);
  gossip.handle({ kind: 'start' }, 0);
  const [old, later] = [core(2), core(2, { epoch: 2 })];
  connect(gossip, later.gossip, later.settings, 10);
  const message: MessageOf<'O'> = { type: 'O', ...old.gossip.head(), from: 0, offers: [] };
  const [answer, ...more] = gossip.handle({ kind: 'datagram', from: HERE, multicast: true, message }, 20);
  t.deepEqual(more, []);
  t.true(answer.kind === 'reply' && answer.to === HERE);
  const [told] = messages([answer], 'O');
  t.deepEqual(told.head, later.gossip.head().head);
  t.true(encode(told).length <= encode(message).length);
  // It then goes above it.
  old.gossip.handle({ kind: 'start' }, 0);
  old.gossip.handle({ kind: 'datagram', from: HERE, multicast: false, message: told }, 30);
  t.is(old.gossip.epoch, 3);
});

test('after the goodbye nothing more is done', (t) => {
  const [gossip, , , { id }] = pair();
  const said = gossip.handle({ kind: 'stop' }, 10);
  t.true(messages(said, 'L').length >= 2);
  t.true(said.some((effect) => effect.kind === 'tell' && effect.peer === id));
  t.deepEqual(gossip.handle({ kind: 'timer', timer: { kind: 'heartbeat' } }, 60_000), []);
  t.deepEqual(gossip.handle({ kind: 'stop' }, 60_000), []);
});

test('a nonce is fresh for a while, and only those after a mark count', (t) => {
  let n = 0;
  const nonces = new Nonces(() => new Uint8Array(16).fill(++n));
  const first = nonces.current(0, 0, 'all');
  t.is(nonces.current(1000, 0, 'all'), first);
  t.is(nonces.serialOf(first, 9000), 1);
  const { mark } = nonces;
  const second = nonces.current(1500, mark, 'all');
  t.not(second, first);
  t.true(nonces.serialOf(first, 1500) <= mark);
  t.true(nonces.serialOf(second, 1500) > mark);
  t.is(nonces.serialOf(first, 10_001), 0);
  t.not(nonces.current(1500, 0, 'broadcast'), second);
  t.true(nonces.isBroadcast(nonces.current(1500, 0, 'broadcast'), 1500));
  t.false(nonces.isBroadcast(second, 1500) || nonces.endsAlone(second, 1500));
  const alone = nonces.current(1500, 0, 'alone');
  t.true(nonces.endsAlone(alone, 1500));
  t.true(nonces.endsAlone(Buffer.concat([new Uint8Array(300), alone]), 1500));
  for (const wrong of [Buffer.concat([alone, NONE, new Uint8Array(1)]), alone.subarray(1), NONE]) {
    t.false(nonces.endsAlone(wrong, 1500));
  }
  t.is(nonces.serialOf(NONE, 1500), 0);
  t.is(nonces.serialOf(new Uint8Array(16).fill(99), 1500), 0);
});

test('however many nonces are drawn for single peers, those who were asked together still answer in time', (t) => {
  let n = 0;
  const nonces = new Nonces(() => Uint8Array.from(Buffer.alloc(16, `${++n} `)));
  const [all, broadcast] = [nonces.current(0, 0, 'all'), nonces.current(0, 0, 'broadcast')];
  for (let i = 0; i < 1000; i++) nonces.current(i, nonces.mark, 'alone');
  t.true(nonces.isOfAll(all, 9000));
  t.true(nonces.isBroadcast(broadcast, 9000));
  t.is(nonces.serialOf(all, 10_001), 0);
});

test('paces', (t) => {
  t.is(idleInterval(1, 320), 8000);
  t.is(Math.round(idleInterval(1000, 320)), 42_105);
  // Whatever the number and whatever the size: no more than the budget, and of each no more than its own.
  for (const bytes of [250, 350, 500]) {
    for (const peers of [1, 5, 100, 183, 1000, 10_000]) {
      const perSecond = bytes / (idleInterval(peers, bytes) / 1000);
      t.true(perSecond * peers <= 8000 && perSecond <= 45, `${peers} of ${bytes} bytes: ${perSecond}`);
    }
  }
  t.true(600 / (idleInterval(3, 250, 600) / 1000) <= 45, 'one that is larger than the others');
  const quick = [0, 1, 2, 3, 4, 5, 6, 99, Number.POSITIVE_INFINITY].map((round) => quickInterval(round, 8000));
  t.deepEqual(quick, [500, 500, 500, 1000, 2000, 4000, 8000, 8000, 8000]);
  t.true(pullDelay(8, () => 1) <= 20);
  t.true(pullDelay(1000, () => 1) <= 2000);
  const bucket = new TokenBucket(10);
  const taken = (now: number): number => Array.from({ length: 50 }, () => bucket.take(now)).filter(Boolean).length;
  t.deepEqual([taken(0), taken(0), taken(500), taken(100_000)], [10, 0, 5, 10]);
});
