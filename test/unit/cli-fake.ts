/** A process, a session and a peer that are not real, for the tests of commands and of the control socket. */
import { Readable } from 'node:stream';
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
  Finding,
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
} from '../../lib/api.js';
import type { Connect, Io, Sink, Source, Wanted } from '../../lib/cli/io.js';
import { run } from '../../lib/cli/main.js';
import { HearsayError } from '../../lib/errors.js';

export const ALICE = { id: '01ARZ3NDEKTSV4RRFFQ69G5FAV', name: 'alice' };
export const BOB = { id: '01ARZ3NDEKTSV4RRFFQ69G5FAW', name: 'bob' };
export const ID = 'ab'.repeat(32);

export function row(path: string, more: Partial<FileRow> = {}): FileRow {
  return { path, size: 1000, mtime: 1_700_000_000_000, id: ID, peers: [ALICE], ...more };
}

export function peerRow(more: Partial<PeerRow> = {}): PeerRow {
  return {
    ...ALICE,
    addresses: ['192.168.1.5:47748', '[fe80::1%eth0]:47748'],
    files: 3,
    bytes: 5000,
    tracker: false,
    self: false,
    via: 'multicast',
    ...more,
  };
}

export const STATUS: StatusReport = {
  running: true,
  pid: 4321,
  ...ALICE,
  port: 47748,
  state: '/home/a/.local/share/hearsay',
  private: false,
  strangers: { sealed: 0, open: 0 },
  uptime: 3_725_000,
  memory: 85 * 2 ** 20,
  shares: [{ name: 'photos', path: '/home/a/photos', files: 4, bytes: 4096, hashed: 3 }],
  transfers: [
    { number: 7, direction: 'in', path: 'b/big.iso', size: 2 ** 30, bytes: 2 ** 29, rate: 12 * 2 ** 20, peers: [BOB] },
  ],
  peers: 2,
  offers: 1234,
};

/** Everything throws but what a test gives. */
export class FakeApi implements Api {
  readonly asked: unknown[] = [];
  files: FileRow[] = [];
  away: string[] = [];
  others: PeerRow[] = [];
  forgotten: ForgottenRow = { ...BOB, addresses: ['192.168.1.6:47748'], names: ['bob'] };
  under: BelowRow[] = [];
  findings: Finding[] = [];
  held: SourcesRow[] = [];
  rows: ServedRow[] = [];
  added: AddedRow[] = [];
  removed: RemovedRow[] = [];
  changes: (signal: AbortSignal) => AsyncIterable<FollowEvent> = async function* () {};
  fetching: (query: GetQuery, signal: AbortSignal) => AsyncIterable<GetEvent> = async function* () {};
  messages: (signal: AbortSignal) => AsyncIterable<TraceRecord> = async function* () {};
  steered: SteeredRow[] = [];
  answered: AnsweredRow[] = [];
  offered: InboxRow[] = [];
  refreshed: RefreshReport = {
    came: [],
    left: [],
    added: [],
    changed: [],
    removed: [],
    peers: { came: 0, left: 0 },
    files: { added: 0, changed: 0, removed: 0 },
  };
  sending: (query: SendQuery, signal: AbortSignal) => AsyncIterable<SendEvent> = async function* () {};
  happening: (signal: AbortSignal) => AsyncIterable<ShareEvent> = async function* () {};
  fails: Error | undefined;

  async list(query: ListQuery): Promise<Listing> {
    this.asked.push(query);
    if (this.fails) throw this.fails;
    return { files: this.files, away: this.away };
  }

  async *listing(query: ListQuery, _signal?: AbortSignal): AsyncGenerator<ListingPart> {
    const { files, away } = await this.list(query);
    yield { files: [], away };
    for (let at = 0; at < files.length; at += 256) yield { files: files.slice(at, at + 256) };
  }

  follow(query: ListQuery, signal: AbortSignal): AsyncIterable<FollowEvent> {
    this.asked.push(query);
    return this.changes(signal);
  }

  async sources(what: string, from?: string[]): Promise<SourcesRow[]> {
    this.asked.push({ what, from });
    if (this.fails) throw this.fails;
    return this.held;
  }

  async peers(): Promise<PeerRow[]> {
    return this.others;
  }

  async forget(peer: string): Promise<ForgottenRow> {
    this.asked.push({ forget: peer });
    if (this.fails) throw this.fails;
    return this.forgotten;
  }

  async below(query: BelowQuery): Promise<BelowRow[]> {
    this.asked.push(query);
    if (this.fails) throw this.fails;
    return this.under;
  }

  get(query: GetQuery, signal: AbortSignal): AsyncIterable<GetEvent> {
    this.asked.push(query);
    return this.fetching(query, signal);
  }

  async served(): Promise<ServedRow[]> {
    return this.rows;
  }

  async doctor(): Promise<DoctorReport> {
    return { findings: this.findings, interfaces: [] };
  }

  async add(query: AddQuery): Promise<AddedRow[]> {
    this.asked.push(query);
    return this.added;
  }

  async remove(query: RemoveQuery): Promise<RemovedRow[]> {
    this.asked.push(query);
    return this.removed;
  }

