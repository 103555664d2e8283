/** Peers that ask for too much, or offer too much: while each goes on, a get between two good peers ends right. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import {
  CHUNKS_MAX,
  CONNECTIONS_MAX,
  CONNECTIONS_PER_ADDRESS_MAX,
  MET_MAX,
  OFFERS_PER_PAGE,
  SOURCES_MAX,
  UNACKED_MAX,
  UNWRITTEN_MAX,
} from '../../lib/limits.js';
import type { Offer } from '../../lib/offer.js';
import { headStatement, packHead, readHead } from '../../lib/wire/head.js';
import type { MessageOf } from '../../lib/wire/table.js';
import { signedHead } from '../unit/bounds-link.js';
import { assertContent, begin, content, get, KIB, Lan, type LanPeer, MIB, names, type Run, until } from './lan.js';
import { hashesOf, idOf, offerOf, RawPeer, serveHonestly, type Talk } from './raw.js';
import { Wire } from './wire-between.js';

const BIG = content(8 * MIB, 91);
const HASHES = hashesOf(BIG);
const ID = idOf(BIG);
const NONE = new Uint8Array(0);
/** A test that needs other addresses of this machine, which only Linux has without asking anybody. */
function onLinux(title: string, body: (t: ExecutionContext) => Promise<void>): void {
  test.serial(title, async (t) => {
    if (process.platform === 'linux') return body(t);
    t.log('skipped: it needs all of 127.0.0.0/8, as Linux has it');
    t.pass();
  });
}

interface Stage {
  lan: Lan;
  from: LanPeer;
  to: LanPeer;
  id: string;
  inbox: string;
  wire: Wire;
  run: Run;
}

/** A get between two good peers, held in the middle. */
async function stage(t: ExecutionContext): Promise<Stage> {
  const lan = await Lan.make(t);
  const from = await lan.peer('source', { files: { 'big.bin': BIG, 'small.txt': 'small' }, multicast: false });
  const wire = await Wire.to(t, from.peer.port);
  const to = await lan.peer('receiver', { multicast: false, join: [wire.address] });
  const id = await to.hashed('big.bin');
  const inbox = await lan.fresh('in');
  wire.stopAfter(3 * MIB);
  const run = begin(to, 'big.bin', inbox);
  await until(() => wire.still, 'the get is in the middle');
  return { lan, from, to, id, inbox, wire, run };
}

/** The get between the good ones ends right, and a newcomer is served. */
async function assertUnharmed(t: ExecutionContext, { lan, from, inbox, wire, run }: Stage): Promise<void> {
  wire.go();
  const outcome = await run.ended;
  t.deepEqual(outcome.codes, []);
  await assertContent(t, `${inbox}/big.bin`, BIG);
  const join = [`127.0.0.1:${from.peer.port}`];
  const newcomer = await lan.peer('newcomer', { passive: true, multicast: false, join });
  t.deepEqual((await get(newcomer, 'small.txt', `${await lan.fresh('in')}/`)).codes, []);
}

onLinux('connections from one address, and from many, more than there may be', async (t) => {
  const on = await stage(t);
  const talks: Talk[] = [];
  const come = async (from: string) => {
    const talk = await new RawPeer(t, 'raw', true).dial(on.from.peer.port, from).catch(() => undefined);
    if (talk) talks.push(talk);
  };
  for (let i = 0; i < 2 * CONNECTIONS_PER_ADDRESS_MAX; i += 16) {
    await Promise.all(Array.from({ length: 16 }, () => come('127.0.0.9')));
  }
  t.true(
    talks.length >= CONNECTIONS_PER_ADDRESS_MAX && talks.length < CONNECTIONS_PER_ADDRESS_MAX + 32,
    `${talks.length}`,
  );
  const hosts = Math.ceil((CONNECTIONS_MAX + 40) / (CONNECTIONS_PER_ADDRESS_MAX - 4));
  for (let host = 0; host < hosts; host++) {
    const many = Array.from({ length: CONNECTIONS_PER_ADDRESS_MAX - 4 }, () => come(`127.0.1.${host + 1}`));
    await Promise.all(many);
  }
  await until(() => talks.some(({ closed }) => closed), 'some gave way');
  await assertUnharmed(t, on);
  t.true(talks.filter(({ closed }) => !closed).length <= CONNECTIONS_MAX);
});

