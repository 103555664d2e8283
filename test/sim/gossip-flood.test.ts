import test from 'ava';
import type { Gossip } from '../../lib/gossip/gossip.js';
import { blake3 } from '../../lib/hash.js';
import { peerId } from '../../lib/ids.js';
import { type Head, packHead, readHead } from '../../lib/wire/head.js';
import type { Message, MessageOf } from '../../lib/wire/table.js';
import { Host } from './host.js';
import { assertConvergesWithin, disagreement } from './invariants.js';
import { files } from './share.js';
import { World } from './world.js';

const PER_SECOND = 20_000;
/** One by one: what comes many at once leaves others the time between. */
const STEP = 1000 / PER_SECOND;
/** Longer than a peer may be silent, and be asked in vain. */
const LASTS = 16_000;
const BAD = new Uint8Array(64);
const NUMBERS = { port: 47748, flags: 0, epoch: 1, version: 0, beat: 0, files: 0, bytes: 0, count: 0, floor: 0 };
const EMPTY = { root: new Uint8Array(32), echo: new Uint8Array(0) };

type Forged = { host: string; message: Message };

/** What an attacker sends: the i-th datagram, and the address that it gives as its own. */
type Flood = (i: number) => Forged;

const spoofed = (i: number): string => `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`;

function offer(head: Uint8Array): MessageOf<'O'> {
  return { type: 'O', head, sig: BAD, from: 0, offers: [] };
}

/** Heads of peers that do not exist, under signatures that nobody made. */
const STRANGERS = Array.from({ length: 500 }, (_, n) => {
  const key = Uint8Array.from(blake3(`stranger ${n}`));
  return offer(packHead({ id: peerId(key, n), key, name: 'x', ...NUMBERS, ...EMPTY }));
});

const FLOODS: Record<string, (members: Host[]) => Flood> = {
  'from one address': () => (i) => ({ host: '10.9.9.9', message: STRANGERS[i % STRANGERS.length] }),
  'from addresses without number': () => (i) => ({ host: spoofed(i), message: STRANGERS[i % STRANGERS.length] }),
  'in the names of the members, from their own addresses': (members) => {
    const forged = members.map((member) => {
      const head: Head = { ...readHead(member.gossip.head().head), beat: 1_000_000 };
      return { host: member.ip, message: offer(packHead(head)) };
    });
    return (i) => forged[i % forged.length];
  },
};

/**
 * Eleven peers that have agreed and have no connections open, so that all depends on datagrams; the first is to be flooded.
 * @param shares whether it shares something: who finds it then connects to it
 */
function network(seed: number, shares: boolean): [World, Host[]] {
  const world = new World({ seed, loss: 0.01 });
  const hosts = Array.from({ length: 11 }, () => new Host(world));
  for (const host of hosts) {
    if (shares || host !== hosts[0]) host.change(...files(host.name, 3));
    host.start();
  }
  assertConvergesWithin(hosts, 10_000);
  for (const host of hosts) for (const connection of world.connectionsOf(host)) connection.close();
  world.run(3000);
  return [world, hosts];
}

/** Sends a flood to one host for a while. */
function flood(world: World, victim: Host, lasts: number, next: Flood): void {
  const end = world.now + lasts;
  let i = 0;
  const step = (): void => {
    const { host, message } = next(i++);
    victim.handle({ kind: 'datagram', from: { host, port: 5000 }, multicast: i % 2 === 0, message });
    if (world.now < end) world.after(STEP, step);
  };
  step();
}

const checked = ({ counters }: Gossip): number => counters.rejected;

