/** Sends together and apart: to many, from many, some refused, and gets meanwhile. */
import { join } from 'node:path';
import test from 'ava';
import { assertContent, content, get, Lan, type LanPeer, MIB, names, until, write } from './lan.js';
import { answer, inInbox, sees, send } from './sending.js';
import { Wire } from './wire-between.js';

/** A peer that receives into a folder of its own. */
async function receiver(lan: Lan, name: string, more: Parameters<Lan['peer']>[1] = {}) {
  const folder = await lan.fresh('inbox');
  return { folder, is: await lan.peer(name, { inbox: 'accept', inboxFolder: folder, ...more }) };
}

/** Files in a folder that nobody shares. */
async function outside(lan: Lan, files: Record<string, string | Uint8Array>): Promise<string> {
  const folder = await lan.fresh('outside');
  await write(folder, files);
  return folder;
}

/** What lies in a folder, partials left out. */
const landed = async (folder: string) => (await names(folder)).filter((name) => !name.startsWith('.hearsay-'));

test('one to many: each ends for itself, and each refusal is told apart', async (t) => {
  const lan = await Lan.make(t);
  const data = content(3 * MIB, 1);
  const from = await lan.peer('from');
  const folder = await outside(lan, { 'a.bin': data });
  const all = await Promise.all([
    receiver(lan, 'takes'),
    receiver(lan, 'takes too'),
    receiver(lan, 'has it'),
    receiver(lan, 'has other'),
    receiver(lan, 'refuses', { inbox: 'refuse' }),
    receiver(lan, 'asks', { inbox: 'ask' }),
    receiver(lan, 'only serves', { seedOnly: true }),
  ]);
  const [takes, too, has, other, , asks] = all;
  await write(has.folder, { 'a.bin': data });
  await write(other.folder, { 'a.bin': 'other content' });
  await sees(from, ...all.map((one) => one.is));
  const to = [...all.map((one) => one.is.peer.name), 'nobody', 'from', takes.is.id];
  const sending = send(from, join(folder, 'a.bin'), to);
  const row = await inInbox(asks.is, { state: 'waiting' });
  t.like(row, { name: 'a.bin', files: 1, bytes: data.length, folder: false, from: { id: from.id, name: 'from' } });
  await until(
    () => 'takes too' in sending.results && 'takes' in sending.results,
    'who takes it has it, whoever is asked',
  );
  t.deepEqual(await landed(asks.folder), [], 'nothing is written before it is accepted');
  await answer(asks.is, 'refuse', row);
  await sending.ended;
  t.deepEqual(sending.results, {
    takes: 'done',
    'takes too': 'done',
    'has it': 'exists',
    'has other': 'exists',
    refuses: 'refused',
    asks: 'refused',
    'only serves': 'refused',
    nobody: 'no-peer',
    from: 'usage',
    [takes.is.id]: 'done',
  });
  t.deepEqual(sending.events.at(-1), { event: 'end', done: 3, failed: 7 });
  t.is(sending.events.at(0)?.event, 'start');
  const { peer } = sending.of('done').find(({ to: name }) => name === 'takes') ?? {};
  t.deepEqual(peer, { id: takes.is.id, name: 'takes' }, 'nothing else of it is told');
  const saying = (name: string) => sending.of('error').find(({ to: each }) => each === name)?.error.message ?? '';
  t.regex(saying('has it'), /there already, the same/);
  t.regex(saying('has other'), /something else of the name/);
  for (const one of [takes, too]) await assertContent(t, join(one.folder, 'a.bin'), data);
  await assertContent(t, join(other.folder, 'a.bin'), Buffer.from('other content'));
  t.is(
    (await inInbox(takes.is, { state: 'received' })).path,
    join(takes.folder, 'a.bin'),
    'once, although it was named twice',
  );
  t.is((await takes.is.peer.inbox()).length, 1);
  t.deepEqual(await landed(asks.folder), []);
});

