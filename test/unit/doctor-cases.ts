/** What the doctor may see, case by case, and what is the matter then. Used by doctor.test.ts. */
import type { CardFacts, Facts, Knock } from '../../lib/drive/doctor-facts.js';
import { HearsayError } from '../../lib/errors.js';

const LO: CardFacts = {
  name: 'lo',
  internal: true,
  addresses: ['127.0.0.1'],
  sent: 3,
  echoed: 3,
  heardMulticast: 0,
  heardBroadcast: 0,
  heardUnicast: 0,
  peers: 0,
  echo: { 4: { sent: 3, echoed: 3, failure: '' } },
  loud: undefined,
  spoken: [],
  mute: [],
};

const ETH: CardFacts = {
  ...LO,
  name: 'eth0',
  internal: false,
  addresses: ['10.1.0.2', 'fe80::2%eth0'],
  sent: 9,
  echoed: 6,
  heardMulticast: 20,
  heardUnicast: 4,
  peers: 2,
  echo: { 4: { sent: 3, echoed: 3, failure: '' }, 6: { sent: 3, echoed: 3, failure: '' } },
  loud: { multicast: true, broadcast: false },
  spoken: ['ada', 'bob'],
};

/** Everything is well. */
export const WELL: Facts = {
  platform: 'linux',
  cards: [ETH, LO],
  leftOut: [],
  multicast: true,
  groupPort: 47748,
  udpTaken: undefined,
  port: 47748,
  tcpTaken: undefined,
  callers: { asked: 0, came: 1 },
  firewallIn: undefined,
  firewallOut: undefined,
  joins: [],
  unjoined: new Map(),
  trackers: [],
  reachable: undefined,
  others: 2,
  tried: [
    { id: 'A', name: 'ada' },
    { id: 'B', name: 'bob' },
  ],
  remembered: [],
  knocks: new Map(),
  listened: 1000,
  whyNobody: 'no peer answered in the open group',
  strangers: { sealed: 0, open: 0 },
  clock: { now: Date.UTC(2026, 5, 1), set: 0, dated: 2, ahead: 0 },
};
const ALONE: Partial<Facts> = { others: 0, tried: [], callers: { asked: 0, came: 0 } };

const eth = (more: Partial<CardFacts>): Partial<Facts> => ({ cards: [{ ...ETH, ...more }, LO] });
const SILENT = { sent: 3, echoed: 0, failure: '' };
const forbidden = (failure: string) => ({ 4: { sent: 0, echoed: 0, failure } });
const FIREWALL = { name: 'ufw', command: 'sudo ufw allow 47748' };

export const knock = (more: Partial<Knock>): Knock => {
  return { port: 47748, code: 'ETIMEDOUT', card: 'eth0', answers: undefined, others: false, ...more };
};
const joining = (more: Partial<Knock>): Partial<Facts> => ({
  joins: ['10.1.0.9:47748'],
  unjoined: new Map([['10.1.0.9:47748', new HearsayError('unreachable', 'no answer')]]),
  knocks: new Map([['10.1.0.9:47748', knock(more)]]),
});
const before = (more: Partial<Knock>): Partial<Facts> => ({
  ...ALONE,
  remembered: [{ id: 'A', name: 'ada' }],
  knocks: new Map([['A', knock(more)]]),
});

