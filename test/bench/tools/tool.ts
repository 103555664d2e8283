/**
 * What a bench asks of a tool that brings files from one host of the lab to others: hearsay and those it is measured beside.
 *
 * Owns nothing. Always true: what a tool started is ended by its `close`. Each tool has its file; called by the benches.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Host } from '../../lab/lab.js';
import { SYSTEM } from '../../lab/namespace.js';
import type { LabProcess } from '../../lab/process.js';
import { cpuOf, isListening, MemoryWatch } from '../usage.js';

/** What is brought. */
export interface What {
  folder: string;
  /** The one file of the folder; none where it is a tree of many. */
  file?: string;
  bytes: number;
  files: number;
}

export interface Receiver {
  host: Host;
  /** An empty folder: what comes is put into it. */
  into: string;
  /** How long after the others' beginning it begins, ms. */
  after: number;
}

/** What one receiver did. Times are `performance.now()`. */
export interface Took {
  began: number;
  ended: number;
  /** Processor time of the receiver, s. */
  cpu: number;
  /** Its peak memory, bytes. */
  peak: number;
  /** From the start of the command to its end, where that is more than the request. */
  command?: { began: number; ended: number };
  /** Payload that crossed the network, and how much each source gave of it, by name, where the tool tells. */
  received?: number;
  given?: Record<string, number>;
}

export interface Served {
  /** Processor time of the sources so far, s. */
  cpu(): number;
  /** Has all receivers fetch, beside each other. */
  fetch(receivers: readonly Receiver[]): Promise<Took[]>;
  close(): Promise<void>;
}

export interface Tool {
  readonly name: string;
  /** Programs that it needs, and the Debian packages that bring them. */
  readonly needs: Readonly<Record<string, string>>;
  /** A command that succeeds where a part of it is here that is no program, and the package that brings it. */
  readonly check?: { command: readonly string[]; pack: string };
  /** Whether it can do such a thing; everything where this is left out. */
  readonly isFor?: (how: { files: number; receivers: number; sources: number; isStaggered: boolean }) => boolean;
  /** False where what it brings is thrown away. */
  readonly keeps?: false;
  /** @param receivers hosts that will fetch @param rate of the slowest link, Mbit/s, where there is one */
  open(sources: readonly Host[], what: What, receivers: readonly Host[], rate?: number): Promise<Served>;
}

/** How long one fetch may take, ms. */
export const PATIENCE = 900_000;

/** Where a program is, as a shell would find it, or undefined where it is not installed. */
export function where(program: string): string | undefined {
  if (program.startsWith('/')) return isExecutable(program) ? program : undefined;
  return SYSTEM.env.PATH.split(delimiter)
    .map((folder) => join(folder, program))
    .find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The Debian packages that a tool lacks here. */
export function lacking(tool: Tool): string[] {
  const packs = Object.entries(tool.needs).flatMap(([program, pack]) => (where(program) ? [] : [pack]));
  if (packs.length === 0 && tool.check) {
    const [program, ...args] = tool.check.command;
    if (spawnSync(program, args, SYSTEM).status !== 0) packs.push(tool.check.pack);
  }
  return [...new Set(packs)];
}

/** Waits until a process listens at a port. @throws Error where it ends, or not within 20 s */
export async function listening(process: LabProcess, port: number): Promise<void> {
  for (const began = performance.now(); !isListening(process.pid, port); ) {
    if (!process.running || performance.now() - began > 20_000)
      throw new Error(`nobody listens at ${port}: ${process.tail()}`);
    await delay(10);
  }
}

/** Ends a process of the lab. */
export async function end(process: LabProcess): Promise<void> {
  process.kill('SIGTERM');
  const soon = new Promise<void>((resolve) => {
    const timer = setTimeout(() => {
      process.kill('SIGKILL');
      resolve();
    }, 5000);
    void process.exited.then(() => {
      clearTimeout(timer);
      resolve();
    });
  });
  await soon;
  await process.exited;
}

/** Ends several. */
export async function endAll(processes: Iterable<LabProcess>): Promise<void> {
  await Promise.all([...processes].map(end));
}

/** Processor time of several, s. */
export function cpuOfAll(processes: Iterable<LabProcess>): number {
  return [...processes].reduce((sum, { pid }) => sum + cpuOf(pid), 0);
}

/** Runs the same for each receiver, when it is its time. */
export function each(
  receivers: readonly Receiver[],
  one: (receiver: Receiver, number: number) => Promise<Took>,
): Promise<Took[]> {
  return Promise.all(
    receivers.map(async (receiver, i) => {
      if (receiver.after > 0) await delay(receiver.after);
      return one(receiver, i);
    }),
  );
}

export interface CommandOptions {
  /** Where its standard output goes. */
  out?: string;
  env?: Record<string, string>;
  cwd?: string;
}

/**
 * Runs a command on a host to its end, and tells what it and its children took.
 * @throws Error with what it said where it fails
 */
export async function timed(host: Host, argv: readonly string[], options: CommandOptions = {}): Promise<Took> {
  // bash tells its children's processor time to the millisecond, /proc no more once they have ended.
  const script = `TIMEFORMAT="took %R %U %S"; time "$@" > ${options.out ? '"$OUT"' : '/dev/null'}`;
  const { env, cwd } = options;
  const process = host.exec(['bash', '-c', script, 'bash', ...argv], {
    env: { ...env, ...(options.out ? { OUT: options.out } : {}) },
    ...(cwd === undefined ? {} : { cwd }),
  });
  const memory = new MemoryWatch(process.pid);
  try {
    const { code } = await process.waitForExit(PATIENCE);
    const ended = performance.now();
    const line = process.stderr.find((text) => text.startsWith('took '));
    if (code !== 0 || line === undefined) throw new Error(`${argv.join(' ')} ended with ${code}: ${process.tail()}`);
    const [real, user, system] = line.slice(5).split(' ').map(Number);
    return { began: ended - real * 1000, ended, cpu: user + system, peak: memory.end() };
  } finally {
    memory.end();
    process.kill('SIGKILL');
  }
}
