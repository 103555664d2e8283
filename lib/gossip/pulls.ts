/**
 * Pulls: fetching what we lack of other writers' offers.
 * Owns which writer is pulled, from whom, and what has arrived of the answer. Always true: one pull of a writer at a time and
 * at most PULLS_MAX in all, of a tracker TRACKER_PULLS_MAX and half of them of one address; nothing counts before the last
 * page's signed head fits the whole. Where there are few peers each pulls from the writers; among many, and not of a tracker,
 * rounds say what is pulled from whom.
 * Called by gossip: `want` whenever a head is newer than the shelf; then the timer, the pages, the failures.
 */
import type { Millis } from '../clock.js';
import type { PeerId } from '../ids.js';
import { GATHERED_MAX, PULLS_MAX, TRACKER_PULLS_MAX } from '../limits.js';
import type { MessageOf } from '../wire/table.js';
import { Arrivals } from './arrivals.js';
import type { Circle } from './circle.js';
import type { Context } from './context.js';
import type { Heads } from './heads.js';
import { isNear } from './ladder.js';
import { isBehind, type Member } from './member.js';
import { backoff, pullDelay } from './pace.js';
import { Places } from './places.js';
import { PULL_TIMEOUT, Pulling } from './pulling.js';
import { Rounds } from './rounds.js';

const NONE = new Uint8Array(0);
/** Up to so many peers, oneself counted, each asks each writer itself. */
export const FEW = 12;
/** Who is here answers a newcomer within so long, or most do. */
const COUNTING: Millis = 80;
const RETRY_FIRST: Millis = 500;
const RETRY_MOST: Millis = 30_000;
/** One that follows greets writers that it has from others, so many ms apart on average. */
const GREET_GAP: Millis = 50;

interface Want {
  /** Why it is pulled: as rounds say, and from whom; to be known to the writer; or else by itself, from the writer and others in turn. */
  by: { kind: 'rounds'; from: PeerId } | { kind: 'greeting' } | { kind: 'itself' };
  /** When the timer that starts it is due; another is stale. */
  dueAt: Millis;
  /** Failures in a row. */
  failures: number;
  /** Not before, after a failure. */
  notBefore: Millis;
  /** What to ask for: what followed; after that did not fit, the buckets that differ; then everything. */
  mode: 'delta' | 'buckets' | 'whole';
  active: Pulling | undefined;
}

export class Pulls {
  readonly #context: Context;
  readonly #circle: Circle;
  readonly #arrivals: Arrivals;
  readonly #rounds: Rounds;
  readonly #wants = new Map<PeerId, Want>();
  /** Wanted, due, and waiting for one of the places. */
  readonly #waiting = new Set<PeerId>();
  /** Those of whom it was told that they offer too much for us. */
  readonly #warned = new Set<PeerId>();
  /** Writers that one that follows has asked themselves. */
  readonly #greeted = new Set<PeerId>();
  readonly #places: Places;
  /** The room that answers take which are not whole yet. */
  #gathered = 0;

