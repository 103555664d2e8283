import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import test, { type ExecutionContext } from 'ava';
import { HearsayError } from '../../lib/errors.js';
import { DATAGRAM_MAX, DATAGRAM_QUEUE_MAX } from '../../lib/limits.js';
import { DatagramQueue, type UdpAddress } from '../../lib/net/datagrams.js';
import {
  type Card,
  hostOf,
  type InterfaceTable,
  isOnLink,
  presentInterfaces,
  usableInterfaces,
  watchInterfaces,
} from '../../lib/net/interfaces.js';
import { udpSocket } from '../../lib/net/socket.js';
import { ipv6Group, Multicast, type MulticastOptions } from '../../lib/net/udp.js';
import { freePort } from '../e2e/free-port.js';

const LO: Card = { name: 'lo', family: 4, address: '127.0.0.1', prefix: 8, internal: true, zone: '' };

async function bound(t: ExecutionContext, address: string, reuseAddr = false): Promise<Socket> {
  const socket = createSocket({ type: 'udp4', reuseAddr });
  t.teardown(() => void socket.close());
  socket.bind(0, address);
  await once(socket, 'listening');
  return socket;
}

interface Heard {
  text: string;
  from: UdpAddress;
  multicast: boolean;
}

/** A Multicast on loopback that collects what it hears, and can be waited on. */
class Ear {
  readonly heard: Heard[] = [];
  readonly warnings: string[] = [];
  multicast!: Multicast;
  #wake: (() => void) | undefined;

  static async open(t: ExecutionContext, options: Partial<MulticastOptions> & { port: number }): Promise<Ear> {
    const ear = new Ear();
    ear.multicast = await Multicast.open({
      group: '239.255.47.48',
      enabled: true,
      cards: () => [LO],
      onDatagram: (data, from, multicast) => {
        ear.heard.push({ text: data.toString(), from, multicast });
        ear.#wake?.();
      },
      onWarning: (message) => ear.warnings.push(message),
      ...options,
    });
    t.teardown(() => ear.multicast.close());
    return ear;
  }

