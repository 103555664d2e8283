/** Bounds of the net floor, each reached: what happens there, and that the others stay served. */
import { connect, Server, Socket } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import type { HearsayError } from '../../lib/errors.js';
import { FairQueue } from '../../lib/fair-queue.js';
import {
  BLOCK,
  CONNECTIONS_MAX,
  CONNECTIONS_PER_ADDRESS_MAX,
  DATAGRAM_QUEUE_MAX,
  DIALS_AT_ONCE_MAX,
  HALF_OPEN_MAX,
  HALF_OPEN_PER_ADDRESS_MAX,
  HANDSHAKES_PER_SECOND,
  READY_MAX,
  SEAL_HOSTS_MAX,
  SEAL_SENDERS_MAX,
  SEND_QUEUE_CUT,
  SEND_QUEUE_MAX,
  SEND_QUEUES_MAX,
  SEND_STALL_MS,
  STRANGERS_MAX,
  TRACKER_CONNECTIONS_MAX,
  TRACKER_CONNECTIONS_PER_ADDRESS_MAX,
} from '../../lib/limits.js';
import { DatagramQueue } from '../../lib/net/datagrams.js';
import { Doorway } from '../../lib/net/doorway.js';
import { openGroup } from '../../lib/net/group-keys.js';
import { identityOf, newPrivateKey, verifySignature } from '../../lib/net/keys.js';
import { Links, type LinksMost, TRACKER_MOST } from '../../lib/net/links.js';
import { Sealer } from '../../lib/net/seal.js';
import { Strangers } from '../../lib/net/strangers.js';
import { tlsTransport } from '../../lib/net/transport.js';
import { until } from '../e2e/lan.js';
import { RawPeer } from '../e2e/raw.js';
import { FarEnd, signedHead } from './bounds-link.js';

const onLinux = process.platform === 'linux' ? test : test.skip;

test('a fair queue takes one of each in turn, and keeps nobody without anything', (t) => {
  const queue = new FairQueue<number>();
  for (const n of [1, 2, 3]) queue.add('a', n);
  queue.add('b', 4);
  queue.add('c', 5);
  t.is(queue.size, 5);
  t.is(
    queue.take((owner) => owner !== 'a'),
    4,
  );
  t.deepEqual([queue.take(), queue.take(), queue.take(), queue.take(), queue.take()], [1, 5, 2, 3, undefined]);
  t.false(queue.has('a'));
  t.is(queue.size, 0);
});

test('a flood of datagrams from one host, or from invented ones, keeps nobody else unheard', async (t) => {
  const heard: string[] = [];
  const queue = new DatagramQueue((_, { host }) => heard.push(host));
  const data = Buffer.alloc(1);
  const say = (host: string) => queue.push(data, { host, port: 1 }, true);
  for (let i = 0; i < 20_000; i++) say('10.0.0.66');
  for (let i = 0; i < 3; i++) say('10.0.0.2');
  t.is(queue.counters.overflow, 20_000 - DATAGRAM_QUEUE_MAX + 3, 'the first of the other pushed one out');
  say('10.0.0.3');
  await until(() => heard.length === DATAGRAM_QUEUE_MAX, 'all are handled');
  t.true(heard.indexOf('10.0.0.2') < 3 && heard.indexOf('10.0.0.3') < 4, 'in turn, not behind the flood');
  // Every one from another address: the oldest go.
  for (let i = 0; i < 3 * DATAGRAM_QUEUE_MAX; i++) say(`10.1.${i >> 8}.${i & 255}`);
  say('10.0.0.2');
  await until(() => heard.length === 2 * DATAGRAM_QUEUE_MAX, 'all are handled');
  t.is(heard.at(-1), '10.0.0.2');
  queue.close();
});

/** Sockets that nobody is at the other end of. */
function sockets(t: ExecutionContext, count: number): Socket[] {
  const all = Array.from({ length: count }, () => new Socket());
  t.teardown(() => {
    for (const socket of all) socket.destroy();
  });
  return all;
}

