/**
 * The control socket's client: a running peer's Api, as if it were our own.
 * Owns one connection and what is open on it. Always true: every request ends once, by its answer, its error or the end
 * of the connection; no stream holds more than CONTROL_CREDIT events. Called by commands.
 */
import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { dirname } from 'node:path';
import type {
  AddedRow,
  AddQuery,
  AnsweredRow,
  AnswerQuery,
  Api,
  BelowQuery,
  BelowRow,
  DoctorReport,
  FileRow,
  FollowEvent,
  ForgottenRow,
  GetEvent,
  GetQuery,
  InboxRow,
  Listing,
  ListingPart,
  ListQuery,
  PeerRow,
  RefreshReport,
  RemovedRow,
  RemoveQuery,
  SendEvent,
  SendQuery,
  ServedRow,
  ShareEvent,
  SourcesRow,
  StatusReport,
  SteeredRow,
  SteerQuery,
  TraceRecord,
} from '../api.js';
import { DETACHED } from '../detached.js';
import { HearsayError, reasonOf } from '../errors.js';
import { CONTROL_CREDIT, CONTROL_FRAME_MAX, HANDSHAKE_MS } from '../limits.js';
import { Channel } from './channel.js';
import { type Card, checkPrivate, readCard, surroundings } from './place.js';
import {
  hello,
  Joiner,
  type Method,
  type Piece,
  prove,
  proves,
  RUNS,
  type Runs,
  readError,
  readHello,
} from './protocol.js';

export interface ControlClient extends Api {
  /** The running peer's process. */
  readonly pid: number;
  /** How it runs. */
  readonly runs: Runs;
  /** Settles when the connection has ended. */
  readonly closed: Promise<void>;
  /** Asks a daemon to end; it says goodbye and closes the connection when it has. @throws HearsayError `refused` */
  stop(): Promise<void>;
  /** Ends the connection, and with it what was asked and not yet answered. */
  close(): void;
}

/**
 * Connects to the peer that runs on a state folder; undefined where none does.
 * @throws HearsayError `other-version`, `refused` (the other side is not that peer), `not-private`, `not-readable`,
 *   `timeout` where it is there and does not answer
 */
export async function connectControl(state: string): Promise<ControlClient | undefined> {
  const card = await readCard(state);
  const socket = card && (await reach(card.path));
  if (!socket) return undefined;
  const client = new Client(socket, card);
  await client.welcomed;
  return client;
}

/** A connected socket, or undefined where nobody listens. */
async function reach(path: string): Promise<Socket | undefined> {
  const { platform, uid } = surroundings();
  try {
    if (platform !== 'win32') await checkPrivate(dirname(path), uid);
    return await new Promise<Socket>((resolve, reject) => {
      const socket = connect(path);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(socket);
      });
      socket.once('error', reject);
    });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Killed before it could tidy up, or gone just now.
    if (code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'ENOTSOCK') return undefined;
    if (error instanceof HearsayError) throw error;
    throw new HearsayError('not-readable', `the control socket ${path}: ${reasonOf(error)}`, { cause: error });
  }
}

/** What waits for the messages of one request. */
interface Waiter {
  part(field: string, items: unknown[]): void;
  event(event: unknown): void;
  end(result: Record<string, unknown>): void;
  fail(error: HearsayError): void;
}

class Client implements ControlClient {
  pid = 0;
  runs: Runs = 'foreground';
  readonly closed: Promise<void>;
  /** Settles when both sides have proved the token. */
  readonly welcomed: Promise<void>;
  readonly #channel: Channel;
  readonly #waiters = new Map<number, Waiter>();
  #next = 1;
  #lost = new HearsayError('cancelled', 'the running peer has gone');

