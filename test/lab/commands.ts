/** The program's commands as the lab's tests use them: run on a host, their objects read, with the times they came. */
import type { GetEvent, Listing, PeerRow, ShareEvent, StatusReport } from '../../lib/api.js';
import type { Host } from './lab.js';
import type { LabProcess, RunOptions } from './process.js';

export type HostOptions = RunOptions & { state?: string };

/** An object that a program printed, and when, `performance.now()`. */
export interface Told<T> {
  at: number;
  event: T;
}

/** Every object of a program's standard output, as it comes, to its end. */
export async function* told<T>(process: LabProcess): AsyncGenerator<Told<T>> {
  for (let seen = 0; ; seen++) {
    if (process.stdout.length <= seen) {
      await process.waitFor(() => process.stdout.length > seen, 600_000, 'stdout').catch(() => {});
      if (process.stdout.length <= seen) return;
    }
    yield { at: performance.now(), event: JSON.parse(process.stdout[seen]) as T };
  }
}

export type Ready = Extract<ShareEvent, { event: 'ready' }>;

export interface Sharing {
  process: LabProcess;
  ready: Ready;
  /** From the start of the process to its line `ready`, ms. */
  took: number;
  /** What it told so far. */
  events(): ShareEvent[];
  /** Waits for an event. @returns when it came, `performance.now()` */
  until(fits: (event: ShareEvent) => boolean, ms: number): Promise<number>;
}

/** Starts `hearsay share`, and waits until it is ready. */
export async function share(host: Host, args: readonly string[], options: HostOptions = {}): Promise<Sharing> {
  const began = performance.now();
  const process = host.hearsay(['share', '--json', ...args], options);
  const line = await process.waitFor(/"event":"ready"/, 20_000, 'stdout');
  const took = performance.now() - began;
  const ready = JSON.parse(line) as Ready;
  return {
    process,
    ready,
    took,
    events: () => process.stdout.map((text) => JSON.parse(text) as ShareEvent),
    until: async (fits, ms) => {
      await process.waitFor((text) => fits(JSON.parse(text) as ShareEvent), ms, 'stdout');
      return performance.now();
    },
  };
}

/** Shares, and waits until every file is hashed. */
export async function shareHashed(host: Host, args: readonly string[], options: HostOptions = {}): Promise<Sharing> {
  const sharing = await share(host, args, options);
  await hashed(host, options);
  return sharing;
}

/** Waits until the running peer has hashed all that it shares. */
export async function hashed(host: Host, options: HostOptions = {}, ms = 60_000): Promise<StatusReport> {
  for (const began = performance.now(); ; ) {
    const report = await json<StatusReport>(host, ['status'], options);
    if (report.shares.every((one) => one.files > 0 && one.hashed === one.files)) return report;
    if (performance.now() - began > ms) throw new Error(`not hashed in ${ms} ms: ${JSON.stringify(report.shares)}`);
  }
}

/** Runs a command that prints one object. */
export async function json<T>(host: Host, args: readonly string[], options: HostOptions = {}): Promise<T> {
  const { code, stdout, stderr } = await host.runHearsay([...args, '--json'], 30_000, options);
  if (code !== 0 || stdout.length !== 1) {
    throw new Error([`hearsay ${args.join(' ')}: ${code}`, ...stdout, ...stderr].join('\n'));
  }
  return JSON.parse(stdout[0]) as T;
}

export const ls = (host: Host, args: readonly string[] = [], options: HostOptions = {}) =>
  json<Listing>(host, ['ls', ...args], options).then(({ files }) => files);

export const peers = (host: Host, args: readonly string[] = [], options: HostOptions = {}) =>
  json<{ peers: PeerRow[] }>(host, ['peers', ...args], options).then((all) => all.peers);

export type Of<K extends GetEvent['event']> = Extract<GetEvent, { event: K }>;

export class Fetching {
  readonly process: LabProcess;
  readonly events: GetEvent[] = [];
  /** Longest time without a verified chunk, ms. */
  gap = 0;
  /** From the process's start to its end, ms. */
  took = 0;
  readonly #ended: Promise<void>;

  constructor(process: LabProcess, onEvent: (event: GetEvent, fetching: Fetching) => void) {
    this.process = process;
    this.#ended = this.#read(onEvent);
  }

  async #read(onEvent: (event: GetEvent, fetching: Fetching) => void): Promise<void> {
    const began = performance.now();
    let last: number | undefined;
    let verified = -1;
    for await (const { at, event } of told<GetEvent>(this.process)) {
      this.events.push(event);
      // That a source came or went is told too, and is no progress.
      const stands = event.event === 'progress' && event.verified === verified;
      if (event.event === 'progress') verified = event.verified;
      if (event.event !== 'dropped' && event.event !== 'warning' && !stands) {
        this.gap = Math.max(this.gap, at - (last ?? at));
        last = at;
      }
      onEvent(event, this);
    }
    this.took = performance.now() - began;
  }

  all<K extends GetEvent['event']>(kind: K): Of<K>[] {
    return this.events.filter((event): event is Of<K> => event.event === kind);
  }

  /** The one file's end. @throws Error where it is not there */
  get done(): Of<'done'> {
    const [done, more] = this.all('done');
    if (!done || more) throw new Error(`not one file done:\n${this.process.tail()}`);
    return done;
  }

  /** Chunks of the one file that were verified. */
  get chunks(): Set<number> {
    return new Set(this.all('chunk').map(({ chunk }) => chunk));
  }

  /** Waits for the process's end. @returns its exit status @throws Error when it does not come in time */
  async ended(ms = 60_000): Promise<number> {
    try {
      const { code } = await this.process.waitForExit(ms);
      await this.#ended;
      return code;
    } finally {
      this.process.kill('SIGKILL');
    }
  }
}

/** Starts `hearsay get`. @param onEvent told of each event as it comes */
export function get(
  host: Host,
  args: readonly string[],
  onEvent: (event: GetEvent, fetching: Fetching) => void = () => {},
  options: HostOptions = {},
): Fetching {
  return new Fetching(host.hearsay(['get', '--json', ...args], options), onEvent);
}

/** Runs `hearsay get` to its end, and expects it to end well. */
export async function got(host: Host, args: readonly string[], ms = 60_000, options: HostOptions = {}) {
  const fetching = get(host, args, () => {}, options);
  const code = await fetching.ended(ms);
  if (code !== 0) throw new Error(`get ended with ${code}\n${fetching.process.tail()}`);
  return fetching;
}

/** `12.3 MB/s` */
export function speed(bytes: number, ms: number): string {
  return `${(bytes / 1000 / ms).toFixed(1)} MB/s`;
}
