/**
 * The receipt of one parcel: fetches what is in it, and puts it into the inbox folder once it is whole.
 *
 * Owns the hidden folder in which it is gathered. Always true: nothing has its name in the inbox folder before all of it is here;
 * what fails leaves nothing behind, but for what is interrupted, which goes on when it is sent again; what is in it is no more than
 * was offered, in files, bytes and names. Called by the inbox.
 */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { GetEvent, GetQuery } from '../api.js';
import { asHearsayError, HearsayError } from '../errors.js';
import { keyPart } from '../ids.js';
import { printable } from '../names.js';
import { isFile, type Offer } from '../offer.js';
import { openStaging, putAll, removeStaging, stagingOf } from '../share/put.js';
import type { Entry } from '../transfer/inbox.js';
import { itemPath, parsePath } from '../transfer/parcel.js';
import { ASK } from './asker.js';
import type { Fellows } from './fellows.js';
import { Get, type GetHooks } from './fetch.js';
import type { Piece } from './plan.js';
import { Receiving, type ReceivingParts } from './receiving.js';
import { Stream } from './stream.js';

/** What is lacking, and nobody has who is here, is waited for so long, ms: others may come by it. */
const PATIENCE_MS = 15_000;
/** A sender that hashes what it sends says nothing meanwhile: that is waited for so long, ms. */
const HASHING_MS = 10 * 60_000;
/** A sender that breaks off before it has said what is in it is asked again after so long, then doubled up to the second, ms. */
const LISTING_AGAIN_MS = 250;
const LISTING_AGAIN_MOST_MS = 4000;
/** Empty folders that come with files: as many as there are files, or so many. */
const FOLDERS_MIN = 1000;
/** Characters of a path in it, taken over all of them. */
const PATH_MEAN = 256;

export type ReceiptParts = ReceivingParts;

export interface ReceiptOf {
  entry: Entry;
  fellows: Fellows;
  /** The inbox folder, absolute. */
  folder: string;
  /** ms without anything arriving. */
  timeout: number;
  place: GetHooks['place'];
  progress(bytes: number): void;
}

export class Receipt {
  readonly #parts: ReceiptParts;
  readonly #of: ReceiptOf;
  readonly #staging: string;
  readonly #receiving: Receiving;
  readonly #pieces: Piece[] = [];
  /** Bytes that are here, by path. */
  readonly #here = new Map<string, number>();
  #received = 0;

