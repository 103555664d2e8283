/**
 * What processes cost: processor time and peak memory, as Linux tells in /proc.
 *
 * Owns a timer while something is watched. Always true: a process's children count with it, those that have ended too where
 * it waited for them. Called by the benches' tools.
 */
import { readdirSync, readFileSync } from 'node:fs';

/** Ticks a second of the times in /proc: the same on every Linux. */
const TICKS = 100;
/** How often it is looked how much memory is used, ms. The kernel keeps the peak, so that only the last moment is missed. */
const LOOK_MS = 50;

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    // It has ended meanwhile.
    return '';
  }
}

function childrenOf(pid: number): number[] {
  let threads: string[] = [];
  try {
    threads = readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
  return threads.flatMap((thread) =>
    read(`/proc/${pid}/task/${thread}/children`).split(' ').filter(Boolean).map(Number),
  );
}

/** A process and all that descend from it. */
function familyOf(pid: number): number[] {
  return [pid, ...childrenOf(pid).flatMap(familyOf)];
}

/** Processor time so far of a process and its children, s; in steps of 10 ms. */
export function cpuOf(pid: number | undefined): number {
  let ticks = 0;
  for (const one of pid === undefined ? [] : familyOf(pid)) {
    const stat = read(`/proc/${one}/stat`);
    // After the name, which may hold anything: utime, stime, cutime, cstime are the 12th to 15th.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    for (const field of fields.slice(11, 15)) ticks += Number(field);
  }
  return ticks / TICKS;
}

/** Peak resident bytes so far of a process and those of its children that run. */
function peakOf(pid: number): number {
  const kib = (one: number) => Number(/VmHWM:\s+(\d+)/.exec(read(`/proc/${one}/status`))?.[1] ?? 0);
  return familyOf(pid).reduce((sum, one) => sum + kib(one) * 1024, 0);
}

/** Watches the memory of a process until it is ended. */
export class MemoryWatch {
  readonly #pid: number | undefined;
  readonly #timer: NodeJS.Timeout;
  #peak = 0;

  constructor(pid: number | undefined) {
    this.#pid = pid;
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  #look(): void {
    if (this.#pid !== undefined) this.#peak = Math.max(this.#peak, peakOf(this.#pid));
  }

  /** Ends it. @returns the peak, bytes */
  end(): number {
    clearInterval(this.#timer);
    this.#look();
    return this.#peak;
  }
}

/** Whether a process, or one that it began, listens at a TCP port of its own network. */
export function isListening(pid: number | undefined, port: number): boolean {
  const hex = `:${port.toString(16).toUpperCase().padStart(4, '0')} `;
  return ['tcp', 'tcp6'].some((table) =>
    read(`/proc/${pid}/net/${table}`)
      .split('\n')
      .some((line) => line.includes(hex) && / 0A /.test(line)),
  );
}