  constructor(socket: Socket, card: Card) {
    const nonce = randomBytes(16).toString('hex');
    let resolve = () => {};
    let reject: (error: HearsayError) => void = () => {};
    this.welcomed = new Promise((done, failed) => {
      resolve = done;
      reject = failed;
    });
    let ended = () => {};
    this.closed = new Promise((done) => {
      ended = done;
    });
    const late = setTimeout(() => {
      this.#channel.close(new HearsayError('timeout', 'the running peer does not answer on its control socket'));
    }, HANDSHAKE_MS);
    let theirs: string | undefined;
    const welcome = (message: Record<string, unknown>) => {
      if (message.error) throw readError(message.error);
      if (theirs === undefined) {
        theirs = readHello(message, 'running peer').nonce;
        void this.#channel.send(hello(nonce, prove(card.token, 'client', theirs, nonce)));
        return;
      }
      if (!proves(message.proof, card.token, 'server', theirs, nonce)) {
        throw new HearsayError('refused', 'what listens on the control socket is not the peer of this state folder');
      }
      this.pid = typeof message.pid === 'number' ? message.pid : 0;
      this.runs = RUNS.find((one) => one === message.runs) ?? 'foreground';
      this.#channel.limit = CONTROL_FRAME_MAX;
      clearTimeout(late);
      resolve();
    };
    this.#channel = new Channel(socket, {
      onMessage: (message) => (this.#channel.limit === CONTROL_FRAME_MAX ? this.#take(message) : welcome(message)),
      onClose: (error) => {
        clearTimeout(late);
        if (error) this.#lost = error;
        reject(this.#lost);
        ended();
        const waiters = [...this.#waiters.values()];
        this.#waiters.clear();
        for (const waiter of waiters) waiter.fail(this.#lost);
      },
    });
  }

  close(): void {
    this.#channel.close();
  }

  async list(query: ListQuery): Promise<Listing> {
    const files: FileRow[] = [];
    const joiner = new Joiner<FileRow>();
    const { away } = await this.#ask('list', query, (_field, items) => {
      for (const item of items) {
        const row = joiner.push(item as Piece<FileRow>);
        if (row) files.push(row);
      }
    });
    return { files, away: away as string[] };
  }

