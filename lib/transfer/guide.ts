/**
 * What the source of a whole content gives to which of its receivers, so that each chunk leaves it once and they have the rest of each
 * other. (BitTorrent's super-seeding, BEP 16, with promises in the place of a source that hides what it has.)
 *
 * Owns which chunks are out, and which are promised or asked for and not yet there. Always true: a chunk is promised to one receiver at a
 * time; nobody is guided while there is one receiver, nor once every chunk is out; at most PROMISED_MAX chunks are promised to one; one
 * that asks for much, or asks again and again, and takes nothing, keeps no promises from the others. Called by the server, which tells the
 * receivers.
 */
import type { Millis } from '../clock.js';
import { PROMISED_MAX } from '../limits.js';
import { chunkCount } from './content.js';

/** What a receiver is to be told: chunks that it is to ask for, beside those of before; or that it may ask for whatever it likes. */
export interface Word<Member> {
  member: Member;
  chunks: number[];
  free: boolean;
}

/**
 * Chunks that one receiver, and all together, are promised or have asked for and do not have, beyond those that arrive in SPAN: few, as
 * what waits for one could be with another already, and where they are many each chunk is better passed on than waited for.
 */
const OF_ONE = 3;
const OF_ALL = 16;
const SPAN: Millis = 200;
/** What one was promised or asked for and does not come by in so long is promised to others, and it is promised nothing until it moves. */
const LAZY: Millis = 2000;

const NOBODYS = 0;
const SOMEBODYS = 1;
const OUT = 2;

interface Receiver {
  /** Promised, and not asked for; in the order of promising. */
  promised: Set<number>;
  /** Asked for, and not there. */
  asked: Set<number>;
  /** How many of both count among all that are open: no more than it may have. */
  counts: number;
  /** When it asked for something that it may have, or something came. */
  movedAt: Millis;
  pace: Pace;
}

/** How many come in SPAN. */
class Pace {
  #since: Millis = Number.NEGATIVE_INFINITY;
  #count = 0;
  #value = 0;

  add(now: Millis): void {
    const span = now - this.#since;
    if (span >= SPAN) {
      this.#value = (this.#count * SPAN) / span;
      this.#since = now;
      this.#count = 0;
    }
    this.#count++;
  }

  get value(): number {
    return Math.max(this.#value, this.#count);
  }
}

/** Chunks that one may have open. */
function mostOf({ pace }: Receiver): number {
  return OF_ONE + pace.value;
}

export class Guide<Member> {
  readonly #states: Uint8Array;
  readonly #receivers = new Map<Member, Receiver>();
  /** Those to whom more may be promised, in turn. */
  readonly #ready = new Set<Member>();
  /** Those who ask for what they like. */
  readonly #unguided = new Set<Member>();
  /** Chunks that are nobody's again. */
  readonly #back = new Set<number>();
  readonly #pace = new Pace();
  /** Chunks that are not out. */
  #left: number;
  /** The chunk that is looked at next for one that is nobody's, and how many were. */
  #next: number;
  #seen = 0;
  /** Chunks that are promised or asked for and not there, as they count. */
  #open = 0;
  #lookedAt: Millis = 0;

  /**
   * @param size bytes of the content
   * @param lot 0 to 1: where to begin, so that two sources of it give different chunks first
   */
  constructor(size: number, lot: number) {
    const count = chunkCount(size);
    this.#states = new Uint8Array(count);
    this.#left = count;
    this.#next = Math.floor(lot * count);
  }

  /** Chunks that no receiver has had of this source, as far as it knows. */
  get left(): number {
    return this.#left;
  }

