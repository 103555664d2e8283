/**
 * Reports: tells trackers which chunks of what is being received are here to be given.
 *
 * Owns what is reported, and up to where each is told. Always true: a tracker is told of at most REPORTS_MAX contents, of each
 * at first at once and then every so often, in stretches; what ends is taken back. Called by Trackers.
 */
import type { Bits } from '../bits.js';
import type { Millis } from '../clock.js';
import { REPORTS_MAX } from '../limits.js';
import type { MessageOf } from '../wire/table.js';

/** The first chunks make a receiver a source, so they are told soon; from then on it tells those who fetch from it itself. */
const FIRST: Millis = 500;
const NEXT: Millis = 2000;
/** Bytes of a bit set in one message. */
const STRETCH = 4096;

interface Report {
  readonly have: Bits;
  /** As it was told last. */
  told: Uint8Array | undefined;
  timer: NodeJS.Timeout | undefined;
}

/** Something that is being received, as those who report it see it. */
export interface Reporting {
  /** There are more chunks now. */
  grew(): void;
  end(): void;
}

export class Reports {
  readonly #reports = new Map<string, Set<Report>>();
  readonly #say: (message: MessageOf<'h'>) => void;
  #count = 0;

  /** @param say tells all trackers at which this peer is registered */
  constructor(say: (message: MessageOf<'h'>) => void) {
    this.#say = say;
  }

  /** Reports a content from now on. @param have which chunks are here, as it goes on growing */
  begin(id: string, have: Bits): Reporting {
    if (this.#count >= REPORTS_MAX) return { grew: () => {}, end: () => {} };
    this.#count++;
    const report: Report = { have, told: undefined, timer: undefined };
    const same = this.#reports.get(id) ?? new Set();
    this.#reports.set(id, same.add(report));
    const grew = () => {
      if (have.count === 0 || report.timer) return;
      report.timer = setTimeout(
        () => {
          report.timer = undefined;
          for (const message of this.#news(id, report)) this.#say(message);
        },
        report.told ? NEXT : FIRST,
      );
    };
    grew();
    return {
      grew,
      end: () => {
        if (!same.delete(report)) return;
        this.#count--;
        clearTimeout(report.timer);
        if (same.size > 0) return;
        this.#reports.delete(id);
        if (report.told) this.#say({ type: 'h', id, chunks: have.length, at: 0, bits: new Uint8Array(0) });
      },
    };
  }

  /** All that was told, for a tracker that does not know it yet. */
  *all(): Generator<MessageOf<'h'>> {
    for (const [id, same] of this.#reports) {
      for (const { told, have } of same) if (told) yield* stretches(id, have.length, told, () => true);
    }
  }

  stop(): void {
    for (const same of this.#reports.values()) for (const { timer } of same) clearTimeout(timer);
    this.#reports.clear();
  }

  /** What has changed since it was told last. */
  *#news(id: string, report: Report): Generator<MessageOf<'h'>> {
    const before = report.told;
    const bytes = Uint8Array.from(report.have.bytes);
    report.told = bytes;
    const isNew = (at: number, to: number) =>
      !before || Buffer.compare(before.subarray(at, to), bytes.subarray(at, to)) !== 0;
    yield* stretches(id, report.have.length, bytes, isNew);
  }
}

function* stretches(
  id: string,
  chunks: number,
  bytes: Uint8Array,
  isWanted: (at: number, to: number) => boolean,
): Generator<MessageOf<'h'>> {
  for (let at = 0; at < bytes.length; at += STRETCH) {
    const to = Math.min(bytes.length, at + STRETCH);
    if (isWanted(at, to)) yield { type: 'h', id, chunks, at, bits: bytes.subarray(at, to) };
  }
}
