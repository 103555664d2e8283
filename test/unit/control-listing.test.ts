import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import type { FileRow, ListingPart } from '../../lib/api.js';
import { serveControl } from '../../lib/daemon/control.js';
import { type ControlClient, connectControl } from '../../lib/daemon/control-client.js';
import { CONTROL_CREDIT, CONTROL_PEERS_MAX } from '../../lib/limits.js';
import { aborted, FakeApi, row } from './cli-fake.js';

async function served(t: ExecutionContext, api: FakeApi): Promise<ControlClient> {
  const state = await mkdtemp(join(tmpdir(), 'hearsay-listing-'));
  const control = await serveControl({ state, api });
  const client = (await connectControl(state))!;
  t.teardown(async () => {
    client.close();
    await control.close();
    await rm(state, { recursive: true, force: true });
  });
  return client;
}

const rowsFrom = (at: number): FileRow[] => Array.from({ length: 10 }, (_, i) => row(`file ${at + i}`));

test('a listing comes piece by piece, and says at its beginning who is away and at its end what is left out', async (t) => {
  const api = new FakeApi();
  const peers = Array.from({ length: 3 * CONTROL_PEERS_MAX + 7 }, (_, i) => ({ id: `${i}`, name: 'é'.repeat(100) }));
  const parts: ListingPart[] = [
    { files: [], away: ['carol'] },
    { files: rowsFrom(0) },
    { files: [row('of many', { peers }), row('after')] },
    { files: [row('last')], more: 12 },
  ];
  api.listing = async function* () {
    yield* parts;
  };
  const client = await served(t, api);
  const taken: ListingPart[] = [];
  for await (const part of client.listing({ words: ['x'] }, new AbortController().signal)) taken.push(part);
  t.deepEqual(taken[0], parts[0]);
  t.deepEqual(
    taken.flatMap(({ files }) => files),
    parts.flatMap(({ files }) => files),
  );
  t.is(taken.at(-1)?.more, 12);
});

test('who does not read holds up the listing, and who leaves ends it', async (t) => {
  const api = new FakeApi();
  let made = 0;
  let ended = false;
  api.listing = async function* () {
    try {
      for (;;) {
        yield { files: rowsFrom(made) };
        made++;
      }
    } finally {
      ended = true;
    }
  };
  const client = await served(t, api);
  for await (const { files } of client.listing({}, new AbortController().signal)) {
    t.is(files[0].path, 'file 0');
    // All that may be under way is, and then nothing more is made.
    for (let before = -1; made !== before || made < CONTROL_CREDIT - 1; ) {
      before = made;
      for (let i = 0; i < 50; i++) await turn();
    }
    t.true(made <= CONTROL_CREDIT + 1, `${made}`);
    break;
  }
  while (!ended) await turn();
  t.pass();
});

test('a signal ends a listing', async (t) => {
  const api = new FakeApi();
  const abort = new AbortController();
  let ended = false;
  api.listing = async function* (_query, signal) {
    yield { files: [row('a')] };
    await aborted(signal!);
    ended = true;
  };
  const client = await served(t, api);
  for await (const { files } of client.listing({}, abort.signal)) {
    t.is(files.length, 1);
    abort.abort();
  }
  t.true(ended);
});
