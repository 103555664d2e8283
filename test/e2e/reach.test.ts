/** How a link comes about, whoever can dial whom: the ladder, and wishes that we dial. */
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { Reach, type ReachTrackers } from '../../lib/drive/reach.js';
import type { HearsayError } from '../../lib/errors.js';
import type { PeerInfo } from '../../lib/gossip/gossip.js';
import { RELAY, TRACKER } from '../../lib/wire/head.js';
import { CHILD_MS, hearsay } from './child.js';
import { codeOf, Lan, until } from './lan.js';
import { RawPeer } from './raw.js';
import { dial, type Node, node } from './tunnel-nodes.js';

/** A port of this machine where nobody listens. */
async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address ? address.port : 0;
}

interface World {
  /** Where a peer is, as gossip and as trackers have it. */
  gossip: Record<string, string[]>;
  told: Record<string, string[]>;
  relays: Node[];
  reachable: string[] | undefined;
  called: string[];
  summoned: string[];
  /** Whom a tracker can ask. */
  present: Node[];
}

/** The way of one to others. */
function reachOf(me: Node, world: Partial<World> = {}, multicast = true): [Reach, World] {
  const all: World = {
    gossip: {},
    told: {},
    relays: [],
    reachable: undefined,
    called: [],
    summoned: [],
    present: [],
    ...world,
  };
  const trackers: ReachTrackers = {
    peer: (id) => (all.told[id] ? { name: id, addresses: all.told[id] } : undefined),
    summon: async (peer) => {
      all.summoned.push(peer);
      const other = all.present.find(({ id }) => id === peer);
      if (!other) return false;
      void dial(other, me);
      return true;
    },
    lookup: async () => ({
      peers: all.relays.map(({ id }) => ({ id, name: 'relay', addresses: all.gossip[id] ?? [] })),
    }),
    get reachable() {
      return all.reachable;
    },
  };
  const reach = new Reach({
    id: me.id,
    links: me.links,
    gossip: {
      peer: (id) =>
        all.gossip[id] && ({ id, name: id, addresses: all.gossip[id], via: 'multicast' } as unknown as PeerInfo),
    },
    trackers,
    tunnels: me.tunnels,
    call: (peer) => all.called.push(peer),
    multicast,
  });
  me.onOpened = (link) => reach.opened(link);
  return [reach, all];
}

const at = (port: number) => `127.0.0.1:${port}`;

async function three(t: ExecutionContext) {
  const relay = await node(t, 'relay', true);
  return { a: await node(t, 'a'), x: await node(t, 'x'), relay };
}

test('who can be dialled is dialled, and nobody is asked anything', async (t) => {
  const { a, x } = await three(t);
  const [reach, world] = reachOf(a, { told: { [x.id]: [at(x.port)] } });
  const [link, again] = await Promise.all([reach.connect(x.id), reach.connect(x.id)]);
  t.is(link, again);
  t.false(link.tunnelled);
  t.deepEqual([world.called, world.summoned], [[], []]);
  t.is(reach.unreachable(x.id), undefined);
});

test('who cannot be dialled is asked to dial', async (t) => {
  const { a, x } = await three(t);
  const nowhere = at(await closedPort());
  const [reach, world] = reachOf(a, { told: { [x.id]: [nowhere] }, present: [x], reachable: [at(a.port)] });
  const link = await reach.connect(x.id);
  t.false(link.dialled);
  t.false(link.tunnelled);
  t.deepEqual(world.summoned, [x.id]);
  // Where nobody could connect to it there is nothing to dial.
  const [shy, other] = reachOf(await node(t, 'b'), { told: { [x.id]: [] } });
  t.is(await codeOf(shy.connect(x.id)), 'unreachable');
  t.regex(shy.unreachable(x.id) ?? '', /^it has no address at which anybody could reach it, /);
  t.deepEqual(other.summoned, [x.id]);
});

test('where neither can dial the other a third passes on; the next time it is the first that is tried', async (t) => {
  const { a, x, relay } = await three(t);
  await Promise.all([dial(a, relay), dial(x, relay)]);
  const nowhere = at(await closedPort());
  const [reach, world] = reachOf(a, { told: { [x.id]: [nowhere] }, relays: [relay], reachable: [] });
  const link = await reach.connect(x.id);
  t.true(link.tunnelled);
  t.is(reach.unreachable(x.id), undefined);
  const { length } = world.summoned;
  link.cut(new Error('lost') as HearsayError);
  await until(() => relay.tunnels.counts.passed === 0, 'it has ended');
  t.true((await reach.connect(x.id)).tunnelled);
  t.is(world.summoned.length, length);
});

