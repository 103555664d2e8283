/** Offers for some only, in the core of gossip: what a writer tells, and what becomes of it at the one who is told. */
import test from 'ava';
import { seeded } from '../../lib/clock.js';
import { Asides } from '../../lib/gossip/asides.js';
import { Circle } from '../../lib/gossip/circle.js';
import { Context } from '../../lib/gossip/context.js';
import { type Effect, Gossip, type Settings } from '../../lib/gossip/gossip.js';
import { addProved, type Member } from '../../lib/gossip/member.js';
import { blake3 } from '../../lib/hash.js';
import { peerId } from '../../lib/ids.js';
import { OFFERS_PER_PAGE, TOMBSTONES_MAX } from '../../lib/limits.js';
import type { Offer } from '../../lib/offer.js';
import { decode, encode } from '../../lib/wire/codec.js';
import { readHead } from '../../lib/wire/head.js';
import type { MessageOf } from '../../lib/wire/table.js';
import { file, files, removed } from '../sim/share.js';
import { fakeSigner } from '../sim/signer.js';

const KEPT = 60_000;

interface Peer {
  gossip: Gossip;
  settings: Settings;
}

function peer(n: number, more: Partial<Settings> = {}): Peer {
  const key = Uint8Array.from(blake3(`key ${n}`));
  const id = peerId(key, 1_700_000_000_000 + n);
  const settings = { id, key, name: `peer ${n}`, port: 47748, epoch: 1, passive: false, tracker: false, ...more };
  const random = seeded(n);
  const bytes16 = (): Uint8Array => Uint8Array.from({ length: 16 }, () => Math.floor(random() * 256));
  const gossip = new Gossip(settings, fakeSigner(key), random, bytes16);
  gossip.handle({ kind: 'start' }, 0);
  return { gossip, settings };
}

function connect({ gossip }: Peer, to: Peer, now: number): Effect[] {
  const address = { host: '10.0.0.2', port: 47748 };
  return gossip.handle({ kind: 'connected', peer: to.settings.id, ...to.gossip.head(), address, dialled: false }, now);
}

/** Tells the reader what the writer has for it, as the driver does. */
class Telling {
  version: number | undefined;
  readonly #from: Peer;
  readonly #to: Peer;
  readonly #sees: (path: string) => boolean;

  constructor(from: Peer, to: Peer, sees: (path: string) => boolean = () => true) {
    this.#from = from;
    this.#to = to;
    this.#sees = sees;
  }

  pages(): MessageOf<'Y'>[] {
    const { pages, version } = this.#from.gossip.asides(this.version, this.#sees);
    this.version = version;
    return [...pages].map((page) => decode(encode(page), 'tcp') as MessageOf<'Y'>);
  }

