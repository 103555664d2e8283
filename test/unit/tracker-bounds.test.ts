/** Bounds of the registry, each reached: who takes most gives way, and nothing is left of those who went. */
import test from 'ava';
import fc from 'fast-check';
import { seeded } from '../../lib/clock.js';
import {
  CLAIMERS_MAX,
  HITS_MAX,
  HOLDING_BYTES_MAX,
  HOLDINGS_MAX,
  OFFERS_MAX,
  REGISTERED_MAX,
  REGISTERED_PER_ADDRESS_MAX,
  REGISTRATION_HOSTS_MAX,
  REGISTRATIONS_PER_MINUTE,
  RELAYS_TOLD_MAX,
} from '../../lib/limits.js';
import type { PeerOffer } from '../../lib/offer.js';
import { LOOKUP, type Registrant, type RegistryEffect, type RegistryEvent } from '../../lib/tracker/events.js';
import { Holdings } from '../../lib/tracker/holdings.js';
import { Ration } from '../../lib/tracker/ration.js';
import { Registry, type RegistrySettings } from '../../lib/tracker/registry.js';
import { RELAY } from '../../lib/wire/head.js';
import { memoryHarness } from './tracker-memory.js';
import { contentId, gather, instanceOf, joining, offered, offering, registrant, words } from './tracker-suite.js';

const SELF = registrant(9001).id;
const CROCKFORD = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const NOW = 1_700_000_000_000;

const PLAIN = registrant(9002);
const PASSING = registrant(9002, { flags: RELAY });

/** One of very many, whose key and signature nobody looks at. */
function cheap(n: number, flags = 0): Registrant {
  let id = '';
  for (let rest = n; id.length < 16; rest = Math.floor(rest / 32)) id = CROCKFORD[rest % 32] + id;
  const words = flags === RELAY ? PASSING : PLAIN;
  return { ...words, id: `01ARZ3NDEK${id}`, name: `peer ${n}`, instance: instanceOf(n) };
}

function registry(settings: Partial<RegistrySettings> = {}): Registry {
  return new Registry({ id: SELF, perMinute: 1e9, perAddress: 1e9, shares: false, ...settings }, seeded(1));
}

const kinds = (effects: readonly RegistryEffect[]): string[] => words(effects.filter(({ kind }) => kind !== 'timer'));

test('one address has so many registered and no more; others find room', (t) => {
  const one = registry({ perAddress: REGISTERED_PER_ADDRESS_MAX });
  const from = (n: number, host: string) => kinds(one.handle(joining(n, cheap(n), { host }), NOW))[0];
  for (let n = 1; n <= REGISTERED_PER_ADDRESS_MAX; n++) t.is(from(n, '10.0.0.66'), `registered ${n}`);
  t.is(from(1000, '10.0.0.66'), 'answer 1000 limit');
  t.is(from(1001, '10.0.0.2'), 'registered 1001');
  // Who is registered renews, and who left makes room.
  t.is(from(5, '10.0.0.66'), 'registered 5');
  one.handle({ kind: 'left', link: 5 }, NOW);
  t.is(from(1002, '10.0.0.66'), 'registered 1002');
});

test('one address makes so many new registrations in a minute; to come back costs it nothing', (t) => {
  const one = registry({ perMinute: REGISTRATIONS_PER_MINUTE });
  let link = 0;
  const come = (n: number, now: number, host = '10.0.0.66') => {
    const [first] = kinds(one.handle(joining(++link, cheap(n), { host }), now));
    return first.split(' ').at(-1);
  };
  let registered = 0;
  // Ten thousand new ids in a minute, each gone at once.
  for (let n = 0; n < 10_000; n++) {
    const now = NOW + n * 6;
    if (come(n, now) !== 'limit') registered++;
    one.handle({ kind: 'left', link }, now);
  }
  t.true(registered >= REGISTRATIONS_PER_MINUTE && registered <= 2 * REGISTRATIONS_PER_MINUTE, `${registered}`);
  t.not(come(20_000, NOW + 60_000, '10.0.0.2'), 'limit');
  for (let i = 0; i < 2 * REGISTRATIONS_PER_MINUTE; i++) t.is(come(20_000, NOW + 60_000, '10.0.0.2'), 'cancelled');
  t.true(one.counts.peers <= 2);
});

