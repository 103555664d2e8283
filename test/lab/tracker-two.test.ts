/**
 * Several trackers that share a Redis serve one registry: one is killed under load, then the Redis is, and a tracker that comes
 * later knows what the others do. A hundred registered peers of which each has an address of its own; trackers are processes.
 */
import type { ExecutionContext } from 'ava';
import type { Offer } from '../../lib/offer.js';
import { LOOKUP } from '../../lib/tracker/events.js';
import { readHead } from '../../lib/wire/head.js';
import { errors, hearsay, told } from '../e2e/child.js';
import { Lan, type LanPeer, until } from '../e2e/lan.js';
import { redisTest } from '../e2e/redis.js';
import { RawClient, type Told } from '../e2e/tracker-raw.js';
import type { LabProcess } from './process.js';

const PEERS = 100;
const FILES = 3;
/** Between two lookups of one who looks, ms. */
const LOOK_MS = 20;
/** As the program renews its lease, and within which it tries another tracker, ms. */
const RENEW_MS = 4000;
const MOVE_MS = 1000;
/** No lookup may fail for longer, ms. */
const GAP_MAX = 2000;

const pathOf = (peer: number, file: number) => `peer ${peer}/file ${file}.txt`;
const all = Array.from({ length: PEERS }, (_, i) => Array.from({ length: FILES }, (_, k) => pathOf(i, k)))
  .flat()
  .sort();

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** A tracker as a process of its own. */
class TrackerProcess {
  readonly process: LabProcess;
  readonly port: number;
  readonly id: string;

  static async start(lan: Lan, store: string): Promise<TrackerProcess> {
    const args = ['share', '--tracker', '--tracker-store', store, '--no-multicast', '--json'];
    const child = await hearsay(lan, ...args);
    await until(() => told(child, 'ready').length > 0 || !child.running, 'the tracker is ready');
    const [ready] = told(child, 'ready');
    if (!ready) throw new Error(`the tracker did not start: ${errors(child)} ${child.stderr}`);
    return new TrackerProcess(child, ready.port as number, ready.id as string);
  }

  private constructor(process: LabProcess, port: number, id: string) {
    this.process = process;
    this.port = port;
    this.id = id;
  }

  get warnings(): string[] {
    return told(this.process, 'warning').map(({ message }) => String(message));
  }
}

/** A peer that registers with one of two trackers, and with the other when its connection breaks, as the program does. */
class Mover extends RawClient {
  readonly #from: string;
  #at: number;
  #kept: Promise<void> | undefined;
  #stopped = false;

  constructor(t: ExecutionContext, number: number, at: number) {
    const files: Omit<Offer, 'version'>[] = Array.from({ length: FILES }, (_, k) => {
      return { path: pathOf(number, k), kind: 'file', size: k, mtime: 1_700_000_000_000, id: null };
    });
    super(t, `peer ${number}`, files);
    this.#from = `127.1.${number >> 8}.${(number & 255) + 1}`;
    this.#at = at;
  }

  /** Registers now, and whenever that is over. */
  async stay(trackers: () => TrackerProcess[]): Promise<void> {
    await this.#register(trackers());
    this.#kept = this.#keep(trackers);
  }

  async leave(): Promise<void> {
    this.#stopped = true;
    await this.#kept;
  }

