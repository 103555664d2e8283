/**
 * Rounds: how what many peers want comes to all of them without many asking its writer.
 * Owns what is wanted and which relays are being asked for it. Always true: a relay is asked one digest at a time, of bounded
 * size; of all peers some DIRECT at first ask the writer itself, the others their relays, and again in rounds further and further apart,
 * so that a change spreads as an epidemic does (Demers et al., 1987; digests as in Scuttlebutt); as a relay that has nothing newer
 * is no failure, whoever finds it nowhere asks the writer in the end. One who knows nothing of a writer asks relays first: a
 * newcomer has the whole index from a few.
 * Called by pulls.
 */
import type { Millis } from '../clock.js';
import type { PeerId } from '../ids.js';
import { DIGEST_MAX, OFFERS_PER_PAGE } from '../limits.js';
import { sumOfLoads } from '../offer.js';
import type { Head } from '../wire/head.js';
import type { MessageOf } from '../wire/table.js';
import type { Arrivals } from './arrivals.js';
import type { Circle } from './circle.js';
import type { Context } from './context.js';
import { isBehind, type Member } from './member.js';
import { RELAYS, Relays } from './relays.js';
import { type Wish, Wishes } from './wishes.js';

/** How many of all ask the writer itself in one round. */
const DIRECT = 4;
/** After so many rounds in vain twice as many do, and twice as many after each more. */
const PATIENT = 4;
/** The first round begins within so long, for each peer that there is, and at most. */
const FIRST: Millis = 5;
const FIRST_MOST: Millis = 300;
/** Between rounds, for each peer that there is, and at most at first; each time half as long again. */
const GAP: Millis = 4;
const GAP_FIRST_MOST: Millis = 300;
const GAP_MOST: Millis = 5000;
/** A relay is not asked more often: where few are, and for each more, and at most. */
const ASK_GAP: Millis = 50;
const ASK_GAP_EACH: Millis = 1.5;
const ASK_GAP_MOST: Millis = 600;
/** Between rounds, and after an answer, it is waited for others, for each peer, and at most, so that what is wanted is asked for together. */
const PAUSE: Millis = 0.25;
const PAUSE_MOST: Millis = 100;
/** Offers that one digest asks for, as far as heads tell: two seconds of a slow link. */
const DIGEST_OFFERS = 20_000;
/** A digest of which nothing comes for so long has failed, and one that takes so long in all. */
const TIMEOUT: Millis = 5000;
const TIMEOUT_ALL: Millis = 15_000;

interface Asked {
  /** The newest head of the writer that was known. */
  head: Head;
  version: number;
}

interface Batch {
  relay: PeerId;
  asked: Map<PeerId, Asked>;
  /** Offers that it asks for, about. */
  offers: number;
  /** Whether it had something. */
  served: boolean;
  since: Millis;
  deadline: Millis;
  until: Millis;
}

/** What rounds ask of pulls. */
export interface Puller {
  /** Whether there are so few that each asks each writer itself. */
  isFew(): boolean;
  /** Asks the writer itself, from now on. */
  direct(member: Member): void;
  /** Pulls what is too large for a digest; `fetched` is called when that has ended. @returns false where it is being pulled already */
  pullFrom(member: Member, from: PeerId): boolean;
}

export class Rounds {
  readonly #context: Context;
  readonly #circle: Circle;
  readonly #arrivals: Arrivals;
  readonly #puller: Puller;
  readonly #relays: Relays;
  readonly #wishes: Wishes;
  readonly #batches = new Map<number, Batch>();
  /** Relays that are being asked, or were a moment ago: until when they are left alone. */
  readonly #busy = new Map<PeerId, Millis>();
  #number = 0;
  /** When the next round is due; another timer is stale. And when the last one was. */
  #dueAt: Millis = Number.POSITIVE_INFINITY;
  #wentAt: Millis = Number.NEGATIVE_INFINITY;

  constructor(context: Context, circle: Circle, arrivals: Arrivals, linked: () => ReadonlySet<PeerId>, puller: Puller) {
    this.#context = context;
    this.#circle = circle;
    this.#arrivals = arrivals;
    this.#puller = puller;
    this.#relays = new Relays(context, circle, linked);
    this.#wishes = new Wishes(context);
  }

  /** Wants what a writer has; nothing where that is wanted already. */
  add(member: Member): void {
    if (this.has(member.id)) return;
    const { now, random } = this.#context;
    const wish: Wish = { misses: 0, notBefore: now, held: false, direct: false, whole: false };
    // What only just changed is nowhere but at its writer; what was never known here, others have long known.
    if (member.shelf) wish.direct = this.#isChosen(wish);
    this.#wishes.add(member.id, wish);
    this.#roundIn(random() * Math.min(FIRST_MOST, FIRST * this.#circle.size));
  }

