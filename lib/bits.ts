/** A set of small integers as bits: which chunks are there. Bit `i` is bit `i & 7` of byte `i >> 3`. */
export class Bits {
  readonly length: number;
  readonly bytes: Uint8Array;
  #count = 0;

  /**
   * @param length how many there are to be in the set
   * @param bytes the set's bytes, copied; missing ones are zero, bits beyond `length` are cleared
   */
  constructor(length: number, bytes?: Uint8Array) {
    this.length = length;
    this.bytes = new Uint8Array((length + 7) >> 3);
    if (bytes) {
      this.bytes.set(bytes.subarray(0, this.bytes.length));
      if (length & 7) this.bytes[this.bytes.length - 1] &= (1 << (length & 7)) - 1;
      for (let i = 0; i < length; i++) if (this.has(i)) this.#count++;
    }
  }

  /** A set with every bit on. */
  static full(length: number): Bits {
    return new Bits(length, new Uint8Array((length + 7) >> 3).fill(255));
  }

  /** How many are in the set. */
  get count(): number {
    return this.#count;
  }

  get isFull(): boolean {
    return this.#count === this.length;
  }

  has(i: number): boolean {
    return i >= 0 && i < this.length && (this.bytes[i >> 3] & (1 << (i & 7))) !== 0;
  }

  /** Puts `i` in; false when it was in already or is out of range. */
  add(i: number): boolean {
    if (i < 0 || i >= this.length || this.has(i)) return false;
    this.bytes[i >> 3] |= 1 << (i & 7);
    this.#count++;
    return true;
  }

  delete(i: number): boolean {
    if (!this.has(i)) return false;
    this.bytes[i >> 3] &= ~(1 << (i & 7));
    this.#count--;
    return true;
  }
}
