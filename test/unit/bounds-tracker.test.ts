/** Bounds of the tracker's drivers, each reached: what happens there, and that the others stay served. */
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import { Clients, say } from '../../lib/drive/clients.js';
import { DialBack, type DialBackJob, mayTry } from '../../lib/drive/dial-back.js';
import { Feed } from '../../lib/drive/feed.js';
import { Follows } from '../../lib/drive/follows.js';
import {
  DIAL_BACKS_AT_ONCE_MAX,
  DIAL_BACKS_PER_PEER_MAX,
  DIAL_BACKS_PER_SECOND,
  DIAL_BACKS_QUEUED_MAX,
  FOLLOW_LOG_MAX,
  FOLLOWS_PER_CONNECTION_MAX,
} from '../../lib/limits.js';
import type { PeerOffer } from '../../lib/offer.js';
import { LiveIndex } from '../../lib/shelf/live-index.js';
import { Shelf } from '../../lib/shelf/shelf.js';
import type { Change } from '../../lib/shelf/staging.js';
import { LOOKUP, type Registered } from '../../lib/tracker/events.js';
import { FollowLog, type Query, queryOf } from '../../lib/tracker/follow.js';
import { pagesOf } from '../../lib/tracker/pages.js';
import { FarEnd, turns } from './bounds-link.js';
import { offered, registrant } from './tracker-suite.js';

const ANN: Registered = { ...registrant(1), reachable: [], seen: '', link: 1, homes: [], since: 0 };

function follows(answers: { count: number }, log?: FollowLog): Follows {
  const reader = () => ({ local: false, peer: () => ANN });
  return new Follows(
    {
      reader,
      holds: () => undefined,
      answer: (_question, _link, reset) => {
        answers.count++;
        return pagesOf([], { ...reader(), knows: false }, reset);
      },
    },
    log,
  );
}

const offerOf = (n: number): PeerOffer => offered(ANN.id, `f${n}`, { version: n + 1 });

test('so many lookups of one connection are followed; one that is cancelled makes room', (t) => {
  const all = follows({ count: 0 });
  const far = new FarEnd();
  for (let n = 0; n < FOLLOWS_PER_CONNECTION_MAX; n++) t.truthy(all.add(far.link, n, { kind: 0, text: '' }));
  t.throws(() => all.add(far.link, 99, { kind: 0, text: '' }), { code: 'limit' });
  // One of the same number is followed in place of the first.
  t.truthy(all.add(far.link, 3, { kind: LOOKUP.pattern, text: '*' }));
  t.is(all.size, FOLLOWS_PER_CONNECTION_MAX);
  all.cancel(far.link, 5);
  t.truthy(all.add(far.link, 99, { kind: 0, text: '' }));
  t.truthy(all.add(new FarEnd().link, 99, { kind: 0, text: '' }), 'another connection has its own');
  all.linkClosed(far.link);
  t.is(all.size, 1);
  all.stop();
  t.is(all.size, 0);
});

test('the log of changes keeps so many, and says so', (t) => {
  const log = new FollowLog();
  for (let n = 0; n < 2 * FOLLOW_LOG_MAX; n++) log.add({ kind: 'gone', peer: ANN });
  t.is(log.head, 2 * FOLLOW_LOG_MAX);
  t.true(log.reaches(FOLLOW_LOG_MAX));
  t.false(log.reaches(FOLLOW_LOG_MAX - 1));
  const query = queryOf(LOOKUP.all, '') as Query;
  t.is([...log.since(FOLLOW_LOG_MAX, log.head, query, () => undefined)].flatMap(({ gone = [] }) => gone).length, 1);
});

