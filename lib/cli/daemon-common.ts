/** What the commands of `hearsay daemon` have in common: what was given, the settings of it, and what runs there. */
import type { ControlClient } from '../daemon/control-client.js';
import type { Launched } from '../daemon/launched.js';
import type { Settings } from '../share/settings.js';
import type { Context } from './context.js';
import { type SharingOptions, sharingFlags } from './sharing.js';

/** What was given on the command line. */
export function launchedBy(context: Context, paths: string[], options: SharingOptions): Launched {
  const { flags, configFile, verbose } = context.common;
  return { flags: { ...flags, ...sharingFlags(context.io.cwd, paths, options) }, configFile, verbose };
}

/** The settings that these options make. @throws HearsayError `usage`, `config` */
export async function settingsOf(context: Context, launched?: Launched): Promise<Settings> {
  const { loadSettings } = await import('../share/settings.js');
  const { flags, configFile } = launched ?? context.common;
  return loadSettings({ flags, env: context.io.env, configFile });
}

/**
 * The peer that runs on a state folder.
 * @throws HearsayError what connecting throws, where it is there and cannot be spoken to
 */
export async function findRunning(context: Context, state: string): Promise<ControlClient | undefined> {
  const { connectControl } = await import('../daemon/control-client.js');
  return context.within(connectControl(state));
}

/** Ends the daemon; undefined where none runs. */
export async function endDaemon(context: Context, state: string): Promise<number | undefined> {
  const { stopDaemon } = await import('../daemon/stop.js');
  return context.within(stopDaemon(state, { onWarning: (message) => context.out.warn(message) }));
}
