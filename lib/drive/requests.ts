/**
 * Requests that we made and whose answers are awaited, by link and number.
 *
 * Owns the table of open requests. Always true: every request ends once, by its handler being closed by its maker or by
 * the link's end. Called by whoever asks something over a link, and by the peer's switch with what arrives.
 */
import { asHearsayError, HearsayError, saidCode } from '../errors.js';
import { REQUESTS_PER_CONNECTION_MAX } from '../limits.js';
import { printable } from '../names.js';
import type { Link } from '../net/link.js';
import type { Message } from '../wire/table.js';

/** Messages that answer a request of ours. */
export type Answer = Extract<
  Message,
  { number: number; type: 'D' | 'r' | 'I' | 'M' | 'T' | 'E' | 'U' | 'K' | 'g' | 'W' | 'Z' | 'f' | 'v' }
>;

export interface Handler {
  answer(message: Answer): void;
  /** The link is gone; nothing more comes. */
  closed(why: HearsayError): void;
  /** Bytes are coming in on the link. */
  heard?(): void;
}

/** An `E` that tells of an error, as one of ours: its code one that others may tell of, its text one line. */
export function errorOf(message: Extract<Message, { type: 'E' }>): HearsayError {
  const { code, message: text } = message;
  return new HearsayError(saidCode(code), printable(text) || 'the other side ended the exchange');
}

export class Requests {
  readonly #byLink = new Map<Link, Map<number, Handler>>();
  #next = 1;

  /** Opens a request: its number goes into the message that asks. @throws HearsayError `limit`, `unreachable` */
  open(link: Link, handler: Handler): number {
    if (!link.open) throw new HearsayError('unreachable', 'the connection is closed');
    let table = this.#byLink.get(link);
    if (!table) {
      table = new Map();
      this.#byLink.set(link, table);
    }
    if (table.size >= REQUESTS_PER_CONNECTION_MAX) throw new HearsayError('limit', 'too many requests to one peer');
    const number = this.#next;
    this.#next = (this.#next + 1) % 2 ** 31;
    table.set(number, handler);
    return number;
  }

  /** Ends a request; what still comes of it is ignored. */
  close(link: Link, number: number): void {
    const table = this.#byLink.get(link);
    table?.delete(number);
    if (table?.size === 0) this.#byLink.delete(link);
  }

  /** Whether something is awaited from this link. */
  busy(link: Link): boolean {
    return this.#byLink.has(link);
  }

  answer(link: Link, message: Answer): void {
    this.#byLink.get(link)?.get(message.number)?.answer(message);
  }

  heard(link: Link): void {
    for (const handler of this.#byLink.get(link)?.values() ?? []) handler.heard?.();
  }

  linkClosed(link: Link, why: HearsayError): void {
    const table = this.#byLink.get(link);
    this.#byLink.delete(link);
    for (const handler of table?.values() ?? []) handler.closed(why);
  }

  /**
   * Asks and gathers the pages of an answer.
   * @param ask makes the message from its number
   * @param page takes each answer; true when it was the last
   * @param timeout ms without any sign of the other side
   * @param most ms in all
   * @throws HearsayError the error that the other side named, `timeout`, or why the link closed
   */
  gather(
    link: Link,
    ask: (number: number) => Message,
    page: (message: Answer) => boolean,
    timeout: number,
    signal?: AbortSignal,
    most = Number.POSITIVE_INFINITY,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const until = performance.now() + most;
      let timer: NodeJS.Timeout | undefined;
      const end = (error?: unknown) => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
        this.close(link, number);
        if (error === undefined) resolve();
        else reject(asHearsayError(error));
      };
      const wait = () => {
        clearTimeout(timer);
        const left = Math.max(0, Math.min(timeout, until - performance.now()));
        timer = setTimeout(() => {
          link.send({ type: 'X', number });
          const why = left < timeout ? 'the answer does not end' : `no answer for ${Math.round(timeout / 1000)} s`;
          end(new HearsayError('timeout', why));
        }, left);
      };
      const onAbort = () => {
        link.send({ type: 'X', number });
        end(new HearsayError('interrupted', 'stopped'));
      };
      const number = this.open(link, {
        answer: (message) => {
          wait();
          try {
            if (message.type === 'E' && message.code !== '') end(errorOf(message));
            else if (page(message)) end();
          } catch (thrown) {
            // What is wrong with it is not better on its next page.
            link.send({ type: 'X', number });
            end(thrown);
          }
        },
        closed: end,
        heard: wait,
      });
      if (signal?.aborted) return onAbort();
      signal?.addEventListener('abort', onAbort);
      wait();
      link.send(ask(number));
    });
  }
}
