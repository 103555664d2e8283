/** The registry: the suite, in memory, and what other trackers tell, record by record. */
import test from 'ava';
import { seeded } from '../../lib/clock.js';
import { LOOKUP, type Record, type Registrant } from '../../lib/tracker/events.js';
import { Registry, type RegistrySettings } from '../../lib/tracker/registry.js';
import { memoryHarness } from './tracker-memory.js';
import { contentId, gather, joining, offered, offering, registrant, trackerSuite, words } from './tracker-suite.js';

trackerSuite(test, 'in memory', async () => memoryHarness());

const NOW = 1_700_000_000_000;
const [SELF, ONE, TWO] = [9001, 9002, 9003].map((n) => registrant(n).id);

/** A registry that is told records. */
function told(settings: Partial<RegistrySettings> = {}) {
  const registry = new Registry({ id: SELF, ...settings }, seeded(1));
  const take = (record: Record, now = NOW) => registry.handle({ kind: 'shared', record }, now);
  const held = (tracker: string, peer: Registrant, since = NOW, now = NOW) =>
    words(take({ kind: 'held', tracker, peer, seen: '10.0.0.5:1', reachable: [], since }, now)).filter(
      (word) => !['share', 'timer'].includes(word),
    );
  const offers = (
    tracker: string,
    peer: Registrant,
    paths: string[],
    more: Partial<Extract<Record, { kind: 'offers' }>> = {},
  ) =>
    take({
      kind: 'offers',
      tracker,
      peer: peer.id,
      whole: false,
      offers: paths.map((path) => offered(peer.id, path)),
      removed: [],
      ...more,
    });
  const paths = () => gather(registry.lookup(LOOKUP.all, '')).offers.map(({ path, version }) => `${path} ${version}`);
  return { registry, take, held, offers, paths };
}

test('offers count of one who is held, by who holds it, and the newest of several', (t) => {
  const { take, held, offers, paths, registry } = told();
  const ann = registrant(1);
  offers(ONE, ann, ['a']);
  t.deepEqual(paths(), []);
  t.deepEqual(held(ONE, ann), ['came peer 1']);
  offers(TWO, ann, ['a']);
  t.deepEqual(paths(), []);
  offers(ONE, ann, ['a', 'b']);
  held(TWO, ann);
  offers(TWO, ann, [], { offers: [offered(ann.id, 'a', { version: 7 }), offered(registrant(2).id, 'b')] });
  t.deepEqual(paths(), ['a 7', 'b 1']);
  // This one is behind.
  offers(ONE, ann, ['a']);
  t.deepEqual(paths(), ['a 7', 'b 1']);
  // All there are, and no others.
  offers(TWO, ann, ['c'], { whole: true });
  t.deepEqual(paths(), ['c 1']);
  offers(TWO, ann, [], { removed: ['c'] });
  t.deepEqual(paths(), []);
  // What this tracker knows itself counts more.
  registry.handle(joining(1, ann), NOW);
  offers(ONE, ann, ['of another tracker']);
  take({
    kind: 'holding',
    tracker: ONE,
    holding: { peer: ann.id, id: contentId(1), chunks: 8, bits: Uint8Array.of(1) },
  });
  t.deepEqual(paths(), []);
  t.is(registry.counts.holdings, 0);
});

test('a word that is not about this process, or not for this tracker, changes nothing', (t) => {
  const { take, held, registry } = told();
  const ann = registrant(1);
  held(ONE, ann);
  const other = registrant(1, { instance: 5 }).instance;
  take({ kind: 'dropped', tracker: ONE, peer: ann.id, instance: other, why: 'left' });
  take({ kind: 'dropped', tracker: TWO, peer: ann.id, instance: ann.instance, why: 'left' });
  t.is(registry.counts.peers, 1);
  // Nor does what it says itself, come back to it.
  take({ kind: 'held', tracker: SELF, peer: registrant(3), seen: '', reachable: [], since: NOW });
  held(ONE, registrant(9001));
  t.is(registry.counts.peers, 1);

  registry.handle(joining(2, registrant(1, { instance: 5 })), NOW);
  take({ kind: 'alive', tracker: ONE, to: TWO, number: 1, alive: true });
  take({ kind: 'alive', tracker: TWO, to: SELF, number: 1, alive: true });
  take({ kind: 'alive', tracker: ONE, to: SELF, number: 9, alive: true });
  const answers = take({ kind: 'alive', tracker: ONE, to: SELF, number: 1, alive: true });
  t.true(words(answers).includes('answer 2 id-taken'));
});