test('addresses whose registrations are counted do not pile up', (t) => {
  const ration = new Ration(2);
  t.true(ration.take('honest', 0) && ration.take('honest', 0));
  t.false(ration.take('honest', 0));
  for (let i = 0; i < REGISTRATION_HOSTS_MAX; i++) ration.take(`${i}`, 0);
  // It begins anew: what was forgotten is not held against anyone.
  t.true(ration.take('honest', 0));
  t.true(ration.take('honest', 30_000));
});

test('where as many are registered as may be, the address that has most gives one up', (t) => {
  t.true(REGISTERED_MAX >= 10_000);
  const one = registry({ peers: 10 });
  for (let n = 1; n <= 10; n++)
    one.handle(joining(n, cheap(n), { host: n <= 7 ? '10.0.0.66' : `10.0.0.${n}` }), NOW + n);
  // The first of the crowd was heard just now, the second longest ago.
  one.handle({ kind: 'heard', link: 1 }, NOW + 20);
  const late = kinds(one.handle(joining(11, cheap(11), { host: '10.0.0.99' }), NOW + 30));
  t.deepEqual(late.slice(0, 3), ['departed peer 2 crowded', 'cut 2 limit', 'registered 11']);
  t.is(one.counts.peers, 10);
  // The crowd itself pushes out nobody, nor does it win its place back.
  t.deepEqual(kinds(one.handle(joining(12, cheap(12), { host: '10.0.0.66' }), NOW + 40)), ['answer 12 limit']);
});

test('where there is no room for offers, whoever has most gives way, but not the tracker itself', (t) => {
  t.true(OFFERS_MAX >= 1_000_000);
  const one = registry({ offers: 100 });
  const offers = (of: Registrant, count: number, path = 'x') =>
    kinds(one.handle(offering(of, ...Array.from({ length: count }, (_, i) => offered(of.id, `${path}${i}`))), NOW));
  one.handle({ kind: 'self', peer: registrant(9001), addresses: [] }, NOW);
  for (const n of [1, 2, 3]) one.handle(joining(n, cheap(n)), NOW);
  offers(registrant(9001), 45);
  offers(cheap(1), 30);
  offers(cheap(2), 20);
  t.deepEqual(offers(cheap(3), 10), ['offers', 'departed peer 1 crowded', 'cut 1 limit']);
  t.is(one.counts.offers, 75);
  // Room is weighed by the length of paths; who brings too much goes itself.
  t.deepEqual(offers(cheap(3), 10, 'long'.repeat(128)).slice(-2), ['departed peer 3 crowded', 'cut 3 limit']);
  t.is(one.counts.offers, 65);
});

test('of what is held in part so much is kept of one peer, and of all', (t) => {
  t.true(HOLDING_BYTES_MAX >= 1 << 20);
  const one = registry({ holdingBytes: 100 });
  const hold = (link: number, n: number, bytes: number): string[] => {
    const bits = new Uint8Array(bytes).fill(1);
    return kinds(one.handle({ kind: 'hold', link, id: contentId(n), chunks: bytes * 8, at: 0, bits }, NOW));
  };
  for (const n of [1, 2]) one.handle(joining(n, cheap(n)), NOW);
  for (let n = 1; n <= HOLDINGS_MAX; n++) t.is(hold(1, n, 1).length, 1);
  // The oldest goes.
  t.is(hold(1, 1000, 1).length, 2);
  t.is(one.counts.holdings, HOLDINGS_MAX);
  t.deepEqual(gather(one.lookup(LOOKUP.holders, contentId(1))).code, 'unknown-file');
  // Another finds room at the cost of who has most, and that one does not win it back.
  t.is(hold(2, 2000, 50).length, 1 + (50 + HOLDINGS_MAX - 100));
  t.is(hold(1, 3000, 20).length, 0);
  t.is(hold(2, 2001, 60).length, 0);
  one.handle({ kind: 'left', link: 1 }, NOW);
  one.handle({ kind: 'left', link: 2 }, NOW);
  t.is(one.counts.holdings, 0);
});

