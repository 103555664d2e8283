/** Sends of whole peers, as the tests look at them while they run. */
import type { AnsweredRow, InboxRow, SendEvent, SendQuery } from '../../lib/api.js';
import { type LanPeer, until } from './lan.js';

export type SendOf<E extends SendEvent['event']> = Extract<SendEvent, { event: E }>;

export class Sending {
  readonly events: SendEvent[] = [];
  readonly abort = new AbortController();
  /** Resolves with all events. */
  readonly ended: Promise<SendEvent[]>;
  over = false;

  constructor(from: LanPeer, query: SendQuery) {
    this.ended = this.#take(from, query);
    // Heard where it is awaited.
    this.ended.catch(() => {});
  }

  async #take(from: LanPeer, query: SendQuery): Promise<SendEvent[]> {
    for await (const event of from.peer.send(query, this.abort.signal)) this.events.push(event);
    this.over = true;
    return this.events;
  }

  of<E extends SendEvent['event']>(event: E): SendOf<E>[] {
    return this.events.filter((e): e is SendOf<E> => e.event === event);
  }

  /** What became of each who was named: "done", or the code. */
  get results(): Record<string, string> {
    const ends = this.events.flatMap((e) => {
      if (e.event === 'done') return [[e.to, 'done']];
      return e.event === 'error' ? [[e.to, e.error.code]] : [];
    });
    return Object.fromEntries(ends);
  }

  /** Bytes that a receiver said are there. */
  progress(to: string): number {
    return Math.max(0, ...this.of('progress').map((e) => (e.to === to ? e.bytes : 0)));
  }
}

/** Begins to send. @param to names */
export function send(from: LanPeer, files: string | string[], to: string[], as?: string): Sending {
  return new Sending(from, { files: [files].flat(), to, ...(as === undefined ? {} : { as }) });
}

/** Waits until a peer sees others, so that their names mean something to it. */
export async function sees(peer: LanPeer, ...others: LanPeer[]): Promise<void> {
  for (const other of others) {
    const isThere = () => peer.told('peer').some((e) => e.id === other.id && e.change === 'came');
    await until(isThere, `${peer.peer.name} sees ${other.peer.name}`);
  }
}

/** Waits for what is in a peer's inbox. */
export async function inInbox(peer: LanPeer, fits: Partial<InboxRow>): Promise<InboxRow> {
  const keys = Object.keys(fits) as (keyof InboxRow)[];
  for (;;) {
    const told = peer.told('inbox').length;
    const row = (await peer.peer.inbox()).find((each) => keys.every((key) => each[key] === fits[key]));
    if (row) return row;
    await until(() => peer.told('inbox').length > told, `${JSON.stringify(fits)} in the inbox of ${peer.peer.name}`);
  }
}

export async function answer(peer: LanPeer, verb: 'accept' | 'refuse', ...rows: InboxRow[]): Promise<AnsweredRow[]> {
  return peer.peer.answer({ verb, numbers: rows.map(({ number }) => number) });
}

/** Waits until something that has to be looked up holds. @throws Error where it does not in time */
export async function eventually(holds: () => Promise<boolean>, what: string, ms = 30_000): Promise<void> {
  for (const end = performance.now() + ms; !(await holds()); ) {
    if (performance.now() > end) throw new Error(`waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
