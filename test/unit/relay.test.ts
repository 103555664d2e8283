/** The relay without sockets: bounds, credit, and what becomes of tunnels as connections come and go. */
import test from 'ava';
import { seeded } from '../../lib/clock.js';
import { HearsayError } from '../../lib/errors.js';
import { peerId } from '../../lib/ids.js';
import { TUNNEL_IDLE_MS, TUNNEL_WINDOW, TUNNELS_MAX, TUNNELS_PER_LINK_MAX } from '../../lib/limits.js';
import { Relay, type RelayEffect, type Tunnel, type TunnelWord } from '../../lib/tracker/relay.js';
import type { MessageOf } from '../../lib/wire/table.js';

const KIB = 1024;
const idOf = (n: number) => peerId(new Uint8Array(32).fill(n), 1_700_000_000_000 + n);
const ask = (number: number, from = 1, to = 2): MessageOf<'t'> => ({
  type: 't',
  number,
  from: idOf(from),
  to: idOf(to),
});
const opened = (number: number, bytes: number, opener = false): TunnelWord => ({ type: 'w', number, opener, bytes });
const data = (number: number, length: number, opener: boolean): TunnelWord => {
  return { type: 'd', number, opener, data: new Uint8Array(length) };
};

/** A relay whose connections are words. */
class Hub {
  next = 1000;
  now = 0;
  readonly relay = new Relay<string>(() => this.next++);
  /** What was sent over each connection. */
  readonly sent: { link: string; message: MessageOf<'t'> | TunnelWord }[] = [];
  readonly wanted: { tunnel: Tunnel<string>; peer: string }[] = [];

  take(effects: RelayEffect<string>[] | undefined): void {
    for (const effect of effects ?? []) {
      if (effect.kind === 'send') this.sent.push(effect);
      else this.wanted.push(effect);
    }
  }

  open(link: string, number: number, from = 1, to = 2): void {
    this.take(this.relay.open(link, ask(number, from, to), this.now));
  }

  say(link: string, message: TunnelWord): void {
    this.take(this.relay.take(link, message, this.now));
  }

  /** The oldest that is wanted is there. */
  reach(link: string | undefined, code: 'unreachable' | 'limit' = 'unreachable'): void {
    const { tunnel } = this.wanted.shift()!;
    this.take(this.relay.reached(tunnel, link, { from: idOf(1), to: idOf(2) }, code));
  }

  /** What was sent last over a connection, and forgets it. */
  said(link: string): unknown[] {
    const mine = this.sent.filter((one) => one.link === link).map(({ message }) => message);
    this.sent.splice(0, this.sent.length, ...this.sent.filter((one) => one.link !== link));
    return mine.map((m) => (m.type === 'd' ? ['d', m.number, m.opener, m.data.length] : m));
  }
}

/** A tunnel from the connection a to the connection x, both of which have said how much they take. */
function open(hub = new Hub(), window = TUNNEL_WINDOW): Hub {
  hub.open('a', 7);
  hub.say('a', opened(7, window, true));
  hub.reach('x');
  hub.say('x', opened(hub.next - 1, window));
  return hub;
}

test('a tunnel is asked for at the far side, and each side hears what the other takes', (t) => {
  const hub = new Hub();
  hub.open('a', 7);
  t.is(hub.wanted[0].peer, idOf(2));
  hub.say('a', opened(7, 5000, true));
  t.deepEqual(hub.sent, []);
  hub.reach('x');
  t.deepEqual(hub.said('x'), [
    { type: 't', number: 1000, from: idOf(1), to: idOf(2) },
    { type: 'w', number: 1000, opener: true, bytes: 5000 },
  ]);
  hub.say('x', opened(1000, 6000));
  t.deepEqual(hub.said('a'), [{ type: 'w', number: 7, opener: false, bytes: 6000 }]);
  hub.say('a', data(7, 6000, true));
  t.deepEqual(hub.said('x'), [['d', 1000, true, 6000]]);
  hub.say('x', data(1000, 5000, false));
  t.deepEqual(hub.said('a'), [['d', 7, false, 5000]]);
  // Nothing more until it has been taken.
  t.throws(() => hub.say('a', data(7, 1, true)), { instanceOf: HearsayError });
  hub.say('x', opened(1000, 100));
  t.deepEqual(hub.said('a'), [{ type: 'w', number: 7, opener: false, bytes: 100 }]);
  hub.say('a', data(7, 100, true));
  hub.say('a', { type: 'e', number: 7, opener: true, code: '' });
  t.deepEqual(hub.said('x').at(-1), { type: 'e', number: 1000, opener: true, code: '' });
  t.is(hub.relay.size, 0);
  // What was still on its way is for nobody.
  t.is(hub.relay.take('x', data(1000, 5, false), 0), undefined);
});

