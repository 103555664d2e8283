/**
 * Suspicion: what becomes of a live peer that falls silent.
 *
 * Where a third of all datagrams is lost, at any time a third of all peers miss somebody's last heartbeat: if each of them asked,
 * a thousand would ask a million questions in a minute. So a silent peer is asked by some few, chosen by chance, quickly and often,
 * some of their questions aloud; then it is dialled. If it answers none of them, they say that it is missing, and all who miss it
 * too wait for a moment and let it go; a few of them pass it on. It hears that too, and may speak up. Whom nothing but a connection
 * reaches, whoever is connected asks itself.
 *
 * Owns what is said of missing peers. Always true: nobody is dropped who was heard lately enough not to be suspect, whoever says what;
 * nobody is called missing who was not asked PROBES times; a word about a missing peer counts only from a live member, said to everyone,
 * and not often; that somebody else asks puts our own question off no more than twice.
 * Called by gossip for the timers, and by hearing.
 */
import type { Millis } from '../clock.js';
import type { PeerId } from '../ids.js';
import { missingStatement } from '../wire/head.js';
import type { MessageOf } from '../wire/table.js';
import type { Announcer } from './announcer.js';
import { Budget } from './budget.js';
import type { Circle } from './circle.js';
import type { Context } from './context.js';
import type { Address } from './events.js';
import type { Heads } from './heads.js';
import { isNear } from './ladder.js';
import type { Links } from './links.js';
import { FEW, type Member } from './member.js';
import type { Own } from './own.js';
import { GRACE, isProber, MISSING_AGAIN, PATIENCE, PROBE_ALOUD, PROBE_GAP, PROBES, probeDelay } from './pace.js';
import type { Pulls } from './pulls.js';

/** Words about missing peers that are looked at in a second, of one member and of all. */
const WORDS = [20, 200] as const;
/** From this question on the suspect is dialled too. */
const DIALLED = 6;
/** One that others called missing before is asked by so many times as many. */
const MORE = 3;
/** One that was left to others more often than this is asked by twice as many each time. */
const LEFT = 2;
/** What is passed on is so within so long. */
const PASSED_ON: Millis = 500;
/** So often others are left to ask. */
const DEFERRED_MOST = 2;

interface Parts {
  context: Context;
  heads: Heads;
  own: Own;
  circle: Circle;
  links: Links;
  pulls: Pulls;
  announcer: Announcer;
}

