/**
 * Datagrams that came and wait to be handled.
 * Owns the queue and its counters. Always true: no more than DATAGRAM_QUEUE_MAX wait, none is longer than a message may
 * be, at most SLICE are handled in one turn of the event loop, so that a flood starves nothing else. Called by the UDP
 * sockets.
 */
import { DATAGRAM_MAX, DATAGRAM_QUEUE_MAX } from '../limits.js';

const SLICE = 64;

export interface UdpAddress {
  /** IP address; a link-local one with its zone. */
  host: string;
  port: number;
}

/** Takes a datagram, which is its to keep. Must not throw. */
export type OnDatagram = (data: Buffer, from: UdpAddress, multicast: boolean) => void;

export class DatagramQueue {
  /** In datagrams. `overflow`: came while the queue was full. `oversize`: too long to be ours. */
  readonly counters = { received: 0, overflow: 0, oversize: 0 };
  readonly #onDatagram: OnDatagram;
  #waiting: Parameters<OnDatagram>[] = [];
  #draining = false;
  #closed = false;

  constructor(onDatagram: OnDatagram) {
    this.#onDatagram = onDatagram;
  }

  push(data: Buffer, from: UdpAddress, multicast: boolean): void {
    if (this.#closed) return;
    this.counters.received++;
    if (data.length > DATAGRAM_MAX) this.counters.oversize++;
    else if (this.#waiting.length >= DATAGRAM_QUEUE_MAX) this.counters.overflow++;
    else {
      this.#waiting.push([data, from, multicast]);
      this.#drainSoon();
    }
  }

  /** Hands on nothing more. */
  close(): void {
    this.#closed = true;
    this.#waiting = [];
  }

  #drainSoon(): void {
    if (this.#draining) return;
    this.#draining = true;
    setImmediate(() => {
      this.#draining = false;
      const slice = this.#waiting.splice(0, SLICE);
      if (this.#waiting.length > 0) this.#drainSoon();
      for (const datagram of slice) {
        if (this.#closed) return;
        this.#onDatagram(...datagram);
      }
    });
  }
}
