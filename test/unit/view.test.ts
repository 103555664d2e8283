/**
 * The view over gossip and the directory: whatever comes from whom in whatever order, those who are told of changes end up with
 * exactly what is shown, and are told nothing twice.
 */
import test from 'ava';
import { type Random, seeded } from '../../lib/clock.js';
import type { IndexChange } from '../../lib/drive/changes.js';
import { View } from '../../lib/drive/view.js';
import { type Effect, Gossip } from '../../lib/gossip/gossip.js';
import { blake3 } from '../../lib/hash.js';
import { peerId } from '../../lib/ids.js';
import type { PeerOffer } from '../../lib/offer.js';
import { saysTheSame } from '../../lib/shelf/staging.js';
import { Directory, type Telling, type Told } from '../../lib/tracker/directory.js';
import type { MessageOf } from '../../lib/wire/table.js';
import { file, removed } from '../sim/share.js';
import { fakeSigner } from '../sim/signer.js';

const keyOf = (n: number) => Uint8Array.from(blake3(`key ${n}`));

function gossipOf(n: number, epoch = 1): Gossip {
  const key = keyOf(n);
  const id = peerId(key, 1_700_000_000_000 + n);
  const settings = { id, key, name: `peer ${n}`, port: 47748, epoch, passive: false, tracker: false };
  const random = seeded(n);
  const bytes16 = () => Uint8Array.from({ length: 16 }, () => Math.floor(random() * 256));
  const gossip = new Gossip(settings, fakeSigner(key), random, bytes16);
  gossip.handle({ kind: 'start' }, 0);
  return gossip;
}

/** One who reads: gossip, a directory, and a model of what was told of changes. */
class Reader {
  now = 0;
  readonly gossip = gossipOf(0);
  readonly id = this.gossip.peers()[0].id;
  readonly directory = new Directory({ id: this.id, verify: () => true });
  readonly model = new Map<string, PeerOffer>();
  readonly here = new Set<string>();
  readonly faults: string[] = [];
  readonly told: IndexChange[] = [];
  readonly view: View = new View(this.gossip, this.directory, undefined, {
    change: (change) => this.#change(change),
    peer: (change, { id }) => {
      if (change === 'came' ? this.here.has(id) : !this.here.delete(id)) this.faults.push(`${change} twice: ${id}`);
      if (change === 'came') this.here.add(id);
    },
    later: (run) => {
      this.waiting.add(run);
      return () => this.waiting.delete(run);
    },
  });
  /** What is to happen later. */
  readonly waiting = new Set<() => void>();

  later(): void {
    const all = [...this.waiting];
    this.waiting.clear();
    for (const run of all) run();
  }

  /** Hands gossip an event; pulls are answered at once by `writer`, other timers of theirs wait for ever. */
  handle(event: Parameters<Gossip['handle']>[0], writer?: Gossip): void {
    this.#events.push(event);
    if (this.#events.length > 1) return;
    for (let next: typeof event | undefined = event; next; next = this.#events[0]) {
      this.now += 10;
      for (const effect of this.gossip.handle(next, this.now)) this.#effect(effect, writer);
      this.#events.shift();
    }
  }
  /** One event after another, as the driver does. */
  readonly #events: Parameters<Gossip['handle']>[0][] = [];

  tell(told: Told): void {
    this.view.told(told);
  }

  /** What is wrong, if anything. */
  check(): string | undefined {
    const shown = new Map([...this.view].map((offer) => [`${offer.peer} ${offer.path}`, offer]));
    if ([...this.view].length !== shown.size) return 'an offer is shown twice';
    if (this.view.size !== shown.size) return `says ${this.view.size}, shows ${shown.size}`;
    for (const [key, offer] of shown) {
      const known = this.model.get(key);
      if (!known) return `${key} is shown and was never told`;
      if (!saysTheSame(known, offer)) return `${key} is another one than was told`;
      const isIt = (other: PeerOffer | undefined) => JSON.stringify(other) === JSON.stringify(offer);
      if (!isIt(this.view.get(offer.peer, offer.path))) return `${key} is not what is there`;
      if (offer.id && !this.view.byId(offer.id).some(isIt)) return `${key} is not found by its id`;
      if (!this.view.byPath(offer.path).some(isIt)) return `${key} is not found by its path`;
    }
    for (const key of this.model.keys()) if (!shown.has(key)) return `${key} was told and is not shown`;
    const peers = this.view.peers().filter(({ self }) => !self);
    if (peers.length !== this.here.size || peers.some(({ id }) => !this.here.has(id)))
      return 'other peers than were told';
    return this.faults[0];
  }

  #effect(effect: Effect, writer: Gossip | undefined): void {
    if (effect.kind === 'pull' && writer) {
      const answer = writer.answerPull({ ...effect.message, number: 1 });
      if ('code' in answer) throw new Error(answer.code);
      for (const message of answer) {
        this.handle({ kind: 'delta', from: effect.from, writer: effect.message.writer, message }, writer);
      }
    } else if (effect.kind === 'timer' && effect.timer.kind === 'pull') {
      this.now = Math.max(this.now, effect.at);
      this.handle({ kind: 'timer', timer: effect.timer }, writer);
    } else if (effect.kind === 'peer' || effect.kind === 'change' || effect.kind === 'shelf') this.view.news(effect);
  }

