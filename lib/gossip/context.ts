import type { Millis, Random } from '../clock.js';
import type { PeerId } from '../ids.js';
import { encode } from '../wire/codec.js';
import type { Message, MessageOf } from '../wire/table.js';
import type { Address, Effect, Occasion, Settings, Signer, Timer } from './events.js';
import { type Asked, Nonces } from './nonces.js';
import { SHELVING, type Shelving } from './shelving.js';

/** Bytes of a question at least, so that the answer is no larger. */
export const QUESTION_MIN = 450;

const EARLY: Millis = 5;
const NONE = new Uint8Array(0);

/**
 * What the parts of gossip share: who I am, the time of the event that is being handled, and the effects so far.
 * Gossip sets `now` and empties `effects` at each event; the parts only add to them.
 */
export class Context {
  readonly settings: Settings;
  readonly signer: Signer;
  readonly random: Random;
  readonly nonces: Nonces;
  readonly shelving: Shelving;
  /** Whether somebody has answered what I asked by multicast, so that I am heard. */
  isAnswered = false;
  /** When anybody was heard by multicast last. */
  heardAt: Millis = Number.NEGATIVE_INFINITY;
  startedAt: Millis = 0;
  now: Millis = 0;
  effects: Effect[] = [];
  /** Bytes of a question without its padding, by the length of the name of whom it asks; and the padding of the last one. */
  readonly #bare = new Map<number, number>();
  #pad = NONE;
  /** Says something to everyone, by the ways that the ladder knows. */
  spread: (message: Message, occasion: Occasion) => void = (message) => this.emit({ kind: 'multicast', message });

  constructor(
    settings: Settings,
    signer: Signer,
    random: Random,
    bytes16: () => Uint8Array,
    shelving: Shelving = SHELVING,
  ) {
    this.settings = settings;
    this.signer = signer;
    this.random = random;
    this.nonces = new Nonces(bytes16);
    this.shelving = shelving;
  }

  /** Whether this peer only asks, and keeps no index of its own by pulling. */
  get asksOnly(): boolean {
    return this.settings.passive && !this.settings.follow;
  }

  emit(effect: Effect): void {
    this.effects.push(effect);
  }

  /** To everyone near. */
  multicast(message: Message, occasion: Occasion = 'news'): void {
    this.spread(message, occasion);
  }

  /** @param everywhere from each of this machine's cards on that LAN */
  reply(to: Address, message: Message, everywhere = false): void {
    this.effects.push({ kind: 'reply', to, message, ...(everywhere ? { everywhere } : {}) });
  }

  tell(peer: PeerId, message: Message): void {
    this.effects.push({ kind: 'tell', peer, message });
  }

  /** Sets a timer. @returns when it is due */
  after(delay: Millis, timer: Timer): Millis {
    const at = this.now + delay;
    this.effects.push({ kind: 'timer', at, timer });
    return at;
  }

  /** Whether a moment has come. Timers of the platform may be a little early; a stale one is much earlier. */
  isDue(at: Millis): boolean {
    return this.now + EARLY >= at;
  }

  warn(code: string, message: string): void {
    this.effects.push({ kind: 'warning', code, message });
  }

  /**
   * A question with a fresh nonce, padded so that no answer need be larger.
   * @param to who is asked, "" for everyone
   * @param size bytes of my own heartbeat, which theirs will resemble
   * @param alone whether it is sent to one peer alone, and not multicast; or by which way else it goes
   * @param mark the nonce is to be newer than this
   */
  question(to: PeerId, size: number, alone: boolean | Asked, mark = 0): MessageOf<'Q'> {
    const asked = typeof alone === 'string' ? alone : alone ? 'alone' : 'all';
    const nonce = this.nonces.current(this.now, mark, asked);
    const message: MessageOf<'Q'> = { type: 'Q', from: this.settings.id, to, nonce, pad: NONE };
    const pad = Math.max(0, Math.max(size, QUESTION_MIN) - this.sizeOf(message));
    if (this.#pad.length !== pad) this.#pad = new Uint8Array(pad);
    message.pad = this.#pad;
    return message;
  }

  /** Bytes of a question, or one or two less: ids are all as long, and nonces too. */
  sizeOf(question: MessageOf<'Q'>): number {
    const { to, pad } = question;
    let bare = this.#bare.get(to.length);
    if (bare === undefined) {
      bare = encode({ ...question, pad: NONE }).length;
      this.#bare.set(to.length, bare);
    }
    return bare + pad.length;
  }
}