test('who does not read is told the whole anew when it does, and meanwhile holds up nobody', async (t) => {
  const answers = { count: 0 };
  const all = follows(answers, new FollowLog(500));
  const [quick, slow] = [new FarEnd('10.0.0.2', { room: () => 0 }), new FarEnd('10.0.0.3', { room: () => 0 })];
  for (const { link } of [quick, slow]) {
    const follower = all.add(link, 7, { kind: 0, text: '' });
    if (follower) all.told(follower, all.place);
  }
  slow.hold();
  // Full, as far as it may be.
  while (slow.link.writable)
    slow.link.send({ type: 'T', number: 1, block: 0, hash: new Uint8Array(0), data: Buffer.alloc(1 << 17) });
  for (let n = 0; n < 3000; n++) {
    all.note({ kind: 'offer', change: { before: undefined, after: offerOf(n) } });
    if (n % 10 === 0) await delay(1);
  }
  const paths = (far: FarEnd) =>
    far.of('f').flatMap(({ offers }) => offers.flatMap((one) => one.offers.map((o) => o.path)));
  await turns(() => paths(quick).includes('f2999'), 500_000);
  t.is(new Set(paths(quick)).size, 3000, 'all was told to the one who reads');
  t.true(quick.of('f').every(({ reset }) => !reset));
  t.is(answers.count, 0);
  t.true(slow.link.open);
  t.is(slow.of('f').length, 0);
  await slow.release();
  await turns(() => slow.of('f').length > 0, 500_000);
  t.like(slow.of('f')[0], { number: 7, reset: true, last: true });
  t.is(answers.count, 1);
  // And from then on what changes.
  all.note({ kind: 'offer', change: { before: undefined, after: offerOf(5000) } });
  await turns(() => paths(slow).includes('f5000'), 500_000);
  t.is(answers.count, 1);
  all.stop();
});

test('the same changes are made into pages once for all who want them', async (t) => {
  let asked = 0;
  const peer = () => {
    asked++;
    return ANN;
  };
  const all = new Follows({ reader: () => ({ local: false, peer }), holds: () => undefined, answer: () => [] });
  const far = Array.from({ length: 200 }, (_, i) => new FarEnd(`10.0.1.${i}`));
  for (const { link } of far) {
    const follower = all.add(link, 1, { kind: 0, text: '' });
    if (follower) all.told(follower, all.place);
  }
  for (let n = 0; n < 10; n++) all.note({ kind: 'offer', change: { before: undefined, after: offerOf(n) } });
  await turns(() => far.every((one) => one.of('f').length === 1), 500_000);
  t.true(asked <= 40, `${asked}`);
  all.stop();
});

test('one who does not read has the latest word waiting for it, and is cut off for more', async (t) => {
  const clients = new Clients();
  const far = new FarEnd('10.0.0.2', { room: () => 0 });
  const client = clients.of(far.link);
  t.is(clients.of(far.link), client);
  const joined = (number: number) => {
    const rest = { seen: '', reachable: [], lease: 1, peers: 1, offers: 1, trackers: [] };
    clients.join(client, { type: 'Z', number, ...rest });
  };
  joined(1);
  far.hold();
  const data = Buffer.alloc(1 << 17);
  while (far.link.writable) far.link.send({ type: 'T', number: 1, block: 0, hash: new Uint8Array(0), data });
  const { queued } = far.link;
  for (let number = 2; number < 1000; number++) joined(number);
  t.is(far.link.queued, queued);
  await far.release();
  await turns(() => far.of('Z').length === 2);
  t.deepEqual(
    far.of('Z').map(({ number }) => number),
    [1, 999],
  );
  joined(1000);
  await turns(() => far.of('Z').length === 3);
  far.hold();
  while (far.link.writable) far.link.send({ type: 'T', number: 1, block: 0, hash: new Uint8Array(0), data });
  await delay(2100);
  say(far.link, { type: 'p', number: 1, answer: true });
  t.is(far.ended?.code, 'limit');
  t.is(clients.remove(far.link), client);
  t.is(clients.size, 0);
});

test('only doors that may be its own are knocked at for a peer', (t) => {
  const may = (host: string, from = '10.1.2.3', port = 5) => mayTry({ host, port }, from, 5);
  for (const host of ['10.1.2.3', '10.9.9.9', '172.16.0.1', '192.168.1.1', '169.254.1.1', '100.64.0.1', 'fd00::1'])
    t.true(may(host), host);
  for (const host of [
    '8.8.8.8',
    '172.32.0.1',
    '2001:db8::1',
    '127.0.0.1',
    '::1',
    '0.0.0.0',
    'localhost',
    '255.255.255.255',
  ])
    t.false(may(host), host);
  t.true(may('8.8.8.8', '8.8.8.8'), 'where it comes from');
  t.true(may('127.0.0.2', '127.0.0.1'), 'loopback means something to one of this host');
  t.false(may('10.1.2.3', '10.1.2.3', 6), 'a port that its head does not name');
});

