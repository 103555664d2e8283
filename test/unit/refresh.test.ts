/** What a peer tells to those who listen, and what a refresh reports. */
import test from 'ava';
import type { PeerName, ShareEvent } from '../../lib/api.js';
import { Changes, type IndexChange } from '../../lib/drive/changes.js';
import { FILES_MS, Happenings } from '../../lib/drive/happenings.js';
import { Refresher, type RefresherOptions } from '../../lib/drive/refresh.js';
import { BEHIND_MAX, REFRESH_ROWS_MAX } from '../../lib/limits.js';
import { ALICE, BOB, ID } from './cli-fake.js';

const CAROL = { id: '01ARZ3NDEKTSV4RRFFQ69G5FAX', name: 'carol' };
const NAMES = new Map([ALICE, BOB, CAROL].map((peer) => [peer.id, peer]));
const nameOf = (id: string): PeerName => NAMES.get(id) ?? { id, name: '' };

function change(
  kind: IndexChange['kind'],
  peer: PeerName,
  path: string,
  more: { id?: string | null } = {},
): IndexChange {
  const { id = ID } = more;
  const offer = { peer: peer.id, kind: 'file' as const, path, size: 1, mtime: 0, id, version: 1 };
  return { kind, offer, ...(kind === 'added' ? {} : { before: { ...offer, size: 2 } }) };
}

function happenings() {
  const here = new Set(NAMES.keys());
  const timers: (() => void)[] = [];
  const all = new Happenings({
    id: () => ALICE.id,
    nameOf,
    isHere: (id) => here.has(id),
    later: (run, ms) => {
      if (ms !== FILES_MS) throw new Error(`${ms} ms`);
      timers.push(run);
      return () => timers.splice(timers.indexOf(run), 1);
    },
  });
  return { all, here, timers };
}

async function take(events: AsyncIterable<ShareEvent>, end: AbortController): Promise<ShareEvent[]> {
  end.abort();
  const out: ShareEvent[] = [];
  for await (const event of events) out.push(event);
  return out;
}

const CAME: ShareEvent = { event: 'peer', change: 'came', ...BOB };

test('everyone who listens is told from then on, and until then', async (t) => {
  const { all } = happenings();
  all.tell(CAME);
  const [one, two] = [new AbortController(), new AbortController()];
  const first = all.listen(one.signal);
  all.tell(CAME);
  const second = all.listen(two.signal);
  all.tell(CAME);
  t.is((await take(first, one)).length, 2);
  all.tell(CAME);
  t.is((await take(second, two)).length, 2);
  t.is((await take(all.listen(AbortSignal.abort()), new AbortController())).length, 0);
});

test('changes of one peer’s files are told together, but for one’s own and those of one that left', async (t) => {
  const { all, here, timers } = happenings();
  all.change(change('added', BOB, 'nobody listens'));
  t.is(timers.length, 0);
  const end = new AbortController();
  const events = all.listen(end.signal);
  all.change(change('added', ALICE, 'own'));
  t.is(timers.length, 0);
  for (let i = 0; i < 1000; i++) all.change(change('added', BOB, `b${i}`));
  all.change(change('removed', BOB, 'b0'));
  all.change(change('added', CAROL, 'c'));
  // That its hash is known now is no change.
  const hashed = change('changed', BOB, 'b1');
  all.change({ ...hashed, before: { ...hashed.offer, id: null } });
  t.is(timers.length, 1);
  here.delete(CAROL.id);
  timers.splice(0)[0]();
  all.change(change('changed', BOB, 'b2'));
  t.is(timers.length, 1);
  timers.splice(0)[0]();
  t.deepEqual(await take(events, end), [
    { event: 'files', peer: BOB, added: 1000, changed: 0, removed: 1, path: 'b0' },
    { event: 'files', peer: BOB, added: 0, changed: 1, removed: 0, path: 'b2' },
  ]);
  t.is(timers.length, 0);
});

test('who does not take events in time is told how many it missed, and holds nobody up', async (t) => {
  const { all } = happenings();
  const [slow, end] = [new AbortController(), new AbortController()];
  const events = all.listen(slow.signal);
  const iterator = events[Symbol.asyncIterator]();
  for (let i = 0; i < BEHIND_MAX + 7; i++) all.tell(CAME);
  const other = all.listen(end.signal);
  for (let i = 0; i < BEHIND_MAX; i++) t.like((await iterator.next()).value, { event: 'peer' });
  all.tell(CAME);
  const said = (await iterator.next()).value as ShareEvent;
  t.like(said, { event: 'warning', message: '7 events were left out, because nobody took them in time' });
  t.like((await iterator.next()).value, { event: 'peer' });
  t.is((await take(other, end)).length, 1);
});

function refresher(more: Partial<RefresherOptions> = {}) {
  const changes = new Changes();
  const peers = [BOB];
  const asked: number[] = [];
  const one = new Refresher({
    changes,
    peers: () => peers,
    nameOf,
    ask: () => void asked.push(performance.now()),
    isBusy: () => false,
    wait: () => 20_000,
    signal: new AbortController().signal,
    ...more,
  });
  return { one, changes, peers, asked };
}

test('a refresh reports who and what came, changed and went, each once', async (t) => {
  const { one, changes, peers, asked } = refresher();
  changes.push(change('added', BOB, 'before'));
  const report = one.refresh();
  t.is(asked.length, 1, 'it asks at once');
  changes.push(change('added', CAROL, 'new'));
  changes.push(change('changed', CAROL, 'new'));
  changes.push(change('added', CAROL, 'came and went'));
  changes.push(change('removed', CAROL, 'came and went'));
  changes.push(change('changed', BOB, 'other'));
  changes.push(change('removed', BOB, 'gone'));
  peers.splice(0, 1, CAROL);
  const { added, changed, removed, ...rest } = await report;
  t.deepEqual(rest, {
    came: [CAROL],
    left: [BOB],
    peers: { came: 1, left: 1 },
    files: { added: 1, changed: 1, removed: 1 },
  });
  t.deepEqual(
    [added, changed, removed].map(([{ path, peers: who }]) => [path, who[0].name]),
    [
      ['new', 'carol'],
      ['other', 'bob'],
      ['gone', 'bob'],
    ],
  );
});

test('of many the first are given, and how many there are', async (t) => {
  const { one, changes, peers } = refresher();
  const report = one.refresh();
  for (let i = 0; i < 3 * REFRESH_ROWS_MAX; i++) {
    changes.push(change('added', BOB, `f${i}`));
    peers.push({ id: `${i}`.padStart(26, '0'), name: `${i}` });
  }
  const { came, added, files, peers: totals } = await report;
  t.is(came.length, REFRESH_ROWS_MAX);
  t.is(added.length, REFRESH_ROWS_MAX);
  t.is(files.added, 3 * REFRESH_ROWS_MAX);
  t.is(totals.came, 3 * REFRESH_ROWS_MAX);
});

test('who asks while it is looked gets the same look; it ends with the time, and with the peer', async (t) => {
  const stop = new AbortController();
  const { one, asked } = refresher({ isBusy: () => true, signal: stop.signal });
  const [first, second] = [one.refresh(), one.refresh()];
  t.is(first, second);
  stop.abort();
  await first;
  t.is(asked.length, 1);
  const short = refresher({ isBusy: () => true, wait: () => 50 });
  await short.one.refresh();
  await short.one.refresh();
  t.is(short.asked.length, 2);
});
