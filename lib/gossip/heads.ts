import type { Millis } from '../clock.js';
import { type Head, headStatement, readHead } from '../wire/head.js';
import type { Signer } from './events.js';
import { TokenBucket } from './pace.js';
import type { Proof } from './shelf.js';

/** Signatures checked in a second: at 110 µs each a flood costs less than a quarter of a core. */
const CHECKS_PER_SECOND = 2000;
/** Heads remembered as checked: idle heartbeats come again and again with the same bytes. */
const REMEMBERED = 2048;

/** Reads heads and checks their signatures, each only once where it comes again. */
export class Heads {
  readonly #signer: Signer;
  readonly #budget = new TokenBucket(CHECKS_PER_SECOND);
  readonly #checked = new Map<string, { head: Head; sig: Uint8Array }>();
  /** Heads that were malformed or wrongly signed. */
  rejected = 0;
  /** Heads not looked at because there were too many. */
  skipped = 0;

  constructor(signer: Signer) {
    this.#signer = signer;
  }

  /** The head, where it is well formed, its id belongs to its key and its signature is right. */
  check({ head: packed, sig }: Proof, now: Millis): Head | undefined {
    const memo = Buffer.from(packed.buffer, packed.byteOffset, packed.length).toString('latin1');
    const known = this.#checked.get(memo);
    if (known && Buffer.compare(known.sig, sig) === 0) return known.head;
    if (!this.#budget.take(now)) {
      this.skipped++;
      return undefined;
    }
    const head = this.#read(packed);
    if (!head || !this.#signer.verify(head.key, headStatement(packed), sig)) {
      this.rejected++;
      return undefined;
    }
    // An answer to a nonce does not come again, but for the network's own copies.
    if (head.echo.length === 0) {
      this.#checked.delete(memo);
      this.#checked.set(memo, { head, sig });
      if (this.#checked.size > REMEMBERED) this.#checked.delete(this.#checked.keys().next().value!);
    }
    return head;
  }

  /** Checks another signature, within the same budget. */
  verify(key: Uint8Array, statement: Uint8Array, sig: Uint8Array, now: Millis): boolean {
    if (!this.#budget.take(now)) {
      this.skipped++;
      return false;
    }
    const isRight = this.#signer.verify(key, statement, sig);
    if (!isRight) this.rejected++;
    return isRight;
  }

  #read(packed: Uint8Array): Head | undefined {
    try {
      return readHead(packed);
    } catch {
      return undefined;
    }
  }
}
