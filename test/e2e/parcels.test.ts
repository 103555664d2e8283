/** Parcels between whole peers: receivers that serve each other, what others get of it, and what is given up. */
import { chmod, readdir, readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Bits } from '../../lib/bits.js';
import { INBOX_OPEN_OF_ONE_MAX } from '../../lib/limits.js';
import type { Filter } from '../../lib/net/link.js';
import { itemPath, parcelName } from '../../lib/transfer/parcel.js';
import type { MessageOf } from '../../lib/wire/table.js';
import { assertContent, content, is, KIB, Lan, type LanOptions, type LanPeer, MIB, until, write } from './lan.js';
import { RawPeer } from './raw.js';
import { answer, inInbox, sees, send } from './sending.js';
import { Wire } from './wire-between.js';

interface To {
  peer: LanPeer;
  /** Its inbox folder. */
  folder: string;
}

/** A peer that receives into a folder of its own. */
async function receiver(lan: Lan, name: string, more: LanOptions = {}): Promise<To> {
  const folder = await lan.fresh(`inbox-${name}`);
  return { folder, peer: await lan.peer(name, { inbox: 'accept', inboxFolder: folder, ...more }) };
}

/** Files in a folder that nobody shares. */
async function outside(lan: Lan, files: Record<string, string | Uint8Array>): Promise<string> {
  const folder = await lan.fresh('outside');
  await write(folder, files);
  return folder;
}

/** Each sees all others. */
async function meet(...peers: LanPeer[]): Promise<void> {
  for (const peer of peers) await sees(peer, ...peers.filter((other) => other !== peer));
}

/** Everything in a folder, hidden things too. */
const everything = (folder: string) => readdir(folder, { recursive: true });

async function empty(t: ExecutionContext, { folder }: To): Promise<void> {
  t.deepEqual(await everything(folder), []);
}

test('files and folders arrive as they are, whole and at once', async (t) => {
  const lan = await Lan.make(t);
  const from = await lan.peer('from');
  const to = await receiver(lan, 'to');
  const large = content(3 * MIB, 1);
  const files = { 'trip/a/deep.txt': 'deep', 'trip/empty/': '', 'trip/zero': '', 'trip/b.bin': large, '.alone': 'one' };
  const folder = await outside(lan, { ...files, 'trip/.secret': 'not this' });
  await chmod(join(folder, '.alone'), 0o755);
  await meet(from, to.peer);
  const sending = send(from, [join(folder, 'trip'), join(folder, '.alone')], ['to']);
  await sending.ended;
  t.deepEqual(sending.results, { to: 'done' });
  t.deepEqual((await everything(to.folder)).sort(), [
    '.alone',
    'trip',
    'trip/a',
    'trip/a/deep.txt',
    'trip/b.bin',
    'trip/empty',
    'trip/zero',
  ]);
  await assertContent(t, join(to.folder, 'trip/b.bin'), large);
  t.is(await readFile(join(to.folder, '.alone'), 'utf8'), 'one');
  const [was, now] = await Promise.all([stat(join(folder, '.alone')), stat(join(to.folder, '.alone'))]);
  t.is(Math.floor(now.mtimeMs), Math.round(was.mtimeMs));
  if (process.platform !== 'win32') t.is(now.mode & 0o111, 0o111);
  const row = await inInbox(to.peer, { state: 'received' });
  t.like(row, { name: 'trip and 1 more', files: 4, received: row.bytes, path: to.folder });
  t.deepEqual(sending.of('accepted').length, 1);
  // While it is sent both list it as a transfer; what others fetch of it is no row beside.
  const { transfers } = await to.peer.peer.status();
  t.like(transfers[0], { direction: 'in', state: 'done', path: 'trip and 1 more' });
  t.like((await from.peer.status()).transfers, [{ direction: 'out', state: 'done', bytes: row.bytes }]);
});

/** Has only some chunks to give, by a receiver's place in the order of asking; and dies without a goodbye. */
function parted(chunks: number, fits: (place: number, chunk: number) => boolean): Filter {
  const order: string[] = [];
  return (message, direction, peer) => {
    if (direction === 'out' && is(message, 'L')) return undefined;
    if (direction !== 'out' || !is(message, 'M')) return message;
    if (!order.includes(peer)) order.push(peer);
    const have = new Bits(chunks);
    for (let chunk = 0; chunk < chunks; chunk++) if (fits(order.indexOf(peer), chunk)) have.add(chunk);
    return { ...message, have: have.bytes };
  };
}

