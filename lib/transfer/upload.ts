/**
 * The serving side of one connection: what was asked for and not sent, what was sent and not acknowledged.
 *
 * Owns the numbers of requested items (blocks of a file, or places of a bundle), never their bytes. Always true: an item
 * is queued or unacknowledged, not both; at most UNACKED_MAX blocks' worth are unacknowledged, and of blocks no more than the link's
 * window, which small files pass. Called by the server's driver, which reads and sends what `next` names.
 */
import type { Millis } from '../clock.js';
import { ITEMS_QUEUED_MAX, UNACKED_MAX } from '../limits.js';
import { Rto } from './rto.js';
import { SendWindow } from './send-window.js';

/** One thing to send: item `index` of the request `number`. */
export interface Item {
  number: number;
  index: number;
}

interface Sent extends Item {
  at: Millis;
  tries: number;
  weight: number;
  /** Whether it counts for the link's window. */
  counts: boolean;
}

/** What a small file of a bundle counts, where a block counts 1: the frames of a few requests may be under way. */
export const SMALL_WEIGHT = 1 / 8;

const isBlock = ({ weight }: { weight: number }) => weight >= 1;

/** Times that one item is sent before its receiver counts as gone. */
const TRIES_MAX = 6;

interface Asked {
  /** What each of its items counts of UNACKED_MAX. */
  weight: number;
  queue: number[];
  queued: Set<number>;
  /** Times that each item was sent which is sent again. */
  tries: Map<number, number>;
  /** What of it was sent and is not acknowledged. */
  sent: Map<number, Sent>;
}

export class Upload {
  readonly #asked = new Map<number, Asked>();
  /** Insertion order is sending order, so the oldest is first. */
  readonly #unacked = new Set<Sent>();
  /** What the unacknowledged ones count together, and the blocks among them that count for the window. */
  #weight = 0;
  #blocks = 0;
  readonly #window = new SendWindow();
  /** Patient at first: a slow link takes seconds for a block, and sending it twice would not help. */
  readonly #rto = new Rto(10_000);
  #heard: Millis = 0;
  /** Requests with something queued, served in turn. */
  #turn: number[] = [];

