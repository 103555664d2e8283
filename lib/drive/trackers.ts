/**
 * Trackers: the driver of this peer's side of them. Registers, asks, follows and reports.
 *
 * Owns the client and its timer, the copy of small registries, and every lookup that is under way. Always true: a long-lived
 * peer asks trackers at which it is registered, a one-shot those it is connected with; what they tell is a hint, kept apart from
 * gossip's index. Called by the peer with links and news; asked by all who list, resolve or connect.
 */
import type { ShareEvent, TrackerRow, Via } from '../api.js';
import type { Bits } from '../bits.js';
import type { Millis, Random } from '../clock.js';
import { formatEndpoint, isAddress, isLoopback, isThisHost } from '../endpoint.js';
import { asHearsayError, HearsayError } from '../errors.js';
import type { Gossip } from '../gossip/gossip.js';
import { isNear } from '../gossip/ladder.js';
import type { PeerId } from '../ids.js';
import { Latest } from '../latest.js';
import { MIRROR_OFFERS_MAX, MIRROR_PEERS_MAX, PEERS_MAX, TRACKERS_MAX } from '../limits.js';
import { verifySignature } from '../net/keys.js';
import type { Link } from '../net/link.js';
import type { Links } from '../net/links.js';
import { Client, type ClientEffect, type ClientEvent, type Registration } from '../tracker/client.js';
import { Directory, type DirectoryPeer, type Told } from '../tracker/directory.js';
import { type Holding, LOOKUP } from '../tracker/events.js';
import { headStatement, readHead, TRACKER } from '../wire/head.js';
import type { MessageOf } from '../wire/table.js';
import type { Question } from './asker.js';
import { Asking, refusal } from './asking.js';
import { now } from './gossiper.js';
import { type Reporting, Reports } from './reports.js';
import type { Requests } from './requests.js';
import { Turns } from './turns.js';
import { Watch } from './watch.js';

/** How often it is looked whether a tracker is heard by multicast. */
const HEARD_MS: Millis = 5000;
/** A registry that is copied may grow to so many times what is copied before it is only asked: not to go to and fro. */
const SLACK = 2;
/** How long it is waited for a tracker's word that it has asked another to dial. */
const SUMMON_MS: Millis = 2000;

/** Up to which size a registry is copied. */
export interface MirrorMost {
  offers: number;
  peers: number;
}

export interface TrackersOptions {
  /** This peer's own. */
  id: PeerId;
  /** A one-shot does not register. */
  passive: boolean;
  gossip: Pick<Gossip, 'head' | 'peers'>;
  links: Links;
  requests: Requests;
  random: Random;
  /** Where this peer listens, "ip:port". */
  addresses(): string[];
  /** What the copies of small registries come to. */
  onTold(told: Told): void;
  tell(event: ShareEvent): void;
  /** Others than the usual ones are for tests, which would take long to reach those. */
  mirror?: MirrorMost;
}

