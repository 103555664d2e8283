/**
 * Hosts of other groups that are heard: what a person is told who finds nobody.
 *
 * Owns when each host was last heard. Always true: at most STRANGERS_MAX hosts of each kind are kept. Called by the driver
 * of gossip.
 */
import { isIPv4 } from 'node:net';
import type { Millis } from '../clock.js';
import { Latest } from '../latest.js';
import { STRANGERS_MAX } from '../limits.js';
import { MAGIC } from '../wire/table.js';

/** `sealed`: speaks with a secret that is not ours. `open`: is in the open group, and we are not. */
export type StrangerKind = 'sealed' | 'open';

/** Hosts of each kind that were heard lately. */
export type StrangerCount = Record<StrangerKind, number>;

/** The longest interval between heartbeats of one host, in a network of several thousand peers. */
const LATELY: Millis = 5 * 60_000;

export class Strangers {
  readonly #heard = {
    sealed: new Latest<string, Millis>(STRANGERS_MAX),
    open: new Latest<string, Millis>(STRANGERS_MAX),
  };

  note(kind: StrangerKind, host: string, now: Millis): void {
    this.#heard[kind].set(host, now);
  }

  count(now: Millis): StrangerCount {
    return { sealed: this.#count('sealed', now), open: this.#count('open', now) };
  }

  /** A host is heard from each of its addresses: those of one sort tell how many there are. */
  #count(kind: StrangerKind, now: Millis): number {
    const sorts = new Map<string, number>();
    for (const [host, at] of this.#heard[kind]) {
      if (now - at > LATELY) continue;
      const sort = sortOf(host);
      sorts.set(sort, sort === 'loopback' ? 1 : (sorts.get(sort) ?? 0) + 1);
    }
    return Math.max(0, ...sorts.values());
  }
}

function sortOf(host: string): string {
  if (host === '::1' || host.startsWith('127.')) return 'loopback';
  if (isIPv4(host)) return 'v4';
  return host.split('%')[1] ?? 'v6';
}

const MAGIC_PACKED = Buffer.concat([Buffer.from([0xa0 + MAGIC.length]), Buffer.from(MAGIC)]);

/** Whether a datagram is a plain message of ours, by its first bytes: an array, a letter, the magic word. */
export function looksOpen(data: Uint8Array): boolean {
  if (data.length < 3 + MAGIC_PACKED.length || data[0] >> 4 !== 9 || data[1] !== 0xa1) return false;
  return MAGIC_PACKED.equals(data.subarray(3, 3 + MAGIC_PACKED.length));
}

const hosts = (n: number, verb: string, verbs: string) => (n === 1 ? `1 host ${verb}` : `${n} hosts ${verbs}`);

/**
 * Why nobody is found, as far as can be told; begins like a sentence and has no full stop.
 * @param secret whether a secret was given
 */
export function whyNobody(secret: boolean, { sealed, open }: StrangerCount): string {
  if (!secret) {
    if (sealed === 0) return 'no peer answered in the open group; a private group needs its secret: --secret-file FILE';
    const who = hosts(sealed, 'speaks', 'speak');
    return `no peer answered in the open group, but ${who} with a secret that was not given here: --secret-file FILE`;
  }
  const others = [
    ...(sealed > 0 ? [`${hosts(sealed, 'speaks', 'speak')} with another secret`] : []),
    ...(open > 0 ? [`${hosts(open, 'is', 'are')} in the open group, without a secret`] : []),
  ];
  const nobody = 'no peer answered with this secret';
  return others.length > 0 ? `${nobody}, but ${others.join(', and ')}` : `${nobody}; the others need the same one`;
}