  tell(now: number, pages = this.pages()): Effect[] {
    const { id } = this.#from.settings;
    return pages.flatMap((message) => this.#to.gossip.handle({ kind: 'aside', peer: id, message }, now));
  }
}

function changes(effects: Effect[]): string[] {
  return effects.flatMap((e) => (e.kind === 'change' ? [`${e.change} ${e.offer.path}`] : []));
}

const paths = ({ gossip }: Peer, of: Peer) => [...gossip.index.of(of.settings.id)].map(({ path }) => path).sort();

test('what is told aside stands beside the public offers, in no head, no root, no pull and no answer', (t) => {
  const [writer, reader] = [peer(1), peer(2)];
  writer.gossip.handle({ kind: 'offers', changes: [file('public/a')] }, 1);
  const before = writer.gossip.head();
  const told = writer.gossip.handle({ kind: 'asides', changes: [file('aside/b'), file('other/c')] }, 2);
  t.deepEqual(changes(told), ['added aside/b', 'added other/c'], 'to oneself');
  t.is(told.filter((e) => e.kind === 'multicast' || e.kind === 'tell' || e.kind === 'reply').length, 0);
  t.deepEqual(writer.gossip.head(), before);
  t.is(readHead(before.head).files, 1);
  connect(reader, writer, 3);
  const telling = new Telling(writer, reader, (path) => path.startsWith('aside/'));
  t.deepEqual(changes(telling.tell(4)), ['added aside/b']);
  t.deepEqual(paths(reader, writer), ['aside/b']);
  t.is(reader.gossip.index.get(writer.settings.id, 'aside/b')?.path, 'aside/b');
  t.is(reader.gossip.index.byPath('aside/b').length, 1);
  const pull = {
    type: 'P',
    number: 1,
    writer: writer.settings.id,
    epoch: 0,
    version: 0,
    buckets: new Uint8Array(0),
  } as const;
  t.false(JSON.stringify([...(writer.gossip.answerPull(pull) as Iterable<object>)]).includes('aside'));
  t.like(reader.gossip.answerPull(pull), { code: 'not-found' });
  const find = { type: 'F', number: 1, kind: 0, text: '' } as const;
  const found = (sees?: (path: string) => boolean) =>
    [...writer.gossip.answerFind(find, sees)].flatMap((page) => page.offers.map(({ path }) => `${path} ${page.aside}`));
  t.deepEqual(found(), ['public/a false']);
  t.deepEqual(
    found((path) => path === 'other/c'),
    ['other/c true', 'public/a false'],
  );
  t.deepEqual([...reader.gossip.answerFind(find)][0].offers, []);
});

test('changes follow in order; a snapshot counts once it is whole, and tells only what differs', (t) => {
  const [writer, reader] = [peer(1), peer(2)];
  const many = files('f', 2 * OFFERS_PER_PAGE + 1);
  writer.gossip.handle({ kind: 'asides', changes: many }, 1);
  connect(reader, writer, 2);
  const telling = new Telling(writer, reader);
  const snapshot = telling.pages();
  t.deepEqual(
    snapshot.map(({ reset, last, offers }) => [reset, last, offers.length]),
    [
      [true, false, OFFERS_PER_PAGE],
      [false, false, OFFERS_PER_PAGE],
      [false, true, 1],
    ],
  );
  t.deepEqual(telling.tell(3, snapshot.slice(0, 2)), []);
  t.is(reader.gossip.index.size, 0);
  const told = telling.tell(4, snapshot.slice(2));
  // So many are told in parts, that nothing else waits for them.
  const more = () => reader.gossip.handle({ kind: 'timer', timer: { kind: 'report' } }, 4);
  t.is(changes([...told, ...more(), ...more()]).length, many.length);
  t.is(reader.gossip.index.size, many.length);

  t.deepEqual(telling.pages(), [], 'nothing new, nothing said');
  const first = many[0].path;
  writer.gossip.handle({ kind: 'asides', changes: [file('g'), removed(first)] }, 5);
  writer.gossip.handle({ kind: 'asides', changes: [file('g', 'ninety-nine')] }, 6);
  t.deepEqual(changes(telling.tell(7)), [`removed ${first}`, 'added g']);
  writer.gossip.handle({ kind: 'asides', changes: [file('g', 'hundred'), removed('never there')] }, 8);
  t.deepEqual(changes(telling.tell(9)), ['changed g']);

  const anew = new Telling(writer, reader);
  writer.gossip.handle({ kind: 'asides', changes: [file('h'), removed('g')] }, 10);
  t.deepEqual(changes([...anew.tell(11), ...more(), ...more()]), ['removed g', 'added h']);
  t.is(reader.gossip.index.size, many.length);
});

test('one that is behind what tombstones remember is told the whole', (t) => {
  const [writer, reader] = [peer(1), peer(2)];
  connect(reader, writer, 0);
  writer.gossip.handle({ kind: 'asides', changes: [file('a'), file('b')] }, 1);
  const telling = new Telling(writer, reader);
  telling.tell(2);
  const many = files('f', TOMBSTONES_MAX + 1);
  writer.gossip.handle({ kind: 'asides', changes: [removed('a'), ...many] }, 3);
  writer.gossip.handle({ kind: 'asides', changes: many.map(({ path }) => removed(path)) }, 4);
  const pages = telling.pages();
  t.true(pages[0].reset);
  telling.tell(5, pages);
  t.deepEqual(paths(reader, writer), ['b']);
});

test('without the link it is kept for a while, and goes unless the writer begins anew', (t) => {
  const [writer, reader] = [peer(1), peer(2)];
  const { id } = writer.settings;
  writer.gossip.handle({ kind: 'asides', changes: [file('a')] }, 1);
  connect(reader, writer, 2);
  new Telling(writer, reader).tell(3);
  t.true(reader.gossip.hearsAside(id));
  reader.gossip.handle({ kind: 'disconnected', peer: id }, 1000);
  const due = (now: number) =>
    changes(reader.gossip.handle({ kind: 'timer', timer: { kind: 'aside', peer: id } }, now));
  t.deepEqual(due(1000 + KEPT / 2), []);
  connect(reader, writer, 2000);
  t.deepEqual(changes(new Telling(writer, reader).tell(2001)), [], 'the same again');
  t.deepEqual(due(1000 + KEPT), []);
  reader.gossip.handle({ kind: 'disconnected', peer: id }, 100_000);
  // A new link over which nothing is told: it is not for us any more.
  connect(reader, writer, 101_000);
  t.deepEqual(due(100_000 + KEPT), []);
  t.deepEqual(due(101_000 + KEPT), ['removed a']);
  t.false(reader.gossip.hearsAside(id));
  t.is(reader.gossip.index.size, 0);
});

test('a half snapshot of a link that broke is nothing; what follows on nothing is nothing', (t) => {
  const [writer, reader] = [peer(1), peer(2)];
  const { id } = writer.settings;
  writer.gossip.handle({ kind: 'asides', changes: files('f', OFFERS_PER_PAGE + 1) }, 1);
  connect(reader, writer, 2);
  const telling = new Telling(writer, reader);
  const [first, second] = telling.pages();
  telling.tell(3, [first]);
  reader.gossip.handle({ kind: 'disconnected', peer: id }, 4);
  connect(reader, writer, 5);
  t.deepEqual(changes(telling.tell(6, [second])), []);
  t.is(reader.gossip.index.size, 0);
});

test('it goes with a goodbye, and outlives a silence of its peer while the link stands', (t) => {
  const [writer, reader] = [peer(1), peer(2)];
  const { id } = writer.settings;
  writer.gossip.handle({ kind: 'asides', changes: [file('a')] }, 1);
  connect(reader, writer, 2);
  new Telling(writer, reader).tell(3);
  let now = 3;
  const effects: Effect[] = [];
  for (let i = 0; i < 50 && reader.gossip.peer(id); i++) {
    now += 60_000;
    effects.push(...reader.gossip.handle({ kind: 'timer', timer: { kind: 'expire', peer: id } }, now));
  }
  t.deepEqual(changes(effects), ['removed a']);
  t.is(reader.gossip.index.size, 0);
  t.deepEqual(changes(connect(reader, writer, now + 1)), ['added a']);
  const [leave] = writer.gossip.handle({ kind: 'stop' }, 4).flatMap((e) => (e.kind === 'multicast' ? [e.message] : []));
  const gone = reader.gossip.handle({ kind: 'message', peer: id, message: leave }, now + 2);
  t.deepEqual(changes(gone), ['removed a']);
  t.false(reader.gossip.hearsAside(id));
});

test('with public offers it keeps within one bound, and says so once', (t) => {
  const me = peer(1);
  const context = new Context(me.settings, fakeSigner(me.settings.key), seeded(1), () => new Uint8Array(16));
  const circle = new Circle(context, () => 400);
  const asides = new Asides(context, circle, { peer: 10, all: 15 });
  const member = (n: number): Member => {
    const other = peer(n);
    const proof = other.gossip.head();
    const made = circle.meet(readHead(proof.head), proof, 'join') as Member;
    // Of one address, nobody gives way to another.
    addProved(made, { host: '10.0.0.2', port: 1 });
    circle.revive(made, made.head);
    return made;
  };
  const page = (offers: Offer[], reset: boolean, last: boolean): MessageOf<'Y'> => ({ type: 'Y', reset, offers, last });
  const offers = (count: number, from = 0): Offer[] =>
    files('f', from + count)
      .slice(from)
      .map((offer, i) => ({ ...offer, version: from + i + 1 }));
  const [one, two, three] = [member(2), member(3), member(4)];
  asides.page(one, page(offers(8), true, false));
  asides.page(one, page(offers(8, 8), false, true));
  t.is(circle.index.size, 10);
  t.is(context.effects.filter((e) => e.kind === 'warning').length, 1);
  asides.page(one, page(offers(8, 20), false, true));
  t.is(circle.index.size, 10);
  t.is(context.effects.filter((e) => e.kind === 'warning').length, 1);
  // What has not become whole counts as well.
  asides.page(two, page(offers(3), true, false));
  asides.page(three, page(offers(8), true, true));
  t.is(circle.index.size, 12);
  asides.page(two, page([], false, true));
  t.is(circle.index.size, 15);
  // What goes makes room.
  asides.page(one, page([], true, true));
  t.is(circle.index.size, 5);
  asides.page(three, page(offers(8), true, true));
  t.is(circle.index.size, 11);
});

test('a one-shot that asks has it from answers, and takes nothing that it did not ask for', (t) => {
  const [writer, shot] = [peer(1), peer(2, { passive: true, port: 0 })];
  const { id } = writer.settings;
  writer.gossip.handle({ kind: 'asides', changes: [file('a')] }, 1);
  connect(shot, writer, 2);
  t.deepEqual(new Telling(writer, shot).tell(3), []);
  const offers = [{ ...file('a', 'of a'), version: 1 }];
  const found = shot.gossip.handle({ kind: 'found', peer: id, offers, last: false, aside: true }, 4);
  t.deepEqual(changes(found), ['added a']);
  t.true(shot.gossip.index.isAside(offers[0].id as string, 'a'));
  shot.gossip.handle({ kind: 'found', peer: id, offers: [{ ...offers[0], path: 'b' }], last: true }, 5);
  t.false(shot.gossip.index.isAside(offers[0].id as string, 'a'), 'the same content is public');
  t.false(shot.gossip.index.isAside('00'.repeat(32), 'c'));
});
