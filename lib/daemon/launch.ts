/**
 * Starts the daemon as a process of its own, and hears from it how that went: the side of `daemon start`, and the side of
 * the process that it starts.
 * Owns nothing once the daemon is ready: that has its own session, no terminal, and no pipe to us.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ShareEvent } from '../api.js';
import { asHearsayError, HearsayError, isCode, reasonOf } from '../errors.js';
import { makeFolders } from '../share/folders.js';
import { logFolder } from './log-file.js';
import { parseLine, readLog } from './log-reader.js';

export type Ready = Extract<ShareEvent, { event: 'ready' }>;

/** What the started process tells the one that started it, once. */
type Told = { ready: Ready; warnings: string[] } | { error: { code: string; message: string } };

export interface Started {
  pid: number;
  ready: Ready;
  /** What a person should know of how it starts. */
  warnings: string[];
}

/** How long it may take to become ready, ms; what takes longer goes on, without being waited for. */
const READY_MS = 120_000;
/** Lines of the log that tell why it failed. */
const LAST_LINES = 10;
/** Bytes of what was written beside the log, by Node itself mostly, that are kept from run to run. */
const STDERR_KEPT = 1_000_000;
/** Says that `tell` is wanted; taken out of the environment at once. */
const MARK = 'HEARSAY_LAUNCHED';

const PROGRAM = fileURLToPath(new URL('../../bin/hearsay.js', import.meta.url));

/** The program and the words before its options, as a service or `daemon start` runs it. */
export function daemonWords(words: string[]): string[] {
  return [process.execPath, PROGRAM, 'daemon', 'run', ...words];
}

/** It did not start; `log` is what it wrote in its log, and beside it, as it ended. */
export class LaunchError extends HearsayError {
  readonly log: string[];

  constructor(error: HearsayError, log: string[]) {
    super(error.code, error.message, { cause: error });
    this.log = log;
  }
}

/**
 * Starts a daemon and waits until it is ready.
 * @param state its state folder, made where it is missing
 * @param words the options of `daemon run`, see wordsOf
 * @param signal ends what was started and is not ready
 * @throws LaunchError with the code that it failed with; HearsayError `interrupted`, `timeout`, `not-writable`, `disk-full`
 */
export async function launch(
  state: string,
  words: string[],
  env: Readonly<Record<string, string | undefined>>,
  signal: AbortSignal,
): Promise<Started> {
  const path = join(logFolder(state), 'stderr.log');
  let stderr: Awaited<ReturnType<typeof open>>;
  let before: number;
  try {
    await makeFolders(logFolder(state), 0o700);
    stderr = await open(path, 'a+', 0o600);
    ({ size: before } = await stderr.stat());
    if (before > STDERR_KEPT) {
      await stderr.truncate(0);
      before = 0;
    }
  } catch (thrown) {
    const error = asHearsayError(thrown, 'not-writable');
    throw new HearsayError(error.code, `the log in ${logFolder(state)}: ${reasonOf(thrown)}`, { cause: thrown });
  }
  try {
    const [program, ...args] = daemonWords(words);
    const child = spawn(program, args, {
      // What lies under its working folder could not be unmounted.
      cwd: state,
      detached: true,
      windowsHide: true,
      env: { ...env, [MARK]: '1' },
      stdio: ['ignore', stderr.fd, stderr.fd, 'ipc'],
    });
    try {
      return await heard(child, signal);
    } catch (thrown) {
      if (!(thrown instanceof HearsayError) || !child.pid) throw thrown;
      const said = await lastLines(state, child.pid, thrown.message);
      const { buffer, bytesRead } = await stderr.read(Buffer.alloc(4096), 0, 4096, before);
      const beside = buffer
        .toString('utf8', 0, bytesRead)
        .split('\n')
        .filter((line) => line.trim() !== '');
      throw new LaunchError(thrown, [...said, ...beside.slice(0, LAST_LINES)]);
    }
  } finally {
    await stderr.close();
  }
}

/** Waits for its word. */
async function heard(child: ChildProcess, signal: AbortSignal): Promise<Started> {
  let late: NodeJS.Timeout | undefined;
  let stop = () => {};
  try {
    return await new Promise<Started>((resolve, reject) => {
      const fail = (code: ConstructorParameters<typeof HearsayError>[0], message: string) =>
        reject(new HearsayError(code, message));
      stop = () => {
        child.kill('SIGTERM');
        fail('interrupted', 'interrupted before the daemon was ready');
      };
      signal.addEventListener('abort', stop);
      if (signal.aborted) stop();
      child.once('error', (error) => reject(asHearsayError(error)));
      child.once('exit', (status, killed) =>
        fail('failed', `the daemon ended before it was ready (${killed ?? `exit ${status}`})`),
      );
      child.once('message', (message: Told) => {
        if ('ready' in message) resolve({ pid: child.pid ?? 0, ...message });
        else fail(isCode(message.error.code) ? message.error.code : 'failed', message.error.message);
      });
      late = setTimeout(
        () => fail('timeout', `the daemon (process ${child.pid}) is not ready after ${READY_MS / 1000} s; it goes on`),
        READY_MS,
      );
    });
  } finally {
    clearTimeout(late);
    signal.removeEventListener('abort', stop);
    if (child.connected) child.disconnect();
    child.unref();
  }
}

/** What a process wrote in the log, but for what we know. */
async function lastLines(state: string, pid: number, known: string): Promise<string[]> {
  const lines: string[] = [];
  try {
    for await (const text of readLog(state, 2 * LAST_LINES)) {
      const line = parseLine(text);
      const isTrouble = line?.pid === pid && ['warn', 'error', 'fatal'].includes(line.level);
      if (isTrouble && !line.msg.includes(known)) lines.push(`${line.level} ${line.msg}`);
    }
  } catch {
    // Then there is nothing to tell.
  }
  return lines.slice(-LAST_LINES);
}

/** Whether this process was started by `launch`, and how it tells that it is ready, or is not. */
export function launched(): ((told: Told) => Promise<void>) | undefined {
  const marked = process.env[MARK] === '1';
  delete process.env[MARK];
  if (!marked || !process.connected) return undefined;
  return (told) =>
    new Promise<void>((resolve) => {
      // Whoever started it may have gone.
      process.send?.(told, undefined, {}, () => {
        if (process.connected) process.disconnect();
        resolve();
      });
    });
}
