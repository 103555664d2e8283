import test from 'ava';
import { Host } from './host.js';
import { assertBytesIndependent, assertConverged, assertConvergesWithin, assertNothingLost } from './invariants.js';
import { file, files } from './share.js';
import { type Sent, World } from './world.js';

/** What one change costs in datagrams, with so many offers shared. */
function costOfChange(shared: number): { world: World; sent: Sent[]; streamed: number } {
  const world = new World({ seed: 11 });
  const hosts = [new Host(world), new Host(world), new Host(world)];
  hosts[0].change(...files('many', shared));
  for (const host of hosts) host.start();
  world.run(3000);
  assertConverged(hosts);
  const streamed = world.streamBytes;
  const begin = world.now;
  hosts[0].change(file('many/one more', 'more'));
  world.run(600);
  assertConverged(hosts);
  const sent = world.sent.filter(({ at, from, message }) => {
    return at >= begin && from === hosts[0] && message.type === 'O' && message.offers.length > 0;
  });
  return { world, sent, streamed: world.streamBytes - streamed };
}

test('one change costs the same bytes with 10 offers and with 10,000', (t) => {
  const few = costOfChange(10);
  const many = costOfChange(10_000);
  assertBytesIndependent(few.world, few.sent, many.sent);
  t.is(few.sent.length, 3);
  t.is(many.streamed, 0);
});

test('a scan of 20,000 files in many small steps is told in few datagrams, and known to all within 3 s', (t) => {
  const world = new World({ seed: 12, loss: 0.05 });
  const hosts = Array.from({ length: 4 }, () => new Host(world));
  for (const host of hosts) host.start();
  world.run(3000);
  const begin = world.now;
  const all = files('scanned', 20_000);
  for (let i = 0; i < all.length; i += 100) {
    world.after(i / 20, () => hosts[0].change(...all.slice(i, i + 100)));
  }
  world.run(1000);
  const took = assertConvergesWithin(hosts, 3000);
  const told = world.sent.filter(({ at, from, to }) => at >= begin && from === hosts[0] && !to);
  t.log(`${told.length} datagrams, known ${took} ms after the scan, ${world.streamBytes} bytes pulled`);
  t.true(told.length < 40);
  // Each learns each offer about once: what followed is pulled, not everything again.
  t.true(world.streamBytes < 3 * 20_000 * 150);
  for (const host of hosts) assertNothingLost(host);
});

for (const seed of [1, 2, 3]) {
  test(`many who start at one time, with 30 % loss, find each other by what they say to all, and hardly dial; seed ${seed}`, (t) => {
    const world = new World({ seed, loss: 0.3, large: true });
    const hosts = Array.from({ length: 120 }, () => new Host(world));
    for (const host of hosts) world.after(2000 * world.random(), () => host.start());
    world.run(5000);
    const known = hosts.reduce((sum, host) => sum + host.came - host.left, 0) / (120 * 119);
    world.run(10_000);
    const named = world.streamed.get('N')?.bytes ?? 0;
    t.log(`${Math.round(100 * known)} % known after 5 s; ${world.dials} dials, ${named} bytes of neighbours`);
    t.true(known > 0.97);
    t.true(world.dials < 300);
    t.true(named < 300_000);
  });
}
