/**
 * Gossip: how the index comes to be. One switch over events; what it decides comes back as effects.
 * Owns the parts and which of them hears of what. Always true: the same events at the same times, with the same chance, give
 * the same effects; nothing is sent, read or waited for in here.
 * The driver calls `handle`, and carries out what it returns; everyone may read.
 */
import type { Millis, Random } from '../clock.js';
import type { Code } from '../errors.js';
import type { PeerId } from '../ids.js';
import { HITS_MAX, OFFERS_PER_PEER_MAX } from '../limits.js';
import { answerFind } from '../shelf/answers.js';
import type { Index } from '../shelf/live-index.js';
import { Shelf } from '../shelf/shelf.js';
import type { MessageOf, Neighbour } from '../wire/table.js';
import { Announcer } from './announcer.js';
import { Asides, type Sees, type Told } from './asides.js';
import { Asks } from './asks.js';
import { Circle, SWEEP } from './circle.js';
import { Context } from './context.js';
import { answerDigest, type Held } from './digests.js';
import type { Effect, Event, PeerInfo, Settings, Signer, Timer } from './events.js';
import { Heads } from './heads.js';
import { Hearing } from './hearing.js';
import { Ladder } from './ladder.js';
import { Links } from './links.js';
import { infoOf } from './member.js';
import { Own } from './own.js';
import { Pulls } from './pulls.js';
import { Pulses } from './pulses.js';
import { Recall } from './recall.js';
import { RollCall } from './roll-call.js';
import { SHELVING, type Shelving } from './shelving.js';
import { Suspicion } from './suspicion.js';

export type { Index } from '../shelf/live-index.js';
export type { Address, Effect, Event, PeerInfo, Pull, Remembered, Settings, Signer, Sparing, Timer } from './events.js';

/** Who did nothing for so long was asleep: everybody is asked, and nobody is judged by what was before. */
const SLEPT: Millis = 5000;
/** Longer ago than anything. */
const FAR: Millis = 1e12;

export class Gossip {
  readonly index: Index;
  readonly #context: Context;
  readonly #heads: Heads;
  readonly #own: Own;
  readonly #circle: Circle;
  readonly #asides: Asides;
  readonly #pulls: Pulls;
  readonly #links: Links;
  readonly #announcer: Announcer;
  readonly #hearing: Hearing;
  readonly #asks: Asks;
  readonly #suspicion: Suspicion;
  readonly #recall: Recall;
  readonly #rollCall: RollCall;
  #running = false;

  /**
   * @param signer signs with my key, checks with others'
   * @param random chance for jitter
   * @param bytes16 nonces: 16 bytes that nobody can guess
   * @param shelving another than the usual one is for large simulations, whose peers share what they know
   */
  constructor(
    settings: Settings,
    signer: Signer,
    random: Random,
    bytes16: () => Uint8Array,
    shelving: Shelving = SHELVING,
  ) {
    const context = new Context(settings, signer, random, bytes16, shelving);
    const own = new Own(settings, signer);
    const circle = new Circle(context, () => own.heartbeatSize());
    const heads = new Heads(context, (id, host) => circle.isKnownAt(id, host));
    const links = new Links(context, circle, heads);
    const pulls = new Pulls(context, circle, heads, () => links.linked);
    circle.onCrowdedOut = ({ id }) => pulls.gone(id);
    const ladder = new Ladder(context, circle);
    const recall = new Recall(context, circle, links);
    const rollCall = new RollCall(context, circle, links);
    const pulses = new Pulses(context, circle);
    const announcer = new Announcer(context, own, circle, links, ladder, pulses);
    circle.onFewer = () => announcer.fewer();
    const asks = new Asks(context, circle, own);
    const parts = { context, heads, own, circle, pulls, links, announcer };
    const suspicion = new Suspicion(parts);
    this.#hearing = new Hearing({ ...parts, asks, pulses, suspicion, ladder, recall, rollCall });
    this.#asks = asks;
    this.#suspicion = suspicion;
    this.#recall = recall;
    this.#rollCall = rollCall;
    this.#context = context;
    this.#heads = heads;
    this.#own = own;
    this.#circle = circle;
    this.#asides = new Asides(context, circle);
    this.#pulls = pulls;
    this.#links = links;
    this.#announcer = announcer;
    this.index = this.#circle.index;
    if (!settings.passive) this.#circle.index.show(this.#own.shelf);
  }

