/**
 * The doorway: connections from outside that have not proved who they are.
 *
 * Owns them until they have, or are turned away. Always true: at most HALF_OPEN_MAX stand in it, and at most
 * HALF_OPEN_PER_ADDRESS_MAX of one address; where it is full, the one that has waited longest leaves, of the address that has
 * most in it. So who only holds doors open pushes out its own, and who shakes hands at once, which takes milliseconds, gets in.
 * A handshake costs us more than its first bytes cost a stranger: at most HANDSHAKES_PER_SECOND are begun, addresses in turn, and
 * none for one that says nothing. Called by Links.
 */
import type { Socket } from 'node:net';
import { HearsayError } from '../errors.js';
import { FairQueue } from '../fair-queue.js';
import { TokenBucket } from '../gossip/pace.js';
import { HALF_OPEN_MAX, HALF_OPEN_PER_ADDRESS_MAX, HANDSHAKES_PER_SECOND } from '../limits.js';

/** How long it is until the next handshakes of those that wait may begin, ms. */
const TURN_MS = 10;

/** Who waits for its turn. */
interface Guest {
  socket: Socket;
  begin(): void;
}

export class Doorway {
  readonly #most: number;
  readonly #mostOfOne: number;
  readonly #tokens: TokenBucket;
  /** By address, those who have waited longest first. */
  readonly #inside = new Map<string, Set<Socket>>();
  #size = 0;
  /** By address. */
  readonly #waiting = new FairQueue<Guest>();
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param most that stand in it
   * @param mostOfOne of one address
   * @param perSecond handshakes begun in a second
   */
  constructor(most = HALF_OPEN_MAX, mostOfOne = HALF_OPEN_PER_ADDRESS_MAX, perSecond = HANDSHAKES_PER_SECOND) {
    this.#most = most;
    this.#mostOfOne = mostOfOne;
    this.#tokens = new TokenBucket(perSecond);
  }

  /** How many stand in it. */
  get size(): number {
    return this.#size;
  }

  /** Takes a connection in; where there is no room, another is destroyed. It leaves by `leave`, or as it closes. */
  enter(socket: Socket, address: string): void {
    if ((this.#inside.get(address)?.size ?? 0) >= this.#mostOfOne) this.#turnAway(address);
    else if (this.#size >= this.#most) this.#turnAway(this.#fullest());
    // The set may have left with its last.
    const inside = this.#inside.get(address) ?? new Set();
    this.#inside.set(address, inside);
    inside.add(socket);
    this.#size++;
    socket.once('close', () => this.leave(socket, address));
  }

  /**
   * Resolves when the handshake of one that stands here may begin: once it has said something, in its turn.
   * @throws HearsayError `unreachable` where it went before
   */
  turn(socket: Socket, address: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const guest: Guest = {
        socket,
        begin: () => {
          socket.removeListener('close', gone);
          resolve();
        },
      };
      const gone = () => {
        this.#waiting.remove(address, guest);
        reject(new HearsayError('unreachable', 'the connection was closed during the handshake'));
      };
      socket.once('close', gone);
      socket.once('readable', () => {
        // It ended without a word.
        if (socket.readableLength === 0) socket.destroy();
        if (socket.destroyed) return;
        this.#waiting.add(address, guest);
        if (!this.#timer) this.#fill();
      });
    });
  }

  /** It has shaken hands, or has gone. */
  leave(socket: Socket, address: string): void {
    const inside = this.#inside.get(address);
    if (!inside?.delete(socket)) return;
    this.#size--;
    if (inside.size === 0) this.#inside.delete(address);
  }

  /** Destroys all. */
  clear(): void {
    clearTimeout(this.#timer);
    for (const inside of this.#inside.values()) for (const socket of inside) socket.destroy();
    this.#inside.clear();
    this.#waiting.clear();
    this.#size = 0;
  }

  /** Lets begin as many as may now; the rest in a moment. */
  #fill(): void {
    this.#timer = undefined;
    while (this.#waiting.size > 0) {
      if (!this.#tokens.take(performance.now())) {
        this.#timer = setTimeout(() => this.#fill(), TURN_MS);
        return;
      }
      this.#waiting.take()?.begin();
    }
  }

  #turnAway(address: string): void {
    const oldest = this.#inside.get(address)?.values().next().value;
    if (!oldest) return;
    this.leave(oldest, address);
    oldest.destroy();
  }

  #fullest(): string {
    let fullest = '';
    let most = 0;
    for (const [address, { size }] of this.#inside) {
      if (size <= most) continue;
      fullest = address;
      most = size;
    }
    return fullest;
  }
}
