/**
 * Frames on a stream: a uint32 (big-endian), the byte length of the next message, then the message.
 * Owns the bytes of at most one unfinished frame. Always true: a length is checked against the limit of the message's
 * type before more than its first bytes are buffered. Called by the driver of a connection.
 */
import { HearsayError } from '../errors.js';
import { FRAME_MAX } from '../limits.js';
import { peekLetter } from './codec.js';
import { TABLE } from './table.js';

/** Bytes of the length that goes before a message. */
export const PREFIX = 4;
/** Bytes of a message that tell its letter. */
const PEEK = 3;

/** Checks the declared length of a frame against its type's limit, as soon as the letter can be read. */
function check(length: number, begin: Uint8Array): void {
  const letter = peekLetter(begin);
  if (letter && length > TABLE[letter].max) {
    throw new HearsayError('bad-message', `a frame of ${length} bytes for ${TABLE[letter].name}`);
  }
}

export class FrameDecoder {
  readonly #onFrame: (message: Buffer) => void;
  /** Length prefix and body of the unfinished frame; grows only to what its type allows. */
  #buffer = Buffer.allocUnsafe(4096);
  #filled = 0;

  /** @param onFrame called with each whole message; its bytes are valid only until it returns */
  constructor(onFrame: (message: Buffer) => void) {
    this.#onFrame = onFrame;
  }

  /** Bytes that are here of a frame that is not whole yet. */
  get unfinished(): number {
    return this.#filled;
  }

  /**
   * Takes the next bytes of the stream, in any cut.
   * @throws HearsayError `bad-message`: close the connection, the stream has no meaning from here on
   */
  push(data: Buffer): void {
    let at = 0;
    while (at < data.length) {
      if (this.#filled === 0) {
        // The common cases without copying: whole frames within these bytes.
        const left = data.length - at;
        if (left >= PREFIX + PEEK) {
          const length = this.#length(data, at);
          check(length, data.subarray(at + PREFIX, at + PREFIX + PEEK));
          if (left >= PREFIX + length) {
            const begin = at + PREFIX;
            at = begin + length;
            this.#onFrame(data.subarray(begin, at));
            continue;
          }
        }
      }
      at += this.#gather(data, at);
    }
  }

  #length(from: Buffer, at: number): number {
    const length = from.readUInt32BE(at);
    if (length < PEEK || length > FRAME_MAX) throw new HearsayError('bad-message', `a frame of ${length} bytes`);
    return length;
  }

  /** Copies what the unfinished frame still needs; returns how many bytes it took. */
  #gather(data: Buffer, at: number): number {
    const head = PREFIX + PEEK;
    if (this.#filled < head) {
      const take = Math.min(head - this.#filled, data.length - at);
      data.copy(this.#buffer, this.#filled, at, at + take);
      this.#filled += take;
      if (this.#filled >= PREFIX) this.#length(this.#buffer, 0);
      if (this.#filled < head) return take;
      const length = this.#length(this.#buffer, 0);
      check(length, this.#buffer.subarray(PREFIX, head));
      if (this.#buffer.length < PREFIX + length) {
        const bigger = Buffer.allocUnsafe(PREFIX + length);
        this.#buffer.copy(bigger, 0, 0, this.#filled);
        this.#buffer = bigger;
      }
      this.#finish(length);
      return take;
    }
    const length = this.#length(this.#buffer, 0);
    const take = Math.min(PREFIX + length - this.#filled, data.length - at);
    data.copy(this.#buffer, this.#filled, at, at + take);
    this.#filled += take;
    this.#finish(length);
    return take;
  }

  #finish(length: number): void {
    if (this.#filled < PREFIX + length) return;
    this.#filled = 0;
    this.#onFrame(this.#buffer.subarray(PREFIX, PREFIX + length));
  }
}

/** The four bytes that go before a message of `length` bytes. */
export function framePrefix(length: number): Buffer {
  const prefix = Buffer.allocUnsafe(PREFIX);
  prefix.writeUInt32BE(length);
  return prefix;
}
