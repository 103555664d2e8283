/** The inbox and its neighbours against those who flood, hold on, or point at others. */
import { renameSync, symlinkSync } from 'node:fs';
import { mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mock } from 'node:test';
import test, { type ExecutionContext } from 'ava';
import type { GetEvent } from '../../lib/api.js';
import { Compared } from '../../lib/drive/compared.js';
import { Fellows } from '../../lib/drive/fellows.js';
import { Get, type GetContext } from '../../lib/drive/fetch.js';
import { Inbox } from '../../lib/drive/inbox.js';
import type { Registered } from '../../lib/drive/jobs.js';
import type { ReceiptParts } from '../../lib/drive/receipt.js';
import { ReceivePlaces } from '../../lib/drive/receive-places.js';
import { Receiving } from '../../lib/drive/receiving.js';
import { Sends } from '../../lib/drive/sends.js';
import { toldAddresses } from '../../lib/endpoint.js';
import type { HearsayError } from '../../lib/errors.js';
import {
  COMPARED_MAX,
  FELLOWS_CHECKED_MAX,
  INBOX_HOSTS_MAX,
  INBOX_LINGERING_MAX,
  INBOX_OPEN_MAX,
  INBOX_UNKEPT_MAX,
  INBOX_UNKEPT_MS,
  RECEIVES_MAX,
  RECEIVES_OF_ONE_MAX,
} from '../../lib/limits.js';
import { identityOf, newPrivateKey } from '../../lib/net/keys.js';
import type { Link } from '../../lib/net/link.js';
import { Known } from '../../lib/share/known.js';
import { Place } from '../../lib/share/place.js';
import { openStaging, stagingOf } from '../../lib/share/put.js';
import { type Entry, InboxEntries, type Item } from '../../lib/transfer/inbox.js';
import { itemPath, parcelName } from '../../lib/transfer/parcel.js';
import { headStatement, packHead } from '../../lib/wire/head.js';
import type { Message, Neighbour } from '../../lib/wire/table.js';

const born = 1_700_000_000_000;
const identities = Array.from({ length: 12 }, () => identityOf(newPrivateKey(), born));
const peer = (i: number): string => identities[i % identities.length].id;
const parcel = () => parcelName(born, Math.random);
const item = (name: string, more: Partial<Item> = {}): Item => ({
  name,
  folder: false,
  files: 1,
  bytes: 0,
  id: null,
  ...more,
});

async function folderOf(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'hearsay-inbox-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

function neighbour(identity = identityOf(newPrivateKey(), born), addresses = ['10.0.0.1:9']): Neighbour {
  const { id, key } = identity;
  const none = new Uint8Array(0);
  const rest = { flags: 0, epoch: 1, version: 1, files: 1, bytes: 1, count: 1, floor: 0, beat: 0 };
  const head = packHead({ id, key, name: 'n', port: 9, ...rest, root: new Uint8Array(32), echo: none });
  return { head, sig: identity.sign(headStatement(head)), addresses };
}

/** A connection that keeps what is said over it. */
function line(id: string, host = id, instance = new Uint8Array(8)) {
  const said: Message[] = [];
  const send = (message: Message) => said.push(message);
  const rest = {
    open: true,
    address: { host, port: 9 },
    head: { port: 9 },
    instance,
    send,
    packedHead: NONE,
    sig: NONE,
  };
  return { said, link: { peer: id, ...rest } as unknown as Link };
}
const NONE = new Uint8Array(0);

const REGISTERED: Registered = {
  number: 1,
  hooks: { place: async () => () => {} },
  running() {},
  update() {},
  end() {},
};

/** Offers under names of their own. */
function offering(entries: InboxEntries) {
  let n = 0;
  return (from: number, host: string, now = born, isSpared?: (entry: Entry) => boolean) =>
    entries.offered({ from: peer(from), host, parcel: parcel(), items: [item(`n${n++}`)] }, now, isSpared);
}

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (thrown) {
    return (thrown as HearsayError).code;
  }
  return 'nothing was thrown';
}

