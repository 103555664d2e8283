/** What a refresh brings about: everybody is asked now, and what waits for its time is tried at once. */
import test from 'ava';
import type { Effect } from '../../lib/gossip/gossip.js';
import { doubtDelay, GRACE, PROBE_GAP, PROBES } from '../../lib/gossip/pace.js';
import { readHead } from '../../lib/wire/head.js';
import type { MessageOf } from '../../lib/wire/table.js';
import { Host } from './host.js';
import { assertConverged, assertConvergesWithin, disagreement } from './invariants.js';
import { files } from './share.js';
import { World } from './world.js';

function network(seed: number, count: number, more: { loss?: number; multicast?: boolean } = {}): [World, Host[]] {
  const { multicast = true, ...rest } = more;
  const world = new World({ seed, ...rest });
  const hosts = Array.from({ length: count }, () => new Host(world, { multicast }));
  for (const host of hosts) {
    host.change(...files(host.name, 5));
    host.start();
    if (!multicast && host !== hosts[0]) host.join(hosts[0]);
  }
  return [world, hosts];
}

const left = (hosts: Host[]) => hosts.flatMap(({ comings }) => comings.filter(({ change }) => change === 'left'));

test('one that lost its power is gone soon after a refresh, for the one who asked', (t) => {
  const [world, hosts] = network(1, 4);
  assertConvergesWithin(hosts, 10_000);
  world.run(60_000);
  const [asker, other, victim] = hosts;
  victim.vanish();
  asker.handle({ kind: 'refresh' });
  const took = world.runUntil(() => asker.peer(victim.id) === undefined, 15_000);
  t.true((took ?? Number.POSITIVE_INFINITY) <= doubtDelay(4) + PROBES * PROBE_GAP + GRACE + 200, `${took} ms`);
  t.truthy(other.peer(victim.id), 'who did not ask waits for its silence');
  assertConvergesWithin(
    hosts.filter((host) => host !== victim),
    15_000,
  );
});

test('a refresh buries nobody who is there, over and over, where a fifth is lost, and costs a few datagrams of each', (t) => {
  const [world, hosts] = network(2, 24, { loss: 0.2 });
  assertConvergesWithin(hosts, 60_000);
  world.run(60_000);
  const before = left(hosts).length;
  const sentIn = (ms: number): number => {
    const sent = world.sent.length;
    world.run(ms);
    return world.sent.length - sent;
  };
  for (let i = 0; i < 5; i++) {
    const quiet = sentIn(8000);
    hosts[i].handle({ kind: 'refresh' });
    const cost = sentIn(8000) - quiet;
    t.true(cost < 8 * hosts.length, `${cost} datagrams`);
  }
  for (let i = 0; i < 20; i++) {
    hosts[0].handle({ kind: 'refresh' });
    world.run(100);
  }
  world.run(10_000);
  t.is(left(hosts).length, before);
  assertConverged(hosts);
});

test('those that are connected, and that multicast does not reach, are left alone', (t) => {
  const [world, hosts] = network(3, 5, { multicast: false });
  assertConvergesWithin(hosts, 30_000);
  world.run(30_000);
  for (let i = 0; i < 10; i++) {
    hosts[i % 5].handle({ kind: 'refresh' });
    world.run(1500);
  }
  t.deepEqual(left(hosts), []);
  assertConverged(hosts);
});

/** A host was cut off for long, and is not any more: how long until all agree. */
function healed(refresh: boolean): number | undefined {
  const [world, hosts] = network(4, 3, { multicast: false });
  assertConvergesWithin(hosts, 10_000);
  world.run(10_000);
  const [far, ...near] = hosts;
  world.part([far], near);
  world.run(120_000);
  world.heal();
  if (refresh) for (const host of hosts) host.handle({ kind: 'refresh' });
  return world.runUntil(() => disagreement(hosts) === undefined, 60_000);
}

test('one that is dialled again and again is dialled at once', (t) => {
  const [without, ours] = [healed(false), healed(true)];
  t.true((ours ?? Number.POSITIVE_INFINITY) <= 1500, `${ours} ms`);
  t.true((without ?? 0) > 3000, `${without} ms without it`);
});

test('what could not be pulled is pulled at once', (t) => {
  const [world, hosts] = network(5, 2);
  assertConvergesWithin(hosts, 10_000);
  world.run(20_000);
  const [reader, writer] = hosts;
  world.part([reader], [writer]);
  writer.change(...files('more', 300));
  world.run(1000);
  world.heal();
  // It hears that there is more, and each pull fails.
  const isPull = (effect: Effect) =>
    effect.kind === 'pull' || (effect.kind === 'timer' && effect.timer.kind === 'pull');
  let at = world.now + 10_000;
  const handle = (event: Parameters<typeof reader.gossip.handle>[0]) => reader.gossip.handle(event, at);
  let effects = handle({ kind: 'message', peer: writer.id, message: heartbeatOf(writer) });
  let next = effects.find(isPull);
  for (let i = 0; i < 8; i++) {
    if (next?.kind !== 'timer') return t.fail('no pull is to come');
    at = next.at;
    effects = handle({ kind: 'timer', timer: next.timer });
    t.is(effects.find(isPull)?.kind, 'pull');
    effects = handle({ kind: 'pull-failed', from: pulledFrom(effects), writer: writer.id, code: 'unreachable' });
    next = effects.find(isPull);
  }
  if (next?.kind !== 'timer') return t.fail('no pull is to come');
  t.true(next.at - at >= 10_000, `${next.at - at} ms`);
  const hurried = handle({ kind: 'refresh' }).find(isPull);
  t.true(hurried?.kind === 'timer' && hurried.at - at <= 50);
  return t.pass();
});

function pulledFrom(effects: readonly Effect[]): string {
  const pull = effects.find((effect) => effect.kind === 'pull');
  if (pull?.kind !== 'pull') throw new Error('no pull');
  return pull.from;
}

/** What a host says of itself, as things are now. */
function heartbeatOf(host: Host): MessageOf<'O'> {
  const { head, sig } = host.gossip.head();
  return { type: 'O', head, sig, from: readHead(head).version, offers: [] };
}