  async #register(trackers: TrackerProcess[]): Promise<void> {
    await this.connect(trackers[this.#at % trackers.length].port, this.#from);
    const answer = await this.join();
    if (answer.type !== 'Z') throw new Error(`${this.name}: ${answer.code} ${answer.message}`);
  }

  async #keep(trackers: () => TrackerProcess[]): Promise<void> {
    for (let next = RENEW_MS; !this.#stopped; next = this.talk.closed ? Math.random() * MOVE_MS : RENEW_MS) {
      const end = performance.now() + next;
      while (performance.now() < end && !(this.talk.closed && next === RENEW_MS) && !this.#stopped) await pause(20);
      if (this.#stopped) return;
      if (!this.talk.closed) {
        this.beat();
        await this.join().catch(() => {});
        continue;
      }
      this.#at++;
      await this.#register(trackers()).catch(() => {});
    }
  }
}

/** Looks things up all the time, and notes for how long that went wrong. */
class Looker {
  lookups = 0;
  failures = 0;
  /** The longest time between the ends of two lookups that succeeded, ms. */
  longest = 0;
  /** What the first of each stretch of failures was. */
  readonly first: string[] = [];
  readonly #ended: Promise<void>;
  #stopped = false;

  /** @param look returns what failed, or undefined */
  constructor(look: () => Promise<string | undefined>) {
    this.#ended = this.#run(look);
  }

  async stop(): Promise<this> {
    this.#stopped = true;
    await this.#ended;
    return this;
  }

  async #run(look: () => Promise<string | undefined>): Promise<void> {
    let good = performance.now();
    let failed = false;
    while (!this.#stopped || failed) {
      const failure = await look().catch((thrown) => String(thrown));
      const at = performance.now();
      this.lookups++;
      this.longest = Math.max(this.longest, at - good);
      if (failure === undefined) good = at;
      else {
        this.failures++;
        if (!failed) this.first.push(failure);
        // It is lost for good.
        if (at - good > 30_000) return;
      }
      failed = failure !== undefined;
      await pause(LOOK_MS);
    }
  }
}

const some = () => pathOf(Math.floor(Math.random() * PEERS), Math.floor(Math.random() * FILES));
const wrong = (what: string, { code, offers }: Told) =>
  offers.some((line) => line.endsWith(`: ${what}`)) ? undefined : `${what}: ${code || offers}`;

/** Asks one tracker by hand, and another when its connection breaks. */
function rawLooker(t: ExecutionContext, number: number, trackers: () => TrackerProcess[], at: number): Looker {
  const raw = new RawClient(t, `looker ${number}`);
  let place = at;
  let connected: Promise<unknown> | undefined;
  const forget = (raw: RawClient) => {
    raw.talk.received.length = 0;
  };
  return new Looker(async () => {
    if (!connected || raw.talk.closed) {
      const all = trackers();
      connected = raw.connect(all[place++ % all.length].port, `127.2.0.${number + 1}`);
      await connected.catch((thrown) => {
        connected = undefined;
        throw thrown;
      });
    }
    forget(raw);
    const what = some();
    const lookup = raw.ask(LOOKUP.what, what);
    const end = performance.now() + GAP_MAX;
    for (;;) {
      const answer = raw.told(lookup);
      if (answer.last || answer.code !== '') return wrong(what, answer);
      if (raw.talk.closed || performance.now() > end) return `${what}: no answer`;
      await pause(2);
    }
  });
}

/** Asks as the program does, which is registered with all trackers. */
function peerLooker({ peer }: LanPeer): Looker {
  return new Looker(async () => {
    const what = some();
    const { files } = await peer.list({ pattern: what });
    return files.some(({ path }) => path === what) ? undefined : `${what}: not listed`;
  });
}

/** All that a tracker answers. */
async function pathsAt(t: ExecutionContext, tracker: TrackerProcess): Promise<string[]> {
  const raw = await new RawClient(t, 'all').connect(tracker.port, '127.3.0.1');
  const answer = await raw.lookup(LOOKUP.all, '');
  raw.talk.socket.destroy();
  return answer.offers.map((line) => line.slice(line.indexOf(': ') + 2)).sort();
}

async function knowsAll(t: ExecutionContext, tracker: TrackerProcess): Promise<void> {
  const end = performance.now() + 30_000;
  let paths = await pathsAt(t, tracker);
  while (paths.length !== all.length && performance.now() < end) {
    await pause(100);
    paths = await pathsAt(t, tracker);
  }
  t.deepEqual(paths, all);
}

redisTest('two trackers, one Redis: one dies under load, then the Redis, and nothing is lost', async (t, redis) => {
  t.timeout(120_000);
  const lan = await Lan.make(t);
  const [first, second] = await Promise.all([
    TrackerProcess.start(lan, redis.url),
    TrackerProcess.start(lan, redis.url),
  ]);
  let running = [first, second];
  const trackers = () => running;
  const movers = Array.from({ length: PEERS }, (_, i) => new Mover(t, i, i));
  for (const mover of movers) await mover.stay(trackers);
  const joined = movers[0].talk.of('Z').at(-1);
  t.deepEqual(
    joined?.trackers.map(({ head }) => readHead(head).id),
    [second.id],
    'who registers is told of the other',
  );
  t.true(joined?.trackers[0].addresses.includes(`127.0.0.1:${second.port}`));
  await Promise.all([knowsAll(t, first), knowsAll(t, second)]);

  const join = [first, second].map(({ port }) => `127.0.0.1:${port}`);
  // One copies the registry as long as it is small, the other asks each time.
  const peers = await Promise.all([
    lan.peer('anna', { multicast: false, join }),
    lan.peer('bert', { multicast: false, join, mirror: { offers: 0, peers: 0 } }),
  ]);
  await until(() => peers.every((peer) => peer.told('tracker').length >= 2), 'the peers are registered with both');
  const report = async (what: string, all: Looker[]) => {
    const stopped = await Promise.all(all.map((looker) => looker.stop()));
    for (const [i, looker] of stopped.entries()) {
      const { lookups, failures, longest, first } = looker;
      t.log(
        `${what}, ${i}: ${lookups} lookups, ${failures} failed, at most ${Math.round(longest)} ms without an answer; ${first.slice(0, 3)}`,
      );
      t.true(longest <= GAP_MAX, `no lookup succeeded for ${longest} ms: ${first}`);
    }
  };
  const load = () => [
    ...[0, 1].map((i) => rawLooker(t, i, trackers, 0)),
    ...[2, 3].map((i) => rawLooker(t, i, trackers, 1)),
    ...peers.map(peerLooker),
  ];

  let lookers = load();
  await pause(1000);
  first.process.kill('SIGKILL');
  running = [second];
  const killed = performance.now();
  // Those who move, and, when the lease of all that the dead one held has ended, those who did not.
  await pause(16_000);
  await report('a tracker was killed', lookers);
  await knowsAll(t, second);
  t.log(`all is known ${Math.round(performance.now() - killed)} ms after`);

  lookers = load();
  await pause(500);
  await redis.stop();
  await until(() => second.warnings.length === 1, 'the tracker says that the store is away');
  await pause(1500);
  await redis.restart();
  const back = performance.now();
  await until(() => second.warnings.length === 2, 'the tracker says that the store is there');
  const third = await TrackerProcess.start(lan, redis.url);
  await knowsAll(t, third);
  t.log(`a new tracker knows all ${Math.round(performance.now() - back)} ms after the Redis came back`);
  await report('the Redis was killed', lookers);
  t.regex(second.warnings[0], /^the tracker store redis:\/\/127\.0\.0\.1:\d+ cannot be used/);
  t.regex(second.warnings[1], /is there again$/);
  t.deepEqual(third.warnings, []);

  // The new one takes over, once the peers were told of it, as they are when they renew their lease.
  const port = `:${third.port}`;
  for (const { peer } of peers) {
    const end = performance.now() + 30_000;
    const knows = async () => (await peer.status()).trackers?.some(({ address }) => address.endsWith(port));
    while (!(await knows()) && performance.now() < end) await pause(100);
    t.true(await knows(), `${peer.name} knows the new tracker`);
  }
  running = [third];
  second.process.kill('SIGKILL');
  lookers = [rawLooker(t, 0, trackers, 0), ...peers.map(peerLooker)];
  await pause(6000);
  await report('the other was killed', lookers);
  await knowsAll(t, third);
  await Promise.all(movers.map((mover) => mover.leave()));
});