export class Trackers {
  /** The copies of small registries. */
  readonly live: Directory;
  readonly #options: TrackersOptions;
  readonly #client: Client;
  readonly #turns = new Turns<ClientEvent>((event) => {
    for (const effect of this.#client.handle(event, now())) this.#carryOut(effect);
  });
  readonly #mirror: Watch;
  readonly #mirrorMost: MirrorMost;
  readonly #numbers = new Map<Link, number>();
  readonly #watches = new Set<Watch>();
  readonly #askings = new Set<Asking>();
  readonly #reports: Reports;
  /** Whoever was told of lately: where to reach those that a transfer goes on with. */
  readonly #met = new Latest<PeerId, DirectoryPeer>(PEERS_MAX);
  #nextNumber = 1;
  #timer: NodeJS.Timeout | undefined;
  #heard: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: TrackersOptions) {
    this.#options = options;
    this.#client = new Client(options.id, options.random);
    this.#mirrorMost = options.mirror ?? { offers: MIRROR_OFFERS_MAX, peers: MIRROR_PEERS_MAX };
    // Twice, as what a lost one told stands beside what it tells anew.
    this.live = this.#directory(2 * SLACK * TRACKERS_MAX * this.#mirrorMost.offers);
    this.#mirror = new Watch(options.requests, this.live, LOOKUP.all, '', options.onTold);
    this.#reports = new Reports((message) => {
      for (const link of this.#ready()) link.send(message);
    });
  }

  start(): void {
    if (this.#options.passive) return;
    this.listening();
    const look = () => {
      for (const peer of this.#options.gossip.peers()) this.heard(peer);
    };
    this.#heard = setInterval(look, HEARD_MS);
    this.#heard.unref();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    clearInterval(this.#heard);
    this.#mirror.end();
    for (const watch of [...this.#watches]) watch.end();
    for (const asking of [...this.#askings]) asking.end();
    this.#reports.stop();
  }

  /** Speaks to each at once. */
  refresh(): void {
    this.#dispatch({ kind: 'refresh' });
  }

  /** Where this peer listens may have changed. */
  listening(): void {
    this.#dispatch({ kind: 'listening', addresses: this.#options.addresses() });
  }

  /** A peer is here, as gossip tells: it may be a tracker. */
  heard(peer: { id: PeerId; name: string; addresses: string[]; tracker: boolean; via: Via; self: boolean }): void {
    if (!peer.tracker || peer.self || !isNear(peer.via)) return;
    this.#dispatch({ kind: 'known', tracker: peer, origin: 'heard' });
  }

  /** A peer has left. */
  unheard(id: PeerId): void {
    this.#dispatch({ kind: 'unheard', tracker: id });
  }

  opened(link: Link): void {
    if (this.#stopped || !(link.head.flags & TRACKER)) return;
    const number = this.#nextNumber++;
    this.#numbers.set(link, number);
    const { peer: tracker, address, head } = link;
    this.#dispatch({ kind: 'linked', tracker, link: number, name: head.name, address: formatEndpoint(address) });
    if (this.#options.passive) this.#came(link);
  }

  /** A connection was made because the person named this host. */
  joined(link: Link, endpoint: string): void {
    const number = this.#numbers.get(link);
    if (number !== undefined) this.#dispatch({ kind: 'joined', link: number, endpoint });
  }

  closed(link: Link, why: HearsayError): void {
    const number = this.#numbers.get(link);
    if (number === undefined) return;
    this.#numbers.delete(link);
    this.#dispatch({ kind: 'unlinked', link: number, code: why.code, message: why.message });
  }

  /** Whether a connection is kept although nobody uses it. */
  needs(link: Link): boolean {
    return this.#numbers.has(link) && this.#client.uses(link.peer);
  }

  /** What is known of each tracker. */
  rows(): TrackerRow[] {
    return this.#options.passive ? [] : this.#client.rows();
  }

  /** Whether there is a tracker that has to be asked, as its registry is not copied here. */
  get asks(): boolean {
    return this.#ready().some((link) => !this.#mirror.isWholeAt(link.peer));
  }

  /** Where trackers could connect back to this peer; undefined while it is registered nowhere. */
  get reachable(): string[] | undefined {
    const all = this.#registrations();
    return all.length === 0 ? undefined : [...new Set(all.flatMap(({ reachable }) => reachable))];
  }

  /** What trackers told of a peer, lately at least. */
  peer(id: PeerId): DirectoryPeer | undefined {
    return this.#present(id) ?? this.#met.get(id);
  }

  /** Whether a peer is here, as far as trackers tell now. */
  knows(id: PeerId): boolean {
    return this.#present(id) !== undefined;
  }

  #present(id: PeerId): DirectoryPeer | undefined {
    const told = this.live.peer(id);
    if (told) return told;
    for (const { directory } of [...this.#watches, ...this.#askings]) {
      const peer = directory.peer(id);
      if (peer) return peer;
    }
    return undefined;
  }

  /**
   * Asks trackers: a long-lived peer those whose registry it has no copy of, a one-shot all that it is, or comes to be, connected
   * with. To be ended.
   * @param onPeer called for each peer that is told of
   */
  ask(questions: readonly Question[], onPeer: (peer: PeerId) => void = () => {}): Asking {
    const asking = this.#asking(questions, onPeer);
    this.#askings.add(asking);
    for (const link of this.#ready()) if (!this.#mirror.isWholeAt(link.peer)) asking.put(link);
    return asking;
  }

  /** Asks all trackers one thing, and gathers what they tell. */
  async lookup(kind: number, text: string, signal?: AbortSignal): Promise<{ peers: DirectoryPeer[]; held: Holding[] }> {
    const asking = this.#asking([{ kind, text }]);
    for (const link of this.#ready()) asking.put(link);
    await asking.done(signal);
    asking.end();
    const held = kind === LOOKUP.holders ? asking.directory.holdings(text) : [];
    return { peers: [...asking.directory.peers()], held };
  }

  /** Follows a lookup at all trackers. To be ended. */
  watch(kind: number, text: string, onTold: (told: Told) => void): Watch {
    const noted = (told: Told) => {
      this.#note(told);
      onTold(told);
    };
    const watch: Watch = new Watch(this.#options.requests, this.#directory(), kind, text, noted, () =>
      this.#watches.delete(watch),
    );
    this.#watches.add(watch);
    for (const link of this.#ready()) watch.attach(link);
    return watch;
  }

  /** Tells trackers which chunks of a content are here. @param have goes on growing */
  report(id: string, have: Bits): Reporting {
    return this.#reports.begin(id, have);
  }

  /** Has trackers ask a peer to dial this one. @returns whether one of them has passed it on */
  async summon(peer: PeerId): Promise<boolean> {
    const { requests, gossip, addresses } = this.#options;
    const links = this.#ready();
    if (links.length === 0 || this.#options.passive) return false;
    const from = { ...gossip.head(), addresses: addresses().filter(isAddress) };
    const answers = links.map(
      (link) =>
        new Promise<void>((resolve, reject) => {
          const end = (error?: HearsayError) => {
            clearTimeout(timer);
            requests.close(link, number);
            if (error) reject(error);
            else resolve();
          };
          const number = requests.open(link, {
            answer: (message) => end(message.type === 'E' && message.code === '' ? undefined : refusal(message)),
            closed: end,
          });
          // Not before: what fails to begin has nothing to end.
          const timer = setTimeout(() => end(new HearsayError('timeout', 'no answer')), SUMMON_MS);
          link.send({ type: 'c', number, peer, from });
        }),
    );
    return Promise.any(answers).then(
      () => true,
      () => false,
    );
  }

  #registrations(): Registration[] {
    return [...this.#numbers.keys()].flatMap((link) => this.#client.registration(link.peer) ?? []);
  }

  /** Connections to trackers that can be asked. */
  #ready(): Link[] {
    const { passive, links } = this.#options;
    const isReady = (link: Link) =>
      link.open && links.get(link.peer) === link && (passive || this.#client.registration(link.peer) !== undefined);
    return [...this.#numbers.keys()].filter(isReady);
  }

  #directory(most?: number): Directory {
    return new Directory({ id: this.#options.id, verify: verifySignature, ...(most === undefined ? {} : { most }) });
  }

  #asking(questions: readonly Question[], onPeer: (peer: PeerId) => void = () => {}): Asking {
    return new Asking({
      requests: this.#options.requests,
      directory: this.#directory(),
      questions,
      isShot: this.#options.passive,
      onTold: (told) => {
        this.#note(told);
        for (const { id } of told.came) onPeer(id);
      },
      onEnd: (asking) => this.#askings.delete(asking),
    });
  }

  #note({ came }: Told): void {
    for (const peer of came) this.#met.set(peer.id, peer);
  }

  /** A tracker can be asked from now on. */
  #came(link: Link): void {
    for (const watch of this.#watches) watch.attach(link);
    for (const asking of this.#askings) asking.put(link);
  }

  #dispatch(event: ClientEvent): void {
    if (!this.#stopped && !this.#options.passive) this.#turns.take(event);
  }

  #carryOut(effect: ClientEffect): void {
    switch (effect.kind) {
      case 'dial': {
        const { tracker, addresses } = effect;
        this.#options.links.connect(tracker, [...addresses]).catch((thrown) => {
          const { code, message } = asHearsayError(thrown, 'unreachable');
          this.#dispatch({ kind: 'dial-failed', tracker, code, message });
        });
        return;
      }
      case 'join':
        this.#join(effect);
        return;
      case 'cut':
        this.#linkOf(effect.link)?.close(new HearsayError(effect.code, effect.message));
        return;
      case 'renewed':
        this.#renewed(effect);
        return;
      case 'lost':
      case 'refused':
        this.#tellOf(effect.tracker, effect.kind, { code: effect.code, message: effect.message });
        return;
      case 'timer':
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => this.#dispatch({ kind: 'timer' }), Math.max(0, effect.at - now()));
    }
  }

  #linkOf(number: number): Link | undefined {
    for (const [link, its] of this.#numbers) if (its === number) return link;
    return undefined;
  }

  #join({ link: linkNumber, number, addresses }: Extract<ClientEffect, { kind: 'join' }>): void {
    const { requests } = this.#options;
    const link = this.#linkOf(linkNumber);
    if (!link?.open) return;
    const own = requests.open(link, {
      answer: (message) => {
        requests.close(link, own);
        if (message.type === 'Z') {
          this.#told(link, message);
          this.#dispatch({ kind: 'registered', link: linkNumber, number, said: message });
        } else {
          const { code, message: text } = refusal(message);
          this.#dispatch({ kind: 'refused', link: linkNumber, number, code, message: text });
        }
      },
      closed: () => {},
    });
    link.send({ type: 'J', number: own, addresses: [...addresses] });
  }

  /** The other trackers of a registry, in their own words. */
  #told(link: Link, { trackers }: MessageOf<'Z'>): void {
    const isNear = isLoopback(link.address.host);
    for (const { head: packed, sig, addresses } of trackers) {
      let head: ReturnType<typeof readHead>;
      try {
        head = readHead(packed);
      } catch {
        continue;
      }
      if (!(head.flags & TRACKER) || head.id === link.peer) continue;
      if (!verifySignature(head.key, headStatement(packed), sig)) continue;
      const usable = addresses.filter((a) => isAddress(a) && (isNear || !(isThisHost(a) || a.includes('%'))));
      const { id, name } = head;
      if (usable.length > 0)
        this.#dispatch({ kind: 'known', tracker: { id, name, addresses: usable }, origin: 'told' });
    }
  }

  #renewed({ tracker, link: number, fresh, said }: Extract<ClientEffect, { kind: 'renewed' }>): void {
    const link = this.#linkOf(number);
    if (!link) return;
    const { offers, peers } = this.#mirrorMost;
    const slack = this.#mirror.isAt(tracker) ? SLACK : 1;
    if (said.offers <= slack * offers && said.peers <= slack * peers) this.#mirror.attach(link);
    else this.#mirror.leave(tracker);
    if (!fresh) return;
    this.#tellOf(tracker, 'registered');
    for (const message of this.#reports.all()) link.send(message);
    this.#came(link);
  }

  #tellOf(
    tracker: PeerId,
    change: 'registered' | 'lost' | 'refused',
    error?: { code: HearsayError['code']; message: string },
  ) {
    const known = this.#client.describe(tracker);
    if (!known) return;
    const { name, address } = known;
    this.#options.tell({ event: 'tracker', change, address, id: tracker, name, ...(error ? { error } : {}) });
  }
}
