/**
 * Reach: how a link to a peer comes about, whoever can dial whom.
 *
 * Owns the attempts under way, and why a peer could not be reached lately. Always true: each way is tried in its turn, the
 * cheapest first: its addresses; then it is asked to dial us, by multicast and through trackers; then a peer that both
 * reach passes bytes on. A way that is known to lead nowhere is left out. Somebody's wish that we dial is a hint: it is followed
 * a few times a second, and to addresses that are plain and not this host's. Called by whoever needs a link.
 */
import type { PeerName } from '../api.js';
import type { Millis } from '../clock.js';
import { isLoopback, toldAddresses } from '../endpoint.js';
import { asHearsayError, HearsayError } from '../errors.js';
import type { Gossip } from '../gossip/gossip.js';
import { isNear } from '../gossip/ladder.js';
import { TokenBucket } from '../gossip/pace.js';
import type { PeerId } from '../ids.js';
import { Latest } from '../latest.js';
import { DIAL_BACKS_PER_PEER_MAX, PEERS_MAX } from '../limits.js';
import { printable } from '../names.js';
import { verifySignature } from '../net/keys.js';
import type { Link } from '../net/link.js';
import type { Links } from '../net/links.js';
import { LOOKUP } from '../tracker/events.js';
import { headStatement, RELAY, readHead, TRACKER } from '../wire/head.js';
import type { MessageOf } from '../wire/table.js';
import type { Tried } from './doctor.js';
import type { Tunnels } from './tunnels.js';

/** Wishes to be dialled that are followed in a second: a hint must not make us dial the world. */
const CALLS_PER_SECOND = 5;
/** A peer whose addresses do not answer is asked to dial us after so long, beside that. */
const ASK_AFTER: Millis = 1000;
/** How long a peer that was asked by multicast may take to dial. */
const CALLED_MS: Millis = 3000;
/** The same where a tracker has asked it, which is connected with it: a word that is lost is sent again. */
const PASSED_ON_MS: Millis = 1500;
/** The same where there is little hope: no tracker has asked it, or none could connect back to us. */
const BRIEFLY: Millis = 500;
/** How long the other of two who were told of each other is waited for. */
const MEET_MS: Millis = 1000;
/** Peers that are asked to pass on, one after another. */
const RELAYS_TRIED = 3;
/** Peers to which the ways are tried when a person asks, and for how long. */
const LOOKED_AT = 16;
const LOOK_MS: Millis = 15_000;
/** What was found out about the way to a peer counts for so long. */
const LATELY: Millis = 60_000;

/** What a peer's trackers do for it here. */
export interface ReachTrackers {
  /** What they told of a peer. */
  peer(id: PeerId): { name: string; addresses: readonly string[] } | undefined;
  /** Has them ask a peer to dial us. @returns whether it was passed on */
  summon(peer: PeerId): Promise<boolean>;
  lookup(kind: number, text: string): Promise<{ peers: { id: PeerId; name: string; addresses: readonly string[] }[] }>;
  /** Where they could connect back to us; undefined while we are registered nowhere. */
  readonly reachable: readonly string[] | undefined;
}

export interface ReachOptions {
  /** This peer's own. */
  id: PeerId;
  links: Links;
  gossip: Pick<Gossip, 'peer'>;
  trackers: ReachTrackers;
  tunnels: Pick<Tunnels, 'open'>;
  /** Asks a peer by multicast to dial us. */
  call(peer: PeerId): void;
  /** Whether there is multicast. */
  multicast: boolean;
}

export class Reach {
  readonly #options: ReachOptions;
  readonly #attempts = new Map<PeerId, Promise<Link>>();
  /** The same, of those that are to be no tunnels. */
  readonly #near = new Map<PeerId, Promise<Link>>();
  readonly #waiting = new Map<PeerId, Set<(link: Link) => void>>();
  readonly #failed = new Latest<PeerId, { at: Millis; why: string }>(PEERS_MAX);
  /** Those that only a tunnel led to. */
  readonly #tunnelled = new Latest<PeerId, Millis>(PEERS_MAX);
  readonly #calls = new TokenBucket(CALLS_PER_SECOND);

  constructor(options: ReachOptions) {
    this.#options = options;
  }

  /**
   * A link to a peer, by whatever way.
   * @throws HearsayError `unreachable`, its message why; and what a handshake throws
   */
  connect(peer: PeerId): Promise<Link> {
    return this.#once(this.#attempts, peer, () => this.#reach(peer, true));
  }

  /** The same, but for tunnels. */
  connectNear(peer: PeerId): Promise<Link> {
    return this.#once(this.#near, peer, () => this.#reach(peer, false));
  }