test('one host with many keys keeps nobody else out', (t) => {
  const entries = new InboxEntries();
  const offer = offering(entries);
  const all = Array.from({ length: INBOX_OPEN_MAX }, (_, i) => offer(Math.floor(i / 8), 'flood').entry);
  t.is(
    codeOf(() => offer(9, 'flood')),
    'limit',
    'it has its part',
  );
  const last = all[INBOX_OPEN_MAX - 1];
  const spared = all[INBOX_OPEN_MAX - 2];
  const first = offer(9, 'other');
  t.is(first.loser, last, 'what came last gives its place up');
  entries.ended(last, 'refused');
  const second = offer(9, 'other', born, (entry) => entry === spared);
  t.is(second.loser, all[INBOX_OPEN_MAX - 3], 'but for what a person says yes to');
  entries.ended(second.loser as Entry, 'refused');
  for (const entry of entries.waiting()) entry.state = 'receiving';
  t.is(
    codeOf(() => offer(9, 'other')),
    'limit',
    'what is received is not broken off',
  );
  t.is(entries.all().filter(({ state }) => state === 'receiving').length, INBOX_OPEN_MAX);
});

test('a host that does not keep to what it offers is not listened to for a while', (t) => {
  const entries = new InboxEntries();
  const offer = offering(entries);
  const unkept = (host: string, now = born) => {
    const { entry } = offer(0, host, now);
    entries.unkept(entry, now);
    entries.ended(entry, 'failed');
  };
  for (let i = 0; i < INBOX_UNKEPT_MAX; i++) unkept('flood');
  t.is(
    codeOf(() => offer(1, 'flood', born + INBOX_UNKEPT_MS - 1)),
    'limit',
  );
  entries.ended(offer(1, 'other').entry, 'refused');
  unkept('flood', born + INBOX_UNKEPT_MS);
  entries.ended(offer(1, 'flood', born + INBOX_UNKEPT_MS).entry, 'refused');
  // Hosts are counted, of many the latest.
  for (let i = 0; i < INBOX_UNKEPT_MAX; i++) unkept('early', born);
  for (let i = 1; i < INBOX_HOSTS_MAX; i++) unkept(`h${i}`);
  t.is(
    codeOf(() => offer(1, 'early')),
    'limit',
  );
  unkept('one more');
  t.is(offer(1, 'early').entry.state, 'waiting');
});

test('names are free again once what bore them is over, or forgotten', (t) => {
  const entries = new InboxEntries();
  const offer = (names: string[]) =>
    entries.offered({ from: peer(0), host: 'h', parcel: parcel(), items: names.map((name) => item(name)) }, born).entry;
  const one = offer(['a', 'b']);
  t.is(
    codeOf(() => offer(['c', 'B'])),
    'busy',
  );
  const two = offer(['c']);
  entries.ended(one, 'refused');
  entries.forget(two);
  t.like(offer(['A', 'b', 'C']), { name: 'A and 2 more' });
});

/** An inbox that takes everything, into a folder; what comes is empty files. */
async function inboxOf(t: ExecutionContext, folder: string) {
  const getting = {
    nameOf: (id: string) => ({ id, name: id }),
    connect: async () => line('x').link,
    openShareAt: () => undefined,
    limiter: { isFree: true, hook: () => () => {} },
    requests: {
      gather: async (_link: Link, make: (number: number) => { text: string }, page: (answer: unknown) => boolean) => {
        const id = 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262';
        const path = itemPath(make(1).text, 0);
        const offers = [{ path, kind: 'folder', size: 0, mtime: 0, id: null, version: 1 }];
        page({ type: 'I', number: 1, offers, last: true, aside: true, id });
      },
    },
  };
  const inbox = new Inbox({
    ...({ getting, shelf: { own: () => undefined }, server: {}, isConnected: () => true } as unknown as ReceiptParts),
    id: peer(0),
    folder: () => folder,
    timeout: () => 1000,
    closed: () => undefined,
    rule: async () => 'accept',
    tell: () => {},
    register: () => REGISTERED,
  });
  t.teardown(() => inbox.stop());
  return inbox;
}

/** Waits for something that happens by itself, whatever timers do. */
async function until(holds: () => unknown): Promise<void> {
  for (let i = 0; i < 1_000_000 && !holds(); i++) await new Promise(setImmediate);
}

