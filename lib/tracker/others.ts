/**
 * Other trackers of the same registry: what they tell through the store, applied here.
 * Owns nothing. Always true: what they say of a peer counts as long as they say that they hold it, and less than what this
 * tracker knows itself; of two processes of one id the one that was registered earlier stays, by the same rule everywhere.
 * Called by the registry.
 */
import { ADDRESSES_MAX } from '../limits.js';
import type { Context } from './context.js';
import type { Record } from './events.js';
import type { Holds } from './holds.js';
import type { Registering } from './registering.js';
import { type Hold, isSame, precedes } from './roll.js';

type Of<K extends Record['kind']> = Extract<Record, { kind: K }>;

export class Others {
  readonly #context: Context;
  readonly #holds: Holds;
  readonly #registering: Registering;
  /** Registered in all. */
  readonly #most: number;

  constructor(context: Context, holds: Holds, registering: Registering, most: number) {
    this.#context = context;
    this.#holds = holds;
    this.#registering = registering;
    this.#most = most;
  }

  take(record: Record): void {
    const { id, roll } = this.#context;
    if (record.tracker === id) return;
    switch (record.kind) {
      case 'held':
        this.#held(record);
        return;
      case 'dropped': {
        const hold = roll.get(record.peer)?.others.get(record.tracker);
        if (hold && isSame(hold.peer.instance, record.instance)) this.#holds.disbelieve(hold, record.why);
        return;
      }
      case 'offers': {
        const entry = roll.get(record.peer);
        if (entry && !entry.own && entry.others.has(record.tracker)) this.#holds.shelves.told(record);
        return;
      }
      case 'holding':
        this.#holding(record);
        return;
      case 'probe':
        this.#probe(record);
        return;
      case 'alive':
        if (record.to === id) this.#registering.alive(record.tracker, record.number, record.alive);
        return;
      case 'summon': {
        const link = roll.get(record.peer)?.own?.link;
        if (link !== undefined) this.#context.tell({ kind: 'summon', link, peer: record.peer, from: record.from });
        return;
      }
    }
  }

  #held({ tracker, peer, seen, reachable, since }: Of<'held'>): void {
    const { id, roll } = this.#context;
    const entry = roll.get(peer.id);
    if (peer.id === id || this.#holds.isDoubted({ tracker, peer })) return;
    if (!entry && roll.size >= this.#most) return;
    let before = roll.shown(peer.id);
    const hold: Hold = entry?.others.get(tracker) ?? { id: peer.id, tracker, peer, seen, reachable, since };
    Object.assign(hold, { peer, seen, reachable: reachable.slice(0, ADDRESSES_MAX + 1), since });
    const own = entry?.own;
    if (entry && own && !isSame(own.peer.instance, peer.instance) && precedes(hold, own)) {
      this.#registering.yield(entry);
      before = roll.shown(peer.id);
    }
    roll.hold(hold, false);
    this.#holds.believe(hold);
    this.#holds.changed(peer.id, before);
  }

  #holding({ tracker, holding }: Of<'holding'>): void {
    const { roll, holdings } = this.#context;
    const entry = roll.get(holding.peer);
    if (!entry || entry.own || !entry.others.has(tracker)) return;
    for (const each of holdings.set(holding)) this.#context.tell({ kind: 'holding', holding: each });
  }

  #probe({ tracker, peer, instance, number }: Of<'probe'>): void {
    const { id, roll } = this.#context;
    const entry = roll.get(peer);
    const isHeld = entry?.own !== undefined && isSame(entry.own.peer.instance, instance);
    if (entry && isHeld && entry.own?.link !== undefined) this.#registering.probe(entry, tracker, number);
    // The tracker itself lives.
    else this.#context.share({ kind: 'alive', tracker: id, to: tracker, number, alive: isHeld });
  }
}
