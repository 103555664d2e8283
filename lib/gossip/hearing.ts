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
import { Latest } from '../latest.js';
import { ASKERS_MAX, COUNTER_MAX } from '../limits.js';
import { sumOfLoads } from '../offer.js';
import type { Proof } from '../shelf/shelf.js';
import { encode } from '../wire/codec.js';
import { type Head, leaveStatement, PASSIVE } from '../wire/head.js';
import type { Message, MessageOf } from '../wire/table.js';
import type { Announcer } from './announcer.js';
import type { Asks } from './asks.js';
import { Budget } from './budget.js';
import { type Circle, isLater } from './circle.js';
import { type Context, QUESTION_MIN } from './context.js';
import type { Address, Broadcast, Event } from './events.js';
import type { Heads, Way } from './heads.js';
import { isNear, type Ladder } from './ladder.js';
import type { Links } from './links.js';
import { addProved, addSeen, FEW, type Member } from './member.js';
import type { Own } from './own.js';
import { AT_ONCE, answerDelay, shareOf, TokenBucket } from './pace.js';
import type { Pulls } from './pulls.js';
import type { Pulses } from './pulses.js';
import type { Recall } from './recall.js';
import type { RollCall } from './roll-call.js';
import type { Suspicion } from './suspicion.js';
import { Twin } from './twin.js';

/**
 * Questions answered in a second, for one who asks and for all, each with a signature of its own: of strangers by address (one
 * may have many peers), of live members where they are known.
 */
const STRANGERS = [100, 400] as const;
const MEMBERS = [10, 200] as const;
/** What somebody asks by broadcast so soon after multicast is the same. */
const ASKED_TWICE: Millis = 2000;
/** Those who lead answer newcomers with a heartbeat for all, not more often. */
const LEAD_GAP: Millis = 1000;
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
  /** Whether everyone was asked: it is answered by each card, so that whoever asks learns of all. */
  everywhere: boolean;
}

/** By datagram, or over the connection of a peer. */
type Heard =
  | { kind: 'datagram'; host: string; from: Address; multicast: boolean; broadcast: Broadcast | undefined }
  | { kind: 'link'; peer: PeerId };

/** The parts that hear of what was said. */
export interface Parts {
  context: Context;
  heads: Heads;
  own: Own;
  circle: Circle;
  pulls: Pulls;
  links: Links;
  announcer: Announcer;
  asks: Asks;
  pulses: Pulses;
  suspicion: Suspicion;
  ladder: Ladder;
  recall: Recall;
  rollCall: RollCall;
}

export class Hearing {
  readonly #context: Context;
  readonly #heads: Heads;
  readonly #own: Own;
  readonly #circle: Circle;
  readonly #pulls: Pulls;
  readonly #links: Links;
  readonly #announcer: Announcer;
  readonly #asks: Asks;
  readonly #pulses: Pulses;
  readonly #suspicion: Suspicion;
  readonly #ladder: Ladder;
  readonly #recall: Recall;
  readonly #rollCall: RollCall;
  /** Who asked everyone by multicast, and when. */
  readonly #askers = new Latest<PeerId, Millis>(ASKERS_MAX);
  readonly #twin: Twin;
  readonly #strangers: Budget;
  readonly #members: Budget;
  /** Questions to everyone. */
  readonly #together = new TokenBucket(AT_ONCE);
  readonly #answers = new Map<number, Answer>();
  #answerNumber = 0;
  #raisedAt: Millis = Number.NEGATIVE_INFINITY;
  /** Told already that an own epoch is too high to be followed. */
  #toldWild = false;

  constructor(parts: Parts) {
    const { context, own } = parts;
    this.#context = context;
    this.#heads = parts.heads;
    this.#own = own;
    this.#circle = parts.circle;
    this.#pulls = parts.pulls;
    this.#links = parts.links;
    this.#announcer = parts.announcer;
    this.#asks = parts.asks;
    this.#pulses = parts.pulses;
    this.#suspicion = parts.suspicion;
    this.#ladder = parts.ladder;
    this.#recall = parts.recall;
    this.#rollCall = parts.rollCall;
    this.#twin = new Twin(context, () => own.heartbeatSize());
    this.#strangers = new Budget(...STRANGERS, context.random);
    this.#members = new Budget(...MEMBERS, context.random);
  }