test('bit sets are counted as they grow and shrink', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(2), fc.nat(2), fc.nat(3), fc.nat(9), fc.nat(4)), { maxLength: 60, size: 'max' }),
      (all) => {
        const holdings = new Holdings(20);
        for (const [peer, content, more, at, length] of all) {
          if (more === 3 && at === 0) holdings.drop(`${peer}`);
          else if (more === 3)
            holdings.set({ peer: `${peer}`, id: `${content}`, chunks: 80, bits: new Uint8Array(length) });
          else holdings.put(`${peer}`, `${content}`, 72 + more * 8, at, new Uint8Array(length).fill(255));
          const kept = [...holdings];
          t.is(
            holdings.bytes,
            kept.reduce((sum, { bits }) => sum + bits.length, 0),
          );
          t.is(holdings.size, kept.length);
          t.true(holdings.bytes <= 20);
          for (const one of kept) t.true([...holdings.of(one.id)].includes(one));
        }
      },
    ),
  );
});

test('so many wait for an address, and each further one hears at once that it is taken', (t) => {
  const one = registry();
  one.handle(joining(1, cheap(1)), NOW);
  one.handle({ kind: 'dialled-back', link: 1, address: '10.0.0.1:40000', reached: true }, NOW);
  const claim = { claimed: ['10.0.0.1:40000'] };
  for (let n = 2; n < 2 + CLAIMERS_MAX; n++) {
    t.deepEqual(kinds(one.handle(joining(n, cheap(n), claim), NOW)), n === 2 ? ['probe 1'] : []);
  }
  t.deepEqual(kinds(one.handle(joining(50, cheap(50), claim), NOW)), ['answer 50 address-taken']);
  const answers = kinds(one.handle({ kind: 'probed', link: 1, alive: true }, NOW));
  t.deepEqual(
    answers,
    Array.from({ length: CLAIMERS_MAX }, (_, i) => `answer ${i + 2} address-taken`),
  );
});

test('an address that another proves is taken from the one who proved it before', (t) => {
  const one = registry();
  const reached = (link: number) =>
    kinds(one.handle({ kind: 'dialled-back', link, address: '10.0.0.1:40000', reached: true }, NOW));
  one.handle(joining(1, cheap(1), { host: '10.0.0.1' }), NOW);
  one.handle(joining(2, cheap(2), { host: '10.0.0.1' }), NOW);
  t.deepEqual(reached(1), ['changed peer 1']);
  t.deepEqual(reached(2), ['changed peer 1', 'changed peer 2']);
  t.deepEqual(one.get(cheap(1).id)?.reachable, []);
});

test('of those who would pass on so many are told, and all of them in turn', (t) => {
  const one = registry();
  one.handle(joining(1, cheap(1)), NOW);
  const told = new Set<string>();
  for (let n = 100; n < 140; n++) {
    one.handle(joining(n, cheap(n, RELAY)), NOW);
    one.handle({ kind: 'dialled-back', link: n, address: `10.0.0.${n}:40000`, reached: true }, NOW);
  }
  for (let i = 0; i < 200; i++) {
    const { peers } = gather(one.lookup(LOOKUP.relay, cheap(1).id));
    t.is(peers.length, RELAYS_TOLD_MAX);
    for (const { id } of peers) told.add(id);
  }
  t.is(told.size, 40);
});

