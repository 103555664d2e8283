/**
 * One download and its sources on a virtual clock: the shipped Download and Upload, over links with a rate and a latency
 * that may lose, corrupt, stall and break. From a seed; nothing here waits for real time.
 */
import { Bits } from '../../lib/bits.js';
import { seeded } from '../../lib/clock.js';
import { BLOCK } from '../../lib/limits.js';
import { Download, type DownloadEffect, type DownloadEvent } from '../../lib/transfer/download.js';
import { FREE, type Leave, type Limit } from '../../lib/transfer/limit.js';
import { Upload } from '../../lib/transfer/upload.js';

export interface SourceSettings {
  peer: string;
  /** Bytes a millisecond. */
  rate: number;
  /** One way, ms. */
  latency?: number;
  /** Chunks that it has; all by default. */
  have?: number[];
  /** From when to when it sends nothing and hears nothing, ms. */
  silent?: [number, number];
  /** The limit on what it sends, and how often it tells that it has to wait, ms; never without. */
  limit?: VirtualLimit;
  tells?: number;
  /** Whether the n-th sending (from 1) of a block is lost. */
  loseBlock?: (block: number, nth: number) => boolean;
  /** Whether the n-th acknowledgement of a block is lost. */
  loseAck?: (block: number, nth: number) => boolean;
  /** Whether the n-th sending of a block has wrong bytes. */
  corrupt?: (block: number, nth: number) => boolean;
}

/** Who waits is called when it is his turn, as by the Limiter. */
export type VirtualLimit = Limit<() => void>;

interface Source extends SourceSettings {
  upload: Upload;
  busyUntil: number;
  sent: Map<number, number>;
  acks: Map<number, number>;
  /** Blocks that left, also those lost. */
  blocks: number;
  watched: boolean;
  /** Since when it waits for leave to send. */
  heldUp: number | undefined;
  /** Whether it has leave for one block. */
  hasLeave: boolean;
}

export interface Outcome {
  /** When every chunk was there, ms, or undefined where it never was. */
  finished: number | undefined;
  /** Blocks that arrived from each source. */
  arrived: Map<string, number>;
  /** Blocks that left each source. */
  sent: Map<string, number>;
  dropped: string[];
  requests: { peer: string; block: number; count: number; at: number }[];
  sendings: { peer: string; block: number; at: number }[];
  bad: { peer: string; chunk: number }[];
  /** Chunks in the order in which they were verified. */
  order: number[];
  /** Bytes that had leave, less those that were given back, and those that were owed. */
  leave: number;
  download: Download;
}

interface Planned {
  at: number;
  order: number;
  run(): void;
}

export class Exchange {
  now = 0;
  readonly download: Download;
  readonly outcome: Outcome;
  readonly #sources = new Map<string, Source>();
  readonly #plan: Planned[] = [];
  #order = 0;
  /** Blocks of the chunks under way that came with wrong bytes. */
  readonly #wrong = new Set<number>();
  #timerAt = Number.POSITIVE_INFINITY;
  /** When who waits at a limit is called next. */
  readonly #rings = new Map<VirtualLimit, number>();

