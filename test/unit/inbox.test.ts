/** The core of the inbox, what may be offered to it, and who receives together. */
import { setMaxListeners } from 'node:events';
import test from 'ava';
import { Delivery } from '../../lib/drive/delivery.js';
import { Fellows } from '../../lib/drive/fellows.js';
import { Inbox } from '../../lib/drive/inbox.js';
import type { Registered } from '../../lib/drive/jobs.js';
import type { ReceiptParts } from '../../lib/drive/receipt.js';
import { Sends } from '../../lib/drive/sends.js';
import { HearsayError } from '../../lib/errors.js';
import {
  FILE_SIZE_MAX,
  INBOX_OPEN_MAX,
  INBOX_OPEN_OF_ONE_MAX,
  INBOX_OVER_MAX,
  OFFERS_PER_PEER_MAX,
  PARCEL_ITEMS_MAX,
  RECEIVES_MAX,
  SEND_TO_MAX,
  SENDS_MAX,
} from '../../lib/limits.js';
import { identityOf, newPrivateKey } from '../../lib/net/keys.js';
import type { Link } from '../../lib/net/link.js';
import { Known } from '../../lib/share/known.js';
import { InboxEntries, type Item, WAITING } from '../../lib/transfer/inbox.js';
import { isParcelName, itemPath, parcelName, parsePath, titleOf } from '../../lib/transfer/parcel.js';
import { headStatement, packHead } from '../../lib/wire/head.js';
import type { Message, Neighbour } from '../../lib/wire/table.js';

const born = 1_700_000_000_000;
const identities = Array.from({ length: 20 }, () => identityOf(newPrivateKey(), born));
const peer = (i: number): string => identities[i % identities.length].id;
const parcel = () => parcelName(born, Math.random);
const item = (name: string, more: Partial<Item> = {}): Item => ({
  name,
  folder: false,
  files: 1,
  bytes: 10,
  id: null,
  ...more,
});

function offered(entries: InboxEntries, from: string, name: string, items: Item[], now: number) {
  return entries.offered({ from, host: 'h', parcel: name, items }, now).entry;
}

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (thrown) {
    return (thrown as HearsayError).code;
  }
  return 'nothing was thrown';
}

test('names and paths of parcels', (t) => {
  const name = parcel();
  t.true(isParcelName(name));
  t.deepEqual(parsePath(itemPath(name, 12)), { parcel: name, item: 12, rest: '' });
  t.deepEqual(parsePath(`${itemPath(name, 0)}/a/b`), { parcel: name, item: 0, rest: 'a/b' });
  for (const path of [
    name,
    `${name}.`,
    `${name}.01`,
    `${name}.1000`,
    `${name}.1x`,
    'send-1.0',
    `x${name}.0`,
    `${name}.0/`,
  ]) {
    t.is(parsePath(path), undefined, path);
  }
  t.is(titleOf(['a']), 'a');
  t.is(titleOf(['a', 'b', 'c']), 'a and 2 more');
});

test('what may not be offered is not kept', (t) => {
  const entries = new InboxEntries();
  const offer = (items: Item[], name = parcel()) => codeOf(() => offered(entries, peer(0), name, items, born));
  t.is(offer([]), 'bad-message');
  t.is(offer([item('a')], 'send-1'), 'bad-message');
  t.is(offer(Array.from({ length: PARCEL_ITEMS_MAX + 1 }, (_, i) => item(`n${i}`))), 'bad-message');
  for (const name of ['', '.', '..', 'a/b', '../a', 'a\0', 'x'.repeat(256), '\ud800'])
    t.is(offer([item(name)]), 'bad-name');
  t.is(offer([item('a'), item('A')]), 'bad-name');
  t.is(offer([item('\u00e9'), item('e\u0301')]), 'bad-name');
  t.is(offer([item('a', { bytes: FILE_SIZE_MAX }), item('b')]), 'limit');
  t.is(offer([item('a', { files: OFFERS_PER_PEER_MAX }), item('b')]), 'limit');
  t.deepEqual(entries.all(), []);
  t.is(
    offered(
      entries,
      peer(0),
      parcel(),
      Array.from({ length: PARCEL_ITEMS_MAX }, (_, i) => item(`n${i}`)),
      born,
    ).files,
    256,
  );
});

test('a name is taken while it waits or is received, and free again once that is over', (t) => {
  const entries = new InboxEntries();
  const name = parcel();
  const one = offered(entries, peer(0), name, [item('a'), item('b', { bytes: 90 })], born);
  t.like(one, { number: 1, name: 'a and 1 more', files: 2, bytes: 100, state: 'waiting' });
  t.is(entries.known(peer(0), name), one);
  t.is(entries.known(peer(1), name), undefined, 'of another it is another');
  t.is(
    codeOf(() => offered(entries, peer(1), parcel(), [item('c'), item('B')], born)),
    'busy',
  );
  one.state = 'receiving';
  one.received = 30;
  t.is(entries.awaited, 70);
  t.is(
    codeOf(() => offered(entries, peer(0), parcel(), [item('a')], born)),
    'busy',
  );
  const other = offered(entries, peer(0), parcel(), [item('c')], born);
  t.is(other.number, 2);
  entries.ended(one, 'received', { path: '/in/a' });
  t.is(entries.awaited, 0);
  t.is(offered(entries, peer(1), parcel(), [item('a')], born).number, 3);
  t.deepEqual(
    entries.all().map(({ state }) => state),
    ['received', 'waiting', 'waiting'],
  );
  t.deepEqual(entries.late(born + WAITING - 1), []);
  t.deepEqual(
    entries.late(born + WAITING).map(({ number }) => number),
    [2, 3],
  );
  entries.forget(other);
  t.is(entries.get(2), undefined);
});