test('an answer comes in small pieces, and ends where there is more than may be told', (t) => {
  t.true(HITS_MAX >= 1_000_000);
  const one = registry();
  one.handle(joining(1, cheap(1)), NOW);
  const all = Array.from({ length: 5000 }, (_, i) => offered(cheap(1).id, `folder/${i}`));
  one.handle(offering(cheap(1), ...all), NOW);
  const found = one.lookup(LOOKUP.words, 'folder');
  t.false('code' in found);
  let offers = 0;
  for (const piece of found as Iterable<{ offers: readonly PeerOffer[] }>) {
    t.true(piece.offers.length <= 256);
    offers += piece.offers.length;
  }
  t.is(offers, 5000);
});

test('a hundred thousand come and go, and nothing is left of them', (t) => {
  const random = seeded(3);
  const one = registry({ perAddress: 64, perMinute: 300, peers: 500, offers: 20_000 });
  const here = new Map<number, Registrant>();
  let now = NOW;
  let sweepAt = Number.POSITIVE_INFINITY;
  const handle = (event: RegistryEvent) => {
    for (const effect of one.handle(event, now)) {
      if (effect.kind === 'timer') sweepAt = effect.at;
      if (effect.kind === 'cut') handle({ kind: 'broken', link: effect.link });
      if (effect.kind === 'cut') here.delete(effect.link);
    }
  };
  for (let link = 1; link <= 100_000; link++) {
    now += 10;
    if (now >= sweepAt) {
      sweepAt = Number.POSITIVE_INFINITY;
      handle({ kind: 'sweep' });
    }
    const host = `10.0.${Math.floor(random() * 20)}.1`;
    // Some come back as another process, or over another connection.
    const n = random() < 0.3 ? Math.floor(random() * 300) : link;
    const peer = { ...cheap(n, n % 7 ? 0 : RELAY), instance: instanceOf(random() < 0.1 ? link : n) };
    here.set(link, peer);
    handle(joining(link, peer, { host, claimed: [`10.0.0.${n % 250}:40000`] }));
    handle({ kind: 'dialled-back', link, address: `10.0.0.${n % 250}:40000`, reached: random() < 0.5 });
    handle(offering(peer, ...Array.from({ length: 5 }, (_, i) => offered(peer.id, `${n}/${i}`, { id: contentId(i) }))));
    handle({ kind: 'hold', link, id: contentId(n % 9), chunks: 64, at: n % 8, bits: Uint8Array.of(1) });
    for (const other of here.keys()) {
      if (here.size < 200) break;
      here.delete(other);
      // Of some only their lease tells.
      if (random() < 0.8) handle({ kind: random() < 0.5 ? 'broken' : 'left', link: other });
    }
    if (link % 1000 === 0) t.true(one.counts.peers <= 500 && one.counts.offers <= 20_000, `at ${link}`);
  }
  t.true(one.counts.peers > 0);
  for (let i = 0; i < 10_000 && sweepAt !== Number.POSITIVE_INFINITY; i++) {
    now = Math.max(now, sweepAt);
    sweepAt = Number.POSITIVE_INFINITY;
    handle({ kind: 'sweep' });
  }
  t.is(one.counts.peers, 0);
  for (let i = 0; i < 1000 && one.kept > 0; i++) handle({ kind: 'sweep' });
  t.is(one.kept, 0);
});

