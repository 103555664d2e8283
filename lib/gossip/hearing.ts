/**
 * Hearing: what others say, and what it means for the circle, the pulls and the links.
 * Owns the answers that wait for their moment. Always true: nothing counts before its signature was checked; a datagram makes
 * nobody live unless it answers a nonce of ours, and keeps nobody live unless it was signed after all that was heard before; no
 * answer is larger than its question; a nonce of our own is not signed while it counts.
 * Called by gossip.
 */
import type { Millis } from '../clock.js';
import { formatEndpoint } from '../endpoint.js';
import type { PeerId } from '../ids.js';
import { COUNTER_MAX } from '../limits.js';
import { sumOfLoads } from '../offer.js';
import type { Proof } from '../shelf/shelf.js';
import { applyDelta } from '../shelf/staging.js';
import { encode } from '../wire/codec.js';
import { type Head, leaveStatement, PASSIVE } from '../wire/head.js';
import type { Message, MessageOf } from '../wire/table.js';
import type { Announcer } from './announcer.js';
import { Budget } from './budget.js';
import { type Circle, isLater } from './circle.js';
import type { Context } from './context.js';
import type { Address, Event } from './events.js';
import type { Heads, Way } from './heads.js';
import type { Links } from './links.js';
import { addProved, type Member } from './member.js';
import type { Own } from './own.js';
import { answerDelay } from './pace.js';
import type { Pulls } from './pulls.js';
import { Twin } from './twin.js';

/**
 * Questions answered in a second, for one who asks and for all, each with a signature of its own: of strangers by address (one
 * may have many peers), of live members where they are known.
 */
const STRANGERS = [100, 400] as const;
const MEMBERS = [10, 200] as const;
/** Own epochs are not raised more often, lest two of one state folder chase each other. */
const RAISE_GAP: Millis = 10_000;
/** Own epochs are followed up to here: no number of starts comes so far, and above it there is room to go on raising. */
const EPOCH_FOLLOWED = COUNTER_MAX / 2;

/** An answer that waits for its moment. */
interface Answer {
  to: Address;
  nonce: Uint8Array;
  /** Bytes of the question, which the answer may not exceed. */
  size: number;
}

