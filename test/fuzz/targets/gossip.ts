/**
 * The gossip core as its driver runs it, in virtual time: other cores speak with it, honestly at first; what they say is
 * lost, repeated, delayed, spoilt and forged. At the end a newcomer's files must still come in.
 */
import { HearsayError } from '../../../lib/errors.js';
import { type Effect, type Event, Gossip, type Settings, type Timer } from '../../../lib/gossip/gossip.js';
import { blake3 } from '../../../lib/hash.js';
import { peerId } from '../../../lib/ids.js';
import { DATAGRAM_MAX, FRAME_MAX } from '../../../lib/limits.js';
import { decode, encode } from '../../../lib/wire/codec.js';
import { type Head, headStatement, leaveStatement, packHead, readHead } from '../../../lib/wire/head.js';
import { type Letter, type Message, TABLE } from '../../../lib/wire/table.js';
import { files, removed } from '../../sim/share.js';
import { fakeSigner } from '../../sim/signer.js';
import { LETTERS } from '../../unit/wire-messages.js';
import { Chance } from '../chance.js';
import { spoilBytes } from '../mutate.js';
import { expected, holds, type Reach, type Target, target } from '../target.js';
import { spoiltBytes, validBytes, wayOf } from './wire.js';

/** Others beside the one that is tried, which has the number 0; the last is the newcomer, who is there only at the end. */
const OTHERS = 3;
const NEWCOMER = OTHERS + 1;
const TIMERS_MAX = 5000;
const EFFECTS_MAX = 5000;
const QUEUE_MAX = 400;

type Step =
  | { do: 'tick'; ms: number }
  | { do: 'flush' }
  | { do: 'deliver'; at: number; spoil: number; keep: boolean }
  | { do: 'connect' | 'disconnect' | 'dial-failed' | 'restart'; peer: number }
  | { do: 'offers'; peer: number; count: number; remove: boolean; aside: boolean }
  | { do: 'forge'; peer: number; how: number; spoil: number }
  | { do: 'raw'; peer: number; over: 'udp' | 'tcp'; bytes: Uint8Array };

interface Host {
  number: number;
  settings: Settings;
  gossip: Gossip;
  host: string;
  timers: { at: number; timer: Timer }[];
  /** Pulls that were asked and are not answered, by number. */
  pulls: Map<number, { from: string; writer: string }>;
}

interface Letterbox {
  from: Host;
  to: Host;
  over: 'udp' | 'tcp';
  multicast: boolean;
  bytes: Buffer;
}

class Stage {
  now = 1_000_000;
  readonly hosts: Host[];
  readonly #reach: Reach;
  #queue: Letterbox[] = [];
  readonly #linked = new Set<string>();
  #number = 1;

  constructor(reach: Reach) {
    this.#reach = reach;
    this.hosts = Array.from({ length: OTHERS + 2 }, (_, n) => this.#host(n));
    for (const host of this.hosts.slice(0, NEWCOMER)) this.give(host, { kind: 'start' });
  }

  get tried(): Host {
    return this.hosts[0];
  }

  #host(number: number): Host {
    const key = Uint8Array.from(blake3(`fuzz ${number}`));
    const settings: Settings = {
      id: peerId(key, 1_700_000_000_000 + number),
      key,
      name: `peer ${number}`,
      port: 47_748,
      epoch: 1,
      passive: false,
      tracker: false,
    };
    const chance = new Chance('core', number);
    const gossip = new Gossip(settings, fakeSigner(key), chance.random, () => chance.bytes(16));
    return { number, settings, gossip, host: `10.0.0.${number + 1}`, timers: [], pulls: new Map() };
  }

  /** Gives an event to a core and carries out what it says. */
  give(host: Host, event: Event): void {
    if (host === this.tried) {
      const what =
        event.kind === 'datagram' || event.kind === 'message'
          ? `gossip ${event.message.type} by ${event.kind}`
          : `gossip ${event.kind}`;
      this.#reach.note(event.kind === 'timer' ? `gossip timer ${event.timer.kind}` : what, 'ok');
    }
    const effects = host.gossip.handle(event, this.now);
    holds(effects.length <= EFFECTS_MAX, `${effects.length} effects of one event`);
    for (const effect of effects) this.#carryOut(host, effect);
  }

