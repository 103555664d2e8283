/** A tracker among clients that speak by hand: who registers, looks up, follows, leaves and breaks off. */
import { randomBytes } from 'node:crypto';
import { type AddressInfo, createServer } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import type { Offer } from '../../lib/offer.js';
import { Peer } from '../../lib/peer.js';
import { LOOKUP } from '../../lib/tracker/events.js';
import { file, files, removed } from '../sim/share.js';
import { codeOf, Lan, type LanPeer, until } from './lan.js';
import { RawPeer } from './raw.js';
import { RawClient } from './tracker-raw.js';

/** What is gone must be so within this, ms. */
const SOON = 1000;

interface Site {
  lan: Lan;
  tracker: LanPeer;
  port: number;
  /** A client that is registered. */
  client(name: string, files?: Omit<Offer, 'version'>[], listens?: boolean): Promise<RawClient>;
}

async function site(t: ExecutionContext, options: Parameters<Lan['peer']>[1] = {}): Promise<Site> {
  const lan = await Lan.make(t);
  const tracker = await lan.peer('tracker', { multicast: false, tracker: true, ...options });
  const { port } = tracker.peer;
  const client = async (name: string, offers: Omit<Offer, 'version'>[] = [], listens = false) => {
    const raw = new RawClient(t, name, offers);
    if (listens) await raw.listen();
    await raw.connect(port);
    const answer = await raw.join(listens ? [raw.address] : []);
    t.is(answer.type, 'Z');
    return raw;
  };
  return { lan, tracker, port, client };
}

// One after another, as some of them measure.

/** Waits for something that must come soon, and says how long it took. */
async function soon(t: ExecutionContext, holds: () => unknown, what: string, within = SOON): Promise<void> {
  const began = performance.now();
  await until(holds, what);
  const took = performance.now() - began;
  t.true(took <= within, `${what}: ${Math.round(took)} ms`);
}

const ID = file('a', 'photos/cat.jpg content').id as string;
const ANNS = [file('photos/cat.jpg', 'photos/cat.jpg content'), file('photos/Été/dog.png', 'dog'), file('notes.txt')];

test.serial('each kind of lookup, for one who is registered and for one who only asks', async (t) => {
  const { port, client, tracker } = await site(t, { files: { 'own/tracker.txt': 'of the tracker' } });
  const ann = await client('ann', ANNS);
  const bob = await client('bob', [file('photos/cat.jpg', 'photos/cat.jpg content')]);
  const asker = await new RawClient(t, 'asker').connect(port);
  await until(() => tracker.offers('photos/cat.jpg').length === 2, 'both are pulled');
  for (const who of [ann, asker]) {
    const offers = async (kind: number, text: string) => (await who.lookup(kind, text)).offers.sort();
    const both = ['ann: photos/cat.jpg', 'bob: photos/cat.jpg'];
    await until(() => tracker.offers('own/tracker.txt').length === 1, 'the own file is scanned');
    t.deepEqual(
      await offers(LOOKUP.all, ''),
      [
        'ann: notes.txt',
        'ann: photos/cat.jpg',
        'ann: photos/Été/dog.png',
        'bob: photos/cat.jpg',
        'tracker: own/tracker.txt',
      ].sort(),
    );
    t.deepEqual(await offers(LOOKUP.what, 'photos/cat.jpg'), both);
    t.deepEqual(await offers(LOOKUP.what, `#${ID.slice(0, 10)}`), both);
    t.deepEqual(await offers(LOOKUP.pattern, '**/*.png'), ['ann: photos/Été/dog.png']);
    t.deepEqual(await offers(LOOKUP.words, 'ete DOG'), ['ann: photos/Été/dog.png']);
    t.deepEqual(await offers(LOOKUP.holders, ID), both);
    t.deepEqual((await who.lookup(LOOKUP.peers, '')).peers.map(({ name }) => name).sort(), ['ann', 'bob', 'tracker']);
    t.deepEqual(
      (await who.lookup(LOOKUP.peer, 'bob')).peers.map(({ id }) => id),
      [bob.id],
    );
    t.deepEqual(
      (await who.lookup(LOOKUP.relay, ann.id)).peers.map(({ name }) => name),
      ['tracker'],
    );
    // What is not there.
    t.is((await who.lookup(LOOKUP.what, 'nothing')).code, 'unknown-file');
    t.is((await who.lookup(LOOKUP.holders, 'ab'.repeat(32))).code, 'unknown-file');
    t.is((await who.lookup(LOOKUP.peer, 'nobody')).code, 'unknown-peer');
    t.deepEqual(await offers(LOOKUP.words, 'nothing'), []);
    t.is((await who.lookup(LOOKUP.pattern, '*'.repeat(2000))).code, 'usage');
  }
});

