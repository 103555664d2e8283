/** What a `send` tells as it goes, for people and for programs. */
import type { PeerName, SendEvent } from '../api.js';
import { type Code, HearsayError } from '../errors.js';
import { printable } from '../names.js';
import type { Context } from './context.js';
import { formatDuration, formatSize, peerLabel } from './format.js';
import { isScreen } from './output.js';
import { PROGRESS_MS, Progress, REDRAW_MS } from './progress.js';

/** A receiver's clear no, in the words that people know it by. */
const REFUSALS: Partial<Record<Code, string>> = {
  refused: 'refused',
  exists: 'already here',
  busy: 'already receiving it',
  'disk-full': 'full',
};
const WORDS: Partial<Record<Code, string>> = { ...REFUSALS, 'no-peer': 'not running' };
/** What the sender can do something about. */
const ADVISED: readonly Code[] = ['no-peer', 'unreachable', 'other-group', 'ambiguous'];

export interface SentTo {
  /** Whether a receiver did not want it, or could not take it. */
  refused: boolean;
  /** The code of the first receiver for whom it failed otherwise. */
  failed: Code | undefined;
  /** The last event, which the caller prints. */
  end?: Extract<SendEvent, { event: 'end' }>;
}

/**
 * Takes a send's events to their end and prints them.
 * @param peers how many were named
 * @throws what the send throws
 */
export async function followSend(context: Context, events: AsyncIterable<SendEvent>, peers: number): Promise<SentTo> {
  const teller = new Teller(context, peers);
  const timer = setInterval(() => teller.tick(), REDRAW_MS);
  try {
    for await (const event of events) await teller.tell(event);
  } catch (error) {
    // The end of what was asked to end is no failure of its own.
    if (!context.signal.aborted) throw error;
  } finally {
    clearInterval(timer);
    teller.close();
  }
  return teller.sent;
}

/** A receiver as it was named, with its name where that was its id. */
function receiver({ to, peer }: { to: string; peer?: PeerName }): string {
  const named = printable(to);
  const label = peer ? peerLabel(peer) : named;
  return label === named ? label : `${label} (${named})`;
}

class Teller {
  readonly sent: SentTo = { refused: false, failed: undefined };
  readonly #context: Context;
  readonly #peers: number;
  readonly #progress: Progress | undefined;
  /** Advice comes once for each code. */
  readonly #advised = new Set<Code>();
  /** When the progress of each receiver was told last. */
  readonly #toldAt = new Map<string, number>();
  #name = '';
  #bytes = 0;

  constructor(context: Context, peers: number) {
    const { io, out } = context;
    this.#context = context;
    this.#peers = peers;
    if (out.manner.json || out.manner.quiet || io.behind || !isScreen(io.stderr, io.env)) return;
    const progress = new Progress(io.stderr, true, out.noteStyle, 'peer');
    this.#progress = progress;
    out.beforeLine = () => progress.clear();
  }

  tick(): void {
    this.#progress?.tick(this.#context.io.now());
  }

  close(): void {
    this.#progress?.clear();
    this.#context.out.beforeLine = () => {};
  }

  async tell(event: SendEvent): Promise<void> {
    const { out, io, signal } = this.#context;
    if (event.event === 'error') {
      // Every receiver that was under way ends so; it is told once, at the end.
      if (signal.aborted) return;
      const { code } = event.error;
      if (REFUSALS[code]) this.sent.refused = true;
      else this.sent.failed ??= code;
    }
    if (event.event === 'end') this.sent.end = event;
    if (!out.manner.json) return this.#say(event);
    if (event.event === 'end') return;
    if (event.event === 'progress') {
      const now = io.now();
      if (now - (this.#toldAt.get(event.to) ?? Number.NEGATIVE_INFINITY) < PROGRESS_MS) return;
      this.#toldAt.set(event.to, now);
    }
    await out.data(event);
  }

  async #say(event: SendEvent): Promise<void> {
    const { out, io, signal } = this.#context;
    const { green } = out.style;
    const now = io.now();
    switch (event.event) {
      case 'start':
        this.#name = event.name;
        this.#bytes = event.bytes;
        this.#progress?.start(this.#peers, event.bytes * this.#peers, now);
        return;
      case 'asked':
        if (this.#progress) this.#progress.update(receiver(event), 0, this.#bytes, 'is asked', now);
        else out.note(`${receiver(event)} is asked`);
        return;
      case 'accepted':
        this.#progress?.update(receiver(event), 0, this.#bytes, 'accepted', now);
        return;
      case 'progress':
        this.#progress?.update(receiver(event), event.bytes, event.size, 'receiving', now);
        return;
      case 'done': {
        this.#progress?.finish(receiver(event), event.bytes, event.bytes, now);
        const what = `${printable(this.#name)}, ${formatSize(event.bytes)} in ${formatDuration(event.seconds)}`;
        if (!out.manner.quiet) await out.line(`${receiver(event)}: ${green('received')} ${what}`);
        return;
      }
      case 'error':
        this.#progress?.fail(receiver(event));
        return this.#error(event);
      case 'warning':
        out.warn(event.message);
        return;
      case 'end':
        if (event.done + event.failed > 1 && !signal.aborted) {
          out.note(`received by ${event.done} of ${event.done + event.failed} peers`);
        }
    }
  }

  async #error(event: Extract<SendEvent, { event: 'error' }>): Promise<void> {
    const { code, message } = event.error;
    const word = WORDS[code];
    const advise = ADVISED.includes(code) && !this.#advised.has(code);
    this.#advised.add(code);
    const error = new HearsayError(code, word ? `${word} (${message})` : message);
    await this.#context.out.error(error, { path: receiver(event), advise });
  }
}