test('the same number from both sides of a connection means two tunnels', (t) => {
  const hub = open();
  // The far side opens one with the number that we chose for the first.
  hub.open('x', 1000, 2, 3);
  hub.reach('b');
  hub.say('b', opened(1001, 50));
  hub.sent.length = 0;
  hub.say('x', data(1000, 20, true));
  t.deepEqual(hub.said('b'), [['d', 1001, true, 20]]);
  hub.say('x', data(1000, 30, false));
  t.deepEqual(hub.said('a'), [['d', 7, false, 30]]);
});

test('what waits for a slow reader is bounded, however much it says that it takes', (t) => {
  const hub = open(new Hub(), 2 ** 32 - 1);
  const lent = hub.said('a').reduce((sum: number, m) => sum + ((m as { bytes?: number }).bytes ?? 0), 0);
  t.is(lent, TUNNEL_WINDOW);
  // As one connection has more of them, each has less, and what it takes already counts.
  const many = new Hub();
  let all = 0;
  for (let i = 0; i < TUNNELS_PER_LINK_MAX; i++) {
    many.open(`a${i}`, 7);
    many.reach('x');
    many.say('x', opened(many.next - 1, TUNNEL_WINDOW));
    const [word] = many.said(`a${i}`) as { bytes: number }[];
    t.true(word.bytes >= 128 * KIB);
    all += word.bytes;
  }
  t.log(`${Math.round(all / KIB)} KiB may wait for one reader of ${TUNNELS_PER_LINK_MAX} tunnels`);
  t.true(all < 4 * TUNNEL_WINDOW);
  // Those that had more get no more before they have taken it.
  many.say('x', opened(1000, TUNNEL_WINDOW - 128 * KIB));
  t.deepEqual(many.said('a0'), []);
  many.say('x', opened(1000, 64 * KIB));
  t.deepEqual(many.said('a0'), [{ type: 'w', number: 7, opener: false, bytes: 64 * KIB }]);
});

test('there are so many over one connection, and in all', (t) => {
  const hub = new Hub();
  for (let i = 0; i < TUNNELS_PER_LINK_MAX + 2; i++) hub.open('a', i);
  t.deepEqual(hub.said('a'), [
    { type: 'e', number: TUNNELS_PER_LINK_MAX, opener: false, code: 'limit' },
    { type: 'e', number: TUNNELS_PER_LINK_MAX + 1, opener: false, code: 'limit' },
  ]);
  t.is(hub.relay.over('a'), TUNNELS_PER_LINK_MAX);
  // The far side has its own bound.
  for (let i = 0; i < TUNNELS_PER_LINK_MAX; i++) hub.reach('x');
  hub.open('b', 1);
  hub.reach('x');
  t.deepEqual(hub.said('b'), [{ type: 'e', number: 1, opener: false, code: 'limit' }]);
  t.is(hub.relay.size, TUNNELS_PER_LINK_MAX);
  for (let i = 0; i < TUNNELS_MAX; i++) hub.open(`c${i}`, 1);
  t.is(hub.relay.size, TUNNELS_MAX);
  t.is(hub.sent.filter(({ message }) => message.type === 'e' && message.code === 'limit').length, TUNNELS_PER_LINK_MAX);
  hub.take(hub.relay.broken('a'));
  t.is(hub.relay.size, TUNNELS_MAX - TUNNELS_PER_LINK_MAX);
  t.is(hub.relay.over('x'), 0);
  hub.open('d', 1);
  t.is(hub.relay.over('d'), 1);
});

