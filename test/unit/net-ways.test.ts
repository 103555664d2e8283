/** By which cards and addresses everyone is spoken to, and that a card which comes or goes is followed. */
import test, { type ExecutionContext } from 'ava';
import { COPIES_MAX, DATAGRAM_MAX, DATAGRAM_MESSAGE_MAX, DATAGRAM_PLAIN_MAX } from '../../lib/limits.js';
import type { Card, InterfaceTable } from '../../lib/net/interfaces.js';
import { broadcastOf, outlets } from '../../lib/net/outlets.js';
import { SameLan } from '../../lib/net/same-lan.js';
import { SEAL_BYTES } from '../../lib/net/seal.js';
import { Multicast, type MulticastOptions } from '../../lib/net/udp.js';
import { decode, encode } from '../../lib/wire/codec.js';
import { freePort } from '../e2e/free-port.js';

const four = (name: string, address: string, prefix = 24): Card => {
  return { name, family: 4, address, prefix, internal: false, zone: '' };
};
const six = (name: string, address: string): Card => {
  return { name, family: 6, address, prefix: 64, internal: false, zone: address.startsWith('fe80') ? name : '' };
};
const LO: Card = { ...four('lo', '127.0.0.1', 8), internal: true };
const NONE: ReadonlySet<string> = new Set();
const shown = (cards: readonly Card[]) => cards.map(({ name, address }) => `${name} ${address}`);

test('the broadcast address of a network', (t) => {
  t.is(broadcastOf(four('a', '10.47.0.1')), '10.47.0.255');
  t.is(broadcastOf(four('a', '172.16.5.9', 20)), '172.16.15.255');
  t.is(broadcastOf(four('a', '192.168.1.129', 25)), '192.168.1.255');
  t.is(broadcastOf(four('a', '200.1.2.5', 30)), '200.1.2.7');
  t.is(broadcastOf(four('a', '10.0.0.1', 31)), undefined);
  t.is(broadcastOf(six('a', 'fe80::1')), undefined);
  t.is(broadcastOf(LO), undefined);
});

test('who is to be found is looked for everywhere; who is known is spoken to once', (t) => {
  const cards = [
    LO,
    four('eth0', '10.0.0.1'),
    four('eth0', '10.0.0.2'),
    four('eth0', '10.9.0.2'),
    six('eth0', 'fe80::1'),
  ];
  const more = [...cards, six('eth0', '2001:db8::1'), six('eth1', 'fe80::2'), four('eth2', '10.0.0.3')];
  t.deepEqual(shown(outlets(more, undefined, new Set(['eth2']))), [...shown(cards), 'eth1 fe80::2', 'eth2 10.0.0.3']);
  // IPv6 only where a card has nothing else, and a second address of one network not at all.
  const spare = ['lo 127.0.0.1', 'eth0 10.0.0.1', 'eth0 10.9.0.2'];
  t.deepEqual(shown(outlets(more, { six: [] }, new Set(['eth2']))), [...spare, 'eth1 fe80::2']);
  t.deepEqual(shown(outlets(more, { six: [] }, NONE)), [...spare, 'eth2 10.0.0.3', 'eth1 fe80::2']);
  // And where one is known who has nothing else.
  const both = ['eth0 fe80::1', 'eth1 fe80::2'];
  t.deepEqual(shown(outlets(more, { six: ['fe80::9%eth0'] }, new Set(['eth2']))), [...spare, ...both]);
  t.deepEqual(shown(outlets(more, { six: ['fe80::9%eth7'] }, new Set(['eth2']))), [...spare, 'eth1 fe80::2']);
  t.deepEqual(shown(outlets(more, { six: 'all' }, new Set(['eth2']))), [...spare, ...both]);
});

const CARDS = [four('eth0', '10.0.0.1'), four('eth1', '10.0.0.2'), four('wlan0', '10.7.0.1'), six('eth0', 'fe80::1')];
const word = (n: number) => Buffer.from(`a heartbeat with its signature ${n}`);

test('two cards are on one LAN where the same is heard by both', (t) => {
  const lan = new SameLan();
  const from = { host: '10.0.0.9', port: 5 };
  t.false(lan.heard(word(1), from, CARDS, 0));
  t.deepEqual([...lan.spared(1)], []);
  // And the copy need not be looked at.
  t.true(lan.heard(word(1), from, CARDS, 3));
  t.deepEqual([...lan.spared(4)], ['eth1']);
  // Until the cards change, or for a while.
  lan.forget();
  t.deepEqual([...lan.spared(5)], []);
  lan.heard(word(2), from, CARDS, 10);
  lan.heard(word(2), from, CARDS, 11);
  t.deepEqual([...lan.spared(599_000)], ['eth1']);
  t.deepEqual([...lan.spared(601_000)], []);
});