const job = (host: string, outcomes: [string, boolean][], port = 5): DialBackJob => {
  return { peer: ANN.id, host, port, done: (address, reached) => outcomes.push([address, reached]) };
};

test('so many are dialled back at once, of one host an eighth; those that wait have their turn', async (t) => {
  const open: (() => void)[] = [];
  const back = new DialBack(
    () => new Promise((resolve) => open.push(() => resolve(true))),
    undefined,
    undefined,
    10_000,
  );
  const outcomes: [string, boolean][] = [];
  for (let n = 0; n < 10; n++)
    back.ask(
      job('10.0.0.1', outcomes),
      [...Array(9).keys()].map((i) => `10.0.${n}.${i}:5`),
    );
  t.is(outcomes.length, 10, 'a ninth address of each is not tried');
  t.is(10 * DIAL_BACKS_PER_PEER_MAX, 80);
  t.is(open.length, DIAL_BACKS_AT_ONCE_MAX / 8);
  for (let n = 2; n < 20; n++)
    back.ask(
      job(`10.0.0.${n}`, outcomes),
      [...Array(8).keys()].map((i) => `10.9.${n}.${i}:5`),
    );
  t.is(open.length, DIAL_BACKS_AT_ONCE_MAX);
  while (open.length > 0 || back.size > 0) {
    open.shift()?.();
    await delay(0);
  }
  t.is(outcomes.filter(([, reached]) => reached).length, 80 + 18 * 8);
  t.is(back.size, 0);
});

test('dialling back has a pace, and those that wait a bound', async (t) => {
  let dialled = 0;
  const back = new DialBack(async () => {
    dialled++;
    return false;
  });
  const outcomes: [string, boolean][] = [];
  const started = performance.now();
  for (let n = 0; n < DIAL_BACKS_QUEUED_MAX + 500; n++)
    back.ask(job(`10.1.${n >> 8}.${n & 255}`, outcomes), ['10.0.0.1:5']);
  t.true(back.size <= DIAL_BACKS_QUEUED_MAX + DIAL_BACKS_AT_ONCE_MAX);
  t.true(
    outcomes.length >= 500 - DIAL_BACKS_AT_ONCE_MAX && outcomes.every(([, reached]) => !reached),
    `${outcomes.length}`,
  );
  await delay(300);
  const most = DIAL_BACKS_PER_SECOND * (1 + (performance.now() - started) / 1000) + 1;
  t.true(dialled >= DIAL_BACKS_PER_SECOND && dialled <= most, `${dialled}`);
  back.stop();
  t.is(back.size, 0);
});

test('a large share is put in a little at a time, and as it is when its turn comes', async (t) => {
  const index = new LiveIndex();
  const shelf = new Shelf(ANN.id, 1);
  for (let n = 0; n < 10_000; n++) shelf.put({ ...offerOf(n), path: `p${n}` });
  index.show(shelf);
  const aside = new Shelf(ANN.id, 1);
  aside.put({ ...offerOf(1), path: 'secret' });
  index.show(aside, true);
  const put: Change[][] = [];
  const feed = new Feed(index, (_, changes) => put.push(changes));
  feed.all(ANN.id);
  t.is(put.length, 0);
  const before = shelf.get('p9999') as PeerOffer;
  shelf.put({ ...before, kind: 'removed', version: 20_000 });
  feed.changed(ANN.id, 'p9999', before);
  const there = () => put.flat().filter(({ after }) => after).length;
  await turns(() => there() >= 9999);
  t.true(put.every(({ length }) => length <= 2000));
  t.is(there(), 9999, 'neither what was deleted meanwhile, nor what is for some only');
  t.false(put.flat().some(({ after }) => after?.path === 'secret'));
  // That it went is told all the same: it may have been put in already.
  t.deepEqual(
    put.flat().filter(({ after }) => !after),
    [{ before, after: undefined }],
  );
  // One that went and was in the registry is taken out.
  const gone = shelf.get('p1') as PeerOffer;
  shelf.put({ ...gone, kind: 'removed', version: 20_001 });
  feed.changed(ANN.id, 'p1', gone);
  await turns(() => put.flat().length === 10_001);
  t.deepEqual(put.at(-1), [{ before: gone, after: undefined }]);
  feed.changed(ANN.id, 'p2', gone);
  feed.drop(ANN.id);
  await delay(5);
  t.is(put.flat().length, 10_001);
  feed.stop();
});
