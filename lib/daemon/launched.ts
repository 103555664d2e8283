/**
 * How the daemon of a state folder was started, so that `restart` starts it the same way: daemon.json there, which only
 * its owner can read. What is secret is not in it: not the secret of HEARSAY_SECRET, and no password of a URL; that there
 * was one is, so that nobody's private group becomes an open one by a restart.
 */
import { chmod, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { asHearsayError, HearsayError, reasonOf } from '../errors.js';
import { makeFolders } from '../share/folders.js';
import type { Flags } from '../share/settings.js';

/** What a daemon is started with. */
export interface Launched {
  flags: Flags;
  /** Absolute; undefined for the usual one. */
  configFile: string | undefined;
  verbose: boolean;
}

/** What is not kept, and must be given again. */
const WITHHELD = ['HEARSAY_SECRET', '--tracker-store'] as const;
type Withheld = (typeof WITHHELD)[number];

const shape = z.object({
  // What they may be is the settings' to say.
  flags: z.record(z.string(), z.unknown()),
  config: z.string().optional(),
  verbose: z.boolean(),
  withheld: z.array(z.enum(WITHHELD)),
});

const file = (state: string) => join(state, 'daemon.json');

/** Whether a URL holds a password. */
function hasPassword(url: string | undefined): boolean {
  return url !== undefined && URL.canParse(url) && new URL(url).password !== '';
}

/** What of it is secret. */
export function withheldOf({ flags }: Launched, env: Readonly<Record<string, string | undefined>>): Withheld[] {
  const withheld: Withheld[] = [];
  if (env.HEARSAY_SECRET !== undefined && flags.secretFile === undefined) withheld.push('HEARSAY_SECRET');
  if (hasPassword(flags['tracker-store'])) withheld.push('--tracker-store');
  return withheld;
}

/** Keeps how it was started. @throws HearsayError `not-writable`, `disk-full` */
export async function saveLaunched(
  state: string,
  launched: Launched,
  env: Readonly<Record<string, string | undefined>>,
): Promise<void> {
  const withheld = withheldOf(launched, env);
  const { configFile: config, verbose, flags } = launched;
  const { 'tracker-store': store, ...rest } = flags;
  const kept = withheld.includes('--tracker-store') ? rest : flags;
  const path = file(state);
  const fresh = `${path}.${process.pid}`;
  try {
    await makeFolders(state, 0o700);
    await writeFile(fresh, `${JSON.stringify({ flags: kept, config, verbose, withheld })}\n`, { mode: 0o600 });
    await chmod(fresh, 0o600);
    await rename(fresh, path);
  } catch (thrown) {
    await rm(fresh, { force: true }).catch(() => {});
    const error = asHearsayError(thrown, 'not-writable');
    throw new HearsayError(error.code, `${path} cannot be written: ${reasonOf(thrown)}`, { cause: thrown });
  }
}

/**
 * How the daemon was started last; undefined where none was, or what is there means nothing.
 * @throws HearsayError `usage` where it was started with something that is not kept and is not given now
 */
export async function readLaunched(
  state: string,
  given: Flags,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Launched | undefined> {
  let read: z.infer<typeof shape>;
  try {
    read = shape.parse(JSON.parse(await readFile(file(state), 'utf8')));
  } catch {
    return undefined;
  }
  const { flags, config: configFile, verbose, withheld } = read;
  for (const what of withheld) {
    const there =
      what === 'HEARSAY_SECRET'
        ? env.HEARSAY_SECRET !== undefined || given.secretFile !== undefined
        : given['tracker-store'] !== undefined;
    if (there) continue;
    const how = what === 'HEARSAY_SECRET' ? 'set it again, or use --secret-file' : 'give it again';
    throw new HearsayError('usage', `the daemon was started with ${what}, which is secret and so not kept: ${how}`);
  }
  return { flags: flags as Flags, configFile, verbose };
}
