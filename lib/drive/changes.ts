import type { Offer, PeerOffer } from '../offer.js';
import { Stream } from './stream.js';

/** One change of the index. */
export interface IndexChange {
  kind: 'added' | 'changed' | 'removed';
  offer: PeerOffer;
  /** What it was, for `changed` and `removed`. */
  before?: Offer;
}

/**
 * The same changes in fewer: of each offer one, from what it was before the first to what it is after the last. So as many wait for
 * a slow reader as there are offers, however often they change.
 */
export function squeezed(changes: readonly IndexChange[]): IndexChange[] {
  const byOffer = new Map<string, IndexChange | undefined>();
  for (const change of changes) {
    const key = `${change.offer.peer} ${change.offer.path}`;
    const first = byOffer.get(key);
    byOffer.set(key, first ? joined(first, change) : change);
  }
  return [...byOffer.values()].filter((change) => change !== undefined);
}

/** Two changes of one offer as one, or undefined where it came and went. */
function joined(first: IndexChange, then: IndexChange): IndexChange | undefined {
  const wasThere = first.kind !== 'added';
  const isThere = then.kind !== 'removed';
  if (!wasThere) return isThere ? { kind: 'added', offer: then.offer } : undefined;
  return { kind: isThere ? 'changed' : 'removed', offer: then.offer, before: first.before };
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
    const stream = new Stream<IndexChange>(() => this.#streams.delete(stream), squeezed);
    this.#streams.add(stream);
    if (signal?.aborted) stream.end();
    signal?.addEventListener('abort', () => stream.end(), { once: true });
    return stream;
  }

  end(): void {
    for (const stream of this.#streams) stream.end();
  }
}