test('a doorway that is full turns away who has most in it', (t) => {
  const doorway = new Doorway();
  const [honest, ...flood] = sockets(t, HALF_OPEN_MAX + 40);
  doorway.enter(honest, 'honest');
  const hosts = HALF_OPEN_MAX / HALF_OPEN_PER_ADDRESS_MAX;
  flood.forEach((socket, i) => {
    doorway.enter(socket, `flood ${i % (2 * hosts)}`);
  });
  t.is(doorway.size, HALF_OPEN_MAX);
  t.false(honest.destroyed);
  t.is(flood.filter((socket) => !socket.destroyed).length, HALF_OPEN_MAX - 1);
  doorway.clear();
  const more = sockets(t, 2 * HALF_OPEN_PER_ADDRESS_MAX);
  for (const socket of more) doorway.enter(socket, 'one');
  t.is(more.filter((socket) => !socket.destroyed).length, HALF_OPEN_PER_ADDRESS_MAX);
  doorway.clear();
  t.is(doorway.size, 0);
});

/** A socket that has said something, or nothing at all. */
function guest(said: string): Socket {
  const socket = new Socket();
  if (said !== '') socket.push(said);
  return socket;
}

test('only so many handshakes begin in a second, addresses in turn, and none for one that is silent', async (t) => {
  const doorway = new Doorway(HALF_OPEN_MAX, HALF_OPEN_MAX, 5);
  t.teardown(() => doorway.clear());
  const begun: string[] = [];
  const come = (host: string, said = 'hello') => {
    const socket = guest(said);
    t.teardown(() => socket.destroy());
    doorway.enter(socket, host);
    doorway.turn(socket, host).then(
      () => begun.push(host),
      () => begun.push(`${host} gone`),
    );
    return socket;
  };
  const silent = come('silent', '');
  for (let i = 0; i < 30; i++) come('flood');
  come('honest');
  await until(() => begun.length >= 6, 'six have begun');
  t.true(begun.indexOf('honest') <= 6, `${begun}`);
  t.true(begun.length < 10, 'as many as in a second at once, then in their time');
  t.false(begun.includes('silent'));
  silent.destroy();
  await until(() => begun.includes('silent gone'), 'who waits for it is told');
  t.true(HANDSHAKES_PER_SECOND >= HALF_OPEN_PER_ADDRESS_MAX, 'a host whose one-shots begin at once waits no second');
});

/** A listener, and how many links it has. */
async function listener(t: ExecutionContext, most: Partial<LinksMost> = {}) {
  const { identity, packed, sig } = signedHead('listener');
  const closed: string[] = [];
  const limits = { connections: CONNECTIONS_MAX, perAddress: CONNECTIONS_PER_ADDRESS_MAX, dials: DIALS_AT_ONCE_MAX };
  const links = new Links(
    { identity, instance: new Uint8Array(8), hello: () => ({ head: packed, sig }) },
    tlsTransport(openGroup()),
    {
      opened: () => {},
      message: () => {},
      heard: () => {},
      closed: (link, why) => closed.push(`${link.peer} ${why.code}`),
    },
    { ...limits, ...most },
  );
  await links.listen(0, 0);
  t.teardown(() => links.close());
  return { links, closed };
}

/** A peer with a connection that the listener has taken in. */
async function dial(t: ExecutionContext, links: Links, from?: string) {
  const raw = new RawPeer(t, 'raw', true);
  const talk = await raw.dial(links.port, from);
  await until(() => links.get(raw.id) || talk.closed, 'it is taken in');
  return { raw, talk };
}

