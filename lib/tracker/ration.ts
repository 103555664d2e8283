/** How many new registrations each address may still make: a minute's worth at once, then as many in a minute. Pure. */
import type { Millis } from '../clock.js';
import { Latest } from '../latest.js';
import { REGISTRATION_HOSTS_MAX } from '../limits.js';

export class Ration {
  readonly #perMinute: number;
  readonly #hosts: Latest<string, { left: number; at: Millis }>;

  constructor(perMinute: number, hosts = REGISTRATION_HOSTS_MAX) {
    this.#perMinute = perMinute;
    this.#hosts = new Latest(hosts);
  }

  /** Takes one, if there is one left for this address. */
  take(host: string, now: Millis): boolean {
    const { left, at } = this.#hosts.get(host) ?? { left: this.#perMinute, at: now };
    const all = Math.min(this.#perMinute, left + ((now - at) * this.#perMinute) / 60_000);
    const may = all >= 1;
    this.#hosts.set(host, { left: may ? all - 1 : all, at: now });
    return may;
  }
}
