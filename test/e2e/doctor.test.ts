/** The doctor of whole peers on the loopback card: what it counts, and the ports that others hold. */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import test from 'ava';
import { Peer } from '../../lib/peer.js';
import { Lan, LOOPBACK, until } from './lan.js';

test('what goes over the card is counted, and peers are tried', async (t) => {
  const lan = await Lan.make(t);
  const [ada, bob] = await Promise.all(['ada', 'bob'].map((name) => lan.peer(name, { files: { 'a/file': name } })));
  await until(() => ada.offers('a/file').length === 2, 'ada knows of both');
  const { findings, interfaces } = await ada.peer.doctor();
  const [lo, ...more] = interfaces;
  t.deepEqual(more, []);
  t.like(lo, { name: LOOPBACK, heardBroadcast: 0, peers: 1 });
  t.true(lo.addresses.includes('127.0.0.1'));
  t.true(lo.sent > 0 && lo.echoed > 0 && lo.heardMulticast + lo.heardUnicast > 0, JSON.stringify(lo));
  t.is(findings.find(({ topic }) => topic === 'peers')?.message, '1 other peer is here and can be reached');
  // There is no other card: nothing else is wrong.
  t.deepEqual(
    findings.filter(({ level }) => level !== 'ok').map(({ cause }) => cause),
    ['no-card'],
  );
  await bob.peer.stop();
});

test('a port that another program holds is named until it is let go; a one-shot listens where it is told to', async (t) => {
  const lan = await Lan.make(t);
  const group = Number(lan.group.split(':')[1]);
  const holder = createSocket('udp4');
  await new Promise<void>((resolve) => void holder.bind(group, () => resolve()));
  const server = createServer();
  await new Promise<void>((resolve) => void server.listen(0, resolve));
  const { port } = server.address() as { port: number };
  const causes = async (peer: Peer) => (await peer.doctor()).findings.flatMap(({ cause }) => cause ?? []);
  const ada = await lan.peer('ada', { files: { 'a/file': 'a' } });
  t.true((await causes(ada.peer)).includes('port-taken'));
  await new Promise<void>((resolve) => void holder.close(() => resolve()));
  t.false((await causes(ada.peer)).includes('port-taken'));
  const look = async () => {
    const state = await lan.fresh('shot');
    const peer = await Peer.start({ ...lan.options, state, passive: true, listens: true, port, wait: 0.1 });
    try {
      return { port: peer.port, causes: await causes(peer) };
    } finally {
      await peer.stop();
    }
  };
  const first = await look();
  t.true(first.port !== port && first.causes.includes('port-taken'), `${first.causes}`);
  await new Promise((resolve) => server.close(resolve));
  const second = await look();
  t.true(second.port === port && !second.causes.includes('port-taken'), `${second.causes}`);
});
