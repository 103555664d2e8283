/**
 * The announcer: when I say what about myself.
 * Owns the pace of my heartbeats and the changes that are being repeated. Always true: nothing is signed more often than the
 * batches allow, however many changes there are; a change costs the same whatever else is shared; every telling is of the
 * state as it is now. A one-shot announces nothing.
 *
 * The heartbeats of all keep within one budget (RFC 3550, section 6.3): when the time of the next has come, it is looked at again how
 * many are here now, and where they are more, it waits on; where many have gone, it comes sooner. The chance that spreads it is drawn
 * once for each, so that looking again does not make it later on average, and nothing has to be made up for. Who starts when many others
 * do says the second heartbeat, which shows it alive to all by another's pulse, when there is room for it, and asks no more; and goes
 * on to say them while many are heard that are not shown to be alive: one datagram to all is far cheaper than all the connections.
 * Called by gossip.
 */
import type { Millis } from '../clock.js';
import type { MessageOf } from '../wire/table.js';
import type { Circle } from './circle.js';
import type { Context } from './context.js';
import type { Occasion } from './events.js';
import type { Ladder } from './ladder.js';
import type { Links } from './links.js';
import { FEW } from './member.js';
import { BATCH_DATAGRAMS, type Own } from './own.js';
import { idleInterval, jitter, quickInterval, stormInterval } from './pace.js';
import type { Pulses } from './pulses.js';

/** Changes within so long of the last telling are gathered; longer while they keep coming, as in a scan. */
const BATCH: Millis = 20;
const BATCH_MOST: Millis = 320;
/** A batch of more is part of a stream, and the next one is gathered for longer; after one of fewer it is not. */
const BATCH_FEW = 4;
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
/** Where so many ask who is there since I began, all hear of each other without my asking again. */
const CROWD = 256;
/** So many rounds more, in which nobody is asked, among many of whom less than this part is found; and no sooner after another. */
const CROWD_ROUNDS = 6;
const CROWD_GAP: Millis = 500;
const FOUND = 0.97;
/** A heartbeat that somebody asks for does not follow another so soon. */
const SPEAK_GAP: Millis = 400;
/** Where there are fewer by more than this, the next heartbeat comes sooner. */
const FEWER = 0.9;
/** Bytes of the headers of a datagram, and of what a heartbeat repeats. */
const UDP = 28;
const PULSE = 17;

export class Announcer {
  readonly #context: Context;
  readonly #own: Own;
  readonly #circle: Circle;
  readonly #links: Links;
  readonly #ladder: Ladder;
  readonly #pulses: Pulses;
  /** When the last heartbeat was said; and the last telling, after which the next heartbeat is due when its interval is over. */
  #saidAt: Millis = Number.NEGATIVE_INFINITY;
  #since: Millis = 0;
  #heartbeatAt: Millis = Number.POSITIVE_INFINITY;
  /** How the next interval is spread, and how long it was to be when it began. */
  #jitter = 1;
  #interval: Millis = 0;
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
  #queriedAt: Millis = 0;
  #querySpread = 1;
  /** Questions of others, to everyone, since I started. */
  #starters = 0;

  constructor(context: Context, own: Own, circle: Circle, links: Links, ladder: Ladder, pulses: Pulses) {
    this.#context = context;
    this.#own = own;
    this.#circle = circle;
    this.#links = links;
    this.#ladder = ladder;
    this.#pulses = pulses;
  }

  /** Announces and asks who is there, several times from now on. */
  start(): void {
    this.#own.forget();
    this.#startedAt = this.#context.now;
    this.#starters = 0;
    this.#query(0);
  }

  /** Another asks everyone: it starts, as I may, or is a one-shot. */
  asked(): void {
    this.#starters++;
  }

