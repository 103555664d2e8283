/** The directory: what trackers tell, merged, bounded, and believed only as far as its writers signed it. */
import test from 'ava';
import { blake3 } from '../../lib/hash.js';
import { peerId } from '../../lib/ids.js';
import { REPORTS_MAX, TOLD_BITS_MAX, TOLD_HEADS_MAX } from '../../lib/limits.js';
import type { Offer } from '../../lib/offer.js';
import { Directory, type DirectorySettings, type Telling, type Told } from '../../lib/tracker/directory.js';
import { headStatement, PASSIVE, packHead, TRACKER } from '../../lib/wire/head.js';
import type { MessageOf, Neighbour } from '../../lib/wire/table.js';
import { fakeSigner } from '../sim/signer.js';

const ME = peerId(Uint8Array.from(blake3('me')), 1);
const TRACKER_A = 'A';
const TRACKER_B = 'B';
const hex = (text: string) => blake3(text).toString('hex');

class Writer {
  readonly key: Uint8Array;
  readonly id: string;
  epoch = 1;
  version = 1;
  count = 0;
  flags = 0;
  name: string;

  constructor(name: string) {
    this.name = name;
    this.key = Uint8Array.from(blake3(name));
    this.id = peerId(this.key, 1_700_000_000_000);
  }

  says(addresses: string[] = ['10.0.0.5:47748']): Neighbour {
    const { id, key, name, flags, epoch, version, count } = this;
    const rest = {
      port: 47748,
      beat: 1,
      files: count,
      bytes: 0,
      floor: 0,
      root: new Uint8Array(32),
      echo: key.subarray(0, 0),
    };
    const head = packHead({ id, key, name, flags, epoch, version, count, ...rest });
    return { head, sig: fakeSigner(key).sign(headStatement(head)), addresses };
  }
}

const offer = (path: string, version = 1, more: Partial<Offer> = {}): Offer => ({
  path,
  kind: 'file',
  size: 5,
  mtime: 1,
  id: hex(path),
  version,
  ...more,
});

const gone = (path: string, version: number): Offer => offer(path, version, { kind: 'removed', size: 0, id: null });

function page(more: Partial<MessageOf<'f'>> = {}): MessageOf<'f'> {
  return { type: 'f', number: 1, reset: false, peers: [], offers: [], have: [], gone: [], last: true, ...more };
}

function directory(more: Partial<DirectorySettings> = {}): Directory {
  return new Directory({
    id: ME,
    verify: (key, statement, sig) => fakeSigner(key).verify(key, statement, sig),
    ...more,
  });
}

/** A page of one peer with some offers. */
const of = (writer: Writer, offers: Offer[], more: Partial<MessageOf<'f'>> = {}) =>
  page({ peers: [writer.says()], offers: [{ peer: writer.id, offers }], ...more });

const paths = (all: Iterable<Offer>) => [...all].map(({ path }) => path).sort();
const news = ({ came, changes, left }: Told) => ({
  came: came.map(({ name }) => name),
  changes: changes.map(
    ({ before, after }) => `${before?.version ?? '-'}>${after?.version ?? '-'} ${(after ?? before)?.path}`,
  ),
  left: left.map(({ name }) => name),
});

