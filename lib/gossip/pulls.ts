/**
 * Pulls: fetching what we lack of other writers' offers.
 * Owns which writer is wanted, from whom it is being pulled, and what has arrived of the answer. Always true: one pull of a
 * writer at a time and at most PULLS_MAX in all, of a tracker TRACKER_PULLS_MAX and half of them of one address; nothing counts before the last page's signed head fits the whole.
 * Called by gossip: `want` whenever a head is newer than the shelf; then the timer, the pages, the failures.
 */
import type { Millis } from '../clock.js';
import type { PeerId } from '../ids.js';
import { BUCKETS, GATHERED_MAX, OFFERS_PER_PEER_MAX, PULLS_MAX, TOMBSTONES_MAX, TRACKER_PULLS_MAX } from '../limits.js';
import { type Offer, sumOfLoads } from '../offer.js';
import type { Proof } from '../shelf/shelf.js';
import { type Applied, applyBuckets, applyDelta, applyWhole } from '../shelf/staging.js';
import { EMPTY_ROOT } from '../shelf/tree.js';
import type { Head } from '../wire/head.js';
import type { MessageOf } from '../wire/table.js';
import type { Circle } from './circle.js';
import type { Context } from './context.js';
import type { Heads } from './heads.js';
import { isBehind, type Member } from './member.js';
import { backoff, pullDelay } from './pace.js';

const NONE = new Uint8Array(0);
/** Nothing of an answer arrives for so long: it has failed. */
const TIMEOUT: Millis = 10_000;
/** An answer as slow as this after its first moments (offers in a second: some 16 KB) has failed: others wait for the place. */
const SLOW = 200;
const SLOW_AFTER: Millis = 30_000;
/** Offers of one answer at most: as many as a head may speak of, with the tombstones. */
const ANSWER_MAX = OFFERS_PER_PEER_MAX + TOMBSTONES_MAX;
const RETRY_FIRST: Millis = 500;
const RETRY_MOST: Millis = 30_000;

interface Active {
  from: PeerId;
  /** The writer's host. */
  host: string;
  /** The version that a delta would follow on. */
  version: number;
  offers: Offer[];
  /** The room that they take. */
  load: number;
  replaced: Uint8Array;
  since: Millis;
  deadline: Millis;
}

interface Want {
  /** When the timer that starts it is due; another is stale. */
  dueAt: Millis;
  /** Failures in a row. */
  failures: number;
  /** Not before, after a failure. */
  notBefore: Millis;
  /** What to ask for: what followed; after that did not fit, the buckets that differ; then everything. */
  mode: 'delta' | 'buckets' | 'whole';
  /** Told already that it is too much for us. */
  warned: boolean;
  active: Active | undefined;
}

export class Pulls {
  readonly #context: Context;
  readonly #circle: Circle;
  readonly #heads: Heads;
  readonly #wants = new Map<PeerId, Want>();
  /** Wanted, due, and waiting for one of the places. */
  readonly #waiting = new Set<PeerId>();
  #running = 0;
  /** How many of them are of one host. */
  readonly #byHost = new Map<string, number>();
  /** Pulls at once, in all and of one host. */
  readonly #most: readonly [number, number];
  /** The room that answers take which are not whole yet. */
  #gathered = 0;

  constructor(context: Context, circle: Circle, heads: Heads) {
    this.#context = context;
    this.#circle = circle;
    this.#heads = heads;
    this.#most = context.settings.tracker ? [TRACKER_PULLS_MAX, TRACKER_PULLS_MAX / 2] : [PULLS_MAX, PULLS_MAX];
  }

