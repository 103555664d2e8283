/**
 * What the daemon's peer tells, as lines of its log.
 * Owns what is counted instead of written. Always true: what one peer fetches makes few lines a second, however many files
 * it fetches; `status --served` knows each.
 */
import type { ShareEvent } from '../api.js';
import type { Level, Log } from '../daemon/logger.js';
import { LOG_SERVED_MAX, LOG_SERVED_PEERS_MAX } from '../limits.js';
import { printable } from '../names.js';
import { count, formatSize, peerLabel } from './format.js';
import { styleOf } from './output.js';
import { eventLine } from './told.js';

type Serving = Extract<ShareEvent, { event: 'serving' }>;

/** What one peer fetched within a second. */
interface Sum {
  who: string;
  /** Lines written of it. */
  lines: number;
  /** What was only counted. */
  files: number;
  failed: number;
  bytes: number;
}

const SECOND = 1000;
const PLAIN = styleOf(
  {
    isTTY: false,
    columns: 80,
    rows: 24,
    closed: false,
    fault: undefined,
    write: async () => {},
    onResize: () => () => {},
  },
  {},
);

export class DaemonLog {
  readonly #log: Log;
  readonly #verbose: boolean;
  #sums = new Map<string, Sum>();
  #timer: NodeJS.Timeout | undefined;

  constructor(log: Log, verbose: boolean) {
    this.#log = log;
    this.#verbose = verbose;
  }

  tell(event: ShareEvent): void {
    if (event.event === 'serving' && event.state !== 'begun' && !this.#verbose && this.#isCounted(event)) return;
    const { event: kind, ...data } = event;
    this.#log.write(levelOf(event), wordsOf(event), { event: kind, data });
  }

  /** Writes what was counted so far. */
  end(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const sums = [...this.#sums.values()];
    this.#sums.clear();
    for (const { who, files, failed, bytes } of sums) {
      if (files === 0) continue;
      const why = failed > 0 ? `, ${failed} of them not to the end` : '';
      const words = `served ${count(files, 'more file')} to ${who} (${formatSize(bytes)}${why})`;
      this.#log.write('info', words, { event: 'serving', data: { files, failed, bytes } });
    }
  }

  /** Counts it; whether that is all that is done about it. */
  #isCounted({ peer, state, bytes }: Serving): boolean {
    this.#timer ??= setTimeout(() => this.end(), SECOND).unref();
    const known = this.#sums.has(peer.id) || this.#sums.size < LOG_SERVED_PEERS_MAX;
    const key = known ? peer.id : '';
    const sum = this.#sums.get(key) ?? {
      who: known ? peerLabel(peer) : 'others',
      lines: 0,
      files: 0,
      failed: 0,
      bytes: 0,
    };
    this.#sums.set(key, sum);
    if (known && sum.lines < LOG_SERVED_MAX) {
      sum.lines++;
      return false;
    }
    sum.files++;
    sum.bytes += bytes;
    if (state === 'failed') sum.failed++;
    return true;
  }
}

function levelOf(event: ShareEvent): Level {
  const isAway = event.event === 'share' && event.change === 'away';
  const isLost = event.event === 'inbox' && event.row.state === 'failed';
  if (event.event === 'warning' || isAway || isLost) return 'warn';
  const isDetail = event.event === 'hashed' || (event.event === 'serving' && event.state === 'begun');
  return isDetail ? 'debug' : 'info';
}

function wordsOf(event: ShareEvent): string {
  return event.event === 'warning' ? printable(event.message) : (eventLine(event, PLAIN, true) ?? event.event);
}