test.serial('readers that ask for everything and read nothing', async (t) => {
  const on = await stage(t);
  const before = process.memoryUsage().rss;
  for (let i = 0; i < 20; i++) {
    const talk = await new RawPeer(t, 'raw', true).dial(on.from.peer.port);
    talk.send({ type: 'G', number: 1, id: on.id, path: 'big.bin', first: 0 });
    await until(() => talk.of('M').length === 1, 'it has the manifest');
    talk.socket.pause();
    talk.send({ type: 'R', number: 1, block: 0, count: 32 });
    for (let number = 2; number < 60; number++) {
      talk.send({ type: 'F', number, kind: 0, text: '' });
      talk.send({ type: 'P', number: 1000 + number, writer: on.from.id, epoch: 0, version: 0, buckets: NONE });
      talk.send({ type: 'G', number: 2000 + number, id: on.id, path: 'big.bin', first: 0 });
    }
  }
  await assertUnharmed(t, on);
  t.true(process.memoryUsage().rss - before < 400 * MIB);
});

test.serial(
  'one that reads everything and acknowledges nothing is sent a window, and no more for a while',
  async (t) => {
    const on = await stage(t);
    const talk = await new RawPeer(t, 'raw', true).dial(on.from.peer.port);
    for (let number = 1; number <= 8; number++) {
      talk.send({ type: 'G', number, id: on.id, path: 'big.bin', first: 0 });
      await until(() => talk.of('M').length === number, 'it has the manifest');
      talk.send({ type: 'R', number, block: 0, count: 32 });
    }
    await until(() => talk.of('T').length === UNACKED_MAX, 'the window is full');
    await assertUnharmed(t, on);
    t.is(talk.of('T').length, UNACKED_MAX);
  },
);

/** A raw peer whose head says what it is told to say. */
class Boaster extends RawPeer {
  says: { version: number; count: number } = { version: 1, count: 1 };

  override head(): { head: Buffer; sig: Uint8Array } {
    const head = packHead({ ...readHead(super.head().head), ...this.says, files: this.says.count });
    return { head, sig: this.identity.sign(headStatement(head)) };
  }
}

test.serial('one that says it has ten million files, and one that never comes to an end of telling them', async (t) => {
  const on = await stage(t);
  const boaster = new Boaster(t, 'boaster', false);
  boaster.says.count = 10_000_000;
  await boaster.listen();
  let asked = 0;
  boaster.onTalk = (talk) => {
    talk.onMessage = ({ type }) => {
      if (type === 'P') asked++;
    };
  };
  const boast = await boaster.dial(on.from.peer.port);
  for (let version = 2; version < 50; version++) {
    boaster.says.version = version;
    boast.send({ type: 'O', ...boaster.head(), from: version, offers: [] });
  }
  const told = () => on.from.told('warning').filter(({ message }) => message.includes('boaster'));
  await until(() => told().length > 0, 'it is told of');

  const endless = new Boaster(t, 'endless', false);
  endless.says.count = 1000;
  await endless.listen();
  let pulls = 0;
  let sent = 0;
  let version = 0;
  const page = (): Offer[] =>
    Array.from({ length: OFFERS_PER_PAGE }, () => ({
      ...offerOf(`planted/${++version}`, { data: Buffer.alloc(0) }),
      version,
    }));
  endless.onTalk = (talk) => {
    talk.onMessage = (message) => {
      if (message.type !== 'P') return;
      pulls++;
      const { number } = message;
      const more = () => {
        if (talk.closed || sent >= 300_000) return;
        talk.send({
          type: 'D',
          number,
          replaced: new Uint8Array(32).fill(255),
          offers: page(),
          last: false,
          head: NONE,
          sig: NONE,
        });
        sent += OFFERS_PER_PAGE;
        setTimeout(more, 1);
      };
      more();
    };
  };
  await endless.dial(on.from.peer.port);
  await until(() => pulls > 0 && sent > 100_000, 'it tells and tells');
  await assertUnharmed(t, on);
  t.is(asked, 0, 'who has too much is not pulled from');
  t.is(told().length, 1);
  t.false([...on.from.peer.index].some(({ path }) => path.startsWith('planted/')));
});

