/** What is shared with some only: they see and fetch it, and to all others it is not there. */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import type { FollowEvent } from '../../lib/api.js';
import { keyPart } from '../../lib/ids.js';
import type { PeerOptions } from '../../lib/peer.js';
import type { Message, MessageOf } from '../../lib/wire/table.js';
import { assertContent, begin, codeOf, content, get, is, Lan, type LanPeer, MIB, until, write } from './lan.js';
import { RawPeer, type Talk } from './raw.js';

const BIG = content(4 * MIB, 7);
const BOTH = content(400_000, 8);
const NONE = new Uint8Array(0);

/** A writer with a folder for everyone, and one that is for some only. */
async function writer(lan: Lan, whose: string[], options: Partial<PeerOptions> = {}): Promise<LanPeer> {
  const root = await lan.fresh('files');
  await write(root, {
    'pub/open.txt': 'open',
    'pub/both.bin': BOTH,
    'Letters/note.txt': 'dear bob',
    'Letters/deep/big.bin': BIG,
    'Letters/both-too.bin': BOTH,
    'Letters/empty/': '',
  });
  const share = [join(root, 'pub'), { path: join(root, 'Letters'), for: whose }];
  const alice = await lan.peer('alice', { share, ...options });
  return Object.assign(alice, { root });
}

function letters(peer: LanPeer): string[] {
  return [...peer.peer.index].map(({ path }) => path).filter((path) => path.startsWith('Letters'));
}

const ALL = ['Letters/both-too.bin', 'Letters/deep/big.bin', 'Letters/empty', 'Letters/note.txt'];

/** Asks, and gives what the answer is until its end. */
async function ask(talk: Talk, message: Extract<Message, { number: number }>): Promise<Message[]> {
  const { number } = message;
  const mine = () => talk.received.filter((m) => 'number' in m && m.number === number);
  talk.send(message);
  const isEnd = (m: Message) => m.type === 'E' || m.type === 'M' || m.type === 'U' || ('last' in m && m.last);
  await until(() => mine().some(isEnd), `${message.type} is answered`);
  return mine();
}

/** An answer without what differs by the question itself. */
function shape(answer: Message[], path: string): string {
  return JSON.stringify(answer.map((m) => ({ ...m, number: 0 }))).replaceAll(path, 'PATH');
}

