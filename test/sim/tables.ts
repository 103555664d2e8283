/**
 * What a network costs: bytes sent a second by each idle peer, and bytes for one change, by how many there are and what they
 * share. Always true: all bytes are of datagrams that the real core had sent, with their UDP and IP headers.
 * Called by the command.
 */
import type { Timer } from '../../lib/gossip/events.js';
import { Host, type HostOptions } from './host.js';
import { files } from './share.js';
import { Stage } from './stage.js';
import type { World } from './world.js';

const PEERS = [2, 10, 100, 1000];
const FILES = [0, 1000, 100_000];
/** With ten thousand, so many are whole; the others are voices. */
const VOICES = 10_000;
const WHOLE = 20;
const SECOND = 1000;

/** Bytes of all datagrams that a host sent so far. */
function sentBy(host: Host): number {
  let sum = 0;
  for (const { bytes } of host.traffic.values()) sum += bytes;
  return sum;
}

interface Rates {
  /** Bytes a second that each sends on the average, that the one with the files sends, and that all send. */
  each: number;
  sharer: number;
  all: number;
}

function measure(hosts: readonly Host[], lasts: number, world: World): Rates {
  const before = hosts.map(sentBy);
  world.run(lasts);
  const rates = hosts.map((host, i) => (sentBy(host) - before[i]) / (lasts / SECOND));
  const all = rates.reduce((sum, rate) => sum + rate, 0);
  return { each: all / hosts.length, sharer: rates[0], all };
}

/** An idle network of whole peers; the first shares so many files. */
function idle(peers: number, shared: number): Rates {
  const stage = new Stage({ seed: 1, peers, files: 0, large: true });
  const [sharer] = stage.hosts;
  if (shared > 0) sharer.change(...files(sharer.name, shared, false));
  stage.start(Math.min(10 * SECOND, peers * 20));
  stage.agree('the start', 120 * SECOND);
  stage.run(150 * SECOND);
  return measure(stage.hosts, 300 * SECOND, stage.world);
}

/**
 * A peer whose core hears only questions, so that it knows of nobody, and is dear to nobody's memory; its heartbeats come at the
 * pace of those who know of all.
 */
class Voice extends Host {
  /** How many times as long it waits between heartbeats as its core would. */
  readonly #slower: number;

  constructor(world: World, slower: number, options: HostOptions = {}) {
    super(world, options);
    this.#slower = slower;
  }

  override datagram(event: Parameters<Host['datagram']>[0]): void {
    const { message } = event;
    if (message.type === 'Q' && (message.to === '' || message.to === this.id)) super.datagram(event);
  }

  protected override dueAt(timer: Timer, at: number): number {
    return timer.kind === 'heartbeat' ? this.now + (at - this.now) * this.#slower : at;
  }
}

/** Ten thousand, of which some are whole; the first of these shares so many files. */
function idleVoices(shared: number): Rates {
  const stage = new Stage({ seed: 1, peers: 0, files: 0, large: true });
  const { world } = stage;
  // One alone beats every 8 s or so, ten thousand each as often as the budget allows: some 350 bytes a heartbeat.
  const slower = (VOICES * 350) / 8000 / 8;
  const voices = Array.from({ length: VOICES - WHOLE }, () => new Voice(world, slower));
  for (const voice of voices) world.after(stage.random() * 60 * SECOND, () => voice.start());
  world.run(60 * SECOND);
  const whole = Array.from({ length: WHOLE }, () => stage.add());
  if (shared > 0) whole[0].change(...files(whole[0].name, shared, false));
  stage.start(10 * SECOND, whole);
  // Until they have heard all; then their own next heartbeat, and the one after it, come at the pace of so many.
  world.runUntil(() => whole.every(({ gossip }) => gossip.peers().length >= 0.99 * VOICES), 1800 * SECOND, 5000);
  const known = Math.min(...whole.map(({ gossip }) => gossip.peers().length));
  stage.expect(known >= 0.99 * VOICES, `the whole ones know of ${known} only`);
  stage.run(900 * SECOND);
  const rates = measure(whole, 1800 * SECOND, world);
  return { ...rates, all: rates.each * VOICES };
}

/** What one change costs: datagrams that tell it, others that follow within five seconds, and bytes over connections. */
function change(shared: number): { told: number; follows: number; streamed: number } {
  const cost = (changes: boolean): { told: number; all: number; streamed: number } => {
    const stage = new Stage({ seed: 11, peers: 10, files: 0, record: true });
    const [host] = stage.hosts;
    host.change(...files('many', shared, false));
    stage.start(SECOND);
    stage.agree('the start', 60 * SECOND);
    stage.run(60 * SECOND);
    const { world } = stage;
    const [begin, streamed] = [world.now, world.streamBytes];
    const before = world.datagramBytes;
    if (changes) {
      host.change(stage.file('many/one more'));
      stage.agree('the change', 5 * SECOND);
    }
    world.run(begin + 5 * SECOND - world.now);
    const isTelling = ({ at, message }: (typeof world.sent)[number]): boolean =>
      at >= begin && message.type === 'O' && message.offers.length > 0;
    const told = world.sent.filter(isTelling).reduce((sum, { bytes }) => sum + bytes + 28, 0);
    return { told, all: world.datagramBytes - before, streamed: world.streamBytes - streamed };
  };
  const [with_, without] = [cost(true), cost(false)];
  return {
    told: with_.told,
    follows: with_.all - with_.told - without.all,
    streamed: with_.streamed - without.streamed,
  };
}

function row(...cells: (string | number)[]): string {
  return cells.map((cell) => (typeof cell === 'number' ? cell.toFixed(1) : cell).padStart(14)).join('');
}

/** Prints both tables. @param only of networks of so many alone, where one is named; then the first table only */
export function tables(only?: number): void {
  if (only !== undefined && ![...PEERS, VOICES].includes(only)) throw new Error(`no row of ${only} peers`);
  console.log(
    'Bytes a second of an idle network, UDP and IP headers counted; the files are all at one peer, which is in "sharer".',
  );
  console.log(row('peers', 'files', 'each peer', 'the sharer', 'all'));
  for (const peers of PEERS) {
    if (only !== undefined && only !== peers) continue;
    for (const shared of FILES) {
      const { each, sharer, all } = idle(peers, shared);
      console.log(row(String(peers), String(shared), each, sharer, all));
    }
  }
  if (only === undefined || only === VOICES) voices();
  if (only === undefined) changes();
}

function voices(): void {
  for (const shared of FILES) {
    const { each, sharer, all } = idleVoices(shared);
    console.log(row(String(VOICES), String(shared), each, sharer, all));
  }
  console.log(
    `Of the ${VOICES}, ${WHOLE} are whole and are measured; the others answer and beat with the real core as well, at the pace of`,
  );
  console.log('ten thousand, but hear only questions. "all" is what each whole one sends, for all.');
}

function changes(): void {
  console.log('\nBytes of one change among ten peers, beyond what they cost anyway in these five seconds.');
  console.log(row('files', 'datagrams', 'that follow', 'connections'));
  for (const shared of FILES) {
    const { told, follows, streamed } = change(shared);
    console.log(row(String(shared), told, follows, streamed));
  }
}
