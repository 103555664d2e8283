/**
 * What the parts of a registry share: who this tracker is, the time of the event at hand, what comes of it, and what is
 * registered. Called by the registry and its parts alone.
 */
import type { Millis } from '../clock.js';
import type { Code } from '../errors.js';
import type { PeerId } from '../ids.js';
import { Search } from '../shelf/search.js';
import type { LinkNo, Record, RegistryEffect } from './events.js';
import type { Holdings } from './holdings.js';
import { Roll } from './roll.js';

export class Context {
  /** The tracker itself. */
  readonly id: PeerId;
  /** How long a peer stays registered of which nothing comes. */
  readonly lease: Millis;
  readonly roll = new Roll();
  readonly search = new Search();
  readonly holdings: Holdings;
  /** Whether there are other trackers to be told. */
  readonly shares: boolean;
  now: Millis = 0;
  #effects: RegistryEffect[] = [];

  constructor(id: PeerId, lease: Millis, shares: boolean, holdings: Holdings) {
    this.id = id;
    this.lease = lease;
    this.shares = shares;
    this.holdings = holdings;
  }

  tell(effect: RegistryEffect): void {
    this.#effects.push(effect);
  }

  /** Tells the other trackers. */
  share(record: Record): void {
    if (this.shares) this.tell({ kind: 'share', record });
  }

  /** @param asked a request of a link; code "" is success */
  answer({ link, number }: { link: LinkNo; number: number }, code: Code | '', message: string): void {
    this.tell({ kind: 'answer', link, number, code, message });
  }

  cut(link: LinkNo, code: Code, message: string): void {
    this.tell({ kind: 'cut', link, code, message });
  }

  /** What has come of the event at hand. */
  takeEffects(): RegistryEffect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }
}