test('who is named sees and fetches; to another it does not exist, whatever it asks', async (t) => {
  const lan = await Lan.make(t);
  const alice = await writer(lan, ['bob']);
  t.deepEqual(alice.told('ready')[0].waiting, ['bob']);
  t.deepEqual(
    alice.told('ready')[0].shares.map((share) => share.for),
    [undefined, ['bob']],
  );
  const bob = await lan.peer('bob');
  const carol = await lan.peer('carol');
  await until(() => letters(bob).length === ALL.length, 'bob knows them all');
  t.deepEqual(letters(bob).sort(), ALL);
  t.like(alice.told('allowed')[0], { name: 'bob', peer: { id: bob.id, name: 'bob' }, shares: ['Letters'] });
  const id = await bob.hashed('Letters/deep/big.bin');
  const small = await bob.hashed('Letters/note.txt');
  const inbox = await lan.fresh('in');
  const outcome = await get(bob, ['Letters/', `#${small}`], `${inbox}/`);
  t.deepEqual(outcome.codes, []);
  await assertContent(t, join(inbox, 'Letters/deep/big.bin'), BIG);
  t.is(await readFile(join(inbox, 'note.txt'), 'utf8'), 'dear bob');

  // Carol, who keeps an index, and what the index is made of.
  await carol.knows('pub/open.txt', alice);
  t.deepEqual(letters(carol), []);
  const row = (await carol.peer.peers()).find((peer) => peer.id === alice.id);
  t.is(row?.files, 2, 'nor is it counted');
  t.is(row?.bytes, 4 + BOTH.length);
  t.deepEqual((await carol.peer.list({ words: ['letters'] })).files, []);
  const nowhere = await lan.fresh('in');
  for (const what of ['Letters/note.txt', 'Letters/', `#${id}`, 'Letters/**', 'note.txt', 'alice:Letters/note.txt']) {
    t.deepEqual((await get(carol, what, nowhere)).codes, ['not-found'], what);
  }
  t.is(await codeOf(carol.peer.sources('Letters/deep/big.bin')), 'not-found');
  const shot = await lan.peer('carol', { passive: true });
  t.deepEqual(
    (await shot.peer.list()).files.map((file) => file.path),
    ['pub/both.bin', 'pub/open.txt'],
  );

  // By hand.
  const raw = new RawPeer(t, 'carol', false);
  const talk = await raw.dial(alice.peer.port);
  for (const kind of [0, 1, 2, 3, 4]) {
    const text = ['', 'Letters/', 'Letters/**', 'letters', 'Letters/note.txt'][kind];
    const answer = await ask(talk, { type: 'F', number: 100 + kind, kind, text });
    t.false(JSON.stringify(answer).includes('Letters'), `find ${kind}`);
  }
  let number = 200;
  const twice = async (make: (path: string) => Extract<Message, { number: number }>, path: string) => {
    const [hidden, missing] = [await ask(talk, make(path)), await ask(talk, make('Nothing/at.all'))];
    t.is(shape(hidden, path), shape(missing, 'Nothing/at.all'), `${JSON.stringify(make(path))} as if it did not exist`);
    return hidden;
  };
  for (const [path, wanted] of [
    ['Letters/note.txt', null],
    ['Letters/note.txt', small],
    ['Letters/deep/big.bin', null],
    ['Letters/deep/big.bin', id],
    ['Letters/deep', null],
    ['Letters', null],
  ] as const) {
    const answer = await twice((at) => ({ type: 'G', number: number++, id: wanted, path: at, first: 0 }), path);
    t.like(answer[0], { type: 'E', code: 'not-found' });
    const bundle = await twice((at) => ({ type: 'S', number: number++, files: [{ id: wanted, path: at }] }), path);
    t.is((bundle[0] as MessageOf<'U'>).files[0].code, 'not-found');
  }
  await twice((at) => ({ type: 'F', number: number++, kind: 4, text: at }), 'Letters/note.txt');
  const pulled = await ask(talk, { type: 'P', number: 300, writer: alice.id, epoch: 0, version: 0, buckets: NONE });
  t.false(JSON.stringify(pulled).includes('Letters'));
  t.is((pulled[0] as MessageOf<'D'>).offers.length, 2);
  // Not from bob either, who has it all.
  const other = await raw.dial(bob.peer.port);
  t.like((await ask(other, { type: 'P', number: 1, writer: alice.id, epoch: 0, version: 0, buckets: NONE }))[0], {
    type: 'D',
    last: true,
  });
  t.false(JSON.stringify(other.received).includes('Letters'));
  t.like((await ask(other, { type: 'G', number: 2, id, path: 'Letters/deep/big.bin', first: 0 }))[0], { type: 'E' });
  t.is(talk.of('Y').length + other.of('Y').length, 0);

  // What is in a public share too is public.
  const both = (await carol.hashed('pub/both.bin')) as string;
  const found = await ask(talk, { type: 'G', number: 301, id: both, path: 'Letters/both-too.bin', first: 0 });
  t.is(found[0].type, 'M');
  const served = await alice.peer.served();
  t.false(served.some((one) => one.peer.name === 'carol' && one.path.startsWith('Letters')));
});

test('a change and a removal reach the one it is for at once, and a listing that follows', async (t) => {
  const lan = await Lan.make(t);
  const alice = await writer(lan, ['bob']);
  const state = await lan.fresh('bob-state');
  const bob = await lan.peer('bob', { state });
  const carol = await lan.peer('carol');
  await bob.hashed('Letters/note.txt');
  const shot = await lan.peer('bob', { passive: true, follow: true, state });
  const abort = new AbortController();
  const events: FollowEvent[] = [];
  const following = (async () => {
    for await (const event of shot.peer.follow({}, abort.signal)) events.push(event);
  })();
  const told = (event: string, path: string) => events.some((e) => e.event === event && e.path === path);
  await until(() => told('added', 'Letters/note.txt'), 'the one-shot that follows is told what there is');
  const began = performance.now();
  await write(alice.root, { 'Letters/new.txt': 'new' }, new Date());
  await bob.knows('Letters/new.txt');
  const came = performance.now() - began;
  await until(() => told('added', 'Letters/new.txt'), 'it follows');
  const changedAt = performance.now();
  await write(alice.root, { 'Letters/note.txt': 'dear bob, again' }, new Date());
  await until(() => bob.offers('Letters/note.txt')[0]?.size === 15, 'bob knows the new version');
  const changed = performance.now() - changedAt;
  t.log(`a new file was known after ${Math.round(came)} ms, a change after ${Math.round(changed)} ms`);
  t.true(came < 3000 && changed < 3000);
  await until(() => told('changed', 'Letters/note.txt'), 'it follows');
  await rm(join(alice.root, 'Letters/new.txt'));
  await until(() => bob.offers('Letters/new.txt').length === 0, 'bob knows that it is gone');
  await until(() => told('removed', 'Letters/new.txt'), 'it follows');
  abort.abort();
  await following;
  t.deepEqual(letters(carol), []);
  await alice.peer.stop();
  await until(() => letters(bob).length === 0, 'with its writer all of it goes');
});