test('many to one: files of several senders arrive at the same time, the same name once', async (t) => {
  const lan = await Lan.make(t);
  const senders: LanPeer[] = [];
  const wires: Wire[] = [];
  const data = [1, 2, 3].map((seed) => content(4 * MIB, seed));
  for (const name of ['x', 'y', 'z']) {
    const peer = await lan.peer(name, { multicast: false });
    const wire = await Wire.to(t, peer.peer.port);
    wires.push(wire);
    senders.push(peer);
  }
  const hosts = wires.map(({ address }) => address);
  const { is: one, folder } = await receiver(lan, 'one', { multicast: false, join: hosts });
  for (const sender of senders) await sees(sender, one);
  for (const wire of wires) wire.stopAfter(MIB);
  const files = await outside(lan, Object.fromEntries(data.map((each, i) => [`${i}.bin`, each])));
  const runs = senders.map((sender, i) => send(sender, join(files, `${i}.bin`), ['one']));
  // All are on their way at once: each wire stands still with some of its file behind it.
  await until(() => wires.every(({ still }) => still), 'all are under way');
  for (const i of [0, 1, 2]) await inInbox(one, { name: `${i}.bin`, state: 'receiving' });
  const again = send(senders[1], join(files, '0.bin'), ['one']);
  wires[1].go();
  await again.ended;
  t.deepEqual(again.results, { one: 'busy' }, 'its name is being received from another');
  await runs[1].ended;
  t.deepEqual(runs[1].results, { one: 'done' }, 'it is done while the others stand still');
  t.false(runs[0].over || runs[2].over);
  for (const wire of wires) wire.go();
  for (const [i, run] of runs.entries()) {
    await run.ended;
    t.deepEqual(run.results, { one: 'done' });
    await assertContent(t, join(folder, `${i}.bin`), data[i]);
  }
  t.deepEqual(await landed(folder), ['0.bin', '1.bin', '2.bin']);
});

test('while something is received: the same is refused, another is accepted, and a get of it goes on', async (t) => {
  const lan = await Lan.make(t);
  const data = content(6 * MIB, 7);
  const from = await lan.peer('from', { files: { 'big.bin': data }, multicast: false });
  const other = await lan.peer('other', { files: { 'copies/big.bin': data }, multicast: false });
  await Promise.all([from.hashed('big.bin'), other.hashed('copies/big.bin')]);
  const wire = await Wire.to(t, from.peer.port);
  const folder = await lan.fresh('inbox');
  const near = `127.0.0.1:${other.peer.port}`;
  const to = await lan.peer('to', { inboxFolder: folder, multicast: false, join: [wire.address, near] });
  const getter = await lan.peer('getter', { multicast: false, join: [`127.0.0.1:${from.peer.port}`] });
  await sees(from, to);
  await sees(other, to);
  wire.stopAfter(2 * MIB);
  const sending = send(from, from.file('big.bin'), ['to']);
  await answer(to, 'accept', await inInbox(to, { state: 'waiting' }));
  await until(() => wire.still && sending.progress('to') > 0, 'some of it is there');

  const small = await outside(lan, { 'big.bin': 'another of this name', 'small.txt': 'small', 'unwanted.txt': 'no' });
  const same = send(other, join(small, 'big.bin'), ['to']);
  await same.ended;
  t.deepEqual(same.results, { to: 'busy' });
  const wanted = send(other, join(small, 'small.txt'), ['to']);
  const unwanted = send(other, join(small, 'unwanted.txt'), ['to']);
  await answer(to, 'accept', await inInbox(to, { name: 'small.txt', state: 'waiting' }));
  await answer(to, 'refuse', await inInbox(to, { name: 'unwanted.txt', state: 'waiting' }));
  await Promise.all([wanted.ended, unwanted.ended]);
  t.deepEqual([wanted.results.to, unwanted.results.to], ['done', 'refused']);
  t.deepEqual(await landed(folder), ['small.txt']);

  // By another, from who sends it; and by who receives it, from another that shares the same.
  const into = await Promise.all([lan.fresh('in'), lan.fresh('in')]);
  await getter.hashed('big.bin', from);
  await to.hashed('copies/big.bin', other);
  const gets = await Promise.all([
    get(getter, 'big.bin', `${into[0]}/`),
    get(to, 'copies/big.bin', `${into[1]}/`, { from: ['other'] }),
  ]);
  for (const [i, outcome] of gets.entries()) {
    t.deepEqual(outcome.codes, []);
    await assertContent(t, join(into[i], 'big.bin'), data);
  }
  t.false(sending.over, 'the one that is sent still waits');
  t.deepEqual(await landed(folder), ['small.txt']);
  wire.go();
  await sending.ended;
  t.deepEqual(sending.results, { to: 'done' });
  await assertContent(t, join(folder, 'big.bin'), data);

  const once = send(from, from.file('big.bin'), ['to']);
  await once.ended;
  t.deepEqual(once.results, { to: 'exists' }, 'it is in the inbox');
  t.is((await to.peer.inbox()).filter(({ state }) => state === 'waiting').length, 0, 'and nobody is asked');
});