export class Suspicion {
  readonly #parts: Parts;
  readonly #context: Context;
  readonly #circle: Circle;
  readonly #links: Links;
  readonly #words: Budget;
  /** What is to be said again, and how often it was. */
  readonly #said = new Map<PeerId, { message: MessageOf<'x'>; times: number }>();

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#context = parts.context;
    this.#circle = parts.circle;
    this.#links = parts.links;
    this.#words = new Budget(...WORDS, parts.context.random);
  }

  /** A live peer's time may be over. */
  due(peer: PeerId): void {
    const { now, random } = this.#context;
    const member = this.#circle.get(peer);
    if (member?.state !== 'live' || !this.#context.isDue(member.dueAt)) return;
    if (this.#isEnough(member)) this.#circle.hear(member);
    if (member.isMissing) {
      this.#drop(member);
      return;
    }
    const silence = this.#circle.silenceOf(member);
    if (!this.#context.isDue(member.heardAt + silence)) {
      this.#circle.expireIn(member, member.heardAt + silence - now);
      return;
    }
    const peers = this.#circle.size;
    if (!member.isOurs) {
      const isLong = now - member.heardAt > PATIENCE * this.#circle.interval;
      const more = (member.isAccused ? MORE : 1) * 2 ** Math.max(0, member.left - LEFT);
      member.isOurs = isLong || !this.#links.isHeard(member) || isProber(peers / more, random);
      if (!member.isOurs) member.left++;
      // Of one that is accused those who are left may be few: they do not wait for what it may say.
      const wait = member.isAccused ? (PROBES + 1) * PROBE_GAP + GRACE : this.#circle.interval;
      this.#circle.expireIn(member, member.isOurs ? probeDelay(peers, random) : wait);
    } else if (member.probes < PROBES) this.#probe(member);
    else this.#accuse(member);
  }

  /** Everybody hears that a member asks a suspect: so we need not. */
  asked({ from, to }: MessageOf<'Q'>, { host }: Address): void {
    const member = this.#circle.get(to);
    if (member?.state !== 'live' || this.#circle.size < FEW || !this.#circle.isKnownAt(from, host)) return;
    if (!this.#isSilent(member) || member.isMissing || member.deferred >= DEFERRED_MOST) return;
    member.deferred++;
    member.isOurs = false;
    member.probes = 0;
    this.#circle.expireIn(member, (PROBES + 1) * PROBE_GAP + GRACE);
  }

  /** A member says that a peer is missing, me perhaps. */
  missing(message: MessageOf<'x'>, { host }: Address): void {
    const { id, epoch, beat, from, sig } = message;
    const { now, random, settings } = this.#context;
    const teller = this.#circle.get(from);
    if (teller?.state !== 'live') return;
    if (id === settings.id) {
      // Whether it is signed or not: what it brings about is bounded, and can only put things right.
      if (!settings.passive) this.#parts.announcer.speakUp();
      return;
    }
    const member = this.#circle.get(id);
    if (member?.state !== 'live' || member.isMissing) return;
    if (!this.#words.take(from, now)) return;
    const statement = missingStatement(id, epoch, beat, from);
    if (!this.#parts.heads.verify(teller.head, statement, sig, { kind: 'datagram', host })) return;
    const { sign } = member;
    const isKnownLater = sign !== undefined && (sign.epoch > epoch || (sign.epoch === epoch && sign.beat > beat));
    if (isKnownLater || !this.#isSilent(member)) {
      // It was heard here after that: if it falls silent here too, hardly anybody else may be left to ask.
      member.isAccused = true;
      return;
    }
    member.isMissing = true;
    this.#circle.expireIn(member, GRACE);
    // Some who hear it pass it on, so that it reaches those too who lost it.
    if (settings.passive || !isProber(this.#circle.size, random)) return;
    this.#said.set(id, { message, times: 0 });
    this.#context.after(PASSED_ON * random(), { kind: 'missing', peer: id });
  }

  /** What was said of a missing peer is due to be said again. */
  sayAgain(peer: PeerId): void {
    const said = this.#said.get(peer);
    if (!said) return;
    const member = this.#circle.get(peer);
    // It spoke up, or is another by now.
    if (member?.state === 'live' && !member.isMissing) {
      this.#said.delete(peer);
      return;
    }
    this.#context.multicast(said.message);
    if (said.times >= MISSING_AGAIN.length) this.#said.delete(peer);
    else this.#context.after(MISSING_AGAIN[said.times++], { kind: 'missing', peer });
  }

  #isSilent(member: Member): boolean {
    return this.#context.isDue(member.heardAt + this.#circle.silenceOf(member));
  }

  #probe(member: Member): void {
    const { own } = this.#parts;
    member.probes++;
    const isAloud = member.probes % PROBE_ALOUD === 0;
    // To it alone with a nonce of its own: who floods us cannot copy that from the multicast.
    const ask = (alone: boolean) => this.#context.question(member.id, own.heartbeatSize(), alone, member.mark);
    if (member.udp) this.#context.reply(member.udp, ask(true));
    if (isAloud || (!member.udp && member.probes === 1)) this.#context.multicast(ask(false));
    if (this.#links.has(member.id)) {
      if (member.probes % PROBE_ALOUD === 1) this.#links.tell(member, own.heartbeat());
    } else if (member.probes === DIALLED && !(this.#context.settings.tracker && !isNear(member.via))) {
      // Who came to a tracker comes again by itself.
      this.#links.dial(member);
    }
    this.#circle.expireIn(member, PROBE_GAP);
  }

  /** It does not answer: everyone is told, and it gets a last chance. */
  #accuse(member: Member): void {
    const { settings, signer } = this.#context;
    member.isMissing = true;
    this.#circle.expireIn(member, GRACE);
    if (settings.passive) return;
    const { id } = member;
    const { epoch, beat } = member.sign ?? member.head;
    const sig = signer.sign(missingStatement(id, epoch, beat, settings.id));
    const message: MessageOf<'x'> = { type: 'x', id, epoch, beat, from: settings.id, sig };
    this.#context.multicast(message);
    this.#said.set(id, { message, times: 1 });
    this.#context.after(MISSING_AGAIN[0], { kind: 'missing', peer: id });
  }

  #drop(member: Member): void {
    this.#circle.bury(member, 0);
    this.#parts.pulls.gone(member.id);
    this.#links.gone(member);
  }

  /**
   * Whether its connection alone is enough to count as alive. Others tell a one-shot nothing over its connections; and how often one
   * tells a tracker follows from how many it knows itself.
   */
  #isEnough({ id }: Member): boolean {
    const { passive, tracker } = this.#context.settings;
    return (passive || tracker) && this.#links.has(id);
  }
}
