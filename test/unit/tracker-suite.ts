/**
 * The suite of the registry: what has to be so wherever it keeps what trackers tell each other. It is run in memory
 * (tracker-registry.test.ts) and over a Redis (e2e/tracker-store.test.ts), each by a harness of its own.
 */
import type { ExecutionContext, TestFn } from 'ava';
import type { PeerId } from '../../lib/ids.js';
import { identityOf, newPrivateKey } from '../../lib/net/keys.js';
import type { PeerOffer } from '../../lib/offer.js';
import {
  type Found,
  type Holding,
  LOOKUP,
  type Registered,
  type Registrant,
  type RegistryEffect,
  type RegistryEvent,
} from '../../lib/tracker/events.js';
import { type Head, headStatement, packHead, RELAY, readHead, TRACKER } from '../../lib/wire/head.js';

/** All pieces of an answer to a lookup, put together in their order; or the code of the refusal. */
export interface Answer {
  code: string;
  peers: Registered[];
  offers: PeerOffer[];
  have: Holding[];
}

/** Two trackers of one registry, 0 and 1, on one virtual clock. */
export interface Harness {
  readonly ids: readonly [PeerId, PeerId];
  /**
   * Hands an event to a tracker, now, and then every sweep that is due.
   * @returns what came of it at once, without `share` and `timer`
   */
  event(tracker: number, event: RegistryEvent): Promise<RegistryEffect[]>;
  lookup(tracker: number, kind: number, text: string): Promise<Answer>;
  /** Returns when each knows what the other has told until now, and whatever follows from that has been told too. */
  settle(): Promise<void>;
  /** Moves the clock on, in steps small enough that every sweep comes in time; settles after each. */
  advance(ms: number): Promise<void>;
  /** What came of anything at a tracker since this was asked last, without `share` and `timer`. */
  effects(tracker: number): RegistryEffect[];
  /** Kills a tracker: it says nothing and hears nothing from now on. */
  kill(tracker: number): Promise<void>;
  /** Starts a tracker that was killed: it has its id and knows nothing but what the store tells it. */
  start(tracker: number): Promise<void>;
  /** The store is away: nothing passes until `storeBack`, but each goes on by itself. */
  storeAway(): Promise<void>;
  /** The store is there again, and empty. */
  storeBack(): Promise<void>;
  end(): Promise<void>;
}

/** Puts the pieces of an answer together. */
export function gather(found: Iterable<Found> | { code: string }): Answer {
  if ('code' in found) return { code: found.code, peers: [], offers: [], have: [] };
  const out: Answer = { code: '', peers: [], offers: [], have: [] };
  for (const { peers, offers, have } of found) {
    out.peers.push(...peers);
    out.offers.push(...offers);
    out.have.push(...have);
  }
  return out;
}

const BORN = 1_700_000_000_000;
const identities = new Map<number, ReturnType<typeof identityOf>>();

/** One who registers, with a true key and a signed head; the same number is the same peer. */
export function registrant(n: number, more: Partial<Head> & { instance?: number } = {}): Registrant {
  let identity = identities.get(n);
  if (!identity) {
    identity = identityOf(newPrivateKey(), BORN + n);
    identities.set(n, identity);
  }
  const { instance = n, ...fields } = more;
  const packed = packHead({
    id: identity.id,
    key: identity.key,
    name: `peer ${n}`,
    port: 40_000,
    flags: 0,
    epoch: 1,
    version: 1,
    beat: 1,
    files: 0,
    bytes: 0,
    count: 0,
    floor: 0,
    root: new Uint8Array(32),
    echo: new Uint8Array(0),
    ...fields,
  });
  const { id, key, name, epoch, version } = readHead(packed);
  // Plain bytes, as they are when they came over a wire.
  const sig = new Uint8Array(identity.sign(headStatement(packed)));
  return { id, key, name, epoch, version, instance: instanceOf(instance), head: new Uint8Array(packed), sig };
}

/** The instance of a process. */
export function instanceOf(n: number): Uint8Array {
  const out = Buffer.alloc(8);
  out.writeUInt32BE(n);
  return new Uint8Array(out);
}

/** A registration over a link; a host of its own for each peer, where nothing else is said. */
export function joining(
  link: number,
  peer: Registrant,
  more: { number?: number; claimed?: string[]; host?: string; port?: number } = {},
): RegistryEvent {
  return { kind: 'register', link, number: 1, peer, claimed: [], host: `10.0.0.${link % 250}`, port: 40_000, ...more };
}

export function contentId(n: number): string {
  return n.toString(16).padStart(4, '0').repeat(16);
}

export function offered(peer: PeerId, path: string, more: Partial<PeerOffer> = {}): PeerOffer {
  return { peer, path, kind: 'file', size: 5, mtime: 7, id: null, version: 1, ...more };
}