  /** The next of the first rounds is due, unless many others have come since it was to be. */
  queryDue(round: number): void {
    if (round !== this.#queryRound || !this.#context.isDue(this.#queryAt)) return;
    const at = this.#roundAt(round);
    if (this.#context.isDue(at)) this.#query(round);
    else this.#roundIn(round, at);
  }

  #query(round: number): void {
    const context = this.#context;
    if (!context.settings.passive) this.#sayHeartbeat(round === 0, 'finding');
    if (round === 0 || (round < ROUNDS.length && this.#starters < CROWD) || context.settings.passive) {
      const size = this.#own.heartbeatSize();
      context.multicast(context.question('', size, false), 'finding');
      this.#ladder.asked(round, size);
    }
    this.#queriedAt = context.now;
    this.#querySpread = 0.5 + context.random();
    if (context.settings.passive || this.#isRound(round + 1)) this.#roundIn(round + 1, this.#roundAt(round + 1));
  }

  /** Whether there is another round: more of them among many, while many who were heard are not shown to be alive, as that is mutual. */
  #isRound(round: number): boolean {
    if (round < ROUNDS.length) return true;
    const { size, known } = this.#circle;
    return known >= FEW && round < ROUNDS.length + CROWD_ROUNDS && size < FOUND * known;
  }

  #roundAt(round: number): Millis {
    if (this.#context.settings.passive) return this.#startedAt + this.#passiveWait(round);
    // Each of them asks more than once.
    const others = Math.min(this.#starters, this.#circle.known);
    const wait = this.#querySpread * stormInterval(others, this.#circle.mean);
    if (round >= ROUNDS.length) return this.#queriedAt + Math.max(wait, CROWD_GAP);
    return Math.max(this.#startedAt + ROUNDS[round], this.#queriedAt + wait);
  }

  #roundIn(round: number, at: Millis): void {
    this.#queryRound = round;
    this.#queryAt = this.#context.after(Math.max(0, at - this.#context.now), { kind: 'query', round });
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

  /** The time of the next heartbeat has come, unless there are more peers than there were. */
  heartbeatDue(): void {
    if (!this.#context.isDue(this.#heartbeatAt)) return;
    const at = this.#since + this.#jitter * this.#wait();
    if (this.#context.isDue(at)) this.#sayHeartbeat(true, 'idle');
    else this.#wakeAt(at);
  }

  /** There are fewer than before: where they are far fewer, all speak sooner, as the others expect it. */
  fewer(): void {
    const interval = this.#wait();
    const ratio = interval / this.#interval;
    if (!(ratio < FEWER)) return;
    this.#interval = interval;
    const { now } = this.#context;
    this.#wakeAt(now + Math.max(0, this.#heartbeatAt - now) * ratio);
  }

  /**
   * Says a heartbeat now, as somebody wants to hear it.
   * @param nonce that it answers, if any
   * @param gap not if there was one so lately
   * @param most bytes that it may take
   * @returns whether it was said
   */
  speakUp(nonce?: Uint8Array, gap = SPEAK_GAP, most = Number.POSITIVE_INFINITY): boolean {
    if (this.#context.now - this.#saidAt < gap || this.#own.heartbeatSize() + PULSE > most) return false;
    this.#sayHeartbeat(false, 'finding', nonce);
    return true;
  }

  /**
   * @param tell also over connections, where datagrams do not reach
   * @param nonce that it answers, if any
   */
  #sayHeartbeat(tell: boolean, occasion: Occasion, nonce?: Uint8Array): void {
    const message = this.#own.beat(nonce ?? this.#pulses.echo);
    const isQuick = this.#wait() < this.#idle();
    this.#context.multicast(message, isQuick && occasion === 'idle' ? 'news' : occasion);
    if (tell) this.#links.tellDeaf(message, false);
    this.#round++;
    this.#saidAt = this.#context.now;
    this.#restart();
  }

  /** The next heartbeat is due after its interval from now. */
  #restart(): void {
    this.#since = this.#context.now;
    this.#jitter = jitter(this.#context.random);
    this.#interval = this.#wait();
    this.#wakeAt(this.#since + this.#jitter * this.#interval);
  }

  #wakeAt(at: Millis): void {
    this.#heartbeatAt = this.#context.after(at - this.#context.now, { kind: 'heartbeat' });
  }

  #idle(): Millis {
    const { size, mean } = this.#circle;
    return idleInterval(size, mean, this.#own.heartbeatSize() + UDP);
  }

  /** The interval to the next heartbeat, as things are now. */
  #wait(): Millis {
    return quickInterval(this.#round, this.#idle());
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
    const messages = this.#own.take();
    const isFew = messages.reduce((sum, { offers }) => sum + (offers.length || BATCH_FEW + 1), 0) <= BATCH_FEW;
    this.#gap = isFew ? BATCH : Math.min(this.#gap * 2, BATCH_MOST);
    if (messages.length === 0) return;
    for (const message of messages) {
      this.#context.multicast(message);
      this.#links.tellDeaf(message, true);
      this.#recent.push({ message, told: 1 });
    }
    this.#context.after(60 + 60 * random(), { kind: 'repeat' });
    this.#context.after(250 + 250 * random(), { kind: 'repeat' });
    this.#round = 0;
    this.#restart();
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
