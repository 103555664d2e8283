/**
 * Gossip: how the index comes to be. One switch over events; what it decides comes back as effects.
 * Owns the parts and which of them hears of what. Always true: the same events at the same times, with the same chance, give
 * the same effects; nothing is sent, read or waited for in here.
 * The driver calls `handle`, and carries out what it returns; everyone may read.
 */
import type { Millis, Random } from '../clock.js';
import type { Code } from '../errors.js';
import type { PeerId } from '../ids.js';
import { HITS_MAX } from '../limits.js';
import { encode } from '../wire/codec.js';
import { type Head, leaveStatement, PASSIVE } from '../wire/head.js';
import type { Message, MessageOf, Neighbour } from '../wire/table.js';
import { Announcer } from './announcer.js';
import { answerFind, answerPull } from './answers.js';
import { Circle, SWEEP } from './circle.js';
import { Context } from './context.js';
import type { Address, Effect, Event, PeerInfo, Settings, Signer, Timer } from './events.js';
import { Heads } from './heads.js';
import type { Index } from './index.js';
import { Links } from './links.js';
import { addAddress, addressText, infoOf, type Member } from './member.js';
import { Own } from './own.js';
import { answerDelay, TokenBucket } from './pace.js';
import { Pulls } from './pulls.js';
import { type Proof, Shelf } from './shelf.js';
import { applyDelta } from './staging.js';

export type { Address, Effect, Event, PeerInfo, Pull, Settings, Signer, Timer } from './events.js';
export type { Index } from './index.js';

/** Questions answered in a second, each with a signature of its own. */
const ANSWERS_PER_SECOND = 500;
/** Own epochs are not raised more often, lest two of one state folder chase each other. */
const RAISE_GAP: Millis = 10_000;

/** An answer that waits for its moment. */
interface Answer {
  to: Address;
  nonce: Uint8Array;
  /** Bytes of the question, which the answer may not exceed. */
  size: number;
}

export class Gossip {
  readonly index: Index;
  readonly #context: Context;
  readonly #heads: Heads;
  readonly #own: Own;
  readonly #circle: Circle;
  readonly #pulls: Pulls;
  readonly #links: Links;
  readonly #announcer: Announcer;
  readonly #budget = new TokenBucket(ANSWERS_PER_SECOND);
  readonly #answers = new Map<number, Answer>();
  #answerNumber = 0;
  #running = false;
  #raisedAt: Millis = Number.NEGATIVE_INFINITY;

  /**
   * @param signer signs with my key, checks with others'
   * @param random chance for jitter
   * @param bytes16 nonces: 16 bytes that nobody can guess
   */
  constructor(settings: Settings, signer: Signer, random: Random, bytes16: () => Uint8Array) {
    this.#context = new Context(settings, signer, random, bytes16);
    this.#heads = new Heads(signer);
    this.#own = new Own(settings, signer);
    this.#circle = new Circle(this.#context, () => this.#own.heartbeatSize());
    this.#pulls = new Pulls(this.#context, this.#circle, this.#heads);
    this.#links = new Links(this.#context, this.#circle, this.#heads);
    this.#announcer = new Announcer(this.#context, this.#own, this.#circle, this.#links);
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
    const { id, passive } = this.#context.settings;
    if (message.writer === id && !passive) return answerPull(this.#own.shelf, this.#own.head(), message);
    const shelf = this.#circle.get(message.writer)?.shelf;
    return shelf?.proof ? answerPull(shelf, shelf.proof, message) : { code: 'not-found' };
  }

  /**
   * Which of my own offers fit. The matching is done as the pages are taken, so that a large share need not be searched at once.
   * @throws HearsayError `usage` for a pattern that is too long, at the first page
   */
  answerFind(message: MessageOf<'F'>): Iterable<MessageOf<'I'>> {
    return answerFind(this.#context.settings.passive ? [] : [...this.#own.shelf.offers()], message);
  }

  #self(): PeerInfo {
    const { id, key, name, tracker } = this.#context.settings;
    const { files, bytes } = this.#own.shelf;
    return { id, name, addresses: [], files, bytes, tracker, self: true, via: 'self', key, ...this.#own.head() };
  }

  #start(): void {
    if (this.#running) return;
    this.#running = true;
    this.#announcer.start();
    this.#context.after(SWEEP, { kind: 'sweep' });
  }

  #handle(event: Exclude<Event, { kind: 'start' | 'offers' }>): void {
    switch (event.kind) {
      case 'stop':
        this.#stop();
        break;
      case 'datagram':
        this.#datagram(event.message, event.from, event.multicast);
        break;
      case 'message':
        this.#message(event.peer, event.message);
        break;
      case 'connected':
        this.#connected(event);
        break;
      case 'disconnected':
        this.#links.disconnected(event.peer);
        break;
      case 'dial-failed':
        if (event.peer !== undefined) this.#links.dialFailed(event.peer);
        break;
      case 'delta':
        this.#pulls.page(event.from, event.writer, event.message);
        break;
      case 'pull-failed':
        this.#pulls.failed(event.from, event.writer);
        break;
      case 'found':
        this.#found(event.peer, event.offers);
        break;
      case 'timer':
        this.#timer(event.timer);
        break;
      case 'interfaces-changed':
        this.#announcer.start();
        break;
    }
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
        this.#expire(timer.peer);
        break;
      case 'ask':
        this.#circle.askAgain(timer.peer);
        break;
      case 'answer':
        this.#answer(timer.number);
        break;
      case 'pull':
        this.#pulls.due(timer.writer);
        break;
      case 'pull-timeout':
        this.#pulls.timeout(timer.writer);
        break;
      case 'dial':
        this.#links.dialDue(timer.peer);
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
    this.#circle.index.change(this.#own.shelf, changes);
    this.#circle.report(changes);
    if (this.#running) this.#announcer.changed();
  }

  /** Says goodbye, more than once because datagrams are lost. */
  #stop(): void {
    this.#running = false;
    if (this.#context.settings.passive) return;
    const goodbye = this.#own.leave();
    for (let i = 0; i < 3; i++) this.#context.multicast(goodbye);
    this.#links.tellAll(goodbye);
  }

  #datagram(message: Message, from: Address, multicast: boolean): void {
    if (message.type === 'O') this.#offer(message, { from, multicast });
    else if (message.type === 'Q') this.#question(message, from, multicast);
    else if (message.type === 'L') this.#leave(message);
    else if (message.type === 'C' && message.to === this.#context.settings.id) {
      const member = this.#circle.get(message.from);
      if (member) this.#links.called(member, addressText({ host: from.host, port: message.port }));
    }
  }

  #message(peer: PeerId, message: Message): void {
    if (message.type === 'O') this.#offer(message, { link: peer });
    else if (message.type === 'L') this.#leave(message);
    else if (message.type === 'N') this.#links.told(message.peers);
  }

