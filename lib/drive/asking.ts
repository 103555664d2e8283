/**
 * Asking: some questions to trackers, and what they answered.
 *
 * Owns the lookups under way. Always true: a tracker that does not answer holds up nobody for long; after `end` nothing more is
 * taken. Made by Trackers.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Millis } from '../clock.js';
import { isLoopback } from '../endpoint.js';
import { asHearsayError, HearsayError, saidCode } from '../errors.js';
import { ANSWER_MOST_MS } from '../limits.js';
import { printable } from '../names.js';
import type { Link } from '../net/link.js';
import type { Directory, Told } from '../tracker/directory.js';
import { LOOKUP } from '../tracker/events.js';
import type { Question } from './asker.js';
import { now } from './gossiper.js';
import type { Requests } from './requests.js';

/** A tracker that tells nothing for so long has not answered. */
const ANSWER_MS: Millis = 5000;
/** Once one tracker has answered, others are waited for so long: mostly they serve the same registry. */
const OTHERS_MS: Millis = 1000;

export interface AskingOptions {
  requests: Requests;
  /** Where the answers go. */
  directory: Directory;
  questions: readonly Question[];
  /** Whether this is a one-shot. */
  isShot: boolean;
  onTold(told: Told): void;
  onEnd?(asking: Asking): void;
}

/** Questions under way: what was answered, and whether all who are asked have. */
export class Asking {
  /** The answers. */
  readonly directory: Directory;
  /** Lookups that are not answered yet. */
  open = 0;
  /** When something came last, `performance.now()`. */
  newsAt = 0;
  /** When the first tracker had answered all. */
  firstAt: number | undefined;
  /** Aborted when nobody wants the answers any more. */
  readonly abort = new AbortController();
  readonly #options: AskingOptions;

  constructor(options: AskingOptions) {
    this.#options = options;
    this.directory = options.directory;
  }

  /** Puts the questions to one tracker. */
  put(link: Link): void {
    const { questions, isShot } = this.#options;
    const lookups = questions.flatMap(({ kind, text, from }) => [
      ...(from ?? []).map((name) => ({ kind: LOOKUP.peer, text: name })),
      // Of those that are named by a one-shot, each is asked itself: it alone is to know what is wanted of it.
      ...(from && isShot ? [] : [{ kind, text }]),
    ]);
    this.open++;
    Promise.all(lookups.map(({ kind, text }) => this.#lookUp(link, kind, text)))
      .then(() => {
        this.firstAt ??= performance.now();
      })
      .catch(() => {
        // Who does not answer has nothing to tell.
      })
      .finally(() => {
        this.open--;
        this.newsAt = performance.now();
      });
  }

  /** Resolves when all have answered, or enough. */
  async done(signal?: AbortSignal): Promise<void> {
    const isEnough = () => this.firstAt !== undefined && performance.now() - this.firstAt > OTHERS_MS;
    while (this.open > 0 && !isEnough() && !this.abort.signal.aborted) {
      signal?.throwIfAborted();
      await delay(10);
    }
  }

  end(): void {
    this.abort.abort();
    this.#options.onEnd?.(this);
  }

  async #lookUp(link: Link, kind: number, text: string): Promise<void> {
    const { requests, onTold } = this.#options;
    const telling = this.directory.begin(link.peer, isLoopback(link.address.host));
    try {
      await requests.gather(
        link,
        (number) => ({ type: 'l', number, kind, text, follow: false }),
        (page) => {
          if (page.type !== 'f') throw refusal(page);
          this.newsAt = performance.now();
          onTold(this.directory.page(telling, page, now()));
          return page.last;
        },
        ANSWER_MS,
        this.abort.signal,
        ANSWER_MS + ANSWER_MOST_MS,
      );
    } catch (thrown) {
      const { code } = asHearsayError(thrown);
      if (code !== 'unknown-file' && code !== 'unknown-peer') throw thrown;
    }
  }
}

/** What an answer that is none says. */
export function refusal(message: { type: string; code?: string; message?: string }): HearsayError {
  if (message.type !== 'E') return new HearsayError('bad-message', `${message.type} in answer to a question`);
  return new HearsayError(saidCode(message.code ?? ''), printable(message.message ?? '') || 'refused');
}
