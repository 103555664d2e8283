/**
 * The registry: who is registered with this tracker, and with the others that share its store, and what they offer and hold.
 * Owns its parts: the roll, offers and holdings (context.ts), leases (holds.ts), who is let in (registering.ts), what other trackers
 * tell (others.ts). Always true: a peer is registered while a link that is alive, this tracker itself, or another tracker holds
 * it; of one id there is one process, and another has to wait until the first is known to be dead; everything of a peer is gone
 * from all lookups with it; nothing grows beyond its bound, whoever comes and goes. It vouches for nobody: what it hands on are
 * the words of its writer.
 * Pure: the driver hands in events with their time, and carries out what comes back.
 */
import type { Millis, Random } from '../clock.js';
import type { PeerId } from '../ids.js';
import {
  HOLDING_BYTES_MAX,
  OFFERS_MAX,
  REGISTERED_MAX,
  REGISTERED_PER_ADDRESS_MAX,
  REGISTRATIONS_PER_MINUTE,
} from '../limits.js';
import { Context } from './context.js';
import type { Found, Holding, Registered, RegistryEffect, RegistryEvent } from './events.js';
import { Holdings } from './holdings.js';
import { Holds } from './holds.js';
import { lookUp, type Refusal } from './lookups.js';
import { Others } from './others.js';
import { Registering } from './registering.js';
import { isSame } from './roll.js';

/** How long a peer stays registered of which nothing comes. */
export const LEASE: Millis = 12_000;
/** Sweeps come no closer together than this. */
const SWEEP: Millis = 20;
/** Offers of those who left that are taken out by the way, and in a sweep: some milliseconds. */
const PURGED_BY_THE_WAY = 100;
const PURGED = 1000;

/** Bounds; what is left out is as limits.ts has it. */
export interface RegistrySettings {
  id: PeerId;
  lease?: Millis;
  /** Whether other trackers are told: there is a store. Left out: they are. */
  shares?: boolean;
  /** Registered in all, and of one host. */
  peers?: number;
  perAddress?: number;
  /** New registrations of one host in a minute. */
  perMinute?: number;
  /** Room of all offers: see `loadOf`. */
  offers?: number;
  holdingBytes?: number;
}

export class Registry {
  readonly #context: Context;
  readonly #holds: Holds;
  readonly #registering: Registering;
  readonly #others: Others;
  readonly #random: Random;
  #timerAt = Number.POSITIVE_INFINITY;

  /** @param random chooses among those who could pass on */
  constructor(settings: RegistrySettings, random: Random) {
    const { id, lease = LEASE, shares = true, offers = OFFERS_MAX, holdingBytes = HOLDING_BYTES_MAX } = settings;
    const { peers = REGISTERED_MAX, perAddress = REGISTERED_PER_ADDRESS_MAX } = settings;
    const { perMinute = REGISTRATIONS_PER_MINUTE } = settings;
    this.#random = random;
    this.#context = new Context(id, lease, shares, new Holdings(holdingBytes));
    this.#holds = new Holds(this.#context, offers);
    this.#registering = new Registering(this.#context, this.#holds, { peers, perAddress, perMinute });
    this.#others = new Others(this.#context, this.#holds, this.#registering, peers);
  }

  /** What is registered: peers (the tracker itself too), their offers, and what they hold in part. */
  get counts(): { peers: number; offers: number; holdings: number } {
    const { roll, search, holdings } = this.#context;
    return { peers: roll.size, offers: search.size, holdings: holdings.size };
  }

  /** Everything that is kept for a while, counted: nothing of it is left when everyone is gone. */
  get kept(): number {
    const { roll, search, holdings } = this.#context;
    const waiting = this.#holds.size + this.#registering.contests.size + (search.hasHidden ? 1 : 0);
    return roll.kept + search.size + holdings.size + waiting;
  }

  get(id: PeerId): Registered | undefined {
    return this.#context.roll.shown(id);
  }

  /** What a peer holds of a content that it does not offer. */
  holding(peer: PeerId, id: string): Holding | undefined {
    return this.#context.holdings.get(peer, id);
  }

  peers(): Iterable<Registered> {
    return this.#context.roll;
  }

