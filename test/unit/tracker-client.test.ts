/** The client of trackers on a virtual clock, among trackers that come, go, are silent or refuse. */
import test from 'ava';
import { type Millis, seeded } from '../../lib/clock.js';
import type { Code } from '../../lib/errors.js';
import type { PeerId } from '../../lib/ids.js';
import { TRACKERS_KNOWN_MAX, TRACKERS_MAX } from '../../lib/limits.js';
import { Client, type ClientEffect, type ClientEvent, type ToldTracker } from '../../lib/tracker/client.js';

/** How a tracker behaves. */
interface Fake {
  up: boolean;
  answers: 'yes' | 'silent' | { code: Code; message: string };
}

type Of<K extends ClientEffect['kind']> = Extract<ClientEffect, { kind: K }>;

/** Trackers by their ids, a clock, and a driver as the true one: what is dialled and is up is linked at once. */
class World {
  now: Millis = 0;
  readonly client: Client;
  readonly trackers = new Map<PeerId, Fake>();
  readonly log: { at: Millis; effect: ClientEffect }[] = [];
  readonly links = new Map<number, PeerId>();
  #due: { at: Millis; run(): void }[] = [];
  #link = 0;

  constructor(seed = 1, most?: number) {
    this.client = new Client('ME', seeded(seed), most);
  }

  add(...ids: PeerId[]): void {
    for (const id of ids) this.trackers.set(id, { up: true, answers: 'yes' });
  }

  fake(id: PeerId): Fake {
    return this.trackers.get(id) as Fake;
  }

  take(event: ClientEvent): void {
    for (const effect of this.client.handle(event, this.now)) this.#carryOut(effect);
  }

  link(id: PeerId, endpoint?: string): number {
    const link = ++this.#link;
    this.links.set(link, id);
    this.take({ kind: 'linked', tracker: id, link, name: `tracker ${id}`, address: `10.0.0.1:${link}` });
    if (endpoint) this.take({ kind: 'joined', link, endpoint });
    return link;
  }

  /** A tracker's process ends: all its connections break. */
  kill(id: PeerId): void {
    this.fake(id).up = false;
    for (const [link, its] of [...this.links]) if (its === id) this.unlink(link);
  }

  unlink(link: number, code: Code = 'unreachable'): void {
    this.links.delete(link);
    this.take({ kind: 'unlinked', link, code, message: 'it broke' });
  }

  /** Lets time pass. */
  pass(ms: Millis): void {
    const until = this.now + ms;
    for (;;) {
      this.#due.sort((a, b) => a.at - b.at);
      const next = this.#due[0];
      if (!next || next.at > until) break;
      this.#due.shift();
      this.now = Math.max(this.now, next.at);
      next.run();
    }
    this.now = until;
  }

  of<K extends ClientEffect['kind']>(kind: K, since: Millis = 0): { at: Millis; effect: Of<K> }[] {
    return this.log.filter((e): e is { at: Millis; effect: Of<K> } => e.effect.kind === kind && e.at >= since);
  }

  /** Trackers where it is registered. */
  get registered(): PeerId[] {
    return this.client
      .rows()
      .filter(({ registered }) => registered)
      .map(({ id }) => id as PeerId);
  }

  known(id: PeerId): ToldTracker {
    return { id, name: `tracker ${id}`, addresses: [`10.0.0.2:${id.length}`] };
  }

  #after(ms: Millis, run: () => void): void {
    this.#due.push({ at: this.now + ms, run });
  }

  #carryOut(effect: ClientEffect): void {
    this.log.push({ at: this.now, effect });
    if (effect.kind === 'timer') this.#due.push({ at: effect.at, run: () => this.take({ kind: 'timer' }) });
    else if (effect.kind === 'dial') {
      this.#after(20, () => {
        if (this.trackers.get(effect.tracker)?.up) this.link(effect.tracker);
        else
          this.take({ kind: 'dial-failed', tracker: effect.tracker, code: 'unreachable', message: 'nobody listens' });
      });
    } else if (effect.kind === 'join') this.#after(5, () => this.#answer(effect));
    else if (effect.kind === 'cut') this.links.delete(effect.link);
  }

  #answer({ link, number }: Of<'join'>): void {
    const id = this.links.get(link);
    const fake = id === undefined ? undefined : this.fake(id);
    if (!fake?.up || fake.answers === 'silent') return;
    if (fake.answers !== 'yes') {
      this.take({ kind: 'refused', link, number, ...fake.answers });
      return;
    }
    const said = { seen: '10.0.0.9:5', reachable: [], lease: 12_000, peers: 3, offers: 7 };
    this.take({ kind: 'registered', link, number, said });
  }
}