test.serial('what is over is given to fellows for a while only, and of so many parcels', async (t) => {
  const folder = await folderOf(t);
  const inbox = await inboxOf(t, folder);
  const { link, said } = line(peer(1));
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  const receive = async (number: number) => {
    const name = parcel();
    inbox.take(link, { type: 'i', number, parcel: name, items: [item(`n${number}`, { folder: true, files: 0 })] });
    const told = (state: number) => said.some((m) => m.type === 'v' && m.number === number && m.state === state);
    await until(() => told(1));
    inbox.take(link, { type: 'm', number, peers: [neighbour(identities[2])] });
    await until(() => told(3) || told(4));
    t.true(told(3), JSON.stringify(said.at(-1)));
    return name;
  };
  const isHeld = (name: string) => inbox.titleOf(itemPath(name, 0)) !== undefined;
  const first = await receive(0);
  t.true(isHeld(first));
  const names: string[] = [];
  for (let i = 1; i <= INBOX_LINGERING_MAX; i++) names.push(await receive(i));
  t.false(isHeld(first), 'the first has made room');
  t.true(names.every(isHeld));
  // Its sender offers one again and again, so that it is held for ever.
  mock.timers.tick(9 * 60_000);
  inbox.take(link, { type: 'i', number: 999, parcel: names[0], items: [item('n1', { folder: true, files: 0 })] });
  t.like(said.at(-1), { type: 'v', number: 999, state: 3 });
  mock.timers.tick(60_001);
  t.false(names.some(isHeld));
  t.is((await readdir(folder)).length, INBOX_LINGERING_MAX + 1);
});

test('what a process offered that was started anew makes room for what it offers now', async (t) => {
  const inbox = new Inbox({
    ...({ getting: { nameOf: (id: string) => ({ id, name: id }) } } as unknown as ReceiptParts),
    id: peer(0),
    folder: () => '/nowhere/at/all',
    timeout: () => 1000,
    closed: () => undefined,
    rule: async () => 'ask',
    tell: () => {},
    register: () => REGISTERED,
  });
  const before = line(peer(1));
  const invite = ({ link }: { link: Link }) =>
    inbox.take(link, { type: 'i', number: 1, parcel: parcel(), items: [item('a')] });
  invite(before);
  await until(() => before.said.length > 0);
  inbox.linkClosed(before.link);
  const same = line(peer(1));
  invite(same);
  t.like(same.said.at(-1), { state: 4, code: 'busy' }, 'it is the same process, and offers it again');
  const anew = line(peer(1), peer(1), Buffer.alloc(8, 1));
  invite(anew);
  await until(() => anew.said.length > 0);
  t.like(anew.said.at(-1), { state: 0 });
  await inbox.stop();
});

test('members are not taken in before anyone has said yes', async (t) => {
  const told: string[] = [];
  const inbox = new Inbox({
    ...({ getting: { nameOf: (id: string) => ({ id, name: id }) } } as unknown as ReceiptParts),
    id: peer(0),
    folder: () => '/nowhere/at/all',
    timeout: () => 1000,
    closed: () => undefined,
    rule: async () => 'ask',
    tell: ({ event }) => told.push(event),
    register: () => REGISTERED,
  });
  const { link, said } = line(peer(1));
  inbox.take(link, { type: 'i', number: 1, parcel: parcel(), items: [item('a')] });
  await until(() => said.length > 0);
  let looked = 0;
  const { head, sig } = neighbour();
  const watched = {
    get head() {
      looked++;
      return head;
    },
    sig,
    addresses: [],
  };
  inbox.take(link, { type: 'm', number: 1, peers: [watched] });
  t.is(looked, 0);
  await inbox.stop();
});

test('only so many words about fellows are looked at', (t) => {
  const fellows = new Fellows(peer(0), peer(1));
  const one = neighbour(identities[2]);
  const wrong = { ...one, sig: new Uint8Array(64) };
  fellows.add(
    Array.from({ length: FELLOWS_CHECKED_MAX - 1 }, () => wrong),
    false,
  );
  fellows.add([one], false);
  t.is(fellows.size, 1);
  fellows.add([neighbour(identities[3])], false);
  t.is(fellows.size, 1);
});

