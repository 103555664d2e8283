/** How what one writes comes to many: by a few relays, and without many asking the writer. */
import test from 'ava';
import { Host } from './host.js';
import { assertConvergesWithin } from './invariants.js';
import { file, files, removed } from './share.js';
import { World } from './world.js';

/** Hosts that ask one writer itself in the first seconds, at most, however many want to know. */
const ASKERS = 16;

function network(seed: number, count: number, loss = 0): [World, Host[]] {
  const world = new World({ seed, loss });
  const hosts = Array.from({ length: count }, () => new Host(world));
  for (const host of hosts) {
    host.change(...files(host.name, 5));
    host.start();
  }
  assertConvergesWithin(hosts, 60_000);
  world.run(20_000);
  return [world, hosts];
}

/** Hosts that asked this one since. */
function askersOf(host: Host, before: ReadonlyMap<Host, number>): number {
  let askers = 0;
  for (const [other, count] of host.answered) if (count > (before.get(other) ?? 0)) askers++;
  return askers;
}

test.serial('a newcomer has what all share from a few of them, and few of them ask it', (t) => {
  const [world, hosts] = network(1, 36);
  const newcomer = new Host(world);
  newcomer.change(...files(newcomer.name, 5));
  newcomer.start();
  const took = world.runUntil(() => newcomer.gossip.index.size === 37 * 5, 5000);
  t.true((took ?? Number.POSITIVE_INFINITY) <= 2000, `${took} ms`);
  t.true(newcomer.pulledFrom.size <= 6, `from ${newcomer.pulledFrom.size}`);
  assertConvergesWithin([...hosts, newcomer], 5000);
  t.true(askersOf(newcomer, new Map()) <= ASKERS, `${askersOf(newcomer, new Map())} asked it`);
});

for (const [loss, within] of [
  [0, 2000],
  [0.3, 6000],
]) {
  test.serial(`a change too large for datagrams comes to all, and few ask its writer; ${loss * 100} % loss`, (t) => {
    const [world, hosts] = network(2, 36, loss);
    const [writer] = hosts;
    const before = new Map(writer.answered);
    writer.change(...files('large', 300), removed(`${writer.name}/file 0.txt`));
    const took = assertConvergesWithin(hosts, within);
    t.log(`after ${took} ms, asked by ${askersOf(writer, before)}`);
    t.true(askersOf(writer, before) <= ASKERS, `${askersOf(writer, before)} asked`);
    for (const host of hosts) t.is(host.gossip.index.get(writer.id, `${writer.name}/file 0.txt`), undefined);
    world.run(1000);
  });
}

test.serial('relays that do not answer, and such as have nothing, hold up nobody for long', (t) => {
  const [world, hosts] = network(3, 16);
  for (const [i, host] of hosts.slice(0, 10).entries()) {
    const streamed = host.streamed.bind(host);
    host.streamed = (from, message) => {
      if (message.type !== 'b') streamed(from, message);
      else if (i % 2 === 0) {
        const end = { type: 'E', number: message.number, code: '', id: null, message: '' } as const;
        world.connection(host, from)?.send(host, end);
      }
    };
  }
  const newcomer = new Host(world);
  newcomer.start();
  t.log(`after ${assertConvergesWithin([...hosts, newcomer], 30_000)} ms`);
  hosts[0].change(...files('large', 300));
  t.log(`a change after ${assertConvergesWithin([...hosts, newcomer], 30_000)} ms`);
  t.pass();
});

test.serial('one that follows has everything from a few at first, and greets every writer in its time', (t) => {
  const [world, hosts] = network(4, 20);
  const shot = new Host(world, { passive: true, follow: true });
  shot.start();
  assertConvergesWithin([...hosts, shot], 3000);
  const greeted = () => hosts.filter((host) => host.answered.has(shot)).length;
  t.true(greeted() < 12, `${greeted()} at first`);
  t.truthy(
    world.runUntil(() => greeted() === hosts.length, 10_000),
    `${greeted()} greeted`,
  );
  hosts[3].change(file('late', 'late'));
  assertConvergesWithin([...hosts, shot], 1000);
});

test.serial('what was deleted does not come back from a relay that does not know it yet', (t) => {
  const [world, hosts] = network(5, 14);
  const [writer, stale, ...rest] = hosts;
  // It hears nothing of the change, and goes on to hand out what it has.
  world.part([stale], [writer, ...rest]);
  writer.change(...files('large', 100), removed(`${writer.name}/file 1.txt`));
  world.run(3000);
  const newcomer = new Host(world);
  const seen: string[] = [];
  world.watch({ change: (host, { offer }) => void (host === newcomer && seen.push(offer.path)) });
  world.heal();
  world.part([writer], [stale]);
  newcomer.start();
  const isThere = () => newcomer.gossip.index.get(writer.id, 'large/file 0.txt') !== undefined;
  t.truthy(world.runUntil(isThere, 20_000));
  t.truthy(newcomer.peer(stale.id));
  t.false(seen.includes(`${writer.name}/file 1.txt`));
  world.heal();
  assertConvergesWithin([newcomer, ...hosts], 30_000);
  t.false(seen.includes(`${writer.name}/file 1.txt`));
});