  /**
   * Takes an event, and says what to do about it, in this order.
   * @param now milliseconds of the driver's clock; never less than at the event before
   */
  handle(event: Event, now: Millis): Effect[] {
    const context = this.#context;
    context.now = now;
    context.effects = [];
    if (event.kind === 'start') this.#start();
    else if (event.kind === 'offers') this.#change(event.changes);
    else if (event.kind === 'asides') this.#changeAsides(event.changes);
    else if (event.kind === 'remembered') this.#recall.remember(event.peers);
    else if (this.#running) this.#handle(event);
    return context.effects;
  }

  /** My epoch: to be stored, so that the next run begins above it. It rises when a higher one of mine was heard. */
  get epoch(): number {
    return this.#own.shelf.epoch;
  }

  /** Heads refused because they were malformed or wrongly signed, and heads not looked at because there were too many. */
  get counters(): { rejected: number; skipped: number } {
    return { rejected: this.#heads.rejected, skipped: this.#heads.skipped };
  }

  /** Whether anything is being pulled, or waits for its turn. */
  get isPulling(): boolean {
    return this.#pulls.isBusy;
  }

  /** Live peers, oneself first; a one-shot is not among them. */
  peers(): PeerInfo[] {
    const all = this.#context.settings.passive ? [] : [this.#self()];
    for (const member of this.#circle.live()) all.push(infoOf(member));
    return all;
  }

  /** A live peer, or oneself. */
  peer(id: PeerId): PeerInfo | undefined {
    if (id === this.#context.settings.id) return this.#self();
    const member = this.#circle.get(id);
    return member?.state === 'live' ? infoOf(member) : undefined;
  }

  /** My signed head as things are now, for the handshake. The same bytes until something changes. */
  head(): { head: Uint8Array; sig: Uint8Array } {
    return this.#own.head();
  }

  /** Live peers in their own signed words, with their addresses. @param exceptId who is told */
  neighbours(exceptId: PeerId): Neighbour[] {
    return this.#links.neighbours(exceptId);
  }

  /** The answer to a pull: of my own offers, or of another writer's as far as they are known here. */
  answerPull(message: MessageOf<'P'>): Iterable<MessageOf<'D'>> | { code: Code } {
    const { settings, shelving } = this.#context;
    const held = this.#held(message.writer, settings);
    return held ? shelving.answerPull(held.shelf, held.proof, message) : { code: 'not-found' };
  }

  /** The answer to a digest: what is newer here of the writers in it, those that are live. */
  answerDigest(message: MessageOf<'b'>): Iterable<MessageOf<'r'> | MessageOf<'E'>> {
    const { settings, shelving } = this.#context;
    return answerDigest(message, (writer) => this.#held(writer, settings), shelving);
  }

  /** What others may be told of a writer: of one that is gone nothing, as it may have come back elsewhere with less. */
  #held(writer: PeerId, { id, passive }: Settings): Held | undefined {
    if (writer === id && !passive) return { shelf: this.#own.shelf, proof: this.#own.head() };
    const member = this.#circle.get(writer);
    const shelf = member?.state === 'live' ? member.shelf : undefined;
    return shelf?.proof && { shelf, proof: shelf.proof };
  }

  /**
   * Which of my own offers fit. The matching is done as the pages are taken, so that a large share need not be searched at once.
   * @param sees which of those that are not for everyone are for the one who asks; left out where none is
   * @throws HearsayError `usage` for a pattern that is too long, at the first page
   */
  answerFind(message: MessageOf<'F'>, sees?: Sees): Iterable<MessageOf<'I'>> {
    if (this.#context.settings.passive) return answerFind([], [], message);
    return answerFind(this.#own.shelf.offers(), sees ? this.#asides.shelf.offers() : [], message, sees);
  }

  /**
   * What a peer is to be told of what I share with some only; told in this order over one link, it is whole.
   * @param version up to which it was told over this link, undefined for a new beginning
   * @param sees which paths are for it
   */
  asides(version: number | undefined, sees: Sees): Told {
    return this.#asides.since(version, sees);
  }

  /** The version of the newest change of what I share with some only. */
  get asidesVersion(): number {
    return this.#asides.shelf.version;
  }

  /** Whether a peer tells us something aside, so that the link to it is needed. */
  hearsAside(peer: PeerId): boolean {
    return this.#circle.get(peer)?.aside !== undefined;
  }

  #self(): PeerInfo {
    const { id, key, name, tracker } = this.#context.settings;
    const { files, bytes } = this.#own.shelf;
    return { id, name, addresses: [], files, bytes, tracker, self: true, via: 'self', key, ...this.#own.head() };
  }

  #start(): void {
    if (this.#running) return;
    this.#running = true;
    this.#context.startedAt = this.#context.now;
    this.#announce();
    this.#recall.start();
    this.#context.after(SWEEP, { kind: 'sweep' });
  }

  #handle(event: Exclude<Event, { kind: 'start' | 'offers' | 'asides' | 'remembered' }>): void {
    switch (event.kind) {
      case 'stop':
        this.#stop();
        break;
      case 'datagram':
        this.#hearing.datagram(event.message, event.from, event.multicast, event.broadcast);
        break;
      case 'message':
        this.#hearing.message(event.peer, event.message);
        break;
      case 'connected':
        this.#hearing.connected(event);
        this.#asides.unsure(event.peer);
        break;
      case 'disconnected':
        this.#links.disconnected(event.peer);
        this.#asides.unsure(event.peer);
        break;
      case 'aside': {
        const member = this.#circle.get(event.peer);
        if (member && !this.#context.asksOnly) this.#asides.page(member, event.message);
        break;
      }
      case 'departed':
        this.#hearing.departed(event.peer);
        break;
      case 'dial-failed':
        if (event.peer !== undefined) this.#hearing.dialFailed(event.peer, event.refused ?? false);
        break;
      case 'delta':
        this.#pulls.page(event.from, event.writer, event.message);
        break;
      case 'pull-failed':
        this.#pulls.failed(event.from, event.writer);
        break;
      case 'newer':
        this.#pulls.newer(event.batch, event.message);
        break;
      case 'digest-over':
        this.#pulls.digestOver(event.batch, event.ok);
        break;
      case 'found':
        this.#found(event.peer, event.offers, event.aside ?? false);
        break;
      case 'timer':
        this.#timer(event.timer);
        break;
      case 'forgotten':
        this.#recall.forget(event.peer);
        break;
      case 'interfaces-changed':
        this.#announce();
        this.#recall.start();
        break;
      case 'refresh':
        this.#refresh();
        break;
      case 'lag':
        this.#lagged(event.ms);
        break;
    }
  }

  /** Says that I am here, and looks for who is. */
  #announce(): void {
    this.#announcer.start();
    this.#rollCall.start();
  }

  /** For so long this machine was busy, or asleep: what others said meanwhile was not heard. */
  #lagged(ms: Millis): void {
    const slept = ms >= SLEPT;
    this.#circle.lagged(slept ? FAR : ms);
    if (!slept) return;
    this.#announce();
    this.#recall.start();
    this.#links.hurry();
    this.#pulls.hurry();
  }

  #refresh(): void {
    this.#announce();
    this.#links.hurry();
    this.#pulls.hurry();
    if (this.#context.settings.passive) return;
    // Those whom datagrams reach are asked just now; of the others their connections tell.
    for (const member of this.#circle.live()) if (this.#links.isHeard(member)) this.#circle.doubt(member);
  }

  #timer(timer: Timer): void {
    switch (timer.kind) {
      case 'heartbeat':
        this.#announcer.heartbeatDue();
        break;
      case 'query':
        this.#announcer.queryDue(timer.round);
        break;
      case 'flush':
        this.#announcer.flushDue();
        break;
      case 'repeat':
        this.#announcer.repeat();
        break;
      case 'expire':
        this.#suspicion.due(timer.peer);
        break;
      case 'ask':
        this.#asks.due(timer.peer);
        break;
      case 'missing':
        this.#suspicion.sayAgain(timer.peer);
        break;
      case 'answer':
        this.#hearing.answer(timer.number);
        break;
      case 'pull':
        this.#pulls.due(timer.writer);
        break;
      case 'pull-timeout':
        this.#pulls.timeout(timer.writer);
        break;
      case 'neighbours':
        this.#links.neighboursDue(timer.peer);
        break;
      case 'roll-call':
        this.#rollCall.due();
        break;
      case 'round':
        this.#pulls.roundDue();
        break;
      case 'digest-timeout':
        this.#pulls.digestTimeout(timer.batch);
        break;
      case 'dial':
        this.#links.dialDue(timer.peer);
        break;
      case 'aside':
        this.#asides.due(this.#circle.get(timer.peer));
        break;
      case 'recall':
        this.#recall.due();
        break;
      case 'stage':
        this.#pulls.stageDue(timer.writer);
        break;
      case 'report':
        this.#circle.reportDue();
        break;
      case 'sweep':
        this.#circle.sweep();
        this.#context.after(SWEEP, { kind: 'sweep' });
        break;
    }
  }

  #change(offers: Extract<Event, { kind: 'offers' }>['changes']): void {
    if (this.#context.settings.passive) return;
    const { changes, refused } = this.#own.change(offers);
    if (refused > 0) this.#context.warn('limit', `${refused} files are not shared: there are too many`);
    if (changes.length === 0) return;
    this.#circle.index.show(this.#own.shelf);
    this.#circle.report(this.#context.settings.id, changes);
    if (this.#running) this.#announcer.changed();
  }

  #changeAsides(offers: Extract<Event, { kind: 'asides' }>['changes']): void {
    if (this.#context.settings.passive) return;
    const refused = this.#asides.change(offers, OFFERS_PER_PEER_MAX - this.#own.shelf.count);
    if (refused > 0) this.#context.warn('limit', `${refused} files are not shared: there are too many`);
  }

  /** Says goodbye, more than once because datagrams are lost. */
  #stop(): void {
    this.#running = false;
    if (this.#context.settings.passive) return;
    const goodbye = this.#own.leave();
    for (let i = 0; i < 3; i++) this.#context.multicast(goodbye);
    this.#links.tellAll(goodbye);
  }

  /** What a peer answered to a one-shot: hints, put on a shelf that nothing has proved. */
  #found(peer: PeerId, offers: Extract<Event, { kind: 'found' }>['offers'], aside: boolean): void {
    const member = this.#circle.get(peer);
    if (!this.#context.asksOnly || member?.state !== 'live') return;
    if (aside) {
      if (this.index.load < HITS_MAX) this.#asides.found(member, offers);
      return;
    }
    if (!member.shelf) {
      member.shelf = new Shelf(peer, member.head.epoch);
      this.#circle.index.show(member.shelf);
    }
    const { shelf } = member;
    const changes = [];
    for (const offer of offers) {
      if (offer.kind === 'removed' || this.index.load >= HITS_MAX) continue;
      const before = shelf.get(offer.path);
      if (!shelf.put(offer)) continue;
      const change = { before, after: shelf.get(offer.path) };
      this.#circle.index.show(shelf);
      changes.push(change);
    }
    this.#circle.report(peer, changes);
  }
}
