import type { Offer, PeerOffer } from '../offer.js';
import { Stream } from './stream.js';

/** One change of the index. */
export interface IndexChange {
  kind: 'added' | 'changed' | 'removed';
  offer: PeerOffer;
  /** What it was, for `changed` and `removed`. */
  before?: Offer;
}

/** Hands each change of the index to everyone who iterates. */
export class Changes {
  readonly #streams = new Set<Stream<IndexChange>>();
  readonly #hooks = new Set<(change: IndexChange) => void>();

  push(change: IndexChange): void {
    for (const hook of this.#hooks) hook(change);
    for (const stream of this.#streams) stream.push(change);
  }

  /** Calls back at each change; the returned function ends it. */
  hook(then: (change: IndexChange) => void): () => void {
    this.#hooks.add(then);
    return () => this.#hooks.delete(then);
  }

  /** Every change from now on. */
  listen(signal?: AbortSignal): AsyncIterable<IndexChange> {
    const stream = new Stream<IndexChange>(() => this.#streams.delete(stream));
    this.#streams.add(stream);
    if (signal?.aborted) stream.end();
    signal?.addEventListener('abort', () => stream.end(), { once: true });
    return stream;
  }

  end(): void {
    for (const stream of this.#streams) stream.end();
  }
}