const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8];

test('registers over a connection, and says so again in a third of the lease', (t) => {
  const world = new World();
  world.add('A');
  world.take({ kind: 'listening', addresses: ['10.0.0.9:5'] });
  world.link('A', 'tracker.example:1');
  world.pass(20_000);
  t.deepEqual(world.registered, ['A']);
  const joins = world.of('join');
  t.deepEqual(joins[0].effect.addresses, ['10.0.0.9:5']);
  t.is(joins[0].at, 0, 'at once');
  for (let i = 1; i < joins.length; i++) t.true(joins[i].at - joins[i - 1].at <= 4010, 'within the lease, three times');
  t.is(joins.length, 5);
  t.deepEqual(
    world.of('renewed').map(({ effect }) => effect.fresh),
    [true, false, false, false, false],
  );
  t.like(world.client.rows()[0], { address: 'tracker.example:1', registered: true, since: 5, peers: 3, offers: 7 });
  t.deepEqual(world.of('lost'), []);
});

test('one that does not answer any more is cut off after 10 s, told as lost once, and dialled again', (t) => {
  const world = new World();
  world.add('A');
  world.take({ kind: 'known', tracker: world.known('A'), origin: 'heard' });
  world.pass(1000);
  t.deepEqual(world.registered, ['A']);
  world.fake('A').answers = 'silent';
  world.pass(15_000);
  const [cut] = world.of('cut');
  t.is(cut.effect.code, 'timeout');
  t.deepEqual(
    world.of('lost').map(({ effect }) => [effect.tracker, effect.code]),
    [['A', 'timeout']],
  );
  t.like(world.client.rows()[0], { registered: false, error: { code: 'timeout' } });
  world.fake('A').answers = 'yes';
  world.pass(12_000);
  t.deepEqual(world.registered, ['A']);
});

test('a tracker that was away is registered with again within 5 s of its return, however long it was', (t) => {
  for (const seed of SEEDS) {
    for (const away of [500, 5000, 60_000, 600_000]) {
      const world = new World(seed);
      world.add('A');
      world.take({ kind: 'known', tracker: world.known('A'), origin: 'heard' });
      world.pass(1000);
      world.kill('A');
      t.deepEqual(world.registered, []);
      world.pass(away);
      world.fake('A').up = true;
      world.pass(5000);
      t.deepEqual(world.registered, ['A'], `seed ${seed}, away ${away}`);
      t.true(world.of('dial').length <= 4 + away / 2000, 'and was not stormed meanwhile');
    }
  }
});

test('those who lost one tracker do not come back as one', (t) => {
  const firsts = SEEDS.map((seed) => {
    const world = new World(seed);
    world.add('A');
    world.take({ kind: 'known', tracker: world.known('A'), origin: 'heard' });
    world.pass(1000);
    world.kill('A');
    world.pass(10_000);
    return world.of('dial', 1000).map(({ at }) => at);
  });
  t.is(new Set(firsts.map(([first]) => first)).size, SEEDS.length);
});

test('a joined host is dialled by whoever joined it, not by its id', (t) => {
  const world = new World();
  world.add('A');
  world.link('A', 'tracker.example:1');
  world.pass(1000);
  world.kill('A');
  world.pass(60_000);
  t.deepEqual(world.of('dial'), []);
  world.fake('A').up = true;
  world.link('A', 'tracker.example:1');
  world.pass(10);
  t.deepEqual(world.registered, ['A']);
});