test('what a tracker tells is there, by peer, path and content', (t) => {
  const all = directory();
  const told = all.begin(TRACKER_A, false);
  const anna = new Writer('anna');
  const first = all.page(told, of(anna, [offer('a/x'), offer('a/y')]), 0);
  t.deepEqual(news(first), { came: ['anna'], changes: ['->1 a/x', '->1 a/y'], left: [] });
  t.true(told.isWhole);
  t.deepEqual(paths(all), ['a/x', 'a/y']);
  t.deepEqual(paths(all.of(anna.id)), ['a/x', 'a/y']);
  t.is(all.byId(hex('a/x'))[0], all.get(anna.id, 'a/x')!);
  t.deepEqual([all.size, all.load, all.countOf(anna.id)], [2, 2, 2]);
  t.like(all.peer(anna.id), { name: 'anna', addresses: ['10.0.0.5:47748'], tracker: false });
  const then = all.page(told, page({ offers: [{ peer: anna.id, offers: [gone('a/x', 2), offer('a/y', 3)] }] }), 0);
  t.deepEqual(news(then).changes, ['1>- a/x', '1>3 a/y']);
  t.deepEqual(all.byId(hex('a/x')), []);
  t.deepEqual(news(all.page(told, page({ gone: [anna.id] }), 0)), { came: [], changes: ['3>- a/y'], left: ['anna'] });
  t.deepEqual([all.size, all.load, [...all.peers()]], [0, 0, []]);
});

test('of two trackers the newer word counts, and a peer is here as long as one of them says so', (t) => {
  const all = directory();
  const [a, b] = [all.begin(TRACKER_A, false), all.begin(TRACKER_B, false)];
  const anna = new Writer('anna');
  all.page(a, of(anna, [offer('x', 1)]), 0);
  anna.epoch = 2;
  const second = all.page(
    b,
    page({ peers: [anna.says(['10.1.0.5:1'])], offers: [{ peer: anna.id, offers: [offer('x', 1, { size: 9 })] }] }),
    0,
  );
  t.deepEqual(news(second), { came: [], changes: ['1>1 x'], left: [] });
  t.is(all.get(anna.id, 'x')?.size, 9, 'of the later run');
  t.deepEqual(all.peer(anna.id)?.addresses, ['10.1.0.5:1', '10.0.0.5:47748'], 'those of the newer word first');
  t.deepEqual(news(all.page(b, page({ gone: [anna.id] }), 0)), { came: [], changes: ['1>1 x'], left: [] });
  t.is(all.get(anna.id, 'x')?.size, 5);
  t.deepEqual(news(all.end(a)).left, ['anna']);
  t.deepEqual(
    news(all.page(a, of(anna, [offer('x')]), 0)),
    { came: [], changes: [], left: [] },
    'what ended says nothing',
  );
});

test('what a lost tracker told stays until it is told anew, or its time is over', (t) => {
  const all = directory();
  const told = all.begin(TRACKER_A, false);
  const [anna, bert, carl] = ['anna', 'bert', 'carl'].map((name) => new Writer(name));
  for (const writer of [anna, bert, carl]) writer.count = 2;
  for (const writer of [anna, bert, carl]) all.page(told, of(writer, [offer('x'), offer('y')]), 0);
  all.lose(told, 15_000);
  t.false(told.isWhole);
  t.is(all.size, 6);
  // It is back, and not everyone has registered again.
  const back = (offers: Offer[]) => news(all.page(told, of(anna, offers), 5000));
  t.deepEqual(back([offer('x')]), { came: [], changes: ['1>1 x'], left: [] });
  t.deepEqual(paths(all.of(anna.id)), ['x', 'y'], 'not told whole yet');
  anna.version = 2;
  t.deepEqual(back([offer('z', 2)]).changes, ['->2 z', '1>- y'], 'as many as she says she has');
  t.deepEqual(paths(all.of(anna.id)), ['x', 'z']);
  t.deepEqual(paths(all.of(bert.id)), ['x', 'y']);
  // One deletes a file before he is told of whole.
  all.page(told, of(bert, [gone('x', 2)]), 6000);
  t.deepEqual(paths(all.of(bert.id)), ['y']);
  t.deepEqual(news(all.sweep(14_999)).left, []);
  t.deepEqual(news(all.sweep(15_000)), { came: [], changes: ['1>- y', '1>- x', '1>- y'], left: ['carl'] });
  t.deepEqual(paths(all), ['x', 'z']);
});