  async steer(query: SteerQuery): Promise<SteeredRow[]> {
    this.asked.push(query);
    return this.steered;
  }

  send(query: SendQuery, signal: AbortSignal): AsyncIterable<SendEvent> {
    this.asked.push(query);
    return this.sending(query, signal);
  }

  async inbox(): Promise<InboxRow[]> {
    return this.offered;
  }

  async answer(query: AnswerQuery): Promise<AnsweredRow[]> {
    this.asked.push(query);
    return this.answered;
  }

  events(signal: AbortSignal): AsyncIterable<ShareEvent> {
    return this.happening(signal);
  }

  async refresh(): Promise<RefreshReport> {
    return this.refreshed;
  }

  async status(): Promise<StatusReport> {
    return STATUS;
  }

  trace(signal: AbortSignal): AsyncIterable<TraceRecord> {
    return this.messages(signal);
  }
}

export class FakeSink implements Sink {
  isTTY = false;
  columns = 80;
  rows = 24;
  closed = false;
  fault: HearsayError | undefined;
  text = '';
  /** Called with each write; may close. */
  onWrite: () => void = () => {};

  async write(data: string | Uint8Array): Promise<void> {
    if (this.closed) return;
    this.text += typeof data === 'string' ? data : Buffer.from(data).toString();
    if (data.length > 0) this.onWrite();
  }

  readonly #resized = new Set<() => void>();

  onResize(handler: () => void): () => void {
    this.#resized.add(handler);
    return () => this.#resized.delete(handler);
  }

  /** As if a person drew the window to another size. */
  resize(columns: number): void {
    this.columns = columns;
    for (const handler of this.#resized) handler();
  }

  lines(): string[] {
    return this.text.split('\n').slice(0, -1);
  }
}

export class FakeIo implements Io {
  stdin: Source = Readable.from([]);
  stdout = new FakeSink();
  stderr = new FakeSink();
  env: Record<string, string | undefined> = {};
  cwd = process.platform === 'win32' ? 'C:\\work' : '/work';
  version = '1.2.3';
  clock = 1_700_000_000_000;
  readonly #handlers = new Set<(why?: 'interrupt' | 'end') => void>();
  readonly #hangups = new Set<() => void>();

  now(): number {
    return this.clock;
  }

  onSignal(handler: (why?: 'interrupt' | 'end') => void): () => void {
    this.#handlers.add(handler);
    return () => this.#handlers.delete(handler);
  }

  /** @param why `end` where its terminal is closed, or it is asked to end */
  interrupt(why: 'interrupt' | 'end' = 'interrupt'): void {
    for (const handler of this.#handlers) handler(why);
  }

  onHangup(handler: () => void): () => void {
    this.#hangups.add(handler);
    return () => this.#hangups.delete(handler);
  }

  hangUp(): void {
    for (const handler of this.#hangups) handler();
  }

  foreground = true;
  readonly #continued = new Set<() => void>();

  onContinue(handler: () => void): () => void {
    this.#continued.add(handler);
    return () => this.#continued.delete(handler);
  }

  async isForeground(): Promise<boolean> {
    return this.foreground;
  }

  /** As after Ctrl-Z and `fg`, or `bg`. */
  goOn(foreground: boolean): void {
    this.foreground = foreground;
    for (const handler of this.#continued) handler();
  }
}

export interface Outcome {
  status: number;
  out: string;
  err: string;
  wanted: Wanted[];
  /** Sessions that were closed. */
  closed: number;
}

export interface Setting {
  api?: FakeApi;
  io?: FakeIo;
  /** Whether it is a running peer that answers. */
  running?: boolean;
  /** Events of a sharing peer, told as it starts. */
  tells?: ShareEvent[];
  /** Called when a session is there. */
  onSession?(wanted: Wanted): void;
  /** Hosts of --join that cannot be reached. */
  unreached?: Map<string, HearsayError>;
  /** What finding or starting a peer throws. */
  refuses?: HearsayError;
}

/** Runs a command as if it had been typed. */
export async function type(argv: string[], setting: Setting = {}): Promise<Outcome> {
  const { api = new FakeApi(), io = new FakeIo() } = setting;
  const wanted: Wanted[] = [];
  let closed = 0;
  const connect: Connect = async (want) => {
    wanted.push(want);
    if (setting.refuses) throw setting.refuses;
    for (const event of setting.tells ?? []) want.onEvent?.(event);
    setting.onSession?.(want);
    return {
      api,
      running: setting.running ?? false,
      timeout: 30,
      unreached: () => setting.unreached ?? new Map(),
      close: async () => {
        closed++;
      },
    };
  };
  const status = await run(argv, io, connect);
  return { status, out: io.stdout.text, err: io.stderr.text, wanted, closed };
}

export const failure = (code: ConstructorParameters<typeof HearsayError>[0], message: string) =>
  new HearsayError(code, message);

/** The objects of a stream of JSON lines. */
export function objects(text: string): Record<string, unknown>[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}

/** Resolves when a signal is aborted. */
export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