test('receivers complete from each other when the sender dies', async (t) => {
  const lan = await Lan.make(t);
  const data = content(8 * MIB, 2);
  let dead = false;
  const from = await lan.peer('from', { filter: parted(32, (place, chunk) => chunk % 2 === place) });
  // Until then they give each other nothing.
  const filter: Filter = (message, direction) =>
    direction === 'out' && is(message, 'T') && !dead ? undefined : message;
  const all = await Promise.all(['a', 'b'].map((name) => receiver(lan, name, { filter })));
  await meet(from, ...all.map(({ peer }) => peer));
  const folder = await outside(lan, { 'big.bin': data });
  const sending = send(from, join(folder, 'big.bin'), ['a', 'b']);
  await until(() => sending.progress('a') >= 4 * MIB && sending.progress('b') >= 4 * MIB, 'each has its half');
  t.deepEqual([sending.progress('a'), sending.progress('b')], [4 * MIB, 4 * MIB]);
  dead = true;
  await from.peer.stop();
  await sending.ended;
  for (const { peer, folder: inbox } of all) {
    const row = await inInbox(peer, { state: 'received' });
    t.is(row.path, join(inbox, 'big.bin'));
    await assertContent(t, join(inbox, 'big.bin'), data);
    t.deepEqual(await everything(inbox), ['big.bin']);
  }
});

test('what nobody has when the sender dies is reported, and nothing of it is left', async (t) => {
  const lan = await Lan.make(t);
  // Chunk 5 is given to nobody.
  const from = await lan.peer('from', { filter: parted(16, (_, chunk) => chunk !== 5) });
  const all = await Promise.all(['a', 'b'].map((name) => receiver(lan, name)));
  await meet(from, ...all.map(({ peer }) => peer));
  const folder = await outside(lan, { 'big.bin': content(4 * MIB, 3) });
  const sending = send(from, join(folder, 'big.bin'), ['a', 'b']);
  const lacking = 4 * MIB - 256 * KIB;
  await until(() => sending.progress('a') >= lacking && sending.progress('b') >= lacking, 'all else is there');
  await from.peer.stop();
  await sending.ended;
  t.deepEqual(sending.results, { a: 'interrupted', b: 'interrupted' });
  for (const to of all) {
    const row = await inInbox(to.peer, { state: 'failed' });
    t.is(row.error?.code, 'no-peer');
    t.regex(row.error?.message ?? '', /from is gone, and none of those who receive it has all of it/);
    await empty(t, to);
  }
});

test('one receiver is killed: the others complete, and it is named', async (t) => {
  const lan = await Lan.make(t);
  const data = content(6 * MIB, 4);
  const wire = { stopped: true };
  const from = await lan.peer('from', {
    filter: (message, direction) =>
      wire.stopped && direction === 'out' && is(message, 'T') && message.block > 8 ? undefined : message,
  });
  const all = await Promise.all(['a', 'b', 'c'].map((name) => receiver(lan, name)));
  await meet(from, ...all.map(({ peer }) => peer));
  const folder = await outside(lan, { 'big.bin': data });
  const sending = send(from, join(folder, 'big.bin'), ['a', 'b', 'c']);
  await until(() => ['a', 'b', 'c'].every((name) => sending.progress(name) > 0), 'all are under way');
  await all[2].peer.peer.stop();
  wire.stopped = false;
  await sending.ended;
  t.deepEqual(sending.results, { a: 'done', b: 'done', c: 'no-peer' });
  for (const { folder: inbox } of all.slice(0, 2)) await assertContent(t, join(inbox, 'big.bin'), data);
});

