/** Two registries that tell each other everything by way of a queue, on a virtual clock: the suite's harness in memory. */
import { seeded } from '../../lib/clock.js';
import type { Record, RegistryEffect, RegistryEvent } from '../../lib/tracker/events.js';
import { Registry, type RegistrySettings } from '../../lib/tracker/registry.js';
import { gather, type Harness, registrant } from './tracker-suite.js';

const BEGIN = 1_700_000_000_000;
/** Clocks of two machines are not the same. */
const APART = 137;

interface Tracker {
  registry: Registry;
  timerAt: number;
  effects: RegistryEffect[];
  alive: boolean;
}

/** What a store remembers of each tracker: what that one holds still. */
class Remembered {
  /** By tracker and peer; records that were superseded among them. */
  readonly #records = new Map<string, Record[]>();

  note(record: Record): void {
    if (record.kind === 'held') this.#of(record.tracker, record.peer.id).push(record);
    else if (record.kind === 'dropped') this.#records.delete(`${record.tracker} ${record.peer}`);
    else if (record.kind === 'offers') this.#of(record.tracker, record.peer).push(record);
    else if (record.kind === 'holding') this.#of(record.tracker, record.holding.peer).push(record);
  }

  /** Everything that others than this tracker hold. */
  but(tracker: string): Record[] {
    return [...this.#records.values()].flat().filter((record) => record.tracker !== tracker);
  }

  clear(): void {
    this.#records.clear();
  }

  #of(tracker: string, peer: string): Record[] {
    const key = `${tracker} ${peer}`;
    const all = this.#records.get(key) ?? [];
    this.#records.set(key, all);
    return all;
  }
}

export interface MemoryHarness extends Harness {
  registry(tracker: number): Registry;
  now(tracker: number): number;
}

export function memoryHarness(settings: Partial<RegistrySettings> = {}): MemoryHarness {
  const ids = [registrant(9001).id, registrant(9002).id] as const;
  const fresh = (i: number): Tracker => ({
    registry: new Registry({ id: ids[i], ...settings }, seeded(i)),
    timerAt: Number.POSITIVE_INFINITY,
    effects: [],
    alive: true,
  });
  const trackers = [fresh(0), fresh(1)];
  let now = BEGIN;
  let isStoreThere = true;
  const remembered = new Remembered();
  /** What was told and not heard yet, with who is to hear it. */
  let told: { to: number; record: Record }[] = [];
  const nowOf = (i: number) => now + i * APART;

  const handle = (i: number, event: RegistryEvent): RegistryEffect[] => {
    const tracker = trackers[i];
    if (!tracker.alive) return [];
    const seen: RegistryEffect[] = [];
    for (const effect of tracker.registry.handle(event, nowOf(i))) {
      if (effect.kind === 'timer') tracker.timerAt = effect.at;
      else if (effect.kind !== 'share') seen.push(effect);
      else if (isStoreThere) {
        told.push({ to: 1 - i, record: effect.record });
        remembered.note(effect.record);
      }
    }
    tracker.effects.push(...seen);
    return seen;
  };
  const sweep = () => {
    for (const [i, tracker] of trackers.entries()) {
      if (!tracker.alive || tracker.timerAt > nowOf(i)) continue;
      tracker.timerAt = Number.POSITIVE_INFINITY;
      handle(i, { kind: 'sweep' });
    }
  };
  const settle = async () => {
    sweep();
    while (told.length > 0) {
      const all = told;
      told = [];
      for (const { to, record } of all) handle(to, { kind: 'shared', record });
    }
  };

  return {
    ids,
    registry: (i) => trackers[i].registry,
    now: nowOf,
    event: async (i, event) => {
      const seen = handle(i, event);
      sweep();
      return seen;
    },
    lookup: async (i, kind, text) => gather(trackers[i].registry.lookup(kind, text)),
    settle,
    advance: async (ms) => {
      const end = now + ms;
      while (now < end) {
        now = Math.min(end, now + 100);
        await settle();
      }
    },
    effects: (i) => trackers[i].effects.splice(0),
    kill: async (i) => {
      trackers[i].alive = false;
    },
    start: async (i) => {
      trackers[i] = fresh(i);
      for (const record of remembered.but(ids[i])) handle(i, { kind: 'shared', record });
    },
    storeAway: async () => {
      isStoreThere = false;
      told = [];
    },
    storeBack: async () => {
      isStoreThere = true;
      remembered.clear();
      for (const i of [0, 1]) handle(i, { kind: 'store-back' });
    },
    end: async () => {},
  };
}