  /** O, Q, L, C or x by datagram. @param from its sender */
  datagram(message: Message, from: Address, multicast: boolean, broadcast?: Broadcast): void {
    const way: Heard = { kind: 'datagram', host: from.host, from, multicast, broadcast };
    if (message.type === 'O') this.#offer(message, way);
    else if (message.type === 'Q') this.#question(message, from, multicast, broadcast !== undefined);
    else if (message.type === 'L') this.#leave(message, way);
    // Said to one alone, it could not be heard, and be answered, by whom it is about.
    else if (message.type === 'x' && multicast) this.#suspicion.missing(message, from);
    else if (message.type === 'C' && message.to === this.#context.settings.id) {
      const member = this.#circle.get(message.from);
      if (member) this.#links.called(member, formatEndpoint({ host: from.host, port: message.port }));
    }
  }

  /** O, L, N or j over the connection of a peer. */
  message(peer: PeerId, message: Message): void {
    if (message.type === 'O') this.#offer(message, { kind: 'link', peer });
    else if (message.type === 'L') this.#leave(message, { kind: 'link', peer });
    else if (message.type === 'j') this.#rollCall.asked(peer, message.marks);
    else if (message.type === 'N' && this.#links.told(message.peers, peer)) this.#rollCall.told();
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
    } else if (!this.#heard(member, head, message.sig, way)) return;
    this.#apply(member, head, message, proof);
  }

  /** By datagram. @returns whether it is live */
  #heard(member: Member, head: Head, sig: Uint8Array, way: Extract<Heard, { kind: 'datagram' }>): boolean {
    const { from, multicast, broadcast } = way;
    const { nonces, now } = this.#context;
    const { sign } = member;
    const isNews = !sign || isLater(head, sign);
    const isThere = this.#circle.isKnownAt(member.id, from.host);
    if (nonces.serialOf(head.echo, now) > member.mark) {
      if (nonces.isOfAll(head.echo, now)) this.#context.isAnswered = true;
      member.udp = from;
      member.asked?.delete(formatEndpoint(from));
      addProved(member, { host: from.host, port: head.port });
      this.#revive(member, head);
      if (nonces.isBroadcast(head.echo, now)) this.#ladder.reached(member);
    } else if (!isThere && multicast && this.#pulses.proves(member, head, from)) {
      this.#admit(member, head, from);
    } else if (!isThere) {
      // Not known to be alive, or not at this address: a copy of its words could have been sent by anyone.
      if (multicast && member.state !== 'live') this.#pulses.heard(member, head, sig, false);
      if (multicast && member.state === 'candidate') this.#ladder.heard(member, broadcast);
      this.#asks.heard(member, from);
      return member.state === 'live';
    } else if (isNews) {
      if (member.hosts.size > 0) addProved(member, { host: from.host, port: head.port });
      this.#circle.hear(member, head);
    }
    if (multicast) this.#pulses.heard(member, head, sig, isNews);
    // A telling that comes after a copy of it by another way shows as well that this way reaches us.
    if (multicast && !broadcast) this.#context.heardAt = now;
    if (multicast && !(sign && isLater(sign, head))) this.#ladder.heard(member, broadcast);
    return true;
  }

  /** A peer is shown to be alive, and with it those whose words can only have followed its own. */
  #revive(member: Member, head: Head): void {
    this.#reviveOne(member, head);
    const proved = this.#pulses.revived(member, head);
    for (const next of proved) {
      this.#admit(next.member, next.head, next.from);
      this.#pulls.want(next.member);
      for (const more of this.#pulses.revived(next.member, next.head)) proved.push(more);
    }
  }