test.serial('a manifest that lies: another size, pages without end, hashes of another content', async (t) => {
  const lan = await Lan.make(t);
  const from = await lan.peer('source', { files: { 'big.bin': BIG }, multicast: false });
  await from.hashed('big.bin');
  const file = { data: BIG };
  const m = (number: number): MessageOf<'M'> => ({
    type: 'M',
    number,
    id: ID,
    size: BIG.length,
    mtime: 1_700_000_000_000,
    executable: false,
    chunk: 256 * KIB,
    first: 0,
    hashes: HASHES,
    have: NONE,
  });
  const lies: Record<string, (talk: Talk, number: number) => void> = {
    size: (talk, number) => talk.send({ ...m(number), size: 2 ** 50 }),
    endless: (talk, number) => {
      for (let first = 0; first < 5000; first++) talk.send({ ...m(number), first, hashes: HASHES.subarray(0, 32) });
    },
    empty: (talk, number) => {
      for (let i = 0; i < 5000; i++) talk.send({ ...m(number), hashes: NONE });
    },
    other: (talk, number) => talk.send({ ...m(number), hashes: Buffer.alloc(32 * 32, 7) }),
  };
  const join = [`127.0.0.1:${from.peer.port}`];
  for (const [name, lie] of Object.entries(lies)) {
    const raw = await RawPeer.source(t, name, { 'big.bin': file }, serveHonestly, () => undefined);
    const { onTalk } = raw;
    raw.onTalk = (talk) => {
      onTalk(talk);
      const { onMessage } = talk;
      talk.onMessage = (message) => {
        if (message.type === 'G') lie(talk, message.number);
        else onMessage(message);
      };
    };
    join.push(raw.address);
  }
  const to = await lan.peer('receiver', { passive: true, multicast: false, join });
  const inbox = await lan.fresh('in');
  const outcome = await get(to, 'big.bin', inbox);
  t.deepEqual(outcome.codes, []);
  await assertContent(t, `${inbox}/big.bin`, BIG);
  const dropped = outcome.of('dropped').map(({ source }) => source.name);
  t.true(
    dropped.every((name) => name in lies),
    `${dropped}`,
  );
});

test.serial('sources that only sit there, more than are used at once, keep no honest one out', async (t) => {
  const lan = await Lan.make(t);
  const files = { 'big.bin': { data: BIG }, 'd/a': { data: Buffer.from('a') }, 'd/b': { data: Buffer.from('b') } };
  const mutes = await Promise.all(
    Array.from({ length: SOURCES_MAX + 4 }, (_, i) =>
      RawPeer.source(
        t,
        `mute ${i}`,
        files,
        () => {},
        () => undefined,
      ),
    ),
  );
  // The honest one is the youngest, so the last of all, and is heard of last.
  const from = await lan.peer('source', { files: { 'big.bin': BIG, 'd/a': 'a', 'd/b': 'b' }, multicast: false });
  await from.hashed('big.bin');
  await from.hashed('d/b');
  const wire = await Wire.to(t, from.peer.port);
  wire.stopAfter(0);
  const join = [...mutes.map(({ address }) => address), wire.address];
  const to = await lan.peer('receiver', { passive: true, multicast: false, join, wait: 20 });
  const inbox = await lan.fresh('in');
  const run = begin(to, ['big.bin', 'd/'], `${inbox}/`);
  await until(() => mutes.every(({ talks: [talk] }) => talk?.of('F').length === 2), 'all others are asked');
  wire.go();
  const outcome = await run.ended;
  t.deepEqual(outcome.codes, []);
  await assertContent(t, `${inbox}/big.bin`, BIG);
  t.deepEqual(await names(`${inbox}/d`), ['a', 'b']);
});