test('what is said twice, or comes twice by one card, shows nothing', (t) => {
  const lan = new SameLan();
  const from = { host: '10.0.0.9', port: 5 };
  lan.heard(word(1), from, CARDS, 0);
  lan.heard(word(1), from, CARDS, 100);
  lan.heard(word(2), from, CARDS, 100);
  lan.heard(word(2), { ...from, port: 6 }, CARDS, 100);
  lan.heard(word(3), { ...from, host: '10.0.0.8' }, CARDS, 100);
  lan.heard(word(3), from, CARDS, 100);
  const one = { host: '10.7.0.9', port: 5 };
  lan.heard(word(4), one, CARDS, 100);
  lan.heard(word(4), one, CARDS, 100);
  t.deepEqual([...lan.spared(101)], []);
});

test('by IPv6 it is the zones that tell', (t) => {
  const lan = new SameLan();
  const cards = [six('eth1', 'fe80::2'), six('eth0', 'fe80::1')];
  lan.heard(word(1), { host: 'fe80::9%eth0', port: 5 }, cards, 0);
  // By the other card it shows where else its sender is.
  t.false(lan.heard(word(1), { host: 'fe80::9%eth1', port: 5 }, cards, 1));
  t.deepEqual([...lan.spared(2)], ['eth1']);
});

test(`of at most ${COPIES_MAX} datagrams a copy is known`, (t) => {
  const lan = new SameLan();
  const from = { host: '10.0.0.9', port: 5 };
  for (let n = 0; n <= COPIES_MAX; n++) lan.heard(word(n), from, CARDS, 0);
  lan.heard(word(0), from, CARDS, 1);
  t.deepEqual([...lan.spared(2)], []);
  lan.heard(word(COPIES_MAX), from, CARDS, 1);
  t.deepEqual([...lan.spared(2)], ['eth1']);
});

test('the longest message fits a datagram when it is broadcast within another, and sealed', (t) => {
  const message = { type: 'u' as const, deaf: true, message: new Uint8Array(DATAGRAM_MESSAGE_MAX) };
  const longest = encode(message);
  t.is(longest.length, DATAGRAM_PLAIN_MAX);
  t.is(longest.length + SEAL_BYTES, DATAGRAM_MAX);
  t.deepEqual(decode(longest, 'udp'), message);
  t.throws(() => decode(encode({ ...message, message: new Uint8Array(DATAGRAM_MESSAGE_MAX + 1) }), 'udp'));
});

/** A Multicast whose card is loopback, taken for one that has others behind it. */
async function open(t: ExecutionContext, options: Partial<MulticastOptions> & { port: number }) {
  const heard: [string, boolean][] = [];
  const multicast = await Multicast.open({
    group: '239.255.47.48',
    enabled: true,
    cards: () => [{ ...LO, internal: false }],
    onDatagram: (data, _, all) => heard.push([data.toString(), all]),
    onWarning: (message) => t.fail(message),
    ...options,
  });
  t.teardown(() => multicast.close());
  const until = async (count: number) => {
    while (heard.length < count) await new Promise((resolve) => setTimeout(resolve, 2));
  };
  return { multicast, heard, until };
}

test('a broadcast reaches the others in its network, not oneself, nor those who want none', async (t) => {
  if (process.platform !== 'linux') {
    t.pass('loopback has a broadcast address on Linux alone');
    return;
  }
  const port = await freePort();
  const [a, b, off] = [await open(t, { port }), await open(t, { port }), await open(t, { port, enabled: false })];
  // Asked for each card: what is sealed must not be the same twice.
  a.multicast.broadcast(() => Buffer.from('all'));
  await b.until(1);
  a.multicast.broadcast(Buffer.from('nobody is there'), ['10.1.1.1']);
  a.multicast.broadcast(Buffer.from('near'), ['10.1.1.1', '127.9.9.9']);
  off.multicast.broadcast(Buffer.from('unsaid'));
  await b.until(2);
  a.multicast.send(Buffer.from('last'));
  await b.until(3);
  t.deepEqual(b.heard, [
    ['all', true],
    ['near', true],
    ['last', true],
  ]);
  t.deepEqual([a.heard, off.heard], [[], []]);
});

const TABLE: InterfaceTable = {
  lo: [{ ...LO, cidr: '127.0.0.1/8', netmask: '', mac: '', family: 'IPv4' as const }],
};

test('a card that comes while the first are opened is followed', async (t) => {
  let table: InterfaceTable = {};
  let cards: Card[] = [];
  let tell = (_: string[]) => {};
  const changed = new Promise<string[]>((resolve) => {
    tell = resolve;
  });
  const { multicast } = await open(t, {
    port: await freePort(),
    cards: () => {
      const seen = cards;
      // Just after it was looked, and never again.
      cards = [LO];
      table = TABLE;
      return seen;
    },
    look: () => table,
    lookMs: 5,
    onChange: () => tell(multicast.addresses()),
  });
  const hold = setInterval(() => {}, 1000);
  t.deepEqual(await changed, ['127.0.0.1']);
  clearInterval(hold);
});
