import test from 'ava';
import { Host } from './host.js';
import { assertConvergesWithin, assertNothingLost } from './invariants.js';
import { file, removed } from './share.js';
import { World } from './world.js';

/** Something happens to one of the hosts, or to the network between them. */
function mishap(world: World, hosts: Host[], isAlone: Set<Host>): void {
  const pick = (n: number): number => Math.floor(world.random() * n);
  const host = hosts[pick(hosts.length)];
  const what = pick(12);
  if (what < 6) {
    const changes = Array.from({ length: 1 + pick(8) }, () => {
      const path = `${host.name}/${pick(20)}`;
      return pick(3) === 0 ? removed(path) : file(path, pick(4) === 0 ? undefined : `content ${pick(5)}`);
    });
    host.change(...changes);
  } else if (what === 6 && host.isUp) host.kill();
  else if (what === 7 && host.isUp) host.stop();
  else if (what === 8 && host.isUp) host.vanish();
  else if (what === 9) {
    world.part(
      [host],
      hosts.filter((other) => other !== host),
    );
    isAlone.add(host);
  } else if (what === 10) world.heal();
  else if (!host.isUp) host.restart();
}

for (let seed = 100; seed < 116; seed++) {
  test(`after any mishaps all agree again; seed ${seed}`, (t) => {
    const world = new World({ seed, loss: 0.1, doubled: 0.1, latency: [0.2, 60] });
    // Half of the worlds have no multicast for some, who join the first.
    const hosts = Array.from({ length: 6 }, (_, i) => new Host(world, { multicast: i < 4 || seed % 2 === 0 }));
    for (const host of hosts) host.start();
    for (const host of hosts) if (!host.multicast) host.join(hosts[0]);
    const isAlone = new Set<Host>();
    for (let i = 0; i < 60; i++) {
      mishap(world, hosts, isAlone);
      world.run(world.random() ** 3 * 8000);
    }
    world.heal();
    world.run(1000);
    for (const host of hosts) if (!host.isUp) host.restart();
    for (const host of hosts) if (!host.multicast) host.join(hosts[0]);
    t.log(`agreed after ${assertConvergesWithin(hosts, 90_000)} ms`);
    // A run begins with nothing told.
    for (const host of hosts) if (host.gossip.epoch === 1) assertNothingLost(host);
    t.pass();
  });
}
