/** What the doctor finds in the facts, and how the command tells of it. */
import test from 'ava';
import { diagnose, type Facts } from '../../lib/drive/doctor.js';
import { HearsayError } from '../../lib/errors.js';
import { FakeApi, objects, type } from './cli-fake.js';

/** Everything is well. */
const WELL: Facts = {
  cards: [
    { name: 'lo', address: '127.0.0.1', internal: true },
    { name: 'eth0', address: '10.1.0.2', internal: false },
    { name: 'eth0', address: 'fe80::2', internal: false },
  ],
  multicast: true,
  port: 47748,
  joins: [],
  unjoined: new Map(),
  trackers: [],
  reachable: undefined,
  others: 2,
  tried: [
    { id: 'A', name: 'ada' },
    { id: 'B', name: 'bob' },
  ],
  whyNobody: 'no peer answered in the open group',
  strangers: { sealed: 0, open: 0 },
};

const of = (facts: Partial<Facts>, topic: string) => diagnose({ ...WELL, ...facts }).filter((f) => f.topic === topic);

test('where all is well there is nothing to mend', (t) => {
  const findings = diagnose(WELL);
  t.deepEqual(
    findings.map(({ level, message }) => `${level} ${message}`),
    [
      'ok speaks on eth0 (10.1.0.2, fe80::2)',
      'ok listens on TCP port 47748',
      'ok 2 other peers are here and can be reached',
    ],
  );
  t.true(findings.every(({ advice }) => advice === undefined));
  t.deepEqual(
    of({ others: 100 }, 'peers')[0].message,
    '100 other peers are here, of which 2 were tried and can be reached',
  );
});

test('no card, no multicast, nobody', (t) => {
  t.like(of({ cards: WELL.cards.slice(0, 1) }, 'network')[0], { level: 'bad' });
  t.regex(of({ cards: WELL.cards.slice(0, 1) }, 'network')[0].advice ?? '', /cable/);
  t.regex(of({ multicast: false }, 'network')[1].message, /multicast is turned off/);
  const [nobody, ...more] = of({ others: 0, tried: [] }, 'peers');
  t.like(nobody, { level: 'warn', message: WELL.whyNobody });
  t.regex(nobody.advice ?? '', /hearsay share/);
  t.deepEqual(more, []);
  t.regex(of({ strangers: { sealed: 2, open: 1 } }, 'groups')[0].message, /2 with another secret, 1 in the open group/);
});

test('joined hosts and trackers: who was reached, and why not, each once', (t) => {
  const joins = ['10.1.0.9:47748', '10.1.0.8:47748', '10.2.0.1:47748'];
  const unjoined = new Map([
    ['10.1.0.8:47748', new HearsayError('other-group', 'it has another secret than this one')],
    ['10.2.0.1:47748', new HearsayError('unreachable', '10.2.0.1:47748: no answer')],
  ]);
  const tracker = { address: '10.2.0.1:47748', registered: false, peers: 0, offers: 0 };
  const error = { code: 'id-taken', message: 'another process' } as const;
  const facts = { joins, unjoined, trackers: [{ ...tracker, error }] };
  const [first, second, ...more] = of(facts, 'join');
  t.deepEqual([first.level, second.level, more], ['ok', 'bad', []]);
  t.regex(second.message, /10\.1\.0\.8.* another secret/);
  t.regex(second.advice ?? '', /--secret-file/);
  const [row] = of(facts, 'tracker');
  t.like(row, { level: 'bad', message: 'not registered with the tracker at 10.2.0.1:47748: another process' });
  t.regex(row.advice ?? '', /--state/);
  const registered = { ...tracker, name: 'hub', registered: true, peers: 9 };
  t.like(of({ trackers: [registered], reachable: ['10.1.0.2:47748'] }, 'tracker')[0], {
    level: 'ok',
    message: 'registered with the tracker hub at 10.2.0.1:47748, where 9 peers are',
  });
  t.like(of({ reachable: ['10.1.0.2:47748'] }, 'reachable')[0], { level: 'ok' });
  const [shut] = of({ reachable: [] }, 'reachable');
  t.is(shut.level, 'warn');
  t.regex(shut.advice ?? '', /TCP port 47748/);
  t.deepEqual(of({}, 'reachable'), []);
});

test('peers that cannot be reached are named with the reason, the first of many', (t) => {
  const lost = Array.from({ length: 30 }, (_, i) => ({ id: `${i}`, name: `p${i}`, unreachable: 'it did not come' }));
  const found = of({ others: 31, tried: [...lost, { id: 'A', name: 'ada' }] }, 'peers');
  t.is(found[0].message, '1 other peer is here and can be reached');
  t.like(found[1], { level: 'bad', message: 'p0 cannot be reached: it did not come' });
  t.regex(found[1].advice ?? '', /relay = true/);
  t.is(found.length, 22);
  t.is(found[21].message, '10 more cannot be reached');
});

test('the command prints a line each, escaped, with what mends it, and its exit status tells whether something is bad', async (t) => {
  const api = new FakeApi();
  api.findings = [
    { level: 'ok', topic: 'network', message: 'speaks on eth0' },
    { level: 'warn', topic: 'reachable', message: 'shut', advice: 'open it' },
  ];
  const fair = await type(['doctor'], { api });
  t.is(fair.status, 0);
  t.deepEqual(fair.out.split('\n'), ['ok    network    speaks on eth0', 'warn  reachable  shut', '      open it', '']);
  t.is((await type(['doctor', '--quiet'], { api })).out, 'warn  reachable  shut\n      open it\n');
  api.findings = [...api.findings, { level: 'bad', topic: 'peers', message: '\x1b[31mbob' }];
  const bad = await type(['doctor'], { api });
  t.is(bad.status, 1);
  t.is(bad.err, '');
  t.true(bad.out.includes('bad   peers      \\u{1b}[31mbob\n'));
  const json = await type(['doctor', '--json'], { api });
  t.is(json.status, 1);
  t.deepEqual(objects(json.out), [{ findings: api.findings }]);
});
