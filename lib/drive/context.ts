import type { PeerName } from '../api.js';
import type { Random } from '../clock.js';
import type { PeerId } from '../ids.js';
import type { Link } from '../net/link.js';
import type { Holding } from '../tracker/events.js';
import type { Neighbour } from '../wire/table.js';
import type { Limiter } from './limiter.js';
import type { Found } from './offered.js';
import type { Requests } from './requests.js';

/** What a fetch needs of the peer that it runs in. */
export interface FetchContext {
  readonly requests: Requests;
  readonly random: Random;
  /** The limit on all that this peer fetches. */
  readonly limiter: Limiter;
  /** The link to a peer, dialled (or called for) where there is none. @throws HearsayError `unreachable` */
  connect(peer: PeerId): Promise<Link>;
  /** The link to a peer that another told of; undefined where its words do not hold or it cannot be reached. */
  meet(neighbour: Neighbour): Promise<Link | undefined>;
  nameOf(peer: PeerId): PeerName;
  /** Whether a peer is here, as far as gossip knows: it has neither said goodbye nor fallen silent. */
  isHere(peer: PeerId): boolean;
  /** Whether none of these peers, of which there is one at least, offers a path to everyone: nobody else is told of it then. */
  isAside(path: string, peers: readonly PeerId[]): boolean;
  /** Peers that offer this content now, other than this one. */
  holders(id: string): PeerId[];
  /** Peers that receive this content now and have chunks of it to give, as trackers tell. */
  receivers(id: string): Promise<Holding[]>;
  /**
   * Calls back for each other peer that turns out to have this content, under whatever name; a one-shot, which knows only
   * what it asked for, asks around. `receives`: it offers nothing, but has chunks to give. The returned function ends it.
   */
  seek(id: string, then: (peer: PeerId, receives: boolean) => void): () => void;
  /** Calls back when the content id of a peer's file becomes known; the returned function ends it. */
  whenHashed(peer: PeerId, path: string, then: (id: string) => void): () => void;
  /** Lets others fetch from what is here of a file while it is received; the returned object ends it. */
  serveOnward(id: string, found: Found): Onward;
}

export interface Onward {
  /** These chunks are here now too. */
  have(chunks: number[]): void;
  end(): void;
}