test('what is sent is seen by nobody else, and is no part of what is shared', async (t) => {
  const lan = await Lan.make(t);
  const folder = await outside(lan, { 'trip/a/b.txt': 'deep', 'trip/c.txt': 'flat', 'alone.txt': 'one' });
  const from = await lan.peer('from', { files: { 'shared.txt': 'x' } });
  const to = await receiver(lan, 'to', { inbox: 'ask' });
  const outsider = await lan.peer('outsider');
  await sees(from, to.is, outsider);
  const sending = send(from, [join(folder, 'trip'), join(folder, 'alone.txt')], ['to']);
  const row = await inInbox(to.is, { state: 'waiting' });
  t.like(row, { name: 'trip and 1 more', files: 3, bytes: 11 });
  await outsider.knows('shared.txt', from);
  for (const peer of [from, to.is, outsider]) {
    const { files } = await peer.peer.list({});
    t.deepEqual(
      files.map(({ path }) => path),
      ['shared.txt'],
      peer.peer.name,
    );
  }
  t.deepEqual(
    (await from.peer.status()).shares.map(({ name }) => name),
    ['shared.txt'],
  );
  await answer(to.is, 'accept', row);
  await sending.ended;
  t.deepEqual(sending.results, { to: 'done' });
  t.deepEqual(await landed(to.folder), ['alone.txt', 'trip']);
  await assertContent(t, join(to.folder, 'trip', 'a', 'b.txt'), Buffer.from('deep'));
  t.deepEqual((await to.is.peer.status()).shares, []);
});

test('lists of several peers while they send to each other', async (t) => {
  const lan = await Lan.make(t);
  const all = ['p', 'q', 'r'];
  const folders = await Promise.all(all.map(() => lan.fresh('inbox')));
  const peers = await Promise.all(
    all.map((name, i) =>
      lan.peer(name, { files: { [`of-${name}/x.bin`]: content(MIB, i) }, inbox: 'accept', inboxFolder: folders[i] }),
    ),
  );
  for (const peer of peers) await sees(peer, ...peers.filter((other) => other !== peer));
  const runs = peers.map((peer, i) => {
    const name = all[i];
    return send(
      peer,
      peer.file(`of-${name}/x.bin`),
      all.filter((other) => other !== name),
      `from-${name}.bin`,
    );
  });
  for (const peer of peers) {
    for (const other of peers) await peer.knows(`of-${other.peer.name}/x.bin`, other);
    const some = await peer.peer.list({ from: ['p', 'q'] });
    t.deepEqual(
      some.files.map(({ path }) => path),
      ['of-p/x.bin', 'of-q/x.bin'],
    );
    const away = await peer.peer.list({ from: ['r', 'gone'] });
    t.deepEqual(away.away, ['gone']);
    t.deepEqual(
      away.files.map(({ path }) => path),
      ['of-r/x.bin'],
    );
  }
  for (const run of runs) {
    await run.ended;
    t.deepEqual(Object.values(run.results), ['done', 'done']);
  }
  for (const [i, folder] of folders.entries()) {
    t.deepEqual(
      await landed(folder),
      all.filter((_, j) => j !== i).map((name) => `from-${name}.bin`),
    );
  }
});

test('gets from many by many, while one of them sends it too', async (t) => {
  const lan = await Lan.make(t);
  const data = content(6 * MIB, 11);
  const sources = await Promise.all(
    ['one', 'two'].map((name) => lan.peer(name, { files: { [`of-${name}/big.bin`]: data } })),
  );
  await Promise.all(sources.map((peer) => peer.hashed(`of-${peer.peer.name}/big.bin`)));
  const getters = await Promise.all(['k', 'l', 'm'].map((name) => lan.peer(name)));
  const to = await receiver(lan, 'to');
  for (const getter of getters) for (const one of ['one', 'two']) await getter.hashed(`of-${one}/big.bin`);
  await sees(sources[0], to.is);
  const sending = send(sources[0], sources[0].file('of-one/big.bin'), ['to']);
  const into = await Promise.all(getters.map(() => lan.fresh('in')));
  const runs = getters.map((getter, i) => get(getter, `of-${i % 2 ? 'one' : 'two'}/big.bin`, `${into[i]}/`));
  for (const [i, run] of runs.entries()) {
    t.deepEqual((await run).codes, []);
    await assertContent(t, join(into[i], 'big.bin'), data);
  }
  await sending.ended;
  t.deepEqual(sending.results, { to: 'done' });
  await assertContent(t, join(to.folder, 'big.bin'), data);
});
