/** What the doctor's looks are made of: counting, connecting, and reading what a system says of its ports, neighbours and rules. */
import { createServer } from 'node:net';
import test from 'ava';
import { droppingChains } from '../../lib/drive/doctor-firewall.js';
import { cardFacts, type Listener } from '../../lib/drive/doctor-hearing.js';
import { knockAll } from '../../lib/drive/doctor-knock.js';
import { holderOf, inodesOf, neighboursOf } from '../../lib/drive/doctor-system.js';
import { HEARD_HOSTS_MAX } from '../../lib/limits.js';
import { type Card, type InterfaceTable, leftOut } from '../../lib/net/interfaces.js';
import { knock } from '../../lib/net/knock.js';
import { Traffic } from '../../lib/net/traffic.js';

test('what is said and heard is counted by address, of so many as there is room for', (t) => {
  const traffic = new Traffic();
  traffic.sent('10.1.0.2');
  traffic.sent('10.1.0.2');
  traffic.echoed('10.1.0.2');
  traffic.failed('10.1.0.3', 'EPERM');
  t.deepEqual(traffic.spoken('10.1.0.2'), { sent: 2, failed: 0, failure: '', echoed: 1 });
  t.deepEqual(traffic.spoken('10.1.0.3'), { sent: 0, failed: 1, failure: 'EPERM', echoed: 0 });
  t.is(traffic.spoken('10.1.0.4').sent, 0);
  for (let i = 0; i <= HEARD_HOSTS_MAX; i++) {
    traffic.heard('first', 'unicast', i);
    traffic.heard(`host ${i}`, 'multicast', i);
  }
  const hosts = new Map(traffic.hosts);
  t.is(hosts.size, HEARD_HOSTS_MAX);
  t.false(hosts.has('host 0'));
  t.deepEqual(hosts.get('first')?.unicast, { count: HEARD_HOSTS_MAX + 1, at: HEARD_HOSTS_MAX });
  t.like(hosts.get(`host ${HEARD_HOSTS_MAX}`), { multicast: { count: 1 }, broadcast: { count: 0 } });
});

test('connecting tells what is in the way', async (t) => {
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const card: Card = { name: 'lo', family: 4, address: '127.0.0.1', prefix: 8, internal: true, zone: '' };
  const targets = [
    { key: 'here', addresses: ['[::ffff:0:1]:1', `127.0.0.1:${port}`] },
    { key: 'nowhere', addresses: [] },
  ];
  const here = { port, code: '', card: undefined, answers: undefined, others: false };
  t.deepEqual([...(await knockAll(targets, [card]))], [['here', here]]);
  await new Promise((resolve) => server.close(resolve));
  t.is(await knock({ host: '127.0.0.1', port }, 1000), 'ECONNREFUSED');
});

test('who has a port', async (t) => {
  const table = [
    '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode',
    '   0: 0100007F:BA84 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0',
    '   1: 0100007F:BA84 0100007F:1234 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0',
    '   2: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0',
  ].join('\n');
  t.deepEqual(inodesOf(table, 47748, '0A'), ['4711']);
  t.deepEqual(inodesOf(table, 22, '0A'), ['4713']);
  t.deepEqual(inodesOf('', 22, '0A'), []);
  // Nobody can have port 0; oneself is not another.
  t.is(await holderOf('tcp', 0), undefined);
});

