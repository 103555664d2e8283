/**
 * Ends the peer that runs as a daemon on a state folder: by asking it, and where it does not end, by force.
 * Always true: only a process is killed that the state folder's card names while the state folder's lock is held.
 */
import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { HearsayError } from '../errors.js';
import { HashStore } from '../share/store.js';
import { type ControlClient, connectControl } from './control-client.js';
import { readCard } from './place.js';

/** How long it may take to finish what it is writing, ms; systemd's own patience is three times that. */
const PATIENCE_MS = 30_000;
/** How long the system may take to end a process that was killed, ms: a disk that hangs holds it. */
const KILLED_MS = 5000;
const LOOK_MS = 50;

export interface Stopping {
  /** Milliseconds until force. */
  patience?: number;
  onWarning(message: string): void;
}

/** Whether a process runs. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === 'EPERM';
  }
  try {
    // One that has ended is there until its parent has looked, which in a container may be never.
    return !/^\d+ \(.*\) [ZX] /s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return true;
  }
}

/** Whether some process holds the state folder. The system lets go of the lock with the process, however that ends. */
async function isHeld(state: string): Promise<boolean> {
  if (!existsSync(state)) return false;
  try {
    const { store } = await HashStore.open(state);
    await store.close();
    return false;
  } catch (thrown) {
    return thrown instanceof HearsayError && thrown.code === 'state-in-use';
  }
}

async function hasGone(pid: number, ms: number): Promise<boolean> {
  for (const end = performance.now() + ms; isAlive(pid); await delay(LOOK_MS)) {
    if (performance.now() > end) return false;
  }
  return true;
}

/**
 * Ends the daemon and waits until its process is gone.
 * @returns its process; undefined where none runs
 * @throws HearsayError `refused` where a peer runs in the foreground, `other-version` and what connecting throws where it
 *   cannot be ended, `timeout` where even force does not end it
 */
export async function stopDaemon(
  state: string,
  { patience = PATIENCE_MS, onWarning }: Stopping,
): Promise<number | undefined> {
  let client: ControlClient | undefined;
  let pid: number;
  try {
    client = await connectControl(state);
    if (!client) return undefined;
    pid = client.pid;
    if (client.runs === 'foreground') {
      throw new HearsayError('refused', `a peer runs in the foreground there (process ${pid}): Ctrl-C ends it`);
    }
    // It may end before its answer is through.
    await Promise.race([client.stop(), client.closed]);
  } catch (thrown) {
    // Another version, or one that hangs: what it does understand is a signal.
    const card = await readCard(state).catch(() => undefined);
    const known = thrown instanceof HearsayError && ['other-version', 'timeout'].includes(thrown.code);
    if (!known || card?.pid === undefined || !(await isHeld(state)) || !isAlive(card.pid)) throw thrown;
    pid = card.pid;
    onWarning(`${thrown.message}; it is sent a signal`);
    process.kill(pid, 'SIGTERM');
  } finally {
    client?.close();
  }
  if (await hasGone(pid, patience)) return pid;
  if (!(await isHeld(state))) return pid;
  onWarning(`process ${pid} has not ended after ${patience / 1000} s, so it is killed`);
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Gone just now.
  }
  if (await hasGone(pid, KILLED_MS)) return pid;
  throw new HearsayError('timeout', `process ${pid} was killed and is still there: a disk may hold it`);
}
