import type { Millis } from '../clock.js';
import { isRepeated, keyAt, REPEATED } from './repeated.js';

/** A nonce is asked with for so long, then a new one is drawn. */
const USE: Millis = 2000;
/** An answer is fresh for so long after its nonce was drawn. */
const FRESH: Millis = 10_000;
/** Of each way of asking, so that who has us draw many to ask single peers takes no answer from those who were asked together. */
const KEPT = 64;
/** Who gets to see a nonce: one peer alone, so that who repeats it was asked, or could listen in; all; or those whom broadcast reaches. */
export type Asked = 'alone' | 'all' | 'broadcast';

interface Nonce {
  nonce: Uint8Array;
  serial: number;
  at: Millis;
  asked: Asked;
}

/**
 * My own nonces of late. That a head repeats one of them shows that its writer was there after it was drawn.
 * One nonce serves many questions: each writer has to sign it for itself.
 */
export class Nonces {
  readonly #draw: () => Uint8Array;
  /** Oldest first; and by their first bytes, as each head that is heard is looked up. Of two that begin alike the later one counts. */
  readonly #kept: Nonce[] = [];
  readonly #byKey = new Map<number, Nonce>();
  #serial = 0;

  /** @param draw 16 fresh random bytes */
  constructor(draw: () => Uint8Array) {
    this.#draw = draw;
  }

  /** Every nonce so far has a serial number up to this. */
  get mark(): number {
    return this.#serial;
  }

  /**
   * A nonce to ask with, drawn after a mark.
   * @param asked by which way the question goes
   */
  current(now: Millis, mark: number, asked: Asked): Uint8Array {
    const newest = this.#kept.findLast((kept) => kept.asked === asked);
    if (newest && newest.serial > mark && now - newest.at < USE) return newest.nonce;
    const nonce = this.#draw();
    const same = this.#kept.filter((kept) => kept.asked === asked);
    if (same.length >= KEPT) this.#drop(this.#kept.indexOf(same[0]));
    const fresh: Nonce = { nonce, serial: ++this.#serial, at: now, asked };
    this.#kept.push(fresh);
    this.#byKey.set(keyAt(nonce), fresh);
    while (now - this.#kept[0].at > FRESH) this.#drop(0);
    return nonce;
  }

  #drop(place: number): void {
    const [dropped] = this.#kept.splice(place, 1);
    const key = keyAt(dropped.nonce);
    if (this.#byKey.get(key) === dropped) this.#byKey.delete(key);
  }

  /** The serial number of a fresh nonce of mine, or 0 where it is none. */
  serialOf(echo: Uint8Array, now: Millis): number {
    return this.#of(echo, now)?.serial ?? 0;
  }

  /** Whether a packed head ends with a fresh nonce of mine that was told to single peers only. */
  endsAlone(packed: Uint8Array, now: Millis): boolean {
    const begin = packed.length - REPEATED;
    return begin >= 0 && this.#find(packed, begin, now)?.asked === 'alone';
  }

  /** Whether it is a fresh nonce of mine that was multicast. */
  isOfAll(echo: Uint8Array, now: Millis): boolean {
    return this.#of(echo, now)?.asked === 'all';
  }

  /** Whether it is a fresh nonce of mine that was broadcast. */
  isBroadcast(echo: Uint8Array, now: Millis): boolean {
    return this.#of(echo, now)?.asked === 'broadcast';
  }

  #of(echo: Uint8Array, now: Millis): Nonce | undefined {
    return echo.length === REPEATED ? this.#find(echo, 0, now) : undefined;
  }

  /** The nonce that stands somewhere in some bytes; mostly there is none. */
  #find(bytes: Uint8Array, begin: number, now: Millis): Nonce | undefined {
    const kept = this.#byKey.get(keyAt(bytes, begin));
    if (!kept || now - kept.at > FRESH) return undefined;
    return isRepeated(bytes, kept.nonce, begin) ? kept : undefined;
  }
}
