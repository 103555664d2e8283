/**
 * Those who follow one get that the peer keeps.
 *
 * Owns what was told of files that ended, for who comes later, and who follows. Always true: each hears of every file once, and
 * then of the end; one who waits in vain for others to come gives up after his own time. Called by GetJob.
 */
import type { GetEvent, GetQuery, TransferState } from '../api.js';
import { DETACHED } from '../detached.js';
import { HearsayError } from '../errors.js';
import { Stream } from './stream.js';

/** What they follow. */
export interface Followed {
  readonly number: number;
  /** ms, where a query names none. */
  timeout(): number;
  /** Nobody follows it any more, and who did last wanted it to end. */
  abandoned(): void;
  /** Paths of what has neither come nor failed. */
  open(): string[];
  sums(): { files: number; bytes: number; failed: number };
}

interface Follower {
  out: Stream<GetEvent>;
  /** Whether chunks are told too. */
  verbose: boolean;
  /** Gives up when nothing comes for so long, ms. */
  timeout: number;
  timer: NodeJS.Timeout | undefined;
  off(): void;
}

export class Followers {
  readonly #followed: Followed;
  readonly #all = new Set<Follower>();
  #told: GetEvent[] = [];
  /** Why nothing comes, since nobody is there. */
  #stuck: HearsayError | undefined;

  constructor(followed: Followed) {
    this.#followed = followed;
  }

  /**
   * Tells all of it from the first to who comes now. His signal ends it, where nobody else follows; with the reason DETACHED
   * it only ends the telling, as when he reads no more.
   * @param again how it stood, where it is no new one
   */
  follow({ verbose = false, timeout }: GetQuery, signal: AbortSignal, again?: TransferState): AsyncIterable<GetEvent> {
    const out = new Stream<GetEvent>(() => this.#remove(follower));
    const leave = () => {
      if (signal.reason === DETACHED) {
        this.#remove(follower);
        out.end();
      } else if (this.#all.size > 1) this.#end(follower, stopped());
      else this.#followed.abandoned();
    };
    const follower: Follower = {
      out,
      verbose,
      timeout: timeout === undefined ? this.#followed.timeout() : timeout * 1000,
      timer: undefined,
      off: () => signal.removeEventListener('abort', leave),
    };
    this.#all.add(follower);
    for (const event of this.#told) out.push(event.event === 'start' && again ? { ...event, again } : event);
    signal.addEventListener('abort', leave);
    if (signal.aborted) leave();
    else if (this.#stuck) this.#giveUpLater(follower, this.#stuck);
    return out;
  }

  /** @param keep whether who comes later is to hear of it too */
  tell(event: GetEvent, keep: boolean): void {
    if (keep) this.#told.push(event);
    for (const { out, verbose } of this.#all) {
      if (event.event === 'chunk' && !verbose) continue;
      out.push(event, event.event === 'chunk' || event.event === 'progress');
    }
  }

  warn(message: string): void {
    this.tell({ event: 'warning', message }, false);
  }

  /** It goes on by itself when others are here: who follows waits for that as long as he waits for anything. */
  stuck(why: HearsayError, isNews: boolean): void {
    const { number } = this.#followed;
    if (isNews) this.warn(`${why.message}; transfer ${number} waits, and goes on by itself when it can`);
    if (this.#stuck) return;
    this.#stuck = why;
    for (const follower of this.#all) this.#giveUpLater(follower, why);
  }

  /** Something came. */
  moved(): void {
    if (!this.#stuck) return;
    this.#stuck = undefined;
    for (const follower of this.#all) clearTimeout(follower.timer);
  }

  #giveUpLater(follower: Follower, why: HearsayError): void {
    const { number } = this.#followed;
    clearTimeout(follower.timer);
    follower.timer = setTimeout(() => {
      const rest = `transfer ${number} waits for it, and goes on by itself: \`hearsay status\``;
      this.#end(follower, new HearsayError(why.code, `${why.message}; ${rest}`));
    }, follower.timeout);
  }

  /** Tells everyone that it is over. @param error why what is not here will not come, where it did not fail by itself */
  over(error?: HearsayError): void {
    for (const follower of [...this.#all]) this.#end(follower, error);
  }

  /** Nobody comes later. */
  forget(): void {
    this.#told = [];
  }

  #end(follower: Follower, why?: HearsayError): void {
    const { out } = follower;
    const { files, bytes, failed } = this.#followed.sums();
    const open = why ? this.#followed.open() : [];
    if (why) {
      const error = { code: why.code, message: why.message };
      for (const path of open) out.push({ event: 'error', path, error });
      if (open.length === 0 && files === 0 && failed === 0) out.push({ event: 'error', error });
    }
    out.push({ event: 'end', files, bytes, failed: failed + open.length });
    out.end();
    this.#remove(follower);
  }

  #remove(follower: Follower): void {
    clearTimeout(follower.timer);
    follower.off();
    this.#all.delete(follower);
  }
}

/** Of what was ended from here. */
export function stopped(): HearsayError {
  return new HearsayError('interrupted', 'stopped; what is verified is kept');
}
