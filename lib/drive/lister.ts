/**
 * The lister: what is here, once or as it changes, after those who know were asked.
 *
 * Owns the views of those who follow by themselves. Always true: a one-shot that does not follow asks those who are here; what follows
 * is listened to before the first look, so that nothing falls between. Called by the peer.
 */
import type { FollowEvent, Listing, ListingPart, ListQuery, PeerName } from '../api.js';
import type { PeerInfo } from '../gossip/events.js';
import type { Gossip } from '../gossip/gossip.js';
import type { PeerId } from '../ids.js';
import { LOOKUP } from '../tracker/events.js';
import type { Asker, Question } from './asker.js';
import { Changes } from './changes.js';
import type { News } from './gossiper.js';
import { followEvent, listing, matcher, questionOf } from './listing.js';
import { lookUpPeers } from './lookup.js';
import { resting } from './resting.js';
import type { Trackers } from './trackers.js';
import { View } from './view.js';

/** How long those who follow wait for all that trackers know until now, ms. */
const FOLLOW_MS = 3000;

/** What is asked when only peers are wanted. */
const PEERS: Question = { kind: LOOKUP.peers, text: '' };

export interface ListerOptions {
  gossip: Gossip;
  trackers: Trackers;
  asker: Asker;
  view: View;
  /** A one-shot, which knows only what it asks for, or follows. */
  passive: boolean;
  follow: boolean;
  /** For how long others are waited for, ms. */
  wait(): number;
  nameOf(peer: PeerId): PeerName;
  whyNobody(): string;
  /** Ends what follows: the peer is stopping. */
  signal: AbortSignal;
}

export class Lister {
  readonly #options: ListerOptions;
  readonly #views = new Set<View>();

  constructor(options: ListerOptions) {
    this.#options = options;
  }

  /** What gossip tells. */
  news(news: News): void {
    for (const view of this.#views) view.news(news);
  }

  /** Whether this is a one-shot that asks those who are here; one that follows pulls whole indexes instead. */
  get asksAround(): boolean {
    return this.#options.passive && !this.#options.follow;
  }

  /** Asks those who are here, where this peer does not know by itself. */
  async askPeers(questions: Question[]): Promise<void> {
    if (this.asksAround) await this.#options.asker.ask(questions, this.#options.wait());
  }

  /**
   * A one-shot knows only what it asks for; a long-lived peer knows already, but for large registries, which it asks.
   * @returns what there is, with the answers of trackers
   */
  async learn(questions: Question[], signal?: AbortSignal): Promise<View> {
    const { passive, wait, trackers, asker, view } = this.#options;
    const asking = trackers.ask(questions, (peer) => {
      // One that was named, and is not heard itself, is asked itself.
      if (this.asksAround && questions.some(({ from }) => from)) asker.came(peer);
    });
    try {
      if (passive) await asker.ask(this.asksAround ? questions : [], wait(), signal, asking);
      else await asking.done(signal);
    } finally {
      asking.end();
    }
    return view.with(asking.directory);
  }

  /** Who is here. */
  async peers(): Promise<PeerInfo[]> {
    return (await this.learn([PEERS])).peers();
  }

  /** All of a listing. */
  async list(query: ListQuery): Promise<Listing> {
    const listing: Listing = { files: [], away: [] };
    for await (const { files, away, more } of this.listing(query, this.#options.signal)) {
      for (const row of files) listing.files.push(row);
      if (away) listing.away = away;
      if (more) listing.more = more;
    }
    return listing;
  }

  async *listing(query: ListQuery, signal: AbortSignal): AsyncGenerator<ListingPart> {
    const view = await this.learn([questionOf(query)], signal);
    const peers = view.peers();
    const nobody = peers.every(({ self }) => self) ? this.#options.whyNobody() : undefined;
    const from = lookUpPeers(query.from ?? [], peers, nobody);
    const names = new Map(peers.map((peer) => [peer.id, peer]));
    const nameOf = (p: PeerId) => names.get(p) ?? this.#options.nameOf(p);
    yield { files: [], away: from.away };
    for await (const { files, more } of resting(listing(view.listed, query, query.from && from.ids, nameOf))) {
      signal.throwIfAborted();
      yield more > 0 ? { files, more } : { files };
    }
  }

  async *follow(query: ListQuery, signal: AbortSignal): AsyncGenerator<FollowEvent> {
    const { gossip, trackers, nameOf } = this.#options;
    matcher(query, undefined);
    const followed = new Changes();
    // Trackers tell of what fits alone, whatever else is copied of them here.
    const { kind, text } = questionOf(query);
    const watch = trackers.watch(kind, text, (told) => view.told(told));
    const view: View = new View(gossip, watch.directory, undefined, {
      change: (change) => followed.push(change),
      peer: () => {},
    });
    const changes = followed.listen(AbortSignal.any([signal, this.#options.signal]));
    this.#views.add(view);
    try {
      const here = await this.learn(query.from ? [{ ...PEERS, from: query.from }] : []);
      await watch.ready(FOLLOW_MS, signal);
      const from = query.from ? lookUpPeers(query.from, here.peers()).ids : undefined;
      const fits = matcher(query, from);
      const shown = new Set<string>();
      const { words, ...all } = query;
      for await (const { files } of resting(listing(view.listed, all, from, nameOf))) {
        for (const row of files) {
          if (words && !fits({ path: row.path, peer: row.peers[0].id })) continue;
          for (const { id } of row.peers) shown.add(`${id} ${row.path}`);
          yield { event: 'added', ...row };
        }
      }
      for await (const change of changes) {
        if (!fits(change.offer)) continue;
        const key = `${change.offer.peer} ${change.offer.path}`;
        const event = followEvent(change, nameOf);
        // What was listed already came in while the list was made.
        if (!event || (event.event === 'added' && shown.delete(key))) continue;
        shown.delete(key);
        yield event;
      }
    } finally {
      this.#views.delete(view);
      view.end();
      watch.end();
    }
  }
}