  constructor(parts: ReceiptParts, of: ReceiptOf) {
    const { entry, folder, fellows } = of;
    this.#parts = parts;
    this.#of = of;
    const names = entry.items.map(({ name }) => name);
    this.#staging = stagingOf(folder, [keyPart(entry.from), ...names].join('/'));
    this.#receiving = new Receiving(parts, {
      sender: entry.from,
      fellows,
      pieces: this.#pieces,
      folders: [this.#staging, folder],
      relative: (path) => this.#relative(path) ?? '',
      identify: (pieces, signal) => this.#identify(pieces, signal),
    });
  }

  /**
   * Receives it.
   * @returns what a person should know of it all the same, or nothing
   * @throws HearsayError why it is not here; `interrupted` where the signal is aborted
   */
  async run(signal: AbortSignal): Promise<string> {
    const { entry, timeout, place } = this.#of;
    try {
      for (const offer of await this.#listing(signal, false)) this.#pieces.push(this.#pieceOf(offer));
      entry.items.forEach(({ folder: isFolder }, i) => {
        const path = itemPath(entry.parcel, i);
        if (this.#pieces.some((piece) => parsePath(piece.path)?.item === i)) return;
        if (!isFolder) throw new HearsayError('changed', 'it is not all there any more');
        this.#pieces.push(this.#pieceOf({ path, kind: 'folder', size: 0, mtime: 0, id: null, version: 1 }));
      });
      const staging = await openStaging(this.#staging);
      const unstored = await this.#get(signal, timeout, { place, into: staging.hidden });
      if (signal.aborted) throw new HearsayError('interrupted', 'it was stopped');
      const names = entry.items.map(({ name }) => name);
      await putAll(staging, names);
      await removeStaging(this.#staging);
      return unstored;
    } catch (thrown) {
      if (!(thrown instanceof HearsayError && thrown.code === 'interrupted')) await this.discard();
      throw thrown;
    } finally {
      // What is held on for its fellows is none of it.
      this.#pieces.length = 0;
      this.#here.clear();
    }
  }

  /** Removes what is here of it. */
  discard(): Promise<void> {
    return removeStaging(this.#staging);
  }

  /** Serves nothing of it any more. */
  end(): void {
    this.#receiving.end();
  }

  /** Gets all of it. @returns what could not be stored here, in words */
  async #get(signal: AbortSignal, timeout: number, more: Pick<GetHooks, 'place' | 'into'>): Promise<string> {
    const query: GetQuery = { what: [], to: join(this.#staging, '/'), overwrite: true };
    const out = new Stream<GetEvent>();
    const hooks: GetHooks = {
      ...more,
      verified: ({ wanted }, bytes) => this.#note(wanted.path, bytes),
      settled: ({ wanted }, error) => {
        if (!error) this.#note(wanted.path, wanted.size);
      },
    };
    const get = new Get(query, this.#receiving, out, signal, timeout, hooks);
    const run = get.run();
    const errors: HearsayError[] = [];
    let files = 0;
    for await (const event of out) {
      if (event.event === 'done') files++;
      if (event.event === 'error') errors.push(new HearsayError(event.error.code, event.error.message));
    }
    await run;
    const [first] = errors.filter(({ code }) => code !== 'bad-name');
    // What this disk cannot hold fails by itself; all else fails the whole.
    if (first || (errors.length > 0 && files === 0)) throw this.#explained(first ?? errors[0], signal);
    if (errors.length === 0) return '';
    return `${errors.length} of ${files + errors.length} files cannot be stored there: ${errors[0].message}`;
  }

  /** What is missing because who had it is gone. */
  #explained(error: HearsayError, signal: AbortSignal): HearsayError {
    if (signal.aborted) return new HearsayError('interrupted', 'it was stopped');
    const { entry, fellows } = this.#of;
    const { getting, isConnected } = this.#parts;
    const isAbsence = ['no-peer', 'unreachable', 'timeout', 'cancelled'].includes(error.code);
    if (!isAbsence || isConnected(entry.from)) return error;
    const name = printable(getting.nameOf(entry.from).name);
    const others = fellows.size > 0 ? 'and none of those who receive it has all of it' : 'and nobody else has it';
    return new HearsayError('no-peer', `${name} is gone, ${others}`);
  }

  #note(path: string, bytes: number): void {
    this.#received += bytes - (this.#here.get(path) ?? 0);
    this.#here.set(path, bytes);
    this.#of.progress(this.#received);
  }

  /**
   * Asks the sender what is in it.
   * @param hashed whether contents are to be known, which may take as long as to read them
   * @param all whether what is in folders is wanted, too
   * @throws HearsayError `changed` where it is more than was offered, `bad-message`
   */
  async #listing(signal: AbortSignal, hashed: boolean, all = true): Promise<Offer[]> {
    for (let wait = LISTING_AGAIN_MS; ; wait *= 2) {
      try {
        return await this.#list(signal, hashed, all);
      } catch (thrown) {
        const { code } = asHearsayError(thrown);
        // A connection that broke, or gave way to another, is no answer.
        const isLost = code === 'cancelled' || code === 'unreachable';
        if (!isLost || signal.aborted || wait > LISTING_AGAIN_MOST_MS) throw thrown;
        await delay(wait, undefined, { signal }).catch(() => {});
      }
    }
  }

  async #list(signal: AbortSignal, hashed: boolean, all: boolean): Promise<Offer[]> {
    const { entry } = this.#of;
    const { getting } = this.#parts;
    const link = await this.#receiving.connect(entry.from);
    const offers = new Map<string, Offer>();
    const counted = { files: 0, folders: 0, bytes: 0, characters: 0 };
    const kind = hashed ? ASK.parcelHashed : ASK.parcel;
    const ask = (number: number) => ({ type: 'F' as const, number, kind, text: entry.parcel });
    await getting.requests.gather(
      link,
      ask,
      (page) => {
        if (page.type !== 'I' || (page.offers.length === 0 && !page.last)) {
          throw new HearsayError('bad-message', `${page.type} in answer to what is in a parcel`);
        }
        for (const offer of page.offers) {
          const item = this.#itemOf(offer.path);
          const isOdd = item?.rest === '' && item.folder === isFile(offer);
          if (!item || isOdd || offers.has(offer.path) || offer.kind === 'removed') {
            throw new HearsayError('bad-message', `${printable(offer.path)} is not part of what was offered`);
          }
          if (all || item.rest === '') offers.set(offer.path, offer);
          counted[isFile(offer) ? 'files' : 'folders']++;
          counted.bytes += offer.size;
          counted.characters += offer.path.length;
          // Folders are counted too: they take a name each.
          const isMore = counted.files > entry.files || counted.bytes > entry.bytes;
          const names = entry.files + Math.max(entry.files, FOLDERS_MIN);
          if (isMore || counted.files + counted.folders > names || counted.characters > names * PATH_MEAN) {
            throw new HearsayError('changed', 'it is more by now than was offered: send it again');
          }
        }
        return page.last;
      },
      HASHING_MS,
      signal,
      2 * HASHING_MS,
    );
    return [...offers.values()];
  }

  #itemOf(path: string) {
    const { entry } = this.#of;
    const at = parsePath(path);
    const item = at?.parcel === entry.parcel ? entry.items[at.item] : undefined;
    return item && at && (at.rest === '' || item.folder) ? { ...item, rest: at.rest } : undefined;
  }

  /** Where something goes below the inbox folder, as a path on the wire. */
  #relative(path: string): string | undefined {
    const item = this.#itemOf(path);
    return item && (item.rest === '' ? item.name : `${item.name}/${item.rest}`);
  }

  #pieceOf({ path, kind, size, mtime, id }: Offer): Piece {
    const { entry, fellows } = this.#of;
    return {
      path,
      id,
      folder: kind === 'folder',
      naming: { kind: 'as', path: this.#relative(path) as string },
      size,
      mtime,
      executable: kind === 'executable',
      sources: [entry.from],
      only: undefined,
      here: id !== null && this.#parts.shelf.own(id, entry.from) !== undefined,
      exact: true,
      patience: PATIENCE_MS,
      yields: (source, chunk) => source === entry.from && fellows.isOthers(chunk),
    };
  }

  async #identify(pieces: Piece[], signal: AbortSignal): Promise<void> {
    const ids = new Map((await this.#listing(signal, true)).map(({ path, id }) => [path, id]));
    for (const piece of pieces) piece.id ??= ids.get(piece.path) ?? null;
  }

  /** The content ids of items that are files, by the sender's word. */
  async ids(signal: AbortSignal): Promise<(string | null)[]> {
    // Nobody has said yes yet: what is in folders is not kept.
    const offers = await this.#listing(signal, true, false);
    const { entry } = this.#of;
    return entry.items.map((_, i) => offers.find(({ path }) => path === itemPath(entry.parcel, i))?.id ?? null);
  }
}
