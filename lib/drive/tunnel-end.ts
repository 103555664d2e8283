/**
 * One end of a tunnel: a stream whose bytes travel as `d` over the connection to the peer that passes them on.
 *
 * Owns what waits to be sent, and how much may be. Always true: no more is sent than the other end allowed, nor while the connection
 * is full; the other end is allowed as much as was read here, and TUNNEL_WINDOW ahead of it. Called by Tunnels; TLS reads and
 * writes it as it would a socket.
 */
import { Duplex } from 'node:stream';
import { type Code, HearsayError } from '../errors.js';
import { BLOCK, TUNNEL_WINDOW } from '../limits.js';
import type { Link } from '../net/link.js';

/** Bytes read since the other end was told so: less than the least that a relay hands on at a time. */
const TELL = 64 * 1024;
/** Bytes kept for a reader before it is asked to hurry; small beside TELL, so that nothing stays untold. */
const AHEAD = 16 * 1024;

type Done = (error?: Error | null) => void;

export class TunnelEnd extends Duplex {
  readonly #link: Link;
  readonly #number: number;
  readonly #opener: boolean;
  /** Bytes that may be sent. */
  #allowed = 0;
  #waiting: Buffer = Buffer.alloc(0);
  #written: Done | undefined;
  #isFull = false;
  /** Bytes that came, and of those that we told of as read. */
  #came = 0;
  #told = 0;
  /** Neither side says anything more. */
  #over = false;
  /** Told when it is over, once. */
  onOver: () => void = () => {};

  /** @param opener whether we opened it */
  constructor(link: Link, number: number, opener: boolean) {
    super({ readableHighWaterMark: AHEAD, allowHalfOpen: false });
    this.#link = link;
    this.#number = number;
    this.#opener = opener;
  }

  /** Says how much may be sent to us. */
  begin(): void {
    this.#allow(TUNNEL_WINDOW);
  }

  /** The other end allows so many bytes more. */
  allow(bytes: number): void {
    this.#allowed = Math.min(TUNNEL_WINDOW, this.#allowed + bytes);
    this.#send();
  }

  /** Bytes came; the buffer is lent. @throws HearsayError `bad-message` where they are more than was allowed */
  arrive(data: Uint8Array): void {
    if (this.#over) return;
    this.#came += data.length;
    if (this.#came - this.#told > TUNNEL_WINDOW) {
      throw new HearsayError('bad-message', 'more through a tunnel than was allowed');
    }
    this.push(Buffer.from(data));
    this.#tell();
  }

  /** The other end, or who passes it on, ended it. */
  ended(code: Code | '', message: string): void {
    if (this.#over) return;
    this.#finish();
    if (code !== '') this.destroy(new HearsayError(code, message));
    else this.push(null);
  }

  override _read(): void {
    this.#tell();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#waiting = chunk;
    this.#written = done;
    this.#send();
  }

  override _writev(chunks: { chunk: Buffer }[], done: Done): void {
    this.#waiting = Buffer.concat(chunks.map(({ chunk }) => chunk));
    this.#written = done;
    this.#send();
  }

  override _final(done: Done): void {
    this.#end('');
    this.push(null);
    done();
  }

  override _destroy(error: Error | null, done: Done): void {
    this.#end(error ? 'cancelled' : '');
    this.#waiting = Buffer.alloc(0);
    this.#written = undefined;
    done(error);
  }

  /** Sends what may be sent. */
  #send(): void {
    while (this.#waiting.length > 0 && this.#allowed > 0 && !this.#over) {
      if (!this.#link.writable) {
        void this.#whenWritable();
        return;
      }
      const data = this.#waiting.subarray(0, Math.min(BLOCK, this.#allowed));
      this.#waiting = this.#waiting.subarray(data.length);
      this.#allowed -= data.length;
      this.#link.send({ type: 'd', number: this.#number, opener: this.#opener, data });
    }
    const written = this.#written;
    // After the end the rest is for nobody.
    if (!written || (this.#waiting.length > 0 && !this.#over)) return;
    this.#written = undefined;
    written();
  }

  async #whenWritable(): Promise<void> {
    if (this.#isFull) return;
    this.#isFull = true;
    await this.#link.whenWritable();
    this.#isFull = false;
    this.#send();
  }

  #tell(): void {
    const read = this.#came - this.readableLength;
    if (read - this.#told < TELL) return;
    this.#allow(read - this.#told);
    this.#told = read;
  }

  #allow(bytes: number): void {
    if (!this.#over) this.#link.send({ type: 'w', number: this.#number, opener: this.#opener, bytes });
  }

  #end(code: Code | ''): void {
    if (this.#over) return;
    this.#link.send({ type: 'e', number: this.#number, opener: this.#opener, code });
    this.#finish();
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#send();
    this.onOver();
  }
}