test('where a peer is said to be, it is where its own port is, and not here', (t) => {
  const all = ['10.0.0.1:9', '10.0.0.1:80', '127.0.0.1:9', '[::1]:9', '0.0.0.0:9', '[fe80::1%eth0]:9', 'host:9', '1:9'];
  t.deepEqual(toldAddresses(all, 9, false), ['10.0.0.1:9']);
  t.deepEqual(toldAddresses(all, 9, true), ['10.0.0.1:9', '127.0.0.1:9', '[::1]:9', '0.0.0.0:9', '[fe80::1%eth0]:9']);
  const fellows = new Fellows(peer(0), peer(1));
  fellows.add([neighbour(identities[2], ['10.0.0.1:80', '127.0.0.1:9', '10.0.0.2:9', '10.0.0.3:9'])], false);
  t.deepEqual(fellows.neighbour(peer(2))?.addresses, ['10.0.0.2:9']);
});

test.serial('a fellow who cannot be reached is tried ever more rarely, and nobody else is met', async (t) => {
  mock.timers.enable({ apis: ['setInterval'] });
  t.teardown(() => mock.timers.reset());
  const fellows = new Fellows(peer(0), peer(1));
  fellows.add([neighbour(identities[2])], false);
  const met: string[][] = [];
  let connected = false;
  const receiving = new Receiving(
    {
      getting: {
        meet: async ({ addresses }: Neighbour) => {
          met.push(addresses);
          return undefined;
        },
        connect: async () => {
          throw new Error('not there');
        },
      },
      isConnected: () => connected,
    } as unknown as ReceiptParts,
    { fellows, sender: peer(1) } as unknown as ConstructorParameters<typeof Receiving>[1],
  );
  await t.throwsAsync(receiving.connect(peer(2)));
  t.like(await t.throwsAsync(receiving.connect(peer(2))), { code: 'unreachable' });
  t.is(met.length, 1, 'it was not tried again at once');
  const asked: string[] = [];
  const stop = receiving.seek('id', (id) => asked.push(id));
  mock.timers.tick(1000);
  t.deepEqual(asked, []);
  connected = true;
  mock.timers.tick(1000);
  t.deepEqual(asked, [peer(2)], 'it has come by itself');
  stop();
  t.is(await receiving.meet(neighbour(identities[3])), undefined);
  await receiving.meet({ ...neighbour(identities[2]), addresses: ['10.9.9.9:9'] });
  t.deepEqual(met, [['10.0.0.1:9'], ['10.0.0.1:9']], 'it is met where the sender saw it');
});

test('a file in the inbox folder is read once, whoever asks and how often', async (t) => {
  const folder = await folderOf(t);
  const place = new Place(folder);
  let read = 0;
  const compared = new Compared(async () => {
    read++;
    return 'id';
  });
  const file = join(folder, 'a');
  await writeFile(file, 'abc');
  const ask = async (id: string | null, size = 3, name = 'a') => compared.with(await place.spot(name), size, id);
  t.deepEqual(await Promise.all([ask('id'), ask('other'), ask('id')]), ['same', 'different', 'same']);
  t.deepEqual([await ask('id', 4), await ask(null), await ask('id', 3, 'b')], ['different', 'different', 'absent']);
  t.is(read, 1);
  await utimes(file, 1, 1);
  t.is(await ask('id'), 'same');
  t.is(read, 2, 'it may be another by now');
  for (let i = 0; i < COMPARED_MAX; i++) {
    await writeFile(join(folder, `n${i}`), '');
    await ask('id', 0, `n${i}`);
  }
  t.is(read, 2 + COMPARED_MAX);
  await ask('id', 0, `n${COMPARED_MAX - 1}`);
  t.is(read, 2 + COMPARED_MAX);
  t.is((await stat(file)).size, 3);
  await ask('id');
  t.is(read, 3 + COMPARED_MAX, 'the one that was read longest ago is forgotten');
});

