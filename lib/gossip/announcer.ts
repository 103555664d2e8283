/**
 * The announcer: when I say what about myself.
 * Owns the pace of my heartbeats and the changes that are being repeated. Always true: nothing is signed more often than the
 * batches allow, however many changes there are; a change costs the same whatever else is shared; every telling is of the
 * state as it is now. A one-shot announces nothing.
 * Called by gossip.
 */
import type { Millis } from '../clock.js';
import type { MessageOf } from '../wire/table.js';
import type { Circle } from './circle.js';
import type { Context } from './context.js';
import type { Links } from './links.js';
import { BATCH_DATAGRAMS, type Own } from './own.js';
import { idleInterval, jittered, quickInterval } from './pace.js';

/** Changes within so long of the last telling are gathered; longer while they keep coming, as in a scan. */
const BATCH: Millis = 20;
const BATCH_MOST: Millis = 320;
/** After so long without a telling the next change goes out at once. */
const QUIET: Millis = 1000;
/** A change is told so often. */
const TELLINGS = 3;
/** When I start or the network changes: at once, and again after these. */
export const ROUNDS: readonly Millis[] = [0, 100, 400, 1500];
/** A one-shot asks more patiently, and for as long as it runs. */
const PASSIVE_ROUNDS: readonly Millis[] = [0, 150, 500];
const PASSIVE_GAP: Millis = 1000;
const PASSIVE_GAP_MOST: Millis = 15_000;
/** Questions of a one-shot at its first pace; then it asks less and less. */
const PASSIVE_EAGER = 12;

export class Announcer {
  readonly #context: Context;
  readonly #own: Own;
  readonly #circle: Circle;
  readonly #links: Links;
  #heartbeatAt: Millis = Number.POSITIVE_INFINITY;
  /** How many heartbeats since the last change. */
  #round = Number.POSITIVE_INFINITY;
  #flushedAt: Millis = Number.NEGATIVE_INFINITY;
  /** When gathered changes are to be told, if any are. */
  #flushAt: Millis | undefined;
  #gap = BATCH;
  /** Messages told less than three times. */
  #recent: { message: MessageOf<'O'>; told: number }[] = [];
  #queryRound = 0;
  #queryAt: Millis = Number.POSITIVE_INFINITY;
  #startedAt: Millis = 0;

  constructor(context: Context, own: Own, circle: Circle, links: Links) {
    this.#context = context;
    this.#own = own;
    this.#circle = circle;
    this.#links = links;
  }

  /** Announces and asks who is there, several times from now on. */
  start(): void {
    this.#own.forget();
    this.#startedAt = this.#context.now;
    this.#query(0);
  }

  /** The next of the first rounds is due. */
  queryDue(round: number): void {
    if (round === this.#queryRound && this.#context.isDue(this.#queryAt)) this.#query(round);
  }

  #query(round: number): void {
    const context = this.#context;
    if (!context.settings.passive) this.#sayHeartbeat(round === 0);
    context.multicast(context.question('', this.#own.heartbeatSize(), false));
    const wait = context.settings.passive ? this.#passiveWait(round + 1) : ROUNDS[round + 1];
    if (wait === undefined) return;
    this.#queryRound = round + 1;
    const delay = Math.max(0, this.#startedAt + wait - context.now);
    this.#queryAt = context.after(delay, { kind: 'query', round: round + 1 });
  }

  /** When a one-shot asks for the n-th time, from its start. */
  #passiveWait(round: number): Millis {
    if (round < PASSIVE_ROUNDS.length) return PASSIVE_ROUNDS[round];
    const beyond = Math.max(0, round - PASSIVE_EAGER);
    let wait = PASSIVE_ROUNDS[PASSIVE_ROUNDS.length - 1];
    wait += (round - PASSIVE_ROUNDS.length + 1 - beyond) * PASSIVE_GAP;
    for (let i = 1; i <= beyond; i++) wait += Math.min(PASSIVE_GAP_MOST, PASSIVE_GAP * 2 ** i);
    return wait;
  }

  heartbeatDue(): void {
    if (this.#context.isDue(this.#heartbeatAt)) this.#sayHeartbeat(true);
  }

  /** @param tell also over connections, where datagrams do not reach */
  #sayHeartbeat(tell: boolean): void {
    const message = this.#own.beat();
    this.#context.multicast(message);
    if (tell) this.#links.tellDeaf(message, false);
    const peers = this.#circle.size;
    const isQuick = quickInterval(this.#round, peers) < idleInterval(peers);
    this.#heartbeatIn(isQuick ? quickInterval(this.#round++, peers) : idleInterval(peers));
  }

  #heartbeatIn(interval: Millis): void {
    const delay = jittered(interval, this.#context.random);
    this.#heartbeatAt = this.#context.after(delay, { kind: 'heartbeat' });
  }

  /** My offers changed: tell it at once after a quiet time, else with what comes within the next moment. */
  changed(): void {
    if (this.#context.settings.passive) return;
    const { now } = this.#context;
    const quiet = now - this.#flushedAt;
    // Doubled at the telling, so that the first batch after it is a short one.
    if (quiet >= QUIET) this.#gap = BATCH / 2;
    if (this.#flushAt !== undefined) return;
    if (quiet >= this.#gap) this.#flush();
    else this.#flushAt = this.#context.after(this.#gap - quiet, { kind: 'flush' });
  }

  flushDue(): void {
    if (this.#flushAt !== undefined && this.#context.isDue(this.#flushAt)) this.#flush();
  }

  #flush(): void {
    const { random } = this.#context;
    this.#flushAt = undefined;
    this.#flushedAt = this.#context.now;
    this.#gap = Math.min(this.#gap * 2, BATCH_MOST);
    const messages = this.#own.take();
    if (messages.length === 0) return;
    for (const message of messages) {
      this.#context.multicast(message);
      this.#links.tellDeaf(message, true);
      this.#recent.push({ message, told: 1 });
    }
    this.#context.after(60 + 60 * random(), { kind: 'repeat' });
    this.#context.after(250 + 250 * random(), { kind: 'repeat' });
    this.#round = 0;
    this.#heartbeatIn(quickInterval(this.#round++, this.#circle.size));
  }

  /** Tells again what was told less than three times: in one datagram as things are now, where one holds it. */
  repeat(): void {
    const recent = this.#recent;
    if (recent.length === 0) return;
    for (const item of recent) item.told++;
    this.#recent = recent.filter(({ told }) => told < TELLINGS);
    const together = this.#own.since(recent[0].message.from);
    if (together) this.#context.multicast(together);
    else if (recent.length > BATCH_DATAGRAMS || recent.some(({ message }) => message.offers.length === 0)) {
      this.#context.multicast(this.#own.heartbeat());
    } else {
      for (const { message } of recent) this.#context.multicast(message);
    }
  }
}
