/**
 * The guides of the contents that several receive of this peer, and what they have to say to whom.
 *
 * Owns one guide for each content that is received of us and that we have whole, while it is. Always true: one is told only of its own
 * request, and of chunks that nobody else was told of; over one link one request of a content counts, so that who asks many times gets no
 * more. Called by the server.
 */
import type { Random } from '../clock.js';
import type { Link } from '../net/link.js';
import { Guide, type Word } from '../transfer/guide.js';

interface Member {
  link: Link;
  number: number;
}

/** One receiver's part. */
export interface Guided {
  /** It asks for these chunks, from the first to the last. */
  asked(first: number, last: number): void;
  /** A chunk has arrived there. */
  arrived(chunk: number): void;
  /** Of those that it was told of it does not need these of us. */
  spare(chunks: readonly number[]): void;
  /** It receives no more. */
  leave(): void;
}

export class Guides {
  readonly #guides = new Map<string, { guide: Guide<Member>; links: Set<Link> }>();
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Contents that somebody receives. */
  get size(): number {
    return this.#guides.size;
  }

  /**
   * Somebody begins to receive a content, and is told at once where others do.
   * @param key of the content
   * @param size bytes of it
   * @returns undefined where it does already
   */
  join(key: string, size: number, link: Link, number: number): Guided | undefined {
    const known = this.#guides.get(key) ?? { guide: new Guide<Member>(size, this.#random()), links: new Set() };
    if (known.links.has(link)) return undefined;
    this.#guides.set(key, known);
    known.links.add(link);
    const { guide, links } = known;
    const member = { link, number };
    say(guide.join(member, performance.now()));
    return {
      asked: (first, last) => {
        for (let chunk = first; chunk <= last; chunk++) say(guide.asked(member, chunk, performance.now()));
      },
      arrived: (chunk) => say(guide.arrived(member, chunk, performance.now())),
      spare: (chunks) => say(guide.spare(member, chunks, performance.now())),
      leave: () => {
        links.delete(link);
        if (links.size === 0) this.#guides.delete(key);
        else say(guide.leave(member, performance.now()));
      },
    };
  }
}

function say(words: readonly Word<Member>[]): void {
  for (const { member, chunks, free } of words) {
    const { link, number } = member;
    if (link.open) link.send({ type: 'g', number, chunks, free });
  }
}