/** By datagram, or over the connection of a peer. */
type Heard = { kind: 'datagram'; host: string; from: Address; multicast: boolean } | { kind: 'link'; peer: PeerId };

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
  readonly #twin: Twin;
  readonly #strangers: Budget;
  readonly #members: Budget;
  readonly #answers = new Map<number, Answer>();
  #answerNumber = 0;
  #raisedAt: Millis = Number.NEGATIVE_INFINITY;
  /** Told already that an own epoch is too high to be followed. */
  #toldWild = false;

  constructor({ context, heads, own, circle, pulls, links, announcer }: Parts) {
    this.#context = context;
    this.#heads = heads;
    this.#own = own;
    this.#circle = circle;
    this.#pulls = pulls;
    this.#links = links;
    this.#announcer = announcer;
    this.#twin = new Twin(context, () => own.heartbeatSize());
    this.#strangers = new Budget(...STRANGERS, context.random);
    this.#members = new Budget(...MEMBERS, context.random);
  }

  /** O, Q, L or C by datagram. @param from its sender */
  datagram(message: Message, from: Address, multicast: boolean): void {
    const way: Heard = { kind: 'datagram', host: from.host, from, multicast };
    if (message.type === 'O') this.#offer(message, way);
    else if (message.type === 'Q') this.#question(message, from, multicast);
    else if (message.type === 'L') this.#leave(message, way);
    else if (message.type === 'C' && message.to === this.#context.settings.id) {
      const member = this.#circle.get(message.from);
      if (member) this.#links.called(member, formatEndpoint({ host: from.host, port: message.port }));
    }
  }

  /** O, L or N over the connection of a peer. */
  message(peer: PeerId, message: Message): void {
    if (message.type === 'O') this.#offer(message, { kind: 'link', peer });
    else if (message.type === 'L') this.#leave(message, { kind: 'link', peer });
    else if (message.type === 'N') this.#links.told(message.peers, peer);
  }

  /** Somebody's word on itself, by datagram or over its own connection. */
  #offer(message: MessageOf<'O'>, way: Heard): void {
    const { id: me } = this.#context.settings;
    const proof: Proof = { head: message.head, sig: message.sig };
    const head = this.#heads.check(proof, way);
    if (!head) return;
    if (head.id === me) {
      this.#mirror(head, way);
      return;
    }
    if (head.flags & PASSIVE || (way.kind === 'link' && way.peer !== head.id)) return;
    const known = this.#circle.get(head.id);
    if (known && head.epoch < known.head.epoch) {
      this.#remind(known, head, message, way);
      return;
    }
    const member = this.#circle.meet(head, proof, 'multicast');
    if (!member) return;
    if (way.kind === 'link') {
      // What comes over its own connection is its own, unless it was sent before the goodbye that overtook it.
      if (member.leftEpoch >= head.epoch) return;
      member.tellsAt = this.#context.now;
      this.#revive(member, head);
      this.#links.answer(member, this.#own.heartbeat());
    } else if (!this.#heard(member, head, way)) return;
    this.#apply(member, head, message, proof);
  }

  /** By datagram. @returns whether it is live */
  #heard(member: Member, head: Head, { from, multicast }: Extract<Heard, { kind: 'datagram' }>): boolean {
    const { nonces, now } = this.#context;
    const { sign } = member;
    if (nonces.serialOf(head.echo, now) > member.mark) {
      member.udp = from;
      member.asked.delete(formatEndpoint(from));
      addProved(member, { host: from.host, port: head.port });
      this.#revive(member, head);
    } else if (!this.#circle.isKnownAt(member.id, from.host)) {
      // Not known to be alive, or not at this address: a copy of its words could have been sent by anyone.
      this.#circle.ask(member, from);
      return member.state === 'live';
    } else if (!sign || isLater(head, sign)) {
      addProved(member, { host: from.host, port: head.port });
      this.#circle.hear(member, head);
    }
    // A telling that comes after a copy of it by another way shows as well that its multicast reaches us.
    if (multicast && !(sign && isLater(sign, head))) {
      member.multicastAt = now;
      member.via = 'multicast';
    }
    return true;
  }

  #revive(member: Member, head: Head): void {
    if (this.#circle.revive(member, head)) this.#links.introduce(member);
  }

  /** Takes what a message brings, or sees to it that the rest is fetched. */
  #apply(member: Member, head: Head, message: MessageOf<'O'>, proof: Proof): void {
    if (this.#context.asksOnly) return;
    const load = (member.shelf?.load ?? 0) + sumOfLoads(message.offers);
    if (message.offers.length > 0 && this.#circle.takeRoom(head, member.shelf, load)) {
      const applied = applyDelta(member.shelf, member.id, message.from, message.offers, head, proof);
      if (applied) this.#circle.commit(member, applied);
    }
    this.#pulls.want(member);
  }

  /** My own words come back to me: those of an earlier run of mine that others remember, or of one that has a copy of my key. */
  #mirror(head: Head, way: Heard): void {
    const { shelf } = this.#own;
    if (this.#context.settings.passive) return;
    if (way.kind === 'datagram') this.#twin.heard(head, way.from);
    // Two of one key would go above each other for ever.
    if (head.epoch < shelf.epoch || this.#twin.isThere) return;
    if (head.epoch === shelf.epoch) {
      if (head.version < shelf.version) return;
      if (head.version === shelf.version && Buffer.compare(head.root, shelf.tree.root()) === 0) return;
    }
    if (this.#context.now - this.#raisedAt < RAISE_GAP) return;
    if (head.epoch >= EPOCH_FOLLOWED) {
      if (!this.#toldWild) {
        this.#context.warn(
          'state-damaged',
          `others have heard of a run of this peer with the number ${head.epoch}, which no later one can go above, so they do not ` +
            `list this one: stop, remove identity.json from the state folder, and start again as a new peer`,
        );
      }
      this.#toldWild = true;
      return;
    }
    this.#raisedAt = this.#context.now;
    this.#own.raise(head.epoch + 1);
    this.#announcer.start();
  }

  /** One that begins below an epoch of its own that is known here is told so, in its own words. */
  #remind(member: Member, said: Head, message: MessageOf<'O'>, way: Heard): void {
    const { head, sig } = member.proof;
    const answer: MessageOf<'O'> = { type: 'O', head, sig, from: member.head.version, offers: [] };
    if (way.kind === 'link') this.#context.tell(way.peer, answer);
    else if (this.#strangers.take(way.host, this.#context.now)) {
      if (encode(answer).length <= encode(message).length) this.#context.reply(way.from, answer);
      // Longer than what was said, as it had more to offer then: over a connection.
      else if (said.port > 0) this.#links.dialSome(member, formatEndpoint({ host: way.host, port: said.port }));
    }
  }

  #question(message: MessageOf<'Q'>, from: Address, multicast: boolean): void {
    const { now, nonces, settings } = this.#context;
    const { id: me, passive } = settings;
    if (passive || (message.to !== '' && message.to !== me)) return;
    // My own question comes back: signed, it would look as if there were two of me.
    if (nonces.serialOf(message.nonce, now) > 0) return;
    if (message.from !== me) this.#links.asked(message.from);
    const isMember = this.#circle.isKnownAt(message.from, from.host) && this.#members.take(message.from, now);
    if (!isMember && !this.#strangers.take(from.host, now)) return;
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

  #leave({ id, epoch, sig }: MessageOf<'L'>, way: Way): void {
    const member = this.#circle.get(id);
    if (!member || epoch < member.head.epoch) return;
    if (member.leftEpoch >= epoch) return;
    if (!this.#heads.verify(member.head, leaveStatement(id, epoch), sig, way)) return;
    this.#circle.bury(member, epoch);
    this.#pulls.gone(id);
  }

  /** A live peer's time may be over. */
  expire(peer: PeerId): void {
    // Others tell a one-shot nothing over its connections, so there the connection itself has to do; and how often one tells a
    // tracker follows from how many it knows itself.
    const { passive, tracker } = this.#context.settings;
    const isEnough = (member: Member): boolean => (passive || tracker) && this.#links.has(member.id);
    const member = this.#circle.get(peer);
    if (!member) return;
    const outcome = this.#circle.expire(member, isEnough);
    if (outcome === 'asked' && this.#links.has(peer)) this.#links.tell(member, this.#own.heartbeat());
    if (outcome === 'gone') {
      this.#pulls.gone(peer);
      this.#links.gone(member);
    }
  }

  /** Somebody's connection to a peer broke: it is gone, unless it is heard, or connected with us. */
  departed(peer: PeerId): void {
    const member = this.#circle.get(peer);
    if (!member || this.#links.has(peer) || this.#links.isHeard(member)) return;
    this.#circle.bury(member, 0);
    this.#pulls.gone(peer);
    // It comes back by itself, and whoever told of its end tells of that.
    this.#links.forget(peer);
  }

  /** @param refused nobody listens there any more */
  dialFailed(peer: PeerId, refused: boolean): void {
    const member = this.#circle.get(peer);
    if (refused && member && this.#links.isCutOff(member)) {
      this.#circle.bury(member, 0);
      this.#pulls.gone(peer);
    }
    this.#links.dialFailed(peer);
  }

  /** A handshake proved a peer's key. */
  connected({ peer, head: packed, sig, address, dialled }: Extract<Event, { kind: 'connected' }>): void {
    const proof: Proof = { head: packed, sig };
    const head = this.#heads.check(proof, { kind: 'handshake' });
    if (head?.id !== peer || peer === this.#context.settings.id) return;
    const host = address?.host ?? '';
    if (head.flags & PASSIVE) {
      this.#links.connected(peer, host, undefined);
      return;
    }
    const known = this.#circle.get(peer);
    if (known && head.epoch < known.head.epoch) {
      const { head: newer, sig: newerSig } = known.proof;
      this.#links.connected(peer, host, undefined);
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
    if (address) addProved(member, address);
    this.#revive(member, head);
    this.#links.connected(peer, host, member);
    this.#pulls.want(member);
  }
}
