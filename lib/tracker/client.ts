/**
 * The client of trackers: with which of them this peer registers, and when it says so again.
 * Owns what is known of each tracker: where it is, whether this peer is registered there, when it is due. Always true: at most
 * `most` are used at a time, and as many known as TRACKERS_KNOWN_MAX; on one connection one question is open at a time; one
 * that was told of is used only in place of another that does not answer, and none keeps out one that the person named.
 * The driver hands in events with their time, and carries out what comes back.
 */
import type { TrackerRow } from '../api.js';
import type { Millis, Random } from '../clock.js';
import type { Code } from '../errors.js';
import type { PeerId } from '../ids.js';
import { ADDRESSES_MAX, TRACKERS_KNOWN_MAX, TRACKERS_MAX } from '../limits.js';
import type { ClientEffect, ClientEvent, Origin, Registration, ToldTracker } from './client-events.js';
import type { LinkNo } from './events.js';

export type { ClientEffect, ClientEvent, Registration, ToldTracker } from './client-events.js';

/** Between two words to a tracker: three of them may be lost before a lease of 12 s ends. */
const RENEW: Millis = 4000;
/** However short a lease it gives. */
const RENEW_LEAST: Millis = 1000;
/** A tracker that says nothing for so long is given up, and dialled anew. */
const ANSWER: Millis = 10_000;
/** Dialling one again: at first after so long, then doubled up to the second; one that never answered is not worth as much. */
const DIAL_FIRST: Millis = 500;
const DIAL_MOST: Millis = 4000;
const DIAL_MOST_STRANGE: Millis = 30_000;
/** Another one bears this id, or it is no tracker: asked again all the same, since that may end. */
const REFUSED: Millis = 30_000;
/** It has no room: asked again after so long, then doubled up to the second. */
const LIMIT_FIRST: Millis = 5000;
const LIMIT_MOST: Millis = 60_000;

interface Tracker {
  readonly id: PeerId;
  name: string;
  /** Where it was connected with or heard, then where others say that it is. */
  addresses: readonly string[];
  /** The former of these. */
  found: readonly string[];
  origin: Origin;
  /** The host that the person named, where this one answered there. */
  endpoint: string | undefined;
  link: LinkNo | undefined;
  isDialling: boolean;
  /** The question that is open, and until when its answer is waited for. */
  asked: { number: number; until: Millis } | undefined;
  /** When it is dialled or spoken to next. */
  dueAt: Millis;
  registered: { since: Millis; said: Registration } | undefined;
  wasRegistered: boolean;
  failures: number;
  error: { code: Code; message: string } | undefined;
  /** Whether that is its own word, so that dialling it anew changes nothing. */
  isTurnedAway: boolean;
  /** Own addresses that it gave to another. */
  readonly without: Set<string>;
}

const RANK: Record<Origin, number> = { joined: 0, heard: 1, told: 2 };

export class Client {
  readonly #id: PeerId;
  readonly #random: Random;
  readonly #most: number;
  readonly #trackers = new Map<PeerId, Tracker>();
  #listening: readonly string[] = [];
  #number = 0;
  #now: Millis = 0;
  #effects: ClientEffect[] = [];
  #timerAt: Millis = Number.POSITIVE_INFINITY;

  /**
   * @param id this peer's own, which may be a tracker too
   * @param most trackers used at a time
   */
  constructor(id: PeerId, random: Random, most: number = TRACKERS_MAX) {
    this.#id = id;
    this.#random = random;
    this.#most = most;
  }

  /** @param now never less than at the event before */
  handle(event: ClientEvent, now: Millis): ClientEffect[] {
    this.#now = now;
    this.#effects = [];
    this.#take(event);
    this.#act();
    return this.#effects;
  }