/** Offers that are new. */
export function offering(peer: Registrant, ...offers: PeerOffer[]): RegistryEvent {
  const changes = offers.map((after) => ({ before: undefined, after }));
  return { kind: 'offers', peer: peer.id, changes };
}

/** What effects say, a word or more for each. */
export function words(effects: readonly RegistryEffect[]): string[] {
  return effects.map((effect) => {
    switch (effect.kind) {
      case 'registered':
        return `registered ${effect.link}`;
      case 'answer':
        return `answer ${effect.link} ${effect.code || 'ok'}`;
      case 'came':
      case 'changed':
        return `${effect.kind} ${effect.peer.name}`;
      case 'departed':
        return `departed ${effect.peer.name} ${effect.why}`;
      case 'dial-back':
        return `dial-back ${effect.link} ${effect.addresses.join(' ')}`;
      case 'probe':
      case 'summon':
        return `${effect.kind} ${effect.link}`;
      case 'cut':
        return `cut ${effect.link} ${effect.code}`;
      default:
        return effect.kind;
    }
  });
}

const namesOf = ({ peers }: Answer): string[] => peers.map(({ name }) => name).sort();
const pathsOf = ({ offers }: Answer): string[] => offers.map(({ path }) => path).sort();

/**
 * Declares the suite.
 * @param name what stands before the titles
 * @param make a harness for one test, with nobody registered
 */