test('id-taken is told once, tried again slowly, and ends', (t) => {
  const world = new World();
  world.add('A');
  world.fake('A').answers = { code: 'id-taken', message: 'another one is here' };
  world.link('A', 'a:1');
  world.pass(120_000);
  t.deepEqual(
    world.of('refused').map(({ effect }) => effect.code),
    ['id-taken'],
  );
  const joins = world.of('join').map(({ at }) => at);
  t.true(joins.length >= 4 && joins.length <= 9, `${joins.length} tries in two minutes`);
  world.fake('A').answers = 'yes';
  world.pass(31_000);
  t.deepEqual(world.registered, ['A']);
});

test('one that has no room is not asked at once over a new connection', (t) => {
  const world = new World();
  world.add('A');
  world.fake('A').answers = { code: 'limit', message: 'full' };
  const link = world.link('A', 'a:1');
  world.pass(100);
  world.unlink(link);
  world.link('A', 'a:1');
  world.pass(2000);
  t.is(world.of('join').length, 1);
  world.pass(5000);
  t.is(world.of('join').length, 2);
});

test('turned away at the door for its id, it is not dialled at once', (t) => {
  const world = new World();
  world.add('A');
  world.take({ kind: 'known', tracker: world.known('A'), origin: 'heard' });
  world.pass(1000);
  world.unlink([...world.links.keys()][0], 'id-taken');
  world.pass(14_000);
  t.is(world.of('dial', 1000).length, 0);
  t.is(world.of('refused').length, 1);
  world.pass(20_000);
  t.deepEqual(world.registered, ['A']);
});

test('address-taken: what is another’s is left out, with a word, until where it listens changes', (t) => {
  const world = new World();
  world.add('A');
  world.take({ kind: 'listening', addresses: ['10.0.0.9:5', '10.1.0.9:5'] });
  world.fake('A').answers = { code: 'address-taken', message: '10.1.0.9:5 is that of B' };
  world.link('A', 'a:1');
  world.pass(6);
  world.fake('A').answers = 'yes';
  world.pass(100);
  t.deepEqual(world.registered, ['A']);
  t.deepEqual(world.of('join')[1].effect.addresses, ['10.0.0.9:5']);
  t.is(world.of('refused')[0].effect.code, 'address-taken');
  world.take({ kind: 'listening', addresses: ['10.0.0.9:5', '10.1.0.9:5'] });
  world.pass(100);
  t.deepEqual(world.of('join').at(-1)?.effect.addresses, ['10.0.0.9:5', '10.1.0.9:5']);
});

test('address-taken without saying which: all are left out, and then it is refused like anything else', (t) => {
  const world = new World();
  world.add('A');
  world.take({ kind: 'listening', addresses: ['10.0.0.9:5', '10.1.0.9:5'] });
  world.fake('A').answers = { code: 'address-taken', message: 'no' };
  world.link('A', 'a:1');
  world.pass(10_000);
  t.deepEqual(
    world.of('join').map(({ effect }) => effect.addresses.length),
    [2, 0],
  );
  t.deepEqual(world.registered, []);
});

test('limit: it waits ever longer', (t) => {
  const world = new World();
  world.add('A');
  world.fake('A').answers = { code: 'limit', message: 'full' };
  world.link('A', 'a:1');
  world.pass(300_000);
  const at = world.of('join').map((join) => join.at);
  t.true(at.length < 15, `${at.length} tries in five minutes`);
  t.true(at[1] - at[0] >= 2500);
  t.true(at.at(-1)! - at.at(-2)! >= 30_000);
  t.is(world.of('refused').length, 1);
});

test('all joined are used, but no more than there may be', (t) => {
  const world = new World();
  const ids = Array.from({ length: TRACKERS_MAX + 2 }, (_, i) => `T${i}`);
  world.add(...ids);
  for (const id of ids) world.link(id, `${id}:1`);
  world.pass(30_000);
  t.deepEqual(world.registered, ids.slice(0, TRACKERS_MAX));
  // One of them goes, and one that had no place has it.
  world.kill('T1');
  world.pass(5000);
  t.is(world.registered.length, TRACKERS_MAX);
});