test.serial('a file that is said to be larger than any fails alone', async (t) => {
  const lan = await Lan.make(t);
  const size = (CHUNKS_MAX + 1) * 4 * MIB;
  const good = { data: Buffer.from('good') };
  const raw = await RawPeer.source(t, 'boaster', { 'd/huge': { data: good.data, offer: { size } }, 'd/good': good });
  const from = await lan.peer('source', { files: { 'd/good': good.data }, multicast: false });
  await from.hashed('d/good');
  const join = [raw.address, `127.0.0.1:${from.peer.port}`];
  const to = await lan.peer('receiver', { passive: true, multicast: false, join });
  const inbox = await lan.fresh('in');
  const outcome = await get(to, 'd/', `${inbox}/`);
  t.deepEqual(outcome.codes, ['limit']);
  t.deepEqual(await names(`${inbox}/d`), ['good']);
});

test.serial('a source that tells of thousands of receivers does not make us dial them all', async (t) => {
  const lan = await Lan.make(t);
  let dialled = 0;
  let under = 0;
  let most = 0;
  const counter = createServer((socket) => {
    dialled++;
    most = Math.max(most, ++under);
    socket.on('error', () => {});
    socket.once('close', () => under--);
    setTimeout(() => socket.destroy(), 20);
  });
  await new Promise<void>((resolve) => counter.listen(0, '127.0.0.1', resolve));
  t.teardown(() => counter.close());
  const address = counter.address();
  const at = `127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`;
  const heads = Array.from({ length: 2 * MET_MAX }, (_, i) => signedHead(`told ${i}`, 1));
  const raw = await RawPeer.source(t, 'gossip', { 'big.bin': { data: BIG } }, (talk, file, request) => {
    for (const { packed: head, sig } of heads) {
      talk.send({ type: 'W', number: request.number, peers: [{ head, sig, addresses: [at] }] });
    }
    serveHonestly(talk, file, request);
  });
  const to = await lan.peer('receiver', { passive: true, multicast: false, join: [raw.address] });
  const inbox = await lan.fresh('in');
  t.deepEqual((await get(to, 'big.bin', inbox)).codes, []);
  await assertContent(t, `${inbox}/big.bin`, BIG);
  t.true(dialled <= MET_MAX, `${dialled}`);
  t.true(most <= SOURCES_MAX, `${most}`);
});

test.serial('small files sent again and again are neither kept nor written again', async (t) => {
  const lan = await Lan.make(t);
  const data = content(200 * KIB, 7);
  const raw = new RawPeer(t, 'flood', false);
  const wanted = ['d/a', 'd/b', 'd/c'];
  raw.onTalk = (talk) => {
    talk.onMessage = (message) => {
      const { number } = message as { number: number };
      if (message.type === 'F') {
        const offers = wanted.map((path) => offerOf(path, { data }));
        talk.send({ type: 'I', number, offers, last: true, aside: false });
      }
      if (message.type !== 'S') return;
      const file = (place: number) => {
        const files = [{ place, code: '', id: idOf(data), size: data.length, mtime: 1, executable: false }];
        talk.send({ type: 'U', number, files, data });
      };
      // As fast as it is read: what waits with the sender is not what the receiver keeps.
      void (async () => {
        for (let i = 0; i < 1500; i++) {
          file(i % 2);
          if (talk.socket.writableNeedDrain) await once(talk.socket, 'drain');
        }
        file(2);
      })().catch(() => {});
    };
  };
  await raw.listen();
  const to = await lan.peer('receiver', { passive: true, multicast: false, join: [raw.address] });
  const before = process.memoryUsage().arrayBuffers;
  let grown = 0;
  const look = setInterval(() => {
    grown = Math.max(grown, process.memoryUsage().arrayBuffers - before);
  }, 5);
  t.teardown(() => clearInterval(look));
  const inbox = await lan.fresh('in');
  const outcome = await get(to, 'd/', `${inbox}/`);
  t.deepEqual(outcome.codes, []);
  t.is(outcome.done.length, 3);
  t.true(grown < UNWRITTEN_MAX * 4, `${grown}`);
});
