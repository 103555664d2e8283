/**
 * What others want to send here: which of it may be offered at all, how each stands, and what is remembered.
 *
 * Owns the entries, by number, the names that are taken while something of that name waits or is received, and how often hosts
 * did not keep to what they offered. Always true: of two entries that are not over none has a name of the other; at most
 * INBOX_OPEN_MAX are not over, INBOX_OPEN_OF_ONE_MAX of one key, and where another comes, what waits of the host that has most
 * gives its place up; at most INBOX_OVER_MAX that are over are remembered, the latest. Has no clock and no disk. Called by the
 * driver of the inbox.
 */
import type { InboxRow } from '../api.js';
import type { Millis } from '../clock.js';
import { HearsayError } from '../errors.js';
import { keyPart, type PeerId } from '../ids.js';
import { Latest } from '../latest.js';
import {
  FILE_SIZE_MAX,
  INBOX_HOSTS_MAX,
  INBOX_OPEN_MAX,
  INBOX_OPEN_OF_ONE_MAX,
  INBOX_OVER_MAX,
  INBOX_UNKEPT_MAX,
  INBOX_UNKEPT_MS,
  OFFERS_PER_PEER_MAX,
  PARCEL_ITEMS_MAX,
} from '../limits.js';
import { printable, segmentFault } from '../names.js';
import type { MessageOf } from '../wire/table.js';
import { isParcelName, titleOf } from './parcel.js';

/** A file or a folder of a parcel, as it is offered. */
export type Item = MessageOf<'i'>['items'][number];

export interface Entry {
  readonly number: number;
  readonly time: Millis;
  readonly from: PeerId;
  /** The address that it comes from. */
  readonly host: string;
  readonly parcel: string;
  /** None any more once nothing of it is held. */
  items: readonly Item[];
  /** Whether it is one folder. */
  readonly folder: boolean;
  /** What people call it. */
  readonly name: string;
  readonly files: number;
  readonly bytes: number;
  state: InboxRow['state'];
  /** Bytes that are here and verified. */
  received: number;
  path: string | undefined;
  error: HearsayError | undefined;
}

/** How long something waits for a person. */
export const WAITING: Millis = 24 * 60 * 60 * 1000;

const isOpen = ({ state }: Entry): boolean => state === 'waiting' || state === 'receiving';
/** Names that one disk or another takes for one. */
const folded = (name: string): string => name.normalize('NFKC').toLowerCase();

/** What is offered now, and what gives its place up to it: to be ended at once. */
export interface Offered {
  entry: Entry;
  loser: Entry | undefined;
}

export class InboxEntries {
  readonly #entries = new Map<number, Entry>();
  /** Of those that are not over, by their folded names. */
  readonly #taken = new Map<string, Entry>();
  /** How much each host took back or abandoned, and since when that is counted. */
  readonly #unkept = new Latest<string, { count: number; since: Millis }>(INBOX_HOSTS_MAX);
  #next = 1;

  get(number: number): Entry | undefined {
    return this.#entries.get(number);
  }