  /** What is known of each tracker, those named by the person first. */
  rows(): TrackerRow[] {
    return this.#ranked().map(({ id, name, addresses, endpoint, registered, error }) => ({
      id,
      name,
      address: endpoint ?? addresses[0] ?? '',
      registered: registered !== undefined,
      ...(registered ? { since: registered.since } : {}),
      peers: registered?.said.peers ?? 0,
      offers: registered?.said.offers ?? 0,
      ...(error && !registered ? { error } : {}),
    }));
  }

  /** What one tracker said last, while this peer is registered there. */
  registration(tracker: PeerId): Registration | undefined {
    return this.#trackers.get(tracker)?.registered?.said;
  }

  /** What people call a tracker, and where it is. */
  describe(tracker: PeerId): { name: string; address: string } | undefined {
    const known = this.#trackers.get(tracker);
    return known && { name: known.name, address: known.endpoint ?? known.addresses[0] ?? '' };
  }

  /** Whether a tracker is in use, so that its connection is kept. */
  uses(tracker: PeerId): boolean {
    const known = this.#trackers.get(tracker);
    return known !== undefined && isUsed(known);
  }

  #take(event: ClientEvent): void {
    switch (event.kind) {
      case 'linked':
        this.#linked(event);
        break;
      case 'joined':
        this.#joined(event.link, event.endpoint);
        break;
      case 'unlinked': {
        const tracker = this.#at(event.link);
        if (tracker) this.#unlinked(tracker, event.code, event.message);
        break;
      }
      case 'known':
        this.#known(event.tracker, event.origin);
        break;
      case 'unheard': {
        const tracker = this.#trackers.get(event.tracker);
        if (tracker?.origin === 'heard') tracker.origin = 'told';
        break;
      }
      case 'registered': {
        const tracker = this.#at(event.link, event.number);
        if (tracker) this.#registered(tracker, event.said);
        break;
      }
      case 'refused': {
        const tracker = this.#at(event.link, event.number);
        if (tracker) this.#refused(tracker, event.code, event.message);
        break;
      }
      case 'dial-failed': {
        const tracker = this.#trackers.get(event.tracker);
        if (!tracker?.isDialling) break;
        tracker.isDialling = false;
        if (event.code === 'id-taken') this.#turnedAway(tracker, event.code, event.message);
        else this.#failed(tracker, event.code, event.message);
        break;
      }
      case 'listening':
        this.#listening = event.addresses.slice(0, ADDRESSES_MAX);
        for (const tracker of this.#trackers.values()) {
          // What another had may be free by now, and where it is not, that is told again.
          tracker.without.clear();
          if (tracker.registered && !tracker.asked) tracker.dueAt = this.#now;
        }
        break;
      case 'refresh':
        for (const tracker of this.#trackers.values()) {
          if (!tracker.asked && !tracker.isDialling) tracker.dueAt = this.#now;
        }
        break;
      case 'timer':
        this.#timerAt = Number.POSITIVE_INFINITY;
        break;
    }
  }

  #at(link: LinkNo, number?: number): Tracker | undefined {
    for (const tracker of this.#trackers.values()) {
      if (tracker.link === link) return number === undefined || tracker.asked?.number === number ? tracker : undefined;
    }
    return undefined;
  }

  /** @param isLinked a connection to it is there, so that it is worth more than one that was only told of */
  #known({ id, name, addresses }: ToldTracker, origin: Origin, isLinked = false): Tracker | undefined {
    if (id === this.#id) return undefined;
    let tracker = this.#trackers.get(id);
    if (!tracker) {
      const isMeant = origin !== 'told' || isLinked;
      if (this.#trackers.size >= TRACKERS_KNOWN_MAX && !(isMeant && this.#makeRoom(isLinked))) return undefined;
      tracker = {
        id,
        name,
        addresses: [],
        found: [],
        origin,
        endpoint: undefined,
        link: undefined,
        isDialling: false,
        asked: undefined,
        dueAt: this.#now,
        registered: undefined,
        wasRegistered: false,
        failures: 0,
        error: undefined,
        isTurnedAway: false,
        without: new Set(),
      };
      this.#trackers.set(id, tracker);
    }
    if (RANK[origin] < RANK[tracker.origin]) tracker.origin = origin;
    tracker.name = name;
    const isFound = origin !== 'told' || isLinked;
    if (isFound && addresses.length > 0) tracker.found = addresses.slice(0, ADDRESSES_MAX);
    // What another tracker says of it is no reason to forget where it was.
    if (addresses.length > 0)
      tracker.addresses = [...new Set([...tracker.found, ...addresses])].slice(0, ADDRESSES_MAX);
    return tracker;
  }

  /**
   * One more is to come: one that was only told of, and is not used, gives way.
   * @param isLinked it may have been named by the person, so that one that was heard gives way too
   */
  #makeRoom(isLinked: boolean): boolean {
    const given = this.#ranked().filter((one) => one.origin !== 'joined' && !isUsed(one) && one.link === undefined);
    const last = given.at(-1);
    if (!last || (last.origin !== 'told' && !isLinked)) return false;
    return this.#trackers.delete(last.id);
  }

  /** One that the person named is to be used: another, that he did not, gives it its place. */
  #giveWay(ranked: readonly Tracker[]): boolean {
    const last = ranked.filter((one) => one.origin !== 'joined' && isUsed(one)).at(-1);
    if (!last) return false;
    last.asked = undefined;
    last.isDialling = false;
    last.dueAt = this.#now + RENEW;
    if (last.registered) this.#lose(last, 'cancelled', 'one that was named takes its place');
    return true;
  }

  #linked({ tracker: id, link, name, address }: Extract<ClientEvent, { kind: 'linked' }>): void {
    const before = this.#trackers.get(id);
    const addresses = [address, ...(before?.found ?? []).filter((other) => other !== address)];
    const tracker = this.#known({ id, name, addresses }, 'told', true);
    if (!tracker) return;
    if (tracker.registered) this.#lose(tracker, 'cancelled', 'replaced by a newer connection');
    tracker.link = link;
    tracker.isDialling = false;
    tracker.asked = undefined;
    if (!tracker.isTurnedAway) tracker.dueAt = this.#now;
  }

  #joined(link: LinkNo, endpoint: string): void {
    const tracker = this.#at(link);
    if (!tracker) return;
    // Another one answers there now.
    for (const other of this.#trackers.values()) {
      if (other === tracker || other.endpoint !== endpoint) continue;
      other.endpoint = undefined;
      other.origin = 'told';
    }
    tracker.endpoint = endpoint;
    tracker.origin = 'joined';
  }

  #unlinked(tracker: Tracker, code: Code, message: string): void {
    tracker.link = undefined;
    tracker.asked = undefined;
    if (tracker.registered) this.#lose(tracker, code, message);
    if (code === 'id-taken') this.#turnedAway(tracker, code, message);
    // Refused before it was closed: what was said then counts.
    else if (!tracker.isTurnedAway || this.#now >= tracker.dueAt) this.#failed(tracker, code, message);
  }

  #lose(tracker: Tracker, code: Code, message: string): void {
    tracker.registered = undefined;
    this.#effects.push({ kind: 'lost', tracker: tracker.id, code, message });
  }

  /** It cannot be reached now: tried again soon, and ever later. */
  #failed(tracker: Tracker, code: Code, message: string): void {
    const most = tracker.wasRegistered || tracker.origin !== 'told' ? DIAL_MOST : DIAL_MOST_STRANGE;
    tracker.error = { code, message };
    tracker.isTurnedAway = false;
    tracker.dueAt = this.#now + this.#spread(Math.min(most, DIAL_FIRST * 2 ** Math.min(tracker.failures++, 10)));
  }

  /** From a half to the whole of a time, so that those who lost one tracker do not come back as one. */
  #spread(delay: Millis): Millis {
    return delay * (0.5 + this.#random() / 2);
  }

  #registered(tracker: Tracker, said: Registration): void {
    const fresh = !tracker.registered;
    tracker.asked = undefined;
    tracker.failures = 0;
    tracker.error = undefined;
    tracker.isTurnedAway = false;
    tracker.wasRegistered = true;
    tracker.registered = { since: tracker.registered?.since ?? this.#now, said };
    tracker.dueAt = this.#now + Math.max(RENEW_LEAST, Math.min(RENEW, said.lease / 3));
    this.#effects.push({ kind: 'renewed', tracker: tracker.id, link: tracker.link as LinkNo, fresh, said });
  }

  #refused(tracker: Tracker, code: Code, message: string): void {
    tracker.asked = undefined;
    if (tracker.registered) this.#lose(tracker, code, message);
    if (code === 'address-taken') {
      const given = this.#addresses(tracker);
      const named = given.filter((address) => message.includes(address));
      // Where it does not say which, it is registered without any; the one that it sees itself remains.
      for (const address of named.length > 0 ? named : given) tracker.without.add(address);
      if (given.length > 0) {
        tracker.dueAt = this.#now;
        this.#effects.push({ kind: 'refused', tracker: tracker.id, code, message });
        return;
      }
    }
    this.#turnedAway(tracker, code, message);
  }

  /** It does not want this peer, which tries again later. */
  #turnedAway(tracker: Tracker, code: Code, message: string): void {
    const isNews = tracker.error?.code !== code;
    const later =
      code === 'limit' ? Math.min(LIMIT_MOST, LIMIT_FIRST * 2 ** Math.min(tracker.failures++, 10)) : REFUSED;
    tracker.error = { code, message };
    tracker.isTurnedAway = true;
    tracker.dueAt = this.#now + this.#spread(later);
    if (isNews) this.#effects.push({ kind: 'refused', tracker: tracker.id, code, message });
  }

  #addresses({ without }: Tracker): string[] {
    return this.#listening.filter((address) => !without.has(address));
  }

  #ranked(): Tracker[] {
    return [...this.#trackers.values()].sort(
      (a, b) => RANK[a.origin] - RANK[b.origin] || Number(b.wasRegistered) - Number(a.wasRegistered),
    );
  }

  /** Does what is due, and sets the timer for what is next. */
  #act(): void {
    for (const tracker of this.#trackers.values()) {
      if (tracker.asked && this.#now >= tracker.asked.until && tracker.link !== undefined) {
        const { link } = tracker;
        const message = `no answer for ${ANSWER / 1000} s`;
        this.#effects.push({ kind: 'cut', link, code: 'timeout', message });
        this.#unlinked(tracker, 'timeout', message);
      }
    }
    const ranked = this.#ranked();
    const own = ranked.filter(({ origin }) => origin !== 'told').length;
    const wanted = Math.min(this.#most, Math.max(1, own));
    let used = ranked.filter(isUsed).length;
    for (const tracker of ranked) {
      if (tracker.asked || tracker.isDialling || this.#now < tracker.dueAt) continue;
      if (!isUsed(tracker)) {
        const isLinked = tracker.link !== undefined;
        const isFull = used >= (tracker.origin === 'told' ? wanted : this.#most);
        // Whoever joined a host dials it again himself: its name may stand for another machine by then.
        if (!isLinked && (tracker.endpoint !== undefined || tracker.addresses.length === 0)) continue;
        if (!isFull) used++;
        else if (!(isLinked && tracker.origin === 'joined' && this.#giveWay(ranked))) continue;
      }
      if (tracker.link === undefined) {
        tracker.isDialling = true;
        this.#effects.push({ kind: 'dial', tracker: tracker.id, addresses: tracker.addresses });
      } else {
        const number = ++this.#number;
        tracker.asked = { number, until: this.#now + ANSWER };
        this.#effects.push({ kind: 'join', link: tracker.link, number, addresses: this.#addresses(tracker) });
      }
    }
    this.#setTimer();
  }

  #setTimer(): void {
    let at = Number.POSITIVE_INFINITY;
    for (const { asked, dueAt } of this.#trackers.values()) {
      const next = asked?.until ?? dueAt;
      // What was due and is not wanted waits for an event.
      if (next > this.#now) at = Math.min(at, next);
    }
    if (at >= this.#timerAt) return;
    this.#timerAt = at;
    this.#effects.push({ kind: 'timer', at });
  }
}

/** Whether a tracker takes one of the places. */
function isUsed({ registered, asked, isDialling }: Tracker): boolean {
  return registered !== undefined || asked !== undefined || isDialling;
}
