/**
 * Rivals: two processes that run with copies of one key, so that a second connection proves the id of one that is there.
 *
 * Owns which connections are being asked whether they are alive. Always true: one that answers keeps its place; one newcomer of an
 * id waits at a time, for RIVAL_MS at most, which is how long a peer that was restarted, and whose old connection nobody has seen
 * break, needs to come back. Called by Links.
 */
import type { PeerId } from '../ids.js';
import type { Link } from './link.js';

/** How long the one that is there may take to say anything, ms. */
const RIVAL_MS = 2000;

export class Rivals {
  readonly #asked = new Map<PeerId, { newcomer: Uint8Array; stays: Promise<boolean> }>();

  /**
   * Whether the one that is there stays.
   * @param newcomer the other one's process
   */
  async stays(first: Link, newcomer: Uint8Array): Promise<boolean> {
    const asked = this.#asked.get(first.peer);
    // The same newcomer may come by several addresses.
    if (asked) return isSame(asked.newcomer, newcomer) ? asked.stays : true;
    const stays = first.answers(RIVAL_MS);
    this.#asked.set(first.peer, { newcomer, stays });
    try {
      return await stays;
    } finally {
      this.#asked.delete(first.peer);
    }
  }
}

/** Whether two connections are of one process. */
export function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}
