/**
 * Fellows: those who receive the same parcel, as its sender told, each in its own signed words.
 *
 * Owns who they are. Always true: at most SEND_TO_MAX of them, each once; no more than FELLOWS_CHECKED_MAX words about them are
 * looked at, and each leads to one address at most, where its own port is. Called by what receives the parcel.
 */
import { toldAddresses } from '../endpoint.js';
import { keyPart, type PeerId } from '../ids.js';
import { FELLOWS_CHECKED_MAX, SEND_TO_MAX } from '../limits.js';
import { verifySignature } from '../net/keys.js';
import { headStatement, readHead } from '../wire/head.js';
import type { Neighbour } from '../wire/table.js';

export class Fellows {
  readonly #own: PeerId;
  readonly #sender: PeerId;
  /** By the keys of those who hold them. */
  readonly #fellows = new Map<string, { id: PeerId; neighbour: Neighbour }>();
  /** The keys of all who receive it, this peer among them, in an order that is the same for all. */
  #order: string[];
  readonly #hooks = new Set<(peer: PeerId) => void>();
  #checked = 0;

  constructor(own: PeerId, sender: PeerId) {
    this.#own = own;
    this.#sender = sender;
    this.#order = [keyPart(own)];
  }

  get size(): number {
    return this.#fellows.size;
  }

  ids(): PeerId[] {
    return [...this.#fellows.values()].map(({ id }) => id);
  }

  has(peer: PeerId): boolean {
    return this.#fellows.has(keyPart(peer));
  }

  /** Where one was seen by the sender. */
  neighbour(peer: PeerId): Neighbour | undefined {
    return this.#fellows.get(keyPart(peer))?.neighbour;
  }

  /**
   * The sender tells of some. What does not hold, or is too much, is passed over.
   * @param isNear whether the sender is on this host
   */
  add(neighbours: readonly Neighbour[], isNear: boolean): void {
    for (const told of neighbours) {
      if (this.#checked++ >= FELLOWS_CHECKED_MAX) return;
      const known = ownerOf(told);
      if (!known) continue;
      const { id, port } = known;
      const neighbour = { ...told, addresses: toldAddresses(told.addresses, port, isNear).slice(0, 1) };
      const key = keyPart(id);
      const isNews = !this.#fellows.has(key);
      if (key === keyPart(this.#own) || key === keyPart(this.#sender)) continue;
      if (isNews && this.#fellows.size >= SEND_TO_MAX) continue;
      this.#fellows.set(key, { id, neighbour });
      if (!isNews) continue;
      this.#order = [keyPart(this.#own), ...this.#fellows.keys()].sort();
      for (const hook of this.#hooks) hook(id);
    }
  }

  /** Calls back for each who is told of from now on; the returned function ends it. */
  hook(then: (peer: PeerId) => void): () => void {
    this.#hooks.add(then);
    return () => {
      this.#hooks.delete(then);
    };
  }

  /**
   * Whether a chunk is one that another of them fetches from the sender first: so the sender gives each away once, and they have
   * the rest of each other.
   */
  isOthers(chunk: number): boolean {
    return this.#order[chunk % this.#order.length] !== keyPart(this.#own);
  }
}

/** Whose words they are, where they are his. */
function ownerOf({ head, sig }: Neighbour): { id: PeerId; port: number } | undefined {
  try {
    const { id, key, port } = readHead(head);
    return verifySignature(key, headStatement(head), sig) ? { id, port } : undefined;
  } catch {
    return undefined;
  }
}
