/**
 * What a get of a parcel needs: its sender and its fellows are the sources, and whoever of them asks is served.
 *
 * Owns what is served onward of it, while and after it is received, and which fellows could not be reached. Always true: nothing of it
 * is asked of anyone else, or given to anyone else; no content is taken from this peer's own files that its sender may not see, so
 * that nobody has a file by its name alone; what has been received is given as long as it is what it was; a fellow who cannot be
 * reached is tried again ever more rarely. Called by the receipt that it is a part of.
 */
import { join } from 'node:path';
import type { GetQuery, PeerName } from '../api.js';
import type { Millis, Random } from '../clock.js';
import { HearsayError } from '../errors.js';
import { backoff } from '../gossip/pace.js';
import { blake3 } from '../hash.js';
import { keyPart, type PeerId } from '../ids.js';
import type { Link } from '../net/link.js';
import { openSource, readAt } from '../share/place-existing.js';
import type { Holding } from '../tracker/events.js';
import { chunkLength, chunkSizeOf, HASH_BYTES } from '../transfer/content.js';
import { readHead } from '../wire/head.js';
import type { Neighbour } from '../wire/table.js';
import type { Onward } from './context.js';
import type { Fellows } from './fellows.js';
import type { GetContext } from './fetch.js';
import type { Getting } from './getting.js';
import type { Limiter } from './limiter.js';
import type { LocalShelf } from './local-shelf.js';
import type { Found, Offered } from './offered.js';
import type { Piece } from './plan.js';
import type { Requests } from './requests.js';
import type { Server } from './serve.js';

/** How often fellows who had nothing to give are asked again, ms. */
const AGAIN_MS = 1000;
/** One who could not be reached is tried again after so long at first, and at most, ms. */
const UNREACHED_MS = 2000;
const UNREACHED_MOST_MS = 10 * 60_000;

export interface ReceivingParts {
  getting: Getting;
  shelf: LocalShelf;
  server: Server;
  /** Whether there is a connection to a peer. */
  isConnected(peer: PeerId): boolean;
}

export interface ReceivingOf {
  sender: PeerId;
  fellows: Fellows;
  /** What is to be fetched. */
  pieces: Piece[];
  /** Folders, absolute, in which what was received may lie by now, by the path that it has in them. */
  folders: readonly string[];
  relative(path: string): string;
  /** Fills in the ids of pieces that have none, by the sender's word. */
  identify(pieces: Piece[], signal: AbortSignal): Promise<void>;
}

export class Receiving implements GetContext {
  readonly #parts: ReceivingParts;
  readonly #of: ReceivingOf;
  readonly #ends: (() => void)[] = [];
  /** Fellows who could not be reached: how often, and when they are tried again. */
  readonly #unreached = new Map<PeerId, { tries: number; at: Millis }>();
  readonly requests: Requests;
  readonly random: Random;
  readonly limiter: Limiter;

  constructor(parts: ReceivingParts, of: ReceivingOf) {
    this.#parts = parts;
    this.#of = of;
    const { requests, random, limiter } = parts.getting;
    this.requests = requests;
    this.random = random;
    this.limiter = limiter;
  }

  /** Nothing of it is served any more. */
  end(): void {
    for (const end of this.#ends.splice(0)) end();
  }

  async connect(peer: PeerId): Promise<Link> {
    const { getting } = this.#parts;
    const neighbour = this.#of.fellows.neighbour(peer);
    if (!neighbour) return getting.connect(peer);
    if (!this.#mayTry(peer)) throw new HearsayError('unreachable', 'it could not be reached');
    // Two who were told of each other do not both dial.
    const link = await getting.meet(neighbour);
    if (link) return link;
    const tries = this.#unreached.get(peer)?.tries ?? 0;
    this.#unreached.set(peer, {
      tries: tries + 1,
      at: performance.now() + backoff(tries, UNREACHED_MS, UNREACHED_MOST_MS),
    });
    return getting.connect(peer);
  }

