/**
 * The limits of one peer on what it sends and fetches, by the settings and the hour.
 *
 * Owns both limiters. Always true: with the change of a minute, or of the settings, they have the rates that hold then; where no
 * rule names hours, nothing runs. Called by the peer; the limiters by what sends and fetches.
 */
import { hasLimits, type LimitSettings, type Rates, ratesAt } from '../share/rates.js';
import { Limiter } from './limiter.js';

const MINUTE = 60_000;

export class Limits {
  readonly up: Limiter;
  readonly down: Limiter;
  readonly #clock: () => Date;
  #settings: LimitSettings;
  #timer: NodeJS.Timeout | undefined;

  /** @param clock the time of day */
  constructor(settings: LimitSettings, clock = () => new Date()) {
    this.#settings = settings;
    this.#clock = clock;
    const { up, down } = ratesAt(settings, clock());
    this.up = new Limiter(up);
    this.down = new Limiter(down);
    this.#wait();
  }

  /** Other settings, from now on. */
  set(settings: LimitSettings): void {
    this.#settings = settings;
    this.look();
  }

  /** Has the limiters keep what holds now. */
  look(): void {
    const { up, down } = ratesAt(this.#settings, this.#clock());
    if (up !== this.up.rate) this.up.rate = up;
    if (down !== this.down.rate) this.down.rate = down;
    this.#wait();
  }

  /** Bytes a second that hold now, null for no limit; undefined where the settings name none at any hour. */
  get inForce(): { [K in keyof Rates]: number | null } | undefined {
    if (!hasLimits(this.#settings)) return undefined;
    const shown = ({ isFree, rate }: Limiter) => (isFree ? null : Math.round(rate));
    return { up: shown(this.up), down: shown(this.down) };
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  /** Looks again when the minute changes. */
  #wait(): void {
    clearTimeout(this.#timer);
    if (this.#settings.limit.length === 0) return;
    const left = MINUTE - (this.#clock().getTime() % MINUTE);
    // A timer may ring a moment before its time.
    this.#timer = setTimeout(() => this.look(), left + 50);
    this.#timer.unref();
  }
}