  /** All that is remembered, the newest last. */
  all(): Entry[] {
    return [...this.#entries.values()];
  }

  /** Those that wait for a person. */
  waiting(): Entry[] {
    return this.all().filter(({ state }) => state === 'waiting');
  }

  /** What became of a parcel that was offered before. */
  known(from: PeerId, parcel: string): Entry | undefined {
    const key = keyPart(from);
    return this.all().find((entry) => entry.parcel === parcel && keyPart(entry.from) === key);
  }

  /**
   * Something is offered. It waits from now on.
   * @param isSpared whether one that waits keeps its place, whoever comes
   * @throws HearsayError `bad-message`, `bad-name`, `limit`, `busy` where it may not even wait; nothing is kept of it then
   */
  offered(
    { from, host, parcel, items }: Pick<Entry, 'from' | 'host' | 'parcel' | 'items'>,
    now: Millis,
    isSpared: (entry: Entry) => boolean = () => false,
  ): Offered {
    if (!isParcelName(parcel) || items.length === 0 || items.length > PARCEL_ITEMS_MAX) {
      throw new HearsayError('bad-message', 'what is offered has no name, or nothing is in it');
    }
    const files = items.reduce((sum, item) => sum + item.files, 0);
    const bytes = items.reduce((sum, item) => sum + item.bytes, 0);
    if (files > OFFERS_PER_PEER_MAX || bytes > FILE_SIZE_MAX) {
      throw new HearsayError('limit', `${files} files of ${bytes} bytes are more than is taken at a time`);
    }
    if (this.#isUnkept(host, now)) {
      throw new HearsayError(
        'limit',
        'too much that was offered from there was taken back, or came to nothing, lately',
      );
    }
    const names = new Set<string>();
    for (const { name } of items) {
      const fault = segmentFault(name);
      if (fault) throw new HearsayError('bad-name', `${printable(name)}: ${fault}`);
      const key = folded(name);
      if (names.has(key)) throw new HearsayError('bad-name', `two things are called ${printable(name)}`);
      names.add(key);
      const other = this.#taken.get(key);
      if (!other) continue;
      const how = other.state === 'waiting' ? 'waits for an answer here already' : 'is being received here already';
      throw new HearsayError('busy', `${printable(name)} ${how}`);
    }
    const open = this.all().filter(isOpen);
    const key = keyPart(from);
    if (open.filter((entry) => keyPart(entry.from) === key).length >= INBOX_OPEN_OF_ONE_MAX) {
      throw new HearsayError('limit', 'too much waits in the inbox that comes from the same peer');
    }
    const loser = open.length >= INBOX_OPEN_MAX ? loserOf(open, host, isSpared) : undefined;
    if (open.length >= INBOX_OPEN_MAX && !loser) throw new HearsayError('limit', 'too much waits in the inbox');
    const name = titleOf(items.map((item) => item.name));
    const folder = items.length === 1 && items[0].folder;
    const rest = { state: 'waiting' as const, received: 0, path: undefined, error: undefined };
    const number = this.#next++;
    const entry: Entry = { number, time: now, from, host, parcel, items, folder, name, files, bytes, ...rest };
    this.#entries.set(number, entry);
    for (const name of names) this.#taken.set(name, entry);
    return { entry, loser };
  }

  /** Its sender took it back, or is gone, or could not give it. */
  unkept({ host }: Entry, now: Millis): void {
    const before = this.#unkept.get(host);
    const isLately = before && now - before.since < INBOX_UNKEPT_MS;
    this.#unkept.set(host, isLately ? { ...before, count: before.count + 1 } : { count: 1, since: now });
  }

  #isUnkept(host: string, now: Millis): boolean {
    const known = this.#unkept.get(host);
    return known !== undefined && now - known.since < INBOX_UNKEPT_MS && known.count >= INBOX_UNKEPT_MAX;
  }

  #free(entry: Entry): void {
    for (const { name } of entry.items) {
      const key = folded(name);
      if (this.#taken.get(key) === entry) this.#taken.delete(key);
    }
  }

  /** It is over. */
  ended(
    entry: Entry,
    state: 'received' | 'refused' | 'failed',
    more: { path?: string; error?: HearsayError } = {},
  ): void {
    this.#free(entry);
    entry.state = state;
    entry.path = more.path;
    entry.error = more.error;
    const over = this.all().filter((one) => !isOpen(one));
    for (const { number } of over.slice(0, Math.max(0, over.length - INBOX_OVER_MAX))) this.#entries.delete(number);
  }

  /** Nothing is remembered of it: no person has seen it. */
  forget(entry: Entry): void {
    this.#free(entry);
    this.#entries.delete(entry.number);
  }

  /** Those that have waited too long. */
  late(now: Millis): Entry[] {
    return this.waiting().filter(({ time }) => time + WAITING <= now);
  }

  /** Bytes that those that are being received still need. */
  get awaited(): number {
    const running = this.all().filter(({ state }) => state === 'receiving');
    return running.reduce((sum, { bytes, received }) => sum + Math.max(0, bytes - received), 0);
  }
}

/** Of the host that has most of them, and more than the newcomer's, what came last and waits. */
function loserOf(open: readonly Entry[], host: string, isSpared: (entry: Entry) => boolean): Entry | undefined {
  const counts = new Map<string, number>();
  for (const entry of open) counts.set(entry.host, (counts.get(entry.host) ?? 0) + 1);
  const most = Math.max(...counts.values());
  if (most <= (counts.get(host) ?? 0) + 1) return undefined;
  return open.findLast((entry) => counts.get(entry.host) === most && entry.state === 'waiting' && !isSpared(entry));
}