  /** @param linked those who are connected */
  constructor(context: Context, circle: Circle, heads: Heads, linked: () => ReadonlySet<PeerId>) {
    this.#context = context;
    this.#circle = circle;
    this.#arrivals = new Arrivals(context, circle, heads);
    this.#rounds = new Rounds(context, circle, this.#arrivals, linked, {
      isFew: () => this.#isFew,
      direct: (member) => this.#direct(member),
      pullFrom: (member, from) => this.#pullFrom(member, from),
    });
    this.#places = context.settings.tracker
      ? new Places(TRACKER_PULLS_MAX, TRACKER_PULLS_MAX / 2)
      : new Places(PULLS_MAX, PULLS_MAX);
  }

  /** Whether each writer is asked itself: there are few, or we are the one whom the others ask. */
  get #isFew(): boolean {
    return this.#context.settings.tracker || this.#circle.size <= FEW;
  }

  /** Schedules a pull where a live peer's head is newer than what we have of it. */
  want(member: Member): void {
    if (this.#context.asksOnly || member.state !== 'live' || !isBehind(member)) return;
    // One that follows asks the writer at least once: that is how the writer knows to tell it what is not for everyone.
    if (!this.#context.settings.passive && this.#arrivals.takeEmpty(member)) return;
    const { head, id } = member;
    if (this.#rounds.has(id)) return;
    if (!this.#circle.hasRoom(head, member.shelf)) {
      if (!this.#warned.has(id)) this.#context.warn('limit', `${head.name} (${id}) offers more than is kept here`);
      this.#warned.add(id);
      return;
    }
    const own = this.#wants.get(id)?.by.kind === 'itself';
    if (own || this.#isFew) this.#direct(member);
    else this.#rounds.add(member);
  }

  /** The writer is asked itself, soon. */
  #direct({ id }: Member): void {
    let want = this.#wants.get(id);
    if (want?.active || (want && want.by.kind !== 'greeting' && (want.dueAt >= 0 || this.#waiting.has(id)))) return;
    if (!want) want = this.#add(id, { kind: 'itself' });
    want.by = { kind: 'itself' };
    const { settings, random, startedAt, now } = this.#context;
    // Those who ask a tracker wait for it, and there are few trackers. Who has only just begun first hears whether there are many.
    const delay = settings.tracker ? 0 : Math.max(pullDelay(this.#circle.size, random), startedAt + COUNTING - now);
    this.#schedule(id, want, Math.max(delay, want.notBefore - now));
  }

  /** A pull for rounds, as soon as there is a place. */
  #pullFrom({ id }: Member, from: PeerId): boolean {
    const known = this.#wants.get(id);
    if (known && (known.active || known.by.kind !== 'greeting')) return false;
    const want = this.#add(id, { kind: 'rounds', from });
    want.dueAt = -1;
    this.#waiting.add(id);
    this.#fill();
    return true;
  }

  /** One that follows and has a writer's offers from others asks the writer itself once, in its time. */
  #greet({ id }: Member): void {
    const { settings, random } = this.#context;
    if (!settings.passive || this.#greeted.has(id) || this.#wants.has(id)) return;
    const want = this.#add(id, { kind: 'greeting' });
    this.#schedule(id, want, random() * GREET_GAP * this.#circle.size);
  }

  /** A pull is due. */
  due(writer: PeerId): void {
    const want = this.#wants.get(writer);
    if (!want || want.active || want.dueAt < 0 || !this.#context.isDue(want.dueAt)) return;
    const member = this.#circle.get(writer);
    if (member && want.by.kind === 'itself' && want.failures === 0 && !this.#isFew) {
      // Meanwhile there are many.
      this.#wants.delete(writer);
      this.want(member);
      return;
    }
    want.dueAt = -1;
    this.#waiting.add(writer);
    this.#fill();
  }

  /** A round of questions to relays is due. */
  roundDue(): void {
    this.#rounds.due();
  }

  /** A page of the answer to a digest. */
  newer(batch: number, page: MessageOf<'r'>): void {
    this.#rounds.page(batch, page);
    const member = this.#circle.get(page.writer);
    if (member && !isBehind(member)) this.#greet(member);
  }

  /** The answer to a digest has ended. @param ok false where it failed, or there was none */
  digestOver(batch: number, ok: boolean): void {
    this.#rounds.over(batch, ok);
  }

  digestTimeout(batch: number): void {
    this.#rounds.timeout(batch);
  }

  /** A page of an answer. */
  page(from: PeerId, writer: PeerId, page: MessageOf<'D'>): void {
    const want = this.#wants.get(writer);
    const active = want?.active;
    if (!want || active?.from !== from) return;
    const load = active.page(page, this.#circle.get(writer)?.head.count ?? 0, this.#context.now);
    this.#gathered += load ?? 0;
    if (load === undefined) this.#stalled(writer, want);
    else if (active.isWhole) this.#stage(writer, want, active);
    else if (this.#gathered > GATHERED_MAX) this.#failLargest();
  }

  /** More of what was fetched can be put together. */
  stageDue(writer: PeerId): void {
    const want = this.#wants.get(writer);
    if (want?.active?.isWhole) this.#stage(writer, want, want.active);
  }

  #stage(writer: PeerId, want: Want, active: Pulling): void {
    if (active.work(this.#context.now)) this.#finish(writer, want, active);
    else this.#context.after(0, { kind: 'stage', writer });
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
    this.#places.give(host);
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
    else this.#stalled(writer, want);
  }

  /** What was asked for did not come, or far too slowly or too much of it: what waits to be pulled from the same relay goes to others. */
  #stalled(writer: PeerId, want: Want): void {
    const from = want.active?.from;
    this.#fail(writer, want);
    if (from === undefined) return;
    this.#rounds.stalled(from);
    for (const other of [...this.#waiting]) {
      const { by } = this.#wants.get(other) ?? {};
      if (by?.kind !== 'rounds' || by.from !== from) continue;
      this.#waiting.delete(other);
      this.#wants.delete(other);
      this.#rounds.fetched(other, false);
    }
  }

  /** Pulls at once what waits after a failure. */
  hurry(): void {
    for (const [writer, want] of this.#wants) {
      if (want.active || want.dueAt < 0 || want.notBefore <= this.#context.now) continue;
      want.notBefore = 0;
      this.#schedule(writer, want, pullDelay(this.#circle.size, this.#context.random));
    }
    this.#rounds.hurry();
  }

  /** Whether anything is being pulled, or waits for its turn. */
  get isBusy(): boolean {
    return this.#places.taken > 0 || this.#waiting.size > 0 || this.#rounds.isBusy;
  }

  /** A peer is gone: nothing more of it, nothing more from it. */
  gone(peer: PeerId): void {
    const own = this.#wants.get(peer);
    if (own) this.#release(own);
    this.#wants.delete(peer);
    this.#waiting.delete(peer);
    this.#warned.delete(peer);
    this.#greeted.delete(peer);
    this.#rounds.gone(peer);
    for (const [writer, want] of this.#wants) if (want.active?.from === peer) this.#fail(writer, want);
    this.#fill();
  }

  #add(writer: PeerId, by: Want['by']): Want {
    const want: Want = { by, dueAt: -1, failures: 0, notBefore: 0, mode: 'delta', active: undefined };
    this.#wants.set(writer, want);
    return want;
  }

  #schedule(writer: PeerId, want: Want, delay: Millis): void {
    want.dueAt = this.#context.after(delay, { kind: 'pull', writer });
  }

  #fill(): void {
    while (!this.#places.isFull) {
      const writer = this.#nextWaiting();
      if (writer === undefined) return;
      this.#waiting.delete(writer);
      const member = this.#circle.get(writer);
      const want = this.#wants.get(writer);
      if (!want) continue;
      if (member?.state === 'live' && (isBehind(member) || want.by.kind === 'greeting')) {
        this.#start(member, want);
        continue;
      }
      this.#wants.delete(writer);
      if (want.by.kind === 'rounds') this.#rounds.fetched(writer, true);
    }
  }

  /** The one that has failed least often, so that those who never answer hold up nobody; of equals the one that waits longest. */
  #nextWaiting(): PeerId | undefined {
    let next: PeerId | undefined;
    let least = Number.POSITIVE_INFINITY;
    for (const writer of this.#waiting) {
      const failures = this.#wants.get(writer)?.failures ?? 0;
      if (failures >= least || this.#places.isFullFor(this.#hostOf(writer))) continue;
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
    if (from === writer) this.#greeted.add(writer);
    const base = shelf?.epoch === head.epoch && want.mode !== 'whole' ? shelf : undefined;
    // Version 0 with buckets asks for a comparison; buckets beside a version are for a source whose tombstones may not
    // reach back as far as the writer's own.
    const compare = base && (want.mode === 'buckets' || from !== writer || base.version < head.floor);
    const epoch = base ? base.epoch : 0;
    const version = base && want.mode === 'delta' ? base.version : 0;
    const buckets = compare ? base.tree.hashes() : NONE;
    const host = this.#hostOf(writer);
    want.active = new Pulling({ from, host, head, base, version }, this.#context.now);
    this.#places.take(host);
    this.#context.emit({ kind: 'pull', from, message: { type: 'P', writer, epoch, version, buckets } });
    this.#context.after(PULL_TIMEOUT, { kind: 'pull-timeout', writer });
  }

  /** As rounds say; else the writer itself, and after a failure in turn with another live peer, which may hold the writer's offers too. */
  #source(member: Member, want: Want): PeerId {
    if (want.by.kind === 'rounds') return want.by.from;
    // Those who come to a tracker have nothing of each other's that is proved.
    const isAlone = this.#context.settings.tracker && !isNear(member.via);
    if (want.failures % 2 === 0 || isAlone) return member.id;
    const others: PeerId[] = [];
    for (const other of this.#circle.live()) if (other !== member) others.push(other.id);
    if (others.length === 0) return member.id;
    return others[Math.floor(this.#context.random() * others.length)];
  }

  #finish(writer: PeerId, want: Want, active: Pulling): void {
    const member = this.#circle.get(writer);
    const outcome = member && this.#arrivals.take(member, active.arrival);
    if (!member || outcome !== 'taken') {
      if (outcome === 'unfit') want.mode = want.mode === 'delta' ? 'buckets' : 'whole';
      this.#fail(writer, want);
      return;
    }
    this.#end(writer, want);
    this.want(member);
  }

  #end(writer: PeerId, want: Want): void {
    this.#release(want);
    this.#wants.delete(writer);
    const member = this.#circle.get(writer);
    if (want.by.kind === 'rounds') {
      this.#rounds.fetched(writer, true);
      if (member) this.#greet(member);
    }
    this.#fill();
  }

  #fail(writer: PeerId, want: Want): void {
    this.#release(want);
    const member = this.#circle.get(writer);
    // What did not fit is asked for anew in another way, of whoever has it.
    const isOver = want.by.kind !== 'itself' && (want.mode === 'delta' || want.failures > 1);
    if (isOver || member?.state !== 'live' || !isBehind(member)) {
      this.#wants.delete(writer);
      if (want.by.kind === 'rounds') this.#rounds.fetched(writer, false);
    } else {
      const wait = backoff(want.failures++, RETRY_FIRST, RETRY_MOST);
      want.notBefore = this.#context.now + wait;
      this.#schedule(writer, want, wait);
    }
    this.#fill();
  }
}