export function trackerSuite(test: TestFn, name: string, make: () => Promise<Harness>): void {
  const it = (title: string, run: (h: Harness, t: ExecutionContext) => Promise<void>) =>
    test(`${name}: ${title}`, async (t) => {
      const harness = await make();
      try {
        await run(harness, t);
      } finally {
        await harness.end();
      }
    });

  it('who registers is found at once, and gone at once when its connection breaks', async (h, t) => {
    const ann = registrant(1);
    t.deepEqual(words(await h.event(0, joining(1, ann))), [
      'registered 1',
      'dial-back 1 10.0.0.1:40000',
      'came peer 1',
    ]);
    await h.event(0, offering(ann, offered(ann.id, 'a/b.txt', { id: contentId(1) })));
    t.deepEqual(namesOf(await h.lookup(0, LOOKUP.peer, 'peer 1')), ['peer 1']);
    t.deepEqual(pathsOf(await h.lookup(0, LOOKUP.what, 'a/b.txt')), ['a/b.txt']);
    t.deepEqual(words(await h.event(0, { kind: 'broken', link: 1 })), ['departed peer 1 broken']);
    t.is((await h.lookup(0, LOOKUP.peer, 'peer 1')).code, 'unknown-peer');
    t.is((await h.lookup(0, LOOKUP.what, 'a/b.txt')).code, 'unknown-file');
  });

  it('what one tracker knows the other answers', async (h, t) => {
    const ann = registrant(1);
    await h.event(0, joining(1, ann));
    await h.event(0, { kind: 'dialled-back', link: 1, address: '10.0.0.1:40000', reached: true });
    await h.event(0, offering(ann, offered(ann.id, 'a/b.txt', { id: contentId(1) })));
    await h.settle();
    const { offers } = await h.lookup(1, LOOKUP.words, 'B.TXT');
    t.deepEqual(offers, [offered(ann.id, 'a/b.txt', { id: contentId(1) })]);
    const { peers } = await h.lookup(1, LOOKUP.peer, ann.id);
    t.deepEqual(
      peers.map(({ id, reachable, link, homes }) => ({ id, reachable, link, homes })),
      [{ id: ann.id, reachable: ['10.0.0.1:40000'], link: undefined, homes: [h.ids[0]] }],
    );
    await h.event(0, { kind: 'left', link: 1 });
    await h.settle();
    t.deepEqual(words(h.effects(1)).slice(-1), ['departed peer 1 left']);
    t.deepEqual(await h.lookup(1, LOOKUP.words, 'b.txt'), { code: '', peers: [], offers: [], have: [] });
  });

  it('the lease of one who says nothing ends, and each word renews it', async (h, t) => {
    await h.event(0, joining(1, registrant(1)));
    await h.event(0, joining(2, registrant(2)));
    await h.advance(8000);
    await h.event(0, { kind: 'heard', link: 1 });
    h.effects(0);
    await h.advance(4500);
    t.deepEqual(words(h.effects(0)), ['departed peer 2 lease', 'cut 2 timeout']);
    t.deepEqual(namesOf(await h.lookup(0, LOOKUP.peers, '')), ['peer 1']);
    t.deepEqual(namesOf(await h.lookup(1, LOOKUP.peers, '')), ['peer 1']);
  });

  it('who says so again renews, and the same process over a new connection is the same peer', async (h, t) => {
    const ann = registrant(1);
    await h.event(0, joining(1, ann));
    await h.event(0, { kind: 'dialled-back', link: 1, address: '10.0.0.1:40000', reached: true });
    await h.event(0, offering(ann, offered(ann.id, 'a.txt')));
    const [again] = await h.event(0, joining(1, ann, { number: 7 }));
    t.like(again, {
      kind: 'registered',
      number: 7,
      seen: '10.0.0.1:40000',
      reachable: ['10.0.0.1:40000'],
      lease: 12_000,
    });
    t.like(again, { peers: 1, offers: 1 });
    // Where it was reached it is reached still.
    const moved = joining(2, ann, { host: '10.0.0.1', claimed: ['10.0.0.1:40000'] });
    t.deepEqual(words(await h.event(0, moved)), ['cut 1 cancelled', 'registered 2']);
    // The first connection ends afterwards, and means nothing any more.
    t.deepEqual(await h.event(0, { kind: 'broken', link: 1 }), []);
    t.deepEqual(pathsOf(await h.lookup(0, LOOKUP.all, '')), ['a.txt']);
    t.deepEqual(words(await h.event(0, { kind: 'left', link: 2 })), ['departed peer 1 left']);
  });

  it('a taken id is refused to another key', async (h, t) => {
    const ann = registrant(1);
    const thief = { ...registrant(2), id: ann.id };
    await h.event(0, joining(1, ann));
    t.deepEqual(words(await h.event(0, joining(2, thief))), ['answer 2 id-taken']);
    await h.settle();
    t.deepEqual(words(await h.event(1, joining(3, thief))), ['answer 3 id-taken']);
    t.deepEqual((await h.lookup(0, LOOKUP.peer, ann.id)).peers[0].key, ann.key);
  });

  it('a second process of one key waits until it is known whether the first lives', async (h, t) => {
    const first = registrant(1);
    const second = registrant(1, { instance: 77 });
    await h.event(0, joining(1, first));
    await h.event(0, offering(first, offered(first.id, 'of-the-first')));
    t.deepEqual(words(await h.event(0, joining(2, second))), ['probe 1']);
    // A third is one too many; the second, on a new connection, is still the second.
    t.deepEqual(words(await h.event(0, joining(3, registrant(1, { instance: 78 })))), ['answer 3 id-taken']);
    t.deepEqual(words(await h.event(0, joining(4, second))), []);
    t.deepEqual(words(await h.event(0, { kind: 'probed', link: 1, alive: true })), ['answer 4 id-taken']);
    t.deepEqual((await h.lookup(0, LOOKUP.peer, first.id)).peers[0].instance, first.instance);

    t.deepEqual(words(await h.event(0, joining(5, second))), ['probe 1']);
    t.deepEqual(words(await h.event(0, { kind: 'probed', link: 1, alive: false })), [
      'departed peer 1 replaced',
      'cut 1 timeout',
      'registered 5',
      'dial-back 5 10.0.0.5:40000',
      'came peer 1',
    ]);
    t.is((await h.lookup(0, LOOKUP.what, 'of-the-first')).code, 'unknown-file');
    await h.settle();
    t.deepEqual((await h.lookup(1, LOOKUP.peer, first.id)).peers[0].instance, second.instance);
    t.is((await h.lookup(1, LOOKUP.what, 'of-the-first')).code, 'unknown-file');
  });

  it('a first process whose connection breaks, or of which nothing is heard, gives way too', async (h, t) => {
    await h.event(0, joining(1, registrant(1)));
    await h.event(0, joining(2, registrant(1, { instance: 77 })));
    const broken = words(await h.event(0, { kind: 'broken', link: 1 }));
    t.deepEqual(broken.slice(0, 2), ['departed peer 1 broken', 'registered 2']);
    t.deepEqual(words(await h.event(0, joining(3, registrant(1, { instance: 78 })))), ['probe 2']);
    // One that goes away while it waits does not get in.
    await h.event(0, { kind: 'broken', link: 3 });
    t.deepEqual(words(await h.event(0, joining(4, registrant(1, { instance: 79 })))), []);
    h.effects(0);
    await h.advance(3200);
    t.deepEqual(words(h.effects(0)).slice(0, 3), ['departed peer 1 replaced', 'cut 2 timeout', 'registered 4']);
    t.is((await h.lookup(0, LOOKUP.peers, '')).peers.length, 1);
  });

  it('an id that lives at one tracker is refused at the other', async (h, t) => {
    const first = registrant(1);
    const second = registrant(1, { instance: 77 });
    await h.event(0, joining(1, first));
    await h.settle();
    t.deepEqual(words(await h.event(1, joining(2, second))), []);
    await h.settle();
    t.true(words(h.effects(0)).includes('probe 1'));
    await h.event(0, { kind: 'probed', link: 1, alive: true });
    h.effects(1);
    await h.settle();
    t.deepEqual(words(h.effects(1)), ['answer 2 id-taken']);

    await h.event(1, joining(3, second));
    await h.settle();
    await h.event(0, { kind: 'probed', link: 1, alive: false });
    await h.settle();
    t.true(words(h.effects(1)).includes('registered 3'));
    t.true(words(h.effects(0)).includes('cut 1 timeout'));
    for (const i of [0, 1]) {
      t.deepEqual((await h.lookup(i, LOOKUP.peer, first.id)).peers[0].instance, second.instance);
    }
  });

  it('of two processes of one key that come to two trackers at once one stays, and both agree on which', async (h, t) => {
    await h.event(1, joining(2, registrant(1, { instance: 77 })));
    await h.event(0, joining(1, registrant(1)));
    await h.settle();
    await h.advance(500);
    const cuts = [0, 1].map((i) => words(h.effects(i)).filter((word) => word.endsWith('id-taken')));
    t.is(cuts.flat().length, 1);
    const found = await Promise.all([0, 1].map((i) => h.lookup(i, LOOKUP.peers, '')));
    t.deepEqual(found[0].peers[0].instance, found[1].peers[0].instance);
    t.deepEqual([found[0].peers.length, found[1].peers.length], [1, 1]);
    t.deepEqual(found[0].peers[0].homes, found[1].peers[0].homes);
    t.is(found[0].peers[0].homes.length, 1);
  });

  it('what a tracker held that died with its peer is no rival for long', async (h, t) => {
    await h.event(0, joining(1, registrant(1)));
    await h.settle();
    await h.kill(0);
    const second = registrant(1, { instance: 77 });
    await h.event(1, joining(2, second));
    h.effects(1);
    await h.advance(3500);
    t.true(words(h.effects(1)).includes('registered 2'));
    // Nor when it is told again that the dead one holds it.
    for (let i = 0; i < 10; i++) {
      await h.event(1, { kind: 'heard', link: 2 });
      await h.advance(3000);
    }
    t.deepEqual(
      words(h.effects(1)).filter((word) => !word.startsWith('changed')),
      [],
    );
    t.deepEqual((await h.lookup(1, LOOKUP.peer, second.id)).peers[0].instance, second.instance);
  });

  it('an address where a live peer was reached is refused to another, and free once that one is gone', async (h, t) => {
    const [ann, bob] = [registrant(1), registrant(2)];
    await h.event(0, joining(1, ann));
    const claim = { claimed: ['10.0.0.1:40000', '192.168.1.9:40000'] };
    // Not confirmed yet: nobody's.
    const early = words(await h.event(0, joining(9, registrant(9), claim)));
    t.deepEqual(early.slice(0, 2), ['registered 9', 'dial-back 9 10.0.0.1:40000 192.168.1.9:40000 10.0.0.9:40000']);
    await h.event(0, { kind: 'left', link: 9 });
    await h.event(0, { kind: 'dialled-back', link: 1, address: '10.0.0.1:40000', reached: true });

    t.deepEqual(words(await h.event(0, joining(2, bob, claim))), ['probe 1']);
    const [refused] = await h.event(0, { kind: 'probed', link: 1, alive: true });
    t.like(refused, { kind: 'answer', link: 2, code: 'address-taken' });
    t.true(refused.kind === 'answer' && refused.message.includes('10.0.0.1:40000'));
    t.is((await h.lookup(0, LOOKUP.peer, bob.id)).code, 'unknown-peer');

    // One that does without it meanwhile is let in, and hears no more of it.
    await h.event(0, joining(4, registrant(4), claim));
    t.is(words(await h.event(0, joining(4, registrant(4))))[0], 'registered 4');
    t.deepEqual(words(await h.event(0, { kind: 'probed', link: 1, alive: true })), []);

    // Through the other tracker likewise.
    await h.settle();
    await h.event(1, joining(3, bob, claim));
    await h.settle();
    await h.event(0, { kind: 'probed', link: 1, alive: true });
    await h.settle();
    t.true(words(h.effects(1)).includes('answer 3 address-taken'));

    await h.event(0, joining(2, bob, claim));
    const free = words(await h.event(0, { kind: 'probed', link: 1, alive: false }));
    t.deepEqual(free.slice(0, 3), ['departed peer 1 lease', 'cut 1 timeout', 'registered 2']);
    await h.event(0, { kind: 'dialled-back', link: 2, address: '10.0.0.1:40000', reached: true });
    t.deepEqual((await h.lookup(0, LOOKUP.peer, bob.id)).peers[0].reachable, ['10.0.0.1:40000']);
  });

  it('each address is tried once, and only those are told where the peer was reached', async (h, t) => {
    const ann = registrant(1);
    const claimed = ['10.0.0.1:40000', '127.0.0.1:40000', 'no address', '[fd00::1]:40000'];
    const first = words(await h.event(0, joining(1, ann, { claimed })));
    t.deepEqual(first, ['registered 1', 'dial-back 1 10.0.0.1:40000 [fd00::1]:40000', 'came peer 1']);
    const heard = await h.event(0, { kind: 'dialled-back', link: 1, address: '[fd00::1]:40000', reached: true });
    t.deepEqual(words(heard), ['changed peer 1']);
    t.deepEqual(await h.event(0, { kind: 'dialled-back', link: 1, address: '10.0.0.1:40000', reached: false }), []);
    t.deepEqual(await h.event(0, { kind: 'dialled-back', link: 1, address: '10.9.9.9:40000', reached: true }), []);
    const [again, more] = await h.event(0, joining(1, ann, { claimed: [...claimed, '10.0.0.7:40000'] }));
    t.like(again, { reachable: ['[fd00::1]:40000'] });
    t.deepEqual(words([more]), ['dial-back 1 10.0.0.7:40000']);
    // On the tracker's own host loopback means the same.
    const local = words(await h.event(0, joining(2, registrant(2), { claimed: ['127.0.0.1:5'], host: '127.0.0.1' })));
    t.true(local.includes('dial-back 2 127.0.0.1:5 127.0.0.1:40000'));
    // One that is passed on, or does not listen, is not tried where it comes from.
    t.deepEqual(words(await h.event(0, joining(3, registrant(3), { port: 0 }))), ['registered 3', 'came peer 3']);
  });

  it('offers come and go by changes, here and at the other tracker', async (h, t) => {
    const ann = registrant(1);
    await h.event(0, joining(1, ann));
    const [a, b] = [offered(ann.id, 'a.txt'), offered(ann.id, 'b.txt', { id: contentId(2), version: 2 })];
    await h.event(0, offering(ann, a, b));
    const better = { ...a, id: contentId(3), version: 3 };
    const [told] = await h.event(0, {
      kind: 'offers',
      peer: ann.id,
      changes: [
        { before: a, after: better },
        { before: b, after: undefined },
        // Nothing that is known, and what is not its own.
        { before: offered(ann.id, 'never'), after: undefined },
        { before: undefined, after: offered(registrant(2).id, 'another’s') },
      ],
    });
    t.deepEqual(told, {
      kind: 'offers',
      changes: [
        { before: a, after: better },
        { before: b, after: undefined },
      ],
    });
    await h.settle();
    for (const i of [0, 1]) {
      t.deepEqual((await h.lookup(i, LOOKUP.all, '')).offers, [better]);
      t.is((await h.lookup(i, LOOKUP.holders, contentId(2))).code, 'unknown-file');
    }
    // Of nobody who is registered.
    t.deepEqual(await h.event(0, offering(registrant(5), offered(registrant(5).id, 'x'))), []);
  });

  it('each kind of lookup', async (h, t) => {
    const [ann, bob] = [registrant(1, { name: 'Zoë' }), registrant(2)];
    await h.event(0, joining(1, ann));
    await h.event(1, joining(2, bob));
    await h.event(
      0,
      offering(ann, offered(ann.id, 'music/Ärger.mp3', { id: contentId(1) }), offered(ann.id, 'music/b.txt')),
    );
    await h.event(1, offering(bob, offered(bob.id, 'docs/b.txt', { id: contentId(1) })));
    await h.settle();
    for (const i of [0, 1]) {
      const paths = async (kind: number, text: string) => pathsOf(await h.lookup(i, kind, text));
      const all = ['docs/b.txt', 'music/b.txt', 'music/Ärger.mp3'];
      t.deepEqual(await paths(LOOKUP.all, ''), all);
      t.deepEqual(namesOf(await h.lookup(i, LOOKUP.all, '')), ['Zoë', 'peer 2'].sort());
      t.deepEqual(await paths(LOOKUP.what, 'docs/b.txt'), ['docs/b.txt']);
      t.deepEqual(await paths(LOOKUP.what, 'music/'), ['music/b.txt', 'music/Ärger.mp3']);
      t.deepEqual(await paths(LOOKUP.what, 'b.txt'), ['docs/b.txt', 'music/b.txt']);
      t.deepEqual(await paths(LOOKUP.what, 'Zoë:*/b.txt'), ['docs/b.txt', 'music/b.txt']);
      t.deepEqual(await paths(LOOKUP.what, '#0001'), ['docs/b.txt', 'music/Ärger.mp3']);
      t.deepEqual(await paths(LOOKUP.pattern, '**/*.mp3'), ['music/Ärger.mp3']);
      t.deepEqual(await paths(LOOKUP.words, ' arger  MUSIC '), ['music/Ärger.mp3']);
      t.deepEqual(await paths(LOOKUP.holders, contentId(1)), ['docs/b.txt', 'music/Ärger.mp3']);
      t.deepEqual(namesOf(await h.lookup(i, LOOKUP.peers, '')), ['Zoë', 'peer 2'].sort());
      for (const text of ['Zoe\u0308', ann.id, ann.id.toLowerCase(), ann.id.slice(0, 25)]) {
        t.deepEqual(namesOf(await h.lookup(i, LOOKUP.peer, text)), ['Zoë'], text);
        t.deepEqual(namesOf(await h.lookup(i, LOOKUP.peers, text)), ['Zoë'], text);
      }
      for (const kind of [LOOKUP.pattern, LOOKUP.words, LOOKUP.peers]) {
        t.deepEqual(await h.lookup(i, kind, 'nowhere*'), { code: '', peers: [], offers: [], have: [] });
      }
      for (const [kind, text, code] of [
        [LOOKUP.what, 'nowhere', 'unknown-file'],
        [LOOKUP.holders, contentId(9), 'unknown-file'],
        [LOOKUP.peer, 'nobody', 'unknown-peer'],
        [LOOKUP.peer, '', 'unknown-peer'],
        [LOOKUP.relay, 'nobody', 'unknown-peer'],
        [LOOKUP.relay, ann.id, 'not-found'],
        [LOOKUP.pattern, '*'.repeat(2000), 'usage'],
        [LOOKUP.what, '*'.repeat(2000), 'usage'],
        [LOOKUP.words, 'w '.repeat(100), 'usage'],
        [LOOKUP.holders, 'no id', 'usage'],
        [4, '', 'usage'],
      ] as const) {
        t.is((await h.lookup(i, kind, text)).code, code, `${kind} ${text.slice(0, 20)}`);
      }
    }
  });

  it('who receives a content is told as one who holds parts of it, here and at the other tracker', async (h, t) => {
    const [ann, bob] = [registrant(1), registrant(2)];
    await h.event(0, joining(1, ann));
    await h.event(0, joining(2, bob));
    const hold = (link: number, at: number, ...bits: number[]): RegistryEvent => ({
      kind: 'hold',
      link,
      id: contentId(1),
      chunks: 20,
      at,
      bits: Uint8Array.from(bits),
    });
    // Of nobody, beyond the end, and beyond the last chunk.
    t.deepEqual(await h.event(0, hold(9, 0, 1)), []);
    t.deepEqual(await h.event(0, hold(1, 3, 1)), []);
    t.deepEqual(words(await h.event(0, hold(1, 2, 255))), ['holding']);
    await h.event(0, hold(1, 0, 5));
    await h.event(0, hold(2, 0, 1));
    await h.settle();
    const held = async (i: number) => {
      const { code, have } = await h.lookup(i, LOOKUP.holders, contentId(1));
      return [code, ...have.map(({ peer, bits }) => `${peer === ann.id ? 'ann' : 'bob'} ${[...bits]}`)];
    };
    for (const i of [0, 1]) t.deepEqual(await held(i), ['', 'ann 5,0,15', 'bob 1']);
    // It offers it now, as a whole.
    await h.event(0, offering(ann, offered(ann.id, 'whole', { id: contentId(1) })));
    await h.event(0, hold(2, 0));
    await h.settle();
    for (const i of [0, 1]) t.deepEqual(await held(i), ['']);
    await h.event(0, { kind: 'broken', link: 1 });
    await h.settle();
    for (const i of [0, 1]) t.deepEqual(await held(i), ['unknown-file']);
  });

  it('a peer is asked to dial another, whichever tracker it is registered with', async (h, t) => {
    const [ann, bob] = [registrant(1), registrant(2)];
    const from = { head: ann.head, sig: ann.sig, addresses: ['10.0.0.1:40000'] };
    const summon = (link: number, peer: string): RegistryEvent => ({ kind: 'summon', link, number: 3, peer, from });
    t.deepEqual(words(await h.event(0, summon(1, bob.id))), ['answer 1 not-registered']);
    await h.event(0, joining(1, ann));
    t.deepEqual(words(await h.event(0, summon(1, bob.id))), ['answer 1 unknown-peer']);
    await h.event(1, joining(2, bob));
    await h.settle();
    h.effects(1);
    t.deepEqual(words(await h.event(0, summon(1, bob.id))), ['answer 1 ok']);
    await h.settle();
    const [summoned, ...more] = h.effects(1);
    t.like(summoned, { kind: 'summon', link: 2, peer: bob.id });
    // As bytes: msgpackr leaves a mark on what it has unpacked.
    const bytesOf = ({ head, sig, addresses }: typeof from) => [[...head], [...sig], addresses];
    t.deepEqual(
      summoned.kind === 'summon' && bytesOf({ ...summoned.from, addresses: [...summoned.from.addresses] }),
      bytesOf(from),
    );
    t.deepEqual(more, []);
    await h.event(0, joining(5, bob));
    t.deepEqual(words(await h.event(0, summon(1, bob.id))), ['summon 5', 'answer 1 ok']);
  });

  it('those who would pass on: this tracker first, then any that can be reached', async (h, t) => {
    const passing = (n: number) => registrant(n, { flags: RELAY });
    await h.event(0, joining(1, registrant(1)));
    for (const n of [2, 3, 4]) await h.event(0, joining(n, passing(n)));
    for (const n of [2, 3]) {
      await h.event(0, { kind: 'dialled-back', link: n, address: `10.0.0.${n}:40000`, reached: true });
    }
    const relays = async (i: number, of: number) => {
      const { code, peers } = await h.lookup(i, LOOKUP.relay, registrant(of).id);
      return [code, ...peers.map(({ name }) => name)];
    };
    t.deepEqual((await relays(0, 1)).sort(), ['', 'peer 2', 'peer 3']);
    t.deepEqual(await relays(0, 2), ['', 'peer 3']);
    await h.event(0, { kind: 'self', peer: registrant(9001, { flags: RELAY | TRACKER }), addresses: [] });
    t.is((await relays(0, 1))[1], 'peer 9001');
    await h.event(0, { kind: 'head', ...registrant(3, { version: 2 }), peer: registrant(3).id });
    t.deepEqual(await relays(0, 1), ['', 'peer 9001', 'peer 2']);
  });

  it('a tracker is registered as itself, for as long as it lives, and known to the other', async (h, t) => {
    const self = registrant(9001, { flags: TRACKER });
    const listens = { kind: 'self' as const, peer: self, addresses: ['10.0.0.200:47748'] };
    t.deepEqual(words(await h.event(0, listens)), ['came peer 9001']);
    t.deepEqual(await h.event(0, listens), []);
    await h.event(0, offering(self, offered(self.id, 'mine.txt')));
    await h.advance(60_000);
    for (const i of [0, 1]) {
      t.deepEqual(pathsOf(await h.lookup(i, LOOKUP.all, '')), ['mine.txt']);
      const [shown] = (await h.lookup(i, LOOKUP.peer, self.id)).peers;
      t.like(shown, { reachable: ['10.0.0.200:47748'], link: undefined, homes: [self.id] });
    }
    // Its id, and where it listens, are nobody else's.
    t.deepEqual(words(await h.event(0, joining(1, registrant(9001, { instance: 3 })))), ['answer 1 id-taken']);
    const claim = { claimed: ['10.0.0.200:47748'] };
    t.deepEqual(words(await h.event(0, joining(2, registrant(2), claim))), ['answer 2 address-taken']);
  });

  it('a newer word of a peer on itself is told, an older one is not', async (h, t) => {
    await h.event(0, joining(1, registrant(1)));
    await h.event(0, joining(2, registrant(2)));
    const renamed = registrant(1, { name: 'new name', epoch: 2 });
    const earlier = registrant(1, { version: 9 });
    t.deepEqual(words(await h.event(0, { kind: 'head', ...renamed, peer: renamed.id })), ['changed new name']);
    t.deepEqual(await h.event(0, { kind: 'head', ...earlier, peer: renamed.id }), []);
    await h.event(0, joining(1, registrant(1)));
    await h.settle();
    for (const i of [0, 1]) {
      t.deepEqual(namesOf(await h.lookup(i, LOOKUP.peer, 'new name')), ['new name']);
      t.is((await h.lookup(i, LOOKUP.peer, 'peer 1')).code, 'unknown-peer');
      t.deepEqual((await h.lookup(i, LOOKUP.peer, renamed.id)).peers[0].head, renamed.head);
    }
  });

  it('one that leaves and comes back stays, at the other tracker too', async (h, t) => {
    const ann = registrant(1);
    await h.event(0, joining(1, ann));
    await h.settle();
    await h.advance(2000);
    await h.event(0, { kind: 'left', link: 1 });
    await h.event(0, joining(2, ann));
    await h.event(0, offering(ann, offered(ann.id, 'a.txt')));
    await h.settle();
    h.effects(1);
    for (let i = 0; i < 5; i++) {
      await h.event(0, { kind: 'heard', link: 2 });
      await h.advance(4000);
    }
    t.deepEqual(words(h.effects(1)), []);
    t.deepEqual(pathsOf(await h.lookup(1, LOOKUP.all, '')), ['a.txt']);
  });

  it('one registered with both trackers is registered until both have lost it', async (h, t) => {
    const ann = registrant(1);
    await h.event(0, joining(1, ann));
    await h.event(1, joining(2, ann));
    await h.event(0, offering(ann, offered(ann.id, 'a.txt')));
    await h.event(1, offering(ann, offered(ann.id, 'a.txt')));
    await h.settle();
    for (const i of [0, 1]) {
      t.deepEqual([...(await h.lookup(i, LOOKUP.peer, ann.id)).peers[0].homes].sort(), [...h.ids].sort());
    }
    await h.event(0, { kind: 'broken', link: 1 });
    await h.settle();
    for (const i of [0, 1]) {
      t.false(words(h.effects(i)).some((word) => word.startsWith('departed')));
      t.deepEqual(pathsOf(await h.lookup(i, LOOKUP.all, '')), ['a.txt']);
    }
    await h.event(1, { kind: 'broken', link: 2 });
    await h.settle();
    for (const i of [0, 1]) {
      t.deepEqual(words(h.effects(i)), ['departed peer 1 broken']);
      t.deepEqual(pathsOf(await h.lookup(i, LOOKUP.all, '')), []);
    }
  });

  it('one that moves to another tracker is found all the while, and what it offers no more goes', async (h, t) => {
    const ann = registrant(1, { count: 2 });
    const [a, b, c] = ['a', 'b', 'c'].map((path) => offered(ann.id, path));
    await h.event(0, joining(1, ann));
    await h.event(0, offering(ann, a, b));
    await h.settle();
    await h.kill(0);
    t.deepEqual(pathsOf(await h.lookup(1, LOOKUP.all, '')), ['a', 'b']);
    t.true(words(await h.event(1, joining(2, ann))).includes('registered 2'));
    t.deepEqual(pathsOf(await h.lookup(1, LOOKUP.all, '')), ['a', 'b']);
    // It took one away meanwhile and added another; the tracker learns first of the one, then of the other.
    await h.event(1, offering(ann, a));
    t.deepEqual(pathsOf(await h.lookup(1, LOOKUP.all, '')), ['a', 'b']);
    await h.event(1, offering(ann, c));
    t.deepEqual(pathsOf(await h.lookup(1, LOOKUP.all, '')), ['a', 'c']);
    for (let i = 0; i < 5; i++) {
      await h.event(1, { kind: 'heard', link: 2 });
      await h.advance(8000);
    }
    t.deepEqual(pathsOf(await h.lookup(1, LOOKUP.all, '')), ['a', 'c']);
    t.deepEqual((await h.lookup(1, LOOKUP.peer, ann.id)).peers[0].homes, [h.ids[1]]);
    // Whoever comes later learns it from here.
    await h.start(0);
    await h.settle();
    t.deepEqual(pathsOf(await h.lookup(0, LOOKUP.all, '')), ['a', 'c']);
  });

  it('what a tracker held that died goes, when nothing of it comes any more', async (h, t) => {
    const ann = registrant(1);
    await h.event(0, joining(1, ann));
    await h.event(0, offering(ann, offered(ann.id, 'a')));
    await h.settle();
    await h.kill(0);
    await h.advance(8000);
    t.deepEqual(pathsOf(await h.lookup(1, LOOKUP.all, '')), ['a']);
    h.effects(1);
    await h.advance(22_000);
    t.deepEqual(words(h.effects(1)), ['departed peer 1 lease']);
    t.deepEqual(pathsOf(await h.lookup(1, LOOKUP.all, '')), []);
  });

  it('while the store is away each goes on, and when it is back, empty, both know everything', async (h, t) => {
    const [ann, bob, eve] = [registrant(1), registrant(2), registrant(3)];
    await h.event(0, joining(1, ann));
    await h.event(0, joining(3, eve));
    await h.event(0, offering(ann, offered(ann.id, 'early')));
    await h.settle();
    await h.storeAway();
    t.true(words(await h.event(1, joining(2, bob))).includes('registered 2'));
    await h.event(1, offering(bob, offered(bob.id, 'meanwhile', { id: contentId(1) })));
    await h.event(0, offering(ann, offered(ann.id, 'late')));
    await h.event(0, { kind: 'hold', link: 1, id: contentId(1), chunks: 8, at: 0, bits: Uint8Array.of(3) });
    await h.event(0, { kind: 'left', link: 3 });
    await h.advance(2000);
    t.deepEqual(pathsOf(await h.lookup(1, LOOKUP.all, '')), ['early', 'meanwhile']);
    await h.storeBack();
    await h.settle();
    for (const i of [0, 1]) {
      t.deepEqual(pathsOf(await h.lookup(i, LOOKUP.all, '')), ['early', 'late', 'meanwhile']);
      t.is((await h.lookup(i, LOOKUP.holders, contentId(1))).have.length, 1);
    }
    for (let i = 0; i < 4; i++) {
      await h.event(0, { kind: 'heard', link: 1 });
      await h.event(1, { kind: 'heard', link: 2 });
      await h.advance(4000);
    }
    // She left while nobody could be told.
    for (const i of [0, 1]) t.deepEqual(namesOf(await h.lookup(i, LOOKUP.peers, '')), ['peer 1', 'peer 2']);
  });
}