test('two trackers, whatever comes to whom and whenever the store is there, end in agreement', async (t) => {
  const act = fc.record({
    what: fc.constantFrom(
      'join',
      'join',
      'join',
      'offer',
      'offer',
      'remove',
      'break',
      'leave',
      'reach',
      'hold',
      'wait',
      'settle',
    ),
    tracker: fc.nat(1),
    peer: fc.integer({ min: 1, max: 4 }),
    instance: fc.nat(1),
    n: fc.nat(3),
  });
  const store = fc.constantFrom('away' as const, 'back' as const);
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof({ weight: 12, arbitrary: act }, { weight: 1, arbitrary: store }), {
        maxLength: 60,
        size: 'max',
      }),
      async (acts) => {
        const h = memoryHarness();
        /** Links that are up, with what is at their other end. */
        const up = [new Map<number, Registrant>(), new Map<number, Registrant>()];
        let last = 0;
        const carryOut = async (): Promise<void> => {
          for (const i of [0, 1]) {
            for (const effect of h.effects(i)) {
              if (effect.kind === 'cut') {
                if (up[i].delete(effect.link)) await h.event(i, { kind: 'broken', link: effect.link });
              } else if (effect.kind === 'probe') {
                await h.event(i, { kind: 'probed', link: effect.link, alive: up[i].has(effect.link) });
              } else continue;
              return carryOut();
            }
          }
        };
        const beat = async (ms: number) => {
          for (let left = ms; left > 0; left -= 3000) {
            for (const i of [0, 1]) for (const link of up[i].keys()) await h.event(i, { kind: 'heard', link });
            await h.advance(3000);
            await carryOut();
          }
        };
        for (const one of acts) {
          if (one === 'away') await h.storeAway();
          else if (one === 'back') await h.storeBack();
          else {
            const { tracker, n } = one;
            const peer = registrant(one.peer, { instance: one.peer * 10 + one.instance });
            const [link] = [...up[tracker].keys()].slice(n);
            const at = link === undefined ? undefined : up[tracker].get(link);
            if (one.what === 'join') {
              up[tracker].set(++last, peer);
              await h.event(tracker, joining(last, peer));
            } else if (one.what === 'wait') await beat(n * 3000);
            else if (one.what === 'settle') await h.settle();
            else if (one.what === 'offer') await h.event(tracker, offering(peer, offered(peer.id, `${n}`)));
            else if (one.what === 'remove') {
              const changes = [{ before: offered(peer.id, `${n}`), after: undefined }];
              await h.event(tracker, { kind: 'offers', peer: peer.id, changes });
            } else if (link !== undefined && at) {
              if (one.what === 'reach') {
                const address = `10.0.0.${link % 250}:40000`;
                await h.event(tracker, { kind: 'dialled-back', link, address, reached: n > 0 });
              } else if (one.what === 'hold') {
                const bits = new Uint8Array(n).fill(1);
                await h.event(tracker, { kind: 'hold', link, id: contentId(1), chunks: 32, at: 0, bits });
              } else {
                up[tracker].delete(link);
                await h.event(tracker, { kind: one.what === 'leave' ? 'left' : 'broken', link });
              }
            }
          }
          await carryOut();
          for (const i of [0, 1]) {
            const all = gather(h.registry(i).lookup(LOOKUP.all, ''));
            const ids = new Set(all.peers.map(({ id }) => id));
            t.is(ids.size, all.peers.length);
            for (const { peer } of [...all.offers, ...all.have]) t.true(ids.has(peer), 'of one who is not registered');
          }
        }
        await h.storeBack();
        await beat(45_000);
        const [a, b] = [0, 1].map((i) => {
          const peers = [...h.registry(i).peers()].map(({ id, instance, homes }) => {
            return `${id} ${Buffer.from(instance).toString('hex')} ${[...homes].sort()}`;
          });
          return peers.sort();
        });
        t.deepEqual(a, b);
        // Exactly those are registered whose connections are up and who were let in, each as one process.
        for (const { id, link, instance } of h.registry(0).peers()) {
          const at = link === undefined ? undefined : up[0].get(link);
          if (at) t.deepEqual([at.id, at.instance], [id, instance]);
        }
        for (const i of [0, 1]) {
          for (const link of up[i].keys()) await h.event(i, { kind: 'broken', link });
          up[i].clear();
        }
        await h.advance(30_000);
        for (const i of [0, 1]) t.is(h.registry(i).kept, 0);
      },
    ),
    { numRuns: 150 },
  );
});
