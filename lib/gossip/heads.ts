/**
 * Heads: what is signed, read and checked.
 * Owns the budgets of checking, and which heads were checked of late. Always true: nothing is given out whose signature was
 * not checked; what is not within a budget is turned away before any arithmetic; live members at the addresses where they are
 * known, and those who answer what was asked of them alone, have budgets of their own, which no stranger can use up.
 * Called by hearing, links and pulls.
 */
import type { PeerId } from '../ids.js';
import { Latest } from '../latest.js';
import { CHECKED_MAX } from '../limits.js';
import type { Proof } from '../shelf/shelf.js';
import { type Head, headStatement, peekId, readHead } from '../wire/head.js';
import { Budget } from './budget.js';
import type { Context } from './context.js';
import type { Signer } from './events.js';

/**
 * Signatures checked in a second, for one source and for all: at 110 µs each all together take a quarter of a core at most.
 * A source is the address of a stranger, a live member, or the other end of a connection. One address may have several peers,
 * and one connection tells of 256 neighbours at once.
 */
const STRANGERS = [200, 800] as const;
const MEMBERS = [30, 600] as const;
const ASKED = [30, 400] as const;
const LINKS = [256, 500] as const;

/** How something signed came: by datagram, over a peer's own connection, or in its handshake, which cost it more than us. */
export type Way = { kind: 'datagram'; host: string } | { kind: 'link'; peer: PeerId } | { kind: 'handshake' };

export class Heads {
  readonly #context: Context;
  readonly #signer: Signer;
  readonly #isKnownAt: (id: PeerId, host: string) => boolean;
  readonly #strangers: Budget;
  readonly #members: Budget;
  readonly #asked: Budget;
  readonly #links: Budget;
  readonly #checked = new Latest<string, { head: Head; sig: Uint8Array }>(CHECKED_MAX);
  /** Heads that were malformed or wrongly signed. */
  rejected = 0;
  /** Heads not looked at because there were too many. */
  skipped = 0;

  /** @param isKnownAt whether a live peer has proved to be at this address */
  constructor(context: Context, isKnownAt: (id: PeerId, host: string) => boolean) {
    this.#context = context;
    this.#signer = context.signer;
    this.#isKnownAt = isKnownAt;
    const { random } = context;
    this.#strangers = new Budget(...STRANGERS, random);
    this.#members = new Budget(...MEMBERS, random);
    this.#asked = new Budget(...ASKED, random);
    this.#links = new Budget(...LINKS, random);
  }

  /** The head, where it is well formed, its id belongs to its key and its signature is right. */
  check({ head: packed, sig }: Proof, way: Way): Head | undefined {
    const { shared } = this.#signer;
    const memo = shared ? '' : nameOf(packed);
    const known = shared ? shared.known(packed, sig) : this.#known(memo, sig);
    if (known) return known;
    const { nonces, now } = this.#context;
    const isAnswer = way.kind === 'datagram' && nonces.endsAlone(packed, now);
    if (!this.#allows(peekId(packed), way, isAnswer)) {
      this.skipped++;
      return undefined;
    }
    // An answer to a nonce that one alone was told does not come again, but for the network's own copies.
    const head = shared ? shared.read(packed, sig, !isAnswer) : this.#read(packed, sig);
    if (!head) this.rejected++;
    else if (!shared && !isAnswer) this.#checked.set(memo, { head, sig });
    return head;
  }

  #known(memo: string, sig: Uint8Array): Head | undefined {
    const known = this.#checked.get(memo);
    return known && Buffer.compare(known.sig, sig) === 0 ? known.head : undefined;
  }

  /** Reads a head whose signature need not be checked. @returns undefined where it is none */
  peek({ head, sig }: Proof): Head | undefined {
    const { shared } = this.#signer;
    if (shared) return shared.read(head, sig, false);
    try {
      return readHead(head);
    } catch {
      return undefined;
    }
  }

  /** Checks another signature of a peer, within the same budgets. */
  verify({ id, key }: Head, statement: Uint8Array, sig: Uint8Array, way: Way): boolean {
    if (!this.#allows(id, way, false)) {
      this.skipped++;
      return false;
    }
    const isRight = this.#signer.verify(key, statement, sig);
    if (!isRight) this.rejected++;
    return isRight;
  }

  /**
   * Whether there is budget for a check.
   * @param id whose word it says it is
   * @param isAnswer whether it brings a nonce that was told to one peer alone
   */
  #allows(id: PeerId, way: Way, isAnswer: boolean): boolean {
    const { now } = this.#context;
    if (way.kind === 'handshake') return true;
    if (way.kind === 'link') return this.#links.take(way.peer, now);
    if (isAnswer && this.#asked.take(id, now)) return true;
    if (this.#isKnownAt(id, way.host) && this.#members.take(id, now)) return true;
    return this.#strangers.take(way.host, now);
  }

  #read(packed: Uint8Array, sig: Uint8Array): Head | undefined {
    try {
      const head = readHead(packed);
      return this.#signer.verify(head.key, headStatement(packed), sig) ? head : undefined;
    } catch {
      return undefined;
    }
  }
}

function nameOf(packed: Uint8Array): string {
  return Buffer.from(packed.buffer, packed.byteOffset, packed.length).toString('latin1');
}