  /** Somebody begins to receive. */
  join(member: Member, now: Millis): Word<Member>[] {
    if (this.#receivers.has(member)) return [];
    this.#receivers.set(member, { promised: new Set(), asked: new Set(), counts: 0, movedAt: now, pace: new Pace() });
    this.#ready.add(member);
    this.#unguided.add(member);
    return this.#words(now);
  }

  /** It receives no more; what it has not had is for others. */
  leave(member: Member, now: Millis): Word<Member>[] {
    const receiver = this.#receivers.get(member);
    if (!receiver) return [];
    this.#receivers.delete(member);
    this.#unguided.delete(member);
    this.#takeBack(member, receiver);
    return this.#words(now);
  }

  /** It asks for a chunk. */
  asked(member: Member, chunk: number, now: Millis): Word<Member>[] {
    const receiver = this.#receivers.get(member);
    if (!receiver) return [];
    const { promised, asked } = receiver;
    if (this.#states[chunk] === OUT || asked.has(chunk)) return [];
    if (asked.size < mostOf(receiver)) this.#moves(member, receiver, now);
    if (asked.size < PROMISED_MAX) {
      promised.delete(chunk);
      asked.add(chunk);
      this.#states[chunk] = SOMEBODYS;
    }
    this.#count(receiver);
    return this.#words(now);
  }

  /** A chunk has arrived there. */
  arrived(member: Member, chunk: number, now: Millis): Word<Member>[] {
    const receiver = this.#receivers.get(member);
    if (!receiver) return [];
    this.#pace.add(now);
    receiver.pace.add(now);
    receiver.asked.delete(chunk);
    this.#count(receiver);
    this.#moves(member, receiver, now);
    this.#isOut(chunk);
    return this.#words(now);
  }

  /** Of what it was promised it has these, or gets them of others. */
  spare(member: Member, chunks: readonly number[], now: Millis): Word<Member>[] {
    const receiver = this.#receivers.get(member);
    if (!receiver) return [];
    for (const chunk of chunks) {
      if (receiver.promised.delete(chunk)) this.#isOut(chunk);
    }
    this.#count(receiver);
    this.#moves(member, receiver, now);
    return this.#words(now);
  }

  #moves(member: Member, receiver: Receiver, now: Millis): void {
    receiver.movedAt = now;
    this.#ready.add(member);
  }

  #isOut(chunk: number): void {
    if (this.#states[chunk] === OUT) return;
    this.#states[chunk] = OUT;
    this.#left--;
  }

  /** Takes note of how much a receiver has open. */
  #count(receiver: Receiver): void {
    const { promised, asked, counts } = receiver;
    receiver.counts = Math.min(promised.size + asked.size, mostOf(receiver));
    this.#open += receiver.counts - counts;
  }

  /** What a receiver was promised or has asked for is for others. */
  #takeBack(member: Member, receiver: Receiver): void {
    const { promised, asked } = receiver;
    this.#ready.delete(member);
    for (const chunk of [...promised, ...asked]) this.#giveBack(chunk);
    promised.clear();
    asked.clear();
    this.#count(receiver);
  }

  /** One that stands still holds up nobody. */
  #look(now: Millis): void {
    if (now - this.#lookedAt < LAZY / 4) return;
    this.#lookedAt = now;
    for (const [member, receiver] of this.#receivers) {
      if (now - receiver.movedAt >= LAZY) this.#takeBack(member, receiver);
    }
  }

  #giveBack(chunk: number): void {
    if (this.#states[chunk] !== SOMEBODYS) return;
    this.#states[chunk] = NOBODYS;
    this.#back.add(chunk);
  }

  /** What is to be told now. */
  #words(now: Millis): Word<Member>[] {
    this.#look(now);
    if (this.#receivers.size < 2 || this.#left === 0) return this.#free();
    const words = new Map<Member, Word<Member>>();
    for (const member of this.#unguided) words.set(member, { member, chunks: [], free: false });
    this.#unguided.clear();
    while (this.#open < OF_ALL + this.#pace.value) {
      const [member] = this.#ready;
      const receiver = this.#receivers.get(member);
      if (!receiver) break;
      this.#ready.delete(member);
      const { promised, asked } = receiver;
      if (promised.size + asked.size >= mostOf(receiver) || promised.size >= PROMISED_MAX) continue;
      const chunk = this.#take();
      if (chunk === undefined) break;
      promised.add(chunk);
      this.#count(receiver);
      // In turn, one each.
      this.#ready.add(member);
      const word = words.get(member);
      if (word) word.chunks.push(chunk);
      else words.set(member, { member, chunks: [chunk], free: false });
    }
    return [...words.values()];
  }

  #free(): Word<Member>[] {
    const words: Word<Member>[] = [];
    if (this.#unguided.size === this.#receivers.size) return words;
    for (const [member, receiver] of this.#receivers) {
      if (this.#unguided.has(member)) continue;
      this.#unguided.add(member);
      for (const chunk of receiver.promised) this.#giveBack(chunk);
      receiver.promised.clear();
      this.#count(receiver);
      this.#ready.add(member);
      words.push({ member, chunks: [], free: true });
    }
    return words;
  }

  #take(): number | undefined {
    for (const chunk of this.#back) {
      this.#back.delete(chunk);
      if (this.#states[chunk] === NOBODYS) return this.#hold(chunk);
    }
    const { length } = this.#states;
    for (; this.#seen < length; this.#seen++, this.#next = (this.#next + 1) % length) {
      if (this.#states[this.#next] === NOBODYS) return this.#hold(this.#next);
    }
    return undefined;
  }

  #hold(chunk: number): number {
    this.#states[chunk] = SOMEBODYS;
    return chunk;
  }
}
