/** Pages of what a registry found, and what those who follow are told of changes. */
import test, { type ExecutionContext } from 'ava';
import type { PeerId } from '../../lib/ids.js';
import { CHUNKS_MAX, FRAME_MAX, NEIGHBOURS_MAX, OFFERS_PER_PAGE, PATH_MAX } from '../../lib/limits.js';
import type { PeerOffer } from '../../lib/offer.js';
import { LOOKUP, type Registered } from '../../lib/tracker/events.js';
import { FollowLog, type Query, queryOf, type Told } from '../../lib/tracker/follow.js';
import { type Page, type Piece, pagesOf, type Reader } from '../../lib/tracker/pages.js';
import { decode, encode } from '../../lib/wire/codec.js';
import { readHead } from '../../lib/wire/head.js';
import { contentId, offered, registrant } from './tracker-suite.js';

const ALL: Query = queryOf(LOOKUP.all, '') as Query;

function registered(n: number, more: Partial<Registered> = {}): Registered {
  const peer = registrant(n);
  return { ...peer, reachable: [`10.0.0.${n}:40000`], seen: '', link: n, homes: [], since: 0, ...more };
}

const many = (count: number): Registered[] => Array.from({ length: count }, (_, i) => registered(i + 1));

function readerOf(peers: readonly Registered[], more: Partial<Reader> = {}): Reader {
  const byId = new Map(peers.map((peer) => [peer.id, peer]));
  return { local: false, knows: false, peer: (id) => byId.get(id), ...more };
}

const piece = (more: Partial<Piece>): Piece => ({ peers: [], offers: [], have: [], ...more });
const idsOf = (page: Page): PeerId[] => page.peers.map(({ head }) => readHead(head).id);
const pathsOf = (page: Page): string[] => page.offers.flatMap(({ offers }) => offers.map(({ path }) => path));

/** Every page can be sent, and only its last says so. */
function assertPages(t: ExecutionContext, pages: readonly Page[]): void {
  for (const page of pages) {
    const bytes = encode({ ...page, number: 1 });
    t.true(bytes.length <= FRAME_MAX, `${bytes.length} bytes`);
    t.notThrows(() => decode(bytes, 'tcp'));
  }
  t.deepEqual(
    pages.map(({ last }) => last),
    pages.map((_, i) => i === pages.length - 1),
  );
}

test('an answer of nothing is one page, which is the last', (t) => {
  const pages = [...pagesOf([], readerOf([]), true)];
  assertPages(t, pages);
  t.like(pages[0], { reset: true, peers: [], offers: [] });
});

test('a page is as large as its message may be, and no larger, whatever is found', (t) => {
  const peers = many(NEIGHBOURS_MAX + 10);
  const long = (i: number) =>
    `${String(i).padStart(6, '0')}/${'ä'.repeat(100)}/`.repeat(17).slice(0, PATH_MAX / 2 - 10) + i;
  const cases: [string, Piece[], number][] = [
    ['peers', [piece({ peers })], 2],
    [
      'offers of one',
      [piece({ offers: Array.from({ length: OFFERS_PER_PAGE + 1 }, (_, i) => offered(peers[0].id, `f${i}`)) })],
      2,
    ],
    [
      'an offer of each, again and again',
      Array.from({ length: 12 }, (_, k) => piece({ offers: peers.map(({ id }) => offered(id, `f${k}`)) })),
      3,
    ],
    ['long paths', [piece({ offers: Array.from({ length: 120 }, (_, i) => offered(peers[0].id, long(i))) })], 3],
    [
      'large bit sets',
      [
        piece({
          have: peers.slice(0, 3).map(({ id }) => {
            return { peer: id, id: contentId(1), chunks: CHUNKS_MAX, bits: new Uint8Array(CHUNKS_MAX / 8) };
          }),
        }),
      ],
      3,
    ],
    ['gone', [piece({ gone: peers.map(({ id }) => id) })], 3],
  ];
  for (const [what, pieces, least] of cases) {
    const pages = [...pagesOf(pieces, readerOf(peers), false)];
    assertPages(t, pages);
    t.true(pages.length >= least, `${what}: ${pages.length} pages`);
    const sum = (of: (page: Page) => number) => pages.reduce((all, page) => all + of(page), 0);
    const wanted = (of: (one: Piece) => number) => pieces.reduce((all, one) => all + of(one), 0);
    t.is(
      sum((page) => pathsOf(page).length),
      wanted(({ offers }) => offers.length),
      what,
    );
    t.is(
      sum(({ have }) => have.length),
      wanted(({ have }) => have.length),
    );
    t.is(
      sum(({ gone }) => gone.length),
      wanted(({ gone = [] }) => gone.length),
    );
  }
});

test('who is told of by what it offers comes with its own words, once, and before', (t) => {
  const peers = many(40);
  const offers = Array.from({ length: 5000 }, (_, i) => offered(peers[i % 40].id, `f${i}`));
  const told = new Set<PeerId>();
  let words = 0;
  for (const page of pagesOf([piece({ offers })], readerOf(peers), false)) {
    for (const id of idsOf(page)) told.add(id);
    words += page.peers.length;
    for (const { peer } of page.offers) t.true(told.has(peer));
  }
  t.is(words, 40);
});

test('offers of one who went meanwhile are left out', (t) => {
  const [ann, bob] = many(2);
  const offers = [offered(ann.id, 'a'), offered(bob.id, 'b')];
  const [page, ...rest] = pagesOf([piece({ offers })], readerOf([ann]), false);
  t.deepEqual([pathsOf(page), rest], [['a'], []]);
  // One who has every peer's words is not told them again.
  const [known] = pagesOf([piece({ offers })], readerOf([ann], { knows: true }), false);
  t.deepEqual([pathsOf(known), known.peers], [['a'], []]);
});