test('what came by a card is told from what its hosts were heard to say, and silence from not having listened', (t) => {
  const card: Card = { name: 'eth0', family: 4, address: '10.1.0.2', prefix: 24, internal: false, zone: '' };
  const six: Card = { ...card, family: 6, address: 'fe80::2', prefix: 64, zone: 'eth0' };
  const traffic = new Traffic();
  const peer = (name: string, address: string, via = 'multicast') => {
    return { id: name, name, addresses: [address], via } as ReturnType<Listener['known']>[number];
  };
  const ada = peer('ada', '10.1.0.7:47748');
  const now = performance.now();
  const looked = (cards: Card[], known = [ada], more: Partial<Listener> = {}) => {
    const listener: Listener = {
      settled: { passive: false },
      startedAt: now - 60_000,
      multicast: { traffic },
      links: { get: () => undefined },
      known: () => known,
      ...more,
    };
    return cardFacts(listener, cards, new Map(), known, now - 1000)[0];
  };
  traffic.heard('10.1.0.7', 'unicast', now);
  // What programs of this machine say is not what others do.
  traffic.heard('10.1.0.2', 'multicast', now);
  traffic.heard('10.9.0.2', 'multicast', now);
  const silent = { multicast: false, broadcast: false };
  t.like(looked([card]), { heardUnicast: 1, heardMulticast: 0, peers: 1, spoken: ['ada'], loud: silent, mute: [] });
  t.is(looked([card], [ada], { startedAt: now }).loud, undefined);
  t.deepEqual(looked([card], [peer('ada', '10.1.0.7:47748', 'broadcast')]).loud, { multicast: false, broadcast: true });
  t.like(looked([card], []), { peers: 0, spoken: [], loud: undefined, mute: [] });
  traffic.heard('fe80::7%eth0', 'unicast', now);
  const far = [peer('ada', '[fe80::7%eth0]:47748')];
  t.deepEqual(looked([six], far).loud, silent);
  t.is(looked([six], far, { settled: { passive: true } }).loud, undefined);
  // Heard long ago, a while ago, and now.
  traffic.heard('10.1.0.8', 'multicast', now - 40_000);
  t.deepEqual(looked([card]).loud, silent);
  traffic.heard('10.1.0.8', 'multicast', now - 16_000);
  t.is(looked([card]).loud, undefined);
  t.deepEqual(looked([card]).mute, []);
  traffic.heard('10.1.0.8', 'multicast', now);
  t.deepEqual(looked([card]).loud, { multicast: true, broadcast: false });
  t.deepEqual(looked([card]).mute, ['10.1.0.8']);
});

test('which neighbours answer', (t) => {
  const table = [
    'IP address       HW type     Flags       HW address            Mask     Device',
    '10.1.0.1         0x1         0x2         02:fc:00:00:00:05     *        eth0',
    '10.1.0.9         0x1         0x0         00:00:00:00:00:00     *        eth0',
    '',
  ].join('\n');
  t.deepEqual(
    [...neighboursOf(table)],
    [
      ['10.1.0.1', true],
      ['10.1.0.9', false],
    ],
  );
  t.deepEqual([...neighboursOf('')], []);
});

test('which chains of nftables drop something on the way in, or out', (t) => {
  const ruleset = `table inet lab {
	set hosts {
		type ipv4_addr
		elements = { 10.1.0.2 }
	}

	chain input {
		type filter hook input priority filter; policy accept;
		udp dport 47748 drop
	}

	chain count {
		type filter hook input priority filter; policy accept;
		counter packets 3 bytes 9
	}
}
table ip filter {
	chain INPUT {
		type filter hook input priority filter; policy drop;
		ct state established,related accept
	}

	chain OUTPUT {
		type filter hook output priority filter; policy accept;
		udp dport 47748 counter reject
	}

	chain mine {
		drop
	}
}
table ip nat {
	chain PREROUTING {
		type nat hook prerouting priority dstnat; policy accept;
		jump DOCKER
	}
}
`;
  t.deepEqual(droppingChains(ruleset, 'in'), [
    { table: 'inet lab', name: 'input' },
    { table: 'ip filter', name: 'INPUT' },
  ]);
  t.deepEqual(droppingChains(ruleset, 'out'), [{ table: 'ip filter', name: 'OUTPUT' }]);
  t.deepEqual(droppingChains('', 'in'), []);
});

test('cards that are left out: containers’ and tunnels’, but for those without an address of their own', (t) => {
  const one = (address: string, bits: number, internal = false) => ({
    ...(address.includes(':') ? { family: 'IPv6' as const, scopeid: 2 } : { family: 'IPv4' as const }),
    ...{ address, cidr: `${address}/${bits}`, internal, netmask: '', mac: '' },
  });
  const table = {
    lo: [one('127.0.0.1', 8, true)],
    eth0: [one('10.1.0.2', 24)],
    docker0: [one('fe80::1', 64), one('172.17.0.1', 16)],
    veth1: [one('fe80::2', 64)],
    wg0: [one('10.8.0.2', 24)],
    far0: [one('10.9.0.2', 32)],
  } as InterfaceTable;
  t.deepEqual(leftOut([], table), [
    { name: 'docker0', address: '172.17.0.1', tunnel: false },
    { name: 'wg0', address: '10.8.0.2', tunnel: true },
    { name: 'far0', address: '10.9.0.2', tunnel: true },
  ]);
  t.deepEqual(leftOut(['wg0'], table), []);
});
