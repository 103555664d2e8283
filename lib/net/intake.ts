/**
 * Intake: what arrives over one connection, handed on in its order as the process has time for it.
 *
 * Owns what waits. Always true: nothing overtakes what came before it; as long as something waits nothing more is read, so that it is
 * no more than TLS had opened already; the end of the stream comes behind it. Called by the handshake, for each connection.
 */
import type { Duplex } from 'node:stream';
import type { Breath } from './breath.js';

export class Intake {
  readonly #stream: Pick<Duplex, 'pause' | 'resume'>;
  readonly #breath: Breath;
  readonly #take: (data: Buffer) => void;
  #waiting: Buffer[] = [];

  constructor(stream: Pick<Duplex, 'pause' | 'resume'>, breath: Breath, take: (data: Buffer) => void) {
    this.#stream = stream;
    this.#breath = breath;
    this.#take = take;
  }

  /** Takes what came; its bytes are valid only until this returns. */
  push(data: Buffer): void {
    const isFirst = this.#waiting.length === 0;
    if (isFirst && !this.#breath.isSpent) {
      this.#take(data);
      return;
    }
    this.#waiting.push(Buffer.from(data));
    if (!isFirst) return;
    this.#stream.pause();
    this.#breath.later(this.#next);
  }

  readonly #next = (): void => {
    const data = this.#waiting.shift();
    if (data) this.#take(data);
    if (this.#waiting.length > 0) this.#breath.later(this.#next);
    else this.#stream.resume();
  };
}
