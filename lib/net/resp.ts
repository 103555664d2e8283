/**
 * RESP 2, what Redis and Valkey speak: requests as bytes, and replies out of whatever pieces they come in.
 *
 * Owns the reply that is being read. Always true: no reply takes more memory than its bounds, whatever the other side sends;
 * a value that is too large is passed over as it comes, and the next is read as if it had not been there. Called by Redis.
 */
import { HearsayError } from '../errors.js';
import { STORE_REPLY_ITEMS_MAX, STORE_REPLY_MAX, STORE_VALUE_MAX } from '../limits.js';

/** What a command was refused with: `WRONGTYPE ...`. A value, so that the others of a pipeline are still read. */
export class Refusal {
  readonly message: string;

  constructor(message: string) {
    this.message = message;
  }
}

/** In place of a value that was larger than the bounds. */
export const TOO_LARGE = Symbol('too large');

export type Reply = string | number | null | Buffer | Refusal | typeof TOO_LARGE | Reply[];

/** Bytes of a line: an error, or the length of what follows. */
const LINE_MAX = 4096;
/** Lists within lists: an entry's fields within an entry within a stream within streams. */
const NESTED_MAX = 6;
const CR = 13;
const LF = 10;

function bad(why: string): HearsayError {
  return new HearsayError('bad-message', `not a reply of Redis: ${why}`);
}

/** A request: an array of texts and bytes. */
export function request(words: readonly (string | Uint8Array)[]): Buffer {
  const parts: Uint8Array[] = [Buffer.from(`*${words.length}\r\n`)];
  for (const word of words) {
    const bytes = typeof word === 'string' ? Buffer.from(word) : word;
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'));
  }
  return Buffer.concat(parts);
}

export class ReplyReader {
  readonly #onReply: (reply: Reply) => void;
  /** A line of which the end has not come. */
  #line = Buffer.alloc(0);
  /** Bytes of the value being read that are still to come, its line end too; -1: a line comes. */
  #left = -1;
  /** What came of the value; undefined where it is passed over. */
  #value: Buffer[] | undefined;
  /** Lists that are not whole, the innermost last. */
  readonly #open: { items: Reply[]; left: number }[] = [];
  /** Bytes and items kept of the reply so far. */
  #bytes = 0;
  #items = 0;

  constructor(onReply: (reply: Reply) => void) {
    this.#onReply = onReply;
  }

  /** Takes what came. @throws HearsayError `bad-message`, after which nothing more can be read */
  push(data: Buffer): void {
    let at = 0;
    while (at < data.length) {
      if (this.#left >= 0) {
        const piece = data.subarray(at, at + this.#left);
        this.#value?.push(piece);
        this.#left -= piece.length;
        at += piece.length;
        if (this.#left === 0) this.#endValue();
        continue;
      }
      const end = data.indexOf(LF, at);
      const piece = data.subarray(at, end < 0 ? data.length : end + 1);
      if (this.#line.length + piece.length > LINE_MAX) throw bad('a line too long');
      this.#line = Buffer.concat([this.#line, piece]);
      at += piece.length;
      if (end < 0) return;
      const line = this.#line;
      this.#line = Buffer.alloc(0);
      if (line.length < 3 || line[line.length - 2] !== CR) throw bad('a line without its end');
      this.#takeLine(line[0], line.toString('utf8', 1, line.length - 2));
    }
  }

  #takeLine(type: number, text: string): void {
    switch (String.fromCharCode(type)) {
      case '+':
        this.#take(text);
        return;
      case '-':
        this.#take(new Refusal(text));
        return;
      case ':':
        this.#take(numberOf(text));
        return;
      case '$': {
        const length = numberOf(text);
        if (length === -1) this.#take(null);
        else if (length < 0) throw bad('a length below 0');
        else {
          const keep = length <= STORE_VALUE_MAX && this.#bytes + length <= STORE_REPLY_MAX;
          this.#value = keep ? [] : undefined;
          if (keep) this.#bytes += length;
          this.#left = length + 2;
        }
        return;
      }
      case '*': {
        const length = numberOf(text);
        if (length <= 0) this.#take(length === 0 ? [] : null);
        else {
          if (this.#open.length >= NESTED_MAX) throw bad('nested too deeply');
          this.#open.push({ items: [], left: length });
        }
        return;
      }
      default:
        throw bad('an unknown type');
    }
  }

  #endValue(): void {
    const value = this.#value;
    this.#left = -1;
    this.#value = undefined;
    if (!value) {
      this.#take(TOO_LARGE);
      return;
    }
    const whole = Buffer.concat(value);
    if (whole[whole.length - 2] !== CR || whole[whole.length - 1] !== LF) throw bad('a value without its end');
    this.#take(whole.subarray(0, whole.length - 2));
  }

  /** A whole reply, or an item of the innermost list. */
  #take(reply: Reply): void {
    let item = reply;
    for (;;) {
      const list = this.#open.at(-1);
      if (!list) break;
      if (++this.#items > STORE_REPLY_ITEMS_MAX) throw bad('too many items');
      list.items.push(item);
      list.left--;
      if (list.left > 0) return;
      this.#open.pop();
      item = list.items;
    }
    this.#bytes = 0;
    this.#items = 0;
    this.#onReply(item);
  }
}

function numberOf(text: string): number {
  const number = Number(text);
  if (!/^-?\d{1,16}$/.test(text) || !Number.isSafeInteger(number)) throw bad('a number that is none');
  return number;
}