  #change(change: IndexChange): void {
    this.told.push(change);
    const key = `${change.offer.peer} ${change.offer.path}`;
    const known = this.model.get(key);
    if ((change.kind === 'added') === (known !== undefined)) this.faults.push(`${change.kind} of ${key}`);
    if (change.kind === 'changed' && known && saysTheSame(known, change.offer)) this.faults.push(`no change of ${key}`);
    if (change.before && known && !saysTheSame(known, change.before)) this.faults.push(`${key} was not that before`);
    if (change.kind === 'removed') this.model.delete(key);
    else this.model.set(key, change.offer);
  }
}

class Writer {
  readonly n: number;
  gossip: Gossip;
  readonly id: string;
  asides = 1;
  #epoch = 1;

  constructor(n: number) {
    this.n = n;
    this.gossip = gossipOf(n);
    this.id = this.gossip.peers()[0].id;
  }

  restart(): void {
    this.gossip = gossipOf(this.n, ++this.#epoch);
  }

  change(random: Random): void {
    const path = `share/${Math.floor(random() * 6)}`;
    const kinds = [removed(path), file(path), file(path, `content ${Math.floor(random() * 3)}`)];
    this.gossip.handle({ kind: 'offers', changes: [kinds[Math.floor(random() * kinds.length)]] }, 0);
  }

  /** All of it, as a tracker tells of it. */
  page(reset: boolean): MessageOf<'f'> {
    const offers = [...this.gossip.index].map(({ peer: _, ...offer }) => offer);
    const peers = [{ ...this.gossip.head(), addresses: ['10.0.0.1:1'] }];
    return { type: 'f', number: 1, reset, peers, offers: [{ peer: this.id, offers }], have: [], gone: [], last: true };
  }
}

const EMPTY: MessageOf<'f'> = {
  type: 'f',
  number: 1,
  reset: false,
  peers: [],
  offers: [],
  have: [],
  gone: [],
  last: true,
};
const ADDRESS = { host: '10.0.0.1', port: 47748 };

function step(reader: Reader, writers: Writer[], tellings: Telling[], random: Random): string {
  const pick = <T>(all: T[]): T => all[Math.floor(random() * all.length)];
  const writer = pick(writers);
  const telling = pick(tellings);
  const { gossip, id } = writer;
  const doings: Record<string, () => void> = {
    change: () => writer.change(random),
    restart: () => writer.restart(),
    connect: () =>
      reader.handle({ kind: 'connected', peer: id, ...gossip.head(), address: ADDRESS, dialled: true }, gossip),
    heartbeat: () => {
      const message: MessageOf<'O'> = { type: 'O', ...gossip.head(), from: 0, offers: [] };
      if (reader.gossip.peer(id)) reader.handle({ kind: 'message', peer: id, message }, gossip);
    },
    leave: () => {
      const goodbye = gossipOf(writer.n, gossip.epoch).handle({ kind: 'stop' }, 0);
      const leave = goodbye.find((e) => e.kind === 'multicast');
      if (leave?.kind === 'multicast') reader.handle({ kind: 'message', peer: id, message: leave.message });
    },
    aside: () => {
      const path = `aside/${Math.floor(random() * 3)}`;
      const offers = random() < 0.3 ? [] : [{ ...file(path, 'aside'), version: writer.asides++ }];
      reader.handle({ kind: 'aside', peer: id, message: { type: 'Y', reset: true, offers, last: true } });
    },
    // What was for everyone once, or of which a tracker says so.
    lie: () => {
      const offers = [{ ...file(`aside/${Math.floor(random() * 3)}`, 'told'), version: 1 }];
      const page = { ...EMPTY, peers: writer.page(false).peers, offers: [{ peer: id, offers }] };
      reader.tell(reader.directory.page(telling, page, reader.now));
    },
    told: () => reader.tell(reader.directory.page(telling, writer.page(false), reader.now)),
    anew: () => reader.tell(reader.directory.page(telling, writer.page(true), reader.now)),
    gone: () => reader.tell(reader.directory.page(telling, { ...EMPTY, gone: [id] }, reader.now)),
    lost: () => reader.tell(reader.directory.lose(telling, reader.now + 100)),
    sweep: () => reader.tell(reader.directory.sweep(reader.now)),
    later: () => reader.later(),
  };
  const name = pick(Object.keys(doings));
  doings[name]();
  return `${name} ${writer.n}`;
}

test('whatever happens in whatever order: those who follow know what is shown', (t) => {
  let changes = 0;
  for (let seed = 1; seed <= 150; seed++) {
    const random = seeded(seed);
    const reader = new Reader();
    const writers = [1, 2, 3].map((n) => new Writer(n));
    const tellings = ['A', 'B'].map((tracker) => reader.directory.begin(tracker, false));
    const done: string[] = [];
    for (let i = 0; i < 120; i++) {
      done.push(step(reader, writers, tellings, random));
      const fault = reader.check();
      if (fault) {
        t.fail(`seed ${seed}: ${fault}, after ${done.slice(-12).join(', ')}`);
        return;
      }
    }
    changes += reader.told.length;
  }
  t.true(changes > 3000, `${changes} changes were told`);
});

test('a peer that passes from a tracker’s word to gossip’s, and back, changes nothing that is the same', (t) => {
  const reader = new Reader();
  const writer = new Writer(1);
  const random = seeded(3);
  for (let i = 0; i < 20; i++) writer.change(random);
  const telling = reader.directory.begin('A', false);
  reader.tell(reader.directory.page(telling, writer.page(false), 0));
  const told = reader.told.length;
  t.true(told > 0);
  t.is(reader.view.peers()[1].via, 'tracker');
  const { gossip } = writer;
  reader.handle({ kind: 'connected', peer: writer.id, ...gossip.head(), address: ADDRESS, dialled: true }, gossip);
  t.true(reader.gossip.index.shows(writer.id), 'gossip has it');
  t.like(reader.view.peers()[1], { via: 'tracker', addresses: ['10.0.0.1:47748', '10.0.0.1:1'] });
  const stop = gossipOf(1)
    .handle({ kind: 'stop' }, 0)
    .find((e) => e.kind === 'multicast');
  if (stop?.kind === 'multicast') reader.handle({ kind: 'message', peer: writer.id, message: stop.message });
  t.false(reader.gossip.index.shows(writer.id));
  t.is(reader.model.size, 0, 'it has left, and the tracker is given time to say so');
  t.is(reader.check(), undefined);
  reader.later();
  t.true(reader.model.size > 0, 'which it did not');
  t.is(reader.check(), undefined);
});

test('a tracker that is a little behind brings nothing back', (t) => {
  const reader = new Reader();
  const writer = new Writer(1);
  const { gossip, id } = writer;
  gossip.handle({ kind: 'offers', changes: [file('a', 'a'), file('b', 'b')] }, 0);
  const telling = reader.directory.begin('A', false);
  reader.tell(reader.directory.page(telling, writer.page(false), 0));
  reader.handle({ kind: 'connected', peer: id, ...gossip.head(), address: ADDRESS, dialled: true }, gossip);
  const behind = writer.page(true);
  gossip.handle({ kind: 'offers', changes: [removed('a')] }, 0);
  reader.handle({ kind: 'message', peer: id, message: { type: 'O', ...gossip.head(), from: 0, offers: [] } }, gossip);
  reader.tell(reader.directory.page(telling, behind, 0));
  for (const effect of gossip.handle({ kind: 'stop' }, 0)) {
    if (effect.kind === 'multicast') reader.handle({ kind: 'message', peer: id, message: effect.message });
  }
  reader.tell(reader.directory.page(telling, { ...EMPTY, gone: [id] }, reader.now));
  reader.later();
  t.deepEqual(
    reader.told.map(({ kind, offer }) => `${kind} ${offer.path}`),
    ['added a', 'added b', 'removed a', 'removed b'],
  );
  t.is(reader.check(), undefined);
});

test('that a tracker tells of something as for everyone does not make it so', (t) => {
  const reader = new Reader();
  const writer = new Writer(1);
  const { gossip, id } = writer;
  reader.handle({ kind: 'connected', peer: id, ...gossip.head(), address: ADDRESS, dialled: true }, gossip);
  const offers = [{ ...file('share/1', 'secret'), version: 1 }];
  reader.handle({ kind: 'aside', peer: id, message: { type: 'Y', reset: true, offers, last: true } });
  gossip.handle({ kind: 'offers', changes: [file('share/1', 'secret')] }, 0);
  const telling = reader.directory.begin('A', false);
  reader.tell(reader.directory.page(telling, writer.page(false), 0));
  const { view } = reader;
  t.true(view.isToldAside(id, 'share/1'));
  t.true(view.isAside(offers[0].id as string, 'share/1'));
});

test('of answers to a question and what is followed, the latter counts', (t) => {
  const reader = new Reader();
  const writer = new Writer(1);
  const answers = new Directory({ id: reader.id, verify: () => true });
  const view = new View(reader.gossip, reader.directory, answers);
  writer.gossip.handle({ kind: 'offers', changes: [file('a', 'old'), file('b', 'b')] }, 0);
  answers.page(answers.begin('A', false), writer.page(false), 0);
  t.deepEqual([...view].map(({ path }) => path).sort(), ['a', 'b']);
  t.is(view.peers().length, 2);
  writer.gossip.handle({ kind: 'offers', changes: [file('a', 'new'), removed('b')] }, 0);
  reader.directory.page(reader.directory.begin('A', false), writer.page(false), 0);
  t.is(view.get(writer.id, 'a')?.id, file('a', 'new').id);
  t.is(view.byId(file('a', 'old').id as string).length, 0);
  t.is(view.byPath('a').length, 1);
  t.is(view.peers().length, 2);
});