test.serial(
  'where the tracker could connect back to is told, and proved: another one behind an address is not',
  async (t) => {
    const { port, client } = await site(t);
    const ann = await client('ann', [], true);
    const asker = await new RawClient(t, 'asker').connect(port);
    const addresses = async (name: string) => (await asker.lookup(LOOKUP.peer, name)).peers[0].addresses;
    for (let found = await addresses('ann'); ; found = await addresses('ann')) {
      if (found.length === 0) continue;
      t.deepEqual(found, [ann.address]);
      break;
    }
    const again = await ann.join([ann.address]);
    t.like(again, { seen: ann.address, reachable: [ann.address], lease: 12_000, peers: 2 });
    // One that claims an address at which somebody listens who is not registered.
    let looked = 0;
    const bystander = createServer((socket) => {
      socket.on('error', () => {});
      socket.on('close', () => looked++);
      socket.destroy();
    });
    await new Promise<void>((resolve) => bystander.listen(0, '127.0.0.1', resolve));
    t.teardown(() => bystander.close());
    const eve = new RawClient(t, 'eve');
    eve.says = (bystander.address() as AddressInfo).port;
    const theirs = `127.0.0.1:${eve.says}`;
    await eve.connect(port);
    t.like(await eve.join([theirs]), { type: 'Z', seen: theirs });
    await until(() => looked > 0, 'the tracker has looked who is there');
    t.like(await eve.join([theirs]), { type: 'Z', reachable: [] });
    t.deepEqual(await addresses('eve'), []);
    // One that claims an address at which another listens, and one that claims what is not its to claim.
    const bob = await new RawClient(t, 'bob').connect(port);
    t.like(await bob.join([ann.address]), { type: 'E', code: 'address-taken' });
    t.like(await bob.join(['8.8.8.8:53', '10.255.0.1:1']), { type: 'Z', reachable: [] });
    t.deepEqual(await addresses('bob'), []);
  },
);

test.serial('offers are there as soon as they are pulled, and a deletion is gone within a second', async (t) => {
  const { port, client } = await site(t);
  const asker = await new RawClient(t, 'asker').connect(port);
  const all = asker.ask(LOOKUP.all, '', true);
  const some = asker.ask(LOOKUP.pattern, 'share/**', true);
  await until(() => asker.told(all).last && asker.told(some).last, 'both are answered');
  const began = performance.now();
  const ann = await client('ann', files('share', 600));
  await until(() => asker.told(all).offers.length >= 600 && asker.told(some).offers.length >= 600, 'all are told');
  t.true(performance.now() - began < 2000, `${performance.now() - began} ms`);
  // More than fits into one telling: it has to be pulled.
  const gone = Array.from({ length: 300 }, (_, i) => removed(`share/file ${i}.txt`));
  ann.change([...gone, file('share/new.txt', 'new')]);
  ann.beat();
  const news = () => asker.told(some).offers.slice(600);
  await soon(t, () => news().length >= 301, 'the deletions are told');
  t.is(new Set(news().filter((told) => told.endsWith('(removed)'))).size, 300);
  t.true(news().includes('ann: share/new.txt'));
  t.is((await asker.lookup(LOOKUP.pattern, 'share/**')).offers.length, 301);
  t.is((await asker.lookup(LOOKUP.what, 'share/file 5.txt')).code, 'unknown-file');
  // What is not followed any more is not told.
  asker.talk.send({ type: 'X', number: some });
  ann.change([file('share/newer.txt', 'newer')]);
  ann.beat();
  await soon(t, () => asker.told(all).offers.includes('ann: share/newer.txt'), 'it is told where it is followed');
  t.false(asker.told(some).offers.includes('ann: share/newer.txt'));
});

