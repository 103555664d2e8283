/** Several sources of one content, and several receivers of one source. */
import test from 'ava';
import { assertContent, begin, content, get, is, Lan, type LanPeer, MIB, until } from './lan.js';
import { Wire } from './wire-between.js';

test('one content under two names at two peers comes from both', async (t) => {
  const lan = await Lan.make(t);
  const data = content(24 * MIB, 21);
  const sources: LanPeer[] = [];
  const wires: Wire[] = [];
  for (const name of ['one', 'two']) {
    const peer = await lan.peer(name, { files: { [`${name}.bin`]: data }, multicast: false });
    sources.push(peer);
    wires.push(await Wire.to(t, peer.peer.port, 30 * MIB));
  }
  const to = await lan.peer('receiver', { multicast: false, join: wires.map(({ address }) => address) });
  const id = await to.hashed('one.bin');
  t.is(await to.hashed('two.bin'), id);
  const inbox = await lan.fresh('in');
  const outcome = await get(to, 'one.bin', inbox);
  t.deepEqual(outcome.codes, []);
  const given = new Map(outcome.done[0].sources.map(({ name, bytes }) => [name, bytes]));
  for (const name of ['one', 'two']) t.true((given.get(name) ?? 0) > data.length / 4, `${name}: ${given.get(name)}`);
  t.is(
    [...given.values()].reduce((a, b) => a + b),
    data.length,
  );
  await assertContent(t, `${inbox}/one.bin`, data);
});

test('three receivers at once serve each other', async (t) => {
  const lan = await Lan.make(t);
  const data = content(16 * MIB, 22);
  let sent = 0;
  const from = await lan.peer('source', {
    files: { 'big.bin': data },
    multicast: false,
    filter: (message, direction) => {
      if (direction === 'out' && is(message, 'T')) sent += message.data.length;
      return message;
    },
  });
  const receivers: LanPeer[] = [];
  for (const name of ['a', 'b', 'c']) {
    const wire = await Wire.to(t, from.peer.port, 6 * MIB);
    receivers.push(await lan.peer(name, { multicast: false, join: [wire.address] }));
  }
  await Promise.all(receivers.map((peer) => peer.hashed('big.bin', from)));
  const inboxes = await Promise.all(receivers.map(() => lan.fresh('in')));
  const runs = receivers.map((peer, i) => begin(peer, 'big.bin', inboxes[i]));
  const outcomes = await Promise.all(runs.map(({ ended }) => ended));
  t.deepEqual(
    outcomes.flatMap(({ codes }) => codes),
    [],
  );
  t.deepEqual(
    outcomes.flatMap((o) => o.of('dropped')),
    [],
    'that one of them is done is no fault of anybody',
  );
  for (const inbox of inboxes) await assertContent(t, `${inbox}/big.bin`, data);
  const ids = new Set(receivers.map(({ id }) => id));
  const others = outcomes.map(({ done }) =>
    done[0].sources.filter(({ id }) => ids.has(id)).reduce((sum, { bytes }) => sum + bytes, 0),
  );
  // One that begins late, on a busy machine, may find all of it at the source before the others have dialled it.
  t.true(others.filter((bytes) => bytes > 0).length >= 2, `from other receivers: ${others}`);
  t.true(sent < 2.2 * data.length, `the source sent ${sent / data.length} copies for three`);
});

test('a receiver that is done and leaves is no fault of anybody', async (t) => {
  const lan = await Lan.make(t);
  const data = content(8 * MIB, 23);
  const from = await lan.peer('source', { files: { 'big.bin': data }, multicast: false });
  const receivers: LanPeer[] = [];
  const wires: Wire[] = [];
  for (const name of ['fast', 'slow']) {
    const wire = await Wire.to(t, from.peer.port, 8 * MIB);
    wires.push(wire);
    receivers.push(await lan.peer(name, { multicast: false, join: [wire.address] }));
  }
  await Promise.all(receivers.map((peer) => peer.hashed('big.bin', from)));
  // What the slow one has asked of the source stays on the way until the fast one is done.
  wires[1].stopAfter(2 * MIB);
  const [fast, slow] = await Promise.all(receivers.map(async (peer) => begin(peer, 'big.bin', await lan.fresh('in'))));
  t.deepEqual((await fast.ended).codes, []);
  wires[1].go();
  const outcome = await slow.ended;
  t.deepEqual(outcome.codes, []);
  t.true(
    outcome.done[0].sources.some(({ id }) => id === receivers[0].id),
    'the fast one gave some',
  );
  t.deepEqual(outcome.of('dropped'), []);
});

test('receivers of one source are served fairly', async (t) => {
  const lan = await Lan.make(t);
  const names = ['a', 'b', 'c'];
  const files = Object.fromEntries(names.map((name, i) => [`${name}.bin`, content(24 * MIB, 30 + i)]));
  const sent = new Map<string, number>();
  const from = await lan.peer('source', {
    files,
    filter: (message, direction, peer) => {
      if (direction === 'out' && is(message, 'T')) sent.set(peer, (sent.get(peer) ?? 0) + message.data.length);
      return message;
    },
  });
  const receivers = await Promise.all(names.map((name) => lan.peer(name)));
  await Promise.all(receivers.map((peer, i) => peer.hashed(`${names[i]}.bin`, from)));
  const inbox = await lan.fresh('in');
  const runs = receivers.map((peer, i) => begin(peer, `${names[i]}.bin`, inbox));
  // All under way, from here on what each gets is counted.
  await until(() => receivers.every(({ id }) => (sent.get(id) ?? 0) > 0), 'all are served');
  const before = new Map(sent);
  await until(() => runs.some(({ over }) => over), 'the first is done');
  const shares = receivers.map(({ id }) => (sent.get(id) ?? 0) - (before.get(id) ?? 0));
  for (const { ended } of runs) t.deepEqual((await ended).codes, []);
  t.true(Math.min(...shares) > Math.max(...shares) / 3, `when the first was done: ${shares}`);
});
