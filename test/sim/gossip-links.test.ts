/** What becomes of peers that multicast does not reach when their connections break, and of those that come to a tracker. */
import test from 'ava';
import { Host } from './host.js';
import { assertConvergesWithin, assertNothingLost, disagreement } from './invariants.js';
import { files } from './share.js';
import { World } from './world.js';

/** Some peers that no multicast reaches, joined with the first of them. */
function joined(seed: number, count: number, tracker = false): [World, Host[]] {
  const world = new World({ seed });
  const hosts = Array.from(
    { length: count },
    (_, i) => new Host(world, { multicast: false, tracker: tracker && i === 0 }),
  );
  for (const host of hosts) {
    host.change(...files(host.name, 5));
    host.start();
    if (host !== hosts[0]) host.join(hosts[0]);
  }
  return [world, hosts];
}

const left = (hosts: Host[]) => hosts.flatMap(({ comings }) => comings.filter(({ change }) => change === 'left'));

test('a peer that was killed is gone within half a second for all who were connected with it', (t) => {
  for (let seed = 100; seed < 110; seed++) {
    const [world, hosts] = joined(seed, 6);
    assertConvergesWithin(hosts, 30_000);
    world.run(20_000);
    const [, victim] = hosts;
    const rest = hosts.filter((host) => host !== victim);
    victim.kill();
    const took = assertConvergesWithin(rest, 500);
    t.true(took <= 500);
    for (const host of rest) assertNothingLost(host);
    t.is(left(rest).length, rest.length);
    // It is looked for, and found again.
    victim.restart();
    assertConvergesWithin(hosts, 10_000);
  }
});

test('a machine that only does not answer is not taken for gone at once', (t) => {
  const [world, hosts] = joined(111, 4);
  assertConvergesWithin(hosts, 30_000);
  const [, victim] = hosts;
  const rest = hosts.filter((host) => host !== victim);
  victim.vanish();
  // Its connections break in the end.
  world.run(10_000);
  t.deepEqual(left(rest), []);
  assertConvergesWithin(rest, 60_000);
});

test('connections that break while both sides are well bring nobody down, nor does a quick restart', (t) => {
  const [world, hosts] = joined(112, 5);
  assertConvergesWithin(hosts, 30_000);
  world.run(20_000);
  for (const host of hosts) for (const connection of world.connectionsOf(host)) connection.close();
  world.run(2000);
  t.deepEqual(left(hosts), []);
  t.is(disagreement(hosts), undefined);
  t.is(world.connectionsOf(hosts[0]).length, 4);
  hosts[2].restart();
  world.run(5000);
  t.deepEqual(left(hosts), []);
  t.is(disagreement(hosts), undefined);
});

test('what multicast reaches is not buried because a connection is refused', (t) => {
  const world = new World({ seed: 113 });
  const hosts = Array.from({ length: 3 }, () => new Host(world));
  for (const host of hosts) host.start();
  assertConvergesWithin(hosts, 5000);
  world.run(10_000);
  const [one, two] = hosts;
  one.handle({ kind: 'dial-failed', peer: two.id, address: undefined, refused: true });
  one.handle({ kind: 'departed', peer: two.id });
  t.truthy(one.peer(two.id));
});

test('who departed for somebody is gone, unless it is connected with us', (t) => {
  const [world, hosts] = joined(114, 3);
  assertConvergesWithin(hosts, 30_000);
  const [one, two, three] = hosts;
  one.handle({ kind: 'departed', peer: two.id });
  t.truthy(one.peer(two.id), 'we are connected');
  world.connection(one, two)?.vanish();
  one.handle({ kind: 'disconnected', peer: two.id });
  one.handle({ kind: 'departed', peer: two.id });
  t.is(one.peer(two.id), undefined);
  t.truthy(one.peer(three.id));
  // It is not dialled: it comes by itself.
  const before = one.comings.length;
  world.run(3000);
  t.is(one.comings.length, before);
  two.restart();
  two.join(one);
  world.run(1000);
  t.truthy(one.peer(two.id));
});

test('a tracker has everyone’s offers, and neither tells its clients of each other nor dials them', (t) => {
  const [world, hosts] = joined(115, 20, true);
  const [tracker, ...clients] = hosts;
  t.truthy(world.runUntil(() => clients.every((client) => [...tracker.gossip.index.of(client.id)].length === 5), 5000));
  world.run(60_000);
  for (const client of clients) {
    t.deepEqual(
      client.gossip
        .peers()
        .map(({ id }) => id)
        .sort(),
      [client.id, tracker.id].sort(),
    );
    t.is(world.connectionsOf(client).length, 1);
  }
  t.is(tracker.comings.length, clients.length);
  const [one, two] = clients;
  one.change(...files('late', 3));
  world.run(1000);
  t.is([...tracker.gossip.index.of(one.id)].length, 8);
  two.kill();
  const dials = world.dials;
  world.run(30_000);
  t.is(world.dials, dials);
  // A client that is told of neighbours by a tracker does not follow that.
  const { head, sig } = one.gossip.head();
  clients[2].handle({
    kind: 'message',
    peer: tracker.id,
    message: { type: 'N', peers: [{ head, sig, addresses: [one.address] }] },
  });
  world.run(5000);
  t.is(world.connectionsOf(clients[2]).length, 1);
});
