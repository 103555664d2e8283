/** Bad input at a tracker's port, while others are served. */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import {
  CHUNKS_MAX,
  FOLLOWS_PER_CONNECTION_MAX,
  HOLD_BYTES_PER_SECOND,
  REGISTERED_PER_ADDRESS_MAX,
  REGISTRATIONS_PER_MINUTE,
} from '../../lib/limits.js';
import { LOOKUP } from '../../lib/tracker/events.js';
import { file, files } from '../sim/share.js';
import { Lan, type LanPeer, MIB, until } from './lan.js';
import { RawClient } from './tracker-raw.js';

/** How long a client may wait for an answer while others misbehave, ms: this machine runs both, and other tests beside. */
const PATIENCE = 3000;

async function site(t: ExecutionContext): Promise<{ tracker: LanPeer; port: number; honest: RawClient }> {
  const lan = await Lan.make(t);
  const tracker = await lan.peer('tracker', { multicast: false, tracker: true });
  const { port } = tracker.peer;
  // From another address than those who misbehave.
  const from = process.platform === 'linux' ? '127.0.0.2' : undefined;
  const honest = await new RawClient(t, 'honest', [file('good.txt', 'good'), ...files('share', 500)]).connect(
    port,
    from,
  );
  t.is((await honest.join()).type, 'Z');
  await until(() => tracker.offers('good.txt').length === 1, 'its files are pulled');
  return { tracker, port, honest };
}

/** Looks things up and renews until something is over. @returns the longest that an answer took, ms */
async function serve(t: ExecutionContext, honest: RawClient, over: Promise<unknown>): Promise<number> {
  let done = false;
  void over.finally(() => {
    done = true;
  });
  let longest = 0;
  do {
    const began = performance.now();
    t.deepEqual((await honest.lookup(LOOKUP.what, 'good.txt')).offers, ['honest: good.txt']);
    t.is((await honest.join()).type, 'Z');
    longest = Math.max(longest, performance.now() - began);
    await delay(10);
  } while (!done);
  t.true(longest < PATIENCE, `an answer took ${Math.round(longest)} ms`);
  return longest;
}

test.serial('who registers and never reads costs a bounded memory, and others are served', async (t) => {
  const { port, honest } = await site(t);
  const deaf = await new RawClient(t, 'deaf').connect(port);
  t.is((await deaf.join()).type, 'Z');
  deaf.talk.socket.pause();
  const before = process.memoryUsage();
  // What is sent is answered with ten times as much, were it not waited for.
  const flood = async () => {
    for (let n = 0; n < 300 && !deaf.talk.closed; n++) {
      for (let i = 0; i < 100; i++) deaf.talk.send({ type: 'J', number: n, addresses: [] });
      for (let i = 0; i < 20; i++)
        deaf.talk.send({ type: 'l', number: i, kind: LOOKUP.all, text: '', follow: i % 2 === 0 });
      await delay(5);
      honest.change([file(`share/changes ${n}.txt`, `change ${n}`)]);
      honest.beat();
    }
  };
  const longest = await serve(t, honest, flood());
  const after = process.memoryUsage();
  const grown = after.rss - before.rss;
  t.log(`longest answer ${Math.round(longest)} ms, grown ${Math.round(grown / MIB)} MiB`);
  t.true(after.external + after.arrayBuffers - before.external - before.arrayBuffers < 40 * MIB);
});

test.serial('a crowd of new peers from one address is turned away in time, and others are served', async (t) => {
  const { port, honest, tracker } = await site(t);
  let registered = 0;
  let refused = 0;
  const end = performance.now() + 6000;
  // Each comes with a new key, registers, and is gone again or stays.
  const come = async (stays: boolean) => {
    while (performance.now() < end) {
      try {
        const raw = await new RawClient(t, 'crowd').connect(port);
        const answer = await raw.join();
        if (answer.type === 'Z') registered++;
        else {
          t.is(answer.code, 'limit');
          refused++;
        }
        if (!stays) raw.talk.socket.destroy();
      } catch {
        await delay(5);
      }
    }
  };
  const longest = await serve(t, honest, Promise.all(Array.from({ length: 8 }, (_, i) => come(i < 2))));
  t.log(`${registered} registered, ${refused} refused, longest answer ${Math.round(longest)} ms`);
  // What fills at once, and what is given back meanwhile.
  t.true(registered <= REGISTRATIONS_PER_MINUTE * 1.5);
  t.true(registered + refused > 50);
  const { tracker: report } = await tracker.peer.status();
  t.true((report?.peers ?? 0) <= REGISTERED_PER_ADDRESS_MAX + 2);
});