test('who says yes again and again is told of the others once', async (t) => {
  const lines = [line(peer(1)), line(peer(2))];
  const answers: ((message: Message) => void)[] = [];
  const sends = new Sends({
    id: peer(0),
    state: '/nowhere',
    parcels: { add: async () => ({}), items: () => [item('a')], hash: async () => {}, end: async () => {} } as never,
    known: new Known(),
    random: Math.random,
    requests: {
      open: (link: Link, handler: { answer: (message: Message) => void }) => {
        answers[lines.findIndex((one) => one.link === link)] = handler.answer;
        return 7;
      },
      close() {},
    } as never,
    connect: async (id) => lines[id === peer(1) ? 0 : 1].link,
    isHere: () => true,
    peers: async () => [1, 2].map((i) => ({ id: peer(i), name: `p${i}` })),
    nameOf: (id) => ({ id, name: id }),
    whyNobody: () => 'alone',
    register: () => REGISTERED,
  });
  const abort = new AbortController();
  const events = sends.send({ files: [import.meta.filename], to: ['p1', 'p2'] }, abort.signal);
  const reading = (async () => {
    for await (const _ of events);
  })();
  await until(() => answers.filter(Boolean).length === 2);
  const accept = (i: number) => answers[i]({ type: 'v', number: 7, state: 1, bytes: 0, code: '', message: '' });
  for (let i = 0; i < 50; i++) for (const one of [0, 1]) accept(one);
  t.deepEqual(
    lines.map(({ said }) => said.filter(({ type }) => type === 'm').length),
    [1, 1],
  );
  abort.abort();
  await reading;
});

test('a link that takes the place of the folder where things are gathered leads nowhere', async (t) => {
  const root = await folderOf(t);
  const elsewhere = await folderOf(t);
  const path = stagingOf(root, 'x');
  const { hidden } = await openStaging(path);
  const piece = {
    path: 'a',
    id: null,
    folder: true,
    naming: { kind: 'as' as const, path: 'a/b' },
    size: 0,
    sources: [],
  };
  const context = { resolve: async () => [piece], openShareAt: () => undefined };
  const swap = () => {
    renameSync(path, join(root, 'moved'));
    symlinkSync(elsewhere, path, 'junction');
  };
  const said: string[] = [];
  const out = { push: (e: GetEvent) => said.push(e.event === 'error' ? e.error.code : e.event), end: () => {} };
  const never = new AbortController().signal;
  const hooks = { place: async () => () => {}, planned: swap, into: hidden };
  const query = { what: [], to: join(path, '/') };
  await new Get(query, context as unknown as GetContext, out, never, 1000, hooks).run();
  t.deepEqual(said, ['in-the-way', 'end']);
  t.deepEqual(await readdir(elsewhere), []);
});

test('one sender does not have all places', async (t) => {
  const places = new ReceivePlaces();
  const had: string[] = [];
  const leaves: (() => void)[] = [];
  const abort = new AbortController();
  const take = (from: number) => {
    void places.take(peer(from), abort.signal).then(
      (leave) => {
        had.push(`${from}`);
        leaves.push(leave);
      },
      () => {},
    );
  };
  for (let i = 0; i < RECEIVES_MAX; i++) take(1);
  await until(() => had.length >= RECEIVES_OF_ONE_MAX);
  take(2);
  await until(() => had.includes('2'));
  t.deepEqual(had, [...Array.from({ length: RECEIVES_OF_ONE_MAX }, () => '1'), '2']);
  leaves[0]();
  await until(() => had.length > RECEIVES_OF_ONE_MAX + 1);
  t.is(had.at(-1), '1', 'the next of the first');
  abort.abort();
});

test('who calls himself by the beginning of an id is not taken for its owner', async (t) => {
  const never = new Promise<never>(() => {});
  const told: string[] = [];
  const sends = new Sends({
    id: peer(0),
    state: '/nowhere',
    parcels: {
      add: async (_name: string, _sent: unknown, to: readonly string[]) => {
        told.push(`sent to ${to.length}`);
        return {};
      },
      items: () => [item('a')],
      hash: async () => {},
      end: async () => {},
    } as never,
    known: new Known(),
    random: Math.random,
    requests: {} as never,
    connect: () => never,
    isHere: () => true,
    peers: async () => [
      { id: peer(1), name: 'alice' },
      { id: peer(2), name: peer(1).slice(0, 12) },
    ],
    nameOf: (id) => ({ id, name: id }),
    whyNobody: () => 'alone',
    register: () => REGISTERED,
  });
  const query = { files: [import.meta.filename], to: [peer(1).slice(0, 12)] };
  for await (const event of sends.send(query, new AbortController().signal)) {
    if (event.event === 'error') told.push(event.error.code);
  }
  t.deepEqual(told, ['sent to 0', 'ambiguous']);
});