onLinux('where there are as many connections as may be, one of the address with most gives way', async (t) => {
  const { links, closed } = await listener(t, { connections: 8 });
  const honest = await dial(t, links, '127.0.0.2');
  for (let i = 0; i < 30; i++) await dial(t, links, `127.0.0.${10 + (i % 3)}`);
  await until(() => closed.length === 23, 'others gave way');
  t.is([...links.all].length, 8);
  t.true(links.get(honest.raw.id)?.open);
  t.true(closed.every((line) => line.endsWith(' limit')));
  // A newcomer gets in although all places are taken, and we can dial too.
  const newcomer = await dial(t, links, '127.0.0.3');
  t.true(links.get(newcomer.raw.id)?.open);
  const far = new RawPeer(t, 'far', false);
  await far.listen();
  const [host, port] = far.address.split(':');
  t.true((await links.dial({ host, port: Number(port) })).open);
  t.is([...links.all].length, 8);
});

onLinux('where every connection is of another address, the one used longest ago gives way', async (t) => {
  const { links } = await listener(t, { connections: 5 });
  const first = await dial(t, links, '127.0.0.2');
  for (let i = 0; i < 20; i++) {
    const since = performance.now();
    first.talk.send({ type: 'X', number: 1 });
    await until(() => (links.get(first.raw.id)?.usedAt ?? 0) > since, 'it is used');
    await dial(t, links, `127.0.0.${10 + i}`);
  }
  t.is([...links.all].length, 5);
  t.true(links.get(first.raw.id)?.open);
});

onLinux('one address has only so many connections; others come in', async (t) => {
  const { links } = await listener(t, { perAddress: 3 });
  for (let i = 0; i < 3; i++) await dial(t, links);
  await t.throwsAsync(new RawPeer(t, 'raw', true).dial(links.port));
  const other = await dial(t, links, '127.0.0.2');
  t.true(links.get(other.raw.id)?.open);
  t.is([...links.all].length, 4);
});

onLinux('a tracker has room for more, of one address too', async (t) => {
  const { connections, perAddress } = TRACKER_MOST;
  t.deepEqual([connections, perAddress], [TRACKER_CONNECTIONS_MAX, TRACKER_CONNECTIONS_PER_ADDRESS_MAX]);
  const { links } = await listener(t, TRACKER_MOST);
  for (let i = 0; i < CONNECTIONS_PER_ADDRESS_MAX + 10; i++) await dial(t, links);
  t.is([...links.all].length, CONNECTIONS_PER_ADDRESS_MAX + 10);
});

test('no more than so many dials are under way', async (t) => {
  const { links } = await listener(t, { dials: 4 });
  // One that accepts and then says nothing.
  const mute = new Server((socket) => {
    socket.on('error', () => {});
    t.teardown(() => socket.destroy());
  });
  await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
  t.teardown(() => mute.close());
  const address = mute.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const dials = Array.from({ length: 10 }, () => links.dial({ host: '127.0.0.1', port }).catch((thrown) => thrown));
  const [, , , , fifth] = dials;
  t.like(await fifth, { code: 'limit' });
  await links.close();
  const ends = await Promise.all(dials);
  t.is(ends.filter(({ code }: HearsayError) => code === 'limit').length, 6);
});

test('a link takes no more than its part of what all may have queued', (t) => {
  for (const [room, most] of [
    [undefined, SEND_QUEUE_MAX],
    [() => SEND_QUEUES_MAX, SEND_QUEUE_MAX],
    [() => SEND_QUEUES_MAX / CONNECTIONS_MAX, SEND_QUEUES_MAX / CONNECTIONS_MAX],
    [() => SEND_QUEUES_MAX / TRACKER_CONNECTIONS_MAX, SEND_QUEUES_MAX / TRACKER_CONNECTIONS_MAX],
    [() => 0, SEND_QUEUES_MAX / TRACKER_CONNECTIONS_MAX],
  ] as const) {
    const far = new FarEnd('10.0.0.2', room ? { room } : {});
    far.hold();
    const data = Buffer.alloc(BLOCK);
    let sent = 0;
    while (far.link.writable) {
      far.link.send({ type: 'T', number: 1, block: 0, hash: new Uint8Array(0), data });
      sent += BLOCK;
    }
    t.true(sent >= most && sent <= most + BLOCK, `${sent} of ${most}`);
    t.is(far.ended, undefined);
  }
});

