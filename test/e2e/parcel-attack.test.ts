/** Those who would misuse what is sent: senders that lie, fellows that lie, and who they could turn a receiver against. */
import { mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { keyPart } from '../../lib/ids.js';
import type { Offer } from '../../lib/offer.js';
import { stagingOf } from '../../lib/share/put.js';
import type { Item } from '../../lib/transfer/inbox.js';
import { itemPath, parcelName } from '../../lib/transfer/parcel.js';
import type { Message, MessageOf, Neighbour } from '../../lib/wire/table.js';
import { assertContent, content, KIB, Lan, type LanOptions, type LanPeer, MIB, until } from './lan.js';
import { blockOf, hashesOf, idOf, offerOf, type RawFile, RawPeer, serveHonestly, type Talk } from './raw.js';
import { answer, inInbox } from './sending.js';

const AT = 1_700_000_000_000;

interface To {
  peer: LanPeer;
  folder: string;
}

async function receiver(lan: Lan, more: LanOptions = {}): Promise<To> {
  const folder = await lan.fresh('inbox');
  return { folder, peer: await lan.peer('to', { inbox: 'accept', inboxFolder: folder, ...more }) };
}

const everything = async (folder: string) => (await readdir(folder, { recursive: true })).sort();

/** A sender that says what it is told to. */
class Sender {
  readonly raw: RawPeer;
  readonly talk: Talk;
  #number = 1000;

  private constructor(raw: RawPeer, talk: Talk) {
    this.raw = raw;
    this.talk = talk;
  }

  /** @param files by their whole paths on the wire: of these it has something to give */
  static async make(
    t: ExecutionContext,
    to: To,
    files: Record<string, RawFile> = {},
    serve: (talk: Talk, file: RawFile, request: MessageOf<'R'>) => void = serveHonestly,
  ): Promise<Sender> {
    const raw = await RawPeer.source(t, 'hostile', files, serve);
    return new Sender(raw, await raw.dial(to.peer.peer.port));
  }

  /** @param offers what it says is in it, small files with the bytes that it gives of them */
  invite(items: Item[], offers?: { offer: Offer; data?: Buffer }[], parcel = parcelName(Date.now(), Math.random)) {
    const { talk } = this;
    const number = this.#number++;
    const before = talk.onMessage;
    talk.onMessage = (message) => {
      if (offers && message.type === 'F' && message.text === parcel) {
        const all = offers.map(({ offer }) => offer);
        for (let at = 0; at === 0 || at < all.length; at += 50) {
          const page = { offers: all.slice(at, at + 50), last: at + 50 >= all.length, aside: true };
          talk.send({ type: 'I', number: message.number, ...page });
        }
      } else if (!offers || !giveSmall(talk, message, offers)) before(message);
    };
    talk.send({ type: 'i', number, parcel, items });
    return { number, parcel };
  }

  /** Waits until one of its invitations has come so far. */
  async state(number: number, state: number): Promise<void> {
    await until(() => this.talk.of('v').some((v) => v.number === number && v.state === state), `state ${state}`);
  }

  members(number: number, ...peers: Neighbour[]): void {
    this.talk.send({ type: 'm', number, peers });
  }
}

const NONE = Buffer.alloc(0);

/** Gives small files that are asked for. @returns whether any were */
function giveSmall(talk: Talk, message: Message, files: { offer: Offer; data?: Buffer }[]): boolean {
  if (message.type !== 'S') return false;
  const parts = message.files.map(({ path }) => files.find(({ offer }) => offer.path === path)?.data ?? NONE);
  const entries = parts.map((part, place) => {
    return { place, code: '', id: idOf(part), size: part.length, mtime: AT, executable: false };
  });
  talk.send({ type: 'U', number: message.number, files: entries, data: Buffer.concat(parts) });
  return true;
}

const item = (name: string, more: Partial<Item> = {}): Item => ({
  name,
  folder: false,
  files: 1,
  bytes: 1,
  id: null,
  ...more,
});

const small = (path: string, size = 1, kind: Offer['kind'] = 'file'): Offer => {
  return { path, kind, size, mtime: AT, id: null, version: 1 };
};

/** How a peer is told of. */
function neighbour(raw: RawPeer, addresses = [raw.address]): Neighbour {
  return { ...raw.head(), addresses };
}

/** Asks for a file, and gives what comes: the manifest and the first block, or the code of why not. */
async function ask(talk: Talk, id: string | null, path: string): Promise<string> {
  const number = Math.floor(Math.random() * 2 ** 30);
  talk.send({ type: 'G', number, id, path, first: 0 });
  const said = () => [...talk.of('E'), ...talk.of('M')].find((m) => m.number === number);
  await until(said, 'it is answered');
  const message = said();
  if (message?.type === 'E') return message.code;
  talk.send({ type: 'R', number, block: 0, count: 1 });
  await until(() => talk.of('T').some((m) => m.number === number), 'a block comes');
  return 'given';
}

test('a content that is only named is not copied from what its sender may not see, nor given to its friends', async (t) => {
  const lan = await Lan.make(t);
  const data = content(MIB, 1);
  const secret = await lan.fresh('secret');
  const to = await receiver(lan, { share: [{ path: secret, for: ['nobody'] }], timeout: 2 });
  await writeFile(join(secret, 'plan.bin'), data);
  const id = idOf(data);
  await until(() => to.peer.told('hashed').some((e) => e.id === id), 'it is hashed');
  const parcel = parcelName(Date.now(), Math.random);
  const path = itemPath(parcel, 0);
  // It has nothing to give but the name of it.
  const asked: string[] = [];
  const sender = await Sender.make(t, to);
  const friend = new RawPeer(t, 'friend', false);
  await friend.listen();
  const talk = await friend.dial(to.peer.peer.port);
  sender.talk.onMessage = (message) => {
    if (message.type !== 'G') return;
    asked.push(message.path);
    sender.talk.send({ type: 'E', number: message.number, code: 'not-found', id: null, message: '' });
  };
  const { number } = sender.invite(
    [item('x.bin', { bytes: MIB, id })],
    [{ offer: { ...small(path, MIB), id } }],
    parcel,
  );
  await sender.state(number, 1);
  sender.members(number, neighbour(friend));
  await until(() => sender.talk.of('v').some(({ state }) => state > 2), 'it is over');
  t.is(await ask(talk, id, path), 'not-found');
  t.true(asked.includes(path));
  t.deepEqual(
    sender.talk.of('v').map(({ state }) => state),
    [1, 4],
  );
  t.deepEqual(
    (await everything(to.folder)).filter((name) => name.endsWith('x.bin')),
    [],
  );
});

test('what comes is no more than what was said', async (t) => {
  const lan = await Lan.make(t);
  const to = await receiver(lan);
  const sender = await Sender.make(t, to);
  const cases: [string, Item, (path: string) => { offer: Offer; data?: Buffer }[]][] = [
    [
      'small files larger than they are said to be',
      item('a', { folder: true, files: 2, bytes: 2 }),
      (path) => ['x', 'y'].map((name) => ({ offer: small(`${path}/${name}`), data: content(20 * KIB, 2) })),
    ],
    ['a file that has grown', item('b'), (path) => [{ offer: small(path), data: content(20 * KIB, 3) }]],
    [
      'a file that has shrunk',
      item('c', { bytes: 100 }),
      (path) => [{ offer: small(path, 100), data: content(10, 3) }],
    ],
    [
      'more files',
      item('d', { folder: true, files: 1, bytes: 9 }),
      (path) => ['x', 'y', 'z'].map((name) => ({ offer: small(`${path}/${name}`), data: content(1, 4) })),
    ],
    [
      'names without end',
      item('e', { folder: true, files: 1, bytes: 9 }),
      (path) =>
        Array.from({ length: 200 }, (_, i) => ({
          offer: small(`${path}/${i}${`/${'n'.repeat(250)}`.repeat(14)}`, 0, 'folder'),
        })),
    ],
    [
      'a file where a folder was said to be',
      item('f', { folder: true, files: 1, bytes: 9 }),
      (path) => [{ offer: small(path), data: content(1, 4) }],
    ],
    ['a folder where a file was said to be', item('g'), (path) => [{ offer: small(path, 0, 'folder') }]],
    ['nothing at all', item('h'), () => []],
  ];
  for (const [what, one, make] of cases) {
    const parcel = parcelName(Date.now(), Math.random);
    sender.invite([one], make(itemPath(parcel, 0)), parcel);
    const row = await inInbox(to.peer, { name: one.name, state: 'failed' });
    t.true(
      ['changed', 'bad-message'].includes(row.error?.code ?? ''),
      `${what}: ${row.error?.code} ${row.error?.message}`,
    );
    t.deepEqual(await everything(to.folder), [], what);
  }
});

test('a link where things are gathered is not followed', async (t) => {
  const lan = await Lan.make(t);
  const to = await receiver(lan);
  const elsewhere = await lan.fresh('elsewhere');
  const sender = await Sender.make(t, to);
  const staging = stagingOf(to.folder, [keyPart(sender.raw.id), 'a'].join('/'));
  await symlink(elsewhere, staging, 'junction');
  const parcel = parcelName(Date.now(), Math.random);
  sender.invite([item('a')], [{ offer: small(itemPath(parcel, 0)), data: content(1, 1) }], parcel);
  const row = await inInbox(to.peer, { name: 'a', state: 'failed' });
  t.is(row.error?.code, 'in-the-way');
  t.deepEqual(await everything(elsewhere), []);
});

test('of several things none stays where one finds its name taken', async (t) => {
  const lan = await Lan.make(t);
  const to = await receiver(lan);
  const sender = await Sender.make(t, to);
  const parcel = parcelName(Date.now(), Math.random);
  const files = ['a', 'b'].map((_, i) => ({ offer: small(itemPath(parcel, i)), data: content(1, i) }));
  // Somebody takes the second name while it is on its way: the sender is slow to say what is in it.
  const { talk } = sender;
  talk.onMessage = (message) => giveSmall(talk, message, files);
  const { number } = sender.invite([item('a'), item('b')], undefined, parcel);
  await sender.state(number, 1);
  await until(() => talk.of('F').length > 0, 'it is asked what is in it');
  await mkdir(join(to.folder, 'b', 'mine'), { recursive: true });
  const offers = files.map(({ offer }) => offer);
  talk.send({ type: 'I', number: talk.of('F')[0].number, offers, last: true, aside: true });
  const row = await inInbox(to.peer, { state: 'failed' });
  t.is(row.error?.code, 'exists', row.error?.message);
  t.deepEqual(await everything(to.folder), ['b', join('b', 'mine')]);
});

test('a fellow decides nothing but the bytes that it gives', async (t) => {
  const lan = await Lan.make(t);
  const to = await receiver(lan);
  const data = content(2 * MIB, 5);
  const parcel = parcelName(Date.now(), Math.random);
  const path = itemPath(parcel, 0);
  const held: (() => void)[] = [];
  const sender = await Sender.make(t, to, { [path]: { data } }, (talk, file, request) => {
    held.push(() => serveHonestly(talk, file, request));
  });
  const outsider = new RawPeer(t, 'outsider', false);
  await outsider.listen();
  const fellow = new RawPeer(t, 'fellow', false);
  await fellow.listen();
  const talk = await fellow.dial(to.peer.peer.port);
  let told = 0;
  talk.onMessage = (message) => {
    if (message.type !== 'G') return;
    const honest = { number: message.number, id: idOf(data), size: data.length, chunk: 256 * KIB, first: 0 };
    talk.send({ type: 'M', ...honest, hashes: hashesOf(data), have: NONE, mtime: 5000, executable: true });
    // It also names one whom the sender does not know.
    talk.send({ type: 'W', number: message.number, peers: [neighbour(outsider)] });
    told++;
  };
  const offer = { ...offerOf(path, { data }), mtime: AT };
  const { number } = sender.invite([item('x.bin', { bytes: data.length, id: offer.id })], [{ offer }], parcel);
  await sender.state(number, 1);
  sender.members(number, neighbour(fellow));
  await until(() => told > 0, 'the fellow is asked');
  // Its word has been heard: who answers this has taken it in.
  talk.send({ type: 'p', number: 1, answer: false });
  await until(() => talk.of('p').length > 0, 'it is there');
  const flow = setInterval(() => {
    for (const serve of held.splice(0)) serve();
  }, 5);
  t.teardown(() => clearInterval(flow));
  await sender.state(number, 3);
  const landed = join(to.folder, 'x.bin');
  await assertContent(t, landed, data);
  const found = await stat(landed);
  t.is(found.mtimeMs, AT);
  if (process.platform !== 'win32') t.is(found.mode & 0o111, 0);
  t.deepEqual(
    outsider.talks.flatMap(({ received }) => received.filter(({ type }) => type === 'G')),
    [],
    'who was not invited is not even asked',
  );
});

test('who has received something gives it to its fellows although another uses its name', async (t) => {
  const lan = await Lan.make(t);
  const to = await receiver(lan);
  const data = content(MIB, 6);
  const parcel = parcelName(Date.now(), Math.random);
  const path = itemPath(parcel, 0);
  const friend = new RawPeer(t, 'friend', false);
  await friend.listen();
  const talk = await friend.dial(to.peer.peer.port);
  const receive = async (name: string, bytes: Buffer, fellow?: RawPeer) => {
    const gate: { open?: () => void } = {};
    const sender = await Sender.make(t, to, { [path]: { data: bytes } }, (...args) => {
      if (fellow && !gate.open) gate.open = () => serveHonestly(...args);
      else serveHonestly(...args);
    });
    const offer = offerOf(path, { data: bytes });
    const { number } = sender.invite([item(name, { bytes: bytes.length, id: offer.id })], [{ offer }], parcel);
    await sender.state(number, 1);
    if (fellow) sender.members(number, neighbour(fellow));
    if (fellow) {
      await until(() => gate.open, 'it is asked');
      gate.open?.();
    }
    await sender.state(number, 3);
  };
  await receive('one.bin', data, friend);
  t.is(await ask(talk, idOf(data), path), 'given');
  const two = content(MIB, 7);
  const other = new RawPeer(t, 'other', false);
  await other.listen();
  const otherTalk = await other.dial(to.peer.peer.port);
  await receive('two.bin', two, other);
  t.is(await ask(talk, idOf(data), path), 'given');
  t.is(await ask(otherTalk, idOf(two), path), 'given');
  t.is(await ask(otherTalk, idOf(data), path), 'not-found', 'what is for others is not for it');
  t.deepEqual([...talk.of('W'), ...otherTalk.of('W')], [], 'nor are they told of each other');
  t.is(await readFile(join(to.folder, 'two.bin')).then((read) => read.length), MIB);
});

test('a list of fellows sends nobody against others', async (t) => {
  const lan = await Lan.make(t);
  const to = await receiver(lan);
  const data = content(MIB, 8);
  const parcel = parcelName(Date.now(), Math.random);
  const path = itemPath(parcel, 0);
  const victims = await Promise.all(
    Array.from({ length: 3 }, async () => {
      const calls: number[] = [];
      const server = createServer((socket) => {
        calls.push(performance.now());
        socket.destroy();
      });
      t.teardown(() => server.close());
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const at = server.address();
      return { calls, port: typeof at === 'object' && at ? at.port : 0 };
    }),
  );
  const held: (() => void)[] = [];
  const sender = await Sender.make(t, to, { [path]: { data } }, (talk, file, { number, block, count }) => {
    for (let i = 0; i < count; i++) held.push(() => talk.send(blockOf(number, file, block + i)));
    if (count === 0) serveHonestly(talk, file, { type: 'R', number, block, count });
  });
  const made = new RawPeer(t, 'made up', false);
  const offer = offerOf(path, { data });
  const { number } = sender.invite([item('x.bin', { bytes: data.length, id: offer.id })], [{ offer }], parcel);
  await sender.state(number, 1);
  // Its head names the port of one; the addresses name all of them, and the one again and again.
  const { head, sig } = made.head({ port: victims[0].port });
  const addresses = victims.map(({ port }) => `127.0.0.1:${port}`).reverse();
  sender.members(number, { head, sig, addresses });
  await until(() => victims[0].calls.length >= 2, 'the one that may be meant is tried');
  t.deepEqual(
    victims.slice(1).map(({ calls }) => calls.length),
    [0, 0],
  );
  const flow = setInterval(() => held.shift()?.(), 5);
  t.teardown(() => clearInterval(flow));
  await sender.state(number, 3);
});

test('one host that asks without end neither fills the inbox nor spoils the terminal', async (t) => {
  const lan = await Lan.make(t);
  const to = await receiver(lan, { inbox: 'ask' });
  const sender = await Sender.make(t, to);
  const codes: string[] = [];
  for (let i = 0; i < 60; i++) {
    const { number } = sender.invite([item(`n${i}`)]);
    const said = () => sender.talk.of('v').find((v) => v.number === number);
    await until(said, 'it is answered');
    codes.push(said()?.code ?? '');
    sender.talk.send({ type: 'X', number });
  }
  t.true(codes.filter((code) => code === '').length <= 20, `${codes}`);
  t.is(codes.at(-1), 'limit');
  t.true(to.peer.told('inbox').length <= 40);
  await answer(to.peer, 'refuse');
});