test('a share may be all that a peer has, also for one who follows', async (t) => {
  const lan = await Lan.make(t);
  const root = await lan.fresh('files');
  await write(root, { 'Letters/note.txt': 'dear bob' });
  await lan.peer('alice', { share: [{ path: join(root, 'Letters'), for: ['bob'] }] });
  const shot = await lan.peer('bob', { passive: true, follow: true });
  const abort = new AbortController();
  const events: FollowEvent[] = [];
  for await (const event of shot.peer.follow({}, abort.signal)) {
    events.push(event);
    abort.abort();
  }
  t.like(events[0], { event: 'added', path: 'Letters/note.txt' });
});

test('a one-shot is let in by its key, whoever bears the name meanwhile; the tie outlives a restart', async (t) => {
  const lan = await Lan.make(t);
  const state = await lan.fresh('alice-state');
  const bobs = await lan.fresh('bob-state');
  const alice = await writer(lan, ['bob'], { state });
  // The first bob is a one-shot, that cannot wait to be asked.
  const shot = await lan.peer('bob', { passive: true, state: bobs });
  const { files } = await shot.peer.list();
  t.true(files.some(({ path }) => path === 'Letters/note.txt'));
  const inbox = await lan.fresh('in');
  t.deepEqual((await get(shot, 'Letters/', `${inbox}/`)).codes, []);
  await assertContent(t, join(inbox, 'Letters/deep/big.bin'), BIG);
  const { names } = JSON.parse(await readFile(join(state, 'known.json'), 'utf8'));
  t.is(keyPart(new Map<string, { id: string }>(names).get('bob')?.id ?? ''), keyPart(shot.id));
  await alice.peer.stop();
  await until(() => !shot.peer.index[Symbol.iterator]().next().value, 'the one-shot has forgotten');

  const again = await lan.peer('alice', {
    state,
    share: [{ path: join(alice.root, 'Letters'), for: ['bob'] }],
  });
  t.is(again.told('ready')[0].waiting, undefined);
  const stranger = await lan.peer('bob');
  await until(() => again.told('warning').some(({ message }) => message.includes(stranger.id)), 'it is told of');
  t.deepEqual((await (await lan.peer('bob', { passive: true })).peer.list()).files, []);
  const bob = await lan.peer('robert', { state: bobs });
  await bob.knows('Letters/note.txt');
  t.is(keyPart(bob.id), keyPart(shot.id));
  t.deepEqual(letters(stranger), []);
  const row = (await again.peer.served()).find(({ path }) => path === 'Letters/note.txt');
  t.like(row, { peer: { name: 'bob', id: shot.id }, bytes: 8, outcome: 'completed' });
});

test('two peers of one name are ambiguous, and neither is let in; an id is not', async (t) => {
  const lan = await Lan.make(t);
  const bobs = await lan.fresh('bob-state');
  const one = await lan.peer('bob', { state: bobs });
  const two = await lan.peer('bob');
  const alice = await writer(lan, ['bob']);
  const isWarned = () => alice.told('warning').some((w) => w.message.includes(one.id) && w.message.includes(two.id));
  await until(isWarned, 'both ids are named');
  await two.peer.stop();
  await until(() => alice.told('peer').some(({ change }) => change === 'left'), 'one is gone');
  t.deepEqual(letters(one), [], 'who is left is not the one who was meant for that');
  t.deepEqual(alice.told('allowed'), []);
  await alice.peer.stop();
  const again = await writer(lan, [one.id.toLowerCase()]);
  await one.knows('Letters/note.txt');
  t.deepEqual(again.told('warning'), []);
});

test('who receives it does not pass it on, and is told of nobody else who does', async (t) => {
  const lan = await Lan.make(t);
  const held: (() => void)[] = [];
  const alice = await writer(lan, ['bob', 'dave']);
  let told = 0;
  const filter: PeerOptions['filter'] = (message, direction) => {
    if (direction === 'in' && is(message, 'W')) told++;
    return message;
  };
  let blocks = 0;
  const bob = await lan.peer('bob', {
    filter: (message, direction, peer) => {
      // The last chunks do not come until the others have been asked for.
      if (direction === 'in' && is(message, 'T') && ++blocks > 8 && held.length === 0) return undefined;
      return filter(message, direction, peer);
    },
  });
  const dave = await lan.peer('dave', { filter });
  const id = await bob.hashed('Letters/deep/big.bin');
  await dave.hashed('Letters/deep/big.bin');
  const run = begin(bob, 'Letters/deep/big.bin', await lan.fresh('in'));
  await until(() => run.verified > 0, 'bob has some of it');
  const raw = new RawPeer(t, 'carol', true);
  const talk = await raw.dial(bob.peer.port);
  const [answer] = await ask(talk, { type: 'G', number: 1, id, path: 'Letters/deep/big.bin', first: 0 });
  t.like(answer, { type: 'E', code: 'not-found' });
  const inbox = await lan.fresh('in');
  const outcome = await get(dave, 'Letters/deep/big.bin', inbox);
  t.deepEqual(outcome.codes, []);
  t.deepEqual(
    outcome.done[0].sources.map((source) => source.id),
    [alice.id],
  );
  t.is(told, 0);
  held.push(() => {});
  t.deepEqual((await run.ended).codes, []);
});