test('a lost tracker is not listed as a peer on its own word', (t) => {
  const all = directory();
  const [tracker, anna] = [new Writer('tracker'), new Writer('anna')];
  const told = all.begin(tracker.id, false);
  for (const writer of [tracker, anna]) all.page(told, of(writer, [offer('x')]), 0);
  t.deepEqual(news(all.lose(told, 15_000)), { came: [], changes: ['1>- x'], left: ['tracker'] });
  t.true(all.has(anna.id));
  t.deepEqual(news(all.page(told, of(tracker, [offer('x')]), 100)).came, ['tracker']);
});

test('what is told from the beginning takes the place of what was told once it is whole', (t) => {
  const all = directory();
  const told = all.begin(TRACKER_A, false);
  const [anna, bert] = [new Writer('anna'), new Writer('bert')];
  all.page(told, of(anna, [offer('x'), offer('y')]), 0);
  all.page(told, of(bert, [offer('z')]), 0);
  t.deepEqual(news(all.page(told, of(anna, [offer('x')], { reset: true, last: false }), 0)).left, []);
  t.deepEqual(paths(all), ['x', 'y', 'z'], 'nothing is missed meanwhile');
  t.deepEqual(news(all.page(told, page(), 0)), { came: [], changes: ['1>- y', '1>- z'], left: ['bert'] });
  t.deepEqual(paths(all), ['x']);
});

test('a head that is not signed by its writer, one’s own and a one-shot’s are not taken, nor what comes with them', (t) => {
  const all = directory();
  const told = all.begin(TRACKER_A, false);
  const anna = new Writer('anna');
  const forged = { ...anna.says(), sig: new Uint8Array(64) };
  all.page(told, page({ peers: [forged], offers: [{ peer: anna.id, offers: [offer('x')] }] }), 0);
  const garbage = { head: new Uint8Array(40), sig: new Uint8Array(64), addresses: [] };
  all.page(told, page({ peers: [garbage] }), 0);
  const shot = new Writer('shot');
  shot.flags = PASSIVE;
  all.page(told, of(shot, [offer('x')]), 0);
  const me = new Writer('me');
  all.page(told, page({ peers: [me.says()], offers: [{ peer: me.id, offers: [offer('x')] }] }), 0);
  t.is(new Directory({ id: me.id, verify: () => true }).size, 0);
  const mine = directory({ id: me.id });
  mine.page(mine.begin(TRACKER_A, false), of(me, [offer('x')]), 0);
  t.deepEqual([paths(mine), [...mine.peers()].length], [[], 0]);
  t.deepEqual(
    [...all.peers()].map(({ name }) => name),
    ['me'],
  );
  t.is(all.refused, 2);
  // What she never said of herself is not hers.
  all.page(told, page({ offers: [{ peer: anna.id, offers: [offer('x')] }] }), 0);
  t.deepEqual(paths(all.of(anna.id)), []);
});

test('addresses: only such as mean something here', (t) => {
  const told = [
    '10.0.0.5:1',
    '127.0.0.1:2',
    '[::1]:3',
    '0.0.0.0:4',
    'example.org:5',
    '[fe80::1%eth0]:6',
    '10.0.0.5:0',
    '[fd00::1]:7',
  ];
  const see = (isNear: boolean) => {
    const all = directory();
    const anna = new Writer('anna');
    all.page(all.begin(TRACKER_A, isNear), page({ peers: [anna.says(told)] }), 0);
    return all.peer(anna.id)?.addresses;
  };
  t.deepEqual(see(false), ['10.0.0.5:1', '[fd00::1]:7']);
  t.deepEqual(
    see(true),
    told.filter((a) => !a.startsWith('example') && a !== '10.0.0.5:0'),
  );
});

test('whether it is a tracker, and the newest name, stand in the newest head', (t) => {
  const all = directory();
  const told = all.begin(TRACKER_A, false);
  const anna = new Writer('anna');
  all.page(told, page({ peers: [anna.says()] }), 0);
  anna.version = 2;
  anna.name = 'anne';
  anna.flags = TRACKER;
  all.page(told, page({ peers: [anna.says()] }), 0);
  t.like(all.peer(anna.id), { name: 'anne', tracker: true });
});