test.serial('who breaks off is gone within a second, who leaves at once; each is told with its cause', async (t) => {
  const { port, client, tracker } = await site(t);
  const ann = await client('ann', ANNS);
  const bob = await client('bob', ANNS);
  const eve = await client('eve');
  const number = eve.ask(LOOKUP.all, '', true);
  await until(() => eve.told(number).offers.length === 6, 'all is told');
  ann.talk.socket.destroy();
  await soon(t, () => eve.told(number).gone.includes('ann'), 'ann is gone');
  t.is((await eve.lookup(LOOKUP.peer, 'ann')).code, 'unknown-peer');
  t.deepEqual((await eve.lookup(LOOKUP.what, 'photos/cat.jpg')).offers, ['bob: photos/cat.jpg']);
  await soon(t, () => tracker.offers('photos/cat.jpg').length === 1, 'the tracker lists her no more itself');
  bob.talk.send({ type: 'L', id: bob.id, epoch: 1, sig: new Uint8Array(64) });
  await soon(t, () => eve.told(number).gone.includes('bob'), 'bob is gone');
  t.is((await eve.lookup(LOOKUP.what, 'photos/cat.jpg')).code, 'unknown-file');
  const told = tracker.told('registration').map(({ change, name, why }) => `${name} ${change} ${why ?? ''}`.trim());
  t.deepEqual(told, ['ann registered', 'bob registered', 'eve registered', 'ann departed broken', 'bob departed left']);
  // They come again, with what they had.
  await ann.connect(port);
  t.is((await ann.join()).type, 'Z');
  await soon(t, () => eve.told(number, 2).offers.filter((told) => told.startsWith('ann')).length >= 3, 'ann is back');
  t.is((await eve.lookup(LOOKUP.what, 'notes.txt')).offers.length, 1);
});

test.serial('another connection of the same peer takes the place of the first, and nobody misses it', async (t) => {
  const { port, client, tracker } = await site(t);
  const ann = await client('ann', ANNS);
  const eve = await client('eve');
  const number = eve.ask(LOOKUP.all, '', true);
  await until(() => eve.told(number).offers.length === 3, 'all is told');
  const { talk } = ann;
  await ann.connect(port);
  await talk.ended();
  t.is((await ann.join()).type, 'Z');
  t.is((await eve.lookup(LOOKUP.all, '')).offers.length, 3);
  t.deepEqual(eve.told(number).gone, []);
  t.is(tracker.told('registration').length, 2);
});

test.serial('who holds chunks of a content is found by it, and told to those who follow it', async (t) => {
  const { client } = await site(t);
  const ann = await client('ann', ANNS);
  const bob = await client('bob');
  const eve = await client('eve');
  const number = eve.ask(LOOKUP.holders, ID, true);
  const before = eve.ask(LOOKUP.holders, 'cd'.repeat(32), true);
  await until(
    () => eve.told(number).last && eve.told(before).last,
    'they are answered, also where there is nobody yet',
  );
  bob.talk.send({ type: 'h', id: ID, chunks: 10, at: 0, bits: Uint8Array.of(0b101) });
  await soon(t, () => eve.told(number).have.length > 0, 'it is told');
  const [{ peer, id, chunks, bits }] = eve.told(number).have;
  t.deepEqual([peer, id, chunks, bits[0]], [bob.id, ID, 10, 0b101]);
  t.true(
    eve.told(number).peers.some((one) => one.id === bob.id),
    'with its own words',
  );
  t.like(await ann.lookup(LOOKUP.holders, ID), { offers: ['ann: photos/cat.jpg'], code: '' });
  t.is((await ann.lookup(LOOKUP.holders, ID)).have[0].peer, bob.id);
  bob.talk.send({ type: 'h', id: ID, chunks: 10, at: 0, bits: new Uint8Array(0) });
  await soon(t, () => eve.told(number).have.at(-1)?.bits.length === 0, 'that it holds none any more is told');
  t.deepEqual((await ann.lookup(LOOKUP.holders, ID)).have, []);
});

