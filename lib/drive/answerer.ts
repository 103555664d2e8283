/**
 * Answers what others ask of the index: pulls and finds.
 *
 * Owns the count of answers under way on each link. Always true: a link has at most REQUESTS_PER_CONNECTION_MAX of them.
 * Called by the peer's switch.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { asHearsayError, HearsayError } from '../errors.js';
import type { Gossip } from '../gossip/gossip.js';
import { REQUESTS_PER_CONNECTION_MAX } from '../limits.js';
import type { Link } from '../net/link.js';
import type { Catalogue } from '../share/catalogue.js';
import type { Message } from '../wire/table.js';
import { ASK } from './asker.js';
import { pump } from './pump.js';

type Question = Extract<Message, { type: 'P' | 'F' }>;

/** How long an answer waits for the first scan of what is shared, ms: less than the asker waits for an answer. */
const SCAN_WAIT = 1500;

export class Answerer {
  readonly #gossip: Gossip;
  readonly #catalogue: Catalogue | undefined;
  readonly #open = new WeakMap<Link, number>();

  constructor(gossip: Gossip, catalogue: Catalogue | undefined) {
    this.#gossip = gossip;
    this.#catalogue = catalogue;
  }

  /** Answers in its own time; what goes wrong is an answer too. */
  take(link: Link, message: Question): void {
    const open = this.#open.get(link) ?? 0;
    if (open >= REQUESTS_PER_CONNECTION_MAX) {
      this.#refuse(link, message, new HearsayError('limit', `over ${REQUESTS_PER_CONNECTION_MAX} questions at once`));
      return;
    }
    this.#open.set(link, open + 1);
    this.#answer(link, message)
      .catch((thrown) => this.#refuse(link, message, thrown))
      .finally(() => this.#open.set(link, (this.#open.get(link) ?? 1) - 1));
  }

  #refuse(link: Link, { number }: Question, thrown: unknown): void {
    const { code, message } = asHearsayError(thrown);
    link.send({ type: 'E', number, code, id: null, message: message.slice(0, 100).toWellFormed() });
  }

  async #answer(link: Link, message: Question): Promise<void> {
    if (message.type === 'P') {
      const pages = this.#gossip.answerPull(message);
      if ('code' in pages) throw new HearsayError('not-found', 'nothing is known of that peer');
      return pump(link, pages);
    }
    // One who asks while the shares are still being looked through for the first time wants to know of them all.
    await Promise.race([this.#catalogue?.scanned, delay(SCAN_WAIT, undefined, { ref: false })]);
    if (message.kind === ASK.hashed) await this.#hashFirst(message.text);
    return pump(link, this.#gossip.answerFind(message));
  }

  async #hashFirst(path: string): Promise<void> {
    if (this.#catalogue?.find(path)?.id !== null) return;
    await this.#catalogue.hashNow(path);
  }
}
