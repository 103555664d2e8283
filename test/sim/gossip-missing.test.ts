/** Peers that fall silent: who asks, who is believed, and that nobody is dropped who is there. */
import test, { type ExecutionContext } from 'ava';
import { missingStatement, readHead } from '../../lib/wire/head.js';
import type { MessageOf } from '../../lib/wire/table.js';
import { Host } from './host.js';
import { assertConverged, assertConvergesWithin, assertNothingLost, disagreement } from './invariants.js';
import { file, files } from './share.js';
import { fakeSigner } from './signer.js';
import { type Sent, World, type WorldOptions } from './world.js';

function network(count: number, options: Partial<WorldOptions> = {}): [World, Host[]] {
  const world = new World({ seed: 71, ...options });
  const hosts = Array.from({ length: count }, () => new Host(world));
  for (const host of hosts) {
    host.change(...files(host.name, 3));
    host.start();
  }
  assertConvergesWithin(hosts, 60_000);
  return [world, hosts];
}

const but = (hosts: Host[], ...some: Host[]): Host[] => hosts.filter((host) => !some.includes(host));
const left = (hosts: Host[]) => hosts.flatMap(({ comings }) => comings.filter(({ change }) => change === 'left'));

for (const [count, loss, within] of [
  [20, 0.3, 20_000],
  [40, 0.3, 30_000],
]) {
  test(`of ${count} peers, with ${loss * 100} % loss, all miss one that has crashed within ${within / 1000} s, and few ask`, (t) => {
    const [world, hosts] = network(count, { loss });
    world.run(12_000);
    const [victim, ...rest] = hosts;
    victim.vanish();
    const begin = world.now;
    const took = assertConvergesWithin(rest, within);
    const asked = world.sent.filter(({ at, to, message }) => at > begin && to === victim && message.type === 'Q');
    const askers = new Set(asked.map(({ from }) => from)).size;
    t.log(`missed by all after ${took} ms; ${askers} asked`);
    t.true(askers <= 30, `${askers} asked`);
    t.true(world.sent.some(({ message }) => message.type === 'x' && message.id === victim.id));
    t.is(left(rest).length, count - 1);
  });
}

test('where nearly a third is lost nobody is taken for gone who is there, and what that costs is bounded', (t) => {
  const [world, hosts] = network(40, { loss: 0.3, large: true });
  world.run(20_000);
  const bytes = world.datagramBytes;
  world.run(120_000);
  assertConverged(hosts);
  const rate = (world.datagramBytes - bytes) / 120;
  t.log(`${Math.round(rate)} bytes a second`);
  t.is(
    hosts.reduce((sum, host) => sum + host.left, 0),
    0,
  );
  t.true(rate < 25_000);
});

/** What a member says of another. */
function accusation(teller: Host, victim: Host, beat: number, key = teller.key): MessageOf<'x'> {
  const { id } = victim;
  const { epoch } = readHead(victim.gossip.head().head);
  const sig = fakeSigner(key).sign(missingStatement(id, epoch, beat, teller.id));
  return { type: 'x', id, epoch, beat, from: teller.id, sig };
}

const say = (to: Host, message: MessageOf<'x'>, host: string, multicast = true): void =>
  to.handle({ kind: 'datagram', from: { host, port: 5000 }, multicast, message });

function assertStays(t: ExecutionContext, world: World, hosts: Host[]): void {
  world.run(3000);
  t.is(disagreement(hosts), undefined);
  t.deepEqual(left(hosts), []);
}

test('a liar drops nobody who was heard lately; and who hears that it is said to be missing speaks up', (t) => {
  const [world, hosts] = network(5);
  world.run(30_000);
  const [victim, liar, ...rest] = hosts;
  for (let i = 0; i < 20; i++) {
    for (const host of but(hosts, victim, liar)) say(host, accusation(liar, victim, 1000), liar.ip);
    world.run(1000);
  }
  assertStays(t, world, hosts);
  // They have not heard it for long: but it hears what is said of it.
  world.cut([victim], rest);
  world.run(9000);
  world.heal();
  const begin = world.now;
  const before = readHead(victim.gossip.head().head).beat;
  for (let i = 0; i < 50; i++)
    for (const host of hosts) if (host !== liar) say(host, accusation(liar, victim, 1000), liar.ip);
  t.true(readHead(victim.gossip.head().head).beat <= before + 1, 'it speaks up once, however often it is said');
  world.run(700);
  const spoke = ({ at, from, to, message }: Sent): boolean =>
    at >= begin - 400 && from === victim && !to && message.type === 'O';
  t.true(world.sent.some(spoke));
  assertStays(t, world, hosts);
});