test('one that was told of is used in place of one that is gone, and not before', (t) => {
  for (const seed of SEEDS) {
    const world = new World(seed);
    world.add('A', 'B');
    world.link('A', 'a:1');
    world.pass(100);
    world.take({ kind: 'known', tracker: world.known('B'), origin: 'told' });
    world.pass(60_000);
    t.deepEqual([world.registered, world.of('dial')], [['A'], []]);
    world.kill('A');
    world.pass(1000);
    t.deepEqual(world.registered, ['B'], 'at once');
    world.fake('A').up = true;
    world.link('A', 'a:1');
    world.pass(5000);
    t.deepEqual(world.registered, ['A', 'B']);
    world.kill('B');
    world.pass(60_000);
    t.is(world.of('dial').length, 1, 'nor after that one is back');
  }
});

test('one that is heard is dialled and used; once it is not heard any more, only where another is lacking', (t) => {
  const world = new World();
  world.add('A', 'B');
  world.link('A', 'a:1');
  world.take({ kind: 'known', tracker: world.known('B'), origin: 'heard' });
  world.pass(1000);
  t.deepEqual(world.registered, ['A', 'B']);
  world.take({ kind: 'unheard', tracker: 'B' });
  world.kill('B');
  world.pass(60_000);
  t.is(world.of('dial', 1000).length, 0);
});

test('where another answers at a joined host now, the one before is only one that was told of', (t) => {
  const world = new World();
  world.add('A', 'B');
  world.link('A', 'a:1');
  world.pass(100);
  world.kill('A');
  world.link('B', 'a:1');
  world.pass(60_000);
  t.deepEqual(world.registered, ['B']);
  t.deepEqual(world.of('dial'), []);
});

test('answers over a connection that was replaced, or to another question, are nothing', (t) => {
  const world = new World();
  world.add('A');
  world.fake('A').answers = 'silent';
  const old = world.link('A', 'a:1');
  const { number } = world.of('join')[0].effect;
  const link = world.link('A', 'a:1');
  const said = { seen: '', reachable: [], lease: 12_000, peers: 0, offers: 0 };
  world.take({ kind: 'registered', link: old, number, said });
  world.take({ kind: 'registered', link, number, said });
  t.deepEqual(world.registered, []);
  world.take({ kind: 'unlinked', link: old, code: 'cancelled', message: 'replaced' });
  world.take({ kind: 'registered', link, number: world.of('join')[1].effect.number, said });
  t.deepEqual(world.registered, ['A']);
});

test('this peer itself is not one of its trackers, and those told of are bounded', (t) => {
  const world = new World();
  world.take({ kind: 'known', tracker: world.known('ME'), origin: 'told' });
  t.deepEqual(world.client.rows(), []);
  for (let i = 0; i < 10 * TRACKERS_KNOWN_MAX; i++) {
    world.take({ kind: 'known', tracker: world.known(`T${i}`), origin: 'told' });
  }
  t.is(world.client.rows().length, TRACKERS_KNOWN_MAX);
  // One that is heard, or joined, has room all the same.
  world.add('H', 'J');
  world.take({ kind: 'known', tracker: world.known('H'), origin: 'heard' });
  t.is(world.client.rows().length, TRACKERS_KNOWN_MAX);
  world.link('J', 'j:1');
  world.pass(60_000);
  t.true(
    ['H', 'J'].every((id) => world.registered.includes(id)),
    `${world.registered}`,
  );
});

test('a refresh has it speak to each at once: to those where it is registered, that are away, or did not want it', (t) => {
  const world = new World();
  world.add('A', 'B', 'C');
  for (const id of ['A', 'B', 'C']) world.take({ kind: 'known', tracker: world.known(id), origin: 'heard' });
  world.fake('C').answers = { code: 'limit', message: 'full' };
  world.pass(1000);
  world.kill('B');
  world.pass(20_000);
  world.fake('C').answers = 'yes';
  world.fake('B').up = true;
  world.take({ kind: 'refresh' });
  const { now } = world;
  world.pass(50);
  t.deepEqual(world.registered.toSorted(), ['A', 'B', 'C']);
  t.true(world.of('join', now).length >= 3);
  // Nobody is asked twice for that: what is open is waited for.
  world.take({ kind: 'refresh' });
  world.take({ kind: 'refresh' });
  t.is(world.of('join', world.now).length, 3);
});