test('only receivers get anything of a parcel, from the sender and from each other', async (t) => {
  const lan = await Lan.make(t);
  const data = content(2 * MIB, 5);
  const invited: MessageOf<'i'>[] = [];
  const from = await lan.peer('from', { files: { 'open.txt': 'open' } });
  const filter: Filter = (message) => {
    if (is(message, 'i')) invited.push(message);
    return message;
  };
  const to = await receiver(lan, 'to', { filter });
  const too = await receiver(lan, 'too');
  // Never answers, so that the parcel stays.
  const asked = await receiver(lan, 'asked', { inbox: 'ask' });
  await meet(from, to.peer, too.peer, asked.peer);
  const folder = await outside(lan, { 'big.bin': data, 'small.txt': 'small' });
  const sending = send(from, [join(folder, 'big.bin'), join(folder, 'small.txt')], ['to', 'too', 'asked']);
  await until(() => sending.of('done').length === 2, 'two have it');
  const [{ parcel, items }] = invited;
  const { id } = items[0];
  t.not(id, null);
  const raw = new RawPeer(t, 'outsider', false);
  await raw.listen();
  for (const { peer, isSender } of [
    { peer: from, isSender: true },
    { peer: to.peer, isSender: false },
  ]) {
    const talk = await raw.dial(peer.peer.port);
    const first = 0;
    talk.send({ type: 'G', number: 1, id, path: itemPath(parcel, 0), first });
    talk.send({ type: 'G', number: 2, id: null, path: itemPath(parcel, 0), first });
    talk.send({ type: 'G', number: 3, id, path: 'open.txt', first });
    talk.send({ type: 'F', number: 4, kind: 5, text: parcel });
    talk.send({ type: 'F', number: 5, kind: 6, text: parcel });
    talk.send({ type: 'F', number: 6, kind: 4, text: itemPath(parcel, 0) });
    talk.send({ type: 'F', number: 7, kind: 1, text: `#${id}` });
    talk.send({ type: 'S', number: 8, files: [{ id: null, path: itemPath(parcel, 1) }] });
    await until(
      () => talk.of('E').length >= 5 && talk.of('I').length >= 2 && talk.of('U').length > 0,
      'all is answered',
    );
    t.deepEqual(
      talk
        .of('E')
        .map(({ number, code }) => `${number} ${code}`)
        .sort(),
      [
        '1 not-found',
        '2 not-found',
        // Of what is open another content is asked for.
        isSender ? '3 changed' : '3 not-found',
        '4 not-found',
        '5 not-found',
      ],
    );
    t.deepEqual(
      talk.of('I').map(({ offers }) => offers),
      [[], []],
    );
    t.not(talk.of('U')[0].files[0].code, '');
    t.is(talk.of('M').length + talk.of('T').length + talk.of('W').length, 0);
  }
  sending.abort.abort();
  await sending.ended;
  t.deepEqual(sending.results, { to: 'done', too: 'done', asked: 'interrupted' });
  await inInbox(asked.peer, { state: 'failed' });
  // It is offered no more, to its receivers neither.
  const talk = await raw.dial(from.peer.port);
  talk.send({ type: 'F', number: 1, kind: 5, text: parcel });
  await until(() => talk.of('E').length === 1, 'that is answered');
  t.false((await from.peer.status()).shares.some(({ name }) => name.startsWith('send-')));
});

test('what is taken back leaves nothing, whether it waits or is on its way', async (t) => {
  const lan = await Lan.make(t);
  const from = await lan.peer('from', {
    filter: (message, direction) =>
      direction === 'out' && is(message, 'T') && message.block > 3 ? undefined : message,
  });
  const takes = await receiver(lan, 'takes');
  const asks = await receiver(lan, 'asks', { inbox: 'ask' });
  await meet(from, takes.peer, asks.peer);
  const folder = await outside(lan, { 'big.bin': content(4 * MIB, 6) });
  const sending = send(from, join(folder, 'big.bin'), ['takes', 'asks']);
  await until(() => sending.progress('takes') > 0, 'some is there');
  const waiting = await inInbox(asks.peer, { state: 'waiting' });
  const rows = async ({ peer }: LanPeer) =>
    (await peer.status()).transfers.map(({ path, state }) => `${path} ${state}`);
  t.deepEqual(
    [await rows(from), await rows(takes.peer), await rows(asks.peer)],
    [['big.bin running'], ['big.bin running'], []],
  );
  t.is(from.told('serving')[0].path, 'big.bin');
  sending.abort.abort();
  await sending.ended;
  t.deepEqual(sending.results, { takes: 'interrupted', asks: 'interrupted' });
  for (const to of [takes, asks]) {
    const row = await inInbox(to.peer, { state: 'failed' });
    t.is(row.error?.code, 'cancelled');
    t.is(row.error?.message, 'from has taken it back');
    await empty(t, to);
  }
  t.is((await answer(asks.peer, 'accept', waiting))[0].error?.code, 'failed');
  t.is((await asks.peer.peer.answer({ verb: 'accept', numbers: [99] }))[0].error?.code, 'not-found');
});

