/**
 * One end of a control connection: frames of a uint32 (big-endian, the byte length) and JSON text.
 * Owns the socket and the bytes of at most one unfinished frame. Always true: a length is checked against `limit` before
 * anything is buffered for it, and nothing is delivered after the close. Used by the server and the client alike.
 */
import type { Socket } from 'node:net';
import { HearsayError } from '../errors.js';
import { CONTROL_FRAME_MAX, CONTROL_HELLO_MAX } from '../limits.js';

const PREFIX = 4;

export interface ChannelEvents {
  /** A whole message. What it throws closes the channel. */
  onMessage(message: Record<string, unknown>): void;
  /** Once, at the end; the error says why, where the other side did not just go. */
  onClose(error?: HearsayError): void;
}

export class Channel {
  /** Bytes of the longest frame taken: small until the other side has proved itself. */
  limit = CONTROL_HELLO_MAX;
  readonly #socket: Socket;
  readonly #events: ChannelEvents;
  #pieces: Buffer[] = [];
  #gathered = 0;
  #closed = false;
  #waiting: { promise: Promise<void>; resolve: () => void } | undefined;

  constructor(socket: Socket, events: ChannelEvents) {
    this.#socket = socket;
    this.#events = events;
    socket.on('data', (data: Buffer) => this.#take(data));
    socket.on('drain', () => this.#release());
    // What a socket error means is told by the close that follows it.
    socket.on('error', () => {});
    socket.on('close', () => this.#end());
  }

  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Sends a message; resolves when the socket takes more, at once when it is closed.
   * @throws HearsayError `limit` for a message over CONTROL_FRAME_MAX, which is not sent
   */
  async send(message: object): Promise<void> {
    await this.sendText(JSON.stringify(message));
  }

  /** The same for text that is JSON already. */
  async sendText(text: string): Promise<void> {
    if (this.#closed) return;
    const length = Buffer.byteLength(text);
    if (length > CONTROL_FRAME_MAX) throw new HearsayError('limit', `a control message of ${length} bytes`);
    const frame = Buffer.allocUnsafe(PREFIX + length);
    frame.writeUInt32BE(length);
    frame.write(text, PREFIX);
    if (this.#socket.write(frame)) return;
    if (!this.#waiting) {
      let resolve = () => {};
      const promise = new Promise<void>((done) => {
        resolve = done;
      });
      this.#waiting = { promise, resolve };
    }
    await this.#waiting.promise;
  }

  /** Ends the connection after what was sent. */
  close(error?: HearsayError): void {
    if (this.#closed) return;
    this.#socket.end();
    // Whoever does not read to the end is not waited for.
    setTimeout(() => this.#socket.destroy(), 1000).unref();
    this.#end(error);
  }

  #end(error?: HearsayError): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#pieces = [];
    this.#release();
    this.#events.onClose(error);
  }

  #release(): void {
    this.#waiting?.resolve();
    this.#waiting = undefined;
  }

  #take(data: Buffer): void {
    if (this.#closed) return;
    this.#pieces.push(data);
    this.#gathered += data.length;
    try {
      for (let text = this.#frame(); text !== undefined && !this.#closed; text = this.#frame()) {
        this.#events.onMessage(parse(text));
      }
    } catch (error) {
      const fault = error instanceof HearsayError ? error : new HearsayError('bad-message', String(error));
      void this.send(fault.toJSON());
      this.close(fault);
    }
  }

  /** The next whole frame's text, if it is all here. */
  #frame(): string | undefined {
    if (this.#gathered < PREFIX) return undefined;
    if (this.#pieces[0].length < PREFIX) this.#join();
    const length = this.#pieces[0].readUInt32BE();
    if (length > this.limit) throw new HearsayError('bad-message', `a control frame of ${length} bytes`);
    if (this.#gathered < PREFIX + length) return undefined;
    if (this.#pieces[0].length < PREFIX + length) this.#join();
    const first = this.#pieces[0];
    const text = first.toString('utf8', PREFIX, PREFIX + length);
    this.#gathered -= PREFIX + length;
    if (first.length === PREFIX + length) this.#pieces.shift();
    else this.#pieces[0] = first.subarray(PREFIX + length);
    return text;
  }

  #join(): void {
    this.#pieces = [Buffer.concat(this.#pieces)];
  }
}

function parse(text: string): Record<string, unknown> {
  let message: unknown;
  try {
    message = JSON.parse(text);
  } catch {
    throw new HearsayError('bad-message', 'a control frame that is not JSON');
  }
  if (typeof message !== 'object' || message === null || Array.isArray(message)) {
    throw new HearsayError('bad-message', 'a control message that is not an object');
  }
  return message as Record<string, unknown>;
}
