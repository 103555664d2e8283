/**
 * The doorway: connections from outside that have not proved who they are.
 *
 * Owns them until they have, or are turned away. Always true: at most HALF_OPEN_MAX stand in it, and at most
 * HALF_OPEN_PER_ADDRESS_MAX of one address; where it is full, the one that has waited longest leaves, of the address that has
 * most in it. So who only holds doors open pushes out its own, and who shakes hands at once, which takes milliseconds, gets in.
 * Called by Links.
 */
import type { Socket } from 'node:net';
import { HALF_OPEN_MAX, HALF_OPEN_PER_ADDRESS_MAX } from '../limits.js';

export class Doorway {
  /** By address, those who have waited longest first. */
  readonly #waiting = new Map<string, Set<Socket>>();
  #size = 0;

  /** How many stand in it. */
  get size(): number {
    return this.#size;
  }

  /** Takes a connection in; where there is no room, another is destroyed. It leaves by `leave`, or as it closes. */
  enter(socket: Socket, address: string): void {
    if ((this.#waiting.get(address)?.size ?? 0) >= HALF_OPEN_PER_ADDRESS_MAX) this.#turnAway(address);
    else if (this.#size >= HALF_OPEN_MAX) this.#turnAway(this.#fullest());
    // The set may have left with its last.
    const waiting = this.#waiting.get(address) ?? new Set();
    this.#waiting.set(address, waiting);
    waiting.add(socket);
    this.#size++;
    socket.once('close', () => this.leave(socket, address));
  }

  /** It has shaken hands, or has gone. */
  leave(socket: Socket, address: string): void {
    const waiting = this.#waiting.get(address);
    if (!waiting?.delete(socket)) return;
    this.#size--;
    if (waiting.size === 0) this.#waiting.delete(address);
  }

  /** Destroys all. */
  clear(): void {
    for (const waiting of this.#waiting.values()) for (const socket of waiting) socket.destroy();
    this.#waiting.clear();
    this.#size = 0;
  }

  #turnAway(address: string): void {
    const oldest = this.#waiting.get(address)?.values().next().value;
    if (!oldest) return;
    this.leave(oldest, address);
    oldest.destroy();
  }

  #fullest(): string {
    let fullest = '';
    let most = 0;
    for (const [address, { size }] of this.#waiting) {
      if (size <= most) continue;
      fullest = address;
      most = size;
    }
    return fullest;
  }
}