  /** Somebody's word on itself, by datagram or over its own connection. */
  #offer(message: MessageOf<'O'>, way: { from: Address; multicast: boolean } | { link: PeerId }): void {
    const { id: me } = this.#context.settings;
    const proof: Proof = { head: message.head, sig: message.sig };
    const head = this.#heads.check(proof, this.#context.now);
    if (!head) return;
    if (head.id === me) {
      this.#mirror(head);
      return;
    }
    if (head.flags & PASSIVE || ('link' in way && way.link !== head.id)) return;
    const known = this.#circle.get(head.id);
    if (known && head.epoch < known.head.epoch) {
      this.#remind(known, message, way);
      return;
    }
    const member = this.#circle.meet(head, proof, 'multicast');
    if (!member) return;
    if ('link' in way) {
      // What comes over its own connection is its own, unless it was sent before the goodbye that overtook it.
      if (member.leftEpoch >= head.epoch) return;
      member.tellsAt = this.#context.now;
      this.#revive(member);
      this.#links.answer(member, this.#own.heartbeat());
    } else if (!this.#heard(member, head, way.from, way.multicast)) return;
    this.#apply(member, head, message, proof);
  }

  /** By datagram. @returns whether it is live */
  #heard(member: Member, head: Head, from: Address, multicast: boolean): boolean {
    const address = addressText({ host: from.host, port: head.port });
    if (this.#context.nonces.serialOf(head.echo, this.#context.now) > member.mark) {
      member.udp = from;
      member.asked.delete(addressText(from));
      if (head.port > 0) addAddress(member, address);
      this.#revive(member);
    } else if (member.state === 'live' && (head.port === 0 || member.addresses.has(address))) {
      if (head.port > 0) addAddress(member, address);
      this.#circle.hear(member);
    } else {
      // Not known to be alive, or not at this address: a copy of its words could have been sent by anyone.
      this.#circle.ask(member, from);
      if (member.state !== 'live') return false;
    }
    if (multicast) {
      member.multicastAt = this.#context.now;
      member.via = 'multicast';
    }
    return true;
  }

  #revive(member: Member): void {
    if (this.#circle.revive(member)) this.#links.introduce(member);
  }

  /** Takes what a message brings, or sees to it that the rest is fetched. */
  #apply(member: Member, head: Head, message: MessageOf<'O'>, proof: Proof): void {
    if (this.#context.asksOnly) return;
    if (message.offers.length > 0 && this.#circle.hasRoom(head, member.shelf)) {
      const applied = applyDelta(member.shelf, member.id, message.from, message.offers, head, proof);
      if (applied) this.#circle.commit(member, applied);
    }
    this.#pulls.want(member);
  }

  /** My own words come back to me: my own multicast, or those of an earlier run of mine that others remember. */
  #mirror(head: Head): void {
    const { shelf } = this.#own;
    if (head.epoch < shelf.epoch || this.#context.settings.passive) return;
    if (head.epoch === shelf.epoch) {
      if (head.version < shelf.version) return;
      if (head.version === shelf.version && Buffer.compare(head.root, shelf.tree.root()) === 0) return;
    }
    if (this.#context.now - this.#raisedAt < RAISE_GAP) return;
    if (this.#raisedAt > Number.NEGATIVE_INFINITY) {
      this.#context.warn('state-in-use', 'another peer uses a copy of this state folder: each needs one of its own');
    }
    this.#raisedAt = this.#context.now;
    this.#own.raise(head.epoch + 1);
    this.#announcer.start();
  }

  /** One that begins below an epoch of its own that is known here is told so, in its own words. */
  #remind(member: Member, message: MessageOf<'O'>, way: { from: Address } | { link: PeerId }): void {
    const { head, sig } = member.proof;
    const answer: MessageOf<'O'> = { type: 'O', head, sig, from: member.head.version, offers: [] };
    if ('link' in way) this.#context.tell(way.link, answer);
    else if (this.#budget.take(this.#context.now) && encode(answer).length <= encode(message).length) {
      this.#context.reply(way.from, answer);
    }
  }

  #question(message: MessageOf<'Q'>, from: Address, multicast: boolean): void {
    const { id: me, passive } = this.#context.settings;
    if (passive || message.from === me || (message.to !== '' && message.to !== me)) return;
    this.#links.asked(message.from);
    if (!this.#budget.take(this.#context.now)) return;
    const number = ++this.#answerNumber;
    this.#answers.set(number, { to: from, nonce: message.nonce, size: encode(message).length });
    if (!multicast || message.to === me) this.#answer(number);
    else {
      const delay = answerDelay(this.#circle.size, this.#context.random);
      this.#context.after(delay, { kind: 'answer', number });
    }
  }

  #answer(number: number): void {
    const answer = this.#answers.get(number);
    this.#answers.delete(number);
    if (!answer) return;
    const message = this.#own.answer(answer.nonce);
    if (encode(message).length <= answer.size) this.#context.reply(answer.to, message);
  }

  #leave({ id, epoch, sig }: MessageOf<'L'>): void {
    const member = this.#circle.get(id);
    if (!member || epoch < member.head.epoch) return;
    if (member.leftEpoch >= epoch) return;
    if (!this.#heads.verify(member.head.key, leaveStatement(id, epoch), sig, this.#context.now)) return;
    this.#circle.bury(member, epoch);
    this.#pulls.gone(id);
  }

  #expire(peer: PeerId): void {
    // Others tell a one-shot nothing over its connections, so there the connection itself has to do.
    const isEnough = (member: Member): boolean => this.#context.settings.passive && this.#links.has(member.id);
    const member = this.#circle.get(peer);
    if (!member) return;
    const outcome = this.#circle.expire(member, isEnough);
    if (outcome === 'asked' && this.#links.has(peer)) this.#links.tell(member, this.#own.heartbeat());
    if (outcome === 'gone') {
      this.#pulls.gone(peer);
      this.#links.gone(member);
    }
  }

  #connected({ peer, head: packed, sig, address, dialled }: Extract<Event, { kind: 'connected' }>): void {
    const proof: Proof = { head: packed, sig };
    const head = this.#heads.check(proof, this.#context.now);
    if (head?.id !== peer || peer === this.#context.settings.id) return;
    if (head.flags & PASSIVE) {
      this.#links.connected(peer, undefined);
      return;
    }
    const known = this.#circle.get(peer);
    if (known && head.epoch < known.head.epoch) {
      const { head: newer, sig: newerSig } = known.proof;
      this.#links.connected(peer, undefined);
      const offers: MessageOf<'O'>['offers'] = [];
      this.#context.tell(peer, { type: 'O', head: newer, sig: newerSig, from: known.head.version, offers });
      return;
    }
    const wasDialled = this.#links.isDialled(peer);
    const member = this.#circle.meet(head, proof, 'call');
    if (!member) return;
    if (member.state !== 'live' && member.via !== 'multicast') {
      member.via = !dialled ? 'call' : wasDialled ? 'relay' : 'join';
    }
    if (address.port > 0) addAddress(member, addressText(address));
    this.#revive(member);
    this.#links.connected(peer, member);
    this.#pulls.want(member);
  }

  /** What a peer answered to a one-shot: hints, put on a shelf that nothing has proved. */
  #found(peer: PeerId, offers: Extract<Event, { kind: 'found' }>['offers']): void {
    const member = this.#circle.get(peer);
    if (!this.#context.asksOnly || member?.state !== 'live') return;
    if (!member.shelf) {
      member.shelf = new Shelf(peer, member.head.epoch);
      this.#circle.index.show(member.shelf);
    }
    const { shelf } = member;
    const changes = [];
    for (const offer of offers) {
      if (offer.kind === 'removed' || this.index.size >= HITS_MAX) continue;
      const before = shelf.get(offer.path);
      if (!shelf.put(offer)) continue;
      const change = { before, after: shelf.get(offer.path) };
      this.#circle.index.change(shelf, [change]);
      changes.push(change);
    }
    this.#circle.report(changes);
  }
}