  #carryOut(host: Host, effect: Effect): void {
    switch (effect.kind) {
      case 'multicast':
        for (const to of this.hosts)
          if (to !== host && to.number !== NEWCOMER) this.#post(host, to, 'udp', true, effect.message);
        break;
      case 'reply': {
        const to = this.hosts.find((other) => other.host === effect.to.host);
        this.#post(host, to, 'udp', false, effect.message);
        break;
      }
      case 'tell':
        this.#post(host, this.#of(effect.peer, host), 'tcp', false, effect.message);
        break;
      case 'dial':
        holds(
          effect.addresses.length > 0 && effect.addresses.length <= 16,
          `a dial to ${effect.addresses.length} addresses`,
        );
        break;
      case 'pull': {
        const number = this.#number++;
        host.pulls.set(number, { from: effect.from, writer: effect.message.writer });
        this.#post(host, this.#of(effect.from, host), 'tcp', false, { ...effect.message, number });
        break;
      }
      case 'digest':
        this.#post(host, this.#of(effect.from, host), 'tcp', false, { ...effect.message, number: effect.batch });
        break;
      case 'timer':
        holds(Number.isFinite(effect.at) && effect.at >= this.now, `a timer at ${effect.at}`);
        host.timers.push({ at: effect.at, timer: effect.timer });
        holds(host.timers.length <= TIMERS_MAX, 'ever more timers');
        break;
      default:
        break;
    }
  }

  /** The host of an id where the two are connected. */
  #of(id: string, from: Host): Host | undefined {
    const to = this.hosts.find((host) => host.settings.id === id);
    return to && this.#linked.has(pairOf(from, to)) ? to : undefined;
  }

  #post(from: Host, to: Host | undefined, over: 'udp' | 'tcp', multicast: boolean, message: Message): void {
    const bytes = encode(message);
    holds(
      bytes.length <= (over === 'udp' ? DATAGRAM_MAX : FRAME_MAX),
      `${message.type} of ${bytes.length} bytes over ${over}`,
    );
    // What one of us sends, one of us can read.
    if (from === this.tried) decode(bytes, over);
    if (to && (from === this.tried || to === this.tried) && this.#queue.length < QUEUE_MAX) {
      this.#queue.push({ from, to, over, multicast, bytes });
    }
  }

  connect(a: Host, b: Host): void {
    this.#linked.add(pairOf(a, b));
    for (const [host, other] of [
      [a, b],
      [b, a],
    ]) {
      const address = { host: other.host, port: 47_748 };
      this.give(host, {
        kind: 'connected',
        peer: other.settings.id,
        ...other.gossip.head(),
        address,
        dialled: host === a,
      });
    }
  }

  disconnect(a: Host, b: Host): void {
    if (!this.#linked.delete(pairOf(a, b))) return;
    for (const [host, other] of [
      [a, b],
      [b, a],
    ]) {
      for (const [number, pull] of host.pulls) {
        if (pull.from !== other.settings.id) continue;
        host.pulls.delete(number);
        this.give(host, { kind: 'pull-failed', ...pull, code: 'unreachable' });
      }
      this.give(host, { kind: 'disconnected', peer: other.settings.id });
    }
  }

  /** Time passes, and what is due becomes due. */
  tick(ms: number): void {
    const end = this.now + ms;
    for (let fired = 0; fired < 2000; fired++) {
      let next: { host: Host; i: number; at: number } | undefined;
      for (const host of this.hosts) {
        for (const [i, { at }] of host.timers.entries())
          if (at <= end && (!next || at < next.at)) next = { host, i, at };
      }
      if (!next) break;
      this.now = Math.max(this.now, next.at);
      const [{ timer }] = next.host.timers.splice(next.i, 1);
      this.give(next.host, { kind: 'timer', timer });
    }
    this.now = end;
  }

  /** Delivers one message, spoilt where there is a seed to do so. */
  deliver(at: number, spoil: number, keep: boolean): void {
    if (this.#queue.length === 0) return;
    const i = at % this.#queue.length;
    const { from, to, over, multicast, bytes } = this.#queue[i];
    if (!keep) this.#queue.splice(i, 1);
    const data = spoil === 0 || to !== this.tried ? bytes : spoilBytes(bytes, new Chance('spoil', spoil));
    this.take(from, to, over, multicast, data);
  }

  flush(): void {
    for (let n = 0; n < QUEUE_MAX && this.#queue.length > 0; n++) this.deliver(0, 0, false);
  }

  /** As the drivers do with what arrives. */
  take(from: Host, to: Host, over: 'udp' | 'tcp', multicast: boolean, bytes: Uint8Array): void {
    let message: Message;
    try {
      message = decode(bytes, over);
    } catch (thrown) {
      this.#reach.note('gossip spoilt', expected(thrown, 'bad-message'));
      return;
    }
    const peer = from.settings.id;
    if (over === 'udp') {
      this.give(to, { kind: 'datagram', from: { host: from.host, port: 47_748 }, multicast, message });
      return;
    }
    switch (message.type) {
      case 'O':
      case 'L':
      case 'N':
      case 'j':
        this.give(to, { kind: 'message', peer, message });
        break;
      case 'Y':
        this.give(to, { kind: 'aside', peer, message });
        break;
      case 'P': {
        const pages = to.gossip.answerPull(message);
        if (to === this.tried) this.#reach.note('answer P', 'code' in pages ? pages.code : 'ok');
        if (!('code' in pages)) for (const page of pages) this.#post(to, from, 'tcp', false, page);
        break;
      }
      case 'F':
        try {
          for (const page of to.gossip.answerFind(message)) this.#post(to, from, 'tcp', false, page);
          if (to === this.tried) this.#reach.note('answer F', 'ok');
        } catch (thrown) {
          this.#reach.note('answer F', expected(thrown, 'usage'));
        }
        break;
      case 'b':
        for (const page of to.gossip.answerDigest(message)) this.#post(to, from, 'tcp', false, page);
        if (to === this.tried) this.#reach.note('answer b', 'ok');
        break;
      case 'r':
        this.give(to, { kind: 'newer', batch: message.number, message });
        break;
      case 'E':
        this.give(to, { kind: 'digest-over', batch: message.number, ok: message.code === '' });
        break;
      case 'D': {
        const pull = to.pulls.get(message.number);
        if (!pull || pull.from !== peer) break;
        if (message.last) to.pulls.delete(message.number);
        this.give(to, { kind: 'delta', ...pull, message });
        break;
      }
      case 'I':
        this.give(to, { kind: 'found', peer, offers: message.offers, last: message.last });
        break;
      default:
        this.#reach.note(`gossip ${message.type}`, 'not for gossip');
    }
  }

  /** A head that its own key signed, with words of another kind in it. */
  forge(by: Host, how: number, spoil: number): void {
    const chance = new Chance('forge', spoil);
    const sign = (statement: Uint8Array) => fakeSigner(by.settings.key).sign(statement);
    const real = readHead(by.gossip.head().head);
    const words: Record<string, unknown> = { ...real };
    for (const [key, value] of Object.entries(real)) {
      if (key === 'id' || key === 'key' || !chance.is(0.3)) continue;
      if (typeof value === 'number') words[key] = Math.abs(chance.int());
      else if (value instanceof Uint8Array) words[key] = chance.bytes(key === 'root' ? 32 : 16);
      else words[key] = chance.is(0.5) ? '' : '\u202ex\u0007';
    }
    const head = packHead(words as Head);
    const sig = sign(headStatement(head));
    const { id } = by.settings;
    const offers = [
      { path: 'x/y', kind: 'file' as const, size: 1, mtime: 1, id: null, version: Math.max(1, Math.abs(chance.int())) },
    ];
    const address = { host: by.host, port: 47_748 };
    switch (how) {
      case 0:
      case 1: {
        const from = Math.abs(chance.int());
        const bytes = encode({ type: 'O', head, sig, from, offers: chance.is(0.5) ? offers : [] });
        this.take(by, this.tried, how === 0 ? 'udp' : 'tcp', true, bytes);
        break;
      }
      case 2: {
        const addresses = Array.from({ length: chance.below(17) }, () =>
          chance.one(['10.0.0.9:1', '[fe80::1%x]:2', '127.0.0.1:0', 'name:1', '']),
        );
        this.take(by, this.tried, 'tcp', false, encode({ type: 'N', peers: [{ head, sig, addresses }] }));
        break;
      }
      case 3:
        // The driver read the head before: one that cannot be read never comes so far.
        if (readable(head))
          this.give(this.tried, { kind: 'connected', peer: id, head, sig, address, dialled: chance.is(0.5) });
        break;
      case 4: {
        const epoch = chance.is(0.5) ? real.epoch : Math.abs(chance.int());
        this.take(by, this.tried, 'udp', true, encode({ type: 'L', id, epoch, sig: sign(leaveStatement(id, epoch)) }));
        break;
      }
      default: {
        const pull = [...this.tried.pulls].find(([, { from }]) => from === id);
        if (!pull) return;
        const replaced = chance.bytes(chance.one([0, 1, 32]));
        this.take(
          by,
          this.tried,
          'tcp',
          false,
          encode({ type: 'D', number: pull[0], replaced, offers, last: chance.is(0.7), head, sig }),
        );
      }
    }
  }

  /** A newcomer comes, and what it has must come in. */
  newcomer(): void {
    const host = this.hosts[NEWCOMER];
    this.#queue = [];
    this.give(host, { kind: 'start' });
    this.give(host, { kind: 'offers', changes: files('new', 5) });
    this.connect(host, this.tried);
    const came = () => [...this.tried.gossip.index].filter(({ peer }) => peer === host.settings.id).length;
    for (let n = 0; n < 240 && came() < 5; n++) {
      this.tick(250);
      this.flush();
    }
    holds(came() === 5, `of a newcomer's 5 files ${came()} came in`);
    this.#reach.note('gossip newcomer', 'came in');
  }
}

function readable(head: Uint8Array): boolean {
  try {
    readHead(head);
    return true;
  } catch (thrown) {
    if (thrown instanceof HearsayError) return false;
    throw thrown;
  }
}

function pairOf(a: Host, b: Host): string {
  return a.number < b.number ? `${a.number} ${b.number}` : `${b.number} ${a.number}`;
}

function anyStep(chance: Chance, seed: number, n: number): Step {
  const peer = chance.between(1, OTHERS);
  switch (chance.below(14)) {
    case 0:
    case 1:
      return { do: 'tick', ms: chance.one([1, 20, 150, 500, 2000, 15_000, 60_000]) };
    case 2:
      return { do: 'flush' };
    case 3:
    case 4:
    case 5:
    case 6:
      return { do: 'deliver', at: chance.below(50), spoil: chance.is(0.5) ? chance.seed() : 0, keep: chance.is(0.2) };
    case 7:
      return { do: 'connect', peer };
    case 8:
      return { do: chance.one(['disconnect', 'dial-failed', 'restart']), peer };
    case 9:
      return {
        do: 'offers',
        peer: chance.below(OTHERS + 1),
        count: chance.length(60),
        remove: chance.is(0.3),
        aside: chance.is(0.2),
      };
    case 10:
    case 11:
      return { do: 'forge', peer, how: chance.below(6), spoil: chance.seed() };
    default: {
      const letter: Letter = chance.one(LETTERS);
      const bytes = chance.is(0.7) ? validBytes(letter, chance, seed, n) : spoiltBytes(letter, chance, seed, n);
      return {
        do: 'raw',
        peer,
        over: TABLE[letter].over === 'both' ? chance.one(['udp', 'tcp']) : wayOf(letter),
        bytes,
      };
    }
  }
}

const session = target<Step[]>({
  name: 'gossip',
  weight: 12,
  make(chance, seed, n) {
    const steps: Step[] = [
      { do: 'offers', peer: 0, count: 3, remove: false, aside: false },
      { do: 'offers', peer: 1, count: 4, remove: false, aside: false },
    ];
    for (let left = chance.between(3, 60); left > 0; left--) steps.push(anyStep(chance, seed, n));
    return steps;
  },
  run(steps, reach) {
    const stage = new Stage(reach);
    const { tried, hosts } = stage;
    for (const step of steps) {
      switch (step.do) {
        case 'tick':
          stage.tick(step.ms);
          break;
        case 'flush':
          stage.flush();
          break;
        case 'deliver':
          stage.deliver(step.at, step.spoil, step.keep);
          break;
        case 'connect':
          stage.connect(hosts[step.peer], tried);
          break;
        case 'disconnect':
          stage.disconnect(hosts[step.peer], tried);
          break;
        case 'dial-failed':
          stage.give(tried, { kind: 'dial-failed', peer: hosts[step.peer].settings.id, address: undefined });
          break;
        case 'restart':
          stage.give(hosts[step.peer], { kind: 'stop' });
          stage.give(hosts[step.peer], { kind: 'start' });
          break;
        case 'offers': {
          const changes = files(`share ${step.peer}`, step.count);
          const some = step.remove ? changes.map(({ path }) => removed(path)) : changes;
          stage.give(hosts[step.peer], { kind: step.aside ? 'asides' : 'offers', changes: some });
          break;
        }
        case 'forge':
          stage.forge(hosts[step.peer], step.how, step.spoil);
          break;
        case 'raw':
          stage.take(hosts[step.peer], tried, step.over, step.over === 'udp', step.bytes);
          break;
      }
    }
    for (const peer of tried.gossip.peers()) holds(tried.gossip.peer(peer.id) !== undefined, 'listed, yet not known');
    holds([...tried.gossip.index].length === tried.gossip.index.size, 'the index miscounts');
    readHead(tried.gossip.head().head);
    stage.newcomer();
  },
});

export const GOSSIP: Target[] = [session];
