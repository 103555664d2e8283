/**
 * What was said and heard by UDP, address by address: what a person is told who asks why nothing is found.
 * Owns the counts. Always true: at most HEARD_HOSTS_MAX addresses of either side are counted, and where another comes, the one that
 * was silent longest goes. Called by the UDP sockets; read by the doctor.
 */
import type { Millis } from '../clock.js';
import { Latest } from '../latest.js';
import { HEARD_HOSTS_MAX } from '../limits.js';

/** How a datagram was addressed: to the group, to a subnet, or to this machine alone. */
export type Way = 'multicast' | 'broadcast' | 'unicast';

/** Datagrams by one address of this machine. */
export interface Spoken {
  sent: number;
  failed: number;
  /** The system's word for why the last that did not leave did not; "" where none failed. */
  failure: string;
  /** Of what was sent to everyone, how many came back to this machine, as they do where it is joined and nothing is shut. */
  echoed: number;
}

/** Datagrams that came from one address, and when the last did, `performance.now()`. */
export type Heard = Record<Way, { count: number; at: Millis }>;

const NEVER = Number.NEGATIVE_INFINITY;

export class Traffic {
  readonly #spoken = new Latest<string, Spoken>(HEARD_HOSTS_MAX);
  readonly #heard = new Latest<string, Heard>(HEARD_HOSTS_MAX);

  /** @param host an address of this machine, as all of these */
  sent(host: string): void {
    this.#of(host).sent++;
  }

  failed(host: string, why: string): void {
    const spoken = this.#of(host);
    spoken.failed++;
    spoken.failure = why;
  }

  echoed(host: string): void {
    this.#of(host).echoed++;
  }

  heard(host: string, way: Way, now: Millis): void {
    const fresh = () => ({ count: 0, at: NEVER });
    const heard = this.#heard.get(host) ?? { multicast: fresh(), broadcast: fresh(), unicast: fresh() };
    heard[way].count++;
    heard[way].at = now;
    this.#heard.set(host, heard);
  }

  spoken(host: string): Readonly<Spoken> {
    return this.#spoken.get(host) ?? { sent: 0, failed: 0, failure: '', echoed: 0 };
  }

  /** Addresses from which something came, the latest last. */
  get hosts(): Iterable<readonly [string, Heard]> {
    return this.#heard;
  }

  #of(host: string): Spoken {
    let spoken = this.#spoken.get(host);
    if (!spoken) {
      spoken = { sent: 0, failed: 0, failure: '', echoed: 0 };
      this.#spoken.set(host, spoken);
    }
    return spoken;
  }
}
