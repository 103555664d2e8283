/**
 * The transfers that were begun at this console, so that their ends are not told twice: they tell them themselves.
 * Owns their numbers. Always true: a number is forgotten soon after the transfer's end. Made by the console.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Api } from '../api.js';
import type { Millis } from '../clock.js';

/** The peer's word on an end may come so long before or after the transfer's own. */
export const OURS_MS: Millis = 250;

export class Ours {
  readonly #numbers = new Set<number>();

  has(number: number | undefined): boolean {
    return number !== undefined && this.#numbers.has(number);
  }

  /** The same, but that what is begun through it is noted. */
  watched(api: Api): Api {
    return new Proxy(api, {
      get: (target, key) => {
        if (key === 'get') return (...args: Parameters<Api['get']>) => this.#noting(target.get(...args));
        if (key === 'send') return (...args: Parameters<Api['send']>) => this.#noting(target.send(...args));
        const value: unknown = Reflect.get(target, key, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  }

  async *#noting<E extends { event: string }>(events: AsyncIterable<E>): AsyncGenerator<E> {
    let number: number | undefined;
    try {
      for await (const event of events) {
        if (event.event === 'start' && 'number' in event) {
          number = Number(event.number);
          this.#numbers.add(number);
        }
        yield event;
      }
    } finally {
      if (number !== undefined) void this.#forget(number);
    }
  }

  async #forget(number: number): Promise<void> {
    await delay(2 * OURS_MS, undefined, { ref: false });
    this.#numbers.delete(number);
  }
}
