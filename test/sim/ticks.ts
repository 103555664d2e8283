/**
 * Ticks: in a large world hosts look at their sockets and timers every few milliseconds, each then at all that has come for it.
 * So what one host does it does in one go, with its memory at hand; and a datagram that is multicast is kept once, whoever hears it.
 * Owns what is to come at each tick. Always true: nothing comes before its time, and nothing later than a tick after it; of one host,
 * in the order in which it was put. Called by the world.
 */
import type { Host } from './host.js';

/** Milliseconds from one tick to the next. */
const TICK = 4;

/** What goes to all who hear it. */
export interface ToAll {
  from: Host;
  /** Whether somebody can hear it. */
  hears(host: Host): boolean;
  /** It reaches one, unless it is lost. */
  reach(host: Host): void;
}

interface Tick {
  toAll: ToAll[];
  boxes: Map<Host, Runs[]>;
}

interface Runs {
  run(): void;
}

export class Ticks {
  readonly #ticks = new Map<number, Tick>();
  readonly #hosts: readonly Host[];
  readonly #at: (when: number, run: () => void) => void;

  /**
   * @param hosts all that there are, at any time
   * @param at has something run at some time
   */
  constructor(hosts: readonly Host[], at: (when: number, run: () => void) => void) {
    this.#hosts = hosts;
    this.#at = at;
  }

  /** Has something happen to one host at the first tick from some time on. */
  put(when: number, host: Host, item: Runs): void {
    const { boxes } = this.#tick(when);
    const box = boxes.get(host);
    if (box) box.push(item);
    else boxes.set(host, [item]);
  }

  putToAll(when: number, toAll: ToAll): void {
    this.#tick(when).toAll.push(toAll);
  }

  #tick(when: number): Tick {
    const number = Math.ceil(when / TICK);
    let tick = this.#ticks.get(number);
    if (!tick) {
      tick = { toAll: [], boxes: new Map() };
      this.#ticks.set(number, tick);
      this.#at(number * TICK, () => this.#run(number));
    }
    return tick;
  }

  #run(number: number): void {
    const { toAll, boxes } = this.#ticks.get(number)!;
    this.#ticks.delete(number);
    if (toAll.length === 0) {
      for (const box of boxes.values()) for (const item of box) item.run();
      return;
    }
    for (const host of this.#hosts) {
      const box = boxes.get(host);
      if (box) for (const item of box) item.run();
      for (const each of toAll) if (each.from !== host && each.hears(host)) each.reach(host);
    }
  }
}
