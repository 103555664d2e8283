/** Limits as people write them, and which of them hold when. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Limits } from '../../lib/drive/limits.js';
import { differences } from '../../lib/drive/options.js';
import { hasLimits, type LimitSettings, parseDays, parseHours, parseRate, ratesAt } from '../../lib/share/rates.js';
import { loadSettings } from '../../lib/share/settings.js';

const NONE = Number.POSITIVE_INFINITY;

const rates: [string | number, number][] = [
  ['20MB/s', 20_000_000],
  ['20 MB/s', 20_000_000],
  ['20mB/s', 20_000_000],
  ['500kB/s', 500_000],
  ['500KB', 500_000],
  ['1.5MiB/s', 1_572_864],
  ['.5GiB/s', 536_870_912],
  ['80Mbit/s', 10_000_000],
  ['80 mbit', 10_000_000],
  ['100Mbps', 12_500_000],
  ['12MBps', 12_000_000],
  ['1Gbit/s', 125_000_000],
  ['8 kbits/s', 1000],
  ['20M', 20_000_000],
  ['1000', 1000],
  ['2000000B/s', 2_000_000],
  [1_500_000, 1_500_000],
  ['0', NONE],
  [0, NONE],
  ['none', NONE],
  [' None ', NONE],
];
for (const [given, wanted] of rates) {
  test(`a rate: ${JSON.stringify(given)}`, (t) => t.is(parseRate(given), wanted));
}

// Too little, not a number, and what may mean bits as well as bytes.
for (const given of [
  '',
  '20',
  '999',
  '5kbit/s',
  -5,
  1e40,
  '20 apples',
  '20Mb/s',
  '20mb',
  '2ib',
  '1e6',
  '20MB/h',
  'no',
]) {
  test(`no rate: ${JSON.stringify(given)}`, (t) => {
    t.throws(() => parseRate(given), { code: 'usage', message: /20MB\/s/ });
  });
}

test('hours', (t) => {
  t.deepEqual(parseHours('08:00-18:00'), { from: 480, to: 1080 });
  t.deepEqual(parseHours('8 - 18:30'), { from: 480, to: 1110 });
  t.deepEqual(parseHours('22:00-06:00'), { from: 1320, to: 360 });
  t.deepEqual(parseHours('00:00-24:00'), { from: 0, to: 1440 });
  for (const text of ['', '8', '8:00', '8:60-9:00', '24:00-06:00', '08:00-08:00', '25:00-26:00', '8:0-9:0', 'a-b']) {
    t.throws(() => parseHours(text), { code: 'usage', message: /08:00-18:00/ }, text);
  }
});

test('days', (t) => {
  const days = (text: string) => [...parseDays(text)].sort();
  t.deepEqual(days('mon-fri'), [1, 2, 3, 4, 5]);
  t.deepEqual(days('Sat, Sun'), [0, 6]);
  t.deepEqual(days('fri-mon,wed'), [0, 1, 3, 5, 6]);
  t.deepEqual(days('tue'), [2]);
  for (const text of ['', 'monday', 'mon-', 'mon-tue-wed', 'mon,,tue', '1-5']) {
    t.throws(() => parseDays(text), { code: 'usage', message: /mon-fri/ }, text);
  }
});

/** 2026-03-02 is a Monday. */
const at = (day: number, time: string) => new Date(`2026-03-0${day}T${time}:00`);

const settings: LimitSettings = {
  'limit-up': '20MB/s',
  'limit-down': 'none',
  limit: [
    { hours: '08:00-18:00', days: 'mon-fri', up: '2MB/s', down: '5MB/s' },
    { hours: '22:00-06:00', days: 'fri', up: 'none' },
    { hours: '17:00-19:00', down: '1MB/s' },
  ],
};
const M = 1_000_000;

for (const [day, time, up, down] of [
  [2, '07:59', 20 * M, NONE],
  [2, '08:00', 2 * M, 5 * M],
  [2, '17:59', 2 * M, 5 * M],
  [2, '18:00', 20 * M, M],
  [2, '19:00', 20 * M, NONE],
  [7, '12:00', 20 * M, NONE],
  [7, '17:30', 20 * M, M],
  [6, '21:59', 20 * M, NONE],
  [6, '22:00', NONE, NONE],
  [6, '23:59', NONE, NONE],
  [7, '00:00', NONE, NONE],
  [7, '05:59', NONE, NONE],
  [7, '06:00', 20 * M, NONE],
  // The night to Friday began on Thursday.
  [6, '03:00', 20 * M, NONE],
] as const) {
  test(`on the ${day}th of March at ${time}`, (t) => t.deepEqual(ratesAt(settings, at(day, time)), { up, down }));
}

