/**
 * What the system tells of its ports and its neighbours, without special rights as far as that goes.
 * Owns nothing. Always true: what a system does not tell is undefined, and never an error. Called by the doctor.
 */
import { readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';

const PROC = '/proc';
/** Processes that are looked at, for whose port it is. */
const PROCESSES_MAX = 10_000;

/** Linux's state of a TCP socket that listens, and of a UDP socket that is bound. */
const STATES = { tcp: '0A', udp: '07' };

/** Inodes of the sockets that have a port, of what /proc/net/tcp or /proc/net/udp says. */
export function inodesOf(table: string, port: number, state: string): string[] {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  return table.split('\n').flatMap((line) => {
    const cells = line.trim().split(/\s+/);
    return cells[1]?.endsWith(`:${hex}`) && cells[3] === state && cells[9] !== undefined ? [cells[9]] : [];
  });
}

/** Machines of this network whose cards have answered, or not, by address, of what /proc/net/arp says. */
export function neighboursOf(table: string): Map<string, boolean> {
  const all = new Map<string, boolean>();
  for (const line of table.split('\n').slice(1)) {
    const [address, , flags] = line.trim().split(/\s+/);
    // ATF_COM: its card's own address is known.
    if (flags !== undefined) all.set(address, (Number(flags) & 2) !== 0);
  }
  return all;
}

/** The same of this machine, now; empty where the system does not say. */
export async function neighbours(): Promise<Map<string, boolean>> {
  return neighboursOf(await readFile(join(PROC, 'net', 'arp'), 'utf8').catch(() => ''));
}

/** Who else has a port: "nc (process 4321)"; undefined where the system does not say. */
export async function holderOf(kind: 'tcp' | 'udp', port: number): Promise<string | undefined> {
  const tables = await Promise.all(
    [kind, `${kind}6`].map((name) => readFile(join(PROC, 'net', name), 'utf8').catch(() => '')),
  );
  const inodes = tables.flatMap((table) => inodesOf(table, port, STATES[kind]));
  if (inodes.length === 0) return undefined;
  const wanted = new Set(inodes.map((inode) => `socket:[${inode}]`));
  const all = await readdir(PROC).catch(() => []);
  for (const pid of all.filter((name) => /^\d+$/.test(name)).slice(0, PROCESSES_MAX)) {
    if (Number(pid) === process.pid || !(await hasOne(pid, wanted))) continue;
    const name = await readFile(join(PROC, pid, 'comm'), 'utf8').catch(() => 'process');
    return `${name.trim()} (process ${pid})`;
  }
  return undefined;
}

/** Whether a process has one of these open; of somebody else's the system does not say. */
async function hasOne(pid: string, wanted: ReadonlySet<string>): Promise<boolean> {
  const folder = join(PROC, pid, 'fd');
  const open = await readdir(folder).catch(() => []);
  for (const number of open) {
    const to = await readlink(join(folder, number)).catch(() => '');
    if (wanted.has(to)) return true;
  }
  return false;
}