/** Facts, and what is found in them that is not well: level, cause, and of what the words or what mends it speak. */
export const CASES: [string, Partial<Facts>, string[], RegExp?][] = [
  ['all is well', {}, []],
  [
    'nobody is here',
    { ...ALONE, ...eth({ loud: undefined, spoken: [], peers: 0 }) },
    ['warn nobody'],
    /asked everyone on eth0, for 1 s.*hearsay share/s,
  ],
  ['no card', { cards: [LO] }, ['bad no-card'], /cable/],
  [
    'docker alone',
    { cards: [LO], leftOut: [{ name: 'docker0', address: '172.17.0.1', tunnel: false }] },
    ['bad virtual-only'],
    /only docker0 \(172\.17\.0\.1\) is up.*--interface docker0/s,
  ],
  [
    'a VPN alone',
    { cards: [LO], leftOut: [{ name: 'wg0', address: '10.8.0.2', tunnel: true }] },
    ['bad vpn'],
    /only wg0 .* for a VPN;/,
  ],
  [
    'a VPN beside, and nobody',
    { ...ALONE, leftOut: [{ name: 'wg0', address: '10.8.0.2', tunnel: true }] },
    ['warn nobody', 'warn vpn'],
    /local network in its settings/,
  ],
  ['a VPN beside, and all is well', { leftOut: [{ name: 'wg0', address: '10.8.0.2', tunnel: true }] }, []],
  ['IPv6 alone', eth({ addresses: ['fe80::2%eth0'], echo: { 6: ETH.echo[6]! } }), ['warn no-ipv4'], /DHCP/],
  ['no router gave an address', eth({ addresses: ['169.254.7.8'] }), ['warn no-dhcp'], /gave itself/],
  [
    'a firewall lets nothing in',
    { ...eth({ echo: { 4: SILENT, 6: SILENT }, loud: undefined }), firewallIn: FIREWALL },
    ['bad firewall'],
    /UDP port 47748 shut.*on eth0 does not.*through ufw/s,
  ],
  [
    'the same on every card',
    {
      cards: [
        { ...ETH, echo: { 4: SILENT }, loud: undefined },
        { ...LO, echo: { 4: SILENT } },
      ],
    },
    ['bad firewall'],
    /on eth0 and lo does not.*Open UDP port/s,
  ],
  ['the second family alone is silent', eth({ echo: { 4: ETH.echo[4]!, 6: SILENT } }), []],
  ['nothing comes back, but others are heard', eth({ echo: { 4: SILENT } }), []],
  [
    'a firewall lets nothing out',
    { ...eth({ echo: forbidden('EPERM'), loud: undefined, spoken: [] }), firewallOut: FIREWALL },
    ['bad firewall'],
    /forbids what hearsay sends on eth0/,
  ],
  [
    'macOS lets nothing out',
    { ...eth({ echo: forbidden('EHOSTUNREACH'), loud: undefined, spoken: [] }), platform: 'darwin' },
    ['bad permission'],
    /Local Network/,
  ],
  [
    'the card has gone',
    eth({ echo: forbidden('ENETUNREACH'), loud: undefined, spoken: [] }),
    ['bad send'],
    /ENETUNREACH/,
  ],
  [
    'the group’s port is taken',
    { udpTaken: { port: 47748, holder: 'nc (process 7)' }, ...eth({ loud: undefined, echo: { 4: SILENT } }) },
    ['bad port-taken'],
    /nc \(process 7\) holds UDP port 47748/,
  ],
  [
    'the group’s port is taken by we know not whom',
    { udpTaken: { port: 47748, holder: undefined } },
    ['bad port-taken'],
    /lsof -nP -iUDP:47748/,
  ],
  [
    'the TCP port is taken',
    { tcpTaken: { port: 5000, holder: 'nc (process 7)', chosen: true } },
    ['bad port-taken'],
    /nc \(process 7\) has TCP port 5000/,
  ],
  [
    'the TCP port is taken on Windows',
    { tcpTaken: { port: 5000, holder: undefined, chosen: true }, platform: 'win32' },
    ['bad port-taken'],
    /Get-NetTCPConnection -LocalPort 5000/,
  ],
  [
    'the usual TCP port is taken',
    { tcpTaken: { port: 47748, holder: 'node (process 7)', chosen: false }, port: 47749 },
    [],
  ],
  [
    'multicast and broadcast are dropped on the way',
    eth({ loud: { multicast: false, broadcast: false } }),
    ['bad snooping'],
    /ada and bob are spoken with on eth0, but nothing.*--join HOST/s,
  ],
  [
    'multicast alone is dropped on the way',
    eth({ loud: { multicast: false, broadcast: true }, spoken: ['ada'] }),
    ['warn snooping'],
    /ada is spoken with on eth0, but found by broadcast alone/,
  ],
  ['it was not listened long enough', eth({ loud: undefined }), []],
  [
    'somebody is heard and does not answer',
    { ...ALONE, ...eth({ peers: 0, spoken: [], loud: undefined, mute: ['10.1.0.7'] }) },
    ['warn one-way', 'warn nobody'],
    /10\.1\.0\.7 is heard on eth0, but does not answer/,
  ],
  [
    'hosts of other groups do not answer',
    {
      ...ALONE,
      ...eth({ peers: 0, spoken: [], loud: undefined, mute: ['10.1.0.7'] }),
      strangers: { sealed: 1, open: 0 },
    },
    ['warn nobody'],
  ],
  [
    'a joined host refuses',
    joining({ code: 'ECONNREFUSED' }),
    ['bad not-listening'],
    /nothing listens on TCP port 47748.*hearsay share/s,
  ],
  [
    'a joined host’s card does not answer',
    joining({ code: 'EHOSTUNREACH' }),
    ['bad isolation'],
    /does not answer on eth0:.*client or AP isolation/s,
  ],
  [
    'the same by what ARP knows, and others answer',
    joining({ answers: false, others: true }),
    ['bad isolation'],
    /though others there answer/,
  ],
  ['a joined host’s firewall', joining({ answers: true }), ['bad firewall-there'], /a firewall of it drops/],
  [
    'a joined host behind our own firewall',
    joining({ code: 'EPERM' }),
    ['bad firewall'],
    /a firewall of this machine forbids/,
  ],
  [
    'macOS forbids to connect',
    { ...joining({ code: 'EHOSTUNREACH' }), ...eth({ echo: forbidden('EHOSTUNREACH') }), platform: 'darwin' },
    ['bad permission', 'bad permission'],
    /Local Network/,
  ],
  [
    'on a Mac that is allowed to, one that does not answer',
    { ...joining({ code: 'EHOSTUNREACH' }), platform: 'darwin' },
    ['bad isolation'],
  ],
  [
    'a joined host in no network of ours',
    joining({ code: 'ENETUNREACH', card: undefined }),
    ['bad no-route'],
    /no network card of this machine leads there/,
  ],
  [
    'a joined host far away does not answer',
    joining({ card: undefined }),
    ['bad unreachable'],
    /no answer.*no firewall/s,
  ],
  [
    'one of before is kept apart',
    before({ answers: false, others: true }),
    ['warn nobody', 'warn isolation'],
    /ada, who was here before, cannot be reached: its network card/,
  ],
  ['one of before does not run now', before({ code: 'ECONNREFUSED' }), ['warn nobody']],
  [
    'those who were asked could not connect',
    { callers: { asked: 2, came: 0 }, firewallIn: FIREWALL },
    ['warn blocked'],
    /none of 2 peers .*TCP port 47748.*through ufw/s,
  ],
  ['nobody was asked to connect', { callers: { asked: 0, came: 0 } }, []],
  ['the clock was never set', { clock: { ...WELL.clock, now: 1000 } }, ['warn clock'], /says 1970-01-01.*NTP/s],
  ['the clock was set back', { clock: { ...WELL.clock, set: -7_200_000 } }, ['warn clock'], /set back by 120 minutes/],
  ['the clock was set forward, or the machine slept', { clock: { ...WELL.clock, set: 7_200_000 } }, []],
  [
    'others have files of tomorrow',
    { clock: { ...WELL.clock, dated: 3, ahead: 2 } },
    ['warn clock'],
    /2 of 3 peers have files of tomorrow/,
  ],
  ['one of many has', { clock: { ...WELL.clock, dated: 3, ahead: 1 } }, []],
];
