/**
 * The receiving side of many small files: which to ask of whom, many to a request.
 *
 * Owns the state of each file of the batch, by its place in the list. Always true: nothing is asked for without leave; a file waits, is asked of one source (of some
 * where the one before was silent), or is settled (here, or failed with the last reason). Called by the driver of a fetch.
 */
import type { Millis } from '../clock.js';
import type { Code } from '../errors.js';
import type { PeerId } from '../ids.js';
import { BLOCK, SMALL_BATCH_MAX } from '../limits.js';
import { FREE, type Leave } from './limit.js';
import { Rto } from './rto.js';

export type BatchEvent =
  | { kind: 'source'; peer: PeerId }
  /** The connection broke; the source may come back. */
  | { kind: 'source-lost'; peer: PeerId }
  | { kind: 'source-gone'; peer: PeerId; code: Code }
  /** A file came, verified and written, or not: `code` says why. */
  | { kind: 'settled'; file: number; peer: PeerId; code: Code | undefined }
  /** These came, verified and written. */
  | { kind: 'came'; files: readonly number[]; peer: PeerId }
  | { kind: 'heard'; peer: PeerId }
  | { kind: 'timer' };

export type BatchEffect =
  /** Ask for these files; `request` numbers it for `settled` of the same source only. */
  | { kind: 'request'; peer: PeerId; files: number[] }
  | { kind: 'failed'; file: number; code: Code }
  | { kind: 'drop'; peer: PeerId; code: Code }
  | { kind: 'complete' }
  | { kind: 'timer'; at: Millis };

/** Bytes asked for in one request, beyond which no further file joins it; under a limit, that it does not pass with several. */
const REQUEST_BYTES = 1 << 20;
const REQUEST_BYTES_LIMITED = BLOCK;
/** Requests open to one source: while one is answered the next is on its way. */
const REQUESTS = 3;
/** The same where they are small, as when others fail one file after another: far below what a source takes. */
const OPEN_MAX = 16;
const STRIKES = 2;
/** Sources that a file is asked of at once, when the one before was silent. */
const HEDGE = 4;

interface Source {
  peer: PeerId;
  rto: Rto;
  asked: Asked;
  heard: Millis;
  stalled: boolean;
  strikes: number;
}

/** Files asked of one source, each with the time it was asked first, and how many requests hold some of them. */
class Asked {
  readonly #files = new Map<number, { at: Millis; left: number }>();
  /** Of those that were asked for again: when they were asked for first. */
  readonly #first = new Map<number, Millis>();
  /** Requests of which something is awaited. */
  open = 0;

  get size(): number {
    return this.#files.size;
  }

  has(file: number): boolean {
    return this.#files.has(file);
  }

  /** When it was asked for. */
  at(file: number): Millis | undefined {
    return this.#first.get(file) ?? this.#files.get(file)?.at;
  }

