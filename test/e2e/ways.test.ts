/** Peers that find each other where nothing goes to everyone: by the config's list, and by what they remember. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { freePort } from './free-port.js';
import { get, Lan, type LanPeer, until } from './lan.js';

/** How a peer knows another, once it does. */
async function via(one: LanPeer, other: string): Promise<string> {
  let found: string | undefined;
  let asking = false;
  await until(() => {
    if (!asking) {
      asking = true;
      void one.peer.peers().then((rows) => {
        found = rows.find(({ id, name, self }) => !self && (id === other || name === other))?.via;
        asking = false;
      });
    }
    return found !== undefined;
  }, `${one.peer.name} knows ${other}`);
  return found as string;
}

test('three that list each other form a full mesh without multicast, and go by their names there', async (t) => {
  const lan = await Lan.make(t);
  const names = ['a', 'b', 'c'];
  const ports = await Promise.all(names.map(() => freePort()));
  const peers: LanPeer[] = [];
  const config = join(lan.folder, 'listed.toml');
  // One is called otherwise there than it calls itself.
  const listed = (name: string) => {
    const called = name === 'c' ? 'carol' : name;
    return `[[peers]]\nname = "${called}"\nhost = "127.0.0.1"\nport = ${ports[names.indexOf(name)]}\n`;
  };
  for (const [i, name] of names.entries()) {
    const own = join(lan.folder, `${name}.toml`);
    const others = names.filter((one) => one !== name);
    await writeFile(own, others.map(listed).join(''));
    peers.push(
      await lan.peer(name, { multicast: false, port: ports[i], config: own, files: { [`${name}.txt`]: name } }),
    );
  }
  const [a, b] = peers;
  for (const one of peers)
    for (const other of peers) if (one !== other) t.regex(await via(one, other.id), /config|call/);
  for (const one of peers) for (const name of names) await one.hashed(`${name}.txt`);
  // Each pair has one connection, which one of the two made from its list.
  const ways = await Promise.all([via(a, b.id), via(b, a.id)]);
  t.true(ways.includes('config'), `${ways}`);
  const said = (one: LanPeer) => one.told('warning').map(({ message }) => message);
  const isOther = (message: string) =>
    /the config file expects carol, and c \(.*\) answers; it is joined/.test(message);
  const caller = () => [a, b].find((one) => said(one).some(isOther));
  await until(caller, 'one is told who answers in the place of carol');
  t.false(peers.flatMap(said).some((message) => message.includes('expects a') || message.includes('expects b')));
  // And by the list's name it can be called.
  const one = caller() as LanPeer;
  await until(() => one.offers('c.txt').length > 0, 'its file is known');
  t.deepEqual((await get(one, 'carol:c.txt', `${await lan.fresh('in')}/`)).codes, []);

  // What the file lists can change while it runs.
  await writeFile(config, '');
  const d = await lan.peer('d', { multicast: false, config });
  await writeFile(config, listed('a'));
  t.deepEqual((await d.peer.reload()).applied, ['peers']);
  t.is(await via(d, a.id), 'config');
});

test('who met before finds each other again where nothing goes to everyone, until one is forgotten', async (t) => {
  const lan = await Lan.make(t);
  const states = [await lan.fresh('state'), await lan.fresh('state')];
  const start = (i: number, more: object) => lan.peer(['a', 'b'][i], { state: states[i], ...more });
  const [a, b] = await Promise.all([start(0, {}), start(1, {})]);
  t.is(await via(a, b.id), 'multicast');
  t.is(await via(b, a.id), 'multicast');
  const { port } = b.peer;
  await Promise.all([a.peer.stop(), b.peer.stop()]);

  const apart = { multicast: false };
  const again = await start(1, { ...apart, port });
  // A one-shot too remembers whom the state folder knows.
  const shot = await start(0, { ...apart, passive: true });
  t.is(await via(shot, again.id), 'remembered');
  await shot.peer.stop();
  const second = await start(0, apart);
  t.is(await via(second, again.id), 'remembered');
  t.is(await via(again, second.id), 'call');
  const forgotten = await second.peer.forget('b');
  t.like(forgotten, { id: again.id, name: 'b', names: [] });
  t.true(forgotten.addresses.includes(`127.0.0.1:${port}`));
  await second.peer.stop();

  const third = await start(0, { ...apart, passive: true, wait: 1.5 });
  t.deepEqual(
    (await third.peer.peers()).filter(({ self }) => !self),
    [],
  );
  await t.throwsAsync(third.peer.forget('b'), { message: /no peer b is remembered here/ });
});