test('what a stranger says of a member, or in another’s name, or of a beat before the last, or a member to one alone, drops nobody', (t) => {
  const [world, hosts] = network(4);
  world.run(20_000);
  const [victim, teller, hearer] = hosts;
  const stranger = new Host(world);
  // It is silent for the hearer, and it cannot speak up.
  world.part([victim], but(hosts, victim));
  world.run(9000);
  const { beat } = readHead(victim.gossip.head().head);
  for (let i = 0; i < 5; i++) {
    say(hearer, accusation(stranger, victim, beat), stranger.ip);
    say(hearer, accusation(teller, victim, beat, stranger.key), teller.ip);
    say(hearer, accusation(teller, victim, 0), teller.ip);
    say(hearer, { ...accusation(teller, victim, 0), beat }, teller.ip);
    say(hearer, accusation(teller, victim, beat), teller.ip, false);
    world.run(50);
  }
  world.run(650);
  t.truthy(hearer.peer(victim.id));
  // By a member in its own words it would have been, whoever passes them on.
  say(hearer, accusation(teller, victim, beat), stranger.ip);
  world.run(700);
  t.is(hearer.peer(victim.id), undefined);
  world.heal();
  assertConvergesWithin(hosts, 20_000);
});

test('one that was busy drops nobody for what it could not hear, and after a sleep asks everyone', (t) => {
  const [world, hosts] = network(10);
  world.run(30_000);
  const [host, ...others] = hosts;
  for (const ms of [4000, 20_000, 600_000]) {
    // What is sent to it meanwhile is lost, its timers stand still.
    host.isUp = false;
    world.run(ms);
    host.isUp = true;
    const begin = world.now;
    host.handle({ kind: 'lag', ms });
    for (const other of others) host.handle({ kind: 'timer', timer: { kind: 'expire', peer: other.id } });
    host.handle({ kind: 'timer', timer: { kind: 'heartbeat' } });
    t.deepEqual(left([host]), [], `${ms} ms`);
    world.run(300);
    const asked = world.sent.filter(({ at, from, message }) => at >= begin && from === host && message.type === 'Q');
    t.is(asked.length > 0, ms > 5000);
    assertConvergesWithin(hosts, 20_000);
    t.deepEqual(left([host]), []);
  }
});

test('who comes back after hours fetches only what has changed meanwhile', (t) => {
  const [world, hosts] = network(6);
  world.run(10_000);
  const [sleeper, writer, ...rest] = hosts;
  world.part([sleeper], but(hosts, sleeper));
  world.run(2 * 3_600_000);
  assertConverged([writer, ...rest]);
  writer.change(file('new', 'new'));
  world.run(30_000);
  const streamed = world.streamBytes;
  world.heal();
  assertConvergesWithin(hosts, 60_000);
  for (const host of hosts) assertNothingLost(host);
  t.log(`${world.streamBytes - streamed} bytes`);
  t.true(world.streamBytes - streamed < 8000, `${world.streamBytes - streamed}`);
});

test('one-shots that come and go make nobody say or fetch anything but answers', (t) => {
  const [world, hosts] = network(36);
  world.run(20_000);
  const told = hosts.map(({ comings, changes }) => comings.length + changes.length);
  const [begin, pulls, dials] = [world.now, hosts.map((host) => host.pulls), world.dials];
  const beats = hosts.map((host) => readHead(host.gossip.head().head).beat);
  for (let i = 0; i < 3; i++) {
    const shot = new Host(world, { passive: true });
    shot.start();
    world.run(2000);
    t.is(shot.gossip.peers().length, 36);
    if (i % 2) shot.stop();
    else shot.vanish();
  }
  world.run(10_000);
  t.deepEqual(
    hosts.map(({ comings, changes }) => comings.length + changes.length),
    told,
  );
  t.deepEqual(
    hosts.map((host) => host.pulls),
    pulls,
  );
  t.is(world.dials, dials);
  // Each says a heartbeat in 8 s, as ever, and asks nobody.
  const most = Math.ceil((world.now - begin) / 7200) + 1;
  for (const [i, host] of hosts.entries()) t.true(readHead(host.gossip.head().head).beat - beats[i] <= most);
  t.true(world.sent.every(({ at, from, message }) => at < begin || from.passive || message.type === 'O'));
});

test('two who took each other for gone are there for both as soon as one hears the other', (t) => {
  const [world, hosts] = network(2);
  const [a, b] = hosts;
  world.part([a], [b]);
  t.truthy(world.runUntil(() => !a.peer(b.id) && !b.peer(a.id), 60_000));
  // Until their connection has broken too.
  world.run(20_000);
  world.heal();
  // Nor do they come to be connected.
  world.connect = (_from, _to, done) => world.after(10, () => done(undefined));
  // What the first says to all does not reach the other any more.
  const send = world.send.bind(world);
  world.send = (from, to, message, broadcast) => {
    if (from !== a || to) send(from, to, message, broadcast);
  };
  t.truthy(world.runUntil(() => a.peer(b.id) !== undefined, 20_000));
  const took = world.runUntil(() => b.peer(a.id) !== undefined, 1000);
  t.not(took, undefined);
});
