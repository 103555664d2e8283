/**
 * Contests: an id, or an address, is claimed while somebody else has it, and it is not known whether that one still lives.
 * Owns who is waited for and who waits. Always true: one contest for each holder; of those that want its id one waits, of those
 * that want its address CLAIMERS_MAX; it ends in time, whoever does not answer.
 * Pure. Called by the registry.
 */
import type { Millis } from '../clock.js';
import type { PeerId } from '../ids.js';
import { CLAIMERS_MAX } from '../limits.js';
import type { LinkNo, RegistryEvent } from './events.js';
import { Lasting } from './lasting.js';

/** Beyond the 2 s that a probe takes: through the store it takes a little longer. */
const WAIT: Millis = 3000;

export type Registering = Extract<RegistryEvent, { kind: 'register' }>;

export interface Contest {
  readonly holder: PeerId;
  /** Who is asked and has not answered: the link here, and other trackers. */
  link: LinkNo | undefined;
  readonly trackers: Set<PeerId>;
  readonly number: number;
  /** Who wants the id. */
  newcomer: Registering | undefined;
  /** Who want an address, by their links. */
  readonly claimers: Map<LinkNo, { event: Registering; address: string }>;
  /** Trackers that want to know, with their numbers. */
  readonly askers: Map<PeerId, number>;
}

export class Contests {
  readonly #byHolder = new Map<PeerId, Contest>();
  readonly #due = new Lasting<Contest>(WAIT);
  readonly #waiting = new Map<LinkNo, Contest>();
  #number = 0;

  get size(): number {
    return this.#byHolder.size;
  }

  /** When the first is over, or never. */
  get next(): Millis {
    return this.#due.next;
  }

  get(holder: PeerId): Contest | undefined {
    return this.#byHolder.get(holder);
  }

  byNumber(number: number): Contest | undefined {
    for (const contest of this.#byHolder.values()) if (contest.number === number) return contest;
    return undefined;
  }

  /** @param link @param trackers who is asked */
  begin(holder: PeerId, link: LinkNo | undefined, trackers: Iterable<PeerId>, now: Millis): Contest {
    const contest: Contest = {
      holder,
      link,
      trackers: new Set(trackers),
      number: ++this.#number,
      newcomer: undefined,
      claimers: new Map(),
      askers: new Map(),
    };
    this.#byHolder.set(holder, contest);
    this.#due.renew(contest, now);
    return contest;
  }

  /** One who wants the id waits. @returns false where another does already */
  await(contest: Contest, event: Registering): boolean {
    const { newcomer } = contest;
    // The same process on a new connection is the same one.
    const isSame = newcomer && Buffer.compare(newcomer.peer.instance, event.peer.instance) === 0;
    if (newcomer && !isSame) return false;
    if (newcomer) this.#waiting.delete(newcomer.link);
    contest.newcomer = event;
    this.#waiting.set(event.link, contest);
    return true;
  }

  /** One who wants an address waits. @returns false where too many do */
  claim(contest: Contest, event: Registering, address: string): boolean {
    if (!contest.claimers.has(event.link) && contest.claimers.size >= CLAIMERS_MAX) return false;
    contest.claimers.set(event.link, { event, address });
    this.#waiting.set(event.link, contest);
    return true;
  }

  /** A link that waits has ended, or says something else now. */
  leave(link: LinkNo): void {
    const contest = this.#waiting.get(link);
    if (!contest) return;
    this.#waiting.delete(link);
    if (contest.newcomer?.link === link) contest.newcomer = undefined;
    contest.claimers.delete(link);
  }

  /** Ends a contest; nobody waits in it any more. */
  end(contest: Contest): void {
    this.#byHolder.delete(contest.holder);
    this.#due.end(contest);
    for (const link of contest.claimers.keys()) this.#waiting.delete(link);
    if (contest.newcomer) this.#waiting.delete(contest.newcomer.link);
  }

  /** One that nobody answered in time. */
  overdue(now: Millis): Contest | undefined {
    return this.#due.take(now);
  }
}
