import test from 'ava';
import type { Message } from '../../lib/wire/table.js';
import { Host } from './host.js';
import { assertConvergesWithin, disagreement } from './invariants.js';
import { files } from './share.js';
import { World } from './world.js';

/** Some peers, the first of which has a copy of its state folder on another machine. */
function withTwin(seed: number): { world: World; hosts: Host[]; original: Host; twin: Host } {
  const world = new World({ seed });
  const hosts = Array.from({ length: 3 }, () => new Host(world));
  for (const host of hosts) host.start();
  assertConvergesWithin(hosts, 5000);
  world.run(5000);
  const [original] = hosts;
  const twin = new Host(world);
  Object.assign(twin, { id: original.id, key: original.key, name: original.name });
  return { world, hosts, original, twin };
}

test('two machines with copies of one state are told of each other, even where both say just the same', (t) => {
  const { world, original, twin } = withTwin(61);
  twin.restart(1);
  t.deepEqual(twin.gossip.head(), twin.gossip.head());
  const took = world.runUntil(() => original.warnings.length > 0 && twin.warnings.length > 0, 15_000);
  t.log(`told after ${took} ms`);
  t.true(took !== undefined && took < 2000);
  t.regex(original.warned[0], new RegExp(`one at ${twin.ip} `));
  t.regex(twin.warned[0], new RegExp(`one at ${original.ip} `));
  t.regex(twin.warned[0], /identity\.json|--state/);
  const begin = world.now;
  world.run(600_000);
  for (const { warnings } of [original, twin]) {
    t.deepEqual([...new Set(warnings)], ['state-in-use']);
    // At most once a minute, and less and less.
    t.true(warnings.length >= 3 && warnings.length <= 6, `${warnings.length} in ${world.now - begin} ms`);
  }
  // They do not go above each other for ever.
  t.true(Math.max(original.gossip.epoch, twin.gossip.epoch) <= 3);
});

test('when the twin has gone, the other is whole again', (t) => {
  const { world, hosts, original, twin } = withTwin(62);
  twin.change(...files('of the twin', 5));
  twin.restart(7);
  world.run(100_000);
  t.true(original.warnings.includes('state-in-use'));
  // They do not go above each other for ever.
  t.true(Math.max(original.gossip.epoch, twin.gossip.epoch) <= 10);
  twin.stop();
  // There is one connection to one id.
  for (const connection of world.connectionsOf(original)) connection.close();
  world.run(300_000);
  const told = original.warnings.length;
  t.is(disagreement(hosts), undefined);
  world.run(300_000);
  t.is(original.warnings.length, told);
});

test('a question of one’s own that is handed back, and one’s own words sent again, prove no twin', (t) => {
  const { world, hosts, original } = withTwin(63);
  const [, victim, attacker] = hosts;
  world.run(20_000);
  const say = (message: Message): void => {
    original.handle({ kind: 'datagram', from: { host: attacker.ip, port: 5000 }, multicast: false, message });
  };
  let signed = 0;
  // All that it says is sent back to it at once: its questions as questions of others, its own words as its own.
  for (let i = 0; i < 400; i++) {
    // Of nonces that still count: with older ones nothing can be shown.
    const words = world.sent.filter(({ at, from }) => from === original && at > world.now - 9000).slice(-20);
    for (const { message } of words) {
      if (message.type === 'Q') {
        for (const from of [original.id, attacker.id, victim.id]) say({ ...message, from, to: original.id });
        for (const from of [original.id, attacker.id]) say({ ...message, from, to: '' });
      } else say(message);
    }
    if (i % 50 === 0) original.handle({ kind: 'interfaces-changed' });
    world.run(50);
  }
  const nonces = new Set<string>();
  for (const { from, message } of world.sent) {
    if (from === original && message.type === 'Q') nonces.add(Buffer.from(message.nonce).toString('latin1'));
  }
  for (const { from, message } of world.sent) {
    if (from !== original || message.type !== 'O') continue;
    signed++;
    const echo = Buffer.from(message.head.subarray(-16)).toString('latin1');
    t.false(nonces.has(echo));
  }
  t.true(signed > 10 && nonces.size > 5);
  t.deepEqual(original.warnings, []);
  t.is(original.gossip.epoch, 1);
  world.run(3000);
  t.is(disagreement(hosts), undefined);
});