test('a peer sees what it shares with some only, and so do its own one-shots', async (t) => {
  const lan = await Lan.make(t);
  const state = await lan.fresh('alice-state');
  const alice = await writer(lan, ['bob'], { state });
  await alice.hashed('Letters/note.txt');
  t.deepEqual(letters(alice).sort(), ALL);
  const shot = await lan.peer('alice', { passive: true, state });
  t.is((await shot.peer.list({ pattern: 'Letters' })).files.length, 3);
});

test('what is for some only may not lie where others read it', async (t) => {
  const lan = await Lan.make(t);
  const root = await lan.fresh('files');
  await write(root, { 'a/b/c.txt': 'c' });
  const start = (share: PeerOptions['share']) => codeOf(lan.peer('alice', { share }));
  t.is(await start([join(root, 'a'), { path: join(root, 'a/b'), for: ['bob'] }]), 'usage');
  t.is(
    await start([
      { path: join(root, 'a'), for: ['carol'] },
      { path: join(root, 'a/b'), for: ['bob'] },
    ]),
    'usage',
  );
  t.is(await start([{ path: join(root, 'a'), for: [] }]), 'usage');
  const fine: PeerOptions['share'] = [
    { path: join(root, 'a'), for: ['bob'] },
    { path: join(root, 'a/b'), for: ['bob', 'carol'] },
  ];
  t.is(await start(fine), 'nothing was thrown');
});

test('what is told aside counts for its teller alone, who must be listed', async (t) => {
  const lan = await Lan.make(t);
  const bob = await lan.peer('bob', { files: { 'pub/a.txt': 'a' } });
  await bob.knows('pub/a.txt');
  const offers = [{ path: 'told/aside.txt', kind: 'file' as const, size: 3, mtime: 1, id: null, version: 1 }];
  const mallory = new RawPeer(t, 'mallory', false);
  const talk = await mallory.dial(bob.peer.port);
  talk.send({ type: 'Y', reset: true, offers, last: true });
  await bob.knows('told/aside.txt');
  t.deepEqual(
    bob.offers('told/aside.txt').map(({ peer }) => peer),
    [mallory.id],
  );
  talk.send({ type: 'Y', reset: true, offers: [], last: true });
  await until(() => bob.offers('told/aside.txt').length === 0, 'it takes it back');
  const shot = new RawPeer(t, 'mallory', true);
  const hidden = await shot.dial(bob.peer.port);
  hidden.send({ type: 'Y', reset: true, offers, last: true });
  await hidden.ended();
  t.deepEqual(bob.offers('told/aside.txt'), []);
  t.is((await bob.peer.list()).files.length, 1);
});

test('who fetches it to where others can read is warned; and the log names who is listed', async (t) => {
  const lan = await Lan.make(t);
  const alice = await writer(lan, ['bob']);
  const bob = await lan.peer('bob', { files: { 'mine/x.txt': 'x' } });
  await bob.knows('Letters/note.txt');
  const warned = (outcome: Awaited<ReturnType<typeof get>>) => outcome.of('warning').map(({ message }) => message);
  const shared = await get(bob, 'Letters/note.txt', `${bob.file('mine')}/`);
  t.deepEqual(shared.codes, []);
  t.is(warned(shared).length, 1);
  t.true(warned(shared)[0].includes('Letters/note.txt') && warned(shared)[0].includes('mine'));
  const apart = await get(bob, ['Letters/note.txt', 'pub/open.txt'], `${await lan.fresh('apart')}/`);
  t.deepEqual([apart.codes, warned(apart)], [[], []]);
  t.deepEqual(warned(await get(bob, 'pub/open.txt', `${bob.file('mine')}/`)), []);
  // His one-shot has another id; what it fetches stands under the one that he is listed by.
  const shot = await lan.peer('bob', { passive: true, state: bob.file('.state') });
  t.not(shot.id, bob.id);
  t.deepEqual((await get(shot, 'Letters/deep/big.bin', `${await lan.fresh('in')}/`)).codes, []);
  const big = () => alice.told('serving').find(({ path, state }) => path.endsWith('big.bin') && state === 'completed');
  await until(big, 'it is served');
  t.is(big()?.peer.id, bob.id);
});
