/**
 * Network namespaces of the lab: how they are named, run in and removed, and the system's programs that make them. Owns
 * nothing; whoever makes a namespace removes it, and sweep() what a killed run left behind. Used by lab.ts and router.ts.
 */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** Every namespace is named PREFIX-PID-RANDOM-HOST: PID tells whether its run is still there. */
export const PREFIX = 'hearsay-lab';

// npm puts node_modules/.bin first, where a package of the name nft stands before the system's.
const PATH = (process.env.PATH ?? '')
  .split(':')
  .filter((folder) => !folder.includes('node_modules'))
  .concat('/usr/sbin', '/sbin')
  .join(':');
export const SYSTEM = { env: { PATH, LANG: 'C.UTF-8' } };

/** Runs ip. @returns what it printed @throws Error with what it said */
export async function ip(...args: string[]): Promise<string> {
  return (await execute('ip', args, SYSTEM)).stdout;
}

/** Runs tc. @throws Error with what it said */
export async function tc(...args: string[]): Promise<void> {
  await execute('tc', args, SYSTEM);
}

/** Runs lines of the shell in a namespace. */
export async function shell(namespace: string, script: string): Promise<void> {
  await ip('netns', 'exec', namespace, 'sh', '-c', script);
}

/** Gives a namespace these lines of nftables, in a table `inet lab` that it makes anew; none takes the table away. */
export async function filter(namespace: string, lines: readonly string[]): Promise<void> {
  const all = [
    'add table inet lab',
    'delete table inet lab',
    ...(lines.length > 0 ? ['add table inet lab'] : []),
    ...lines,
  ];
  await shell(namespace, `nft -f - <<'END'\n${all.join('\n')}\nEND`);
}

/** Ends everything in a namespace, which is ours, and removes it. */
export async function removeNamespace(name: string): Promise<void> {
  const inside = await ip('netns', 'pids', name).catch(() => '');
  for (const pid of inside.split('\n').filter(Boolean)) {
    try {
      process.kill(Number(pid), 'SIGKILL');
    } catch {
      // It has ended meanwhile.
    }
  }
  await ip('netns', 'delete', name).catch(() => {});
}

/** Removes what killed runs left behind: namespaces and temporary folders with the id of a process that is no more. */
export async function sweep(): Promise<void> {
  const left = (folder: string) =>
    (existsSync(folder) ? readdirSync(folder) : []).filter((name) => {
      const pid = new RegExp(`^${PREFIX}-(\\d+)-`).exec(name)?.[1];
      return pid !== undefined && !existsSync(`/proc/${pid}`);
    });
  for (const name of left('/run/netns')) await removeNamespace(name);
  for (const name of left(tmpdir())) await rm(join(tmpdir(), name), { recursive: true, force: true });
}
