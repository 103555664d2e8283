/**
 * Tries where a peer that registers can be connected to.
 *
 * Owns the attempts under way and those that wait. Always true: only addresses are tried at which nobody else is bothered for a
 * stranger's sake: the one that it comes from, and private ones, which this network gave to its own, each with the one port
 * that its signed head names; at most DIAL_BACKS_PER_SECOND in all, DIAL_BACKS_AT_ONCE_MAX at once, and hosts that ask take
 * turns; where too many wait, the host of which most do gives way. Called by the tracker.
 */
import { BlockList, isIP } from 'node:net';
import { type Endpoint, isLoopback } from '../endpoint.js';
import { FairQueue } from '../fair-queue.js';
import { TokenBucket } from '../gossip/pace.js';
import type { PeerId } from '../ids.js';
import {
  DIAL_BACKS_AT_ONCE_MAX,
  DIAL_BACKS_PER_PEER_MAX,
  DIAL_BACKS_PER_SECOND,
  DIAL_BACKS_QUEUED_MAX,
} from '../limits.js';
import { parseEndpoint } from '../net/transport.js';

/** Addresses that networks give to their own: RFC 1918, 3927, 4193, and 6598 for carriers and overlays. */
const PRIVATE = new BlockList();
PRIVATE.addSubnet('10.0.0.0', 8);
PRIVATE.addSubnet('172.16.0.0', 12);
PRIVATE.addSubnet('192.168.0.0', 16);
PRIVATE.addSubnet('169.254.0.0', 16);
PRIVATE.addSubnet('100.64.0.0', 10);
PRIVATE.addSubnet('fc00::', 7, 'ipv6');

/** Until the next may begin where too many were begun, ms. */
const TURN_MS = 20;

/** What is to be found out, and who is told. */
export interface DialBackJob {
  peer: PeerId;
  /** The other end of its connection. */
  host: string;
  /** Of its head. */
  port: number;
  done(address: string, reached: boolean): void;
}

/** Whether an address may be tried for a peer whose connection comes from a host, and whose head names a port. */
export function mayTry({ host, port }: Endpoint, from: string, listens: number): boolean {
  const family = isIP(host);
  if (family === 0 || port !== listens) return false;
  if (host === from) return true;
  if (isLoopback(host)) return isLoopback(from);
  return PRIVATE.check(host, family === 4 ? 'ipv4' : 'ipv6');
}

interface Attempt {
  job: DialBackJob;
  to: Endpoint;
  address: string;
}

export class DialBack {
  readonly #check: (to: Endpoint, peer: PeerId) => Promise<boolean>;
  /** By the host that asks. */
  readonly #waiting = new FairQueue<Attempt>();
  readonly #tokens: TokenBucket;
  readonly #most: number;
  readonly #queued: number;
  readonly #under = new Map<string, number>();
  #running = 0;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  /**
   * @param check whether a peer proves its key at an address
   * @param most at once
   * @param queued that wait at most
   */
  constructor(
    check: (to: Endpoint, peer: PeerId) => Promise<boolean>,
    most = DIAL_BACKS_AT_ONCE_MAX,
    queued = DIAL_BACKS_QUEUED_MAX,
    perSecond = DIAL_BACKS_PER_SECOND,
  ) {
    this.#check = check;
    this.#most = most;
    this.#queued = queued;
    this.#tokens = new TokenBucket(perSecond);
  }

  /** Attempts that wait or are under way. */
  get size(): number {
    return this.#waiting.size + this.#running;
  }

  /** Tries addresses in their turn; the outcome of each is told, of those that may not be tried at once. */
  ask(job: DialBackJob, addresses: readonly string[]): void {
    let taken = 0;
    for (const address of addresses) {
      const to = parseEndpoint(address);
      const isOne = to !== undefined && mayTry(to, job.host, job.port);
      if (!isOne || taken >= DIAL_BACKS_PER_PEER_MAX || !this.#hasRoom(job.host)) {
        job.done(address, false);
        continue;
      }
      taken++;
      this.#waiting.add(job.host, { job, to, address });
    }
    this.#fill();
  }

  /** Whether one more of a host may wait: one of the host of which most do gives way. */
  #hasRoom(host: string): boolean {
    if (this.#waiting.size < this.#queued) return true;
    const largest = this.#waiting.largest();
    if (largest === undefined || this.#waiting.countOf(largest) <= this.#waiting.countOf(host) + 1) return false;
    const given = this.#waiting.take((owner) => owner === largest);
    given?.job.done(given.address, false);
    return given !== undefined;
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#waiting.clear();
  }

  #fill(): void {
    if (this.#timer || this.#stopped) return;
    const mostOfOne = Math.max(1, this.#most >> 3);
    while (this.#running < this.#most && this.#waiting.size > 0) {
      const may = (host: string): boolean => (this.#under.get(host) ?? 0) < mostOfOne;
      if (!this.#waiting.some(may)) return;
      if (!this.#tokens.take(performance.now())) {
        this.#timer = setTimeout(() => {
          this.#timer = undefined;
          this.#fill();
        }, TURN_MS);
        return;
      }
      const attempt = this.#waiting.take(may);
      if (attempt) this.#begin(attempt);
    }
  }

  #begin({ job, to, address }: Attempt): void {
    const { host } = job;
    this.#running++;
    this.#under.set(host, (this.#under.get(host) ?? 0) + 1);
    const end = (reached: boolean): void => {
      this.#running--;
      const left = (this.#under.get(host) ?? 1) - 1;
      if (left > 0) this.#under.set(host, left);
      else this.#under.delete(host);
      if (this.#stopped) return;
      job.done(address, reached);
      this.#fill();
    };
    this.#check(to, job.peer).then(end, () => end(false));
  }
}