  files(): number[] {
    return [...this.#files.keys()];
  }

  /** These are asked for with one request, some perhaps again. */
  add(files: readonly number[], now: Millis): void {
    const request = { at: now, left: files.length };
    this.open++;
    for (const file of files) {
      const first = this.at(file);
      this.delete(file);
      this.#files.set(file, request);
      if (first !== undefined) this.#first.set(file, first);
    }
  }

  delete(file: number): void {
    const request = this.#files.get(file);
    if (!request) return;
    this.#files.delete(file);
    if (this.#first.size > 0) this.#first.delete(file);
    if (--request.left === 0) this.open--;
  }
}

export interface BatchFile {
  size: number;
  /** Who offers it. */
  peers: PeerId[];
}

export class Batch {
  readonly #files: readonly BatchFile[];
  /** Waiting files by source, each list taken from its end; a file may stand in several lists, `#waiting` decides. */
  readonly #lists = new Map<PeerId, number[]>();
  readonly #waiting: Uint8Array;
  /** Files that are here, or have failed. */
  readonly #over: Uint8Array;
  readonly #tried = new Map<number, Set<PeerId>>();
  /** Files of each source that are not over. */
  readonly #lacking = new Map<PeerId, number>();
  readonly #sources = new Map<PeerId, Source>();
  readonly #gone = new Set<PeerId>();
  readonly #leave: Leave;
  #left: number;
  #done = false;

  /** @param leave what the limits on what arrives allow */
  constructor(files: readonly BatchFile[], leave: Leave = FREE) {
    this.#files = files;
    this.#leave = leave;
    this.#left = files.length;
    this.#waiting = new Uint8Array(files.length).fill(1);
    this.#over = new Uint8Array(files.length);
    for (let i = files.length - 1; i >= 0; i--) {
      for (const peer of files[i].peers) {
        const list = this.#lists.get(peer);
        if (list) list.push(i);
        else this.#lists.set(peer, [i]);
        this.#lacking.set(peer, (this.#lacking.get(peer) ?? 0) + 1);
      }
    }
  }

  /** Peers that offer any of the files. */
  get peers(): PeerId[] {
    return [...this.#lists.keys()];
  }

  /** Files that are asked for and not settled. */
  get awaited(): number {
    let n = 0;
    for (const { asked } of this.#sources.values()) n += asked.size;
    return n;
  }

  get left(): number {
    return this.#left;
  }

  /** Whether something of this peer's is neither here nor has failed, whoever is asked for it now. */
  isLacking(peer: PeerId): boolean {
    return !this.#gone.has(peer) && (this.#lacking.get(peer) ?? 0) > 0;
  }

  /** Whether something waits that this peer could be asked for. */
  wants(peer: PeerId): boolean {
    const list = this.#lists.get(peer) ?? [];
    while (list.length > 0 && !this.#waiting[list[list.length - 1]]) list.pop();
    return list.length > 0;
  }

  handle(event: BatchEvent, now: Millis): BatchEffect[] {
    const out: BatchEffect[] = [];
    switch (event.kind) {
      case 'source':
        if (this.#gone.delete(event.peer)) this.#back(event.peer);
        if (!this.#sources.has(event.peer)) {
          this.#sources.set(event.peer, {
            peer: event.peer,
            rto: new Rto(),
            asked: new Asked(),
            heard: now,
            stalled: false,
            strikes: 0,
          });
        }
        break;
      case 'source-lost':
        this.#lost(event.peer);
        break;
      case 'source-gone':
        this.#remove(event.peer, event.code, out);
        break;
      case 'heard': {
        const source = this.#sources.get(event.peer);
        if (source && source.asked.size > 0) source.heard = now;
        break;
      }
      case 'settled':
        this.#settled(event.file, event.peer, event.code, now, out);
        break;
      case 'came':
        for (const file of event.files) this.#settled(file, event.peer, undefined, now, out);
        break;
      case 'timer':
        this.#late(now, out);
        break;
    }
    this.#ask(now, out);
    if (!this.#done && this.#left === 0) {
      this.#done = true;
      out.push({ kind: 'complete' });
    }
    const at = this.#deadline();
    if (at !== undefined) out.push({ kind: 'timer', at });
    return out;
  }

  #settled(file: number, peer: PeerId, code: Code | undefined, now: Millis, out: BatchEffect[]): void {
    const source = this.#sources.get(peer);
    const at = source?.asked.at(file);
    if (source && at !== undefined) {
      source.asked.delete(file);
      source.heard = now;
      source.stalled = false;
      source.rto.sample(now - at);
    }
    if (code === undefined) {
      this.#finish(file);
      return;
    }
    if (!source || at === undefined) return;
    if (code === 'wrong-content' && ++source.strikes >= STRIKES) {
      out.push({ kind: 'drop', peer, code });
      this.#again(file, peer, code, out);
      this.#remove(peer, code, out);
      return;
    }
    this.#again(file, peer, code, out);
  }

  #finish(file: number): void {
    if (this.#over[file]) return;
    this.#over[file] = 1;
    this.#waiting[file] = 0;
    this.#left--;
    // Others may have been asked beside its source, or after it was lost while the file was written.
    for (const { asked } of this.#sources.values()) asked.delete(file);
    for (const peer of this.#files[file].peers) this.#lacking.set(peer, (this.#lacking.get(peer) ?? 1) - 1);
    if (this.#tried.size > 0) this.#tried.delete(file);
  }

  /** A file did not come from a source: it waits for another, or has failed. */
  #again(file: number, peer: PeerId, code: Code, out: BatchEffect[]): void {
    if (this.#over[file]) return;
    const tried = this.#tried.get(file) ?? new Set();
    this.#tried.set(file, tried);
    // A wrong content is asked for once more of the same source where it is the only one.
    const second = code === 'wrong-content' && !tried.has(peer) && this.#files[file].peers.length === 1;
    tried.add(peer);
    const others = this.#files[file].peers.filter((p) => !tried.has(p) && !this.#gone.has(p));
    if (second) others.push(peer);
    // Failures of our own disk are the same whoever sends.
    const isOurs = code === 'disk-full' || code === 'not-writable' || code === 'exists';
    // Others that were asked beside this one may still send it.
    if (!isOurs && [...this.#sources.values()].some(({ asked }) => asked.has(file))) return;
    if (others.length === 0 || isOurs) {
      this.#finish(file);
      out.push({ kind: 'failed', file, code });
      return;
    }
    this.#waiting[file] = 1;
    for (const other of others) this.#lists.get(other)?.push(file);
  }

  /** One that was given up comes back: what still waits may be asked of it again. */
  #back(peer: PeerId): void {
    const list: number[] = [];
    for (let file = this.#files.length - 1; file >= 0; file--) {
      if (!this.#waiting[file] || !this.#files[file].peers.includes(peer)) continue;
      if (!this.#tried.get(file)?.has(peer)) list.push(file);
    }
    this.#lists.set(peer, list);
  }

  /** What a source was asked for waits again, for it or for others. */
  #lost(peer: PeerId): void {
    const source = this.#sources.get(peer);
    this.#sources.delete(peer);
    this.#leave.give(this.#bytesOf(source?.asked.files() ?? []));
    for (const file of source?.asked.files() ?? []) {
      this.#waiting[file] = 1;
      const tried = this.#tried.get(file);
      for (const other of this.#files[file].peers) if (!tried?.has(other)) this.#lists.get(other)?.push(file);
      if (tried?.has(peer)) this.#lists.get(peer)?.push(file);
    }
  }

  #remove(peer: PeerId, code: Code, out: BatchEffect[]): void {
    if (this.#gone.has(peer)) return;
    this.#gone.add(peer);
    const source = this.#sources.get(peer);
    this.#sources.delete(peer);
    this.#leave.give(this.#bytesOf(source?.asked.files() ?? []));
    for (const file of source?.asked.files() ?? []) this.#again(file, peer, code, out);
    // What waited for this source goes to those who may not have it in their lists any more, or has nobody left.
    for (const file of this.#lists.get(peer) ?? []) {
      if (!this.#waiting[file]) continue;
      const tried = this.#tried.get(file);
      const others = this.#files[file].peers.filter((p) => !this.#gone.has(p) && !tried?.has(p));
      for (const other of others) this.#lists.get(other)?.push(file);
      if (others.length > 0) continue;
      this.#finish(file);
      out.push({ kind: 'failed', file, code });
    }
    this.#lists.set(peer, []);
  }

  /** Whether a file is awaited from this source: what is not is neither written nor counted. */
  expects(file: number, peer: PeerId): boolean {
    return this.#sources.get(peer)?.asked.has(file) ?? false;
  }

  #ask(now: Millis, out: BatchEffect[]): void {
    // Where every source has stalled, each gets another chance.
    const sources = [...this.#sources.values()];
    if (sources.every((s) => s.stalled)) for (const source of sources) source.stalled = false;
    for (const source of this.#sources.values()) {
      if (source.stalled) continue;
      const list = this.#lists.get(source.peer) ?? [];
      const { asked } = source;
      while (asked.size < (REQUESTS - 1) * SMALL_BATCH_MAX + 1 && asked.open < OPEN_MAX && list.length > 0) {
        const files = this.#take(list);
        if (files.length === 0) break;
        if (!this.#leave.take(this.#bytesOf(files))) {
          // They wait on, for whoever is asked when there is leave.
          for (const file of files.reverse()) {
            this.#waiting[file] = 1;
            list.push(file);
          }
          return;
        }
        if (asked.size === 0) source.heard = now;
        asked.add(files, now);
        out.push({ kind: 'request', peer: source.peer, files });
      }
    }
  }

  /** Files for one request, from a list's end. */
  #take(list: number[]): number[] {
    const { isFree } = this.#leave;
    const files: number[] = [];
    let bytes = 0;
    while (list.length > 0 && files.length < SMALL_BATCH_MAX && bytes < REQUEST_BYTES) {
      const file = list[list.length - 1];
      const { size } = this.#files[file];
      if (!isFree && files.length > 0 && bytes + size > REQUEST_BYTES_LIMITED) break;
      list.pop();
      if (!this.#waiting[file]) continue;
      this.#waiting[file] = 0;
      files.push(file);
      bytes += size;
    }
    return files;
  }

  #bytesOf(files: readonly number[]): number {
    return files.reduce((sum, file) => sum + this.#files[file].size, 0);
  }

  #deadline(): Millis | undefined {
    let soonest: Millis | undefined;
    for (const source of this.#sources.values()) {
      if (source.asked.size === 0) continue;
      const due = source.heard + source.rto.value;
      if (soonest === undefined || due < soonest) soonest = due;
    }
    return soonest;
  }

  /**
   * A source that was silent for a whole time-out gives its files to others, or is asked again where there are none. Each file goes to
   * some at once, and when those are silent too to some more of each: so the one that answers is found in a few time-outs, however many
   * are silent, and one that is merely slow costs a few copies.
   */
  #late(now: Millis, out: BatchEffect[]): void {
    for (const source of [...this.#sources.values()]) {
      if (source.asked.size === 0 || source.heard + source.rto.value > now) continue;
      source.rto.backOff();
      source.heard = now;
      const files = source.asked.files();
      const kept: number[] = [];
      const given = new Map<Source, number[]>();
      for (const file of files) {
        const others = this.#files[file].peers
          .map((peer) => this.#sources.get(peer))
          .filter((other): other is Source => other !== undefined && other !== source && !other.stalled);
        if (others.length === 0) {
          kept.push(file);
          continue;
        }
        source.asked.delete(file);
        for (const other of others.filter(({ asked }) => !asked.has(file)).slice(0, HEDGE)) {
          if (other.asked.size === 0) other.heard = now;
          const all = given.get(other);
          if (all) all.push(file);
          else given.set(other, [file]);
        }
      }
      source.stalled = kept.length < files.length;
      if (kept.length > 0) given.set(source, kept);
      for (const [{ peer, asked }, all] of given) {
        for (let i = 0; i < all.length; i += SMALL_BATCH_MAX) {
          const some = all.slice(i, i + SMALL_BATCH_MAX);
          asked.add(some, now);
          out.push({ kind: 'request', peer, files: some });
        }
      }
    }
  }
}