  async sources(what: string, from?: string[]): Promise<SourcesRow[]> {
    const rows: SourcesRow[] = [];
    await this.#ask('sources', from ? { what, from } : { what }, (_field, items) => {
      for (const item of items) rows.push(item as SourcesRow);
    });
    return rows;
  }

  async peers(): Promise<PeerRow[]> {
    const peers: PeerRow[] = [];
    await this.#ask('peers', {}, (_field, items) => {
      for (const item of items) peers.push(item as PeerRow);
    });
    return peers;
  }

  async forget(peer: string): Promise<ForgottenRow> {
    return (await this.#ask('forget', { peer }, () => {})) as unknown as ForgottenRow;
  }

  below(query: BelowQuery): Promise<BelowRow[]> {
    return this.#rows('below', query);
  }

  async status(): Promise<StatusReport> {
    const lists: Record<string, unknown[]> = { shares: [], transfers: [] };
    const rest = await this.#ask('status', {}, (field, items) => {
      for (const item of items) lists[field]?.push(item);
    });
    return { ...rest, ...lists } as unknown as StatusReport;
  }

  served(): Promise<ServedRow[]> {
    return this.#rows('served', {});
  }

  async doctor(): Promise<DoctorReport> {
    return (await this.#ask('doctor', {}, () => {})) as unknown as DoctorReport;
  }

  add(query: AddQuery): Promise<AddedRow[]> {
    return this.#rows('add', query);
  }

  remove(query: RemoveQuery): Promise<RemovedRow[]> {
    return this.#rows('remove', query);
  }

  steer(query: SteerQuery): Promise<SteeredRow[]> {
    return this.#rows('steer', query);
  }

  send(query: SendQuery, signal: AbortSignal): AsyncGenerator<SendEvent> {
    return this.#stream<SendEvent>('send', query, signal);
  }

  inbox(): Promise<InboxRow[]> {
    return this.#rows('inbox', {});
  }

  answer(query: AnswerQuery): Promise<AnsweredRow[]> {
    return this.#rows('answer', query);
  }

  events(signal: AbortSignal): AsyncGenerator<ShareEvent> {
    return this.#stream<ShareEvent>('events', {}, signal);
  }

  async refresh(): Promise<RefreshReport> {
    return (await this.#ask('refresh', {}, () => {})) as unknown as RefreshReport;
  }

  async *listing(query: ListQuery, signal: AbortSignal): AsyncGenerator<ListingPart> {
    const joiner = new Joiner<FileRow>();
    for await (const { files, ...rest } of this.#stream<ListingPart>('listing', query, signal)) {
      const rows: FileRow[] = [];
      for (const piece of files) {
        const row = joiner.push(piece as Piece<FileRow>);
        if (row) rows.push(row);
      }
      yield { files: rows, ...rest };
    }
  }

  async *follow(query: ListQuery, signal: AbortSignal): AsyncGenerator<FollowEvent> {
    const joiner = new Joiner<FollowEvent>();
    for await (const piece of this.#stream<Piece<FollowEvent>>('follow', query, signal)) {
      const event = joiner.push(piece);
      if (event) yield event;
    }
  }

  get(query: GetQuery, signal: AbortSignal): AsyncGenerator<GetEvent> {
    return this.#stream<GetEvent>('get', query, signal);
  }

  trace(signal: AbortSignal): AsyncGenerator<TraceRecord> {
    return this.#stream<TraceRecord>('trace', {}, signal);
  }

  async stop(): Promise<void> {
    await this.#ask('stop', {}, () => {});
  }

  #take(message: Record<string, unknown>): void {
    const { n, part, error } = message;
    if (typeof n !== 'number') {
      if (error) throw readError(error);
      return;
    }
    const waiter = this.#waiters.get(n);
    if (!waiter) return;
    if (part) {
      const { field, items } = part as { field: string; items: unknown[] };
      waiter.part(field, items);
    } else if ('event' in message) waiter.event(message.event);
    else {
      this.#waiters.delete(n);
      if (error) waiter.fail(readError(error));
      else waiter.end((message.result ?? {}) as Record<string, unknown>);
    }
  }

  #send(message: object): Promise<void> {
    if (this.#channel.closed) throw this.#lost;
    return this.#channel.send(message);
  }

  async #ask(method: Method, params: object, part: Waiter['part']): Promise<Record<string, unknown>> {
    const n = this.#next++;
    const answer = new Promise<Record<string, unknown>>((end, fail) => {
      this.#waiters.set(n, { part, end, fail, event: () => {} });
    });
    // Heard only through `answer`; the send itself may fail first.
    answer.catch(() => {});
    await this.#send({ n, method, params });
    return answer;
  }

  async #rows<Row>(method: Method, params: object): Promise<Row[]> {
    const rows: Row[] = [];
    await this.#ask(method, params, (_field, items) => {
      for (const item of items) rows.push(item as Row);
    });
    return rows;
  }

  /**
   * A stream of events; abort asks the running peer to stop, and what it still says until then is given. With the reason DETACHED
   * the stream ends at once, and what the peer keeps goes on.
   */
  async *#stream<Event>(method: Method, params: object, signal: AbortSignal): AsyncGenerator<Event> {
    const n = this.#next++;
    let buffer: Event[] = [];
    let ended: { error?: HearsayError } | undefined;
    let taken = 0;
    let wake = () => {};
    const credit = (count: number) => {
      taken += count;
      if (taken < CONTROL_CREDIT / 2 || ended || this.#channel.closed) return;
      void this.#channel.send({ n, credit: taken });
      taken = 0;
    };
    const finish = (error?: HearsayError) => {
      ended = { error };
      wake();
    };
    this.#waiters.set(n, {
      part: () => {},
      event: (event) => {
        buffer.push(event as Event);
        wake();
      },
      end: () => finish(),
      fail: finish,
    });
    const cancel = () => {
      if (ended || this.#channel.closed) return;
      if (signal.reason === DETACHED) {
        void this.#channel.send({ n, drop: true });
        finish();
      } else void this.#channel.send({ n, cancel: true });
    };
    try {
      await this.#send({ n, method, params });
      signal.addEventListener('abort', cancel);
      if (signal.aborted) cancel();
      for (;;) {
        const batch = buffer;
        buffer = [];
        for (const event of batch) {
          credit(1);
          yield event;
        }
        if (buffer.length > 0) continue;
        if (ended) break;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      if (ended.error) throw ended.error;
    } finally {
      signal.removeEventListener('abort', cancel);
      // The reader left early: the peer is asked to stop, and what is on its way is let go.
      if (!ended && !this.#channel.closed) void this.#channel.send({ n, drop: true });
      this.#waiters.delete(n);
    }
  }
}
