/**
 * Asides: what is shared with some only, told to them and to nobody else.
 *
 * Owns the links over which it is told and up to where, and the redialling of those it is for. Always true: only a peer
 * that has proved a key which a share is for is told of it; each link is told everything once, in order, as fast as it
 * reads; a live peer that a share is for is connected, or dialled again and again. Called by the peer, with what is
 * heard of peers, links and own files; asked by all who answer others.
 */
import type { PeerName, ShareEvent } from '../api.js';
import type { Millis } from '../clock.js';
import type { Gossip } from '../gossip/gossip.js';
import { backoff } from '../gossip/pace.js';
import type { PeerId } from '../ids.js';
import type { Link } from '../net/link.js';
import type { Links } from '../net/links.js';
import type { Known } from '../share/known.js';
import type { CatalogueChange } from '../share/tree.js';
import { Allowed, type Limited } from './allowed.js';
import { type Gossiper, now } from './gossiper.js';
import { pump } from './pump.js';
import type { Reach } from './reach.js';

export interface AsidesOptions {
  /** This peer's own. */
  id: PeerId;
  /** The shares that are for some only. */
  shares: readonly Limited[];
  known: Known;
  gossip: Gossip;
  /** Who is here, those too of whom a tracker told. */
  here: { peer(id: PeerId): PeerName | undefined; peers(): Iterable<PeerName> };
  gossiper: Gossiper;
  reach: Reach;
  links: Links;
  tell(event: ShareEvent): void;
}

/** Dialling one again that is here and not connected: at first after so long, then doubled up to the second. */
const DIAL_FIRST: Millis = 1000;
const DIAL_MOST: Millis = 30_000;

interface Telling {
  /** The shares that it is told of. */
  shares: ReadonlySet<string>;
  /** The version up to which it was told. */
  version: number | undefined;
  running: boolean;
}

interface Dial {
  failures: number;
  /** Undefined while it is being dialled. */
  timer: NodeJS.Timeout | undefined;
}

/** The share that a path belongs to. */
export function shareOf(path: string): string {
  const slash = path.indexOf('/');
  return slash < 0 ? path : path.slice(0, slash);
}

