/** What the doctor finds in the facts, and how the command tells of it. */
import test from 'ava';
import { diagnose, type Facts } from '../../lib/drive/doctor.js';
import { HearsayError } from '../../lib/errors.js';
import { FakeApi, FakeIo, objects, type } from './cli-fake.js';
import { CASES, knock, WELL } from './doctor-cases.js';

const of = (facts: Partial<Facts>, topic: string) => diagnose({ ...WELL, ...facts }).filter((f) => f.topic === topic);

for (const [name, facts, expected, words] of CASES) {
  test(`facts and verdict: ${name}`, (t) => {
    const found = diagnose({ ...WELL, ...facts }).filter(({ level }) => level !== 'ok');
    t.deepEqual(found.map(({ level, cause }) => `${level} ${cause}`).sort(), [...expected].sort());
    t.true(found.every(({ advice }) => advice !== undefined));
    const text = found.map((one) => `${one.message}\n${one.advice}\n${one.command ?? ''}`).join('\n');
    if (words) t.regex(text, words);
  });
}

test('where all is well there is nothing to mend', (t) => {
  const findings = diagnose(WELL);
  t.deepEqual(
    findings.map(({ level, message }) => `${level} ${message}`),
    [
      'ok speaks on eth0 (10.1.0.2, fe80::2%eth0): 9 sent, 6 came back; of others 20 by multicast, 0 by broadcast, 4 to it alone; 2 peers there',
      'ok listens on TCP port 47748',
      'ok others can connect to this peer',
      'ok 2 other peers are here and can be reached',
    ],
  );
  t.true(findings.every(({ advice, cause }) => advice === undefined && cause === undefined));
  t.deepEqual(
    of({ others: 100 }, 'peers')[0].message,
    '100 other peers are here, of which 2 were tried and can be reached',
  );
});

test('no multicast, other groups', (t) => {
  t.is(of({ multicast: false }, 'network')[0].message, 'speaks on eth0 (10.1.0.2, fe80::2%eth0)');
  t.regex(of({ multicast: false }, 'network')[1].message, /multicast is turned off/);
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
  const nobodyCame = { callers: { asked: 0, came: 0 } };
  t.like(of({ reachable: ['10.1.0.2:47748'] }, 'reachable')[0], { level: 'ok' });
  const [shut] = of({ reachable: [], ...nobodyCame }, 'reachable');
  t.is(shut.level, 'warn');
  t.regex(shut.advice ?? '', /TCP port 47748/);
  t.deepEqual(of(nobodyCame, 'reachable'), []);
});

test('peers that cannot be reached are named with the reason, the first of many', (t) => {
  const lost = Array.from({ length: 30 }, (_, i) => ({ id: `${i}`, name: `p${i}`, unreachable: 'it did not come' }));
  const knocks = new Map([['1', knock({ answers: true })]]);
  const found = of({ others: 31, tried: [...lost, { id: 'A', name: 'ada' }], knocks }, 'peers');
  t.is(found[0].message, '1 other peer is here and can be reached');
  t.like(found[1], { level: 'bad', cause: 'unreachable', message: 'p0 cannot be reached: it did not come' });
  t.regex(found[1].advice ?? '', /relay = true/);
  t.is(found[2].cause, 'firewall-there');
  t.is(found.length, 22);
  t.is(found[21].message, '10 more cannot be reached');
});

test('the command prints a line each, escaped, with what mends it, and its exit status tells whether something is bad', async (t) => {
  const api = new FakeApi();
  api.findings = [
    { level: 'ok', topic: 'network', message: 'speaks on eth0' },
    { level: 'warn', topic: 'reachable', message: 'shut', advice: 'open it', command: 'sudo open' },
  ];
  const fair = await type(['doctor'], { api });
  t.is(fair.status, 0);
  t.true(fair.wanted[0].listens);
  const lines = ['ok    network    speaks on eth0', 'warn  reachable  shut', '      open it', '      sudo open', ''];
  t.deepEqual(fair.out.split('\n'), lines);
  t.is((await type(['doctor', '--quiet'], { api })).out, `${lines.slice(1, 4).join('\n')}\n`);
  api.findings = [...api.findings, { level: 'bad', topic: 'peers', message: '\x1b[31mbob' }];
  const bad = await type(['doctor'], { api });
  t.is(bad.status, 1);
  t.is(bad.err, '');
  t.true(bad.out.includes('bad   peers      \\u{1b}[31mbob\n'));
  const json = await type(['doctor', '--json'], { api });
  t.is(json.status, 1);
  t.deepEqual(objects(json.out), [{ findings: api.findings, interfaces: [] }]);
});

test('on a terminal lines are broken between words below their beginning, and a command is left whole', async (t) => {
  const api = new FakeApi();
  const command = `sudo ${'open '.repeat(30).trim()}`;
  api.findings = [
    { level: 'bad', topic: 'port', message: 'word '.repeat(40).trim(), advice: 'mend '.repeat(40).trim(), command },
  ];
  const io = new FakeIo();
  io.stdout.isTTY = true;
  io.env = { NO_COLOR: '1' };
  const { out } = await type(['doctor'], { api, io });
  const lines = out.trimEnd().split('\n');
  t.true(lines[0].startsWith('bad   port  word'));
  t.true(lines[1].startsWith('            word'));
  t.is(lines.at(-1), `      ${command}`);
  t.true(lines.slice(0, -1).every((line) => line.length <= 80));
});