test('holdings: who holds parts of a content, until it takes them back or is gone', (t) => {
  const all = directory();
  const told = all.begin(TRACKER_A, false);
  const [anna, bert] = [new Writer('anna'), new Writer('bert')];
  const have = (peer: string, bits: number[]) => ({ peer, id: hex('c'), chunks: 8, bits: Uint8Array.from(bits) });
  const lent = have(anna.id, [7]);
  const first = all.page(told, page({ peers: [anna.says(), bert.says()], have: [lent, have(bert.id, [1])] }), 0);
  lent.bits[0] = 0;
  t.is(first.held.length, 2);
  t.deepEqual(
    all.holdings(hex('c')).map(({ bits }) => bits[0]),
    [7, 1],
  );
  const back = all.page(told, page({ have: [have(anna.id, [])], gone: [bert.id] }), 0);
  t.deepEqual(
    back.held.map(({ peer, bits }) => [peer, bits.length]),
    [[anna.id, 0]],
  );
  t.deepEqual(all.holdings(hex('c')), []);
});

test('bounds: offers, peers, checks and bit sets', (t) => {
  const few = directory({ most: 20, mostPeers: 2 });
  const told = few.begin(TRACKER_A, false);
  const anna = new Writer('anna');
  const many = Array.from({ length: 100 }, (_, i) => offer(`f${i}`));
  t.throws(() => few.page(told, of(anna, many), 0), { code: 'limit' });
  t.true(few.size <= 21);
  few.end(told);
  t.is(few.size, 0);
  const next = few.begin(TRACKER_A, false);
  const writers = ['a', 'b', 'c'].map((name) => new Writer(name));
  t.throws(() => few.page(next, page({ peers: writers.map((writer) => writer.says()) }), 0), { code: 'limit' });

  const slow = directory({ mostChecks: 3 });
  t.true(TOLD_HEADS_MAX > 3);
  const from = slow.begin(TRACKER_A, false);
  const crowd = Array.from({ length: 10 }, (_, i) => new Writer(`w${i}`));
  slow.page(from, page({ peers: crowd.map((writer) => writer.says()) }), 0);
  t.is([...slow.peers()].length, 3);
  // Those that were checked cost nothing any more; the others have their turn as time passes.
  slow.page(from, page({ peers: crowd.map((writer) => writer.says()) }), 1000);
  t.is([...slow.peers()].length, 6);

  const held = directory({ mostBits: TOLD_BITS_MAX / 2 ** 20 });
  const at = held.begin(TRACKER_A, false);
  const have = Array.from({ length: REPORTS_MAX + 5 }, (_, i) => ({
    peer: anna.id,
    id: hex(`c${i}`),
    chunks: 8,
    bits: Uint8Array.of(1),
  }));
  const news = held.page(at, page({ peers: [anna.says()], have }), 0);
  t.is(news.held.length, Math.min(REPORTS_MAX, TOLD_BITS_MAX / 2 ** 20));
});

test('after much coming and going nothing is left', (t) => {
  const all = directory();
  const tellings: Telling[] = [];
  for (let round = 0; round < 200; round++) {
    const telling = all.begin(`T${round % 4}`, false);
    tellings.push(telling);
    const writers = Array.from({ length: 5 }, (_, i) => new Writer(`w${(round + i) % 11}`));
    for (const writer of writers)
      all.page(telling, of(writer, [offer(`p${round % 7}`, round + 1), offer('q', round + 1)]), round);
    if (round % 3 === 0) all.lose(telling, round + 10);
    if (round % 5 === 0) all.page(telling, page({ reset: true, last: false }), round);
    if (tellings.length > 6) all.end(tellings.shift() as Telling);
    all.sweep(round);
  }
  for (const telling of tellings) all.end(telling);
  t.deepEqual([all.size, all.load, [...all.peers()]], [0, 0, []]);
});
