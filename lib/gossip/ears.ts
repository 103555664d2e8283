/**
 * Ears: who hears whom of what is said to everyone, as far as can be told.
 * Owns nothing. Always true: one is taken to hear us whom we hear; where we hear nobody, or nobody answers us, it is ours that is
 * out of reach. Called by links.
 */
import type { Millis } from '../clock.js';
import type { Circle } from './circle.js';
import type { Context } from './context.js';
import { isNear } from './ladder.js';
import type { Member } from './member.js';

/** Who has had no answer to what it asked everyone for so long is taken to be heard by nobody. */
const MUTE: Millis = 5000;

export class Ears {
  readonly #context: Context;
  readonly #circle: Circle;

  constructor(context: Context, circle: Circle) {
    this.#context = context;
    this.#circle = circle;
  }

  /** Whether what a peer says to everyone reached us lately, by multicast or by broadcast. */
  hear({ multicastAt, broadcastAt }: Member): boolean {
    return this.#context.now - Math.max(multicastAt, broadcastAt) <= this.#circle.deafAfter;
  }

  /** Whether a peer is out of our reach, as we are out of its; one that answered a datagram has yet to be heard for a while. */
  miss(member: Member): boolean {
    if (this.hear(member)) return false;
    const { now, heardAt } = this.#context;
    // Who hears others has only missed this one; who hears nobody is out of reach himself.
    const grace = now - heardAt <= this.#circle.interval ? this.#circle.deafAfter : this.#circle.interval / 2;
    return !isNear(member.via) || now - member.liveSince > grace;
  }

  /** Whether nobody has answered what we asked everyone: those who do not hear us are told by connections that we are here. */
  get isMute(): boolean {
    const { isAnswered, startedAt, now } = this.#context;
    return !isAnswered && now - startedAt > MUTE;
  }
}
