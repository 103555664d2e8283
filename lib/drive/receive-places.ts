/**
 * The places for parcels that are received at a time.
 *
 * Owns who has one. Always true: at most RECEIVES_MAX are taken, RECEIVES_OF_ONE_MAX of them by parcels of one key, so that who
 * sends without end keeps nobody else waiting. Called by the inbox.
 */
import { keyPart, type PeerId } from '../ids.js';
import { RECEIVES_MAX, RECEIVES_OF_ONE_MAX } from '../limits.js';
import { Places } from '../transfer/jobs.js';
import { placeIn } from './inbox-held.js';

export class ReceivePlaces {
  readonly #all = new Places(RECEIVES_MAX);
  /** By key, as long as something of it has a place or waits for one. */
  readonly #ofOne = new Map<string, { places: Places; users: number }>();

  /** Waits for one. @returns gives it back. @throws HearsayError `interrupted` */
  async take(from: PeerId, signal: AbortSignal): Promise<() => void> {
    const key = keyPart(from);
    const one = this.#ofOne.get(key) ?? { places: new Places(RECEIVES_OF_ONE_MAX), users: 0 };
    this.#ofOne.set(key, one);
    one.users++;
    const gone = () => {
      if (--one.users === 0) this.#ofOne.delete(key);
    };
    let leave: (() => void) | undefined;
    try {
      leave = await placeIn(one.places, signal);
      const leaveAll = await placeIn(this.#all, signal);
      return () => {
        leaveAll();
        leave?.();
        gone();
      };
    } catch (thrown) {
      leave?.();
      gone();
      throw thrown;
    }
  }
}