test.serial('nonsense in the messages to a tracker ends its connection at most', async (t) => {
  const { port, honest } = await site(t);
  const none = new Uint8Array(0);
  const { head, sig } = honest.head();
  const id = Buffer.alloc(32, 7);
  const bad: unknown[][] = [
    ['J'],
    ['J', -1, []],
    ['J', 1, Array(17).fill('10.0.0.1:1')],
    ['J', 1, ['x'.repeat(65)]],
    ['J', 1, 'x'],
    ['l', 1, 9, '', false],
    ['l', 1, 1, 'x'.repeat(4201), false],
    ['l', 1, 1, none, false],
    ['l', 1, 1, '', 2],
    ['h', id, 2 ** 21, 0, none],
    ['h', id, 10, -1, none],
    ['h', id, 10, 0, Buffer.alloc(4097)],
    ['h', Buffer.alloc(31), 10, 0, none],
    ['c', 1, 'nobody', [head, sig, []]],
    ['c', 1, honest.id, [head, none, []]],
    ['c', 1, honest.id, [Buffer.alloc(10), sig, []]],
    ['c', 1, honest.id, [head, sig, []]],
    ['p', 1],
    ['p', 'x', false],
    // What a tracker says, said to it.
    ['Z', 1, '', [], 0, 1, 1, []],
    ['f', 1, false, [], [[1, 2]], [], [], true],
  ];
  for (const values of bad) {
    const raw = await new RawClient(t, 'raw').connect(port);
    t.is((await raw.join()).type, 'Z', String(values));
    raw.talk.values(...values);
    await raw.talk.ended();
  }
  // What is well formed and means nothing.
  const odd = await new RawClient(t, 'odd').connect(port);
  t.is((await odd.join(['not an address', '[::1', 'host:1', '10.0.0.1:99999', ':', '0.0.0.0:1'])).type, 'Z');
  const hold = (chunks: number, at: number, bits: Uint8Array) =>
    odd.talk.send({ type: 'h', id: id.toString('hex'), chunks, at, bits });
  hold(0, 0, none);
  hold(1, 100_000, Buffer.alloc(4096, 255));
  hold(8, 1, Uint8Array.of(1));
  hold(8, 0, Buffer.alloc(100, 255));
  for (let i = 0; i < 500; i++)
    odd.talk.send({ type: 'h', id: randomBytes(32).toString('hex'), chunks: 8, at: 0, bits: Uint8Array.of(255) });
  odd.talk.send({ type: 'h', id: null, chunks: 8, at: 0, bits: none });
  odd.talk.send({ type: 'X', number: 77 });
  for (const kind of [0, 1, 2, 3, 4, 5, 6, 7, 8]) {
    for (const text of ['', '\0', '#', '[[[', '**/'.repeat(500), 'é'.repeat(2000), '../../etc', ':'.repeat(4000)])
      odd.ask(kind, text, kind % 2 === 0);
  }
  await serve(t, honest, delay(500));
  const { code, peers } = await odd.lookup(LOOKUP.peer, 'honest');
  t.deepEqual([code, peers.length], ['', 1]);
});

test.serial('one who reports large bit sets again and again is heard as far as it costs little', async (t) => {
  const { port, honest } = await site(t);
  const greedy = await new RawClient(t, 'greedy').connect(port);
  t.is((await greedy.join()).type, 'Z');
  const id = randomBytes(32).toString('hex');
  const began = performance.now();
  for (let at = 0; at < 4000; at++)
    greedy.talk.send({ type: 'h', id, chunks: CHUNKS_MAX, at, bits: Uint8Array.of(255) });
  const kept = async () => (await honest.lookup(LOOKUP.holders, id)).have;
  await greedy.lookup(LOOKUP.peers, '');
  const [{ bits }] = await kept();
  const seconds = (performance.now() - began) / 1000;
  const most = (HOLD_BYTES_PER_SECOND * (1 + seconds)) / (CHUNKS_MAX / 8);
  const heard = bits.filter((byte) => byte > 0).length;
  t.true(heard > 0 && heard <= most + 1, `${heard} of ${most}`);
  // That it holds none any more is heard in any case.
  greedy.talk.send({ type: 'h', id, chunks: CHUNKS_MAX, at: 0, bits: new Uint8Array(0) });
  await greedy.lookup(LOOKUP.peers, '');
  t.deepEqual(await kept(), []);
});

test.serial('those of one address do not use up how often a peer follows wishes to be dialled', async (t) => {
  const { port, honest } = await site(t);
  const crowd = await Promise.all([1, 2, 3, 4].map((n) => new RawClient(t, `crowd ${n}`).connect(port)));
  for (const one of crowd) t.is((await one.join()).type, 'Z');
  const began = performance.now();
  const codes: string[] = [];
  for (let n = 0; n < 10; n++) codes.push(...(await Promise.all(crowd.map((one) => one.summon(honest.id)))));
  const most = 2 * (1 + (performance.now() - began) / 1000) + 1;
  t.true(honest.talk.of('c').length <= most, `${honest.talk.of('c').length}`);
  t.true(codes.includes('') && codes.includes('limit'));
  if (process.platform !== 'linux') return;
  const other = await new RawClient(t, 'other').connect(port, '127.0.0.3');
  t.is((await other.join()).type, 'Z');
  t.is(await other.summon(honest.id), '');
});

test.serial(
  'so many lookups of one connection at once, each of which is to be followed, are answered in turn or refused',
  async (t) => {
    const { port, honest } = await site(t);
    const greedy = await new RawClient(t, 'greedy').connect(port);
    for (let i = 0; i < 3000; i++) greedy.ask(LOOKUP.words, 'file', true);
    const answered = () => greedy.talk.of('f').filter(({ last }) => last).length;
    const refused = () => greedy.talk.of('E').filter(({ code }) => code === 'limit').length;
    await serve(
      t,
      honest,
      until(() => answered() + refused() >= 3000, 'each is answered'),
    );
    t.is(answered(), FOLLOWS_PER_CONNECTION_MAX);
    // Those that are followed are told of what changes, each once.
    honest.change([file('share/file new.txt', 'new')]);
    honest.beat();
    await until(() => answered() === 2 * FOLLOWS_PER_CONNECTION_MAX, 'all are told');
  },
);