test('a tracker that is connected and passes on is asked, whatever is known of others', async (t) => {
  const { a, x } = await three(t);
  const tracker = await node(t, 'tracker', true, TRACKER | RELAY);
  await Promise.all([dial(a, tracker), dial(x, tracker)]);
  const [reach] = reachOf(a, {}, false);
  t.true((await reach.connect(x.id)).tunnelled);
});

test('why a peer cannot be reached is told, all of it, and remembered until it can', async (t) => {
  const { a, x, relay } = await three(t);
  await dial(a, relay);
  const nowhere = at(await closedPort());
  const [reach] = reachOf(a, { told: { [x.id]: [nowhere] }, relays: [relay] });
  const error = await t.throwsAsync(reach.connect(x.id));
  t.like(error, { code: 'unreachable' });
  const why =
    `it cannot be dialled (${nowhere}: nothing listens there), did not come when it was asked to, and ` +
    'is not passed on: relay does not pass on to it (it cannot be reached from there either)';
  t.is(error?.message, why);
  t.is(reach.unreachable(x.id), why);
  const [lonely] = reachOf(await node(t, 'b'), { told: { [x.id]: [nowhere] } }, false);
  await t.throwsAsync(lonely.connect(x.id), {
    message: `it cannot be dialled (${nowhere}: nothing listens there), could not be asked to come, and no tracker passes on to it`,
  });
  await dial(x, a);
  t.is(reach.unreachable(x.id), undefined);
});

test('a wish to be dialled that a tracker hands on is followed, but not to wherever it says', async (t) => {
  const tracker = await node(t, 'tracker', true, TRACKER | RELAY);
  const x = await node(t, 'x');
  const [reach] = reachOf(x);
  const link = await dial(x, tracker);
  const caller = new RawPeer(t, 'caller', false);
  await caller.listen();
  const knocked: string[] = [];
  const connect = x.links.connect.bind(x.links);
  x.links.connect = (peer, addresses) => {
    knocked.push(...addresses);
    return connect(peer, addresses);
  };
  const words = { ...caller.head(), addresses: ['a.name:80', '127.0.0.1', '127.0.0.1:22', caller.address] };
  const wish = (from: typeof words) => ({ type: 'c', number: 0, peer: x.id, from }) as const;
  reach.summoned(link, wish(words));
  await until(() => x.links.get(caller.id), 'it is dialled');
  t.deepEqual(knocked, [caller.address]);
  // Of a tracker elsewhere loopback means another machine.
  const far = Object.defineProperty(Object.create(link), 'address', { value: { host: '10.9.9.9', port: 1 } });
  const second = new RawPeer(t, 'second', false);
  await second.listen();
  reach.summoned(far, wish({ ...second.head(), addresses: [second.address, '[::1]:80', '[fe80::1%lo]:80'] }));
  t.deepEqual(knocked, [caller.address]);
  // What nobody signed, and what is none of a tracker's business.
  // The tracker it comes by is not to blame, or anyone could part a peer from its trackers.
  reach.summoned(link, wish({ ...second.head(), sig: randomBytes(64), addresses: [second.address] }));
  t.true(link.open);
  const plain = await node(t, 'plain');
  reach.summoned(await dial(x, plain), wish({ ...second.head(), addresses: [second.address] }));
  t.deepEqual(knocked, [caller.address]);
  // A few a second.
  for (let i = 0; i < 50; i++) {
    const one = new RawPeer(t, 'one of many', false);
    reach.summoned(link, wish({ ...one.head(), addresses: [at(1)] }));
  }
  t.true(knocked.length <= 6, `${knocked.length}`);
});

test('a process that is killed is gone at once for who was connected with it; one that goes on is not', async (t) => {
  const lan = await Lan.make(t);
  const watcher = await lan.peer('watcher', { multicast: false });
  const join = ['--no-multicast', '--join', at(watcher.peer.port)];
  const [dying, living] = [
    await hearsay(lan, 'share', ...join, await lan.fresh('a'), '--json'),
    await hearsay(lan, 'share', ...join, await lan.fresh('b'), '--json'),
  ];
  await Promise.all([dying, living].map((child) => child.waitFor(/"event":"ready"/, CHILD_MS)));
  await until(() => watcher.told('peer').length === 2, 'both have come');
  const killed = performance.now();
  dying.kill('SIGKILL');
  await until(() => watcher.told('peer').some(({ change }) => change === 'left'), 'it is gone');
  const took = performance.now() - killed;
  t.log(`gone after ${Math.round(took)} ms`);
  t.true(took < 1500);
  t.is(watcher.told('peer').filter(({ change }) => change === 'left').length, 1);
  t.is((await watcher.peer.peers()).length, 2);
});
