/**
 * The teller: what happens, told to the program that runs the peer and to everyone who listens.
 *
 * Owns what happened before it begins. Always true: `ready` comes first, where there is one; what happened before it follows in its
 * order. Called by the peer and by its parts.
 */
import type { ShareEvent } from '../api.js';
import type { Happenings } from './happenings.js';

export class Teller {
  readonly #happenings: Happenings;
  readonly #onEvent: ((event: ShareEvent) => void) | undefined;
  /** What is held back; undefined once it has begun. */
  #early: ShareEvent[] | undefined;

  /** @param waits whether all is held back until `begin` */
  constructor(happenings: Happenings, onEvent: ((event: ShareEvent) => void) | undefined, waits: boolean) {
    this.#happenings = happenings;
    this.#onEvent = onEvent;
    this.#early = waits ? [] : undefined;
  }

  tell(event: ShareEvent): void {
    if (this.#early) this.#early.push(event);
    else {
      this.#onEvent?.(event);
      this.#happenings.tell(event);
    }
  }

  warn(message: string): void {
    this.tell({ event: 'warning', message });
  }

  /** Tells what happened until now. @param first what is told before it */
  begin(...first: ShareEvent[]): void {
    const early = this.#early;
    if (!early) return;
    this.#early = undefined;
    for (const event of [...first, ...early]) this.tell(event);
  }
}