  has(writer: PeerId): boolean {
    return this.#wishes.get(writer) !== undefined;
  }

  /** A round is due. */
  due(): void {
    if (!this.#context.isDue(this.#dueAt)) return;
    this.#dueAt = Number.POSITIVE_INFINITY;
    this.#go();
  }

  /** A page of the answer to a digest: all that is newer of one writer, or that there is something. */
  page(number: number, page: MessageOf<'r'>): void {
    const batch = this.#batches.get(number);
    const asked = batch?.asked.get(page.writer);
    if (!batch || !asked) return;
    batch.asked.delete(page.writer);
    batch.deadline = this.#context.now + TIMEOUT;
    const member = this.#circle.get(page.writer);
    const wish = this.#wishes.get(page.writer);
    if (!member || !wish) return;
    const { head, version } = asked;
    const { offers, replaced } = page;
    if (page.head.length === 0) {
      batch.served = true;
      // Where the whole did not fit before, its pull finds out what does.
      if (!this.#puller.pullFrom(member, batch.relay)) this.#miss(member.id, wish);
      return;
    }
    const proof = { head: page.head, sig: page.sig };
    const arrival = { from: batch.relay, asked: head, version, offers, load: sumOfLoads(offers), replaced, proof };
    const outcome = this.#arrivals.take(member, arrival);
    if (outcome === 'taken') {
      batch.served = true;
      this.#relays.served(batch.relay);
      this.#done(member);
      return;
    }
    if (outcome === 'unfit') wish.whole = true;
    this.#miss(member.id, wish);
  }

  /** An answer has ended. @param ok false where it failed, or there was none */
  over(number: number, ok: boolean): void {
    const batch = this.#batches.get(number);
    if (!batch) return;
    this.#batches.delete(number);
    this.#busy.set(batch.relay, batch.since + this.#askGap);
    if (!ok) this.#relays.failed(batch.relay);
    else if (!batch.served) this.#relays.missed(batch.relay);
    for (const writer of batch.asked.keys()) {
      const wish = this.#wishes.get(writer);
      if (wish) this.#miss(writer, wish);
    }
    this.#roundIn(this.#pause);
  }

  timeout(number: number): void {
    const batch = this.#batches.get(number);
    if (!batch) return;
    const at = Math.min(batch.deadline, batch.until);
    if (this.#context.isDue(at)) this.over(number, false);
    else this.#context.after(at - this.#context.now, { kind: 'digest-timeout', batch: number });
  }

  /** A pull from one who may be a relay came to nothing in its time. */
  stalled(peer: PeerId): void {
    this.#relays.failed(peer);
  }

  /** A pull that rounds asked for has ended. */
  fetched(writer: PeerId, ok: boolean): void {
    const wish = this.#wishes.get(writer);
    const member = this.#circle.get(writer);
    if (!wish || !member) return;
    if (ok) this.#done(member);
    else this.#miss(writer, wish);
    this.#roundIn(this.#pause);
  }

  /** Asks at once for what waits for its time. */
  hurry(): void {
    this.#wishes.hurry();
    if (this.#wishes.size > 0) this.#go();
  }

  /** Whether anything is being asked for, or waits for its first round. */
  get isBusy(): boolean {
    if (this.#batches.size > 0) return true;
    for (const { held, misses } of this.#wishes.all()) if (held || misses === 0) return true;
    return false;
  }

  /** A peer is gone: nothing more of it, nothing more from it. */
  gone(peer: PeerId): void {
    this.#wishes.drop(peer);
    this.#relays.gone(peer);
    for (const [number, { relay }] of this.#batches) if (relay === peer) this.over(number, true);
  }

  #go(): void {
    this.#wentAt = this.#context.now;
    const directs: Member[] = [];
    const fetches: [Member, Wish][] = [];
    const groups = new Map<PeerId, Batch>();
    let free = Number.POSITIVE_INFINITY;
    for (const [relay, until] of this.#busy) {
      if (this.#context.isDue(until)) this.#busy.delete(relay);
      else free = Math.min(free, until);
    }
    let next = this.#wishes.ripen();
    const isFew = this.#puller.isFew();
    const ask = (member: Member, wish: Wish): void => {
      this.#wishes.hold(member.id, wish);
      wish.direct = false;
      fetches.push([member, wish]);
    };
    for (const [writer, wish] of this.#wishes.directs()) {
      const member = this.#circle.get(writer);
      if (!this.#context.isDue(wish.notBefore)) next = Math.min(next, wish.notBefore);
      else if (member?.state !== 'live' || !isBehind(member)) this.#wishes.drop(writer);
      else if (isFew) {
        this.#wishes.drop(writer);
        directs.push(member);
      } else ask(member, wish);
    }
    for (const [writer, wish] of this.#wishes.ready()) {
      const member = this.#circle.get(writer);
      if (member?.state !== 'live' || !isBehind(member)) this.#wishes.drop(writer);
      else if (isFew) {
        this.#wishes.drop(writer);
        directs.push(member);
      } else if (!this.#join(groups, member, wish)) ask(member, wish);
      else if (!wish.held) {
        // No relay has room for more; there may be a thousand, many times a second.
        next = Math.min(next, free);
        break;
      }
    }
    for (const batch of groups.values()) this.#ask(batch);
    for (const member of directs) this.#puller.direct(member);
    for (const [member, wish] of fetches) {
      if (this.#puller.pullFrom(member, member.id)) continue;
      // It is being pulled already.
      wish.notBefore = this.#context.now + this.#gap;
      this.#wishes.wait(member.id, wish);
      next = Math.min(next, wish.notBefore);
    }
    if (next < Number.POSITIVE_INFINITY) this.#roundIn(next - this.#context.now);
  }

  /** Has a wish asked of a relay, now or when one has time. @returns false where there is no relay at all */
  #join(groups: Map<PeerId, Batch>, member: Member, wish: Wish): boolean {
    const { head, shelf, id } = member;
    const { now } = this.#context;
    const isFree = (relay: PeerId): boolean => {
      const group = groups.get(relay);
      if (group) return group.asked.size < DIGEST_MAX && group.offers < DIGEST_OFFERS;
      return !this.#busy.has(relay);
    };
    const relay = this.#relays.at(turnOf(id) + wish.misses, isFree);
    if (relay === undefined) return this.#relays.count > 0;
    let batch = groups.get(relay);
    if (!batch) {
      batch = {
        relay,
        asked: new Map(),
        offers: 0,
        served: false,
        since: now,
        deadline: now + TIMEOUT,
        until: now + TIMEOUT_ALL,
      };
      groups.set(relay, batch);
    }
    const version = shelf?.epoch === head.epoch && !wish.whole ? shelf.version : 0;
    batch.asked.set(id, { head, version });
    batch.offers += Math.min(OFFERS_PER_PAGE, version > 0 ? head.version - version : head.count);
    this.#wishes.hold(id, wish);
    return true;
  }

  #ask(batch: Batch): void {
    const known: MessageOf<'b'>['known'] = [];
    for (const [writer, { head, version }] of batch.asked) {
      // Who knows nothing yet takes nothing that is older than what the writer itself has said.
      known.push({ writer, epoch: head.epoch, version, least: version === 0 ? head.version : version + 1 });
    }
    const number = ++this.#number;
    this.#batches.set(number, batch);
    this.#busy.set(batch.relay, Number.POSITIVE_INFINITY);
    this.#context.emit({ kind: 'digest', batch: number, from: batch.relay, message: { type: 'b', known } });
    this.#context.after(TIMEOUT, { kind: 'digest-timeout', batch: number });
  }

  #done(member: Member): void {
    this.#wishes.drop(member.id);
    if (isBehind(member)) this.add(member);
  }

  /** One who was asked had nothing newer: the next relay is asked at once, and after all of them there is a pause. */
  #miss(writer: PeerId, wish: Wish): void {
    const { now, random } = this.#context;
    wish.misses++;
    wish.notBefore = now;
    if (wish.misses % RELAYS === 0) {
      const gap = Math.min(GAP_MOST, this.#gap * 1.5 ** Math.min(20, wish.misses / RELAYS - 1));
      wish.notBefore = now + gap * (0.5 + random());
      wish.direct = this.#isChosen(wish);
    }
    this.#wishes.wait(writer, wish);
  }

  get #askGap(): Millis {
    return Math.min(ASK_GAP_MOST, ASK_GAP + ASK_GAP_EACH * this.#circle.size);
  }

  get #pause(): Millis {
    return Math.min(PAUSE_MOST, PAUSE * this.#circle.size);
  }

  get #gap(): Millis {
    return Math.min(GAP_FIRST_MOST, GAP * this.#circle.size);
  }

  /** Whether a wish is one of the few that go to the writer in this round. */
  #isChosen({ misses }: Wish): boolean {
    const more = 2 ** Math.min(20, Math.max(0, misses / RELAYS - PATIENT));
    return this.#context.random() * this.#circle.size < DIRECT * more;
  }

  #roundIn(delay: Millis): void {
    const { now } = this.#context;
    const at = Math.max(now + delay, this.#wentAt + this.#pause);
    if (this.#dueAt <= at) return;
    this.#dueAt = this.#context.after(at - now, { kind: 'round' });
  }
}

/** Ids end with what is as good as chance: writers are spread over relays by it. */
function turnOf(id: PeerId): number {
  return id.charCodeAt(id.length - 1) * 31 + id.charCodeAt(id.length - 2);
}