test('what waits outlives a broken connection, and is given up when its sender has gone', async (t) => {
  const lan = await Lan.make(t);
  const to = await receiver(lan, 'to', { inbox: 'ask', multicast: false });
  const wire = await Wire.to(t, to.peer.peer.port);
  const from = await lan.peer('from', { multicast: false, join: [wire.address] });
  await meet(from, to.peer);
  const folder = await outside(lan, { 'a.txt': 'a', 'b.txt': 'b' });
  const sending = send(from, join(folder, 'a.txt'), ['to']);
  const row = await inInbox(to.peer, { state: 'waiting' });
  const { dialled } = wire;
  wire.cut();
  await until(() => wire.dialled > dialled, 'they are connected again');
  t.is((await answer(to.peer, 'accept', row))[0].error, undefined);
  await sending.ended;
  t.deepEqual(sending.results, { to: 'done' });
  t.is((await to.peer.peer.inbox()).length, 1, 'offered again, it is the same');
  t.is(await readFile(join(to.folder, 'a.txt'), 'utf8'), 'a');

  const other = send(from, join(folder, 'b.txt'), ['to']);
  await inInbox(to.peer, { name: 'b.txt', state: 'waiting' });
  await from.peer.stop();
  await other.ended;
  t.is((await inInbox(to.peer, { name: 'b.txt', state: 'failed' })).error?.code, 'no-peer');
});

test('what a receiver that stops had of it is gone on with when it is sent again', async (t) => {
  const lan = await Lan.make(t);
  const data = content(8 * MIB, 8);
  let held = true;
  let sent = 0;
  const from = await lan.peer('from', {
    filter: (message, direction) => {
      if (direction !== 'out' || !is(message, 'T')) return message;
      if (held && message.block >= 16) return undefined;
      sent += message.data.length;
      return message;
    },
  });
  const to = await receiver(lan, 'to');
  await meet(from, to.peer);
  const folder = await outside(lan, { 'big.bin': data });
  const first = send(from, join(folder, 'big.bin'), ['to']);
  await until(() => first.progress('to') >= 3 * MIB, 'much of it is there');
  await to.peer.peer.stop();
  await first.ended;
  t.deepEqual(first.results, { to: 'no-peer' });
  const names = (await readdir(to.folder)).filter((name) => !name.startsWith('.hearsay-'));
  t.deepEqual(names, [], 'it has no name yet');
  held = false;
  sent = 0;
  const again = await lan.peer('again', { inbox: 'accept', inboxFolder: to.folder, share: [to.folder] });
  await meet(from, again);
  const second = send(from, join(folder, 'big.bin'), ['again']);
  await second.ended;
  t.deepEqual(second.results, { again: 'done' });
  t.true(sent <= 5.5 * MIB, `${sent} bytes were sent again`);
  await assertContent(t, join(to.folder, 'big.bin'), data);
  t.deepEqual(await everything(to.folder), ['big.bin']);
  // Its inbox folder is shared, and so what comes there is everybody's.
  t.true(again.told('warning').some(({ message }) => /big\.bin lands in .*, which is shared/.test(message)));
  await again.knows(`${basename(to.folder)}/big.bin`);
});

