/** Three subnets that a router joins, with a tracker on one of them, and what the tests of it look for. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { StatusReport } from '../../lib/api.js';
import { json, ls, type Sharing, share, shareHashed } from './commands.js';
import type { Host, Lab } from './lab.js';

/** The tracker and ada share a subnet; bob, and cy with dan, have one each. */
export const SUBNETS = [{ subnet: 1 }, { subnet: 1 }, { subnet: 2 }, { subnet: 3 }, { subnet: 3 }];
export const NAMES = ['tracker', 'ada', 'bob', 'cy'];

/** Starts a tracker, which shares a note. */
export async function track(host: Host): Promise<Sharing> {
  return share(host, [await note(host, 'tracker'), '--tracker', '--name', 'tracker']);
}

/** Makes the folder NAME with a note, to be shared. @returns its path */
async function note(host: Host, name: string): Promise<string> {
  const folder = join(host.folder, name);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'note'), `a few words of ${name}`);
  return folder;
}

/** Starts a tracker on the first host and a peer on the next three, each with a note of its own and what `more` says. */
export async function everyone(lab: Lab, more: Record<string, string> = {}): Promise<Sharing[]> {
  const [first, ...others] = lab.hosts;
  const started = [await track(first)];
  for (const [i, host] of others.slice(0, 3).entries()) {
    const name = NAMES[i + 1];
    const files = [await note(host, name), ...(more[name] ? [more[name]] : [])];
    const args = [...files, '--name', name, '--join', first.address];
    started.push(await (more[name] ? shareHashed(host, args) : share(host, args)));
  }
  return started;
}

/** Looks until it is so. @returns when, `performance.now()` @throws Error with what it saw last */
export async function until<T>(look: () => Promise<T>, fits: (seen: T) => boolean, ms: number): Promise<number> {
  for (const began = performance.now(); ; ) {
    const at = performance.now();
    const seen = await look();
    if (fits(seen)) return at;
    if (performance.now() - began > ms) throw new Error(`not within ${ms} ms: ${JSON.stringify(seen)}`);
    await delay(20);
  }
}

export const paths = async (host: Host, args: readonly string[] = []) => (await ls(host, args)).map(({ path }) => path);
const NOTES = NAMES.map((name) => `${name}/note`).sort();
export const isAll = (seen: string[]) => NOTES.every((path) => seen.includes(path));

/** Names of those whom a tracker has registered. */
export async function registered(host: Host): Promise<string[]> {
  const { tracker } = await json<StatusReport>(host, ['status']);
  return (tracker?.registered ?? []).map(({ name }) => name).sort();
}