  #mayTry(peer: PeerId): boolean {
    if (this.#parts.isConnected(peer)) this.#unreached.delete(peer);
    return performance.now() >= (this.#unreached.get(peer)?.at ?? 0);
  }

  /** Nobody is met but fellows, and where the sender saw them. */
  async meet({ head }: Neighbour): Promise<Link | undefined> {
    const { id } = readHead(head);
    return this.#of.fellows.has(id) ? this.connect(id).catch(() => undefined) : undefined;
  }

  nameOf(peer: PeerId): PeerName {
    return this.#parts.getting.nameOf(peer);
  }

  isHere(peer: PeerId): boolean {
    return this.#parts.getting.isHere(peer);
  }

  isAside(): boolean {
    return false;
  }

  holders(): PeerId[] {
    return [];
  }

  async receivers(): Promise<Holding[]> {
    return [];
  }

  seek(_id: string, then: (peer: PeerId, receives: boolean) => void): () => void {
    const { fellows } = this.#of;
    const all = () => {
      for (const peer of fellows.ids()) if (this.#mayTry(peer)) then(peer, true);
    };
    all();
    const unhook = fellows.hook((peer) => then(peer, true));
    const timer = setInterval(all, AGAIN_MS);
    return () => {
      unhook();
      clearInterval(timer);
    };
  }

  whenHashed(): () => void {
    return () => {};
  }

  async resolve(): Promise<Piece[]> {
    return this.#of.pieces;
  }

  async refind(_query: GetQuery, pieces: readonly Piece[]): Promise<undefined[]> {
    return pieces.map(() => undefined);
  }

  hashFirst(pieces: Piece[], signal: AbortSignal): Promise<void> {
    return this.#of.identify(pieces, signal);
  }

  openShareAt(): undefined {
    return undefined;
  }

  own(id: string) {
    return this.#parts.shelf.own(id, this.#of.sender);
  }

  serveOnward(_id: string, found: Found): Onward {
    const { shelf, server } = this.#parts;
    const { sender, fellows, folders, relative } = this.#of;
    const { path, id } = found.source;
    // Two senders may use one name.
    const circle = `${keyPart(sender)} ${path}`;
    const places = folders.map((folder) => join(folder, ...relative(path).split('/')));
    const source = new Kept(found, places);
    this.#ends.push(shelf.addFor(path, { ...found, source, circle }, (peer) => fellows.has(peer)));
    return {
      have: (chunks) => server.tellHave(id as string, chunks, circle),
      // It goes on from where it has landed.
      end: () => source.leave(),
    };
  }
}

/** A file that is served while it is received, and from its place when it is there. */
class Kept implements Offered {
  readonly path: string;
  readonly size: number;
  readonly mtime: number;
  readonly executable: boolean;
  readonly id: string | null;
  readonly #found: Found;
  readonly #places: readonly string[];
  #left = false;

  constructor(found: Found, places: readonly string[]) {
    const { path, size, mtime, executable, id } = found.source;
    this.path = path;
    this.size = size;
    this.mtime = mtime;
    this.executable = executable;
    this.id = id;
    this.#found = found;
    this.#places = places;
  }

  /** It is no more where it was received. */
  leave(): void {
    this.#left = true;
  }

  async readChunk(chunk: number, into?: Buffer): Promise<Buffer> {
    if (!this.#left) {
      try {
        return await this.#found.source.readChunk(chunk, into);
      } catch (thrown) {
        // It may just be landing.
        const landed = await this.#landed(chunk);
        if (landed) return landed;
        throw thrown;
      }
    }
    const data = await this.#landed(chunk);
    if (!data) throw new HearsayError('not-found', 'it is not here any more');
    return data;
  }

  /** The chunk as it lies in its place, where it is what it was. */
  async #landed(chunk: number): Promise<Buffer | undefined> {
    const hash = this.#found.manifest?.subarray(chunk * HASH_BYTES, (chunk + 1) * HASH_BYTES);
    for (const place of this.#places) {
      const handle = await openSource(place);
      try {
        const data = handle && (await readAt(handle, chunk * chunkSizeOf(this.size), chunkLength(this.size, chunk)));
        if (data && hash && blake3(data).equals(hash)) return data;
      } catch {
        // As good as gone.
      } finally {
        await handle?.close();
      }
    }
    return undefined;
  }

  async close(): Promise<void> {}
}