test('how much waits, of one and of all, and how much is remembered', (t) => {
  const entries = new InboxEntries();
  let n = 0;
  const offer = (from: number) => offered(entries, peer(from), parcel(), [item(`n${n++}`)], born);
  for (let i = 0; i < INBOX_OPEN_OF_ONE_MAX; i++) offer(0);
  t.is(
    codeOf(() => offer(0)),
    'limit',
  );
  for (let from = 1; from < INBOX_OPEN_MAX / INBOX_OPEN_OF_ONE_MAX; from++) {
    for (let i = 0; i < INBOX_OPEN_OF_ONE_MAX; i++) offer(from);
  }
  t.is(entries.waiting().length, INBOX_OPEN_MAX);
  t.is(
    codeOf(() => offer(19)),
    'limit',
  );
  for (const entry of entries.waiting()) entries.ended(entry, 'refused');
  for (let i = entries.all().length; i < INBOX_OVER_MAX + 5; i++) entries.ended(offer(i), 'received');
  t.is(entries.all().length, INBOX_OVER_MAX);
  t.is(entries.all()[0].number, 6, 'the latest');
});

function neighbour(identity = identityOf(newPrivateKey(), born)): Neighbour {
  const { id, key } = identity;
  const none = new Uint8Array(0);
  const rest = { flags: 0, epoch: 1, version: 1, files: 1, bytes: 1, count: 1, floor: 0, beat: 0 };
  const head = packHead({ id, key, name: 'n', port: 9, ...rest, root: new Uint8Array(32), echo: none });
  return { head, sig: identity.sign(headStatement(head)), addresses: ['10.0.0.1:9'] };
}

test('fellows are those who say so themselves, each once, and not too many', (t) => {
  const [own, sender, one, two] = identities;
  const fellows = new Fellows(own.id, sender.id);
  const told: string[] = [];
  fellows.hook((id) => told.push(id));
  const [first, second] = [neighbour(one), neighbour(two)];
  const wrong = [
    { ...second, sig: first.sig },
    { ...second, head: Buffer.from([1, 2]) },
  ];
  fellows.add([first, ...wrong, neighbour(own), neighbour(sender)], false);
  t.deepEqual(fellows.ids(), [one.id]);
  t.deepEqual(fellows.neighbour(one.id), first);
  fellows.add([first, second], false);
  t.deepEqual(told, [one.id, two.id]);
  t.false(fellows.has(own.id) || fellows.has(sender.id));
  fellows.add(
    Array.from({ length: SEND_TO_MAX }, () => neighbour()),
    false,
  );
  t.is(fellows.size, SEND_TO_MAX);
});

test('each chunk is one of theirs first, the same in the eyes of all', (t) => {
  const [sender, ...receivers] = identities.slice(0, 4);
  const all = receivers.map((own) => {
    const fellows = new Fellows(own.id, sender.id);
    fellows.add(receivers.map((one) => neighbour(one)).reverse(), false);
    return fellows;
  });
  for (let chunk = 0; chunk < 9; chunk++) t.is(all.filter((fellows) => !fellows.isOthers(chunk)).length, 1, `${chunk}`);
  t.false(new Fellows(sender.id, receivers[0].id).isOthers(5), 'who is alone fetches all');
});

const REGISTERED: Registered = {
  number: 1,
  hooks: { place: async () => () => {} },
  running() {},
  update() {},
  end() {},
};

/** A connection that keeps what is said over it. */
function line(id: string) {
  const said: Message[] = [];
  const rest = {
    address: { host: id, port: 1 },
    instance: new Uint8Array(8),
    send: (message: Message) => said.push(message),
  };
  return { said, link: { peer: id, open: true, ...rest } as unknown as Link };
}

