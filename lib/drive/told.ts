/**
 * What a receiver says to one source in one turn of the loop, said together: the blocks that arrived in one acknowledgement, those that it
 * asks for in as few requests as they have ranges. A source at the speed of the link would else be told of each block by itself, and be
 * woken as often.
 *
 * Owns what was not said yet. Always true: acknowledgements are said before requests, each thing once, at the latest when the turn is over.
 * Called by a large fetch.
 */
import { ITEMS_QUEUED_MAX } from '../limits.js';

/** Blocks that are acknowledged together at most: a source's whole window. */
const DONE_MOST = 64;

interface Range {
  block: number;
  count: number;
}

export class Told {
  readonly #ack: (done: number[]) => void;
  readonly #request: (range: Range) => void;
  #done: number[] = [];
  #ranges: Range[] = [];
  #soon: NodeJS.Immediate | undefined;

  constructor(ack: (done: number[]) => void, request: (range: Range) => void) {
    this.#ack = ack;
    this.#request = request;
  }

  /** A block arrived. */
  arrived(block: number): void {
    this.#done.push(block);
    if (this.#done.length === DONE_MOST) this.flush();
    else this.#later();
  }

  /** Blocks are asked for. */
  asked(block: number, count: number): void {
    const last = this.#ranges.at(-1);
    if (last && last.block + last.count === block && last.count + count <= ITEMS_QUEUED_MAX) last.count += count;
    else this.#ranges.push({ block, count });
    this.#later();
  }

  /** Says all of it now. */
  flush(): void {
    const { done, ranges } = this.drop();
    if (done.length > 0) this.#ack(done);
    for (const range of ranges) this.#request(range);
  }

  /** What was not said is not said any more. @returns what that was */
  drop(): { done: number[]; ranges: Range[] } {
    clearImmediate(this.#soon);
    this.#soon = undefined;
    const unsaid = { done: this.#done, ranges: this.#ranges };
    this.#done = [];
    this.#ranges = [];
    return unsaid;
  }

  #later(): void {
    this.#soon ??= setImmediate(() => this.flush());
  }
}