  /** A peer's words are its own and new, wherever they came from. */
  #admit(member: Member, head: Head, from: Address): void {
    if (member.state === 'live') {
      this.#circle.hear(member, head);
      // It speaks from here too, by another card perhaps.
      this.#asks.heard(member, from);
      return;
    }
    member.udp = from;
    addSeen(member, { host: from.host, port: head.port });
    this.#reviveOne(member, head);
  }

  #reviveOne(member: Member, head: Head): void {
    if (!this.#circle.revive(member, head)) return;
    this.#recall.came();
    this.#links.introduce(member);
  }

  /** Takes what a message brings, or sees to it that the rest is fetched. */
  #apply(member: Member, head: Head, message: MessageOf<'O'>, proof: Proof): void {
    if (this.#context.asksOnly) return;
    const load = (member.shelf?.load ?? 0) + sumOfLoads(message.offers);
    if (message.offers.length > 0 && this.#circle.takeRoom(head, member.shelf, load)) {
      const { shelving } = this.#context;
      this.#circle.settle(member);
      const applied = shelving.applyDelta(member.shelf, member.id, message.from, message.offers, head, proof);
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

  #question(message: MessageOf<'Q'>, from: Address, multicast: boolean, broadcast: boolean): void {
    const { now, nonces, settings } = this.#context;
    const { id: me, passive } = settings;
    if (multicast && message.to !== '' && message.to !== me) this.#suspicion.asked(message, from);
    if (passive || (message.to !== '' && message.to !== me)) return;
    // My own question comes back: signed, it would look as if there were two of me.
    if (nonces.serialOf(message.nonce, now) > 0) return;
    if (message.from !== me) this.#links.asked(message.from);
    const isForAll = multicast && message.to === '';
    if (isForAll && !broadcast) this.#announcer.asked();
    // The same that is asked by multicast is answered already.
    if (broadcast && now - (this.#askers.get(message.from) ?? Number.NEGATIVE_INFINITY) < ASKED_TWICE) return;
    if (multicast && !broadcast) this.#askers.set(message.from, now);
    const isMember = this.#circle.isKnownAt(message.from, from.host) && this.#members.take(message.from, now);
    if (!isMember && !this.#strangers.take(from.host, now)) return;
    const size = this.#context.sizeOf(message);
    if (!multicast) this.#askBack(message.from, from, size);
    if (multicast && this.#answersAll(message, isMember, size)) return;
    // Of very many who could answer only so many do: who asks among as many others has more of them later.
    if (isForAll && !this.#together.take(now, 1, shareOf(this.#circle.known))) return;
    const number = ++this.#answerNumber;
    this.#answers.set(number, { to: from, nonce: message.nonce, size, everywhere: multicast });
    if (!isForAll) this.answer(number);
    else {
      const delay = answerDelay(this.#circle.size, this.#context.random);
      this.#context.after(delay, { kind: 'answer', number });
    }
  }

  /** One that fell silent asks me alone: it hears me, though I may not hear what it says to all. Not for a smaller question than ours. */
  #askBack(id: PeerId, from: Address, size: number): void {
    const asker = this.#circle.get(id);
    if (asker?.state !== 'gone' || asker.leftEpoch >= asker.head.epoch) return;
    if (size >= QUESTION_MIN) this.#asks.heard(asker, from);
  }

  /**
   * Answers with a heartbeat that everyone hears: a member who asks aloud whether I am there, as others miss me too; and, if I lead, a
   * newcomer, who needs a pulse that all have heard.
   */
  #answersAll({ from, to, nonce }: MessageOf<'Q'>, isMember: boolean, size: number): boolean {
    if (to !== '') return isMember && this.#announcer.speakUp(nonce, undefined, size);
    const asker = this.#circle.get(from);
    const isNew = asker !== undefined && asker.state !== 'live';
    if (!isNew || this.#circle.known < FEW || !this.#circle.isLeading) return false;
    return this.#announcer.speakUp(nonce, LEAD_GAP, size);
  }

  /** The moment of an answer has come. */
  answer(number: number): void {
    const answer = this.#answers.get(number);
    this.#answers.delete(number);
    if (!answer) return;
    const message = this.#own.answer(answer.nonce);
    if (encode(message).length <= answer.size) this.#context.reply(answer.to, message, answer.everywhere);
  }

  #leave({ id, epoch, sig }: MessageOf<'L'>, way: Way): void {
    const member = this.#circle.get(id);
    if (!member || epoch < member.head.epoch) return;
    if (member.leftEpoch >= epoch) return;
    if (!this.#heads.verify(member.head, leaveStatement(id, epoch), sig, way)) return;
    this.#circle.bury(member, epoch);
    this.#pulls.gone(id);
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
    this.#recall.failed(peer);
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
    const isRecalled = this.#recall.connected(peer) && dialled;
    const member = this.#circle.meet(head, proof, 'call');
    if (!member) return;
    // One that was heard before it went may come back out of earshot.
    if (member.state === 'gone' || (member.state !== 'live' && !isNear(member.via))) {
      member.via = !dialled ? 'call' : isRecalled ? 'remembered' : wasDialled ? 'relay' : 'join';
    }
    if (address) addProved(member, address);
    this.#revive(member, head);
    this.#links.connected(peer, host, member);
    this.#pulls.want(member);
  }
}