test.serial('a peer is asked to dial another in its own words, and at no door but its own', async (t) => {
  const { port, client } = await site(t);
  const ann = await client('ann');
  const bob = await client('bob', [], true);
  t.is(await bob.summon(ann.id, [bob.address, '8.8.8.8:53', `10.0.0.9:${bob.port}`, '127.0.0.1:22']), '');
  await until(() => ann.talk.of('c').length === 1, 'ann is asked');
  const [{ peer, from }] = ann.talk.of('c');
  t.is(peer, ann.id);
  t.deepEqual(from.addresses, [bob.address, `10.0.0.9:${bob.port}`]);
  t.deepEqual(Buffer.from(from.head), bob.head().head);
  t.is(await bob.summon('01ARZ3NDEKTSV4RRFFQ69G5FAV'), 'unknown-peer');
  const eve = await new RawClient(t, 'eve').connect(port);
  t.is(await eve.summon(ann.id), 'not-registered');
  // In the name of another.
  bob.talk.send({ type: 'c', number: 9, peer: ann.id, from: { ...ann.head(), addresses: [bob.address] } });
  await bob.talk.ended();
  t.is(ann.talk.of('c').length, 1);
  // In words that it did not sign: whoever was asked by them would take the tracker for the liar.
  const liar = await client('liar');
  liar.talk.send({ type: 'c', number: 9, peer: ann.id, from: { ...liar.head(), sig: randomBytes(64), addresses: [] } });
  await liar.talk.ended();
  t.is(ann.talk.of('c').length, 1);
});

test.serial('one who asks a peer that is no tracker is told so; a ping is answered by anyone', async (t) => {
  const lan = await Lan.make(t);
  const plain = await lan.peer('plain', { multicast: false });
  const asker = await new RawClient(t, 'asker').connect(plain.peer.port);
  t.like(await asker.join(), { type: 'E', code: 'refused' });
  t.is((await asker.lookup(LOOKUP.all, '')).code, 'refused');
  t.is(await asker.summon(plain.id === asker.id ? '' : '01ARZ3NDEKTSV4RRFFQ69G5FAV'), 'refused');
  asker.talk.send({ type: 'p', number: 5, answer: false });
  await until(() => asker.talk.of('p').length === 1, 'it is answered');
  t.deepEqual(asker.talk.of('p')[0], { type: 'p', number: 5, answer: true });
  t.false(asker.talk.closed);
});

test.serial('a one-shot asks and is not registered', async (t) => {
  const { port } = await site(t);
  const shot = new RawPeer(t, 'shot', true);
  const talk = await shot.dial(port);
  talk.send({ type: 'J', number: 1, addresses: [] });
  await until(() => talk.of('E').length === 1, 'it is refused');
  t.like(talk.of('E')[0], { number: 1, code: 'refused' });
  talk.send({ type: 'l', number: 2, kind: LOOKUP.peers, text: '', follow: false });
  await until(() => talk.of('f').length === 1, 'it is answered');
  t.is(talk.of('f')[0].peers.length, 1);
});

test.serial('status says who is registered, and how much is looked up', async (t) => {
  const { client, tracker } = await site(t);
  const ann = await client('ann', ANNS, true);
  for (let i = 0; i < 50; i++) await ann.lookup(LOOKUP.peers, '');
  await until(() => tracker.offers('notes.txt').length > 0, 'her files are pulled');
  let { tracker: report } = await tracker.peer.status();
  while (!report?.registered[0]?.reachable) ({ tracker: report } = await tracker.peer.status());
  t.like(report, { peers: 2, offers: 3, store: 'memory' });
  t.true(report.lookups > 0);
  t.like(report.registered[0], { id: ann.id, name: 'ann', addresses: [ann.address], files: 3 });
  t.is(report.registered.length, 1);
  const { since } = report.registered[0];
  t.true(Math.abs(Date.now() - since) < 60_000);
});

test.serial('a port that another program holds is an error for a tracker too', async (t) => {
  const { lan, port } = await site(t);
  const root = await lan.fresh('second');
  const options = { ...lan.options, state: root, multicast: false, tracker: true, port };
  t.is(await codeOf(Peer.start(options)), 'port-taken');
});