test('rules for some peers; who only serves takes nothing', async (t) => {
  const lan = await Lan.make(t);
  const from = await lan.peer('from');
  const other = await lan.peer('other');
  const rules = { from: 'accept', [other.id]: 'refuse' } as const;
  const to = await receiver(lan, 'to', { inbox: 'ask', inboxRules: rules });
  const serves = await receiver(lan, 'serves', { seedOnly: true });
  await meet(from, other, to.peer, serves.peer);
  const folder = await outside(lan, { 'a.txt': 'a', 'b.txt': 'b' });
  const one = send(from, join(folder, 'a.txt'), ['to', 'serves']);
  const two = send(other, join(folder, 'b.txt'), ['to']);
  await Promise.all([one.ended, two.ended]);
  t.deepEqual([one.results, two.results], [{ to: 'done', serves: 'refused' }, { to: 'refused' }]);
  t.deepEqual(await everything(to.folder), ['a.txt']);
  await empty(t, serves);
  const [warning] = to.peer.told('warning');
  t.is(warning.message, 'other wanted to send b.txt, and was refused: a rule here refuses it');
  // Another that calls itself so is not the one whom the rule means.
  await from.peer.stop();
  const rival = await lan.peer('from');
  await meet(rival, to.peer);
  const three = send(rival, join(folder, 'b.txt'), ['to']);
  const row = await inInbox(to.peer, { name: 'b.txt', state: 'waiting' });
  await answer(to.peer, 'refuse', row);
  await three.ended;
  t.deepEqual(three.results, { to: 'refused' });
  // Nor does a sender give what is sent by name to another key than before.
  const again = await lan.peer('to', { inbox: 'accept', inboxFolder: await lan.fresh('in') });
  await to.peer.peer.stop();
  await sees(other, again);
  await until(() => other.told('peer').some(({ change, id }) => change === 'left' && id === to.peer.id), 'it has left');
  const four = send(other, join(folder, 'b.txt'), ['to']);
  await four.ended;
  t.deepEqual(four.results, { to: 'ambiguous' });
});

test('hostile invitations', async (t) => {
  const lan = await Lan.make(t);
  const to = await receiver(lan, 'to', { inbox: 'ask' });
  const raw = new RawPeer(t, 'hostile', false);
  await raw.listen();
  const talk = await raw.dial(to.peer.peer.port);
  let number = 0;
  const offer = async (items: MessageOf<'i'>['items'], parcel = parcelName(Date.now(), Math.random)) => {
    number++;
    const mine = number;
    talk.send({ type: 'i', number: mine, parcel, items });
    await until(() => talk.of('v').some((v) => v.number === mine), 'it is answered');
    const { state, code } = talk.of('v').filter((v) => v.number === mine)[0];
    return state === 0 ? 'asked' : code;
  };
  const item = (name: string, more: Partial<MessageOf<'i'>['items'][number]> = {}) => [
    { name, folder: false, files: 1, bytes: 1, id: null, ...more },
  ];
  for (const name of ['../x', 'a/b', '..', '', 'nul\0', '.hearsay-0123456789abcdef.inbox']) {
    t.is(await offer(item(name)), 'bad-name', JSON.stringify(name));
  }
  t.is(await offer([...item('a'), ...item('A')]), 'bad-name');
  t.is(await offer([]), 'bad-message');
  t.is(await offer(item('a'), '../send'), 'bad-message');
  t.is(await offer(item('a', { bytes: 2 ** 48 })), 'disk-full');
  t.is(await offer(item('a', { files: 2 ** 40 })), 'limit');
  t.deepEqual(await to.peer.peer.inbox(), [], 'of all that nobody hears');
  t.is(await offer(item('a')), 'asked');
  t.is(await offer(item('A')), 'busy');
  for (let i = 1; i < INBOX_OPEN_OF_ONE_MAX; i++) t.is(await offer(item(`n${i}`)), 'asked');
  t.is(await offer(item('b')), 'limit');
  t.is((await to.peer.peer.inbox()).length, INBOX_OPEN_OF_ONE_MAX);
  // Words about what is not there, or is not so.
  talk.send({ type: 'm', number: 999, peers: [] });
  talk.send({ type: 'm', number: 12, peers: [{ head: Buffer.from([1]), sig: new Uint8Array(64), addresses: ['x'] }] });
  talk.send({ type: 'X', number: 999 });
  talk.send({ type: 'v', number: 1, state: 3, bytes: 1, code: '', message: '' });
  // What is accepted, and is not given, fails.
  const [first] = await to.peer.peer.inbox();
  talk.onMessage = (message) => {
    if (message.type !== 'F') return;
    const path = 'send-00000000000000000000000000.0';
    const stray = { path, kind: 'file' as const, size: 1, mtime: 0, id: null, version: 1 };
    talk.send({ type: 'I', number: message.number, offers: [stray], last: true, aside: true });
  };
  await answer(to.peer, 'accept', first);
  t.is((await inInbox(to.peer, { number: first.number, state: 'failed' })).error?.code, 'bad-message');
  talk.socket.destroy();
  await empty(t, to);
});