  /**
   * Asks for items of a request. What waits already is not queued twice; what was sent is sent again, since it did not
   * arrive.
   * @param weight what each of them counts of UNACKED_MAX
   */
  request(number: number, indexes: Iterable<number>, weight = 1): void {
    let asked = this.#asked.get(number);
    if (!asked) {
      asked = { weight, queue: [], queued: new Set(), tries: new Map(), sent: new Map() };
      this.#asked.set(number, asked);
    }
    for (const index of indexes) {
      if (asked.queue.length >= ITEMS_QUEUED_MAX) break;
      if (asked.queued.has(index)) continue;
      const sent = asked.sent.get(index);
      if (sent) {
        this.#giveUp();
        this.#forget(sent);
      }
      asked.queue.push(index);
      asked.queued.add(index);
    }
    if (asked.queue.length > 0 && !this.#turn.includes(number)) this.#turn.push(number);
  }

  /** Whether something can be sent now. */
  get ready(): boolean {
    return this.#first !== undefined;
  }

  /** The request whose turn it is, of those of which something may be sent now. */
  get #first(): number | undefined {
    if (this.#weight >= UNACKED_MAX) return undefined;
    const isFull = this.#blocks >= this.#window.blocks;
    return isFull ? this.#turn.find((number) => !isBlock(this.#asked.get(number)!)) : this.#turn[0];
  }

  /** Requests of which something is queued. */
  get waiting(): readonly number[] {
    return this.#turn;
  }

  /** Whether an item was sent and not acknowledged. */
  isUnacked(number: number, index: number): boolean {
    return this.#asked.get(number)?.sent.has(index) ?? false;
  }

  /** Unacknowledged items. */
  get inFlight(): number {
    return this.#unacked.size;
  }

  /** What `next` would give, so that it can be read ahead. */
  peek(): Item | undefined {
    const number = this.#first ?? this.#turn[0];
    const asked = number === undefined ? undefined : this.#asked.get(number);
    return asked && { number, index: asked.queue[0] };
  }

  /** Takes the next item to send, requests in turn, and counts it as sent; undefined when there is none or the window is full. */
  next(now: Millis): Item | undefined {
    const number = this.#first;
    return number === undefined ? undefined : this.nextOf(number, now);
  }

  /** As `next`, but of one request, out of its turn: for what travels in one frame. */
  nextOf(number: number, now: Millis): Item | undefined {
    const turn = this.#turn.indexOf(number);
    const asked = this.#asked.get(number);
    if (this.#weight >= UNACKED_MAX || turn < 0 || !asked) return undefined;
    const index = asked.queue.shift()!;
    asked.queued.delete(index);
    const isOver = asked.queue.length === 0;
    if (isOver || turn < this.#turn.length - 1) {
      this.#turn.splice(turn, 1);
      if (!isOver) this.#turn.push(number);
    }
    const tries = (asked.tries.get(index) ?? 0) + 1;
    const { weight } = asked;
    const counts = isBlock(asked);
    const sent = { number, index, at: now, tries, weight, counts };
    this.#unacked.add(sent);
    asked.sent.set(index, sent);
    this.#weight += weight;
    if (counts && this.#blocks++ === 0) this.#window.begins();
    return { number, index };
  }

  /** Takes acknowledgements; returns how many were new. */
  acked(number: number, indexes: Iterable<number>, now: Millis): number {
    let fresh = 0;
    this.#heard = now;
    const asked = this.#asked.get(number);
    if (!asked) return 0;
    for (const index of indexes) {
      const sent = asked.sent.get(index);
      if (!sent) continue;
      this.#forget(sent);
      fresh++;
      if (isBlock(sent)) this.#window.acked(sent.tries === 1 ? now - sent.at : undefined, now);
      if (sent.tries === 1) this.#rto.sample(now - sent.at);
      else asked.tries.delete(index);
    }
    return fresh;
  }

  /** Forgets a request: cancelled or ended. */
  drop(number: number): void {
    for (const sent of this.#asked.get(number)?.sent.values() ?? []) this.#forget(sent);
    this.#asked.delete(number);
    this.#turn = this.#turn.filter((n) => n !== number);
  }

  #forget(sent: Sent): void {
    this.#weight -= sent.weight;
    if (sent.counts) this.#blocks--;
    this.#unacked.delete(sent);
    this.#asked.get(sent.number)?.sent.delete(sent.index);
  }

  /**
   * What is asked for again was waited for in vain: so was perhaps all that is under way, and no acknowledgement of it makes room for what
   * is asked for now.
   */
  #giveUp(): void {
    for (const sent of this.#unacked) sent.counts = false;
    this.#blocks = 0;
  }

  /** When `expire` should be called next, or undefined when nothing waits for an acknowledgement. */
  deadline(): Millis | undefined {
    for (const sent of this.#unacked) return this.#due(sent);
    return undefined;
  }

  /** After a time-out of silence; after twice as long while others are acknowledged, since then only this one was lost. */
  #due(sent: Sent): Millis {
    return sent.at + (this.#heard > sent.at ? 2 : 1) * this.#rto.value;
  }

  /**
   * Queues again, ahead of the rest, what was not acknowledged in time; asks nobody.
   * @returns the requests whose receiver has not acknowledged one item after TRIES_MAX sends: give them up
   */
  expire(now: Millis): number[] {
    const late: Sent[] = [];
    for (const sent of this.#unacked) {
      if (this.#due(sent) > now) break;
      late.push(sent);
    }
    const lost = new Set<number>();
    for (const sent of late.reverse()) {
      const { number, index, tries } = sent;
      const asked = this.#asked.get(number);
      this.#forget(sent);
      if (!asked) continue;
      if (tries >= TRIES_MAX) {
        lost.add(number);
        continue;
      }
      asked.tries.set(index, tries);
      asked.queue.unshift(index);
      asked.queued.add(index);
      if (!this.#turn.includes(number)) this.#turn.unshift(number);
    }
    if (late.length > 0) this.#rto.backOff();
    for (const number of lost) this.drop(number);
    return [...lost];
  }
}
