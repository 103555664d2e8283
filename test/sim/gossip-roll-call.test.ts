import test from 'ava';
import { NAMED_MAX } from '../../lib/gossip/roll-call.js';
import { Host } from './host.js';
import { World } from './world.js';

/** No datagram of either reaches the other. */
function estrange(one: Host, other: Host): void {
  for (const [host, from] of [
    [one, other],
    [other, one],
  ]) {
    const hear = host.datagram.bind(host);
    host.datagram = (event) => {
      if (event.from.host !== from.ip) hear(event);
    };
  }
}

function begun(count: number, seed: number): { world: World; hosts: Host[] } {
  const world = new World({ seed });
  const hosts = Array.from({ length: count }, () => new Host(world));
  return { world, hosts };
}

test('two of twenty who never hear each other are told of each other by the rest', (t) => {
  const { world, hosts } = begun(20, 21);
  const [one, other] = hosts;
  estrange(one, other);
  for (const host of hosts) host.start();
  const took = world.runUntil(() => !!one.peer(other.id) && !!other.peer(one.id), 30_000);
  t.log(`after ${took} ms`);
  t.true(took !== undefined && took < 20_000);
});

test('among few, and where nobody is missing, it is not gone on with', (t) => {
  const few = begun(10, 22);
  for (const host of few.hosts) host.start();
  few.world.run(60_000);
  t.is(few.world.streamed.get('j'), undefined);
  const many = begun(30, 23);
  for (const host of many.hosts) host.start();
  many.world.run(60_000);
  const asked = many.world.streamed.get('j')?.datagrams ?? 0;
  t.true(asked > 0 && asked <= 3 * 30, `${asked} calls`);
  many.world.run(60_000);
  t.is(many.world.streamed.get('j')?.datagrams, asked);
});

test('an answer names so many at most, and the same peer is answered once in two seconds', (t) => {
  const { world, hosts } = begun(NAMED_MAX + 8, 24);
  for (const host of hosts) host.start();
  world.run(40_000);
  const [one, other] = hosts;
  one.join(other);
  world.run(100);
  const named: number[] = [];
  const hear = one.streamed.bind(one);
  one.streamed = (from, message) => {
    if (from === other && message.type === 'N') named.push(message.peers.length);
    hear(from, message);
  };
  const call = (): void => {
    world.connection(one, other)?.send(one, { type: 'j', marks: new Uint8Array(0) });
    world.run(50);
  };
  call();
  call();
  t.deepEqual(named, [NAMED_MAX]);
  world.run(2000);
  call();
  t.deepEqual(named, [NAMED_MAX, NAMED_MAX]);
});
