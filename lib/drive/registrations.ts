/**
 * What becomes of the registry's news: people are told who comes and goes, those who follow are told what changes.
 *
 * Owns what was told of each peer last, and which peers are trackers that serve the same registry. Always true: nothing is kept
 * of one who is registered no more. Called by the tracker.
 */
import type { RegisteredRow, ShareEvent } from '../api.js';
import type { PeerId } from '../ids.js';
import { CONTROL_PEERS_MAX, TRACKERS_TOLD_MAX } from '../limits.js';
import type { Registered, RegistryEffect } from '../tracker/events.js';
import type { Told } from '../tracker/follow.js';
import { neighbourOf } from '../tracker/pages.js';
import { readHead, TRACKER } from '../wire/head.js';
import type { Neighbour } from '../wire/table.js';

/** What the registry tells to people and to those who follow. */
export type RegistryNews = Extract<RegistryEffect, { kind: 'came' | 'changed' | 'departed' | 'offers' | 'holding' }>;

export interface RegistrationsOptions {
  /** This peer's own id. */
  id: PeerId;
  tell(event: ShareEvent): void;
  /** For those who follow. */
  note(change: Told): void;
}

/** Where a peer can be reached, else where it was seen. */
function addressesOf({ reachable, seen }: Registered): string[] {
  return reachable.length > 0 ? [...reachable] : [seen];
}

/** Those who are registered, for a person: without this peer itself, and of very many the first. */
export function rowsOf(peers: Iterable<Registered>, own: PeerId): RegisteredRow[] {
  const rows: RegisteredRow[] = [];
  for (const peer of peers) {
    if (peer.id === own) continue;
    const { id, name, reachable, since } = peer;
    const { files, bytes } = readHead(peer.head);
    rows.push({ id, name, addresses: addressesOf(peer), reachable: reachable.length > 0, since, files, bytes });
    if (rows.length === CONTROL_PEERS_MAX) break;
  }
  return rows;
}

export class Registrations {
  readonly #options: RegistrationsOptions;
  /** Where each peer could be reached when it was told of last. */
  readonly #reachable = new Map<PeerId, string>();
  /** Others that serve the same registry. */
  readonly #trackers = new Map<PeerId, Registered>();

  constructor(options: RegistrationsOptions) {
    this.#options = options;
  }

  /** Some of the others that serve the same registry. @param local whether the one who is told is on this host */
  trackers(local: boolean): Neighbour[] {
    return [...this.#trackers.values()].slice(0, TRACKERS_TOLD_MAX).map((peer) => neighbourOf(peer, local));
  }

  take(news: RegistryNews): void {
    const { note } = this.#options;
    switch (news.kind) {
      case 'came':
        this.#seen(news.peer);
        note({ kind: 'peer', peer: news.peer, moved: true });
        this.#tell(news.peer, { change: 'registered' });
        return;
      case 'changed':
        note({ kind: 'peer', peer: news.peer, moved: this.#seen(news.peer) });
        return;
      case 'departed':
        this.#reachable.delete(news.peer.id);
        this.#trackers.delete(news.peer.id);
        note({ kind: 'gone', peer: news.peer });
        this.#tell(news.peer, { change: 'departed', why: news.why });
        return;
      case 'offers':
        for (const change of news.changes) note({ kind: 'offer', change });
        return;
      case 'holding':
        note({ kind: 'holding', holding: news.holding });
        return;
    }
  }

  #tell(peer: Registered, what: Pick<Extract<ShareEvent, { event: 'registration' }>, 'change' | 'why'>): void {
    const { id, name } = peer;
    if (id === this.#options.id) return;
    this.#options.tell({ event: 'registration', ...what, id, name, addresses: addressesOf(peer) });
  }

  /** @returns whether it can be reached elsewhere than when it was told of last */
  #seen(peer: Registered): boolean {
    const { id, reachable, homes, head } = peer;
    // A tracker of this registry holds itself in it.
    const isTracker = id !== this.#options.id && homes.includes(id) && (readHead(head).flags & TRACKER) !== 0;
    if (isTracker) this.#trackers.set(id, peer);
    else this.#trackers.delete(id);
    const addresses = reachable.join(' ');
    if (this.#reachable.get(id) === addresses) return false;
    this.#reachable.set(id, addresses);
    return true;
  }
}
