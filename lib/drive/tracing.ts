import type { TraceRecord } from '../api.js';
import { Latest } from '../latest.js';
import { BLOCK, TRACED_MAX } from '../limits.js';
import { chunkSizeOf } from '../transfer/content.js';
import { encode } from '../wire/codec.js';
import { type Letter, type Message, TABLE } from '../wire/table.js';
import { Stream } from './stream.js';
import { traceWords } from './trace-words.js';

/** Those that the side which asks for files sends; of the others it is the one that is asked. */
const ASKING: ReadonlySet<Letter> = new Set(['G', 'R', 'A', 'B', 'X', 'S']);

/** Tells of each message to whoever listens; costs nothing while nobody does. */
export class Tracing {
  readonly #streams = new Set<Stream<TraceRecord>>();
  /** Which file a number of a transfer is about, by who asks, peer and number. */
  readonly #files = new Latest<string, { path: string; size: number }>(TRACED_MAX);
  /** What was sent and received before anyone listened. */
  #early: Stream<TraceRecord> | undefined;

  /** @param early whether who listens first is told of what was before */
  constructor(early: boolean) {
    if (early) {
      this.#early = this.#open();
    }
  }

  #open(): Stream<TraceRecord> {
    const stream = new Stream<TraceRecord>(() => this.#streams.delete(stream));
    this.#streams.add(stream);
    return stream;
  }

  listen(signal: AbortSignal): AsyncIterable<TraceRecord> {
    const stream = this.#early ?? this.#open();
    this.#early = undefined;
    if (signal.aborted) stream.end();
    signal.addEventListener('abort', () => {
      this.#streams.delete(stream);
      stream.end();
    });
    return stream;
  }

  readonly tracer = (direction: 'in' | 'out', peer: string, message: Message): void => {
    if (this.#streams.size === 0) return;
    const { name, over } = TABLE[message.type];
    const about = this.#about(direction, peer, message);
    const words = traceWords(message);
    const record: TraceRecord = {
      direction,
      over: over === 'udp' || (over === 'both' && peer.length !== 26) ? 'udp' : 'tcp',
      peer,
      type: `${message.type} ${name}`,
      ...about,
      ...(words === undefined ? {} : { words }),
      size: 'data' in message ? message.data.length : encode(message).length,
    };
    for (const stream of this.#streams) stream.push(record, true);
  };

  #about(direction: 'in' | 'out', peer: string, message: Message): { file?: string; chunk?: number } {
    if (!('number' in message)) return {};
    // Each side counts its own requests.
    const isOurs = (direction === 'out') === ASKING.has(message.type);
    const key = `${isOurs ? 'out' : 'in'} ${peer} ${message.number}`;
    if (message.type === 'G') this.#remember(key, message.path, 0);
    const known = this.#files.get(key);
    if (message.type === 'M' && known) known.size = message.size;
    const about: { file?: string; chunk?: number } = {};
    if (known) about.file = known.path;
    const chunkOf = (block: number) => Math.floor((block * BLOCK) / chunkSizeOf(known?.size ?? 0));
    if (message.type === 'T' || (message.type === 'R' && message.count > 0)) about.chunk = chunkOf(message.block);
    if (message.type === 'A' && known && message.done.length > 0) about.chunk = chunkOf(message.done[0]);
    if (message.type === 'B') about.chunk = message.chunk;
    if (message.type === 'S' && message.files.length > 0) {
      about.file = message.files[0].path;
      this.#remember(key, about.file, 0);
    }
    return about;
  }

  #remember(key: string, path: string, size: number): void {
    this.#files.set(key, { path, size });
  }
}