test('who does not read at all is cut off, and what waits for him to read goes on', async (t) => {
  const far = new FarEnd();
  far.hold();
  const data = Buffer.alloc(BLOCK);
  let sent = 0;
  while (far.link.open && sent < 2 * SEND_QUEUE_CUT) {
    far.link.send({ type: 'T', number: 1, block: 0, hash: new Uint8Array(0), data });
    sent += BLOCK;
  }
  t.is(far.ended?.code, 'limit');
  t.true(sent >= SEND_QUEUE_CUT && sent <= SEND_QUEUE_CUT + 2 * BLOCK);
  await far.link.whenWritable();
  t.true(SEND_QUEUE_CUT > SEND_QUEUE_MAX);
});

test('who takes nothing for too long is stalled; who takes a little is not', async (t) => {
  const far = new FarEnd();
  const say = () => far.link.send({ type: 'N', peers: [] });
  // What one turn of the loop says leaves at its end.
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  say();
  await turn();
  const now = performance.now();
  t.false(far.link.isStalled(now + 2 * SEND_STALL_MS), 'nothing waits for it');
  far.hold();
  say();
  await turn();
  t.false(far.link.isStalled(now + SEND_STALL_MS - 1000));
  t.true(far.link.isStalled(performance.now() + SEND_STALL_MS + 1));
  await far.release();
  t.false(far.link.isStalled(performance.now() + SEND_STALL_MS + 1));
});

test('keys beyond those kept ready are verified all the same', (t) => {
  const statement = Buffer.from('statement');
  const identity = identityOf(newPrivateKey(), 1);
  const sig = identity.sign(statement);
  t.true(verifySignature(identity.key, statement, sig));
  for (let i = 0; i < READY_MAX + 10; i++) {
    const key = new Uint8Array(32);
    new DataView(key.buffer).setUint32(0, i);
    verifySignature(key, statement, sig);
  }
  t.true(verifySignature(identity.key, statement, sig));
});

test('hosts of other groups are remembered up to a number, the latest of them', (t) => {
  const strangers = new Strangers();
  for (let i = 0; i < 10 * STRANGERS_MAX; i++) strangers.note('sealed', `10.0.${i >> 8}.${i & 255}`, i);
  t.deepEqual(strangers.count(10 * STRANGERS_MAX), { sealed: STRANGERS_MAX, open: 0 });
});

test('senders and hosts of sealed datagrams are remembered up to a number, and who is forgotten is heard again', (t) => {
  const key = Buffer.alloc(32, 7);
  let salts = 0;
  const random = (bytes: number) => {
    const salt = Buffer.alloc(bytes);
    salt.writeUInt32BE(++salts);
    return salt;
  };
  const receiver = new Sealer(key, random);
  const first = new Sealer(key, random);
  const plain = Buffer.from('plain');
  let now = 0;
  const hear = (sealer: Sealer, host: string) => {
    now += 100;
    return receiver.open(sealer.seal(plain), host, now);
  };
  t.deepEqual(hear(first, '10.0.0.2'), plain);
  for (let i = 0; i < SEAL_SENDERS_MAX + 10; i++) hear(new Sealer(key, random), `10.1.${i >> 8}.${i & 255}`);
  t.is(receiver.counters.limited, 0, 'each is heard, however many there are');
  t.deepEqual(hear(first, '10.0.0.2'), plain);
  t.true(SEAL_SENDERS_MAX >= SEAL_HOSTS_MAX, 'more hosts than are counted have spoken');
});

test('connections that are destroyed early leave nothing behind', async (t) => {
  const { links } = await listener(t);
  const all = Array.from({ length: 50 }, () => connect(links.port, '127.0.0.1'));
  for (const socket of all) {
    socket.on('error', () => {});
    socket.once('connect', () => socket.end('x'));
  }
  await until(() => all.every((socket) => socket.destroyed || socket.readyState !== 'open'), 'all have ended');
  t.is([...links.all].length, 0);
  const { raw } = await dial(t, links);
  t.true(links.get(raw.id)?.open);
});