test('so many are received at a time, and others wait for their turn', async (t) => {
  let asked = 0;
  const getting = {
    nameOf: (id: string) => ({ id, name: id }),
    connect: async () => line('x').link,
    openShareAt: () => undefined,
    requests: {
      gather: (_link: Link, _ask: unknown, _page: unknown, _timeout: number, signal: AbortSignal) => {
        asked++;
        return new Promise((_, reject) =>
          signal.addEventListener('abort', () => reject(new HearsayError('interrupted', 'stopped'))),
        );
      },
    },
  };
  const inbox = new Inbox({
    ...({ getting, shelf: {}, server: {}, isConnected: () => true } as unknown as ReceiptParts),
    id: peer(0),
    folder: () => '/nowhere/at/all',
    timeout: () => 1000,
    closed: () => undefined,
    rule: async () => 'accept',
    tell: () => {},
    register: () => REGISTERED,
  });
  const lines = [line(peer(1)), line(peer(2))];
  for (let i = 0; i < RECEIVES_MAX + 2; i++) {
    const items = [item(`n${i}`, { bytes: 0 })];
    inbox.take(lines[i % 2].link, { type: 'i', number: i, parcel: parcel(), items });
  }
  const accepted = () => lines.flatMap(({ said }) => said).filter((m) => m.type === 'v' && m.state === 1).length;
  while (accepted() < RECEIVES_MAX + 2 || asked < RECEIVES_MAX) await new Promise(setImmediate);
  for (let i = 0; i < 10; i++) await new Promise(setImmediate);
  t.is(asked, RECEIVES_MAX);
  t.is(inbox.rows().filter(({ state }) => state === 'receiving').length, RECEIVES_MAX + 2);
  // One is taken back: the next has its turn.
  inbox.cancel(lines[0].link, 0);
  while (asked <= RECEIVES_MAX) await new Promise(setImmediate);
  t.like(inbox.rows()[0], { state: 'failed', name: 'n0' });
  t.is(inbox.rows()[0].error?.code, 'cancelled');
  await inbox.stop();
  t.is(inbox.rows().filter(({ state }) => state === 'failed').length, RECEIVES_MAX + 2);
});

function sends(peers = [{ id: peer(1), name: 'bob' }]): Sends {
  const never = new Promise<never>(() => {});
  return new Sends({
    id: peer(0),
    state: '/nowhere',
    parcels: { add: () => never } as never,
    known: new Known(),
    random: Math.random,
    requests: {} as never,
    connect: () => never,
    isHere: () => true,
    peers: async () => peers,
    nameOf: (id) => ({ id, name: id }),
    whyNobody: () => 'alone',
    register: () => REGISTERED,
  });
}

test('how many sends, receivers and files there are at a time', async (t) => {
  const never = new AbortController().signal;
  setMaxListeners(0, never);
  const first = async (query: { files: string[]; to: string[]; as?: string }, all = sends()) => {
    for await (const event of all.send(query, never)) return event;
    return undefined;
  };
  const files = [import.meta.filename];
  const many = (count: number) => Array.from({ length: count }, (_, i) => `n${i}`);
  t.is((await t.throwsAsync<HearsayError>(first({ files, to: many(SEND_TO_MAX + 1) }))).code, 'limit');
  t.is((await t.throwsAsync<HearsayError>(first({ files: many(PARCEL_ITEMS_MAX + 1), to: ['bob'] }))).code, 'limit');
  t.is((await t.throwsAsync<HearsayError>(first({ files: [], to: ['bob'] }))).code, 'usage');
  t.is((await t.throwsAsync<HearsayError>(first({ files, to: [] }))).code, 'usage');
  t.is(
    (await t.throwsAsync<HearsayError>(first({ files: [...files, '/no/such'], to: ['bob'], as: 'x' }))).code,
    'usage',
  );
  const missing = await t.throwsAsync<HearsayError>(first({ files: ['/no/a', ...files, '/no/b'], to: ['bob'] }));
  t.is(missing.code, 'no-such-path');
  t.regex(missing.message, /\/no\/a, \/no\/b/);
  const all = sends();
  for (let i = 0; i < SENDS_MAX; i++) all.send({ files, to: ['bob'] }, never);
  t.is((await t.throwsAsync<HearsayError>(first({ files, to: ['bob'] }, all))).code, 'limit');
});

test('what a receiver says counts for no more than it may', async (t) => {
  const { said, link } = line(peer(1));
  let answer: (message: Message) => void = () => {};
  const requests = {
    open: (_: Link, handler: { answer: typeof answer }) => {
      answer = handler.answer;
      return 7;
    },
    close() {},
  };
  const told: string[] = [];
  const parts = { requests: requests as never, connect: async () => link, isHere: () => true };
  const delivery = new Delivery(parts, peer(1), parcel(), () => [item('a')], {
    asked: () => told.push('asked'),
    accepted: () => told.push('accepted'),
    progress: (bytes) => told.push(`${bytes}`),
    done: () => told.push('done'),
    failed: ({ code, message }) => told.push(`${code}: ${message}`),
  });
  const run = delivery.run();
  while (said.length === 0) await new Promise(setImmediate);
  const verdict = (state: number, code = '', message = '') =>
    answer({ type: 'v', number: 7, state, bytes: 5, code, message });
  verdict(0);
  verdict(1);
  verdict(2);
  // A code that would make the command say it was interrupted here, and words that would spoil the terminal.
  verdict(4, 'interrupted', 'ha\x1b[2J');
  verdict(3);
  await run;
  t.deepEqual(told, ['asked', 'accepted', '5', 'failed: ha\\u{1b}[2J']);
  delivery.release();
  t.deepEqual(
    said.map(({ type }) => type),
    ['i', 'X'],
  );
});