test('who was given up at a tracker that did not answer is not believed when that is told again, for a while', (t) => {
  const { held, registry } = told();
  const [first, second] = [registrant(1), registrant(1, { instance: 5 })];
  held(ONE, first, NOW - 5000);
  registry.handle(joining(2, second), NOW);
  const late = words(registry.handle({ kind: 'sweep' }, NOW + 3500));
  t.true(late.includes('registered 2'));
  t.deepEqual(held(ONE, first, NOW - 5000, NOW + 4000), []);
  t.deepEqual(registry.get(first.id)?.instance, second.instance);
  // In the end it lives after all, and was there first.
  for (let now = NOW + 4000; now <= NOW + 20_000; now += 4000) {
    registry.handle({ kind: 'heard', link: 2 }, now);
    registry.handle({ kind: 'sweep' }, now);
  }
  t.true(held(ONE, first, NOW - 5000, NOW + 20_100).includes('cut 2 id-taken'));
  t.deepEqual(registry.get(first.id)?.instance, first.instance);
});

test('of two processes that other trackers hold the earlier one is shown; the other’s offers do not stay', (t) => {
  const { held, registry, take, paths } = told();
  const [first, second] = [registrant(1), registrant(1, { instance: 5 })];
  held(ONE, second, NOW);
  held(TWO, first, NOW - 1);
  t.like(registry.get(first.id), { instance: first.instance, homes: [TWO], since: NOW - 1 });
  take({ kind: 'dropped', tracker: TWO, peer: first.id, instance: first.instance, why: 'left' });
  t.like(registry.get(first.id), { instance: second.instance, homes: [ONE] });
  // Held here as well, until it turns out that the other was earlier.
  registry.handle(joining(1, second), NOW);
  registry.handle(offering(second, offered(second.id, 'of the second')), NOW);
  t.true(held(TWO, first, NOW - 1).includes('cut 1 id-taken'));
  t.like(registry.get(first.id), { instance: first.instance, homes: [TWO] });
  t.deepEqual(paths(), []);
});

test('of those whom other trackers hold no more are kept than may be registered', (t) => {
  const { held, registry } = told({ peers: 3 });
  for (let n = 1; n <= 9; n++) held(ONE, registrant(n));
  t.is(registry.counts.peers, 3);
  t.is(held(TWO, registrant(1)).length, 0);
  t.deepEqual(registry.get(registrant(1).id)?.homes, [ONE, TWO]);
});

test('another tracker is told in pieces of bounded size, in their order', (t) => {
  const { registry } = told();
  const ann = registrant(1);
  registry.handle(joining(1, ann), NOW);
  const all = Array.from({ length: 2500 }, (_, i) => offered(ann.id, `${i}`.padEnd(i < 100 ? 4000 : 5, 'x')));
  const shared = (event: Parameters<Registry['handle']>[0]) =>
    registry
      .handle(event, NOW)
      .flatMap((effect) => (effect.kind === 'share' && effect.record.kind === 'offers' ? [effect.record] : []));
  for (const [event, whole] of [
    [offering(ann, ...all), false],
    [{ kind: 'store-back' }, true],
  ] as const) {
    const records = shared(event);
    t.deepEqual(
      records.flatMap(({ offers }) => offers),
      all,
    );
    t.deepEqual(
      records.map((record) => record.whole),
      [whole, ...Array(records.length - 1).fill(false)],
    );
    for (const { offers } of records) {
      t.true(offers.length <= 1000 && offers.reduce((sum, { path }) => sum + path.length, 0) <= 100_000);
    }
  }
});