export class Asides {
  readonly #options: AsidesOptions;
  readonly #allowed: Allowed;
  readonly #telling = new Map<Link, Telling>();
  /** Links of one-shots that follow. */
  readonly #following = new WeakSet<Link>();
  readonly #dials = new Map<PeerId, Dial>();
  #undecided: (() => void)[] = [];
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: AsidesOptions) {
    this.#options = options;
    this.#allowed = new Allowed(options.shares, options.known, options.id);
  }

  /** Whose they are. */
  get writer(): PeerId {
    return this.#options.id;
  }

  /** Names in `--for` that are tied to nobody yet. */
  waiting(): string[] {
    return this.#allowed.waiting();
  }

  /** Names and ids that shares are for. */
  names(): string[] {
    return this.#allowed.names();
  }

  /**
   * From now on these are the shares that are for some only. To be called before anything is offered of one that is new, and
   * after all of one that goes was withdrawn.
   */
  limit(shares: readonly Limited[]): void {
    const { here, links, id } = this.#options;
    this.#allowed.set(shares);
    for (const peer of here.peers()) if (peer.id !== id) this.#allowed.seen(peer, now());
    for (const link of links.all) this.#allowed.seen({ id: link.peer, name: link.head.name }, now());
    this.#decide();
    for (const link of links.all) this.#tell(link);
    for (const peer of here.peers()) this.#reach(peer.id);
  }

  /** Own files changed: each is told to everyone, or only to those it is for. */
  offers(changes: CatalogueChange[]): void {
    const { gossiper } = this.#options;
    if (!this.#allowed.any) {
      gossiper.offers(changes);
      return;
    }
    const isAside = ({ path }: CatalogueChange) => this.#allowed.isLimited(shareOf(path));
    const asides = changes.filter(isAside);
    const others = changes.filter((change) => !isAside(change));
    if (others.length > 0) gossiper.offers(others);
    if (asides.length === 0) return;
    gossiper.dispatch({ kind: 'asides', changes: asides });
    for (const link of this.#telling.keys()) this.#tell(link);
  }

  /** Whether a path of this peer's own may be seen by another: it is for everyone, or for that one. */
  sees(peer: PeerId, path: string): boolean {
    const share = shareOf(path);
    return !this.#allowed.isLimited(share) || this.#allowed.shares(peer).has(share);
  }

  /** Whether any of what is for some only is for a peer. */
  seesAny(peer: PeerId): boolean {
    return this.#allowed.shares(peer).size > 0;
  }

  /** Resolves as soon as it is clear whether one who bears an awaited name is the one who is meant: in a second at most. */
  async decided(peer: PeerId): Promise<void> {
    while (!this.#stopped && this.#allowed.isUndecided(peer)) {
      await new Promise<void>((resolve) => {
        this.#undecided.push(resolve);
      });
    }
  }

  /** Whether the link is kept although nobody uses it: something may have to be told over it any moment. */
  needs(link: Link): boolean {
    return this.#telling.has(link);
  }

  came(peer: PeerName): void {
    this.#allowed.seen(peer, now());
    this.#decide();
    const link = this.#options.links.get(peer.id);
    if (link) this.#tell(link);
    else this.#reach(peer.id);
  }

  left({ id }: PeerName): void {
    if (!this.#options.links.get(id)) this.#allowed.gone(id);
    this.#giveUp(id);
  }

  /** After gossip knows of the link. */
  opened(link: Link): void {
    this.#giveUp(link.peer);
    this.#allowed.seen({ id: link.peer, name: link.head.name }, now());
    this.#decide();
    this.#tell(link);
  }

  closed(link: Link): void {
    const { here, links } = this.#options;
    this.#telling.delete(link);
    if (links.get(link.peer)) return;
    if (!here.peer(link.peer)) this.#allowed.gone(link.peer);
    else this.#later(link.peer, { failures: 0, timer: undefined });
  }

  /** Someone asks over a link for all that is mine: one that is not listed does so to follow. */
  asked(link: Link): void {
    this.#following.add(link);
    this.#tell(link);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    for (const { timer } of this.#dials.values()) clearTimeout(timer);
    this.#dials.clear();
    this.#telling.clear();
    for (const done of this.#undecided.splice(0)) done();
  }

  /** Looks whom the awaited names belong to by now. */
  #decide(): void {
    clearTimeout(this.#timer);
    if (this.#stopped) return;
    const { tell, here, links } = this.#options;
    const { tied, warnings, next } = this.#allowed.decide(now());
    for (const message of warnings) tell({ event: 'warning', message });
    for (const { name, peer, shares } of tied) tell({ event: 'allowed', name, peer, shares });
    if (next !== undefined) this.#timer = setTimeout(() => this.#decide(), Math.max(1, next - now()));
    for (const done of this.#undecided.splice(0)) done();
    if (tied.length === 0) return;
    for (const link of links.all) this.#tell(link);
    for (const { id } of here.peers()) this.#reach(id);
  }

  /** Sees to it that one that is here and that a share is for is connected. */
  #reach(peer: PeerId): void {
    const { here, reach, links } = this.#options;
    if (this.#stopped || peer === this.#options.id || this.#dials.has(peer) || links.get(peer)) return;
    if (this.#allowed.shares(peer).size === 0 || !here.peer(peer)) return;
    const dial: Dial = { failures: 0, timer: undefined };
    this.#dials.set(peer, dial);
    const attempt = () => {
      dial.timer = undefined;
      reach.connect(peer).then(
        () => this.#dials.delete(peer),
        () => {
          if (this.#dials.get(peer) === dial) this.#later(peer, dial, attempt);
        },
      );
    };
    attempt();
  }

  #later(peer: PeerId, dial: Dial, attempt?: () => void): void {
    if (this.#stopped || this.#allowed.shares(peer).size === 0) return;
    this.#dials.set(peer, dial);
    const wait = backoff(dial.failures++, DIAL_FIRST, DIAL_MOST);
    dial.timer = setTimeout(() => {
      if (attempt) attempt();
      else if (this.#dials.delete(peer)) this.#reach(peer);
    }, wait);
  }

  #giveUp(peer: PeerId): void {
    clearTimeout(this.#dials.get(peer)?.timer);
    this.#dials.delete(peer);
  }

  /** Tells a link what it was not told yet, where it is to be told anything at all. */
  #tell(link: Link): void {
    const { gossip } = this.#options;
    if (this.#stopped || !(gossip.peer(link.peer) || this.#following.has(link))) return;
    const shares = this.#allowed.shares(link.peer);
    let telling = this.#telling.get(link);
    if (!telling) {
      if (shares.size === 0 || !link.open) return;
      telling = { shares, version: undefined, running: false };
      this.#telling.set(link, telling);
    } else if (telling.shares !== shares) {
      telling.shares = shares;
      telling.version = undefined;
    }
    if (telling.running) return;
    void this.#run(link, telling);
  }

  async #run(link: Link, telling: Telling): Promise<void> {
    const { gossip, links } = this.#options;
    telling.running = true;
    while (link.open && links.get(link.peer) === link && telling.version !== gossip.asidesVersion) {
      const { shares } = telling;
      const told = gossip.asides(telling.version, (path) => shares.has(shareOf(path)));
      telling.version = told.version;
      await pump(link, told.pages);
    }
    telling.running = false;
  }
}