  /** @param limit on what is asked for */
  constructor(size: number, seed: number, have?: Bits, limit?: VirtualLimit) {
    this.download = new Download(size, seeded(seed), have, undefined, limit ? this.#leaveOf(limit) : FREE);
    this.outcome = {
      finished: undefined,
      arrived: new Map(),
      sent: new Map(),
      dropped: [],
      requests: [],
      sendings: [],
      bad: [],
      order: [],
      leave: 0,
      download: this.download,
    };
  }

  add(settings: SourceSettings, at = 0): void {
    this.#at(at, () => {
      const upload = new Upload();
      this.#sources.set(settings.peer, {
        ...settings,
        upload,
        busyUntil: 0,
        sent: new Map(),
        acks: new Map(),
        blocks: 0,
        watched: false,
        heldUp: undefined,
        hasLeave: false,
      });
      const have = settings.have && new Bits(this.download.chunks.count);
      for (const chunk of settings.have ?? []) have?.add(chunk);
      this.#give({ kind: 'source', peer: settings.peer, have: have?.bytes });
    });
  }

  /** A source's connection breaks at some time. */
  breakAt(peer: string, at: number): void {
    this.#at(at, () => {
      this.#sources.delete(peer);
      this.#give({ kind: 'source-gone', peer });
    });
  }

  /** An event of the test's own. */
  eventAt(at: number, event: DownloadEvent): void {
    this.#at(at, () => this.#give(event));
  }

  /** Runs until the download is complete or `until` has come. */
  run(until = 600_000): Outcome {
    for (;;) {
      this.#plan.sort((a, b) => a.at - b.at || a.order - b.order);
      const next = this.#plan.shift();
      if (!next || next.at > until || this.outcome.finished !== undefined) return this.outcome;
      this.now = Math.max(this.now, next.at);
      next.run();
    }
  }

  #at(at: number, run: () => void): void {
    this.#plan.push({ at, order: this.#order++, run });
  }

  #isSilent(source: Source, at: number): boolean {
    return source.silent !== undefined && at >= source.silent[0] && at < source.silent[1];
  }

  #give(event: DownloadEvent): void {
    for (const effect of this.download.handle(event, this.now)) this.#carryOut(effect);
  }

  #carryOut(effect: DownloadEffect): void {
    const { outcome } = this;
    switch (effect.kind) {
      case 'request': {
        outcome.requests.push({ ...effect, at: this.now });
        this.#toSource(effect.peer, (source) => {
          source.upload.request(
            0,
            Array.from({ length: effect.count }, (_, i) => effect.block + i),
          );
          this.#pump(source);
        });
        break;
      }
      case 'ack': {
        const { peer, block } = effect;
        this.#toSource(peer, (source) => {
          const nth = (source.acks.get(block) ?? 0) + 1;
          source.acks.set(block, nth);
          if (source.loseAck?.(block, nth)) return;
          source.upload.acked(0, [block], this.now);
          this.#pump(source);
        });
        break;
      }
      case 'check': {
        const { chunk } = effect;
        const first = chunk * Math.max(1, this.download.chunkSize / BLOCK);
        const blocks = Math.max(1, this.download.chunkSize / BLOCK);
        let ok = true;
        for (let b = first; b < first + blocks; b++) if (this.#wrong.delete(b)) ok = false;
        // Writing takes a moment.
        this.#at(this.now + 1, () => {
          if (ok) outcome.order.push(chunk);
          this.#give({ kind: 'checked', chunk, ok });
        });
        break;
      }
      case 'bad':
        outcome.bad.push({ peer: effect.peer, chunk: effect.chunk });
        break;
      case 'drop':
        outcome.dropped.push(effect.peer);
        this.#sources.delete(effect.peer);
        break;
      case 'complete':
        outcome.finished = this.now;
        break;
      case 'timer':
        if (effect.at >= this.#timerAt && this.#timerAt > this.now) break;
        this.#timerAt = effect.at;
        this.#at(effect.at, () => {
          this.#timerAt = Number.POSITIVE_INFINITY;
          this.#give({ kind: 'timer' });
        });
        break;
    }
  }

  #toSource(peer: string, then: (source: Source) => void): void {
    const source = this.#sources.get(peer);
    if (!source) return;
    this.#at(this.now + (source.latency ?? 1), () => {
      if (this.#sources.get(peer) === source && !this.#isSilent(source, this.now)) then(source);
    });
  }

  /** Has who waits at a limit called in time. */
  #wake(limit: VirtualLimit): void {
    const due = Math.max(limit.dueAt ?? Number.POSITIVE_INFINITY, this.now);
    if (due >= (this.#rings.get(limit) ?? Number.POSITIVE_INFINITY)) return;
    this.#rings.set(limit, due);
    this.#at(due, () => {
      if (this.#rings.get(limit) !== due) return;
      this.#rings.delete(limit);
      for (let then = limit.next(this.now); then; then = limit.next(this.now)) then();
      this.#wake(limit);
    });
  }

  #leaveOf(limit: VirtualLimit): Leave {
    let held = false;
    const then = () => {
      held = true;
      this.#give({ kind: 'timer' });
    };
    const now = () => this.now;
    return {
      get isFree() {
        return limit.isFree;
      },
      take: (bytes) => {
        if (held || limit.take(then, bytes, now())) {
          held = false;
          this.outcome.leave += bytes;
          return true;
        }
        this.#wake(limit);
        return false;
      },
      give: (bytes) => {
        this.outcome.leave -= bytes;
        limit.give(bytes);
        this.#wake(limit);
      },
      owe: (bytes) => {
        this.outcome.leave += bytes;
        limit.owe(bytes);
      },
    };
  }

  /** Another rate of a limit, bytes a second, at some time. */
  rateAt(at: number, limit: VirtualLimit, rate: number): void {
    this.#at(at, () => {
      limit.setRate(rate, this.now);
      this.#wake(limit);
    });
  }

  /** Whether a source may send a block now; where not, it goes on when it may. */
  #mayPass(source: Source): boolean {
    const { limit, tells } = source;
    if (!limit || !source.upload.ready) return true;
    if (source.hasLeave) {
      source.hasLeave = false;
      return true;
    }
    if (source.heldUp !== undefined) return false;
    const since = this.now;
    const then = () => {
      source.heldUp = undefined;
      source.hasLeave = true;
      this.#pump(source);
    };
    if (limit.take(then, BLOCK, this.now)) return true;
    source.heldUp = since;
    this.#wake(limit);
    const tell = () => {
      if (source.heldUp !== since || tells === undefined) return;
      this.#give({ kind: 'source-has', peer: source.peer, chunks: [] });
      this.#at(this.now + tells, tell);
    };
    if (tells !== undefined) this.#at(this.now + tells, tell);
    return false;
  }

  #pump(source: Source): void {
    while (this.#mayPass(source)) {
      const item = source.upload.next(this.now);
      if (!item) break;
      const block = item.index;
      const nth = (source.sent.get(block) ?? 0) + 1;
      source.sent.set(block, nth);
      source.blocks++;
      this.outcome.sent.set(source.peer, source.blocks);
      this.outcome.sendings.push({ peer: source.peer, block, at: this.now });
      const { length } = this.download.placeOf(block);
      source.busyUntil = Math.max(source.busyUntil, this.now) + length / source.rate;
      const leaves = source.busyUntil;
      this.#at(leaves + (source.latency ?? 1), () => {
        if (this.#sources.get(source.peer) !== source || this.#isSilent(source, leaves)) return;
        if (source.loseBlock?.(block, nth)) return;
        if (source.corrupt?.(block, nth)) this.#wrong.add(block);
        this.outcome.arrived.set(source.peer, (this.outcome.arrived.get(source.peer) ?? 0) + 1);
        this.#give({ kind: 'block', peer: source.peer, block, bytes: length });
      });
    }
    this.#watch(source);
  }

  /** One alarm a source at a time. */
  #watch(source: Source): void {
    const due = source.upload.deadline();
    if (due === undefined || source.watched) return;
    source.watched = true;
    // What has not left the source cannot have been acknowledged, as in the driver.
    this.#at(Math.max(due, this.now + 1, source.busyUntil), () => {
      source.watched = false;
      if (this.#sources.get(source.peer) !== source) return;
      if (source.busyUntil <= this.now) source.upload.expire(this.now);
      this.#pump(source);
    });
  }
}
