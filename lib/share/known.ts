/**
 * Known: which key a name stood for when it was first used to let somebody in.
 *
 * Owns the names that are tied, and has them stored. Always true: a name that is tied stays tied to the same key, until a person
 * says to forget whom it is tied to; a
 * person's name proves nothing, so whoever comes later under it with another key gets nothing by it. Names are compared
 * in Unicode's composed form (NFC). Called by whoever goes by a name that a person gave.
 */
import type { Millis } from '../clock.js';
import { asHearsayError } from '../errors.js';
import { keyPart, type PeerId } from '../ids.js';
import { KNOWN_MAX } from '../limits.js';

/** The key that a name is tied to, by the id of a peer that holds it, and since when: ms since 1970. */
export interface Tie {
  id: PeerId;
  since: Millis;
}

export interface KnownOptions {
  /** What was stored, by name. */
  ties?: Iterable<[string, Tie]>;
  /** Stores all of them. */
  save?(ties: ReadonlyMap<string, Tie>): Promise<void>;
  onWarning?(message: string): void;
}

export class Known {
  readonly #ties: Map<string, Tie>;
  readonly #options: KnownOptions;
  #saving: Promise<void> = Promise.resolve();

  /** Without options it remembers nothing beyond itself. */
  constructor(options: KnownOptions = {}) {
    this.#options = options;
    this.#ties = new Map(options.ties);
  }

  get(name: string): Tie | undefined {
    return this.#ties.get(name.normalize('NFC'));
  }

  /** Every name that is tied, and to which id. */
  *all(): Generator<[string, PeerId]> {
    for (const [name, { id }] of this.#ties) yield [name, id];
  }

  /** Ties no name to the key of a peer any more. @returns those that were */
  forget(id: PeerId): string[] {
    const key = keyPart(id);
    const names = [...this.#ties].filter(([, tie]) => keyPart(tie.id) === key).map(([name]) => name);
    for (const name of names) this.#ties.delete(name);
    if (names.length > 0) this.#save();
    return names;
  }

  /** Every id that a name is tied to. */
  ids(): PeerId[] {
    return [...this.#ties.values()].map(({ id }) => id);
  }

  /**
   * Ties a name to the key of a peer.
   * @returns whether it is tied to that id now: not where it was tied before, nor where there is no room; no older tie is
   *   given up, since that would let another key take its name
   */
  tie(name: string, id: PeerId, now: Millis): boolean {
    const text = name.normalize('NFC');
    const known = this.#ties.get(text);
    if (known) return known.id === id;
    if (this.#ties.size >= KNOWN_MAX) return false;
    this.#ties.set(text, { id, since: Math.floor(now) });
    this.#save();
    return true;
  }

  /** Resolves when all is stored. */
  stored(): Promise<void> {
    return this.#saving;
  }

  #save(): void {
    const { save, onWarning } = this.#options;
    if (!save) return;
    this.#saving = this.#saving
      .then(() => save(this.#ties))
      .catch((thrown) =>
        onWarning?.(`who is known by which name is not remembered: ${asHearsayError(thrown).message}`),
      );
  }
}