  /**
   * A link to one who was told of us as we were of it: of two such the smaller id dials, the other only where nobody has
   * come.
   * @throws HearsayError `unreachable`
   */
  async meet(peer: PeerId, addresses: string[]): Promise<Link> {
    const { links, id } = this.#options;
    const link = links.get(peer) ?? (id < peer ? undefined : await this.#linked(peer, MEET_MS));
    return link ?? links.connect(peer, addresses);
  }

  /** Tries the ways to some of these, first to those to whom none led lately. */
  async look(peers: readonly PeerName[]): Promise<Tried[]> {
    const isLost = ({ id }: PeerName) => Number(this.unreachable(id) !== undefined);
    const some = [...peers].sort((a, b) => isLost(b) - isLost(a)).slice(0, LOOKED_AT);
    return Promise.all(
      some.map(async ({ id, name }) => {
        try {
          const link = await Promise.race([this.connect(id), within(LOOK_MS)]);
          return link ? { id, name } : { id, name, unreachable: `no answer for ${LOOK_MS / 1000} s` };
        } catch (thrown) {
          return { id, name, unreachable: asHearsayError(thrown).message };
        }
      }),
    );
  }

  /** Why a peer could not be reached; undefined where it was not tried lately, or is connected. */
  unreachable(peer: PeerId): string | undefined {
    const failed = this.#failed.get(peer);
    if (!failed || performance.now() - failed.at > LATELY || this.#options.links.get(peer)) return undefined;
    return failed.why;
  }

  opened(link: Link): void {
    this.#failed.delete(link.peer);
    for (const resolve of this.#waiting.get(link.peer) ?? []) resolve(link);
    this.#waiting.delete(link.peer);
  }

  /** Someone who cannot reach us asks by multicast to be dialled. */
  called(peer: PeerId, address: string): void {
    if (this.#options.links.get(peer) || !this.#calls.take(performance.now())) return;
    this.#options.links.connect(peer, [address]).catch(() => {});
  }

  /** The same through a tracker, in words that the one who asks has signed. */
  summoned(link: Link, { from }: MessageOf<'c'>): void {
    const { links, id } = this.#options;
    if (!(link.head.flags & TRACKER)) return;
    const head = readHead(from.head);
    if (head.id === id || links.get(head.id) || !this.#calls.take(performance.now())) return;
    // It is not the tracker's doing, which may have it from another one.
    if (!verifySignature(head.key, headStatement(from.head), from.sig)) return;
    // Only who is on this host can mean this host.
    const usable = toldAddresses(from.addresses, head.port, isLoopback(link.address.host));
    links.connect(head.id, usable.slice(0, DIAL_BACKS_PER_PEER_MAX)).catch(() => {});
  }

  #once(attempts: Map<PeerId, Promise<Link>>, peer: PeerId, begin: () => Promise<Link>): Promise<Link> {
    const link = this.#options.links.get(peer);
    if (link) return Promise.resolve(link);
    let attempt = attempts.get(peer);
    if (!attempt) {
      attempt = begin().finally(() => attempts.delete(peer));
      attempts.set(peer, attempt);
    }
    return attempt;
  }

  /** @param tunnels whether another may pass it on */
  async #reach(peer: PeerId, tunnels: boolean): Promise<Link> {
    const { links } = this.#options;
    const isTunnelled = performance.now() - (this.#tunnelled.get(peer) ?? Number.NEGATIVE_INFINITY) < LATELY;
    // What was found out is not found out again for every file.
    const known = tunnels && isTunnelled ? await this.#tunnel(peer, []) : undefined;
    if (known) return known;
    const reasons: string[] = [];
    const addresses = this.#addresses(peer);
    const direct = links.connect(peer, addresses).then(
      (link) => ({ link, why: undefined }),
      (thrown) => ({ link: undefined, why: asHearsayError(thrown, 'unreachable') }),
    );
    const first = addresses.length > 0 ? await Promise.race([direct, within(ASK_AFTER)]) : undefined;
    if (first?.link) return first.link;
    if (first?.why && first.why.code !== 'unreachable') throw this.#note(peer, first.why);
    const asked = this.#ask(peer, reasons).catch(() => undefined);
    const second = (await either(direct, asked)) ?? (tunnels && (await this.#tunnel(peer, reasons)));
    if (second) return second;
    const { link, why } = await direct;
    if (link) return link;
    if (why.code !== 'unreachable') throw this.#note(peer, why);
    const told = this.#options.trackers.peer(peer);
    if (addresses.length > 0) reasons.unshift(`cannot be dialled (${why.message})`);
    else reasons.unshift(told ? 'has no address at which anybody could reach it' : 'has no address that is known');
    throw this.#note(peer, new HearsayError('unreachable', `it ${inWords(reasons)}`, { cause: why }));
  }

  #note(peer: PeerId, error: HearsayError): HearsayError {
    this.#failed.set(peer, { at: performance.now(), why: error.message });
    return error;
  }

  /** Where a peer may listen, as far as is known. */
  #addresses(peer: PeerId): string[] {
    const { gossip, trackers } = this.#options;
    return [...new Set([...(gossip.peer(peer)?.addresses ?? []), ...(trackers.peer(peer)?.addresses ?? [])])];
  }

  /** Asks it to dial us. */
  async #ask(peer: PeerId, reasons: string[]): Promise<Link | undefined> {
    const { links, gossip, trackers, multicast } = this.#options;
    if (links.port === 0) return undefined;
    const began = performance.now();
    const over = new AbortController();
    const coming = this.#linked(peer, CALLED_MS, over.signal);
    if (multicast) this.#options.call(peer);
    const isPassedOn = await Promise.race([trackers.summon(peer), coming.then(() => true)]);
    const isAsked = isPassedOn || multicast;
    // Who hears multicast has no other way to be asked; to whom it was passed on, it comes at once or hardly.
    const via = gossip.peer(peer)?.via;
    const hears = multicast && ((via !== undefined && isNear(via)) || !trackers.peer(peer));
    const hopeful = isPassedOn && trackers.reachable?.length !== 0 ? PASSED_ON_MS : BRIEFLY;
    const wait = hears ? CALLED_MS : isAsked ? hopeful : 0;
    const timer = setTimeout(() => over.abort(), Math.max(0, wait - (performance.now() - began)));
    const link = await coming;
    clearTimeout(timer);
    if (!link) reasons.push(isAsked ? 'did not come when it was asked to' : 'could not be asked to come');
    return link;
  }

  /** A link that another peer passes on; undefined where none does. */
  async #tunnel(peer: PeerId, reasons: string[]): Promise<Link | undefined> {
    const relays = await this.#relays(peer);
    const tried: string[] = [];
    for (const { id, name } of relays) {
      try {
        const link = await this.#options.tunnels.open(await this.connectNear(id), peer);
        this.#tunnelled.set(peer, performance.now());
        return link;
      } catch (thrown) {
        tried.push(`${printable(name)} does not pass on to it (${asHearsayError(thrown).message})`);
      }
    }
    reasons.push(tried.length > 0 ? `is not passed on: ${tried.join(', ')}` : 'no tracker passes on to it');
    return undefined;
  }

  /** Who may pass on: as trackers say, and they themselves. */
  async #relays(peer: PeerId): Promise<{ id: PeerId; name: string }[]> {
    const { trackers, links, id: me } = this.#options;
    const { peers } = await trackers.lookup(LOOKUP.relay, peer).catch(() => ({ peers: [] }));
    const here = [...links.all].filter(({ head }) => head.flags & TRACKER && head.flags & RELAY);
    const all = new Map<PeerId, string>();
    for (const { id, name } of [...peers, ...here.map(({ head }) => head)]) {
      if (id !== peer && id !== me && all.size < RELAYS_TRIED) all.set(id, name);
    }
    return [...all].map(([id, name]) => ({ id, name }));
  }

  /** The link that a peer makes to us. */
  #linked(peer: PeerId, most: Millis, signal?: AbortSignal): Promise<Link | undefined> {
    const link = this.#options.links.get(peer);
    if (link) return Promise.resolve(link);
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(peer) ?? new Set();
      this.#waiting.set(peer, waiting);
      const done = (made: Link | undefined) => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
        waiting.delete(done);
        if (waiting.size === 0 && this.#waiting.get(peer) === waiting) this.#waiting.delete(peer);
        resolve(made);
      };
      const onAbort = () => done(undefined);
      const timer = setTimeout(onAbort, most);
      signal?.addEventListener('abort', onAbort);
      waiting.add(done);
    });
  }
}

/** "a, b, and c" */
function inWords(reasons: readonly string[]): string {
  if (reasons.length < 3) return reasons.join(', and ');
  return `${reasons.slice(0, -1).join(', ')}, and ${reasons.at(-1)}`;
}

/** The link that the first of two ways leads to; undefined when the second leads nowhere. */
function either(
  first: Promise<{ link: Link | undefined }>,
  second: Promise<Link | undefined>,
): Promise<Link | undefined> {
  return new Promise((resolve) => {
    void first.then(({ link }) => link && resolve(link));
    void second.then(resolve);
  });
}

function within(ms: Millis): Promise<undefined> {
  return new Promise((resolve) => setTimeout(() => resolve(undefined), ms).unref());
}