test('the limits follow the hour, and other settings', (t) => {
  let now = at(2, '07:59');
  const limits = new Limits(settings, () => now);
  t.teardown(() => limits.stop());
  t.deepEqual(limits.inForce, { up: 20 * M, down: null });
  t.true(limits.down.isFree);
  now = at(2, '08:00');
  limits.look();
  t.deepEqual(limits.inForce, { up: 2 * M, down: 5 * M });
  t.is(limits.up.rate, 2 * M);
  limits.set({ ...settings, 'limit-up': '3MB/s', limit: [] });
  t.deepEqual(limits.inForce, { up: 3 * M, down: null });
  limits.set({ 'limit-up': 'none', 'limit-down': 0, limit: [] });
  t.is(limits.inForce, undefined);
  t.true(limits.up.isFree && limits.down.isFree);
  // At some other hour there is one, so what holds now is told.
  limits.set({ 'limit-up': 'none', 'limit-down': 0, limit: [{ hours: '20-21', up: '1MB/s' }] });
  t.deepEqual(limits.inForce, { up: null, down: null });
  t.true(hasLimits(settings));
});

test('who waits when a limit is lifted goes on at once', async (t) => {
  const limits = new Limits({ 'limit-up': '1kB/s', 'limit-down': 'none', limit: [] });
  t.teardown(() => limits.stop());
  const passed = await new Promise<string>((resolve) => {
    t.true(limits.up.take(() => {}, 1_000_000));
    t.false(limits.up.take(() => resolve('passed'), 1_000_000));
    limits.set({ 'limit-up': 'none', 'limit-down': 'none', limit: [] });
  });
  t.is(passed, 'passed');
});

async function load(t: ExecutionContext, text: string, flags = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'hearsay-rates-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'config.toml');
  await writeFile(file, text);
  return loadSettings({ configFile: file, flags });
}

const RULES = '[[limit]]\nhours = "08:00-18:00"\ndays = "mon-fri"\nup = "2MB/s"\ndown = "none"\n';

test('a config file names them, and an option holds at all hours', async (t) => {
  const file = await load(t, `limit-up = "20MB/s"\n${RULES}`);
  t.like(file, { 'limit-up': '20MB/s', 'limit-down': 'none' });
  t.deepEqual(file.limit, [{ hours: '08:00-18:00', days: 'mon-fri', up: '2MB/s', down: 'none' }]);
  const given = await load(t, `limit-up = "20MB/s"\n${RULES}`, { 'limit-up': '1MB/s' });
  t.is(given['limit-up'], '1MB/s');
  t.deepEqual(ratesAt(given, at(2, '12:00')), { up: M, down: NONE });
});

for (const [text, said] of [
  ['limit-up = "fast"', /config\.toml: limit-up: expected a rate like "20MB\/s".*, not "fast"/],
  ['limit-down = 5', /limit-down: expected a rate.*at least 1kB\/s.*, not 5/],
  ['limit = [{ hours = "noon" }]', /limit: expected a list .*hours like "08:00-18:00".*"noon"/],
  ['limit = [{ hours = "8-9", up = "1" }]', /limit: expected .*a rate like/],
  ['limit = [{ hours = "8-9", days = "weekend" }]', /limit: expected .*days like "mon-fri"/],
  ['limit = [{ up = "1MB/s" }]', /limit: expected/],
  ['limit = [{ hours = "8-9", sideways = "1MB/s" }]', /limit: expected/],
] as const) {
  test(`a wrong setting: ${text}`, async (t) => {
    await t.throwsAsync(load(t, text), { code: 'config', message: said });
  });
}

test('a wrong option', async (t) => {
  const wrong = load(t, '', { 'limit-down': '20Mb/s' });
  await t.throwsAsync(wrong, { code: 'usage', message: /^--limit-down: expected a rate like "20MB\/s".*"20Mb\/s"$/ });
});

test('they may change while a peer runs', async (t) => {
  const [before, after] = [await load(t, ''), await load(t, `limit-down = "1MB/s"\n${RULES}`)];
  t.deepEqual(differences(before, after), { applied: ['limit-down', 'limit'], restart: [] });
});