test('addresses that mean another machine elsewhere are told only on this one', (t) => {
  const reachable = ['10.0.0.1:1', '127.0.0.1:1', '[::1]:1', '[fe80::1%eth0]:1', '[fd00::1]:1'];
  const ann = registered(1, { reachable });
  const addresses = (local: boolean) =>
    [...pagesOf([piece({ peers: [ann] })], readerOf([ann], { local }), false)][0].peers[0].addresses;
  t.deepEqual(addresses(false), ['10.0.0.1:1', '[fd00::1]:1']);
  t.deepEqual(addresses(true), reachable);
});

/** What a follower is told, with the rests left out. */
function told(log: FollowLog, query: Query, from: number, peers: readonly Registered[]): Page[] {
  const reader = readerOf(peers, { knows: query.knowsAll });
  const isEmpty = ({ offers, have, gone, ...page }: Page) =>
    page.peers.length + offers.length + have.length + gone.length === 0;
  return [
    ...pagesOf(
      log.since(from, log.head, query, () => undefined),
      reader,
      false,
    ),
  ].filter((page) => !isEmpty(page));
}

const change = (before: PeerOffer | undefined, after: PeerOffer | undefined): Told => {
  return { kind: 'offer', change: { before, after } };
};

test('of what changed often the latest is told; a deletion is told as one', (t) => {
  const log = new FollowLog();
  const ann = registered(1);
  const first = offered(ann.id, 'a.txt');
  const second = { ...first, size: 6, version: 2 };
  log.add({ kind: 'peer', peer: ann, moved: true });
  log.add(change(undefined, first));
  log.add(change(first, second));
  const gone = offered(ann.id, 'b.txt');
  log.add(change(undefined, gone));
  log.add(change(gone, undefined));
  const [page, ...rest] = told(log, ALL, 0, [ann]);
  t.deepEqual(rest, []);
  t.deepEqual(idsOf(page), [ann.id]);
  t.deepEqual(page.offers, [{ peer: ann.id, offers: [second, { ...gone, kind: 'removed', size: 0 }] }]);
});

test('who went and came again is first gone, with all that it had before', (t) => {
  const log = new FollowLog();
  const ann = registered(1);
  log.add(change(undefined, offered(ann.id, 'old')));
  log.add({ kind: 'gone', peer: ann });
  log.add({ kind: 'peer', peer: ann, moved: true });
  log.add(change(undefined, offered(ann.id, 'new')));
  const pages = told(log, ALL, 0, [ann]);
  t.deepEqual(
    pages.map((page) => [page.gone, idsOf(page), pathsOf(page)]),
    [
      [[ann.id], [], []],
      [[], [ann.id], ['new']],
    ],
  );
});

test('each kind of lookup is told what concerns it', (t) => {
  const [ann, bob] = [registered(1), registered(2)];
  const id = contentId(7);
  const changes: Told[] = [
    { kind: 'peer', peer: ann, moved: true },
    { kind: 'peer', peer: bob, moved: false },
    change(undefined, offered(ann.id, 'photos/Cat.JPG', { id })),
    change(undefined, offered(bob.id, 'notes/dog.txt')),
    { kind: 'holding', holding: { peer: bob.id, id, chunks: 8, bits: Uint8Array.of(3) } },
    { kind: 'holding', holding: { peer: bob.id, id: contentId(8), chunks: 8, bits: Uint8Array.of(3) } },
  ];
  const seen = (kind: number, text: string) => {
    const log = new FollowLog();
    for (const entry of changes) log.add(entry);
    const pages = told(log, queryOf(kind, text) as Query, 0, [ann, bob]);
    return {
      peers: pages.flatMap(idsOf).map((one) => (one === ann.id ? 'ann' : 'bob')),
      paths: pages.flatMap(pathsOf),
      have: pages.flatMap(({ have }) => have.map((one) => one.id)),
    };
  };
  const cat = 'photos/Cat.JPG';
  t.deepEqual(seen(LOOKUP.all, ''), { peers: ['ann', 'bob'], paths: [cat, 'notes/dog.txt'], have: [] });
  t.deepEqual(seen(LOOKUP.what, 'Cat.JPG'), { peers: ['ann'], paths: [cat], have: [] });
  t.deepEqual(seen(LOOKUP.pattern, 'notes/**'), { peers: ['ann', 'bob'], paths: ['notes/dog.txt'], have: [] });
  t.deepEqual(seen(LOOKUP.words, 'cat jpg'), { peers: ['ann'], paths: [cat], have: [] });
  t.deepEqual(seen(LOOKUP.holders, id), { peers: ['ann', 'bob'], paths: [cat], have: [id] });
  t.deepEqual(seen(LOOKUP.peers, ''), { peers: ['ann', 'bob'], paths: [], have: [] });
  t.deepEqual(seen(LOOKUP.peer, 'peer 2'), { peers: ['bob'], paths: [], have: [] });
  t.is(queryOf(LOOKUP.relay, ''), undefined);
  t.throws(() => queryOf(LOOKUP.pattern, '*'.repeat(2000)), { code: 'usage' });
});

test('an offer that no longer fits is told as it is now', (t) => {
  const log = new FollowLog();
  const ann = registered(1);
  const before = offered(ann.id, 'a', { id: contentId(1) });
  const after = offered(ann.id, 'a', { id: contentId(2), version: 2 });
  log.add(change(before, after));
  const [page] = told(log, queryOf(LOOKUP.holders, contentId(1)) as Query, 0, [ann]);
  t.deepEqual(page.offers, [{ peer: ann.id, offers: [after] }]);
});
