/**
 * Hearing: what others say, and what it means for the circle, the pulls and the links.
 * Owns the answers that wait for their moment. Always true: nothing counts before its signature was checked; a datagram makes
 * nobody live unless it answers a nonce of ours, and causes no larger datagram to the one who is asked about.
 * Called by gossip.
 */
import type { Millis } from '../clock.js';
import { formatEndpoint } from '../endpoint.js';
import type { PeerId } from '../ids.js';
import { encode } from '../wire/codec.js';
import { type Head, leaveStatement, PASSIVE } from '../wire/head.js';
import type { Message, MessageOf } from '../wire/table.js';
import type { Announcer } from './announcer.js';
import type { Circle } from './circle.js';
import type { Context } from './context.js';
import type { Address, Event } from './events.js';
import type { Heads } from './heads.js';
import type { Links } from './links.js';
import { addAddress, type Member } from './member.js';
import type { Own } from './own.js';
import { answerDelay, TokenBucket } from './pace.js';
import type { Pulls } from './pulls.js';
import type { Proof } from './shelf.js';
import { applyDelta } from './staging.js';

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

/** The parts that hear of what was said. */
export interface Parts {
  context: Context;
  heads: Heads;
  own: Own;
  circle: Circle;
  pulls: Pulls;
  links: Links;
  announcer: Announcer;
}

export class Hearing {
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
  #raisedAt: Millis = Number.NEGATIVE_INFINITY;

  constructor({ context, heads, own, circle, pulls, links, announcer }: Parts) {
    this.#context = context;
    this.#heads = heads;
    this.#own = own;
    this.#circle = circle;
    this.#pulls = pulls;
    this.#links = links;
    this.#announcer = announcer;
  }

  /** O, Q, L or C by datagram. @param from its sender */
  datagram(message: Message, from: Address, multicast: boolean): void {
    if (message.type === 'O') this.#offer(message, { from, multicast });
    else if (message.type === 'Q') this.#question(message, from, multicast);
    else if (message.type === 'L') this.#leave(message);
    else if (message.type === 'C' && message.to === this.#context.settings.id) {
      const member = this.#circle.get(message.from);
      if (member) this.#links.called(member, formatEndpoint({ host: from.host, port: message.port }));
    }
  }

  /** O, L or N over the connection of a peer. */
  message(peer: PeerId, message: Message): void {
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
    const address = formatEndpoint({ host: from.host, port: head.port });
    if (this.#context.nonces.serialOf(head.echo, this.#context.now) > member.mark) {
      member.udp = from;
      member.asked.delete(formatEndpoint(from));
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
    if (!multicast || message.to === me) this.answer(number);
    else {
      const delay = answerDelay(this.#circle.size, this.#context.random);
      this.#context.after(delay, { kind: 'answer', number });
    }
  }

  /** The moment of an answer has come. */
  answer(number: number): void {
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

  /** A live peer's time may be over. */
  expire(peer: PeerId): void {
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

  /** A handshake proved a peer's key. */
  connected({ peer, head: packed, sig, address, dialled }: Extract<Event, { kind: 'connected' }>): void {
    const proof: Proof = { head: packed, sig };
    const head = this.#heads.check(proof, this.#context.now);
    if (head?.id !== peer || peer === this.#context.settings.id) return;
    if (head.flags & PASSIVE) {
      this.#links.connected(peer, address.host, undefined);
      return;
    }
    const known = this.#circle.get(peer);
    if (known && head.epoch < known.head.epoch) {
      const { head: newer, sig: newerSig } = known.proof;
      this.#links.connected(peer, address.host, undefined);
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
    if (address.port > 0) addAddress(member, formatEndpoint(address));
    this.#revive(member);
    this.#links.connected(peer, address.host, member);
    this.#pulls.want(member);
  }
}