  /** Schedules a pull where a live peer's head is newer than what we have of it. */
  want(member: Member): void {
    if (this.#context.asksOnly || member.state !== 'live' || !isBehind(member)) return;
    // One that follows asks the writer at least once: that is how the writer knows to tell it what is not for everyone.
    if (!this.#context.settings.passive && this.#takeEmpty(member)) return;
    const want = this.#want(member.id);
    if (want.active || want.dueAt >= 0 || this.#waiting.has(member.id)) return;
    if (!this.#circle.hasRoom(member.head, member.shelf)) {
      if (!want.warned) this.#context.warn('limit', `${member.head.name} (${member.id}) offers more than is kept here`);
      want.warned = true;
      return;
    }
    // Those who ask a tracker wait for it, and there are few trackers.
    const delay = this.#context.settings.tracker ? 0 : pullDelay(this.#circle.size, this.#context.random);
    this.#schedule(member.id, want, Math.max(delay, want.notBefore - this.#context.now));
  }

  /** A pull is due. */
  due(writer: PeerId): void {
    const want = this.#wants.get(writer);
    if (!want || want.active || want.dueAt < 0 || !this.#context.isDue(want.dueAt)) return;
    want.dueAt = -1;
    this.#waiting.add(writer);
    this.#fill();
  }

  /** A page of an answer. */
  page(from: PeerId, writer: PeerId, page: MessageOf<'D'>): void {
    const want = this.#wants.get(writer);
    const active = want?.active;
    if (!want || active?.from !== from) return;
    const { now } = this.#context;
    if (page.offers.length > 0) active.deadline = now + TIMEOUT;
    if (page.replaced.length > 0) active.replaced = page.replaced;
    const count = active.offers.length + page.offers.length;
    const load = sumOfLoads(page.offers);
    const isSlow = ((now - active.since - SLOW_AFTER) / 1000) * SLOW > count;
    if (active.load + load > ANSWER_MAX || (isSlow && !page.last)) {
      this.#fail(writer, want);
      return;
    }
    for (const offer of page.offers) active.offers.push(offer);
    active.load += load;
    this.#gathered += load;
    if (page.last) this.#finish(writer, want, active, page);
    else if (this.#gathered > GATHERED_MAX) this.#failLargest();
  }

  #failLargest(): void {
    let largest: [PeerId, Want] | undefined;
    let most = 0;
    for (const [writer, want] of this.#wants) {
      const load = want.active?.load ?? 0;
      if (load > most) [largest, most] = [[writer, want], load];
    }
    if (largest) this.#fail(...largest);
  }

  /** Gives back the place of a pull that is under way. */
  #release(want: Want): void {
    if (!want.active) return;
    const { load, host } = want.active;
    this.#gathered -= load;
    want.active = undefined;
    this.#running--;
    const left = (this.#byHost.get(host) ?? 1) - 1;
    if (left > 0) this.#byHost.set(host, left);
    else this.#byHost.delete(host);
  }

  /** A pull failed on its way, or was refused. */
  failed(from: PeerId, writer: PeerId): void {
    const want = this.#wants.get(writer);
    if (want?.active?.from === from) this.#fail(writer, want);
  }

  timeout(writer: PeerId): void {
    const want = this.#wants.get(writer);
    if (!want?.active) return;
    const left = want.active.deadline - this.#context.now;
    if (!this.#context.isDue(want.active.deadline)) this.#context.after(left, { kind: 'pull-timeout', writer });
    else this.#fail(writer, want);
  }

  /** Pulls at once what waits after a failure. */
  hurry(): void {
    for (const [writer, want] of this.#wants) {
      if (want.active || want.dueAt < 0 || want.notBefore <= this.#context.now) continue;
      want.notBefore = 0;
      this.#schedule(writer, want, pullDelay(this.#circle.size, this.#context.random));
    }
  }

  /** Whether anything is being pulled, or waits for its turn. */
  get isBusy(): boolean {
    return this.#running > 0 || this.#waiting.size > 0;
  }

  /** A peer is gone: nothing more of it, nothing more from it. */
  gone(peer: PeerId): void {
    const own = this.#wants.get(peer);
    if (own) this.#release(own);
    this.#wants.delete(peer);
    this.#waiting.delete(peer);
    for (const [writer, want] of this.#wants) if (want.active?.from === peer) this.#fail(writer, want);
    this.#fill();
  }

  #want(writer: PeerId): Want {
    let want = this.#wants.get(writer);
    if (!want) {
      want = { dueAt: -1, failures: 0, notBefore: 0, mode: 'delta', warned: false, active: undefined };
      this.#wants.set(writer, want);
    }
    return want;
  }

  #schedule(writer: PeerId, want: Want, delay: Millis): void {
    want.dueAt = this.#context.after(delay, { kind: 'pull', writer });
  }

  /** Nothing at all needs no fetching: the signed root of nothing says it. */
  #takeEmpty(member: Member): boolean {
    const { head, proof } = member;
    if (head.count !== 0 || Buffer.compare(head.root, EMPTY_ROOT) !== 0) return false;
    const applied = applyWhole(member.shelf, member.id, [], head, proof);
    if (applied) this.#circle.commit(member, applied);
    return applied !== undefined;
  }

  #fill(): void {
    while (this.#running < this.#most[0]) {
      const writer = this.#nextWaiting();
      if (writer === undefined) return;
      this.#waiting.delete(writer);
      const member = this.#circle.get(writer);
      const want = this.#wants.get(writer);
      if (!want || member?.state !== 'live' || !isBehind(member)) continue;
      this.#start(member, want);
    }
  }

  /** The one that has failed least often, so that those who never answer hold up nobody; of equals the one that waits longest. */
  #nextWaiting(): PeerId | undefined {
    let next: PeerId | undefined;
    let least = Number.POSITIVE_INFINITY;
    for (const writer of this.#waiting) {
      const failures = this.#wants.get(writer)?.failures ?? 0;
      if (failures >= least || (this.#byHost.get(this.#hostOf(writer)) ?? 0) >= this.#most[1]) continue;
      [next, least] = [writer, failures];
      if (failures === 0) break;
    }
    return next;
  }

  /** Where a writer has proved to speak from last. */
  #hostOf(writer: PeerId): string {
    return [...(this.#circle.get(writer)?.hosts ?? [])].at(-1) ?? '';
  }

  #start(member: Member, want: Want): void {
    const { id: writer, head, shelf } = member;
    const from = this.#source(member, want);
    const base = shelf?.epoch === head.epoch && want.mode !== 'whole' ? shelf : undefined;
    // Version 0 with buckets asks for a comparison; buckets beside a version are for a source whose tombstones may not
    // reach back as far as the writer's own.
    const compare = base && (want.mode === 'buckets' || from !== writer || base.version < head.floor);
    const epoch = base ? base.epoch : 0;
    const version = base && want.mode === 'delta' ? base.version : 0;
    const buckets = compare ? base.tree.hashes() : NONE;
    const deadline = this.#context.now + TIMEOUT;
    const host = this.#hostOf(writer);
    want.active = { from, host, version, offers: [], load: 0, replaced: NONE, since: this.#context.now, deadline };
    this.#running++;
    this.#byHost.set(host, (this.#byHost.get(host) ?? 0) + 1);
    this.#context.emit({ kind: 'pull', from, message: { type: 'P', writer, epoch, version, buckets } });
    this.#context.after(TIMEOUT, { kind: 'pull-timeout', writer });
  }

  /** The writer itself; after a failure in turn with another live peer, which may hold the writer's offers too. */
  #source(member: Member, want: Want): PeerId {
    // Those who come to a tracker have nothing of each other's that is proved.
    const isAlone = this.#context.settings.tracker && member.via !== 'multicast';
    if (want.failures % 2 === 0 || isAlone) return member.id;
    const others: PeerId[] = [];
    for (const other of this.#circle.live()) if (other !== member) others.push(other.id);
    if (others.length === 0) return member.id;
    return others[Math.floor(this.#context.random() * others.length)];
  }

  #finish(writer: PeerId, want: Want, active: Active, page: MessageOf<'D'>): void {
    const member = this.#circle.get(writer);
    const proof: Proof = { head: page.head, sig: page.sig };
    const head = this.#heads.check(proof, { kind: 'link', peer: active.from });
    // Another writer's word, or what this one said before it began anew: whoever hands that on has nothing for us.
    if (!member || head?.id !== writer || head.epoch < member.head.epoch) {
      this.#fail(writer, want);
      return;
    }
    this.#circle.meet(head, proof, member.via);
    const { shelf } = member;
    if (shelf && (head.epoch < shelf.epoch || (head.epoch === shelf.epoch && head.version <= shelf.version))) {
      // As new as what has come meanwhile: nothing to apply. No failure, unless it is behind what we asked for.
      if (isBehind(member)) this.#fail(writer, want);
      else this.#end(writer, want);
      return;
    }
    // The tombstones in it do not stay, nor what is replaced; where that is much, all is fetched anew.
    const load =
      active.load +
      (active.replaced.every((byte) => byte === 255) && active.replaced.length > 0 ? 0 : (shelf?.load ?? 0));
    const room = this.#circle.takeRoom(head, shelf, load);
    const applied = room ? this.#apply(member, active, head, proof) : undefined;
    if (!applied) {
      want.mode = want.mode === 'delta' ? 'buckets' : 'whole';
      this.#fail(writer, want);
      return;
    }
    this.#circle.commit(member, applied);
    this.#end(writer, want);
    this.want(member);
  }

  #apply(member: Member, active: Active, head: Head, proof: Proof): Applied | undefined {
    const { offers, replaced } = active;
    if (replaced.length === 0) {
      return applyDelta(member.shelf, member.id, active.version, offers, head, proof);
    }
    const isWhole = replaced.length === BUCKETS / 8 && replaced.every((byte) => byte === 255);
    if (isWhole) return applyWhole(member.shelf, member.id, offers, head, proof);
    return member.shelf && applyBuckets(member.shelf, replaced, offers, head, proof);
  }

  #end(writer: PeerId, want: Want): void {
    this.#release(want);
    want.failures = 0;
    want.notBefore = 0;
    want.mode = 'delta';
    want.dueAt = -1;
    if (!want.warned) this.#wants.delete(writer);
    this.#fill();
  }

  #fail(writer: PeerId, want: Want): void {
    this.#release(want);
    const wait = backoff(want.failures++, RETRY_FIRST, RETRY_MOST);
    want.notBefore = this.#context.now + wait;
    const member = this.#circle.get(writer);
    if (member?.state === 'live' && isBehind(member)) this.#schedule(writer, want, wait);
    this.#fill();
  }
}
