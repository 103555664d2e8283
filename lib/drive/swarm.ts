/**
 * Who receives what of us, so that receivers of one content can be told of each other.
 *
 * Owns the open transfers by content id. Always true: a peer is told only of others that have a transfer of the same
 * content open now. Called by the server.
 */
import { formatEndpoint } from '../endpoint.js';
import { SWARM_TOLD_MAX } from '../limits.js';
import type { Link } from '../net/link.js';

/** Receivers that come within so many ms of each other are told of in one message. */
const GATHER_MS = 20;

interface Member {
  link: Link;
  number: number;
}

export class Swarms {
  readonly #members = new Map<string, Set<Member>>();
  readonly #timers = new Map<string, NodeJS.Timeout>();

  /** A receiver opened a transfer; the returned function ends its membership. */
  join(id: string, link: Link, number: number): () => void {
    let members = this.#members.get(id);
    if (!members) {
      members = new Set();
      this.#members.set(id, members);
    }
    const member = { link, number };
    members.add(member);
    if (members.size > 1) this.#tellSoon(id);
    return () => {
      members.delete(member);
      if (members.size === 0 && this.#members.get(id) === members) this.#members.delete(id);
    };
  }

  /** Tells one who asks for a content of those who receive it now. */
  tell(id: string, link: Link, number: number): void {
    const peers = [...(this.#members.get(id) ?? [])]
      .filter((m) => m.link !== link && m.link.head.port > 0)
      .slice(-SWARM_TOLD_MAX)
      .map(({ link: { packedHead: head, sig, address } }) => ({ head, sig, addresses: [formatEndpoint(address)] }));
    if (peers.length > 0) link.send({ type: 'W', number, peers });
  }

  #tellSoon(id: string): void {
    if (this.#timers.has(id)) return;
    const timer = setTimeout(() => {
      this.#timers.delete(id);
      for (const { link, number } of this.#members.get(id) ?? []) this.tell(id, link, number);
    }, GATHER_MS);
    this.#timers.set(id, timer);
  }

  stop(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    this.#members.clear();
  }
}