  /**
   * What is registered that fits a question: pieces that are found as they are taken, of which an empty one says nothing.
   * @param kind one of LOOKUP
   * @returns or why there is no answer: `unknown-file`, `unknown-peer`, `not-found` (nobody passes on), `usage`. Where a WHAT takes
   *   long to be looked for, that nothing fits it is told by an answer without anything
   */
  lookup(kind: number, text: string): Iterable<Found> | Refusal {
    return lookUp(this.#context, this.#random, kind, text);
  }

  handle(event: RegistryEvent, now: Millis): RegistryEffect[] {
    const { search } = this.#context;
    this.#context.now = now;
    this.#take(event);
    if (search.hasHidden) search.purge(event.kind === 'sweep' ? PURGED : PURGED_BY_THE_WAY);
    this.#setTimer();
    return this.#context.takeEffects();
  }

  #take(event: RegistryEvent): void {
    const { roll, id: self } = this.#context;
    switch (event.kind) {
      case 'register':
        this.#registering.register(event);
        return;
      case 'self':
        this.#self(event);
        return;
      case 'heard': {
        const entry = roll.byLink(event.link);
        if (entry) this.#holds.heard(entry.id);
        return;
      }
      case 'broken':
      case 'left': {
        this.#registering.contests.leave(event.link);
        const entry = roll.byLink(event.link);
        if (entry) this.#holds.release(entry, event.kind);
        return;
      }
      case 'head':
        this.#head(event);
        return;
      case 'offers':
        this.#holds.shelves.change(event.peer, event.changes);
        return;
      case 'hold':
        this.#hold(event);
        return;
      case 'dialled-back':
        this.#registering.dialledBack(event);
        return;
      case 'probed':
        this.#registering.probed(event);
        return;
      case 'summon':
        this.#summon(event);
        return;
      case 'shared':
        this.#others.take(event.record);
        return;
      case 'store-back':
        for (const { id, link } of roll) if (link !== undefined || id === self) this.#holds.shareAll(id);
        return;
      case 'sweep':
        this.#timerAt = Number.POSITIVE_INFINITY;
        this.#holds.sweep();
        this.#registering.sweep();
        return;
    }
  }

  #self({ peer, addresses }: Extract<RegistryEvent, { kind: 'self' }>): void {
    const { id, roll, now } = this.#context;
    const before = roll.shown(id);
    const own = roll.get(id)?.own;
    if (own) {
      if (!isSame(own.peer.head, peer.head)) own.peer = peer;
      own.reachable = addresses;
      own.seen = addresses[0] ?? '';
      roll.update(id);
    } else {
      const rest = { since: now, link: undefined, host: '', tried: new Set<string>() };
      roll.hold({ id, tracker: id, peer, seen: addresses[0] ?? '', reachable: addresses, ...rest }, true);
    }
    this.#holds.changed(id, before);
  }

  #head({ kind, peer, ...words }: Extract<RegistryEvent, { kind: 'head' }>): void {
    const { roll } = this.#context;
    const own = roll.get(peer)?.own;
    const before = roll.shown(peer);
    if (!own || words.epoch < own.peer.epoch) return;
    own.peer = { ...own.peer, ...words };
    roll.update(peer);
    this.#holds.shelves.settle(peer);
    this.#holds.changed(peer, before);
  }

  #hold({ link, id, chunks, at, bits }: Extract<RegistryEvent, { kind: 'hold' }>): void {
    const { id: tracker, roll, holdings } = this.#context;
    const entry = roll.byLink(link);
    if (!entry) return;
    this.#holds.heard(entry.id);
    for (const holding of holdings.put(entry.id, id, chunks, at, bits)) {
      this.#context.tell({ kind: 'holding', holding });
      this.#context.share({ kind: 'holding', tracker, holding });
    }
  }

  #summon(event: Extract<RegistryEvent, { kind: 'summon' }>): void {
    const { peer, from } = event;
    const { id: tracker, roll } = this.#context;
    const asker = roll.byLink(event.link);
    const asked = roll.get(peer);
    if (!asker) {
      this.#context.answer(event, 'not-registered', 'only who is registered may ask others to dial');
      return;
    }
    this.#holds.heard(asker.id);
    if (!asked) {
      this.#context.answer(event, 'unknown-peer', `no peer ${peer} is registered`);
      return;
    }
    const link = asked.own?.link;
    if (link !== undefined) this.#context.tell({ kind: 'summon', link, peer, from });
    else if (!asked.own) this.#context.share({ kind: 'summon', tracker, peer, from });
    this.#context.answer(event, '', '');
  }

  #setTimer(): void {
    const { search, now } = this.#context;
    const due = search.hasHidden ? now : Math.min(this.#holds.next, this.#registering.contests.next);
    const at = Math.max(due, now + SWEEP);
    if (at >= this.#timerAt || at === Number.POSITIVE_INFINITY) return;
    this.#timerAt = at;
    this.#context.tell({ kind: 'timer', at });
  }
}