for (const [how, make] of Object.entries(FLOODS)) {
  test.serial(`20,000 forged heads a second ${how}: nobody falls out, and a newcomer is found`, (t) => {
    const isFromOne = how === 'from one address';
    const [world, hosts] = network(31, !isFromOne);
    const [victim, ...members] = hosts;
    const told = victim.comings.length;
    const begin = world.now;
    flood(world, victim, LASTS, make(members));
    world.run(5000);
    const before = checked(victim.gossip);
    world.run(1000);
    const perSecond = checked(victim.gossip) - before;
    // Before any arithmetic: at 110 µs each this is a quarter of a core at most.
    t.true(perSecond <= 2300, `${perSecond} a second`);
    const newcomer = new Host(world);
    newcomer.start();
    const took = world.runUntil(() => disagreement([...hosts, newcomer]) === undefined, 6000);
    t.log(`${perSecond} checked a second; the newcomer was known to all after ${took} ms`);
    t.true(took !== undefined && (!isFromOne || took < 1000), disagreement([...hosts, newcomer]));
    world.run(LASTS - 6000);
    t.deepEqual(
      victim.comings.slice(told).map(({ id, change }) => [id, change]),
      [[newcomer.id, 'came']],
    );
    t.is(disagreement([...hosts, newcomer]), undefined);
    if (how.startsWith('in the names')) return;
    // Their heartbeats were heard all the while: hardly anyone had to be asked.
    const probes = world.sent.filter(({ at, from, to, message }) => {
      return at >= begin && from === victim && !to && message.type === 'Q' && message.to !== '';
    });
    t.true(probes.length <= 3, `${probes.length} probes`);
  });
}

test.serial(
  '20,000 questions a second from one address: others are answered, and of the members from any address',
  (t) => {
    const [world, hosts] = network(32, true);
    const [victim, member] = hosts;
    const stranger = new Host(world, { passive: true });
    const pad = new Uint8Array(400);
    const nonce = new Uint8Array(16).fill(7);
    const question = (from: string): Message => ({ type: 'Q', from, to: '', nonce, pad });
    const answersTo = (host: Host, begin: number): number =>
      world.sent.filter(({ at, from, to, message }) => {
        return at >= begin && from === victim && to === host && message.type === 'O';
      }).length;
    const ask = (host: Host): void => {
      const from = { host: host.ip, port: 5000 };
      victim.handle({ kind: 'datagram', from, multicast: false, message: question(host.id) });
    };
    const attacker = new Host(world);
    const begin = world.now;
    flood(world, victim, 10_000, () => ({ host: attacker.ip, message: question(attacker.id) }));
    for (let at = 500; at <= 9500; at += 500) world.after(at, () => ask(stranger));
    world.run(11_000);
    t.true(answersTo(stranger, begin) >= 19, `${answersTo(stranger, begin)}`);
    t.true(answersTo(attacker, begin) <= 1450, `${answersTo(attacker, begin)}`);

    const later = world.now;
    flood(world, victim, 10_000, (i) => ({ host: spoofed(i), message: question(attacker.id) }));
    for (let at = 500; at <= 9500; at += 500) world.after(at, () => ask(member));
    world.run(11_000);
    t.true(answersTo(member, later) >= 19, `${answersTo(member, later)}`);
    t.true(
      world.sent.filter(({ at, from, message }) => at >= later && from === victim && message.type === 'O').length <
        6000,
    );
  },
);

test.serial('heads that are right, from everywhere, make few questions, and no more than some to one address', (t) => {
  const [world, hosts] = network(33, true);
  const [victim, writer] = hosts;
  const { head, sig } = writer.gossip.head();
  const message: Message = { ...offer(head), sig };
  const questions = (begin: number): number =>
    world.sent.filter(({ at, from, message: { type } }) => at >= begin && from === victim && type === 'Q').length;
  // A replayed head of one peer, as if from many places; each of them would be a stranger who is asked.
  const bystanders = Array.from({ length: 40 }, () => new Host(world));
  const begin = world.now;
  flood(world, victim, 4000, (i) => ({ host: bystanders[i % bystanders.length].ip, message }));
  world.run(4000);
  t.true(questions(begin) < 40, `${questions(begin)}`);
  t.is(victim.comings.at(-1)?.change, 'came');
});