  async next(text: string): Promise<Heard> {
    for (;;) {
      const found = this.heard.find((heard) => heard.text === text);
      if (found) return found;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

test('multicast reaches the other peers of one machine, not oneself, and is answered by unicast', async (t) => {
  const port = await freePort();
  const [a, b, c] = await Promise.all([Ear.open(t, { port }), Ear.open(t, { port }), Ear.open(t, { port })]);
  a.multicast.send(Buffer.from('hello'));
  const [atB, atC] = await Promise.all([b.next('hello'), c.next('hello')]);
  t.true(atB.multicast && atC.multicast);
  t.is(atB.from.host, '127.0.0.1');
  b.multicast.reply(Buffer.from('answer'), atB.from);
  const answer = await a.next('answer');
  t.false(answer.multicast);
  // An answer to that comes from where it came to.
  t.is(answer.from.at, '127.0.0.1');
  a.multicast.reply(Buffer.from('and back'), answer.from);
  t.is((await b.next('and back')).from.port, atB.from.port);
  t.deepEqual(
    a.heard.map(({ text }) => text),
    ['answer'],
  );
  t.deepEqual(c.heard.length, 1);
});

test('two groups on one port do not meet', async (t) => {
  const port = await freePort();
  const [a, b, other] = await Promise.all([
    Ear.open(t, { port }),
    Ear.open(t, { port }),
    Ear.open(t, { port, group: '239.255.47.49' }),
  ]);
  other.multicast.send(Buffer.from('elsewhere'));
  a.multicast.send(Buffer.from('here'));
  await b.next('here');
  t.deepEqual(
    b.heard.map(({ text }) => text),
    ['here'],
  );
  t.deepEqual(other.heard, []);
});

test('without multicast nothing is sent or heard, but unicast works', async (t) => {
  const port = await freePort();
  const off = await Ear.open(t, { port, enabled: false });
  const [a, b] = await Promise.all([Ear.open(t, { port }), Ear.open(t, { port })]);
  off.multicast.send(Buffer.from('unsaid'));
  a.multicast.send(Buffer.from('hello'));
  await b.next('hello');
  t.deepEqual([off.heard, a.heard.length, b.heard.length], [[], 0, 1]);
  const target = await bound(t, '127.0.0.1');
  off.multicast.reply(Buffer.from('direct'), { host: '127.0.0.1', port: target.address().port });
  const [data] = await once(target, 'message');
  t.is(String(data), 'direct');
});

test('a port that another program holds is warned of once, and sending goes on', async (t) => {
  const holder = await bound(t, '0.0.0.0');
  const { port } = holder.address();
  const ear = await Ear.open(t, { port });
  await ear.multicast.refresh();
  t.is(ear.warnings.length, 1);
  t.regex(ear.warnings[0], /^port-taken: .*--multicast/);
  const target = await bound(t, '127.0.0.1');
  ear.multicast.reply(Buffer.from('still here'), { host: '127.0.0.1', port: target.address().port });
  const [data] = await once(target, 'message');
  t.is(String(data), 'still here');
});

test('refresh joins a card that came and leaves one that went', async (t) => {
  const port = await freePort();
  let cards: Card[] = [];
  const late = await Ear.open(t, { port, cards: () => cards });
  const early = await Ear.open(t, { port });
  t.deepEqual(late.multicast.addresses(), []);
  cards = [LO];
  t.true(await late.multicast.refresh());
  t.false(await late.multicast.refresh());
  t.deepEqual(late.multicast.addresses(), ['127.0.0.1']);
  early.multicast.send(Buffer.from('one'));
  await late.next('one');
  late.multicast.send(Buffer.from('two'));
  await early.next('two');
  cards = [];
  t.true(await late.multicast.refresh());
  const third = await Ear.open(t, { port });
  late.multicast.send(Buffer.from('into nothing'));
  early.multicast.send(Buffer.from('three'));
  await third.next('three');
  t.deepEqual(
    late.heard.map(({ text }) => text),
    ['one'],
  );
  t.deepEqual(
    third.heard.map(({ text }) => text),
    ['three'],
  );
});

test('an address that has gone neither throws nor keeps the others from working', async (t) => {
  const port = await freePort();
  const gone: Card = { name: 'gone0', family: 4, address: '203.0.113.77', prefix: 24, internal: false, zone: '' };
  const a = await Ear.open(t, { port, cards: () => [gone, LO] });
  const b = await Ear.open(t, { port });
  a.multicast.send(Buffer.from('hello'));
  await b.next('hello');
  a.multicast.reply(Buffer.from('x'), { host: 'fe80::1%nosuch', port: 9 });
  t.deepEqual(a.warnings, []);
});

test('close ends everything, twice too, and nothing is handed on afterwards', async (t) => {
  const port = await freePort();
  const [a, b] = await Promise.all([Ear.open(t, { port }), Ear.open(t, { port })]);
  await Promise.all([a.multicast.close(), a.multicast.close()]);
  await a.multicast.close();
  b.multicast.send(Buffer.from('late'));
  a.multicast.send(Buffer.from('later'));
  a.multicast.reply(Buffer.from('later'), { host: '127.0.0.1', port });
  t.false(await a.multicast.refresh());
  await b.multicast.close();
  t.deepEqual([a.heard, b.heard], [[], []]);
});

test('the queue is bounded, lets other work pass, and drops what is too long', async (t) => {
  const turns: number[] = [];
  let inTurn = 0;
  let handled = 0;
  const queue = new DatagramQueue(() => {
    inTurn++;
    handled++;
  });
  const from = { host: '192.0.2.1', port: 1 };
  for (let i = 0; i < DATAGRAM_QUEUE_MAX + 10; i++) queue.push(Buffer.alloc(1), from, true);
  queue.push(Buffer.alloc(DATAGRAM_MAX + 1), from, true);
  t.deepEqual(queue.counters, { received: DATAGRAM_QUEUE_MAX + 11, overflow: 10, oversize: 1 });
  while (handled < DATAGRAM_QUEUE_MAX) {
    await new Promise((resolve) => setImmediate(resolve));
    turns.push(inTurn);
    inTurn = 0;
  }
  t.true(Math.max(...turns) <= 64, `${turns}`);
  queue.push(Buffer.alloc(1), from, true);
  queue.close();
  await new Promise((resolve) => setImmediate(resolve));
  t.is(handled, DATAGRAM_QUEUE_MAX);
});

test('a socket that fails after it was bound says so; one that cannot be bound only rejects', async (t) => {
  let lost = 0;
  const make = () => udpSocket({ family: 4, shared: false, onDatagram: () => {}, onError: () => lost++ });
  const socket = make();
  const { port } = await socket.bind(0, '127.0.0.1');
  const second = make();
  await t.throwsAsync(second.bind(port, '127.0.0.1'), { code: 'EADDRINUSE' });
  t.is(lost, 0);
  socket.socket.emit('error', new Error('broken'));
  t.is(lost, 1);
  await socket.close();
  await second.close();
});

const v4 = (address: string, bits: number, internal = false) => ({
  address,
  netmask: '',
  mac: '00:00:00:00:00:00',
  internal,
  cidr: `${address}/${bits}`,
  family: 'IPv4' as const,
});
const v6 = (address: string, bits: number, scopeid: number, internal = false) => ({
  ...v4(address, bits, internal),
  family: 'IPv6' as const,
  scopeid,
});
const MACHINE: InterfaceTable = {
  lo: [v4('127.0.0.1', 8, true), v6('::1', 128, 0, true)],
  eth0: [
    v4('192.0.2.5', 24),
    v4('198.51.100.9', 32),
    v4('198.51.100.10', 31),
    v6('2001:db8::5', 64, 0),
    v6('fe80::5', 64, 2),
  ],
  docker0: [v4('172.17.0.1', 16)],
  'br-12ab': [v4('172.18.0.1', 16)],
  veth12: [v6('fe80::9', 64, 7)],
  wg0: [v4('10.8.0.2', 24)],
  tailscale0: [v4('100.64.0.3', 10)],
};

test('bridges, tunnels and point-to-point addresses are left out unless named', (t) => {
  t.deepEqual(
    usableInterfaces([], MACHINE).map((card) => `${card.name} ${card.address}`),
    ['lo 127.0.0.1', 'eth0 192.0.2.5', 'eth0 2001:db8::5', 'eth0 fe80::5'],
  );
  t.deepEqual(
    usableInterfaces(['wg0'], MACHINE).map((card) => card.address),
    ['10.8.0.2'],
  );
  t.true(usableInterfaces(['eth0'], MACHINE).some((card) => card.address === '198.51.100.9'));
  const error = t.throws(() => usableInterfaces(['eth7'], MACHINE), { instanceOf: HearsayError });
  t.is(error.code, 'usage');
  t.regex(error.message, /eth7.*br-12ab, docker0, eth0/);
  t.deepEqual(presentInterfaces(['eth7'], MACHINE), []);
});

test('a link-local address has its zone', (t) => {
  const card = usableInterfaces(['eth0'], MACHINE).find(({ address }) => address === 'fe80::5')!;
  t.is(hostOf(card), process.platform === 'win32' ? 'fe80::5%2' : 'fe80::5%eth0');
});

test('an address is on the link of a card by its prefix and zone', (t) => {
  const card: Card = { name: 'e', family: 4, address: '10.1.2.3', prefix: 20, internal: false, zone: '' };
  t.true(isOnLink(card, '10.1.15.255'));
  t.false(isOnLink(card, '10.1.16.0'));
  t.false(isOnLink(card, '::ffff:10.1.2.4'));
  const six: Card = { ...card, family: 6, address: '2001:db8:0:1::5', prefix: 64 };
  t.true(isOnLink(six, '2001:db8:0:1:ffff::'));
  t.false(isOnLink(six, '2001:db8:0:2::5'));
  t.true(isOnLink({ ...six, address: '::ffff:10.1.2.4', prefix: 112 }, '::ffff:10.1.9.9'));
  const local: Card = { ...six, address: 'fe80::1', zone: 'eth0' };
  t.true(isOnLink(local, 'fe80::2%eth0'));
  t.false(isOnLink(local, 'fe80::2%eth1'));
  t.false(isOnLink(local, 'fe80::2'));
  t.false(isOnLink(card, 'nonsense'));
});

test('the IPv6 group follows from the IPv4 group', (t) => {
  t.is(ipv6Group('239.255.47.48'), 'ff12::4853:efff:2f30');
  t.not(ipv6Group('239.255.47.48'), ipv6Group('239.255.47.49'));
});

test('a change of the cards is noticed, sameness is not', async (t) => {
  let table = MACHINE;
  let looks = 0;
  const changed = new Promise<number>((resolve) => {
    const stop = watchInterfaces(
      () => {
        stop();
        resolve(looks);
      },
      1,
      () => {
        if (++looks === 4) table = { ...MACHINE, eth1: [v4('10.0.0.1', 24)] };
        return table;
      },
    );
  });
  const hold = setInterval(() => {}, 1000);
  t.is(await changed, 4);
  clearInterval(hold);
});
