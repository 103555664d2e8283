/**
 * Who receives what of us, so that receivers of one content can be told of each other.
 *
 * Owns the open transfers by content id. Always true: a peer is told only of others that have a transfer of the same
 * content open now; however many come, one telling costs SWARM_TOLD_MAX messages of as many peers at most. Called by the server.
 */
import { formatEndpoint } from '../endpoint.js';
import { SWARM_TOLD_MAX } from '../limits.js';
import type { Link } from '../net/link.js';
import type { Neighbour } from '../wire/table.js';

/** Receivers that come within so many ms of each other are told of in one message. */
const GATHER_MS = 20;

/** The receivers of one content. */
interface Swarm {
  /** The numbers of each one's transfers, those that came last at the end. */
  members: Map<Link, Set<number>>;
  /** Those of whom the others have not been told. */
  fresh: Set<Link>;
  timer: NodeJS.Timeout | undefined;
}

export class Swarms {
  readonly #swarms = new Map<string, Swarm>();

  /** Contents that somebody receives. */
  get size(): number {
    return this.#swarms.size;
  }

  /** A receiver opened a transfer; the returned function ends its membership. */
  join(id: string, link: Link, number: number): () => void {
    let swarm = this.#swarms.get(id);
    if (!swarm) {
      swarm = { members: new Map(), fresh: new Set(), timer: undefined };
      this.#swarms.set(id, swarm);
    }
    const { members, fresh } = swarm;
    const numbers = members.get(link) ?? new Set();
    numbers.add(number);
    if (numbers.size === 1) {
      members.set(link, numbers);
      fresh.add(link);
      if (members.size > 1) swarm.timer ??= setTimeout(() => this.#tellFresh(id), GATHER_MS);
    }
    return () => {
      numbers.delete(number);
      if (numbers.size > 0 || members.get(link) !== numbers) return;
      members.delete(link);
      fresh.delete(link);
      if (members.size > 0) return;
      clearTimeout(swarm.timer);
      if (this.#swarms.get(id) === swarm) this.#swarms.delete(id);
    };
  }

  /** Tells one who asks for a content of those who receive it now, the latest of them. */
  tell(id: string, link: Link, number: number): void {
    const members = this.#swarms.get(id)?.members;
    if (members) say(link, number, latest(members));
  }

  #tellFresh(id: string): void {
    const swarm = this.#swarms.get(id);
    if (!swarm) return;
    const { members, fresh } = swarm;
    swarm.timer = undefined;
    const news = [...fresh].slice(0, SWARM_TOLD_MAX);
    // The newest are at the end of both, so that they are told of each other.
    for (const link of latest(members)) say(link, lastOf(members.get(link)), news);
    for (const link of news) fresh.delete(link);
    if (fresh.size > 0) swarm.timer = setTimeout(() => this.#tellFresh(id), GATHER_MS);
  }

  stop(): void {
    for (const { timer } of this.#swarms.values()) clearTimeout(timer);
    this.#swarms.clear();
  }
}

function latest(members: ReadonlyMap<Link, unknown>): Link[] {
  return [...members.keys()].slice(-SWARM_TOLD_MAX);
}

function lastOf(numbers: ReadonlySet<number> | undefined): number {
  return [...(numbers ?? [])].at(-1) ?? 0;
}

function say(link: Link, number: number, receivers: readonly Link[]): void {
  const peers: Neighbour[] = receivers
    .filter((other) => other !== link && other.head.port > 0)
    .map(({ packedHead: head, sig, address }) => ({ head, sig, addresses: [formatEndpoint(address)] }));
  if (peers.length > 0 && link.writable) link.send({ type: 'W', number, peers });
}