test('a connection that breaks ends its tunnels at their other ends, one that was given up meanwhile is not opened', (t) => {
  const hub = open();
  hub.sent.length = 0;
  hub.take(hub.relay.broken('x'));
  t.deepEqual(hub.said('a'), [{ type: 'e', number: 7, opener: false, code: 'unreachable' }]);
  t.deepEqual(hub.said('x'), []);
  hub.open('a', 8);
  hub.say('a', { type: 'e', number: 8, opener: true, code: '' });
  hub.reach('x');
  t.deepEqual(hub.sent, []);
  hub.open('a', 9);
  hub.reach(undefined, 'unreachable');
  t.deepEqual(hub.said('a'), [{ type: 'e', number: 9, opener: false, code: 'unreachable' }]);
  t.is(hub.relay.size, 0);
});

test('a tunnel through which nothing passes is ended, one that is used is not', (t) => {
  const hub = open();
  hub.now = TUNNEL_IDLE_MS;
  hub.say('a', data(7, 10, true));
  hub.now = TUNNEL_IDLE_MS + 1000;
  hub.take(hub.relay.sweep(hub.now));
  t.is(hub.relay.size, 1);
  hub.sent.length = 0;
  hub.now = 2 * TUNNEL_IDLE_MS + 1;
  hub.take(hub.relay.sweep(hub.now));
  t.is(hub.relay.size, 0);
  t.deepEqual(hub.said('a'), [{ type: 'e', number: 7, opener: false, code: 'timeout' }]);
  t.deepEqual(hub.said('x'), [{ type: 'e', number: 1000, opener: true, code: 'timeout' }]);
});

test('whatever is said in whatever order, no side is sent more than it takes, and nothing is left in the end', (t) => {
  let passed = 0;
  for (let seed = 1; seed <= 200; seed++) {
    const random = seeded(seed);
    const hub = new Hub();
    const links = ['a', 'b', 'x', 'y'];
    const one = <T>(all: readonly T[]) => all[Math.floor(random() * all.length)];
    /** Bytes that each side said it takes, and was not sent; by its connection, its number and whether the hub chose that. */
    const takes = new Map<string, number>();
    const breakOff = (link: string) => {
      hub.take(hub.relay.broken(link));
      for (const key of [...takes.keys()]) if (key.startsWith(link)) takes.delete(key);
    };
    /** Sides that there are, or were lately. */
    const sides: { link: string; number: number; ours: boolean }[] = [{ link: 'a', number: 1, ours: false }];
    for (let i = 0; i < 400; i++) {
      const { link, number, ours } = one(sides.slice(-8));
      const opener = !ours;
      const key = `${link} ${number} ${ours}`;
      const what = random();
      try {
        if (what < 0.1) {
          // Now and then by a number that is in use.
          const side = { link: one(links), number: random() < 0.9 ? i : number, ours: false };
          hub.open(side.link, side.number);
          sides.push(side);
        } else if (what < 0.3 && hub.wanted.length > 0) hub.reach(random() < 0.2 ? undefined : one(links));
        else if (what < 0.6) {
          const bytes = Math.floor(2 ** (10 + random() * 22));
          const effects = hub.relay.take(link, opened(number, bytes, opener), 0);
          if (effects) takes.set(key, (takes.get(key) ?? 0) + bytes);
          hub.take(effects);
        } else if (what < 0.95) hub.say(link, data(number, Math.floor(random() ** 4 * 64 * KIB), opener));
        else if (what < 0.98) {
          hub.say(link, { type: 'e', number, opener, code: one(['', 'cancelled']) });
          takes.delete(key);
        } else breakOff(link);
      } catch (thrown) {
        t.is((thrown as HearsayError).code, 'bad-message');
        breakOff(link);
      }
      for (const { link: to, message } of hub.sent.splice(0)) {
        if (message.type === 't') {
          sides.push({ link: to, number: message.number, ours: true });
          continue;
        }
        const side = `${to} ${message.number} ${message.opener}`;
        if (message.type === 'e') takes.delete(side);
        if (message.type !== 'd') continue;
        passed++;
        const left = (takes.get(side) ?? 0) - message.data.length;
        t.true(left >= 0, `seed ${seed}`);
        takes.set(side, left);
      }
    }
    for (const link of links) breakOff(link);
    while (hub.wanted.length > 0) hub.reach('x');
    for (const link of links) breakOff(link);
    t.is(hub.relay.size, 0, `seed ${seed}`);
    for (const link of links) t.is(hub.relay.over(link), 0, `seed ${seed}`);
  }
  t.log(`${passed} times something passed`);
  t.true(passed > 1000);
});
