/**
 * Datagrams that came and wait to be handled.
 * Owns the queue and its counters. Always true: no more than DATAGRAM_QUEUE_MAX wait, none is longer than a message may
 * be, at most SLICE are handled in one turn of the event loop, so that a flood starves nothing else; hosts take turns, and
 * where there is no room, who has something waiting already loses it first. Called by the UDP sockets.
 */
import { FairQueue } from '../fair-queue.js';
import { DATAGRAM_MAX, DATAGRAM_QUEUE_MAX } from '../limits.js';

const SLICE = 64;

export interface UdpAddress {
  /** IP address; a link-local one with its zone. */
  host: string;
  port: number;
  /** Of this machine, the address to which it was sent, where that is known: an answer comes from there. */
  at?: string;
}

/** Takes a datagram, which is its to keep. Must not throw. */
export type OnDatagram = (data: Buffer, from: UdpAddress, multicast: boolean) => void;

type Datagram = Parameters<OnDatagram>;

export class DatagramQueue {
  /** In datagrams. `overflow`: dropped for want of room. `oversize`: too long to be ours. */
  readonly counters = { received: 0, overflow: 0, oversize: 0 };
  readonly #onDatagram: OnDatagram;
  readonly #most: number;
  /** By host. */
  readonly #waiting = new FairQueue<Datagram>();
  #draining = false;
  #closed = false;

  /** @param most that may wait */
  constructor(onDatagram: OnDatagram, most: number = DATAGRAM_QUEUE_MAX) {
    this.#onDatagram = onDatagram;
    this.#most = most;
  }

  push(data: Buffer, from: UdpAddress, multicast: boolean): void {
    if (this.#closed) return;
    this.counters.received++;
    if (data.length > DATAGRAM_MAX) {
      this.counters.oversize++;
      return;
    }
    if (this.#waiting.size >= this.#most) {
      this.counters.overflow++;
      // A host of which nothing waits gets in: a flood, also one that invents its addresses, pushes out its own.
      if (this.#waiting.has(from.host)) return;
      this.#waiting.take();
    }
    this.#waiting.add(from.host, [data, from, multicast]);
    this.#drainSoon();
  }

  /** Hands on nothing more. */
  close(): void {
    this.#closed = true;
    this.#waiting.clear();
  }

  #drainSoon(): void {
    if (this.#draining) return;
    this.#draining = true;
    setImmediate(() => {
      this.#draining = false;
      for (let i = 0; i < SLICE && !this.#closed; i++) {
        const datagram = this.#waiting.take();
        if (!datagram) return;
        this.#onDatagram(...datagram);
      }
      if (this.#waiting.size > 0) this.#drainSoon();
    });
  }
}
