/** Limits on the command line. */
import test from 'ava';
import type { StatusReport } from '../../lib/api.js';
import { FakeApi, failure, STATUS, type } from './cli-fake.js';

for (const argv of [
  ['share', 'x'],
  ['get', 'x'],
]) {
  test(`${argv.join(' ')} --limit-up --limit-down`, async (t) => {
    const refuses = failure('port-taken', 'it is taken');
    const words = ['--limit-up', '2MB/s', '--limit-down', 'none'];
    const { wanted } = await type([...argv, ...words], { refuses });
    t.is(wanted.length, 1);
    t.like(wanted[0].flags, { 'limit-up': '2MB/s', 'limit-down': 'none' });
    const plain = await type(argv, { refuses });
    t.false('limit-up' in plain.wanted[0].flags || 'limit-down' in plain.wanted[0].flags);
  });
}

test('get --limit-down is kept by the peer that runs, for this get alone; a one-shot keeps it itself', async (t) => {
  for (const running of [true, false]) {
    const api = new FakeApi();
    await type(['get', 'x', '--limit-down', '1.5MiB/s'], { api, running });
    t.is((api.asked[0] as { limitDown?: number }).limitDown, running ? 1_572_864 : undefined);
    await type(['get', 'x', '--limit-down', 'none'], { api, running });
    t.is((api.asked[1] as { limitDown?: number }).limitDown, undefined);
  }
});

test('a wrong rate is named, with what would be right', async (t) => {
  const { status, err } = await type(['get', 'x', '--limit-down', '20Mb/s'], { running: true });
  t.is(status, 2);
  t.regex(err, /--limit-down: expected a rate like "20MB\/s".*, not "20Mb\/s"/);
});

test('status tells of the limits that hold now', async (t) => {
  const api = new FakeApi();
  const report = (limits: StatusReport['limits']) => {
    api.status = async (): Promise<StatusReport> => ({ ...STATUS, ...(limits ? { limits } : {}) });
    return type(['status'], { api });
  };
  t.regex(
    (await report({ up: 2_097_152, down: null })).out,
    /limits now: sends 2\.0 MiB\/s at most, fetches as fast as it goes/,
  );
  t.false((await report(undefined)).out.includes('limits'));
});
